/* What a program that `fuzz_calls show` prints needs to run by itself; `crowd` is to be filled with what it uses. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int crowd[32];
static long r[64];

static void on_signal(int signo) { (void)signo; }
static void restore(void) { __asm__("mov $15, %eax; syscall"); }

static void put(uint64_t address, uint64_t value, int width) { memcpy((void *)address, &value, width); }
static void bytes(uint64_t address, int size, const char *source) { memcpy((void *)address, source, size); }
static void text(uint64_t address, const char *string) { strcpy((void *)address, string); }

static void fill(uint64_t address, uint64_t pattern, int size)
{
	for (int i = 0; i < size; i++)
		((unsigned char *)address)[i] = pattern >> i % 61;
}

static void fail_nth(int n)
{
	int fd = open("/proc/self/fail-nth", O_WRONLY);
	dprintf(fd, "%d", n);
	close(fd);
}

static void prepare(void)
{
	mmap((void *)0x200000000, 64 << 12, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x200050000, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x300000000, 32 << 12, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
