/* Covers: mkfifo, mknod; opening order of readers and writers, O_NONBLOCK, ENXIO, end of file when the last writer goes. */
#include <poll.h>
#include "case.h"

int main(void)
{
	char buffer[32] = { 0 };
	SHOW(mkfifo("fifo", 0644));
	SHOW(mkfifo("fifo", 0644));
	SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
	int r = (int)TRY(open("fifo", O_RDONLY | O_NONBLOCK));
	SHOW(read(r, buffer, 1));
	int w = (int)TRY(open("fifo", O_WRONLY | O_NONBLOCK));
	SHOW(read(r, buffer, 1));
	SHOW(write(w, "abc", 3));
	SHOW(read(r, buffer, 10));
	SHOW(close(w));
	SHOW(read(r, buffer, 10));
	struct pollfd poller = { r, POLLIN };
	SHOW(poll(&poller, 1, 0));
	printf("revents %#x\n", poller.revents);
	close(r);
	pid_t child = fork();
	if (child == 0) {
		sleep_ms(100);
		w = open("fifo", O_WRONLY);
		write(w, "from the child", 14);
		sleep_ms(50);
		write(w, "!", 1);
		_exit(0);
	}
	r = (int)TRY(open("fifo", O_RDONLY));
	long n, total = 0;
	while ((n = read(r, buffer + total, sizeof buffer - total)) > 0)
		total += n;
	printf("%ld: %s\n", total, buffer);
	show_end(child);
	close(r);
	int rw = (int)TRY(open("fifo", O_RDWR));
	SHOW(write(rw, "self", 4));
	SHOW(read(rw, buffer, 4));
	SHOW(lseek(rw, 0, SEEK_SET));
	close(rw);
	/* Interrupting an open that waits. */
	struct sigaction action = { .sa_handler = SIG_DFL };
	child = fork();
	if (child == 0) {
		alarm(1);
		open("fifo", O_RDONLY);
		_exit(0);
	}
	show_end(child);
	struct stat st;
	SHOW(stat("fifo", &st));
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	SHOW(unlink("fifo"));
	(void)action;
	return 0;
}
