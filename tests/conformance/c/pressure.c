/* /proc/pressure and the pressure files of control groups: format, triggers with their limits and errors, poll; what counts as pressure. */
#include "cgroup_case.h"
#include <grp.h>
#include <sys/epoll.h>

static int shape(const char *line, const char *name, unsigned long long *total)
{
	char word[8];
	unsigned a, b, c, d, e, f;
	int end = 0;
	int n = sscanf(line, "%7s avg10=%u.%2u avg60=%u.%2u avg300=%u.%2u total=%llu\n%n", word, &a, &b, &c, &d, &e, &f, total, &end);
	return n == 8 && !strcmp(word, name) && a <= 100 && c <= 100 && e <= 100 && end > 0;
}

/* The totals of a file, and whether it looks as it should. */
static int totals(const char *path, unsigned long long *some, unsigned long long *full)
{
	char text[512];
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *second = strchr(text, '\n');
	return second && shape(text, "some", some) && shape(second + 1, "full", full) && !strchr(second + 1, '\n')[1];
}

static void look(const char *path)
{
	struct stat st;
	unsigned long long some, full;
	if (stat(path, &st) < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	printf("%s: mode %o size %ld, as it should %d\n", path, st.st_mode, (long)st.st_size, totals(path, &some, &full));
}

static const char *const triggers[] = {
	"some 150000 1000000\n", "some 150000 1000000", "full 150000 1000000\n", "some 1 1\n", "some 1 10000000\n", "some 1 10000001\n",
	"some 0 1000000\n", "some 1000000 1000000\n", "some 1000001 1000000\n", "some 1000 0\n", "some 1000\n", "some\n", "\n", "x", " some 1000 2000000\n",
	"some1000 2000000\n", "some  1000\t2000000 x\n", "some -1 2000000\n", "some 1000 -1\n", "none 1000 2000000\n", "some 150000 2000000\n",
	"some 150000 4000000\n", "some 150000 3000000\n", "some 0x10 2000000\n", "some 1000,2000000\n", "some 1000 2000000000000\n",
	"some 1000 1000000                                 \n",
};

static void errors(const char *path)
{
	for (size_t i = 0; i < sizeof triggers / sizeof *triggers; i++) {
		int fd = (int)MUST(open(path, O_RDWR | O_NONBLOCK));
		printf("%zu: ", i);
		SHOW(write(fd, triggers[i], strlen(triggers[i]) + 1));
		printf("%zu without a NUL: ", i);
		SHOW(write(fd, triggers[i], strlen(triggers[i])));
		close(fd);
	}
	int fd = (int)MUST(open(path, O_RDWR));
	char text[5000];
	memset(text, ' ', sizeof text);
	memcpy(text, "some 1000 2000000\n", 18);
	SHOW(write(fd, text, 0));
	SHOW(write(fd, (char *)8, 20));
	struct pollfd set = { fd, POLLIN | POLLOUT | POLLPRI, 0 };
	SHOW(poll(&set, 1, 0));
	printf("without a trigger %#x\n", set.revents);
	SHOW(write(fd, text, sizeof text) < 0 ? -1 : 0);
	SHOW(write(fd, "some 1000 2000000\n", 19));
	SHOW(write(fd, "some 1000 2000000\n", 19));
	set.events = POLLPRI;
	SHOW(poll(&set, 1, 0));
	SHOW(read(fd, text, sizeof text) > 0);
	SHOW(lseek(fd, 0, SEEK_SET));
	close(fd);
	int queue = (int)MUST(epoll_create1(0));
	fd = (int)MUST(open(path, O_RDWR));
	struct epoll_event event = { .events = EPOLLPRI };
	SHOW(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
	SHOW(epoll_wait(queue, &event, 1, 0));
	printf("events %#x\n", event.events);
	close(fd);
	close(queue);
}

static void by_others(void)
{
	MUST(setgroups(0, 0));
	MUST(setresgid(1000, 1000, 1000));
	MUST(setresuid(1000, 1000, 1000));
	errors("/proc/pressure/cpu");
}

static unsigned long long now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

/* Two that compute on one processor: one always waits. */
static void compete(int milliseconds)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	MUST(sched_setaffinity(0, sizeof one, &one));
	pid_t children[2];
	for (int i = 0; i < 2; i++) {
		children[i] = (pid_t)MUST(fork());
		if (children[i] == 0)
			for (;;)
				;
	}
	sleep_ms(milliseconds);
	for (int i = 0; i < 2; i++)
		kill(children[i], SIGKILL);
	for (int i = 0; i < 2; i++)
		waitpid(children[i], 0, 0);
}

static void of_processors(void)
{
	unsigned long long before, after, full;
	int fd = (int)MUST(open("/proc/pressure/cpu", O_RDWR | O_NONBLOCK));
	MUST(write(fd, "some 200000 1000000", 20));
	struct pollfd set = { fd, POLLPRI, 0 };
	totals("/proc/pressure/cpu", &before, &full);
	CHECK(full == 0);
	unsigned long long begun = now_us();
	compete(1500);
	totals("/proc/pressure/cpu", &after, &full);
	CHECK(after - before > 1000000 && after - before < now_us() - begun + 500000);
	CHECK(full == 0);
	SHOW(poll(&set, 1, 0));
	printf("told %#x\n", set.revents);
	SHOW(poll(&set, 1, 0));
	close(fd);
}

static void of_groups(void)
{
	static const char *const names[] = { "io.pressure", "memory.pressure", "cpu.pressure", "irq.pressure", "cgroup.pressure" };
	char path[128];
	unsigned long long some = 0, full = 0;
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof path, "%s/%s", TOP, names[i]);
		if (i < 4)
			look(path);
		else
			printf("%s: %s\n", path, access(path, F_OK) ? error_name(errno) : "there");
	}
	MUST(mkdir(TOP "/pressed", 0755));
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/pressed/%s", TOP, names[i]);
		look(path);
	}
	errors(TOP "/pressed/cpu.pressure");
	show_file(TOP "/pressed/cgroup.pressure");
	unsigned long long begun = now_us();
	IN_CHILD({
		printf("%d\n", put("pressed", "cgroup.procs", "0"));
		compete(600);
	});
	totals(TOP "/pressed/cpu.pressure", &some, &full);
	CHECK(some > 400000 && some < now_us() - begun + 500000);
	CHECK(full < 400000);
	static const char *const values[] = { "", "2", "-1", "x", "0 ", "0", "1", "0x1", "0\n" };
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		int fd = (int)MUST(open(TOP "/pressed/cgroup.pressure", O_WRONLY));
		printf("\"%s\": ", values[i]);
		SHOW(write(fd, values[i], strlen(values[i])));
		close(fd);
		show_file(TOP "/pressed/cgroup.pressure");
	}
	SHOW(access(TOP "/pressed/cpu.pressure", F_OK));
	int fd = (int)MUST(open(TOP "/pressed/cgroup.pressure", O_WRONLY));
	SHOW(write(fd, "1", 1));
	close(fd);
	SHOW(access(TOP "/pressed/cpu.pressure", F_OK));
	fd = (int)MUST(open(TOP "/pressed/cpu.pressure", O_RDWR));
	MUST(rmdir(TOP "/pressed"));
	char text[300];
	SHOW(read(fd, text, sizeof text));
	SHOW(write(fd, "some 1000 2000000\n", 18));
	close(fd);
}

/* A poll of a group's trigger reports that the group was removed. */
static void of_removed(void)
{
	MUST(mkdir(TOP "/pressed", 0755));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		int fd = (int)MUST(open(TOP "/pressed/memory.pressure", O_RDWR));
		MUST(write(fd, "some 1000000 2000000", 20));
		struct pollfd set = { fd, POLLPRI, 0 };
		SHOW(poll(&set, 1, 60000));
		printf("told %#x\n", set.revents);
		fflush(stdout);
		_exit(0);
	}
	until_asleep(child);
	MUST(rmdir(TOP "/pressed"));
	show_end(child);
}

/* Nothing is left of what others have waited for. */
static void at_rest(void)
{
	static const char *const names[] = { "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io" };
	unsigned long long before[3], after[3], full;
	/* When the host stands still while somebody waits, it counts: so there are several attempts. */
	for (int tries = 0, rests = 0; tries < 10 && !rests; tries++) {
		for (int i = 0; i < 3; i++)
			totals(names[i], &before[i], &full);
		sleep_ms(400);
		rests = 1;
		for (int i = 0; i < 3; i++) {
			totals(names[i], &after[i], &full);
			rests &= after[i] - before[i] < 250000;
		}
	}
	for (int i = 0; i < 3; i++)
		CHECK(after[i] - before[i] < 250000);
}

int main(void)
{
	look("/proc/pressure/cpu");
	look("/proc/pressure/memory");
	look("/proc/pressure/io");
	printf("irq: %s\n", access("/proc/pressure/irq", F_OK) ? error_name(errno) : "there");
	errors("/proc/pressure/io");
	IN_CHILD(by_others());
	of_processors();
	mount_groups();
	of_groups();
	of_removed();
	unmount_groups();
	at_rest();
	return 0;
}
