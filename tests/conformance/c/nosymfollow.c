// Mounts on which no symbolic link is followed: MS_NOSYMFOLLOW and MOUNT_ATTR_NOSYMFOLLOW (mount(2), mount_setattr(2)).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

struct attributes { uint64_t set, cleared, propagation, user; };

static void look(const char *when) {
    char target[64] = {0}, line[512];
    struct stat st;
    struct statfs fs;
    printf("%s\n", when);
    int fd = open("/tmp/still/link", O_RDONLY);
    printf("  open: %s\n", fd < 0 ? strerror(errno) : "opened");
    if (fd >= 0)
        close(fd);
    printf("  through: %s\n", access("/tmp/still/there/file", F_OK) == 0 ? "found" : strerror(errno));
    printf("  plain: %s\n", access("/tmp/still/dir/file", F_OK) == 0 ? "found" : strerror(errno));
    printf("  lstat: %d, readlink: %d\n", lstat("/tmp/still/link", &st), (int)readlink("/tmp/still/link", target, 60));
    statfs("/tmp/still", &fs);
    printf("  statfs: %lx\n", (long)fs.f_flags);
    FILE *table = fopen("/proc/self/mounts", "r");
    while (fgets(line, sizeof line, table))
        if (strstr(line, " /tmp/still "))
            printf("  %s", line);
    fclose(table);
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    unshare(CLONE_NEWNS);
    mount("none", "/", 0, MS_REC | MS_PRIVATE, 0);
    mkdir("/tmp/still", 0755);
    mount("none", "/tmp/still", "tmpfs", 0, "size=1m");
    mkdir("/tmp/still/dir", 0755);
    close(open("/tmp/still/dir/file", O_CREAT | O_WRONLY, 0644));
    symlink("dir/file", "/tmp/still/link");
    symlink("dir", "/tmp/still/there");
    look("as usual");
    printf("remount: %d\n", mount("none", "/tmp/still", 0, MS_REMOUNT | MS_BIND | 256, 0));
    look("MS_NOSYMFOLLOW");
    struct attributes change = {.cleared = 0x200000};
    printf("clear: %ld\n", syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/still", 0, &change, sizeof change));
    look("cleared");
    change = (struct attributes){.set = 0x200000 | 2, .cleared = 0xf};
    printf("set: %ld\n", syscall(SYS_mount_setattr, AT_FDCWD, "/tmp/still", 0, &change, sizeof change));
    look("MOUNT_ATTR_NOSYMFOLLOW");
    umount2("/tmp/still", MNT_DETACH);
    rmdir("/tmp/still");
    return 0;
}
