/* Let the watchdog run with a short time, and end without stopping it: `hang SECONDS`. */
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(int count, char **words)
{
	int seconds = count > 1 ? atoi(words[1]) : 1;
	int fd = open("/dev/watchdog", O_WRONLY);
	if (fd < 0 || ioctl(fd, WDIOC_SETTIMEOUT, &seconds) != 0) {
		perror("watchdog");
		return 1;
	}
	return 0;
}
