/* The thread that takes submissions of io_uring (IORING_SETUP_SQPOLL): whose it is, whose rights it has, how it ends. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <grp.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>

static void rest(long milliseconds)
{
	nanosleep(&(struct timespec){ milliseconds / 1000, milliseconds % 1000 * 1000000 }, NULL);
}

static int threads_of(int pid, int *other)
{
	char path[64];
	int n = 0;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.') {
			n++;
			if (other && atoi(e->d_name) != pid)
				*other = atoi(e->d_name);
		}
	if (d)
		closedir(d);
	return n;
}

static int soon_threads(int pid, int wanted)
{
	for (int i = 0; i < 300 && threads_of(pid, NULL) != wanted; i++)
		rest(10);
	return threads_of(pid, NULL);
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

static void submit(struct ring *r, unsigned least)
{
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_SEQ_CST);
	SHOW(uring_enter(r->fd, 1, least, IORING_ENTER_SQ_WAKEUP | (least ? IORING_ENTER_GETEVENTS : 0), NULL, 0));
	show_all(r);
}

static void nop(struct ring *r, unsigned long long data)
{
	next_sqe(r, IORING_OP_NOP, -1, NULL, 0, 0)->user_data = data;
	submit(r, 1);
}

/* Open a file of root's by the thread: the descriptor differs from run to run. */
static void open_secret(struct ring *r, const char *what, int personality)
{
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_OPENAT, AT_FDCWD, "/secret", 0, 0);
	struct io_uring_cqe c = { 0 };
	s->open_flags = O_RDONLY, s->user_data = 1, s->personality = (unsigned short)personality;
	printf("%s: ", what);
	__atomic_store_n(WORD(r, r->p.sq_off.tail), r->tail, __ATOMIC_SEQ_CST);
	MUST(uring_enter(r->fd, 1, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, NULL, 0));
	take(r, &c);
	printf("%s\n", c.res < 0 ? error_name(-c.res) : "opened");
	if (c.res >= 0)
		close(c.res);
}

static void rights(void)
{
	struct ring a, b, c;
	make(&a, 0, 20, 0);
	open_secret(&a, "by root", 0);
	MUST(setegid(1000)), MUST(seteuid(1000));
	open_secret(&a, "by root's thread", 0);
	int who = (int)SHOW(uring_register(a.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	make(&b, IORING_SETUP_ATTACH_WQ, 20, a.fd);
	printf("threads: %d\n", threads_of(getpid(), NULL));
	open_secret(&b, "by a user who shares the thread", 0);
	open_secret(&a, "by root again", 0);
	open_secret(&a, "as the user", who);
	make(&c, 0, 20, 0);
	open_secret(&c, "by the user's own", 0);
	MUST(seteuid(0)), MUST(setegid(0));
	open_secret(&c, "by the user's own, whose maker is root now", 0);
	open_secret(&b, "by the user's share", 0);
	ring_end(&a), ring_end(&b), ring_end(&c);
	printf("threads: %d\n", soon_threads(getpid(), 1));
}

/* A request that waited is performed with the ring's rights too. */
static void late_rights(void)
{
	struct ring a, b;
	int p[2];
	char buffer[8];
	make(&a, 0, 20, 0);
	MUST(seteuid(1000));
	make(&b, IORING_SETUP_ATTACH_WQ, 20, a.fd);
	MUST(pipe(p));
	struct io_uring_sqe *s = next_sqe(&b, IORING_OP_READ, p[0], buffer, 1, 0);
	s->user_data = 1, s->flags = IOSQE_IO_LINK;
	s = next_sqe(&b, IORING_OP_OPENAT, AT_FDCWD, "/secret", 0, 0);
	s->user_data = 2, s->open_flags = O_RDONLY;
	submit(&b, 0);
	MUST(seteuid(0));
	rest(100);
	MUST(write(p[1], "x", 1));
	SHOW(uring_enter(b.fd, 0, 2, IORING_ENTER_GETEVENTS, NULL, 0));
	show_all(&b);
	close(p[0]), close(p[1]);
	ring_end(&a), ring_end(&b);
}

/* Another process has the ring. */
static void other_process(void)
{
	struct ring r;
	make(&r, 0, 20, 0);
	nop(&r, 1);
	IN_CHILD({
		printf("threads: %d\n", threads_of(getpid(), NULL));
		nop(&r, 2);
		int mine = open("/dev/null", O_RDWR), high = dup2(mine, 77);
		struct io_uring_sqe *s = next_sqe(&r, IORING_OP_WRITE, high, "x", 1, 0);
		s->user_data = 3; /* of the maker's descriptors */
		submit(&r, 1);
		struct ring own;
		make(&own, IORING_SETUP_ATTACH_WQ, 20, r.fd);
		printf("attached: %d\n", threads_of(getpid(), NULL));
		nop(&own, 4);
	});
	r.tail = *WORD(&r, r.p.sq_off.tail); /* the child has gone on */
	nop(&r, 5);
	printf("threads: %d\n", threads_of(getpid(), NULL));
	ring_end(&r);
}

/* Its maker ends. */
static void orphan(void)
{
	struct ring r;
	int fds[2];
	char b;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	fflush(stdout);
	pid_t maker = (pid_t)MUST(fork());
	if (maker == 0) {
		make(&r, 0, 20, 0);
		nop(&r, 1);
		pid_t heir = (pid_t)MUST(fork());
		if (heir == 0) {
			rest(300);
			printf("flags %x\n", *WORD(&r, r.p.sq_off.flags));
			next_sqe(&r, IORING_OP_NOP, -1, NULL, 0, 0);
			submit(&r, 1);
			SHOW(uring_enter(r.fd, 0, 0, 0, NULL, 0));
			SHOW(uring_enter(r.fd, 0, 0, IORING_ENTER_SQ_WAIT, NULL, 0));
			unsigned most[2] = { 0, 0 };
			SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2));
			printf("%u %u\n", most[0], most[1]);
			unsigned long mask = 1;
			SHOW(uring_register(r.fd, IORING_REGISTER_IOWQ_AFF, &mask, 8));
			struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, .wq_fd = (unsigned)r.fd };
			long fd = uring_setup(4, &p);
			printf("attached: %s\n", fd < 0 ? error_name(errno) : "ok");
			char path[64], line[128];
			snprintf(path, sizeof path, "/proc/self/fdinfo/%d", r.fd);
			FILE *f = fopen(path, "r");
			while (f && fgets(line, sizeof line, f))
				if (!strncmp(line, "Sq", 2) && strncmp(line, "SqMask", 6))
					fputs(line, stdout);
			fflush(stdout);
			MUST(write(fds[1], "x", 1));
			_exit(0);
		}
		_exit(0);
	}
	show_end(maker);
	MUST(read(fds[0], &b, 1));
	close(fds[0]), close(fds[1]);
}

static void after_exec(const char *fd)
{
	struct ring r = { .fd = atoi(fd) };
	printf("threads: %d\n", threads_of(getpid(), NULL));
	SHOW(uring_enter(r.fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0));
	r.rings = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQ_RING);
	printf("flags %x\n", r.rings == MAP_FAILED ? -1u : *WORD(&r, 36));
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, .wq_fd = (unsigned)r.fd };
	SHOW(uring_setup(4, &p));
	p.flags = IORING_SETUP_SQPOLL;
	TRY(uring_setup(4, &p));
	printf("threads: %d\n", threads_of(getpid(), NULL));
}

static void killed(void)
{
	for (int how = 0; how < 4; how++) {
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			struct ring r;
			make(&r, 0, how & 1 ? 5000 : 20, 0);
			nop(&r, 1);
			if (how == 2) {
				int tid = 0;
				threads_of(getpid(), &tid);
				fflush(stdout);
				syscall(SYS_tgkill, getpid(), tid, SIGKILL);
			}
			if (how == 3) {
				int tid = 0;
				threads_of(getpid(), &tid);
				fflush(stdout);
				syscall(SYS_tgkill, getpid(), tid, SIGTERM); /* blocked there */
				rest(50);
				raise(SIGTERM);
			}
			fflush(stdout);
			for (;;)
				pause();
		}
		rest(200);
		if (how < 2)
			kill(child, how ? SIGKILL : SIGTERM);
		show_end(child);
	}
}

static void stopped(void)
{
	fflush(stdout);
	int p[2], status;
	char b;
	MUST(pipe(p));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		struct ring r;
		make(&r, 0, 2000, 0);
		nop(&r, 1);
		fflush(stdout);
		MUST(write(p[1], "x", 1));
		for (int i = 0; i < 20; i++)
			rest(50);
		nop(&r, 2);
		fflush(stdout);
		_exit(7);
	}
	MUST(read(p[0], &b, 1));
	kill(child, SIGSTOP);
	MUST(waitpid(child, &status, WUNTRACED));
	show_status(status);
	rest(100);
	char path[64], line[128];
	int tid = 0;
	printf("threads: %d\n", threads_of(child, &tid));
	snprintf(path, sizeof path, "/proc/%d/task/%d/status", child, tid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "State", 5))
			fputs(line, stdout);
	if (f)
		fclose(f);
	kill(child, SIGCONT);
	show_end(child);
}

static void traced(void)
{
	fflush(stdout);
	int p[2], tid = 0;
	char b;
	MUST(pipe(p));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		struct ring r;
		make(&r, 0, 20, 0);
		nop(&r, 1);
		fflush(stdout);
		MUST(write(p[1], "x", 1));
		for (;;)
			pause();
	}
	MUST(read(p[0], &b, 1));
	threads_of(child, &tid);
	SHOW(ptrace(PTRACE_SEIZE, tid, NULL, NULL));
	kill(child, SIGKILL);
	for (int i = 0; i < 2; i++) {
		int status;
		pid_t got = waitpid(-1, &status, __WALL);
		if (got == -1)
			printf("%s\n", error_name(errno));
		else
			printf("%s ", got == child ? "the child:" : "its thread:"), show_status(status);
	}
}

static void limits(void)
{
	IN_CHILD({
		MUST(setgroups(0, NULL));
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		struct rlimit l = { 1, 1 };
		MUST(setrlimit(RLIMIT_NPROC, &l));
		struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL };
		SHOW(uring_setup(4, &p));
		p.flags = 0;
		TRY(uring_setup(4, &p));
	});
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL };
		TRY(uring_setup(4, &p));
		SHOW(unshare(CLONE_THREAD));
		SHOW(unshare(CLONE_NEWUSER));
	});
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1) {
		after_exec(argv[1]);
		return 0;
	}
	put_file("/secret", "x", 0600);
	rights();
	late_rights();
	other_process();
	orphan();
	IN_CHILD({
		struct ring r;
		char text[16];
		make(&r, 0, 5000, 0);
		nop(&r, 1);
		MUST(fcntl(r.fd, F_SETFD, 0));
		snprintf(text, sizeof text, "%d", r.fd);
		execl("/proc/self/exe", "uring_sqpoll_life", text, NULL);
	});
	IN_CHILD({
		struct ring r;
		make(&r, 0, 5000, 0);
		nop(&r, 1);
	});
	killed();
	stopped();
	traced();
	limits();
	return 0;
}
