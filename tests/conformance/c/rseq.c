/* Restartable sequences: registration and its errors, the fields, sequences that a signal or another process interrupts,
 * descriptions that make no sense, fork, threads and execve; membarrier's commands for them (rseq(2), membarrier(2)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <ucontext.h>

#define SIGNATURE 0x53053053
struct area { uint32_t cpu_id_start, cpu_id; uint64_t section; uint32_t flags, node_id, mm_cid; } __attribute__((aligned(32)));
struct section { uint32_t version, flags; uint64_t start, length, landing; } __attribute__((aligned(32)));

static struct area area, other;
static volatile int stop, told;
extern char spin_start[], spin_end[], spin_landing[];
int spin(struct area *area, struct section *section, volatile int *stop);
__asm__(".text\n.balign 16\nspin:\n"
	"	movq %rsi, 8(%rdi)\n"
	"spin_start:\n1:	cmpl $0, (%rdx)\n	je 1b\n"
	"spin_end:\n	xorl %eax, %eax\n	ret\n"
	"	.long 0x53053053\n"
	"spin_landing:\n	movl $1, %eax\n	ret\n");

static long rseq(void *address, uint32_t length, int flags, uint32_t signature)
{
	return syscall(SYS_rseq, address, length, flags, signature);
}

static struct section description(void)
{
	struct section s = { 0, 0, (uintptr_t)spin_start, (uintptr_t)(spin_end - spin_start), (uintptr_t)spin_landing };
	return s;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)info;
	uintptr_t rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	struct itimerval never = { 0 };
	char text[64];
	if (stop || rip < (uintptr_t)spin_start || rip > (uintptr_t)spin_landing)
		return; /* one that was due before the timer was stopped; or before the sequence, and another one comes */
	setitimer(ITIMER_REAL, &never, 0);
	int n = snprintf(text, sizeof text, "signal %d finds the thread %s; rseq_cs %s\n", signal,
			 rip == (uintptr_t)spin_landing ? "at the landing" :
			 rip >= (uintptr_t)spin_start && rip < (uintptr_t)spin_end ? "in the sequence" : "elsewhere",
			 area.section ? "is set" : "is 0");
	write(1, text, (size_t)n);
	stop = 1;
	told = 1;
}

/* Again and again, until one comes in the sequence. */
static void start_alarms(void)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	MUST(setitimer(ITIMER_REAL, &often, 0));
}

static void registration(void)
{
	static char memory[128] __attribute__((aligned(64)));
	printf("AT_RSEQ_FEATURE_SIZE %lu, AT_RSEQ_ALIGN %lu\n", getauxval(27), getauxval(28));
	SHOW(rseq(0, 32, 1, SIGNATURE));
	SHOW(rseq(memory + 8, 32, 0, SIGNATURE));
	SHOW(rseq(memory + 16, 32, 0, SIGNATURE));
	SHOW(rseq(memory, 28, 0, SIGNATURE));
	SHOW(rseq(memory, 0, 0, SIGNATURE));
	SHOW(rseq(memory, 32, 2, SIGNATURE));
	SHOW(rseq((void *)(1UL << 63), 32, 0, SIGNATURE));
	SHOW(rseq((void *)((1UL << 47) - 64), 96, 0, SIGNATURE));
	memset(&area, 0xff, sizeof area);
	SHOW(rseq(&area, 32, 0, SIGNATURE));
	printf("rseq_cs %lu, flags %#x\n", (unsigned long)area.section, area.flags);
	area.flags = 0;
	printf("start %s cpu, node %u, cid %s\n", area.cpu_id_start == area.cpu_id ? "is" : "is not", area.node_id,
	       area.mm_cid < (uint32_t)sysconf(_SC_NPROCESSORS_CONF) ? "fits the processors" : "is large");
	SHOW(rseq(&area, 32, 0, SIGNATURE));
	SHOW(rseq(&area, 32, 0, 1));
	SHOW(rseq(&area, 64, 0, SIGNATURE));
	SHOW(rseq(&other, 32, 0, SIGNATURE));
	SHOW(rseq(&other, 32, 1, SIGNATURE));
	SHOW(rseq(&area, 64, 1, SIGNATURE));
	SHOW(rseq(&area, 32, 1, 1));
	SHOW(rseq(&area, 32, 3, SIGNATURE));
	SHOW(rseq(&area, 32, 1, SIGNATURE));
	printf("start %u cpu %d node %u\n", area.cpu_id_start, (int)area.cpu_id, area.node_id);
	SHOW(rseq(&area, 32, 1, SIGNATURE));
	SHOW(rseq(memory + 64, 64, 0, 5));
	SHOW(rseq(memory + 64, 64, 1, 5));
	IN_CHILD(TRY(rseq((void *)4096, 32, 0, SIGNATURE)); printf("not reached\n"););
}

static void sequences(void)
{
	struct section s = description();
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	MUST(sigaction(SIGALRM, &act, 0));
	MUST(rseq(&area, 32, 0, SIGNATURE));
	stop = 1;
	printf("to its end: %d\n", spin(&area, &s, &stop));
	stop = 0;
	start_alarms();
	int landed = 0;
	while (!told) // something else may take the processor first
		landed = spin(&area, &s, &stop);
	printf("a signal: %d\n", landed);
	fflush(stdout);
	cpu_set_t here, all;
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	MUST(sched_getaffinity(0, sizeof all, &all));
	MUST(sched_setaffinity(0, sizeof here, &here)); /* the two have one processor */
	pid_t child = (pid_t)MUST(fork());
	if (!child) {
		for (volatile long i = 0;; i++)
			;
	}
	stop = 0;
	printf("another process: %d\n", spin(&area, &s, &stop));
	CHECK(area.section == 0);
	MUST(kill(child, SIGKILL));
	MUST(waitpid(child, 0, 0));
	MUST(sched_setaffinity(0, sizeof all, &all));
	s.start += 4096;
	stop = 0;
	start_alarms();
	printf("outside of the sequence: %d\n", spin(&area, &s, &stop));
	CHECK(area.section == 0);
}

static void bad(const char *what, struct section s)
{
	printf("%s: ", what);
	IN_CHILD(
		stop = 0;
		start_alarms();
		printf("%d\n", spin(&area, &s, &stop));
	);
}

static void senseless(void)
{
	struct section s = description();
	s.version = 1;
	bad("version 1", s);
	s = description();
	s.landing = s.start;
	bad("landing inside", s);
	s = description();
	s.landing += 1;
	bad("no signature", s);
	s = description();
	s.start = 1UL << 63;
	bad("start in the kernel", s);
	s = description();
	s.length = (uint64_t)-1;
	bad("endless", s);
	s = description();
	s.flags = 1;
	bad("flags", s);
	area.flags = 8;
	bad("flags of the thread", description());
	area.flags = 0;
	s = description();
	s.landing = 0;
	bad("no landing", s);
	printf("no description: ");
	IN_CHILD(
		stop = 0;
		start_alarms();
		printf("%d\n", spin(&area, (struct section *)8, &stop));
	);
}

static void *in_thread(void *unused)
{
	SHOW(rseq(&area, 32, 1, SIGNATURE));
	SHOW(rseq(&other, 32, 0, 7));
	SHOW(rseq(&other, 32, 1, 7));
	return unused;
}

int main(int count, char **arguments)
{
	if (count > 1) {
		SHOW(rseq(&area, 32, 1, SIGNATURE));
		return 0;
	}
	registration();
	sequences();
	senseless();
	IN_CHILD(SHOW(rseq(&area, 32, 1, SIGNATURE)););
	pthread_t t;
	pthread_create(&t, 0, in_thread, 0);
	pthread_join(t, 0);
	SHOW(rseq(&area, 32, 0, SIGNATURE));
	printf("membarrier knows %#lx\n", syscall(SYS_membarrier, 0, 0, 0));
	SHOW(syscall(SYS_membarrier, 128, 0, 0));
	SHOW(syscall(SYS_membarrier, 256, 1, 0));
	SHOW(syscall(SYS_membarrier, 256, 0, 0));
	SHOW(syscall(SYS_membarrier, 128, 0, 0));
	SHOW(syscall(SYS_membarrier, 128, 1, 0));
	SHOW(syscall(SYS_membarrier, 128, 1, 99));
	SHOW(syscall(SYS_membarrier, 128, 2, 0));
	SHOW(syscall(SYS_membarrier, 8, 1, 0));
	SHOW(syscall(SYS_membarrier, 512, 0, 0));
	fflush(stdout);
	execl(arguments[0], arguments[0], "again", NULL);
	return 1;
}
