/* Covers: NETLINK_SOCK_DIAG, what `ss` asks: TCP, UDP, raw and unix sockets, all or one, filters and their errors (sock_diag(7)). */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdarg.h>
#include "tcp_case.h"

#define FIRST 4700
#define LAST 4799

static int nl;
static char buffer[1 << 16];
static char lines[200][400];
static int line_count;
static struct { int fd; const char *name; } ours[20];
static int our_count;

static int named(const char *name, int fd)
{
	ours[our_count].fd = fd;
	ours[our_count++].name = name;
	return fd;
}

static const char *name_of(unsigned inode)
{
	struct stat st;
	for (int i = 0; i < our_count; i++)
		if (fstat(ours[i].fd, &st) == 0 && st.st_ino == inode)
			return ours[i].name;
	return inode ? "a stranger" : "nobody";
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static void show_lines(void)
{
	qsort(lines, line_count, sizeof *lines, by_text);
	for (int i = 0; i < line_count; i++)
		puts(lines[i]);
	line_count = 0;
}

static char *add(char *to, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	to += vsprintf(to, format, list);
	va_end(list);
	return to;
}

static void take_inet(struct nlmsghdr *h)
{
	struct inet_diag_msg *m = NLMSG_DATA(h);
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], *t = lines[line_count++];
	inet_ntop(m->idiag_family, m->id.idiag_src, from, sizeof from);
	inet_ntop(m->idiag_family, m->id.idiag_dst, to, sizeof to);
	int is_ephemeral = ntohs(m->id.idiag_dport) > LAST;
	t = add(t, "%s: family %d state %d timer %d retries %d, %s:%d to %s:%d if %u, expires %d, queues %u %u, uid %u", name_of(m->idiag_inode),
		m->idiag_family, m->idiag_state, m->idiag_timer, m->idiag_retrans, from, ntohs(m->id.idiag_sport), to,
		is_ephemeral ? 1 : ntohs(m->id.idiag_dport), m->id.idiag_if, m->idiag_expires > 0, m->idiag_rqueue, m->idiag_wqueue, m->idiag_uid);
	if (m->idiag_inode && !(m->id.idiag_cookie[0] | m->id.idiag_cookie[1]))
		t = add(t, " without a cookie");
	int left = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
	for (struct nlattr *a = (void *)(m + 1); left >= 4; left -= NLA_ALIGN(a->nla_len), a = (void *)((char *)a + NLA_ALIGN(a->nla_len))) {
		unsigned char *d = (unsigned char *)(a + 1);
		int n = a->nla_len - 4;
		if (a->nla_type >= INET_DIAG_CLASS_ID)
			continue;
		t = add(t, ", %d", a->nla_type);
		if (n == 1)
			t = add(t, "=%d", *d);
		else if (a->nla_type == INET_DIAG_CONG)
			t = add(t, "=%s", d);
		else if (a->nla_type == INET_DIAG_MARK)
			t = add(t, "=%#x", *(unsigned *)d);
		else if (a->nla_type == INET_DIAG_INFO)
			t = add(t, "=state %d", *d);
		else
			t = add(t, "(%d)", n);
	}
}

static void take_unix(struct nlmsghdr *h)
{
	struct unix_diag_msg *m = NLMSG_DATA(h);
	int left = h->nlmsg_len - NLMSG_LENGTH(sizeof *m), is_known = strcmp(name_of(m->udiag_ino), "a stranger") && m->udiag_ino;
	if (!is_known)
		return;
	char *t = lines[line_count++];
	t = add(t, "%s: family %d type %d state %d", name_of(m->udiag_ino), m->udiag_family, m->udiag_type, m->udiag_state);
	for (struct nlattr *a = (void *)(m + 1); left >= 4; left -= NLA_ALIGN(a->nla_len), a = (void *)((char *)a + NLA_ALIGN(a->nla_len))) {
		unsigned *d = (unsigned *)(a + 1);
		int n = a->nla_len - 4;
		struct stat st;
		switch (a->nla_type) {
		case UNIX_DIAG_NAME:
			t = add(t, ", name");
			for (int i = 0; i < n; i++)
				t = add(t, "%c", ((char *)d)[i] ? ((char *)d)[i] : '@');
			break;
		case UNIX_DIAG_VFS:
			stat("/tmp/diag", &st);
			t = add(t, ", place %d", d[0] == st.st_ino);
			break;
		case UNIX_DIAG_PEER:
			t = add(t, ", peer %s", name_of(d[0]));
			break;
		case UNIX_DIAG_ICONS:
			t = add(t, ", waiting");
			for (int i = 0; i < n / 4; i++)
				t = add(t, " %s", name_of(d[i]));
			break;
		case UNIX_DIAG_RQLEN:
			t = add(t, ", queues %u %d", d[0], m->udiag_state == 10 ? (int)d[1] : d[1] > 0);
			break;
		case UNIX_DIAG_SHUTDOWN:
			t = add(t, ", shut %d", *(unsigned char *)d);
			break;
		case UNIX_DIAG_UID:
			t = add(t, ", uid %u", d[0]);
			break;
		default:
			t = add(t, ", %d(%d)", a->nla_type, n);
		}
	}
}

/* Send a request, take the answers. */
static void ask(const char *what, int type, int flags, const void *request, int length, const void *program, int program_length)
{
	struct { struct nlmsghdr h; char rest[600]; } m = { { NLMSG_LENGTH(length), type, NLM_F_REQUEST | flags, 7, 0 }, { 0 } };
	memcpy(m.rest, request, length);
	if (program_length) {
		struct nlattr a = { 4 + program_length, INET_DIAG_REQ_BYTECODE };
		memcpy(m.rest + NLMSG_ALIGN(length), &a, 4);
		memcpy(m.rest + NLMSG_ALIGN(length) + 4, program, program_length);
		m.h.nlmsg_len = NLMSG_LENGTH(NLMSG_ALIGN(length) + 4 + program_length);
	}
	MUST(send(nl, &m, m.h.nlmsg_len, 0));
	printf("--- %s\n", what);
	for (;;) {
		int left = (int)recv(nl, buffer, sizeof buffer, MSG_DONTWAIT);
		if (left <= 0) {
			show_lines();
			return;
		}
		for (struct nlmsghdr *h = (void *)buffer; NLMSG_OK(h, (unsigned)left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				sprintf(lines[line_count++], "done, %d", *(int *)NLMSG_DATA(h));
			else if (h->nlmsg_type == NLMSG_ERROR)
				sprintf(lines[line_count++], "error %s", error_name(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
			else if (*(unsigned char *)NLMSG_DATA(h) == AF_UNIX)
				take_unix(h);
			else
				take_inet(h);
		}
	}
}

/* Everything from FIRST to LAST, so that sockets of other programs do not matter. */
static struct { struct inet_diag_bc_op op[4]; } range = { {
	{ INET_DIAG_BC_S_GE, 8, 20 }, { 0, 0, FIRST }, { INET_DIAG_BC_S_LE, 8, 12 }, { 0, 0, LAST } } };

static struct inet_diag_req_v2 inet_request(int family, int protocol)
{
	struct inet_diag_req_v2 r = { .sdiag_family = family, .sdiag_protocol = protocol, .idiag_states = ~0u };
	r.idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1) | 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1) | 1 << (INET_DIAG_TOS - 1) |
		      1 << (INET_DIAG_TCLASS - 1) | 1 << (INET_DIAG_MEMINFO - 1);
	r.id.idiag_cookie[0] = r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return r;
}

static void internet(void)
{
	int on = 1, tos = 0x20, mark = 77;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(4710), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int l = named("listener", tcp()), w = named("without data", tcp());
	MUST(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	MUST(bind(l, in(4700), sizeof in_address));
	MUST(listen(l, 3));
	MUST(setsockopt(w, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
	MUST(setsockopt(w, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
	MUST(bind(w, in(4701), sizeof in_address));
	MUST(connect(w, in(4700), sizeof in_address));
	named("accepted", (int)MUST(accept(l, 0, 0)));
	MUST(send(w, "hello", 5, 0));
	int second = named("waits", tcp());
	MUST(bind(second, in(4702), sizeof in_address));
	MUST(connect(second, in(4700), sizeof in_address));
	int six_only = named("six", (int)MUST(socket(AF_INET6, SOCK_STREAM, 0))), both = named("both", (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)));
	MUST(setsockopt(six_only, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
	MUST(bind(six_only, (void *)&six, sizeof six));
	MUST(listen(six_only, 1));
	six.sin6_addr = in6addr_any;
	six.sin6_port = htons(4711);
	MUST(bind(both, (void *)&six, sizeof six));
	MUST(listen(both, 9));
	int to_both = named("to both", tcp());
	MUST(bind(to_both, in(4712), sizeof in_address));
	MUST(connect(to_both, in(4711), sizeof in_address));
	named("accepted by both", (int)MUST(accept(both, 0, 0)));
	int u = named("datagrams", (int)MUST(socket(AF_INET, SOCK_DGRAM, 0))), c = named("connected", (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)));
	MUST(bind(u, in(4720), sizeof in_address));
	MUST(bind(c, in(4721), sizeof in_address));
	MUST(connect(c, in(4720), sizeof in_address));
	MUST(shutdown(c, SHUT_RD));
	named("raw", (int)MUST(socket(AF_INET, SOCK_RAW, 253)));
	settle_for(300); /* until all is acknowledged */

	struct inet_diag_req_v2 r = inet_request(AF_INET, IPPROTO_TCP);
	ask("TCP", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &range, sizeof range);
	r.idiag_states = 1 << 10;
	r.idiag_ext = 0;
	ask("TCP, listening, without extras", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &range, sizeof range);
	r = inet_request(AF_INET, IPPROTO_TCP);
	r.id.idiag_dport = htons(4701);
	ask("TCP, by a port", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, 0, 0);
	r = inet_request(AF_INET6, IPPROTO_TCP);
	ask("TCP over IPv6", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &range, sizeof range);
	r = inet_request(AF_INET, IPPROTO_UDP);
	ask("UDP", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &range, sizeof range);
	r = inet_request(AF_INET, IPPROTO_RAW);
	r.id.idiag_sport = htons(253);
	ask("raw", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, 0, 0);

	puts("=== one");
	r = inet_request(AF_INET, IPPROTO_TCP);
	r.idiag_ext = 0;
	r.id.idiag_sport = htons(4701);
	r.id.idiag_dport = htons(4700);
	r.id.idiag_src[0] = r.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
	ask("a connection", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	unsigned long cookie = 0;
	socklen_t length = sizeof cookie;
	MUST(getsockopt(w, SOL_SOCKET, SO_COOKIE, &cookie, &length));
	r.id.idiag_cookie[0] = (unsigned)cookie;
	r.id.idiag_cookie[1] = (unsigned)(cookie >> 32);
	ask("by its cookie", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	r.id.idiag_cookie[0]++;
	ask("by another one's", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	r = inet_request(AF_INET, IPPROTO_TCP);
	r.idiag_ext = 0;
	r.id.idiag_sport = htons(4700);
	r.id.idiag_src[0] = r.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
	ask("the listener", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	r.id.idiag_sport = htons(4799);
	ask("nobody", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);

	puts("=== filters");
	struct { struct inet_diag_bc_op op; struct inet_diag_hostcond host; uint32_t address; } host = {
		{ INET_DIAG_BC_S_COND, 16, 20 }, { AF_INET, 8, 4701 }, htonl(0x7f630000) };
	r = inet_request(AF_INET, IPPROTO_TCP);
	r.idiag_ext = 0;
	ask("127/8, port 4701", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &host, sizeof host);
	host.host.prefix_len = 16;
	ask("127.99/16, port 4701", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &host, sizeof host);
	r = inet_request(AF_INET6, IPPROTO_TCP);
	r.idiag_ext = 0;
	host.host.prefix_len = 8;
	host.host.port = 4711;
	ask("mapped, port 4711", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &host, sizeof host);
	r = inet_request(AF_INET, IPPROTO_TCP);
	r.idiag_ext = 0;
	struct inet_diag_bc_op equal[] = { { INET_DIAG_BC_D_EQ, 8, 12 }, { 0, 0, 4700 } };
	ask("to 4700", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, equal, sizeof equal);
	/* Not 4700: the jump that says no is taken where the condition holds. */
	struct inet_diag_bc_op other[] = { { INET_DIAG_BC_S_GE, 8, 32 }, { 0, 0, FIRST }, { INET_DIAG_BC_S_LE, 8, 24 }, { 0, 0, LAST },
					   { INET_DIAG_BC_S_EQ, 8, 12 }, { 0, 0, 4700 }, { INET_DIAG_BC_JMP, 4, 8 } };
	ask("not from 4700", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, other, sizeof other);
	struct { struct inet_diag_bc_op op; struct inet_diag_markcond mark; } marked = { { INET_DIAG_BC_MARK_COND, 12, 16 }, { 77, 0xff } };
	ask("marked", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, &marked, sizeof marked);

	puts("=== errors");
	static const struct inet_diag_bc_op wrong[][2] = {
		{ { INET_DIAG_BC_D_EQ, 4, 12 } }, { { INET_DIAG_BC_D_EQ, 8, 2 } }, { { INET_DIAG_BC_D_EQ, 8, 16 } }, { { INET_DIAG_BC_D_EQ, 12, 12 } },
		{ { INET_DIAG_BC_D_EQ, 9, 12 } }, { { INET_DIAG_BC_D_EQ, 8, 4 } }, { { 99, 8, 12 } }, { { INET_DIAG_BC_D_EQ, 8, 0 } },
		{ { INET_DIAG_BC_NOP, 0, 0 } }, { { INET_DIAG_BC_S_COND, 8, 12 } } };
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ask("a wrong filter", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, wrong[i], 8);
	ask("too short", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, 20, 0, 0);
	ask("nothing", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, 1, 0, 0);
	r.sdiag_protocol = 99;
	ask("an unknown protocol", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, 0, 0);
	r.sdiag_family = AF_APPLETALK;
	ask("an unknown family", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, 0, 0);
	r.sdiag_family = 77;
	ask("none", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	ask("an unknown type", 30, NLM_F_ACK, &r, sizeof r, 0, 0);
}

static void local(void)
{
	int pair[2], l = named("unix listener", (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)));
	unlink("/tmp/diag");
	MUST(BIND(l, "/tmp/diag"));
	MUST(listen(l, 4));
	int c = named("unix client", (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)));
	MUST(CONNECT(c, "/tmp/diag"));
	MUST(send(c, "hello", 5, 0));
	int second = named("second client", (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)));
	MUST(CONNECT(second, "/tmp/diag"));
	named("unix server", (int)MUST(accept(l, 0, 0)));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	named("left", pair[0]);
	named("right", pair[1]);
	MUST(shutdown(pair[0], SHUT_WR));
	int d = named("unix datagrams", (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0)));
	MUST(BIND(d, "@diagnosed"));
	struct unix_diag_req r = { .sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = 0x5f };
	ask("unix", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, 0, 0);
	r.udiag_states = 1 << 10;
	r.udiag_show = 0;
	ask("unix, listening, without extras", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, sizeof r, 0, 0);
	struct stat st;
	fstat(c, &st);
	r.udiag_ino = (unsigned)st.st_ino;
	r.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_NAME | UDIAG_SHOW_MEMINFO;
	r.udiag_cookie[0] = r.udiag_cookie[1] = INET_DIAG_NOCOOKIE;
	ask("one", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	r.udiag_cookie[0] = 0x12345678;
	ask("another cookie", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	r.udiag_ino = 0;
	ask("no inode", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	r.udiag_ino = 0x7ffffff0;
	ask("nobody's", SOCK_DIAG_BY_FAMILY, 0, &r, sizeof r, 0, 0);
	ask("too short", SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &r, 12, 0, 0);
	unlink("/tmp/diag");
}

int main(void)
{
	loopback_up();
	nl = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG));
	internet();
	local();
	return 0;
}
