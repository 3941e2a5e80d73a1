/* ptrace(2): who may trace whom, and that a traced program gains no rights by execve. */
#include <sys/fsuid.h>
#include "ptrace_case.h"

static int errors;

static void become(uid_t uid)
{
	MUST(setgid(uid));
	MUST(setuid(uid));
	MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); /* changing ids made it not so */
}

/* A tracer of `tracer_uid` tries a target whose real, effective and saved ids are given. */
static void attempt(const char *what, uid_t tracer_uid, uid_t real, uid_t effective, uid_t saved, int dumpable)
{
	int ready[2];
	char c;
	MUST(pipe(ready));
	pid_t target = (pid_t)MUST(fork());
	if (target == 0) {
		MUST(setresgid(real, effective, saved));
		MUST(setresuid(real, effective, saved));
		MUST(prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0));
		write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	MUST(read(ready[0], &c, 1));
	printf("%s:\n", what);
	IN_CHILD(
		if (tracer_uid) become(tracer_uid);
		long result = TRY(trace(PTRACE_ATTACH, target, 0, 0));
		if (result == 0) {
			await("target", target);
			long word;
			TRY(trace_p(PTRACE_PEEKDATA, target, (void *)&errors, &word));
			TRY(trace(PTRACE_DETACH, target, 0, 0));
		});
	finish(target);
	close(ready[0]);
	close(ready[1]);
}



static void attempts(void)
{
	attempt("root", 0, 1000, 1000, 1000, 1);
	attempt("root, not dumpable", 0, 1000, 1000, 1000, 0);
	attempt("the same user", 1000, 1000, 1000, 1000, 1);
	attempt("the same user, not dumpable", 1000, 1000, 1000, 1000, 0);
	attempt("another user", 1001, 1000, 1000, 1000, 1);
	attempt("another effective id", 1000, 1000, 1001, 1000, 1);
	attempt("another saved id", 1000, 1000, 1000, 1001, 1);
	attempt("root's", 1000, 0, 0, 0, 1);
}

/* What becomes not dumpable while it is traced is closed to those without the capability. */
static void closing(uid_t uid)
{
	printf("== not dumpable any more, user %d\n", (int)uid);
	IN_CHILD(
		if (uid) become(uid);
		pid_t child = TRACED_CHILD(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); kill(getpid(), SIGSTOP));
		long word;
		SHOW(trace_p(PTRACE_PEEKDATA, child, (void *)&errors, &word));
		MUST(trace(PTRACE_CONT, child, 0, 0));
		await("child", child);
		SHOW(trace_p(PTRACE_PEEKDATA, child, (void *)&errors, &word));
		SHOW(trace_p(PTRACE_POKEDATA, child, (void *)&errors, 0));
		printf("registers %d\n", registers_of(child).rip != 0);
		MUST(trace(PTRACE_CONT, child, 0, 0));
		await("child", child));
}

/* A program that root's bit makes root, started by a traced thread of user 1000. */
static void set_id(int traced, uid_t tracer)
{
	printf("== a set-user-ID program, %s\n", !traced ? "not traced" : tracer ? "traced by a user" : "traced by root");
	IN_CHILD(
		if (tracer) become(tracer);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			if (!tracer) become(1000);
			if (traced) {
				if (tracer) MUST(trace(PTRACE_TRACEME, 0, 0, 0));
				kill(getpid(), SIGSTOP);
			}
			execl("/tmp/ptrace_set_id", "ptrace_set_id", "show", (char *)0);
			_exit(99);
		}
		if (traced) {
			int status;
			if (!tracer) {
				MUST(waitpid(child, &status, WUNTRACED));
				MUST(trace(PTRACE_SEIZE, child, 0, 0));
				MUST(waitpid(child, &status, 0));
				MUST(kill(child, SIGCONT));
			} else
				MUST(waitpid(child, &status, 0));
			while (WIFSTOPPED(status)) {
				MUST(trace(PTRACE_CONT, child, 0, WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status)));
				MUST(waitpid(child, &status, 0));
			}
		} else
			await("child", child));
}

/* The same, where root was the parent when the thread asked to be traced, and has given that up since. */
static void set_id_under_former_root(void)
{
	printf("== a set-user-ID program, traced by one that was root\n");
	IN_CHILD(
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			become(1000);
			MUST(trace(PTRACE_TRACEME, 0, 0, 0));
			kill(getpid(), SIGSTOP);
			execl("/tmp/ptrace_set_id", "ptrace_set_id", "show", (char *)0);
			_exit(99);
		}
		int status;
		MUST(waitpid(child, &status, 0));
		become(1000);
		while (WIFSTOPPED(status)) {
			MUST(trace(PTRACE_CONT, child, 0, WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status)));
			MUST(waitpid(child, &status, 0));
		});
}

static void copy_self(void)
{
	char buffer[65536];
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY)), to = (int)MUST(open("/tmp/ptrace_set_id", O_WRONLY | O_CREAT | O_TRUNC, 0755));
	ssize_t n;
	while ((n = read(from, buffer, sizeof buffer)) > 0)
		MUST(write(to, buffer, n));
	MUST(fchmod(to, 04755));
	close(from);
	close(to);
}

int main(int count, char **arguments)
{
	if (count > 1 && strcmp(arguments[1], "show") == 0) {
		printf("uid %d euid %d dumpable %d\n", (int)getuid(), (int)geteuid(), prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
		return 0;
	}
	attempts();
	closing(0);
	closing(1000);
	copy_self();
	set_id(0, 1000);
	set_id(1, 1000);
	set_id(1, 0);
	set_id_under_former_root();
	unlink("/tmp/ptrace_set_id");
	return 0;
}
