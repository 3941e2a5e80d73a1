/* User namespaces: what a descriptor is of that one namespace opened and another uses, and where two rules meet. */
#include "userns_case.h"
#include <mqueue.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* A limit belongs to the namespace whose program opened the file. */
static void limits(void)
{
	IN_CHILD({
		char text[32];
		become(1000);
		enter_as_root(0);
		MUST(put("/proc/sys/user/max_uts_namespaces", "5"));
		int fd = (int)MUST(open("/proc/sys/user/max_uts_namespaces", O_RDWR));
		int reader = (int)MUST(open("/proc/sys/user/max_uts_namespaces", O_RDONLY));
		MUST(unshare(CLONE_NEWUSER));
		SHOW(write(fd, "77", 2));
		SHOW(pwrite(fd, "78", 2, 0));
		long n = read(reader, text, sizeof text);
		printf("%.*s", n > 0 ? (int)n : 0, text);
		SHOW(put("/proc/sys/user/max_uts_namespaces", "6"));
	});
}

/* Texts of maps at an offset. */
static void at_an_offset(void)
{
	IN_CHILD({
		become(1000);
		MUST(unshare(CLONE_NEWUSER));
		int fd = (int)MUST(open("/proc/self/setgroups", O_RDWR));
		SHOW(pwrite(fd, "deny", 4, 1));
		SHOW(pwrite(fd, "deny", 4, 0));
		SHOW(lseek(fd, 0, SEEK_CUR));
		fd = (int)MUST(open("/proc/self/uid_map", O_RDWR));
		SHOW(pwrite(fd, "0 1000 1", 8, 3));
		SHOW(pwrite(fd, "0 1000 1", 8, 0));
		SHOW(lseek(fd, 0, SEEK_CUR));
		SHOW(pwrite(fd, "0 1000 1", 8, 0));
	});
}

/* Options of a file system in the making have an end: no type takes those that only collect them. */
static void options(void)
{
	IN_CHILD({
		int fd = (int)MUST(syscall(SYS_fsopen, "devtmpfs", 0));
		long taken = 0;
		while (taken < 100000 && syscall(SYS_fsconfig, fd, 0, "flag", NULL, 0) == 0)
			taken++;
		CHECK(taken < 1000);
	});
}

/* Queues of an IPC namespace that has ended, through a mount of its queues that has not. */
static void queues(void)
{
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		pid_t pid = (pid_t)MUST(fork());
		if (pid == 0) {
			MUST(unshare(CLONE_NEWIPC));
			MUST(mount("none", "/mnt", "mqueue", 0, NULL));
			SHOW(open("/mnt/before", O_CREAT | O_RDWR, 0600) >= 0);
			fflush(stdout);
			_exit(0);
		}
		show_end(pid);
		for (int i = 0, fd; i < 3000 && (fd = open("/mnt/after", O_CREAT | O_RDWR, 0600)) >= 0; i++) {
			close(fd);
			unlink("/mnt/after");
			usleep(10000); /* Linux takes it apart later */
		}
		SHOW(access("/mnt", F_OK));
		SHOW(open("/mnt/after", O_CREAT | O_RDWR, 0600));
		SHOW(umount("/mnt"));
	});
}

/* What a signal says of a sender that gives a number nobody has. */
static void stranger(void)
{
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	say();
	hear();
	if (MUST(sigwaitinfo(&set, &info)) == SIGUSR1)
		printf("from user %d\n", (int)info.si_uid);
}

static void senders(void)
{
	struct child c = begin(stranger, CLONE_NEWUSER);
	await(c);
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
	info.si_pid = getpid();
	info.si_uid = (uid_t)-1;
	SHOW(syscall(SYS_rt_sigqueueinfo, c.pid, SIGUSR1, &info));
	tell(c);
	finish(c);
}

/* Many mounts at once, and their order. */
static long mounts_here(void)
{
	static char text[1 << 20];
	long length = 0, n, count = 0;
	int fd = (int)MUST(open("/proc/self/mountinfo", O_RDONLY));
	while ((n = read(fd, text, sizeof text)) > 0) {
		length += n;
		for (long i = 0; i < n; i++)
			count += text[i] == '\n';
	}
	close(fd);
	return length > 0 ? count : -1;
}

static void many(void)
{
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		long before = mounts_here();
		MUST(mount("none", "/mnt", "tmpfs", 0, NULL));
		MUST(mkdir("/mnt/a", 0755));
		MUST(mkdir("/mnt/b", 0755));
		MUST(mount("none", "/mnt/a", "tmpfs", 0, NULL));
		MUST(mkdir("/mnt/a/a", 0755));
		for (int i = 0; i < 8; i++) {
			SHOW(mount("/mnt/a", "/mnt/a/a", NULL, MS_BIND | MS_REC, NULL));
			printf("%ld mounts\n", mounts_here() - before);
		}
		SHOW(mount(NULL, "/mnt", NULL, MS_SHARED | MS_REC, NULL));
		SHOW(mount("/mnt/a", "/mnt/b", NULL, MS_BIND | MS_REC, NULL));
		printf("%ld mounts\n", mounts_here() - before);
		SHOW(mount(NULL, "/mnt/b", NULL, MS_SLAVE | MS_REC, NULL));
		MUST(unshare(CLONE_NEWNS));
		printf("%ld mounts\n", mounts_here() - before);
		SHOW(umount2("/mnt", MNT_DETACH));
		printf("%ld mounts\n", mounts_here() - before);
	});
}

/* The root goes on top of what covers a working directory. */
static void covered(void)
{
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		MUST(mount("/", "/mnt", NULL, MS_BIND | MS_REC, NULL));
		MUST(chroot("/mnt"));
		MUST(chdir("/"));
		MUST(mount("none", "/mnt", "tmpfs", 0, NULL));
		MUST(mkdir("/mnt/old", 0755));
		MUST(chdir("/mnt/old"));
		MUST(mount("none", "/mnt/old", "tmpfs", 0, NULL));
		SHOW(syscall(SYS_pivot_root, "/mnt", "."));
		SHOW(access("/old/proc/self", F_OK));
		SHOW(chdir("/"));
		SHOW(umount2("/old", MNT_DETACH));
		SHOW(umount2("/old", MNT_DETACH));
		SHOW(umount2("/old", MNT_DETACH));
	});
}

int main(void)
{
	mkdir("/mnt", 0755);
	limits();
	at_an_offset();
	options();
	queues();
	senders();
	many();
	covered();
}
