/* /sys in a user namespace: for the administrator of the network that it shows, where nothing of it is hidden. */
#include "userns_case.h"

static void owner(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %o %d %d\n", path, s.st_mode, s.st_uid, s.st_gid);
}

static void try(const char *when, int flags)
{
	errno = 0;
	printf("%s: ", when);
	if (mount("none", "/mnt", "sysfs", flags, NULL)) {
		printf("%s\n", error_name(errno));
		return;
	}
	printf("mounted\n");
	MUST(umount("/mnt"));
}

static void foreign(void)
{
	hear();
	try("the network of others", 0);
}

static void own(void)
{
	hear();
	MUST(unshare(CLONE_NEWNET)); /* with the maps written: the interfaces get their owner when they are made */
	try("a network of my own", 0);
	try("read-only", MS_RDONLY);
	MUST(mount("none", "/mnt", "sysfs", 0, NULL));
	owner("/mnt");
	owner("/mnt/kernel");
	owner("/mnt/fs/cgroup");
	owner("/mnt/class/net/lo/mtu");
	owner("/mnt/class/net/lo/statistics");
	owner("/mnt/class/net/lo/statistics/rx_bytes");
	owner("/mnt/devices/virtual/net/lo");
	SHOW(access("/mnt/class/net/eth0", F_OK));
	SHOW(put("/mnt/class/net/lo/mtu", "1500"));
	SHOW(put("/mnt/kernel/uevent_seqnum", "1"));
	SHOW(chown("/mnt/class/net/lo/mtu", 1, 1));
	SHOW(mount("none", "/mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	SHOW(mount("none", "/mnt", NULL, MS_REMOUNT, NULL));
	MUST(umount("/mnt"));
	/* What somebody mounts here hides nothing from itself. */
	MUST(mount("none", "/sys/kernel", "tmpfs", 0, NULL));
	try("something of mine is covered", 0);
}

static void covered(void)
{
	hear();
	try("something is covered", 0);
}

static void sealed(void)
{
	hear();
	try("writable where all are read-only", 0);
	try("read-only where all are", MS_RDONLY);
}

static void none(void)
{
	hear();
	try("there is none", 0);
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("/mnt", 0755);
	while (umount2("/sys", MNT_DETACH) == 0)
		;
	MUST(mount("none", "/sys", "sysfs", 0, NULL));
	finish(begin_mapped(foreign, CLONE_NEWNS));
	finish(begin_mapped(own, CLONE_NEWNS));
	/* Control groups are mounted on a directory that is there for that: nothing is hidden. */
	MUST(mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL));
	finish(begin_mapped(own, CLONE_NEWNS));
	MUST(mount("none", "/sys/fs", "tmpfs", 0, NULL));
	finish(begin_mapped(covered, CLONE_NEWNS | CLONE_NEWNET));
	MUST(umount("/sys/fs"));
	MUST(mount("none", "/sys/kernel", "tmpfs", 0, NULL));
	finish(begin_mapped(covered, CLONE_NEWNS | CLONE_NEWNET));
	MUST(umount("/sys/kernel"));
	MUST(mount("none", "/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	finish(begin_mapped(sealed, CLONE_NEWNS | CLONE_NEWNET));
	MUST(umount2("/sys", MNT_DETACH));
	finish(begin_mapped(none, CLONE_NEWNS | CLONE_NEWNET));
	return 0;
}
