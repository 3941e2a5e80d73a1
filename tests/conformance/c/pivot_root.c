/* pivot_root(2) where the root lies on a mount point: what a container does before it starts its program. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static long pivot(const char *new_root, const char *put_old)
{
	return syscall(SYS_pivot_root, new_root, put_old);
}

/* Make the directory, a file system of its own, the root of this process. */
static void enter(const char *directory)
{
	MUST(mkdir(directory, 0755));
	MUST(mount("first", directory, "tmpfs", 0, 0));
	MUST(chdir(directory));
	MUST(mkdir("proc", 0755));
	MUST(mkdir("next", 0755));
	MUST(mkdir("plain", 0755));
	MUST(mount("proc", "proc", "proc", 0, 0));
	MUST(mount(directory, "/", 0, MS_MOVE, 0));
	MUST(chroot("."));
	MUST(chdir("/"));
}

static void show_mounts(void)
{
	char line[512], root[64], point[64];
	int identifier, parent;
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (file && fgets(line, sizeof line, file)) {
		char *type = strstr(line, " - ");
		if (sscanf(line, "%d %d %*s %63s %63s", &identifier, &parent, root, point) == 4 && type) {
			type[strcspn(type + 3, " ") + 3] = 0;
			printf("  %s on %s:%s\n", root, point, type + 2);
		}
	}
	if (file)
		fclose(file);
}

int main(void)
{
	int old_root;
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		MUST(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0));
		enter("/tmp/pivot");
		show_mounts();
		SHOW(pivot("next", "next"));
		SHOW(pivot("/", "/next"));
		MUST(mount("second", "next", "tmpfs", 0, 0));
		MUST(mkdir("next/old", 0755));
		MUST(mkdir("next/proc", 0755));
		SHOW(pivot("next", "plain"));
		SHOW(pivot("next/old", "next/old"));
		MUST(mount("none", "/", 0, MS_SHARED, 0));
		SHOW(pivot("next", "next/old"));
		MUST(mount("none", "/", 0, MS_PRIVATE, 0));
		SHOW(pivot("next", "next/old"));
		SHOW(access("/old/next", F_OK));
		SHOW(access("/next", F_OK));
		MUST(mount("proc", "/proc", "proc", 0, 0));
		show_mounts();
		/* Back, with the same directory for both: the old root comes to lie over the new one. */
		old_root = (int)MUST(open("/", O_RDONLY | O_DIRECTORY));
		MUST(chdir("/old"));
		SHOW(pivot(".", "."));
		MUST(fchdir(old_root));
		SHOW(umount2(".", MNT_DETACH));
		MUST(chdir("/"));
		SHOW(access("/next", F_OK));
		SHOW(access("/old", F_OK));
		show_mounts();
		/* Others who had the old root go along, if they live in this tree. */
		MUST(mount("third", "next", "tmpfs", 0, 0));
		MUST(mkdir("next/old", 0755));
		IN_CHILD({
			int ready[2];
			char byte;
			MUST(pipe(ready));
			pid_t other = (pid_t)MUST(fork());
			if (other == 0) {
				MUST(read(ready[0], &byte, 1));
				_exit(access("/old/plain", F_OK) == 0 ? 0 : 1);
			}
			SHOW(pivot("next", "next/old"));
			MUST(write(ready[1], "x", 1));
			show_end(other);
		});
		SHOW(access("/old/plain", F_OK));
	});
	rmdir("/tmp/pivot");
	return 0;
}
