/* Covers: the address checks of system calls: every call in a list gets null, wild, unaligned, kernel, non-canonical, read-only and half-mapped pointers. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include "case.h"

static int file, p[2], dir;
static char name[] = "file";

/* One call with a pointer at one place. */
#define CALLS(X) \
	X(read(file, P, 16)) X(write(file, P, 16)) X(pread(file, P, 16, 0)) X(pwrite(file, P, 16, 0)) \
	X(syscall(SYS_readv, file, P, 2)) X(syscall(SYS_writev, file, P, 2)) X(read(p[0], P, 16)) X(write(p[1], P, 16)) \
	X(syscall(SYS_open, P, 0)) X(syscall(SYS_openat, AT_FDCWD, P, 0)) X(syscall(SYS_stat, P, &room)) X(syscall(SYS_stat, name, P)) \
	X(syscall(SYS_lstat, name, P)) X(syscall(SYS_fstat, file, P)) X(syscall(SYS_newfstatat, AT_FDCWD, name, P, 0)) \
	X(syscall(SYS_access, P, 0)) X(syscall(SYS_pipe, P)) X(syscall(SYS_getcwd, P, 4096)) X(syscall(SYS_chdir, P)) \
	X(syscall(SYS_rename, P, "x")) X(syscall(SYS_mkdir, P, 0)) X(syscall(SYS_rmdir, P)) X(syscall(SYS_unlink, P)) \
	X(syscall(SYS_symlink, P, "y")) X(syscall(SYS_readlink, P, &room, 10)) X(syscall(SYS_link, P, "z")) \
	X(syscall(SYS_chmod, P, 0)) X(syscall(SYS_chown, P, 0, 0)) X(syscall(SYS_truncate, P, 0)) X(syscall(SYS_mknod, P, 0, 0)) \
	X(syscall(SYS_getdents64, dir, P, 4096)) X(syscall(SYS_statfs, "/tmp", P)) X(syscall(SYS_fstatfs, file, P)) \
	X(syscall(SYS_poll, P, 2, 0)) X(syscall(SYS_select, 64, P, 0, 0, &zero)) X(syscall(SYS_select, 0, 0, 0, 0, P)) \
	X(syscall(SYS_rt_sigaction, SIGUSR1, P, 0, 8)) X(syscall(SYS_rt_sigaction, SIGUSR1, 0, P, 8)) \
	X(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, P, 8)) X(syscall(SYS_rt_sigpending, P, 8)) X(syscall(SYS_sigaltstack, 0, P)) \
	X(syscall(SYS_nanosleep, P, 0)) X(syscall(SYS_clock_gettime, 0, P)) X(syscall(SYS_gettimeofday, P, 0)) \
	X(syscall(SYS_getitimer, 0, P)) X(syscall(SYS_setitimer, 0, P, 0)) X(syscall(SYS_times, P)) X(syscall(SYS_getrusage, 0, P)) \
	X(syscall(SYS_getrlimit, 7, P)) X(syscall(SYS_uname, P)) X(syscall(SYS_sysinfo, P)) X(syscall(SYS_getrandom, P, 16, 0)) \
	X(syscall(SYS_execve, P, 0, 0)) X(syscall(SYS_wait4, -1, P, WNOHANG, 0)) X(syscall(SYS_getgroups, 16, P)) \
	X(syscall(SYS_getresuid, P, P, P)) X(syscall(SYS_sethostname, P, 4)) X(syscall(SYS_utimensat, AT_FDCWD, name, P, 0)) \
	X(syscall(SYS_ioctl, p[0], 0x541B, P)) X(syscall(SYS_mincore, page, PAGE, P)) X(syscall(SYS_futex, P, 1, 1, 0, 0, 0)) \
	X(syscall(SYS_futex, P, 0, 1, 0, 0, 0)) X(syscall(SYS_set_robust_list, P, 24)) X(syscall(SYS_sched_getaffinity, 0, 128, P)) \
	X(syscall(SYS_prctl, 15, P)) X(syscall(SYS_arch_prctl, 0x1003, P)) X(syscall(SYS_mount, "none", P, "tmpfs", 0, 0)) \
	X(syscall(SYS_umount2, P, 0)) X(syscall(SYS_statx, AT_FDCWD, name, 0, 0x7ff, P)) X(syscall(SYS_pipe2, P, 0)) \
	X(syscall(SYS_sendfile, p[1], file, P, 0)) X(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, P))

/* Calls that would wait for ever, or need a larger buffer than there is. */
static int skipped(const char *call, const char *kind)
{
	if (strstr(call, "SYS_select, 0, 0, 0, 0, P"))
		return !strcmp(kind, "null") || !strcmp(kind, "read-only");
	return !strcmp(kind, "null") && strstr(call, "SYS_sched_getaffinity");
}

int main(void)
{
	struct timeval zero = { 0, 0 };
	static long room[64];
	char *page = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(page, 'n', 3 * PAGE);
	munmap(page + PAGE, PAGE);
	char *read_only = page + 2 * PAGE;
	mprotect(read_only, PAGE, PROT_READ);
	put_file(name, "0123456789012345678901234567890123456789", 0600);
	file = (int)MUST(open(name, O_RDWR));
	dir = (int)MUST(open(".", O_RDONLY));
	MUST(pipe(p));
	fcntl(p[0], F_SETFL, O_NONBLOCK), fcntl(p[1], F_SETFL, O_NONBLOCK);
	MUST(write(p[1], "0123456789012345678901234567890123456789", 40));

	struct { const char *kind; char *address; } pointers[] = {
		{ "null", 0 }, { "wild", (char *)0x1000 }, { "unaligned", (char *)0x1003 }, { "kernel", (char *)0xffffffff80000000 },
		{ "direct map", (char *)0xffff888000001000 }, { "non-canonical", (char *)0x8000000000000000 }, { "last page", (char *)-PAGE },
		{ "last byte", (char *)-1 }, { "end of user space", (char *)0x7ffffffff000 }, { "half-mapped", page + PAGE - 1 },
		{ "hole", page + PAGE }, { "read-only", read_only },
	};
	for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
		char *P = pointers[i].address;
		printf("--- %s\n", pointers[i].kind);
#define ONE(call) if (!skipped(#call, pointers[i].kind)) { \
		errno = 0; \
		long result = (long)(call); \
		int error = errno; \
		lseek(file, 0, SEEK_SET), lseek(dir, 0, SEEK_SET); \
		printf("%s: %s\n", #call, result == -1 ? error_name(error) : "went on"); \
	}
		CALLS(ONE)
	}
	puts("still here");
	return 0;
}
