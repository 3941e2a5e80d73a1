/* Covers: epoll_wait, read of inotify, timerfd, signalfd, pseudo terminals in packet mode: what is there after memory ended; splice between pipes. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <termios.h>
#include "case.h"

static char *edge; /* a page ends here, and nothing follows */

static void sets(const char *kind, unsigned flags)
{
	struct epoll_event events[8];
	int set = (int)MUST(epoll_create1(0));
	printf("- %s\n", kind);
	for (int i = 0; i < 3; i++) {
		struct epoll_event event = { .events = EPOLLIN | flags, .data.u32 = (unsigned)i };
		MUST(epoll_ctl(set, EPOLL_CTL_ADD, (int)MUST(eventfd(1, 0)), &event));
	}
	SHOW(epoll_wait(set, (void *)(edge - 4), 3, 0));
	SHOW(epoll_wait(set, (void *)(edge - 12), 3, 0));
	printf("got %u\n", ((struct epoll_event *)(edge - 12))->data.u32);
	for (int turn = 0; turn < 2; turn++) {
		int count = (int)SHOW(epoll_wait(set, events, 8, 0));
		for (int i = 0; i < count; i++)
			printf("got %u\n", events[i].data.u32);
	}
}

static void others(void)
{
	char buffer[1000];
	int fd = (int)MUST(open("watched", O_CREAT | O_RDWR, 0600)), notifier = (int)MUST(inotify_init1(IN_NONBLOCK));
	MUST(inotify_add_watch(notifier, "watched", IN_MODIFY | IN_ATTRIB));
	MUST(write(fd, "x", 1));
	MUST(fchmod(fd, 0600));
	MUST(write(fd, "x", 1));
	SHOW(read(notifier, edge - 16, 1000));
	SHOW(read(notifier, buffer, 1000));

	struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
	struct timespec later = { .tv_nsec = 20000000 };
	int timer = (int)MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	MUST(timerfd_settime(timer, 0, &soon, NULL));
	nanosleep(&later, NULL);
	SHOW(read(timer, edge - 4, 8));
	SHOW(read(timer, buffer, 8));

	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	int signals = (int)MUST(signalfd(-1, &mask, SFD_NONBLOCK));
	raise(SIGUSR1);
	raise(SIGUSR2);
	SHOW(read(signals, edge - 128, 256));
	SHOW(read(signals, buffer, 256));
}

static void packets(void)
{
	char buffer[100];
	int on = 1, unlock = 0, number = 0;
	int master = (int)MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK));
	MUST(ioctl(master, TIOCSPTLCK, &unlock));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(buffer, sizeof buffer, "/dev/pts/%d", number);
	int slave = (int)MUST(open(buffer, O_RDWR | O_NOCTTY));
	MUST(ioctl(master, TIOCPKT, &on));
	MUST(write(slave, "abc", 3));
	SHOW(read(master, buffer, 1));
	SHOW(read(master, buffer, 3));
	printf("%d %c %c\n", buffer[0], buffer[1], buffer[2]);
	SHOW(read(master, buffer, 100));
	SHOW(read(master, buffer, 100));
	MUST(write(slave, "abc", 3));
	SHOW(read(master, edge, 3));
	MUST(tcflush(slave, TCIFLUSH));
	SHOW(read(master, edge, 3));
	SHOW(read(master, buffer, 3));
}

static void moves(void)
{
	static char many[65536];
	int from[2], to[2];
	MUST(pipe(from));
	MUST(pipe(to));
	SHOW(splice(from[0], NULL, to[1], NULL, 5, SPLICE_F_NONBLOCK));
	fcntl(to[1], F_SETFL, O_NONBLOCK);
	SHOW(splice(from[0], NULL, to[1], NULL, 5, 0));
	MUST(write(to[1], many, sizeof many));
	MUST(write(from[1], "abc", 3));
	SHOW(splice(from[0], NULL, to[1], NULL, 5, 0));
	MUST(read(to[0], many, sizeof many));
	SHOW(splice(from[0], NULL, to[1], NULL, 5, 0));
	MUST(close(from[1]));
	SHOW(splice(from[0], NULL, to[1], NULL, 5, 0));
	MUST(close(to[0]));
	signal(SIGPIPE, SIG_IGN);
	SHOW(splice(from[0], NULL, to[1], NULL, 5, 0));
}

int main(void)
{
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(munmap(page + PAGE, PAGE));
	edge = page + PAGE;
	sets("level", 0);
	sets("edge", EPOLLET);
	sets("once", EPOLLONESHOT);
	others();
	packets();
	moves();
	return 0;
}
