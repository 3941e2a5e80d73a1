/* Covers: link, linkat (AT_SYMLINK_FOLLOW), symlink, symlinkat, readlink, readlinkat, unlink; link loops and limits. */
#include "case.h"

int main(void)
{
	char buffer[300], name[32];
	struct stat st;
	put_file("file", "text", 0644);
	MUST(mkdir("dir", 0755));
	SHOW(link("file", "hard"));
	SHOW(link("file", "hard"));
	SHOW(link("none", "x"));
	SHOW(link("dir", "x"));
	SHOW(link("file", "none/x"));
	SHOW(link("file", "/proc/x"));
	SHOW(link("file", "dir/"));
	MUST(stat("hard", &st));
	printf("links %ld\n", (long)st.st_nlink);
	SHOW(symlink("file", "soft"));
	SHOW(symlink("file", "soft"));
	SHOW(symlink("", "x"));
	SHOW(symlink("target", ""));
	SHOW(symlink("target", "none/x"));
	SHOW(linkat(AT_FDCWD, "soft", AT_FDCWD, "softer", 0));
	MUST(lstat("softer", &st));
	printf("mode %o\n", st.st_mode);
	SHOW(linkat(AT_FDCWD, "soft", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	MUST(lstat("followed", &st));
	printf("mode %o links %ld\n", st.st_mode, (long)st.st_nlink);
	SHOW(linkat(AT_FDCWD, "file", AT_FDCWD, "y", 0x40000));
	memset(buffer, '#', sizeof buffer);
	SHOW(readlink("soft", buffer, sizeof buffer));
	printf("%.6s\n", buffer);
	SHOW(readlink("soft", buffer, 2));
	SHOW(readlink("soft", buffer, 0));
	SHOW(syscall(SYS_readlink, "soft", buffer, -1));
	SHOW(readlink("file", buffer, sizeof buffer));
	SHOW(readlink("none", buffer, sizeof buffer));
	SHOW(readlink("file/x", buffer, sizeof buffer));
	SHOW(syscall(SYS_readlink, "soft", (void *)8, 100));
	int dir = (int)MUST(open("dir", O_RDONLY));
	SHOW(symlinkat("../file", dir, "up"));
	SHOW(readlinkat(dir, "up", buffer, sizeof buffer));
	show_file("dir/up");
	int link_itself = (int)MUST(open("soft", O_PATH | O_NOFOLLOW));
	SHOW(readlinkat(link_itself, "", buffer, sizeof buffer));
	SHOW(readlinkat(dir, "", buffer, sizeof buffer));

	/* Links through links: at most forty are followed. */
	symlink("file", "chain-0");
	for (int i = 1; i < 50; i++) {
		snprintf(buffer, sizeof buffer, "chain-%d", i - 1);
		snprintf(name, sizeof name, "chain-%d", i);
		MUST(symlink(buffer, name));
	}
	TRY(open("chain-39", O_RDONLY));
	SHOW(open("chain-40", O_RDONLY));
	SHOW(symlink("ring-b", "ring-a"));
	SHOW(symlink("ring-a", "ring-b"));
	SHOW(stat("ring-a", &st));
	SHOW(lstat("ring-a", &st));
	SHOW(symlink("dir", "to-dir"));
	SHOW(stat("to-dir/up", &st));
	SHOW(lstat("to-dir/", &st));
	printf("mode %o\n", st.st_mode);
	SHOW(unlink("to-dir/"));
	SHOW(rmdir("to-dir"));
	SHOW(unlink("to-dir"));
	SHOW(unlink("soft"));
	show_file("file");
	static char target[5000];
	memset(target, 't', 4999);
	SHOW(symlink(target, "long"));
	target[4095] = 0;
	SHOW(symlink(target, "long"));
	SHOW(open("long", O_RDONLY));
	return 0;
}
