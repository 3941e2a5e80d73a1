/* Covers: epoll_create1, epoll_ctl, epoll_wait, epoll_pwait (EPOLLET, EPOLLONESHOT), eventfd2 (EFD_SEMAPHORE, EFD_NONBLOCK), timerfd, signalfd. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include "case.h"

static int ep;

static void wait_events(const char *what, int timeout)
{
	struct epoll_event events[8];
	int n = epoll_wait(ep, events, 8, timeout);
	printf("%s: %d", what, n);
	for (int i = 0; i < n; i++)
		printf(" [%d: %#x]", events[i].data.fd, events[i].events);
	printf("\n");
}

static void positions(void)
{
	sigset_t none;
	sigemptyset(&none);
	int event = (int)MUST(eventfd(0, 0)), timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	int set = (int)MUST(epoll_create1(0)), signals = (int)MUST(signalfd(-1, &none, 0));
	SHOW(lseek(event, 5, SEEK_SET));
	SHOW(lseek(timer, -5, SEEK_CUR));
	SHOW(lseek(set, 5, SEEK_END));
	SHOW(lseek(signals, 5, SEEK_HOLE));
	SHOW(lseek(event, 0, 5));
	SHOW(lseek((int)syscall(SYS_pidfd_open, getpid(), 0), 0, SEEK_SET));
}

int main(void)
{
	int p[2];
	uint64_t value;
	ep = (int)TRY(epoll_create1(EPOLL_CLOEXEC));
	SHOW(epoll_create1(1));
	SHOW(syscall(SYS_epoll_create, 0));
	MUST(pipe(p));
	struct epoll_event event = { EPOLLIN, { .fd = 1 } };
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &event));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &event));
	SHOW(epoll_ctl(ep, 99, p[0], &event));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &event));
	SHOW(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &event));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], (void *)8));
	int file = (int)MUST(open("file", O_RDWR | O_CREAT, 0600));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, file, &event));
	SHOW(epoll_wait(ep, &event, 0, 0));
	SHOW(epoll_wait(p[0], &event, 1, 0));
	wait_events("empty", 0);
	MUST(write(p[1], "ab", 2));
	wait_events("level", 0);
	wait_events("level again", 0);
	event.events = EPOLLIN | EPOLLET, event.data.fd = 2;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event));
	wait_events("edge", 0);
	wait_events("edge again", 0);
	MUST(write(p[1], "c", 1));
	wait_events("edge after a write", 0);
	event.events = EPOLLIN | EPOLLONESHOT, event.data.fd = 3;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event));
	wait_events("once", 0);
	wait_events("once again", 0);
	event.events = EPOLLIN | EPOLLRDHUP;
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event));
	close(p[1]);
	wait_events("hang up", 0);
	close(p[0]);
	wait_events("closed", 0);

	int e = (int)TRY(eventfd(3, EFD_NONBLOCK));
	SHOW(read(e, &value, 8));
	printf("value %ld\n", (long)value);
	SHOW(read(e, &value, 8));
	SHOW(read(e, &value, 4));
	value = 5;
	SHOW(write(e, &value, 8));
	SHOW(write(e, &value, 8));
	value = -1;
	SHOW(write(e, &value, 8));
	value = UINT64_MAX - 1;
	SHOW(write(e, &value, 8));
	event.events = EPOLLIN | EPOLLOUT, event.data.fd = 4;
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, e, &event));
	wait_events("event", 0);
	SHOW(read(e, &value, 8));
	printf("value %ld\n", (long)value);
	wait_events("event", 0);
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, e, 0));
	int s = (int)TRY(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	SHOW(read(s, &value, 8));
	printf("value %ld\n", (long)value);
	SHOW(read(s, &value, 8));
	SHOW(read(s, &value, 8));
	SHOW(eventfd(0, 0x40));

	/* A child wakes the waiting parent. */
	event.events = EPOLLIN, event.data.fd = 5;
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
	pid_t child = fork();
	if (child == 0) {
		sleep_ms(50);
		value = 1;
		write(s, &value, 8);
		_exit(0);
	}
	wait_events("woken", 60000);
	wait(0);
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, s, 0));

	int t = (int)TRY(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec soon = { { 0, 20000000 }, { 0, 20000000 } }, got;
	SHOW(timerfd_create(99, 0));
	SHOW(read(t, &value, 8));
	SHOW(timerfd_settime(t, 0, &soon, 0));
	event.data.fd = 6;
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, t, &event));
	wait_events("timer", 60000);
	sleep_ms(50);
	SHOW(read(t, &value, 8));
	CHECK(value >= 2);
	SHOW(timerfd_gettime(t, &got));
	printf("interval %ld\n", got.it_interval.tv_nsec);
	memset(&soon, 0, sizeof soon);
	SHOW(timerfd_settime(t, 0, &soon, 0));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, t, 0));

	sigset_t set;
	sigemptyset(&set), sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	int g = (int)TRY(signalfd(-1, &set, SFD_NONBLOCK));
	struct signalfd_siginfo info;
	SHOW(read(g, &info, sizeof info));
	raise(SIGUSR1);
	event.data.fd = 7;
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, g, &event));
	wait_events("signal", 0);
	SHOW(read(g, &info, sizeof info));
	printf("signal %d\n", info.ssi_signo);
	SHOW(read(g, &info, 4));
	positions();
	return 0;
}
