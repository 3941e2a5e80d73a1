/* The tree of control groups: files, types, controllers, the rules for processes in it (cgroups(7)). */
#include "cgroup_case.h"

#include <sys/vfs.h>
#include <sys/xattr.h>

static const char *base_files[] = {
    "cgroup.type", "cgroup.procs", "cgroup.threads", "cgroup.controllers", "cgroup.subtree_control", "cgroup.events",
    "cgroup.max.descendants", "cgroup.max.depth", "cgroup.stat", "cgroup.freeze", "cgroup.kill", "cpu.stat",
};

static const char *has(const char *text, const char *word) { return strstr(text, word) ? "yes" : "no"; }

static void files(void) {
    struct statfs info;
    statfs(TOP, &info);
    printf("magic %lx, namelen %ld\n", (long)info.f_type, (long)info.f_namelen);
    struct stat status;
    for (unsigned i = 0; i < sizeof base_files / sizeof *base_files; i++) {
        int root = stat(at("", base_files[i]), &status);
        printf("%s: root %o", base_files[i], root ? 0 : status.st_mode);
        int child = stat(at("a", base_files[i]), &status);
        printf(" child %o %d size %ld\n", child ? 0 : status.st_mode, (int)status.st_nlink, (long)status.st_size);
    }
    stat(at("a", ""), &status);
    printf("directory %o links %d\n", status.st_mode, (int)status.st_nlink);
    stat(TOP, &status);
    printf("top %o ino %ld\n", status.st_mode, (long)status.st_ino);
    printf("controllers: %s %s %s %s\n", has(get("", "cgroup.controllers"), "cpuset"),
           has(get("", "cgroup.controllers"), "cpu "), has(get("", "cgroup.controllers"), "memory"),
           has(get("", "cgroup.controllers"), "pids"));
    show("a", "cgroup.type");
    show("a", "cgroup.controllers");
    show("a", "cgroup.subtree_control");
    show("a", "cgroup.events");
    show("a", "cgroup.max.depth");
    show("a", "cgroup.max.descendants");
    show("a", "cgroup.freeze");
    show("a", "cgroup.procs");
    show("a", "cgroup.threads");
    printf("descendants %ld dying %ld\n", field("a", "cgroup.stat", "nr_descendants"),
           field("a", "cgroup.stat", "nr_dying_descendants"));
    printf("kill read: %s", get("a", "cgroup.kill"));
    printf("create %d\n", open(at("a", "file"), O_CREAT | O_WRONLY, 0644) < 0 ? errno : 0);
    printf("unlink %d\n", unlink(at("a", "cgroup.procs")) ? errno : 0);
    printf("mkdir again %d\n", make_group("a"));
    printf("newline %d\n", make_group("b\nc"));
    printf("rename %d\n", rename(at("a", ""), TOP "/other") ? errno : 0);
    printf("symlink %d\n", symlink("x", at("a", "link")) ? errno : 0);
    printf("file rmdir %d\n", rmdir(at("a", "cgroup.procs")) ? errno : 0);
    printf("chmod %d\n", chmod(at("a", "cgroup.procs"), 0600) ? errno : 0);
    stat(at("a", "cgroup.procs"), &status);
    printf("mode %o\n", status.st_mode);
    printf("setxattr user %d trusted %d security %d\n", setxattr(at("a", ""), "user.x", "1", 1, 0) ? errno : 0,
           setxattr(at("a", ""), "trusted.invocation_id", "abc", 3, 0) ? errno : 0,
           setxattr(at("a", "cgroup.procs"), "user.x", "1", 1, 0) ? errno : 0);
    char value[16];
    printf("getxattr %ld\n", (long)getxattr(at("a", ""), "trusted.invocation_id", value, sizeof value));
    printf("truncate %d\n", truncate(at("a", "cgroup.freeze"), 0) ? errno : 0);
    int fd = open(at("a", "cgroup.freeze"), O_WRONLY | O_TRUNC | O_CREAT, 0644);
    printf("open truncating %d\n", fd < 0 ? errno : 0);
    close(fd);
}

static void words(void) {
    static const char *texts[] = {"+", "-", "cpu", "+nothing", "+pids -pids", "+pids +pids", " +pids  ", "", "\n", "+pids,+cpu"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        printf("subtree_control '%s': %d", texts[i], put("a", "cgroup.subtree_control", "%s", texts[i]));
        printf(" -> %s", get("a", "cgroup.subtree_control"));
    }
    put("a", "cgroup.subtree_control", "-pids");
    printf("without parent's: +memory %d\n", put("a/x", "cgroup.subtree_control", "+memory"));
    static const char *depths[] = {"1", "-1", "max", "0x", "", "99999999999", " 5 ", "2147483647", "MAX"};
    for (unsigned i = 0; i < sizeof depths / sizeof *depths; i++) {
        printf("max.depth '%s': %d", depths[i], put("a", "cgroup.max.depth", "%s", depths[i]));
        printf(" -> %s", get("a", "cgroup.max.depth"));
    }
    static const char *switches[] = {"2", "-1", "1x", "", "1\n", "0", "00", "0x1", "+0"};
    for (unsigned i = 0; i < sizeof switches / sizeof *switches; i++) {
        printf("freeze '%s': %d", switches[i], put("a", "cgroup.freeze", "%s", switches[i]));
        printf(" -> %s", get("a", "cgroup.freeze"));
        printf("kill '%s': %d\n", switches[i], put("a", "cgroup.kill", "%s", switches[i]));
    }
    put("a", "cgroup.freeze", "0");
    static const char *pids[] = {"x", "-1", "", "99999999", "1 2", "1x"};
    for (unsigned i = 0; i < sizeof pids / sizeof *pids; i++)
        printf("procs '%s': %d\n", pids[i], put("a", "cgroup.procs", "%s", pids[i]));
    printf("type domain %d, rubbish %d\n", put("a", "cgroup.type", "domain"), put("a", "cgroup.type", "zzz"));
}

static void limits(void) {
    put("a", "cgroup.max.depth", "max");
    make_group("a/1");
    put("a", "cgroup.max.depth", "1");
    printf("depth 1: child %d, grandchild %d\n", make_group("a/2"), make_group("a/1/1"));
    put("a", "cgroup.max.depth", "0");
    printf("depth 0: child %d\n", make_group("a/3"));
    put("a", "cgroup.max.depth", "max");
    put("a", "cgroup.max.descendants", "3");
    printf("descendants 3: %d", make_group("a/1/1"));
    printf(" %d", make_group("a/1/2"));
    printf(" %d\n", make_group("a/4"));
    printf("%ld\n", field("a", "cgroup.stat", "nr_descendants"));
    put("a", "cgroup.max.descendants", "max");
    printf("rmdir with child %d\n", rmdir(at("a/1", "")) ? errno : 0);
    rmdir(at("a/1/1", ""));
    rmdir(at("a/1/2", ""));
    rmdir(at("a/1", ""));
    rmdir(at("a/2", ""));
    rmdir(at("a/3", ""));
    rmdir(at("a/4", ""));
}

static void members(void) {
    printf("delegate pids: %d\n", put("", "cgroup.subtree_control", "+pids +memory"));
    make_group("a/x");
    int child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    printf("move %d\n", put("a", "cgroup.procs", "%d", child));
    printf("is there %d\n", atoi(get("a", "cgroup.procs")) == child);
    show("a", "cgroup.events");
    printf("rmdir busy %d\n", rmdir(at("a", "")) ? errno : 0);
    printf("+pids with process %d\n", put("a", "cgroup.subtree_control", "+pids"));
    printf("+memory with process %d\n", put("a", "cgroup.subtree_control", "+memory"));
    show("a", "cgroup.type");
    put("a", "cgroup.subtree_control", "-pids");
    printf("move down %d\n", put("a/x", "cgroup.procs", "%d", child));
    show("a", "cgroup.events");
    show("a/x", "cgroup.events");
    printf("+memory %d\n", put("a", "cgroup.subtree_control", "+memory +pids"));
    printf("move up again %d\n", put("a", "cgroup.procs", "%d", child));
    show("a", "cgroup.subtree_control");
    printf("x: %s", get("a/x", "cgroup.controllers"));
    printf("disable above %d\n", put("", "cgroup.subtree_control", "-memory"));
    printf("files: %d %d\n", access(at("a/x", "memory.max"), F_OK), access(at("a/x", "pids.max"), F_OK));
    put("a", "cgroup.subtree_control", "-memory");
    printf("files: %d %d\n", access(at("a/x", "memory.max"), F_OK), access(at("a/x", "pids.max"), F_OK));
    char name[64], text[256] = "";
    sprintf(name, "/proc/%d/cgroup", child);
    int fd = open(name, O_RDONLY);
    if (read(fd, text, 255) < 0)
        perror("read");
    close(fd);
    printf("proc: %s", strstr(text, "0::"));
    kill(child, SIGKILL);
    until_ended(child);
    show("a/x", "cgroup.events");
    printf("zombie listed %d\n", member_count("a/x", "cgroup.procs"));
    printf("rmdir with zombie %d\n", rmdir(at("a/x", "")) ? errno : 0);
    fd = open(name, O_RDONLY);
    memset(text, 0, sizeof text);
    if (read(fd, text, 255) < 0)
        perror("read");
    close(fd);
    printf("proc of zombie: %s", strstr(text, "0::"));
    waitpid(child, 0, 0);
    put("a", "cgroup.subtree_control", "-pids");
}

static void threaded(void) {
    make_group("a/t");
    printf("threaded %d\n", put("a/t", "cgroup.type", "threaded"));
    show("a/t", "cgroup.type");
    show("a", "cgroup.type");
    make_group("a/u");
    show("a/u", "cgroup.type");
    printf("into invalid %d\n", put("a/u", "cgroup.procs", "0"));
    printf("procs of threaded: %s", get("a/t", "cgroup.procs"));
    printf("threads: %s", get("a/t", "cgroup.threads"));
    printf("write procs to threaded %d\n", put("a/t", "cgroup.procs", "%d", getpid()));
    printf("self in a: %d\n", member_count("a", "cgroup.procs"));
    printf("self in a/t: %d\n", member_count("a/t", "cgroup.threads"));
    printf("kill threaded %d\n", put("a/t", "cgroup.kill", "1"));
    printf("enable +memory %d\n", put("a", "cgroup.subtree_control", "+memory"));
    printf("enable +pids %d\n", put("a", "cgroup.subtree_control", "+pids"));
    printf("enable +cpu %d\n", put("a", "cgroup.subtree_control", "+cpu"));
    show("a", "cgroup.subtree_control");
    show("a/t", "cgroup.controllers");
    printf("threads back to a %d\n", put("a", "cgroup.threads", "0"));
    printf("threads outside %d\n", put("", "cgroup.threads", "0"));
    printf("procs outside %d\n", put("", "cgroup.procs", "0"));
    make_group("a/t/v");
    show("a/t/v", "cgroup.type");
    printf("threaded below %d\n", put("a/t/v", "cgroup.type", "threaded"));
    show("a/t/v", "cgroup.type");
    printf("rmdir %d", rmdir(at("a/t/v", "")));
    printf(" %d", rmdir(at("a/t", "")));
    printf(" %d\n", rmdir(at("a/u", "")));
    put("a", "cgroup.subtree_control", "-pids -cpu");
    show("a", "cgroup.type");
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    mount_groups();
    printf("mkdir %d\n", make_group("a"));
    files();
    words();
    limits();
    members();
    threaded();
    rmdir(at("a/x", ""));
    printf("rmdir %d\n", remove_group("a"));
    printf("gone: %d\n", put("", "cgroup.subtree_control", "-memory -pids -cpu -cpuset"));
    unmount_groups();
    return 0;
}
