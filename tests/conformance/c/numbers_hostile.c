/* Covers: a small pid_max with processes and threads that come and go, and timers and sleeps on the processor clocks of others that
 * end meanwhile: no number is given twice, each sleep ends, each timer can be asked and deleted.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/time.h>
#include <time.h>
#include "case.h"

#define CLOCK_OF(pid) ((clockid_t)((~(pid) << 3) | 2))
#define THREAD_CLOCK_OF(tid) ((clockid_t)((~(tid) << 3) | 6))
#define ROUNDS 40

static int set_number(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t result = fd < 0 ? -1 : write(fd, text, strlen(text));
	close(fd);
	return result < 0 ? -1 : 0;
}

/* Fork until there are no numbers left; all are different, and all come free. */
static void exhaust(void)
{
	static pid_t pids[1200];
	static char seen[2000];
	int count = 0, doubled = 0, large = 0, pipes[2];
	char byte;
	memset(seen, 0, sizeof seen);
	MUST(pipe(pipes));
	while (count < 1200) {
		pid_t child = fork();
		if (child == 0) {
			close(pipes[1]);
			if (read(pipes[0], &byte, 1) < 0)
				_exit(1);
			_exit(0);
		}
		if (child < 0)
			break;
		pids[count++] = child;
		if (child >= 1000)
			large++;
		else
			doubled += seen[child]++;
	}
	printf("%s after some: %d, twice: %d, too large: %d\n", error_name(errno), count > 300, doubled, large);
	close(pipes[0]);
	close(pipes[1]);
	int failed = 0, status;
	for (int i = 0; i < count; i++)
		failed += waitpid(pids[i], &status, 0) != pids[i] || status != 0;
	printf("failed: %d\n", failed);
}

static volatile pid_t other;
static volatile int over;

static void *spin(void *unused)
{
	(void)unused;
	other = (pid_t)syscall(SYS_gettid);
	while (!over)
		sched_yield();
	return NULL;
}

static int wrong;

/* Sleeps and timers on the clock of a child that works for a while and ends. */
static void others_clock(int round)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE }, event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec soon = { { 0, 1000000 }, { 0, 1000000 } }, now;
	struct timespec while_ = { 0, 2000000 }, far = { 1000, 0 };
	int first = -1, second = -1, status;
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		for (;;)
			sched_yield();
	}
	clockid_t clock = CLOCK_OF(child), thread = THREAD_CLOCK_OF(child);
	wrong += syscall(SYS_timer_create, clock, &none, &first) != 0;
	wrong += syscall(SYS_timer_create, clock, &event, &second) != 0;
	wrong += syscall(SYS_timer_settime, first, 0, &soon, NULL) != 0;
	wrong += syscall(SYS_timer_settime, second, 0, &soon, NULL) != 0;
	if (syscall(SYS_clock_nanosleep, clock, 0, &while_, NULL) != 0)
		wrong++;
	(void)thread;
	pid_t killer = (pid_t)MUST(fork());
	if (killer == 0) {
		usleep((unsigned)(round % 4) * 3000);
		kill(child, SIGKILL);
		_exit(0);
	}
	if (round & 1) {
		waitpid(child, &status, 0);
		wrong += !WIFSIGNALED(status);
	}
	/* a sleep on the clock of one that ends: a signal ends it, if nothing else does */
	struct itimerval alarm_soon = { { 0, 20000 }, { 0, 20000 } }, no_alarm = { 0 };
	setitimer(ITIMER_REAL, &alarm_soon, NULL);
	syscall(SYS_clock_nanosleep, clock, 0, &far, NULL);
	setitimer(ITIMER_REAL, &no_alarm, NULL);
	if (!(round & 1)) {
		waitpid(child, &status, 0);
		wrong += !WIFSIGNALED(status);
	}
	syscall(SYS_timer_gettime, first, &now);
	syscall(SYS_timer_settime, second, 1, &soon, &now);
	wrong += syscall(SYS_timer_getoverrun, second) < 0;
	wrong += syscall(SYS_timer_delete, first) != 0;
	wrong += syscall(SYS_timer_delete, second) != 0;
	waitpid(killer, &status, 0);
}

/* The same with a thread of this process. */
static void threads_clock(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec soon = { { 0, 500000 }, { 0, 500000 } }, now;
	pthread_t thread;
	int timer = -1;
	other = 0;
	over = 0;
	MUST(pthread_create(&thread, NULL, spin, NULL));
	while (!other)
		sched_yield();
	wrong += syscall(SYS_timer_create, THREAD_CLOCK_OF(other), &event, &timer) != 0;
	wrong += syscall(SYS_timer_settime, timer, 0, &soon, NULL) != 0;
	usleep(3000);
	over = 1;
	pthread_join(thread, NULL);
	syscall(SYS_timer_gettime, timer, &now);
	syscall(SYS_timer_settime, timer, 0, &soon, NULL);
	wrong += syscall(SYS_timer_delete, timer) != 0;
}

static void nothing(int number)
{
	(void)number;
}

int main(void)
{
	struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	struct sigaction interrupts = { .sa_handler = nothing };
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &interrupts, NULL);
	for (int round = 0; round < ROUNDS; round++) {
		others_clock(round);
		threads_clock();
	}
	printf("clocks of others: %d wrong\n", wrong);
	char text[32] = "";
	int fd = (int)MUST(open("/proc/sys/kernel/pid_max", O_RDONLY));
	MUST(read(fd, text, sizeof text - 1));
	close(fd);
	SHOW(set_number("/proc/sys/kernel/pid_max", "300"));
	SHOW(set_number("/proc/sys/kernel/pid_max", "1000"));
	for (int i = 0; i < 3; i++)
		exhaust();
	SHOW(set_number("/proc/sys/kernel/pid_max", text));
	return 0;
}
