/* io_uring with a thread of the kernel that takes submissions (IORING_SETUP_SQPOLL). */
#define _GNU_SOURCE
#include "uring_case.h"
#include <sched.h>

static void attempt(const char *what, unsigned flags, unsigned processor, unsigned other)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_cpu = processor, .wq_fd = other };
	printf("%s: ", what);
	errno = 0;
	long fd = uring_setup(4, &p);
	printf("%s\n", fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close((int)fd);
}

static int thread_count(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* The number of the thread that is not the first. */
static int other_thread(void)
{
	int found = -1;
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && atoi(e->d_name) != getpid())
			found = atoi(e->d_name);
	closedir(d);
	return found;
}

static void rest(long milliseconds)
{
	nanosleep(&(struct timespec){ milliseconds / 1000, milliseconds % 1000 * 1000000 }, NULL);
}

static int soon_threads(int wanted)
{
	for (int i = 0; i < 300 && thread_count() != wanted; i++)
		rest(10);
	return thread_count();
}

static unsigned flags_of(struct ring *r)
{
	return __atomic_load_n(WORD(r, r->p.sq_off.flags), __ATOMIC_SEQ_CST);
}

static int sleeps_soon(struct ring *r)
{
	for (int i = 0; i < 500 && !(flags_of(r) & IORING_SQ_NEED_WAKEUP); i++)
		rest(10);
	return flags_of(r) & IORING_SQ_NEED_WAKEUP;
}

static void publish(struct ring *r)
{
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_SEQ_CST);
}

static void nop(struct ring *r, unsigned long long data)
{
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = data;
}

static int came(struct ring *r)
{
	for (int i = 0; i < 300 && *WORD(r, r->p.cq_off.head) == __atomic_load_n(WORD(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE); i++)
		rest(10);
	return *WORD(r, r->p.cq_off.head) != *WORD(r, r->p.cq_off.tail);
}

static void make(struct ring *r, unsigned flags, unsigned idle, int other)
{
	memset(r, 0, sizeof *r);
	r->p.flags = flags | IORING_SETUP_SQPOLL;
	r->p.sq_thread_idle = idle;
	r->p.wq_fd = (unsigned)other;
	r->fd = (int)MUST(uring_setup(4, &r->p));
	size_t sq = r->p.sq_off.array + r->p.sq_entries * 4, cq = r->p.cq_off.cqes + r->p.cq_entries * 16;
	r->rings_size = sq > cq ? sq : cq;
	r->sqes_size = r->p.sq_entries * 64;
	r->rings = mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	for (unsigned i = 0; i < r->p.sq_entries; i++)
		WORD(r, r->p.sq_off.array)[i] = i;
}

static void refusals(void)
{
	struct io_uring_params plain = { 0 }, polled = { .flags = IORING_SETUP_SQPOLL };
	int without = (int)MUST(uring_setup(4, &plain)), with = (int)MUST(uring_setup(4, &polled));
	printf("features %x\n", polled.features & IORING_FEAT_SQPOLL_NONFIXED);
	attempt("a processor without a thread", IORING_SETUP_SQ_AFF, 0, 0);
	attempt("a processor that does not exist, without a thread", IORING_SETUP_SQ_AFF, 9999, 0);
	attempt("a processor", IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, 0, 0);
	attempt("a processor that does not exist", IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, 63, 0);
	attempt("a large number", IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, 9999, 0);
	attempt("a negative number", IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, -1u, 0);
	attempt("a number without a flag", IORING_SETUP_SQPOLL, 9999, 9999);
	attempt("COOP_TASKRUN", IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN, 0, 0);
	attempt("TASKRUN_FLAG", IORING_SETUP_SQPOLL | IORING_SETUP_TASKRUN_FLAG, 0, 0);
	attempt("both", IORING_SETUP_SQPOLL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN, 0, 0);
	attempt("DEFER_TASKRUN", IORING_SETUP_SQPOLL | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER, 0, 0);
	attempt("SINGLE_ISSUER", IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER, 0, 0);
	attempt("IOPOLL", IORING_SETUP_SQPOLL | IORING_SETUP_IOPOLL, 0, 0);
	attempt("R_DISABLED", IORING_SETUP_SQPOLL | IORING_SETUP_R_DISABLED, 0, 0);
	attempt("attached to nothing", IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, 0, 9999);
	attempt("attached to a file", IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, 0, 1);
	attempt("attached to a ring without a thread", IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, 0, (unsigned)without);
	attempt("attached", IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, 0, (unsigned)with);
	attempt("attached, a wrong processor", IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ | IORING_SETUP_SQ_AFF, 9999, (unsigned)with);
	attempt("without a thread attached to one that has", IORING_SETUP_ATTACH_WQ, 0, (unsigned)with);
	attempt("the same with a processor", IORING_SETUP_ATTACH_WQ | IORING_SETUP_SQ_AFF, 0, (unsigned)with);
	attempt("attached to nothing with a processor", IORING_SETUP_ATTACH_WQ | IORING_SETUP_SQ_AFF, 0, 9999);
	printf("no memory for the answer: ");
	SHOW(uring_setup(4, NULL));
	struct io_uring_params *read_only = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	read_only->flags = IORING_SETUP_SQPOLL;
	mprotect(read_only, PAGE, PROT_READ);
	SHOW(uring_setup(4, read_only));
	close(without), close(with);
	printf("threads: %d\n", soon_threads(1));
}

static void show_thread(void)
{
	char path[64], line[256];
	int tid = other_thread(), known = 0;
	snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "iou-sqp-%d", &known) == 1)
		printf("named after its maker: %d\n", known == getpid());
	if (f)
		fclose(f);
	snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "Threads", 7) || !strncmp(line, "Kthread", 7) || !strncmp(line, "NoNewPrivs", 10)
		    || !strncmp(line, "State", 5) || !strncmp(line, "Seccomp:", 8) || !strncmp(line, "ShdPnd", 6) || !strncmp(line, "Uid", 3))
			fputs(line, stdout);
	if (f)
		fclose(f);
	snprintf(path, sizeof path, "/proc/self/task/%d/cmdline", tid);
	f = fopen(path, "r");
	printf("has a command line: %d\n", f && fgetc(f) != EOF);
	if (f)
		fclose(f);
	cpu_set_t set;
	SHOW(sched_getaffinity(tid, sizeof set, &set));
	printf("on %d\n", CPU_COUNT(&set));
	SHOW(sched_setaffinity(tid, sizeof set, &set));
	SHOW(syscall(SYS_sched_getscheduler, tid));
	SHOW(syscall(SYS_tgkill, getpid(), tid, 0));
	SHOW(syscall(SYS_tgkill, getpid(), tid, SIGUSR1));
	snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "SigPnd", 6))
			fputs(line, stdout);
	if (f)
		fclose(f);
}

static void work(void)
{
	struct ring r;
	make(&r, 0, 50, 0);
	printf("idle %u, processor %u, flags %x\n", r.p.sq_thread_idle, r.p.sq_thread_cpu, r.p.flags);
	printf("threads: %d\n", thread_count());
	printf("sleeps: %d\n", sleeps_soon(&r));
	show_thread();
	nop(&r, 1), nop(&r, 2);
	publish(&r);
	rest(20);
	printf("taken asleep: %u\n", *WORD(&r, r.p.sq_off.head));
	SHOW(uring_enter(r.fd, 77, 0, 0, NULL, 0));
	rest(20);
	printf("taken after a call without a wake: %u\n", *WORD(&r, r.p.sq_off.head));
	SHOW(uring_enter(r.fd, 2, 2, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	printf("sleeps at once: %x\n", flags_of(&r));
	nop(&r, 3);
	publish(&r);
	printf("came by itself: %d\n", came(&r));
	show_all(&r);
	printf("sleeps: %d\n", sleeps_soon(&r));
	SHOW(uring_enter(r.fd, 0, 0, IORING_ENTER_SQ_WAIT, NULL, 0));
	nop(&r, 4), nop(&r, 5), nop(&r, 6), nop(&r, 7);
	publish(&r);
	SHOW(uring_enter(r.fd, 4, 0, IORING_ENTER_SQ_WAIT | IORING_ENTER_SQ_WAKEUP, NULL, 0));
	printf("taken: %u\n", *WORD(&r, r.p.sq_off.head));
	SHOW(uring_enter(r.fd, 0, 4, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	SHOW(uring_enter(r.fd, 3, 1, IORING_ENTER_SQ_WAKEUP | (1 << 6), NULL, 0));
	struct __kernel_timespec t = { 0, 20000000 };
	struct io_uring_getevents_arg a = { .ts = (unsigned long)&t };
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &a, sizeof a));
	SHOW(uring_enter(r.fd, 5, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &a, sizeof a));
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &a, 5));

	int p[2];
	char b[8] = "";
	MUST(pipe(p));
	next_sqe(&r, IORING_OP_READ, p[0], b, 8, 0)->user_data = 8;
	publish(&r);
	SHOW(uring_enter(r.fd, 1, 0, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT, NULL, 0));
	printf("sleeps: %d\n", sleeps_soon(&r));
	MUST(write(p[1], "hello", 5));
	SHOW(uring_enter(r.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	printf("%s\n", b);
	sleeps_soon(&r);
	next_sqe(&r, IORING_OP_READ, p[0], b, 8, 0)->user_data = 9;
	nop(&r, 10);
	publish(&r);
	SHOW(uring_enter(r.fd, 2, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)9, 0, 0)->user_data = 11;
	publish(&r);
	SHOW(uring_enter(r.fd, 1, 2, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "/dev/null", 0, 0);
	s->open_flags = O_RDONLY, s->user_data = 12;
	publish(&r);
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	struct io_uring_cqe c = { 0 };
	take(&r, &c);
	CHECK(c.res > 2 && close(c.res) == 0);
	s = next_sqe(&r, IORING_OP_WRITE, 9999, b, 1, 0);
	s->user_data = 13, s->flags = IOSQE_IO_LINK;
	nop(&r, 14);
	publish(&r);
	SHOW(uring_enter(r.fd, 2, 2, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	/* a submission that is none */
	WORD(&r, r.p.sq_off.array)[r.tail & 3] = 99;
	r.tail++;
	nop(&r, 15);
	publish(&r);
	SHOW(uring_enter(r.fd, 2, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	printf("dropped %u\n", *WORD(&r, r.p.sq_off.dropped));
	/* nobody reads the pipe */
	close(p[0]);
	WORD(&r, r.p.sq_off.array)[(r.tail - 2) & 3] = (r.tail - 2) & 3;
	next_sqe(&r, IORING_OP_WRITE, p[1], b, 1, 0)->user_data = 16;
	publish(&r);
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&r);
	close(p[1]);
	ring_end(&r);
	printf("threads: %d\n", soon_threads(1));
}

static void shared(void)
{
	struct ring a, b, c;
	make(&a, 0, 50, 0);
	printf("sleeps: %d\n", sleeps_soon(&a));
	make(&b, IORING_SETUP_ATTACH_WQ, 0, a.fd);
	printf("threads: %d\n", thread_count());
	nop(&a, 1), nop(&b, 2);
	publish(&a), publish(&b);
	SHOW(uring_enter(b.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	SHOW(uring_enter(a.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&a), show_all(&b);
	rest(300);
	printf("the longest patience counts: %x %x\n", flags_of(&a), flags_of(&b));
	ring_end(&a);
	rest(100);
	printf("threads: %d\n", thread_count());
	printf("sleeps: %d\n", sleeps_soon(&b));
	make(&c, IORING_SETUP_ATTACH_WQ, 10, b.fd);
	ring_end(&b);
	nop(&c, 3);
	publish(&c);
	SHOW(uring_enter(c.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&c);
	ring_end(&c);
	printf("threads: %d\n", soon_threads(1));
}

static void disabled(void)
{
	struct ring r;
	make(&r, IORING_SETUP_R_DISABLED, 20, 0);
	nop(&r, 1);
	publish(&r);
	rest(100);
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	printf("taken: %u\n", *WORD(&r, r.p.sq_off.head));
	SHOW(uring_register(r.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
	printf("came by itself: %d\n", came(&r));
	show_all(&r);
	ring_end(&r);
	printf("threads: %d\n", soon_threads(1));
}

static void settings(void)
{
	struct ring r;
	make(&r, 0, 20, 0);
	unsigned most[2] = { 0, 0 };
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2));
	printf("%u, some: %d\n", most[0], most[1] > 0);
	most[0] = 3, most[1] = 5;
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2));
	printf("%u\n", most[0]);
	most[0] = 1u << 31, most[1] = 0;
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2));
	most[0] = most[1] = 0;
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2));
	printf("%u %u\n", most[0], most[1]);
	unsigned long mask = 1;
	SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &mask, 8));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_IOWQ_AFF, NULL, 0));
	int fd = 1;
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES, &fd, 1));
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_NOP, 0, NULL, 0, 0);
	s->user_data = 1;
	publish(&r);
	SHOW(uring_enter(r.fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	show_all(&r);
	ring_end(&r);
	printf("threads: %d\n", soon_threads(1));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	refusals();
	work();
	shared();
	disabled();
	settings();
	return 0;
}
