/* FUSE with mounts that map owners: whose requests the server sees, and what it must agree to before. */
#include "fuse_case.h"
#include <sched.h>

#define TREE_CLONE 1
#define ATTR_IDMAP 0x100000
#define F_EMPTY 4

static volatile uint64_t *agreed; /* the flags that INIT answers */

/* Note who asks for what changes nothing, once: how often the kernel asks is its own affair. */
static void note_asker(const struct fuse_in_header *in)
{
	uint64_t asker = ((uint64_t)in->uid << 32 | in->gid) * 2 + 1;
	for (int i = 0; i < 16; i++) {
		if (all->owners[i] == asker)
			return;
		if (all->owners[i] == 0) {
			all->owners[i] = asker;
			break;
		}
	}
	note("somebody asks as %d %d", (int)in->uid, (int)in->gid);
}

static int idmap_hook(const struct fuse_in_header *in, char *argument)
{
	char body[sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)] = { 0 };
	struct fuse_entry_out *entry = (void *)body;
	struct node *node = &all->nodes[in->nodeid % NODES];
	int made = 0;
	size_t size = sizeof *entry;
	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_in *init = (void *)argument;
		struct fuse_init_out out = { 0 };
		uint64_t offered = init->flags | (uint64_t)init->flags2 << 32;
		note("INIT offers it: %d %d", (offered & FUSE_ALLOW_IDMAP) != 0, (offered & FUSE_INIT_EXT) != 0);
		out.major = 7, out.minor = 41, out.max_readahead = init->max_readahead, out.max_write = 65536, out.time_gran = 1;
		out.flags = (uint32_t)*agreed, out.flags2 = (uint32_t)(*agreed >> 32);
		answer(in, 0, &out, sizeof out);
		all->asked[in->opcode]++;
		return 1;
	}
	case FUSE_SETATTR: {
		struct fuse_setattr_in *set = (void *)argument;
		note("SETATTR by %d %d, valid %x, owner %d %d", (int)in->uid, (int)in->gid, set->valid & 7, set->valid & 2 ? (int)set->uid : -2,
		     set->valid & 4 ? (int)set->gid : -2);
		if (set->valid & FATTR_UID)
			node->uid = (int)set->uid;
		if (set->valid & FATTR_GID)
			node->gid = (int)set->gid;
		return 0;
	}
	case FUSE_MKDIR:
		made = new_node((int)in->nodeid, argument + sizeof(struct fuse_mkdir_in), S_IFDIR | (int)((struct fuse_mkdir_in *)argument)->mode);
		break;
	case FUSE_MKNOD:
		made = new_node((int)in->nodeid, argument + sizeof(struct fuse_mknod_in), (int)((struct fuse_mknod_in *)argument)->mode);
		break;
	case FUSE_SYMLINK:
		made = new_node((int)in->nodeid, argument, S_IFLNK | 0777);
		break;
	case FUSE_CREATE:
		made = new_node((int)in->nodeid, argument + sizeof(struct fuse_create_in), (int)((struct fuse_create_in *)argument)->mode);
		size = sizeof body;
		break;
	case FUSE_LOOKUP: case FUSE_GETATTR: case FUSE_OPEN: case FUSE_UNLINK: case FUSE_READ: case FUSE_WRITE: case FUSE_OPENDIR:
		note_asker(in);
		return 0;
	default:
		return 0;
	}
	all->nodes[made].uid = (int)in->uid;
	all->nodes[made].gid = (int)in->gid;
	note("creation %d by %d %d", in->opcode, (int)in->uid, (int)in->gid);
	fill_entry(entry, made);
	answer(in, 0, body, size);
	all->asked[in->opcode]++;
	return 1;
}

static void put(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	MUST(write(fd, text, strlen(text)));
	close(fd);
}

/* The file of a user namespace in which `inside` is `outside`. */
static int space_of(int inside, int outside)
{
	char path[64], map[64];
	int ready[2], done[2];
	char byte;
	MUST(pipe(ready));
	MUST(pipe(done));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(unshare(CLONE_NEWUSER));
		MUST(write(ready[1], "x", 1));
		MUST(read(done[0], &byte, 1));
		_exit(0);
	}
	MUST(read(ready[0], &byte, 1));
	snprintf(map, sizeof map, "%d %d 1", inside, outside);
	snprintf(path, sizeof path, "/proc/%d/uid_map", child);
	put(path, map);
	snprintf(path, sizeof path, "/proc/%d/gid_map", child);
	put(path, map);
	snprintf(path, sizeof path, "/proc/%d/ns/user", child);
	int fd = (int)MUST(open(path, O_RDONLY));
	MUST(write(done[1], "x", 1));
	waitpid(child, NULL, 0);
	return fd;
}

static long mount_mapped(int space)
{
	struct { uint64_t set, clear, propagation, user; } change = { ATTR_IDMAP, 0, 0, (uint64_t)space };
	int tree = (int)MUST(syscall(SYS_open_tree, AT_FDCWD, "/f", TREE_CLONE | O_CLOEXEC));
	long result = syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &change, sizeof change);
	int error = errno;
	if (result == 0)
		MUST(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/seen", F_EMPTY));
	close(tree);
	errno = error;
	return result;
}

static void owner(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %d %d\n", path, (int)s.st_uid, (int)s.st_gid);
}

static void try_it(uint64_t flags, const char *options)
{
	printf("-- flags %llx%s\n", (unsigned long long)flags, options);
	*agreed = flags;
	begin(options);
	all->nodes[1].mode = S_IFDIR | 0777;
	all->nodes[1].uid = all->nodes[1].gid = 1000;
	int space = space_of(1000, 0); /* the server's 1000 seems to be 0 */
	all->nodes[2].uid = all->nodes[2].gid = 1000;
	owner("/f/a");
	if (SHOW(mount_mapped(space)) == 0) {
		owner("/seen/a");
		owner("/seen/b");
		show_notes();
		SHOW(mkdir("/seen/dir", 0755));
		SHOW(symlink("x", "/seen/link"));
		SHOW(mknod("/seen/fifo", S_IFIFO | 0644, 0));
		SHOW(close(open("/seen/new", O_CREAT | O_WRONLY, 0644)));
		owner("/seen/dir");
		owner("/f/dir");
		SHOW(chown("/seen/b", 0, 0));
		SHOW(chown("/seen/b", 5, 5));
		SHOW(unlink("/seen/link"));
		IN_CHILD(
			MUST(setresgid(1000, 1000, 1000));
			MUST(setresuid(1000, 1000, 1000));
			SHOW(mkdir("/seen/theirs", 0755));
		);
		show_notes();
		SHOW(umount("/seen"));
	}
	SHOW(mkdir("/f/plain", 0755));
	owner("/f/plain");
	IN_CHILD(
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		SHOW(mkdir("/f/user", 0755));
	);
	show_notes();
	close(space);
	end();
}

int main(void)
{
	prepare();
	umask(0);
	MUST(mkdir("/seen", 0755));
	agreed = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hook = idmap_hook;
	try_it(0, ",allow_other,default_permissions");
	try_it(FUSE_INIT_EXT, ",allow_other,default_permissions");
	try_it(FUSE_INIT_EXT | FUSE_ALLOW_IDMAP, ",allow_other,default_permissions");
	try_it(FUSE_ALLOW_IDMAP, ",allow_other,default_permissions");
	try_it(FUSE_INIT_EXT | FUSE_ALLOW_IDMAP | FUSE_POSIX_ACL, ",allow_other");
	rmdir("/f");
	return 0;
}
