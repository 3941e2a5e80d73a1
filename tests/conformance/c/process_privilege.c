/*
 * Covers: who may do what to which process: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal, F_SETOWN with
 * F_SETSIG, prlimit64, setpriority, ioprio_set, sched_setaffinity, sched_setscheduler, sched_setattr, kcmp, process_vm_readv,
 * process_vm_writev, pidfd_getfd, process_madvise, get_robust_list, setpgid, files of /proc/PID that can be written.
 */
#include "privilege_case.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/uio.h>

static const struct actor actors[] = {
	ROOT, POWERLESS, USER, OTHER, { "set-user-ID other", 0, 1000, 1001, 1001, 1000 }, { "set-user-ID root", ALL, 1000, 0, 0, 1000 },
	WITH(CAP_KILL), WITH(CAP_SYS_NICE), WITH(CAP_SYS_PTRACE), WITH(CAP_SYS_RESOURCE), WITH(CAP_SYS_ADMIN), WITH(CAP_SETUID), WITH(CAP_DAC_OVERRIDE),
};

static const struct target {
	const char *name;
	struct actor who;
	int hidden, session;
} targets[] = {
	{ "root", ROOT, 0, 0 },
	{ "root in another session", ROOT, 0, 1 },
	{ "user", USER, 0, 0 },
	{ "user, not dumpable", USER, 1, 0 },
	{ "user with CAP_KILL", WITH(CAP_KILL), 0, 0 },
	{ "user in another session", USER, 0, 1 },
	{ "set-user-ID root", { "", ALL, 1000, 0, 0, 1000 }, 0, 0 },
	{ "was root", { "", 0, 1000, 1000, 0, 1000 }, 0, 0 },
	{ "acts as user", { "", 0, 1001, 1000, 1001, 1001 }, 0, 0 },
	{ "saved user", { "", 0, 1001, 1001, 1000, 1001 }, 0, 0 },
	{ "another user", OTHER, 0, 0 },
	{ "user of another group", { "", 0, 1000, 1000, 1000, 1001 }, 0, 0 },
};

static char memory[4096] __attribute__((aligned(4096))) = "the same address in all of them";
static pid_t pids[COUNT(targets)];

static void start(int index)
{
	int ready[2];
	char c;
	MUST(pipe(ready));
	pids[index] = (pid_t)MUST(fork());
	if (pids[index] == 0) {
		sigset_t all;
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		if (targets[index].session)
			MUST(setsid());
		become(&targets[index].who);
		if (targets[index].hidden)
			MUST(prctl(PR_SET_DUMPABLE, 0));
		MUST(write(ready[1], "x", 1));
		close(ready[0]);
		for (;;)
			pause();
	}
	MUST(read(ready[0], &c, 1));
	close(ready[0]);
	close(ready[1]);
}

static int queue(int call, pid_t pid, int code)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	info.si_signo = SIGUSR2;
	info.si_code = code;
	return call == SYS_rt_sigqueueinfo ? (int)syscall(call, pid, SIGUSR2, &info) : (int)syscall(call, pid, pid, SIGUSR2, &info);
}

/* A process is signalled about a pipe if the pipe's owner might send it a signal. */
static int own(pid_t pid, int number)
{
	int ends[2];
	MUST(pipe(ends));
	MUST(fcntl(ends[0], F_SETSIG, SIGRTMIN + number));
	int result = fcntl(ends[0], F_SETOWN, pid);
	MUST(fcntl(ends[0], F_SETFL, O_ASYNC));
	MUST(write(ends[1], "x", 1));
	close(ends[0]);
	close(ends[1]);
	return result;
}

struct attributes { unsigned size, policy; unsigned long long flags; int nice; unsigned priority; unsigned long long runtime, deadline, period; };

static void scheduling(pid_t pid)
{
	cpu_set_t all, got;
	struct sched_param none = { 0 }, one = { .sched_priority = 1 };
	struct attributes attributes = { sizeof attributes, SCHED_BATCH, 0, 10, 0, 0, 0, 0 }, idle = { sizeof idle, SCHED_IDLE, 0, 0, 0, 0, 0, 0 };
	memset(&all, 0xff, sizeof all);
	ASK("setpriority 10", setpriority(PRIO_PROCESS, (id_t)pid, 10));
	ASK("setpriority 5", setpriority(PRIO_PROCESS, (id_t)pid, 5));
	ASK("setpriority 10 again", setpriority(PRIO_PROCESS, (id_t)pid, 10));
	ASK("ioprio_set", syscall(SYS_ioprio_set, 1, pid, 2 << 13 | 4));
	ASK("ioprio_set idle", syscall(SYS_ioprio_set, 1, pid, 3 << 13));
	ASK("ioprio_set real-time", syscall(SYS_ioprio_set, 1, pid, 1 << 13 | 4));
	ASK("ioprio_get", syscall(SYS_ioprio_get, 1, pid));
	ASK("sched_setaffinity", sched_setaffinity(pid, sizeof all, &all));
	ASK("sched_getaffinity", sched_getaffinity(pid, sizeof got, &got));
	ASK("sched_setscheduler batch", syscall(SYS_sched_setscheduler, pid, SCHED_BATCH, &none));
	ASK("sched_setscheduler idle", syscall(SYS_sched_setscheduler, pid, SCHED_IDLE, &none));
	ASK("sched_setscheduler other", syscall(SYS_sched_setscheduler, pid, SCHED_OTHER, &none));
	ASK("sched_setscheduler fifo", syscall(SYS_sched_setscheduler, pid, SCHED_FIFO, &one));
	ASK("sched_setparam", syscall(SYS_sched_setparam, pid, &none));
	ASK("sched_setattr", syscall(SYS_sched_setattr, pid, &attributes, 0));
	ASK("sched_setattr idle", syscall(SYS_sched_setattr, pid, &idle, 0));
	ASK("sched_getattr", syscall(SYS_sched_getattr, pid, &attributes, sizeof attributes, 0));
	ASK("sched_setscheduler other", syscall(SYS_sched_setscheduler, pid, SCHED_OTHER, &none));
}

static void signals(pid_t pid, int number)
{
	int pidfd = (int)MUST(syscall(SYS_pidfd_open, pid, 0));
	ASK("kill 0", kill(pid, 0));
	ASK("kill", kill(pid, SIGUSR1));
	ASK("kill SIGCONT", kill(pid, SIGCONT));
	ASK("tkill", syscall(SYS_tkill, pid, SIGUSR1));
	ASK("tgkill", syscall(SYS_tgkill, pid, pid, SIGUSR1));
	ASK("rt_sigqueueinfo", queue(SYS_rt_sigqueueinfo, pid, SI_QUEUE));
	ASK("rt_sigqueueinfo as kill", queue(SYS_rt_sigqueueinfo, pid, SI_USER));
	ASK("rt_sigqueueinfo as tkill", queue(SYS_rt_sigqueueinfo, pid, SI_TKILL));
	ASK("rt_tgsigqueueinfo", queue(SYS_rt_tgsigqueueinfo, pid, SI_QUEUE));
	ASK("rt_tgsigqueueinfo as the kernel", queue(SYS_rt_tgsigqueueinfo, pid, 1));
	ASK("pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0));
	ASK("F_SETOWN", own(pid, number));
	close(pidfd);
}

static void looks(pid_t pid)
{
	char word[8] = { 0 };
	struct iovec here = { word, 8 }, there = { memory, 8 };
	struct rlimit limit;
	void *head;
	size_t size;
	int pidfd = (int)MUST(syscall(SYS_pidfd_open, pid, 0));
	ASK("prlimit, read", prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
	limit = (struct rlimit){ 1024, 4096 };
	ASK("prlimit, set", prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
	limit.rlim_max = 5000;
	ASK("prlimit, raise", prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
	ASK("kcmp", syscall(SYS_kcmp, getpid(), pid, 1, 0, 0));
	ASK("process_vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
	memcpy(word, memory, 8);
	ASK("process_vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
	ASK_FD("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 0, 0));
	there.iov_len = sizeof memory;
	ASK("process_madvise", syscall(SYS_process_madvise, pidfd, &there, 1, 20 /* MADV_COLD */, 0));
	ASK("get_robust_list", syscall(SYS_get_robust_list, pid, &head, &size));
	ASK("getpgid", getpgid(pid));
	ASK("getsid", getsid(pid));
	ASK("setpgid", setpgid(pid, 0));
	close(pidfd);
}

static void texts(pid_t pid)
{
	static const struct { const char *name, *text; } files[] = {
		{ "oom_score_adj", "0" }, { "oom_score_adj", "10" }, { "oom_score_adj", "-1" }, { "oom_score_adj", "0" }, { "comm", "name" }, { "timerslack_ns", "50000" },
		
	};
	char path[64], what[64];
	for (int i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i].name);
		snprintf(what, sizeof what, "%s %s", files[i].name, files[i].text);
		ASK(what, put(path, files[i].text));
	}
	static const char *opened[] = { "mem", "environ", "maps", "auxv", "stat", "status", "cwd", "root", "exe", "fd", "fd/0", "fdinfo/0", "limits", "task", "wchan" };
	for (int i = 0; i < COUNT(opened); i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, opened[i]);
		ASK(opened[i], try_open(path, O_RDONLY));
	}
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	ASK("mem, written", try_open(path, O_RDWR));
}

static void pending(int index)
{
	char path[64], line[128];
	snprintf(path, sizeof path, "/proc/%d/status", pids[index]);
	FILE *file = fopen(path, "r");
	printf("%s:", targets[index].name);
	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, "SigPnd", 6) || !strncmp(line, "ShdPnd", 6))
			printf(" %.16s", line + 8);
	puts("");
	fclose(file);
}

int main(void)
{
	for (int i = 0; i < COUNT(targets); i++)
		start(i);
	for (int i = 0; i < COUNT(actors); i++) {
		printf("%s\n", actors[i].name);
		for (int j = 0; j < COUNT(targets); j++) {
			printf("  to %s\n", targets[j].name);
			AS(&actors[i], signals(pids[j], i); scheduling(pids[j]); looks(pids[j]); texts(pids[j]));
		}
		AS(&actors[i], ASK("kill nobody", kill(999999, 0)); ASK("setpriority nobody", setpriority(PRIO_PROCESS, 999999, 0));
		   ASK("to init", kill(1, 0)); ASK("to a user's processes", setpriority(PRIO_USER, 1001, 10)));
	}
	for (int i = 0; i < COUNT(targets); i++) {
		pending(i);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return 0;
}
