/* Micro-benchmarks of system calls: prints one line a row, "name nanoseconds", each the smallest of several rounds.
 *
 * The same binary runs on Krait and on Linux in the same virtual machine (tests/bench/__main__.py). A round does its operation
 * until at least 20 ms have passed, so that the clock's cost and resolution do not matter. An argument names the only row
 * that is wanted, or `all`, which are then done for profiles.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define ROUND_NS 20000000LL

static char buffer[1 << 20];
static int file, zero, pipe_a[2], pipe_b[2];
static const char *self, *only; /* the only row that is wanted */

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* For tests/bench/profile.py: wait for a line between warming up and doing the operation as often as it said. */
static void do_for_profile(const char *name, void (*operation)(void))
{
    char line[16];
    long count;
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(0, getpgrp()); /* some rows run in a group of their own, which may not read else */
    for (int i = 0; i < 20; i++)
        operation();
    printf("@ready %s@\n", name);
    fflush(stdout);
    ssize_t n = read(0, line, sizeof line - 1);
    line[n > 0 ? n : 0] = 0;
    count = strtol(line, 0, 10);
    for (long i = 0; i < count; i++)
        operation();
    write(1, "@done@\n", 7);
    read(0, line, sizeof line);
}

static void measure(const char *name, void (*operation)(void))
{
    double best = 1e18;
    if (only != 0) {
        if (!strcmp(only, name) || !strcmp(only, "all"))
            do_for_profile(name, operation);
        return;
    }
    for (int round = 0; round < ROUNDS; round++) {
        long count = 0, step = 1;
        long long start = now(), spent;
        do {
            for (long i = 0; i < step; i++)
                operation();
            count += step;
            spent = now() - start;
            if (spent < ROUND_NS / 10)
                step *= 2;
        } while (spent < ROUND_NS);
        double each = (double)spent / count;
        if (each < best)
            best = each;
    }
    printf("%s %.1f\n", name, best);
    fflush(stdout);
}

static void op_getppid(void) { syscall(SYS_getppid); }
static void op_clock(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); }
static void op_read_zero(void) { read(zero, buffer, 1); }
static void op_stat(void) { struct stat s; stat("/tmp/bench", &s); }
static void op_open(void) { close(open("/tmp/bench", O_RDONLY)); }
static void op_read_mib(void) { pread(file, buffer, sizeof buffer, 0); }
static void op_write_mib(void) { pwrite(file, buffer, sizeof buffer, 0); }

static void op_create(void)
{
    close(open("/tmp/bench-new", O_CREAT | O_WRONLY, 0644));
    unlink("/tmp/bench-new");
}

static void op_fault(void)
{
    char *p = mmap(0, 64 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64; i++)
        p[i << 12] = 1;
    munmap(p, 64 << 12);
}

static void op_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, 0, 0);
}

static void op_exec(void)
{
    pid_t child = vfork();
    if (child == 0) {
        execl(self, self, "exit", (char *)0);
        _exit(127);
    }
    waitpid(child, 0, 0);
}

static void op_fork_exec(void)
{
    pid_t child = fork();
    if (child == 0) {
        execl(self, self, "exit", (char *)0);
        _exit(127);
    }
    waitpid(child, 0, 0);
}

static void op_pipe(void)
{
    char c = 1;
    write(pipe_a[1], &c, 1);
    read(pipe_b[0], &c, 1);
}

static struct sockaddr_in server;
static int listening, talking;

static void op_tcp_round_trip(void)
{
    char c = 1;
    write(talking, &c, 1);
    read(talking, &c, 1);
}

/* 64 KiB go there, a byte comes back. */
static void op_tcp_64k(void)
{
    char c;
    write(talking, buffer, 65536);
    read(talking, &c, 1);
}

static void op_tcp_connect(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    connect(s, (struct sockaddr *)&server, sizeof server);
    int accepted = accept(listening, 0, 0);
    close(s);
    close(accepted);
}

static void bench_tcp(void)
{
    int one = 1;
    struct ifreq up = { .ifr_flags = IFF_UP | IFF_RUNNING };
    strcpy(up.ifr_name, "lo");
    listening = socket(AF_INET, SOCK_STREAM, 0);
    ioctl(listening, SIOCSIFFLAGS, &up);
    server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(7000), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bind(listening, (struct sockaddr *)&server, sizeof server);
    listen(listening, 64);
    measure("tcp-connect-accept-close", op_tcp_connect);
    pid_t child = fork();
    if (child == 0) {
        long wanted = 0; /* of the message that is coming: its first byte says how long it is */
        ssize_t n;
        int s = accept(listening, 0, 0);
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while ((n = read(s, buffer, 65536)) > 0) {
            if (wanted == 0)
                wanted = buffer[0] == 1 ? 1 : 65536;
            wanted -= n;
            if (wanted == 0)
                write(s, buffer, 1);
        }
        _exit(0);
    }
    talking = socket(AF_INET, SOCK_STREAM, 0);
    connect(talking, (struct sockaddr *)&server, sizeof server);
    setsockopt(talking, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    measure("tcp-round-trip-loopback", op_tcp_round_trip);
    buffer[0] = 2;
    measure("tcp-64KiB-loopback", op_tcp_64k);
    buffer[0] = 1;
    close(talking);
    waitpid(child, 0, 0);
}

static void on_signal(int number) { (void)number; }
static void op_signal(void) { kill(getpid(), SIGUSR1); }

static int turn;
static void futex_wait(int value) { syscall(SYS_futex, &turn, 128, value, 0, 0, 0); }
static void futex_wake(void) { syscall(SYS_futex, &turn, 129, 1, 0, 0, 0); }

static void *partner(void *argument)
{
    for (;;) {
        while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != 1)
            futex_wait(0);
        __atomic_store_n(&turn, 0, __ATOMIC_SEQ_CST);
        futex_wake();
    }
    return argument;
}

static void op_futex(void)
{
    __atomic_store_n(&turn, 1, __ATOMIC_SEQ_CST);
    futex_wake();
    while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) != 0)
        futex_wait(1);
}

#include "bench_net.h"
#include "bench_calls.h"

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "exit"))
        _exit(0);
    self = argv[0];
    only = argc > 1 ? argv[1] : 0;
    memset(buffer, 1, sizeof buffer);
    file = open("/tmp/bench", O_CREAT | O_RDWR | O_TRUNC, 0644);
    zero = open("/dev/zero", O_RDONLY);
    write(file, buffer, sizeof buffer);

    measure("getppid", op_getppid);
    measure("clock_gettime", op_clock);
    measure("read-1-byte-of-dev-zero", op_read_zero);
    measure("stat", op_stat);
    measure("open-close", op_open);
    measure("tmpfs-create-unlink", op_create);
    measure("tmpfs-read-1MiB", op_read_mib);
    measure("tmpfs-write-1MiB", op_write_mib);
    measure("mmap-64-faults-munmap", op_fault);
    signal(SIGUSR1, on_signal);
    measure("signal-caught", op_signal);
    measure("fork-exit-wait", op_fork);
    measure("vfork-exec-wait", op_exec);
    measure("fork-exec-wait", op_fork_exec);

    pipe(pipe_a);
    pipe(pipe_b);
    pid_t child = fork();
    if (child == 0) {
        char c;
        while (read(pipe_a[0], &c, 1) == 1)
            write(pipe_b[1], &c, 1);
        _exit(0);
    }
    measure("pipe-round-trip-processes", op_pipe);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);

    bench_tcp();
    measure_sockets();

    pthread_t thread;
    pthread_create(&thread, 0, partner, 0);
    measure("futex-ping-pong-threads", op_futex);
    measure_calls();
    return 0;
}
