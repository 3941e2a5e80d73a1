// Lists directories as test_directory_order.py asks: names, types and positions; in small pieces; from positions on.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEW " with a long name, so that there are more blocks soon"

static char buffer[32768];

// What change() removes. A name that goes before it was read may still be shown, as a new one may.
static char victims[40][256];
static int victim_count;

static int stays(const char *name) {
    for (int i = 0; i < victim_count; i++)
        if (strcmp(victims[i], name) == 0)
            return 0;
    return strstr(name, NEW) == NULL;
}

static int entries(int fd, unsigned size, const char *title, int limit) {
    int changes = strcmp(title, "old name") == 0;
    long count = syscall(SYS_getdents64, fd, buffer, size);
    if (count < 0) {
        printf("%s: %s\n", title, strerror(errno));
        return 0;
    }
    for (long place = 0; place < count;) {
        struct dirent *entry = (struct dirent *)(buffer + place);
        if (changes && stays(entry->d_name))
            printf("%s: %s\n", title, entry->d_name);
        else if (!changes && limit-- > 0)
            printf("%s: %lx %d %s\n", title, (long)entry->d_off, entry->d_type, entry->d_name);
        place += entry->d_reclen;
    }
    return count > 0;
}

static void choose_victims(const char *name) {
    int fd = open(name, O_RDONLY | O_DIRECTORY), number = 0;
    long count;
    victim_count = 0;
    while ((count = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (long place = 0; place < count;) {
            struct dirent *entry = (struct dirent *)(buffer + place);
            if (number++ % 7 == 3 && victim_count < 14)
                strcpy(victims[victim_count++], entry->d_name);
            place += entry->d_reclen;
        }
    close(fd);
}

static void list(const char *name) {
    printf("== %s\n", name);
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    while (entries(fd, sizeof buffer, "all", 1 << 30))
        ;
    printf("at %lx\n", (long)lseek(fd, 0, SEEK_CUR));
    lseek(fd, 0, SEEK_SET);
    for (int i = 0; i < 8 && entries(fd, 300, "piece", 1 << 30); i++)
        printf("at %lx\n", (long)lseek(fd, 0, SEEK_CUR));
    long places[] = {1, 2, 12, 13, 1L << 32, 5L << 32 | 7, 1L << 62, 0x7ffffffd00000001L, 0x7fffffffffffffffL, -1};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        long at = lseek(fd, places[i], SEEK_SET);
        printf("seek %lx: %lx %s\n", places[i], at, at < 0 ? strerror(errno) : "");
        if (at >= 0)
            entries(fd, sizeof buffer, "from there", 2);
    }
    printf("end %d, behind it %d, before it %d\n", lseek(fd, 0, SEEK_END) >= 0, lseek(fd, 1, SEEK_END) >= 0,
           lseek(fd, -4, SEEK_END) >= 0);
    close(fd);
}

// Names come and go while somebody reads. What was there all the time is seen once and in order; whether a new name is
// seen is not defined, and Linux may still show a name that is gone.
static void change(const char *name) {
    char path[300];
    printf("== %s changes\n", name);
    choose_victims(name);
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 40; i++) {
        entries(fd, 200, "old name", 0);
        snprintf(path, sizeof path, "%s/%d" NEW, name, i);
        close(open(path, O_CREAT | O_WRONLY, 0600));
        if (i % 3 == 0 && i / 3 < victim_count) {
            snprintf(path, sizeof path, "%s/%s", name, victims[i / 3]);
            unlink(path);
        }
    }
    while (entries(fd, 200, "old name", 0))
        ;
    close(fd);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '+')
            change(argv[i] + 1);
        else
            list(argv[i]);
    }
    return 0;
}
