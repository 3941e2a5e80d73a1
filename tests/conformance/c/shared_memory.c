/* Covers: shmget: IPC_PRIVATE IPC_CREAT IPC_EXCL, sizes, permissions; shmat: SHM_RDONLY SHM_RND SHM_REMAP; shmdt; shmctl: IPC_STAT IPC_SET IPC_RMID IPC_INFO
 * SHM_INFO SHM_STAT SHM_LOCK; fork, execve and exit; membarrier. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include "case.h"

static void show_state(const char *what, int id)
{
	struct shmid_ds s;
	errno = 0;
	if (shmctl(id, IPC_STAT, &s) == -1)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: key %#x mode %o uid %u creator %u size %zu attached %ld creator pid %d last pid %d times %d %d %d\n", what, s.shm_perm.__key, s.shm_perm.mode, s.shm_perm.uid,
		       s.shm_perm.cuid, s.shm_segsz, (long)s.shm_nattch, s.shm_cpid == getpid(), s.shm_lpid != 0, s.shm_atime > 0, s.shm_dtime > 0, s.shm_ctime > 0);
}

int main(void)
{
	CHECK(unshare(CLONE_NEWIPC) == 0); /* others' segments are not counted */
	int id = (int)TRY(shmget(IPC_PRIVATE, 10000, 0640));
	show_state("new", id);
	char *p = shmat(id, NULL, 0);
	CHECK(p != (void *)-1 && p[0] == 0 && p[9999] == 0);
	strcpy(p, "shared");
	show_state("attached", id);
	char *q = shmat(id, NULL, SHM_RDONLY);
	CHECK(q != (void *)-1 && q != p && strcmp(q, "shared") == 0);
	TRY(mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	IN_CHILD(q[0] = 'x');
	show_state("twice", id);
	IN_CHILD(
		show_state("in a child", id);
		strcpy(p + 5000, "from the child");
		SHOW(shmdt(q));
		show_state("after shmdt", id));
	printf("%s\n", p + 5000);
	show_state("after the child", id);
	SHOW(shmdt(q + PAGE));
	SHOW(shmdt(q + 1));
	SHOW(shmdt(q));
	SHOW(shmdt(q));
	SHOW(shmdt(NULL));
	char *room = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(shmat(id, room, 0) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, room + 5, 0) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id, room + 5, SHM_RND | SHM_REMAP) == room);
	CHECK(strcmp(room, "shared") == 0);
	MUST(munmap(room + PAGE, PAGE));
	show_state("with a hole", id);
	SHOW(shmdt(room));
	show_state("without", id);
	CHECK(shmat(id, NULL, SHM_REMAP) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(-1, NULL, 0) == (void *)-1 && errno == EINVAL);
	CHECK(shmat(id + 1, NULL, 0) == (void *)-1 && errno == EINVAL);

	/* Removed, but in use. */
	SHOW(shmctl(id, IPC_RMID, NULL));
	show_state("removed", id);
	strcpy(p, "still here");
	q = shmat(id, NULL, 0);
	CHECK(q != (void *)-1 && strcmp(q, "still here") == 0);
	SHOW(shmdt(q));
	SHOW(shmdt(p));
	show_state("gone", id);

	/* Keys. */
	key_t key = 0x4b52;
	SHOW(shmget(key, 100, 0));
	id = (int)TRY(shmget(key, 100, IPC_CREAT | 0600));
	CHECK(shmget(key, 100, IPC_CREAT | 0600) == id);
	CHECK(shmget(key, 0, 0) == id);
	SHOW(shmget(key, 101, 0));
	SHOW(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600));
	SHOW(shmget(key + 1, 0, IPC_CREAT | 0600));
	SHOW(shmget(key + 1, (size_t)-1, IPC_CREAT | 0600));
	show_state("by key", id);
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		SHOW(shmget(key, 100, 0600));
		CHECK(shmget(key, 100, 0) == id);
		CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EACCES);
		struct shmid_ds s;
		SHOW(shmctl(id, IPC_STAT, &s));
		SHOW(shmctl(id, IPC_RMID, NULL));
		SHOW(shmctl(id, IPC_SET, &s)));
	struct shmid_ds s;
	MUST(shmctl(id, IPC_STAT, &s));
	s.shm_perm.mode = 0444;
	s.shm_perm.uid = 1000;
	SHOW(shmctl(id, IPC_SET, &s));
	show_state("changed", id);
	IN_CHILD(
		MUST(setresuid(2000, 2000, 2000));
		CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EACCES);
		CHECK(shmat(id, NULL, SHM_RDONLY) != (void *)-1));
	SHOW(shmctl(id, SHM_LOCK, NULL));
	show_state("locked", id);
	SHOW(shmctl(id, SHM_UNLOCK, NULL));
	SHOW(shmctl(id, 99, NULL));
	SHOW(shmctl(-1, IPC_STAT, &s));
	SHOW(shmctl(id, IPC_STAT, (void *)1));
	struct shminfo limits;
	CHECK(shmctl(0, IPC_INFO, (struct shmid_ds *)&limits) >= 0);
	printf("smallest %lu, segments %lu\n", limits.shmmin, limits.shmmni);
	struct shm_info totals;
	int highest = shmctl(0, SHM_INFO, (struct shmid_ds *)&totals);
	CHECK(highest >= 0);
	printf("%d used, %lu pages\n", totals.__used_ids, totals.shm_tot);
	CHECK(shmctl(highest, SHM_STAT, &s) == id);
	SHOW(shmctl(highest + 50, SHM_STAT, &s));
	p = shmat(id, NULL, 0);
	IN_CHILD(execl("/bin/true", "true", NULL));
	show_state("after execve", id);
	SHOW(shmctl(id, IPC_RMID, NULL));
	SHOW(shmget(key, 0, 0));

	/* membarrier */
	CHECK((syscall(SYS_membarrier, 0, 0, 0) & 0x7f) == 0x7f);
	SHOW(syscall(SYS_membarrier, 8, 0, 0));
	SHOW(syscall(SYS_membarrier, 16, 0, 0));
	SHOW(syscall(SYS_membarrier, 8, 0, 0));
	SHOW(syscall(SYS_membarrier, 32, 0, 0));
	SHOW(syscall(SYS_membarrier, 1, 0, 0));
	SHOW(syscall(SYS_membarrier, 2, 0, 0));
	SHOW(syscall(SYS_membarrier, 4, 0, 0));
	SHOW(syscall(SYS_membarrier, 512, 0, 0));
	SHOW(syscall(SYS_membarrier, 3, 0, 0));
	SHOW(syscall(SYS_membarrier, 1, 1, 0));
	IN_CHILD(SHOW(syscall(SYS_membarrier, 8, 0, 0)));
	return 0;
}
