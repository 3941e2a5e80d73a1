/* Events of fanotify(7) with an open file each: marks on files, directories, mounts and file systems, what is ignored, what
 * merges, and what a reader sees.
 */
#include "fanotify_case.h"

static void use(const char *path)
{
	char bytes[8];
	int f = (int)MUST(open(path, O_RDWR | O_CREAT, 0644));
	MUST(write(f, "hello", 5));
	MUST(pread(f, bytes, 2, 0));
	close(f);
	f = (int)MUST(open(path, O_RDONLY));
	close(f);
}

static void look(const char *path)
{
	char bytes[1024];
	int f = (int)MUST(open(path, O_RDONLY | O_DIRECTORY));
	MUST(syscall(SYS_getdents64, f, bytes, sizeof bytes));
	close(f);
}

static void everything(int fd)
{
	use("d/f");
	drain(fd, "use a file");
	use("d/new");
	drain(fd, "make a file");
	look("d");
	drain(fd, "look into the directory");
	look("d/s");
	drain(fd, "look into its child");
	use("d/s/deep");
	drain(fd, "use a grandchild");
	MUST(truncate("d/f", 3));
	close((int)MUST(open("d/f", O_WRONLY | O_TRUNC)));
	int f = (int)MUST(open("d/f", O_RDWR));
	MUST(ftruncate(f, 7));
	MUST(posix_fallocate(f, 0, 10));
	MUST(fchmod(f, 0600));
	close(f);
	drain(fd, "truncate, allocate, chmod");
	MUST(rename("d/new", "d/renamed"));
	MUST(link("d/renamed", "d/linked"));
	MUST(unlink("d/renamed"));
	MUST(unlink("d/linked"));
	drain(fd, "names");
	MUST(mkfifo("d/fifo", 0644));
	f = (int)MUST(open("d/fifo", O_RDWR));
	MUST(write(f, "x", 1));
	close(f);
	MUST(unlink("d/fifo"));
	drain(fd, "a FIFO");
	close((int)MUST(open("d/f", O_PATH)));
	drain(fd, "O_PATH");
	use("outside");
	drain(fd, "a file outside");
}

static void marked(unsigned how, uint64_t mask, const char *path, const char *what)
{
	printf("== %s\n", what);
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY | O_LARGEFILE));
	TRY(fanotify_mark(fd, FAN_MARK_ADD | how, mask, AT_FDCWD, path));
	everything(fd);
	close(fd);
}

static void ignoring(void)
{
	printf("== ignoring\n");
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, ALL_FILES, AT_FDCWD, "."));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN | FAN_CLOSE, AT_FDCWD, "d/f"));
	close((int)MUST(open("d/f", O_RDONLY)));
	drain(fd, "ignored");
	use("d/f");
	drain(fd, "until it is modified");
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN | FAN_CLOSE, AT_FDCWD, "d/f"));
	use("d/f");
	use("d/f");
	drain(fd, "and beyond");
	MUST(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, FAN_OPEN, AT_FDCWD, "d/f"));
	use("d/f");
	drain(fd, "but opening");
	MUST(fanotify_mark(fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
	use("d/f");
	drain(fd, "no more");
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_OPEN, AT_FDCWD, "d"));
	use("d/f");
	look("d");
	drain(fd, "a directory, without its children and itself");
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
	use("d/f");
	drain(fd, "its children");
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_ONDIR, AT_FDCWD, "."));
	look("d");
	drain(fd, "directories as well");
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_ONDIR, AT_FDCWD, "d"));
	look("d");
	look("d/s");
	drain(fd, "that directory ignored");
	MUST(fanotify_mark(fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_OPEN | FAN_ONDIR | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
	use("d/f");
	look("d");
	drain(fd, "the same in the old way");
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_ACCESS | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
	use("d/f");
	drain(fd, "watching children");
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_IGNORED_MASK, FAN_CLOSE, AT_FDCWD, "."));
	close((int)MUST(open("outside", O_RDONLY)));
	drain(fd, "the mount ignores closing");
	use("outside");
	drain(fd, "until something is modified");
	close(fd);
}

static void merging(void)
{
	printf("== merging\n");
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ALL_FILES | FAN_ONDIR, AT_FDCWD, "."));
	use("d/f");
	use("outside");
	use("d/f");
	look("d");
	look("d");
	int waiting = 0;
	MUST(ioctl(fd, FIONREAD, &waiting));
	printf("%d bytes wait\n", waiting);
	drain(fd, "two files in turns");
	use("d/f");
	fflush(stdout);
	IN_CHILD(use("d/f"); use("outside"));
	drain(fd, "by two processes");
	MUST(link("d/f", "d/other"));
	use("d/f");
	use("d/other");
	drain(fd, "by two names");
	MUST(unlink("d/other"));
	close(fd);
}

static void groups(void)
{
	printf("== two groups, two marks\n");
	int one = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY)), two = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_CLASS_CONTENT, O_RDWR));
	MUST(fanotify_mark(one, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
	MUST(fanotify_mark(one, FAN_MARK_ADD, FAN_CLOSE_WRITE, AT_FDCWD, "d/f"));
	MUST(fanotify_mark(two, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "d"));
	MUST(fanotify_mark(two, FAN_MARK_ADD, FAN_ACCESS, AT_FDCWD, "d/f"));
	use("d/f");
	drain(one, "one");
	drain(two, "two");
	MUST(fanotify_mark(one, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "d"));
	use("d/f");
	drain(one, "one without opening");
	drain(two, "two");
	close(one);
	use("d/f");
	drain(two, "two alone");
	close(two);
}

static void mounts(void)
{
	printf("== mounts\n");
	MUST(mkdir("here", 0755));
	MUST(mount("d", "here", NULL, MS_BIND, NULL));
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "here"));
	use("d/f");
	drain(fd, "by the other mount");
	use("here/f");
	drain(fd, "by this one");
	use("here/f");
	SHOW(umount("here"));
	drain(fd, "busy while an event waits");
	SHOW(umount("here"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "here"));
	MUST(mount("none", "here", "tmpfs", 0, NULL));
	put_file("here/x", "y", 0644);
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "here"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_CLOSE, AT_FDCWD, "here/x"));
	use("here/x");
	drain(fd, "another file system");
	SHOW(umount("here"));
	drain(fd, "gone");
	MUST(rmdir("here"));
	close(fd);
}

static void reading(void)
{
	printf("== reading\n");
	unsigned char buffer[256] __attribute__((aligned(8)));
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_WRONLY | O_APPEND | O_CLOEXEC));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, ALL_FILES | FAN_ONDIR, AT_FDCWD, "d/f"));
	struct pollfd poller = { fd, POLLIN | POLLOUT, 0 };
	SHOW(poll(&poller, 1, 0));
	SHOW(read(fd, buffer, sizeof buffer));
	use("d/f");
	SHOW(poll(&poller, 1, 0));
	printf("events %#x\n", poller.revents);
	SHOW(read(fd, buffer, 0));
	SHOW(read(fd, buffer, 23));
	SHOW(read(fd, (void *)-1, 24));
	SHOW(read(fd, buffer, 24));
	use("d/f");
	SHOW(read(fd, buffer, 47));
	struct fanotify_event_metadata e;
	memcpy(&e, buffer, sizeof e);
	printf("opened with %#x, cloexec %d\n", fcntl(e.fd, F_GETFL), fcntl(e.fd, F_GETFD));
	MUST(write(e.fd, "x", 1));
	close(e.fd);
	drain(fd, "the reader's own file is silent");
	SHOW(lseek(fd, 10, SEEK_SET));
	SHOW(write(fd, buffer, 8));
	SHOW(pread(fd, buffer, 100, 0));
	int count;
	SHOW(ioctl(fd, FIONREAD, &count));
	SHOW(ioctl(fd, FIONREAD, (int *)1));
	SHOW(ioctl(fd, 0x5450));
	SHOW(ftruncate(fd, 0));
	close(fd);
	fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDWR));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_ONDIR, AT_FDCWD, "d"));
	look("d");
	drain(fd, "a directory, to be opened for writing");
	close(fd);
	fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDWR));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_CLOSE, AT_FDCWD, "d/gone"));
	close((int)MUST(open("d/gone", O_RDONLY)));
	MUST(unlink("d/gone"));
	drain(fd, "a file that has no name any more");
	put_file("d/gone", "", 0644);
	close(fd);
	MUST(mkdir("frozen", 0755));
	MUST(mount("d", "frozen", NULL, MS_BIND, NULL));
	MUST(mount("none", "frozen", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDWR));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "d/f"));
	close((int)MUST(open("frozen/f", O_RDONLY)));
	drain(fd, "a file that cannot be written");
	drain(fd, "lost");
	close((int)MUST(open("d/f", O_RDONLY)));
	close((int)MUST(open("frozen/f", O_RDONLY)));
	drain(fd, "after another");
	drain(fd, "lost, too");
	close(fd);
	fd = (int)MUST(fanotify_init(FAN_NONBLOCK | 0x2000, O_RDWR));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "d/f"));
	close((int)MUST(open("frozen/f", O_RDONLY)));
	drain(fd, "the same with the error");
	close(fd);
	MUST(umount("frozen"));
	fd = (int)MUST(fanotify_init(0, O_RDONLY));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "d/f"));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		ssize_t n = read(fd, buffer, sizeof buffer);
		_exit(n == 24 ? 0 : 1);
	}
	until_asleep(child);
	close((int)MUST(open("d/f", O_RDONLY)));
	show_end(child);
	close(fd);
}

static void running(void)
{
	printf("== running\n");
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY));
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY)), to = (int)MUST(open("d/program", O_WRONLY | O_CREAT, 0755));
	char bytes[65536];
	ssize_t n;
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		MUST(write(to, bytes, (size_t)n));
	close(from);
	close(to);
	put_file("d/script", "#!d/program\n", 0755);
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_OPEN_EXEC | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
	IN_CHILD(execl("d/program", "program", "quiet", NULL));
	drain(fd, "a program");
	IN_CHILD(execl("d/script", "script", "quiet", NULL));
	drain(fd, "a script");
	MUST(fanotify_mark(fd, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "d"));
	IN_CHILD(execl("d/program", "program", "quiet", NULL));
	close((int)MUST(open("d/program", O_RDONLY)));
	drain(fd, "only its running");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[argc - 1], "quiet") == 0)
		return 0;
	on_tmpfs();
	MUST(mkdir("d", 0755));
	MUST(mkdir("d/s", 0755));
	put_file("d/f", "text", 0644);
	put_file("d/gone", "", 0644);
	put_file("outside", "text", 0644);
	marked(0, ALL_FILES, "d/f", "a file");
	marked(0, ALL_FILES | FAN_ONDIR | FAN_EVENT_ON_CHILD, "d/f", "a file with flags of directories");
	marked(0, ALL_FILES, "d", "a directory");
	marked(0, ALL_FILES | FAN_ONDIR, "d", "a directory itself");
	marked(0, ALL_FILES | FAN_EVENT_ON_CHILD, "d", "its children");
	marked(0, ALL_FILES | FAN_EVENT_ON_CHILD | FAN_ONDIR, "d", "itself and its children");
	marked(FAN_MARK_MOUNT, ALL_FILES, "d/f", "a mount");
	marked(FAN_MARK_MOUNT, ALL_FILES | FAN_ONDIR | FAN_EVENT_ON_CHILD, "d/f", "a mount with directories");
	marked(FAN_MARK_FILESYSTEM, ALL_FILES, "d/f", "a file system");
	marked(FAN_MARK_FILESYSTEM, ALL_FILES | FAN_ONDIR | FAN_EVENT_ON_CHILD, "d/f", "a file system with directories");
	ignoring();
	merging();
	groups();
	mounts();
	reading();
	running();
	off_tmpfs();
	return 0;
}
