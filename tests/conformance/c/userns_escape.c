/*
 * Ways out of a user namespace that a kernel must bar: maps that overlap or are written by others, descriptors that a
 * privileged program was talked into writing to, groups given up to get rights, programs with set-id bits, tracing
 * across namespaces, stale descriptors of namespaces, files hidden by mounts, devices, keys of the machine.
 */
#include "userns_case.h"
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void rest(void)
{
	say();
	hear();
}

static void rest_as_user(void)
{
	become(1000);
	rest();
}

static void rest_in_own(void)
{
	become(1000);
	MUST(unshare(CLONE_NEWUSER));
	rest();
}

/* Who maps whom. */
static void maps(void)
{
	struct child c = begin(rest_in_own, 0);
	await(c);
	IN_CHILD(become(1001); SHOW(put_of(c.pid, "uid_map", "0 1001 1")); SHOW(put_of(c.pid, "uid_map", "0 1000 1")));
	IN_CHILD(become(1000); SHOW(put_of(c.pid, "uid_map", "0 0 1")); SHOW(put_of(c.pid, "uid_map", "0 1000 1\n1 0 1")));
	IN_CHILD({
		/* From a sibling namespace of the same user. */
		become(1000);
		enter_as_root(0);
		SHOW(put_of(c.pid, "uid_map", "0 0 1"));
	});
	/* Root opens it, and a user writes; a user opens it, and root writes. */
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", c.pid);
	IN_CHILD({
		int fd = (int)MUST(open(path, O_WRONLY));
		become(1001);
		SHOW(write(fd, "0 0 1", 5));
		SHOW(write(fd, "0 1001 1", 8));
	});
	IN_CHILD({
		int two[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
		pid_t pid = (pid_t)MUST(fork());
		if (pid == 0) {
			become(1000);
			int fd = open(path, O_WRONLY);
			char control[CMSG_SPACE(4)] = { 0 };
			struct iovec part = { "x", 1 };
			struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
			struct cmsghdr *header = CMSG_FIRSTHDR(&message);
			*header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
			memcpy(CMSG_DATA(header), &fd, 4);
			MUST(sendmsg(two[1], &message, 0));
			_exit(0);
		}
		char control[CMSG_SPACE(4)];
		char byte;
		struct iovec part = { &byte, 1 };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
		MUST(recvmsg(two[0], &message, 0));
		int fd;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), 4);
		SHOW(write(fd, "0 0 4294967295", 14));
		SHOW(write(fd, "0 0 1", 5));
		show_end(pid);
	});
	tell(c);
	finish(c);
	IN_CHILD({
		/* A map of the first namespace's root that the maker could not have made. */
		become(1000);
		enter_as_root(0);
		struct child inner = begin(rest, CLONE_NEWUSER);
		await(inner);
		SHOW(put_of(inner.pid, "uid_map", "0 0 2"));
		SHOW(put_of(inner.pid, "uid_map", "0 1000 1"));
		SHOW(put_of(inner.pid, "uid_map", "0 0 1\n0 0 1"));
		SHOW(put_of(inner.pid, "uid_map", "0 0 1\n1 0 1"));
		SHOW(put_of(inner.pid, "uid_map", "0 0 1"));
		SHOW(put_of(inner.pid, "uid_map", "0 0 1"));
		tell(inner);
		finish(inner);
	});
	IN_CHILD({
		/* A maker without CAP_SETFCAP must not map root. */
		MUST(prctl(PR_CAPBSET_DROP, 31, 0, 0, 0));
		struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
		uint32_t sets[6] = { 0x7fffffff, 0x7fffffff, 0, 0x1ff, 0x1ff, 0 };
		MUST(syscall(SYS_capset, &header, sets));
		MUST(unshare(CLONE_NEWUSER));
		SHOW(put("/proc/self/uid_map", "0 0 1"));
		SHOW(put("/proc/self/uid_map", "0 1 1"));
	});
}

/* A file that members of a group may not read: leaving the group must not help. */
static void groups(void)
{
	put_file("/tmp/uescape/denied", "secret", 0604);
	MUST(chown("/tmp/uescape/denied", 0, 2000));
	IN_CHILD({
		MUST(setgroups(1, (gid_t[]){ 2000 }));
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
		SHOW(open("/tmp/uescape/denied", O_RDONLY));
		MUST(unshare(CLONE_NEWUSER));
		SHOW(put("/proc/self/gid_map", "0 1000 1"));
		SHOW(setgroups(0, NULL));
		SHOW(put("/proc/self/setgroups", "deny"));
		SHOW(put("/proc/self/gid_map", "0 2000 1"));
		SHOW(put("/proc/self/gid_map", "0 1000 1"));
		SHOW(put("/proc/self/uid_map", "0 1000 1"));
		SHOW(setgroups(0, NULL));
		SHOW(put("/proc/self/setgroups", "allow"));
		MUST(unshare(CLONE_NEWUSER));
		SHOW(put("/proc/self/setgroups", "allow"));
		SHOW(put("/proc/self/gid_map", "0 0 1"));
		SHOW(setgroups(0, NULL));
		SHOW(open("/tmp/uescape/denied", O_RDONLY));
	});
}

/* Tracing and looking into others. */
static void tracing(void)
{
	struct child root = begin(rest, 0), user = begin(rest_as_user, 0), own = begin(rest_in_own, 0);
	await(root);
	await(user);
	await(own);
	pid_t targets[3] = { root.pid, user.pid, own.pid };
	for (int i = 0; i < 3; i++) {
		IN_CHILD({
			become(1000);
			enter_as_root(0);
			char path[64];
			char byte;
			struct iovec here = { &byte, 1 };
			struct iovec there = { &told, 1 };
			printf("target %d\n", i);
			SHOW(ptrace(PTRACE_ATTACH, targets[i], 0, 0));
			SHOW(process_vm_writev(targets[i], &here, 1, &there, 1, 0));
			for (const char *const *name = (const char *const[]){ "mem", "environ", "maps", "auxv", NULL }; *name; name++) {
				snprintf(path, sizeof path, "/proc/%d/%s", targets[i], *name);
				printf("%s: ", *name);
				int fd = open(path, O_RDONLY);
				printf("%s\n", fd >= 0 ? "open" : error_name(errno));
				close(fd);
			}
			for (const char *const *name = (const char *const[]){ "root", "cwd", "exe", "fd/0", "ns/mnt", "ns/user", NULL }; *name; name++) {
				snprintf(path, sizeof path, "/proc/%d/%s", targets[i], *name);
				char text[64];
				printf("%s: ", *name);
				printf("%s\n", readlink(path, text, sizeof text) >= 0 ? "seen" : error_name(errno));
			}
			int pidfd = (int)MUST(syscall(SYS_pidfd_open, targets[i], 0));
			SHOW(syscall(SYS_pidfd_getfd, pidfd, 0, 0));
			SHOW(setns(pidfd, CLONE_NEWUSER));
			SHOW(setns(pidfd, CLONE_NEWNS));
			SHOW(syscall(SYS_kcmp, getpid(), targets[i], 0, 0, 0) >= 0);
		});
	}
	tell(root);
	tell(user);
	tell(own);
	finish(root);
	finish(user);
	finish(own);
}

/* Descriptors of namespaces that were opened before. */
static void stale(void)
{
	int user = (int)MUST(open("/proc/self/ns/user", O_RDONLY)), mounts = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
	int uts = (int)MUST(open("/proc/self/ns/uts", O_RDONLY)), pids = (int)MUST(open("/proc/self/ns/pid", O_RDONLY));
	int ipc = (int)MUST(open("/proc/self/ns/ipc", O_RDONLY)), net = (int)MUST(open("/proc/self/ns/net", O_RDONLY));
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWIPC);
		SHOW(setns(user, 0));
		SHOW(setns(mounts, 0));
		SHOW(setns(uts, 0));
		SHOW(setns(pids, 0));
		SHOW(setns(ipc, 0));
		SHOW(setns(net, 0));
		SHOW(ioctl(user, NS_GET_PARENT));
		SHOW(ioctl(mounts, NS_GET_USERNS));
		SHOW(ioctl(pids, NS_GET_PARENT));
		SHOW(fchdir(mounts));
	});
	IN_CHILD({
		/* One's own namespace, left and kept open: coming back gives no more than the maker has. */
		become(1000);
		enter_as_root(0);
		int own = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
		SHOW(setns(own, 0));
		MUST(unshare(CLONE_NEWUSER));
		SHOW(setns(own, 0));
	});
	IN_CHILD({
		/* A namespace whose processes have all ended. */
		struct child c = begin(rest, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWUTS);
		await(c);
		char path[64];
		int files[3];
		const char *names[3] = { "user", "pid", "uts" };
		for (int i = 0; i < 3; i++) {
			snprintf(path, sizeof path, "/proc/%d/ns/%s", c.pid, names[i]);
			files[i] = (int)MUST(open(path, O_RDONLY));
		}
		tell(c);
		show_end(c.pid);
		SHOW(setns(files[1], 0));
		SHOW(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
		SHOW(setns(files[2], 0));
		SHOW(setns(files[0], 0));
		SHOW(setns(files[2], 0));
		SHOW(sethostname("dead", 4));
	});
}

/* Set-id programs and capabilities made inside, and carried out. */
static void programs(void)
{
	struct child c = begin(rest, 0);
	await(c);
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		MUST(mount("none", "/mnt", "tmpfs", 0, NULL));
		put_file("/mnt/suid", "x", 0755);
		SHOW(chmod("/mnt/suid", 06755));
		struct { uint32_t magic, sets[4]; } value = { 0x02000001, { 0xffffffff, 0, 0x1ff, 0 } };
		SHOW(setxattr("/mnt/suid", "security.capability", &value, sizeof value, 0));
		struct stat s;
		MUST(stat("/mnt/suid", &s));
		printf("%d %o\n", s.st_uid, s.st_mode);
		SHOW(chown("/mnt/suid", 1, 0));
		SHOW(mknod("/mnt/device", S_IFBLK | 0600, 0x100));
		SHOW(mknod("/mnt/memory", S_IFCHR | 0600, 0x101));
		put_file("/tmp/uescape/own", "x", 0755);
		SHOW(setxattr("/tmp/uescape/own", "security.capability", &value, sizeof value, 0));
	});
	struct { uint32_t magic, sets[4], root; } value = { 0 };
	SHOW(getxattr("/tmp/uescape/own", "security.capability", &value, sizeof value));
	printf("%x root %d\n", value.magic, value.root);
	tell(c);
	finish(c);
}

/* What lies under a mount stays hidden, and what is read-only stays so. */
static void hidden(void)
{
	MUST(mkdir("/tmp/uescape/covered", 0755));
	put_file("/tmp/uescape/covered/secret", "secret", 0644);
	MUST(mount("none", "/tmp/uescape/covered", "tmpfs", MS_RDONLY | MS_NODEV, NULL));
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		SHOW(umount("/tmp/uescape/covered"));
		SHOW(umount2("/tmp/uescape/covered", MNT_DETACH));
		SHOW(mount(NULL, "/tmp/uescape/covered", NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL));
		SHOW(mount(NULL, "/tmp/uescape/covered", NULL, MS_REMOUNT | MS_NODEV, NULL));
		SHOW(mount("/tmp/uescape", "/mnt", NULL, MS_BIND, NULL));
		SHOW(mount("/tmp/uescape", "/mnt", NULL, MS_BIND | MS_REC, NULL));
		SHOW(access("/mnt/covered/secret", F_OK));
		int kept = (int)MUST(open("/mnt", O_RDONLY | O_DIRECTORY));
		SHOW(umount("/mnt/covered"));
		SHOW(umount2("/mnt", MNT_DETACH));
		SHOW(faccessat(kept, "covered/secret", F_OK, 0));
		SHOW(openat(kept, "covered/file", O_CREAT | O_WRONLY, 0644));
		int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/tmp/uescape", 1);
		CHECK(tree >= 0);
		tree = (int)MUST(syscall(SYS_open_tree, AT_FDCWD, "/tmp/uescape", 1 | 0x8000));
		SHOW(faccessat(tree, "covered/secret", F_OK, 0));
		close(tree);
		/* The whole namespace goes, and a directory of it is kept. */
		int outside = (int)MUST(open("/tmp/uescape", O_RDONLY | O_DIRECTORY));
		MUST(unshare(CLONE_NEWNS));
		SHOW(faccessat(outside, "covered/secret", F_OK, 0));
		SHOW(mount("none", "/tmp/uescape/covered", "tmpfs", 0, NULL));
		SHOW(umount("/tmp/uescape/covered"));
		SHOW(access("/tmp/uescape/covered/secret", F_OK));
		SHOW(syscall(SYS_pivot_root, "/tmp/uescape/covered", "/tmp/uescape/covered"));
	});
	MUST(umount("/tmp/uescape/covered"));
}

/* How a mount of the machine passes on what is mounted on it. */
static void show_propagation(const char *path)
{
	static char text[65536];
	int fd = (int)MUST(open("/proc/self/mountinfo", O_RDONLY));
	long length = 0, n;
	while ((n = read(fd, text + length, sizeof text - 1 - length)) > 0)
		length += n;
	close(fd);
	text[length] = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char place[256], fields[256];
		if (sscanf(line, "%*s %*s %*s %*s %255s %*s %255s", place, fields) == 2 && strcmp(place, path) == 0)
			printf("%s %s\n", path, strncmp(fields, "shared", 6) == 0 ? "shared" : fields);
	}
}

/* A descriptor of a mount that belongs to the machine's namespace gives no power over it. */
static void others_mounts(void)
{
	MUST(mkdir("/tmp/uescape/theirs", 0777));
	MUST(mount("none", "/tmp/uescape/theirs", "tmpfs", 0, NULL));
	MUST(mount(NULL, "/tmp/uescape/theirs", NULL, MS_SHARED, NULL));
	IN_CHILD({
		become(1000);
		int fd = (int)MUST(open("/tmp/uescape/theirs", O_PATH));
		char path[64];
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		enter_as_root(CLONE_NEWNS);
		SHOW(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
		SHOW(umount2(path, MNT_DETACH));
		SHOW(mount(path, "/mnt", NULL, MS_BIND, NULL));
		SHOW(mount("none", path, "tmpfs", 0, NULL));
		SHOW(mount(NULL, path, NULL, MS_PRIVATE, NULL));
		SHOW(mount(NULL, path, NULL, MS_REC | MS_UNBINDABLE, NULL));
	});
	show_propagation("/tmp/uescape/theirs");
	MUST(umount("/tmp/uescape/theirs"));
}

/* Names on which a user has mounted something, in a namespace of his. */
static void mount_on_names(void)
{
	become(1000);
	enter_as_root(CLONE_NEWNS);
	for (const char *const *each = (const char *const[]){ "removed", "moved", "replaced", NULL }; *each; each++) {
		char path[64];
		snprintf(path, sizeof path, "/tmp/uescape/names/%s", *each);
		MUST(mount("none", path, "tmpfs", 0, NULL));
		strcat(path, "/inside");
		put_file(path, "x", 0644);
	}
	MUST(mount("/proc/self/status", "/tmp/uescape/names/unlinked", NULL, MS_BIND, NULL));
	SHOW(unlink("/tmp/uescape/names/unlinked"));
	SHOW(rmdir("/tmp/uescape/names/removed"));
	SHOW(rename("/tmp/uescape/names/moved", "/tmp/uescape/names/elsewhere"));
	SHOW(rename("/tmp/uescape/names/plain", "/tmp/uescape/names/replaced"));
	int kept = (int)MUST(open("/tmp/uescape/names/removed", O_RDONLY | O_DIRECTORY));
	say();
	hear();
	SHOW(access("/tmp/uescape/names/unlinked", F_OK));
	SHOW(access("/tmp/uescape/names/removed", F_OK));
	SHOW(access("/tmp/uescape/names/elsewhere/inside", F_OK));
	SHOW(access("/tmp/uescape/names/replaced/inside", F_OK));
	SHOW(faccessat(kept, "inside", F_OK, 0));
	SHOW(umount("/tmp/uescape/names/elsewhere"));
	SHOW(umount("/tmp/uescape/names/removed"));
	SHOW(umount("/tmp/uescape/names/replaced"));
	say();
	hear();
	SHOW(access("/tmp/uescape/names/again/inside", F_OK));
}

static void names(void)
{
	MUST(mkdir("/tmp/uescape/names", 0777));
	MUST(chmod("/tmp/uescape/names", 0777));
	for (const char *const *each = (const char *const[]){ "removed", "moved", "replaced", "plain", NULL }; *each; each++) {
		char path[64];
		snprintf(path, sizeof path, "/tmp/uescape/names/%s", *each);
		MUST(mkdir(path, 0777));
	}
	put_file("/tmp/uescape/names/unlinked", "x", 0644);
	struct child c = begin(mount_on_names, 0);
	await(c);
	SHOW(unlink("/tmp/uescape/names/unlinked"));
	SHOW(rmdir("/tmp/uescape/names/removed"));
	SHOW(rename("/tmp/uescape/names/moved", "/tmp/uescape/names/elsewhere"));
	SHOW(rename("/tmp/uescape/names/plain", "/tmp/uescape/names/replaced"));
	tell(c);
	await(c);
	SHOW(rmdir("/tmp/uescape/names/elsewhere"));
	SHOW(rmdir("/tmp/uescape/names/replaced"));
	tell(c);
	finish(c);
}

/* A directory that is moved out of what a bind mount shows is no way out of the mount. */
static void moved_out(void)
{
	MUST(mkdir("/tmp/uescape/part", 0777));
	MUST(chmod("/tmp/uescape/part", 0777));
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		MUST(mkdir("/tmp/uescape/part/a", 0755));
		MUST(mkdir("/tmp/uescape/part/a/b", 0755));
		MUST(mount("/tmp/uescape/part", "/mnt", NULL, MS_BIND, NULL));
		MUST(chdir("/mnt/a/b"));
		SHOW(access("../../a", F_OK));
		MUST(rename("/tmp/uescape/part/a/b", "/tmp/uescape/out"));
		SHOW(access(".", F_OK));
		SHOW(access("..", F_OK));
		SHOW(access("../denied", F_OK));
		SHOW(access("../..", F_OK));
		SHOW(open("../../etc", O_RDONLY | O_DIRECTORY));
		SHOW(chdir(".."));
		SHOW(mkdir("../made", 0755));
		MUST(rename("/tmp/uescape/out", "/tmp/uescape/part/b"));
		SHOW(access("../a", F_OK));
	});
}

/* What belongs to the machine. */
static void machine(void)
{
	IN_CHILD({
		become(1000);
		enter_as_root(CLONE_NEWNS);
		SHOW(put("/proc/sys/kernel/panic", "1"));
		SHOW(put("/proc/sys/vm/drop_caches", "3"));
		SHOW(put("/proc/sys/fs/file-max", "3"));
		SHOW(put("/proc/sys/net/ipv4/ip_forward", "1"));
		SHOW(put("/proc/sys/user/max_user_namespaces", "7"));
		SHOW(chmod("/proc/sys/kernel/panic", 0666));
		SHOW(chown("/tmp/uescape/denied", 0, 0));
		SHOW(open("/tmp/uescape/denied", O_WRONLY));
		SHOW(mount("none", "/mnt", "devtmpfs", 0, NULL));
		SHOW(mount("none", "/mnt", "sysfs", 0, NULL));
		SHOW(mount("none", "/mnt", "proc", 0, NULL));
		SHOW(kill(1, SIGKILL));
		SHOW(setpriority(0, 0, -1));
		SHOW(chroot("/tmp/uescape"));
		SHOW(unshare(CLONE_NEWUSER));
	});
}

int main(void)
{
	mkdir("/mnt", 0755);
	MUST(mkdir("/tmp/uescape", 0777));
	MUST(chmod("/tmp/uescape", 01777));
	maps();
	groups();
	tracing();
	stale();
	programs();
	hidden();
	others_mounts();
	names();
	moved_out();
	machine();
}
