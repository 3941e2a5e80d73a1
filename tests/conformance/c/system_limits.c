/* Covers: limits of the whole system and of a user: epoll/max_user_watches, file-max (with CAP_SYS_ADMIN), file-nr, nr_open, kernel/pty,
 * mount-max, optmem_max, POSIX timers against RLIMIT_SIGPENDING, with their errors and who pays. */
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include "case.h"

static int write_setting(const char *name, const char *value)
{
	char path[80];
	snprintf(path, sizeof path, "/proc/sys/%s", name);
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, value, strlen(value));
	int error = errno;
	close(fd);
	errno = error;
	return (int)n;
}

static const char *setting(const char *name)
{
	static char text[128];
	char path[80];
	snprintf(path, sizeof path, "/proc/sys/%s", name);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n - 1 : 0] = 0;
	return text;
}

static void be_user(void)
{
	MUST(setgid(1000));
	MUST(setuid(1000));
}

static void watches(void)
{
	char before[32];
	strcpy(before, setting("fs/epoll/max_user_watches"));
	CHECK(atol(before) > 1000);
	SHOW(write_setting("fs/epoll/max_user_watches", "-1"));
	SHOW(write_setting("fs/epoll/max_user_watches", "3"));
	IN_CHILD({
		be_user();
		int one = MUST(epoll_create1(0)), two = MUST(epoll_create1(0)), fds[6];
		struct epoll_event e = { .events = EPOLLIN };
		for (int i = 0; i < 6; i++)
			fds[i] = (int)MUST(eventfd(0, 0));
		for (int i = 0; i < 4; i++)
			SHOW(epoll_ctl(one, EPOLL_CTL_ADD, fds[i], &e));
		SHOW(epoll_ctl(two, EPOLL_CTL_ADD, fds[0], &e));
		SHOW(epoll_ctl(one, EPOLL_CTL_ADD, fds[0], &e));
		SHOW(epoll_ctl(one, EPOLL_CTL_ADD, one, &e));
		SHOW(epoll_ctl(one, EPOLL_CTL_MOD, fds[0], &e));
		SHOW(epoll_ctl(one, EPOLL_CTL_DEL, fds[0], &e));
		SHOW(epoll_ctl(two, EPOLL_CTL_ADD, fds[0], &e));
		SHOW(epoll_ctl(two, EPOLL_CTL_ADD, fds[1], &e));
		close(fds[1]);
		SHOW(epoll_ctl(two, EPOLL_CTL_ADD, fds[2], &e));
		SHOW(epoll_ctl(two, EPOLL_CTL_ADD, fds[3], &e));
		close(one);
		SHOW(epoll_ctl(two, EPOLL_CTL_ADD, fds[3], &e));
	});
	/* a set pays for its maker, whoever uses it */
	int set = MUST(epoll_create1(0));
	IN_CHILD({
		be_user();
		struct epoll_event e = { .events = EPOLLIN };
		int mine = MUST(epoll_create1(0));
		for (int i = 0; i < 4; i++) {
			int fd = MUST(eventfd(0, 0));
			SHOW(epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
			SHOW(epoll_ctl(mine, EPOLL_CTL_ADD, fd, &e));
		}
	});
	close(set);
	MUST(write_setting("fs/epoll/max_user_watches", before));
}

/* Each way to a new file. */
static void all_kinds(int listener, struct sockaddr_in *address, int directory)
{
	int p[2];
	sigset_t none;
	sigemptyset(&none);
	TRY(open("/dev/null", O_RDONLY));
	TRY(open("/dev/null", O_RDONLY | O_PATH));
	TRY(open("/tmp/not-made", O_WRONLY | O_CREAT, 0600));
	SHOW(access("/tmp/not-made", F_OK));
	TRY(open("/not/there", O_RDONLY));
	TRY(pipe(p));
	TRY(socket(AF_INET, SOCK_STREAM, 0));
	TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	TRY(epoll_create1(0));
	TRY(eventfd(0, 0));
	TRY(timerfd_create(CLOCK_MONOTONIC, 0));
	TRY(signalfd(-1, &none, 0));
	TRY(inotify_init1(0));
	TRY(syscall(SYS_memfd_create, "m", 0));
	TRY(syscall(SYS_pidfd_open, getpid(), 0));
	TRY(dup(directory));
	TRY(openat(directory, ".", O_RDONLY | O_DIRECTORY));
	TRY(open("/tmp", O_TMPFILE | O_RDWR, 0600));
	TRY(open("/dev/ptmx", O_RDWR));
	if (listener >= 0) {
		fcntl(listener, F_SETFL, O_NONBLOCK);
		TRY(accept(listener, 0, 0));
	}
	(void)address;
}

static void files(void)
{
	struct rlimit limit = { 2000, 4096 };
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	char before[32];
	strcpy(before, setting("fs/file-max"));
	CHECK(atol(before) >= 8192);
	long open_now = 0, free_now = 1, most = 0;
	sscanf(setting("fs/file-nr"), "%ld %ld %ld", &open_now, &free_now, &most);
	CHECK(open_now >= 0 && free_now == 0 && most == atol(before));
	SHOW(write_setting("fs/file-nr", "1"));
	SHOW(write_setting("fs/file-max", "-1"));
	int listener = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof a;
	MUST(bind(listener, (void *)&a, sizeof a));
	MUST(listen(listener, 3));
	MUST(getsockname(listener, (void *)&a, &length));
	int directory = MUST(open("/tmp", O_RDONLY | O_DIRECTORY));
	/* Linux counts on each processor: only some hundred files are surely seen. */
	for (int i = 0; i < 400; i++)
		MUST(dup(MUST(open("/dev/null", O_RDONLY))));
	SHOW(write_setting("fs/file-max", "100"));
	printf("root\n");
	IN_CHILD({ all_kinds(-1, &a, directory); });
	unlink("/tmp/not-made");
	printf("a user\n");
	IN_CHILD({ be_user(); all_kinds(listener, &a, directory); });
	MUST(write_setting("fs/file-max", before));
	syscall(SYS_close_range, 3, 1999, 0);
}

static void highest_descriptor(void)
{
	printf("nr_open %s\n", setting("fs/nr_open"));
	SHOW(write_setting("fs/nr_open", "63"));
	SHOW(write_setting("fs/nr_open", "2147483647"));
	SHOW(write_setting("fs/nr_open", "2147483584"));
	SHOW(write_setting("fs/nr_open", "4096"));
	struct rlimit limit = { 4097, 4097 };
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max = 4096;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	SHOW(write_setting("fs/nr_open", "2048"));
	SHOW(dup2(1, 4095));
	SHOW(dup2(1, 4096));
	SHOW(fcntl(1, F_DUPFD, 4000));
	SHOW(dup2(1, 2000));
	SHOW(write_setting("fs/nr_open", "1048576"));
	SHOW(dup2(1, 4095));
	SHOW(close(4095));
	SHOW(close(2000));
}

static void terminals(void)
{
	printf("pty max %s\n", setting("kernel/pty/max"));
	printf("pty reserve %s\n", setting("kernel/pty/reserve"));
	int before = atoi(setting("kernel/pty/nr"));
	SHOW(write_setting("kernel/pty/nr", "1"));
	SHOW(write_setting("kernel/pty/max", "-1"));
	int first = MUST(open("/dev/ptmx", O_RDWR));
	CHECK(atoi(setting("kernel/pty/nr")) == before + 1);
	char most[16];
	snprintf(most, sizeof most, "%d", before + 2);
	MUST(write_setting("kernel/pty/max", most));
	int second = (int)TRY(open("/dev/ptmx", O_RDWR));
	TRY(open("/dev/ptmx", O_RDWR));
	close(first);
	first = (int)TRY(open("/dev/ptmx", O_RDWR));
	close(first), close(second);
	MUST(write_setting("kernel/pty/max", "4096"));
}

static void mounts(void)
{
	printf("mount-max %s\n", setting("fs/mount-max"));
	SHOW(write_setting("fs/mount-max", "0"));
	SHOW(write_setting("fs/mount-max", "1"));
	mkdir("/tmp/limit-m", 0700);
	SHOW(mount("none", "/tmp/limit-m", "tmpfs", 0, 0));
	SHOW(mount("/tmp", "/tmp/limit-m", 0, MS_BIND, 0));
	SHOW(mount("/", "/tmp/limit-m", 0, MS_BIND | MS_REC, 0));
	MUST(write_setting("fs/mount-max", "100000"));
	SHOW(mount("none", "/tmp/limit-m", "tmpfs", 0, 0));
	SHOW(umount("/tmp/limit-m"));
	rmdir("/tmp/limit-m");
}

static long send_control(size_t size)
{
	static char control[200000];
	struct cmsghdr *h = (void *)control;
	memset(control, 0, sizeof control);
	h->cmsg_len = size, h->cmsg_level = SOL_SOCKET + 40, h->cmsg_type = 1;
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = size };
	int s[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	long result = syscall(SYS_sendmsg, s[0], &m, MSG_DONTWAIT); /* musl's function has a limit of its own */
	int error = errno;
	close(s[0]), close(s[1]);
	errno = error;
	return result;
}

static int join(int fd, int number)
{
	struct ipv6_mreq m = { .ipv6mr_interface = 1 };
	m.ipv6mr_multiaddr.s6_addr[0] = 0xff, m.ipv6mr_multiaddr.s6_addr[1] = 0x01;
	m.ipv6mr_multiaddr.s6_addr[14] = (unsigned char)(number >> 8), m.ipv6mr_multiaddr.s6_addr[15] = (unsigned char)number;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m);
}

static void option_memory(void)
{
	printf("optmem_max %s\n", setting("net/core/optmem_max"));
	SHOW(send_control(131071));
	SHOW(send_control(131072));
	SHOW(send_control(131073));
	MUST(write_setting("net/core/optmem_max", "1000"));
	SHOW(send_control(36));
	SHOW(send_control(999));
	SHOW(send_control(1000));
	struct sock_filter code[400];
	for (int i = 0; i < 400; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 100);
	struct sock_fprog small = { 4, code }, large = { 400, code };
	int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &small, sizeof small));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &large, sizeof large));
	close(fd);
	fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct ip_mreqn four = { .imr_ifindex = 1 };
	int i;
	for (i = 0; i < 30; i++) {
		four.imr_multiaddr.s_addr = htonl(0xef000101u + (unsigned)i);
		if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof four))
			break;
	}
	printf("IPv4 groups end with %s, %d fit\n", error_name(errno), i);
	close(fd);
	fd = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
	for (i = 0; i < 30; i++)
		if (join(fd, i + 1))
			break;
	printf("IPv6 groups end with %s, %d fit\n", error_name(errno), i);
	close(fd);
	MUST(write_setting("net/core/optmem_max", "131072"));
}

static int signals_of_user(void)
{
	char text[4096];
	int fd = MUST(open("/proc/self/status", O_RDONLY));
	ssize_t n = MUST(read(fd, text, sizeof text - 1));
	close(fd);
	text[n] = 0;
	char *place = strstr(text, "SigQ:");
	return place ? atoi(place + 5) : -1;
}

static void timers(int uid)
{
	printf("timers of uid %d\n", uid);
	struct rlimit limit = { 5, 5 };
	if (uid)
		be_user();
	int before = signals_of_user(), ids[8], made = 0;
	limit.rlim_cur = limit.rlim_max = (rlim_t)before + 5;
	MUST(setrlimit(RLIMIT_SIGPENDING, &limit));
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, 0);
	SHOW(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ 0 }));
	for (int i = 0; i < 6; i++) {
		struct sigevent e = { .sigev_notify = i == 1 ? SIGEV_NONE : SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2 };
		int id, result = (int)syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id);
		printf("timer %d: %s\n", i, result ? error_name(errno) : "ok");
		if (result == 0)
			ids[made++] = id;
	}
	printf("charged %d\n", signals_of_user() - before);
	SHOW(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ 0 }));
	/* a timer has paid for its signal */
	struct itimerspec soon = { { 0, 0 }, { 0, 1 } };
	MUST(syscall(SYS_timer_settime, ids[0], 0, &soon, 0));
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGRTMIN + 2);
	siginfo_t info;
	struct timespec long_time = { 60, 0 };
	int got = sigtimedwait(&wanted, &info, &long_time);
	CHECK(got == SIGRTMIN + 2 && info.si_code == SI_TIMER);
	printf("charged %d\n", signals_of_user() - before);
	SHOW(syscall(SYS_timer_delete, ids[0]));
	SHOW(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ 0 }));
	SHOW(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ 0 }));
	printf("charged %d\n", signals_of_user() - before);
	IN_CHILD({
		printf("a child sees %d more\n", signals_of_user() - before);
		struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
		int id;
		SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id));
	});
	for (int i = 1; i < made; i++)
		MUST(syscall(SYS_timer_delete, ids[i]));
	sigset_t queued;
	sigemptyset(&queued);
	sigaddset(&queued, SIGRTMIN + 1);
	struct timespec none = { 0, 0 };
	while (sigtimedwait(&queued, 0, &none) > 0)
		continue;
	printf("charged %d\n", signals_of_user() - before);
}

int main(void)
{
	watches();
	files();
	highest_descriptor();
	terminals();
	mounts();
	option_memory();
	IN_CHILD({ timers(0); });
	IN_CHILD({ timers(1000); });
	return 0;
}
