/* Covers: perf_event_open (PERF_TYPE_BREAKPOINT, sigtrap): places of a program that the processor watches. */
#define _GNU_SOURCE
#include "perf_case.h"
#include <linux/hw_breakpoint.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

static volatile uint64_t watched[8] __attribute__((aligned(64)));

static struct perf_event_attr place(const volatile void *at, int kind, int length)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_BREAKPOINT, .size = sizeof attr, .disabled = 1, .exclude_kernel = 1};
	attr.bp_type = (unsigned)kind;
	attr.bp_addr = (uintptr_t)at;
	attr.bp_len = (uint64_t)length;
	return attr;
}

__attribute__((noinline)) static int runs(int value)
{
	__asm__ volatile("" ::: "memory");
	return value + 1;
}

static void opening(void)
{
	static const int kinds[] = {HW_BREAKPOINT_EMPTY, HW_BREAKPOINT_R, HW_BREAKPOINT_W, HW_BREAKPOINT_RW, HW_BREAKPOINT_X, HW_BREAKPOINT_X | HW_BREAKPOINT_W, 8};
	static const int lengths[] = {0, 1, 2, 3, 4, 8};
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (unsigned j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			struct perf_event_attr attr = place(watched, kinds[i], lengths[j]);
			long fd = event_open(&attr, 0, -1, -1, 0);
			printf("kind %d length %d: %s\n", kinds[i], lengths[j], fd < 0 ? error_name(errno) : "ok");
			if (fd >= 0)
				close((int)fd);
		}
	for (int off = 1; off < 9; off++)
		for (int length = 1; length <= 8; length *= 2) {
			struct perf_event_attr attr = place((char *)watched + off, HW_BREAKPOINT_W, length);
			long fd = event_open(&attr, 0, -1, -1, 0);
			printf("%d bytes at %d: %s\n", length, off, fd < 0 ? error_name(errno) : "ok");
			if (fd >= 0)
				close((int)fd);
		}
	struct perf_event_attr attr = place((void *)0xffffffff80000000, HW_BREAKPOINT_W, 8);
	SHOW(event_open(&attr, 0, -1, -1, 0));
	attr = place(watched, HW_BREAKPOINT_W, 8);
	attr.sample_type = PERF_SAMPLE_BRANCH_STACK;
	attr.branch_sample_type = PERF_SAMPLE_BRANCH_ANY;
	SHOW(event_open(&attr, 0, -1, -1, 0));
	attr = place(watched, HW_BREAKPOINT_W, 8);
	attr.sigtrap = 1;
	SHOW(event_open(&attr, 0, -1, -1, 0));
	attr.remove_on_exec = 1;
	TRY(event_open(&attr, 0, -1, -1, 0));
	SHOW(event_open(&attr, -1, 0, -1, 0));
}

static void counting(void)
{
	struct perf_event_attr writes = place(&watched[0], HW_BREAKPOINT_W, 8), both = place(&watched[1], HW_BREAKPOINT_RW, 4), run = place((void *)runs, HW_BREAKPOINT_X, 8);
	int w = (int)MUST(event_open(&writes, 0, -1, -1, 0)), rw = (int)MUST(event_open(&both, 0, -1, -1, 0)), x = (int)MUST(event_open(&run, 0, -1, -1, 0));
	for (int on = 0; on < 3; on++) {
		for (int i = 0; i < 10; i++) {
			watched[0] = (uint64_t)i;
			(void)watched[0];
			((volatile uint8_t *)watched)[3] = 1;
			watched[1] = 1;
			(void)watched[1];
			((volatile uint8_t *)&watched[1])[4] = 1;
			runs(i);
		}
		printf("written %llu, touched %llu, run %llu\n", (unsigned long long)count_of(w), (unsigned long long)count_of(rw), (unsigned long long)count_of(x));
		MUST(ioctl(w, on == 0 ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0));
		MUST(ioctl(rw, on == 0 ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0));
		MUST(ioctl(x, on == 0 ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0));
	}
	MUST(ioctl(w, PERF_EVENT_IOC_RESET, 0));
	printf("reset: %llu\n", (unsigned long long)count_of(w));
	close(w); close(rw); close(x);
}

static void slots(void)
{
	int fds[6];
	struct perf_event_attr attr;
	for (int i = 0; i < 6; i++) {
		attr = place(&watched[i], HW_BREAKPOINT_W, 8);
		fds[i] = (int)event_open(&attr, 0, -1, -1, 0);
		printf("event %d: %s\n", i, fds[i] < 0 ? error_name(errno) : "ok");
	}
	close(fds[1]);
	SHOW((fds[1] = (int)event_open(&attr, 0, -1, -1, 0)) > 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void sampling(void)
{
	struct perf_event_attr attr = place(&watched[2], HW_BREAKPOINT_W, 8);
	attr.sample_period = 2;
	attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_ADDR | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CGROUP;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 1);
	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	for (int i = 0; i < 7; i++)
		watched[2] = (uint64_t)i;
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
		uint64_t *word = (uint64_t *)(record + 1);
		printf("kind %u misc %u size %u: ip %d, pid %d, address %d, period %llu, group %d\n", record->type, record->misc, record->size,
			word[0] >= (uintptr_t)sampling && word[0] < (uintptr_t)sampling + 2000, (int)word[1] == getpid(), word[2] == (uintptr_t)&watched[2],
			(unsigned long long)word[3], word[4] > 0);
	}
	printf("%llu in all\n", (unsigned long long)count_of(fd));
	close(fd);
}

static void children(void)
{
	struct perf_event_attr attr = place(&watched[3], HW_BREAKPOINT_W, 8);
	attr.inherit = 1;
	attr.disabled = 0;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	pid_t pid = fork();
	if (pid == 0) {
		watched[3] = 1;
		watched[3] = 2;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	watched[3] = 3;
	printf("with a child: %llu\n", (unsigned long long)count_of(fd));
	close(fd);
	attr.inherit = 0;
	fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	pid = fork();
	if (pid == 0) {
		watched[3] = 1;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	watched[3] = 3;
	printf("without: %llu\n", (unsigned long long)count_of(fd));
	close(fd);
}

static volatile int trapped;
static siginfo_t last;

static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number; (void)context;
	trapped++;
	last = *info;
}

struct perf_info { uint64_t data; uint32_t type, flags; };

static void show_trap(const char *what)
{
	struct perf_info info;
	memcpy(&info, (char *)&last + 24, sizeof info);
	printf("%s: %d signals, code %d, address %d, data %llx, type %u, flags %u\n", what, trapped, last.si_code, last.si_addr == (void *)&watched[4],
		(unsigned long long)info.data, info.type, info.flags);
}

static void signals(void)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	sigaction(SIGTRAP, &action, NULL);
	struct perf_event_attr attr = place(&watched[4], HW_BREAKPOINT_W, 8);
	attr.sample_period = 1;
	attr.sigtrap = 1;
	attr.remove_on_exec = 1;
	attr.sig_data = 0x123456789abc;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	watched[4] = 1;
	printf("off: %d\n", trapped);
	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	watched[4] = 2;
	show_trap("once");
	watched[4] = 3;
	show_trap("twice");
	sigset_t traps;
	sigemptyset(&traps);
	sigaddset(&traps, SIGTRAP);
	sigprocmask(SIG_BLOCK, &traps, NULL);
	watched[4] = 4;
	show_trap("blocked");
	sigprocmask(SIG_UNBLOCK, &traps, NULL);
	show_trap("unblocked");
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	watched[4] = 5;
	MUST(ioctl(fd, PERF_EVENT_IOC_REFRESH, 2));
	for (int i = 0; i < 5; i++)
		watched[4] = 6;
	show_trap("two more");
	printf("%llu in all\n", (unsigned long long)count_of(fd));
	close(fd);
}

static void debugger(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (int i = 0; i < 3; i++) {
			watched[5] = (uint64_t)i;
			watched[6] = (uint64_t)i;
		}
		_exit(7);
	}
	int status;
	waitpid(pid, &status, 0);
	struct perf_event_attr attr = place(&watched[5], HW_BREAKPOINT_W, 8);
	attr.disabled = 0;
	int fd = (int)MUST(event_open(&attr, pid, -1, -1, 0));
	size_t registers = offsetof(struct user, u_debugreg);
	SHOW(ptrace(PTRACE_POKEUSER, pid, registers, &watched[6]));
	SHOW(ptrace(PTRACE_POKEUSER, pid, registers + 7 * 8, 1 | 1 << 16 | 2 << 18));
	int stops = 0;
	for (;;) {
		MUST(ptrace(PTRACE_CONT, pid, 0, 0));
		waitpid(pid, &status, 0);
		if (!WIFSTOPPED(status))
			break;
		stops++;
		long found = ptrace(PTRACE_PEEKUSER, pid, registers + 6 * 8, 0);
		printf("stopped by %d, status %lx\n", WSTOPSIG(status), found & 15);
		ptrace(PTRACE_POKEUSER, pid, registers + 6 * 8, 0);
	}
	printf("%d stops, ended with %d, %llu counted\n", stops, WEXITSTATUS(status), (unsigned long long)count_of(fd));
	close(fd);
}

int main(void)
{
	opening();
	counting();
	slots();
	sampling();
	children();
	signals();
	debugger();
	return 0;
}
