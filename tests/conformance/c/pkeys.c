/*
 * Covers: pkey_alloc, pkey_free, pkey_mprotect, mprotect with PROT_EXEC alone, where the processor has protection keys: errors and
 * their order, what each right forbids to the program and to the kernel on its behalf, what signals, threads, fork and exec do with
 * the rights, smaps, /proc/cpuinfo.
 */
#include "case.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/uio.h>
#include <ucontext.h>

#define PKEY_DISABLE_ACCESS 1
#define PKEY_DISABLE_WRITE 2

static long take(unsigned long flags, unsigned long rights) { return syscall(SYS_pkey_alloc, flags, rights); }
static long give(int key) { return syscall(SYS_pkey_free, key); }
static long protect(void *at, size_t length, unsigned long prot, int key) { return syscall(SYS_pkey_mprotect, at, length, prot, key); }

static int has_keys;

static unsigned rights(void)
{
	unsigned low, high;
	if (!has_keys)
		return 0;
	__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

static void set_rights(unsigned value)
{
	if (has_keys)
		__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static void forbid(int key, unsigned bits) { set_rights((rights() & ~(3u << 2 * key)) | bits << 2 * key); }

static sigjmp_buf back;
static volatile int code, key_of_fault;
static volatile unsigned in_handler;
static void *volatile where;

static void on_fault(int number, siginfo_t *info, void *context)
{
	in_handler = rights();
	code = info->si_code;
	where = info->si_addr;
	key_of_fault = code == 4 ? *(int *)((char *)info + 32) : -1;
	siglongjmp(back, number);
}

static const char *how(int number)
{
	static char text[80];
	if (!number)
		return "ok";
	snprintf(text, sizeof text, "signal %d code %d key %d", number, code, key_of_fault);
	return text;
}

static void touch(const char *what, volatile char *at)
{
	unsigned before = rights();
	int number = sigsetjmp(back, 1);
	if (!number)
		(void)*at;
	set_rights(before);
	printf("%s: read %s%s", what, how(number), number && where != at ? ", elsewhere" : "");
	number = sigsetjmp(back, 1);
	if (!number)
		*at = 1;
	set_rights(before);
	printf(", write %s%s\n", how(number), number && where != at ? ", elsewhere" : "");
}

static void smaps_line(void *at, const char *name)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[300];
	int inside = 0;
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (unsigned long)at && (unsigned long)at < end;
		else if (inside && !strncmp(line, name, strlen(name)))
			printf("%s", line);
	}
	fclose(maps);
}

static void calls(void)
{
	char *page = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(take(1, 0));
	SHOW(take(-1ul, 0));
	SHOW(take(0, 4));
	SHOW(take(0, -1ul));
	SHOW(take(0, 1ul << 32));
	SHOW(take(1, 4));
	for (int i = 0; i < 17; i++) {
		SHOW(take(0, i & 3));
		printf("rights %#x\n", rights());
	}
	SHOW(give(16));
	SHOW(give(-1));
	SHOW(give(0x7fffffff));
	SHOW(give((int)0x80000000));
	SHOW(give(5));
	SHOW(give(5));
	SHOW(protect(page, PAGE, PROT_READ, 5));
	SHOW(take(0, 0));
	SHOW(protect(page, PAGE, PROT_READ, 5));
	SHOW(give(5));
	smaps_line(page, "ProtectionKey");
	SHOW(give(0));
	SHOW(protect(page, PAGE, PROT_READ, 0));
	SHOW(mprotect(page, PAGE, PROT_READ));
	SHOW(take(0, 0));
	for (int i = 1; i < 16; i++)
		give(i);
	printf("rights %#x\n", rights());
}

static void order(void)
{
	char *page = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int key = (int)take(0, 0);
	MUST(munmap(page + 3 * PAGE, PAGE));
	SHOW(protect(page + 1, 0, PROT_READ, 99));
	SHOW(protect(page, 0, PROT_READ, 99));
	SHOW(protect(page, 0, 0xff0, 99));
	SHOW(protect(page, 0, PROT_GROWSUP | PROT_GROWSDOWN, key));
	SHOW(protect(page, -1ul, 0xff0, 99));
	SHOW(protect(page, -4096ul, 0xff0, 99));
	SHOW(protect(page, 1ul << 62, 0xff0, 99));
	SHOW(protect(page, 1ul << 62, PROT_READ, 99));
	SHOW(protect(page, 1ul << 62, PROT_READ, key));
	SHOW(protect((void *)(1l << 62), PAGE, PROT_READ, 99));
	SHOW(protect((void *)(1l << 62), PAGE, PROT_READ, key));
	SHOW(protect((void *)-4096l, PAGE, PROT_READ, key));
	SHOW(protect((void *)-8192l, PAGE, PROT_READ, key));
	SHOW(protect(page, PAGE, 0xff0, 99));
	SHOW(protect(page, PAGE, PROT_READ | PROT_GROWSDOWN, 99));
	SHOW(protect(page, PAGE, PROT_READ | PROT_GROWSDOWN, key));
	SHOW(protect(page + 2 * PAGE, 2 * PAGE, PROT_READ, 99));
	SHOW(protect(page + 2 * PAGE, 2 * PAGE, PROT_READ, key));
	smaps_line(page + 2 * PAGE, "ProtectionKey");
	SHOW(protect(page, PAGE, PROT_READ, -2));
	SHOW(protect(page, PAGE, PROT_READ, -1));
	SHOW(protect(page, PAGE, PROT_READ | 8, key));
	SHOW(mprotect(page, 0, 0xff0));
	SHOW(mprotect(page, -1ul, 0xff0));
	SHOW(mprotect(page, -1ul, PROT_READ));
	SHOW(mprotect(page, -4096ul, PROT_READ));
	SHOW(mprotect((void *)-8192l, 4096, PROT_READ));
	give(key);
}

static void effects(void)
{
	char *page = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int key = (int)take(0, 0), other = (int)take(0, PKEY_DISABLE_ACCESS), ends[2];
	char text[16] = "some text";
	struct iovec here = { text, 4 }, there = { page, 4 };
	MUST(pipe(ends));
	page[0] = 1;
	SHOW(protect(page, 2 * PAGE, PROT_READ | PROT_WRITE, key));
	smaps_line(page, "ProtectionKey");
	smaps_line(page, "VmFlags");
	smaps_line(page + 2 * PAGE, "ProtectionKey");
	for (unsigned bits = 0; bits < 4; bits++) {
		forbid(key, bits);
		printf("forbidden %u\n", bits);
		touch("there", page);
		touch("not yet there", page + PAGE);
		touch("key 0", page + 2 * PAGE);
		SHOW(write(ends[1], page, 4));
		SHOW(write(ends[1], text, 4));
		SHOW(read(ends[0], page, 4));
		SHOW(read(ends[0], text, 4));
		SHOW(getcwd(page, PAGE) == page);
		SHOW(open(page, O_RDONLY) >= 0);
		SHOW(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
		SHOW(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
		int mem = open("/proc/self/mem", O_RDWR);
		SHOW(pread(mem, text, 4, (off_t)page));
		SHOW(pwrite(mem, text, 4, (off_t)page));
		close(mem);
		IN_CHILD(touch("in a child", page); printf("rights %#x\n", rights()));
	}
	forbid(key, PKEY_DISABLE_WRITE);
	/* What the area forbids is no matter of its key, and the other way round. */
	SHOW(protect(page, PAGE, PROT_READ, key));
	touch("read only", page);
	forbid(key, 0);
	touch("read only", page);
	SHOW(protect(page, PAGE, PROT_NONE, key));
	touch("nothing", page);
	forbid(key, PKEY_DISABLE_ACCESS);
	touch("nothing", page);
	SHOW(mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE));
	touch("the key stays", page);
	smaps_line(page, "ProtectionKey");
	SHOW(protect(page, PAGE, PROT_READ | PROT_WRITE, other));
	touch("another", page);
	SHOW(protect(page, PAGE, PROT_READ | PROT_WRITE, 0));
	touch("the first", page);
	/* Keys go with the memory. */
	forbid(key, 0);
	SHOW(protect(page, 4 * PAGE, PROT_READ | PROT_WRITE, key));
	char *moved = mremap(page, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	smaps_line(moved, "ProtectionKey");
	smaps_line(moved, "Size");
	forbid(key, PKEY_DISABLE_ACCESS);
	touch("moved", moved);
	touch("moved, grown", moved + 3 * PAGE);
	SHOW(munmap(moved, PAGE));
	SHOW((char *)mmap(moved, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == moved);
	touch("mapped anew", moved);
	/* A key that was given back stays with its pages. */
	SHOW(give(key));
	touch("given back", moved + PAGE);
	SHOW(mprotect(moved + PAGE, PAGE, PROT_READ | PROT_WRITE));
	touch("given back", moved + PAGE);
	give(other);
	close(ends[0]);
	close(ends[1]);
}

static void of_all_keys(void)
{
	/* Even of key 0: nothing can be touched any more, and the signal's frame is written all the same. */
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		int number = sigsetjmp(back, 1);
		if (!number) {
			set_rights(0xffffffff);
			__asm__ volatile("movl $1, (%%rsp)" ::: "memory");
		}
		printf("all forbidden: %s, rights %#x\n", how(number), in_handler);
		number = sigsetjmp(back, 1);
		if (!number) {
			set_rights(0xaaaaaaaa);
			__asm__ volatile("movl $1, -64(%%rsp)" ::: "memory");
		}
		printf("writing forbidden: %s, rights %#x\n", how(number), in_handler);
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
}

static volatile unsigned seen, of_frame, features;
static volatile int raised;

static void look(int number, siginfo_t *info, void *context)
{
	ucontext_t *all = context;
	char *fpu = (char *)all->uc_mcontext.fpregs;
	seen = rights();
	unsigned size = *(unsigned *)(fpu + 464 + 16);
	features = *(unsigned *)(fpu + 464 + 8) & 0x207;
	of_frame = *(unsigned *)(fpu + 512) & 0x200 ? *(unsigned *)(fpu + 2688) : 0xdead;
	if (!raised)
		printf("magic %x, size %u, end %x\n", *(unsigned *)(fpu + 464), size, *(unsigned *)(fpu + size));
	raised++;
	if (number == SIGUSR2)
		*(unsigned *)(fpu + 2688) = 0x55555550;
	if (number == SIGALRM)
		*(unsigned *)(fpu + 512) &= ~0x200u;
	set_rights(0x55555500);
}

static void *in_thread(void *unused)
{
	printf("a thread's rights %#x\n", rights());
	set_rights(0x55555000);
	return NULL;
}

static void signals(char *self)
{
	struct sigaction action = { .sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	printf("rights at first %#x\n", rights());
	set_rights(0x55555558);
	raise(SIGUSR1);
	printf("in the handler %#x, in its frame %#x, features %#x, afterwards %#x\n", seen, of_frame, features, rights());
	raise(SIGUSR2);
	printf("in the handler %#x, in its frame %#x, features %#x, afterwards %#x\n", seen, of_frame, features, rights());
	raise(SIGALRM);
	printf("in the handler %#x, in its frame %#x, features %#x, afterwards %#x\n", seen, of_frame, features, rights());
	set_rights(0x55555554);
	volatile double sum = 1;
	for (int i = 0; i < 10; i++)
		sum *= 1.5;
	set_rights(0x5555555c);
	raise(SIGUSR1);
	printf("with numbers: in the handler %#x, in its frame %#x, afterwards %#x\n", seen, of_frame, rights());
	/* An alternate stack with a key that the program may not use. */
	int key = (int)take(0, 0);
	char *stack = (char *)MUST(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	stack_t alternate = { .ss_sp = stack, .ss_size = 16 * PAGE };
	MUST(sigaltstack(&alternate, NULL));
	MUST(protect(stack, 16 * PAGE, PROT_READ | PROT_WRITE, key));
	forbid(key, 0);
	IN_CHILD(raise(SIGUSR1); printf("back\n"));
	give(key);
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
	set_rights(0x55555510);
	pthread_t thread;
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	printf("still %#x\n", rights());
	IN_CHILD(printf("a child's rights %#x\n", rights()));
	/* Other threads run meanwhile, and change theirs. */
	int ends[2];
	pipe(ends);
	pid_t child = fork();
	if (child == 0) {
		set_rights(0x54);
		for (int i = 0; i < 100; i++)
			write(ends[1], "x", 1);
		_exit(rights() == 0x54 ? 0 : 1);
	}
	char byte;
	int wrong = 0;
	for (int i = 0; i < 100; i++) {
		read(ends[0], &byte, 1);
		wrong += rights() != 0x55555510;
	}
	printf("%d times wrong\n", wrong);
	show_end(child);
	IN_CHILD(execl(self, self, "exec", NULL));
	set_rights(0x55555554);
}

static void executable_alone(void)
{
	char *page = (char *)MUST(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	page[0] = page[PAGE] = (char)0xc3;
	printf("rights %#x\n", rights());
	SHOW(mprotect(page, PAGE, PROT_EXEC));
	printf("rights %#x\n", rights());
	((void (*)(void))page)();
	touch("executable", page);
	smaps_line(page, "ProtectionKey");
	SHOW(protect(page, PAGE, PROT_EXEC, 1));
	SHOW(give(1));
	SHOW(take(0, 0));
	char *mapped = (char *)MUST(mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	smaps_line(mapped, "ProtectionKey");
	touch("mapped so", mapped);
	set_rights(0);
	touch("allowed after all", page);
	SHOW(mprotect(page + PAGE, PAGE, PROT_EXEC));
	printf("rights %#x\n", rights());
	SHOW(mprotect(page, PAGE, PROT_READ | PROT_EXEC));
	smaps_line(page, "ProtectionKey");
	touch("executable and readable", page);
	SHOW(protect(page + PAGE, PAGE, PROT_EXEC, 2));
	smaps_line(page + PAGE, "ProtectionKey");
	SHOW(mprotect(page + PAGE, PAGE, PROT_READ));
	smaps_line(page + PAGE, "ProtectionKey");
	IN_CHILD(SHOW(mprotect(page + PAGE, PAGE, PROT_EXEC)); smaps_line(page + PAGE, "ProtectionKey"); touch("child", page + PAGE));
	for (int i = 0; i < 14; i++)
		take(0, 0);
	SHOW(take(0, 0));
	set_rights(0x55555554);
}

int main(int argc, char **argv)
{
	FILE *info = fopen("/proc/cpuinfo", "r");
	char line[4000];
	while (fgets(line, sizeof line, info))
		if (!strncmp(line, "flags", 5))
			has_keys |= strstr(line, " ospke") && strstr(line, " pku");
	fclose(info);
	printf("keys: %d\n", has_keys);
	if (argc > 1) {
		printf("the next program's rights %#x\n", rights());
		SHOW(take(0, 0));
		return 0;
	}
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(SIGSEGV, &action, NULL);
	calls();
	order();
	effects();
	of_all_keys();
	signals(argv[0]);
	IN_CHILD(executable_alone());
	return 0;
}
