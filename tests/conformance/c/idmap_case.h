/* What the cases of id-mapped mounts share: user namespaces with maps, mounts that have one, and owners as they are seen. */
#ifndef IDMAP_CASE_H
#define IDMAP_CASE_H
#include "userns_case.h"
#include <sys/xattr.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define TREE_CLONE 1
#define F_EMPTY 4
#define ATTR_RDONLY 1
#define ATTR_IDMAP 0x100000

struct attributes {
	uint64_t set, clear, propagation, user;
};

static inline int open_tree_(const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
}

static inline int attach(int tree, const char *path)
{
	return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, path, F_EMPTY);
}

static inline int change(int at, const char *path, unsigned flags, uint64_t set, uint64_t clear, uint64_t user)
{
	struct attributes attributes = {set, clear, 0, user};
	return (int)syscall(SYS_mount_setattr, at, path, flags, &attributes, sizeof attributes);
}

static inline void only_wait(void) { hear(); }

/* The file of a user namespace with these maps; NULL: none is written. */
static inline int space_of(const char *users, const char *groups)
{
	char path[64];
	struct child c = begin(only_wait, CLONE_NEWUSER);
	if (users)
		MUST(put_of(c.pid, "uid_map", users));
	if (groups)
		MUST(put_of(c.pid, "gid_map", groups));
	snprintf(path, sizeof path, "/proc/%d/ns/user", c.pid);
	int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
	tell(c);
	int status;
	waitpid(c.pid, &status, 0);
	close(c.to);
	close(c.from);
	return fd;
}

/* Mount `from` at `to`, with the owners that a user namespace maps. */
static inline void mount_mapped(const char *from, const char *to, int space)
{
	int tree = (int)MUST(open_tree_(from, TREE_CLONE | AT_RECURSIVE | O_CLOEXEC));
	MUST(change(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_IDMAP, 0, (uint64_t)space));
	MUST(attach(tree, to));
	close(tree);
}

static inline void owner(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %d:%d %o\n", path, (int)s.st_uid, (int)s.st_gid, s.st_mode);
}

/* Run a block as a user with the group of the same number, and further groups. */
#define AS(uid, ...) do { printf("-- as %d\n", uid); IN_CHILD({ become(uid); __VA_ARGS__; }); } while (0)

static inline void make(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	close((int)MUST(open(path, O_CREAT | O_WRONLY | O_EXCL, 0600)));
	MUST(chown(path, uid, gid));
	MUST(chmod(path, mode));
}

static inline void make_directory(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	MUST(mkdir(path, 0700));
	MUST(chown(path, uid, gid));
	MUST(chmod(path, mode));
}

/* How a mount is shown. */
static inline void shown(const char *place)
{
	char text[1024], found[256], flags[256];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (fgets(text, sizeof text, file))
		if (sscanf(text, "%*d %*d %*s %*s %255s %255s", found, flags) == 2 && !strcmp(found, place))
			printf("%s: %s\n", place, flags);
	fclose(file);
}
#endif
