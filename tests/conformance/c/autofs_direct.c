/* autofs, direct: a directory that is covered when somebody goes into it; the ioctls of its root. */
#include "autofs_case.h"
#include <sys/inotify.h>
#include <sys/swap.h>
#include <sys/xattr.h>

#define HERE "/tmp/autofs_direct"

static int root;

static long open_close(const char *path, int flags)
{
	int fd = open(path, flags, 0644);
	if (fd < 0)
		return -1;
	close(fd);
	return 7;
}

static long magic(const char *path)
{
	struct statfs f;
	return statfs(path, &f) ? -1 : f.f_type;
}

static long getxattr_of(const char *path)
{
	char value[10];
	return getxattr(path, "user.x", value, sizeof value);
}

static void mount_there(void)
{
	uint32_t token = packet();
	SHOW(mount("tmp", HERE, "tmpfs", 0, "mode=755"));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
}

static void fail(void)
{
	uint32_t token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
}

static void ioctls(void)
{
	int number = -1;
	unsigned long timeout = 600;
	SHOW(ioctl(root, AUTOFS_IOC_PROTOVER, &number));
	printf("version %d\n", number);
	SHOW(ioctl(root, AUTOFS_IOC_PROTOSUBVER, &number));
	printf("minor version %d\n", number);
	SHOW(ioctl(root, AUTOFS_IOC_SETTIMEOUT, &timeout));
	printf("timeout was %lu\n", timeout);
	timeout = 0;
	SHOW(ioctl(root, AUTOFS_IOC_SETTIMEOUT, &timeout));
	printf("timeout was %lu\n", timeout);
	number = -1;
	SHOW(ioctl(root, AUTOFS_IOC_ASKUMOUNT, &number));
	printf("may be unmounted: %d\n", number);
	SHOW(ioctl(root, AUTOFS_IOC_PROTOVER, 8L));
	SHOW(ioctl(root, AUTOFS_IOC_SETTIMEOUT, 8L));
	SHOW(ioctl(root, AUTOFS_IOC_ASKUMOUNT, 8L));
	SHOW(ioctl(root, _IO(AUTOFS_IOCTL, 0x5f), 0));
	SHOW(ioctl(root, _IO(AUTOFS_IOCTL, 0x68), 0));
	SHOW(ioctl(root, _IO(AUTOFS_IOCTL, 0x7f), 0));
	SHOW(ioctl(root, _IO(AUTOFS_IOCTL, 0x80), 0));
	SHOW(ioctl(root, _IO(0x94, 0x60), 0));
	SHOW(ioctl(root, AUTOFS_IOC_READY, 12345));
	SHOW(ioctl(root, AUTOFS_IOC_FAIL, 12345));
	struct autofs_packet_expire packet;
	SHOW(ioctl(root, AUTOFS_IOC_EXPIRE, &packet));
	SHOW(ioctl(root, AUTOFS_IOC_EXPIRE_MULTI, 8L));
}

static long as_stranger(int fd)
{
	int number;
	setresuid(1000, 1000, 1000);
	return ioctl(fd, AUTOFS_IOC_PROTOVER, &number);
}

static long as_member(int fd)
{
	int number;
	setpgid(0, getpgid(getppid()));
	setresuid(1000, 1000, 1000);
	return ioctl(fd, AUTOFS_IOC_PROTOVER, &number);
}

int main(void)
{
	struct stat s;
	struct statx x;
	MUST(mkdir(HERE, 0755));
	MUST(mkdir("/tmp/aside", 0755));
	int inotify = (int)MUST(inotify_init());
	MUST(mount_autofs(HERE, "direct"));
	root = (int)MUST(open(HERE, O_RDONLY));
	printf("-- ioctls\n");
	ioctls();
	VISITED(as_stranger(root));
	VISITED(as_member(root));
	int path_fd = (int)MUST(open(HERE, O_PATH));
	SHOW(ioctl(path_fd, AUTOFS_IOC_PROTOVER, &s));
	close(path_fd);

	printf("-- looked at\n");
	VISITED(stat(HERE, &s));
	VISITED(access(HERE, R_OK));
	VISITED(open_close(HERE, O_PATH));
	VISITED(syscall(SYS_statx, AT_FDCWD, HERE, AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x));
	VISITED(utimensat(AT_FDCWD, HERE, NULL, 0));
	VISITED(chown(HERE, 0, 0));
	CHECK(no_packet());
	printf("-- gone into\n");
	VISIT(chdir(HERE));
	fail();
	VISIT(open_close(HERE, O_RDONLY));
	fail();
	VISIT(open_close(HERE, O_PATH | O_DIRECTORY));
	fail();
	VISIT(open_close(HERE, O_RDWR | O_CREAT));
	fail();
	VISIT(open_close(HERE, O_TMPFILE | O_RDWR));
	fail();
	VISIT(stat(HERE "/", &s));
	fail();
	VISIT(stat(HERE "/.", &s));
	fail();
	VISIT(stat(HERE "/x", &s));
	fail();
	VISIT(mkdir(HERE "/x", 0755));
	fail();
	VISIT(magic(HERE));
	fail();
	VISIT(execl(HERE, "x", NULL));
	fail();
	VISIT(chroot(HERE));
	fail();
	VISIT(syscall(SYS_statx, AT_FDCWD, HERE, 0, STATX_BASIC_STATS, &x));
	fail();
	VISIT(mount(HERE, "/tmp/aside", NULL, MS_BIND, NULL));
	fail();
	VISITED(mount("tmp", HERE, "nonsense", 0, NULL));
	VISITED(mount(NULL, HERE, NULL, MS_PRIVATE, NULL));
	VISITED(rmdir(HERE));
	VISITED(unlink(HERE));
	VISITED(rename(HERE, "/tmp/new"));
	VISITED(mkdir(HERE, 0755));
	CHECK(no_packet());

	MUST(syscall(SYS_statx, AT_FDCWD, HERE, AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x));
	printf("attributes %llx of %llx\n", (unsigned long long)x.stx_attributes, (unsigned long long)x.stx_attributes_mask & 0x1000);
	printf("-- mounted\n");
	VISIT(magic(HERE));
	mount_there();
	visited();
	VISITED(magic(HERE));
	VISITED(stat(HERE "/x", &s));
	int number = -1;
	SHOW(ioctl(root, AUTOFS_IOC_ASKUMOUNT, &number));
	printf("may be unmounted: %d\n", number);
	SHOW(magic(HERE));
	MUST(fstat(root, &s));
	struct statfs f;
	MUST(fstatfs(root, &f));
	printf("root is still of type %lx\n", (long)f.f_type);
	VISITED(umount(HERE));
	VISITED(stat(HERE, &s));
	printf("-- and again\n");
	VISIT(open_close(HERE "/", O_RDONLY));
	mount_there();
	visited();
	SHOW(umount(HERE));

	printf("-- a tree below: it is no trap any more\n");
	SHOW(mkdir(HERE "/sub", 0755));
	VISITED(magic(HERE));
	VISITED(open_close(HERE, O_RDONLY));
	VISITED(open_close(HERE "/sub", O_RDONLY));
	VISITED(stat(HERE "/none", &s));
	CHECK(no_packet());
	SHOW(rmdir(HERE "/sub"));
	printf("-- a binding of it\n");
	MUST(mount(HERE, "/tmp/aside", NULL, MS_BIND, NULL));
	MUST(mount(NULL, HERE, NULL, MS_PRIVATE, NULL));
	VISITED(stat("/tmp/aside", &s));
	VISIT(magic("/tmp/aside"));
	fail();
	SHOW(umount("/tmp/aside"));
	printf("-- from inside\n");
	VISITED((fchdir(root), stat(".", &s)));
	VISITED((fchdir(root), stat("x", &s)));
	VISITED(openat(root, ".", O_RDONLY));
	VISITED(openat(root, "", O_RDONLY));
	CHECK(no_packet());
	printf("-- with newer calls\n");
	VISIT(syscall(SYS_open_tree, AT_FDCWD, HERE, 1));
	fail();
	VISITED(syscall(SYS_open_tree, AT_FDCWD, HERE, 1 | AT_NO_AUTOMOUNT));
	VISITED(syscall(SYS_open_tree, AT_FDCWD, HERE, AT_NO_AUTOMOUNT));
	VISIT(syscall(SYS_open_tree, AT_FDCWD, HERE, 0));
	fail();
	VISIT(syscall(SYS_fspick, AT_FDCWD, HERE, 0));
	fail();
	VISITED(syscall(SYS_fspick, AT_FDCWD, HERE, 4));
	struct { uint64_t set, clear, propagation, fd; } change = { 0, 0, MS_PRIVATE, 0 };
	VISIT(syscall(SYS_mount_setattr, AT_FDCWD, HERE, 0, &change, sizeof change));
	fail();
	VISITED(syscall(SYS_mount_setattr, AT_FDCWD, HERE, AT_NO_AUTOMOUNT, &change, sizeof change));
	VISITED(syscall(SYS_move_mount, AT_FDCWD, HERE, AT_FDCWD, "/tmp/none", 0));
	VISIT(syscall(SYS_move_mount, AT_FDCWD, HERE, AT_FDCWD, "/tmp/none", 2));
	fail();
	VISITED(syscall(SYS_name_to_handle_at, AT_FDCWD, HERE, NULL, NULL, 0));
	VISITED(truncate(HERE, 0));
	VISITED(mount("/tmp/none", HERE, NULL, MS_MOVE, NULL));
	VISITED(mount(HERE, "/tmp/none", NULL, MS_MOVE, NULL));
	VISIT(syscall(SYS_pivot_root, HERE, HERE));
	fail();
	VISIT(swapon(HERE, 0));
	fail();
	VISITED(syscall(SYS_quotactl, 0x80000700, HERE, 0, NULL));
	VISITED(getxattr_of(HERE));
	VISITED(syscall(SYS_inotify_add_watch, inotify, HERE, 2));
	struct { uint64_t flags, mode, resolve; } how = { 0, 0, 0x20 };
	VISITED(syscall(SYS_openat2, AT_FDCWD, HERE, &how, sizeof how));
	how.resolve = 1;
	VISITED(syscall(SYS_openat2, AT_FDCWD, HERE, &how, sizeof how));
	CHECK(no_packet());

	printf("-- the end\n");
	VISIT(chdir(HERE));
	packet();
	MUST(ioctl(root, AUTOFS_IOC_CATATONIC, 0));
	visited();
	VISITED(chdir(HERE));
	VISITED(magic(HERE));
	VISITED(stat(HERE "/x", &s));
	close(root);
	SHOW(umount(HERE));
	printf("-- a lazy end\n");
	MUST(mount_autofs(HERE, "direct"));
	VISIT(chdir(HERE));
	pid_t stuck = visitor;
	packet();
	SHOW(umount(HERE));
	SHOW(umount2(HERE, MNT_DETACH));
	VISITED(chdir(HERE));
	kill(stuck, SIGKILL);
	return 0;
}
