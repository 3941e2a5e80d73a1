/* Making user namespaces: unshare(2), clone(2), clone3(2), setns(2), nesting, limits, who may, and what one is then. */
#include "userns_case.h"
#include <linux/capability.h>
#include <pthread.h>

static void capabilities(const char *when)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	MUST(syscall(SYS_capget, &header, data));
	printf("%s: effective %x%08x permitted %x%08x inheritable %x%08x securebits %d bounding", when, data[1].effective,
	       data[0].effective, data[1].permitted, data[0].permitted, data[1].inheritable, data[0].inheritable,
	       prctl(PR_GET_SECUREBITS));
	for (int i = 0; i <= 40; i++)
		printf("%d", prctl(PR_CAPBSET_READ, i, 0, 0, 0));
	printf("\n");
}

static long number(const char *path)
{
	struct stat s;
	return stat(path, &s) ? -1 : (long)s.st_ino;
}

static void fresh(void)
{
	ids("no map");
	capabilities("no map");
	SHOW(setuid(0));
	SHOW(setuid(65534));
	SHOW(setresuid(-1, -1, -1));
	SHOW(setgroups(0, NULL));
	SHOW(getgroups(0, NULL));
	show_file("/proc/self/uid_map");
	show_file("/proc/self/gid_map");
	show_file("/proc/self/projid_map");
	show_file("/proc/self/setgroups");
	SHOW(unshare(CLONE_NEWUSER));
}

static void *wait_for_end(void *unused)
{
	pause();
	return unused;
}

static void refused(void)
{
	SHOW(syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0, 0, 0, 0));
	IN_CHILD({
		pthread_t thread;
		pthread_create(&thread, NULL, wait_for_end, NULL);
		SHOW(unshare(CLONE_NEWUSER));
		int own = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
		SHOW(setns(own, CLONE_NEWUSER));
	});
	int own = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
	SHOW(setns(own, 0));
	SHOW(setns(own, CLONE_NEWUSER));
	SHOW(setns(own, CLONE_NEWUTS));
	close(own);
	IN_CHILD({
		MUST(mkdir("/tmp/jail", 0755));
		MUST(chroot("/tmp/jail"));
		SHOW(unshare(CLONE_NEWUSER));
	});
	IN_CHILD({
		MUST(chroot("/"));
		TRY(unshare(CLONE_NEWUSER));
	});
}

static void nest(void)
{
	int depth = 0;
	while (unshare(CLONE_NEWUSER) == 0) {
		char text[32];
		depth++;
		if (put("/proc/self/uid_map", "0 0 1") < 0 || put("/proc/self/setgroups", "deny") < 0 ||
		    put("/proc/self/gid_map", "0 0 1") < 0) {
			snprintf(text, sizeof text, "map %d", depth);
			perror(text);
			break;
		}
		if (depth > 100)
			break;
	}
	printf("depth %d: %s\n", depth, error_name(errno));
}

static void limits(void)
{
	settle_for(300); /* Linux frees those of children that have ended after a while */
	SHOW(put("/proc/sys/user/max_user_namespaces", "5"));
	IN_CHILD({
		enter_as_root(0);
		SHOW(put("/proc/sys/user/max_user_namespaces", "2"));
		show_file("/proc/sys/user/max_user_namespaces");
		show_file("/proc/sys/user/max_uts_namespaces");
		SHOW(put("/proc/sys/user/max_uts_namespaces", "1"));
		for (int i = 0; i < 3; i++) {
			TRY(syscall(SYS_unshare, CLONE_NEWUTS));
		}
		SHOW(put("/proc/sys/kernel/hostname", "name"));
		IN_CHILD(SHOW(unshare(CLONE_NEWUSER)); SHOW(unshare(CLONE_NEWUSER)));
	});
	SHOW(put("/proc/sys/user/max_user_namespaces", "9"));
	int made = 0;
	for (int i = 0; i < 24; i++) {
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			for (int tries = 0; tries < 1500; tries++) {
				if (unshare(CLONE_NEWUSER) == 0)
					_exit(0);
				sleep_ms(10); /* Linux has not freed enough of the earlier ones */
			}
			_exit(1);
		}
		int status;
		MUST(waitpid(child, &status, 0));
		made += status == 0;
	}
	printf("%d of 24, one after the other\n", made);
	SHOW(put("/proc/sys/user/max_user_namespaces", "0"));
	IN_CHILD(TRY(unshare(CLONE_NEWUSER)));
	SHOW(put("/proc/sys/user/max_user_namespaces", "-1"));
	SHOW(put("/proc/sys/user/max_user_namespaces", "2147483648"));
	SHOW(put("/proc/sys/user/max_user_namespaces", "1000"));
	IN_CHILD({
		become(1000);
		SHOW(put("/proc/sys/user/max_user_namespaces", "3"));
	});
}

static void others(void)
{
	IN_CHILD({
		become(1000);
		SHOW(unshare(CLONE_NEWUTS));
		SHOW(unshare(CLONE_NEWNS));
		SHOW(unshare(CLONE_NEWIPC));
		SHOW(unshare(CLONE_NEWPID));
		TRY(unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID));
		SHOW(sethostname("inside", 6));
		SHOW(unshare(CLONE_NEWUTS));
		SHOW(sethostname("again", 5));
	});
	IN_CHILD({
		become(1000);
		MUST(unshare(CLONE_NEWUSER));
		SHOW(sethostname("outside", 7));
		SHOW(unshare(CLONE_NEWUTS));
		SHOW(sethostname("own", 3));
	});
}

static void questions(void)
{
	int outer = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
	int outer_uts = (int)MUST(open("/proc/self/ns/uts", O_RDONLY));
	IN_CHILD({
		become(1000);
		uid_t owner = 77;
		MUST(unshare(CLONE_NEWUSER | CLONE_NEWUTS));
		int user = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
		int uts = (int)MUST(open("/proc/self/ns/uts", O_RDONLY));
		SHOW(ioctl(user, NS_GET_NSTYPE) == CLONE_NEWUSER);
		SHOW(ioctl(user, NS_GET_PARENT));
		SHOW(ioctl(user, NS_GET_USERNS));
		SHOW(ioctl(user, NS_GET_OWNER_UID, &owner));
		printf("owner %d\n", owner);
		int found = (int)TRY(ioctl(uts, NS_GET_USERNS));
		struct stat a = {0}, b = {0};
		fstat(found, &a);
		fstat(user, &b);
		CHECK(a.st_ino == b.st_ino);
		SHOW(ioctl(outer, NS_GET_USERNS));
		SHOW(ioctl(outer_uts, NS_GET_USERNS));
		SHOW(ioctl(uts, NS_GET_OWNER_UID, &owner));
		SHOW(ioctl(uts, NS_GET_PARENT));
		MUST(put("/proc/self/uid_map", "5 1000 1"));
		SHOW(ioctl(user, NS_GET_OWNER_UID, &owner));
		printf("owner %d\n", owner);
		SHOW(ioctl(outer, NS_GET_OWNER_UID, &owner));
		printf("owner %d\n", owner);
	});
	struct child c = begin(hear, CLONE_NEWUSER);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/user", c.pid);
	CHECK(number(path) != number("/proc/self/ns/user"));
	int inner = (int)MUST(open(path, O_RDONLY));
	int parent = (int)TRY(ioctl(inner, NS_GET_PARENT));
	struct stat a = {0}, b = {0};
	fstat(parent, &a);
	fstat(outer, &b);
	CHECK(a.st_ino == b.st_ino);
	IN_CHILD({
		SHOW(setns(inner, CLONE_NEWUSER));
		ids("entered");
		capabilities("entered");
		SHOW(setns(inner, CLONE_NEWUSER));
		SHOW(setns(outer, CLONE_NEWUSER));
	});
	IN_CHILD({
		become(1000);
		SHOW(setns(inner, CLONE_NEWUSER));
	});
	IN_CHILD({
		int pidfd = (int)MUST(syscall(SYS_pidfd_open, c.pid, 0));
		SHOW(setns(pidfd, CLONE_NEWUSER | CLONE_NEWUTS));
		ids("entered by pidfd");
		SHOW(sethostname("x", 1));
	});
	tell(c);
	finish(c);
}

static void clones(void)
{
	finish(begin_mapped(hear, 0));
	long arguments[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
	fflush(stdout);
	pid_t pid = (pid_t)MUST(syscall(SYS_clone3, arguments, sizeof arguments));
	if (pid == 0) {
		ids("clone3");
		fflush(stdout);
		_exit(0);
	}
	show_end(pid);
	IN_CHILD({
		become(1000);
		pid_t pid = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
		if (pid == 0) {
			printf("pid %d\n", getpid());
			TRY(unshare(CLONE_NEWPID));
			fflush(stdout);
			_exit(0);
		}
		show_end(pid);
		SHOW(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
	});
}

int main(void)
{
	IN_CHILD(MUST(unshare(CLONE_NEWUSER)); fresh());
	IN_CHILD(become(1000); MUST(unshare(CLONE_NEWUSER)); fresh());
	limits();
	refused();
	IN_CHILD(nest());
	others();
	questions();
	clones();
}
