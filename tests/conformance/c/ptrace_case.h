/* What the cases about ptrace(2) share. Numbers of processes are shown as names: they differ from run to run. */
#ifndef PTRACE_CASE_H
#define PTRACE_CASE_H
#define _GNU_SOURCE
#include "case.h"
#include <elf.h>
#include <linux/ptrace.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/user.h>

#ifndef PTRACE_TRACEME
#define PTRACE_TRACEME 0
#define PTRACE_PEEKTEXT 1
#define PTRACE_PEEKDATA 2
#define PTRACE_PEEKUSR 3
#define PTRACE_POKETEXT 4
#define PTRACE_POKEDATA 5
#define PTRACE_POKEUSR 6
#define PTRACE_CONT 7
#define PTRACE_KILL 8
#define PTRACE_SINGLESTEP 9
#define PTRACE_ATTACH 16
#define PTRACE_DETACH 17
#define PTRACE_SYSCALL 24
#endif
#ifndef PTRACE_GETREGS
#define PTRACE_GETREGS 12
#define PTRACE_SETREGS 13
#define PTRACE_GETFPREGS 14
#define PTRACE_SETFPREGS 15
#endif
#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#define PTRACE_SINGLEBLOCK 33
#endif

/* So that what a tracee prints stands where it did so: nobody prints between letting it go on and waiting for it. */
__attribute__((constructor)) static void print_lines(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
}

/* The system call itself: libraries turn the results of PTRACE_PEEK… around. */
static inline long trace(long request, long pid, uintptr_t address, uintptr_t data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

static inline long trace_p(long request, long pid, const void *address, const void *data)
{
	return trace(request, pid, (uintptr_t)address, (uintptr_t)data);
}

static inline const char *event_name(int event)
{
	switch (event) {
	case 0: return "";
	case PTRACE_EVENT_FORK: return " fork";
	case PTRACE_EVENT_VFORK: return " vfork";
	case PTRACE_EVENT_CLONE: return " clone";
	case PTRACE_EVENT_EXEC: return " exec";
	case PTRACE_EVENT_VFORK_DONE: return " vfork-done";
	case PTRACE_EVENT_EXIT: return " exit";
	case PTRACE_EVENT_SECCOMP: return " seccomp";
	case PTRACE_EVENT_STOP: return " stop";
	}
	return " unknown event";
}

static inline void say_status(const char *who, int status)
{
	if (WIFEXITED(status))
		printf("%s: exited with %d\n", who, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: killed by %d\n", who, WTERMSIG(status));
	else if (WIFSTOPPED(status))
		printf("%s: stopped by %d%s%s\n", who, WSTOPSIG(status) & 0x7f, WSTOPSIG(status) & 0x80 ? " call" : "",
			event_name(status >> 16));
	else if (WIFCONTINUED(status))
		printf("%s: continued\n", who);
	else
		printf("%s: status %#x\n", who, status);
}

/* Wait for one tracee, and say what it does. */
static inline int await(const char *who, pid_t pid)
{
	int status = 0;
	pid_t got = waitpid(pid, &status, __WALL);
	if (got != pid) {
		printf("%s: waitpid: %s\n", who, got == -1 ? error_name(errno) : "another one");
		return -1;
	}
	say_status(who, status);
	return status;
}

static inline unsigned long message_of(pid_t pid)
{
	unsigned long message = 12345;
	if (trace_p(PTRACE_GETEVENTMSG, pid, 0, &message) != 0)
		printf("GETEVENTMSG: %s\n", error_name(errno));
	return message;
}

static inline void say_info(pid_t pid, pid_t sender)
{
	siginfo_t info;
	memset(&info, 0x55, sizeof info);
	if (trace_p(PTRACE_GETSIGINFO, pid, 0, &info) != 0) {
		printf("GETSIGINFO: %s\n", error_name(errno));
		return;
	}
	printf("siginfo: signo %d errno %d code %#x from %s uid %d\n", info.si_signo, info.si_errno, info.si_code,
		info.si_pid == pid ? "tracee" : info.si_pid == sender ? "tracer" : info.si_pid == 0 ? "nobody" : "another",
		(int)info.si_uid);
}

static inline struct user_regs_struct registers_of(pid_t pid)
{
	struct user_regs_struct registers;
	memset(&registers, 0, sizeof registers);
	if (trace_p(PTRACE_GETREGS, pid, 0, &registers) != 0)
		printf("GETREGS: %s\n", error_name(errno));
	return registers;
}

/* A child that lets us trace it and stops. */
#define TRACED_CHILD(...) ({ \
	fflush(stdout); \
	pid_t child_ = (pid_t)MUST(fork()); \
	if (child_ == 0) { \
		if (trace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(90); \
		kill(getpid(), SIGSTOP); /* raise(3) makes more calls */ \
		__VA_ARGS__; \
		_exit(0); \
	} \
	int status_; \
	if (waitpid(child_, &status_, 0) != child_ || !WIFSTOPPED(status_)) { printf("no traced child\n"); exit(98); } \
	child_; })

static inline char state_of(pid_t pid)
{
	char name[64], text[512];
	snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
	int fd = open(name, O_RDONLY);
	if (fd < 0)
		return '?';
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *end = strrchr(text, ')');
	return end && end[1] == ' ' ? end[2] : '?';
}

/* Wait until a task is in a state of /proc/PID/stat. */
static inline void await_state(pid_t pid, const char *states)
{
	for (int i = 0; i < 30000; i++) {
		char state = state_of(pid);
		if (state != '?' && strchr(states, state))
			return;
		usleep(1000);
	}
	printf("state %c, not one of %s\n", state_of(pid), states);
}

static inline void finish(pid_t pid)
{
	int status;
	kill(pid, SIGKILL);
	waitpid(pid, &status, __WALL);
}
#endif
