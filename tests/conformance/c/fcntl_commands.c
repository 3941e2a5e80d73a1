/* Covers: fcntl: which commands there are, on every kind of descriptor; F_DUPFD_QUERY F_CREATED_QUERY F_GET_RW_HINT F_SET_RW_HINT
 * F_GETOWNER_UIDS F_GETOWN_EX F_GETPIPE_SZ F_SETPIPE_SZ F_ADD_SEALS F_GET_SEALS; arguments that are cut to int. */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "case.h"

#undef F_DUPFD_QUERY
#undef F_CREATED_QUERY
#define F_DUPFD_QUERY 1027
#define F_CREATED_QUERY 1028
#define F_SEAL_EXEC_ 32

static void sweep(const char *what, int fd)
{
	printf("--- %s\n", what);
	for (int command = -1; command < 1050; command = command == 45 ? 1020 : command + 1) {
		if (command == F_SETFD || command == F_SETFL)
			continue;
		errno = 0;
		long result = syscall(72, fd, command, 0L);
		if (result == -1 && errno == EINVAL)
			continue;
		if (command == F_DUPFD || command == 1030) {
			CHECK(result > fd);
			close((int)result);
			continue;
		}
		printf("%d: %ld %s\n", command, result, result == -1 ? error_name(errno) : "");
	}
}

static void hints(void)
{
	puts("--- hints");
	int f = (int)MUST(open("file", O_RDWR | O_CREAT | O_EXCL, 0644)), r = (int)MUST(open("file", O_RDONLY | O_CREAT, 0644)), p[2];
	uint64_t hint = 9;
	SHOW(fcntl(f, F_CREATED_QUERY));
	SHOW(fcntl(dup(f), F_CREATED_QUERY));
	SHOW(fcntl(r, F_CREATED_QUERY));
	SHOW(fcntl(f, F_GET_RW_HINT, &hint));
	printf("hint %d\n", (int)hint);
	for (hint = 0; hint < 8; hint++)
		SHOW(fcntl(f, F_SET_RW_HINT, &hint));
	SHOW(fcntl(r, F_GET_RW_HINT, &hint));
	printf("hint %d\n", (int)hint);
	hint = 3;
	SHOW(fcntl(r, F_SET_RW_HINT, &hint));
	hint = 1L << 32;
	SHOW(fcntl(r, F_SET_RW_HINT, &hint));
	SHOW(fcntl(r, F_GET_RW_HINT, &hint));
	printf("hint %d\n", (int)hint);
	IN_CHILD(hint = 2; MUST(setuid(1000)); SHOW(fcntl(r, F_SET_RW_HINT, &hint)); SHOW(fcntl(r, F_GET_RW_HINT, &hint)));
	SHOW(fcntl(r, F_GET_RW_HINT, 0));
	SHOW(fcntl(r, 1037, &hint));
	SHOW(fcntl(r, 1038, &hint));
	MUST(pipe(p));
	hint = 2;
	SHOW(fcntl(p[0], F_SET_RW_HINT, &hint));
	SHOW(fcntl(p[1], F_GET_RW_HINT, &hint));
	printf("hint %d\n", (int)hint);
	puts("--- the same description");
	int copy = dup(f), path = (int)MUST(open("file", O_PATH));
	SHOW(fcntl(f, F_DUPFD_QUERY, copy));
	SHOW(fcntl(f, F_DUPFD_QUERY, f));
	SHOW(fcntl(f, F_DUPFD_QUERY, r));
	SHOW(fcntl(f, F_DUPFD_QUERY, 1000));
	SHOW(fcntl(f, F_DUPFD_QUERY, -1));
	SHOW(fcntl(path, F_DUPFD_QUERY, path));
	SHOW(fcntl(f, F_DUPFD_QUERY, path));
	SHOW(fcntl(f, F_DUPFD_QUERY, 0x100000000L + copy));
	SHOW(fcntl(path, F_CREATED_QUERY));
}

static void owners(void)
{
	puts("--- owners");
	int p[2];
	struct { int type, pid; } o;
	uint32_t ids[2] = { 7, 7 };
	MUST(pipe(p));
	SHOW(fcntl(p[0], F_GETOWNER_UIDS, ids));
	printf("%u %u\n", ids[0], ids[1]);
	SHOW(fcntl(p[0], F_GETOWN_EX, &o));
	printf("type %d pid %d\n", o.type, o.pid);
	IN_CHILD(
		MUST(setresuid(1000, 1001, 1002));
		MUST(fcntl(p[0], F_SETOWN, getpid()));
		SHOW(fcntl(p[0], F_GETOWNER_UIDS, ids));
		printf("%u %u\n", ids[0], ids[1]));
	ids[0] = ids[1] = 7;
	SHOW(fcntl(p[0], F_GETOWNER_UIDS, ids));
	printf("%u %u\n", ids[0], ids[1]);
	SHOW(fcntl(p[0], F_GETOWN));
	SHOW(fcntl(p[0], F_GETOWN_EX, &o));
	printf("type %d pid %d\n", o.type, o.pid);
	SHOW(fcntl(p[0], F_GETOWNER_UIDS, 0));
	SHOW(fcntl(p[0], F_SETSIG, 0x100000000L + SIGUSR1));
	SHOW(fcntl(p[0], F_GETSIG));
	SHOW(fcntl(p[0], F_SETOWN, 0x100000000L + getpid()));
	CHECK(fcntl(p[0], F_GETOWN) == getpid());
	CHECK(fcntl(p[0], F_DUPFD, 0x100000000L + 100) == 100);
	SHOW(fcntl(p[0], F_DUPFD, -1));
	SHOW(fcntl(p[0], F_DUPFD, 1 << 30));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 0x100000000L + 8192));
	SHOW(fcntl(p[0], F_GETPIPE_SZ));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 0));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 0xffffffff));
	SHOW(fcntl(p[0], F_SETPIPE_SZ, 0x80000001));
}

static void seals(void)
{
	puts("--- memory");
	int program = (int)MUST(memfd_create("a", 0)), again;
	char name[32], *none[] = { NULL };
	MUST(write(program, "?", 1));
	SHOW(syscall(322, program, "", none, none, AT_EMPTY_PATH));
	snprintf(name, sizeof name, "/proc/self/fd/%d", program);
	again = (int)MUST(open(name, O_RDWR));
	SHOW(syscall(322, program, "", none, none, AT_EMPTY_PATH));
	close(again);
	SHOW(syscall(322, program, "", none, none, AT_EMPTY_PATH));
	puts("--- seals");
	int f = (int)MUST(memfd_create("a", MFD_ALLOW_SEALING)), closed = (int)MUST(memfd_create("b", 0));
	SHOW(fcntl(f, F_GET_SEALS));
	SHOW(fcntl(closed, F_GET_SEALS));
	SHOW(fcntl(closed, F_ADD_SEALS, F_SEAL_GROW));
	SHOW(fcntl(f, F_ADD_SEALS, 64));
	SHOW(fcntl(f, F_ADD_SEALS, 0x100000000L | F_SEAL_GROW));
	SHOW(fcntl(f, F_GET_SEALS));
	f = (int)MUST(memfd_create("a", MFD_ALLOW_SEALING));
	MUST(ftruncate(f, 8192));
	char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, f, 0);
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	munmap(shared, 4096);
	char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(private, 4096);
	SHOW(mprotect(mmap(NULL, 4096, PROT_READ, MAP_SHARED, f, 0), 4096, PROT_READ | PROT_WRITE));
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0) == MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0) != MAP_FAILED);
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_SEAL));
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_GROW));
	SHOW(fcntl(f, F_GET_SEALS));
	for (int seal = F_SEAL_WRITE; seal <= F_SEAL_FUTURE_WRITE; seal *= 2) {
		f = (int)MUST(memfd_create("a", MFD_ALLOW_SEALING));
		MUST(ftruncate(f, 4096));
		MUST(fcntl(f, F_ADD_SEALS, seal));
		CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0) == MAP_FAILED && errno == EPERM);
		shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, f, 0);
		CHECK(shared != MAP_FAILED);
		SHOW(mprotect(shared, 4096, PROT_READ | PROT_WRITE));
	}
	f = (int)MUST(memfd_create("a", MFD_ALLOW_SEALING));
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_EXEC_));
	SHOW(fcntl(f, F_GET_SEALS));
	SHOW(fchmod(f, 0600));
	SHOW(fchmod(f, 0766));
	SHOW(write(f, "a", 1));
	f = (int)MUST(memfd_create("a", MFD_ALLOW_SEALING));
	MUST(fchmod(f, 0600));
	SHOW(fcntl(f, F_ADD_SEALS, F_SEAL_EXEC_));
	SHOW(fcntl(f, F_GET_SEALS));
	SHOW(fchmod(f, 0700));
	SHOW(fchmod(f, 0644));
}

int main(void)
{
	int p[2], s[2];
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	put_file("swept", "", 0644);
	sweep("file", (int)MUST(open("swept", O_RDWR)));
	sweep("directory", (int)MUST(open(".", O_RDONLY)));
	sweep("path", (int)MUST(open(".", O_PATH)));
	sweep("pipe", p[0]);
	sweep("socket", s[0]);
	sweep("memfd", (int)MUST(memfd_create("a", 0)));
	sweep("device", (int)MUST(open("/dev/null", O_RDWR)));
	sweep("event", (int)MUST(eventfd(0, 0)));
	sweep("closed", 1000);
	hints();
	owners();
	seals();
	return 0;
}
