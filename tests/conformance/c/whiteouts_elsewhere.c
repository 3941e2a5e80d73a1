/* Covers: renameat2(2) with RENAME_WHITEOUT, and mknod(2) of a character device 0/0, in file systems that make no whiteouts, cannot move
 * names at all, or show them as something else.
 */
#include "overlay_case.h"

#define WHITEOUT 4

static void move(const char *old, const char *new)
{
	struct stat st;
	SHOW(syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, WHITEOUT));
	if (lstat(old, &st) == 0)
		printf("  old: %o %u:%u\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	printf("  new: %s\n", lstat(new, &st) == 0 ? "is there" : error_name(errno));
}

static void make(void)
{
	SHOW(mknod("device", S_IFCHR | 0600, 0));
	SHOW(mknod("block", S_IFBLK | 0600, 0));
	SHOW(mknod("other", S_IFCHR | 0600, makedev(0, 1)));
	MUST(chmod(".", 0777));
	IN_CHILD({
		MUST(setuid(1000));
		SHOW(mknod("device by user", S_IFCHR | 0600, 0));
		SHOW(mknod("block by user", S_IFBLK | 0600, 0));
		SHOW(mknod("other by user", S_IFCHR | 0600, makedev(0, 1)));
	});
}

static void walk(const char *type, const char *options)
{
	printf("--- %s\n", type);
	if (mount("none", WORK, type, 0, options) == -1) {
		printf("%s\n", error_name(errno));
		return;
	}
	MUST(chdir(WORK));
	SHOW(mkdir("directory", 0755));
	int fd = open("file", O_CREAT | O_RDWR, 0644);
	printf("file: %s\n", fd < 0 ? error_name(errno) : "ok");
	close(fd);
	move("file", "new");
	move("directory", "moved");
	make();
	MUST(chdir("/"));
	TRY(umount2(WORK, MNT_DETACH));
}

/* Move a name to a free one and to one in use, with each flag. Where that works, it is moved back. */
static void move_by_all(const char *old, const char *used)
{
	static const struct { const char *name; unsigned value; } flags[] = { { "no flag", 0 }, { "NOREPLACE", 1 }, { "EXCHANGE", 2 }, { "WHITEOUT", WHITEOUT } };
	MUST(chdir(WORK));
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		printf("%s, %s: ", old, flags[i].name);
		long r = syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, "new", flags[i].value);
		printf("%s", r ? error_name(errno) : "moved");
		if (r == 0)
			MUST(rename("new", old));
		if (used && flags[i].value != 0) {
			r = syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, used, flags[i].value);
			printf(", to %s: %s", used, r ? error_name(errno) : "moved");
		}
		printf("%s\n", access(old, F_OK) ? ", gone" : "");
	}
	MUST(chdir("/"));
}

static void leave(void)
{
	TRY(umount(WORK));
}

int main(void)
{
	mkdir(BASE, 0755);
	mkdir(WORK, 0755);
	mkdir(UPPER, 0755);
	mkdir(LOWER, 0755);
	mkdir(MIDDLE, 0755);
	walk("tmpfs", NULL);
	walk("overlay", "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" MIDDLE);
	walk("ramfs", NULL);
	walk("hugetlbfs", NULL);
	walk("bpf", NULL);
	walk("cgroup2", NULL);
	puts("--- proc");
	MUST(mount("none", WORK, "proc", 0, NULL));
	move_by_all("uptime", "version");
	move_by_all("sys/kernel/ostype", "sys/kernel/osrelease");
	move_by_all("self", "thread-self");
	leave();
	puts("--- sysfs");
	MUST(mount("none", WORK, "sysfs", 0, NULL));
	move_by_all("kernel/mm", "kernel/uevent_seqnum");
	leave();
	puts("--- devpts");
	MUST(mount("none", WORK, "devpts", 0, NULL));
	move_by_all("ptmx", NULL);
	leave();
	puts("--- mqueue");
	MUST(mount("none", WORK, "mqueue", 0, NULL));
	for (int i = 0; i < 2; i++) {
		int fd = (int)MUST(open(i ? WORK "/queue" : WORK "/other", O_CREAT | O_RDWR, 0600));
		SHOW(write(fd, "", 0));
		SHOW(write(fd, "x", 1));
		close(fd);
	}
	move_by_all("queue", "other");
	TRY(unlink(WORK "/queue"));
	TRY(unlink(WORK "/other"));
	leave();
	puts("--- cgroup2");
	MUST(mount("none", WORK, "cgroup2", 0, NULL));
	MUST(mkdir(WORK "/one", 0755));
	MUST(mkdir(WORK "/two", 0755));
	move_by_all("one", "two");
	move_by_all("one/cgroup.procs", "one/cgroup.threads");
	TRY(rmdir(WORK "/one"));
	TRY(rmdir(WORK "/two"));
	leave();
	puts("--- hugetlbfs");
	MUST(mount("none", WORK, "hugetlbfs", 0, NULL));
	close((int)MUST(open(WORK "/one", O_CREAT | O_RDWR, 0600)));
	close((int)MUST(open(WORK "/two", O_CREAT | O_RDWR, 0600)));
	move_by_all("one", "two");
	leave();
	return 0;
}
