/* Permissions: delegation by owners and by namespaces; cgroup namespaces; what is mounted in them. */
#define _GNU_SOURCE
#include "cgroup_case.h"

static void as_user(int uid) {
    if (setgid(uid) || setuid(uid))
        exit(99);
}

/* What /proc/self/cgroup says of the one hierarchy. */
static void own_group(const char *what) {
    char text[4096];
    int fd = open("/proc/self/cgroup", O_RDONLY);
    int length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    printf("%s: %s", what, strstr(text, "0::"));
}

static void mount_line(const char *place) {
    char line[4096];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    while (fgets(line, sizeof line, file)) {
        char root[512], point[512];
        if (sscanf(line, "%*d %*d %*s %511s %511s", root, point) == 2 && strcmp(point, place) == 0)
            printf("mountinfo root %s, %s", root, strstr(line, " - "));
    }
    fclose(file);
}

static int holder(const char *group) {
    int child = fork();
    if (child == 0) {
        put(group, "cgroup.procs", "0");
        for (;;)
            pause();
    }
    while (member_count(group, "cgroup.procs") == 0)
        usleep(1000);
    return child;
}

static void give(const char *group) {
    chown(at(group, ""), 1000, 1000);
    chown(at(group, "cgroup.procs"), 1000, 1000);
    chown(at(group, "cgroup.subtree_control"), 1000, 1000);
    chown(at(group, "cgroup.threads"), 1000, 1000);
}

static void by_owner(void) {
    make_group("d");
    make_group("e");
    give("d");
    int child = fork();
    if (child == 0) {
        put("d", "cgroup.procs", "0");
        as_user(1000);
        printf("mkdir outside %d, in e %d\n", make_group("x"), make_group("e/x"));
        printf("mkdir inside %d %d\n", make_group("d/1"), make_group("d/2"));
        struct stat status;
        stat(at("d/1", "cgroup.procs"), &status);
        printf("owner %d %d mode %o\n", (int)status.st_uid, (int)status.st_gid, status.st_mode);
        stat(at("d/1", "pids.max"), &status);
        printf("owner of pids.max %d\n", (int)status.st_uid);
        printf("move down %d\n", put("d/1", "cgroup.procs", "0"));
        printf("move across %d\n", put("d/2", "cgroup.procs", "0"));
        printf("move out to e %d, to the top %d\n", put("e", "cgroup.procs", "0"), put("", "cgroup.procs", "0"));
        printf("own limit: %d\n", put("d", "pids.max", "5"));
        printf("limit of a child: %d\n", put("d/1", "pids.max", "5"));
        printf("delegate further: %d\n", put("d", "cgroup.subtree_control", "+pids"));
        stat(at("d/1", "pids.max"), &status);
        printf("owner of pids.max %d\n", (int)status.st_uid);
        printf("limit of a child: %d\n", put("d/1", "pids.max", "5"));
        printf("freeze own %d, child %d\n", put("d", "cgroup.freeze", "0"), put("d/1", "cgroup.freeze", "0"));
        printf("kill own %d\n", put("d", "cgroup.kill", "1"));
        _exit(0);
    }
    waitpid(child, 0, 0);
    /* A process of root's is not his to take, though he may write to where it goes. */
    int other = holder("e");
    child = fork();
    if (child == 0) {
        as_user(1000);
        printf("take a process from e: %d\n", put("d/1", "cgroup.procs", "%d", other));
        printf("take init: %d\n", put("d/1", "cgroup.procs", "1"));
        _exit(0);
    }
    waitpid(child, 0, 0);
    chmod(at("", "cgroup.procs"), 0666);
    child = fork();
    if (child == 0) {
        as_user(1000);
        printf("with the common one: %d\n", put("d/1", "cgroup.procs", "%d", other));
        _exit(0);
    }
    waitpid(child, 0, 0);
    chmod(at("", "cgroup.procs"), 0644);
    /* A descriptor that root opened stays root's. */
    int fd = open(at("d/2", "cgroup.procs"), O_WRONLY);
    child = fork();
    if (child == 0) {
        as_user(1001);
        printf("by root's descriptor: %d\n", write(fd, "0", 1) < 0 ? errno : 0);
        _exit(0);
    }
    waitpid(child, 0, 0);
    close(fd);
    kill(other, SIGKILL);
    waitpid(other, 0, 0);
    put("d", "cgroup.subtree_control", "-pids");
    remove_group("d/1");
    remove_group("d/2");
    remove_group("d");
    remove_group("e");
}

static void namespaces(void) {
    make_group("n");
    make_group("n/1");
    make_group("o");
    int other = holder("o");
    int child = fork();
    if (child == 0) {
        put("n", "cgroup.procs", "0");
        char before[64] = "", after[64] = "";
        if (readlink("/proc/self/ns/cgroup", before, 63) < 0)
            perror("readlink");
        int outer = open("/proc/self/ns/cgroup", O_RDONLY);
        own_group("before");
        printf("unshare %d\n", unshare(CLONE_NEWCGROUP));
        if (readlink("/proc/self/ns/cgroup", after, 63) < 0)
            perror("readlink");
        printf("another %d\n", strcmp(before, after) != 0);
        own_group("after");
        mount_line(TOP);
        put("n/1", "cgroup.procs", "0");
        own_group("below");
        put("", "cgroup.procs", "0");
        own_group("above");
        put("n", "cgroup.procs", "0");
        char name[64], text[256] = "";
        sprintf(name, "/proc/%d/cgroup", other);
        int fd = open(name, O_RDONLY);
        if (read(fd, text, 255) < 0)
            perror("read");
        close(fd);
        printf("other: %s", strstr(text, "0::"));
        unshare(CLONE_NEWNS);
        mount("", "/", 0, MS_REC | MS_PRIVATE, 0);
        mkdir("/tmp/inner", 0755);
        printf("mount %d\n", mount("inner", "/tmp/inner", "cgroup2", 0, ""));
        printf("shows own: %d %d\n", access("/tmp/inner/1/cgroup.procs", F_OK), access("/tmp/inner/o", F_OK));
        printf("type %d\n", access("/tmp/inner/cgroup.type", F_OK));
        mount_line("/tmp/inner");
        printf("setns back %d\n", setns(outer, CLONE_NEWCGROUP));
        own_group("back");
        mount_line("/tmp/inner");
        umount("/tmp/inner");
        rmdir("/tmp/inner");
        printf("clone: ");
        int inner = syscall(SYS_clone, CLONE_NEWCGROUP | SIGCHLD, 0, 0, 0, 0);
        if (inner == 0) {
            own_group("");
            as_user(1000);
            printf("unshare as a user %d\n", unshare(CLONE_NEWCGROUP) ? errno : 0);
            printf("with a user namespace %d\n", unshare(CLONE_NEWUSER | CLONE_NEWCGROUP) ? errno : 0);
            own_group("there");
            _exit(0);
        }
        waitpid(inner, 0, 0);
        _exit(0);
    }
    waitpid(child, 0, 0);

    printf("remount %d\n", mount("none", TOP, "cgroup2", MS_REMOUNT, "nsdelegate"));
    mount_line(TOP);
    child = fork();
    if (child == 0) {
        put("n", "cgroup.procs", "0");
        unshare(CLONE_NEWCGROUP);
        printf("down %d\n", put("n/1", "cgroup.procs", "0"));
        printf("up %d\n", put("n", "cgroup.procs", "0"));
        printf("out %d\n", put("o", "cgroup.procs", "0"));
        printf("take %d\n", put("n/1", "cgroup.procs", "%d", other));
        printf("to the top %d\n", put("", "cgroup.procs", "0"));
        printf("own limit %d\n", put("n", "pids.max", "5"));
        static const char *files[] = {"cpu.pressure", "io.pressure", "memory.pressure"};
        for (int i = 0; i < 3; i++)
            printf("%s: own %d, below %d\n", files[i], put("n", files[i], "some 100000 2000000"),
                   put("n/1", files[i], "some 100000 2000000"));
        printf("own, nothing right: %d\n", put("n", "cpu.pressure", "rubbish"));
        printf("own, nothing: %d\n", put("n", "cpu.pressure", ""));
        printf("child's controllers %d\n", put("n", "cgroup.subtree_control", ""));
        _exit(0);
    }
    waitpid(child, 0, 0);
    printf("options: %d\n", mount("none", TOP, "cgroup2", MS_REMOUNT, "rubbish") ? errno : 0);
    printf("remount %d\n", mount("none", TOP, "cgroup2", MS_REMOUNT, ""));
    kill(other, SIGKILL);
    waitpid(other, 0, 0);
    remove_group("n/1");
    remove_group("n");
    remove_group("o");
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    mount_groups();
    put("", "cgroup.subtree_control", "+pids");
    mount_line(TOP);
    by_owner();
    namespaces();
    mkdir("/tmp/sys", 0755);
    if (mount("s", "/tmp/sys", "sysfs", 0, "") == 0) {
        char line[256];
        printf("/sys/fs/cgroup %d\n", access("/tmp/sys/fs/cgroup", F_OK));
        FILE *file = fopen("/tmp/sys/kernel/cgroup/features", "r");
        while (fgets(line, sizeof line, file))
            printf("%s", line);
        fclose(file);
        file = fopen("/tmp/sys/kernel/cgroup/delegate", "r");
        while (fgets(line, sizeof line, file))
            if (!strstr(line, "pressure") && !strstr(line, "zswap"))
                printf("%s", line);
        fclose(file);
        umount("/tmp/sys");
    }
    rmdir("/tmp/sys");
    put("", "cgroup.subtree_control", "-pids");
    unmount_groups();
    return 0;
}
