/* io_uring_register(2): synchronous cancels, the range for free slots, heads of rings of buffers, workers, clocks, NAPI. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <sched.h>
#include <sys/resource.h>

static void wait_on(struct ring *r, int fd, unsigned long long data)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_POLL_ADD, fd, NULL, 0, 0);
	s->poll32_events = POLLIN;
	s->user_data = data;
}

static void look(struct ring *r)
{
	SHOW(uring_enter(r->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(r);
}

static void cancel(struct ring *r, const char *what, struct io_uring_sync_cancel_reg c)
{
	printf("%s: ", what);
	SHOW(uring_register(r->fd, IORING_REGISTER_SYNC_CANCEL, &c, 1));
	show_all(r);
}

static void cancels(unsigned setup)
{
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 8, setup, 0);
	struct io_uring_sync_cancel_reg c = { .addr = 1, .timeout = { -1, -1 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_SYNC_CANCEL, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_SYNC_CANCEL, &c, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_SYNC_CANCEL, &c, 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_SYNC_CANCEL, (void *)16, 1));
	cancel(&r, "nothing", c);
	c.flags = 1 << 6, cancel(&r, "an unknown flag", c);
	c.flags = 0, c.pad[6] = 1, cancel(&r, "pad", c);
	c.pad[6] = 0, c.pad2[2] = 1, cancel(&r, "pad2", c);
	c.pad2[2] = 0, c.timeout.tv_sec = -5, cancel(&r, "a negative time", c);
	c.timeout.tv_sec = 0, c.timeout.tv_nsec = 1ll << 40, cancel(&r, "odd nanoseconds", c);
	c.flags = IORING_ASYNC_CANCEL_FD, c.fd = 9999, cancel(&r, "no descriptor", c);
	c.fd = p[0], cancel(&r, "nothing waits for it", c);
	c.flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED, c.fd = 0, cancel(&r, "no fixed file", c);
	c.flags = IORING_ASYNC_CANCEL_FD_FIXED, cancel(&r, "fixed alone", c);
	c.flags = IORING_ASYNC_CANCEL_ALL, cancel(&r, "all of none", c);
	c.flags = IORING_ASYNC_CANCEL_ANY, cancel(&r, "any of none", c);

	wait_on(&r, p[0], 1), wait_on(&r, p[0], 2), wait_on(&r, p[0], 2), wait_on(&r, p[0], 3);
	go(&r, "waiting", 0);
	c = (struct io_uring_sync_cancel_reg){ .addr = 1, .timeout = { -1, -1 } };
	cancel(&r, "by data", c);
	look(&r);
	cancel(&r, "again", c);
	c.addr = 2, c.flags = IORING_ASYNC_CANCEL_ALL, cancel(&r, "all by data", c);
	look(&r);
	c.addr = 0, c.flags = IORING_ASYNC_CANCEL_OP, c.opcode = IORING_OP_READ, cancel(&r, "another opcode", c);
	c.opcode = IORING_OP_POLL_ADD, cancel(&r, "by opcode", c);
	look(&r);

	int files[2] = { p[0], -1 };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, files, 2));
	wait_on(&r, p[0], 4), wait_on(&r, p[0], 4); /* which of two is found first is not said */
	go(&r, "waiting", 0);
	c = (struct io_uring_sync_cancel_reg){ .fd = 1, .timeout = { -1, -1 } };
	c.flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED, cancel(&r, "an empty slot", c);
	c.fd = 2, cancel(&r, "no slot", c);
	c.fd = 0, cancel(&r, "by fixed file", c);
	look(&r);
	c.flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_USERDATA, c.fd = p[0], c.addr = 77, cancel(&r, "file and data", c);
	c.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD, c.fd = p[1], cancel(&r, "any and a file", c);
	look(&r);
	ring_end(&r);
	close(p[0]), close(p[1]);
}

static void open_any(struct ring *r, const char *what)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_OPENAT, AT_FDCWD, "/dev/null", 0, 0);
	s->open_flags = O_RDONLY;
	s->file_index = IORING_FILE_INDEX_ALLOC;
	s->user_data = 1;
	go(r, what, 1);
}

static void close_slot(struct ring *r, unsigned slot)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_CLOSE, 0, NULL, 0, 0);
	s->file_index = slot + 1;
	s->user_data = 2;
	go(r, "close", 1);
}

static void range(struct ring *r, unsigned off, unsigned len, unsigned long long resv)
{
	struct io_uring_file_index_range range = { off, len, resv };
	printf("%u + %u: ", off, len);
	SHOW(uring_register(r->fd, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0));
}

static void ranges(void)
{
	struct ring r;
	ring_make(&r, 8, 0, 0);
	struct io_uring_file_index_range whole = { 0, 4, 0 };
	range(&r, 0, 0, 0);
	range(&r, 0, 4, 0);
	range(&r, -1u, 1, 0);
	open_any(&r, "no table");
	int none[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, none, 8));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILE_ALLOC_RANGE, NULL, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILE_ALLOC_RANGE, &whole, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILE_ALLOC_RANGE, (void *)16, 0));
	range(&r, 0, 9, 0);
	range(&r, 8, 1, 0);
	range(&r, 0, 4, 1);
	range(&r, -1u, 1, 1);
	range(&r, -1u, 0, 0);
	open_any(&r, "first"), open_any(&r, "second"), open_any(&r, "third");
	close_slot(&r, 0);
	open_any(&r, "after a close");
	close_slot(&r, 1), close_slot(&r, 0);
	open_any(&r, "after two"), open_any(&r, "and again"), open_any(&r, "and again");
	range(&r, 5, 2, 0);
	open_any(&r, "in the range"), open_any(&r, "in the range"), open_any(&r, "full");
	close_slot(&r, 1);
	open_any(&r, "a free slot before the range");
	open_any(&r, "and once more");
	range(&r, 8, 0, 0);
	open_any(&r, "nowhere");
	range(&r, 0, 8, 0);
	open_any(&r, "everywhere"), open_any(&r, "everywhere"), open_any(&r, "everywhere");
	close_slot(&r, 6);
	struct io_uring_files_update up = { .offset = 3, .fds = (unsigned long)(int[]){ -1, 0 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 2));
	open_any(&r, "after an update"), open_any(&r, "after an update"), open_any(&r, "after an update");
	up = (struct io_uring_files_update){ .offset = 2, .fds = (unsigned long)(int[]){ 9999 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
	open_any(&r, "after a failed update"), open_any(&r, "full");
	close_slot(&r, 4), close_slot(&r, 7);
	int placed[3] = { 0, 1, 2 }, odd[2] = { 9999, 0 };
	ONE(&r, "places of three", IORING_OP_FILES_UPDATE, -1, placed, 3, IORING_FILE_INDEX_ALLOC);
	printf("%d %d %d\n", placed[0], placed[1], placed[2]);
	ONE(&r, "full", IORING_OP_FILES_UPDATE, -1, placed, 1, IORING_FILE_INDEX_ALLOC);
	close_slot(&r, 4);
	ONE(&r, "no file", IORING_OP_FILES_UPDATE, -1, odd, 2, IORING_FILE_INDEX_ALLOC);
	ONE(&r, "not to be read", IORING_OP_FILES_UPDATE, -1, (void *)16, 1, IORING_FILE_INDEX_ALLOC);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	ONE(&r, "no table", IORING_OP_FILES_UPDATE, -1, odd, 2, IORING_FILE_INDEX_ALLOC);
	range(&r, 0, 0, 0), range(&r, 0, 1, 0);
	ring_end(&r);
}

static void status(struct ring *r, const char *what, struct io_uring_buf_status *s)
{
	printf("%s: ", what);
	SHOW(uring_register(r->fd, IORING_REGISTER_PBUF_STATUS, s, 1));
	printf("  head %u\n", s->head);
}

static void heads(void)
{
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 8, 0, 0);
	struct io_uring_buf_status s = { .buf_group = 5, .head = 99 };
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_STATUS, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_STATUS, &s, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_STATUS, &s, 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_STATUS, (void *)16, 1));
	status(&r, "no group", &s);
	s.resv[7] = 1, status(&r, "reserved", &s), s.resv[7] = 0;
	struct io_uring_buf_ring *b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_uring_buf_reg reg = { .ring_addr = (unsigned long)b, .ring_entries = 4, .bgid = 5 };
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_RING, &reg, 1));
	status(&r, "a fresh ring", &s);
	static char room[4][64];
	for (unsigned i = 0; i < 4; i++)
		b->bufs[i] = (struct io_uring_buf){ .addr = (unsigned long)room[i], .len = 64, .bid = (unsigned short)i };
	__atomic_store_n(&b->tail, 4, __ATOMIC_RELEASE);
	for (int i = 0; i < 6; i++) {
		MUST(write(p[1], "abc", 3));
		struct io_uring_sqe *q = next_sqe(&r, IORING_OP_READ, p[0], NULL, 0, 0);
		q->flags = IOSQE_BUFFER_SELECT, q->buf_group = 5;
		go(&r, "read", 1);
		status(&r, "then", &s);
	}
	s.buf_group = 5 | 1 << 16, status(&r, "a large group", &s);
	struct io_uring_sqe *q = next_sqe(&r, IORING_OP_PROVIDE_BUFFERS, 2, room, 64, 0);
	q->buf_group = 6;
	go(&r, "provide", 1);
	s.buf_group = 6, status(&r, "no ring", &s);
	ring_end(&r);
}

static void limits(struct ring *r, const char *what, unsigned bounded, unsigned unbounded)
{
	unsigned counts[2] = { bounded, unbounded };
	printf("%s: ", what);
	SHOW(uring_register(r->fd, IORING_REGISTER_IOWQ_MAX_WORKERS, counts, 2));
	printf("  before: %u, %u\n", counts[0], counts[1]);
}

static void workers(void)
{
	struct ring r, other;
	ring_make(&r, 2, 0, 0);
	unsigned counts[2] = { 0, 0 };
	cpu_set_t set;
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, NULL, 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, counts, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, (void *)16, 2));
	limits(&r, "too many", 1u << 31, 0);
	limits(&r, "too many", 0, 1u << 31);
	limits(&r, "a look", 0, 0);
	limits(&r, "set", 3, 7);
	limits(&r, "one", 5, 0);
	limits(&r, "huge", 0x7fffffff, 7);
	counts[0] = counts[1] = 0;
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, counts, 2));
	printf("%u %u\n", counts[0], counts[1]);
	ring_make(&other, 4, 0, 0);
	limits(&r, "set", 4, 7);
	limits(&other, "another ring of the thread", 6, 0);
	limits(&r, "the first", 0, 0);
	IN_CHILD(limits(&r, "a child", 0, 0); limits(&r, "a child", 2, 2);
		CPU_ZERO(&set); CPU_SET(0, &set);
		SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, sizeof set));
		SHOW(uring_register(r.fd, IORING_UNREGISTER_IOWQ_AFF, NULL, 0)));
	limits(&r, "the parent", 0, 0);
	ring_end(&other);

	CPU_ZERO(&set);
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, sizeof set));
	CPU_SET(0, &set);
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, sizeof set));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, 1 << 30));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, NULL, 8));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, (void *)16, 8));
	CPU_SET(60, &set);
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, 8));
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &set, 4));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_IOWQ_AFF, &set, 0));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_IOWQ_AFF, NULL, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_IOWQ_AFF, NULL, 0));
	ring_end(&r);
}

static void clocks(void)
{
	struct ring r;
	ring_make(&r, 2, 0, 0);
	struct io_uring_clock_register c = { .clockid = CLOCK_MONOTONIC };
	SHOW(uring_register(r.fd, IORING_REGISTER_CLOCK, NULL, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_CLOCK, &c, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_CLOCK, (void *)16, 0));
	for (unsigned i = 0; i < 13; i++) {
		c.clockid = i == 12 ? -1u : i;
		printf("clock %d: ", (int)c.clockid);
		SHOW(uring_register(r.fd, IORING_REGISTER_CLOCK, &c, 0));
	}
	c.__resv[2] = 1, c.clockid = CLOCK_MONOTONIC;
	SHOW(uring_register(r.fd, IORING_REGISTER_CLOCK, &c, 0));
	c = (struct io_uring_clock_register){ .clockid = CLOCK_BOOTTIME };
	SHOW(uring_register(r.fd, IORING_REGISTER_CLOCK, &c, 0));
	struct __kernel_timespec t = { 0, 5000000 };
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&t };
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
	struct timespec now;
	MUST(clock_gettime(CLOCK_BOOTTIME, &now));
	t.tv_sec = now.tv_sec, t.tv_nsec = now.tv_nsec;
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | IORING_ENTER_ABS_TIMER, &arg, sizeof arg));
	ring_end(&r);
}

static void napi(void)
{
	struct ring r;
	ring_make(&r, 2, 0, 0);
	struct io_uring_napi n = { .busy_poll_to = 50, .prefer_busy_poll = 7 };
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, (void *)16, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
	printf("%u %u\n", n.busy_poll_to, n.prefer_busy_poll);
	n = (struct io_uring_napi){ .busy_poll_to = 20, .pad = { 0, 0, 1 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
	n.pad[2] = 0, n.resv = 1;
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
	n.resv = 0;
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
	printf("%u %u\n", n.busy_poll_to, n.prefer_busy_poll);
	n = (struct io_uring_napi){ .busy_poll_to = -1u };
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
	printf("%u %u\n", n.busy_poll_to, n.prefer_busy_poll);
	static const unsigned times[] = { 9999, 10001, 2000000, 3000000, 1u << 31, 0 };
	for (unsigned i = 0; i < 6; i++) {
		n = (struct io_uring_napi){ .busy_poll_to = times[i] };
		SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &n, 1));
		printf("%u %u\n", n.busy_poll_to, n.prefer_busy_poll);
	}
	SHOW(uring_register(r.fd, IORING_UNREGISTER_NAPI, &n, 0));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_NAPI, (void *)16, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_NAPI, &n, 1));
	printf("%u %u\n", n.busy_poll_to, n.prefer_busy_poll);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_NAPI, NULL, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_NAPI, &n, 1));
	printf("%u %u\n", n.busy_poll_to, n.prefer_busy_poll);
	ring_end(&r);
}

int main(void)
{
	struct rlimit few = { 500, 500 };
	MUST(setrlimit(RLIMIT_NPROC, &few));
	cancels(0);
	cancels(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	ranges();
	heads();
	workers();
	clocks();
	napi();
	return 0;
}
