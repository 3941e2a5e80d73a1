/*
 * Covers: setpgid, setsid, exit and kill: which of them orphans a process group with a stopped member so that SIGHUP and SIGCONT come: a member's
 * parent joins its group, or brings it into his own, or leaves for a session of his own, or ends; what stops there then.
 */
#include "case.h"

static volatile int *heard; /* shared: how often each signal came to the stopped child */

static void hear(int signal) { heard[signal]++; }

/* A child in a group of its own, which stops itself; it says what it heard when it is continued. */
static pid_t stopped_child(int way)
{
	heard[SIGHUP] = heard[SIGCONT] = 0;
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		struct sigaction action = { .sa_handler = hear };
		sigaction(SIGHUP, &action, NULL);
		sigaction(SIGCONT, &action, NULL);
		if (way)
			setpgid(0, 0);
		raise(SIGSTOP);
		_exit(heard[SIGHUP] * 10 + heard[SIGCONT]);
	}
	int status;
	MUST(waitpid(child, &status, WUNTRACED));
	show_status(status);
	return child;
}

static void after(const char *what, pid_t child)
{
	settle_for(50);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	printf("%s: state %c, SIGHUP %d, SIGCONT %d\n", what, state_in(path), heard[SIGHUP], heard[SIGCONT]);
	kill(child, SIGCONT);
	show_end(child);
}

/* Run by a process whose parent is of another session: its own group is orphaned. */
static void without_parent(void)
{
	pid_t child = stopped_child(1);
	SHOW(setpgid(0, child));
	after("the parent joined the group", child);

	child = stopped_child(1);
	SHOW(setpgid(child, getpgrp()));
	after("the parent brought the child into its own group", child);

	child = stopped_child(0);
	SHOW(setpgid(child, child));
	after("the child got a group of its own", child);

	child = stopped_child(0);
	SHOW(setpgid(0, 0));
	after("the parent has a group of its own", child);

	/* Two in a group: one of them, whose parent is here, is moved away; the other's parent is in the group. */
	child = stopped_child(1);
	pid_t other = (pid_t)MUST(fork());
	if (other == 0) {
		pause();
		_exit(0);
	}
	SHOW(setpgid(other, child));
	SHOW(setpgid(0, child));
	SHOW(setpgid(other, other));
	after("another left the group", child);
	kill(other, SIGKILL);
	show_end(other);
	SHOW(setpgid(0, 0));

	child = stopped_child(1);
	SHOW(setpgid(0, 0));
	SHOW(setsid());
	after("the parent wanted a session of its own", child);
	IN_CHILD({
		pid_t grandchild = stopped_child(1);
		SHOW(setsid() == getpid());
		after("the parent has a session of its own", grandchild);
	});
	/* The parent ends: that does send them. */
	int ends[2];
	MUST(pipe(ends));
	pid_t parent = (pid_t)MUST(fork());
	if (parent == 0) {
		pid_t grandchild = stopped_child(1);
		MUST(write(ends[1], &grandchild, sizeof grandchild));
		fflush(stdout);
		_exit(0);
	}
	pid_t orphan;
	MUST(read(ends[0], &orphan, sizeof orphan));
	show_end(parent);
	for (int i = 0; i < 5000 && (heard[SIGHUP] == 0 || heard[SIGCONT] == 0); i++)
		sleep_ms(2);
	printf("the parent ended: SIGHUP %d, SIGCONT %d\n", heard[SIGHUP], heard[SIGCONT]);
}

/* In an orphaned group only SIGSTOP stops. */
static void stops(void)
{
	static const int signals[] = { SIGTSTP, SIGTTIN, SIGTTOU };
	for (unsigned i = 0; i < 3; i++) {
		raise(signals[i]);
		printf("not stopped by signal %d\n", signals[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			setpgid(0, 0);
			raise(signals[i]);
			_exit(5);
		}
		int status;
		MUST(waitpid(child, &status, WUNTRACED));
		show_status(status);
		SHOW(setpgid(0, child));
		kill(child, SIGCONT);
		kill(child, signals[i]);
		show_end(child);
		SHOW(setpgid(0, 0));
	}
}

int main(void)
{
	heard = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ends[2], begin[2];
	MUST(pipe(ends));
	MUST(pipe(begin));
	/* The leader of a session ends; what it leaves is a child of a process of another session. */
	IN_CHILD({
		setsid();
		fflush(stdout);
		pid_t leader = getpid();
		if (fork() == 0) {
			while (getppid() == leader)
				sleep_ms(2);
			close(begin[1]);
			read(begin[0], &leader, 1); /* until the leader's end has been shown */
			without_parent();
			stops();
			fflush(stdout);
			_exit(0);
		}
		close(ends[0]);
		close(ends[1]);
		_exit(0);
	});
	fflush(stdout);
	close(begin[1]);
	close(ends[1]);
	char byte;
	SHOW(read(ends[0], &byte, 1));
	return 0;
}
