/* Yama: /proc/sys/kernel/yama/ptrace_scope and prctl(PR_SET_PTRACER). It is 0 when the case begins and ends; 3 cannot be
 * taken back, so nobody sets it here.
 */
#include <sys/fsuid.h>
#include "ptrace_case.h"

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif
#define SCOPE "/proc/sys/kernel/yama/ptrace_scope"

static int set_scope(const char *text)
{
	int fd = open(SCOPE, O_WRONLY);
	if (fd < 0)
		return -1;
	long result = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return result < 0 ? -1 : 0;
}

static void show_scope(void)
{
	char text[32] = "";
	int fd = (int)MUST(open(SCOPE, O_RDONLY));
	struct stat status;
	MUST(fstat(fd, &status));
	MUST(read(fd, text, sizeof text - 1));
	close(fd);
	printf("mode %o, scope %s", status.st_mode & 0777, text);
}

static void become(uid_t uid)
{
	MUST(setgid(uid));
	MUST(setuid(uid));
	MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static void show_opening(const char *name, pid_t pid, int bytes)
{
	char path[64], text[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY);
	printf("%s: %s", name, fd < 0 ? error_name(errno) : "opened");
	if (fd >= 0 && bytes) {
		errno = 0;
		ssize_t n = read(fd, text, bytes);
		printf(", %s", n < 0 ? error_name(errno) : "read");
	}
	printf("\n");
	if (fd >= 0)
		close(fd);
}

/* All ways to take hold of a process, and some to look at it. */
static void try_all(pid_t target)
{
	int word, status;
	struct iovec mine = { &word, sizeof word }, its = { (void *)&set_scope, sizeof word };
	TRY(syscall(SYS_process_vm_readv, target, &mine, 1, &its, 1, 0));
	show_opening("mem", target, 0);
	show_opening("syscall", target, 8);
	show_opening("personality", target, 8);
	show_opening("environ", target, 0);
	show_opening("maps", target, 0);
	show_opening("auxv", target, 0);
	TRY(syscall(SYS_kcmp, target, target, 1, 0, 0));
	int pidfd = (int)syscall(SYS_pidfd_open, target, 0);
	TRY(syscall(SYS_pidfd_getfd, pidfd, 1, 0));
	close(pidfd);
	long result = TRY(trace(PTRACE_SEIZE, target, 0, 0));
	if (result == 0) {
		MUST(trace(PTRACE_INTERRUPT, target, 0, 0));
		MUST(waitpid(target, &status, __WALL));
		TRY(syscall(SYS_process_vm_readv, target, &mine, 1, &its, 1, 0));
		MUST(trace(PTRACE_DETACH, target, 0, 0));
	}
}

/* A process of a user that names its tracer, and waits. */
static pid_t start(uid_t uid, long named, pid_t self)
{
	int ready[2];
	char c;
	MUST(pipe(ready));
	pid_t target = (pid_t)MUST(fork());
	if (target == 0) {
		become(uid);
		if (named)
			MUST(prctl(PR_SET_PTRACER, named == 1 ? self : named, 0, 0, 0));
		write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	MUST(read(ready[0], &c, 1));
	close(ready[0]);
	close(ready[1]);
	return target;
}

static void relatives(const char *scope)
{
	printf("== scope %s\n", scope);
	MUST(set_scope(scope));
	printf("-- a sibling\n");
	pid_t target = start(1000, 0, 0);
	IN_CHILD(become(1000); try_all(target));
	printf("-- a sibling, by root\n");
	IN_CHILD(try_all(target));
	finish(target);
	printf("-- a child\n");
	IN_CHILD(become(1000); pid_t child = start(1000, 0, 0); try_all(child); finish(child));
	printf("-- a grandchild\n");
	IN_CHILD(
		become(1000);
		int numbers[2];
		pid_t grandchild;
		MUST(pipe(numbers));
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			grandchild = start(1000, 0, 0);
			write(numbers[1], &grandchild, sizeof grandchild);
			for (;;) pause();
		}
		MUST(read(numbers[0], &grandchild, sizeof grandchild));
		TRY(trace(PTRACE_ATTACH, grandchild, 0, 0));
		printf("-- its child was let go\n");
		kill(grandchild, SIGKILL);
		finish(child));
	printf("-- anybody was named\n");
	target = start(1000, -1, 0);
	IN_CHILD(become(1000); try_all(target));
	printf("-- another user\n");
	IN_CHILD(become(1001); TRY(trace(PTRACE_ATTACH, target, 0, 0)));
	finish(target);
	printf("-- the common ancestor was named\n");
	target = start(1000, 1, getpid());
	IN_CHILD(become(1000); TRY(trace(PTRACE_ATTACH, target, 0, 0)));
	finish(target);
	printf("-- another sibling was named\n");
	pid_t other = start(1000, 0, 0);
	target = start(1000, 1, other);
	IN_CHILD(become(1000); TRY(trace(PTRACE_ATTACH, target, 0, 0)));
	finish(other);
	finish(target);
	printf("-- the parent traces\n");
	IN_CHILD(
		become(1000);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			TRY(trace(PTRACE_TRACEME, 0, 0, 0));
			_exit(0);
		}
		await("child", child));
	printf("-- root's child\n");
	IN_CHILD(
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			TRY(trace(PTRACE_TRACEME, 0, 0, 0));
			_exit(0);
		}
		await("child", child));
	printf("-- into itself\n");
	IN_CHILD(
		become(1000);
		show_opening("mem", getpid(), 0);
		show_opening("syscall", getpid(), 8));
}

/* Named by its own parent, and taken back; a fork forgets it. */
static void names(void)
{
	printf("== naming\n");
	MUST(set_scope("1"));
	SHOW(prctl(PR_SET_PTRACER, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_PTRACER, -1L, 0, 0, 0));
	SHOW(prctl(PR_SET_PTRACER, 0xffffffffL, 0, 0, 0));
	SHOW(prctl(PR_SET_PTRACER, -2L, 0, 0, 0));
	SHOW(prctl(PR_SET_PTRACER, 4000000L, 0, 0, 0));
	SHOW(prctl(PR_SET_PTRACER, getpid(), 7, 7, 7));
	IN_CHILD(
		become(1000);
		MUST(prctl(PR_SET_PTRACER, -1L, 0, 0, 0));
		pid_t heir = start(1000, 0, 0);
		pid_t self = getpid();
		IN_CHILD(TRY(trace(PTRACE_SEIZE, heir, 0, 0)); TRY(trace(PTRACE_SEIZE, self, 0, 0)));
		MUST(prctl(PR_SET_PTRACER, 0, 0, 0, 0));
		IN_CHILD(TRY(trace(PTRACE_SEIZE, self, 0, 0)));
		finish(heir));
}

int main(void)
{
	show_scope();
	SHOW(set_scope("4"));
	SHOW(set_scope("-1"));
	SHOW(set_scope("x"));
	IN_CHILD(MUST(setfsuid(1000)); TRY(open(SCOPE, O_WRONLY)));
	IN_CHILD(
		int fd = (int)MUST(open(SCOPE, O_WRONLY));
		MUST(setuid(1000));
		errno = 0;
		printf("a user writes: %s\n", write(fd, "1", 1) < 0 ? error_name(errno) : "ok"));
	show_scope();
	relatives("0");
	relatives("1");
	relatives("2");
	names();
	MUST(set_scope("0"));
	show_scope();
	return 0;
}
