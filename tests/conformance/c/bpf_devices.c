/* Covers: bpf (PROG_LOAD of BPF_PROG_TYPE_CGROUP_DEVICE, PROG_ATTACH, PROG_DETACH, PROG_QUERY, PROG_GET_FD_BY_ID): programs that
 * judge the use of devices by members of a control group. */
#include "cgroup_case.h"
#include "bpf_case.h"
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static const struct insn allow[] = { MOV(0, 1), EXIT };
static const struct insn deny[] = { MOV(0, 0), EXIT };
/* As runc does it: /dev/null may be read and written, /dev/zero be read; nodes may be made. */
static const struct insn list[] = {
    LDW(2, 1, 0), INSN(0x54, 2, 0, 0, 0xffff), LDW(3, 1, 0), INSN(0x74, 3, 0, 0, 16), LDW(4, 1, 4), LDW(5, 1, 8),
    JNE(2, 2, 6), MOVR(1, 3), INSN(0x54, 1, 0, 0, 6), INSN(0x5d, 1, 3, 3, 0), JNE(4, 1, 2), JNE(5, 3, 1), JA(7),
    MOVR(1, 3), INSN(0x54, 1, 0, 0, 3), INSN(0x5d, 1, 3, 2, 0), JNE(5, 5, 1), JA(2), MOV(0, 0), EXIT, MOV(0, 1), EXIT,
};
#define LOAD(program) (int)MUST(load(CGROUP_DEVICE, program, COUNT(program), -1))

static void try_devices(void) {
    static const char *names[] = { "/dev/null", "/dev/zero", "/dev/full" };
    for (unsigned i = 0; i < COUNT(names); i++) {
        static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
        for (unsigned j = 0; j < COUNT(flags); j++) {
            int fd = open(names[i], flags[j]);
            printf("%s %d: %s\n", names[i], flags[j], fd < 0 ? error_name(errno) : "ok");
            if (fd >= 0)
                close(fd);
        }
        printf("access %s: %s\n", names[i], access(names[i], R_OK) ? error_name(errno) : "ok");
        printf("access %s: %s\n", names[i], access(names[i], F_OK) ? error_name(errno) : "ok");
    }
    int fd = open("/dev/null", O_PATH);
    printf("path: %s\n", fd < 0 ? error_name(errno) : "ok");
    SHOW(mknod("/tmp/bpf.node", S_IFCHR | 0600, makedev(1, 5)));
    unlink("/tmp/bpf.node");
    SHOW(mknod("/tmp/bpf.node", S_IFCHR | 0600, 0));
    unlink("/tmp/bpf.node");
    SHOW(mknod("/tmp/bpf.node", S_IFBLK | 0600, makedev(7, 1)));
    unlink("/tmp/bpf.node");
    SHOW(mknod("/tmp/bpf.node", S_IFIFO | 0600, 0));
    unlink("/tmp/bpf.node");
    SHOW(mknod("/tmp/bpf.node", S_IFREG | 0600, 0));
    unlink("/tmp/bpf.node");
}

static void in_group(const char *group) {
    IN_CHILD(printf("enter %d\n", put(group, "cgroup.procs", "0")); try_devices());
}

static int open_group(const char *group) { return (int)MUST(open(at(group, ""), O_RDONLY | O_DIRECTORY)); }

static void query(int group, unsigned flags, unsigned room) {
    uint32_t ids[8] = { 0 };
    fresh();
    put32(0, (uint32_t)group); put32(4, 6); put32(8, flags); put_address(16, room ? ids : 0); put32(24, room);
    long result = bpf(16, 64);
    printf("query %u for %u: %s, %u programs, flags %u", flags, room, result ? error_name(errno) : "ok", get32(24), get32(12));
    for (unsigned i = 0; i < 8; i++)
        putchar(ids[i] ? '+' : '-');
    putchar('\n');
}

static void rules(void) {
    puts("--- rules");
    MUST(mkdir(at("r", ""), 0755));
    MUST(mkdir(at("r/s", ""), 0755));
    int r = open_group("r"), s = open_group("r/s"), one = LOAD(allow), two = LOAD(deny), three = LOAD(list);
    SHOW(detach(r, one));
    SHOW(attach(r, one, 3, 0));
    for (unsigned flag = 8; flag < 0x20000; flag *= 2)
        printf("%x ", flag), SHOW(attach(r, one, flag, 0));
    SHOW(attach(r, one, 4, one));
    SHOW(attach(one, one, 0, 0));
    SHOW(attach(r, r, 0, 0));
    SHOW(attach(999, one, 0, 0));
    SHOW(attach(r, 999, 0, 0));
    SHOW(attach(r, one, 0, 0));
    query(r, 0, 0);
    SHOW(attach(s, one, 0, 0));
    SHOW(attach(s, one, 2, 0));
    SHOW(attach(r, one, 2, 0));
    SHOW(attach(r, one, 1, 0));
    SHOW(attach(r, two, 0, 0));
    query(r, 0, 8);
    query(s, 0, 8);
    query(s, 1, 8);
    SHOW(detach(r, 999));
    query(r, 0, 8);
    SHOW(attach(r, one, 1, 0));
    SHOW(attach(s, two, 1, 0));
    query(s, 1, 8);
    SHOW(detach(s, two));
    SHOW(detach(r, one));
    SHOW(attach(r, one, 2, 0));
    SHOW(attach(r, one, 2, 0));
    SHOW(attach(r, two, 2, 0));
    SHOW(attach(s, three, 2, 0));
    query(r, 0, 8);
    query(r, 0, 1);
    query(r, 0, 0);
    query(s, 0, 8);
    query(s, 1, 8);
    query(s, 2, 8);
    SHOW(attach(r, three, 6, one));
    SHOW(attach(r, one, 6, one));
    query(r, 0, 8);
    SHOW(detach(r, 999));
    SHOW(detach(r, one));
    SHOW(detach(r, two));
    SHOW(detach(r, three));
    SHOW(detach(s, three));
    query(r, 0, 8);
    MUST(rmdir(at("r/s", "")));
    SHOW(attach(s, one, 0, 0));
    MUST(rmdir(at("r", "")));
}

static void information(int program) {
    uint32_t info[58] = { 0 };
    fresh();
    put32(0, (uint32_t)program); put32(4, sizeof info); put_address(8, info);
    SHOW(bpf(15, 16));
    printf("type %u, free %u, maps %u\n", info[0], info[21] & 1, info[13]);
    for (int i = 0; i < 8; i++)
        printf("%02x", ((uint8_t *)info)[8 + i]);
    putchar('\n');
    uint32_t id = info[1];
    fresh();
    put32(0, id);
    TRY(bpf(13, 4));
    fresh();
    put32(0, 0x7ffffff);
    SHOW(bpf(13, 4));
    fresh();
    put32(0, (uint32_t)program);
    SHOW(bpf(10, 80));
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", program);
    ssize_t length = readlink(path, text, sizeof text - 1);
    text[length > 0 ? length : 0] = 0;
    puts(text);
}

int main(void) {
    mount_groups();
    MUST(mkdir(at("bpf", ""), 0755));
    MUST(mkdir(at("bpf/below", ""), 0755));
    int group = open_group("bpf"), below = open_group("bpf/below");
    int allowing = LOAD(allow), denying = LOAD(deny), listing = LOAD(list);
    information(listing);
    puts("--- deny");
    SHOW(attach(group, denying, 2, 0));
    in_group("bpf");
    int master = (int)MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    MUST(unlockpt(master));
    IN_CHILD(put("bpf", "cgroup.procs", "0"); TRY(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)); TRY(open(ptsname(master), O_RDWR | O_NOCTTY));
        SHOW(mount("/dev/loop0", "/tmp", "ext2", MS_RDONLY, "")); SHOW(mount("/dev/loop0", "/tmp", "ext2", 0, "")));
    close(master);
    puts("--- below");
    SHOW(attach(below, allowing, 2, 0));
    in_group("bpf/below");
    SHOW(detach(group, denying));
    SHOW(detach(below, allowing));
    puts("--- list");
    SHOW(attach(group, listing, 2, 0));
    in_group("bpf/below");
    SHOW(detach(group, listing));
    puts("--- nothing");
    in_group("bpf");
    puts("--- a map says it");
    int map = (int)MUST(create_map(2, 4, 8, 1, 0));
    static const struct insn asks[] = { STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JEQ(0, 0, 3), LDDW(0, 0, 0), INSN(0x57, 0, 0, 0, 1), EXIT, MOV(0, 0), EXIT };
    int asking = (int)load(CGROUP_DEVICE, asks, COUNT(asks), map);
    printf("load: %s\n%s", asking < 0 ? error_name(errno) : "ok", asking < 0 ? log_text : "");
    SHOW(attach(group, asking, 0, 0));
    uint32_t key = 0;
    uint64_t value = 1;
    IN_CHILD(put("bpf", "cgroup.procs", "0"); TRY(open("/dev/null", O_RDONLY)); MUST(UPDATE(map, &key, &value, 0)); TRY(open("/dev/null", O_RDONLY)));
    SHOW(detach(group, asking));
    rules();
    rmdir(at("bpf/below", ""));
    rmdir(at("bpf", ""));
    IN_CHILD(MUST(setuid(1000)); SHOW(load(CGROUP_DEVICE, allow, 2, -1)); query(group, 0, 0));
    unmount_groups();
    return 0;
}
