/* Which flags fanotify_init(2) and fanotify_mark(2) refuse, and in which order of errors. */
#include "fanotify_case.h"

static void init(unsigned flags, unsigned event_flags)
{
	long fd = fanotify_init(flags, event_flags);
	printf("init %#x %#x: %s", flags, event_flags, fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		printf(", flags %#x, cloexec %d", fcntl((int)fd, F_GETFL), fcntl((int)fd, F_GETFD));
	printf("\n");
	if (fd >= 0)
		close((int)fd);
}

static void mark(int fd, unsigned flags, uint64_t mask, int dir, const char *path)
{
	long result = fanotify_mark(fd, flags, mask, dir, path);
	printf("mark %#x %#llx %s: %s\n", flags, (unsigned long long)mask, path == NULL ? "(null)" : path == (char *)-1 ? "(bad)" : path,
			result < 0 ? error_name(errno) : "ok");
	if (result == 0 && (flags & FAN_MARK_ADD))
		fanotify_mark(fd, FAN_MARK_FLUSH | (flags & 0x110), 0, AT_FDCWD, NULL);
}

static void all_inits(void)
{
	for (unsigned bit = 0; bit < 32; bit++)
		init(1u << bit, 0);
	for (unsigned bit = 0; bit < 32; bit++)
		init(FAN_CLASS_NOTIF, 1u << bit);
	init(0, O_RDWR | O_CLOEXEC | O_APPEND | O_DSYNC | O_SYNC | O_NONBLOCK | O_NOATIME | 0100000);
	init(0, 3);
	init(0xc, 0);
	init(0xc, 3);
	init(FAN_CLASS_CONTENT | FAN_REPORT_FID, 0);
	init(FAN_CLASS_PRE_CONTENT | FAN_REPORT_DIR_FID, 0);
	init(FAN_REPORT_FID | FAN_REPORT_NAME, 0);
	init(FAN_REPORT_DIR_FID | FAN_REPORT_NAME, 0);
	init(FAN_REPORT_DIR_FID | FAN_REPORT_TARGET_FID, 0);
	init(FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID, 0);
	init(FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID, 0);
	init(FAN_REPORT_PIDFD | FAN_REPORT_TID, 0);
	init(FAN_REPORT_PIDFD | FAN_REPORT_TID, 3);
	init(FAN_CLASS_CONTENT | FAN_REPORT_PIDFD, 0);
	init(FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_CONTENT | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS, O_LARGEFILE);
	init(FAN_ENABLE_AUDIT | FAN_CLASS_CONTENT, 0);
	init(0x2000, 0);
	init(0x80000000, 0);
	init(0x80000000, 3);
}

static void all_marks(int fd, const char *what)
{
	printf("== %s\n", what);
	for (unsigned bit = 0; bit < 32; bit++)
		mark(fd, FAN_MARK_ADD | 1u << bit, FAN_OPEN, AT_FDCWD, "f");
	for (unsigned bit = 0; bit < 32; bit++)
		mark(fd, FAN_MARK_REMOVE | 1u << bit, FAN_OPEN, AT_FDCWD, "f");
	for (unsigned bit = 0; bit < 64; bit++)
		mark(fd, FAN_MARK_ADD, 1ull << bit, AT_FDCWD, "f");
	for (unsigned bit = 0; bit < 34; bit++)
		mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, 1ull << bit, AT_FDCWD, "f");
	for (unsigned bit = 0; bit < 34; bit++)
		mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, 1ull << bit, AT_FDCWD, "f");
	for (unsigned bit = 0; bit < 34; bit++)
		mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, 1ull << bit, AT_FDCWD, "f");
	for (unsigned bit = 0; bit < 34; bit++)
		mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, 1ull << bit, AT_FDCWD, "d");
	mark(fd, 0, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD, 0, AT_FDCWD, "f");
	mark(fd, FAN_MARK_REMOVE, 0, AT_FDCWD, "f");
	mark(fd, FAN_MARK_FLUSH, 0, AT_FDCWD, "f");
	mark(fd, FAN_MARK_FLUSH, FAN_OPEN, AT_FDCWD, "missing");
	mark(fd, FAN_MARK_FLUSH, 1ull << 20, AT_FDCWD, "f");
	mark(fd, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, -1, NULL);
	mark(fd, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, -1, NULL);
	mark(fd, FAN_MARK_FLUSH | FAN_MARK_ONLYDIR, 0, -1, NULL);
	mark(fd, FAN_MARK_FLUSH | FAN_MARK_ADD, 0, -1, NULL);
	mark(fd, FAN_MARK_ADD | FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "missing");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, (char *)-1);
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, NULL);
	mark(fd, FAN_MARK_ADD, FAN_OPEN, -1, NULL);
	mark(fd, FAN_MARK_ADD, FAN_OPEN, -1, "f");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, 99, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN, AT_FDCWD, "d");
	mark(fd, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, FAN_OPEN, AT_FDCWD, "l");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "l");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "dangling");
	mark(fd, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, FAN_OPEN, AT_FDCWD, "dangling");
	mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE, FAN_OPEN, AT_FDCWD, "d");
	mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_IGNORED_MASK, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN, AT_FDCWD, "d");
	mark(fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "/proc/self/status");
	mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "/proc/self/status");
	mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "/proc/self/status");
	mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "/proc/self/status");
	mark(fd, FAN_MARK_ADD, FAN_CREATE, AT_FDCWD, "d");
	mark(fd, FAN_MARK_ADD, FAN_CREATE | FAN_OPEN, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CREATE, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD, FAN_RENAME, AT_FDCWD, "d");
	mark(fd, FAN_MARK_ADD, FAN_RENAME, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD, FAN_FS_ERROR, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR | FAN_CREATE, AT_FDCWD, "f");
	mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_ONDIR, AT_FDCWD, "f");
	int pair[2];
	MUST(pipe(pair));
	mark(fd, FAN_MARK_ADD, FAN_OPEN, pair[0], NULL);
	mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, pair[0], NULL);
	mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, pair[0], NULL);
	mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN, pair[0], NULL);
	mark(pair[0], FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f");
	mark(pair[0], FAN_MARK_ADD, 1ull << 40, AT_FDCWD, "f");
	mark(99, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "missing");
	mark(99, FAN_MARK_ADD, FAN_OPEN | 1 << 21, AT_FDCWD, "missing");
	int place = (int)MUST(open("d", O_PATH | O_DIRECTORY));
	mark(fd, FAN_MARK_ADD, FAN_OPEN, place, NULL);
	mark(fd, FAN_MARK_ADD, FAN_OPEN, place, "g");
	mark(fd, FAN_MARK_REMOVE, FAN_OPEN, place, "g");
	close(place);
	place = (int)MUST(open("d", O_DIRECTORY));
	mark(fd, FAN_MARK_ADD, FAN_OPEN, place, NULL);
	mark(fd, FAN_MARK_ADD, FAN_OPEN, place, "g");
	close(place);
	close(pair[0]);
	close(pair[1]);
}

static void updates(void)
{
	printf("== changing marks\n");
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK, 0));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_IGNORE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_IGNORE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_EVICTABLE, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "f"));
	int writer = (int)MUST(open("f", O_WRONLY));
	SHOW(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_CLOSE, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, FAN_CLOSE, AT_FDCWD, "f"));
	close(writer);
	close(fd);
}

int main(void)
{
	on_tmpfs();
	put_file("f", "text", 0644);
	MUST(mkdir("d", 0755));
	put_file("d/g", "text", 0644);
	MUST(symlink("f", "l"));
	MUST(symlink("nothing", "dangling"));
	all_inits();
	const struct { unsigned flags; const char *what; } groups[] = {
		{ FAN_CLASS_NOTIF, "notifications" }, { FAN_CLASS_CONTENT, "content" }, { FAN_CLASS_PRE_CONTENT, "before content" },
		{ FAN_REPORT_FID, "handles" }, { FAN_REPORT_DIR_FID, "directories" },
		{ FAN_REPORT_DIR_FID | FAN_REPORT_NAME, "names" },
		{ FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID, "targets" },
	};
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		int fd = (int)MUST(fanotify_init(groups[i].flags | FAN_NONBLOCK, 0));
		all_marks(fd, groups[i].what);
		close(fd);
	}
	updates();
	printf("== without privileges\n");
	MUST(chmod("f", 0644));
	put_file("secret", "text", 0600);
	IN_CHILD({
		int before = (int)MUST(fanotify_init(FAN_REPORT_FID, 0));
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		all_inits();
		mark(before, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "f");
		int fd = (int)MUST(fanotify_init(FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_NONBLOCK, 0));
		all_marks(fd, "handles");
		mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "secret");
	});
	off_tmpfs();
	return 0;
}
