/* System calls that run without the kernel lock, while others change what they read, and while all else goes on.
 *
 * `unlocked_calls` prints a line for each function, the same in every run. `unlocked_calls rate N SECONDS` lets N
 * processes call getppid for so long, and prints how often they did in a second, all told. `unlocked_calls once` calls it
 * once. `counted` says whether calls take the lock, as far as Krait counts them, and `damaged` what becomes of a process
 * by a call in which the kernel has lost its way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 256 /* calls between two looks at the clock */
#define ORPHANS 40
#define ROUNDS 200

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Rates --------------------------------------------------------------------------------------------------------- */

static void rate(int count, double seconds)
{
	atomic_long *calls = mmap(0, 4096 * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double end = now() + 0.3 + seconds;
	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			long done = 0;
			while (now() < end - seconds)
				;
			while (now() < end) {
				for (int k = 0; k < AT_ONCE; k++)
					syscall(SYS_getppid);
				done += AT_ONCE;
			}
			calls[512 * i] = done;
			_exit(0);
		}
	}
	long all = 0;
	for (int i = 0; i < count; i++)
		wait(0);
	for (int i = 0; i < count; i++)
		all += calls[512 * i];
	printf("%.0f calls a second\n", all / seconds);
}

/* Numbers that change ------------------------------------------------------------------------------------------- */

/* A child asks who its parent is until that is another one; it must never see a third. */
static void orphans(void)
{
	atomic_int *adopted = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < ORPHANS; i++) {
		pid_t parent = fork();
		if (parent == 0) {
			pid_t mine = getpid();
			if (fork() == 0) {
				pid_t found;
				while ((found = syscall(SYS_getppid)) == mine)
					;
				adopted[found == 1]++;
				_exit(0);
			}
			usleep(500);
			_exit(0);
		}
		waitpid(parent, 0, 0);
	}
	while (adopted[0] + adopted[1] < ORPHANS)
		usleep(1000);
	printf("orphans of %s: %d\n", adopted[0] == 0 ? "1" : "others", adopted[0] + adopted[1]);
}

/* Signals, threads, and numbers that are one's own ---------------------------------------------------------------- */

static atomic_int handled, ends, wrong;

static void count_signal(int number)
{
	(void)number;
	handled++;
}

static pid_t own; /* as /proc says it */

static void *asker(void *argument)
{
	pid_t *tid = argument;
	*tid = syscall(SYS_gettid);
	while (!ends)
		if (syscall(SYS_gettid) != *tid || syscall(SYS_getpid) != own)
			wrong++;
	return 0;
}

/* A thread that does nothing but calls without the lock is interrupted by each signal, and stops and goes on. */
static void signals(void)
{
	static pid_t tids[2];
	pthread_t threads[2];
	char name[20] = "";
	signal(SIGUSR1, count_signal);
	readlink("/proc/self", name, sizeof name - 1);
	own = atoi(name);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], 0, asker, &tids[i]);
	while (tids[0] == 0 || tids[1] == 0)
		sched_yield();
	for (int i = 0; i < ROUNDS; i++) {
		int before = handled;
		syscall(SYS_tgkill, getpid(), tids[i % 2], SIGUSR1);
		while (handled == before)
			sched_yield();
	}
	ends = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], 0);
	printf("signals %d, wrong %d\n", handled, wrong);
}

/* Memory that comes and goes beside them: passes of the reclaimer. */
static void objects(void)
{
	pid_t askers[2];
	for (int i = 0; i < 2; i++) {
		if ((askers[i] = fork()) == 0) {
			pid_t parent = getppid(), me = getpid();
			for (;;)
				if (syscall(SYS_getppid) != parent || syscall(SYS_getpid) != me)
					_exit(1);
		}
	}
	int ends_of_pipe[2], made = 0;
	for (int i = 0; i < 20 * ROUNDS; i++) {
		if (pipe(ends_of_pipe) != 0)
			break;
		close(ends_of_pipe[0]);
		close(ends_of_pipe[1]);
		made++;
		if (i % 100 == 0 && fork() == 0)
			_exit(0);
	}
	int killed = 0, status;
	for (int i = 0; i < 2; i++) {
		kill(askers[i], SIGKILL);
		killed += waitpid(askers[i], &status, 0) == askers[i] && WIFSIGNALED(status);
	}
	while (wait(0) > 0)
		;
	printf("pipes %d, killed %d\n", made, killed);
}

/* How many calls all processors have made without the lock, as Krait says. */
static long unlocked(void)
{
	char line[256];
	long number = -1;
	FILE *file = fopen("/proc/metrics", "r");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "krait_unlocked_calls %ld", &number) == 1)
			break;
	fclose(file);
	return number;
}

#define CALLS 1000

/* The calls, with what they write on a page that is there. */
#define AT(place) (long)(room + (place))
static long room[64];
static const struct {
	const char *name;
	long number, arguments[4];
} made[] = {
	{"getppid", SYS_getppid, {0}},
	{"getcpu", SYS_getcpu, {AT(0), AT(1)}},
	{"gettimeofday", SYS_gettimeofday, {AT(0)}},
	{"time", SYS_time, {AT(0)}},
	{"clock_gettime", SYS_clock_gettime, {CLOCK_MONOTONIC, AT(0)}},
	{"clock_getres", SYS_clock_getres, {CLOCK_REALTIME_COARSE, AT(0)}},
	{"getresuid", SYS_getresuid, {AT(0), AT(1), AT(2)}},
	{"getresgid", SYS_getresgid, {AT(0), AT(1), AT(2)}},
	{"uname", SYS_uname, {AT(0)}},
	{"rt_sigprocmask", SYS_rt_sigprocmask, {SIG_BLOCK, 0, AT(0), 8}},
	{"get_robust_list", SYS_get_robust_list, {0, AT(0), AT(1)}},
	{"sched_getaffinity", SYS_sched_getaffinity, {0, 128, AT(0)}},
	{"prctl", SYS_prctl, {PR_GET_NAME, AT(0)}},
	{"personality", SYS_personality, {0xffffffff}},
	{"set_robust_list", SYS_set_robust_list, {0, 24}},
	{"set_tid_address", SYS_set_tid_address, {0}},
};

static void counted(void)
{
	int status;
	long before;
	for (unsigned call = 0; call < sizeof made / sizeof made[0]; call++) {
		const long *with = made[call].arguments;
		before = unlocked();
		for (int i = 0; i < CALLS; i++)
			syscall(made[call].number, with[0], with[1], with[2], with[3]);
		printf("%s: %s\n", made[call].name, unlocked() - before >= CALLS ? "without the lock" : "with it");
	}
	pid_t child = fork();
	if (child == 0)
		for (;;)
			syscall(SYS_getppid);
	ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	waitpid(child, &status, 0);
	before = unlocked();
	for (int i = 0; i < CALLS; i++) {
		ptrace(PTRACE_SYSCALL, child, 0, 0);
		waitpid(child, &status, 0);
	}
	printf("traced: %s\n", unlocked() - before >= CALLS / 4 ? "without the lock" : "with it");
	ptrace(PTRACE_DETACH, child, 0, 0);
	before = unlocked();
	usleep(100000);
	while (unlocked() - before < CALLS)
		usleep(10000);
	puts("no more: without the lock");
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
}

/* The call of which the kernel has lost its way: see test_unlocked_calls.py. */
static void damaged(void)
{
	int status;
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(syscall(SYS_sched_get_priority_max, SCHED_FIFO));
		waitpid(child, &status, 0);
		printf("%s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "lives");
	}
}

/* Memory that goes and comes beside calls that write to it ------------------------------------------------------- */

#define PAGE 4096
#define SHOWN_SECONDS (1 << 24) /* no machine here is up for so long */
static char *area; /* two pages; the second one changes */
static atomic_long done, missed;

/* Let the second page go, in one of several ways; what the frame becomes next is nobody else's. */
static void change(int round)
{
	char *second = area + PAGE;
	long *other = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* without a frame */
	switch (round % 4) {
	case 0:
		mprotect(second, PAGE, PROT_NONE);
		mprotect(second, PAGE, PROT_READ);
		break;
	case 1:
		madvise(second, PAGE, MADV_DONTNEED);
		break;
	case 2:
		munmap(second, PAGE);
		break;
	default:
		if (fork() == 0) /* both have it read-only until one writes */
			_exit(0);
		wait(0);
	}
	for (int i = 0; i < PAGE / 8; i++) {
		wrong += other[i] != 0;
		other[i] = i + 1;
	}
	if (round % 4 != 3)
		mmap(second, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < PAGE / 8; i++)
		wrong += other[i] != i + 1;
	munmap(other, PAGE);
}

static int was_done(long result)
{
	if (result == 0)
		done++;
	else if (result == -1 && errno == EFAULT)
		missed++;
	else
		wrong++;
	return result == 0;
}

/* What these write lies on both pages. */
static void *writer(void *argument)
{
	long *seconds = (long *)(area + PAGE - 8), last = 0;
	unsigned *ids = (unsigned *)(area + PAGE - 8);
	(void)argument;
	while (!ends) {
		if (was_done(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, seconds))) {
			wrong += *seconds < last || *seconds > SHOWN_SECONDS;
			last = *seconds;
		}
		was_done(syscall(SYS_gettimeofday, seconds, 0));
		if (was_done(syscall(SYS_getresuid, ids, ids + 1, ids + 2)))
			wrong += ids[0] != 0 || ids[1] != 0;
		ids[0] = 1;
		if (was_done(syscall(SYS_getcpu, (char *)ids + 6, ids)))
			wrong += ids[0] != 0;
		if (was_done(syscall(SYS_clock_getres, CLOCK_MONOTONIC, seconds)))
			wrong += *seconds != 0;
	}
	return 0;
}

static void memory(void)
{
	pthread_t thread;
	ends = wrong = 0;
	area = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_create(&thread, 0, writer, 0);
	for (int i = 0; i < 4 * ROUNDS || done == 0 || missed == 0; i++)
		change(i);
	ends = 1;
	pthread_join(thread, 0);
	munmap(area, 2 * PAGE);
	printf("memory: wrong %d\n", wrong);
}

/* Times, while another thread sets the wall clock ------------------------------------------------------------------ */

#define LEAP 1000
static double last_offset;

static double read_clock(int clock)
{
	struct timespec time = {0, -1};
	if (syscall(SYS_clock_gettime, clock, &time) != 0 || time.tv_nsec < 0 || time.tv_nsec >= 1000000000)
		wrong++;
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static void *time_reader(void *argument)
{
	double last = 0;
	(void)argument;
	while (!ends) {
		double before = read_clock(CLOCK_MONOTONIC), wall = read_clock(CLOCK_REALTIME);
		double after = read_clock(CLOCK_MONOTONIC);
		double off = wall - before - last_offset, most = after - before + 0.01;
		int goes_on = before >= last && after >= before;
		int is_set = (off > -20 && off < most) || (off > LEAP - 20 && off < LEAP + most);
		if (!(goes_on && is_set) && wrong++ == 0)
			printf("times: last %f, before %f, after %f, off %f\n", last, before, after, off);
		last = after;
	}
	return 0;
}

/* The wall clock less the monotonic one, at most 5 ms too much and never too little, however late this thread runs. */
static double offset_of_wall(void)
{
	double before, wall, after;
	do {
		before = read_clock(CLOCK_MONOTONIC);
		wall = read_clock(CLOCK_REALTIME);
		after = read_clock(CLOCK_MONOTONIC);
	} while (after - before > 0.005);
	return wall - before;
}

static void times(void)
{
	pthread_t threads[2];
	ends = wrong = 0;
	last_offset = offset_of_wall();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], 0, time_reader, 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct timespec time;
		double wanted = now() + last_offset + (i % 2 == 0 ? LEAP : 0);
		time.tv_sec = wanted;
		time.tv_nsec = (wanted - time.tv_sec) * 1e9;
		wrong += clock_settime(CLOCK_REALTIME, &time) != 0;
		usleep(2000);
	}
	ends = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], 0);
	printf("times: wrong %d\n", wrong);
}

/* Names and masks, while another process changes the former -------------------------------------------------------- */

static int all_are(const char *text, char letter)
{
	return strspn(text, (char[]){letter, 0}) == strlen(text);
}

static void *name_reader(void *argument)
{
	struct utsname names;
	char name[17] = "";
	sigset_t mask;
	(void)argument;
	while (!ends) {
		wrong += uname(&names) != 0 || strcmp(names.sysname, "Linux") != 0;
		wrong += !all_are(names.nodename, names.nodename[0]);
		wrong += syscall(SYS_prctl, PR_GET_NAME, name) != 0 || !all_are(name, name[0]);
		wrong += sigprocmask(SIG_BLOCK, 0, &mask) != 0;
		wrong += sigismember(&mask, SIGUSR2) != 1 || sigismember(&mask, SIGUSR1);
	}
	return 0;
}

static void names(void)
{
	static const char *texts[] = {"a", "bbbbbbbbbbbbbbb", "ccccc"};
	char before[65];
	pthread_t thread;
	sigset_t mask;
	ends = wrong = 0;
	gethostname(before, sizeof before);
	sethostname("a", 1);
	prctl(PR_SET_NAME, "a");
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, 0);
	pthread_create(&thread, 0, name_reader, 0);
	sigprocmask(SIG_UNBLOCK, &mask, 0);
	pid_t changer = fork();
	if (changer == 0) {
		for (int i = 0; i < 10 * ROUNDS; i++)
			sethostname(texts[i % 3], strlen(texts[i % 3]));
		_exit(0);
	}
	for (int i = 0; i < 5 * ROUNDS; i++)
		wrong += pthread_setname_np(thread, texts[i % 3]) != 0;
	ends = 1;
	pthread_join(thread, 0);
	waitpid(changer, 0, 0);
	sethostname(before, strlen(before));
	printf("names: wrong %d\n", wrong);
}

/* A tracer sees each call of a thread that made them without the lock before. */
static void tracer(void)
{
	atomic_int *stage = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (child == 0) {
		for (;;) {
			syscall(SYS_getppid);
			*stage = 1;
		}
	}
	while (*stage == 0)
		sched_yield();
	int status, stops = 0, odd = 0;
	ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	waitpid(child, &status, 0);
	for (int i = 0; i < 40; i++) {
		struct user_regs_struct registers;
		ptrace(PTRACE_SYSCALL, child, 0, 0);
		waitpid(child, &status, 0);
		ptrace(PTRACE_GETREGS, child, 0, &registers);
		stops += WSTOPSIG(status) == (SIGTRAP | 0x80);
		odd += registers.orig_rax != SYS_getppid;
	}
	ptrace(PTRACE_DETACH, child, 0, 0);
	*stage = 0;
	while (*stage == 0)
		sched_yield();
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	printf("stops %d, of other calls %d\n", stops, odd);
}

/* Users and groups, which have another name for each user namespace. */
static void print_ids(const char *when)
{
	printf("%s: %ld %ld %ld %ld\n", when, syscall(SYS_getuid), syscall(SYS_geteuid), syscall(SYS_getgid), syscall(SYS_getegid));
}

static void ids(void)
{
	print_ids("root");
	fflush(stdout);
	if (fork() == 0) {
		if (syscall(SYS_setresgid, 5, 6, 7) != 0 || syscall(SYS_setresuid, 1, 2, 3) != 0)
			abort();
		print_ids("others");
		if (unshare(CLONE_NEWUSER) != 0)
			abort();
		print_ids("nobody");
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	print_ids("root again");
}

int main(int count, char **words)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	if (count == 2 && strcmp(words[1], "once") == 0)
		return syscall(SYS_getppid) < 0;
	if (count == 2 && strcmp(words[1], "counted") == 0) {
		counted();
		return 0;
	}
	if (count == 2 && strcmp(words[1], "damaged") == 0) {
		damaged();
		return 0;
	}
	if (count == 4 && strcmp(words[1], "rate") == 0) {
		rate(atoi(words[2]), atof(words[3]));
		return 0;
	}
	ids();
	orphans();
	signals();
	objects();
	tracer();
	memory();
	times();
	names();
	return 0;
}
