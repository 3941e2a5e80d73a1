/* Several lower layers: whiteouts, opaque directories and other names in them; read-only overlays; stacking. */
#include "overlay_case.h"

#define THREE "lowerdir=" MIDDLE ":" LOWER ",upperdir=" UPPER ",workdir=" WORK
#define NONE "lowerdir=" MIDDLE ":" LOWER

static void prepare(void)
{
	fill(LOWER);
	MUST(mkdir(LOWER "/far", 0755));
	MUST(mkdir(LOWER "/far/deep", 0755));
	put_file(LOWER "/far/deep/bottom", "far\n", 0644);
	MUST(mkdir(LOWER "/near", 0755));
	put_file(LOWER "/near/by", "near\n", 0644);
	MUST(chdir(MIDDLE));
	MUST(mknod("file", S_IFCHR, 0));
	put_file("other", "from the middle\n", 0444);
	MUST(mkdir("dir", 0711));
	put_file("dir/middle", "m\n", 0644);
	MUST(mknod("dir/inner", S_IFCHR, 0));
	MUST(mkdir("empty", 0755));
	MUST(setxattr("empty", "trusted.overlay.opaque", "y", 1, 0));
	MUST(mkdir("moved", 0755));
	put_file("moved/own", "own\n", 0644);
	MUST(setxattr("moved", "trusted.overlay.redirect", "/far/deep", 9, 0));
	MUST(mkdir("sibling", 0755));
	MUST(setxattr("sibling", "trusted.overlay.redirect", "near", 4, 0));
	MUST(mkdir("bad", 0755));
	MUST(setxattr("bad", "trusted.overlay.redirect", "a/b", 3, 0));
	MUST(mkdir("worse", 0755));
	MUST(setxattr("worse", "trusted.overlay.redirect", "/../etc", 7, 0));
	MUST(mkdir("program", 0755));
	put_file("fifo", "no fifo\n", 0644);
	MUST(chdir("/"));
}

static void read_only(void)
{
	char text[50];
	SHOW(open(TOP "/other", O_WRONLY));
	SHOW(open(TOP "/new", O_WRONLY | O_CREAT, 0600));
	SHOW(mkdir(TOP "/dir/new", 0700));
	SHOW(unlink(TOP "/other"));
	SHOW(rename(TOP "/other", TOP "/another"));
	SHOW(chmod(TOP "/other", 0600));
	SHOW(setxattr(TOP "/other", "user.a", "b", 1, 0));
	SHOW(mount(NULL, TOP, NULL, MS_REMOUNT, NULL));
	SHOW(mount(NULL, TOP, NULL, MS_REMOUNT | MS_RDONLY, "nonsense"));
	int fd = (int)MUST(open(TOP "/other", O_RDONLY));
	SHOW(read(fd, text, sizeof text));
	SHOW(ftruncate(fd, 0));
	SHOW(fchmod(fd, 0));
	close(fd);
}

static void write_to_it(void)
{
	MUST(chdir(TOP));
	put_file("file", "new file\n", 0644);
	put_file("dir/inner", "new inner\n", 0644);
	TRY(mkdir("dir/deep/below", 0755));
	TRY(unlink("dir/middle"));
	TRY(unlink("moved/bottom"));
	TRY(rmdir("program"));
	TRY(mkdir("program", 0755));
	TRY(rmdir("empty"));
	TRY(unlink("other"));
	MUST(chdir("/"));
}

static void files_that_mark(void)
{
	MUST(mkdir(MIDDLE "/marked", 0755));
	put_file(MIDDLE "/marked/gone", "", 0644);
	put_file(MIDDLE "/marked/stays", "", 0644);
	put_file(MIDDLE "/marked/full", "x", 0644);
	MUST(setxattr(MIDDLE "/marked", "trusted.overlay.opaque", "x", 1, 0));
	MUST(setxattr(MIDDLE "/marked/gone", "trusted.overlay.whiteout", "", 0, 0));
	MUST(setxattr(MIDDLE "/marked/full", "trusted.overlay.whiteout", "", 0, 0));
	MUST(mkdir(LOWER "/marked", 0755));
	put_file(LOWER "/marked/gone", "below\n", 0644);
	put_file(LOWER "/marked/low", "low\n", 0644);
	TRY(OVERLAY(NONE));
	show_tree(TOP "/marked");
	struct stat st;
	SHOW(stat(TOP "/marked/gone", &st));
	TRY(umount(TOP));
}

static void run(int on_disk)
{
	printf("-- %s\n", on_disk ? "ext2" : "tmpfs");
	begin_layers(on_disk);
	prepare();
	TRY(OVERLAY(NONE));
	show_mount(TOP);
	show_tree(TOP);
	read_only();
	TRY(umount(TOP));
	TRY(OVERLAY(THREE ",redirect_dir=nofollow"));
	show_mount(TOP);
	show_tree(TOP "/moved");
	show_tree(TOP "/sibling");
	TRY(umount(TOP));
	TRY(OVERLAY(THREE));
	show_mount(TOP);
	show_tree(TOP);
	write_to_it();
	printf("-- written\n");
	show_tree(TOP);
	show_tree(UPPER);
	TRY(umount(TOP));
	files_that_mark();
	end_layers();
}

static void stack(void)
{
	struct statfs fs;
	printf("-- stacked\n");
	begin_layers(0);
	fill(LOWER);
	const char *more[] = {BASE "/1", BASE "/2", BASE "/3", BASE "/u2", BASE "/w2", BASE "/e"};
	for (int i = 0; i < 6; i++)
		MUST(mkdir(more[i], 0755));
	TRY(mount("overlay", BASE "/1", "overlay", 0, ALL));
	TRY(mount("overlay", BASE "/2", "overlay", 0, "lowerdir=" BASE "/1,upperdir=" BASE "/u2,workdir=" BASE "/w2"));
	SHOW(mount("overlay", BASE "/3", "overlay", 0, "lowerdir=" BASE "/2:" BASE "/e"));
	put_file(BASE "/2/dir/inner", "changed twice above\n", 0600);
	TRY(unlink(BASE "/2/file"));
	TRY(mkdir(BASE "/2/file", 0755));
	TRY(rename(BASE "/2/other", BASE "/2/dir/other"));
	TRY(statfs(BASE "/2", &fs));
	show_tree(BASE "/2");
	show_tree(BASE "/u2");
	show_tree(BASE "/1");
	/* The lower one goes first. */
	TRY(umount(BASE "/1"));
	show_tree(BASE "/2/dir");
	TRY(umount(BASE "/2"));
	end_layers();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	IN_CHILD(run(0));
	IN_CHILD(run(1));
	IN_CHILD(stack());
	return 0;
}
