/* arch/x86_64/lock.S under threads of the host, one for each processor: `lock_threads PROCESSORS TURNS`.
 *
 * test_lock.py puts calls to the functions below in the place of the instructions that a program may not use. A halt
 * waits for an interrupt, and an interrupt wakes whoever halts; a processor that was asked to load its table answers in
 * lock.S while it waits for the lock, and here while it does not.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 8
#define COMMAND 0x830 /* the interrupt command register */

struct per_cpu { /* as in constants.inc */
	long self, kernel_sp, user_rsp, scratch[2], number, root;
	atomic_long flush, flushed;
	long apic;
} areas[MOST], cpu_area;

extern long several_processors;
extern int lock_is_held;
extern struct per_cpu *processor_areas[64];
void take_kernel_lock(void);
void take_kernel_lock_awake(void);
void give_kernel_lock(void);
void interrupt_window(long *save_sp_to);

static int count, last = -1;
static long turns, total, takeovers;
static atomic_int pending[MOST], done[MOST];
static atomic_long halts;
static volatile int inside;
static __thread int me;

static void fail(const char *what)
{
	fprintf(stderr, "processor %d: %s\n", me, what);
	exit(1);
}

void krait_take_over(long number)
{
	takeovers++;
	last = (int)number;
}

void krait_interrupt_in_kernel(void *frame)
{
}

static void interrupt(int number)
{
	pending[number] = 1;
	syscall(SYS_futex, &pending[number], FUTEX_WAKE, 1, 0, 0, 0);
}

void do_halt(void)
{
	halts++;
	while (!atomic_exchange(&pending[me], 0)) {
		struct timespec patience = {20, 0};
		if (syscall(SYS_futex, &pending[me], FUTEX_WAIT, 0, &patience, 0, 0) < 0 && errno == ETIMEDOUT)
			fail("halts for ever");
	}
}

void do_write(long msr, long low, long high)
{
	if (msr == COMMAND)
		interrupt((int)high);
}

/* All registers are kept, as the instructions do. */
__asm__(".macro around function\n"
	"pushfq\n push %rax\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"
	"push %rbx\n mov %rsp, %rbx\n and $-16, %rsp\n mov %rcx, %rdi\n mov %rax, %rsi\n call \\function\n mov %rbx, %rsp\n"
	"pop %rbx\n pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n popfq\n"
	"ret\n.endm\n.globl halt, write_msr\n"
	"halt: around do_halt\n write_msr: around do_write\n");

static void answer(void)
{
	areas[me].flushed = areas[me].flush;
}

/* What a shoot-down does: the holder of the lock waits for the others. */
static void ask_all(void)
{
	for (int i = 0; i < count; i++)
		if (i != me) {
			areas[i].flush++;
			interrupt(i);
		}
	for (int i = 0; i < count; i++)
		while (i != me && areas[i].flushed != areas[i].flush && !done[i])
			sched_yield();
}

static void enter(void)
{
	if (inside++ != 0)
		fail("two hold the lock");
	if (last != me)
		fail("the kernel thinks that another runs it");
}

static void spend(unsigned amount)
{
	for (volatile unsigned i = 0; i < amount; i++)
		;
}

static void *run(void *number)
{
	me = (int)(long)number;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &areas[me]);
	unsigned random = (unsigned)me + 1;
	for (long i = 0; i < turns; i++) {
		random = random * 1103515245 + 12345;
		if (random & 1 << 16)
			take_kernel_lock();
		else
			take_kernel_lock_awake();
		enter();
		long before = total;
		spend(random >> 20 & (random & 1 << 18 ? 4095 : 15));
		total = before + 1;
		if ((random >> 8 & 63) == 0)
			ask_all();
		if ((random >> 9 & 15) == 0) {
			long stack_pointer;
			inside--;
			interrupt_window(&stack_pointer);
			enter();
		}
		inside--;
		give_kernel_lock();
		answer();
		spend(random >> 12 & 63);
	}
	done[me] = 1;
	return 0;
}

int main(int argument_count, char **arguments)
{
	pthread_t threads[MOST];
	count = atoi(arguments[1]);
	turns = atol(arguments[2]);
	several_processors = 1;
	for (int i = 0; i < count; i++) {
		areas[i].self = (long)&areas[i];
		areas[i].number = areas[i].apic = i;
		processor_areas[i] = &areas[i];
	}
	lock_is_held = 0; /* the boot processor would hold it */
	for (long i = 0; i < count; i++)
		pthread_create(&threads[i], 0, run, (void *)i);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	printf("%ld turns, %ld take-overs, %ld halts\n", total, takeovers, (long)halts);
	return total != count * turns;
}
