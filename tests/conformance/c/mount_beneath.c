/* MOVE_MOUNT_BENEATH: a mount slips under the topmost one of a place (move_mount(2)).
 * Covers: move_mount: refusals in their order, stacks, what unmounting the top reveals, peers and slaves.
 */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

#define ROOT "/tmp/beneath"
#define F_EMPTY 4
#define T_EMPTY 0x40
#define SET_GROUP 0x100
#define BENEATH 0x200

static int open_tree_(const char *path, unsigned flags) { return (int)syscall(SYS_open_tree, AT_FDCWD, path, flags); }

static int move_(int from, const char *from_path, const char *to_path, unsigned flags)
{
	return (int)syscall(SYS_move_mount, from, from_path, AT_FDCWD, to_path, flags);
}

/* A detached tmpfs with a file that says which it is. */
static int made(const char *name)
{
	int context = (int)MUST(syscall(SYS_fsopen, "tmpfs", 0));
	MUST(syscall(SYS_fsconfig, context, 1, "source", name, 0));
	MUST(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
	int fd = (int)MUST(syscall(SYS_fsmount, context, 0, 0));
	close((int)MUST(openat(fd, name, O_CREAT | O_WRONLY, 0600)));
	close(context);
	return fd;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Mounts below ROOT, with the source of what each stands on, and their groups by the order of their appearance. */
static void show(const char *when)
{
	static int known[100], groups;
	char line[1024];
	struct { int number, parent; char place[200], source[64], group[64]; } all[100];
	int count = 0;
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (fgets(line, sizeof line, file) && count < 100) {
		char *dash = strstr(line, " - ");
		sscanf(line, "%d %d %*s %*s %199s", &all[count].number, &all[count].parent, all[count].place);
		sscanf(dash, " - %*s %63s", all[count].source);
		all[count].group[0] = 0;
		const char *kinds[] = {" shared:", " master:"};
		for (int i = 0; i < 2; i++) {
			char *at = strstr(line, kinds[i]);
			if (!at || at > dash)
				continue;
			int number = atoi(at + strlen(kinds[i])), index = 0;
			while (index < groups && known[index] != number)
				index++;
			if (index == groups)
				known[groups++] = number;
			sprintf(all[count].group + strlen(all[count].group), "%s%d", kinds[i], index);
		}
		count++;
	}
	fclose(file);
	printf("-- %s\n", when);
	char *found[100], text[400];
	int lines = 0;
	for (int i = 0; i < count; i++) {
		const char *on = "?";
		for (int j = 0; j < count; j++)
			if (all[j].number == all[i].parent)
				on = all[j].source;
		snprintf(text, sizeof text, "%s: %s on %s%s", all[i].place, all[i].source, on, all[i].group);
		if (!strncmp(all[i].place, ROOT, strlen(ROOT)))
			found[lines++] = strdup(text);
	}
	qsort(found, (size_t)lines, sizeof *found, by_name);
	for (int i = 0; i < lines; i++) {
		printf("%s\n", found[i]);
		free(found[i]);
	}
}

static void seen(const char *path)
{
	DIR *dir = opendir(path);
	printf("%s:", path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			printf(" %s", entry->d_name);
	printf("\n");
	if (dir)
		closedir(dir);
}

static void stacks(void)
{
	MUST(mount("top", ROOT "/a", "tmpfs", 0, NULL));
	close((int)MUST(open(ROOT "/a/top", O_CREAT | O_WRONLY, 0600)));
	int fd = made("under");
	SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH));
	show("under a mount");
	seen(ROOT "/a");
	SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH));
	SHOW(move_(fd, "", ROOT "/b", F_EMPTY | BENEATH));
	close(fd);
	fd = made("between");
	SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH));
	close(fd);
	show("between two");
	SHOW(umount2(ROOT "/a", 0));
	seen(ROOT "/a");
	SHOW(umount2(ROOT "/a", 0));
	seen(ROOT "/a");
	MUST(mount("else", ROOT "/b", "tmpfs", 0, NULL));
	MUST(mount("upon", ROOT "/b", "tmpfs", 0, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/b", ROOT "/a", BENEATH));
	show("an attached one");
	SHOW(umount2(ROOT "/a", 0));
	seen(ROOT "/a");
	MUST(mkdir(ROOT "/b/x", 0755));
	MUST(mount("inner", ROOT "/b/x", "tmpfs", 0, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/b", ROOT "/a", BENEATH));
	show("with what is mounted below");
	SHOW(umount2(ROOT "/a", 0));
	SHOW(access(ROOT "/a/x", F_OK));
	MUST(umount2(ROOT "/a", MNT_DETACH));
	show("gone");
}

static void refusals(void)
{
	int fd = made("one");
	MUST(mount("top", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mkdir(ROOT "/a/dir", 0755));
	SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH | SET_GROUP));
	SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH | 0x400));
	SHOW(move_(fd, "", ROOT "/b", F_EMPTY | BENEATH));
	SHOW(move_(fd, "", ROOT "/a/dir", F_EMPTY | BENEATH));
	SHOW(move_(fd, "", ROOT "/none", F_EMPTY | BENEATH));
	SHOW(move_(fd, "", "/", F_EMPTY | BENEATH));
	SHOW(move_(AT_FDCWD, ROOT "/a", ROOT "/a", BENEATH));
	SHOW(move_(AT_FDCWD, ROOT "/a/dir", ROOT "/a", BENEATH));
	MUST(mount("below", ROOT "/a/dir", "tmpfs", 0, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/a/dir", ROOT "/a", BENEATH));
	SHOW(move_(AT_FDCWD, ROOT "/a", ROOT "/a/dir", BENEATH));
	int covered = (int)MUST(open_tree_(ROOT "/a/dir", 0));
	MUST(mount("cover", ROOT "/a/dir", "tmpfs", 0, NULL));
	MUST(mount("other", ROOT "/b", "tmpfs", 0, NULL));
	SHOW(move_(covered, "", ROOT "/b", F_EMPTY | BENEATH));
	show("a covered one");
	SHOW(move_(fd, "", ROOT "/a/dir", F_EMPTY | BENEATH));
	show("under the topmost one");
	/* A file on a directory's mount, and the other way round. */
	close((int)MUST(open(ROOT "/file", O_CREAT | O_WRONLY, 0600)));
	close((int)MUST(open(ROOT "/other", O_CREAT | O_WRONLY, 0600)));
	MUST(mount(ROOT "/other", ROOT "/file", NULL, MS_BIND, NULL));
	int file = (int)MUST(open_tree_(ROOT "/other", 1));
	int directory = made("directory");
	SHOW(move_(directory, "", ROOT "/file", F_EMPTY | BENEATH));
	SHOW(move_(file, "", ROOT "/b", F_EMPTY | BENEATH));
	SHOW(move_(file, "", ROOT "/file", F_EMPTY | BENEATH));
	show("a file");
	/* A root directory of a process. */
	MUST(mkdir(ROOT "/jail", 0755));
	MUST(mount("jail", ROOT "/jail", "tmpfs", 0, NULL));
	IN_CHILD({
		MUST(chroot(ROOT "/jail"));
		SHOW(move_(directory, "", "/", F_EMPTY | BENEATH));
	});
	SHOW(move_(directory, "", ROOT "/jail", F_EMPTY | BENEATH));
	/* By descriptor. */
	int target = (int)MUST(open(ROOT "/jail", O_PATH));
	int fresh = made("fresh");
	SHOW(syscall(SYS_move_mount, fresh, "", target, "", F_EMPTY | T_EMPTY | BENEATH));
	show("the end");
	int stranger = made("stranger");
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		SHOW(syscall(SYS_move_mount, stranger, "", target, "", F_EMPTY | T_EMPTY | BENEATH));
	});
	IN_CHILD({
		MUST(setuid(1));
		SHOW(move_(stranger, "", ROOT "/jail", F_EMPTY | BENEATH));
	});
	MUST(umount2(ROOT "/jail", MNT_DETACH));
	SHOW(syscall(SYS_move_mount, stranger, "", target, "", F_EMPTY | T_EMPTY | BENEATH));
	while (umount2(ROOT "/jail", MNT_DETACH) == 0)
		;
	while (umount2(ROOT "/file", MNT_DETACH) == 0)
		;
	while (umount2(ROOT "/a", MNT_DETACH) == 0)
		;
	while (umount2(ROOT "/b", MNT_DETACH) == 0)
		;
	close(fd), close(covered), close(file), close(directory), close(target), close(fresh), close(stranger);
	show("gone");
}

static void sharing(void)
{
	MUST(mount("base", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mount("none", ROOT "/a", NULL, MS_SHARED, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount("top", ROOT "/a/x", "tmpfs", 0, NULL));
	MUST(mount(ROOT "/a", ROOT "/b", NULL, MS_BIND, NULL));
	MUST(mount(ROOT "/a", ROOT "/c", NULL, MS_BIND, NULL));
	MUST(mount("none", ROOT "/c", NULL, MS_SLAVE, NULL));
	MUST(mount("only in b", ROOT "/b/x", "tmpfs", 0, NULL));
	show("a shared parent");
	int fd = made("under");
	SHOW(move_(fd, "", ROOT "/a/x", F_EMPTY | BENEATH));
	close(fd);
	show("propagated");
	MUST(mount("none", ROOT "/a/x", NULL, MS_UNBINDABLE, NULL));
	MUST(mkdir(ROOT "/d/y", 0755));
	MUST(mount("loose", ROOT "/d/y", "tmpfs", 0, NULL));
	MUST(mount("none", ROOT "/d/y", NULL, MS_UNBINDABLE, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/d/y", ROOT "/a/x", BENEATH));
	MUST(mount("none", ROOT "/d/y", NULL, MS_PRIVATE, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/d/y", ROOT "/a/x", BENEATH));
	show("an attached one propagated");
	/* From a shared parent. */
	MUST(mkdir(ROOT "/a/z", 0755));
	MUST(mount("fixed", ROOT "/a/z", "tmpfs", 0, NULL));
	MUST(mount("aim", ROOT "/d/y", "tmpfs", 0, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/a/z", ROOT "/d/y", BENEATH));
	while (umount2(ROOT "/d/y", MNT_DETACH) == 0)
		;
	for (const char *names = "abc"; *names; names++) {
		char place[64];
		snprintf(place, sizeof place, ROOT "/%c", *names);
		while (umount2(place, MNT_DETACH) == 0)
			;
	}
	show("gone");
	/* A parent that propagates to the one under which it would slip: a copy of it would come to lie on it. */
	MUST(mount("self", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mount("none", ROOT "/a", NULL, MS_SHARED, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount(ROOT "/a/x", ROOT "/a/x", NULL, MS_BIND, NULL));
	show("a peer on its own directory");
	fd = made("under");
	SHOW(move_(fd, "", ROOT "/a/x", F_EMPTY | BENEATH));
	MUST(mount("none", ROOT "/a/x", NULL, MS_SLAVE, NULL));
	SHOW(move_(fd, "", ROOT "/a/x", F_EMPTY | BENEATH));
	MUST(mount("none", ROOT "/a/x", NULL, MS_SHARED, NULL));
	SHOW(move_(fd, "", ROOT "/a/x", F_EMPTY | BENEATH));
	MUST(mount("none", ROOT "/a/x", NULL, MS_PRIVATE, NULL));
	SHOW(move_(fd, "", ROOT "/a/x", F_EMPTY | BENEATH));
	close(fd);
	show("private");
	MUST(umount2(ROOT "/a", MNT_DETACH));
	/* The same for what is moved: a copy of it would come to lie on itself. */
	MUST(mount("self", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mount("none", ROOT "/a", NULL, MS_SHARED, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount("top", ROOT "/a/x", "tmpfs", 0, NULL));
	int copy = (int)MUST(open_tree_(ROOT "/a", 1));
	SHOW(move_(copy, "", ROOT "/a/x", F_EMPTY | BENEATH));
	close(copy);
	MUST(mount(ROOT "/a", ROOT "/d/y", NULL, MS_BIND, NULL));
	SHOW(move_(AT_FDCWD, ROOT "/d/y", ROOT "/a/x", BENEATH));
	show("a peer of the parent");
	while (umount2(ROOT "/d/y", MNT_DETACH) == 0)
		;
	MUST(umount2(ROOT "/a", MNT_DETACH));
	MUST(mount("self", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mount("none", ROOT "/a", NULL, MS_SHARED, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount(ROOT "/a/x", ROOT "/d/y", NULL, MS_BIND, NULL));
	MUST(mount("top", ROOT "/a/x", "tmpfs", 0, NULL));
	SHOW(umount2(ROOT "/d/y", 0));
	SHOW(move_(AT_FDCWD, ROOT "/d/y", ROOT "/a/x", BENEATH));
	show("a peer of the parent that shows the place");
	while (umount2(ROOT "/d/y", MNT_DETACH) == 0)
		;
	MUST(umount2(ROOT "/a", MNT_DETACH));
	show("gone");
}

/* Copies that come to lie below others' mounts are passed on without these. */
static void passed_on(void)
{
	MUST(mount("base", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mount("none", ROOT "/a", NULL, MS_SHARED, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount(ROOT "/a", ROOT "/b", NULL, MS_BIND, NULL));
	MUST(mount("none", ROOT "/b", NULL, MS_SLAVE, NULL));
	MUST(mount("none", ROOT "/b", NULL, MS_SHARED, NULL));
	MUST(mount("own", ROOT "/b/x", "tmpfs", 0, NULL));
	MUST(mount(ROOT "/b", ROOT "/c", NULL, MS_BIND, NULL));
	show("a peer of a slave");
	MUST(mount("new", ROOT "/a/x", "tmpfs", 0, NULL));
	show("mounted");
	int fd = made("under");
	SHOW(move_(fd, "", ROOT "/a/x", F_EMPTY | BENEATH));
	close(fd);
	show("slipped under");
	for (const char *names = "abc"; *names; names++) {
		char place[64];
		snprintf(place, sizeof place, ROOT "/%c", *names);
		while (umount2(place, MNT_DETACH) == 0)
			;
	}
	show("gone");
}

/* On the root of the namespace. */
static void at_the_top(void)
{
	int fd = made("top");
	MUST(mkdir("/beneath", 0755));
	MUST(mount("one", "/beneath", "tmpfs", 0, NULL));
	SHOW(move_(fd, "", "/beneath", F_EMPTY | BENEATH));
	while (umount2("/beneath", MNT_DETACH) == 0)
		;
	MUST(rmdir("/beneath"));
	close(fd);
}

/* A mount that is locked, as it came from another user namespace, hides what is below it. */
static void locked(void)
{
	MUST(mount("top", ROOT "/a", "tmpfs", 0, NULL));
	IN_CHILD({
		MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		int context = (int)MUST(syscall(SYS_fsopen, "tmpfs", 0));
		MUST(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
		int fd = (int)MUST(syscall(SYS_fsmount, context, 0, 0));
		SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH));
		SHOW(move_(AT_FDCWD, ROOT "/a", ROOT "/b", BENEATH));
		SHOW(move_(fd, "", ROOT "/a", F_EMPTY));
		context = (int)MUST(syscall(SYS_fsopen, "tmpfs", 0));
		MUST(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
		fd = (int)MUST(syscall(SYS_fsmount, context, 0, 0));
		SHOW(move_(fd, "", ROOT "/a", F_EMPTY | BENEATH));
	});
	MUST(umount2(ROOT "/a", 0));
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(022);
	MUST(mkdir(ROOT, 0755));
	int fd = made("bottom");
	SHOW(move_(fd, "", ROOT, F_EMPTY));
	int under = made("root's");
	SHOW(move_(under, "", ROOT, F_EMPTY | BENEATH));
	close(fd);
	close(under);
	const char *names[] = {ROOT "/a", ROOT "/b", ROOT "/c", ROOT "/d"};
	for (int i = 0; i < 4; i++)
		MUST(mkdir(names[i], 0755));
	stacks();
	refusals();
	sharing();
	passed_on();
	at_the_top();
	locked();
	while (umount2(ROOT, MNT_DETACH) == 0)
		;
	MUST(rmdir(ROOT));
	return 0;
}
