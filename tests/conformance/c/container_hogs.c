/* Covers: hostile input: a container (all namespaces, a control group with limits) that forks, that fills memory, files and
 * inodes, that nests namespaces and makes groups of its own: it meets its limits, and a bystander outside notices nothing. */
#define _GNU_SOURCE
#include "cgroup_case.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define MEGABYTE (1024 * 1024)
#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)
#define SCRATCH "/mnt"

static int asked[2], answered[2];
static pid_t bystander;

static void write_text(const char *path, const char *text) {
    int fd = (int)MUST(open(path, O_WRONLY));
    MUST(write(fd, text, strlen(text)));
    close(fd);
}

/* Outside: a process with memory, a file and a child of its own makes use of each when it is asked. */
static void stand_by(void) {
    char c;
    unsigned char *memory = mmap(0, 16 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), round = 7;
    memset(memory, round, 16 * MEGABYTE);
    while (read(asked[0], &c, 1) == 1) {
        int is_well = 1, status = -1;
        for (long i = 0; i < 16 * MEGABYTE; i += PAGE)
            is_well &= memory[i] == round;
        memset(memory, ++round, 16 * MEGABYTE);
        pid_t child = fork();
        if (child == 0) {
            char *more = mmap(0, 8 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(more, 1, 8 * MEGABYTE);
            int fd = open("/tmp/hogs.bystander", O_CREAT | O_RDWR, 0600);
            _exit(fd >= 0 && write(fd, more, MEGABYTE) == MEGABYTE ? 5 : 6);
        }
        is_well &= child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5;
        unlink("/tmp/hogs.bystander");
        c = is_well ? 'y' : 'n';
        write(answered[1], &c, 1);
    }
    _exit(0);
}

static void ask(const char *when) {
    char c = '?';
    MUST(write(asked[1], "x", 1));
    read(answered[0], &c, 1);
    printf("outside, %s: %s\n", when, c == 'y' ? "well" : "not well");
}

/* A function as process 1 of a new container; whatever it started ends with it. */
static void contain(const char *what, void (*run)(void)) {
    printf("--- %s\n", what);
    fflush(stdout);
    int ready[2], go[2];
    char c;
    MUST(pipe(ready)); MUST(pipe(go));
    pid_t child = (pid_t)MUST(fork());
    if (child == 0) {
        MUST(put("c", "cgroup.procs", "0") == 0 ? 0 : -1);
        MUST(unshare(NAMESPACES));
        MUST(write(ready[1], "x", 1));
        MUST(read(go[0], &c, 1));
        MUST(setgid(0)); MUST(setuid(0)); /* as the maps have it */
        MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
        pid_t init = (pid_t)MUST(fork());
        if (init == 0) {
            MUST(mount("none", SCRATCH, "tmpfs", 0, "nr_inodes=50,size=4m"));
            run();
            fflush(stdout);
            _exit(0);
        }
        show_end(init);
        fflush(stdout);
        _exit(0);
    }
    char path[64];
    MUST(read(ready[0], &c, 1));
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    write_text(path, "0 100000 65536");
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    write_text(path, "0 100000 65536");
    MUST(write(go[1], "x", 1));
    show_end(child);
    close(ready[0]); close(ready[1]); close(go[0]); close(go[1]);
    for (int i = 0; i < 6000 && (field("c", "cgroup.events", "populated") != 0 || number("c", "pids.current") != 0); i++)
        sleep_ms(10);
    printf("populated %ld, processes %ld\n", field("c", "cgroup.events", "populated"), number("c", "pids.current"));
    ask(what);
}

static void forks(void) {
    int made = 0;
    pid_t child;
    while (made < 1000 && (child = fork()) > 0)
        made++;
    if (child == 0)
        for (;;)
            pause();
    printf("%d made, then %s\n", made, error_name(errno));
}

/* All of them fork, until the group's limit holds them; then process 1 ends. */
static void bomb(void) {
    if (fork() == 0)
        for (;;)
            fork();
    sleep_ms(500);
    printf("process 1 is still there\n");
}

static void memory(void) {
    IN_CHILD({
        char *all = mmap(0, 128 * MEGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(all, 1, 128 * MEGABYTE);
    });
}

static void shared_memory(void) {
    IN_CHILD({
        int fd = (int)MUST(memfd_create("hog", 0));
        static char block[MEGABYTE];
        memset(block, 1, sizeof block);
        for (int i = 0; i < 256; i++)
            MUST(write(fd, block, sizeof block));
    });
}

static void files(void) {
    char path[64];
    int made = 0, fd = 0;
    for (; made < 1000; made++) {
        snprintf(path, sizeof path, SCRATCH "/%d", made);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        if (fd < 0)
            break;
        close(fd);
    }
    printf("%d files, then %s\n", made, error_name(errno));
    SHOW(mkdir(SCRATCH "/directory", 0700));
    SHOW(symlink("x", SCRATCH "/link"));
    SHOW(unlink(SCRATCH "/0"));
    SHOW(mkdir(SCRATCH "/directory", 0700));
    static char block[65536];
    long written = 0, n;
    fd = (int)MUST(open(SCRATCH "/1", O_WRONLY));
    while ((n = write(fd, block, sizeof block)) > 0)
        written += n;
    printf("%ld bytes, then %s\n", written, error_name(errno));
    SHOW(mount("none", SCRATCH, "tmpfs", MS_REMOUNT, "nr_inodes=10"));
    SHOW(mount("none", SCRATCH, "tmpfs", MS_REMOUNT, "size=1m"));
}

/* Namespaces below namespaces, for as long as there are any. */
static void nest(void) {
    int depth = 0;
    while (depth < 100 && unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP) == 0) {
        depth++;
        write_text("/proc/self/setgroups", "deny");
        write_text("/proc/self/uid_map", "0 0 1");
        write_text("/proc/self/gid_map", "0 0 1");
    }
    printf("%d deep, then %s\n", depth, error_name(errno));
}

/* Process 1 of a process 1, each waiting for the one below. */
static void nest_processes(int depth) {
    if (depth == 100 || unshare(CLONE_NEWPID) != 0) {
        printf("%d deep, then %s\n", depth, error_name(errno));
        fflush(stdout);
        _exit(0);
    }
    pid_t child = fork();
    if (child == 0)
        nest_processes(depth + 1);
    if (child < 0)
        printf("%d deep, no process: %s\n", depth, error_name(errno));
    fflush(stdout);
    if (child > 0)
        waitpid(child, 0, 0);
    _exit(0);
}

static void processes_nested(void) { nest_processes(0); }

/* Overlays on overlays. */
static void overlays(void) {
    char path[64], options[128];
    MUST(mkdir(SCRATCH "/0", 0700)); MUST(mkdir(SCRATCH "/e", 0700));
    int depth = 0;
    for (; depth < 9; depth++) {
        snprintf(path, sizeof path, SCRATCH "/%d", depth + 1);
        MUST(mkdir(path, 0700));
        snprintf(options, sizeof options, "lowerdir=" SCRATCH "/%d:" SCRATCH "/e", depth);
        if (mount("none", path, "overlay", 0, options) != 0)
            break;
    }
    printf("%d overlays, then %s\n", depth, error_name(errno));
}

int main(void) {
    MUST(pipe(asked)); MUST(pipe(answered));
    bystander = (pid_t)MUST(fork());
    if (bystander == 0)
        stand_by();
    mount_groups();
    printf("delegate %d\n", put("", "cgroup.subtree_control", "+memory +pids"));
    make_group("c");
    printf("limits %d %d\n", put("c", "pids.max", "60"), put("c", "memory.max", "24M"));
    ask("at first");
    contain("forks", forks);
    contain("bomb", bomb);
    printf("refused: %d\n", field("c", "pids.events", "max") > 0);
    contain("memory", memory);
    contain("shared memory", shared_memory);
    printf("killed: %ld\n", field("c", "memory.events", "oom_kill"));
    contain("files", files);
    contain("namespaces", nest);
    contain("processes", processes_nested);
    contain("overlays", overlays);
    printf("alive: %d\n", waitpid(bystander, 0, WNOHANG) == 0);
    kill(bystander, SIGKILL);
    MUST(waitpid(bystander, 0, 0));
    printf("rmdir %d\n", remove_group("c"));
    printf("end %d\n", put("", "cgroup.subtree_control", "-memory -pids"));
    unmount_groups();
    return 0;
}
