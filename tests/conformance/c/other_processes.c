/* Looking into other processes: process_vm_readv and process_vm_writev with all kinds of vectors, pages and errors; kcmp of
 * everything; process_madvise, process_mrelease; who may.
 */
#define _GNU_SOURCE
#include "case.h"
#include <limits.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/uio.h>

static char *shared, *mine;
static const char constant[] = "constant";

static ssize_t vm_read(pid_t pid, void *to, void *from, size_t n)
{
	struct iovec local = { to, n }, remote = { from, n };
	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

static ssize_t vm_write(pid_t pid, void *from, void *to, size_t n)
{
	struct iovec local = { from, n }, remote = { to, n };
	return process_vm_writev(pid, &local, 1, &remote, 1, 0);
}

static void memory(void)
{
	mine = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(mine, "parent");
	strcpy(mine + PAGE - 4, "12345678");
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child) {
		strcpy(mine, "child");
		munmap(mine + 3 * PAGE, PAGE);
		mprotect(mine + 2 * PAGE, PAGE, PROT_READ);
		shared[0] = 1;
		while (shared[0] != 2)
			sleep_ms(2);
		_exit(strcmp(mine, "CHILD") ? 1 : 0);
	}
	while (shared[0] != 1)
		sleep_ms(2);
	char buffer[5 * PAGE] = "";
	SHOW(vm_read(child, buffer, mine, 6));
	printf("%s, mine %s\n", buffer, mine);
	SHOW(vm_read(child, buffer, mine + PAGE - 4, 9));
	printf("%s\n", buffer);
	SHOW(vm_read(child, buffer, (void *)constant, sizeof constant));
	printf("%s\n", buffer);
	SHOW(vm_read(child, buffer, mine + PAGE, PAGE));
	SHOW(vm_read(child, buffer, mine + 2 * PAGE, 2 * PAGE));
	SHOW(vm_read(child, buffer, mine + 3 * PAGE, 8));
	SHOW(vm_write(child, buffer, mine + 2 * PAGE, 8));
	SHOW(vm_write(child, buffer, mine + 2 * PAGE - 8, 16));
	SHOW(vm_write(child, buffer, (void *)constant, 8));
	SHOW(vm_read(child, (void *)8, mine, 8));
	SHOW(vm_write(child, (void *)8, mine, 8));
	SHOW(vm_read(child, buffer, (void *)8, 8));
	SHOW(vm_read(child, buffer, (void *)(1UL << 63), 8));
	SHOW(vm_read(child, buffer, mine, 0));
	struct iovec local[3] = { { buffer, 2 }, { buffer + 10, 0 }, { buffer + 20, 30 } },
		     remote[3] = { { mine, 3 }, { mine + 3, 2 }, { mine + PAGE - 4, 4 } };
	memset(buffer, '.', 60);
	SHOW(process_vm_readv(child, local, 3, remote, 3, 0));
	printf("%.30s\n", buffer);
	SHOW(process_vm_readv(child, local, 1, remote, 3, 0));
	SHOW(process_vm_readv(child, local, 3, remote, 3, 1));
	SHOW(process_vm_readv(child, local, 0, remote, 3, 0));
	SHOW(process_vm_readv(child, local, 3, remote, 0, 0));
	SHOW(process_vm_readv(child, local, 1025, remote, 3, 0));
	SHOW(process_vm_readv(child, local, 3, remote, 1025, 0));
	SHOW(process_vm_readv(child, (void *)8, 3, remote, 3, 0));
	SHOW(process_vm_readv(child, local, 3, (void *)8, 3, 0));
	remote[1].iov_len = (size_t)-1;
	SHOW(process_vm_readv(child, local, 3, remote, 3, 0));
	remote[1] = (struct iovec){ mine + 3 * PAGE, 8 };
	SHOW(process_vm_readv(child, local, 3, remote, 3, 0));
	SHOW(vm_read(0x3fffff, buffer, mine, 8));
	SHOW(vm_read(-1, buffer, mine, 8));
	SHOW(vm_read(0, buffer, mine, 8));
	SHOW(vm_read(getpid(), buffer, mine, 7));
	IN_CHILD(
		MUST(setuid(1000));
		SHOW(vm_read(child, buffer, mine, 8));
		SHOW(vm_read(getpid(), buffer, mine, 7));
	);
	SHOW(vm_write(child, "CHILD", mine, 5));
	shared[0] = 2;
	show_end(child);
	SHOW(vm_read(child, buffer, mine, 8));
	child = (pid_t)MUST(fork());
	if (!child)
		_exit(0);
	siginfo_t info;
	MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	SHOW(vm_read(child, buffer, mine, 8));
	waitpid(child, 0, 0);
}

static long kcmp(pid_t a, pid_t b, int kind, unsigned long x, unsigned long y)
{
	long result = syscall(SYS_kcmp, a, b, kind, x, y);
	return result == 2 ? 1 : result;
}

static int wait_in_thread(void *unused)
{
	(void)unused;
	while (shared[0] != 2)
		sleep_ms(2);
	return 0;
}

static void comparisons(void)
{
	int a = (int)MUST(open("/dev/null", O_RDONLY)), b = (int)MUST(dup(a)), c = (int)MUST(open("/dev/null", O_RDONLY));
	pid_t me = getpid();
	SHOW(kcmp(me, me, 0, (unsigned)a, (unsigned)b));
	SHOW(kcmp(me, me, 0, (unsigned)a, (unsigned)c));
	CHECK(syscall(SYS_kcmp, me, me, 0, a, c) + syscall(SYS_kcmp, me, me, 0, c, a) == 3);
	SHOW(kcmp(me, me, 0, (unsigned)a, 99));
	SHOW(kcmp(me, me, 0, (unsigned long)-1, 0));
	for (int kind = 1; kind < 7; kind++)
		printf("kind %d: %ld\n", kind, kcmp(me, me, kind, 0, 0));
	SHOW(kcmp(me, me, 8, 0, 0));
	SHOW(kcmp(me, me, -1, 0, 0));
	SHOW(kcmp(me, 0x3fffff, 1, 0, 0));
	shared[0] = 1;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child)
		_exit(wait_in_thread(0));
	for (int kind = 1; kind < 7; kind++)
		if (kind != 5 && kind != 6)
			printf("child, kind %d: %ld\n", kind, kcmp(me, child, kind, 0, 0));
	SHOW(kcmp(me, child, 0, (unsigned)a, (unsigned)b));
	IN_CHILD(MUST(setuid(1000)); SHOW(kcmp(me, child, 1, 0, 0)););
	static char stack[16384];
	pid_t sharer = (pid_t)MUST(clone(wait_in_thread, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_SIGHAND | SIGCHLD, 0));
	for (int kind = 1; kind < 5; kind++)
		printf("sharer, kind %d: %ld\n", kind, kcmp(me, sharer, kind, 0, 0));
	int set = (int)MUST(epoll_create1(0)), ends[2];
	MUST(pipe(ends));
	struct epoll_event event = { .events = EPOLLIN };
	MUST(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
	struct { uint32_t set, watched, offset; } slot = { (uint32_t)set, (uint32_t)ends[0], 0 };
	SHOW(kcmp(me, me, 7, (unsigned)ends[0], (unsigned long)&slot));
	SHOW(kcmp(me, me, 7, (unsigned)ends[1], (unsigned long)&slot));
	slot.offset = 1;
	SHOW(kcmp(me, me, 7, (unsigned)ends[0], (unsigned long)&slot));
	slot.watched = 99;
	SHOW(kcmp(me, me, 7, (unsigned)ends[0], (unsigned long)&slot));
	SHOW(kcmp(me, me, 7, (unsigned)ends[0], 8));
	slot.set = (uint32_t)a;
	SHOW(kcmp(me, me, 7, (unsigned)ends[0], (unsigned long)&slot));
	shared[0] = 2;
	waitpid(child, 0, 0);
	waitpid(sharer, 0, 0);
}

static void advice(void)
{
	shared[0] = 1;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child)
		_exit(wait_in_thread(0));
	int fd = (int)MUST(syscall(SYS_pidfd_open, child, 0)), self = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0));
	struct iovec v[2] = { { mine, PAGE }, { mine + PAGE, PAGE } };
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_WILLNEED, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_PAGEOUT, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_DONTNEED, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 1));
	SHOW(syscall(SYS_process_madvise, 0, v, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, 99, v, 2, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 0, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 1025, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, fd, 8, 1, MADV_COLD, 0));
	v[1].iov_base = (void *)PAGE;
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0));
	v[0].iov_base = mine + 1;
	SHOW(syscall(SYS_process_madvise, fd, v, 2, MADV_COLD, 0));
	v[0].iov_base = mine;
	IN_CHILD(
		MUST(setuid(1000));
		SHOW(syscall(SYS_process_madvise, fd, v, 1, MADV_COLD, 0));
	);
	SHOW(syscall(SYS_process_madvise, self, v, 1, MADV_COLD, 0));
	SHOW(syscall(SYS_process_mrelease, fd, 1));
	SHOW(syscall(SYS_process_mrelease, fd, 0));
	SHOW(syscall(SYS_process_mrelease, 0, 0));
	shared[0] = 2;
	waitpid(child, 0, 0);
	SHOW(syscall(SYS_process_mrelease, fd, 0));
	SHOW(syscall(SYS_process_madvise, fd, v, 1, MADV_COLD, 0));
}

int main(void)
{
	memory();
	comparisons();
	advice();
	return 0;
}
