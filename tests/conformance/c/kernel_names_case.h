/*
 * What the cases of names and inodes in the kernel's own file systems share: everything that can be tried with a path, its results in few
 * lines. As root, and as the user who owns the process.
 */
#ifndef KERNEL_NAMES_CASE_H
#define KERNEL_NAMES_CASE_H
#include <grp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/statfs.h>
#include <sys/swap.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include "case.h"

static char proc[] = "/tmp/kernel_namesXXXXXX";
static const char *label; /* of the file that is looked at */
static const char *what; /* is done with it */

static void answer(long result)
{
	printf(" %s=%s", what, result < 0 ? error_name(errno) : "ok");
}

/* Make a call and say under a name how it went. Results stand in one line until the next GROUP. */
#define DO(name, call) (what = name, answer(call))
#define GROUP(name) printf("\n%s:", name)

static void opened(const char *path, int flags, const char *name)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	what = name;
	answer(fd);
	if (fd >= 0)
		close(fd);
}

#define OPEN(path, flags) opened(path, flags, #flags)

static void run(const char *path)
{
	char *const arguments[] = { "kernel_names", "stop", 0 };
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		execve(path, arguments, arguments);
		_exit(errno);
	}
	int status;
	waitpid(child, &status, 0);
	errno = WEXITSTATUS(status);
	what = "execve";
	answer(errno ? -1 : 0);
}

static void change(const char *p, const struct stat *old)
{
	struct timeval times[2] = { { 1000, 0 }, { 2000, 0 } };
	DO("chmod", chmod(p, old->st_mode & 07777));
	if (chmod(p, 0751) == 0)
		DO("chmod", chmod(p, old->st_mode & 07777));
	DO("chown-none", chown(p, -1, -1));
	DO("lchown-none", lchown(p, -1, -1));
	DO("chown-same", chown(p, old->st_uid, old->st_gid));
	DO("chown", chown(p, 1000, 1000));
	if (geteuid() == 0) {
		DO("lchown", lchown(p, 1000, 1000));
		DO("lchown-same", lchown(p, old->st_uid, old->st_gid));
		DO("chgrp", chown(p, 0, 0xfffffffe));
	}
	chown(p, old->st_uid, old->st_gid);
	DO("touch", utimes(p, 0));
	DO("utimes", utimes(p, times));
	DO("lutimes", lutimes(p, times));
	DO("truncate", truncate(p, 0));
	DO("extend", truncate(p, 9));
	DO("r", access(p, R_OK));
	DO("w", access(p, W_OK));
	DO("x", access(p, X_OK));
	struct statfs space;
	DO("statfs", statfs(p, &space));
}

static void attributes(const char *p)
{
	static const char *const names[] = { "user.a", "user.", "trusted.a", "security.b", "security.capability", "system.b", "system.posix_acl_access", "bad" };
	char value[40];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		GROUP(names[i]);
		DO("get", getxattr(p, names[i], value, sizeof value));
		DO("lget", lgetxattr(p, names[i], value, sizeof value));
		if (strcmp(names[i], "security.capability")) {
			DO("set", setxattr(p, names[i], "abc", 3, 0));
			DO("replace", setxattr(p, names[i], "abc", 3, XATTR_REPLACE));
			DO("lset", lsetxattr(p, names[i], "abc", 3, 0));
		}
		DO("remove", removexattr(p, names[i]));
		DO("lremove", lremovexattr(p, names[i]));
		DO("remove", removexattr(p, names[i]));
	}
	DO("list", listxattr(p, value, sizeof value));
	DO("llist", llistxattr(p, value, sizeof value));
}

static void names(const char *p)
{
	char absent[200], slash[200], below[200], *end, version[100];
	snprintf(absent, sizeof absent, "%s", p);
	snprintf(slash, sizeof slash, "%s/", p);
	snprintf(below, sizeof below, "%s/x", p);
	end = strrchr(absent, '/');
	strcpy(end, "/absent");
	snprintf(version, sizeof version, "%s/version", proc);
	struct stat status;
	GROUP("names");
	DO("stat(slash)", stat(slash, &status));
	DO("stat(below)", stat(below, &status));
	DO("mkdir(p)", mkdir(p, 0700));
	DO("mkdir(slash)", mkdir(slash, 0700));
	DO("mkdir(below)", mkdir(below, 0700));
	DO("mknod(p)", mknod(p, S_IFREG | 0600, 0));
	DO("mknod(below)", mknod(below, S_IFREG | 0600, 0));
	DO("mknod(slash-device)", mknod(slash, S_IFCHR | 0600, 0x103));
	DO("symlink(p)", symlink("x", p));
	DO("symlink(slash)", symlink("x", slash));
	DO("symlink(below)", symlink("x", below));
	DO("link(p,absent)", link(p, absent));
	DO("link(p,p)", link(p, p));
	DO("link(version,p)", link(version, p));
	DO("link(version,absent)", link(version, absent));
	DO("link(version,below)", link(version, below));
	GROUP("rename");
	if (!strstr(p, "/net/")) /* where each look-up finds a new file */
		DO("rename(p,p)", rename(p, p));
	DO("rename(p,absent)", rename(p, absent));
	DO("rename(p,version)", rename(p, version));
	DO("rename(version,p)", rename(version, p));
	DO("rename(p,below)", rename(p, below));
	DO("rename(slash,absent)", rename(slash, absent));
	DO("rename(absent,p)", rename(absent, p));
	DO("rename2(p,version,1)", syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, version, 1));
	DO("rename2(p,absent,1)", syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, absent, 1));
	DO("rename2(p,version,2)", syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, version, 2));
	DO("rename2(p,absent,4)", syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, absent, 4));
	GROUP("remove");
	DO("unlink(slash)", unlink(slash));
	DO("unlink(below)", unlink(below));
	DO("rmdir(slash)", rmdir(slash));
	DO("rmdir(below)", rmdir(below));
	snprintf(below, sizeof below, "%s/.", p);
	DO("rmdir(below)", rmdir(below));
	snprintf(below, sizeof below, "%s/..", p);
	DO("rmdir(below)", rmdir(below));
	DO("rename(below,absent)", rename(below, absent));
	DO("unlink(absent)", unlink(absent));
	DO("rmdir(absent)", rmdir(absent));
	DO("rmdir(p)", rmdir(p));
	DO("unlink(p)", unlink(p));
}

static void look(const char *p)
{
	struct stat status;
	char text[100];
	struct { struct file_handle head; char bytes[128]; } handle = { .head = { .handle_bytes = 128 } };
	int id;
	printf("\n--- %s", label);
	GROUP("status");
	what = "lstat";
	if (lstat(p, &status) == 0)
		printf(" %o %d:%d nlink %s", status.st_mode, status.st_uid, status.st_gid, status.st_nlink == 1 ? "1" : "more");
	else
		answer(-1);
	if (stat(p, &status) == 0)
		printf(" leads to %o %d:%d size %lld", status.st_mode, status.st_uid, status.st_gid, S_ISREG(status.st_mode) ? (long long)status.st_size : 0);
	GROUP("change");
	change(p, &status);
	attributes(p);
	GROUP("open");
	DO("readlink", readlink(p, text, sizeof text));
	OPEN(p, O_RDONLY);
	OPEN(p, O_RDONLY | O_DIRECT);
	OPEN(p, O_RDONLY | O_NOATIME);
	OPEN(p, O_RDONLY | O_NOFOLLOW);
	OPEN(p, O_RDONLY | O_DIRECTORY);
	OPEN(p, O_RDONLY | O_TRUNC);
	OPEN(p, O_RDWR);
	OPEN(p, O_WRONLY | O_TRUNC);
	OPEN(p, O_RDONLY | O_CREAT);
	OPEN(p, O_WRONLY | O_CREAT | O_TRUNC);
	OPEN(p, O_RDONLY | O_CREAT | O_EXCL);
	OPEN(p, O_RDWR | O_TMPFILE);
	OPEN(p, 3);
	run(p);
	GROUP("use");
	DO("chdir", chdir(p));
	chdir("/");
	DO("handle", name_to_handle_at(AT_FDCWD, p, &handle.head, &id, AT_SYMLINK_FOLLOW));
	DO("quota-sync", quotactl(QCMD(Q_SYNC, USRQUOTA), p, 0, 0));
	DO("quota", quotactl(QCMD(Q_GETINFO, USRQUOTA), p, 0, text));
	DO("umount", umount2(p, MNT_EXPIRE));
	DO("swapon", swapon(p, 0));
	DO("swapoff", swapoff(p));
	DO("acct", syscall(SYS_acct, p));
	syscall(SYS_acct, 0);
	names(p);
}

static void look_at(const char *shown, const char *path)
{
	char text[100];
	snprintf(text, sizeof text, "%d %s", geteuid(), shown);
	label = text;
	look(path);
}

/* The program with which `run` starts this one again ends at once. A proc of its own keeps what is changed to this case. */
static int names_case(int count, char **arguments, void (*look_at_all)(void))
{
	if (count == 2 && !strcmp(arguments[1], "stop"))
		return 0;
	MUST(mkdtemp(proc) == 0 ? -1 : 0);
	chmod(proc, 0755);
	MUST(mount("proc", proc, "proc", 0, 0));
	struct stat root;
	MUST(stat("/", &root));
	MUST(chmod("/", 0755));
	IN_CHILD(look_at_all(); puts(""));
	IN_CHILD({
		MUST(setgroups(0, 0));
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		MUST(prctl(PR_SET_DUMPABLE, 1));
		look_at_all();
		puts("");
	});
	MUST(umount2(proc, MNT_DETACH));
	rmdir(proc);
	MUST(chmod("/", root.st_mode & 07777));
	return 0;
}
#endif
