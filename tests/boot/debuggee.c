/* What debuggers lead through its paces: frames to look at, a variable to watch, a thread, a signal, a child.
 *
 * debuggee [handle|wait|crash]: `handle` the signal, `wait` until a debugger lets it go, or `crash`. It prints into /tmp/printed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int watched;
static int crashes;

__attribute__((noinline)) int sum(int first, int second)
{
	int result = first + second;
	return result;
}

__attribute__((noinline)) int work(int depth)
{
	if (depth == 0 && crashes)
		*(volatile int *)16 = watched;
	if (depth == 0)
		return sum(3, 4);
	return work(depth - 1) + 1;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long thread_number;

void *in_thread(void *argument)
{
	thread_number = syscall(SYS_gettid);
	pthread_mutex_lock(&lock);
	watched = 5;
	pthread_mutex_unlock(&lock);
	return argument;
}

/* A traced thread that has ended keeps its number until its tracer has heard of it. */
static void wait_for_tracer_of(long number)
{
	while (syscall(SYS_tgkill, getpid(), number, 0) == 0)
		usleep(1000);
}

static void *idle(void *argument)
{
	pause();
	return argument;
}

static void handle(int signo)
{
	printf("signal %d\n", signo);
}

volatile int go_on;

__attribute__((noinline)) void let_go(void)
{
	printf("let go\n");
}

static void wait_for_debugger(void)
{
	while (!go_on)
		usleep(1000);
	let_go();
}

int main(int count, char **arguments)
{
	const char *wish = count > 1 ? arguments[1] : "";
	if (!freopen("/tmp/printed", "w", stdout))
		return 1;
	setvbuf(stdout, 0, _IOLBF, 0);
	if (strcmp(wish, "wait") == 0) {
		wait_for_debugger();
		return 3;
	}
	if (strcmp(wish, "crash") == 0) {
		pthread_t other;
		pthread_create(&other, 0, idle, 0);
		usleep(100000);
		watched = 7;
		crashes = 1;
	}
	if (strcmp(wish, "handle") == 0)
		signal(SIGUSR1, handle);
	printf("work %d\n", work(2));
	watched = 1;
	watched += 1;
	pthread_t thread;
	pthread_mutex_lock(&lock);
	pthread_create(&thread, 0, in_thread, 0);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, 0);
	wait_for_tracer_of(thread_number);
	raise(SIGUSR1);
	pid_t child = fork();
	if (child == 0)
		_exit(7);
	int status;
	waitpid(child, &status, 0);
	printf("child %d\n", WEXITSTATUS(status));
	return 0;
}
