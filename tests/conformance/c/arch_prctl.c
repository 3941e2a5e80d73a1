/* arch_prctl(2): segment bases, CPUID faulting, the states of XSAVE, tagged addresses, and codes that nobody knows.
 * Covers: arch_prctl.
 */
#include "case.h"
#include <sys/syscall.h>

static long call(long code, unsigned long argument)
{
	errno = 0;
	return syscall(SYS_arch_prctl, code, argument);
}

static void show(const char *name, long code, unsigned long argument)
{
	long result = call(code, argument);
	printf("%s: %ld errno %d\n", name, result, errno);
}

int main(void)
{
	unsigned long value, old;
	show("get gs", 0x1004, (unsigned long)&value);
	show("set gs", 0x1001, 0x123456789000);
	call(0x1004, (unsigned long)&value);
	printf("gs %lx\n", value);
	show("set gs beyond the user half", 0x1001, 0x800000000000);
	show("set gs to the last page", 0x1001, 0x7ffffffff000);
	show("set gs negative", 0x1001, -1);
	call(0x1003, (unsigned long)&old);
	printf("fs is there %d\n", old != 0);
	show("set fs to what it is", 0x1002, old);
	show("set fs negative", 0x1002, -4096);
	show("get fs to nowhere", 0x1003, 8);
	show("get fs to the kernel", 0x1003, -4096);
	show("get cpuid", 0x1011, 0);
	show("set cpuid off", 0x1012, 0);
	show("set cpuid on", 0x1012, 1);
	for (long code = 0x1021; code <= 0x1026; code++) {
		value = 0x5555;
		long result = call(code, code == 0x1023 || code == 0x1025 ? 2 : (unsigned long)&value);
		/* Which components there are beyond x87 and SSE is a matter of what the kernel switches on. */
		printf("xcomp %lx: %ld errno %d value %lx\n", code, result, errno, value == 0x5555 ? value : value & 3);
	}
	show("permission for AMX", 0x1023, 18);
	show("permission for number 63", 0x1023, 63);
	show("permission for number 64", 0x1023, 64);
	show("supported states to nowhere", 0x1021, 8);
	for (long code = 0x4001; code <= 0x4005; code++) {
		value = 0x5555;
		long result = call(code, code == 0x4002 ? 6 : (unsigned long)&value);
		printf("tags %lx: %ld errno %d value %lx\n", code, result, errno, value);
	}
	for (long code = 0x2000; code <= 0x2004; code++) {
		show("the vDSO again", code, 0);
		show("the vDSO again, at a place", code, 0x700000000000);
		show("the vDSO again, nowhere", code, -1);
	}
	show("unknown", 0x1005, 0);
	show("unknown", 0x7fffffff, 0);
	show("unknown", 0, 0);
	return 0;
}
