/*
 * Covers: mapping the vDSO anew (arch_prctl(2), ARCH_MAP_VDSO_64) in a program that has unmapped all of it or a part, where it lands, and
 * whether it works there.
 */
#include <elf.h>
#include <sys/auxv.h>
#include "case.h"

#define MAP_VDSO 0x2003

static unsigned long starts[2], ends[2]; /* of the data and of the code */

static void find(void)
{
	char line[300];
	FILE *maps = fopen("/proc/self/maps", "r");
	memset(starts, 0, sizeof starts), memset(ends, 0, sizeof ends);
	while (fgets(line, sizeof line, maps)) {
		int which = strstr(line, "[vdso]") ? 1 : strstr(line, "[vvar") ? 0 : -1;
		unsigned long start, end;
		if (which < 0)
			continue;
		sscanf(line, "%lx-%lx", &start, &end);
		if (!starts[which])
			starts[which] = start;
		ends[which] = end;
	}
	fclose(maps);
	printf("data: %s, code: %s\n", starts[0] ? "there" : "none", starts[1] ? "there" : "none");
}

static void again(unsigned long hint)
{
	errno = 0;
	long size = syscall(SYS_arch_prctl, MAP_VDSO, hint);
	printf("again: %s\n", size < 0 ? error_name(errno) : size >= PAGE && size % 8 == 0 ? "a size" : "no size");
	find();
	if (size > 0) {
		CHECK(memcmp((void *)starts[1], ELFMAG, SELFMAG) == 0);
		CHECK(hint == 0 || starts[0] == hint);
		CHECK(ends[0] <= starts[1]);
	}
}

int main(void)
{
	find();
	again(0);
	MUST(munmap((void *)starts[1], ends[1] - starts[1]));
	find();
	again(0);
	MUST(munmap((void *)starts[0], ends[0] - starts[0]));
	find();
	again(0);
	again(0);
	MUST(munmap((void *)starts[1], ends[1] - starts[1]));
	MUST(munmap((void *)starts[0], ends[0] - starts[0]));
	again(0x500000000000);
	IN_CHILD(find(); again(0));
	return 0;
}
