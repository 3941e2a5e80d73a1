/* What only several processors show: threads that run at the same time, and what one does while the others run.
 *
 * Each function prints a line that is the same in every run. A thread that computes waits for others without system
 * calls, so it stays on its processor; on one processor each of its turns would take a slice of some milliseconds.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURNS 200
#define ROUNDS 50
#define MOVES 20

static atomic_int ball;
static atomic_int seen[64];

static void note_processor(void)
{
	int number = sched_getcpu();
	if (number >= 0 && number < 64)
		seen[number] = 1;
}

static void *player(void *argument)
{
	int me = (int)(long)argument;
	for (int i = 0; i < TURNS; i++) {
		while (atomic_load(&ball) % 2 != me)
			;
		atomic_fetch_add(&ball, 1);
	}
	note_processor();
	return 0;
}

static void *mapper(void *argument)
{
	long me = (long)argument;
	for (int i = 0; i < ROUNDS; i++) {
		long *page = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (int k = 0; k < 4; k++) {
			if (page[k * 512] != 0)
				abort(); /* somebody else's page */
			page[k * 512] = me;
		}
		sched_yield();
		for (int k = 0; k < 4; k++)
			if (page[k * 512] != me)
				abort();
		munmap(page, 16384);
		note_processor();
	}
	return 0;
}

static void run_together(void)
{
	pthread_t threads[4];
	for (long i = 0; i < 2; i++)
		pthread_create(&threads[i], 0, player, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], 0);
	printf("turns %d\n", atomic_load(&ball));
	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], 0, mapper, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], 0);
	int used = 0;
	for (int i = 0; i < 64; i++)
		used += seen[i];
	printf("more than one processor: %d\n", used > 1);
}

static atomic_int signals;

static void on_signal(int number)
{
	signals++;
}

static void signal_and_kill(void)
{
	signal(SIGUSR1, on_signal);
	pid_t child = fork();
	if (child == 0)
		for (;;) /* computes until it is killed */
			;
	for (int i = 0; i < 50; i++) {
		pid_t short_lived = fork();
		if (short_lived == 0) {
			kill(getppid(), SIGUSR1);
			_exit(7);
		}
		int status;
		while (waitpid(short_lived, &status, 0) < 0)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
			abort();
	}
	printf("signals %d\n", signals > 0);
	kill(child, SIGKILL); /* while it runs on another processor */
	int status;
	waitpid(child, &status, 0);
	printf("killed %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Another thread reads and writes memory that this one takes away: it has to fault, though its processor knows the page. */
static volatile int *memory;
static atomic_int touches, faults;
static __thread sigjmp_buf landing;

static void on_fault(int number)
{
	siglongjmp(landing, 1);
}

static void *toucher(void *argument)
{
	if (sigsetjmp(landing, 1) == 0)
		for (;;) {
			if (argument != 0)
				*memory = 1;
			else
				(void)*memory;
			touches++;
		}
	faults++;
	return 0;
}

static void take_away(void)
{
	signal(SIGSEGV, on_fault);
	for (long kind = 0; kind < 4; kind++) {
		memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*memory = 0;
		touches = 0;
		pthread_t thread;
		pthread_create(&thread, 0, toucher, (void *)(kind & 1));
		while (touches < 1000)
			;
		if (kind == 0)
			munmap((void *)memory, 4096);
		else if (kind == 1)
			mprotect((void *)memory, 4096, PROT_READ);
		else if (kind == 2)
			mprotect((void *)memory, 4096, PROT_NONE);
		else
			mremap((void *)memory, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)memory + 65536);
		pthread_join(thread, 0);
	}
	printf("faults %d\n", faults);
}

/* What rdtscp says, which follows the processor; without the instruction, what the kernel says. */
static int number_of_processor(void)
{
	unsigned a = 0x80000001, b, c, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	if (!(d & 1 << 27))
		return sched_getcpu();
	__asm__ volatile("rdtscp" : "=a"(a), "=d"(d), "=c"(c));
	return (int)(c & 0xfff);
}

/* Vector registers follow a thread that is moved. */
static atomic_int moves_done, stays;

static void *mover(void *argument)
{
	int count = (int)sysconf(_SC_NPROCESSORS_ONLN), wrong = 0;
	double sum = 0;
	for (int i = 0; i < MOVES; i++) {
		double step = 0.5 + (long)argument;
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET((i + (long)argument) % count, &one);
		sched_setaffinity(0, sizeof one, &one);
		for (int k = 0; k < 1000; k++)
			sum += step;
		wrong += sched_getcpu() != (i + (long)argument) % count || number_of_processor() != sched_getcpu();
	}
	stays += wrong;
	moves_done += sum == MOVES * 1000 * (0.5 + (long)argument);
	return 0;
}

static void move(void)
{
	pthread_t threads[4];
	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], 0, mover, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], 0);
	printf("sums %d, not moved %d\n", moves_done, stays);
}

/* A filter that is set for all threads holds for one that runs elsewhere, at its next call. */
static atomic_int calls, is_filtered, forbidden;

static void *caller(void *argument)
{
	while (!is_filtered) {
		syscall(SYS_getppid);
		calls++;
	}
	forbidden = syscall(SYS_getppid) == -1;
	return 0;
}

static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, code};
	pthread_t thread;
	pthread_create(&thread, 0, caller, 0);
	while (calls < 100)
		;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int set = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	is_filtered = 1;
	pthread_join(thread, 0);
	printf("filter %d, forbidden %d\n", set, forbidden);
}

/* Store, barrier of all, load: at least one of two threads sees what the other stored. */
static atomic_int first, second, round_of[2];
static int saw[2];

static void *light(void *argument)
{
	for (int i = 1; i <= ROUNDS; i++) {
		while (atomic_load_explicit(&round_of[0], memory_order_acquire) != i)
			;
		atomic_store_explicit(&first, i, memory_order_relaxed);
		atomic_signal_fence(memory_order_seq_cst);
		saw[0] = atomic_load_explicit(&second, memory_order_relaxed) == i;
		atomic_store_explicit(&round_of[1], i, memory_order_release);
	}
	return 0;
}

static void barrier(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	pthread_t thread;
	pthread_create(&thread, 0, light, 0);
	int missed = 0;
	for (int i = 1; i <= ROUNDS; i++) {
		atomic_store_explicit(&round_of[0], i, memory_order_release);
		atomic_store_explicit(&second, i, memory_order_relaxed);
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
		saw[1] = atomic_load_explicit(&first, memory_order_relaxed) == i;
		while (atomic_load_explicit(&round_of[1], memory_order_acquire) != i)
			;
		missed += !saw[0] && !saw[1];
	}
	pthread_join(thread, 0);
	printf("missed %d\n", missed);
}

static __attribute__((noreturn)) void *compute(void *argument)
{
	for (;;)
		;
}

/* exit and exec end threads that run on other processors. */
static void leave(char *name)
{
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();
		if (child == 0) {
			pthread_t thread;
			for (int k = 0; k < 3; k++)
				pthread_create(&thread, 0, compute, 0);
			if (i % 2 == 0)
				exit(5);
			execl(name, name, "5", (char *)0);
		}
		int status;
		waitpid(child, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 5)
			abort();
	}
	printf("left\n");
}

int main(int count, char **words)
{
	if (count > 1)
		return atoi(words[1]);
	setvbuf(stdout, 0, _IONBF, 0);
	run_together();
	signal_and_kill();
	take_away();
	move();
	barrier();
	leave("/proc/self/exe");
	filter();
	return 0;
}
