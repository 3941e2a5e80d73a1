/* rounds N SLACK: N times fork, exec, open, exit; then prints MemFree before and after, in KiB, each after some rounds of
 * warming up. Memory may come back a little later, up to SLACK KiB.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static long mem_free(void)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemFree: %ld kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static void rounds(const char *self, long count)
{
    for (long i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl(self, self, "child", (char *)0);
            _exit(127);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            printf("round %ld failed: %d\n", i, status);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "child")) {
        int fd = open("/tmp/round", O_CREAT | O_RDWR, 0600);
        return fd < 0 || write(fd, "x", 1) != 1;
    }
    rounds(argv[0], 500);
    long before = mem_free();
    rounds(argv[0], argc > 1 ? atol(argv[1]) : 1000);
    long slack = argc > 2 ? atol(argv[2]) : 0, after = mem_free();
    for (int i = 0; i < 200 && before - after > slack; i++) {
        usleep(20000);
        after = mem_free();
    }
    printf("free before %ld after %ld\n", before, after);
    return 0;
}
