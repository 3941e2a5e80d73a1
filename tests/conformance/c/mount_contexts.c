/* An instance that fsopen(2) or fspick(2) holds: others mount and unmount it meanwhile. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "case.h"

enum { SET_STRING = 1, CREATE = 6, RECONFIGURE = 7 };

static int created(const char *kind)
{
	int fd = MUST(syscall(SYS_fsopen, kind, 0));
	SHOW(syscall(SYS_fsconfig, fd, CREATE, NULL, NULL, 0));
	return fd;
}

int main(void)
{
	MUST(mkdir("/tmp/a", 0755));
	MUST(mkdir("/tmp/b", 0755));
	const char *kinds[] = { "sysfs", "binfmt_misc" };
	for (int i = 0; i < 2; i++) {
		int fd = created(kinds[i]);
		close(created(kinds[i]));
		SHOW(mount("none", "/tmp/a", kinds[i], 0, NULL));
		SHOW(umount2("/tmp/a", 0));
		int tree = SHOW(syscall(SYS_fsmount, fd, 0, 0));
		SHOW(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tmp/b", 4));
		SHOW(access(i ? "/tmp/b/status" : "/tmp/b/class", F_OK));
		close(fd);
		close(tree);
		SHOW(umount2("/tmp/b", 0));
	}
	MUST(mount("none", "/tmp/a", "tmpfs", 0, NULL));
	int picked = SHOW(syscall(SYS_fspick, AT_FDCWD, "/tmp/a", 0));
	SHOW(umount2("/tmp/a", 0));
	SHOW(syscall(SYS_fsconfig, picked, SET_STRING, "size", "64k", 0));
	SHOW(syscall(SYS_fsconfig, picked, RECONFIGURE, NULL, NULL, 0));
	close(picked);
	return 0;
}
