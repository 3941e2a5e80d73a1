/* Operations whose cost should not depend on how much else there is: `scale ROW SIZE` makes SIZE things, and then does the
 * row's operation as often as each line says that it reads from its input, until one says 0.
 * tests/bench/scale/__main__.py counts the instructions in between.
 *
 * A row is either one operation beside SIZE things, or one that goes through all of them, and then costs so much for each.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static long size;
static int descriptor, other_descriptor;
static char buffer[1 << 16], place[64];
static struct pollfd *watched;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int checked(int result, const char *what)
{
    if (result < 0)
        fail(what);
    return result;
}

static void raise_limit(int resource)
{
    struct rlimit limit = { 200000, 200000 };
    setrlimit(resource, &limit);
}

/* A directory of its own. */
static void enter_place(void)
{
    checked(mkdir(place, 0755), place);
    checked(chdir(place), place);
}

/* Processes ---------------------------------------------------------------------------------------------------------*/

static void make_children(void)
{
    for (long i = 0; i < size; i++)
        if (checked(fork(), "fork") == 0) {
            pause();
            _exit(0);
        }
}

static void fork_and_wait(void)
{
    pid_t child = checked(fork(), "fork");
    if (child == 0)
        _exit(0);
    waitpid(child, 0, 0);
}

static void fork_and_wait_for_any(void)
{
    if (checked(fork(), "fork") == 0)
        _exit(0);
    wait(0);
}

static void kill_one(void) { kill(getpid(), 0); }

static void open_proc(void)
{
    make_children();
    descriptor = checked(open("/proc", O_RDONLY | O_DIRECTORY), "/proc");
}

static void list_names(void)
{
    lseek(descriptor, 0, SEEK_SET);
    while (syscall(SYS_getdents64, descriptor, buffer, sizeof buffer) > 0)
        ;
}

static void make_yielders(void)
{
    for (long i = 0; i < size; i++)
        if (checked(fork(), "fork") == 0)
            for (;;)
                sched_yield();
}

static void *sleep_for_ever(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void make_threads(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (long i = 0; i < size; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, sleep_for_ever, 0) != 0)
            fail("pthread_create");
    }
}

static void *end_at_once(void *argument) { return argument; }

static void make_and_join_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, 0, end_at_once, 0) != 0)
        fail("pthread_create");
    pthread_join(thread, 0);
}

/* Descriptors -------------------------------------------------------------------------------------------------------*/

static void make_watched(void)
{
    watched = calloc(size, sizeof *watched);
    for (long i = 0; i < size; i++) {
        watched[i].fd = checked(eventfd(0, EFD_NONBLOCK), "eventfd");
        watched[i].events = POLLIN;
    }
}

static void poll_all(void) { poll(watched, size, 0); }
static void poll_all_with_time(void) { poll(watched, size, 1); }

static void make_epoll(void)
{
    make_watched();
    descriptor = epoll_create1(0);
    struct epoll_event wanted = { .events = EPOLLIN };
    for (long i = 0; i < size; i++)
        checked(epoll_ctl(descriptor, EPOLL_CTL_ADD, watched[i].fd, &wanted), "epoll_ctl");
    other_descriptor = checked(eventfd(1, 0), "eventfd");
    epoll_ctl(descriptor, EPOLL_CTL_ADD, other_descriptor, &wanted);
}

static void wait_for_one(void) { struct epoll_event found[8]; epoll_wait(descriptor, found, 8, -1); }
static void open_and_close(void) { close(eventfd(0, 0)); }

static void make_timers(void)
{
    struct itimerspec later = { .it_value = { 1000, 0 } };
    for (long i = 0; i < size; i++) {
        later.it_value.tv_nsec = i;
        timerfd_settime(checked(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd"), 0, &later, 0);
    }
    descriptor = timerfd_create(CLOCK_MONOTONIC, 0);
}

static void start_timer(void)
{
    struct itimerspec later = { .it_value = { 999, 0 } };
    timerfd_settime(descriptor, 0, &later, 0);
}

static void make_listeners(void)
{
    for (long i = 0; i < size; i++) {
        int s = checked(socket(AF_INET, SOCK_STREAM, 0), "socket");
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(10000 + i) };
        checked(bind(s, (struct sockaddr *)&address, sizeof address), "bind");
        checked(listen(s, 1), "listen");
    }
}

static void read_all(const char *path)
{
    int file = checked(open(path, O_RDONLY), path);
    ssize_t n;
    while ((n = read(file, buffer, sizeof buffer)) > 0)
        ;
    checked(n, path);
    close(file);
}

static void read_tcp(void) { read_all("/proc/net/tcp"); }

/* Files -------------------------------------------------------------------------------------------------------------*/

static void make_names(void)
{
    char name[64];
    enter_place();
    for (long i = 0; i < size; i++) {
        snprintf(name, sizeof name, "name-%ld", i);
        close(checked(open(name, O_CREAT | O_WRONLY, 0644), name));
    }
    close(open("moving", O_CREAT | O_WRONLY, 0644));
    descriptor = open(".", O_RDONLY | O_DIRECTORY);
}

static void rename_one(void)
{
    rename("moving", "moved");
    rename("moved", "moving");
}

static void create_one(void)
{
    close(open("new", O_CREAT | O_WRONLY, 0644));
    unlink("new");
}

static void make_locks(void)
{
    descriptor = checked(open(place, O_CREAT | O_RDWR, 0644), "open");
    for (long i = 0; i < size; i++) {
        struct flock lock = { .l_type = F_WRLCK, .l_start = 2 * i, .l_len = 1 };
        checked(fcntl(descriptor, F_SETLK, &lock), "fcntl");
    }
}

static void lock_one(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_start = size, .l_len = 2 };
    fcntl(descriptor, F_SETLK, &lock);
    lock.l_type = F_UNLCK;
    lock.l_start = size | 1;
    lock.l_len = 1;
    fcntl(descriptor, F_SETLK, &lock);
}

static void make_watches(void)
{
    make_names();
    char name[64];
    descriptor = inotify_init1(IN_NONBLOCK);
    for (long i = 0; i < size; i++) {
        snprintf(name, sizeof name, "name-%ld", i);
        checked(inotify_add_watch(descriptor, name, IN_MODIFY), name);
    }
}

static void watch_one(void) { inotify_rm_watch(descriptor, checked(inotify_add_watch(descriptor, "moving", IN_MODIFY), "watch")); }

static void make_deep(void)
{
    enter_place();
    for (long i = 0; i < size; i++) {
        checked(mkdir("d", 0755), "mkdir");
        checked(chdir("d"), "chdir");
    }
}

static void create_here(void) { close(open("new", O_CREAT | O_WRONLY, 0644)); unlink("new"); }
static void working_directory(void) { syscall(SYS_getcwd, buffer, sizeof buffer); }

static void make_mounts(void)
{
    char name[64];
    enter_place();
    for (long i = 0; i <= size; i++) {
        snprintf(name, sizeof name, "mount-%ld", i);
        checked(mkdir(name, 0755), name);
        if (i < size)
            checked(mount("none", name, "tmpfs", 0, 0), "mount");
    }
    snprintf(buffer, sizeof buffer, "mount-%ld", size);
}

static void drop_mounts(void)
{
    char name[64];
    for (long i = 0; i < size; i++) {
        snprintf(name, sizeof name, "mount-%ld", i);
        checked(umount(name), name);
    }
}

static void mount_one(void)
{
    checked(mount("none", buffer, "tmpfs", 0, 0), "mount");
    checked(umount(buffer), "umount");
}

static void read_mounts(void)
{
    static char text[1 << 16];
    int file = checked(open("/proc/self/mounts", O_RDONLY), "mounts");
    while (read(file, text, sizeof text) > 0)
        ;
    close(file);
}

/* System V ----------------------------------------------------------------------------------------------------------*/

static void make_sets(void)
{
    for (long i = 0; i < size; i++)
        checked(semget(1000 + i, 1, IPC_CREAT | 0600), "semget");
}

static void drop_sets(void)
{
    for (long i = 0; i < size; i++)
        semctl(semget(1000 + i, 1, 0), 0, IPC_RMID);
}

static void find_set(void) { semget(1000 + size - 1, 1, 0); }
static void make_set(void) { semctl(checked(semget(IPC_PRIVATE, 1, 0600), "semget"), 0, IPC_RMID); }

/* Memory ------------------------------------------------------------------------------------------------------------*/

static void nothing(void) {}

/* A page at each end of a range of `size` GiB is used, and the rest never was. */
static void map_and_unmap(void)
{
    size_t length = (size_t)size << 30;
    char *range = mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED)
        fail("mmap");
    range[0] = range[length - 1] = 1;
    munmap(range, length);
}

static void make_areas(void)
{
    for (long i = 0; i < size; i++)
        if (mmap(0, 4096, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            fail("mmap");
}

static void map_one(void) { munmap(mmap(0, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192); }
static void read_smaps(void) { read_all("/proc/self/smaps"); }
static void read_maps(void) { read_all("/proc/self/maps"); }

static const struct row {
    const char *name;
    void (*prepare)(void), (*operation)(void), (*clean)(void);
} rows[] = {
    {"fork-exit-waitpid", make_children, fork_and_wait, nothing},
    {"fork-exit-wait-any", make_children, fork_and_wait_for_any, nothing},
    {"kill-by-number", make_children, kill_one, nothing},
    {"list-proc", open_proc, list_names, nothing},
    {"yield", make_yielders, (void (*)(void))sched_yield, nothing},
    {"thread-create-join", make_threads, make_and_join_thread, nothing},
    {"poll-at-once", make_watched, poll_all, nothing},
    {"poll-1ms", make_watched, poll_all_with_time, nothing},
    {"epoll-wait-one-ready", make_epoll, wait_for_one, nothing},
    {"open-close", make_watched, open_and_close, nothing},
    {"timer-start", make_timers, start_timer, nothing},
    {"proc-net-tcp", make_listeners, read_tcp, nothing},
    {"rename", make_names, rename_one, nothing},
    {"create-unlink", make_names, create_one, nothing},
    {"list-names", make_names, list_names, nothing},
    {"record-lock", make_locks, lock_one, nothing},
    {"inotify-add-remove", make_watches, watch_one, nothing},
    {"create-deep", make_deep, create_here, nothing},
    {"getcwd", make_deep, working_directory, nothing},
    {"mount-umount", make_mounts, mount_one, drop_mounts},
    {"proc-mounts", make_mounts, read_mounts, drop_mounts},
    {"semget-by-key", make_sets, find_set, drop_sets},
    {"semget-new", make_sets, make_set, drop_sets},
    {"munmap-untouched", nothing, map_and_unmap, nothing},
    {"mmap-munmap", make_areas, map_one, nothing},
    {"smaps", make_areas, read_smaps, nothing},
    {"maps", make_areas, read_maps, nothing},
};

/* Krait frees what died meanwhile at the next calls, part by part, or at once when this is read. */
static void settle(void)
{
    char text[4096];
    int metrics = open("/proc/metrics", O_RDONLY);
    if (metrics >= 0) {
        while (read(metrics, text, sizeof text) > 0)
            ;
        close(metrics);
    }
}

int main(int argc, char **argv)
{
    char line[32];
    signal(SIGTTOU, SIG_IGN);
    if (argc != 3)
        return 2;
    size = atol(argv[2]);
    snprintf(place, sizeof place, "/tmp/%s-%ld", argv[1], size);
    setpgid(0, 0); /* so that one signal ends all that is made */
    tcsetpgrp(0, getpgrp());
    raise_limit(RLIMIT_NOFILE);
    raise_limit(RLIMIT_NPROC);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, argv[1]))
            continue;
        rows[i].prepare();
        settle();
        rows[i].operation();
        for (long count = 1; count > 0;) {
            write(1, "@ready@\n", 8);
            ssize_t n = read(0, line, sizeof line - 1);
            line[n > 0 ? n : 0] = 0;
            count = atol(line);
            for (long left = count; left > 0; left--)
                rows[i].operation();
            write(1, "@done@\n", 7);
        }
        rows[i].clean();
        kill(0, SIGKILL);
    }
    return 2;
}
