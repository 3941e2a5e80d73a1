/* What the programs about sockets share. */
#ifndef SOCKET_CASE_H
#define SOCKET_CASE_H
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include "case.h"

static struct sockaddr_un un_address;

/* The address of a path name; a name that starts with '@' is an abstract one. */
static inline socklen_t un(const char *name)
{
	size_t length = strlen(name);
	memset(&un_address, 0, sizeof un_address);
	un_address.sun_family = AF_UNIX;
	memcpy(un_address.sun_path, name, length);
	if (name[0] == '@') {
		un_address.sun_path[0] = 0;
		return offsetof(struct sockaddr_un, sun_path) + length;
	}
	return offsetof(struct sockaddr_un, sun_path) + length + 1;
}

#define BIND(fd, name) ({ socklen_t l_ = un(name); bind(fd, (struct sockaddr *)&un_address, l_); })
#define CONNECT(fd, name) ({ socklen_t l_ = un(name); connect(fd, (struct sockaddr *)&un_address, l_); })

static inline void show_un(const char *what, int result, struct sockaddr_un *a, socklen_t length)
{
	if (result < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s: %d bytes", what, (int)length);
	if (length > 2) {
		printf(" of family %d \"", a->sun_family);
		for (socklen_t i = 0; i + 2 < length && i < sizeof a->sun_path; i++)
			putchar(a->sun_path[i] ? a->sun_path[i] : '@');
		putchar('"');
	}
	putchar('\n');
}

static inline void show_names(const char *what, int fd)
{
	struct sockaddr_un a;
	socklen_t length = sizeof a;
	char text[64];
	memset(&a, 'z', sizeof a);
	snprintf(text, sizeof text, "%s is", what);
	int result = getsockname(fd, (struct sockaddr *)&a, &length);
	show_un(text, result, &a, length);
	length = sizeof a;
	snprintf(text, sizeof text, "%s talks to", what);
	result = getpeername(fd, (struct sockaddr *)&a, &length);
	show_un(text, result, &a, length);
}

static inline void show_poll(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0 };
	poll(&p, 1, 0);
	printf("%s:%s%s%s%s%s%s%s%s%s%s\n", what, p.revents & POLLIN ? " in" : "", p.revents & POLLOUT ? " out" : "",
	       p.revents & POLLPRI ? " pri" : "", p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "",
	       p.revents & POLLRDHUP ? " rdhup" : "", p.revents & POLLRDNORM ? " rdnorm" : "", p.revents & POLLWRNORM ? " wrnorm" : "",
	       p.revents & POLLRDBAND ? " rdband" : "", p.revents & POLLWRBAND ? " wrband" : "");
}

static inline void show_error(const char *what, int fd)
{
	int error = -1;
	socklen_t length = sizeof error;
	int result = getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	printf("%s: SO_ERROR %d %s\n", what, result, error_name(error));
}

/* Receive and print what came. */
static inline ssize_t show_receive(const char *what, int fd, size_t room, int flags)
{
	static char buffer[70000];
	memset(buffer, 0, 100);
	errno = 0;
	ssize_t n = recv(fd, buffer, room, flags | MSG_DONTWAIT);
	if (n < 0)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %zd \"%.40s\"\n", what, n, buffer);
	return n;
}

static inline void nonblocking(int fd) { MUST(fcntl(fd, F_SETFL, O_NONBLOCK)); }
#endif
