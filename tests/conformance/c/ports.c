/* Covers: ioperm, iopl: ranges, rights, what a program may then do, and what threads, children and the next program inherit. */
#include "case.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>

static long permit(unsigned long from, unsigned long count, int on) { return syscall(SYS_ioperm, from, count, on); }
static long level(unsigned wanted) { return syscall(SYS_iopl, wanted); }

static sigjmp_buf back;
static volatile int code;

static void on_fault(int number, siginfo_t *info, void *context)
{
	code = info->si_code;
	siglongjmp(back, number);
}

static int in_byte(unsigned short port)
{
	unsigned char value;
	int number = sigsetjmp(back, 1);
	if (!number)
		__asm__ volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return number;
}

static int out_byte(unsigned short port, unsigned char value)
{
	int number = sigsetjmp(back, 1);
	if (!number)
		__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
	return number;
}

static int in_word(unsigned short port)
{
	unsigned value;
	int number = sigsetjmp(back, 1);
	if (!number)
		__asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port));
	return number;
}

static void show(const char *what)
{
	printf("%s: 0x7f %d, 0x80 %d, 0x81 %d, 0x87 %d, 0x88 %d, 0xffff %d, out 0x80 %d, four at 0x7e %d, at 0x80 %d, at 0xfffd %d, code %d\n", what,
	       in_byte(0x7f), in_byte(0x80), in_byte(0x81), in_byte(0x87), in_byte(0x88), in_byte(0xffff), out_byte(0x80, 0), in_word(0x7e), in_word(0x80),
	       in_word(0xfffd), code);
}

static int interrupts(void)
{
	int number = sigsetjmp(back, 1);
	if (!number) {
		unsigned long left = 0x1234;
		__asm__ volatile("cli\n sti" : "+c"(left));
		if (left != 0x1234)
			printf("rcx is %#lx\n", left);
	}
	return number;
}

static void *in_thread(void *unused)
{
	show("a thread");
	permit(0x81, 1, 1);
	show("a thread with one more");
	return NULL;
}

static void others_have_none(void)
{
	/* While this process has rights, another one runs in between. */
	int there[2], here[2];
	char byte;
	MUST(pipe(there));
	MUST(pipe(here));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		permit(0, 65536, 0);
		level(0);
		int wrong = 0;
		for (int i = 0; i < 20; i++) {
			read(there[0], &byte, 1);
			wrong += in_byte(0x80) == 0;
			write(here[1], "x", 1);
		}
		_exit(wrong);
	}
	int wrong = 0;
	for (int i = 0; i < 20; i++) {
		write(there[1], "x", 1);
		read(here[0], &byte, 1);
		wrong += in_byte(0x80) != 0;
	}
	printf("wrong here %d\n", wrong);
	show_end(child);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &action, NULL);
	if (argc > 1) {
		show("the next program");
		printf("cli %d\n", interrupts());
		return 0;
	}
	static const struct { unsigned long from, count; } ranges[] = {
		{ 0, 0 }, { 0, 65537 }, { 65535, 1 }, { 65535, 2 }, { 65536, 1 }, { 65536, 0 }, { -1ul, 1 }, { -1ul, 2 }, { 1, -1ul }, { 5, -5ul }, { 1ul << 63, 1 },
		{ 0x80, 1ul << 32 }, { 1ul << 32, 1 },
	};
	show("at first");
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		for (int on = 0; on < 2; on++)
			printf("%#lx %#lx %d: %s\n", ranges[i].from, ranges[i].count, on, permit(ranges[i].from, ranges[i].count, on) ? error_name(errno) : "ok");
	show("the last port");
	SHOW(permit(65535, 1, 0));
	SHOW(permit(0x80, 1, 1));
	show("0x80");
	SHOW(permit(0x80, 4, 2));
	show("four from 0x80");
	SHOW(permit(0x7e, 16, -1));
	SHOW(permit(0x81, 1, 0));
	show("without 0x81");
	pthread_t thread;
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	show("after the thread");
	IN_CHILD(show("a child"); permit(0, 65536, 0); show("a child without"));
	show("after the child");
	others_have_none();
	IN_CHILD(execl("/proc/self/exe", "ports", "exec", NULL));
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		show("as another");
		SHOW(permit(0x80, 1, 1));
		SHOW(permit(0x80, 1, 0));
		SHOW(permit(0x80, 0, 1));
		show("given up");
		SHOW(level(0));
		SHOW(level(1));
		SHOW(level(4));
		SHOW(level(3)));
	SHOW(permit(0, 65536, 0));
	show("none");
	printf("cli %d\n", interrupts());
	SHOW(level(4));
	SHOW(level(-1u));
	SHOW(level(1));
	show("level 1");
	SHOW(level(2));
	show("level 2");
	SHOW(level(3));
	show("level 3");
	printf("cli %d\n", interrupts());
	others_have_none();
	SHOW(permit(0x80, 1, 1));
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		show("as another");
		printf("cli %d\n", interrupts());
		SHOW(level(3));
		SHOW(level(0));
		SHOW(level(3));
		show("given up"));
	IN_CHILD(execl("/proc/self/exe", "ports", "exec", NULL));
	SHOW(level(0));
	show("level 0");
	printf("cli %d\n", interrupts());
	return 0;
}
