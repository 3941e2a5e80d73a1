/* The kernel's log: /dev/kmsg written, read record by record, waited for and polled; what klogctl waits for, takes and
 * leaves; who may (syslog(2), dev-kmsg).
 */
#include "case.h"
#include <poll.h>
#include <sys/klog.h>
#include <sys/mman.h>

static char buffer[4096];

static void show_record(int fd)
{
	ssize_t n = read(fd, buffer, sizeof buffer - 1);
	if (n < 0) {
		printf("record: %s\n", error_name(errno));
		return;
	}
	buffer[n] = 0;
	unsigned priority = 0;
	unsigned long long sequence = 0, us = 0;
	char *text = strchr(buffer, ';');
	int fields = sscanf(buffer, "%u,%llu,%llu,", &priority, &sequence, &us);
	printf("record: %d fields, priority %u, flags %.2s text%s", fields, priority, text ? text - 1 : "", text ? text : "\n");
}

static void say(const char *text)
{
	/* Without a line's end Linux waits for the rest of the line. */
	int fd = (int)MUST(open("/dev/kmsg", O_WRONLY));
	printf("write %zu bytes: %zd\n", strlen(text), write(fd, text, strlen(text)));
	close(fd);
}

/* In a child, whose output would come at any place. */
static void say_late(const char *text)
{
	sleep_ms(40);
	int fd = open("/dev/kmsg", O_WRONLY);
	_exit(write(fd, text, strlen(text)) < 0);
}

static void records(void)
{
	int fd = (int)MUST(open("/dev/kmsg", O_RDWR | O_NONBLOCK));
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(read(fd, buffer, sizeof buffer));
	SHOW(poll(&p, 1, 0));
	say("a line\n");
	say("<4>with a level\n");
	say("<30>with a facility and a level\n");
	say("<4and no bracket\n");
	say("two\nlines\n");
	say("tab\tbackslash\\ high \xe4 end\n");
	say("\n");
	SHOW(poll(&p, 1, 0));
	printf("revents %#x\n", p.revents);
	for (int i = 0; i < 8; i++)
		show_record(fd);
	say("long enough\n");
	SHOW(read(fd, buffer, 8));
	SHOW(read(fd, buffer, 8));
	SHOW(lseek(fd, 1, SEEK_SET));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(pwrite(fd, "x\n", 2, 0));
	memset(buffer, 'x', 1200);
	close(fd);
	fd = (int)MUST(open("/dev/kmsg", O_WRONLY));
	SHOW(write(fd, buffer, 1025));
	SHOW(read(fd, buffer, 10));
	close(fd);
	fd = (int)MUST(open("/dev/kmsg", O_RDONLY));
	MUST(lseek(fd, 0, SEEK_END));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child)
		say_late("<6>late\n");
	show_record(fd);
	waitpid(child, 0, 0);
	child = (pid_t)MUST(fork());
	if (!child)
		say_late("<6>later\n");
	p.fd = fd;
	p.events = POLLIN;
	SHOW(poll(&p, 1, 60000));
	show_record(fd);
	waitpid(child, 0, 0);
	close(fd);
}

static void control(void)
{
	SHOW(klogctl(0, 0, 0));
	SHOW(klogctl(1, 0, 0));
	SHOW(klogctl(99, 0, 0));
	SHOW(klogctl(2, 0, 10));
	SHOW(klogctl(2, buffer, -1));
	SHOW(klogctl(2, buffer, 0));
	while (klogctl(9, 0, 0) > 0)
		MUST(klogctl(2, buffer, sizeof buffer));
	say("<5>first\n");
	say("<14>second\nand more\n");
	int n = (int)MUST(klogctl(9, 0, 0));
	printf("%d bytes wait\n", n);
	n = (int)MUST(klogctl(2, buffer, 4));
	printf("%d: %.*s\n", n, n, buffer);
	n = (int)MUST(klogctl(2, buffer, 20));
	buffer[n] = 0;
	printf("%d, a line's end %s\n", n, strchr(buffer, '\n') ? "in it" : "not yet");
	n = (int)MUST(klogctl(2, buffer, sizeof buffer - 1));
	buffer[n] = 0;
	for (char *line = strtok(buffer, "\n"); line; line = strtok(0, "\n"))
		printf("%.4s ... %s\n", line, strchr(line, ']') ? strchr(line, ']') : "no time");
	SHOW(klogctl(9, 0, 0));
	/* A line that meets a fault is gone, and what came before it counts. */
	char *pages = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(munmap(pages + 4096, 4096));
	say("<5>lost\n");
	SHOW(klogctl(2, pages + 4090, 100));
	SHOW(klogctl(9, 0, 0));
	say("<5>read\n");
	say("<5>lost too\n");
	n = (int)MUST(klogctl(2, pages + 4096 - 30, 100));
	printf("%.4s ... %.7s", pages + 4096 - 30, strchr(pages + 4096 - 30, ']'));
	SHOW(klogctl(9, 0, 0));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child)
		say_late("<5>awaited\n");
	n = (int)MUST(klogctl(2, buffer, sizeof buffer - 1));
	buffer[n] = 0;
	printf("%.3s ... %s", buffer, strchr(buffer, ']'));
	waitpid(child, 0, 0);
	n = (int)MUST(klogctl(3, buffer, 40));
	buffer[n] = 0;
	printf("the last: %s", strchr(buffer, ']'));
	SHOW(klogctl(5, 0, 0));
	SHOW(klogctl(3, buffer, sizeof buffer));
	say("<5>after the clearing\n");
	n = (int)MUST(klogctl(4, buffer, sizeof buffer - 1));
	buffer[n] = 0;
	printf("%s", strchr(buffer, ']'));
	SHOW(klogctl(4, buffer, sizeof buffer));
	CHECK(klogctl(10, 0, 0) > 4096);
	SHOW(klogctl(8, 0, 0));
	SHOW(klogctl(8, 0, 9));
	show_file("/proc/sys/kernel/dmesg_restrict");
	IN_CHILD(
		MUST(setuid(1000));
		SHOW(klogctl(3, buffer, 10));
		SHOW(klogctl(2, buffer, 10));
		SHOW(klogctl(10, 0, 0));
		SHOW(open("/dev/kmsg", O_RDONLY));
		SHOW(open("/dev/kmsg", O_WRONLY));
	);
}

int main(void)
{
	int off = open("/proc/sys/kernel/printk_devkmsg", O_WRONLY);
	if (off >= 0) {
		MUST(write(off, "on\n", 3));
		close(off);
	}
	records();
	control();
	return 0;
}
