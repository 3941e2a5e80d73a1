#define _GNU_SOURCE
/* Pages that the handler of a userfaultfd moves (UFFDIO_MOVE), and those that it poisons (UFFDIO_POISON). */
#include "case.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define PAGES 8

static char *memory, *source;
static int fd;

static int ready_fd(int flags, uint64_t features)
{
	int made = (int)syscall(SYS_userfaultfd, flags);
	struct uffdio_api api = { UFFD_API, features, 0 };
	if (made < 0 || ioctl(made, UFFDIO_API, &api) == -1)
		printf("not ready: %s\n", error_name(errno));
	return made;
}

static char *map(int flags, int file)
{
	return mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, file, 0);
}

static long reg(char *start, size_t length, uint64_t mode)
{
	struct uffdio_register r = { { (uint64_t)(uintptr_t)start, length }, mode, 0 };
	long result = ioctl(fd, UFFDIO_REGISTER, &r);
	if (result == 0)
		printf("may: %#llx\n", (unsigned long long)r.ioctls);
	return result;
}

static long move(char *to, char *from, size_t length, uint64_t mode)
{
	struct uffdio_move m = { (uint64_t)(uintptr_t)to, (uint64_t)(uintptr_t)from, length, mode, 77 };
	long result = ioctl(fd, UFFDIO_MOVE, &m);
	int error = errno;
	printf("[moved %lld] ", (long long)m.move);
	errno = error;
	return result;
}

static long poison(char *start, size_t length, uint64_t mode)
{
	struct uffdio_poison p = { { (uint64_t)(uintptr_t)start, length }, mode, 77 };
	long result = ioctl(fd, UFFDIO_POISON, &p);
	int error = errno;
	printf("[poisoned %lld] ", (long long)p.updated);
	errno = error;
	return result;
}

static long copy_to(char *target, size_t length)
{
	static char bytes[2 * PAGE] __attribute__((aligned(PAGE)));
	memset(bytes, 'c', sizeof bytes);
	struct uffdio_copy c = { (uint64_t)(uintptr_t)target, (uint64_t)(uintptr_t)bytes, length, 0, 77 };
	return ioctl(fd, UFFDIO_COPY, &c);
}

static long zero(char *target, size_t length)
{
	struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)target, length }, 0, 77 };
	return ioctl(fd, UFFDIO_ZEROPAGE, &z);
}

static sigjmp_buf back;
static siginfo_t seen;

static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	seen = *info;
	siglongjmp(back, 1);
}

static void touch(char *place, int write)
{
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*(volatile char *)place = 'w';
		char byte = *(volatile char *)place;
		printf("it sees '%c'\n", byte ? byte : '0');
	} else
		printf("signal %d, code %d, page %ld + %ld, lsb %d\n", seen.si_signo, seen.si_code,
				(long)((char *)seen.si_addr - memory) / PAGE, (long)((char *)seen.si_addr - memory) % PAGE,
				seen.si_code == 4 ? seen.si_addr_lsb : 0);
}

static void show_pages(const char *what, char *start)
{
	uint64_t words[PAGES];
	int map = (int)MUST(open("/proc/self/pagemap", O_RDONLY));
	MUST(pread(map, words, sizeof words, (off_t)((uintptr_t)start / PAGE * 8)));
	close(map);
	printf("%s:", what);
	for (int i = 0; i < PAGES; i++)
		printf(" %lld%s%s%s", (long long)(words[i] >> 63), words[i] >> 62 & 1 ? "s" : "", words[i] >> 57 & 1 ? "w" : "",
				words[i] >> 61 & 1 ? "f" : "");
	for (int i = 0; i < PAGES; i++)
		if (words[i] >> 62 == 1)
			printf(" (%lld)", (long long)(words[i] & ((1ull << 55) - 1)));
	printf("\n");
}

static void moving(void)
{
	printf("== move\n");
	fd = ready_fd(0, UFFD_FEATURE_MOVE);
	memory = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	source = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(move(memory, source, PAGE, 0));
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(move(memory, source, PAGE, 0));
	memset(source, 's', 4 * PAGE);
	SHOW(move(memory, source, PAGE, 0));
	printf("'%c' '%c'\n", memory[0], source[0] ? source[0] : '0');
	SHOW(move(memory, source + PAGE, PAGE, 0));
	SHOW(move(memory + PAGE, source + 3 * PAGE, 2 * PAGE, 0));
	SHOW(move(memory + 2 * PAGE, source + 4 * PAGE, PAGE, 0));
	SHOW(move(memory + 2 * PAGE, source + 4 * PAGE, 2 * PAGE, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES));
	SHOW(move(memory + 2 * PAGE, source, PAGE, 0));
	touch(memory + 2 * PAGE, 1);
	SHOW(move(memory + 2 * PAGE, source, PAGE, 4));
	SHOW(move(memory + 2 * PAGE, source, PAGE, -1));
	SHOW(move(memory + 2 * PAGE, source, 0, 0));
	SHOW(move(memory + 2 * PAGE, source + 1, PAGE, 0));
	SHOW(move(memory + 1, source, PAGE, 0));
	SHOW(move(memory, source, PAGE - 1, 0));
	SHOW(move(memory, (char *)-PAGE, PAGE, 0));
	SHOW(move((char *)PAGE, source, PAGE, 0));
	SHOW(move(memory, (char *)PAGE, PAGE, 0));
	SHOW(move(memory + 7 * PAGE, source, 2 * PAGE, 0));
	SHOW(move(memory + 3 * PAGE, source + PAGE, PAGE, UFFDIO_MOVE_MODE_DONTWAKE));
	SHOW(move(memory + 4 * PAGE, memory + 3 * PAGE, PAGE, 0));
	SHOW(move(memory + 4 * PAGE, memory + 4 * PAGE, PAGE, 0));
	SHOW(ioctl(fd, UFFDIO_MOVE, (void *)1));
	show_pages("the target", memory);
	show_pages("the source", source);
	printf("== what cannot be moved\n");
	memset(source, 't', PAGES * PAGE);
	MUST(mprotect(source, PAGE, PROT_READ));
	SHOW(move(memory + 5 * PAGE, source, PAGE, 0));
	MUST(mprotect(memory + 5 * PAGE, PAGE, PROT_READ));
	SHOW(move(memory + 5 * PAGE, source, PAGE, 0));
	MUST(mprotect(memory + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	MUST(mprotect(source, PAGE, PROT_READ | PROT_WRITE));
	MUST(mlock(source + PAGE, PAGE));
	SHOW(move(memory + 5 * PAGE, source + PAGE, PAGE, 0));
	MUST(munlock(source + PAGE, PAGE));
	int pair[2];
	MUST(pipe(pair));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		char byte;
		close(pair[1]);
		read(pair[0], &byte, 1);
		SHOW(move(memory + 5 * PAGE, source + 2 * PAGE, PAGE, 0));
		fflush(stdout);
		_exit(source[2 * PAGE]);
	}
	SHOW(move(memory + 5 * PAGE, source + 2 * PAGE, PAGE, 0));
	SHOW(move(memory + 5 * PAGE, source + 2 * PAGE, PAGE, UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES));
	source[2 * PAGE] = 'p';
	SHOW(move(memory + 5 * PAGE, source + 2 * PAGE, PAGE, 0));
	fflush(stdout);
	MUST(write(pair[1], "x", 1));
	show_end(child);
	printf("it has '%c'\n", memory[5 * PAGE]);
	SHOW(move(memory + 6 * PAGE, source + 3 * PAGE, PAGE, 0));
	close(pair[0]);
	close(pair[1]);
	char *shared = map(MAP_SHARED | MAP_ANONYMOUS, -1);
	shared[0] = 'x';
	SHOW(move(memory + 7 * PAGE, shared, PAGE, 0));
	SHOW(reg(shared, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(move(shared + PAGE, source + 4 * PAGE, PAGE, 0));
	int file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	char *of_file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	of_file[0] = 'x';
	SHOW(move(memory + 7 * PAGE, of_file, PAGE, 0));
	int other = fd;
	fd = ready_fd(0, 0);
	SHOW(move(memory + 7 * PAGE, source + 4 * PAGE, PAGE, 0));
	close(fd);
	fd = other;
	source[4 * PAGE] = 'r';
	volatile char byte = *(volatile char *)(source + 5 * PAGE);
	(void)byte;
	MUST(madvise(source + 5 * PAGE, PAGE, MADV_DONTNEED));
	byte = *(volatile char *)(source + 5 * PAGE);
	SHOW(move(memory + 7 * PAGE, source + 5 * PAGE, PAGE, 0));
	printf("zeros: %d\n", memory[7 * PAGE]);
	memory[7 * PAGE] = 'n';
	munmap(memory, PAGES * PAGE);
	munmap(shared, PAGES * PAGE);
	munmap(of_file, PAGE);
	close(file);
	close(fd);
}

static char *volatile awaited;

static void *await(void *unused)
{
	(void)unused;
	awaited = *(volatile char *)memory == 's' ? "moved" : "other";
	return NULL;
}

static void waking(void)
{
	printf("== who waits is woken\n");
	for (int silent = 0; silent < 2; silent++) {
		fd = ready_fd(0, 0);
		memory = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
		SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
		memset(source, 's', PAGES * PAGE);
		pthread_t thread;
		pthread_create(&thread, NULL, await, NULL);
		struct uffd_msg m;
		MUST(read(fd, &m, sizeof m));
		SHOW(move(memory, source, 3 * PAGE, silent ? UFFDIO_MOVE_MODE_DONTWAKE : 0));
		struct uffdio_range r = { (uint64_t)(uintptr_t)memory, PAGE };
		if (silent)
			SHOW(ioctl(fd, UFFDIO_WAKE, &r));
		pthread_join(thread, NULL);
		printf("%s\n", awaited);
		munmap(memory, PAGES * PAGE);
		close(fd);
	}
}

static void poisoning(int flags, int file)
{
	printf("== poison, flags %#x\n", flags);
	fd = ready_fd(0, UFFD_FEATURE_POISON);
	memory = map(flags, file);
	SHOW(poison(memory, PAGE, 0));
	memory[0] = 'a';
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(poison(memory, PAGE, 0));
	SHOW(poison(memory + PAGE, 2 * PAGE, 0));
	SHOW(poison(memory + 2 * PAGE, 2 * PAGE, 0));
	SHOW(poison(memory + 3 * PAGE, PAGE, 2));
	SHOW(poison(memory + 3 * PAGE, 0, 0));
	SHOW(poison(memory + 3 * PAGE, PAGE + 1, 0));
	SHOW(poison(memory + 7 * PAGE, 2 * PAGE, 0));
	SHOW(poison(memory + 7 * PAGE, PAGE, UFFDIO_POISON_MODE_DONTWAKE));
	SHOW(ioctl(fd, UFFDIO_POISON, (void *)1));
	touch(memory + PAGE + 5, 0);
	touch(memory + 2 * PAGE + 7, 1);
	show_pages("pages", memory);
	unsigned char vector[PAGES];
	MUST(mincore(memory, PAGES * PAGE, vector));
	for (int i = 0; i < PAGES; i++)
		printf("%d", vector[i] & 1);
	printf("\n");
	int pair[2];
	MUST(pipe(pair));
	SHOW(write(pair[1], memory + PAGE, 1));
	SHOW(write(pair[1], "x", 1));
	SHOW(read(pair[0], memory + PAGE, 1));
	struct iovec here = { vector, 1 }, there = { memory + PAGE, 1 };
	SHOW(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	SHOW(madvise(memory + PAGE, PAGE, 22));
	SHOW(mlock(memory + PAGE, PAGE));
	SHOW(munlock(memory + PAGE, PAGE));
	MUST(mprotect(memory + PAGE, PAGE, PROT_NONE));
	MUST(mprotect(memory + PAGE, PAGE, PROT_READ | PROT_WRITE));
	touch(memory + PAGE, 0);
	IN_CHILD(touch(memory + PAGE, 0));
	SHOW(zero(memory + PAGE, PAGE));
	SHOW(copy_to(memory + PAGE, PAGE));
	touch(memory + PAGE, 0);
	char *moved = mremap(memory + 7 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, source);
	printf("moved %d\n", moved == source);
	touch(moved, 0);
	SHOW(madvise(moved, PAGE, MADV_DONTNEED));
	touch(moved, 0);
	SHOW(poison(memory + 4 * PAGE, 2 * PAGE, 0));
	SHOW(madvise(memory + 4 * PAGE, PAGE, MADV_DONTNEED));
	SHOW(zero(memory + 4 * PAGE, PAGE));
	touch(memory + 4 * PAGE, 0);
	struct uffdio_range r = { (uint64_t)(uintptr_t)memory, 7 * PAGE };
	SHOW(ioctl(fd, UFFDIO_UNREGISTER, &r));
	touch(memory + 5 * PAGE, 0);
	close(fd);
	touch(memory + 5 * PAGE, 0);
	if (file >= 0) {
		SHOW(fallocate(file, 3, 5 * PAGE, PAGE));
		touch(memory + 5 * PAGE, 0);
		SHOW(ftruncate(file, 5 * PAGE));
		SHOW(ftruncate(file, PAGES * PAGE));
		touch(memory + 5 * PAGE, 0);
	}
	munmap(memory, PAGES * PAGE);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	action.sa_sigaction = on_bus;
	sigaction(SIGBUS, &action, NULL);
	moving();
	waking();
	poisoning(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	poisoning(MAP_SHARED | MAP_ANONYMOUS, -1);
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, PAGES * PAGE));
	poisoning(MAP_SHARED, file);
	MUST(ftruncate(file, 0));
	MUST(ftruncate(file, PAGES * PAGE));
	poisoning(MAP_PRIVATE, file);
	return 0;
}
