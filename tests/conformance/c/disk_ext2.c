// An ext2 file system on a disk: mounting, names, contents, holes, limits, and every error on the way.
#define _GNU_SOURCE
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static char big[1 << 16];

static void make(const char *options) {
    char command[200];
    snprintf(command, sizeof command, "mke2fs -F %s /dev/vda >/dev/null 2>&1", options);
    printf("mke2fs %s: %d\n", options, system(command));
}

static void show(const char *name) {
    struct stat s;
    if (lstat(name, &s) != 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    printf("%s: mode %o links %d uid %d gid %d", name, s.st_mode, (int)s.st_nlink, s.st_uid, s.st_gid);
    if (S_ISREG(s.st_mode) || S_ISLNK(s.st_mode))
        printf(" size %lld blocks %lld", (long long)s.st_size, (long long)s.st_blocks);
    printf(" rdev %llx blksize %d\n", (unsigned long long)s.st_rdev, (int)s.st_blksize);
}

static void mounting(void) {
    SHOW(mount("/dev/vda", "/mnt", "nosuchfs", 0, ""));
    SHOW(mount("/dev/null", "/mnt", "ext2", 0, ""));
    SHOW(mount("/nowhere", "/mnt", "ext2", 0, ""));
    SHOW(mount("/bin", "/mnt", "ext2", 0, ""));
    SHOW(mount("/dev/vda", "/nowhere", "ext2", 0, ""));
    SHOW(mount("/dev/vda", "/mnt", "ext2", 0, ""));  // nothing on it yet
    make("-b 1024 -m 5 -L scratch");
    SHOW(mount("/dev/vda", "/mnt", "ext2", 0, "nosuchoption"));
    SHOW(mount("/dev/vda", "/mnt", "ext2", 0, "errors=never"));
    SHOW(mount("/dev/vda", "/mnt", "ext3", 0, ""));
    SHOW(mount("/dev/vda", "/mnt", "ext2", 0, "errors=remount-ro"));
    SHOW(mount("/dev/vda", "/mnt", "ext2", 0, ""));
    struct statfs f;
    statfs("/mnt", &f);
    printf("statfs type %lx bsize %ld blocks %ld namelen %ld\n", (long)f.f_type, (long)f.f_bsize, (long)f.f_blocks,
           (long)f.f_namelen);
    printf("free %ld available %ld files %ld ffree %ld\n", (long)f.f_bfree, (long)f.f_bavail, (long)f.f_files,
           (long)f.f_ffree);
    system("grep ' /mnt ' /proc/mounts");
}

static void names(void) {
    char name[300];
    chdir("/mnt");
    SHOW(mkdir("dir", 0755));
    SHOW(mkdir("dir", 0755));
    SHOW(mkdir("dir/sub", 0700));
    SHOW(close(open("dir/file", O_CREAT | O_WRONLY, 0640)));
    SHOW(open("dir/file", O_CREAT | O_EXCL | O_WRONLY, 0640));
    SHOW(link("dir/file", "hard"));
    SHOW(link("dir", "hard2"));
    SHOW(link("dir/file", "/tmp/across"));
    SHOW(symlink("dir/file", "short"));
    memset(name, 'n', 255);
    name[255] = 0;
    SHOW(symlink(name, "long"));
    SHOW(mkdir(name, 0700));
    SHOW(rmdir(name));
    name[255] = 'n';
    name[256] = 0;
    SHOW(mkdir(name, 0700));
    memset(big, 's', 1100);
    big[1023] = 0;
    SHOW(symlink(big, "longest"));
    big[1023] = 's';
    big[1024] = 0;
    SHOW(symlink(big, "too long"));
    SHOW(mknod("null", S_IFCHR | 0666, 0x103));
    SHOW(mknod("block", S_IFBLK | 0660, 0x1234567));
    SHOW(mkfifo("fifo", 0600));
    SHOW(chown("dir/file", 100000, 70000));
    SHOW(chmod("dir/file", 06751));
    const char *all[] = {"dir", "dir/sub", "dir/file", "hard", "short", "long", "longest", "null", "block", "fifo", "."};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        show(all[i]);
    SHOW(rmdir("dir"));
    SHOW(unlink("dir"));
    SHOW(rmdir("hard"));
    SHOW(rmdir("dir/sub/."));
}

static void renames(void) {
    mkdir("r", 0755);
    mkdir("r/a", 0755);
    mkdir("r/b", 0755);
    mkdir("r/a/inner", 0755);
    close(open("r/f", O_CREAT, 0644));
    close(open("r/g", O_CREAT, 0644));
    link("r/f", "r/f2");
    SHOW(rename("r/a", "r/a/inner/x"));
    SHOW(rename("r/a", "r/f"));
    SHOW(rename("r/f", "r/a"));
    SHOW(rename("r/b", "r/a"));
    SHOW(rename("r/f", "r/f2"));
    show("r/f");
    SHOW(rename("r/a/inner", "r/b"));
    show("r/a");
    show("r/b");
    show("r");
    SHOW(rename("r/f", "r/g"));
    show("r/g");
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "r/g", AT_FDCWD, "r/f2", RENAME_NOREPLACE));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "r/g", AT_FDCWD, "r/b", RENAME_EXCHANGE));
    show("r/g");
    show("r/b");
    mkdir("r/a/deep", 0755);
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "r/a/deep", AT_FDCWD, "r/b", RENAME_EXCHANGE));
    show("r/a");
    show("r");
    SHOW(rename("r/b", "../tmp/across"));
    SHOW(access("r/b/..", F_OK));
}

static void contents(void) {
    int fd = open("data", O_CREAT | O_RDWR, 0644);
    for (unsigned i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 256);
    SHOW(pwrite(fd, big, 5000, 0));
    SHOW(pwrite(fd, big, 100, 300000));
    SHOW(pwrite(fd, big, 1, 70000000));
    show("data");
    SHOW(lseek(fd, 0, SEEK_HOLE));
    SHOW(lseek(fd, 6000, SEEK_DATA));
    SHOW(lseek(fd, 300050, SEEK_HOLE));
    SHOW(lseek(fd, 299000, SEEK_DATA));
    SHOW(lseek(fd, 70000001, SEEK_DATA));
    SHOW(ftruncate(fd, 4097));
    SHOW(ftruncate(fd, 9000));
    show("data");
    char back[9000];
    SHOW(pread(fd, back, 9000, 0));
    int wrong = memcmp(back, big, 4097);
    for (int i = 4097; i < 9000; i++)
        wrong |= back[i];
    printf("wrong %d\n", wrong);
    SHOW(fallocate(fd, 0, 0, 20000));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1500, 5000));
    SHOW(pread(fd, back, 9000, 0));
    wrong = memcmp(back, big, 1500);
    for (int i = 1500; i < 9000; i++)
        wrong |= back[i];
    printf("wrong %d\n", wrong);
    show("data");
    SHOW(lseek(fd, 0, SEEK_HOLE));
    SHOW(pwrite(fd, big, sizeof big, 300000));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 310000, 40000));
    SHOW(lseek(fd, 300000, SEEK_HOLE));
    SHOW(lseek(fd, 312000, SEEK_DATA));
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 350000, 400000));
    show("data");
    SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
    SHOW(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    SHOW(ftruncate(fd, 1LL << 40));
    SHOW(ftruncate(fd, 16LL << 30));
    SHOW(pwrite(fd, big, 1, 1LL << 40));
    SHOW(ftruncate(fd, 9000));
    char *map = mmap(NULL, 9000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy(map + 5000, "mapped", 6);
    SHOW(msync(map, 9000, MS_SYNC));
    SHOW(pread(fd, back, 6, 5000));
    printf("%.6s\n", back);
    munmap(map, 9000);
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(unlink("data"));
    SHOW(pwrite(fd, "still here", 10, 0));
    struct stat s;
    fstat(fd, &s);
    printf("unlinked: links %d size %lld\n", (int)s.st_nlink, (long long)s.st_size);
    close(fd);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    printf("tmpfile %d\n", fd >= 0);
    SHOW(write(fd, "unnamed", 7));
    sprintf(back, "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, back, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    show("named");
    close(fd);
    struct timespec times[2] = {{1000000000, 123456789}, {-5, 5000}};
    SHOW(utimensat(AT_FDCWD, "named", times, 0));
    stat("named", &s);
    printf("times %ld.%09ld %ld.%09ld\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    fd = open("dir", O_RDONLY);
    SHOW(read(fd, back, 10));
    SHOW(fsync(fd));
    SHOW(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    close(fd);
}

static void fill(void) {
    struct statfs f;
    int fd = open("filler", O_CREAT | O_WRONLY, 0644);
    long written = 0, got;
    while ((got = write(fd, big, sizeof big)) > 0)
        written += got;
    printf("write: %s, wrote more than 50 MB: %d\n", strerror(errno), written > 50000000);
    fsync(fd);
    statfs("/mnt", &f);
    printf("less than 10 blocks free: %d, available %ld\n", f.f_bfree < 10, (long)f.f_bavail);
    // What the last blocks go to is the allocator's choice: these take all of them.
    for (int i = 0; i < 20; i++) {
        char name[20];
        sprintf(name, "full%d", i);
        mkdir(name, 0755);
    }
    SHOW(mkdir("full", 0755));
    SHOW(symlink("short is fine", "fast"));
    close(fd);
    SHOW(unlink("filler"));
    SHOW(mkdir("full", 0755));
    statfs("/mnt", &f);
    printf("more than 50000 blocks free: %d\n", f.f_bfree > 50000);
}

static void remounting(void) {
    int fd = open("busy", O_CREAT | O_WRONLY, 0644);
    SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    close(fd);
    SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    SHOW(open("busy", O_WRONLY));
    SHOW(mkdir("denied", 0755));
    SHOW(unlink("busy"));
    SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT, NULL));
    SHOW(unlink("busy"));
    SHOW(umount("/mnt"));
    chdir("/");
    SHOW(umount("/mnt"));
    SHOW(umount("/mnt"));
    SHOW(mount("/dev/vda", "/mnt", "ext4", MS_RDONLY, ""));
    show("/mnt/r/g");
    DIR *d = opendir("/mnt/r");
    int count = 0;
    while (readdir(d))
        count++;
    closedir(d);
    printf("entries %d\n", count);
    SHOW(umount("/mnt"));
}

int main(void) {
    umask(022);
    setvbuf(stdout, NULL, _IONBF, 0);
    mounting();
    names();
    renames();
    contents();
    fill();
    remounting();
    return 0;
}
