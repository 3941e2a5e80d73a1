/* ptrace(2): stops for signals, stops of the process, who was seized, tracers that go, children of others. */
#include "ptrace_case.h"

static volatile sig_atomic_t handled;

static void handler(int signo, siginfo_t *info, void *context)
{
	(void)context;
	handled = signo * 1000 + (info->si_code & 0xff);
}

static void catch(int signo)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO;
	MUST(sigaction(signo, &action, 0));
}

static void go(pid_t child, int signo)
{
	MUST(trace(PTRACE_CONT, child, 0, signo));
}

static void signals(void)
{
	printf("== signals\n");
	catch(SIGUSR1);
	catch(SIGUSR2);
	signal(SIGWINCH, SIG_IGN);
	pid_t child = TRACED_CHILD(
		raise(SIGUSR1); printf("handled %d\n", handled); fflush(stdout);
		handled = 0; raise(SIGUSR1); printf("handled %d\n", handled); fflush(stdout);
		handled = 0; raise(SIGUSR1); printf("handled %d\n", handled); fflush(stdout);
		handled = 0; raise(SIGUSR1); printf("handled %d\n", handled); fflush(stdout);
		raise(SIGWINCH); raise(SIGCHLD);
		raise(SIGTERM));
	go(child, 0);
	await("child", child);
	say_info(child, getpid());
	go(child, SIGUSR1);
	await("child", child);
	go(child, 0); /* not delivered */
	await("child", child);
	go(child, SIGUSR2); /* another one */
	await("child", child);
	siginfo_t info;
	MUST(trace_p(PTRACE_GETSIGINFO, child, 0, &info));
	info.si_code = -7;
	SHOW(trace_p(PTRACE_SETSIGINFO, child, 0, &info));
	MUST(trace_p(PTRACE_GETSIGINFO, child, 0, &info));
	printf("code %d\n", info.si_code);
	SHOW(trace(PTRACE_SETSIGINFO, child, 0, 8));
	go(child, SIGUSR1);
	await("child", child); /* an ignored one is shown */
	say_info(child, getpid());
	go(child, SIGWINCH);
	await("child", child);
	go(child, SIGCHLD);
	await("child", child);
	go(child, SIGTERM);
	await("child", child);
}

static void masks(void)
{
	printf("== pending signals and masks\n");
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 5);
	MUST(sigprocmask(SIG_BLOCK, &set, 0));
	pid_t child = TRACED_CHILD(
		kill(getpid(), SIGUSR2); kill(getpid(), SIGRTMIN + 5); kill(getpid(), SIGRTMIN + 5);
		syscall(SYS_tkill, getpid(), SIGUSR1); kill(getpid(), SIGSTOP); printf("handled %d\n", handled); fflush(stdout));
	MUST(sigprocmask(SIG_UNBLOCK, &set, 0));
	go(child, 0);
	await("child", child);
	struct ptrace_peeksiginfo_args arguments = { .off = 0, .flags = PTRACE_PEEKSIGINFO_SHARED, .nr = 10 };
	siginfo_t found[10];
	long n = SHOW(trace_p(PTRACE_PEEKSIGINFO, child, &arguments, found));
	for (int i = 0; i < n; i++)
		printf("shared %d code %d\n", found[i].si_signo, found[i].si_code);
	arguments.off = 1;
	arguments.nr = 1;
	n = SHOW(trace_p(PTRACE_PEEKSIGINFO, child, &arguments, found));
	for (int i = 0; i < n; i++)
		printf("shared %d code %d\n", found[i].si_signo, found[i].si_code);
	arguments.off = 0;
	arguments.nr = 3;
	arguments.flags = 0;
	n = SHOW(trace_p(PTRACE_PEEKSIGINFO, child, &arguments, found));
	for (int i = 0; i < n; i++)
		printf("own %d code %d\n", found[i].si_signo, found[i].si_code);
	arguments.off = 5;
	SHOW(trace_p(PTRACE_PEEKSIGINFO, child, &arguments, found));
	arguments.flags = 2;
	SHOW(trace_p(PTRACE_PEEKSIGINFO, child, &arguments, found));
	arguments.flags = 0;
	arguments.nr = -1;
	SHOW(trace_p(PTRACE_PEEKSIGINFO, child, &arguments, found));
	arguments.off = 0;
	arguments.nr = 1;
	SHOW(trace(PTRACE_PEEKSIGINFO, child, (uintptr_t)&arguments, 8));
	SHOW(trace(PTRACE_PEEKSIGINFO, child, 8, (uintptr_t)found));
	uint64_t mask = 0;
	SHOW(trace_p(PTRACE_GETSIGMASK, child, (void *)8, &mask));
	printf("mask %llx\n", (unsigned long long)mask);
	mask = ~0ull;
	SHOW(trace_p(PTRACE_SETSIGMASK, child, (void *)8, &mask));
	SHOW(trace_p(PTRACE_GETSIGMASK, child, (void *)8, &mask));
	printf("mask %llx\n", (unsigned long long)mask);
	mask = ~(1ull << (SIGUSR1 - 1));
	SHOW(trace_p(PTRACE_SETSIGMASK, child, (void *)8, &mask));
	go(child, 0);
	await("child", child);
	go(child, SIGUSR1);
	await("child", child);
}

static void attached(void)
{
	printf("== attached\n");
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		setpgid(0, 0); /* not orphaned: terminals' stop signals stop it */
		for (;;)
			pause();
	}
	await_state(child, "S");
	SHOW(trace(PTRACE_PEEKUSR, child, 0, 0));
	SHOW(trace(PTRACE_ATTACH, child, 0, 0));
	await("child", child);
	say_info(child, getpid());
	printf("state %c\n", state_of(child));
	SHOW(trace(PTRACE_ATTACH, child, 0, 0));
	go(child, 0);
	await_state(child, "S");
	SHOW(trace(PTRACE_CONT, child, 0, 0));
	SHOW(trace(PTRACE_DETACH, child, 0, 0));
	SHOW(waitpid(child, 0, WNOHANG));
	MUST(kill(child, SIGSTOP)); /* the stop of the process: first the signal, then the stop, of which there is no information */
	await("child", child);
	go(child, SIGSTOP);
	await("child", child);
	say_info(child, getpid());
	printf("state %c\n", state_of(child));
	go(child, 0); /* runs although its process is stopped */
	await_state(child, "S");
	MUST(kill(child, SIGUSR1));
	await("child", child);
	go(child, 0);
	await_state(child, "S");
	MUST(kill(child, SIGTSTP));
	await("child", child);
	go(child, SIGTSTP);
	await("child", child);
	MUST(kill(child, SIGCONT)); /* does not wake it */
	printf("state %c\n", state_of(child));
	SHOW(waitpid(child, 0, WNOHANG));
	go(child, 0);
	await("child", child);
	go(child, SIGCONT);
	await_state(child, "S");
	MUST(kill(child, SIGSTOP));
	await("child", child);
	MUST(kill(child, SIGCONT)); /* what it was shown stops nobody any more */
	go(child, SIGSTOP);
	await("child", child);
	SHOW(trace(PTRACE_DETACH, child, 0, 0));
	await_state(child, "S");
	MUST(kill(child, SIGSTOP)); /* stopped already when we attach */
	MUST(waitpid(child, 0, WUNTRACED));
	SHOW(trace(PTRACE_ATTACH, child, 0, 0));
	printf("state %c\n", state_of(child));
	await("child", child);
	say_info(child, getpid());
	go(child, 0);
	await("child", child); /* the signal of attaching */
	say_info(child, getpid());
	SHOW(trace(PTRACE_DETACH, child, 0, 0));
	await_state(child, "T"); /* its process is stopped as before */
	int status = 0;
	SHOW(waitpid(child, &status, WUNTRACED | WNOHANG));
	MUST(kill(child, SIGCONT));
	await_state(child, "S");
	SHOW(trace(PTRACE_ATTACH, child, 0, 0));
	await("child", child);
	SHOW(trace(PTRACE_DETACH, child, 0, SIGKILL));
	await("child", child);
}

static void killed(void)
{
	printf("== killed\n");
	pid_t child = TRACED_CHILD();
	SHOW(kill(child, SIGKILL));
	await("child", child);
	child = TRACED_CHILD();
	SHOW(trace(PTRACE_KILL, child, 0, 0));
	await("child", child);
	child = TRACED_CHILD(for (;;) pause());
	go(child, 0);
	await_state(child, "S");
	SHOW(trace(PTRACE_KILL, child, 0, 0));
	await("child", child);
	child = TRACED_CHILD(pause());
	SHOW(trace(PTRACE_CONT, child, 0, SIGKILL));
	await("child", child);
	SHOW(trace(PTRACE_CONT, child, 0, 0));
}

static void seized(void)
{
	printf("== seized\n");
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		setpgid(0, 0); /* not orphaned: terminals' stop signals stop it */
		for (;;)
			pause();
	}
	await_state(child, "S");
	SHOW(trace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
	SHOW(waitpid(child, 0, WNOHANG));
	SHOW(trace(PTRACE_LISTEN, child, 0, 0));
	SHOW(trace(PTRACE_INTERRUPT, child, 0, 0));
	await("child", child);
	say_info(child, getpid());
	printf("message %lu\n", message_of(child));
	SHOW(trace(PTRACE_INTERRUPT, child, 0, 0)); /* stopped already: once more when it goes on */
	go(child, 0);
	await("child", child);
	go(child, 0);
	await_state(child, "S");
	MUST(kill(child, SIGSTOP));
	await("child", child);
	say_info(child, getpid());
	SHOW(trace(PTRACE_LISTEN, child, 0, 0));
	go(child, SIGSTOP);
	await("child", child);
	say_info(child, getpid());
	SHOW(trace(PTRACE_LISTEN, child, 0, 0));
	SHOW(waitpid(child, 0, WNOHANG));
	SHOW(trace(PTRACE_CONT, child, 0, 0));
	SHOW(trace(PTRACE_GETEVENTMSG, child, 0, (uintptr_t)&child));
	printf("state %c\n", state_of(child));
	SHOW(trace(PTRACE_INTERRUPT, child, 0, 0));
	await("child", child);
	SHOW(trace(PTRACE_LISTEN, child, 0, 0));
	MUST(kill(child, SIGCONT));
	await("child", child); /* the end of the stop */
	say_info(child, getpid());
	go(child, 0);
	await("child", child); /* the signal */
	go(child, SIGCONT);
	await_state(child, "S");
	MUST(kill(child, SIGCONT)); /* nothing was stopped, and yet */
	int status = await("child", child);
	if (status >> 16 == PTRACE_EVENT_STOP) {
		go(child, 0);
		await("child", child);
	}
	go(child, 0);
	await_state(child, "S");
	MUST(kill(child, SIGTTIN));
	await("child", child);
	go(child, SIGTTIN);
	await("child", child);
	MUST(kill(child, SIGCONT)); /* not listening: it stays, and says so later */
	SHOW(waitpid(child, 0, WNOHANG));
	SHOW(trace(PTRACE_LISTEN, child, 0, 0));
	await("child", child);
	SHOW(trace(PTRACE_DETACH, child, 0, 0));
	await_state(child, "S");
	finish(child);
}

static void waits(void)
{
	printf("== how to wait\n");
	pid_t child = TRACED_CHILD(raise(SIGUSR1); raise(SIGUSR1));
	siginfo_t info;
	go(child, 0);
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	printf("signo %d code %d status %#x child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_PID, child, &info, WSTOPPED));
	printf("signo %d code %d status %#x child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	SHOW(waitid(P_PID, child, &info, WEXITED | WNOHANG));
	printf("pid %d\n", info.si_pid);
	go(child, 0);
	await("child", child);
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT));
	go(child, 0);
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED));
	printf("signo %d code %d status %#x child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	printf("message %lu\n", message_of(child));
	go(child, 0);
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_PID, child, &info, WEXITED));
	printf("signo %d code %d status %#x child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	SHOW(waitid(P_ALL, 0, &info, WEXITED | WNOHANG));
	SHOW(syscall(SYS_wait4, -1, 0, WNOHANG | 0x20000000, 0));
}

static void sigchld(void)
{
	printf("== SIGCHLD of a tracer\n");
	catch(SIGCHLD);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	MUST(sigprocmask(SIG_BLOCK, &set, 0));
	pid_t child = TRACED_CHILD(raise(SIGUSR1); _exit(4));
	siginfo_t info;
	MUST(sigwaitinfo(&set, &info));
	printf("signo %d code %d status %d child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	go(child, 0);
	MUST(sigwaitinfo(&set, &info));
	printf("signo %d code %d status %d child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	await("child", child);
	go(child, 0);
	MUST(sigwaitinfo(&set, &info));
	printf("signo %d code %d status %d child %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	await("child", child);
	signal(SIGCHLD, SIG_DFL);
	MUST(sigprocmask(SIG_UNBLOCK, &set, 0));
}

/* A tracer that goes while its tracee, a child of ours, is as `how` says. */
static void lost_tracer(const char *how, int options, int signo)
{
	printf("== a tracer that ends: %s\n", how);
	fflush(stdout);
	int ends[2];
	char c;
	MUST(pipe(ends));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	await_state(child, "S");
	pid_t tracer = (pid_t)MUST(fork());
	if (tracer == 0) {
		if (trace(PTRACE_SEIZE, child, 0, options) != 0)
			_exit(1);
		if (signo) {
			kill(child, signo);
			waitpid(child, 0, __WALL);
		}
		write(ends[1], "x", 1);
		pause();
		_exit(0);
	}
	MUST(read(ends[0], &c, 1));
	char name[64], text[4096];
	snprintf(name, sizeof name, "/proc/%d/status", (int)child);
	int fd = (int)MUST(open(name, O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd);
	char *line = strstr(text, "TracerPid:\t");
	printf("TracerPid %d\n", line && atoi(line + 11) == tracer);
	line = strstr(text, "State:\t");
	printf("%.*s\n", line ? (int)strcspn(line, "\n") : 0, line);
	SHOW(trace(PTRACE_ATTACH, child, 0, 0));
	SHOW(waitpid(child, 0, WNOHANG));
	MUST(kill(tracer, SIGKILL));
	await("tracer", tracer);
	if (options & PTRACE_O_EXITKILL) {
		await("child", child);
		return;
	}
	await_state(child, "S");
	SHOW(waitpid(child, 0, WNOHANG));
	finish(child);
}

static void of_another(void)
{
	printf("== another one's child\n");
	fflush(stdout);
	int ends[2], back[2];
	char c;
	MUST(pipe(ends));
	MUST(pipe(back));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		read(ends[0], &c, 1);
		_exit(9);
	}
	await_state(child, "S");
	pid_t tracer = (pid_t)MUST(fork());
	if (tracer == 0) {
		int status;
		if (trace(PTRACE_SEIZE, child, 0, 0) != 0)
			_exit(1);
		write(back[1], "x", 1);
		waitid(P_PID, child, &(siginfo_t){0}, WEXITED | WNOWAIT); /* ended */
		write(back[1], "x", 1);
		read(ends[0], &c, 1);
		pid_t got = waitpid(child, &status, 0);
		_exit(got == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	MUST(read(back[0], &c, 1));
	MUST(write(ends[1], "x", 1));
	MUST(read(back[0], &c, 1));
	SHOW(waitpid(child, 0, WNOHANG)); /* the tracer's first */
	printf("state %c\n", state_of(child));
	MUST(write(ends[1], "x", 1));
	await("child", child);
	await("tracer", tracer);
}

int main(void)
{
	signals();
	masks();
	attached();
	killed();
	seized();
	waits();
	sigchld();
	lost_tracer("running", 0, 0);
	lost_tracer("stopped for a signal that it was shown", 0, SIGUSR1);
	lost_tracer("killed with it", PTRACE_O_EXITKILL, 0);
	lost_tracer("stopped, and killed with it", PTRACE_O_EXITKILL, SIGUSR1);
	of_another();
	return 0;
}
