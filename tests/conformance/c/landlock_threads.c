/*
 * Landlock where a thread alone is confined, while another one shares its directories: what is checked after a sleep. Owners of
 * files, zombies, the other side of a terminal, files that are neither read nor written.
 */
#include "landlock_case.h"
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#define TIOCSPTLCK 0x40045431
#endif

static const char *leased = "/tmp/ll_leased";

/* A child that has a lease of the file, and gives it back some time after it was asked to. */
static pid_t lease_holder(void)
{
	int ends[2];
	MUST(pipe(ends));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		sigset_t set;
		int signal, fd = (int)MUST(open(leased, O_RDONLY));
		sigemptyset(&set);
		sigaddset(&set, SIGIO);
		sigprocmask(SIG_BLOCK, &set, NULL);
		MUST(fcntl(fd, F_SETLEASE, F_RDLCK));
		MUST(write(ends[1], "x", 1));
		sigwait(&set, &signal);
		usleep(200000);
		MUST(fcntl(fd, F_SETLEASE, F_UNLCK));
		_exit(0);
	}
	char byte;
	MUST(read(ends[0], &byte, 1));
	close(ends[0]);
	close(ends[1]);
	return child;
}

static volatile int is_done;

static void *truncates(void *argument)
{
	(void)argument;
	enter(TRUNCATE, 0, 0);
	SHOW(truncate(leased, 0));
	is_done = 1;
	return NULL;
}

static void *opens(void *argument)
{
	(void)argument;
	int set = (int)MUST(create(TRUNCATE, 0, 0));
	MUST(restrict_self(set));
	int fd = (int)MUST(open(leased, O_RDWR));
	SHOW(ftruncate(fd, 0));
	close(fd);
	is_done = 1;
	return NULL;
}

static void *acts_as_user(void *argument)
{
	(void)argument;
	MUST(syscall(SYS_setresgid, -1, 1000, -1));
	MUST(syscall(SYS_setresuid, -1, 1000, -1));
	SHOW(truncate(leased, 1));
	is_done = 1;
	return NULL;
}

/* The main thread looks at files all the time. */
static void beside(void *(*body)(void *))
{
	struct stat status;
	pthread_t thread;
	pid_t child = lease_holder();
	is_done = 0;
	pthread_create(&thread, NULL, body, NULL);
	while (!is_done) {
		stat(leased, &status);
		access(leased, R_OK);
		usleep(1000);
	}
	pthread_join(thread, NULL);
	waitpid(child, NULL, 0);
	MUST(stat(leased, &status));
	printf("size %ld\n", (long)status.st_size);
}

static void shared_directories(void)
{
	int fd = (int)MUST(open(leased, O_RDWR | O_CREAT | O_TRUNC, 0666));
	MUST(write(fd, "12345", 5));
	close(fd);
	MUST(chmod(leased, 0666));
	beside(truncates);
	beside(opens);
	beside(acts_as_user);
	unlink(leased);
}

static int ends_of_pipe[2];

static void *owns(void *argument)
{
	int own = *(int *)argument;
	enter(0, 0, SIGNALS);
	if (own == 0)
		MUST(fcntl(ends_of_pipe[0], F_SETOWN, getpid()));
	else if (own == 1) {
		struct { int type, pid; } owner = {0, getpid()};
		MUST(fcntl(ends_of_pipe[0], 15 /* F_SETOWN_EX */, &owner));
	} else
		MUST(fcntl(ends_of_pipe[0], F_SETOWN, getppid()));
	MUST(fcntl(ends_of_pipe[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	MUST(write(ends_of_pipe[1], "x", 1));
	return NULL;
}

static void owners(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct timespec soon = {0, 100000000};
	for (int own = 0; own < 3; own++) {
		pthread_t thread;
		MUST(pipe2(ends_of_pipe, O_NONBLOCK));
		pthread_create(&thread, NULL, owns, &own);
		pthread_join(thread, NULL);
		SHOW(sigtimedwait(&set, NULL, &soon));
		close(ends_of_pipe[0]);
		close(ends_of_pipe[1]);
	}
}

static void zombies(void)
{
	siginfo_t info;
	fflush(stdout);
	pid_t plain = (pid_t)MUST(fork());
	if (plain == 0)
		_exit(0);
	MUST(waitid(P_PID, (id_t)plain, &info, WEXITED | WNOWAIT));
	IN_CHILD({
		enter(MAKE_DIR, 0, SIGNALS);
		SHOW(kill(plain, 0));
		fflush(stdout);
		pid_t mine = (pid_t)MUST(fork());
		if (mine == 0)
			_exit(0);
		MUST(waitid(P_PID, (id_t)mine, &info, WEXITED | WNOWAIT));
		SHOW(kill(mine, 0));
		fflush(stdout);
		pid_t inner = (pid_t)MUST(fork());
		if (inner == 0) {
			enter(MAKE_DIR, 0, SIGNALS);
			_exit(0);
		}
		MUST(waitid(P_PID, (id_t)inner, &info, WEXITED | WNOWAIT));
		SHOW(kill(inner, 0));
		waitpid(mine, NULL, 0);
		waitpid(inner, NULL, 0);
	});
	waitpid(plain, NULL, 0);
}

static void terminals(void)
{
	int unlocked = 0, master = (int)MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	MUST(ioctl(master, TIOCSPTLCK, &unlocked));
	IN_CHILD(TRY(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)));
	IN_CHILD(enter(READ_FILE | WRITE_FILE, 0, 0); SHOW(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)));
	IN_CHILD({
		int set = (int)MUST(create(READ_FILE | WRITE_FILE, 0, 0));
		MUST(allow(set, "/dev/pts", READ_FILE));
		MUST(restrict_self(set));
		TRY(ioctl(master, TIOCGPTPEER, O_RDONLY | O_NOCTTY));
		SHOW(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	});
	close(master);
}

static void neither_read_nor_written(void)
{
	int fd = (int)MUST(open("/tmp/ll_mode", O_RDWR | O_CREAT, 0666));
	close(fd);
	IN_CHILD({
		enter(READ_FILE | WRITE_FILE | READ_DIR, 0, 0);
		SHOW(open("/tmp/ll_mode", O_RDONLY));
		TRY(open("/tmp/ll_mode", 3)); /* O_ACCMODE of musl is another number */
		SHOW(open("/tmp", O_RDONLY));
		SHOW(open("/tmp", 3));
	});
	unlink("/tmp/ll_mode");
}

/* A capability in one's own user namespace is enough. */
static void without_no_new_privileges(void)
{
	IN_CHILD({
		MUST(setuid(1000));
		int set = (int)MUST(create(MAKE_DIR, 0, 0));
		SHOW(syscall(SYS_landlock_restrict_self, set, 0));
		SHOW(unshare(0x10000000 /* CLONE_NEWUSER */));
		SHOW(syscall(SYS_landlock_restrict_self, set, 0));
	});
}

int main(void)
{
	puts("== shared directories");
	shared_directories();
	puts("== owners");
	IN_CHILD(owners());
	puts("== zombies");
	zombies();
	puts("== terminals");
	terminals();
	puts("== neither read nor written");
	neither_read_nor_written();
	puts("== without no_new_privs");
	without_no_new_privileges();
	return 0;
}
