/*
 * Runs test cases inside a guest, one after the other, and prints one machine-readable line for each.
 *
 * Usage: runner LIST, where each line of LIST is: NAME, seconds, program, arguments, separated by tabs.
 * A case runs in an empty directory of its own, in a session of its own, with standard input from /dev/null; its output goes to a
 * file, which is printed when it has ended. Whatever is left of its process group is killed then, and /tmp is emptied, so that no
 * case finds what another has left.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 32, MAX_OUTPUT = 1 << 18 };

static sigset_t chld; /* SIGCHLD is blocked but in cases: it is waited for */

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void child(const char *name, const char *output, char **argv)
{
	char directory[256];
	sigprocmask(SIG_UNBLOCK, &chld, NULL);
	setsid();
	snprintf(directory, sizeof directory, "/tmp/case/%s", name);
	mkdir("/tmp/case", 0777);
	mkdir(directory, 0777);
	if (chdir(directory) != 0)
		_exit(126);
	int in = open("/dev/null", O_RDONLY);
	int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
	if (in < 0 || out < 0)
		_exit(126);
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	for (int fd = 3; fd < 16; fd++)
		close(fd);
	execv(argv[0], argv);
	dprintf(2, "runner: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void print_output(const char *path)
{
	static char buffer[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n;
	long total = 0;
	while (fd >= 0 && total < MAX_OUTPUT && (n = read(fd, buffer, sizeof buffer)) > 0) {
		fwrite(buffer, 1, n, stdout);
		total += n;
	}
	if (fd >= 0 && read(fd, buffer, 1) > 0)
		printf("\nrunner: cut after %ld bytes\n", total);
	if (fd >= 0)
		close(fd);
	unlink(path);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	if (place->level > 0)
		remove(path);
	return 0;
}

/* Mount points stay, with what is mounted there. */
static void empty_temporary_directory(void)
{
	chdir("/");
	nftw("/tmp", remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void run(const char *name, double seconds, char **argv)
{
	char output[256];
	int status = 0;
	snprintf(output, sizeof output, "/tmp/%s.out", name);
	printf("@case-begin@ %s\n", name);
	fflush(stdout);
	double start = now();
	pid_t pid = fork();
	if (pid == 0)
		child(name, output, argv);
	int late = 0;
	pid_t done = 0;
	while (pid > 0 && (done = waitpid(pid, &status, WNOHANG)) == 0) {
		double left = start + seconds - now();
		if (left <= 0) {
			late = 1;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		/* That of any other child, which init inherits, is as good: the case is looked at again. */
		sigtimedwait(&chld, NULL, &(struct timespec){ left, (left - (long)left) * 1e9 });
	}
	double spent = now() - start;
	if (pid > 0)
		kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	print_output(output);
	empty_temporary_directory();
	if (late)
		printf("\n@case-end@ %s timeout 0 %.3f\n", name, spent);
	else if (pid < 0 || done < 0)
		printf("\n@case-end@ %s error %d %.3f\n", name, errno, spent);
	else if (WIFSIGNALED(status))
		printf("\n@case-end@ %s signal %d %.3f\n", name, WTERMSIG(status), spent);
	else
		printf("\n@case-end@ %s exit %d %.3f\n", name, WEXITSTATUS(status), spent);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char line[4096];
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	FILE *list = fopen(argc > 1 ? argv[1] : "/cases/list", "r");
	if (!list) {
		perror("runner: list");
		return 2;
	}
	while (fgets(line, sizeof line, list)) {
		char *words[MAX_ARGUMENTS + 3] = { 0 };
		int count = 0;
		line[strcspn(line, "\n")] = 0;
		for (char *word = strtok(line, "\t"); word && count < MAX_ARGUMENTS + 2; word = strtok(NULL, "\t"))
			words[count++] = word;
		if (count >= 3)
			run(words[0], atof(words[1]), words + 2);
	}
	printf("@cases-done@\n");
	return 0;
}
