/* User notification of seccomp: listeners, what they receive, answer and add; signals, ends on both sides, errors. */
#include "seccomp_case.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#define RECEIVE 0xc0502100u
#define SEND 0xc0182101u
#define VALID 0x40082102u
#define VALID_OLD 0x80082102u
#define ADD 0x40182103u
#define FLAGS 0x40082104u

struct notification {
	uint64_t id;
	uint32_t pid, flags;
	struct { int number; uint32_t arch; uint64_t ip, arguments[6]; } data;
};

struct answer {
	uint64_t id;
	int64_t value;
	int32_t error;
	uint32_t flags;
};

struct addition {
	uint64_t id;
	uint32_t flags, source, number, file_flags;
};

static struct sock_filter ask_mkdir[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_fprog program = {4, ask_mkdir};

static long filter(unsigned long flags)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* A child that gives its listener away, and then makes some calls. */
static int with_child(pid_t *child, unsigned long flags, void (*body)(void))
{
	int pair[2], fd = -1;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	fflush(stdout);
	*child = (pid_t)MUST(fork());
	char space[CMSG_SPACE(sizeof fd)] = "", byte = 'x';
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
	if (*child == 0) {
		close(pair[0]);
		fd = (int)MUST(filter(SECCOMP_FILTER_FLAG_NEW_LISTENER | flags));
		struct cmsghdr *part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(part), &fd, sizeof fd);
		MUST(sendmsg(pair[1], &message, 0));
		close(fd);
		close(pair[1]);
		freopen("/tmp/notify_output", "w", stdout); /* shown when it has ended */
		body();
		fflush(stdout);
		_exit(0);
	}
	close(pair[1]);
	MUST(recvmsg(pair[0], &message, 0));
	close(pair[0]);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static void finish(pid_t child)
{
	char line[256];
	waitpid(child, NULL, 0);
	FILE *file = fopen("/tmp/notify_output", "r");
	while (file && fgets(line, sizeof line, file))
		printf("child: %s", line);
	if (file)
		fclose(file);
}

static int events(int fd, int wait)
{
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};
	poll(&p, 1, wait);
	return p.revents;
}

static uint64_t receive(int fd, struct notification *n)
{
	memset(n, 0, sizeof *n);
	MUST(ioctl(fd, RECEIVE, n));
	return n->id;
}

static long reply(int fd, uint64_t id, int64_t value, int error, unsigned flags)
{
	struct answer a = {id, value, error, flags};
	return ioctl(fd, SEND, &a);
}

static void one_call(void)
{
	SHOW(syscall(SYS_mkdir, "/tmp/notify", 0700));
}

static void five_calls(void)
{
	for (int i = 0; i < 5; i++)
		SHOW(syscall(SYS_mkdir, "/tmp/notify", 0700));
	SHOW(rmdir("/tmp/notify"));
}

static void many_files(void)
{
	for (int i = 0; i < 8; i++) {
		int fd = (int)syscall(SYS_mkdir, "/tmp/notify", 0700);
		printf("got %s, close-on-exec %d\n", fd < 0 ? error_name(errno) : "a file", fd < 0 ? -1 : fcntl(fd, F_GETFD));
		if (i == 2)
			printf("at 33: %d\n", fcntl(33, F_GETFD));
	}
}

static void installing(void)
{
	SHOW(filter(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
	SHOW(filter(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC));
	SHOW(filter(0x40));
	uint16_t sizes[4] = {0, 0, 0, 77};
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, sizes));
	printf("%u %u %u %u\n", sizes[0], sizes[1], sizes[2], sizes[3]);
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 1, sizes));
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, NULL));
	unsigned action = SECCOMP_RET_USER_NOTIF;
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	IN_CHILD({
		int fd = (int)filter(SECCOMP_FILTER_FLAG_NEW_LISTENER);
		CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
		CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
		char name[32];
		char link[64] = "";
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
		SHOW(readlink(name, link, sizeof link));
		puts(link);
		SHOW(filter(SECCOMP_FILTER_FLAG_NEW_LISTENER));
		SHOW(filter(0));
		SHOW(read(fd, link, 8));
		SHOW(write(fd, link, 8));
		SHOW(ioctl(fd, 0x5401, link));
		SHOW(ioctl(fd, FLAGS, 0));
		SHOW(ioctl(fd, FLAGS, 1));
		SHOW(ioctl(fd, FLAGS, 2));
		printf("events %#x\n", events(fd, 0));
		uint64_t id = 5;
		SHOW(ioctl(fd, VALID, &id));
		SHOW(ioctl(fd, VALID_OLD, &id));
		SHOW(ioctl(fd, VALID, NULL));
		SHOW(reply(fd, 5, 0, 0, 0));
		SHOW(reply(fd, 5, 0, 0, 2));
		SHOW(reply(fd, 5, 1, 0, 1));
		SHOW(reply(fd, 5, 0, -1, 1));
		SHOW(ioctl(fd, SEND, NULL));
		struct notification n = {0};
		n.flags = 1;
		SHOW(ioctl(fd, RECEIVE, &n));
		SHOW(ioctl(fd, RECEIVE, NULL));
		close(fd);
		SHOW(syscall(SYS_mkdir, "/tmp/notify", 0700));
		fd = (int)filter(SECCOMP_FILTER_FLAG_NEW_LISTENER);
		CHECK(fd >= 0);
		printf("events of the second %#x\n", events(fd, 0));
		SHOW(filter(SECCOMP_FILTER_FLAG_NEW_LISTENER));
	});
	IN_CHILD(SHOW(filter(0)); SHOW(syscall(SYS_mkdir, "/tmp/notify", 0700)););
	IN_CHILD({
		int fd = (int)filter(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
		CHECK(fd >= 0);
	});
}

static void answering(void)
{
	pid_t child;
	struct notification n;
	int fd = with_child(&child, 0, five_calls);
	uint64_t id = receive(fd, &n);
	CHECK(n.pid == (uint32_t)child && n.flags == 0);
	printf("call %d arch %#x mode %o\n", n.data.number, n.data.arch, (unsigned)n.data.arguments[1]);
	printf("events %#x\n", events(fd, 0));
	SHOW(ioctl(fd, VALID, &id));
	SHOW(ioctl(fd, VALID_OLD, &id));
	uint64_t wrong = id + 1;
	SHOW(ioctl(fd, VALID, &wrong));
	SHOW(reply(fd, id, 7, 0, 0));
	CHECK(receive(fd, &n) == id + 1);
	SHOW(reply(fd, id, 7, 0, 0));
	SHOW(reply(fd, n.id, 0, -EBUSY, 0));
	receive(fd, &n);
	SHOW(reply(fd, n.id, 5, -EXDEV, 0));
	receive(fd, &n);
	SHOW(reply(fd, n.id, 0, 0, 1));
	receive(fd, &n);
	SHOW(reply(fd, n.id, -3, 0, 0));
	finish(child);
	printf("events %#x\n", events(fd, 60000));
	SHOW(ioctl(fd, RECEIVE, memset(&n, 0, sizeof n)));
	SHOW(ioctl(fd, VALID, &id));
	close(fd);
}

static void adding(void)
{
	pid_t child;
	struct notification n;
	char big[5000] = "";
	int fd = with_child(&child, 0, many_files), source = open("/dev/null", O_RDONLY);
	receive(fd, &n);
	struct addition a = {n.id, 0, (uint32_t)source, 0, 0};
	memcpy(big, &a, sizeof a);
	SHOW(ioctl(fd, 0x40172103u, &a));
	SHOW(ioctl(fd, 0x40192103u, big));
	big[24] = 1;
	SHOW(ioctl(fd, 0x40192103u, big));
	SHOW(ioctl(fd, 0x40002103u, big));
	a.file_flags = O_NONBLOCK;
	SHOW(ioctl(fd, ADD, &a));
	a = (struct addition){n.id, 4, (uint32_t)source, 0, 0};
	SHOW(ioctl(fd, ADD, &a));
	a = (struct addition){n.id, 0, (uint32_t)source, 33, 0};
	SHOW(ioctl(fd, ADD, &a));
	a = (struct addition){n.id, 0, 99, 0, 0};
	SHOW(ioctl(fd, ADD, &a));
	a = (struct addition){n.id + 5, 0, (uint32_t)source, 0, 0};
	SHOW(ioctl(fd, ADD, &a));
	SHOW(ioctl(fd, ADD, NULL));
	a = (struct addition){n.id, 0, (uint32_t)source, 0, 0};
	long number = ioctl(fd, ADD, &a);
	CHECK(number > 2);
	SHOW(reply(fd, n.id, number, 0, 0));
	receive(fd, &n);
	a = (struct addition){n.id, 2, (uint32_t)source, 0, O_CLOEXEC};
	CHECK(ioctl(fd, ADD, &a) > 2);
	long again = ioctl(fd, ADD, &a); /* the child has gone on, or is about to */
	CHECK(again == -1 && (errno == EINPROGRESS || errno == ENOENT));
	receive(fd, &n);
	a = (struct addition){n.id, 1, (uint32_t)source, 33, O_CLOEXEC};
	SHOW(ioctl(fd, ADD, &a));
	SHOW(ioctl(fd, ADD, &a));
	SHOW(reply(fd, n.id, 0, -EPERM, 0));
	receive(fd, &n);
	a = (struct addition){n.id, 1 | 2, (uint32_t)source, 34, 0};
	SHOW(ioctl(fd, ADD, &a));
	receive(fd, &n);
	a = (struct addition){n.id, 1 | 2, (uint32_t)source, 100000000, 0};
	SHOW(ioctl(fd, ADD, &a));
	SHOW(reply(fd, n.id, 0, 0, 1));
	close(fd);
	finish(child);
}

static void interrupted(int signal)
{
	printf("handler: %d\n", signal);
}

static void with_signals(void)
{
	struct sigaction action = {.sa_handler = interrupted};
	sigaction(SIGUSR1, &action, NULL);
	SHOW(syscall(SYS_mkdir, "/tmp/notify", 0700));
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	SHOW(syscall(SYS_mkdir, "/tmp/notify", 0700));
}

static void signals(unsigned long flags)
{
	pid_t child;
	struct notification n;
	int fd = with_child(&child, flags, with_signals);
	receive(fd, &n);
	uint64_t first = n.id;
	kill(child, SIGUSR1);
	if (flags == 0) {
		receive(fd, &n);
		SHOW(ioctl(fd, VALID, &first));
	} else {
		usleep(100000);
		SHOW(ioctl(fd, VALID, &first));
		SHOW(reply(fd, n.id, 11, 0, 0));
		receive(fd, &n);
	}
	first = n.id;
	kill(child, SIGUSR1);
	if (flags == 0) {
		receive(fd, &n);
		SHOW(ioctl(fd, VALID, &first));
	} else
		usleep(100000);
	SHOW(reply(fd, n.id, 12, 0, 0));
	finish(child);
	close(fd);
}

static void ends(void)
{
	pid_t child;
	struct notification n;
	int fd = with_child(&child, 0, one_call);
	receive(fd, &n);
	close(fd);
	finish(child);
	fd = with_child(&child, 0, one_call);
	events(fd, 60000);
	close(fd);
	finish(child);
	fd = with_child(&child, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, one_call);
	receive(fd, &n);
	kill(child, SIGKILL);
	int status;
	waitpid(child, &status, 0);
	show_status(status);
	SHOW(ioctl(fd, VALID, &n.id));
	printf("events %#x\n", events(fd, 60000));
	SHOW(reply(fd, n.id, 0, 0, 0));
	close(fd);
}

int main(void)
{
	puts("== installing");
	installing();
	puts("== answering");
	answering();
	puts("== adding files");
	adding();
	puts("== signals");
	signals(0);
	signals(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	puts("== ends");
	ends();
	return 0;
}
