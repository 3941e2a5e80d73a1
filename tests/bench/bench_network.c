/* Benchmarks of a network card: `bench_network ADDRESS [ROW]` measures, `bench_network peer` is the other end.
 *
 * The peer runs on the host. The measuring half runs in the guest, the same binary on Krait and on Linux, and is led over
 * the serial line, so that the host can look at QEMU's processor time before and after: it prints "@ready ROW@", reads how
 * often the row's operation is to be done, does it, and prints "@done NANOSECONDS@"; 0 leads to the next row. A row that
 * was asked for (or all, by `all`) is measured once, for a profile, and a line leads on. An operation on a stream is a
 * MiB, and many of them follow one another without waiting.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1 << 20)

enum port { PORT_ECHO = 7001, PORT_SINK, PORT_SOURCE, PORT_DATAGRAM };

static char buffer[MIB];
static struct sockaddr_in peer = { .sin_family = AF_INET };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void must_read(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)data + done, size - done);
        if (n <= 0)
            die("read");
        done += n;
    }
}

static void must_write(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n <= 0)
            die("write");
        done += n;
    }
}

/* ---- The peer ------------------------------------------------------------------------------------------------- */

/* How many MiB the guest asks for, or announces; 0: it has gone. */
static uint32_t read_count(int fd)
{
    uint32_t count;
    return read(fd, &count, sizeof count) == sizeof count ? ntohl(count) : 0;
}

static void echo(int fd)
{
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        must_write(fd, buffer, n);
}

static void sink(int fd)
{
    for (uint32_t count; (count = read_count(fd)) > 0;) {
        for (; count > 0; count--)
            must_read(fd, buffer, MIB);
        must_write(fd, "!", 1);
    }
}

static void source(int fd)
{
    for (uint32_t count; (count = read_count(fd)) > 0;)
        for (; count > 0; count--)
            must_write(fd, buffer, MIB);
}

static int bound(int kind, enum port port)
{
    int one = 1, fd = socket(AF_INET, kind, 0);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0)
        die("bind");
    return fd;
}

static void serve(enum port port, void (*body)(int))
{
    int one = 1, listening = bound(SOCK_STREAM, port);
    listen(listening, 64);
    if (fork() != 0) {
        close(listening);
        return;
    }
    for (;;) {
        int fd = accept(listening, 0, 0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        body(fd);
        close(fd);
    }
}

static void echo_datagrams(void)
{
    int fd = bound(SOCK_DGRAM, PORT_DATAGRAM);
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &size);
        sendto(fd, buffer, n, 0, (struct sockaddr *)&from, size);
    }
}

static void be_peer(void)
{
    serve(PORT_ECHO, echo);
    serve(PORT_SINK, sink);
    serve(PORT_SOURCE, source);
    puts("@peer@");
    fflush(stdout);
    echo_datagrams();
}

/* ---- The guest ------------------------------------------------------------------------------------------------ */

static int talking;
static const char *only; /* the only row that is wanted */

static int connected(int kind, enum port port)
{
    int one = 1, fd = socket(AF_INET, kind, 0);
    peer.sin_port = htons(port);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) != 0)
        die("connect");
    if (kind == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void round_trips(long count)
{
    char c = 1;
    while (count-- > 0) {
        must_write(talking, &c, 1);
        must_read(talking, &c, 1);
    }
}

/* Datagrams may be lost: then they are sent again. */
static void datagram_round_trips(long count)
{
    struct pollfd readable = { .fd = talking, .events = POLLIN };
    char c = 1;
    while (count > 0) {
        must_write(talking, &c, 1);
        if (poll(&readable, 1, 1000) == 1) {
            must_read(talking, &c, 1);
            count--;
        }
    }
}

static void send_mib(long count)
{
    uint32_t announced = htonl(count);
    char c;
    must_write(talking, &announced, sizeof announced);
    while (count-- > 0)
        must_write(talking, buffer, MIB);
    must_read(talking, &c, 1);
}

static void receive_mib(long count)
{
    uint32_t wanted = htonl(count);
    must_write(talking, &wanted, sizeof wanted);
    while (count-- > 0)
        must_read(talking, buffer, MIB);
}

static void measure(const char *name, void (*operation)(long))
{
    struct timespec start, end;
    char line[16];
    operation(1);
    for (;;) {
        printf("@ready %s@\n", name);
        fflush(stdout);
        ssize_t n = read(0, line, sizeof line - 1);
        line[n > 0 ? n : 0] = 0;
        long count = strtol(line, 0, 10);
        if (count <= 0)
            return;
        clock_gettime(CLOCK_MONOTONIC, &start);
        operation(count);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("@done %lld@\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec);
        fflush(stdout);
        if (only != 0) {
            read(0, line, sizeof line);
            return;
        }
    }
}

static void measure_over(const char *name, void (*operation)(long), int kind, enum port port)
{
    if (only != 0 && strcmp(only, name) && strcmp(only, "all"))
        return;
    talking = connected(kind, port);
    measure(name, operation);
    close(talking);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    if (!strcmp(argv[1], "peer"))
        be_peer();
    peer.sin_addr.s_addr = inet_addr(argv[1]);
    only = argc > 2 ? argv[2] : 0;
    measure_over("tcp-send-1MiB", send_mib, SOCK_STREAM, PORT_SINK);
    measure_over("tcp-receive-1MiB", receive_mib, SOCK_STREAM, PORT_SOURCE);
    measure_over("tcp-round-trip", round_trips, SOCK_STREAM, PORT_ECHO);
    measure_over("udp-round-trip", datagram_round_trips, SOCK_DGRAM, PORT_DATAGRAM);
    return 0;
}
