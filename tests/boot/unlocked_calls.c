/* System calls that run without the kernel lock, while others change what they read, and while all else goes on.
 *
 * `unlocked_calls` prints a line for each function, the same in every run. `unlocked_calls rate N SECONDS` lets N
 * processes call getppid for so long, and prints how often they did in a second, all told. `unlocked_calls once` calls it
 * once. `counted` says whether calls take the lock, as far as Krait counts them, and `damaged` what becomes of a process
 * by a call in which the kernel has lost its way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 256 /* calls between two looks at the clock */
#define ORPHANS 40
#define ROUNDS 200

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Rates --------------------------------------------------------------------------------------------------------- */

static void rate(int count, double seconds)
{
	atomic_long *calls = mmap(0, 4096 * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double end = now() + 0.3 + seconds;
	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			long done = 0;
			while (now() < end - seconds)
				;
			while (now() < end) {
				for (int k = 0; k < AT_ONCE; k++)
					syscall(SYS_getppid);
				done += AT_ONCE;
			}
			calls[512 * i] = done;
			_exit(0);
		}
	}
	long all = 0;
	for (int i = 0; i < count; i++)
		wait(0);
	for (int i = 0; i < count; i++)
		all += calls[512 * i];
	printf("%.0f calls a second\n", all / seconds);
}

/* Numbers that change ------------------------------------------------------------------------------------------- */

/* A child asks who its parent is until that is another one; it must never see a third. */
static void orphans(void)
{
	atomic_int *adopted = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < ORPHANS; i++) {
		pid_t parent = fork();
		if (parent == 0) {
			pid_t mine = getpid();
			if (fork() == 0) {
				pid_t found;
				while ((found = syscall(SYS_getppid)) == mine)
					;
				adopted[found == 1]++;
				_exit(0);
			}
			usleep(500);
			_exit(0);
		}
		waitpid(parent, 0, 0);
	}
	while (adopted[0] + adopted[1] < ORPHANS)
		usleep(1000);
	printf("orphans of %s: %d\n", adopted[0] == 0 ? "1" : "others", adopted[0] + adopted[1]);
}

/* Signals, threads, and numbers that are one's own ---------------------------------------------------------------- */

static atomic_int handled, ends, wrong;

static void count_signal(int number)
{
	(void)number;
	handled++;
}

static pid_t own; /* as /proc says it */

static void *asker(void *argument)
{
	pid_t *tid = argument;
	*tid = syscall(SYS_gettid);
	while (!ends)
		if (syscall(SYS_gettid) != *tid || syscall(SYS_getpid) != own)
			wrong++;
	return 0;
}

/* A thread that does nothing but calls without the lock is interrupted by each signal, and stops and goes on. */
static void signals(void)
{
	static pid_t tids[2];
	pthread_t threads[2];
	char name[20] = "";
	signal(SIGUSR1, count_signal);
	readlink("/proc/self", name, sizeof name - 1);
	own = atoi(name);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], 0, asker, &tids[i]);
	while (tids[0] == 0 || tids[1] == 0)
		sched_yield();
	for (int i = 0; i < ROUNDS; i++) {
		int before = handled;
		syscall(SYS_tgkill, getpid(), tids[i % 2], SIGUSR1);
		while (handled == before)
			sched_yield();
	}
	ends = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], 0);
	printf("signals %d, wrong %d\n", handled, wrong);
}

/* Memory that comes and goes beside them: passes of the reclaimer. */
static void objects(void)
{
	pid_t askers[2];
	for (int i = 0; i < 2; i++) {
		if ((askers[i] = fork()) == 0) {
			pid_t parent = getppid(), me = getpid();
			for (;;)
				if (syscall(SYS_getppid) != parent || syscall(SYS_getpid) != me)
					_exit(1);
		}
	}
	int ends_of_pipe[2], made = 0;
	for (int i = 0; i < 20 * ROUNDS; i++) {
		if (pipe(ends_of_pipe) != 0)
			break;
		close(ends_of_pipe[0]);
		close(ends_of_pipe[1]);
		made++;
		if (i % 100 == 0 && fork() == 0)
			_exit(0);
	}
	int killed = 0, status;
	for (int i = 0; i < 2; i++) {
		kill(askers[i], SIGKILL);
		killed += waitpid(askers[i], &status, 0) == askers[i] && WIFSIGNALED(status);
	}
	while (wait(0) > 0)
		;
	printf("pipes %d, killed %d\n", made, killed);
}

/* How many calls all processors have made without the lock, as Krait says. */
static long unlocked(void)
{
	char line[256];
	long number = -1;
	FILE *file = fopen("/proc/metrics", "r");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "krait_unlocked_calls %ld", &number) == 1)
			break;
	fclose(file);
	return number;
}

#define CALLS 1000
static void counted(void)
{
	int status;
	long before = unlocked();
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	printf("alone: %s\n", unlocked() - before >= CALLS ? "without the lock" : "with it");
	pid_t child = fork();
	if (child == 0)
		for (;;)
			syscall(SYS_getppid);
	ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	waitpid(child, &status, 0);
	before = unlocked();
	for (int i = 0; i < CALLS; i++) {
		ptrace(PTRACE_SYSCALL, child, 0, 0);
		waitpid(child, &status, 0);
	}
	printf("traced: %s\n", unlocked() - before >= CALLS / 4 ? "without the lock" : "with it");
	ptrace(PTRACE_DETACH, child, 0, 0);
	before = unlocked();
	usleep(100000);
	while (unlocked() - before < CALLS)
		usleep(10000);
	puts("no more: without the lock");
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
}

/* The call of which the kernel has lost its way: see test_unlocked_calls.py. */
static void damaged(void)
{
	int status;
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(syscall(SYS_sched_get_priority_max, SCHED_FIFO));
		waitpid(child, &status, 0);
		printf("%s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "lives");
	}
}

/* A tracer sees each call of a thread that made them without the lock before. */
static void tracer(void)
{
	atomic_int *stage = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (child == 0) {
		for (;;) {
			syscall(SYS_getppid);
			*stage = 1;
		}
	}
	while (*stage == 0)
		sched_yield();
	int status, stops = 0, odd = 0;
	ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	waitpid(child, &status, 0);
	for (int i = 0; i < 40; i++) {
		struct user_regs_struct registers;
		ptrace(PTRACE_SYSCALL, child, 0, 0);
		waitpid(child, &status, 0);
		ptrace(PTRACE_GETREGS, child, 0, &registers);
		stops += WSTOPSIG(status) == (SIGTRAP | 0x80);
		odd += registers.orig_rax != SYS_getppid;
	}
	ptrace(PTRACE_DETACH, child, 0, 0);
	*stage = 0;
	while (*stage == 0)
		sched_yield();
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	printf("stops %d, of other calls %d\n", stops, odd);
}

/* Users and groups, which have another name for each user namespace. */
static void print_ids(const char *when)
{
	printf("%s: %ld %ld %ld %ld\n", when, syscall(SYS_getuid), syscall(SYS_geteuid), syscall(SYS_getgid), syscall(SYS_getegid));
}

static void ids(void)
{
	print_ids("root");
	fflush(stdout);
	if (fork() == 0) {
		if (syscall(SYS_setresgid, 5, 6, 7) != 0 || syscall(SYS_setresuid, 1, 2, 3) != 0)
			abort();
		print_ids("others");
		if (unshare(CLONE_NEWUSER) != 0)
			abort();
		print_ids("nobody");
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	print_ids("root again");
}

int main(int count, char **words)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	if (count == 2 && strcmp(words[1], "once") == 0)
		return syscall(SYS_getppid) < 0;
	if (count == 2 && strcmp(words[1], "counted") == 0) {
		counted();
		return 0;
	}
	if (count == 2 && strcmp(words[1], "damaged") == 0) {
		damaged();
		return 0;
	}
	if (count == 4 && strcmp(words[1], "rate") == 0) {
		rate(atoi(words[2]), atof(words[3]));
		return 0;
	}
	ids();
	orphans();
	signals();
	objects();
	tracer();
	return 0;
}
