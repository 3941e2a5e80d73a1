/* Covers: rename, renameat, renameat2 (RENAME_NOREPLACE, RENAME_EXCHANGE): files, directories, links, every error of rename(2). */
#include "case.h"

static void look(const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		printf("  %s: %s\n", path, error_name(errno));
	else
		printf("  %s: mode %o links %ld\n", path, st.st_mode, (long)st.st_nlink);
}

int main(void)
{
	put_file("a", "A", 0600);
	put_file("b", "B", 0640);
	MUST(mkdir("d", 0755));
	MUST(mkdir("e", 0755));
	MUST(mkdir("full", 0755));
	put_file("full/file", "F", 0600);
	SHOW(rename("a", "c"));
	look("a"), look("c");
	SHOW(rename("c", "b"));
	show_file("b");
	SHOW(rename("none", "x"));
	SHOW(rename("b", "none/x"));
	SHOW(rename("b", "d"));
	SHOW(rename("d", "b"));
	SHOW(rename("d", "e"));
	look("d"), look("e");
	SHOW(rename("e", "full"));
	SHOW(rename("full", "full/sub"));
	SHOW(rename("full", "full/sub/deeper"));
	SHOW(rename("full", "moved"));
	show_file("moved/file");
	SHOW(rename("b", "b"));
	SHOW(link("b", "hard"));
	SHOW(rename("b", "hard"));
	look("b"), look("hard");
	SHOW(symlink("b", "soft"));
	SHOW(rename("soft", "soft2"));
	look("soft2");
	SHOW(rename("hard", "soft2"));
	look("soft2");
	SHOW(rename("b", "b/"));
	SHOW(rename("e", "e2/"));
	SHOW(rename("e2/.", "x"));
	SHOW(rename("e2", "."));
	SHOW(rename("e2", ".."));
	SHOW(rename("", "x"));
	SHOW(rename("b", ""));
	SHOW(rename("b", "/dev/pts-none"));
	SHOW(rename("b", "/proc/x"));
	SHOW(rename("/", "x"));
	SHOW(rename("/tmp", "x"));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "soft2", 1));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "b", AT_FDCWD, "fresh", 1));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "moved", 2));
	look("fresh"), look("moved");
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "nothing", 2));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "x", 3));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "fresh", AT_FDCWD, "x", 8));
	SHOW(syscall(SYS_rename, (void *)8, "x"));
	SHOW(syscall(SYS_rename, "fresh", (void *)8));
	struct stat st;
	MUST(stat(".", &st));
	printf("links of this directory: %ld\n", (long)st.st_nlink);
	return 0;
}
