/* io_setup, io_submit, io_getevents, io_cancel, io_destroy: results, errors and their order. */
#define _GNU_SOURCE
#include "case.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct ring { unsigned id, nr, head, tail, magic, compat, incompat, header; struct io_event events[]; };

static long setup(unsigned n, aio_context_t *c) { return syscall(SYS_io_setup, n, c); }
static long destroy(aio_context_t c) { return syscall(SYS_io_destroy, c); }
static long submit(aio_context_t c, long n, struct iocb **p) { return syscall(SYS_io_submit, c, n, p); }
static long cancel(aio_context_t c, void *p, void *e) { return syscall(SYS_io_cancel, c, p, e); }
static long getevents(aio_context_t c, long least, long most, struct io_event *e, struct timespec *t)
{
	return syscall(SYS_io_getevents, c, least, most, e, t);
}

static aio_context_t ctx;
static struct iocb cb;
static struct iocb *list[1] = { &cb };
static char buffer[8192];

static struct iocb *make(int command, int fd, void *buf, unsigned long bytes, long offset)
{
	memset(&cb, 0, sizeof cb);
	cb.aio_lio_opcode = command;
	cb.aio_fildes = fd;
	cb.aio_buf = (unsigned long)buf;
	cb.aio_nbytes = bytes;
	cb.aio_offset = offset;
	cb.aio_data = 0x1122334455667788;
	cb.aio_key = 77;
	return &cb;
}

static void show_event(void)
{
	struct timespec none = { 0, 0 };
	struct io_event e;
	memset(&e, 0x55, sizeof e);
	long n = getevents(ctx, 0, 1, &e, &none);
	if (n != 1) {
		printf("  events: %ld\n", n);
		return;
	}
	const char *name = (long)e.res < 0 ? error_name(-(long)e.res) : "";
	printf("  event: %s %s res %lld %s res2 %lld key %u\n", e.data == cb.aio_data ? "data" : "other data",
		e.obj == (unsigned long)&cb ? "obj" : "other obj", (long)e.res < 0 ? -1LL : (long long)e.res, name, (long long)e.res2, cb.aio_key);
}

#define DO(what) do { errno = 0; long r_ = submit(ctx, 1, list); printf("%s: %s", what, r_ < 0 ? error_name(errno) : r_ == 1 ? "ok" : "odd"); \
	printf("\n"); show_event(); } while (0)

static void contexts(void)
{
	aio_context_t c = 0, other = 0;
	SHOW(setup(0, &c));
	SHOW(setup(1, NULL));
	c = 5;
	SHOW(setup(1, &c));
	c = 0;
	SHOW(setup(0x7fffffff, &c));
	SHOW(setup(0x80000000u, &c));
	SHOW(setup(0x80000001u, &c));
	SHOW(setup(0xffffffffu, &c));
	SHOW(setup(0x400000, &c));
	SHOW(setup(0x400001, &c));
	SHOW(setup(65537, &c));
	for (unsigned n = 1; n < 5000; n = n * 3 + 1) {
		c = 0;
		MUST(setup(n, &c));
		struct ring *r = (void *)c;
		printf("%u: nr %u head %u tail %u magic %x compat %u incompat %u header %u\n", n, r->nr, r->head, r->tail, r->magic, r->compat,
			r->incompat, r->header);
		TRY(destroy(c));
		SHOW(destroy(c));
	}
	SHOW(destroy(0));
	SHOW(destroy(4096));
	SHOW(destroy((aio_context_t)buffer));
	c = 0;
	MUST(setup(65530, &c));
	SHOW(setup(7, &other));
	MUST(setup(6, &other));
	struct io_event e;
	IN_CHILD(SHOW(getevents(c, 0, 1, &e, NULL)); SHOW(destroy(c)));
	void *moved = mremap((void *)other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mmap(NULL, PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(getevents(other, 0, 1, &e, NULL));
	SHOW(getevents((aio_context_t)moved, 0, 1, &e, NULL));
	SHOW(destroy((aio_context_t)moved));
	MUST(munmap((void *)c, 65536));
	SHOW(getevents(c, 0, 1, &e, NULL));
	other = 0;
	SHOW(setup(7, &other));
}

static void transfers(void)
{
	int fd = MUST(open("aio_file", O_RDWR | O_CREAT | O_TRUNC, 0600));
	int reader = MUST(open("aio_file", O_RDONLY)), writer = MUST(open("aio_file", O_WRONLY)), path = MUST(open("aio_file", O_PATH));
	make(IOCB_CMD_PWRITE, fd, "hello world", 11, 5);
	DO("write");
	make(IOCB_CMD_PREAD, fd, buffer, 100, 0);
	DO("read");
	printf("  %d %s\n", buffer[0], buffer + 5);
	struct iovec v[3] = { { buffer, 3 }, { buffer + 10, 0 }, { buffer + 20, 50 } };
	make(IOCB_CMD_PREADV, fd, v, 3, 5);
	DO("readv");
	make(IOCB_CMD_PWRITEV, fd, v, 2, 100);
	DO("writev");
	make(IOCB_CMD_PREADV, fd, v, 1025, 5);
	DO("readv of 1025");
	make(IOCB_CMD_PREADV, fd, (void *)1, 1, 5);
	DO("readv of nothing");
	make(IOCB_CMD_PREAD, fd, buffer, 10, 1000);
	DO("read past the end");
	make(IOCB_CMD_PREAD, fd, buffer, 10, -1);
	DO("read at -1");
	make(IOCB_CMD_PREAD, fd, buffer, 10, 0x7ffffffffffffffe);
	DO("read at the end of numbers");
	make(IOCB_CMD_PREAD, fd, buffer, -1, 0);
	DO("read -1 bytes");
	make(IOCB_CMD_PREAD, fd, (void *)1, 10, 0);
	DO("read to page 0");
	make(IOCB_CMD_PREAD, fd, (void *)0x7ffffffff000, 0x2000, 0);
	DO("read to the end of memory");
	make(IOCB_CMD_PREAD, fd, (void *)-1, 10, 0);
	DO("read to -1");
	make(IOCB_CMD_PREAD, writer, buffer, 10, 0);
	DO("read a writer");
	make(IOCB_CMD_PWRITE, reader, buffer, 10, 0);
	DO("write a reader");
	make(IOCB_CMD_PREAD, path, buffer, 10, 0);
	DO("read a path");
	make(IOCB_CMD_PREAD, 999, buffer, 10, 0);
	DO("read nothing");
	int directory = MUST(open(".", O_RDONLY));
	make(IOCB_CMD_PREAD, directory, buffer, 10, 0);
	DO("read a directory");
	make(IOCB_CMD_PREAD, MUST(open("/proc/self/mem", O_RDONLY)), buffer, 10, (long)buffer);
	DO("read the memory of a process");
	make(IOCB_CMD_PREAD, cb.aio_fildes, buffer, 10, -1);
	DO("read the memory of a process at -1");
	for (int command = 4; command < 12; command++)
		if (command == 4 || command == 6 || command > 8) {
			make(command, fd, buffer, 10, 0);
			DO("command");
		}
	make(IOCB_CMD_PREAD, 999, buffer, 10, 0)->aio_reserved2 = 1;
	DO("reserved");
	make(99, 999, buffer, 10, 0);
	DO("no command, no file");
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_rw_flags = RWF_HIPRI;
	DO("RWF_HIPRI");
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_rw_flags = 0x8000;
	DO("RWF unknown");
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_rw_flags = 0x40;
	DO("RWF_ATOMIC");
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_rw_flags = RWF_APPEND | 0x20;
	DO("RWF_APPEND and RWF_NOAPPEND");
	make(IOCB_CMD_PWRITE, fd, buffer, 4, 5)->aio_rw_flags = RWF_APPEND;
	DO("RWF_APPEND");
	make(IOCB_CMD_PWRITE, fd, buffer, 4, 5)->aio_rw_flags = RWF_SYNC;
	DO("RWF_SYNC");
	make(IOCB_CMD_PWRITE, fd, buffer, 4, 5)->aio_rw_flags = RWF_DSYNC;
	DO("RWF_DSYNC");
	printf("size %ld position %ld\n", (long)lseek(fd, 0, SEEK_END), (long)lseek(reader, 0, SEEK_CUR));
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_flags = 0xfffc;
	DO("unknown flags");
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_flags = IOCB_FLAG_IOPRIO;
	cb.aio_reqprio = 7 << 13;
	DO("bad priority");
	cb.aio_reqprio = 2 << 13 | 4;
	DO("good priority");
	make(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
	cb.aio_data = 1;
	errno = 0;
	struct io_event e;
	SHOW(submit(ctx, 1, list));
	SHOW(getevents(ctx, 1, 1, &e, NULL));
	printf("fsync: %lld\n", (long long)e.res);
	make(IOCB_CMD_FDSYNC, reader, NULL, 0, 0);
	SHOW(submit(ctx, 1, list));
	SHOW(getevents(ctx, 1, 1, &e, NULL));
	printf("fdsync: %lld\n", (long long)e.res);
	make(IOCB_CMD_FSYNC, fd, buffer, 0, 0);
	DO("fsync with a buffer");
	make(IOCB_CMD_FSYNC, fd, NULL, 1, 0);
	DO("fsync with a length");
	make(IOCB_CMD_FSYNC, fd, NULL, 0, 1);
	DO("fsync with an offset");
	int ends[2];
	MUST(pipe(ends));
	make(IOCB_CMD_FSYNC, ends[0], NULL, 0, 0);
	DO("fsync of a pipe");
	make(IOCB_CMD_PWRITE, ends[1], "in a pipe", 9, 17);
	DO("write a pipe");
	make(IOCB_CMD_PREAD, ends[0], buffer, 100, 3);
	DO("read a pipe");
	make(IOCB_CMD_PREAD, ends[0], buffer, 100, -3);
	DO("read a pipe at -3");
	make(IOCB_CMD_PREAD, ends[0], buffer, 100, 0)->aio_rw_flags = RWF_NOWAIT;
	DO("read an empty pipe at once");
	MUST(fcntl(ends[0], F_SETFL, O_NONBLOCK));
	make(IOCB_CMD_PREAD, ends[0], buffer, 100, 0);
	DO("read an empty pipe without waiting");
	MUST(close(ends[0]));
	MUST(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	make(IOCB_CMD_PWRITE, ends[1], "x", 1, 0);
	DO("write a broken pipe");
	int pair[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	make(IOCB_CMD_PWRITE, pair[0], "socket", 6, 0);
	DO("write a socket");
	make(IOCB_CMD_PREAD, pair[1], buffer, 100, 1);
	DO("read a socket at 1");
	make(IOCB_CMD_PREAD, pair[1], buffer, 100, 0);
	DO("read a socket");
	int events = MUST(eventfd(3, 0)), set = MUST(epoll_create1(0));
	make(IOCB_CMD_PREAD, events, buffer, 8, 0);
	DO("read an eventfd");
	make(IOCB_CMD_PREAD, set, buffer, 8, 0);
	DO("read an epoll set");
	make(IOCB_CMD_PWRITE, events, buffer, 8, 0);
	DO("write an eventfd");
	int watch = MUST(inotify_init1(IN_NONBLOCK));
	make(IOCB_CMD_PREAD, watch, buffer, 8, 0);
	DO("read inotify");
	int timer = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	make(IOCB_CMD_PREAD, timer, buffer, 8, 0);
	DO("read a timerfd");
	make(IOCB_CMD_PREAD, MUST(open("/dev/zero", O_RDONLY)), buffer, 8, 0);
	DO("read zeros");
	make(IOCB_CMD_PREAD, MUST(open("/proc/self/stat", O_RDONLY)), buffer, 1, 0);
	DO("read proc");
	make(IOCB_CMD_PREAD, fd, buffer, 4, 5)->aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = events;
	DO("bell");
	long count = 0;
	MUST(read(events, &count, 8));
	printf("bell: %ld\n", count);
	cb.aio_resfd = fd;
	DO("bell of another kind");
	cb.aio_resfd = 999;
	DO("bell that is none");
	cb.aio_fildes = 998;
	DO("neither");
}

static void lists(void)
{
	int fd = MUST(open("aio_file", O_RDWR));
	struct iocb many[4], *all[5] = { &many[0], &many[1], NULL, &many[3], &many[0] };
	struct io_event e[8];
	struct timespec none = { 0, 0 }, past = { -1, 0 }, odd = { 0, -5 }, nothing = { 1, -1000000000 }, many_ns = { -1, 1010000000 };
	for (int i = 0; i < 4; i++) {
		make(IOCB_CMD_PREAD, i == 3 ? 999 : fd, buffer, i + 1, 0);
		cb.aio_data = i;
		many[i] = cb;
	}
	SHOW(submit(ctx, -1, all));
	SHOW(submit(ctx, 0, all));
	SHOW(submit(ctx, 0, NULL));
	SHOW(submit(ctx, 1, NULL));
	SHOW(submit(ctx, 5, all));
	SHOW(submit(ctx, 2, all + 2));
	SHOW(submit(ctx, 2, all + 3));
	SHOW(submit(0, 1, all));
	SHOW(submit(ctx + 4096, 1, all));
	SHOW(getevents(ctx, 0, 0, e, &none));
	SHOW(getevents(ctx, 1, 0, e, &none));
	SHOW(getevents(ctx, -1, 5, e, &none));
	SHOW(getevents(ctx, 0, -1, e, &none));
	SHOW(getevents(0, 0, 1, e, &none));
	SHOW(getevents(0, 0, 1, e, (void *)1));
	SHOW(getevents(ctx, 0, 1, e, (void *)1));
	SHOW(getevents(ctx, 0, 1, (void *)1, &none));
	SHOW(getevents(ctx, 0, 1, NULL, NULL));
	SHOW(getevents(ctx, 1, 1, e, &past));
	printf("  %lld %lld\n", (long long)e[0].data, (long long)e[0].res);
	SHOW(getevents(ctx, 1, 8, e, NULL));
	printf("  %lld %lld\n", (long long)e[0].data, (long long)e[0].res);
	SHOW(getevents(ctx, 0, 8, e, &past));
	SHOW(getevents(ctx, 0, 8, e, &odd));
	SHOW(getevents(ctx, 1, 8, e, &nothing));
	struct timespec little = { 0, 20000000 };
	SHOW(getevents(ctx, 1, 8, e, &little));
	SHOW(getevents(ctx, 1, 8, e, &many_ns));
	SHOW(submit(ctx, 2, all));
	SHOW(getevents(ctx, 3, 8, e, &little));
	/* The ring holds that many. */
	int n = 0;
	while (submit(ctx, 1, all) == 1)
		n++;
	printf("%d events in the ring: %s\n", n, error_name(errno));
	struct ring *r = (void *)ctx;
	printf("tail %u head %u\n", r->tail, r->head);
	r->head = (r->head + 10) % r->nr;
	n = 0;
	while (submit(ctx, 1, all) == 1)
		n++;
	printf("%d more: %s\n", n, error_name(errno));
	n = 0;
	for (long got; (got = getevents(ctx, 1, 8, e, &none)) > 0;)
		n += got;
	printf("%d taken\n", n);
	r->head = 0xfffffff0;
	SHOW(getevents(ctx, 0, 0, e, &none));
	SHOW(submit(ctx, 1, all));
	r->head = r->tail;
	SHOW(getevents(ctx, 0, 8, e, &none));
}

static void on_alarm(int sig) { (void)sig; }

static void waiting(void)
{
	int ends[2];
	struct io_event e[4];
	struct timespec none = { 0, 0 }, little = { 0, 30000000 };
	MUST(pipe(ends));
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
	SHOW(submit(ctx, 1, list));
	SHOW(getevents(ctx, 1, 4, e, &little));
	MUST(write(ends[1], "x", 1));
	SHOW(getevents(ctx, 1, 4, e, NULL));
	printf("  in: %d\n", (int)(e[0].res & POLLIN));
	SHOW(submit(ctx, 1, list));
	SHOW(getevents(ctx, 1, 4, e, NULL));
	printf("  in at once: %lld\n", (long long)e[0].res);
	MUST(read(ends[0], buffer, 1));
	SHOW(submit(ctx, 1, list));
	SHOW(submit(ctx, 1, list));
	SHOW(cancel(ctx, &cb, e));
	SHOW(getevents(ctx, 1, 4, e, NULL));
	printf("  cancelled: %lld %lld\n", (long long)e[0].res, (long long)e[0].res2);
	SHOW(cancel(ctx, &cb, NULL));
	SHOW(getevents(ctx, 1, 4, e, NULL));
	SHOW(cancel(ctx, &cb, e));
	SHOW(cancel(ctx, NULL, e));
	SHOW(cancel(0, &cb, e));
	cb.aio_key = 1;
	SHOW(cancel(0, &cb, e));
	make(IOCB_CMD_POLL, ends[0], (void *)0x10001, 0, 0);
	DO("poll for too much");
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 1, 0);
	DO("poll with a length");
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 1);
	DO("poll with an offset");
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0)->aio_rw_flags = 1;
	DO("poll with flags");
	make(IOCB_CMD_POLL, ends[1], (void *)POLLOUT, 0, 0);
	DO("poll a writer");
	int fd = MUST(open("aio_file", O_RDWR));
	make(IOCB_CMD_POLL, fd, (void *)(POLLIN | POLLOUT), 0, 0);
	DO("poll a file");
	int bell = MUST(eventfd(0, EFD_NONBLOCK));
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0)->aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = bell;
	SHOW(submit(ctx, 1, list));
	long count = 0;
	SHOW(read(bell, &count, 8));
	MUST(close(ends[1]));
	SHOW(getevents(ctx, 1, 4, e, NULL));
	printf("  hung up: %lld\n", (long long)(e[0].res & POLLHUP));
	SHOW(read(bell, &count, 8));
	/* A descriptor that is closed meanwhile stays. */
	MUST(pipe(ends));
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
	SHOW(submit(ctx, 1, list));
	MUST(close(ends[0]));
	SHOW(write(ends[1], "x", 1));
	SHOW(getevents(ctx, 1, 4, e, NULL));
	/* Signals */
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	MUST(sigaction(SIGALRM, &action, NULL));
	ualarm(30000, 30000); /* again and again: the first one may come before the call */
	SHOW(getevents(ctx, 1, 4, e, NULL));
	ualarm(0, 0);
	sigset_t blocked, empty;
	sigemptyset(&empty);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	MUST(sigprocmask(SIG_BLOCK, &blocked, NULL));
	MUST(raise(SIGALRM));
	struct { const void *mask; size_t size; } mask = { &empty, 8 };
	SHOW(syscall(SYS_io_pgetevents, ctx, 1L, 4L, e, NULL, &mask));
	MUST(raise(SIGALRM));
	SHOW(syscall(SYS_io_pgetevents, ctx, 0L, 4L, e, &none, &mask));
	SHOW(syscall(SYS_io_pgetevents, ctx, 0L, 4L, e, &none, NULL));
	mask.size = 4;
	SHOW(syscall(SYS_io_pgetevents, ctx, 0L, 4L, e, &none, &mask));
	mask.mask = NULL;
	SHOW(syscall(SYS_io_pgetevents, ctx, 0L, 4L, e, &none, &mask));
	mask.mask = (void *)1;
	mask.size = 8;
	SHOW(syscall(SYS_io_pgetevents, ctx, 0L, 4L, e, &none, &mask));
	SHOW(syscall(SYS_io_pgetevents, ctx, 0L, 4L, e, &none, 1L));
	SHOW(syscall(SYS_io_pgetevents, ctx, 2L, 1L, e, &none, NULL));
	/* Destroying cancels, and tells the bell. */
	MUST(pipe(ends));
	make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0)->aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = bell;
	SHOW(submit(ctx, 1, list));
	TRY(destroy(ctx));
	SHOW(read(bell, &count, 8));
	SHOW(submit(ctx, 1, list));
}

static void ends(void)
{
	aio_context_t c = 0;
	int ends[2], bell = MUST(eventfd(0, EFD_NONBLOCK));
	MUST(pipe(ends));
	fflush(stdout);
	pid_t child = MUST(fork());
	if (child == 0) {
		MUST(setup(10, &c));
		make(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0)->aio_flags = IOCB_FLAG_RESFD;
		cb.aio_resfd = bell;
		MUST(submit(c, 1, list));
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	int status;
	MUST(waitpid(child, &status, 0));
	long count = 0;
	SHOW(read(bell, &count, 8));
	CHECK(count == 1);
	SHOW(write(ends[1], "x", 1));
}

/* Rings may neither grow nor be run, and only the process that has the context moves them. */
static void rings(void)
{
	aio_context_t c = 0;
	MUST(setup(1000, &c));
	void *place = mmap(NULL, PAGE, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SHOW(mprotect((void *)c, PAGE, PROT_READ | PROT_EXEC));
	SHOW(mprotect((void *)c, PAGE, PROT_READ));
	SHOW(mprotect((void *)c, PAGE, PROT_READ | PROT_WRITE));
	CHECK(mremap((void *)c, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	CHECK(mremap((void *)c, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	CHECK(mremap((void *)c, PAGE, PAGE, MREMAP_MAYMOVE | 4, NULL) == MAP_FAILED && errno == EINVAL);
	IN_CHILD(CHECK(mremap((void *)c, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED && errno == EINVAL));
	IN_CHILD(aio_context_t more = 0; MUST(setrlimit(RLIMIT_AS, &(struct rlimit){ 4096, 4096 })); SHOW(setup(1000, &more));
		CHECK(more == 0));
	SHOW(destroy(c));
}

/* A request that copies nothing is done at once. */
static void fill(aio_context_t c, int n)
{
	int fd = MUST(open("aio_file", O_RDWR | O_CREAT, 0600));
	struct iocb one, *p = &one;
	make(IOCB_CMD_PREAD, fd, buffer, 0, 0);
	one = cb;
	for (int i = 0; i < n; i++) {
		one.aio_data = i;
		MUST(submit(c, 1, &p));
	}
	close(fd);
}

/* What cannot be copied is not taken. */
static void faults(void)
{
	aio_context_t c = 0;
	struct timespec none = { 0, 0 };
	MUST(setup(100, &c));
	fill(c, 20);
	char *place = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(munmap(place + PAGE, PAGE));
	struct io_event *e = (void *)place;
	int fits = PAGE / sizeof *e;
	CHECK(getevents(c, 1, 30, e + fits - 17, &none) == -1 && errno == EFAULT);
	CHECK(getevents(c, 1, 17, e + fits - 17, &none) == 17);
	CHECK(e[fits - 1].data == 16);
	SHOW(getevents(c, 1, 30, e, &none));
	SHOW(destroy(c));
}

static aio_context_t shared;
static int shared_ends[2];

static void *wait_for_event(void *result)
{
	struct io_event e;
	errno = 0;
	*(long *)result = getevents(shared, 1, 1, &e, NULL) == -1 ? -errno : 1;
	return NULL;
}

static volatile pid_t reader, destroyer;

static void until_set_and_asleep(volatile pid_t *tid)
{
	while (*tid == 0)
		sleep_ms(1);
	until_thread_asleep(*tid);
}

/* The thread that destroys a context waits in a way that no signal ends: its state is D. */
static void until_destroying(void)
{
	char path[64];
	while (destroyer == 0)
		sleep_ms(1);
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", destroyer);
	for (int i = 0; i < 15000 && state_in(path) == 'R'; i++)
		sleep_ms(2);
}

static void *read_pipe(void *result)
{
	char byte[4];
	struct iocb one = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = shared_ends[0], .aio_buf = (unsigned long)byte, .aio_nbytes = 4 };
	reader = (pid_t)syscall(SYS_gettid);
	struct iocb *p = &one;
	*(long *)result = submit(shared, 1, &p);
	return NULL;
}

static void *destroy_it(void *result)
{
	destroyer = (pid_t)syscall(SYS_gettid);
	*(long *)result = destroy(shared);
	return NULL;
}

static void *take_some(void *result)
{
	struct io_event e[60];
	*(long *)result = getevents(shared, 0, 60, e, NULL);
	return NULL;
}

/* Several threads with one context. */
static void threads(void)
{
	pthread_t first, second;
	long one = 77, two = 77;
	shared = 0;
	MUST(setup(10, &shared));
	MUST(pthread_create(&first, NULL, wait_for_event, &one));
	usleep(30000);
	SHOW(destroy(shared));
	pthread_join(first, NULL);
	printf("the waiter: %s\n", one < 0 ? error_name(-one) : "ok");

	/* A thread that reads a pipe waits in io_submit, and the thread that destroys the context waits for it. */
	shared = 0;
	MUST(setup(10, &shared));
	MUST(pipe(shared_ends));
	one = two = 77;
	reader = destroyer = 0;
	MUST(pthread_create(&first, NULL, read_pipe, &one));
	until_set_and_asleep(&reader);
	CHECK(one == 77);
	MUST(pthread_create(&second, NULL, destroy_it, &two));
	until_destroying();
	CHECK(two == 77);
	SHOW(destroy(shared));
	SHOW(write(shared_ends[1], "x", 1));
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	printf("submitted %ld, destroyed %ld\n", one, two);

	shared = 0;
	MUST(setup(100, &shared));
	fill(shared, 100);
	MUST(pthread_create(&first, NULL, take_some, &one));
	MUST(pthread_create(&second, NULL, take_some, &two));
	pthread_join(first, NULL);
	pthread_join(second, NULL);
	printf("taken: %ld\n", one + two);
	SHOW(destroy(shared));
}

/* A process that waits in io_submit can be killed, and so can one that waits for another's request. */
static void kills(void)
{
	for (int others = 0; others < 2; others++) {
		MUST(pipe(shared_ends));
		shared = 0;
		fflush(stdout);
		pid_t child = MUST(fork());
		if (child == 0) {
			pthread_t first;
			long one;
			MUST(setup(10, &shared));
			if (others == 0)
				read_pipe(&one);
			reader = 0;
			MUST(pthread_create(&first, NULL, read_pipe, &one));
			until_set_and_asleep(&reader);
			destroy(shared);
			_exit(1);
		}
		usleep(60000);
		MUST(kill(child, SIGKILL));
		show_end(child);
	}
}

static void totals(void)
{
	aio_context_t c = 0;
	char text[64] = { 0 };
	for (int i = 0; i < 2; i++) {
		int fd = MUST(open("/proc/sys/fs/aio-nr", O_RDONLY));
		long n = MUST(read(fd, text, 63));
		text[n] = 0;
		printf("aio-nr %s", text);
		close(fd);
		if (i == 0)
			MUST(setup(100, &c));
	}
	int fd = MUST(open("/proc/sys/fs/aio-max-nr", O_RDWR));
	MUST(read(fd, text, 63));
	printf("aio-max-nr %s", text);
	MUST(pwrite(fd, "110", 3, 0));
	c = 0;
	SHOW(setup(11, &c));
	TRY(setup(10, &c));
	c = 0;
	SHOW(setup(111, &c));
	MUST(pwrite(fd, "65536", 5, 0));
}

int main(void)
{
	IN_CHILD(contexts());
	IN_CHILD(totals());
	IN_CHILD(rings());
	IN_CHILD(faults());
	IN_CHILD(threads());
	kills();
	MUST(setup(20, &ctx));
	transfers();
	lists();
	waiting();
	ends();
	return 0;
}
