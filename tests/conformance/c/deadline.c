/*
 * Covers: sched_setattr and sched_getattr with SCHED_DEADLINE: parameters and their errors, admission by bandwidth (EBUSY), RESET_ON_FORK and
 * fork's EAGAIN, KEEP_POLICY and KEEP_PARAMS, who may (EPERM), what other calls and /proc say of such a thread; sched_setaffinity of one; the
 * limits in /proc/sys/kernel.
 */
#define _GNU_SOURCE
#include "case.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

struct attr { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; uint32_t low, high; };

#define DEADLINE 6
#define RESET_ON_FORK 1
#define RECLAIM 2
#define OVERRUN 4
#define KEEP_POLICY 8
#define KEEP_PARAMS 16
#define MS 1000000ul

static long set_of(pid_t pid, uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period)
{
	struct attr a = { sizeof a, DEADLINE, flags, 0, 0, runtime, deadline, period, 0, 0 };
	return syscall(SYS_sched_setattr, pid, &a, 0);
}

static pid_t subject; /* 0: this thread */

static long set(uint64_t flags, uint64_t runtime, uint64_t deadline, uint64_t period) { return set_of(subject, flags, runtime, deadline, period); }

static long set_policy(int policy, uint64_t flags, int priority, int nice)
{
	struct attr a = { sizeof a, policy, flags, nice, priority, 0, 0, 0, 0, 0 };
	return syscall(SYS_sched_setattr, subject, &a, 0);
}

static void show(const char *what)
{
	struct attr a;
	memset(&a, 0x55, sizeof a);
	long result = syscall(SYS_sched_getattr, subject, &a, sizeof a, 0);
	printf("%s: %ld: policy %u flags %#lx nice %d priority %u", what, result, a.policy, (long)a.flags, a.nice, a.priority);
	if (a.policy == DEADLINE)
		printf(" runtime %lu deadline %lu period %lu", (long)a.runtime, (long)a.deadline, (long)a.period);
	printf(" clamps %u %u\n", a.low, a.high);
}

static void parameters(void)
{
	static const struct { uint64_t runtime, deadline, period; } times[] = {
		{ 0, 0, 0 }, { 10 * MS, 0, 0 }, { 10 * MS, 0, 100 * MS }, { 0, 100 * MS, 100 * MS }, { 1023, 100 * MS, 100 * MS }, { 1024, 100 * MS, 100 * MS },
		{ 10 * MS, 9 * MS, 100 * MS }, { 10 * MS, 100 * MS, 99 * MS }, { 10 * MS, 100 * MS, 0 }, { 10 * MS, 20 * MS, 100 * MS }, { 10 * MS, 10 * MS, 100 * MS },
		{ 50000, 99999, 0 }, { 50000, 99999, 99999 }, { 50000, 99999, 100000 }, { 50000, 100000, 0 },
		{ 10 * MS, 4194304000, 0 }, { 10 * MS, 4194304001, 0 }, { 10 * MS, 100 * MS, 4194304000 }, { 10 * MS, 100 * MS, 4194304001 },
		{ 1ul << 63, 1ul << 63, 1ul << 63 }, { 10 * MS, 100 * MS, 1ul << 63 }, { -1ul, -1ul, -1ul }, { 10 * MS, 1ul << 63, 0 }, { -1ul, 100 * MS, 0 },
		{ 10 * MS, 1ul << 62, 1ul << 62 },
	};
	/* Of another, which sleeps: with so little time nobody would print anything. */
	subject = (pid_t)MUST(fork());
	if (subject == 0) {
		pause();
		_exit(0);
	}
	until_asleep(subject);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		long result = set(0, times[i].runtime, times[i].deadline, times[i].period);
		printf("%lu %lu %lu: %s\n", (long)times[i].runtime, (long)times[i].deadline, (long)times[i].period, result ? error_name(errno) : "ok");
		show("then");
	}
	for (unsigned flag = 1; flag < 0x200; flag <<= 1) {
		long result = set(flag, 10 * MS, 100 * MS, 0);
		printf("flag %#x: %s\n", flag, result ? error_name(errno) : "ok");
		show("then");
	}
	SHOW(set(0x10000000, 10 * MS, 100 * MS, 0));
	SHOW(set(0x80000000, 10 * MS, 100 * MS, 0));
	SHOW(set(1ul << 40, 10 * MS, 100 * MS, 0));
	SHOW(set(RESET_ON_FORK | RECLAIM | OVERRUN, 11 * MS, 50 * MS, 100 * MS));
	show("then");
	struct attr a = { sizeof a, DEADLINE, 0, 7, 0, 12 * MS, 50 * MS, 100 * MS, 0, 0 };
	SHOW(syscall(SYS_sched_setattr, subject, &a, 0));
	show("with a nice value");
	a.priority = 1;
	SHOW(syscall(SYS_sched_setattr, subject, &a, 0));
	a.priority = 100;
	SHOW(syscall(SYS_sched_setattr, subject, &a, 0));
	a.priority = 0;
	a.size = 48;
	SHOW(syscall(SYS_sched_setattr, subject, &a, 0));
	SHOW(syscall(SYS_sched_setattr, subject, &a, 1));
	SHOW(syscall(SYS_sched_setattr, 99999, &a, 0));
	SHOW(syscall(SYS_sched_setattr, -1, &a, 0));
	SHOW(set(KEEP_PARAMS, 20 * MS, 60 * MS, 0));
	show("parameters kept");
	SHOW(set(KEEP_PARAMS | RECLAIM, 0, 0, 0));
	show("parameters kept");
	SHOW(set(KEEP_POLICY, 20 * MS, 60 * MS, 0));
	show("policy kept");
	SHOW(set_policy(SCHED_OTHER, KEEP_POLICY, 0, 0));
	SHOW(set_policy(SCHED_OTHER, KEEP_POLICY | KEEP_PARAMS, 0, 3));
	show("both kept");
	SHOW(set_policy(SCHED_OTHER, KEEP_POLICY | KEEP_PARAMS | RESET_ON_FORK, 0, 3));
	show("both kept");
	/* It ends with its deadlines: Linux never gives away again what a thread had that loses them while it sleeps. */
	MUST(kill(subject, SIGKILL));
	show_end(subject);
	subject = 0;
}

static void changes(void)
{
	SHOW(set(0, 20 * MS, 60 * MS, 0));
	SHOW(set_policy(SCHED_OTHER, KEEP_PARAMS, 0, 3));
	show("nothing changed");
	SHOW(set_policy(SCHED_FIFO, KEEP_PARAMS | RESET_ON_FORK, 7, 0));
	show("nothing else changed");
	SHOW(set_policy(SCHED_OTHER, RECLAIM | OVERRUN, 0, 3));
	show("flags of deadlines");
	SHOW(set(KEEP_POLICY, 10 * MS, 100 * MS, 0));
	show("policy kept");
	SHOW(set_policy(SCHED_FIFO, KEEP_PARAMS, 7, 0));
	show("nothing changed");
	SHOW(set_policy(SCHED_FIFO, 0, 7, 0));
	SHOW(set_policy(SCHED_RR, KEEP_PARAMS, 8, 0));
	show("nothing changed");
	SHOW(set_policy(SCHED_OTHER, KEEP_PARAMS, 0, 3));
	show("nothing changed");
}

static void show_fields(void)
{
	char text[2048], *at;
	int fd = open("/proc/self/stat", O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')') + 2;
	for (int field = 3; field <= 41; field++) {
		if (field == 18 || field == 19 || field == 40 || field == 41)
			printf("field %d: %.*s\n", field, (int)strcspn(at, " "), at);
		at += strcspn(at, " ") + 1;
	}
	FILE *file = fopen("/proc/self/sched", "r");
	while (file && fgets(text, sizeof text, file))
		if (strncmp(text, "policy ", 7) == 0 || strncmp(text, "prio ", 5) == 0 || strncmp(text, "dl.", 3) == 0)
			printf("%.*s\n", strncmp(text, "dl.", 3) == 0 ? 46 : 80, text);
	if (file)
		fclose(file);
}

static void *nothing(void *unused)
{
	show("a thread");
	return NULL;
}

static void other_calls(void)
{
	printf("== other calls\n");
	struct sched_param p = { 0 };
	struct timespec slice = { 7, 7 };
	SHOW(setpriority(PRIO_PROCESS, 0, 4));
	SHOW(set(0, 10 * MS, 100 * MS, 0));
	show("a nice one");
	SHOW(syscall(SYS_sched_getscheduler, 0));
	SHOW(syscall(SYS_sched_getparam, 0, &p));
	printf("priority %d\n", p.sched_priority);
	SHOW(syscall(SYS_sched_rr_get_interval, 0, &slice));
	printf("%ld %ld\n", (long)slice.tv_sec, slice.tv_nsec);
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 5));
	SHOW(getpriority(PRIO_PROCESS, 0));
	show("nicer");
	show_fields();
	SHOW(syscall(SYS_sched_setparam, 0, &p));
	p.sched_priority = 1;
	SHOW(syscall(SYS_sched_setparam, 0, &p));
	p.sched_priority = 0;
	SHOW(syscall(SYS_sched_setscheduler, 0, DEADLINE, &p));
	SHOW(syscall(SYS_sched_setscheduler, 0, DEADLINE | 0x40000000, &p));
	SHOW(syscall(SYS_sched_get_priority_max, DEADLINE));
	SHOW(syscall(SYS_sched_get_priority_min, DEADLINE));
	SHOW(fork());
	SHOW(vfork());
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);
	printf("pthread_create: %s\n", error ? error_name(error) : "ok");
	SHOW(set(RESET_ON_FORK, 10 * MS, 100 * MS, 0));
	SHOW(syscall(SYS_sched_getscheduler, 0));
	IN_CHILD(show("a child"); SHOW(getpriority(PRIO_PROCESS, 0)); show_fields());
	error = pthread_create(&thread, NULL, nothing, NULL);
	if (!error)
		pthread_join(thread, NULL);
	printf("pthread_create: %s\n", error ? error_name(error) : "ok");
	show("still");
	p.sched_priority = 3;
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
	show("a real-time thread");
	SHOW(set(0, 10 * MS, 100 * MS, 0));
	show("with deadlines");
	p.sched_priority = 0;
	SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p));
	show("an ordinary one");
	SHOW(setpriority(PRIO_PROCESS, 0, 0));
	IN_CHILD(SHOW(setuid(1000)); SHOW(set(0, 10 * MS, 100 * MS, 0)); SHOW(set(0, 0, 100 * MS, 0)); SHOW(set(0x100, 10 * MS, 100 * MS, 0));
		SHOW(set_of(getppid(), 0, 10 * MS, 100 * MS, 0)));
	IN_CHILD(SHOW(set(RESET_ON_FORK, 10 * MS, 100 * MS, 0)); SHOW(setuid(1000)); SHOW(set(RESET_ON_FORK, 10 * MS, 100 * MS, 0));
		SHOW(set(RESET_ON_FORK, 9 * MS, 100 * MS, 0)); SHOW(set_policy(SCHED_OTHER, RESET_ON_FORK, 0, 0)); show("then"));
	IN_CHILD(SHOW(set(0, 10 * MS, 100 * MS, 0)); SHOW(setuid(1000)); SHOW(set_policy(SCHED_OTHER, 0, 0, 0)); show("then"));
}

static void processors(void)
{
	printf("== processors\n");
	uint64_t all = 0, one = 1, most = -1ul;
	MUST(syscall(SYS_sched_getaffinity, 0, 8, &all));
	int several = all != 1;
	IN_CHILD(SHOW(set(0, 10 * MS, 100 * MS, 0)); SHOW(syscall(SYS_sched_setaffinity, 0, 8, &all)); SHOW(syscall(SYS_sched_setaffinity, 0, 8, &most));
		if (several) SHOW(syscall(SYS_sched_setaffinity, 0, 8, &one)));
	IN_CHILD(SHOW(syscall(SYS_sched_setaffinity, 0, 8, &one)); if (several) SHOW(set(0, 10 * MS, 100 * MS, 0)));
}

/* The bandwidth of a thread that has ended is free again at the end of its period. */
static long set_soon(uint64_t runtime, uint64_t period)
{
	for (int i = 0; i < 2000; i++) {
		if (set(0, runtime, period, 0) == 0)
			return 0;
		if (errno != EBUSY)
			return -1;
		sleep_ms(10);
	}
	return -1;
}

static void admission(void)
{
	printf("== admission\n");
	uint64_t all = 0;
	sleep_ms(500); /* so long all others had that have ended, and more */
	MUST(syscall(SYS_sched_getaffinity, 0, 8, &all));
	if (all == 1) {
		IN_CHILD(
			/* The largest part of a period that is admitted, in millionths. One thread that changes needs no wait. */
			MUST(set(0, 500 * MS, 1000 * MS, 0));
			uint64_t least = 500;
			uint64_t most = 1000;
			while (most - least > 1) {
				uint64_t middle = (least + most) / 2;
				if (set(0, middle * MS, 1000 * MS, 0) == 0)
					least = middle;
				else
					most = middle;
			}
			printf("%lu thousandths are admitted, %lu not: %s\n", (long)least, (long)most, error_name(errno));
			show("then"));
	}
	int ready[2];
	int go[2];
	MUST(pipe(ready));
	MUST(pipe(go));
	char byte = 0;
	int admitted = 0;
	int count = __builtin_popcountl(all);
	pid_t children[256];
	fflush(stdout);
	for (int i = 0; i < 4 * count; i++) {
		children[i] = (pid_t)MUST(fork());
		if (children[i] == 0) {
			close(go[1]);
			long result = i == 0 ? set_soon(290 * MS, 1000 * MS) : set(0, 290 * MS, 1000 * MS, 0);
			byte = result == 0 ? 1 : errno == EBUSY ? 2 : 3;
			write(ready[1], &byte, 1);
			read(go[0], &byte, 1);
			_exit(0);
		}
		MUST(read(ready[0], &byte, 1));
		if (byte == 1)
			admitted++;
		else if (byte == 3)
			printf("another error\n");
	}
	printf("%d of %d are admitted\n", admitted, 4 * count);
	if (count == 1) {
		printf("sched_rt_runtime_us: ");
		int fd = (int)MUST(open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY));
		long result = write(fd, "800000", 6);
		printf("%s\n", result < 0 ? error_name(errno) : "ok");
		close(fd);
		show_file("/proc/sys/kernel/sched_rt_runtime_us");
	}
	close(go[1]);
	for (int i = 0; i < 4 * count; i++)
		waitpid(children[i], NULL, 0);
	IN_CHILD(SHOW(set_soon(600 * MS, 1000 * MS)));
	IN_CHILD(SHOW(set_soon(700 * MS, 1000 * MS)); SHOW(set_policy(SCHED_OTHER, 0, 0, 0)); SHOW(set_soon(700 * MS, 1000 * MS)));
}

static void write_setting(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void settings(void)
{
	printf("== settings\n");
	show_file("/proc/sys/kernel/sched_deadline_period_max_us");
	show_file("/proc/sys/kernel/sched_deadline_period_min_us");
	write_setting("/proc/sys/kernel/sched_deadline_period_min_us", "200");
	IN_CHILD(SHOW(set(0, 50000, 199999, 0)); SHOW(set_soon(50000, 200000)));
	write_setting("/proc/sys/kernel/sched_deadline_period_max_us", "1000");
	IN_CHILD(SHOW(set(0, 50000, 1000001, 0)); SHOW(set_soon(50000, 1000000)));
	static const char *const values[] = { "100", "99", "0", "-1", "4294967295", "4294967296", "x", "" };
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		int fd = (int)MUST(open("/proc/sys/kernel/sched_deadline_period_min_us", O_WRONLY));
		long result = write(fd, values[i], strlen(values[i]));
		printf("minimum %s: %ld %s\n", values[i], result, result < 0 ? error_name(errno) : "");
		close(fd);
		fd = (int)MUST(open("/proc/sys/kernel/sched_deadline_period_max_us", O_WRONLY));
		result = write(fd, values[i], strlen(values[i]));
		printf("maximum %s: %ld %s\n", values[i], result, result < 0 ? error_name(errno) : "");
		close(fd);
		show_file("/proc/sys/kernel/sched_deadline_period_min_us");
		show_file("/proc/sys/kernel/sched_deadline_period_max_us");
	}
	write_setting("/proc/sys/kernel/sched_deadline_period_min_us", "100");
	write_setting("/proc/sys/kernel/sched_deadline_period_max_us", "4194304");
	write_setting("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	uint64_t all = 0;
	MUST(syscall(SYS_sched_getaffinity, 0, 8, &all));
	IN_CHILD(SHOW(set_soon(100 * MS, 100 * MS)); uint64_t one = 1; SHOW(syscall(SYS_sched_setaffinity, 0, 8, &one)));
	int fd = (int)MUST(open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY));
	for (int i = 0; i < 1000 && write(fd, "950000", 6) < 0; i++)
		sleep_ms(10);
	close(fd);
	show_file("/proc/sys/kernel/sched_rt_runtime_us");
	static const char *const shares[] = { "50001", "50000", "49999", "0", "-1", "950000" };
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
		fd = (int)MUST(open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY));
		long result = -1;
		for (int k = 0; k < 1000 && (result = write(fd, shares[i], strlen(shares[i]))) < 0 && errno == EBUSY; k++)
			sleep_ms(10);
		printf("share %s: %ld %s\n", shares[i], result, result < 0 ? error_name(errno) : "");
		close(fd);
	}
}

int main(void)
{
	parameters();
	IN_CHILD(changes());
	other_calls();
	processors();
	admission();
	settings();
	return 0;
}
