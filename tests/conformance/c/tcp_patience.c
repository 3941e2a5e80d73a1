/* Covers: how long TCP tries: tcp_retries2, tcp_orphan_retries, TCP_USER_TIMEOUT against a peer that is silent (tcp(7)). */
#define _GNU_SOURCE
#include <linux/filter.h>
#include "tcp_case.h"

static void set(const char *name, int value)
{
	char command[100];
	snprintf(command, sizeof command, "echo %d >/proc/sys/net/ipv4/%s", value, name);
	MUST(system(command));
}

/* How many segments were sent again, on all connections. */
static int again(void)
{
	char text[4096] = "";
	int values[16] = { 0 }, fd = (int)MUST(open("/proc/net/snmp", O_RDONLY));
	MUST(read(fd, text, sizeof text - 1));
	close(fd);
	char *line = strstr(strstr(text, "Tcp:") + 1, "Tcp:");
	sscanf(line, "Tcp: %d %d %d %d %d %d %d %d %d %d %d %d", values, values + 1, values + 2, values + 3, values + 4, values + 5, values + 6,
	       values + 7, values + 8, values + 9, values + 10, values + 11);
	return values[11];
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

static void data(int retries, int user_timeout_ms)
{
	int pair[2], before = again();
	char byte;
	silent(7200 + retries, pair);
	set("tcp_retries2", retries);
	if (user_timeout_ms)
		MUST(setsockopt(pair[0], IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms));
	MUST(write(pair[0], "text", 4));
	ssize_t n = read(pair[0], &byte, 1);
	int error = errno;
	printf("tcp_retries2 %d, user timeout %d ms: %zd %s, sent again %d times\n", retries, user_timeout_ms, n, error_name(error), again() - before);
	finish(pair);
}

static int is_there(const char *entry)
{
	char text[8192] = "";
	int fd = (int)MUST(open("/proc/net/tcp", O_RDONLY)), used = 0;
	ssize_t n;
	while ((n = read(fd, text + used, sizeof text - 1 - (size_t)used)) > 0)
		used += (int)n;
	close(fd);
	return strstr(text, entry) != NULL;
}

static void orphan(int retries)
{
	int pair[2], before = again();
	silent(7210 + retries, pair);
	set("tcp_orphan_retries", retries);
	MUST(write(pair[0], "text", 4));
	close(pair[0]);
	char entry[40];
	snprintf(entry, sizeof entry, " 0100007F:%04X 04 ", 7210 + retries);
	printf("an orphan is there: %d", is_there(entry));
	for (int i = 0; i < 100 && is_there(entry); i++)
		usleep(100000);
	printf(", goes: %d; sent again %d times\n", !is_there(entry), again() - before);
	finish(pair);
}

int main(void)
{
	loopback_up();
	data(0, 0);
	data(1, 0);
	data(15, 700);
	orphan(1);
	return 0;
}
