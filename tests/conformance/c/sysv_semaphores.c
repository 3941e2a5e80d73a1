/* System V semaphores: sets and their numbers, operations that wait and that do not, several at once, SEM_UNDO, waiting
 * counts, removal under waiters, limits, permissions and errors (semget(2), semop(2), semtimedop(2), semctl(2)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>

union argument { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };
#define CTL(id, n, command, ...) semctl(id, n, command, (union argument){ __VA_ARGS__ })
#define OP(n, change, flags) { n, change, flags }
#define DO(id, ...) ({ struct sembuf ops_[] = { __VA_ARGS__ }; semop(id, ops_, sizeof ops_ / sizeof ops_[0]); })
#define DO_FOR(id, ms, ...) ({ struct sembuf ops_[] = { __VA_ARGS__ }; \
	struct timespec t_ = { (ms) / 1000, (ms) % 1000 * 1000000L }; \
	semtimedop(id, ops_, sizeof ops_ / sizeof ops_[0], &t_); })

static void show_all(int id, const char *what)
{
	unsigned short v[8] = { 0 };
	struct semid_ds ds;
	if (CTL(id, 0, IPC_STAT, .buf = &ds) < 0 || CTL(id, 0, GETALL, .array = v) < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	printf("%s:", what);
	for (unsigned i = 0; i < ds.sem_nsems && i < 8; i++)
		printf(" %u", v[i]);
	printf("; last by me:");
	for (unsigned i = 0; i < ds.sem_nsems && i < 8; i++)
		printf(" %d", semctl(id, (int)i, GETPID) == getpid());
	printf("; otime %s\n", ds.sem_otime ? "set" : "0");
}

static void sets(void)
{
	int a = (int)MUST(semget(0x1234, 3, IPC_CREAT | 0640));
	SHOW(semget(0x1234, 3, IPC_CREAT | IPC_EXCL | 0640));
	CHECK(semget(0x1234, 0, 0) == a);
	CHECK(semget(0x1234, 2, IPC_CREAT | 0600) == a);
	SHOW(semget(0x1234, 4, 0));
	SHOW(semget(0x9999, 1, 0));
	SHOW(semget(0x9999, 0, IPC_CREAT));
	SHOW(semget(0x9999, -1, IPC_CREAT));
	SHOW(semget(0x9999, 32001, IPC_CREAT));
	SHOW(semget(IPC_PRIVATE, 0, 0));
	int b = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
	CHECK(a != b);
	struct semid_ds ds;
	SHOW(CTL(a, 0, IPC_STAT, .buf = &ds));
	printf("key %#x uid %d gid %d cuid %d mode %o nsems %lu ctime near now %d\n", ds.sem_perm.__ipc_perm_key, ds.sem_perm.uid,
	       ds.sem_perm.gid, ds.sem_perm.cuid, ds.sem_perm.mode, ds.sem_nsems, labs(ds.sem_ctime - time(0)) < 3);
	ds.sem_perm.uid = 5;
	ds.sem_perm.mode = 0777;
	SHOW(CTL(a, 0, IPC_SET, .buf = &ds));
	SHOW(CTL(a, 0, IPC_STAT, .buf = &ds));
	printf("uid %d cuid %d mode %o\n", ds.sem_perm.uid, ds.sem_perm.cuid, ds.sem_perm.mode);
	ds.sem_perm.uid = (uid_t)-1;
	SHOW(CTL(a, 0, IPC_SET, .buf = &ds));
	SHOW(CTL(a, 0, IPC_STAT, .buf = (void *)8));
	SHOW(CTL(a, 0, IPC_SET, .buf = (void *)8));
	SHOW(CTL(a, 0, 99, .val = 0));
	SHOW(CTL(-1, 0, IPC_RMID, .val = 0));
	SHOW(CTL(a, 3, GETVAL, .val = 0));
	SHOW(CTL(a, -1, SETVAL, .val = 0));
	SHOW(CTL(a, 0, SETVAL, .val = -1));
	SHOW(CTL(a, 0, SETVAL, .val = 32768));
	SHOW(CTL(a, 0, SETVAL, .val = 32767));
	SHOW(DO(a, OP(0, 1, 0)));
	unsigned short values[3] = { 1, 2, 3 };
	SHOW(CTL(a, 0, SETALL, .array = values));
	show_all(a, "after SETALL");
	values[1] = 40000;
	SHOW(CTL(a, 0, SETALL, .array = values));
	SHOW(CTL(a, 0, GETALL, .array = (void *)8));
	SHOW(CTL(a, 0, SETALL, .array = (void *)8));
	struct seminfo info;
	TRY(CTL(0, 0, IPC_INFO, .info = &info));
	printf("map %d mni %d mns %d mnu %d msl %d opm %d ume %d usz %d vmx %d aem %d\n", info.semmap, info.semmni, info.semmns,
	       info.semmnu, info.semmsl, info.semopm, info.semume, info.semusz, info.semvmx, info.semaem);
	TRY(CTL(0, 0, SEM_INFO, .info = &info));
	printf("in use: %d sets, %d semaphores\n", info.semusz, info.semaem);
	CHECK(CTL(a & 0x7fff, 0, SEM_STAT, .buf = &ds) == a);
	SHOW(CTL(300, 0, SEM_STAT, .buf = &ds));
	SHOW(CTL(b, 0, IPC_RMID, .val = 0));
	SHOW(CTL(b, 0, IPC_RMID, .val = 0));
	SHOW(CTL(a, 0, IPC_RMID, .val = 0));
	SHOW(semget(0x1234, 0, 0));
	int last = -1, stale = 0;
	for (int i = 0; i < 200; i++) {
		int id = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
		stale += id <= last;
		last = id;
		MUST(CTL(id, 0, IPC_RMID, .val = 0));
	}
	printf("%d numbers came again or went down\n", stale);
	int c = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
	SHOW(DO(c - 0x8000 >= 0 ? c - 0x8000 : c + 0x8000, OP(0, 1, 0)));
	MUST(CTL(c, 0, IPC_RMID, .val = 0));
}

static void operations(void)
{
	int s = (int)MUST(semget(IPC_PRIVATE, 4, 0600));
	show_all(s, "new");
	SHOW(DO(s, OP(0, 3, 0)));
	SHOW(DO(s, OP(0, -1, 0), OP(1, 5, 0)));
	show_all(s, "two at once");
	SHOW(DO(s, OP(1, -1, 0), OP(0, -9, IPC_NOWAIT)));
	show_all(s, "all or nothing");
	SHOW(DO(s, OP(2, 0, 0)));
	SHOW(DO(s, OP(0, 0, IPC_NOWAIT)));
	SHOW(DO(s, OP(0, -2, 0), OP(0, 0, IPC_NOWAIT), OP(0, 7, 0)));
	show_all(s, "down, zero, up");
	SHOW(DO(s, OP(3, 32767, 0)));
	SHOW(DO(s, OP(3, 1, 0)));
	SHOW(DO(s, OP(0, 1, 0), OP(3, 1, 0)));
	show_all(s, "full");
	SHOW(DO(s, OP(4, 1, 0)));
	SHOW(DO(s, OP(65535, 1, 0)));
	SHOW(semop(s, 0, 1));
	SHOW(semop(s, 0, 0));
	static struct sembuf many[600];
	SHOW(semop(s, many, 501));
	SHOW(semop(s, many, 0xffffffff));
	SHOW(semop(-1, many, 1));
	SHOW(semop(123456789, many, 1));
	SHOW(semtimedop(s, many, 1, (void *)8));
	SHOW(semtimedop(s, many, 1, &(struct timespec){ -1, 0 }));
	SHOW(semtimedop(s, many, 1, &(struct timespec){ 0, 1000000000 }));
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	SHOW(DO_FOR(s, 60, OP(2, -1, 0)));
	clock_gettime(CLOCK_MONOTONIC, &after);
	long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	CHECK(ms >= 59 && ms < 20000);
	SHOW(DO_FOR(s, 0, OP(2, -1, 0)));
	MUST(CTL(s, 0, IPC_RMID, .val = 0));
}

static void on_alarm(int signal) { (void)signal; }

static void until(int id, int n, int command, int wanted)
{
	for (int i = 0; i < 15000 && semctl(id, n, command) != wanted; i++)
		sleep_ms(2);
	printf("%s %d\n", command == GETNCNT ? "waiting to grow" : "waiting for zero", semctl(id, n, command));
}

static void waiting(void)
{
	int s = (int)MUST(semget(IPC_PRIVATE, 2, 0600));
	fflush(stdout);
	pid_t first = (pid_t)MUST(fork());
	if (!first)
		_exit(DO(s, OP(0, -2, 0)) ? errno : 0);
	until(s, 0, GETNCNT, 1);
	pid_t second = (pid_t)MUST(fork());
	if (!second)
		_exit(DO(s, OP(0, -1, 0)) ? errno : 0);
	until(s, 0, GETNCNT, 2);
	SHOW(DO(s, OP(0, 1, 0)));
	show_end(second);
	show_all(s, "the smaller one was served");
	SHOW(DO(s, OP(0, 1, 0)));
	SHOW(DO(s, OP(0, 1, 0)));
	show_end(first);
	show_all(s, "the larger one too");
	MUST(DO(s, OP(1, 2, 0)));
	fflush(stdout);
	first = (pid_t)MUST(fork());
	if (!first)
		_exit(DO(s, OP(1, 0, 0), OP(0, 4, 0)) ? errno : 0);
	until(s, 1, GETZCNT, 1);
	SHOW(CTL(s, 1, SETVAL, .val = 0));
	show_end(first);
	show_all(s, "zero came");
	fflush(stdout);
	first = (pid_t)MUST(fork());
	if (!first) {
		struct sigaction act = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
		sigaction(SIGALRM, &act, 0);
		ualarm(30000, 30000); /* again and again: the first one may come before the call */
		_exit(DO(s, OP(1, -1, 0)) == -1 && errno == EINTR ? 7 : 1);
	}
	show_end(first);
	fflush(stdout);
	first = (pid_t)MUST(fork());
	if (!first)
		_exit(DO(s, OP(1, -1, 0)) == -1 && errno == EIDRM ? 8 : 1);
	until(s, 1, GETNCNT, 1);
	MUST(CTL(s, 0, IPC_RMID, .val = 0));
	show_end(first);
}

static void *thread_that_undoes(void *argument)
{
	int s = *(int *)argument;
	MUST(DO(s, OP(1, 3, SEM_UNDO)));
	return 0;
}

static void undoing(void)
{
	int s = (int)MUST(semget(IPC_PRIVATE, 3, 0600));
	MUST(DO(s, OP(0, 5, 0)));
	IN_CHILD(
		SHOW(DO(s, OP(0, -2, SEM_UNDO), OP(1, 3, SEM_UNDO)));
		show_all(s, "in the child");
	);
	show_all(s, "undone");
	CHECK(semctl(s, 0, GETPID) != getpid() && semctl(s, 0, GETPID) > 0);
	IN_CHILD(
		MUST(DO(s, OP(0, -2, SEM_UNDO)));
		MUST(CTL(s, 0, SETVAL, .val = 9));
	);
	show_all(s, "SETVAL forgets");
	IN_CHILD(
		unsigned short v[3] = { 1, 1, 1 };
		MUST(DO(s, OP(0, -2, SEM_UNDO), OP(2, 2, SEM_UNDO)));
		MUST(CTL(s, 0, SETALL, .array = v));
	);
	show_all(s, "SETALL forgets");
	IN_CHILD(
		MUST(DO(s, OP(2, 2, SEM_UNDO)));
		IN_CHILD(MUST(DO(s, OP(2, 1, 0))));
		MUST(DO(s, OP(2, -4, 0)));
	);
	show_all(s, "not below zero");
	IN_CHILD(
		MUST(DO(s, OP(2, 32000, SEM_UNDO)));
		MUST(DO(s, OP(2, -32000, 0)));
		SHOW(DO(s, OP(2, 1000, SEM_UNDO)));
		SHOW(DO(s, OP(2, 32000, SEM_UNDO)));
	);
	show_all(s, "adjustments have bounds");
	MUST(CTL(s, 0, SETVAL, .val = 1));
	MUST(CTL(s, 1, SETVAL, .val = 0));
	IN_CHILD(
		pthread_t t;
		pthread_create(&t, 0, thread_that_undoes, &s);
		pthread_join(t, 0);
		show_all(s, "a thread ended, its process lives");
	);
	show_all(s, "its process ended");
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child)
		_exit(DO(s, OP(0, -2, 0)) ? errno : 0);
	until(s, 0, GETNCNT, 1);
	IN_CHILD(
		MUST(DO(s, OP(0, -1, SEM_UNDO)));
		MUST(DO(s, OP(0, 1, 0)));
	);
	show_end(child);
	show_all(s, "undoing woke the waiter");
	IN_CHILD(
		MUST(DO(s, OP(0, 1, SEM_UNDO)));
		MUST(CTL(s, 0, IPC_RMID, .val = 0));
	);
	SHOW(DO(s, OP(0, 1, 0)));
}

static void permissions(void)
{
	int mine = (int)MUST(semget(IPC_PRIVATE, 1, 0600)), seen = (int)MUST(semget(0x77, 1, IPC_CREAT | 0644));
	struct semid_ds ds;
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		SHOW(CTL(mine, 0, GETVAL, .val = 0));
		SHOW(DO(mine, OP(0, 1, 0)));
		SHOW(CTL(seen, 0, GETVAL, .val = 0));
		SHOW(CTL(seen, 0, SETVAL, .val = 1));
		SHOW(DO(seen, OP(0, 1, 0)));
		SHOW(DO(seen, OP(0, 0, 0)));
		SHOW(CTL(seen, 0, IPC_RMID, .val = 0));
		MUST(CTL(seen, 0, IPC_STAT, .buf = &ds));
		SHOW(CTL(seen, 0, IPC_SET, .buf = &ds));
		SHOW(semget(0x77, 1, 0666));
		CHECK(semget(0x77, 1, 0444) == seen);
		SHOW(CTL(mine & 0x7fff, 0, SEM_STAT, .buf = &ds));
		CHECK(CTL(mine & 0x7fff, 0, SEM_STAT_ANY, .buf = &ds) == mine);
	);
	MUST(CTL(mine, 0, IPC_RMID, .val = 0));
	MUST(CTL(seen, 0, IPC_RMID, .val = 0));
}

static void listed(void)
{
	int s = (int)MUST(semget(0x5e5e, 3, IPC_CREAT | 0640));
	FILE *f = fopen("/proc/sysvipc/sem", "r");
	char line[256];
	int key, id, n, mode, uid;
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%d %d %o %d %d", &key, &id, &mode, &n, &uid) == 5)
			printf("%zu characters: key %#x, mine %d, mode %o, %d semaphores, owner %d\n", strlen(line), key, id == s, mode, n, uid);
		else
			printf("%s", line);
	if (f)
		fclose(f);
	show_file("/proc/sys/kernel/sem");
	MUST(CTL(s, 0, IPC_RMID, .val = 0));
}

int main(void)
{
	MUST(unshare(CLONE_NEWIPC)); /* others' sets are not counted */
	sets();
	operations();
	waiting();
	undoing();
	permissions();
	listed();
	return 0;
}
