/* ptrace(2) and threads: each is traced for itself; stops of the process; the end of threads and of leaders; exec by a
   thread; which thread of a tracer may wait. */
#include <pthread.h>
#include "ptrace_case.h"

static volatile pid_t second;
static int hold[2];

static void *run_until_told(void *unused)
{
	char c;
	(void)unused;
	second = (pid_t)syscall(SYS_gettid);
	read(hold[0], &c, 1);
	return 0;
}

static void *end_at_once(void *unused)
{
	(void)unused;
	syscall(SYS_exit, 5);
	return 0;
}

static void go(pid_t pid, int signo)
{
	MUST(trace(PTRACE_CONT, pid, 0, signo));
}

/* A child with two threads, both seized with these options and running; returns the first one's number. */
static pid_t two_threads(int options, pid_t *other)
{
	int ready[2];
	MUST(pipe(ready));
	MUST(pipe(hold));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		pthread_t thread;
		pthread_create(&thread, 0, run_until_told, 0);
		while (second == 0)
			usleep(1000);
		write(ready[1], (void *)&second, sizeof second);
		for (;;)
			pause();
	}
	MUST(read(ready[0], other, sizeof *other));
	await_state(child, "S");
	MUST(trace(PTRACE_SEIZE, child, 0, options));
	MUST(trace(PTRACE_SEIZE, *other, 0, options));
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void stops(void)
{
	printf("== a stop of the process\n");
	pid_t other, child = two_threads(0, &other);
	MUST(kill(child, SIGSTOP));
	await("first", child);
	go(child, SIGSTOP);
	await("first", child);
	await("second", other);
	say_info(child, getpid());
	say_info(other, getpid());
	printf("states %c %c\n", state_of(child), state_of(other));
	MUST(trace(PTRACE_LISTEN, child, 0, 0));
	MUST(trace(PTRACE_LISTEN, other, 0, 0));
	SHOW(waitpid(-1, 0, __WALL | WNOHANG));
	MUST(kill(child, SIGCONT));
	await("second", other);
	await("first", child);
	go(child, 0);
	await("first", child);
	go(child, SIGCONT);
	go(other, 0);
	SHOW(syscall(SYS_tgkill, child, other, SIGUSR1));
	await("second", other);
	go(other, 0);
	MUST(trace(PTRACE_INTERRUPT, other, 0, 0));
	await("second", other);
	SHOW(waitpid(child, 0, __WALL | WNOHANG)); /* the other one runs on */
	MUST(kill(child, SIGKILL));
	await("second", other);
	await("first", child);
}

static void ends(void)
{
	printf("== threads that end\n");
	pid_t other, child = two_threads(PTRACE_O_TRACEEXIT, &other);
	MUST(write(hold[1], "x", 1));
	await("second", other);
	printf("message %#lx\n", message_of(other));
	go(other, 0);
	siginfo_t info;
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_PID, other, &info, WEXITED | WNOWAIT | __WALL));
	printf("code %d status %d second %d\n", info.si_code, info.si_status, info.si_pid == other);
	SHOW(kill(other, 0));
	SHOW(trace(PTRACE_CONT, other, 0, 0));
	await("second", other);
	SHOW(syscall(SYS_tkill, other, 0));
	MUST(kill(child, SIGTERM));
	await("first", child);
	go(child, SIGTERM);
	await("first", child);
	go(child, 0);
	await("first", child);

	printf("== a leader that ends first\n");
	int ready[2], own[2];
	MUST(pipe(ready));
	MUST(pipe(own));
	MUST(pipe(hold));
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		pthread_t thread;
		char c;
		second = 0;
		pthread_create(&thread, 0, run_until_told, 0);
		while (second == 0)
			usleep(1000);
		write(ready[1], (void *)&second, sizeof second);
		read(own[0], &c, 1);
		syscall(SYS_exit, 6);
	}
	MUST(read(ready[0], &other, sizeof other));
	MUST(trace(PTRACE_SEIZE, child, 0, 0));
	MUST(trace(PTRACE_SEIZE, other, 0, 0));
	MUST(write(own[1], "x", 1));
	await_state(child, "Z");
	SHOW(waitpid(child, 0, WNOHANG | __WALL)); /* not before the others */
	MUST(write(hold[1], "x", 1));
	await("second", other);
	await("first", child);
}

static void zombies(void)
{
	printf("== a process waits for its threads' tracers\n");
	pid_t other, child = two_threads(0, &other);
	MUST(kill(child, SIGKILL));
	await_state(child, "Z");
	SHOW(waitpid(child, 0, WNOHANG)); /* not before the thread */
	await("second", other);
	await("first", child);
}

static void group(void)
{
	printf("== exit_group\n");
	pid_t child = TRACED_CHILD(
		pthread_t thread; MUST(pipe(hold)); second = 0; pthread_create(&thread, 0, run_until_told, 0);
		while (second == 0) usleep(1000);
		kill(getpid(), SIGSTOP);
		_exit(44));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT));
	go(child, 0);
	await("first", child);
	pid_t other = (pid_t)message_of(child);
	await("second", other);
	go(other, 0);
	go(child, 0);
	await("first", child);
	go(child, 0);
	await("first", child);
	await("second", other);
	printf("messages %#lx %#lx\n", message_of(child), message_of(other));
	go(other, 0);
	await("second", other);
	go(child, 0);
	await("first", child);
}

static volatile int may_run;

static void *execute(void *unused)
{
	(void)unused;
	while (!may_run)
		usleep(1000);
	execl("/bin/true", "true", (char *)0);
	_exit(88);
}

static void thread_exec(int options)
{
	printf("== exec by a thread, options %#x\n", options);
	pid_t child = TRACED_CHILD(
		pthread_t thread; pthread_create(&thread, 0, execute, 0);
		may_run = 1;
		for (;;) pause());
	MUST(trace(PTRACE_SETOPTIONS, child, 0, options));
	go(child, 0);
	await("first", child);
	pid_t other = (pid_t)message_of(child);
	await("second", other);
	go(child, 0);
	go(other, 0);
	if (options & PTRACE_O_TRACEEXIT) {
		await("first", child); /* the leader has to go */
		printf("message %#lx\n", message_of(child));
		go(child, 0);
	}
	int status = await("first", child);
	printf("it was the second %d; that number is free %d\n", message_of(child) == (unsigned long)other,
		kill(other, 0) == -1 && errno == ESRCH);
	SHOW(waitpid(other, &status, __WALL | WNOHANG));
	go(child, 0);
	if (options & PTRACE_O_TRACEEXIT) {
		await("first", child);
		go(child, 0);
	}
	await("first", child);
}

static pid_t tracee_of_thread;
static int told[2], done[2];

static void *trace_one(void *unused)
{
	char c;
	(void)unused;
	tracee_of_thread = TRACED_CHILD(for (;;) pause());
	write(done[1], "x", 1);
	read(told[0], &c, 1);
	return 0;
}

static void tracers(void)
{
	printf("== a tracer is one thread\n");
	char c;
	int status;
	MUST(pipe(told));
	MUST(pipe(done));
	pthread_t thread;
	pthread_create(&thread, 0, trace_one, 0);
	MUST(read(done[0], &c, 1));
	pid_t child = tracee_of_thread;
	SHOW(trace(PTRACE_CONT, child, 0, 0)); /* not ours */
	MUST(kill(child, SIGUSR1));
	SHOW(waitpid(child, &status, WNOHANG)); /* it stopped already, and nobody let it go on */
	SHOW(waitpid(child, &status, WNOHANG | 0x20000000)); /* __WNOTHREAD: not our child */
	MUST(write(told[1], "x", 1));
	pthread_join(thread, 0); /* the tracee goes on by itself, and takes the signal */
	await("child", child);
}

int main(void)
{
	stops();
	ends();
	zombies();
	group();
	thread_exec(PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
	thread_exec(PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
	tracers();
	return 0;
}
