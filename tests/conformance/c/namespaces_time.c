/* time_namespaces(7): how one is made, entered and shifted; who may, and which clocks, time-outs and files follow. */
#include "userns_case.h"
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#define OFFSETS "/proc/self/timens_offsets"
#define DAY 86400ll

static char *self;

static const char *place(const char *path)
{
	static char text[4][64];
	static int turn;
	char *to = text[turn++ & 3];
	ssize_t n = readlink(path, to, 63);
	to[n > 0 ? n : 0] = 0;
	return to;
}

static void where(const char *when)
{
	const char *own = place("/proc/self/ns/time"), *later = place("/proc/self/ns/time_for_children");
	printf("%s: in the first %d, children %s\n", when, !strcmp(own, "time:[4026531834]"),
		!strcmp(own, later) ? "here" : strncmp(later, "time:[", 6) ? later : "elsewhere");
}

static long long seconds_of(clockid_t clock, int by_kernel)
{
	struct timespec t;
	MUST(by_kernel ? syscall(SYS_clock_gettime, clock, &t) : clock_gettime(clock, &t));
	return t.tv_sec;
}

static long long ns_of(clockid_t clock)
{
	struct timespec t;
	MUST(syscall(SYS_clock_gettime, clock, &t));
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* By how many days each clock is ahead of a machine that has just booted; of the wall clock, whether it is right. */
static void days(const char *when)
{
	static const clockid_t all[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM };
	printf("%s: days", when);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		printf(" %lld/%lld", seconds_of(all[i], 0) / DAY, seconds_of(all[i], 1) / DAY);
	long long begun = seconds_of(CLOCK_REALTIME, 0), asked = seconds_of(CLOCK_REALTIME, 1);
	printf(" wall %d\n", begun <= asked && asked <= seconds_of(CLOCK_REALTIME, 0));
}

static long number_in(const char *path, const char *before, int skipped)
{
	static char text[16384];
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strstr(text, before);
	if (!at)
		return -1;
	at += strlen(before);
	while (skipped-- > 0)
		at = strchr(at + 1, ' ');
	return atol(at);
}

static void files(const char *when)
{
	struct sysinfo info;
	MUST(sysinfo(&info));
	printf("%s: days of uptime %ld, of sysinfo %ld, of start %ld, boot %lld days ago\n", when, number_in("/proc/uptime", "", 0) / DAY,
		info.uptime / (long)DAY, number_in("/proc/self/stat", ")", 19) / 100 / (long)DAY,
		(time(0) - number_in("/proc/stat", "btime ", 0) + 60) / DAY);
}

static void first(void)
{
	where("first");
	show_file(OFFSETS);
	SHOW(put(OFFSETS, "monotonic 1 0\n"));
	SHOW(put(OFFSETS, "boottime 99999999999 0\n"));
	SHOW(put("/proc/1/timens_offsets", "monotonic 1 0\n"));
	SHOW(access("/proc/self/task/self/timens_offsets", F_OK));
	struct stat st;
	MUST(stat(OFFSETS, &st));
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	int fd = (int)MUST(open("/proc/self/ns/time", O_RDONLY));
	SHOW(ioctl(fd, NS_GET_NSTYPE));
	SHOW(ioctl(fd, NS_GET_PARENT));
	SHOW(ioctl(fd, NS_GET_USERNS));
	uid_t owner;
	SHOW(ioctl(fd, NS_GET_OWNER_UID, &owner));
	SHOW(setns(fd, CLONE_NEWUTS));
	SHOW(setns(fd, CLONE_NEWTIME));
	SHOW(setns(fd, 0));
	close(fd);
}

static const char *const texts[] = {
	"", "\n", "monotonic", "monotonic 1", "monotonic 1 ", "monotonic 1 2", "monotonic 1 2\n", "monotonic 3 4 5", "monotonic 6 7x\n",
	" \t monotonic\t8\v9", "monotonic10 11", "monotonicx 1 2", "mono 1 2", "MONOTONIC 1 2", "1 12 13", "7 14 15", "0 1 2", "01 1 2",
	"boottime 16 17", "boottime16 17", "realtime 1 1", "monotonic - 1", "monotonic -0 1", "monotonic +1 1", "monotonic 1 -1",
	"monotonic 1 +1", "monotonic 1 999999999", "monotonic 1 1000000000", "monotonic 0x10 0", "monotonic 1.5 0", "monotonic 1-1",
	"monotonic 18 19\nboottime 20 21", "monotonic 22 23\nboottime 24 25\n", "monotonic 26 0\nmonotonic 27 0\n", "monotonic 1 0\n\n",
	"monotonic 1 0\n\nboottime 1 0", "\nmonotonic 1 0", "monotonic 28 0\nboottime 29 0\nboottime 30 0", "monotonic 31 0\nboottime 32 0\n\n",
	"monotonic 33 0\nbad", "monotonic 1 0\rboottime 1 0", "monotonic 4611000000 0", "monotonic 4611686017 0", "monotonic 4611686018 0",
	"monotonic 4611686018 999999999", "monotonic 4611686019 0", "monotonic 9223372036 0", "monotonic 9223372037 0", "monotonic -9223372037 0",
	"monotonic 92233720360000 0", "monotonic -1000000 0", "boottime -1000000 0", "boottime 4611686018 0", "boottime 4600000000 0",
	"monotonic 34 0\nboottime -1000000 0", "boottime 34 0\nmonotonic 92233720368 0",
};

static void texts_in(void)
{
	MUST(unshare(CLONE_NEWTIME));
	where("after unshare");
	days("after unshare");
	show_file(OFFSETS);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		printf("%zu: ", i);
		SHOW(put(OFFSETS, texts[i]));
		show_file(OFFSETS);
	}
	int fd = (int)MUST(open(OFFSETS, O_RDWR));
	char big[5000];
	memset(big, ' ', sizeof big);
	memcpy(big, "monotonic 40 0", 14);
	SHOW(write(fd, big, 4095));
	SHOW(write(fd, big, 4096));
	SHOW(write(fd, big, 0));
	SHOW(write(fd, "boottime 41 0\0junk", 18));
	SHOW(write(fd, (char *)8, 20));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwrite(fd, "monotonic 42 0", 14, 1));
	SHOW(pwrite(fd, "monotonic 42 0", 14, 0));
	SHOW(read(fd, big, 10));
	SHOW(write(fd, "monotonic 43 0", 14));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(write(fd, "monotonic 44 0", 14));
	show_file(OFFSETS);
	/* A second unshare begins with the same, and the first child fixes it. */
	SHOW(unshare(CLONE_NEWTIME));
	show_file(OFFSETS);
	SHOW(write(fd, "monotonic 864000 5\nboottime 1728000 6", 37));
	days("before a child");
	IN_CHILD({
		where("child");
		days("child");
		files("child");
		show_file(OFFSETS);
		SHOW(put(OFFSETS, "monotonic 1 0"));
		SHOW(unshare(CLONE_NEWTIME));
		where("child after unshare");
		SHOW(put(OFFSETS, "monotonic 2592000 0"));
		IN_CHILD(days("grandchild"));
		days("child again");
	});
	SHOW(write(fd, "monotonic 1 0", 13));
	SHOW(write(fd, "monotonic -10000000 0", 21));
	show_file(OFFSETS);
	where("parent");
	days("parent");
	files("parent");
	close(fd);
}

static void after_exec(const char *when)
{
	where(when);
	days(when);
	files(when);
}

static pthread_barrier_t barrier;

static void *thread(void *unused)
{
	pthread_barrier_wait(&barrier);
	where("thread");
	days("thread");
	return 0;
}

static void programs(void)
{
	MUST(unshare(CLONE_NEWTIME));
	MUST(put(OFFSETS, "monotonic 864000 0\nboottime 1728000 0"));
	pthread_t other;
	pthread_barrier_init(&barrier, 0, 2);
	int error = pthread_create(&other, 0, thread, 0);
	printf("thread: %s\n", error ? error_name(error) : "made");
	if (!error) {
		pthread_barrier_wait(&barrier);
		pthread_join(other, 0);
	}
	SHOW(put(OFFSETS, "monotonic 864000 0\nboottime 1728000 0"));
	fflush(stdout);
	pid_t child = vfork();
	if (child == 0) {
		static struct timespec t;
		clock_gettime(CLOCK_MONOTONIC, &t);
		if (t.tv_sec > DAY)
			_exit(7);
		execl(self, self, "program by vfork", (char *)0);
		_exit(9);
	}
	show_end(child);
	days("parent of a program");
	SHOW(put(OFFSETS, "monotonic 1 0"));
	fflush(stdout);
	execl(self, self, "program", (char *)0);
}

static void clones(void)
{
	struct clone_args args = { .flags = CLONE_NEWTIME, .exit_signal = SIGCHLD };
	fflush(stdout);
	pid_t child = (pid_t)MUST(syscall(SYS_clone3, &args, sizeof args));
	if (child == 0) {
		where("child of clone3");
		show_file(OFFSETS);
		SHOW(put(OFFSETS, "boottime 864000 0"));
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	where("parent of clone3");
	for (int bit = 0; bit < 8; bit++) {
		args = (struct clone_args){ .flags = 1 << bit, .exit_signal = SIGCHLD };
		errno = 0;
		child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
		if (child == 0)
			_exit(0);
		if (child > 0)
			show_end(child);
		else
			printf("bit %d: %s\n", bit, error_name(errno));
	}
	args = (struct clone_args){ .flags = CLONE_NEWTIME | CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD };
	child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (child == 0) {
		where("shares memory");
		fflush(stdout);
		_exit(0);
	}
	if (child > 0)
		show_end(child);
	/* clone(2) takes it for a part of the signal. */
	SHOW(syscall(SYS_clone, CLONE_NEWTIME | CLONE_PIDFD | CLONE_PARENT_SETTID, 0, 0, 0, 0));
}

static int made(const char *shifts)
{
	MUST(unshare(CLONE_NEWTIME));
	MUST(put(OFFSETS, shifts));
	return (int)MUST(open("/proc/self/ns/time_for_children", O_RDONLY));
}

static void *waits(void *unused)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return 0;
}

static void entering(void)
{
	int old = (int)MUST(open("/proc/self/ns/time", O_RDONLY));
	int fd = made("monotonic 864000 0\nboottime 1728000 0");
	int same = made("monotonic 2592000 0");
	SHOW(ioctl(fd, NS_GET_NSTYPE));
	pthread_t other;
	pthread_barrier_init(&barrier, 0, 2);
	pthread_create(&other, 0, waits, 0);
	pthread_barrier_wait(&barrier);
	SHOW(setns(fd, CLONE_NEWTIME));
	pthread_barrier_wait(&barrier);
	pthread_join(other, 0);
	until_alone();
	fflush(stdout);
	pid_t child = vfork();
	if (child == 0) {
		int answer = setns(fd, CLONE_NEWTIME);
		_exit(answer == 0 ? 0 : errno);
	}
	show_end(child);
	days("before setns");
	SHOW(setns(fd, CLONE_NEWTIME));
	where("entered");
	days("entered");
	IN_CHILD(days("child of it"); where("child of it"));
	SHOW(put(OFFSETS, "monotonic 1 0"));
	SHOW(setns(same, 0));
	days("entered another");
	SHOW(setns(old, 0));
	where("back");
	days("back");
	IN_CHILD(days("child of it"));
	/* By a process descriptor. */
	int ready[2];
	MUST(pipe(ready));
	SHOW(setns(fd, 0));
	child = (pid_t)MUST(fork());
	if (child == 0) {
		close(ready[1]);
		char byte;
		read(ready[0], &byte, 1);
		_exit(0);
	}
	SHOW(setns(old, 0));
	int process = (int)MUST(syscall(SYS_pidfd_open, child, 0));
	SHOW(setns(process, CLONE_NEWTIME | CLONE_NEWUTS));
	days("by pidfd");
	close(ready[1]);
	until_ended(child);
	SHOW(setns(process, CLONE_NEWTIME));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/time", child);
	SHOW(open(path, O_RDONLY));
	snprintf(path, sizeof path, "/proc/%d/timens_offsets", child);
	int zombie = (int)SHOW(open(path, O_RDWR) > 0 ? 1 : 0);
	if (zombie) {
		zombie = open(path, O_RDWR);
		char text[100];
		SHOW(read(zombie, text, sizeof text));
		SHOW(pwrite(zombie, "monotonic 1 0", 13, 0));
		waitpid(child, 0, 0);
		SHOW(pread(zombie, text, sizeof text, 0));
		SHOW(pwrite(zombie, "monotonic 1 0", 13, 0));
		SHOW(pwrite(zombie, "bad", 3, 0));
	}
}

/* Of a time-out the least is measured, from before its end is computed: one that takes the clocks for the first namespace's lasts for days. */
static int has_passed(long long begun_ns, long long least_ms)
{
	return ns_of(CLOCK_REALTIME) - begun_ns >= least_ms * 1000000;
}

static struct timespec after(clockid_t clock, long long ms)
{
	long long ns = ns_of(clock) + ms * 1000000;
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

#define TIMED(clock, call) do { \
	long long begun_ = ns_of(CLOCK_REALTIME); \
	struct timespec t = after(clock, 30); \
	SHOW(call); \
	printf("30 ms have passed: %d\n", has_passed(begun_, 30)); \
} while (0)
#define TIMED_RELATIVE(call) do { \
	long long begun_ = ns_of(CLOCK_REALTIME); \
	struct timespec t = { 0, 30000000 }; \
	SHOW(call); \
	printf("30 ms have passed: %d\n", has_passed(begun_, 30)); \
} while (0)

static void ring_timeout(void)
{
	struct io_uring_params params = { 0 };
	int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		return;
	char *queue = mmap(0, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	struct io_uring_sqe *entries = mmap(0, 4 * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	/* A time that is 200 ms ahead by the first namespace's clock, and long past here. */
	long long begun = ns_of(CLOCK_REALTIME);
	struct timespec t = after(CLOCK_MONOTONIC, 200 - 864000 * 1000ll);
	struct { long long s, ns; } limit = { t.tv_sec, t.tv_nsec };
	memset(entries, 0, sizeof *entries);
	entries[0].opcode = IORING_OP_TIMEOUT;
	entries[0].addr = (uintptr_t)&limit;
	entries[0].len = 1;
	entries[0].timeout_flags = IORING_TIMEOUT_ABS;
	((unsigned *)(queue + params.sq_off.array))[0] = 0;
	*(volatile unsigned *)(queue + params.sq_off.tail) = 1;
	SHOW(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0));
	printf("ring waited by the first clock: %d\n", has_passed(begun, 200));
	close(ring);
}

static void timeouts(void)
{
	static unsigned word;
	TIMED(CLOCK_MONOTONIC, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0));
	TIMED(CLOCK_BOOTTIME, clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &t, 0));
	TIMED(CLOCK_BOOTTIME, clock_nanosleep(CLOCK_BOOTTIME_ALARM, TIMER_ABSTIME, &t, 0));
	TIMED(CLOCK_REALTIME, clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, 0));
	struct timespec over = { 800000, 0 }; /* less than the shift */
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &over, 0));
	TIMED_RELATIVE(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, 0));
	TIMED(CLOCK_MONOTONIC, syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &t, 0, -1));
	TIMED(CLOCK_REALTIME, syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, 0, -1));
	TIMED_RELATIVE(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, 0, 0));
	struct { unsigned long long value, address; unsigned flags, reserved; } waiter = { 0, (uintptr_t)&word, 2, 0 };
	TIMED(CLOCK_MONOTONIC, syscall(449, &waiter, 1, 0, &t, CLOCK_MONOTONIC));
	TIMED(CLOCK_MONOTONIC, syscall(455, &word, 0ul, 0xffffffffu, 2, &t, CLOCK_MONOTONIC));
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM };
	for (int i = 0; i < 3; i++) {
		struct itimerspec timer = { .it_value = after(clocks[i], 30) }, left;
		int fd = (int)MUST(timerfd_create(clocks[i], 0));
		unsigned long long count;
		MUST(timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, 0));
		MUST(timerfd_gettime(fd, &left));
		CHECK(left.it_value.tv_sec == 0);
		SHOW(read(fd, &count, 8));
		timer.it_value = over;
		timer.it_interval = (struct timespec){ 864000, 0 };
		MUST(timerfd_settime(fd, TFD_TIMER_ABSTIME, &timer, 0));
		SHOW(read(fd, &count, 8));
		close(fd);
		timer_t number;
		struct sigevent none = { .sigev_notify = SIGEV_NONE };
		MUST(timer_create(clocks[i], &none, &number));
		timer = (struct itimerspec){ .it_value = after(clocks[i], 300000) };
		MUST(timer_settime(number, TIMER_ABSTIME, &timer, 0));
		MUST(timer_gettime(number, &left));
		CHECK(left.it_value.tv_sec >= 200 && left.it_value.tv_sec <= 300);
		timer = (struct itimerspec){ .it_value = over };
		MUST(timer_settime(number, TIMER_ABSTIME, &timer, 0));
		MUST(timer_gettime(number, &left));
		CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= 1);
		timer_delete(number);
	}
	ring_timeout();
}

static void rights(void)
{
	become(1000);
	SHOW(unshare(CLONE_NEWTIME));
	SHOW(put(OFFSETS, "monotonic 1 0"));
	SHOW(put("/proc/1/timens_offsets", "monotonic 1 0"));
	int fd = (int)MUST(open("/proc/self/ns/time", O_RDONLY));
	SHOW(setns(fd, 0));
	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWTIME));
	where("own");
	SHOW(setns(fd, 0));
	SHOW(put(OFFSETS, "monotonic 864000 0"));
	IN_CHILD({
		days("own");
		int own = (int)MUST(open("/proc/self/ns/time", O_RDONLY));
		SHOW(setns(own, 0));
		int ruler = ioctl(own, NS_GET_USERNS);
		struct stat a;
		struct stat b;
		MUST(fstat(ruler, &a));
		MUST(stat("/proc/self/ns/user", &b));
		CHECK(a.st_ino == b.st_ino);
	});
}

static void limits(void)
{
	MUST(unshare(CLONE_NEWUSER));
	SHOW(put("/proc/sys/user/max_time_namespaces", "2"));
	SHOW(unshare(CLONE_NEWTIME));
	IN_CHILD({
		SHOW(unshare(CLONE_NEWTIME));
		SHOW(unshare(CLONE_NEWTIME));
		SHOW(unshare(CLONE_NEWTIME));
	});
	SHOW(put("/proc/sys/user/max_time_namespaces", "0"));
	SHOW(unshare(CLONE_NEWTIME));
}

int main(int count, char **arguments)
{
	self = "/proc/self/exe";
	if (count > 1) {
		after_exec(arguments[1]);
		return 0;
	}
	IN_CHILD(first());
	while (seconds_of(CLOCK_MONOTONIC, 1) < 3)
		sleep_ms(10); /* which of the largest shifts fit depends on the first seconds */
	IN_CHILD(texts_in());
	IN_CHILD(programs());
	IN_CHILD(clones());
	IN_CHILD(entering());
	IN_CHILD({
		MUST(unshare(CLONE_NEWTIME));
		MUST(put(OFFSETS, "monotonic 864000 0\nboottime 1728000 500000000"));
		IN_CHILD(timeouts());
	});
	IN_CHILD(rights());
	IN_CHILD(limits());
	return 0;
}
