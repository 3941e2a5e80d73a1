/* Covers: bpf (PROG_LOAD of BPF_PROG_TYPE_SOCKET_FILTER), setsockopt and getsockopt (SO_ATTACH_BPF, SO_DETACH_BPF,
 * SO_LOCK_FILTER, SO_GET_FILTER): programs that choose the packets of sockets of all families. */
#define _GNU_SOURCE
#include "bpf_case.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILTER 1 /* BPF_PROG_TYPE_SOCKET_FILTER */
#define ABS(size, at) INSN(0x20 | (size), 0, 0, 0, at)
#define IND(size, src, at) INSN(0x40 | (size), 0, src, 0, at)
#define WORD 0x00
#define HALF 0x08
#define BYTE 0x10
#define ATTACH 50
#define DETACH 27
#define LOCK 44
#define GET 26

static int loaded(const struct insn *program, unsigned count, int map) {
    int fd = (int)load(FILTER, program, count, map);
    if (fd < 0)
        printf("load: %s: %s\n", error_name(errno), *log_text ? "with reasons" : "without");
    return fd;
}

static int constant(int answer) {
    struct insn program[] = { MOV(0, answer), EXIT };
    return (int)load(FILTER, program, 2, -1);
}

static long attached(int socket_, int program) { return setsockopt(socket_, SOL_SOCKET, ATTACH, &program, 4); }

static long detached(int socket_) {
    int zero = 0;
    return setsockopt(socket_, SOL_SOCKET, DETACH, &zero, 4);
}

static void check(const char *what, const struct insn *program, unsigned count, int map) {
    long fd = load(FILTER, program, count, map);
    printf("%s: %s\n", what, said(fd));
    if (fd >= 0)
        close((int)fd);
}
#define CHECK(what, ...) do { \
        struct insn program_[] = { __VA_ARGS__ }; \
        check(what, program_, COUNT(program_), map); \
    } while (0)

static void loads(void) {
    puts("--- loads");
    int map = (int)MUST(create_map(2, 4, 64, 1, 0));
    for (int answer = -1; answer <= 2; answer++)
        printf("answer %d: %s\n", answer, said(constant(answer)));
    static const int fields[] = {
        -4, 0, 1, 2, 3, 4, 8, 12, 16, 18, 20, 24, 28, 32, 36, 40, 44, 47, 48, 52, 56, 60, 64, 66, 68, 72, 76, 80, 84, 88, 92,
        96, 100, 116, 132, 136, 140, 144, 152, 160, 164, 176, 180, 184, 188, 192, 1000,
    };
    static const int sizes[] = { 0x10, 0x08, 0x00, 0x18 };
    for (unsigned i = 0; i < COUNT(fields); i++) {
        printf("field %d:", fields[i]);
        for (unsigned j = 0; j < COUNT(sizes); j++) {
            struct insn read_[] = { INSN(0x61 | sizes[j], 2, 1, fields[i], 0), MOV(0, 1), EXIT };
            struct insn write_[] = { MOV(2, 5), INSN(0x63 | sizes[j], 1, 2, fields[i], 0), MOV(0, 1), EXIT };
            struct insn fixed[] = { INSN(0x62 | sizes[j], 1, 0, fields[i], 7), MOV(0, 1), EXIT };
            printf(" %s", said(load(FILTER, read_, 3, -1)));
            printf(" %s", said(load(FILTER, write_, 4, -1)));
            printf(" %s", said(load(FILTER, fixed, 3, -1)));
        }
        putchar('\n');
        for (int fd = 3; fd < 40; fd++)
            if (fd != map)
                close(fd);
    }
    CHECK("word", MOVR(6, 1), ABS(WORD, 0), EXIT);
    CHECK("half", MOVR(6, 1), ABS(HALF, 12), EXIT);
    CHECK("byte", MOVR(6, 1), ABS(BYTE, -0x100000), EXIT);
    CHECK("double", MOVR(6, 1), ABS(0x18, 0), EXIT);
    CHECK("by register", MOVR(6, 1), MOV(7, 4), IND(BYTE, 7, 2), EXIT);
    CHECK("by a pointer", MOVR(6, 1), IND(BYTE, 10, 2), EXIT);
    CHECK("no context", MOV(6, 1), ABS(WORD, 0), EXIT);
    CHECK("nothing in R6", ABS(WORD, 0), EXIT);
    CHECK("the stack in R6", MOVR(6, 10), ABS(WORD, 0), EXIT);
    CHECK("moved", MOVR(6, 1), ADD(6, 4), ABS(WORD, 0), EXIT);
    CHECK("unset register", MOVR(6, 1), IND(WORD, 7, 0), EXIT);
    CHECK("another target", MOVR(6, 1), INSN(0x20, 2, 0, 0, 0), EXIT);
    CHECK("a source", MOVR(6, 1), INSN(0x20, 0, 2, 0, 0), EXIT);
    CHECK("an offset", MOVR(6, 1), INSN(0x20, 0, 0, 4, 0), EXIT);
    CHECK("R1 afterwards", MOVR(6, 1), ABS(WORD, 0), LDW(0, 1, 0), EXIT);
    CHECK("R5 afterwards", MOVR(6, 1), MOV(5, 1), ABS(WORD, 0), MOVR(0, 5), EXIT);
    CHECK("R6 afterwards", MOVR(6, 1), ABS(WORD, 0), LDW(0, 6, 0), EXIT);
    CHECK("R7 afterwards", MOVR(6, 1), MOV(7, 1), ABS(WORD, 0), MOVR(0, 7), EXIT);
    CHECK("bytes", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(26), EXIT);
    CHECK("too many bytes", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 9), CALL(26), EXIT);
    CHECK("bytes from a header", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), MOV(5, 1), CALL(68), EXIT);
    CHECK("from none", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(68), EXIT);
    CHECK("from an unknown one", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), MOV(5, 9), CALL(68), EXIT);
    CHECK("cookie", CALL(46), EXIT);
    CHECK("cookie of nothing", MOV(1, 0), CALL(46), EXIT);
    CHECK("cookie of the stack", MOVR(1, 10), CALL(46), EXIT);
    CHECK("owner", CALL(47), EXIT);
    CHECK("clock", CALL(5), EXIT);
    CHECK("random", CALL(7), EXIT);
    CHECK("processor", CALL(8), EXIT);
    CHECK("process", CALL(14), EXIT);
    CHECK("user", CALL(15), EXIT);
    CHECK("command", MOVR(1, 10), ADD(1, -16), MOV(2, 16), CALL(16), EXIT);
    CHECK("node", CALL(42), EXIT);
    CHECK("group", CALL(80), EXIT);
    CHECK("clock with sleep", CALL(125), EXIT);
    CHECK("pointer in the context", STXDW(1, 48, 1), MOV(0, 1), EXIT);
    CHECK("atomic there", MOV(2, 1), INSN(0xc3, 1, 2, 48, 0), MOV(0, 1), EXIT);
    CHECK("lookup", STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), MOV(0, 1), EXIT);
    CHECK("a pointer as the answer", MOVR(0, 10), EXIT);
    CHECK("no answer", EXIT);
    close(map);
    fresh();
    put32(0, FILTER); put32(4, 2); put_address(16, "GPL");
    struct insn simple[] = { MOV(0, 1), EXIT };
    put_address(8, simple);
    put32(68, 7);
    printf("with a place: %s\n", said(bpf(5, 148)));
    IN_CHILD(MUST(setuid(1000)); printf("by anybody: %s\n", said(constant(1))));
    int setting = (int)MUST(open("/proc/sys/kernel/unprivileged_bpf_disabled", O_RDWR));
    MUST(pwrite(setting, "0", 1, 0));
    IN_CHILD(
        MUST(setuid(1000));
        int map = -1;
        puts("anybody, where everybody may:");
        CHECK("a constant", MOV(0, 1), EXIT);
        CHECK("a word", MOVR(6, 1), ABS(WORD, 0), EXIT);
        CHECK("by a pointer", MOVR(6, 1), IND(BYTE, 10, 2), EXIT);
        CHECK("pointer in the context", STXDW(1, 48, 1), MOV(0, 1), EXIT);
        CHECK("number in the context", STDW(1, 48, 1), MOV(0, 1), EXIT);
        CHECK("a pointer as the answer", MOVR(0, 10), EXIT);
        CHECK("bytes", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(26), EXIT);
        CHECK("cookie", CALL(46), EXIT);
        CHECK("owner", CALL(47), EXIT);
        CHECK("clock", CALL(5), EXIT);
        CHECK("process", CALL(14), EXIT);
        CHECK("group", CALL(80), EXIT));
    MUST(pwrite(setting, "2", 1, 0));
    close(setting);
}

static void got(const char *what, int fd) {
    unsigned char block[4096];
    socklen_t length = 0;
    long result = getsockopt(fd, SOL_SOCKET, GET, block, &length);
    printf("%s: get %s", what, said(result));
    if (result == 0)
        printf(" %u", length);
    length = 64;
    result = getsockopt(fd, SOL_SOCKET, GET, block, &length);
    printf(", %s", said(result));
    if (result == 0)
        printf(" %u", length);
    putchar('\n');
}

static void rules(int family, int kind, int protocol) {
    printf("--- rules: %d, %d\n", family, kind);
    int fd = (int)socket(family, kind, protocol), program = constant(-1), other = constant(1), one = 1, zero = 0;
    struct insn simple[] = { MOV(0, 1), EXIT };
    int device = (int)load(CGROUP_DEVICE, simple, 2, -1), none = -1;
    long big = program;
    if (fd < 0) {
        printf("socket: %s\n", error_name(errno));
        return;
    }
    got("nothing", fd);
    SHOW(detached(fd));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &none, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &fd, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &device, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &program, 3));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &big, 8));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, (void *)8, 4));
    SHOW(attached(fd, program));
    got("a program", fd);
    SHOW(attached(fd, other));
    SHOW(attached(fd, other));
    SHOW(detached(fd));
    SHOW(detached(fd));
    struct { uint16_t count; void *address; } classic = { 1, (uint64_t[]) { 0xffff00000006ull } };
    SHOW(setsockopt(fd, SOL_SOCKET, GET, &classic, sizeof classic));
    got("a classic one", fd);
    SHOW(attached(fd, program));
    SHOW(setsockopt(fd, SOL_SOCKET, LOCK, &one, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, LOCK, &zero, 4));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &none, 4));
    SHOW(attached(fd, other));
    SHOW(setsockopt(fd, SOL_SOCKET, ATTACH, &program, 3));
    SHOW(setsockopt(fd, SOL_SOCKET, GET, &classic, sizeof classic));
    SHOW(detached(fd));
    got("locked", fd);
    close(fd); close(program); close(other); close(device);
}

static uint32_t number_of(int program) {
    uint8_t info[232] = { 0 };
    fresh();
    put32(0, (uint32_t)program); put32(4, sizeof info); put_address(8, info);
    MUST(bpf(15, 16));
    uint32_t number;
    memcpy(&number, info + 4, 4);
    return number;
}

/* Linux lets go of it a moment later. */
static const char *until_gone(uint32_t number) {
    for (int i = 0; i < 1000; i++) {
        fresh(); put32(0, number);
        int fd = (int)bpf(13, 12);
        if (fd < 0)
            return error_name(errno);
        close(fd);
        sleep_ms(10);
    }
    return "still there";
}

static void life(void) {
    puts("--- life");
    int fd = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), program = constant(-1);
    uint32_t number = number_of(program);
    MUST(attached(fd, program));
    close(program);
    int copy = dup(fd);
    close(fd);
    fresh(); put32(0, number);
    int again = (int)bpf(13, 12);
    printf("attached: %s\n", said(again));
    close(again);
    MUST(detached(copy));
    printf("detached: %s\n", until_gone(number));
    program = constant(-1);
    number = number_of(program);
    MUST(attached(copy, program));
    close(program);
    close(copy);
    printf("closed: %s\n", until_gone(number));
}

/* ---- What programs see and decide ------------------------------------------------------------------------------- */

static int family;

static int bound(int kind, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    int fd = (int)MUST(socket(family, kind, 0)), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    MUST(bind(fd, (struct sockaddr *)&address, length));
    return fd;
}

static int shown = 12; /* bytes of what is received */

static void receive(const char *what, int fd) {
    unsigned char buffer[256];
    struct pollfd wait_ = { fd, POLLIN, 0 };
    poll_for(&wait_, 150);
    long count = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    printf("%s: %ld %s", what, count, count < 0 ? error_name(errno) : "ok");
    for (long i = 0; i < count && i < shown; i++)
        printf(" %02x", buffer[i]);
    putchar('\n');
}

static void send_to(int from, int port, const void *data, size_t size) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    long sent = sendto(from, data, size, 0, (struct sockaddr *)&address, length);
    if (sent != (long)size)
        printf("sent %ld %s\n", sent, sent < 0 ? error_name(errno) : "ok");
}

/* A program that notes 16 words in a map: fields of the context first, then what `rest` does with R6, the context, and
 * R7, the words. It wants everything. */
static int noting(const int *fields, unsigned count, const struct insn *rest, unsigned rest_count, int map) {
    struct insn program[256] = { MOVR(6, 1), STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JNE(0, 0, 2), MOV(0, 0), EXIT,
        MOVR(7, 0) };
    unsigned used = 11;
    for (unsigned i = 0; i < count; i++) {
        program[used++] = (struct insn) LDW(1, 6, fields[i]);
        program[used++] = (struct insn) STXW(7, 4 * (int)i, 1);
    }
    memcpy(program + used, rest, rest_count * sizeof *rest);
    used += rest_count;
    program[used++] = (struct insn) MOV(0, -1);
    program[used++] = (struct insn) EXIT;
    return loaded(program, used, map);
}

static void words(const char *what, int map, unsigned count) {
    uint32_t key = 0, seen[16] = { 0 };
    MUST(LOOKUP(map, &key, seen));
    printf("%s:", what);
    for (unsigned i = 0; i < count; i++)
        printf(" %x", seen[i]);
    putchar('\n');
    memset(seen, 0, sizeof seen);
    UPDATE(map, &key, seen, 0);
}

static uint64_t cookie_of(int fd) {
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    MUST(getsockopt(fd, SOL_SOCKET, 57, &cookie, &size));
    return cookie;
}

static const int fields[] = { 0, 4, 8, 16, 20, 24, 28, 36, 40, 44, 48, 64, 164, 176 };

static void datagrams(void) {
    printf("--- datagrams: %d\n", family);
    int from = bound(SOCK_DGRAM, 7101), to = bound(SOCK_DGRAM, 7102), map = (int)MUST(create_map(2, 4, 64, 1, 0));
    static const int answers[] = { 0, 1, 7, 8, 9, 10, 13, 14, 1000, -1 };
    for (unsigned i = 0; i < COUNT(answers); i++) {
        char what[32];
        int program = constant(answers[i]);
        MUST(attached(to, program));
        close(program);
        send_to(from, 7102, "abcdef", 6);
        snprintf(what, sizeof what, "wants %d", answers[i]);
        receive(what, to);
    }
    struct insn ports[] = { MOVR(6, 1), ABS(HALF, 0), JEQ(0, 7101, 2), MOV(0, 0), EXIT, LDW(0, 6, 0), ADD(0, -2), EXIT };
    int program = loaded(ports, COUNT(ports), -1);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "by port", 7);
    receive("by port", to);
    send_to(to, 7102, "by port", 7);
    receive("by another", to);
    struct insn outside[] = { MOVR(6, 1), ABS(WORD, 12), MOV(0, -1), EXIT };
    program = loaded(outside, COUNT(outside), -1);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "12345678", 8);
    receive("four bytes at 12 of 16", to);
    send_to(from, 7102, "1234567", 7);
    receive("four bytes at 12 of 15", to);
    struct insn indirect[] = { MOVR(6, 1), MOV(7, 6), IND(BYTE, 7, 3), EXIT };
    program = loaded(indirect, COUNT(indirect), -1);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "a\tcdef", 6);
    receive("as the second byte says", to);
    program = noting(fields, COUNT(fields), 0, 0, map);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "hello", 5);
    receive("noted", to);
    words("fields", map, COUNT(fields));
    struct insn left[] = {
        LDW(1, 6, 48), STXW(7, 0, 1), STW(6, 48, 77), INSN(0x72, 6, 0, 53, 5), STDW(6, 56, -1), LDW(1, 6, 48), STXW(7, 4, 1),
        LDW(1, 6, 52), STXW(7, 8, 1), LDW(1, 6, 60), STXW(7, 12, 1), LDW(1, 6, 64), STXW(7, 16, 1),
    };
    program = noting(0, 0, left, COUNT(left), map);
    MUST(attached(to, program));
    close(program);
    for (int i = 0; i < 2; i++) {
        send_to(from, 7102, "hello", 5);
        receive("left", to);
        words("what was left", map, 5);
    }
#define BYTES(at, size, where) MOVR(1, 6), MOV(2, at), MOVR(3, 10), ADD(3, -16), MOV(4, size), CALL(26), STXW(7, where, 0)
#define RELATIVE(at, size, header, where) \
    MOVR(1, 6), MOV(2, at), MOVR(3, 10), ADD(3, -16), MOV(4, size), MOV(5, header), CALL(68), STXW(7, where, 0)
    struct insn copied[] = {
        BYTES(0, 4, 0), LDW(1, 10, -16), STXW(7, 4, 1), BYTES(8, 5, 8), LDW(1, 10, -16), STXW(7, 12, 1),
        BYTES(9, 5, 16), LDW(1, 10, -16), STXW(7, 20, 1), BYTES(-1, 1, 24), BYTES(12, 1, 28), BYTES(13, 1, 32),
    };
    program = noting(0, 0, copied, COUNT(copied), map);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "hello", 5);
    receive("copied", to);
    words("bytes", map, 9);
    struct insn relative[] = {
        RELATIVE(family == AF_INET ? 9 : 6, 1, 1, 0), LDB(1, 10, -16), STXW(7, 4, 1), RELATIVE(0, 1, 1, 8), LDB(1, 10, -16),
        STXW(7, 12, 1), RELATIVE(0x10000, 1, 1, 16), RELATIVE(0, 1, 2, 20), RELATIVE(0, 1, -1, 24), RELATIVE(0, 1, 256, 28),
        RELATIVE(family == AF_INET ? 33 : 53, 0 + 1, 1, 32), RELATIVE(-1, 1, 1, 36),
    };
    program = noting(0, 0, relative, COUNT(relative), map);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "hello", 5);
    receive("relative", to);
    words("bytes of headers", map, 10);
    struct insn header[] = { MOVR(6, 1), ABS(BYTE, -0x100000 + (family == AF_INET ? 9 : 6)), EXIT };
    program = loaded(header, COUNT(header), -1);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "0123456789", 10);
    receive("as the protocol says", to);
    struct insn beyond[] = { MOVR(6, 1), ABS(WORD, -0x1000), MOV(0, -1), EXIT };
    program = loaded(beyond, COUNT(beyond), -1);
    MUST(attached(to, program));
    close(program);
    send_to(from, 7102, "hello", 5);
    receive("what only classic programs ask", to);
    struct insn whose[] = {
        MOVR(1, 6), CALL(46), INSN(0x7b, 7, 0, 0, 0), MOVR(1, 6), CALL(47), STXW(7, 8, 0),
    };
    program = noting(0, 0, whose, COUNT(whose), map);
    MUST(attached(to, program));
    close(program);
    MUST(fchown(to, 1234, 5));
    send_to(from, 7102, "hello", 5);
    receive("whose", to);
    uint32_t key = 0;
    uint64_t seen[8];
    MUST(LOOKUP(map, &key, seen));
    printf("cookie %s, owner %u\n", seen[0] == cookie_of(to) ? "its own" : "another", (unsigned)seen[1]);
    close(from); close(to); close(map);
}

static void streams(void) {
    printf("--- streams: %d\n", family);
    int map = (int)MUST(create_map(2, 4, 64, 1, 0)), listener = bound(SOCK_STREAM, 7103);
    MUST(listen(listener, 5));
    for (int wants = 0; wants <= 1; wants++) {
        int program = constant(-wants), fd = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
        MUST(attached(listener, program));
        close(program);
        struct sockaddr_storage address;
        socklen_t length = loopback(&address, family, 7103);
        if (connect(fd, (struct sockaddr *)&address, length) != 0 && errno != EINPROGRESS)
            printf("connect: %s\n", error_name(errno));
        struct pollfd wait_ = { listener, POLLIN, 0 };
        printf("listener that wants %d: %d\n", -wants, poll(&wait_, 1, wants ? 60000 : 200));
        if (wants) {
            int other = (int)MUST(accept(listener, 0, 0));
            got("accepted", other);
            program = noting((const int[]) { 4, 16, 40 }, 3, (const struct insn[]) {
                ABS(HALF, 2), STXW(7, 12, 0), LDW(1, 6, 0), INSN(0x07, 1, 0, 0, -4), STXW(7, 16, 1),
                ABS(BYTE, 12), INSN(0x77, 0, 0, 0, 4), INSN(0x67, 0, 0, 0, 2), STXW(7, 20, 0) }, 9, map);
            MUST(attached(other, program));
            close(program);
            MUST(send(fd, "hello", 5, 0));
            receive("passed", other);
            words("fields", map, 4);
            program = constant(0);
            MUST(attached(other, program));
            close(program);
            MUST(send(fd, "more", 4, 0));
            receive("dropped", other);
            MUST(detached(other));
            struct pollfd later = { other, POLLIN, 0 };
            poll(&later, 1, 60000);
            receive("sent again", other);
            close(other);
        }
        close(fd);
    }
    close(listener); close(map);
}

static void raw(void) {
    puts("--- raw");
    family = AF_INET;
    int fd = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_UDP)), from = bound(SOCK_DGRAM, 7105), to = bound(SOCK_DGRAM, 7106);
    int map = (int)MUST(create_map(2, 4, 64, 1, 0));
    struct insn ports[] = { ABS(HALF, 20), STXW(7, 16, 0), ABS(BYTE, 9), STXW(7, 20, 0) };
    int program = noting((const int[]) { 0, 4, 16, 40 }, 4, ports, COUNT(ports), map);
    MUST(attached(fd, program));
    close(program);
    send_to(from, 7106, "hello", 5);
    unsigned char buffer[64];
    printf("got %zd\n", recv(fd, buffer, sizeof buffer, 0));
    words("fields", map, 6);
    static const int answers[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 25 };
    for (unsigned i = 0; i < COUNT(answers); i++) {
        program = constant(answers[i]);
        MUST(attached(fd, program));
        close(program);
        send_to(from, 7106, "hello", 5);
        printf("wants %d: got %zd\n", answers[i], recv(fd, buffer, sizeof buffer, 0));
    }
    program = constant(7); /* of a header with options, which arrive whole */
    MUST(attached(fd, program));
    close(program);
    int one = 1;
    unsigned char control[64];
    struct iovec room = { buffer, sizeof buffer };
    struct msghdr message = { .msg_iov = &room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    MUST(setsockopt(from, IPPROTO_IP, IP_OPTIONS, "\1\1\1", 4));
    MUST(setsockopt(fd, IPPROTO_IP, IP_RECVOPTS, &one, sizeof one));
    send_to(from, 7106, "hello", 5);
    printf("got %zd, options", recvmsg(fd, &message, 0));
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    for (size_t i = 0; part && i < part->cmsg_len - sizeof *part; i++)
        printf(" %02x", CMSG_DATA(part)[i]);
    puts("");
    program = constant(0);
    MUST(attached(fd, program));
    close(program);
    send_to(from, 7106, "hello", 5);
    printf("got %zd %s\n", recv(fd, buffer, sizeof buffer, MSG_DONTWAIT), error_name(errno));
    close(fd); close(from); close(to); close(map);
}

static void local(int kind) {
    printf("--- local: %d\n", kind);
    int pair[2], map = (int)MUST(create_map(2, 4, 64, 1, 0));
    MUST(socketpair(AF_UNIX, kind, 0, pair));
    static const int answers[] = { 0, 1, 3, 6, -1 };
    for (unsigned i = 0; i < COUNT(answers); i++) {
        char what[32];
        int program = constant(answers[i]);
        MUST(attached(pair[1], program));
        close(program);
        printf("sent %zd, ", send(pair[0], "abcdef", 6, 0));
        snprintf(what, sizeof what, "wants %d", answers[i]);
        receive(what, pair[1]);
    }
    if (kind != SOCK_STREAM) {
        struct insn text[] = {
            ABS(WORD, 1), STXW(7, 56, 0), MOVR(1, 6), CALL(46), INSN(0x7b, 7, 0, 40, 0), MOVR(1, 6), CALL(47), STXW(7, 48, 0),
        };
        int program = noting((const int[]) { 0, 4, 8, 16, 36, 40 }, 6, text, COUNT(text), map);
        MUST(attached(pair[1], program));
        close(program);
        MUST(send(pair[0], "hello", 5, 0));
        receive("noted", pair[1]);
        uint32_t key = 0, seen[16];
        MUST(LOOKUP(map, &key, seen));
        uint64_t cookie;
        memcpy(&cookie, seen + 10, 8);
        printf("cookie %s, owner %u\n", cookie == cookie_of(pair[1]) ? "its own" : "another", seen[12]);
        memset(seen + 10, 0, 8);
        UPDATE(map, &key, seen, 0);
        words("fields", map, 15);
        program = constant(-1);
        MUST(attached(pair[1], program));
        close(program);
        MUST(send(pair[0], "", 0, 0));
        receive("empty", pair[1]);
    }
    close(pair[0]); close(pair[1]); close(map);
}

static void frames(int kind) {
    printf("--- frames: %d\n", kind);
    shown = 4; /* what comes then differs from packet to packet */
    family = AF_INET;
    int fd = (int)MUST(socket(AF_PACKET, kind, 0)), from = bound(SOCK_DGRAM, 7107), to = bound(SOCK_DGRAM, 7108);
    int map = (int)MUST(create_map(2, 4, 64, 1, 0)), skip = kind == SOCK_RAW ? 14 : 0, program = constant(0);
    MUST(attached(fd, program));
    close(program);
    struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1 };
    MUST(bind(fd, (struct sockaddr *)&address, sizeof address));
    send_to(from, 7108, "hello", 5);
    receive("none", fd);
    struct insn whose[] = {
        MOVR(1, 6), CALL(46), STXW(7, 32, 0), MOVR(1, 6), CALL(47), STXW(7, 36, 0), ABS(HALF, skip + 22), STXW(7, 40, 0),
        ABS(HALF, -0x100000 + 22), STXW(7, 44, 0), ABS(HALF, -0x200000 + 12), STXW(7, 48, 0), RELATIVE(12, 2, 0, 52),
        INSN(0x69, 1, 10, -16, 0), STXW(7, 56, 1),
    };
    program = noting((const int[]) { 0, 4, 8, 16, 20, 36, 40, 48 }, 8, whose, COUNT(whose), map);
    MUST(attached(fd, program));
    close(program);
    send_to(from, 7108, "hello", 5);
    receive("noted", fd);
    words("fields", map, 15);
    static const int answers[] = { 1, 20, 46, 47, 48, -1 };
    for (unsigned i = 0; i < COUNT(answers); i++) {
        program = constant(answers[i]);
        MUST(attached(fd, program));
        close(program);
        send_to(from, 7108, "hello", 5);
        char what[32];
        snprintf(what, sizeof what, "wants %d", answers[i]);
        receive(what, fd);
    }
    close(fd); close(from); close(to); close(map);
    shown = 12;
}

static void messages(void) {
    puts("--- messages");
    int from = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), to = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    struct sockaddr_nl address = { .nl_family = AF_NETLINK };
    MUST(bind(from, (struct sockaddr *)&address, sizeof address));
    address.nl_pid = 4711;
    MUST(bind(to, (struct sockaddr *)&address, sizeof address));
    static const int answers[] = { 0, 1, 3, 20, -1 };
    for (unsigned i = 0; i < COUNT(answers); i++) {
        int program = constant(answers[i]);
        MUST(attached(to, program));
        close(program);
        struct { struct nlmsghdr head; char text[8]; } message = { { 24, 100, 0, 0, 0 }, "message" };
        printf("sent %zd, ", sendto(from, &message, 24, 0, (struct sockaddr *)&address, sizeof address));
        char what[32];
        snprintf(what, sizeof what, "wants %d", answers[i]);
        receive(what, to);
    }
    close(from); close(to);
    int fd = (int)MUST(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    struct { struct nlmsghdr head; struct rtgenmsg body; } ask = { { sizeof ask, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { 0 } };
    int program = constant(4);
    MUST(attached(fd, program));
    close(program);
    MUST(send(fd, &ask, sizeof ask, 0));
    char part[64];
    printf("dump: %zd\n", recv(fd, part, sizeof part, 0));
    while (recv(fd, part, sizeof part, MSG_DONTWAIT) > 0) /* Linux tells the end apart */
        ;
    program = constant(0);
    MUST(attached(fd, program));
    close(program);
    ask.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    ask.head.nlmsg_type = RTM_DELLINK;
    MUST(send(fd, &ask, sizeof ask, 0));
    receive("no answer", fd);
    MUST(detached(fd));
    MUST(send(fd, &ask, sizeof ask, 0));
    struct pollfd wait_ = { fd, POLLIN, 0 };
    printf("an answer: %d\n", poll(&wait_, 1, 60000));
    close(fd);
}

int main(void) {
    loads();
    static const int kinds[][3] = {
        { AF_INET, SOCK_DGRAM, 0 }, { AF_INET, SOCK_STREAM, 0 }, { AF_INET, SOCK_RAW, IPPROTO_ICMP }, { AF_INET6, SOCK_DGRAM, 0 },
        { AF_UNIX, SOCK_DGRAM, 0 }, { AF_UNIX, SOCK_STREAM, 0 }, { AF_PACKET, SOCK_RAW, 0 }, { AF_NETLINK, SOCK_RAW, 0 },
    };
    for (unsigned i = 0; i < COUNT(kinds); i++)
        rules(kinds[i][0], kinds[i][1], kinds[i][2]);
    life();
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    static const int families[] = { AF_INET, AF_INET6 };
    for (unsigned i = 0; i < COUNT(families); i++) {
        family = families[i];
        datagrams();
        streams();
    }
    raw();
    local(SOCK_DGRAM);
    local(SOCK_SEQPACKET);
    local(SOCK_STREAM);
    frames(SOCK_RAW);
    frames(SOCK_DGRAM);
    messages();
    return 0;
}
