/* Mounts in a user namespace: what may be mounted, and what of the parent's is locked. */
#include "userns_case.h"
#include <sys/statfs.h>

static void line(const char *place)
{
	char text[512], found[128];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	if (!file) {
		printf("no mountinfo: %s\n", error_name(errno));
		return;
	}
	while (fgets(text, sizeof text, file)) {
		char root[128], flags[128], rest[256];
		if (sscanf(text, "%*d %*d %*s %127s %127s %127s %255[^\n]", root, found, flags, rest) != 4)
			continue;
		char *end = strstr(rest, "- ");
		if (!strcmp(found, place))
			printf("%s: %s %.8s\n", place, flags, end ? end + 2 : "");
	}
	fclose(file);
}

static void propagation(const char *place)
{
	char text[512], found[128];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (fgets(text, sizeof text, file)) {
		if (sscanf(text, "%*d %*d %*s %*s %127s", found) != 1 || strcmp(found, place))
			continue;
		printf("%s:%s%s\n", place, strstr(text, " shared:") ? " shared" : "", strstr(text, " master:") ? " slave" : "");
	}
	fclose(file);
}

static void owner(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %d %d mode %o\n", path, s.st_uid, s.st_gid, s.st_mode);
}

static void kinds(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, NULL));
	MUST(unshare(CLONE_NEWNS));
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, "size=1m,mode=700"));
	line("/tmp/um/here");
	owner("/tmp/um/here");
	SHOW(mkdir("/tmp/um/here/a", 0755));
	SHOW(mknod("/tmp/um/here/null", S_IFCHR | 0666, 0x103));
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, "uid=5,gid=6"));
	owner("/tmp/um/here");
	SHOW(chown("/tmp/um/here", 7, 8));
	SHOW(chown("/tmp/um/here", 65534, 8));
	SHOW(mount("none", "/tmp/um/here", NULL, MS_REMOUNT, "size=2m"));
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, "uid=5000"));
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, "gid=5000"));
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, "nonsense"));
	SHOW(mount("none", "/tmp/um/here", "ramfs", 0, NULL));
	owner("/tmp/um/here");
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("none", "/tmp/um/here", "devtmpfs", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "ext2", 0, NULL));
	SHOW(mount("/dev/vda", "/tmp/um/here", "ext2", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "nosuch", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "sysfs", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "proc", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "mqueue", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "devpts", 0, "newinstance"));
	line("/tmp/um/here");
	owner("/tmp/um/here");
	owner("/tmp/um/here/ptmx");
	int first = open("/tmp/um/here/ptmx", O_RDWR | O_NOCTTY);
	CHECK(first >= 0);
	close(first);
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("none", "/tmp/um/here", "devpts", 0, "newinstance,ptmxmode=666,uid=5000"));
	SHOW(mount("none", "/tmp/um/here", "devpts", 0, "newinstance,ptmxmode=666,uid=5"));
	int master = open("/tmp/um/here/ptmx", O_RDWR | O_NOCTTY);
	CHECK(master >= 0);
	owner("/tmp/um/here/0");
	close(master);
	SHOW(umount("/tmp/um/here"));
	MUST(unshare(CLONE_NEWIPC));
	SHOW(mount("none", "/tmp/um/here", "mqueue", 0, NULL));
	owner("/tmp/um/here");
	SHOW(umount("/tmp/um/here"));
}

static void proc(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	printf("pid %d\n", getpid());
	SHOW(mount("none", "/tmp/um/here", "proc", 0, NULL));
	owner("/tmp/um/here/1");
	owner("/tmp/um/here/sys/kernel/hostname");
	SHOW(mount("none", "/tmp/um/here", NULL, MS_REMOUNT, "hidepid=2"));
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("none", "/tmp/um/here", "proc", 0, "gid=5000"));
	SHOW(mount("none", "/tmp/um/here", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "gid=5"));
	line("/tmp/um/here");
}

static void covered(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	SHOW(mount("none", "/tmp/um/here", "proc", 0, NULL));
	SHOW(mount("none", "/tmp/um/here", "proc", MS_RDONLY, NULL));
	SHOW(umount("/proc/sys"));
	SHOW(umount2("/proc/sys", MNT_DETACH));
	SHOW(umount("/proc"));
	SHOW(mount("/proc", "/tmp/um/here", NULL, MS_BIND, NULL));
	SHOW(mount("/proc", "/tmp/um/here", NULL, MS_BIND | MS_REC, NULL));
	SHOW(access("/tmp/um/here/sys/kernel", F_OK));
	SHOW(umount("/tmp/um/here/sys"));
	SHOW(mount("/tmp/um/here/sys", "/tmp/um/other", NULL, MS_MOVE, NULL));
	SHOW(umount("/tmp/um/here"));
	int kept = (int)MUST(open("/tmp/um/here", O_RDONLY | O_DIRECTORY));
	SHOW(umount2("/tmp/um/here", MNT_DETACH));
	SHOW(faccessat(kept, "sys/kernel", F_OK, 0));
	SHOW(faccessat(kept, "self", F_OK, AT_SYMLINK_NOFOLLOW));
	close(kept);
}

static void flags(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	line("/tmp/um/locked");
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_BIND, NULL));
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL));
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, NULL));
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_STRICTATIME, NULL));
	SHOW(mount(NULL, "/tmp/um/locked", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	SHOW(mount(NULL, "/tmp/um/plain", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	SHOW(mount(NULL, "/tmp/um/plain", NULL, MS_REMOUNT | MS_BIND, NULL));
	SHOW(mount(NULL, "/tmp/um/plain", NULL, MS_REMOUNT, NULL));
	SHOW(umount("/tmp/um/plain"));
	SHOW(umount2("/tmp/um/plain", MNT_DETACH));
	SHOW(umount2("/tmp/um/locked", MNT_DETACH));
	SHOW(mount("/tmp/um/plain", "/tmp/um/here", NULL, MS_MOVE, NULL));
	SHOW(mount("/tmp/um/plain", "/tmp/um/here", NULL, MS_BIND, NULL));
	SHOW(mount(NULL, "/tmp/um/here", NULL, MS_REMOUNT | MS_BIND | MS_NOATIME, NULL));
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("/tmp/um/locked", "/tmp/um/here", NULL, MS_BIND, NULL));
	SHOW(mount(NULL, "/tmp/um/here", NULL, MS_REMOUNT | MS_BIND, NULL));
	line("/tmp/um/here");
	SHOW(umount("/tmp/um/here"));
	SHOW(mount("/tmp/um", "/tmp/um/here", NULL, MS_BIND, NULL));
	SHOW(mount("/tmp/um", "/tmp/um/here", NULL, MS_BIND | MS_REC, NULL));
	SHOW(umount("/tmp/um/here/plain"));
	SHOW(umount2("/tmp/um/here", MNT_FORCE));
	SHOW(umount2("/tmp/um/here", MNT_DETACH));
	SHOW(mount("/tmp/um/plain/deeper", "/tmp/um/here", NULL, MS_BIND, NULL));
	SHOW(umount("/tmp/um/here"));
	SHOW(syscall(SYS_open_tree, AT_FDCWD, "/tmp/um", 1));
	SHOW(syscall(SYS_open_tree, AT_FDCWD, "/tmp/um", 1 | 0x8000) >= 0);
	uint64_t attributes[4] = { 0, 1, 0, 0 };
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/um/locked", 0, attributes, sizeof attributes));
	attributes[0] = 1;
	attributes[1] = 0;
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/um/plain", 0, attributes, sizeof attributes));
	attributes[0] = 0;
	attributes[1] = 1;
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/um/plain", 0, attributes, sizeof attributes));
	int context = (int)syscall(SYS_fspick, AT_FDCWD, "/tmp/um/plain", 0);
	CHECK(context >= 0);
	SHOW(syscall(SYS_fsconfig, context, 7, NULL, NULL, 0));
	context = (int)MUST(syscall(SYS_fsopen, "tmpfs", 0));
	SHOW(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
	SHOW(syscall(SYS_fsmount, context, 0, 0) >= 0);
	context = (int)MUST(syscall(SYS_fsopen, "devtmpfs", 0));
	SHOW(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
}

static void shares(void)
{
	hear();
	propagation("/tmp/um/shared");
	propagation("/tmp/um/plain");
	MUST(setresuid(0, 0, 0));
	SHOW(mount("none", "/tmp/um/shared/mine", "tmpfs", 0, NULL));
	SHOW(access("/tmp/um/shared/mine/x", F_OK));
	say();
	hear();
	SHOW(access("/tmp/um/shared/theirs/file", F_OK));
	line("/tmp/um/shared/theirs");
	SHOW(mount(NULL, "/tmp/um/shared/theirs", NULL, MS_REMOUNT | MS_BIND, NULL));
	SHOW(umount("/tmp/um/shared/theirs"));
	SHOW(mount(NULL, "/tmp/um/shared", NULL, MS_SHARED, NULL));
	propagation("/tmp/um/shared");
	say();
	hear();
	SHOW(access("/tmp/um/shared/early/file", F_OK));
}

static void devices(void)
{
	hear();
	MUST(setresuid(0, 0, 0));
	SHOW(open("/tmp/um/devices/null", O_RDWR) >= 0);
	SHOW(mount("none", "/tmp/um/here", "tmpfs", 0, NULL));
	say();
	hear();
	SHOW(open("/tmp/um/here/null", O_RDWR) >= 0);
}

static void pivot(void)
{
	hear();
	MUST(setresuid(0, 0, 0));
	/* The first root of all cannot be exchanged on Linux: have another. */
	MUST(mount("/", "/tmp/um/other", NULL, MS_BIND | MS_REC, NULL));
	MUST(chroot("/tmp/um/other"));
	MUST(chdir("/"));
	MUST(mount("/tmp/um/plain", "/tmp/um/here", NULL, MS_BIND, NULL));
	SHOW(syscall(SYS_pivot_root, "/tmp/um/locked", "/tmp/um/locked"));
	MUST(chdir("/tmp/um/here"));
	SHOW(syscall(SYS_pivot_root, ".", "deeper"));
}

int main(void)
{
	MUST(mkdir("/tmp/um", 0755));
	MUST(mount("none", "/tmp/um", "tmpfs", 0, NULL));
	for (const char *const *each = (const char *const[]){ "here", "other", "locked", "plain", "shared", "devices", NULL }; *each; each++) {
		char path[64];
		snprintf(path, sizeof path, "/tmp/um/%s", *each);
		MUST(mkdir(path, 0755));
	}
	finish(begin_mapped(kinds, 0));
	finish(begin_mapped(proc, CLONE_NEWNS | CLONE_NEWPID));
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		MUST(mount("none", "/proc/sys", "tmpfs", 0, NULL));
		finish(begin_mapped(covered, CLONE_NEWNS | CLONE_NEWPID));
	});
	MUST(mount("none", "/tmp/um/locked", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	MUST(mount("none", "/tmp/um/plain", "tmpfs", 0, NULL));
	MUST(mkdir("/tmp/um/plain/deeper", 0755));
	finish(begin_mapped(flags, CLONE_NEWNS));
	MUST(mount("none", "/tmp/um/shared", "tmpfs", 0, NULL));
	MUST(mount(NULL, "/tmp/um/shared", NULL, MS_SHARED, NULL));
	MUST(mkdir("/tmp/um/shared/mine", 0755));
	MUST(mkdir("/tmp/um/shared/theirs", 0755));
	MUST(mkdir("/tmp/um/shared/early", 0755));
	MUST(mount("none", "/tmp/um/shared/early", "tmpfs", 0, NULL));
	put_file("/tmp/um/shared/early/file", "", 0644);
	struct child c = begin_mapped(shares, CLONE_NEWNS);
	await(c);
	propagation("/tmp/um/shared");
	SHOW(access("/tmp/um/shared/mine/x", F_OK));
	MUST(mount("none", "/tmp/um/shared/theirs", "tmpfs", MS_NOSUID, NULL));
	put_file("/tmp/um/shared/theirs/file", "", 0644);
	tell(c);
	await(c);
	SHOW(access("/tmp/um/shared/theirs/file", F_OK));
	SHOW(umount("/tmp/um/shared/early"));
	tell(c);
	finish(c);
	MUST(mknod("/tmp/um/devices/null", S_IFCHR | 0666, 0x103));
	MUST(chmod("/tmp/um/devices/null", 0666));
	c = begin_mapped(devices, CLONE_NEWNS);
	await(c);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/root/tmp/um/here/null", c.pid);
	SHOW(mknod(path, S_IFCHR | 0666, 0x103));
	SHOW(open(path, O_RDWR));
	tell(c);
	finish(c);
	finish(begin_mapped(pivot, CLONE_NEWNS));
}
