/*
 * A menu of programs of uid 1000 that make the kernel hold as much memory as it lets them, one after the other.
 *
 * Usage: memory_hogs MILLISECONDS [NAME…]. For each one a line: how it ended (killed; refused, and by which error; or stopped, after
 * that many milliseconds), how much memory was free before and after it in KiB, and whether a bystander that works as
 * root is well.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

struct sock_filter { uint16_t code; uint8_t jt, jf; uint32_t k; };
struct sock_fprog { unsigned short len; struct sock_filter *filter; };
#define BPF_STMT(code, k) { code, 0, 0, k }
#define BPF_RET 6
#define BPF_K 0
#define SECCOMP_SET_MODE_FILTER 1
#define SECCOMP_RET_ALLOW 0x7fff0000u
#ifndef SO_ATTACH_FILTER
#define SO_ATTACH_FILTER 26
#endif

#define DIR_NAME "/tmp/hog"
#define MOST_FAILURES 200
#define PATIENCE 60
#define SLACK_KIB 256 /* as much may be missing for longer: tables that have grown */
static char block[65536];

/* A hog calls this with each result: it goes on until that many calls failed in a row. */
static int failures;
static int last_error;

static long held(long result)
{
	if (result >= 0) {
		failures = 0;
		return result;
	}
	last_error = errno;
	if (++failures >= MOST_FAILURES) {
		/* Keep what there is, for a moment: others must be able to go on. */
		usleep(100000);
		dprintf(1, "refused by errno %d ", last_error);
		_exit(0);
	}
	return result;
}

static void *map(size_t size, int flags)
{
	void *place = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	return place == MAP_FAILED ? 0 : place;
}

static void anonymous(void)
{
	for (;;) {
		char *place = map(1 << 20, 0);
		if (held(place ? 0 : -1) == 0)
			memset(place, 1, 1 << 20);
	}
}

/* Run the same in many processes: what one may hold is no limit then. */
static void by_many(void (*body)(void), int count)
{
	for (int i = 0; i < count; i++) {
		pid_t child = fork();
		if (child < 0)
			break;
		if (child == 0) {
			body();
			_exit(0);
		}
	}
	while (wait(0) > 0 || errno == EINTR)
		continue;
	dprintf(1, "all ended ");
	_exit(0);
}

static void anonymous_small(void)
{
	char *place = map(3 << 20, 0);
	if (place)
		memset(place, 1, 3 << 20);
	sleep(1);
}

static void anonymous_many(void) { by_many(anonymous_small, 40); }

static void fill(int fd)
{
	while (write(fd, block, sizeof block) > 0)
		continue;
}

static void pipes(void)
{
	for (;;) {
		int p[2];
		if (held(pipe2(p, O_NONBLOCK)) < 0)
			continue;
		fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
		fill(p[1]);
	}
}

static void pipes_many(void) { by_many(pipes, 8); }

static long pass(int through, int *fds, int count)
{
	char control[CMSG_SPACE(253 * sizeof(int))] = { 0 };
	struct iovec v = { "d", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(h), fds, count * sizeof(int));
	return sendmsg(through, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void pipes_under_way(void)
{
	int s[2];
	held(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	for (;;) {
		int p[2];
		if (held(pipe2(p, O_NONBLOCK)) < 0)
			continue;
		fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
		fill(p[1]);
		held(pass(s[0], p, 2));
		close(p[0]), close(p[1]);
	}
}

static void socket_cycles(void)
{
	for (int i = 0; i < 3000; i++) {
		int s[2];
		if (held(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) < 0)
			continue;
		held(pass(s[0], s, 2));
		fill(s[0]);
		fill(s[1]);
		close(s[0]), close(s[1]);
	}
	dprintf(1, "all made ");
}

/* A socket in the queue of a socket in the queue of a socket, each full. */
static void nested_sockets(void)
{
	int inner = -1;
	for (;;) {
		int s[2];
		if (held(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) < 0)
			continue;
		if (inner >= 0) {
			held(pass(s[0], &inner, 1));
			close(inner);
		}
		fill(s[0]);
		close(s[0]);
		inner = s[1];
	}
}

static void unix_streams(void)
{
	for (;;) {
		int s[2];
		if (held(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) < 0)
			continue;
		fill(s[0]);
		fill(s[1]);
	}
}

static void unix_datagrams(void)
{
	for (;;) {
		int s[2];
		if (held(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s)) < 0)
			continue;
		while (write(s[0], block, 1) > 0)
			continue;
		while (write(s[1], block, 1) > 0)
			continue;
	}
}

static void send_all(int kind, size_t size)
{
	for (;;) {
		int s[2];
		if (held(socketpair(AF_UNIX, kind | SOCK_NONBLOCK, 0, s)) < 0)
			continue;
		while (send(s[0], block, size, 0) >= 0)
			continue;
		while (send(s[1], block, size, 0) >= 0)
			continue;
	}
}

static void empty_datagrams(void) { send_all(SOCK_DGRAM, 0); }

static void single_bytes(void) { send_all(SOCK_STREAM, 1); }

static void small_packets(void) { send_all(SOCK_SEQPACKET, 1); }

/* Descriptors under way one by one, each in a message of one byte. */
static void small_rights(void)
{
	int fd = open("/dev/null", O_RDONLY);
	for (;;) {
		int s[2];
		if (held(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s)) < 0)
			continue;
		while (pass(s[0], &fd, 1) > 0)
			continue;
	}
}

/* Sockets that send that many datagrams of that size to themselves. */
static void udp_of(size_t size, int count)
{
	for (;;) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
		socklen_t length = sizeof a;
		int fd = (int)held(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
		if (fd < 0)
			continue;
		held(bind(fd, (void *)&a, sizeof a));
		getsockname(fd, (void *)&a, &length);
		for (int i = 0; i < count; i++)
			if (sendto(fd, block, size, 0, (void *)&a, sizeof a) < 0)
				break;
	}
}

static void udp_empty(void) { udp_of(0, 1000); }

/* Answers of the kernel that nobody reads. */
static void netlink_answers(void)
{
	struct { uint32_t length; uint16_t type, flags; uint32_t sequence, pid; char family[20]; } ask =
		{ sizeof ask, 22 /* RTM_GETADDR */, 0x301, 1, 0, { 0 } };
	struct { uint32_t length; uint16_t type, flags; uint32_t sequence, pid; } wrong = { sizeof wrong, 999, 5, 1, 0 };
	for (;;) {
		int fd = (int)held(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0));
		if (fd < 0)
			continue;
		send(fd, &ask, sizeof ask, 0);
		for (int i = 0; i < 2000; i++)
			if (send(fd, &wrong, sizeof wrong, 0) < 0)
				break;
	}
}

/* Lists of all sockets, as many as there may be, that nobody reads. */
static void netlink_dumps(void)
{
	struct { uint32_t length; uint16_t type, flags; uint32_t sequence, pid; uint8_t family, protocol, extensions, pad; uint32_t states; uint8_t id[48]; } ask =
		{ sizeof ask, 20 /* SOCK_DIAG_BY_FAMILY */, 0x301, 1, 0, AF_INET, IPPROTO_UDP, 0, 0, 0xffffffff, { 0 } };
	for (int i = 0; i < 300; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
		int fd = (int)held(socket(AF_INET, SOCK_DGRAM, 0));
		held(bind(fd, (void *)&a, sizeof a));
	}
	for (;;) {
		int fd = (int)held(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 4 /* NETLINK_SOCK_DIAG */));
		if (fd >= 0)
			send(fd, &ask, sizeof ask, 0);
	}
}

/* Connections that nobody accepts, to as many listeners as go. */
static void unaccepted(void)
{
	for (int number = 0;; number++) {
		struct sockaddr_un { unsigned short family; char path[108]; } a = { AF_UNIX, { 0 } };
		int listener = (int)held(socket(AF_UNIX, SOCK_STREAM, 0));
		if (listener < 0)
			continue;
		snprintf(a.path + 1, sizeof a.path - 1, "hog%d-%d", getpid(), number);
		held(bind(listener, (void *)&a, sizeof a));
		held(listen(listener, 4096));
		for (int i = 0; i < 4096; i++) {
			int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
			int failed = fd < 0 || connect(fd, (void *)&a, sizeof a);
			close(fd);
			if (failed)
				break;
		}
	}
}

/* Connections that were closed: their ends wait for late segments. */
static void closed_connections(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	held(bind(listener, (void *)&a, sizeof a));
	held(listen(listener, 100));
	getsockname(listener, (void *)&a, &length);
	for (int i = 0; i < 20000; i++) {
		int fd = (int)held(socket(AF_INET, SOCK_STREAM, 0));
		if (fd < 0)
			continue;
		if (connect(fd, (void *)&a, sizeof a) == 0) {
			close(fd);
			close(accept(listener, 0, 0));
		} else
			close(fd);
	}
	dprintf(1, "all closed ");
}

/* Texts of /proc that are read in part. */
static void half_read_texts_body(void)
{
	for (int i = 0;; i++) {
		int fd = (int)held(open(i & 1 ? "/proc/self/smaps" : "/proc/kallsyms", O_RDONLY));
		if (fd < 0)
			fd = (int)held(open("/proc/self/smaps", O_RDONLY));
		if (fd >= 0)
			held(read(fd, block, 1));
	}
}

static void half_read_texts(void) { by_many(half_read_texts_body, 8); }

static void udp(void) { udp_of(1000, 300); }

static void tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof a;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	held(bind(listener, (void *)&a, sizeof a));
	held(listen(listener, 100));
	getsockname(listener, (void *)&a, &length);
	for (;;) {
		int fd = (int)held(socket(AF_INET, SOCK_STREAM, 0));
		if (fd < 0)
			continue;
		if (held(connect(fd, (void *)&a, sizeof a)) < 0) {
			close(fd);
			continue;
		}
		int other = (int)held(accept(listener, 0, 0));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		fill(fd);
		if (other >= 0) {
			fcntl(other, F_SETFL, O_NONBLOCK);
			fill(other);
		}
	}
}

static void memory_files(void)
{
	for (;;) {
		int fd = (int)held(syscall(SYS_memfd_create, "hog", 0));
		for (int i = 0; fd >= 0 && i < 16; i++)
			held(write(fd, block, sizeof block));
	}
}

static int new_file(int number)
{
	char name[64];
	snprintf(name, sizeof name, DIR_NAME "/%d", number);
	return (int)held(open(name, O_RDWR | O_CREAT, 0600));
}

static void tmpfs_files(void)
{
	for (int number = 0;; number++) {
		int fd = new_file(number);
		for (int i = 0; fd >= 0 && i < 16; i++)
			held(write(fd, block, sizeof block));
		if (fd >= 0)
			close(fd);
	}
}

static void tmpfs_unlinked(void)
{
	int fd = new_file(0);
	unlink(DIR_NAME "/0");
	for (;;)
		held(write(fd, block, sizeof block));
}

static void tmpfs_mapped(void)
{
	int fd = new_file(0);
	held(ftruncate(fd, 1 << 30));
	char *place = mmap(0, 1 << 30, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (place == MAP_FAILED)
		_exit(0);
	for (long at = 0; at < 1 << 30; at += 4096)
		place[at] = 1;
}

static void tmpfs_names(void)
{
	char name[300], target[4000];
	memset(target, 'x', sizeof target - 1);
	target[sizeof target - 1] = 0;
	for (int number = 0;; number++) {
		snprintf(name, sizeof name, DIR_NAME "/%0200d", number);
		held(number % 3 == 0 ? mkdir(name, 0700) : number % 3 == 1 ? symlink(target, name) : mknod(name, S_IFREG | 0600, 0));
	}
}

static void deep_directories(void)
{
	held(chdir(DIR_NAME));
	for (;;) {
		held(mkdir("d", 0700));
		held(chdir("d"));
	}
}

static void free_names(void)
{
	char name[256];
	for (int number = 0; number < 200000; number++) {
		snprintf(name, sizeof name, DIR_NAME "/%0200d", number);
		close(open(name, O_RDONLY));
	}
	dprintf(1, "all looked up ");
}

static void attributes(void)
{
	for (int number = 0;; number++) {
		char name[64];
		int fd = new_file(number / 200);
		snprintf(name, sizeof name, "user.%d", number);
		if (fd >= 0) {
			held(fsetxattr(fd, name, block, 60000, 0));
			close(fd);
		}
	}
}

static void shared_memory(void)
{
	for (;;) {
		int id = (int)held(shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600));
		if (id < 0)
			continue;
		char *place = shmat(id, 0, 0);
		if (place == (char *)-1)
			continue;
		memset(place, 1, 1 << 20);
		shmdt(place);
	}
}

static void message_queues(void)
{
	struct { long kind; char data[8192]; } message = { 1, { 0 } };
	for (;;) {
		int id = (int)held(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
		if (id >= 0)
			while (msgsnd(id, &message, sizeof message.data, IPC_NOWAIT) == 0)
				continue;
	}
}

/* Empty messages: the books of each are what costs. */
static void empty_messages(void)
{
	struct { long kind; char data[1]; } message = { 1, { 0 } };
	for (;;) {
		int id = (int)held(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
		if (id < 0)
			continue;
		while (msgsnd(id, &message, 0, IPC_NOWAIT) == 0)
			continue;
		if (errno == ENOMEM)
			held(-1);
	}
}

static void empty_messages_many(void) { by_many(empty_messages, 8); }

static void empty_queues(void)
{
	for (;;)
		held(msgget(IPC_PRIVATE, IPC_CREAT | 0600));
}

static void semaphores(void)
{
	for (;;)
		held(semget(IPC_PRIVATE, 200, IPC_CREAT | 0600));
}

static void posix_queues(void)
{
	for (int number = 0;; number++) {
		char name[32];
		struct mq_attr a = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
		snprintf(name, sizeof name, "/hog%d", number);
		mqd_t queue = (mqd_t)held(mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a));
		while (queue != (mqd_t)-1 && mq_send(queue, block, 8192, 0) == 0)
			continue;
	}
}

static void empty_posix_messages(void)
{
	for (int number = 0;; number++) {
		char name[32];
		struct mq_attr a = { .mq_maxmsg = 10, .mq_msgsize = 1 };
		snprintf(name, sizeof name, "/hog%d", number);
		mqd_t queue = (mqd_t)held(mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a));
		while (queue != (mqd_t)-1 && mq_send(queue, block, 0, 0) == 0)
			continue;
	}
}

/* What is to be undone: for each process and set as much as the set has semaphores. */
static int undone_sets[200];

static void undo_body(void)
{
	for (unsigned i = 0; i < sizeof undone_sets / sizeof *undone_sets; i++) {
		struct sembuf up = { 0, 1, SEM_UNDO };
		held(semop(undone_sets[i], &up, 1));
	}
	sleep(1);
}

static void semaphore_undo(void)
{
	for (unsigned i = 0; i < sizeof undone_sets / sizeof *undone_sets; i++)
		undone_sets[i] = semget(IPC_PRIVATE, 500, IPC_CREAT | 0600);
	by_many(undo_body, 60);
}

static void epoll_watches(void)
{
	int fds[1000], count = 0;
	while (count < 1000 && (fds[count] = eventfd(0, 0)) >= 0)
		count++;
	for (;;) {
		int set = (int)held(epoll_create1(0));
		struct epoll_event e = { .events = EPOLLIN };
		for (int i = 0; set >= 0 && i < count; i++)
			held(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &e));
	}
}

static void epoll_watches_body(void)
{
	epoll_watches();
}

static void epoll_watches_many(void) { by_many(epoll_watches_body, 8); }

static void inotify_watches(void)
{
	int fd = (int)held(inotify_init1(IN_NONBLOCK));
	for (int number = 0;; number++) {
		char name[64];
		snprintf(name, sizeof name, DIR_NAME "/%d", number);
		close(open(name, O_RDWR | O_CREAT, 0600));
		held(inotify_add_watch(fd, name, IN_ALL_EVENTS));
	}
}

static void inotify_events(void)
{
	for (;;) {
		int fd = (int)held(inotify_init1(IN_NONBLOCK));
		if (fd < 0)
			continue;
		held(inotify_add_watch(fd, DIR_NAME, IN_ALL_EVENTS));
		for (int i = 0; i < 3000; i++)
			close(open(i & 1 ? DIR_NAME "/" : DIR_NAME "/.", O_RDONLY | O_DIRECTORY));
	}
}

/* Events with names as long as they may be. */
static void inotify_names(void)
{
	char names[2][300];
	for (int i = 0; i < 2; i++) {
		memset(names[i], 'a' + i, 299);
		memcpy(names[i], DIR_NAME "/", sizeof DIR_NAME);
		names[i][sizeof DIR_NAME + 255] = 0;
		close(open(names[i], O_RDWR | O_CREAT, 0600));
	}
	for (;;) {
		for (int i = 0; i < 8; i++)
			held(inotify_add_watch((int)held(inotify_init1(IN_NONBLOCK)), DIR_NAME, IN_OPEN));
		for (int i = 0; i < 2000; i++)
			close(open(names[i & 1], O_RDONLY));
	}
}

/* Watches on the same files, by as many instances as there may be. */
static void inotify_watches_many(void)
{
	char names[64][64];
	for (int i = 0; i < 64; i++) {
		snprintf(names[i], sizeof names[i], DIR_NAME "/%d", i);
		close(open(names[i], O_RDWR | O_CREAT, 0600));
	}
	for (;;) {
		int fd = (int)held(inotify_init1(IN_NONBLOCK));
		for (int i = 0; i < 64; i++)
			held(inotify_add_watch(fd, names[i], IN_ALL_EVENTS));
	}
}

static void fanotify_marks(void)
{
	int fd = (int)held(fanotify_init(FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY));
	for (int number = 0;; number++) {
		char name[64];
		snprintf(name, sizeof name, DIR_NAME "/%d", number);
		close(open(name, O_RDWR | O_CREAT, 0600));
		held(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, name));
	}
}

/* Events that are not merged, with names as long as they may be. */
static void fanotify_names(void)
{
	char name[300];
	memset(name, 'a', sizeof name);
	memcpy(name, DIR_NAME "/", sizeof DIR_NAME);
	for (int number = 0;;) {
		for (int i = 0; i < 8; i++) {
			int fd = (int)held(fanotify_init(FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_NONBLOCK, O_RDONLY));
			held(fanotify_mark(fd, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR, AT_FDCWD, DIR_NAME));
		}
		for (int i = 0; i < 2000; i++) {
			snprintf(name + sizeof DIR_NAME + 246, 10, "%09d", number++);
			mkdir(name, 0700);
			rmdir(name);
		}
	}
}

static void fault_files(void)
{
	for (;;) {
		int fd = (int)held(syscall(SYS_userfaultfd, 1));
		struct { uint64_t words[4]; } api = { { 0xaa } };
		char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		held(ioctl(fd, (int)0xc018aa3f, &api));
		api.words[0] = (uint64_t)(uintptr_t)memory;
		api.words[1] = 4096;
		api.words[2] = 1;
		ioctl(fd, (int)0xc020aa00, &api);
	}
}

/* All that RLIMIT_MSGQUEUE lets a user have, in the smallest queues and in the largest. */
static void posix_queues_full(void)
{
	for (int number = 0;; number++) {
		char name[32];
		struct mq_attr a = { .mq_maxmsg = 10, .mq_msgsize = number & 1 ? 8192 : 1 };
		snprintf(name, sizeof name, "/hog%d", number);
		mqd_t queue = (mqd_t)held(mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a));
		for (unsigned i = 0; queue != (mqd_t)-1 && i < 10; i++)
			held(mq_send(queue, block, (size_t)a.mq_msgsize, i));
	}
}

static void page_tables(void)
{
	char *place = mmap(0, 1UL << 46, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED) {
		dprintf(1, "refused by errno %d ", errno);
		return;
	}
	for (unsigned long at = 0; at < 1UL << 46; at += 1UL << 30)
		place[at] = 1;
}

/* Empty tables: what was mapped is unmapped again at once. */
static void empty_page_tables(void)
{
	for (unsigned long at = 1UL << 40; at < 1UL << 46; at += 1UL << 30) {
		char *place = mmap((void *)at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (held(place == MAP_FAILED ? -1 : 0) < 0)
			continue;
		*place = 1;
		munmap(place, 4096);
	}
	dprintf(1, "all touched ");
}

static void areas(void)
{
	for (int i = 0;; i++)
		held(mmap(0, 4096, i & 1 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}

static void areas_many(void) { by_many(areas, 8); }

static void *wait_for_ever(void *_)
{
	for (;;)
		pause();
	return _;
}

static void threads(void)
{
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 16384);
	for (;;) {
		pthread_t t;
		int error = pthread_create(&t, &a, wait_for_ever, 0);
		errno = error;
		held(error ? -1 : 0);
	}
}

static void processes(void)
{
	for (;;) {
		pid_t child = fork();
		if (child == 0)
			wait_for_ever(0);
		held(child);
	}
}

static void fork_bomb(void)
{
	for (;;)
		fork();
}

static void zombies(void)
{
	for (;;) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		held(child);
	}
}

static void open_files_body(void)
{
	for (;;)
		held(open("/dev/null", O_RDONLY));
}

static void open_files(void) { by_many(open_files_body, 12); }

static void event_files_body(void)
{
	for (int i = 0;; i++)
		held(i % 4 == 0 ? eventfd(0, 0) : i % 4 == 1 ? timerfd_create(CLOCK_MONOTONIC, 0) :
			i % 4 == 2 ? (long)syscall(SYS_pidfd_open, getpid(), 0) : epoll_create1(0));
}

static void event_files(void) { by_many(event_files_body, 12); }

static void sockets_body(void)
{
	for (int i = 0;; i++)
		held(socket(i % 3 == 0 ? AF_INET : i % 3 == 1 ? AF_INET6 : AF_NETLINK, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0));
}

static void sockets(void) { by_many(sockets_body, 8); }

static void timers(void)
{
	for (;;) {
		timer_t t;
		struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
		held(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &t));
	}
}

static void pending_signals(void)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, 0);
	for (;;)
		held(sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }));
}

static void timers_many(void) { by_many(timers, 12); }

/* In the queue of each thread; and the threads all wait for one word. */
static void *queue_and_wait(void *word)
{
	for (int i = 0; i < 3000; i++)
		if (syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGRTMIN, &(siginfo_t){ .si_code = SI_QUEUE }))
			break;
	for (;;)
		syscall(SYS_futex, word, 128 /* FUTEX_WAIT_PRIVATE */, 0, 0, 0, 0);
	return word;
}

static void thread_signals(void)
{
	static int word;
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, 0);
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 16384);
	for (;;) {
		pthread_t t;
		int error = pthread_create(&t, &a, queue_and_wait, &word);
		errno = error;
		held(error ? -1 : 0);
	}
}

static void record_locks(void)
{
	int fd = new_file(0);
	for (off_t at = 0;; at += 2) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
		held(fcntl(fd, F_SETLK, &lock));
	}
}

static void terminals(void)
{
	for (;;) {
		int fd = (int)held(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK));
		if (fd >= 0)
			while (write(fd, block, 100) > 0)
				continue;
	}
}

static void seccomp_filters(void)
{
	static struct sock_filter code[4096];
	for (int i = 0; i < 4096; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 4096, code };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (;;)
		held(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void seccomp_many(void) { by_many(seccomp_filters, 12); }

static void socket_filters(void)
{
	static struct sock_filter code[4096];
	for (int i = 0; i < 4096; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 1);
	struct sock_fprog program = { 2000, code };
	for (;;) {
		int fd = (int)held(socket(AF_INET, SOCK_DGRAM, 0));
		if (fd >= 0)
			held(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	}
}

static void socket_filters_many(void) { by_many(socket_filters, 8); }

static void memberships(void)
{
	for (unsigned number = 0;; number++) {
		int fd = (int)held(socket(AF_INET, SOCK_DGRAM, 0));
		if (fd < 0)
			continue;
		for (unsigned i = 0; i < 40; i++) {
			struct ip_mreqn m = { .imr_multiaddr = { htonl(0xe1000000u + number * 40 + i) }, .imr_ifindex = 1 };
			setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
		}
	}
}

/* Contexts of asynchronous I/O, each full of requests that wait. */
static void aio_polls(void)
{
	struct { long data; int key, rw_flags; short command, priority; int fd; long events, bytes, offset, reserved; int flags, bell; } block = { 0 };
	void *pointer = &block;
	block.command = 5;
	block.fd = eventfd(0, 0);
	block.events = 1;
	for (;;) {
		unsigned long context = 0;
		if (held(syscall(SYS_io_setup, 1, &context)) < 0)
			continue;
		while (syscall(SYS_io_submit, context, 1, &pointer) == 1)
			continue;
	}
}

/* Mounts and namespaces of one's own, in a user namespace. */
static void own_mounts(void)
{
	held(unshare(CLONE_NEWUSER | CLONE_NEWNS));
	for (;;)
		held(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static void user_namespaces(void)
{
	for (;;) {
		char path[64];
		pid_t child = (pid_t)held(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
		if (child == 0)
			for (;;)
				pause();
		if (child < 0)
			continue;
		for (const char *const *kind = (const char *const[]){ "mnt", "user", "pid", "ipc", "uts", NULL }; *kind; kind++) {
			snprintf(path, sizeof path, "/proc/%d/ns/%s", child, *kind);
			while (held(open(path, O_RDONLY)) < 0)
				;
		}
		kill(child, SIGKILL);
		waitpid(child, 0, 0);
	}
}

/* Networks of one's own, as many as there may be, each with pairs of interfaces and routes. */
static void own_networks(void)
{
	struct {
		uint32_t length; uint16_t type, flags; uint32_t sequence, pid;
		uint8_t header[16];
		uint16_t information_length, information, kind_length, kind; char name[8];
	} pair = { sizeof pair, 16 /* RTM_NEWLINK */, 0x601, 1, 0, { 0 }, 16, 18 /* IFLA_LINKINFO */, 9, 1, "veth" };
	struct {
		uint32_t length; uint16_t type, flags; uint32_t sequence, pid;
		uint8_t family, bits, source, tos, table, protocol, scope, kind; uint32_t more;
		uint16_t target_length, target; uint32_t address;
	} route = { sizeof route, 24 /* RTM_NEWROUTE */, 0x601, 1, 0, AF_INET, 32, 0, 0, 254, 4, 0, 6 /* RTN_BLACKHOLE */, 0, 8, 1, 0 };
	held(unshare(CLONE_NEWUSER));
	for (;;) {
		if (held(unshare(CLONE_NEWNET)) < 0)
			continue;
		held(open("/proc/self/ns/net", O_RDONLY));
		int fd = (int)held(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0));
		for (int i = 0; i < 200; i++) {
			route.address = htonl(0x0a000000 + i);
			if (i < 50)
				send(fd, &pair, sizeof pair, 0);
			send(fd, &route, sizeof route, 0);
		}
		close(fd);
	}
}

/* Rings of packet sockets, in a network of one's own. */
static void packet_rings(void)
{
	struct { unsigned block_size, block_count, frame_size, frame_count; } ring = { 4096, 256, 2048, 512 };
	held(unshare(CLONE_NEWUSER | CLONE_NEWNET));
	for (;;) {
		int fd = (int)held(socket(AF_PACKET, SOCK_RAW, 0));
		held(setsockopt(fd, 263 /* SOL_PACKET */, 5 /* PACKET_RX_RING */, &ring, sizeof ring));
	}
}

struct event { uint32_t type, size; uint64_t config, period, samples, form, flags, rest[11]; };
#define OFF_AND_NOT_IN_THE_KERNEL 0x21

/* Rings of events, mapped and untouched, without descriptors. */
static void perf_rings(void)
{
	struct event dummy = { .type = 1, .size = 128, .config = 9, .flags = OFF_AND_NOT_IN_THE_KERNEL };
	for (;;) {
		pid_t child = (pid_t)held(fork());
		if (child == 0) {
			for (long pages = 1024; pages > 0; pages /= 2) {
				int fd = (int)syscall(SYS_perf_event_open, &dummy, 0, -1, -1, 0);
				mmap(0, (pages + 1) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
				close(fd);
			}
			sleep(1000);
			_exit(0);
		}
	}
}

/* Filters of tracepoints, as long as they may be. */
static void perf_filters(void)
{
	static char text[4096];
	struct event calls = { .type = 2, .size = 128, .config = 2, .flags = OFF_AND_NOT_IN_THE_KERNEL };
	while (strlen(text) < sizeof text - 50)
		strcat(text, "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!id&1&&");
	strcat(text, "id&1");
	for (;;) {
		for (int i = 0; i < 500; i++) {
			int fd = (int)held(syscall(SYS_perf_event_open, &calls, 0, -1, -1, 0));
			held(ioctl(fd, 0x40082406 /* PERF_EVENT_IOC_SET_FILTER */, text));
		}
		if (held(fork()) > 0)
			sleep(1000);
	}
}

/* Programs that were started with as large an environment as goes. */
static void long_arguments(void)
{
	static char *environment[60];
	char *text = map(1 << 17, 0), *arguments[] = { "sleep", "1", 0 };
	if (text)
		memset(text, 'a', (1 << 17) - 1);
	for (int i = 0; i < 15 && text; i++)
		environment[i] = text;
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		if (child == 0) {
			execve("/bin/busybox", arguments, environment);
			_exit(1);
		}
		if (child < 0)
			break;
	}
	while (wait(0) > 0)
		continue;
	dprintf(1, "all ended ");
}

static void given_pages(void)
{
	for (;;) {
		int p[2];
		if (held(pipe2(p, O_NONBLOCK)) < 0)
			continue;
		for (int i = 0; i < 16; i++) {
			char *place = map(4096, 0);
			if (!place)
				break;
			*place = 1;
			struct iovec v = { place, 4096 };
			if (vmsplice(p[1], &v, 1, SPLICE_F_NONBLOCK | SPLICE_F_GIFT) < 0)
				break;
			munmap(place, 4096);
		}
	}
}

static void given_pages_many(void) { by_many(given_pages, 8); }

/* Landlock: rulesets with a rule for each port, and domains of them inside one another. */
static int full_ruleset(void)
{
	unsigned long ruleset[3] = { 0, 1, 0 };
	int fd = (int)held(syscall(444, ruleset, sizeof ruleset, 0));
	for (unsigned long port = 0; port < 65536 && fd >= 0; port++) {
		unsigned long rule[2] = { 1, port };
		held(syscall(445, fd, 2, rule, 0));
	}
	return fd;
}

static void rulesets(void)
{
	for (;;)
		full_ruleset();
}

static void domains(void)
{
	int fd = full_ruleset();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (;;)
		held(syscall(446, fd, 0));
}

static void domains_many(void) { by_many(domains, 12); }

/* A domain for each thread, of which only one is the leader's. */
static void *confined_thread(void *argument)
{
	held(syscall(446, *(int *)argument, 0));
	sleep(1000);
	return 0;
}

static void domains_of_threads(void)
{
	static int fd;
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 16384);
	fd = full_ruleset();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (;;)
		held(pthread_create(&thread, &attributes, confined_thread, &fd) == 0 ? 0 : -1);
}

/* What has ended, and nobody waits for. */
static void domains_of_zombies(void)
{
	int fd = full_ruleset();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (;;) {
		pid_t child = (pid_t)held(fork());
		if (child == 0) {
			syscall(446, fd, 0);
			_exit(0);
		}
		siginfo_t info;
		if (child > 0)
			waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	}
}

/* Sockets and owners of pipes, chosen by those who have ended. */
static void domains_of_files(void)
{
	int fd = full_ruleset();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (;;) {
		int ends[2];
		if (held(pipe(ends)))
			continue;
		pid_t child = (pid_t)held(vfork());
		if (child == 0) {
			syscall(446, fd, 0);
			fcntl(ends[0], F_SETOWN, -getpgrp());
			_exit(0);
		}
		if (child > 0)
			waitpid(child, 0, 0);
		close(ends[1]);
	}
}

static void keys(void)
{
	char text[32];
	for (unsigned long i = 0;; i++) {
		snprintf(text, sizeof text, "%lu", i);
		held(syscall(SYS_add_key, i % 2 ? "user" : "keyring", text, text, i % 2, -3));
	}
}

/* Keyrings of threads and processes have no limit of their own. */
static void own_keyrings(void)
{
	for (;;) {
		pid_t child = (pid_t)held(fork());
		if (child == 0) {
			syscall(SYS_keyctl, 0, -1, 1);
			syscall(SYS_keyctl, 0, -2, 1);
			syscall(SYS_keyctl, 1, 0);
			sleep(1000);
			_exit(0);
		}
	}
}

/* Those that reach a limit soon on a small machine are waited for; the others are stopped after a while. */
static const struct { const char *name; void (*run)(void); int reaches_limit; } menu[] = {
#define HOG(name) { #name, name, 0 }
#define LIMITED(name) { #name, name, 1 }
	LIMITED(anonymous), HOG(anonymous_many), LIMITED(pipes), HOG(pipes_many), HOG(pipes_under_way), HOG(socket_cycles),
	HOG(nested_sockets), HOG(unix_streams), HOG(unix_datagrams), HOG(udp), HOG(tcp), HOG(memory_files), HOG(tmpfs_files),
	LIMITED(tmpfs_unlinked), LIMITED(tmpfs_mapped), HOG(tmpfs_names), LIMITED(deep_directories), HOG(free_names), HOG(attributes),
	LIMITED(shared_memory), HOG(message_queues), HOG(empty_messages), HOG(empty_messages_many),
	HOG(empty_queues), HOG(semaphores), LIMITED(semaphore_undo), LIMITED(empty_posix_messages), HOG(empty_datagrams),
	HOG(single_bytes), HOG(small_packets), HOG(small_rights), HOG(udp_empty), HOG(netlink_answers), LIMITED(netlink_dumps), HOG(unaccepted),
	HOG(closed_connections), HOG(half_read_texts), HOG(epoll_watches_many), HOG(inotify_watches), HOG(timers_many),
	LIMITED(thread_signals), LIMITED(posix_queues), LIMITED(posix_queues_full), HOG(epoll_watches),
	HOG(inotify_events), HOG(inotify_names), HOG(fanotify_marks), HOG(fanotify_names), HOG(fault_files), LIMITED(inotify_watches_many), LIMITED(page_tables), LIMITED(empty_page_tables), HOG(areas), HOG(areas_many), LIMITED(threads),
	LIMITED(processes), HOG(fork_bomb), LIMITED(zombies), HOG(open_files), HOG(event_files), HOG(sockets), LIMITED(timers),
	LIMITED(pending_signals), HOG(record_locks), HOG(terminals), HOG(seccomp_filters), HOG(seccomp_many), HOG(socket_filters),
	HOG(socket_filters_many), HOG(memberships), HOG(own_mounts), HOG(aio_polls), LIMITED(user_namespaces), HOG(long_arguments),
	LIMITED(own_networks), HOG(packet_rings), HOG(perf_rings), HOG(perf_filters),
	HOG(given_pages), HOG(given_pages_many), HOG(rulesets), HOG(domains), HOG(domains_many), HOG(domains_of_threads),
	HOG(domains_of_zombies), HOG(domains_of_files), HOG(keys), LIMITED(own_keyrings),
};

/* The parent's part ------------------------------------------------------------------------------------------------------- */

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long free_memory(void)
{
	static char text[4096];
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (fd >= 0) {
		write(fd, "3\n", 2);
		close(fd);
	}
	fd = open("/proc/meminfo", O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	char *place = strstr(text, "MemFree:");
	return place ? atol(place + 8) : 0;
}

/* What a bystander does all the time: touch a little memory, make a process, answer. */
static void stand_by(int asked, int answer)
{
	static volatile char mine[1 << 16];
	char byte;
	while (read(asked, &byte, 1) == 1) {
		byte = 'y';
		for (unsigned i = 0; i < sizeof mine; i += 4096)
			mine[i]++;
		pid_t child = fork();
		if (child == 0)
			_exit(7);
		int status = 0;
		if (child < 0)
			byte = 'n';
		else if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7)
			byte = 'k';
		if (write(answer, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static int ask[2], answers[2];
static pid_t bystander;

static char bystander_says(void)
{
	char byte = 0;
	if (write(ask[1], "?", 1) != 1 || read(answers[0], &byte, 1) != 1)
		return 'x';
	return byte;
}

/* Without recursion: directories may lie ten thousand deep. Each is emptied after its last subdirectory was moved up. */
static void remove_all(const char *path)
{
	if (chdir(path))
		return;
	for (;;) {
		DIR *d = opendir(".");
		struct dirent *e;
		int found = 0;
		while (d && (e = readdir(d))) {
			if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
				continue;
			found = 1;
			if (unlink(e->d_name) == 0 || rmdir(e->d_name) == 0)
				continue;
			/* not empty: its one child takes its place */
			char child[600];
			snprintf(child, sizeof child, "%s/d", e->d_name);
			rename(child, "next");
			rmdir(e->d_name);
			rename("next", e->d_name);
		}
		if (d)
			closedir(d);
		if (!found)
			break;
	}
	if (chdir("/"))
		_exit(99);
	rmdir(path);
}

static void clean_up(void)
{
	for (int i = 0; i < 32768; i++) {
		struct shmid_ds s;
		struct msqid_ds m;
		int id = shmctl(i, 13 /* SHM_STAT */, &s);
		if (id >= 0)
			shmctl(id, IPC_RMID, 0);
		id = msgctl(i, 11 /* MSG_STAT */, &m);
		if (id >= 0)
			msgctl(id, IPC_RMID, 0);
		id = semctl(i, 0, 18 /* SEM_STAT */, block);
		if (id >= 0)
			semctl(id, 0, IPC_RMID);
	}
	for (int i = 0; i < 300; i++) {
		char name[32];
		snprintf(name, sizeof name, "/hog%d", i);
		mq_unlink(name);
	}
	remove_all(DIR_NAME);
}

static void be_user(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	setpgid(0, 0);
	if (setgid(1000) || setuid(1000))
		_exit(98);
}

/* Whether processes of the user are left; zombies do not count. */
static void end_all(pid_t group)
{
	for (int i = 0; i < 3000; i++) {
		if (kill(-group, SIGKILL))
			return;
		while (waitpid(-1, 0, WNOHANG) > 0)
			continue;
		usleep(1000);
	}
	printf("SOME LIVE ON ");
}

static void run_hog(int number, long limit_ms)
{
	if (menu[number].reaches_limit)
		limit_ms *= PATIENCE;
	long before = free_memory();
	mkdir(DIR_NAME, 0777);
	chmod(DIR_NAME, 0777);
	printf("hog %s: ", menu[number].name);
	fflush(stdout);
	long started = now_ms();
	int status = 0, asked = 0, well = 0;
	pid_t hog = fork();
	if (hog == 0) {
		be_user();
		menu[number].run();
		_exit(0);
	}
	while (waitpid(hog, &status, WNOHANG) == 0) {
		if (now_ms() - started > limit_ms) {
			kill(hog, SIGKILL);
			printf(menu[number].reaches_limit ? "NO LIMIT " : "stopped ");
			waitpid(hog, &status, 0);
			break;
		}
		asked++;
		well += bystander_says() == 'y';
		usleep(10000);
	}
	fflush(stdout);
	if (WIFSIGNALED(status))
		printf("killed by %d ", WTERMSIG(status));
	else
		printf("exit %d ", WEXITSTATUS(status));
	end_all(hog);
	clean_up();
	long after = 0;
	for (int i = 0; i < 100; i++) {
		after = free_memory();
		if (after + SLACK_KIB >= before)
			break;
		usleep(20000);
	}
	printf("in %ld ms; free before %ld after %ld; bystander %c, %d of %d\n", now_ms() - started, before, after, bystander_says(), well, asked);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	long limit_ms = atol(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	if (pipe(ask) || pipe(answers))
		return 1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int paranoid = open("/proc/sys/kernel/perf_event_paranoid", O_WRONLY);
	if (paranoid < 0 || write(paranoid, "2\n", 2) != 2)
		return 1;
	close(paranoid);
	bystander = fork();
	if (bystander == 0) {
		close(ask[1]), close(answers[0]);
		stand_by(ask[0], answers[1]);
	}
	close(ask[0]), close(answers[1]);
	for (int number = 0; number < (int)(sizeof menu / sizeof menu[0]); number++) {
		int wanted = argc < 3;
		for (int i = 2; i < argc; i++)
			wanted |= !strcmp(argv[i], menu[number].name);
		if (wanted)
			run_hog(number, limit_ms);
	}
	printf("menu done: init %s, bystander %c\n", kill(1, 0) == 0 ? "lives" : "is gone", bystander_says());
	return 0;
}
