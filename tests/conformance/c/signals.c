/* Covers: rt_sigaction (SA_SIGINFO SA_RESTART SA_NODEFER SA_RESETHAND SA_ONSTACK), rt_sigprocmask, rt_sigpending, rt_sigsuspend, rt_sigtimedwait, rt_sigqueueinfo, kill, tgkill, tkill, pause, sigaltstack; nesting and order. */
#include "case.h"

static volatile int depth, deepest, count, raised;
static volatile siginfo_t last;

static void plain(int number)
{
	printf("caught %d\n", number);
}

static void nested(int number)
{
	if (++depth > deepest)
		deepest = depth;
	if (raised++ < 2)
		raise(number);
	depth--;
}

static void with_info(int number, siginfo_t *info, void *context)
{
	count++;
	printf("caught %d code %d value %d self %d\n", number, info->si_code, info->si_value.sival_int, info->si_pid == getpid());
}

static void on_stack(int number)
{
	char here;
	stack_t stack;
	sigaltstack(0, &stack);
	printf("on the alternate stack: %d, flags %d\n",
		&here >= (char *)stack.ss_sp && &here < (char *)stack.ss_sp + stack.ss_size, stack.ss_flags);
	SHOW(sigaltstack(&stack, 0));
}

static void install(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	MUST(sigaction(number, &action, 0));
}

static sigset_t only(int number)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, number);
	return set;
}

int main(void)
{
	struct sigaction action, old;
	sigset_t set, pending, usr1 = only(SIGUSR1);
	install(SIGUSR1, plain, 0);
	SHOW(raise(SIGUSR1));
	SHOW(kill(getpid(), SIGUSR1));
	SHOW(kill(getpid(), 0));
	SHOW(kill(getpid(), 65));
	SHOW(kill(getpid(), -1));
	SHOW(kill(999999, 0));
	SHOW(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
	SHOW(syscall(SYS_tgkill, 1, getpid(), SIGUSR1));
	SHOW(syscall(SYS_tgkill, -1, getpid(), SIGUSR1));
	SHOW(syscall(SYS_tkill, getpid(), SIGUSR1));
	SHOW(syscall(SYS_tkill, 0, SIGUSR1));

	memset(&action, 0, sizeof action);
	action.sa_handler = plain;
	SHOW(sigaction(SIGKILL, &action, 0));
	SHOW(sigaction(SIGSTOP, &action, 0));
	SHOW(sigaction(SIGKILL, 0, &old));
	SHOW(syscall(SYS_rt_sigaction, 0, 0, 0, 8));
	SHOW(syscall(SYS_rt_sigaction, 65, 0, 0, 8));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, 0, 0, 4));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, 0, 8));
	SHOW(syscall(SYS_rt_sigprocmask, 99, &usr1, 0, 8));
	SHOW(syscall(SYS_rt_sigprocmask, 0, &usr1, 0, 4));
	SHOW(syscall(SYS_rt_sigprocmask, 0, (void *)8, 0, 8));

	/* Blocked signals wait; the same one waits once. */
	SHOW(sigprocmask(SIG_BLOCK, &usr1, 0));
	raise(SIGUSR1), raise(SIGUSR1), raise(SIGUSR1);
	sigpending(&pending);
	printf("pending %d\n", sigismember(&pending, SIGUSR1));
	SHOW(sigprocmask(SIG_UNBLOCK, &usr1, &set));
	printf("was blocked %d\n", sigismember(&set, SIGUSR1));
	SHOW(sigprocmask(SIG_BLOCK, &usr1, 0));
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	sigpending(&pending);
	printf("pending after being ignored %d\n", sigismember(&pending, SIGUSR1));
	install(SIGUSR1, plain, 0);
	SHOW(sigprocmask(SIG_UNBLOCK, &usr1, 0));
	sigfillset(&set);
	SHOW(sigprocmask(SIG_BLOCK, &set, 0));
	sigprocmask(SIG_BLOCK, 0, &set);
	printf("SIGKILL blocked %d, SIGSTOP blocked %d\n", sigismember(&set, SIGKILL), sigismember(&set, SIGSTOP));
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, 0);

	/* Flags. */
	install(SIGUSR2, nested, 0);
	raised = deepest = 0, raise(SIGUSR2);
	printf("without SA_NODEFER: depth %d\n", deepest);
	sleep_ms(1);
	install(SIGUSR2, nested, SA_NODEFER);
	depth = deepest = raised = 0, raise(SIGUSR2);
	printf("with SA_NODEFER: depth %d\n", deepest);
	install(SIGUSR2, plain, SA_RESETHAND);
	raise(SIGUSR2);
	sigaction(SIGUSR2, 0, &old);
	CHECK(old.sa_handler == SIG_DFL);
	memset(&action, 0, sizeof action);
	action.sa_sigaction = with_info;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGUSR2, &action, 0);
	raise(SIGUSR2);
	kill(getpid(), SIGUSR2);
	SHOW(sigqueue(getpid(), SIGUSR2, (union sigval){ .sival_int = 17 }));

	/* Real-time signals queue, lowest number first. */
	for (int number = SIGRTMIN; number < SIGRTMIN + 3; number++)
		sigaction(number, &action, 0);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, 0);
	for (int i = 0; i < 3; i++)
		for (int number = SIGRTMIN + 2; number >= SIGRTMIN; number--)
			sigqueue(getpid(), number, (union sigval){ .sival_int = i });
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, 0);
	printf("%d signals\n", count);

	/* Waiting. */
	sigprocmask(SIG_BLOCK, &usr1, 0);
	raise(SIGUSR1);
	siginfo_t info;
	struct timespec short_time = { 0, 20000000 }, bad_time = { 0, -1 }, none = { 0, 0 };
	SHOW(sigtimedwait(&usr1, &info, &short_time));
	SHOW(sigtimedwait(&usr1, &info, &short_time));
	SHOW(sigtimedwait(&usr1, &info, &bad_time));
	SHOW(sigtimedwait(&usr1, &info, &none));
	SHOW(syscall(SYS_rt_sigtimedwait, (void *)8, &info, &none, 8));
	raise(SIGUSR1);
	sigset_t empty;
	sigemptyset(&empty);
	SHOW(sigsuspend(&empty));
	sigprocmask(SIG_BLOCK, 0, &set);
	printf("blocked again %d\n", sigismember(&set, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &usr1, 0);
	install(SIGALRM, plain, 0);
	pid_t helper = signal_in_sleep(SIGALRM);
	SHOW(pause());
	show_end(helper);

	/* The alternate stack. */
	static char memory[32768];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory }, small = { .ss_sp = memory, .ss_size = 10 }, got;
	SHOW(sigaltstack(&small, 0));
	SHOW(sigaltstack(&stack, 0));
	SHOW(sigaltstack(0, &got));
	printf("flags %d size %zu\n", got.ss_flags, got.ss_size);
	install(SIGUSR1, on_stack, SA_ONSTACK);
	raise(SIGUSR1);
	stack.ss_flags = 99;
	SHOW(sigaltstack(&stack, 0));
	SHOW(syscall(SYS_sigaltstack, (void *)8, 0));

	/* Interrupted and restarted calls. */
	int pipes[2];
	MUST(pipe(pipes));
	char byte;
	install(SIGALRM, plain, 0);
	helper = signal_in_sleep(SIGALRM);
	SHOW(read(pipes[0], &byte, 1));
	show_end(helper);
	install(SIGALRM, plain, SA_RESTART);
	helper = fork();
	if (helper == 0) {
		until_asleep(getppid());
		kill(getppid(), SIGALRM);
		sleep_ms(100);
		write(pipes[1], "x", 1);
		_exit(0);
	}
	SHOW(read(pipes[0], &byte, 1));
	waitpid(helper, 0, 0);
	struct timespec left = { 0, 0 };
	helper = signal_in_sleep(SIGALRM);
	SHOW(nanosleep(&(struct timespec){ 300, 0 }, &left));
	CHECK(left.tv_sec >= 200 && left.tv_sec <= 300);
	while (waitpid(helper, 0, 0) == -1)
		;

	/* What signals do that nobody has changed. */
	for (int number = 1; number < 32; number++) {
		if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU || number == SIGCHLD)
			continue;
		printf("%d: ", number);
		IN_CHILD(signal(number, SIG_DFL); raise(number));
	}
	printf("real-time: ");
	IN_CHILD(signal(SIGRTMIN + 5, SIG_DFL); raise(SIGRTMIN + 5));
	/* A user may not signal another user's process. */
	IN_CHILD(MUST(setuid(1000)); SHOW(kill(getppid(), 0)); SHOW(kill(1, SIGTERM)); SHOW(kill(-1, 0) == 0));
	return 0;
}
