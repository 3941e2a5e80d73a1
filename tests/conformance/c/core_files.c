/* Covers: core files: which signals leave one, headers and notes, which memory is in it, coredump_filter, MADV_DONTDUMP, threads. */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/ucontext.h>
#include <sys/user.h>
#include "core_case.h"

static unsigned char *core;
static size_t core_size;

static int load(const char *name)
{
	struct stat s;
	free(core);
	core = NULL;
	core_size = 0;
	int fd = open(name, O_RDONLY);
	if (fd < 0) {
		printf("no core: %s\n", error_name(errno));
		return 0;
	}
	MUST(fstat(fd, &s));
	core_size = s.st_size;
	core = malloc(core_size + 1);
	for (size_t done = 0; done < core_size;) {
		ssize_t n = read(fd, core + done, core_size - done);
		if (n <= 0)
			break;
		done += n;
	}
	close(fd);
	return 1;
}

static Elf64_Ehdr *header(void) { return (Elf64_Ehdr *)core; }
static Elf64_Phdr *entry(int i) { return (Elf64_Phdr *)(core + header()->e_phoff) + i; }

/* The n-th note of a kind; its data and size. */
static unsigned char *note(unsigned kind, int n, size_t *size)
{
	unsigned char *at = core + entry(0)->p_offset, *end = at + entry(0)->p_filesz;
	while (at + 12 <= end) {
		Elf64_Nhdr *h = (Elf64_Nhdr *)at;
		unsigned char *data = at + 12 + ((h->n_namesz + 3) & ~3u);
		if (h->n_type == kind && n-- == 0) {
			if (size)
				*size = h->n_descsz;
			return data;
		}
		at = data + ((h->n_descsz + 3) & ~3u);
	}
	return NULL;
}

static void show_notes(void)
{
	unsigned char *at = core + entry(0)->p_offset, *end = at + entry(0)->p_filesz;
	while (at + 12 <= end) {
		Elf64_Nhdr *h = (Elf64_Nhdr *)at;
		unsigned fixed = h->n_type == NT_PRSTATUS || h->n_type == NT_PRPSINFO || h->n_type == NT_SIGINFO || h->n_type == NT_FPREGSET;
		if (h->n_type != NT_X86_XSTATE && h->n_type != 0x205)
			printf("note %s %#x, %u bytes of name, %u of data\n", at + 12, h->n_type, h->n_namesz, fixed ? h->n_descsz : 0);
		at += 12 + ((h->n_namesz + 3) & ~3u) + ((h->n_descsz + 3) & ~3u);
	}
	CHECK(at == end);
}

/* The segment that holds an address. */
static Elf64_Phdr *segment(const void *address)
{
	for (int i = 1; i < header()->e_phnum; i++)
		if (entry(i)->p_vaddr <= (uintptr_t)address && (uintptr_t)address < entry(i)->p_vaddr + entry(i)->p_memsz)
			return entry(i);
	return NULL;
}

static void show_segment(const char *what, const void *address)
{
	Elf64_Phdr *s = segment(address);
	if (!s) {
		printf("%s: no segment\n", what);
		return;
	}
	unsigned long offset = (uintptr_t)address - s->p_vaddr;
	printf("%s: flags %u, align %lu, ", what, s->p_flags, (unsigned long)s->p_align);
	if (s->p_filesz == 0)
		printf("nothing of it\n");
	else if (s->p_filesz < s->p_memsz)
		printf("the first %lu bytes\n", (unsigned long)s->p_filesz);
	else
		printf("all of it, \"%.12s\"\n", (char *)core + s->p_offset + offset);
}

static char initialised[PAGE * 3] __attribute__((aligned(PAGE))) = "in data";
static char *forbidden, *hidden, *untouched, *shared, *file_private, *file_written, *file_shared, *gone, *shown_again, *deleted;

static char *map(size_t pages, int flags, int fd)
{
	char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (at == MAP_FAILED)
		exit(98);
	return at;
}

static void make_memory(void)
{
	int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
	forbidden = map(2, anonymous, -1);
	strcpy(forbidden, "forbidden");
	MUST(mprotect(forbidden, 2 * PAGE, PROT_NONE));
	hidden = map(2, anonymous, -1);
	strcpy(hidden, "hidden");
	TRY(madvise(hidden, 2 * PAGE, MADV_DONTDUMP));
	/* An area for itself on both kernels. */
	char *three = map(5, anonymous, -1);
	munmap(three, PAGE);
	munmap(three + 2 * PAGE, PAGE);
	munmap(three + 4 * PAGE, PAGE);
	untouched = three + PAGE;
	MUST(mprotect(untouched, PAGE, PROT_READ));
	gone = three + 3 * PAGE;
	strcpy(gone, "gone");
	MUST(madvise(gone, PAGE, MADV_DONTNEED));
	shown_again = map(3, anonymous, -1) ;
	strcpy(shown_again, "shown again");
	TRY(madvise(shown_again, 3 * PAGE, MADV_DONTDUMP));
	TRY(madvise(shown_again, 3 * PAGE, MADV_DODUMP));
	shared = map(2, MAP_SHARED | MAP_ANONYMOUS, -1);
	strcpy(shared, "shared");
	int fd = (int)MUST(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
	MUST(ftruncate(fd, 4 * PAGE));
	MUST(pwrite(fd, "of a file", 9, 0));
	file_private = map(2, MAP_PRIVATE, fd);
	file_written = map(2, MAP_PRIVATE, fd);
	strcpy(file_written, "changed");
	file_shared = map(2, MAP_SHARED, fd);
	if (file_private[0] != 'o' || file_shared[0] != 'o')
		exit(97);
	close(fd);
	fd = (int)MUST(open("deleted", O_RDWR | O_CREAT | O_TRUNC, 0644));
	MUST(ftruncate(fd, 4 * PAGE));
	deleted = map(2, MAP_SHARED, fd);
	strcpy(deleted, "deleted");
	close(fd);
	unlink("deleted");
}

static void show_memory(void)
{
	show_segment("initialised", initialised);
	show_segment("forbidden", forbidden);
	show_segment("hidden", hidden);
	show_segment("untouched", untouched);
	show_segment("gone", gone);
	show_segment("shown again", shown_again);
	show_segment("shared", shared);
	show_segment("file, private", file_private);
	show_segment("file, changed", file_written);
	show_segment("file, shared", file_shared);
	show_segment("deleted file", deleted);
	printf("code: %s\n", segment((void *)show_memory)->p_filesz == segment((void *)show_memory)->p_memsz ? "all" : "not all");
}

extern char fault_here[];

__attribute__((noinline)) static void trap(void)
{
	__asm__ volatile("movabs $0x1122334455667788, %%r15\n"
			 "	movq $77, %%r12\n"
			 "	movq %%r15, %%xmm7\n"
			 "	.globl fault_here\n"
			 "fault_here:\n"
			 "	ud2\n" : : : "r15", "r12", "xmm7");
}

static void show_contents(pid_t child)
{
	size_t size;
	printf("type %d, machine %d, version %d, header %d, entries of %d, ident %x %x %x\n", header()->e_type, header()->e_machine,
	       header()->e_version, header()->e_ehsize, header()->e_phentsize, core[4], core[5], core[6]);
	printf("notes: type %u, flags %u, memory %lu, align %lu\n", entry(0)->p_type, entry(0)->p_flags, (unsigned long)entry(0)->p_memsz,
	       (unsigned long)entry(0)->p_align);
	show_notes();
	struct elf_prstatus *status = (void *)note(NT_PRSTATUS, 0, NULL);
	struct user_regs_struct *registers = (void *)&status->pr_reg;
	printf("signal %d, %d, code %d\n", status->pr_info.si_signo, status->pr_cursig, status->pr_info.si_code);
	CHECK(status->pr_pid == child);
	CHECK(status->pr_ppid == getpid());
	CHECK(status->pr_pgrp == getpgrp());
	CHECK(status->pr_sid == getsid(0));
	printf("blocked %lx, fp %d\n", status->pr_sighold, status->pr_fpvalid);
	CHECK(registers->rip == (uintptr_t)fault_here);
	printf("r15 %llx, r12 %llu, orig_rax %lld, cs %llx, ss %llx\n", registers->r15, registers->r12, (long long)registers->orig_rax,
	       registers->cs, registers->ss);
	struct elf_prpsinfo *about = (void *)note(NT_PRPSINFO, 0, NULL);
	printf("state %d %c, zombie %d, nice %d, name %s, arguments \"%s\"\n", about->pr_state, about->pr_sname, about->pr_zomb, about->pr_nice,
	       about->pr_fname, about->pr_psargs);
	CHECK(about->pr_pid == child);
	siginfo_t *info = (void *)note(NT_SIGINFO, 0, NULL);
	printf("siginfo: %d %d %d\n", info->si_signo, info->si_errno, info->si_code);
	CHECK(info->si_addr == fault_here);
	struct user_fpregs_struct *floating = (void *)note(NT_FPREGSET, 0, NULL);
	CHECK(*(unsigned long *)&floating->xmm_space[7 * 4] == 0x1122334455667788);
	Elf64_auxv_t *vector = (void *)note(NT_AUXV, 0, &size);
	int last = size / sizeof *vector - 1;
	printf("the vector ends with %lu\n", (unsigned long)vector[last].a_type);
	for (; vector->a_type != AT_NULL; vector++)
		if (vector->a_type == AT_ENTRY || vector->a_type == AT_PAGESZ)
			printf("%lu: %s\n", (unsigned long)vector->a_type, segment((void *)vector->a_un.a_val) || vector->a_un.a_val == PAGE ? "fits" : "no");
	unsigned long *files = (void *)note(NT_FILE, 0, &size);
	char *name = (char *)(files + 2 + 3 * files[0]);
	printf("page size %lu\n", files[1]);
	for (unsigned long i = 0; i < files[0]; i++) {
		if (strstr(name, "file") && !strstr(name, "core_files"))
			printf("%s at page %lu, %lu pages\n", name, files[4 + 3 * i], (files[3 + 3 * i] - files[2 + 3 * i]) / PAGE);
		if (strstr(name, "deleted") || strstr(name, "zero"))
			printf("%s\n", name);
		name += strlen(name) + 1;
	}
	CHECK(name == (char *)files + size);
	CHECK(entry(1)->p_offset % PAGE == 0);
	Elf64_Phdr *last_entry = entry(header()->e_phnum - 1);
	CHECK(core_size == last_entry->p_offset + last_entry->p_filesz || core_size + PAGE == last_entry->p_offset + last_entry->p_filesz);
}

static void set_filter(const char *text)
{
	int fd = (int)MUST(open("/proc/self/coredump_filter", O_RDWR));
	errno = 0;
	ssize_t n = write(fd, text, strlen(text));
	printf("filter \"%s\": %s\n", text, n < 0 ? error_name(errno) : "ok");
	close(fd);
}

static void show_filter(void) { show_file("/proc/self/coredump_filter"); }

static pthread_barrier_t barrier;
static volatile pid_t pausing;
static volatile int spins_on;

static void *sleeper(void *argument)
{
	pthread_barrier_wait(&barrier);
	pausing = (pid_t)syscall(SYS_gettid);
	pause();
	return argument;
}

static void *spinner(void *argument)
{
	pthread_barrier_wait(&barrier);
	for (;;)
		__asm__ volatile("movq $4711, %%r13; movl $1, %0" : "=m"(spins_on) : : "r13");
	return argument;
}

static void *crasher(void *argument)
{
	pthread_barrier_wait(&barrier);
	while (pausing == 0 || !spins_on)
		sleep_ms(1);
	until_thread_asleep(pausing);
	until_thread_asleep(getpid());
	abort();
	return argument;
}

static void with_threads(void)
{
	pthread_t thread;
	pthread_barrier_init(&barrier, NULL, 4);
	pthread_create(&thread, NULL, sleeper, NULL);
	pthread_create(&thread, NULL, spinner, NULL);
	pthread_create(&thread, NULL, crasher, NULL);
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
}

static void show_threads(pid_t child)
{
	struct elf_prstatus *status;
	int count = 0, pauses = 0, spins = 0, leaders = 0;
	for (; (status = (void *)note(NT_PRSTATUS, count, NULL)); count++) {
		struct user_regs_struct *registers = (void *)&status->pr_reg;
		leaders += status->pr_pid == child;
		if (count == 0)
			printf("first: leader %d, signal %d\n", status->pr_pid == child, status->pr_cursig);
		if ((long)registers->orig_rax == SYS_pause) {
			pauses++;
			printf("pauses, result %lld, signal %d\n", (long long)registers->rax, status->pr_cursig);
		}
		spins += registers->r13 == 4711;
	}
	struct elf_prpsinfo *about = (void *)note(NT_PRPSINFO, 0, NULL);
	printf("%d threads: %d leader, %d pause, %d spin; %d FP, %d AUXV, leader's state %c\n", count, leaders, pauses, spins,
	       !!note(NT_FPREGSET, count - 1, NULL) + !note(NT_FPREGSET, count, NULL), !!note(NT_AUXV, 0, NULL) + !!note(NT_AUXV, 1, NULL), about->pr_sname);
}

int main(int count, char **arguments)
{
	if (count > 1) {
		if (strcmp(arguments[1], "filter") == 0)
			show_filter();
		return 0;
	}
	(void)arguments;
	MUST(mkdir("/tmp/cores", 0777));
	MUST(chdir("/tmp/cores"));
	puts("--- which signals");
	static const int signals[] = { SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS, SIGTERM, SIGHUP, SIGKILL,
				       SIGUSR1, SIGALRM, SIGIO, SIGSTKFLT, 64 };
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
		DUMPING(kill(getpid(), signals[i]));
		struct stat s;
		if (stat("core", &s) == 0)
			printf("mode %o, owner %d, links %d\n", s.st_mode, s.st_uid, (int)s.st_nlink);
		unlink("core");
	}
	puts("--- what is in it");
	make_memory();
	pid_t child = DUMPING(trap());
	if (load("core")) {
		show_contents(child);
		show_memory();
	}
	puts("--- what is filtered");
	show_filter();
	static const char *filters[] = { "0", "0x7", "010\n", "0x10", "511", "4294967295", "4294967296", "-1", "", "x", "0x", "8 ", "+2", "0x3F" };
	for (unsigned i = 0; i < sizeof filters / sizeof *filters; i++) {
		set_filter(filters[i]);
		show_filter();
	}
	IN_CHILD(show_filter(); execl("/proc/self/exe", "core_files", "filter", NULL));
	for (int bit = 0; bit < 5; bit++) {
		char text[8];
		sprintf(text, "%d", 1 << bit);
		set_filter(text);
		DUMPING(trap());
		if (load("core"))
			show_memory();
	}
	set_filter("0");
	DUMPING(trap());
	if (load("core"))
		show_memory();
	set_filter("0x33");
	puts("--- threads");
	child = DUMPING(with_threads());
	if (load("core"))
		show_threads(child);
	puts("--- limits");
	static const rlim_t limits[] = { 0, 1, 4095, 4096, 8191, 65536 };
	for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct stat s;
		unlink("core");
		DUMPING(set_limit(limits[i]); abort());
		printf("limit of %lu: %s\n", (unsigned long)limits[i], stat("core", &s) ? "none" : s.st_size > 0 ? "some" : "nothing of it");
	}
	unlink("core");
	puts("--- a process that is not dumpable");
	DUMPING(prctl(PR_SET_DUMPABLE, 0); abort());
	TRY(access("core", F_OK));
	DUMPING(prctl(PR_SET_DUMPABLE, 0); prctl(PR_SET_DUMPABLE, 1); abort());
	TRY(access("core", F_OK));
	unlink("core");
	DUMPING(MUST(setresuid(1000, 1000, 1000)); SHOW(prctl(PR_GET_DUMPABLE)); abort());
	TRY(access("core", F_OK));
	DUMPING(MUST(setresuid(1000, 1000, 1000)); prctl(PR_SET_DUMPABLE, 1); abort());
	TRY(access("core", F_OK));
	puts("--- where it cannot be");
	MUST(mkdir("core", 0777));
	DUMPING(abort());
	rmdir("core");
	DUMPING(umask(0777); abort());
	unlink("core");
	DUMPING(umask(077); abort());
	unlink("core");
	MUST(mkdir("left", 0777));
	DUMPING(MUST(chdir("left")); MUST(rmdir("../left")); abort());
	puts("--- what was there before");
	put_file("core", "old", 0644);
	MUST(link("core", "other"));
	DUMPING(abort());
	show_file("other");
	struct stat s;
	MUST(lstat("core", &s));
	printf("links %d, larger: %d\n", (int)s.st_nlink, s.st_size > PAGE);
	unlink("core");
	MUST(symlink("other", "core"));
	DUMPING(abort());
	show_file("other");
	MUST(lstat("core", &s));
	printf("regular: %d\n", S_ISREG(s.st_mode));
	unlink("core");
	return 0;
}
