/* Overlays on id-mapped layers: owners, rights, copies. An overlay itself cannot have a map. */
#include "idmap_case.h"

#define ROOT "/tmp/omap"
#define TOP ROOT "/top/"
#define UPPER ROOT "/upper/"
#define LOWER ROOT "/lower/"

static void show_list(const char *path)
{
	uint32_t value[40];
	ssize_t n = getxattr(path, "system.posix_acl_access", value, sizeof value);
	printf("%s:", path);
	if (n < 0)
		printf(" %s", error_name(errno));
	for (ssize_t i = 1; i < n / 4; i += 2)
		printf(" %x:%x:%d", value[i] & 0xffff, value[i] >> 16, (int)value[i + 1]);
	printf("\n");
}

#define ENTRY(tag, rights, id) (tag) | (rights) << 16, (id)

static void with(int lower, int upper)
{
	const char *kinds[] = {"plain", "mapped", "mapped but for root"};
	printf("==== lower %s, upper %s\n", kinds[lower], kinds[upper]);
	uint32_t list[] = {2, ENTRY(1, 6, -1), ENTRY(2, 4, 1001), ENTRY(4, 0, -1), ENTRY(16, 6, -1), ENTRY(32, 0, -1)};
	MUST(mount("l", ROOT "/l", "tmpfs", 0, "mode=755"));
	MUST(mount("u", ROOT "/u", "tmpfs", 0, "mode=755"));
	MUST(mkdir(ROOT "/l/data", 0755));
	MUST(mkdir(ROOT "/u/data", 0755));
	MUST(mkdir(ROOT "/u/work", 0755));
	MUST(chmod(ROOT "/u/data", 0777));
	put_file(ROOT "/l/data/file", "text", 0644);
	MUST(chown(ROOT "/l/data/file", 1000, 1000));
	put_file(ROOT "/l/data/listed", "text", 0600);
	MUST(chown(ROOT "/l/data/listed", 1000, 1000));
	MUST(setxattr(ROOT "/l/data/listed", "system.posix_acl_access", list, sizeof list, 0));
	put_file(ROOT "/l/data/lost", "text", 0666);
	MUST(chown(ROOT "/l/data/lost", 40000, 40000));
	make_directory(ROOT "/l/data/dir", 0777, 1000, 1000);
	make(ROOT "/l/data/dir/in", 0644, 1002, 1002);
	make(ROOT "/u/data/above", 0644, 1003, 1003);
	int space = space_of("0 10000 10000", "0 20000 10000");
	int space_with_root = space_of("0 0 1\n1 10001 9999", "0 0 1\n1 20001 9999");
	if (lower)
		mount_mapped(ROOT "/l", ROOT "/lower", space);
	else
		MUST(mount(ROOT "/l", ROOT "/lower", NULL, MS_BIND, NULL));
	if (upper)
		mount_mapped(ROOT "/u", ROOT "/upper", upper == 1 ? space : space_with_root);
	else
		MUST(mount(ROOT "/u", ROOT "/upper", NULL, MS_BIND, NULL));
	close(space), close(space_with_root);
	long mounted = SHOW(mount("overlay", ROOT "/top", "overlay", 0,
		"lowerdir=" ROOT "/lower/data,upperdir=" ROOT "/upper/data,workdir=" ROOT "/upper/work"));
	if (mounted == 0) {
		owner(TOP "file");
		owner(TOP "above");
		owner(TOP "lost");
		owner(TOP "dir/in");
		show_list(TOP "listed");
		for (int i = 0; i < 2; i++) {
			AS(i ? 1000 : 11000, {
				TRY(open(TOP "file", O_RDONLY));
				SHOW(chmod(TOP "file", 0640));
				TRY(open(TOP "lost", O_RDONLY));
				TRY(open(TOP "lost", O_WRONLY));
			});
			AS(i ? 1001 : 11001, TRY(open(TOP "listed", O_RDONLY)));
		}
		SHOW(chmod(TOP "listed", 0640));
		SHOW(chmod(TOP "lost", 0640));
		SHOW(unlink(TOP "lost"));
		SHOW(chown(TOP "file", 11007, 21007));
		SHOW(chown(TOP "above", 7, 7));
		owner(TOP "file");
		owner(TOP "above");
		for (int i = 0; i < 2; i++) {
			printf("-- making as %d\n", i ? 1000 : 11000);
			IN_CHILD({
				uid_t uid = i ? 1000 : 11000;
				gid_t gid = i ? 1000 : 21000;
				MUST(setgroups(0, NULL));
				MUST(setresgid(gid, gid, gid));
				MUST(setresuid(uid, uid, uid));
				SHOW(mkdir(i ? TOP "dir/b" : TOP "dir/a", 0755));
				SHOW(open(i ? TOP "dir/d" : TOP "dir/c", O_CREAT | O_WRONLY, 0644) >= 0 ? 0 : -1);
				SHOW(rename(TOP "file", TOP "moved"));
			});
		}
		const char *names[] = {"file", "moved", "above", "listed", "dir", "dir/a", "dir/b", "dir/c", "dir/d", "lost"};
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			char path[100];
			snprintf(path, sizeof path, TOP "%s", names[i]);
			owner(path);
			snprintf(path, sizeof path, ROOT "/u/data/%s", names[i]);
			owner(path);
		}
		show_list(TOP "listed");
		show_list(ROOT "/u/data/listed");
		int tree = (int)MUST(open_tree_(ROOT "/top", TREE_CLONE));
		int again = space_of("0 10000 10000", "0 20000 10000");
		SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)again));
		close(tree), close(again);
		MUST(umount(ROOT "/top"));
	}
	MUST(umount(ROOT "/lower"));
	MUST(umount(ROOT "/upper"));
	MUST(umount(ROOT "/l"));
	MUST(umount(ROOT "/u"));
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(0);
	MUST(mkdir(ROOT, 0755));
	MUST(mount("tmpfs", ROOT, "tmpfs", 0, "mode=755"));
	const char *names[] = {ROOT "/l", ROOT "/u", ROOT "/lower", ROOT "/upper", ROOT "/top"};
	for (int i = 0; i < 5; i++)
		MUST(mkdir(names[i], 0755));
	with(0, 0);
	with(1, 0);
	with(1, 1);
	with(0, 1);
	with(0, 2);
	with(1, 2);
	MUST(umount2(ROOT, MNT_DETACH));
	MUST(rmdir(ROOT));
	return 0;
}
