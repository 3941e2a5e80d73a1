/* What events of software count: faults, switches, time; groups, inheritance, exec, who may. */
#define _GNU_SOURCE
#include "perf_case.h"

static void touch(int pages)
{
	char *at = mmap(NULL, (size_t)pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(at, (size_t)pages * PAGE, MADV_NOHUGEPAGE);
	for (int i = 0; i < pages; i++)
		at[i * PAGE] = 1;
	munmap(at, (size_t)pages * PAGE);
}

static void spin_ms(long ms)
{
	struct timespec from, now;
	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
}

static void faults(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	touch(10);
	printf("off: %llu\n", (unsigned long long)count_of(fd));
	touch(1);
	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	touch(50);
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	uint64_t count = count_of(fd);
	CHECK(count >= 50 && count < 60);
	touch(10);
	CHECK(count_of(fd) == count);
	MUST(ioctl(fd, PERF_EVENT_IOC_RESET, 0));
	printf("reset: %llu\n", (unsigned long long)count_of(fd));
	char small[4];
	SHOW(read(fd, small, sizeof small));
	SHOW(read(fd, NULL, 8));
	attr = software(PERF_COUNT_SW_PAGE_FAULTS_MIN);
	attr.exclude_user = 1;
	attr.disabled = 0;
	int kernel = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	touch(40);
	CHECK(count_of(kernel) < 20);
	attr.config = PERF_COUNT_SW_PAGE_FAULTS_MAJ;
	int major = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	touch(40);
	printf("major: %llu\n", (unsigned long long)count_of(major));
}

static void groups(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_LOST | PERF_FORMAT_TOTAL_TIME_ENABLED |
		PERF_FORMAT_TOTAL_TIME_RUNNING;
	int head = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	attr.disabled = 0;
	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	int clock = (int)MUST(event_open(&attr, 0, -1, head, 0));
	attr.config = PERF_COUNT_SW_CONTEXT_SWITCHES;
	int switches = (int)MUST(event_open(&attr, 0, -1, head, 0));
	spin_ms(5);
	struct {
		uint64_t count, enabled, running;
		struct { uint64_t value, id, lost; } each[3];
	} all = {0};
	SHOW(read(head, &all, sizeof all));
	printf("%llu events: %llu %llu %llu, enabled %llu running %llu\n", (unsigned long long)all.count,
		(unsigned long long)all.each[0].value, (unsigned long long)all.each[1].value,
		(unsigned long long)all.each[2].value, (unsigned long long)all.enabled, (unsigned long long)all.running);
	SHOW(read(head, &all, sizeof all - 8));
	MUST(ioctl(head, PERF_EVENT_IOC_ENABLE, 0));
	touch(20);
	spin_ms(20);
	for (int i = 0; i < 3; i++)
		usleep(50000); /* a time that has passed before the thread sleeps is no switch */
	MUST(ioctl(head, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP));
	SHOW(read(head, &all, sizeof all));
	CHECK(all.each[0].value >= 20 && all.each[0].value < 40);
	CHECK(all.each[1].value > 10000000 && all.each[1].value < 30000000000);
	CHECK(all.each[2].value >= 3);
	CHECK(all.enabled == all.running && all.enabled >= all.each[1].value);
	uint64_t id = 0;
	MUST(ioctl(switches, PERF_EVENT_IOC_ID, &id));
	CHECK(all.each[2].id == id && all.each[0].id != id && all.each[1].lost == 0);
	SHOW(read(clock, &all, sizeof all));
	printf("a member says %llu\n", (unsigned long long)all.count);
	close(head);
	SHOW(read(clock, &all, sizeof all));
	printf("alone it says %llu\n", (unsigned long long)all.count);
}

static void inheritance(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.disabled = 0;
	int own = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	attr.inherit = 1;
	int all = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	int go[2], done[2];
	MUST(pipe(go));
	MUST(pipe(done));
	uint64_t own_before = count_of(own), before = count_of(all);
	pid_t child = fork();
	if (child == 0) {
		touch(200);
		write(done[1], "x", 1);
		char byte;
		read(go[0], &byte, 1);
		touch(200);
		_exit(0);
	}
	char byte;
	MUST(read(done[0], &byte, 1));
	uint64_t during = count_of(all);
	CHECK(during >= before + 200);
	CHECK(count_of(own) < own_before + 100);
	MUST(ioctl(all, PERF_EVENT_IOC_DISABLE, 0));
	during = count_of(all);
	MUST(write(go[1], "x", 1));
	MUST(waitpid(child, NULL, 0));
	CHECK(count_of(all) == during);
	struct perf_event_attr attached = software(PERF_COUNT_SW_TASK_CLOCK);
	attached.disabled = 0;
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	int other = (int)MUST(event_open(&attached, child, -1, -1, 0));
	struct pollfd wait = {.fd = other, .events = POLLIN};
	usleep(2000);
	MUST(kill(child, SIGKILL));
	MUST(waitpid(child, NULL, 0));
	SHOW(poll(&wait, 1, 0));
	printf("events %x\n", (unsigned)wait.revents);
	CHECK(count_of(other) != ~0ull);
	SHOW(event_open(&attached, child, -1, -1, 0));
}

static void exec(char **argv)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.enable_on_exec = 1;
	int go[2];
	MUST(pipe(go));
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		char byte;
		read(go[0], &byte, 1);
		execl(argv[0], argv[0], "child", NULL);
		_exit(9);
	}
	int fd = (int)MUST(event_open(&attr, child, -1, -1, 0));
	attr.enable_on_exec = 0;
	attr.remove_on_exec = 1;
	attr.disabled = 0;
	int removed = (int)MUST(event_open(&attr, child, -1, -1, 0));
	MUST(write(go[1], "x", 1));
	MUST(waitpid(child, NULL, 0));
	CHECK(count_of(fd) >= 100);
	CHECK(count_of(removed) < 100);
}

static void rights(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_TASK_CLOCK);
	for (int level = 3; level >= -1; level--) {
		int fd = (int)MUST(open("/proc/sys/kernel/perf_event_paranoid", O_WRONLY));
		char text[8];
		int length = snprintf(text, sizeof text, "%d\n", level);
		MUST(write(fd, text, (size_t)length));
		close(fd);
		printf("-- %d\n", level);
		attr.exclude_kernel = 0;
		IN_CHILD(MUST(setuid(1000));
			SHOW(event_open(&attr, 0, -1, -1, 0) >= 0);
			attr.exclude_kernel = 1;
			SHOW(event_open(&attr, 0, -1, -1, 0) >= 0);
			SHOW(event_open(&attr, 0, -1, -1, 64));
			SHOW(event_open(&attr, -1, 0, -1, 0) >= 0);
			SHOW(event_open(&attr, 1, -1, -1, 0) >= 0);
			SHOW(event_open(NULL, 0, -1, -1, 0));
			attr.type = PERF_TYPE_TRACEPOINT;
			attr.sample_type = PERF_SAMPLE_RAW;
			attr.config = tracepoint("sched/sched_switch");
			SHOW(event_open(&attr, 0, -1, -1, 0));
			attr.type = PERF_TYPE_SOFTWARE;
			attr.sample_type = 0;
			attr.config = PERF_COUNT_SW_TASK_CLOCK;
			int own = (int)event_open(&attr, 0, -1, -1, 0);
			if (own >= 0) {
				struct rlimit none = {PAGE, PAGE};
				MUST(setrlimit(RLIMIT_MEMLOCK, &none));
				CHECK(mmap(NULL, 65 * PAGE, PROT_READ, MAP_SHARED, own, 0) != MAP_FAILED);
				int more = (int)event_open(&attr, 0, -1, -1, 0);
				SHOW(mmap(NULL, 129 * PAGE, PROT_READ, MAP_SHARED, more, 0) != MAP_FAILED);
			});
	}
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		touch(100);
		return 0;
	}
	mount_tracefs();
	faults();
	groups();
	inheritance();
	exec(argv);
	rights();
	unmount_tracefs();
	return 0;
}
