/* io_uring: rings whose requests are polled for (IORING_SETUP_IOPOLL), on files that cannot be. */
#define _GNU_SOURCE
#include "uring_case.h"

int main(void)
{
	struct ring r;
	int p[2];
	static char buffer[2 * PAGE] __attribute__((aligned(PAGE)));
	MUST(pipe(p));
	ring_make(&r, 8, IORING_SETUP_IOPOLL, 0);
	put_file("/tmp/file", "hello", 0600);
	int plain = (int)MUST(open("/tmp/file", O_RDWR)), direct = open("/tmp/file", O_RDWR | O_DIRECT), null = (int)MUST(open("/dev/null", O_RDWR));
	struct iovec v = { buffer, PAGE };
	ONE(&r, "nop", IORING_OP_NOP, -1, NULL, 0, 0);
	ONE(&r, "read", IORING_OP_READ, plain, buffer, 5, 0);
	ONE(&r, "write", IORING_OP_WRITE, plain, buffer, 5, 0);
	ONE(&r, "readv", IORING_OP_READV, plain, &v, 1, 0);
	ONE(&r, "writev", IORING_OP_WRITEV, plain, &v, 1, 0);
	if (direct >= 0)
		ONE(&r, "direct", IORING_OP_READ, direct, buffer, PAGE, 0);
	ONE(&r, "a device", IORING_OP_READ, null, buffer, 5, 0);
	ONE(&r, "a pipe", IORING_OP_READ, p[0], buffer, 5, 0);
	ONE(&r, "no descriptor", IORING_OP_READ, 9999, buffer, 5, 0);
	ONE(&r, "not to be read", IORING_OP_READ, p[1], buffer, 5, 0);
	ONE(&r, "priority", IORING_OP_READ, plain, buffer, 5, 0, s->ioprio = 1 << 13);
	ONE(&r, "unknown rw_flags", IORING_OP_READ, plain, buffer, 5, 0, s->rw_flags = 1 << 20);
	ONE(&r, "RWF_HIPRI", IORING_OP_READ, plain, buffer, 5, 0, s->rw_flags = RWF_HIPRI);
	ONE(&r, "RWF_NOWAIT", IORING_OP_READ, plain, buffer, 5, 0, s->rw_flags = RWF_NOWAIT);
	ONE(&r, "fixed buffer", IORING_OP_READ_FIXED, plain, buffer, 5, 0);
	ONE(&r, "provide nothing", IORING_OP_PROVIDE_BUFFERS, 9999, NULL, 0, 0);
	ONE(&r, "provide", IORING_OP_PROVIDE_BUFFERS, 2, buffer, 64, 0);
	for (int op = IORING_OP_FSYNC; op < 58; op++) {
		if (op == IORING_OP_READ || op == IORING_OP_WRITE || op == IORING_OP_READ_FIXED || op == IORING_OP_WRITE_FIXED || op == IORING_OP_WRITEV)
			continue;
		if (op == IORING_OP_URING_CMD)
			continue; /* a command of a file, of which most kernels have few */
		struct io_uring_sqe *s = next_sqe(&r, op, 9999, NULL, 0, 0);
		s->user_data = (unsigned)op;
		go(&r, "op", 1);
	}
	ONE(&r, "priority of fsync", IORING_OP_FSYNC, 9999, NULL, 0, 0, s->ioprio = 1);
	ONE(&r, "personality of fsync", IORING_OP_FSYNC, 9999, NULL, 0, 0, s->personality = 1);
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, buffer, 5));
	sigset_t set;
	sigemptyset(&set);
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, &set, 5));
	struct io_uring_napi n = { 0 };
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
	struct pollfd f = { r.fd, POLLIN | POLLOUT, 0 };
	SHOW(poll(&f, 1, 0));
	printf("%x\n", (unsigned)f.revents);
	ring_end(&r);
	static const unsigned with[] = { IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_SQ_AFF, IORING_SETUP_CQE32 };
	for (unsigned i = 0; i < 4; i++) {
		struct io_uring_params q = { .flags = IORING_SETUP_IOPOLL | with[i] };
		TRY(uring_setup(2, &q));
	}
	int disk = open("/dev/vda", O_RDONLY | O_DIRECT);
	if (disk >= 0) {
		ring_make(&r, 8, IORING_SETUP_IOPOLL, 0);
		ONE(&r, "disk", IORING_OP_READ, disk, buffer, PAGE, 0);
		ring_end(&r);
	}
	return 0;
}
