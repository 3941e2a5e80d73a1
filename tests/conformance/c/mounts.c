/* Covers: mount: tmpfs and its options, MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_NOATIME MS_REMOUNT MS_BIND MS_MOVE; umount2: MNT_DETACH
 * MNT_FORCE UMOUNT_NOFOLLOW; statfs, fstatfs; chroot; pivot_root. */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/vfs.h>
#include "case.h"

static void show_statfs(const char *path)
{
	struct statfs s;
	errno = 0;
	if (statfs(path, &s) == -1) {
		printf("statfs %s: %s\n", path, error_name(errno));
		return;
	}
	printf("%s: type %#lx, block %ld, fragment %ld, %ld blocks, %ld files, name %ld, flags %#lx\n", path, (long)s.f_type, (long)s.f_bsize,
	       (long)s.f_frsize, (long)s.f_blocks, (long)s.f_files, (long)s.f_namelen, (long)s.f_flags);
}

static void mount_lines(void)
{
	char line[512];
	char here[256];
	getcwd(here, sizeof here);
	FILE *f = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, f)) {
		char *at = strstr(line, here);
		if (at)
			printf("  %.*s.%s", (int)(at - line), line, at + strlen(here));
	}
	fclose(f);
}

int main(void)
{
	mkdir("a", 0755);
	mkdir("b", 0755);
	mkdir("c", 0755);
	put_file("plain", "x", 0644);
	symlink("a", "link");
	SHOW(mount("none", "a", "tmpfs", 0, "size=1m,mode=750,nr_inodes=100"));
	struct stat st;
	MUST(stat("a", &st));
	printf("mode %o, device differs: %d\n", st.st_mode, st.st_dev != (stat("b", &st), st.st_dev));
	show_statfs("a");
	mount_lines();
	put_file("a/file", "text\n", 0755);
	SHOW(rename("a/file", "b/file"));
	SHOW(link("a/file", "b/file"));
	SHOW(rmdir("a"));
	SHOW(umount("b"));
	SHOW(umount("missing"));
	SHOW(umount("plain"));

	/* A file that grows too large, and too many files. */
	int fd = (int)MUST(open("a/big", O_RDWR | O_CREAT, 0644));
	static char block[65536];
	int written = 0;
	ssize_t n;
	while ((n = write(fd, block, sizeof block)) > 0)
		written += (int)n;
	printf("wrote %d, then %s\n", written, error_name(errno));
	SHOW(umount("a"));
	close(fd);
	MUST(unlink("a/big"));
	char name[32];
	int made = 0;
	for (;;) {
		sprintf(name, "a/n%d", made);
		fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			break;
		close(fd);
		made++;
	}
	printf("%d files, then %s\n", made, error_name(errno));

	/* Flags: what may be done there. */
	SHOW(mount("none", "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	SHOW(open("a/new", O_CREAT | O_WRONLY, 0600));
	SHOW(open("a/file", O_WRONLY));
	SHOW(access("a/file", W_OK));
	SHOW(unlink("a/file"));
	SHOW(mkdir("a/dir", 0755));
	SHOW(chmod("a/file", 0600));
	SHOW(truncate("a/file", 0));
	show_statfs("a");
	mount_lines();
	SHOW(mount("none", "a", NULL, MS_REMOUNT | MS_NOEXEC | MS_NOSUID | MS_NODEV | MS_NOATIME, NULL));
	show_statfs("a");
	mount_lines();
	put_file("a/file", "#!/bin/sh\n", 0755);
	IN_CHILD(execl("a/file", "file", NULL); printf("execl: %s\n", error_name(errno)));
	SHOW(access("a/file", X_OK));
	MUST(unlink("a/n0"));
	SHOW(mknod("a/null", S_IFCHR | 0666, 0x103));
	SHOW(open("a/null", O_RDONLY));
	fd = (int)MUST(open("a/file", O_RDONLY));
	SHOW(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	show_result("mmap", -1, 0);
	close(fd);
	SHOW(mount("none", "a", NULL, MS_REMOUNT, NULL));
	show_statfs("a");

	/* The same tree in a second place. */
	SHOW(mount("a", "b", NULL, MS_BIND, NULL));
	show_file("b/file");
	SHOW(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	SHOW(open("b/file", O_WRONLY));
	SHOW(close(open("a/file", O_WRONLY)));
	mount_lines();
	SHOW(mount("plain", "a/file", NULL, MS_BIND, NULL));
	show_file("a/file");
	show_file("b/file");
	SHOW(unlink("a/file"));
	SHOW(unlink("b/file"));
	SHOW(umount("a/file"));
	SHOW(mount("b", "c", NULL, MS_MOVE, NULL));
	mount_lines();
	show_file("c/file");
	SHOW(mount("c", "c/none", NULL, MS_MOVE, NULL));
	SHOW(mount("plain", "b", NULL, MS_BIND, NULL));
	SHOW(mount("b", "plain", NULL, MS_BIND, NULL));
	SHOW(mount("b", "a", NULL, MS_MOVE, NULL));

	/* One mount over another; busy; detached. */
	SHOW(mount("none", "a", "tmpfs", 0, NULL));
	SHOW(open("a/file", O_RDONLY));
	SHOW(umount("a"));
	SHOW(umount("a"));
	fd = (int)MUST(open("c", O_RDONLY | O_DIRECTORY));
	SHOW(umount2("c", 0));
	SHOW(umount2("c", MNT_DETACH));
	SHOW(openat(fd, "file", O_RDONLY) >= 0);
	show_file("c/file");
	close(fd);
	SHOW(mount("none", "link", "tmpfs", 0, NULL));
	SHOW(umount2("link", UMOUNT_NOFOLLOW));
	SHOW(umount2("a", UMOUNT_NOFOLLOW));
	SHOW(umount2("a", 0x100));

	/* Errors. */
	SHOW(mount("none", "a", "nonsense", 0, NULL));
	SHOW(mount("none", "missing", "tmpfs", 0, NULL));
	SHOW(mount("none", "plain", "tmpfs", 0, NULL));
	SHOW(mount("none", "a", "tmpfs", 0, "size=lots"));
	SHOW(mount("none", "a", "tmpfs", 0, "unknown=1"));
	SHOW(mount("none", "a", NULL, 0, NULL));
	SHOW(mount("none", "a", NULL, MS_REMOUNT, NULL));
	SHOW(mount("missing", "a", NULL, MS_BIND, NULL));
	SHOW(mount("none", "a", "tmpfs", 0, (void *)1));
	IN_CHILD(setuid(1000); SHOW(mount("none", "a", "tmpfs", 0, NULL)); SHOW(umount("/proc")); SHOW(chroot("a"));
		 SHOW(syscall(SYS_pivot_root, "a", "a")));

	/* chroot and pivot_root. */
	mkdir("root", 0755);
	mkdir("root/old", 0755);
	mkdir("root/inside", 0755);
	put_file("root/inside/file", "inside\n", 0644);
	IN_CHILD(
		SHOW(chroot("plain"));
		SHOW(chroot("missing"));
		SHOW(chroot("root"));
		SHOW(chdir("/"));
		show_file("/inside/file");
		show_file("/../../inside/file");
		SHOW(chdir("../../.."));
		char here[128];
		CHECK(getcwd(here, sizeof here) != NULL);
		printf("at %s\n", here));
	IN_CHILD(
		char here[256];
		SHOW(chroot("root"));
		long length = syscall(SYS_getcwd, here, sizeof here);
		printf("outside: %s\n", length > 0 ? (here[0] == '(' ? "unreachable" : "path") : error_name(errno)));
	SHOW(syscall(SYS_pivot_root, "root", "root/old"));
	SHOW(syscall(SYS_pivot_root, "missing", "root/old"));
	SHOW(syscall(SYS_pivot_root, "plain", "root/old"));
	fd = (int)MUST(open("plain", O_RDONLY));
	struct statfs s;
	SHOW(fstatfs(fd, &s));
	SHOW(fstatfs(-1, &s));
	SHOW(statfs("missing", &s));
	SHOW(syscall(SYS_statfs, "/proc", (void *)1));
	SHOW(statfs("plain/x", &s));
	MUST(statfs("/proc", &s));
	printf("proc %#lx %ld %ld %ld %#lx\n", (long)s.f_type, (long)s.f_bsize, (long)s.f_blocks, (long)s.f_namelen, (long)s.f_flags);
	int ends[2];
	MUST(pipe(ends));
	MUST(fstatfs(ends[0], &s));
	printf("pipe %#lx %ld %ld %ld %#lx\n", (long)s.f_type, (long)s.f_bsize, (long)s.f_blocks, (long)s.f_namelen, (long)s.f_flags);
	return 0;
}
