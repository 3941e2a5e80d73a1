/* Calls that take long: others run meanwhile, and signals end them where they may. */
#include "case.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1L << 20)

static volatile int alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

/* Again and again, so that one comes during the call, however late the call begins: it takes longer on any machine. */
static void start_alarms(void)
{
    struct itimerval often = {{0, 1000}, {0, 1000}};
    alarms = 0;
    setitimer(ITIMER_REAL, &often, 0);
}

static void report(const char *what, long done, long wanted)
{
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, 0);
    printf("%s: %s, alarms %d\n", what, done <= 0 ? "nothing" : done < wanted ? "a part" : "all", alarms > 0);
}

static struct iovec pieces[1024];
static char *memory;

static long zeros(void)
{
    return readv(open("/dev/zero", O_RDONLY), pieces, 1024);
}

static long random_bytes(void)
{
    return read(open("/dev/urandom", O_RDONLY), memory, 32 * MIB);
}

static long random_call(void)
{
    return syscall(SYS_getrandom, memory, 32 * MIB - 1, 0);
}

/* What another process counts while the call runs: it must get on. */
static void run_beside(const char *name, long (*call)(void))
{
    volatile long *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t other = fork();
    if (other == 0)
        for (;;) {
            usleep(1000);
            shared[0]++;
        }
    while (shared[0] < 3)
        usleep(1000);
    /* The host may let its processor stand still for all of one call: so there are several attempts. */
    long done = 0;
    int gets_on = 0;
    for (int tries = 0; tries < 20 && !gets_on; tries++) {
        long before = shared[0];
        done = call();
        gets_on = shared[0] > before + 1;
    }
    printf("%s: done %d, another process got on %d\n", name, done > 0, gets_on);
    kill(other, SIGKILL);
    waitpid(other, 0, 0);
}

static void kill_in(const char *name, long (*call)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            call();
    usleep(20000);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    printf("%s: killed %d\n", name, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* One text, however it is read. */
static void read_maps(const char *path)
{
    static char whole[1 << 20], piece[1 << 20];
    int file = open(path, O_RDONLY);
    long size = 0, got, small = 0;
    while ((got = read(file, whole + size, sizeof whole - size)) > 0)
        size += got;
    lseek(file, 0, SEEK_SET);
    while ((got = read(file, piece + small, 7)) > 0)
        small += got;
    int same = small == size && memcmp(whole, piece, size) == 0;
    long at = size / 2;
    got = pread(file, piece, 100, at);
    printf("%s: in small pieces the same %d, from the middle %d", path, same, got > 0 && memcmp(whole + at, piece, got) == 0);
    got = pread(file, piece, 10, 3);
    printf(", from near the start %d, past the end %zd\n", got == 10 && memcmp(whole + 3, piece, 10) == 0, pread(file, piece, 10, size + 5));
    close(file);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    memory = mmap(0, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    for (int i = 0; i < 1024; i++)
        pieces[i] = (struct iovec){memory, MIB};
    sigaction(SIGALRM, &action, 0);
    start_alarms();
    report("read of /dev/zero", zeros(), 1024 * MIB);
    start_alarms();
    report("read of /dev/urandom", random_bytes(), 32 * MIB);
    start_alarms();
    report("getrandom", random_call(), 32 * MIB - 1);
    run_beside("read of /dev/zero", zeros);
    run_beside("getrandom", random_call);
    kill_in("read of /dev/zero", zeros);
    kill_in("getrandom", random_call);
    /* A timer's signals do not keep a large process from forking. */
    struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(memory[5]);
    setitimer(ITIMER_REAL, &never, 0);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    printf("fork under a timer: %d\n", child > 0 && WIFEXITED(status));
    read_maps("/proc/self/maps");
    read_maps("/proc/self/smaps");
    return 0;
}
