/* Options of level IPPROTO_TCP: values, limits, errors. */
#include "tcp_case.h"

static void get(int fd, const char *name, int option)
{
	unsigned char value[300];
	socklen_t length = 4;
	memset(value, 0xee, sizeof value);
	if (getsockopt(fd, IPPROTO_TCP, option, value, &length) < 0)
		printf("%s: %s\n", name, error_name(errno));
	else
		printf("%s: %d, %d bytes\n", name, *(int *)value, (int)length);
}

static void set(int fd, const char *name, int option, int value)
{
	int r = setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
	printf("%s = %d: %s\n", name, value, r < 0 ? error_name(errno) : "ok");
	get(fd, name, option);
}

#define GET(fd, name) get(fd, #name, name)
#define SET(fd, name, value) set(fd, #name, name, value)

int main(void)
{
	loopback_up();
	int s = tcp(), p[2];
	GET(s, TCP_NODELAY);
	GET(s, TCP_CORK);
	GET(s, TCP_KEEPIDLE);
	GET(s, TCP_KEEPINTVL);
	GET(s, TCP_KEEPCNT);
	GET(s, TCP_SYNCNT);
	GET(s, TCP_LINGER2);
	GET(s, TCP_DEFER_ACCEPT);
	GET(s, TCP_WINDOW_CLAMP);
	GET(s, TCP_QUICKACK);
	GET(s, TCP_USER_TIMEOUT);
	GET(s, TCP_MAXSEG);
	get(s, "unknown", 99);
	SET(s, TCP_NODELAY, 5);
	SET(s, TCP_CORK, 1);
	SET(s, TCP_KEEPIDLE, 10);
	SET(s, TCP_KEEPIDLE, 0);
	SET(s, TCP_KEEPIDLE, 32768);
	SET(s, TCP_KEEPINTVL, 3);
	SET(s, TCP_KEEPINTVL, -1);
	SET(s, TCP_KEEPCNT, 4);
	SET(s, TCP_KEEPCNT, 128);
	SET(s, TCP_SYNCNT, 3);
	SET(s, TCP_SYNCNT, 0);
	SET(s, TCP_LINGER2, 7);
	SET(s, TCP_LINGER2, -5);
	SET(s, TCP_LINGER2, 1000);
	SET(s, TCP_DEFER_ACCEPT, 4);
	SET(s, TCP_DEFER_ACCEPT, 0);
	SET(s, TCP_USER_TIMEOUT, 12345);
	SET(s, TCP_USER_TIMEOUT, -1);
	SET(s, TCP_MAXSEG, 10);
	SET(s, TCP_MAXSEG, 40000);
	SET(s, TCP_MAXSEG, 1000);
	SET(s, TCP_QUICKACK, 1);
	set(s, "unknown", 99, 1);
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, "", 1));
	char name[20];
	socklen_t length = sizeof name;
	SHOW(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	printf("%s %d\n", name, (int)length);
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	length = sizeof name;
	SHOW(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	printf("%s %d\n", name, (int)length);
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	close(s);

	connected(5300, p);
	struct tcp_info info;
	length = sizeof info;
	memset(&info, 0, sizeof info);
	SHOW(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &length));
	/* Scales and segment sizes follow from how much memory there is. */
	printf("state %d ca %d retransmits %d options %x\n", info.tcpi_state, info.tcpi_ca_state, info.tcpi_retransmits, info.tcpi_options);
	printf("reordering %u cwnd %u unacked %u lost %u\n", info.tcpi_reordering, info.tcpi_snd_cwnd, info.tcpi_unacked, info.tcpi_lost);
	length = 8;
	SHOW(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &length));
	printf("%d\n", (int)length);
	return 0;
}
