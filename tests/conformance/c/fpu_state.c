/* Covers: x87, SSE and AVX registers across switches between processes and threads, across signals (nested too), fork and sigreturn; what a
 * handler sees at first; MXCSR. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <ucontext.h>
#include "case.h"

#define ROUNDS 200

static int has_avx;

static void load(uint64_t seed)
{
	uint64_t v[4] __attribute__((aligned(32)));
	for (int i = 0; i < 4; i++)
		v[i] = seed * 0x9e3779b97f4a7c15ull + (uint64_t)i;
	__asm__ volatile("movdqu (%0), %%xmm5\n movdqu 16(%0), %%xmm15" :: "r"(v) : "xmm5", "xmm15", "memory");
	if (has_avx)
		__asm__ volatile("vmovdqu (%0), %%ymm6" :: "r"(v) : "xmm6", "memory");
}

static int same(uint64_t seed)
{
	uint64_t v[4], got[4] = { 0 }, wide[4];
	for (int i = 0; i < 4; i++)
		v[i] = seed * 0x9e3779b97f4a7c15ull + (uint64_t)i;
	__asm__ volatile("movdqu %%xmm5, (%0)\n movdqu %%xmm15, 16(%0)" :: "r"(got) : "memory");
	if (memcmp(v, got, sizeof v))
		return 0;
	if (!has_avx)
		return 1;
	__asm__ volatile("vmovdqu %%ymm6, (%0)" :: "r"(wide) : "memory");
	return !memcmp(v, wide, sizeof v);
}

/* Registers must survive a system call that gives way to others. */
static int survive(uint64_t seed)
{
	int good = 0;
	for (int i = 0; i < ROUNDS; i++) {
		long result;
		load(seed + (uint64_t)i);
		__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
		good += same(seed + (uint64_t)i);
	}
	return good;
}

static void *worker(void *argument)
{
	return (void *)(long)survive((uint64_t)(long)argument);
}

static volatile int depth, handler_x87, inner_seen;
static volatile unsigned handler_mxcsr;

static void handler(int signal)
{
	unsigned short control;
	unsigned mxcsr;
	__asm__ volatile("fnstcw %0" : "=m"(control));
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	handler_x87 = control;
	handler_mxcsr = mxcsr;
	load(777 + (uint64_t)signal);
	if (signal == SIGUSR1) {
		depth++;
		raise(SIGUSR2);
		depth--;
	} else {
		inner_seen++;
	}
}

static void change_context(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	ucontext_t *u = context;
	uint64_t v[2] = { 0x1111, 0x2222 };
	memcpy((char *)u->uc_mcontext.fpregs + 160 + 16 * 5, v, 16);
}

int main(void)
{
	__builtin_cpu_init();
	has_avx = __builtin_cpu_supports("avx");
	printf("avx %d\n", has_avx);

	/* Processes. */
	fflush(stdout);
	pid_t children[3];
	for (int c = 0; c < 3; c++) {
		children[c] = (pid_t)MUST(fork());
		if (children[c] == 0)
			_exit(survive((uint64_t)c * 1000 + 1) == ROUNDS ? 0 : 1);
	}
	for (int c = 0; c < 3; c++)
		show_end(children[c]);

	/* Threads. */
	pthread_t threads[4];
	for (long t = 0; t < 4; t++)
		pthread_create(&threads[t], NULL, worker, (void *)(t * 100000 + 5));
	for (int t = 0; t < 4; t++) {
		void *good;
		pthread_join(threads[t], &good);
		printf("thread %d: %ld of %d\n", t, (long)good, ROUNDS);
	}

	/* A computation that the tick interrupts, beside another one. */
	pid_t busy = (pid_t)MUST(fork());
	if (busy == 0) {
		volatile double x = 1.0;
		for (;;)
			x = x * 1.0000001 + 0.5;
	}
	double sum = 0;
	for (int i = 1; i <= 3000000; i++)
		sum += 1.0 / i;
	printf("sum %.10f\n", sum);
	kill(busy, SIGKILL);
	show_end(busy);

	/* Signals. */
	signal(SIGUSR1, handler);
	signal(SIGUSR2, handler);
	unsigned short control = 0x0f7f, now;
	unsigned mxcsr = 0x9f80, mxcsr_now;
	__asm__ volatile("fldcw %0" :: "m"(control));
	__asm__ volatile("ldmxcsr %0" :: "m"(mxcsr));
	load(42);
	pid_t self = getpid();
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_kill), "D"((long)self), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
	int kept = same(42);
	__asm__ volatile("fnstcw %0" : "=m"(now));
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr_now));
	control = 0x037f;
	mxcsr = 0x1f80;
	__asm__ volatile("fldcw %0" :: "m"(control));
	__asm__ volatile("ldmxcsr %0" :: "m"(mxcsr));
	printf("registers kept %d, control word %#x, mxcsr %#x\n", kept, now, mxcsr_now);
	printf("in the handler: control word %#x, mxcsr %#x, nested %d, depth %d\n", handler_x87, handler_mxcsr, inner_seen, depth);

	/* The same for one who did not touch its registers for many turns: they may not be in the processor when the signal comes. */
	fflush(stdout);
	handler_x87 = handler_mxcsr = 0;
	int before = inner_seen;
	pid_t sender = (pid_t)MUST(fork());
	if (sender == 0) {
		for (int i = 0; i < 100; i++)
			sched_yield();
		kill(self, SIGUSR2);
		_exit(0);
	}
	control = 0x0f7f;
	mxcsr = 0x9f80;
	__asm__ volatile("fldcw %0" :: "m"(control));
	__asm__ volatile("ldmxcsr %0" :: "m"(mxcsr));
	load(43);
	while (inner_seen == before)
		__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_sched_yield) : "rcx", "r11", "memory");
	kept = same(43);
	__asm__ volatile("fnstcw %0" : "=m"(now));
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr_now));
	control = 0x037f;
	mxcsr = 0x1f80;
	__asm__ volatile("fldcw %0" :: "m"(control));
	__asm__ volatile("ldmxcsr %0" :: "m"(mxcsr));
	printf("untouched: kept %d, control word %#x, mxcsr %#x\n", kept, now, mxcsr_now);
	printf("in the handler: control word %#x, mxcsr %#x\n", handler_x87, handler_mxcsr);
	show_end(sender);

	/* x87 values on the register stack. */
	long double three;
	__asm__ volatile("fld1\n fld1\n faddp\n" ::: "st");
	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_kill), "D"((long)self), "S"((long)SIGUSR2) : "rcx", "r11", "memory");
	__asm__ volatile("fld1\n faddp\n fstpt %0" : "=m"(three));
	printf("x87 %.1Lf\n", three);

	/* A handler that changes the saved registers changes the real ones. */
	struct sigaction action = { .sa_sigaction = change_context, .sa_flags = SA_SIGINFO };
	sigaction(SIGUSR1, &action, NULL);
	load(7);
	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_kill), "D"((long)self), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
	uint64_t got[2];
	__asm__ volatile("movdqu %%xmm5, (%0)" :: "r"(got) : "memory");
	printf("changed to %#lx %#lx\n", (long)got[0], (long)got[1]);

	/* The child of a fork has its parent's. */
	load(99);
	__asm__ volatile("syscall" : "=a"(result) : "a"(SYS_fork) : "rcx", "r11", "memory");
	int inherited = same(99);
	if (result == 0)
		_exit(inherited ? 33 : 34);
	printf("parent %d\n", inherited);
	show_end((pid_t)result);

	/* MXCSR with reserved bits in the frame of a signal: refused, not loaded. */
	IN_CHILD(
		unsigned bad = 0x1f80;
		__asm__ volatile("ldmxcsr %0" :: "m"(bad));
		printf("fine\n"));
	/* Unmasked exceptions arrive as SIGFPE. */
	IN_CHILD(
		unsigned unmasked = 0x1d00;
		volatile float zero = 0;
		__asm__ volatile("ldmxcsr %0" :: "m"(unmasked));
		volatile float bad = 1.0f / zero;
		(void)bad);
	return 0;
}
