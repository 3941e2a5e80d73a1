/* Landlock: whom a confined thread may signal, trace, and reach by abstract sockets; threads and children. */
#include "landlock_case.h"
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static void wait_for(int fd)
{
	char byte;
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

static void tell(int fd)
{
	MUST(write(fd, "x", 1));
}

/* A child in a domain, which sleeps until it is killed. */
static pid_t sleeper(uint64_t scopes)
{
	int ends[2];
	MUST(pipe(ends));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		if (scopes)
			enter(0, 0, scopes);
		tell(ends[1]);
		for (;;)
			pause();
	}
	wait_for(ends[0]);
	close(ends[0]);
	close(ends[1]);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void signals(uint64_t scopes)
{
	printf("-- scopes %d\n", (int)scopes);
	pid_t parent = getpid(), other = sleeper(0);
	IN_CHILD({
		enter(0, 0, scopes);
		pid_t mine = sleeper(0), inner = sleeper(SIGNALS);
		SHOW(kill(parent, 0));
		SHOW(kill(other, 0));
		SHOW(kill(other, SIGCONT));
		SHOW(kill(getpid(), 0));
		SHOW(kill(mine, 0));
		SHOW(kill(inner, 0));
		SHOW(kill(0x7ffffff, 0));
		SHOW(syscall(SYS_tgkill, parent, parent, 0));
		SHOW(syscall(SYS_tgkill, mine, mine, 0));
		SHOW(syscall(SYS_tkill, other, 0));
		SHOW(kill(-getpgrp(), 0));
		int fd = (int)syscall(SYS_pidfd_open, other, 0);
		SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
		IN_CHILD(SHOW(kill(other, 0)); SHOW(kill(getppid(), 0)));
		IN_CHILD(enter(READ_FILE, 0, 0); SHOW(kill(other, 0)); SHOW(kill(getppid(), 0)));
		IN_CHILD(enter(0, 0, SIGNALS); SHOW(kill(other, 0)); SHOW(kill(getppid(), 0)); SHOW(kill(mine, 0)));
		end(mine);
		end(inner);
	});
	end(other);
}

static void *in_thread(void *argument)
{
	(void)argument;
	enter(MAKE_DIR, 0, SIGNALS);
	SHOW(mkdir("/tmp/ll_thread", 0700));
	SHOW(kill(getppid(), 0));
	SHOW(syscall(SYS_tgkill, getpid(), getpid(), 0));
	SHOW(kill(getpid(), 0));
	return NULL;
}

static void threads(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	SHOW(mkdir("/tmp/ll_thread", 0700));
	SHOW(rmdir("/tmp/ll_thread"));
	SHOW(kill(getppid(), 0));
}

static void owners(void)
{
	int ends[2];
	MUST(pipe2(ends, O_NONBLOCK));
	signal(SIGIO, SIG_IGN);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct timespec soon = {0, 0};
	IN_CHILD({
		enter(0, 0, SIGNALS);
		MUST(fcntl(ends[0], F_SETOWN, getppid()));
		MUST(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK));
		tell(ends[1]);
	});
	SHOW(sigtimedwait(&set, NULL, &soon));
	MUST(fcntl(ends[0], F_SETOWN, getpid()));
	tell(ends[1]);
	SHOW(sigtimedwait(&set, NULL, &soon));
}

static void looks(pid_t other)
{
	char byte;
	char name[64];
	struct iovec local = {&byte, 1}, remote = {&byte, 1};
	long result = ptrace(PTRACE_ATTACH, other, 0, 0);
	show_result("attach", result, 1);
	if (result == 0) {
		waitpid(other, NULL, 0);
		ptrace(PTRACE_DETACH, other, 0, 0);
	}
	SHOW(process_vm_readv(other, &local, 1, &remote, 1, 0));
	snprintf(name, sizeof name, "/proc/%d/mem", other);
	TRY(open(name, O_RDONLY));
	snprintf(name, sizeof name, "/proc/%d/environ", other);
	TRY(open(name, O_RDONLY));
	snprintf(name, sizeof name, "/proc/%d/fd", other);
	TRY(open(name, O_RDONLY));
	snprintf(name, sizeof name, "/proc/%d/cwd", other);
	TRY(readlink(name, name, sizeof name));
}

static void tracing(void)
{
	pid_t plain = sleeper(0);
	IN_CHILD({
		enter(0, BIND, 0);
		puts("-- outside");
		looks(plain);
		puts("-- the same domain");
		pid_t mine = sleeper(0);
		looks(mine);
		end(mine);
		puts("-- an inner one");
		pid_t inner = sleeper(ABSTRACT);
		looks(inner);
		end(inner);
		IN_CHILD(SHOW(ptrace(PTRACE_TRACEME, 0, 0, 0)));
		IN_CHILD(enter(0, BIND, 0); SHOW(ptrace(PTRACE_TRACEME, 0, 0, 0)));
	});
	puts("-- from outside");
	pid_t confined = sleeper(SIGNALS);
	looks(confined);
	end(confined);
	end(plain);
}

static int bound(int type, const char *name)
{
	struct sockaddr_un address = {AF_UNIX, ""};
	socklen_t length = (socklen_t)(2 + strlen(name + 1) + 1);
	memcpy(address.sun_path, name, strlen(name + 1) + 1);
	int fd = (int)MUST(socket(AF_UNIX, type, 0));
	MUST(bind(fd, (void *)&address, length));
	if (type != SOCK_DGRAM)
		MUST(listen(fd, 5));
	return fd;
}

static long reach(int type, const char *name, int sends)
{
	struct sockaddr_un address = {AF_UNIX, ""};
	socklen_t length = (socklen_t)(2 + strlen(name + 1) + 1);
	memcpy(address.sun_path, name, strlen(name + 1) + 1);
	int fd = (int)MUST(socket(AF_UNIX, type, 0));
	long result = sends ? sendto(fd, "x", 1, MSG_DONTWAIT, (void *)&address, length)
		: connect(fd, (void *)&address, length);
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static void reach_all(void)
{
	SHOW(reach(SOCK_STREAM, "\0stream", 0));
	SHOW(reach(SOCK_SEQPACKET, "\0packets", 0));
	SHOW(reach(SOCK_DGRAM, "\0datagram", 0));
	SHOW(reach(SOCK_DGRAM, "\0datagram", 1));
	SHOW(reach(SOCK_STREAM, "\0missing", 0));
	SHOW(reach(SOCK_DGRAM, "\0missing", 1));
	SHOW(reach(SOCK_STREAM, "/tmp/ll_socket", 0));
	SHOW(reach(SOCK_DGRAM, "/tmp/ll_datagram", 1));
}

static void sockets(uint64_t scopes)
{
	printf("-- scopes %d\n", (int)scopes);
	int stream = bound(SOCK_STREAM, "\0stream"), packets = bound(SOCK_SEQPACKET, "\0packets");
	int datagram = bound(SOCK_DGRAM, "\0datagram");
	unlink("/tmp/ll_socket");
	unlink("/tmp/ll_datagram");
	bound(SOCK_STREAM, "/tmp/ll_socket");
	bound(SOCK_DGRAM, "/tmp/ll_datagram");
	struct sockaddr_un address = {AF_UNIX, "\0datagram"};
	int connected = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	MUST(connect(connected, (void *)&address, 11));
	IN_CHILD({
		enter(0, 0, scopes);
		reach_all();
		SHOW(send(connected, "x", 1, MSG_DONTWAIT));
		SHOW(sendto(connected, "x", 1, MSG_DONTWAIT, (void *)&address, 11));
		SHOW(connect(connected, (void *)&address, 11));
		close(stream);
		IN_CHILD(reach_all());
		IN_CHILD({
			enter(0, 0, ABSTRACT);
			int own = bound(SOCK_DGRAM, "\0own");
			SHOW(reach(SOCK_DGRAM, "\0own", 1));
			close(own);
		});
		int mine = bound(SOCK_DGRAM, "\0mine");
		SHOW(reach(SOCK_DGRAM, "\0mine", 1));
		IN_CHILD(enter(0, 0, ABSTRACT); SHOW(reach(SOCK_DGRAM, "\0mine", 1)));
		IN_CHILD(enter(READ_FILE, 0, 0); SHOW(reach(SOCK_DGRAM, "\0mine", 1)));
		close(mine);
	});
	close(packets);
	close(datagram);
	close(connected);
	close(stream);
}

int main(void)
{
	puts("== signals");
	signals(SIGNALS);
	signals(ABSTRACT);
	puts("== threads");
	IN_CHILD(threads());
	puts("== owners of files");
	owners();
	puts("== tracing");
	tracing();
	puts("== sockets");
	sockets(ABSTRACT);
	sockets(SIGNALS);
	unlink("/tmp/ll_socket");
	unlink("/tmp/ll_datagram");
	return 0;
}
