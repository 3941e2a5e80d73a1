/* The rows about calls that wait for many files, and others that a program makes often: poll, select, epoll_wait,
 * sigaction, uname, eventfd, a futex on which nobody waits, getdents of 64 names, bulk copies within one process, and
 * 4 MiB and 64 MiB that are touched for the first time; and 4096 reads here and there in 256 MiB.
 */
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/utsname.h>

#define WATCHED 64

static struct pollfd watched[WATCHED], ready_last[10];
static fd_set watched_set;
static int highest, epoll_set, event, directory, bulk_pipe[2], bulk_unix[2];

static void op_poll_none(void) { poll(watched, WATCHED, 0); }
static void op_poll_ready(void) { poll(ready_last, 10, -1); }
static void op_epoll(void) { struct epoll_event found[8]; epoll_wait(epoll_set, found, 8, -1); }
static void op_uname(void) { struct utsname name; uname(&name); }
static void op_futex_nobody(void) { syscall(SYS_futex, &highest, 129, 1, 0, 0, 0); }

static void op_select_none(void)
{
    struct timeval none = { 0, 0 };
    fd_set asked = watched_set;
    select(highest + 1, &asked, 0, 0, &none);
}

static void op_sigaction(void)
{
    struct sigaction action = { .sa_handler = SIG_IGN }, old;
    sigaction(SIGUSR2, &action, &old);
}

static void op_eventfd(void)
{
    unsigned long long value = 1;
    write(event, &value, sizeof value);
    read(event, &value, sizeof value);
}

static void op_getdents(void)
{
    lseek(directory, 0, SEEK_SET);
    while (syscall(SYS_getdents64, directory, buffer, 32768) > 0)
        ;
}

static void op_pipe_bulk(void) { write(bulk_pipe[1], buffer, 65536); read(bulk_pipe[0], buffer, 65536); }
static void op_unix_bulk(void) { write(bulk_unix[1], buffer, 65536); read(bulk_unix[0], buffer, 65536); }

static void op_touch(void)
{
    char *p = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4 << 20; i += 4096)
        p[i] = 1;
    munmap(p, 4 << 20);
}

static void op_touch_much(void)
{
    char *p = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64 << 20; i += 4096)
        p[i] = 1;
    munmap(p, 64 << 20);
}

#define MUCH (256u << 20)

static void op_read_anywhere(void)
{
    static volatile char *place;
    static unsigned at = 1;
    if (place == 0) {
        place = mmap(0, MUCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (unsigned i = 0; i < MUCH; i += 4096)
            place[i] = 1;
    }
    for (int i = 0; i < 4096; i++) {
        at = at * 1664525u + 1013904223u;
        (void)place[at >> 4 & (MUCH - 1)];
    }
}

/* Event descriptors that are not ready: `WATCHED` of them, and one more that is, after nine that are not. */
static void make_watched(void)
{
    FD_ZERO(&watched_set);
    for (int i = 0; i < WATCHED; i++) {
        watched[i].fd = eventfd(0, EFD_NONBLOCK);
        watched[i].events = POLLIN;
        FD_SET(watched[i].fd, &watched_set);
        highest = watched[i].fd;
    }
    event = eventfd(1, EFD_NONBLOCK);
    memcpy(ready_last, watched, sizeof ready_last);
    ready_last[9].fd = event;
    epoll_set = epoll_create1(0);
    struct epoll_event wanted = { .events = EPOLLIN };
    for (int i = 0; i < 9; i++)
        epoll_ctl(epoll_set, EPOLL_CTL_ADD, watched[i].fd, &wanted);
    epoll_ctl(epoll_set, EPOLL_CTL_ADD, event, &wanted);
}

static void make_directory(void)
{
    char name[64];
    mkdir("/tmp/bench-names", 0755);
    for (int i = 0; i < 62; i++) {
        snprintf(name, sizeof name, "/tmp/bench-names/file-%02d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    directory = open("/tmp/bench-names", O_RDONLY | O_DIRECTORY);
}

static void measure_calls(void)
{
    make_watched();
    make_directory();
    measure("poll-64-none-ready", op_poll_none);
    measure("poll-10-last-ready", op_poll_ready);
    measure("select-64-none-ready", op_select_none);
    measure("epoll-wait-1-of-10-ready", op_epoll);
    measure("sigaction", op_sigaction);
    measure("uname", op_uname);
    measure("eventfd-write-read", op_eventfd);
    measure("futex-wake-nobody", op_futex_nobody);
    measure("getdents-64-names", op_getdents);
    pipe(bulk_pipe);
    measure("pipe-64KiB-write-read", op_pipe_bulk);
    socketpair(AF_UNIX, SOCK_STREAM, 0, bulk_unix);
    measure("unix-64KiB-write-read", op_unix_bulk);
    measure("touch-4MiB", op_touch);
    measure("touch-64MiB", op_touch_much);
    measure("4096-reads-in-256MiB", op_read_anywhere);
}
