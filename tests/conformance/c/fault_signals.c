/* Covers: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP from faults: si_code, si_addr, register context, returning past the fault, stack growth and overflow, faults in handlers. */
#include <setjmp.h>
#include <sys/resource.h>
#include <ucontext.h>
#include "case.h"

static void *expected;

static void report(int number, siginfo_t *info, void *context)
{
	printf("  signal %d code %d address %s trap %lld\n", number, info->si_code,
		info->si_addr == expected ? "as expected" : info->si_addr ? "other" : "null",
		(long long)((ucontext_t *)context)->uc_mcontext.gregs[REG_TRAPNO]);
	fflush(stdout);
	_exit(1);
}

static void skip_two(int number, siginfo_t *info, void *context)
{
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void catch_all(void)
{
	struct sigaction action = { .sa_sigaction = report, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		sigaction(numbers[i], &action, 0);
}

static int deep(int n)
{
	volatile char room[1024];
	room[0] = (char)n;
	return n == 0 ? 0 : deep(n - 1) + room[0] * 0 + 1;
}

static int endless(int n)
{
	volatile char room[1024];
	room[0] = (char)n;
	return endless(n + 1) + room[0];
}

static void fault_again(int number)
{
	*(volatile char *)16 = 1;
}

#define FAULT(what, address, ...) do { printf("%s\n", what); expected = (void *)(address); IN_CHILD(catch_all(); __VA_ARGS__); } while (0)

int main(void)
{
	FAULT("read null", 0, (void)*(volatile char *)0);
	FAULT("write address 16", 16, *(volatile char *)16 = 1);
	FAULT("jump to null", 0, ((void (*)(void))0)());
	FAULT("read kernel", 0xffffffff80000000, (void)*(volatile char *)0xffffffff80000000);
	FAULT("non-canonical", 0, (void)*(volatile char *)0x1234567890abcdef);
	static const char constant[] = "constant";
	FAULT("write constant", constant, *(volatile char *)constant = 1);
	FAULT("run data", &expected, ((void (*)(void))&expected)());
	FAULT("undefined instruction", 0, __asm__ volatile("ud2"));
	FAULT("divide by zero", 0, __asm__ volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx" ::: "eax", "ecx", "edx"));
	FAULT("breakpoint", 0, __asm__ volatile("int3"));
	FAULT("privileged hlt", 0, __asm__ volatile("hlt"));
	FAULT("privileged cli", 0, __asm__ volatile("cli"));
	FAULT("privileged in", 0, __asm__ volatile("inb $0x60, %%al" ::: "rax"));
	FAULT("privileged mov cr3", 0, __asm__ volatile("mov %%cr3, %%rax" ::: "rax"));
	FAULT("wrmsr", 0, __asm__ volatile("wrmsr" :: "a"(0), "c"(0xc0000082), "d"(0)));
	FAULT("int 0x20", 0, __asm__ volatile("int $0x20"));
	FAULT("single step", 0, __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop; nop" ::: "memory"));
	FAULT("bad stack pointer", 0, __asm__ volatile("mov $0x10, %%rsp; push %%rax" ::: "memory"));
	FAULT("non-canonical stack", 0, __asm__ volatile("mov $0x8000000000000000, %%rsp; push %%rax" ::: "memory"));
	FAULT("iretq to kernel", 0, __asm__ volatile("push $0x10; push %%rsp; pushf; push $0x8; push $0; iretq" ::: "memory"));
	FAULT("load kernel ds", 0, __asm__ volatile("mov %0, %%ss" :: "r"(8)));

	struct sigaction action = { .sa_sigaction = skip_two, .sa_flags = SA_SIGINFO };
	sigaction(SIGILL, &action, 0);
	long value;
	__asm__ volatile("ud2" : "=a"(value));
	printf("value from the handler: %ld\n", value);

	/* The stack grows down to its limit; past it there is a signal, on another stack. */
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	printf("depth %d\n", deep(3000));
	SHOW(setrlimit(RLIMIT_STACK, &limit));
	static char memory[32768];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof memory };
	MUST(sigaltstack(&stack, 0));
	printf("stack overflow\n");
	IN_CHILD(catch_all(); endless(0));
	stack.ss_flags = SS_DISABLE;
	MUST(sigaltstack(&stack, 0));
	printf("stack overflow without another stack\n");
	IN_CHILD(catch_all(); endless(0));
	printf("fault in the handler of a fault\n");
	IN_CHILD(signal(SIGSEGV, fault_again); *(volatile char *)0 = 1);
	printf("blocked and ignored faults kill\n");
	IN_CHILD(signal(SIGSEGV, SIG_IGN); *(volatile char *)0 = 1);
	IN_CHILD(sigset_t set; sigfillset(&set); sigprocmask(SIG_BLOCK, &set, 0); catch_all(); *(volatile char *)0 = 1);
	printf("handlers at wild addresses\n");
	IN_CHILD(signal(SIGUSR1, (void (*)(int))0x10); raise(SIGUSR1));
	IN_CHILD(signal(SIGUSR1, (void (*)(int))0xffffffff80000000); raise(SIGUSR1));
	IN_CHILD(signal(SIGUSR1, (void (*)(int))0x8000000000000000); raise(SIGUSR1));
	printf("returning from no signal\n");
	IN_CHILD(__asm__ volatile("mov $15, %%eax; mov $0x10, %%rsp; syscall" ::: "memory"));
	IN_CHILD(memset(memory, 0xff, sizeof memory);
		__asm__ volatile("mov $15, %%eax; mov %0, %%rsp; syscall" :: "r"(memory + 100) : "memory", "rax"));
	IN_CHILD(memset(memory, 0, sizeof memory);
		__asm__ volatile("mov $15, %%eax; mov %0, %%rsp; syscall" :: "r"(memory + 100) : "memory", "rax"));
	return 0;
}
