/* The rows about unix sockets and datagrams: round trips and bandwidth. Children answer: one echoes single bytes, one
 * swallows what it gets.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int unix_pair[2], unix_sink[2], udp_peer;

/* A socket bound to a free port of the loopback address, which is left in `address`. */
static int bound_udp(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t size = sizeof *address;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd, (struct sockaddr *)address, sizeof *address);
    getsockname(fd, (struct sockaddr *)address, &size);
    return fd;
}

static void echo_bytes(int fd)
{
    char c;
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    while (recvfrom(fd, &c, 1, 0, (struct sockaddr *)&from, &size) == 1) {
        sendto(fd, &c, 1, 0, size ? (struct sockaddr *)&from : 0, size);
        size = sizeof from;
    }
}

static void round_trip(int fd)
{
    char c = 1;
    write(fd, &c, 1);
    read(fd, &c, 1);
}

static void send_mib(int fd)
{
    for (size_t done = 0; done < sizeof buffer;) {
        ssize_t n = write(fd, buffer + done, sizeof buffer - done);
        if (n <= 0)
            return;
        done += n;
    }
}

static void swallow(int fd)
{
    static char sink[1 << 16];
    while (read(fd, sink, sizeof sink) > 0)
        ;
}

static void op_unix(void) { round_trip(unix_pair[0]); }
static void op_unix_mib(void) { send_mib(unix_sink[0]); }
static void op_udp(void) { round_trip(udp_peer); }

/* Start a child that runs `body` on a descriptor. */
static void serve(void (*body)(int), int fd)
{
    if (fork() != 0)
        return;
    body(fd);
    _exit(0);
}

static void measure_sockets(void)
{
    struct sockaddr_in address;
    if (fork() == 0) { /* so that one signal to the group ends all the children */
        setpgid(0, 0);
        socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair);
        serve(echo_bytes, unix_pair[1]);
        measure("unix-round-trip", op_unix);
        socketpair(AF_UNIX, SOCK_STREAM, 0, unix_sink);
        serve(swallow, unix_sink[1]);
        measure("unix-send-1MiB", op_unix_mib);
        serve(echo_bytes, bound_udp(&address));
        udp_peer = socket(AF_INET, SOCK_DGRAM, 0);
        connect(udp_peer, (struct sockaddr *)&address, sizeof address);
        measure("udp-loopback-round-trip", op_udp);
        kill(0, SIGKILL);
    }
    wait(0);
}
