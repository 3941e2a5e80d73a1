/* What a user without privileges may do with names: every call that takes a path, in directories that cannot be searched, read or
 * written and in sticky ones, on files of others; and what the effective and the real ids decide (path_resolution(7)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <dirent.h>
#include <grp.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <utime.h>

static struct stat st;
static struct statfs fs;
static char buffer[256];

static void each_call(const char *directory)
{
	static char f[64], n[64], d[64], o[64], e[64];
	snprintf(f, sizeof f, "%s/file", directory);
	snprintf(n, sizeof n, "%s/new", directory);
	snprintf(d, sizeof d, "%s/dir", directory);
	snprintf(o, sizeof o, "%s/own", directory);
	snprintf(e, sizeof e, "%s/none", directory);
	printf("=== %s\n", directory);
	SHOW(stat(f, &st));
	SHOW(lstat(f, &st));
	SHOW(stat(e, &st));
	SHOW(syscall(SYS_statx, AT_FDCWD, f, 0, 0, buffer));
	SHOW(access(f, F_OK));
	SHOW(access(e, F_OK));
	TRY(open(f, O_RDONLY));
	SHOW(open(f, O_WRONLY));
	SHOW(open(e, O_RDONLY));
	TRY(open(f, O_PATH));
	SHOW(open(f, O_CREAT | O_EXCL | O_WRONLY, 0600));
	SHOW(open(e, O_CREAT | O_DIRECTORY, 0600));
	SHOW(open(directory, O_TMPFILE | O_RDWR, 0600) >= 0 ? 0 : -1);
	SHOW(mkdir(n, 0755));
	SHOW(rmdir(n));
	SHOW(mknod(n, S_IFREG | 0600, 0));
	SHOW(unlink(n));
	SHOW(mkfifo(n, 0600));
	SHOW(unlink(n));
	SHOW(symlink("x", n));
	SHOW(unlink(n));
	SHOW(link(f, n));
	SHOW(link(o, n));
	SHOW(unlink(n));
	SHOW(rename(f, n));
	SHOW(rename(o, n));
	SHOW(rename(n, o));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, o, AT_FDCWD, f, 2));
	SHOW(rename(d, n));
	SHOW(rmdir(d));
	SHOW(unlink(f));
	SHOW(unlink(e));
	SHOW(rmdir(e));
	SHOW(chmod(f, 0666));
	SHOW(chmod(o, 0600));
	SHOW(chmod(e, 0600));
	SHOW(chown(f, 1000, 1000));
	SHOW(lchown(o, 1000, 1000));
	SHOW(truncate(f, 1));
	SHOW(truncate(o, 1));
	SHOW(utimensat(AT_FDCWD, f, 0, 0));
	SHOW(utimes(f, (struct timeval[2]){ { 1, 0 }, { 2, 0 } }));
	SHOW(utime(o, &(struct utimbuf){ 1, 2 }));
	SHOW(readlink(f, buffer, 10));
	SHOW(statfs(f, &fs));
	SHOW(chdir(d));
	MUST(chdir("/tmp/w"));
	SHOW(chroot(d));
	SHOW(execl(f, f, NULL));
	SHOW(setxattr(f, "user.a", "b", 1, 0));
	SHOW(getxattr(f, "user.a", buffer, 10));
	SHOW(listxattr(f, buffer, 10));
	SHOW(removexattr(f, "user.a"));
	SHOW(mount("none", d, "tmpfs", 0, 0));
	SHOW(umount(d));
	int i = inotify_init();
	SHOW(inotify_add_watch(i, f, IN_OPEN));
	close(i);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof a.sun_path, "%s", n);
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(bind(s, (void *)&a, sizeof a));
	SHOW(unlink(n));
	snprintf(a.sun_path, sizeof a.sun_path, "%s", f);
	SHOW(connect(s, (void *)&a, sizeof a));
	close(s);
	DIR *list = opendir(directory);
	printf("opendir: %s\n", list ? "ok" : error_name(errno));
	if (list)
		closedir(list);
}

static void make(const char *directory, mode_t mode, uid_t owner)
{
	char path[64];
	MUST(mkdir(directory, 0777));
	snprintf(path, sizeof path, "%s/file", directory);
	put_file(path, "root's", 0644);
	snprintf(path, sizeof path, "%s/own", directory);
	put_file(path, "the user's", 0644);
	MUST(chown(path, 1000, 1000));
	snprintf(path, sizeof path, "%s/dir", directory);
	MUST(mkdir(path, 0755));
	MUST(chown(directory, owner, owner));
	MUST(chmod(directory, mode));
}

static void ids(void)
{
	put_file("theirs", "x", 0640);
	MUST(chown("theirs", 1000, 1000));
	put_file("group", "x", 0070);
	MUST(chown("group", 0, 50));
	IN_CHILD(
		MUST(setresuid(1000, 0, 0));
		SHOW(access("group", R_OK));
		SHOW(faccessat(AT_FDCWD, "group", R_OK, AT_EACCESS));
		SHOW(access("theirs", R_OK));
	);
	IN_CHILD(
		MUST(setgroups(0, 0));
		MUST(setresgid(7, 50, 7));
		MUST(setresuid(1000, 1000, 1000));
		SHOW(access("group", R_OK));
		SHOW(syscall(SYS_faccessat2, AT_FDCWD, "group", R_OK, AT_EACCESS));
		TRY(open("group", O_RDONLY));
	);
	IN_CHILD(
		MUST(setgroups(0, 0));
		MUST(setresgid(7, 7, 7));
		MUST(syscall(SYS_setfsuid, 1000));
		SHOW(open("group", O_RDONLY));
		SHOW(access("group", R_OK));
		TRY(open("theirs", O_RDONLY));
	);
	/* Creation: owner and group, and the directory's set-group-ID bit. */
	MUST(mkdir("inherits", 0777));
	MUST(chown("inherits", 0, 60));
	MUST(chmod("inherits", 02777));
	IN_CHILD(
		MUST(setgroups(0, 0));
		MUST(setresgid(7, 7, 7));
		MUST(setresuid(1000, 1000, 1000));
		umask(027);
		put_file("inherits/f", "x", 0666);
		MUST(mkdir("inherits/d", 0777));
		MUST(stat("inherits/f", &st));
		printf("file: %o %d %d\n", st.st_mode, st.st_uid, st.st_gid);
		MUST(stat("inherits/d", &st));
		printf("directory: %o %d %d\n", st.st_mode, st.st_uid, st.st_gid);
		int fd = (int)MUST(open("inherits/g", O_CREAT | O_WRONLY, 02775));
		MUST(fstat(fd, &st));
		printf("set-group-ID asked for: %o\n", st.st_mode);
		MUST(fchmod(fd, 02775));
		MUST(fstat(fd, &st));
		printf("and set later: %o\n", st.st_mode);
		MUST(fchmod(fd, 04755));
		MUST(write(fd, "x", 1));
		MUST(fstat(fd, &st));
		printf("set-user-ID after a write: %o\n", st.st_mode);
		MUST(fchmod(fd, 04755));
		MUST(ftruncate(fd, 0));
		MUST(fstat(fd, &st));
		printf("after a truncation: %o\n", st.st_mode);
		MUST(fchmod(fd, 04755));
		MUST(fchown(fd, -1, 7));
		MUST(fstat(fd, &st));
		printf("after chown: %o %d\n", st.st_mode, st.st_gid);
		MUST(fchmod(fd, 06644));
		MUST(fchown(fd, 1000, -1));
		MUST(fstat(fd, &st));
		printf("after chown, not executable: %o\n", st.st_mode);
	);
	IN_CHILD(
		put_file("r", "x", 06755);
		MUST(chown("r", 5, 5));
		MUST(stat("r", &st));
		printf("root's chown: %o\n", st.st_mode);
		MUST(chmod("r", 06755));
		int fd = (int)MUST(open("r", O_WRONLY));
		MUST(write(fd, "y", 1));
		MUST(fstat(fd, &st));
		printf("root's write: %o\n", st.st_mode);
	);
}

int main(void)
{
	MUST(mkdir("/tmp/w", 0755));
	MUST(chdir("/tmp/w"));
	make("unwritable", 0755, 0);
	make("unreadable", 0733, 0);
	make("unsearchable", 0766, 0);
	make("closed", 0700, 0);
	make("sticky", 01777, 0);
	make("mine", 0755, 1000);
	ids();
	fflush(stdout);
	MUST(setgroups(0, 0));
	MUST(setresgid(1000, 1000, 1000));
	MUST(setresuid(1000, 1000, 1000));
	each_call("unwritable");
	each_call("unreadable");
	each_call("unsearchable");
	each_call("closed");
	each_call("sticky");
	each_call("mine");
	return 0;
}
