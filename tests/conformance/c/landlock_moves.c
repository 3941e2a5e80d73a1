/* Landlock: links and renames between directories (LANDLOCK_ACCESS_FS_REFER): no file may gain rights by them. */
#include "landlock_case.h"
#include <sys/mount.h>

#define ROOT "/tmp/lm"
#define HANDLED (ALL_FILES & ~(MAKE_CHAR | MAKE_BLOCK))

static void prepare(void)
{
	mkdir(ROOT, 0777);
	MUST(mount("lm", ROOT, "tmpfs", 0, "mode=777"));
	MUST(chdir(ROOT));
	const char *directories[] = {"a", "a/in", "a/dir", "b", "b/in", "b/dir", "c", "c/in"};
	for (unsigned i = 0; i < 8; i++)
		mkdir(directories[i], 0777);
	put_file("a/file", "x", 0666);
	put_file("a/in/file", "x", 0666);
	put_file("b/file", "x", 0666);
	put_file("b/in/file", "x", 0666);
	put_file("c/file", "x", 0666);
}

static void finish(void)
{
	MUST(chdir("/"));
	umount2(ROOT, MNT_DETACH);
}

static long rename2(const char *from, const char *to, unsigned flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void all_moves(void)
{
	TRY(link("a/file", "a/link"));
	TRY(link("a/file", "a/in/link"));
	TRY(link("a/file", "b/link"));
	TRY(link("b/file", "a/link2"));
	TRY(link("b/in/file", "c/link"));
	TRY(rename("a/file", "a/file2"));
	TRY(rename("a/file2", "a/in/file2"));
	TRY(rename("a/in/file2", "a/file"));
	TRY(rename("a/file", "b/file2"));
	TRY(rename("b/file2", "a/file"));
	TRY(rename("a/file", "b/file"));
	TRY(rename("a/dir", "b/dir"));
	TRY(rename("a/dir", "b/dir2"));
	TRY(rename("b/dir2", "a/dir"));
	TRY(rename("a/in", "c/in"));
	TRY(rename("a/in", "c/new"));
	TRY(rename("b/in/file", "c/in/file"));
	TRY(rename2("a/in/file", "b/in/file", 2));
	TRY(rename2("a/in", "b/in/file", 2));
	TRY(rename2("a/in", "b/in", 2));
	TRY(rename2("a/in", "a/dir", 2));
	TRY(rename2("a/in/file", "c/file", 1));
	TRY(rename2("a/in/file", "c/white", 4));
	TRY(rename2("b/in/file", "b/white", 4));
	TRY(rename("c/file", "c/file"));
	TRY(rename("c/missing", "a/file"));
	TRY(rename("c/file", "missing/file"));
	TRY(rename("c", "c/in/c"));
	int unnamed = open("a", O_RDWR | O_TMPFILE, 0600);
	char name[64];
	snprintf(name, sizeof name, "/proc/self/fd/%d", unnamed);
	TRY(linkat(AT_FDCWD, name, AT_FDCWD, "a/tmp", AT_SYMLINK_FOLLOW));
	TRY(linkat(AT_FDCWD, name, AT_FDCWD, "b/tmp", AT_SYMLINK_FOLLOW));
}

struct rule {
	const char *path;
	uint64_t rights;
};

static void with(const char *what, uint64_t handled, const struct rule *first, const struct rule *second)
{
	printf("== %s\n", what);
	prepare();
	IN_CHILD({
		int set = (int)MUST(create(handled, 0, 0));
		for (; first->path; first++)
			MUST(allow(set, first->path, first->rights & handled));
		MUST(restrict_self(set));
		if (second) {
			set = (int)MUST(create(HANDLED, 0, 0));
			for (; second->path; second++)
				MUST(allow(set, second->path, second->rights));
			MUST(restrict_self(set));
		}
		all_moves();
	});
	finish();
}

int main(void)
{
	uint64_t move = REFER | MAKE_REG | REMOVE_FILE | MAKE_DIR | REMOVE_DIR;
	with("nothing but reading is handled", READ_FILE, (struct rule[]){{ROOT, READ_FILE}, {NULL, 0}}, NULL);
	with("all everywhere, but no REFER", HANDLED, (struct rule[]){{ROOT, HANDLED & ~REFER}, {NULL, 0}}, NULL);
	with("all everywhere", HANDLED, (struct rule[]){{ROOT, HANDLED}, {NULL, 0}}, NULL);
	with("only REFER is handled", REFER, (struct rule[]){{ROOT, REFER}, {NULL, 0}}, NULL);
	with("REFER in a and b", REFER, (struct rule[]){{"a", REFER}, {"b", REFER}, {NULL, 0}}, NULL);
	with("REFER in a alone", REFER, (struct rule[]){{"a", REFER}, {NULL, 0}}, NULL);
	with("moves everywhere, reading in b", HANDLED, (struct rule[]){{ROOT, move}, {"b", READ_FILE}, {NULL, 0}}, NULL);
	with("moves everywhere, reading in a", HANDLED, (struct rule[]){{ROOT, move}, {"a", READ_FILE}, {NULL, 0}}, NULL);
	with("moves everywhere, reading in a and b", HANDLED,
		(struct rule[]){{ROOT, move}, {"a", READ_FILE | WRITE_FILE}, {"b", READ_FILE | WRITE_FILE}, {NULL, 0}}, NULL);
	with("moves everywhere, reading directories in b", HANDLED,
		(struct rule[]){{ROOT, move}, {"b", READ_DIR}, {NULL, 0}}, NULL);
	with("moves everywhere, reading the file itself", HANDLED,
		(struct rule[]){{ROOT, move}, {"a/file", READ_FILE}, {"b", READ_FILE}, {NULL, 0}}, NULL);
	with("no removal in a", HANDLED, (struct rule[]){{"a", REFER | MAKE_REG | MAKE_DIR}, {"b", move}, {"c", move}, {NULL, 0}}, NULL);
	with("no creation in b", HANDLED, (struct rule[]){{"a", move}, {"b", REFER | REMOVE_FILE}, {"c", move}, {NULL, 0}}, NULL);
	with("two layers, the inner one all", HANDLED, (struct rule[]){{ROOT, move}, {NULL, 0}},
		(struct rule[]){{ROOT, HANDLED}, {NULL, 0}});
	with("two layers, the inner one without REFER in b", HANDLED, (struct rule[]){{ROOT, HANDLED}, {NULL, 0}},
		(struct rule[]){{ROOT, HANDLED & ~REFER}, {"a", HANDLED}, {"c", HANDLED}, {NULL, 0}});
	with("two layers with different rights", HANDLED, (struct rule[]){{ROOT, move}, {"a", READ_FILE}, {NULL, 0}},
		(struct rule[]){{ROOT, move}, {"b", READ_FILE}, {NULL, 0}});
	with("rights above the mount", HANDLED, (struct rule[]){{"/", HANDLED}, {NULL, 0}}, NULL);
	with("REFER above the mount", HANDLED, (struct rule[]){{"/tmp", REFER}, {"a", move & ~REFER}, {"b", move & ~REFER}, {NULL, 0}}, NULL);
	puts("== a layer without files");
	prepare();
	IN_CHILD({
		int set = (int)MUST(create(READ_FILE | REFER, 0, 0));
		MUST(allow(set, "/", READ_FILE | REFER));
		MUST(restrict_self(set));
		TRY(rename("a/file", "b/moved"));
		enter(0, BIND, 0);
		TRY(rename("b/moved", "a/file"));
	});
	finish();
	puts("== a directory that left its mount");
	prepare();
	mkdir("bound", 0777);
	MUST(mount("a", "bound", NULL, MS_BIND, NULL));
	IN_CHILD({
		MUST(chdir("bound/in"));
		MUST(rename(ROOT "/a/in", ROOT "/c/gone"));
		int set = (int)MUST(create(HANDLED, 0, 0));
		MUST(allow(set, ROOT "/bound", READ_FILE));
		MUST(restrict_self(set));
		TRY(open("file", O_RDONLY));
		TRY(open("file", O_RDWR));
		TRY(open(ROOT "/c/gone/file", O_RDONLY));
		set = (int)MUST(create(HANDLED, 0, 0));
		MUST(allow(set, ROOT, READ_FILE));
		MUST(restrict_self(set));
		TRY(open("file", O_RDONLY));
		TRY(rename("file", "file2"));
	});
	umount2(ROOT "/bound", MNT_DETACH);
	finish();
	return 0;
}
