/* autofs, indirect: names that an automounter makes when somebody asks for them. */
#include "autofs_case.h"

#define HERE "/tmp/autofs_indirect"

static int root;

static long open_close(const char *path, int flags)
{
	int fd = open(path, flags, 0644);
	if (fd < 0)
		return -1;
	close(fd);
	return 7;
}

static long visit_as(unsigned uid, const char *path)
{
	struct stat s;
	setresgid(uid + 1, uid + 1, uid + 1);
	setresuid(uid, uid, uid);
	return stat(path, &s);
}

static long magic(const char *path)
{
	struct statfs f;
	return statfs(path, &f) ? -1 : f.f_type;
}

static void handle(int signal)
{
	printf("  signal %d\n", signal);
}

static long stat_with_handler(const char *path)
{
	struct stat s;
	signal(SIGUSR1, handle);
	return stat(path, &s);
}

static long stat_deaf(const char *path)
{
	struct stat s;
	signal(SIGPIPE, SIG_IGN);
	return stat(path, &s);
}

static long stat_catching(const char *path)
{
	struct stat s;
	signal(SIGPIPE, handle);
	return stat(path, &s);
}

static long list(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return -1;
	struct dirent *entry;
	long count = 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			printf("  %s of type %d\n", entry->d_name, entry->d_type);
		count++;
	}
	closedir(dir);
	return count;
}

static void attributes(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: mode %o, %d links, %d %d, size %ld\n", path, s.st_mode, (int)s.st_nlink, s.st_uid, s.st_gid, (long)s.st_size);
}

/* Answer the next request, and let the visitor go. */
static void answer(int command)
{
	uint32_t token = packet();
	long result = ioctl(root, command, token);
	int error = errno;
	visited();
	errno = error;
	show_result(command == (int)AUTOFS_IOC_FAIL ? "FAIL" : "READY", result, 1);
}

static void fail(void)
{
	answer(AUTOFS_IOC_FAIL);
}

/* Answer a request for a name by a mount. */
static void serve(const char *path)
{
	uint32_t token = packet();
	SHOW(mkdir(path, 0755));
	SHOW(mount("tmp", path, "tmpfs", 0, "mode=755"));
	MUST(open_close(path, O_RDONLY));
	char inner[100];
	snprintf(inner, sizeof inner, "%s/file", path);
	put_file(inner, "here", 0644);
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
}

int main(void)
{
	struct stat s;
	uint32_t token;
	MUST(mkdir(HERE, 0755));
	MUST(mount_autofs(HERE, "indirect"));
	root = (int)MUST(open(HERE, O_RDONLY));

	printf("-- the automounter itself is not stopped\n");
	SHOW(stat(HERE "/none", &s));
	SHOW(open_close(HERE "/none", O_RDONLY));
	SHOW(open_close(HERE "/none", O_RDWR | O_CREAT));
	SHOW(mknod(HERE "/none", S_IFIFO | 0644, 0));
	CHECK(no_packet());

	printf("-- a name that is missing\n");
	VISIT(open_close(HERE "/one/file", O_RDONLY));
	serve(HERE "/one");
	visited();
	VISITED(open_close(HERE "/one/file", O_RDONLY));
	VISITED(magic(HERE "/one"));
	CHECK(no_packet());
	attributes(HERE);
	attributes(HERE "/one");
	SHOW(list(HERE));

	printf("-- refused\n");
	VISIT(stat(HERE "/two", &s));
	fail();
	VISIT(open_close(HERE "/two", O_RDONLY));
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	SHOW(ioctl(root, AUTOFS_IOC_FAIL, token));
	SHOW(ioctl(root, AUTOFS_IOC_READY, 0));

	printf("-- ready, but nothing there\n");
	VISIT(stat(HERE "/two", &s));
	answer(AUTOFS_IOC_READY);
	VISIT(stat(HERE "/two", &s));
	token = packet();
	MUST(mkdir(HERE "/two", 0755));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();

	printf("-- an empty directory: looked at, it stays; gone into, it is mounted\n");
	VISITED(stat(HERE "/two", &s));
	VISITED(access(HERE "/two", R_OK));
	VISITED(chmod(HERE "/two", 0711));
	VISITED(open_close(HERE "/two", O_PATH));
	VISITED(readlink(HERE "/two", (char[9]){0}, 8));
	CHECK(no_packet());
	VISIT(open_close(HERE "/two", O_PATH | O_DIRECTORY));
	fail();
	VISIT(chdir(HERE "/two"));
	fail();
	VISIT(stat(HERE "/two/", &s));
	fail();
	VISIT(stat(HERE "/two/x", &s));
	fail();
	VISIT(stat(HERE "/two/..", &s));
	fail();
	VISIT(magic(HERE "/two"));
	fail();
	VISIT(open_close(HERE "/two", O_RDONLY));
	fail();
	struct statx x;
	VISIT(syscall(SYS_statx, AT_FDCWD, HERE "/two", 0, STATX_BASIC_STATS, &x));
	fail();
	VISITED(syscall(SYS_statx, AT_FDCWD, HERE "/two", AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &x));
	CHECK(no_packet());
	printf("-- ready, but not mounted\n");
	VISIT(open_close(HERE "/two", O_RDONLY));
	for (int i = 0; i < 60; i++) {
		struct pollfd ready = { packets, POLLIN, 0 };
		if (poll_for(&ready, 300) != 1) {
			printf("%d packets\n", i);
			break;
		}
		struct autofs_v5_packet p;
		MUST(read(packets, &p, sizeof p));
		MUST(ioctl(root, AUTOFS_IOC_READY, p.wait_queue_token));
	}
	visited();
	VISIT(open_close(HERE "/two", O_RDONLY));
	token = packet();
	MUST(mount("tmp", HERE "/two", "tmpfs", 0, NULL));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();

	printf("-- what visitors may change\n");
	VISITED(mkdir(HERE "/new", 0755));
	VISITED(symlink("x", HERE "/new"));
	VISITED(open_close(HERE "/new", O_RDWR | O_CREAT));
	CHECK(no_packet());
	VISITED(mkdir(HERE "/one", 0755));
	VISITED(rmdir(HERE "/two"));
	VISITED(rmdir(HERE "/missing"));
	VISITED(unlink(HERE "/missing"));
	VISITED(rename(HERE "/one", HERE "/three"));
	VISITED(mknod(HERE "/new", S_IFIFO | 0644, 0));
	CHECK(no_packet());

	printf("-- a symbolic link\n");
	VISIT(open_close(HERE "/link", O_RDONLY));
	token = packet();
	SHOW(symlink("/tmp", HERE "/link"));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	attributes(HERE "/link");
	VISITED(open_close(HERE "/link/", O_RDONLY));
	VISITED(magic(HERE "/link"));
	SHOW(list(HERE));
	VISITED(list(HERE));
	SHOW(rename(HERE "/link", HERE "/other"));
	SHOW(link(HERE "/link", HERE "/other"));
	VISITED(unlink(HERE "/link"));
	SHOW(unlink(HERE "/link"));

	printf("-- directories below\n");
	VISIT(open_close(HERE "/tree/a/b", O_RDONLY));
	token = packet();
	SHOW(mkdir(HERE "/tree", 0700));
	SHOW(mkdir(HERE "/tree/a", 0777));
	SHOW(mkdir(HERE "/tree/a/b", 0755));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	attributes(HERE "/tree");
	attributes(HERE "/tree/a");
	VISITED(open_close(HERE "/tree/a", O_RDONLY));
	VISITED(open_close(HERE "/tree", O_RDONLY));
	VISITED(stat(HERE "/tree/none", &s));
	VISITED(mkdir(HERE "/tree/none", 0755));
	VISITED(list(HERE "/tree"));
	SHOW(list(HERE "/tree/a/b"));
	CHECK(no_packet());
	SHOW(rmdir(HERE "/tree/a"));
	SHOW(rmdir(HERE "/tree/a/b"));
	SHOW(rmdir(HERE "/tree/a"));
	SHOW(unlink(HERE "/tree"));
	SHOW(rmdir(HERE "/tree"));
	attributes(HERE);

	printf("-- who asks\n");
	VISIT(visit_as(1000, HERE "/user"));
	fail();

	printf("-- two ask for one name\n");
	VISIT(stat(HERE "/both", &s));
	token = packet();
	pid_t first = visitor;
	VISIT(stat(HERE "/both", &s));
	settle_for(50);
	CHECK(no_packet());
	MUST(mkdir(HERE "/both", 0755));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	visitor = first;
	visited();
	MUST(rmdir(HERE "/both"));

	printf("-- the visitor gets a signal, and is killed\n");
	VISIT(stat(HERE "/killed", &s));
	token = packet();
	kill(visitor, SIGTERM);
	show_end(visitor);
	SHOW(ioctl(root, AUTOFS_IOC_READY, token));
	VISIT(stat_with_handler(HERE "/killed"));
	token = packet();
	until_waiting(visitor);
	kill(visitor, SIGUSR1);
	settle_for(50);
	CHECK(waitpid(visitor, NULL, WNOHANG) == 0);
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	VISIT(stat(HERE "/killed", &s));
	fail();

	printf("-- long names\n");
	char path[600] = HERE "/";
	memset(path + strlen(path), 'n', 253);
	VISIT(stat(path, &s));
	fail();
	for (int i = 0; i < 3; i++) {
		path[strlen(path)] = 'n';
		VISITED(stat(path, &s));
	}
	CHECK(no_packet());

	printf("-- unmounted by hand, it is mounted again\n");
	SHOW(umount(HERE "/one"));
	VISIT(open_close(HERE "/one/file", O_RDONLY));
	token = packet();
	MUST(mount("tmp", HERE "/one", "tmpfs", 0, NULL));
	put_file(HERE "/one/file", "again", 0644);
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	SHOW(umount(HERE "/two"));
	SHOW(rmdir(HERE "/two"));
	SHOW(umount(HERE "/one"));

	printf("-- the automounter goes\n");
	VISIT(stat(HERE "/late", &s));
	packet();
	MUST(ioctl(root, AUTOFS_IOC_CATATONIC, 0));
	visited();
	VISITED(stat(HERE "/late", &s));
	VISITED(open_close(HERE "/one", O_RDONLY));
	VISITED(mkdir(HERE "/new", 0755));
	SHOW(mkdir(HERE "/new", 0755));
	SHOW(ioctl(root, AUTOFS_IOC_CATATONIC, 0));
	close(bell);
	char byte;
	SHOW(read(packets, &byte, 1));
	close(root);
	SHOW(umount(HERE));

	printf("-- nobody reads the pipe\n");
	signal(SIGPIPE, SIG_DFL);
	MUST(mount_autofs(HERE, "indirect"));
	close(packets);
	VISITED(stat(HERE "/none", &s));
	VISITED(stat(HERE "/none", &s));
	SHOW(umount(HERE));
	MUST(mount_autofs(HERE, "indirect"));
	close(packets);
	VISITED(stat_deaf(HERE "/none"));
	VISITED(stat(HERE "/none", &s));
	SHOW(umount(HERE));
	MUST(mount_autofs(HERE, "indirect"));
	close(packets);
	VISITED(stat_catching(HERE "/none"));
	SHOW(umount(HERE));
	return 0;
}
