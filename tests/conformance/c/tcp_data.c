/* Data over TCP: flags of send and recv, low-water marks, urgent data, buffers, large transfers. */
#include "tcp_case.h"

/* Send what is held back, and look whether it has come. After 200 ms it goes all the same: when the host stood still for so long, this is done
 * again.
 */
static void show_held(const char *what, int p[2], const char *text, int how)
{
	char buffer[100];
	ssize_t sent, got;
	int error;
	for (int tries = 1;; tries++) {
		long begun = now_ms();
		sent = send(p[0], text, strlen(text), how);
		settle();
		got = recv(p[1], buffer, sizeof buffer, MSG_DONTWAIT | MSG_PEEK);
		error = errno;
		if (now_ms() - begun < 150 || tries == 50)
			break;
		MUST(recv(p[1], buffer, strlen(text), MSG_WAITALL));
	}
	printf("%s: sent %zd, received %zd %s\n", what, sent, got, got < 0 ? error_name(error) : "at once");
}

static void flags(void)
{
	int p[2], n;
	char buffer[100];
	printf("-- flags\n");
	connected(5200, p);
	SHOW(send(p[0], "hello world", 11, 0));
	settle();
	show_receive("peek", p[1], 5, MSG_PEEK);
	show_receive("peek", p[1], 50, MSG_PEEK);
	SHOW(ioctl(p[1], FIONREAD, &n));
	printf("%d to read\n", n);
	show_receive("read", p[1], 6, 0);
	SHOW(recv(p[1], NULL, 3, MSG_TRUNC));
	show_receive("rest", p[1], 50, 0);
	show_receive("nothing", p[1], 50, 0);
	SHOW(recv(p[1], buffer, 0, MSG_DONTWAIT));
	SHOW(send(p[0], "", 0, 0));
	show_held("held back", p, "part", MSG_MORE);
	SHOW(send(p[0], " two", 4, 0));
	settle();
	show_receive("both", p[1], 50, 0);
	SHOW(send(p[0], "abc", 3, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR));
	settle();
	struct timeval brief = { 0, 50000 };
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief));
	SHOW(recv(p[1], buffer, 10, MSG_WAITALL));
	SHOW(recv(p[1], buffer, 10, 0));
	n = 5;
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n));
	SHOW(send(p[0], "1234", 4, 0));
	settle();
	show_poll("below the mark", p[1]);
	SHOW(send(p[0], "5", 1, 0));
	settle();
	show_poll("at the mark", p[1]);
	show_receive("all", p[1], 50, 0);
	SHOW(send(p[0], (void *)-1, 5, 0));
	SHOW(send(p[0], "x", 1, 0));
	settle();
	SHOW(recv(p[1], (void *)-1, 1, 0));
	show_receive("still there", p[1], 50, 0);
	SHOW(sendto(p[0], "y", 1, 0, in(9), sizeof in_address));
	struct iovec parts[3] = { { "one ", 4 }, { "", 0 }, { "two", 3 } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 3 };
	SHOW(sendmsg(p[0], &m, 0));
	settle();
	struct iovec to[2] = { { buffer, 3 }, { buffer + 10, 20 } };
	m = (struct msghdr){ .msg_iov = to, .msg_iovlen = 2 };
	SHOW(recvmsg(p[1], &m, 0));
	printf("%.3s %.5s flags %x\n", buffer, buffer + 10, m.msg_flags);
	close(p[0]);
	close(p[1]);
}

static void corks(void)
{
	int p[2], on = 1, off = 0;
	printf("-- corks\n");
	connected(5201, p);
	SHOW(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
	show_held("corked", p, "held", 0);
	SHOW(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &off, sizeof off));
	settle();
	show_receive("uncorked", p[1], 10, 0);
	SHOW(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
	SHOW(send(p[0], "late", 4, 0));
	SHOW(poll(&(struct pollfd){ p[1], POLLIN, 0 }, 1, 60000));
	show_receive("after a while", p[1], 10, 0);
	close(p[0]);
	close(p[1]);
}

static void urgent(void)
{
	int p[2], mark, on = 1;
	char byte;
	printf("-- urgent data\n");
	connected(5202, p);
	SHOW(recv(p[1], &byte, 1, MSG_OOB));
	SHOW(send(p[0], "abc", 3, 0));
	SHOW(send(p[0], "D", 1, MSG_OOB));
	SHOW(send(p[0], "efg", 3, 0));
	settle();
	show_poll("urgent", p[1]);
	SHOW(ioctl(p[1], SIOCATMARK, &mark));
	printf("mark %d\n", mark);
	SHOW(ioctl(p[1], FIONREAD, &mark));
	printf("%d\n", mark);
	show_receive("before", p[1], 100, 0);
	SHOW(ioctl(p[1], SIOCATMARK, &mark));
	printf("mark %d\n", mark);
	SHOW(recv(p[1], &byte, 1, MSG_OOB | MSG_PEEK));
	SHOW(recv(p[1], &byte, 1, MSG_OOB));
	printf("%c\n", byte);
	SHOW(recv(p[1], &byte, 1, MSG_OOB));
	show_poll("taken", p[1]);
	show_receive("after it", p[1], 100, 0);
	SHOW(ioctl(p[1], SIOCATMARK, &mark));
	printf("mark %d\n", mark);
	SHOW(setsockopt(p[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	SHOW(send(p[0], "xyZ", 3, MSG_OOB));
	settle();
	SHOW(recv(p[1], &byte, 1, MSG_OOB));
	show_receive("before", p[1], 100, 0);
	SHOW(ioctl(p[1], SIOCATMARK, &mark));
	printf("mark %d\n", mark);
	show_receive("inline", p[1], 100, 0);
	close(p[0]);
	close(p[1]);
}

static unsigned sum(const unsigned char *p, size_t n, unsigned s)
{
	while (n--)
		s = s * 31 + *p++;
	return s;
}

static void large(size_t total, size_t piece, int small)
{
	int p[2];
	static unsigned char buffer[1 << 20];
	connected(5203, p);
	if (small) {
		SHOW(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
		SHOW(setsockopt(p[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
	}
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		close(p[1]);
		unsigned s = 0;
		for (size_t done = 0; done < total;) {
			size_t n = total - done < piece ? total - done : piece;
			for (size_t i = 0; i < n; i++)
				buffer[i] = (done + i) * 2654435761u >> 13;
			s = sum(buffer, n, s);
			ssize_t sent = send(p[0], buffer, n, 0);
			if (sent != (ssize_t)n)
				printf("sent %zd of %zu: %s\n", sent, n, error_name(errno));
			done += n;
		}
		printf("sent %zu, sum %u\n", total, s);
		fflush(stdout);
		_exit(0);
	}
	close(p[0]);
	unsigned s = 0;
	size_t got = 0;
	ssize_t n;
	while ((n = recv(p[1], buffer, sizeof buffer, 0)) > 0) {
		s = sum(buffer, n, s);
		got += n;
	}
	waitpid(child, NULL, 0);
	printf("received %zu, sum %u, then %zd\n", got, s, n);
	close(p[1]);
}

static void full(void)
{
	int p[2];
	static char buffer[100000];
	printf("-- full buffers\n");
	connected(5204, p);
	nonblocking(p[0]);
	ssize_t n, total = 0, got = 0;
	while ((n = send(p[0], buffer, sizeof buffer, 0)) > 0)
		total += n;
	printf("%s\n", error_name(errno));
	show_poll("full", p[0]);
	while (got < total && (n = recv(p[1], buffer, sizeof buffer, 0)) > 0)
		got += n;
	printf("%d\n", got == total);
	settle();
	show_poll("empty", p[0]);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	loopback_up();
	flags();
	corks();
	urgent();
	printf("-- large transfers\n");
	large(5 << 20, 1 << 20, 0);
	large(1 << 20, 1000, 0);
	large(300000, 7777, 4096);
	full();
	return 0;
}
