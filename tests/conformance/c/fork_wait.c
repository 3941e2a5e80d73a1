/* Covers: fork, vfork, exit, exit_group, wait4, waitid (WNOHANG WUNTRACED WCONTINUED WNOWAIT), zombies, orphans, SIGCHLD, PR_SET_CHILD_SUBREAPER-less reparenting. */
#include <sys/resource.h>
#include "case.h"

static volatile int children_ended;

static void on_child(int number)
{
	children_ended++;
}

int main(void)
{
	int status;
	siginfo_t info;
	SHOW(waitpid(-1, &status, 0));
	SHOW(waitpid(-1, &status, WNOHANG));
	SHOW(waitpid(getpid(), &status, 0));
	SHOW(waitpid(-1, &status, 0x1000));
	SHOW(waitpid(INT32_MIN, &status, 0));
	IN_CHILD(_exit(0));
	IN_CHILD(_exit(255));
	IN_CHILD(_exit(256 + 7));
	IN_CHILD(exit(3));
	IN_CHILD(abort());
	IN_CHILD(raise(SIGKILL));
	IN_CHILD(raise(SIGTERM));
	IN_CHILD(*(volatile char *)0 = 1);
	IN_CHILD(__asm__("ud2"));
	IN_CHILD(volatile int zero = 0; printf("%d\n", 1 / zero));
	IN_CHILD(__asm__("hlt"));
	IN_CHILD(__asm__("int3"));
	IN_CHILD(syscall(SYS_exit, 9));

	int child = (int)MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	SHOW(waitpid(child, &status, WNOHANG));
	SHOW(kill(child, SIGSTOP));
	CHECK(waitpid(child, &status, WUNTRACED) == child);
	show_status(status);
	SHOW(waitpid(child, &status, WNOHANG | WUNTRACED));
	SHOW(kill(child, SIGCONT));
	CHECK(waitpid(child, &status, WCONTINUED) == child);
	show_status(status);
	SHOW(kill(child, SIGKILL));
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	printf("signal %d code %d status %d pid %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
	memset(&info, 0, sizeof info);
	SHOW(waitid(P_ALL, 0, &info, WEXITED));
	printf("code %d status %d\n", info.si_code, info.si_status);
	SHOW(waitid(P_ALL, 0, &info, WEXITED));
	SHOW(waitid(P_ALL, 0, &info, 0));
	SHOW(waitid(9, 0, &info, WEXITED));
	SHOW(kill(child, 0));

	/* A zombie is still there for kill, and waits for its parent. */
	child = (int)MUST(fork());
	if (child == 0)
		_exit(5);
	until_ended(child);
	SHOW(kill(child, 0));
	SHOW(kill(child, SIGTERM));
	show_end(child);
	SHOW(kill(child, 0));

	/* Waiting by group. */
	int a = (int)MUST(fork());
	if (a == 0)
		_exit(1);
	int b = (int)MUST(fork());
	if (b == 0) {
		setpgid(0, 0);
		_exit(2);
	}
	setpgid(b, b);
	CHECK(waitpid(0, &status, 0) == a);
	SHOW(waitpid(0, &status, 0));
	CHECK(waitpid(-b, &status, 0) == b);
	SHOW(waitpid(-b, &status, 0));
	SHOW(wait(&status));

	/* An orphan goes to the first process. */
	int pipes[2];
	MUST(pipe(pipes));
	if (MUST(fork()) == 0) {
		pid_t middle = getpid();
		if (fork() == 0) {
			while (getppid() == middle)
				sleep_ms(1);
			int parent = getppid();
			write(pipes[1], &parent, sizeof parent);
			_exit(0);
		}
		_exit(0);
	}
	wait(&status);
	int parent = 0;
	close(pipes[1]);
	SHOW(read(pipes[0], &parent, sizeof parent));
	printf("the orphan's parent is %d\n", parent);

	/* SIGCHLD, and children that nobody waits for. */
	struct sigaction action = { .sa_handler = on_child };
	sigaction(SIGCHLD, &action, 0);
	IN_CHILD(_exit(0));
	printf("%d children ended\n", children_ended);
	signal(SIGCHLD, SIG_IGN);
	if (MUST(fork()) == 0)
		_exit(0);
	SHOW(wait(&status));
	signal(SIGCHLD, SIG_DFL);
	struct sigaction no_zombies = { .sa_handler = on_child, .sa_flags = SA_NOCLDWAIT };
	sigaction(SIGCHLD, &no_zombies, 0);
	if (MUST(fork()) == 0)
		_exit(0);
	SHOW(wait(&status));
	signal(SIGCHLD, SIG_DFL);

	/* vfork: the child borrows our memory and runs first. */
	volatile int order = 0;
	pid_t borrowed = vfork();
	if (borrowed == 0) {
		order = 1;
		_exit(4);
	}
	printf("order %d\n", order);
	show_end(borrowed);

	/* Copies: memory, offsets. */
	int value = 1, fd = (int)MUST(open("file", O_RDWR | O_CREAT, 0600));
	IN_CHILD(value = 2; write(fd, "child", 5));
	printf("value %d offset %ld\n", value, (long)lseek(fd, 0, SEEK_CUR));
	struct rusage usage;
	SHOW(getrusage(RUSAGE_CHILDREN, &usage));
	SHOW(getrusage(RUSAGE_SELF, &usage));
	SHOW(getrusage(99, &usage));
	/* A deep chain. */
	fflush(stdout);
	int depth = 0;
	while (depth < 30) {
		pid_t next = fork();
		if (next != 0) {
			waitpid(next, &status, 0);
			if (depth == 0) {
				printf("chain of %d\n", WEXITSTATUS(status));
				break;
			}
			_exit(WEXITSTATUS(status));
		}
		depth++;
	}
	if (depth > 0)
		_exit(depth);
	return 0;
}
