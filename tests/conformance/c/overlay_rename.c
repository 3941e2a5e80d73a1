/* rename(2) in an overlay: files, directories with and without redirect_dir, whiteouts, exchanges, hard links. */
#include "overlay_case.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif

static int move(const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

#define MOVE(from, to, flags) printf("%s -> %s (%d): %s\n", from, to, flags, \
	move(from, to, flags) == 0 ? "ok" : error_name(errno))

static void moves(void)
{
	MUST(chdir(TOP));
	MOVE("file", "renamed", 0);
	MOVE("renamed", "dir/moved file", 0);
	MOVE("other", "program", 0);
	MOVE("link", "link two", 0);
	MOVE("fifo", "dir/fifo", 0);
	MOVE("null", "whiteout?", RENAME_WHITEOUT);
	MOVE("null", "disk", RENAME_NOREPLACE);
	MOVE("null", "disk", RENAME_EXCHANGE);
	MOVE("dir", "directory", 0);
	MOVE("dir/deep", "dir/deeper", 0);
	MOVE("dir/deep", "up", 0);
	MOVE("empty", "empty two", 0);
	MOVE("up", "dir", 0);
	MOVE("program", "dir", 0);
	MOVE("dir", "program", 0);
	MOVE("dir", "dir/deep/inside", 0);
	TRY(mkdir("pure", 0755));
	put_file("pure/file", "pure\n", 0644);
	MOVE("pure", "pure two", 0);
	MOVE("pure two", "dir/pure", 0);
	MOVE("dir/pure", "file", 0);
	MOVE("file", "dir", RENAME_EXCHANGE);
	TRY(unlink("file/file"));
	MOVE("file", "empty", 0);
	MOVE("empty", "empty two", 0);
	MUST(chdir("/"));
}

static void links(void)
{
	struct stat a, b;
	MUST(chdir(TOP));
	TRY(stat("first", &a));
	TRY(stat("second", &b));
	printf("same before: %d, links %d %d\n", a.st_ino == b.st_ino, (int)a.st_nlink, (int)b.st_nlink);
	int fd = (int)TRY(open("first", O_WRONLY | O_APPEND));
	TRY(write(fd, "more", 4));
	close(fd);
	TRY(stat("first", &a));
	TRY(stat("second", &b));
	printf("same after: %d, links %d %d, sizes %d %d\n", a.st_ino == b.st_ino, (int)a.st_nlink, (int)b.st_nlink,
		(int)a.st_size, (int)b.st_size);
	TRY(link("first", "third"));
	TRY(link("second", "fourth"));
	TRY(stat("third", &b));
	TRY(stat("first", &a));
	printf("same: %d, links %d\n", a.st_ino == b.st_ino, (int)a.st_nlink);
	TRY(unlink("first"));
	TRY(link("third", "first"));
	MOVE("third", "first", 0);
	TRY(unlink("third"));
	MUST(chdir("/"));
}

static void run(const char *options, int on_disk)
{
	printf("-- %s on %s\n", options, on_disk ? "ext2" : "tmpfs");
	begin_layers(on_disk);
	fill(LOWER);
	put_file(LOWER "/first", "linked\n", 0644);
	MUST(link(LOWER "/first", LOWER "/second"));
	TRY(OVERLAY(options));
	moves();
	links();
	show_tree(TOP);
	show_tree(UPPER);
	show_tree(WORK);
	TRY(umount(TOP));
	TRY(OVERLAY(options));
	printf("-- again\n");
	show_tree(TOP);
	TRY(umount(TOP));
	end_layers();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	IN_CHILD(run(ALL, 0));
	IN_CHILD(run(ALL ",redirect_dir=on", 0));
	IN_CHILD(run(ALL ",redirect_dir=on", 1));
	IN_CHILD(run(ALL ",userxattr", 0));
	return 0;
}
