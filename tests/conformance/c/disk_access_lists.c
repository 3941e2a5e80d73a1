/* Access control lists (system.posix_acl_*), on tmpfs and on ext2 with small and with large inodes. */
#define _GNU_SOURCE
#include "case.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

struct list {
	uint32_t version;
	struct {
		uint16_t tag, rights;
		uint32_t number;
	} entries[40];
};

/* From a text like "u:rwx u5:rw g:r g7:rx m:rw o:": user, group, mask, other; x99 is an entry with an unknown tag. */
static size_t make(struct list *list, const char *text)
{
	size_t count = 0;
	list->version = 2;
	while (*text) {
		char kind = *text++, *end;
		long number = strtol(text, &end, 10);
		int named = end != text;
		list->entries[count].tag = kind == 'u' ? 1 + named : kind == 'g' ? 4 << named : kind == 'm' ? 16 : kind == 'o' ? 32 : 64;
		list->entries[count].number = named ? (uint32_t)number : 0xffffffff;
		list->entries[count].rights = 0;
		for (text = end + 1; *text && *text != ' '; text++)
			list->entries[count].rights |= *text == 'r' ? 4 : *text == 'w' ? 2 : *text == 'x' ? 1 : 8;
		while (*text == ' ')
			text++;
		count++;
	}
	return 4 + 8 * count;
}

static void set(const char *path, const char *name, const char *text)
{
	struct list list;
	size_t size = make(&list, text);
	char what[200];
	snprintf(what, sizeof what, "%s %s \"%s\"", path, name + 17, text);
	errno = 0;
	show_result(what, setxattr(path, name, &list, size, 0), 1);
}

static void show_list(const char *path, const char *name)
{
	struct list list;
	ssize_t size = getxattr(path, name, &list, sizeof list);
	if (size < 0) {
		printf("  %s: %s\n", name + 17, error_name(errno));
		return;
	}
	printf("  %s: version %u", name + 17, list.version);
	for (int i = 0; i < (size - 4) / 8; i++)
		printf(" %d:%d:%d", list.entries[i].tag, list.entries[i].rights, (int)list.entries[i].number);
	printf("\n");
}

static void show(const char *path)
{
	struct stat status;
	char names[1000];
	if (lstat(path, &status) < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	printf("%s: mode %o, names %zd\n", path, status.st_mode, llistxattr(path, names, sizeof names));
	show_list(path, ACCESS);
	show_list(path, DEFAULT);
}

static void as(uid_t uid, gid_t gid, gid_t more)
{
	MUST(setgroups(more != 0, &more));
	MUST(setgid(gid));
	MUST(setuid(uid));
}

static void what_lists_are_valid(void)
{
	struct list list;
	put_file("file", "text", 0644);
	show("file");
	set("file", ACCESS, "u:rw g:r o:r");
	show("file");
	set("file", ACCESS, "u:rwx g:x o:");
	show("file");
	set("file", ACCESS, "u:rw u5:rw g:r m:rw o:r");
	show("file");
	set("file", ACCESS, "u:rw u5:rw g:r o:r");
	set("file", ACCESS, "u:rw g:r m:r o:r");
	show("file");
	set("file", ACCESS, "u:rw g:r m:r");
	set("file", ACCESS, "u:rw g:r");
	set("file", ACCESS, "g:r u:rw o:r");
	set("file", ACCESS, "u:rw u:rw g:r o:r");
	set("file", ACCESS, "u:rw g7:r g:r m:r o:r");
	set("file", ACCESS, "u:rw g:r u5:r m:r o:r");
	set("file", ACCESS, "u:rw g:r m:r m:r o:r");
	set("file", ACCESS, "u:rw g:r o:r o:r");
	set("file", ACCESS, "u:rw g:r o:q");
	set("file", ACCESS, "u:rw g:r x9:r o:r");
	set("file", ACCESS, "u:rw u-1:r g:r m:r o:r");
	set("file", ACCESS, "u:rw u7:r u5:r u7:x g:r g9:r g2:w g9:x m:rx o:r");
	show("file");
	set("file", ACCESS, "");
	show("file");
	SHOW(setxattr("file", ACCESS, "", 0, 0));
	SHOW(setxattr("file", ACCESS, "abc", 3, 0));
	make(&list, "u:rw g:r o:r");
	SHOW(setxattr("file", ACCESS, &list, 27, 0));
	list.version = 1;
	SHOW(setxattr("file", ACCESS, &list, 28, 0));
	list.version = 2;
	set("file", ACCESS, "u:rw u5:rw g:r m:rw o:r");
	SHOW(setxattr("file", ACCESS, &list, 28, XATTR_CREATE));
	SHOW(setxattr("file", ACCESS, &list, 28, XATTR_REPLACE));
	SHOW(removexattr("file", ACCESS));
	SHOW(removexattr("file", ACCESS));
	SHOW(removexattr("file", DEFAULT));
	set("file", DEFAULT, "u:rw g:r o:r");
	set("file", DEFAULT, "");
	set("file", ACCESS "x", "u:rw g:r o:r");
	MUST(symlink("file", "link"));
	SHOW(lsetxattr("link", ACCESS, &list, 28, 0));
	SHOW(lgetxattr("link", ACCESS, &list, sizeof list));
	SHOW(lremovexattr("link", ACCESS));
	MUST(mkfifo("fifo", 0600));
	set("fifo", ACCESS, "u:rw u5:rw g: m:rw o:");
	show("fifo");
	set("file", ACCESS, "u:rw u5:rw g:r m:rw o:r");
	SHOW(getxattr("file", ACCESS, NULL, 0));
	SHOW(getxattr("file", ACCESS, &list, 10));
	SHOW(setxattr("/proc/self/status", ACCESS, &list, 28, 0));
	SHOW(getxattr("/proc/self/status", ACCESS, &list, 28));
}

/* What one user can do; rights that are asked for together. */
static void attempt(uid_t uid, gid_t gid, gid_t more)
{
	IN_CHILD({
		as(uid, gid, more);
		printf("user %d, groups %d %d:", uid, gid, more);
		for (int want = 1; want < 8; want++)
			printf(" %d", access("guarded", want) == 0);
		int fd = open("guarded", O_RDWR);
		printf(" open %d\n", fd >= 0);
	});
}

static void who_may(void)
{
	const char *lists[] = {
		"u:rwx u5:rwx u6:r u8: g:r g7:w g9:x m:rwx o:",
		"u:r u5:rwx u6:r u8: g:rw g7:w g9:rwx m:rx o:rwx",
		"u: u5:rwx g:rw g7:w m: o:rx",
		"u:rwx g:x m:rwx o:r",
	};
	put_file("guarded", "text", 0600);
	MUST(chown("guarded", 3, 4));
	for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
		set("guarded", ACCESS, lists[i]);
		show("guarded");
		uid_t users[] = {3, 5, 6, 8, 100};
		for (unsigned j = 0; j < 5; j++)
			attempt(users[j], 50, 0);
		attempt(100, 4, 0);
		attempt(100, 7, 0);
		attempt(100, 9, 7);
		attempt(100, 4, 7);
		attempt(0, 50, 0);
	}
	MUST(mkdir("closed", 0700));
	put_file("closed/inside", "text", 0666);
	set("closed", ACCESS, "u:rwx u5:x g: m:x o:");
	IN_CHILD(as(5, 5, 0); show_file("closed/inside"); SHOW(open("closed/new", O_CREAT | O_WRONLY, 0600)); SHOW(open("closed", O_RDONLY)));
	IN_CHILD(as(6, 6, 0); show_file("closed/inside"));
	IN_CHILD(as(5, 5, 0); set("guarded", ACCESS, "u:rw g:r o:r"); SHOW(removexattr("guarded", ACCESS)); SHOW(removexattr("guarded", DEFAULT)));
	IN_CHILD(as(3, 5, 0); set("guarded", ACCESS, "u:rw u1:r g:r m:rw o:r"); show("guarded"));
}

static void modes(void)
{
	put_file("file", "text", 0644);
	set("file", ACCESS, "u:rw u5:rwx g:rx m:rw o:r");
	int bits[] = {0777, 0600, 0640, 04711, 0};
	for (unsigned i = 0; i < 5; i++) {
		SHOW(chmod("file", bits[i]));
		show("file");
	}
	set("file", ACCESS, "u:rw g:rx m:rwx o:r");
	SHOW(chmod("file", 0604));
	show("file");
	SHOW(removexattr("file", ACCESS));
	show("file");
	MUST(chown("file", 3, 4));
	MUST(chmod("file", 02755));
	IN_CHILD(as(3, 3, 0); set("file", ACCESS, "u:rwx u5:r g:rx m:rx o:rx"); show("file"));
	MUST(chmod("file", 06755));
	set("file", ACCESS, "u:rwx u5:r g:rx m:rx o:rx");
	show("file");
	MUST(chown("file", 0, 0));
	show("file");
}

static void heirs(void)
{
	const char *lists[] = {"u:rwx g:rx o:r", "u:rwx u5:rwx g:rwx g7:rx m:rwx o:", "u:rw u5:rwx g: m:rx o:x"};
	for (unsigned i = 0; i < 3; i++) {
		mode_t masks[] = {022, 077};
		MUST(mkdir("dir", 0755));
		set("dir", DEFAULT, lists[i]);
		show("dir");
		for (unsigned j = 0; j < 2; j++) {
			MUST(chdir("dir"));
			umask(masks[j]);
			close(MUST(open("file", O_CREAT | O_WRONLY, 0666)));
			show("file");
			close(MUST(open("private", O_CREAT | O_WRONLY, 0700)));
			show("private");
			MUST(mkdir("below", 0777));
			show("below");
			MUST(mkdir("below/deeper", 01750));
			show("below/deeper");
			MUST(mknod("node", S_IFCHR | 0666, 0x103));
			show("node");
			MUST(mkfifo("fifo", 0606));
			show("fifo");
			MUST(symlink("file", "link"));
			show("link");
			int unnamed = MUST(open(".", O_TMPFILE | O_RDWR, 0666));
			struct list list;
			struct stat status;
			fstat(unnamed, &status);
			printf("unnamed: mode %o\n", status.st_mode);
			SHOW(fgetxattr(unnamed, ACCESS, &list, sizeof list));
			close(unnamed);
			struct sockaddr_un address = {AF_UNIX, "socket"};
			int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
			MUST(bind(fd, (void *)&address, sizeof address));
			show("socket");
			close(fd);
			umask(022);
			MUST(chdir(".."));
			MUST(system("rm -r dir/*"));
		}
		MUST(rmdir("dir"));
	}
	MUST(mkdir("dir", 0755));
	set("dir", DEFAULT, "u:rwx u5:rwx g:rwx m:rwx o:");
	SHOW(removexattr("dir", DEFAULT));
	show("dir");
	set("dir", ACCESS, "u:rwx u5:rwx g:rx m:rwx o:rx");
	close(MUST(open("dir/file", O_CREAT | O_WRONLY, 0666)));
	show("dir/file");
	MUST(system("rm -r dir"));
}

/* Root without the capabilities that go past all permissions is a user as others are. */
static void root_without_capabilities(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0}};

	put_file("of another", "text", 0600);
	MUST(chown("of another", 3, 4));
	set("of another", ACCESS, "u:rw u0:r g: m:rw o:");
	put_file("ours", "text", 02755);
	MUST(chown("ours", 0, 4));
	IN_CHILD({
		MUST(setgroups(0, NULL));
		MUST(syscall(SYS_capset, &header, none));
		SHOW(open("of another", O_RDONLY) >= 0 ? 0 : -1);
		SHOW(open("of another", O_WRONLY) >= 0 ? 0 : -1);
		set("ours", ACCESS, "u:rwx u5:rwx g:rx m:rwx o:rx");
		show("ours");
	});
}

static void everything(void)
{
	what_lists_are_valid();
	who_may();
	modes();
	heirs();
	root_without_capabilities();
}

static void on(const char *options)
{
	char command[200];
	snprintf(command, sizeof command, "mke2fs -F %s /dev/vda >/dev/null 2>&1", options);
	printf("---- %s\n", options);
	MUST(system(command));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(chdir("/mnt"));
	everything();
	MUST(mkdir("kept", 0755));
	set("kept", DEFAULT, "u:rwx u5:rwx g:rwx g70000:rx m:rwx o:");
	close(MUST(open("kept/file", O_CREAT | O_WRONLY, 0666)));
	MUST(chdir("/"));
	MUST(umount("/mnt"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, "acl"));
	MUST(system("grep /mnt /proc/mounts"));
	show("/mnt/kept");
	show("/mnt/kept/file");
	SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	set("/mnt/kept", ACCESS, "u:rwx g:rx o:r");
	MUST(umount("/mnt"));
	SHOW(mount("/dev/vda", "/mnt", "ext2", 0, "noacl"));
	SHOW(mount("/dev/vda", "/mnt", "ext2", 0, "nouser_xattr"));
}

int main(void)
{
	umask(022);
	MUST(mkdir("/tmp/lists", 0777));
	MUST(mount("tmpfs", "/tmp/lists", "tmpfs", 0, "mode=755"));
	MUST(chdir("/tmp/lists"));
	everything();
	MUST(chdir("/"));
	MUST(umount("/tmp/lists"));
	SHOW(mount("tmpfs", "/tmp/lists", "tmpfs", 0, "noacl"));
	on("-b 1024 -I 128");
	on("-b 4096 -I 256");
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
