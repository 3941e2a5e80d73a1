/* Covers: vmsplice. It waits for room in the pipe, and takes no more than fits then. */
#define _GNU_SOURCE
#include <sys/uio.h>
#include "case.h"

int main(void)
{
	static char big[3 * 4096] __attribute__((aligned(4096)));
	struct iovec three = { big, sizeof big };
	int p[2];
	MUST(pipe(p));
	SHOW(fcntl(p[1], F_SETPIPE_SZ, 4096));
	alarm(5);
	SHOW(vmsplice(p[1], &three, 1, 0));
	SHOW(vmsplice(p[1], &three, 1, SPLICE_F_NONBLOCK));
	SHOW(read(p[0], big, sizeof big));
	return 0;
}
