/* Covers: /proc/PID/mem (reads and writes by force, seeks, whose memory, who may), /proc/PID/auxv, /proc/kmsg, /proc/misc, /proc/iomem. */
#define _GNU_SOURCE
#include <elf.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "case.h"

extern char **environ;
static const char constant[4096] __attribute__((aligned(4096))) = "constant";
static char buffer[8192];

static long at(int fd, const void *address, size_t n) { return pread(fd, buffer, n, (off_t)(unsigned long)address); }
static long to(int fd, const void *address, const char *text) { return pwrite(fd, text, strlen(text), (off_t)(unsigned long)address); }

static void *map(int prot, int flags, int fd) { return mmap(NULL, 8192, prot, flags, fd, 0); }

static void own_memory(void)
{
	int fd = (int)MUST(open("/proc/self/mem", O_RDWR)), file;
	struct stat s;
	puts("--- mem");
	MUST(fstat(fd, &s));
	printf("mode %o size %ld\n", s.st_mode, (long)s.st_size);
	char *page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	strcpy(page + 4000, "hello");
	SHOW(at(fd, page + 4000, 5));
	printf("%.5s\n", buffer);
	SHOW(at(fd, page, 8192));
	SHOW(to(fd, page + 4094, "across"));
	printf("%s\n", page + 4094);
	munmap(page + 4096, 4096);
	SHOW(at(fd, page, 8192));
	SHOW(at(fd, page + 4096, 10));
	SHOW(to(fd, page + 4094, "cut off"));
	SHOW(at(fd, page, 0));
	SHOW(pread(fd, (void *)8, 10, (off_t)(unsigned long)page));
	SHOW(pwrite(fd, (void *)8, 10, (off_t)(unsigned long)page));
	SHOW(at(fd, NULL, 10));
	SHOW(pread(fd, buffer, 10, 0x7fffffffffffffff));
	SHOW(pread(fd, buffer, 10, -1));
	/* By force: what could be made accessible, but shared memory is not written to. */
	mprotect(page, 4096, PROT_NONE);
	SHOW(at(fd, page + 4000, 5));
	printf("%.5s\n", buffer);
	SHOW(to(fd, page + 4000, "forced"));
	mprotect(page, 4096, PROT_READ);
	printf("%s\n", page + 4000);
	char *none = map(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(at(fd, none, 5));
	SHOW(to(fd, none, "none"));
	mprotect(none, 4096, PROT_READ);
	printf("%s\n", none);
	SHOW(to(fd, constant, "changed!"));
	printf("%s\n", *(const char *volatile *)&(const char *){ constant });
	char *shared = map(PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1);
	SHOW(at(fd, shared, 5));
	SHOW(to(fd, shared, "x"));
	file = (int)MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(write(file, "contents", 8));
	char *private = map(PROT_READ, MAP_PRIVATE, file);
	SHOW(to(fd, private, "CON"));
	printf("%s\n", private);
	show_file("file");
	SHOW(at(fd, private + 4096, 1));
	/* The position. */
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(lseek(fd, 1, SEEK_DATA));
	CHECK(lseek(fd, (off_t)(unsigned long)page + 4000, SEEK_SET) == (off_t)(unsigned long)page + 4000);
	SHOW(read(fd, buffer, 3));
	SHOW(read(fd, buffer, 3));
	printf("%.3s\n", buffer);
	CHECK(lseek(fd, 1, SEEK_CUR) == (off_t)(unsigned long)page + 4007);
	SHOW(ftruncate(fd, 0));
	close(fd);
	fd = (int)MUST(open("/proc/self/mem", O_RDONLY));
	SHOW(to(fd, page, "x"));
	close(fd);
}

static volatile int shown;

static void of_others(void)
{
	int ready[2], go[2];
	char path[64], byte;
	puts("--- of others");
	MUST(pipe(ready));
	MUST(pipe(go));
	shown = 17;
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		shown = 18;
		MUST(write(ready[1], "x", 1));
		MUST(read(go[0], &byte, 1));
		_exit(shown);
	}
	MUST(read(ready[0], &byte, 1));
	snprintf(path, sizeof path, "/proc/%d/mem", child);
	int fd = (int)MUST(open(path, O_RDWR)), value = 0;
	SHOW(pread(fd, &value, sizeof value, (off_t)(unsigned long)&shown));
	printf("%d\n", value);
	value = 21;
	SHOW(pwrite(fd, &value, sizeof value, (off_t)(unsigned long)&shown));
	IN_CHILD(MUST(setuid(1000)); SHOW(open(path, O_RDONLY)); SHOW(pread(fd, &value, sizeof value, (off_t)(unsigned long)&shown)));
	MUST(write(go[1], "x", 1));
	siginfo_t info;
	MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	SHOW(pread(fd, &value, sizeof value, (off_t)(unsigned long)&shown));
	static const char *const names[] = { "mem", "auxv", "maps", "environ", "smaps", "cmdline", "personality" };
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", child, names[i]);
		int zombie = open(path, O_RDONLY);
		printf("a zombie's %s: %s\n", names[i], zombie < 0 ? error_name(errno) : read(zombie, buffer, 100) > 0 ? "something" : "nothing");
	}
	show_end(child);
	SHOW(pread(fd, &value, sizeof value, (off_t)(unsigned long)&shown));
	SHOW(open(path, O_RDONLY));
	IN_CHILD(MUST(setuid(1000)); SHOW(open("/proc/1/mem", O_RDONLY)); SHOW(open("/proc/1/auxv", O_RDONLY)));
	IN_CHILD(MUST(setuid(1000)); MUST(prctl(PR_SET_DUMPABLE, 1)); SHOW(open("/proc/self/mem", O_RDONLY) >= 0);
		 SHOW(open("/proc/self/auxv", O_RDONLY) >= 0));
}

static void auxiliary(void)
{
	char **end = environ;
	puts("--- auxv");
	while (*end)
		end++;
	Elf64_auxv_t *own = (Elf64_auxv_t *)(end + 1), read_[64];
	int fd = (int)MUST(open("/proc/self/auxv", O_RDONLY));
	long n = MUST(read(fd, read_, sizeof read_));
	int last = (int)(n / (long)sizeof *read_) - 1;
	CHECK(n % (long)sizeof *read_ == 0 && last > 0 && read_[last].a_type == AT_NULL);
	CHECK(memcmp(own, read_, (size_t)n) == 0);
	for (int i = 0; i <= last; i++)
		if (read_[i].a_type == AT_PAGESZ)
			printf("pages of %ld\n", (long)read_[i].a_un.a_val);
	SHOW(pread(fd, read_, 8, 8));
	SHOW(open("/proc/self/auxv", O_WRONLY) >= 0);
	close(fd);
	IN_CHILD(int again = (int)MUST(open("/proc/self/auxv", O_RDONLY)); CHECK(read(again, read_, sizeof read_) == n && !memcmp(own, read_, (size_t)n)));
}

static void of_the_system(void)
{
	struct stat s;
	puts("--- kmsg, misc, iomem, locks");
	MUST(stat("/proc/kmsg", &s));
	printf("mode %o\n", s.st_mode);
	IN_CHILD(MUST(setuid(1000)); SHOW(open("/proc/kmsg", O_RDONLY)); SHOW(open("/proc/iomem", O_RDONLY)); SHOW(open("/proc/misc", O_RDONLY) >= 0));
	int fd = (int)MUST(open("/proc/kmsg", O_RDONLY | O_NONBLOCK)), log = (int)MUST(open("/dev/kmsg", O_WRONLY));
	while (read(fd, buffer, sizeof buffer) > 0)
		;
	printf("nothing left: %s\n", error_name(errno));
	struct pollfd p = { fd, POLLIN, 0 };
	SHOW(poll(&p, 1, 0));
	MUST(write(log, "<5>one line\n", 12));
	MUST(write(log, "<5>another\n", 11));
	SHOW(poll(&p, 1, 0));
	CHECK(klogctl(9, NULL, 0) > 20);
	long n = read(fd, buffer, sizeof buffer - 1);
	buffer[n > 0 ? n : 0] = 0;
	for (char *line = strtok(buffer, "\n"); line; line = strtok(NULL, "\n"))
		printf("%.3s %s\n", line, strchr(line, ']'));
	MUST(write(log, "<5>for the call\n", 16));
	n = klogctl(2, buffer, sizeof buffer - 1);
	buffer[n > 0 ? n : 0] = 0;
	printf("the call: %s", strchr(buffer, ']'));
	SHOW(read(fd, buffer, sizeof buffer));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(pread(fd, buffer, 10, 0));
	FILE *f = fopen("/proc/iomem", "r");
	unsigned long start, end;
	int rows = 0, sound = 1, ram = 0;
	while (f && fgets(buffer, sizeof buffer, f)) {
		rows++;
		if (sscanf(buffer, "%lx-%lx : ", &start, &end) != 2 || end < start)
			sound = 0;
		if (strstr(buffer, " : System RAM\n") && buffer[0] != ' ')
			ram++;
	}
	CHECK(rows > 2 && sound && ram > 0);
	MUST(stat("/proc/iomem", &s));
	printf("mode %o\n", s.st_mode);
	f = fopen("/proc/misc", "r");
	for (rows = 0, sound = 1; f && fgets(buffer, sizeof buffer, f); rows++) {
		char name[64];
		int minor;
		if (sscanf(buffer, "%d %63s", &minor, name) != 2 || buffer[3] != ' ')
			sound = 0;
	}
	CHECK(rows > 0 && sound);
	MUST(stat("/proc/locks", &s));
	printf("mode %o\n", s.st_mode);
}

int main(void)
{
	own_memory();
	of_others();
	auxiliary();
	of_the_system();
	return 0;
}
