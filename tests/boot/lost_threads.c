/* A thread dies by a bug in the middle of a call on a file system; nobody waits for it: `lost_threads CALL N DIRECTORY`.
 *
 * One process makes the call, whose Nth allocation is a bug (`trap N` in /proc/PID/fail-nth). A neighbour uses the same
 * file system all the time, and so waits for the same locks; another comes afterwards. Each of them must go on, with EIO
 * or without an error, or end by SIGKILL. Printed: whether the bug was met, and what became of the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAW_EIO 42
#define SECONDS 20 /* a bound for a busy host: nothing waits so long */
#define STEP_MS 5  /* how often one looks whether a process has ended */
#define STEPS (SECONDS * 1000 / STEP_MS)
#define USES 3 /* so often the neighbour uses the file system after the bug, if it can: the first use may have begun before */

static char block[65536];
static volatile int *uses; /* of the neighbour, which have ended well */

/* Everything that takes locks of a file system: names, an inode, the file system as a whole. */
static int use(const char *name)
{
    char other[100];
    int file;
    snprintf(other, sizeof other, "%s-moved", name);
    if ((file = open(name, O_CREAT | O_RDWR, 0600)) < 0)
        return errno;
    if (write(file, block, sizeof block) < 0 || fsync(file) < 0 || ftruncate(file, 100) < 0 || pread(file, block, 10, 0) < 0) {
        int error = errno;
        close(file);
        return error;
    }
    close(file);
    if (rename(name, other) < 0 || unlink(other) < 0 || mkdir(name, 0700) < 0 || rmdir(name) < 0)
        return errno;
    return 0;
}

static int call(const char *what)
{
    int file;
    if (strcmp(what, "mkdir") == 0)
        return mkdir("made", 0700);
    if (strcmp(what, "create") == 0)
        return open("created", O_CREAT | O_RDWR, 0600);
    if (strcmp(what, "unlink") == 0)
        return unlink("large");
    if (strcmp(what, "rename") == 0)
        return rename("large", "renamed");
    if (strcmp(what, "sync") == 0)
        return sync(), 0;
    if ((file = open("large", O_RDWR)) < 0)
        return -1;
    if (strcmp(what, "write") == 0)
        return pwrite(file, block, sizeof block, 2 << 20) < 0 ? -1 : 0;
    if (strcmp(what, "read") == 0)
        return pread(file, block, sizeof block, 0) < 0 ? -1 : 0;
    if (strcmp(what, "truncate") == 0)
        return ftruncate(file, 10);
    return -1;
}

/* Wait until a process has ended; after half of the time it is killed. The neighbour is killed as soon as it has shown
 * that it goes on, or is late to. */
static const char *end_of(pid_t process, int is_neighbour)
{
    int status, before = *uses;
    for (int step = 0; step < STEPS; step++) {
        if (step == STEPS / 2 || (is_neighbour && (*uses >= before + USES || step == 200 / STEP_MS)))
            kill(process, SIGKILL);
        if (waitpid(process, &status, WNOHANG) == process)
            return WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL ? "killed" : "trapped"
                   : WEXITSTATUS(status) == SAW_EIO ? "eio" : "fine";
        usleep(STEP_MS * 1000);
    }
    return "hangs";
}

int main(int count, char **values)
{
    char text[32];
    if (count != 4 || chdir(values[3]) < 0)
        return 2;
    int file = open("large", O_CREAT | O_RDWR, 0600);
    for (int i = 0; i < 16; i++)
        if (write(file, block, sizeof block) != sizeof block)
            return 3;
    close(file);
    uses = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (uses == MAP_FAILED)
        return 4;
    pid_t neighbour = fork();
    if (neighbour == 0)
        for (;;) {
            int error = use("neighbour");
            if (error != 0)
                _exit(error == EIO ? SAW_EIO : 1);
            ++*uses;
        }
    pid_t victim = fork();
    if (victim == 0) {
        int control = open("/proc/self/fail-nth", O_RDWR);
        int length = snprintf(text, sizeof text, "trap %s", values[2]);
        if (write(control, text, length) != length)
            _exit(1);
        call(values[1]);
        pwrite(control, "0", 1, 0);
        _exit(0);
    }
    const char *met = end_of(victim, 0);
    const char *beside = end_of(neighbour, 1);
    pid_t follower = fork();
    if (follower == 0) {
        int error = use("follower");
        _exit(error == 0 ? 0 : error == EIO ? SAW_EIO : 1);
    }
    printf("%s %s: victim %s, neighbour %s, follower %s\n", values[1], values[2], met, beside, end_of(follower, 0));
    return 0;
}
