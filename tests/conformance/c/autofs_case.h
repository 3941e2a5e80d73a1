/*
 * What the cases of autofs share: a process that plays the automounter, whose visitors are its children in other groups of
 * processes.
 */
#ifndef AUTOFS_CASE_H
#define AUTOFS_CASE_H
#include "case.h"
#include <linux/auto_dev-ioctl.h>
#include <linux/auto_fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static int packets = -1; /* where the packets of the last mount come out */
static int bell = -1;	 /* where they go in */
static pid_t visitor;

/* Mount an autofs with a pipe of its own. */
static inline long mount_autofs(const char *where, const char *options)
{
	char text[200];
	int ends[2];
	MUST(pipe(ends));
	packets = ends[0];
	bell = ends[1];
	snprintf(text, sizeof text, "fd=%d,minproto=5,maxproto=5,%s", bell, options);
	return mount("test", where, "autofs", 0, text);
}

/* A child in a group of its own makes a call and shows its result. */
#define VISIT(call) do { \
	fflush(stdout); \
	visitor = (pid_t)MUST(fork()); \
	if (visitor == 0) { \
		setpgid(0, 0); \
		errno = 0; \
		long result_ = (long)(call); \
		show_result("  " #call, result_, 1); \
		fflush(stdout); \
		_exit(0); \
	} \
} while (0)

/* The same of a call that nobody waits for. */
#define VISITED(call) do { VISIT(call); visited(); } while (0)

static inline void visited(void)
{
	int status = 0;
	for (int i = 0; i < 5000; i++) {
		if (waitpid(visitor, &status, WNOHANG) == visitor) {
			if (!WIFEXITED(status) || WEXITSTATUS(status))
				show_status(status);
			return;
		}
		sleep_ms(2);
	}
	printf("the visitor still waits\n");
	kill(visitor, SIGKILL);
	waitpid(visitor, &status, 0);
}

/* Wait until a process waits for an automounter, whether or not signals could end that. */
static inline void until_waiting(pid_t process)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/stat", process);
	for (int i = 0; i < 5000; i++) {
		char state = state_in(path);
		if (state == 'S' || state == 'D')
			return;
		sleep_ms(2);
	}
	printf("it never waits\n");
}

/* Whatever packet comes: 0 if none does within a second. */
static inline uint32_t packet(void)
{
	struct pollfd ready = { packets, POLLIN, 0 };
	union {
		struct autofs_v5_packet five;
		char room[1000];
	} p;
	memset(&p, 'x', sizeof p);
	if (poll_for(&ready, 1000) != 1) {
		printf("no packet\n");
		return 0;
	}
	ssize_t size = read(packets, &p, sizeof p);
	if (size <= 0) {
		printf("packet of %zd bytes\n", size);
		return 0;
	}
	int direct = p.five.hdr.type == autofs_ptype_missing_direct || p.five.hdr.type == autofs_ptype_expire_direct;
	int clean = 1;
	for (int i = (int)p.five.len; i <= NAME_MAX; i++)
		clean &= p.five.name[i] == 0;
	printf("packet of %zd bytes: version %d, type %d, user %u, group %u, from the visitor %d %d, length %u, name %s, rest %s\n", size,
	       p.five.hdr.proto_version, p.five.hdr.type, p.five.uid, p.five.gid, (pid_t)p.five.pid == visitor,
	       (pid_t)p.five.tgid == visitor, p.five.len, direct ? "(a number)" : p.five.name, clean ? "empty" : "used");
	return p.five.wait_queue_token;
}

static inline int no_packet(void)
{
	struct pollfd ready = { packets, POLLIN, 0 };
	return poll(&ready, 1, 0) == 0;
}
#endif
