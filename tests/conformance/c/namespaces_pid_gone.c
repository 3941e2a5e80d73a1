/* pid_namespaces(7): what is shown of processes that have ended, or that only another namespace sees. */
#include "case.h"
#include <linux/sched.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#define AS_INIT(flags, ...) do { \
	fflush(stdout); \
	pid_t init_ = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | (flags) | SIGCHLD, 0, 0, 0, 0)); \
	if (init_ == 0) { __VA_ARGS__; fflush(stdout); _exit(0); } \
	show_end(init_); \
} while (0)

static pid_t sender_of(int socket)
{
	char byte, control[256];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	MUST(recvmsg(socket, &message, 0));
	return ((struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&message)))->pid;
}

static pid_t peer_of(int socket)
{
	struct ucred who;
	socklen_t size = sizeof who;
	MUST(getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size));
	return who.pid;
}

/* A socket's messages and peers outlive who sent them, and keep their numbers even when others bear these. */
static void sockets(void)
{
	int pair[2], on = 1, outside[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, outside));
	MUST(setsockopt(outside[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	MUST(setsockopt(outside[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	AS_INIT(0, {
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
		MUST(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
		IN_CHILD(MUST(write(pair[1], "x", 1)));
		SHOW(sender_of(pair[0]));
		IN_CHILD(MUST(write(outside[1], "x", 1)));
		int listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
		struct sockaddr_un name = { AF_UNIX, "\0border" };
		MUST(bind(listener, (struct sockaddr *)&name, 9));
		MUST(listen(listener, 4));
		IN_CHILD({
			int client = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
			MUST(connect(client, (struct sockaddr *)&name, 9));
			MUST(write(client, "x", 1));
		});
		int accepted = (int)MUST(accept(listener, 0, 0));
		SHOW(peer_of(accepted));
		IN_CHILD(SHOW(peer_of(accepted)));
		MUST(unshare(CLONE_NEWPID));
		IN_CHILD({
			SHOW(peer_of(accepted));
			int own[2];
			MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, own));
			SHOW(peer_of(own[0]));
		});
	});
	printf("a message of somebody in a namespace that has ended: %s\n", sender_of(outside[0]) > 4 ? "its number" : "none");
	AS_INIT(0, {
		MUST(write(outside[0], "x", 1));
		SHOW(sender_of(outside[1]));
	});
}

static void system_v(void)
{
	int queue = (int)MUST(msgget(IPC_PRIVATE, 0600)), set = (int)MUST(semget(IPC_PRIVATE, 2, 0600));
	int segment = (int)MUST(shmget(IPC_PRIVATE, PAGE, 0600));
	struct { long type; char text[1]; } message = { 1, "x" };
	struct msqid_ds of_queue;
	struct shmid_ds of_segment;
	struct sembuf more = { 0, 1, 0 }, undone = { 1, 1, SEM_UNDO };
	AS_INIT(0, {
		IN_CHILD(MUST(msgsnd(queue, &message, 1, 0)));
		IN_CHILD(MUST(msgrcv(queue, &message, 1, 0, 0)));
		MUST(msgctl(queue, IPC_STAT, &of_queue));
		SHOW(of_queue.msg_lspid);
		SHOW(of_queue.msg_lrpid);
		IN_CHILD(MUST(semop(set, &more, 1)));
		SHOW(semctl(set, 0, GETPID));
		IN_CHILD(MUST(semop(set, &undone, 1)));
		SHOW(semctl(set, 1, GETPID));
		IN_CHILD(MUST(shmdt(shmat(segment, 0, 0))));
		MUST(shmctl(segment, IPC_STAT, &of_segment));
		SHOW(of_segment.shm_lpid);
		MUST(unshare(CLONE_NEWPID));
		IN_CHILD({
			MUST(msgctl(queue, IPC_STAT, &of_queue));
			SHOW(of_queue.msg_lspid);
			SHOW(semctl(set, 0, GETPID));
		});
	});
	MUST(msgctl(queue, IPC_STAT, &of_queue));
	CHECK(of_queue.msg_lspid > 4);
	CHECK(semctl(set, 0, GETPID) > 4);
	MUST(shmctl(segment, IPC_STAT, &of_segment));
	CHECK(of_segment.shm_lpid > 4);
	msgctl(queue, IPC_RMID, 0);
	semctl(set, 0, IPC_RMID);
	shmctl(segment, IPC_RMID, 0);
}

static void owners(void)
{
	int ends[2];
	MUST(pipe(ends));
	AS_INIT(0, {
		IN_CHILD({
			MUST(fcntl(ends[0], F_SETOWN, getpid()));
			SHOW(fcntl(ends[0], F_GETOWN));
		});
		SHOW(fcntl(ends[0], F_GETOWN));
		MUST(fcntl(ends[0], F_SETOWN, 1));
	});
	SHOW(fcntl(ends[0], F_GETOWN));
	close(ends[0]);
	close(ends[1]);
}

/* Kinds and numbers in /proc/locks of locks on the file that is `inode`. */
static void locks(const char *what, const char *path, unsigned long inode)
{
	char line[256], kind[16], mode[16], access[16], place[64];
	FILE *file = fopen(path, "r");
	printf("%s:\n", what);
	while (file && fgets(line, sizeof line, file)) {
		int serial, pid;
		unsigned long number;
		if (strstr(line, "->"))
			continue;
		if (sscanf(line, "%d: %15s %15s %15s %d %63s", &serial, kind, mode, access, &pid, place) != 6)
			continue;
		number = strtoul(strrchr(place, ':') + 1, 0, 10);
		if (number == inode)
			printf("  %s %s %d\n", kind, access, pid > 4 ? 5 : pid);
	}
	if (file)
		fclose(file);
}

static void listed(void)
{
	char path[] = "/tmp/gone_XXXXXX";
	struct stat status;
	int file = (int)MUST(mkstemp(path)), whole;
	MUST(fstat(file, &status));
	MUST(mkdir("/tmp/gone_proc", 0755));
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
	MUST(fcntl(file, F_SETLK, &lock));
	lock.l_start = 20;
	MUST(fcntl(file, F_OFD_SETLK, &lock));
	AS_INIT(CLONE_NEWNS, {
		MUST(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0));
		MUST(mount("proc", "/tmp/gone_proc", "proc", 0, 0));
		lock.l_start = 40;
		MUST(fcntl(file, F_SETLK, &lock));
		whole = (int)MUST(open(path, O_RDWR));
		IN_CHILD(MUST(flock(whole, LOCK_EX)));
		locks("inside", "/tmp/gone_proc/locks", status.st_ino);
		locks("inside, mounted outside", "/proc/locks", status.st_ino);
		fflush(stdout);
		pid_t below = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
		if (below == 0) {
			locks("below", "/tmp/gone_proc/locks", status.st_ino);
			fflush(stdout);
			_exit(0);
		}
		show_end(below);
	});
	locks("outside", "/proc/locks", status.st_ino);
	unlink(path);
	rmdir("/tmp/gone_proc");
}

int main(void)
{
	sockets();
	system_v();
	owners();
	listed();
	return 0;
}
