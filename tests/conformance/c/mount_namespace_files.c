/*
 * Covers: bind mounts of files of mount namespaces (`unshare --mount=FILE`): which may be mounted, that they keep their namespace, entering it by the
 * mount, what becomes of them in copies of the tree, with propagation, by moves and detached; chains of them.
 */
#define _GNU_SOURCE
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

#define AT "/tmp/keep"
#define FILE_AT AT "/file"
#define OTHER_AT AT "/other"
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

/* A child with a mount namespace of its own, in which something is mounted; it waits. */
static pid_t inhabitant(const char *mark)
{
	int ends[2];
	MUST(pipe(ends));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(unshare(CLONE_NEWNS));
		MUST(mount("none", AT "/dir", "tmpfs", 0, "size=1m"));
		put_file(AT "/dir/mark", mark, 0644);
		MUST(write(ends[1], "x", 1));
		for (;;)
			pause();
	}
	char byte;
	MUST(read(ends[0], &byte, 1));
	close(ends[0]);
	close(ends[1]);
	return child;
}

static void kill_it(pid_t child)
{
	kill(child, SIGKILL);
	MUST(waitpid(child, NULL, 0));
}

static const char *file_of(pid_t process)
{
	static char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", process);
	return path;
}

static void enter(const char *file)
{
	fflush(stdout);
	IN_CHILD({
		int fd = open(file, O_RDONLY);
		if (fd < 0 || setns(fd, CLONE_NEWNS))
			printf("enter %s: %s\n", file, error_name(errno));
		else
			show_file(AT "/dir/mark");
	});
}

static int mounted(const char *place)
{
	char line[1024];
	int found = 0;
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (fgets(line, sizeof line, file)) {
		char point[256], root[256];
		if (sscanf(line, "%*s %*s %*s %255s %255s", root, point) == 2 && !strcmp(point, place)) {
			*strchrnul(root, '[') = 0;
			printf("  %s on %s%s\n", root, point, strstr(line, " - nsfs nsfs rw") ? ", nsfs" : "");
			found = 1;
		}
	}
	fclose(file);
	return found;
}

static void kept(void)
{
	pid_t child = inhabitant("one");
	SHOW(mount("/proc/self/ns/mnt", FILE_AT, NULL, MS_BIND, NULL));
	SHOW(mount(file_of(child), AT "/dir", NULL, MS_BIND, NULL));
	MUST(mount(file_of(child), FILE_AT, NULL, MS_BIND, NULL));
	CHECK(mounted(FILE_AT));
	kill_it(child);
	enter(FILE_AT);
	SHOW(mount(FILE_AT, OTHER_AT, NULL, MS_BIND, NULL));
	SHOW(umount(FILE_AT));
	enter(FILE_AT);
	enter(OTHER_AT);
	SHOW(mount(OTHER_AT, FILE_AT, NULL, MS_MOVE, NULL));
	enter(FILE_AT);
	int fd = (int)MUST(open(FILE_AT, O_RDONLY));
	SHOW(umount(FILE_AT));
	SHOW(umount2(FILE_AT, MNT_DETACH));
	IN_CHILD(SHOW(setns(fd, CLONE_NEWNS)); show_file(AT "/dir/mark"));
	close(fd);
}

/* Those that are inside are older or newer than what they mount. */
static void orders(void)
{
	pid_t first = inhabitant("first"), second = inhabitant("second");
	IN_CHILD({
		int into = (int)MUST(open(file_of(first), O_RDONLY));
		MUST(setns(into, CLONE_NEWNS));
		printf("newer: %s\n", mount(file_of(second), FILE_AT, NULL, MS_BIND, NULL) ? error_name(errno) : "ok");
		printf("own: %s\n", mount(file_of(first), OTHER_AT, NULL, MS_BIND, NULL) ? error_name(errno) : "ok");
		printf("older: %s\n", mount(file_of(getppid()), OTHER_AT, NULL, MS_BIND, NULL) ? error_name(errno) : "ok");
	});
	kill_it(second);
	IN_CHILD({
		int into = (int)MUST(open(file_of(first), O_RDONLY));
		MUST(setns(into, CLONE_NEWNS));
		enter(FILE_AT);
		MUST(unshare(CLONE_NEWNS));
		CHECK(mounted(FILE_AT));
		show_file(FILE_AT);
	});
	kill_it(first);
}

static void trees(void)
{
	pid_t child = inhabitant("tree");
	MUST(mount("none", AT "/dir", "tmpfs", 0, NULL));
	put_file(AT "/dir/inner", "", 0644);
	put_file(AT "/dir/beside", "", 0644);
	SHOW(mount(file_of(child), AT "/dir/inner", NULL, MS_BIND, NULL));
	kill_it(child);
	mkdir(AT "/copy", 0755);
	SHOW(mount(AT "/dir", AT "/copy", NULL, MS_BIND | MS_REC, NULL));
	CHECK(mounted(AT "/copy/inner"));
	SHOW(umount(AT "/dir/inner"));
	enter(AT "/copy/inner");
	SHOW(mount(AT "/copy", AT "/dir", NULL, MS_MOVE, NULL));
	enter(AT "/dir/inner");
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, AT "/dir", OPEN_TREE_CLONE | AT_RECURSIVE);
	printf("open_tree: %s\n", fd < 0 ? error_name(errno) : "ok");
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		CHECK(mounted(AT "/dir/inner"));
		SHOW(syscall(SYS_move_mount, fd, "", AT_FDCWD, AT "/copy", 4));
	});
	SHOW(syscall(SYS_move_mount, fd, "", AT_FDCWD, AT "/copy", 4));
	close(fd);
	CHECK(mounted(AT "/copy/inner"));
	SHOW(umount2(AT "/copy", MNT_DETACH));
	SHOW(umount2(AT "/dir", MNT_DETACH));
	SHOW(umount2(AT "/dir", MNT_DETACH));
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/ns/mnt", OPEN_TREE_CLONE);
	printf("open_tree of one's own: %s\n", fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		SHOW(syscall(SYS_move_mount, fd, "", AT_FDCWD, FILE_AT, 4));
	close(fd);
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/ns/net", OPEN_TREE_CLONE);
	printf("open_tree of a network: %s\n", fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		SHOW(syscall(SYS_move_mount, fd, "", AT_FDCWD, FILE_AT, 4));
	close(fd);
	umount2(FILE_AT, 0);
}

static void propagation(void)
{
	MUST(mount("none", AT "/dir", "tmpfs", 0, NULL));
	MUST(mount(NULL, AT "/dir", NULL, MS_SHARED, NULL));
	put_file(AT "/dir/inner", "", 0644);
	pid_t child = inhabitant("shared");
	printf("shared, with a peer: %s\n", mount(file_of(child), AT "/dir/inner", NULL, MS_BIND, NULL) ? error_name(errno) : "ok");
	kill_it(child);
	MUST(mount(NULL, AT "/dir", NULL, MS_PRIVATE, NULL));
	child = inhabitant("private");
	printf("private: %s\n", mount(file_of(child), AT "/dir/inner", NULL, MS_BIND, NULL) ? error_name(errno) : "ok");
	kill_it(child);
	enter(AT "/dir/inner");
	MUST(mount("none", AT "/copy", "tmpfs", 0, NULL));
	MUST(mount(NULL, AT "/copy", NULL, MS_SHARED, NULL));
	mkdir(AT "/copy/a", 0755);
	mkdir(AT "/peer", 0755);
	MUST(mount(AT "/copy", AT "/peer", NULL, MS_BIND, NULL));
	SHOW(mount(AT "/dir", AT "/copy/a", NULL, MS_BIND | MS_REC, NULL));
	CHECK(mounted(AT "/copy/a/inner"));
	CHECK(mounted(AT "/peer/a/inner"));
	SHOW(umount2(AT "/peer", MNT_DETACH));
	SHOW(umount2(AT "/copy", MNT_DETACH));
	SHOW(umount2(AT "/dir", MNT_DETACH));
}

/* Each namespace keeps the next one: all of them end when the first one does. */
static void chain(void)
{
	enum { LENGTH = 60 };
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		for (int i = 0; i < LENGTH; i++) {
			int ends[2];
			char byte;
			MUST(pipe(ends));
			pid_t parent = getpid(), child = (pid_t)MUST(fork());
			if (child) {
				/* The parent mounts the child's namespace, and goes. */
				MUST(read(ends[0], &byte, 1));
				MUST(mount(file_of(child), FILE_AT, NULL, MS_BIND, NULL));
				kill(child, SIGUSR1);
				MUST(waitpid(child, NULL, 0));
				if (i == 0)
					enter(FILE_AT);
				fflush(stdout);
				_exit(0);
			}
			(void)parent;
			sigset_t set;
			int signal;
			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL);
			MUST(unshare(CLONE_NEWNS));
			if (i == 0) {
				MUST(mount("none", AT "/dir", "tmpfs", 0, NULL));
				put_file(AT "/dir/mark", "chain", 0644);
			}
			MUST(write(ends[1], "x", 1));
			sigwait(&set, &signal);
			close(ends[0]);
			close(ends[1]);
		}
	});
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir(AT, 0755);
	MUST(mount("none", AT, "tmpfs", 0, NULL));
	MUST(mkdir(AT "/dir", 0755));
	put_file(FILE_AT, "", 0644);
	put_file(OTHER_AT, "", 0644);
	puts("== kept");
	kept();
	puts("== orders");
	orders();
	puts("== trees");
	trees();
	puts("== propagation");
	propagation();
	puts("== a chain");
	chain();
	return 0;
}
