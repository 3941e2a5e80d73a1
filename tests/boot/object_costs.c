/*
 * What one object of each kind costs: thousands of it are made, and what memory is missing then is divided among them.
 *
 * Usage: object_costs [NAME…]. For each kind a line: how many were made, and how many bytes one takes. It runs as root,
 * with limits as high as they go, on a machine that does nothing else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#define PAGE 4096L

static int fds[20000];
static char name[64];
static long base; /* memory that was free before the objects were made, in KiB */

static long free_now_kib(void)
{
	static char text[4096];
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (write(fd, "3\n", 2) != 2)
		exit(1);
	close(fd);
	usleep(100000);
	fd = open("/proc/meminfo", O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return atol(strstr(text, "MemFree:") + 8);
}

/* What is freed later comes back for a while, on a busy host for longer: wait until it no longer grows. */
static long free_kib(void)
{
	long most = free_now_kib();
	for (int same = 0, rounds = 0; same < 6 && rounds < 100; rounds++) {
		long now = free_now_kib();
		same = now > most + 8 ? 0 : same + 1;
		if (now > most)
			most = now;
	}
	return free_now_kib();
}

/* Whatever a kind needs before its objects is there now. */
static void begin(void)
{
	memset(fds, 1, sizeof fds); /* so that the pages are there */
	base = free_kib();
}

#define MAKE(most, call) do { begin(); for (; made < (most); made++) if ((call) < 0) break; } while (0)

static const char *numbered(long i)
{
	snprintf(name, sizeof name, "%ld", i);
	return name;
}

static void here(void)
{
	mkdir("/tmp/costs", 0700);
	if (chdir("/tmp/costs"))
		exit(1);
}

static long new_file(long i)
{
	int fd = open(numbered(i), O_CREAT | O_WRONLY, 0600);
	return fd < 0 ? fd : close(fd);
}

static long pipes(long made)
{
	int ends[2];
	MAKE(4000, pipe(ends));
	return made;
}

static long full_pipe_pages(long made)
{
	static char page[PAGE];
	int ends[2] = { -1, -1 };
	MAKE(8000, made % 16 ? write(ends[1], page, PAGE) : pipe(ends) < 0 ? -1 : write(ends[1], page, PAGE));
	return made;
}

static long open_files(long made) { MAKE(19000, open("/dev/null", O_RDONLY)); return made; }
static long event_files(long made) { MAKE(10000, eventfd(0, 0)); return made; }
static long timer_files(long made) { MAKE(10000, timerfd_create(CLOCK_MONOTONIC, 0)); return made; }

enum { SOFTWARE = 1, TRACEPOINT };

/* One that is off. */
static long event_open(unsigned type, unsigned long what)
{
	struct { unsigned type, size; unsigned long config, period, samples, form, flags, rest[11]; } wanted = {
		.type = type, .size = 128, .config = what, .flags = 1 };
	return syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0);
}

static long perf_events(long made)
{
	MAKE(590, event_open(SOFTWARE, 9));
	return made;
}

/* With the event, its descriptor, and its own two pages. */
static long perf_rings(long made)
{
	MAKE(500, mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)event_open(SOFTWARE, 9), 0) == MAP_FAILED ? -1 : 0);
	return made;
}

/* With the event; of 100 conditions. */
static long perf_filters(long made)
{
	static char text[1000];
	strcpy(text, "id&1");
	for (int i = 1; i < 100; i++)
		strcat(text, "&&id&1");
	MAKE(500, ioctl((int)event_open(TRACEPOINT, 2), 0x40082406 /* PERF_EVENT_IOC_SET_FILTER */, text));
	return made;
}

static long epoll_sets(long made) { MAKE(10000, epoll_create1(0)); return made; }

static long epoll_members(long made)
{
	struct epoll_event event = { EPOLLIN, { 0 } };
	int set = epoll_create1(0);
	for (int i = 0; i < 10000; i++)
		fds[i] = eventfd(0, 0);
	base = free_kib();
	for (; made < 10000; made++)
		if (epoll_ctl(set, EPOLL_CTL_ADD, fds[made], &event))
			break;
	return made;
}

static long aio_contexts(long made)
{
	MAKE(4000, ({ unsigned long context = 0; syscall(SYS_io_setup, 1, &context); }));
	return made;
}

static long aio_polls(long made)
{
	struct { long data; int key, rw_flags; short command, priority; int fd; long events, bytes, offset, reserved; int flags, bell; } block = { 0 };
	void *pointer = &block;
	unsigned long context = 0;
	int fd = eventfd(0, 0);
	syscall(SYS_io_setup, 12000, &context);
	block.command = 5;
	block.fd = fd;
	block.events = 1;
	MAKE(10000, syscall(SYS_io_submit, context, 1, &pointer));
	return made;
}

static long inotify_watches(long made)
{
	int watcher = inotify_init1(0);
	here();
	for (long i = 0; i < 5000; i++)
		new_file(i);
	MAKE(5000, inotify_add_watch(watcher, numbered(made), IN_ALL_EVENTS));
	return made;
}

static long inotify_events(long made)
{
	int watcher = inotify_init1(0);
	here();
	new_file(0), new_file(1);
	inotify_add_watch(watcher, ".", IN_ATTRIB);
	MAKE(16000, chmod(numbered(made & 1), 0600));
	return made;
}

static long udp_sockets(long made) { MAKE(10000, socket(AF_INET, SOCK_DGRAM, 0)); return made; }
static long tcp_sockets(long made) { MAKE(10000, socket(AF_INET, SOCK_STREAM, 0)); return made; }
static long netlink_sockets(long made) { MAKE(10000, socket(AF_NETLINK, SOCK_RAW, 0)); return made; }

static long unix_pairs(long made)
{
	int pair[2];
	MAKE(5000, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	return made;
}

static long unix_datagrams(long made)
{
	int pair[2], others[40][2];
	for (int i = 0; i < 40; i++)
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, others[i]);
	begin();
	for (int i = 0; i < 40; i++) {
		memcpy(pair, others[i], sizeof pair);
		while (send(pair[0], "", 0, 0) == 0)
			made++;
		while (send(pair[1], "", 0, 0) == 0)
			made++;
	}
	return made;
}

static long netlink_answers(long made)
{
	struct nlmsghdr wrong = { sizeof wrong, 999, NLM_F_REQUEST | NLM_F_ACK, 1, 0 };
	for (int i = 0; i < 40; i++)
		fds[i] = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	base = free_kib();
	for (int i = 0; i < 40; i++)
		for (int j = 0; j < 100 && send(fds[i], &wrong, sizeof wrong, 0) > 0; j++)
			made++;
	return made;
}

/* Policies of every other page of a shared object: the most that it may have. */
static long shared_policies(long made)
{
	unsigned long first = 1;
	char *at = mmap(0, 10000 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MAKE(4000, syscall(SYS_mbind, at + made * 2 * PAGE, PAGE, 2, &first, 64, 0));
	return made;
}

static long secret_files(long made) { MAKE(10000, syscall(447, 0)); return made; }

/* A process each: what it costs beyond the process is the table of its segments, or its map of ports. */
static long in_processes(long count, int special)
{
	unsigned segment[4] = { 0, 0, 0xfffff, 0x11 };
	int ends[2];
	char byte;
	pipe(ends);
	for (long made = 0; made < count; made++)
		if (fork() == 0) {
			if (special == 1)
				syscall(SYS_modify_ldt, 0x11, segment, sizeof segment);
			if (special == 2)
				syscall(SYS_ioperm, 0x80, 1, 1);
			write(ends[1], "x", 1);
			for (;;)
				pause();
		}
	for (long made = 0; made < count; made++)
		read(ends[0], &byte, 1);
	return count;
}

static long segment_tables(long made) { begin(); return in_processes(200, 1); }
static long port_maps(long made) { begin(); return in_processes(200, 2); }

static long areas(long made)
{
	char *memory = mmap(0, 2 * 32000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MAKE(32000, mprotect(memory + 2 * (made / 2) * PAGE, PAGE, PROT_READ) ? -1 : made++);
	return made;
}

static long semaphore_sets(long made) { MAKE(20000, semget(IPC_PRIVATE, 1, 0600)); return made; }
static long semaphores(long made) { MAKE(200, semget(IPC_PRIVATE, 500, 0600)); return 500 * made; }

static long undone_sets(long made)
{
	struct sembuf up = { 0, 1, SEM_UNDO };
	for (int i = 0; i < 5000; i++)
		fds[i] = semget(IPC_PRIVATE, 1, 0600);
	base = free_kib();
	for (; made < 5000; made++)
		if (semop(fds[made], &up, 1))
			break;
	return made;
}

static long message_queues(long made) { MAKE(20000, msgget(IPC_PRIVATE, 0600)); return made; }

static long empty_messages(long made)
{
	struct { long kind; char data[1]; } message = { 1, { 0 } };
	int queue = -1;
	MAKE(50000, made % 10000 == 0 && (queue = msgget(IPC_PRIVATE, 0600)) < 0 ? -1 : msgsnd(queue, &message, 0, IPC_NOWAIT));
	return made;
}

static long segments(long made) { MAKE(4000, shmget(IPC_PRIVATE, PAGE, 0600)); return made; }

static mqd_t new_queue(long i)
{
	char slashed[80];
	struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = 1 };
	snprintf(slashed, sizeof slashed, "/costs%ld", i);
	return mq_open(slashed, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
}

static long posix_queues(long made) { MAKE(4000, new_queue(made)); return made; }

static long posix_messages(long made)
{
	mqd_t queue = -1;
	for (int i = 0; i < 1000; i++)
		fds[i] = new_queue(i);
	base = free_kib();
	for (; made < 10000; made++) {
		queue = fds[made / 10];
		if (mq_send(queue, "", 0, 0))
			break;
	}
	return made;
}

static long queued_signals(long made)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, 0);
	MAKE(30000, sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }));
	return made;
}

static long posix_timers(long made)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int timer;
	MAKE(10000, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
	return made;
}

static long tmpfs_files(long made)
{
	here();
	MAKE(10000, new_file(made));
	return made;
}

static long record_locks(long made)
{
	here();
	int file = open("locked", O_CREAT | O_RDWR, 0600);
	MAKE(15000, fcntl(file, F_SETLK, &((struct flock){ .l_type = F_WRLCK, .l_start = made * 2, .l_len = 1 })));
	return made;
}

static long mounts(long made)
{
	here();
	mkdir("m", 0700);
	MAKE(1000, mount("none", "m", "tmpfs", 0, 0));
	return made;
}

static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static long threads(long made)
{
	static char stacks[1000][2 * PAGE] __attribute__((aligned(4096)));
	pthread_attr_t small;
	pthread_t thread;
	pthread_attr_init(&small);
	memset(stacks, 1, sizeof stacks);
	begin();
	for (; made < 1000; made++) {
		pthread_attr_setstack(&small, stacks[made], sizeof stacks[made]);
		if (pthread_create(&thread, &small, sleeper, 0))
			break;
	}
	usleep(300000);
	return made;
}

static long processes(long made)
{
	begin();
	for (; made < 500; made++) {
		pid_t child = fork();
		if (child < 0)
			break;
		if (child == 0)
			for (;;)
				pause();
	}
	usleep(300000);
	return made;
}

static long rulesets(long made)
{
	unsigned long ruleset[3] = { 0, 1, 0 };
	MAKE(10000, syscall(444, ruleset, sizeof ruleset, 0));
	return made;
}

static long ruleset_rules(long made)
{
	unsigned long ruleset[3] = { 0, 1, 0 };
	int fd = (int)syscall(444, ruleset, sizeof ruleset, 0);
	begin();
	for (; made < 60000; made++) {
		unsigned long rule[2] = { 1, (unsigned long)made };
		if (syscall(445, fd, 2, rule, 0) < 0)
			break;
	}
	return made;
}

static long keys(long made) { MAKE(20000, syscall(SYS_add_key, "user", numbered(made), "x", 1, -3)); return made; }
static long keyrings(long made) { MAKE(20000, syscall(SYS_add_key, "keyring", numbered(made), 0, 0, -3)); return made; }
static long terminals(long made) { MAKE(3000, open("/dev/ptmx", O_RDWR)); return made; }

/* Each is held by an open file of /proc/PID/ns. */
static long user_namespaces(long made)
{
	begin();
	for (; made < 900; made++) {
		char path[64];
		pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
		if (child < 0)
			break;
		if (child == 0)
			for (;;)
				pause();
		snprintf(path, sizeof path, "/proc/%d/ns/user", child);
		fds[made] = open(path, O_RDONLY);
		kill(child, SIGKILL);
		waitpid(child, 0, 0);
		if (fds[made] < 0)
			break;
	}
	return made;
}

static long fanotify_marks(long made)
{
	int group = (int)syscall(SYS_fanotify_init, 0, O_RDONLY);
	here();
	for (long i = 0; i < 5000; i++)
		new_file(i);
	MAKE(5000, syscall(SYS_fanotify_mark, group, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, numbered(made)));
	return made;
}

/* Creates a name and removes it: both are one event. */
static int passing_name(long number)
{
	char name[16];
	snprintf(name, sizeof name, "%ld", number);
	return mkdir(name, 0700) < 0 ? -1 : rmdir(name);
}

static long fanotify_events(long made)
{
	int group = (int)syscall(SYS_fanotify_init, FAN_REPORT_DIR_FID | FAN_REPORT_NAME, O_RDONLY);
	here();
	syscall(SYS_fanotify_mark, group, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR, AT_FDCWD, ".");
	MAKE(16000, passing_name(made));
	return made;
}

static long fault_files(long made) { MAKE(10000, syscall(SYS_userfaultfd, 0)); return made; }

static long network_namespaces(long made)
{
	begin();
	int first = open("/proc/self/ns/net", O_RDONLY);
	for (; made < 900; made++) {
		if (unshare(CLONE_NEWNET) < 0)
			break;
		fds[made] = open("/proc/self/ns/net", O_RDONLY);
		if (fds[made] < 0 || setns(first, CLONE_NEWNET) < 0)
			break;
	}
	close(first);
	return made;
}

static long veth_pairs(long made)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg link;
		struct rtattr info;
		struct rtattr kind;
		char text[8];
	} message;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	char reply[1024];
	fds[0] = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	begin();
	unshare(CLONE_NEWNET);
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	for (; made < 2000; made++) {
		memset(&message, 0, sizeof message);
		message.h = (struct nlmsghdr){sizeof message, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 1, 0};
		message.info = (struct rtattr){sizeof message.info + sizeof message.kind + sizeof message.text, IFLA_LINKINFO};
		message.kind = (struct rtattr){sizeof message.kind + 5, IFLA_INFO_KIND};
		strcpy(message.text, "veth");
		sendto(fd, &message, sizeof message, 0, (struct sockaddr *)&kernel, sizeof kernel);
		if (recv(fd, reply, sizeof reply, 0) < 0 || ((struct nlmsgerr *)(reply + sizeof(struct nlmsghdr)))->error)
			break;
	}
	return made;
}

static const struct kind { const char *name; long (*make)(long made); } kinds[] = {
#define KIND(name) { #name, name }
	KIND(open_files), KIND(pipes), KIND(full_pipe_pages), KIND(event_files), KIND(timer_files), KIND(perf_events), KIND(perf_rings), KIND(perf_filters), KIND(epoll_sets),
	KIND(epoll_members), KIND(aio_contexts), KIND(aio_polls), KIND(inotify_watches), KIND(inotify_events), KIND(fanotify_marks), KIND(fanotify_events), KIND(fault_files), KIND(udp_sockets), KIND(tcp_sockets), KIND(netlink_sockets),
	KIND(netlink_answers), KIND(unix_pairs), KIND(unix_datagrams), KIND(areas), KIND(shared_policies), KIND(secret_files), KIND(segment_tables),
	KIND(port_maps), KIND(semaphore_sets), KIND(semaphores),
	KIND(undone_sets), KIND(message_queues), KIND(empty_messages), KIND(segments), KIND(posix_queues), KIND(posix_messages),
	KIND(queued_signals), KIND(posix_timers), KIND(tmpfs_files), KIND(record_locks), KIND(mounts), KIND(terminals),
	KIND(user_namespaces),
	KIND(threads), KIND(processes), /* what these had comes back for a while: none with few objects follows at once */
	KIND(rulesets), KIND(ruleset_rules), KIND(keys), KIND(keyrings),
	KIND(veth_pairs),
	KIND(network_namespaces), /* last: their memory comes back for a long time after they have ended */
};

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("%s: %s\n", path, strerror(errno));
	close(fd);
}

static void clean_up(void)
{
	static char about[4096];
	for (int i = 0; i < 32768; i++) {
		int id = semctl(i, 0, SEM_STAT, about);
		if (id >= 0)
			semctl(id, 0, IPC_RMID);
		id = msgctl(i, MSG_STAT, (void *)about);
		if (id >= 0)
			msgctl(id, IPC_RMID, 0);
		id = shmctl(i, SHM_STAT, (void *)about);
		if (id >= 0)
			shmctl(id, IPC_RMID, 0);
	}
	for (long i = 0; i < 4000; i++) {
		char slashed[80];
		snprintf(slashed, sizeof slashed, "/costs%ld", i);
		mq_unlink(slashed);
	}
	if (chdir("/tmp/costs"))
		return;
	while (umount("m") == 0)
		continue;
	rmdir("m");
	for (long i = 0; i < 10000; i++)
		unlink(numbered(i));
	unlink("locked");
}

int main(int argc, char **argv)
{
	static const int resources[] = { RLIMIT_NOFILE, RLIMIT_SIGPENDING, RLIMIT_NPROC, RLIMIT_MSGQUEUE };
	for (int i = 0; i < 4; i++)
		setrlimit(resources[i], &(struct rlimit){ i ? 1000000000 : 20000, i ? 1000000000 : 20000 });
	put("/proc/sys/kernel/threads-max", "30000");
	put("/proc/sys/fs/file-max", "1000000");
	put("/proc/sys/fs/mqueue/queues_max", "4000");
	for (const struct kind *kind = kinds; kind < kinds + sizeof kinds / sizeof *kinds; kind++) {
		int wanted = argc < 2;
		for (int i = 1; i < argc; i++)
			wanted |= !strcmp(argv[i], kind->name);
		if (!wanted)
			continue;
		fflush(stdout);
		pid_t child = fork();
		if (child == 0) {
			setpgid(0, 0);
			long made = kind->make(0);
			int error = errno;
			long gone = base - free_kib();
			printf("cost %s: %ld made, %ld bytes each\n", kind->name, made, made > 0 ? gone * 1024 / made : 0);
			if (made == 0)
				printf("%s: %s\n", kind->name, strerror(error));
			fflush(stdout);
			kill(0, SIGKILL);
		}
		while (wait(0) >= 0 || errno == EINTR)
			continue;
		clean_up();
	}
	return 0;
}
