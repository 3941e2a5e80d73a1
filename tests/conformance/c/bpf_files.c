/* The file system bpf: maps, programs and links that have names. */
#include "bpf_case.h"
#include <sys/mount.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#define HERE "/tmp/bpf_files"

static long pin_at(int at, const char *path, int fd, uint32_t flags)
{
	fresh();
	put_address(0, path);
	put32(8, (uint32_t)fd);
	put32(12, flags);
	put32(16, (uint32_t)at);
	return bpf(6, 20);
}

static long get_at(int at, const char *path, uint32_t flags)
{
	fresh();
	put_address(0, path);
	put32(12, flags);
	put32(16, (uint32_t)at);
	return bpf(7, 20);
}

static long pin(int fd, const char *path) { return pin_at(0, path, fd, 0); }
static long get(const char *path, uint32_t flags) { return get_at(0, path, flags); }

/* 7 for a descriptor, which is closed. */
static long got(const char *path, uint32_t flags)
{
	long fd = get(path, flags);
	if (fd < 0)
		return -1;
	close((int)fd);
	return 7;
}

static long opened(const char *path, int flags)
{
	int fd = open(path, flags, 0644);
	if (fd < 0)
		return -1;
	close(fd);
	return 7;
}

static void attributes(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: mode %o, %d links, %d %d, size %ld, block %ld, device %lx\n", path, s.st_mode, (int)s.st_nlink, s.st_uid,
		       s.st_gid, (long)s.st_size, (long)s.st_blksize, (long)s.st_rdev);
}

static void list(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			printf("  %s of type %d\n", entry->d_name, entry->d_type);
	if (dir)
		closedir(dir);
}

static void access_flags(long fd)
{
	uint32_t key = 0, value = 5;
	printf("flags %#x %#x\n", fcntl((int)fd, F_GETFL), fcntl((int)fd, F_GETFD));
	SHOW(LOOKUP((int)fd, &key, &value));
	SHOW(UPDATE((int)fd, &key, &value, 0));
}

static void as_user(void)
{
	MUST(setresgid(1000, 1000, 1000));
	MUST(setresuid(1000, 1000, 1000));
}

int main(void)
{
	struct insn program[] = { MOV(0, 1), EXIT };
	struct statfs f;
	MUST(mkdir(HERE, 0755));
	int map = (int)MUST(create_map(2, 4, 4, 2, 0));
	int hash = (int)MUST(create_map(1, 4, 4, 2, 0));
	int prog = (int)MUST(load(CGROUP_DEVICE, program, 2, 0));
	printf("-- without it\n");
	SHOW(pin(map, "/tmp/bpf_map"));
	SHOW(pin(map, "/tmp/none/bpf_map"));
	SHOW(got("/tmp", 0));
	SHOW(got("/tmp/none", 0));

	MUST(mount("test", HERE, "bpf", 0, NULL));
	MUST(statfs(HERE, &f));
	printf("type %lx, block %ld, name %ld\n", (long)f.f_type, (long)f.f_bsize, (long)f.f_namelen);
	printf("-- pinned\n");
	SHOW(pin(map, HERE "/map"));
	SHOW(pin(hash, HERE "/map"));
	SHOW(pin(map, HERE "/again"));
	SHOW(pin(prog, HERE "/prog"));
	SHOW(pin(0, HERE "/stdin"));
	SHOW(pin(-1, HERE "/none"));
	SHOW(pin(700, HERE "/none"));
	SHOW(pin(map, HERE "/with.dot"));
	SHOW(pin(map, HERE "/.dot"));
	SHOW(pin(map, HERE "/none/map"));
	SHOW(pin(map, HERE "/map/map"));
	SHOW(pin(map, HERE "/slash/"));
	SHOW(pin(map, HERE));
	SHOW(pin(map, ""));
	SHOW(pin(map, NULL));
	SHOW(pin_at(0, HERE "/flags", map, 1));
	SHOW(pin_at(0, HERE "/flags", map, 8));
	SHOW(pin_at(0, HERE "/flags", map, 0x4000));
	fresh();
	put_address(0, HERE "/tail");
	put32(8, (uint32_t)map);
	put32(20, 1);
	SHOW(bpf(6, 24));
	SHOW(bpf(6, 16));
	int directory = (int)MUST(open(HERE, O_RDONLY | O_DIRECTORY));
	SHOW(pin_at(directory, "at", map, 0));
	SHOW(pin_at(directory, "at", map, 0x4000));
	SHOW(pin_at(-100, HERE "/at2", map, 0x4000));
	attributes(HERE);
	attributes(HERE "/map");
	attributes(HERE "/prog");
	list(HERE);

	printf("-- found again\n");
	long fd = SHOW(get(HERE "/map", 0));
	access_flags(fd);
	close((int)fd);
	fd = MUST(get(HERE "/map", 8));
	access_flags(fd);
	close((int)fd);
	fd = MUST(get(HERE "/map", 16));
	access_flags(fd);
	close((int)fd);
	SHOW(got(HERE "/map", 24));
	SHOW(got(HERE "/map", 1));
	SHOW(got(HERE "/prog", 0));
	SHOW(got(HERE "/prog", 8));
	SHOW(got(HERE "/prog", 16));
	SHOW(got(HERE, 0));
	SHOW(got(HERE "/none", 0));
	SHOW(got(HERE "/map/", 0));
	SHOW(got("/dev/null", 0));
	SHOW(got("/etc/passwd", 0));
	SHOW(get_at(directory, "at", 0));
	fd = SHOW(get_at(directory, "at", 0x4000));
	close((int)fd);
	fresh();
	put_address(0, HERE "/map");
	put32(8, 1);
	SHOW(bpf(7, 16));
	fd = MUST(get(HERE "/prog", 0));
	printf("flags %#x %#x\n", fcntl((int)fd, F_GETFL), fcntl((int)fd, F_GETFD));
	close((int)fd);

	printf("-- as files\n");
	SHOW(opened(HERE "/map", O_RDONLY));
	SHOW(opened(HERE "/map", O_RDWR));
	SHOW(opened(HERE "/map", O_PATH));
	SHOW(opened(HERE "/prog", O_RDONLY));
	SHOW(opened(HERE "/new", O_RDWR | O_CREAT));
	SHOW(mknod(HERE "/new", S_IFREG | 0644, 0));
	SHOW(mknod(HERE "/new", S_IFIFO | 0644, 0));
	SHOW(mknod(HERE "/new", S_IFCHR | 0644, 0x103));
	SHOW(mkdir(HERE "/dir", 0755));
	SHOW(mkdir(HERE "/dir.x", 0755));
	SHOW(symlink("map", HERE "/link"));
	SHOW(symlink("map", HERE "/link.x"));
	SHOW(got(HERE "/link", 0));
	SHOW(pin(map, HERE "/link"));
	attributes(HERE "/link");
	attributes(HERE "/dir");
	SHOW(link(HERE "/map", HERE "/dir/hard"));
	attributes(HERE "/dir/hard");
	SHOW(got(HERE "/dir/hard", 0));
	SHOW(rename(HERE "/dir/hard", HERE "/moved"));
	SHOW(rename(HERE "/moved", HERE "/moved.x"));
	SHOW(rename(HERE "/moved", HERE "/dir/moved"));
	SHOW(rename(HERE "/dir/moved", HERE "/again"));
	SHOW(chmod(HERE "/map", 0640));
	SHOW(chown(HERE "/map", 1000, 1000));
	SHOW(truncate(HERE "/map", 0));
	SHOW(utimensat(AT_FDCWD, HERE "/map", NULL, 0));
	SHOW(setxattr(HERE "/map", "user.x", "x", 1, 0));
	SHOW(setxattr(HERE "/map", "trusted.x", "x", 1, 0));
	attributes(HERE "/map");
	struct stat s;
	SHOW(stat(HERE "/with.dot", &s));
	SHOW(unlink(HERE "/with.dot"));
	SHOW(opened(HERE "/with.dot", O_RDONLY));
	SHOW(rmdir(HERE "/dir"));
	SHOW(rmdir(HERE "/map"));
	SHOW(unlink(HERE "/dir"));
	list(HERE);

	printf("-- rights\n");
	IN_CHILD(
		as_user();
		SHOW(got(HERE "/map", 8));
		SHOW(got(HERE "/map", 16));
		SHOW(got(HERE "/prog", 0));
		SHOW(got(HERE "/again", 8));
		SHOW(pin(map, HERE "/theirs"));
		SHOW(mkdir(HERE "/theirs", 0755));
		SHOW(unlink(HERE "/again"));
	);
	SHOW(chmod(HERE "/map", 0444));
	SHOW(chmod(HERE "/prog", 0666));
	SHOW(chown(HERE "/map", 0, 0));
	IN_CHILD(
		as_user();
		SHOW(got(HERE "/map", 0));
		SHOW(got(HERE "/map", 8));
		SHOW(got(HERE "/map", 16));
		SHOW(got(HERE "/prog", 0));
		SHOW(got(HERE "/prog", 8));
	);
	attributes(HERE "/theirs");

	printf("-- they outlive their descriptors\n");
	uint32_t key = 1, value = 77;
	MUST(UPDATE(map, &key, &value, 0));
	close(map);
	value = 0;
	map = (int)MUST(get(HERE "/map", 0));
	SHOW(LOOKUP(map, &key, &value));
	printf("value %u\n", value);
	close(map);
	SHOW(unlink(HERE "/map"));
	SHOW(got(HERE "/map", 0));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	SHOW(pin(hash, HERE "/hash"));
	SHOW(got(HERE "/again", 0));
	SHOW(got(HERE "/again", 8));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT, "mode=700"));
	attributes(HERE);
	printf("-- a mount that is read-only, of one that is not\n");
	SHOW(mount(NULL, HERE, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	SHOW(got(HERE "/prog", 0));
	SHOW(pin(hash, HERE "/hash"));
	SHOW(mount(NULL, HERE, NULL, MS_REMOUNT | MS_BIND, NULL));

	printf("-- sizes and times\n");
	MUST(pin(hash, HERE "/hash"));
	static const long long sizes[] = { 100, 0x7fffffff, 0x80000000, 1LL << 40, 5 };
	for (unsigned i = 0; i < COUNT(sizes); i++) {
		SHOW(truncate(HERE "/hash", sizes[i]));
		attributes(HERE "/hash");
	}
	struct timespec old[2] = { { 1000000000, 5 }, { 1000000001, 6 } };
	MUST(utimensat(AT_FDCWD, HERE "/hash", old, 0));
	MUST(truncate(HERE "/hash", 7));
	MUST(stat(HERE "/hash", &s));
	printf("times %lld %lld\n", (long long)s.st_atim.tv_sec, (long long)s.st_mtim.tv_sec);
	SHOW(got(HERE "/hash", 0));
	MUST(stat(HERE "/hash", &s));
	CHECK(s.st_atim.tv_sec > 1000000001);
	CHECK(s.st_mtim.tv_sec == 1000000001);
	MUST(utimensat(AT_FDCWD, HERE, old, 0));
	MUST(pin(hash, HERE "/hash2"));
	MUST(stat(HERE, &s));
	CHECK(s.st_mtim.tv_sec > 1000000001);
	SHOW(open(HERE "/hash", O_RDONLY | O_DIRECT));
	SHOW(open(HERE "/hash", O_WRONLY | O_TRUNC));
	attributes(HERE "/hash");
	SHOW(open(HERE, O_RDWR | O_TMPFILE, 0600));
	SHOW(open(HERE "/hash", O_RDWR | O_CREAT | O_EXCL, 0600));
	SHOW(open(HERE "/hash", O_RDWR | O_CREAT, 0600));
	SHOW(open(HERE "/new/", O_RDWR | O_CREAT, 0600));
	MUST(chmod(HERE "/hash", 0755));
	SHOW(execl(HERE "/hash", "hash", NULL));
	SHOW(chmod(HERE "/hash", 0600));

	printf("-- names\n");
	char name[600] = HERE "/";
	memset(name + strlen(name), 'n', 255);
	SHOW(pin(hash, name));
	SHOW(got(name, 0));
	strcat(name, "n");
	SHOW(pin(hash, name));
	SHOW(got(name, 0));
	name[strlen(name) - 1] = 0;
	MUST(unlink(name));
	SHOW(pin(hash, HERE "/."));
	SHOW(pin(hash, HERE "/.."));
	SHOW(pin(hash, HERE "/.../x"));
	SHOW(pin(hash, "/"));
	SHOW(pin(hash, "/proc/new"));
	SHOW(pin(hash, "/dev/null"));
	SHOW(pin(hash, "/dev/null/x"));
	MUST(mkdir(HERE "/free", 0));
	SHOW(pin(hash, HERE "/free/with.dot"));
	SHOW(got(HERE "/free/with.dot", 0));
	MUST(chmod(HERE "/free", 0700));
	SHOW(got(HERE "/free/with.dot", 0));
	SHOW(got(HERE "/free/more.dot", 0));
	SHOW(rename(HERE "/free/with.dot", HERE "/without"));
	SHOW(rename(HERE "/without", HERE "/free/with.dot"));
	SHOW(got(HERE "/without", 0));
	MUST(unlink(HERE "/without"));
	SHOW(mkdir(HERE "/free/below", 02750));
	attributes(HERE "/free/below");
	MUST(chmod(HERE "/free/below", 02750));
	MUST(chown(HERE "/free/below", 0, 77));
	SHOW(mkdir(HERE "/free/below/more", 0777));
	SHOW(pin(hash, HERE "/free/below/pin"));
	SHOW(symlink("/tmp", HERE "/free/below/link"));
	attributes(HERE "/free/below/more");
	attributes(HERE "/free/below/pin");
	attributes(HERE "/free/below/link");
	attributes(HERE "/free/below");
	attributes(HERE "/free");
	SHOW(rmdir(HERE "/free/below"));
	SHOW(got(HERE "/free/below/link", 0));
	SHOW(link(HERE "/free/below/link", HERE "/free/below/link2"));
	SHOW(link(HERE "/free/below", HERE "/free/below/link3"));
	SHOW(link("/dev/null", HERE "/free/below/link3"));
	SHOW(symlink("loop", HERE "/loop"));
	SHOW(got(HERE "/loop", 0));
	SHOW(pin(hash, HERE "/loop/x"));
	mode_t mask = umask(0377);
	SHOW(pin(hash, HERE "/masked"));
	umask(mask);
	attributes(HERE "/masked");
	SHOW(listxattr(HERE "/masked", NULL, 0));
	SHOW(getxattr(HERE "/masked", "user.x", NULL, 0));
	SHOW(setxattr(HERE "/masked", "security.x", "x", 1, 0));
	SHOW(setxattr(HERE "/masked", "system.posix_acl_access", "x", 1, 0));

	printf("-- renamed\n");
	MUST(mkdir(HERE "/order", 0755));
	MUST(chdir(HERE "/order"));
	for (const char *each = "abcdef"; *each; each++)
		MUST(pin(hash, (char[]) { *each, 0 }));
	MUST(mkdir("dir", 0755));
	list(".");
	SHOW(rename("b", "g"));
	SHOW(rename("c", "a"));
	SHOW(rename("d", "d"));
	list(".");
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "f", 2));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "f", 1));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "f", 4));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "h", 4));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "e", AT_FDCWD, "h.x", 2));
	list(".");
	SHOW(rename("e", "dir"));
	SHOW(rename("dir", "e"));
	SHOW(rename("e", "dir/e"));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, "dir", AT_FDCWD, "f", 2));
	attributes(".");
	attributes("f");
	SHOW(rmdir("f"));
	SHOW(mkdir("empty", 0755));
	SHOW(rename("empty", "f"));
	SHOW(rename("f", "f/e"));
	SHOW(rename("f", "empty"));
	SHOW(rename("empty", HERE "/moved"));
	list(".");
	attributes(".");
	MUST(chdir("/"));
	DIR *dir = opendir(HERE "/order");
	struct dirent *entry = NULL;
	for (int i = 0; i < 4; i++)
		entry = readdir(dir);
	CHECK(entry != NULL);
	long place = telldir(dir);
	entry = readdir(dir);
	char third[20];
	snprintf(third, sizeof third, "%s", entry->d_name);
	seekdir(dir, place);
	CHECK(!strcmp(readdir(dir)->d_name, third));
	rewinddir(dir);
	int count = 0;
	while (readdir(dir))
		count++;
	printf("%d entries\n", count);
	closedir(dir);
	int fd2 = (int)MUST(open(HERE "/order", O_RDONLY));
	SHOW(lseek(fd2, 0, SEEK_END));
	SHOW(read(fd2, name, 10));
	SHOW(fsync(fd2));
	close(fd2);
	MUST(mkdir(HERE "/gone", 0755));
	MUST(chdir(HERE "/gone"));
	MUST(rmdir(HERE "/gone"));
	SHOW(pin(hash, "x"));
	SHOW(pin(hash, "x.y"));
	SHOW(got("x.y", 0));
	SHOW(mkdir("x", 0755));
	MUST(chdir("/"));

	printf("-- watched\n");
	int watch = (int)MUST(inotify_init1(IN_NONBLOCK));
	MUST(inotify_add_watch(watch, HERE, IN_ALL_EVENTS));
	MUST(pin(hash, HERE "/seen"));
	SHOW(got(HERE "/seen", 0));
	MUST(unlink(HERE "/seen"));
	char events[1000];
	long length = read(watch, events, sizeof events);
	for (long at = 0; at < length;) {
		struct inotify_event *event = (void *)(events + at);
		printf("event %#x of %s\n", event->mask, event->len ? event->name : "");
		at += (long)sizeof *event + event->len;
	}
	close(watch);

	printf("-- rights again\n");
	MUST(mkdir(HERE "/mine", 0755));
	MUST(mkdir(HERE "/all", 0777));
	MUST(chmod(HERE "/all", 0777));
	MUST(pin(hash, HERE "/all/roots"));
	IN_CHILD(
		as_user();
		SHOW(pin(hash, HERE "/mine/x"));
		SHOW(pin(hash, HERE "/all/x"));
		SHOW(unlink(HERE "/all/roots"));
		SHOW(unlink(HERE "/hash2"));
		SHOW(rename(HERE "/hash2", HERE "/hash3"));
		SHOW(link(HERE "/hash2", HERE "/hash3"));
		SHOW(got(HERE "/hash2", 0));
		SHOW(got(HERE "/free/with.dot", 0));
		SHOW(chmod(HERE "/hash2", 0666));
	);
	IN_CHILD(
		as_user();
		SHOW(syscall(SYS_unshare, 0x10000000));
		SHOW(pin(hash, HERE "/all/unmapped"));
		SHOW(got(HERE "/all/x", 0));
	);

	printf("-- links\n");
	MUST(mkdir("/tmp/bpf_groups", 0755));
	MUST(mount("none", "/tmp/bpf_groups", "cgroup2", 0, NULL));
	MUST(mkdir("/tmp/bpf_groups/files", 0755));
	int group = (int)MUST(open("/tmp/bpf_groups/files", O_RDONLY | O_DIRECTORY));
	fresh();
	put32(0, (uint32_t)prog);
	put32(4, (uint32_t)group);
	put32(8, 6);
	int made = (int)MUST(bpf(28, 16));
	SHOW(pin(made, HERE "/bond"));
	attributes(HERE "/bond");
	SHOW(got(HERE "/bond", 8));
	SHOW(got(HERE "/bond", 16));
	fd = SHOW(get(HERE "/bond", 0));
	printf("flags %#x %#x\n", fcntl((int)fd, F_GETFL), fcntl((int)fd, F_GETFD));
	char target[100] = "";
	snprintf(name, sizeof name, "/proc/self/fd/%ld", fd);
	MUST(readlink(name, target, sizeof target - 1));
	printf("%s\n", target);
	close((int)fd);
	close(made);
	query_for(6, group, 0);
	SHOW(link(HERE "/bond", HERE "/bond2"));
	SHOW(unlink(HERE "/bond"));
	query_for(6, group, 0);
	SHOW(unlink(HERE "/bond2"));
	query_for(6, group, 0);
	fresh();
	put32(0, (uint32_t)prog);
	put32(4, (uint32_t)group);
	put32(8, 6);
	made = (int)MUST(bpf(28, 16));
	SHOW(pin(made, HERE "/bond"));
	close(made);
	query_for(6, group, 0);
	close(directory);
	SHOW(umount(HERE));
	query_for(6, group, 0);
	close(group);
	MUST(rmdir("/tmp/bpf_groups/files"));
	MUST(umount("/tmp/bpf_groups"));
	printf("-- each mount is one of its own\n");
	MUST(mount("test", HERE, "bpf", 0, NULL));
	list(HERE);
	MUST(mkdir("/tmp/bpf_second", 0755));
	MUST(mount("test", "/tmp/bpf_second", "bpf", 0, NULL));
	SHOW(pin(hash, HERE "/hash"));
	SHOW(got("/tmp/bpf_second/hash", 0));
	SHOW(umount("/tmp/bpf_second"));
	SHOW(mount(NULL, HERE, NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL));
	SHOW(got(HERE "/hash", 0));
	SHOW(umount(HERE));
	return 0;
}
