/* Covers: get/set uid, euid, gid, egid, resuid, resgid, reuid, regid, fsuid, groups; setpgid, getpgid, setsid, getsid; getpid, getppid, gettid; getpriority, nice. */
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include "case.h"

static void show(void)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;
	getresuid(&r, &e, &s);
	getresgid(&gr, &ge, &gs);
	printf("  uid %d %d %d gid %d %d %d\n", r, e, s, gr, ge, gs);
}

int main(void)
{
	gid_t groups[70000];
	show();
	SHOW(getuid()), SHOW(geteuid()), SHOW(getgid()), SHOW(getegid());
	SHOW(getgroups(0, 0));
	IN_CHILD(SHOW(setuid(1000)); show(); SHOW(setuid(0)); SHOW(seteuid(0)));
	IN_CHILD(SHOW(seteuid(1000)); show(); SHOW(setuid(5)); SHOW(seteuid(0)); show());
	IN_CHILD(SHOW(setreuid(1, 2)); show(); SHOW(setreuid(2, 1)); show(); SHOW(setreuid(3, -1)));
	IN_CHILD(SHOW(setresuid(1, 2, 3)); show(); SHOW(setresuid(3, 1, 2)); show(); SHOW(setresuid(4, -1, -1)); SHOW(setresuid(-1, -1, -1)));
	IN_CHILD(SHOW(setregid(1, 2)); show(); SHOW(setresgid(4, 5, 6)); show(); SHOW(setgid(7)); show());
	IN_CHILD(SHOW(setgid(1000)); SHOW(setuid(1000)); SHOW(setgid(0)); SHOW(setgroups(1, groups)));
	IN_CHILD(SHOW(setuid(-1)); SHOW(setgid(-1)));
	groups[0] = 10, groups[1] = 20, groups[2] = 15;
	SHOW(setgroups(3, groups));
	SHOW(getgroups(0, 0));
	SHOW(getgroups(2, groups));
	SHOW(getgroups(10, groups));
	printf("%d %d %d\n", groups[0], groups[1], groups[2]);
	SHOW(setgroups(65537, groups));
	SHOW(syscall(SYS_setgroups, 2, (void *)8));
	SHOW(setgroups(0, 0));
	SHOW(setfsuid(1000));
	SHOW(setfsuid(-1));
	SHOW(setfsuid(0));
	SHOW(syscall(SYS_getresuid, (void *)8, 0, 0));

	/* Process groups and sessions. This program leads a session. */
	CHECK(getsid(0) == getpid() && getpgrp() == getpid());
	SHOW(setsid());
	SHOW(setpgid(0, 0));
	SHOW(getpgid(999999));
	SHOW(getsid(999999));
	SHOW(setpgid(999999, 0));
	SHOW(setpgid(0, -1));
	int p[2];
	MUST(pipe(p));
	pid_t child = fork();
	if (child == 0) {
		char byte;
		read(p[0], &byte, 1);
		CHECK(getpgrp() == getpid());
		CHECK(getsid(0) == getppid());
		CHECK(setsid() == -1);
		IN_CHILD(CHECK(setsid() == getpid()); CHECK(getsid(0) == getpid()); CHECK(getpgid(0) == getpid()));
		fflush(stdout);
		_exit(0);
	}
	SHOW(setpgid(child, child));
	CHECK(getpgid(child) == child);
	SHOW(setpgid(child, 1));
	write(p[1], "x", 1);
	show_end(child);
	SHOW(getpgid(child));
	child = fork();
	if (child == 0) {
		execl("/bin/sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	until_asleep(child);
	SHOW(setpgid(child, child));
	SHOW(setpgid(1, 1));
	kill(child, SIGKILL);
	show_end(child);

	/* Signals to a whole group. */
	pid_t leader = fork();
	if (leader == 0) {
		setpgid(0, 0);
		if (fork() == 0)
			fork();
		for (;;)
			pause();
	}
	until_asleep(leader);
	SHOW(kill(-leader, SIGTERM));
	show_end(leader);
	SHOW(kill(-999999, 0));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 5));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(nice(3));
	SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 100));
	SHOW(getpriority(PRIO_PROCESS, 0));
	SHOW(getpriority(9, 0));
	SHOW(getpriority(PRIO_PROCESS, 999999));
	IN_CHILD(MUST(setuid(1000)); SHOW(setpriority(PRIO_PROCESS, 0, -5)); SHOW(setpriority(PRIO_PROCESS, 1, 5)));
	return 0;
}
