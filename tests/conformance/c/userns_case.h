/* What the cases of user namespaces share: programs in one, and writing of maps. */
#ifndef USERNS_CASE_H
#define USERNS_CASE_H
#include "case.h"
#include <grp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define NS_GET_USERNS 0xb701
#define NS_GET_PARENT 0xb702
#define NS_GET_NSTYPE 0xb703
#define NS_GET_OWNER_UID 0xb704

/* Write a text at once; -1 with errno if that failed. */
static inline long put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	long done = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return done;
}

static inline long put_of(pid_t process, const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", process, name);
	return put(path, text);
}

static inline void ids(const char *when)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;
	getresuid(&r, &e, &s);
	getresgid(&gr, &ge, &gs);
	printf("%s: users %d %d %d groups %d %d %d\n", when, r, e, s, gr, ge, gs);
}

static inline void become(uid_t uid)
{
	MUST(setgroups(0, NULL));
	MUST(setresgid(uid, uid, uid));
	MUST(setresuid(uid, uid, uid));
	MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

struct child {
	pid_t pid;
	int to, from;
};

static int told = -1, tells = -1; /* in the child */

static inline void say(void) { fflush(stdout); MUST(write(tells, "", 1)); }
static inline void hear(void)
{
	char byte;
	while (read(told, &byte, 1) == -1 && errno == EINTR)
		;
}

/* A child that continues on request. */
static inline struct child begin(void (*body)(void), int flags)
{
	int to[2], from[2];
	MUST(pipe(to));
	MUST(pipe(from));
	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	pid_t pid = (pid_t)MUST(syscall(SYS_clone, (long)flags | SIGCHLD, 0, 0, 0, 0));
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		told = to[0];
		tells = from[1];
		body();
		fflush(stdout);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	return (struct child){ pid, to[1], from[0] };
}

static inline void tell(struct child c) { fflush(stdout); write(c.to, "", 1); }
static inline void await(struct child c) { char byte; read(c.from, &byte, 1); }
static inline void finish(struct child c) { show_end(c.pid); close(c.to); close(c.from); }

/* Be in a new namespace whose user 0 is the caller, as `unshare -Ur` does it. */
static inline void enter_as_root(int more)
{
	char text[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	MUST(unshare(CLONE_NEWUSER | more));
	MUST(put("/proc/self/setgroups", "deny"));
	snprintf(text, sizeof text, "0 %d 1", uid);
	MUST(put("/proc/self/uid_map", text));
	snprintf(text, sizeof text, "0 %d 1", gid);
	MUST(put("/proc/self/gid_map", text));
}

/* A child of root that is in a namespace with 0 to 999 mapped from 100000 on. */
static inline struct child begin_mapped(void (*body)(void), int flags)
{
	struct child c = begin(body, CLONE_NEWUSER | flags);
	MUST(put_of(c.pid, "uid_map", "0 100000 1000"));
	MUST(put_of(c.pid, "gid_map", "0 100000 1000"));
	tell(c);
	return c;
}
#endif
