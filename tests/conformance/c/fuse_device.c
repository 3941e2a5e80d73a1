/* A program that serves a file system by /dev/fuse, and what others see of it: files, errors, signals, lies and its end. */
#define _GNU_SOURCE
#include "case.h"

#include <dirent.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define NODES 64
#define SIZE 8192
#define BUFFER (1 << 20)

/* What the server answers to; `lies` are for it alone. */
enum lie { HONEST, LONG_READ, SHORT_ENTRY, LONG_ENTRY, NO_KIND, SLASH, EMPTY_NAME, OTHER_KIND, MUCH_WRITTEN, BIG_ERROR,
	GOOD_ERROR, WITH_BODY, MINUS_SIZE };

struct node {
	int used, parent, mode, size, uid, gid, links;
	char name[64], data[SIZE];
};

struct shared {
	struct node nodes[NODES];
	int lie;           /* for the next request of kind `about` */
	int about;
	int silent;        /* the kind that gets no answer */
	int answer_interrupts;
	int flush_error;
	volatile int asked[64], interrupts, refused, wrong;
	int umask, flags;
	int moves_by;      /* it knows FUSE_RENAME2 */
};

static struct shared *all;
static int device;
static pid_t server;

static int node_of(int parent, const char *name)
{
	for (int i = 2; i < NODES; i++)
		if (all->nodes[i].used && all->nodes[i].parent == parent && strcmp(all->nodes[i].name, name) == 0)
			return i;
	return 0;
}

static int new_node(int parent, const char *name, int mode, const struct fuse_in_header *in)
{
	for (int i = 2; i < NODES; i++)
		if (!all->nodes[i].used) {
			struct node *node = &all->nodes[i];
			memset(node, 0, sizeof *node);
			node->used = 1, node->parent = parent, node->mode = mode, node->links = S_ISDIR(mode) ? 2 : 1;
			node->uid = in ? in->uid : 0, node->gid = in ? in->gid : 0;
			snprintf(node->name, sizeof node->name, "%s", name);
			return i;
		}
	return 0;
}

static void fill(struct fuse_attr *attr, int number)
{
	struct node *node = &all->nodes[number];
	memset(attr, 0, sizeof *attr);
	attr->ino = 100 + number, attr->size = node->size, attr->blocks = (node->size + 511) / 512;
	attr->mode = node->mode, attr->nlink = node->links, attr->uid = node->uid, attr->gid = node->gid;
	attr->atime = 1000, attr->mtime = 2000, attr->ctime = 3000, attr->mtimensec = 5, attr->blksize = 4096;
}

static void fill_entry(struct fuse_entry_out *entry, int number)
{
	memset(entry, 0, sizeof *entry);
	entry->nodeid = number;
	fill(&entry->attr, number);
}

static int put(const struct fuse_in_header *in, int error, const void *body, size_t size)
{
	struct fuse_out_header out = {.len = sizeof out + size, .error = error, .unique = in->unique};
	struct iovec parts[2] = {{&out, sizeof out}, {(void *)body, size}};
	return writev(device, parts, size ? 2 : 1) < 0 ? errno : 0;
}

/* Whether the answer was invalid, and reported as such. */
static int lied(const struct fuse_in_header *in, char *body, size_t size)
{
	struct fuse_entry_out *entry = (void *)body;
	struct fuse_dirent *dirent = (void *)body;
	int error = 0;
	if (all->lie == HONEST || (int)in->opcode != all->about)
		return 0;
	switch (all->lie) {
	case LONG_READ: size = 8000; break;
	case SHORT_ENTRY: size--; break;
	case LONG_ENTRY: size++; break;
	case NO_KIND: entry->attr.mode = 0644; break;
	case OTHER_KIND: entry->attr.mode ^= S_IFREG ^ S_IFDIR; break;
	case SLASH: dirent->name[1] = '/'; break;
	case EMPTY_NAME: dirent->namelen = 0; break;
	case MUCH_WRITTEN: *(uint32_t *)body = 1 << 20; break;
	case BIG_ERROR: error = -512, size = 0; break;
	case GOOD_ERROR: error = 1, size = 0; break;
	case WITH_BODY: error = -ENOENT; break;
	case MINUS_SIZE: entry->attr.size = -1ull; break;
	}
	all->lie = HONEST;
	all->refused = put(in, error, body, size);
	if (all->refused == EINVAL && error)
		put(in, -EIO, NULL, 0);
	return 1;
}

static void serve_one(struct fuse_in_header *in, char *argument)
{
	static char body[SIZE * 2];
	struct node *node = in->nodeid < NODES ? &all->nodes[in->nodeid] : NULL;
	struct fuse_entry_out *entry = (void *)body;
	int error = 0, found;
	size_t size = 0;

	memset(body, 0, sizeof body);
	all->asked[in->opcode]++;
	if ((int)in->opcode == all->silent)
		return;
	switch (in->opcode) {
	case FUSE_FORGET: case FUSE_BATCH_FORGET:
		return;
	case FUSE_INTERRUPT: {
		struct fuse_interrupt_in *interrupt = (void *)argument;
		all->interrupts++;
		if (all->answer_interrupts) {
			struct fuse_in_header old = {.unique = interrupt->unique};
			put(&old, -EINTR, NULL, 0);
		}
		return;
	}
	case FUSE_INIT: {
		struct fuse_init_in *init = (void *)argument;
		struct fuse_init_out *out = (void *)body;
		all->wrong += init->major != 7 || init->minor < 31 || in->nodeid != 0;
		out->major = 7, out->minor = 31, out->max_readahead = init->max_readahead, out->flags = 0;
		out->max_background = 12, out->congestion_threshold = 9, out->max_write = 65536, out->time_gran = 1;
		size = sizeof *out;
		break;
	}
	case FUSE_LOOKUP:
		found = node_of(in->nodeid, argument);
		if (!found)
			error = -ENOENT;
		else
			fill_entry(entry, found), size = sizeof *entry;
		break;
	case FUSE_SETATTR: {
		struct fuse_setattr_in *set = (void *)argument;
		if (set->valid & FATTR_MODE)
			node->mode = set->mode;
		if (set->valid & FATTR_UID)
			node->uid = set->uid;
		if (set->valid & FATTR_GID)
			node->gid = set->gid;
		if (set->valid & FATTR_SIZE)
			node->size = set->size;
	} /* fallthrough */
	case FUSE_GETATTR:
		fill(&((struct fuse_attr_out *)body)->attr, in->nodeid);
		size = sizeof(struct fuse_attr_out);
		break;
	case FUSE_OPEN: case FUSE_OPENDIR: {
		struct fuse_open_out *out = (void *)body;
		out->fh = 0xfedcba9876543210 + in->nodeid, out->open_flags = FOPEN_DIRECT_IO;
		size = sizeof *out;
		break;
	}
	case FUSE_CREATE: {
		struct fuse_create_in *create = (void *)argument;
		struct fuse_open_out *out = (void *)(body + sizeof *entry);
		all->flags = create->flags & (O_EXCL | O_APPEND | O_ACCMODE);
		found = new_node(in->nodeid, argument + sizeof *create, create->mode, in);
		fill_entry(entry, found);
		out->fh = 0xfedcba9876543210 + found, out->open_flags = FOPEN_DIRECT_IO;
		size = sizeof *entry + sizeof *out;
		break;
	}
	case FUSE_MKNOD:
		fill_entry(entry, new_node(in->nodeid, argument + sizeof(struct fuse_mknod_in), ((struct fuse_mknod_in *)argument)->mode, in));
		size = sizeof *entry;
		break;
	case FUSE_MKDIR:
		fill_entry(entry, new_node(in->nodeid, argument + sizeof(struct fuse_mkdir_in),
			S_IFDIR | ((struct fuse_mkdir_in *)argument)->mode, in));
		size = sizeof *entry;
		break;
	case FUSE_SYMLINK: {
		const char *target = argument + strlen(argument) + 1;
		found = new_node(in->nodeid, argument, S_IFLNK | 0777, in);
		strcpy(all->nodes[found].data, target);
		all->nodes[found].size = strlen(target);
		fill_entry(entry, found);
		size = sizeof *entry;
		break;
	}
	case FUSE_LINK:
		/* Nodes have one name here: the new one is that of the node, too. */
		found = ((struct fuse_link_in *)argument)->oldnodeid;
		all->nodes[found].links++;
		strcpy(all->nodes[found].name, argument + sizeof(struct fuse_link_in));
		fill_entry(entry, found);
		size = sizeof *entry;
		break;
	case FUSE_READLINK:
		memcpy(body, node->data, size = node->size);
		break;
	case FUSE_UNLINK: case FUSE_RMDIR:
		found = node_of(in->nodeid, argument);
		all->nodes[found].parent = 0;
		all->nodes[found].links = 0;
		break;
	case FUSE_RENAME: {
		struct fuse_rename_in *rename = (void *)argument;
		const char *old = argument + sizeof *rename, *new = old + strlen(old) + 1;
		found = node_of(rename->newdir, new);
		if (found)
			all->nodes[found].parent = 0;
		found = node_of(in->nodeid, old);
		all->nodes[found].parent = rename->newdir;
		strcpy(all->nodes[found].name, new);
		break;
	}
	case FUSE_RENAME2: {
		struct fuse_rename2_in *rename = (void *)argument;
		const char *old = argument + sizeof *rename, *new = old + strlen(old) + 1;
		all->flags = (int)rename->flags;
		if (!all->moves_by) {
			error = -ENOSYS;
			break;
		}
		found = node_of(rename->newdir, new);
		if (found)
			all->nodes[found].parent = 0;
		found = node_of(in->nodeid, old);
		all->nodes[found].parent = rename->newdir;
		strcpy(all->nodes[found].name, new);
		if (rename->flags & 4)
			new_node((int)in->nodeid, old, S_IFCHR, in);
		break;
	}
	case FUSE_READ: {
		struct fuse_read_in *read = (void *)argument;
		all->wrong += read->fh != 0xfedcba9876543210 + in->nodeid;
		if ((int)read->offset < node->size) {
			size = node->size - read->offset;
			size = size > read->size ? read->size : size;
			memcpy(body, node->data + read->offset, size);
		}
		break;
	}
	case FUSE_WRITE: {
		struct fuse_write_in *write = (void *)argument;
		memcpy(node->data + write->offset, argument + sizeof *write, write->size);
		if ((int)(write->offset + write->size) > node->size)
			node->size = write->offset + write->size;
		((struct fuse_write_out *)body)->size = write->size;
		size = sizeof(struct fuse_write_out);
		break;
	}
	case FUSE_READDIR: {
		struct fuse_read_in *read = (void *)argument;
		int index = 0;
		for (int i = 2; i < NODES; i++) {
			struct fuse_dirent *dirent = (void *)(body + size);
			if (!all->nodes[i].used || all->nodes[i].parent != (int)in->nodeid || index++ < (int)read->offset)
				continue;
			dirent->ino = 100 + i, dirent->off = index, dirent->type = all->nodes[i].mode >> 12;
			dirent->namelen = strlen(all->nodes[i].name);
			if (size + FUSE_DIRENT_SIZE(dirent) > read->size)
				break;
			memcpy(dirent->name, all->nodes[i].name, dirent->namelen);
			size += FUSE_DIRENT_SIZE(dirent);
		}
		break;
	}
	case FUSE_STATFS: {
		struct fuse_kstatfs *st = &((struct fuse_statfs_out *)body)->st;
		st->blocks = 1000, st->bfree = 600, st->bavail = 500, st->files = 64, st->ffree = 9, st->bsize = 4096, st->namelen = 63;
		st->frsize = 1024;
		size = sizeof(struct fuse_statfs_out);
		break;
	}
	case FUSE_FLUSH:
		error = -all->flush_error;
		break;
	case FUSE_RELEASE: case FUSE_RELEASEDIR: case FUSE_FSYNC:
		break;
	default:
		error = -ENOSYS;
	}
	if (!lied(in, body, error ? 0 : size))
		put(in, error, body, error ? 0 : size);
}

static void serve(void)
{
	static char buffer[BUFFER];
	for (;;) {
		ssize_t length = read(device, buffer, sizeof buffer);
		if (length < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (length < (ssize_t)sizeof(struct fuse_in_header))
			_exit(errno == ENODEV ? 0 : 1);
		buffer[length] = 0;
		serve_one((void *)buffer, buffer + sizeof(struct fuse_in_header));
	}
}

/* Mount at /f, and let a child serve; nobody else has the device open then. */
static void begin(const char *options)
{
	char text[300];
	memset(all, 0, sizeof *all);
	all->nodes[1].used = 1, all->nodes[1].mode = S_IFDIR | 0755, all->nodes[1].links = 2;
	int file = new_node(1, "file", S_IFREG | 0644, NULL);
	strcpy(all->nodes[file].data, "served by a program\n");
	all->nodes[file].size = 20;
	device = MUST(open("/dev/fuse", O_RDWR));
	snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0%s", device, options);
	MUST(mount("source", "/f", "fuse.case", MS_NOSUID | MS_NODEV, text));
	fflush(stdout);
	server = MUST(fork());
	if (server == 0)
		serve();
	close(device);
}

static void end(void)
{
	int status;
	TRY(umount("/f"));
	if (MUST(waitpid(server, &status, 0)) == server)
		show_status(status);
	CHECK(all->wrong == 0);
}

static void cat_file(const char *path)
{
	char text[100] = "";
	int file = open(path, O_RDONLY);
	if (file < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	ssize_t length = read(file, text, sizeof text - 1);
	if (length < 0)
		printf("%s: reading: %s\n", path, error_name(errno));
	else
		printf("%s: %zd bytes: %.*s\n", path, length, (int)length, text);
	close(file);
}

static void show_stat(const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	printf("%s: ino %ld mode %o links %ld owner %d:%d size %ld blocks %ld times %ld %ld.%ld %ld\n", path, (long)st.st_ino, st.st_mode,
		(long)st.st_nlink, st.st_uid, st.st_gid, (long)st.st_size, (long)st.st_blocks, (long)st.st_atime, (long)st.st_mtime,
		st.st_mtim.tv_nsec, (long)st.st_ctime);
}

static void list(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	if (!directory) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	errno = 0;
	while ((entry = readdir(directory)))
		printf("  %s type %d ino %ld\n", entry->d_name, entry->d_type, (long)entry->d_ino);
	printf("%s: listed: %s\n", path, errno ? error_name(errno) : "to the end");
	closedir(directory);
}

static void mounts(void)
{
	char line[500];
	FILE *file = fopen("/proc/mounts", "r");
	while (fgets(line, sizeof line, file))
		if (strstr(line, " /f "))
			printf("%s", line);
	fclose(file);
}

static void options(void)
{
	static const char *const wrong[] = {"", "fd=%d", "fd=%d,rootmode=40000,user_id=0", "fd=%d,rootmode=40000,user_id=0,group_id=0,x",
		"fd=%d,rootmode=0,user_id=0,group_id=0", "fd=%d,rootmode=40000,user_id=z,group_id=0",
		"fd=99,rootmode=40000,user_id=0,group_id=0"};
	char text[300];
	char buffer[16384];
	struct pollfd poll_one = {.events = POLLIN | POLLOUT};
	device = MUST(open("/dev/fuse", O_RDWR | O_NONBLOCK));
	SHOW(read(device, buffer, sizeof buffer));
	SHOW(write(device, buffer, 16));
	poll_one.fd = device;
	SHOW(poll(&poll_one, 1, 0));
	printf("revents %x\n", poll_one.revents);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		snprintf(text, sizeof text, wrong[i], device);
		printf("%s: ", wrong[i]);
		TRY(mount("source", "/f", "fuse", 0, text));
	}
	int null = MUST(open("/dev/null", O_RDWR));
	snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0", null);
	TRY(mount("source", "/f", "fuse", 0, text));
	snprintf(text, sizeof text, "fd=%d,rootmode=40000,user_id=0,group_id=0,max_read=65536", device);
	TRY(mount("source", "/f", "fuse", 0, text));
	mounts();
	TRY(mount("source", "/f", "fuse", 0, text)); /* it serves already */
	SHOW(read(device, buffer, 8191));
	SHOW(poll(&poll_one, 1, 0));
	printf("revents %x\n", poll_one.revents);
	struct fuse_in_header *in = (void *)buffer;
	SHOW(read(device, buffer, sizeof buffer));
	printf("kind %d, unique %d, node %d, length %d\n", in->opcode, (int)in->unique, (int)in->nodeid, in->len);
	SHOW(read(device, buffer, sizeof buffer));
	struct fuse_out_header out = {.len = sizeof out, .unique = in->unique, .error = -1};
	SHOW(write(device, &out, 15));
	out.unique = 12346;
	SHOW(write(device, &out, sizeof out));
	out.unique = in->unique, out.error = 5;
	SHOW(write(device, &out, sizeof out));
	out.error = -600;
	SHOW(write(device, &out, sizeof out));
	out.len = 20, out.error = 0;
	SHOW(write(device, &out, sizeof out));
	TRY(umount("/f"));
	SHOW(read(device, buffer, sizeof buffer));
	SHOW(write(device, &out, sizeof out));
	SHOW(poll(&poll_one, 1, 0));
	printf("revents %x\n", poll_one.revents);
	close(device);
	close(null);
}

static void files(void)
{
	struct statfs fs;
	char text[200];
	begin(",allow_other");
	mounts();
	show_stat("/f");
	show_stat("/f/file");
	show_stat("/f/none");
	cat_file("/f/file");
	TRY(close(MUST(open("/f/new", O_RDWR | O_CREAT | O_EXCL, 0640))));
	int file = open("/f/new", O_RDWR | O_APPEND);
	SHOW(write(file, "one", 3));
	SHOW(pwrite(file, "two", 3, 0));
	SHOW(lseek(file, 0, SEEK_END));
	SHOW(pread(file, text, 100, 1));
	printf("%.5s\n", text);
	TRY(ftruncate(file, 2));
	TRY(fsync(file));
	TRY(fchmod(file, 0600));
	TRY(fchown(file, 7, 8));
	show_stat("/f/new");
	TRY(close(file));
	TRY(mkdir("/f/d", 0750));
	TRY(mkdir("/f/d", 0750));
	TRY(symlink("d/inner", "/f/link"));
	TRY(rename("/f/new", "/f/d/inner"));
	cat_file("/f/link");
	SHOW(readlink("/f/link", text, sizeof text));
	show_stat("/f/d/inner");
	TRY(mknod("/f/pipe", S_IFIFO | 0600, 0));
	list("/f");
	list("/f/d");
	file = open("/f/d/inner", O_RDONLY);
	TRY(unlink("/f/d/inner"));
	SHOW(read(file, text, 100));
	struct stat st;
	TRY(fstat(file, &st));
	printf("links %ld size %ld\n", (long)st.st_nlink, (long)st.st_size);
	TRY(close(file));
	TRY(rmdir("/f/d"));
	list("/f/d");
	TRY(statfs("/f", &fs));
	printf("type %lx block %ld blocks %ld free %ld %ld files %ld %ld name %ld fragment %ld\n", (long)fs.f_type, (long)fs.f_bsize,
		(long)fs.f_blocks, (long)fs.f_bfree, (long)fs.f_bavail, (long)fs.f_files, (long)fs.f_ffree, (long)fs.f_namelen,
		(long)fs.f_frsize);
	all->flush_error = ENOSPC;
	file = open("/f/file", O_RDONLY);
	int other = dup(file);
	TRY(close(file));
	TRY(close(other));
	SHOW(close(file));
	TRY(link("/f/file", "/f/hard"));
	show_stat("/f/hard");
	SHOW(getxattr("/f/hard", "user.x", text, 10));
	all->flush_error = 0;
	file = MUST(open("/f/hard", O_RDWR));
	SHOW(fallocate(file, 0, 0, 100));
	TRY(close(file));
	end();
}

/* RENAME_WHITEOUT is the server's, if it knows it. */
static void whiteouts(void)
{
	for (int knows = 0; knows < 2; knows++) {
		begin("");
		all->moves_by = knows;
		all->flags = -1;
		SHOW(syscall(SYS_renameat2, AT_FDCWD, "/f/file", AT_FDCWD, "/f/new", 4));
		printf("flags %d\n", all->flags);
		show_stat("/f/file");
		show_stat("/f/new");
		SHOW(syscall(SYS_renameat2, AT_FDCWD, "/f/new", AT_FDCWD, "/f/file", 5));
		SHOW(syscall(SYS_renameat2, AT_FDCWD, "/f/new", AT_FDCWD, "/f/newer", 4));
		list("/f");
		SHOW(mknod("/f/device", S_IFCHR | 0600, 0));
		IN_CHILD({
			MUST(setuid(1000));
			SHOW(mknod("/f/other", S_IFCHR | 0600, 0));
		});
		end();
	}
}

static void permissions(void)
{
	begin("");
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		show_stat("/f");
		show_stat("/f/file");
		cat_file("/f/file");
		TRY(access("/f", X_OK));
		list("/f");
	);
	end();
	begin(",allow_other");
	all->nodes[2].mode = S_IFREG | 0600;
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		cat_file("/f/file");
		TRY(chmod("/f/file", 0644));
		TRY(chown("/f/file", 5, 5));
		TRY(mkdir("/f/mine", 0700));
		show_stat("/f/mine");
		TRY(execl("/f/file", "file", NULL));
	);
	end();
	begin(",allow_other,default_permissions");
	all->nodes[2].mode = S_IFREG | 0600;
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		cat_file("/f/file");
		TRY(chmod("/f/file", 0644));
		TRY(mkdir("/f/mine", 0700));
		all->nodes[2].mode = S_IFREG | 0604;
		cat_file("/f/file");
	);
	end();
}

static void nothing(int signal)
{
	(void)signal;
}

static void wait_for(int kind)
{
	for (int i = 0; i < 6000 && all->asked[kind] == 0; i++)
		usleep(5000);
}

static void signals(void)
{
	int status;
	begin("");
	/* Killed while the server thinks. It tells of interrupts, and answers them. */
	all->answer_interrupts = 1;
	all->silent = FUSE_READ;
	pid_t child = MUST(fork());
	if (child == 0) {
		cat_file("/f/file");
		_exit(0);
	}
	wait_for(FUSE_READ);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	show_status(status);
	/* A handler: EINTR is what the server says. */
	all->asked[FUSE_READ] = 0;
	child = MUST(fork());
	if (child == 0) {
		struct sigaction action = {.sa_handler = nothing};
		sigaction(SIGUSR1, &action, NULL);
		cat_file("/f/file");
		fflush(stdout);
		_exit(0);
	}
	wait_for(FUSE_READ);
	kill(child, SIGUSR1);
	waitpid(child, &status, 0);
	show_status(status);
	CHECK(all->interrupts >= 2);
	all->silent = 0;
	cat_file("/f/file");
	end();
}

static void lie(enum lie what, int about)
{
	all->lie = what;
	all->about = about;
	all->refused = -1;
}

static void lies(void)
{
	char text[100];
	struct stat st;
	int file;
	begin("");
#define LIE(what, about, ...) do { \
	lie(what, about); \
	printf("%s, %s:\n", #what, #about); \
	__VA_ARGS__; \
	while (all->refused < 0) \
		usleep(1000); \
	printf("  the answer: %s; ", all->refused ? error_name(all->refused) : "taken"); \
	printf("then %s\n", lstat("/f/file", &st) == 0 ? "all is well" : error_name(errno)); \
} while (0)
	/* Names that nobody has looked up: of others, Linux asks once more. */
	for (int i = 1; i <= 8; i++) {
		snprintf(text, sizeof text, "lie%d", i);
		new_node(1, text, S_IFREG | 0644, NULL);
	}
	LIE(SHORT_ENTRY, FUSE_LOOKUP, show_stat("/f/lie1"));
	LIE(LONG_ENTRY, FUSE_LOOKUP, show_stat("/f/lie2"));
	LIE(NO_KIND, FUSE_LOOKUP, show_stat("/f/lie3"));
	LIE(MINUS_SIZE, FUSE_LOOKUP, show_stat("/f/lie5"));
	LIE(BIG_ERROR, FUSE_LOOKUP, show_stat("/f/lie6"));
	LIE(GOOD_ERROR, FUSE_LOOKUP, show_stat("/f/lie7"));
	LIE(WITH_BODY, FUSE_LOOKUP, show_stat("/f/lie8"));
	LIE(SHORT_ENTRY, FUSE_MKDIR, TRY(mkdir("/f/short", 0700)));
	LIE(OTHER_KIND, FUSE_MKDIR, TRY(mkdir("/f/other", 0700)));
	LIE(SLASH, FUSE_READDIR, list("/f"));
	LIE(EMPTY_NAME, FUSE_READDIR, list("/f"));
	file = MUST(open("/f/file", O_RDWR));
	LIE(LONG_READ, FUSE_READ, SHOW(pread(file, text, 100, 0)));
	LIE(MUCH_WRITTEN, FUSE_WRITE, SHOW(pwrite(file, "x", 1, 0)));
	LIE(SHORT_ENTRY, FUSE_WRITE, SHOW(pwrite(file, "x", 1, 0)));
	SHOW(pread(file, text, 100, 0));
	close(file);
	cat_file("/f/file");
	end();
}

static void death(void)
{
	char text[100];
	int status;
	begin("");
	int file = MUST(open("/f/file", O_RDWR));
	all->silent = FUSE_READ;
	pid_t child = MUST(fork());
	if (child == 0) {
		SHOW(pread(file, text, 100, 0));
		fflush(stdout);
		_exit(0);
	}
	wait_for(FUSE_READ);
	kill(server, SIGKILL);
	waitpid(child, &status, 0);
	show_status(status);
	waitpid(server, &status, 0);
	show_status(status);
	SHOW(pread(file, text, 100, 0));
	SHOW(pwrite(file, "x", 1, 0));
	show_stat("/f");
	show_stat("/f/file");
	list("/f");
	TRY(umount("/f"));
	SHOW(close(file));
	TRY(umount("/f"));

	begin("");
	file = MUST(open("/f/file", O_RDWR));
	all->silent = FUSE_READ;
	child = MUST(fork());
	if (child == 0) {
		SHOW(pread(file, text, 100, 0));
		fflush(stdout);
		_exit(0);
	}
	wait_for(FUSE_READ);
	int forced = umount2("/f", MNT_FORCE), error = errno;
	waitpid(child, &status, 0);
	show_status(status);
	printf("umount2: %s\n", forced == 0 ? "ok" : error_name(error));
	SHOW(pread(file, text, 100, 0));
	SHOW(close(file));
	waitpid(server, &status, 0);
	show_status(status);
	TRY(umount("/f"));
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir("/f", 0755);
	if (access("/dev/fuse", F_OK) != 0)
		MUST(mknod("/dev/fuse", S_IFCHR | 0600, makedev(10, 229)));
	options();
	files();
	whiteouts();
	permissions();
	signals();
	lies();
	death();
	rmdir("/f");
	return 0;
}
