/* What the administrator of a user namespace may do, and what not. */
#include "userns_case.h"
#include <sys/klog.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <netinet/in.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static int outsider;

static void inside(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	SHOW(sethostname("x", 1));
	SHOW(setdomainname("x", 1));
	SHOW(settimeofday(&(struct timeval){ 1, 0 }, NULL));
	SHOW(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
	SHOW(klogctl(5, NULL, 0));
	struct rlimit locked;
	MUST(getrlimit(RLIMIT_MEMLOCK, &locked));
	IN_CHILD(MUST(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 0, 0 })); SHOW(mlock(&locked, 1)));
	SHOW(setpriority(PRIO_PROCESS, 0, -5));
	SHOW(setpriority(PRIO_PROCESS, 0, 5));
	SHOW(setpriority(PRIO_PROCESS, 0, 4));
	SHOW(setpriority(PRIO_PROCESS, outsider, 6));
	SHOW(setpriority(PRIO_USER, 0, 7));
	SHOW(setpriority(PRIO_USER, 5000, 7));
	SHOW(getpriority(PRIO_USER, 5000));
	SHOW(setpriority(PRIO_USER, 999, 7));
	SHOW(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ 1 }));
	cpu_set_t all;
	MUST(sched_getaffinity(0, sizeof all, &all));
	SHOW(sched_setaffinity(outsider, sizeof all, &all));
	struct rlimit limit;
	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_max++;
	SHOW(setrlimit(RLIMIT_NOFILE, &limit));
	SHOW(prlimit(outsider, RLIMIT_NOFILE, NULL, &limit));
	SHOW(kill(outsider, 0));
	SHOW(ptrace(PTRACE_ATTACH, outsider, 0, 0));
	IN_CHILD(SHOW(chroot("/tmp")); SHOW(chroot(".")));
	SHOW(mount("none", "/tmp", "tmpfs", 0, NULL));
	SHOW(umount2("/proc", MNT_DETACH));
	SHOW(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	SHOW(syscall(SYS_fsopen, "tmpfs", 0));
	SHOW(syscall(SYS_pivot_root, "/", "/"));
	SHOW(socket(AF_INET, SOCK_RAW, 1));
	SHOW(socket(AF_PACKET, SOCK_RAW, 0));
	int server = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(80) };
	SHOW(bind(server, (struct sockaddr *)&address, sizeof address));
	SHOW(setsockopt(server, SOL_SOCKET, SO_MARK, &(int){ 1 }, 4));
	struct sock_filter allow = { 6, 0, 0, 0x7fff0000 };
	struct sock_fprog program = { 1, &allow };
	SHOW(syscall(SYS_seccomp, 1, 0, &program));
	SHOW(prctl(PR_CAPBSET_DROP, 22, 0, 0, 0));
	SHOW(prctl(PR_SET_SECUREBITS, 2, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, 2, 21, 0, 0));
	SHOW(put("/proc/sys/kernel/hostname", "x"));
	SHOW(put("/proc/sys/kernel/ns_last_pid", "300"));
	SHOW(put("/proc/sys/vm/drop_caches", "1"));
	SHOW(put("/proc/self/oom_score_adj", "-5"));
	SHOW(open("/dev/mem", O_RDONLY) < 0);
	struct { unsigned bytes; int type; char data[128]; } handle = { 128, 0, { 0 } };
	int unused;
	int directory = (int)MUST(open("/tmp", O_RDONLY | O_DIRECTORY));
	MUST(syscall(SYS_name_to_handle_at, directory, "", &handle, &unused, AT_EMPTY_PATH));
	SHOW(syscall(SYS_open_by_handle_at, directory, &handle, O_RDONLY));
	int ends[2];
	MUST(pipe(ends));
	SHOW(fcntl(ends[0], F_SETPIPE_SZ, 1 << 21));
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(sethostname("own", 3));
	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount("none", "/tmp", "tmpfs", 0, NULL));
	SHOW(syscall(SYS_fsopen, "tmpfs", 0) >= 0);
	SHOW(syscall(SYS_fsopen, "ext2", 0) >= 0);
	SHOW(unshare(CLONE_NEWIPC));
	SHOW(unshare(CLONE_NEWPID));
	say();
	hear();
}

static void rest(void)
{
	say();
	hear();
}

static void rest_as_user(void)
{
	become(1000);
	rest();
}

static void watch(pid_t child, const char *when)
{
	char byte;
	static char target[1];
	printf("%s\n", when);
	SHOW(kill(child, 0));
	SHOW(ptrace(PTRACE_SEIZE, child, 0, 0));
	ptrace(PTRACE_DETACH, child, 0, 0);
	struct iovec here = { &byte, 1 }, there = { target, 1 };
	SHOW(process_vm_readv(child, &here, 1, &there, 1, 0));
	SHOW(setpriority(PRIO_PROCESS, child, 3));
	SHOW(prlimit(child, RLIMIT_NOFILE, NULL, &(struct rlimit){ 0 }));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", child);
	SHOW(open(path, O_RDONLY) >= 0);
	snprintf(path, sizeof path, "/proc/%d/root", child);
	SHOW(readlink(path, (char[64]){ 0 }, 64));
	snprintf(path, sizeof path, "/proc/%d/ns/user", child);
	SHOW(open(path, O_RDONLY) >= 0);
}

static void in_own_namespace(void)
{
	become(1000);
	MUST(unshare(CLONE_NEWUSER));
	say();
	hear();
}

/* A process that belongs to the same user, but is in a namespace of its own, or above. */
static void owners(void)
{
	struct child c = begin(in_own_namespace, 0);
	await(c);
	IN_CHILD(become(1000); watch(c.pid, "the maker, from outside"));
	IN_CHILD(become(1001); watch(c.pid, "another user, from outside"));
	tell(c);
	finish(c);
	struct child d = begin(rest_as_user, 0);
	await(d);
	IN_CHILD(become(1000); enter_as_root(0); watch(d.pid, "the same user, from inside"));
	tell(d);
	finish(d);
	IN_CHILD({
		become(1000);
		enter_as_root(0);
		struct child inner = begin(rest, CLONE_NEWUSER);
		await(inner);
		watch(inner.pid, "the administrator of the parent");
		tell(inner);
		finish(inner);
	});
}

static void drop(void)
{
	hear();
	SHOW(setresuid(5, 5, 5));
	SHOW(sethostname("x", 1));
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(setuid(0));
	SHOW(chown("/tmp", 5, 5));
	SHOW(unshare(CLONE_NEWUSER));
	SHOW(unshare(CLONE_NEWUTS));
}

int main(void)
{
	struct child c = begin(rest, 0);
	await(c);
	outsider = c.pid;
	struct child d = begin_mapped(inside, 0);
	await(d);
	tell(d);
	finish(d);
	tell(c);
	finish(c);
	owners();
	struct child e = begin_mapped(drop, 0);
	finish(e);
	IN_CHILD({
		/* All capabilities, but another user than the maker: what a mapped root of the parent may do from outside. */
		struct child f = begin(rest, CLONE_NEWUSER);
		await(f);
		MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
		become(1000);
		SHOW(put_of(f.pid, "uid_map", "0 1000 1"));
		char path[64];
		snprintf(path, sizeof path, "/proc/%d/ns/user", f.pid);
		SHOW(open(path, O_RDONLY) >= 0);
		tell(f);
		show_end(f.pid);
	});
}
