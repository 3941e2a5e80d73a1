/* Covers: utimensat (UTIME_NOW, UTIME_OMIT, AT_SYMLINK_NOFOLLOW), futimens, utime, utimes; which calls change atime, mtime and ctime. */
#include <sys/time.h>
#include <utime.h>
#include "case.h"

static void show(const char *path)
{
	struct stat st;
	MUST(lstat(path, &st));
	printf("  %s: atime %ld.%09ld mtime %ld.%09ld\n", path, (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
		(long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static const struct timespec OLD[2] = { { 1000, 5 }, { 2000, 6 } };

static void changes(const char *what, const char *path, void (*action)(void))
{
	struct stat st;
	MUST(utimensat(AT_FDCWD, path, OLD, 0));
	struct stat before;
	MUST(stat(path, &before));
	sleep_ms(20);
	action();
	MUST(stat(path, &st));
	printf("%s changes:%s%s%s\n", what, st.st_atime != 1000 ? " atime" : "", st.st_mtime != 2000 ? " mtime" : "",
		st.st_ctim.tv_sec != before.st_ctim.tv_sec || st.st_ctim.tv_nsec != before.st_ctim.tv_nsec ? " ctime" : "");
}

static int fd;
static char buffer[16];
static void do_write(void) { pwrite(fd, "x", 1, 0); }
static void do_truncate(void) { ftruncate(fd, 3); }
static void do_chmod(void) { chmod("file", 0600); }
static void do_link(void) { link("file", "hard"); }
static void do_unlink(void) { unlink("hard"); }
static void do_rename(void) { rename("file", "file2"), rename("file2", "file"); }
static void do_create(void) { put_file("dir/f", "", 0600); }
static void do_remove(void) { unlink("dir/f"); }
static void do_stat(void) { struct stat st; stat("file", &st); }

int main(void)
{
	put_file("file", "text", 0644);
	MUST(mkdir("dir", 0755));
	MUST(symlink("file", "link"));
	SHOW(utimensat(AT_FDCWD, "file", OLD, 0));
	show("file");
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 77, 8 } };
	SHOW(utimensat(AT_FDCWD, "file", omit, 0));
	show("file");
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	struct stat st;
	long begun = time(0);
	SHOW(utimensat(AT_FDCWD, "file", now, 0));
	MUST(stat("file", &st));
	CHECK(st.st_atime >= begun - 1 && st.st_atime <= time(0)); /* files have the time of the last tick */
	struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };
	SHOW(utimensat(AT_FDCWD, "file", bad, 0));
	SHOW(utimensat(AT_FDCWD, "none", OLD, 0));
	SHOW(utimensat(AT_FDCWD, "link", OLD, AT_SYMLINK_NOFOLLOW));
	show("link");
	SHOW(utimensat(AT_FDCWD, "file", OLD, 0x8000));
	fd = (int)MUST(open("file", O_RDWR));
	SHOW(futimens(fd, OLD));
	SHOW(futimens(99, OLD));
	show("file");
	struct utimbuf u = { 11, 22 };
	SHOW(utime("file", &u));
	show("file");
	struct timeval v[2] = { { 33, 44 }, { 55, 66 } };
	SHOW(utimes("file", v));
	show("file");
	struct timespec before[2] = { { -5, 1 }, { -6, 2 } };
	SHOW(utimensat(AT_FDCWD, "file", before, 0));
	show("file");
	changes("write", "file", do_write);
	changes("truncate", "file", do_truncate);
	changes("chmod", "file", do_chmod);
	changes("link", "file", do_link);
	changes("unlink", "file", do_unlink);
	changes("rename", "file", do_rename);
	changes("stat", "file", do_stat);
	changes("creating in it", "dir", do_create);
	changes("removing from it", "dir", do_remove);
	return (int)(buffer[0]);
}
