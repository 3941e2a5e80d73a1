/* Landlock and files: each right, alone and by several layers, on the way up to the root, through mounts and descriptors. */
#include "landlock_case.h"
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <mqueue.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ROOT "/tmp/lf"

static void prepare(void)
{
	mkdir(ROOT, 0777);
	MUST(mount("lf", ROOT, "tmpfs", 0, "mode=777"));
	MUST(chdir(ROOT));
	mkdir("a", 0777);
	mkdir("a/b", 0777);
	mkdir("a/b/c", 0777);
	mkdir("d", 0777);
	mkdir("m", 0777);
	put_file("a/x", "x", 0666);
	put_file("a/b/y", "y", 0666);
	put_file("a/b/c/z", "z", 0666);
	put_file("d/w", "w", 0666);
	MUST(symlink("../a/b/y", "d/link"));
	MUST(mkfifo("a/fifo", 0666));
	MUST(mknod("a/null", S_IFCHR | 0666, 1 << 8 | 3));
	MUST(mknod("a/tty", S_IFCHR | 0666, 5 << 8));
	MUST(mount("m", "m", "tmpfs", 0, "mode=777"));
	put_file("m/in", "i", 0666);
}

static void finish(void)
{
	MUST(chdir("/"));
	umount2(ROOT "/m", MNT_DETACH);
	umount2(ROOT, MNT_DETACH);
}

static void each_right(uint64_t right)
{
	struct sockaddr_un name = {AF_UNIX, "d/socket"};
	struct stat s;
	printf("-- right %#x\n", (unsigned)right);
	enter(right, 0, 0);
	TRY(open("a/x", O_RDONLY));
	TRY(open("a/x", O_WRONLY));
	TRY(open("a/x", O_RDWR));
	TRY(open("a/x", O_PATH));
	TRY(open("a/x", O_RDONLY | O_TRUNC));
	TRY(open("a/x", O_WRONLY | O_TRUNC));
	TRY(open("a", O_RDONLY));
	TRY(open("a", O_PATH));
	TRY(open("a/fifo", O_RDWR | O_NONBLOCK));
	TRY(open("a/null", O_RDWR));
	TRY(open("d/link", O_RDONLY));
	TRY(open("d/new", O_WRONLY | O_CREAT, 0600));
	TRY(open("d/w", O_WRONLY | O_CREAT | O_EXCL, 0600));
	TRY(access("d/new", F_OK));
	TRY(open("d", O_RDWR | O_TMPFILE, 0600));
	TRY(open("d", O_WRONLY | O_TMPFILE, 0600));
	TRY(truncate("a/x", 0));
	TRY(mkdir("d/dir", 0700));
	TRY(mkdir("a/b", 0700));
	TRY(mknod("d/reg", S_IFREG | 0600, 0));
	TRY(mknod("d/plain", 0600, 0));
	TRY(mknod("d/fifo", S_IFIFO | 0600, 0));
	TRY(mknod("d/sock", S_IFSOCK | 0600, 0));
	TRY(mknod("d/char", S_IFCHR | 0600, 1 << 8 | 3));
	TRY(mknod("d/white", S_IFCHR | 0600, 0));
	TRY(mknod("d/block", S_IFBLK | 0600, 7 << 8));
	TRY(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, sizeof name));
	TRY(symlink("x", "d/sym"));
	TRY(link("a/x", "a/x2"));
	TRY(link("a/x", "d/x2"));
	TRY(rename("a/x", "a/x3"));
	TRY(rename("a/b/y", "d/y"));
	TRY(rename("a/b/c", "d/c"));
	TRY(unlink("d/w"));
	TRY(unlink("d"));
	TRY(unlink("d/missing"));
	TRY(rmdir("a/b/c"));
	TRY(rmdir("d/w"));
	TRY(rmdir("d/missing"));
	TRY(stat("a/x", &s));
	TRY(chmod("a", 0777));
	TRY(chdir("d"));
	TRY(access("../a/fifo", R_OK | W_OK));
	TRY(umount(ROOT "/m"));
	TRY(mount("x", ROOT "/m", "tmpfs", 0, 0));
	TRY(mount("x", "/missing", "tmpfs", 0, 0));
	TRY(mount("", ROOT "/m", "", MS_REMOUNT | MS_BIND, 0));
	TRY(syscall(SYS_pivot_root, ROOT "/m", ROOT "/m"));
	TRY(syscall(SYS_move_mount, AT_FDCWD, ROOT "/m", AT_FDCWD, "/", 0));
}

/* Rules of one layer: the rights add up on the way. */
static void up_the_tree(void)
{
	int set = create(READ_FILE | WRITE_FILE | READ_DIR | TRUNCATE, 0, 0);
	MUST(allow(set, "a/b", READ_FILE));
	MUST(allow(set, "a", WRITE_FILE));
	MUST(allow(set, "d/w", READ_FILE));
	MUST(allow(set, "m", READ_FILE));
	int before = (int)MUST(open("a/b", O_PATH)), opened = (int)MUST(open("a/x", O_RDWR));
	MUST(restrict_self(set));
	TRY(open("a/b/y", O_RDONLY));
	TRY(open("a/b/y", O_RDWR));
	TRY(open("a/b/c/z", O_RDWR));
	TRY(open("a/x", O_RDONLY));
	TRY(open("a/x", O_WRONLY));
	TRY(open("a/b", O_RDONLY));
	TRY(open("d/w", O_RDONLY));
	TRY(open("d/w", O_WRONLY));
	TRY(open("d/link", O_RDONLY));
	TRY(open("m/in", O_RDONLY));
	TRY(open("m", O_RDONLY));
	TRY(openat(before, "y", O_RDONLY));
	TRY(openat(before, "../x", O_RDONLY));
	TRY(ftruncate(opened, 5));
	int written = (int)TRY(open("a/x", O_WRONLY));
	TRY(ftruncate(written, 3));
	TRY(fallocate(written, 0, 0, 100));
	char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", opened);
	TRY(open(link, O_RDONLY));
	TRY(open(link, O_WRONLY));
	TRY(open("/proc/self/exe", O_RDONLY));
	TRY(open("/proc/self/ns/uts", O_RDONLY));
	int ends[2];
	MUST(pipe(ends));
	snprintf(link, sizeof link, "/proc/self/fd/%d", ends[0]);
	TRY(open(link, O_RDONLY));
	int memory = memfd_create("m", 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", memory);
	TRY(open(link, O_RDWR));
	TRY(ftruncate(memory, 100));
	TRY(open("/proc/self/status", O_RDONLY));
	TRY(open("/dev/null", O_RDONLY));
	/* A moved file is judged by where it is. */
	TRY(rename("a/b/y", "a/b/y2"));
	TRY(open("a/b/y2", O_RDONLY));
}

static void layers(void)
{
	int set = create(READ_FILE | WRITE_FILE, 0, 0);
	MUST(allow(set, "a", READ_FILE | WRITE_FILE));
	MUST(restrict_self(set));
	TRY(open("a/b/y", O_RDWR));
	TRY(open("d/w", O_RDONLY));
	set = create(READ_FILE, 0, 0);
	MUST(allow(set, "a/b", READ_FILE));
	MUST(allow(set, "d", READ_FILE));
	MUST(restrict_self(set));
	TRY(open("a/b/y", O_RDWR));
	TRY(open("a/x", O_RDONLY));
	TRY(open("a/x", O_WRONLY));
	TRY(open("d/w", O_RDONLY));
	set = create(READ_DIR, 0, 0);
	IN_CHILD({
		MUST(restrict_self(set));
		TRY(open("a/b/y", O_RDWR));
		TRY(open("a", O_RDONLY));
		IN_CHILD(TRY(open("a", O_RDONLY)));
	});
	TRY(open("a", O_RDONLY));
	/* What is added later changes nothing. */
	set = create(READ_FILE, 0, 0);
	int again = dup(set);
	MUST(restrict_self(set));
	MUST(allow(again, "a", READ_FILE));
	TRY(open("a/b/y", O_RDONLY));
}

static void devices(void)
{
	int value, set = create(IOCTL_DEV, 0, 0), outside = (int)MUST(open("a/null", O_RDWR));
	MUST(allow(set, "d", IOCTL_DEV));
	MUST(mknod("d/null", S_IFCHR | 0666, 1 << 8 | 3));
	MUST(restrict_self(set));
	int denied = (int)MUST(open("a/null", O_RDWR)), allowed = (int)MUST(open("d/null", O_RDWR));
	int file = (int)MUST(open("a/x", O_RDWR)), fifo = (int)MUST(open("a/fifo", O_RDWR));
	int fds[] = {outside, denied, allowed, file, fifo};
	unsigned long commands[] = {FIOCLEX, FIONCLEX, FIONBIO, FIOASYNC, FIOQSIZE, FIFREEZE, FITHAW, FS_IOC_FIEMAP, FIGETBSZ,
		FICLONE, FICLONERANGE, FIDEDUPERANGE, FIONREAD, 0x5401, 0x80045430, 0x1234, FS_IOC_GETFLAGS, 0x80111500, 0x80811501};
	for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
		for (unsigned j = 0; j < sizeof commands / sizeof *commands; j++) {
			char room[4096] = "";
			if (i > 2 && commands[j] != FIONREAD && commands[j] != 0x5401)
				continue;
			int denied = ioctl(fds[i], commands[j], room) < 0 && errno == EACCES;
			printf("%u %#lx: %s\n", i, commands[j], denied ? "denied" : "let through");
		}
	(void)value;
}

static void programs(const char *self)
{
	char *arguments[] = {(char *)self, "x", NULL}, *environment[] = {NULL};
	uint64_t kinds[] = {EXECUTE, READ_FILE, EXECUTE | READ_FILE};
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 4; j++) {
			printf("-- %#x, %d\n", (unsigned)kinds[i], j);
			IN_CHILD({
				int set = create(EXECUTE | READ_FILE, 0, 0);
				MUST(allow(set, j == 0 ? "/" : j == 1 ? self : j == 2 ? "a" : "d", kinds[i]));
				MUST(restrict_self(set));
				execve(self, arguments, environment);
				puts(error_name(errno));
			});
		}
	IN_CHILD({
		enter(MAKE_DIR, 0, 0);
		execve(self, arguments, environment);
	});
}

int main(int count, char **arguments)
{
	if (count > 1) {
		SHOW(mkdir(ROOT "/new", 0700));
		return 7;
	}
	char self[512] = "";
	MUST(readlink("/proc/self/exe", self, sizeof self - 1));
	for (unsigned right = 1; right <= IOCTL_DEV; right *= 2) {
		prepare();
		IN_CHILD(each_right(right));
		finish();
	}
	prepare();
	IN_CHILD(enter(0, BIND, 0); TRY(rename("a/b/y", "d/y")); TRY(mount("x", "m", "tmpfs", 0, 0)); TRY(umount("m"));
		TRY(syscall(SYS_move_mount, AT_FDCWD, "m", AT_FDCWD, "a", 0)););
	finish();
	prepare();
	puts("== up the tree");
	IN_CHILD(up_the_tree());
	finish();
	prepare();
	puts("== layers");
	IN_CHILD(layers());
	finish();
	prepare();
	puts("== devices");
	IN_CHILD(devices());
	puts("== programs");
	programs(self);
	finish();
	return 0;
}
