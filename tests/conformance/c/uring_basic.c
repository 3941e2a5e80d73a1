/* io_uring: setup, the rings, transfers, indices that lie, overflow. */
#define _GNU_SOURCE
#include "uring_case.h"

static void sizes(void)
{
	for (unsigned n = 1; n <= 40000; n = n * 7 + 1) {
		struct io_uring_params p = { 0 };
		long fd = uring_setup(n, &p);
		if (fd < 0) {
			printf("%u: %s\n", n, error_name(errno));
			continue;
		}
		printf("%u: sq %u cq %u\n", n, p.sq_entries, p.cq_entries);
		printf("  sq head %u tail %u mask %u entries %u flags %u dropped %u array %u user %llu\n", p.sq_off.head, p.sq_off.tail,
			p.sq_off.ring_mask, p.sq_off.ring_entries, p.sq_off.flags, p.sq_off.dropped, p.sq_off.array, (unsigned long long)p.sq_off.user_addr);
		printf("  cq head %u tail %u mask %u entries %u overflow %u cqes %u flags %u user %llu\n", p.cq_off.head, p.cq_off.tail,
			p.cq_off.ring_mask, p.cq_off.ring_entries, p.cq_off.overflow, p.cq_off.cqes, p.cq_off.flags, (unsigned long long)p.cq_off.user_addr);
		CHECK(fcntl((int)fd, F_GETFD) == FD_CLOEXEC);
		close((int)fd);
	}
	static const unsigned flags[] = { IORING_SETUP_CQSIZE, IORING_SETUP_CLAMP, IORING_SETUP_R_DISABLED, IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN, IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_SQE128, IORING_SETUP_CQE32, IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_COOP_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG, IORING_SETUP_NO_SQARRAY, 1u << 20, 1u << 31, IORING_SETUP_ATTACH_WQ };
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct io_uring_params p = { .flags = flags[i], .cq_entries = 100, .wq_fd = 9999 };
		long fd = uring_setup(i == 1 ? 50000 : 8, &p);
		printf("flags %x: %s, sq %u cq %u array %u\n", flags[i], fd < 0 ? error_name(errno) : "ok", p.sq_entries, p.cq_entries, p.sq_off.array);
		if (fd >= 0)
			close((int)fd);
	}
	struct io_uring_params p = { .flags = IORING_SETUP_CQSIZE, .cq_entries = 4 };
	SHOW(uring_setup(8, &p));
	p.cq_entries = 0;
	SHOW(uring_setup(8, &p));
	p.cq_entries = 70000;
	SHOW(uring_setup(8, &p));
	memset(&p, 0, sizeof p);
	p.resv[1] = 1;
	SHOW(uring_setup(8, &p));
	SHOW(uring_setup(8, NULL));
	SHOW(uring_setup(0, &(struct io_uring_params){ 0 }));
}

static void transfers(struct ring *r)
{
	char buffer[64] = "hello world";
	int fd = (int)MUST(open("uring_file", O_RDWR | O_CREAT | O_TRUNC, 0600));
	ONE(r, "nop", IORING_OP_NOP, -1, NULL, 0, 0);
	ONE(r, "write", IORING_OP_WRITE, fd, buffer, 11, 3);
	memset(buffer, 0, sizeof buffer);
	ONE(r, "read", IORING_OP_READ, fd, buffer, 64, 3);
	printf("  \"%s\"\n", buffer);
	ONE(r, "read at the position", IORING_OP_READ, fd, buffer, 5, -1ull);
	ONE(r, "again", IORING_OP_READ, fd, buffer, 64, -1ull);
	ONE(r, "at the end", IORING_OP_READ, fd, buffer, 64, -1ull);
	ONE(r, "negative", IORING_OP_READ, fd, buffer, 64, -2ull);
	struct iovec v[2] = { { buffer, 4 }, { buffer + 8, 6 } };
	ONE(r, "readv", IORING_OP_READV, fd, v, 2, 3);
	ONE(r, "writev", IORING_OP_WRITEV, fd, v, 2, 100);
	ONE(r, "readv of too many", IORING_OP_READV, fd, v, 5000, 0);
	ONE(r, "readv of nothing", IORING_OP_READV, fd, NULL, 2, 0);
	ONE(r, "bad memory", IORING_OP_READ, fd, (void *)16, 64, 0);
	ONE(r, "bad descriptor", IORING_OP_READ, 9999, buffer, 64, 0);
	ONE(r, "bad flags", IORING_OP_READ, fd, buffer, 64, 0, s->rw_flags = 0x1000);
	ONE(r, "fsync", IORING_OP_FSYNC, fd, NULL, 0, 0);
	ONE(r, "fdatasync", IORING_OP_FSYNC, fd, NULL, 0, 0, s->fsync_flags = IORING_FSYNC_DATASYNC);
	ONE(r, "fsync with bad flags", IORING_OP_FSYNC, fd, NULL, 0, 0, s->fsync_flags = 2);
	ONE(r, "sync_file_range", IORING_OP_SYNC_FILE_RANGE, fd, NULL, 4096, 0, s->sync_range_flags = 2);
	ONE(r, "fallocate", IORING_OP_FALLOCATE, fd, (void *)5000, 0, 1000);
	ONE(r, "fadvise", IORING_OP_FADVISE, fd, NULL, 4096, 0, s->fadvise_advice = 3);
	ONE(r, "madvise", IORING_OP_MADVISE, -1, (void *)((unsigned long)buffer & -4096ul), 4096, 0, s->fadvise_advice = 3);
	struct stat st;
	MUST(fstat(fd, &st));
	printf("size %ld\n", (long)st.st_size);
	int readonly = (int)MUST(open("uring_file", O_RDONLY)), path = (int)MUST(open("uring_file", O_PATH));
	ONE(r, "write to a reader", IORING_OP_WRITE, readonly, buffer, 4, 0);
	ONE(r, "read from a path", IORING_OP_READ, path, buffer, 4, 0);
	/* Registered buffers and files */
	struct iovec whole = { buffer, sizeof buffer };
	ONE(r, "fixed without buffers", IORING_OP_READ_FIXED, fd, buffer, 8, 0);
	SHOW(uring_register(r->fd, IORING_REGISTER_BUFFERS, &whole, 1));
	SHOW(uring_register(r->fd, IORING_REGISTER_BUFFERS, &whole, 1));
	ONE(r, "fixed", IORING_OP_READ_FIXED, fd, buffer + 8, 8, 3);
	ONE(r, "fixed beyond", IORING_OP_READ_FIXED, fd, buffer + 60, 8, 3);
	ONE(r, "fixed with a bad index", IORING_OP_READ_FIXED, fd, buffer, 8, 3, s->buf_index = 1);
	ONE(r, "write fixed", IORING_OP_WRITE_FIXED, fd, buffer, 8, 3);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	SHOW(uring_register(r->fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	int files[3] = { fd, -1, readonly };
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, files, 3));
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, files, 3));
	ONE(r, "fixed file", IORING_OP_READ, 0, buffer, 4, 3, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "hole", IORING_OP_READ, 1, buffer, 4, 3, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "no such", IORING_OP_READ, 3, buffer, 4, 3, s->flags = IOSQE_FIXED_FILE);
	ONE(r, "fixed reader", IORING_OP_WRITE, 2, buffer, 4, 3, s->flags = IOSQE_FIXED_FILE);
	struct io_uring_files_update up = { .offset = 1, .fds = (unsigned long)&readonly };
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
	ONE(r, "filled", IORING_OP_READ, 1, buffer, 4, 3, s->flags = IOSQE_FIXED_FILE);
	up.offset = 3;
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
	ONE(r, "update", IORING_OP_FILES_UPDATE, -1, files, 2, 1);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0));
	SHOW(uring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0));
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, &r->fd, 1));
	close(fd);
	close(readonly);
	close(path);
	unlink("uring_file");
}

static void lies(void)
{
	struct ring r;
	ring_make(&r, 4, 0, 0);
	/* An index that is none ends the submission. */
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 1;
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 2;
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 3;
	WORD(&r, r.p.sq_off.array)[1] = 77;
	go(&r, "a bad index", 0);
	printf("dropped %u head %u\n", *WORD(&r, r.p.sq_off.dropped), *WORD(&r, r.p.sq_off.head));
	WORD(&r, r.p.sq_off.array)[1] = 1;
	SHOW(uring_enter(r.fd, 1, 0, 0, NULL, 0));
	show_all(&r);
	/* More than there are, and a tail that lies. */
	SHOW(uring_enter(r.fd, 10, 0, 0, NULL, 0));
	*WORD(&r, r.p.sq_off.tail) = *WORD(&r, r.p.sq_off.head) + 1000;
	for (int i = 0; i < 4; i++) {
		memset(&r.sqes[i], 0, sizeof *r.sqes);
		r.sqes[i].user_data = 10u;
	}
	SHOW(uring_enter(r.fd, 1000, 0, 0, NULL, 0));
	show_all(&r);
	printf("head moved by %u\n", *WORD(&r, r.p.sq_off.head) - 3);
	ring_end(&r);

	/* Refused submissions end the call, or not. */
	for (int all = 0; all < 2; all++) {
		ring_make(&r, 8, all ? IORING_SETUP_SUBMIT_ALL : 0, 0);
		next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 1;
		next_sqe(&r, 200, -1, NULL, 0, 0)->user_data = 2;
		next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 3;
		next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->flags = 0x80;
		next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->ioprio = 1;
		go(&r, "refused", 0);
		SHOW(uring_enter(r.fd, 10, 0, 0, NULL, 0));
		show_all(&r);
		ring_end(&r);
	}
}

static void overflow(void)
{
	struct ring r;
	ring_make(&r, 4, IORING_SETUP_CQSIZE, 4);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++)
			next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = round * 10 + i;
		SHOW(submit_and_wait(&r, 0));
		printf("flags %x overflow %u\n", *WORD(&r, r.p.sq_off.flags), *WORD(&r, r.p.cq_off.overflow));
	}
	struct pollfd p = { .fd = r.fd, .events = POLLIN | POLLOUT };
	SHOW(poll(&p, 1, 0));
	printf("revents %x\n", p.revents);
	show_all(&r);
	SHOW(poll(&p, 1, 0));
	printf("revents %x\n", p.revents);
	for (int i = 0; i < 3; i++) {
		SHOW(uring_enter(r.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
		printf("flags %x\n", *WORD(&r, r.p.sq_off.flags));
		show_all(&r);
	}
	SHOW(poll(&p, 1, 0));
	printf("revents %x\n", p.revents);
	ring_end(&r);
}

static void kinds(void)
{
	static const unsigned flags[] = { IORING_SETUP_SQE128, IORING_SETUP_CQE32, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SINGLE_ISSUER |
		IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG };
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct ring r;
		ring_make(&r, 2, flags[i], 0);
		for (unsigned round = 0; round < 5; round++) {
			next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = round;
			next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 100 + round;
			go(&r, "two", 2);
		}
		ring_end(&r);
	}
	struct ring r;
	ring_make(&r, 2, IORING_SETUP_R_DISABLED, 0);
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 1;
	go(&r, "disabled", 1);
	SHOW(uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	ring_end(&r);
}

int main(void)
{
	struct ring r;
	sizes();
	ring_make(&r, 8, 0, 0);
	transfers(&r);
	SHOW(uring_enter(r.fd, 0, 0, 1u << 10, NULL, 0));
	SHOW(uring_enter(9999, 0, 0, 0, NULL, 0));
	SHOW(uring_enter(0, 0, 0, 0, NULL, 0));
	SHOW(uring_register(r.fd, 1000, NULL, 0));
	ring_end(&r);
	lies();
	overflow();
	kinds();
	return 0;
}
