/* What the programs about TCP share: connections over loopback. */
#ifndef TCP_CASE_H
#define TCP_CASE_H
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include "socket_case.h"

static struct sockaddr_in in_address;

static inline struct sockaddr *in(int port)
{
	memset(&in_address, 0, sizeof in_address);
	in_address.sin_family = AF_INET;
	in_address.sin_port = htons(port);
	in_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return (struct sockaddr *)&in_address;
}

/* The interface is down when the kernel starts. */
static inline void loopback_up(void)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq up;
	memset(&up, 0, sizeof up);
	strcpy(up.ifr_name, "lo");
	up.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(s, SIOCSIFFLAGS, &up);
	close(s);
}

static inline int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }

static inline int listener(int port, int backlog)
{
	int s = tcp(), one = 1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	MUST(bind(s, in(port), sizeof in_address));
	MUST(listen(s, backlog));
	return s;
}

/* A pair of connected sockets: [0] has connected, [1] was accepted. */
static inline void connected(int port, int pair[2])
{
	int l = listener(port, 5);
	pair[0] = tcp();
	MUST(connect(pair[0], in(port), sizeof in_address));
	pair[1] = accept(l, NULL, NULL);
	MUST(pair[1]);
	close(l);
}

/* Loopback needs some moments on some kernels. */
static inline void settle(void) { settle_for(20); }

/* Monotonic time. */
static inline long now_ms(void)
{
	struct timespec t;
	MUST(clock_gettime(CLOCK_MONOTONIC, &t));
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline const char *state_of(int fd)
{
	static const char *const names[] = { "?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
					     "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING" };
	struct tcp_info info;
	socklen_t length = sizeof info;
	memset(&info, 0, sizeof info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return error_name(errno);
	return names[info.tcpi_state < 12 ? info.tcpi_state : 0];
}
#endif
