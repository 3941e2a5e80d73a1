// Watching tables of mounts: poll(2) and epoll(7) tell of each change of the tree, as systemd and libmount rely on
// (proc_pid_mounts(5)). Which files of /proc, /sys and cgroups epoll takes at all. Numbers up to LONG_MAX in /proc/sys.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char *what, int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLPRI};
    int ready = poll(&one, 1, 0);
    printf("%s: %d, %x\n", what, ready, one.revents);
}

static void show_set(const char *what, int set) {
    struct epoll_event event = {0};
    int ready = epoll_wait(set, &event, 1, 0);
    printf("%s: epoll %d, %x\n", what, ready, ready > 0 ? event.events : 0);
}

static void watched(const char *path) {
    int set = epoll_create1(0), fd = open(path, O_RDONLY);
    struct epoll_event event = {.events = EPOLLIN | EPOLLPRI};
    int result = epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    printf("%s: %s, %s\n", path, fd < 0 ? "no file" : "open", result == 0 ? "watched" : strerror(errno));
    if (fd >= 0)
        close(fd);
    close(set);
}

int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", 0, MS_REC | MS_PRIVATE, 0) != 0)
        return 1;
    int info = open("/proc/self/mountinfo", O_RDONLY), mounts = open("/proc/self/mounts", O_RDONLY);
    int stats = open("/proc/self/mountstats", O_RDONLY), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLET};
    printf("add: %d\n", epoll_ctl(set, EPOLL_CTL_ADD, info, &event));
    show_set("at first", set);
    show_set("again", set);
    show("mounts at first", mounts);
    mkdir("/tmp/watched", 0755);
    mount("none", "/tmp/watched", "tmpfs", 0, 0);
    show_set("mounted", set);
    show_set("again", set);
    show("mounts", mounts);
    show("mounts again", mounts);
    show("mountstats", stats);
    mount("none", "/tmp/watched", 0, MS_REMOUNT | MS_BIND | MS_NOSUID, 0);
    show_set("flags", set);
    mkdir("/tmp/watched/a", 0755);
    show_set("nothing", set);
    mount("/tmp/watched/a", "/tmp/watched/a", 0, MS_BIND, 0);
    show_set("bound", set);
    mkdir("/tmp/watched/b", 0755);
    mount("/tmp/watched/a", "/tmp/watched/b", 0, MS_MOVE, 0);
    show_set("moved", set);
    show("mounts", mounts);
    umount2("/tmp/watched", MNT_DETACH);
    show_set("unmounted", set);
    show("mounts", mounts);
    rmdir("/tmp/watched");
    unshare(CLONE_NEWNS);
    show_set("another namespace", set);
    mkdir("/tmp/watched", 0755);
    mount("none", "/tmp/watched", "tmpfs", 0, 0);
    show_set("mounted elsewhere", set);
    umount("/tmp/watched");
    rmdir("/tmp/watched");

    static const char *const paths[] = {
        "/proc/swaps", "/proc/uptime", "/proc/sys/kernel/hostname", "/proc/sys/fs/file-max", "/proc/self/status",
        "/proc/self/maps", "/proc/self/mounts", "/proc/self/mountstats", "/proc/self/fdinfo/0", "/proc/net/unix",
        "/sys/class/net/lo/mtu", "/proc/locks", "/etc/passwd", "/proc/self", "/proc/self/uid_map", "/proc/self/mem",
        "/proc/self/cgroup", "/proc/self/oom_score_adj",
    };
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        watched(paths[i]);

    char before[64] = {0};
    int most = open("/proc/sys/fs/file-max", O_RDWR);
    read(most, before, sizeof before - 1);
    static const char *const values[] = {"9223372036854775807\n", "9223372036854775808\n", "9223372036854775806"};
    for (unsigned i = 0; i < 3; i++) {
        char now[64] = {0};
        int wrote = pwrite(most, values[i], strlen(values[i]), 0);
        pread(most, now, sizeof now - 1, 0);
        printf("file-max: %d, %s", wrote < 0 ? -errno : wrote, now);
    }
    pwrite(most, before, strlen(before), 0);
    return 0;
}
