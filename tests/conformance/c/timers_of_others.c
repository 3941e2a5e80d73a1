/* Covers: timers and sleeps on the processor time of other processes and threads: timer_create(2), timer_settime(2), timer_gettime(2) and
 * clock_nanosleep(2) with the clocks of clock_getcpuclockid(3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
#include "case.h"

#define SECOND 1000000000L
static int timer;
enum { PROFILE, USER_TIME, ALL };

static int clock_of(int pid, int kind)
{
	return (int)(~(unsigned)pid << 3) | kind;
}

static long settime(int flags, long ns, long every)
{
	long spec[4] = { every / SECOND, every % SECOND, ns / SECOND, ns % SECOND };
	return syscall(SYS_timer_settime, timer, flags, spec, 0);
}

static void show_left(void)
{
	long spec[4] = { 9, 9, 9, 9 };
	long r = syscall(SYS_timer_gettime, timer, spec);
	if (r)
		printf("left: %s\n", error_name(errno));
	else
		printf("left: %s, every %ld.%09ld\n", spec[2] || spec[3] > 1 ? "some" : spec[3] ? "1 ns" : "none", spec[0], spec[1]);
}

static long create(int clock, int notify)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 7 };
	return syscall(SYS_timer_create, clock, &event, &timer);
}

static void show_signal(int is_due)
{
	sigset_t set;
	siginfo_t info = { 0 };
	struct timespec patience = { is_due ? 60 : 0, 0 };
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	int got = sigtimedwait(&set, &info, &patience);
	if (got < 0)
		printf("signal: %s\n", error_name(errno));
	else
		printf("signal %d, code %d, value %d\n", got, info.si_code, info.si_value.sival_int);
}

/* A child that computes, or sleeps. */
static pid_t child_of(int computes)
{
	fflush(stdout);
	pid_t parent = getpid(), pid = (pid_t)MUST(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		while (!computes)
			pause();
		for (volatile long i = 0;; i++)
			;
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	MUST(waitpid(pid, 0, 0));
}

static void create_all(const char *what, int pid)
{
	for (int kind = 0; kind < 8; kind++) {
		long r = create(clock_of(pid, kind), SIGEV_SIGNAL);
		printf("timer on %s, kind %d: %s\n", what, kind, r ? error_name(errno) : "ok");
		if (r == 0)
			MUST(syscall(SYS_timer_delete, timer));
		struct timespec none = { 0, 0 }, invalid = { 0, SECOND };
		r = syscall(SYS_clock_nanosleep, clock_of(pid, kind), TIMER_ABSTIME, &none, 0);
		printf("sleep on %s, kind %d: %s", what, kind, r ? error_name(errno) : "ok");
		r = syscall(SYS_clock_nanosleep, clock_of(pid, kind), 0, &none, 0);
		printf(", %s", r ? error_name(errno) : "ok");
		r = syscall(SYS_clock_nanosleep, clock_of(pid, kind), 0, &invalid, 0);
		printf(", %s\n", r ? error_name(errno) : "ok");
	}
}

static void computing(int kind)
{
	printf("--- of a child that computes, kind %d\n", kind);
	pid_t child = child_of(1);
	SHOW(create(clock_of(child, kind), SIGEV_SIGNAL));
	show_left();
	SHOW(settime(0, 20000000, 0));
	show_signal(1);
	show_left();
	SHOW(settime(0, 3600 * SECOND, 5));
	show_left();
	SHOW(settime(TIMER_ABSTIME, 1, 0));
	show_signal(1);
	SHOW(settime(0, 10000000, 300000000)); /* until it is stopped, the child has no third one's time, however late we are */
	show_signal(1);
	show_signal(1);
	SHOW(settime(0, 0, 5));
	show_left();
	SHOW(settime(0, 0, 0));
	show_signal(0);
	show_left();
	struct timespec some = { 0, 30000000 }, one = { 0, 1 };
	SHOW(syscall(SYS_clock_nanosleep, clock_of(child, kind), 0, &some, 0));
	SHOW(syscall(SYS_clock_nanosleep, clock_of(child, kind), TIMER_ABSTIME, &one, 0));
	/* The timer outlives the process. */
	SHOW(settime(0, 3600 * SECOND, 7 * SECOND));
	MUST(kill(child, SIGKILL));
	siginfo_t info;
	MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	show_left();
	SHOW(settime(0, 3600 * SECOND, 7 * SECOND));
	show_left();
	SHOW(settime(TIMER_ABSTIME, 1, 0));
	show_signal(0);
	MUST(waitpid(child, 0, 0));
	show_left();
	SHOW(settime(0, 3600 * SECOND, 0));
	SHOW(settime(TIMER_ABSTIME, 1, 0));
	SHOW(settime(0, 0, 0));
	show_left();
	SHOW(syscall(SYS_timer_getoverrun, timer));
	SHOW(syscall(SYS_timer_delete, timer));
	SHOW(syscall(SYS_timer_delete, timer));
	SHOW(create(clock_of(child, kind), SIGEV_SIGNAL));
	SHOW(syscall(SYS_clock_nanosleep, clock_of(child, kind), 0, &one, 0));
}

static void silent(int pid, const char *whose)
{
	printf("--- without a signal, of %s\n", whose);
	SHOW(create(clock_of(pid, ALL), SIGEV_NONE));
	SHOW(settime(TIMER_ABSTIME, 1, 0));
	show_left();
	SHOW(settime(0, 3600 * SECOND, 0));
	show_left();
	SHOW(settime(TIMER_ABSTIME, 1, 3600 * SECOND));
	show_left();
	SHOW(syscall(SYS_timer_delete, timer));
}

static volatile int stops;
static volatile int thread_id;

static void *other_thread(void *unused)
{
	thread_id = (int)syscall(SYS_gettid);
	while (!stops)
		;
	return unused;
}

static void threads(void)
{
	pthread_t thread;
	puts("--- of another thread");
	MUST(pthread_create(&thread, 0, other_thread, 0));
	while (!thread_id)
		sched_yield();
	create_all("the process, by another thread's number", thread_id);
	SHOW(create(clock_of(thread_id, 4 | ALL), SIGEV_SIGNAL));
	SHOW(settime(0, 10000000, 0));
	show_signal(1);
	struct timespec some = { 0, 20000000 };
	SHOW(syscall(SYS_clock_nanosleep, clock_of(thread_id, 4 | ALL), 0, &some, 0));
	SHOW(settime(0, 3600 * SECOND, 3));
	stops = 1;
	pthread_join(thread, 0);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d", thread_id);
	while (access(path, F_OK) == 0)
		sched_yield();
	show_left();
	SHOW(settime(0, 3600 * SECOND, 0));
	SHOW(settime(TIMER_ABSTIME, 1, 0));
	SHOW(settime(0, 0, 0));
	show_left();
	SHOW(syscall(SYS_timer_delete, timer));
}

/* A timer of a process on the time of its parent, which executes no other program meanwhile, and one across exec. */
static void others(void)
{
	puts("--- of the parent");
	IN_CHILD({
		int parent = getppid();
		SHOW(create(clock_of(parent, ALL), SIGEV_SIGNAL));
		SHOW(settime(TIMER_ABSTIME, 1, 0));
		show_signal(1);
		SHOW(settime(0, 3600 * SECOND, 0));
		show_left();
	});
	IN_CHILD({
		int parent = getppid();
		MUST(setuid(1000));
		SHOW(create(clock_of(parent, ALL), SIGEV_SIGNAL));
		SHOW(create(clock_of(1, ALL), SIGEV_SIGNAL));
		SHOW(create(clock_of(1, 4 | ALL), SIGEV_SIGNAL));
		SHOW(create(clock_of(4000001, ALL), SIGEV_SIGNAL));
	});
}

int main(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	pid_t sleeper = child_of(0);
	create_all("nobody", 0);
	create_all("itself", getpid());
	create_all("a child", sleeper);
	create_all("process 1", 1);
	create_all("no process", 4000000);
	computing(ALL);
	computing(PROFILE);
	computing(USER_TIME);
	silent(sleeper, "a child");
	silent(getpid(), "itself");
	threads();
	others();
	end_child(sleeper);
	return 0;
}
