/* Covers: perf_event_open (uprobe): breakpoints of the kernel in files, in all who map them. */
#define _GNU_SOURCE
#include "perf_case.h"
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <ucontext.h>

extern const Elf64_Ehdr __ehdr_start;
static const char *self = "/proc/self/exe";
static uint32_t type;

static uint64_t offset_of(const void *at)
{
	const Elf64_Ehdr *head = &__ehdr_start;
	const Elf64_Phdr *part = (const void *)((const char *)head + head->e_phoff);
	uintptr_t base = 0;
	for (int i = 0; i < head->e_phnum; i++)
		if (part[i].p_type == PT_LOAD && part[i].p_offset == 0)
			base = (uintptr_t)head - part[i].p_vaddr;
	for (int i = 0; i < head->e_phnum; i++)
		if (part[i].p_type == PT_LOAD && (uintptr_t)at - base - part[i].p_vaddr < part[i].p_filesz)
			return (uintptr_t)at - base - part[i].p_vaddr + part[i].p_offset;
	return ~0ull;
}

static uint64_t number_in(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		return 0;
	close(fd);
	return strtoull(text, NULL, 10);
}

static void show_text_of(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	printf("%s: %s", path, size > 0 ? text : "nothing\n");
	close(fd);
}

static struct perf_event_attr probe(const void *at, int is_return)
{
	struct perf_event_attr attr = {.type = type, .size = sizeof attr, .config = (uint64_t)is_return};
	attr.uprobe_path = (uintptr_t)self;
	attr.probe_offset = offset_of(at);
	return attr;
}

volatile int memory = 5;
volatile double fraction = 1.5;

#define PROBED __attribute__((noinline, noclone, aligned(16)))
PROBED static int plain(int value)
{
	__asm__ volatile("" ::: "memory");
	return value + 1;
}
PROBED static int deep(int value)
{
	__asm__ volatile("" ::: "memory");
	return value <= 0 ? 0 : 1 + deep(value - 1);
}

/* Single instructions, each with a label of its own. */
__asm__(
	".text\n.balign 16\n"
	"i_relative: movl memory(%rip), %eax\n ret\n"
	".balign 16\n"
	"i_lea: lea memory(%rip), %rsi\n mov %rsi, %rax\n ret\n"
	".balign 16\n"
	"i_call: call i_ten\n add $1, %eax\n ret\n"
	".balign 16\n"
	"i_ten: mov $10, %eax\n ret\n"
	".balign 16\n"
	"i_indirect: call *i_pointer(%rip)\n add $2, %eax\n ret\n"
	".balign 16\n"
	"i_jump: jmp 1f\n mov $0, %eax\n ret\n1: mov $7, %eax\n ret\n"
	".balign 16\n"
	"i_tail: jmp *i_pointer(%rip)\n"
	".balign 16\n"
	"i_branch: cmp $3, %edi\n"
	"i_branch_at: jg 1f\n mov $1, %eax\n ret\n1: mov $2, %eax\n ret\n"
	".balign 16\n"
	"i_push: push %r12\n mov $3, %r12d\n mov %r12d, %eax\n pop %r12\n ret\n"
	".balign 16\n"
	"i_flags: pushf\n pop %rax\n and $0x100, %eax\n ret\n"
	".balign 16\n"
	"i_ret: ret\n"
	".balign 16\n"
	"i_vector: addsd fraction(%rip), %xmm0\n ret\n"
	".balign 16\n"
	"i_fault: mov (%rdi), %eax\n ret\n"
	".balign 16\n"
	"i_invalid: ud2\n"
	".balign 16\n"
	"i_trap: int3\n ret\n"
	".balign 16\n"
	"i_lock: lock incl (%rdi)\n ret\n"
	".data\n.balign 8\ni_pointer: .quad i_ten\n.text\n");
int i_relative(void), i_call(void), i_indirect(void), i_jump(void), i_tail(void), i_branch(int), i_push(void), i_flags(void), i_fault(const int *), i_trap(void), i_lock(int *);
void *i_lea(void);
void i_ret(void), i_invalid(void), i_branch_at(void);
double i_vector(double);

static void errors(void)
{
	struct perf_event_attr attr = probe(plain, 0), other;
	SHOW(event_open(&attr, -1, -1, -1, 0));
	other = attr;
	other.uprobe_path = 0;
	SHOW(event_open(&other, 0, -1, -1, 0));
	other.uprobe_path = 8;
	SHOW(event_open(&other, 0, -1, -1, 0));
	other.uprobe_path = (uintptr_t)"";
	SHOW(event_open(&other, 0, -1, -1, 0));
	other.uprobe_path = (uintptr_t)"/nowhere";
	SHOW(event_open(&other, 0, -1, -1, 0));
	other.uprobe_path = (uintptr_t)"/proc";
	SHOW(event_open(&other, 0, -1, -1, 0));
	other.uprobe_path = (uintptr_t)"/dev/null";
	SHOW(event_open(&other, 0, -1, -1, 0));
	static char lengthy[5000];
	memset(lengthy, 'a', sizeof lengthy - 1);
	other.uprobe_path = (uintptr_t)lengthy;
	SHOW(event_open(&other, 0, -1, -1, 0));
	other = attr;
	other.probe_offset = 1ull << 40;
	SHOW(event_open(&other, 0, -1, -1, 0));
	other.probe_offset = -1ull;
	SHOW(event_open(&other, 0, -1, -1, 0));
	other = attr;
	other.config = 3ull << 32;
	SHOW(event_open(&other, 0, -1, -1, 0));
	other = attr;
	other.sample_type = PERF_SAMPLE_BRANCH_STACK;
	other.branch_sample_type = PERF_SAMPLE_BRANCH_ANY;
	SHOW(event_open(&other, 0, -1, -1, 0));
	if (fork() == 0) {
		MUST(setresuid(1000, 1000, 1000));
		SHOW(event_open(&attr, 0, -1, -1, 0));
		attr.exclude_kernel = 1;
		SHOW(event_open(&attr, 0, -1, -1, 0));
		exit(0);
	}
	wait(NULL);
}

static void counting(void)
{
	struct perf_event_attr attr = probe(plain, 0), both = probe(plain, 1);
	unsigned char before = *(volatile unsigned char *)plain;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0)), again = (int)MUST(event_open(&attr, 0, -1, -1, 0)), all = (int)MUST(event_open(&attr, -1, 0, -1, 0));
	printf("breakpoint %#x\n", *(volatile unsigned char *)plain);
	int sum = 0;
	for (int i = 0; i < 10; i++)
		sum += plain(i);
	printf("sum %d, counts %d %d %d\n", sum, (int)count_of(fd), (int)count_of(again), (int)count_of(all) >= 0);
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	plain(1);
	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	plain(1);
	printf("counts %d %d\n", (int)count_of(fd), (int)count_of(again));
	close(fd);
	close(all);
	plain(1);
	printf("count %d\n", (int)count_of(again));
	int ends = (int)MUST(event_open(&both, 0, -1, -1, 0));
	for (int i = 0; i < 5; i++)
		plain(i);
	printf("begins %d, ends %d\n", (int)count_of(again), (int)count_of(ends));
	close(again);
	close(ends);
	printf("as before: %d\n", *(volatile unsigned char *)plain == before);
	struct perf_event_attr recursive = probe(deep, 1);
	ends = (int)MUST(event_open(&recursive, 0, -1, -1, 0));
	printf("deep(20) = %d\n", deep(20));
	printf("ends %d\n", (int)count_of(ends));
	printf("deep(100) = %d\n", deep(100));
	printf("ends %d\n", (int)count_of(ends));
	close(ends);
}

static int watch(const void *at)
{
	struct perf_event_attr attr = probe(at, 0);
	return (int)MUST(event_open(&attr, 0, -1, -1, 0));
}

#define ONE(at, format, call) do { \
	int fd_ = watch((const void *)(at)); \
	printf(#call " = " format, call); \
	printf(" %d\n", (int)count_of(fd_)); \
	close(fd_); \
} while (0)

static sigjmp_buf back;
static void *fault_at;
static void caught(int sig, siginfo_t *info, void *context)
{
	fault_at = (void *)(uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	printf("signal %d code %d\n", sig, info->si_code);
	siglongjmp(back, 1);
}

static void instructions(void)
{
	ONE(i_relative, "%d", i_relative());
	ONE(i_lea, "%d", i_lea() == (void *)&memory);
	ONE(i_call, "%d", i_call());
	ONE(i_indirect, "%d", i_indirect());
	ONE(i_jump, "%d", i_jump());
	ONE(i_tail, "%d", i_tail());
	ONE(i_branch_at, "%d", i_branch(3));
	ONE(i_branch_at, "%d", i_branch(4));
	ONE(i_push, "%d", i_push());
	ONE(i_ret, "%d", (i_ret(), 4));
	ONE(i_vector, "%f", i_vector(1.0));
	struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	int fd = watch((const void *)i_fault);
	if (sigsetjmp(back, 1) == 0)
		i_fault(NULL);
	printf("at the place: %d, count %d\n", fault_at == (void *)i_fault, (int)count_of(fd));
	close(fd);
	fd = watch((const void *)i_invalid);
	if (sigsetjmp(back, 1) == 0)
		i_invalid();
	printf("at the place: %d, count %d\n", fault_at == (void *)i_invalid, (int)count_of(fd));
	close(fd);
	struct perf_event_attr attr = probe((const void *)i_lock, 0);
	errno = 0;
	long got = event_open(&attr, 0, -1, -1, 0);
	printf("lock: %ld %d\n", got < 0 ? -1L : 0L, errno);
	attr = probe((const void *)i_trap, 0);
	errno = 0;
	got = event_open(&attr, 0, -1, -1, 0);
	printf("int3: %ld %d\n", got < 0 ? -1L : 0L, errno);
}

static void samples(void)
{
	struct perf_event_attr attr = probe(plain, 0);
	attr.sample_period = 1;
	attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_RAW;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 1);
	plain(1);
	struct perf_event_header *head;
	while ((head = next_record(&ring)) != NULL) {
		uint64_t *words = (uint64_t *)(head + 1);
		uint32_t *raw = (uint32_t *)(words + 1);
		uint64_t ip;
		memcpy(&ip, (char *)(raw + 1) + 8, 8);
		printf("kind %u misc %u: ip %d, raw %u bytes, ip %d\n", head->type, head->misc, words[0] == (uintptr_t)plain, raw[0], ip == (uintptr_t)plain);
	}
	close(fd);
	attr.config = 1;
	fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	ring = map_ring(fd, 1);
	plain(1);
	while ((head = next_record(&ring)) != NULL) {
		uint32_t *raw = (uint32_t *)((uint64_t *)(head + 1) + 1);
		uint64_t words[2];
		memcpy(words, (char *)(raw + 1) + 8, 16);
		printf("kind %u misc %u: raw %u bytes, function %d, inside main's file %d\n", head->type, head->misc, raw[0], words[0] == (uintptr_t)plain, words[1] == *(uint64_t *)(head + 1));
	}
	close(fd);
}

static void *runs(void *argument)
{
	for (int i = 0; i < 1000; i++) {
		plain(i);
		i_relative();
	}
	return argument;
}

static void others(void)
{
	struct perf_event_attr attr = probe((const void *)i_relative, 0);
	attr.inherit = 1;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, runs, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("threads: %d\n", (int)count_of(fd));
	if (fork() == 0) {
		i_relative();
		exit(0);
	}
	wait(NULL);
	printf("with child: %d\n", (int)count_of(fd));
	close(fd);
	struct perf_event_attr ends = probe(plain, 1);
	ends.inherit = 1;
	fd = (int)MUST(event_open(&ends, 0, -1, -1, 0));
	if (fork() == 0)
		_exit(plain(41) == 42 ? 0 : 1);
	int status = 0;
	wait(&status);
	printf("child's status %#x, ends %d\n", status, (int)count_of(fd));
	close(fd);
	pid_t child = fork();
	if (child == 0) {
		MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		plain(3);
		_exit(0);
	}
	waitpid(child, &status, 0);
	attr = probe(plain, 0);
	fd = (int)MUST(event_open(&attr, child, -1, -1, 0));
	errno = 0;
	long word = ptrace(PTRACE_PEEKTEXT, child, (void *)plain, 0);
	printf("peek %#lx, here %d\n", word & 0xff, *(volatile unsigned char *)plain == 0xcc);
	ptrace(PTRACE_CONT, child, 0, 0);
	waitpid(child, &status, 0);
	printf("status %#x, count %d\n", status, (int)count_of(fd));
	close(fd);
}

int main(void)
{
	mkdir("/proc", 0755);
	syscall(SYS_mount, "proc", "/proc", "proc", 0, 0);
	mount_tracefs();
	setvbuf(stdout, NULL, _IOLBF, 0);
	type = (uint32_t)number_in("/sys/bus/event_source/devices/uprobe/type");
	printf("there is a type: %d\n", type > 5);
	show_text_of("/sys/bus/event_source/devices/uprobe/format/retprobe");
	show_text_of("/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset");
	printf("an offset: %d\n", offset_of(plain) != ~0ull);
	errors();
	counting();
	instructions();
	samples();
	others();
	unmount_tracefs();
	return 0;
}
