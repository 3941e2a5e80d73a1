/* Covers: pipe, pipe2 (O_NONBLOCK O_CLOEXEC O_DIRECT), read and write at both ends' closing, SIGPIPE, EPIPE, capacity, PIPE_BUF atomicity, F_GETPIPE_SZ F_SETPIPE_SZ, FIONREAD, tee, splice, vmsplice. */
#include <sys/ioctl.h>
#include "case.h"

static void on_pipe(int number)
{
	printf("caught %d\n", number);
}

int main(void)
{
	int p[2], q[2];
	static char big[200000];
	SHOW(pipe((int *)8));
	SHOW(pipe2(p, 1));
	SHOW(pipe(p));
	SHOW(write(p[1], "hello", 5));
	int available;
	SHOW(ioctl(p[0], FIONREAD, &available));
	printf("available %d\n", available);
	SHOW(read(p[0], big, 2));
	SHOW(read(p[0], big, 100));
	SHOW(read(p[1], big, 1));
	SHOW(write(p[0], big, 1));
	close(p[1]);
	SHOW(read(p[0], big, 1));
	close(p[0]);

	MUST(pipe(p));
	close(p[0]);
	IN_CHILD(signal(SIGPIPE, SIG_DFL); write(p[1], "x", 1));
	signal(SIGPIPE, on_pipe);
	SHOW(write(p[1], "x", 1));
	SHOW(write(p[1], "", 0));
	signal(SIGPIPE, SIG_IGN);
	SHOW(write(p[1], "x", 1));
	close(p[1]);

	SHOW(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	SHOW(fcntl(p[0], F_GETFD));
	SHOW(fcntl(p[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
	SHOW(read(p[0], big, 1));
	SHOW(fcntl(p[0], F_GETPIPE_SZ));
	SHOW(write(p[1], big, sizeof big));
	SHOW(write(p[1], big, 1));
	SHOW(read(p[0], big, 100));
	SHOW(write(p[1], big, 100));
	SHOW(read(p[0], big, 4096));
	SHOW(write(p[1], big, 4097));
	SHOW(write(p[1], big, 4096));
	long total = 0, n;
	while ((n = read(p[0], big, 5000)) > 0)
		total += n;
	printf("total %ld\n", total);
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 4096));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 5000));
	SHOW(fcntl(p[1], F_GETPIPE_SZ));
	for (total = 0; (n = write(p[1], big, 1000)) > 0;)
		total += n;
	printf("capacity by thousands: %ld\n", total);
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 4096));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 0));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 30));
	close(p[0]), close(p[1]);

	/* A writer that blocks until there is room, and is notified when the reader goes. */
	MUST(pipe(p));
	pid_t child = fork();
	if (child == 0) {
		close(p[0]);
		n = write(p[1], big, sizeof big);
		printf("writer wrote %ld\n", n);
		fflush(stdout);
		_exit(0);
	}
	close(p[1]);
	for (total = 0; (n = read(p[0], big, 7777)) > 0;)
		total += n;
	printf("reader read %ld\n", total);
	show_end(child);
	close(p[0]);
	MUST(pipe(p));
	child = fork();
	if (child == 0) {
		close(p[0]);
		n = write(p[1], big, sizeof big);
		printf("writer wrote %ld\n", n);
		n = write(p[1], big, sizeof big);
		printf("then %s\n", error_name(errno));
		fflush(stdout);
		_exit(0);
	}
	close(p[1]);
	until_asleep(child);
	close(p[0]);
	show_end(child);

	/* Small writes of two writers never mix. */
	MUST(pipe(p));
	for (int writer = 0; writer < 2; writer++)
		if (fork() == 0) {
			char line[512];
			memset(line, 'a' + writer, sizeof line);
			for (int i = 0; i < 300; i++)
				write(p[1], line, sizeof line);
			_exit(0);
		}
	close(p[1]);
	int mixed = 0, lines = 0, have = 0;
	char line[512];
	while ((n = read(p[0], line + have, sizeof line - have)) > 0)
		if ((have += n) == sizeof line) {
			for (int i = 1; i < 512; i++)
				mixed += line[i] != line[0];
			lines++, have = 0;
		}
	printf("lines %d mixed %d\n", lines, mixed);
	while (wait(0) > 0)
		;
	close(p[0]);

	MUST(pipe(p));
	MUST(pipe(q));
	MUST(write(p[1], "splice me", 9));
	SHOW(tee(p[0], q[1], 6, 0));
	SHOW(splice(p[0], 0, q[1], 0, 3, 0));
	memset(big, 0, 20);
	SHOW(read(q[0], big, 100));
	puts(big);
	put_file("file", "from a file", 0600);
	int fd = (int)MUST(open("file", O_RDWR));
	off_t offset = 5;
	SHOW(splice(fd, &offset, q[1], 0, 4, 0));
	printf("offset %ld\n", (long)offset);
	SHOW(splice(q[0], 0, fd, 0, 10, 0));
	show_file("file");
	SHOW(splice(fd, 0, fd, 0, 10, 0));
	SHOW(splice(p[0], &offset, q[1], 0, 4, 0));
	SHOW(tee(fd, q[1], 5, 0));
	return 0;
}
