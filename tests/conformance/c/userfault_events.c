#define _GNU_SOURCE
/* Events of a userfaultfd: fork, mremap, munmap and madvise wait until the handler has read what happens. */
#include "case.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define PAGES 8
#define ALL_EVENTS (UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

static char *area, *memory; /* memory lies in the middle of the area */
static char source[PAGE] __attribute__((aligned(PAGE)));
static int fd;

static int ready_fd(int flags, uint64_t features)
{
	int made = (int)syscall(SYS_userfaultfd, flags);
	struct uffdio_api api = { UFFD_API, features, 0 };
	if (made < 0 || ioctl(made, UFFDIO_API, &api) == -1)
		printf("not ready: %s\n", error_name(errno));
	return made;
}

static void fresh(int flags, int file)
{
	if (area)
		munmap(area, 4 * PAGES * PAGE);
	area = mmap(NULL, 4 * PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = mmap(area + PAGES * PAGE, PAGES * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, 0);
}

static long reg(char *start, size_t length, uint64_t mode)
{
	struct uffdio_register r = { { (uint64_t)(uintptr_t)start, length }, mode, 0 };
	return ioctl(fd, UFFDIO_REGISTER, &r);
}

/* A command that finds a change under way is to be repeated. */
static long fill(int to, char *target, size_t length, int *error)
{
	for (;;) {
		struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)target, length }, 0, 0 };
		long result = ioctl(to, UFFDIO_ZEROPAGE, &z);
		*error = errno;
		if (result == 0 || errno != EAGAIN)
			return z.zeropage;
		sleep_ms(1);
	}
}

static void show_fill(const char *what, int to, char *target)
{
	int error = 0;
	long done = fill(to, target, PAGE, &error);
	printf("%s: %s\n", what, done == PAGE ? "filled" : error_name(error));
}

static long page_of(uint64_t address)
{
	return (long)(address - (uint64_t)(uintptr_t)memory) / PAGE;
}

static int show_event(void)
{
	struct uffd_msg m = { 0 };
	ssize_t n = read(fd, &m, sizeof m);
	if (n != sizeof m) {
		printf("read: %s\n", n < 0 ? error_name(errno) : "short");
		return -1;
	}
	switch (m.event) {
	case UFFD_EVENT_PAGEFAULT:
		printf("fault: page %ld, flags %llu\n", page_of(m.arg.pagefault.address), (unsigned long long)m.arg.pagefault.flags);
		return -1;
	case UFFD_EVENT_FORK:
		printf("fork: a descriptor %d\n", (int)m.arg.fork.ufd > 2);
		return (int)m.arg.fork.ufd;
	case UFFD_EVENT_REMAP:
		printf("remap: from %ld, to %ld, bytes %llu\n", page_of(m.arg.remap.from), page_of(m.arg.remap.to), (unsigned long long)m.arg.remap.len);
		return -1;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		printf("%s: from %ld, to %ld\n", m.event == UFFD_EVENT_UNMAP ? "unmap" : "remove", page_of(m.arg.remove.start), page_of(m.arg.remove.end));
		return -1;
	}
	printf("event %#x\n", m.event);
	return -1;
}

static volatile int done;
static long (*work)(void);
static long result;
static int failure;
static pthread_t worker;

static void *run(void *unused)
{
	(void)unused;
	errno = 0;
	result = work();
	failure = errno;
	done = 1;
	return NULL;
}

static void begin(long (*what)(void))
{
	work = what;
	done = 0;
	MUST(pthread_create(&worker, NULL, run, NULL));
	struct pollfd p = { fd, POLLIN, 0 };
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (poll(&p, 1, 1000) == 0 && !done)
		;
	fcntl(fd, F_SETFL, flags);
	printf("%s\n", done ? "it did not wait" : "it waits");
}

/* Show what else it waits for, and how it ends. */
static void end(void)
{
	struct pollfd p = { fd, POLLIN, 0 };
	int flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (!done)
		if (poll(&p, 1, 10) == 1 && p.revents & POLLIN)
			show_event();
	if (flags != -1)
		fcntl(fd, F_SETFL, flags);
	pthread_join(worker, NULL);
	if (result == -1)
		printf("it failed: %s\n", error_name(failure));
	else
		printf("it went on: %ld\n", result >= 0 && result < 4096 ? result : 1);
}

static void registered(uint64_t features)
{
	fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fd = ready_fd(0, features);
	MUST(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
}

static long unmap_middle(void) { return munmap(memory + 2 * PAGE, 3 * PAGE); }
static long unmap_more(void) { return munmap(memory - 2 * PAGE, 3 * PAGE); }
static long map_over(void) { return (long)mmap(memory + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == -1 ? -1 : 0; }
static long move_away(void) { return mremap(memory + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 10 * PAGE) == MAP_FAILED ? -1 : 0; }
static long move_over(void) { return mremap(memory + PAGE, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 6 * PAGE) == MAP_FAILED ? -1 : 0; }
static long move_and_keep(void) { return mremap(memory + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4, memory + 10 * PAGE) == MAP_FAILED ? -1 : 0; }
static long shrink(void) { return mremap(memory + 4 * PAGE, 4 * PAGE, PAGE, 0) == MAP_FAILED ? -1 : 0; }
static long grow(void) { return mremap(memory, PAGES * PAGE, (PAGES + 1) * PAGE, 0) == MAP_FAILED ? -1 : 0; }
static long drop(void) { return madvise(memory + PAGE, 2 * PAGE, MADV_DONTNEED); }
static long let_go(void) { return madvise(memory + PAGE, 2 * PAGE, MADV_FREE); }
static long drop_more(void) { return madvise(memory - PAGE, 3 * PAGE, MADV_DONTNEED); }
static long punch(void) { return madvise(memory + PAGE, 2 * PAGE, MADV_REMOVE); }
static long write_some(void) { memory[3 * PAGE] = 'x'; return memory[3 * PAGE]; }

static void unmapping(void)
{
	printf("== unmap\n");
	registered(UFFD_FEATURE_EVENT_UNMAP);
	begin(unmap_middle);
	show_event();
	end();
	show_fill("what is gone", fd, memory + 2 * PAGE);
	show_fill("what is left", fd, memory + PAGE);
	begin(unmap_more);
	show_event();
	end();
	begin(map_over);
	show_event();
	end();
	begin(move_away); /* not whole any more */
	if (!done)
		show_event();
	end();
	close(fd);
	registered(UFFD_FEATURE_EVENT_UNMAP);
	begin(shrink);
	show_event();
	end();
	close(fd);
	registered(UFFD_FEATURE_EVENT_UNMAP);
	begin(move_over);
	end();
	close(fd);
	registered(0);
	begin(unmap_middle);
	end();
	close(fd);
}

static void moving(void)
{
	printf("== remap\n");
	registered(UFFD_FEATURE_EVENT_REMAP);
	begin(move_away);
	show_event();
	end();
	show_fill("the new place", fd, memory + 10 * PAGE);
	show_fill("the old place", fd, memory + PAGE);
	close(fd);
	registered(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP);
	begin(move_away);
	show_event();
	show_event();
	end();
	begin(shrink);
	show_event();
	end();
	close(fd);
	registered(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_UNMAP);
	begin(move_over);
	end();
	close(fd);
	registered(UFFD_FEATURE_EVENT_REMAP);
	begin(move_and_keep);
	show_event();
	end();
	show_fill("the new place", fd, memory + 10 * PAGE);
	show_fill("the old place", fd, memory + PAGE);
	munmap(memory + PAGES * PAGE, PAGE);
	begin(grow);
	end();
	close(fd);
	registered(UFFD_FEATURE_EVENT_REMAP);
	munmap(memory + PAGES * PAGE, PAGE);
	begin(grow);
	end();
	show_fill("what it grew by", fd, memory + PAGES * PAGE);
	close(fd);
	registered(0);
	begin(move_and_keep);
	end();
	show_fill("the new place", fd, memory + 10 * PAGE);
	show_fill("the old place", fd, memory + PAGE);
	close(fd);
}

static void removing(void)
{
	printf("== remove\n");
	registered(UFFD_FEATURE_EVENT_REMOVE);
	show_fill("a page", fd, memory + PAGE);
	memory[PAGE] = 'a';
	begin(drop);
	printf("still there: '%c'\n", memory[PAGE]);
	int error;
	struct uffdio_zeropage z = { { (uint64_t)(uintptr_t)memory, PAGE }, 0, 7 };
	long filled = ioctl(fd, UFFDIO_ZEROPAGE, &z);
	error = errno;
	printf("meanwhile: %ld %s, %lld\n", filled, error_name(error), (long long)z.zeropage);
	struct uffdio_copy c = { (uint64_t)(uintptr_t)memory, 1, 77, 99, 7 };
	filled = ioctl(fd, UFFDIO_COPY, &c);
	error = errno;
	printf("meanwhile: %ld %s, %lld\n", filled, error_name(error), (long long)c.copy);
	struct uffdio_writeprotect w = { { (uint64_t)(uintptr_t)memory, PAGE }, 7 };
	SHOW(ioctl(fd, UFFDIO_WRITEPROTECT, &w));
	SHOW(ioctl(fd, UFFDIO_WRITEPROTECT, 1));
	show_event();
	end();
	begin(write_some);
	show_event();
	show_fill("its page", fd, memory + 3 * PAGE);
	end();
	begin(let_go);
	show_event();
	end();
	begin(drop_more);
	show_event();
	end();
	begin(punch);
	end();
	close(fd);
	int file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	MUST(ftruncate(file, PAGES * PAGE));
	fresh(MAP_SHARED, file);
	fd = ready_fd(0, UFFD_FEATURE_EVENT_REMOVE);
	MUST(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	MUST(pwrite(file, "z", 1, PAGE));
	begin(punch);
	show_event();
	end();
	char byte = 'n';
	MUST(pread(file, &byte, 1, PAGE));
	printf("the file has %d\n", byte);
	begin(let_go);
	if (!done)
		show_event();
	end();
	begin(drop);
	show_event();
	end();
	SHOW(fallocate(file, 3, 0, 2 * PAGE));
	close(fd);
	close(file);
}

static int child_pipe[2], parent_pipe[2];

static long make_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		char byte;
		read(child_pipe[0], &byte, 1);
		byte = memory[PAGE];
		memory[2 * PAGE] = 'c';
		_exit(byte);
	}
	return child;
}

static void forking(void)
{
	printf("== fork\n");
	MUST(pipe(child_pipe));
	MUST(pipe(parent_pipe));
	for (int flags = 0; flags < 2; flags++) {
		fresh(MAP_PRIVATE | MAP_ANONYMOUS, -1);
		fd = ready_fd(flags ? O_CLOEXEC | O_NONBLOCK : 0, UFFD_FEATURE_EVENT_FORK);
		fcntl(fd, F_SETFL, 0);
		MUST(reg(memory, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
		begin(make_child);
		struct rlimit { unsigned long soft, hard; } old, none = { 3, 4096 };
		syscall(SYS_prlimit64, 0, 7, NULL, &old);
		none.hard = old.hard;
		syscall(SYS_prlimit64, 0, 7, &none, NULL);
		show_event();
		syscall(SYS_prlimit64, 0, 7, &old, NULL);
		printf("done: %d\n", done);
		int of_child = show_event();
		pthread_join(worker, NULL);
		printf("fork: %d\n", result > 0);
		printf("flags %#x, cloexec %d\n", fcntl(of_child, F_GETFL), fcntl(of_child, F_GETFD));
		struct uffdio_api api = { UFFD_API, 0, 0 };
		SHOW(ioctl(of_child, UFFDIO_API, &api));
		int own = fd;
		fd = of_child;
		fcntl(fd, F_SETFL, 0);
		MUST(write(child_pipe[1], "x", 1));
		show_event();
		memset(source, 's', sizeof source);
		struct uffdio_copy c = { (uint64_t)(uintptr_t)(memory + PAGE), (uint64_t)(uintptr_t)source, PAGE, 0, 0 };
		SHOW(ioctl(fd, UFFDIO_COPY, &c));
		show_event();
		if (flags)
			close(fd);
		else
			show_fill("in the child", fd, memory + 2 * PAGE);
		show_end((pid_t)result);
		if (!flags) {
			show_fill("in nobody", fd, memory + 3 * PAGE);
			close(fd);
		}
		show_fill("in the parent", own, memory + PAGE);
		printf("it has '%c'\n", memory[PAGE] ? memory[PAGE] : '0');
		close(own);
	}
	printf("== the handler ends\n");
	long (*all[])(void) = { unmap_middle, drop, move_away };
	for (int i = 0; i < 3; i++) {
		registered(ALL_EVENTS);
		begin(all[i]);
		close(fd);
		pthread_join(worker, NULL);
		printf("it went on: %ld\n", result);
	}
}

static void on_alarm(int number)
{
	(void)number;
}

static void killing(void)
{
	printf("== who waits is killed\n");
	for (int number = 0; number < 3; number++) {
		int pair[2];
		MUST(pipe(pair));
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			signal(SIGUSR1, on_alarm);
			registered(ALL_EVENTS);
			write(pair[1], &fd, sizeof fd);
			if (number == 2)
				_exit(fork() == 0 ? 7 : 8);
			_exit(number ? munmap(memory, PAGE) == 0 ? 5 : 6 : madvise(memory, PAGE, MADV_DONTNEED) == 0 ? 5 : 6);
		}
		int there;
		MUST(read(pair[0], &there, sizeof there));
		int process = (int)MUST(syscall(SYS_pidfd_open, child, 0));
		fd = (int)MUST(syscall(SYS_pidfd_getfd, process, there, 0));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		struct pollfd p = { fd, POLLIN, 0 };
		poll(&p, 1, -1);
		printf("events %#x\n", p.revents);
		kill(child, SIGUSR1);
		sleep_ms(20);
		SHOW(waitpid(child, NULL, WNOHANG));
		kill(child, SIGKILL);
		show_end(child);
		SHOW(poll(&p, 1, 0));
		close(fd);
		close(process);
		close(pair[0]);
		close(pair[1]);
	}
}

static void calls(void)
{
	printf("== features\n");
	for (int bit = 0; bit < 20; bit++) {
		int made = (int)syscall(SYS_userfaultfd, 0);
		struct uffdio_api api = { UFFD_API, 1ull << bit, 0 };
		if (ioctl(made, UFFDIO_API, &api) == -1)
			printf("%d: %s\n", bit, error_name(errno));
		else
			printf("%d: %#llx %#llx\n", bit, (unsigned long long)api.features, (unsigned long long)api.ioctls);
		char path[64], text[256] = "";
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", made);
		int info = (int)MUST(open(path, O_RDONLY));
		MUST(read(info, text, sizeof text - 1));
		close(info);
		char *line = strstr(text, "pending");
		printf("%s", line ? line : "nothing\n");
		close(made);
	}
	registered(ALL_EVENTS);
	begin(drop);
	char path[64], text[256] = "";
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	int info = (int)MUST(open(path, O_RDONLY));
	MUST(read(info, text, sizeof text - 1));
	close(info);
	printf("%s", strstr(text, "pending"));
	show_event();
	end();
	close(fd);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	calls();
	unmapping();
	moving();
	removing();
	forking();
	killing();
	return 0;
}
