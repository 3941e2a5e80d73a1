/* /dev/autofs: how an automounter finds its mounts again, and what it says and asks through the device. */
#include "autofs_case.h"

#define HERE "/tmp/autofs_device"
#define WHERE "/tmp/device_direct"

static int device;
static int target = -1;

static union {
	struct autofs_dev_ioctl c;
	char room[8192];
} u;

static struct autofs_dev_ioctl *command(const char *path)
{
	memset(&u, 0, sizeof u);
	init_autofs_dev_ioctl(&u.c);
	u.c.ioctlfd = target;
	if (path) {
		strcpy(u.c.path, path);
		u.c.size += strlen(path) + 1;
	}
	return &u.c;
}

#define ASK(name, path, ...) ({ \
	struct autofs_dev_ioctl *c = command(path); \
	(void)c; \
	__VA_ARGS__; \
	errno = 0; \
	long result_ = ioctl(device, AUTOFS_DEV_IOCTL_##name, c); \
	show_result(#name " " #path " " #__VA_ARGS__, result_, 1); \
	result_; \
})

static long chdir_to(const char *path)
{
	return chdir(path);
}

static void versions(void)
{
	ASK(VERSION, NULL);
	printf("version %u.%u size %u fd %d\n", u.c.ver_major, u.c.ver_minor, u.c.size, u.c.ioctlfd);
	ASK(VERSION, NULL, c->ver_minor = 0);
	printf("version %u.%u\n", u.c.ver_major, u.c.ver_minor);
	ASK(VERSION, NULL, c->ver_minor = 2);
	printf("version %u.%u\n", u.c.ver_major, u.c.ver_minor);
	ASK(VERSION, NULL, c->ver_major = 0);
	ASK(VERSION, NULL, c->ver_major = 2);
	printf("version %u.%u\n", u.c.ver_major, u.c.ver_minor);
	ASK(VERSION, NULL, c->size = 0);
	ASK(VERSION, NULL, c->size = 23);
	ASK(VERSION, NULL, c->size = 25);
	ASK(VERSION, NULL, c->size = 24 + 4096);
	ASK(VERSION, NULL, c->size = 24 + 4097);
	ASK(VERSION, "/tmp");
	ASK(VERSION, "tmp");
	ASK(VERSION, "/tmp", c->size--);
	ASK(VERSION, "/tmp", c->size += 5);
	ASK(VERSION, NULL, c->size = 24 + 4096, c->path[0] = '/', c->path[1] = 'x');
	SHOW(ioctl(device, AUTOFS_DEV_IOCTL_VERSION, 8L));
	SHOW(ioctl(device, _IOWR(AUTOFS_IOCTL, 0x70, struct autofs_dev_ioctl), command(NULL)));
	SHOW(ioctl(device, _IOWR(AUTOFS_IOCTL, 0x7f, struct autofs_dev_ioctl), command(NULL)));
	SHOW(ioctl(device, _IOWR(AUTOFS_IOCTL, 0xff, struct autofs_dev_ioctl), command(NULL)));
	SHOW(ioctl(device, _IOWR(0x94, 0x71, struct autofs_dev_ioctl), command(NULL)));
	SHOW(ioctl(device, _IO(AUTOFS_IOCTL, 0x71), command(NULL)));
	SHOW(ioctl(device, AUTOFS_IOC_PROTOVER, command(NULL)));
	char byte;
	SHOW(read(device, &byte, 1));
	SHOW(write(device, &byte, 1));
	int writable = (int)MUST(open("/dev/autofs", O_RDWR));
	SHOW(write(writable, &byte, 1));
	close(writable);
	SHOW(lseek(device, 0, SEEK_SET));
	struct pollfd ready = { device, POLLIN | POLLOUT, 0 };
	SHOW(poll(&ready, 1, 0));
	printf("events %#x\n", ready.revents);
}

static long as_stranger(int what)
{
	setresuid(1000, 1000, 1000);
	return ioctl(device, what, command(NULL));
}

static void open_mount(const char *path, dev_t number)
{
	target = -1;
	struct autofs_dev_ioctl *c = command(path);
	c->openmount.devid = (uint32_t)number;
	errno = 0;
	long result = ioctl(device, AUTOFS_DEV_IOCTL_OPENMOUNT, c);
	show_result("OPENMOUNT", result, 1);
	if (result == 0)
		target = u.c.ioctlfd;
}

static void is_mount_point(const char *path, int fd, uint32_t type, dev_t expected)
{
	struct autofs_dev_ioctl *c = command(path);
	c->ioctlfd = fd;
	c->ismountpoint.in.type = type;
	errno = 0;
	long result = ioctl(device, AUTOFS_DEV_IOCTL_ISMOUNTPOINT, c);
	printf("is a mount point, %s with %s of type %u: %ld %s, device %s, magic %x\n", path, fd < 0 ? "no mount" : "a mount", type, result,
	       result < 0 ? error_name(errno) : "", c->ismountpoint.out.devid == expected ? "expected" : c->ismountpoint.out.devid ? "other" : "none",
	       c->ismountpoint.out.magic);
}

static void mount_points(const char *path, dev_t expected)
{
	for (uint32_t type = 0; type < 5; type++)
		is_mount_point(path, -1, type, expected);
	is_mount_point(path, target, 0, expected);
}

int main(void)
{
	struct stat s, direct, tmp, plain;
	uint32_t token;
	MUST(mkdir(HERE, 0755));
	MUST(mkdir(WHERE, 0755));
	MUST(stat("/dev/autofs", &s));
	printf("/dev/autofs: mode %o, device %d:%d, owner %d %d\n", s.st_mode, major(s.st_rdev), minor(s.st_rdev), s.st_uid, s.st_gid);
	device = (int)MUST(open("/dev/autofs", O_RDONLY));
	printf("-- versions\n");
	versions();
	chmod("/dev/autofs", 0666);
	VISITED(as_stranger(AUTOFS_DEV_IOCTL_VERSION));
	VISITED(as_stranger(AUTOFS_DEV_IOCTL_PROTOVER));
	VISITED(as_stranger(AUTOFS_DEV_IOCTL_OPENMOUNT));

	printf("-- which mount\n");
	MUST(mount_autofs(HERE, "indirect"));
	int old_packets = packets;
	MUST(mount_autofs(WHERE, "direct"));
	MUST(stat(HERE, &s));
	MUST(stat(WHERE, &direct));
	MUST(stat("/tmp", &plain));
	ASK(PROTOVER, NULL);
	target = device;
	ASK(PROTOVER, NULL);
	target = 700;
	ASK(PROTOVER, NULL);
	target = (int)MUST(open("/tmp", O_RDONLY));
	ASK(PROTOVER, NULL);
	ASK(READY, NULL);
	close(target);
	target = -1;
	ASK(OPENMOUNT, NULL);
	open_mount(HERE, direct.st_dev);
	open_mount("/tmp", s.st_dev);
	open_mount("/tmp/none", s.st_dev);
	open_mount(HERE, s.st_dev);
	int indirect = target;
	printf("flags of the descriptor %#x %#x\n", fcntl(target, F_GETFL), fcntl(target, F_GETFD));
	ASK(PROTOVER, NULL);
	printf("version %u\n", u.c.protover.version);
	ASK(PROTOSUBVER, NULL);
	printf("minor version %u\n", u.c.protosubver.sub_version);
	int opened = (int)MUST(open(WHERE, O_RDONLY));
	target = opened;
	ASK(PROTOVER, NULL);
	target = (int)MUST(open(WHERE, O_PATH));
	ASK(PROTOVER, NULL);
	close(target);
	close(opened);
	target = -1;
	MUST(mount("tmp", WHERE, "tmpfs", 0, NULL));
	MUST(stat(WHERE, &tmp));
	open_mount(WHERE, direct.st_dev);
	ASK(PROTOVER, NULL);
	printf("version %u\n", u.c.protover.version);
	close(target);
	open_mount(WHERE, tmp.st_dev);
	open_mount(WHERE, direct.st_dev);
	int before = target;
	open_mount(WHERE "/", direct.st_dev);
	close(target);
	MUST(mkdir(WHERE "/sub", 0755));
	open_mount(WHERE "/sub", direct.st_dev);
	target = before;

	printf("-- mount points\n");
	mount_points("/tmp", plain.st_dev);
	mount_points(WHERE, tmp.st_dev);
	mount_points(WHERE "/sub", tmp.st_dev);
	mount_points("/tmp/none", 0);
	MUST(umount(WHERE));
	mount_points(WHERE, direct.st_dev);
	mount_points(HERE, s.st_dev);
	ASK(ISMOUNTPOINT, NULL);

	printf("-- may it be unmounted\n");
	ASK(ASKUMOUNT, NULL, c->askumount.may_umount = 7);
	printf("%u\n", u.c.askumount.may_umount);
	MUST(mount("tmp", WHERE, "tmpfs", 0, NULL));
	ASK(ASKUMOUNT, NULL);
	printf("%u\n", u.c.askumount.may_umount);
	MUST(umount(WHERE));

	printf("-- answers\n");
	ASK(READY, NULL, c->ready.token = 77777);
	ASK(FAIL, NULL, c->fail.token = 77777);
	int statuses[] = { -ENOENT, -EIO, -EACCES, 0, ENOENT, 5, -4000, -ETIMEDOUT };
	for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		VISIT(chdir_to(WHERE));
		token = packet();
		struct autofs_dev_ioctl *c = command(NULL);
		c->fail.token = token;
		c->fail.status = statuses[i];
		long result = ioctl(device, AUTOFS_DEV_IOCTL_FAIL, c);
		visited();
		printf("status %d: %ld\n", statuses[i], result);
		struct pollfd ready = { packets, POLLIN, 0 };
		while (poll_for(&ready, 20) == 1) {
			c->fail.token = packet();
			printf("again: %d\n", ioctl(device, AUTOFS_DEV_IOCTL_FAIL, c));
		}
	}
	printf("-- who asked\n");
	VISIT((setresgid(1001, 1001, 1001), setresuid(1000, 1000, 1000), chdir_to(WHERE)));
	token = packet();
	MUST(mount("tmp", WHERE, "tmpfs", 0, NULL));
	struct autofs_dev_ioctl *r = command(NULL);
	r->ready.token = token;
	MUST(ioctl(device, AUTOFS_DEV_IOCTL_READY, r));
	visited();
	ASK(REQUESTER, WHERE);
	printf("requester %d %d\n", u.c.requester.uid, u.c.requester.gid);
	ASK(REQUESTER, "/tmp");
	printf("requester %d %d\n", u.c.requester.uid, u.c.requester.gid);
	ASK(REQUESTER, HERE);
	printf("requester %d %d\n", u.c.requester.uid, u.c.requester.gid);
	ASK(REQUESTER, NULL);
	MUST(umount(WHERE));
	ASK(REQUESTER, WHERE);
	printf("requester %d %d\n", u.c.requester.uid, u.c.requester.gid);

	printf("-- of an indirect one\n");
	int direct_fd = target, direct_packets = packets;
	packets = old_packets;
	target = indirect;
	VISIT((setresgid(1001, 1001, 1001), setresuid(1000, 1000, 1000), chdir_to(HERE "/name")));
	token = packet();
	MUST(mkdir(HERE "/name", 0755));
	MUST(mount("tmp", HERE "/name", "tmpfs", 0, NULL));
	r = command(NULL);
	r->ready.token = token;
	MUST(ioctl(device, AUTOFS_DEV_IOCTL_READY, r));
	visited();
	ASK(REQUESTER, HERE "/name");
	printf("requester %d %d\n", u.c.requester.uid, u.c.requester.gid);
	ASK(REQUESTER, HERE);
	printf("requester %d %d\n", u.c.requester.uid, u.c.requester.gid);
	MUST(stat(HERE "/name", &tmp));
	mount_points(HERE "/name", tmp.st_dev);
	mount_points(HERE, s.st_dev);
	umount(HERE "/name");

	printf("-- time-outs\n");
	target = direct_fd;
	packets = direct_packets;
	ASK(TIMEOUT, NULL, c->timeout.timeout = 300);
	printf("was %llu\n", (unsigned long long)u.c.timeout.timeout);
	ASK(TIMEOUT, NULL, c->timeout.timeout = 10);
	printf("was %llu\n", (unsigned long long)u.c.timeout.timeout);
	ASK(TIMEOUT, NULL, c->timeout.timeout = ~0ull);
	printf("was %llu\n", (unsigned long long)u.c.timeout.timeout);
	ASK(TIMEOUT, NULL, c->timeout.timeout = 10);
	printf("was %lld\n", (unsigned long long)u.c.timeout.timeout);

	printf("-- another pipe\n");
	int ends[2];
	MUST(pipe2(ends, O_NONBLOCK));
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = ends[1]);
	ASK(CATATONIC, NULL);
	ASK(CATATONIC, NULL);
	char line[300];
	FILE *mounts = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, mounts))
		if (strstr(line, WHERE)) {
			char *group = strstr(line, "pgrp=");
			strsep(&group, ",");
			printf("%.47s … %s", line, group);
		}
	fclose(mounts);
	VISITED(chdir_to(WHERE));
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = -1);
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = 700);
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = device);
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = ends[0]);
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = ends[1]);
	printf("flags of the pipe: %#x\n", fcntl(ends[1], F_GETFL));
	ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = ends[1]);
	packets = ends[0];
	VISIT(chdir_to(WHERE));
	token = packet();
	r = command(NULL);
	r->fail.token = token;
	r->fail.status = -EPERM;
	MUST(ioctl(device, AUTOFS_DEV_IOCTL_FAIL, r));
	visited();
	printf("-- another automounter\n");
	ASK(CATATONIC, NULL);
	fflush(stdout);
	pid_t other = (pid_t)MUST(fork());
	if (other == 0) {
		setpgid(0, 0);
		ASK(SETPIPEFD, NULL, c->setpipefd.pipefd = ends[1]);
		SHOW(chdir(WHERE));
		VISIT(chdir_to(WHERE));
		token = packet();
		r = command(NULL);
		r->fail.token = token;
		r->fail.status = -EXDEV;
		MUST(ioctl(device, AUTOFS_DEV_IOCTL_FAIL, r));
		visited();
		ASK(CATATONIC, NULL);
		fflush(stdout);
		_exit(0);
	}
	show_end(other);
	printf("-- closed\n");
	ASK(CLOSEMOUNT, NULL);
	SHOW(fcntl(target, F_GETFD));
	ASK(CLOSEMOUNT, NULL);
	target = indirect;
	ASK(CLOSEMOUNT, NULL);
	SHOW(umount(WHERE));
	SHOW(umount(HERE));
	return 0;
}
