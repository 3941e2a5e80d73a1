/* Covers: clock_nanosleep on processor-time clocks; pidfd_open PIDFD_THREAD, pidfd_send_signal's flags, clone with CLONE_PIDFD | CLONE_THREAD;
 * close_range CLOSE_RANGE_UNSHARE; renameat2 RENAME_WHITEOUT; sysinfo's shared memory; settimeofday's time zone; shmget SHM_HUGETLB. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include "case.h"

static volatile int told, told_code;
static volatile pid_t told_thread;
static int ready[2];

static void heard(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	told_code = info->si_code;
	told_thread = gettid();
	told++;
}

static void show_told(const char *what, pid_t thread)
{
	for (int i = 0; i < 20000 && !told; i++)
		sleep_ms(1);
	printf("%s: told %d, code %d%s\n", what, told, told_code, !thread ? "" : told_thread == thread ? ", the right thread" : ", another thread");
	told = told_code = 0;
}

static long long used(clockid_t clock)
{
	struct timespec t;
	MUST(clock_gettime(clock, &t));
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ---- Sleeping on processor time ---- */

static volatile int stop;

static void *burn(void *unused)
{
	while (!stop)
		;
	return unused;
}

static int cpu_sleep(clockid_t clock, int flags, long long ns, struct timespec *left)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };
	return syscall(SYS_clock_nanosleep, clock, flags, &t, left);
}

static void on_alarm(int signo) { (void)signo; }

static void processor_sleeps(void)
{
	pthread_t thread;
	struct timespec left;
	clockid_t other;
	puts("--- processor time");
	SHOW(cpu_sleep(CLOCK_THREAD_CPUTIME_ID, 0, 1000, NULL));
	SHOW(cpu_sleep((clockid_t)(~0U << 3 | 6), 0, 1000, NULL));
	SHOW(cpu_sleep((clockid_t)((unsigned)~gettid() << 3 | 6), 0, 1000, NULL));
	SHOW(cpu_sleep((clockid_t)((unsigned)~999999 << 3 | 2), 0, 1000, NULL));
	SHOW(cpu_sleep((clockid_t)((unsigned)~1 << 3 | 6), 0, 1000, NULL));
	SHOW(cpu_sleep(CLOCK_PROCESS_CPUTIME_ID, 0, 1000000000LL * -1, NULL));
	SHOW(cpu_sleep(CLOCK_PROCESS_CPUTIME_ID, 0, 0, NULL));
	SHOW(cpu_sleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, 1, NULL));
	SHOW(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, 8, NULL));
	MUST(pthread_create(&thread, NULL, burn, NULL));
	long long before = used(CLOCK_PROCESS_CPUTIME_ID);
	SHOW(cpu_sleep(CLOCK_PROCESS_CPUTIME_ID, 0, 30000000, NULL));
	CHECK(used(CLOCK_PROCESS_CPUTIME_ID) - before >= 30000000);
	before = used(CLOCK_PROCESS_CPUTIME_ID);
	SHOW(cpu_sleep(CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, before + 20000000, NULL));
	CHECK(used(CLOCK_PROCESS_CPUTIME_ID) >= before + 20000000);
	MUST(pthread_getcpuclockid(thread, &other));
	before = used(other);
	SHOW(cpu_sleep(other, 0, 20000000, NULL));
	CHECK(used(other) - before >= 20000000);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL);
	ualarm(20000, 20000); /* again and again: the first one may come before the call */
	SHOW(cpu_sleep(CLOCK_PROCESS_CPUTIME_ID, 0, 3600000000000LL, &left));
	ualarm(0, 0);
	CHECK(left.tv_sec >= 3500 && left.tv_sec < 3600);
	stop = 1;
	pthread_join(thread, NULL);
}

/* ---- Descriptors of threads ---- */

static volatile pid_t tid;

static void *wait_for_byte(void *unused)
{
	char byte;
	tid = gettid();
	while (read(ready[0], &byte, 1) == -1)
		;
	return unused;
}

static void poll_it(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	for (int i = 0; i < 20000 && poll(&p, 1, 0) == 0; i++)
		sleep_ms(1);
	printf("%s: %#x\n", what, p.revents);
}

static void thread_descriptors(void)
{
	pthread_t thread;
	char text[256], path[64];
	puts("--- descriptors of threads");
	MUST(pipe(ready));
	MUST(pthread_create(&thread, NULL, wait_for_byte, NULL));
	while (!tid)
		sleep_ms(1);
	SHOW(syscall(SYS_pidfd_open, tid, 0));
	int fd = (int)MUST(syscall(SYS_pidfd_open, tid, O_EXCL));
	int first = (int)MUST(syscall(SYS_pidfd_open, getpid(), O_EXCL)), process = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0));
	CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_EXCL));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	int info = (int)MUST(open(path, O_RDONLY));
	text[MUST(read(info, text, sizeof text - 1))] = 0;
	char *pid = strstr(text, "Pid:\t");
	CHECK(pid && atoi(pid + 5) == tid);
	struct pollfd p = { fd, POLLIN, 0 };
	SHOW(poll(&p, 1, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0));
	show_told("a thread's descriptor", tid);
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 1));
	show_told("as a thread", tid);
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 2));
	show_told("as a process", 0);
	SHOW(syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 0));
	show_told("a process's descriptor", getpid());
	SHOW(syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 1));
	show_told("its first thread", getpid());
	SHOW(syscall(SYS_pidfd_send_signal, first, SIGUSR1, NULL, 0));
	show_told("the first thread's", getpid());
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 4));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 3));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 8));
	siginfo_t sent = { .si_signo = SIGUSR1, .si_code = SI_USER };
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &sent, 0));
	SHOW(syscall(SYS_pidfd_send_signal, first, SIGUSR1, &sent, 0));
	show_told("oneself", getpid());
	SHOW(syscall(SYS_pidfd_send_signal, process, SIGUSR1, &sent, 4));
	sent.si_code = SI_QUEUE;
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &sent, 0));
	show_told("queued for a thread", tid);
	SHOW(syscall(SYS_pidfd_getfd, fd, 0, 0));
	MUST(write(ready[1], "x", 1));
	pthread_join(thread, NULL);
	poll_it("a thread that has ended", fd);
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 2));
	SHOW(poll(&(struct pollfd){ first, POLLIN, 0 }, 1, 0));
	siginfo_t result;
	SHOW(waitid(3, (id_t)fd, &result, WEXITED));

	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(read(ready[0], text, 1));
		_exit(3);
	}
	int of_child = (int)MUST(syscall(SYS_pidfd_open, child, O_EXCL));
	MUST(write(ready[1], "x", 1));
	poll_it("a child", of_child);
	SHOW(syscall(SYS_pidfd_send_signal, of_child, 0, NULL, 0));
	SHOW(waitid(3, (id_t)of_child, &result, WEXITED));
	printf("status %d\n", result.si_status);
	poll_it("a child that was waited for", of_child);
}

static void cloned(void)
{
	char byte;
	while (syscall(SYS_read, ready[0], &byte, 1) != 1)
		;
	syscall(SYS_exit, 0);
}

/* The C library makes threads its own way only. */
static long clone_thread(int *fd)
{
	static char stack[65536] __attribute__((aligned(16)));
	register void (*start)(void) __asm__("r12") = cloned;
	register long child_tid __asm__("r10") = 0, tls __asm__("r8") = 0;
	long result = SYS_clone;
	long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_SYSVSEM | CLONE_THREAD | CLONE_PIDFD;
	__asm__ volatile("syscall; test %%rax, %%rax; jnz 1f; xor %%ebp, %%ebp; call *%%r12; 1:"
			 : "+a"(result) : "D"(flags), "S"(stack + sizeof stack), "d"(fd), "r"(child_tid), "r"(tls), "r"(start)
			 : "rcx", "r11", "memory");
	return result;
}

static void cloned_thread(void)
{
	int fd = -1;
	puts("--- a thread from clone");
	CHECK(clone_thread(&fd) > 0);
	CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_EXCL));
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	SHOW(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 0));
	MUST(write(ready[1], "x", 1));
	poll_it("when it ends", fd);
}

/* ---- The rest ---- */

static int share_table(void *unused)
{
	(void)unused;
	SHOW(syscall(SYS_close_range, 10, 20, 2 | 4));
	printf("in the child: %d\n", fcntl(10, F_GETFD));
	SHOW(syscall(SYS_close_range, 10, 20, 2));
	printf("in the child: %d\n", fcntl(10, F_GETFD));
	SHOW(fcntl(0, F_GETFD) >= 0);
	fflush(stdout);
	_exit(0);
}

static void shared_table(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	puts("--- close_range");
	MUST(dup2(1, 10));
	fflush(stdout);
	pid_t child = (pid_t)MUST(clone(share_table, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL));
	show_end(child);
	printf("in the parent: %d\n", fcntl(10, F_GETFD));
}

static void look(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: mode %o device %d:%d owner %d links %d\n", path, s.st_mode, major(s.st_rdev), minor(s.st_rdev), s.st_uid, (int)s.st_nlink);
}

static int whiteout(const char *from, const char *to, unsigned int more) { return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 4 | more); }

static void whiteouts(void)
{
	puts("--- whiteouts");
	put_file("a", "a", 0644);
	put_file("b", "b", 0644);
	MUST(mkdir("d", 0777));
	SHOW(whiteout("a", "c", 0));
	look("a"), look("c");
	SHOW(open("a", O_RDONLY));
	SHOW(whiteout("c", "b", 0));
	look("b"), look("c");
	SHOW(whiteout("b", "a", 1));
	SHOW(whiteout("b", "a", 2));
	SHOW(whiteout("b", "e", 1));
	look("b");
	SHOW(whiteout("d", "f", 0));
	look("d"), look("f");
	SHOW(whiteout("none", "f", 0));
	SHOW(whiteout("e", "e", 0));
	look("e");
	SHOW(unlink("d"));
	MUST(chmod("f", 0777));
	IN_CHILD(
		MUST(setuid(1000));
		put_file("f/mine", "", 0644);
		SHOW(whiteout("f/mine", "f/moved", 0));
		look("f/mine"));
}

static void memory_totals(void)
{
	struct sysinfo before, after;
	puts("--- sysinfo");
	int fd = (int)MUST(memfd_create("a", 0));
	static char block[1 << 20];
	MUST(sysinfo(&before));
	MUST(write(fd, block, sizeof block));
	MUST(sysinfo(&after));
	CHECK((after.sharedram - before.sharedram) * after.mem_unit >= sizeof block / 2);
	char *shared = mmap(NULL, sizeof block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(shared, 1, sizeof block);
	MUST(sysinfo(&before));
	CHECK((before.sharedram - after.sharedram) * after.mem_unit >= sizeof block / 2);
	munmap(shared, sizeof block);
	close(fd);
	MUST(sysinfo(&after));
	CHECK((before.sharedram - after.sharedram) * after.mem_unit >= sizeof block);
	SHOW(shmget(IPC_PRIVATE, 4096, SHM_HUGETLB | 0600));
	SHOW(shmget(IPC_PRIVATE, 0, SHM_HUGETLB | 0600));
	IN_CHILD(MUST(setgid(1000)); MUST(setuid(1000)); SHOW(shmget(IPC_PRIVATE, 4096, SHM_HUGETLB | 0600)));
}

static void set_zone(int west, int kind)
{
	struct timezone z = { west, kind }, got = { 1, 1 };
	int result = (int)syscall(SYS_settimeofday, NULL, &z);
	printf("zone %d %d: %s", west, kind, result ? error_name(errno) : "set");
	MUST(syscall(SYS_gettimeofday, NULL, &got));
	printf(", now %d %d\n", got.tz_minuteswest, got.tz_dsttime);
}

static void zones(void)
{
	struct timeval before, after;
	puts("--- time zone");
	MUST(gettimeofday(&before, NULL));
	set_zone(-60, 1);
	MUST(gettimeofday(&after, NULL));
	printf("moved by %d minutes\n", (int)((after.tv_sec - before.tv_sec + (after.tv_sec < before.tv_sec ? -30 : 30)) / 60));
	set_zone(901, 0);
	set_zone(-900, 5);
	set_zone(60, 0);
	MUST(gettimeofday(&before, NULL));
	printf("moved by %d minutes\n", (int)((before.tv_sec - after.tv_sec) / 60));
	SHOW(syscall(SYS_settimeofday, NULL, NULL));
	SHOW(syscall(SYS_settimeofday, &(struct timeval){ 1, 1000000 }, NULL));
	IN_CHILD(MUST(setuid(1000)); set_zone(0, 0); SHOW(syscall(SYS_settimeofday, NULL, NULL)); SHOW(syscall(SYS_settimeofday, NULL, 8)));
	set_zone(0, 0);
	after.tv_sec += 3600;
	MUST(settimeofday(&after, NULL));
}

int main(void)
{
	struct sigaction a = { 0 };
	a.sa_sigaction = heard;
	a.sa_flags = SA_SIGINFO | SA_RESTART;
	MUST(sigaction(SIGUSR1, &a, NULL));
	processor_sleeps();
	thread_descriptors();
	cloned_thread();
	shared_table();
	whiteouts();
	memory_totals();
	zones();
	return 0;
}
