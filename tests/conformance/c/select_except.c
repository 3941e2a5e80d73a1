/* select: each of the three sets for descriptors whose peer hung up, and times of all sizes. */
#include "case.h"

#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

static void ask(const char *what, int fd)
{
	printf("%s:", what);
	for (int mask = 1; mask < 8; mask++) {
		fd_set sets[3];
		struct timeval no_time = { 0, mask == 4 ? 20000 : 0 };
		for (int i = 0; i < 3; i++) {
			FD_ZERO(&sets[i]);
			if (mask >> i & 1)
				FD_SET(fd, &sets[i]);
		}
		int found = select(fd + 1, mask & 1 ? &sets[0] : 0, mask & 2 ? &sets[1] : 0, mask & 4 ? &sets[2] : 0, &no_time);
		printf(" %d", found);
		for (int i = 0; i < 3; i++)
			if (mask >> i & 1)
				printf("%c", FD_ISSET(fd, &sets[i]) ? "rwx"[i] : '-');
	}
	printf("\n");
}

static void sockets(const char *what, int kind)
{
	int pair[2];
	printf("%s\n", what);
	MUST(socketpair(AF_UNIX, kind, 0, pair));
	ask("  open", pair[0]);
	MUST(shutdown(pair[1], SHUT_WR));
	ask("  the peer writes no more", pair[0]);
	MUST(shutdown(pair[0], SHUT_WR));
	ask("  both write no more", pair[0]);
	close(pair[1]);
	ask("  closed", pair[0]);
	close(pair[0]);
}

/* Hung up, and ready a little later: by another descriptor, since a pipe's end does not come back. */
static void another_one(void)
{
	int gone[2], used[2];
	fd_set excepts, reads;
	MUST(pipe(gone));
	MUST(pipe(used));
	close(gone[1]);
	fflush(stdout);
	pid_t child = MUST(fork());
	if (child == 0) {
		sleep_ms(50);
		write(used[1], "x", 1);
		_exit(0);
	}
	FD_ZERO(&excepts);
	FD_SET(gone[0], &excepts);
	FD_ZERO(&reads);
	FD_SET(used[0], &reads);
	SHOW(select(used[0] + 1, &reads, 0, &excepts, 0));
	CHECK(FD_ISSET(used[0], &reads));
	CHECK(FD_ISSET(gone[0], &excepts));
	waitpid(child, 0, 0);
}

/* A terminal that hangs up and comes back: the third set reports its packet mode. */
static void terminal(void)
{
	int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), number, on = 1, unlock = 0;
	char name[32];
	fd_set excepts;
	struct timeval second = { 60, 0 };
	MUST(ioctl(master, 0x40045431, &unlock));
	MUST(ioctl(master, 0x80045430, &number));
	MUST(ioctl(master, 0x5420, &on));
	snprintf(name, sizeof name, "/dev/pts/%d", number);
	int slave = MUST(open(name, O_RDWR | O_NOCTTY));
	close(slave);
	ask("master without a slave", master);
	fflush(stdout);
	pid_t child = MUST(fork());
	if (child == 0) {
		int again = MUST(open(name, O_RDWR | O_NOCTTY));
		sleep_ms(50);
		ioctl(again, 0x540B, 2);
		for (;;)
			pause();
	}
	FD_ZERO(&excepts);
	FD_SET(master, &excepts);
	SHOW(select(master + 1, 0, 0, &excepts, &second));
	CHECK(FD_ISSET(master, &excepts));
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
}

static void timed(long seconds, long microseconds)
{
	int ready[2];
	struct timeval time = { seconds, microseconds };
	fd_set writes;
	pipe(ready);
	FD_ZERO(&writes);
	FD_SET(ready[1], &writes);
	errno = 0;
	long result = syscall(SYS_select, ready[1] + 1, 0, &writes, 0, &time);
	printf("select {%lx, %lx}: %ld %s\n", seconds, microseconds, result, result < 0 ? error_name(errno) : "");
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	static const long edges[] = { 0, 1, -1, 5, -5, 999999, 1000000, -1000000, 1000001, 2000000, -2000000, 0x7fffffff, 1L << 33,
		0x7fffffffffffffff, 0x7ffffffffffffffe, 9223372036, 9223372037, 0x7fffffffffffffff / 1000000 };
	int ends[2];
	MUST(pipe(ends));
	ask("empty pipe", ends[0]);
	close(ends[1]);
	ask("pipe without writers", ends[0]);
	close(ends[0]);
	MUST(pipe(ends));
	close(ends[0]);
	ask("pipe without readers", ends[1]);
	sockets("stream", SOCK_STREAM);
	sockets("packets", SOCK_SEQPACKET);
	sockets("datagrams", SOCK_DGRAM);
	ask("unconnected", MUST(socket(AF_INET, SOCK_STREAM, 0)));
	another_one();
	terminal();
	for (unsigned i = 0; i < sizeof edges / sizeof *edges; i++)
		for (unsigned j = 0; j < sizeof edges / sizeof *edges; j++)
			timed(edges[i], edges[j]);
	return 0;
}
