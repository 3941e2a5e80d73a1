/*
 * A session takes the serial line as its terminal and ends; a process that it leaves behind, deaf to SIGHUP, must not be able to
 * use the line any more, or it could listen to whoever logs in next. What it finds goes to the log of the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	int gone[2], log = open("/dev/kmsg", O_WRONLY);
	char c, text[100];
	pipe(gone);
	signal(SIGHUP, SIG_IGN);
	pid_t leader = fork();
	if (leader == 0) {
		setsid();
		int line = open("/dev/ttyS0", O_RDWR | O_NOCTTY), console = open("/dev/console", O_RDWR | O_NOCTTY);
		int steals = ioctl(line, TIOCSCTTY, 1);
		close(gone[1]);
		if (fork() == 0) {
			read(gone[0], &c, 1); /* until the leader was waited for */
			errno = 0;
			int wrote = write(line, "", 0), write_error = errno, read_result = read(line, &c, 1);
			int on_console = write(console, "", 0);
			snprintf(text, sizeof text, "left behind: %d, write %d %s, read %d, console %d\n", steals, wrote,
				 strerror(write_error), read_result, on_console);
			write(log, text, strlen(text));
			_exit(0);
		}
		_exit(0);
	}
	waitpid(leader, NULL, 0);
	return 0;
}
