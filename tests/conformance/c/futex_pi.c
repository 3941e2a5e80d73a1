/* Futexes with priority inheritance, and the newer futex calls: locking, trying, handing over, time limits, owners that end,
 * lent priorities, deadlocks and errors; futex_wait, futex_wake, futex_requeue, futex_waitv (futex(2)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#define FUTEX2_U32 2

static _Atomic uint32_t word, second, third;

static long futex(_Atomic uint32_t *address, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, address, operation, value, timeout, 0, 0);
}

static void show_word(const char *what, pid_t owner)
{
	uint32_t w = word;
	printf("%s: owner %s%s%s\n", what, (w & 0x3fffffff) == 0 ? "none" : (pid_t)(w & 0x3fffffff) == owner ? "as expected" : "another",
	       w & FUTEX_WAITERS ? ", waiters" : "", w & FUTEX_OWNER_DIED ? ", owner died" : "");
}

static struct timespec soon(clockid_t clock, long ms)
{
	struct timespec t;
	clock_gettime(clock, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static _Atomic int step;
static pid_t other_tid;

static void reach(int n) { step = n; }
static void await(int n)
{
	while (step < n)
		sleep_ms(1);
}

static int priority_of(pid_t tid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	int fd = open(path, O_RDONLY), priority = 999;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strchr(text, ')');
	if (at)
		sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %d", &priority);
	return priority;
}

static void *lock_and_leave(void *unused)
{
	other_tid = gettid();
	reach(1);
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	reach(2);
	await(3);
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	return unused;
}

static void alone(void)
{
	pid_t me = gettid();
	struct timespec t;
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	show_word("locked", me);
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	show_word("unlocked", me);
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0));
	show_word("tried", me);
	word = 0;
	word = FUTEX_OWNER_DIED;
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	show_word("after a death", me);
	word = 0x3fffff;
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	show_word("of nobody", 0x3fffff);
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	siginfo_t info;
	MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	word = child;
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	show_word("of a zombie", child);
	MUST(waitpid(child, 0, 0));
	word = 0;
	SHOW(futex((_Atomic uint32_t *)((char *)&word + 1), FUTEX_LOCK_PI_PRIVATE, 0, 0));
	SHOW(futex((_Atomic uint32_t *)8, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, (t = (struct timespec){ 0, -1 }, &t)));
	SHOW(futex(&word, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, 0, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, 0));
}

static void handing_over(void)
{
	pthread_t thread;
	struct timespec t;
	step = 0;
	word = 0;
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	pthread_create(&thread, 0, lock_and_leave, 0);
	await(1);
	until_thread_asleep(other_tid);
	show_word("somebody waits", gettid());
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	await(2);
	show_word("handed over", other_tid);
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, (t = soon(CLOCK_REALTIME, 40), &t)));
	SHOW(futex(&word, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, 0, (t = soon(CLOCK_MONOTONIC, 40), &t)));
	SHOW(futex(&word, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, (t = soon(CLOCK_REALTIME, 40), &t)));
	reach(3);
	pthread_join(thread, 0);
	show_word("given back", 0);
}

static void *hold_and_end(void *unused)
{
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	reach(1);
	await(2);
	until_thread_asleep(getpid()); /* for the lock */
	return unused;
}

static void ending(void)
{
	pthread_t thread;
	step = 0;
	word = 0;
	pthread_create(&thread, 0, hold_and_end, 0);
	await(1);
	reach(2);
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	show_word("its owner ended", gettid());
	pthread_join(thread, 0);
	word = 0;
}

static void *wait_urgently(void *unused)
{
	struct sched_param p = { .sched_priority = 30 };
	MUST(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
	other_tid = gettid();
	reach(1);
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	MUST(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	return unused;
}

static pid_t middle_tid;
static void *in_the_middle(void *unused)
{
	middle_tid = gettid();
	MUST(futex(&second, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	reach(1);
	await(2);
	reach(3);
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	MUST(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	MUST(futex(&second, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	return unused;
}

static void *wait_for_the_middle(void *unused)
{
	struct sched_param p = { .sched_priority = 40 };
	MUST(syscall(SYS_sched_setscheduler, 0, SCHED_RR, &p));
	other_tid = gettid();
	reach(5);
	MUST(futex(&second, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	MUST(futex(&second, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	return unused;
}

static void lending(void)
{
	pthread_t thread, last;
	pid_t me = gettid();
	struct timespec t;
	step = 0;
	word = second = 0;
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	printf("before: %d\n", priority_of(me));
	pthread_create(&thread, 0, wait_urgently, 0);
	await(1);
	until_thread_asleep(other_tid);
	printf("lent: %d, policy %d\n", priority_of(me), (int)syscall(SYS_sched_getscheduler, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	printf("after: %d\n", priority_of(me));
	pthread_join(thread, 0);

	step = 0;
	MUST(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, 0));
	pthread_create(&thread, 0, in_the_middle, 0);
	await(1);
	reach(2);
	await(3);
	until_thread_asleep(middle_tid);
	printf("it waits: %d\n", priority_of(me));
	SHOW(futex(&second, FUTEX_LOCK_PI_PRIVATE, 0, (t = soon(CLOCK_REALTIME, 20), &t)));
	reach(4);
	pthread_create(&last, 0, wait_for_the_middle, 0);
	await(5);
	until_thread_asleep(other_tid);
	printf("over two locks: %d and %d\n", priority_of(middle_tid), priority_of(me));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0));
	pthread_join(thread, 0);
	pthread_join(last, 0);
	printf("at last: %d\n", priority_of(me));
}

static void mutexes(void)
{
	static pthread_mutex_t m;
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	printf("prio inherit: %d\n", pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	printf("init: %d\n", pthread_mutex_init(&m, &a));
	printf("lock: %d\n", pthread_mutex_lock(&m));
	printf("unlock: %d\n", pthread_mutex_unlock(&m));
}

/* ---- the newer calls ---- */

static long got; /* by a thread: printed when it has ended, so that lines come in one order */

static void *wait_on_second(void *unused)
{
	other_tid = gettid();
	reach(1);
	got = syscall(455, &second, 0, 0xffffffffUL, FUTEX2_U32 | 128, 0, 0);
	return unused;
}

struct waitv { uint64_t value, address; uint32_t flags, reserved; };

static pid_t waiter_tid;
static void *wait_on_any(void *unused)
{
	struct waitv v[3] = { { 0, (uintptr_t)&word, FUTEX2_U32 | 128, 0 }, { 0, (uintptr_t)&second, FUTEX2_U32 | 128, 0 },
			      { 0, (uintptr_t)&third, FUTEX2_U32, 0 } };
	waiter_tid = gettid();
	reach(1);
	got = syscall(449, v, 3, 0, 0, 0);
	return unused;
}

static void newer(void)
{
	pthread_t thread;
	struct timespec t;
	word = second = third = 0;
	SHOW(syscall(455, &word, 1, 0xffffffffUL, FUTEX2_U32, 0, 0));
	SHOW(syscall(455, &word, 0, 0, FUTEX2_U32, 0, 0));
	SHOW(syscall(455, &word, 0, 1UL << 32, FUTEX2_U32, 0, 0));
	SHOW(syscall(455, &word, 1UL << 32, 1, FUTEX2_U32, 0, 0));
	SHOW(syscall(455, &word, 0, 1, 0, 0, 0));
	SHOW(syscall(455, &word, 0, 1, 3, 0, 0));
	SHOW(syscall(455, &word, 0, 1, FUTEX2_U32 | 64, 0, 0));
	SHOW(syscall(455, &word, 0, 1, FUTEX2_U32, (t = soon(CLOCK_MONOTONIC, 30), &t), CLOCK_MONOTONIC));
	SHOW(syscall(455, &word, 0, 1, FUTEX2_U32, (t = soon(CLOCK_REALTIME, 30), &t), CLOCK_REALTIME));
	SHOW(syscall(455, &word, 0, 1, FUTEX2_U32, &t, 5));
	SHOW(syscall(455, &word, 0, 1, FUTEX2_U32, 8, CLOCK_MONOTONIC));
	SHOW(syscall(454, &word, 1, 1, FUTEX2_U32));
	SHOW(syscall(454, &word, 0, 1, FUTEX2_U32));
	SHOW(syscall(454, &word, 1, 1, 1));
	SHOW(syscall(454, (char *)&word + 2, 1, 1, FUTEX2_U32));
	step = 0;
	pthread_create(&thread, 0, wait_on_second, 0);
	await(1);
	until_thread_asleep(other_tid);
	SHOW(syscall(454, &second, 1, 0, FUTEX2_U32 | 128));
	struct waitv pair[2] = { { 0, (uintptr_t)&second, FUTEX2_U32 | 128, 0 }, { 0, (uintptr_t)&third, FUTEX2_U32 | 128, 0 } };
	SHOW(syscall(456, pair, 0, 0, 1));
	SHOW(syscall(454, &second, 1, 1, FUTEX2_U32 | 128));
	SHOW(syscall(454, &third, 1, 1, FUTEX2_U32 | 128));
	pthread_join(thread, 0);
	printf("waited: %ld\n", got);
	pair[0].value = 5;
	SHOW(syscall(456, pair, 0, 0, 1));
	SHOW(syscall(456, pair, 1, 0, 1));
	SHOW(syscall(456, 0, 0, 0, 1));
	SHOW(syscall(456, 8, 0, 0, 1));
	pair[0].value = 0;
	SHOW(syscall(456, pair, 0, -1, 1));
	pair[0].reserved = 1;
	SHOW(syscall(456, pair, 0, 0, 1));
	step = 0;
	pthread_create(&thread, 0, wait_on_any, 0);
	await(1);
	until_thread_asleep(waiter_tid);
	SHOW(futex(&second, FUTEX_WAKE_PRIVATE, 5, 0));
	pthread_join(thread, 0);
	printf("woken: %ld\n", got);
	SHOW(futex(&word, FUTEX_WAKE_PRIVATE, 5, 0));
	struct waitv v[2] = { { 0, (uintptr_t)&word, FUTEX2_U32 | 128, 0 }, { 1, (uintptr_t)&second, FUTEX2_U32 | 128, 0 } };
	SHOW(syscall(449, v, 2, 0, 0, 0));
	SHOW(syscall(449, v, 1, 0, (t = soon(CLOCK_MONOTONIC, 30), &t), CLOCK_MONOTONIC));
	SHOW(syscall(449, v, 0, 0, 0, 0));
	SHOW(syscall(449, v, 129, 0, 0, 0));
	SHOW(syscall(449, v, 2, 1, 0, 0));
	SHOW(syscall(449, 0, 2, 0, 0, 0));
	SHOW(syscall(449, v, 2, 0, &t, 9));
	v[1].flags = 0;
	SHOW(syscall(449, v, 2, 0, 0, 0));
}

/* ---- From a futex to a lock ---- */

static _Atomic uint32_t condition, mutex;
static _Atomic int woken;
static const struct timespec *wait_limit;

struct mover {
	pthread_t thread;
	_Atomic pid_t tid;
	long result;
	int error;
};

static void on_user(int signo) { (void)signo; }

static void *wait_and_lock(void *argument)
{
	struct mover *m = argument;
	m->tid = (pid_t)syscall(SYS_gettid);
	m->result = syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI, 0, wait_limit, &mutex, 0);
	m->error = errno;
	woken++;
	if (m->result == 0) {
		if ((mutex & 0x3fffffff) != (uint32_t)m->tid)
			puts("woken without the lock");
		if (futex(&mutex, FUTEX_UNLOCK_PI, 0, NULL))
			puts("the lock cannot be given back");
	}
	return NULL;
}

static void start(struct mover *m)
{
	m->tid = 0;
	MUST(pthread_create(&m->thread, NULL, wait_and_lock, m));
	while (!m->tid)
		sleep_ms(1);
	until_thread_asleep(m->tid);
}

static void finish(const char *what, struct mover *m)
{
	pthread_join(m->thread, NULL);
	printf("%s: %s\n", what, m->result ? error_name(m->error) : "has the lock");
}

static long move(uint32_t wake, long limit, uint32_t expected)
{
	return syscall(SYS_futex, &condition, FUTEX_CMP_REQUEUE_PI, wake, limit, &mutex, expected);
}

static void show_mutex(const char *what, pid_t owner)
{
	uint32_t w = mutex;
	printf("%s: owner %s%s\n", what, (w & 0x3fffffff) == 0 ? "none" : (pid_t)(w & 0x3fffffff) == owner ? "as expected" : "another",
	       w & FUTEX_WAITERS ? ", waiters" : "");
}

static void take(void)
{
	mutex = 0;
	MUST(futex(&mutex, FUTEX_LOCK_PI, 0, NULL));
}

static void requeueing(void)
{
	struct mover a, b, c;
	struct timespec limit;
	puts("--- from a futex to a lock");
	SHOW(move(1, 1, 1));
	SHOW(move(1, 1, 0));
	SHOW(move(0, 1, 0));
	SHOW(move(2, 1, 0));
	SHOW(move(1, -1, 0));
	SHOW(syscall(SYS_futex, &condition, FUTEX_CMP_REQUEUE_PI, 1, 1, &condition, 0));
	SHOW(syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &condition, 0));
	SHOW(syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &mutex, 0));
	SHOW(syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, (char *)&mutex + 1, 0));
	limit = soon(CLOCK_MONOTONIC, 10);
	SHOW(syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI, 0, &limit, &mutex, 0));
	limit = soon(CLOCK_REALTIME, 10);
	SHOW(syscall(SYS_futex, &condition, FUTEX_WAIT_REQUEUE_PI | FUTEX_CLOCK_REALTIME, 0, &limit, &mutex, 0));

	/* The lock is free: the first has it. */
	mutex = 0;
	start(&a);
	SHOW(move(1, 0, 0));
	finish("alone", &a);
	show_mutex("after", 0);
	start(&a);
	start(&b);
	start(&c);
	SHOW(move(1, 1, 0));
	finish("first", &a);
	finish("second", &b);
	SHOW(move(1, 1000, 0));
	finish("third", &c);
	show_mutex("after", 0);

	/* The lock is taken: they wait for it. */
	take();
	woken = 0;
	start(&a);
	start(&b);
	start(&c);
	SHOW(futex(&condition, FUTEX_WAKE, 1, NULL));
	SHOW(syscall(SYS_futex, &condition, FUTEX_REQUEUE, 0, 10, &third, 0));
	SHOW(move(1, 1, 0));
	show_mutex("taken", getpid());
	sleep_ms(5);
	printf("woken %d\n", woken);
	SHOW(futex(&mutex, FUTEX_UNLOCK_PI, 0, NULL));
	finish("first", &a);
	finish("second", &b);
	take();
	SHOW(move(1, 0, 0));
	SHOW(move(1, 0, 0));
	SHOW(futex(&mutex, FUTEX_UNLOCK_PI, 0, NULL));
	finish("third", &c);
	show_mutex("after", 0);

	/* The wrong lock; and those who only wait. */
	start(&a);
	SHOW(syscall(SYS_futex, &condition, FUTEX_CMP_REQUEUE_PI, 1, 1, &third, 0));
	SHOW(move(1, 1, 0));
	finish("the right lock", &a);

	/* Too late, and signals. */
	take();
	limit = soon(CLOCK_MONOTONIC, 5000);
	wait_limit = &limit;
	start(&a);
	SHOW(move(1, 1, 0));
	finish("after the time", &a);
	wait_limit = NULL;
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_user }, NULL);
	start(&a);
	SHOW(move(1, 1, 0));
	syscall(SYS_tgkill, getpid(), a.tid, SIGUSR1);
	finish("a signal while it waits for the lock", &a);
	start(&a);
	syscall(SYS_tgkill, getpid(), a.tid, SIGUSR1);
	sleep_ms(5);
	until_thread_asleep(a.tid);
	SHOW(move(1, 1, 0));
	SHOW(futex(&mutex, FUTEX_UNLOCK_PI, 0, NULL));
	finish("a signal before", &a);
	show_mutex("after", 0);
}

int main(void)
{
	alone();
	handing_over();
	ending();
	lending();
	mutexes();
	newer();
	requeueing();
	return 0;
}
