/* Privileges on an id-mapped mount: set-ID programs, capabilities of files, access control lists; on tmpfs and on disk. */
#include "idmap_case.h"
#include <sys/stat.h>

#define ROOT "/tmp/privileges"
#define P ROOT "/plain/"
#define M ROOT "/m/"

static void copy_self(const char *to)
{
	static char data[1 << 16];
	int in = (int)MUST(open("/proc/self/exe", O_RDONLY)), out = (int)MUST(open(to, O_CREAT | O_WRONLY | O_TRUNC, 0700));
	for (long n; (n = MUST(read(in, data, sizeof data))) > 0;)
		MUST(write(out, data, (size_t)n));
	close(in), close(out);
}

/* What a program run from there is. */
static void run(const char *program)
{
	IN_CHILD({
		execl(program, program, "who", NULL);
		printf("exec: %s\n", error_name(errno));
	});
}

static void who(void)
{
	char text[4096];
	int fd = (int)MUST(open("/proc/self/status", O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = 0;
	char *at = strstr(text, "CapPrm:");
	ids("ids");
	printf("dumpable %d, capabilities %.16s\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), at ? at + 8 : "?");
}

static void set_ids(void)
{
	copy_self(P "tool");
	printf("-- set-ID\n");
	MUST(chown(P "tool", 1000, 2000));
	MUST(chmod(P "tool", 06755));
	AS(3, { run(M "tool"); run(P "tool"); });
	printf("-- of nobody\n");
	MUST(chown(P "tool", 40000, 2000));
	MUST(chmod(P "tool", 06755));
	AS(3, run(M "tool"));
	MUST(chown(P "tool", 1000, 40000));
	MUST(chmod(P "tool", 04755));
	AS(3, run(M "tool"));
	printf("-- unreadable\n");
	MUST(chown(P "tool", 1000, 2000));
	MUST(chmod(P "tool", 0711));
	AS(3, run(M "tool"));
	AS(11000, run(M "tool"));
	printf("-- written\n");
	MUST(chmod(P "tool", 06777));
	AS(3, { int fd = (int)MUST(open(M "tool", O_WRONLY)); SHOW(write(fd, "\177", 1)); });
	owner(M "tool");
	printf("-- made set-group-ID\n");
	IN_CHILD({
		gid_t groups[] = {22000};
		MUST(setgroups(1, groups));
		MUST(setresgid(3, 3, 3));
		MUST(setresuid(11000, 11000, 11000));
		SHOW(chmod(M "tool", 02755));
		owner(M "tool");
	});
	IN_CHILD({
		MUST(setgroups(0, NULL));
		MUST(setresgid(2000, 2000, 2000));
		MUST(setresuid(11000, 11000, 11000));
		SHOW(chmod(M "tool", 02755));
		owner(M "tool");
	});
}

static void show_attribute(const char *path)
{
	unsigned char value[64];
	ssize_t n = getxattr(path, "security.capability", value, sizeof value);
	printf("%s: ", path);
	if (n < 0)
		printf("%s", error_name(errno));
	for (ssize_t i = 0; i < n; i++)
		printf("%02x", value[i]);
	printf("\n");
}

static void capabilities(void)
{
	unsigned char two[20] = {1, 0, 0, 2, 0, 0x20}, three[24] = {1, 0, 0, 3, 0, 0x20};
	MUST(chown(P "tool", 1000, 2000));
	MUST(chmod(P "tool", 0755));
	printf("-- revision 2, kept\n");
	SHOW(setxattr(P "tool", "security.capability", two, sizeof two, 0));
	show_attribute(P "tool");
	show_attribute(M "tool");
	AS(3, { run(P "tool"); run(M "tool"); });
	printf("-- revision 2, through the mount\n");
	SHOW(setxattr(M "tool", "security.capability", two, sizeof two, 0));
	show_attribute(P "tool");
	show_attribute(M "tool");
	printf("-- revision 3, through the mount\n");
	uint32_t root = 10000;
	memcpy(three + 20, &root, 4);
	SHOW(setxattr(M "tool", "security.capability", three, sizeof three, 0));
	show_attribute(P "tool");
	show_attribute(M "tool");
	AS(3, { run(P "tool"); run(M "tool"); });
	root = 5;
	memcpy(three + 20, &root, 4);
	SHOW(setxattr(M "tool", "security.capability", three, sizeof three, 0));
	SHOW(removexattr(M "tool", "security.capability"));
	make(P "of nobody", 0755, 40000, 40000);
	SHOW(setxattr(M "of nobody", "security.capability", three, sizeof three, 0));
	AS(11000, SHOW(setxattr(M "tool", "security.capability", three, sizeof three, 0)));
}

#define ENTRY(tag, rights, id) (tag) | (rights) << 16, (id)

static void show_list(const char *path, const char *name)
{
	uint32_t value[40];
	ssize_t n = getxattr(path, name, value, sizeof value);
	printf("%s %s:", path, name + 17);
	if (n < 0)
		printf(" %s", error_name(errno));
	for (ssize_t i = 1; i < n / 4; i += 2)
		printf(" %x:%x:%d", value[i] & 0xffff, value[i] >> 16, (int)value[i + 1]);
	printf("\n");
}

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

static void lists(void)
{
	uint32_t kept[] = {2, ENTRY(1, 6, -1), ENTRY(2, 4, 1001), ENTRY(2, 6, 50000), ENTRY(4, 0, -1), ENTRY(8, 6, 1002),
		ENTRY(16, 6, -1), ENTRY(32, 0, -1)};
	uint32_t seen[] = {2, ENTRY(1, 7, -1), ENTRY(2, 5, 11003), ENTRY(4, 0, -1), ENTRY(8, 6, 21004), ENTRY(16, 7, -1),
		ENTRY(32, 0, -1)};
	make(P "listed", 0600, 1000, 1000);
	SHOW(setxattr(P "listed", ACCESS, kept, sizeof kept, 0));
	show_list(M "listed", ACCESS);
	AS(11001, { TRY(open(M "listed", O_RDONLY)); TRY(open(M "listed", O_WRONLY)); });
	AS(1001, TRY(open(M "listed", O_RDONLY)));
	AS(50000, TRY(open(M "listed", O_RDONLY)));
	IN_CHILD({
		gid_t groups[] = {21002};
		MUST(setgroups(1, groups));
		MUST(setresuid(3, 3, 3));
		TRY(open(M "listed", O_WRONLY));
		TRY(open(P "listed", O_WRONLY));
	});
	SHOW(setxattr(M "listed", ACCESS, seen, sizeof seen, 0));
	show_list(P "listed", ACCESS);
	show_list(M "listed", ACCESS);
	uint32_t foreign[] = {2, ENTRY(1, 7, -1), ENTRY(2, 5, 3), ENTRY(4, 0, -1), ENTRY(16, 7, -1), ENTRY(32, 0, -1)};
	SHOW(setxattr(M "listed", ACCESS, foreign, sizeof foreign, 0));
	SHOW(chmod(M "listed", 0640));
	show_list(M "listed", ACCESS);
	make(P "listed of nobody", 0600, 40000, 40000);
	SHOW(setxattr(M "listed of nobody", ACCESS, seen, sizeof seen, 0));
	SHOW(removexattr(M "listed of nobody", ACCESS));
	AS(11000, SHOW(setxattr(M "listed", ACCESS, seen, sizeof seen, 0)));
	AS(1000, SHOW(setxattr(M "listed", ACCESS, seen, sizeof seen, 0)));
	make_directory(P "handing down", 0777, 1000, 1000);
	SHOW(setxattr(M "handing down", DEFAULT, seen, sizeof seen, 0));
	show_list(P "handing down", DEFAULT);
	IN_CHILD({
		MUST(setgroups(0, NULL));
		MUST(setresgid(21000, 21000, 21000));
		MUST(setresuid(11005, 11005, 11005));
		close((int)MUST(open(M "handing down/file", O_CREAT | O_WRONLY, 0666)));
		MUST(mkdir(M "handing down/dir", 0777));
	});
	show_list(M "handing down/file", ACCESS);
	show_list(P "handing down/file", ACCESS);
	show_list(M "handing down/dir", DEFAULT);
	owner(M "handing down/file");
}

static void all(void)
{
	int space = space_of("0 10000 10000", "0 20000 10000");
	mount_mapped(ROOT "/plain", ROOT "/m", space);
	close(space);
	set_ids();
	capabilities();
	lists();
	MUST(umount(ROOT "/m"));
}

/* A namespace whose root is the file system's root through the mount. */
static void inside(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	owner(M "root's");
	owner(M "user's");
	SHOW(open(M "root's", O_RDWR) >= 0);
	SHOW(open(M "user's", O_RDWR) >= 0);
	close((int)MUST(open(M "made", O_CREAT | O_WRONLY, 0644)));
	owner(M "made");
	SHOW(chown(M "made", 5, 6));
	owner(M "made");
	SHOW(chown(M "made", 5000, 6));
	unsigned char two[20] = {1, 0, 0, 2, 0, 0x20};
	SHOW(setxattr(M "made", "security.capability", two, sizeof two, 0));
	show_attribute(M "made");
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		who();
		return 0;
	}
	(void)argv;
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(0);
	MUST(mkdir(ROOT, 0755));
	MUST(mount("tmpfs", ROOT, "tmpfs", 0, "mode=755"));
	MUST(mkdir(ROOT "/plain", 0755));
	MUST(mkdir(ROOT "/m", 0755));
	MUST(mount("kept", ROOT "/plain", "tmpfs", 0, "mode=777"));
	all();
	int space = space_of("0 100000 1000", "0 100000 1000");
	mount_mapped(ROOT "/plain", ROOT "/m", space);
	make(P "root's", 0600, 0, 0);
	make(P "user's", 0600, 5, 6);
	MUST(chmod(P, 0755));
	struct child c = begin_mapped(inside, 0);
	finish(c);
	show_attribute(P "made");
	owner(P "made");
	MUST(umount2(ROOT, MNT_DETACH));
	MUST(rmdir(ROOT));
	return 0;
}
