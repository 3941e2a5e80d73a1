/*
 * Makes socket calls inside a guest, as a scenario on the host asks for them over the serial line.
 *
 * A line is a command: a call's name and its arguments, separated by spaces. Sockets have numbers that the host chooses.
 * Data are hexadecimal digits, or @N for N letters of the alphabet in turn; "-" stands for none. No call waits: sockets
 * are non-blocking. The answer is "@answer@", the result, errno if the result is -1 or else 0, and what the call gave.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h> /* before the next one, which lacks it */
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { SOCKETS = 4096, MOST = 1 << 20, SHOWN = 256, FILE_BYTES = 16384, WORDS = 16 };

static int sockets[SOCKETS];
static unsigned char data[MOST];
static char text[4 * MOST]; /* what a call gives, or a line */
static char *words[WORDS];

static int number(int at) { return words[at] ? (int)strtol(words[at], NULL, 0) : 0; }
static int *slot(int at) { return &sockets[number(at) & (SOCKETS - 1)]; }

/* The bytes that a word stands for. */
static size_t bytes(int at, unsigned char *to)
{
	const char *word = words[at] ? words[at] : "-";
	size_t length = 0;
	if (*word == '@') {
		length = strtoul(word + 1, NULL, 0);
		length = length > MOST ? MOST : length;
		for (size_t i = 0; i < length; i++)
			to[i] = 'a' + i % 26;
	} else if (*word != '-')
		for (unsigned byte; length < MOST && sscanf(word + 2 * length, "%2x", &byte) == 1; length++)
			to[length] = byte;
	return length;
}

static char *hexadecimal(char *to, const unsigned char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to += sprintf(to, "%02x", from[i]);
	return to;
}

/* Data that came: all of them, or a hash of many (FNV-1a). */
static void tell_data(char *to, const unsigned char *from, ssize_t length)
{
	if (length <= 0)
		return;
	if (length <= SHOWN) {
		hexadecimal(to, from, length);
		return;
	}
	uint64_t hash = 0xcbf29ce484222325;
	for (ssize_t i = 0; i < length; i++)
		hash = (hash ^ from[i]) * 0x100000001b3;
	sprintf(to, "#%016llx", (unsigned long long)hash);
}

static socklen_t address(int at, struct sockaddr_storage *to)
{
	struct sockaddr_in *four = (void *)to;
	struct sockaddr_in6 *six = (void *)to;
	memset(to, 0, sizeof *to);
	if (words[at] && strchr(words[at], ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(number(at + 1));
		char *scope = strchr(words[at], '%');
		if (scope) {
			*scope = 0;
			six->sin6_scope_id = if_nametoindex(scope + 1);
		}
		inet_pton(AF_INET6, words[at], &six->sin6_addr);
		return sizeof *six;
	}
	if (words[at] && strcmp(words[at], "none") == 0) /* ends an association */
		return sizeof *four;
	four->sin_family = AF_INET;
	four->sin_port = htons(number(at + 1));
	inet_pton(AF_INET, words[at] ? words[at] : "0.0.0.0", &four->sin_addr);
	return sizeof *four;
}

static char *tell_address(char *to, const void *from)
{
	const struct sockaddr_in *four = from;
	const struct sockaddr_in6 *six = from;
	char name[INET6_ADDRSTRLEN] = "-";
	if (four->sin_family == AF_INET6)
		inet_ntop(AF_INET6, &six->sin6_addr, name, sizeof name);
	else if (four->sin_family == AF_INET)
		inet_ntop(AF_INET, &four->sin_addr, name, sizeof name);
	return to + sprintf(to, "%s %d ", name, four->sin_family == AF_UNSPEC ? 0 : ntohs(four->sin_port));
}

static long do_socket(void)
{
	int *socket_slot = slot(1), on = 1;
	if ((*socket_slot = socket(number(2), number(3) | SOCK_NONBLOCK, number(4))) >= 0)
		setsockopt(*socket_slot, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return *socket_slot < 0 ? -1 : 0;
}

static long do_bind(void)
{
	struct sockaddr_storage to;
	socklen_t length = address(2, &to);
	return bind(*slot(1), (void *)&to, length);
}

static long do_connect(void)
{
	struct sockaddr_storage to;
	socklen_t length = address(2, &to);
	return connect(*slot(1), (void *)&to, length);
}

static long do_accept(void)
{
	*slot(2) = accept4(*slot(1), NULL, NULL, SOCK_NONBLOCK);
	return *slot(2) < 0 ? -1 : 0;
}

static long do_read(void)
{
	size_t wanted = number(2);
	ssize_t got = recv(*slot(1), data, wanted > MOST ? MOST : wanted, number(3));
	int error = errno;
	tell_data(text, data, got);
	errno = error;
	return got;
}

static long do_recvfrom(void)
{
	struct sockaddr_storage from = { 0 };
	socklen_t length = sizeof from;
	ssize_t got = recvfrom(*slot(1), data, number(2), number(3), (void *)&from, &length);
	int error = errno;
	if (got >= 0)
		tell_data(tell_address(text, &from), data, got);
	errno = error;
	return got;
}

/* An error of the error queue: its origin, type, code, errno and info, who sent it, and the data that it is about. */
static long do_errqueue(void)
{
	static char control[1024];
	struct iovec part = { data, 1500 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	ssize_t got = recvmsg(*slot(1), &message, MSG_ERRQUEUE);
	if (got < 0)
		return got;
	char *to = text;
	for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
		struct sock_extended_err *error = (void *)CMSG_DATA(each);
		if ((each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_RECVERR) ||
		    (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_RECVERR)) {
			to += sprintf(to, "origin=%d type=%d code=%d errno=%d info=%u ", error->ee_origin, error->ee_type,
				      error->ee_code, error->ee_errno, error->ee_info);
			to = tell_address(to, SO_EE_OFFENDER(error));
		}
	}
	tell_data(to, data, got);
	return got;
}

static long do_write(void)
{
	return send(*slot(1), data, bytes(2, data), number(3) | MSG_NOSIGNAL);
}

static long do_sendto(void)
{
	struct sockaddr_storage to;
	socklen_t length = address(4, &to);
	return sendto(*slot(1), data, bytes(2, data), number(3) | MSG_NOSIGNAL, (void *)&to, length);
}

static long do_set(void)
{
	return setsockopt(*slot(1), number(2), number(3), data, bytes(4, data));
}

static long do_get(void)
{
	socklen_t length = number(4);
	long result = getsockopt(*slot(1), number(2), number(3), data, &length);
	if (result == 0)
		hexadecimal(text, data, length);
	return result;
}

static long do_poll(void)
{
	struct pollfd one = { *slot(1), POLLIN | POLLPRI | POLLOUT | POLLRDHUP, 0 };
	return poll(&one, 1, 0) < 0 ? -1 : one.revents;
}

static long do_ioctl(void)
{
	int value = 0;
	return ioctl(*slot(1), number(2), &value) < 0 ? -1 : value;
}

/* The end of a socket, without a trace on the wire where that is possible. */
static long do_drop(void)
{
	struct linger now = { 1, 0 };
	setsockopt(*slot(1), SOL_SOCKET, SO_LINGER, &now, sizeof now);
	long result = close(*slot(1));
	*slot(1) = -1;
	return result;
}

static long do_close(void)
{
	long result = close(*slot(1));
	*slot(1) = -1;
	return result;
}

static long do_getfile(void)
{
	int fd = open(words[1], O_RDONLY);
	ssize_t got = fd < 0 ? -1 : 0, part = 0;
	while (got >= 0 && got < FILE_BYTES && (part = read(fd, data + got, FILE_BYTES - got)) > 0)
		got += part;
	if (got > 0)
		hexadecimal(text, data, got);
	if (fd >= 0)
		close(fd);
	return got;
}

static long do_putfile(void)
{
	int fd = open(words[1], O_WRONLY);
	ssize_t put = fd < 0 ? -1 : write(fd, data, bytes(2, data));
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return put;
}

/* A command of the shell, with its spaces as '+': its exit status, and what it printed. */
static long do_run(void)
{
	for (char *each = words[1]; *each; each++)
		if (*each == '+')
			*each = ' ';
	FILE *output = popen(words[1], "r");
	if (!output)
		return -1;
	size_t got = fread(data, 1, FILE_BYTES, output);
	if (got > 0)
		hexadecimal(text, data, got);
	return pclose(output);
}

static long do_listen(void) { return listen(*slot(1), number(2)); }
static long do_shutdown(void) { return shutdown(*slot(1), number(2)); }

static const struct {
	const char *name;
	long (*run)(void);
} calls[] = {
	{ "socket", do_socket }, { "bind", do_bind }, { "connect", do_connect }, { "listen", do_listen },
	{ "accept", do_accept }, { "read", do_read }, { "recvfrom", do_recvfrom }, { "errqueue", do_errqueue },
	{ "write", do_write }, { "sendto", do_sendto }, { "set", do_set }, { "get", do_get }, { "poll", do_poll },
	{ "ioctl", do_ioctl }, { "shutdown", do_shutdown }, { "close", do_close }, { "drop", do_drop },
	{ "getfile", do_getfile }, { "putfile", do_putfile }, { "run", do_run },
};

/* Segments reach TCP one by one, as they were sent. A kernel that joins none has no such setting, and needs none. */
static void receive_one_by_one(void)
{
	struct ethtool_value off = { ETHTOOL_SGRO, 0 };
	struct ifreq request = { .ifr_data = (void *)&off };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	strcpy(request.ifr_name, "eth0");
	ioctl(fd, SIOCETHTOOL, &request);
	close(fd);
}

int main(void)
{
	static char line[4 * MOST];
	struct termios raw;
	if (tcgetattr(0, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(0, TCSANOW, &raw);
	}
	memset(sockets, -1, sizeof sockets);
	receive_one_by_one();
	printf("@agent@\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		int count = 0;
		long result = -1;
		memset(words, 0, sizeof words);
		for (char *word = strtok(line, " \r\n"); word && count < WORDS - 2; word = strtok(NULL, " \r\n"))
			words[count++] = word;
		text[0] = 0;
		errno = ENOSYS;
		for (size_t i = 0; count && i < sizeof calls / sizeof *calls; i++)
			if (strcmp(calls[i].name, words[0]) == 0) {
				errno = 0;
				result = calls[i].run();
				break;
			}
		printf("@answer@ %ld %d %s\n", result, result == -1 ? errno : 0, text);
		fflush(stdout);
	}
	return 0;
}
