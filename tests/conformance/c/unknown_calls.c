/* Covers: numbers of system calls that do not exist, in the table's gaps, past it, negative and huge; the upper half of a number; the x32 bit. */
#include "case.h"

static long raw(uint64_t number)
{
	long result;
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register long r9 __asm__("r9") = 0;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(0L), "S"(0L), "d"(0L), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}

static void show(uint64_t number)
{
	long result = raw(number);
	printf("%#lx: %s\n", (long)number, result < 0 ? error_name((int)-result) : "ok");
}

int main(void)
{
	static const uint64_t numbers[] = {
		156, 174, 177, 178, 180, 181, 182, 183, 184, 185, 205, 211, 212, 214, 215, 236, 336, 340, 350, 386, 423, 463 + 20, 500, 511, 512, 547, 548, 1000, 65535,
		1u << 20, 0x7fffffff, 0x80000000u, 0xffffffffu, (uint64_t)-1, (uint64_t)-2, 1ull << 63, 0x40000000u, 0x40000027u, 0x4000ffffu,
		(1ull << 32) + 39, (1ull << 40) | 102,
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		show(numbers[i]);
	return 0;
}
