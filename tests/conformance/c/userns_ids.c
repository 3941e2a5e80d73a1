/* Ids across user namespaces: files, signals, waits, sockets, System V objects, queues, lists, /proc. */
#include "userns_case.h"
#include <mqueue.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void owner(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %d %d mode %o\n", path, s.st_uid, s.st_gid, s.st_mode);
}

static void files_inside(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	owner("/tmp/ui/root");
	owner("/tmp/ui/mapped");
	owner("/tmp/ui/last");
	owner("/tmp/ui/beyond");
	owner("/proc/self");
	owner("/proc/self/stat");
	owner("/proc/1");
	owner("/proc/sys/kernel/hostname");
	owner("/dev/null");
	SHOW(chown("/tmp/ui/mapped", 1, 2));
	owner("/tmp/ui/mapped");
	SHOW(chown("/tmp/ui/mapped", 1000, 0));
	SHOW(chown("/tmp/ui/mapped", -1, 1000));
	SHOW(chown("/tmp/ui/mapped", 65534, -1));
	SHOW(chown("/tmp/ui/root", 0, 0));
	SHOW(chown("/tmp/ui/beyond", 0, 0));
	SHOW(chown("/tmp/ui/half", 0, 0));
	SHOW(chmod("/tmp/ui/half", 0600));
	SHOW(chmod("/tmp/ui/root", 0666));
	SHOW(chmod("/tmp/ui/mapped", 06755));
	owner("/tmp/ui/mapped");
	SHOW(open("/tmp/ui/mapped", O_RDONLY) >= 0);
	SHOW(open("/tmp/ui/root", O_RDONLY));
	SHOW(open("/tmp/ui/half", O_RDWR));
	SHOW(open("/tmp/ui/last", O_RDWR) >= 0);
	SHOW(unlink("/tmp/ui/open/root"));
	SHOW(unlink("/tmp/ui/open/last"));
	SHOW(rename("/tmp/ui/open/half", "/tmp/ui/open/other"));
	SHOW(utimensat(AT_FDCWD, "/tmp/ui/half", (struct timespec[]){ { 1, 1 }, { 2, 2 } }, 0));
	SHOW(utimensat(AT_FDCWD, "/tmp/ui/root", NULL, 0));
	put_file("/tmp/ui/open/new", "x", 0644);
	owner("/tmp/ui/open/new");
	SHOW(mkdir("/tmp/ui/open/directory", 02755));
	owner("/tmp/ui/open/directory");
	SHOW(mknod("/tmp/ui/open/device", S_IFCHR | 0600, 0x103));
	SHOW(mknod("/tmp/ui/open/zero", S_IFCHR | 0600, 0));
	SHOW(mknod("/tmp/ui/open/fifo", S_IFIFO | 0600, 0));
	SHOW(setxattr("/tmp/ui/last", "trusted.a", "b", 1, 0));
	SHOW(setxattr("/tmp/ui/last", "security.a", "b", 1, 0));
	SHOW(setxattr("/tmp/ui/last", "user.a", "b", 1, 0));
	SHOW(getxattr("/tmp/ui/last", "trusted.x", NULL, 0));
	char names[100];
	SHOW(listxattr("/tmp/ui/last", names, sizeof names));
	SHOW(access("/tmp/ui/root", R_OK));
	SHOW(access("/tmp/ui/last", R_OK));
	MUST(setresgid(7, 7, 7));
	MUST(setresuid(7, 7, 7));
	SHOW(open("/tmp/ui/last", O_RDWR));
}

static void place(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	put_file(path, "text", 0600);
	MUST(chown(path, uid, gid));
	MUST(chmod(path, mode));
}

static void files(void)
{
	MUST(mkdir("/tmp/ui", 0755));
	MUST(mkdir("/tmp/ui/open", 0777));
	MUST(chmod("/tmp/ui/open", 01777));
	place("/tmp/ui/root", 0, 0, 0600);
	place("/tmp/ui/mapped", 100000, 100000, 0600);
	place("/tmp/ui/last", 100999, 100999, 0600);
	place("/tmp/ui/beyond", 101000, 101000, 0600);
	place("/tmp/ui/half", 100000, 5, 0600);
	place("/tmp/ui/open/root", 0, 0, 0600);
	place("/tmp/ui/open/last", 100999, 100999, 0600);
	place("/tmp/ui/open/half", 100001, 5, 0600);
	setxattr("/tmp/ui/last", "trusted.x", "y", 1, 0);
	struct child c = begin_mapped(files_inside, 0);
	finish(c);
	owner("/tmp/ui/mapped");
	owner("/tmp/ui/open/new");
	owner("/tmp/ui/open/directory");
	owner("/tmp/ui/open/fifo");
}

static volatile int caught[4], catches;
static void catch(int signo, siginfo_t *info, void *context)
{
	(void)context;
	(void)signo;
	if (catches < 4)
		caught[catches++] = (int)info->si_uid;
}

static void signals_inside(void)
{
	hear();
	struct sigaction action = { .sa_sigaction = catch, .sa_flags = SA_SIGINFO };
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGCHLD, &action, NULL);
	MUST(setresgid(5, 5, 5));
	MUST(setresuid(5, 5, 5));
	MUST(kill(getpid(), SIGUSR1)); /* raise(3) of musl knows nothing of a plain clone */
	say();
	hear();
	while (catches < 2)
		sleep_ms(2);
	say();
	hear();
	while (catches < 3)
		sleep_ms(2);
	for (int i = 0; i < catches; i++)
		printf("si_uid %d\n", caught[i]);
	SHOW(kill(getppid(), 0));
	SHOW(kill(1, 0));
}

static void signals(void)
{
	struct child c = begin_mapped(signals_inside, 0);
	await(c);
	IN_CHILD(become(1000); SHOW(kill(c.pid, SIGUSR1)));
	SHOW(kill(c.pid, SIGUSR1));
	tell(c);
	await(c);
	IN_CHILD({
		MUST(setresuid(100007, 100005, 100005));
		SHOW(sigqueue(c.pid, SIGRTMIN, (union sigval){ 0 }));
	});
	tell(c);
	siginfo_t info = { 0 };
	MUST(waitid(P_PID, c.pid, &info, WEXITED | WNOWAIT));
	printf("waitid %d\n", info.si_uid);
	finish(c);
	/* What a parent inside hears of a child of another owner. */
	struct child d = begin(hear, CLONE_NEWUSER);
	MUST(put_of(d.pid, "uid_map", "0 0 1\n5 7 1"));
	tell(d);
	finish(d);
}

static void show_credentials(int socket, const char *when)
{
	char byte, control[64];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	MUST(recvmsg(socket, &message, 0));
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (!header) {
		printf("%s: none\n", when);
		return;
	}
	struct ucred who;
	memcpy(&who, CMSG_DATA(header), sizeof who);
	printf("%s: %d %d\n", when, who.uid, who.gid);
}

static int pair[2], peer[2];

static void claim(uid_t uid, gid_t gid, pid_t pid)
{
	char control[CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_CREDENTIALS;
	header->cmsg_len = CMSG_LEN(sizeof(struct ucred));
	struct ucred who = { pid, uid, gid };
	memcpy(CMSG_DATA(header), &who, sizeof who);
	printf("claim %d %d: ", uid, gid);
	long done = sendmsg(pair[1], &message, 0);
	printf("%ld %s\n", done, done < 0 ? error_name(errno) : "");
}

static void sockets_inside(void)
{
	hear();
	struct ucred who = { 0 };
	socklen_t size = sizeof who;
	MUST(getsockopt(peer[1], SOL_SOCKET, SO_PEERCRED, &who, &size));
	printf("peer inside %d %d\n", who.uid, who.gid);
	MUST(write(pair[1], "x", 1));
	claim(0, 0, getpid());
	claim(0, 5, getpid());
	claim(999, 999, getpid());
	claim(1000, 0, getpid());
	claim(0, 0, getppid());
	MUST(setresuid(3, 3, 3));
	claim(3, 0, getpid());
	claim(4, 0, getpid());
	say();
	hear();
	show_credentials(peer[1], "inside, from root");
	show_credentials(peer[1], "inside, from 100002");
}

static void sockets(void)
{
	int on = 1;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, peer));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	MUST(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	MUST(setsockopt(peer[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	struct child c = begin_mapped(sockets_inside, 0);
	await(c);
	for (int i = 0; i < 5; i++)
		show_credentials(pair[0], "outside");
	MUST(write(peer[0], "x", 1));
	IN_CHILD({
		MUST(setresgid(100002, 100002, 100002));
		MUST(setresuid(100002, 100002, 100002));
		MUST(write(peer[0], "x", 1));
	});
	tell(c);
	finish(c);
	IN_CHILD({
		become(100009);
		int two[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
		enter_as_root(0);
		struct ucred who = { 0 };
		socklen_t size = sizeof who;
		MUST(getsockopt(two[1], SOL_SOCKET, SO_PEERCRED, &who, &size));
		printf("own pair %d %d\n", who.uid, who.gid);
	});
}

static void ipc_inside(void)
{
	hear();
	struct msqid_ds queue;
	struct shmid_ds memory;
	int number = msgget(77, 0);
	CHECK(number >= 0 && msgget(77, 0600) == number);
	if (number >= 0) {
		SHOW(msgctl(number, IPC_STAT, &queue));
		SHOW(msgctl(number, IPC_RMID, NULL));
	}
	int own = (int)MUST(msgget(IPC_PRIVATE, 0666));
	MUST(msgctl(own, IPC_STAT, &queue));
	printf("own %d %d %d %d\n", queue.msg_perm.uid, queue.msg_perm.gid, queue.msg_perm.cuid, queue.msg_perm.cgid);
	queue.msg_perm.uid = 7;
	SHOW(msgctl(own, IPC_SET, &queue));
	MUST(msgctl(own, IPC_STAT, &queue));
	printf("own %d %d\n", queue.msg_perm.uid, queue.msg_perm.cuid);
	queue.msg_perm.uid = 5000;
	SHOW(msgctl(own, IPC_SET, &queue));
	SHOW(shmctl(shmget(78, 1, 0), IPC_STAT, &memory));
	CHECK(semget(79, 1, 0600) >= 0);
	MUST(msgctl(own, IPC_RMID, NULL));
	MUST(unshare(CLONE_NEWIPC));
	own = (int)MUST(msgget(80, 0 | IPC_CREAT));
	SHOW(msgctl(own, IPC_STAT, &queue));
	MUST(setresuid(5, 5, 5));
	SHOW(msgctl(own, IPC_STAT, &queue));
}

static void ipc(void)
{
	int queue = (int)MUST(msgget(77, IPC_CREAT | 0644)), memory = (int)MUST(shmget(78, 4096, IPC_CREAT | 0644));
	int set = (int)MUST(semget(79, 1, IPC_CREAT | 0600));
	struct child c = begin_mapped(ipc_inside, 0);
	finish(c);
	SHOW(msgctl(queue, IPC_RMID, NULL)); /* the child has removed it */
	MUST(shmctl(memory, IPC_RMID, NULL));
	MUST(semctl(set, 0, IPC_RMID));
}

struct acl { uint32_t version; struct { uint16_t tag, rights; uint32_t id; } entries[5]; };

static void show_list(const char *path)
{
	struct acl list = { 0 };
	long size = getxattr(path, "system.posix_acl_access", &list, sizeof list);
	printf("list of %ld:", size);
	for (long i = 0; 4 + 8 * (i + 1) <= size; i++)
		printf(" %x:%x:%d", list.entries[i].tag, list.entries[i].rights, (int)list.entries[i].id);
	printf("\n");
}

static void lists_inside(void)
{
	hear();
	show_list("/tmp/ui/listed");
	struct acl list = { 2, { { 1, 6, -1 }, { 2, 7, 5 }, { 4, 4, -1 }, { 16, 7, -1 }, { 32, 0, -1 } } };
	SHOW(setxattr("/tmp/ui/listed", "system.posix_acl_access", &list, sizeof list, 0));
	show_list("/tmp/ui/listed");
	list.entries[1].id = 5000;
	SHOW(setxattr("/tmp/ui/listed", "system.posix_acl_access", &list, sizeof list, 0));
	SHOW(setxattr("/tmp/ui/root", "system.posix_acl_access", &list, sizeof list, 0));
	MUST(setresuid(5, 5, 5));
	SHOW(open("/tmp/ui/listed", O_RDWR) >= 0);
}

static void lists(void)
{
	place("/tmp/ui/listed", 100000, 100000, 0600);
	struct acl list = { 2, { { 1, 6, -1 }, { 2, 6, 1000 }, { 4, 4, -1 }, { 16, 7, -1 }, { 32, 0, -1 } } };
	SHOW(setxattr("/tmp/ui/listed", "system.posix_acl_access", &list, sizeof list, 0));
	struct child c = begin_mapped(lists_inside, 0);
	finish(c);
	show_list("/tmp/ui/listed");
}

static void status_line(const char *path, const char *wanted)
{
	char line[256];
	FILE *file = fopen(path, "r");
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, wanted, strlen(wanted)))
			printf("%s", line);
	fclose(file);
}

static void status_inside(void)
{
	hear();
	MUST(setgroups(2, (gid_t[]){ 3, 4 }));
	MUST(setresgid(1, 2, 3));
	status_line("/proc/self/status", "Gid:");
	status_line("/proc/self/status", "Uid:");
	status_line("/proc/self/status", "Groups:");
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", getppid());
	status_line(path, "Uid:");
	say();
	hear();
}

static void status(void)
{
	struct child c = begin_mapped(status_inside, 0);
	await(c);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", c.pid);
	status_line(path, "Uid:");
	status_line(path, "Gid:");
	status_line(path, "Groups:");
	status_line(path, "CapEff:");
	snprintf(path, sizeof path, "/proc/%d", c.pid);
	MUST(chdir(path));
	owner(".");
	owner("status");
	MUST(chdir("/"));
	tell(c);
	finish(c);
}

static void owners_of_signals(void)
{
	IN_CHILD({
		int two[2];
		uint32_t uids[2] = { 9, 9 };
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
		MUST(fcntl(two[0], F_SETOWN, getpid()));
		MUST(fcntl(two[0], 17, uids));
		printf("F_GETOWNER_UIDS %d %d\n", (int)uids[0], (int)uids[1]);
		become(1000);
		MUST(unshare(CLONE_NEWUSER));
		MUST(fcntl(two[0], 17, uids));
		printf("F_GETOWNER_UIDS %d %d\n", (int)uids[0], (int)uids[1]);
	});
}

int main(void)
{
	files();
	signals();
	sockets();
	ipc();
	lists();
	status();
	owners_of_signals();
}
