/* Covers: options that fsconfig(2) refuses at once, for each file system; flags, strings, and what none is. */
#include "case.h"
#include <sys/mount.h>

#ifndef SYS_fsopen
#define SYS_fsopen 430
#define SYS_fsconfig 431
#endif

static const char *const types[] = {
	"tmpfs", "ramfs", "proc", "sysfs", "devpts", "devtmpfs", "mqueue", "cgroup2", "overlay", "fuse", "ext2", "ext3", "ext4", "hugetlbfs", "binfmt_misc",
	"configfs", "tracefs", "bpf",
};
static const char *const options[] = {
	"", ",", "unknown", "unknown=1", "=x", "mode=9", "mode=700", "mode", "mode=", "ro", "rw", "ro=1", "rw=", "sync", "async", "dirsync", "dirsync=1", "lazytime",
	"nolazytime", "mand", "nomand", "size=x", "size=4k", "uid=x", "uid=0", "uid=-1", "gid=", "gid=0", "max=5", "nr_inodes=x", "hidepid=9", "hidepid=1", "errors=x",
	"errors=remount-ro", "source=x", "source", "subtype=x", "lowerdir=a", "nsdelegate", "nsdelegate=1", "newinstance", "ptmxmode=666", "ptmxmode=9", "huge=never",
	"huge=x", "fd=x", "fd=99", "rootmode=x", "pagesize=2M", "pagesize=3", "a,b", "a=b,c", "inode64", "seclabel", "gid=5,mode=620",
};

static const char *answer(long result)
{
	return result == -1 ? error_name(errno) : "ok";
}

int main(void)
{
	for (unsigned t = 0; t < sizeof types / sizeof *types; t++) {
		const char *last = "";
		printf("%s:", types[t]);
		for (unsigned o = 0; o < sizeof options / sizeof *options; o++) {
			int fd = (int)syscall(SYS_fsopen, types[t], 0);
			if (fd < 0) {
				printf(" fsopen %s", error_name(errno));
				break;
			}
			char name[60], *value;
			snprintf(name, sizeof name, "%s", options[o]);
			value = strchr(name, '=');
			if (value)
				*value++ = 0;
			const char *now = syscall(SYS_fsconfig, fd, value ? 1 : 0, name, value, 0) ? error_name(errno) : "ok";
			if (strcmp(now, last))
				printf(" %s for", now);
			printf(" '%s'", options[o]);
			last = now;
			close(fd);
		}
		puts("");
		int fd = (int)syscall(SYS_fsopen, types[t], 0);
		printf("%s: binary %s, path %s, ", types[t], answer(syscall(SYS_fsconfig, fd, 2, "x", "y", 1)), answer(syscall(SYS_fsconfig, fd, 3, "x", "/", AT_FDCWD)));
		printf("empty path %s, descriptor %s\n", answer(syscall(SYS_fsconfig, fd, 4, "x", "", AT_FDCWD)), answer(syscall(SYS_fsconfig, fd, 5, "x", 0, 0)));
		printf("%s: second source %s %s\n", types[t], answer(syscall(SYS_fsconfig, fd, 1, "source", "x", 0)), answer(syscall(SYS_fsconfig, fd, 1, "source", "x", 0)));
		close(fd);
	}
	return 0;
}
