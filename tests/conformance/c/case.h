/*
 * What the conformance programs share: printing what a call answered, so that two kernels' answers can be compared.
 *
 * A program prints nothing that differs from run to run (process numbers, addresses, times). It needs no expected output: the
 * same program runs on Linux.
 */
#ifndef CASE_H
#define CASE_H
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static inline const char *error_name(int error)
{
	static char other[32];
	switch (error) {
#define NAME(e) case e: return #e;
	NAME(EPERM) NAME(ENOENT) NAME(ESRCH) NAME(EINTR) NAME(EIO) NAME(ENXIO) NAME(E2BIG) NAME(ENOEXEC) NAME(EBADF)
	NAME(ECHILD) NAME(EAGAIN) NAME(ENOMEM) NAME(EACCES) NAME(EFAULT) NAME(ENOTBLK) NAME(EBUSY) NAME(EEXIST) NAME(EXDEV)
	NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR) NAME(EINVAL) NAME(ENFILE) NAME(EMFILE) NAME(ENOTTY) NAME(ETXTBSY) NAME(EFBIG)
	NAME(ENOSPC) NAME(ESPIPE) NAME(EROFS) NAME(EMLINK) NAME(EPIPE) NAME(EDOM) NAME(ERANGE) NAME(EDEADLK) NAME(ENAMETOOLONG)
	NAME(ENOLCK) NAME(ENOSYS) NAME(ENOTEMPTY) NAME(ELOOP) NAME(ENODATA) NAME(ETIME) NAME(EOVERFLOW) NAME(ELIBBAD)
	NAME(ENOTSOCK) NAME(EOPNOTSUPP) NAME(ETIMEDOUT) NAME(EAFNOSUPPORT) NAME(ENOTCONN) NAME(ECONNREFUSED) NAME(EADDRINUSE)
	NAME(EISCONN) NAME(EDESTADDRREQ) NAME(EMSGSIZE) NAME(ECONNRESET) NAME(EOWNERDEAD) NAME(ENOTRECOVERABLE)
	NAME(EPROTONOSUPPORT) NAME(EPROTOTYPE) NAME(EINPROGRESS) NAME(EALREADY) NAME(EIDRM) NAME(ENOMSG)
#undef NAME
	}
	snprintf(other, sizeof other, "errno %d", error);
	return other;
}

static inline void show_result(const char *what, long result, int with_value)
{
	int error = errno;
	if (result == -1)
		printf("%s: %s\n", what, error_name(error));
	else if (with_value)
		printf("%s: %ld\n", what, result);
	else
		printf("%s: ok\n", what);
}

/* Print a call with its value or its error. */
#define SHOW(call) ({ errno = 0; long result_ = (long)(call); show_result(#call, result_, 1); result_; })
/* The same, when the value differs from run to run. */
#define TRY(call) ({ errno = 0; long result_ = (long)(call); show_result(#call, result_, 0); result_; })

/* A call that the rest of the program relies on. */
#define MUST(call) ({ errno = 0; long result_ = (long)(call); \
	if (result_ == -1) { printf("line %d: %s: %s\n", __LINE__, #call, error_name(errno)); exit(99); } result_; })

#define CHECK(condition) printf("%s: %s\n", #condition, (condition) ? "yes" : "no")

/* Run a block in a child and say how it ended. */
#define IN_CHILD(...) do { \
	fflush(stdout); \
	pid_t child_ = (pid_t)MUST(fork()); \
	if (child_ == 0) { __VA_ARGS__; fflush(stdout); _exit(0); } \
	show_end(child_); \
} while (0)

static inline void show_status(int status)
{
	if (WIFEXITED(status))
		printf("child exited with %d\n", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("child was killed by signal %d\n", WTERMSIG(status));
	else if (WIFSTOPPED(status))
		printf("child was stopped by signal %d\n", WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		printf("child was continued\n");
	else
		printf("child has status %#x\n", status);
}

static inline void show_end(pid_t child)
{
	int status;
	pid_t got;
	while ((got = waitpid(child, &status, 0)) == -1 && errno == EINTR)
		;
	if (got == -1)
		printf("waitpid: %s\n", error_name(errno));
	else
		show_status(status);
}

static inline void put_file(const char *path, const char *text, mode_t mode)
{
	int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
	MUST(write(fd, text, strlen(text)));
	MUST(fchmod(fd, mode));
	close(fd);
}

static inline void show_file(const char *path)
{
	char buffer[512];
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	ssize_t n = read(fd, buffer, sizeof buffer - 1);
	buffer[n > 0 ? n : 0] = 0;
	printf("%s holds %zd bytes: \"%s\"\n", path, n, buffer);
	close(fd);
}

static inline void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/* Let others get on, where nothing shows that they have: Linux's own threads. The host may stand still for all of a sleep; of these ten it
 * stands still for one, and in the others whoever is ready runs.
 */
static inline void settle_for(long ms)
{
	for (int i = 0; i < 10; i++)
		sleep_ms((ms + 9) / 10);
}

/* As poll() of one descriptor, with a time-out in ms that does not run out while the host stands still. */
static inline int poll_for(struct pollfd *one, int ms)
{
	int ready = 0;
	for (int i = 0; i < 10 && ready == 0; i++)
		ready = poll(one, 1, (ms + 9) / 10);
	return ready;
}

/* The state of a process or a thread, by its file in /proc; 0 if it is gone. */
static inline char state_in(const char *stat_path)
{
	char text[256];
	int fd = open(stat_path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *end = strrchr(text, ')');
	return end ? end[2] : 0;
}

static inline void until_asleep_in(const char *stat_path)
{
	for (int i = 0; i < 15000; i++) {
		if (state_in(stat_path) == 'S')
			return;
		sleep_ms(2);
	}
	printf("it never sleeps\n");
}

/* Wait until a process waits in the kernel: for what the next call does. */
static inline void until_asleep(pid_t process)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/stat", process);
	until_asleep_in(path);
}

/* The same, of a thread of this process. It must not sleep for any other reason by then. */
static inline void until_thread_asleep(pid_t tid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	until_asleep_in(path);
}

/* pthread_join() may return before the thread has left the process. */
static inline void until_alone(void)
{
	for (int count = 4; count > 3; sleep_ms(2)) {
		DIR *tasks = opendir("/proc/self/task");
		for (count = 0; readdir(tasks);)
			count++; /* with . and .. */
		closedir(tasks);
	}
}

/* Send a signal to this process as soon as it waits in the kernel: a timer's could come before the call that it is to interrupt. */
static inline pid_t signal_in_sleep(int signal)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		until_asleep(getppid());
		kill(getppid(), signal);
		_exit(0);
	}
	return child;
}

/* Wait until a child has ended, and leave it a zombie. */
static inline void until_ended(pid_t child)
{
	siginfo_t info;
	while (waitid(P_PID, child, &info, WEXITED | WNOWAIT) == -1 && errno == EINTR)
		;
}

__attribute__((constructor)) static void by_the_line(void)
{
	static char buffer[4096];
	setvbuf(stdout, buffer, _IOLBF, sizeof buffer);
	umask(022);
}
#endif
