/*
 * Covers: prctl (PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL): each kind of speculation, what may be chosen, the order of errors, over
 * fork and execve; what /proc/PID/status says of it; seccomp's SECCOMP_FILTER_FLAG_SPEC_ALLOW beside it.
 */
#include "case.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#ifndef PR_GET_SPECULATION_CTRL
#define PR_GET_SPECULATION_CTRL 52
#define PR_SET_SPECULATION_CTRL 53
#endif
#define STORE_BYPASS 0
#define INDIRECT_BRANCH 1
#define L1D_FLUSH 2

#define GET(...) syscall(SYS_prctl, PR_GET_SPECULATION_CTRL, __VA_ARGS__)
#define SET(...) syscall(SYS_prctl, PR_SET_SPECULATION_CTRL, __VA_ARGS__)

static void show_status_lines(const char *who)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");
	int near = 0;
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, "Spec", 4) == 0 || strncmp(line, "Seccomp", 7) == 0 || near > 0)
			printf("%s: %s", who, line);
		near = strncmp(line, "Spec", 4) == 0;
	}
	fclose(file);
}

static void try_all(void)
{
	for (long kind = -1; kind < 5; kind++) {
		long result = GET(kind, 0, 0, 0);
		printf("kind %ld: %ld %s\n", kind, result, result < 0 ? error_name(errno) : "");
		for (long control = 0; control <= 32; control = control ? control * 2 : 1) {
			result = SET(kind, control, 0, 0);
			printf("kind %ld, set to %ld: %ld %s, is %ld\n", kind, control, result, result < 0 ? error_name(errno) : "", GET(kind, 0, 0, 0));
		}
		result = SET(kind, 6, 0, 0);
		printf("kind %ld, set to 6: %ld %s\n", kind, result, result < 0 ? error_name(errno) : "");
		result = SET(kind, -1, 0, 0);
		printf("kind %ld, set to -1: %ld %s\n", kind, result, result < 0 ? error_name(errno) : "");
		result = SET(kind, 0x100000002, 0, 0);
		printf("kind %ld, set to more than 32 bits: %ld %s\n", kind, result, result < 0 ? error_name(errno) : "");
	}
}

static void add_filter(unsigned flags)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, code };
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		for (long kind = 0; kind < 3; kind++)
			SHOW(GET(kind, 0, 0, 0));
		show_status_lines("the next program");
		return 0;
	}
	show_status_lines("at first");
	try_all();
	for (int at = 0; at < 3; at++) {
		long one[3] = { at == 0, at == 1, at == 2 };
		SHOW(GET(STORE_BYPASS, one[0], one[1], one[2]));
		SHOW(GET(99, one[0], one[1], one[2]));
		SHOW(SET(STORE_BYPASS, one[0], one[1], one[2]));
		SHOW(SET(99, one[0], one[1], one[2]));
	}
	SHOW(GET(0x100000000, 0, 0, 0));
	SHOW(SET(0x100000000, 2, 0, 0));
	SHOW(SET(INDIRECT_BRANCH, 2, 0, 0));
	SHOW(SET(INDIRECT_BRANCH, 0x100000002, 0, 0));
	SHOW(SET(L1D_FLUSH, 2, 0, 0));
	show_status_lines("then");
	IN_CHILD(for (long kind = 0; kind < 3; kind++) SHOW(GET(kind, 0, 0, 0)); show_status_lines("child"));
	IN_CHILD(execl("/proc/self/exe", "mitigations", "exec", NULL));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	IN_CHILD(add_filter(SECCOMP_FILTER_FLAG_SPEC_ALLOW); show_status_lines("filtered"); try_all());
	IN_CHILD(add_filter(0); show_status_lines("filtered"); for (long kind = 0; kind < 3; kind++) SHOW(GET(kind, 0, 0, 0)); try_all());
	IN_CHILD(setuid(1000); try_all());
	return 0;
}
