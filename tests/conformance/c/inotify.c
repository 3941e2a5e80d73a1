/* Watching files: every event, on files and on directories, what merges, the flags of a watch, limits and errors
 * (inotify(7), inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2)).
 */
#include "case.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <sys/epoll.h>

static const char *labels[64];
static uint32_t first_cookie;

static const struct { uint32_t bit; const char *name; } bits[] = {
	{ IN_ACCESS, "ACCESS" }, { IN_MODIFY, "MODIFY" }, { IN_ATTRIB, "ATTRIB" }, { IN_CLOSE_WRITE, "CLOSE_WRITE" },
	{ IN_CLOSE_NOWRITE, "CLOSE_NOWRITE" }, { IN_OPEN, "OPEN" }, { IN_MOVED_FROM, "MOVED_FROM" },
	{ IN_MOVED_TO, "MOVED_TO" }, { IN_CREATE, "CREATE" }, { IN_DELETE, "DELETE" }, { IN_DELETE_SELF, "DELETE_SELF" },
	{ IN_MOVE_SELF, "MOVE_SELF" }, { IN_UNMOUNT, "UNMOUNT" }, { IN_Q_OVERFLOW, "Q_OVERFLOW" }, { IN_IGNORED, "IGNORED" },
	{ IN_ISDIR, "ISDIR" },
};

static int watch(int fd, const char *path, uint32_t mask, const char *label)
{
	int wd = inotify_add_watch(fd, path, mask);
	if (wd < 0)
		printf("watch %s: %s\n", path, error_name(errno));
	else
		labels[wd & 63] = label;
	return wd;
}

static void drain(int fd, const char *what)
{
	static char buffer[65536] __attribute__((aligned(8)));
	printf("-- %s\n", what);
	ssize_t n;
	while ((n = read(fd, buffer, sizeof buffer)) > 0) {
		for (char *at = buffer; at < buffer + n;) {
			struct inotify_event *e = (void *)at;
			printf("  %s:", e->wd < 0 ? "(none)" : labels[e->wd & 63] ? labels[e->wd & 63] : "?");
			for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
				if (e->mask & bits[i].bit)
					printf(" %s", bits[i].name);
			if (e->cookie) {
				if (!first_cookie)
					first_cookie = e->cookie;
				printf(" cookie+%u", e->cookie - first_cookie);
			}
			if (e->len)
				printf(" \"%s\" in %u bytes", e->name, e->len);
			printf("\n");
			at += sizeof *e + e->len;
		}
	}
	if (n < 0 && errno != EAGAIN)
		printf("  read: %s\n", error_name(errno));
}

static void files(int fd)
{
	char byte[16];
	struct timespec both[2] = { { 1, 0 }, { 2, 0 } }, one[2] = { { 3, 0 }, { 0, UTIME_OMIT } },
			other[2] = { { 0, UTIME_OMIT }, { 4, 0 } }, none[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	int f = (int)MUST(open("d/f", O_RDWR | O_CREAT | O_TRUNC, 0644));
	drain(fd, "create");
	int wd = watch(fd, "d/f", IN_ALL_EVENTS, "f");
	MUST(write(f, "hello", 5));
	MUST(write(f, "hello", 5));
	drain(fd, "two writes");
	MUST(pread(f, byte, 4, 0));
	MUST(write(f, "", 0));
	MUST(read(f, byte, 4));
	drain(fd, "read, an empty write, a read at the end");
	MUST(ftruncate(f, 3));
	MUST(truncate("d/f", 2));
	drain(fd, "two truncations");
	MUST(posix_fallocate(f, 0, 100));
	drain(fd, "allocation");
	MUST(fchmod(f, 0600));
	drain(fd, "fchmod");
	MUST(chmod("d/f", 0644));
	MUST(chown("d/f", 0, 0));
	drain(fd, "chmod and chown");
	MUST(futimens(f, both));
	drain(fd, "both times");
	MUST(futimens(f, one));
	drain(fd, "access time");
	MUST(futimens(f, other));
	drain(fd, "modification time");
	MUST(futimens(f, none));
	drain(fd, "no time");
	MUST(fsync(f));
	drain(fd, "fsync");
	MUST(setxattr("d/f", "user.a", "b", 1, 0));
	drain(fd, "setxattr");
	MUST(removexattr("d/f", "user.a"));
	drain(fd, "removexattr");
	MUST(link("d/f", "d/g"));
	drain(fd, "link");
	close(f);
	drain(fd, "close");
	f = (int)MUST(open("d/f", O_RDONLY));
	int copy = (int)MUST(dup(f));
	close(f);
	drain(fd, "open, dup, close one");
	close(copy);
	drain(fd, "close the other");
	close((int)MUST(open("d/f", O_PATH)));
	drain(fd, "O_PATH");
	close((int)MUST(open("d/f", O_WRONLY | O_TRUNC)));
	drain(fd, "O_TRUNC");
	MUST(stat("d/f", &(struct stat){ 0 }));
	drain(fd, "stat");
	f = (int)MUST(open("d/g", O_RDWR));
	MUST(write(f, "12345", 5));
	int to = (int)MUST(open("/dev/null", O_WRONLY));
	off_t zero = 0;
	MUST(sendfile(to, f, &zero, 5));
	close(to);
	char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	map[0] = 'x';
	munmap(map, 4096);
	close(f);
	drain(fd, "by the other name: write, sendfile, mmap");
	MUST(rename("d/g", "d/h"));
	drain(fd, "rename");
	MUST(unlink("d/h"));
	drain(fd, "unlink one name");
	f = (int)MUST(open("d/f", O_RDWR));
	MUST(unlink("d/f"));
	drain(fd, "unlink the other while open");
	MUST(write(f, "x", 1));
	drain(fd, "write to what has no name");
	close(f);
	drain(fd, "close what has no name");
	SHOW(inotify_rm_watch(fd, wd));
	f = (int)MUST(open("d/f", O_RDWR | O_CREAT, 0644));
	close(f);
	wd = watch(fd, "d/f", IN_ALL_EVENTS, "f2");
	drain(fd, "again");
	MUST(unlink("d/f"));
	drain(fd, "unlink what nobody has open");
}

static void names(int fd)
{
	MUST(mkdir("d/s", 0755));
	MUST(symlink("f", "d/l"));
	MUST(mknod("d/p", S_IFIFO | 0644, 0));
	drain(fd, "mkdir, symlink, mknod");
	int s = watch(fd, "d/s", IN_ALL_EVENTS, "s");
	put_file("d/s/x", "1", 0644);
	drain(fd, "a file in it");
	MUST(rename("d/s/x", "d/y"));
	drain(fd, "rename between");
	put_file("d/z", "2", 0644);
	drain(fd, "another");
	int y = watch(fd, "d/y", IN_ALL_EVENTS, "y");
	watch(fd, "d/z", IN_ALL_EVENTS, "z");
	MUST(rename("d/y", "d/z"));
	drain(fd, "rename over");
	put_file("d/y", "3", 0644);
	drain(fd, "y again");
	MUST(syscall(SYS_renameat2, AT_FDCWD, "d/y", AT_FDCWD, "d/s", 2));
	drain(fd, "exchange a file and a directory");
	MUST(syscall(SYS_renameat2, AT_FDCWD, "d/y", AT_FDCWD, "d/s", 2));
	drain(fd, "and back");
	MUST(rename("d/s", "d/t"));
	drain(fd, "rename a directory");
	MUST(rename("d/t", "d/s"));
	int dir = (int)MUST(open("d/s", O_RDONLY | O_DIRECTORY));
	char buffer[1024];
	while (MUST(syscall(SYS_getdents64, dir, buffer, sizeof buffer)) > 0)
		;
	close(dir);
	drain(fd, "list a directory");
	MUST(chmod("d/s", 0700));
	drain(fd, "chmod a directory");
	SHOW(inotify_rm_watch(fd, y));
	MUST(rmdir("d/s"));
	drain(fd, "rmdir");
	SHOW(inotify_rm_watch(fd, s));
	MUST(unlink("d/l"));
	MUST(unlink("d/p"));
	MUST(unlink("d/z"));
	MUST(unlink("d/y"));
	drain(fd, "unlink the rest");
	int f = (int)MUST(open("d", O_TMPFILE | O_RDWR, 0600));
	MUST(write(f, "x", 1));
	close(f);
	sleep_ms(1);
}

static void flags(void)
{
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	put_file("d/f", "1", 0644);
	MUST(symlink("f", "d/l"));
	int a = (int)SHOW(inotify_add_watch(fd, "d/f", IN_OPEN));
	int b = (int)SHOW(inotify_add_watch(fd, "d/l", IN_MODIFY));
	CHECK(a == b);
	labels[a] = "f";
	put_file("d/f", "2", 0644);
	drain(fd, "the mask was replaced");
	SHOW(inotify_add_watch(fd, "d/f", IN_OPEN | IN_MASK_ADD));
	put_file("d/f", "2", 0644);
	drain(fd, "the mask was added to");
	SHOW(inotify_add_watch(fd, "d/f", IN_OPEN | IN_MASK_CREATE));
	SHOW(inotify_add_watch(fd, "d/f", IN_OPEN | IN_ONLYDIR));
	int l = (int)SHOW(inotify_add_watch(fd, "d/l", IN_ALL_EVENTS | IN_DONT_FOLLOW));
	labels[l] = "l";
	put_file("d/l", "2", 0644);
	drain(fd, "through the link");
	MUST(rename("d/l", "d/m"));
	drain(fd, "rename the link");
	SHOW(inotify_rm_watch(fd, a));
	drain(fd, "remove");
	SHOW(inotify_rm_watch(fd, a));
	int once = (int)SHOW(inotify_add_watch(fd, "d/f", IN_ALL_EVENTS | IN_ONESHOT));
	labels[once] = "once";
	put_file("d/f", "3", 0644);
	drain(fd, "one shot");
	SHOW(inotify_rm_watch(fd, once));
	int e = (int)SHOW(inotify_add_watch(fd, "d", IN_ALL_EVENTS | IN_EXCL_UNLINK));
	labels[e] = "d";
	int f = (int)MUST(open("d/f", O_RDWR));
	MUST(unlink("d/f"));
	MUST(write(f, "x", 1));
	close(f);
	drain(fd, "not of unlinked files");
	MUST(unlink("d/m"));
	close(fd);
}

static void limits_and_errors(void)
{
	SHOW(inotify_init1(1));
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	char name[64] = "";
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	MUST(readlink(path, name, sizeof name - 1));
	printf("%s, flags %#x, cloexec %d\n", name, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	char byte[64];
	int waiting;
	SHOW(read(fd, byte, sizeof byte));
	SHOW(write(fd, byte, 1));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(inotify_add_watch(fd, "d", 0));
	SHOW(inotify_add_watch(fd, "d", 0x00800000 | IN_OPEN));
	SHOW(inotify_add_watch(fd, "d", IN_MASK_ADD | IN_MASK_CREATE | IN_OPEN));
	SHOW(inotify_add_watch(fd, "d/none", IN_OPEN));
	SHOW(inotify_add_watch(fd, "", IN_OPEN));
	SHOW(inotify_add_watch(fd, (void *)8, IN_OPEN));
	SHOW(inotify_add_watch(-1, "d", IN_OPEN));
	SHOW(inotify_add_watch(0, "d", IN_OPEN));
	SHOW(inotify_add_watch(999, "d", 0));
	SHOW(inotify_rm_watch(fd, 1));
	SHOW(inotify_rm_watch(0, 1));
	SHOW(inotify_rm_watch(999, 1));
	put_file("d/secret", "1", 0600);
	IN_CHILD(
		MUST(setuid(1000));
		int mine = (int)MUST(inotify_init1(IN_NONBLOCK));
		SHOW(inotify_add_watch(mine, "d/secret", IN_OPEN));
		SHOW(inotify_add_watch(mine, "d", IN_OPEN));
	);
	labels[SHOW(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE))] = "d";
	put_file("d/exactly-sixteen", "1", 0644);
	put_file("d/fifteen-letters", "1", 0644);
	put_file("d/sixteen-letters-", "1", 0644);
	MUST(ioctl(fd, FIONREAD, &waiting));
	printf("%d bytes wait\n", waiting);
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	SHOW(poll(&p, 1, 0));
	printf("revents %#x\n", p.revents);
	SHOW(read(fd, byte, 10));
	SHOW(read(fd, byte, 47));
	SHOW(read(fd, byte, 48));
	SHOW(read(fd, (void *)8, 48));
	drain(fd, "the rest");
	SHOW(poll(&p, 1, 0));
	MUST(unlink("d/exactly-sixteen"));
	MUST(unlink("d/fifteen-letters"));
	MUST(unlink("d/sixteen-letters-"));
	MUST(unlink("d/secret"));
	close(fd);
	int many[200], got = 0;
	IN_CHILD(
		MUST(setuid(1001));
		while (got < 200 && (many[got] = inotify_init()) >= 0)
			got++;
		printf("%d instances, then %s\n", got, error_name(errno));
	);
	show_file("/proc/sys/fs/inotify/max_queued_events");
	show_file("/proc/sys/fs/inotify/max_user_instances");
	int limit = (int)MUST(open("/proc/sys/fs/inotify/max_queued_events", O_WRONLY));
	SHOW(write(limit, "4\n", 2));
	fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	labels[MUST(inotify_add_watch(fd, "d", IN_ALL_EVENTS))] = "d";
	MUST(mkdir("d/1", 0755));
	MUST(mkdir("d/2", 0755));
	MUST(mkdir("d/3", 0755));
	MUST(mkdir("d/4", 0755));
	MUST(mkdir("d/5", 0755));
	MUST(mkdir("d/6", 0755));
	drain(fd, "four fit");
	MUST(rmdir("d/1"));
	MUST(rmdir("d/2"));
	drain(fd, "afterwards");
	SHOW(lseek(limit, 0, SEEK_SET));
	SHOW(write(limit, "16384", 5));
	close(limit);
	for (const char *c = "d/3\0d/4\0d/5\0d/6\0"; *c; c += 4)
		rmdir(c);
	close(fd);
}

static void blocking(void)
{
	int fd = (int)MUST(inotify_init());
	labels[MUST(inotify_add_watch(fd, "d", IN_CREATE))] = "d";
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		sleep_ms(50);
		MUST(mkdir("d/late", 0755));
		_exit(0);
	}
	char buffer[256];
	printf("a read that waits gives %zd bytes\n", read(fd, buffer, sizeof buffer));
	waitpid(child, 0, 0);
	int set = (int)MUST(epoll_create1(0));
	struct epoll_event event = { .events = EPOLLIN };
	MUST(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	SHOW(epoll_wait(set, &event, 1, 0));
	MUST(mkdir("d/later", 0755));
	SHOW(epoll_wait(set, &event, 1, 60000));
	MUST(rmdir("d/late"));
	MUST(rmdir("d/later"));
	close(set);
	close(fd);
}

static void unmounting(const char *type, const char *source, const char *data)
{
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	MUST(mount(source, "d", type, 0, data));
	put_file("d/f", "1", 0644);
	MUST(mkdir("d/s", 0755));
	labels[MUST(inotify_add_watch(fd, "d", IN_CREATE))] = "root";
	MUST(umount("d"));
	drain(fd, "unmounted a watched root");
	close(fd);
	fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	MUST(mount(source, "d", type, 0, data));
	put_file("d/f", "1", 0644);
	labels[MUST(inotify_add_watch(fd, "d/f", IN_ALL_EVENTS))] = "f";
	MUST(umount("d"));
	drain(fd, "unmounted with a watched file");
	close(fd);
}

/* What a move replaces ends once: with it, the file system's count of inodes is as it was. */
static void replaced(void)
{
	struct statfs before, after;
	MUST(mount("none", "d", "tmpfs", 0, ""));
	put_file("d/kept", "1", 0644);
	MUST(statfs("d", &before));
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	watch(fd, "d", IN_MOVE | IN_CREATE, "d");
	for (int i = 0; i < 3; i++) {
		put_file("d/new", "2", 0644);
		MUST(rename("d/new", "d/kept"));
		MUST(mkdir("d/below", 0755));
		MUST(mkdir("d/above", 0755));
		MUST(rename("d/above", "d/below"));
		MUST(rmdir("d/below"));
	}
	drain(fd, "moved over others");
	MUST(statfs("d", &after));
	printf("%d free inodes more\n", (int)(after.f_ffree - before.f_ffree));
	close(fd);
	MUST(umount("d"));
}

static void programs(void)
{
	char *arguments[] = { "d/true", "-c", ":", 0 };
	MUST(symlink("/bin/busybox", "d/true"));
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	labels[MUST(inotify_add_watch(fd, "/bin/busybox", IN_ALL_EVENTS))] = "busybox";
	IN_CHILD(execv("d/true", arguments));
	drain(fd, "executed");
	MUST(unlink("d/true"));
	close(fd);
}

static void elsewhere(void)
{
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	labels[SHOW(inotify_add_watch(fd, "/dev/null", IN_ALL_EVENTS))] = "null";
	int f = (int)MUST(open("/dev/null", O_WRONLY));
	MUST(write(f, "x", 1));
	close(f);
	drain(fd, "a device");
	TRY(inotify_add_watch(fd, "/proc", IN_CREATE));
	TRY(inotify_add_watch(fd, "/proc/self/status", IN_CREATE));
	TRY(inotify_add_watch(fd, "/sys", IN_CREATE));
	close(fd);
	int ends[2];
	fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	MUST(mkfifo("d/fifo", 0644));
	labels[MUST(inotify_add_watch(fd, "d/fifo", IN_ALL_EVENTS))] = "fifo";
	ends[0] = (int)MUST(open("d/fifo", O_RDONLY | O_NONBLOCK));
	ends[1] = (int)MUST(open("d/fifo", O_WRONLY));
	MUST(write(ends[1], "x", 1));
	char byte;
	MUST(read(ends[0], &byte, 1));
	close(ends[0]);
	close(ends[1]);
	drain(fd, "a FIFO");
	MUST(unlink("d/fifo"));
	close(fd);
}

int main(void)
{
	MUST(chdir("/tmp"));
	MUST(mkdir("d", 0755));
	int fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	int d = watch(fd, "d", IN_ALL_EVENTS, "d");
	files(fd);
	names(fd);
	MUST(inotify_rm_watch(fd, d));
	close(fd);
	flags();
	limits_and_errors();
	blocking();
	elsewhere();
	programs();
	unmounting("tmpfs", "none", "");
	replaced();
	fflush(stdout);
	if (system("mkfs.ext2 /dev/vda >/dev/null 2>&1") == 0)
		unmounting("ext2", "/dev/vda", "");
	fd = (int)MUST(inotify_init1(IN_NONBLOCK));
	d = watch(fd, "d", IN_ALL_EVENTS | IN_ONLYDIR, "d");
	MUST(rmdir("d"));
	drain(fd, "the watched directory goes");
	SHOW(inotify_rm_watch(fd, d));
	return 0;
}
