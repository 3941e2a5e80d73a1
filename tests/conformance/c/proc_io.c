/* Covers: /proc/PID/io: characters and calls, of processes and threads, and of disks; ru_inblock and ru_oublock. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/prctl.h>
#include "case.h"

struct figures { long rchar, wchar, syscr, syscw, read_bytes, write_bytes, cancelled; };

static struct figures figures_of(const char *path)
{
	struct figures f = { 0 };
	char text[512];
	int fd = (int)MUST(open(path, O_RDONLY));
	text[read(fd, text, sizeof text - 1)] = 0;
	close(fd);
	if (sscanf(text, "rchar: %ld\nwchar: %ld\nsyscr: %ld\nsyscw: %ld\nread_bytes: %ld\nwrite_bytes: %ld\ncancelled_write_bytes: %ld\n", &f.rchar, &f.wchar,
		   &f.syscr, &f.syscw, &f.read_bytes, &f.write_bytes, &f.cancelled) != 7)
		printf("another form: %s\n", text);
	return f;
}

static struct figures before;

static void begin(void) { before = figures_of("/proc/self/io"); }

static void show(const char *what)
{
	struct figures f = figures_of("/proc/self/io");
	/* To read the figures is a call with a text of its own length. */
	printf("%s: read %s, written %ld, calls %ld and %ld\n", what, f.rchar - before.rchar < 300 ? "hardly" : "something", f.wchar - before.wchar,
	       f.syscr - before.syscr - 1, f.syscw - before.syscw);
}

static void *in_thread(void *argument)
{
	char buffer[5000];
	int fd = (int)MUST(open("/dev/zero", O_RDONLY));
	read(fd, buffer, sizeof buffer);
	close(fd);
	struct figures f = figures_of("/proc/thread-self/io");
	printf("the thread's own: %ld of 5000, %ld calls\n", f.rchar, f.syscr);
	return argument;
}

int main(void)
{
	char buffer[10000];
	struct iovec parts[2] = { { buffer, 1000 }, { buffer, 2000 } };
	int ends[2];
	pthread_t thread;
	int fd = (int)MUST(open("/tmp/io", O_RDWR | O_CREAT | O_TRUNC, 0600));
	begin();
	show("nothing");
	begin();
	write(fd, buffer, 4000);
	show("write");
	begin();
	pwrite(fd, buffer, 5000, 100);
	show("pwrite");
	begin();
	writev(fd, parts, 2);
	show("writev");
	begin();
	pread(fd, buffer, 3000, 0);
	show("pread");
	begin();
	write(-1, buffer, 10);
	read(-1, buffer, 10);
	show("bad descriptors");
	begin();
	write(fd, (void *)8, 10);
	pread(fd, (void *)8, 10, 0);
	show("bad memory");
	begin();
	lseek(fd, 0, SEEK_END);
	read(fd, buffer, 100);
	show("the end");
	MUST(pipe2(ends, O_NONBLOCK));
	begin();
	read(ends[0], buffer, 10);
	show("an empty pipe");
	begin();
	write(ends[1], buffer, 10);
	show("a pipe");
	int copy = (int)MUST(open("/tmp/io.copy", O_RDWR | O_CREAT | O_TRUNC, 0600));
	off_t from = 0, to = 0;
	begin();
	TRY(sendfile(copy, fd, &from, 2000));
	show("sendfile");
	from = 0;
	begin();
	TRY(copy_file_range(fd, &from, copy, &to, 1500, 0));
	show("copy_file_range");
	begin();
	TRY(splice(fd, &from, ends[1], NULL, 100, 0));
	show("splice");
	begin();
	TRY(pwritev2(fd, parts, 2, 0, RWF_DSYNC));
	TRY(pwritev2(fd, parts, 2, 0, RWF_APPEND));
	show("pwritev2");
	struct figures old = figures_of("/proc/self/io");
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	struct figures f = figures_of("/proc/self/io");
	printf("its end is counted: %d\n", f.rchar - old.rchar >= 5000);
	puts("--- others");
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/io", child);
	f = figures_of(path);
	printf("a child begins with %ld %ld %ld %ld\n", f.rchar, f.wchar, f.syscr, f.syscw);
	struct stat s;
	MUST(stat(path, &s));
	printf("mode %o\n", s.st_mode);
	IN_CHILD({
		setresuid(1000, 1000, 1000);
		int other = open(path, O_RDONLY);
		TRY(other);
		int own = (int)TRY(open("/proc/self/io", O_RDONLY));
		TRY(read(own, buffer, 10));
	});
	int held = (int)MUST(open(path, O_RDONLY));
	IN_CHILD({ setresuid(1000, 1000, 1000); TRY(read(held, buffer, 10)); });
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	TRY(read(held, buffer, 10));
	puts("--- of a process that may not be traced, but looked into");
	int scope = (int)MUST(open("/proc/sys/kernel/yama/ptrace_scope", O_WRONLY));
	MUST(write(scope, "1", 1));
	IN_CHILD({
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		MUST(prctl(PR_SET_DUMPABLE, 1));
		pid_t target = (pid_t)MUST(fork());
		if (target == 0)
			for (;;)
				pause();
		IN_CHILD({
			snprintf(path, sizeof path, "/proc/%d/mem", target);
			TRY(open(path, O_RDONLY));
			snprintf(path, sizeof path, "/proc/%d/io", target);
			int its = (int)TRY(open(path, O_RDONLY));
			TRY(read(its, buffer, 10));
		});
		kill(target, SIGKILL);
	});
	MUST(pwrite(scope, "0", 1, 0)); /* elsewhere than at 0 it would be ignored */
	close(scope);
	unlink("/tmp/io");
	unlink("/tmp/io.copy");
	return 0;
}
