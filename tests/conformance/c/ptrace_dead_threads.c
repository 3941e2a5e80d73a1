/* A traced thread that has ended stays until its tracer has waited for it: what /proc and kill say of it meanwhile. */
#include <dirent.h>
#include <pthread.h>
#include "ptrace_case.h"

static int numbers[2], go[2];

static void *end_soon(void *argument)
{
	char c;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	MUST(write(numbers[1], &tid, sizeof tid));
	MUST(read(go[0], &c, 1));
	syscall(SYS_exit, 5);
	return argument;
}

static void show_text(pid_t pid, pid_t tid, const char *name, int bytes)
{
	char path[80], text[4096];
	snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		printf("%s: %s\n", name, error_name(errno));
		return;
	}
	errno = 0;
	ssize_t n = read(fd, text, sizeof text - 1);
	if (n < 0)
		printf("%s: read: %s\n", name, error_name(errno));
	else if (bytes)
		printf("%s: %.*s", name, (int)n, text);
	else
		printf("%s: %s\n", name, n ? "read" : "empty");
	close(fd);
}

static void show_line(pid_t pid, const char *path, const char *start)
{
	char name[80], line[256];
	snprintf(name, sizeof name, path, (int)pid, (int)pid);
	FILE *file = fopen(name, "r");
	if (!file) {
		printf("%s: %s\n", start, error_name(errno));
		return;
	}
	while (fgets(line, sizeof line, file))
		if (strncmp(line, start, strlen(start)) == 0)
			printf("%s", line);
	fclose(file);
}

/* Until the thread waits for what it reads. */
static void await_sleep(pid_t pid, pid_t tid)
{
	char path[80], line[256];
	snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)pid, (int)tid);
	for (int asleep = 0; !asleep; usleep(1000)) {
		FILE *file = fopen(path, "r");
		while (fgets(line, sizeof line, file))
			asleep |= strncmp(line, "State:\tS", 8) == 0;
		fclose(file);
	}
}

static void look(pid_t pid, pid_t tid, const char *when, int dead)
{
	char path[64];
	int count = 0, listed = 0;
	printf("== %s\n", when);
	if (!dead)
		await_sleep(pid, tid);
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *directory = opendir(path);
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		if (entry->d_name[0] != '.') {
			count++;
			listed |= atoi(entry->d_name) == tid;
		}
	if (directory)
		closedir(directory);
	struct stat status;
	printf("%d threads, it is %slisted\n", count, listed ? "" : "not ");
	printf("task directory: %s\n", stat(path, &status) ? error_name(errno) : status.st_nlink ? "there" : "no links");
	show_line(pid, "/proc/%d/status", "Threads:");
	snprintf(path, sizeof path, "/proc/%%d/task/%d/status", (int)tid);
	show_line(pid, path, "Name:");
	show_line(pid, path, "State:");
	show_line(pid, path, "Threads:");
	if (dead)
		show_line(pid, path, "VmRSS:");
	show_text(pid, tid, "comm", 1);
	show_text(pid, tid, "cmdline", 0);
	show_text(pid, tid, "statm", dead);
	show_text(pid, tid, "maps", 0);
	show_text(pid, tid, "syscall", dead);
	show_text(pid, tid, "wchan", 0);
	snprintf(path, sizeof path, "/proc/%d/task/%d/fd", (int)pid, (int)tid);
	directory = opendir(path);
	count = 0;
	while (directory && readdir(directory))
		count++;
	printf("fd: %s, %d\n", directory ? "opened" : error_name(errno), count);
	if (directory)
		closedir(directory);
	snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
	TRY(access(path, F_OK));
	TRY(syscall(SYS_tgkill, pid, tid, 0));
	TRY(syscall(SYS_tkill, tid, 0));
	TRY(kill(tid, 0));
	TRY(getsid(tid) - getsid(pid));
	TRY(trace(PTRACE_SEIZE, tid, 0, 0));
}

int main(void)
{
	pid_t tid;
	int status;
	MUST(pipe(numbers));
	MUST(pipe(go));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		pthread_t thread;
		pthread_create(&thread, 0, end_soon, 0);
		for (;;)
			pause();
	}
	MUST(read(numbers[0], &tid, sizeof tid));
	MUST(trace(PTRACE_SEIZE, tid, 0, 0));
	look(child, tid, "alive", 0);
	MUST(write(go[1], "x", 1));
	siginfo_t info;
	MUST(waitid(P_PID, tid, &info, WEXITED | WNOWAIT | __WALL));
	look(child, tid, "dead", 1);
	MUST(waitpid(tid, &status, __WALL));
	say_status("thread", status);
	look(child, tid, "gone", 1);
	finish(child);
	child = (pid_t)MUST(fork());
	if (child == 0)
		_exit(0);
	MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	printf("== a zombie\n");
	show_line(child, "/proc/%d/status", "State:");
	show_line(child, "/proc/%d/status", "Threads:");
	MUST(waitpid(child, &status, 0));
	child = (pid_t)MUST(fork());
	if (child == 0) {
		pthread_t thread;
		pthread_create(&thread, 0, end_soon, 0);
		syscall(SYS_exit, 0);
	}
	MUST(read(numbers[0], &tid, sizeof tid));
	await_state(child, "Z");
	printf("== a first thread that has ended\n");
	show_line(child, "/proc/%d/status", "State:");
	show_line(child, "/proc/%d/status", "Threads:");
	finish(child);
	return 0;
}
