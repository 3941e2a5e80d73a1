/* io_uring: SPLICE and TEE, which wait for either of their files. */
#define _GNU_SOURCE
#include "uring_patience.h"

#define NO_OFFSET (~0ULL)

static struct io_uring_sqe *splice_request(struct ring *r, int in, unsigned long long in_at, int out, unsigned long long out_at, unsigned length, unsigned flags)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_SPLICE, out, (void *)(unsigned long)in_at, length, out_at);
	s->splice_fd_in = in;
	s->splice_flags = flags;
	s->user_data = 1;
	return s;
}

#define SPLICE(r, what, in, in_at, out, out_at, length, flags) do { \
	splice_request(r, in, in_at, out, out_at, length, flags); \
	go(r, what, 1); \
} while (0)

#define TEE(r, what, in, out, length, flags) do { \
	struct io_uring_sqe *t = next_sqe(r, IORING_OP_TEE, out, NULL, length, 0); \
	t->splice_fd_in = in, t->splice_flags = flags, t->user_data = 1; \
	go(r, what, 1); \
} while (0)

static void show_pipe(int fd)
{
	char buffer[64];
	ssize_t n = read(fd, buffer, sizeof buffer);
	printf("%zd \"%.*s\"\n", n, (int)n, buffer);
}

static void fill(int fd)
{
	static char zeros[PAGE];
	for (int i = 0; i < 16; i++)
		MUST(write(fd, zeros, PAGE));
}

static void drain(int fd)
{
	static char buffer[16 * PAGE];
	size_t total = 0;
	while (total < sizeof buffer)
		total += (size_t)MUST(read(fd, buffer, sizeof buffer));
}

int main(void)
{
	struct ring r;
	struct io_uring_sqe *s;
	int p[2], q[2], pair[2];
	signal(SIGPIPE, SIG_DFL);
	ring_make(&r, 8, 0, 0);
	MUST(pipe(p)), MUST(pipe(q));
	/* it waits for bytes */
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 10, 0);
	go(&r, "empty", 0);
	MUST(write(p[1], "0123456789ab", 12));
	go(&r, "came", 1);
	show_pipe(q[0]);
	SPLICE(&r, "the rest", p[0], NO_OFFSET, q[1], NO_OFFSET, 10, 0);
	show_pipe(q[0]);
	/* it waits for room */
	fill(q[1]);
	MUST(write(p[1], "room", 4));
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	go(&r, "full", 0);
	drain(q[0]);
	go(&r, "room", 1);
	show_pipe(q[0]);
	/* files */
	int file = (int)MUST(open("uring_spliced", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(write(p[1], "to a file", 9));
	SPLICE(&r, "to a file", p[0], NO_OFFSET, file, 4, 9, 0);
	SPLICE(&r, "from a file", file, 7, q[1], NO_OFFSET, 3, 0);
	show_pipe(q[0]);
	SHOW(lseek(file, 0, SEEK_CUR));
	SPLICE(&r, "from its position", file, NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	show_pipe(q[0]);
	SHOW(lseek(file, 0, SEEK_CUR));
	SPLICE(&r, "beyond", file, 100, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "negative", file, (unsigned long long)-5, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "two files", file, 0, file, 0, 4, 0);
	/* sockets */
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	splice_request(&r, pair[0], NO_OFFSET, q[1], NO_OFFSET, 10, 0);
	go(&r, "from a socket", 0);
	MUST(write(pair[1], "socket", 6));
	go(&r, "came", 1);
	show_pipe(q[0]);
	MUST(write(p[1], "datum", 5));
	SPLICE(&r, "to a socket", p[0], NO_OFFSET, pair[0], NO_OFFSET, 5, 0);
	show_pipe(pair[1]);
	close(pair[0]), close(pair[1]);
	/* a part breaks a chain */
	MUST(write(p[1], "part", 4));
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 10, 0)->flags = IOSQE_IO_LINK;
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 2;
	go(&r, "a part", 2);
	show_pipe(q[0]);
	MUST(write(p[1], "all", 3));
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 3, 0)->flags = IOSQE_IO_LINK;
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 2;
	go(&r, "all", 2);
	show_pipe(q[0]);
	/* what is refused */
	SPLICE(&r, "nothing", p[0], NO_OFFSET, q[1], NO_OFFSET, 0, 0);
	SPLICE(&r, "not to wait", p[0], NO_OFFSET, q[1], NO_OFFSET, 4, SPLICE_F_NONBLOCK);
	SPLICE(&r, "unknown flags", p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 16);
	SPLICE(&r, "an offset of a pipe", p[0], 0, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "of the other pipe", p[0], NO_OFFSET, q[1], 0, 4, 0);
	SPLICE(&r, "itself", p[0], NO_OFFSET, p[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "the wrong end", p[1], NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "the wrong end, with an offset", p[1], 0, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "the other wrong end", p[0], NO_OFFSET, q[0], NO_OFFSET, 4, 0);
	SPLICE(&r, "no source", 9999, NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "no source, nothing", 9999, NO_OFFSET, q[1], NO_OFFSET, 0, 0);
	SPLICE(&r, "no target", p[0], NO_OFFSET, 9999, NO_OFFSET, 4, 0);
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0)->ioprio = 1;
	go(&r, "ioprio", 1);
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0)->flags = IOSQE_BUFFER_SELECT;
	go(&r, "buffer", 1);
	/* registered files */
	int files[2] = { p[0], q[1] };
	SPLICE(&r, "registered, none", 0, NO_OFFSET, q[1], NO_OFFSET, 4, SPLICE_F_FD_IN_FIXED);
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, files, 2));
	MUST(write(p[1], "registered", 10));
	SPLICE(&r, "registered source", 0, NO_OFFSET, q[1], NO_OFFSET, 4, SPLICE_F_FD_IN_FIXED);
	splice_request(&r, 0, NO_OFFSET, 1, NO_OFFSET, 6, SPLICE_F_FD_IN_FIXED)->flags = IOSQE_FIXED_FILE;
	go(&r, "both registered", 1);
	show_pipe(q[0]);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	/* tee */
	MUST(write(p[1], "tee", 3));
	TEE(&r, "tee", p[0], q[1], 10, 0);
	show_pipe(p[0]), show_pipe(q[0]);
	s = next_sqe(&r, IORING_OP_TEE, q[1], NULL, 10, 0);
	s->splice_fd_in = p[0], s->user_data = 1;
	go(&r, "tee of nothing", 0);
	MUST(write(p[1], "late", 4));
	go(&r, "came", 1);
	show_pipe(p[0]), show_pipe(q[0]);
	TEE(&r, "tee, not to wait", p[0], q[1], 10, SPLICE_F_NONBLOCK);
	TEE(&r, "tee to a file", p[0], file, 10, 0);
	TEE(&r, "tee of no source", 9999, q[1], 10, 0);
	ONE(&r, "tee with an offset", IORING_OP_TEE, q[1], NULL, 4, 1, s->splice_fd_in = p[0]);
	ONE(&r, "tee with another", IORING_OP_TEE, q[1], (void *)1, 4, 0, s->splice_fd_in = p[0]);
	/* non-blocking files */
	MUST(fcntl(p[0], F_SETFL, O_NONBLOCK));
	SPLICE(&r, "a non-blocking source", p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	SPLICE(&r, "… to a file", p[0], NO_OFFSET, file, 0, 4, 0);
	TEE(&r, "… for tee", p[0], q[1], 4, 0);
	SHOW(tee(p[0], q[1], 4, 0));
	MUST(fcntl(p[0], F_SETFL, 0));
	/* cancelled */
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	go(&r, "to be cancelled", 0);
	settle_for(50);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(&r, "cancel", 2);
	splice_request(&r, p[0], NO_OFFSET, file, 0, 4, 0);
	go(&r, "to a file", 0);
	settle_for(50);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(&r, "cancel", 2);
	s = next_sqe(&r, IORING_OP_TEE, q[1], NULL, 10, 0);
	s->splice_fd_in = p[0], s->user_data = 1;
	go(&r, "tee", 0);
	settle_for(50);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(&r, "cancel", 2);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	splice_request(&r, pair[0], NO_OFFSET, q[1], NO_OFFSET, 10, 0);
	go(&r, "from a socket", 0);
	settle_for(50);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(&r, "cancel", 2);
	close(pair[0]), close(pair[1]);
	fill(q[1]);
	MUST(write(p[1], "room", 4));
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	go(&r, "no room", 0);
	settle_for(50);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 0)->user_data = 2;
	go(&r, "cancel", 2);
	show_pipe(p[0]);
	drain(q[0]);
	/* Linux starts no timer for what a worker performs from the beginning. */
	struct __kernel_timespec t = { 0, 50000000 };
	splice_request(&r, p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0)->flags = IOSQE_IO_LINK;
	next_sqe(&r, IORING_OP_LINK_TIMEOUT, -1, &t, 1, 0)->user_data = 2;
	go(&r, "time is up", 2);
	/* ends */
	close(q[0]);
	MUST(write(p[1], "x", 1));
	settle_for(50);
	go(&r, "the reader is gone", 0);
	SPLICE(&r, "no reader", p[0], NO_OFFSET, q[1], NO_OFFSET, 4, 0);
	TEE(&r, "no reader of tee", p[0], q[1], 4, 0);
	show_pipe(p[0]);
	splice_request(&r, p[0], NO_OFFSET, file, 0, 4, 0);
	go(&r, "to a file", 0);
	close(p[1]);
	go(&r, "no writer", 1);
	close(p[0]), close(q[1]), close(file);
	unlink("uring_spliced");
	ring_end(&r);
	return 0;
}
