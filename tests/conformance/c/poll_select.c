/* Covers: poll, ppoll, select, pselect6: readiness of pipes, files, devices; POLLHUP POLLERR POLLNVAL; timeouts; masks; errors. */
#include <poll.h>
#include <sys/select.h>
#include "case.h"

static void on_signal(int number) {}

static void show(const char *what, int fd, int events, int timeout)
{
	struct pollfd poller = { fd, (short)events, 0x7777 };
	errno = 0;
	int result = poll(&poller, 1, timeout);
	printf("%s: %d revents %#x %s\n", what, result, poller.revents, result < 0 ? error_name(errno) : "");
}

static long ms_of(struct timespec a, struct timespec b)
{
	return (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
}

int main(void)
{
	int p[2];
	static char big[70000];
	struct timespec start, end;
	MUST(pipe(p));
	show("empty pipe", p[0], POLLIN, 0);
	show("room in the pipe", p[1], POLLOUT, 0);
	MUST(write(p[1], "x", 1));
	show("a byte", p[0], POLLIN | POLLRDNORM | POLLOUT, -1);
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	while (write(p[1], big, sizeof big) > 0)
		;
	show("full pipe", p[1], POLLOUT, 0);
	close(p[1]);
	show("writer gone, bytes left", p[0], POLLIN, 0);
	while (read(p[0], big, sizeof big) > 0)
		;
	show("writer gone", p[0], POLLIN, 0);
	show("writer gone, nothing asked", p[0], 0, 0);
	close(p[0]);
	MUST(pipe(p));
	close(p[0]);
	show("reader gone", p[1], POLLOUT, 0);
	show("closed descriptor", 99, POLLIN, 0);
	show("negative descriptor", -1, POLLIN, 0);
	int file = (int)MUST(open("file", O_RDWR | O_CREAT, 0600)), null = (int)MUST(open("/dev/null", O_RDWR));
	show("file", file, POLLIN | POLLOUT, 0);
	show("null", null, POLLIN | POLLOUT, 0);
	show("directory", (int)MUST(open(".", O_RDONLY)), POLLIN | POLLOUT, 0);
	SHOW(poll((struct pollfd *)8, 1, 0));
	SHOW(poll(0, 0, 0));
	SHOW(poll(0, 1 << 20, 0));
	clock_gettime(CLOCK_MONOTONIC, &start);
	SHOW(poll(0, 0, 60));
	clock_gettime(CLOCK_MONOTONIC, &end);
	CHECK(ms_of(start, end) >= 60);

	/* Waking up by another process, and by a signal. */
	MUST(pipe(p));
	pid_t child = fork();
	if (child == 0) {
		sleep_ms(60);
		write(p[1], "w", 1);
		_exit(0);
	}
	show("woken", p[0], POLLIN, 60000);
	wait(0);
	char byte;
	read(p[0], &byte, 1);
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	sigaction(SIGUSR1, &action, 0);
	child = fork();
	if (child == 0) {
		until_asleep(getppid());
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	show("interrupted", p[0], POLLIN, 60000);
	while (wait(0) > 0)
		;
	struct timespec limit = { 0, 30000000 }, wrong = { 0, 1000000000 };
	sigset_t usr1, none;
	sigemptyset(&none), sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1);
	struct pollfd poller = { p[0], POLLIN };
	SHOW(ppoll(&poller, 1, &limit, 0));
	SHOW(ppoll(&poller, 1, &wrong, 0));
	sigprocmask(SIG_BLOCK, &usr1, 0);
	raise(SIGUSR1);
	SHOW(ppoll(&poller, 1, &limit, 0));
	SHOW(ppoll(&poller, 1, &limit, &none));
	sigprocmask(SIG_UNBLOCK, &usr1, 0);

	fd_set readable, writable, except;
	FD_ZERO(&readable); FD_ZERO(&writable); FD_ZERO(&except);
	FD_SET(p[0], &readable), FD_SET(p[1], &writable), FD_SET(file, &readable);
	struct timeval timeout = { 0, 0 };
	SHOW(select(64, &readable, &writable, &except, &timeout));
	printf("%d %d %d\n", FD_ISSET(p[0], &readable) != 0, FD_ISSET(p[1], &writable) != 0, FD_ISSET(file, &readable) != 0);
	FD_ZERO(&readable); FD_SET(p[0], &readable);
	timeout.tv_usec = 30000;
	SHOW(select(p[0] + 1, &readable, 0, 0, &timeout));
	printf("%d left %ld\n", FD_ISSET(p[0], &readable) != 0, (long)timeout.tv_usec);
	MUST(write(p[1], "x", 1));
	FD_ZERO(&readable); FD_SET(p[0], &readable);
	SHOW(select(p[0] + 1, &readable, 0, 0, 0));
	FD_ZERO(&readable); FD_SET(99, &readable);
	SHOW(select(100, &readable, 0, 0, &timeout));
	SHOW(select(-1, 0, 0, 0, &timeout));
	timeout.tv_usec = -1;
	SHOW(syscall(SYS_select, 0, 0, 0, 0, &timeout));
	SHOW(syscall(SYS_select, 10, 8, 0, 0, 0));
	close(p[1]);
	read(p[0], &byte, 1);
	FD_ZERO(&readable); FD_SET(p[0], &readable);
	timeout.tv_usec = 0;
	SHOW(select(p[0] + 1, &readable, 0, 0, &timeout));
	FD_ZERO(&readable); FD_SET(p[0], &readable);
	sigprocmask(SIG_BLOCK, &usr1, 0);
	raise(SIGUSR1);
	SHOW(pselect(0, 0, 0, 0, &limit, &none));
	SHOW(pselect(0, 0, 0, 0, &limit, 0));
	return 0;
}
