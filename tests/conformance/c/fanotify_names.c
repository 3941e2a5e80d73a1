/* Events of fanotify(7) that tell files by handles: with every set of FAN_REPORT_… flags, on every kind of mark. */
#include "fanotify_case.h"

static void use(const char *path)
{
	char bytes[8];
	int f = (int)MUST(open(path, O_RDWR | O_CREAT, 0644));
	MUST(write(f, "hello", 5));
	MUST(pread(f, bytes, 2, 0));
	close(f);
}

static void everything(int fd)
{
	known_count = 0;
	know(".", "top");
	know("d", "d");
	know("d/s", "s");
	know("e", "e");
	know("d/f", "f");
	use("d/f");
	drain(fd, "use a file");
	use("d/new");
	know("d/new", "new");
	drain(fd, "make a file");
	MUST(chmod("d/f", 0640));
	MUST(truncate("d/f", 3));
	drain(fd, "change a file");
	MUST(mkdir("d/dir", 0755));
	know("d/dir", "dir");
	drain(fd, "make a directory");
	MUST(chmod("d/dir", 0700));
	close((int)MUST(open("d/dir", O_RDONLY)));
	drain(fd, "open and change it");
	MUST(chmod("d", 0755));
	close((int)MUST(open("d", O_RDONLY)));
	drain(fd, "open and change the directory above");
	MUST(symlink("f", "d/link"));
	know("d/link", "link");
	MUST(link("d/f", "d/hard"));
	MUST(mkfifo("d/fifo", 0644));
	know("d/fifo", "fifo");
	drain(fd, "a symbolic link, a hard link, a FIFO");
	int f = (int)MUST(open("d/fifo", O_RDWR));
	close(f);
	drain(fd, "open the FIFO");
	MUST(rename("d/new", "d/newer"));
	drain(fd, "rename in the directory");
	MUST(rename("d/newer", "e/newest"));
	drain(fd, "rename to another directory");
	MUST(rename("e/newest", "d/new"));
	drain(fd, "rename back");
	MUST(rename("d/dir", "e/dir"));
	drain(fd, "rename a directory");
	MUST(rename("e/dir", "d/dir"));
	drain(fd, "and back");
	MUST(rename("d/new", "d/hard"));
	drain(fd, "rename over another");
	MUST(syscall(SYS_renameat2, AT_FDCWD, "d/hard", AT_FDCWD, "d/dir", 2));
	drain(fd, "exchange a file and a directory");
	MUST(syscall(SYS_renameat2, AT_FDCWD, "d/hard", AT_FDCWD, "d/dir", 2));
	drain(fd, "and again");
	MUST(unlink("d/hard"));
	drain(fd, "unlink");
	MUST(unlink("d/link"));
	MUST(unlink("d/fifo"));
	drain(fd, "unlink the others");
	MUST(rmdir("d/dir"));
	drain(fd, "rmdir");
	f = (int)MUST(open("d/open", O_RDWR | O_CREAT, 0644));
	know("d/open", "open");
	MUST(unlink("d/open"));
	MUST(write(f, "x", 1));
	close(f);
	drain(fd, "a file without a name");
	for (int i = 0; i < 3; i++) {
		put_file("d/again", "", 0644);
		MUST(unlink("d/again"));
	}
	drain(fd, "the same again and again");
}

static void marked(unsigned report, unsigned how, uint64_t mask, const char *path)
{
	long fd = fanotify_init(FAN_NONBLOCK | report, 0);
	printf("== report %#x, mark %#x %s, mask %#llx: %s\n", report, how, path, (unsigned long long)mask, fd < 0 ? error_name(errno) : "ok");
	if (fd < 0)
		return;
	TRY(fanotify_mark((int)fd, FAN_MARK_ADD | how, mask, AT_FDCWD, path));
	everything((int)fd);
	close((int)fd);
}

int main(void)
{
	static const unsigned reports[] = {
		FAN_REPORT_FID, FAN_REPORT_DIR_FID, FAN_REPORT_FID | FAN_REPORT_DIR_FID, FAN_REPORT_DFID_NAME,
		FAN_REPORT_DFID_NAME | FAN_REPORT_FID, FAN_REPORT_DFID_NAME_TARGET,
	};
	static const uint64_t all = ALL_FILES | ALL_INODES | ALL_ENTRIES;
	on_tmpfs();
	MUST(mkdir("d", 0755));
	MUST(mkdir("d/s", 0755));
	MUST(mkdir("e", 0755));
	put_file("d/f", "text", 0644);
	for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
		unsigned report = reports[i];
		uint64_t rename = report & FAN_REPORT_NAME ? FAN_RENAME : 0;
		marked(report, 0, ALL_FILES | ALL_INODES, "d/f");
		marked(report, 0, all, "d");
		marked(report, 0, all | FAN_ONDIR, "d");
		marked(report, 0, all | FAN_EVENT_ON_CHILD, "d");
		marked(report, 0, all | FAN_EVENT_ON_CHILD | FAN_ONDIR | rename, "d");
		marked(report, 0, all | FAN_ONDIR | rename, "e");
		marked(report, FAN_MARK_MOUNT, ALL_FILES | FAN_ONDIR, "d");
		marked(report, FAN_MARK_FILESYSTEM, all, "d");
		marked(report, FAN_MARK_FILESYSTEM, all | FAN_ONDIR | rename, "d");
		marked(report, FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE | FAN_ONDIR, "d");
	}
	marked(FAN_REPORT_DFID_NAME | FAN_REPORT_PIDFD, FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE | FAN_ONDIR, "d");
	marked(FAN_REPORT_PIDFD, FAN_MARK_FILESYSTEM, FAN_OPEN | FAN_ONDIR, "d");
	marked(FAN_REPORT_TID, FAN_MARK_FILESYSTEM, FAN_OPEN | FAN_ONDIR, "d");
	off_tmpfs();
	return 0;
}
