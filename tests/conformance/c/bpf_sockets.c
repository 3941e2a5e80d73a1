/* Covers: bpf (PROG_LOAD of BPF_PROG_TYPE_CGROUP_SOCK, PROG_ATTACH, PROG_DETACH, PROG_QUERY for
 * BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_RELEASE, BPF_CGROUP_INET4_POST_BIND and BPF_CGROUP_INET6_POST_BIND),
 * socket, bind, close: programs that hear of a control group's sockets. */
#define _GNU_SOURCE
#include "cgroup_case.h"
#include "bpf_case.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SOCKETS 9 /* BPF_PROG_TYPE_CGROUP_SOCK */
#define CREATE 2
#define BIND4 12
#define BIND6 13
#define RELEASE 34

static const int places[] = { CREATE, BIND4, BIND6, RELEASE };

static int constant(int place, int answer) {
    struct insn program[] = { MOV(0, answer), EXIT };
    return (int)load_at(SOCKETS, place, program, 2, -1);
}

static void check(int place, const char *what, const struct insn *program, unsigned count) {
    long fd = load_at(SOCKETS, place, program, count, -1);
    printf("%s: %s\n", what, said(fd));
    if (fd >= 0)
        close((int)fd);
}
#define CHECK(place, what, ...) do { \
        struct insn program_[] = { __VA_ARGS__ }; \
        check(place, what, program_, COUNT(program_)); \
    } while (0)

static void close_all(int first) {
    for (int fd = first; fd < first + 40; fd++)
        close(fd);
}

static void loads(int first) {
    puts("--- loads");
    static const int asked[] = { 0, 1, 2, 3, 6, 8, 10, 12, 13, 14, 34, 35, 1000 };
    for (unsigned i = 0; i < COUNT(asked); i++)
        printf("place %d: %s\n", asked[i], said(constant(asked[i], 1)));
    static const int sizes[] = { 0x10, 0x08, 0x00, 0x18 };
    for (unsigned p = 0; p < COUNT(places); p++) {
        printf("at %d\n", places[p]);
        for (int answer = -1; answer <= 2; answer++)
            printf("answer %d: %s\n", answer, said(constant(places[p], answer)));
        close_all(first);
        for (int field = -4; field <= 84; field++) {
            if (field % 4 != 0 && !(field > 44 && field < 52) && field != 1 && field != 2 && field != 18 && field != 26 && field != 30 &&
                field != 54 && field != 58 && field != 74)
                continue;
            printf("field %d:", field);
            for (unsigned j = 0; j < COUNT(sizes); j++) {
                struct insn read_[] = { INSN(0x61 | sizes[j], 2, 1, field, 0), MOV(0, 1), EXIT };
                struct insn write_[] = { MOV(2, 5), INSN(0x63 | sizes[j], 1, 2, field, 0), MOV(0, 1), EXIT };
                printf(" %s", said(load_at(SOCKETS, places[p], read_, 3, -1)));
                printf(" %s", said(load_at(SOCKETS, places[p], write_, 4, -1)));
            }
            putchar('\n');
            close_all(first);
        }
    }
    CHECK(CREATE, "a fixed number", STW(1, 16, 7), MOV(0, 1), EXIT);
    CHECK(CREATE, "an atomic one", MOV(2, 1), INSN(0xc3, 1, 2, 16, 0), MOV(0, 1), EXIT);
    CHECK(CREATE, "moved", ADD(1, 4), LDW(2, 1, 0), MOV(0, 1), EXIT);
    CHECK(CREATE, "a word of a packet", MOVR(6, 1), INSN(0x20, 0, 0, 0, 0), MOV(0, 1), EXIT);
    CHECK(CREATE, "bytes of a packet", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(26), MOV(0, 1), EXIT);
    CHECK(CREATE, "cookie", CALL(46), MOV(0, 1), EXIT);
    CHECK(CREATE, "owner", CALL(47), MOV(0, 1), EXIT);
    CHECK(CREATE, "clock", CALL(5), MOV(0, 1), EXIT);
    CHECK(CREATE, "process", CALL(14), MOV(0, 1), EXIT);
    CHECK(CREATE, "user", CALL(15), MOV(0, 1), EXIT);
    CHECK(CREATE, "command", MOVR(1, 10), ADD(1, -16), MOV(2, 16), CALL(16), MOV(0, 1), EXIT);
    CHECK(CREATE, "group", CALL(80), MOV(0, 1), EXIT);
    CHECK(CREATE, "an unknown answer", LDW(0, 1, 4), EXIT);
    CHECK(BIND4, "the process that binds", CALL(14), MOV(0, 1), EXIT);
    IN_CHILD(MUST(setuid(1000)); printf("by anybody: %s\n", said(constant(CREATE, 1))));
    close_all(first);
}

static void rules(int group, int below) {
    puts("--- rules");
    int create = constant(0, 1), bind4 = constant(BIND4, 0), release = constant(RELEASE, 1);
    struct insn simple[] = { MOV(0, 1), EXIT };
    int device = (int)load(CGROUP_DEVICE, simple, 2, -1);
    SHOW(attach_for(CREATE, group, device, 0));
    SHOW(attach_for(CREATE, group, bind4, 0));
    SHOW(attach_for(BIND6, group, bind4, 0));
    SHOW(attach_for(RELEASE, group, create, 0));
    SHOW(attach_for(6, group, create, 0));
    SHOW(attach_for(0, group, create, 0));
    SHOW(attach_for(8, group, create, 0));
    SHOW(attach_for(CREATE, group, create, 0));
    SHOW(attach_for(CREATE, below, create, 0));
    SHOW(attach_for(BIND4, group, bind4, 2));
    SHOW(attach_for(BIND4, group, bind4, 2));
    SHOW(attach_for(RELEASE, group, release, 1));
    SHOW(attach_for(RELEASE, below, release, 0));
    for (unsigned i = 0; i < COUNT(places); i++) {
        query_for(places[i], group, 0);
        query_for(places[i], below, 1);
    }
    query_for(8 + 100, group, 0);
    SHOW(detach_for(CREATE, group, 0));
    SHOW(detach_for(CREATE, group, 0));
    SHOW(detach_for(BIND4, group, bind4));
    SHOW(detach_for(RELEASE, below, 0));
    SHOW(detach_for(RELEASE, group, 0));
    close(create); close(bind4); close(release); close(device);
}

static const int kinds[][3] = {
    { AF_INET, SOCK_STREAM, 0 }, { AF_INET, SOCK_DGRAM, 0 }, { AF_INET, SOCK_RAW, IPPROTO_UDP }, { AF_INET, SOCK_RAW, IPPROTO_RAW },
    { AF_INET6, SOCK_STREAM, 0 }, { AF_INET6, SOCK_DGRAM, 0 }, { AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 }, { AF_UNIX, SOCK_STREAM, 0 },
    { AF_UNIX, SOCK_DGRAM, 0 }, { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE }, { AF_PACKET, SOCK_DGRAM, 0 }, { AF_INET, SOCK_STREAM, 99 },
};

static void creations(int group) {
    puts("--- creations");
    for (int answer = 0; answer <= 1; answer++) {
        int program = constant(CREATE, answer), pair[2];
        MUST(attach_for(CREATE, group, program, 0));
        for (unsigned i = 0; i < COUNT(kinds); i++) {
            int fd = socket(kinds[i][0], kinds[i][1], kinds[i][2]);
            printf("answer %d: family %d, type %d: %s\n", answer, kinds[i][0], kinds[i][1], said(fd));
            close(fd);
        }
        printf("pairs: %s", said(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)));
        printf(", %s\n", said(socketpair(AF_INET, SOCK_STREAM, 0, pair)));
        MUST(detach_for(CREATE, group, program));
        close(program);
    }
}

static void option(const char *what, int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    long result = getsockopt(fd, SOL_SOCKET, name, &value, &size);
    printf(" %s %d %s", what, value, said(result));
}

static void changes(int group, int below) {
    puts("--- changes");
    struct insn first[] = { STW(1, 0, 1), STW(1, 16, 77), STW(1, 20, 5), MOV(0, 1), EXIT };
    struct insn second[] = { LDW(2, 1, 16), ADD(2, 1), STXW(1, 16, 2), LDW(2, 1, 20), ADD(2, 10), STXW(1, 20, 2), MOV(0, 1), EXIT };
    int one = (int)MUST(load_at(SOCKETS, CREATE, first, COUNT(first), -1)), two = (int)MUST(load_at(SOCKETS, CREATE, second, COUNT(second), -1));
    MUST(attach_for(CREATE, group, two, 2));
    MUST(attach_for(CREATE, below, one, 2));
    for (unsigned i = 0; i < COUNT(kinds) - 1; i++) {
        int fd = socket(kinds[i][0], kinds[i][1], kinds[i][2]);
        printf("family %d, type %d:", kinds[i][0], kinds[i][1]);
        option("mark", fd, SO_MARK);
        option("priority", fd, SO_PRIORITY);
        option("device", fd, 62);
        putchar('\n');
        close(fd);
    }
    MUST(detach_for(CREATE, group, two));
    int refuse = constant(CREATE, 0);
    MUST(attach_for(CREATE, group, refuse, 2));
    printf("one above refuses: %s\n", said(socket(AF_INET, SOCK_DGRAM, 0)));
    MUST(detach_for(CREATE, below, one));
    printf("alone: %s\n", said(socket(AF_INET, SOCK_DGRAM, 0)));
    MUST(detach_for(CREATE, group, refuse));
    struct insn far[] = { STW(1, 0, -5), STW(1, 16, -1), STW(1, 20, -2), MOV(0, 1), EXIT };
    int odd = (int)MUST(load_at(SOCKETS, CREATE, far, COUNT(far), -1));
    MUST(attach_for(CREATE, group, odd, 0));
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    printf("odd ones:");
    option("mark", fd, SO_MARK);
    option("priority", fd, SO_PRIORITY);
    option("device", fd, 62);
    struct sockaddr_in address = { AF_INET, htons(7201), { htonl(INADDR_LOOPBACK) }, { 0 } };
    printf(" bind %s", said(bind(fd, (struct sockaddr *)&address, sizeof address)));
    printf(" send %s\n", sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address) < 0 ? "fails" : "ok");
    close(fd);
    MUST(detach_for(CREATE, group, odd));
    close(one); close(two); close(refuse); close(odd);
}

/* A program that notes words of the context in a map, with a count of its runs behind them. */
static int noting(int place, const int *fields, unsigned count, int answer, int map) {
    struct insn program[128] = { MOVR(6, 1), STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JNE(0, 0, 2), MOV(0, 0), EXIT,
        MOVR(7, 0) };
    unsigned used = 11;
    for (unsigned i = 0; i < count; i++) {
        program[used++] = (struct insn) LDW(1, 6, fields[i]);
        program[used++] = (struct insn) STXW(7, 4 * (int)i, 1);
    }
    struct insn rest[] = { LDW(1, 7, 92), ADD(1, 1), STXW(7, 92, 1), MOV(0, answer), EXIT };
    memcpy(program + used, rest, sizeof rest);
    return (int)MUST(load_at(SOCKETS, place, program, used + COUNT(rest), map));
}

static void words(const char *what, int map, unsigned count) {
    uint32_t key = 0, seen[24] = { 0 };
    MUST(LOOKUP(map, &key, seen));
    printf("%s: %u runs:", what, seen[23]);
    for (unsigned i = 0; i < count; i++)
        printf(" %x", seen[i]);
    putchar('\n');
    memset(seen, 0, sizeof seen);
    UPDATE(map, &key, seen, 0);
}

static long bound(int fd, int family, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    return bind(fd, (struct sockaddr *)&address, length);
}

static int port_of(int fd) {
    struct sockaddr_in6 address;
    socklen_t length = sizeof address;
    MUST(getsockname(fd, (struct sockaddr *)&address, &length));
    return ntohs(address.sin6_port);
}

static const int fields4[] = { 4, 8, 12, 24, 44, 48, 52, 72, 76 };
static const int fields6[] = { 4, 8, 12, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76 };

static void bindings(int group, int family) {
    printf("--- bindings: %d\n", family);
    int map = (int)MUST(create_map(2, 4, 96, 1, 0)), place = family == AF_INET ? BIND4 : BIND6;
    const int *fields = family == AF_INET ? fields4 : fields6;
    unsigned count = family == AF_INET ? COUNT(fields4) : COUNT(fields6);
    for (int answer = 1; answer >= 0; answer--) {
        int program = noting(place, fields, count, answer, map);
        MUST(attach_for(place, group, program, 0));
        static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
        for (unsigned i = 0; i < COUNT(types); i++) {
            int fd = (int)MUST(socket(family, types[i], 0));
            printf("answer %d, type %d: %s, ", answer, types[i], said(bound(fd, family, 7210)));
            printf("port %d\n", port_of(fd));
            words("told", map, count);
            printf("again: %s\n", said(bound(fd, family, 7211)));
            words("told", map, count);
            int other = (int)MUST(socket(family, types[i], 0));
            MUST(detach_for(place, group, program));
            printf("another socket: %s\n", said(bound(other, family, 7210)));
            if (answer == 0)
                printf("the first one: %s\n", said(bound(fd, family, 7212)));
            MUST(attach_for(place, group, program, 0));
            close(other);
            close(fd);
            fd = (int)MUST(socket(family, types[i], 0));
            printf("any port: %s\n", said(bound(fd, family, 0)));
            words("told", map, 3);
            close(fd);
            fd = (int)MUST(socket(family, types[i], 0));
            struct sockaddr_storage address;
            socklen_t length = loopback(&address, family, 7299);
            printf("by connect: %s\n", said(connect(fd, (struct sockaddr *)&address, length) < 0 && errno != ECONNREFUSED ? -1 : 0));
            words("told", map, 3);
            close(fd);
        }
        int raw = (int)MUST(socket(family, SOCK_RAW, IPPROTO_UDP));
        printf("raw: %s\n", said(bound(raw, family, 0)));
        words("told", map, 3);
        close(raw);
        MUST(detach_for(place, group, program));
        close(program);
    }
    if (family == AF_INET6) {
        int program = noting(place, fields, count, 1, map), fd = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
        MUST(attach_for(place, group, program, 0));
        struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(7213) };
        MUST(inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr));
        printf("mapped: %s\n", said(bind(fd, (struct sockaddr *)&address, sizeof address)));
        words("told", map, count);
        close(fd);
        MUST(detach_for(place, group, program));
        close(program);
    }
    close(map);
}

static const int fields_end[] = { 0, 4, 8, 12, 16, 20, 48, 52, 56, 68, 72 };

static void releases(int group, int family) {
    printf("--- releases: %d\n", family);
    int map = (int)MUST(create_map(2, 4, 96, 1, 0)), mark = 9, priority = 3;
    int program = noting(RELEASE, fields_end, COUNT(fields_end), 0, map);
    MUST(attach_for(RELEASE, group, program, 0));
    int fd = (int)MUST(socket(family, SOCK_DGRAM, 0));
    MUST(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, 4));
    MUST(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, 4));
    int copy = dup(fd);
    close(fd);
    words("one of two", map, COUNT(fields_end));
    close(copy);
    words("the other", map, COUNT(fields_end));
    fd = (int)MUST(socket(family, SOCK_DGRAM, 0));
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, 7220);
    MUST(connect(fd, (struct sockaddr *)&address, length));
    close(fd);
    words("connected", map, COUNT(fields_end));
    int listener = (int)MUST(socket(family, SOCK_STREAM, 0)), one = 1;
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, 4));
    MUST(bound(listener, family, 7220));
    MUST(listen(listener, 5));
    fd = (int)MUST(socket(family, SOCK_STREAM, 0));
    MUST(connect(fd, (struct sockaddr *)&address, length));
    int other = (int)MUST(accept(listener, 0, 0));
    const int fields_open[] = { 4, 8, 12, 48, family == AF_INET ? 52 : 68, 72 };
    int shorter = noting(RELEASE, fields_open, COUNT(fields_open), 1, map);
    MUST(detach_for(RELEASE, group, program));
    MUST(attach_for(RELEASE, group, shorter, 0));
    close(fd);
    words("a client", map, COUNT(fields_open));
    char byte;
    SHOW(recv(other, &byte, 1, 0)); /* its end has come */
    const int fields_state[] = { 4, 8, 12, family == AF_INET ? 52 : 68, 72 };
    int shortest = noting(RELEASE, fields_state, COUNT(fields_state), 1, map);
    MUST(detach_for(RELEASE, group, shorter));
    MUST(attach_for(RELEASE, group, shortest, 0));
    close(other);
    words("an accepted one", map, COUNT(fields_state));
    close(listener);
    words("a listener", map, COUNT(fields_state));
    fd = (int)MUST(socket(family, SOCK_RAW, IPPROTO_UDP));
    close(fd);
    words("raw", map, COUNT(fields_state));
    IN_CHILD(socket(family, SOCK_DGRAM, 0));
    words("at the end of a process", map, COUNT(fields_state));
    close(socket(AF_UNIX, SOCK_DGRAM, 0));
    words("local", map, COUNT(fields_state));
    int refuse = constant(CREATE, 0);
    MUST(attach_for(CREATE, group, refuse, 0));
    printf("refused: %s\n", said(socket(family, SOCK_DGRAM, 0)));
    words("refused", map, COUNT(fields_state));
    MUST(detach_for(CREATE, group, refuse));
    MUST(detach_for(RELEASE, group, shortest));
    close(program); close(shorter); close(shortest); close(refuse); close(map);
}

int main(void) {
    mount_groups();
    MUST(mkdir(at("sock", ""), 0755));
    MUST(mkdir(at("sock/below", ""), 0755));
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    int group = (int)MUST(open(at("sock", ""), O_RDONLY | O_DIRECTORY));
    int below = (int)MUST(open(at("sock/below", ""), O_RDONLY | O_DIRECTORY));
    loads(below + 1);
    rules(group, below);
    IN_CHILD(
        printf("enter %d\n", put("sock/below", "cgroup.procs", "0"));
        creations(group);
        changes(group, below);
        bindings(group, AF_INET);
        bindings(group, AF_INET6);
        releases(group, AF_INET);
        releases(group, AF_INET6);
        printf("leave %d\n", put("", "cgroup.procs", "0")));
    close(below);
    close(group);
    MUST(rmdir(at("sock/below", "")));
    MUST(rmdir(at("sock", "")));
    unmount_groups();
    return 0;
}
