/* Covers: seccomp with threads: SECCOMP_FILTER_FLAG_TSYNC and TSYNC_ESRCH, a thread that is killed alone, the leader, strict mode of one thread;
 * PR_SET_NO_NEW_PRIVS of one thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include "seccomp_case.h"

enum { THREADS = 3 };

static pthread_barrier_t begin, end;
static volatile int tid;
static int (*volatile work)(void);

static void *worker(void *argument)
{
	tid = (int)syscall(SYS_gettid);
	if (work)
		work();
	pthread_barrier_wait(&begin);
	pthread_barrier_wait(&end);
	int number = (int)(long)argument;
	for (int turn = 0; turn < THREADS; turn++) {
		if (turn == number) {
			printf("thread %d: ", number);
			SHOW(victim());
			SHOW(prctl(PR_GET_SECCOMP));
			SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
		}
		pthread_barrier_wait(&begin);
	}
	return 0;
}

static void prepare(int threads)
{
	pthread_barrier_init(&begin, 0, (unsigned)threads + 1);
	pthread_barrier_init(&end, 0, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++) {
		pthread_t thread;
		pthread_create(&thread, 0, worker, (void *)(long)i);
	}
	pthread_barrier_wait(&begin);
}

static void let_them_show(void)
{
	pthread_barrier_wait(&end);
	for (int turn = 0; turn < THREADS; turn++)
		pthread_barrier_wait(&begin);
}

static int own_filter(void) { return (int)MUST(answer_call(0, SYS_getgid, SECCOMP_RET_ERRNO | 9)); }
static int own_promise(void) { return (int)MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

static void synchronize(void)
{
	puts("--- all threads");
	IN_CHILD(prepare(THREADS); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); SHOW(answer_call(SECCOMP_FILTER_FLAG_TSYNC, VICTIM, SECCOMP_RET_ERRNO | 7));
		 SHOW(victim()); let_them_show());
	puts("some below");
	IN_CHILD(own_filter(); prepare(THREADS); SHOW(answer_call(SECCOMP_FILTER_FLAG_TSYNC, VICTIM, SECCOMP_RET_ERRNO | 7));
		 SHOW(answer_call(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, VICTIM, SECCOMP_RET_ERRNO | 8)); let_them_show();
		 show_lines("/proc/self/status", "Seccomp"));
	puts("one that differs");
	IN_CHILD(work = own_filter; prepare(1); long got = answer_call(SECCOMP_FILTER_FLAG_TSYNC, VICTIM, SECCOMP_RET_ERRNO | 7); CHECK(got == tid);
		 SHOW(answer_call(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, VICTIM, SECCOMP_RET_ERRNO | 7));
		 SHOW(victim()); SHOW(prctl(PR_GET_SECCOMP)); SHOW(answer_call(0, VICTIM, SECCOMP_RET_ERRNO | 6));
		 CHECK(answer_call(SECCOMP_FILTER_FLAG_TSYNC, VICTIM, SECCOMP_RET_ERRNO | 7) == tid); SHOW(victim()));
	puts("not for others");
	IN_CHILD(prepare(THREADS); SHOW(answer_call(SECCOMP_FILTER_FLAG_TSYNC_ESRCH, VICTIM, SECCOMP_RET_ERRNO | 7)); let_them_show());
	puts("a promise of one");
	IN_CHILD(work = own_promise; prepare(1); SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); show_lines("/proc/self/status", "NoNewPrivs"));
}

static volatile int release_one;

static void *calls_victim(void *argument)
{
	tid = (int)syscall(SYS_gettid);
	while (!release_one)
		sched_yield();
	victim();
	puts("the thread goes on");
	return 0;
}

static void *calls_victim_strictly(void *argument)
{
	tid = (int)syscall(SYS_gettid);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	victim();
	return 0;
}

static void await_end(int thread)
{
	while (syscall(SYS_tgkill, getpid(), thread, 0) == 0)
		sched_yield();
}

static void await_leader(void)
{
	char text[64] = "";
	do {
		int fd = open("/proc/self/stat", O_RDONLY);
		read(fd, text, sizeof text - 1);
		close(fd);
	} while (!strstr(text, ") Z "));
}

static void *ends_last(void *argument)
{
	await_leader();
	puts("the leader is gone");
	fflush(stdout);
	syscall(argument ? SYS_exit_group : SYS_exit, 6);
	return 0;
}

static void start(void *(*routine)(void *), void *argument)
{
	pthread_t thread;
	tid = 0;
	pthread_create(&thread, 0, routine, argument);
}

static void kills(void)
{
	puts("--- killed alone");
	IN_CHILD(MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_THREAD)); start(calls_victim, 0); while (!tid) sched_yield(); release_one = 1;
		 await_end(tid); puts("the process lives"); _exit(3));
	IN_CHILD(MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_PROCESS)); start(calls_victim, 0); while (!tid) sched_yield(); release_one = 1;
		 await_end(tid); puts("the process lives"); _exit(3));
	IN_CHILD(MUST(answer_call(0, VICTIM, 0x00020000)); start(calls_victim, 0); while (!tid) sched_yield(); release_one = 1;
		 await_end(tid); puts("the process lives"); _exit(3));
	IN_CHILD(start(calls_victim_strictly, 0); while (!tid) sched_yield(); await_end(tid); puts("the process lives"); _exit(4));
	IN_CHILD(MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_THREAD)); start(calls_victim, 0); while (!tid) sched_yield(); release_one = 1;
		 await_end(tid); victim());
}

static void leaders(void)
{
	puts("--- the leader");
	IN_CHILD(MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_THREAD)); start(ends_last, (void *)1); victim());
	IN_CHILD(MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_THREAD)); start(ends_last, 0); victim());
}

int main(void)
{
	synchronize();
	kills();
	leaders();
	return 0;
}
