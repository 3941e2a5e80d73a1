/* Covers: quotactl(2) and quotactl_fd(2) for a disk whose file system could have quotas, but has none turned on, and no format of them is known. */
#include "case.h"
#include <linux/quota.h>
#include <sys/mount.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#define COMMAND(what, type) ((what) << 8 | (type))

static const unsigned commands[] = {
	Q_SYNC, Q_QUOTAON, Q_QUOTAOFF, Q_GETFMT, Q_GETINFO, Q_SETINFO, Q_GETQUOTA, Q_SETQUOTA, Q_GETNEXTQUOTA, 0x5801, 0x5802, 0x5803, 0x5804, 0x5805, 0x5806,
	0x5807, 0x5808, 0x5809, 0, 0x80000a, 0x5800, 0x580a,
};
static unsigned char zeros[512];

static const char *answer(long result)
{
	return result == -1 ? error_name(errno) : "ok";
}

static void ask(void)
{
	int fd = (int)MUST(open("/mnt", O_RDONLY));
	for (unsigned type = 0; type < 4; type++)
		for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
			unsigned command = COMMAND(commands[i], type);
			memset(zeros, 0, sizeof zeros);
			printf("%#x of type %u: %s", commands[i], type, answer(syscall(SYS_quotactl, command, "/dev/vda", 0, zeros)));
			printf(", of 1000 %s", answer(syscall(SYS_quotactl, command, "/dev/vda", 1000, zeros)));
			printf(", with nothing %s", answer(syscall(SYS_quotactl, command, "/dev/vda", 0, 0)));
			printf(", nobody's %s", answer(syscall(SYS_quotactl, command, "/dev/vda", -1, zeros)));
			printf(", nowhere %s", answer(syscall(SYS_quotactl, command, 0, 0, zeros)));
			zeros[0] = 1;
			printf(", a version %s", answer(syscall(SYS_quotactl, command, "/dev/vda", 0, zeros)));
			zeros[0] = 0;
			printf(", by descriptor %s", answer(syscall(SYS_quotactl_fd, fd, command, 0, zeros)));
			printf(", with nothing %s", answer(syscall(SYS_quotactl_fd, fd, command, 0, 0)));
			puts("");
		}
	close(fd);
}

static void turn_on(void)
{
	static const char *const files[] = { "/mnt/quota", "/mnt/absent", "/mnt/directory", "/tmp/quota-elsewhere", "", "/mnt/quota/x", "/dev/vda" };
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
		for (unsigned format = 0; format < 6; format++)
			printf("format %u in '%s': %s\n", format, files[i], answer(syscall(SYS_quotactl, COMMAND(Q_QUOTAON, 0), "/dev/vda", format, files[i])));
	printf("group's: %s\n", answer(syscall(SYS_quotactl, COMMAND(Q_QUOTAON, 1), "/dev/vda", 2, "/mnt/quota")));
	printf("projects': %s\n", answer(syscall(SYS_quotactl, COMMAND(Q_QUOTAON, 2), "/dev/vda", 2, "/mnt/quota")));
}

int main(void)
{
	MUST(system("mke2fs -F -b 1024 -m 0 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	put_file("/mnt/quota", "text", 0644);
	put_file("/tmp/quota-elsewhere", "text", 0644);
	MUST(mkdir("/mnt/directory", 0755));
	puts("== root");
	ask();
	turn_on();
	puts("== a user");
	IN_CHILD(MUST(setuid(1000)); ask(); turn_on());
	MUST(mount("/dev/vda", "/mnt", "ext2", MS_REMOUNT | MS_RDONLY, ""));
	puts("== read-only");
	ask();
	turn_on();
	MUST(umount("/mnt"));
	unlink("/tmp/quota-elsewhere");
	return 0;
}
