/* ptrace(2): registers, steps, breakpoints and watchpoints, and what a tracer must not set. */
#include "ptrace_case.h"

#define USER(field) offsetof(struct user, field)
#define DEBUG(n) (offsetof(struct user, u_debugreg) + 8 * (n))

static volatile long watched[4];
static volatile int steps;

static void go(pid_t pid, int signo)
{
	MUST(trace(PTRACE_CONT, pid, 0, signo));
}

__attribute__((noinline)) static void write_watched(void)
{
	watched[0] = 1;
	watched[1] = 2;
	watched[0] = 3;
}

__attribute__((noinline)) static long called(long a)
{
	return a * 3;
}

static long (*volatile function)(long) = called;

static void step(pid_t pid)
{
	int status;
	MUST(trace(PTRACE_SINGLESTEP, pid, 0, 0));
	MUST(waitpid(pid, &status, 0));
	if (status != (SIGTRAP << 8 | 0x7f))
		say_status("step", status);
}

static void general(void)
{
	printf("== general registers\n");
	pid_t child = TRACED_CHILD(
		long a = 0x1111; long b = 0x2222; long c;
		asm volatile("mov $0xabcd, %%r12; mov $0x99, %%rbx; int3; mov %%r12, %0; mov %%rbx, %1; mov %%rax, %2"
			: "=m"(a), "=m"(b), "=m"(c) : : "r12", "rbx", "rax", "memory");
		dprintf(1, "child: %lx %lx %lx\n", a, b, c));
	go(child, 0);
	await("child", child);
	siginfo_t info;
	MUST(trace_p(PTRACE_GETSIGINFO, child, 0, &info));
	printf("signo %d code %#x address %d\n", info.si_signo, info.si_code, info.si_addr != 0);
	struct user_regs_struct now = registers_of(child), after;
	printf("r12 %llx rbx %llx orig_rax %lld cs %llx ss %llx ds %llx es %llx fs %llx gs %llx gs_base %llx fs_base %d\n",
		(long long)now.r12, (long long)now.rbx, (long long)now.orig_rax, (long long)now.cs, (long long)now.ss, (long long)now.ds,
		(long long)now.es, (long long)now.fs, (long long)now.gs, (long long)now.gs_base, now.fs_base != 0);
	now.r12 = 0x5555;
	now.rbx = 0x6666;
	now.rax = 0x7777;
	SHOW(trace_p(PTRACE_SETREGS, child, 0, &now));
	after = registers_of(child);
	printf("the same %d\n", memcmp(&now, &after, sizeof now) == 0);
	long word = 0;
	SHOW(trace_p(PTRACE_PEEKUSR, child, (void *)USER(regs.r12), &word));
	printf("%lx\n", word);
	SHOW(trace_p(PTRACE_PEEKUSR, child, (void *)3, &word));
	SHOW(trace_p(PTRACE_PEEKUSR, child, (void *)sizeof(struct user), &word));
	SHOW(trace_p(PTRACE_PEEKUSR, child, (void *)(sizeof(struct user) - 8), &word));
	printf("%lx\n", word);
	SHOW(trace_p(PTRACE_PEEKUSR, child, (void *)(sizeof(struct user) + 16), &word));
	SHOW(trace_p(PTRACE_PEEKUSR, child, (void *)-8, &word));
	SHOW(trace(PTRACE_PEEKUSR, child, 0, 8));
	SHOW(trace(PTRACE_POKEUSR, child, USER(u_tsize), 0));
	SHOW(trace(PTRACE_POKEUSR, child, USER(u_debugreg) - 8, 0));
	SHOW(trace(PTRACE_POKEUSR, child, 928, 0));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.cs), 0));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.cs), 0x10));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.ss), 0x18));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.cs), now.cs));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.ds), 0x11));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.ds), 0));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.fs_base), 0x7ffffffff000));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.gs_base), -1));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.gs_base), 0x1000));
	printf("gs_base %llx\n", (long long)registers_of(child).gs_base);
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.gs_base), 0));
	long flags = (long)registers_of(child).eflags;
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.eflags), -1));
	printf("flags %llx\n", (long long)registers_of(child).eflags);
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.eflags), 0));
	printf("flags %llx\n", (long long)registers_of(child).eflags);
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.eflags), flags));
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.rip), now.rip));
	go(child, 0);
	await("child", child);
	child = TRACED_CHILD(pause());
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.rip), 1ul << 63)); /* no address */
	go(child, 0);
	await("child", child);
	go(child, SIGSEGV);
	await("child", child);
	child = TRACED_CHILD(pause());
	SHOW(trace(PTRACE_POKEUSR, child, USER(regs.rsp), 1ul << 63));
	go(child, 0);
	int status = await("child", child);
	if (WIFSTOPPED(status)) {
		go(child, SIGKILL);
		await("child", child);
	}
}

static void sets(void)
{
	printf("== register sets\n");
	pid_t child = TRACED_CHILD(
		double x = 1.5; double y = 0;
		asm volatile("movsd %1, %%xmm5; fld1; int3; movsd %%xmm5, %0; fstp %%st(0)" : "=m"(y) : "m"(x) : "xmm5");
		dprintf(1, "child: %d\n", (int)(y * 100)));
	struct user_fpregs_struct floats;
	memset(&floats, 0x5a, sizeof floats);
	SHOW(trace_p(PTRACE_GETFPREGS, child, 0, &floats));
	printf("cwd %x mxcsr %x mask %x\n", floats.cwd, floats.mxcsr, floats.mxcr_mask);
	go(child, 0);
	await("child", child);
	struct user_regs_struct now = registers_of(child);
	unsigned char room[8192];
	struct iovec vector = { room, sizeof room };
	memset(room, 0x77, sizeof room);
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &vector));
	printf("%zu bytes, as GETREGS %d\n", vector.iov_len, memcmp(room, &now, sizeof now) == 0);
	vector.iov_len = 16;
	memset(room, 0x77, sizeof room);
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &vector));
	printf("%zu bytes, no more %d\n", vector.iov_len, room[16] == 0x77);
	vector.iov_len = 0;
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &vector));
	vector.iov_len = 15;
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &vector));
	vector.iov_len = sizeof room;
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)4711, &vector));
	SHOW(trace(PTRACE_GETREGSET, child, NT_PRSTATUS, 8));
	vector.iov_base = (void *)8;
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &vector));
	vector = (struct iovec){ room, sizeof room };
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_PRFPREG, &vector));
	SHOW(trace_p(PTRACE_GETFPREGS, child, 0, &floats));
	printf("%zu bytes, as GETFPREGS %d\n", vector.iov_len, memcmp(room, &floats, 512) == 0);
	double value;
	memcpy(&value, (char *)&floats.xmm_space + 5 * 16, 8);
	printf("xmm5 %d cwd %x swd %x ftw %x mxcsr %x\n", (int)(value * 100), floats.cwd, floats.swd, floats.ftw, floats.mxcsr);
	value = 2.25;
	memcpy((char *)&floats.xmm_space + 5 * 16, &value, 8);
	SHOW(trace_p(PTRACE_SETFPREGS, child, 0, &floats));
	vector = (struct iovec){ room, sizeof room };
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)NT_X86_XSTATE, &vector));
	uint64_t have, sets, zero;
	memcpy(&have, room + 464, 8);
	memcpy(&sets, room + 512, 8);
	memcpy(&zero, room + 520, 8);
	memcpy(&value, room + 160 + 5 * 16, 8);
	printf("x87 and sse %d; in use %llx of them; %llu; xmm5 %d; a multiple %d\n", (have & 3) == 3, (unsigned long long)sets & 3,
		(unsigned long long)zero, (int)(value * 100), vector.iov_len % 8 == 0 && vector.iov_len >= 576);
	size_t length = vector.iov_len;
	value = 3.5;
	memcpy(room + 160 + 5 * 16, &value, 8);
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &vector));
	vector.iov_len = 512;
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &vector));
	vector.iov_len = length;
	room[520] = 1;
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &vector));
	room[520] = 0;
	room[519] = 0x80;
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &vector));
	room[519] = 0;
	room[27] = 0x80; /* MXCSR */
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &vector));
	vector.iov_len = 512;
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_PRFPREG, &vector));
	room[27] = 0;
	vector.iov_len = 256;
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_PRFPREG, &vector));
	vector = (struct iovec){ &now, 8 };
	now.r15 = 0x4444;
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_PRSTATUS, &vector));
	printf("r15 %llx\n", (long long)registers_of(child).r15);
	go(child, 0);
	await("child", child);
}

static void stepping(void)
{
	printf("== steps\n");
	pid_t child = TRACED_CHILD(asm volatile("int3; nop; nop; pushfq; pop %%rax; mov $39, %%eax; syscall; nop; nop" : : : "rax", "rcx", "r11", "memory"));
	go(child, 0);
	await("child", child);
	siginfo_t info;
	unsigned long before = registers_of(child).rip;
	for (int i = 0; i < 7; i++) {
		step(child);
		struct user_regs_struct now = registers_of(child);
		MUST(trace_p(PTRACE_GETSIGINFO, child, 0, &info));
		printf("%lld bytes, flag %lld, code %d, address %d", (long long)now.rip - (long long)before, (long long)now.eflags >> 8 & 1,
			info.si_code, (unsigned long)info.si_addr == now.rip);
		if (i == 3)
			printf(", pushed %lld", (long long)now.rax >> 8 & 1);
		if (i == 5)
			printf(", result %d", (pid_t)now.rax == child);
		printf("\n");
		before = now.rip;
	}
	SHOW(trace(PTRACE_SINGLEBLOCK, child, 0, 0));
	await("child", child);
	go(child, 0);
	await("child", child);
}

static volatile int caught;

static void catch(int signo)
{
	caught += signo;
}

static void into_handler(void)
{
	printf("== a step into a handler\n");
	signal(SIGUSR1, catch);
	pid_t child = TRACED_CHILD(
		asm volatile("int3; nop; nop; nop" : : : "memory");
		printf("caught %d\n", caught); fflush(stdout));
	go(child, 0);
	await("child", child);
	MUST(trace(PTRACE_SINGLESTEP, child, 0, SIGUSR1));
	await("child", child);
	say_info(child, getpid());
	printf("at the handler %d\n", registers_of(child).rip == (unsigned long)catch);
	struct user_regs_struct now = registers_of(child);
	long flags = 0;
	MUST(trace_p(PTRACE_PEEKDATA, child, (void *)(now.rsp + 8 + 40 + 17 * 8), &flags)); /* in the frame */
	printf("flag in the frame %ld, now %lld\n", flags >> 8 & 1, (long long)now.eflags >> 8 & 1);
	step(child);
	go(child, 0);
	await("child", child);
}

static void breakpoints(void)
{
	printf("== debug registers\n");
	pid_t child = TRACED_CHILD(write_watched(); function(5); function(6); write_watched());
	long word = 0;
	for (int i = 0; i < 8; i++) {
		long result = trace_p(PTRACE_PEEKUSR, child, (void *)DEBUG(i), &word);
		printf("register %d: %ld %lx\n", i, result, word);
	}
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(4), 0));
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(5), 1));
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(0), -4096));
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(0), (uintptr_t)&watched[0]));
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(1), (uintptr_t)called));
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(2), (uintptr_t)&watched[1] + 1));
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(7), 2 << 16 | 1)); /* ports */
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(7), (long)0xd << 24 | 0x10)); /* not aligned */
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(7), (long)0x4 << 20 | 0x4)); /* an instruction of two bytes */
	word = 0;
	MUST(trace_p(PTRACE_PEEKUSR, child, (void *)DEBUG(7), &word));
	printf("control %lx\n", word);
	SHOW(trace(PTRACE_POKEUSR, child, DEBUG(7), 0x9 << 16 | 0x5)); /* eight bytes written, an instruction */
	MUST(trace_p(PTRACE_PEEKUSR, child, (void *)DEBUG(7), &word));
	printf("control %lx\n", word);
	siginfo_t info;
	for (int i = 0; i < 6; i++) {
		go(child, 0);
		int status = await("child", child);
		if (!WIFSTOPPED(status))
			return;
		MUST(trace_p(PTRACE_GETSIGINFO, child, 0, &info));
		MUST(trace_p(PTRACE_PEEKUSR, child, (void *)DEBUG(6), &word));
		long value = 0;
		MUST(trace_p(PTRACE_PEEKDATA, child, (void *)&watched[0], &value));
		struct user_regs_struct now = registers_of(child);
		printf("code %d address %d status %lx, watched %ld, at the function %d resume %lld\n", info.si_code,
			(unsigned long)info.si_addr == now.rip, word, value, now.rip == (unsigned long)called, (long long)now.eflags >> 16 & 1);
		if (i == 3)
			SHOW(trace(PTRACE_POKEUSR, child, DEBUG(7), 0x5 | 0x9 << 16));
	}
	MUST(trace(PTRACE_POKEUSR, child, DEBUG(7), 0));
	go(child, 0);
	await("child", child);
}

static void kept_over_switches(void)
{
	printf("== watchpoints of two tasks, and of neither child\n");
	pid_t one = TRACED_CHILD(watched[2] = 1; pid_t p = fork(); if (p == 0) { watched[2] = 5; _exit(0); }
		int status; waitpid(p, &status, 0); signal(SIGCHLD, SIG_DFL); _exit(WIFEXITED(status) ? 21 : 22));
	pid_t two = TRACED_CHILD(watched[2] = 1; watched[3] = 2; _exit(23));
	MUST(trace(PTRACE_POKEUSR, one, DEBUG(0), (uintptr_t)&watched[2]));
	MUST(trace(PTRACE_POKEUSR, one, DEBUG(7), 0xd << 16 | 1));
	MUST(trace(PTRACE_POKEUSR, two, DEBUG(3), (uintptr_t)&watched[3]));
	MUST(trace(PTRACE_POKEUSR, two, DEBUG(7), (long)0xd << 28 | 0x40));
	go(one, 0);
	go(two, 0);
	await("one", one);
	await("two", two);
	long word;
	MUST(trace_p(PTRACE_PEEKUSR, one, (void *)DEBUG(6), &word));
	printf("status %lx\n", word);
	MUST(trace_p(PTRACE_PEEKUSR, two, (void *)DEBUG(6), &word));
	printf("status %lx\n", word);
	go(one, 0);
	go(two, 0);
	await("one", one); /* its child's end */
	go(one, 0);
	await("one", one);
	await("two", two);
	printf("== what the kernel writes is not watched\n");
	int ends[2];
	MUST(pipe(ends));
	MUST(write(ends[1], "abcdefgh", 8));
	one = TRACED_CHILD(read(ends[0], (void *)&watched[1], 8); _exit(watched[1] != 0));
	MUST(trace(PTRACE_POKEUSR, one, DEBUG(0), (uintptr_t)&watched[1]));
	MUST(trace(PTRACE_POKEUSR, one, DEBUG(7), 0xb << 16 | 1));
	go(one, 0);
	int status = await("one", one);
	if (WIFSTOPPED(status)) {
		go(one, 0); /* _exit's look at it */
		await("one", one);
	}
}

int main(void)
{
	general();
	sets();
	stepping();
	into_handler();
	breakpoints();
	kept_over_switches();
	return 0;
}
