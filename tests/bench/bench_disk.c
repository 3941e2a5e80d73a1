/* Benchmarks of an ext2 file system on /dev/vda: prints one line a row, "name nanoseconds", each the smallest of several
 * rounds.
 *
 * The same binary runs on Krait and on Linux in the same virtual machine (tests/bench/__main__.py). A row has a
 * preparation, which is not timed, and an operation of a known number of units; what is printed is a unit's time. "Cold"
 * rows unmount and mount the file system before each round, so that nothing of it is in memory.
 *
 * With arguments it is a tool for counting requests: `bench_disk ROW` prepares, prints "@ready@", waits for a line,
 * carries the operation out once, prints "@done@", and waits for a line again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 4
#define MIB (1 << 20)
#define BIG_MIB 32
#define FILES 1000
#define RANDOM 1000
#define SYNCS 100

static char *buffer; /* 1 MiB, aligned */
static unsigned seed;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int must_open(const char *name, int flags)
{
    int fd = open(name, flags, 0644);
    if (fd < 0)
        die(name);
    return fd;
}

static void must_move(ssize_t moved, size_t wanted)
{
    if (moved != (ssize_t)wanted)
        die("read or write");
}

static void mount_disk(void)
{
    if (mount("/dev/vda", "/mnt", "ext2", 0, 0) != 0)
        die("mount");
}

static void unmount_disk(void)
{
    if (umount("/mnt") != 0)
        die("umount");
}

static void cold(void)
{
    unmount_disk();
    int fd = must_open("/proc/sys/vm/drop_caches", O_WRONLY);
    must_move(write(fd, "3", 1), 1);
    close(fd);
    mount_disk();
}

static void settle(void) { sync(); }

/* Numbers that are the same in every round and on every kernel. */
static unsigned next_random(void)
{
    seed = seed * 1103515245 + 12345;
    return seed >> 8;
}

/* --- large files --- */

static void write_file(const char *name, int flags)
{
    int fd = must_open(name, O_WRONLY | O_CREAT | flags);
    for (int i = 0; i < BIG_MIB; i++)
        must_move(write(fd, buffer, MIB), MIB);
    if (fsync(fd) != 0)
        die("fsync");
    close(fd);
}

static void read_file(const char *name, int flags)
{
    int fd = must_open(name, O_RDONLY | flags);
    for (int i = 0; i < BIG_MIB; i++)
        must_move(read(fd, buffer, MIB), MIB);
    close(fd);
}

static void no_new_file(void)
{
    unlink("/mnt/new");
    settle();
}

static void op_read(void) { read_file("/mnt/big", 0); }
static void op_read_direct(void) { read_file("/mnt/big", O_DIRECT); }
static void op_read_device(void) { read_file("/dev/vda", 0); }
static void op_write_new(void) { write_file("/mnt/new", 0); }
static void op_write_over(void) { write_file("/mnt/big", 0); }
static void op_write_direct(void) { write_file("/mnt/big", O_DIRECT); }

static void op_cached_read(void)
{
    int fd = must_open("/mnt/mib", O_RDONLY);
    for (int i = 0; i < 64; i++)
        must_move(pread(fd, buffer, MIB, 0), MIB);
    close(fd);
}

static void op_cached_write(void)
{
    int fd = must_open("/mnt/mib", O_WRONLY);
    for (int i = 0; i < 64; i++)
        must_move(pwrite(fd, buffer, MIB, 0), MIB);
    close(fd);
}

static void op_map(void)
{
    int fd = must_open("/mnt/big", O_RDONLY);
    volatile char *p = mmap(0, BIG_MIB * MIB, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        die("mmap");
    for (size_t i = 0; i < (size_t)BIG_MIB * MIB; i += 4096)
        p[i];
    munmap((void *)p, BIG_MIB * MIB);
    close(fd);
}

static void warm_big(void) { op_read(); }

static void random_io(int flags, int writing)
{
    int fd = must_open("/mnt/big", (writing ? O_WRONLY : O_RDONLY) | flags);
    seed = 1;
    for (int i = 0; i < RANDOM; i++) {
        off_t at = (off_t)(next_random() % (BIG_MIB * 256)) * 4096;
        must_move(writing ? pwrite(fd, buffer, 4096, at) : pread(fd, buffer, 4096, at), 4096);
    }
    if (writing && fsync(fd) != 0)
        die("fsync");
    close(fd);
}

static void op_random_read(void) { random_io(0, 0); }
static void op_random_read_direct(void) { random_io(O_DIRECT, 0); }
static void op_random_write(void) { random_io(0, 1); }
static void op_random_write_direct(void) { random_io(O_DIRECT, 1); }

/* --- small files --- */

static void file_name(char *name, const char *directory, int i) { sprintf(name, "/mnt/%s/file%d", directory, i); }

static void make_files(const char *directory, int count, int size, int with_sync)
{
    char name[64];
    for (int i = 0; i < count; i++) {
        file_name(name, directory, i);
        int fd = must_open(name, O_WRONLY | O_CREAT | O_TRUNC);
        if (size > 0)
            must_move(write(fd, buffer, size), size);
        if (with_sync && fsync(fd) != 0)
            die("fsync");
        close(fd);
    }
}

static void remove_files(const char *directory, int count)
{
    char name[64];
    for (int i = 0; i < count; i++) {
        file_name(name, directory, i);
        unlink(name);
    }
}

static void no_files(void)
{
    remove_files("work", FILES);
    settle();
}

static void empty_files(void)
{
    make_files("work", FILES, 4096, 0);
    settle();
}

static void dirty_files(void)
{
    no_files();
    make_files("work", FILES, 4096, 0);
}

static void op_create(void) { make_files("work", FILES, 0, 0); }
static void op_create_4k(void) { make_files("work", FILES, 4096, 0); }
static void op_remove(void) { remove_files("work", FILES); }
static void op_sync(void) { sync(); }
static void op_create_fsync(void) { make_files("work", SYNCS, 4096, 1); }

static void op_walk(void)
{
    char name[512];
    struct stat s;
    int seen = 0;
    DIR *directory = opendir("/mnt/tree");
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        sprintf(name, "/mnt/tree/%s", entry->d_name);
        if (stat(name, &s) == 0)
            seen++;
    }
    if (seen != FILES + 2)
        die("tree");
    closedir(directory);
}

static void op_read_tree(void)
{
    char name[64];
    for (int i = 0; i < FILES; i++) {
        file_name(name, "tree", i);
        int fd = must_open(name, O_RDONLY);
        must_move(read(fd, buffer, 65536), 4096);
        close(fd);
    }
}

static int log_file;

static void open_log(void)
{
    log_file = must_open("/mnt/log", O_RDWR | O_CREAT | O_TRUNC);
    must_move(write(log_file, buffer, 65536), 65536);
    settle();
}

static void op_overwrite_fsync(void)
{
    for (int i = 0; i < SYNCS; i++) {
        must_move(pwrite(log_file, buffer, 4096, 8192), 4096);
        if (fsync(log_file) != 0)
            die("fsync");
    }
    close(log_file);
}

static void op_overwrite_fdatasync(void)
{
    for (int i = 0; i < SYNCS; i++) {
        must_move(pwrite(log_file, buffer, 4096, 8192), 4096);
        if (fdatasync(log_file) != 0)
            die("fdatasync");
    }
    close(log_file);
}

static void op_append_fdatasync(void)
{
    lseek(log_file, 0, SEEK_END);
    for (int i = 0; i < SYNCS; i++) {
        must_move(write(log_file, buffer, 1000), 1000);
        if (fdatasync(log_file) != 0)
            die("fdatasync");
    }
    close(log_file);
}

struct row {
    const char *name;
    void (*prepare)(void);
    void (*operation)(void);
    int units;
};

static const struct row rows[] = {
    { "read-1MiB-cold", cold, op_read, BIG_MIB },
    { "read-1MiB-direct", cold, op_read_direct, BIG_MIB },
    { "read-1MiB-of-device-cold", cold, op_read_device, BIG_MIB },
    { "write-1MiB-new-file-fsync", no_new_file, op_write_new, BIG_MIB },
    { "write-1MiB-again-fsync", settle, op_write_over, BIG_MIB },
    { "write-1MiB-direct", settle, op_write_direct, BIG_MIB },
    { "random-read-4KiB-cold", cold, op_random_read, RANDOM },
    { "random-read-4KiB-direct", cold, op_random_read_direct, RANDOM },
    { "random-write-4KiB-fsync-at-end", settle, op_random_write, RANDOM },
    { "random-write-4KiB-direct", settle, op_random_write_direct, RANDOM },
    { "read-1MiB-cached", op_cached_read, op_cached_read, 64 },
    { "write-1MiB-cached", op_cached_write, op_cached_write, 64 },
    { "map-1MiB-cold", cold, op_map, BIG_MIB },
    { "map-1MiB-cached", warm_big, op_map, BIG_MIB },
    { "create-empty-file", no_files, op_create, FILES },
    { "create-4KiB-file", no_files, op_create_4k, FILES },
    { "remove-4KiB-file", empty_files, op_remove, FILES },
    { "sync-of-4KiB-files", dirty_files, op_sync, FILES },
    { "create-4KiB-file-fsync", no_files, op_create_fsync, SYNCS },
    { "overwrite-4KiB-fsync", open_log, op_overwrite_fsync, SYNCS },
    { "overwrite-4KiB-fdatasync", open_log, op_overwrite_fdatasync, SYNCS },
    { "append-1000-bytes-fdatasync", open_log, op_append_fdatasync, SYNCS },
    { "stat-file-cold", cold, op_walk, FILES },
    { "read-4KiB-file-cold", cold, op_read_tree, FILES },
};
#define ROWS (sizeof rows / sizeof rows[0])

static void measure(const struct row *row)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        row->prepare();
        long long start = now();
        row->operation();
        double each = (double)(now() - start) / row->units;
        if (each < best)
            best = each;
    }
    printf("%s %.1f\n", row->name, best);
    fflush(stdout);
}

static void count(const struct row *row)
{
    char line[16];
    row->prepare();
    puts("@ready@");
    fflush(stdout);
    fgets(line, sizeof line, stdin);
    row->operation();
    puts("@done@");
    fflush(stdout);
    fgets(line, sizeof line, stdin);
}

int main(int argc, char **argv)
{
    buffer = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(buffer, 1, MIB);
    mount_disk();
    mkdir("/mnt/work", 0755);
    mkdir("/mnt/tree", 0755);
    make_files("tree", FILES, 4096, 0);
    write_file("/mnt/big", 0);
    int fd = must_open("/mnt/mib", O_WRONLY | O_CREAT);
    must_move(write(fd, buffer, MIB), MIB);
    close(fd);
    settle();
    for (size_t i = 0; i < ROWS; i++) {
        if (argc == 1)
            measure(&rows[i]);
        else if (strcmp(rows[i].name, argv[1]) == 0)
            count(&rows[i]);
    }
    unmount_disk();
    return 0;
}
