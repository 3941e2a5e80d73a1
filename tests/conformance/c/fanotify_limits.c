/* What bounds groups of fanotify(7): queues that are full, marks, groups; what users may, and what /proc shows. */
#include "fanotify_case.h"
#include <sys/sysinfo.h>

static long read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	read(fd, text, sizeof text - 1);
	close(fd);
	return atol(text);
}

static void write_number(const char *path, long number)
{
	char text[32];
	int fd = (int)MUST(open(path, O_WRONLY));
	int n = snprintf(text, sizeof text, "%ld", number);
	SHOW(write(fd, text, (size_t)n) == n);
	close(fd);
}

#define QUEUE "/proc/sys/fs/fanotify/max_queued_events"
#define GROUPS "/proc/sys/fs/fanotify/max_user_groups"
#define MARKS "/proc/sys/fs/fanotify/max_user_marks"

static void make_files(int count)
{
	char path[32];
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "n/%d", i);
		put_file(path, "", 0644);
	}
}

static void open_files(int count)
{
	char path[32];
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "n/%d", i);
		close((int)MUST(open(path, O_RDONLY)));
	}
}

static void queues(unsigned flags)
{
	printf("== a full queue, flags %#x\n", flags);
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK | flags, O_RDONLY));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "n"));
	known_count = 0;
	open_files(12);
	if (flags & FAN_UNLIMITED_QUEUE)
		CHECK(drain(fd, NULL) == 12);
	else
		CHECK(drain(fd, "the overflow comes last") == 9);
	open_files(3);
	CHECK(drain(fd, NULL) == 3);
	close(fd);
}

static void marks(void)
{
	printf("== too many marks\n");
	char path[32];
	int one = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY)), two = (int)MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY)),
			unlimited = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_UNLIMITED_MARKS, O_RDONLY));
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "n/%d", i);
		SHOW(fanotify_mark(one, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, path));
	}
	SHOW(fanotify_mark(one, FAN_MARK_ADD, FAN_CLOSE, AT_FDCWD, "n/0"));
	SHOW(fanotify_mark(two, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "n/0"));
	SHOW(fanotify_mark(two, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "n/0"));
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof path, "n/%d", i);
		MUST(fanotify_mark(unlimited, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, path));
	}
	SHOW(fanotify_mark(one, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
	SHOW(fanotify_mark(two, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "n/0"));
	close(two);
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof path, "n/%d", i);
		SHOW(fanotify_mark(one, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, path));
	}
	MUST(unlink("n/0"));
	SHOW(fanotify_mark(one, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "n/5"));
	close(unlimited);
	close(one);
}

static void groups(void)
{
	printf("== too many groups\n");
	int fd[8], count = 0;
	while (count < 8) {
		long made = fanotify_init(0, 0);
		if (made < 0) {
			printf("group %d: %s\n", count, error_name(errno));
			break;
		}
		fd[count++] = (int)made;
	}
	while (count-- > 0)
		close(fd[count]);
	int again = (int)SHOW(fanotify_init(0, 0)) ;
	close(again);
}

static void shown(void)
{
	printf("== /proc/PID/fdinfo\n");
	char path[64], text[4096], *line, *rest;
	int fd = (int)MUST(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED_MARKS | FAN_ENABLE_AUDIT, O_RDWR | O_NOATIME));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ONDIR | FAN_EVENT_ON_CHILD, AT_FDCWD, "n"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN, AT_FDCWD, "n"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE, AT_FDCWD, "n"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_CLOSE, AT_FDCWD, "n/1"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_CLOSE | FAN_ONDIR, AT_FDCWD, "n"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_CLOSE | FAN_ONDIR, AT_FDCWD, "n/1"));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	int info = (int)MUST(open(path, O_RDONLY));
	ssize_t n = read(info, text, sizeof text - 1);
	text[n > 0 ? n : 0] = 0;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "fanotify", 8) != 0 && strncmp(line, "flags", 5) != 0)
			continue;
		for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
			char *colon = strchr(word, ':');
			if (colon && (strncmp(word, "ino", 3) == 0 || strncmp(word, "sdev", 4) == 0 || strncmp(word, "mnt_id", 6) == 0 ||
					strncmp(word, "f_handle", 8) == 0))
				colon[1] = 0;
			printf("%s ", word);
		}
		printf("\n");
	}
	close(info);
	close(fd);
}

static void users(void)
{
	printf("== a user\n");
	int fd = (int)SHOW(fanotify_init(FAN_REPORT_FID | FAN_NONBLOCK, 0));
	if (fd < 0)
		return;
	known_count = 0;
	know("n/1", "1");
	know("n", "n");
	SHOW(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_CREATE | FAN_EVENT_ON_CHILD | FAN_ONDIR, AT_FDCWD, "n"));
	close((int)MUST(open("n/1", O_RDONLY)));
	drain(fd, "its own doing");
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(open("n/1", O_RDONLY));
		_exit(0);
	}
	show_end(child);
	drain(fd, "a child's");
	close(fd);
}

static void processes(void)
{
	printf("== processes that have gone\n");
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_PIDFD, 0));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "n/1"));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(open("n/1", O_RDONLY));
		_exit(0);
	}
	until_ended(child);
	drain(fd, "a zombie");
	child = child ? child : 0;
	show_end(child);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		close(open("n/1", O_RDONLY));
		_exit(0);
	}
	show_end(child);
	drain(fd, "nobody");
	close(fd);
	fd = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_PIDFD | 0x2000, 0));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "n/1"));
	child = (pid_t)MUST(fork());
	if (child == 0) {
		close(open("n/1", O_RDONLY));
		_exit(0);
	}
	show_end(child);
	drain(fd, "nobody, with the error");
	close(fd);
}

int main(void)
{
	long queue = read_number(QUEUE), group_limit = read_number(GROUPS), mark_limit = read_number(MARKS);
	on_tmpfs();
	MUST(mkdir("n", 0777));
	make_files(12);
	printf("%ld events, %ld groups\n", queue, group_limit);
	CHECK(mark_limit >= 8192);
	write_number(QUEUE, 8);
	queues(0);
	queues(FAN_REPORT_FID);
	queues(FAN_REPORT_DIR_FID | FAN_REPORT_NAME);
	queues(FAN_REPORT_PIDFD);
	queues(0x2000);
	queues(FAN_UNLIMITED_QUEUE);
	printf("== a question that does not fit\n");
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_CLASS_CONTENT, O_RDONLY));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "n"));
	open_files(10);
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "n/0"));
	TRY(close(open("n/0", O_RDONLY)));
	CHECK(drain(fd, NULL) == 9);
	close(fd);
	write_number(QUEUE, queue);
	write_number(MARKS, 4);
	marks();
	write_number(MARKS, mark_limit);
	write_number(GROUPS, 3);
	groups();
	write_number(GROUPS, group_limit);
	shown();
	processes();
	IN_CHILD({ MUST(setresgid(1000, 1000, 1000)); MUST(setresuid(1000, 1000, 1000)); users(); });
	off_tmpfs();
	return 0;
}
