/* Covers: poll, ppoll, select, pselect6: closed and negative descriptors, limits, masks, timeouts given back, kinds of files, wild pointers. */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include "case.h"

static volatile int handled;
static void handler(int signal) { (void)signal; handled++; }

int main(void)
{
	int ends[2];
	MUST(pipe(ends));
	put_file("file", "x", 0644);
	int file = (int)MUST(open("file", O_RDWR)), null = (int)MUST(open("/dev/null", O_RDWR)), dir = (int)MUST(open(".", O_RDONLY));
	struct pollfd p[8] = { { ends[0], POLLIN, 99 }, { ends[1], POLLOUT, 99 }, { -1, POLLIN, 99 }, { 99, POLLIN, 99 }, { file, POLLIN | POLLOUT, 0 }, { null, POLLIN | POLLOUT, 0 },
		{ dir, POLLIN | POLLOUT, 0 }, { ends[0], 0, 0 } };
	SHOW(poll(p, 8, 0));
	for (int i = 0; i < 8; i++)
		printf(" %#x", p[i].revents);
	printf("\n");
	SHOW(poll(NULL, 0, 10));
	SHOW(poll((void *)1, 1, 0));
	SHOW(poll(p, 2000, 0));
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 4;
	IN_CHILD(setrlimit(RLIMIT_NOFILE, &limit); SHOW(poll(p, 5, 0)); SHOW(poll(p, 4, 0)));
	close(ends[1]);
	p[0].events = POLLIN | POLLPRI | POLLRDHUP;
	SHOW(poll(p, 1, -1));
	printf("%#x\n", p[0].revents);
	MUST(pipe(ends));
	close(ends[0]);
	struct pollfd broken = { ends[1], POLLOUT, 0 };
	SHOW(poll(&broken, 1, 0));
	printf("%#x\n", broken.revents);

	signal(SIGALRM, handler);
	signal(SIGUSR1, handler);
	MUST(pipe(ends));
	struct pollfd quiet = { ends[0], POLLIN, 0 };
	ualarm(50000, 50000); /* again and again: the first one may come before the call */
	SHOW(poll(&quiet, 1, 60000));
	ualarm(0, 0);
	sigset_t usr1, none;
	sigemptyset(&usr1);
	sigemptyset(&none);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	raise(SIGUSR1);
	handled = 0;
	struct timespec second = { 1, 0 }, bad = { 0, 1000000000 }, negative = { -1, 0 };
	SHOW(ppoll(&quiet, 1, &second, &none));
	printf("handled %d\n", handled);
	SHOW(ppoll(&quiet, 1, &bad, NULL));
	SHOW(ppoll(&quiet, 1, &negative, NULL));
	SHOW(syscall(SYS_ppoll, &quiet, 1, &second, &none, 4));
	SHOW(syscall(SYS_ppoll, &quiet, 1, (void *)1, &none, 8));
	second = (struct timespec){ 0, 20000000 };
	SHOW(syscall(SYS_ppoll, &quiet, 1, &second, NULL, 8));
	printf("left %ld %ld\n", (long)second.tv_sec, second.tv_nsec);

	fd_set r, w, e;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(ends[0], &r);
	FD_SET(ends[1], &w);
	FD_SET(file, &r);
	FD_SET(file, &w);
	FD_SET(ends[0], &e);
	struct timeval none_left = { 0, 0 }, part = { 0, 20000 };
	SHOW(select(20, &r, &w, &e, &none_left));
	printf("%d %d %d %d %d\n", FD_ISSET(ends[0], &r), FD_ISSET(ends[1], &w), FD_ISSET(file, &r), FD_ISSET(file, &w), FD_ISSET(ends[0], &e));
	FD_ZERO(&r);
	FD_SET(15, &r);
	SHOW(select(16, &r, NULL, NULL, &none_left));
	SHOW(select(15, &r, NULL, NULL, &none_left));
	SHOW(select(-1, NULL, NULL, NULL, &none_left));
	FD_ZERO(&r);
	FD_SET(ends[0], &r);
	SHOW(syscall(SYS_select, 20, &r, NULL, NULL, &part));
	printf("left %ld %ld, bit %d\n", (long)part.tv_sec, (long)part.tv_usec, FD_ISSET(ends[0], &r));
	part.tv_usec = -1;
	SHOW(syscall(SYS_select, 0, NULL, NULL, NULL, &part));
	part.tv_usec = 2000000;
	part.tv_sec = 0;
	MUST(write(ends[1], "x", 1));
	FD_SET(ends[0], &r);
	SHOW(syscall(SYS_select, 20, &r, NULL, NULL, &part));
	SHOW(syscall(SYS_select, 20, (void *)1, NULL, NULL, NULL));
	SHOW(syscall(SYS_select, 100000, &r, NULL, NULL, &none_left) >= 0);
	struct { const sigset_t *set; size_t size; } data = { &none, 8 };
	struct timespec zero = { 0, 0 };
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	raise(SIGUSR1);
	handled = 0;
	char byte;
	MUST(read(ends[0], &byte, 1));
	FD_ZERO(&r);
	FD_SET(ends[0], &r);
	struct timespec long_time = { 5, 0 };
	SHOW(syscall(SYS_pselect6, 20, &r, NULL, NULL, &long_time, &data));
	printf("handled %d\n", handled);
	data.size = 4;
	SHOW(syscall(SYS_pselect6, 20, &r, NULL, NULL, &zero, &data));
	SHOW(syscall(SYS_pselect6, 20, &r, NULL, NULL, &zero, (void *)1));
	SHOW(syscall(SYS_pselect6, 20, NULL, NULL, NULL, &bad, NULL));
	SHOW(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, NULL));
	return 0;
}
