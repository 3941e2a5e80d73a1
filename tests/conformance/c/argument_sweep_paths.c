/* Covers: calls on descriptors and in directories with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(dup3, "fNg"), CALL(dup2, "fN"), CALL(fcntl, "fii"), CALL(getdents64, "fpz"),
	CALL(getdents, "fpz"), CALL(fstat, "fp"), CALL(newfstatat, "dspg"), CALL(statx, "dsggp"), CALL(fstatfs, "fp"), CALL(statfs, "sp"),
	CALL(access, "si"), CALL(faccessat, "dsi"), CALL(faccessat2, "dsig"), CALL(openat, "dsgm"), CALL(openat2, "dsqz"), CALL(creat, "sm"),
	CALL(mknodat, "dsmi"), CALL(mkdirat, "dsm"), CALL(symlinkat, "sds"), CALL(linkat, "dsdsg"), CALL(unlinkat, "dsg"), CALL(renameat2, "dsdsg"),
	CALL(readlinkat, "dspz"),
};

int main(void)
{
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
