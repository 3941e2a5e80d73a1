/* SO_ORIGINAL_DST: where a peer wanted to go, of connections that rules of nf_tables sent elsewhere. */
#define _GNU_SOURCE
#include "nat_case.h"

#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80
#endif

static void ask_for(const char *what, int fd, int level, unsigned limit)
{
	struct sockaddr_storage found;
	socklen_t size = limit;
	char text[64] = "";
	memset(&found, 0, sizeof found);
	printf("%s", what);
	if (getsockopt(fd, level, SO_ORIGINAL_DST, &found, &size) < 0) {
		printf(": %s\n", error_name(errno));
		return;
	}
	const struct sockaddr_in *four = (void *)&found;
	const struct sockaddr_in6 *six = (void *)&found;
	inet_ntop(found.ss_family, found.ss_family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr, text,
		  sizeof text);
	printf(": %s %d, scope %d, %d bytes\n", text, ntohs(four->sin_port),
	       found.ss_family == AF_INET6 ? six->sin6_scope_id != 0 : 0, (int)size);
}

static void connection(const char *what, int family, const char *bound, const char *to, int port, int listening)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, six2 = {.sin6_family = AF_INET6};
	struct sockaddr_in four = address(to, port), four2 = address(bound, listening);
	int on = 1;
	socklen_t size = family == AF_INET ? sizeof four : sizeof six;
	inet_pton(AF_INET6, to, &six.sin6_addr);
	inet_pton(AF_INET6, bound, &six2.sin6_addr);
	six2.sin6_port = htons(listening);
	int server_family = strchr(bound, ':') ? AF_INET6 : AF_INET;
	int listener = (int)MUST(socket(server_family, SOCK_STREAM, 0));
	MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	MUST(bind(listener, server_family == AF_INET ? (void *)&four2 : (void *)&six2,
		  server_family == AF_INET ? sizeof four2 : sizeof six2));
	MUST(listen(listener, 4));
	int fd = (int)MUST(socket(family, SOCK_STREAM, 0));
	printf("%s\n", what);
	ask_for("  not connected", fd, SOL_IP, 16);
	ask_for("  listening", listener, SOL_IP, 16);
	MUST(connect(fd, family == AF_INET ? (void *)&four : (void *)&six, size));
	int other = (int)MUST(accept(listener, NULL, NULL));
	ask_for("  level IP", other, SOL_IP, 16);
	ask_for("  level IPv6", other, SOL_IPV6, 28);
	ask_for("  of the caller", fd, SOL_IP, 16);
	ask_for("  of the caller, level IPv6", fd, SOL_IPV6, 28);
	ask_for("  short", other, SOL_IP, 15);
	ask_for("  short, level IPv6", other, SOL_IPV6, 27);
	ask_for("  of level TCP", other, IPPROTO_TCP, 16);
	close(fd);
	close(other);
	close(listener);
}

int main(void)
{
	MUST(unshare(CLONE_NEWNET));
	MUST(turn("lo", 1));
	nft = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	connection("nothing is tracked", AF_INET, "127.0.0.1", "127.0.0.1", 6001, 6001);
	for (int i = 0; i < 2; i++) {
		n_family = i ? NFPROTO_IPV6 : NFPROTO_IPV4;
		n_begin();
		n_table();
		n_chain("own", "nat", NF_INET_LOCAL_OUT, -100, NF_ACCEPT);
		n_rule("own"), n_port(IPPROTO_TCP, 6000), n_redirect(6001), n_rule_end();
		n_commit("redirect");
	}
	connection("redirected", AF_INET, "127.0.0.1", "127.0.0.1", 6000, 6001);
	connection("not redirected", AF_INET, "127.0.0.1", "127.0.0.1", 6002, 6002);
	connection("IPv6", AF_INET6, "::1", "::1", 6000, 6001);
	connection("a server for both", AF_INET, "::", "127.0.0.1", 6000, 6001);
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	ask_for("a datagram", fd, SOL_IP, 16);
	fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	ask_for("a datagram of IPv6", fd, SOL_IPV6, 28);
	return 0;
}
