/* Covers: what writing to settings changes (proc_sys_kernel(5)): threads-max, pid_max, shmmax, shmall, shmmni, overflowuid and overflowgid,
 * randomize_va_space, printk.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/shm.h>
#include "case.h"

static char before[100];
static const char *changed;

static void write_text(const char *name, const char *text)
{
	char path[80];
	snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
	int fd = (int)MUST(open(path, O_WRONLY));
	printf("%s = %s: ", name, text[strlen(text) - 1] == '\n' ? "as it was" : text);
	puts(write(fd, text, strlen(text)) < 0 ? error_name(errno) : "ok");
	close(fd);
}

static void read_text(const char *name, char *text, size_t size)
{
	char path[80];
	snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = MUST(read(fd, text, size - 1));
	text[n] = 0;
	close(fd);
}

static void set(const char *name, const char *text)
{
	changed = name;
	read_text(name, before, sizeof before);
	write_text(name, text);
}

static void set_back(void)
{
	write_text(changed, before);
}

static void *thread(void *unused)
{
	return unused;
}

static void large_numbers(void)
{
	set("pid_max", "4194305");
	set("pid_max", "4194304");
	write_text("ns_last_pid", "4194305");
	write_text("ns_last_pid", "3000000");
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	CHECK(pid == 3000001);
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/task/%d", pid, pid);
	SHOW(access(path, F_OK));
	CHECK(getpgid(pid) == getpgrp());
	SHOW(setpgid(pid, pid));
	CHECK(getpgid(pid) == pid);
	SHOW(kill(-pid, SIGKILL));
	CHECK(waitpid(pid, 0, 0) == pid);
	SHOW(access(path, F_OK));
	write_text("ns_last_pid", "4194303");
	pid = fork();
	if (pid == 0)
		_exit(0);
	CHECK(pid >= 300 && pid < 32768);
	CHECK(waitpid(pid, 0, 0) == pid);
	set_back();
}

static void tasks(void)
{
	pthread_t other;
	set("threads-max", "1");
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	printf("fork: %s\n", pid < 0 ? error_name(errno) : "ok");
	pid = vfork();
	if (pid == 0)
		_exit(0);
	printf("vfork: %s\n", pid < 0 ? error_name(errno) : "ok");
	printf("thread: %s\n", error_name(pthread_create(&other, 0, thread, 0)));
	set_back();
	IN_CHILD({ puts("a child"); });
	set("pid_max", "400");
	for (int i = 0; i < 3; i++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0)
			_exit(0);
		CHECK(pid >= 300 && pid < 400);
		if (pid > 0)
			MUST(waitpid(pid, 0, 0));
	}
	set_back();
	large_numbers();
}

static void segments(void)
{
	struct shminfo limits;
	set("shmmax", "8192");
	int id = (int)TRY(shmget(IPC_PRIVATE, 8192, 0600));
	SHOW(shmget(IPC_PRIVATE, 8193, 0600));
	SHOW(shmctl(0, IPC_INFO, (struct shmid_ds *)&limits) >= 0);
	printf("%lu bytes, %lu segments, %lu pages\n", limits.shmmax, limits.shmmni, limits.shmall);
	set_back();
	set("shmall", "3");
	int other = (int)TRY(shmget(IPC_PRIVATE, 4096, 0600));
	SHOW(shmget(IPC_PRIVATE, 1, 0600));
	set_back();
	set("shmmni", "2");
	SHOW(shmget(IPC_PRIVATE, 1, 0600));
	SHOW(shmget(IPC_PRIVATE, 0, 0600));
	set_back();
	MUST(shmctl(id, IPC_RMID, 0));
	MUST(shmctl(other, IPC_RMID, 0));
}

static void ids(void)
{
	set("overflowuid", "1234");
	IN_CHILD({
		MUST(unshare(CLONE_NEWUSER));
		printf("uid %d, gid %d\n", getuid(), getgid());
	});
	set_back();
	set("overflowgid", "4321");
	IN_CHILD({
		MUST(unshare(CLONE_NEWUSER));
		printf("uid %d, gid %d\n", getuid(), getgid());
	});
	set_back();
}

/* Where a program's stack and heap begin, twice. */
static void places(const char *how)
{
	char place[2][40];
	set("randomize_va_space", how);
	for (int i = 0; i < 2; i++) {
		int ends[2];
		MUST(pipe(ends));
		pid_t pid = (pid_t)MUST(fork());
		if (pid == 0) {
			dup2(ends[1], 1);
			close(ends[0]);
			close(ends[1]);
			char *const arguments[] = { "self", "place", 0 }, *const none[] = { 0 };
			execve("/proc/self/exe", arguments, none);
			_exit(1);
		}
		close(ends[1]);
		ssize_t n = read(ends[0], place[i], sizeof place[i] - 1);
		place[i][n > 0 ? n : 0] = 0;
		close(ends[0]);
		MUST(waitpid(pid, 0, 0));
	}
	unsigned long stack[2], heap[2];
	for (int i = 0; i < 2; i++)
		sscanf(place[i], "%lx %lx", &stack[i], &heap[i]);
	CHECK(stack[0] == stack[1]);
	CHECK(heap[0] == heap[1]);
	set_back();
}

static void console(void)
{
	char now[100];
	set("printk", "7\t4\t3\t7");
	for (int level = 0; level <= 9; level++) {
		int r = klogctl(8, 0, level);
		read_text("printk", now, sizeof now);
		printf("level %d: %s, %c\n", level, r < 0 ? error_name(errno) : "ok", now[0]);
	}
	SHOW(klogctl(6, 0, 0));
	read_text("printk", now, sizeof now);
	printf("off: %c\n", now[0]);
	SHOW(klogctl(7, 0, 0));
	read_text("printk", now, sizeof now);
	printf("on: %c\n", now[0]);
	set_back();
	IN_CHILD({
		int fd = (int)MUST(open("/proc/sys/kernel/printk", O_WRONLY));
		MUST(setuid(1000));
		SHOW(write(fd, "4", 1));
	});
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "place") == 0) {
		printf("%lx %lx", (unsigned long)&argc, (unsigned long)sbrk(0));
		return 0;
	}
	tasks();
	segments();
	ids();
	places("0");
	places("1");
	places("2");
	console();
	return 0;
}
