/* io_uring: WAITID. */
#define _GNU_SOURCE
#include "uring_patience.h"
#include <linux/wait.h>

#define OP_WAITID 50

static void show_info(const siginfo_t *i, pid_t child)
{
	printf("  signal %d, code %d, status %d, the child %s\n", i->si_signo, i->si_code, i->si_status, i->si_pid == child ? "yes" : "no");
}

static struct io_uring_sqe *wait_for(struct ring *r, int kind, int number, siginfo_t *info, int options, int data)
{
	struct io_uring_sqe *s = next_sqe(r, OP_WAITID, number, NULL, (unsigned)kind, (unsigned long)info);
	s->file_index = (unsigned)options;
	s->user_data = (unsigned)data;
	if (info)
		memset(info, 0xFF, sizeof *info);
	return s;
}

/* A child that ends with 7 when a byte comes through the pipe. */
static pid_t child_at(int *p)
{
	fflush(stdout);
	MUST(pipe(p));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		char c;
		close(p[1]);
		(void)!read(p[0], &c, 1);
		_exit(7);
	}
	close(p[0]);
	return child;
}

int main(void)
{
	struct ring r;
	siginfo_t i, j;
	struct io_uring_sqe *s;
	int p[2], q[2];
	ring_make(&r, 8, 0, 0);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 1);
	go(&r, "no child", 1);
	pid_t child = child_at(p);
	wait_for(&r, P_PID, child, &i, WEXITED | WNOHANG, 2);
	go(&r, "not yet", 1);
	printf("signal %d\n", i.si_signo);
	wait_for(&r, P_PID, child, &i, WEXITED | WNOWAIT, 3);
	go(&r, "wait", 0);
	MUST(write(p[1], "x", 1));
	go(&r, "it ended", 1);
	show_info(&i, child);
	wait_for(&r, P_PGID, 0, &i, WEXITED, 4);
	go(&r, "reaped", 1);
	show_info(&i, child);
	wait_for(&r, P_PID, child, &i, WEXITED, 5);
	go(&r, "gone", 1);
	printf("signal %d\n", i.si_signo);
	close(p[1]);
	/* two that wait, and one that is not for this child */
	child = child_at(p);
	pid_t other = child_at(q);
	wait_for(&r, P_PID, other, &j, WEXITED, 6);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 7);
	go(&r, "two wait", 0);
	MUST(write(p[1], "x", 1));
	go(&r, "one ended", 1);
	show_info(&i, child);
	MUST(write(q[1], "x", 1));
	go(&r, "the other", 1);
	show_info(&j, other);
	close(p[1]), close(q[1]);
	/* stops */
	child = child_at(p);
	wait_for(&r, P_PID, child, &i, WSTOPPED, 8);
	go(&r, "to be stopped", 0);
	MUST(kill(child, SIGSTOP));
	go(&r, "stopped", 1);
	show_info(&i, child);
	wait_for(&r, P_PID, child, &i, WCONTINUED, 9);
	go(&r, "to be continued", 0);
	MUST(kill(child, SIGCONT));
	go(&r, "continued", 1);
	show_info(&i, child);
	/* pidfd */
	int fd = (int)MUST(syscall(SYS_pidfd_open, child, 0));
	wait_for(&r, P_PIDFD, fd, &i, WEXITED, 10);
	go(&r, "a pidfd", 0);
	MUST(write(p[1], "x", 1));
	go(&r, "ended", 1);
	show_info(&i, child);
	close(fd), close(p[1]);
	child = child_at(p);
	fd = (int)MUST(syscall(SYS_pidfd_open, child, O_NONBLOCK));
	wait_for(&r, P_PIDFD, fd, &i, WEXITED, 11);
	go(&r, "a pidfd that does not wait", 1);
	printf("signal %d\n", i.si_signo);
	/* cancelled */
	struct __kernel_timespec t = { 0, 20000000 };
	wait_for(&r, P_PID, child, NULL, WEXITED, 12);
	next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)12, 0, 0)->user_data = 13;
	go(&r, "cancel", 2);
	wait_for(&r, P_PID, child, NULL, WEXITED, 12)->flags = IOSQE_IO_LINK;
	next_sqe(&r, IORING_OP_LINK_TIMEOUT, -1, &t, 1, 0)->user_data = 13;
	go(&r, "time is up", 2);
	for (int n = 0; n < 2; n++)
		wait_for(&r, P_PID, child, NULL, WEXITED, 12);
	s = next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)12, 0, 0);
	s->cancel_flags = IORING_ASYNC_CANCEL_ALL, s->user_data = 13;
	go(&r, "cancel all", 3);
	wait_for(&r, P_PID, child, NULL, WEXITED, 12);
	wait_for(&r, P_PID, child, NULL, WEXITED, 14);
	s = next_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)0, 0, 0);
	s->cancel_flags = IORING_ASYNC_CANCEL_ANY, s->user_data = 13;
	go(&r, "cancel any", 3);
	/* refused */
	wait_for(&r, P_PID, child, &i, 0, 14);
	go(&r, "no options", 1);
	wait_for(&r, P_PID, child, &i, WEXITED | 64, 14);
	go(&r, "unknown options", 1);
	wait_for(&r, P_PID, 0, &i, WEXITED, 14);
	go(&r, "pid 0", 1);
	wait_for(&r, P_PGID, -1, &i, WEXITED, 14);
	go(&r, "group -1", 1);
	wait_for(&r, 9, 1, &i, WEXITED, 14);
	go(&r, "kind 9", 1);
	wait_for(&r, P_PIDFD, -1, &i, WEXITED, 14);
	go(&r, "pidfd -1", 1);
	wait_for(&r, P_PIDFD, 9999, &i, WEXITED, 14);
	go(&r, "pidfd 9999", 1);
	wait_for(&r, P_PIDFD, 0, &i, WEXITED, 14);
	go(&r, "no pidfd", 1);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 14)->addr = 1;
	go(&r, "addr", 1);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 14)->addr3 = 1;
	go(&r, "addr3", 1);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 14)->buf_index = 1;
	go(&r, "buf_index", 1);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 14)->rw_flags = 1;
	go(&r, "waitid_flags", 1);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 14)->ioprio = 1;
	go(&r, "ioprio", 1);
	MUST(write(p[1], "x", 1));
	wait_for(&r, P_ALL, 0, (siginfo_t *)NULL, WEXITED, 15);
	go(&r, "without a report", 1);
	child = child_at(q);
	close(q[1]);
	next_sqe(&r, OP_WAITID, 0, NULL, P_ALL, 64)->file_index = WEXITED;
	go(&r, "unwritable", 1);
	wait_for(&r, P_ALL, 0, &i, WEXITED, 16);
	go(&r, "reaped nevertheless", 1);
	ring_end(&r);
	return 0;
}
