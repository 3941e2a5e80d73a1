#define _GNU_SOURCE
/* Page faults that a program serves itself: userfaultfd(2) and its ioctls, for private memory and for shared memory. */
#include "case.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define PAGES 8
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define SERVED (UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID | \
	UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_EXACT_ADDRESS)

static char *memory;
static char source[PAGES * PAGE] __attribute__((aligned(PAGE)));
static int fd;
static size_t watched_pages;

static int open_fd(int flags)
{
	return (int)syscall(SYS_userfaultfd, flags);
}

static int ready_fd(int flags, uint64_t features)
{
	int made = open_fd(flags);
	struct uffdio_api api = { UFFD_API, features, 0 };
	if (made < 0 || ioctl(made, UFFDIO_API, &api) == -1)
		printf("not ready: %s\n", error_name(errno));
	return made;
}

static long reg(char *start, size_t length, uint64_t mode)
{
	struct uffdio_register r = { { (uint64_t)(uintptr_t)start, length }, mode, 0 };
	long result = ioctl(fd, UFFDIO_REGISTER, &r);
	if (result == 0)
		printf("may: %#llx\n", (unsigned long long)r.ioctls & 0xdc);
	return result;
}

static long unreg(char *start, size_t length)
{
	struct uffdio_range r = { (uint64_t)(uintptr_t)start, length };
	return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static long wake(char *start, size_t length)
{
	struct uffdio_range r = { (uint64_t)(uintptr_t)start, length };
	return ioctl(fd, UFFDIO_WAKE, &r);
}

static long copy_to(char *target, const char *from, size_t length, uint64_t mode)
{
	struct uffdio_copy c = { (uint64_t)(uintptr_t)target, (uint64_t)(uintptr_t)from, length, mode, 77 };
	long result = ioctl(fd, UFFDIO_COPY, &c);
	int error = errno;
	printf("[copied %lld] ", (long long)c.copy);
	errno = error;
	return result;
}

static long zero(char *target, size_t length, uint64_t mode)
{
	struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)target, length }, mode, 77 };
	long result = ioctl(fd, UFFDIO_ZEROPAGE, &z);
	int error = errno;
	printf("[zeroed %lld] ", (long long)z.zeropage);
	errno = error;
	return result;
}

static long protect(char *target, size_t length, uint64_t mode)
{
	struct uffdio_writeprotect p = { { (uint64_t)(uintptr_t)target, length }, mode };
	return ioctl(fd, UFFDIO_WRITEPROTECT, &p);
}

static long proceed(char *target, size_t length, uint64_t mode)
{
	struct uffdio_continue c = { { (uint64_t)(uintptr_t)target, length }, mode, 77 };
	long result = ioctl(fd, UFFDIO_CONTINUE, &c);
	int error = errno;
	printf("[continued %lld] ", (long long)c.mapped);
	errno = error;
	return result;
}

static void show_message(const struct uffd_msg *m)
{
	printf("event %#x, flags %llu, page %lld + %lld%s\n", m->event, (unsigned long long)m->arg.pagefault.flags,
			(long long)((m->arg.pagefault.address - (uint64_t)(uintptr_t)memory) / PAGE),
			(long long)(m->arg.pagefault.address % PAGE), m->arg.pagefault.feat.ptid ? ", a thread" : "");
}

static struct uffd_msg next_message(void)
{
	struct uffd_msg m = { 0 };
	ssize_t n = read(fd, &m, sizeof m);
	if (n != sizeof m)
		printf("read: %zd %s\n", n, error_name(errno));
	else
		show_message(&m);
	return m;
}

static char touched;
static char *place;
static int writes;

static void *touch(void *unused)
{
	(void)unused;
	if (writes)
		*(volatile char *)place = 'w';
	touched = *(volatile char *)place;
	return NULL;
}

static pthread_t toucher;

static void start_touch(char *where, int write)
{
	place = where;
	writes = write;
	pthread_create(&toucher, NULL, touch, NULL);
}

static void end_touch(void)
{
	pthread_join(toucher, NULL);
	printf("it sees '%c'\n", touched ? touched : '0');
}

static void fresh(int flags, int file)
{
	if (memory)
		munmap(memory, PAGES * PAGE);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, file, 0);
	watched_pages = PAGES;
}

static void calls(void)
{
	printf("== the call\n");
	for (int bit = 0; bit < 31; bit++) {
		int made = open_fd(1 << bit);
		if (made >= 0 || errno != EINVAL)
			printf("flag %#x: %s, flags %#x, cloexec %d\n", 1 << bit, made < 0 ? error_name(errno) : "ok", fcntl(made, F_GETFL), fcntl(made, F_GETFD));
		close(made);
	}
	SHOW(open_fd(-1));
	fd = (int)MUST(open_fd(O_NONBLOCK));
	struct uffd_msg m;
	struct pollfd poller = { fd, POLLIN, 0 };
	SHOW(read(fd, &m, sizeof m));
	SHOW(poll(&poller, 1, 0));
	printf("events %#x\n", poller.revents);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(reg(memory, PAGE, UFFDIO_REGISTER_MODE_MISSING));
	struct uffdio_api api = { 0xab, 0, 9 };
	SHOW(ioctl(fd, UFFDIO_API, &api));
	printf("cleared: %llu %llu %llu\n", (unsigned long long)api.api, (unsigned long long)api.features, (unsigned long long)api.ioctls);
	api = (struct uffdio_api){ UFFD_API, 1ull << 40, 0 };
	SHOW(ioctl(fd, UFFDIO_API, &api));
	SHOW(ioctl(fd, UFFDIO_API, (void *)1));
	api = (struct uffdio_api){ UFFD_API, 0, 0 };
	SHOW(ioctl(fd, UFFDIO_API, &api));
	printf("offered: %d, ioctls %#llx\n", (api.features & SERVED) == SERVED, (unsigned long long)api.ioctls);
	api = (struct uffdio_api){ UFFD_API, 0, 0 };
	SHOW(ioctl(fd, UFFDIO_API, &api));
	SHOW(ioctl(fd, 0x5421));
	SHOW(ioctl(fd, 0xc020aa3e, &api));
	SHOW(read(fd, &m, sizeof m));
	SHOW(read(fd, &m, sizeof m - 1));
	SHOW(write(fd, &m, sizeof m));
	SHOW(lseek(fd, 1, SEEK_SET));
	poller.revents = 0;
	SHOW(poll(&poller, 1, 0));
	fcntl(fd, F_SETFL, 0);
	SHOW(poll(&poller, 1, 0));
	printf("events %#x\n", poller.revents);
	close(fd);
}

static void ranges(void)
{
	printf("== ranges\n");
	fd = ready_fd(O_NONBLOCK, 0);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (int bit = 0; bit < 8; bit++)
		SHOW(reg(memory, PAGE, 1ull << bit));
	SHOW(unreg(memory, PAGE));
	SHOW(reg(memory, PAGE, 0));
	SHOW(reg(memory, 0, 1));
	SHOW(reg(memory, PAGE - 1, 1));
	SHOW(reg(memory + 1, PAGE, 1));
	SHOW(reg(0, PAGE, 1));
	SHOW(reg((char *)-PAGE, PAGE, 1));
	SHOW(reg((char *)(1ull << 47), PAGE, 1));
	SHOW(reg(memory, 1ull << 47, 1));
	SHOW(reg(memory, -1ull << 12, 1));
	char *code = (char *)((uintptr_t)calls & -PAGE);
	SHOW(reg(code, PAGE, 1));
	SHOW(unreg(code, PAGE));
	munmap(memory + PAGE, PAGE);
	SHOW(reg(memory + PAGE, PAGE, 1));
	SHOW(unreg(memory + PAGE, PAGE));
	SHOW(reg(memory, 3 * PAGE, 1));
	int other = fd;
	fd = ready_fd(O_NONBLOCK, 0);
	SHOW(reg(memory, PAGE, 1));
	SHOW(reg(memory + 3 * PAGE, PAGE, 1));
	SHOW(reg(memory + 2 * PAGE, 2 * PAGE, 1));
	close(other);
	SHOW(reg(memory, PAGE, 1));
	SHOW(wake(memory, 0));
	SHOW(wake(memory, PAGE));
	SHOW(wake(memory + 1, PAGE));
	SHOW(unreg(memory + 4 * PAGE, PAGE));
	SHOW(ioctl(fd, UFFDIO_REGISTER, (void *)1));
	SHOW(ioctl(fd, UFFDIO_COPY, (void *)1));
	char *still = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHOW(reg(still, PAGE, 1));
	munmap(still, PAGE);
	int file = (int)MUST(open("/proc/self/exe", O_RDONLY));
	still = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	SHOW(reg(still, PAGE, 1));
	munmap(still, PAGE);
	close(file);
	close(fd);
}

static void missing(void)
{
	printf("== missing pages\n");
	fd = ready_fd(0, 0);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(source, 's', sizeof source);
	memory[7 * PAGE] = 'o';
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory + 100, 0);
	next_message();
	SHOW(copy_to(memory, source, PAGE, 0));
	end_touch();
	start_touch(memory + PAGE + 5, 1);
	next_message();
	SHOW(zero(memory + PAGE, PAGE, 0));
	end_touch();
	start_touch(memory + 2 * PAGE, 0);
	next_message();
	SHOW(copy_to(memory + 2 * PAGE, source, PAGE, UFFDIO_COPY_MODE_DONTWAKE));
	SHOW(wake(memory + 2 * PAGE, PAGE));
	end_touch();
	start_touch(memory + 3 * PAGE, 0);
	next_message();
	SHOW(wake(memory + 3 * PAGE, PAGE));
	next_message();
	SHOW(unreg(memory + 3 * PAGE, PAGE));
	end_touch();
	SHOW(copy_to(memory, source, PAGE, 0));
	SHOW(copy_to(memory + 3 * PAGE, source, PAGE, 0));
	SHOW(copy_to(memory + 4 * PAGE, source, 4 * PAGE, 0));
	SHOW(copy_to(memory + 5 * PAGE, source, PAGE, 4));
	SHOW(copy_to(memory + 5 * PAGE, source, PAGE, UFFDIO_COPY_MODE_WP));
	SHOW(copy_to(memory + 5 * PAGE, source, PAGE + 1, 0));
	SHOW(copy_to(memory + 5 * PAGE, source + 1, 0, 0));
	SHOW(zero(memory, PAGE, 0));
	SHOW(zero(memory, PAGE, 2));
	SHOW(zero(memory + 3 * PAGE, PAGE, 0));
	SHOW(proceed(memory, PAGE, 0));
	SHOW(protect(memory, PAGE, 0));
	madvise(memory, 4 * PAGE, MADV_DONTNEED);
	SHOW(copy_to(memory, (char *)8192, PAGE, 0));
	SHOW(copy_to(memory, source + 100, PAGE, 0));
	printf("filled with '%c'\n", memory[PAGE - 1]);
	printf("what was there stays: '%c'\n", memory[7 * PAGE]);
	printf("a call that touches it\n");
	int pair[2];
	MUST(pipe(pair));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		sleep_ms(1);
		_exit(write(pair[1], memory + PAGE, 1) == 1 ? 0 : errno);
	}
	show_end(child);
	place = memory + PAGE;
	printf("read: %zd\n", read(pair[0], source, 1));
	close(fd);
	printf("after the end: '%c'\n", memory[PAGE] ? memory[PAGE] : '0');
}

static void *give(void *unused)
{
	(void)unused;
	int *pair = (int *)source;
	char byte = 'p';
	(void)byte;
	ssize_t n = write(pair[1], memory + 2 * PAGE, 3);
	snprintf(source + 64, 64, "written: %zd %s\n", n, n < 0 ? error_name(errno) : "");
	return NULL;
}

static void kernel_faults(void)
{
	printf("== faults of the kernel\n");
	int pair[2];
	MUST(pipe(pair));
	memcpy(source, pair, sizeof pair);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fd = ready_fd(0, UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EXACT_ADDRESS);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	pthread_t thread;
	pthread_create(&thread, NULL, give, NULL);
	next_message();
	SHOW(zero(memory + 2 * PAGE, PAGE, 0));
	pthread_join(thread, NULL);
	printf("%s", source + 64);
	start_touch(memory + 4 * PAGE + 7, 1);
	next_message();
	SHOW(zero(memory + 4 * PAGE, PAGE, 0));
	end_touch();
	start_touch(memory + 5 * PAGE + 7, 1);
	next_message();
	printf("it ends while one waits\n");
	close(fd);
	end_touch();
	fd = ready_fd(UFFD_USER_MODE_ONLY, 0);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	SHOW(write(pair[1], memory, 3));
	SHOW(read(pair[0], memory, 1));
	start_touch(memory, 0);
	next_message();
	SHOW(zero(memory, PAGE, 0));
	end_touch();
	SHOW(write(pair[1], memory, 3));
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static volatile int caught;

static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)context;
	printf("signal %d, code %d, page %ld\n", number, info->si_code, (long)((char *)info->si_addr - memory) / PAGE);
	caught++;
	struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)memory, PAGE }, 0, 0 };
	ioctl(fd, UFFDIO_ZEROPAGE, &z);
}

static void signals(void)
{
	printf("== signals\n");
	struct sigaction action = { .sa_flags = SA_SIGINFO };
	action.sa_sigaction = on_bus;
	sigaction(SIGBUS, &action, NULL);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fd = ready_fd(0, UFFD_FEATURE_SIGBUS);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	printf("'%c'\n", memory[10] ? memory[10] : '0');
	printf("caught %d\n", caught);
	int pair[2];
	MUST(pipe(pair));
	SHOW(write(pair[1], memory + PAGE, 3));
	close(fd);
	fd = ready_fd(0, 0);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	printf("who waits can be killed\n");
	for (int kernel = 0; kernel < 2; kernel++) {
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
			fd = ready_fd(O_NONBLOCK, 0);
			struct uffdio_register r = { { (uint64_t)(uintptr_t)memory, PAGE }, UFFDIO_REGISTER_MODE_MISSING, 0 };
			ioctl(fd, UFFDIO_REGISTER, &r);
			if (kernel)
				_exit((int)write(pair[1], memory, 1));
			_exit(memory[0]);
		}
		sleep_ms(100);
		kill(child, kernel ? SIGKILL : SIGTERM);
		show_end(child);
	}
	close(fd);
}

static void protected(void)
{
	printf("== protected pages\n");
	fd = ready_fd(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(memory, 'a', 4 * PAGE);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING));
	SHOW(protect(memory, 2 * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	SHOW(protect(memory, 2 * PAGE, UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE));
	SHOW(protect(memory, 2 * PAGE, 4));
	SHOW(protect(memory, 100, 1));
	printf("reading is free: '%c'\n", memory[1]);
	start_touch(memory + 1, 1);
	next_message();
	SHOW(protect(memory, PAGE, 0));
	end_touch();
	memory[2] = 'b';
	start_touch(memory + PAGE, 1);
	next_message();
	SHOW(protect(memory + PAGE, PAGE, UFFDIO_WRITEPROTECT_MODE_DONTWAKE));
	SHOW(wake(memory + PAGE, PAGE));
	end_touch();
	memset(source, 's', sizeof source);
	SHOW(copy_to(memory + 5 * PAGE, source, PAGE, UFFDIO_COPY_MODE_WP));
	start_touch(memory + 5 * PAGE, 1);
	next_message();
	SHOW(protect(memory + 5 * PAGE, PAGE, 0));
	end_touch();
	SHOW(protect(memory + 3 * PAGE, PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	mprotect(memory, 4 * PAGE, PROT_READ);
	mprotect(memory, 4 * PAGE, PROT_READ | PROT_WRITE);
	memory[0] = 'c';
	start_touch(memory + 3 * PAGE, 1);
	next_message();
	IN_CHILD({ memory[3 * PAGE] = 'd'; printf("a child is free: '%c'\n", memory[3 * PAGE]); });
	SHOW(unreg(memory, PAGES * PAGE));
	end_touch();
	SHOW(protect(memory, PAGE, 1));
	close(fd);
}

static void shared(void)
{
	printf("== shared memory\n");
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, 6 * PAGE));
	MUST(pwrite(file, "file", 4, PAGE));
	memset(source, 's', sizeof source);
	fd = ready_fd(0, UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM);
	fresh(MAP_SHARED, file);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory, 0);
	next_message();
	SHOW(copy_to(memory, source, PAGE, 0));
	end_touch();
	printf("there: '%c'\n", memory[PAGE]);
	SHOW(copy_to(memory + PAGE, source, PAGE, 0));
	SHOW(zero(memory + 2 * PAGE, 2 * PAGE, 0));
	SHOW(copy_to(memory + 6 * PAGE, source, PAGE, 0));
	char byte;
	SHOW(pread(file, &byte, 1, 0));
	printf("the file has '%c'\n", byte);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MINOR));
	fresh(MAP_SHARED, file);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MINOR));
	start_touch(memory + PAGE, 1);
	next_message();
	SHOW(proceed(memory + PAGE, PAGE, 0));
	end_touch();
	SHOW(proceed(memory + PAGE, PAGE, 0));
	SHOW(proceed(memory + 5 * PAGE, PAGE, 0));
	SHOW(proceed(memory, PAGE, 4));
	SHOW(proceed(memory, PAGE, 0));
	printf("'%c' '%c'\n", memory[0], memory[PAGE]);
	fresh(MAP_PRIVATE, file);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory + 5 * PAGE, 1);
	next_message();
	SHOW(copy_to(memory + 5 * PAGE, source, PAGE, 0));
	end_touch();
	MUST(pread(file, &byte, 1, 5 * PAGE));
	printf("the file has '%c'\n", byte ? byte : '0');
	close(fd);
	close(file);
}

static void life(void)
{
	printf("== fork, mremap, munmap\n");
	memset(source, 's', sizeof source);
	fd = ready_fd(O_NONBLOCK, 0);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SHOW(reg(memory, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	IN_CHILD(printf("a child sees '%c'\n", memory[0] ? memory[0] : '0'));
	char *moved = mremap(memory + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 5 * PAGE);
	printf("moved: %d, '%c'\n", moved == memory + 5 * PAGE, moved[0] ? moved[0] : '0');
	SHOW(copy_to(moved, source, PAGE, 0));
	MUST(munmap(memory + 2 * PAGE, PAGE));
	SHOW(copy_to(memory + 2 * PAGE, source, PAGE, 0));
	SHOW(copy_to(memory, source, 4 * PAGE, 0));
	SHOW(copy_to(memory, source, PAGE, 0));
	printf("by another's memory\n");
	pid_t child;
	int pair[2];
	MUST(pipe(pair));
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		close(pair[1]);
		char byte;
		read(pair[0], &byte, 1);
		printf("[copied into the parent] ");
		SHOW(copy_to(memory + 3 * PAGE, source, PAGE, 0));
		fflush(stdout);
		_exit(0);
	}
	MUST(write(pair[1], "x", 1));
	show_end(child);
	printf("'%c'\n", memory[3 * PAGE]);
	fflush(stdout);
	int kept = fd;
	child = (pid_t)MUST(fork());
	if (child == 0) {
		fd = ready_fd(O_NONBLOCK, 0);
		struct uffdio_register r = { { (uint64_t)(uintptr_t)source, PAGE }, UFFDIO_REGISTER_MODE_MISSING, 0 };
		ioctl(fd, UFFDIO_REGISTER, &r);
		dup2(fd, kept);
		execl("/proc/self/exe", "userfaultfd", "after", NULL);
		_exit(1);
	}
	show_end(child);
	close(pair[0]);
	close(pair[1]);
	close(kept);
}

/* What is registered twice, protected before, filled where nothing may be seen, or private memory of a file. */
static void corners(void)
{
	printf("== corners\n");
	memset(source, 's', sizeof source);
	fd = ready_fd(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(memory, 'a', 2 * PAGE);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	SHOW(protect(memory, 2 * PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	int kept = fd;
	SHOW(unreg(memory, PAGES * PAGE));
	memory[0] = 'b';
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING));
	memory[PAGE] = 'b'; /* it was protected for a handler that is gone */
	fflush(stdout);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	start_touch(memory + 4 * PAGE, 0); /* missing pages are served nevertheless */
	next_message();
	SHOW(zero(memory + 4 * PAGE, PAGE, 0));
	end_touch();
	MUST(mprotect(memory + 5 * PAGE, PAGE, PROT_NONE));
	SHOW(copy_to(memory + 5 * PAGE, source, PAGE, 0));
	int pair[2];
	MUST(pipe(pair));
	SHOW(write(pair[1], memory + 5 * PAGE, 1));
	MUST(mprotect(memory + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	printf("there: '%c'\n", memory[5 * PAGE]);
	memory[5 * PAGE] = 't';
	IN_CHILD({
		fd = ready_fd(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
		SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
		memory[0] = 'e';
		printf("a child's own: '%c'\n", memory[0]);
	});
	close(kept);
	printf("== private memory of a file\n");
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, 4 * PAGE));
	MUST(pwrite(file, "file", 4, PAGE));
	fd = ready_fd(0, UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM);
	fresh(MAP_PRIVATE, file);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR));
	start_touch(memory + PAGE, 0);
	next_message();
	SHOW(proceed(memory + PAGE, PAGE, 0));
	end_touch();
	memory[PAGE] = 'F';
	char byte;
	MUST(pread(file, &byte, 1, PAGE));
	printf("the file has '%c', the memory '%c'\n", byte, memory[PAGE]);
	SHOW(copy_to(memory + 4 * PAGE, source, PAGE, 0));
	SHOW(copy_to(memory + 3 * PAGE, source, 2 * PAGE, 0));
	SHOW(proceed(memory + 5 * PAGE, PAGE, 0));
	close(fd);
	close(file);
	close(pair[0]);
	close(pair[1]);
}

/* What nobody can serve, or not in time; and who is woken by whom. */
static void limits(void)
{
	printf("== past the end of a file\n");
	int pair[2];
	MUST(pipe(pair));
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, PAGE));
	for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++)
		for (int kernel = 0; kernel < 2; kernel++) {
			fflush(stdout);
			pid_t child = (pid_t)MUST(fork());
			if (child == 0) {
				signal(SIGBUS, SIG_DFL);
				fd = ready_fd(0, UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM);
				fresh(flags, file);
				SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR));
				fflush(stdout);
				if (kernel)
					SHOW(write(pair[1], memory + PAGE, 1));
				else
					memory[PAGE] = 'x';
				fflush(stdout);
				_exit(0);
			}
			show_end(child);
		}
	fresh(MAP_SHARED, file);
	SHOW(mlock(memory, PAGES * PAGE));
	SHOW(madvise(memory, PAGES * PAGE, MADV_POPULATE_READ));
	printf("== locked in memory\n");
	for (int how = 0; how < 2; how++) {
		fd = ready_fd(how ? 0 : UFFD_USER_MODE_ONLY, how ? UFFD_FEATURE_SIGBUS : 0);
		fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
		SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
		SHOW(mlock(memory, PAGE));
		SHOW(madvise(memory, PAGE, MADV_POPULATE_READ));
		SHOW(madvise(memory, PAGE, MADV_POPULATE_WRITE));
		SHOW(zero(memory, PAGE, 0));
		SHOW(mlock(memory, PAGE));
		SHOW(madvise(memory, PAGE, MADV_POPULATE_WRITE));
		close(fd);
	}
	printf("== unregistered through another\n");
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int own = fd = ready_fd(0, 0);
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	start_touch(memory + PAGE, 0);
	next_message();
	fd = ready_fd(0, 0);
	SHOW(unreg(memory, PAGES * PAGE));
	end_touch();
	close(own);
	close(fd);
	printf("== written by force\n");
	int by_force = (int)MUST(open("/proc/self/mem", O_RDWR));
	fd = ready_fd(UFFD_USER_MODE_ONLY, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memory[0] = 'a';
	SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING));
	SHOW(protect(memory, PAGE, UFFDIO_WRITEPROTECT_MODE_WP));
	MUST(mprotect(memory, PAGES * PAGE, PROT_READ));
	SHOW(pwrite(by_force, "x", 1, (off_t)(uintptr_t)memory));
	SHOW(pwrite(by_force, "x", 1, (off_t)(uintptr_t)(memory + PAGE)));
	MUST(mprotect(memory, PAGES * PAGE, PROT_READ | PROT_WRITE));
	start_touch(memory, 1);
	next_message();
	SHOW(protect(memory, PAGE, 0));
	end_touch();
	SHOW(zero(memory + PAGE, PAGE, 0));
	close(fd);
	close(by_force);
	close(file);
	close(pair[0]);
	close(pair[1]);
}

/* Threads that wait end with what they belong to. */
static void ends(void)
{
	printf("== ends\n");
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int pair[2];
	MUST(pipe(pair));
	memcpy(source, pair, sizeof pair);
	for (int how = 0; how < 4; how++)
		IN_CHILD({
			fd = ready_fd(0, 0);
			SHOW(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
			pthread_t thread;
			if (how & 1)
				pthread_create(&thread, NULL, give, NULL);
			else
				start_touch(memory, 0);
			next_message();
			fflush(stdout);
			if (how & 2)
				execl("/proc/self/exe", "userfaultfd", "nothing", NULL);
			raise(SIGKILL);
		});
	close(pair[0]);
	close(pair[1]);
}

static void device(void)
{
	printf("== the device\n");
	struct stat s;
	SHOW(stat("/dev/userfaultfd", &s));
	printf("%o %ld\n", s.st_mode, (long)(s.st_rdev >> 8) & 0xfff);
	int opened = (int)TRY(open("/dev/userfaultfd", O_RDWR));
	for (int flags = 0; flags < 4; flags++)
		TRY(close(ioctl(opened, 0xaa00, flags)));
	int made = ioctl(opened, 0xaa00, O_CLOEXEC | O_NONBLOCK);
	SHOW(fcntl(made, F_GETFD));
	SHOW(fcntl(made, F_GETFL));
	close(made);
	SHOW(ioctl(opened, 0xaa01, 0));
	SHOW(ioctl(opened, UFFDIO_API, 0));
	char byte;
	SHOW(read(opened, &byte, 1));
	SHOW(write(opened, &byte, 1));
	close(opened);
}

static void users(void)
{
	printf("== a user\n");
	SHOW(open("/dev/userfaultfd", O_RDWR));
	TRY(close(open_fd(0)));
	TRY(close(open_fd(UFFD_USER_MODE_ONLY)));
	SHOW(open_fd(0));
	SHOW(open_fd(2));
	SHOW(open_fd(UFFD_USER_MODE_ONLY | 2));
	int made = open_fd(UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { UFFD_API, UFFD_FEATURE_EVENT_FORK, 0 };
	SHOW(ioctl(made, UFFDIO_API, &api));
	close(made);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "after") == 0) {
		for (fd = 3; fd < 10; fd++) {
			struct uffdio_range r = { (uint64_t)(uintptr_t)source & -PAGE, PAGE };
			if (fcntl(fd, F_GETFD) != -1 && ioctl(fd, UFFDIO_WAKE, &r) == 0)
				break;
		}
		memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		SHOW(copy_to(memory, source, PAGE, 0));
		SHOW(reg(memory, PAGE, 1));
		SHOW(unreg(memory, PAGE));
		SHOW(protect(memory, PAGE, 0));
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "nothing") == 0)
		return 0;
	calls();
	ranges();
	missing();
	kernel_faults();
	signals();
	protected();
	shared();
	life();
	corners();
	limits();
	ends();
	device();
	IN_CHILD({ MUST(setresgid(1000, 1000, 1000)); MUST(setresuid(1000, 1000, 1000)); users(); });
	show_file("/proc/sys/vm/unprivileged_userfaultfd");
	return 0;
}
