/* Covers: clone as pthread_create calls it, futex (WAIT WAKE REQUEUE through musl), thread-local storage, exit of threads, mutexes, conditions, barriers, semaphores, cancellation, signals to threads, set_tid_address, exit_group with threads, fork and exec with threads. */
#include <pthread.h>
#include <semaphore.h>
#include "case.h"

enum { THREADS = 8, ROUNDS = 5000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static __thread int own = 7;
static int shared, turn, atomic;
static volatile int caught_in;

static void *count(void *argument)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		shared++;
		pthread_mutex_unlock(&mutex);
		__atomic_fetch_add(&atomic, 1, __ATOMIC_SEQ_CST);
		own++;
	}
	pthread_barrier_wait(&barrier);
	return (void *)(long)own;
}

static void *ping(void *argument)
{
	int me = (int)(long)argument;
	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&condition, &mutex);
		turn = !me;
		pthread_cond_signal(&condition);
		pthread_mutex_unlock(&mutex);
	}
	return 0;
}

static void on_signal(int number)
{
	caught_in = (int)syscall(SYS_gettid);
}

static void *wait_for_signal(void *argument)
{
	*(int *)argument = (int)syscall(SYS_gettid);
	sem_post(&semaphore);
	while (!caught_in)
		sched_yield();
	return 0;
}

static void *sleeper(void *argument)
{
	for (;;)
		sleep_ms(1000);
}

static void *cancelled(void *argument)
{
	for (;;)
		pause();
}

static void *leave(void *argument)
{
	if (argument)
		exit(21);
	pthread_exit((void *)33);
}

static void *run_program(void *argument)
{
	execl("/bin/echo", "echo", "executed by a thread", NULL);
	return 0;
}

int main(void)
{
	pthread_t threads[THREADS];
	void *result;
	pthread_barrier_init(&barrier, 0, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], 0, count, (void *)i))
			puts("pthread_create failed");
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		printf("thread %d counted to %ld\n", i, (long)result);
	}
	printf("shared %d atomic %d own %d\n", shared, atomic, own);

	pthread_create(&threads[0], 0, ping, (void *)0);
	pthread_create(&threads[1], 0, ping, (void *)1);
	pthread_join(threads[0], 0), pthread_join(threads[1], 0);
	puts("turns taken");

	sem_init(&semaphore, 0, 0);
	int tid = 0;
	signal(SIGUSR1, on_signal);
	pthread_create(&threads[0], 0, wait_for_signal, &tid);
	sem_wait(&semaphore);
	pthread_kill(threads[0], SIGUSR1);
	pthread_join(threads[0], 0);
	CHECK(caught_in == tid && tid != getpid());
	CHECK(syscall(SYS_gettid) == getpid());
	SHOW(sem_trywait(&semaphore));
	struct timespec soon;
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 20000000;
	if (soon.tv_nsec >= 1000000000)
		soon.tv_nsec -= 1000000000, soon.tv_sec++;
	SHOW(sem_timedwait(&semaphore, &soon));
	pthread_mutex_lock(&mutex);
	printf("timed wait: %s\n", error_name(pthread_cond_timedwait(&condition, &mutex, &soon)));
	printf("try again: %s\n", error_name(pthread_mutex_trylock(&mutex)));
	pthread_mutex_unlock(&mutex);

	pthread_create(&threads[0], 0, cancelled, 0);
	sleep_ms(20);
	pthread_cancel(threads[0]);
	pthread_join(threads[0], &result);
	CHECK(result == PTHREAD_CANCELED);
	pthread_create(&threads[0], 0, leave, 0);
	pthread_join(threads[0], &result);
	printf("result %ld\n", (long)result);

	/* Many threads, one after the other: what they used comes back. */
	int made = 0;
	for (int i = 0; i < 300; i++)
		if (pthread_create(&threads[0], 0, leave, 0) == 0) {
			pthread_join(threads[0], 0);
			made++;
		}
	printf("%d threads\n", made);

	/* The end of a process with several threads. */
	IN_CHILD(for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, sleeper, 0); exit(5));
	IN_CHILD(pthread_create(&threads[0], 0, sleeper, 0); pthread_create(&threads[1], 0, leave, (void *)1); pause());
	IN_CHILD(pthread_create(&threads[0], 0, sleeper, 0); kill(getpid(), SIGKILL); pause());
	IN_CHILD(pthread_create(&threads[0], 0, run_program, 0); pause());
	IN_CHILD(pthread_create(&threads[0], 0, leave, 0); pthread_exit(0));
	IN_CHILD(pthread_create(&threads[0], 0, sleeper, 0); _exit(fork() == 0 ? 0 : 6));
	return 0;
}
