/* request_key(2) with callout information: the program /sbin/request-key, its authority, and what becomes of the key. */
#include "keys_case.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define PROGRAM "/sbin/request-key"
#define LOG "/tmp/key-requests"
#define GATE "/tmp/key-gate"
#define OPENED "/tmp/key-gate-opened"

extern char **environ;
static char text[4096];

/* A number is printed by what it is, because it differs from run to run. */
static void describe_as(const char *what, int number, int key)
{
	char hex[16];
	snprintf(hex, sizeof hex, "%x", key);
	long length = CONTROL(DESCRIBE, number, text, sizeof text, 0);
	if (length < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	char *end = strrchr(text, ';');
	int names_key = !strcmp(end + 1, hex) || (!strncmp(end + 1, "_req.", 5) && atoi(end + 6) == key);
	printf("%s: %.*s%s\n", what, (int)(end + 1 - text), text, names_key ? "the key" : end + 1);
}

static void surroundings(int count, char **arguments)
{
	printf("%d arguments: %s %s\n", count, arguments[0], arguments[1]);
	printf("of %s:%s\n", arguments[3], arguments[4]);
	for (char **each = environ; *each; each++)
		puts(*each);
	printf("uid %d %d, gid %d %d, groups %d\n", getuid(), geteuid(), getgid(), getegid(), getgroups(0, NULL));
	printf("directory %s, umask %03o\n", getcwd(text, sizeof text), umask(0));
	printf("session %d, group %d\n", getsid(0), getpgrp());
	struct rlimit limit;
	MUST(getrlimit(RLIMIT_CORE, &limit));
	printf("core %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
}

static void authority(int key)
{
	int other = (int)MUST(add("user", "other", "x", 1, PROCESS));
	struct iovec bad = {(char *)-100l, 4};
	TRY(CONTROL(GET_ID, THREAD, 0, 0, 0));
	describe_as("session", SESSION, key);
	members("session", SESSION);
	SHOW(CONTROL(GET_ID, AUTHORITY, 0, 0, 0));
	SHOW(CONTROL(GET_ID, REQUESTOR, 0, 0, 0));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, 0));
	SHOW(request("user", "known", NULL, 0));
	describe_as("the key, by its authority", key, key);
	SHOW(CONTROL(ASSUME, other, 0, 0, 0));
	SHOW(CONTROL(ASSUME, 1, 0, 0, 0));
	TRY(CONTROL(ASSUME, key, 0, 0, 0));
	CHECK(CONTROL(ASSUME, key, 0, 0, 0) == CONTROL(GET_ID, AUTHORITY, 0, 0, 0));
	describe_as("authority", AUTHORITY, key);
	describe_as("requestor's keyring", REQUESTOR, key);
	describe_as("the key", key, key);
	memset(text, 0, sizeof text);
	SHOW(CONTROL(READ, AUTHORITY, text, sizeof text, 0));
	printf("\"%s\"\n", text);
	memset(text, 0, sizeof text);
	SHOW(CONTROL(READ, AUTHORITY, text, 3, 0));
	printf("\"%s\"\n", text);
	SHOW(CONTROL(READ, AUTHORITY, NULL, 0, 0));
	SHOW(CONTROL(UPDATE, AUTHORITY, "x", 1, 0));
	SHOW(CONTROL(REVOKE, AUTHORITY, 0, 0, 0));
	SHOW(CONTROL(SETPERM, AUTHORITY, 0, 0, 0));
	SHOW(CONTROL(TIMEOUT, AUTHORITY, 100, 0, 0));
	SHOW(CONTROL(LABEL, key, NULL, 0, 0));
	TRY(request("user", "known", NULL, 0));
	SHOW(request("user", "unknown", NULL, 0));
	TRY(add("user", "by the way", "x", 1, REQUESTOR));
	SHOW(CONTROL(INSTANTIATE, other, "x", 1, 0));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1 << 20, 0));
	SHOW(CONTROL(INSTANTIATE, other, "x", 1 << 20, 0));
	SHOW(CONTROL(INSTANTIATE, key, (char *)-100l, 4, 0));
	SHOW(CONTROL(INSTANTIATE, other, (char *)-100l, 4, 0));
	SHOW(CONTROL(INSTANTIATE, key, (char *)8, 4, -9));
	SHOW(CONTROL(INSTANTIATE, other, (char *)8, 4, 0));
	SHOW(CONTROL(INSTANTIATE_IOV, key, &bad, 1, 0));
	SHOW(CONTROL(INSTANTIATE_IOV, key, &bad, 1025, 0));
	SHOW(CONTROL(INSTANTIATE_IOV, key, &bad, -1, 0));
	SHOW(CONTROL(INSTANTIATE_IOV, key, NULL, 5, 0));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, AUTHORITY));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, -9));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, 1));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, other));
	SHOW(CONTROL(INSTANTIATE, key, NULL, 0, 0));
	SHOW(CONTROL(INSTANTIATE, key, "", 0, other));
	SHOW(CONTROL(REJECT, key, 1, 0, 0));
	SHOW(CONTROL(REJECT, other, 1, 5, 0));
	SHOW(CONTROL(REJECT, key, 1, 5, -9));
	SHOW(CONTROL(REJECT, key, 1, 5, AUTHORITY));
	SHOW(CONTROL(NEGATE, key, 1, -9, 0));
	SHOW(CONTROL(NEGATE, key, 1, 1, 0));
	SHOW(CONTROL(NEGATE, other, 1, -9, 0));
	SHOW(CONTROL(ASSUME, -7, 0, 0, 0));
	SHOW(CONTROL(ASSUME, 0, 0, 0, 0));
	SHOW(CONTROL(GET_ID, AUTHORITY, 0, 0, 0));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, 0));
	MUST(CONTROL(ASSUME, key, 0, 0, 0));
	IN_CHILD({
		describe_as("inherited authority", AUTHORITY, key);
		SHOW(CONTROL(INSTANTIATE, other, "x", 1, 0));
	});
	SHOW(CONTROL(INSTANTIATE, key, "payload", 7, 0));
	SHOW(CONTROL(INSTANTIATE, key, "again", 5, 0));
	SHOW(CONTROL(GET_ID, AUTHORITY, 0, 0, 0));
}

/* What the callout information asks for: a letter. */
static int helper(int count, char **arguments)
{
	int key = atoi(arguments[2]), log = open(LOG, O_WRONLY | O_APPEND);
	int thread = atoi(arguments[5]), process = atoi(arguments[6]), session = atoi(arguments[7]);
	if (log < 0)
		return 1;
	int first = log;
	dup2(log, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	MUST(CONTROL(ASSUME, key, 0, 0, 0));
	memset(text, 0, sizeof text);
	MUST(CONTROL(READ, AUTHORITY, text, sizeof text, 0));
	char kind = *text;
	printf("-- helper: %s\n", text);
	switch (kind) {
	case 's':
		printf("first descriptor %d\n", first);
		surroundings(count, arguments);
		describe("thread's", thread);
		describe("process's", process);
		describe("session's", session);
		return CONTROL(INSTANTIATE, key, "seen", 4, 0) == 0 ? 0 : 1;
	case 'a':
		MUST(CONTROL(ASSUME, 0, 0, 0, 0));
		authority(key);
		return 7;
	case 'i':
		return CONTROL(INSTANTIATE, key, text, strlen(text), REQUESTOR) == 0 ? 0 : 1;
	case 'v': {
		struct iovec parts[] = {{"one", 3}, {NULL, 0}, {"two", 3}};
		int ring = (int)MUST(add("keyring", "of the helper", NULL, 0, REQUESTOR));
		SHOW(CONTROL(INSTANTIATE_IOV, key, parts, 3, ring));
		members("the helper's", ring);
		return 0;
	}
	case 'n':
		SHOW(CONTROL(NEGATE, key, atoi(text + 1), 0, 0));
		SHOW(CONTROL(NEGATE, key, atoi(text + 1), 0, 0));
		return 0;
	case 'r':
		SHOW(CONTROL(REJECT, key, 30, atoi(text + 1), REQUESTOR));
		return 0;
	case 'x':
		return atoi(text + 1);
	case 'k':
		return raise(atoi(text + 1));
	case 't':
		SHOW(CONTROL(TIMEOUT, key, 1000, 0, 0));
		SHOW(CONTROL(INSTANTIATE, key, "timed", 5, 0));
		return 0;
	case 'f': /* another process instantiates it after this one has gone */
		if (fork() == 0) {
			MUST(usleep(300000));
			SHOW(CONTROL(INSTANTIATE, key, "late", 4, 0));
			close(open(OPENED, O_WRONLY | O_CREAT, 0600));
		}
		return 0;
	case 'g': { /* when somebody opens the gate */
		int gate = (int)MUST(open(GATE, O_RDONLY));
		char byte;
		MUST(read(gate, &byte, 1));
		SHOW(CONTROL(INSTANTIATE, key, "gate", 4, 0));
		return 0;
	}
	case 'd': { /* by asking for another */
		SHOW(CONTROL(SET_DEFAULT, -1, 0, 0, 0));
		int other = (int)TRY(request("user", "inner", "p", 0));
		CHECK(CONTROL(READ, other, text, sizeof text, 0) == 5);
		members("requestor's", REQUESTOR);
		SHOW(CONTROL(INSTANTIATE, key, "outer", 5, 0));
		SHOW(request("user", "later", "i", 0) > 0);
		return 0;
	}
	case 'p': {
		describe_as("authority", AUTHORITY, key);
		CONTROL(DESCRIBE, session, text, sizeof text, 0);
		CHECK(strstr(text, ";_req.") != NULL);
		TRY(request("user", "known", NULL, 0));
		SHOW(CONTROL(INSTANTIATE, key, "inner", 5, 0));
		return 0;
	}
	case 'l': {
		char line[512], name[32];
		FILE *file = fopen("/proc/keys", "r");
		snprintf(name, sizeof name, "key:%x", key);
		const char *listing = line_of(key);
		printf("%s\n", listing);
		while (file && fgets(line, sizeof line, file)) {
			char *end = strstr(line, name);
			if (end) {
				char *pid = strstr(end, " pid:");
				printf("%.7s %.35s key:*%s", line + 9, line + 23, pid ? strstr(pid, " ci:") : end + strlen(name));
			}
		}
		return 3;
	}
	}
	return 2;
}

static int made(const char *name, const char *callout, int keyring)
{
	memset(text, 0, sizeof text);
	errno = 0;
	int key = request("user", name, callout, keyring), error = errno;
	if (key < 0) {
		printf("%s: %s\n", name, error_name(error));
		return -1;
	}
	CONTROL(READ, key, text, sizeof text, 0);
	printf("%s: \"%s\"\n", name, text);
	describe("made", key);
	return key;
}

static void show_log(void)
{
	int fd = (int)MUST(open(LOG, O_RDWR));
	ssize_t n;
	fflush(stdout);
	while ((n = read(fd, text, sizeof text)) > 0)
		MUST(write(1, text, (size_t)n));
	MUST(ftruncate(fd, 0));
	close(fd);
}

static void answers(void)
{
	int ring = (int)MUST(add("keyring", "ring", NULL, 0, SESSION));
	MUST(add("user", "known", "x", 1, PROCESS));
	made("surroundings", "s", 0);
	show_log();
	made("authority", "a short text", ring);
	show_log();
	members("ring", ring);
	made("into", "into the ring", ring);
	made("into", "into the ring", ring);
	show_log();
	members("ring", ring);
	made("vector", "v", ring);
	show_log();
	members("ring", ring);
	made("timed", "t", 0);
	show_log();
	made("empty text", "", 0);
	show_log();
}

static void refusals(void)
{
	int ring = (int)MUST(add("keyring", "ring", NULL, 0, SESSION));
	made("negated", "n30", 0);
	made("negated", "i", 0);
	show_log();
	made("negated for no time", "n0", 0);
	made("negated for no time", "i", 0);
	show_log();
	made("rejected", "r129", 0);
	made("rejected", "i", 0);
	made("rejected", NULL, 0);
	show_log();
	made("rejected with 5", "r5", ring);
	members("ring", ring);
	made("not made", "x0", 0);
	made("not made", "i", 0);
	made("not made, 3", "x3", 0);
	made("killed", "k9", 0);
	made("late", "f", 0);
	while (access(OPENED, F_OK) < 0)
		usleep(10000);
	made("late", "i", 0);
	show_log();
	made("listed", "list it", 0);
	show_log();
	SHOW(request("keyring", "no keyring", "i", 0));
	SHOW(request("logon", "no service", "i", 0));
	TRY(request("logon", "service:name", "i", 0));
	SHOW(request("user", "none", "i", 1));
	SHOW(request("none", "none", "i", 0));
	show_log();
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		made("of another's session", "i", 0);
		show_log();
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		made("a user's", "s", 0);
		made("a user's, with authority", "a short text", SESSION);
		show_log();
	});
}

static void *wait_for_it(void *ring)
{
	return (void *)(long)request("user", "gate", "g", *(int *)ring);
}

static void nothing(int signo)
{
	(void)signo;
}

static void waiting(void)
{
	int ring = (int)MUST(add("keyring", "ring", NULL, 0, SESSION)), serials[2];
	MUST(mkfifo(GATE, 0600));
	fflush(stdout);
	pid_t first = (pid_t)MUST(fork());
	if (first == 0) {
		made("gate", "g", ring);
		fflush(stdout);
		_exit(0);
	}
	while (CONTROL(READ, ring, serials, sizeof serials, 0) != 4)
		usleep(10000);
	describe("under construction", serials[0]);
	listed("under construction", serials[0]);
	struct sigaction action = {.sa_handler = nothing};
	MUST(sigaction(SIGALRM, &action, NULL));
	alarm(1);
	SHOW(request("user", "gate", NULL, 0));
	alarm(1);
	SHOW(CONTROL(READ, serials[0], text, sizeof text, 0));
	alarm(1);
	SHOW(CONTROL(UPDATE, serials[0], "x", 1, 0));
	SHOW(CONTROL(SETPERM, serials[0], 0x3f3f0000, 0, 0));
	SHOW(CONTROL(TIMEOUT, serials[0], 1000, 0, 0));
	SHOW(CONTROL(SEARCH, SESSION, "user", "gate", 0) == serials[0]);
	SHOW(CONTROL(ASSUME, serials[0], 0, 0, 0));
	pthread_t thread;
	pthread_create(&thread, NULL, wait_for_it, &ring);
	sleep_ms(300);
	int gate = (int)MUST(open(GATE, O_WRONLY));
	MUST(write(gate, "x", 1));
	show_end(first);
	void *found;
	pthread_join(thread, &found);
	CHECK((int)(long)found == serials[0]);
	show_log();
	members("ring", ring);
	unlink(GATE);
}

static void within(void)
{
	MUST(add("user", "known", "x", 1, PROCESS));
	made("outer", "d", 0);
	show_log();
	members("session", SESSION);
}

static void programs(void)
{
	SHOW(unlink(PROGRAM));
	made("without a program", "i", 0);
	made("without a program", "i", 0);
	put_file(PROGRAM, "nothing that runs\n", 0755);
	made("unreadable", "i", 0);
	MUST(chmod(PROGRAM, 0644));
	made("no program", "i", 0);
	MUST(unlink(PROGRAM));
	put_file(PROGRAM, "#!/bin/sh\necho $# $1 > /tmp/key-words\n", 0755);
	made("script", "i", 0);
	show_file("/tmp/key-words");
	unlink("/tmp/key-words");
	MUST(unlink(PROGRAM));
	MUST(mkdir(PROGRAM, 0755));
	made("directory", "i", 0);
	MUST(rmdir(PROGRAM));
}

int main(int count, char **arguments)
{
	if (count == 8)
		return helper(count, arguments);
	char self[512] = "";
	MUST(readlink("/proc/self/exe", self, sizeof self - 1));
	MUST(symlink(self, PROGRAM));
	put_file(LOG, "", 0666);
	void (*parts[])(void) = {answers, refusals, waiting, within, programs};
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		printf("== %u\n", i);
		IN_CHILD(MUST(CONTROL(JOIN, NULL, 0, 0, 0)); parts[i]());
	}
	unlink(PROGRAM);
	unlink(LOG);
	unlink(GATE);
	unlink(OPENED);
	return 0;
}
