/* Landlock on a disk: rules hold for inodes that the cache forgot meanwhile, and for whatever else lies there. */
#include "landlock_case.h"
#include <sys/mount.h>

static void forget(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	for (int i = 0; i < 3; i++) {
		sync();
		if (write(fd, "3\n", 2) != 2)
			puts("nothing is dropped");
	}
	close(fd);
}

int main(void)
{
	mkdir("/tmp/disk", 0755);
	MUST(system("mke2fs -F -b 1024 -m 0 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/tmp/disk", "ext2", 0, ""));
	MUST(chdir("/tmp/disk"));
	mkdir("ll", 0755);
	mkdir("ll/a", 0755);
	mkdir("ll/a/b", 0755);
	mkdir("ll/c", 0755);
	put_file("ll/a/file", "x", 0644);
	put_file("ll/a/b/file", "x", 0644);
	put_file("ll/c/file", "x", 0644);
	int set = (int)MUST(create(READ_FILE | WRITE_FILE | REMOVE_FILE | MAKE_REG | REFER, 0, 0));
	MUST(allow(set, "ll/a", READ_FILE | REMOVE_FILE));
	MUST(allow(set, "ll/c/file", READ_FILE | WRITE_FILE));
	forget();
	IN_CHILD({
		MUST(restrict_self(set));
		for (int i = 0; i < 2; i++) {
			TRY(open("ll/a/file", O_RDONLY));
			TRY(open("ll/a/b/file", O_RDONLY));
			TRY(open("ll/a/file", O_RDWR));
			TRY(open("ll/c/file", O_RDWR));
			TRY(open("ll/c/new", O_CREAT | O_WRONLY, 0600));
			TRY(rename("ll/a/file", "ll/c/moved"));
			TRY(link("ll/c/file", "ll/a/link"));
			usleep(1000);
		}
		TRY(unlink("ll/a/b/file"));
		TRY(unlink("ll/c/file"));
	});
	forget();
	IN_CHILD({
		MUST(restrict_self(set));
		TRY(open("ll/a/file", O_RDONLY));
		TRY(open("ll/c/file", O_RDWR));
	});
	unlink("ll/a/b/file");
	unlink("ll/a/file");
	unlink("ll/c/file");
	put_file("ll/a/another", "x", 0644);
	IN_CHILD(MUST(restrict_self(set)); TRY(open("ll/a/another", O_RDONLY)));
	close(set);
	unlink("ll/a/another");
	rmdir("ll/a/b");
	rmdir("ll/a");
	rmdir("ll/c");
	rmdir("ll");
	MUST(chdir("/"));
	TRY(umount("/tmp/disk"));
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
