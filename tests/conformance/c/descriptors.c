/* Covers: dup, dup2, dup3, fcntl: F_DUPFD F_DUPFD_CLOEXEC F_GETFD F_SETFD F_GETFL F_SETFL; close_range; RLIMIT_NOFILE. */
#include <sys/resource.h>
#include "case.h"

int main(void)
{
	int fd = (int)SHOW(open("file", O_RDWR | O_CREAT, 0644));
	SHOW(dup(fd));
	SHOW(dup2(fd, 20));
	SHOW(dup2(fd, fd));
	SHOW(dup2(99, 99));
	SHOW(dup2(99, 5));
	SHOW(dup2(fd, -1));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup3(fd, 21, O_CLOEXEC));
	SHOW(dup3(fd, 22, 1));
	SHOW(fcntl(21, F_GETFD));
	SHOW(fcntl(20, F_GETFD));
	SHOW(fcntl(20, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(20, F_GETFD));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_DUPFD, 10));
	SHOW(fcntl(fd, F_DUPFD, 10));
	SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 10));
	SHOW(fcntl(12, F_GETFD));
	SHOW(fcntl(fd, F_DUPFD, -1));
	SHOW(fcntl(fd, F_DUPFD, 1 << 20));
	SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
	SHOW(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	SHOW(fcntl(20, F_GETFL) & (O_APPEND | O_NONBLOCK));
	SHOW(fcntl(fd, F_SETFL, O_WRONLY));
	SHOW(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND));
	SHOW(fcntl(99, F_GETFL));
	SHOW(fcntl(fd, 9999));
	SHOW(dup(-1));
	SHOW(syscall(SYS_close_range, 10, 22, 0));
	SHOW(fcntl(10, F_GETFD));
	SHOW(fcntl(21, F_GETFD));
	SHOW(syscall(SYS_close_range, 5, 4, 0));

	struct rlimit limit;
	SHOW(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 8;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	int last = -1, next;
	while ((next = dup(fd)) >= 0)
		last = next;
	printf("last descriptor %d, then %s\n", last, error_name(errno));
	SHOW(dup2(fd, 8));
	SHOW(fcntl(fd, F_DUPFD, 8));
	int pipes[2];
	SHOW(pipe(pipes));
	close(last);
	SHOW(pipe(pipes));
	SHOW(open("file", O_RDONLY));

	/* The lowest free number is used. */
	SHOW(close(5));
	SHOW(close(4));
	SHOW(dup(fd));
	SHOW(dup(fd));
	return 0;
}
