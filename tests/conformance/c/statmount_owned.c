/* Mounts by number where a user namespace owns the mount namespace: whoever rules that one may look. */
#include "case.h"
#include <sched.h>
#include <sys/ioctl.h>

#define GET_ID 0x8008b705u
#define GET_NEXT 0x8010b70bu
#define GET_PREV 0x8010b70cu

struct request {
	uint32_t size, spare;
	uint64_t number, parameter, namespace;
};

static int mounts_of(pid_t process)
{
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/ns/mnt", process);
	return (int)MUST(open(name, O_RDONLY));
}

static uint64_t number_of(int fd)
{
	uint64_t number = 0;
	MUST(ioctl(fd, GET_ID, &number));
	return number;
}

static void look(uint64_t namespace)
{
	uint64_t found[64];
	struct request request = {sizeof request, 0, (uint64_t)-1, 0, namespace};
	long count = syscall(458, &request, found, 64, 0);
	printf("list: %s\n", count > 0 ? "some" : count == 0 ? "none" : error_name(errno));
	if (count > 0) {
		char report[1024];
		struct request one = {sizeof one, 0, found[0], 2, namespace};
		SHOW(syscall(457, &one, report, sizeof report, 0));
	}
}

static pid_t in_own_mounts(int flags, int tells)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(unshare(flags));
		MUST(write(tells, "x", 1));
		for (;;)
			pause();
	}
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(void)
{
	int ends[2];
	char byte;
	MUST(pipe(ends));
	int first = mounts_of(getpid());
	pid_t outer = in_own_mounts(CLONE_NEWNS, ends[1]);
	MUST(read(ends[0], &byte, 1));
	uint64_t outer_number = number_of(mounts_of(outer));
	IN_CHILD({
		MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		int own = mounts_of(getpid());
		pid_t inner = in_own_mounts(CLONE_NEWNS, ends[1]);
		MUST(read(ends[0], &byte, 1));
		puts("-- one's own");
		look(0);
		look(number_of(own));
		puts("-- another that the user namespace owns");
		look(number_of(mounts_of(inner)));
		puts("-- of the machine");
		look(outer_number);
		int next = ioctl(own, GET_NEXT, NULL);
		printf("next: %s\n", next < 0 ? error_name(errno) : "opened");
		if (next >= 0)
			CHECK(number_of(next) == number_of(mounts_of(inner)));
		int previous = ioctl(own, GET_PREV, NULL);
		printf("previous: %s\n", previous < 0 ? error_name(errno) : "opened");
		previous = ioctl(mounts_of(inner), GET_PREV, NULL);
		printf("previous of the inner: %s\n", previous < 0 ? error_name(errno) : "opened");
		next = ioctl(mounts_of(inner), GET_NEXT, NULL);
		printf("next of the inner: %s\n", next < 0 ? error_name(errno) : "opened");
		next = ioctl(first, GET_NEXT, NULL);
		printf("next of the machine's: %s\n", next < 0 ? error_name(errno) : "opened");
		next = ioctl(open("/proc/self/ns/uts", O_RDONLY), GET_NEXT, NULL);
		printf("next of another kind: %s\n", next < 0 ? error_name(errno) : "opened");
		end(inner);
	});
	IN_CHILD({
		MUST(setuid(1000));
		look(outer_number);
		int next = ioctl(first, GET_NEXT, NULL);
		printf("next: %s\n", next < 0 ? error_name(errno) : "opened");
		next = ioctl(open("/proc/self/ns/uts", O_RDONLY), GET_NEXT, NULL);
		printf("next of another kind: %s\n", next < 0 ? error_name(errno) : "opened");
	});
	end(outer);
	return 0;
}
