/* Covers: bpf (PROG_LOAD of BPF_PROG_TYPE_CGROUP_SOCK_ADDR; PROG_ATTACH, PROG_DETACH and PROG_QUERY for BPF_CGROUP_INET4_BIND,
 * BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP4_RECVMSG, BPF_CGROUP_INET4_GETPEERNAME,
 * BPF_CGROUP_INET4_GETSOCKNAME and their twins for IPv6), bind, connect, sendto, sendmsg, recvfrom, getpeername, getsockname,
 * accept: programs that see and change the addresses of a control group's sockets. */
#define _GNU_SOURCE
#include "cgroup_case.h"
#include "bpf_case.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define ADDRESSES 18 /* BPF_PROG_TYPE_CGROUP_SOCK_ADDR */
#define BINDS 8 /* the place for IPv6 is the next one */
#define CONNECTS 10
#define SENDS 14
#define RECEIVES 19
#define PEER 29
#define NAME 31

static const int places[] = { 8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32 };

static int constant(int place, int answer) {
    struct insn program[] = { MOV(0, answer), EXIT };
    return (int)load_at(ADDRESSES, place, program, 2, -1);
}

static void check(int place, const char *what, const struct insn *program, unsigned count) {
    long fd = load_at(ADDRESSES, place, program, count, -1);
    printf("%s: %s\n", what, said(fd));
    if (fd >= 0)
        close((int)fd);
}
#define CHECK_PROGRAM(place, what, ...) do { \
        struct insn program_[] = { __VA_ARGS__ }; \
        check(place, what, program_, COUNT(program_)); \
    } while (0)

static void close_all(int first) {
    for (int fd = first; fd < first + 40; fd++)
        close(fd);
}

static void loads(int first) {
    puts("--- loads");
    static const int asked[] = { 0, 2, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 28, 29, 30, 31, 32, 33, 34, 1000 };
    for (unsigned i = 0; i < COUNT(asked); i++)
        printf("place %d: %s\n", asked[i], said(constant(asked[i], 1)));
    close_all(first);
    static const int sizes[] = { 0x10, 0x08, 0x00, 0x18 };
    for (unsigned p = 0; p < COUNT(places); p++) {
        printf("at %d\n", places[p]);
        for (int answer = -1; answer <= 4; answer++)
            printf("answer %d: %s\n", answer, said(constant(places[p], answer)));
        close_all(first);
        for (int field = -4; field < 64; field++) {
            if (field % 4 != 0 && field != 1 && field != 2 && field != 5 && field != 10 && field != 25 && field != 26 && field != 30 &&
                field != 42 && field != 46)
                continue;
            if (field >= 60)
                continue;
            printf("field %d:", field);
            for (unsigned j = 0; j < COUNT(sizes); j++) {
                struct insn read_[] = { INSN(0x61 | sizes[j], 2, 1, field, 0), MOV(0, 1), EXIT };
                struct insn write_[] = { MOV(2, 5), INSN(0x63 | sizes[j], 1, 2, field, 0), MOV(0, 1), EXIT };
                printf(" %s", said(load_at(ADDRESSES, places[p], read_, 3, -1)));
                printf(" %s", said(load_at(ADDRESSES, places[p], write_, 4, -1)));
            }
            putchar('\n');
            close_all(first);
        }
    }
    CHECK_PROGRAM(BINDS, "a fixed number", STW(1, 24, 7), MOV(0, 1), EXIT);
    CHECK_PROGRAM(BINDS, "an atomic one", MOV(2, 1), INSN(0xc3, 1, 2, 24, 0), MOV(0, 1), EXIT);
    CHECK_PROGRAM(BINDS, "moved", ADD(1, 4), LDW(2, 1, 0), MOV(0, 1), EXIT);
    CHECK_PROGRAM(BINDS, "a word of a packet", MOVR(6, 1), INSN(0x20, 0, 0, 0, 0), MOV(0, 1), EXIT);
    CHECK_PROGRAM(BINDS, "bytes of a packet", MOV(2, 0), MOVR(3, 10), ADD(3, -8), MOV(4, 8), CALL(26), MOV(0, 1), EXIT);
    CHECK_PROGRAM(CONNECTS, "cookie", CALL(46), MOV(0, 1), EXIT);
    CHECK_PROGRAM(CONNECTS, "owner", CALL(47), MOV(0, 1), EXIT);
    CHECK_PROGRAM(CONNECTS, "clock", CALL(5), MOV(0, 1), EXIT);
    CHECK_PROGRAM(SENDS, "process", CALL(14), MOV(0, 1), EXIT);
    CHECK_PROGRAM(SENDS, "user", CALL(15), MOV(0, 1), EXIT);
    CHECK_PROGRAM(NAME, "command", MOVR(1, 10), ADD(1, -16), MOV(2, 16), CALL(16), MOV(0, 1), EXIT);
    CHECK_PROGRAM(NAME, "group", CALL(80), MOV(0, 1), EXIT);
    CHECK_PROGRAM(BINDS, "an unknown answer", LDW(0, 1, 4), EXIT);
    CHECK_PROGRAM(BINDS, "an answer of two bits", LDW(0, 1, 4), INSN(0x57, 0, 0, 0, 3), EXIT);
    CHECK_PROGRAM(CONNECTS, "an answer of two bits there", LDW(0, 1, 4), INSN(0x57, 0, 0, 0, 3), EXIT);
    IN_CHILD(MUST(setuid(1000)); printf("by anybody: %s\n", said(constant(BINDS, 1))));
    close_all(first);
}

static void rules(int group, int below) {
    puts("--- rules");
    int bind4 = constant(BINDS, 1), bind6 = constant(BINDS + 1, 1), connect4 = constant(CONNECTS, 1);
    SHOW(attach_for(BINDS, group, bind6, 0));
    SHOW(attach_for(CONNECTS, group, bind4, 0));
    SHOW(attach_for(12, group, bind4, 0));
    SHOW(attach_for(2, group, bind4, 0));
    SHOW(attach_for(16, group, bind4, 0));
    SHOW(attach_for(BINDS, group, bind4, 0));
    SHOW(attach_for(BINDS, below, bind4, 0));
    SHOW(attach_for(BINDS + 1, group, bind6, 2));
    SHOW(attach_for(BINDS + 1, below, bind6, 2));
    SHOW(attach_for(CONNECTS, group, connect4, 1));
    SHOW(attach_for(CONNECTS, below, connect4, 0));
    for (int place = BINDS; place <= CONNECTS; place++) {
        query_for(place, group, 0);
        query_for(place, below, 1);
    }
    SHOW(detach_for(BINDS, group, 0));
    SHOW(detach_for(BINDS, group, 0));
    SHOW(detach_for(BINDS + 1, group, bind6));
    SHOW(detach_for(BINDS + 1, below, bind6));
    SHOW(detach_for(CONNECTS, below, 0));
    SHOW(detach_for(CONNECTS, group, 0));
    close(bind4); close(bind6); close(connect4);
}

static void show_address(const char *what, const struct sockaddr_storage *address, socklen_t length) {
    char text[64] = "";
    const struct sockaddr_in6 *six = (const void *)address;
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    else
        inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
    printf(" %s %u bytes, %d, %s port %d", what, length, address->ss_family, text, ntohs(six->sin6_port));
}

static void show_names(int fd) {
    struct sockaddr_storage address = { 0 };
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        show_address("name", &address, length);
    length = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &length) == 0)
        show_address("peer", &address, length);
    putchar('\n');
}

/* A program that notes words of the context in a map, with a count of its runs behind them, and then goes on with others. */
static int noting(int place, const int *fields, unsigned count, const struct insn *rest, unsigned rest_count, int map) {
    struct insn program[128] = { MOVR(6, 1), STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JNE(0, 0, 2), MOV(0, 1), EXIT,
        MOVR(7, 0) };
    unsigned used = 11;
    for (unsigned i = 0; i < count; i++) {
        program[used++] = (struct insn) LDW(1, 6, fields[i]);
        program[used++] = (struct insn) STXW(7, 4 * (int)i, 1);
    }
    struct insn counting[] = { LDW(1, 7, 92), ADD(1, 1), STXW(7, 92, 1), MOVR(1, 6) };
    memcpy(program + used, counting, sizeof counting);
    used += COUNT(counting);
    memcpy(program + used, rest, rest_count * sizeof *rest);
    return (int)MUST(load_at(ADDRESSES, place, program, used + rest_count, map));
}
#define NOTING(place, map, ...) ({ \
        struct insn rest_[] = { __VA_ARGS__ }; \
        int is6_ = (place) % 2 == (((place) >= 19) ? 0 : 1); \
        noting(place, is6_ ? fields6 : fields4, is6_ ? COUNT(fields6) : COUNT(fields4), rest_, COUNT(rest_), map); \
    })
static const int fields4[] = { 0, 4, 24, 28, 32, 36 };
static const int fields6[] = { 0, 8, 12, 16, 20, 24, 28, 32, 36 };

static void words(const char *what, int map, int is6) {
    uint32_t key = 0, seen[24] = { 0 };
    MUST(LOOKUP(map, &key, seen));
    printf("%s: %u runs:", what, seen[23]);
    for (unsigned i = 0; i < (is6 ? COUNT(fields6) : COUNT(fields4)); i++)
        printf(" %x", seen[i]);
    putchar('\n');
    memset(seen, 0, sizeof seen);
    UPDATE(map, &key, seen, 0);
}

static void attached(int place, int group, int program) {
    MUST(attach_for(place, group, program, 0));
    close(program);
}

static long bound(int fd, int family, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    return bind(fd, (struct sockaddr *)&address, length);
}

static long connected(int fd, int family, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    return connect(fd, (struct sockaddr *)&address, length);
}

static int made(int family, int type) { return (int)MUST(socket(family, type, 0)); }

#define PORT(port) (((port) >> 8 & 255) | ((port) & 255) << 8)

static void bindings(int group, int family, int map) {
    printf("--- bind: %d\n", family);
    int place = BINDS + (family == AF_INET6), fd;
    attached(place, group, family == AF_INET ? NOTING(place, map, STW(1, 24, PORT(7402)), STW(1, 4, 0x0300007f), MOV(0, 1), EXIT)
                                             : NOTING(place, map, STW(1, 24, PORT(7402)), STDW(1, 8, 0), STDW(1, 16, 0), MOV(0, 1), EXIT));
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
    for (unsigned i = 0; i < COUNT(types); i++) {
        fd = made(family, types[i]);
        printf("changed: %s", said(bound(fd, family, 7401)));
        show_names(fd);
        words("told", map, family == AF_INET6);
        printf("again: %s\n", said(bound(fd, family, 7401)));
        words("told", map, family == AF_INET6);
        close(fd);
    }
    fd = made(family, SOCK_DGRAM);
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, 7401);
    printf("too short: %s\n", said(bind(fd, (struct sockaddr *)&address, family == AF_INET ? 15 : 23)));
    words("told", map, family == AF_INET6);
    address.ss_family = 77;
    printf("a strange family: %s\n", said(bind(fd, (struct sockaddr *)&address, length)));
    words("told", map, family == AF_INET6);
    close(fd);
    fd = (int)MUST(socket(family, SOCK_RAW, IPPROTO_UDP));
    printf("raw: %s\n", said(bound(fd, family, 0)));
    words("told", map, family == AF_INET6);
    close(fd);
    MUST(detach_for(place, group, 0));
    for (int answer = 0; answer < 4; answer++) {
        attached(place, group, constant(place, answer));
        IN_CHILD(
            MUST(setuid(1000));
            int mine = made(family, SOCK_STREAM);
            printf("answer %d: port 81 %s,", answer, said(bound(mine, family, 81)));
            printf(" port 7403 %s\n", said(bound(mine, family, 7403))));
        MUST(detach_for(place, group, 0));
    }
    attached(place, group, family == AF_INET ? NOTING(place, map, STW(1, 4, 0x01010101), MOV(0, 1), EXIT)
                                             : NOTING(place, map, STW(1, 8, 0x01010120), MOV(0, 1), EXIT));
    fd = made(family, SOCK_DGRAM);
    printf("to a foreign address: %s\n", said(bound(fd, family, 7404)));
    close(fd);
    MUST(detach_for(place, group, 0));
    words("told", map, family == AF_INET6);
}

static void connections(int group, int family, int map) {
    printf("--- connect: %d\n", family);
    int place = CONNECTS + (family == AF_INET6), listener = made(family, SOCK_STREAM), one = 1, fd;
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    MUST(bound(listener, family, 7412));
    MUST(listen(listener, 5));
    attached(place, group, family == AF_INET ? NOTING(place, map, STW(1, 24, PORT(7412)), MOV(0, 1), EXIT)
                                             : NOTING(place, map, STW(1, 24, PORT(7412)), MOV(0, 1), EXIT));
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
    for (unsigned i = 0; i < COUNT(types); i++) {
        fd = made(family, types[i]);
        MUST(bound(fd, family, 7413 + (int)i));
        printf("changed: %s", said(connected(fd, family, 7411)));
        show_names(fd);
        words("told", map, family == AF_INET6);
        printf("again: %s", said(connected(fd, family, 7411)));
        show_names(fd);
        words("told", map, family == AF_INET6);
        struct sockaddr_storage nobody = { .ss_family = AF_UNSPEC };
        printf("to nobody: %s\n", said(connect(fd, (struct sockaddr *)&nobody, sizeof nobody)));
        words("told", map, family == AF_INET6);
        struct sockaddr_storage address;
        loopback(&address, family, 7411);
        printf("too short: %s\n", said(connect(fd, (struct sockaddr *)&address, family == AF_INET ? 15 : 23)));
        words("told", map, family == AF_INET6);
        close(fd);
    }
    fd = made(family, SOCK_STREAM);
    MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
    printf("not waiting: %s\n", said(connected(fd, family, 7411)));
    words("told", map, family == AF_INET6);
    close(fd);
    printf("a listener: %s\n", said(connected(listener, family, 7411)));
    words("told", map, family == AF_INET6);
    fd = (int)MUST(socket(family, SOCK_RAW, IPPROTO_UDP));
    printf("raw: %s\n", said(connected(fd, family, 0)));
    words("told", map, family == AF_INET6);
    close(fd);
    MUST(detach_for(place, group, 0));
    attached(place, group, constant(place, 0));
    for (unsigned i = 0; i < COUNT(types); i++) {
        fd = made(family, types[i]);
        printf("refused: %s", said(connected(fd, family, 7412)));
        show_names(fd);
        close(fd);
    }
    MUST(detach_for(place, group, 0));
    if (family == AF_INET6) {
        attached(CONNECTS, group, NOTING(CONNECTS, map, MOV(0, 1), EXIT));
        fd = made(AF_INET6, SOCK_DGRAM);
        printf("the other family: %s\n", said(connected(fd, AF_INET, 7411)));
        words("told", map, 0);
        close(fd);
        MUST(detach_for(CONNECTS, group, 0));
        attached(place, group, NOTING(place, map, MOV(0, 1), EXIT));
        struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(7415) };
        MUST(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr));
        for (unsigned i = 0; i < COUNT(types); i++) {
            fd = made(AF_INET6, types[i]);
            printf("mapped: %s\n", said(connect(fd, (struct sockaddr *)&mapped, sizeof mapped)));
            words("told", map, 1);
            close(fd);
        }
        MUST(detach_for(place, group, 0));
    }
    close(listener);
}

static const char *got(int fd) {
    static char text[160];
    char data[16] = "", name[64] = "";
    struct sockaddr_storage from = { 0 };
    socklen_t length = sizeof from;
    ssize_t size = recvfrom(fd, data, sizeof data - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    if (size < 0)
        return error_name(errno);
    const struct sockaddr_in6 *six = (const void *)&from;
    inet_ntop(from.ss_family, from.ss_family == AF_INET ? (const void *)&((struct sockaddr_in *)&from)->sin_addr : &six->sin6_addr, name,
              sizeof name);
    snprintf(text, sizeof text, "\"%s\" from %s port %d", data, name, ntohs(six->sin6_port));
    return text;
}

static long sent(int fd, const void *address, socklen_t length, int has_control) {
    struct iovec piece = { "x", 1 };
    union { char data[CMSG_SPACE(sizeof(int))]; struct cmsghdr head; } control = { .head = { CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL } };
    *(int *)CMSG_DATA(&control.head) = 9;
    struct msghdr message = { .msg_name = (void *)address, .msg_namelen = length, .msg_iov = &piece, .msg_iovlen = 1 };
    if (has_control) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
    }
    return sendmsg(fd, &message, 0);
}

static void datagrams(int group, int family, int map) {
    printf("--- datagrams: %d\n", family);
    int place = SENDS + (family == AF_INET6), is6 = family == AF_INET6;
    int server = made(family, SOCK_DGRAM), client = made(family, SOCK_DGRAM);
    MUST(bound(server, family, 7422));
    struct sockaddr_storage any = { .ss_family = (sa_family_t)family };
    ((struct sockaddr_in6 *)&any)->sin6_port = htons(7423);
    MUST(bind(client, (struct sockaddr *)&any, is6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, 7421);
    attached(place, group, NOTING(place, map, STW(1, 24, PORT(7422)), MOV(0, 1), EXIT));
    printf("changed: %s", said(sent(client, &address, length, 0)));
    printf(", %s\n", got(server));
    words("told", map, is6);
    struct sockaddr_storage zero;
    loopback(&zero, family, 0);
    printf("port 0: %s\n", said(sent(client, &zero, length, 0)));
    words("told", map, is6);
    printf("no address: %s\n", said(sent(client, 0, 0, 0)));
    words("told", map, is6);
    MUST(connected(client, family, 7422));
    printf("connected: %s", said(sent(client, 0, 0, 0)));
    printf(", %s\n", got(server));
    words("told", map, is6);
    if (!is6) {
        printf("connected, with a message: %s", said(sent(client, 0, 0, 1)));
        printf(", %s\n", got(server));
        words("told", map, is6);
    }
    printf("connected, but named: %s", said(sent(client, &address, length, 0)));
    printf(", %s\n", got(server));
    words("told", map, is6);
    MUST(detach_for(place, group, 0));
    close(client);
    client = made(family, SOCK_DGRAM);
    MUST(bind(client, (struct sockaddr *)&any, is6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
    attached(place, group, constant(place, 0));
    printf("refused: %s", said(sent(client, &address, length, 0)));
    printf(", %s\n", got(server));
    MUST(detach_for(place, group, 0));
    attached(place, group, NOTING(place, map, STW(1, 24, 0), MOV(0, 1), EXIT));
    printf("to port 0: %s\n", said(sent(client, &address, length, 0)));
    MUST(detach_for(place, group, 0));
    loopback(&address, family, 7422);
    if (!is6) {
        attached(place, group, NOTING(place, map, LDW(2, 1, 40), STXW(7, 80, 2), STW(1, 40, 0x0500007f), MOV(0, 1), EXIT));
        printf("from another: %s", said(sent(client, &address, length, 0)));
        printf(", %s\n", got(server));
        MUST(detach_for(place, group, 0));
        attached(place, group, NOTING(place, map, STW(1, 40, 0x01010101), MOV(0, 1), EXIT));
        printf("from a foreign one: %s\n", said(sent(client, &address, length, 0)));
        MUST(detach_for(place, group, 0));
        attached(place, group, NOTING(place, map, STW(1, 4, 0x0900007f), MOV(0, 1), EXIT));
        printf("to another: %s", said(sent(client, &address, length, 0)));
        printf(", %s\n", got(server));
        MUST(detach_for(place, group, 0));
    } else {
        attached(place, group, NOTING(place, map, STW(1, 8, 0), STW(1, 12, 0), STW(1, 16, (int)0xffff0000), STW(1, 20, 0x0100007f), MOV(0, 1), EXIT));
        printf("to a mapped one: %s\n", said(sent(client, &address, length, 0)));
        MUST(detach_for(place, group, 0));
        attached(place, group, NOTING(place, map, STDW(1, 8, 0), STDW(1, 16, 0), MOV(0, 1), EXIT));
        printf("to any: %s", said(sent(client, &address, length, 0)));
        printf(", %s\n", got(server));
        MUST(detach_for(place, group, 0));
        attached(SENDS, group, NOTING(SENDS, map, MOV(0, 1), EXIT));
        struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(7425) };
        MUST(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr));
        printf("mapped: %s\n", said(sent(client, &mapped, sizeof mapped, 0)));
        words("told", map, 0);
        MUST(detach_for(SENDS, group, 0));
    }
    place = RECEIVES + is6;
    attached(place, group, NOTING(place, map, STW(1, 24, PORT(7777)), MOV(0, 1), EXIT));
    printf("received: %s", said(sent(client, &address, length, 0)));
    char data[4];
    printf(", %s\n", recv(server, data, 1, MSG_PEEK) == 1 ? "peeked" : "nothing");
    words("told", map, is6);
    printf("%s\n", got(server));
    words("told", map, is6);
    printf("nothing more: %s\n", got(server));
    words("told", map, is6);
    MUST(detach_for(place, group, 0));
    close(client);
    close(server);
}

static void names(int group, int family, int map) {
    printf("--- names: %d\n", family);
    int is6 = family == AF_INET6, listener = made(family, SOCK_STREAM), one = 1;
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    MUST(bound(listener, family, 7432));
    MUST(listen(listener, 5));
    int client = made(family, SOCK_STREAM);
    MUST(bound(client, family, 7433));
    MUST(connected(client, family, 7432));
    if (is6) {
        attached(PEER + 1, group, NOTING(PEER + 1, map, STW(1, 8, 0x00000020), STW(1, 24, PORT(7778)), MOV(0, 1), EXIT));
        attached(NAME + 1, group, NOTING(NAME + 1, map, STW(1, 12, 0x00000020), STW(1, 24, PORT(7779)), MOV(0, 1), EXIT));
    } else {
        attached(PEER, group, NOTING(PEER, map, STW(1, 4, 0x07070707), STW(1, 24, PORT(7778)), MOV(0, 1), EXIT));
        attached(NAME, group, NOTING(NAME, map, STW(1, 4, 0x08080808), STW(1, 24, PORT(7779)), MOV(0, 1), EXIT));
    }
    printf("connected:");
    show_names(client);
    words("told", map, is6);
    printf("listening:");
    show_names(listener);
    words("told", map, is6);
    struct sockaddr_storage address = { 0 };
    socklen_t length = sizeof address;
    int fd = (int)MUST(accept(listener, (struct sockaddr *)&address, &length));
    show_address("accepted", &address, length);
    putchar('\n');
    words("told", map, is6);
    length = sizeof address;
    printf("SO_PEERNAME: %s", said(getsockopt(fd, SOL_SOCKET, 28, &address, (length = is6 ? 28 : 16, &length))));
    show_address("", &address, length);
    putchar('\n');
    words("told", map, is6);
    close(fd);
    fd = (int)MUST(socket(family, SOCK_RAW, IPPROTO_UDP));
    printf("raw:");
    show_names(fd);
    words("told", map, is6);
    close(fd);
    fd = made(family, SOCK_DGRAM);
    printf("a new one:");
    show_names(fd);
    words("told", map, is6);
    close(fd);
    MUST(detach_for(PEER + is6, group, 0));
    MUST(detach_for(NAME + is6, group, 0));
    printf("in truth:");
    show_names(client);
    close(client);
    close(listener);
}

/* Programs of two levels: each adds its part to the port. */
static void levels(int group, int below) {
    puts("--- levels");
    struct insn more[] = { LDW(2, 1, 24), ADD(2, 0x100), STXW(1, 24, 2), MOV(0, 1), EXIT };
    struct insn less[] = { LDW(2, 1, 24), INSN(0x57, 2, 0, 0, 0xf0ff), STXW(1, 24, 2), MOV(0, 1), EXIT };
    int one = (int)MUST(load_at(ADDRESSES, BINDS, more, COUNT(more), -1)), two = (int)MUST(load_at(ADDRESSES, BINDS, less, COUNT(less), -1));
    int no = constant(BINDS, 0), exempt = constant(BINDS, 3);
    MUST(attach_for(BINDS, group, two, 2));
    MUST(attach_for(BINDS, below, one, 2));
    int fd = made(AF_INET, SOCK_DGRAM);
    printf("both: %s", said(bound(fd, AF_INET, 7441)));
    show_names(fd);
    close(fd);
    MUST(attach_for(BINDS, below, no, 2));
    fd = made(AF_INET, SOCK_DGRAM);
    printf("one refuses: %s\n", said(bound(fd, AF_INET, 7441)));
    close(fd);
    MUST(detach_for(BINDS, below, no));
    MUST(attach_for(BINDS, below, exempt, 2));
    IN_CHILD(
        MUST(setuid(1000));
        int mine = made(AF_INET, SOCK_DGRAM);
        printf("one exempts: %s", said(bound(mine, AF_INET, 82)));
        show_names(mine));
    MUST(detach_for(BINDS, below, exempt));
    MUST(detach_for(BINDS, below, one));
    MUST(detach_for(BINDS, group, two));
    MUST(attach_for(BINDS, group, no, 1));
    MUST(attach_for(BINDS, below, one, 1));
    fd = made(AF_INET, SOCK_DGRAM);
    printf("overridden: %s", said(bound(fd, AF_INET, 7441)));
    show_names(fd);
    close(fd);
    MUST(detach_for(BINDS, below, 0));
    fd = made(AF_INET, SOCK_DGRAM);
    printf("no more: %s\n", said(bound(fd, AF_INET, 7441)));
    close(fd);
    MUST(detach_for(BINDS, group, 0));
    close(one); close(two); close(no); close(exempt);
}

int main(void) {
    /* The mount ends with the case, whatever happens. */
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
    mount_groups();
    MUST(mkdir(at("addr", ""), 0755));
    MUST(mkdir(at("addr/below", ""), 0755));
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    int group = (int)MUST(open(at("addr", ""), O_RDONLY | O_DIRECTORY));
    int below = (int)MUST(open(at("addr/below", ""), O_RDONLY | O_DIRECTORY));
    loads(below + 1);
    rules(group, below);
    IN_CHILD(
        printf("enter %d\n", put("addr/below", "cgroup.procs", "0"));
        int map = (int)MUST(create_map(2, 4, 96, 1, 0));
        bindings(group, AF_INET, map);
        bindings(group, AF_INET6, map);
        connections(group, AF_INET, map);
        connections(group, AF_INET6, map);
        datagrams(group, AF_INET, map);
        datagrams(group, AF_INET6, map);
        names(group, AF_INET, map);
        names(group, AF_INET6, map);
        levels(group, below);
        printf("leave %d\n", put("", "cgroup.procs", "0")));
    close(below);
    close(group);
    MUST(rmdir(at("addr/below", "")));
    MUST(rmdir(at("addr", "")));
    unmount_groups();
    return 0;
}
