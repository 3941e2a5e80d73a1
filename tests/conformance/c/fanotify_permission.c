/* Questions of fanotify(7): who may open, run and read a file, what answers are taken, and what becomes of callers that wait. */
#include "fanotify_case.h"
#include <pthread.h>
#include <sys/sendfile.h>

static int group;
static const char *forbidden = "none";
static int answers; /* how many questions to answer before the watcher ends */

/* Answer questions: allow them but for those about the forbidden file. */
static void *watch(void *unused)
{
	(void)unused;
	while (answers-- > 0) {
		struct fanotify_event_metadata e;
		ssize_t n = read(group, &e, sizeof e);
		if (n != sizeof e) {
			printf("  read: %zd %s\n", n, error_name(errno));
			break;
		}
		const char *name = file_of(e.fd);
		printf("  asked for");
		for (size_t i = 0; i < sizeof fan_bits / sizeof *fan_bits; i++)
			if (e.mask & fan_bits[i].bit)
				printf(" %s", fan_bits[i].name);
		printf(" of %s", name);
		int denied = strcmp(name, forbidden) == 0;
		printf(denied ? ": no\n" : ": yes\n");
		struct fanotify_response r = { e.fd, denied ? FAN_DENY : FAN_ALLOW };
		MUST(write(group, &r, sizeof r));
		close(e.fd);
	}
	return NULL;
}

static pthread_t watcher;

static void expect(int count)
{
	fflush(stdout);
	answers = count;
	pthread_create(&watcher, NULL, watch, NULL);
}

static void answered(void)
{
	pthread_join(watcher, NULL);
}

static void make_group(unsigned class, unsigned how, uint64_t mask, const char *path)
{
	group = (int)MUST(fanotify_init(class | FAN_CLOEXEC, O_RDONLY));
	MUST(fanotify_mark(group, FAN_MARK_ADD | how, mask, AT_FDCWD, path));
}

static void opening(void)
{
	char bytes[64];
	printf("== opening\n");
	make_group(FAN_CLASS_CONTENT, 0, FAN_OPEN_PERM | FAN_EVENT_ON_CHILD, "d");
	expect(1);
	int f = (int)TRY(open("d/f", O_RDONLY));
	answered();
	close(f);
	forbidden = "f";
	expect(1);
	TRY(open("d/f", O_RDONLY));
	answered();
	expect(1);
	TRY(open("d/f", O_WRONLY | O_TRUNC));
	answered();
	expect(1);
	show_file("d/g");
	answered();
	forbidden = "fresh";
	expect(1);
	TRY(open("d/fresh", O_RDWR | O_CREAT, 0644));
	answered();
	SHOW(access("d/fresh", F_OK));
	MUST(unlink("d/fresh"));
	TRY(open("d/f", O_PATH));
	TRY(open("d/missing", O_RDONLY));
	TRY(open("d", O_RDONLY | O_DIRECTORY));
	close(group);
	make_group(FAN_CLASS_PRE_CONTENT, 0, FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_ONDIR | FAN_EVENT_ON_CHILD, "d");
	forbidden = "none";
	expect(2);
	f = (int)TRY(open("d", O_RDONLY | O_DIRECTORY));
	SHOW(syscall(SYS_getdents64, f, bytes, sizeof bytes) > 0);
	answered();
	close(f);
	expect(2);
	f = (int)TRY(open("d/g", O_RDWR));
	SHOW(read(f, bytes, 2));
	answered();
	forbidden = "g";
	expect(1);
	SHOW(read(f, bytes, 2));
	answered();
	expect(1);
	SHOW(pread(f, bytes, 2, 0));
	answered();
	SHOW(write(f, "xyz", 3));
	int to = (int)MUST(open("out", O_WRONLY | O_CREAT, 0644));
	expect(1);
	SHOW(sendfile(to, f, NULL, 4));
	answered();
	forbidden = "none";
	expect(1);
	SHOW(sendfile(to, f, NULL, 4));
	answered();
	char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, f, 0);
	printf("mapped: %.3s\n", map == MAP_FAILED ? "not" : map);
	close(to);
	close(f);
	close(group);
}

static void running(void)
{
	printf("== running\n");
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY)), to = (int)MUST(open("d/program", O_WRONLY | O_CREAT, 0755));
	char bytes[65536];
	ssize_t n;
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		MUST(write(to, bytes, (size_t)n));
	close(from);
	close(to);
	put_file("d/script", "#!d/program\n", 0755);
	make_group(FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM, "d");
	forbidden = "none";
	expect(2);
	IN_CHILD(execl("d/program", "program", "quiet", NULL));
	answered();
	expect(4);
	IN_CHILD(execl("d/script", "script", "quiet", NULL));
	answered();
	forbidden = "program";
	expect(1);
	IN_CHILD({ execl("d/program", "program", "quiet", NULL); printf("exec: %s\n", error_name(errno)); });
	answered();
	expect(3);
	IN_CHILD({ execl("d/script", "script", "quiet", NULL); printf("exec: %s\n", error_name(errno)); });
	answered();
	MUST(fanotify_mark(group, FAN_MARK_REMOVE | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, "d"));
	forbidden = "none";
	TRY(close(open("d/program", O_RDONLY)));
	expect(1);
	IN_CHILD(execl("d/program", "program", "quiet", NULL));
	answered();
	close(group);
	make_group(FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_ACCESS_PERM, "d");
	forbidden = "program";
	expect(1);
	IN_CHILD({ execl("d/program", "program", "quiet", NULL); printf("exec: %s\n", error_name(errno)); });
	answered();
	close(group);
}

static struct fanotify_event_metadata asked(int fd)
{
	struct fanotify_event_metadata e;
	if (read(fd, &e, sizeof e) != sizeof e)
		printf("no question: %s\n", error_name(errno));
	return e;
}

/* Wait until a question can be read. */
static void until_asked(void)
{
	struct pollfd poller = { group, POLLIN, 0 };
	MUST(poll(&poller, 1, -1));
}

static pid_t opener(const char *path)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(group);
		int f = open(path, O_RDONLY);
		_exit(f >= 0 ? 0 : errno);
	}
	return child;
}

static void answering(void)
{
	printf("== answers\n");
	make_group(FAN_CLASS_CONTENT, 0, FAN_OPEN_PERM, "d/f");
	pid_t child = opener("d/f");
	struct fanotify_event_metadata e = asked(group);
	struct { struct fanotify_response r; struct fanotify_response_info_audit_rule rule; char more[8]; } a = { .r = { e.fd, 0 } };
	SHOW(write(group, &a, 7));
	SHOW(write(group, (void *)-1, 8));
	SHOW(write(group, &a, 8));
	for (unsigned bit = 0; bit < 32; bit++) {
		a.r.response = 1u << bit;
		if (a.r.response != FAN_ALLOW && a.r.response != FAN_DENY)
			SHOW(write(group, &a, 8));
	}
	a.r.response = FAN_ALLOW | FAN_DENY;
	SHOW(write(group, &a, 8));
	a.r.response = FAN_ALLOW | FAN_AUDIT;
	SHOW(write(group, &a, 8));
	a.r.response = FAN_ALLOW | FAN_INFO;
	SHOW(write(group, &a, 8));
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule));
	a.rule.hdr.type = FAN_RESPONSE_INFO_AUDIT_RULE;
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule));
	a.rule.hdr.len = sizeof a.rule;
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule + 4));
	a.rule.hdr.pad = 1;
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule));
	a.rule.hdr.pad = 0;
	a.r.fd = FAN_NOFD;
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule));
	a.r.response = FAN_ALLOW;
	SHOW(write(group, &a, 8));
	a.r.fd = 99;
	SHOW(write(group, &a, 8));
	a.r.fd = e.fd;
	a.r.response = FAN_DENY | FAN_INFO;
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule));
	show_end(child);
	SHOW(write(group, &a, sizeof a.r + sizeof a.rule));
	close(e.fd);
	child = opener("d/f");
	e = asked(group);
	a.r.fd = e.fd;
	a.r.response = FAN_ALLOW;
	SHOW(write(group, &a, 30));
	show_end(child);
	close(e.fd);
	printf("== ends\n");
	child = opener("d/f");
	until_asked();
	kill(child, SIGKILL);
	show_end(child);
	child = opener("d/f");
	e = asked(group);
	kill(child, SIGKILL);
	show_end(child);
	a.r.fd = e.fd;
	SHOW(write(group, &a, 8));
	close(e.fd);
	child = opener("d/f");
	e = asked(group);
	close(e.fd);
	pid_t second = opener("d/f");
	sleep_ms(50);
	close(group);
	show_end(child);
	show_end(second);
	group = (int)MUST(fanotify_init(FAN_CLASS_CONTENT | FAN_ENABLE_AUDIT, O_RDONLY));
	MUST(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_OPEN, AT_FDCWD, "d/f"));
	child = opener("d/f");
	e = asked(group);
	a.r.fd = e.fd;
	a.r.response = FAN_ALLOW | FAN_AUDIT;
	SHOW(write(group, &a, 8));
	show_end(child);
	close(e.fd);
	fcntl(group, F_SETFL, O_NONBLOCK);
	drain(group, "and then it was opened");
	printf("a question whose reader has no descriptors\n");
	child = opener("d/f");
	until_asked();
	int last = dup(0);
	struct { long soft, hard; } old, limit = { last, 0 };
	close(last);
	syscall(SYS_prlimit64, 0, 7, NULL, &old);
	limit.hard = old.hard;
	syscall(SYS_prlimit64, 0, 7, &limit, NULL);
	SHOW(read(group, &e, sizeof e));
	syscall(SYS_prlimit64, 0, 7, &old, NULL);
	show_end(child);
	drain(group, "nothing else");
	close(group);
}

static void several(void)
{
	printf("== two groups\n");
	int first = (int)MUST(fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK, O_RDONLY));
	int second = (int)MUST(fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_NONBLOCK, O_RDONLY));
	group = second;
	MUST(fanotify_mark(first, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_OPEN, AT_FDCWD, "d/f"));
	MUST(fanotify_mark(second, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM | FAN_OPEN, AT_FDCWD, "d"));
	pid_t child = opener("d/f");
	struct pollfd poller[2] = { { first, POLLIN, 0 }, { second, POLLIN, 0 } };
	MUST(poll(poller, 2, -1));
	printf("asked: %d %d\n", poller[0].revents, poller[1].revents);
	struct fanotify_event_metadata e = asked(second);
	struct fanotify_response r = { e.fd, FAN_ALLOW };
	MUST(write(second, &r, 8));
	close(e.fd);
	MUST(poll(poller, 1, -1));
	e = asked(first);
	r.fd = e.fd;
	r.response = FAN_DENY;
	MUST(write(first, &r, 8));
	close(e.fd);
	show_end(child);
	drain(first, "first");
	drain(second, "second");
	child = opener("d/f");
	poller[1].revents = 0;
	MUST(poll(poller + 1, 1, -1));
	e = asked(second);
	r.fd = e.fd;
	MUST(write(second, &r, 8));
	close(e.fd);
	show_end(child);
	drain(first, "first, which was not asked");
	close(first);
	close(second);
}

static void *open_guarded(void *path)
{
	open(path, O_RDONLY);
	return NULL;
}

static void answer(int fd, unsigned how)
{
	struct fanotify_response r = { fd, how };
	MUST(write(group, &r, sizeof r));
	close(fd);
}

/* What becomes of the file, its mount, or the program while a question waits. */
static void meanwhile(void)
{
	printf("== answers in another order\n");
	make_group(FAN_CLASS_CONTENT, 0, FAN_OPEN_PERM, "d/f");
	pid_t first = opener("d/f");
	struct fanotify_event_metadata one = asked(group);
	pid_t second = opener("d/f");
	struct fanotify_event_metadata two = asked(group);
	answer(two.fd, FAN_DENY);
	show_end(second);
	answer(one.fd, FAN_ALLOW);
	show_end(first);
	printf("== a new program while a thread waits\n");
	fflush(stdout);
	first = (pid_t)MUST(fork());
	if (first == 0) {
		pthread_t thread;
		pthread_create(&thread, NULL, open_guarded, "d/f");
		until_asked();
		int program = (int)MUST(open("/proc/self/exe", O_PATH));
		char *arguments[] = { "program", "quiet", NULL }, *none[] = { NULL };
		syscall(SYS_execveat, program, "", arguments, none, AT_EMPTY_PATH);
		_exit(9);
	}
	show_end(first);
	fcntl(group, F_SETFL, O_NONBLOCK);
	drain(group, "nobody asks any more");
	fcntl(group, F_SETFL, 0);
	printf("== the file goes\n");
	fflush(stdout);
	first = (pid_t)MUST(fork());
	if (first == 0) {
		close(group);
		char text[8] = "";
		int f = open("d/f", O_RDONLY);
		struct stat s;
		SHOW(read(f, text, 4));
		SHOW(fstat(f, &s));
		printf("%s, %d names\n", text, (int)s.st_nlink);
		fflush(stdout);
		_exit(0);
	}
	one = asked(group);
	MUST(unlink("d/f"));
	printf("it is called %s\n", file_of(one.fd));
	fflush(stdout);
	answer(one.fd, FAN_ALLOW);
	show_end(first);
	close(group);
	printf("== the directory goes\n");
	MUST(mkdir("d/e", 0755));
	make_group(FAN_CLASS_CONTENT, 0, FAN_ACCESS_PERM | FAN_ONDIR, "d/e");
	for (int gone = 0; gone < 2; gone++) {
		fflush(stdout);
		first = (pid_t)MUST(fork());
		if (first == 0) {
			close(group);
			char entries[256];
			int f = (int)MUST(open("d/e", O_RDONLY | O_DIRECTORY));
			SHOW(syscall(SYS_getdents64, f, entries, sizeof entries) > 0 ? 1 : -1);
			fflush(stdout);
			_exit(0);
		}
		one = asked(group);
		if (gone)
			MUST(rmdir("d/e"));
		answer(one.fd, FAN_ALLOW);
		show_end(first);
	}
	close(group);
	printf("== its mount goes\n");
	MUST(mkdir("m", 0755));
	MUST(mount("none", "m", "tmpfs", 0, NULL));
	put_file("m/f", "text", 0644);
	make_group(FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_OPEN_PERM, "m");
	fflush(stdout);
	first = (pid_t)MUST(fork());
	if (first == 0) {
		close(group);
		char text[8] = "";
		int f = open("m/f", O_RDWR | O_CREAT, 0644);
		SHOW(read(f, text, 4));
		SHOW(write(f, text, 4));
		printf("%s\n", text);
		fflush(stdout);
		_exit(0);
	}
	until_asked();
	SHOW(umount("m"));
	MUST(umount2("m", MNT_DETACH));
	one = asked(group);
	answer(one.fd, FAN_ALLOW);
	show_end(first);
	MUST(rmdir("m"));
	close(group);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[argc - 1], "quiet") == 0)
		return 0;
	on_tmpfs();
	MUST(mkdir("d", 0755));
	put_file("d/f", "text", 0644);
	put_file("d/g", "another", 0644);
	opening();
	running();
	answering();
	several();
	meanwhile();
	MUST(fanotify_init(FAN_CLASS_CONTENT, 0));
	off_tmpfs();
	return 0;
}
