/* System V message queues: sending and receiving by type, limits, waiting on both sides, MSG_COPY, removal under waiters,
 * permissions and errors (msgget(2), msgsnd(2), msgrcv(2), msgctl(2)).
 */
#define _GNU_SOURCE
#include <sched.h>
#include "case.h"
#include <sys/ipc.h>
#include <limits.h>
#include <sys/msg.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

struct message { long type; char text[9000]; };
static struct message m;

static int put(int q, long type, const char *text, int flags)
{
	m.type = type;
	strcpy(m.text, text);
	return msgsnd(q, &m, strlen(text), flags);
}

static void get(int q, long type, size_t size, int flags)
{
	memset(&m, 'z', sizeof m);
	ssize_t n = msgrcv(q, &m, size, type, flags);
	if (n < 0)
		printf("receive type %ld: %s\n", type, error_name(errno));
	else
		printf("receive type %ld: type %ld, %zd bytes \"%.*s\", then '%c'\n", type, m.type, n, (int)n, m.text, m.text[n]);
}

static void show_queue(int q)
{
	struct msqid_ds ds;
	if (msgctl(q, IPC_STAT, &ds)) {
		printf("queue: %s\n", error_name(errno));
		return;
	}
	printf("queue: mode %o, %lu bytes, %lu messages of %lu, stime %s, rtime %s, sender me %d, receiver me %d\n", ds.msg_perm.mode,
	       ds.__msg_cbytes, ds.msg_qnum, ds.msg_qbytes, ds.msg_stime ? "set" : "0", ds.msg_rtime ? "set" : "0",
	       ds.msg_lspid == getpid(), ds.msg_lrpid == getpid());
}

static void types(void)
{
	int q = (int)MUST(msgget(IPC_PRIVATE, 0600));
	show_queue(q);
	put(q, 3, "three", 0);
	put(q, 1, "one", 0);
	put(q, 2, "two", 0);
	put(q, 1, "another one", 0);
	put(q, 5, "", 0);
	show_queue(q);
	get(q, 2, 100, 0);
	get(q, -2, 100, 0);
	get(q, -9, 100, 0);
	get(q, 0, 100, 0);
	get(q, 7, 100, IPC_NOWAIT);
	get(q, 5, 0, 0);
	get(q, 0, 100, IPC_NOWAIT);
	put(q, 4, "four", 0);
	put(q, 6, "six", 0);
	get(q, 4, 100, MSG_EXCEPT);
	get(q, 4, 100, MSG_EXCEPT | IPC_NOWAIT);
	get(q, 4, 2, 0);
	get(q, 4, 2, MSG_NOERROR);
	put(q, LONG_MAX, "the highest", 0);
	get(q, LONG_MIN, 100, 0);
	put(q, 8, "eight", 0);
	put(q, 9, "nine", 0);
	get(q, 1, 100, MSG_COPY | IPC_NOWAIT);
	get(q, 0, 100, MSG_COPY | IPC_NOWAIT);
	get(q, 2, 100, MSG_COPY | IPC_NOWAIT);
	get(q, 0, 100, MSG_COPY);
	get(q, 0, 100, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT);
	get(q, 0, 2, MSG_COPY | IPC_NOWAIT);
	show_queue(q);
	SHOW(msgctl(q, IPC_RMID, 0));
	get(q, 0, 100, 0);
}

static void queues_and_errors(void)
{
	int q = (int)MUST(msgget(0x4242, IPC_CREAT | 0640));
	CHECK(msgget(0x4242, 0) == q);
	SHOW(msgget(0x4242, IPC_CREAT | IPC_EXCL));
	SHOW(msgget(0x4243, 0));
	m.type = 0;
	SHOW(msgsnd(q, &m, 1, 0));
	m.type = -1;
	SHOW(msgsnd(q, &m, 1, 0));
	m.type = 1;
	SHOW(msgsnd(q, &m, 8193, 0));
	SHOW(msgsnd(q, &m, (size_t)-1, 0));
	SHOW(msgsnd(-1, &m, 1, 0));
	SHOW(msgsnd(q + 1, &m, 1, 0));
	SHOW(msgsnd(q, (void *)8, 1, 0));
	SHOW(msgrcv(-1, &m, 1, 0, 0));
	SHOW(msgrcv(q, &m, (size_t)-1, 0, IPC_NOWAIT));
	SHOW(msgsnd(q, &m, 8192, 0));
	SHOW(msgsnd(q, &m, 8192, 0));
	SHOW(msgsnd(q, &m, 1, IPC_NOWAIT));
	SHOW(msgsnd(q, &m, 0, IPC_NOWAIT));
	show_queue(q);
	SHOW(msgrcv(q, (void *)8, 9000, 0, 0));
	SHOW(msgrcv(q, &m, 9000, 0, 0));
	SHOW(msgrcv(q, &m, 9000, 0, 0));
	struct msqid_ds ds;
	MUST(msgctl(q, IPC_STAT, &ds));
	ds.msg_qbytes = 10;
	ds.msg_perm.mode = 0606;
	SHOW(msgctl(q, IPC_SET, &ds));
	SHOW(put(q, 1, "0123456789", IPC_NOWAIT));
	SHOW(put(q, 1, "a", IPC_NOWAIT));
	show_queue(q);
	get(q, 0, 100, 0);
	ds.msg_qbytes = 100000;
	SHOW(msgctl(q, IPC_SET, &ds));
	IN_CHILD(
		MUST(setuid(1000));
		ds.msg_perm.uid = 1000;
		SHOW(msgctl(q, IPC_SET, &ds));
		SHOW(msgctl(q, IPC_RMID, 0));
		SHOW(put(q, 1, "as another", 0));
		get(q, 0, 100, 0);
		SHOW(msgget(0x4242, 0777));
	);
	ds.msg_perm.uid = 1000;
	ds.msg_perm.mode = 0040;
	SHOW(msgctl(q, IPC_SET, &ds));
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		SHOW(put(q, 1, "no", 0));
		get(q, 0, 100, IPC_NOWAIT);
		SHOW(msgctl(q, IPC_STAT, &ds));
		ds.msg_perm.mode = 0600;
		ds.msg_qbytes = 16385;
		SHOW(msgctl(q, IPC_SET, &ds));
		ds.msg_qbytes = 16384;
		SHOW(msgctl(q, IPC_SET, &ds));
		SHOW(put(q, 1, "yes", 0));
	);
	SHOW(msgctl(q, 99, &ds));
	SHOW(msgctl(q, IPC_STAT, (void *)8));
	SHOW(msgctl(q, IPC_SET, (void *)8));
	SHOW(msgctl(-1, IPC_STAT, &ds));
	CHECK(msgctl(q & 0x7fff, MSG_STAT, &ds) == q);
	struct msginfo info;
	TRY(msgctl(0, IPC_INFO, (void *)&info));
	printf("pool %d map %d max %d mnb %d mni %d ssz %d tql %d seg %d\n", info.msgpool, info.msgmap, info.msgmax, info.msgmnb,
	       info.msgmni, info.msgssz, info.msgtql, info.msgseg);
	TRY(msgctl(0, MSG_INFO, (void *)&info));
	printf("in use: %d queues, %d messages, %d bytes\n", info.msgpool, info.msgmap, info.msgtql);
	FILE *f = fopen("/proc/sysvipc/msg", "r");
	char line[256];
	int key, id, mode, bytes, count;
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%d %d %o %d %d", &key, &id, &mode, &bytes, &count) == 5)
			printf("%zu characters: key %#x, mine %d, mode %o, %d bytes, %d messages\n", strlen(line), key, id == q, mode, bytes, count);
		else
			printf("%s", line);
	if (f)
		fclose(f);
	SHOW(msgctl(q, IPC_RMID, 0));
	show_file("/proc/sys/kernel/msgmax");
	show_file("/proc/sys/kernel/msgmnb");
	show_file("/proc/sys/kernel/msgmni");
}

static void on_alarm(int signal) { (void)signal; }

static void waiting(void)
{
	int q = (int)MUST(msgget(IPC_PRIVATE, 0600));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child) {
		get(q, 2, 100, 0);
		get(q, -5, 3, 0);
		fflush(stdout);
		_exit(0);
	}
	until_asleep(child);
	put(q, 1, "one", 0);
	sleep_ms(10);
	put(q, 2, "two", 0);
	show_end(child);
	show_queue(q);
	get(q, 0, 100, IPC_NOWAIT);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (!child) {
		get(q, -5, 3, 0);
		fflush(stdout);
		_exit(0);
	}
	until_asleep(child);
	put(q, 4, "too long", 0);
	show_end(child);
	get(q, 0, 100, IPC_NOWAIT);
	put(q, 1, "", 0);
	m.type = 1;
	while (msgsnd(q, &m, 4000, IPC_NOWAIT) == 0)
		;
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (!child)
		_exit(msgsnd(q, &m, 4000, 0) ? errno : 0);
	until_asleep(child);
	SHOW(waitpid(child, 0, WNOHANG));
	SHOW(msgrcv(q, &m, 9000, 0, 0));
	SHOW(msgrcv(q, &m, 9000, 0, 0));
	show_end(child);
	show_queue(q);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (!child) {
		struct sigaction act = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
		sigaction(SIGALRM, &act, 0);
		ualarm(30000, 30000);
		SHOW(msgsnd(q, &m, 4000, 0));
		SHOW(msgrcv(q, &m, 4000, 77, 0));
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (!child) {
		SHOW(msgrcv(q, &m, 4000, 77, 0));
		fflush(stdout);
		_exit(0);
	}
	int turn[2];
	char byte;
	MUST(pipe(turn));
	pid_t sender = (pid_t)MUST(fork());
	if (!sender) {
		int failed = msgsnd(q, &m, 4000, 0), error = errno;
		MUST(read(turn[0], &byte, 1));
		errno = error;
		printf("send: %s\n", failed ? error_name(errno) : "ok");
		fflush(stdout);
		_exit(0);
	}
	until_asleep(child);
	until_asleep(sender);
	MUST(msgctl(q, IPC_RMID, 0));
	show_end(child);
	MUST(write(turn[1], "x", 1));
	show_end(sender);
}

int main(void)
{
	if (unshare(CLONE_NEWIPC) != 0) /* others' queues are not counted */
		return 1;
	types();
	queues_and_errors();
	waiting();
	return 0;
}
