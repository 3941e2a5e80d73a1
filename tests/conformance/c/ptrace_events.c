/* ptrace(2): events of fork, vfork, clone, exec, exit and of filters, and tracing what a tracee makes. */
#include <pthread.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include "ptrace_case.h"

static void go(pid_t pid, int signo)
{
	MUST(trace(PTRACE_CONT, pid, 0, signo));
}

/* What a tracee and what it makes does, until all have ended; a new one is continued after the one that made it. */
static void follow(pid_t first)
{
	pid_t known[8] = { first };
	int count = 1, left = 1;
	go(first, 0);
	while (left > 0) {
		int status;
		pid_t got = waitpid(known[left - 1], &status, __WALL); /* the youngest first: that is the same each time */
		if (got == -1) {
			printf("waitpid: %s\n", error_name(errno));
			return;
		}
		char who[16];
		snprintf(who, sizeof who, "task %d", left - 1);
		say_status(who, status);
		if (!WIFSTOPPED(status)) {
			left--;
			continue;
		}
		int event = status >> 16, signo = 0;
		if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
			pid_t made = (pid_t)message_of(got);
			int initial;
			MUST(waitpid(made, &initial, __WALL));
			say_status("new", initial);
			if (initial >> 16 == 0)
				say_info(made, getpid());
			struct user_regs_struct now = registers_of(made);
			printf("new: rax %ld orig_rax %ld\n", (long)now.rax, (long)now.orig_rax);
			known[left++] = made;
			go(got, 0);
			go(made, 0);
			count++;
			continue;
		}
		if (event == PTRACE_EVENT_EXIT)
			printf("message %#lx\n", message_of(got));
		else if (event == PTRACE_EVENT_EXEC) {
			struct user_regs_struct now = registers_of(got);
			printf("former number %d rax %ld orig_rax %ld rbx %ld\n", message_of(got) == (unsigned long)got, (long)now.rax,
				(long)now.orig_rax, (long)now.rbx);
		} else if (event == PTRACE_EVENT_VFORK_DONE)
			printf("message %d\n", message_of(got) != 0);
		else if (event == 0 && WSTOPSIG(status) != SIGSTOP)
			signo = WSTOPSIG(status);
		go(got, signo);
	}
	printf("%d tasks\n", count);
}

#define ALL (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE | \
	PTRACE_O_TRACEEXIT)

static void make_children(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(3);
	waitpid(pid, &status, 0);
	pid = vfork();
	if (pid == 0)
		_exit(5);
	waitpid(pid, &status, 0);
	pid = (pid_t)syscall(SYS_clone, 0x800000 | SIGCHLD, 0, 0, 0, 0); /* CLONE_UNTRACED */
	if (pid == 0)
		_exit(6);
	waitpid(pid, &status, 0);
	pid = (pid_t)syscall(SYS_clone, SIGUSR2, 0, 0, 0, 0);
	if (pid == 0)
		_exit(7);
	waitpid(pid, &status, __WALL);
	_exit(8);
}

static void children(int options, int seize)
{
	printf("== children, options %#x%s\n", options, seize ? ", seized" : "");
	fflush(stdout);
	signal(SIGUSR2, SIG_IGN);
	pid_t child;
	if (seize) {
		int ends[2];
		char c;
		MUST(pipe(ends));
		child = (pid_t)MUST(fork());
		if (child == 0) {
			read(ends[0], &c, 1);
			make_children();
		}
		await_state(child, "S");
		MUST(trace(PTRACE_SEIZE, child, 0, options));
		MUST(trace(PTRACE_INTERRUPT, child, 0, 0));
		await("child", child);
		MUST(write(ends[1], "x", 1));
	} else {
		child = TRACED_CHILD(make_children());
		MUST(trace(PTRACE_SETOPTIONS, child, 0, options));
	}
	follow(child);
}

static void flagged(void)
{
	printf("== CLONE_PTRACE\n");
	pid_t child = TRACED_CHILD(
		int status; pid_t pid = (pid_t)syscall(SYS_clone, 0x2000 | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0) _exit(3);
		waitpid(pid, &status, 0); _exit(4));
	go(child, 0);
	int status;
	pid_t made = (pid_t)MUST(waitpid(-1, &status, __WALL));
	printf("another %d\n", made != child);
	say_status("made", status);
	go(made, 0);
	await("made", made);
	int signo = await("child", child);
	if (WIFSTOPPED(signo)) {
		go(child, 0);
		await("child", child);
	}
}

static void execs(int options)
{
	printf("== exec, options %#x\n", options);
	pid_t child = TRACED_CHILD(execl("/bin/true", "true", (char *)0); _exit(77));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, options));
	go(child, 0);
	int status = await("child", child);
	say_info(child, getpid());
	struct user_regs_struct now = registers_of(child);
	printf("rax %ld orig_rax %ld rbx %ld rdx %ld flags %#lx cs %#lx ss %#lx ds %#lx\n", (long)now.rax, (long)now.orig_rax,
		(long)now.rbx, (long)now.rdx, (long)now.eflags, (long)now.cs, (long)now.ss, (long)now.ds);
	if (status >> 16 == PTRACE_EVENT_EXEC) {
		MUST(trace(PTRACE_SYSCALL, child, 0, 0));
		await("child", child);
		printf("rax %ld orig_rax %ld\n", (long)registers_of(child).rax, (long)registers_of(child).orig_rax);
	}
	go(child, 0);
	await("child", child);
}

static void failed_exec(void)
{
	printf("== an exec that fails\n");
	pid_t child = TRACED_CHILD(execl("/nowhere", "true", (char *)0); _exit(77));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, ALL));
	follow(child);
}

static void exits(void)
{
	printf("== exit\n");
	pid_t child = TRACED_CHILD(_exit(300));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT));
	follow(child);
	child = TRACED_CHILD(raise(SIGTERM));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT));
	follow(child);
	child = TRACED_CHILD(for (;;) pause());
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT));
	go(child, 0);
	MUST(kill(child, SIGKILL));
	await("child", child);
	printf("message %#lx state %c\n", message_of(child), state_of(child));
	long word;
	SHOW(trace_p(PTRACE_PEEKDATA, child, &child, &word)); /* its memory is still there */
	MUST(kill(child, SIGKILL)); /* who is ending already, is not killed */
	printf("state %c\n", state_of(child));
	go(child, 0);
	await("child", child);
	child = TRACED_CHILD(syscall(SYS_exit, 2)); /* the last thread's end is the process's */
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT));
	go(child, 0);
	await("child", child);
	MUST(kill(child, SIGKILL));
	printf("state %c\n", state_of(child));
	go(child, 0);
	await("child", child);
	child = TRACED_CHILD(_exit(2));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT));
	go(child, 0);
	await("child", child);
	SHOW(trace(PTRACE_SYSCALL, child, 0, SIGUSR1));
	await("child", child);
}

static void filtered(int options, int answer)
{
	printf("== a filter, options %#x\n", options);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 0x123),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 55),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	pid_t child = TRACED_CHILD(
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
		kill(getpid(), SIGSTOP);
		long a = syscall(SYS_getuid); int e = errno; long b = syscall(SYS_getuid); int f = errno;
		long c = syscall(SYS_getuid); int g = errno;
		dprintf(1, "child saw %ld %ld %ld\n", a == -1 ? -e : a, b == -1 ? -f : b, c == -1 ? -g : c));
	MUST(trace(PTRACE_SETOPTIONS, child, 0, options));
	go(child, 0);
	await("child", child);
	struct sock_filter kept[16];
	SHOW(trace(PTRACE_SECCOMP_GET_FILTER, child, 0, 0));
	long n = SHOW(trace_p(PTRACE_SECCOMP_GET_FILTER, child, 0, kept));
	printf("the same %d\n", n > 0 && memcmp(kept, code, sizeof code) == 0);
	SHOW(trace_p(PTRACE_SECCOMP_GET_FILTER, child, (void *)1, kept));
	struct seccomp_metadata data = { 0, 99 };
	SHOW(trace_p(PTRACE_SECCOMP_GET_METADATA, child, (void *)sizeof data, &data));
	printf("flags %lld\n", (long long)data.flags);
	SHOW(trace_p(PTRACE_SECCOMP_GET_METADATA, child, (void *)4, &data));
	go(child, 0);
	for (int i = 0; i < 3 && (options & PTRACE_O_TRACESECCOMP); i++) {
		int status = await("child", child);
		if (status >> 16 != PTRACE_EVENT_SECCOMP)
			break;
		struct user_regs_struct now = registers_of(child);
		struct ptrace_syscall_info info;
		memset(&info, 0, sizeof info);
		long size = trace_p(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info);
		printf("message %#lx rax %ld orig_rax %ld; %ld bytes op %d call %lld data %#x\n", message_of(child), (long)now.rax,
			(long)now.orig_rax, size, info.op, (long long)info.seccomp.nr, info.seccomp.ret_data);
		if (i == 1) {
			MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, orig_rax), answer));
			MUST(trace(PTRACE_POKEUSR, child, offsetof(struct user_regs_struct, rax), 1234));
		}
		if (i == 2) {
			MUST(trace(PTRACE_SYSCALL, child, 0, 0)); /* its end */
			await("child", child);
			printf("rax %ld\n", (long)registers_of(child).rax);
		}
		go(child, 0);
	}
	await("child", child);
}

static void suspended(void)
{
	printf("== filters that the tracer suspends\n");
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 11),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	pid_t child = TRACED_CHILD(
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
		printf("child: %ld\n", syscall(SYS_getuid)); fflush(stdout);
		kill(getpid(), SIGSTOP);
		printf("child: %ld\n", syscall(SYS_getuid)); fflush(stdout));
	go(child, 0);
	await("child", child);
	SHOW(trace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_SUSPEND_SECCOMP));
	go(child, 0);
	await("child", child);
}

int main(void)
{
	children(ALL, 0);
	children(ALL, 1);
	children(PTRACE_O_TRACEFORK, 0);
	children(0, 0);
	flagged();
	execs(0);
	execs(PTRACE_O_TRACEEXEC);
	execs(PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
	failed_exec();
	exits();
	filtered(0, 0);
	filtered(PTRACE_O_TRACESECCOMP, -1);
	filtered(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD, SYS_getgid);
	filtered(PTRACE_O_TRACESECCOMP, SYS_getppid + 100000);
	suspended();
	return 0;
}
