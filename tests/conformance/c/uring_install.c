/* io_uring: descriptors for registered files, and reading that goes on. */
#define _GNU_SOURCE
#include "uring_patience.h"

#define OP_READ_MULTISHOT 49
#define OP_FIXED_FD_INSTALL 54

static void install(struct ring *r)
{
	int p[2];
	struct io_uring_cqe c;
	MUST(pipe(p));
	int files[2] = { p[1], -1 };
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, files, 2));
	for (unsigned flags = 0; flags < 2; flags++) {
		struct io_uring_sqe *s = next_sqe(r, OP_FIXED_FD_INSTALL, 0, NULL, 0, 0);
		s->flags = IOSQE_FIXED_FILE, s->rw_flags = (int)flags;
		SHOW(submit_and_wait(r, 1));
		int fd = take(r, &c) ? c.res : -1;
		CHECK(fd > p[1]);
		SHOW(fcntl(fd, F_GETFD));
		SHOW(write(fd, "abc", 3));
		close(fd);
	}
	ONE(r, "empty slot", OP_FIXED_FD_INSTALL, 1, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "beyond", OP_FIXED_FD_INSTALL, 2, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "a descriptor", OP_FIXED_FD_INSTALL, p[1], NULL, 0, 0);
	ONE(r, "flags", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->rw_flags = 2);
	ONE(r, "off", OP_FIXED_FD_INSTALL, 0, NULL, 0, 1, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "addr", OP_FIXED_FD_INSTALL, 0, r, 0, 0, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "len", OP_FIXED_FD_INSTALL, 0, NULL, 1, 0, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "buf_index", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->buf_index = 1);
	ONE(r, "file_index", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->file_index = 1);
	ONE(r, "addr3", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->addr3 = 1);
	ONE(r, "ioprio", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->ioprio = 1);
	long who = MUST(uring_register(r->fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	ONE(r, "personality", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->personality = (__u16)who);
	ONE(r, "no personality", OP_FIXED_FD_INSTALL, 0, NULL, 0, 0, s->flags = IOSQE_FIXED_FILE, s->personality = 77);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0));
	close(p[0]), close(p[1]);
}

static void multishot(struct ring *r)
{
	static char room[8][16];
	int p[2];
	MUST(pipe(p));
	ONE(r, "provide", IORING_OP_PROVIDE_BUFFERS, 4, room, 16, 10, s->buf_group = 3);
	MUST(write(p[1], "first", 5));
	struct io_uring_sqe *s = next_sqe(r, OP_READ_MULTISHOT, p[0], NULL, 0, 0);
	s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3, s->user_data = 2;
	go(r, "read", 1);
	MUST(write(p[1], "0123456789abcdefghij", 20));
	go(r, "two parts", 2);
	printf("\"%.16s\" \"%.16s\" \"%.16s\"\n", room[0], room[1], room[2]);
	close(p[1]);
	go(r, "the end", 1);
	close(p[0]);
	MUST(pipe(p));
	s = next_sqe(r, OP_READ_MULTISHOT, p[0], NULL, 0, -1);
	s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3, s->user_data = 3;
	go(r, "empty", 0);
	MUST(write(p[1], "x", 1));
	go(r, "the last buffer", 2);
	ONE(r, "no buffer", OP_READ_MULTISHOT, p[0], NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3);
	ONE(r, "no group", OP_READ_MULTISHOT, p[0], NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 4);
	ONE(r, "provide", IORING_OP_PROVIDE_BUFFERS, 1, room, 16, 10, s->buf_group = 3);
	s = next_sqe(r, OP_READ_MULTISHOT, p[0], NULL, 0, 0);
	s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3, s->user_data = 4;
	go(r, "to be cancelled", 0);
	ONE(r, "cancel", IORING_OP_ASYNC_CANCEL, -1, (void *)4, 0, 0);
	go(r, "cancelled", 0);
	ONE(r, "not to be read", OP_READ_MULTISHOT, p[1], NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3);
	int file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	ONE(r, "a file", OP_READ_MULTISHOT, file, NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3);
	ONE(r, "without a group", OP_READ_MULTISHOT, p[0], NULL, 0, 0);
	ONE(r, "addr", OP_READ_MULTISHOT, p[0], room, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3);
	ONE(r, "len", OP_READ_MULTISHOT, p[0], NULL, 1, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3);
	ONE(r, "ioprio", OP_READ_MULTISHOT, p[0], NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3, s->ioprio = 1);
	ONE(r, "rw_flags", OP_READ_MULTISHOT, p[0], NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3, s->rw_flags = 1 << 20);
	ONE(r, "RWF_NOWAIT", OP_READ_MULTISHOT, p[0], NULL, 0, 0, s->flags = IOSQE_BUFFER_SELECT, s->buf_group = 3, s->rw_flags = RWF_NOWAIT);
	close(file), close(p[0]), close(p[1]);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	install(&r);
	multishot(&r);
	ring_end(&r);
	return 0;
}
