/* clone3(2): set_tid, with which the caller chooses the child's number. */
#include <grp.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include "case.h"

static pid_t free_number; /* high, where nobody is */

static long make(struct clone_args *arguments, size_t size)
{
	long pid = syscall(SYS_clone3, arguments, size);
	if (pid == 0)
		_exit(getpid() == free_number ? 7 : 8);
	return pid;
}

static void attempt(const char *what, const void *numbers, uint64_t count, size_t size)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)numbers, .set_tid_size = count };
	errno = 0;
	fflush(stdout);
	long pid = make(&arguments, size);
	if (pid < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	int status;
	MUST(waitpid((pid_t)pid, &status, 0));
	printf("%s: %s, exited with %d\n", what, pid == free_number ? "the number" : "another number", WEXITSTATUS(status));
}

static void all(const char *who)
{
	pid_t number[33] = { free_number };
	pid_t pair[2] = { free_number, 1 };
	printf("== %s\n", who);
	attempt("none", 0, 0, sizeof(struct clone_args));
	attempt("one", number, 1, sizeof(struct clone_args));
	attempt("one, of 80 bytes", number, 1, 80);
	attempt("one, of 64 bytes", number, 1, 64);
	attempt("again", number, 1, sizeof(struct clone_args));
	attempt("two", pair, 2, sizeof(struct clone_args));
	attempt("32", number, 32, sizeof(struct clone_args));
	attempt("33", number, 33, sizeof(struct clone_args));
	attempt("2^63", number, 1ull << 63, sizeof(struct clone_args));
	attempt("a place and no number", number, 0, sizeof(struct clone_args));
	attempt("a number without a place", 0, 1, sizeof(struct clone_args));
	attempt("a bad place", (void *)8, 1, sizeof(struct clone_args));
	static const pid_t bad[] = { 0, -1, 1, 1 << 22, 0x7fffffff };
	for (int i = 0; i < 5; i++) {
		char what[32];
		snprintf(what, sizeof what, "number %d", bad[i]);
		attempt(what, &bad[i], 1, sizeof(struct clone_args));
	}
	number[0] = getpid();
	attempt("its own", number, 1, sizeof(struct clone_args));
}

/* A number that a group bears still, though its leader is gone. */
static void group(void)
{
	int status, ready[2];
	char c;
	pid_t number[1] = { free_number };
	struct clone_args arguments = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)number, .set_tid_size = 1 };
	MUST(pipe(ready));
	fflush(stdout);
	pid_t leader = (pid_t)MUST(syscall(SYS_clone3, &arguments, sizeof arguments));
	if (leader == 0) {
		setpgid(0, 0);
		if (fork() == 0) {
			write(ready[1], "x", 1);
			for (;;) pause();
		}
		_exit(0);
	}
	MUST(read(ready[0], &c, 1));
	MUST(waitpid(leader, &status, 0));
	attempt("of a group", number, 1, sizeof arguments);
	MUST(kill(-leader, SIGKILL));
	for (int i = 0; i < 30000 && kill(-leader, 0) == 0; i++)
		usleep(1000);
	attempt("when the group is gone", number, 1, sizeof arguments);
}

static void without(const char *who, uint64_t kept)
{
	struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
	struct { uint32_t effective, permitted, inheritable; } data[2] = {
		{ (uint32_t)kept, (uint32_t)kept, 0 }, { (uint32_t)(kept >> 32), (uint32_t)(kept >> 32), 0 } };
	IN_CHILD(MUST(syscall(SYS_capset, &header, data)); all(who));
}

int main(void)
{
	for (free_number = 32000; kill(free_number, 0) == 0 || kill(-free_number, 0) == 0; free_number--)
		;
	all("root");
	group();
	without("no capabilities", 0);
	without("CAP_SYS_ADMIN", 1ull << 21);
	without("CAP_CHECKPOINT_RESTORE", 1ull << 40);
	pid_t next = (pid_t)MUST(fork());
	if (next == 0)
		_exit(0);
	MUST(waitpid(next, 0, 0));
	CHECK(next < 32000);
	return 0;
}
