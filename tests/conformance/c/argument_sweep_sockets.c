/* Covers: calls on sockets with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(socket, "iii"), CALL(socketpair, "iiip"), CALL(bind, "fqi"), CALL(connect, "fqi"),
	CALL(listen, "fi"), CALL(accept4, "fppg"), CALL(getsockname, "fpp"), CALL(getpeername, "fpp"), CALL(shutdown, "fi"), CALL(sendto, "fqzgqi"),
	CALL(recvfrom, "fpzgpp"), CALL(sendmsg, "fqg"), CALL(recvmsg, "fpg"), CALL(sendmmsg, "fqig"), CALL(recvmmsg, "fpigt"),
	CALL(setsockopt, "fiiqi"), CALL(getsockopt, "fiipp"),
};

int main(void)
{
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
