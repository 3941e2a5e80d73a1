/* Filters for system calls, as the cases about seccomp(2) make them. */
#ifndef SECCOMP_CASE_H
#define SECCOMP_CASE_H
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include "case.h"

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The call that filters say something about: root's answer is 0. */
#define VICTIM SYS_getuid
#define victim() syscall(VICTIM)

static inline long add_filter(unsigned flags, struct sock_filter *code, size_t count)
{
	struct sock_fprog program = { (unsigned short)count, code };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* A filter that answers one call so and allows the others. */
static inline long answer_call(unsigned flags, int number, unsigned answer)
{
	struct sock_filter code[] = { LOAD(0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1), ANSWER(answer), ANSWER(SECCOMP_RET_ALLOW) };
	return add_filter(flags, code, COUNT(code));
}

static inline void show_lines(const char *path, const char *prefix)
{
	char line[256];
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, prefix, strlen(prefix)))
			fputs(line, stdout);
	if (file)
		fclose(file);
}
#endif
