/*
 * Covers: modify_ldt: its four functions, sizes and errors (which come as numbers of 32 bits), descriptors as they are read back; data
 * segments of a program's own in ds, es, ss and gs, over calls, switches and forks; 32-bit code; selectors in signal frames that are
 * none.
 */
#include "case.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <ucontext.h>

struct description { unsigned number, base, limit, bits; };
#define BITS(bit32, contents, read_only, pages, absent, useable, lm) \
	((bit32) | (contents) << 1 | (read_only) << 3 | (pages) << 4 | (absent) << 5 | (useable) << 6 | (lm) << 7)
#define SELECTOR(n) ((n) << 3 | 7)

static long ldt(int function, void *at, unsigned long size) { return syscall(SYS_modify_ldt, function, at, size); }

static long put(int function, unsigned number, unsigned base, unsigned limit, unsigned bits)
{
	struct description wanted = { number, base, limit, bits };
	return ldt(function, &wanted, sizeof wanted);
}

static unsigned long table[8192];

static void show_entry(unsigned number)
{
	long result = ldt(0, table, sizeof table);
	printf("entry %u: %#lx of %ld bytes\n", number, table[number], result);
}

static void calls(void)
{
	memset(table, 0x55, sizeof table);
	SHOW(ldt(0, table, 64));
	CHECK(table[0] == 0x5555555555555555);
	SHOW(ldt(0, (void *)8, 64));
	for (unsigned long size = 0; size < 400; size += 61) {
		memset(table, 0x55, sizeof table);
		SHOW(ldt(2, table, size));
		printf("%lx %lx %lx\n", table[0], table[15], table[16]);
	}
	SHOW(ldt(2, table, -1ul));
	SHOW(ldt(2, (void *)8, 64));
	SHOW(ldt(2, (void *)8, 0));
	static const int functions[] = { 3, 4, 0x10, 0x12, -1, 0x7fffffff };
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		SHOW(ldt(functions[i], table, 16));
	SHOW(ldt(1, table, 15));
	SHOW(ldt(1, table, 17));
	SHOW(ldt(0x11, (void *)8, 16));
	SHOW(ldt(0x11, (void *)8, 15));
	SHOW(ldt(0x11, NULL, 0));
	for (int function = 1; function <= 0x11; function += 0x10) {
		SHOW(put(function, 8192, 1, 1, BITS(1, 0, 0, 0, 0, 0, 0)));
		SHOW(put(function, -1u, 1, 1, BITS(1, 0, 0, 0, 0, 0, 0)));
		SHOW(put(function, 0, 1, 1, BITS(1, 3, 0, 0, 0, 0, 0)));
		SHOW(put(function, 0, 1, 1, BITS(1, 3, 0, 0, 1, 0, 0)));
		show_entry(0);
		for (unsigned bits = 0; bits < 256; bits++) {
			long result = put(function, 1, 0x12345678, 0xabcde, bits);
			if (result == 0 && ldt(0, table, 16) == 16)
				printf("%#x: %#lx\n", bits, table[1]);
			else
				printf("%#x: %ld\n", bits, result);
		}
		SHOW(put(function, 2, 0xffffffff, 0xffffffff, 0xffffff01));
		show_entry(2);
		SHOW(put(function, 2, 0, 0, BITS(1, 0, 0, 0, 0, 0, 0)));
		show_entry(2);
		SHOW(put(function, 2, 0x80000000, 0, BITS(1, 0, 0, 0, 0, 0, 0)));
		show_entry(2);
		SHOW(put(function, 2, 0, 0, BITS(0, 0, 1, 0, 1, 0, 0)));
		show_entry(2);
		SHOW(put(function, 2, 0, 0, BITS(0, 0, 1, 0, 1, 0, 1)));
		show_entry(2);
	}
	SHOW(put(0x11, 700, 0, 0xfffff, BITS(1, 0, 0, 1, 0, 0, 0)));
	SHOW(ldt(0, table, 0));
	SHOW(ldt(0, table, 5));
	SHOW(ldt(0, table, -1ul));
	SHOW(ldt(0, table, 1ul << 40));
	SHOW(ldt(0, (void *)8, 64));
	char *edge = (char *)MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(munmap(edge + PAGE, PAGE));
	SHOW(ldt(0, edge + PAGE - 16, 4096));
	SHOW(ldt(0, edge, 8192));
	SHOW(ldt(2, edge + PAGE - 16, 32));
	SHOW(put(0x11, 8191, 0, 0xfffff, BITS(1, 0, 0, 1, 0, 0, 0)));
	show_entry(8191);
	show_entry(700);
}

static sigjmp_buf back;
static volatile int code, error_code, trap;
static volatile unsigned long cs_of_frame, ss_of_frame, sp_of_frame;
static volatile unsigned short cs_now, ss_now;

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *all = context;
	code = info->si_code;
	error_code = all->uc_mcontext.gregs[REG_ERR];
	trap = all->uc_mcontext.gregs[REG_TRAPNO];
	cs_of_frame = all->uc_mcontext.gregs[REG_CSGSFS] & 0xffff;
	ss_of_frame = (unsigned long)all->uc_mcontext.gregs[REG_CSGSFS] >> 48;
	sp_of_frame = all->uc_mcontext.gregs[REG_RSP];
	__asm__ volatile("mov %%cs, %0" : "=r"(cs_now));
	__asm__ volatile("mov %%ss, %0" : "=r"(ss_now));
	siglongjmp(back, number);
}

static void show_fault(const char *what, int number)
{
	if (number)
		printf("%s: signal %d, code %d, trap %d, error %#x\n", what, number, code, trap, error_code);
	else
		printf("%s: ok\n", what);
}

static unsigned rights(unsigned selector)
{
	unsigned found = 0;
	__asm__ volatile("lar %1, %0\n jz 1f\n mov $0xdead, %0\n1:" : "=&r"(found) : "r"(selector) : "cc");
	return found;
}

static unsigned limit(unsigned selector)
{
	unsigned found = 0;
	__asm__ volatile("lsl %1, %0\n jz 1f\n mov $0xdead, %0\n1:" : "=&r"(found) : "r"(selector) : "cc");
	return found;
}

#define LOAD(segment, value) __asm__ volatile("movl %0, %%" #segment : : "r"(value) : "memory")
#define STORE(segment) ({ unsigned value_; __asm__ volatile("movl %%" #segment ", %0" : "=r"(value_)); value_ & 0xffff; })

static int try_load(int which, unsigned selector)
{
	int number = sigsetjmp(back, 1);
	if (!number)
		switch (which) {
		case 0: LOAD(ds, selector); break;
		case 1: LOAD(es, selector); break;
		case 2: LOAD(ss, selector); break;
		case 3: LOAD(gs, selector); break;
		}
	return number;
}

static unsigned *data;

static unsigned through_gs(void)
{
	unsigned value;
	__asm__ volatile("movl %%gs:4, %0" : "=r"(value));
	return value;
}

static void *in_thread(void *unused)
{
	printf("a thread: ds %#x, es %#x, gs %#x, rights %#x\n", STORE(ds), STORE(es), STORE(gs), rights(SELECTOR(3)));
	LOAD(ds, SELECTOR(3));
	for (int i = 0; i < 50; i++)
		sched_yield();
	printf("a thread, then: ds %#x\n", STORE(ds));
	return NULL;
}

static void data_segments(void)
{
	data = (unsigned *)MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	data[1] = 0x1234;
	SHOW(put(0x11, 3, (unsigned)(unsigned long)data, 0xfff, BITS(1, 0, 0, 0, 0, 0, 0)));
	SHOW(put(0x11, 4, (unsigned)(unsigned long)data, 0xfff, BITS(1, 0, 1, 0, 0, 0, 0)));
	SHOW(put(0x11, 5, (unsigned)(unsigned long)data, 0xfff, BITS(1, 2, 1, 0, 0, 0, 0)));
	SHOW(put(0x11, 6, (unsigned)(unsigned long)data, 0xfff, BITS(1, 0, 0, 0, 1, 0, 0)));
	SHOW(put(0x11, 7, (unsigned)(unsigned long)data, 0xfff, BITS(1, 2, 0, 0, 0, 0, 0)));
	SHOW(put(0x11, 8, (unsigned)(unsigned long)data, 0xfff, BITS(1, 1, 0, 0, 0, 1, 0)));
	SHOW(put(0x11, 9, 0, 0, BITS(0, 0, 1, 0, 1, 0, 0)));
	for (unsigned number = 3; number < 11; number++) {
		printf("entry %u: rights %#x, limit %#x\n", number, rights(SELECTOR(number)), limit(SELECTOR(number)));
		for (int which = 0; which < 4; which++)
			show_fault(which == 0 ? "ds" : which == 1 ? "es" : which == 2 ? "ss" : "gs", try_load(which, SELECTOR(number)));
	}
	show_fault("beyond the table", try_load(0, SELECTOR(8192 - 1) & 0xffff));
	show_fault("of the kernel's data", try_load(0, 0x1b));
	show_fault("the program's own", try_load(0, 0x2b));
	show_fault("none", try_load(0, 0));
	show_fault("none", try_load(1, 3));
	LOAD(ds, SELECTOR(3));
	LOAD(es, SELECTOR(4));
	LOAD(gs, SELECTOR(3));
	printf("through gs %#x\n", through_gs());
	getppid();
	sched_yield();
	sleep_ms(20);
	printf("ds %#x, es %#x, gs %#x, %#x\n", STORE(ds), STORE(es), STORE(gs), through_gs());
	IN_CHILD(
		printf("a child: ds %#x, es %#x, gs %#x, %#x, rights %#x\n", STORE(ds), STORE(es), STORE(gs), through_gs(), rights(SELECTOR(3)));
		put(0x11, 3, 0, 0, BITS(0, 0, 1, 0, 1, 0, 0));
		printf("its own: rights %#x\n", rights(SELECTOR(3))));
	printf("still: rights %#x, ds %#x\n", rights(SELECTOR(3)), STORE(ds));
	pthread_t thread;
	pthread_create(&thread, NULL, in_thread, NULL);
	for (int i = 0; i < 50; i++)
		sched_yield();
	pthread_join(thread, NULL);
	printf("ds %#x, es %#x, gs %#x, %#x\n", STORE(ds), STORE(es), STORE(gs), through_gs());
	/* A segment that goes while it is in use. */
	SHOW(put(0x11, 3, 0, 0, BITS(0, 0, 1, 0, 1, 0, 0)));
	printf("ds %#x, es %#x\n", STORE(ds), STORE(es));
	SHOW(put(0x11, 4, 0, 0, BITS(0, 0, 1, 0, 1, 0, 0)));
	sched_yield();
	sleep_ms(5);
	printf("ds %#x, es %#x\n", STORE(ds), STORE(es));
	LOAD(ds, 0);
	LOAD(es, 0);
	LOAD(gs, 0);
	IN_CHILD(execl("/proc/self/exe", "modify_ldt", "exec", NULL));
}

/* Code for other segments, below 4 GiB: it counts eax up and comes back by a far jump through memory at `gate`. */
static unsigned char *low;

static unsigned run_code(unsigned selector, unsigned eax, unsigned offset)
{
	struct __attribute__((packed)) { unsigned offset; unsigned short selector; } to = { offset, selector };
	unsigned result = eax;
	__asm__ volatile(
		"push %%rbx\n push %%rbp\n push %%r12\n"
		"mov %%rsp, %%r12\n"
		"mov %2, %%rsp\n" /* a stack that 32-bit code can reach */
		"mov %%cs, %%ecx\n push %%rcx\n lea 1f(%%rip), %%rcx\n push %%rcx\n"
		"ljmpl *(%1)\n"
		"1: add $16, %%rsp\n mov %%r12, %%rsp\n pop %%r12\n pop %%rbp\n pop %%rbx\n"
		: "+a"(result) : "D"(&to), "S"(low + 4000) : "rcx", "rdx", "r8", "r9", "r10", "r11", "r13", "r14", "r15", "memory");
	return result;
}

static volatile int ticks;
static volatile unsigned long cs_of_tick;

static void on_tick(int number, siginfo_t *info, void *context)
{
	ucontext_t *all = context;
	unsigned long cs = all->uc_mcontext.gregs[REG_CSGSFS] & 0xffff;
	unsigned short now;
	__asm__ volatile("mov %%cs, %0" : "=r"(now));
	if (cs != 0x33)
		cs_of_tick = cs << 16 | now;
	ticks++;
	if (ticks > 3)
		*(volatile unsigned *)(low + 256) = 1; /* ends the loop */
}

static void other_code(void)
{
	low = (unsigned char *)MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	/* Back to where rsp points at: offset and selector. In 64-bit mode at offset 64: rex.w retf. */
	static const unsigned char home[] = { 0x48, 0xcb };
	memcpy(low + 64, home, sizeof home);
	/* 32-bit code: inc eax; far jump 0x33:low+64 */
	unsigned place = (unsigned)(unsigned long)low;
	unsigned char code32[] = { 0x40, 0xea, 0, 0, 0, 0, 0x33, 0 };
	unsigned there = place + 64;
	memcpy(code32 + 2, &there, 4);
	memcpy(low, code32, sizeof code32);
	SHOW(put(0x11, 20, 0, 0xfffff, BITS(1, 2, 0, 1, 0, 0, 0)));
	printf("32-bit code: %u\n", run_code(SELECTOR(20), 41, place));
	/* The same in a segment that begins at the code, where inc is in a loop with the calendar's tick. */
	unsigned char loop[] = { 0x40, 0x83, 0x3d, 0, 0, 0, 0, 0, 0x74, 0xf6, 0xea, 0, 0, 0, 0, 0x33, 0 };
	unsigned flag = place + 256;
	memcpy(loop + 3, &flag, 4);
	memcpy(loop + 11, &there, 4);
	memcpy(low + 128, loop, sizeof loop);
	SHOW(put(0x11, 21, place + 128, 0xfff, BITS(1, 2, 0, 0, 0, 0, 0)));
	SHOW(put(0x11, 22, 0, 0xfffff, BITS(1, 0, 0, 1, 0, 0, 0)));
	struct sigaction action = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO };
	sigaction(SIGALRM, &action, NULL);
	timer_t timer;
	struct itimerspec often = { { 0, 5000000 }, { 0, 5000000 } }, never = { { 0 } };
	MUST(timer_create(CLOCK_MONOTONIC, NULL, &timer));
	MUST(timer_settime(timer, 0, &often, NULL));
	LOAD(ds, SELECTOR(22));
	CHECK(run_code(SELECTOR(21), 0, 0) > 0);
	timer_settime(timer, 0, &never, NULL);
	LOAD(ds, 0);
	printf("ticks %d, the frame's cs %#lx\n", ticks > 3, cs_of_tick);
	/* Bad code segments. */
	int number = sigsetjmp(back, 1);
	if (!number)
		run_code(SELECTOR(22), 0, place);
	show_fault("data as code", number);
	SHOW(put(0x11, 23, 0, 0xfffff, BITS(1, 2, 0, 1, 1, 0, 0)));
	number = sigsetjmp(back, 1);
	if (!number)
		run_code(SELECTOR(23), 0, place);
	show_fault("code that is not there", number);
}

static volatile unsigned new_cs, new_ss;

static void change_frame(int number, siginfo_t *info, void *context)
{
	ucontext_t *all = context;
	unsigned long selectors = all->uc_mcontext.gregs[REG_CSGSFS];
	all->uc_mcontext.gregs[REG_CSGSFS] = (selectors & 0xffffffff0000) | new_cs | (unsigned long)new_ss << 48;
}

static void bad_frames(void)
{
	static const struct { unsigned cs, ss; } frames[] = {
		{ 0x33, 0x2b }, { 0x30, 0x28 }, { 0x33, 0 }, { 0x33, 3 }, { 0, 0x2b }, { 3, 0x2b }, { 0x10, 0x18 }, { 0x13, 0x1b }, { 0x33, 0x1b }, { 0x33, 0x33 },
		{ 0x2b, 0x2b }, { 0xffff, 0x2b }, { 0x33, 0xffff }, { 0x33, SELECTOR(3) }, { SELECTOR(9), 0x2b }, { SELECTOR(22), 0x2b }, { SELECTOR(23), 0x2b },
		{ 0x33, SELECTOR(24) }, { 0x33, SELECTOR(25) }, { 0x40, 0x2b }, { 0x53, 0x2b }, { 0x33, 0x43 }, { 0x7b, 0x2b },
	};
	SHOW(put(0x11, 24, 0, 0xfffff, BITS(1, 0, 0, 1, 1, 0, 0)));
	SHOW(put(0x11, 25, 0, 0xfffff, BITS(1, 0, 1, 1, 0, 0, 0)));
	struct sigaction action = { .sa_sigaction = change_frame, .sa_flags = SA_SIGINFO };
	sigaction(SIGUSR1, &action, NULL);
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		new_cs = frames[i].cs;
		new_ss = frames[i].ss;
		cs_of_frame = ss_of_frame = 0;
		int number = sigsetjmp(back, 1);
		if (!number)
			raise(SIGUSR1);
		printf("cs %#x, ss %#x: ", new_cs, new_ss);
		if (number)
			printf("signal %d, code %d, trap %d, error %#x, in the frame %#lx %#lx, in the handler %#x %#x\n", number, code, trap, error_code,
			       cs_of_frame, ss_of_frame, cs_now, ss_now);
		else
			printf("ok, ss %#x\n", STORE(ss));
		LOAD(ss, 0x2b);
	}
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		printf("the next program: rights %#x, ds %#x, %ld\n", rights(SELECTOR(5)), STORE(ds), ldt(0, table, 64));
		return 0;
	}
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	calls();
	data_segments();
	other_code();
	bad_frames();
	return 0;
}
