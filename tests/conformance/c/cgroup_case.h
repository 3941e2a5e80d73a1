/* What the cases about control groups share: a mount of the hierarchy, and files in it. */
#include "case.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOP "/tmp/cgroups"

static char group_path[4096];

static const char *at(const char *group, const char *file) {
    snprintf(group_path, sizeof group_path, "%s/%s%s%s", TOP, group, *group && *file ? "/" : "", file);
    return group_path;
}

/* Mount the hierarchy where all cases do. */
static void mount_groups(void) {
    mkdir(TOP, 0755);
    if (mount("none", TOP, "cgroup2", 0, "") != 0) {
        printf("no cgroup2: %d\n", errno);
        exit(1);
    }
}

static void unmount_groups(void) {
    umount2(TOP, MNT_DETACH);
    rmdir(TOP);
}

/* Write a text to a file of a group: 0, or the error. */
static int put(const char *group, const char *file, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    int fd = open(at(group, file), O_WRONLY);
    if (fd < 0)
        return -errno;
    int result = write(fd, text, strlen(text)) < 0 ? errno : 0;
    close(fd);
    return result;
}

/* The text of a file of a group, or its error. */
static const char *get(const char *group, const char *file) {
    static char texts[4][8192];
    static int next;
    char *text = texts[next++ & 3];
    int fd = open(at(group, file), O_RDONLY);
    if (fd < 0) {
        sprintf(text, "open %d\n", errno);
        return text;
    }
    int length = 0, count;
    while ((count = read(fd, text + length, 8191 - length)) > 0)
        length += count;
    if (count < 0)
        sprintf(text, "read %d\n", errno);
    else
        text[length] = 0;
    close(fd);
    return text;
}

static void show(const char *group, const char *file) {
    printf("%s/%s: %s", group, file, get(group, file));
}

static long number(const char *group, const char *file) {
    return atol(get(group, file));
}

/* The number after a key in a file of lines "key number"; -1 without. */
static long field(const char *group, const char *file, const char *key) {
    const char *text = get(group, file);
    size_t length = strlen(key);
    while (text && *text) {
        if (strncmp(text, key, length) == 0 && text[length] == ' ')
            return atol(text + length + 1);
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    return -1;
}

static int make_group(const char *group) { return mkdir(at(group, ""), 0755) == 0 ? 0 : errno; }

static int remove_group(const char *group) {
    for (int i = 0; i < 3000; i++) {
        if (rmdir(at(group, "")) == 0)
            return 0;
        if (errno != EBUSY)
            break;
        usleep(10000);
    }
    return errno;
}

static void nap(int milliseconds) { settle_for(milliseconds); }

static int member_count(const char *group, const char *file) {
    const char *text = get(group, file);
    int count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}
