/* Threads touch memory whose faults are served, while it is mapped anew, protected, forked and given to another file. */
#include "case.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#define PAGES 32
#define TOUCHERS 3
#define ROUNDS 400

static char *memory;
static char page[PAGE] __attribute__((aligned(PAGE)));
static volatile int fd = -1, over;
static int null, file;

static unsigned next_number(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static void *touch(void *seed)
{
	unsigned state = (unsigned)(uintptr_t)seed;
	while (!over) {
		volatile char *at = memory + next_number(&state) % PAGES * PAGE;
		switch (next_number(&state) % 4) {
		case 0: *at = 't'; break;
		case 1: (void)*at; break;
		case 2: pwrite(file, (void *)at, 1, 0); break;
		default: read(null, (void *)at, 1); break;
		}
	}
	return NULL;
}

/* Serve what is asked for, in one way or another. */
static void *serve(void *unused)
{
	(void)unused;
	unsigned state = 5;
	while (!over) {
		int now = fd;
		struct pollfd poller = { now, POLLIN, 0 };
		struct uffd_msg m;
		if (poll(&poller, 1, 2) <= 0 || read(now, &m, sizeof m) != sizeof m)
			continue;
		uint64_t at = m.arg.pagefault.address & -(uint64_t)PAGE;
		struct uffdio_writeprotect free_again = { { at, PAGE }, 0 };
		struct uffdio_copy copied = { at, (uint64_t)(uintptr_t)page, PAGE, 0, 0 };
		struct uffdio_zeropage zeroed = { { at, PAGE }, 0, 0 };
		struct uffdio_range woken = { at, PAGE };
		if (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
			ioctl(now, UFFDIO_WRITEPROTECT, &free_again);
		else if (next_number(&state) & 1)
			ioctl(now, UFFDIO_COPY, &copied);
		else
			ioctl(now, UFFDIO_ZEROPAGE, &zeroed);
		ioctl(now, UFFDIO_WAKE, &woken);
	}
	return NULL;
}

static void begin(void)
{
	int made = (int)MUST(syscall(SYS_userfaultfd, O_NONBLOCK | O_CLOEXEC));
	struct uffdio_api api = { UFFD_API, UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0 };
	MUST(ioctl(made, UFFDIO_API, &api));
	fd = made;
}

static void upset(unsigned *state)
{
	char *at = memory + next_number(state) % (PAGES / 2) * PAGE;
	size_t length = (1 + next_number(state) % (PAGES / 2)) * PAGE;
	struct uffdio_range range = { (uint64_t)(uintptr_t)at, length };
	struct uffdio_register registered = { range, 1 + next_number(state) % 3, 0 };
	struct uffdio_writeprotect protected = { range, UFFDIO_WRITEPROTECT_MODE_WP };
	pid_t child;
	int old;
	switch (next_number(state) % 10) {
	case 0: case 1: case 2: ioctl(fd, UFFDIO_REGISTER, &registered); break;
	case 3: ioctl(fd, UFFDIO_UNREGISTER, &range); break;
	case 4: case 5: ioctl(fd, UFFDIO_WRITEPROTECT, &protected); break;
	case 6: madvise(at, length, MADV_DONTNEED); break;
	case 7: mmap(at, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
	case 8:
		child = (pid_t)MUST(fork());
		if (child == 0) {
			*(volatile char *)at = 'c';
			_exit(*(volatile char *)at != 'c');
		}
		int status;
		MUST(waitpid(child, &status, 0));
		if (status != 0)
			printf("a child: %#x\n", status);
		break;
	default:
		old = fd;
		begin();
		close(old);
	}
	struct uffdio_range all = { (uint64_t)(uintptr_t)memory, PAGES * PAGE };
	ioctl(fd, UFFDIO_WAKE, &all); /* what was mapped anew nobody serves */
}

int main(void)
{
	pthread_t threads[TOUCHERS + 1];
	unsigned state = 1;
	memset(page, 's', sizeof page);
	null = (int)MUST(open("/dev/zero", O_RDWR));
	file = (int)MUST(syscall(SYS_memfd_create, "m", 0));
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	begin();
	for (int i = 0; i < TOUCHERS; i++)
		pthread_create(&threads[i], NULL, touch, (void *)(uintptr_t)(i + 2));
	pthread_create(&threads[TOUCHERS], NULL, serve, NULL);
	for (int round = 0; round < ROUNDS; round++)
		upset(&state);
	over = 1;
	close(fd);
	for (int i = 0; i <= TOUCHERS; i++)
		pthread_join(threads[i], NULL);
	printf("over\n");
	return 0;
}
