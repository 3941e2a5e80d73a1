/* io_uring: fields that must be 0, flags and sizes that are refused, personalities, restrictions, rings by index, sysctl. */
#define _GNU_SOURCE
#include "uring_case.h"

static void fields(struct ring *r)
{
	/* Each operation that there is, with each of the words that it may not know set to 1. */
	static const int ops[] = { IORING_OP_NOP, IORING_OP_FSYNC, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT,
		IORING_OP_TIMEOUT_REMOVE, IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL, IORING_OP_LINK_TIMEOUT, IORING_OP_CONNECT,
		IORING_OP_FALLOCATE, IORING_OP_CLOSE, IORING_OP_FILES_UPDATE, IORING_OP_FADVISE, IORING_OP_MADVISE, IORING_OP_SHUTDOWN,
		IORING_OP_RENAMEAT, IORING_OP_UNLINKAT, IORING_OP_MKDIRAT, IORING_OP_SYMLINKAT, IORING_OP_LINKAT };
	for (unsigned i = 0; i < sizeof ops / sizeof *ops; i++) {
		for (int field = 0; field < 8; field++) {
			struct io_uring_sqe *s = next_sqe(r, ops[i], 9999, NULL, 0, 0);
			switch (field) {
			case 0: s->ioprio = 0x100; break;
			case 1: s->buf_index = 1; break;
			case 2: s->splice_fd_in = 1; break;
			case 3: s->rw_flags = 1 << 20; break;
			case 4: s->flags = IOSQE_BUFFER_SELECT; break;
			case 5: s->personality = 7; break;
			case 6: s->len = 1 << 20; break;
			case 7: s->flags = 0x80; break;
			}
			s->user_data = (unsigned)(ops[i] * 10 + field);
			submit_and_wait(r, 1);
			show_all(r);
		}
	}
}

static void registering(void)
{
	struct ring r;
	int bad = 9999, zero = 0;
	ring_make(&r, 4, 0, 0);
	struct iovec v[3] = { { NULL, 0 }, { (void *)16, 10 }, { &r, 0 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 1 << 20));
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v + 2, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, v, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, &bad, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, &bad, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, &bad, 1 << 21));
	SHOW(uring_register(r.fd, IORING_REGISTER_EVENTFD, &bad, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_EVENTFD, &zero, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_EVENTFD, &zero, 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_RESTRICTIONS, v, 1));
	SHOW(uring_register(9999, IORING_REGISTER_PROBE, v, 1));
	SHOW(uring_register(1, IORING_REGISTER_PROBE, v, 1));
	SHOW(uring_register(r.fd, 200, v, 1));
	static union { struct io_uring_probe p; char room[16 + 256 * 8]; } probe;
	SHOW(uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 257));
	SHOW(uring_register(r.fd, IORING_REGISTER_PROBE, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 10));
	printf("last %u length %u\n", probe.p.last_op, probe.p.ops_len);
	for (int i = 0; i < 10; i++)
		printf("%u: %x\n", probe.p.ops[i].op, probe.p.ops[i].flags);
	SHOW(uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 10));

	/* rings by index */
	struct io_uring_rsrc_update up = { .offset = -1u, .data = (unsigned)r.fd };
	SHOW(uring_register(r.fd, IORING_REGISTER_RING_FDS, &up, 1));
	printf("offset %u\n", up.offset);
	next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = 3;
	__atomic_store_n(WORD(&r, r.p.sq_off.tail), r.tail, __ATOMIC_RELEASE);
	SHOW(uring_enter(0, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0));
	show_all(&r);
	SHOW(uring_enter(1, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0));
	SHOW(uring_enter(16, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0));
	up = (struct io_uring_rsrc_update){ .offset = 3, .data = (unsigned)r.fd };
	SHOW(uring_register(r.fd, IORING_REGISTER_RING_FDS, &up, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_RING_FDS, &up, 1));
	up = (struct io_uring_rsrc_update){ .offset = 20, .data = (unsigned)r.fd };
	SHOW(uring_register(r.fd, IORING_REGISTER_RING_FDS, &up, 1));
	up = (struct io_uring_rsrc_update){ .offset = 0 };
	SHOW(uring_register(r.fd, IORING_UNREGISTER_RING_FDS, &up, 1));
	SHOW(uring_enter(0, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0));
	ring_end(&r);

	/* restrictions */
	ring_make(&r, 4, IORING_SETUP_R_DISABLED, 0);
	struct io_uring_restriction only[3] = { { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_ENABLE_RINGS },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_IO_LINK } };
	SHOW(uring_register(r.fd, IORING_REGISTER_RESTRICTIONS, only, 3));
	SHOW(uring_register(r.fd, IORING_REGISTER_RESTRICTIONS, only, 3));
	SHOW(uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	ONE(&r, "allowed", IORING_OP_NOP, -1, NULL, 0, 0);
	ONE(&r, "not allowed", IORING_OP_READ, 0, NULL, 0, 0);
	ONE(&r, "flags", IORING_OP_NOP, -1, NULL, 0, 0, s->flags = IOSQE_IO_DRAIN);
	SHOW(uring_register(r.fd, IORING_REGISTER_PROBE, &probe, 1));
	ring_end(&r);
}

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	printf("%s: %s\n", path, fd < 0 ? error_name(errno) : "there");
	if (fd >= 0) {
		SHOW(write(fd, value, strlen(value)) > 0);
		close(fd);
	}
}

static void permission(void)
{
	static const char *levels[] = { "1", "2", "3", "-1", "0" };
	show_file("/proc/sys/kernel/io_uring_disabled");
	show_file("/proc/sys/kernel/io_uring_group");
	for (unsigned i = 0; i < 5; i++) {
		set("/proc/sys/kernel/io_uring_disabled", levels[i]);
		TRY(uring_setup(1, &(struct io_uring_params){ 0 }));
		IN_CHILD(MUST(setresuid(1000, 1000, 1000)); TRY(uring_setup(1, &(struct io_uring_params){ 0 })));
		set("/proc/sys/kernel/io_uring_group", "77");
		IN_CHILD(MUST(setresgid(77, 77, 77)); MUST(setresuid(1000, 1000, 1000)); TRY(uring_setup(1, &(struct io_uring_params){ 0 })));
		set("/proc/sys/kernel/io_uring_group", "-1");
	}
}

static void mapping(void)
{
	struct io_uring_params p = { 0 };
	int fd = (int)MUST(uring_setup(4, &p));
	char c;
	TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0x20000000));
	TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, IORING_OFF_PBUF_RING));
	TRY(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, IORING_OFF_CQ_RING));
	SHOW(read(fd, &c, 1));
	SHOW(write(fd, "x", 1));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(ftruncate(fd, 0));
	close(fd);
}

int main(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	fields(&r);
	ring_end(&r);
	registering();
	permission();
	mapping();
	return 0;
}
