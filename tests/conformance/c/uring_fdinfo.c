/* /proc/PID/fdinfo of io_uring. */
#define _GNU_SOURCE
#include "uring_case.h"

/* Numbers of processes, times and addresses differ from run to run. */
static void show(struct ring *r, const char *what)
{
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", r->fd);
	printf("%s:\n", what);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		if (!strncmp(line, "ino", 3) || !strncmp(line, "mnt_id", 6))
			continue;
		if (!strncmp(line, "SqWorkTime", 10) && r->p.flags & IORING_SETUP_SQPOLL)
			printf("SqWorkTime: any\n"); /* Linux counts microseconds, or ticks */
		else if (!strncmp(line, "SqThread:", 9) || !strncmp(line, "SqTotalTime", 11) || !strncmp(line, "SqWorkTime", 10))
			printf("%.*s %s\n", (int)strcspn(line, ":") + 1, line, atoll(strchr(line, ':') + 1) > 0 ? "some" : strchr(line, '-') ? "-1" : "0");
		else
			fputs(line, stdout);
	}
	if (f)
		fclose(f);
}

static void publish(struct ring *r)
{
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_SEQ_CST);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	char *memory = mmap((void *)0x700000000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 4, 0, 0);
	show(&r, "fresh");
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0);
	s->user_data = 1;
	s = next_sqe(&r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0);
	s->user_data = 2, s->poll32_events = POLLIN;
	go(&r, "two", 0);
	s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 3;
	s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 4;
	long n = submit_and_wait(&r, 0);
	printf("%ld\n", n);
	s = next_sqe(&r, IORING_OP_READ, 5, (void *)0x1234, 16, 99), s->user_data = 1ull << 63, s->flags = IOSQE_IO_LINK;
	s = next_sqe(&r, IORING_OP_OPENAT, -100, NULL, 0, 0), s->user_data = 6, s->open_flags = 0x241, s->buf_index = 7;
	s = next_sqe(&r, 200, -1, NULL, 0, -1ull), s->user_data = 7;
	WORD(&r, r.p.sq_off.array)[r.tail & 3] = 88;
	r.tail++;
	publish(&r);
	show(&r, "some of everything");
	int null = (int)MUST(open("/dev/null", O_RDWR));
	put_file("/a name", "x", 0600);
	int named = (int)MUST(open("/a name", O_RDWR));
	int bell = (int)MUST(eventfd(0, 0)), pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	put_file("/0123456789012345678901234567890123456789", "x", 0600);
	put_file("/012345678901234567890123456789012345678", "x", 0600);
	int limit = (int)MUST(open("/012345678901234567890123456789012345678", O_RDWR)), root = (int)MUST(open("/", O_RDONLY));
	int table[9] = { null, -1, named, p[0], bell, pair[0], limit, root, -1 };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, table, 9));
	struct iovec v[2] = { { memory, 64 }, { memory + 100, 1000 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 2));
	TRY(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	MUST(setegid(7)), MUST(seteuid(1000));
	TRY(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	MUST(seteuid(0)), MUST(setegid(0));
	struct io_uring_napi napi = { .busy_poll_to = 50, .prefer_busy_poll = 1 };
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &napi, 1));
	show(&r, "registered");
	napi.busy_poll_to = 70, napi.prefer_busy_poll = 0;
	SHOW(uring_register(r.fd, IORING_REGISTER_NAPI, &napi, 1));
	show(&r, "another time");
	ring_end(&r);

	ring_make(&r, 4, IORING_SETUP_SQE128 | IORING_SETUP_CQE32, 4);
	for (int i = 0; i < 6; i++)
		s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 10 + i, n = submit_and_wait(&r, 0);
	s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 20;
	memset(s + 1, 0x11, 64);
	publish(&r);
	show(&r, "large ones, and an overflow");
	ring_end(&r);

	ring_make(&r, 64, 0, 0);
	for (int i = 0; i < 60; i++)
		next_sqe(&r, i, -1, NULL, 0, 0);
	publish(&r);
	show(&r, "all opcodes");
	ring_end(&r);

	/* what waits, and what found no room */
	ring_make(&r, 4, IORING_SETUP_CQSIZE, 4);
	char b[4];
	struct __kernel_timespec t = { 1000, 0 };
	next_sqe(&r, IORING_OP_READ, p[0], b, 4, 0)->user_data = 1;
	next_sqe(&r, IORING_OP_TIMEOUT, -1, &t, 1, 0)->user_data = 2;
	printf("%ld\n", submit_and_wait(&r, 0));
	for (int i = 0; i < 6; i++)
		s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 10 + i, n = submit_and_wait(&r, 0);
	show(&r, "an overflow");
	ring_end(&r);

	ring_make(&r, 4, IORING_SETUP_NO_SQARRAY, 0);
	s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 20;
	publish(&r);
	show(&r, "without an array");
	ring_end(&r);

	ring_make(&r, 4, IORING_SETUP_SQPOLL, 0);
	s = next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0), s->user_data = 20;
	publish(&r);
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	for (int i = 0; i < 50; i++)
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	show(&r, "with a thread");
	ring_end(&r);
	return 0;
}
