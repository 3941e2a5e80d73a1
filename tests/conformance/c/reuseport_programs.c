/* Covers: setsockopt (SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF, SO_DETACH_REUSEPORT_BPF): programs that choose among the
 * sockets that share a port. */
#define _GNU_SOURCE
#include "case.h"
#include "bpf_case.h"
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SOCKETS 4
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

static long classic(int fd, struct sock_filter *text, unsigned short count) {
    struct sock_fprog program = { count, text };
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}
#define CLASSIC(fd, ...) ({ struct sock_filter text_[] = { __VA_ARGS__ }; classic(fd, text_, COUNT(text_)); })
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

static long extended(int fd, int program) { return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof program); }
static long detached(int fd) { int none = 0; return setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none); }

static int made(int family, int type, int shares) {
    int fd = (int)MUST(socket(family, type, 0));
    if (shares)
        MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof shares));
    return fd;
}

static long bound(int fd, int family, int port) {
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    return bind(fd, (struct sockaddr *)&address, length);
}

/* Which of the sockets got something, and take it. */
static int taker(int *fds, int type) {
    struct pollfd wanted[SOCKETS];
    for (int i = 0; i < SOCKETS; i++)
        wanted[i] = (struct pollfd) { fds[i], POLLIN, 0 };
    if (poll(wanted, SOCKETS, 20000) <= 0)
        return -1;
    for (int i = 0; i < SOCKETS; i++)
        if (wanted[i].revents & POLLIN) {
            char data[8];
            if (type == SOCK_DGRAM)
                MUST(recv(fds[i], data, sizeof data, 0));
            else
                close((int)MUST(accept(fds[i], 0, 0)));
            return i;
        }
    return -1;
}

static int reached(int *fds, int family, int type, int port, const char *data, size_t size) {
    int client = made(family, type, 0);
    struct sockaddr_storage address;
    socklen_t length = loopback(&address, family, port);
    if (type == SOCK_DGRAM)
        MUST(sendto(client, data, size, 0, (struct sockaddr *)&address, length));
    else
        MUST(connect(client, (struct sockaddr *)&address, length));
    int found = taker(fds, type);
    close(client);
    return found;
}

static void group(int family, int type) {
    printf("--- family %d, type %d\n", family, type);
    int fds[SOCKETS], port = 7601;
    for (int i = 0; i < SOCKETS; i++) {
        fds[i] = made(family, type, 1);
        MUST(bound(fds[i], family, port));
        if (type == SOCK_STREAM)
            MUST(listen(fds[i], 5));
    }
    printf("no program yet: %s\n", said(detached(fds[0])));
    for (unsigned i = 0; i < SOCKETS; i++) {
        printf("always %u: %s, ", i, said(CLASSIC(fds[SOCKETS - 1 - i], RETURN(i))));
        printf("%d\n", reached(fds, family, type, port, "x", 1));
    }
    printf("too far: %s, ", said(CLASSIC(fds[0], RETURN(SOCKETS))));
    printf("somebody %d\n", reached(fds, family, type, port, "x", 1) >= 0);
    printf("much too far: %s, ", said(CLASSIC(fds[0], RETURN(0xffffffff))));
    printf("somebody %d\n", reached(fds, family, type, port, "x", 1) >= 0);
    printf("by length: %s,", said(CLASSIC(fds[1], BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_RET | BPF_A, 0))));
    for (unsigned size = 1; size < 4; size++)
        printf(" %d", reached(fds, family, type, port, "xyz", type == SOCK_STREAM ? 1 : size));
    printf("\nby a byte: %s,", said(CLASSIC(fds[2], BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_A, 0))));
    for (unsigned i = 0; i < SOCKETS; i++)
        printf(" %d", reached(fds, family, type, port, (char []) { (char)i, 9 }, 2));
    printf("\nfrom outside: %s,", said(CLASSIC(fds[2], BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 50), BPF_STMT(BPF_RET | BPF_K, 3))));
    printf(" %d\n", reached(fds, family, type, port, "x", 1));
    struct insn two[] = { MOV(0, 2), EXIT }, by_length[] = { LDW(0, 1, 0), EXIT };
    int program = (int)MUST(load(1, two, 2, -1)), other = (int)MUST(load(1, by_length, 2, -1));
    printf("of bpf(2): %s,", said(extended(fds[3], program)));
    printf(" %d\n", reached(fds, family, type, port, "x", 1));
    close(program);
    printf("closed: %d\n", reached(fds, family, type, port, "x", 1));
    printf("by length: %s,", said(extended(fds[3], other)));
    printf(" %d\n", reached(fds, family, type, port, "xyz", 3));
    close(other);
    printf("one goes: %s,", said(CLASSIC(fds[0], RETURN(1))));
    close(fds[1]);
    fds[1] = -1;
    printf(" %d", reached(fds, family, type, port, "x", 1));
    fds[1] = made(family, type, 1);
    MUST(bound(fds[1], family, port));
    if (type == SOCK_STREAM)
        MUST(listen(fds[1], 5));
    printf(" and comes again: %d,", reached(fds, family, type, port, "x", 1));
    printf(" %s,", said(CLASSIC(fds[0], RETURN(3))));
    printf(" %d\n", reached(fds, family, type, port, "x", 1));
    printf("detached: %s", said(detached(fds[2])));
    printf(", again: %s\n", said(detached(fds[2])));
    printf("somebody: %d\n", reached(fds, family, type, port, "x", 1) >= 0);
    for (int i = 0; i < SOCKETS; i++)
        close(fds[i]);
}

static void rules(int family, int type) {
    printf("--- rules: family %d, type %d\n", family, type);
    struct insn zero[] = { MOV(0, 0), EXIT };
    int filter = (int)MUST(load(1, zero, 2, -1)), device = (int)MUST(load(CGROUP_DEVICE, zero, 2, -1));
    int fd = made(family, type, 0);
    printf("not shared: %s, %s, %s\n", said(CLASSIC(fd, RETURN(0))), said(extended(fd, filter)), said(detached(fd)));
    int one = 1;
    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    printf("to be shared: %s\n", said(detached(fd)));
    printf("attached: %s\n", said(CLASSIC(fd, RETURN(0))));
    printf("another: %s\n", said(extended(fd, filter)));
    printf("no program: %s", said(extended(fd, -1)));
    printf(", %s", said(extended(fd, fd)));
    printf(", %s\n", said(extended(fd, device)));
    printf("sizes: %s", said(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &filter, 3)));
    printf(", %s", said(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, (long []) { filter }, 8)));
    struct sock_filter text[] = { RETURN(0) };
    struct sock_fprog program = { 1, text }, empty = { 0, text }, wrong = { 1, (void *)8 };
    printf(", %s", said(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, 15)));
    printf(", %s", said(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &empty, sizeof empty)));
    printf(", %s\n", said(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &wrong, sizeof wrong)));
    printf("unsound: %s\n", said(CLASSIC(fd, BPF_STMT(BPF_LD | BPF_IMM, 0))));
    printf("detached: %s\n", said(detached(fd)));
    printf("again: %s\n", said(detached(fd)));
    MUST(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one));
    printf("locked: %s", said(CLASSIC(fd, RETURN(0))));
    printf(", %s", said(extended(fd, filter)));
    printf(", %s\n", said(detached(fd)));
    close(fd);
    fd = made(family, type, 0);
    MUST(bound(fd, family, 7602));
    if (type == SOCK_STREAM)
        MUST(listen(fd, 1));
    MUST(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
    printf("shared too late: %s", said(CLASSIC(fd, RETURN(0))));
    printf(", %s\n", said(detached(fd)));
    close(fd);
    /* A program that was there before the port is the group's if the socket is its first one; another can't share the port. */
    int fds[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        fds[i] = made(family, type, 1);
        if (i == 0)
            MUST(CLASSIC(fds[i], RETURN(2)));
        if (i == 3) {
            MUST(CLASSIC(fds[i], RETURN(1)));
            printf("with a program of its own: %s", said(bound(fds[i], family, 7603)));
            MUST(detached(fds[i]));
            printf(", without it again: %s\n", said(bound(fds[i], family, 7603)));
            close(fds[i]);
            fds[i] = made(family, type, 1);
        }
        MUST(bound(fds[i], family, 7603));
        if (type == SOCK_STREAM)
            MUST(listen(fds[i], 5));
    }
    printf("the first one's: %d\n", reached(fds, family, type, 7603, "x", 1));
    for (int i = 0; i < SOCKETS; i++)
        close(fds[i]);
    close(filter); close(device);
}

int main(void) {
    MUST(unshare(CLONE_NEWNET));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    MUST(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    static const int families[] = { AF_INET, AF_INET6 }, types[] = { SOCK_DGRAM, SOCK_STREAM };
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < 2; j++) {
            group(families[i], types[j]);
            rules(families[i], types[j]);
        }
    fd = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    printf("unix: %s", said(CLASSIC(fd, RETURN(0))));
    printf(", %s\n", said(detached(fd)));
    close(fd);
    return 0;
}
