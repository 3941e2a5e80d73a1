/* One SIGKILL ends whoever waits for signals, though a wait for all of them is a wait for SIGKILL by its mask. */
#include "case.h"
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

static sigset_t all;

static void wait_with_info(void)
{
	siginfo_t info;
	for (;;)
		sigwaitinfo(&all, &info);
}

static void wait_with_time(void)
{
	struct timespec long_time = {1000, 0};
	for (;;)
		sigtimedwait(&all, NULL, &long_time);
}

static void read_descriptor(void)
{
	struct signalfd_siginfo info;
	int fd = signalfd(-1, &all, 0);
	for (;;)
		read(fd, &info, sizeof info);
}

static void send_descriptor(void)
{
	int fd = signalfd(-1, &all, 0);
	int out = memfd_create("m", 0);
	for (;;)
		sendfile(out, fd, NULL, 1 << 20);
}

static void poll_descriptor(void)
{
	struct signalfd_siginfo info;
	struct pollfd one = {signalfd(-1, &all, SFD_NONBLOCK), POLLIN, 0};
	for (;;) {
		poll(&one, 1, -1);
		read(one.fd, &info, sizeof info);
	}
}

static void ask_again_and_again(void)
{
	struct timespec none = {0, 0};
	for (;;)
		sigtimedwait(&all, NULL, &none);
}

static void suspend(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (;;)
		sigsuspend(&none);
}

static void try(const char *name, void (*function)(void))
{
	for (int i = 0; i < 20; i++) {
		int status = 0;
		pid_t pid = fork();
		if (pid == 0) {
			function();
			_exit(1);
		}
		usleep(1000 + 500 * i);
		kill(pid, SIGKILL);
		int tries = 0;
		while (waitpid(pid, &status, WNOHANG) == 0 && ++tries < 30000)
			usleep(1000);
		if (tries == 30000) {
			printf("%s: one SIGKILL was not enough\n", name);
			kill(pid, SIGKILL);
			usleep(1000);
			kill(pid, SIGKILL);
			return;
		}
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
			printf("%s: status %#x\n", name, status);
			return;
		}
	}
	printf("%s: killed\n", name);
}

int main(void)
{
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	try("sigwaitinfo", wait_with_info);
	try("sigtimedwait", wait_with_time);
	try("read of a signalfd", read_descriptor);
	try("sendfile from a signalfd", send_descriptor);
	try("poll of a signalfd", poll_descriptor);
	try("sigtimedwait that never waits", ask_again_and_again);
	try("sigsuspend", suspend);
	return 0;
}
