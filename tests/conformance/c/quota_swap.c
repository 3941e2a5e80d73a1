/* quotactl(2) and quotactl_fd(2) where no file system has quotas; swapon(2) and swapoff(2) of what is no swap area. */
#include "case.h"
#include <sys/mount.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#define SYNC 0x800001
#define ON 0x800002
#define GET_FORMAT 0x800004
#define GET_QUOTA 0x800007
#define SET_QUOTA 0x800008
#define COMMAND(what, type) ((what) << 8 | (type))

static long quota(unsigned command, const char *special, int id, void *where)
{
	return syscall(SYS_quotactl, command, special, id, where);
}

static long quota_fd(int fd, unsigned command, int id, void *where)
{
	return syscall(SYS_quotactl_fd, fd, command, id, where);
}

static void try_quotas(void)
{
	char buffer[256];
	int directory = open(".", O_RDONLY), path = open(".", O_PATH), read_only = open("ro", O_RDONLY), ends[2];
	pipe(ends);
	SHOW(quota(COMMAND(SYNC, 0), NULL, 0, NULL));
	SHOW(quota(COMMAND(SYNC, 2), NULL, 0, NULL));
	SHOW(quota(COMMAND(SYNC, 3), NULL, 0, NULL));
	SHOW(quota(COMMAND(GET_FORMAT, 0), NULL, 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 3), "missing", 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 0), "missing", 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 0), "", 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 0), (char *)-1l, 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 0), "file", 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 0), "file/x", 0, buffer));
	SHOW(quota(COMMAND(SYNC, 0), "device", 0, buffer));
	SHOW(quota(COMMAND(ON, 0), "device", 0, "missing"));
	SHOW(quota(COMMAND(0, 0), "device", 0, buffer));
	SHOW(quota(COMMAND(GET_FORMAT, 0), "/dev/null", 0, buffer));
	int fds[] = {-1, 99, directory, path, read_only, ends[0]};
	unsigned commands[] = {SYNC, ON, GET_FORMAT, GET_QUOTA, SET_QUOTA, 0, 0x5803, 0x5804};
	for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
		for (unsigned j = 0; j < sizeof commands / sizeof *commands; j++) {
			printf("%u %#x: ", i, commands[j]);
			SHOW(quota_fd(fds[i], COMMAND(commands[j], 0), 0, buffer));
		}
	SHOW(quota_fd(99, COMMAND(SYNC, 3), 0, buffer));
	SHOW(quota_fd(directory, COMMAND(SYNC, 3), 0, buffer));
	SHOW(quota_fd(read_only, COMMAND(SET_QUOTA, 3), 0, buffer));
}

static long on(const char *path, int flags)
{
	return syscall(SYS_swapon, path, flags);
}

static long off(const char *path)
{
	return syscall(SYS_swapoff, path);
}

static void try_swap(void)
{
	const char *paths[] = {"file", "area", "missing", "file/x", "", ".", "fifo", "/dev/null", "/dev/zero", "device", NULL, "ro/file"};
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
		printf("%s: ", paths[i] ? paths[i] : "nowhere");
		SHOW(on(paths[i], 0));
		SHOW(on(paths[i], 0x7fff | 0x8000));
		SHOW(on(paths[i], 0x80000));
		SHOW(off(paths[i]));
	}
}

int main(void)
{
	mkdir("/tmp/quota", 0755);
	MUST(chdir("/tmp/quota"));
	MUST(mount("q", ".", "tmpfs", 0, 0));
	MUST(chdir("/tmp/quota"));
	mkdir("ro", 0755);
	MUST(mount("ro", "ro", "tmpfs", 0, 0));
	put_file("ro/file", "x", 0666);
	MUST(mount("ro", "ro", "tmpfs", MS_REMOUNT | MS_RDONLY, 0));
	put_file("file", "x", 0666);
	char area[5 * PAGE] = "";
	area[1024] = 1;
	area[1028] = 4;
	memcpy(area + PAGE - 10, "SWAPSPACE2", 10);
	int file = (int)MUST(open("area", O_CREAT | O_WRONLY, 0666));
	MUST(write(file, area, sizeof area));
	close(file);
	MUST(mkfifo("fifo", 0666));
	MUST(mknod("device", S_IFBLK | 0666, 250 << 8));
	puts("== as root");
	try_quotas();
	try_swap();
	puts("== as a user");
	IN_CHILD({ MUST(setuid(1000)); try_quotas(); try_swap(); });
	MUST(chdir("/"));
	umount2("/tmp/quota/ro", MNT_DETACH);
	umount2("/tmp/quota", MNT_DETACH);
	return 0;
}
