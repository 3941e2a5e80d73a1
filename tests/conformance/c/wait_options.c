/* Covers: wait4, waitid: P_PID P_PGID P_ALL P_PIDFD, WNOHANG WEXITED WSTOPPED WCONTINUED WNOWAIT __WALL __WCLONE __WNOTHREAD; setpgid, getpgid, setsid, getsid;
 * pidfd_open, pidfd_send_signal, pidfd_getfd, clone3 with CLONE_PIDFD; vfork; posix_spawn. */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include "case.h"

#define PIDFD 3

static void show_id(const char *what, long result, siginfo_t *info)
{
	if (result == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: signal %d code %d status %d pid %s\n", what, info->si_signo, info->si_code, info->si_status, info->si_pid ? "given" : "none");
}

static int may_end[2];

/* A child that ends at once; or that stops, and ends when `let_end` was called and it was continued. */
static pid_t child_that(int stops)
{
	char byte;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		if (stops)
			raise(SIGSTOP), read(may_end[0], &byte, 1);
		_exit(stops ? 9 : 4);
	}
	return child;
}

static void let_end(void) { MUST(write(may_end[1], "x", 1)); }

int main(void)
{
	MUST(pipe(may_end));
	siginfo_t info;
	int status;
	SHOW(waitpid(-1, &status, WNOHANG));
	SHOW(syscall(SYS_wait4, -1, &status, 0x100, NULL));
	SHOW(waitpid(99999, &status, 0));
	SHOW(waitpid(-99999, &status, 0));
	SHOW(waitid(P_ALL, 0, &info, WEXITED));
	SHOW(waitid(P_ALL, 0, &info, 0));
	SHOW(waitid(99, 0, &info, WEXITED));
	SHOW(waitid(P_PID, 0, &info, WEXITED));

	pid_t child = child_that(0);
	show_id("WNOWAIT", waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), &info);
	show_id("again", waitid(P_PID, (id_t)child, &info, WEXITED), &info);
	show_id("gone", waitid(P_PID, (id_t)child, &info, WEXITED), &info);
	child = child_that(1);
	show_id("stopped", waitid(P_ALL, 0, &info, WSTOPPED), &info);
	memset(&info, 0xff, sizeof info);
	show_id("no news", waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG), &info);
	SHOW(waitpid(child, &status, WNOHANG));
	SHOW(waitpid(child, &status, WNOHANG | WUNTRACED));
	kill(child, SIGCONT);
	show_id("continued", waitid(P_PID, (id_t)child, &info, WCONTINUED), &info);
	let_end();
	show_end(child);
	child = child_that(1);
	MUST(waitpid(child, &status, WUNTRACED));
	show_status(status);
	kill(child, SIGCONT);
	MUST(waitpid(child, &status, WCONTINUED));
	show_status(status);
	let_end();
	show_end(child);
	child = child_that(0);
	SHOW(waitpid(child, &status, __WCLONE));
	SHOW(waitpid(child, &status, __WALL) == child);
	child = child_that(0);
	SHOW(waitpid(-1, (int *)1, 0));
	SHOW(waitpid(child, &status, WNOHANG));

	/* Groups. */
	child = child_that(1);
	SHOW(setpgid(child, child));
	CHECK(getpgid(child) == child);
	SHOW(waitpid(0, &status, WNOHANG));
	CHECK(waitpid(-child, &status, WUNTRACED) == child);
	show_id("by group", waitid(P_PGID, (id_t)child, &info, WEXITED | WNOHANG), &info);
	SHOW(setpgid(child, 99999));
	SHOW(setpgid(99999, 0));
	SHOW(setpgid(child, -1));
	SHOW(setpgid(-1, 0));
	SHOW(getpgid(99999));
	SHOW(getsid(99999));
	kill(-child, SIGKILL);
	show_end(child);
	IN_CHILD(
		SHOW(setsid() == getpid());
		SHOW(setsid());
		SHOW(setpgid(0, 0));
		CHECK(getsid(0) == getpid() && getpgid(0) == getpid());
		SHOW(setpgid(0, getppid())));
	child = (pid_t)MUST(fork());
	if (child == 0) {
		char *arguments[] = { "true", NULL };
		execv("/bin/busybox", arguments);
		_exit(1);
	}
	until_ended(child);
	SHOW(setpgid(child, child));
	show_end(child);

	/* pidfds. */
	child = child_that(1);
	int fd = (int)syscall(SYS_pidfd_open, child, 0);
	CHECK(fd >= 0);
	SHOW(fcntl(fd, F_GETFD));
	struct pollfd p = { fd, POLLIN, 0 };
	SHOW(poll(&p, 1, 0));
	MUST(waitpid(child, &status, WUNTRACED));
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
	let_end();
	SHOW(poll(&p, 1, 60000));
	printf("revents %d\n", p.revents);
	show_id("by pidfd", waitid(PIDFD, (id_t)fd, &info, WEXITED), &info);
	show_id("by pidfd", waitid(PIDFD, (id_t)fd, &info, WEXITED), &info);
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	SHOW(poll(&p, 1, 0));
	char byte;
	SHOW(read(fd, &byte, 1));
	SHOW(write(fd, &byte, 1));
	close(fd);
	SHOW(syscall(SYS_pidfd_open, child, 0));
	SHOW(syscall(SYS_pidfd_open, 0, 0));
	SHOW(syscall(SYS_pidfd_open, -1, 0));
	SHOW(syscall(SYS_pidfd_open, getpid(), 1));
	SHOW(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, 99, 0, NULL, 0));
	show_id("no pidfd", waitid(PIDFD, 0, &info, WEXITED), &info);
	show_id("no descriptor", waitid(PIDFD, 99, &info, WEXITED), &info);
	fd = (int)syscall(SYS_pidfd_open, getpid(), O_NONBLOCK);
	CHECK(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 16));
	SHOW(syscall(SYS_pidfd_send_signal, fd, 65, NULL, 0));
	siginfo_t queued;
	memset(&queued, 0, sizeof queued);
	queued.si_signo = SIGUSR1;
	queued.si_code = SI_QUEUE;
	queued.si_value.sival_int = 11;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &queued, 0));
	SHOW(sigwaitinfo(&set, &info));
	printf("value %d code %d\n", info.si_value.sival_int, info.si_code);
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &queued, 0));
	put_file("shared", "through a pidfd", 0644);
	int file = (int)MUST(open("shared", O_RDONLY));
	int copy = (int)syscall(SYS_pidfd_getfd, fd, file, 0);
	CHECK(copy >= 0 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
	char text[32] = "";
	if (copy >= 0)
		pread(copy, text, 7, 0);
	printf("%s\n", text);
	SHOW(lseek(copy, 3, SEEK_SET));
	SHOW(lseek(file, 0, SEEK_CUR));
	SHOW(syscall(SYS_pidfd_getfd, fd, 999, 0));
	SHOW(syscall(SYS_pidfd_getfd, fd, file, 1));
	SHOW(syscall(SYS_pidfd_getfd, file, file, 0));

	struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } args;
	memset(&args, 0, sizeof args);
	int made = -1;
	args.flags = 0x1000;
	args.pidfd = (uint64_t)(long)&made;
	args.exit_signal = SIGCHLD;
	fflush(stdout);
	long cloned = syscall(SYS_clone3, &args, sizeof args);
	if (cloned == 0)
		_exit(21);
	CHECK(cloned > 0 && made >= 0);
	SHOW(fcntl(made, F_GETFD));
	show_id("clone3", waitid(PIDFD, (id_t)made, &info, WEXITED), &info);
	cloned = syscall(SYS_clone, 0x1000 | SIGCHLD, 0, &made, 0, 0);
	if (cloned == 0)
		_exit(22);
	show_id("clone", waitid(PIDFD, (id_t)made, &info, WEXITED), &info);
	SHOW(syscall(SYS_clone, 0x1000 | 0x100000 | SIGCHLD, 0, &made, 0, 0));

	/* vfork shares memory and stops the parent; posix_spawn. */
	static volatile int written;
	child = vfork();
	if (child == 0) {
		written = 5;
		_exit(3);
	}
	printf("written %d\n", written);
	show_end(child);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	posix_spawnattr_t attributes;
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	char *echo[] = { "echo", "spawned", NULL };
	SHOW(posix_spawn(&child, "/bin/busybox", &actions, &attributes, echo, NULL));
	show_end(child);
	show_file("out");
	printf("posix_spawn of nothing: %s\n", error_name(posix_spawn(&child, "/none", NULL, NULL, echo, NULL)));
	return 0;
}
