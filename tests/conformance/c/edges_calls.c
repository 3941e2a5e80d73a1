/* Calls with addresses, times and lengths at the edge of what 64 bits hold; things of processes that have ended; a queue that is
   removed by its other name; a handle of nothing. */
#include "case.h"

#include <linux/kcmp.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/socket.h>

#define LEAST (-0x7fffffffffffffffL - 1)
#define MOST 0x7fffffffffffffffL

static const long addresses[] = {
	1, 4095, (1L << 47) - 4096, (1L << 47) - 8, (1L << 47) - 4, 1L << 47, (1L << 47) + 8, 1L << 62, MOST, MOST - 1, MOST - 3,
	MOST - 4, MOST - 7, MOST - 8, MOST - 15, MOST - 16, MOST - 24, MOST - 32, MOST - 4095, LEAST, LEAST + 8, -1, -4, -8, -16, -4096,
};
#define EACH(list, name) for (unsigned name = 0; name < sizeof list / sizeof *list; name++)

static void show(const char *call, long address, long result)
{
	printf("%s %lx: %s\n", call, address, result < 0 ? error_name(errno) : "ok");
}
#define AT(number, ...) show(#number, a, syscall(number, __VA_ARGS__))

static void pointers(void)
{
	struct sembuf operation = { 0, 0, IPC_NOWAIT };
	int set = MUST(semget(IPC_PRIVATE, 1, 0600)), here = MUST(open(".", O_RDONLY)), fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
	int queue = MUST(syscall(SYS_epoll_create1, 0)), udp = MUST(socket(AF_INET, SOCK_DGRAM, 0)), out[8];
	struct timespec past = { 0, 0 };
	EACH (addresses, i) {
		long a = addresses[i];
		AT(SYS_semtimedop, set, &operation, 1, a);
		AT(SYS_semtimedop, set, a, 1, 0);
		AT(SYS_utimes, "file", a);
		AT(SYS_utime, "file", a);
		AT(SYS_futimesat, AT_FDCWD, "file", a);
		AT(SYS_futimesat, fd, 0, a);
		AT(SYS_utimensat, AT_FDCWD, "file", a, 0);
		AT(SYS_utimensat, fd, 0, a, 0);
		AT(456, a, 0, 1, 1);
		AT(449, a, 2, 0, &past, 1);
		AT(449, a, 128, 0, &past, 1);
		AT(SYS_futex, a, 0, 0, &past, 0, 0);
		AT(SYS_futex, a, 1, 1, 0, 0, 0);
		AT(SYS_futex, &out, 0, out[0], a, 0, 0);
		AT(SYS_futex, &out, 4, 1, 1, a, out[0]);
		AT(SYS_futex, a, 5, 1, 1, a, 0);
		AT(SYS_nanosleep, a, a);
		AT(SYS_clock_nanosleep, 1, 1, a, a);
		AT(SYS_pselect6, 0, 0, 0, 0, &past, a);
		AT(SYS_select, 0, 0, 0, 0, a);
		AT(SYS_select, 64, a, 0, 0, &past);
		AT(SYS_ppoll, a, 1, &past, 0, 0);
		AT(SYS_ppoll, 0, 0, a, 0, 0);
		AT(SYS_ppoll, 0, 0, &past, a, 8);
		AT(SYS_poll, a, 3, 0);
		AT(SYS_epoll_ctl, queue, 1, fd, a);
		AT(SYS_epoll_wait, queue, a, 1, 0);
		AT(441, queue, out, 1, a, 0, 8);
		AT(SYS_readv, fd, a, 2);
		AT(SYS_writev, fd, a, 1024);
		AT(SYS_pread64, fd, a, 1, 0);
		AT(SYS_sendmsg, udp, a, 0);
		AT(SYS_recvmsg, udp, a, MSG_DONTWAIT);
		AT(SYS_sendmmsg, udp, a, 2, 0);
		AT(SYS_recvmmsg, udp, a, 2, MSG_DONTWAIT, 0);
		AT(SYS_recvmmsg, udp, out, 0, MSG_DONTWAIT, a);
		AT(SYS_bind, udp, a, 16);
		AT(SYS_getsockname, udp, a, out);
		AT(SYS_getsockname, udp, out, a);
		AT(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, a);
		AT(SYS_pipe2, a, 0);
		AT(SYS_setsockopt, udp, SOL_SOCKET, SO_SNDTIMEO, a, 16);
		AT(SYS_timer_create, 1, a, out);
		AT(SYS_timerfd_settime, 0, 0, a, 0);
		AT(SYS_setitimer, 0, a, 0);
		AT(SYS_getitimer, 0, a);
		AT(SYS_sigaltstack, a, 0);
		AT(SYS_rt_sigaction, SIGUSR1, a, 0, 8);
		AT(SYS_rt_sigtimedwait, a, 0, &past, 8);
		AT(SYS_rt_sigqueueinfo, getpid(), 0, a);
		AT(SYS_prlimit64, 0, 7, a, 0);
		AT(SYS_prlimit64, 0, 7, 0, a);
		AT(SYS_setrlimit, 7, a);
		AT(SYS_wait4, -1, a, WNOHANG, a);
		AT(SYS_waitid, P_ALL, 0, a, WEXITED | WNOHANG, 0);
		AT(SYS_getrusage, 0, a);
		AT(SYS_statx, AT_FDCWD, "file", 0, 0xfff, a);
		AT(SYS_newfstatat, AT_FDCWD, "file", a, 0);
		AT(SYS_getdents64, here, a, 4096);
		AT(SYS_getcwd, a, 100);
		AT(SYS_openat, AT_FDCWD, a, 0);
		AT(437, AT_FDCWD, "file", a, 24);
		AT(437, AT_FDCWD, "file", a, 4096);
		AT(SYS_getgroups, 1, a);
		AT(SYS_setgroups, 2, a);
		AT(SYS_capget, a, out);
		AT(SYS_process_vm_readv, getpid(), a, 1, a, 1, 0);
		AT(SYS_fcntl, fd, F_GETLK, a);
		AT(SYS_fcntl, fd, F_SETLK, a);
		AT(SYS_fcntl, fd, 16, a);
		AT(SYS_name_to_handle_at, AT_FDCWD, "file", a, out, 0);
		AT(SYS_open_by_handle_at, here, a, 0);
		AT(SYS_settimeofday, a, 0);
		AT(SYS_settimeofday, 0, a);
		AT(SYS_gettimeofday, 0, a);
		AT(SYS_adjtimex, a);
		AT(SYS_mincore, a & ~4095, 4096, a);
		AT(SYS_set_robust_list, a, 24);
		AT(SYS_execve, "/nothing", a, a);
		AT(SYS_execve, "/bin/true", a, 0);
		AT(SYS_execve, "/bin/true", 0, a);
		AT(SYS_ioctl, fd, 0xc020660b, a);
		AT(SYS_ioctl, fd, 0xc0185879, a);
		AT(SYS_ioctl, udp, 0x8912, a);
		AT(SYS_ioctl, udp, 0x890b, a);
		AT(SYS_ioctl, udp, 0x8946, a);
		AT(SYS_ioctl, udp, 0x8906, a);
		AT(SYS_seccomp, 1, 0, a);
		AT(SYS_prctl, 22, 2, a, 0, 0);
		AT(451, fd, a, out, 0);
		AT(451, fd, out, a, 0);
	}
	set = syscall(SYS_set_robust_list, 0, 24);
	MUST(semctl(set, 0, IPC_RMID));
}

/* A program's list of robust futexes may lie anywhere: its end looks at it. */
static void robust(void)
{
	EACH (addresses, i) {
		IN_CHILD(syscall(SYS_set_robust_list, addresses[i], 24));
		IN_CHILD({
			long head[3] = { addresses[i], addresses[i], addresses[i] };
			syscall(SYS_set_robust_list, head, 24);
			_exit(7);
		});
		IN_CHILD({
			long head[3] = { (long)head, MOST, addresses[i] };
			syscall(SYS_set_robust_list, head, 24);
			syscall(SYS_set_tid_address, addresses[i]);
			_exit(8);
		});
	}
}

static void ranges(void)
{
	static const long lengths[] = { 0, 1, -1, 4096, -4095, -4096, -4097, 1L << 46, (1L << 47) - 1, 1L << 62, MOST, MOST - 4095, LEAST, LEAST + 1 };
	static const long starts[] = { 0, 1, 4095, (1L << 47) - 4096, 1L << 47, 1L << 62, MOST, MOST - 4095, LEAST, -1, -4096 };
	static const int calls[] = { SYS_mlock, SYS_munlock, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_msync, SYS_mincore, SYS_mremap,
		SYS_mlock2, 462, SYS_brk };
	static const char *names[] = { "mlock", "munlock", "munmap", "mprotect", "madvise", "msync", "mincore", "mremap", "mlock2", "mseal", "brk" };
	EACH (calls, call) {
		printf("%s\n", names[call]);
		EACH (starts, i)
			EACH (lengths, j) {
				/* What covers the program itself is not asked for. */
				if (starts[i] >= 0 && starts[i] < 1L << 47 && lengths[j] >= 1L << 46 && lengths[j] < 1L << 47)
					continue;
				long third = calls[call] == SYS_msync ? 4 : calls[call] == SYS_mremap ? 4096 : 0;
				long result = syscall(calls[call], starts[i], lengths[j], third, 0, 0);
				printf("  (%lx, %lx): %s\n", starts[i], lengths[j], calls[call] == SYS_brk ? "" : result < 0 ? error_name(errno) : "ok");
			}
	}
}

static void times(void)
{
	static const long seconds[] = { 0, 1, -1, 1L << 31, 1L << 32, 1L << 33, 9223372036, 9223372037, MOST, LEAST };
	static const long parts[] = { 0, 1, -1, 999999, 1000000, 999999999, 1000000000, UTIME_NOW, UTIME_OMIT, MOST, LEAST };
	int fd = MUST(open("times", O_RDWR | O_CREAT, 0600)), sockets[2];
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets));
	MUST(write(sockets[1], "x", 1));
	EACH (seconds, i)
		EACH (parts, j) {
			long pair[4] = { seconds[i], parts[j], seconds[i], parts[j] };
			struct sembuf operation = { 0, 0, IPC_NOWAIT };
			int set = semget(IPC_PRIVATE, 1, 0600);
			char text[4];
			struct iovec part = { text, 4 };
			struct { struct msghdr header; unsigned length; } message = { { 0, 0, &part, 1 } };
			printf("{%lx, %lx}:", seconds[i], parts[j]);
			/* Some calls write back what is left of the time: each gets it anew. */
#define TIMED(...) do { memcpy(pair, (long[4]){ seconds[i], parts[j], seconds[i], parts[j] }, sizeof pair); errno = 0; long r_ = syscall(__VA_ARGS__); printf(" %s", r_ < 0 ? error_name(errno) : "ok"); } while (0)
			TIMED(SYS_utimensat, AT_FDCWD, "times", pair, 0);
			TIMED(SYS_utimes, "times", pair);
			TIMED(SYS_futimesat, AT_FDCWD, "times", pair);
			TIMED(SYS_semtimedop, set, &operation, 1, pair);
			TIMED(SYS_semtimedop, set, &operation, 0, pair);
			TIMED(SYS_pselect6, 0, 0, 0, 0, seconds[i] ? 0 : pair, pair);
			TIMED(SYS_recvmmsg, sockets[0], &message, 1, MSG_PEEK, pair);
			TIMED(SYS_setitimer, 0, pair, 0);
			TIMED(SYS_setitimer, 1, pair, 0);
			TIMED(SYS_setsockopt, sockets[0], SOL_SOCKET, SO_RCVTIMEO, pair, 16);
			TIMED(SYS_futex, pair, 0, 12345, pair, 0, 0);
			TIMED(SYS_futex, pair, 9, 12345, pair, 0, -1);
			TIMED(SYS_futex, pair, 9 | 256, 12345, pair, 0, -1);
			TIMED(SYS_rt_sigtimedwait, pair, 0, seconds[i] > 0 ? (long *)8 : pair, 8);
			int timer = syscall(SYS_timerfd_create, i & 1, 0);
			TIMED(SYS_timerfd_settime, timer, j & 1, pair, 0);
			close(timer);
			int number;
			if (syscall(SYS_timer_create, i & 1, 0, &number) == 0) {
				long interval[4] = { 0, 0, seconds[i] > 1000 || seconds[i] < 0 ? seconds[i] : 1000, parts[j] };
				TIMED(SYS_timer_settime, number, 0, interval, 0);
				TIMED(SYS_timer_settime, number, 0, pair, 0);
				TIMED(SYS_timer_delete, number);
			}
			printf("\n");
			struct itimerval off = { 0 };
			setitimer(ITIMER_REAL, &off, 0);
			setitimer(ITIMER_VIRTUAL, &off, 0);
			semctl(set, 0, IPC_RMID);
		}
	close(fd);
}

static void *linger(void *until)
{
	char byte;
	read(*(int *)until, &byte, 1);
	_exit(3);
}

static void comparison(pid_t other, const char *what)
{
	static const char *kinds[] = { "FILE", "VM", "FILES", "FS", "SIGHAND", "IO", "SYSVSEM", "EPOLL_TFD" };
	for (int kind = 0; kind < 8; kind++) {
		errno = 0;
		long same = syscall(SYS_kcmp, other, other, kind, 0, 0), mine = syscall(SYS_kcmp, getpid(), other, kind, 0, 0);
		printf("%s %s: with itself %ld, with me %s %s\n", what, kinds[kind], same, mine < 0 ? "fails" : mine ? "differs" : "same",
		       errno ? error_name(errno) : "");
	}
}

static void ended(void)
{
	int until[2], ready[2];
	MUST(pipe(until));
	MUST(pipe(ready));
	fflush(stdout);
	pid_t child = MUST(fork());
	if (child == 0) {
		pthread_t thread;
		pthread_create(&thread, 0, linger, until);
		syscall(SYS_exit, 0);
	}
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	for (;;) {
		int fd = MUST(open(path, O_RDONLY));
		ssize_t n = read(fd, text, sizeof text - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		if (strstr(text, ") Z"))
			break;
		sleep_ms(2);
	}
	comparison(child, "leader gone");
	MUST(write(until[1], "x", 1));
	until_ended(child);
	comparison(child, "zombie");
	show_end(child);
}

static void queues(void)
{
	MUST(mkdir("/tmp/mq", 0755));
	MUST(mount("none", "/tmp/mq", "mqueue", 0, ""));
	int fd = MUST(open("/tmp/mq/one", O_RDWR | O_CREAT, 0600));
	SHOW(access("/tmp/mq/one", F_OK));
	SHOW(syscall(SYS_mq_unlink, "one"));
	SHOW(access("/tmp/mq/one", F_OK));
	IN_CHILD(SHOW(unlink("/tmp/mq/one")));
	SHOW(syscall(SYS_mq_unlink, "one"));
	MUST(open("/tmp/mq/two", O_RDWR | O_CREAT, 0600));
	SHOW(unlink("/tmp/mq/two"));
	SHOW(syscall(SYS_mq_unlink, "two"));
	MUST(open("/tmp/mq/three", O_RDWR | O_CREAT, 0600));
	SHOW(syscall(SYS_mq_unlink, "three"));
	MUST(open("/tmp/mq/three", O_RDWR | O_CREAT | O_EXCL, 0600));
	SHOW(rename("/tmp/mq/three", "/tmp/mq/four"));
	SHOW(link("/tmp/mq/three", "/tmp/mq/four"));
	SHOW(mkdir("/tmp/mq/directory", 0700));
	SHOW(unlink("/tmp/mq/three"));
	SHOW(umount("/tmp/mq"));
	MUST(umount2("/tmp/mq", MNT_DETACH));
	MUST(rmdir("/tmp/mq"));
}

static void handles(void)
{
	MUST(mkdir("/tmp/handles", 0755));
	MUST(mount("none", "/tmp/handles", "tmpfs", 0, ""));
	static const unsigned char fills[] = { 0, 0xff, 0x7f, 0x80, 1 };
	EACH (fills, i)
		IN_CHILD({
			for (int bytes = 1; bytes <= 128; bytes *= 2)
				for (int type = -1; type < 4; type++) {
					struct { unsigned size; int type; unsigned char data[128]; } handle = { bytes, type };
					memset(handle.data, fills[i], 128);
					int place = MUST(open("/tmp/handles", O_RDONLY));
					int fd = syscall(SYS_open_by_handle_at, place, &handle, 0);
					printf("%x, %d bytes, type %d: %s\n", fills[i], bytes, type, fd < 0 ? error_name(errno) : "ok");
					close(place);
				}
		});
	SHOW(umount("/tmp/handles"));
	SHOW(mkdir("/tmp/handles/after", 0700));
}

int main(void)
{
	signal(SIGALRM, SIG_IGN);
	signal(SIGVTALRM, SIG_IGN);
	pointers();
	robust();
	ranges();
	times();
	ended();
	queues();
	handles();
	return 0;
}
