/* An overlay on tmpfs and on ext2: what is seen, what copying up does to each kind of file, what removal leaves. */
#include "overlay_case.h"

static void look(void)
{
	struct statfs fs;
	struct stat st;
	show_mount(TOP);
	MUST(statfs(TOP, &fs));
	printf("type %lx name %ld\n", (long)fs.f_type, (long)fs.f_namelen);
	show_tree(TOP);
	SHOW(stat(TOP "/nothing", &st));
	SHOW(access(TOP "/dir/inner", R_OK | W_OK));
}

static void change(void)
{
	char text[100];
	MUST(chdir(TOP));
	int fd = (int)MUST(open("file", O_RDONLY));
	char *map = (void *)MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	int writer = (int)SHOW(open("file", O_WRONLY | O_APPEND)) ;
	SHOW(write(writer, "more\n", 5));
	ssize_t got = pread(fd, text, sizeof text, 0);
	printf("read through the old descriptor: %zd \"%.*s\"\n", got, (int)got, text);
	printf("seen through the mapping: \"%.11s\" then %d\n", map, map[11]);
	munmap(map, PAGE);
	close(fd);
	close(writer);
	TRY(chmod("other", 0666));
	TRY(chown("dir/inner", 7, 8));
	TRY(lchown("link", 9, 10));
	TRY(chmod("fifo", 0600));
	TRY(chown("null", 1, 2));
	TRY(chmod("disk", 0600));
	age("dir/deep/bottom", 777);
	TRY(setxattr("dir", "user.more", "yes", 3, 0));
	TRY(setxattr("dir/inner", "user.colour", "red", 3, XATTR_REPLACE));
	TRY(setxattr("dir/inner", "user.new", "red", 3, XATTR_REPLACE));
	TRY(removexattr("dir", "user.kind"));
	TRY(truncate("program", 5));
	TRY(setxattr("dir", "trusted.overlay.opaque", "y", 1, 0));
	MUST(chdir("/"));
}

static void make(void)
{
	MUST(chdir(TOP));
	put_file("new", "new\n", 0606);
	TRY(mkdir("dir/made", 0711));
	TRY(symlink("nowhere", "dir/deep/new link"));
	TRY(mknod("dir/made/pipe", S_IFIFO | 0640, 0));
	TRY(mknod("dir/made/zero", S_IFCHR | 0640, makedev(1, 5)));
	TRY(mknod("whiteout", S_IFCHR | 0640, 0));
	TRY(link("other", "dir/made/other name"));
	TRY(link("new", "new too"));
	TRY(mkdir("empty", 0700));
	int fd = (int)TRY(open("dir/deep", O_TMPFILE | O_RDWR, 0644));
	if (fd >= 0) {
		char name[60];
		TRY(write(fd, "unnamed", 7));
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		TRY(linkat(AT_FDCWD, name, AT_FDCWD, "dir/deep/named", AT_SYMLINK_FOLLOW));
		close(fd);
	}
	MUST(chdir("/"));
}

static void take_away(void)
{
	MUST(chdir(TOP));
	TRY(rmdir("dir"));
	TRY(unlink("dir/deep/bottom"));
	TRY(unlink("dir/deep/named"));
	TRY(unlink("dir/deep/new link"));
	TRY(rmdir("dir/deep"));
	TRY(mkdir("dir/deep", 0755));
	TRY(rmdir("empty"));
	TRY(unlink("null"));
	TRY(mknod("null", S_IFREG | 0600, 0));
	TRY(unlink("link"));
	TRY(symlink("other", "link"));
	TRY(unlink("new"));
	TRY(unlink("file"));
	TRY(mkdir("file", 0700));
	TRY(rmdir("file"));
	TRY(unlink("file"));
	MUST(chdir("/"));
}

static void run(int on_disk)
{
	printf("-- %s\n", on_disk ? "ext2" : "tmpfs");
	begin_layers(on_disk);
	fill(LOWER);
	TRY(OVERLAY(ALL));
	look();
	change();
	printf("-- changed\n");
	show_tree(TOP);
	show_tree(UPPER);
	make();
	printf("-- made\n");
	show_tree(TOP);
	show_tree(UPPER);
	take_away();
	printf("-- taken away\n");
	show_tree(TOP);
	show_tree(UPPER);
	show_tree(WORK);
	TRY(umount(TOP));
	TRY(OVERLAY(ALL));
	printf("-- mounted again\n");
	show_tree(TOP);
	TRY(umount(TOP));
	printf("-- below\n");
	show_tree(LOWER);
	end_layers();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	IN_CHILD(run(0));
	IN_CHILD(run(1));
	return 0;
}
