/* What was sent before accept(2) has its sender's credentials, if the socket that accepts it has SO_PASSCRED. */
#include "case.h"
#include <sys/socket.h>
#include <sys/un.h>

struct identity {
	int pid, uid, gid;
};

static void receive(int fd, const char *when)
{
	char byte[8], control[128] = {0};
	struct iovec place = {byte, sizeof byte};
	struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	long got = recvmsg(fd, &message, 0);
	printf("%s: %ld bytes", when, got);
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
		struct identity identity;
		memcpy(&identity, CMSG_DATA(part), sizeof identity);
		printf(", %s process %s, uid %d", part->cmsg_type == 2 ? "credentials of" : "something of",
		       identity.pid == getpid() ? "this" : identity.pid == 0 ? "no" : "another", identity.uid);
	}
	printf("\n");
}

static void try(const char *name, int before_connect, int before_accept, int after_accept)
{
	struct sockaddr_un address = {AF_UNIX, "early-credentials"};
	int on = 1, server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	unlink(address.sun_path);
	if (before_connect)
		setsockopt(server, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	bind(server, (struct sockaddr *)&address, sizeof address);
	listen(server, 4);
	connect(client, (struct sockaddr *)&address, sizeof address);
	write(client, "early", 5);
	if (before_accept)
		setsockopt(server, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	int fd = accept(server, NULL, NULL);
	if (after_accept)
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	printf("%s\n", name);
	receive(fd, "  sent before accept");
	write(client, "late", 4);
	receive(fd, "  sent after it");
	close(fd), close(client), close(server);
	unlink(address.sun_path);
}

int main(void)
{
	try("nobody asks", 0, 0, 0);
	try("the listener asks before connect", 1, 0, 0);
	try("the listener asks before accept", 0, 1, 0);
	try("the accepted socket asks", 0, 0, 1);
	return 0;
}
