/*
 * Programs of random system calls, from seeds:
 *
 *	fuzz_calls run SEED CALLS SECONDS WORKERS [NAME,… [DISK [CORPUS]]]
 *	                                                     many, in processes of their own; without the calls named; with
 *	                                                     guidance by a count that is on a disk (guide.h)
 *	fuzz_calls replay PROGRAM MASK TIMES                 one, or some of a process (guide.h), with the calls of a mask only
 *	fuzz_calls history SEED WORKER FIRST LAST            what a worker did, again
 *	fuzz_calls compare SEED FIRST COUNT                  what each call returned, to be compared with another kernel's
 *	fuzz_calls compare-named <LIST                       the same of programs that are named, a line with the mask of each
 *	fuzz_calls show PROGRAM MASK                         what it is
 *	fuzz_calls texts|executables|images SEED TIMES PATH  to files of /proc and /sys; of a binary; of an ext2
 *
 * With FUZZ_SUBJECTS in the environment all programs are about a subject (subjects.h); else every fourth is.
 *
 * Each worker gives its programs a sandbox that becomes their root, watches that they end, and kills those that do not. The
 * supervisor, a thread with deadlines, prints a line every few seconds: how many calls there were, and by how much it was late.
 * The kernel reports everything else: a bug names the thread that ran into it, and threads are named after their
 * program.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#include "program.h"
#include "fuzz_names.h"
#include "fuzz_table.h"

static uint64_t pick(uint64_t limit);
static uint64_t seed_of(uint64_t base, int worker, uint64_t n);
#include "sandbox.h"
#include "generate.h"
#include "guide.h"

struct program;
static void enter_sandbox(const struct program *program);
#include "run.h"
#include "show.h"

#define PROGRAMS_PER_SANDBOX 64
#define PATIENCE_NS 150000000ull /* for a program to end by itself */
#define KILL_NS 20000000000ull /* for a killed program to end; a busy host may need long */
#define LATE_NS 100000000ull


static struct program program;

static int only_subjects; /* each program is about one */

static uint64_t seed_of(uint64_t base, int worker, uint64_t n)
{
	random_state = base * 1000003 + worker * 0x1000000000ull + n;
	draw();
	return draw() >> 16 & (only_subjects ? ~3ull : ~0ull);
}

/* A quarter of the programs begin in a user namespace of their own, some of them with more namespaces. */
static void enter_user_namespace(const struct program *which)
{
	int network = which->own_network ? CLONE_NEWNET : 0;
	if (unshare(network | (which->crowd >> 50 & 1 ? CLONE_NEWUSER : CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)))
		return;
	if (!which->is_root)
		write_text("prz/self/setgroups", "deny");
	write_text("prz/self/uid_map", which->is_root ? "0 0 500\n1000 1000 1" : "0 1000 1");
	write_text("prz/self/gid_map", which->is_root ? "0 0 500\n1000 1000 1" : "0 1000 1");
}

static void enter_sandbox(const struct program *which)
{
	unsigned choice = which->crowd >> 48 & 3;
	if (which->own_network) /* whoever is not root is so in a user namespace; programs of bpf(2) are not for those */
		choice = which->is_root ? 1 + (choice & 1) : 0;
	else if (which->subject == TIMES && !which->is_root)
		choice = 0;
	if (which->own_network && which->is_root && unshare(CLONE_NEWNET))
		_exit(99);
	if (chdir(home[which->on_ext2]))
		_exit(99);
	/* Half of them have a tree of mounts whose root the sandbox is: in a chroot nobody can make a user namespace. */
	if (choice < 2 && unshare(CLONE_NEWNS) == 0)
		mount(home[which->on_ext2], "/", 0, MS_MOVE, 0);
	if (chroot("."))
		_exit(99);
	if (which->subject == GROUPS || which->subject == FILTERS)
		write_text("cgz/a/cgroup.procs", "0");
	close(count_disk);
	for (int i = 0; i < 3; i++)
		close(i);
	open("nz_null", O_RDWR), dup(0), dup(0);
	if (!which->is_root) {
		setgroups(0, 0);
		setresgid(1000, 1000, 1000);
		setresuid(1000, 1000, 1000);
	}
	if (choice == 0)
		enter_user_namespace(which);
	if (which->own_network) {
		raise_loopback();
		/* Connections that their processes have left keep a network, and what its rules do. */
		write_text("prz/sys/net/ipv4/tcp_orphan_retries", "1"), write_text("prz/sys/net/ipv4/tcp_fin_timeout", "1");
	}
	open_crowd(which->crowd, crowd);
}

/* Children whose numbers nobody noted. */
static void end_unknown(void)
{
	DIR *list = opendir("/proc");
	for (struct dirent *each; list && (each = readdir(list)); ) {
		char path[300], line[256] = "";
		int pid = atoi(each->d_name), parent;
		if (pid <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%d/stat", pid);
		int fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		read(fd, line, sizeof line - 1);
		close(fd);
		char *end = strrchr(line, ')');
		if (end && sscanf(end + 2, "%*c %d", &parent) == 1 && parent == getpid())
			kill(pid, SIGKILL);
	}
	if (list)
		closedir(list);
}

static void show_file(const char *path)
{
	char text[2000];
	int fd = open(path, O_RDONLY | O_CLOEXEC), size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	text[size < 0 ? 0 : size] = 0;
	if (fd >= 0)
		close(fd);
	dprintf(1, "%s: %s\n", path, text);
}

/* Where the threads of a process are that does not end. */
static void show_threads(int pid)
{
	char path[80];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *list = opendir(path);
	if (!list)
		dprintf(1, "%s: %s\n", path, strerror(errno));
	for (struct dirent *each; list && (each = readdir(list)); ) {
		int tid = atoi(each->d_name);
		if (tid <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid), show_file(path);
		snprintf(path, sizeof path, "/proc/%d/task/%d/stack", pid, tid), show_file(path);
	}
	if (list)
		closedir(list);
}

/* Processes that a program left behind, and that came to us. */
static void end_others(void)
{
	uint64_t start = now_ns();
	for (uint32_t i = 0; i < me->forked && i < SHARED_PIDS; i++)
		if (!is_protected(me->forks[i]))
			kill(me->forks[i], SIGKILL);
	for (int tries = 0; ; tries++) {
		int pid = waitpid(-1, 0, WNOHANG | __WALL);
		if (pid < 0)
			return;
		if (pid > 0)
			continue;
		if (tries > 3)
			end_unknown();
		if (now_ns() - start > KILL_NS) {
			dprintf(1, "@unkillable a child of program %012llx+%d\n", (long long)me->seed, me->act);
			return;
		}
		usleep(200);
	}
}

static void one_program(const struct chain *chain)
{
	uint64_t seed = chain->seeds[chain->length - 1], run_before = instructions_run();
	sigset_t child;
	siginfo_t info;
	int status, pid, killed = 0, act = 0;
	uint64_t start = now_ns(); /* of its act: the time of a program may be that of a namespace */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	generate_act(&program, chain, chain->first_act);
	me->seed = seed;
	me->forked = me->last = me->act = 0;
	pid = fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, 0);
		run_programs(&program, chain);
	}
	if (pid < 0) {
		usleep(1000);
		return;
	}
	me->child = pid;
	while (waitpid(pid, &status, WNOHANG | __WALL) == 0) {
		if (act != me->act && !killed)
			act = me->act, start = now_ns();
		uint64_t passed = now_ns() - start;
		struct timespec pause = { 0, killed ? 5000000 : 151000000 };
		if (passed > PATIENCE_NS) {
			shared->slow[me->last] += !killed && program.threads == 1;
			killed = 1;
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			/* A thread that asked to be traced by us is dead until we know; until then its process is not. */
			if (waitpid(-1, &status, WNOHANG | __WALL) == pid)
				break;
		}
		if (passed > KILL_NS) {
			dprintf(1, "@unkillable process %d of program %012llx+%d\n", pid, (long long)seed, me->act);
			show_threads(pid);
			break;
		}
		sigtimedwait(&child, &info, &pause);
	}
	__atomic_fetch_add(&shared->ends[killed ? 2 : WIFSIGNALED(status)], 1, __ATOMIC_RELAXED);
	if (!killed && WIFSIGNALED(status) && chain->length > 1)
		print_chain("chain", chain);
	kill(-pid, SIGKILL);
	end_others();
	if (instructions_run() > run_before)
		keep(chain);
	me->programs += 1 + me->act - chain->first_act;
}

static void become_worker(int number)
{
	sigset_t all;
	me = &shared->worker[number];
	me->pid = shared->protected[number + 1] = getpid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpgid(0, 0);
	unshare(CLONE_NEWNS); /* a copy of it has no sandboxes of other workers */
	make_sandboxes(number);
}

static void work(uint64_t base, int number, uint64_t first, uint64_t last)
{
	become_worker(number);
	me->first = first;
	for (uint64_t n = first; n < last && !shared->stop; n++) {
		if ((n - first) % PROGRAMS_PER_SANDBOX == 0) {
			me->first = n;
			make_sandboxes(number);
			if (n / PROGRAMS_PER_SANDBOX % 16 == number)
				remove_queues();
		}
		me->current = n;
		struct chain chain = next_chain(seed_of(base, number, n));
		one_program(&chain);
		flush_rules();
	}
	for (int i = 0; i < 2; i++)
		for (int tries = 0; tries < 20 && umount2(home[i], MNT_DETACH) == 0; tries++)
			;
	nftw(group, remove_group, 16, FTW_DEPTH | FTW_PHYS);
	remove_queues();
	clear_loops();
	_exit(0);
}

static uint64_t total(const uint64_t *counts)
{
	uint64_t sum = 0;
	for (int i = 0; i < 512; i++)
		sum += counts[i];
	return sum;
}

static void progress(uint64_t start)
{
	uint64_t programs = 0;
	for (int i = 0; i < 16; i++)
		programs += shared->worker[i].programs;
	printf("@progress %.1f s, %llu calls, %llu good, %llu programs, %llu by a signal, %llu killed, late %llu ms\n",
		(now_ns() - start) / 1e9, (long long)total(shared->calls), (long long)total(shared->good), (long long)programs,
		(long long)shared->ends[1], (long long)shared->ends[2], (long long)(shared->late_ns / 1000000));
	shared->late_ns = 0;
}

/* The programs of now, at the end of a line. */
static void print_present(int workers)
{
	for (int i = 0; i < workers; i++)
		if (shared->worker[i].seed)
			printf(" %012llx+%d", (long long)shared->worker[i].seed, shared->worker[i].act);
	printf("\n");
}

static void report_late(uint64_t ns, int workers)
{
	printf("@late %llu ms:", (long long)(ns / 1000000));
	print_present(workers);
}

/*
 * What is outside cannot be named: F_SETOWN, for one, would have signals sent to the shell. In here, small numbers are
 * nobody's but those of the first process, which does nothing.
 */
static void enter_pid_namespace(void)
{
	int child, status;
	if (unshare(CLONE_NEWPID | CLONE_NEWNS) || (child = fork()) < 0)
		exit(1);
	if (child == 0) {
		mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
		mount("proc", "/proc", "proc", 0, 0);
		write_text("/proc/sys/kernel/ns_last_pid", "400");
		child = fork();
	}
	if (child == 0)
		return;
	while (waitpid(child, &status, 0) != child)
		;
	if (WIFSIGNALED(status)) {
		printf("@ended by signal %d, in one of", WTERMSIG(status));
		print_present(16);
	}
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/*
 * The running thread gets 3 ms in each 10 ms, whatever else there is: programs may take the highest real-time priority, too,
 * and deadlines, but not more of those than can be met. Its children are ordinary.
 */
static void hurry(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		uint32_t nice, priority;
		uint64_t runtime_ns, deadline_ns, period_ns;
	} attr = { sizeof attr, SCHED_DEADLINE, 1 /* reset on fork */, 0, 0, 3000000, 10000000, 10000000 };
	if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0)
		printf("@late 0 ms: no deadlines: %d\n", errno);
}

static void supervise(uint64_t base, uint64_t most_calls, double seconds, int workers)
{
	uint64_t start = now_ns(), shown = start, next[16] = { 0 }, last = 0;
	int still = 0; /* lines of progress without a call */
	shared->protected[0] = getpid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < workers; i++) {
		if (fork() == 0)
			work(base, i, 0, -1ull);
	}
	hurry();
	while (total(shared->calls) < most_calls && now_ns() - start < seconds * 1e9) {
		uint64_t before = now_ns(), late;
		usleep(10000);
		late = now_ns() - before - 10000000;
		if (late > shared->late_ns)
			shared->late_ns = late;
		if (late > LATE_NS)
			report_late(late, workers);
		for (int pid; (pid = waitpid(-1, 0, WNOHANG)) > 0; )
			for (int i = 0; i < workers; i++)
				if (shared->worker[i].pid == pid) {
					printf("@lost worker %d after program %012llx+%d\n", i, (long long)shared->worker[i].seed,
						shared->worker[i].act);
					next[i] = shared->worker[i].current + 1;
					if (fork() == 0)
						work(base, i, next[i], -1ull);
				}
		if (now_ns() - shown > 5000000000ull) {
			uint64_t calls = total(shared->calls);
			shown = now_ns();
			progress(start);
			still = calls == last ? still + 1 : 0;
			last = calls;
			for (int i = 0; still == 3 && i < workers; i++)
				show_threads(shared->worker[i].pid);
		}
	}
	shared->stop = 1;
	progress(start);
	for (uint64_t stopped = now_ns(); now_ns() - stopped < KILL_NS + 10000000000ull && waitpid(-1, 0, WNOHANG) >= 0; )
		usleep(10000);
	for (size_t i = 0; i < COUNT(rows); i++)
		printf("@call %s %llu %llu %llu\n", rows[i].name, (long long)shared->calls[rows[i].number],
			(long long)shared->good[rows[i].number], (long long)shared->slow[rows[i].number]);
	for (uint32_t i = 0; i < corpus->count && i < MOST_KEPT; i++)
		print_chain("kept", &corpus->kept[i]);
	printf("@done\n");
}

static void exclude(char *names)
{
	for (char *name = strtok(names, ","); name; name = strtok(0, ","))
		for (size_t i = 0; i < COUNT(rows); i++)
			if (strcmp(rows[i].name, name) == 0)
				excluded[i] = 1;
}

/* A thread with deadlines that says when it was woken too late. */
static int watch(void)
{
	int pid = fork();
	if (pid)
		return pid;
	hurry();
	for (;;) {
		uint64_t before = now_ns(), late;
		usleep(10000);
		late = now_ns() - before - 10000000;
		if (late > LATE_NS)
			report_late(late, 16);
	}
}

static void replay(const char *name, int times)
{
	struct chain chain = read_chain(name);
	int watcher = watch();
	shared->protected[1] = watcher;
	become_worker(15);
	for (int i = 0; i < times; i++)
		one_program(&chain);
	kill(watcher, SIGKILL);
	printf("@calls %llu\n@done\n", (long long)total(shared->calls));
}

#include "compare.h"
#include "files.h"

int main(int count, char **given)
{
	if (count < 3)
		return 2;
	if (strcmp(given[1], "show") == 0 && count >= 4) {
		kept = strtoull(given[3], 0, 16);
		struct chain chain = read_chain(given[2]);
		generate_act(&program, &chain, chain.last_act);
		show(&program);
		return 0;
	}
	setvbuf(stdout, 0, _IOLBF, 0);
	write_text("/proc/self/oom_score_adj", "-1000"); /* where memory is short, programs go (run_programs) */
	only_subjects = getenv("FUZZ_SUBJECTS") != 0;
	shared = mmap(0, sizeof *shared, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	corpus = mmap(0, sizeof *corpus, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir("/fuzz", 0755);
	mkdir("/fuzz/disk", 0755);
	mkdir("/fuzz/groups", 0755);
	if (access("/fuzz/groups/cgroup.procs", F_OK) && strcmp(given[1], "show"))
		mount("none", "/fuzz/groups", "cgroup2", 0, 0), write_text("/fuzz/groups/cgroup.subtree_control", "+cpu +memory +io +pids");
	if (strcmp(given[1], "run") == 0 && count >= 6) {
		if (count > 6)
			exclude(given[6]);
		if (count > 7)
			count_disk = open(given[7], O_RDONLY | O_DIRECT | O_CLOEXEC);
		if (count > 8)
			load_corpus(given[8]);
		enter_pid_namespace();
		supervise(strtoull(given[2], 0, 0), strtod(given[3], 0), strtod(given[4], 0), atoi(given[5]));
	} else if (strcmp(given[1], "replay") == 0 && count >= 5) {
		kept = strtoull(given[3], 0, 16);
		shared->protected[0] = getppid();
		replay(given[2], atoi(given[4]));
	} else if (strcmp(given[1], "compare-named") == 0) {
		compare_named();
	} else if (strcmp(given[1], "compare") == 0 && count >= 5) {
		compare(strtoull(given[2], 0, 0), strtoull(given[3], 0, 0), strtoull(given[4], 0, 0));
	} else if (strcmp(given[1], "history") == 0 && count >= 6) {
		shared->protected[0] = getppid();
		if (fork() == 0)
			work(strtoull(given[2], 0, 0), atoi(given[3]), strtoull(given[4], 0, 0), strtoull(given[5], 0, 0));
		wait(0);
		printf("@done\n");
	} else if (count >= 5) {
		try_files(given[1], strtoull(given[2], 0, 0), atoi(given[3]), given[4]);
	} else {
		return 2;
	}
	return 0;
}
