/*
 * The guest's side of test_vsock.py.
 *
 * vsock_peer send PORT COUNT [seq]: connect to the host, send a pattern of COUNT bytes and read as many back, at once.
 * vsock_peer echo PORT [seq]: accept one connection and send back what comes, until its end.
 * vsock_peer refused PORT: connect to the host, and say how that failed.
 * vsock_peer wait PORT: accept one connection, and say how it ends.
 * vsock_peer cid: this machine's context.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct address {
	unsigned short family, reserved;
	unsigned int port, cid;
	unsigned char rest[4];
};

static char out[1 << 16], in[1 << 16];

static int made(int seq)
{
	int fd = socket(40, seq ? SOCK_SEQPACKET : SOCK_STREAM, 0);
	if (fd < 0)
		perror("socket"), exit(1);
	return fd;
}

static int connected(unsigned int port, int seq)
{
	struct address a = { 40, 0, port, 2, { 0 } };
	int fd = made(seq);
	if (connect(fd, (struct sockaddr *)&a, sizeof a))
		perror("connect"), exit(1);
	return fd;
}

static int accepted(unsigned int port, int seq)
{
	struct address a = { 40, 0, port, -1u, { 0 } }, from;
	socklen_t length = sizeof from;
	int fd = made(seq);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 5))
		perror("bind"), exit(1);
	printf("listening\n");
	fflush(stdout);
	fd = accept(fd, (struct sockaddr *)&from, &length);
	if (fd < 0)
		perror("accept"), exit(1);
	printf("from context %u\n", from.cid);
	fflush(stdout);
	return fd;
}

/* Byte number `at` of the pattern. */
static char pattern(long at) { return (char)(at * 7 + at / 251); }

static void send_and_receive(int fd, long count)
{
	long sent = 0, got = 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (got < count) {
		struct pollfd p = { fd, (short)(POLLIN | (sent < count ? POLLOUT : 0)), 0 };
		if (poll(&p, 1, 60000) <= 0)
			printf("nothing moves: %ld sent, %ld back\n", sent, got), exit(1);
		if (p.revents & POLLOUT) {
			long size = count - sent < (long)sizeof out ? count - sent : (long)sizeof out;
			for (long i = 0; i < size; i++)
				out[i] = pattern(sent + i);
			long n = send(fd, out, (size_t)size, MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				perror("send"), exit(1);
			if (n > 0)
				sent += n;
		}
		if (p.revents & POLLIN) {
			long n = recv(fd, in, sizeof in, 0);
			if (n == 0)
				printf("the end after %ld\n", got), exit(1);
			if (n < 0 && errno != EAGAIN)
				perror("recv"), exit(1);
			for (long i = 0; i < n; i++)
				if (in[i] != pattern(got + i))
					printf("wrong byte %ld\n", got + i), exit(1);
			if (n > 0)
				got += n;
		}
	}
	shutdown(fd, SHUT_WR);
	fcntl(fd, F_SETFL, 0);
	printf("%ld bytes came back, then %zd\n", got, recv(fd, in, sizeof in, 0));
}

static void echo(int fd)
{
	long total = 0;
	ssize_t n;
	while ((n = recv(fd, in, sizeof in, 0)) > 0) {
		for (ssize_t done = 0, m; done < n; done += m)
			if ((m = send(fd, in + done, (size_t)(n - done), MSG_NOSIGNAL)) < 0)
				perror("send"), exit(1);
		total += n;
	}
	printf("echoed %ld bytes, then %zd\n", total, n);
}

int main(int count, char **words)
{
	const char *what = words[1];
	unsigned int port = count > 2 ? (unsigned)atoi(words[2]) : 0;
	int seq = count > 3 && !strcmp(words[count - 1], "seq");
	if (!strcmp(what, "send")) {
		send_and_receive(connected(port, seq), atol(words[3]));
	} else if (!strcmp(what, "echo")) {
		echo(accepted(port, seq));
	} else if (!strcmp(what, "refused")) {
		struct address a = { 40, 0, port, 2, { 0 } };
		int r = connect(made(0), (struct sockaddr *)&a, sizeof a);
		printf("%s\n", r ? strerror(errno) : "connected");
	} else if (!strcmp(what, "wait")) {
		int fd = accepted(port, 0);
		ssize_t n = recv(fd, in, sizeof in, 0);
		printf("%zd, ", n);
		n = send(fd, "x", 1, MSG_NOSIGNAL);
		printf("%zd %s\n", n, n < 0 ? strerror(errno) : "");
	} else {
		unsigned int cid = 0;
		if (ioctl(open("/dev/vsock", O_RDONLY), 0x7b9, &cid))
			perror("ioctl");
		printf("context %u\n", cid);
	}
	return 0;
}
