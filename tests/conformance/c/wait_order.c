/* wait(2) for any child: which one it takes when several have ended, stopped or gone on. */
#define _GNU_SOURCE
#include "case.h"
#include <sched.h>
#include <sys/prctl.h>

#define CHILDREN 12

static pid_t children[CHILDREN];

static pid_t start_child(int number)
{
	pid_t child = fork();
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	children[number] = child;
	return child;
}

static int number_of(pid_t pid)
{
	for (int i = 0; i < CHILDREN; i++)
		if (children[i] == pid)
			return i;
	return -1;
}

/* End a child and see that it has ended, without reaping it. */
static void end(int number)
{
	siginfo_t info;
	kill(children[number], SIGKILL);
	waitid(P_PID, children[number], &info, WEXITED | WNOWAIT);
}

static void stop(int number)
{
	siginfo_t info;
	kill(children[number], SIGSTOP);
	waitid(P_PID, children[number], &info, WSTOPPED | WNOWAIT);
}

static void show_wait(const char *what, int options)
{
	int status = 0;
	pid_t pid = waitpid(-1, &status, options);
	if (pid < 0)
		printf("%s: %s\n", what, error_name(errno));
	else if (pid == 0)
		printf("%s: nobody\n", what);
	else
		printf("%s: child %d, status %x\n", what, number_of(pid), status);
}

static void ended_in_reverse(void)
{
	for (int i = 0; i < CHILDREN; i++)
		start_child(i);
	for (int i = CHILDREN - 1; i >= 0; i -= 2)
		end(i);
	show_wait("of every second", 0);
	show_wait("of every second", 0);
	end(0);
	end(6);
	for (int i = 0; i < CHILDREN / 2; i++)
		show_wait("with two more", WNOHANG);
	show_wait("none has ended", WNOHANG);
	for (int i = 2; i < CHILDREN; i += 2)
		if (i != 6)
			end(i);
	while (waitpid(-1, 0, 0) > 0)
		;
	show_wait("no child", 0);
}

static void one_by_number(void)
{
	for (int i = 0; i < 5; i++)
		start_child(i);
	for (int i = 4; i >= 0; i--)
		end(i);
	printf("by number: %d\n", number_of(waitpid(children[2], 0, 0)));
	printf("the same again: %s\n", waitpid(children[2], 0, 0) < 0 ? error_name(errno) : "found");
	printf("by number: %d\n", number_of(waitpid(children[0], 0, 0)));
	for (int i = 0; i < 4; i++)
		show_wait("the others", WNOHANG);
}

static void news_among_the_ended(void)
{
	siginfo_t info;
	for (int i = 0; i < 6; i++)
		start_child(i);
	end(5);
	end(2);
	stop(3);
	stop(1);
	show_wait("ended or stopped", WUNTRACED);
	show_wait("ended only", 0);
	show_wait("ended or stopped", WUNTRACED);
	show_wait("ended or stopped", WUNTRACED);
	show_wait("ended or stopped", WUNTRACED | WNOHANG);
	kill(children[3], SIGCONT);
	waitid(P_PID, children[3], &info, WCONTINUED | WNOWAIT);
	show_wait("not asked for those that go on", WUNTRACED | WNOHANG);
	show_wait("ended, stopped or gone on", WUNTRACED | WCONTINUED | WNOHANG);
	show_wait("ended, stopped or gone on", WUNTRACED | WCONTINUED | WNOHANG);
	for (int i = 0; i < 6; i++)
		kill(children[i], SIGKILL);
	while (waitpid(-1, 0, 0) > 0)
		;
}

static void looked_at_twice(void)
{
	siginfo_t info;
	for (int i = 0; i < 3; i++)
		start_child(i);
	end(2);
	end(1);
	for (int i = 0; i < 2; i++) {
		TRY(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
		printf("child %d\n", number_of(info.si_pid));
	}
	info.si_pid = 0;
	TRY(waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG));
	printf("stopped: %d\n", (int)info.si_pid);
	end(0);
	for (int i = 0; i < 3; i++)
		show_wait("then", 0);
}

static int do_nothing(void *argument)
{
	(void)argument;
	return 7;
}

static void clone_children(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	start_child(0);
	children[1] = clone(do_nothing, stack + sizeof stack, 0, 0); /* ends without a signal */
	siginfo_t info;
	waitid(P_PID, children[1], &info, WEXITED | WNOWAIT | __WALL);
	show_wait("ordinary children", WNOHANG);
	end(0);
	show_wait("ordinary children", 0);
	show_wait("ordinary children", 0);
	show_wait("clone children", __WCLONE);
	show_wait("clone children", __WCLONE);
}

static void adopted(void)
{
	int ends[2];
	pipe(ends);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	start_child(0);
	children[5] = fork();
	if (children[5] == 0) {
		for (int i = 1; i < 5; i++)
			start_child(i);
		for (int i = 4; i > 1; i--)
			end(i);
		write(ends[1], children, sizeof children);
		_exit(3);
	}
	pid_t parent = children[5];
	read(ends[0], children, sizeof children);
	children[5] = parent;
	siginfo_t info;
	waitid(P_PID, parent, &info, WEXITED | WNOWAIT);
	end(1);
	end(0);
	for (int i = 0; i < 7; i++)
		show_wait("adopted", 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(void)
{
	ended_in_reverse();
	one_by_number();
	news_among_the_ended();
	looked_at_twice();
	clone_children();
	adopted();
	return 0;
}
