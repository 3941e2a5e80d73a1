/* Covers: fcntl: F_NOTIFY (DN_ACCESS DN_MODIFY DN_CREATE DN_DELETE DN_RENAME DN_ATTRIB DN_MULTISHOT): which events are
 * reported, how often, to whom and when it ends. */
#define _GNU_SOURCE
#include <sys/stat.h>
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
	printf("%-24s %d", what, count);
	if (count && code == 3)
		printf(" code %d, band %#x, descriptor %d", code, band, from);
	puts("");
	count = code = band = from = 0;
}

#define EVENT(call) do { MUST(call); told(#call); } while (0)

static int write_one(const char *path)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, "x", 1));
	return close(fd);
}

static int read_one(const char *path)
{
	char byte;
	int fd = (int)MUST(open(path, O_RDONLY));
	MUST(read(fd, &byte, 1));
	return close(fd);
}

static int list(const char *path)
{
	char buffer[1024];
	int fd = (int)MUST(open(path, O_RDONLY | O_DIRECTORY));
	MUST(syscall(217, fd, buffer, sizeof buffer));
	return close(fd);
}

static void everything(void)
{
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } }, modified[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
	EVENT(creat("d/file", 0644));
	EVENT(write_one("d/file"));
	EVENT(read_one("d/file"));
	EVENT(truncate("d/file", 10));
	EVENT(chmod("d/file", 0600));
	EVENT(chown("d/file", 0, 0));
	EVENT(utimensat(AT_FDCWD, "d/file", now, 0));
	EVENT(utimensat(AT_FDCWD, "d/file", modified, 0));
	EVENT(link("d/file", "d/other"));
	EVENT(link("d/file", "outside"));
	EVENT(write_one("outside"));
	EVENT(rename("d/other", "d/third"));
	EVENT(rename("d/third", "d/file2"));
	EVENT(rename("d/file2", "elsewhere"));
	EVENT(rename("elsewhere", "d/back"));
	EVENT(symlink("target", "d/link"));
	EVENT(mkdir("d/sub", 0755));
	EVENT(chmod("d/sub", 0700));
	EVENT(list("d/sub"));
	EVENT(list("d"));
	EVENT(chmod("d", 0755));
	EVENT(creat("d/sub/inner", 0644));
	EVENT(unlink("d/sub/inner"));
	EVENT(rename("d/sub", "d/sub2"));
	EVENT(rmdir("d/sub2"));
	EVENT(unlink("d/link"));
	EVENT(unlink("d/back"));
	EVENT(unlink("d/file"));
	EVENT(unlink("outside"));
	EVENT(rename("d", "e"));
	EVENT(rename("e", "d"));
}

int main(void)
{
	static const struct { const char *name; unsigned int bits; } kinds[] = {
		{ "DN_ACCESS", DN_ACCESS }, { "DN_MODIFY", DN_MODIFY }, { "DN_CREATE", DN_CREATE }, { "DN_DELETE", DN_DELETE },
		{ "DN_RENAME", DN_RENAME }, { "DN_ATTRIB", DN_ATTRIB },
		{ "all", DN_ACCESS | DN_MODIFY | DN_CREATE | DN_DELETE | DN_RENAME | DN_ATTRIB },
	};
	struct sigaction a = { 0 };
	a.sa_sigaction = heard;
	a.sa_flags = SA_SIGINFO | SA_RESTART;
	MUST(sigaction(SIGIO, &a, NULL));
	MUST(sigaction(SIGRTMIN + 1, &a, NULL));
	MUST(mkdir("d", 0755));
	for (unsigned int i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		printf("--- %s\n", kinds[i].name);
		int d = (int)MUST(open("d", O_RDONLY));
		if (i < 6)
			MUST(fcntl(d, F_SETSIG, SIGRTMIN + 1));
		MUST(fcntl(d, F_NOTIFY, (long)(kinds[i].bits | DN_MULTISHOT)));
		everything();
		close(d);
	}
	puts("--- once, and more");
	int d = (int)MUST(open("d", O_RDONLY));
	SHOW(fcntl(d, F_GETOWN));
	MUST(fcntl(d, F_NOTIFY, DN_CREATE));
	CHECK(fcntl(d, F_GETOWN) == getpid());
	EVENT(creat("d/a", 0644));
	EVENT(creat("d/b", 0644));
	MUST(fcntl(d, F_NOTIFY, DN_CREATE));
	MUST(fcntl(d, F_NOTIFY, DN_DELETE));
	EVENT(unlink("d/a"));
	EVENT(unlink("d/b"));
	EVENT(creat("d/a", 0644));
	MUST(fcntl(d, F_NOTIFY, (long)(DN_CREATE | DN_MULTISHOT)));
	MUST(fcntl(d, F_NOTIFY, DN_DELETE));
	EVENT(unlink("d/a"));
	EVENT(creat("d/a", 0644));
	MUST(fcntl(d, F_NOTIFY, 0));
	EVENT(unlink("d/a"));
	MUST(fcntl(d, F_NOTIFY, (long)(DN_CREATE | DN_MULTISHOT)));
	MUST(fcntl(d, F_NOTIFY, (long)DN_MULTISHOT));
	EVENT(creat("d/a", 0644));
	puts("--- who hears, and until when");
	MUST(fcntl(d, F_SETSIG, SIGRTMIN + 1));
	int copy = dup(d), second = (int)MUST(open("d", O_RDONLY));
	MUST(fcntl(second, F_SETSIG, SIGRTMIN + 1));
	MUST(fcntl(d, F_NOTIFY, (long)(DN_MODIFY | DN_MULTISHOT)));
	MUST(fcntl(copy, F_NOTIFY, (long)(DN_MODIFY | DN_MULTISHOT)));
	EVENT(write_one("d/a"));
	MUST(fcntl(second, F_NOTIFY, (long)(DN_MODIFY | DN_MULTISHOT)));
	EVENT(write_one("d/a"));
	IN_CHILD(count = 0; write_one("d/a"); told("in a child"); close(d); close(second));
	told("from a child");
	close(copy);
	EVENT(write_one("d/a"));
	MUST(fcntl(d, F_NOTIFY, (long)(DN_MODIFY | DN_MULTISHOT)));
	MUST(fcntl(second, F_SETOWN, 0));
	EVENT(write_one("d/a"));
	IN_CHILD(
		MUST(fcntl(d, F_NOTIFY, (long)(DN_MODIFY | DN_MULTISHOT)));
		CHECK(fcntl(d, F_GETOWN) == getppid());
		write_one("d/a");
		told("a child that asked, not owns"));
	told("its parent");
	EVENT(write_one("d/a"));
	close(d);
	close(second);
	EVENT(write_one("d/a"));
	puts("--- refused");
	int f = (int)MUST(open("d/a", O_RDONLY)), path = (int)MUST(open("d", O_PATH)), p[2];
	MUST(pipe(p));
	SHOW(fcntl(f, F_NOTIFY, DN_ACCESS));
	SHOW(fcntl(f, F_NOTIFY, 0));
	SHOW(fcntl(p[0], F_NOTIFY, DN_ACCESS));
	SHOW(fcntl(path, F_NOTIFY, DN_ACCESS));
	d = (int)MUST(open("d", O_RDONLY));
	SHOW(fcntl(d, F_NOTIFY, 0x40));
	SHOW(fcntl(d, F_NOTIFY, 0x100000000L | DN_MODIFY));
	EVENT(write_one("d/a"));
	show_file("/proc/sys/fs/dir-notify-enable");
	MUST(fcntl(d, F_NOTIFY, DN_DELETE | DN_ATTRIB));
	MUST(unlink("d/a"));
	told("the last name");
	MUST(fcntl(d, F_NOTIFY, DN_DELETE | DN_ATTRIB));
	MUST(rmdir("d"));
	told("the directory itself");
	SHOW(fcntl(d, F_NOTIFY, DN_DELETE | DN_ATTRIB));
	return 0;
}
