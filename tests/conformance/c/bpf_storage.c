/* Covers: bpf (MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, PROG_LOAD): values that belong to sockets, threads and
 * control groups (BPF_MAP_TYPE_SK_STORAGE, TASK_STORAGE, CGRP_STORAGE), and the helpers bpf_sk_storage_get and bpf_sk_storage_delete. */
#define _GNU_SOURCE
#include "cgroup_case.h"
#include "bpf_case.h"
#include <net/if.h>
#include <sys/ioctl.h>

enum { SOCKETS = 24, TASKS = 29, GROUPS = 32 };
enum { NO_PREALLOC = 1, CLONE_FLAG = 0x200 };
enum { SOCK = 9, SOCK_ADDR = 18, SKB = 8, FILTER = 1, BIND4 = 8, CONNECT4 = 10, CREATED = 2, POST_BIND4 = 12 };
enum { GET = 107, DELETE = 108 };

#define BIG 65408

/* 1 int, 2 long, 3 char, 4 char[BIG - 1], 5 char[BIG], 6 signed int with an offset, 7 struct { int }, 8 typedef int */
static int types(void) {
    static const uint32_t words[] = {
        1, 1u << 24, 4, 32,
        1, 1u << 24, 8, 64,
        1, 1u << 24, 1, 8,
        0, 3u << 24, 0, 3, 1, BIG - 1,
        0, 3u << 24, 0, 3, 1, BIG,
        1, 1u << 24, 4, 4 << 16 | 28,
        0, 4u << 24 | 1, 4, 1, 1, 0,
        1, 8u << 24, 1,
    };
    static const char names[] = "\0int";
    static uint8_t blob[512];
    uint32_t header[6] = { 0x0001eb9f, 24, 0, sizeof words, sizeof words, sizeof names };
    memcpy(blob, header, 24);
    memcpy(blob + 24, words, sizeof words);
    memcpy(blob + 24 + sizeof words, names, sizeof names);
    fresh();
    put_address(0, blob); put32(16, 24 + sizeof words + sizeof names);
    return (int)MUST(bpf(18, 40));
}

static int btf;

static long storage(int kind, unsigned key, unsigned value, unsigned most, unsigned flags, unsigned key_type, unsigned value_type) {
    fresh();
    put32(0, (uint32_t)kind); put32(4, key); put32(8, value); put32(12, most); put32(16, flags);
    put32(48, (uint32_t)btf); put32(52, key_type); put32(56, value_type);
    return bpf(0, 80);
}
#define OF(kind, flags) ((int)MUST(storage(kind, 4, 8, 0, NO_PREALLOC | (flags), 1, 2)))

static void creation(int kind) {
    static const unsigned forms[][6] = {
        { 4, 8, 0, 1, 1, 2 }, { 4, 8, 0, 1, 0, 0 }, { 4, 8, 0, 1, 0, 2 }, { 4, 8, 0, 1, 1, 0 }, { 4, 8, 0, 0, 1, 2 }, { 4, 8, 0, 0x201, 1, 2 },
        { 4, 8, 0, 0x200, 1, 2 }, { 4, 8, 0, 3, 1, 2 }, { 4, 8, 0, 5, 1, 2 }, { 4, 8, 0, 9, 1, 2 }, { 4, 8, 0, 0x81, 1, 2 }, { 4, 8, 0, 0x401, 1, 2 },
        { 4, 8, 1, 1, 1, 2 }, { 8, 8, 0, 1, 1, 2 }, { 8, 8, 0, 1, 2, 2 }, { 4, 0, 0, 1, 1, 2 }, { 4, 4, 0, 1, 1, 2 }, { 4, 4, 0, 1, 1, 1 },
        { 4, 8, 0, 1, 2, 2 }, { 4, 8, 0, 1, 6, 2 }, { 4, 8, 0, 1, 7, 2 }, { 4, 8, 0, 1, 8, 2 }, { 4, 8, 0, 1, 9, 2 }, { 4, 8, 0, 1, 1, 9 },
        { 4, BIG - 1, 0, 1, 1, 4 }, { 4, BIG, 0, 1, 1, 5 }, { 4, BIG, 0, 1, 1, 0 }, { 4, 1 << 30, 0, 1, 1, 5 },
    };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        const unsigned *form = forms[i];
        long fd = storage(kind, form[0], form[1], form[2], form[3], form[4], form[5]);
        printf("create %u %u %u %#x, types %u %u: %s\n", form[0], form[1], form[2], form[3], form[4], form[5], said(fd));
        if (fd >= 0)
            close((int)fd);
    }
    IN_CHILD(MUST(setuid(1000)); SHOW(storage(kind, 4, 8, 0, 1, 1, 2)); SHOW(storage(kind, 4, 8, 0, 0, 1, 2)); SHOW(storage(kind, 4, BIG, 0, 1, 1, 2)));
}

static int32_t key;
static uint64_t value;

static long set(int map, int fd, uint64_t number, uint64_t flags) { key = fd; value = number; return UPDATE(map, &key, &value, flags); }
static long drop(int map, int fd) { key = fd; return delete(map, &key); }
static const char *value_of(int map, int fd) {
    static char text[4][40];
    static int next;
    char *found = text[next++ & 3];
    key = fd; value = 0;
    if (LOOKUP(map, &key, &value) < 0)
        return error_name(errno);
    sprintf(found, "%llu", (unsigned long long)value);
    return found;
}

static void elements(int map, int fd, const char *what) {
    printf("-- elements: %s\n", what);
    printf("nothing: %s\n", value_of(map, fd));
    printf("delete: %s\n", said(drop(map, fd)));
    static const uint64_t flags[] = { 2, 3, 4, 5, 1, 1, 0, 2, 8, 1ull << 32, ~0ull };
    for (unsigned i = 0; i < COUNT(flags); i++) {
        printf("set with %#llx: %s, ", (unsigned long long)flags[i], said(set(map, fd, i + 1, flags[i])));
        printf("%s\n", value_of(map, fd));
    }
    key = fd;
    uint64_t found;
    printf("next: %s\n", said(next_key(map, &key, &found)));
    printf("first: %s\n", said(next_key(map, 0, &found)));
    printf("look up and delete: %s\n", said(elem(21, map, &key, &found, 0)));
    printf("with a lock: %s\n", said(elem(1, map, &key, &found, 4)));
    printf("key at 16: %s\n", said(LOOKUP(map, (void *)16, &found)));
    printf("value at 16: %s, ", said(LOOKUP(map, &key, (void *)16)));
    printf("%s\n", said(UPDATE(map, &key, (void *)16, 0)));
    for (int command = 24; command <= 27; command++) {
        uint32_t out = 0;
        fresh();
        put_address(8, &out); put_address(16, &key); put_address(24, &found); put32(32, 1); put32(36, (uint32_t)map);
        printf("batch %d: %s\n", command, said(bpf(command, 56)));
    }
    printf("delete: %s, ", said(drop(map, fd)));
    printf("%s\n", said(drop(map, fd)));
    uint32_t info[40] = { 0 };
    fresh();
    put32(0, (uint32_t)map); put32(4, sizeof info); put_address(8, info);
    printf("info: %s, type %u, key %u, value %u, most %u, flags %#x, types %u %u\n", said(bpf(15, 16)), info[0], info[2], info[3], info[4], info[5],
           info[17], info[18]);
}

static void wrong_keys(int map) {
    int file = (int)MUST(open("/", O_RDONLY)), path = (int)MUST(open("/", O_PATH)), tcp = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    int pid = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0)), group = (int)MUST(open(TOP, O_RDONLY));
    int others[] = { file, path, tcp, pid, group, map, 99, -1 };
    for (unsigned i = 0; i < COUNT(others); i++) {
        printf("key %u: %s, ", i, said(set(map, others[i], 7, 0)));
        printf("%s, ", said(set(map, others[i], 7, 9)));
        printf("%s, ", value_of(map, others[i]));
        printf("%s\n", said(drop(map, others[i])));
    }
    close(file); close(path); close(tcp); close(pid); close(group);
}

static void frozen(int kind, int fd) {
    int map = OF(kind, 0);
    MUST(set(map, fd, 1, 0));
    fresh();
    put32(0, (uint32_t)map);
    printf("freeze: %s\n", said(bpf(22, 4)));
    printf("set: %s, ", said(set(map, fd, 2, 0)));
    printf("delete: %s, ", said(drop(map, fd)));
    printf("%s\n", value_of(map, fd));
    close(map);
}

static void sockets(void) {
    int map = OF(SOCKETS, 0), cloned = OF(SOCKETS, CLONE_FLAG), ends[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    elements(map, ends[0], "a unix socket");
    MUST(set(map, ends[0], 5, 0));
    printf("the other end: %s\n", value_of(map, ends[1]));
    int copy = (int)MUST(dup(ends[0]));
    close(ends[0]);
    printf("a copy: %s\n", value_of(map, copy));
    IN_CHILD(printf("in a child: %s\n", value_of(map, copy)); MUST(set(map, copy, 6, 2)));
    printf("afterwards: %s\n", value_of(map, copy));
    frozen(SOCKETS, copy);
    int netlink = (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0));
    printf("netlink: %s, ", said(set(map, netlink, 8, 0)));
    printf("%s\n", value_of(map, netlink));
    close(netlink);
    puts("-- accepted sockets");
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, AF_INET, 7300);
    int listener = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), client = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&address, length));
    MUST(listen(listener, 5));
    MUST(set(map, listener, 9, 0)); MUST(set(cloned, listener, 10, 0));
    MUST(connect(client, (void *)&address, length));
    int accepted = (int)MUST(accept(listener, 0, 0));
    printf("accepted: %s, %s\n", value_of(map, accepted), value_of(cloned, accepted));
    printf("client: %s, %s\n", value_of(map, client), value_of(cloned, client));
    MUST(set(cloned, accepted, 11, 0));
    printf("listener: %s, %s\n", value_of(map, listener), value_of(cloned, listener));
    close(accepted); close(client); close(listener);
    puts("-- room");
    static uint8_t large[BIG];
    int first = (int)MUST(storage(SOCKETS, 4, BIG - 1, 0, 1, 1, 4)), second = (int)MUST(storage(SOCKETS, 4, BIG - 1, 0, 1, 1, 4));
    key = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    printf("first: %s\n", said(UPDATE(first, &key, large, 0)));
    printf("replaced: %s\n", said(UPDATE(first, &key, large, 0)));
    printf("second: %s\n", said(UPDATE(second, &key, large, 0)));
    printf("of 8 bytes: %s\n", said(set(map, key, 1, 0)));
    printf("delete: %s, ", said(delete(first, &key)));
    printf("second: %s\n", said(UPDATE(second, &key, large, 0)));
    close(first); close(second); close(map); close(cloned); close(key);
}

static void tasks(void) {
    int map = OF(TASKS, 0), own = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0));
    elements(map, own, "a process");
    frozen(TASKS, own);
    fflush(stdout);
    int child = (int)MUST(fork());
    if (child == 0)
        _exit(0);
    siginfo_t info;
    int fd = (int)MUST(syscall(SYS_pidfd_open, child, 0));
    MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    printf("ended: %s, ", said(set(map, fd, 3, 0)));
    printf("%s\n", value_of(map, fd));
    MUST(waitpid(child, 0, 0));
    printf("reaped: %s, %s, ", value_of(map, fd), said(set(map, fd, 4, 0)));
    printf("%s\n", said(drop(map, fd)));
    MUST(set(map, own, 5, 0));
    IN_CHILD(printf("in a child: %s, ", value_of(map, own)); int other = (int)MUST(syscall(SYS_pidfd_open, getpid(), 0)); printf("its own: %s\n", value_of(map, other)));
    IN_CHILD(MUST(setuid(1000)); printf("as another user: %s\n", value_of(map, own)));
    wrong_keys(map);
    close(map); close(own); close(fd);
}

static void groups(void) {
    int map = OF(GROUPS, 0);
    MUST(mkdir(TOP "/box", 0755));
    int fd = (int)MUST(open(TOP "/box", O_RDONLY)), path = (int)MUST(open(TOP "/box", O_PATH)), file = (int)MUST(open(TOP "/box/cgroup.procs", O_RDONLY));
    elements(map, fd, "a group");
    frozen(GROUPS, fd);
    MUST(set(map, fd, 6, 0));
    printf("by another descriptor: %s, by its path: %s, by a file: %s\n", value_of(map, (int)MUST(open(TOP "/box", O_RDONLY))), value_of(map, path),
           value_of(map, file));
    MUST(rmdir(TOP "/box"));
    printf("removed: %s, ", value_of(map, fd));
    printf("%s, ", said(set(map, fd, 7, 0)));
    printf("%s\n", said(drop(map, fd)));
    MUST(mkdir(TOP "/box", 0755));
    int again = (int)MUST(open(TOP "/box", O_RDONLY));
    printf("a new one: %s\n", value_of(map, again));
    MUST(rmdir(TOP "/box"));
    wrong_keys(map);
    close(map); close(fd); close(path); close(file); close(again);
}

/* What a program does with the value of the socket in register 2: count, and permit odd counts. */
#define COUNTING MAP(1), MOV(3, 0), MOV(4, 1), CALL(GET), JNE(0, 0, 2), MOV(0, 0), EXIT, LDDW(6, 0, 0), ADD(6, 1), STXDW(0, 0, 6), \
    INSN(0x57, 6, 0, 0, 1), MOVR(0, 6), EXIT

static int map_for_programs;

static void check(int type, int place, const char *what, const struct insn *program, unsigned count) {
    long fd = load_at(type, place, program, count, map_for_programs);
    printf("%s: %s\n", what, said(fd));
    if (fd >= 0)
        close((int)fd);
}
#define LOADED(type, place, what, ...) do { \
        struct insn program_[] = { __VA_ARGS__ }; \
        check(type, place, what, program_, COUNT(program_)); \
    } while (0)
#define SK LDDW(2, 1, 64)

static void verifier(void) {
    puts("-- the verifier");
    map_for_programs = OF(SOCKETS, 0);
    LOADED(SOCK_ADDR, BIND4, "bind", SK, COUNTING);
    LOADED(SOCK_ADDR, CONNECT4, "connect", SK, COUNTING);
    LOADED(SOCK, CREATED, "created", MOVR(2, 1), COUNTING);
    LOADED(SOCK, POST_BIND4, "bound", MOVR(2, 1), COUNTING);
    LOADED(FILTER, 0, "a filter", MOVR(2, 1), COUNTING);
    LOADED(CGROUP_DEVICE, 6, "devices", MOVR(2, 1), COUNTING);
    LOADED(SOCK_ADDR, BIND4, "the context", MOVR(2, 1), COUNTING);
    LOADED(SOCK_ADDR, BIND4, "a number", MOV(2, 0), COUNTING);
    LOADED(SOCK_ADDR, BIND4, "untested", SK, MAP(1), MOV(3, 0), MOV(4, 1), CALL(GET), LDDW(6, 0, 0), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "beyond the value", SK, MAP(1), MOV(3, 0), MOV(4, 1), CALL(GET), JEQ(0, 0, 1), LDDW(6, 0, 8), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "value 1", SK, MAP(1), MOV(3, 1), MOV(4, 1), CALL(GET), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "value at the stack", SK, STDW(10, -8, 5), MAP(1), MOVR(3, 10), ADD(3, -8), MOV(4, 1), CALL(GET), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "value across its end", SK, STDW(10, -8, 5), MAP(1), MOVR(3, 10), ADD(3, -4), MOV(4, 1), CALL(GET), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "delete", SK, MAP(1), CALL(DELETE), MOV(0, 1), EXIT);
    LOADED(SOCK, CREATED, "delete by a context", MOVR(2, 1), MAP(1), CALL(DELETE), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "look up", STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "update", STDW(10, -8, 0), MAP(1), MOVR(2, 10), ADD(2, -8), MOVR(3, 2), MOV(4, 0), CALL(2), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "half of the pointer", LDW(2, 1, 64), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "the other half", LDW(2, 1, 68), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "the pointer written", MOV(2, 0), STXDW(1, 64, 2), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "the socket written", SK, STW(2, 16, 1), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "moved", SK, ADD(2, 4), MOV(0, 1), EXIT);
    LOADED(SOCK_ADDR, BIND4, "moved by nothing", SK, ADD(2, 0), COUNTING);
    LOADED(SOCK_ADDR, BIND4, "on the stack", SK, STXDW(10, -8, 2), LDDW(2, 10, -8), COUNTING);
    LOADED(SOCK_ADDR, BIND4, "tested", SK, JEQ(2, 0, 13), COUNTING);
    static const int kinds[] = { TASKS, GROUPS };
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        close(map_for_programs);
        map_for_programs = OF(kinds[i], 0);
        LOADED(SOCK_ADDR, BIND4, "another kind", SK, COUNTING);
        LOADED(SOCK_ADDR, BIND4, "named only", MAP(1), MOV(0, 1), EXIT);
    }
    close(map_for_programs);
    map_for_programs = (int)MUST(create_map(2, 4, 8, 1, 0));
    LOADED(SOCK_ADDR, BIND4, "an array", SK, COUNTING);
    close(map_for_programs);
}

static void programs(void) {
    puts("-- programs");
    int map = OF(SOCKETS, 0);
    static const struct insn at_bind[] = { SK, COUNTING }, at_creation[] = { MOVR(2, 1), COUNTING };
    static const struct insn first[] = { SK, STDW(10, -8, 40), MAP(1), MOVR(3, 10), ADD(3, -8), MOV(4, 1), CALL(GET), JNE(0, 0, 2), MOV(0, 0), EXIT,
                                         LDDW(6, 0, 0), ADD(6, 1), STXDW(0, 0, 6), MOV(0, 1), EXIT };
    static const struct insn there[] = { SK, MAP(1), MOV(3, 0), MOV(4, 0), CALL(GET), JEQ(0, 0, 2), MOV(0, 1), EXIT, MOV(0, 0), EXIT };
    static const struct insn odd[] = { SK, MAP(1), MOV(3, 0), MOV(4, 2), CALL(GET), JEQ(0, 0, 2), MOV(0, 1), EXIT, MOV(0, 0), EXIT };
    static const struct insn gone[] = { SK, MAP(1), CALL(DELETE), JEQ(0, 0, 2), MOV(0, 0), EXIT, MOV(0, 1), EXIT };
    int group = (int)MUST(open(TOP, O_RDONLY));
    int programs[] = {
        (int)MUST(load_at(SOCK_ADDR, BIND4, at_bind, COUNT(at_bind), map)), (int)MUST(load_at(SOCK_ADDR, BIND4, first, COUNT(first), map)),
        (int)MUST(load_at(SOCK_ADDR, BIND4, there, COUNT(there), map)), (int)MUST(load_at(SOCK_ADDR, BIND4, odd, COUNT(odd), map)),
        (int)MUST(load_at(SOCK_ADDR, BIND4, gone, COUNT(gone), map)),
    };
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, AF_INET, 0);
    int creation = (int)MUST(load_at(SOCK, CREATED, at_creation, COUNT(at_creation), map));
    MUST(attach_for(CREATED, group, creation, 0));
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    printf("created: %s\n", value_of(map, fd));
    MUST(detach_for(CREATED, group, 0));
    for (unsigned i = 0; i < COUNT(programs); i++) {
        MUST(attach_for(BIND4, group, programs[i], 0));
        for (int turn = 0; turn < 3; turn++) {
            printf("program %u: %s, ", i, said(bind(fd, (void *)&address, length)));
            printf("%s\n", value_of(map, fd));
        }
        close(fd);
        fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
        printf("a new socket: %s, ", said(bind(fd, (void *)&address, length)));
        printf("%s\n", value_of(map, fd));
        close(fd);
        fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
        MUST(set(map, fd, 70, 0));
        printf("one with a value: %s, ", said(bind(fd, (void *)&address, length)));
        printf("%s\n", value_of(map, fd));
        MUST(detach_for(BIND4, group, 0));
    }
    close(fd); close(map); close(group);
}

int main(void) {
    struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int any = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(ioctl(any, SIOCSIFFLAGS, &up));
    close(any);
    mount_groups();
    btf = types();
    static const int kinds[] = { SOCKETS, TASKS, GROUPS };
    for (unsigned i = 0; i < COUNT(kinds); i++)
        creation(kinds[i]);
    sockets();
    int map = OF(SOCKETS, 0);
    wrong_keys(map);
    close(map);
    tasks();
    groups();
    verifier();
    programs();
    unmount_groups();
    return 0;
}
