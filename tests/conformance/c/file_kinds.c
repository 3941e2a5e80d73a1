/*
 * Covers: calls about the contents of a file, for every kind of descriptor: which of them take part in fsync(2), readahead(2),
 * posix_fadvise(2), fallocate(2), ftruncate(2), sync_file_range(2), copies, direct transfers, transfers of nothing, and extended attributes.
 */
#define BRIEF
#include "orders_case.h"
#include <linux/perf_event.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static int file, count;
static struct { const char *name; int fd; } kinds[60];

static void add(const char *name, int fd)
{
	if (fd < 0)
		printf("%s: %s\n", name, error_name(errno));
	else
		kinds[count].name = name, kinds[count++].fd = fd;
}

static void add_path(const char *path, int flags)
{
	add(path, open(path, flags | O_NONBLOCK | O_NOCTTY));
}

static void open_kinds(void)
{
	int ends[2], pair[2];
	MUST(pipe2(ends, O_NONBLOCK));
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	file = (int)MUST(open("/tmp/kinds", O_RDWR | O_CREAT, 0600));
	MUST(write(file, "abcdefgh", 8));
	MUST(mkdir("/tmp/kinds_fifo_dir", 0700));
	MUST(mkfifo("/tmp/kinds_fifo_dir/f", 0600));
	add("file", file);
	add_path("/tmp/kinds", O_RDONLY);
	add_path("/tmp/kinds", O_WRONLY);
	add_path("/tmp", O_RDONLY);
	add("pipe", ends[0]), add("pipe's end", ends[1]);
	add_path("/tmp/kinds_fifo_dir/f", O_RDWR);
	add("unix", pair[0]);
	add("udp", socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	add("tcp", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	add("netlink", socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0));
	add("packet", socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0x300));
	add("epoll", epoll_create1(0));
	add("eventfd", eventfd(0, EFD_NONBLOCK));
	add("timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	sigset_t signals;
	sigemptyset(&signals), sigaddset(&signals, SIGUSR1);
	add("signalfd", signalfd(-1, &signals, SFD_NONBLOCK));
	add("inotify", inotify_init1(IN_NONBLOCK));
	add("fanotify", (int)syscall(SYS_fanotify_init, 2, 0));
	add("pidfd", (int)syscall(SYS_pidfd_open, getpid(), 0));
	add("queue", mq_open("/kinds", O_RDWR | O_CREAT | O_NONBLOCK, 0600, 0));
	add("memfd", (int)syscall(SYS_memfd_create, "m", 2));
	add("huge memfd", (int)syscall(SYS_memfd_create, "m", 6));
	add("secret", (int)syscall(SYS_memfd_secret, 0));
	add("userfaultfd", (int)syscall(SYS_userfaultfd, O_NONBLOCK | 1));
	struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_DUMMY };
	add("perf", (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
	char parameters[120] = "";
	add("io_uring", (int)syscall(SYS_io_uring_setup, 4, parameters));
	add("fsopen", (int)syscall(SYS_fsopen, "tmpfs", 0));
	uint64_t ruleset = 1;
	add("ruleset", (int)syscall(SYS_landlock_create_ruleset, &ruleset, 8, 0));
	add_path("/dev/null", O_RDWR);
	add_path("/dev/zero", O_RDWR);
	add_path("/dev/urandom", O_RDWR);
	add_path("/dev/vda", O_RDWR);
	add_path("/dev/ptmx", O_RDWR);
	add_path("/dev", O_RDONLY);
	add_path("/proc", O_RDONLY);
	add_path("/proc/self", O_RDONLY);
	add_path("/proc/self/status", O_RDONLY);
	add_path("/proc/self/comm", O_RDWR);
	add_path("/proc/self/ns/uts", O_RDONLY);
	add_path("/proc/version", O_RDONLY);
	add_path("/proc/sys/kernel", O_RDONLY);
	add_path("/proc/sys/kernel/hostname", O_RDWR);
	add_path("/sys", O_RDONLY);
	add_path("/sys/kernel/uevent_seqnum", O_RDONLY);
	MUST(mkdir("/tmp/kinds_groups", 0755));
	MUST(mount("cgroup2", "/tmp/kinds_groups", "cgroup2", 0, 0));
	add_path("/tmp/kinds_groups", O_RDONLY);
	add_path("/tmp/kinds_groups/cgroup.procs", O_RDWR);
	MUST(umount2("/tmp/kinds_groups", MNT_DETACH));
	add_path("/tmp/kinds", O_PATH);
}

static void keep(int f)
{
	T(lseek, f, 0L, SEEK_CUR);
	T(lseek, f, -1L, SEEK_SET);
	T(lseek, f, 0L, SEEK_DATA);
	T(lseek, f, 0L, SEEK_HOLE);
	T(lseek, f, 0L, SEEK_END);
	T(lseek, f, -100000L, SEEK_END);
	T(lseek, f, 100000L, SEEK_DATA);
	T(lseek, f, 0L, SEEK_SET);
	T(lseek, f, 0L, 9);
	T(fsync, f);
	T(fdatasync, f);
	T(syncfs, f);
	T(sync_file_range, f, 0L, 0L, 0);
	T(sync_file_range, f, 0L, 0L, 8);
	T(sync_file_range, f, -1L, 0L, 0);
	T(readahead, f, 0L, 1L);
	T(readahead, f, -1L, 0L);
	T(fadvise64, f, 0L, 0L, 0);
	T(fadvise64, f, 0L, -1L, 0);
	T(fadvise64, f, 0L, 0L, 9);
	T(fallocate, f, 0, 0L, 1L);
	T(fallocate, f, 0, 0L, 0L);
	T(fallocate, f, 0x80, 0L, 1L);
	T(fallocate, f, 2, 0L, 1L);
	T(fallocate, f, 3, 0L, 1L);
	T(ftruncate, f, -1L);
	T(ftruncate, f, 2L << 20);
	T(flock, f, LOCK_SH | LOCK_NB);
	T(flock, f, LOCK_UN);
}

static void transfer(int f)
{
	struct iovec none[2] = { { 0, 0 }, { 0, 0 } };
	char text[64];
	T(read, f, text, 0);
	T(read, f, KERNEL, 0);
	T(write, f, text, 0);
	T(write, f, KERNEL, 0);
	T(readv, f, none, 0);
	T(readv, f, none, 1);
	T(readv, f, KERNEL, 1);
	T(readv, f, none, -1);
	T(writev, f, none, 0);
	T(writev, f, none, 2);
	T(writev, f, KERNEL, 1);
	T(writev, f, none, -1);
	T(pread64, f, text, 0, 0L);
	T(pread64, f, text, 0, -1L);
	T(pwrite64, f, text, 0, 0L);
	T(pwrite64, f, text, 0, -1L);
	T(preadv2, f, none, 1, 0L, 0L, 0);
	T(preadv2, f, none, 1, -1L, 0L, 0x1000);
	T(preadv2, f, none, 0, 0L, 0L, 8);
	T(pwritev2, f, none, 1, 0L, 0L, 0);
	T(pwritev2, f, none, 1, 0L, 0L, 0x1000);
	T(copy_file_range, f, 0L, file, 0L, 0L, 0);
	T(copy_file_range, file, 0L, f, 0L, 0L, 0);
	T(sendfile, f, f, 0L, 0L);
	T(sendfile, file, f, 0L, 0L);
	T(splice, f, 0L, f, 0L, 0L, 0);
	T(splice, f, 0L, f, 0L, 1L, 0);
	T(tee, f, f, 1L, 0);
	T(vmsplice, f, none, 0L, 0);
	T(getdents64, f, text, 0);
	T(fcntl, f, F_SETFL, O_NONBLOCK | O_DIRECT);
	T(fcntl, f, F_SETFL, O_NONBLOCK);
	T(fcntl, f, F_GETPIPE_SZ);
	T(fcntl, f, F_GET_SEALS);
	T(fcntl, f, F_ADD_SEALS, 0x80);
}

static void keep_attributes(int f)
{
	static const char *const names[] = { "user.a", "user.", "trusted.a", "security.b", "system.b", "bad" };
	char text[64];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		in("%s of %s", names[i], where);
		T(fgetxattr, f, names[i], text, sizeof text);
		T(fsetxattr, f, names[i], "abc", 3, 0);
		T(fsetxattr, f, names[i], "abc", 3, XATTR_CREATE);
		T(fremovexattr, f, names[i]);
		T(fremovexattr, f, names[i]);
		*strstr(where, " of ") = 0;
		memmove(where, where + strlen(where) + 4, strlen(where + strlen(where) + 4) + 1);
	}
	T(flistxattr, f, text, sizeof text);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	open_kinds();
	for (int i = 0; i < count; i++) {
		in("%s", kinds[i].name);
		keep(kinds[i].fd);
		transfer(kinds[i].fd);
		keep_attributes(kinds[i].fd);
	}
	unlink("/tmp/kinds");
	unlink("/tmp/kinds_fifo_dir/f");
	rmdir("/tmp/kinds_fifo_dir");
	rmdir("/tmp/kinds_groups");
	mq_unlink("/kinds");
	return 0;
}
