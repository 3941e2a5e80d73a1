/* What the cases about privilege share: who tries, and how the answers are printed. */
#ifndef PRIVILEGE_CASE_H
#define PRIVILEGE_CASE_H
#define _GNU_SOURCE
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include "case.h"

#define BIT(c) (1ULL << (c))
#define ALL (BIT(41) - 1)
#define COUNT(list) (int)(sizeof list / sizeof *list)

struct actor {
	const char *name;
	unsigned long long capabilities;
	int uid, euid, suid, gid;
};

#define ROOT { "root", ALL, 0, 0, 0, 0 }
#define POWERLESS { "root without capabilities", 0, 0, 0, 0, 0 }
#define USER { "user", 0, 1000, 1000, 1000, 1000 }
#define OTHER { "another user", 0, 1001, 1001, 1001, 1001 }
#define WITH(c) { #c, BIT(c), 1000, 1000, 1000, 1000 }

static inline int set_caps(unsigned long long e, unsigned long long p, unsigned long long i)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { (unsigned)e, (unsigned)p, (unsigned)i }, { (unsigned)(e >> 32), (unsigned)(p >> 32), (unsigned)(i >> 32) } };
	return (int)syscall(SYS_capset, &h, d);
}

static inline int has_capability(int capability)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	MUST(syscall(SYS_capget, &h, d));
	return (int)(d[capability / 32].effective >> capability % 32 & 1);
}

static inline void become(const struct actor *who)
{
	MUST(setgroups(0, NULL));
	MUST(setresgid(who->gid, who->gid, who->gid));
	MUST(prctl(PR_SET_SECUREBITS, 4)); /* capabilities stay as they are while ids change */
	MUST(setresuid(who->uid, who->euid, who->suid));
	MUST(prctl(PR_SET_SECUREBITS, 0));
	MUST(set_caps(who->capabilities, who->capabilities, 0));
	MUST(prctl(PR_SET_DUMPABLE, 1));
}

/* Print what a call answered, its value aside. */
#define ASK(what, call) do { errno = 0; long result_ = (long)(call); \
	printf("    %s: %s\n", what, result_ < 0 ? error_name(errno) : "ok"); } while (0)
/* The same for a call whose result is a descriptor. */
#define ASK_FD(what, call) do { errno = 0; long result_ = (long)(call); \
	printf("    %s: %s\n", what, result_ < 0 ? error_name(errno) : "ok"); if (result_ >= 0) close((int)result_); } while (0)

#define AS(actor, ...) do { \
	fflush(stdout); \
	pid_t child_ = (pid_t)MUST(fork()); \
	if (child_ == 0) { become(actor); __VA_ARGS__; fflush(stdout); _exit(0); } \
	int status_; \
	MUST(waitpid(child_, &status_, 0)); \
	if (status_) show_status(status_); \
} while (0)

/* Open, write, close; how it ended. */
static inline int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), error;
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

static inline int try_open(const char *path, int flags)
{
	int fd = open(path, flags);
	if (fd >= 0)
		close(fd);
	return fd;
}
#endif
