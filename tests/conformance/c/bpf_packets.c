/* Covers: bpf (PROG_LOAD of BPF_PROG_TYPE_CGROUP_SKB, PROG_ATTACH, PROG_DETACH, PROG_QUERY for BPF_CGROUP_INET_INGRESS and
 * BPF_CGROUP_INET_EGRESS): programs that judge the packets of a control group's sockets. */
#define _GNU_SOURCE
#include "cgroup_case.h"
#include "bpf_case.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PACKETS 8 /* BPF_PROG_TYPE_CGROUP_SKB */
#define IN 0
#define OUT 1

static int place; /* where programs say that they will be attached */

static int constant(int answer) {
    struct insn program[] = { MOV(0, answer), EXIT };
    return (int)load_at(PACKETS, place, program, 2, -1);
}

static void loads(void) {
    puts("--- loads");
    static const int places[] = { 0, 1, 2, 6, 41 };
    for (unsigned i = 0; i < COUNT(places); i++) {
        place = places[i];
        printf("place %d: %s\n", place, constant(1) < 0 ? error_name(errno) : "ok");
    }
    for (place = IN; place <= OUT; place++)
        for (int answer = -1; answer <= 4; answer++)
            printf("place %d, answer %d: %s\n", place, answer, constant(answer) < 0 ? error_name(errno) : "ok");
    place = IN;
    static const int fields[] = { -4, 0, 2, 4, 16, 18, 20, 28, 36, 40, 48, 64, 72, 140, 144, 192, 1000 };
    static const int sizes[] = { 0x71, 0x69, 0x61, 0x79 };
    for (unsigned i = 0; i < COUNT(fields); i++) {
        printf("field %d:", fields[i]);
        for (unsigned j = 0; j < COUNT(sizes); j++) {
            struct insn program[] = { INSN(sizes[j], 2, 1, fields[i], 0), MOV(0, 1), EXIT };
            printf(" %s", load_at(PACKETS, place, program, 3, -1) < 0 ? error_name(errno) : "ok");
        }
        putchar('\n');
    }
    struct insn moved[] = { ADD(1, 4), LDW(2, 1, 0), MOV(0, 1), EXIT };
    TRY(load_at(PACKETS, place, moved, COUNT(moved), -1));
    struct insn stored[] = { STW(1, 0, 1), MOV(0, 1), EXIT };
    TRY(load_at(PACKETS, place, stored, COUNT(stored), -1));
    struct insn bytes[] = { MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(26), MOV(0, 1), EXIT };
    TRY(load_at(PACKETS, place, bytes, COUNT(bytes), -1) >= 0);
    bytes[3].constant = 16;
    TRY(load_at(PACKETS, place, bytes, COUNT(bytes), -1));
    bytes[3].constant = 0;
    TRY(load_at(PACKETS, place, bytes, COUNT(bytes), -1));
    struct insn not_context[] = { MOVR(1, 10), MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(26), MOV(0, 1), EXIT };
    TRY(load_at(PACKETS, place, not_context, COUNT(not_context), -1));
    static const int helpers[] = { 15, 16 };
    for (unsigned i = 0; i < COUNT(helpers); i++) {
        struct insn program[] = { CALL(helpers[i]), MOV(0, 1), EXIT };
        printf("helper %d: %s\n", helpers[i], load_at(PACKETS, place, program, 3, -1) < 0 ? "refused" : "ok");
    }
    TRY(load(CGROUP_DEVICE, bytes, COUNT(bytes), -1));
}

static void rules(int group, int below) {
    puts("--- rules");
    place = OUT;
    int both = constant(1), out = constant(3);
    place = IN;
    int in = constant(0), device = (int)load(CGROUP_DEVICE, (struct insn[]) { MOV(0, 1), EXIT }, 2, -1);
    SHOW(attach_for(IN, group, out, 0));
    SHOW(attach_for(IN, group, device, 0));
    SHOW(attach_for(6, group, in, 0));
    SHOW(attach_for(IN, group, both, 0));
    SHOW(attach_for(OUT, group, in, 2));
    SHOW(attach_for(OUT, group, in, 2));
    SHOW(attach_for(OUT, group, out, 2));
    SHOW(attach_for(OUT, group, out, 8));
    query_for(IN, group, 0);
    query_for(OUT, group, 0);
    query_for(6, group, 0);
    query_for(OUT, below, 1);
    SHOW(attach_for(IN, below, in, 0));
    SHOW(detach_for(IN, group, 0));
    SHOW(detach_for(IN, group, 0));
    SHOW(detach_for(OUT, group, in));
    SHOW(detach_for(OUT, group, in));
    SHOW(detach_for(OUT, group, out));
    close(both); close(out); close(in); close(device);
}

static int family;

static int bound(int kind, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    int fd = (int)MUST(socket(family, kind | SOCK_NONBLOCK, 0)), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    MUST(bind(fd, (struct sockaddr *)&address, length));
    return fd;
}

static void send_one(const char *what, int from, int to, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    char buffer[64];
    errno = 0;
    long sent = sendto(from, "hello", 5, 0, (struct sockaddr *)&address, length);
    printf("%s: %ld %s, ", what, sent, sent < 0 ? error_name(errno) : "ok");
    struct pollfd poll_ = { to, POLLIN, 0 };
    poll_for(&poll_, 100);
    long got = recv(to, buffer, sizeof buffer, 0);
    printf("%ld %s\n", got, got < 0 ? error_name(errno) : "ok");
}

/* Sockets of the group's and of nobody's, to and fro. */
static void datagrams(int inside, int outside) {
    send_one("out", inside, outside, 7002);
    send_one("in", outside, inside, 7001);
    send_one("past it", outside, outside, 7002);
}

static void stream(int listener, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    int fd = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    int result = connect(fd, (struct sockaddr *)&address, length);
    if (result == 0 || errno == EINPROGRESS) {
        struct pollfd poll_ = { listener, POLLIN, 0 };
        int ready = poll_for(&poll_, 200);
        int other = ready == 1 ? accept(listener, 0, 0) : -1;
        printf("stream: %s", other >= 0 ? "accepted" : "nothing");
        if (other >= 0) {
            char c;
            printf(", %zd", send(other, "x", 1, 0));
            poll_.fd = fd;
            poll_for(&poll_, 200);
            printf(", %zd", recv(fd, &c, 1, 0));
            close(other);
        }
        putchar('\n');
    }
    close(fd);
}

static void judged(int group, int inside, int outside, int listener) {
    for (int way = IN; way <= OUT; way++)
        for (int answer = 0; answer <= (way == OUT ? 3 : 1); answer++) {
            printf("--- way %d, answer %d\n", way, answer);
            place = way;
            int program = constant(answer);
            MUST(attach_for(way, group, program, 0));
            datagrams(inside, outside);
            if (answer < 2)
                stream(listener, 7003);
            MUST(detach_for(way, group, program));
            close(program);
        }
}

static void several(int group, int below, int inside, int outside) {
    puts("--- several");
    place = OUT;
    int yes = constant(1), no = constant(0);
    MUST(attach_for(OUT, group, no, 2));
    MUST(attach_for(OUT, below, yes, 2));
    send_one("above denies", inside, outside, 7002);
    MUST(detach_for(OUT, group, no));
    send_one("below permits", inside, outside, 7002);
    MUST(attach_for(OUT, group, yes, 2));
    MUST(attach_for(OUT, below, no, 2));
    send_one("one below denies", inside, outside, 7002);
    MUST(detach_for(OUT, below, no));
    MUST(detach_for(OUT, below, yes));
    MUST(detach_for(OUT, group, yes));
    close(yes); close(no);
}

/* A program that records its context, and looks into the packet: datagrams to port 7001 alone may come in. Segments of
 * streams that were denied, which come again after a second, are not recorded. */
static void looks(int group, int inside, int outside) {
    puts("--- looks");
    static const int fields[] = { 0, 4, 16, 36, 40 };
    int map = (int)MUST(create_map(2, 4, 64, 1, 0)), at_port = family == AF_INET ? 22 : 42;
    uint32_t key = 0, seen[16] = { 0 };
    struct insn program[64] = {
        MOVR(6, 1), MOV(2, at_port), MOVR(3, 10), ADD(3, -8), MOV(4, 2), CALL(26), INSN(0x69, 8, 10, -8, 0),
        JEQ(8, htons(7001), 3), JEQ(8, htons(7002), 2), MOV(0, 0), EXIT,
        STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JNE(0, 0, 2), MOV(0, 0), EXIT, MOVR(7, 0),
    };
    unsigned count = 21;
    for (unsigned i = 0; i < COUNT(fields); i++) {
        program[count++] = (struct insn) LDW(1, 6, fields[i]);
        program[count++] = (struct insn) INSN(0x63, 7, 1, 4 * i, 0);
    }
    struct insn rest[] = {
        MOVR(1, 6), MOV(2, at_port), MOVR(3, 10), ADD(3, -8), MOV(4, 2), CALL(26), INSN(0x63, 7, 0, 32, 0),
        INSN(0x69, 8, 10, -8, 0), INSN(0x63, 7, 8, 36, 0),
        MOVR(1, 6), MOV(2, 4000), MOVR(3, 10), ADD(3, -8), MOV(4, 2), CALL(26), INSN(0x63, 7, 0, 40, 0),
        MOV(0, 1), JEQ(8, htons(7001), 1), MOV(0, 0), EXIT,
    };
    memcpy(program + count, rest, sizeof rest);
    count += COUNT(rest);
    place = IN;
    int judge = (int)load_at(PACKETS, place, program, count, map);
    if (judge < 0)
        printf("load: %s\n", error_name(errno));
    MUST(attach_for(IN, group, judge, 0));
    send_one("to the port", outside, inside, 7001);
    MUST(LOOKUP(map, &key, seen));
    for (unsigned i = 0; i < COUNT(seen); i++)
        printf("%x ", seen[i]);
    putchar('\n');
    MUST(detach_for(IN, group, judge));
    place = OUT;
    int other = (int)MUST(load_at(PACKETS, place, program, count, map));
    MUST(attach_for(OUT, group, other, 0));
    send_one("to another", inside, outside, 7002);
    MUST(LOOKUP(map, &key, seen));
    for (unsigned i = 0; i < COUNT(seen); i++)
        printf("%x ", seen[i]);
    putchar('\n');
    MUST(detach_for(OUT, group, other));
    close(judge); close(other); close(map);
}

int main(void) {
    mount_groups();
    MUST(mkdir(at("skb", ""), 0755));
    MUST(mkdir(at("skb/below", ""), 0755));
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    int group = (int)MUST(open(at("skb", ""), O_RDONLY | O_DIRECTORY));
    int below = (int)MUST(open(at("skb/below", ""), O_RDONLY | O_DIRECTORY));
    loads();
    rules(group, below);
    static const int families[] = { AF_INET, AF_INET6 };
    for (unsigned i = 0; i < COUNT(families); i++) {
        family = families[i];
        printf("=== family %d\n", family);
        int outside = bound(SOCK_DGRAM, 7002);
        IN_CHILD(
            printf("enter %d\n", put("skb/below", "cgroup.procs", "0"));
            int inside = bound(SOCK_DGRAM, 7001), listener = bound(SOCK_STREAM, 7003);
            MUST(listen(listener, 5));
            printf("leave %d\n", put("", "cgroup.procs", "0"));
            judged(group, inside, outside, listener);
            several(group, below, inside, outside);
            looks(group, inside, outside);
            puts("--- none");
            datagrams(inside, outside);
            stream(listener, 7003));
        close(outside);
    }
    IN_CHILD(MUST(setuid(1000)); place = IN; TRY(constant(1)));
    close(below);
    close(group);
    MUST(rmdir(at("skb/below", "")));
    MUST(rmdir(at("skb", "")));
    unmount_groups();
    return 0;
}
