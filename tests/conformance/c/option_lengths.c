/* Covers: getsockopt(2) and setsockopt(2) of each option of SOL_SOCKET with lengths that are too short, exact, too long and negative, for
 * sockets of each kind: errors, the length that comes back and how much is written.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/socket.h>
#include "case.h"

#define NO_OPTION "errno 92" /* ENOPROTOOPT, as error_name() calls it */

struct kind {
	const char *name;
	int family, type;
};

static const struct kind kinds[] = {
	{ "tcp", AF_INET, SOCK_STREAM },
	{ "udp", AF_INET, SOCK_DGRAM },
	{ "unix stream", AF_UNIX, SOCK_STREAM },
	{ "netlink", AF_NETLINK, SOCK_RAW },
};

static const int lengths[] = { -1, 0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 64, 200 };

/* Not SO_PEERPIDFD and its like, which give descriptors. */
static int is_left_out(int option)
{
	return option == 77;
}

static void get_all(const struct kind *kind)
{
	int fd = (int)MUST(socket(kind->family, kind->type, 0));
	printf("--- get, %s\n", kind->name);
	for (int option = 0; option <= 90; option++) {
		if (is_left_out(option))
			continue;
		char all[4000] = "", *end = all;
		for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
			unsigned char value[256];
			int length = lengths[i];
			memset(value, 0xee, sizeof value);
			long r = syscall(SYS_getsockopt, fd, SOL_SOCKET, option, value, &length);
			if (r < 0) {
				end += sprintf(end, " %d:%s", lengths[i], error_name(errno));
				continue;
			}
			int written = (int)sizeof value;
			while (written > 0 && value[written - 1] == 0xee)
				written--;
			end += sprintf(end, " %d:%d/%d", lengths[i], length, written);
		}
		if (strstr(all, "/") || !strstr(all, NO_OPTION))
			printf("%d%s\n", option, all);
	}
	int length = 4;
	SHOW(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, 0, &length));
	SHOW(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &length, 0));
	length = 0;
	SHOW(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, 0, &length));
	close(fd);
}

static void set_all(const struct kind *kind)
{
	printf("--- set, %s\n", kind->name);
	for (int option = 0; option <= 90; option++) {
		char all[4000] = "", *end = all;
		for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
			unsigned char value[256] = { 0 };
			int fd = (int)MUST(socket(kind->family, kind->type, 0));
			long r = syscall(SYS_setsockopt, fd, SOL_SOCKET, option, value, lengths[i]);
			end += sprintf(end, " %d:%s", lengths[i], r < 0 ? error_name(errno) : "ok");
			close(fd);
		}
		printf("%d%s\n", option, all);
	}
	int fd = (int)MUST(socket(kind->family, kind->type, 0));
	SHOW(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, 0, 4));
	SHOW(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, 0, 0));
	SHOW(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, 0, 0));
	SHOW(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, 0, 8));
	close(fd);
}

/* What a value at an edge becomes. */
static void edges(void)
{
	static const int options[] = { SO_DEBUG, SO_REUSEADDR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE,
		SO_NO_CHECK, SO_PRIORITY, SO_REUSEPORT, SO_PASSCRED, SO_RCVLOWAT, SO_TIMESTAMP, SO_MARK, SO_RXQ_OVFL, SO_PEEK_OFF,
		SO_LOCK_FILTER, SO_SELECT_ERR_QUEUE, SO_BUSY_POLL, SO_INCOMING_CPU, 60 /* SO_ZEROCOPY */, 69 /* SO_PREFER_BUSY_POLL */,
		70 /* SO_BUSY_POLL_BUDGET */, 73 /* SO_RESERVE_MEM */, 74 /* SO_TXREHASH */, 75 /* SO_RCVMARK */, 32 /* SO_SNDBUFFORCE */, 33 };
	static const int values[] = { 0, 1, 2, -1, 6, 7, 255, 256, 65535, 65536, 0x7fffffff, -0x7fffffff - 1 };
	for (size_t k = 0; k < 3; k++) {
		printf("--- values, %s\n", kinds[k].name);
		for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
			printf("%d", options[i]);
			int fd = (int)MUST(socket(kinds[k].family, kinds[k].type, 0));
			for (size_t j = 0; j < sizeof values / sizeof values[0]; j++) {
				int value = values[j], length = 4;
				if (options[i] == SO_LOCK_FILTER && value)
					continue;
				if (options[i] == SO_RCVLOWAT && (value < 0 || value > 65536))
					continue; /* cut to half of tcp_rmem's last number, which depends on memory */
				long r = syscall(SYS_setsockopt, fd, SOL_SOCKET, options[i], &value, 4);
				printf(" %d:%s", values[j], r < 0 ? error_name(errno) : "ok");
				r = syscall(SYS_getsockopt, fd, SOL_SOCKET, options[i], &value, &length);
				if (r < 0)
					printf("/%s", error_name(errno));
				else
					printf("/%d", value);
			}
			putchar('\n');
			close(fd);
		}
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		get_all(&kinds[i]);
		set_all(&kinds[i]);
	}
	edges();
	return 0;
}
