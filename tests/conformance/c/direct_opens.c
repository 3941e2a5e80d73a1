/*
 * Covers: O_DIRECT for every kind of file that a name leads to, alone and with what else may be wrong.
 */
#include "case.h"
#include <sys/mount.h>

static void open_so(const char *path, int flags, const char *name)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	printf(" %s %s", name, fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

#define OPEN(flags) open_so(path, flags, #flags)

static void look(const char *path)
{
	printf("%s:", path);
	OPEN(O_RDONLY | O_DIRECT);
	OPEN(O_RDWR | O_DIRECT);
	OPEN(O_RDONLY | O_DIRECT | O_DIRECTORY);
	OPEN(O_RDONLY | O_DIRECT | O_NOFOLLOW);
	OPEN(O_RDONLY | O_DIRECT | O_CREAT);
	OPEN(O_RDONLY | O_DIRECT | O_CREAT | O_EXCL);
	OPEN(O_RDWR | O_DIRECT | O_TMPFILE);
	OPEN(O_PATH | O_DIRECT);
	OPEN(O_RDONLY | O_DIRECT | O_PATH | O_DIRECTORY);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		printf(" later %s", fcntl(fd, F_SETFL, O_DIRECT) < 0 ? error_name(errno) : "ok");
		char text[40];
		snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
		int again = open(text, O_RDONLY | O_DIRECT | O_NONBLOCK | O_NOCTTY);
		printf(" again %s", again < 0 ? error_name(errno) : "ok");
		close(again);
		close(fd);
	}
	puts("");
}

int main(void)
{
	MUST(mkdir("/tmp/direct", 0755));
	MUST(chdir("/tmp/direct"));
	put_file("file", "12", 0600);
	MUST(mkdir("directory", 0755));
	MUST(mkfifo("fifo", 0600));
	MUST(symlink("file", "link"));
	MUST(mkdir("proc", 0755));
	MUST(mount("proc", "proc", "proc", 0, 0));
	static const char *const paths[] = {
		"file", "directory", "fifo", "link", "absent", ".", "/dev", "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/tty", "/dev/ptmx",
		"/dev/vda", "/dev/kmsg", "proc", "proc/self", "proc/self/status", "proc/self/comm", "proc/self/mem", "proc/self/fd", "proc/self/exe",
		"proc/self/ns/uts", "proc/version", "proc/sys", "proc/sys/kernel/hostname", "proc/absent", "/sys", "/sys/kernel", "/sys/kernel/uevent_seqnum",
		"/sys/absent", "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/absent", "/dev/pts",
	};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		look(paths[i]);
	MUST(umount("proc"));
	MUST(chdir("/"));
	for (const char **each = (const char *[]){ "file", "fifo", "link", "absent", 0 }; *each; each++) {
		char path[60];
		snprintf(path, sizeof path, "/tmp/direct/%s", *each);
		unlink(path);
	}
	MUST(rmdir("/tmp/direct/directory"));
	MUST(rmdir("/tmp/direct/proc"));
	MUST(rmdir("/tmp/direct"));
	return 0;
}
