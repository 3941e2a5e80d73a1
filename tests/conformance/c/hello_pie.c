/* Covers: static position-independent programs: relocation by the program itself, randomised places, the auxiliary vector. */
#include <elf.h>
#include <sys/auxv.h>
#include "case.h"

static int data = 5;
static int *pointer = &data;

int main(int argc, char **argv)
{
	printf("data %d, argc %d\n", *pointer, argc);
	CHECK(getauxval(AT_PAGESZ) == PAGE);
	CHECK(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 2 && getauxval(AT_PHENT) == 56);
	CHECK(getauxval(AT_ENTRY) != 0);
	CHECK(getauxval(AT_RANDOM) != 0);
	CHECK(getauxval(AT_SYSINFO_EHDR) != 0);
	CHECK(getauxval(AT_BASE) == 0);
	printf("uid %ld euid %ld gid %ld egid %ld secure %ld clock %ld\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID),
		getauxval(AT_EGID), getauxval(AT_SECURE), getauxval(AT_CLKTCK));
	printf("program %s\n", (char *)getauxval(AT_EXECFN));
	printf("platform %s\n", (char *)getauxval(AT_PLATFORM));
	/* Two runs lie at different places. */
	if (argc == 1) {
		int p[2];
		void *places[2] = { 0, 0 };
		for (int i = 0; i < 2; i++) {
			MUST(pipe(p));
			if (MUST(fork()) == 0) {
				dup2(p[1], 1);
				execl("/proc/self/exe", argv[0], "where", NULL);
				_exit(1);
			}
			close(p[1]);
			char text[1000] = { 0 };
			long n, total = 0;
			while ((n = read(p[0], text + total, sizeof text - 1 - total)) > 0)
				total += n;
			char *at = strstr(text, "place ");
			if (at)
				sscanf(at, "place %p", &places[i]);
			wait(0);
		}
		CHECK(places[0] && places[1] && places[0] != places[1]);
	} else {
		printf("place %p\n", (void *)main);
	}
	return 0;
}
