/* Covers: sigaltstack: SS_DISABLE SS_AUTODISARM, sizes, on-stack; rt_sigaction: SA_SIGINFO SA_RESTART SA_NODEFER SA_RESETHAND SA_ONSTACK SA_NOCLDWAIT
 * SA_NOCLDSTOP; rt_sigqueueinfo, rt_tgsigqueueinfo, sigtimedwait, sigpending, sigsuspend, tgkill, tkill; order and queueing of signals. */
#define _GNU_SOURCE
#include <ucontext.h>
#include "case.h"

static volatile sig_atomic_t count, last_code, last_value, last_pid_is_mine, on_alternate, depth, most_depth;
static char order[64];

static void collect(int signal, siginfo_t *info, void *context)
{
	(void)context;
	stack_t now;
	sigaltstack(NULL, &now);
	on_alternate = (now.ss_flags & SS_ONSTACK) != 0;
	depth++;
	if (depth > most_depth)
		most_depth = depth;
	count++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	last_pid_is_mine = info->si_pid == getpid();
	size_t length = strlen(order);
	if (length < sizeof order - 4)
		sprintf(order + length, "%d ", signal);
	if (signal == SIGUSR1 && count < 3)
		raise(SIGUSR1);
	depth--;
}

static void install(int signal, int flags)
{
	struct sigaction action = { .sa_sigaction = collect, .sa_flags = flags | SA_SIGINFO };
	SHOW(sigaction(signal, &action, NULL));
	count = depth = most_depth = 0;
	order[0] = 0;
}

static void show_info(const char *what, long result, siginfo_t *info)
{
	if (result == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: signal %ld, code %d, value %d, pid %s\n", what, result, info->si_code, info->si_value.sival_int, info->si_pid == getpid() ? "own" : "other");
}

/* Any address and size is a stack, until a signal is to use it. */
static void strange_stacks(void)
{
	static const struct { unsigned long at, size; } stacks[] = {
		{ -14ul, 2647 }, { -14ul, 65536 }, { 0, 65536 }, { 1ul << 63, 4096 }, { 1ul << 47, 4096 }, { PAGE, -1ul }, { -1ul, -1ul }, { 1ul << 63, 1ul << 63 },
	};
	for (unsigned i = 0; i < sizeof stacks / sizeof *stacks; i++) {
		stack_t s = { .ss_sp = (void *)stacks[i].at, .ss_size = stacks[i].size }, old;
		SHOW(syscall(SYS_sigaltstack, &s, NULL));
		MUST(syscall(SYS_sigaltstack, NULL, &old));
		printf("%#lx %#lx flags %d\n", (long)old.ss_sp, old.ss_size, old.ss_flags);
		IN_CHILD(install(SIGUSR2, SA_ONSTACK); raise(SIGUSR2); puts("survived"));
	}
}

int main(void)
{
	IN_CHILD(strange_stacks());
	static char stack[65536], small[1024];
	stack_t s = { .ss_sp = stack, .ss_size = sizeof stack }, old;
	SHOW(sigaltstack(NULL, &old));
	printf("flags %d size %zu\n", old.ss_flags, old.ss_size);
	SHOW(sigaltstack(&s, NULL));
	SHOW(sigaltstack(NULL, &old));
	printf("same %d flags %d size %zu\n", old.ss_sp == stack, old.ss_flags, old.ss_size);
	stack_t bad = { .ss_sp = small, .ss_size = sizeof small };
	SHOW(sigaltstack(&bad, NULL));
	bad.ss_flags = 4;
	bad.ss_size = sizeof stack;
	SHOW(sigaltstack(&bad, NULL));
	SHOW(syscall(SYS_sigaltstack, (void *)1, NULL));
	install(SIGUSR2, SA_ONSTACK);
	raise(SIGUSR2);
	printf("on the alternate stack: %d\n", on_alternate);
	install(SIGUSR2, 0);
	raise(SIGUSR2);
	printf("on the alternate stack: %d\n", on_alternate);
	s.ss_flags = 1u << 31;
	SHOW(sigaltstack(&s, NULL));
	install(SIGUSR2, SA_ONSTACK);
	raise(SIGUSR2);
	printf("disarmed in the handler: %d\n", !on_alternate);
	SHOW(sigaltstack(NULL, &old));
	printf("flags %#x\n", old.ss_flags);
	s.ss_flags = SS_DISABLE;
	SHOW(sigaltstack(&s, NULL));

	install(SIGUSR1, 0);
	raise(SIGUSR1);
	printf("blocked while it runs: count %d, depth %d\n", count, most_depth);
	install(SIGUSR1, SA_NODEFER);
	raise(SIGUSR1);
	printf("SA_NODEFER: count %d, depth %d\n", count, most_depth);
	install(SIGUSR2, SA_RESETHAND);
	raise(SIGUSR2);
	struct sigaction now;
	sigaction(SIGUSR2, NULL, &now);
	printf("reset: %d, flags %#x\n", now.sa_handler == SIG_DFL, (unsigned)now.sa_flags & ~0x04000000u);
	SHOW(sigaction(SIGKILL, &now, NULL));
	SHOW(sigaction(SIGSTOP, NULL, &now));
	SHOW(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
	SHOW(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, (void *)1, NULL, 8));

	/* Order: real-time ones queue, standard ones do not; lower numbers first. */
	install(SIGUSR2, 0);
	install(SIGTERM, 0);
	install(SIGRTMIN + 1, 0);
	install(SIGRTMIN + 2, 0);
	sigset_t all, none, set;
	sigfillset(&all);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &all, NULL);
	union sigval v = { .sival_int = 5 };
	for (int i = 0; i < 3; i++) {
		raise(SIGTERM);
		v.sival_int = i;
		sigqueue(getpid(), SIGRTMIN + 2, v);
		sigqueue(getpid(), SIGRTMIN + 1, v);
	}
	raise(SIGUSR2);
	SHOW(sigpending(&set));
	printf("pending: %d %d %d %d\n", sigismember(&set, SIGTERM), sigismember(&set, SIGUSR2), sigismember(&set, SIGRTMIN + 1), sigismember(&set, SIGINT));
	sigprocmask(SIG_SETMASK, &none, NULL);
	printf("order: %s count %d, last value %d, code %d\n", order, count, last_value, last_code);

	/* Waiting for signals. */
	siginfo_t info;
	struct timespec zero = { 0, 0 }, short_time = { 0, 50000000 }, wrong = { 0, 1000000000 };
	sigprocmask(SIG_SETMASK, &all, NULL);
	show_info("nothing", sigtimedwait(&all, &info, &zero), &info);
	show_info("nothing in time", sigtimedwait(&all, &info, &short_time), &info);
	show_info("wrong time", sigtimedwait(&all, &info, &wrong), &info);
	v.sival_int = 42;
	SHOW(sigqueue(getpid(), SIGRTMIN, v));
	SHOW(kill(getpid(), SIGUSR1));
	show_info("first", sigtimedwait(&all, &info, &zero), &info);
	show_info("second", sigwaitinfo(&all, &info), &info);
	SHOW(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
	show_info("tgkill", sigtimedwait(&all, &info, &zero), &info);
	SHOW(syscall(SYS_tkill, getpid(), SIGUSR1));
	show_info("tkill", sigtimedwait(&all, &info, &zero), &info);
	SHOW(syscall(SYS_tgkill, getpid(), -1, SIGUSR1));
	SHOW(syscall(SYS_tgkill, getpid() + 1000, getpid(), SIGUSR1));
	SHOW(syscall(SYS_tkill, 0, SIGUSR1));
	SHOW(syscall(SYS_tkill, getpid(), 65));
	SHOW(kill(getpid(), 65));
	SHOW(kill(getpid(), 0));
	SHOW(kill(99999, 0));
	memset(&info, 0, sizeof info);
	info.si_code = SI_QUEUE;
	info.si_value.sival_int = 9;
	info.si_pid = getpid();
	SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
	show_info("rt_sigqueueinfo", sigtimedwait(&all, &info, &zero), &info);
	info.si_code = -60;
	SHOW(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info));
	show_info("rt_tgsigqueueinfo", sigtimedwait(&all, &info, &zero), &info);
	info.si_code = SI_USER;
	SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
	SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), 0, &info));
	SHOW(syscall(SYS_rt_sigtimedwait, &all, &info, &zero, 4));
	SHOW(syscall(SYS_rt_sigtimedwait, (void *)1, &info, &zero, 8));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(7);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	long got = sigwaitinfo(&set, &info);
	printf("child: signal %ld code %d status %d same pid %d uid %d\n", got, info.si_code, info.si_status, info.si_pid == child, info.si_uid);
	show_end(child);

	/* sigsuspend takes the handler's signal and gives the mask back. */
	install(SIGALRM, 0);
	sigset_t but = all;
	sigdelset(&but, SIGALRM);
	alarm(1);
	SHOW(sigsuspend(&but));
	sigprocmask(SIG_SETMASK, NULL, &set);
	printf("handled %d, blocked again %d\n", count, sigismember(&set, SIGALRM));
	sigprocmask(SIG_SETMASK, &none, NULL);

	/* Restarting, and not. */
	int ends[2];
	char byte;
	MUST(pipe(ends));
	install(SIGALRM, 0);
	child = signal_in_sleep(SIGALRM);
	SHOW(read(ends[0], &byte, 1));
	show_end(child);
	install(SIGALRM, SA_RESTART);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		until_asleep(getppid());
		kill(getppid(), SIGALRM);
		sleep_ms(100);
		MUST(write(ends[1], "x", 1));
		_exit(0);
	}
	SHOW(read(ends[0], &byte, 1));
	printf("handled %d\n", count);
	show_end(child);
	struct timespec left = { 0, 0 }, long_time = { 300, 0 };
	child = signal_in_sleep(SIGALRM);
	SHOW(nanosleep(&long_time, &left));
	CHECK(left.tv_sec >= 200 && left.tv_sec <= 300);
	show_end(child);
	child = signal_in_sleep(SIGALRM);
	SHOW(pause());
	show_end(child);

	/* Children that nobody waits for. */
	struct sigaction no_wait = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	sigaction(SIGCHLD, &no_wait, NULL);
	child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(1);
	SHOW(waitpid(child, NULL, 0));
	signal(SIGCHLD, SIG_IGN);
	child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(1);
	SHOW(wait(NULL));
	signal(SIGCHLD, SIG_DFL);

	/* Default actions. */
	static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGUSR1, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ,
		SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSYS, 40, 64 };
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
		IN_CHILD(signal(deadly[i], SIG_DFL); raise(deadly[i]));
	IN_CHILD(raise(SIGCHLD); raise(SIGURG); raise(SIGWINCH); raise(SIGCONT));
	return 0;
}
