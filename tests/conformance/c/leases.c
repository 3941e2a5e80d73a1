/* Covers: fcntl: F_SETLEASE F_GETLEASE (F_RDLCK F_WRLCK F_UNLCK): who may hold one, what breaks it and how its holder hears of that, how the
 * breaker waits or not, fs/lease-break-time, fork and dup; leases and other locks in /proc/locks and /proc/PID/fdinfo. */
#define _GNU_SOURCE
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include "case.h"

static volatile int count, code, band, from;

static void heard(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	count++;
	code = info->si_code;
	band = (int)info->si_band;
	from = info->si_fd;
}

static void told(const char *what)
{
	printf("%s: %s", what, count ? "told" : "not told");
	if (count && code > 0 && code < 10)
		printf(" %d times, code %d, band %#x, descriptor %d", count, code, band, from);
	puts("");
	count = code = band = from = 0;
}

static int opened(int flags)
{
	int fd = (int)MUST(open("file", flags));
	return fd;
}

static void try_open(const char *what, int flags)
{
	int fd = open("file", flags | O_NONBLOCK);
	printf("open %s: %s\n", what, fd < 0 ? error_name(errno) : "yes");
	if (fd >= 0)
		close(fd);
}

/* A child that opens the file and waits for it; returns when the holder was notified. */
static pid_t opener(int lease, const char *path, int flags)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(lease);
		_exit(open(path, flags) < 0);
	}
	while (!count)
		sleep_ms(1);
	return child;
}

static void set_break_time(const char *text)
{
	int fd = (int)MUST(open("/proc/sys/fs/lease-break-time", O_WRONLY));
	SHOW(write(fd, text, strlen(text)));
	close(fd);
}

/* /proc/locks and fdinfo, without numbers and with what is constant by name. */
static void show_locks(const char *path, const char *wanted)
{
	char line[256], place[64];
	struct stat s;
	MUST(stat("file", &s));
	snprintf(place, sizeof place, " %02x:%02x:%lu ", major(s.st_dev), minor(s.st_dev), (unsigned long)s.st_ino);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		char *at = strstr(line, place);
		char *none = strstr(line, " <none>:0 ");
		if (strncmp(line, wanted, strlen(wanted)) || (!at && !none && !*wanted))
			continue;
		if (none)
			at = none;
		char *rest = strchr(line, ':');
		if (at) {
			*at = 0;
			char *pid = strrchr(rest, ' ');
			long number = strtol(pid, NULL, 10);
			*pid = 0;
			printf("%s %s %s %s", *wanted ? line : rest, number == getpid() ? "self" : number == -1 ? "-1" : "other",
			       none ? "none" : "file", at + (none ? 10 : strlen(place)));
		} else {
			printf("%s", line);
		}
	}
	if (f)
		fclose(f);
}

static void show_info(int fd)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	show_locks(path, "lock:");
}

static void who_may(void)
{
	puts("--- who may");
	int r = opened(O_RDONLY), w = opened(O_WRONLY), p[2];
	SHOW(fcntl(r, F_GETLEASE));
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	close(w);
	SHOW(fcntl(r, F_SETLEASE, 7));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_GETLEASE));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	int r2 = opened(O_RDONLY);
	SHOW(fcntl(r2, F_GETLEASE));
	SHOW(fcntl(r2, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(r2, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(r2, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	close(r2);
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(r, F_GETLEASE));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	int rw = opened(O_RDWR);
	SHOW(fcntl(rw, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(rw, F_SETLEASE, F_WRLCK));
	close(r);
	SHOW(fcntl(rw, F_SETLEASE, F_WRLCK));
	/* A path is no reader, and a duplicate no second one. */
	int path = opened(O_PATH), copy = dup(rw);
	SHOW(fcntl(copy, F_GETLEASE));
	SHOW(fcntl(copy, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(path, F_GETLEASE));
	SHOW(fcntl(path, F_SETLEASE, F_RDLCK));
	IN_CHILD(SHOW(fcntl(rw, F_GETLEASE)));
	CHECK(fcntl(rw, F_GETOWN) == getpid());
	close(rw);
	SHOW(fcntl(copy, F_GETLEASE));
	IN_CHILD(SHOW(fcntl(copy, F_SETLEASE, F_UNLCK)));
	SHOW(fcntl(copy, F_GETLEASE));
	SHOW(fcntl(copy, F_GETOWN));
	close(copy);
	close(path);
	MUST(pipe(p));
	SHOW(fcntl(p[0], F_SETLEASE, F_RDLCK));
	SHOW(fcntl(p[0], F_SETLEASE, F_UNLCK));
	SHOW(fcntl(p[0], F_GETLEASE));
	int directory = (int)MUST(open(".", O_RDONLY));
	SHOW(fcntl(directory, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(directory, F_GETLEASE));
	SHOW(fcntl(-1, F_GETLEASE));
	close(directory);
	IN_CHILD(
		int fd = opened(O_RDONLY);
		MUST(setuid(1000));
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
		SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
		SHOW(fcntl(fd, F_SETLEASE, 7));
		SHOW(fcntl(fd, F_GETLEASE)));
	IN_CHILD(
		int fd = opened(O_RDONLY);
		MUST(fchown(fd, 1000, 1000));
		MUST(setuid(1000));
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
		MUST(fcntl(fd, F_SETLEASE, F_UNLCK)));
	MUST(chown("file", 0, 0));
	/* A mapping keeps its description. */
	rw = opened(O_RDWR);
	char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);
	close(rw);
	r = opened(O_RDONLY);
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	munmap(m, 4096);
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	close(r);
}

static void breaking(void)
{
	puts("--- breaking");
	int r = opened(O_RDONLY);
	MUST(fcntl(r, F_SETLEASE, F_RDLCK));
	try_open("for reading", O_RDONLY);
	told("a read lease, a reader");
	show_locks("/proc/locks", "");
	show_info(r);
	try_open("for truncation", O_RDONLY | O_TRUNC);
	told("a read lease, a truncation");
	SHOW(fcntl(r, F_GETLEASE));
	try_open("for writing", O_WRONLY);
	told("a read lease, a writer");
	SHOW(fcntl(r, F_GETLEASE));
	show_locks("/proc/locks", "");
	try_open("for writing again", O_WRONLY);
	told("a read lease, another writer");
	try_open("for reading", O_RDONLY);
	/* A new request withdraws what is under way. */
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_GETLEASE));
	int r2 = opened(O_RDONLY);
	SHOW(fcntl(r2, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	try_open("for writing", O_WRONLY);
	told("no lease, a writer");
	close(r2);

	MUST(fcntl(r, F_SETSIG, SIGRTMIN + 1));
	MUST(fcntl(r, F_SETLEASE, F_WRLCK));
	try_open("for reading", O_RDONLY);
	told("a write lease, a reader");
	SHOW(fcntl(r, F_GETLEASE));
	show_locks("/proc/locks", "");
	try_open("for reading again", O_RDONLY);
	told("a write lease, another reader");
	try_open("for writing", O_RDWR);
	told("a write lease, a writer");
	SHOW(fcntl(r, F_GETLEASE));
	try_open("with access mode 3", 3);
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(r, F_GETSIG));
	SHOW(fcntl(r, F_GETOWN));

	MUST(fcntl(r, F_SETLEASE, F_WRLCK));
	SHOW(stat("file", &(struct stat){ 0 }));
	SHOW(access("file", W_OK));
	SHOW(chmod("file", 0600));
	SHOW(rename("file", "elsewhere"));
	SHOW(rename("elsewhere", "file"));
	int path = opened(O_PATH);
	told("what opens nothing");
	/* Who is notified: another owner may be chosen, or none. */
	MUST(fcntl(r, F_SETOWN, 0));
	try_open("for reading", O_RDONLY);
	told("nobody's lease");
	close(r);
	try_open("for reading", O_RDONLY);
	close(path);
	r = opened(O_RDONLY);
	MUST(fcntl(r, F_SETOWN, getppid()));
	MUST(fcntl(r, F_SETLEASE, F_RDLCK));
	CHECK(fcntl(r, F_GETOWN) == getppid());
	close(r);
}

static void waiting(void)
{
	puts("--- waiting");
	int r = opened(O_RDONLY);
	MUST(fcntl(r, F_SETLEASE, F_RDLCK));
	pid_t child = opener(r, "file", O_WRONLY);
	told("a writer");
	show_locks("/proc/locks", "");
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	show_end(child);

	/* The holder lowers it for a reader, or gives it up. */
	MUST(fcntl(r, F_SETLEASE, F_WRLCK));
	child = opener(r, "file", O_RDONLY);
	told("a reader");
	SHOW(fcntl(r, F_GETLEASE));
	SHOW(fcntl(r, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	show_end(child);
	SHOW(fcntl(r, F_GETLEASE));
	child = opener(r, "file", O_RDWR);
	told("a writer");
	close(r);
	show_end(child);

	/* truncate(2), and running the file. */
	r = opened(O_RDONLY);
	MUST(fcntl(r, F_SETLEASE, F_RDLCK));
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(truncate("file", 5) != 0);
	while (!count)
		sleep_ms(1);
	told("truncate");
	show_file("file");
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	show_end(child);
	show_file("file");
	MUST(chmod("file", 0755));
	MUST(fcntl(r, F_SETLEASE, F_WRLCK));
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		execl("file", "file", NULL);
		_exit(errno == ENOEXEC);
	}
	while (!count)
		sleep_ms(1);
	told("execve");
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	show_end(child);

	/* A signal ends the wait. */
	child = (pid_t)MUST(fork());
	if (child == 0) {
		struct sigaction a = { .sa_sigaction = heard };
		sigaction(SIGALRM, &a, NULL);
		ualarm(50000, 50000); /* again and again: the first one may come before the call */
		SHOW(open("file", O_WRONLY));
		ualarm(0, 0);
		_exit(0);
	}
	show_end(child);
	told("a writer that gave up");
	SHOW(fcntl(r, F_GETLEASE));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));

	/* A holder that does not respond loses the lease. */
	show_file("/proc/sys/fs/lease-break-time");
	show_file("/proc/sys/fs/leases-enable");
	set_break_time("1");
	put_file("second", "", 0644);
	int second = (int)MUST(open("second", O_RDONLY));
	MUST(fcntl(r, F_SETLEASE, F_UNLCK));
	MUST(fcntl(r, F_SETLEASE, F_WRLCK));
	MUST(fcntl(second, F_SETLEASE, F_WRLCK));
	child = opener(r, "file", O_RDONLY);
	told("a reader");
	pid_t writer = opener(second, "second", O_WRONLY);
	told("a writer");
	show_end(child);
	show_end(writer);
	SHOW(fcntl(r, F_GETLEASE));
	SHOW(fcntl(second, F_GETLEASE));
	SHOW(fcntl(second, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(r, F_SETLEASE, F_UNLCK));
	set_break_time("45\n");
	int fd = (int)MUST(open("/proc/sys/fs/leases-enable", O_WRONLY));
	MUST(write(fd, "0", 1));
	SHOW(fcntl(r, F_SETLEASE, F_RDLCK));
	MUST(pwrite(fd, "1", 1, 0)); /* elsewhere than at 0 it would be ignored */
	close(fd);
	close(r);
}

static int lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	return fcntl(fd, command, &l);
}

static void other_locks(void)
{
	puts("--- other locks");
	int a = opened(O_RDWR), b = opened(O_RDONLY), ready[2];
	char byte;
	MUST(pipe(ready));
	MUST(lock(a, F_SETLK, F_WRLCK, 2, 3));
	show_locks("/proc/locks", "");
	MUST(lock(b, F_SETLK, F_RDLCK, 10, 0));
	MUST(flock(b, LOCK_SH));
	MUST(lock(a, F_OFD_SETLK, F_WRLCK, 6, 1));
	show_locks("/proc/locks", "");
	show_info(a);
	show_info(b);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		write(ready[1], "x", 1);
		lock(a, F_SETLKW, F_WRLCK, 2, 1);
		_exit(0);
	}
	MUST(read(ready[0], &byte, 1));
	until_asleep(child);
	show_locks("/proc/locks", "");
	MUST(flock(b, LOCK_UN));
	MUST(lock(a, F_SETLK, F_UNLCK, 0, 0));
	show_end(child);
	show_locks("/proc/locks", "");
}

/* A file loses its name and whoever had it open while somebody waits for the lease to open it. */
static void passing(void)
{
	puts("--- a file that goes meanwhile");
	int fd = (int)MUST(open("passing", O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "text", 4));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(fd);
		char text[8] = "";
		struct stat s;
		fd = (int)MUST(open("passing", O_RDONLY));
		SHOW(read(fd, text, 4));
		MUST(fstat(fd, &s));
		printf("%s, %d names\n", text, (int)s.st_nlink);
		fflush(stdout);
		_exit(0);
	}
	until_asleep(child);
	told("the holder");
	fflush(stdout);
	MUST(unlink("passing"));
	close(fd);
	show_end(child);
}

int main(void)
{
	struct sigaction a = { 0 };
	a.sa_sigaction = heard;
	a.sa_flags = SA_SIGINFO | SA_RESTART;
	MUST(sigaction(SIGIO, &a, NULL));
	MUST(sigaction(SIGRTMIN + 1, &a, NULL));
	put_file("file", "0123456789", 0644);
	who_may();
	breaking();
	waiting();
	other_locks();
	passing();
	return 0;
}
