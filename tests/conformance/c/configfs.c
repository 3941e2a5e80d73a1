/* configfs without a subsystem: an empty tree, in which nothing can be created. */
#include "case.h"
#include <sys/mount.h>
#include <sys/vfs.h>

int main(void)
{
	struct statfs s;
	struct stat one, two;
	char line[100];
	FILE *kinds = fopen("/proc/filesystems", "r");
	while (fgets(line, sizeof line, kinds))
		if (strstr(line, "configfs") || strstr(line, "binfmt"))
			printf("%s", line);
	MUST(stat("/sys/kernel/config", &one));
	printf("mount point: mode %o\n", one.st_mode);
	SHOW(mount("none", "/sys/kernel/config", "configfs", 0, "nonsense"));
	SHOW(mount("none", "/sys/kernel/config", "configfs", 0, NULL));
	SHOW(mount("none", "/sys/kernel/config", "configfs", 0, NULL));
	MUST(mkdir("/tmp/config", 0755));
	SHOW(mount("other", "/tmp/config", "configfs", 0, NULL));
	MUST(stat("/sys/kernel/config", &one));
	MUST(stat("/tmp/config", &two));
	CHECK(one.st_dev == two.st_dev && one.st_ino == two.st_ino);
	printf("mode %o, %d links, %d %d\n", one.st_mode, (int)one.st_nlink, one.st_uid, one.st_gid);
	MUST(statfs("/tmp/config", &s));
	printf("type %lx, block %ld, name %ld\n", (long)s.f_type, (long)s.f_bsize, (long)s.f_namelen);
	DIR *dir = opendir("/tmp/config");
	for (struct dirent *entry; (entry = readdir(dir));)
		printf("entry %s\n", entry->d_name);
	closedir(dir);
	SHOW(mkdir("/tmp/config/new", 0755));
	SHOW(open("/tmp/config/new", O_CREAT | O_WRONLY, 0644));
	SHOW(open("/tmp/config/new", O_RDONLY));
	SHOW(mknod("/tmp/config/new", S_IFIFO | 0644, 0));
	SHOW(symlink("x", "/tmp/config/new"));
	SHOW(rmdir("/tmp/config/new"));
	SHOW(unlink("/tmp/config/new"));
	SHOW(open("/tmp/config", O_WRONLY));
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		SHOW(mkdir("/tmp/config/new", 0755));
		SHOW(mount("none", "/tmp/config", "configfs", 0, NULL));
	);
	SHOW(umount("/tmp/config"));
	SHOW(umount("/sys/kernel/config"));
	return 0;
}
