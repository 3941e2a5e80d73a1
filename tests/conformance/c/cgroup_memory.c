/* The controller "memory": limits are kept, within the group, and everything comes back. */
#define _GNU_SOURCE
#include "cgroup_case.h"

#include <sys/mman.h>

#define MEGABYTE (1024 * 1024)

static volatile long *shared;

static int is_near(long value, long wanted, long by) { return value >= wanted - by && value <= wanted + by; }

/* Run a function in a new process in a group; how that ended. */
static int in_group(const char *group, int (*run)(void)) {
    int child = fork();
    if (child == 0) {
        put(group, "cgroup.procs", "0");
        _exit(run());
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

static void report(const char *what, int status) {
    if (WIFSIGNALED(status))
        printf("%s: killed by %d\n", what, WTERMSIG(status));
    else
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
}

static int touch(long bytes) {
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long at = 0; at < bytes; at += 4096)
        memory[at] = 1;
    return 0;
}

static int touch_8(void) {
    touch(8 * MEGABYTE);
    long now = number("m", "memory.current");
    printf("8 MiB count: %d\n", is_near(now, 8 * MEGABYTE, 2 * MEGABYTE));
    printf("anon: %d\n", is_near(field("m", "memory.stat", "anon"), 8 * MEGABYTE, MEGABYTE));
    return 0;
}
static int touch_4(void) { return touch(4 * MEGABYTE); }
static int touch_64(void) { return touch(64 * MEGABYTE); }

static int fill_shm(void) {
    int fd = memfd_create("x", 0);
    char block[65536];
    memset(block, 1, sizeof block);
    for (int i = 0; i < 1024; i++)
        if (write(fd, block, sizeof block) <= 0)
            return 1;
    return 0;
}

static int some_shm(void) {
    int fd = memfd_create("x", 0);
    char block[65536];
    memset(block, 1, sizeof block);
    for (int i = 0; i < 64; i++)
        if (write(fd, block, sizeof block) <= 0)
            return 1;
    printf("shmem: %d\n", is_near(field("m", "memory.stat", "shmem"), 4 * MEGABYTE, MEGABYTE));
    printf("file: %d\n", is_near(field("m", "memory.stat", "file"), 4 * MEGABYTE, MEGABYTE));
    return 0;
}

static int fork_bomb_of_memory(void) {
    for (int i = 0; i < 20; i++) {
        if (fork() == 0) {
            touch(4 * MEGABYTE);
            pause();
        }
    }
    for (int i = 0; i < 20; i++)
        wait(0);
    return 0;
}

static void files(void) {
    static const char *names[] = {
        "memory.current", "memory.min", "memory.low", "memory.high", "memory.max", "memory.oom.group", "memory.events",
        "memory.events.local", "memory.swap.current", "memory.swap.max", "memory.swap.high", "memory.swap.events",
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat status;
        printf("%s %o", names[i], stat(at("m", names[i]), &status) ? 0 : status.st_mode);
        printf(" on top %d\n", access(at("", names[i]), F_OK) == 0);
    }
    show("m", "memory.max");
    show("m", "memory.high");
    show("m", "memory.low");
    show("m", "memory.min");
    show("m", "memory.oom.group");
    show("m", "memory.current");
    static const char *texts[] = {"1M", "4097", "8191", "max", "x", "-1", "1k2", "64m", "0x1000", "99999999999999999999", "1G ", "2T", ""};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        printf("memory.max '%s': %d", texts[i], put("m", "memory.max", "%s", texts[i]));
        printf(" -> %s", get("m", "memory.max"));
    }
    put("m", "memory.max", "max");
    printf("oom.group: %d %d %d\n", put("m", "memory.oom.group", "2"), put("m", "memory.oom.group", "x"),
           put("m", "memory.oom.group", "1"));
    show("m", "memory.oom.group");
    put("m", "memory.oom.group", "0");
    printf("reclaim nothing: %d\n", put("m", "memory.reclaim", "1M"));
}

/* A limit below what a process maps of a file: that goes. Linux kills the process once in a while, if its pages wait in a list of
 * their processor. */
static void lower_below_mapped(void) {
    static char block[10 * 4096];
    int fd = open("/tmp/disk/few", O_CREAT | O_RDWR | O_TRUNC, 0644);
    int written = write(fd, block, sizeof block);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* the group shall have the pages, not this process */
    shared[0] = 0;
    int child = fork();
    if (child == 0) {
        put("m", "cgroup.procs", "0");
        volatile char *map = mmap(0, sizeof block, PROT_READ, MAP_SHARED, fd, 0);
        for (unsigned place = 0; place < sizeof block; place += 4096)
            if (map[place] != 0)
                _exit(1);
        shared[0] = 1;
        pause();
    }
    while (!shared[0])
        usleep(1000);
    long limit = number("m", "memory.current") - 5 * 4096;
    int error = put("m", "memory.max", "%ld", limit);
    printf("mapped %d, lowered below: %d, within %d\n", written, error, number("m", "memory.current") <= limit);
    put("m", "memory.max", "max");
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    unlink("/tmp/disk/few");
    close(fd);
}

static void file_cache(void) {
    mkdir("/tmp/disk", 0755);
    if (system("mke2fs -F /dev/vda >/dev/null 2>&1") != 0)
        printf("no file system\n");
    if (mount("/dev/vda", "/tmp/disk", "ext2", 0, "") != 0) {
        printf("no disk: %d\n", errno);
        return;
    }
    int fd = open("/tmp/disk/big", O_CREAT | O_RDWR | O_TRUNC, 0644);
    put("m", "memory.max", "8M");
    long killed = field("m", "memory.events", "oom_kill");
    int child = fork();
    if (child == 0) {
        put("m", "cgroup.procs", "0");
        static char block[65536];
        memset(block, 7, sizeof block);
        for (int i = 0; i < 400; i++)
            if (write(fd, block, sizeof block) != sizeof block)
                _exit(1);
        lseek(fd, 0, SEEK_SET);
        for (int i = 0; i < 400; i++)
            if (read(fd, block, sizeof block) != sizeof block)
                _exit(2);
        _exit(number("m", "memory.current") > 8 * MEGABYTE ? 3 : 0);
    }
    int status;
    waitpid(child, &status, 0);
    report("25 MiB through a file", status);
    printf("within: %d\n", number("m", "memory.current") <= 8 * MEGABYTE);
    printf("killed: %ld\n", field("m", "memory.events", "oom_kill") - killed);
    char *map = mmap(0, 25 * MEGABYTE, PROT_READ, MAP_SHARED, fd, 0);
    child = fork();
    if (child == 0) {
        put("m", "cgroup.procs", "0");
        long sum = 0;
        for (long place = 0; place < 25 * MEGABYTE; place += 4096)
            sum += map[place];
        _exit(sum == 6400L * 7 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    report("25 MiB mapped", status);
    munmap(map, 25 * MEGABYTE);
    child = fork();
    if (child == 0) {
        /* Copies of pages of a file, at the limit. */
        put("m", "cgroup.procs", "0");
        char *own = mmap(0, 4 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        long sum = 0;
        for (long i = 0; i < 4 * MEGABYTE; i += 4096)
            sum += own[i];
        touch(2 * MEGABYTE);
        for (long i = 0; i < 4 * MEGABYTE; i += 4096)
            own[i + 1] = own[i] + 1;
        for (long i = 0; i < 4 * MEGABYTE; i += 4096)
            sum += own[i + 1];
        _exit(sum == 1024 * 15 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    report("copied at the limit", status);
    printf("of files: %d\n", field("m", "memory.stat", "file") > 4 * MEGABYTE);
    /* How much is left at the limit depends on how much was dropped at once: let there be enough to reclaim. */
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    child = fork();
    if (child == 0) {
        put("m", "cgroup.procs", "0");
        static char block[65536];
        for (int i = 0; i < 64; i++)
            if (pread(fd, block, sizeof block, i * (long)sizeof block) != sizeof block)
                _exit(1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    report("4 MiB read", status);
    printf("of files: %d\n", field("m", "memory.stat", "file") >= 3 * MEGABYTE);
    int error = put("m", "memory.reclaim", "1M");
    printf("reclaim: %d\n", error);
    if (error)
        printf("%s%s", get("m", "memory.current"), get("m", "memory.stat"));
    unlink("/tmp/disk/big");
    close(fd);
    put("m", "memory.max", "max");
    lower_below_mapped();
    umount("/tmp/disk");
    rmdir("/tmp/disk");
}

/* Linux gives back a while later. */
static int until_below(const char *group, long limit) {
    for (int i = 0; i < 3000 && number(group, "memory.current") >= limit; i++)
        nap(10);
    return number(group, "memory.current") < limit;
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mount_groups();
    printf("delegate %d\n", put("", "cgroup.subtree_control", "+memory"));
    make_group("m");
    files();
    report("8 MiB", in_group("m", touch_8));
    report("shm", in_group("m", some_shm));
    printf("comes back: %d\n", until_below("m", MEGABYTE));
    put("m", "memory.max", "16M");
    report("64 MiB in 16", in_group("m", touch_64));
    printf("oom_kill %ld, oom %d, max %d\n", field("m", "memory.events", "oom_kill"),
           field("m", "memory.events", "oom") > 0, field("m", "memory.events", "max") > 0);
    printf("peak: %d\n", is_near(number("m", "memory.peak"), 16 * MEGABYTE, MEGABYTE));
    report("64 MiB of files in 16", in_group("m", fill_shm));
    printf("comes back: %d\n", until_below("m", MEGABYTE));
    printf("oom_kill %ld\n", field("m", "memory.events", "oom_kill"));

    /* The group over its limit has processes killed inside it; all of them, if it asks for that. */
    int bystander = fork();
    if (bystander == 0) {
        touch(32 * MEGABYTE);
        pause();
    }
    make_group("m/1");
    put("m", "cgroup.subtree_control", "+memory");
    report("below", in_group("m/1", touch_64));
    printf("events: %ld above, %ld local above, %ld below\n", field("m", "memory.events", "oom_kill"),
           field("m", "memory.events.local", "oom_kill"), field("m/1", "memory.events", "oom_kill"));
    put("m/1", "memory.oom.group", "1");
    put("m/1", "memory.max", "8M");
    report("together", in_group("m/1", fork_bomb_of_memory));
    printf("group kills %ld\n", field("m/1", "memory.events", "oom_group_kill"));
    for (int i = 0; i < 6000 && field("m/1", "cgroup.events", "populated") != 0; i++)
        nap(10);
    show("m/1", "cgroup.events");
    printf("bystander lives: %d\n", waitpid(bystander, 0, WNOHANG) == 0);
    kill(bystander, SIGKILL);
    waitpid(bystander, 0, 0);

    /* A limit that is set below what there is. */
    put("m", "memory.max", "max");
    put("m/1", "memory.max", "max");
    put("m/1", "memory.oom.group", "0");
    int child = fork();
    if (child == 0) {
        put("m/1", "cgroup.procs", "0");
        touch(24 * MEGABYTE);
        shared[0] = 1;
        pause();
    }
    while (!shared[0])
        usleep(1000);
    printf("lowered: %d\n", put("m", "memory.max", "4M"));
    int status;
    waitpid(child, &status, 0);
    report("lowered", status);
    put("m", "memory.max", "max");
    remove_group("m/1");
    put("m", "cgroup.subtree_control", "-memory");
    file_cache();

    /* Groups that go leave nothing behind. */
    long before = number("m", "memory.current");
    put("m", "cgroup.subtree_control", "+memory");
    for (int i = 0; i < 50; i++) {
        make_group("m/2");
        in_group("m/2", touch_4);
        if (remove_group("m/2") != 0)
            printf("cannot go\n");
    }
    put("m", "cgroup.subtree_control", "-memory");
    printf("nothing is left: %d\n", until_below("m", before + 2 * MEGABYTE));
    printf("rmdir %d\n", remove_group("m"));
    printf("end %d\n", put("", "cgroup.subtree_control", "-memory"));
    unmount_groups();
    return 0;
}
