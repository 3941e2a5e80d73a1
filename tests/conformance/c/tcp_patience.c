/* Covers: how long TCP tries: tcp_retries2, tcp_orphan_retries, TCP_USER_TIMEOUT against a peer that is silent (tcp(7)). */
#define _GNU_SOURCE
#include <linux/filter.h>
#include "tcp_case.h"

static int next_port = 7200; /* each connection has its own */

static void set(const char *name, int value)
{
	char command[100];
	snprintf(command, sizeof command, "echo %d >/proc/sys/net/ipv4/%s", value, name);
	MUST(system(command));
}

/* How many segments a connection has sent again, probes for the last one included. */
static int again(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;
	MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
	return (int)info.tcpi_total_retrans;
}

/* Connected, and the peer hears nothing any more. */
static void silent(int port, int pair[2])
{
	static struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &drop };
	connected(port, pair);
	MUST(setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

/* Reset the other side, without a trace on the wire. */
static void finish(int pair[2])
{
	struct sockaddr none = { AF_UNSPEC };
	MUST(connect(pair[1], &none, sizeof none));
	close(pair[0]), close(pair[1]);
}

/* How often something is sent depends on when timers expire: a count is right when two attempts agree on it, as a host that
 * stands still in one of them changes it.
 */
#define AGREED(attempt) ({ int last_ = -1, now_ = -2; \
	for (int i_ = 0; i_ < 8 && now_ != last_; i_++) last_ = now_, now_ = (attempt); now_; })

static int data(int retries, int user_timeout_ms)
{
	int pair[2];
	char byte;
	silent(next_port++, pair);
	set("tcp_retries2", retries);
	if (user_timeout_ms)
		MUST(setsockopt(pair[0], IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms));
	MUST(write(pair[0], "text", 4));
	ssize_t n = read(pair[0], &byte, 1);
	if (n >= 0 || errno != ETIMEDOUT)
		printf("tcp_retries2 %d, user timeout %d ms: %zd %s\n", retries, user_timeout_ms, n, error_name(errno));
	int count = again(pair[0]);
	finish(pair);
	return count;
}

static void show_data(int retries, int user_timeout_ms)
{
	printf("tcp_retries2 %d, user timeout %d ms: sent again %d times\n", retries, user_timeout_ms, AGREED(data(retries, user_timeout_ms)));
}

/* The column of repetitions of a connection in /proc/net/tcp; -1 if it is not there. */
static int repetitions(const char *entry)
{
	static char text[8 << 20]; /* thousands of connections of others may rest there */
	int fd = (int)MUST(open("/proc/net/tcp", O_RDONLY)), used = 0;
	ssize_t n;
	while ((n = read(fd, text + used, sizeof text - 1 - (size_t)used)) > 0)
		used += (int)n;
	close(fd);
	char *found = strstr(text, entry);
	int number = -1;
	if (found)
		sscanf(found + strlen(entry), "%*s %*s %x", (unsigned *)&number);
	return number;
}

/* Whether a connection still has a port, with or without a descriptor. */
static int is_taken(int port)
{
	int fd = tcp(), result = bind(fd, in(port), sizeof in_address);
	close(fd);
	return result < 0;
}

static int orphan(int retries)
{
	int pair[2], port = next_port++, now = 0, most = 0;
	struct sockaddr_in own;
	socklen_t length = sizeof own;
	silent(port, pair);
	set("tcp_orphan_retries", retries);
	MUST(write(pair[0], "text", 4));
	MUST(getsockname(pair[0], (void *)&own, &length));
	close(pair[0]);
	char entry[40];
	snprintf(entry, sizeof entry, " 0100007F:%04X 04 ", port);
	if (!is_taken(ntohs(own.sin_port)))
		puts("nothing is left of it");
	/* Its line may be missed while others go. */
	for (int i = 0; i < 3000 && is_taken(ntohs(own.sin_port)); i++) {
		now = repetitions(entry);
		most = now > most ? now : most;
		usleep(10000);
	}
	if (is_taken(ntohs(own.sin_port)))
		puts("an orphan never goes");
	finish(pair);
	return most;
}

int main(void)
{
	loopback_up();
	show_data(0, 0);
	show_data(1, 0);
	show_data(15, 1000);
	printf("an orphan: repeated %d times\n", AGREED(orphan(1)));
	return 0;
}
