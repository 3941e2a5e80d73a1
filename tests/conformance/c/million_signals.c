/* Covers: hostile input: a very large number of signals, caught, blocked and queued, from another process too. */
#include "case.h"

static volatile int caught;

static void on_signal(int number)
{
	caught++;
}

int main(void)
{
	enum { MANY = 70000 }; /* more than 16 bits count */
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < MANY; i++)
		raise(SIGUSR1);
	printf("caught all: %d\n", caught == MANY);
	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < MANY; i++)
		kill(getpid(), SIGUSR1);
	sigset_t set;
	sigemptyset(&set), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, 0);
	signal(SIGUSR2, on_signal);
	signal(SIGRTMIN, on_signal);
	caught = 0;
	for (int i = 0; i < MANY; i++)
		kill(getpid(), SIGUSR2);
	long queued = 0;
	while (queued < MANY && sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }) == 0)
		queued++;
	printf("the queue is bounded: %d %s\n", queued < MANY, error_name(errno));
	sigprocmask(SIG_UNBLOCK, &set, 0);
	printf("caught as many as were queued: %d\n", caught == queued + 1);
	/* A child floods its parent. */
	signal(SIGUSR1, on_signal);
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 20000; i++)
			kill(getppid(), SIGUSR1);
		_exit(0);
	}
	show_end(child);
	puts("still here");
	return 0;
}
