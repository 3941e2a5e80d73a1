/* What the cases about landlock share. */
#ifndef LANDLOCK_CASE_H
#define LANDLOCK_CASE_H
#include "case.h"
#include <sys/prctl.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum {
	EXECUTE = 1, WRITE_FILE = 2, READ_FILE = 4, READ_DIR = 8, REMOVE_DIR = 0x10, REMOVE_FILE = 0x20, MAKE_CHAR = 0x40,
	MAKE_DIR = 0x80, MAKE_REG = 0x100, MAKE_SOCK = 0x200, MAKE_FIFO = 0x400, MAKE_BLOCK = 0x800, MAKE_SYM = 0x1000,
	REFER = 0x2000, TRUNCATE = 0x4000, IOCTL_DEV = 0x8000, ALL_FILES = 0xffff
};
enum { BIND = 1, CONNECT = 2 };
enum { ABSTRACT = 1, SIGNALS = 2 };

struct ruleset {
	uint64_t files, ports, scopes;
};

struct path_rule {
	uint64_t rights;
	int32_t parent;
} __attribute__((packed));

struct port_rule {
	uint64_t rights, port;
};

static inline int create(uint64_t files, uint64_t ports, uint64_t scopes)
{
	struct ruleset set = {files, ports, scopes};
	return (int)syscall(SYS_landlock_create_ruleset, &set, sizeof set, 0);
}

static inline long allow(int set, const char *path, uint64_t rights)
{
	struct path_rule rule = {rights, open(path, O_PATH | O_CLOEXEC)};
	long result = syscall(SYS_landlock_add_rule, set, 1, &rule, 0);
	int error = errno;
	close(rule.parent);
	errno = error;
	return result;
}

static inline long allow_port(int set, uint64_t port, uint64_t rights)
{
	struct port_rule rule = {rights, port};
	return syscall(SYS_landlock_add_rule, set, 2, &rule, 0);
}

static inline long restrict_self(int set)
{
	long result;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	result = syscall(SYS_landlock_restrict_self, set, 0);
	int error = errno;
	close(set);
	errno = error;
	return result;
}

static inline void enter(uint64_t files, uint64_t ports, uint64_t scopes)
{
	MUST(restrict_self((int)MUST(create(files, ports, scopes))));
}
#endif
