/*
 * Covers: fs.protected_symlinks, protected_hardlinks, protected_regular and protected_fifos at all their levels, in directories that
 * are sticky and writable by all or by a group; who may read and write settings, also through a descriptor that root has opened.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include "case.h"

static void caps(unsigned long long effective)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { (unsigned)effective, (unsigned)effective, 0 }, { (unsigned)(effective >> 32), (unsigned)(effective >> 32), 0 } };
	MUST(syscall(SYS_capset, &h, d));
}

static void become(uid_t uid)
{
	gid_t group = 7;
	MUST(setgroups(1, &group));
	MUST(setresgid(uid, uid, uid));
	MUST(setresuid(uid, uid, uid));
}

static int put(const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/sys/fs/%s", name);
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	int result = (int)write(fd, text, strlen(text)), error = errno;
	close(fd);
	errno = error;
	return result;
}

static const char *const names[] = { "protected_fifos", "protected_hardlinks", "protected_regular", "protected_symlinks" };

static void settings(void)
{
	char path[64];
	for (int i = 0; i < 4; i++) {
		struct stat status;
		snprintf(path, sizeof path, "/proc/sys/fs/%s", names[i]);
		MUST(stat(path, &status));
		printf("%o ", status.st_mode);
		show_file(path);
		IN_CHILD(become(1000); show_file(path); SHOW(put(names[i], "1")));
		SHOW(put(names[i], "3"));
		SHOW(put(names[i], "-1"));
	}
}

static void make(const char *directory, uid_t owner)
{
	char path[64];
	snprintf(path, sizeof path, "%s/file%d", directory, owner);
	put_file(path, "text", 0666);
	MUST(chown(path, owner, owner));
	snprintf(path, sizeof path, "%s/fifo%d", directory, owner);
	MUST(mkfifo(path, 0666));
	MUST(chmod(path, 0666));
	MUST(chown(path, owner, owner));
	snprintf(path, sizeof path, "%s/link%d", directory, owner);
	MUST(symlink("/dev/null", path));
	MUST(lchown(path, owner, owner));
}

static void try_open(const char *directory, const char *kind, uid_t owner, int flags)
{
	char path[64];
	snprintf(path, sizeof path, "%s/%s%d", directory, kind, owner);
	int fd = open(path, flags, 0600);
	printf(" %s", fd < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

static void look(const char *directory, uid_t who)
{
	static const uid_t owners[] = { 0, 1000, 1001 };
	for (int i = 0; i < 3; i++) {
		char path[64];
		printf("  %s, user %d, of %d:", directory, who, owners[i]);
		try_open(directory, "file", owners[i], O_RDWR | O_CREAT);
		try_open(directory, "file", owners[i], O_RDWR);
		try_open(directory, "fifo", owners[i], O_RDWR | O_CREAT | O_NONBLOCK);
		try_open(directory, "fifo", owners[i], O_RDWR | O_NONBLOCK);
		try_open(directory, "link", owners[i], O_RDWR);
		try_open(directory, "link", owners[i], O_RDWR | O_CREAT);
		try_open(directory, "none/../link", owners[i], O_RDWR);
		snprintf(path, sizeof path, "%s/file%d", directory, owners[i]);
		printf(" link %s", link(path, "links/name") < 0 ? error_name(errno) : "ok");
		unlink("links/name");
		snprintf(path, sizeof path, "%s/fifo%d", directory, owners[i]);
		printf(" %s", link(path, "links/name") < 0 ? error_name(errno) : "ok");
		unlink("links/name");
		snprintf(path, sizeof path, "closed%d", owners[i]);
		printf(" %s\n", link(path, "links/name") < 0 ? error_name(errno) : "ok");
		unlink("links/name");
	}
}

static void level(const char *text)
{
	static const char *const directories[] = { "plain", "all", "group", "owned" };
	printf("level %s\n", text);
	for (int i = 0; i < 4; i++)
		SHOW(put(names[i], strcmp(text, "2") || i % 2 == 0 ? text : "1"));
	for (int i = 0; i < 4; i++) {
		IN_CHILD(look(directories[i], 0));
		IN_CHILD(become(1000); look(directories[i], 1000));
	}
}

static void passed_on(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_RDWR));
	char old[64];
	ssize_t n = MUST(read(fd, old, sizeof old));
	printf("%s\n", path);
	IN_CHILD(become(1000); SHOW(pwrite(fd, text, strlen(text), 0)));
	IN_CHILD(caps(0); SHOW(pwrite(fd, text, strlen(text), 0) > 0); TRY(open(path, O_WRONLY)));
	IN_CHILD(
		MUST(prctl(PR_SET_KEEPCAPS, 1));
		become(1000);
		caps(1 << 1 | 1 << 2);
		TRY(open(path, O_WRONLY)));
	MUST(pwrite(fd, old, n, 0));
	close(fd);
}

int main(void)
{
	settings();
	umask(0);
	static const struct { const char *name; mode_t mode; uid_t uid; gid_t gid; } made[] = {
		{ "plain", 0777, 0, 0 }, { "all", 01777, 0, 0 }, { "group", 01770, 0, 7 }, { "owned", 01777, 1001, 0 },
	};
	for (int i = 0; i < 4; i++) {
		char path[64];
		MUST(mkdir(made[i].name, 0777));
		make(made[i].name, 0);
		make(made[i].name, 1000);
		make(made[i].name, 1001);
		snprintf(path, sizeof path, "%s/none", made[i].name);
		MUST(mkdir(path, 0777));
		MUST(chown(made[i].name, made[i].uid, made[i].gid));
		MUST(chmod(made[i].name, made[i].mode));
	}
	MUST(mkdir("links", 0777));
	for (uid_t owner = 0; owner < 1002; owner += owner ? 1 : 1000) {
		char path[64];
		snprintf(path, sizeof path, "closed%d", owner);
		put_file(path, "text", 0600);
		MUST(chown(path, owner, owner));
	}
	level("0");
	level("1");
	level("2");
	SHOW(put("protected_fifos", "0"));
	SHOW(put("protected_regular", "0"));
	passed_on("/proc/sys/kernel/hostname", "name");
	passed_on("/proc/sys/kernel/printk", "4");
	passed_on("/proc/sys/fs/lease-break-time", "44");
	passed_on("/proc/sys/net/ipv4/ip_default_ttl", "63");
	return 0;
}
