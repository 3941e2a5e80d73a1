/* Covers: hostile input: processes that take all memory are killed or refused; the rest lives. RLIMIT_AS, RLIMIT_DATA. */
#include <sys/resource.h>
#include "case.h"

int main(void)
{
	/* By address space limit: refused. */
	IN_CHILD(
		struct rlimit limit = { 64 << 20, 64 << 20 };
		MUST(setrlimit(RLIMIT_AS, &limit));
		int blocks = 0;
		while (mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
			blocks++;
		printf("%s then %s\n", blocks > 40 && blocks < 64 ? "about sixty blocks" : "other", error_name(errno));
	);
	/* Really used, without a limit: killed. */
	for (int round = 0; round < 2; round++)
		IN_CHILD(
			for (;;) {
				char *block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
				if (block == MAP_FAILED)
					raise(SIGKILL); /* refusing is as good as killing */
				memset(block, 1, 1 << 20);
			}
		);
	IN_CHILD(execl("/bin/echo", "echo", "others still run", NULL));
	return 0;
}
