/*
 * unread N: N TCP connections over loopback whose peer never reads, each written to until it takes no more. Then another
 * connection must go on, and everything is given back at the end. Prints what /proc/net/sockstat says on the way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 2000
#define SLACK 4096 /* KiB: what the kernel's heap may keep for the next objects */
static int clients[MOST], servers[MOST];
static char block[65536];

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static long figure(const char *path, const char *line_start, const char *name)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		char *at = strncmp(line, line_start, strlen(line_start)) ? NULL : strstr(line, name);
		if (at)
			value = atol(at + strlen(name));
	}
	if (f)
		fclose(f);
	return value;
}

/* In KiB. */
static long memory_free(void)
{
	return figure("/proc/meminfo", "MemFree", ":");
}

static void say(const char *when)
{
	printf("%s: mem %ld orphan %ld free %ld\n", when, figure("/proc/net/sockstat", "TCP:", " mem "),
	       figure("/proc/net/sockstat", "TCP:", " orphan "), memory_free());
	fflush(stdout);
}

/* Whether everything has been given back: the last connection may say goodbye again, if that was lost for want of memory. */
static int is_over(long before)
{
	return figure("/proc/net/sockstat", "TCP:", " mem ") == 0 && figure("/proc/net/sockstat", "TCP:", " orphan ") == 0 &&
	       memory_free() >= before - SLACK;
}

static int listener(int port)
{
	struct sockaddr_in at = { AF_INET, htons(port), { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (void *)&at, sizeof at) || listen(fd, 128))
		fail("listen");
	return fd;
}

static int connected(int port)
{
	struct sockaddr_in at = { AF_INET, htons(port), { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (void *)&at, sizeof at))
		fail("connect");
	return fd;
}

static void echo(int from)
{
	int fd = accept(from, NULL, NULL);
	ssize_t n;
	while ((n = read(fd, block, sizeof block)) > 0)
		for (ssize_t done = 0, m; done < n; done += m)
			if ((m = write(fd, block + done, n - done)) <= 0)
				_exit(1);
	_exit(0);
}

/* 200 KB there and back, in order, while memory is used up. */
static void round_trip(int port)
{
	int fd = connected(port);
	unsigned char next_out = 0, next_in = 0;
	for (int i = 0; i < 200; i++) {
		unsigned char out[1000], in[1000];
		for (int j = 0; j < 1000; j++)
			out[j] = next_out++;
		if (write(fd, out, 1000) != 1000)
			fail("write beside");
		for (int got = 0; got < 1000;) {
			struct pollfd p = { fd, POLLIN, 0 };
			if (poll(&p, 1, 20000) != 1)
				fail("nothing comes beside");
			int n = read(fd, in, 1000 - got);
			if (n <= 0)
				fail("read beside");
			for (int j = 0; j < n; j++)
				if (in[j] != next_in++) {
					puts("wrong bytes beside");
					exit(1);
				}
			got += n;
		}
	}
	close(fd);
	puts("another connection goes on");
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1000;
	struct rlimit files = { 2 * MOST + 100, 2 * MOST + 100 };
	signal(SIGPIPE, SIG_IGN);
	if (count > MOST || setrlimit(RLIMIT_NOFILE, &files))
		fail("limit");
	int beside = listener(6001), from = listener(6000);
	if (fork() == 0)
		echo(beside);
	say("before");
	long written = 0, before = memory_free();
	for (int i = 0; i < count; i++) {
		clients[i] = connected(6000);
		servers[i] = accept(from, NULL, NULL);
		if (servers[i] < 0)
			fail("accept");
		for (int side = 0; side < 2; side++) {
			int fd = side ? clients[i] : servers[i];
			ssize_t n;
			fcntl(fd, F_SETFL, O_NONBLOCK);
			while ((n = write(fd, block, sizeof block)) > 0)
				written += n;
			if (n < 0 && errno != EAGAIN)
				fail("write");
		}
	}
	printf("%d connections took %ld KiB\n", count, written >> 10);
	say("full");
	round_trip(6001);
	for (int i = 0; i < count; i++)
		shutdown(clients[i], SHUT_WR), close(clients[i]);
	say("closed");
	for (int i = 0; i < count; i++)
		close(servers[i]);
	for (int i = 0; i < 300 && !is_over(before); i++)
		nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	say("after");
	return 0;
}
