/* Covers: acct: what is recorded of processes that end, who may, where to, and what happens when the disk is full. */
#define _GNU_SOURCE
#include <math.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include "case.h"

struct record {
	unsigned char flag, version;
	unsigned short tty;
	unsigned exitcode, uid, gid, pid, ppid, btime;
	float etime;
	unsigned short utime, stime, mem, io, rw, minflt, majflt, swaps;
	char comm[16];
};

#define FILE_ "/tmp/records"

static long expand(unsigned short value) { return (long)(value & 8191) << (value >> 13) * 3; }

static void set(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	SHOW(write(fd, text, strlen(text)));
	close(fd);
}

static pid_t children[16];
static double least_ticks[16], most_ticks[16]; /* how long each of them lived */
static int count;

static double ticks_now(void)
{
	struct timespec t;
	MUST(clock_gettime(CLOCK_MONOTONIC, &t));
	return t.tv_sec * 100.0 + t.tv_nsec / 1e7;
}

/* A host that stands still makes all times longer, also those of processors: none is longer than the process was there. */
static const char *life_of(int number, double ticks)
{
	return number >= count ? "what this has" : ticks + 2 < least_ticks[number] ? "too little" : ticks - 2 > most_ticks[number] ? "too much" : "what it should";
}

static int used_up = -1; /* which of them has computed for 0.3 s */

static void show_records(const char *path)
{
	struct record r;
	long now = time(NULL);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n;
	int i = 0;
	while ((n = read(fd, &r, sizeof r)) == sizeof r) {
		printf("%s: flags %#x, version %d, tty %d, exit %#x, uid %u, gid %u\n", r.comm, r.flag & ~2, r.version, r.tty, r.exitcode, r.uid, r.gid);
		printf("  pid %d, parent %d, began %s, took %s\n", i < count && r.pid == children[i], r.ppid == getpid(),
		       r.btime + 30 >= now && r.btime <= now ? "lately" : "once", life_of(i, r.etime));
		printf("  user %s, all %s, memory %d, faults %d, %d, io %d %d, swaps %d\n", i != used_up || expand(r.utime) >= 15 ? "enough" : "little",
		       expand(r.utime) + expand(r.stime) <= r.etime + 4 ? "in that time" : "too much",
		       expand(r.mem) > 16 && expand(r.mem) < 100000, expand(r.minflt) > 0, r.majflt, r.io, r.rw, r.swaps);
		i++;
	}
	printf("%d records, and %zd bytes\n", i, n);
	close(fd);
}

#define RECORDED(...) do { \
	fflush(stdout); \
	double begun_ = ticks_now(); \
	pid_t child_ = (pid_t)MUST(fork()); \
	if (child_ == 0) { __VA_ARGS__; _exit(0); } \
	children[count] = child_; \
	MUST(waitpid(child_, NULL, 0)); \
	least_ticks[count] = 0; \
	most_ticks[count++] = ticks_now() - begun_; \
} while (0)

static void use(long ms)
{
	struct timespec t;
	do
		for (volatile int i = 0; i < 100000; i++)
			;
	while (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0 && t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

int main(int argument_count, char **arguments)
{
	struct stat s;
	if (argument_count > 1)
		return 9;
	puts("--- errors");
	SHOW(syscall(SYS_acct, "/nowhere"));
	SHOW(syscall(SYS_acct, "/tmp"));
	SHOW(syscall(SYS_acct, "/dev/null"));
	SHOW(syscall(SYS_acct, "/proc/self/comm"));
	SHOW(syscall(SYS_acct, "/proc/sys/kernel/hostname"));
	SHOW(syscall(SYS_acct, (char *)8));
	SHOW(syscall(SYS_acct, ""));
	int memory = (int)MUST(syscall(SYS_memfd_create, "x", 0));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
	SHOW(syscall(SYS_acct, path));
	MUST(mkfifo("/tmp/fifo", 0600));
	int fifo = (int)MUST(open("/tmp/fifo", O_RDWR));
	SHOW(syscall(SYS_acct, "/tmp/fifo"));
	close(fifo);
	unlink("/tmp/fifo");
	SHOW(syscall(SYS_acct, NULL));
	put_file(FILE_, "", 0600);
	IN_CHILD(setresuid(1000, 1000, 1000); SHOW(syscall(SYS_acct, FILE_)); SHOW(syscall(SYS_acct, NULL)));
	show_file("/proc/sys/kernel/acct");
	puts("--- records");
	SHOW(syscall(SYS_acct, FILE_));
	RECORDED(_exit(7));
	RECORDED(raise(SIGTERM));
	RECORDED(raise(SIGABRT));
	RECORDED(execl("/proc/self/exe", "accounting_records", "x", NULL));
	RECORDED(setresgid(100, 100, 100); setresuid(1000, 1000, 1000); use(300));
	used_up = count - 1;
	least_ticks[count - 1] = 30;
	RECORDED(sleep_ms(500); prctl(15, "another name"));
	least_ticks[count - 1] = 50;
	RECORDED(struct rlimit none = { 0, 0 }; setrlimit(RLIMIT_FSIZE, &none));
	RECORDED(execl("/proc/self/exe", "accounting_records", "x", NULL));
	SHOW(syscall(SYS_acct, NULL));
	SHOW(syscall(SYS_acct, NULL));
	pid_t unrecorded = (pid_t)MUST(fork());
	if (unrecorded == 0)
		_exit(1);
	waitpid(unrecorded, NULL, 0);
	show_records(FILE_);
	puts("--- goes on after what is there");
	count = 0;
	used_up = -1;
	put_file(FILE_, "", 0600);
	SHOW(syscall(SYS_acct, FILE_));
	RECORDED(_exit(1));
	SHOW(syscall(SYS_acct, FILE_));
	RECORDED(_exit(2));
	put_file("/tmp/others", "", 0600);
	SHOW(syscall(SYS_acct, "/tmp/others"));
	unlink(FILE_);
	count = 0;
	RECORDED(_exit(3));
	SHOW(syscall(SYS_acct, NULL));
	show_records("/tmp/others");
	puts("--- a full disk");
	MUST(mkdir("/tmp/disk", 0700));
	MUST(mount("tmpfs", "/tmp/disk", "tmpfs", 0, "size=400k"));
	set("/proc/sys/kernel/acct", "4 2 0\n");
	put_file("/tmp/disk/records", "", 0600);
	SHOW(syscall(SYS_acct, "/tmp/disk/records"));
	count = 0;
	RECORDED(_exit(1));
	int fd = (int)MUST(open("/tmp/disk/large", O_WRONLY | O_CREAT, 0600));
	static char data[4096];
	while (write(fd, data, sizeof data) > 0)
		;
	RECORDED(_exit(2));
	MUST(ftruncate(fd, 380 * 1024));
	MUST(fstat(fd, &s));
	RECORDED(_exit(3));
	MUST(ftruncate(fd, 100 * 1024));
	RECORDED(_exit(4));
	close(fd);
	MUST(stat("/tmp/disk/records", &s));
	printf("%ld bytes\n", (long)s.st_size);
	SHOW(mount("tmpfs", "/tmp/disk", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL));
	SHOW(mount("tmpfs", "/tmp/disk", "tmpfs", MS_REMOUNT, NULL));
	SHOW(syscall(SYS_acct, "/tmp/disk/records"));
	set("/proc/sys/kernel/acct", "4 2 30\n");
	MUST(umount("/tmp/disk"));
	puts("--- a file goes with its mount");
	put_file("/tmp/disk/records", "", 0600);
	count = 0;
	for (int detached = 0; detached < 2; detached++) {
		MUST(mount("/tmp/disk", "/mnt", NULL, MS_BIND, NULL));
		SHOW(syscall(SYS_acct, "/mnt/records"));
		MUST(umount2("/mnt", detached ? MNT_DETACH : 0));
		RECORDED(_exit(8));
	}
	show_records("/tmp/disk/records");
	IN_CHILD(MUST(unshare(CLONE_NEWNS)); MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		 MUST(mount("/tmp/disk", "/mnt", NULL, MS_BIND, NULL)); SHOW(syscall(SYS_acct, "/mnt/records")));
	settle_for(100);
	RECORDED(_exit(9));
	struct record r;
	fd = (int)MUST(open("/tmp/disk/records", O_RDONLY));
	while (read(fd, &r, sizeof r) == sizeof r)
		if (r.exitcode == 9 << 8)
			puts("it goes on");
	close(fd);
	SHOW(syscall(SYS_acct, NULL));
	puts("--- a mount that is in use stays, and so do its records");
	put_file("/tmp/disk/records", "", 0600);
	MUST(mount("/tmp/disk", "/mnt", NULL, MS_BIND, NULL));
	MUST(mkdir("/mnt/below", 0700));
	SHOW(syscall(SYS_acct, "/mnt/records"));
	MUST(mount("tmpfs", "/mnt/below", "tmpfs", 0, NULL));
	SHOW(umount("/mnt"));
	MUST(umount("/mnt/below"));
	MUST(chdir("/mnt/below"));
	SHOW(umount("/mnt"));
	MUST(chdir("/"));
	count = 0;
	RECORDED(_exit(10));
	SHOW(syscall(SYS_acct, NULL));
	MUST(umount("/mnt"));
	show_records("/tmp/disk/records");
	puts("--- a namespace of its own");
	put_file("/tmp/inside", "", 0600);
	put_file("/tmp/outside", "", 0600);
	SHOW(syscall(SYS_acct, "/tmp/outside"));
	count = 0;
	fflush(stdout);
	pid_t init = (pid_t)syscall(SYS_clone, 0x20000000 | SIGCHLD, 0, 0, 0, 0);
	if (init == 0) {
		syscall(SYS_acct, "/tmp/inside");
		pid_t child = fork();
		if (child == 0)
			_exit(5);
		waitpid(child, NULL, 0);
		_exit(6);
	}
	waitpid(init, NULL, 0);
	SHOW(syscall(SYS_acct, NULL));
	for (int i = 0; i < 2; i++) {
		fd = (int)MUST(open(i ? "/tmp/outside" : "/tmp/inside", O_RDONLY));
		while (read(fd, &r, sizeof r) == sizeof r)
			printf("%s: exit %#x, pid %s, parent %d\n", i ? "outside" : "inside", r.exitcode, r.pid <= 2 ? "small" : "large", r.ppid <= 2 ? r.ppid : -1);
		close(fd);
	}
	return 0;
}
