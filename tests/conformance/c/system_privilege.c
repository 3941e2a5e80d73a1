/*
 * Covers: which capability lets a process change the system: names, clocks, mounts, restarting,
 * chroot, files under /proc/sys, nodes of devices, attributes of each name space, flags of files, sticky directories, limits and
 * locked memory, handles of files, timers that wake the machine, ioctls of disks.
 */
#include "privilege_case.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/xattr.h>

static const struct actor actors[] = {
	ROOT, POWERLESS, USER, WITH(CAP_SYS_ADMIN), WITH(CAP_SYS_TIME), WITH(CAP_SYS_BOOT), WITH(CAP_SYS_CHROOT), WITH(CAP_SYS_RAWIO), WITH(CAP_MKNOD),
	WITH(CAP_SYS_RESOURCE), WITH(CAP_IPC_LOCK), WITH(CAP_SYS_NICE), WITH(CAP_WAKE_ALARM), WITH(CAP_SYSLOG), WITH(CAP_SYS_PACCT), WITH(CAP_SYS_MODULE),
	WITH(CAP_FOWNER), WITH(CAP_CHOWN), WITH(CAP_DAC_OVERRIDE), WITH(CAP_DAC_READ_SEARCH), WITH(CAP_FSETID), WITH(CAP_LINUX_IMMUTABLE), WITH(CAP_SETFCAP),
	WITH(CAP_SYS_TTY_CONFIG), WITH(CAP_NET_ADMIN), WITH(CAP_LEASE), WITH(CAP_SETUID), WITH(CAP_SETGID), WITH(CAP_SETPCAP),
};

static void names(void)
{
	char name[65];
	gethostname(name, sizeof name);
	ASK("sethostname", sethostname(name, strlen(name)));
	ASK("sethostname, too long", sethostname(name, 65));
	ASK("setdomainname", setdomainname("(none)", 6));
	ASK("/proc/sys/kernel/hostname", try_open("/proc/sys/kernel/hostname", O_WRONLY));
}

static void clocks(void)
{
	struct timeval now;
	struct timespec precise;
	struct timezone zone = { 0, 0 };
	struct timex query = { 0 }, change = { .modes = ADJ_FREQUENCY }, step = { .modes = ADJ_SETOFFSET, .time = { 0, 0 } }, single = { .modes = 0x8001 }, read_single = { .modes = 0xa001 };
	gettimeofday(&now, NULL);
	ASK("settimeofday", settimeofday(&now, NULL));
	ASK("settimeofday, nonsense", settimeofday(&(struct timeval){ 0, 1000000 }, NULL));
	ASK("zone", syscall(SYS_settimeofday, NULL, &zone));
	clock_gettime(CLOCK_REALTIME, &precise);
	ASK("clock_settime", clock_settime(CLOCK_REALTIME, &precise));
	ASK("clock_settime monotonic", clock_settime(CLOCK_MONOTONIC, &precise));
	ASK("adjtimex, query", adjtimex(&query));
	ASK("adjtimex, change", adjtimex(&change));
	ASK("adjtimex, step", adjtimex(&step));
	ASK("adjtimex, single", adjtimex(&single));
	ASK("adjtimex, read single", adjtimex(&read_single));
	ASK("clock_adjtime", syscall(SYS_clock_adjtime, CLOCK_REALTIME, &query));
	ASK_FD("timerfd alarm", timerfd_create(CLOCK_REALTIME_ALARM, 0));
	timer_t timer;
	ASK("timer alarm", syscall(SYS_timer_create, CLOCK_BOOTTIME_ALARM, NULL, &timer));
	ASK("sleep alarm", syscall(SYS_clock_nanosleep, CLOCK_REALTIME_ALARM, 0, &(struct timespec){ 0, 1 }, NULL));
}

static void mounts(void)
{
	ASK("mount", mount("none", "own", "tmpfs", 0, NULL));
	ASK("remount", mount(NULL, "own", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	ASK("bind", mount("own", "own", NULL, MS_BIND, NULL));
	ASK("propagation", mount(NULL, "own", NULL, MS_PRIVATE, NULL));
	ASK("move", mount("own", "own/x", NULL, MS_MOVE, NULL));
	ASK("umount", umount("own"));
	ASK("umount, lazy", umount2("own", MNT_DETACH));
	ASK("umount, bad flags", umount2("own", 0x100));
	ASK("umount, nothing there", umount("nowhere"));
	ASK("unknown type", mount("none", "own", "nothing", 0, NULL));
	ASK("nowhere", mount("none", "nowhere", "tmpfs", 0, NULL));
	ASK("pivot_root", syscall(SYS_pivot_root, "own", "own"));
	ASK("chroot", chroot("own"));
}

static void machine(void)
{
	ASK("reboot, nothing", syscall(SYS_reboot, 0xfee1dead, 672274793, 0x1234, NULL));
	ASK("reboot, bad magic", syscall(SYS_reboot, 1, 2, 0x1234, NULL));
	ASK("Ctrl-Alt-Del", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
	ASK("syslog, size", syscall(SYS_syslog, 10, NULL, 0));
	ASK("syslog, unread", syscall(SYS_syslog, 9, NULL, 0));
	ASK("syslog, level", syscall(SYS_syslog, 8, NULL, 99));
	ASK("/dev/kmsg", try_open("/dev/kmsg", O_RDONLY));
	ASK("/proc/kmsg", try_open("/proc/kmsg", O_RDONLY));
	ASK("vhangup", (getppid(), syscall(SYS_vhangup)));
	ASK("lookup_dcookie", syscall(SYS_lookup_dcookie, 0, NULL, 0));
	ASK("kcmp flags", syscall(SYS_kcmp, getpid(), getpid(), 99, 0, 0));
}

static void settings(void)
{
	static const char *files[] = { "kernel/hostname", "kernel/panic", "kernel/sched_rt_runtime_us", "kernel/msgmax", 
		"kernel/dmesg_restrict", "vm/mmap_min_addr", "fs/pipe-max-size", "fs/protected_hardlinks", "fs/file-max", "net/ipv4/ip_forward",
		"net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range", "net/core/somaxconn" };
	char path[96], text[128];
	for (int i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof path, "/proc/sys/%s", files[i]);
		int fd = open(path, O_RDONLY);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		if (n < 0)
			ASK(files[i], -1);
		text[n < 0 ? 0 : n] = 0;
		ASK(files[i], put(path, text));
	}
}

static void files(void)
{
	static const char *attributes[] = { "user.a", "trusted.a", "security.a", "security.capability", "system.posix_acl_access", "system.a", "other.a" };
	static const char *paths[] = { "mine", "theirs", "open", "sticky", "link" };
	static const unsigned char capability[20] = { 0, 0, 0, 2 }, list[28] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255 };
	char value[64], what[64];
	for (int p = 0; p < COUNT(paths); p++)
		for (int a = 0; a < COUNT(attributes); a++) {
			const void *data = a == 3 ? (const void *)capability : a == 4 ? (const void *)list : "v";
			snprintf(what, sizeof what, "set %s of %s", attributes[a], paths[p]);
			ASK(what, lsetxattr(paths[p], attributes[a], data, a == 3 ? 20 : a == 4 ? 28 : 1, 0));
			snprintf(what, sizeof what, "get %s of %s", attributes[a], paths[p]);
			ASK(what, lgetxattr(paths[p], attributes[a], value, sizeof value));
			snprintf(what, sizeof what, "remove %s of %s", attributes[a], paths[p]);
			ASK(what, lremovexattr(paths[p], attributes[a]));
		}
	for (int p = 0; p < 4; p++) {
		struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
		int flags = 0, fd = open(paths[p], O_RDONLY | O_NONBLOCK);
		printf("   %s\n", paths[p]);
		ASK("chmod", chmod(paths[p], p == 3 ? 01777 : p == 2 ? 0666 : 0644));
		ASK("chmod set-group-ID", chmod(paths[p], p == 3 ? 03777 : 02755));
		ASK("chown to oneself", chown(paths[p], 1000, -1));
		ASK("chown nothing", chown(paths[p], -1, -1));
		ASK("chown group 1000", chown(paths[p], -1, 1000));
		ASK("chown group 7", chown(paths[p], -1, 7));
		ASK("utimensat", utimensat(AT_FDCWD, paths[p], times, 0));
		ASK("utimensat now", utimensat(AT_FDCWD, paths[p], NULL, 0));
		ASK("O_NOATIME", try_open(paths[p], O_RDONLY | O_NOATIME));
		ASK("append only", (flags = FS_APPEND_FL, ioctl(fd, FS_IOC_SETFLAGS, &flags)));
		ASK("no dump", (flags = FS_NODUMP_FL, ioctl(fd, FS_IOC_SETFLAGS, &flags)));
		ASK("lease", fcntl(fd, F_SETLEASE, F_RDLCK));
		close(fd);
	}
	ASK("unlink in sticky", unlink("sticky/theirs"));
	ASK("rename in sticky", rename("sticky/theirs2", "sticky/other"));
	ASK("rename over in sticky", rename("mine2", "sticky/theirs3"));
	ASK("rmdir in sticky", rmdir("sticky/directory"));
	ASK("hard link to theirs", link("theirs", "own/hard"));
	ASK("hard link to set-user-ID", link("privileged", "own/hard2"));
	ASK("search closed", try_open("closed/file", O_RDONLY));
	ASK("list closed", try_open("closed", O_RDONLY | O_DIRECTORY));
	ASK("write theirs", try_open("theirs", O_WRONLY));
	ASK("truncate theirs", truncate("theirs", 1));
	ASK("character node", mknod("own/c", S_IFCHR | 0600, makedev(1, 3)));
	ASK("block node", mknod("own/b", S_IFBLK | 0600, makedev(7, 0)));
	ASK("whiteout", mknod("own/w", S_IFCHR | 0600, 0));
	ASK("fifo", mknod("own/f", S_IFIFO | 0600, 0));
	ASK("socket", mknod("own/s", S_IFSOCK | 0600, 0));
	struct { unsigned size; int type; unsigned char bytes[128]; } handle = { 128, 0, { 0 } };
	int mount_id, directory = open(".", O_RDONLY | O_DIRECTORY);
	ASK("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "open", &handle, &mount_id, 0));
	ASK_FD("open_by_handle_at", syscall(SYS_open_by_handle_at, directory, &handle, O_RDONLY));
	close(directory);
}

static void memory(void)
{
	struct rlimit none = { 0, 0 }, more = { 2000, 5000 };
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASK("lower a limit", setrlimit(RLIMIT_MEMLOCK, &none));
	ASK("mlock", mlock(map, 4096));
	ASK("mlockall", mlockall(MCL_CURRENT));
	ASK("MAP_LOCKED", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? -1 : 0);
	ASK("raise a limit", setrlimit(RLIMIT_NOFILE, &more));
	ASK("raise a limit again", setrlimit(RLIMIT_MEMLOCK, &more));
	ASK("low mapping", mmap((void *)4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	ASK("set name", prctl(PR_SET_NAME, "name"));
	ASK("nice", setpriority(PRIO_PROCESS, 0, -1));
	ASK("fifo", syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }));
	ASK("child subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
	ASK("timer slack", prctl(PR_SET_TIMERSLACK, 50000));
	ASK("oom_score_adj 0", put("/proc/self/oom_score_adj", "0"));
	ASK("oom_score_adj -1", put("/proc/self/oom_score_adj", "-1"));
	ASK("seccomp", prctl(PR_SET_SECCOMP, 2, 8));
	int pipes[2];
	MUST(pipe(pipes));
	ASK("large pipe", fcntl(pipes[0], F_SETPIPE_SZ, 2 << 20));
	ASK("huge pages", mmap(NULL, 2 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == MAP_FAILED ? -1 : 0);
}

static void disk(void)
{
	int fd = open("disk", O_RDONLY), number = 0;
	unsigned long long size;
	ASK("open the disk", fd);
	if (fd < 0)
		return;
	ASK("BLKGETSIZE64", ioctl(fd, BLKGETSIZE64, &size));
	ASK("BLKROGET", ioctl(fd, BLKROGET, &number));
	ASK("BLKROSET", ioctl(fd, BLKROSET, &number));
	ASK("BLKFLSBUF", ioctl(fd, BLKFLSBUF, 0));
	ASK("BLKRRPART", ioctl(fd, BLKRRPART, 0));
	ASK("BLKRASET", ioctl(fd, BLKRASET, 256));
	ASK("BLKBSZSET", ioctl(fd, BLKBSZSET, &(int){ 4096 }));
	ASK("BLKDISCARD", ioctl(fd, BLKDISCARD, &(unsigned long long[2]){ 1, 1 }));
	ASK("BLKZEROOUT", ioctl(fd, BLKZEROOUT, &(unsigned long long[2]){ 1, 1 }));
	close(fd);
	int dir = open(".", O_RDONLY);
	ASK("FITRIM", ioctl(dir, FITRIM, &(unsigned long long[3]){ 0, 0, 0 }));
	close(dir);
}

static void set_up(void)
{
	MUST(mkdir("place", 0777));
	MUST(chmod("place", 0777));
	MUST(mount("none", "place", "tmpfs", 0, "mode=777"));
	MUST(chdir("place"));
	put_file("mine", "text", 0644);
	put_file("mine2", "text", 0644);
	put_file("theirs", "text", 0644);
	put_file("open", "text", 0666);
	put_file("privileged", "text", 04755);
	MUST(symlink("open", "link"));
	MUST(mkdir("closed", 0700));
	put_file("closed/file", "text", 0644);
	MUST(mkdir("sticky", 0777));
	MUST(chmod("sticky", 01777));
	put_file("sticky/theirs", "text", 0644);
	put_file("sticky/theirs2", "text", 0644);
	put_file("sticky/theirs3", "text", 0644);
	MUST(mkdir("sticky/directory", 0755));
	MUST(mkdir("own", 0755));
	MUST(mkdir("own/x", 0755));
	struct stat device;
	MUST(stat("/dev/vda", &device));
	MUST(mknod("disk", S_IFBLK | 0644, device.st_rdev));
	MUST(chmod("disk", 0644));
	MUST(chown("mine", 1000, 1000));
	MUST(chown("mine2", 1000, 1000));
	MUST(chown("own", 1000, 1000));
	MUST(chown("own/x", 1000, 1000));
}

static void tear_down(void)
{
	MUST(chdir(".."));
	while (umount2("place/own", MNT_DETACH) == 0)
		;
	MUST(umount2("place", MNT_DETACH));
	MUST(rmdir("place"));
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*ask)(void); } groups[] = { { "names", names }, { "clocks", clocks }, { "mounts", mounts }, { "machine", machine }, { "settings", settings }, { "files", files }, { "memory", memory }, { "disk", disk } };
	for (int a = 0; a < COUNT(actors); a++) {
		printf("%s\n", actors[a].name);
		for (int g = 0; g < COUNT(groups); g++) {
			if (argc > 1 && strcmp(argv[1], groups[g].name))
				continue;
			printf("  %s\n", groups[g].name);
			set_up();
			if (!strcmp(groups[g].name, "machine"))
				AS(&actors[a], setsid(); groups[g].ask());
			else
				AS(&actors[a], groups[g].ask());
			tear_down();
		}
	}
	return 0;
}
