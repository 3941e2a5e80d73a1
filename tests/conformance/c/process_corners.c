/* Covers: waits with only zombies, __WNOTHREAD, __WCLONE, __WALL; exec by a thread while the first waits in vfork; stops of orphans; kill and
 * rt_sigqueueinfo by the number of a thread; pidfd_send_signal with a directory of /proc; use of children that nobody waited for; what SIGXFSZ and
 * SIGPIPE tell. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "case.h"

#define WNOTHREAD_ 0x20000000
#define WALL_ 0x40000000
#define WCLONE_ 0x80000000

static pid_t zombie(void)
{
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(5);
	until_ended(child);
	return child;
}

static long wait_id(int kind, int number, int options)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	long result = waitid(kind, number, &info, options);
	if (result == 0)
		printf("  found %d, code %d\n", info.si_pid != 0, info.si_code);
	return result;
}

static void only_zombies(void)
{
	puts("--- only zombies");
	pid_t child = zombie();
	SHOW(wait_id(P_ALL, 0, WSTOPPED));
	SHOW(wait_id(P_ALL, 0, WSTOPPED | WNOHANG));
	SHOW(wait_id(P_ALL, 0, WCONTINUED));
	SHOW(wait_id(P_PID, child, WSTOPPED | WCONTINUED));
	SHOW(wait_id(P_PGID, 0, WSTOPPED));
	int descriptor = (int)MUST(syscall(SYS_pidfd_open, child, 0));
	SHOW(wait_id(3, descriptor, WSTOPPED));
	SHOW(wait_id(P_ALL, 0, WEXITED | WNOWAIT));
	pid_t sleeper = (pid_t)MUST(fork());
	if (sleeper == 0)
		for (;;)
			pause();
	SHOW(wait_id(P_ALL, 0, WSTOPPED | WNOHANG));
	SHOW(wait_id(P_PID, child, WSTOPPED | WNOHANG));
	kill(sleeper, SIGSTOP);
	SHOW(wait_id(P_ALL, 0, WSTOPPED));
	kill(sleeper, SIGKILL);
	SHOW(waitpid(sleeper, NULL, 0) == sleeper);
	SHOW(wait_id(P_ALL, 0, WSTOPPED));
	SHOW(wait_id(P_ALL, 0, WEXITED));
	SHOW(wait_id(P_ALL, 0, WEXITED));
	close(descriptor);
}

static pid_t made;

static void *make_child(void *argument)
{
	made = fork();
	if (made == 0)
		_exit(3);
	until_ended(made);
	SHOW(waitpid(-1, NULL, WNOHANG | WNOTHREAD_) >= 0);
	return argument;
}

static void *make_and_stay(void *argument)
{
	made = fork();
	if (made == 0)
		_exit(3);
	until_ended(made);
	*(volatile int *)argument = 1;
	for (;;)
		pause();
}

static pid_t clone_with(int flags, int code)
{
	pid_t child = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (child == 0)
		_exit(code);
	return child;
}

static void of_threads(void)
{
	pthread_t thread;
	volatile int is_ready = 0;
	puts("--- of threads");
	pthread_create(&thread, NULL, make_child, NULL);
	pthread_join(thread, NULL);
	SHOW(waitpid(-1, NULL, WNOHANG));
	pthread_create(&thread, NULL, make_and_stay, (void *)&is_ready);
	while (!is_ready)
		sleep_ms(1);
	SHOW(waitpid(-1, NULL, WNOHANG | WNOTHREAD_));
	SHOW(waitpid(made, NULL, WNOTHREAD_));
	SHOW(waitpid(made, NULL, 0) == made);
	puts("--- clones");
	signal(SIGUSR1, SIG_IGN);
	static const int signals[] = { 0, SIGUSR1, SIGCHLD };
	for (unsigned i = 0; i < 3; i++) {
		pid_t child = clone_with(signals[i], 4);
		int status;
		until_ended(child);
		siginfo_t info;
		memset(&info, 0, sizeof info);
		while (waitid(P_PID, child, &info, WEXITED | WNOWAIT | WALL_) == 0 && info.si_pid == 0)
			;
		SHOW(waitpid(child, &status, WNOHANG) == child);
		SHOW(waitpid(child, &status, WNOHANG | WCLONE_) == child);
		SHOW(waitpid(child, &status, WNOHANG | WALL_) == child);
	}
}

static int ends[2];

static void *execute(void *argument)
{
	static char *words[] = { "process_corners", "executed", NULL };
	sleep_ms(50);
	execv("/proc/self/exe", words);
	return argument;
}

static void in_vfork(void)
{
	pthread_t thread;
	puts("--- exec while the first thread waits in vfork");
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		alarm(200);
		MUST(pipe(ends));
		pthread_create(&thread, NULL, execute, NULL);
		if (vfork() == 0) {
			char byte;
			close(ends[1]);
			read(ends[0], &byte, 1);
			_exit(0);
		}
		pause();
	}
	show_end(child);
}

static void handler(int signo) { }

static void report(int signo)
{
	char text[32];
	int n = snprintf(text, sizeof text, "signal %d\n", signo);
	write(1, text, n);
}

static void orphans(void)
{
	int status;
	puts("--- stops of orphans");
	fflush(stdout);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t leader = (pid_t)MUST(fork());
	if (leader == 0) {
		setsid();
		pid_t middle = (pid_t)MUST(fork());
		if (middle == 0) {
			setpgid(0, 0);
			pid_t last = (pid_t)MUST(fork());
			if (last == 0) {
				struct sigaction action = { .sa_handler = report };
				sigaction(SIGHUP, &action, NULL);
				sigaction(SIGCONT, &action, NULL);
				raise(SIGSTOP);
				printf("goes on\n");
				printf("a stop of an orphan by SIGTSTP, SIGTTIN, SIGTTOU:\n");
				raise(SIGTSTP);
				raise(SIGTTIN);
				raise(SIGTTOU);
				printf("does nothing\n");
				fflush(stdout);
				raise(SIGSTOP);
				printf("and SIGSTOP stops until SIGCONT\n");
				fflush(stdout);
				_exit(6);
			}
			waitpid(last, &status, WUNTRACED);
			printf("stopped: %d\n", WIFSTOPPED(status));
			fflush(stdout);
			_exit(0);
		}
		waitpid(middle, &status, 0);
		_exit(0);
	}
	int how_leader_ended;
	MUST(waitpid(leader, &how_leader_ended, 0));
	pid_t last = waitpid(-1, &status, WUNTRACED);
	show_status(how_leader_ended);
	printf("again stopped: %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	kill(last, SIGCONT);
	waitpid(last, &status, 0);
	show_status(status);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	puts("--- SIGCONT against SIGSTOP");
	fflush(stdout);
	int may_end[2];
	char byte;
	MUST(pipe(may_end));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		sigset_t all, pending;
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		raise(SIGTSTP);
		raise(SIGTTIN);
		sigpending(&pending);
		printf("pending: %d %d %d\n", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN), sigismember(&pending, SIGCONT));
		raise(SIGCONT);
		sigpending(&pending);
		printf("pending: %d %d %d\n", sigismember(&pending, SIGTSTP), sigismember(&pending, SIGTTIN), sigismember(&pending, SIGCONT));
		raise(SIGTTOU);
		sigpending(&pending);
		printf("pending: %d %d %d\n", sigismember(&pending, SIGTTOU), sigismember(&pending, SIGTTIN), sigismember(&pending, SIGCONT));
		fflush(stdout);
		raise(SIGSTOP);
		close(may_end[1]);
		read(may_end[0], &byte, 1);
		_exit(0);
	}
	MUST(waitpid(child, &status, WUNTRACED));
	show_status(status);
	kill(child, SIGSTOP);
	kill(child, SIGCONT);
	MUST(waitpid(child, &status, WCONTINUED));
	show_status(status);
	close(may_end[0]);
	close(may_end[1]);
	SHOW(waitpid(child, &status, WUNTRACED) == child);
	show_status(status);
}

static volatile int is_up;
static volatile pid_t number;

static void *stay(void *argument)
{
	number = (pid_t)syscall(SYS_gettid);
	is_up = 1;
	for (;;)
		pause();
	return argument;
}

static volatile int *reports; /* shared with the child that gets the signals */

static void tell(int signo, siginfo_t *info, void *context)
{
	printf("signal %d, code %d, value %d\n", signo, info->si_code, info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
	fflush(stdout);
	++*reports;
}

/* A call whose signal is reported before its result. */
#define LATER(call) ({ int before_ = *reports; errno = 0; long result_ = (long)(call); int error_ = errno; \
	for (int i_ = 0; result_ == 0 && *reports == before_ && i_ < 15000; i_++) sleep_ms(2); \
	errno = error_; show_result(#call, result_, 0); result_; })

static void numbers_of_threads(void)
{
	int to_parent[2], status;
	pthread_t thread;
	char path[64], byte;
	puts("--- by the number of a thread");
	reports = (int *)MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(pipe(to_parent));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		struct sigaction action = { .sa_sigaction = tell, .sa_flags = SA_SIGINFO | SA_RESTART };
		sigaction(SIGUSR1, &action, NULL);
		sigaction(SIGRTMIN, &action, NULL);
		pthread_create(&thread, NULL, stay, NULL);
		while (!is_up)
			sleep_ms(1);
		pid_t tid = number;
		write(to_parent[1], &tid, sizeof tid);
		for (;;)
			pause();
	}
	pid_t tid;
	read(to_parent[0], &tid, sizeof tid);
	TRY(kill(tid, 0));
	LATER(kill(tid, SIGUSR1));
	union sigval value = { 77 };
	LATER(sigqueue(tid, SIGRTMIN, value));
	TRY(kill(-tid, 0));
	siginfo_t info = { .si_code = SI_USER };
	TRY(syscall(SYS_rt_sigqueueinfo, tid, SIGUSR1, &info));
	TRY(syscall(SYS_rt_sigqueueinfo, getpid(), 0, &info));
	TRY(syscall(SYS_pidfd_open, tid, 0));
	TRY(getpgid(tid) == getpgrp() ? 0 : -1);
	TRY(getsid(tid) == getsid(0) ? 0 : -1);
	TRY(setpgid(tid, 0));
	TRY(getpriority(PRIO_PROCESS, tid));
	TRY(setpriority(PRIO_PROCESS, tid, 3));
	SHOW(getpriority(PRIO_PROCESS, tid));
	SHOW(getpriority(PRIO_PROCESS, child));
	TRY(sched_getscheduler(tid));
	struct rlimit limit;
	TRY(prlimit(tid, RLIMIT_NOFILE, NULL, &limit));
	TRY(waitpid(tid, NULL, WNOHANG));
	TRY(wait_id(P_PID, tid, WEXITED | WNOHANG));
	snprintf(path, sizeof path, "/proc/%d", tid);
	TRY(access(path, F_OK));
	int directory = (int)TRY(open(path, O_RDONLY | O_DIRECTORY));
	puts("--- directories as descriptors of processes");
	TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
	LATER(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0));
	LATER(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 1));
	close(directory);
	snprintf(path, sizeof path, "/proc/%d/task/%d", child, tid);
	directory = (int)MUST(open(path, O_RDONLY | O_DIRECTORY));
	TRY(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0));
	close(directory);
	snprintf(path, sizeof path, "/proc/%d/task", child);
	directory = (int)MUST(open(path, O_RDONLY | O_DIRECTORY));
	TRY(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0));
	close(directory);
	snprintf(path, sizeof path, "/proc/%d", child);
	directory = (int)MUST(open(path, O_PATH));
	TRY(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0));
	close(directory);
	directory = (int)MUST(open("/proc/self", O_RDONLY));
	TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
	close(directory);
	directory = (int)MUST(open("/proc", O_RDONLY));
	TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
	close(directory);
	directory = (int)MUST(open(path, O_RDONLY | O_DIRECTORY));
	LATER(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0));
	LATER(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 2));
	TRY(syscall(SYS_pidfd_send_signal, directory, 65, NULL, 0));
	TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 8));
	info = (siginfo_t){ .si_signo = SIGUSR1, .si_code = SI_USER };
	TRY(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, &info, 0));
	TRY(syscall(SYS_pidfd_getfd, directory, 0, 0));
	TRY(wait_id(3, directory, WEXITED | WNOHANG));
	TRY(syscall(SYS_pidfd_send_signal, directory, SIGKILL, NULL, 0));
	until_ended(child);
	TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
	waitpid(child, &status, 0);
	show_status(status);
	TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
	close(directory);
}

static void touch(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(memory, 1, size);
	munmap(memory, size);
}

static void use(long ms)
{
	struct timespec t;
	do
		for (volatile int i = 0; i < 100000; i++)
			;
	while (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0 && t.tv_sec * 1000 + t.tv_nsec / 1000000 < ms);
}

static void show_children(const char *what)
{
	struct rusage usage;
	MUST(getrusage(RUSAGE_CHILDREN, &usage));
	long ms = usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 + usage.ru_stime.tv_sec * 1000 + usage.ru_stime.tv_usec / 1000;
	printf("%s: %s, %s, faults %d\n", what, ms >= 100 ? "time" : "no time", usage.ru_maxrss >= 16000 ? "much memory" : "little memory", usage.ru_minflt > 4000);
}

static void use_of_children(void)
{
	puts("--- children that nobody waited for");
	fflush(stdout);
	for (int way = 0; way < 4; way++) {
		pid_t process = (pid_t)MUST(fork());
		if (process == 0) {
			struct sigaction action = { .sa_handler = SIG_DFL };
			if (way == 1)
				action.sa_handler = SIG_IGN;
			if (way == 2)
				action.sa_flags = SA_NOCLDWAIT;
			sigaction(SIGCHLD, &action, NULL);
			pid_t child = fork();
			if (child == 0) {
				touch(20 << 20);
				use(200);
				if (way == 3)
					execl("/proc/self/exe", "process_corners", "nothing", NULL);
				_exit(0);
			}
			if (way == 0) {
				until_ended(child);
				show_children("before it is waited for");
			}
			waitpid(-1, NULL, 0);
			static const char *ways[] = { "waited for", "ignored", "SA_NOCLDWAIT", "executed another program" };
			show_children(ways[way]);
			fflush(stdout);
			_exit(0);
		}
		waitpid(process, NULL, 0);
	}
}

static pid_t caller;

static void about_itself(int signo, siginfo_t *info, void *context)
{
	printf("signal %d: code %d, from itself %d, uid %d, the thread %d\n", signo, info->si_code, info->si_pid == getpid(), info->si_uid,
	       syscall(SYS_gettid) == caller);
}

static void *write_too_much(void *argument)
{
	caller = (pid_t)syscall(SYS_gettid);
	int fd = (int)MUST(open("/tmp/corners", O_RDWR | O_CREAT, 0600));
	SHOW(pwrite(fd, "x", 1, 1 << 21));
	SHOW(ftruncate(fd, 1 << 21));
	SHOW(fallocate(fd, 0, 0, 1 << 21));
	close(fd);
	unlink("/tmp/corners");
	int pair[2];
	MUST(pipe(pair));
	close(pair[0]);
	SHOW(write(pair[1], "x", 1));
	return argument;
}

static void own_signals(void)
{
	pthread_t thread;
	struct sigaction action = { .sa_sigaction = about_itself, .sa_flags = SA_SIGINFO };
	struct rlimit limit = { 1 << 20, 1 << 20 }; /* more than stdout holds */
	puts("--- SIGXFSZ and SIGPIPE");
	sigaction(SIGXFSZ, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	pthread_create(&thread, NULL, write_too_much, NULL);
	pthread_join(thread, NULL);
}

int main(int count, char **arguments)
{
	if (count > 1) {
		if (strcmp(arguments[1], "executed") == 0)
			printf("executed, %d thread\n", getpid() == syscall(SYS_gettid));
		return 0;
	}
	only_zombies();
	IN_CHILD(of_threads());
	in_vfork();
	orphans();
	numbers_of_threads();
	use_of_children();
	IN_CHILD(own_signals());
	return 0;
}
