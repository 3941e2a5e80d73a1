/* /proc/PID/{syscall,wchan,stack}: who may read them, and their form. Names of functions are the kernel's own. */
#include <ctype.h>
#include <sys/prctl.h>
#include "case.h"

static char text[8192];

static long read_text(pid_t pid, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, sizeof text - 1);
	int error = errno;
	close(fd);
	errno = error;
	text[n < 0 ? 0 : n] = 0;
	return n < 0 ? -2 : n;
}

static void show_wchan(const char *who, pid_t pid)
{
	long n = read_text(pid, "wchan");
	printf("%s: wchan ", who);
	if (n < 0)
		printf("%s%s\n", n == -2 ? "read: " : "", error_name(errno));
	else if (strcmp(text, "0") == 0)
		printf("0\n");
	else
		printf("%s, %s\n", isalpha(text[0]) || text[0] == '_' ? "a name" : "something else", strchr(text, '\n') ? "a line" : "no line");
}

static void show_stack(const char *who, pid_t pid)
{
	int lines = 0, right = 0;
	long n = read_text(pid, "stack");
	printf("%s: stack ", who);
	if (n < 0) {
		printf("%s%s\n", n == -2 ? "read: " : "", error_name(errno));
		return;
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"), lines++)
		right += strncmp(line, "[<0>] ", 6) == 0 && (isalpha(line[6]) || line[6] == '_');
	printf("%s\n", lines == 0 ? "empty" : lines == right && lines > 1 ? "lines of its form" : "something else");
}

/* The call and how many words follow; arguments only where they are known. */
static void show_call(const char *who, pid_t pid, int arguments)
{
	long n = read_text(pid, "syscall");
	printf("%s: syscall ", who);
	if (n < 0) {
		printf("%s%s\n", n == -2 ? "read: " : "", error_name(errno));
		return;
	}
	int words = 0;
	for (char *word = strtok(text, " \n"); word; word = strtok(0, " \n"), words++) {
		if (words == 0)
			printf("%s", word);
		else if (words <= arguments)
			printf(" %s", word);
		else if (strncmp(word, "0x", 2) != 0)
			printf(" not hexadecimal");
	}
	printf(", %d words\n", words);
}

static void show_modes(pid_t pid)
{
	static const char *const names[] = { "syscall", "wchan", "stack" };
	for (int i = 0; i < 3; i++) {
		char path[64];
		struct stat status;
		snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, names[i]);
		if (stat(path, &status))
			printf("%s: %s\n", names[i], error_name(errno));
		else
			printf("%s: %o uid %d size %ld\n", names[i], status.st_mode, (int)status.st_uid, (long)status.st_size);
	}
}

static void show_all(const char *who, pid_t pid, int arguments)
{
	show_call(who, pid, arguments);
	show_wchan(who, pid);
	show_stack(who, pid);
}

static void await_state(pid_t pid, char wanted)
{
	for (int i = 0; i < 30000; i++) {
		if (read_text(pid, "stat") > 0) {
			char *end = strrchr(text, ')');
			if (end && end[2] == wanted)
				return;
		}
		usleep(1000);
	}
	printf("not %c\n", wanted);
}

static pid_t start(uid_t uid, int kind)
{
	int never[2];
	MUST(pipe(never));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		char c;
		MUST(setgid(uid));
		MUST(setuid(uid));
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		if (kind == 0)
			syscall(SYS_read, never[0], &c, 1);
		else if (kind == 1)
			syscall(SYS_pause);
		else if (kind == 2)
			_exit(0);
		for (;;)
			;
	}
	close(never[0]);
	await_state(child, kind == 2 ? 'Z' : kind == 3 ? 'R' : 'S');
	return child;
}

static void end(pid_t child)
{
	int status;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

int main(void)
{
	pid_t reader = start(0, 0), waiter = start(1000, 1), zombie = start(1000, 2), runner = start(1000, 3);
	show_modes(reader);
	show_modes(waiter);
	show_all("root reads a reader", reader, 1);
	show_all("root reads a waiter", waiter, 0);
	show_all("root reads a zombie", zombie, 0);
	show_all("root reads a runner", runner, 0);
	show_all("root reads itself", getpid(), 1);
	MUST(kill(waiter, SIGSTOP));
	await_state(waiter, 'T');
	show_wchan("root reads a stopped one", waiter);
	show_stack("root reads a stopped one", waiter);
	MUST(kill(waiter, SIGCONT));
	await_state(waiter, 'S');
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
		show_all("a user reads root's", reader, 1);
		show_all("a user reads its own", waiter, 0);
		show_all("a user reads its zombie", zombie, 0);
		show_all("a user reads its runner", runner, 0);
		show_all("a user reads itself", getpid(), 1));
	IN_CHILD(
		MUST(setgid(1001));
		MUST(setuid(1001));
		show_all("another user", waiter, 0));
	end(reader);
	end(waiter);
	end(zombie);
	end(runner);
	return 0;
}
