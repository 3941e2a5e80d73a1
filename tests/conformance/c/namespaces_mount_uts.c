/* unshare(2), setns(2), clone(2): mount and UTS namespaces, their files, and who may. */
#include "case.h"
#include <dirent.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

/* linux/nsfs.h */
#define NS_GET_PARENT 0xb702
#define NS_GET_NSTYPE 0xb703
#define NS_GET_OWNER_UID 0xb704

static void show_name(const char *when)
{
	struct utsname names;
	MUST(uname(&names));
	printf("%s: %s %s\n", when, names.nodename, names.domainname);
}

static int is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void make(const char *path)
{
	close((int)MUST(open(path, O_CREAT | O_WRONLY, 0600)));
}

static long number_of(const char *path)
{
	char text[64];
	long length = readlink(path, text, sizeof text - 1), number = -1;
	if (length > 0) {
		text[length] = 0;
		sscanf(strchr(text, '['), "[%ld]", &number);
	}
	return number;
}

static void listing(void)
{
	char names[16][32];
	int count = 0;
	DIR *directory = opendir("/proc/self/ns");
	for (struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.' && count < 16)
			strcpy(names[count++], entry->d_name);
	closedir(directory);
	for (int i = 0; i < count; i++) {
		char path[64], text[64] = "";
		struct stat link, file;
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		MUST(readlink(path, text, sizeof text - 1));
		MUST(lstat(path, &link));
		MUST(stat(path, &file));
		int descriptor = (int)MUST(open(path, O_RDONLY));
		printf("%s: %.*s link %o file %o size %ld kind %x same number %d\n", names[i], (int)(strchr(text, '[') - text),
		       text, link.st_mode, file.st_mode, (long)file.st_size, ioctl(descriptor, NS_GET_NSTYPE),
		       number_of(path) == (long)file.st_ino);
		close(descriptor);
	}
}

static void files(void)
{
	struct statfs system;
	char byte;
	uid_t owner = 99;
	int uts = (int)MUST(open("/proc/self/ns/uts", O_RDONLY)), user = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
	MUST(fstatfs(uts, &system));
	printf("type %lx\n", (long)system.f_type);
	SHOW(read(uts, &byte, 1));
	SHOW(write(uts, "x", 1));
	SHOW(lseek(uts, 0, SEEK_SET));
	SHOW(ioctl(uts, NS_GET_PARENT));
	SHOW(ioctl(user, NS_GET_PARENT));
	SHOW(ioctl(uts, NS_GET_OWNER_UID, &owner));
	SHOW(ioctl(user, NS_GET_OWNER_UID, &owner));
	CHECK(owner == 0);
	SHOW(ioctl(uts, TIOCGWINSZ, &system));
	SHOW(open("/proc/self/ns/uts", O_RDWR));
	SHOW(open("/proc/self/ns/uts", O_RDONLY | O_NOFOLLOW));
	SHOW(access("/proc/self/ns/none", F_OK));
	SHOW(open("/proc/self/ns/uts", O_RDONLY | O_DIRECTORY));
	SHOW(unlink("/proc/self/ns/uts"));
	close(uts);
	close(user);
}

static void names(void)
{
	int original = (int)MUST(open("/proc/self/ns/uts", O_RDONLY));
	long number = number_of("/proc/self/ns/uts");
	MUST(sethostname("outside", 7));
	MUST(setdomainname("domain", 6));
	IN_CHILD({
		TRY(unshare(CLONE_NEWUTS));
		CHECK(number_of("/proc/self/ns/uts") != number);
		show_name("copied");
		MUST(sethostname("inside", 6));
		show_name("changed");
		FILE *setting = fopen("/proc/sys/kernel/hostname", "r");
		char text[32] = "";
		fgets(text, sizeof text, setting);
		printf("setting: %s", text);
		fclose(setting);
		IN_CHILD(show_name("inherited"));
		SHOW(setns(original, CLONE_NEWNS));
		SHOW(setns(original, 0));
		CHECK(number_of("/proc/self/ns/uts") == number);
		show_name("back");
		SHOW(setns(original, CLONE_NEWUTS));
	});
	show_name("outside");
	pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		MUST(sethostname("cloned", 6));
		show_name("in the clone");
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	show_name("outside");
	close(original);
}

static void mounts(void)
{
	MUST(mkdir("/tmp/a", 0755));
	MUST(mkdir("/tmp/b", 0755));
	MUST(mount("none", "/tmp/a", "tmpfs", 0, NULL));
	make("/tmp/a/before");
	int outside = (int)MUST(open("/tmp/b", O_RDONLY | O_DIRECTORY)), ready[2], done[2];
	MUST(pipe(ready));
	MUST(pipe(done));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(chdir("/tmp/a"));
		TRY(unshare(CLONE_NEWNS));
		TRY(mount("none", "/tmp/b", "tmpfs", 0, NULL));
		make("/tmp/b/inside");
		make("in the copy");
		MUST(chdir("/"));
		TRY(umount("/tmp/a"));
		CHECK(is_there("/tmp/a/before"));
		MUST(fchdir(outside));
		SHOW(mount("none", ".", "tmpfs", 0, NULL));
		SHOW(mount(".", "/tmp/a", NULL, MS_BIND, NULL));
		SHOW(mount("/tmp/b", ".", NULL, MS_MOVE, NULL));
		MUST(chdir("/"));
		fflush(stdout);
		MUST(write(ready[1], "", 1));
		char byte;
		MUST(read(done[0], &byte, 1));
		_exit(0);
	}
	char byte, path[64];
	MUST(read(ready[0], &byte, 1));
	CHECK(is_there("/tmp/a/before"));
	CHECK(is_there("/tmp/a/in the copy"));
	CHECK(is_there("/tmp/b/inside"));
	snprintf(path, sizeof path, "/proc/%d/root/tmp/b/inside", child);
	CHECK(is_there(path));
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", child);
	int tree = (int)MUST(open(path, O_RDONLY));
	IN_CHILD({
		SHOW(setns(tree, CLONE_NEWNS));
		CHECK(is_there("/tmp/b/inside"));
		char directory[64];
		printf("in %s\n", getcwd(directory, sizeof directory));
	});
	IN_CHILD({
		int process = (int)MUST(syscall(SYS_pidfd_open, child, 0));
		SHOW(setns(process, 0));
		SHOW(setns(process, 1));
		SHOW(setns(process, CLONE_NEWUSER));
		SHOW(setns(process, CLONE_NEWNS | CLONE_NEWUTS));
		CHECK(is_there("/tmp/b/inside"));
	});
	MUST(write(done[1], "", 1));
	show_end(child);
	IN_CHILD({
		SHOW(setns(tree, 0));
		CHECK(is_there("/tmp/b/inside"));
	});
	SHOW(close(tree));
	SHOW(umount("/tmp/a"));
	MUST(rmdir("/tmp/a"));
	MUST(rmdir("/tmp/b"));
}

static void wrong(void)
{
	int file = (int)MUST(open("/tmp", O_RDONLY)), user = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
	int uts = (int)MUST(open("/proc/self/ns/uts", O_RDONLY)), tree = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
	SHOW(setns(-1, 0));
	SHOW(setns(file, 0));
	SHOW(setns(user, 0));
	SHOW(setns(user, CLONE_NEWUTS));
	SHOW(unshare(1));
	SHOW(unshare(CLONE_VFORK));
	SHOW(unshare(CLONE_PARENT_SETTID));
	SHOW(syscall(SYS_unshare, 1L << 33));
	SHOW(unshare(0));
	SHOW(unshare(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM));
	SHOW(unshare(CLONE_THREAD));
	SHOW(unshare(CLONE_VM | CLONE_SIGHAND));
	SHOW(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		SHOW(unshare(CLONE_NEWNS));
		SHOW(unshare(CLONE_NEWUTS));
		SHOW(unshare(CLONE_FS));
		SHOW(setns(uts, 0));
		SHOW(setns(tree, 0));
		SHOW(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0));
		SHOW(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
		SHOW(open("/proc/1/ns/uts", O_RDONLY));
		SHOW(opendir("/proc/1/ns") != NULL);
		SHOW(readlink("/proc/1/ns/uts", (char[64]){0}, 64));
	});
	close(file);
	close(user);
	close(uts);
	close(tree);
}

static void shared_files(void)
{
	/* A child that shares descriptors and directories, until it no longer does. */
	char stack[16384] __attribute__((aligned(16)));
	(void)stack;
	int descriptor = (int)MUST(open("/tmp", O_RDONLY));
	pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		MUST(chdir("/tmp"));
		MUST(unshare(CLONE_FILES | CLONE_FS));
		MUST(chdir("/proc"));
		MUST(close(descriptor));
		_exit(0);
	}
	show_end(child);
	char directory[64];
	printf("in %s\n", getcwd(directory, sizeof directory));
	SHOW(fcntl(descriptor, F_GETFD));
	close(descriptor);
	child = (pid_t)MUST(syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		int tree = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
		SHOW(setns(tree, 0));
		SHOW(unshare(CLONE_NEWNS));
		SHOW(setns(tree, 0));
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	MUST(chdir("/"));
}

int main(void)
{
	listing();
	files();
	names();
	mounts();
	wrong();
	shared_files();
	return 0;
}
