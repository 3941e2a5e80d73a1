/* ptrace(2): requests and their errors; memory; stops at system calls, changed calls and results; emulated calls. */
#include "ptrace_case.h"

static volatile long word = 0x1122334455667788;
static const long constant = 0x7766554433221100;

static void errors(void)
{
	printf("== errors\n");
	SHOW(trace(PTRACE_PEEKDATA, 999999, 0, 0));
	SHOW(trace(PTRACE_ATTACH, 999999, 0, 0));
	SHOW(trace(PTRACE_ATTACH, getpid(), 0, 0));
	SHOW(trace(PTRACE_SEIZE, getpid(), 0, 0));
	SHOW(trace(PTRACE_CONT, getppid(), 0, 0));
	SHOW(trace(PTRACE_KILL, getppid(), 0, 0));
	SHOW(trace(PTRACE_INTERRUPT, 0, 0, 0));
	SHOW(trace(99999, 0, 0, 0));
	pid_t child = TRACED_CHILD();
	SHOW(trace(PTRACE_ATTACH, child, 0, 0));
	SHOW(trace(PTRACE_SEIZE, child, 1, 0));
	SHOW(trace(PTRACE_SEIZE, child, 0, 0x400));
	SHOW(trace(PTRACE_SEIZE, child, 0, 0));
	SHOW(trace(99999, child, 0, 0));
	SHOW(trace(10, child, 0, 0));
	SHOW(trace(PTRACE_SETOPTIONS, child, 0, 0x400));
	SHOW(trace(PTRACE_SETOPTIONS, child, 0, -1));
	SHOW(trace(PTRACE_SETOPTIONS, child, 0, 0x1000ff));
	SHOW(trace(PTRACE_SETOPTIONS, child, 0, 0x2000ff));
	SHOW(trace(21, child, 0, 0));
	SHOW(trace(PTRACE_CONT, child, 0, 65));
	SHOW(trace(PTRACE_CONT, child, 0, -1));
	SHOW(trace(PTRACE_DETACH, child, 0, 65));
	SHOW(trace(PTRACE_INTERRUPT, child, 0, 0));
	SHOW(trace(PTRACE_LISTEN, child, 0, 0));
	SHOW(trace(PTRACE_GETEVENTMSG, child, 0, 0));
	SHOW(trace(PTRACE_GETEVENTMSG, child, 0, (uintptr_t)&word));
	printf("message %ld\n", (long)word);
	word = 0x1122334455667788;
	SHOW(trace(PTRACE_GETSIGINFO, child, 0, 0));
	say_info(child, getpid());
	SHOW(trace(PTRACE_GETSIGMASK, child, 4, (uintptr_t)&word));
	SHOW(trace(PTRACE_SETSIGMASK, child, 16, (uintptr_t)&word));
	SHOW(trace(PTRACE_GETSIGMASK, child, 8, 8));
	SHOW(trace(PTRACE_SETSIGMASK, child, 8, 8));
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
	SHOW(trace(PTRACE_CONT, child, 0, 0));
}

static void memory(void)
{
	printf("== memory\n");
	char *page = (void *)MUST((long)mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *shared = (void *)MUST((long)mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	memset(page, 'p', 2 * PAGE);
	memset(shared, 's', PAGE);
	MUST(mprotect(page, PAGE, PROT_NONE));
	MUST(mprotect(shared, PAGE, PROT_READ));
	MUST(munmap(page + 2 * PAGE, PAGE));
	pid_t child = TRACED_CHILD(printf("word %lx constant %lx\n", word, *(volatile const long *)&constant); fflush(stdout));
	long got = 0;
	SHOW(trace_p(PTRACE_PEEKDATA, child, (void *)&word, &got));
	printf("%lx\n", got);
	SHOW(trace_p(PTRACE_PEEKTEXT, child, (char *)&word + 1, &got));
	SHOW(trace(PTRACE_PEEKDATA, child, (uintptr_t)&word, 8));
	SHOW(trace(PTRACE_PEEKDATA, child, 8, (uintptr_t)&got));
	SHOW(trace(PTRACE_PEEKDATA, child, -8, (uintptr_t)&got));
	SHOW(trace(PTRACE_PEEKDATA, child, 0x7ffffffff000, (uintptr_t)&got));
	SHOW(trace(PTRACE_PEEKDATA, child, 1ul << 63, (uintptr_t)&got));
	SHOW(trace_p(PTRACE_PEEKDATA, child, page, &got));
	printf("%lx\n", got);
	SHOW(trace_p(PTRACE_PEEKDATA, child, page + PAGE - 4, &got));
	printf("%lx\n", got);
	SHOW(trace_p(PTRACE_PEEKDATA, child, page + 2 * PAGE - 4, &got));
	SHOW(trace(PTRACE_POKEDATA, child, (uintptr_t)&word, 0x1234));
	SHOW(trace(PTRACE_POKETEXT, child, (uintptr_t)&constant, 0x4321));
	SHOW(trace(PTRACE_POKETEXT, child, (uintptr_t)page, 7));
	SHOW(trace_p(PTRACE_PEEKDATA, child, page, &got));
	printf("%lx\n", got);
	SHOW(trace(PTRACE_POKEDATA, child, (uintptr_t)shared, 7));
	SHOW(trace_p(PTRACE_PEEKDATA, child, shared, &got));
	printf("%lx\n", got);
	SHOW(trace(PTRACE_POKEDATA, child, 8, 7));
	printf("ours: word %lx constant %lx\n", word, *(volatile const long *)&constant);
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/mem", (int)child);
	int fd = (int)MUST(open(name, O_RDWR));
	long other = 0x9999;
	SHOW(pread(fd, &got, 8, (off_t)(uintptr_t)&constant));
	printf("%lx\n", got);
	SHOW(pwrite(fd, &other, 8, (off_t)(uintptr_t)&constant));
	SHOW(pwrite(fd, &other, 8, (off_t)(uintptr_t)shared));
	close(fd);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

static void show_call(pid_t child)
{
	struct ptrace_syscall_info info;
	memset(&info, 0x77, sizeof info);
	struct user_regs_struct now = registers_of(child);
	long size = trace_p(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info);
	printf("orig_rax %ld rax %ld; information %ld bytes op %d arch %x ip %d sp %d", (long)now.orig_rax, (long)now.rax, size,
		info.op, info.arch, info.instruction_pointer == now.rip, info.stack_pointer == now.rsp);
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		printf(" call %lld args %d", (long long)info.entry.nr, info.entry.args[0] == now.rdi && info.entry.args[5] == now.r9);
	if (info.op == PTRACE_SYSCALL_INFO_EXIT)
		printf(" result %lld error %d", (long long)info.exit.rval, info.exit.is_error);
	printf(" message %ld rcx %d r11 %d\n", message_of(child), now.rcx == now.rip, now.r11 == now.eflags);
}

static void calls(int options)
{
	printf("== system calls, options %d\n", options);
	pid_t child = TRACED_CHILD(
		syscall(SYS_getuid);
		syscall(SYS_close, -1);
		syscall(100000);
		syscall(SYS_exit, 3));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, options));
	show_call(child);
	for (int i = 0; i < 12; i++) {
		MUST(trace(PTRACE_SYSCALL, child, 0, 0));
		int status = await("child", child);
		if (!WIFSTOPPED(status))
			break;
		show_call(child);
		say_info(child, getpid());
	}
}

static long step_call(pid_t child)
{
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	int status;
	MUST(waitpid(child, &status, 0));
	if (!WIFSTOPPED(status)) {
		say_status("child", status);
		return -1000;
	}
	return (long)registers_of(child).rax;
}

static void changes(void)
{
	printf("== changed calls\n");
	pid_t child = TRACED_CHILD(
		long a = syscall(SYS_getuid), b = syscall(SYS_getuid), c = syscall(SYS_getuid), d = syscall(SYS_close, -1);
		long e = syscall(SYS_getuid), f = syscall(SYS_getuid);
		dprintf(1, "child saw %ld %ld %ld %ld %ld %ld\n", a, b, c, d == -1 ? -errno : d, e, f));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	struct user_regs_struct now;
	step_call(child); /* getuid: not made */
	MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, orig_rax), -1));
	printf("refused: %ld\n", step_call(child));
	step_call(child); /* getuid: not made, with a result */
	now = registers_of(child);
	now.orig_rax = -1ul;
	now.rax = 4711;
	MUST(trace_p(PTRACE_SETREGS, child, 0, &now));
	printf("refused with a result: %ld\n", step_call(child));
	step_call(child); /* getuid: another result */
	printf("before: %ld\n", step_call(child));
	MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, rax), 815));
	step_call(child); /* close: another call */
	now = registers_of(child);
	printf("close(%ld)\n", (long)now.rdi);
	now.orig_rax = SYS_dup;
	now.rdi = 1;
	MUST(trace_p(PTRACE_SETREGS, child, 0, &now));
	printf("dup instead: ok %d\n", step_call(child) > 2);
	MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, rax), -EXDEV));
	step_call(child); /* getuid: no such call */
	MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, orig_rax), 100000));
	printf("no such call: %ld\n", step_call(child));
	step_call(child); /* getuid: only the low 32 bits count */
	MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, orig_rax), 0x100000000 + SYS_getuid));
	printf("upper bits: %ld\n", step_call(child));
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

static void injected(void)
{
	printf("== signals at system calls\n");
	pid_t child = TRACED_CHILD(syscall(SYS_getuid); syscall(SYS_getgid));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	await("child", child);
	MUST(trace(PTRACE_SYSCALL, child, 0, SIGUSR1)); /* comes after the call */
	await("child", child);
	show_call(child);
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	await("child", child);
	say_info(child, getpid());
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

static void emulated(void)
{
	printf("== emulated calls\n");
	pid_t child = TRACED_CHILD(
		long a = syscall(SYS_getuid), b = syscall(SYS_getuid), c = syscall(SYS_getuid);
		dprintf(1, "child saw %ld %ld %ld\n", a == -1 ? -errno : a, b, c));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	MUST(trace(PTRACE_SYSEMU, child, 0, 0));
	await("child", child);
	show_call(child);
	MUST(trace(PTRACE_SYSEMU, child, 0, 0));
	await("child", child);
	MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, rax), 77));
	MUST(trace(PTRACE_SYSEMU_SINGLESTEP, child, 0, 0));
	await("child", child);
	say_info(child, getpid());
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

static void interrupted(void)
{
	printf("== a call that a signal interrupts\n");
	int ends[2];
	MUST(pipe(ends));
	pid_t child = TRACED_CHILD(char c; long n = read(ends[0], &c, 1); dprintf(1, "child read %ld %c\n", n, c));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	await("child", child);
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	await_state(child, "S");
	MUST(kill(child, SIGUSR1));
	await("child", child);
	show_call(child);
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	await("child", child);
	show_call(child);
	MUST(trace(PTRACE_SYSCALL, child, 0, 0)); /* without the signal: the call is made once more */
	await("child", child);
	show_call(child);
	MUST(write(ends[1], "x", 1));
	MUST(trace(PTRACE_SYSCALL, child, 0, 0));
	await("child", child);
	show_call(child);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

int main(void)
{
	errors();
	memory();
	calls(PTRACE_O_TRACESYSGOOD);
	calls(0);
	changes();
	injected();
	emulated();
	interrupted();
	return 0;
}
