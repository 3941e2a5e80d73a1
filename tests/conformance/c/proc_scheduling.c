/* Covers: /proc/PID/autogroup, sched, schedstat, children; which files processes have and threads have not. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include "case.h"

static void show_text(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n < 0) {
		printf("%s: read: %s\n", path, error_name(errno));
		return;
	}
	text[n] = 0;
	/* Numbers differ from run to run. */
	for (char *p = text, *q = text;; p++) {
		if (*p >= '0' && *p <= '9') {
			if (q == text || q[-1] != '#')
				*q++ = '#';
			continue;
		}
		*q++ = *p;
		if (!*p)
			break;
	}
	printf("%s: \"%s\"\n", path, text);
}

static void try_write(const char *path, const char *text)
{
	int fd = (int)TRY(open(path, O_WRONLY));
	if (fd < 0)
		return;
	errno = 0;
	ssize_t n = write(fd, text, strlen(text));
	printf("%s \"%s\": %s\n", path, text, n < 0 ? error_name(errno) : "ok");
	close(fd);
}

static const char *files[] = { "autogroup", "sched", "schedstat", "children", "coredump_filter", "timerslack_ns", "mountstats", "io", "comm", "oom_score",
			       "setgroups", "task", "net", "ns" };

static void show_names(void)
{
	char path[128];
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
		int process, thread;
		if (strcmp(files[i], "io") == 0)
			continue;
		snprintf(path, sizeof path, "/proc/self/%s", files[i]);
		process = access(path, F_OK) == 0;
		snprintf(path, sizeof path, "/proc/thread-self/%s", files[i]);
		thread = access(path, F_OK) == 0;
		printf("%s: process %d, thread %d\n", files[i], process, thread);
	}
}

static pid_t made;
static volatile int is_up, goes_on;

static void *with_child(void *argument)
{
	char path[64];
	made = fork();
	if (made == 0)
		for (;;)
			pause();
	show_text("/proc/thread-self/children");
	snprintf(path, sizeof path, "/proc/self/task/%d", getpid());
	MUST(chdir(path));
	show_text("children");
	MUST(chdir("/"));
	is_up = 1;
	while (!goes_on)
		sleep_ms(1);
	return argument;
}

static void show_lines(const char *path, const char **wanted, int count)
{
	char line[256];
	FILE *file = fopen(path, "r");
	int n = 0;
	while (file && fgets(line, sizeof line, file)) {
		if (n++ == 1)
			printf("a line of %zu, %s\n", strlen(line), line[0] == '-' ? "dashes" : "others");
		for (int i = 0; i < count; i++)
			if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
				printf("%s: a colon at %d, length %d\n", wanted[i], (int)(strchr(line, ':') - line), (int)strlen(line));
	}
	fclose(file);
}

static void show_weight(const char *what, int value)
{
	char line[256];
	FILE *file = fopen("/proc/self/sched", "r");
	while (fgets(line, sizeof line, file))
		if (strncmp(line, "se.load.weight", 14) == 0)
			printf("%s %d: weight %ld\n", what, value, atol(strchr(line, ':') + 1));
	fclose(file);
}

static void weights(void)
{
	struct sched_param none = { 0 }, some = { 1 };
	for (int nice = -20; nice < 20; nice++) {
		MUST(setpriority(PRIO_PROCESS, 0, nice));
		show_weight("nice", nice);
	}
	MUST(sched_setscheduler(0, SCHED_IDLE, &none));
	show_weight("policy", SCHED_IDLE);
	MUST(sched_setscheduler(0, SCHED_BATCH, &none));
	show_weight("policy", SCHED_BATCH);
	MUST(sched_setscheduler(0, SCHED_FIFO, &some));
	show_weight("policy", SCHED_FIFO);
}

int main(void)
{
	static const char *lines[] = { "se.exec_start", "se.vruntime", "se.sum_exec_runtime", "nr_switches", "nr_voluntary_switches", "nr_involuntary_switches",
				       "policy", "prio" };
	pthread_t thread;
	show_names();
	puts("--- autogroup");
	show_file("/proc/sys/kernel/sched_autogroup_enabled");
	IN_CHILD({
		setsid();
		show_text("/proc/self/autogroup");
		IN_CHILD(show_text("/proc/self/autogroup"));
		try_write("/proc/self/autogroup", "5");
		show_text("/proc/self/autogroup");
		show_file("/proc/self/comm");
		try_write("/proc/self/autogroup", "-20\n");
		try_write("/proc/self/autogroup", " 19 ");
		try_write("/proc/self/autogroup", "20");
		try_write("/proc/self/autogroup", "-21");
		try_write("/proc/self/autogroup", "0x3");
		try_write("/proc/self/autogroup", "x");
		try_write("/proc/self/autogroup", "99999999999");
		setresuid(1000, 1000, 1000);
		int fd = open("/proc/self/autogroup", O_WRONLY);
		CHECK(fd < 0);
	});
	IN_CHILD({
		char first[64], second[64];
		setsid();
		int fd = open("/proc/self/autogroup", O_RDONLY);
		first[read(fd, first, 63)] = 0;
		close(fd);
		pid_t other = fork();
		if (other == 0) {
			setsid();
			fd = open("/proc/self/autogroup", O_RDONLY);
			second[read(fd, second, 63)] = 0;
			printf("another session has another: %d\n", strcmp(first, second) != 0);
			fflush(stdout);
			_exit(0);
		}
		waitpid(other, NULL, 0);
	});
	puts("--- sched");
	show_lines("/proc/self/sched", lines, sizeof lines / sizeof *lines);
	IN_CHILD(weights());
	try_write("/proc/self/sched", "0");
	show_text("/proc/self/schedstat");
	try_write("/proc/self/schedstat", "0");
	puts("--- children");
	show_text("/proc/thread-self/children");
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	show_text("/proc/thread-self/children");
	pthread_create(&thread, NULL, with_child, NULL);
	while (!is_up)
		sleep_ms(1);
	kill(child, SIGKILL);
	until_ended(child);
	show_text("/proc/thread-self/children");
	waitpid(child, NULL, 0);
	show_text("/proc/thread-self/children");
	goes_on = 1;
	pthread_join(thread, NULL);
	until_alone(); /* it gives its children away at its end */
	show_text("/proc/thread-self/children");
	kill(made, SIGKILL);
	waitpid(made, NULL, 0);
	show_text("/proc/self/children");
	return 0;
}
