/* pid_namespaces(7): numbers, what an init is, how a namespace is made, entered and ended. */
#include "case.h"
#include <dirent.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>

#define NS_GET_USERNS 0xb701
#define NS_GET_PARENT 0xb702
#define NS_GET_NSTYPE 0xb703
#define NS_GET_PID_FROM_PIDNS 0x8004b706
#define NS_GET_TGID_FROM_PIDNS 0x8004b707
#define NS_GET_PID_IN_PIDNS 0x8004b708
#define NS_GET_TGID_IN_PIDNS 0x8004b709

/* Run a block as the init of a new namespace and say how it ended. */
#define AS_INIT(...) do { \
	fflush(stdout); \
	pid_t init_ = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)); \
	if (init_ == 0) { __VA_ARGS__; fflush(stdout); _exit(0); } \
	show_end(init_); \
} while (0)

static void numbers(void)
{
	pid_t outer = getpid();
	AS_INIT({
		SHOW(getpid());
		SHOW(syscall(SYS_gettid));
		SHOW(getppid());
		SHOW(getpgrp());
		SHOW(getsid(0));
		SHOW(getpgid(1));
		SHOW(getpgid(outer));
		SHOW(kill(outer, 0));
		SHOW(kill(1, 0));
		IN_CHILD({
			SHOW(getpid());
			SHOW(getppid());
			SHOW(setpgid(0, 0));
			SHOW(getpgrp());
			SHOW(setsid());
		});
		IN_CHILD(SHOW(getpid()));
		SHOW(setpgid(0, 0));
		SHOW(getpgrp());
		SHOW(setsid());
		IN_CHILD({
			SHOW(setsid());
			SHOW(getsid(0));
			SHOW(getpgid(1));
		});
	});
}

static siginfo_t last;
static void note(int signo, siginfo_t *info, void *context)
{
	last = *info;
}

static void catch(int signo)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	MUST(sigaction(signo, &action, 0));
}

static void protection(void)
{
	int ready[2];
	MUST(pipe(ready));
	pid_t init = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
	if (init == 0) {
		catch(SIGUSR1);
		IN_CHILD({
			static const int all[] = { SIGTERM, SIGKILL, SIGSTOP, SIGSEGV, SIGINT };
			for (int i = 0; i < 5; i++)
				SHOW(kill(1, all[i]));
			SHOW(kill(-1, SIGKILL));
			SHOW(kill(1, SIGUSR1));
		});
		printf("caught %d code %d from %d\n", last.si_signo, last.si_code, last.si_pid);
		MUST(write(ready[1], "x", 1));
		pause();
		printf("caught %d code %d from %d\n", last.si_signo, last.si_code, last.si_pid);
		MUST(write(ready[1], "x", 1));
		for (;;)
			pause();
	}
	char byte;
	int status;
	MUST(read(ready[0], &byte, 1));
	until_asleep(init);
	int sent = kill(init, SIGUSR1);
	MUST(read(ready[0], &byte, 1));
	until_asleep(init);
	printf("SIGUSR1 to init: %d\n", sent);
	SHOW(kill(init, SIGTERM));
	SHOW(kill(init, SIGSTOP));
	CHECK(waitpid(init, &status, WUNTRACED) == init);
	show_status(status);
	SHOW(kill(init, SIGCONT));
	CHECK(waitpid(init, &status, WCONTINUED) == init);
	show_status(status);
	SHOW(kill(init, SIGKILL));
	show_end(init);
	AS_INIT({
		volatile int *nothing = 0;
		*nothing = 1;
	});
	AS_INIT(abort());
}

static void ending(void)
{
	int ends[2], got;
	char byte;
	MUST(pipe(ends));
	IN_CHILD({
		MUST(unshare(CLONE_NEWPID));
		pid_t init = (pid_t)MUST(fork());
		if (init == 0) {
			for (int i = 0; i < 3; i++)
				if (MUST(fork()) == 0)
					for (;;)
						pause();
			if (MUST(fork()) == 0)
				_exit(3);
			if (MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)) == 0)
				for (;;)
					pause();
			_exit(5);
		}
		close(ends[1]);
		show_end(init);
		SHOW(fork());
		SHOW(unshare(CLONE_NEWPID));
		SHOW(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
	});
	close(ends[1]);
	while ((got = (int)read(ends[0], &byte, 1)) == -1 && errno == EINTR)
		;
	printf("the pipe ends: %d\n", got);
	/* A child of a process outside is waited for by that process. */
	IN_CHILD({
		MUST(unshare(CLONE_NEWPID));
		pid_t init = (pid_t)MUST(fork());
		if (init == 0)
			for (;;)
				pause();
		pid_t other = (pid_t)MUST(fork());
		if (other == 0)
			for (;;)
				pause();
		SHOW(kill(init, SIGKILL));
		show_end(other);
		show_end(init);
	});
}

static void orphans(void)
{
	AS_INIT({
		int go[2];
		char byte;
		MUST(pipe(go));
		IN_CHILD({
			if (MUST(fork()) == 0) {
				MUST(read(go[0], &byte, 1));
				_exit(getppid());
			}
		});
		MUST(write(go[1], "x", 1));
		int status;
		SHOW(wait(&status));
		show_status(status);
		IN_CHILD({
			MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
			IN_CHILD({
				if (MUST(fork()) == 0) {
					MUST(read(go[0], &byte, 1));
					_exit(getppid());
				}
			});
			MUST(write(go[1], "x", 1));
			SHOW(wait(&status));
			show_status(status);
		});
	});
	/* A subreaper outside does not get them. */
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	AS_INIT({
		IN_CHILD({
			if (MUST(fork()) == 0)
				_exit(9);
		});
		int status;
		SHOW(wait(&status));
		show_status(status);
	});
	SHOW(wait(0));
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 0));
}

static long number_of(const char *path)
{
	char text[64] = "";
	long number = -1;
	errno = 0;
	if (readlink(path, text, sizeof text - 1) > 0)
		sscanf(strchr(text, '['), "[%ld]", &number);
	return number;
}

static void *thread(void *nothing)
{
	return nothing;
}

static void entering(void)
{
	int own = (int)MUST(open("/proc/self/ns/pid", O_RDONLY));
	IN_CHILD({
		SHOW(unshare(CLONE_NEWPID));
		SHOW(number_of("/proc/self/ns/pid_for_children"));
		SHOW(open("/proc/self/ns/pid_for_children", O_RDONLY));
		SHOW(unshare(CLONE_NEWPID));
		pthread_t made;
		CHECK(pthread_create(&made, 0, thread, 0) == EINVAL);
		pid_t init = (pid_t)MUST(fork());
		if (init == 0)
			for (;;)
				pause();
		char path[64];
		snprintf(path, sizeof path, "/proc/%d/ns/pid", init);
		CHECK(number_of(path) == number_of("/proc/self/ns/pid_for_children"));
		CHECK(number_of(path) != number_of("/proc/self/ns/pid"));
		int below = (int)MUST(open(path, O_RDONLY));
		CHECK(ioctl(below, NS_GET_NSTYPE) == CLONE_NEWPID);
		int parent = (int)MUST(ioctl(below, NS_GET_PARENT));
		CHECK(fcntl(parent, F_GETFD) == FD_CLOEXEC);
		struct stat one;
		struct stat two;
		MUST(fstat(parent, &one));
		MUST(fstat(own, &two));
		CHECK(one.st_ino == two.st_ino);
		SHOW(ioctl(parent, NS_GET_PARENT));
		TRY(ioctl(below, NS_GET_USERNS));
		CHECK(ioctl(below, NS_GET_PID_FROM_PIDNS, 1) == init);
		CHECK(ioctl(below, NS_GET_TGID_FROM_PIDNS, 1) == init);
		SHOW(ioctl(below, NS_GET_PID_IN_PIDNS, init));
		SHOW(ioctl(below, NS_GET_TGID_IN_PIDNS, init));
		SHOW(ioctl(below, NS_GET_PID_IN_PIDNS, getpid()));
		SHOW(ioctl(below, NS_GET_PID_FROM_PIDNS, 2));
		SHOW(ioctl(below, NS_GET_PID_FROM_PIDNS, 0));
		SHOW(setns(below, CLONE_NEWUTS));
		SHOW(setns(own, CLONE_NEWPID));
		CHECK(number_of("/proc/self/ns/pid_for_children") == number_of("/proc/self/ns/pid"));
		CHECK(pthread_create(&made, 0, thread, 0) == 0);
		pthread_join(made, 0);
		SHOW(setns(below, 0));
		IN_CHILD({
			SHOW(getpid());
			SHOW(getppid());
			SHOW(setns(own, CLONE_NEWPID));
			SHOW(setns(parent, 0));
			SHOW(setns(below, CLONE_NEWPID));
			SHOW(ioctl(below, NS_GET_PARENT));
			IN_CHILD({
				SHOW(getpid());
				SHOW(getppid());
			});
			SHOW(unshare(CLONE_NEWPID));
			IN_CHILD(SHOW(getpid()));
		});
		int process = (int)MUST(syscall(SYS_pidfd_open, init, 0));
		SHOW(setns(own, 0));
		SHOW(setns(process, CLONE_NEWPID | CLONE_NEWUTS));
		IN_CHILD(SHOW(getpid()));
		kill(init, SIGKILL);
		MUST(waitpid(init, 0, 0));
		SHOW(setns(below, 0));
		SHOW(fork());
		SHOW(setns(process, CLONE_NEWPID));
	});
	SHOW(syscall(SYS_clone, CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0));
	AS_INIT({
		SHOW(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
		SHOW(setns(own, CLONE_NEWPID));
	});
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		SHOW(unshare(CLONE_NEWPID));
		SHOW(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
		SHOW(setns(own, CLONE_NEWPID));
	});
	close(own);
}

static int nest(int depth)
{
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (unshare(CLONE_NEWPID) == -1) {
		printf("%d levels: %s\n", depth, error_name(errno));
		return 0;
	}
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(getpid() == 1 ? nest(depth + 1) : 1);
	int status;
	MUST(waitpid(child, &status, 0));
	return WEXITSTATUS(status);
}

static void restarts(void)
{
	static const unsigned all[] = { RB_AUTOBOOT, RB_POWER_OFF, RB_HALT_SYSTEM, RB_ENABLE_CAD, 7 };
	for (int i = 0; i < 5; i++)
		AS_INIT({
			IN_CHILD({
				printf("reboot: %s\n", reboot((int)all[i]) == -1 ? error_name(errno) : "ok");
			});
			for (int j = 0; i < 3; j++)
				pause();
		});
	AS_INIT({
		MUST(setresuid(1000, 1000, 1000));
		SHOW(reboot(RB_AUTOBOOT));
	});
}

static void chosen(const char *what, int count, int first, int second, int third)
{
	pid_t wanted[3] = { first, second, third };
	struct clone_args arguments = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)wanted, .set_tid_size = (unsigned)count };
	fflush(stdout);
	long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (pid == 0)
		_exit(getpid());
	printf("%s: ", what);
	if (pid < 0)
		printf("%s\n", error_name(errno));
	else
		show_end((pid_t)pid);
}

static void choices(void)
{
	MUST(unshare(CLONE_NEWPID));
	chosen("no init yet", 1, 7, 0, 0);
	pid_t holder = (pid_t)MUST(fork());
	if (holder == 0)
		for (;;)
			pause();
	chosen("one", 1, 77, 0, 0);
	chosen("both", 2, 78, 30078, 0);
	chosen("more than there are", 3, 79, 30079, 5);
	chosen("taken inside", 1, 1, 0, 0);
	chosen("taken outside", 2, 80, getpid(), 0);
	chosen("nothing", 1, 0, 0, 0);
	chosen("bad outside", 2, 81, -1, 0);
	chosen("next", 0, 0, 0, 0);
	kill(holder, SIGKILL);
	show_end(holder);
	chosen("after the end", 1, 90, 0, 0);
}

static void last_number(void)
{
	AS_INIT({
		int file = (int)MUST(open("/proc/sys/kernel/ns_last_pid", O_RDWR));
		char text[16] = "";
		MUST(read(file, text, 15));
		printf("last %s", text);
		SHOW(pwrite(file, "40", 2, 0));
		IN_CHILD(SHOW(getpid()));
		SHOW(pwrite(file, "-1", 2, 0));
		SHOW(pwrite(file, "99999999", 8, 0));
		FILE *load = fopen("/proc/loadavg", "r");
		int number = 0;
		fscanf(load, "%*s %*s %*s %*s %d", &number);
		printf("loadavg's last %d\n", number);
		fclose(load);
		MUST(setresuid(1000, 1000, 1000));
		SHOW(pwrite(file, "50", 2, 0));
	});
}

int main(void)
{
	numbers();
	protection();
	ending();
	orphans();
	entering();
	IN_CHILD(nest(0));
	restarts();
	IN_CHILD(choices());
	last_number();
	return 0;
}
