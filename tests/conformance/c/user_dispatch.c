/* prctl(PR_SET_SYSCALL_USER_DISPATCH): system calls that become SIGSYS, because a byte of the program says so. */
#include <pthread.h>
#include <sched.h>
#include <ucontext.h>
#include "ptrace_case.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define OFF 0
#define ON 1
#define ALLOW 0
#define BLOCK 1
#define SET_CONFIG 0x4210
#define GET_CONFIG 0x4211

struct config { uint64_t mode, selector, start, size; };

/* A call from a known place: the kernel compares the address after the instruction. */
extern char call_start[], call_after[], call_end[];
long call_here(long number, long first);
__asm__(".globl call_here, call_start, call_after, call_end\n"
	"call_here: call_start:\n"
	"	movq %rdi, %rax\n"
	"	movq %rsi, %rdi\n"
	"	syscall\n"
	"call_after:\n"
	"	ret\n"
	"call_end:\n");

static volatile char selector;
static volatile int caught;
static struct { int code, error, number; unsigned arch; int is_here; long rax; } told;

static void handle(int signo, siginfo_t *info, void *context)
{
	ucontext_t *registers = context;
	selector = ALLOW;
	caught++;
	told.code = info->si_code;
	told.error = info->si_errno;
	told.number = info->si_syscall;
	told.arch = info->si_arch;
	told.is_here = info->si_call_addr == (void *)call_after && registers->uc_mcontext.gregs[REG_RIP] == (long)call_after;
	told.rax = registers->uc_mcontext.gregs[REG_RAX];
}

static void catch(void)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
	MUST(sigaction(SIGSYS, &action, 0));
}

static long dispatch(long mode, uintptr_t start, uintptr_t size, volatile void *byte)
{
	return syscall(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, mode, start, size, byte);
}

/* One call while the byte says BLOCK. */
static void blocked_call(const char *what, long number)
{
	caught = 0;
	selector = BLOCK;
	long result = call_here(number, -1);
	selector = ALLOW;
	printf("%s: caught %d", what, caught);
	if (caught)
		printf(", code %d errno %d number %d arch %x here %d rax %ld", told.code, told.error, told.number, told.arch,
			told.is_here, told.rax);
	printf(", result %ld\n", result);
}

static void arguments(void)
{
	printf("== arguments\n");
	SHOW(dispatch(OFF, 0, 0, 0));
	SHOW(dispatch(OFF, 1, 0, 0));
	SHOW(dispatch(OFF, 0, 1, 0));
	SHOW(dispatch(OFF, 0, 0, &selector));
	SHOW(dispatch(2, 0, 0, &selector));
	SHOW(dispatch(-1, 0, 0, &selector));
	SHOW(dispatch(ON, 1, 0, &selector));
	SHOW(dispatch(ON, 1, -1ul, &selector));
	SHOW(dispatch(ON, 2, -1ul, &selector));
	SHOW(dispatch(ON, -1ul, 1, &selector));
	SHOW(dispatch(ON, 1ul << 63, 1ul << 63, &selector));
	SHOW(dispatch(ON, 1, 1, (void *)-4096));
	SHOW(dispatch(ON, 1, 1, (void *)(1ul << 63)));
	IN_CHILD(dispatch(ON, 0, 0, (void *)0x7fffffffefff); getpid());
	IN_CHILD(dispatch(ON, 0, 0, (void *)0x7ffffffff000); getpid());
	SHOW(dispatch(OFF, 0, 0, 0));
	SHOW(dispatch(ON, 1, -2ul, &selector));
	SHOW(dispatch(ON, -2ul, 1, &selector));
	SHOW(dispatch(ON, 0, 5, &selector));
	SHOW(dispatch(ON, 0, -1ul, &selector));
	SHOW(dispatch(OFF, 0, 0, 0));
}

static void calls(void)
{
	printf("== calls\n");
	catch();
	MUST(dispatch(ON, 0, 0, &selector));
	SHOW(call_here(SYS_close, -1));
	blocked_call("close", SYS_close);
	blocked_call("no call", 5000);
	blocked_call("a negative number", -3);
	blocked_call("more than 32 bits", 0x100000000 | SYS_close);
	printf("== ranges\n");
	MUST(dispatch(ON, (uintptr_t)call_start, call_after - call_start, &selector));
	blocked_call("up to the address after it", SYS_close);
	MUST(dispatch(ON, (uintptr_t)call_start, call_after - call_start + 1, &selector));
	blocked_call("with that address", SYS_close);
	MUST(dispatch(ON, (uintptr_t)call_after + 1, -1ul - (uintptr_t)call_after - 1, &selector));
	blocked_call("all above", SYS_close);
	MUST(dispatch(ON, 0, (uintptr_t)call_after, &selector));
	blocked_call("all below", SYS_close);
	MUST(dispatch(ON, 0, (uintptr_t)call_after + 1, &selector));
	blocked_call("all below and it", SYS_close);
	MUST(dispatch(OFF, 0, 0, 0));
	blocked_call("off", SYS_close);
}

/* The byte says BLOCK to both threads, and the one that set dispatch up must make no call meanwhile. */
static volatile int may_block, has_blocked;

static void *in_thread(void *argument)
{
	while (!may_block)
		sched_yield();
	blocked_call("in a thread", SYS_close);
	has_blocked = 1;
	return argument;
}

static void heirs(int count, char **arguments)
{
	printf("== who inherits it\n");
	catch();
	MUST(dispatch(ON, 0, 0, &selector));
	IN_CHILD(blocked_call("in a child", SYS_close));
	pthread_t thread;
	pthread_create(&thread, 0, in_thread, 0);
	may_block = 1;
	while (!has_blocked)
		;
	pthread_join(thread, 0);
	blocked_call("here", SYS_close);
	IN_CHILD(
		MUST(dispatch(ON, 0, 0, &selector));
		execl("/proc/self/exe", arguments[0], "executed", (char *)0));
	MUST(dispatch(OFF, 0, 0, 0));
}

static void deadly(void)
{
	printf("== deadly\n");
	catch();
	IN_CHILD(MUST(dispatch(ON, 0, 0, &selector)); selector = 2; call_here(SYS_getpid, 0));
	IN_CHILD(MUST(dispatch(ON, 0, 0, &selector)); selector = -1; call_here(SYS_getpid, 0));
	IN_CHILD(MUST(dispatch(ON, 0, 0, (void *)16)); call_here(SYS_getpid, 0));
	IN_CHILD(MUST(dispatch(ON, 0, 0, 0)); call_here(SYS_getpid, 0)); /* the handler cannot return */
	IN_CHILD(signal(SIGSYS, SIG_IGN); MUST(dispatch(ON, 0, 0, &selector)); selector = BLOCK; call_here(SYS_getpid, 0));
	IN_CHILD(signal(SIGSYS, SIG_DFL); MUST(dispatch(ON, 0, 0, &selector)); selector = BLOCK; call_here(SYS_getpid, 0));
	IN_CHILD(
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGSYS);
		sigprocmask(SIG_BLOCK, &set, 0);
		MUST(dispatch(ON, 0, 0, &selector));
		selector = BLOCK;
		call_here(SYS_getpid, 0));
}

static void show_config(pid_t pid)
{
	struct config config;
	memset(&config, 0x55, sizeof config);
	if (SHOW(trace_p(GET_CONFIG, pid, (void *)sizeof config, &config)) == 0)
		printf("mode %d selector %d start %#lx size %#lx\n", (int)config.mode, config.selector == (uintptr_t)&selector,
			(long)config.start, (long)config.size);
}

static void by_tracer(void)
{
	printf("== a tracer reads and sets it\n");
	pid_t child = TRACED_CHILD(
		catch();
		kill(getpid(), SIGSTOP);
		selector = BLOCK;
		call_here(SYS_close, -1);
		selector = ALLOW;
		kill(getpid(), SIGSTOP);
		blocked_call("after it was taken back", SYS_close));
	struct config config = { ON, (uintptr_t)&selector, 0x1000, 0x2000 };
	show_config(child);
	SHOW(trace_p(GET_CONFIG, child, (void *)31, &config));
	SHOW(trace_p(GET_CONFIG, child, (void *)64, &config));
	SHOW(trace_p(SET_CONFIG, child, (void *)0, &config));
	SHOW(trace_p(GET_CONFIG, child, (void *)sizeof config, (void *)8));
	SHOW(trace_p(SET_CONFIG, child, (void *)sizeof config, (void *)8));
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
	SHOW(trace_p(SET_CONFIG, child, (void *)sizeof config, &config));
	show_config(child);
	config.mode = 2;
	SHOW(trace_p(SET_CONFIG, child, (void *)sizeof config, &config));
	show_config(child);
	printf("== stops\n");
	for (int i = 0; i < 4; i++) {
		MUST(trace(PTRACE_SYSCALL, child, 0, i == 1 ? SIGSYS : 0));
		await("child", child);
		printf("call %lld ax %lld\n", (long long)registers_of(child).orig_rax, (long long)registers_of(child).rax);
	}
	memset(&config, 0, sizeof config);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
	SHOW(trace_p(SET_CONFIG, child, (void *)sizeof config, &config));
	show_config(child);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

int main(int count, char **values)
{
	if (count > 1) {
		catch();
		blocked_call("after execve", SYS_close);
		return 0;
	}
	arguments();
	calls();
	heirs(count, values);
	deadly();
	by_tracer();
	return 0;
}
