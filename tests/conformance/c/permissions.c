/* Covers: chmod, fchmod, fchmodat, chown, fchown, lchown, access, faccessat, umask; checks for a user who is not root; set-ID bits; sticky directories. */
#include <grp.h>
#include "case.h"

static void mode(const char *path)
{
	struct stat st;
	MUST(lstat(path, &st));
	printf("  %s: %o %d:%d\n", path, st.st_mode, st.st_uid, st.st_gid);
}

static void as_user(void)
{
	MUST(setgroups(0, 0));
	MUST(setgid(1000));
	MUST(setuid(1000));
}

int main(void)
{
	put_file("file", "x", 0644);
	MUST(chmod(".", 0777));
	SHOW(chmod("file", 0751));
	mode("file");
	SHOW(chmod("file", 06755));
	mode("file");
	SHOW(chown("file", 1000, 1000));
	mode("file");
	SHOW(chown("file", -1, 7));
	mode("file");
	SHOW(chmod("none", 0644));
	SHOW(chown("none", 0, 0));
	SHOW(chmod("file/x", 0644));
	int fd = (int)MUST(open("file", O_RDONLY));
	SHOW(fchmod(fd, 0600));
	SHOW(fchown(fd, 0, 0));
	SHOW(fchmod(99, 0600));
	mode("file");
	MUST(symlink("file", "link"));
	SHOW(chmod("link", 0640));
	SHOW(lchown("link", 1000, 1000));
	mode("file"), mode("link");
	SHOW(syscall(SYS_fchmodat, AT_FDCWD, "file", 0604));
	mode("file");
	SHOW(access("file", R_OK | W_OK));
	SHOW(access("file", X_OK));
	SHOW(access("file", 8));
	SHOW(access("none", F_OK));
	printf("umask %o\n", umask(0777));
	printf("umask %o\n", umask(022));

	put_file("private", "secret", 0600);
	put_file("readable", "public", 0644);
	put_file("program", "#!/bin/sh\n", 0744);
	put_file("mine", "m", 0444);
	MUST(chown("mine", 1000, 1000));
	put_file("grouped", "g", 0060);
	MUST(chown("grouped", 0, 1000));
	put_file("owner-denied", "o", 0066);
	MUST(chown("owner-denied", 1000, 1000));
	MUST(mkdir("closed", 0700));
	MUST(mkdir("search-only", 0711));
	MUST(mkdir("list-only", 0744));
	MUST(mkdir("sticky", 01777));
	MUST(chmod("sticky", 01777));
	put_file("closed/file", "c", 0666);
	put_file("search-only/file", "s", 0666);
	put_file("list-only/file", "l", 0666);
	put_file("sticky/file", "t", 0666);
	put_file("set-id", "i", 0644);
	MUST(chown("set-id", 1000, 1000));
	MUST(chmod("set-id", 06777));
	IN_CHILD(
		as_user();
		SHOW(open("private", O_RDONLY));
		TRY(open("readable", O_RDONLY));
		SHOW(open("readable", O_WRONLY));
		SHOW(open("readable", O_RDWR | O_TRUNC));
		SHOW(open("mine", O_WRONLY));
		TRY(open("grouped", O_RDWR));
		SHOW(open("owner-denied", O_RDONLY));
		SHOW(open("closed/file", O_RDONLY));
		SHOW(access("closed/none", F_OK));
		TRY(open("search-only/file", O_RDONLY));
		SHOW(open("search-only", O_RDONLY));
		SHOW(open("search-only/new", O_CREAT | O_WRONLY, 0600));
		TRY(open("list-only", O_RDONLY));
		SHOW(open("list-only/file", O_RDONLY));
		SHOW(chdir("closed"));
		SHOW(chdir("list-only"));
		SHOW(chdir("search-only"));
		SHOW(chdir(".."));
		SHOW(unlink("search-only/file"));
		SHOW(unlink("sticky/file"));
		SHOW(rename("sticky/file", "sticky/other"));
		TRY(open("sticky/own", O_CREAT | O_WRONLY, 0600));
		SHOW(unlink("sticky/own"));
		SHOW(rmdir("closed"));
		SHOW(access("program", X_OK));
		SHOW(access("private", R_OK));
		SHOW(access("private", F_OK));
		SHOW(chmod("readable", 0666));
		SHOW(chmod("mine", 0640));
		SHOW(chown("mine", 0, -1));
		SHOW(chown("mine", -1, 1000));
		SHOW(chown("mine", -1, 7));
		SHOW(chown("readable", 1000, 1000));
		SHOW(execl("program", "program", NULL));
		SHOW(link("private", "stolen"));
		SHOW(mkdir("closed/x", 0700));
		SHOW(mknod("device", S_IFCHR | 0600, 0x103));
		SHOW(setuid(0));
		SHOW(setgid(0));
		SHOW(chroot("."));
		SHOW(sethostname("x", 1));
		int w = open("set-id", O_WRONLY | O_APPEND);
		SHOW(write(w, "y", 1));
	);
	mode("mine"), mode("set-id");

	/* A directory with the set-group-ID bit hands its group on. */
	MUST(mkdir("shared", 0777));
	MUST(chown("shared", 0, 1000));
	MUST(chmod("shared", 02777));
	put_file("shared/file", "", 0644);
	MUST(mkdir("shared/dir", 0755));
	mode("shared/file"), mode("shared/dir");
	return 0;
}
