/*
 * Covers: execve of programs that give privilege: set-ID bits with CLONE_FS, no_new_privs, nosuid and noexec mounts, scripts; what it
 * resets: AT_SECURE, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, personality, RLIMIT_STACK; the exit signal of a child whose parent executed.
 */
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "case.h"

static char *environment[] = { "A=b", NULL };

/* What became of the process. */
static int look(void)
{
	uid_t u, eu, su;
	gid_t g, eg, sg;
	int death = -1;
	struct rlimit stack;
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { 0 } };
	getresuid(&u, &eu, &su);
	getresgid(&g, &eg, &sg);
	prctl(PR_GET_PDEATHSIG, &death);
	getrlimit(RLIMIT_STACK, &stack);
	syscall(SYS_capget, &h, d);
	printf("  uid %d %d %d, gid %d %d %d, secure %lu, permitted %x effective %x\n", u, eu, su, g, eg, sg, getauxval(AT_SECURE),
	       d[0].permitted, d[0].effective);
	printf("  dumpable %d, death signal %d, personality %x, stack %lld, no_new_privs %d\n", prctl(PR_GET_DUMPABLE), death,
	       personality(0xffffffff), (long long)stack.rlim_cur, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return 0;
}

static void run(const char *path)
{
	fflush(stdout);
	execve(path, (char *[]){ "program", "look", NULL }, environment);
	printf("  execve: %s\n", error_name(errno));
}

static void become(uid_t uid, uid_t euid, gid_t gid)
{
	MUST(setgroups(0, 0));
	MUST(setresgid(gid, gid, gid));
	MUST(setresuid(uid, euid, euid));
}

static void user(void)
{
	become(1000, 1000, 1000);
}

static void copy(const char *from, const char *to, uid_t uid, gid_t gid, mode_t mode)
{
	static char data[1 << 16];
	ssize_t n;
	int in = (int)MUST(open(from, O_RDONLY)), out = (int)MUST(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	while ((n = read(in, data, sizeof data)) > 0)
		MUST(write(out, data, n));
	close(in);
	close(out);
	MUST(chown(to, uid, gid));
	MUST(chmod(to, mode));
}

static const char *programs[] = { "plain", "root", "other", "group", "group-no-x", "both" };

/* A block in a child that shares its root, directory and umask with this process. */
#define SHARING(...) do { \
	fflush(stdout); \
	pid_t child_ = (pid_t)MUST(syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0)); \
	if (child_ == 0) { __VA_ARGS__; fflush(stdout); _exit(0); } \
	show_end(child_); \
} while (0)

static void each_program(const char *directory)
{
	char path[64];
	for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++) {
		snprintf(path, sizeof path, "%s%s", directory, programs[i]);
		printf("%s\n", path);
		IN_CHILD(user(); run(path));
	}
}

static void sharing(void)
{
	for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++) {
		printf("shared: %s\n", programs[i]);
		SHARING(user(); run(programs[i]));
	}
	puts("shared by root");
	SHARING(run("other"));
	puts("shared, only effectively root");
	SHARING(become(1000, 0, 1000); run("plain"));
	puts("shared, only effectively root, another's");
	SHARING(become(1000, 0, 1000); run("other"));
	puts("not shared, only effectively root");
	IN_CHILD(become(1000, 0, 1000); run("plain"));
	puts("shared, really root");
	SHARING(become(0, 1000, 0); run("plain"));
	puts("not shared, really root");
	IN_CHILD(become(0, 1000, 0); run("plain"));
	puts("descriptors shared");
	fflush(stdout);
	pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		user();
		run("root");
		_exit(1);
	}
	show_end(child);
}

static void *sleeper(void *go)
{
	char c;
	read(*(int *)go, &c, 1);
	return NULL;
}

static void with_threads(void)
{
	int go[2];
	pthread_t thread;
	MUST(pipe(go));
	pthread_create(&thread, NULL, sleeper, &go[0]);
	run("root");
}

static void no_new_privileges(void)
{
	for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++) {
		printf("no new privileges: %s\n", programs[i]);
		IN_CHILD(user(); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); run(programs[i]));
	}
	puts("no new privileges, only effectively root");
	IN_CHILD(become(1000, 0, 1000); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); run("plain"));
	puts("no new privileges, root");
	IN_CHILD(MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); run("other"));
}

static void resets(const char *path)
{
	printf("resets by %s\n", path);
	IN_CHILD(
		user();
		struct rlimit stack = { 64 << 20, RLIM_INFINITY };
		MUST(setrlimit(RLIMIT_STACK, &stack));
		MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
		MUST(prctl(PR_SET_DUMPABLE, 0));
		MUST(personality(ADDR_NO_RANDOMIZE | MMAP_PAGE_ZERO | ADDR_COMPAT_LAYOUT | READ_IMPLIES_EXEC | STICKY_TIMEOUTS));
		run(path));
	IN_CHILD(
		user();
		struct rlimit stack = { RLIM_INFINITY, RLIM_INFINITY };
		MUST(setrlimit(RLIMIT_STACK, &stack));
		MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		MUST(personality(ADDR_NO_RANDOMIZE));
		run(path));
	IN_CHILD(
		user();
		struct rlimit stack = { 1 << 20, RLIM_INFINITY };
		MUST(setrlimit(RLIMIT_STACK, &stack));
		run(path));
}

static void scripts(void)
{
	char text[64];
	put_file("script", "#!./plain look\n", 0755);
	MUST(chmod("script", 06755));
	put_file("script-of-root", "#!./root look\n", 0755);
	put_file("shared/script", "#!./root look\n", 0755);
	puts("set-ID script");
	IN_CHILD(user(); run("script"));
	puts("script with a set-ID interpreter");
	IN_CHILD(user(); run("script-of-root"));
	puts("the same, shared");
	SHARING(user(); run("script-of-root"));
	snprintf(text, sizeof text, "#!noexec/plain look\n");
	put_file("script-noexec", text, 0755);
	puts("interpreter on noexec");
	IN_CHILD(user(); run("script-noexec"));
	puts("set-ID interpreter on nosuid");
	put_file("script-nosuid", "#!nosuid/root look\n", 0755);
	IN_CHILD(user(); run("script-nosuid"));
}

/* The child ends after its parent has executed a program: which signal does the parent get? */
static int wait_for_child(void)
{
	int status;
	sigset_t pending;
	MUST(write(20, "x", 1));
	pid_t child = (pid_t)MUST(waitpid(-1, &status, __WALL));
	sigpending(&pending);
	printf("  waited %d, SIGUSR1 %d, SIGCHLD %d\n", child > 0, sigismember(&pending, SIGUSR1), sigismember(&pending, SIGCHLD));
	return 0;
}

static void exit_signal(int exit_with, int executes)
{
	printf("exit signal %d, parent executes %d\n", exit_with, executes);
	IN_CHILD(
		int go[2];
		char c;
		sigset_t all;
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		MUST(pipe(go));
		if (MUST(syscall(SYS_clone, exit_with, 0, 0, 0, 0)) == 0) {
			read(go[0], &c, 1);
			_exit(0);
		}
		MUST(dup2(go[1], 20));
		if (executes)
			execve("plain", (char *[]){ "program", "wait", NULL }, environment);
		wait_for_child());
}


/* The parent ends, with less privilege than the child has: its death signal is a signal like any other. */
static void death_signal(const char *what, int drops)
{
	int done[2];
	char c;
	MUST(pipe(done));
	printf("%s\n", what);
	IN_CHILD(
		int ready[2];
		MUST(pipe(ready));
		if (MUST(fork()) == 0) {
			sigset_t set;
			pid_t parent = getppid();
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL);
			MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
			MUST(write(ready[1], "x", 1));
			while (getppid() == parent)
				sleep_ms(1);
			sigpending(&set);
			c = sigismember(&set, SIGUSR1) ? 'y' : 'n';
			MUST(write(done[1], &c, 1));
			_exit(0);
		}
		MUST(read(ready[0], &c, 1));
		if (drops)
			user());
	MUST(read(done[0], &c, 1));
	printf("death signal came: %c\n", c);
	close(done[0]);
	close(done[1]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "look"))
		return look();
	if (argc > 1 && !strcmp(argv[1], "wait"))
		return wait_for_child();
	char self[256] = { 0 };
	MUST(readlink("/proc/self/exe", self, 255));
	MUST(mkdir("nosuid", 0755));
	MUST(mkdir("noexec", 0755));
	MUST(mkdir("shared", 0755));
	MUST(mount("none", "nosuid", "tmpfs", MS_NOSUID, NULL));
	MUST(mount("none", "noexec", "tmpfs", MS_NOEXEC, NULL));
	const char *places[] = { "", "nosuid/", "noexec/" };
	for (int i = 0; i < 3; i++) {
		char path[64];
		static const struct { uid_t uid; gid_t gid; mode_t mode; } made[] = {
			{ 0, 0, 0755 }, { 0, 0, 04755 }, { 1001, 0, 04755 }, { 0, 7, 02755 }, { 0, 7, 02745 }, { 1001, 7, 06755 },
		};
		for (int j = 0; j < 6; j++) {
			snprintf(path, sizeof path, "%s%s", places[i], programs[j]);
			copy(self, path, made[j].uid, made[j].gid, made[j].mode);
		}
	}
	copy(self, "unreadable", 0, 0, 0711);
	copy(self, "unreadable-root", 0, 0, 04711);
	each_program("");
	each_program("nosuid/");
	each_program("noexec/");
	sharing();
	puts("threads share");
	IN_CHILD(user(); with_threads());
	no_new_privileges();
	puts("unreadable");
	IN_CHILD(user(); run("unreadable"));
	IN_CHILD(user(); run("unreadable-root"));
	IN_CHILD(run("unreadable"));
	puts("the same user again");
	IN_CHILD(become(1001, 1001, 7); run("both"));
	resets("plain");
	resets("root");
	resets("group");
	resets("nosuid/root");
	scripts();
	exit_signal(SIGUSR1, 0);
	exit_signal(SIGUSR1, 1);
	exit_signal(0, 0);
	exit_signal(0, 1);
	exit_signal(SIGCHLD, 1);
	death_signal("the parent dies as root", 0);
	death_signal("the parent dies as a user", 1);
	MUST(umount("nosuid"));
	MUST(umount("noexec"));
	return 0;
}
