/* The controller "io": io.max, what it takes and what it keeps to; io.stat. */
#include "cgroup_case.h"

#include <sys/sysmacros.h>

static int major_, minor_;

static const char *const texts[] = {
    "rbps=1048576", "wbps=2097152 riops=100", "rbps=max", "rbps=0", "rbps=1", "rbps=2", "wiops=99999999999", "riops=x", "rbps", "=5",
    "xbps=5", "rbps=5x", "rbps= 5", "rbps=5 rbps=6", "RBPS=5", "", "rbps=-5", "rbps=maxx", "rbps=18446744073709551615", "rbps=7 bad=1",
    "rbps=max wbps=max riops=max wiops=max", "rbps=12345678901234567890123456", "wbps=3\nrbps=4",
};

static void written(void) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int error = put("d", "io.max", "%d:%d %s", major_, minor_, texts[i]);
        const char *text = get("d", "io.max");
        const char *rest = strchr(text, ' ');
        printf("\"%s\": %d%s", texts[i], error, rest ? rest : " none\n");
    }
    static const char *const others[] = {"", "x", "1", "1:", "999:999 rbps=5", "1:3 rbps=5", ":0 rbps=5", "a:b rbps=5", " 999:0 rbps=5"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        printf("\"%s\": %d\n", others[i], put("d", "io.max", "%s", others[i]));
    printf("glued: %d\n", put("d", "io.max", "%d:%drbps=5", major_, minor_));
    printf("alone: %d\n", put("d", "io.max", "%d:%d", major_, minor_));
    printf("top has io.max %d, io.stat %d\n", access(at("", "io.max"), F_OK), access(at("", "io.stat"), F_OK));
}

static long long ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static char data[1 << 20] __attribute__((aligned(4096)));

/* How long it takes to move that many bytes past the cache, in pieces. A limit that does not hold for them would make it take far longer. */
static long long moved(int writes, int count, int piece) {
    int fd = open("/dev/vda", O_RDWR | O_DIRECT);
    long long begun = ms();
    for (int i = 0; i < count; i++)
        if ((writes ? pwrite(fd, data, piece, (long)i * piece) : pread(fd, data, piece, (long)i * piece)) != piece)
            printf("error %d\n", errno);
    close(fd);
    return ms() - begun;
}

static void kept(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        printf("moves %d\n", put("d", "cgroup.procs", "0"));
        printf("limit %d\n", put("d", "io.max", "%d:%d rbps=65536 wbps=max riops=max wiops=max", major_, minor_));
        long long t = moved(0, 16, 4096);
        printf("64 KiB at 64 KiB a second: %s\n", t > 600 && t < 30000 ? "slow" : "not as it should");
        t = moved(1, 64, 65536);
        printf("writing: %s\n", t < 30000 ? "fast" : "slow");
        printf("limit %d\n", put("d", "io.max", "%d:%d rbps=max wbps=65536", major_, minor_));
        t = moved(0, 64, 65536);
        printf("reading: %s\n", t < 30000 ? "fast" : "slow");
        t = moved(1, 16, 4096);
        printf("writing: %s\n", t > 600 && t < 30000 ? "slow" : "not as it should");
        printf("limit %d\n", put("d", "io.max", "%d:%d wbps=max riops=20", major_, minor_));
        t = moved(0, 16, 4096);
        printf("16 requests at 20 a second: %s\n", t > 500 && t < 30000 ? "slow" : "not as it should");
        printf("limit %d\n", put("d", "io.max", "%d:%d riops=max", major_, minor_));
        t = moved(0, 1024, 4096);
        printf("without: %s\n", t < 30000 ? "fast" : "slow");
        show("d", "io.max");
        fflush(stdout);
        _exit(0);
    }
    show_end(child);
}

static void counted(void) {
    char wanted[64];
    unsigned long long rbytes, wbytes, rios, wios, dbytes, dios;
    snprintf(wanted, sizeof wanted, "%d:%d", major_, minor_);
    const char *text = strstr(get("d", "io.stat"), wanted);
    if (!text || sscanf(text, "%*s rbytes=%llu wbytes=%llu rios=%llu wios=%llu dbytes=%llu dios=%llu", &rbytes, &wbytes, &rios, &wios,
                        &dbytes, &dios) != 6) {
        printf("io.stat: %s\n", text ? text : "none");
        return;
    }
    printf("read %llu in %llu, written %llu in %llu, discarded %llu in %llu\n", rbytes, rios, wbytes, wios, dbytes, dios);
    text = strstr(get("", "io.stat"), wanted);
    printf("top: %s\n", text && strstr(text, "rbytes=") ? "there" : "none");
}

int main(void) {
    struct stat st;
    if (stat("/dev/vda", &st) != 0) {
        printf("no disk\n");
        return 0;
    }
    major_ = major(st.st_rdev);
    minor_ = minor(st.st_rdev);
    mount_groups();
    printf("delegated %d\n", put("", "cgroup.subtree_control", "+io"));
    printf("made %d\n", make_group("d"));
    printf("controllers %s\n", strstr(get("d", "cgroup.controllers"), "io") ? "with io" : "without");
    show("d", "io.max");
    written();
    kept();
    counted();
    printf("child's %d\n", put("d", "cgroup.subtree_control", "+io"));
    printf("removed %d\n", remove_group("d"));
    printf("taken %d\n", put("", "cgroup.subtree_control", "-io"));
    unmount_groups();
    return 0;
}
