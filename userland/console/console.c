/*
 * The last part of the root image's /init, which becomes this program: a shell on the console, and what halt, poweroff
 * and reboot ask of process 1 by signals.
 *
 * The machine ends when the shell does. But a shell that was killed, or whose line was hung up because another session
 * took it away, did not end by itself: it gets a successor. The leader of the session stays beside the shell to see
 * which it was: when a leader ends, its line is hung up in any case.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char *console = "/dev/console";

/* How a session ended, as the exit status of its leader. */
enum { BY_ITSELF, KILLED, HUNG_UP };

static bool is_hung_up(int terminal)
{
	struct pollfd line = {.fd = terminal};

	return poll(&line, 1, 0) > 0 && line.revents & POLLHUP;
}

/* Let a new session have the console, and a shell run in it; how it ends. */
static int run_session(const sigset_t *before)
{
	int status;

	setsid();
	int terminal = open(console, O_RDWR | O_CLOEXEC);
	ioctl(terminal, TIOCSCTTY, 1);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	pid_t shell = fork();
	if (shell == 0) {
		setpgid(0, 0);
		tcsetpgrp(terminal, getpid());
		for (int i = 0; i < 3; i++)
			dup2(terminal, i);
		signal(SIGHUP, SIG_DFL);
		signal(SIGTTOU, SIG_DFL);
		sigprocmask(SIG_SETMASK, before, NULL);
		execl("/bin/sh", "sh", "-l", (char *)NULL);
		perror("init: /bin/sh");
		_exit(127);
	}
	if (shell < 0)
		return KILLED; /* for want of memory, as the next one may be */
	while (waitpid(shell, &status, 0) != shell)
		;
	if (is_hung_up(terminal))
		return HUNG_UP;
	return WIFSIGNALED(status) ? KILLED : BY_ITSELF;
}

static pid_t start_session(const sigset_t *before)
{
	pid_t pid;

	while ((pid = fork()) < 0)
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	if (pid == 0)
		_exit(run_session(before));
	return pid;
}

static _Noreturn void end(int how)
{
	int terminal = open(console, O_RDWR | O_NOCTTY);

	kill(-1, SIGTERM);
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	kill(-1, SIGKILL);
	tcdrain(terminal);
	sync();
	reboot(how);
	for (;;)
		pause();
}

int main(int count, char **arguments)
{
	sigset_t wanted, before;
	siginfo_t told;

	if (count > 1)
		console = arguments[1];
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGUSR1);
	sigaddset(&wanted, SIGUSR2);
	sigaddset(&wanted, SIGTERM);
	sigprocmask(SIG_BLOCK, &wanted, &before);
	pid_t leader = start_session(&before);
	for (;;) {
		int number = sigwaitinfo(&wanted, &told), status;
		pid_t pid;

		if (number == SIGUSR1)
			end(RB_HALT_SYSTEM);
		if (number == SIGUSR2)
			end(RB_POWER_OFF);
		if (number == SIGTERM)
			end(RB_AUTOBOOT);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid != leader)
				continue;
			if (WIFEXITED(status) && WEXITSTATUS(status) == BY_ITSELF)
				end(RB_POWER_OFF);
			bool is_killed = WIFSIGNALED(status) || WEXITSTATUS(status) == KILLED;
			dprintf(2, "init: the shell %s: starting another\n", is_killed ? "was killed" : "lost its line");
			leader = start_session(&before);
		}
	}
}
