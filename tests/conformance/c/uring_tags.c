/* io_uring: registered files and buffers with tags, sparse tables, their updates, and buffers cloned from another ring. */
#define _GNU_SOURCE
#include "uring_case.h"

static char memory[4][64];

static void registered(struct ring *r, unsigned code, const char *what, struct io_uring_rsrc_register g, unsigned size)
{
	printf("%s: ", what);
	SHOW(uring_register(r->fd, code, &g, size));
	show_all(r);
}

static void updated(struct ring *r, unsigned code, const char *what, struct io_uring_rsrc_update2 u, unsigned size)
{
	printf("%s: ", what);
	SHOW(uring_register(r->fd, code, &u, size));
	show_all(r);
}

#define FILES(w, ...) registered(&r, IORING_REGISTER_FILES2, w, (struct io_uring_rsrc_register){ __VA_ARGS__ }, 32)
#define BUFFERS(w, ...) registered(&r, IORING_REGISTER_BUFFERS2, w, (struct io_uring_rsrc_register){ __VA_ARGS__ }, 32)
#define NEW_FILES(w, ...) updated(&r, IORING_REGISTER_FILES_UPDATE2, w, (struct io_uring_rsrc_update2){ __VA_ARGS__ }, 32)
#define NEW_BUFFERS(w, ...) updated(&r, IORING_REGISTER_BUFFERS_UPDATE, w, (struct io_uring_rsrc_update2){ __VA_ARGS__ }, 32)
#define AT(x) (unsigned long)(x)

static void files(unsigned setup)
{
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 8, setup, 0);
	int fds[4] = { 0, -1, p[0], p[1] }, bad[2] = { 0, 9999 };
	unsigned long long tags[4] = { 10, 0, 12, 0 }, wrong[4] = { 0, 11, 0, 0 };
	struct io_uring_rsrc_register g = { .nr = 4, .data = AT(fds) };
	registered(&r, IORING_REGISTER_FILES2, "short", g, 31);
	registered(&r, IORING_REGISTER_FILES2, "long", g, 33);
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES2, (void *)16, 32));
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES2, NULL, 32));
	FILES("none", .nr = 0, .data = AT(fds));
	FILES("reserved", .nr = 4, .resv2 = 1, .data = AT(fds));
	FILES("flags", .nr = 4, .flags = 2, .data = AT(fds));
	FILES("sparse with data", .nr = 4, .flags = 1, .data = AT(fds));
	FILES("many", .nr = 1 << 21, .data = AT(fds));
	FILES("tags that cannot be read", .nr = 4, .data = AT(fds), .tags = 16);
	FILES("files that cannot be read", .nr = 4, .data = 16, .tags = AT(tags));
	FILES("a tag without a file", .nr = 4, .data = AT(fds), .tags = AT(wrong));
	FILES("no file", .nr = 2, .data = AT(bad), .tags = AT(tags));
	NEW_FILES("update without a table", .data = AT(fds), .nr = 1);
	FILES("sparse with a tag", .nr = 2, .flags = 1, .tags = AT(tags));
	FILES("no data and not sparse", .nr = 2);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	FILES("tagged", .nr = 4, .data = AT(fds), .tags = AT(tags));
	FILES("again", .nr = 4, .data = AT(fds), .tags = AT(tags));

	struct io_uring_rsrc_update2 u = { .data = AT(fds), .nr = 1 };
	updated(&r, IORING_REGISTER_FILES_UPDATE2, "short", u, 31);
	SHOW(uring_register(r.fd, IORING_REGISTER_FILES_UPDATE2, (void *)16, 32));
	NEW_FILES("none", .data = AT(fds));
	NEW_FILES("reserved", .resv = 1, .data = AT(fds), .nr = 1);
	NEW_FILES("reserved", .resv2 = 1, .data = AT(fds), .nr = 1);
	NEW_FILES("past the end", .offset = 3, .data = AT(fds), .nr = 2);
	NEW_FILES("overflow", .offset = -1u, .data = AT(fds), .nr = 1);
	NEW_FILES("cannot be read", .data = 16, .nr = 1);
	NEW_FILES("tags cannot be read", .data = AT(fds), .tags = 16, .nr = 1);
	int skip[2] = { IORING_REGISTER_FILES_SKIP, -1 };
	NEW_FILES("a tag for none", .data = AT(skip + 1), .tags = AT(tags), .nr = 1);
	NEW_FILES("a tag for skip", .data = AT(skip), .tags = AT(tags), .nr = 1);
	NEW_FILES("skip", .data = AT(skip), .nr = 1);
	unsigned long long fresh[3] = { 20, 21, 22 };
	int both[3] = { p[0], p[1], 0 };
	NEW_FILES("replaced", .data = AT(both), .tags = AT(fresh), .nr = 3);
	NEW_FILES("a bad one", .data = AT(bad + 1), .tags = AT(fresh), .nr = 1);
	ONE(&r, "it is gone", IORING_OP_WRITE, 0, "x", 1, 0, s->flags = IOSQE_FIXED_FILE);
	NEW_FILES("one and a bad one", .offset = 1, .data = AT(bad), .nr = 2);
	NEW_FILES("p again", .offset = 0, .data = AT(both), .tags = AT(fresh), .nr = 2);

	/* a tag comes when the last that uses the file has ended */
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_POLL_ADD, 0, NULL, 0, 0);
	s->poll32_events = POLLIN, s->user_data = 1, s->flags = IOSQE_FIXED_FILE;
	go(&r, "poll", 0);
	NEW_FILES("replaced in use", .data = AT(bad), .nr = 1);
	NEW_FILES("another, not in use", .offset = 1, .data = AT(bad), .nr = 1);
	MUST(write(p[1], "x", 1));
	go(&r, "it ends", 1);
	go(&r, "afterwards", 0);
	s = next_sqe(&r, IORING_OP_CLOSE, 0, NULL, 0, 0);
	s->file_index = 1, s->user_data = 2;
	NEW_FILES("tagged", .data = AT(bad), .tags = AT(fresh), .nr = 1);
	go(&r, "closed", 1);
	NEW_FILES("tagged", .data = AT(bad), .tags = AT(fresh), .nr = 1);
	s = next_sqe(&r, IORING_OP_OPENAT, AT_FDCWD, "/dev/null", 0, 0);
	s->file_index = 1, s->user_data = 3;
	go(&r, "opened over it", 1);
	s = next_sqe(&r, IORING_OP_CLOSE, 0, NULL, 0, 0);
	s->file_index = 1, s->user_data = 4;
	go(&r, "closed", 1);
	NEW_FILES("tagged", .data = AT(bad), .tags = AT(fresh), .nr = 1);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_FILES, NULL, 0));
	go(&r, "unregistered", 0);
	close(p[0]), close(p[1]);
	ring_end(&r);
}

static void buffers(void)
{
	struct ring r;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 8, 0, 0);
	struct iovec v[4] = { { memory[0], 64 }, { NULL, 0 }, { memory[2], 64 }, { memory[3], 64 } }, bad[3] = { { memory[0], 0 }, { NULL, 5 }, { memory[0], (size_t)-1 } };
	unsigned long long tags[4] = { 10, 0, 12, 0 }, wrong[4] = { 0, 11, 0, 0 };
	struct iovec holes[2] = { { NULL, 0 }, { NULL, 5 } };
	BUFFERS("none", .nr = 0, .data = AT(v));
	BUFFERS("flags", .nr = 4, .flags = 2, .data = AT(v));
	BUFFERS("sparse with data", .nr = 4, .flags = 1, .data = AT(v));
	BUFFERS("many", .nr = (1 << 14) + 1, .data = AT(v));
	BUFFERS("tags that cannot be read", .nr = 4, .data = 16, .tags = 16);
	BUFFERS("a tag without a buffer", .nr = 4, .data = AT(v), .tags = AT(wrong));
	BUFFERS("length 0", .nr = 1, .data = AT(bad));
	BUFFERS("address 0", .nr = 1, .data = AT(bad + 1));
	BUFFERS("negative", .nr = 1, .data = AT(bad + 2));
	SHOW(uring_register(r.fd, IORING_REGISTER_BUFFERS, bad + 2, 1));
	NEW_BUFFERS("update without a table", .data = AT(v), .nr = 1);
	BUFFERS("sparse with a tag", .nr = 2, .flags = 1, .tags = AT(tags));
	BUFFERS("no data and not sparse", .nr = 2);
	ONE(&r, "an empty slot", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 0);
	ONE(&r, "an empty slot, nothing", IORING_OP_WRITE_FIXED, p[1], NULL, 0, 0, s->buf_index = 0);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	BUFFERS("tagged", .nr = 4, .data = AT(v), .tags = AT(tags));
	BUFFERS("again", .nr = 4, .data = AT(v), .tags = AT(tags));
	ONE(&r, "write", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 0);

	NEW_BUFFERS("none", .data = AT(v));
	NEW_BUFFERS("reserved", .resv = 1, .data = AT(v), .nr = 1);
	NEW_BUFFERS("reserved", .resv2 = 1, .data = AT(v), .nr = 1);
	NEW_BUFFERS("past the end", .offset = 3, .data = AT(v), .nr = 2);
	NEW_BUFFERS("overflow", .offset = -1u, .data = AT(v), .nr = 1);
	NEW_BUFFERS("cannot be read", .data = 16, .nr = 1);
	NEW_BUFFERS("nothing at 0", .data = 0, .nr = 1);
	NEW_BUFFERS("tags cannot be read", .data = AT(v), .tags = 16, .nr = 1);
	NEW_BUFFERS("length 0", .data = AT(bad), .nr = 1);
	NEW_BUFFERS("address 0", .data = AT(bad + 1), .nr = 1);
	NEW_BUFFERS("negative", .data = AT(bad + 2), .nr = 1);
	NEW_BUFFERS("a tag for none", .data = AT(v + 1), .tags = AT(tags), .nr = 1);
	ONE(&r, "still there", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 0);
	unsigned long long fresh[2] = { 20, 0 };
	NEW_BUFFERS("replaced", .data = AT(v + 2), .tags = AT(fresh), .nr = 1);
	ONE(&r, "the old range", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 0);
	ONE(&r, "the new range", IORING_OP_WRITE_FIXED, p[1], memory[2], 3, 0, s->buf_index = 0);
	NEW_BUFFERS("two, the second bad", .offset = 0, .data = AT(holes), .nr = 2);
	NEW_BUFFERS("tagged", .offset = 0, .data = AT(v), .tags = AT(fresh), .nr = 1);

	char c[64];
	struct io_uring_sqe *s = next_sqe(&r, IORING_OP_READ_FIXED, p[0], memory[0], 64, 0);
	s->buf_index = 0, s->user_data = 1;
	MUST(read(p[0], c, 64) > 0);
	go(&r, "read", 0);
	NEW_BUFFERS("replaced in use", .data = AT(v + 1), .nr = 1);
	MUST(write(p[1], "hello", 5));
	go(&r, "it ends", 1);
	go(&r, "afterwards", 0);
	printf("%.5s\n", memory[0]);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	go(&r, "unregistered", 0);
	close(p[0]), close(p[1]);
	ring_end(&r);
}

static void clone(struct ring *r, const char *what, struct io_uring_clone_buffers c, unsigned count)
{
	printf("%s: ", what);
	SHOW(uring_register(r->fd, IORING_REGISTER_CLONE_BUFFERS, &c, count));
}

static void clones(void)
{
	struct ring r, from;
	int p[2];
	MUST(pipe(p));
	ring_make(&r, 4, 0, 0);
	ring_make(&from, 4, 0, 0);
	struct io_uring_clone_buffers c = { .src_fd = (unsigned)from.fd };
	SHOW(uring_register(r.fd, IORING_REGISTER_CLONE_BUFFERS, NULL, 1));
	SHOW(uring_register(r.fd, IORING_REGISTER_CLONE_BUFFERS, (void *)16, 1));
	clone(&r, "count 0", c, 0);
	clone(&r, "count 2", c, 2);
	clone(&r, "no buffers", c, 1);
	c.src_fd = (unsigned)r.fd, clone(&r, "itself", c, 1);
	c.src_fd = 9999, clone(&r, "no descriptor", c, 1);
	c.src_fd = 1, clone(&r, "no ring", c, 1);
	c.src_fd = (unsigned)from.fd, c.flags = 2, clone(&r, "flags", c, 1);
	c.flags = 0, c.pad[5] = 1, clone(&r, "pad", c, 1);
	c.pad[5] = 0, c.flags = IORING_REGISTER_SRC_REGISTERED, clone(&r, "no index", c, 1);
	c.src_fd = 3, clone(&r, "an index without a ring", c, 1);
	unsigned long long tags[3] = { 1, 0, 3 };
	struct iovec v[3] = { { memory[0], 64 }, { NULL, 0 }, { memory[2], 64 } };
	struct io_uring_rsrc_register g = { .nr = 3, .data = AT(v), .tags = AT(tags) };
	SHOW(uring_register(from.fd, IORING_REGISTER_BUFFERS2, &g, sizeof g));
	struct io_uring_rsrc_update up = { .offset = 3, .data = (unsigned)from.fd };
	SHOW(uring_register(from.fd, IORING_REGISTER_RING_FDS, &up, 1));
	clone(&r, "by index", c, 1);
	clone(&r, "again", c, 1);
	clone(&from, "itself", c, 1);
	SHOW(uring_register(from.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	ONE(&r, "write", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 0);
	ONE(&r, "hole", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 1);
	ONE(&r, "no slot", IORING_OP_WRITE_FIXED, p[1], memory[0], 3, 0, s->buf_index = 3);
	struct io_uring_rsrc_update2 u = { .data = AT(v + 1), .nr = 1 };
	updated(&r, IORING_REGISTER_BUFFERS_UPDATE, "tags are not cloned", u, sizeof u);
	clone(&r, "there are some, but the source has none", c, 1);
	SHOW(uring_register(r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	ring_end(&from);
	ring_end(&r);
}

int main(void)
{
	files(0);
	files(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	buffers();
	clones();
	return 0;
}
