/* Covers: the tables of /proc/net about ping, packet, netlink and other sockets, groups and fragments, and what TCP counts (proc(5)). */
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include "tcp_case.h"

static char text[1 << 16];

static char *load(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/net/%s", name);
	int fd = (int)MUST(open(path, O_RDONLY)), used = 0;
	ssize_t n;
	while ((n = read(fd, text + used, sizeof text - 1 - (size_t)used)) > 0)
		used += (int)n;
	text[used] = 0;
	close(fd);
	return text;
}

static int ascending(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The words of a line, with * for those whose columns are hidden. */
static char *shown(const char *line, const int *hidden)
{
	char *result = calloc(1, 300);
	int hide = 0;
	for (int column = 0; *line; column++) {
		line += hide ? strspn(line + 1, " ") : 0; /* as wide as what is hidden needs it */
		size_t blank = strspn(line, " "), word = strcspn(line + blank, " ");
		hide = 0;
		for (const int *h = hidden; *h >= 0; h++)
			hide |= *h == column;
		if (hide && word)
			strcat(result, " *");
		else if (word)
			strncat(result, line, blank + word);
		line += blank + word;
	}
	return result;
}

/* The lines of a table that hold a text, in order, without kernel addresses, inodes, ports and what memory takes. */
static void table(const char *name, const char *wanted, const int *hidden)
{
	char *lines[100];
	int count = 0;
	printf("== %s\n", name);
	for (char *line = strtok(load(name), "\n"); line && count < 100; line = strtok(0, "\n"))
		if (strstr(line, wanted) && !strstr(line, "MPTCP"))
			lines[count++] = shown(line, hidden);
	qsort(lines, (size_t)count, sizeof *lines, ascending);
	for (int i = 0; i < count; i++)
		puts(lines[i]);
}

/* The head of a table. */
static void head(const char *name)
{
	load(name);
	text[strcspn(text, "\n")] = 0;
	printf("== head of %s\n%s\n", name, text);
}

static long counted(const char *name)
{
	load("netstat");
	char *names = strtok(text, "\n"), *values = strtok(0, "\n");
	for (; *names && *values; names += strcspn(names, " "), values += strcspn(values, " ")) {
		names += strspn(names, " "), values += strspn(values, " ");
		size_t length = strcspn(names, " ");
		if (length == strlen(name) && strncmp(names, name, length) == 0)
			return atol(values);
	}
	return -1;
}

static int on(int s, int level, int name, int value) { return setsockopt(s, level, name, &value, sizeof value); }

static void events(void)
{
	static const char *const names[] = { "TCPAbortOnClose", "TCPAbortOnData", "TCPMinTTLDrop", "ListenOverflows", "ListenDrops", "TCPAbortOnTimeout",
					     "TCPAbortOnMemory", "TCPKeepAlive", "SyncookiesSent", "PAWSEstab", "EmbryonicRsts" };
	enum { COUNT = sizeof names / sizeof *names };
	long before[COUNT];
	int pair[2];
	for (int i = 0; i < COUNT; i++)
		before[i] = counted(names[i]);
	connected(7101, pair); /* closed with unread data */
	MUST(write(pair[0], "text", 4));
	settle();
	close(pair[1]), close(pair[0]);
	connected(7102, pair); /* closed without lingering */
	struct linger none = { 1, 0 };
	setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(pair[0]), close(pair[1]);
	long aborted = counted("TCPAbortOnData"); /* nobody reads what comes; nor is it counted where the end was answered too late */
	for (int turn = 0; turn < 20 && counted("TCPAbortOnData") == aborted; turn++) {
		connected(7110 + turn, pair);
		close(pair[1]);
		MUST(write(pair[0], "text", 4));
		settle();
		close(pair[0]);
	}
	connected(7104, pair); /* from too far away */
	on(pair[1], IPPROTO_IP, 21, 30), on(pair[0], IPPROTO_IP, IP_TTL, 3);
	MUST(write(pair[0], "text", 4));
	settle();
	long far = counted("TCPMinTTLDrop");
	on(pair[0], IPPROTO_IP, IP_TTL, 64);
	MUST(read(pair[1], text, 4)); /* it is sent again */
	close(pair[0]), close(pair[1]);
	settle();
	puts("== events");
	for (int i = 0; i < COUNT; i++)
		if (strcmp(names[i], "TCPMinTTLDrop") == 0)
			printf("%s: %s\n", names[i], far > before[i] ? "more" : "as before");
		else
			printf("%s: %ld\n", names[i], counted(names[i]) - before[i]);
}

int main(void)
{
	loopback_up();
	MUST(system("echo 0 1000 >/proc/sys/net/ipv4/ping_group_range"));
	struct sockaddr_nl groups = { AF_NETLINK, 0, 77777, 0x11 };
	struct sockaddr_ll all = { AF_PACKET, htons(0x800), 1 };
	struct sockaddr_in6 at6 = { AF_INET6, htons(6), 0, IN6ADDR_LOOPBACK_INIT };
	int n = (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0));
	MUST(bind(n, (void *)&groups, sizeof groups));
	MUST(socket(AF_PACKET, SOCK_RAW, 0));
	MUST(socket(AF_PACKET, SOCK_RAW, htons(0x88b5)));
	int p = (int)MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
	MUST(bind(p, (void *)&all, sizeof all));
	int i = (int)MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)), i6 = (int)MUST(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
	MUST(bind(i, in(5), sizeof in_address));
	MUST(bind(i6, (void *)&at6, sizeof at6));
	int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), v = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	uint32_t source[3] = { htonl(0xe0010203), htonl(0x7f000001), htonl(0x0a000001) };
	for (int s = u; s <= v; s += v - u)
		MUST(setsockopt(s, IPPROTO_IP, 39, source, sizeof source)); /* IP_ADD_SOURCE_MEMBERSHIP */
	source[0] = htonl(0xe0010204);
	struct ip_mreqn group = { { source[0] }, { source[1] }, 0 };
	MUST(setsockopt(u, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
	MUST(setsockopt(u, IPPROTO_IP, 38, source, sizeof source)); /* IP_BLOCK_SOURCE */
	static const char *const heads[] = { "icmp", "icmp6", "packet", "netlink", "mcfilter", "mcfilter6", "protocols" };
	for (unsigned h = 0; h < sizeof heads / sizeof *heads; h++)
		head(heads[h]);
	table("icmp", "0100007F", (int[]){ 0, 9, 11, -1 });
	table("icmp6", "00000001000000", (int[]){ 0, 9, 11, -1 });
	table("packet", "0000", (int[]){ 0, 6, 8, -1 });
	table("netlink", "77777", (int[]){ 0, 9, -1 });
	table("mcfilter", "0x", (int[]){ -1 });
	table("sockstat6", "FRAG6", (int[]){ -1 });
	table("sockstat", "FRAG", (int[]){ -1 });
	table("dev_mcast", "", (int[]){ -1 });
	static const char *const protocols[] = { "PACKET ", "PINGv6", "RAWv6", "UDPv6", "TCPv6", "UNIX-STREAM", "UNIX ", "PING ", "RAW ", "UDP ", "NETLINK" };
	for (unsigned t = 0; t < sizeof protocols / sizeof *protocols; t++)
		table("protocols", protocols[t], (int[]){ 1, 6, strstr(protocols[t], "NETLINK") ? 2 : strstr(protocols[t], "TCP") ? 3 : 1, -1 });
	close(u);
	table("mcfilter", "0x", (int[]){ -1 });
	close(v);
	table("mcfilter", "0x", (int[]){ -1 });
	events();
	return 0;
}
