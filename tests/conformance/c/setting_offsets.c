/* Covers: settings of /proc/sys that are read or written in parts, or elsewhere than at their start (proc_sys(5)). */
#include "case.h"

static void show(const char *what, ssize_t n, const char *text)
{
	printf("%s: %s", what, n < 0 ? error_name(errno) : "");
	if (n >= 0)
		printf("%zd '", n);
	for (ssize_t i = 0; i < n; i++)
		printf(text[i] == '\n' ? "\\n" : text[i] == '\t' ? "\\t" : "%c", text[i]);
	puts(n >= 0 ? "'" : "");
}

static void show_now(const char *path)
{
	char text[256];
	int fd = (int)MUST(open(path, O_RDONLY));
	show("now", read(fd, text, sizeof text), text);
	close(fd);
}

/* Read with one descriptor: a byte, the rest, from other places. Values that differ from machine to machine are not shown. */
static void in_parts(const char *path, int is_shown)
{
	char text[256];
	printf("--- %s in parts\n", path);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = MUST(read(fd, text, sizeof text));
	if (is_shown)
		show("whole", n, text);
	printf("then %zd\n", read(fd, text, sizeof text));
	if (is_shown) {
		show("at 0", pread(fd, text, sizeof text, 0), text);
		show("at 1", pread(fd, text, sizeof text, 1), text);
		show("far", pread(fd, text, sizeof text, 1000), text);
		MUST(lseek(fd, 0, SEEK_SET));
		show("one", read(fd, text, 1), text);
		show("rest", read(fd, text, sizeof text), text);
	}
	close(fd);
}

static void written(const char *path, const char *first, const char *second, const char *last)
{
	printf("--- %s written\n", path);
	int fd = (int)MUST(open(path, O_RDWR));
	SHOW(write(fd, first, strlen(first)));
	show_now(path);
	SHOW(write(fd, second, strlen(second)));
	show_now(path);
	SHOW(pwrite(fd, second, strlen(second), 1));
	show_now(path);
	SHOW(pwrite(fd, "nonsense", 8, 2));
	show_now(path);
	SHOW(pwrite(fd, second, strlen(second), 200));
	show_now(path);
	SHOW(pwrite(fd, second, strlen(second), 0));
	show_now(path);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwrite(fd, last, strlen(last), 0));
	close(fd);
	fd = (int)MUST(open(path, O_WRONLY | O_APPEND));
	SHOW(write(fd, last, strlen(last)));
	close(fd);
	show_now(path);
}

int main(void)
{
	char name[65];
	in_parts("/proc/sys/fs/leases-enable", 1);
	in_parts("/proc/sys/net/ipv4/ip_local_port_range", 1);
	in_parts("/proc/sys/kernel/ostype", 1);
	in_parts("/proc/sys/kernel/seccomp/actions_avail", 0);
	in_parts("/proc/sys/kernel/osrelease", 0);
	in_parts("/proc/sys/kernel/pid_max", 0);
	in_parts("/proc/sys/kernel/random/boot_id", 0);
	MUST(gethostname(name, sizeof name));
	MUST(sethostname("offsets", 7));
	in_parts("/proc/sys/kernel/hostname", 1);
	written("/proc/sys/kernel/hostname", "abcdef", "xyz", "a.name");
	MUST(sethostname(name, strlen(name)));
	written("/proc/sys/fs/leases-enable", "0", "1", "1");
	written("/proc/sys/net/ipv4/ip_local_port_range", "32768 50000", "32768\t60999", "32768 60999\n");
	return 0;
}
