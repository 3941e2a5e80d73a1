/* io_uring: registered files and buffers that are unregistered while requests use them; buffers of requests that fail. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <pthread.h>
#include <sys/time.h>

static char memory[4][64];

static void alarm_in(int milliseconds)
{
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { milliseconds / 1000, milliseconds % 1000 * 1000 } }, NULL);
}

static void nothing(int signo) { (void)signo; }

static struct { int fd, delay; const char *text; } later;

static void *write_later(void *unused)
{
	nanosleep(&(struct timespec){ 0, later.delay * 1000000 }, NULL);
	MUST(write(later.fd, later.text, strlen(later.text)));
	return unused;
}

static pthread_t after(int milliseconds, int fd, const char *text)
{
	pthread_t t;
	later.fd = fd, later.delay = milliseconds, later.text = text;
	pthread_create(&t, NULL, write_later, NULL);
	return t;
}

static void *look_at(void *ring)
{
	struct ring *r = ring;
	int none = -1;
	struct io_uring_files_update up = { .offset = 0, .fds = (unsigned long)&none };
	nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
	SHOW(uring_register(r->fd, IORING_UNREGISTER_FILES, NULL, 0));
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES, &(int){ 0 }, 1));
	SHOW(uring_register(r->fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
	struct io_uring_file_index_range range = { 0, 1, 0 };
	SHOW(uring_register(r->fd, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0));
	ONE(r, "a slot meanwhile", IORING_OP_READ, 0, memory[1], 4, 0, s->flags = IOSQE_FIXED_FILE);
	return NULL;
}

static void files(unsigned setup)
{
	struct ring r;
	int p[2], q[2];
	pthread_t t;
	MUST(pipe(p)), MUST(pipe(q));
	ring_make(&r, 8, setup, 0);
	printf("setup %x\n", setup);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	int fds[2] = { p[0], q[0] };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, fds, 2));
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_READ, 0, memory[0], 64, 0);
	s->user_data = 1, s->flags = IOSQE_FIXED_FILE;
	go(&r, "read", 0);

	/* a signal ends the wait, and nothing has changed */
	alarm_in(100);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	ONE(&r, "still there", IORING_OP_WRITE, 1, "x", 1, 0, s->flags = IOSQE_FIXED_FILE);
	s = next_sqe(&r, IORING_OP_POLL_ADD, 1, NULL, 0, 0);
	s->user_data = 2, s->flags = IOSQE_FIXED_FILE, s->poll32_events = POLLIN;
	go(&r, "poll", 0);

	/* the last of them ends */
	MUST(write(q[1], "y", 1));
	t = after(150, p[1], "hello");
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	pthread_join(t, NULL);
	SHOW(uring_enter(r.fd, 0, 2, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	printf("%s\n", memory[0]);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));

	/* a request that uses no registered file is not waited for */
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, fds, 2));
	next_sqe(&r, IORING_OP_READ, p[0], memory[0], 64, 0)->user_data = 3;
	go(&r, "read by descriptor", 0);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	MUST(write(p[1], "bye", 3));
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);

	/* an emptied slot, with a tag */
	unsigned long long tags[2] = { 40, 41 };
	struct io_uring_rsrc_register g = { .nr = 2, .data = (unsigned long)fds, .tags = (unsigned long)tags };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES2, &g, sizeof g));
	s = next_sqe(&r, IORING_OP_READ, 0, memory[0], 64, 0);
	s->user_data = 4, s->flags = IOSQE_FIXED_FILE;
	go(&r, "read", 0);
	int none = -1;
	struct io_uring_files_update up = { .offset = 0, .fds = (unsigned long)&none };
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES_UPDATE, &up, 1));
	show_all(&r);
	t = after(150, p[1], "tagged");
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	pthread_join(t, NULL);
	SHOW(uring_enter(r.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);

	/* the end of a ring does not wait */
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, fds, 2));
	s = next_sqe(&r, IORING_OP_READ, 0, memory[0], 64, 0);
	s->user_data = 5, s->flags = IOSQE_FIXED_FILE;
	go(&r, "read", 0);
	ring_end(&r);
	close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void meanwhile(void)
{
	struct ring r;
	int p[2];
	pthread_t t;
	MUST(pipe(p));
	ring_make(&r, 8, 0, 0);
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, p, 2));
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_READ, 0, memory[0], 64, 0);
	s->user_data = 1, s->flags = IOSQE_FIXED_FILE;
	go(&r, "read", 0);
	pthread_create(&t, NULL, look_at, &r);
	sigset_t set;
	sigemptyset(&set);
	alarm_in(700);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	pthread_join(t, NULL);
	ONE(&r, "and again", IORING_OP_WRITE, 1, "x", 1, 0, s->flags = IOSQE_FIXED_FILE);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	show_all(&r);
	ring_end(&r);
	close(p[0]), close(p[1]);
}

static void buffers(void)
{
	struct ring r;
	int p[2];
	pthread_t t;
	MUST(pipe(p));
	ring_make(&r, 8, 0, 0);
	struct iovec v[2] = { { memory[0], 64 }, { memory[1], 64 } };
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 2));
	memset(memory, 0, sizeof memory);
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_READ_FIXED, p[0], memory[0], 64, 0);
	s->user_data = 1;
	go(&r, "read", 0);
	alarm_in(100);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	ONE(&r, "still there", IORING_OP_WRITE_FIXED, 1, memory[1], 0, 0, s->buf_index = 1);
	t = after(150, p[1], "hello");
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	pthread_join(t, NULL);
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	printf("%s\n", memory[0]);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	/* files wait for users of buffers */
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, v, 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, p, 2));
	s = next_sqe(&r, IORING_OP_READ_FIXED, p[0], memory[0], 64, 0);
	s->user_data = 2;
	go(&r, "read", 0);
	alarm_in(100);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	ONE(&r, "cancelled", IORING_OP_ASYNC_CANCEL, -1, (void *)2, 0, 0);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	show_all(&r);
	ring_end(&r);
	close(p[0]), close(p[1]);
}

static void provide(struct ring *r, char *at, unsigned length, int n, int first)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_PROVIDE_BUFFERS, n, at, length, (unsigned)first);
	s->user_data = 100, s->buf_group = 3;
	go(r, "provided", 1);
}

static void take_back(struct ring *r)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_REMOVE_BUFFERS, 16, NULL, 0, 0);
	s->user_data = 101, s->buf_group = 3;
	go(r, "left", 1);
}

#define CHOOSE s->flags |= IOSQE_BUFFER_SELECT, s->buf_group = 3

/* Which buffers requests keep that fail: of a list, or of a ring of buffers. */
static void failures(struct ring *r, int directory, int wrong, int regular)
{
	int p[2], pair[2];
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ONE(r, "a directory", IORING_OP_READ, directory, NULL, 8, 0, CHOOSE);
	ONE(r, "no file", IORING_OP_READ, 9999, NULL, 8, 0, CHOOSE);
	ONE(r, "not readable", IORING_OP_READ, p[1], NULL, 8, 0, CHOOSE);
	ONE(r, "a wrong offset", IORING_OP_READ, regular, NULL, 8, (unsigned long long)-5, CHOOSE);
	ONE(r, "wrong flags", IORING_OP_READ, regular, NULL, 8, 0, CHOOSE; s->rw_flags = 1 << 20);
	ONE(r, "not a socket", IORING_OP_RECV, regular, NULL, 8, 0, CHOOSE);
	ONE(r, "not to wait", IORING_OP_RECV, pair[0], NULL, 8, 0, CHOOSE; s->msg_flags = MSG_DONTWAIT);
	ONE(r, "not connected", IORING_OP_RECV, wrong, NULL, 8, 0, CHOOSE);
	ONE(r, "wrong flags for a socket", IORING_OP_RECV, pair[0], NULL, 8, 0, CHOOSE; s->msg_flags = MSG_OOB);
	ONE(r, "not now", IORING_OP_READ, p[0], NULL, 8, 0, CHOOSE; s->rw_flags = 8 /* RWF_NOWAIT */);
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_READ, p[0], NULL, 8, 0);
	s->user_data = 2, CHOOSE;
	go(r, "a read that waits", 0);
	ONE(r, "cancelled", IORING_OP_ASYNC_CANCEL, -1, (void *)2, 0, 0);
	show_all(r);
	ONE(r, "the end", IORING_OP_READ, regular, NULL, 8, 1 << 20, CHOOSE);
	ONE(r, "one byte", IORING_OP_READ, regular, NULL, 1, 0, CHOOSE);
	struct iovec three[2] = { { NULL, 3 }, { NULL, 3 } };
	ONE(r, "a vector", IORING_OP_READV, regular, three, 1, 0, CHOOSE);
	ONE(r, "a vector of two", IORING_OP_READV, regular, three, 2, 0, CHOOSE);
	ONE(r, "a vector that cannot be read", IORING_OP_READV, regular, (void *)16, 1, 0, CHOOSE);
	ONE(r, "an operation that takes none", IORING_OP_WRITE, regular, NULL, 1, 0, CHOOSE);
	close(p[1]);
	ONE(r, "the end of a pipe", IORING_OP_READ, p[0], NULL, 8, 0, CHOOSE);
	struct iovec v[2] = { { NULL, 3 }, { NULL, 3 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 1 };
	MUST(write(pair[1], "abcdef", 6));
	ONE(r, "a message", IORING_OP_RECVMSG, pair[0], &m, 1, 0, CHOOSE);
	m.msg_iovlen = 0;
	ONE(r, "a message without a vector", IORING_OP_RECVMSG, pair[0], &m, 1, 0, CHOOSE);
	m.msg_iovlen = 2;
	ONE(r, "a message with two", IORING_OP_RECVMSG, pair[0], &m, 1, 0, CHOOSE);
	close(pair[1]);
	m.msg_iovlen = 1;
	ONE(r, "the end of messages", IORING_OP_RECVMSG, pair[0], &m, 1, 0, CHOOSE);
	ONE(r, "the end of a socket", IORING_OP_RECV, pair[0], NULL, 8, 0, CHOOSE);
	close(p[0]), close(pair[0]);
}

static void bad_memory(struct ring *r, int regular)
{
	int p[2], pair[2];
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	MUST(write(p[1], "hello", 5));
	MUST(write(pair[1], "hello", 5));
	ONE(r, "of a file", IORING_OP_READ, regular, NULL, 8, 0, CHOOSE);
	ONE(r, "of a pipe", IORING_OP_READ, p[0], NULL, 8, 0, CHOOSE);
	ONE(r, "of a socket", IORING_OP_RECV, pair[0], NULL, 8, 0, CHOOSE);
	struct msghdr m = { 0 };
	struct iovec v = { NULL, 8 };
	m.msg_iov = &v, m.msg_iovlen = 1;
	ONE(r, "of a message", IORING_OP_RECVMSG, pair[0], &m, 1, 0, CHOOSE);
	close(p[0]), close(p[1]), close(pair[0]), close(pair[1]);
}

static void selected(void)
{
	struct ring r;
	put_file("/regular", "contents", 0600);
	int regular = (int)MUST(open("/regular", O_RDONLY)), directory = (int)MUST(open("/", O_RDONLY));
	int wrong = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	ring_make(&r, 8, 0, 0);
	int p[2];
	MUST(pipe(p));
	ONE(&r, "no group, and nothing to read", IORING_OP_READ, p[0], NULL, 8, 0, s->flags |= IOSQE_BUFFER_SELECT, s->buf_group = 3);
	provide(&r, memory[0], 16, 1, 0);
	ONE(&r, "the only one", IORING_OP_READ, regular, NULL, 8, 0, s->flags |= IOSQE_BUFFER_SELECT, s->buf_group = 3);
	ONE(&r, "no buffer, and nothing to read", IORING_OP_READ, p[0], NULL, 8, 0, s->flags |= IOSQE_BUFFER_SELECT, s->buf_group = 3);
	close(p[0]), close(p[1]);
	provide(&r, memory[0], 16, 16, 0);
	failures(&r, directory, wrong, regular);
	take_back(&r);
	provide(&r, (char *)16, 16, 4, 20);
	bad_memory(&r, regular);
	take_back(&r);
	ring_end(&r);

	printf("a ring of buffers\n");
	ring_make(&r, 8, 0, 0);
	struct io_uring_buf_ring *b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct io_uring_buf_reg g = { .ring_addr = (unsigned long)b, .ring_entries = 32, .bgid = 3 };
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_RING, &g, 1));
	for (unsigned short i = 0; i < 16; i++)
		b->bufs[i].addr = (unsigned long)memory[0] + 16 * (i % 16), b->bufs[i].len = 16, b->bufs[i].bid = i;
	for (unsigned short i = 16; i < 20; i++)
		b->bufs[i].addr = 16, b->bufs[i].len = 16, b->bufs[i].bid = i;
	__atomic_store_n(&b->tail, 16, __ATOMIC_RELEASE);
	failures(&r, directory, wrong, regular);
	struct io_uring_buf_status status = { .buf_group = 3 };
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_STATUS, &status, 1));
	printf("head %u\n", status.head);
	for (unsigned i = status.head; i < 16; i++)
		ONE(&r, "used up", IORING_OP_READ, regular, NULL, 1, 0, CHOOSE);
	ONE(&r, "none left", IORING_OP_READ, regular, NULL, 1, 0, CHOOSE);
	__atomic_store_n(&b->tail, 20, __ATOMIC_RELEASE);
	bad_memory(&r, regular);
	SHOW(uring_register(r.fd, IORING_REGISTER_PBUF_STATUS, &status, 1));
	printf("head %u\n", status.head);
	ring_end(&r);
	close(regular), close(directory), close(wrong);
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = nothing }, NULL);
	files(0);
	files(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	meanwhile();
	buffers();
	selected();
	return 0;
}
