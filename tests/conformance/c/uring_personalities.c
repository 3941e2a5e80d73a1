/* io_uring: requests that are performed with registered credentials. */
#define _GNU_SOURCE
#include "uring_case.h"
#include <grp.h>
#include <sys/fsuid.h>

static int opened(struct ring *r, int personality, const char *path, int flags)
{
	struct io_uring_cqe c;
	struct io_uring_sqe *s = next_sqe(r, IORING_OP_OPENAT, AT_FDCWD, path, 0600, 0);
	s->open_flags = (unsigned)flags;
	s->personality = (unsigned short)personality;
	submit_and_wait(r, 1);
	if (!take(r, &c))
		return -1;
	printf("%s as %d: %s\n", path, personality, c.res < 0 ? error_name(-c.res) : "ok");
	return c.res;
}

static void who(void)
{
	printf("I am %d %d %d, fs %d\n", getuid(), geteuid(), getgid(), setfsuid(-1));
}

static void owner(const char *path)
{
	struct stat s;
	if (stat(path, &s) == 0)
		printf("%s belongs to %u:%u\n", path, s.st_uid, s.st_gid);
	else
		printf("%s: %s\n", path, error_name(errno));
}

int main(void)
{
	struct ring r;
	int root, user, p[2];
	MUST(pipe(p));
	ring_make(&r, 8, 0, 0);
	put_file("/tmp/secret", "x", 0600);
	MUST(mkdir("/tmp/open", 0777)), MUST(chmod("/tmp/open", 0777));
	SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, &r, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, &r, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, 1));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, 0));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, 65536));
	ONE(&r, "none", IORING_OP_NOP, -1, NULL, 0, 0, s->personality = 1);
	root = (int)SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	ONE(&r, "there", IORING_OP_NOP, -1, NULL, 0, 0, s->personality = 1);
	MUST(setgroups(0, NULL)), MUST(setresgid(-1, 1000, -1)), MUST(setresuid(-1, 1000, -1));
	user = (int)SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	MUST(setresuid(-1, 0, -1)), MUST(setresgid(-1, 0, -1));
	opened(&r, 0, "/tmp/secret", O_RDONLY);
	opened(&r, user, "/tmp/secret", O_RDONLY);
	opened(&r, root, "/tmp/secret", O_RDONLY);
	opened(&r, user, "/tmp/open/file", O_RDWR | O_CREAT);
	opened(&r, root, "/tmp/open/other", O_RDWR | O_CREAT);
	owner("/tmp/open/file"), owner("/tmp/open/other");
	who();
	MUST(setresuid(-1, 1000, -1));
	who();
	opened(&r, 0, "/tmp/secret", O_RDONLY);
	opened(&r, user, "/tmp/secret", O_RDONLY);
	opened(&r, root, "/tmp/secret", O_RDONLY);
	opened(&r, 77, "/tmp/secret", O_RDONLY);
	who();
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_MKDIRAT, AT_FDCWD, "/tmp/made", 0755, 0);
	s->personality = (unsigned short)root, s->user_data = 1;
	go(&r, "mkdir", 1);
	owner("/tmp/made");

	/* one that has begun keeps its credentials */
	s = next_sqe(&r, IORING_OP_POLL_ADD, p[0], NULL, 0, 0);
	s->poll32_events = POLLIN, s->flags = IOSQE_IO_LINK, s->user_data = 2;
	s = next_sqe(&r, IORING_OP_MKDIRAT, AT_FDCWD, "/tmp/late", 0755, 0);
	s->personality = (unsigned short)root, s->user_data = 3;
	go(&r, "chain", 0);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, (unsigned)root));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, (unsigned)root));
	opened(&r, root, "/tmp/secret", O_RDONLY);
	MUST(write(p[1], "x", 1));
	go(&r, "goes on", 2);
	owner("/tmp/late");

	/* numbers are not used again soon */
	SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, 3));
	SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));

	/* the order of errors */
	ONE(&r, "priority first", IORING_OP_NOP, -1, NULL, 0, 0, s->personality = 77, s->ioprio = 1);
	ONE(&r, "personality before fields", IORING_OP_NOP, -1, NULL, 0, 0, s->personality = 77, s->rw_flags = 1 << 20);
	ONE(&r, "personality before the opcode's flags", IORING_OP_TIMEOUT, -1, NULL, 1, 0, s->personality = 77);
	ONE(&r, "a message", IORING_OP_MSG_RING, r.fd, NULL, 0, 0, s->personality = (unsigned short)user);
	int n = 0, last = 0;
	for (long id; n < 70000 && (id = uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0)) >= 0; n++)
		last = (int)id;
	printf("%d more, the last %d, then %s\n", n, last, error_name(errno));
	SHOW(uring_register(r.fd, IORING_UNREGISTER_PERSONALITY, NULL, 30000));
	SHOW(uring_register(r.fd, IORING_REGISTER_PERSONALITY, NULL, 0));
	ring_end(&r);
	return 0;
}
