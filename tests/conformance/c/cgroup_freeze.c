/* Freezing, killing and counting processes in control groups: cgroup.freeze, cgroup.kill, pids.*, CLONE_INTO_CGROUP. */
#define _GNU_SOURCE
#include "cgroup_case.h"

#include <pthread.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static volatile long *shared;

static int spin(const char *group, int place) {
    int child = fork();
    if (child == 0) {
        put(group, "cgroup.procs", "0");
        for (;;)
            shared[place]++;
    }
    while (shared[place] == 0)
        usleep(1000);
    return child;
}

/* Whether a counter moves. */
static const char *moves(int place) {
    long before = shared[place];
    for (int i = 0; i < 20; i++) {
        nap(10);
        if (shared[place] != before)
            return "moves";
    }
    return "rests";
}

static void wait_frozen(const char *group, int wanted) {
    for (int i = 0; i < 6000 && field(group, "cgroup.events", "frozen") != wanted; i++)
        nap(10);
    show(group, "cgroup.events");
}

static char state_of(int pid) {
    char name[64], text[512] = "";
    sprintf(name, "/proc/%d/stat", pid);
    int fd = open(name, O_RDONLY);
    if (fd < 0)
        return '-';
    if (read(fd, text, 511) < 0)
        text[0] = 0;
    close(fd);
    char *behind = strrchr(text, ')');
    return behind ? behind[2] : '?';
}

static void end(int child) {
    int status = 0;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("ended by %d\n", WTERMSIG(status));
}

static void freezing(void) {
    int child = spin("a", 0);
    printf("freeze %d\n", put("a", "cgroup.freeze", "1"));
    wait_frozen("a", 1);
    long before = shared[0];
    nap(100);
    printf("counter %s, state %c\n", shared[0] == before ? "rests" : "moves", state_of(child));
    kill(child, SIGTERM);
    nap(50);
    printf("term: state %c\n", state_of(child));
    kill(child, SIGSTOP);
    nap(50);
    printf("stop: state %c\n", state_of(child));
    kill(child, SIGCONT);
    show("a", "cgroup.events");
    printf("thaw %d\n", put("a", "cgroup.freeze", "0"));
    int status;
    waitpid(child, &status, 0);
    printf("then ended by %d\n", WTERMSIG(status));
    show("a", "cgroup.events");

    child = spin("a", 1);
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    end(child);
    show("a", "cgroup.events");
    put("a", "cgroup.freeze", "0");

    /* In a sleep; thawed, the sleep goes on. */
    child = fork();
    if (child == 0) {
        put("a", "cgroup.procs", "0");
        struct timespec time = {0, 300000000};
        shared[2] = 1;
        int result = nanosleep(&time, 0);
        _exit(result == 0 ? 7 : 8);
    }
    while (!shared[2])
        usleep(1000);
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    put("a", "cgroup.freeze", "0");
    waitpid(child, &status, 0);
    printf("sleeper %d\n", WEXITSTATUS(status));

    /* Reading a pipe. */
    int ends[2];
    if (pipe(ends))
        return;
    shared[2] = 0;
    child = fork();
    if (child == 0) {
        char byte;
        put("a", "cgroup.procs", "0");
        shared[2] = 1;
        _exit(read(ends[0], &byte, 1) == 1 ? byte : 99);
    }
    while (!shared[2])
        usleep(1000);
    nap(20);
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    if (write(ends[1], "\005", 1) != 1)
        return;
    nap(100);
    printf("reader state %c\n", state_of(child));
    put("a", "cgroup.freeze", "0");
    waitpid(child, &status, 0);
    printf("reader %d\n", WEXITSTATUS(status));

    /* Stopped before. */
    child = spin("a", 3);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    printf("stopped and frozen: %c\n", state_of(child));
    kill(child, SIGCONT);
    nap(50);
    printf("continued: %s, %c\n", moves(3), state_of(child));
    show("a", "cgroup.events");
    put("a", "cgroup.freeze", "0");
    printf("thawed: %s\n", moves(3));

    /* Into a frozen group, and out. */
    make_group("a/f");
    put("a/f", "cgroup.freeze", "1");
    show("a/f", "cgroup.events");
    put("a/f", "cgroup.procs", "%d", child);
    wait_frozen("a/f", 1);
    printf("moved in: %s\n", moves(3));
    put("a", "cgroup.procs", "%d", child);
    printf("moved out: %s\n", moves(3));
    put("a/f", "cgroup.procs", "%d", child);
    wait_frozen("a/f", 1);
    /* From above. */
    put("a/f", "cgroup.freeze", "0");
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    show("a/f", "cgroup.freeze");
    show("a/f", "cgroup.events");
    make_group("a/g");
    show("a/g", "cgroup.events");
    show("a", "cgroup.events");
    put("a", "cgroup.freeze", "0");
    show("a/f", "cgroup.events");
    printf("again: %s\n", moves(3));
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    printf("kill the frozen %d\n", put("a", "cgroup.kill", "1"));
    waitpid(child, &status, 0);
    printf("ended by %d\n", WTERMSIG(status));
    put("a", "cgroup.freeze", "0");
    remove_group("a/f");
    remove_group("a/g");
}

static void vforking(void) {
    shared[4] = 0;
    int child = fork();
    if (child == 0) {
        put("a", "cgroup.procs", "0");
        int grandchild = vfork();
        if (grandchild == 0) {
            put("b", "cgroup.procs", "0");
            shared[4] = 1;
            while (shared[4] == 1)
                usleep(1000);
            _exit(0);
        }
        _exit(5);
    }
    while (!shared[4])
        usleep(1000);
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    shared[4] = 2;
    nap(100);
    show("a", "cgroup.events");
    put("a", "cgroup.freeze", "0");
    int status;
    waitpid(child, &status, 0);
    printf("vfork parent %d\n", WEXITSTATUS(status));
}

static void tracing(void) {
    int child = spin("a", 5);
    put("a", "cgroup.freeze", "1");
    wait_frozen("a", 1);
    int status = 0;
    printf("attach %ld\n", ptrace(PTRACE_SEIZE, child, 0, 0));
    printf("interrupt %ld\n", ptrace(PTRACE_INTERRUPT, child, 0, 0));
    printf("wait %d", waitpid(child, &status, __WALL) == child);
    printf(" status %x\n", status);
    show("a", "cgroup.events");
    printf("cont %ld\n", ptrace(PTRACE_CONT, child, 0, 0));
    printf("%s\n", moves(5));
    show("a", "cgroup.events");
    end(child);
    put("a", "cgroup.freeze", "0");
}

static void *thread(void *argument) {
    (void)argument;
    for (;;)
        shared[6]++;
    return 0;
}

static void killing(void) {
    int children[6];
    make_group("a/k");
    for (int i = 0; i < 6; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            put(i & 1 ? "a/k" : "a", "cgroup.procs", "0");
            if (i == 3) {
                pthread_t threads[3];
                for (int j = 0; j < 3; j++)
                    pthread_create(&threads[j], 0, thread, 0);
            }
            if (i == 4)
                signal(SIGTERM, SIG_IGN);
            shared[10 + i] = 1;
            for (;;)
                pause();
        }
        while (!shared[10 + i])
            usleep(1000);
    }
    nap(50);
    printf("processes %d %d threads %d\n", member_count("a", "cgroup.procs"), member_count("a/k", "cgroup.procs"),
           member_count("a/k", "cgroup.threads"));
    printf("kill %d\n", put("a", "cgroup.kill", "1"));
    for (int i = 0; i < 6; i++) {
        int status = 0;
        waitpid(children[i], &status, 0);
        printf("%d ", WTERMSIG(status));
    }
    printf("\n");
    show("a", "cgroup.events");
    remove_group("a/k");
}

static void counting(void) {
    put("", "cgroup.subtree_control", "+pids");
    show("a", "pids.max");
    show("a", "pids.current");
    show("a", "pids.peak");
    show("a", "pids.events");
    show("a", "pids.events.local");
    static const char *texts[] = {"x", "-1", "max ", "5k", "4194304", "4194305", "", "2"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        printf("pids.max '%s': %d", texts[i], put("a", "pids.max", "%s", texts[i]));
        printf(" -> %s", get("a", "pids.max"));
    }
    int child = fork();
    int status;
    if (child == 0) {
        put("a", "cgroup.procs", "0");
        int first = fork();
        if (first == 0)
            pause();
        int second = fork();
        int error = errno;
        if (second == 0)
            pause();
        pthread_t one;
        int made = pthread_create(&one, 0, thread, 0);
        printf("forks: %s %d, thread %d\n", first > 0 ? "made" : "no", second < 0 ? error : 0, made);
        show("a", "pids.current");
        show("a", "pids.peak");
        show("a", "pids.events");
        show("a", "pids.events.local");
        kill(first, SIGKILL);
        until_ended(first);
        show("a", "pids.current");
        second = fork();
        printf("beside a zombie %d\n", second < 0 ? errno : 0);
        waitpid(first, 0, 0);
        show("a", "pids.current");
        second = fork();
        if (second == 0)
            _exit(0);
        printf("then %d\n", second < 0 ? errno : 0);
        waitpid(second, 0, 0);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show("a", "pids.current");
    /* Moving in is never refused. */
    put("a", "pids.max", "0");
    child = spin("a", 7);
    show("a", "pids.current");
    make_group("a/n");
    put("a", "pids.max", "max");
    put("a/n", "cgroup.procs", "%d", child);
    printf("delegate further %d\n", put("a", "cgroup.subtree_control", "+pids"));
    show("a/n", "pids.current");
    show("a", "pids.current");
    put("a/n", "pids.max", "max");
    put("a", "pids.max", "1");
    printf("disable %d\n", put("a", "cgroup.subtree_control", "-pids"));
    show("a", "pids.current");
    end(child);
    show("a", "pids.current");
    remove_group("a/n");
    put("a", "pids.max", "max");
}

struct clone_arguments {
    unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#define INTO_GROUP 0x200000000UL

static int clone_into(int group, int size) {
    struct clone_arguments arguments = {.flags = INTO_GROUP, .exit_signal = SIGCHLD, .cgroup = group};
    int child = syscall(435, &arguments, size);
    if (child == 0) {
        pause();
        _exit(0);
    }
    return child < 0 ? -errno : child;
}

static void into(void) {
    int fd = open(at("b", ""), O_RDONLY | O_DIRECTORY);
    int child = clone_into(fd, 88);
    printf("into: %s\n", child > 0 ? "made" : "no");
    printf("is there %d\n", atoi(get("b", "cgroup.procs")) == child);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    printf("short %d\n", clone_into(fd, 80));
    printf("not open %d\n", clone_into(999, 88));
    int other = open("/tmp", O_RDONLY);
    printf("other directory %d\n", clone_into(other, 88));
    close(other);
    int path = open(at("b", ""), O_PATH);
    child = clone_into(path, 88);
    printf("by O_PATH: %s\n", child > 0 ? "made" : "no");
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, 0, 0);
    }
    put("", "cgroup.subtree_control", "+memory +pids");
    make_group("b/1");
    put("b", "cgroup.subtree_control", "+memory");
    printf("into internal %d\n", clone_into(fd, 88));
    put("b", "cgroup.subtree_control", "-memory");
    rmdir(at("b/1", ""));
    put("b", "pids.max", "0");
    printf("over the limit %d\n", clone_into(fd, 88));
    put("b", "pids.max", "max");
    make_group("c");
    int gone = open(at("c", ""), O_RDONLY);
    remove_group("c");
    printf("removed %d\n", clone_into(gone, 88));
    put("", "cgroup.subtree_control", "-memory -pids");
}

static void notices(void) {
    int fd = open(at("a", "cgroup.events"), O_RDONLY);
    char text[256];
    struct pollfd one = {fd, POLLPRI | POLLIN, 0};
    printf("poll %d", poll(&one, 1, 0));
    printf(" %x\n", one.revents);
    if (read(fd, text, 255) < 0)
        perror("read");
    int watcher = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(watcher, at("a", "cgroup.events"), IN_MODIFY);
    int child = fork();
    if (child == 0) {
        nap(50);
        put("a", "cgroup.procs", "0");
        _exit(0);
    }
    one.events = POLLPRI;
    printf("poll %d", poll(&one, 1, 60000));
    printf(" %x\n", one.revents);
    waitpid(child, 0, 0);
    struct pollfd told = {watcher, POLLIN, 0};
    poll(&told, 1, 60000);
    struct inotify_event *event = (void *)text;
    printf("inotify %d", read(watcher, text, 255) > 0);
    printf(" mask %x\n", event->mask);
    lseek(fd, 0, SEEK_SET);
    if (read(fd, text, 255) < 0)
        perror("read");
    printf("poll %d", poll(&one, 1, 0));
    printf(" %x\n", one.revents);
    close(watcher);
    close(fd);
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mount_groups();
    make_group("a");
    make_group("b");
    freezing();
    vforking();
    tracing();
    killing();
    counting();
    into();
    notices();
    printf("rmdir %d %d\n", remove_group("a"), remove_group("b"));
    put("", "cgroup.subtree_control", "-pids");
    unmount_groups();
    return 0;
}
