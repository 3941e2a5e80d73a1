/*
 * Covers: what takes set-ID bits and security.capability away from a file: each way to write, truncate, allocate, map and chown, on
 * tmpfs and on ext2, as root, as root without CAP_FSETID, as a user in and outside of the file's group; chmod, set-group-ID
 * directories and access control lists.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include "case.h"

#define CAPABILITY "security.capability"
static const unsigned char file_capability[20] = { 1, 0, 0, 2, 0, 4, 0, 0 };

static void show(const char *what, int result)
{
	int error = errno;
	struct stat status;
	char value[64];
	MUST(lstat("f", &status));
	ssize_t size = lgetxattr("f", CAPABILITY, value, sizeof value);
	printf("  %s: %s, mode %o of %d:%d, capability %zd\n", what, result < 0 ? error_name(error) : "ok", status.st_mode & 07777, status.st_uid,
	       status.st_gid, size);
}

struct who { const char *name; int is_user, in_group, no_fsetid; };

static void become(const struct who *who)
{
	gid_t group = 7;
	if (who->no_fsetid) {
		struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
		struct __user_cap_data_struct d[2];
		MUST(syscall(SYS_capget, &h, d));
		d[0].effective &= ~(1U << 4);
		d[0].permitted &= ~(1U << 4);
		MUST(syscall(SYS_capset, &h, d));
	}
	MUST(setgroups(who->in_group, &group));
	if (who->is_user) {
		MUST(setgid(1000));
		MUST(setuid(1000));
		MUST(prctl(PR_SET_DUMPABLE, 1)); /* or its own /proc/self/fd would be root's */
	}
}

static int pipe_with(const char *text)
{
	int ends[2];
	MUST(pipe(ends));
	MUST(write(ends[1], text, strlen(text)));
	close(ends[1]);
	return ends[0];
}

static int do_write(int fd) { return (int)write(fd, "x", 1); }
static int do_nothing(int fd) { return (int)write(fd, "x", 0); }
static int do_bad(int fd) { return (int)write(fd, (void *)8, 1); }
static int do_pwrite(int fd) { return (int)pwrite(fd, "x", 1, 3); }
static int do_writev(int fd) { return (int)writev(fd, &(struct iovec){ "x", 1 }, 1); }
static int do_pwritev2(int fd) { return (int)syscall(SYS_pwritev2, fd, &(struct iovec){ "x", 1 }, 1, 5L, 0L, 0); }
static int do_append2(int fd) { return (int)syscall(SYS_pwritev2, fd, &(struct iovec){ "x", 1 }, 1, -1L, -1L, 0x10); }
static int do_splice(int fd) { return (int)splice(pipe_with("abc"), NULL, fd, NULL, 3, 0); }
static int do_sendfile(int fd) { return (int)sendfile(fd, open("source", O_RDONLY), NULL, 3); }
static int do_copy(int fd) { return (int)copy_file_range(open("source", O_RDONLY), NULL, fd, NULL, 3, 0); }
static int do_truncate(int fd) { return truncate("f", 10); }
static int do_ftruncate(int fd) { return ftruncate(fd, 12); }
static int do_same_size(int fd) { return ftruncate(fd, 8); }
static int do_open(int fd) { return open("f", O_WRONLY | O_TRUNC); }
static int do_create(int fd) { return open("f", O_WRONLY | O_TRUNC | O_CREAT, 0600); }
static int do_only_open(int fd) { return open("f", O_RDWR); }
static int do_utimes(int fd) { return futimens(fd, NULL); }
static int do_fallocate(int fd) { return syscall(SYS_fallocate, fd, 0, 0L, 20L); }
static int do_punch(int fd) { return syscall(SYS_fallocate, fd, 3, 0L, 4L); }

static int do_beyond(int fd)
{
	struct rlimit size = { 4, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
	signal(SIGXFSZ, SIG_IGN);
	MUST(setrlimit(RLIMIT_FSIZE, &size));
	int result = (int)pwrite(fd, "x", 1, 8), error = errno;
	MUST(setrlimit(RLIMIT_FSIZE, &none));
	errno = error;
	return result;
}

static int do_map(int fd)
{
	char *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	area[0] = 'x';
	return msync(area, 4096, MS_SYNC);
}

static int do_chown_nothing(int fd) { return chown("f", -1, -1); }
static int do_fchown_nothing(int fd) { return fchown(fd, -1, -1); }
static int do_chown_same(int fd) { struct stat s; fstat(fd, &s); return chown("f", s.st_uid, s.st_gid); }
static int do_lchown_group(int fd) { return lchown("f", -1, 7); }
static int do_chown_own_group(int fd) { return fchownat(AT_FDCWD, "f", -1, 1000, 0); }
static int do_chown_other(int fd) { return chown("f", 1001, 1001); }
static int do_chmod(int fd) { return chmod("f", 06777); }
static int do_chmod_no_x(int fd) { return fchmod(fd, 06766); }

static const struct { const char *name; int (*call)(int fd); } calls[] = {
	{ "write", do_write }, { "write nothing", do_nothing }, { "write from nowhere", do_bad }, { "pwrite", do_pwrite }, { "writev", do_writev },
	{ "pwritev2", do_pwritev2 }, { "pwritev2 at the end", do_append2 }, { "splice", do_splice }, { "sendfile", do_sendfile },
	{ "copy_file_range", do_copy }, { "truncate", do_truncate }, { "ftruncate", do_ftruncate }, { "the same size", do_same_size },
	{ "O_TRUNC", do_open }, { "O_CREAT and O_TRUNC", do_create }, { "open", do_only_open }, { "utimes", do_utimes },
	{ "fallocate", do_fallocate }, { "punch", do_punch }, { "beyond the limit", do_beyond }, { "mapping", do_map },
	{ "chown nothing", do_chown_nothing }, { "fchown nothing", do_fchown_nothing }, { "chown to the same", do_chown_same },
	{ "lchown group 7", do_lchown_group }, { "chown own group", do_chown_own_group }, { "chown other", do_chown_other },
	{ "chmod", do_chmod }, { "chmod no x", do_chmod_no_x },
};

static void each_call(const struct who *who, mode_t mode, uid_t uid, gid_t gid)
{
	printf("%s, mode %o of %d:%d\n", who->name, mode, uid, gid);
	for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
		unlink("f");
		put_file("f", "contents", 0600);
		MUST(chown("f", uid, gid));
		MUST(setxattr("f", CAPABILITY, file_capability, sizeof file_capability, 0));
		MUST(chmod("f", mode));
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			become(who);
			int fd = open("f", O_RDWR);
			errno = 0;
			int result = calls[i].call(fd);
			show(calls[i].name, result);
			fflush(stdout);
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
}

static const struct who people[] = {
	{ "root", 0, 0, 0 }, { "root without CAP_FSETID", 0, 0, 1 }, { "root without CAP_FSETID, in the group", 0, 1, 1 }, { "user", 1, 0, 0 },
	{ "user in the group", 1, 1, 0 },
};

static void changes(void)
{
	put_file("source", "abc", 0644);
	for (unsigned i = 0; i < sizeof people / sizeof *people; i++) {
		each_call(&people[i], 06777, 1000, 7);
		each_call(&people[i], 06767, 1000, 7);
		each_call(&people[i], 0666, 0, 0);
	}
	each_call(&people[3], 06777, 0, 0);
	each_call(&people[3], 06777, 1000, 1000);
	each_call(&people[4], 06767, 0, 7);
}

static void attributes(void)
{
	puts("the attribute itself");
	unlink("f");
	put_file("f", "contents", 0666);
	SHOW(setxattr("f", CAPABILITY, "", 0, 0));
	SHOW(setxattr("f", CAPABILITY, file_capability, 19, 0));
	SHOW(setxattr("f", CAPABILITY, "\1\0\0\1\0\0\0\0\0\0\0\0", 12, 0));
	SHOW(setxattr("f", CAPABILITY, "\1\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0));
	SHOW(setxattr("f", CAPABILITY, file_capability, 20, XATTR_REPLACE));
	SHOW(setxattr("f", CAPABILITY, file_capability, 20, XATTR_CREATE));
	SHOW(setxattr("f", CAPABILITY, file_capability, 20, XATTR_CREATE));
	IN_CHILD(
		become(&people[3]);
		SHOW(setxattr("f", CAPABILITY, file_capability, 20, 0));
		SHOW(setxattr("f", CAPABILITY, "", 0, 0));
		SHOW(removexattr("f", CAPABILITY));
		SHOW(setxattr("f", "security.other", "x", 1, 0)));
	SHOW(removexattr("f", CAPABILITY));
	SHOW(removexattr("f", CAPABILITY));
}

static void show_path(const char *path)
{
	struct stat status;
	if (lstat(path, &status) < 0)
		printf("  %s: %s\n", path, error_name(errno));
	else
		printf("  %s: mode %o of %d:%d\n", path, status.st_mode, status.st_uid, status.st_gid);
}

static void inherit(const struct who *who, mode_t mask)
{
	static const char *made[] = { "d/file", "d/file-no-x", "d/directory", "d/fifo", "d/link", "d/temporary" };
	printf("%s, umask %o\n", who->name, mask);
	IN_CHILD(
		become(who);
		umask(mask);
		close(open("d/file", O_CREAT | O_WRONLY, 06777));
		close(open("d/file-no-x", O_CREAT | O_WRONLY, 06767));
		mkdir("d/directory", 0777);
		mknod("d/fifo", S_IFIFO | 02777, 0);
		symlink("x", "d/link");
		int fd = open("d", O_TMPFILE | O_RDWR, 02777);
		char name[40];
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		linkat(AT_FDCWD, name, AT_FDCWD, "d/temporary", AT_SYMLINK_FOLLOW);
		for (int i = 0; i < 6; i++)
			show_path(made[i]));
	for (int i = 0; i < 6; i++)
		if (i == 2)
			rmdir(made[i]);
		else
			unlink(made[i]);
}

/* A list as an attribute: version 2, then tag, permissions and id of each entry. */
struct list { unsigned version; struct { unsigned short tag, permissions; unsigned id; } entries[5]; };

static void lists(const struct who *who)
{
	static const struct list wide = { 2, { { 1, 7, -1 }, { 2, 7, 5 }, { 4, 7, -1 }, { 16, 7, -1 }, { 32, 7, -1 } } };
	static const struct list default_list = { 2, { { 1, 7, -1 }, { 2, 7, 5 }, { 4, 5, -1 }, { 16, 5, -1 }, { 32, 0, -1 } } };
	printf("lists: %s\n", who->name);
	unlink("f");
	put_file("f", "contents", 0600);
	MUST(chown("f", 1000, 7));
	MUST(chmod("f", 06777));
	IN_CHILD(become(who); SHOW(setxattr("f", "system.posix_acl_access", &wide, sizeof wide, 0)); show_path("f"));
	IN_CHILD(become(who); SHOW(chmod("f", 06777)); show_path("f"));
	IN_CHILD(become(who); SHOW(setxattr("d", "system.posix_acl_default", &default_list, sizeof default_list, 0)));
	SHOW(setxattr("d", "system.posix_acl_default", &default_list, sizeof default_list, 0));
	inherit(who, 022);
	SHOW(removexattr("d", "system.posix_acl_default"));
}

static void directories(void)
{
	puts("directories");
	MUST(mkdir("d", 0777));
	MUST(chown("d", 0, 7));
	for (int set_group = 0; set_group < 2; set_group++) {
		MUST(chmod("d", set_group ? 02777 : 0777));
		for (unsigned i = 0; i < sizeof people / sizeof *people; i++) {
			inherit(&people[i], 0);
			inherit(&people[i], 010);
		}
	}
	for (unsigned i = 0; i < sizeof people / sizeof *people; i++)
		lists(&people[i]);
	puts("directories keep their bits");
	MUST(chmod("d", 06777));
	SHOW(chown("d", 1000, 1000));
	show_path("d");
	IN_CHILD(become(&people[3]); SHOW(chown("d", -1, 1000)); show_path("d"); SHOW(chmod("d", 02777)); show_path("d"));
	MUST(chown("d", 1000, 7));
	IN_CHILD(become(&people[3]); SHOW(chmod("d", 02777)); show_path("d"));
}

static void all(const char *where)
{
	printf("--- %s\n", where);
	umask(022);
	MUST(mkdir("disk", 0755));
	if (strcmp(where, "tmpfs"))
		MUST(mount("/dev/vda", "disk", "ext2", 0, NULL));
	else
		MUST(mount("none", "disk", "tmpfs", 0, NULL));
	MUST(chdir("disk"));
	MUST(chmod(".", 0777));
	changes();
	attributes();
	directories();
	MUST(chdir(".."));
	MUST(umount("disk"));
	MUST(rmdir("disk"));
}

int main(void)
{
	all("tmpfs");
	MUST(system("mke2fs -F -b 1024 /dev/vda 8192 >/dev/null 2>&1"));
	all("ext2");
	return 0;
}
