/* Covers: bpf (LINK_CREATE, LINK_UPDATE, LINK_DETACH, LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID, OBJ_GET_INFO_BY_FD of links): programs
 * that are attached to a control group as long as a descriptor is open. */
#define _GNU_SOURCE
#include "cgroup_case.h"
#include "bpf_case.h"
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define PACKETS 8
#define SOCKETS 9
#define ADDRESSES 18
#define BIND 8
#define BIND6 9
#define CREATE 2

static int constant(int type, int place, int answer) {
    struct insn program[] = { MOV(0, answer), EXIT };
    return (int)MUST(load_at(type, place, program, 2, -1));
}

static long linked(int program, int group, int place, unsigned flags) {
    fresh();
    put32(0, (uint32_t)program); put32(4, (uint32_t)group); put32(8, (uint32_t)place); put32(12, flags);
    return bpf(28, 64);
}

static long updated(int link, int program, unsigned flags, int expected) {
    fresh();
    put32(0, (uint32_t)link); put32(4, (uint32_t)program); put32(8, flags); put32(12, (uint32_t)expected);
    return bpf(29, 16);
}

static long cut(int link) {
    fresh();
    put32(0, (uint32_t)link);
    return bpf(34, 4);
}

static long by_number(unsigned number) {
    fresh();
    put32(0, number);
    return bpf(30, 4);
}

static uint32_t info[80];

static long about(int fd, unsigned size) {
    memset(info, 0xff, sizeof info);
    for (unsigned i = 16; i < COUNT(info); i++)
        info[i] = 0;
    fresh();
    put32(0, (uint32_t)fd); put32(4, size); put_address(8, info);
    return bpf(15, 16);
}

static void show_about(const char *what, int link) {
    long result = about(link, 64);
    printf("%s: %s, %u bytes, type %u, has a number %d, a program %d, a group %d, place %u; kept %x %x\n", what, said(result), get32(4),
           info[0], info[1] != 0, info[2] != 0, info[4] != 0, info[6], info[3], info[7]);
}

static long bound(int port) {
    int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, AF_INET, port);
    long result = bind(fd, (struct sockaddr *)&address, length);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

static void creation(int group, int below) {
    puts("--- creation");
    int bind4 = constant(ADDRESSES, BIND, 1), packets = constant(PACKETS, 0, 1), sockets = constant(SOCKETS, CREATE, 1), map, link;
    struct insn simple[] = { MOV(0, 1), EXIT };
    int device = (int)MUST(load(CGROUP_DEVICE, simple, 2, -1)), filter = (int)MUST(load(1, simple, 2, -1));
    map = (int)MUST(create_map(2, 4, 96, 1, 0));
    printf("no program: %s\n", said(linked(-1, group, BIND, 0)));
    printf("a map: %s\n", said(linked(map, group, BIND, 0)));
    printf("no group: %s\n", said(linked(bind4, -1, BIND, 0)));
    printf("a map as a group: %s\n", said(linked(bind4, map, BIND, 0)));
    printf("another place: %s\n", said(linked(bind4, group, BIND6, 0)));
    printf("a place of others: %s\n", said(linked(bind4, group, 6, 0)));
    printf("no place: %s\n", said(linked(bind4, group, 1000, 0)));
    printf("a filter: %s\n", said(linked(filter, group, BIND, 0)));
    static const unsigned wrong[] = { 1, 2, 4, 32 };
    for (unsigned i = 0; i < COUNT(wrong); i++)
        printf("flags %u: %s\n", wrong[i], said(linked(bind4, group, BIND, wrong[i])));
    printf("flags and no group: %s\n", said(linked(bind4, -1, BIND, 1)));
    fresh();
    put32(0, (uint32_t)bind4); put32(4, (uint32_t)group); put32(8, BIND); put32(60, 1);
    printf("more than is known: %s\n", said(bpf(28, 64)));
    static const int places[] = { BIND, 6, 0, 1, CREATE };
    int programs[] = { bind4, device, packets, packets, sockets };
    for (unsigned i = 0; i < COUNT(places); i++) {
        link = (int)linked(programs[i], group, places[i], 0);
        printf("place %d: %s", places[i], said(link));
        printf(", closed on exec %d\n", fcntl(link, F_GETFD) & FD_CLOEXEC);
        show_about("told", link);
        query_for(places[i], group, 0);
        query_for(places[i], below, 1);
        close(link);
        query_for(places[i], group, 0);
    }
    IN_CHILD(MUST(setuid(1000)); long made = linked(bind4, group, BIND, 0); printf("by anybody: %s\n", said(made));
             query_for(BIND, group, 0); printf("packets by anybody: %s\n", said(linked(packets, group, 0, 0))));
    query_for(BIND, group, 0);
    close(bind4); close(packets); close(sockets); close(device); close(filter); close(map);
}

static void others(int group, int below) {
    puts("--- links and others");
    int one = constant(ADDRESSES, BIND, 1), two = constant(ADDRESSES, BIND, 1), link, second;
    MUST(attach_for(BIND, group, one, 0));
    printf("where one is alone: %s\n", said(linked(two, group, BIND, 0)));
    printf("below: %s\n", said(linked(two, below, BIND, 0)));
    MUST(detach_for(BIND, group, 0));
    MUST(attach_for(BIND, group, one, 1));
    printf("where it may be overridden: %s\n", said(linked(two, group, BIND, 0)));
    link = (int)linked(two, below, BIND, 0);
    printf("below: %s\n", said(link));
    query_for(BIND, below, 1);
    close(link);
    MUST(detach_for(BIND, group, 0));
    link = (int)MUST(linked(one, group, BIND, 0));
    printf("an only one beside a link: %s\n", said(attach_for(BIND, group, two, 0)));
    printf("several: %s\n", said(attach_for(BIND, group, one, 2)));
    printf("again: %s\n", said(attach_for(BIND, group, one, 2)));
    second = (int)linked(one, group, BIND, 0);
    printf("a second link: %s\n", said(second));
    query_for(BIND, group, 0);
    printf("detach: %s\n", said(detach_for(BIND, group, one)));
    printf("detach again: %s\n", said(detach_for(BIND, group, one)));
    printf("detach none: %s\n", said(detach_for(BIND, group, 0)));
    query_for(BIND, group, 0);
    close(link);
    query_for(BIND, group, 0);
    close(second);
    query_for(BIND, group, 0);
    close(one); close(two);
}

static void updates(int group) {
    puts("--- updates");
    int no = constant(ADDRESSES, BIND, 0), yes = constant(ADDRESSES, BIND, 1), socket_program = constant(SOCKETS, CREATE, 1);
    int link = (int)MUST(linked(no, group, BIND, 0));
    printf("refused: %s\n", said(bound(7501)));
    printf("no link: %s\n", said(updated(-1, yes, 0, 0)));
    printf("a program as a link: %s\n", said(updated(no, yes, 0, 0)));
    printf("no program: %s\n", said(updated(link, -1, 0, 0)));
    printf("a link as a program: %s\n", said(updated(link, link, 0, 0)));
    printf("another type: %s\n", said(updated(link, socket_program, 0, 0)));
    printf("an old one without a flag: %s\n", said(updated(link, yes, 0, no)));
    for (unsigned flags = 1; flags < 16; flags *= 2)
        printf("flags %u: %s\n", flags, said(updated(link, yes, flags, 0)));
    printf("not the old one: %s\n", said(updated(link, yes, 4, yes)));
    printf("still refused: %s\n", said(bound(7501)));
    printf("the old one: %s\n", said(updated(link, yes, 4, no)));
    printf("permitted: %s\n", said(bound(7501)));
    printf("itself: %s\n", said(updated(link, yes, 4, yes)));
    printf("back: %s\n", said(updated(link, no, 0, 0)));
    printf("refused: %s\n", said(bound(7501)));
    fresh();
    put32(0, (uint32_t)link); put32(4, (uint32_t)yes); put32(16, 1);
    printf("more than is known: %s\n", said(bpf(29, 20)));
    printf("cut: %s\n", said(cut(link)));
    printf("permitted: %s\n", said(bound(7501)));
    show_about("told", link);
    printf("cut again: %s\n", said(cut(link)));
    printf("update: %s\n", said(updated(link, yes, 0, 0)));
    printf("cut none: %s, %s\n", said(cut(-1)), said(cut(no)));
    query_for(BIND, group, 0);
    close(link);
    close(no); close(yes); close(socket_program);
}

static void numbers(int group) {
    puts("--- numbers");
    int program = constant(ADDRESSES, BIND, 0), link = (int)MUST(linked(program, group, BIND, 0));
    MUST(about(link, 64));
    uint32_t number = info[1], of_program = info[2];
    struct stat status;
    MUST(fstat(group, &status));
    printf("the group's number: %d\n", *(uint64_t *)(info + 4) == status.st_ino);
    int again = (int)by_number(number);
    printf("by number: %s, closed on exec %d\n", said(again), fcntl(again, F_GETFD) & FD_CLOEXEC);
    close(link);
    printf("still refused: %s\n", said(bound(7502)));
    MUST(about(again, 64));
    printf("the same: %d %d\n", info[1] == number, info[2] == of_program);
    printf("none: %s, %s\n", said(by_number(0)), said(by_number(0x7fffffff)));
    fresh();
    put32(0, number - 1);
    long result = bpf(31, 8);
    printf("next: %s, the same %d\n", said(result), get32(4) == number);
    fresh();
    put32(0, number);
    printf("no next: %s\n", said(bpf(31, 8)));
    fresh();
    put32(0, number); put32(4, 1);
    printf("more than a number: %s\n", said(bpf(30, 8)));
    static const unsigned sizes[] = { 0, 4, 16, 27, 28, 64, 80, 4097 };
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        result = about(again, sizes[i]);
        printf("told %u bytes: %s, %u, type %x, place %x\n", sizes[i], said(result), get32(4), info[0], info[6]);
    }
    IN_CHILD(MUST(setuid(1000)); printf("by anybody: %s\n", said(by_number(number)));
             fresh(); printf("the first one: %s\n", said(bpf(31, 8))); show_about("told anybody", again));
    char path[64], text[1024] = "", *line;
    int new = (int)MUST(linked(program, group, BIND, 0));
    snprintf(path, sizeof path, "/proc/self/fd/%d", new);
    printf("name: %.*s\n", (int)MUST(readlink(path, text, sizeof text)), text);
    printf("flags: %x %x\n", fcntl(new, F_GETFL), fcntl(again, F_GETFL));
    close(new);
    snprintf(path, sizeof path, "/proc/self/fd/%d", again);
    printf("name: %.*s\n", (int)MUST(readlink(path, text, sizeof text)), text);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", again);
    int fd = (int)MUST(open(path, O_RDONLY));
    ssize_t length = MUST(read(fd, text, sizeof text - 1));
    text[length] = 0;
    close(fd);
    for (line = strtok(text, "\n"); line; line = strtok(0, "\n"))
        if (strncmp(line, "link_type", 9) == 0 || strncmp(line, "prog_tag", 8) == 0 || strncmp(line, "attach_type", 11) == 0)
            puts(line);
        else
            printf("%.*s\n", (int)strcspn(line, ":"), line);
    printf("read: %s, write: %s\n", said(read(again, text, 1)), said(write(again, text, 1)));
    close(again);
    printf("gone: %s\n", said(by_number(number)));
    close(program);
}

static void lives(int group) {
    puts("--- lives");
    int program = constant(ADDRESSES, BIND, 0), other = constant(ADDRESSES, BIND, 0), link = (int)MUST(linked(program, group, BIND, 0));
    close(program);
    int copy = dup(link);
    close(link);
    printf("with a copy: %s\n", said(bound(7503)));
    IN_CHILD(close(copy); printf("in a child that closed it: %s\n", said(bound(7503))));
    close(copy);
    printf("without: %s\n", said(bound(7503)));
    IN_CHILD(MUST(linked(other, group, BIND, 0)); printf("in a child: %s\n", said(bound(7503))));
    printf("when it has ended: %s\n", said(bound(7503)));
    MUST(mkdir(at("gone", ""), 0755));
    int gone = (int)MUST(open(at("gone", ""), O_RDONLY | O_DIRECTORY));
    link = (int)MUST(linked(other, gone, BIND, 0));
    show_about("before", link);
    MUST(rmdir(at("gone", "")));
    int tries = 0; /* Linux detaches it a moment later */
    while (about(link, 64) == 0 && *(uint64_t *)(info + 4) != 0 && ++tries < 3000)
        sleep_ms(10);
    show_about("after", link);
    printf("update: %s, cut: %s\n", said(updated(link, other, 0, 0)), said(cut(link)));
    printf("a link to it: %s\n", said(linked(other, gone, BIND, 0)));
    close(gone);
    close(link);
    close(other);
}

int main(void) {
    /* The mount ends with the case, whatever happens. */
    MUST(unshare(CLONE_NEWNS));
    MUST(mount(0, "/", 0, MS_REC | MS_PRIVATE, 0));
    mount_groups();
    MUST(mkdir(at("links", ""), 0755));
    MUST(mkdir(at("links/below", ""), 0755));
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    int group = (int)MUST(open(at("links", ""), O_RDONLY | O_DIRECTORY));
    int below = (int)MUST(open(at("links/below", ""), O_RDONLY | O_DIRECTORY));
    creation(group, below);
    others(group, below);
    IN_CHILD(
        printf("enter %d\n", put("links/below", "cgroup.procs", "0"));
        updates(group);
        numbers(group);
        lives(group);
        printf("leave %d\n", put("", "cgroup.procs", "0")));
    close(below);
    close(group);
    MUST(rmdir(at("links/below", "")));
    MUST(rmdir(at("links", "")));
    unmount_groups();
    return 0;
}
