/* Landlock and TCP ports: bind(2) and connect(2) by IPv4 and IPv6, what is no TCP, and the order of errors. */
#include "landlock_case.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define OPEN 7501
#define CLOSED 7502
#define BINDS 7503

static int make(int family, int type)
{
	int fd = (int)MUST(socket(family, type, 0)), one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return fd;
}

static struct sockaddr_in v4(int port)
{
	struct sockaddr_in name = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
	return name;
}

static struct sockaddr_in6 v6(int port)
{
	struct sockaddr_in6 name = {AF_INET6, htons(port), 0, IN6ADDR_LOOPBACK_INIT, 0};
	return name;
}

static long bind_to(int fd, const void *name, socklen_t length)
{
	long result = bind(fd, name, length);
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static long connect_to(int fd, const void *name, socklen_t length)
{
	long result = connect(fd, name, length);
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static void try_all(void)
{
	int ports[] = {OPEN, CLOSED, BINDS, 0};
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in four = v4(ports[i]);
		struct sockaddr_in6 six = v6(ports[i]);
		printf("-- port %d\n", ports[i]);
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		TRY(bind_to(make(AF_INET6, SOCK_STREAM), &six, sizeof six));
		TRY(bind_to(make(AF_INET6, SOCK_STREAM), &six, 24));
		TRY(bind_to(make(AF_INET, SOCK_DGRAM), &four, sizeof four));
		TRY(bind_to(make(AF_INET6, SOCK_DGRAM), &six, sizeof six));
		TRY(connect_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		TRY(connect_to(make(AF_INET6, SOCK_STREAM), &six, sizeof six));
		TRY(connect_to(make(AF_INET, SOCK_DGRAM), &four, sizeof four));
		TRY(bind_to(make(AF_INET6, SOCK_STREAM), &four, sizeof four));
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &six, sizeof six));
		TRY(connect_to(make(AF_INET, SOCK_STREAM), &six, sizeof six));
		for (socklen_t length = 0; length < 30; length += length < 4 ? 1 : 4) {
			printf("length %u: ", length);
			TRY(bind_to(make(AF_INET, SOCK_STREAM), &four, length));
			TRY(connect_to(make(AF_INET, SOCK_STREAM), &four, length));
			TRY(connect_to(make(AF_INET6, SOCK_STREAM), &six, length));
		}
		four.sin_family = AF_UNSPEC;
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		TRY(bind_to(make(AF_INET6, SOCK_STREAM), &four, sizeof four));
		TRY(connect_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		four.sin_addr.s_addr = 0;
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		four.sin_family = 77;
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		TRY(connect_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
	}
	struct sockaddr_un local = {AF_UNIX, "\0ports"};
	TRY(bind_to(make(AF_UNIX, SOCK_STREAM), &local, 8));
	/* To listen without a name takes no right. */
	int fd = make(AF_INET, SOCK_STREAM);
	TRY(listen(fd, 1));
}

int main(void)
{
	struct sockaddr_in four = v4(OPEN);
	struct sockaddr_in6 six = v6(OPEN);
	int listener = make(AF_INET, SOCK_STREAM), listener6 = make(AF_INET6, SOCK_STREAM), one = 1;
	setsockopt(listener6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	MUST(bind(listener, (void *)&four, sizeof four));
	MUST(listen(listener, 1000));
	MUST(bind(listener6, (void *)&six, sizeof six));
	MUST(listen(listener6, 1000));
	puts("== no ports are handled");
	IN_CHILD(enter(READ_FILE, 0, 0); try_all());
	puts("== binding");
	IN_CHILD({
		int set = create(0, BIND, 0);
		MUST(allow_port(set, BINDS, BIND));
		MUST(restrict_self(set));
		try_all();
	});
	puts("== both");
	IN_CHILD({
		int set = create(0, BIND | CONNECT, 0);
		MUST(allow_port(set, BINDS, BIND));
		MUST(allow_port(set, OPEN, CONNECT));
		MUST(restrict_self(set));
		try_all();
		puts("-- a second layer");
		set = create(0, CONNECT, 0);
		MUST(restrict_self(set));
		TRY(connect_to(make(AF_INET, SOCK_STREAM), &four, sizeof four));
		struct sockaddr_in binds = v4(BINDS);
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &binds, sizeof binds));
	});
	puts("== any port");
	IN_CHILD({
		int set = create(0, BIND, 0);
		MUST(allow_port(set, 0, BIND));
		MUST(restrict_self(set));
		struct sockaddr_in any = v4(0);
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &any, sizeof any));
		any = v4(BINDS);
		TRY(bind_to(make(AF_INET, SOCK_STREAM), &any, sizeof any));
	});
	puts("== a connection that there is already can end");
	IN_CHILD({
		int fd = make(AF_INET, SOCK_STREAM);
		struct sockaddr none = {AF_UNSPEC, ""};
		MUST(connect(fd, (void *)&four, sizeof four));
		enter(0, CONNECT, 0);
		TRY(write(fd, "x", 1));
		TRY(connect(fd, &none, sizeof none));
		TRY(connect(fd, (void *)&four, sizeof four));
	});
	return 0;
}
