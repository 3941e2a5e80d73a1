/* What calls check first: kinds of files that cannot be read or written at all, streams, vectors, ends of ranges. */
#define _GNU_SOURCE
#include "case.h"
#include <grp.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>

static void say(const char *what, long result)
{
	if (result < 0)
		printf("%s: %s\n", what, strerror(errno));
	else
		printf("%s: %ld\n", what, result);
}

static char *hole; /* an address where nothing is */
static char *page; /* the last page before it */

struct kind { const char *name; int fd; };

static void vectors(struct kind kind)
{
	char text[8] = "12345678";
	struct iovec bad = { hole, 8 }, good = { text, 0 };
	printf("-- %s\n", kind.name);
	say("writev of none", writev(kind.fd, &good, 0));
	say("writev from a hole", writev(kind.fd, &bad, 1));
	say("preadv of none", preadv(kind.fd, &good, 0, 0));
	say("pwritev of none", pwritev(kind.fd, &good, 0, 0));
	say("preadv2 with unknown flags", syscall(SYS_preadv2, kind.fd, &good, 0, 0L, 0L, 0x4000));
	say("pwritev2 with unknown flags", syscall(SYS_pwritev2, kind.fd, &bad, 1, 0L, 0L, 0x4000));
	say("pread", pread(kind.fd, text, 0, 0));
	say("pwrite", pwrite(kind.fd, text, 0, 0));
	say("pread into a hole", pread(kind.fd, hole, 8, 0));
	say("fsync", fsync(kind.fd));
	say("sync_file_range", sync_file_range(kind.fd, 0, 4096, 7));
	say("ftruncate", ftruncate(kind.fd, 0));
}

static void of_kinds(void)
{
	struct kind kinds[12] = {
		{ "epoll", epoll_create1(0) }, { "eventfd", eventfd(3, EFD_NONBLOCK) },
		{ "timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK) }, { "inotify", inotify_init1(IN_NONBLOCK) },
		{ "signalfd", signalfd(-1, &(sigset_t){ 0 }, SFD_NONBLOCK) }, { "pidfd", syscall(SYS_pidfd_open, getpid(), 0) },
		{ "ptmx", open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK) }, { "null", open("/dev/null", O_RDWR) },
		{ "mq", mq_open("/edges", O_RDWR | O_CREAT | O_NONBLOCK, 0600, 0) },
		{ "secret", syscall(SYS_memfd_secret, 0) },
	};
	int pipes[2];
	pipe2(pipes, O_NONBLOCK);
	kinds[10] = (struct kind){ "pipe", pipes[0] };
	kinds[11] = (struct kind){ "read only", open("/proc/version", O_RDONLY) };
	for (int i = 0; i < 12; i++)
		vectors(kinds[i]);
	struct epoll_event event = { EPOLLIN };
	for (int i = 0; i < 12; i++) {
		char what[64];
		snprintf(what, sizeof what, "epoll_ctl of %s", kinds[i].name);
		say(what, epoll_ctl(kinds[0].fd, EPOLL_CTL_DEL, kinds[i].fd, &event));
		snprintf(what, sizeof what, "sendfile of %s", kinds[i].name);
		say(what, sendfile(kinds[7].fd, kinds[i].fd, 0, 8));
		off_t offset = 0;
		snprintf(what, sizeof what, "sendfile of %s at an offset to what cannot be written", kinds[i].name);
		say(what, sendfile(kinds[11].fd, kinds[i].fd, &offset, 8));
		struct stat status;
		struct statfs system;
		say("fstat", fstat(kinds[i].fd, &status));
		if (strcmp(kinds[i].name, "null"))
			printf("mode %o\n", status.st_mode);
		say("fstatfs", fstatfs(kinds[i].fd, &system));
		printf("magic %lx\n", (long)system.f_type);
		say("lseek", lseek(kinds[i].fd, 0, SEEK_CUR));
	}
	mq_unlink("/edges");
}

static void of_pidfds(void)
{
	struct stat one, two, other;
	int child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	fstat(syscall(SYS_pidfd_open, getpid(), 0), &one);
	fstat(syscall(SYS_pidfd_open, getpid(), 0), &two);
	fstat(syscall(SYS_pidfd_open, child, 0), &other);
	printf("pidfds: the same inode: %d, another's: %d\n", one.st_ino == two.st_ino, one.st_ino == other.st_ino);
	kill(child, SIGKILL);
	wait(0);
	int fd = -1;
	unsigned long arguments[8] = { CLONE_PIDFD, (unsigned long)&fd, [4] = SIGCHLD };
	child = syscall(SYS_clone3, arguments, sizeof arguments);
	if (child == 0) {
		pause();
		_exit(0);
	}
	fstat(fd, &one);
	fstat(syscall(SYS_pidfd_open, child, 0), &two);
	fstat(syscall(SYS_pidfd_open, child, O_EXCL), &other);
	printf("of clone3: the same inode: %d, as a thread: %d\n", one.st_ino == two.st_ino, one.st_ino == other.st_ino);
	kill(child, SIGKILL);
	wait(0);
}

static void of_events(void)
{
	int fd = eventfd(3, EFD_NONBLOCK);
	unsigned long long values[2] = { 1, 1 };
	say("eventfd: 9 bytes", write(fd, values, 9));
	say("eventfd: 16 bytes", write(fd, values, 16));
	say("eventfd: 8 bytes", write(fd, values, 8));
	say("eventfd: read half into a hole", read(fd, hole - 4, 8));
	say("eventfd: read again", read(fd, values, 8));
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec soon = { { 0 }, { 0, 1 } };
	timerfd_settime(timer, 0, &soon, 0);
	poll(&(struct pollfd){ timer, POLLIN }, 1, -1);
	say("timerfd: read half into a hole", read(timer, hole - 4, 8));
}

static void of_vectors(void)
{
	char text[] = "abcdefgh";
	int pipes[2];
	pipe2(pipes, O_NONBLOCK);
	struct iovec two[2] = { { text, 8 }, { hole - 4, 8 } }, huge = { page, 1L << 62 };
	say("writev: count 2^32", syscall(SYS_writev, pipes[1], two, 1L << 32));
	say("writev: count 2^32 + 1", syscall(SYS_writev, pipes[1], two, (1L << 32) + 1));
	say("writev: count -1", syscall(SYS_writev, pipes[1], two, -1L));
	say("vmsplice: count 2^32", syscall(SYS_vmsplice, pipes[1], two, 1L << 32, 0));
	say("vmsplice: a second piece that ends in a hole", vmsplice(pipes[1], two, 2, 0));
	two[0].iov_base = hole;
	say("vmsplice: a first piece in a hole", vmsplice(pipes[1], two, 2, 0));
	say("process_vm_writev: count 2^32", syscall(SYS_process_vm_writev, getpid(), two, 1L << 32, two, 3L << 32, 0));
	say("process_madvise: count 2^32", syscall(SYS_process_madvise, -1, two, 1L << 32, MADV_COLD, 0));
	say("sendmsg: a piece of 2^62 bytes to no one", sendmsg(-1, &(struct msghdr){ .msg_iov = &huge, .msg_iovlen = 1 }, 0));
	int devnull = open("/dev/null", O_RDWR);
	say("writev: a piece of 2^62 bytes", writev(devnull, &huge, 1) == 0x7ffff000);
	struct iovec both[2] = { huge, { text, 8 } };
	say("writev: two pieces, the first of 2^62 bytes", writev(devnull, both, 2));
	int empty[2];
	pipe2(empty, O_NONBLOCK);
	say("vmsplice from a pipe without waiting", vmsplice(empty[0], both + 1, 1, 2));
}

static void of_memory(void)
{
	long wrap = -4096;
	say("mlock: all", syscall(SYS_mlock, 0x800000000000, -1L));
	say("mlock: past the end", syscall(SYS_mlock, wrap + 0xfea, 0x1cL));
	say("mlock: nothing, there", syscall(SYS_mlock, 0x800000000000, 0L));
	say("mlock: a page, there", syscall(SYS_mlock, 0x800000000000, 1L));
	say("munlock: all", syscall(SYS_munlock, 0x800000000000, -1L));
	char *two = mmap(0, 3 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(two + 4096, 4096);
	say("MADV_REMOVE: private, then a hole", madvise(two, 3 * 4096, MADV_REMOVE));
	say("MADV_REMOVE: a hole, then private", madvise(two + 4096, 2 * 4096, MADV_REMOVE));
	say("MADV_REMOVE: a hole", madvise(two + 4096, 4096, MADV_REMOVE));
	char *shared = mmap(two + 4096, 4096, 3, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	shared[0] = 'x';
	munmap(two + 8192, 4096);
	say("MADV_REMOVE: shared, then a hole", madvise(shared, 2 * 4096, MADV_REMOVE));
	printf("what is left: %d\n", shared[0]);
	say("shmget: huge pages without a right", syscall(SYS_shmget, IPC_PRIVATE, 1L << 47, IPC_CREAT | SHM_HUGETLB));
}

static void of_sockets(void)
{
	struct sockaddr_nl name = { AF_NETLINK, 0, 0, 1u << 29 };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), number = 0;
	socklen_t length = 1;
	say("NETLINK_LISTEN_ALL_NSID, short", getsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &number, &length));
	length = 4;
	say("NETLINK_LISTEN_ALL_NSID", getsockopt(fd, SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &number, &length));
	say("NETLINK_GET_STRICT_CHK", getsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &number, &length));
	say("bind to RTNLGRP_IPV4_MROUTE_R", bind(fd, (void *)&name, sizeof name));
	number = RTNLGRP_IPV6_MROUTE_R;
	say("join RTNLGRP_IPV6_MROUTE_R", setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, 4));
	struct { struct cmsghdr head; struct ucred who; } claim = {
		{ .cmsg_len = CMSG_LEN(sizeof(struct ucred)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS },
		{ 0, 0xfffe, -1 } };
	struct iovec one = { "12345678901234567890", 20 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = &claim, .msg_controllen = sizeof claim };
	say("a claim without a group", sendmsg(fd, &message, 0));
	claim.who = (struct ucred){ 1, getuid(), getgid() };
	say("a claim to be another process", sendmsg(fd, &message, 0));
	for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
		int udp = socket(family, SOCK_DGRAM, 0);
		say("UDP: to an address without bytes", sendto(udp, "a", 1, 0, (void *)page, 0));
		say("UDP: to none", sendto(udp, "a", 1, 0, 0, 0));
		say("UDP: a policy of IPsec", setsockopt(udp, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			family == AF_INET ? 16 : 34, page, 16));
		say("UDP: a policy of IPsec without bytes", setsockopt(udp, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			family == AF_INET ? 17 : 35, page, 0));
	}
}

static void of_packets(void)
{
	struct sockaddr_ll wrong = { .sll_family = AF_UNIX, .sll_ifindex = 1000 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0x300);
	say("packet: to another family", sendto(fd, page, 60, 0, (void *)&wrong, sizeof wrong));
	say("packet: to an address without bytes", sendto(fd, page, 60, 0, (void *)&wrong, 0));
	say("kexec_load with KEXEC_PRESERVE_CONTEXT", syscall(SYS_kexec_load, 0, 0, 0, 2));
}

static void of_processes(void)
{
	long arguments[11] = { [4] = SIGCHLD, [5] = -140737488355329, [6] = 4096 };
	say("clone3: a stack that is no memory", syscall(SYS_clone3, arguments, sizeof arguments));
	printf("ioprio_get: %lx of the process, %lx of the group\n", syscall(SYS_ioprio_get, 1, 0), syscall(SYS_ioprio_get, 2, 0));
	if (fork() == 0) {
		setpgid(0, 0);
		nice(7);
		printf("ioprio_get: %lx with a nice value\n", syscall(SYS_ioprio_get, 2, 0));
		syscall(SYS_sched_setscheduler, 0, 5, &(int){ 0 });
		printf("ioprio_get: %lx when idle\n", syscall(SYS_ioprio_get, 2, 0));
		syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 1);
		printf("ioprio_get: %lx when set\n", syscall(SYS_ioprio_get, 2, 0));
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	int low = dup2(1, 70);
	fd_set set;
	FD_ZERO(&set);
	FD_SET(120, &set);
	struct timespec none = { 0 };
	say("select: not open, in the table", syscall(SYS_pselect6, 1024, 0, 0, &set, &none, 0));
	FD_ZERO(&set);
	FD_SET(130, &set);
	say("select: not open, past the table", syscall(SYS_pselect6, 1024, 0, 0, &set, &none, 0));
	close(low);
}

static void of_direct(void)
{
	mkdir("/direct", 0755);
	mount("none", "/direct", "tmpfs", 0, 0);
	int fd = open("/direct/file", O_RDWR | O_CREAT | O_DIRECT, 0644);
	say("tmpfs: O_DIRECT", fd < 0 ? -1 : 0);
	say("write of three bytes", write(fd, "abc", 3));
	char text[4] = "";
	say("read at 1", pread(fd, text, 3, 1));
	puts(text);
	int plain = open("/direct/file", O_RDWR);
	say("F_SETFL", fcntl(plain, F_SETFL, O_DIRECT));
	printf("F_GETFL: %d\n", (fcntl(plain, F_GETFL) & O_DIRECT) != 0);
	struct statx status;
	syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0x2000, &status);
	printf("alignment told: %d\n", (status.stx_mask & 0x2000) != 0);
	int memory = syscall(SYS_memfd_create, "m", 0);
	say("memfd: F_SETFL", fcntl(memory, F_SETFL, O_DIRECT));
	say("proc: O_DIRECT", open("/proc/version", O_RDONLY | O_DIRECT));
	int proc = open("/proc/version", O_RDONLY);
	say("proc: F_SETFL", fcntl(proc, F_SETFL, O_DIRECT));
	mount("none", "/direct", "ramfs", 0, 0);
	say("ramfs: O_DIRECT", open("/direct/file", O_RDWR | O_CREAT | O_DIRECT, 0644));
	umount("/direct");
	umount("/direct");
}

int main(void)
{
	page = mmap(0, 2 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	hole = page + 4096;
	munmap(hole, 4096);
	of_kinds();
	of_pidfds();
	of_events();
	of_vectors();
	of_packets();
	of_processes();
	of_direct();
	fflush(stdout);
	if (fork() == 0) {
		setgroups(0, 0);
		setresgid(1000, 1000, 1000);
		setresuid(1000, 1000, 1000);
		of_memory();
		of_sockets();
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	return 0;
}
