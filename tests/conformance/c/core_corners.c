/* Covers: core files: a thread that a tracer holds at its end, secret memory, sparse mappings, programs that end before they begin; who
 * may name another program in PR_SET_MM_MAP. */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include "core_case.h"

static unsigned char *core;
static size_t core_size;

/* Where the notes and headers of a core file are in memory; 0 if there is none. */
static int look_at_core(void)
{
	int fd = open("core", O_RDONLY);
	struct stat s;
	if (fd < 0) {
		printf("no core: %s\n", error_name(errno));
		return 0;
	}
	MUST(fstat(fd, &s));
	core_size = s.st_size;
	core = (unsigned char *)MUST(mmap(NULL, core_size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd, 0));
	close(fd);
	return 1;
}

static Elf64_Phdr *entry(int i) { return (Elf64_Phdr *)(core + ((Elf64_Ehdr *)core)->e_phoff) + i; }

static unsigned char *note(unsigned kind, int n, size_t *size)
{
	unsigned char *at = core + entry(0)->p_offset, *end = at + entry(0)->p_filesz;
	while (at + 12 <= end) {
		Elf64_Nhdr *h = (Elf64_Nhdr *)at;
		unsigned char *data = at + 12 + ((h->n_namesz + 3) & ~3u);
		if (h->n_type == kind && n-- == 0) {
			*size = h->n_descsz;
			return data;
		}
		at = data + ((h->n_descsz + 3) & ~3u);
	}
	return NULL;
}

static void show_segment(const char *what, const void *address)
{
	for (int i = 1; i < ((Elf64_Ehdr *)core)->e_phnum; i++) {
		Elf64_Phdr *s = entry(i);
		if (s->p_vaddr <= (uintptr_t)address && (uintptr_t)address < s->p_vaddr + s->p_memsz) {
			printf("%s: %s\n", what, s->p_filesz == 0 ? "nothing of it" : s->p_filesz < s->p_memsz ? "some of it" : "all of it");
			if (s->p_filesz != 0)
				printf("\"%.10s\"\n", (char *)core + s->p_offset + ((uintptr_t)address - s->p_vaddr));
			return;
		}
	}
	printf("%s: no segment\n", what);
}

static void forget_core(void)
{
	munmap(core, core_size);
	unlink("core");
}

/* --- Threads --- */

static volatile struct { pid_t tid; int may_end, may_crash; } *common;

static void *ends(void *argument)
{
	common->tid = (pid_t)syscall(SYS_gettid);
	while (!common->may_end)
		sleep_ms(1);
	syscall(SYS_exit, 5);
	return argument;
}

static void *crashes(void *argument)
{
	while (!common->may_crash)
		sleep_ms(1);
	*(volatile int *)8 = 1;
	return argument;
}

static void with_a_thread_that_ends(void)
{
	pthread_t thread;
	set_limit(RLIM_INFINITY);
	pthread_create(&thread, NULL, ends, NULL);
	pthread_create(&thread, NULL, crashes, NULL);
	for (;;)
		pause();
}

static char state_of(pid_t pid, pid_t tid)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return '-';
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return '-';
	text[n] = 0;
	return strrchr(text, ')')[2];
}

static void held_at_the_end(int is_killed)
{
	int status;
	size_t size;
	printf("--- a thread that is held at its end%s\n", is_killed ? ", and SIGKILL" : "");
	common->tid = 0;
	common->may_end = common->may_crash = 0;
	fflush(stdout);
	pid_t pid = (pid_t)MUST(fork());
	if (pid == 0)
		with_a_thread_that_ends();
	while (common->tid == 0)
		sleep_ms(1);
	pid_t tid = common->tid;
	MUST(ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACEEXIT));
	common->may_end = 1;
	MUST(waitpid(tid, &status, __WALL));
	printf("stopped by %d, event %d\n", WSTOPSIG(status), status >> 16);
	common->may_crash = 1;
	int rounds = 0;
	while (state_of(pid, pid) != 'Z' && rounds < 15000) {
		sleep_ms(2);
		rounds++;
	}
	printf("the first thread: %c, the held one: %c\n", state_of(pid, pid), state_of(pid, tid));
	SHOW(waitpid(tid, &status, __WALL | WNOHANG));
	SHOW(waitpid(pid, &status, WNOHANG));
	if (is_killed) {
		SHOW(kill(pid, SIGKILL));
		settle_for(50);
		printf("the held one: %c\n", state_of(pid, tid));
	}
	SHOW(ptrace(PTRACE_CONT, tid, 0, 0));
	MUST(waitpid(tid, &status, __WALL));
	show_status(status);
	show_core_end(pid);
	if (look_at_core()) {
		int threads = 0, held = 0;
		struct elf_prstatus *about;
		while ((about = (void *)note(NT_PRSTATUS, threads, &size))) {
			threads++;
			held += about->pr_pid == tid;
		}
		printf("%d threads, the held one among them: %d\n", threads, held);
		forget_core();
	}
}

/* --- Memory --- */

static char *map(size_t size, int flags, int fd)
{
	return (char *)MUST(mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0));
}

static void memory(void)
{
	puts("--- secret memory");
	int fd = (int)MUST(syscall(447, 0));
	MUST(ftruncate(fd, 2 * PAGE));
	char *secret = map(2 * PAGE, MAP_SHARED, fd);
	strcpy(secret, "secret");
	int filter = (int)MUST(open("/proc/self/coredump_filter", O_WRONLY));
	for (int i = 0; i < 3; i++) {
		DUMPING(abort());
		if (look_at_core()) {
			show_segment("secret", secret);
			forget_core();
		}
		if (i == 0)
			TRY(madvise(secret, 2 * PAGE, MADV_DODUMP));
		else
			TRY(write(filter, i == 1 ? "0x3b" : "0x33", 4));
	}
	close(filter);
	munmap(secret, 2 * PAGE);
	close(fd);
	puts("--- a sparse mapping");
	const size_t large = 2UL << 30;
	fd = (int)MUST(open("/dev/zero", O_RDWR));
	char *sparse = map(large, MAP_PRIVATE | MAP_NORESERVE, fd);
	strcpy(sparse + large / 2, "in the middle");
	DUMPING(abort());
	if (look_at_core()) {
		struct stat s;
		MUST(stat("core", &s));
		printf("large %d, small on the disk %d\n", core_size > large, s.st_blocks < 8192);
		show_segment("sparse", sparse + large / 2);
		forget_core();
	}
	munmap(sparse, large);
	puts("--- where vectors lie");
	DUMPING(abort());
	if (look_at_core()) {
		size_t size = 0;
		unsigned *words = (void *)note(0x205, 0, &size);
		for (unsigned i = 0; words && i < size / 16; i++)
			if (words[4 * i] == 2 || words[4 * i] == 9)
				printf("component %u of %u bytes, flags %u\n", words[4 * i], words[4 * i + 1], words[4 * i + 3]);
		forget_core();
	}
	close(fd);
}

/* --- Ends --- */

/* A program whose only segment lies where no program can be. */
static void write_impossible(void)
{
	struct { Elf64_Ehdr header; Elf64_Phdr segment; } image = {
		{ .e_ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1, .e_entry = 0x400000,
		  .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 },
		{ PT_LOAD, PF_R | PF_X, 0, 0x7ffffffff000, 0x7ffffffff000, 0x1000, 0x1000, 0x1000 },
	};
	int fd = (int)MUST(open("impossible", O_WRONLY | O_CREAT | O_TRUNC, 0755));
	MUST(write(fd, &image, sizeof image));
	close(fd);
}

static void ignore(int signo) { (void)signo; }

static volatile char byte = 2;

static void ends_without_a_handler(void)
{
	puts("--- a byte of user dispatch that is none");
	DUMPING(signal(SIGSEGV, ignore); prctl(59, 1, 0, 0, 0x7fffffffe000); getpid());
	TRY(unlink("core"));
	DUMPING(signal(SIGSYS, ignore); prctl(59, 1, 0, 0, &byte); getpid());
	TRY(unlink("core"));
	puts("--- a program that cannot be");
	write_impossible();
	DUMPING(signal(SIGSEGV, SIG_IGN); execl("./impossible", "impossible", NULL); puts(error_name(errno)));
	TRY(unlink("core"));
}

static void name_a_program(void)
{
	uint64_t at = (uint64_t)(uintptr_t)core;
	struct prctl_mm_map places = { at, at + 1, at, at, at, at, at, at, at, at, at, NULL, 0, 0 };
	int fd = (int)MUST(open("/bin/sh", O_RDONLY));
	places.exe_fd = (uint32_t)fd;
	SHOW(prctl(PR_SET_MM, PR_SET_MM_MAP, &places, sizeof places, 0));
	close(fd);
}

int main(void)
{
	common = (void *)MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(mkdir("/tmp/corners", 0777));
	MUST(chdir("/tmp/corners"));
	held_at_the_end(0);
	held_at_the_end(1);
	memory();
	ends_without_a_handler();
	puts("--- another program");
	core = (unsigned char *)common;
	IN_CHILD(name_a_program());
	IN_CHILD(MUST(setresuid(1000, 1000, 1000)); name_a_program());
	IN_CHILD(MUST(setresuid(1000, 1000, 1000)); MUST(unshare(CLONE_NEWUSER)); name_a_program());
	return 0;
}
