/* Mounting in steps: open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), fspick(2), mount_setattr(2). */
#include "case.h"
#include <sys/mount.h>

#define ROOT "/tmp/api"
#define CLONE 1
#define RECURSIVE 0x8000
#define F_EMPTY 4
enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD, CREATE, RECONFIGURE, CREATE_EXCL };

struct attributes {
	uint64_t set, clear, propagation, user;
};

static int open_tree_(int at, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, at, path, flags);
}

static int move_(int from, const char *from_path, int to, const char *to_path, unsigned flags)
{
	return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

static int config(int context, unsigned command, const char *key, const void *value, int extra)
{
	return (int)syscall(SYS_fsconfig, context, command, key, value, extra);
}

static int fsopen_(const char *name, unsigned flags)
{
	return (int)syscall(SYS_fsopen, name, flags);
}

static int fsmount_(int context, unsigned flags, unsigned attributes)
{
	return (int)syscall(SYS_fsmount, context, flags, attributes);
}

static int fspick_(int at, const char *path, unsigned flags)
{
	return (int)syscall(SYS_fspick, at, path, flags);
}

static int change(int at, const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation)
{
	struct attributes attributes = {set, clear, propagation, 0};
	return (int)syscall(SYS_mount_setattr, at, path, flags, &attributes, sizeof attributes);
}

static void show(const char *when)
{
	char line[1024];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	printf("-- %s\n", when);
	while (fgets(line, sizeof line, file)) {
		char *saved, *words[32];
		int count = 0, dash = 0;
		for (char *word = strtok_r(line, " \n", &saved); word && count < 32; word = strtok_r(NULL, " \n", &saved)) {
			if (!strcmp(word, "-"))
				dash = count;
			words[count++] = word;
		}
		if (strncmp(words[4], ROOT, strlen(ROOT)))
			continue;
		printf("%s on %s %s%s %s %s %.*s\n", words[3], words[4] + strlen(ROOT), words[5], dash > 6 ? " shared" : "",
		       words[dash + 1], words[dash + 2], (int)strcspn(words[dash + 3], ","), words[dash + 3]);
	}
	fclose(file);
}

static void mark(const char *path)
{
	close((int)MUST(open(path, O_CREAT | O_WRONLY, 0600)));
}

#define IS_THERE(path) printf("%s: %s\n", path, access(ROOT path, F_OK) == 0 ? "yes" : "no")

static void trees(void)
{
	MUST(mount("one", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount("two", ROOT "/a/x", "tmpfs", MS_NOEXEC, NULL));
	mark(ROOT "/a/x/mark");
	int plain = (int)MUST(open_tree_(AT_FDCWD, ROOT "/a/x", 0));
	char byte;
	SHOW(read(plain, &byte, 1));
	SHOW(fcntl(plain, F_GETFL) & O_PATH);
	SHOW(fcntl(plain, F_GETFD));
	CHECK(faccessat(plain, "mark", F_OK, 0) == 0);
	SHOW(move_(plain, "", AT_FDCWD, ROOT "/b", F_EMPTY));
	IS_THERE("/b/mark");
	show("moved by a plain descriptor");
	SHOW(move_(AT_FDCWD, ROOT "/b", AT_FDCWD, ROOT "/a/x", 0));
	close(plain);
	int whole = (int)MUST(open_tree_(AT_FDCWD, ROOT "/a", CLONE | RECURSIVE | O_CLOEXEC));
	int one = (int)MUST(open_tree_(AT_FDCWD, ROOT "/a", CLONE));
	SHOW(fcntl(whole, F_GETFD));
	CHECK(faccessat(whole, "x/mark", F_OK, 0) == 0);
	CHECK(faccessat(one, "x/mark", F_OK, 0) == 0);
	int inside = (int)MUST(openat(whole, "x", O_PATH));
	SHOW(move_(inside, "", AT_FDCWD, ROOT "/b", F_EMPTY));
	show("not attached yet");
	SHOW(move_(whole, "", AT_FDCWD, ROOT "/b", F_EMPTY));
	IS_THERE("/b/x/mark");
	show("attached");
	SHOW(move_(whole, "", AT_FDCWD, ROOT "/c", F_EMPTY));
	IS_THERE("/c/x/mark");
	close(inside);
	close(whole);
	IS_THERE("/c/x/mark");
	close(one);
	SHOW(open_tree_(AT_FDCWD, ROOT "/a", RECURSIVE));
	SHOW(open_tree_(AT_FDCWD, ROOT "/a", 2));
	SHOW(open_tree_(AT_FDCWD, ROOT "/none", 0));
	SHOW(open_tree_(AT_FDCWD, ROOT "/none", CLONE));
	SHOW(open_tree_(-1, "", CLONE));
	SHOW(open_tree_(-1, "", AT_EMPTY_PATH | CLONE));
	MUST(umount2(ROOT "/c", MNT_DETACH));
	MUST(umount2(ROOT "/a", MNT_DETACH));
	show("gone");
}

static void making(void)
{
	int context = (int)MUST(fsopen_("tmpfs", 1));
	char text[64];
	SHOW(fcntl(context, F_GETFD));
	SHOW(read(context, text, sizeof text));
	SHOW(fsmount_(context, 0, 0));
	SHOW(config(context, SET_STRING, "source", "here", 0));
	SHOW(config(context, SET_STRING, "source", "there", 0));
	SHOW(config(context, SET_STRING, "size", "64k", 0));
	SHOW(config(context, SET_STRING, "mode", "0700", 0));
	SHOW(config(context, SET_FLAG, "ro", NULL, 0));
	SHOW(config(context, SET_FLAG, "rw", NULL, 0));
	SHOW(config(context, SET_STRING, NULL, "x", 0));
	SHOW(config(context, SET_STRING, "x", NULL, 0));
	SHOW(config(context, SET_STRING, "size", "1k", 1));
	SHOW(config(context, SET_FLAG, "ro", "x", 0));
	SHOW(config(context, SET_FLAG, NULL, NULL, 0));
	SHOW(config(context, 9, NULL, NULL, 0));
	SHOW(config(context, CREATE, "x", NULL, 0));
	SHOW(config(context, RECONFIGURE, NULL, NULL, 0));
	SHOW(config(context, CREATE, NULL, NULL, 0));
	SHOW(config(context, CREATE, NULL, NULL, 0));
	SHOW(config(context, SET_FLAG, "ro", NULL, 0));
	SHOW(fsmount_(context, 2, 0));
	SHOW(fsmount_(context, 0, 0x40));
	SHOW(fsmount_(context, 0, 0x10000));
	int mounted = (int)MUST(fsmount_(context, 1, 0x2 | 0x8 | 0x10));
	SHOW(fcntl(mounted, F_GETFD));
	SHOW(fsmount_(context, 0, 0));
	show("made");
	SHOW(move_(mounted, "", AT_FDCWD, ROOT "/a", F_EMPTY));
	show("attached");
	struct stat status;
	MUST(stat(ROOT "/a", &status));
	printf("mode %o\n", status.st_mode);
	close(mounted);
	close(context);
	context = (int)MUST(fspick_(AT_FDCWD, ROOT "/a", 0));
	SHOW(config(context, SET_FLAG, "ro", NULL, 0));
	SHOW(config(context, CREATE, NULL, NULL, 0));
	SHOW(config(context, RECONFIGURE, NULL, NULL, 0));
	show("changed");
	close(context);
	SHOW(fspick_(AT_FDCWD, ROOT, 0));
	SHOW(fspick_(AT_FDCWD, ROOT "/none", 0));
	SHOW(fspick_(AT_FDCWD, ROOT "/a", 16));
	SHOW(fsopen_("none-such", 0));
	SHOW(fsopen_("tmpfs", 2));
	SHOW(fsopen_((char *)1, 0));
	SHOW(config(-1, CREATE, NULL, NULL, 0));
	SHOW(config(0, CREATE, NULL, NULL, 0));
	SHOW(fsmount_(0, 0, 0));
	SHOW(fsmount_(-1, 0, 0));
	context = (int)MUST(fsopen_("proc", 0));
	MUST(config(context, CREATE, NULL, NULL, 0));
	mounted = (int)MUST(fsmount_(context, 0, 1));
	CHECK(faccessat(mounted, "self/stat", F_OK, 0) == 0);
	SHOW(move_(mounted, "", AT_FDCWD, ROOT "/b", F_EMPTY));
	show("proc");
	close(mounted);
	close(context);
	MUST(umount(ROOT "/a"));
	MUST(umount(ROOT "/b"));
}

static void attributes(void)
{
	MUST(mount("one", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mount("two", ROOT "/a/x", "tmpfs", 0, NULL));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0x1 | 0x2 | 0x80, 0, 0));
	show("set");
	SHOW(open(ROOT "/a/file", O_CREAT | O_WRONLY, 0600));
	SHOW(change(AT_FDCWD, ROOT "/a", RECURSIVE, 0x10, 0x70 | 1, 0));
	show("other times");
	SHOW(change(AT_FDCWD, ROOT "/a", RECURSIVE, 0x20, 0x70, 0));
	show("strict times");
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0, 0x70 | 0x80 | 2, 0));
	show("relative times");
	SHOW(change(AT_FDCWD, ROOT "/a", RECURSIVE, 0, 0, MS_SHARED));
	show("shared");
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 4, 0, MS_PRIVATE));
	show("private");
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0x10, 0, 0));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0, 0x10, 0));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0x40, 0x70, 0));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0x30, 0x70, 0));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 1UL << 40, 0, 0));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0, 1UL << 40, 0));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0, 0, MS_SHARED | MS_PRIVATE));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, 0, 0, MS_RDONLY));
	SHOW(change(AT_FDCWD, ROOT "/a", 2, 1, 0, 0));
	SHOW(change(AT_FDCWD, ROOT "/none", 0, 1, 0, 0));
	SHOW(change(AT_FDCWD, ROOT, 0, 1, 0, 0));
	SHOW(change(AT_FDCWD, ROOT "/none", 0, 0, 0, 0));
	char large[64] = {0};
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, ROOT "/a", 0, large, 31));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, ROOT "/a", 0, large, 64));
	large[63] = 1;
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, ROOT "/a", 0, large, 64));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, ROOT "/a", 0, large, 4097));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, ROOT "/a", 0, (void *)1, 32));
	int tree = (int)MUST(open_tree_(AT_FDCWD, ROOT "/a", CLONE | RECURSIVE));
	SHOW(change(tree, "", AT_EMPTY_PATH | RECURSIVE, 1, 0, 0));
	SHOW(change(tree, "x", 0, 1, 0, 0));
	SHOW(move_(tree, "", AT_FDCWD, ROOT "/b", F_EMPTY));
	show("a read-only copy");
	close(tree);
	MUST(umount2(ROOT "/b", MNT_DETACH));
	MUST(umount2(ROOT "/a", MNT_DETACH));
}

static void wrong(void)
{
	mark(ROOT "/file");
	MUST(mount("one", ROOT "/a", "tmpfs", 0, NULL));
	MUST(mkdir(ROOT "/a/x", 0755));
	int tree = (int)MUST(open_tree_(AT_FDCWD, ROOT "/a", CLONE));
	SHOW(move_(tree, "", AT_FDCWD, ROOT "/file", F_EMPTY));
	SHOW(move_(tree, "", AT_FDCWD, ROOT "/none", F_EMPTY));
	SHOW(move_(tree, "", AT_FDCWD, ROOT "/b", 0));
	SHOW(move_(tree, "x", AT_FDCWD, ROOT "/b", 0));
	SHOW(move_(tree, "", tree, "x", F_EMPTY));
	SHOW(move_(AT_FDCWD, ROOT "/a", AT_FDCWD, ROOT "/a/x", 0));
	SHOW(move_(AT_FDCWD, "/", AT_FDCWD, ROOT "/b", 0));
	SHOW(move_(AT_FDCWD, ROOT "/a/x", AT_FDCWD, ROOT "/b", 0));
	SHOW(move_(AT_FDCWD, ROOT "/a", AT_FDCWD, ROOT "/b", 0x400));
	close(tree);
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		SHOW(open_tree_(AT_FDCWD, ROOT "/a", CLONE));
		CHECK(open_tree_(AT_FDCWD, ROOT "/a", 0) >= 0);
		SHOW(fsopen_("tmpfs", 0));
		SHOW(fsopen_("none-such", 2));
		SHOW(fspick_(AT_FDCWD, ROOT "/a", 0));
		SHOW(fsmount_(-1, 0, 0));
		SHOW(move_(AT_FDCWD, ROOT "/a", AT_FDCWD, ROOT "/b", 0x400));
		SHOW(change(AT_FDCWD, ROOT "/a", 0, 1, 0, 0));
		SHOW(change(AT_FDCWD, ROOT "/a", 2, 1, 0, 0));
	});
	MUST(umount(ROOT "/a"));
	MUST(unlink(ROOT "/file"));
}

int main(void)
{
	MUST(mkdir(ROOT, 0755));
	MUST(mkdir(ROOT "/a", 0755));
	MUST(mkdir(ROOT "/b", 0755));
	MUST(mkdir(ROOT "/c", 0755));
	trees();
	making();
	attributes();
	wrong();
	return 0;
}
