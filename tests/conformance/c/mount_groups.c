/* Covers: move_mount: MOVE_MOUNT_SET_GROUP: a mount joins the peer group of another, and gets its master. */
#define _GNU_SOURCE
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

#define BASE "/tmp/groups"
#define EMPTY_FROM 0x4
#define EMPTY_TO 0x40
#define SET_GROUP 0x100
#define BENEATH 0x200

static long join_(const char *from, const char *to) { return syscall(SYS_move_mount, AT_FDCWD, from, AT_FDCWD, to, SET_GROUP); }

/* The propagation of all mounts here; groups are numbered as they appear. */
static void show(const char *when) {
	int known[64], count = 0, n;
	char line[1024];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	printf("-- %s\n", when);
	while (fgets(line, sizeof line, file)) {
		char root[256], place[256], *word;
		if (sscanf(line, "%*d %*d %*s %255s %255s %*s %n", root, place, &n) != 2 || strncmp(place, BASE "/", sizeof BASE))
			continue;
		printf("%s on %s:", root, place + sizeof BASE);
		for (word = strtok(line + n, " "); word && strcmp(word, "-"); word = strtok(NULL, " ")) {
			char *colon = strchr(word, ':');
			int i = 0;
			while (colon && i < count && known[i] != atoi(colon + 1))
				i++;
			if (colon && i == count && count < 64)
				known[count++] = atoi(colon + 1);
			if (colon)
				printf(" %.*s %d", (int)(colon - word), word, i);
			else
				printf(" %s", word);
		}
		printf("\n");
	}
	fclose(file);
}

static void place(const char *path) {
	MUST(mkdir(path, 0755));
}

static void bind_private(const char *from, const char *to) {
	MUST(mount(from, to, 0, MS_BIND, 0));
	MUST(mount("", to, 0, MS_PRIVATE, 0));
}

static void refused(void) {
	int ends[2];
	MUST(pipe(ends));
	SHOW(join_("a", "b")); /* neither is the root of a mount */
	SHOW(join_("all", "all/in"));
	SHOW(join_("all/in", "whole"));
	SHOW(join_("missing", "whole"));
	SHOW(join_("all", "missing"));
	SHOW(join_("other", "whole")); /* another file system */
	SHOW(join_("part", "whole")); /* it shows less */
	SHOW(join_("private", "whole"));
	SHOW(join_("all", "all"));
	SHOW(syscall(SYS_move_mount, AT_FDCWD, "all", AT_FDCWD, "whole", SET_GROUP | BENEATH));
	SHOW(syscall(SYS_move_mount, AT_FDCWD, "all", AT_FDCWD, "whole", SET_GROUP | 0x80));
	SHOW(syscall(SYS_move_mount, ends[0], "", AT_FDCWD, "whole", SET_GROUP | EMPTY_FROM));
	SHOW(syscall(SYS_move_mount, AT_FDCWD, "all", ends[0], "", SET_GROUP | EMPTY_TO));
	SHOW(syscall(SYS_move_mount, AT_FDCWD, "all", AT_FDCWD, "", SET_GROUP));
	close(ends[0]);
	close(ends[1]);
}

int main(void) {
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("", "/", 0, MS_REC | MS_PRIVATE, 0));
	MUST(mkdir(BASE, 0755));
	MUST(mount("base", BASE, "tmpfs", 0, 0));
	MUST(chdir(BASE));
	const char *names[] = {"a", "b", "all", "whole", "part", "other", "private", "slave", "again", "late", "taker"};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		place(names[i]);
	MUST(mount("all", "all", "tmpfs", 0, 0));
	place("all/in"); place("all/in/deep"); place("all/side"); place("all/in/x"); place("all/in/y");
	MUST(mount("", "all", 0, MS_SHARED, 0));
	bind_private("all", "whole");
	bind_private("all/in", "part");
	bind_private("all", "private");
	MUST(mount("other", "other", "tmpfs", 0, 0));
	MUST(mount("", "other", 0, MS_SHARED, 0));
	refused();
	show("before");

	SHOW(join_("all", "whole"));
	SHOW(join_("all", "part"));
	SHOW(join_("all", "part"));
	show("joined");
	MUST(mount("new", "all/in/deep", "tmpfs", 0, 0));
	SHOW(access("whole/in/deep", F_OK));
	show("a mount in all");
	MUST(umount("part/deep"));
	show("taken away in part");

	/* A slave's master, and of one that is both. */
	MUST(mount("all", "slave", 0, MS_BIND, 0));
	MUST(mount("", "slave", 0, MS_SLAVE, 0));
	bind_private("all", "again");
	SHOW(join_("slave", "again"));
	show("slaves");
	MUST(mount("", "slave", 0, MS_SHARED, 0));
	bind_private("all", "late");
	SHOW(join_("slave", "late"));
	SHOW(join_("again", "late"));
	MUST(mount("new", "all/in/x", "tmpfs", 0, 0));
	MUST(mount("new", "slave/in/y", "tmpfs", 0, 0));
	show("both");

	/* Of one that could not be bound: a peer can, a slave still cannot. */
	bind_private("all", "a");
	MUST(mount("", "a", 0, MS_UNBINDABLE, 0));
	SHOW(mount("a", "b", 0, MS_BIND, 0));
	SHOW(join_("all", "a"));
	show("bindable");
	SHOW(mount("a", "b", 0, MS_BIND, 0));
	MUST(umount("b"));
	MUST(mount("", "a", 0, MS_UNBINDABLE, 0));
	SHOW(join_("again", "a"));
	show("a slave that is unbindable");
	SHOW(mount("a", "b", 0, MS_BIND, 0));
	MUST(umount("a"));

	/* Of a mount that is nowhere any more. */
	bind_private("all", "a");
	int gone = (int)MUST(open("a", O_PATH));
	MUST(umount2("a", MNT_DETACH));
	SHOW(syscall(SYS_move_mount, AT_FDCWD, "all", gone, "", SET_GROUP | EMPTY_TO));
	SHOW(syscall(SYS_move_mount, gone, "", AT_FDCWD, "private", SET_GROUP | EMPTY_FROM));
	close(gone);

	/* Of a tree that is not attached. */
	int tree = (int)MUST(syscall(SYS_open_tree, AT_FDCWD, "private", 1));
	SHOW(syscall(SYS_move_mount, AT_FDCWD, "all", tree, "", SET_GROUP | EMPTY_TO));
	SHOW(syscall(SYS_move_mount, tree, "", AT_FDCWD, "private", SET_GROUP | EMPTY_FROM));
	SHOW(syscall(SYS_move_mount, tree, "", AT_FDCWD, "taker", EMPTY_FROM));
	show("attached afterwards");
	close(tree);

	/* Those who do not control the mounts. */
	int outside = (int)MUST(open("whole", O_PATH));
	bind_private("other", "b");
	IN_CHILD(MUST(setuid(1000)); SHOW(join_("other", "b")));
	IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		SHOW(join_("other", "b"));
		SHOW(syscall(SYS_move_mount, outside, "", AT_FDCWD, "taker", SET_GROUP | EMPTY_FROM));
		SHOW(syscall(SYS_move_mount, AT_FDCWD, "taker", outside, "", SET_GROUP | EMPTY_TO)));
	/* What a mount of others hides stays hidden. */
	MUST(mount("cover", "other", "tmpfs", 0, 0));
	MUST(umount("other"));
	place("other/in");
	MUST(mount("cover", "other/in", "tmpfs", 0, 0));
	IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		SHOW(join_("other", "b")); SHOW(mount("other", "taker", 0, MS_BIND, 0)));
	SHOW(join_("other", "b"));
	MUST(chdir("/"));
	MUST(umount2(BASE, MNT_DETACH));
	MUST(rmdir(BASE));
	return 0;
}
