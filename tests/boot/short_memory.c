/*
 * short_memory [NAME]: runs small programs, each again and again, with the first, second, third … allocation of the
 * kernel failing on the way (/proc/self/fail-nth), until one gets through without. Prints how many places there were, how
 * many runs were killed, and how many objects the kernel's heap has more than before.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
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
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define KEPT 20 /* objects: tables that have grown */

static int knob = -1;
static char buffer[65536];

static void nonblocking(int fd) { fcntl(fd, F_SETFL, O_NONBLOCK); }

static void quick(int fd)
{
	struct timeval limit = { 0, 4000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static void inet_stream(int family)
{
	union { struct sockaddr any; struct sockaddr_in four; struct sockaddr_in6 six; } at = { 0 };
	socklen_t length = family == AF_INET ? sizeof at.four : sizeof at.six;
	int fds[3], one = 1;
	at.any.sa_family = family;
	if (family == AF_INET)
		at.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		at.six.sin6_addr = in6addr_loopback;
	fds[0] = socket(family, SOCK_STREAM, 0);
	fds[1] = socket(family, SOCK_STREAM, 0);
	quick(fds[0]), quick(fds[1]);
	setsockopt(fds[0], SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	bind(fds[0], &at.any, length);
	listen(fds[0], 4);
	getsockname(fds[0], &at.any, &length);
	connect(fds[1], &at.any, length);
	fds[2] = accept(fds[0], NULL, NULL);
	quick(fds[2]);
	write(fds[1], buffer, 20000);
	read(fds[2], buffer, 5000);
	write(fds[2], buffer, 300);
	send(fds[2], "!", 1, MSG_OOB);
	shutdown(fds[1], SHUT_WR);
	read(fds[1], buffer, 300);
	struct pollfd p[3] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 }, { fds[2], POLLIN, 0 } };
	poll(p, 3, 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void tcp(void) { inet_stream(AF_INET); }
static void tcp6(void) { inet_stream(AF_INET6); }

static void udp(void)
{
	struct sockaddr_in at = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof at;
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	quick(a), quick(b);
	setsockopt(b, IPPROTO_IP, IP_RECVERR, &one, sizeof one);
	setsockopt(a, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	struct ip_mreqn group = { { htonl(0xe0010203) }, { htonl(INADDR_LOOPBACK) }, 0 };
	setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group);
	bind(a, (void *)&at, sizeof at);
	getsockname(a, (void *)&at, &length);
	connect(b, (void *)&at, sizeof at);
	send(b, buffer, 100, 0);
	send(b, buffer, 9000, 0);
	char control[128];
	struct iovec part = { buffer, sizeof buffer };
	struct msghdr message = { &at, sizeof at, &part, 1, control, sizeof control, 0 };
	recvmsg(a, &message, 0);
	close(a);
	send(b, buffer, 1, 0);
	recvmsg(b, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	close(b);
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	quick(raw);
	at.sin_port = 0;
	sendto(raw, "\10\0\367\377\0\0\0\0", 8, 0, (void *)&at, sizeof at);
	recv(raw, buffer, sizeof buffer, 0);
	close(raw);
}

static void unix_rights(void)
{
	int pair[2], file = open("/dev/null", O_RDWR), name = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un at = { AF_UNIX, "/tmp/short" };
	bind(name, (void *)&at, sizeof at);
	close(name);
	unlink(at.sun_path);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	quick(pair[0]), quick(pair[1]);
	union { struct cmsghdr head; char bytes[CMSG_SPACE(2 * sizeof(int))]; } control = { { CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	memcpy(CMSG_DATA(&control.head), (int[]){ file, pair[0] }, 2 * sizeof(int));
	struct iovec part = { buffer, 10 };
	struct msghdr message = { NULL, 0, &part, 1, &control, sizeof control, 0 };
	sendmsg(pair[0], &message, 0);
	sendmsg(pair[0], &message, 0);
	recvmsg(pair[1], &message, 0);
	close(pair[0]), close(pair[1]), close(file);
}

static void netlink(void)
{
	static const int kinds[] = { RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	quick(fd);
	for (int i = 0; i < 4; i++) {
		struct { struct nlmsghdr head; struct rtgenmsg body; } ask = { { sizeof ask, kinds[i], NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };
		send(fd, &ask, sizeof ask, 0);
		recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
	}
	close(fd);
}

static void events(void)
{
	int e = epoll_create1(0), v = eventfd(1, EFD_NONBLOCK), t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	int pipes[2] = { -1, -1 };
	int n = inotify_init1(IN_NONBLOCK);
	sigset_t set;
	sigemptyset(&set), sigaddset(&set, SIGUSR1);
	int s = signalfd(-1, &set, SFD_NONBLOCK);
	pipe2(pipes, O_NONBLOCK);
	int all[] = { v, t, n, s, pipes[0], pipes[1] };
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		struct epoll_event event = { EPOLLIN | EPOLLET, { .fd = all[i] } };
		epoll_ctl(e, EPOLL_CTL_ADD, all[i], &event);
	}
	inotify_add_watch(n, "/tmp", IN_ALL_EVENTS);
	close(open("/tmp/watched", O_CREAT | O_RDWR, 0600));
	unlink("/tmp/watched");
	timerfd_settime(t, 0, &(struct itimerspec){ { 0, 0 }, { 0, 1000 } }, NULL);
	write(pipes[1], buffer, 9000);
	read(pipes[0], buffer, 100);
	struct epoll_event got[8];
	epoll_wait(e, got, 8, 1);
	read(n, buffer, sizeof buffer);
	fd_set in;
	FD_ZERO(&in);
	FD_SET(v, &in);
	select(v + 1, &in, NULL, NULL, &(struct timeval){ 0, 0 });
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		close(all[i]);
	close(e);
}

static void files(void)
{
	mkdir("/tmp/d", 0700);
	int fd = open("/tmp/d/a", O_CREAT | O_RDWR | O_TRUNC, 0600);
	write(fd, buffer, 20000);
	ftruncate(fd, 100000);
	fsync(fd);
	lseek(fd, 0, SEEK_SET);
	read(fd, buffer, 10000);
	void *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	link("/tmp/d/a", "/tmp/d/b");
	symlink("a", "/tmp/d/c");
	rename("/tmp/d/b", "/tmp/d/e");
	readlink("/tmp/d/c", buffer, 100);
	struct stat st;
	stat("/tmp/d/c", &st);
	struct flock lock = { F_WRLCK, SEEK_SET, 0, 10 };
	fcntl(fd, F_SETLK, &lock);
	dup2(fd, 200);
	int directory = open("/tmp/d", O_RDONLY | O_DIRECTORY);
	while (syscall(217 /* getdents64 */, directory, buffer, 4096) > 0)
		;
	close(directory), close(fd), close(200);
	if (map != MAP_FAILED)
		munmap(map, 8192);
	mkfifo("/tmp/d/f", 0600);
	chmod("/tmp/d/f", 0644);
	for (int i = 0; i < 3; i++) { /* what failed is tried again, so that nothing stays */
		unlink("/tmp/d/a"), unlink("/tmp/d/b"), unlink("/tmp/d/c"), unlink("/tmp/d/e"), unlink("/tmp/d/f");
		rmdir("/tmp/d");
	}
}

/* Unnamed files on a disk at /mnt, whose file system is checked when it was unmounted: their numbers must come back. */
static void disk(void)
{
	char path[64];
	for (int i = 0; i < 2; i++) {
		int fd = open("/mnt", O_TMPFILE | O_RDWR, 0600);
		write(fd, buffer, 3000);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (i)
			linkat(AT_FDCWD, path, AT_FDCWD, "/mnt/named", AT_SYMLINK_FOLLOW);
		close(fd);
	}
	int directory = open("/mnt", O_RDONLY | O_DIRECTORY);
	while (syscall(SYS_getdents64, directory, buffer, 4096) > 0)
		;
	close(directory);
	for (int i = 0; i < 3; i++) /* what failed is tried again, so that nothing stays */
		unlink("/mnt/named");
}

/* On a disk at /mnt, whose file system is checked when it was unmounted. Numbers and blocks must be given back. */
static void whole_disk(void)
{
	char path[64];
	mkdir("/mnt/d", 0700), mkdir("/mnt/d/e", 0700), mkdir("/mnt/d/g", 0700);
	for (int i = 0; i < 2; i++) {
		int fd = open("/mnt/d", O_TMPFILE | O_RDWR, 0600);
		write(fd, buffer, 3000);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (i)
			linkat(AT_FDCWD, path, AT_FDCWD, "/mnt/d/named", AT_SYMLINK_FOLLOW);
		close(fd);
	}
	int fd = open("/mnt/d/a", O_CREAT | O_RDWR | O_TRUNC, 0600);
	write(fd, buffer, 20000);
	pwrite(fd, buffer, 3000, 300000); /* with blocks of 1 KiB: below two indirect blocks */
	fsetxattr(fd, "user.large", buffer, 600, 0);
	fsync(fd);
	fallocate(fd, 3 /* a hole */, 4096, 8192);
	ftruncate(fd, 15000);
	close(fd);
	fd = open("/mnt/d/b", O_CREAT | O_RDWR | O_EXCL, 0600);
	write(fd, buffer, 2000);
	link("/mnt/d/b", "/mnt/d/b2");
	mknod("/mnt/d/fifo", S_IFIFO | 0600, 0);
	symlink("a short one", "/mnt/d/short");
	memset(path, 'l', 63), path[63] = 0;
	symlink(path, "/mnt/d/long"); /* in a block of its own */
	rename("/mnt/d/b", "/mnt/d/a");
	rename("/mnt/d/e", "/mnt/d/g/e");
	rename("/mnt/d/short", "/mnt/d/g/s");
	syscall(SYS_renameat2, AT_FDCWD, "/mnt/d/long", AT_FDCWD, "/mnt/d/g/s", 2 /* exchange */);
	int directory = open("/mnt/d/g", O_RDONLY | O_DIRECTORY);
	while (syscall(SYS_getdents64, directory, buffer, 4096) > 0)
		;
	close(directory);
	unlink("/mnt/d/b2"), unlink("/mnt/d/a"); /* it is open */
	write(fd, buffer, 2000);
	close(fd);
	for (int i = 0; i < 3; i++) { /* what failed is tried again, so that nothing stays */
		static const char *const names[] = { "named", "a", "b", "b2", "fifo", "short", "long", "g/s" };
		for (unsigned j = 0; j < sizeof names / sizeof *names; j++) {
			snprintf(path, sizeof path, "/mnt/d/%s", names[j]);
			unlink(path);
		}
		rmdir("/mnt/d/e"), rmdir("/mnt/d/g/e"), rmdir("/mnt/d/g"), rmdir("/mnt/d");
	}
}

static void direct_io(void)
{
	int file = open("/tmp/image", O_CREAT | O_RDWR, 0600), loop = open("/dev/loop7", O_RDWR);
	char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec parts[3] = { { memory + 512, 20480 }, { memory + 24576, 4096 }, { memory + 30720, 512 } };
	ftruncate(file, 131072);
	ioctl(loop, LOOP_SET_FD, file);
	int fd = open("/dev/loop7", O_RDWR | O_DIRECT);
	pwritev(fd, parts, 3, 4096);
	preadv(fd, parts, 3, 512);
	pread(fd, memory, 65536, 0);
	if (memory != MAP_FAILED)
		munmap(memory, 65536);
	close(fd);
	for (int i = 0; i < 3; i++) {
		ioctl(loop, LOOP_CLR_FD, 0);
		unlink("/tmp/image");
	}
	close(loop), close(file);
}

static void mounts(void)
{
	mkdir("/tmp/m", 0700);
	mount("none", "/tmp/m", "tmpfs", 0, "size=1m");
	close(open("/tmp/m/x", O_CREAT | O_RDWR, 0600));
	mount("/tmp/m", "/tmp/m", NULL, MS_BIND, NULL);
	for (int i = 0; i < 4; i++)
		umount("/tmp/m");
	rmdir("/tmp/m"), rmdir("/tmp/m");
}

static void processes(void)
{
	pid_t child = fork();
	if (child == 0) {
		execl("/bin/true", "true", "with", "arguments", (char *)0);
		_exit(1);
	}
	if (child > 0)
		while (waitpid(child, NULL, 0) < 0 && errno != ECHILD)
			;
}

/* Of children, and of the process itself, which leads no group. */
static void job_control(void)
{
	siginfo_t report;
	int status;
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	if (child > 0) {
		setpgid(child, child), setpgid(child, getpgrp()), setpgid(child, 0);
		if (kill(child, SIGSTOP) == 0)
			waitid(P_PID, child, &report, WSTOPPED | WEXITED);
		while (kill(child, SIGKILL) < 0)
			;
		waitid(P_PID, child, &report, WEXITED | WNOWAIT);
		while (wait4(child, &status, 0, (struct rusage *)buffer) < 0 && errno != ECHILD)
			;
	}
	setsid();
	setpgid(0, 0);
	setpriority(PRIO_PROCESS, 0, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* Of all kinds; where one fails, the rest is made without. */
static void namespaces(void)
{
	static const int kinds[] = { CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWCGROUP, CLONE_NEWUSER | CLONE_NEWPID };
	static const char *const names[] = { "uts", "ipc", "mnt", "net", "cgroup", "pid", "time", "user" };
	int old[8], all = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWUSER;
	char path[64];
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		old[i] = open(path, O_RDONLY);
	}
	pid_t child = syscall(SYS_clone, SIGCHLD | all, NULL, NULL, NULL, 0L);
	if (child == 0)
		_exit(0);
	if (child > 0)
		while (waitpid(child, NULL, 0) < 0 && errno != ECHILD)
			;
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds - 1; i++)
		unshare(kinds[i]);
	unshare(CLONE_NEWTIME);
	for (int i = 0; i < 7; i++)
		setns(old[i], 0);
	unshare(kinds[5]);
	for (int i = 0; i < 8; i++)
		close(old[i]);
}

/* With places that cannot be written to, too: both of the descriptors go. */
static void pairs(void)
{
	int ends[2] = { -1, -1 }, *const nowhere = (int *)8;
	pipe2(nowhere, 0);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, nowhere);
	pipe2(ends, O_DIRECT | O_CLOEXEC);
	write(ends[1], buffer, 100);
	dup3(ends[0], 300, O_CLOEXEC);
	fcntl(ends[1], F_DUPFD, 400);
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 17);
	close(ends[0]), close(ends[1]), close(300), close(400);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
	write(ends[1], buffer, 100);
	close(ends[0]), close(ends[1]);
	struct sockaddr_un at = { AF_UNIX, "\0short" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(listener, (void *)&at, sizeof at);
	listen(listener, 4);
	nonblocking(listener), nonblocking(client);
	connect(client, (void *)&at, sizeof at);
	socklen_t length = sizeof at;
	int accepted = accept4(listener, (void *)&at, &length, SOCK_CLOEXEC);
	close(accepted), close(client), close(listener);
	for (int fd = 3; fd < 64; fd++) /* whatever was made and not told */
		if (fd != knob)
			close(fd);
}

/* The new program looks whether the allocation has failed: see `main`. */
static void executes(void)
{
	execl("/proc/self/exe", "short_memory", "left", (char *)0);
}

static void *thread(void *argument) { return argument; }

static void threads(void)
{
	pthread_t one;
	if (pthread_create(&one, NULL, thread, NULL) == 0)
		pthread_join(one, NULL);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	timer_t timer;
	if (timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0)
		timer_delete(timer);
	nanosleep(&(struct timespec){ 0, 1000 }, NULL);
	sched_yield();
	setpgid(0, 0);
	getgroups(100, (gid_t *)buffer);
	sigaltstack(&(stack_t){ buffer, 0, 16384 }, NULL);
}

static void memory(void)
{
	char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return;
	at[0] = at[500000] = 1;
	mprotect(at + 4096, 4096, PROT_READ);
	mremap(at, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
	madvise(at, 8192, MADV_DONTNEED);
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED)
		msync(shared, 8192, MS_SYNC), munmap(shared, 8192);
	int fd = memfd_create("short", MFD_ALLOW_SEALING);
	write(fd, buffer, 5000);
	close(fd);
}

static void ignore_it(int number) { (void)number; }

/* Each broken page is remembered for good, so that one run breaks few. */
static void broken_memory(int flags, int fd)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, flags, fd, 0);
	signal(SIGBUS, ignore_it);
	if (pages == MAP_FAILED)
		return;
	read(fd, pages, 1);
	madvise(pages, 8192, 101);
	madvise(pages, 4096, 101);
	madvise(pages, 4096, 100);
	munmap(pages, 8192);
}

/* Twice: the second time, the address space has had broken pages already. */
static void broken_private(void)
{
	broken_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	broken_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* Beside a child that has the same memory, and waits meanwhile. */
static void broken_forked(void)
{
	int ends[2];
	if (pipe(ends) < 0)
		return;
	char byte, *before = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (before != MAP_FAILED)
		*before = 1;
	pid_t child = fork();
	if (child == 0) {
		close(ends[1]);
		read(ends[0], &byte, 1);
		_exit(0);
	}
	signal(SIGBUS, ignore_it);
	if (before != MAP_FAILED)
		madvise(before, 4096, 101), madvise(before, 4096, 100);
	broken_memory(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	close(ends[0]), close(ends[1]);
	if (child > 0)
		while (waitpid(child, NULL, 0) < 0 && errno != ECHILD)
			;
}

static void broken_shared(void) { broken_memory(MAP_SHARED | MAP_ANONYMOUS, -1); }

static void broken_file(void)
{
	int fd = open("/tmp/broken", O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 8192);
	broken_memory(MAP_SHARED, fd);
	close(fd);
	unlink("/tmp/broken");
}

static void system_v(void)
{
	int queue = msgget(IPC_PRIVATE, 0600), sems = semget(IPC_PRIVATE, 2, 0600), segment = shmget(IPC_PRIVATE, 8192, 0600);
	struct { long type; char text[100]; } m = { 1, "text" };
	msgsnd(queue, &m, 100, IPC_NOWAIT);
	msgrcv(queue, &m, 100, 0, IPC_NOWAIT);
	struct sembuf up = { 0, 1, SEM_UNDO };
	semop(sems, &up, 1);
	char *at = shmat(segment, NULL, 0);
	if (at != (char *)-1)
		shmdt(at);
	for (int i = 0; i < 3; i++)
		msgctl(queue, IPC_RMID, NULL), semctl(sems, 0, IPC_RMID), shmctl(segment, IPC_RMID, NULL);
}

static void more_ipc(void)
{
	struct mq_attr { long flags, most, size, current, unused[4]; } limits = { 0, 4, 100, 0, { 0 } };
	int queue = syscall(SYS_mq_open, "short", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &limits);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	signal(SIGUSR1, SIG_IGN);
	syscall(SYS_mq_notify, queue, &event);
	syscall(SYS_mq_timedsend, queue, "text", 4, 1, NULL);
	syscall(SYS_mq_timedreceive, queue, buffer, 100, NULL, NULL);
	close(queue);
	for (int i = 0; i < 3; i++)
		syscall(SYS_mq_unlink, "short");
	timer_t timers[3];
	for (int i = 0; i < 3; i++)
		if (timer_create(CLOCK_MONOTONIC, &event, &timers[i]) == 0) {
			timer_settime(timers[i], 0, &(struct itimerspec){ { 0, 1000000 }, { 0, 1000 } }, NULL);
			timer_delete(timers[i]);
		}
	long ring = syscall(SYS_add_key, "keyring", "short", NULL, 0L, -2L);
	long key = syscall(SYS_add_key, "user", "short", "data", 4L, ring);
	syscall(SYS_keyctl, 11L /* read */, key, buffer, 100L);
	syscall(SYS_keyctl, 1L /* join a session */, "short");
	syscall(SYS_keyctl, 2L /* update */, key, "other data", 10L);
	syscall(SYS_keyctl, 8L /* link */, key, -1L);
	for (int i = 0; i < 3; i++)
		syscall(SYS_keyctl, 9L /* unlink */, ring, -2L), syscall(SYS_keyctl, 9L, key, -1L);
	int watch = syscall(SYS_pidfd_open, getpid(), 0);
	close(watch);
	unsigned long context = 0;
	syscall(SYS_io_setup, 4L, &context);
	syscall(SYS_io_destroy, context);
	char parameters[120] = { 0 };
	int uring = syscall(SYS_io_uring_setup, 4L, parameters);
	close(uring);
	int group = syscall(SYS_fanotify_init, 0x200L /* whole names */ | 0x400L, (long)O_RDONLY);
	syscall(SYS_fanotify_mark, group, 1L, 0x100L /* created */, AT_FDCWD, "/tmp");
	close(open("/tmp/marked", O_CREAT | O_RDWR, 0600));
	unlink("/tmp/marked");
	close(group);
}

/* Maps and programs of bpf(2). */
static void maps(void)
{
	struct { unsigned type, key, value, entries, flags; char rest[100]; } create = { 1 /* hash */, 4, 8, 16, 0, { 0 } };
	struct { unsigned map, pad; void *key, *value; unsigned long flags; } element = { 0, 0, "key", "a value", 0 };
	for (unsigned type = 1; type < 3; type++) {
		create.type = type;
		int map = syscall(SYS_bpf, 0L, &create, sizeof create);
		int first = 0;
		element.map = map, element.key = &first;
		syscall(SYS_bpf, 2L, &element, sizeof element);
		syscall(SYS_bpf, 1L, &element, sizeof element);
		syscall(SYS_bpf, 3L, &element, sizeof element);
		close(map);
	}
	static const unsigned long code[] = { 0x00000000000000b7, 0x0000000000000095 }; /* r0 = 0; exit */
	struct { unsigned type, count; const void *code; const char *license; char rest[100]; } load = { 1, 2, code, "GPL", { 0 } };
	int program = syscall(SYS_bpf, 5L, &load, sizeof load), ends[2] = { -1, -1 };
	socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
	setsockopt(ends[0], SOL_SOCKET, 50 /* SO_ATTACH_BPF */, &program, sizeof program);
	close(ends[0]), close(ends[1]), close(program);
}

/* Mounts by descriptors. */
static void mount_files(void)
{
	mkdir("/tmp/m", 0700);
	int context = syscall(SYS_fsopen, "tmpfs", 1L);
	syscall(SYS_fsconfig, context, 1L, "size", "1m", 0L);
	syscall(SYS_fsconfig, context, 6L, NULL, NULL, 0L);
	int mounted = syscall(SYS_fsmount, context, 1L, 0L);
	syscall(SYS_move_mount, mounted, "", AT_FDCWD, "/tmp/m", 4L);
	int copy = syscall(SYS_open_tree, AT_FDCWD, "/tmp/m", 1L | O_CLOEXEC);
	unsigned long attributes[4] = { 1, 0, 0, 0 };
	syscall(SYS_mount_setattr, copy, "", 0x1000L, attributes, sizeof attributes);
	close(context), close(mounted), close(copy);
	mount(NULL, "/tmp/m", NULL, MS_SHARED, NULL);
	mount("/tmp/m", "/tmp/m", NULL, MS_BIND | MS_REC, NULL);
	for (int i = 0; i < 6; i++)
		umount("/tmp/m");
	rmdir("/tmp/m"), rmdir("/tmp/m");
}

static void read_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	while (read(fd, buffer, sizeof buffer) > 0)
		;
	close(fd);
}

static void proc(void)
{
	static const char *names[] = {
		"/proc/self/status", "/proc/self/stat", "/proc/self/maps", "/proc/self/mountinfo", "/proc/self/cmdline", "/proc/meminfo",
		"/proc/stat", "/proc/net/tcp", "/proc/net/dev", "/proc/net/snmp", "/proc/net/unix", "/proc/net/route", "/proc/uptime",
		"/proc/sys/kernel/hostname", "/proc/self/fdinfo/0", "/sys/class/net/lo/mtu",
	};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		read_file(names[i]);
	readlink("/proc/self/exe", buffer, 100);
	readlink("/proc/self/fd/1", buffer, 100);
	DIR *all = opendir("/proc/self/fd");
	if (all)
		closedir(all);
}

static void terminal(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), unlock = 0, number = 0;
	ioctl(master, TIOCSPTLCK, &unlock);
	ioctl(master, TIOCGPTN, &number);
	snprintf(buffer, 100, "/dev/pts/%d", number);
	int slave = open(buffer, O_RDWR | O_NOCTTY);
	nonblocking(master), nonblocking(slave);
	write(master, "line\n", 5);
	read(slave, buffer, 100);
	write(slave, "answer\n", 7);
	read(master, buffer, 100);
	struct termios mode;
	tcgetattr(slave, &mode);
	close(slave), close(master);
}

static void shell(void)
{
	pid_t child = vfork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "echo a | cat >/dev/null; x=$(echo b); : >/tmp/s; rm /tmp/s", (char *)0);
		_exit(1);
	}
	if (child > 0)
		while (waitpid(child, NULL, 0) < 0 && errno != ECHILD)
			;
}

/* Locks with priority inheritance: `lock` is ours, and others wait for it; `foreign` is another thread's. */
static int lock, foreign, waiting;

static long on_lock(int *word, int operation)
{
	struct timespec limit;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_nsec = (limit.tv_nsec + 3000000) % 1000000000; /* in 3 ms, or long ago */
	return syscall(SYS_futex, word, operation, 0, &limit, NULL, 0);
}

static void *wait_for_lock(void *unused)
{
	__atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
	while (syscall(SYS_futex, &lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) < 0)
		;
	syscall(SYS_futex, &lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
	return unused;
}

static void *own_foreign(void *ends)
{
	char byte;
	foreign = syscall(SYS_gettid);
	__atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
	read(*(int *)ends, &byte, 1);
	syscall(SYS_futex, &foreign, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
	return NULL;
}

static void locks(void)
{
	pthread_t threads[3];
	int ends[2], count = 0;
	waiting = 0;
	lock = syscall(SYS_gettid);
	if (pipe(ends) < 0)
		return;
	for (int i = 0; i < 3; i++)
		count += pthread_create(&threads[count], NULL, i < 2 ? wait_for_lock : own_foreign, ends) == 0;
	for (int i = 0; i < 1000 && __atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < count; i++)
		sched_yield();
	for (int i = 0; i < 4; i++)
		on_lock(&foreign, FUTEX_LOCK_PI);
	while (syscall(SYS_futex, &lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) < 0 && errno == ENOMEM)
		;
	close(ends[1]);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static const struct program { const char *name; void (*run)(void); } programs[] = {
	{ "tcp", tcp }, { "tcp6", tcp6 }, { "udp", udp }, { "unix", unix_rights }, { "netlink", netlink }, { "events", events },
	{ "files", files }, { "disk", disk }, { "whole_disk", whole_disk }, { "direct_io", direct_io }, { "mounts", mounts }, { "processes", processes },
	{ "job_control", job_control }, { "namespaces", namespaces }, { "pairs", pairs }, { "executes", executes }, { "more_ipc", more_ipc },
	{ "maps", maps }, { "mount_files", mount_files }, { "threads", threads }, { "memory", memory },
	{ "broken_private", broken_private }, { "broken_forked", broken_forked }, { "broken_shared", broken_shared }, { "broken_file", broken_file },
	{ "system_v", system_v }, { "proc", proc }, { "terminal", terminal }, { "shell", shell },
	{ "locks", locks },
};

static long objects(void)
{
	char line[256];
	long value = -1;
	nanosleep(&(struct timespec){ 0, 20000000 }, NULL); /* the network's thread may have something to end */
	sync(); /* what was deleted on a disk is kept until the disk knows */
	for (int i = 0; i < 3; i++) {
		int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
		if (write(fd, "3", 1) != 1)
			printf("drop_caches: %s\n", strerror(errno));
		close(fd);
	}
	FILE *f = fopen("/proc/metrics", "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "krait_heap_objects %ld", &value);
	if (f)
		fclose(f);
	return value;
}

static long seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void arm(int nth)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", nth);
	while (pwrite(knob, text, length, 0) < 0 && errno == ENOMEM)
		;
}

/* Runs it once with the nth allocation failing; whether there was one. */
static int try(const struct program *program, int nth, int *killed)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		char left[16] = "0";
		knob = open("/proc/self/fail-nth", O_RDWR);
		arm(nth);
		program->run();
		ssize_t n = pread(knob, left, sizeof left, 0);
		arm(0);
		_exit(n < 0 || atoi(left) > 0 ? 1 : 0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status)) {
		(*killed)++;
		return 1;
	}
	return WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "left") == 0) { /* the program of `executes` */
		char left[16] = "0";
		knob = open("/proc/self/fail-nth", O_RDWR);
		ssize_t n = pread(knob, left, sizeof left, 0);
		arm(0);
		return n < 0 || atoi(left) > 0 ? 1 : 0;
	}
	int rounds = argc > 2 ? atoi(argv[2]) : 1;
	for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++) {
		const struct program *program = &programs[i];
		int killed = 0, nth = 1;
		if (argc > 1 && strcmp(argv[1], program->name) && strcmp(argv[1], "all"))
			continue;
		try(program, 1 << 20, &killed);
		long before = objects();
		for (int round = 0; round < rounds; round++)
			for (nth = 1; nth < 5000 && try(program, nth, &killed); nth++)
				;
		long more = objects() - before;
		long end = seconds() + 3; /* what was put off is done soon; a busy host may take long for each sync */
		while (more > KEPT && seconds() < end)
			more = objects() - before;
		printf("%s: %d places, %d killed, objects %ld\n", program->name, nth - 1, killed, more);
		fflush(stdout);
	}
	return 0;
}
