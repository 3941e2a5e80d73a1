/* Covers: every socket call with wild arguments (descriptors, addresses, lengths, levels, flags) from a fixed seed: the kernel and other connections go on. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include "socket_case.h"

static uint64_t state = 0x853c49e6748fea9bULL;

static uint32_t rnd(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33);
}

static char *page, *read_only;

static long pointer(void)
{
	switch (rnd() % 12) {
	case 0: return 0;
	case 1: return 0x1003;
	case 2: return (long)0xffffffff80000000;
	case 3: return (long)0x8000000000000000;
	case 4: return -1;
	case 5: return (long)(page + PAGE - rnd() % 64);
	case 6: return (long)read_only;
	default: return (long)(page + rnd() % (PAGE - 256));
	}
}

static long number(void)
{
	static const long numbers[] = { 0, 1, 2, 3, 4, 8, 12, 16, 28, 56, 110, 128, 129, 1024, 65536, -1, -2, 0x7fffffff, 0x80000000, 0x7fffffffffffffff };
	return rnd() % 3 ? numbers[rnd() % (sizeof numbers / sizeof *numbers)] : (long)rnd();
}

static int any_socket(int *sockets, int count) { return rnd() % 20 ? sockets[rnd() % count] : (int)number(); }

static void run(int rounds)
{
	int sockets[40], count = 0;
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 99 };
	for (int i = 0; i < 40; i++) {
		int fd = socket(families[rnd() % 6], (int)(rnd() % 6) | SOCK_NONBLOCK, rnd() % 3 ? 0 : (int)(rnd() % 20));
		if (fd >= 0)
			sockets[count++] = fd;
	}
	int pair[2];
	for (int i = 0; i < 3; i++)
		if (socketpair(AF_UNIX, (int[]){ SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET }[i] | SOCK_NONBLOCK, 0, pair) == 0)
			sockets[count++ % 40] = pair[0], sockets[count++ % 40] = pair[1];
	if (count > 40)
		count = 40;
	for (int i = 0; i < rounds; i++) {
		int fd = any_socket(sockets, count);
		/* Memory that holds addresses, headers and vectors of a likely form, or of none. */
		for (int j = 0; j < 64; j++)
			((uint32_t *)page)[rnd() % 1000] = rnd() % 2 ? rnd() : (uint32_t)number();
		char *place = page + rnd() % 3000;
		*(uint16_t *)place = (uint16_t)families[rnd() % 6];
		struct msghdr m = { (void *)pointer(), (socklen_t)number(), (void *)place, (size_t)(rnd() % 4), (void *)pointer(), (size_t)number(), 0 };
		struct iovec v = { (void *)pointer(), (size_t)number() };
		memcpy(place, &v, sizeof v);
		long where = rnd() % 3 ? (long)place : pointer();
		if (rnd() % 2)
			memcpy(page + 3500, &m, sizeof m), where = (long)(page + 3500);
		int flags = (int)(rnd() % 2 ? number() : 0) | MSG_DONTWAIT | MSG_NOSIGNAL;
		switch (rnd() % 20) {
		case 0: syscall(SYS_bind, fd, where, number()); break;
		case 1: syscall(SYS_connect, fd, where, number()); break;
		case 2: syscall(SYS_listen, fd, number()); break;
		case 3: fd = (int)syscall(SYS_accept4, fd, where, pointer(), rnd() % 4 ? SOCK_NONBLOCK : number()); if (fd >= 0) close(fd); break;
		case 4: syscall(SYS_getsockname, fd, where, pointer()); break;
		case 5: syscall(SYS_getpeername, fd, where, pointer()); break;
		case 6: syscall(SYS_sendto, fd, pointer(), number(), flags, where, number()); break;
		case 7: syscall(SYS_recvfrom, fd, pointer(), number(), flags, where, pointer()); break;
		case 8: case 9: syscall(SYS_sendmsg, fd, where, flags); break;
		case 10: case 11: syscall(SYS_recvmsg, fd, where, flags); break;
		case 12: syscall(SYS_sendmmsg, fd, where, number(), flags); break;
		case 13: syscall(SYS_recvmmsg, fd, where, number(), flags, pointer()); break;
		case 14: case 15: syscall(SYS_setsockopt, fd, rnd() % 2 ? 1 : (long[]){ 0, 6, 17, 41, 58, 263, 270, -1 }[rnd() % 8], rnd() % 80, where, number()); break;
		case 16: case 17: syscall(SYS_getsockopt, fd, rnd() % 2 ? 1 : (long[]){ 0, 6, 17, 41, 58, 263, 270, -1 }[rnd() % 8], rnd() % 80, where, pointer()); break;
		case 18: if (rnd() % 50 == 0) syscall(SYS_shutdown, fd, number()); break;
		case 19: syscall(SYS_socketpair, families[rnd() % 6], number(), number(), where); break;
		}
		if (i % 200 == 0)
			for (int j = 64; j < 256; j++)
				close(j);
	}
}

int main(void)
{
	int kept[2];
	page = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + PAGE, PAGE);
	read_only = page + 2 * PAGE;
	mprotect(read_only, PAGE, PROT_READ);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, kept));
	for (int seed = 1; seed <= 8; seed++) {
		state = 0x9e3779b97f4a7c15ULL * (uint64_t)seed;
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			/* Not as root: no address, route or interface is changed by chance. */
			if (setgid(1000) || setuid(1000))
				_exit(1);
			close(kept[0]), close(kept[1]);
			int null = open("/dev/null", O_RDWR);
			dup2(null, 0), dup2(null, 1), dup2(null, 2);
			struct itimerval limit = { { 0, 0 }, { 20, 0 } };
			setitimer(ITIMER_REAL, &limit, 0);
			run(4000);
			_exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		printf("seed %d: %s\n", seed, WIFEXITED(status) || WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGSEGV ? "ended" : "killed otherwise");
		char buffer[6] = { 0 };
		MUST(write(kept[0], "hello", 5));
		MUST(read(kept[1], buffer, 5));
		printf("the kept connection says %s\n", buffer);
	}
	return 0;
}
