/*
 * Covers: permissions of System V shared memory, semaphores and queues (each mode; IPC_STAT, IPC_SET, IPC_RMID, the ANY commands,
 * SHM_LOCK) and of POSIX queues, for owner, creator, group, others and single capabilities.
 */
#include "privilege_case.h"
#include <mqueue.h>
#include <sched.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>

static const struct actor actors[] = {
	ROOT, POWERLESS, USER, OTHER, { "of the group", 0, 1001, 1001, 1001, 7 }, { "creator", 0, 1002, 1002, 1002, 1002 }, { "acts as user", 0, 1001, 1000, 1001, 1001 },
	{ "really user", 0, 1000, 1001, 1001, 1001 }, WITH(CAP_IPC_OWNER), WITH(CAP_SYS_ADMIN), WITH(CAP_DAC_OVERRIDE), WITH(CAP_IPC_LOCK), WITH(CAP_SYS_RESOURCE),
	{ "another user with CAP_IPC_OWNER", BIT(15), 1001, 1001, 1001, 1001 }, { "another user with CAP_SYS_ADMIN", BIT(21), 1001, 1001, 1001, 1001 },
};
static const int modes[] = { 0600, 0060, 0006, 0400, 0200, 0040, 0004, 0, 0666 };

union argument { int value; struct semid_ds *status; unsigned short *values; struct seminfo *info; };

static void memory(int mode)
{
	key_t key = 0x1234;
	int id = (int)MUST(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
	struct shmid_ds status;
	MUST(shmctl(id, IPC_STAT, &status));
	status.shm_perm.uid = 1000;
	status.shm_perm.gid = 7;
	status.shm_perm.mode = (unsigned)mode;
	MUST(shmctl(id, IPC_SET, &status));
	for (int i = 0; i < COUNT(actors); i++) {
		printf("  memory of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i],
		   ASK("shmget", shmget(key, 0, 0)); ASK("shmget to read", shmget(key, 0, 0444)); ASK("shmget to write", shmget(key, 0, 0666));
		   ASK("shmat", shmat(id, NULL, 0) == (void *)-1 ? -1 : 0); ASK("shmat to read", shmat(id, NULL, SHM_RDONLY) == (void *)-1 ? -1 : 0);
		   ASK("IPC_STAT", shmctl(id, IPC_STAT, &status)); ASK("SHM_STAT", shmctl(0, SHM_STAT, &status) < 0 && errno != EINVAL ? -1 : 0);
		   ASK("SHM_STAT_ANY", shmctl(id, IPC_STAT, &status)); ASK("IPC_INFO", shmctl(id, IPC_INFO, &status));
		   struct rlimit none = { 0 }; setrlimit(RLIMIT_MEMLOCK, &none);
		   ASK("SHM_LOCK", shmctl(id, SHM_LOCK, NULL)); ASK("SHM_UNLOCK", shmctl(id, SHM_UNLOCK, NULL)));
		AS(&actors[i], status.shm_perm.uid = 1000; status.shm_perm.gid = 7; status.shm_perm.mode = (unsigned)mode; ASK("IPC_SET", shmctl(id, IPC_SET, &status)));
	}
	for (int i = COUNT(actors) - 1; i >= 0; i--) {
		printf("  memory of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i], ASK("IPC_RMID", shmctl(id, IPC_RMID, NULL)));
	}
}

static void semaphores(int mode)
{
	key_t key = 0x1235;
	int id = (int)MUST(semget(key, 2, IPC_CREAT | IPC_EXCL | 0600));
	struct semid_ds status;
	unsigned short values[2] = { 1, 1 };
	MUST(semctl(id, 0, IPC_STAT, (union argument){ .status = &status }));
	status.sem_perm.uid = 1000;
	status.sem_perm.gid = 7;
	status.sem_perm.mode = (unsigned)mode;
	MUST(semctl(id, 0, IPC_SET, (union argument){ .status = &status }));
	for (int i = 0; i < COUNT(actors); i++) {
		struct sembuf change = { 0, 1, 0 }, test = { 0, 0, IPC_NOWAIT };
		printf("  semaphores of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i],
		   ASK("semget", semget(key, 0, 0)); ASK("semget to read", semget(key, 0, 0444)); ASK("semget to write", semget(key, 0, 0666));
		   ASK("semop", semop(id, &change, 1)); ASK("semop, wait for zero", semop(id, &test, 1));
		   ASK("GETVAL", semctl(id, 0, GETVAL)); ASK("GETPID", semctl(id, 0, GETPID)); ASK("GETALL", semctl(id, 0, GETALL, (union argument){ .values = values }));
		   ASK("SETVAL", semctl(id, 0, SETVAL, (union argument){ .value = 1 })); ASK("SETALL", semctl(id, 0, SETALL, (union argument){ .values = values }));
		   ASK("IPC_STAT", semctl(id, 0, IPC_STAT, (union argument){ .status = &status })));
		AS(&actors[i], status.sem_perm.uid = 1000; status.sem_perm.gid = 7; status.sem_perm.mode = (unsigned)mode; ASK("IPC_SET", semctl(id, 0, IPC_SET, (union argument){ .status = &status })));
	}
	for (int i = COUNT(actors) - 1; i >= 0; i--) {
		printf("  semaphores of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i], ASK("IPC_RMID", semctl(id, 0, IPC_RMID)));
	}
}

static void queues(int mode)
{
	key_t key = 0x1236;
	int id = (int)MUST(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
	struct msqid_ds status, more;
	MUST(msgctl(id, IPC_STAT, &status));
	status.msg_perm.uid = 1000;
	status.msg_perm.gid = 7;
	status.msg_perm.mode = (unsigned)mode;
	MUST(msgctl(id, IPC_SET, &status));
	more = status;
	more.msg_qbytes = 100000;
	for (int i = 0; i < COUNT(actors); i++) {
		struct { long type; char text[8]; } message = { 1, "text" };
		printf("  queue of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i],
		   ASK("msgget", msgget(key, 0)); ASK("msgget to read", msgget(key, 0444)); ASK("msgget to write", msgget(key, 0666));
		   ASK("msgsnd", msgsnd(id, &message, 4, IPC_NOWAIT)); ASK("msgrcv", msgrcv(id, &message, 8, 0, IPC_NOWAIT));
		   ASK("IPC_STAT", msgctl(id, IPC_STAT, &(struct msqid_ds){ 0 })); ASK("IPC_SET", msgctl(id, IPC_SET, &status)); ASK("IPC_SET, more", msgctl(id, IPC_SET, &more)));
		MUST(msgctl(id, IPC_SET, &status));
	}
	for (int i = COUNT(actors) - 1; i >= 0; i--) {
		printf("  queue of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i], ASK("IPC_RMID", msgctl(id, IPC_RMID, NULL)));
	}
}

/* Whoever is not the creator may be allowed by the creator's id alone. */
static void creators(void)
{
	struct shmid_ds status;
	int id;
	puts("  made by a user, given to root");
	int ids[2];
	MUST(pipe(ids));
	AS(&actors[5], id = (int)MUST(shmget(IPC_PRIVATE, 4096, 0600)); MUST(shmctl(id, IPC_STAT, &status)); status.shm_perm.uid = 0; status.shm_perm.gid = 0;
	   status.shm_perm.mode = 0; MUST(shmctl(id, IPC_SET, &status)); MUST(write(ids[1], &id, sizeof id)));
	MUST(read(ids[0], &id, sizeof id));
	for (int i = 0; i < COUNT(actors); i++) {
		printf("  %s\n", actors[i].name);
		AS(&actors[i], ASK("IPC_STAT", shmctl(id, IPC_STAT, &status)); ASK("shmat", shmat(id, NULL, SHM_RDONLY) == (void *)-1 ? -1 : 0));
	}
	AS(&actors[5], ASK("IPC_RMID by the creator", shmctl(id, IPC_RMID, NULL)));
}

static void posix_queues(int mode)
{
	umask(0);
	int fd = (int)MUST(mq_open("/queue", O_CREAT | O_EXCL | O_RDWR, mode, NULL));
	MUST(fchown(fd, 1000, 7));
	MUST(fchmod(fd, (mode_t)mode));
	close(fd);
	for (int i = 0; i < COUNT(actors); i++) {
		printf("  POSIX queue of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i], ASK_FD("to read", mq_open("/queue", O_RDONLY)); ASK_FD("to write", mq_open("/queue", O_WRONLY)); ASK_FD("for both", mq_open("/queue", O_RDWR));
		   ASK_FD("create", mq_open("/queue", O_RDWR | O_CREAT, 0600, NULL)); ASK_FD("exclusively", mq_open("/queue", O_RDWR | O_CREAT | O_EXCL, 0600, NULL)));
	}
	for (int i = COUNT(actors) - 1; i >= 0; i--) {
		printf("  POSIX queue of mode %o: %s\n", mode, actors[i].name);
		AS(&actors[i], ASK("mq_unlink", mq_unlink("/queue")));
	}
	mq_unlink("/queue");
	umask(022);
}

static void large_queues(void)
{
	struct mq_attr large = { .mq_maxmsg = 100, .mq_msgsize = 100 };
	for (int i = 0; i < COUNT(actors); i++) {
		printf("  large POSIX queue: %s\n", actors[i].name);
		AS(&actors[i], ASK_FD("create", mq_open("/large", O_RDWR | O_CREAT, 0600, &large)); mq_unlink("/large"));
		mq_unlink("/large");
	}
}

int main(void)
{
	MUST(unshare(CLONE_NEWIPC)); /* the first segment has index 0 there */
	for (int i = 0; i < COUNT(modes); i++) {
		memory(modes[i]);
		semaphores(modes[i]);
		queues(modes[i]);
		posix_queues(modes[i]);
	}
	creators();
	large_queues();
	return 0;
}
