/*
 * What the cases of FUSE share: a server in a process of its own, its files, and a record of what it was asked.
 *
 * `begin` mounts at /f, where /f/a and /f/b are; `end` unmounts and waits for the server. What a case adds to the server is
 * its `hook`: 1 if the request was handled there. The server notes a request before it answers, so a note is there once the
 * call that caused it has returned; only what nobody waits for must be awaited (`until_asked`).
 */
#ifndef FUSE_CASE_H
#define FUSE_CASE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "case.h"

#include <dirent.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define NODES 32
#define FILE_SIZE 4096
#define FUSE_BUFFER (1 << 20)
#define NOTES 400

struct node {
	int used, parent, mode, size, uid, gid, links;
	long lookups;
	char name[32], data[FILE_SIZE];
};

struct fuse_shared {
	struct node nodes[NODES];
	uint32_t flags, minor;              /* what INIT answers */
	uint64_t entry_valid, attr_valid;   /* seconds */
	volatile uint64_t offered;          /* what INIT offers */
	volatile int asked[64], wrong, count;
	char notes[NOTES][160];
	uint64_t owners[16];                /* of locks, as they appear */
	int lie, lies;                      /* for a case's hook */
};

static struct fuse_shared *all;
static int device;
static pid_t server;
static int (*hook)(const struct fuse_in_header *in, char *argument);

static __attribute__((unused)) void note(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	if (all->count < NOTES)
		vsnprintf(all->notes[all->count], sizeof all->notes[0], format, arguments);
	all->count++;
	va_end(arguments);
}

static __attribute__((unused)) void show_notes(void)
{
	for (int i = 0; i < all->count && i < NOTES; i++)
		printf("  %s\n", all->notes[i]);
	all->count = 0;
}

/* A letter for an owner of locks, whose numbers differ from run to run. */
static __attribute__((unused)) char owner_letter(uint64_t owner)
{
	if (owner == 0)
		return '0';
	for (int i = 0; i < 16; i++) {
		if (all->owners[i] == 0)
			all->owners[i] = owner;
		if (all->owners[i] == owner)
			return (char)('A' + i);
	}
	return '?';
}

/* Letters from this one on are free again: what owned them has gone, and its number may come again. */
static __attribute__((unused)) void forget_owners(int first)
{
	for (int i = first; i < 16; i++)
		all->owners[i] = 0;
}

static __attribute__((unused)) void until_asked(int kind, int count)
{
	for (int i = 0; i < 30000 && all->asked[kind] < count; i++)
		sleep_ms(2);
	if (all->asked[kind] < count)
		printf("request %d never comes\n", kind);
}

static int put_answer(uint64_t unique, int error, const void *body, size_t size)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof out + size), .error = error, .unique = unique};
	struct iovec parts[2] = {{&out, sizeof out}, {(void *)body, size}};
	return writev(device, parts, size ? 2 : 1) < 0 ? errno : 0;
}

static int answer(const struct fuse_in_header *in, int error, const void *body, size_t size)
{
	return put_answer(in->unique, error, body, size);
}

static int node_of(int parent, const char *name)
{
	for (int i = 2; i < NODES; i++)
		if (all->nodes[i].used && all->nodes[i].parent == parent && strcmp(all->nodes[i].name, name) == 0)
			return i;
	return 0;
}

static int new_node(int parent, const char *name, int mode)
{
	for (int i = 2; i < NODES; i++)
		if (!all->nodes[i].used) {
			struct node *node = &all->nodes[i];
			memset(node, 0, sizeof *node);
			node->used = 1, node->parent = parent, node->mode = mode, node->links = S_ISDIR(mode) ? 2 : 1;
			snprintf(node->name, sizeof node->name, "%s", name);
			return i;
		}
	return 0;
}

static void fill_attr(struct fuse_attr *attr, int number)
{
	struct node *node = &all->nodes[number];
	memset(attr, 0, sizeof *attr);
	attr->ino = 100 + (uint64_t)number, attr->size = (uint64_t)node->size, attr->mode = (uint32_t)node->mode;
	attr->nlink = (uint32_t)node->links, attr->uid = (uint32_t)node->uid, attr->gid = (uint32_t)node->gid;
	attr->atime = 1000, attr->mtime = 2000, attr->ctime = 3000, attr->blksize = 4096;
}

static void fill_entry(struct fuse_entry_out *entry, int number)
{
	memset(entry, 0, sizeof *entry);
	entry->nodeid = (uint64_t)number;
	entry->entry_valid = all->entry_valid, entry->attr_valid = all->attr_valid;
	fill_attr(&entry->attr, number);
	all->nodes[number].lookups++;
}

static void forget_node(uint64_t node, uint64_t count)
{
	if (node >= NODES || (all->nodes[node].lookups -= (long)count) < 0)
		all->wrong++;
}

static void serve_one(struct fuse_in_header *in, char *argument)
{
	static char body[FILE_SIZE * 4];
	struct node *node = in->nodeid < NODES ? &all->nodes[in->nodeid] : NULL;
	struct fuse_entry_out *entry = (void *)body;
	int error = 0, found;
	size_t size = 0;

	memset(body, 0, sizeof body);
	if (hook && hook(in, argument)) {
		all->asked[in->opcode]++;
		return;
	}
	switch (in->opcode) {
	case FUSE_FORGET:
		forget_node(in->nodeid, ((struct fuse_forget_in *)argument)->nlookup);
		break;
	case FUSE_BATCH_FORGET: {
		struct fuse_batch_forget_in *batch = (void *)argument;
		struct fuse_forget_one *one = (void *)(batch + 1);
		for (uint32_t i = 0; i < batch->count; i++)
			forget_node(one[i].nodeid, one[i].nlookup);
		break;
	}
	case FUSE_INIT: {
		struct fuse_init_in *init = (void *)argument;
		struct fuse_init_out *out = (void *)body;
		all->offered = init->flags;
		out->major = 7, out->minor = all->minor ? all->minor : 31, out->max_readahead = init->max_readahead;
		out->flags = all->flags & init->flags;
		out->max_background = 12, out->congestion_threshold = 9, out->max_write = 65536, out->time_gran = 1;
		size = sizeof *out;
		break;
	}
	case FUSE_LOOKUP:
		found = node_of((int)in->nodeid, argument);
		if (!found)
			error = -ENOENT;
		else
			fill_entry(entry, found), size = sizeof *entry;
		break;
	case FUSE_SETATTR: {
		struct fuse_setattr_in *set = (void *)argument;
		if (set->valid & FATTR_MODE)
			node->mode = (int)set->mode;
		if (set->valid & FATTR_SIZE)
			node->size = (int)set->size;
	} /* fallthrough */
	case FUSE_GETATTR: {
		struct fuse_attr_out *out = (void *)body;
		out->attr_valid = all->attr_valid;
		fill_attr(&out->attr, (int)in->nodeid);
		size = sizeof *out;
		break;
	}
	case FUSE_OPEN: case FUSE_OPENDIR: {
		struct fuse_open_out *out = (void *)body;
		out->fh = in->nodeid, out->open_flags = FOPEN_DIRECT_IO;
		size = sizeof *out;
		break;
	}
	case FUSE_READ: {
		struct fuse_read_in *read = (void *)argument;
		if ((int)read->offset < node->size) {
			size = (size_t)node->size - read->offset;
			size = size > read->size ? read->size : size;
			memcpy(body, node->data + read->offset, size);
		}
		break;
	}
	case FUSE_WRITE: {
		struct fuse_write_in *write = (void *)argument;
		memcpy(node->data + write->offset, argument + sizeof *write, write->size);
		if ((int)(write->offset + write->size) > node->size)
			node->size = (int)(write->offset + write->size);
		((struct fuse_write_out *)body)->size = write->size;
		size = sizeof(struct fuse_write_out);
		break;
	}
	case FUSE_MKDIR:
		found = new_node((int)in->nodeid, argument + sizeof(struct fuse_mkdir_in),
			S_IFDIR | (int)((struct fuse_mkdir_in *)argument)->mode);
		fill_entry(entry, found), size = sizeof *entry;
		break;
	case FUSE_UNLINK: case FUSE_RMDIR:
		found = node_of((int)in->nodeid, argument);
		all->nodes[found].parent = 0, all->nodes[found].links = 0;
		break;
	case FUSE_FLUSH: case FUSE_RELEASE: case FUSE_RELEASEDIR: case FUSE_FSYNC:
		break;
	default:
		error = -ENOSYS;
	}
	if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET && in->opcode != FUSE_INTERRUPT)
		answer(in, error, body, error ? 0 : size);
	all->asked[in->opcode]++;
}

static void serve(void)
{
	static char buffer[FUSE_BUFFER];
	for (;;) {
		ssize_t length = read(device, buffer, sizeof buffer - 1);
		if (length < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (length < (ssize_t)sizeof(struct fuse_in_header))
			_exit(errno == ENODEV ? 0 : 1);
		buffer[length] = 0;
		serve_one((void *)buffer, buffer + sizeof(struct fuse_in_header));
	}
}

/* Mount at /f with two files, and let a child serve, which has the device alone then. Set what INIT answers before. */
static void begin(const char *options)
{
	char text[300];
	all->nodes[1].used = 1, all->nodes[1].mode = S_IFDIR | 0755, all->nodes[1].links = 2;
	int file = new_node(1, "a", S_IFREG | 0644);
	strcpy(all->nodes[file].data, "contents of a\n");
	all->nodes[file].size = 14;
	new_node(1, "b", S_IFREG | 0644);
	device = (int)MUST(open("/dev/fuse", O_RDWR));
	snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0%s", device, options);
	MUST(mount("source", "/f", "fuse.case", MS_NOSUID | MS_NODEV, text));
	fflush(stdout);
	server = (pid_t)MUST(fork());
	if (server == 0)
		serve();
	close(device);
	until_asked(FUSE_INIT, 1);
}

static void end(void)
{
	int status;
	TRY(umount("/f"));
	if (MUST(waitpid(server, &status, 0)) == server)
		show_status(status);
	CHECK(all->wrong == 0);
	memset(all, 0, sizeof *all);
}

static void prepare(void)
{
	signal(SIGPIPE, SIG_IGN);
	all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir("/f", 0755);
	if (access("/dev/fuse", F_OK) != 0)
		MUST(mknod("/dev/fuse", S_IFCHR | 0600, makedev(10, 229)));
}
#endif
