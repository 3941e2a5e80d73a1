/* IPC namespaces: System V's objects and POSIX queues belong to one, and end with it. */
#include "case.h"
#include <mqueue.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define KEY 0x4b524149

static int lines_of(const char *path)
{
	char line[512];
	int count = 0;
	FILE *file = fopen(path, "r");
	while (fgets(line, sizeof line, file))
		count++;
	fclose(file);
	return count;
}

static void show_counts(const char *where)
{
	printf("%s: %d queues, %d sets, %d segments\n", where, lines_of("/proc/sysvipc/msg") - 1,
	       lines_of("/proc/sysvipc/sem") - 1, lines_of("/proc/sysvipc/shm") - 1);
}

struct message {
	long kind;
	char text[8];
};

int main(void)
{
	struct message message = {1, "text"};
	struct sembuf up = {0, 3, SEM_UNDO};
	int before = lines_of("/proc/sysvipc/msg");
	int queue = (int)MUST(msgget(KEY, IPC_CREAT | 0600)), segment = (int)MUST(shmget(KEY, PAGE, IPC_CREAT | 0600));
	int set = (int)MUST(semget(KEY, 1, IPC_CREAT | 0600));
	mqd_t named = (mqd_t)MUST(mq_open("/krait-outside", O_CREAT | O_RDWR, 0600, NULL));
	char *memory = shmat(segment, NULL, 0);
	strcpy(memory, "outside");
	MUST(msgsnd(queue, &message, sizeof message.text, 0));
	int original = (int)MUST(open("/proc/self/ns/ipc", O_RDONLY));
	printf("lines before: %d\n", before);
	show_counts("outside");
	IN_CHILD({
		MUST(semop(set, &up, 1));
		SHOW(semctl(set, 0, GETVAL));
		TRY(unshare(CLONE_NEWIPC));
		show_counts("inside");
		SHOW(msgget(KEY, 0));
		SHOW(semget(KEY, 0, 0));
		SHOW(shmget(KEY, 0, 0));
		SHOW(msgrcv(queue, &message, sizeof message.text, 0, IPC_NOWAIT));
		SHOW(shmctl(segment, IPC_RMID, NULL));
		SHOW((long)mq_open("/krait-outside", O_RDWR));
		SHOW(mq_unlink("/krait-outside"));
		printf("memory: %s\n", memory);
		struct mq_attr attributes;
		SHOW(mq_getattr(named, &attributes));
		SHOW(msgget(KEY, IPC_CREAT | 0600));
		SHOW(semget(KEY, 2, IPC_CREAT | 0600));
		int inner = (int)SHOW(shmget(KEY, PAGE, IPC_CREAT | 0600));
		char *other = shmat(inner, NULL, 0);
		strcpy(other, "inside");
		mqd_t queue_inside = (mqd_t)MUST(mq_open("/krait-inside", O_CREAT | O_RDWR, 0600, NULL));
		MUST(mkdir("/tmp/mq", 0755));
		MUST(unshare(CLONE_NEWNS));
		MUST(mount("none", "/tmp/mq", "mqueue", 0, NULL));
		SHOW(access("/tmp/mq/krait-inside", F_OK));
		SHOW(access("/tmp/mq/krait-outside", F_OK));
		show_counts("inside");
		IN_CHILD(show_counts("its child"));
		SHOW(setns(original, 0));
		show_counts("back");
		printf("memory: %s\n", other);
		SHOW(shmdt(other));
		SHOW(mq_send(queue_inside, "x", 1, 0));
		SHOW((long)mq_open("/krait-inside", O_RDWR));
	});
	rmdir("/tmp/mq");
	SHOW(semctl(set, 0, GETVAL));
	show_counts("outside");
	printf("memory: %s\n", memory);
	SHOW(syscall(SYS_clone, CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0));
	pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		show_counts("clone");
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		SHOW(unshare(CLONE_NEWIPC));
		SHOW(setns(original, CLONE_NEWIPC));
		SHOW(syscall(SYS_clone, CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0));
	});
	MUST(mq_unlink("/krait-outside"));
	MUST(msgctl(queue, IPC_RMID, NULL));
	MUST(semctl(set, 0, IPC_RMID));
	MUST(shmctl(segment, IPC_RMID, NULL));
	return 0;
}
