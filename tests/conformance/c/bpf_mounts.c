/* The file system bpf: its options, and who may mount it. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#define HERE "/tmp/bpf_mounts"

static void attributes(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: mode %o, %d links, %d %d, size %ld, block %ld\n", path, s.st_mode, (int)s.st_nlink, s.st_uid, s.st_gid,
		       (long)s.st_size, (long)s.st_blksize);
}

static void line(void)
{
	char text[2000];
	FILE *mounts = fopen("/proc/self/mounts", "r");
	while (fgets(text, sizeof text, mounts))
		if (strstr(text, "/tmp/bpf_"))
			printf("%s", text);
	fclose(mounts);
}

static void with(const char *options)
{
	errno = 0;
	long result = mount("test", HERE, "bpf", 0, options);
	show_result(options, result, 1);
	if (result)
		return;
	line();
	attributes(HERE);
	MUST(umount(HERE));
}

static void again(const char *options)
{
	long result = mount("test", HERE, NULL, MS_REMOUNT, options);
	show_result(options, result, 1);
}

int main(void)
{
	struct statfs f;
	char text[200];
	FILE *kinds = fopen("/proc/filesystems", "r");
	while (fgets(text, sizeof text, kinds))
		if (strstr(text, "bpf"))
			printf("%s", text);
	MUST(mkdir(HERE, 0755));
	attributes("/sys/fs/bpf");
	printf("-- options\n");
	static const char *const texts[] = {
		"", "mode=700", "mode=0", "mode=17777", "mode=1777", "mode=0777", "mode=9", "mode=", "mode", "mode=7,mode=70",
		"mode=37777777777", "mode=47777777777", "mode=000000000000755", "mode=0x1ff", "mode=+755", "mode=-1", "mode=7 ",
		"uid=1000,gid=1001,mode=0750", "uid=0", "uid=x", "uid=", "uid", "uid=0x10", "uid=010", "uid=08", "uid=1k", "uid=10%",
		"uid=4294967294", "uid=4294967295", "uid=4294967296", "gid=-1", "gid=0x7fffffff", "gid=5,gid=6", "uid=+7",
		"nonsense", "nonsense=5", "=5", "=", ",", "mode=755,", ",mode=755", "source=x", "ro", "sync",
		"delegate_cmds=any", "delegate_cmds", "delegate_cmds=", "delegate_cmds=0", "delegate_cmds=1", "delegate_cmds=0x21",
		"delegate_cmds=x", "delegate_cmds=any:x", "delegate_cmds=1:2:64", "delegate_cmds=prog_load", "delegate_cmds=PROG_LOAD",
		"delegate_cmds=prog_load:map_create", "delegate_cmds=-1", "delegate_cmds=0xffffffffffffffff",
		"delegate_cmds=0x10000000000000000", "delegate_cmds=0x1fffffffff", "delegate_cmds=0x3fffffffff",
		"delegate_cmds=0x8000000000000000", "delegate_cmds=1,delegate_cmds=8", "delegate_cmds=017", "delegate_cmds=Any",
		"delegate_maps=any", "delegate_maps=array:hash", "delegate_maps=3", "delegate_maps=0x7fffffff",
		"delegate_progs=any", "delegate_progs=socket_filter:kprobe", "delegate_progs=0x8002", "delegate_progs=unspec",
		"delegate_attachs=any", "delegate_attachs=cgroup_device", "delegate_attachs=0x40", "delegate_attachs=:",
		"delegate_attachs=any,delegate_progs=any,delegate_maps=any,delegate_cmds=any,mode=700,gid=5,uid=6",
		"delegate_cmds=1:prog_load", "delegate_cmds=prog_load:1", "delegate_cmds=any:2", "delegate_cmds=prog_run",
		"delegate_cmds=+1", "delegate_cmds=0x", "delegate_cmds=1 ", "delegate_cmds=0x1ffffffffe", "delegate_cmds=0X3",
		"delegate_maps=cgroup_storage:percpu_cgroup_storage", "delegate_maps=0x7fffffffe", "delegate_maps=0x3ffffffff",
		"delegate_progs=0x1fffffffe", "delegate_progs=0xffffffff", "delegate_attachs=0x1fffffffffffffe",
		"delegate_attachs=0xffffffffffffff", "delegate_cmds=__max_bpf_cmd", "delegate_cmds=bpf_prog_load",
		"delegate_cmds=0xffffffffff", "delegate_maps=0xffffffffff", "delegate_progs=0xffffffffff", "delegate_attachs=0xfffffffffffffff",
	};
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
		with(texts[i]);

	printf("-- what is shown follows the directory\n");
	MUST(mount("test", HERE, "bpf", MS_NOSUID | MS_NOEXEC, "mode=755"));
	MUST(statfs(HERE, &f));
	printf("type %lx, block %ld, fragment %ld, name %ld, blocks %ld %ld, files %ld %ld\n", (long)f.f_type, (long)f.f_bsize,
	       (long)f.f_frsize, (long)f.f_namelen, (long)f.f_blocks, (long)f.f_bfree, (long)f.f_files, (long)f.f_ffree);
	line();
	MUST(chmod(HERE, 02711));
	MUST(chown(HERE, 5, 6));
	line();
	attributes(HERE);
	MUST(mkdir(HERE "/sub", 0700));
	attributes(HERE "/sub");
	MUST(mkdir("/tmp/bpf_sub", 0755));
	MUST(mount(HERE "/sub", "/tmp/bpf_sub", NULL, MS_BIND, NULL));
	line();
	MUST(umount("/tmp/bpf_sub"));
	again("mode=700");
	again("mode=9");
	again("uid=x");
	again("nonsense");
	again("delegate_cmds=1");
	again("ro");
	again("source=y");
	again("");
	line();
	MUST(umount(HERE));

	printf("-- who may\n");
	IN_CHILD(
		MUST(setresgid(1000, 1000, 1000));
		MUST(setresuid(1000, 1000, 1000));
		with("");
		with("mode=9");
		with("delegate_cmds=x");
	);
	IN_CHILD(
		MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		with("");
		with("mode=9");
		with("delegate_cmds=0");
		with("delegate_cmds=1");
		with("nonsense");
	);
	printf("-- the same of others\n");
	static const char *const kinds_like_it[] = { "tmpfs", "ramfs" };
	static const char *const owners[] = {
		"mode=37777777777", "mode=47777777777", "mode=000000000000755", "mode=+755", "uid=0x10", "uid=010", "uid=08", "uid=1k",
		"uid=10%", "gid=4294967294", "gid=4294967295", "gid=-1", "gid=+7",
	};
	for (unsigned i = 0; i < 2; i++)
		for (unsigned n = 0; n < sizeof owners / sizeof *owners; n++) {
			long result = mount("test", HERE, kinds_like_it[i], 0, owners[n]);
			show_result(owners[n], result, 1);
			if (result)
				continue;
			attributes(HERE);
			MUST(umount(HERE));
		}
	printf("-- through steps\n");
	int fd = (int)MUST(syscall(SYS_fsopen, "bpf", 0));
	SHOW(syscall(SYS_fsconfig, fd, 1, "mode", "700", 0));
	SHOW(syscall(SYS_fsconfig, fd, 1, "mode", "9", 0));
	SHOW(syscall(SYS_fsconfig, fd, 1, "nonsense", "9", 0));
	SHOW(syscall(SYS_fsconfig, fd, 0, "nonsense", NULL, 0));
	SHOW(syscall(SYS_fsconfig, fd, 0, "mode", NULL, 0));
	SHOW(syscall(SYS_fsconfig, fd, 2, "nonsense", "abc", 3));
	SHOW(syscall(SYS_fsconfig, fd, 2, "mode", "abc", 3));
	SHOW(syscall(SYS_fsconfig, fd, 5, "nonsense", NULL, fd));
	SHOW(syscall(SYS_fsconfig, fd, 1, "delegate_cmds", "1", 0));
	SHOW(syscall(SYS_fsconfig, fd, 1, "delegate_cmds", "a,b", 0));
	SHOW(syscall(SYS_fsconfig, fd, 1, "source", "mine", 0));
	SHOW(syscall(SYS_fsconfig, fd, 6, NULL, NULL, 0));
	int made = (int)MUST(syscall(SYS_fsmount, fd, 0, 0));
	SHOW(syscall(SYS_move_mount, made, "", AT_FDCWD, HERE, 4));
	line();
	attributes(HERE);
	close(made);
	close(fd);
	MUST(umount(HERE));
	return 0;
}
