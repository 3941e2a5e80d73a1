/* Covers: pages of a user's pipes: pipe-max-size, pipe-user-pages-soft, pipe-user-pages-hard; who is exempt; F_SETPIPE_SZ at each limit. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include "case.h"

#ifndef F_SETPIPE_SZ
#define F_SETPIPE_SZ 1031
#define F_GETPIPE_SZ 1032
#endif

static void set(const char *name, const char *value)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/sys/fs/%s", name);
	int fd = (int)MUST(open(path, O_WRONLY));
	printf("%s = %s", name, value);
	SHOW(write(fd, value, strlen(value)));
	close(fd);
	show_file(path);
}

static void be_user(int uid)
{
	struct rlimit limit;
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	MUST(setgid(uid));
	MUST(setuid(uid));
}

/* How many pipes of which size, and what comes then. */
static void many_pipes(int most)
{
	int p[2], size = 0, count = 0, total = 0;
	for (; total < most; total++) {
		if (pipe(p)) {
			printf("pipe %d: %s\n", total, error_name(errno));
			break;
		}
		int now = fcntl(p[0], F_GETPIPE_SZ);
		if (now != size && count)
			printf("%d of %d bytes\n", count, size), count = 0;
		size = now, count++;
	}
	printf("%d of %d bytes\n", count, size);
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 4096));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 8192));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 65536));
}

static void resized(void)
{
	int p[2], total = 0, n;
	for (;; total++) {
		MUST(pipe(p));
		if ((n = fcntl(p[0], F_SETPIPE_SZ, 1 << 20)) == -1)
			break;
	}
	printf("%d pipes of 1 MiB, then %s\n", total, error_name(errno));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 16));
	SHOW(fcntl(p[0], F_GETPIPE_SZ));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 15));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 30));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 21));
}

int main(void)
{
	int p[2];
	static char data[65536];
	show_file("/proc/sys/fs/pipe-max-size");
	show_file("/proc/sys/fs/pipe-user-pages-soft");
	show_file("/proc/sys/fs/pipe-user-pages-hard");
	IN_CHILD(be_user(1000); resized());
	IN_CHILD(be_user(1000); many_pipes(1030));
	/* Two children of one user share one account; another user has another. */
	set("pipe-user-pages-soft", "40\n");
	IN_CHILD(be_user(1001);
		 MUST(pipe(p)); MUST(pipe(p));
		 IN_CHILD(many_pipes(3));
		 SHOW(fcntl(p[0], F_GETPIPE_SZ)));
	IN_CHILD(be_user(1002); many_pipes(4));
	IN_CHILD(many_pipes(4)); /* root */
	/* A ring at the limit gets no larger, but smaller. */
	IN_CHILD(be_user(1003);
		 MUST(pipe(p));
		 SHOW(fcntl(p[0], F_SETPIPE_SZ, 40 * 4096));
		 SHOW(fcntl(p[0], F_SETPIPE_SZ, 32 * 4096));
		 SHOW(fcntl(p[0], F_SETPIPE_SZ, 33 * 4096));
		 SHOW(fcntl(p[0], F_SETPIPE_SZ, 8 * 4096)));
	set("pipe-user-pages-hard", "50\n");
	MUST(mkfifo("fifo", 0666));
	MUST(chmod("fifo", 0666));
	IN_CHILD(be_user(1004); many_pipes(20));
	IN_CHILD(be_user(1005);
		 for (int i = 0; i < 3; i++) MUST(pipe(p));
		 while (pipe(p) == 0) continue;
		 SHOW(open("fifo", O_RDWR)));
	set("pipe-user-pages-soft", "0\n");
	IN_CHILD(be_user(1006); many_pipes(20));
	IN_CHILD(many_pipes(4));
	set("pipe-user-pages-hard", "0\n");
	IN_CHILD(be_user(1007); many_pipes(20));
	/* The largest size. */
	set("pipe-max-size", "10000\n");
	set("pipe-max-size", "1\n");
	set("pipe-max-size", "0\n");
	set("pipe-max-size", "-1\n");
	set("pipe-max-size", "2147483648\n");
	set("pipe-max-size", "2147483649\n");
	set("pipe-max-size", "12288\n");
	set("pipe-user-pages-soft", "-5\n");
	set("pipe-user-pages-soft", "900000000000000000\n");
	set("pipe-user-pages-soft", "98765432109876543210\n");
	set("pipe-user-pages-soft", "x\n");
	IN_CHILD(be_user(1008); many_pipes(2));
	IN_CHILD(many_pipes(2));
	set("pipe-max-size", "1048576\n");
	set("pipe-user-pages-soft", "16384\n");
	/* What lies in the ring comes along, by pages. */
	MUST(pipe2(p, O_NONBLOCK));
	for (unsigned i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 7 + i / 251);
	static char back[65536];
	SHOW(write(p[1], data, 20000));
	SHOW(read(p[0], back, 6000));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 8192));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 16384));
	SHOW(read(p[0], back + 6000, 3000));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 18));
	SHOW(write(p[1], data + 20000, 40000));
	SHOW(read(p[0], back + 9000, 56000));
	printf("the bytes are %s\n", memcmp(data, back, 60000) ? "others" : "the same");
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, -1));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 0x80000001));
	/* A pipe that an O_PATH descriptor outlives gets a new ring. */
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	int place = (int)MUST(open(path, O_PATH));
	close(p[0]), close(p[1]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", place);
	int again = (int)MUST(open(path, O_RDWR | O_NONBLOCK));
	SHOW(fcntl(again, F_GETPIPE_SZ));
	SHOW(write(again, data, 100));
	SHOW(read(again, back, 200));
	return 0;
}
