/*
 * Covers: the signal of a child's end (clone(2)): with every number that its byte can hold, those of no signal included, for which waits the
 * child counts, and what /proc/PID/stat shows.
 */
#include "case.h"

static volatile int caught;

static void handler(int signo) { caught = signo; }

static int shown_signal(pid_t child)
{
	char path[40], text[600];
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t count = read(fd, text, sizeof text - 1);
	close(fd);
	text[count > 0 ? count : 0] = 0;
	char *place = strrchr(text, ')') + 2;
	for (int i = 3; i < 38; i++)
		place = strchr(place, ' ') + 1;
	return atoi(place);
}

static void give_birth(unsigned long flags)
{
	int pipes[2];
	MUST(pipe(pipes));
	caught = 0;
	fflush(stdout);
	errno = 0;
	long child = syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (child == 0) {
		char byte;
		close(pipes[1]);
		read(pipes[0], &byte, 1);
		_exit(3);
	}
	close(pipes[0]);
	if (child < 0) {
		printf("%#lx: %s\n", flags, error_name(errno));
		close(pipes[1]);
		return;
	}
	printf("%#lx: shows %d", flags, shown_signal((pid_t)child));
	close(pipes[1]);
	siginfo_t info;
	while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT | __WALL) && errno == EINTR)
		;
	int status = 0;
	long plain = waitpid((pid_t)child, &status, WNOHANG);
	printf(", plain wait %s", plain < 0 ? error_name(errno) : "finds it");
	if (plain < 0)
		printf(", of clones %s", waitpid((pid_t)child, &status, __WCLONE) < 0 ? error_name(errno) : "finds it");
	printf(", status %#x, caught %d\n", status, caught);
}

int main(void)
{
	for (int signo = 1; signo <= 64; signo++)
		signal(signo, handler);
	static const int signals[] = { 0, 1, 10, 17, 18, 35, 63, 64, 65, 66, 127, 128, 129, 200, 254, 255 };
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		give_birth(signals[i]);
	give_birth(0x100000000ul | 17);
	struct { uint64_t flags, pidfd, child, parent, signal, stack, size, tls; } arguments = { .signal = 0 };
	static const uint64_t wide[] = { 65, 128, 255, 256, 17ul | 1ul << 32, -1ul };
	for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
		arguments.signal = wide[i];
		long result = syscall(SYS_clone3, &arguments, sizeof arguments);
		if (result == 0)
			_exit(0);
		printf("clone3 with signal %#lx: %s\n", wide[i], result < 0 ? error_name(errno) : "ok");
	}
	return 0;
}
