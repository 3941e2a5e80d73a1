/* Making id-mapped mounts: what mount_setattr(2) demands, in its order, and how they are shown and copied. */
#include "idmap_case.h"

#define ROOT "/tmp/map"

static int tree_of(const char *path) { return (int)MUST(open_tree_(path, TREE_CLONE | O_CLOEXEC)); }

/* Whether mounts of a type may have a map. */
static void kind(const char *name, const char *source, const char *options)
{
	int space = space_of("0 10000 10000", "0 10000 10000");
	if (mount(source, ROOT "/b", name, 0, options)) {
		printf("%s: %s\n", name, error_name(errno));
		close(space);
		return;
	}
	int tree = tree_of(ROOT "/b");
	printf("%s: ", name);
	TRY(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	close(tree);
	close(space);
	MUST(umount(ROOT "/b"));
}

static void refusals(int space)
{
	int own = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
	int mounts = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
	int plain = (int)MUST(open("/dev/null", O_RDONLY));
	int place = (int)MUST(open("/proc/self/ns", O_PATH | O_DIRECTORY));
	int tree = tree_of(ROOT "/a");
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)own));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)mounts));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)plain));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)place));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, 200));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)-1));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, 0x80000000));
	SHOW(change(tree, "", AT_EMPTY_PATH, 0, ATTR_IDMAP, (uint64_t)space));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, ATTR_IDMAP, (uint64_t)space));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP | 0x40, 0, (uint64_t)space));
	SHOW(change(AT_FDCWD, ROOT "/a", 0, ATTR_IDMAP, 0, (uint64_t)space));
	SHOW(change(AT_FDCWD, ROOT "/none", 0, ATTR_IDMAP, 0, (uint64_t)space));
	SHOW(change(AT_FDCWD, ROOT "/none", 0, ATTR_IDMAP, 0, 200));
	SHOW(change(tree, "dir", 0, ATTR_IDMAP, 0, (uint64_t)space));
	/* An open file that may be written. */
	int writer = (int)MUST(openat(tree, "file", O_RDWR));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_RDONLY, 0, 0));
	SHOW(change(tree, "", AT_EMPTY_PATH, 2, 0, 0));
	close(writer);
	int reader = (int)MUST(openat(tree, "file", O_RDONLY));
	int fifo = (int)MUST(openat(tree, "fifo", O_RDWR));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP | ATTR_RDONLY, 0, (uint64_t)space));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	SHOW(change(tree, "", AT_EMPTY_PATH, 0, ATTR_RDONLY, 0));
	struct stat s;
	MUST(fstat(reader, &s));
	printf("seen by an open file: %d\n", (int)s.st_uid);
	close(reader), close(fifo);
	close(tree);
	/* No maps were written. */
	int empty = space_of(NULL, NULL);
	tree = tree_of(ROOT "/a");
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)empty));
	MUST(fstatat(tree, "file", &s, 0));
	printf("seen without maps: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
	close(tree), close(empty);
	int half = space_of("0 10000 10000", NULL);
	tree = tree_of(ROOT "/a");
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)half));
	MUST(fstatat(tree, "file", &s, 0));
	printf("seen with half a map: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
	close(tree), close(half);
	/* Not by those who do not rule the file system, or the namespace. */
	tree = tree_of(ROOT "/a");
	IN_CHILD({
		become(1000);
		SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	});
	IN_CHILD({
		MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
		int mine = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
		SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)mine));
		int copy = open_tree_(ROOT "/a", TREE_CLONE);
		SHOW(change(copy, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)mine));
	});
	close(tree);
	close(own), close(mounts), close(plain), close(place);
}

static void in_a_namespace(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	MUST(unshare(CLONE_NEWNS));
	int context = (int)MUST(syscall(SYS_fsopen, "tmpfs", 0));
	MUST(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
	int fd = (int)MUST(syscall(SYS_fsmount, context, 0, 0));
	int own = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
	SHOW(change(fd, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)own));
	close((int)MUST(openat(fd, "file", O_CREAT | O_WRONLY, 0644)));
	MUST(fchownat(fd, "file", 5, 6, 0));
	close((int)MUST(openat(fd, "root", O_CREAT | O_WRONLY, 0644)));
	int inner = space_of("0 100 100", "0 200 100");
	SHOW(change(fd, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)inner));
	struct stat s;
	MUST(fstatat(fd, "file", &s, 0));
	printf("file: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
	MUST(fstatat(fd, "root", &s, 0));
	printf("root: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
	SHOW(openat(fd, "new", O_CREAT | O_WRONLY, 0644));
	SHOW(fchownat(fd, "file", 107, 208, 0));
	SHOW(fchownat(fd, "file", 7, 8, 0));
	MUST(fstatat(fd, "file", &s, 0));
	printf("file: %d:%d\n", (int)s.st_uid, (int)s.st_gid);
}

static void recursion(int space)
{
	MUST(mkdir(ROOT "/a/in", 0755));
	MUST(mount("inner", ROOT "/a/in", "tmpfs", 0, "mode=755"));
	make(ROOT "/a/in/file", 0644, 7, 8);
	int tree = (int)MUST(open_tree_(ROOT "/a", TREE_CLONE | AT_RECURSIVE));
	SHOW(change(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_IDMAP | 8, 0, (uint64_t)space));
	MUST(attach(tree, ROOT "/b"));
	shown(ROOT "/b");
	shown(ROOT "/b/in");
	owner(ROOT "/b/file");
	owner(ROOT "/b/in/file");
	/* It stays as it is, and so do its copies. */
	SHOW(change(AT_FDCWD, ROOT "/b", 0, ATTR_IDMAP, 0, (uint64_t)space));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	SHOW(change(AT_FDCWD, ROOT "/b", 0, 2, 8, 0));
	shown(ROOT "/b");
	close(tree);
	MUST(mount(ROOT "/b", ROOT "/c", NULL, MS_BIND, NULL));
	shown(ROOT "/c");
	owner(ROOT "/c/file");
	MUST(umount(ROOT "/c"));
	tree = (int)MUST(open_tree_(ROOT "/b", TREE_CLONE));
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	close(tree);
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		shown(ROOT "/b");
		owner(ROOT "/b/file");
	});
	MUST(umount2(ROOT "/b", MNT_DETACH));
	/* All or nothing: one of them has a map, is busy, or cannot have one. */
	mount_mapped(ROOT "/a/in", ROOT "/b", space);
	MUST(mkdir(ROOT "/a/mapped", 0755));
	MUST(mount(ROOT "/b", ROOT "/a/mapped", NULL, MS_BIND, NULL));
	tree = (int)MUST(open_tree_(ROOT "/a", TREE_CLONE | AT_RECURSIVE));
	SHOW(change(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_IDMAP | 2, 0, (uint64_t)space));
	struct stat s;
	MUST(fstatat(tree, "file", &s, 0));
	printf("file: %d\n", (int)s.st_uid);
	close(tree);
	MUST(umount(ROOT "/a/mapped"));
	tree = (int)MUST(open_tree_(ROOT "/a", TREE_CLONE | AT_RECURSIVE));
	int writer = (int)MUST(openat(tree, "in/file", O_WRONLY));
	SHOW(change(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_IDMAP, 0, (uint64_t)space));
	close(writer);
	SHOW(change(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_IDMAP, 0, (uint64_t)space));
	MUST(fstatat(tree, "in/file", &s, 0));
	printf("in/file: %d\n", (int)s.st_uid);
	close(tree);
	MUST(mount("proc", ROOT "/a/mapped", "proc", 0, NULL));
	tree = (int)MUST(open_tree_(ROOT "/a", TREE_CLONE | AT_RECURSIVE));
	SHOW(change(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_IDMAP, 0, (uint64_t)space));
	MUST(fstatat(tree, "file", &s, 0));
	printf("file: %d\n", (int)s.st_uid);
	close(tree);
	MUST(umount(ROOT "/a/mapped"));
	MUST(umount(ROOT "/b"));
	MUST(umount(ROOT "/a/in"));
}

static void as_data(int space)
{
	mount_mapped(ROOT "/a", ROOT "/b", space);
	struct { uint32_t size, spare; uint64_t id, param, ns; } request = {24, 0, 0, 2, 0};
	struct { uint32_t size, one; uint64_t mask; char rest[496]; } answer;
	struct { uint32_t mask; char before[140]; uint64_t id; char rest[200]; } x;
	MUST(syscall(SYS_statx, AT_FDCWD, ROOT "/b", 0, 0x4000, &x));
	memcpy(&request.id, (char *)&x + 144, 8);
	long done = syscall(457, &request, &answer, sizeof answer, 0);
	if (done == -1)
		printf("statmount: %s\n", error_name(errno));
	else {
		uint64_t attributes;
		memcpy(&attributes, (char *)&answer + 64, 8);
		printf("attributes %#lx\n", (unsigned long)attributes);
	}
	MUST(umount(ROOT "/b"));
}

/* A bind mount becomes read-only only while nobody can write through it. */
static void writers(void)
{
	MUST(mount(ROOT "/a", ROOT "/b", NULL, MS_BIND, NULL));
	int there = (int)MUST(open(ROOT "/a/file", O_WRONLY));
	SHOW(mount("none", ROOT "/b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	SHOW(mount("none", ROOT "/b", NULL, MS_REMOUNT | MS_BIND, NULL));
	int here = (int)MUST(open(ROOT "/b/file", O_WRONLY));
	SHOW(mount("none", ROOT "/b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	SHOW(mount("none", ROOT "/b", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	SHOW(change(AT_FDCWD, ROOT "/b", 0, ATTR_RDONLY, 0, 0));
	close(here);
	SHOW(change(AT_FDCWD, ROOT "/b", 0, ATTR_RDONLY, 0, 0));
	SHOW(open(ROOT "/b/file", O_WRONLY));
	close(there);
	MUST(umount(ROOT "/b"));
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(0);
	MUST(mkdir(ROOT, 0755));
	MUST(mount("tmpfs", ROOT, "tmpfs", 0, "mode=755"));
	MUST(mkdir(ROOT "/a", 0755));
	MUST(mkdir(ROOT "/b", 0755));
	MUST(mkdir(ROOT "/c", 0755));
	MUST(mount("a", ROOT "/a", "tmpfs", 0, "mode=755"));
	make(ROOT "/a/file", 0644, 5, 6);
	MUST(mkdir(ROOT "/a/dir", 0755));
	MUST(mkfifo(ROOT "/a/fifo", 0600));
	int space = space_of("0 10000 10000", "0 20000 10000");
	refusals(space);
	recursion(space);
	as_data(space);
	writers();
	struct child c = begin_mapped(in_a_namespace, 0);
	finish(c);
	kind("tmpfs", "none", NULL);
	kind("ramfs", "none", NULL);
	kind("proc", "none", NULL);
	kind("sysfs", "none", NULL);
	kind("devtmpfs", "none", NULL);
	kind("devpts", "none", "newinstance");
	kind("mqueue", "none", NULL);
	kind("cgroup2", "none", NULL);
	kind("hugetlbfs", "none", NULL);
	kind("tracefs", "none", NULL);
	kind("bpf", "none", NULL);
	kind("overlay", "overlay", "lowerdir=" ROOT "/a:" ROOT "/c");
	if (!system("mke2fs -F -I 256 /dev/vda >/dev/null 2>&1")) {
		kind("ext2", "/dev/vda", NULL);
		kind("ext4", "/dev/vda", NULL);
	}
	int tree = tree_of("/");
	SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space));
	MUST(umount2(ROOT, MNT_DETACH));
	MUST(rmdir(ROOT));
	return 0;
}
