/* Mounts over a working directory and over a root directory: each covers the one before, and they go in turn.
 * Covers: mount umount2 chroot: "." and "/" as places that are covered already; places that have left the tree.
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include "case.h"

static int mounts_at(const char *end)
{
	char line[512];
	int count = 0;
	FILE *f = fopen("/proc/self/mountinfo", "r");
	while (fgets(line, sizeof line, f)) {
		char place[256];
		sscanf(line, "%*s %*s %*s %*s %255s", place);
		size_t length = strlen(place);
		count += length >= strlen(end) && strcmp(place + length - strlen(end), end) == 0;
	}
	fclose(f);
	return count;
}

static void show_mounts(void)
{
	printf("%d mounts at /over, %d at /other\n", mounts_at("/over"), mounts_at("/other"));
}

/* On procfs and sysfs, whose names are made as they are asked for. */
static void over_made_names(void)
{
	SHOW(mount("none", "/proc/sys", "tmpfs", 0, "size=64k"));
	SHOW(access("/proc/sys/kernel", F_OK));
	SHOW(close(creat("/proc/sys/file", 0600)));
	SHOW(access("/proc/sys/file", F_OK));
	printf("%d\n", mounts_at("/proc/sys"));
	SHOW(umount2("/proc/sys", 0));
	SHOW(access("/proc/sys/kernel", F_OK));
	SHOW(mount("none", "/proc/sys/kernel", "tmpfs", 0, "size=64k"));
	SHOW(mount("none", "/proc/sys/vm", "tmpfs", 0, "size=64k"));
	SHOW(access("/proc/sys/kernel/hostname", F_OK));
	SHOW(access("/proc/sys/vm/overcommit_memory", F_OK));
	SHOW(access("/proc/sys/fs/file-max", F_OK));
	SHOW(umount2("/proc/sys/kernel", 0));
	SHOW(access("/proc/sys/kernel/hostname", F_OK));
	SHOW(umount2("/proc/sys/vm", 0));
	SHOW(access("/proc/sys/vm/overcommit_memory", F_OK));
	MUST(close(MUST(creat("bound", 0600))));
	SHOW(mount("bound", "/proc/version", 0, MS_BIND, 0));
	struct stat status;
	MUST(stat("/proc/version", &status));
	printf("%o\n", status.st_mode);
	SHOW(umount2("/proc/version", 0));
	MUST(stat("/proc/version", &status));
	printf("%o\n", status.st_mode);
	SHOW(mount("none", "/sys/class", "tmpfs", 0, "size=64k"));
	SHOW(access("/sys/class/block", F_OK));
	SHOW(umount2("/sys/class", 0));
	SHOW(access("/sys/class/block", F_OK));
	MUST(unlink("bound"));
}

int main(void)
{
	char *home = getcwd(0, 0);
	MUST(mkdir("over", 0755));
	MUST(mkdir("other", 0755));
	MUST(chdir("over"));
	for (int i = 0; i < 3; i++)
		SHOW(mount("none", ".", "tmpfs", 0, "size=64k"));
	SHOW(mount("../other", ".", 0, MS_BIND, 0));
	show_mounts();
	SHOW(mount(".", "../other", 0, MS_BIND, 0));
	SHOW(mount("../over", "../other", 0, MS_MOVE, 0));
	show_mounts();
	SHOW(umount2(".", MNT_EXPIRE));
	for (int i = 0; i < 5; i++)
		SHOW(umount2(".", i % 2 ? MNT_DETACH : 0));
	show_mounts();
	MUST(chdir(home));
	for (int i = 0; i < 4; i++)
		SHOW(umount2("over", 0));
	for (int i = 0; i < 4; i++)
		SHOW(umount2("other", 0));
	show_mounts();

	SHOW(mount("none", "over", "tmpfs", 0, "size=64k"));
	MUST(chdir("over"));
	MUST(mkdir("below", 0755));
	SHOW(umount2("../over", MNT_DETACH));
	SHOW(mount("none", ".", "tmpfs", 0, 0));
	SHOW(mount("none", "below", "tmpfs", 0, 0));
	SHOW(mount("/proc", "below", 0, MS_BIND, 0));
	SHOW(umount2(".", 0));
	MUST(chdir(home));

	MUST(mount("none", "over", "tmpfs", 0, "size=64k"));
	IN_CHILD(
		MUST(chroot("over"));
		MUST(chdir("/"));
		for (int i = 0; i < 3; i++)
			SHOW(mount("none", "/", "tmpfs", 0, "size=64k"));
		SHOW(umount2("/", 0));
	);
	show_mounts();
	for (int i = 0; i < 4; i++)
		SHOW(umount2("over", 0));
	show_mounts();
	over_made_names();
	return 0;
}
