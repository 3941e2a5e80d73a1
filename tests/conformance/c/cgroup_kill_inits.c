/* cgroup.kill and the first process of a pid namespace: from inside it is spared, from outside it is not. */
#include "cgroup_case.h"

static int ready[2];

static void tell(int *pipe_ends) { write(pipe_ends[1], "x", 1); }
static void hear(int *pipe_ends) { char byte; read(pipe_ends[0], &byte, 1); }

static void show_how(const char *who, int pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    printf("%s: %s %d\n", who, WIFSIGNALED(status) ? "signal" : "exit",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* The first of the namespace, in the group with a child; a second child outside the group kills it. */
static int first(int level) {
    int sleeper, killer;
    put("a", "cgroup.procs", "0");
    if ((sleeper = fork()) == 0)
        for (;;)
            pause();
    if ((killer = fork()) == 0) {
        put("b", "cgroup.procs", "0");
        printf("level %d: kill from inside %d\n", level, put("a", "cgroup.kill", "1"));
        _exit(0);
    }
    show_how("killer", killer);
    show_how("sleeper", sleeper);
    printf("level %d: the first is alive, pid %d\n", level, getpid());
    if (level == 1) {
        unshare(CLONE_NEWPID);
        int inner = fork();
        if (inner == 0)
            _exit(first(2));
        show_how("the inner first", inner);
    }
    if (level == 2)
        return 7;
    tell(ready);
    for (;;)
        pause();
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    mount_groups();
    make_group("a");
    make_group("b");
    pipe(ready);
    int maker = fork();
    if (maker == 0) {
        unshare(CLONE_NEWPID);
        int pid = fork();
        if (pid == 0)
            _exit(first(1));
        hear(ready);
        printf("kill from outside %d\n", put("a", "cgroup.kill", "1"));
        show_how("the first", pid);
        _exit(0);
    }
    show_how("maker", maker);
    printf("rmdir %d %d\n", remove_group("a"), remove_group("b"));
    unmount_groups();
    return 0;
}
