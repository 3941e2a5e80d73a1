/* Covers: rt_sigprocmask, sigaltstack, rt_sigpending, rt_tgsigqueueinfo and kill while others send signals to a thread that blocks and unblocks them: each is handled, none while it is blocked, none is left to a thread that blocks it; odd arguments. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUEUED 1500
#define AT_ONCE 50 /* queued at most */
#define ROUNDS 250
#define PATIENCE 20000 /* ms */

static atomic_int handled, handled_blocked, on_stack, sent, ends;
static atomic_int by_other;
static __thread volatile sig_atomic_t blocks;
static __thread volatile sig_atomic_t is_other;

static void handle(int number)
{
	stack_t stack;
	(void)number;
	handled_blocked += blocks;
	by_other += is_other;
	if (sigaltstack(0, &stack) == 0 && stack.ss_flags & SS_ONSTACK)
		on_stack++;
	handled++;
}

static void install(int number)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
	sigaction(number, &action, 0);
}

static void change(int how, int number)
{
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, number);
	if (how == SIG_UNBLOCK)
		blocks = 0;
	pthread_sigmask(how, &mask, 0);
	if (how == SIG_BLOCK)
		blocks = 1;
}

static int waits_for(atomic_int *count, int wanted)
{
	struct timespec nap = {0, 1000000};
	for (int i = 0; i < PATIENCE && *count < wanted; i++) {
		if (i < 200)
			sched_yield();
		else
			nanosleep(&nap, 0);
	}
	return *count >= wanted;
}

/* Queued signals, counted ----------------------------------------------------------------------------------------- */

static pid_t target;

static void *queue_all(void *argument)
{
	int number = SIGRTMIN;
	(void)argument;
	for (int i = 0; i < QUEUED; i++) {
		while (sent - handled > AT_ONCE)
			sched_yield();
		siginfo_t info = {.si_code = SI_QUEUE, .si_pid = getpid()};
		if (syscall(SYS_rt_tgsigqueueinfo, getpid(), target, number, &info) != 0)
			break;
		sent++;
	}
	ends = 1;
	return 0;
}

static void queued(void)
{
	pthread_t sender;
	sigset_t pending, other;
	int odd = 0;
	long rounds = 0;
	install(SIGRTMIN);
	target = gettid();
	pthread_create(&sender, 0, queue_all, 0);
	while (!ends) {
		change(SIG_BLOCK, SIGRTMIN);
		change(SIG_UNBLOCK, SIGRTMIN);
		sigpending(&pending);
		odd += sigismember(&pending, SIGRTMIN); /* what is not blocked has been handled */
		change(SIG_BLOCK, SIGRTMIN);
		pthread_sigmask(SIG_BLOCK, 0, &other);
		odd += !sigismember(&other, SIGRTMIN);
		int before = handled;
		for (volatile int i = 0; i < 100; i++)
			;
		odd += handled != before;
		sigpending(&pending);
		change(SIG_UNBLOCK, SIGRTMIN);
		odd += sigismember(&pending, SIGRTMIN) && handled == before; /* one is handled before the call returns */
		rounds++;
	}
	pthread_join(sender, 0);
	printf("queued %d, handled %d, while blocked %d, odd %d\n", sent, handled, handled_blocked, odd);
}

/* Signals for the process, while one of its threads ends its changes with the signal blocked, or not ------------------ */

static void *others_life(void *argument)
{
	char byte;
	is_other = 1;
	if (read(*(int *)argument, &byte, 1) != 0)
		abort();
	return 0;
}

static pid_t send_once(int *ready)
{
	pid_t child = fork();
	if (child != 0)
		return child;
	kill(getppid(), SIGUSR1);
	if (write(*ready, ".", 1) != 1)
		abort();
	_exit(0);
}

static void rounds(const char *name, int last, int with_other)
{
	int told[2], idle[2], lost = 0;
	char byte;
	pthread_t other;
	handled = handled_blocked = by_other = 0;
	install(SIGUSR1);
	if (pipe(told) != 0 || pipe(idle) != 0)
		abort();
	if (with_other)
		pthread_create(&other, 0, others_life, &idle[0]);
	for (int i = 0; i < ROUNDS; i++) {
		pid_t child = send_once(&told[1]);
		for (int turn = 0; turn < i % 40; turn++) {
			change(SIG_BLOCK, SIGUSR1);
			change(SIG_UNBLOCK, SIGUSR1);
		}
		if (last == SIG_BLOCK)
			change(SIG_BLOCK, SIGUSR1);
		if (read(told[0], &byte, 1) != 1) /* a sleep that looks for no signals itself */
			abort();
		if (last == SIG_UNBLOCK && !with_other)
			lost += handled != i + 1; /* it came before the byte */
		else
			lost += !waits_for(&handled, i + 1);
		waitpid(child, 0, 0);
		change(SIG_UNBLOCK, SIGUSR1);
		handled = i + 1;
	}
	close(idle[1]);
	if (with_other)
		pthread_join(other, 0);
	close(idle[0]);
	close(told[0]);
	close(told[1]);
	printf("%s: lost %d, while blocked %d\n", name, lost, handled_blocked);
}

/* The alternate stack ---------------------------------------------------------------------------------------------- */

static void stacks(void)
{
	static char places[2][1 << 16];
	stack_t stack = {.ss_sp = places[0], .ss_size = sizeof places[0]}, found;
	on_stack = 0;
	install(SIGUSR2);
	for (int i = 0; i < 100; i++) {
		stack.ss_sp = places[i % 2];
		if (sigaltstack(&stack, 0) != 0 || sigaltstack(0, &found) != 0)
			abort();
		if (found.ss_sp != stack.ss_sp || found.ss_size != stack.ss_size || found.ss_flags != 0)
			abort();
		raise(SIGUSR2);
	}
	printf("on the other stack: %d\n", on_stack);
	stack.ss_size = 100;
	int result = sigaltstack(&stack, 0);
	printf("small: %s\n", result == 0 ? "taken" : strerror(errno));
	stack.ss_size = sizeof places[0];
	stack.ss_flags = 5;
	result = sigaltstack(&stack, 0);
	printf("flags: %s\n", result == 0 ? "taken" : strerror(errno));
	stack.ss_flags = SS_DISABLE;
	result = sigaltstack(&stack, &found);
	printf("off: %d, was %d\n", result, found.ss_flags);
	sigaltstack(0, &found);
	printf("is off: %d, size %zu\n", found.ss_flags, found.ss_size);
}

/* Odd arguments ---------------------------------------------------------------------------------------------------- */

static void say(const char *what, long result)
{
	printf("%s: %s\n", what, result == 0 ? "done" : strerror(errno));
}

static void odd_arguments(void)
{
	uint64_t words[2] = {1 << (SIGUSR1 - 1), 0}, now = 0;
	char *hole = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("size", syscall(SYS_rt_sigprocmask, SIG_BLOCK, words, 0, 4));
	say("how", syscall(SYS_rt_sigprocmask, 7, words, words + 1, 8));
	say("how, nothing new", syscall(SYS_rt_sigprocmask, 7, 0, words + 1, 8));
	say("from a hole", syscall(SYS_rt_sigprocmask, SIG_BLOCK, hole, words + 1, 8));
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, &now, 8);
	printf("blocked: %#lx\n", (long)now);
	say("to a hole", syscall(SYS_rt_sigprocmask, SIG_BLOCK, words, hole, 8));
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, words, &now, 8);
	printf("blocked: %#lx\n", (long)now);
	say("to the kernel", syscall(SYS_rt_sigprocmask, SIG_BLOCK, words, -8L, 8));
	syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, words, &now, 8);
	printf("blocked: %#lx\n", (long)now);
	say("in place", syscall(SYS_rt_sigprocmask, SIG_BLOCK, words, words, 8));
	printf("was blocked: %#lx\n", (long)words[0]);
	words[0] = ~0UL;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, words, 0, 8);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, &now, 8);
	printf("all but: %#lx\n", (long)~now);
	words[0] = 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, words, 0, 8);
	say("pending to a hole", syscall(SYS_rt_sigpending, hole, 8));
	say("pending of four", syscall(SYS_rt_sigpending, words, 4));
	say("pending of nine", syscall(SYS_rt_sigpending, words, 9));
	say("stack from a hole", syscall(SYS_sigaltstack, hole, 0));
	say("stack to a hole", syscall(SYS_sigaltstack, 0, hole));
	munmap(hole, 4096);
}

/* A signal that only the old mask lets in: its handler has run when the call returns ----------------------------------- */

static void let_in(void)
{
	struct itimerval soon = {.it_value = {0, 10000}};
	struct timespec later = {0, 40000000};
	struct epoll_event event;
	sigset_t alarms;
	int poller = epoll_create1(0);
	install(SIGALRM);
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	for (int call = 0; call < 3; call++) {
		int result, by_then;
		handled = 0;
		setitimer(ITIMER_REAL, &soon, 0);
		if (call == 0)
			result = ppoll(0, 0, &later, &alarms);
		else if (call == 1)
			result = pselect(0, 0, 0, 0, &later, &alarms);
		else
			result = epoll_pwait(poller, &event, 1, 40, &alarms);
		by_then = handled;
		printf("let in after call %d, which returned %d: %d handled\n", call, result, by_then);
	}
	close(poller);
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	queued();
	rounds("alone, not blocked in the end", SIG_UNBLOCK, 0);
	rounds("blocked in the end", SIG_BLOCK, 1);
	stacks();
	odd_arguments();
	let_in();
	return 0;
}
