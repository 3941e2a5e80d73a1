/* Covers: RLIMIT_NPROC: threads and zombies count, for all processes of the real user; who is exempt; execve by a thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>
#include "case.h"

static void limit(rlim_t most)
{
	struct rlimit l = { most, most };
	MUST(setrlimit(RLIMIT_NPROC, &l));
}

static void be_user(int uid, rlim_t most)
{
	limit(most);
	MUST(setgid(uid));
	MUST(setuid(uid));
}

static void *wait_for_ever(void *_)
{
	for (;;)
		pause();
	return _;
}

static int many_threads(void)
{
	pthread_t t;
	int made = 0, error;
	while (made < 100 && (error = pthread_create(&t, 0, wait_for_ever, 0)) == 0)
		made++;
	printf("%d threads, then %s\n", made, error_name(error));
	return made;
}

static void many_zombies(void)
{
	int made = 0;
	pid_t child;
	while (made < 100 && (child = fork()) >= 0) {
		if (child == 0)
			_exit(0);
		until_ended(child);
		made++;
	}
	printf("%d zombies, then %s\n", made, error_name(errno));
	SHOW(waitpid(-1, 0, 0) > 0);
	child = fork();
	if (child == 0)
		_exit(0);
	printf("another one after a wait: %s\n", child > 0 ? "yes" : error_name(errno));
	while (wait(0) > 0)
		continue;
	child = fork();
	if (child == 0)
		_exit(0);
	printf("after all were waited for: %s\n", child > 0 ? "yes" : error_name(errno));
	wait(0);
}

static void *run_program(void *_)
{
	execl("/bin/sh", "sh", "-c", "true & wait; echo one more process", NULL);
	return _;
}

int main(void)
{
	IN_CHILD(be_user(3001, 10); many_zombies());
	IN_CHILD(be_user(3002, 10); many_threads());
	IN_CHILD(be_user(3002, 10); many_zombies()); /* nothing is left of those before */
	/* Threads of one process and children of another share the limit. */
	IN_CHILD(be_user(3003, 10);
		 pid_t other = fork();
		 if (other == 0) { many_threads(); wait_for_ever(0); }
		 until_asleep(other);
		 sleep_ms(100);
		 SHOW(fork());
		 kill(other, SIGKILL);
		 until_ended(other);
		 pid_t child = fork();
		 if (child == 0) _exit(0);
		 printf("with a zombie: %s\n", child > 0 ? "yes" : error_name(errno)));
	/* A thread that is not the first executes a program: the process counts once. */
	IN_CHILD(be_user(3004, 3);
		 pthread_t t;
		 MUST(pthread_create(&t, 0, run_program, 0));
		 wait_for_ever(0));
	IN_CHILD(be_user(3004, 3); many_zombies());
	/* Root is exempt. */
	IN_CHILD(limit(1); many_zombies());
	return 0;
}
