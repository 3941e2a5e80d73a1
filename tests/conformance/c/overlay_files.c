/* Open files of an overlay: numbers, locks, events, mappings, programs that run, files without a name. */
#include "overlay_case.h"
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>

static void events(int in)
{
	char text[4000];
	ssize_t got = read(in, text, sizeof text);
	for (char *at = text; at < text + got;) {
		struct inotify_event *event = (void *)at;
		printf("  event %#x \"%s\"\n", event->mask, event->len ? event->name : "");
		at += sizeof *event + event->len;
	}
	if (got < 0)
		printf("  no event: %s\n", error_name(errno));
}

static void numbers(void)
{
	struct stat before, after, root, upper, dir;
	struct statvfs a, b;
	MUST(stat(TOP "/file", &before));
	MUST(stat(TOP, &root));
	MUST(stat(TOP "/dir", &dir));
	close((int)MUST(open(TOP "/file", O_WRONLY)));
	MUST(stat(TOP "/file", &after));
	MUST(stat(UPPER "/file", &upper));
	printf("number stays: %d, device stays: %d\n", before.st_ino == after.st_ino, before.st_dev == after.st_dev);
	printf("file on the overlay's device: %d, directory: %d, as the upper one: %d\n", after.st_dev == root.st_dev,
		dir.st_dev == root.st_dev, upper.st_dev == after.st_dev);
	printf("links of directories: %d %d\n", (int)root.st_nlink, (int)dir.st_nlink);
	MUST(statvfs(TOP, &a));
	MUST(statvfs(UPPER, &b));
	printf("sizes as below: %d %d %d, name %d\n", a.f_blocks == b.f_blocks, a.f_bsize == b.f_bsize, a.f_files == b.f_files,
		(int)a.f_namemax);
}

static void locks(void)
{
	int a = (int)MUST(open(TOP "/other", O_RDONLY));
	SHOW(flock(a, LOCK_EX));
	int b = (int)MUST(open(TOP "/other", O_RDWR));
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	SHOW(flock(a, LOCK_UN));
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 3};
	SHOW(fcntl(b, F_SETLK, &lock));
	IN_CHILD(
		int c = (int)MUST(open(TOP "/other", O_RDWR));
		SHOW(fcntl(c, F_SETLK, &lock));
	);
	close(a);
	close(b);
}

static void told(void)
{
	int in = (int)MUST(inotify_init1(IN_NONBLOCK));
	MUST(inotify_add_watch(in, TOP "/dir", IN_ALL_EVENTS));
	MUST(inotify_add_watch(in, TOP "/dir/inner", IN_ALL_EVENTS));
	int fd = (int)MUST(open(TOP "/dir/inner", O_WRONLY | O_APPEND));
	SHOW(write(fd, "x", 1));
	close(fd);
	events(in);
	TRY(chmod(TOP "/dir/inner", 0600));
	TRY(rename(TOP "/dir/inner", TOP "/dir/outer"));
	TRY(unlink(TOP "/dir/outer"));
	events(in);
	close(in);
}

static void mapped(void)
{
	int fd = (int)MUST(open(TOP "/mapped", O_RDWR));
	char *map = (void *)MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char text[10] = "";
	memcpy(map, "MAP", 3);
	SHOW(pread(fd, text, 6, 0));
	printf("%s\n", text);
	MUST(msync(map, PAGE, MS_SYNC));
	close(fd);
	SHOW(umount(TOP));
	MUST(unlink(TOP "/mapped"));
	memcpy(map + 3, "STILL", 5);
	printf("%.8s\n", map);
	munmap(map, PAGE);
}

static void contents(void)
{
	char text[100];
	int fd = (int)MUST(open(TOP "/holes", O_RDWR));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(lseek(fd, -5, SEEK_CUR));
	SHOW(read(fd, text, 100));
	SHOW(lseek(fd, 100, SEEK_DATA) >= 100);
	SHOW(ftruncate(fd, 70000));
	SHOW(fallocate(fd, 0, 0, 80000));
	SHOW(fallocate(fd, 3, 0, 4096));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	int source = (int)MUST(open(TOP "/program", O_RDONLY));
	SHOW(sendfile(fd, source, NULL, 100));
	SHOW(lseek(fd, 0, SEEK_CUR));
	struct stat st;
	MUST(fstat(fd, &st));
	printf("size %d\n", (int)st.st_size);
	close(source);
	close(fd);
	MUST(stat(UPPER "/holes", &st));
	printf("size %d\n", (int)st.st_size);
	SHOW(truncate(TOP "/cut", 3));
	show_file(UPPER "/cut");
	fd = (int)SHOW(open(TOP "/cut two", O_WRONLY | O_TRUNC) >= 0 ? 1 : 0);
	MUST(stat(UPPER "/cut two", &st));
	printf("size %d\n", (int)st.st_size);
	SHOW(open(TOP "/cut", O_RDWR | O_CREAT | O_EXCL, 0600));
	SHOW(open(TOP "/dir", O_RDWR));
	SHOW(open(TOP "/file/x", O_RDONLY));
	SHOW(open(TOP "/cut", O_RDONLY | O_DIRECTORY));
}

/* Without a name any more. */
static void gone(void)
{
	struct stat st;
	char text[50];
	int fd = (int)MUST(open(TOP "/gone", O_RDONLY));
	MUST(unlink(TOP "/gone"));
	SHOW(read(fd, text, sizeof text));
	TRY(fchmod(fd, 0640));
	MUST(fstat(fd, &st));
	printf("mode %o size %d\n", st.st_mode, (int)st.st_size);
	close(fd);
	put_file(TOP "/again", "again\n", 0644);
	fd = (int)MUST(open(TOP "/again", O_RDWR));
	MUST(unlink(TOP "/again"));
	SHOW(pwrite(fd, "A", 1, 0));
	MUST(fstat(fd, &st));
	printf("links %d size %d\n", (int)st.st_nlink, (int)st.st_size);
	close(fd);
	MUST(mkdir(TOP "/here", 0755));
	MUST(chdir(TOP "/here"));
	MUST(rmdir(TOP "/here"));
	SHOW(open("x", O_CREAT | O_RDWR, 0600));
	SHOW(stat(".", &st));
	MUST(chdir("/"));
}

static void runs(void)
{
	MUST(chmod(TOP "/script", 0755));
	IN_CHILD(execl(TOP "/script", "script", NULL); printf("exec: %s\n", error_name(errno)));
	SHOW(open(TOP "/script", O_WRONLY) >= 0);
}

static void run(int on_disk)
{
	printf("-- %s\n", on_disk ? "ext2" : "tmpfs");
	begin_layers(on_disk);
	fill(LOWER);
	put_file(LOWER "/mapped", "mapped\n", 0644);
	put_file(LOWER "/cut", "to be cut\n", 0644);
	put_file(LOWER "/cut two", "to be cut\n", 0644);
	put_file(LOWER "/gone", "gone\n", 0644);
	put_file(LOWER "/script", "#!/bin/sh\necho running $0\n", 0755);
	put_file(LOWER "/holes", "start", 0644);
	MUST(truncate(LOWER "/holes", 100000));
	TRY(OVERLAY(ALL));
	numbers();
	locks();
	told();
	contents();
	gone();
	runs();
	mapped();
	show_tree(UPPER);
	TRY(umount(TOP));
	end_layers();
}

/* Layers on two file systems. */
static void two(const char *more)
{
	struct stat lower, upper, dir, root, below;
	char options[300];
	printf("-- layers on two file systems%s\n", more);
	begin_layers(0);
	MUST(mount("tmpfs", LOWER, "tmpfs", 0, NULL));
	fill(LOWER);
	snprintf(options, sizeof options, ALL "%s", more);
	TRY(OVERLAY(options));
	show_mount(TOP);
	put_file(TOP "/new", "", 0600);
	MUST(stat(TOP "/new", &upper));
	MUST(stat(TOP "/other", &lower));
	MUST(stat(LOWER "/other", &below));
	MUST(stat(TOP "/dir", &dir));
	MUST(stat(TOP, &root));
	printf("upper's device is the root's: %d, lower's: %d, one: %d, directory's: %d, as below: %d, number: %d\n",
		upper.st_dev == root.st_dev, lower.st_dev == root.st_dev, lower.st_dev == upper.st_dev,
		dir.st_dev == root.st_dev, lower.st_dev == below.st_dev, lower.st_ino == below.st_ino);
	MUST(chmod(TOP "/other", 0600));
	MUST(stat(TOP "/other", &upper));
	printf("stays: %d %d\n", upper.st_dev == lower.st_dev, upper.st_ino == lower.st_ino);
	TRY(umount(TOP));
	MUST(umount(LOWER));
	end_layers();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	IN_CHILD(run(0));
	IN_CHILD(run(1));
	IN_CHILD(two(""));
	IN_CHILD(two(",xino=on"));
	return 0;
}
