/* Covers: time in user mode and in the kernel: getrusage, times, wait4, /proc/PID/stat, /proc/stat, clocks and timers of each kind, RLIMIT_CPU. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include "case.h"

#define MS 1000000L

static long clock_ns(clockid_t clock)
{
	struct timespec t;
	MUST(clock_gettime(clock, &t));
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* A host that stands still gives that time to whoever has the processor: what then looks wrong is measured again. */
#define ATTEMPTS 5

static long used_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

static volatile unsigned long sink;

/* Use so much processor time, nearly all of it in user mode. */
static void compute(long ns)
{
	for (long end = used_ns() + ns; used_ns() < end;)
		for (int i = 0; i < 200000; i++)
			sink = sink * 3 + i;
}

static char large[1 << 20];

/* … nearly all of it in the kernel. */
static void call(long ns)
{
	int zeros = (int)MUST(open("/dev/zero", O_RDONLY));
	for (long end = used_ns() + ns; used_ns() < end;)
		for (int i = 0; i < 4; i++)
			MUST(read(zeros, large, sizeof large));
	close(zeros);
}

/* Page faults are the kernel's time, too. */
static void fault(long ns)
{
	for (long end = used_ns() + ns; used_ns() < end;) {
		char *memory = mmap(NULL, sizeof large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (unsigned i = 0; i < sizeof large; i += PAGE)
			memory[i] = 1;
		munmap(memory, sizeof large);
	}
}

static long ns_of(struct timeval t) { return t.tv_sec * 1000000000L + t.tv_usec * 1000L; }

/* The figures were read after `least` was used and before `most` was: a busy host takes time between two readings. */
static void show_share(const char *what, long user, long system, long least, long most)
{
	const char *sum = user + system > least - 60 * MS && user + system < most + 60 * MS ? "right" : "wrong";
	if (strcmp(what, "faulting") == 0) /* how much is the kernel's depends on how quick it is */
		printf("%s: some in the kernel %d, the sum is %s\n", what, system > 20 * MS, sum);
	else
		printf("%s: %s, the sum is %s\n", what, user > 3 * system ? "mostly in user mode" : system > 3 * user ? "mostly in the kernel" : "mixed", sum);
}

static void run(const char *what, void (*work)(long))
{
	struct rusage before;
	struct tms ticks_before, ticks;
	char text[1024];
	unsigned long user_before, system_before, user, system;
	printf("--- %s\n", what);
	long outer_start = used_ns();
	MUST(getrusage(RUSAGE_SELF, &before));
	times(&ticks_before);
	const char *skip = "/proc/self/stat";
	int fd = (int)MUST(open(skip, O_RDONLY));
	text[read(fd, text, sizeof text - 1)] = 0;
	sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user_before, &system_before);
	long thread_start = clock_ns(CLOCK_THREAD_CPUTIME_ID), start = used_ns();
	work(400 * MS);
	long least = used_ns() - start;
	long of_thread = clock_ns(CLOCK_THREAD_CPUTIME_ID) - thread_start;
	struct rusage after;
	MUST(getrusage(RUSAGE_SELF, &after));
	times(&ticks);
	text[pread(fd, text, sizeof text - 1, 0)] = 0;
	long most = used_ns() - outer_start;
	close(fd);
	CHECK(of_thread >= least && of_thread <= most);
	show_share(work == fault ? "faulting" : "getrusage", ns_of(after.ru_utime) - ns_of(before.ru_utime), ns_of(after.ru_stime) - ns_of(before.ru_stime), least, most);
	show_share(work == fault ? "faulting" : "times", (ticks.tms_utime - ticks_before.tms_utime) * 10 * MS, (ticks.tms_stime - ticks_before.tms_stime) * 10 * MS, least, most);
	sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	show_share(work == fault ? "faulting" : "stat", (user - user_before) * 10 * MS, (system - system_before) * 10 * MS, least, most);
}

static void system_figures(long *user, long *system, long *idle)
{
	char text[4096];
	long nice;
	int fd = (int)MUST(open("/proc/stat", O_RDONLY));
	text[read(fd, text, sizeof text - 1)] = 0;
	close(fd);
	sscanf(text, "cpu %ld %ld %ld %ld", user, &nice, system, idle);
	*user += nice;
}

static void show_system(const char *what, void (*work)(long))
{
	long user, system, idle, user2, system2, idle2;
	const char *part = "";
	const char *wanted = work == call ? "system" : "user";
	for (int tries = 0; tries < ATTEMPTS && strcmp(part, wanted) != 0; tries++) {
		system_figures(&user, &system, &idle);
		work(500 * MS);
		system_figures(&user2, &system2, &idle2);
		part = user2 - user > 3 * (system2 - system) ? "user" : system2 - system > 3 * (user2 - user) ? "system" : "mixed";
	}
	printf("/proc/stat, %s: %s\n", what, part);
}

static volatile int virtual_count, profile_count;
static void on_virtual(int signo) { virtual_count++; }
static void on_profile(int signo) { profile_count++; }

static void timers(const char *what, void (*work)(long))
{
	struct itimerval virtual = { { 0, 40000 }, { 0, 40000 } }, none = { { 0, 0 }, { 0, 0 } }, left;
	for (int tries = 0, is_right = 0; tries < ATTEMPTS && !is_right; tries++) {
		virtual_count = profile_count = 0;
		setitimer(ITIMER_VIRTUAL, &virtual, NULL);
		setitimer(ITIMER_PROF, &virtual, NULL);
		work(400 * MS);
		setitimer(ITIMER_VIRTUAL, &none, &left);
		setitimer(ITIMER_PROF, &none, NULL);
		is_right = profile_count >= 6 && (work == compute ? virtual_count >= 6 : virtual_count <= 2);
	}
	printf("%s: interval %ld, left %s; ", what, (long)left.it_interval.tv_usec, left.it_value.tv_usec > 0 && left.it_value.tv_usec <= 44000 ? "less" : "more");
	printf("virtual %s, profile %s\n", virtual_count >= 6 ? "often" : virtual_count <= 2 ? "hardly" : "some", profile_count >= 6 ? "often" : "hardly");
}

#define CLOCK_OF(pid, kind) ((clockid_t)(~(pid) << 3 | (kind)))

/* Linux counts ticks for the profile; a busy host takes some of them away. */
static void clocks(const char *what, void (*work)(long))
{
	long profile, user, all, thread_user;
	for (int tries = 0, is_right = 0; tries < ATTEMPTS && !is_right; tries++) {
		profile = clock_ns(CLOCK_OF(0, 0)), user = clock_ns(CLOCK_OF(0, 1)), all = clock_ns(CLOCK_OF(0, 2));
		thread_user = clock_ns(CLOCK_OF(0, 5));
		work(300 * MS);
		profile = clock_ns(CLOCK_OF(0, 0)) - profile;
		user = clock_ns(CLOCK_OF(0, 1)) - user;
		all = clock_ns(CLOCK_OF(0, 2)) - all;
		thread_user = clock_ns(CLOCK_OF(0, 5)) - thread_user;
		is_right = labs(profile - all) < all / 2 &&
			   (work == compute ? user > all / 4 * 3 && thread_user > all / 4 * 3 : user < all / 4 && thread_user < all / 4);
	}
	printf("%s: profile %s, user %s, thread's user %s\n", what, labs(profile - all) < all / 2 ? "all" : "not all",
	       user > all / 4 * 3 ? "all" : user < all / 4 ? "hardly" : "some", thread_user > all / 4 * 3 ? "all" : thread_user < all / 4 ? "hardly" : "some");
}

/* The init of a namespace waits at its end until a child that lives in there is no more, whose parent is outside: what it used counts once. */
static void at_the_end(void)
{
	char path[64], text[1024];
	unsigned long user, system;
	siginfo_t info;
	MUST(unshare(CLONE_NEWPID));
	fflush(stdout);
	pid_t init = (pid_t)MUST(fork());
	if (init == 0) {
		compute(400 * MS);
		_exit(0);
	}
	pid_t other = (pid_t)MUST(fork());
	if (other == 0)
		for (;;)
			pause();
	MUST(waitid(P_PID, other, &info, WEXITED | WNOWAIT)); /* by SIGKILL, as init ends */
	sleep_ms(50);
	snprintf(path, sizeof path, "/proc/%d/stat", init);
	int fd = (int)MUST(open(path, O_RDONLY));
	text[read(fd, text, sizeof text - 1)] = 0;
	close(fd);
	sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	show_share("init", user * 10 * MS, system * 10 * MS, 400 * MS, clock_ns(CLOCK_OF(init, 2)));
	waitpid(other, NULL, 0);
	waitpid(init, NULL, 0);
}

int main(void)
{
	run("computing", compute);
	run("calling", call);
	run("faulting", fault);
	puts("--- children");
	struct rusage usage;
	int status;
	long both = 0;
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			(i ? call : compute)(300 * MS);
			_exit(0);
		}
		siginfo_t info;
		MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
		long used = clock_ns(CLOCK_OF(child, 2));
		MUST(wait4(child, &status, 0, &usage));
		show_share(i ? "calling" : "computing", ns_of(usage.ru_utime), ns_of(usage.ru_stime), 300 * MS, used);
		both += used;
	}
	MUST(getrusage(RUSAGE_CHILDREN, &usage));
	show_share("both", ns_of(usage.ru_utime), ns_of(usage.ru_stime), 600 * MS, both);
	IN_CHILD(at_the_end());
	puts("--- the system");
	show_system("computing", compute);
	show_system("calling", call);
	nice(5);
	show_system("computing, nicely", compute);
	puts("--- timers");
	signal(SIGVTALRM, on_virtual);
	signal(SIGPROF, on_profile);
	timers("computing", compute);
	timers("calling", call);
	puts("--- clocks");
	clocks("computing", compute);
	clocks("calling", call);
	puts("--- RLIMIT_CPU");
	for (int i = 0; i < 2; i++)
		/* A host that stands still uses up a second at once: the hard limit is far off where the soft one is tried. */
		IN_CHILD({ struct rlimit limit = { 1, i ? 2 : 60 }; setrlimit(RLIMIT_CPU, &limit); if (i) signal(SIGXCPU, SIG_IGN); call(10000 * MS); });
	return 0;
}
