/* The controllers "cpu" and "cpuset". */
#define _GNU_SOURCE
#include "cgroup_case.h"

#include <sys/mman.h>
#include <sys/resource.h>

static volatile long *shared;

static double seconds(int who) {
    struct timespec now;
    clock_gettime(who, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* Processes that compute in a group, all on processor 0. */
static void burn(const char *group, int count, int *children) {
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(0, &set);
            sched_setaffinity(0, sizeof set, &set);
            put(group, "cgroup.procs", "0");
            for (;;)
                shared[0]++;
        }
    }
}

/* Processes in a group, all on processor 0, of which one computes at a time, for a millisecond. */
static void take_turns(const char *group, int count, int *children) {
    int pipes[16][2];
    for (int i = 0; i < count; i++)
        if (pipe(pipes[i]) != 0)
            exit(99);
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char turn;
            cpu_set_t set;
            CPU_ZERO(&set);
            CPU_SET(0, &set);
            sched_setaffinity(0, sizeof set, &set);
            put(group, "cgroup.procs", "0");
            while (read(pipes[i][0], &turn, 1) == 1) {
                double began = seconds(CLOCK_PROCESS_CPUTIME_ID);
                while (seconds(CLOCK_PROCESS_CPUTIME_ID) - began < 0.001)
                    shared[0]++;
                if (write(pipes[(i + 1) % count][1], &turn, 1) != 1)
                    break;
            }
            _exit(1);
        }
    }
    if (write(pipes[0][1], "x", 1) != 1)
        exit(99);
    for (int i = 0; i < count; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void stop(int count, int *children) {
    for (int i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], 0, 0);
    }
}

static long used(const char *group) { return field(group, "cpu.stat", "usage_usec"); }

/* Whether a share of what two groups used in a while is about as wanted, in percent. A host that stands still gives that
 * time to whoever has the processor: so there are several attempts.
 */
static int shares(const char *one, const char *other, int wanted, int by) {
    long percent = 0;
    for (int tries = 0; tries < 4; tries++) {
        nap(300);
        long first = used(one), second = used(other);
        nap(2500);
        first = used(one) - first;
        second = used(other) - second;
        percent = first * 100 / (first + second + 1);
        if (percent >= wanted - by && percent <= wanted + by)
            return 1;
    }
    printf("(%ld) ", percent);
    return 0;
}

static void files(void) {
    static const char *names[] = {"cpu.weight", "cpu.weight.nice", "cpu.idle", "cpu.max", "cpu.max.burst", "cpuset.cpus",
                                  "cpuset.mems", "cpuset.cpus.partition", "cpuset.mems.effective"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat status;
        printf("%s %o: ", names[i], stat(at("a", names[i]), &status) ? 0 : status.st_mode);
        printf("%s", get("a", names[i]));
    }
    printf("effective is top's: %d\n", strcmp(get("a", "cpuset.cpus.effective"), get("", "cpuset.cpus.effective")) == 0);
    static const char *weights[] = {"0", "1", "10000", "10001", "x", "-5", "", " 250\n"};
    for (unsigned i = 0; i < sizeof weights / sizeof *weights; i++) {
        printf("cpu.weight '%s': %d", weights[i], put("a", "cpu.weight", "%s", weights[i]));
        printf(" -> %s", get("a", "cpu.weight"));
    }
    static const char *nices[] = {"-20", "-21", "19", "20", "5", "0"};
    for (unsigned i = 0; i < sizeof nices / sizeof *nices; i++) {
        printf("nice '%s': %d", nices[i], put("a", "cpu.weight.nice", "%s", nices[i]));
        printf(" -> %s", get("a", "cpu.weight"));
        printf("%s", get("a", "cpu.weight.nice"));
    }
    static const char *limits[] = {"10000", "max", "10000 20000", "999", "1000 999", "5000 1000001", "max 50000", "x", "10000 x",
                                   "1000 1000", "20000\n", "-1", "max 100000"};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        printf("cpu.max '%s': %d", limits[i], put("a", "cpu.max", "%s", limits[i]));
        printf(" -> %s", get("a", "cpu.max"));
    }
    printf("burst without limit %d\n", put("a", "cpu.max.burst", "1000"));
    put("a", "cpu.max", "10000");
    printf("burst %d\n", put("a", "cpu.max.burst", "10001"));
    printf("burst %d\n", put("a", "cpu.max.burst", "10000"));
    show("a", "cpu.max.burst");
    put("a", "cpu.max.burst", "0");
    put("a", "cpu.max", "max");
    printf("idle %d", put("a", "cpu.idle", "1"));
    printf(" %s", get("a", "cpu.weight"));
    printf("weight of idle %d\n", put("a", "cpu.weight", "100"));
    printf("idle %d", put("a", "cpu.idle", "0"));
    printf(" %s", get("a", "cpu.weight"));
    printf("idle %d\n", put("a", "cpu.idle", "2"));
    put("a", "cpu.weight", "100");
    static const char *sets[] = {"0", "x", "0-", "1-0", "63", "100", "0,0", "", "0-0"};
    for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++) {
        printf("cpus '%s': %d", sets[i], put("a", "cpuset.cpus", "%s\n", sets[i]));
        printf(" -> %s", get("a", "cpuset.cpus"));
    }
    printf("mems '1': %d", put("a", "cpuset.mems", "1"));
    printf(" '0': %d", put("a", "cpuset.mems", "0"));
    printf(" -> %s", get("a", "cpuset.mems"));
    printf("member %d\n", put("a", "cpuset.cpus.partition", "member"));
}

static void processors(void) {
    int child = fork();
    if (child == 0) {
        cpu_set_t set;
        put("a", "cpuset.cpus", "0");
        put("a", "cgroup.procs", "0");
        sched_getaffinity(0, sizeof set, &set);
        printf("affinity %d, with 0 %d\n", CPU_COUNT(&set), CPU_ISSET(0, &set) != 0);
        CPU_ZERO(&set);
        CPU_SET(0, &set);
        printf("set %d\n", sched_setaffinity(0, sizeof set, &set));
        show("a", "cpuset.cpus.effective");
        put("a", "cpuset.cpus", "\n");
        _exit(0);
    }
    waitpid(child, 0, 0);
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mount_groups();
    printf("delegate %d\n", put("", "cgroup.subtree_control", "+cpu +cpuset"));
    make_group("a");
    make_group("b");
    files();
    processors();
    int one[16], other[16];

    burn("a", 1, one);
    burn("b", 1, other);
    printf("equal: %d\n", shares("a", "b", 50, 8));
    put("a", "cpu.weight", "300");
    printf("3 to 1: %d\n", shares("a", "b", 75, 8));
    put("a", "cpu.weight", "100");
    stop(1, other);
    burn("b", 10, other);
    printf("1 beside 10: %d\n", shares("a", "b", 50, 8));
    stop(10, other);

    take_turns("b", 4, other);
    printf("1 beside 4 that take turns: %d\n", shares("a", "b", 50, 12));
    stop(4, other);

    make_group("b/1");
    make_group("b/2");
    put("b", "cgroup.subtree_control", "+cpu");
    put("b/1", "cpu.weight", "200");
    burn("b/1", 2, other);
    burn("b/2", 3, other + 2);
    printf("nested: %d", shares("a", "b", 50, 8));
    printf(" %d\n", shares("b/1", "b/2", 66, 8));
    stop(5, other);
    stop(1, one);

    put("a", "cpu.max", "20000 100000");
    burn("a", 3, one);
    double since, rate = 0;
    for (int tries = 0; tries < 4 && (rate <= 0.15 || rate >= 0.25); tries++) {
        nap(200);
        long before = used("a");
        since = seconds(CLOCK_MONOTONIC);
        nap(2000);
        rate = (used("a") - before) / 1e6 / (seconds(CLOCK_MONOTONIC) - since);
    }
    printf("a fifth: %d\n", rate > 0.15 && rate < 0.25);
    if (rate <= 0.15 || rate >= 0.25)
        printf("(%d)\n", (int)(rate * 100));
    printf("throttled %d %d\n", field("a", "cpu.stat", "nr_throttled") > 10, field("a", "cpu.stat", "throttled_usec") > 100000);
    since = seconds(CLOCK_MONOTONIC);
    stop(3, one);
    printf("killed soon: %d\n", seconds(CLOCK_MONOTONIC) - since < 20);
    printf("user and system: %d\n",
           labs(field("a", "cpu.stat", "user_usec") + field("a", "cpu.stat", "system_usec") - used("a")) < 20000);
    long total = used("b");
    rmdir(at("b/1", ""));
    rmdir(at("b/2", ""));
    printf("what was removed counts above: %d\n", used("b") >= total);
    printf("rmdir %d %d\n", remove_group("a"), remove_group("b"));
    put("", "cgroup.subtree_control", "-cpu -cpuset");
    unmount_groups();
    return 0;
}
