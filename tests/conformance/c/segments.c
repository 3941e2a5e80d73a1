/*
 * Covers: the selectors in ds, es, fs and gs and the bases of fs and gs: which a program may load, over calls, switches, signals, forks,
 * threads and execve; ptrace (PTRACE_GETREGS, SETREGS, GETREGSET, SETREGSET, PEEKUSER, POKEUSER of them, PTRACE_GET_THREAD_AREA,
 * PTRACE_SET_THREAD_AREA), arch_prctl beside them, and the registers of a core file.
 */
#include "ptrace_case.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <ucontext.h>

#define USER(field) offsetof(struct user_regs_struct, field)
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define PTRACE_GET_AREA 25
#define PTRACE_SET_AREA 26

struct description { unsigned number, base, limit, bits; };
#define DATA_32 1
#define READ_ONLY 8
#define ABSENT 0x20

#define LOAD(segment, value) __asm__ volatile("movl %0, %%" #segment : : "r"(value) : "memory")
#define STORE(segment) ({ unsigned value_; __asm__ volatile("movl %%" #segment ", %0" : "=r"(value_)); value_ & 0xffff; })

/* The C library finds its own data by fs, so a program that changes it calls nothing of the library until it is back. */
static unsigned long own_fs;

static long raw(long number, unsigned long a, unsigned long b, unsigned long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static unsigned long fs_base(void)
{
	unsigned long base = 0;
	raw(SYS_arch_prctl, ARCH_GET_FS, (unsigned long)&base, 0);
	return base;
}

static unsigned long gs_base(void)
{
	unsigned long base = 0;
	raw(SYS_arch_prctl, ARCH_GET_GS, (unsigned long)&base, 0);
	return base;
}

static void own_fs_again(void)
{
	LOAD(fs, 0);
	raw(SYS_arch_prctl, ARCH_SET_FS, own_fs, 0);
}

static sigjmp_buf back;

static void on_fault(int number)
{
	siglongjmp(back, number);
}

static const unsigned selectors[] = {
	0, 0x8, 0x10, 0x13, 0x18, 0x1b, 0x20, 0x23, 0x28, 0x2b, 0x30, 0x33, 0x38, 0x3b, 0x43, 0x4b, 0x53, 0x5b, 0x63, 0x6b, 0x73, 0x78, 0x7b, 0x83, 0xf, 0x17, 0xfff3, 0xffff,
};
#define COUNT (sizeof selectors / sizeof *selectors)

static void loaded_by_the_program(void)
{
	printf("== at the start: ds %#x es %#x fs %#x gs %#x gs_base %#lx\n", STORE(ds), STORE(es), STORE(fs), STORE(gs), gs_base());
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	for (size_t i = 0; i < COUNT; i++) {
		int number = sigsetjmp(back, 1);
		if (!number) {
			LOAD(ds, selectors[i]);
			number = 0;
		}
		unsigned now = STORE(ds);
		LOAD(ds, 0);
		if (selectors[i] & ~3)
			printf("%#x: signal %d, %#x\n", selectors[i], number, now);
	}
}

static void over_calls(void)
{
	printf("== over calls and switches\n");
	unsigned ds, es, gs, fs;
	LOAD(ds, 0x2b);
	LOAD(es, 0x23);
	LOAD(gs, 0x33);
	raw(SYS_getppid, 0, 0, 0);
	printf("ds %#x es %#x gs %#x\n", STORE(ds), STORE(es), STORE(gs));
	for (int i = 0; i < 10; i++)
		sleep_ms(1);
	printf("ds %#x es %#x gs %#x\n", STORE(ds), STORE(es), STORE(gs));
	IN_CHILD(printf("child: ds %#x es %#x gs %#x fs %#x\n", STORE(ds), STORE(es), STORE(gs), STORE(fs)); sched_yield();
		printf("child: ds %#x es %#x gs %#x fs %#x\n", STORE(ds), STORE(es), STORE(gs), STORE(fs)));
	printf("ds %#x es %#x gs %#x\n", STORE(ds), STORE(es), STORE(gs));
	/* fs: its base is 0 then, and what it was after a switch it still is. */
	struct timespec moment = { 0, 1000000 };
	LOAD(fs, 0x2b);
	unsigned long base = fs_base();
	raw(SYS_nanosleep, (unsigned long)&moment, 0, 0);
	fs = STORE(fs);
	unsigned long later = fs_base();
	raw(SYS_arch_prctl, ARCH_SET_FS, own_fs, 0);
	unsigned after = STORE(fs);
	own_fs_again();
	printf("fs %#x base %#lx %#lx, after ARCH_SET_FS %#x\n", fs, base, later, after);
	/* A selector and a base that is not the selector's. */
	raw(SYS_arch_prctl, ARCH_SET_GS, 0x5000, 0);
	gs = STORE(gs);
	printf("after ARCH_SET_GS: gs %#x base %#lx\n", gs, gs_base());
	LOAD(gs, 0x2b);
	printf("gs %#x base %#lx\n", STORE(gs), gs_base());
	raw(SYS_arch_prctl, ARCH_SET_GS, 0x5000, 0);
	LOAD(gs, 0);
	printf("gs %#x base %#lx\n", STORE(gs), gs_base());
	ds = STORE(ds);
	es = STORE(es);
	printf("still: ds %#x es %#x\n", ds, es);
}

static volatile unsigned seen[4];
static volatile unsigned long frame_selectors;

static void look(int number, siginfo_t *info, void *context)
{
	ucontext_t *all = context;
	seen[0] = STORE(ds);
	seen[1] = STORE(es);
	seen[2] = STORE(fs);
	seen[3] = STORE(gs);
	frame_selectors = all->uc_mcontext.gregs[REG_CSGSFS];
	LOAD(es, 0);
	LOAD(gs, 0);
	all->uc_mcontext.gregs[REG_CSGSFS] |= 0x2b002b0000; /* for fs and gs */
}

static void in_signals(void)
{
	printf("== in a signal's frame\n");
	struct sigaction action = { .sa_sigaction = look, .sa_flags = SA_SIGINFO };
	sigaction(SIGUSR1, &action, NULL);
	LOAD(ds, 0x2b);
	LOAD(es, 0x2b);
	LOAD(gs, 0x2b);
	raise(SIGUSR1);
	printf("ds %#x es %#x fs %#x gs %#x frame %#lx\n", seen[0], seen[1], seen[2], seen[3], frame_selectors);
	printf("after: ds %#x es %#x fs %#x gs %#x\n", STORE(ds), STORE(es), STORE(fs), STORE(gs));
	LOAD(ds, 0);
}

static void *in_thread(void *unused)
{
	printf("thread: ds %#x es %#x gs %#x fs %#x base %d gs base %#lx\n", STORE(ds), STORE(es), STORE(gs), STORE(fs), fs_base() != own_fs, gs_base());
	LOAD(ds, 0);
	LOAD(es, 0x33);
	LOAD(gs, 0);
	for (int i = 0; i < 20; i++)
		sched_yield();
	printf("thread: ds %#x es %#x gs %#x\n", STORE(ds), STORE(es), STORE(gs));
	return NULL;
}

static void threads(void)
{
	printf("== threads and execve\n");
	LOAD(ds, 0x2b);
	LOAD(es, 0x23);
	LOAD(gs, 0x2b);
	raw(SYS_arch_prctl, ARCH_SET_GS, 0x7000, 0);
	LOAD(ds, 0x2b);
	pthread_t thread;
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	printf("ds %#x es %#x gs %#x base %#lx\n", STORE(ds), STORE(es), STORE(gs), gs_base());
	LOAD(gs, 0x2b);
	IN_CHILD(execl("/proc/self/exe", "segments", "exec", NULL));
	LOAD(ds, 0);
	LOAD(es, 0);
	LOAD(gs, 0);
}

static void show_all(pid_t child)
{
	struct user_regs_struct now = registers_of(child);
	printf("cs %llx ss %llx ds %llx es %llx fs %llx gs %llx fs_base %s gs_base %llx\n", (long long)now.cs, (long long)now.ss, (long long)now.ds,
		(long long)now.es, (long long)now.fs, (long long)now.gs, now.fs_base == own_fs ? "own" : now.fs_base == 0 ? "0" : "other",
		(long long)now.gs_base);
}

static void until_breakpoint(pid_t child)
{
	int status;
	MUST(trace(PTRACE_CONT, child, 0, 0));
	MUST(waitpid(child, &status, 0));
	if (status != (SIGTRAP << 8 | 0x7f))
		say_status("child", status);
}

static void by_a_tracer(void)
{
	printf("== a tracer looks\n");
	pid_t child = TRACED_CHILD(
		LOAD(ds, 0x2b); LOAD(es, 0x23); LOAD(gs, 0x33); raw(SYS_arch_prctl, ARCH_SET_GS, 0x9000, 0); LOAD(es, 0x23);
		__asm__ volatile("int3");
		LOAD(gs, 0x2b);
		__asm__ volatile("int3");
		__asm__ volatile("int3");
		printf("child: ds %#x es %#x fs %#x gs %#x gs base %#lx\n", STORE(ds), STORE(es), STORE(fs), STORE(gs), gs_base());
		fflush(stdout);
		__asm__ volatile("int3");
		printf("child: ds %#x es %#x fs %#x gs %#x gs base %#lx\n", STORE(ds), STORE(es), STORE(fs), STORE(gs), gs_base()));
	show_all(child);
	until_breakpoint(child);
	show_all(child);
	until_breakpoint(child);
	show_all(child);
	static const struct { const char *name; size_t at; } fields[] = {
		{ "ds", USER(ds) }, { "es", USER(es) }, { "fs", USER(fs) }, { "gs", USER(gs) }, { "cs", USER(cs) }, { "ss", USER(ss) },
	};
	for (size_t f = 0; f < 6; f++) {
		for (unsigned value = 0; value < 0x90; value++) {
			long result = trace(PTRACE_POKEUSR, child, fields[f].at, value);
			long word = -1;
			MUST(trace_p(PTRACE_PEEKUSR, child, (void *)fields[f].at, &word));
			if (result == 0 && word == value)
				printf("%s %#x\n", fields[f].name, value);
			else if (result == 0)
				printf("%s %#x became %#lx\n", fields[f].name, value, word);
		}
		long word = -1;
		SHOW(trace(PTRACE_POKEUSR, child, fields[f].at, 0x12340033));
		MUST(trace_p(PTRACE_PEEKUSR, child, (void *)fields[f].at, &word));
		printf("%s %#lx\n", fields[f].name, word);
		SHOW(trace(PTRACE_POKEUSR, child, fields[f].at, 0xffff));
		SHOW(trace(PTRACE_POKEUSR, child, fields[f].at, -1));
		MUST(trace_p(PTRACE_PEEKUSR, child, (void *)fields[f].at, &word));
		printf("%s %#lx\n", fields[f].name, word);
		SHOW(trace(PTRACE_POKEUSR, child, fields[f].at, 0x10000));
		MUST(trace_p(PTRACE_PEEKUSR, child, (void *)fields[f].at, &word));
		printf("%s %#lx\n", fields[f].name, word);
		SHOW(trace(PTRACE_POKEUSR, child, fields[f].at, f == 4 ? 0x33 : 0x2b));
	}
	show_all(child);
	/* A word of the set that is refused: those before it have changed. */
	struct user_regs_struct wanted = registers_of(child);
	wanted.ds = 0x23;
	wanted.es = 0x28;
	wanted.gs = 0x33;
	wanted.r15 = 0x1515;
	SHOW(trace_p(PTRACE_SETREGS, child, 0, &wanted));
	show_all(child);
	printf("r15 %llx\n", (long long)registers_of(child).r15);
	wanted.es = 0x33;
	wanted.fs = 0;
	wanted.fs_base = own_fs;
	wanted.gs_base = 0xa000;
	struct iovec vector = { &wanted, sizeof wanted };
	SHOW(trace_p(PTRACE_SETREGSET, child, (void *)NT_PRSTATUS, &vector));
	show_all(child);
	until_breakpoint(child);
	show_all(child);
	/* What is no segment is none when the program goes on. */
	SHOW(trace(PTRACE_POKEUSR, child, USER(ds), 0x1b));
	SHOW(trace(PTRACE_POKEUSR, child, USER(es), 0x63));
	SHOW(trace(PTRACE_POKEUSR, child, USER(gs), 0xffff));
	SHOW(trace(PTRACE_POKEUSR, child, USER(gs_base), 0xb000));
	show_all(child);
	until_breakpoint(child);
	show_all(child);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

static void areas(void)
{
	printf("== areas of a thread's own\n");
	pid_t child = TRACED_CHILD(
		LOAD(gs, 0x63); LOAD(ds, 0x6b); LOAD(es, 0x73);
		__asm__ volatile("int3");
		printf("child: ds %#x es %#x gs %#x gs base %#lx\n", STORE(ds), STORE(es), STORE(gs), gs_base());
		fflush(stdout);
		sigset_t blocked;
		sigemptyset(&blocked);
		sigaddset(&blocked, SIGCHLD);
		sigprocmask(SIG_BLOCK, &blocked, NULL);
		pid_t other = fork();
		if (other == 0) {
			LOAD(gs, 0);
			LOAD(gs, 0x63);
			printf("its child: ds %#x gs %#x base %#lx\n", STORE(ds), STORE(gs), gs_base());
			execl("/proc/self/exe", "segments", "exec", NULL);
		}
		int status;
		waitpid(other, &status, 0);
		printf("child: %d\n", status);
		fflush(stdout);
		__asm__ volatile("int3");
		printf("child: ds %#x es %#x gs %#x gs base %#lx\n", STORE(ds), STORE(es), STORE(gs), gs_base());
		fflush(stdout));
	struct description area = { 12, 0x5000, 0xfffff, 0x51 }, found;
	for (int number = 10; number < 18; number++) {
		long result = SHOW(trace_p(PTRACE_SET_AREA, child, (void *)(long)number, &area));
		memset(&found, 0x55, sizeof found);
		long other = SHOW(trace_p(PTRACE_GET_AREA, child, (void *)(long)number, &found));
		if (result == 0 || other == 0)
			printf("%d: %u %#x %#x %#x\n", number, found.number, found.base, found.limit, found.bits);
	}
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)-1, &area));
	SHOW(trace_p(PTRACE_GET_AREA, child, (void *)-1, &area));
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)0x80000000l, &area));
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)0x10000000cl, &area));
	SHOW(trace(PTRACE_SET_AREA, child, 12, 8));
	SHOW(trace(PTRACE_SET_AREA, child, 99, 8));
	SHOW(trace(PTRACE_GET_AREA, child, 12, 8));
	SHOW(trace(PTRACE_GET_AREA, child, 99, 8));
	for (unsigned bits = 0; bits < 256; bits++) {
		struct description wanted = { 99, 0x12345678, 0xabcde, bits };
		long result = trace_p(PTRACE_SET_AREA, child, (void *)13, &wanted);
		if (result == 0) {
			MUST(trace_p(PTRACE_GET_AREA, child, (void *)13, &found));
			printf("%#x: %u %#x %#x %#x\n", bits, found.number, found.base, found.limit, found.bits);
		}
	}
	for (unsigned bits = 0; bits < 256; bits++) {
		struct description wanted = { 13, 0, 0, bits };
		long result = trace_p(PTRACE_SET_AREA, child, (void *)13, &wanted);
		if (result == 0) {
			MUST(trace_p(PTRACE_GET_AREA, child, (void *)13, &found));
			printf("zero %#x: %u %#x %#x %#x\n", bits, found.number, found.base, found.limit, found.bits);
		}
	}
	struct description second = { 13, 0, 0xfffff, 0x11 }, third = { 14, 0xffffffff, 0xffffffff, DATA_32 | READ_ONLY };
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)13, &second));
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)14, &third));
	SHOW(trace_p(PTRACE_GET_AREA, child, (void *)14, &found));
	printf("%u %#x %#x %#x\n", found.number, found.base, found.limit, found.bits);
	until_breakpoint(child);
	show_all(child);
	area.base = 0x7000; /* whoever has it loaded has the new base */
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)12, &area));
	show_all(child);
	until_breakpoint(child);
	show_all(child);
	struct description none = { 14, 0, 0, READ_ONLY | ABSENT };
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)14, &none));
	SHOW(trace_p(PTRACE_SET_AREA, child, (void *)12, &none));
	show_all(child);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
	SHOW(syscall(SYS_set_thread_area, &area));
	SHOW(syscall(SYS_get_thread_area, &area));
}

static void other_requests(void)
{
	printf("== ports, and the sets that there are not\n");
	pid_t child = TRACED_CHILD(pause());
	static unsigned char room[16384];
	for (long kind = 0x200; kind < 0x206; kind++) {
		if (kind == 0x202)
			continue;
		struct iovec vector = { room, sizeof room };
		long result = trace_p(PTRACE_GETREGSET, child, (void *)kind, &vector);
		int error = errno;
		printf("set %#lx: %ld %s %zu\n", kind, result, result ? error == ENODEV ? "ENODEV" : error_name(error) : "", vector.iov_len);
		vector.iov_len = 64;
		result = trace_p(PTRACE_SETREGSET, child, (void *)kind, &vector);
		printf("set %#lx: %ld %s\n", kind, result, result ? error_name(errno) : "");
	}
	MUST(trace(PTRACE_CONT, child, 0, SIGKILL));
	await("child", child);
	child = TRACED_CHILD(syscall(SYS_ioperm, 0x378, 3, 1); __asm__ volatile("int3"));
	until_breakpoint(child);
	struct iovec vector = { room, sizeof room };
	SHOW(trace_p(PTRACE_GETREGSET, child, (void *)0x201, &vector));
	printf("%zu bytes, %#x %#x\n", vector.iov_len, room[0x378 / 8], room[0x378 / 8 + 1]);
	MUST(trace(PTRACE_CONT, child, 0, 0));
	await("child", child);
}

static void write_setting(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void in_a_core(void)
{
	printf("== in a core file\n");
	MUST(mkdir("/tmp/segments", 0755));
	MUST(chdir("/tmp/segments"));
	write_setting("/proc/sys/kernel/core_pattern", "core");
	pid_t child = fork();
	if (child == 0) {
		struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };
		setrlimit(RLIMIT_CORE, &most);
		signal(SIGSEGV, SIG_DFL);
		LOAD(ds, 0x2b);
		LOAD(es, 0x23);
		raw(SYS_arch_prctl, ARCH_SET_GS, 0xc000, 0);
		LOAD(es, 0x23);
		abort();
	}
	show_end(child);
	char name[64];
	snprintf(name, sizeof name, "core.%d", child);
	int fd = open("core", O_RDONLY);
	if (fd < 0)
		fd = open(name, O_RDONLY);
	CHECK(fd >= 0);
	Elf64_Ehdr head;
	MUST(pread(fd, &head, sizeof head, 0));
	for (int i = 0; i < head.e_phnum; i++) {
		Elf64_Phdr part;
		MUST(pread(fd, &part, sizeof part, (off_t)(head.e_phoff + (unsigned long)i * sizeof part)));
		if (part.p_type != PT_NOTE)
			continue;
		struct user_regs_struct now;
		MUST(pread(fd, &now, sizeof now, (off_t)part.p_offset + 12 + 8 + 112));
		printf("cs %llx ss %llx ds %llx es %llx fs %llx gs %llx fs_base %d gs_base %llx\n", (long long)now.cs, (long long)now.ss, (long long)now.ds,
			(long long)now.es, (long long)now.fs, (long long)now.gs, now.fs_base == own_fs, (long long)now.gs_base);
	}
	close(fd);
	unlink("core");
	unlink(name);
}

int main(int argc, char **argv)
{
	own_fs = fs_base();
	if (argc > 1) {
		printf("the next program: ds %#x es %#x fs %#x gs %#x gs base %#lx\n", STORE(ds), STORE(es), STORE(fs), STORE(gs), gs_base());
		return 0;
	}
	loaded_by_the_program();
	over_calls();
	in_signals();
	threads();
	by_a_tracer();
	areas();
	other_requests();
	in_a_core();
	return 0;
}
