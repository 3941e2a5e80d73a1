/* Covers: setns, unshare, mount, pivot_root, ptrace, open, openat2: ways by which programs have left containers, refused. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HELD "/tmp/escapes.program"
#define PLACE "/tmp/escapes"

static void write_text(const char *path, const char *text) {
    int fd = (int)MUST(open(path, O_WRONLY));
    MUST(write(fd, text, strlen(text)));
    close(fd);
}

/* Become user 1000 in a user namespace where that is root. */
static void become_root_inside(void) {
    MUST(setgid(1000)); MUST(setuid(1000));
    MUST(prctl(PR_SET_DUMPABLE, 1));
    MUST(unshare(CLONE_NEWUSER));
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", "0 1000 1");
    write_text("/proc/self/gid_map", "0 1000 1");
}

/* The program that runs is rewritten through /proc (CVE-2019-5736). */
static void rewritten_program(void) {
    puts("--- program");
    char path[64];
    IN_CHILD(MUST(execl(HELD, HELD, "hold", NULL)));
    pid_t child = (pid_t)MUST(fork());
    if (child == 0) {
        execl(HELD, HELD, "wait", NULL);
        _exit(1);
    }
    snprintf(path, sizeof path, "/proc/%d/exe", child);
    char name[64] = "";
    while (strcmp(name, HELD) != 0) {
        ssize_t length = readlink(path, name, sizeof name - 1);
        name[length > 0 ? length : 0] = 0;
    }
    printf("another's, to write: %s\n", open(path, O_WRONLY) < 0 ? error_name(errno) : "ok");
    int held = (int)MUST(open(path, O_PATH));
    IN_CHILD(become_root_inside();
        printf("from a namespace: %s\n", open(path, O_WRONLY) < 0 ? error_name(errno) : "ok");
        snprintf(path, sizeof path, "/proc/self/fd/%d", held);
        printf("by a descriptor: %s\n", open(path, O_WRONLY) < 0 ? error_name(errno) : "ok"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    IN_CHILD(become_root_inside();
        snprintf(path, sizeof path, "/proc/self/fd/%d", held);
        printf("after its end: %s\n", open(path, O_WRONLY | O_TRUNC) < 0 ? error_name(errno) : "ok"));
    close(held);
}

/* What covers places of /proc is taken away, or all of it comes anew. */
static void covered_proc(void) {
    puts("--- covered");
    IN_CHILD(become_root_inside(); MUST(unshare(CLONE_NEWNS));
        TRY(umount2("/proc", 0));
        TRY(umount2("/proc", MNT_DETACH));
        TRY(mount("", "/proc", "", MS_REMOUNT | MS_BIND | MS_RDONLY, ""));
        TRY(mount("none", "/proc", "proc", 0, "")));
}

/* Descriptors of namespaces that are not theirs, or of the dead. */
static void namespaces(void) {
    puts("--- namespaces");
    int user = (int)MUST(open("/proc/self/ns/user", O_RDONLY)), mounts = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
    int pid = (int)MUST(open("/proc/self/ns/pid", O_RDONLY)), net = (int)MUST(open("/proc/self/ns/net", O_RDONLY));
    IN_CHILD(become_root_inside();
        TRY(setns(user, 0)); TRY(setns(mounts, 0)); TRY(setns(pid, 0)); TRY(setns(net, 0));
        int own = (int)MUST(open("/proc/self/ns/user", O_RDONLY));
        TRY(setns(own, 0));
        TRY(open("/proc/1/ns/mnt", O_RDONLY));
        TRY(open("/proc/1/root/tmp", O_RDONLY)));
    close(user); close(mounts); close(pid); close(net);
    int ends[2];
    MUST(pipe(ends));
    pid_t child = (pid_t)MUST(fork());
    if (child == 0) {
        MUST(unshare(CLONE_NEWPID));
        if (fork() == 0)
            pause();
        MUST(write(ends[1], "x", 1));
        pause();
    }
    char c;
    MUST(read(ends[0], &c, 1));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid_for_children", child);
    int stale = (int)MUST(open(path, O_RDONLY)), ended = (int)MUST(syscall(434, child, 0));
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", child, child);
    int file = open(path, O_RDONLY);
    char text[32] = "";
    if (file >= 0)
        read(file, text, sizeof text - 1);
    int init = (int)MUST(syscall(434, atoi(text), 0));
    kill(atoi(text), SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    IN_CHILD(SHOW(setns(ended, CLONE_NEWNS)); SHOW(setns(ended, CLONE_NEWPID | CLONE_NEWNET)));
    struct pollfd end = {init, POLLIN, 0};
    MUST(poll(&end, 1, 60000));
    close(init);
    IN_CHILD(SHOW(setns(stale, CLONE_NEWPID)); pid_t born = fork(); if (born == 0) _exit(0); CHECK(born > 0); if (born < 0) puts(error_name(errno)));
    close(stale); close(ended); close(ends[0]); close(ends[1]);
}

/* A process of another namespace, or one that entered a container and has not dropped what it had. */
static void traced(void) {
    puts("--- traced");
    int ends[2];
    MUST(pipe(ends));
    pid_t child = (pid_t)MUST(fork());
    if (child == 0) {
        become_root_inside();
        MUST(write(ends[1], "x", 1));
        pause();
    }
    char c;
    MUST(read(ends[0], &c, 1));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", child);
    IN_CHILD(become_root_inside(); /* a sister */
        SHOW(ptrace(PTRACE_ATTACH, child, 0, 0)); TRY(open(path, O_RDWR)); SHOW(kill(child, 0));
        SHOW(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
        snprintf(path, sizeof path, "/proc/%d/ns/user", child); TRY(open(path, O_RDONLY)));
    IN_CHILD(int user; snprintf(path, sizeof path, "/proc/%d/ns/user", child); user = (int)MUST(open(path, O_RDONLY));
        MUST(setns(user, 0)); /* from above: it is their administrator now, and may be traced by them only if it can be dumped */
        SHOW(prctl(PR_GET_DUMPABLE)); SHOW(ptrace(PTRACE_SEIZE, child, 0, 0)));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]); close(ends[1]);
}

/* A new root that is not what it was. */
static void changed_root(void) {
    puts("--- root");
    IN_CHILD(
        MUST(unshare(CLONE_NEWNS));
        MUST(mount("", "/", "", MS_REC | MS_PRIVATE, ""));
        MUST(mount("none", PLACE, "tmpfs", 0, ""));
        MUST(mkdir(PLACE "/new", 0755)); MUST(mkdir(PLACE "/new/old", 0755)); MUST(symlink("/", PLACE "/link"));
        MUST(mount(PLACE "/new", PLACE "/new", "", MS_BIND, ""));
        SHOW(syscall(155, PLACE "/new", PLACE "/link"));
        SHOW(syscall(155, PLACE "/new/old", PLACE "/new/old"));
        SHOW(syscall(155, PLACE "/new", PLACE));
        MUST(chdir(PLACE "/new")); MUST(chroot("."));
        struct { unsigned long flags, mode, resolve; } how = { O_PATH, 0, 0x10 /* RESOLVE_IN_ROOT */ };
        struct stat root, found;
        MUST(stat("/", &root));
        int fd = (int)MUST(syscall(437, AT_FDCWD, "../../../..", &how, sizeof how));
        MUST(fstat(fd, &found));
        CHECK(root.st_ino == found.st_ino && root.st_dev == found.st_dev);
        how.resolve = 8; /* RESOLVE_BENEATH */
        SHOW(syscall(437, AT_FDCWD, "old/../../x", &how, sizeof how));
        SHOW(setuid(1000)); SHOW(chroot(".")));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        pause();
    if (argc > 1) {
        printf("itself, to write: %s\n", open("/proc/self/exe", O_WRONLY) < 0 ? error_name(errno) : "ok");
        fflush(stdout);
        return 0;
    }
    mkdir(PLACE, 0755);
    int from = (int)MUST(open("/proc/self/exe", O_RDONLY)), to = (int)MUST(open(HELD, O_CREAT | O_TRUNC | O_WRONLY, 0755));
    char buffer[65536];
    ssize_t count;
    while ((count = read(from, buffer, sizeof buffer)) > 0)
        MUST(write(to, buffer, (size_t)count));
    close(from); close(to);
    rewritten_program();
    covered_proc();
    namespaces();
    traced();
    changed_root();
    unlink(HELD);
    rmdir(PLACE);
    return 0;
}
