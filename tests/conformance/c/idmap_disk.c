/* An id-mapped mount of a disk: what is on the disk afterwards. */
#include "idmap_case.h"

#define ROOT "/tmp/dmap"

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(0);
	MUST(mkdir(ROOT, 0755));
	MUST(mount("tmpfs", ROOT, "tmpfs", 0, "mode=755"));
	MUST(mkdir(ROOT "/disk", 0755));
	MUST(mkdir(ROOT "/m", 0755));
	if (system("mke2fs -F -I 256 /dev/vda >/dev/null 2>&1"))
		return 98;
	MUST(mount("/dev/vda", ROOT "/disk", "ext2", 0, NULL));
	make(ROOT "/disk/file", 0644, 1000, 1000);
	MUST(chmod(ROOT "/disk", 0777));
	int space = space_of("0 10000 10000", "0 20000 10000");
	int tree = (int)MUST(open_tree_(ROOT "/disk", TREE_CLONE));
	if (SHOW(change(tree, "", AT_EMPTY_PATH, ATTR_IDMAP, 0, (uint64_t)space)) == 0) {
		MUST(attach(tree, ROOT "/m"));
		owner(ROOT "/m/file");
		IN_CHILD({
			MUST(setgroups(0, NULL));
			MUST(setresgid(21000, 21000, 21000));
			MUST(setresuid(11000, 11000, 11000));
			MUST(mkdir(ROOT "/m/dir", 0755));
			SHOW(chmod(ROOT "/m/file", 0600));
		});
		SHOW(chown(ROOT "/m/file", 10001, 20002));
		MUST(umount(ROOT "/m"));
	}
	close(tree);
	MUST(umount(ROOT "/disk"));
	MUST(mount("/dev/vda", ROOT "/disk", "ext2", 0, NULL));
	owner(ROOT "/disk/file");
	owner(ROOT "/disk/dir");
	MUST(umount2(ROOT, MNT_DETACH));
	MUST(rmdir(ROOT));
	return 0;
}
