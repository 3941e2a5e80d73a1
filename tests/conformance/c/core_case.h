/* What the cases about core files share. */
#ifndef CORE_CASE_H
#define CORE_CASE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/resource.h>
#include "case.h"

static inline void set_limit(rlim_t bytes)
{
	struct rlimit limit = { bytes, RLIM_INFINITY };
	MUST(setrlimit(RLIMIT_CORE, &limit));
}

static inline void show_core_end(pid_t child)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	int status;
	MUST(waitpid(child, &status, 0));
	if (WIFSIGNALED(status))
		printf("signal %d, core %d, code %d, status %d\n", WTERMSIG(status), !!WCOREDUMP(status), info.si_code, info.si_status);
	else
		show_status(status);
}

/* Run a block in a child that may leave a core file, and say how it ended. */
#define DUMPING(...) ({ \
	fflush(stdout); \
	pid_t child_ = (pid_t)MUST(fork()); \
	if (child_ == 0) { set_limit(RLIM_INFINITY); __VA_ARGS__; fflush(stdout); _exit(0); } \
	show_core_end(child_); \
	child_; })
#endif
