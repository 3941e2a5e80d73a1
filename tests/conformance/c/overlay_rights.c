/* Permissions through an overlay of one's own: everything is permitted to the caller and, in the layers, to whoever
 * mounted it. What lies outside of a user namespace gains nothing by it. */
#include "overlay_case.h"
#include "userns_case.h"
#include <linux/capability.h>

#define AREA BASE "/area"

static const char *options = "";

static void mount_own(const char *more)
{
	char text[300];
	snprintf(text, sizeof text, "lowerdir=" AREA "/l,upperdir=" AREA "/u,workdir=" AREA "/w%s", more);
	show_result(text, mount("overlay", AREA "/t", "overlay", 0, text), 1);
}

static void give_capabilities(const char *path)
{
	uint32_t value[5] = {0x02000001, 0x80, 0, 0, 0};
	printf("capabilities of %s: %s\n", strrchr(path, '/'), setxattr(path, "security.capability", value, sizeof value, 0) == 0
		? "ok" : error_name(errno));
}

static void show_capabilities(const char *path)
{
	uint32_t value[6] = {0};
	ssize_t got = getxattr(path, "security.capability", value, sizeof value);
	if (got < 0)
		printf("%s: no capabilities: %s\n", path, error_name(errno));
	else
		printf("%s: %zd bytes, %#x, root %u\n", path, got, value[0], got == 24 ? value[5] : 0);
}

/* As uid 1000, root of a namespace of its own. */
static void user(void)
{
	become(1000);
	enter_as_root(CLONE_NEWNS);
	MUST(chdir("/"));
	mount_own(options);
	show_mount(AREA "/t");
	MUST(chdir(AREA "/t"));
	SHOW(open("roots", O_RDONLY) >= 0);
	SHOW(open("roots", O_WRONLY));
	SHOW(open("open to all", O_WRONLY));
	SHOW(open("secret", O_RDONLY));
	SHOW(chmod("open to all", 0600));
	SHOW(chmod("set id", 06777));
	SHOW(open("set id", O_WRONLY));
	SHOW(chown("mine", 5, 5));
	SHOW(chmod("mine", 04755));
	SHOW(open("device", O_RDWR));
	SHOW(chmod("my device", 0600));
	SHOW(rename("device", "device two"));
	SHOW(rename("roots", "roots two"));
	SHOW(unlink("roots"));
	SHOW(link("open to all", "linked"));
	SHOW(mknod("node", S_IFCHR | 0666, makedev(1, 3)));
	SHOW(mknod("pipe", S_IFIFO | 0666, 0));
	SHOW(mkdir("mine dir/new", 0755));
	SHOW(mkdir("roots dir/new", 0755));
	SHOW(rmdir("roots empty"));
	SHOW(mkdir("roots empty", 0755));
	SHOW(setxattr("mine", "user.a", "b", 1, 0));
	SHOW(setxattr("mine", "trusted.a", "b", 1, 0));
	SHOW(setxattr("mine", "security.a", "b", 1, 0));
	SHOW(setxattr("mine", "user.overlay.opaque", "y", 1, 0));
	SHOW(setxattr("mine", "trusted.overlay.opaque", "y", 1, 0));
	put_file("fresh", "fresh\n", 0755);
	give_capabilities(AREA "/t/fresh");
	give_capabilities(AREA "/t/mine");
	give_capabilities(AREA "/t/roots");
	show_capabilities(AREA "/t/fresh");
	show_capabilities(AREA "/t/mine");
	show_capabilities(AREA "/t/capable");
	SHOW(chmod("capable", 0755));
	int fd = open("fresh", O_RDWR);
	SHOW(fd >= 0);
	close(fd);
	SHOW(mknod("fresh device", S_IFBLK | 0600, makedev(7, 0)));
	MUST(chdir("/"));
	show_tree(AREA "/t");
	fflush(stdout);
}

static void prepare(void)
{
	begin_layers(0);
	MUST(mkdir(AREA, 0777));
	const char *names[] = {AREA "/l", AREA "/u", AREA "/w", AREA "/t"};
	for (int i = 0; i < 4; i++) {
		MUST(mkdir(names[i], 0755));
		MUST(chown(names[i], 1000, 1000));
	}
	MUST(chdir(AREA "/l"));
	put_file("roots", "root's\n", 0644);
	put_file("open to all", "for all\n", 0666);
	put_file("secret", "secret\n", 0600);
	put_file("set id", "set id\n", 06777);
	put_file("mine", "mine\n", 0644);
	put_file("capable", "capable\n", 0755);
	MUST(chown("mine", 1000, 1000));
	MUST(chown("capable", 1000, 1000));
	give_capabilities(AREA "/l/capable");
	MUST(mknod("device", S_IFCHR | 0666, makedev(1, 3)));
	MUST(mknod("my device", S_IFCHR | 0666, makedev(1, 3)));
	MUST(chown("my device", 1000, 1000));
	MUST(mkdir("mine dir", 0755));
	MUST(chown("mine dir", 1000, 1000));
	MUST(mkdir("roots dir", 0777));
	MUST(mkdir("roots empty", 0777));
	MUST(chdir("/"));
}

static void run(const char *more)
{
	printf("-- own overlay with \"%s\"\n", more);
	options = more;
	prepare();
	IN_CHILD(user());
	printf("-- seen from outside\n");
	show_capabilities(AREA "/u/fresh");
	show_capabilities(AREA "/u/mine");
	show_tree(AREA "/u");
	end_layers();
}

/* A work directory in which others have put something. */
static void full_work_directory(void)
{
	printf("-- somebody else's work directory\n");
	prepare();
	MUST(mkdir(AREA "/w/work", 0755));
	put_file(AREA "/w/work/precious", "precious\n", 0644);
	IN_CHILD(
		become(1000);
		enter_as_root(CLONE_NEWNS);
		mount_own("");
		show_mount(AREA "/t");
		SHOW(open(AREA "/t/mine", O_WRONLY));
	);
	show_tree(AREA "/w");
	MUST(chmod(AREA "/w/work", 0777));
	IN_CHILD(
		become(1000);
		enter_as_root(CLONE_NEWNS);
		mount_own("");
		SHOW(open(AREA "/t/mine", O_WRONLY) >= 0);
	);
	show_tree(AREA "/w");
	end_layers();
}

/* What a mount hides from those who did not make it stays hidden. */
static void hidden(void)
{
	printf("-- hidden by a mount\n");
	prepare();
	MUST(mkdir(AREA "/l/covered", 0755));
	put_file(AREA "/l/covered/hidden", "hidden\n", 0644);
	MUST(mount("tmpfs", AREA "/l/covered", "tmpfs", 0, NULL));
	IN_CHILD(
		become(1000);
		enter_as_root(CLONE_NEWNS);
		mount_own("");
		SHOW(open(AREA "/t/covered/hidden", O_RDONLY));
		SHOW(mount("overlay", AREA "/t", "overlay", 0, "lowerdir=/:" AREA "/l/mine dir"));
		SHOW(mount("overlay", AREA "/t", "overlay", 0, "lowerdir=" AREA "/l/mine dir:" AREA "/l/roots dir"));
	);
	/* Root itself sees below its own mounts. */
	TRY(mount("overlay", AREA "/t", "overlay", 0, "lowerdir=" AREA "/l:" AREA "/u"));
	show_tree(AREA "/t/covered");
	TRY(umount(AREA "/t"));
	MUST(umount(AREA "/l/covered"));
	/* A mount of another namespace, by a descriptor. */
	fflush(stdout);
	int here = (int)MUST(open(AREA "/l", O_PATH));
	IN_CHILD(
		char text[100];
		MUST(unshare(CLONE_NEWNS));
		snprintf(text, sizeof text, "lowerdir=/proc/self/fd/%d:" AREA "/u", here);
		printf("a layer of another namespace: %s\n", mount("overlay", AREA "/t", "overlay", 0, text) == 0 ? "ok"
			: error_name(errno));
	);
	close(here);
	MUST(mount(AREA "/l", AREA "/l", NULL, MS_BIND, NULL));
	MUST(mount(NULL, AREA "/l", NULL, MS_UNBINDABLE, NULL));
	SHOW(mount("overlay", AREA "/t", "overlay", 0, "lowerdir=" AREA "/l:" AREA "/u"));
	MUST(umount(AREA "/l"));
	end_layers();
}

/* Root's overlay, used by somebody else: both are asked. */
static void others(void)
{
	printf("-- root's overlay used by others\n");
	prepare();
	mount_own("");
	IN_CHILD(
		become(1000);
		MUST(chdir(AREA "/t"));
		SHOW(open("roots", O_WRONLY));
		SHOW(open("secret", O_RDONLY));
		SHOW(open("mine", O_WRONLY) >= 0);
		SHOW(open("open to all", O_WRONLY) >= 0);
		SHOW(chmod("roots", 0666));
		SHOW(chmod("mine", 06755));
		SHOW(mkdir("mine dir/new", 02775));
		SHOW(open("mine dir/file", O_CREAT | O_WRONLY, 0640) >= 0);
		SHOW(unlink("secret"));
		SHOW(unlink("roots dir"));
		SHOW(rmdir("roots empty"));
		SHOW(setxattr("mine", "trusted.a", "b", 1, 0));
		SHOW(setxattr("mine", "user.a", "b", 1, 0));
		SHOW(getxattr("mine", "trusted.overlay.origin", NULL, 0));
		give_capabilities(AREA "/t/mine");
	);
	show_tree(AREA "/u");
	TRY(umount(AREA "/t"));
	end_layers();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	IN_CHILD(run(""));
	IN_CHILD(run(",userxattr"));
	IN_CHILD(full_work_directory());
	IN_CHILD(hidden());
	IN_CHILD(others());
	return 0;
}
