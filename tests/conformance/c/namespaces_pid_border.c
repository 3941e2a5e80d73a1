/* pid_namespaces(7): wherever a number of a process reaches a program or comes from one, it is that of the program's namespace. */
#include "case.h"
#include <dirent.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <pty.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/user.h>

static pid_t outer; /* of the process outside */

#define AS_INIT(...) do { \
	fflush(stdout); \
	pid_t init_ = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)); \
	if (init_ == 0) { __VA_ARGS__; fflush(stdout); _exit(0); } \
	show_end(init_); \
} while (0)

static void *shared_page(void)
{
	return mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static pid_t sleeper(void)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		for (;;)
			pause();
	return child;
}

static void end(pid_t process)
{
	kill(process, SIGKILL);
	waitpid(process, 0, 0);
}

/* ---- calls that name a process ---- */

static void naming(void)
{
	struct sched_param parameters = { 0 };
	struct rlimit limit;
	struct timespec time;
	cpu_set_t set;
	char byte = 0;
	struct iovec here = { &byte, 1 }, there = { &byte, 1 };
	AS_INIT({
		pid_t child = sleeper();
		pid_t all[] = { child, outer };
		for (int i = 0; i < 2; i++) {
			pid_t who = all[i];
			printf("-- %s\n", i == 0 ? "inside" : "outside");
			SHOW(sched_getscheduler(who));
			SHOW(syscall(SYS_sched_getscheduler, who));
			SHOW(syscall(SYS_sched_getparam, who, &parameters));
			TRY(syscall(SYS_sched_getaffinity, who, sizeof set, &set));
			SHOW(getpriority(PRIO_PROCESS, (id_t)who));
			SHOW(setpriority(PRIO_PROCESS, (id_t)who, 1));
			SHOW(syscall(SYS_prlimit64, who, RLIMIT_NOFILE, 0, &limit));
			SHOW(syscall(SYS_process_vm_readv, who, &here, 1, &there, 1, 0));
			SHOW(syscall(SYS_kcmp, who, who, 0, 0, 0));
			void *head;
			size_t size;
			SHOW(syscall(SYS_get_robust_list, who, &head, &size));
			SHOW(syscall(SYS_ioprio_get, 1, who));
			SHOW(clock_gettime(~who * 8 + 2, &time));
			TRY(syscall(SYS_pidfd_open, who, 0));
			SHOW(ptrace(PTRACE_ATTACH, who, 0, 0));
			if (i == 0) {
				int status;
				SHOW(waitpid(who, &status, 0));
				show_status(status);
				SHOW(ptrace(PTRACE_DETACH, who, 0, 0));
			}
			SHOW(kill(who, SIGCONT));
			SHOW(syscall(SYS_tgkill, who, who, 0));
			SHOW(syscall(SYS_tkill, who, 0));
			SHOW(kill(-who, 0));
			union sigval value = { 0 };
			SHOW(sigqueue(who, 0, value));
			SHOW(prctl(PR_SET_PTRACER, who));
			uint32_t header[2] = { 0x20080522, (uint32_t)who };
			uint32_t data[6];
			SHOW(syscall(SYS_capget, header, data));
			SHOW(syscall(SYS_getsid, who));
			SHOW(syscall(SYS_setpgid, who, who));
		}
		end(child);
		SHOW(getpriority(PRIO_USER, 0));
	});
}

/* ---- signals ---- */

static siginfo_t last;
static void note(int signo, siginfo_t *info, void *context)
{
	last = *info;
}

static void show_sender(const char *what)
{
	printf("%s: signal %d code %d from %d\n", what, last.si_signo, last.si_code, last.si_pid);
	memset(&last, 0, sizeof last);
}

static void signals(void)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	MUST(sigaction(SIGUSR1, &action, 0));
	MUST(sigaction(SIGRTMIN, &action, 0));
	MUST(sigaction(SIGCHLD, &action, 0));
	AS_INIT({
		pid_t self = getpid();
		kill(self, SIGUSR1);
		show_sender("own");
		union sigval value = { 5 };
		sigqueue(self, SIGRTMIN, value);
		show_sender("own, queued");
		sigset_t end_of_child;
		sigemptyset(&end_of_child);
		sigaddset(&end_of_child, SIGCHLD);
		MUST(sigprocmask(SIG_BLOCK, &end_of_child, 0));
		IN_CHILD(kill(1, SIGUSR1));
		show_sender("child");
		MUST(sigprocmask(SIG_UNBLOCK, &end_of_child, 0));
		show_sender("child's end");
		MUST(setsid());
		IN_CHILD({
			kill(0, SIGUSR1);
			show_sender("group");
			kill(-1, SIGUSR1);
			show_sender("all");
		});
	});
	/* Somebody in a namespace below reaches the group that it was born in, though it does not know its number. */
	IN_CHILD({
		MUST(setpgid(0, 0));
		pid_t init = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
		if (init == 0) {
			signal(SIGUSR1, SIG_IGN);
			_exit(kill(0, SIGUSR1) == 0 ? 0 : 1);
		}
		int status;
		while (waitpid(init, &status, 0) == -1)
			;
		show_status(status);
		CHECK(last.si_signo == SIGCHLD ? last.si_pid == init : last.si_pid == 1 || last.si_pid == 0);
	});
	/* A descriptor of somebody outside leads no signal there. */
	int process = (int)MUST(syscall(SYS_pidfd_open, outer, 0));
	AS_INIT({
		SHOW(syscall(SYS_pidfd_send_signal, process, 0, 0, 0));
		SHOW(syscall(SYS_pidfd_send_signal, process, SIGKILL, 0, 0));
		SHOW(setns(process, CLONE_NEWPID));
		char path[64];
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", process);
		FILE *file = fopen(path, "r");
		CHECK(file == 0);
	});
	close(process);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
}

/* ---- what is shown of a sender, an owner, a holder ---- */

static void show_credentials(const char *what, int socket)
{
	char byte, control[256];
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	MUST(recvmsg(socket, &message, 0));
	struct ucred *who = (struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&message));
	if (who->pid == outer)
		printf("%s: the one outside\n", what);
	else
		printf("%s: %d\n", what, who->pid);
}

static void claim(int socket, pid_t pid)
{
	char control[CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_CREDENTIALS;
	head->cmsg_len = CMSG_LEN(sizeof(struct ucred));
	struct ucred who = { pid, getuid(), getgid() };
	memcpy(CMSG_DATA(head), &who, sizeof who);
	SHOW(sendmsg(socket, &message, 0));
}

static void sockets(void)
{
	int pair[2], on = 1;
	struct ucred who;
	socklen_t size = sizeof who;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	MUST(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	MUST(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	MUST(write(pair[0], "x", 1));
	pid_t init = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
	if (init == 0) {
		show_credentials("from outside", pair[1]);
		SHOW(getsockopt(pair[1], SOL_SOCKET, SO_PEERCRED, &who, &size));
		SHOW(who.pid);
		MUST(write(pair[1], "y", 1));
		claim(pair[1], 1);
		claim(pair[1], outer);
		IN_CHILD({
			claim(pair[1], getpid());
			claim(pair[1], 1);
		});
		int own[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, own));
		MUST(getsockopt(own[0], SOL_SOCKET, SO_PEERCRED, &who, &size));
		SHOW(who.pid);
		fflush(stdout);
		_exit(0);
	}
	show_end(init);
	char byte, control[256];
	for (int i = 0; i < 4; i++) {
		struct iovec part = { &byte, 1 };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
		if (recvmsg(pair[0], &message, MSG_DONTWAIT) <= 0)
			break;
		struct ucred *from = (struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&message));
		printf("to outside: %s\n", from->pid == init ? "the init" : from->pid == 0 ? "nobody" : from->pid > init ? "another" : "?");
	}
	close(pair[0]);
	close(pair[1]);
}

static void files(void)
{
	int ends[2];
	char path[] = "/tmp/border_XXXXXX";
	int file = (int)MUST(mkstemp(path));
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
	MUST(pipe(ends));
	MUST(fcntl(ends[0], F_SETOWN, outer));
	MUST(fcntl(ends[1], F_SETOWN, -getpgrp()));
	MUST(fcntl(file, F_SETLK, &lock));
	AS_INIT({
		SHOW(fcntl(ends[0], F_GETOWN));
		SHOW(fcntl(ends[1], F_GETOWN));
		SHOW(fcntl(ends[0], F_SETOWN, outer));
		SHOW(fcntl(ends[0], F_SETOWN, 1));
		SHOW(fcntl(ends[0], F_GETOWN));
		struct { int type; pid_t pid; } owner = { 1, 1 };
		SHOW(fcntl(ends[1], 15, &owner));
		SHOW(fcntl(ends[1], 16, &owner));
		SHOW(owner.pid);
		lock.l_type = F_WRLCK;
		SHOW(fcntl(file, F_GETLK, &lock));
		SHOW(lock.l_pid);
		struct flock mine = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 10 };
		MUST(fcntl(file, F_SETLK, &mine));
		IN_CHILD({
			MUST(fcntl(file, F_GETLK, &mine));
			SHOW(mine.l_pid);
		});
		struct flock open_lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 40, .l_len = 10 };
		MUST(fcntl(file, F_OFD_SETLK, &open_lock));
		IN_CHILD({
			open_lock.l_pid = 0;
			open_lock.l_type = F_WRLCK;
			MUST(fcntl(file, F_GETLK, &open_lock));
			SHOW(open_lock.l_pid);
		});
	});
	unlink(path);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

static void system_v(void)
{
	int queue = (int)MUST(msgget(IPC_PRIVATE, 0600)), set = (int)MUST(semget(IPC_PRIVATE, 1, 0600));
	int segment = (int)MUST(shmget(IPC_PRIVATE, PAGE, 0600));
	struct { long type; char text[1]; } message = { 1, "x" };
	struct msqid_ds of_queue;
	struct shmid_ds of_segment;
	struct sembuf more = { 0, 1, 0 };
	MUST(msgsnd(queue, &message, 1, 0));
	MUST(semop(set, &more, 1));
	AS_INIT({
		MUST(msgctl(queue, IPC_STAT, &of_queue));
		SHOW(of_queue.msg_lspid);
		MUST(msgrcv(queue, &message, 1, 0, 0));
		MUST(msgctl(queue, IPC_STAT, &of_queue));
		SHOW(of_queue.msg_lrpid);
		SHOW(semctl(set, 0, GETPID));
		MUST(semop(set, &more, 1));
		SHOW(semctl(set, 0, GETPID));
		MUST(shmctl(segment, IPC_STAT, &of_segment));
		SHOW(of_segment.shm_cpid);
		void *at = shmat(segment, 0, 0);
		MUST(shmdt(at));
		MUST(shmctl(segment, IPC_STAT, &of_segment));
		SHOW(of_segment.shm_lpid);
	});
	MUST(msgctl(queue, IPC_STAT, &of_queue));
	CHECK(of_queue.msg_lspid == outer);
	MUST(shmctl(segment, IPC_STAT, &of_segment));
	CHECK(of_segment.shm_cpid == outer);
	msgctl(queue, IPC_RMID, 0);
	semctl(set, 0, IPC_RMID);
	shmctl(segment, IPC_RMID, 0);
}

static void queues(void)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = 8 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int queue = (int)MUST(mq_open("/border", O_RDWR | O_CREAT, 0600, &attributes));
	char text[8];
	MUST(sigaction(SIGUSR1, &action, 0));
	MUST(mq_notify(queue, &event));
	AS_INIT(MUST(mq_send(queue, "x", 1, 0)));
	printf("notified by %s\n", last.si_pid > outer ? "the init" : "another");
	MUST(mq_receive(queue, text, 8, 0));
	AS_INIT({
		MUST(mq_notify(queue, &event));
		IN_CHILD(MUST(mq_send(queue, "x", 1, 0)));
		show_sender("queue");
	});
	mq_unlink("/border");
	close(queue);
	signal(SIGUSR1, SIG_DFL);
}

static void futexes(void)
{
	uint32_t *word = shared_page();
	AS_INIT({
		SHOW(syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, 0));
		SHOW(*word);
		SHOW(syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, 0));
		IN_CHILD({
			SHOW(syscall(SYS_futex, word, FUTEX_TRYLOCK_PI, 0, 0));
			SHOW(syscall(SYS_futex, word, FUTEX_UNLOCK_PI, 0, 0));
		});
		SHOW(syscall(SYS_futex, word, FUTEX_UNLOCK_PI, 0, 0));
		SHOW(*word);
		*word = (uint32_t)outer;
		SHOW(syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, 0));
		*word = 0;
		pid_t *place = (pid_t *)(word + 8);
		pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_PARENT_SETTID | SIGCHLD, 0, place + 1, place, 0));
		if (child == 0)
			_exit(*place);
		show_end(child);
		SHOW(place[1]);
		SHOW(syscall(SYS_set_tid_address, word));
	});
	pid_t *place = (pid_t *)(word + 8);
	pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | CLONE_PARENT_SETTID | SIGCHLD, 0, place, 0, 0));
	if (child == 0)
		_exit(0);
	CHECK(*place == child);
	show_end(child);
}

static void terminals(void)
{
	int main_end, side;
	MUST(openpty(&main_end, &side, 0, 0, 0));
	pid_t foreground;
	IN_CHILD({
		MUST(setsid());
		MUST(ioctl(side, TIOCSCTTY, 0));
		AS_INIT({
			SHOW(tcgetpgrp(side));
			SHOW(ioctl(side, TIOCGSID, &foreground));
			SHOW(foreground);
			SHOW(tcsetpgrp(side, outer));
			SHOW(ioctl(main_end, TIOCGPGRP, &foreground));
			SHOW(foreground);
			MUST(setpgid(0, 0));
			signal(SIGTTOU, SIG_IGN);
			SHOW(tcsetpgrp(side, 1));
			SHOW(tcgetpgrp(side));
		});
		AS_INIT({
			MUST(setsid());
			SHOW(ioctl(side, TIOCSCTTY, 1));
			SHOW(tcgetpgrp(side));
			SHOW(ioctl(side, TIOCGSID, &foreground));
			SHOW(foreground);
		});
	});
	close(main_end);
	close(side);
}

/* ---- tracing ---- */

static void tracing(void)
{
	int status, go[2];
	unsigned long message;
	siginfo_t info;
	MUST(pipe(go));
	/* The tracer is outside. */
	pid_t init = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
	if (init == 0) {
		char byte;
		MUST(read(go[0], &byte, 1));
		pid_t child = (pid_t)MUST(fork());
		if (child == 0)
			_exit(getpid() == 2 ? 7 : 8);
		MUST(waitpid(child, &status, 0));
		_exit(WEXITSTATUS(status));
	}
	MUST(ptrace(PTRACE_SEIZE, init, 0, PTRACE_O_TRACEFORK));
	MUST(write(go[1], "x", 1));
	CHECK(waitpid(init, &status, 0) == init);
	printf("event %x\n", (unsigned)status >> 8);
	MUST(ptrace(PTRACE_GETEVENTMSG, init, 0, &message));
	pid_t child = (pid_t)message;
	CHECK(child > init);
	MUST(ptrace(PTRACE_GETSIGINFO, init, 0, &info));
	printf("the stop is of %d\n", info.si_pid);
	CHECK(waitpid(child, &status, __WALL) == child);
	MUST(ptrace(PTRACE_CONT, child, 0, 0));
	MUST(ptrace(PTRACE_CONT, init, 0, 0));
	CHECK(waitpid(child, &status, __WALL) == child);
	show_status(status);
	for (;;) {
		MUST(waitpid(init, &status, 0));
		if (!WIFSTOPPED(status))
			break;
		MUST(ptrace(PTRACE_CONT, init, 0, WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status)));
	}
	show_status(status);
	/* It is inside. */
	AS_INIT({
		pid_t tracee = (pid_t)MUST(fork());
		if (tracee == 0) {
			MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
			raise(SIGSTOP);
			_exit(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0 ? 0 : 4);
		}
		SHOW(waitpid(tracee, &status, 0));
		MUST(ptrace(PTRACE_SETOPTIONS, tracee, 0, PTRACE_O_TRACEFORK));
		MUST(ptrace(PTRACE_CONT, tracee, 0, 0));
		SHOW(waitpid(tracee, &status, 0));
		MUST(ptrace(PTRACE_GETEVENTMSG, tracee, 0, &message));
		SHOW(message);
		SHOW(waitpid((pid_t)message, &status, __WALL));
		MUST(ptrace(PTRACE_CONT, message, 0, 0));
		end(tracee);
	});
	close(go[0]);
	close(go[1]);
}

/* ---- /proc ---- */

static void listing(const char *path)
{
	DIR *directory = opendir(path);
	printf("%s:", path);
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			printf(" %s", entry->d_name);
	printf("\n");
	if (directory)
		closedir(directory);
}

static void lines(const char *path)
{
	static const char *const wanted[] = { "Tgid", "Pid", "PPid", "TracerPid", "NStgid", "NSpid", "NSpgid", "NSsid" };
	char line[256];
	FILE *file = fopen(path, "r");
	if (!file) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	while (fgets(line, sizeof line, file))
		for (int i = 0; i < 8; i++)
			if (strncmp(line, wanted[i], strlen(wanted[i])) == 0 && line[strlen(wanted[i])] == ':')
				printf("%s", line);
	fclose(file);
}

/* Lines of a namespace below: the first number differs from run to run. */
static void inner_numbers(pid_t process)
{
	char path[64], line[256];
	snprintf(path, sizeof path, "/proc/%d/status", process);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "NS", 2) == 0) {
			char name[16];
			int first, second = -1, third = -1;
			int count = sscanf(line, "%15s %d %d %d", name, &first, &second, &third);
			printf("%s %d numbers, then %d %d\n", name, count - 1, second, third);
		}
	fclose(file);
}

static void stat_numbers(const char *path)
{
	char text[512];
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = 0;
	int pid, parent, group, session, terminal, foreground;
	sscanf(text, "%d", &pid);
	sscanf(strrchr(text, ')') + 4, "%d %d %d %d %d", &parent, &group, &session, &terminal, &foreground);
	printf("stat: %d %d %d %d %d\n", pid, parent, group, session, foreground);
	close(fd);
}

static void proc(void)
{
	int ready[2], more[2];
	char byte, text[64];
	MUST(mkdir("/tmp/border_proc", 0755));
	MUST(pipe(ready));
	MUST(pipe(more));
	pid_t init = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
	if (init == 0) {
		MUST(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0));
		pid_t child = sleeper();
		TRY(readlink("/proc/self", text, sizeof text));
		MUST(mount("proc", "/tmp/border_proc", "proc", 0, 0));
		listing("/tmp/border_proc");
		listing("/tmp/border_proc/1/task");
		lines("/tmp/border_proc/self/status");
		lines("/tmp/border_proc/2/status");
		stat_numbers("/tmp/border_proc/2/stat");
		memset(text, 0, sizeof text);
		MUST(readlink("/tmp/border_proc/self", text, sizeof text));
		printf("self: %s\n", text);
		memset(text, 0, sizeof text);
		MUST(readlink("/tmp/border_proc/thread-self", text, sizeof text));
		printf("thread-self: %s\n", text);
		snprintf(text, sizeof text, "/tmp/border_proc/%d", outer);
		SHOW(access(text, F_OK));
		SHOW(access("/tmp/border_proc/0", F_OK));
		int process = (int)MUST(syscall(SYS_pidfd_open, child, 0));
		snprintf(text, sizeof text, "/tmp/border_proc/self/fdinfo/%d", process);
		FILE *file = fopen(text, "r");
		char line[128];
		while (file && fgets(line, sizeof line, file))
			if (strstr(line, "Pid:") || strstr(line, "NSpid:"))
				printf("%s", line);
		fclose(file);
		MUST(mount("proc", "/proc", "proc", 0, 0));
		listing("/proc");
		end(child);
		SHOW(access("/proc/2", F_OK));
		printf("pidfd of a dead one\n");
		IN_CHILD({
			MUST(unshare(CLONE_NEWPID));
			pid_t below = sleeper();
			snprintf(text, sizeof text, "/proc/%d/status", below);
			lines(text);
			MUST(ptrace(PTRACE_SEIZE, below, 0, 0));
			lines(text);
			end(below);
		});
		MUST(write(ready[1], "x", 1));
		MUST(read(more[0], &byte, 1));
		fflush(stdout);
		_exit(0);
	}
	MUST(read(ready[0], &byte, 1));
	inner_numbers(init);
	/* Seen from outside, through the mount inside. */
	snprintf(text, sizeof text, "/proc/%d/root/tmp/border_proc/self", init);
	SHOW(readlink(text, text, sizeof text));
	snprintf(text, sizeof text, "/proc/%d/root/tmp/border_proc", init);
	DIR *directory = opendir(text);
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			printf("through the root: %s\n", entry->d_name);
	closedir(directory);
	int process = (int)MUST(syscall(SYS_pidfd_open, init, 0));
	snprintf(text, sizeof text, "/proc/self/fdinfo/%d", process);
	FILE *file = fopen(text, "r");
	char line[128];
	while (file && fgets(line, sizeof line, file)) {
		int first, second = -1;
		if (sscanf(line, "NSpid: %d %d", &first, &second) > 0)
			printf("fdinfo: %s, %d\n", first == init ? "its number" : "another", second);
	}
	fclose(file);
	MUST(write(more[1], "x", 1));
	show_end(init);
	rmdir("/tmp/border_proc");
}

int main(void)
{
	outer = getpid();
	naming();
	signals();
	sockets();
	files();
	system_v();
	queues();
	futexes();
	terminals();
	tracing();
	proc();
	return 0;
}
