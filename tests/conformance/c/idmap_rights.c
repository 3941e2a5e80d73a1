/* Rights on an id-mapped mount: who is who, and what belongs to nobody.
 * Files below `plain` belong to users as they are kept; `m` shows 0 to 9999 as 10000 to 19999 (groups as 20000 on).
 */
#include "idmap_case.h"
#include <sys/socket.h>
#include <sys/un.h>

#define ROOT "/tmp/rights"
#define P ROOT "/plain/"
#define M ROOT "/m/"

static void basics(void)
{
	make(P "file", 0640, 1000, 1000);
	make(P "secret", 0600, 0, 0);
	make(P "stranger", 0666, 40000, 40000);
	make(P "half", 0666, 1000, 40000);
	owner(M "file");
	owner(M "secret");
	owner(M "stranger");
	owner(M "half");
	int fd = (int)MUST(open(M "file", O_RDONLY));
	struct stat s;
	MUST(fstat(fd, &s));
	printf("fstat: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
	close(fd);
	struct { uint32_t mask, block; uint64_t more; uint32_t links, uid, gid; char rest[240]; } x;
	MUST(syscall(SYS_statx, AT_FDCWD, M "file", 0, 0x7ff, &x));
	printf("statx: %d:%d\n", (int)x.uid, (int)x.gid);
	/* Root is somebody else there, but may do what its capabilities permit for those who are somebody. */
	TRY(open(M "secret", O_RDWR));
	TRY(open(M "stranger", O_RDONLY));
	TRY(open(M "stranger", O_WRONLY));
	TRY(open(M "half", O_WRONLY));
	TRY(truncate(M "stranger", 0));
	SHOW(access(M "stranger", W_OK));
	SHOW(access(M "stranger", R_OK));
	make(P "closed", 0000, 40000, 40000);
	TRY(open(M "closed", O_RDONLY));
	TRY(open(P "closed", O_RDONLY));
	SHOW(open(M "new", O_CREAT | O_WRONLY, 0644));
	SHOW(mkdir(M "new", 0755));
	SHOW(mknod(M "new", S_IFIFO | 0644, 0));
	SHOW(symlink("x", M "new"));
	SHOW(link(M "file", M "linked"));
	owner(P "linked");
	SHOW(link(M "stranger", M "new"));
	SHOW(link(M "half", M "new"));
	SHOW(rename(M "linked", M "renamed"));
	SHOW(rename(M "stranger", M "new"));
	SHOW(rename(M "file", M "stranger"));
	SHOW(unlink(M "stranger"));
	SHOW(unlink(M "half"));
	SHOW(unlink(M "renamed"));
	SHOW(open(M, O_TMPFILE | O_RDWR, 0600));
	for (int i = 0; i < 2; i++) {
		int uid = i ? 1000 : 11000;
		AS(uid, {
			TRY(open(M "file", O_RDWR));
			TRY(open(P "file", O_RDWR));
			TRY(open(M "secret", O_RDONLY));
			TRY(open(M "stranger", O_RDONLY));
			TRY(open(M "stranger", O_WRONLY));
			TRY(open(M "half", O_WRONLY));
			TRY(open(M "file", O_RDONLY | O_NOATIME));
		});
	}
	printf("-- as 3 of group 21000\n");
	IN_CHILD({
		gid_t groups[] = {7, 21000};
		MUST(setgroups(2, groups));
		MUST(setresgid(3, 3, 3));
		MUST(setresuid(3, 3, 3));
		TRY(open(M "file", O_RDONLY));
		TRY(open(M "file", O_WRONLY));
	});
	printf("-- as group 21000\n");
	IN_CHILD({
		MUST(setgroups(0, NULL));
		MUST(setresgid(21000, 21000, 21000));
		MUST(setresuid(3, 3, 3));
		TRY(open(M "file", O_RDONLY));
	});
	printf("-- with 40000 as file system user\n");
	IN_CHILD({
		become(40000);
		TRY(open(M "stranger", O_WRONLY));
		TRY(open(M "stranger", O_RDONLY));
		SHOW(chmod(M "stranger", 0600));
	});
}

static void be(uid_t uid, gid_t gid)
{
	MUST(setgroups(0, NULL));
	MUST(setresgid(gid, gid, gid));
	MUST(setresuid(uid, uid, uid));
}

static void making(void)
{
	make_directory(P "open", 0777, 0, 0);
	make_directory(P "sticky", 01777, 0, 0);
	make_directory(P "group", 02777, 0, 5);
	IN_CHILD({
		be(11000, 21000);
		SHOW(close((int)MUST(open(M "open/file", O_CREAT | O_WRONLY, 0644))));
		SHOW(mkdir(M "open/dir", 0755));
		SHOW(mknod(M "open/fifo", S_IFIFO | 0644, 0));
		SHOW(symlink("target", M "open/link"));
		SHOW(close((int)MUST(open(M "group/file", O_CREAT | O_WRONLY, 02755))));
		SHOW(mkdir(M "group/dir", 0755));
		SHOW(close((int)MUST(open(M "sticky/file", O_CREAT | O_WRONLY, 0666))));
		SHOW(symlink("file", M "sticky/link"));
		int fd = (int)SHOW(open(M "open", O_TMPFILE | O_RDWR, 0600) >= 0 ? 1 : -1);
		fd = (int)MUST(open(M "open", O_TMPFILE | O_RDWR, 0600));
		char name[64];
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		SHOW(linkat(AT_FDCWD, name, AT_FDCWD, M "open/named", AT_SYMLINK_FOLLOW));
		int s = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
		struct sockaddr_un address = {AF_UNIX, M "open/socket"};
		SHOW(bind(s, (struct sockaddr *)&address, sizeof address));
		MUST(listen(s, 1));
		int c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
		SHOW(connect(c, (struct sockaddr *)&address, sizeof address));
		SHOW(chmod(M "open/socket", 0));
		c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
		SHOW(connect(c, (struct sockaddr *)&address, sizeof address));
	});
	const char *names[] = {"open/file", "open/dir", "open/fifo", "open/link", "group/file", "group/dir", "sticky/file",
		"sticky/link", "open/named", "open/socket"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[100];
		snprintf(path, sizeof path, P "%s", names[i]);
		owner(path);
		snprintf(path, sizeof path, M "%s", names[i]);
		owner(path);
	}
	/* Nobody there. */
	IN_CHILD({
		be(1000, 1000);
		SHOW(open(M "open/none", O_CREAT | O_WRONLY, 0644));
		SHOW(mkdir(M "open/none", 0755));
		SHOW(symlink("target", M "open/none"));
		SHOW(open(M "open/file", O_CREAT | O_WRONLY, 0644));
		SHOW(open(M "file/none", O_CREAT | O_WRONLY, 0644));
		int fd = -1;
		TRY(fd = open(M "open", O_TMPFILE | O_RDWR, 0600));
		if (fd >= 0) {
			struct stat s;
			MUST(fstat(fd, &s));
			printf("unnamed: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
			SHOW(fchmod(fd, 0644));
			SHOW(write(fd, "x", 1));
		}
	});
	IN_CHILD({
		be(11000, 1000);
		SHOW(mkdir(M "open/none", 0755));
		SHOW(rename(M "open/file", M "open/moved"));
		SHOW(unlink(M "open/moved"));
	});
	printf("-- sticky\n");
	AS(11001, {
		SHOW(unlink(M "sticky/file"));
		SHOW(rename(M "sticky/file", M "sticky/other"));
		TRY(open(M "sticky/link", O_RDONLY));
	});
	AS(1000, {
		SHOW(unlink(M "sticky/file"));
		TRY(open(M "sticky/link", O_RDONLY));
	});
	AS(10000, SHOW(rename(M "sticky/file", M "sticky/other")));
	AS(11000, {
		TRY(open(M "sticky/link", O_RDONLY));
		SHOW(unlink(M "sticky/link"));
		SHOW(unlink(M "sticky/other"));
	});
}

static void changing(void)
{
	make(P "own", 0644, 1000, 1000);
	make(P "lost", 0644, 40000, 40000);
	make(P "half-lost", 0644, 1000, 40000);
	make(P "set", 06755, 1000, 1000);
	struct timespec times[2] = {{1000, 0}, {2000, 0}};
	AS(11000, {
		SHOW(chmod(M "own", 0600));
		SHOW(utimensat(AT_FDCWD, M "own", times, 0));
		SHOW(utimensat(AT_FDCWD, M "own", NULL, 0));
		SHOW(chown(M "own", 11000, -1));
		SHOW(chown(M "own", -1, 11000));
		SHOW(chown(M "own", 1000, -1));
		SHOW(chown(M "own", 11001, -1));
		SHOW(chmod(M "half-lost", 0600));
		SHOW(utimensat(AT_FDCWD, M "half-lost", times, 0));
		SHOW(utimensat(AT_FDCWD, M "half-lost", NULL, 0));
		SHOW(chmod(M "lost", 0600));
	});
	IN_CHILD({
		gid_t groups[] = {21000, 20007, 9};
		MUST(setgroups(3, groups));
		MUST(setresgid(21000, 21000, 21000));
		MUST(setresuid(11000, 11000, 11000));
		SHOW(chown(M "own", -1, 20007));
		owner(P "own");
		SHOW(chown(M "own", -1, 7));
		SHOW(chown(M "own", -1, 9));
		SHOW(chmod(M "own", 02755));
		SHOW(chown(M "own", -1, 21000));
		owner(P "own");
	});
	AS(1000, {
		SHOW(chmod(M "own", 0600));
		SHOW(utimensat(AT_FDCWD, M "own", times, 0));
		SHOW(utimensat(AT_FDCWD, M "own", NULL, 0));
		SHOW(chown(M "own", 1000, -1));
		SHOW(utimensat(AT_FDCWD, M "lost", times, 0));
		SHOW(utimensat(AT_FDCWD, M "lost", NULL, 0));
	});
	printf("-- as root\n");
	SHOW(chown(M "own", 12000, 22000));
	owner(P "own");
	SHOW(chown(M "own", 0, 0));
	SHOW(chown(M "own", -1, 2000));
	SHOW(chown(M "own", -1, -1));
	SHOW(chmod(M "own", 0604));
	SHOW(chmod(M "lost", 0604));
	SHOW(chmod(M "half-lost", 0604));
	SHOW(utimensat(AT_FDCWD, M "lost", times, 0));
	SHOW(utimensat(AT_FDCWD, M "lost", NULL, 0));
	SHOW(chown(M "lost", -1, -1));
	SHOW(chown(M "lost", 11000, -1));
	SHOW(chown(M "lost", -1, 21000));
	SHOW(chown(M "half-lost", 11001, -1));
	SHOW(chown(M "half-lost", -1, 21001));
	owner(P "half-lost");
	SHOW(chown(M "lost", 11000, 21000));
	owner(P "lost");
	owner(M "lost");
	SHOW(chown(M "set", 11001, -1));
	owner(P "set");
	make(P "set-lost", 04755, 40000, 40000);
	SHOW(chown(M "set-lost", 11000, 21000));
	owner(P "set-lost");
	printf("-- as root without all capabilities\n");
	make(P "less", 0644, 40000, 40000);
	IN_CHILD({
		MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
		be(1000, 1000);
		SHOW(chown(M "less", 11000, 21000));
	});
	owner(M "less");
}

static void attributes_(void)
{
	make(P "x", 0644, 1000, 1000);
	make(P "x-lost", 0666, 40000, 40000);
	make_directory(P "x-sticky", 01777, 1000, 1000);
	AS(11000, {
		SHOW(setxattr(M "x", "user.a", "1", 1, 0));
		SHOW(setxattr(M "x-lost", "user.a", "1", 1, 0));
		SHOW(setxattr(M "x-sticky", "user.a", "1", 1, 0));
		SHOW(getxattr(M "x", "user.a", NULL, 0));
	});
	AS(11001, {
		SHOW(setxattr(M "x", "user.b", "1", 1, 0));
		SHOW(setxattr(M "x-sticky", "user.b", "1", 1, 0));
		SHOW(removexattr(M "x", "user.a"));
		SHOW(getxattr(M "x", "user.a", NULL, 0));
	});
	SHOW(setxattr(M "x-lost", "user.a", "1", 1, 0));
	SHOW(setxattr(M "x-lost", "trusted.a", "1", 1, 0));
	SHOW(setxattr(M "x", "trusted.a", "1", 1, 0));
	SHOW(removexattr(M "x", "user.a"));
	SHOW(getxattr(M "x-lost", "user.a", NULL, 0));
}

static void opened(void)
{
	make(P "o", 0666, 1000, 1000);
	make(P "o-lost", 0666, 40000, 40000);
	AS(11000, {
		int fd = (int)MUST(open(M "o", O_RDWR));
		SHOW(fcntl(fd, F_SETFL, O_NOATIME));
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
		close(fd);
		fd = (int)MUST(open(M "o", O_RDONLY));
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
		TRY(open(M "o-lost", O_RDONLY | O_NOATIME));
	});
	AS(1000, {
		int fd = (int)MUST(open(M "o", O_RDONLY));
		SHOW(fcntl(fd, F_SETFL, O_NOATIME));
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	});
	TRY(open(M "o-lost", O_RDONLY | O_NOATIME));
	/* Reading does not change the time of a file of nobody. */
	struct timespec times[2] = {{1000, 0}, {2000, 0}};
	MUST(utimensat(AT_FDCWD, P "o-lost", times, 0));
	MUST(utimensat(AT_FDCWD, P "o", times, 0));
	put_file(P "read-me", "text", 0644);
	const char *names[] = {M "o", M "o-lost"};
	for (int i = 0; i < 2; i++) {
		char byte;
		int fd = (int)MUST(open(names[i], O_RDONLY));
		MUST(read(fd, &byte, 1));
		close(fd);
		struct stat s;
		MUST(stat(names[i], &s));
		printf("%s: %s\n", names[i], s.st_atime == 1000 ? "old time" : "new time");
	}
	make_directory(P "o-dir", 0700, 1000, 1000);
	AS(11000, {
		SHOW(chdir(M "o-dir"));
		SHOW(open(".", O_RDONLY | O_DIRECTORY) >= 0);
		SHOW(mkdir("in", 0700));
		SHOW(access(M "o-dir", R_OK | W_OK | X_OK));
	});
	AS(1000, {
		SHOW(chdir(M "o-dir"));
		SHOW(access(M "o-dir", R_OK));
		SHOW(access(M "o-dir/in", F_OK));
	});
}

static void set_protections(const char *level)
{
	put("/proc/sys/fs/protected_symlinks", level);
	put("/proc/sys/fs/protected_hardlinks", level);
	put("/proc/sys/fs/protected_regular", level);
	put("/proc/sys/fs/protected_fifos", level);
}

static void protections(void)
{
	make_directory(P "trap", 01777, 1000, 1000);
	make_directory(P "lost-trap", 01777, 40000, 40000);
	make(P "trap/theirs", 0666, 1001, 1001);
	make(P "trap/owners", 0666, 1000, 1000);
	make(P "lost-trap/lost", 0666, 40000, 40000);
	MUST(symlink("/dev/null", P "trap/theirs-link"));
	MUST(lchown(P "trap/theirs-link", 1001, 1001));
	MUST(symlink("/dev/null", P "trap/owners-link"));
	MUST(lchown(P "trap/owners-link", 1000, 1000));
	MUST(symlink("/dev/null", P "lost-trap/link"));
	MUST(lchown(P "lost-trap/link", 40000, 40000));
	for (int level = 0; level < 2; level++) {
		set_protections(level ? "1" : "0");
		printf("-- protections %d\n", level);
		AS(12000, {
			TRY(open(M "trap/theirs-link", O_RDONLY));
			TRY(open(M "trap/owners-link", O_RDONLY));
			TRY(open(M "lost-trap/link", O_RDONLY));
			TRY(open(M "trap/theirs", O_CREAT | O_RDONLY, 0600));
			TRY(open(M "trap/owners", O_CREAT | O_RDONLY, 0600));
			TRY(open(M "lost-trap/lost", O_CREAT | O_RDONLY, 0600));
		});
		AS(11001, {
			TRY(open(M "trap/theirs-link", O_RDONLY));
			TRY(open(M "trap/theirs", O_CREAT | O_RDONLY, 0600));
		});
		IN_CHILD({
			be(11000, 21000);
			char to[64];
			snprintf(to, sizeof to, M "open/hard%d", level);
			SHOW(link(M "secret", to));
			SHOW(link(M "x-lost", to));
			SHOW(link(M "own", to));
		});
	}
	put("/proc/sys/fs/protected_regular", "0");
	put("/proc/sys/fs/protected_fifos", "0");
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(0);
	MUST(mkdir(ROOT, 0755));
	MUST(mount("tmpfs", ROOT, "tmpfs", 0, "mode=755"));
	MUST(mkdir(ROOT "/plain", 0755));
	MUST(mkdir(ROOT "/m", 0755));
	MUST(mount("kept", ROOT "/plain", "tmpfs", 0, "mode=777"));
	int space = space_of("0 10000 10000", "0 20000 10000");
	mount_mapped(ROOT "/plain", ROOT "/m", space);
	close(space);
	basics();
	making();
	changing();
	attributes_();
	opened();
	protections();
	MUST(umount2(ROOT, MNT_DETACH));
	MUST(rmdir(ROOT));
	return 0;
}
