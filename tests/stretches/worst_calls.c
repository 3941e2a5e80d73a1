/* The calls that could keep a kernel busy longest, at great sizes: `worst_calls NAME` makes one family of them. The host
 * measures (test_stretches.py). A call that fails ends the program with status 1, so that nothing is measured for nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/fanotify.h>
#include <linux/if_packet.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MIB (1L << 20)
#define PAGE 4096L
#define LARGE (64 * MIB)
#define MANY_AREAS 20000
#define MANY_FILES 10000
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static void check(int is_right, const char *what)
{
    if (!is_right) {
        printf("%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

#define CHECK(call) check((call), #call)

static char *room(long size)
{
    char *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

static char *touched(long size)
{
    char *memory = room(size);
    for (long at = 0; at < size; at += PAGE)
        memory[at] = 1;
    return memory;
}

/* 20,000 areas: neighbours differ in protection. */
static char *areas(void)
{
    char *memory = room(MANY_AREAS * PAGE);
    for (long i = 0; i < MANY_AREAS; i += 2) {
        memory[i * PAGE] = 1;
        CHECK(mprotect(memory + i * PAGE, PAGE, PROT_READ) == 0);
    }
    return memory;
}

static void many_descriptors(long count)
{
    struct rlimit limit = {count + 100, count + 100};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (long i = 0; i < count; i++)
        CHECK(eventfd(1, 0) >= 0);
}

static long read_all(const char *path)
{
    static char piece[1 << 20];
    long total = 0, got;
    int file = open(path, O_RDONLY);
    CHECK(file >= 0);
    while ((got = read(file, piece, sizeof piece)) > 0)
        total += got;
    CHECK(got == 0);
    close(file);
    return total;
}

static void in_child(void (*function)(void))
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        function();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void nothing(void) {}

static void set_large_pages(const char *text)
{
    int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);
    CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

static char *large_memory;

static void write_some(void)
{
    for (long at = 0; at < LARGE; at += MIB)
        large_memory[at + PAGE] = 2;
}

/* Memory in pages of 2 MiB: how it comes, is shared, is cut, moves, becomes such again, and goes. */
static void large_pages(void)
{
    set_large_pages("always");
    large_memory = touched(LARGE);
    in_child(write_some);
    write_some();
    CHECK(mprotect(large_memory, LARGE, PROT_READ) == 0);
    in_child(nothing);
    CHECK(mprotect(large_memory, LARGE, PROT_READ | PROT_WRITE) == 0);
    for (long at = 0; at < LARGE; at += 2 * MIB)
        CHECK(mprotect(large_memory + at + PAGE, PAGE, PROT_READ) == 0);
    CHECK(mprotect(large_memory, LARGE, PROT_READ | PROT_WRITE) == 0);
    write_some();
    CHECK(madvise(large_memory, LARGE, MADV_COLLAPSE) == 0);
    char *other = room(LARGE + 4 * MIB);
    other = mremap(large_memory, LARGE, LARGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
    CHECK(other != MAP_FAILED);
    large_memory = room(LARGE + 4 * MIB) + PAGE;
    CHECK(mremap(other, LARGE, LARGE, MREMAP_MAYMOVE | MREMAP_FIXED, large_memory) == large_memory);
    CHECK(munmap(large_memory, LARGE) == 0);
    large_memory = room(LARGE);
    CHECK(mlock(large_memory, LARGE) == 0);
    CHECK(munlock(large_memory, LARGE) == 0);
    CHECK(madvise(large_memory, LARGE, MADV_DONTNEED) == 0);
    CHECK(madvise(large_memory, LARGE, MADV_POPULATE_WRITE) == 0);
    CHECK(munmap(large_memory, LARGE) == 0);
    set_large_pages("never");
}

static void random_bytes(void)
{
    char *memory = touched(4 * MIB);
    CHECK(syscall(SYS_getrandom, memory, 4 * MIB, 0) == 4 * MIB);
    int file = open("/dev/urandom", O_RDONLY);
    CHECK(read(file, memory, 4 * MIB) == 4 * MIB);
}

static void zeros(void)
{
    char *memory = room(LARGE);
    int file = open("/dev/zero", O_RDONLY);
    CHECK(read(file, memory, LARGE) == LARGE);
    static struct iovec pieces[1024];
    for (int i = 0; i < 1024; i++)
        pieces[i] = (struct iovec){memory, MIB};
    CHECK(readv(file, pieces, 1024) == 1024 * MIB);
}

static void between_files(void)
{
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    CHECK(sendfile(null, zero, 0, 128 * MIB) == 128 * MIB);
    int file = open("/tmp/copied", O_RDWR | O_CREAT, 0600), other = open("/tmp/copy", O_RDWR | O_CREAT, 0600);
    CHECK(sendfile(file, zero, 0, 32 * MIB) == 32 * MIB);
    CHECK(lseek(file, 0, SEEK_SET) == 0 && copy_file_range(file, 0, other, 0, 32 * MIB, 0) == 32 * MIB);
    unlink("/tmp/copied");
    unlink("/tmp/copy");
}

static void file_in_memory(void)
{
    char *memory = touched(LARGE);
    int file = open("/tmp/large", O_RDWR | O_CREAT, 0600);
    CHECK(write(file, memory, LARGE) == LARGE);
    CHECK(pread(file, memory, LARGE, 0) == LARGE);
    CHECK(lseek(file, 0, SEEK_HOLE) == LARGE);
    char *mapped = mmap(0, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    CHECK(mapped != MAP_FAILED);
    CHECK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LARGE / 2) == 0);
    CHECK(lseek(file, 0, SEEK_DATA) == LARGE / 2);
    CHECK(ftruncate(file, 0) == 0);
    CHECK(fallocate(file, 0, 0, LARGE) == 0);
    CHECK(munmap(mapped, LARGE) == 0);
    unlink("/tmp/large");
    close(file);
}

static void present(void)
{
    CHECK(mmap(0, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) != MAP_FAILED);
    CHECK(mlockall(MCL_CURRENT) == 0);
    CHECK(munlockall() == 0);
}

static void ranges(void)
{
    static unsigned char seen[LARGE / PAGE];
    char *memory = touched(LARGE);
    CHECK(mincore(memory, LARGE, seen) == 0);
    CHECK(mprotect(memory, LARGE, PROT_READ) == 0);
    CHECK(mprotect(memory, LARGE, PROT_READ | PROT_WRITE) == 0);
    memory = mremap(memory, LARGE, LARGE + MIB, MREMAP_MAYMOVE | MREMAP_FIXED, memory - 2 * LARGE);
    CHECK(memory != MAP_FAILED);
    CHECK(madvise(memory, LARGE, MADV_DONTNEED) == 0);
    CHECK(madvise(memory, LARGE, MADV_POPULATE_WRITE) == 0);
    CHECK(mmap(memory, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory);
    CHECK(munmap(touched(LARGE), LARGE) == 0);
    char *shared = mmap(0, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(shared != MAP_FAILED && munmap(shared, LARGE) == 0);
    CHECK(munmap(mmap(0, 1L << 46, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), 1L << 46) == 0);
}

static void large_process(void)
{
    touched(LARGE);
    in_child(nothing);
}

static void show_areas(void)
{
    areas();
    CHECK(read_all("/proc/self/maps") > MANY_AREAS * 30);
    CHECK(read_all("/proc/self/smaps") > MANY_AREAS * 500);
    CHECK(read_all("/proc/self/smaps_rollup") > 0);
    CHECK(read_all("/proc/self/status") > 0);
}

static void change_areas(void)
{
    char *memory = areas();
    in_child(nothing);
    CHECK(mlock(memory, MANY_AREAS * PAGE) == 0);
    CHECK(mprotect(memory, MANY_AREAS * PAGE, PROT_READ) == 0);
    CHECK(mmap(areas(), MANY_AREAS * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    CHECK(munmap(areas(), MANY_AREAS * PAGE) == 0);
    areas();
}

static void wait_for_many(void)
{
    static struct pollfd wanted[MANY_FILES];
    many_descriptors(MANY_FILES);
    for (int i = 0; i < MANY_FILES; i++)
        wanted[i] = (struct pollfd){i + 3, POLLPRI, 0};
    CHECK(poll(wanted, MANY_FILES, 1) == 0);
    static unsigned char set[(MANY_FILES + 100) / 8 + 8];
    memset(set, 0, sizeof set);
    for (int i = 3; i < MANY_FILES; i++)
        set[i / 8] |= 1 << i % 8;
    struct timeval now = {0, 1000};
    CHECK(syscall(SYS_select, MANY_FILES, 0, 0, set, &now) == 0);
    int events = epoll_create1(0);
    static struct epoll_event found[MANY_FILES];
    for (int i = 3; i < MANY_FILES; i++) {
        struct epoll_event event = {EPOLLIN, {.fd = i}};
        CHECK(epoll_ctl(events, EPOLL_CTL_ADD, i, &event) == 0);
    }
    CHECK(epoll_wait(events, found, MANY_FILES, 0) > 0);
    close(events);
}

static void many_open(void)
{
    many_descriptors(MANY_FILES);
    in_child(nothing);
    CHECK(syscall(SYS_close_range, 3, MANY_FILES, 0) == 0);
    struct rlimit limit = {60000, 60000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(dup2(0, 59999) == 59999);
    CHECK(fcntl(0, F_DUPFD, 50000) == 50000);
    in_child(nothing);
}

static void filters(void)
{
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    struct sock_filter *code = calloc(4096, sizeof *code);
    for (int i = 0; i < 4095; i++)
        code[i] = (struct sock_filter){BPF_LD | BPF_IMM, 0, 0, 1};
    code[4095] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {4096, code};
    int count = 0;
    while (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        count++;
    CHECK(count >= 7);
    for (int i = 0; i < 10; i++)
        getppid();
}

static void others_memory(void)
{
    char *memory = touched(LARGE);
    char *copy = room(LARGE);
    struct iovec local = {copy, LARGE}, remote = {memory, LARGE};
    CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == LARGE);
    CHECK(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == LARGE);
    int file = open("/proc/self/mem", O_RDONLY);
    CHECK(pread(file, copy, LARGE, (off_t)memory) > 0);
}

static void pipes_and_sockets(void)
{
    char *memory = touched(MIB);
    int ends[2];
    CHECK(pipe(ends) == 0 && fcntl(ends[1], F_SETPIPE_SZ, MIB) == MIB);
    CHECK(write(ends[1], memory, MIB) == MIB && read(ends[0], memory, MIB) == MIB);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    int size = 4 * MIB;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    CHECK(write(ends[0], memory, MIB) > 0 && read(ends[1], memory, MIB) > 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) == 0);
    static struct mmsghdr messages[1024];
    static struct iovec parts[1024];
    for (int i = 0; i < 1024; i++) {
        parts[i] = (struct iovec){memory, 1};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(ends[0], messages, 1024, 0) > 0 && recvmmsg(ends[1], messages, 1024, MSG_DONTWAIT, 0) > 0);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in place = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof place;
    CHECK(bind(udp, (void *)&place, sizeof place) == 0 && getsockname(udp, (void *)&place, &length) == 0);
    CHECK(connect(udp, (void *)&place, sizeof place) == 0);
    CHECK(sendmmsg(udp, messages, 1024, 0) > 0 && recvmmsg(udp, messages, 1024, MSG_DONTWAIT, 0) > 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0), sender = socket(AF_INET, SOCK_STREAM, 0);
    place.sin_port = 0;
    CHECK(bind(listener, (void *)&place, sizeof place) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (void *)&place, &length) == 0);
    CHECK(connect(sender, (void *)&place, sizeof place) == 0);
    int receiver = accept(listener, 0, 0);
    fcntl(sender, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 8; i++) {
        write(sender, memory, MIB);
        recv(receiver, memory, MIB, MSG_DONTWAIT);
    }
}

/* Messages of a byte that nobody reads, and a listener that closes with many connections; of sockets to the host. */
static void host_sockets(void)
{
    static const struct { unsigned short family, zero; unsigned port, cid, rest; } place = {AF_VSOCK, 0, 2000, 1, 0};
    char *memory = touched(MIB);
    static struct mmsghdr messages[1024];
    struct iovec part = {memory, 1};
    for (int i = 0; i < 1024; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
    int listener = socket(AF_VSOCK, SOCK_SEQPACKET, 0), sender = socket(AF_VSOCK, SOCK_SEQPACKET, 0);
    CHECK(bind(listener, (void *)&place, sizeof place) == 0 && listen(listener, 4096) == 0);
    CHECK(connect(sender, (void *)&place, sizeof place) == 0);
    int receiver = accept(listener, 0, 0);
    fcntl(sender, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 31; i++)
        sendmmsg(sender, messages, 1024, 0);
    CHECK(recv(receiver, memory, MIB, MSG_PEEK) == 1 && recvmmsg(receiver, messages, 1024, MSG_DONTWAIT, 0) == 1024);
    close(receiver);
    for (int i = 0; i < 900; i++)
        CHECK(connect(socket(AF_VSOCK, SOCK_SEQPACKET, 0), (void *)&place, sizeof place) == 0);
    close(listener);
}

/* A line without an end, a line of tabs that is erased, and a long line that is shown again and again. */
static void terminals(void)
{
    char *memory = touched(MIB), name[64];
    int number, unlock = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    CHECK(master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0 && ioctl(master, TIOCGPTN, &number) == 0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    int slave = open(name, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    struct iovec parts[] = {{memory, MIB}, {memory, MIB}};
    CHECK(writev(master, parts, 2) == 2 * MIB);
    for (int flags = 0; flags < 2; flags++) {
        struct termios settings;
        CHECK(tcgetattr(slave, &settings) == 0);
        settings.c_lflag |= ICANON | ECHO | ECHOE | ECHOK | ECHOKE | ECHOCTL | IEXTEN;
        settings.c_iflag |= flags ? IUTF8 : 0;
        CHECK(tcsetattr(slave, TCSAFLUSH, &settings) == 0);
        memset(memory, '\t', 4095);
        memset(memory + 4095, 'U' - 64, 1); /* VKILL */
        CHECK(write(master, memory, 4096) == 4096);
        memset(memory, 1, 4094);
        memset(memory + 4094, 'R' - 64, 4096); /* VREPRINT */
        CHECK(write(master, memory, 8190) == 8190);
    }
}

static void semaphores(void)
{
    int set = semget(IPC_PRIVATE, 500, 0600);
    CHECK(set >= 0);
    struct sembuf operations[500];
    for (int i = 0; i < 500; i++)
        operations[i] = (struct sembuf){i, 1, SEM_UNDO};
    CHECK(semop(set, operations, 500) == 0);
    CHECK(semctl(set, 0, IPC_RMID) == 0);
}

static int word;
static volatile int waiting;

static void *wait_on_word(void *unused)
{
    __sync_fetch_and_add(&waiting, 1);
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    return unused;
}

static void futexes(void)
{
    static pthread_t threads[300];
    static int other;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (int i = 0; i < 300; i++)
        CHECK(pthread_create(&threads[i], &small, wait_on_word, 0) == 0);
    while (waiting < 300)
        sched_yield();
    usleep(10000);
    syscall(SYS_futex, &word, FUTEX_REQUEUE_PRIVATE, 0, INT_MAX, &other, 0);
    syscall(SYS_futex, &other, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0);
    for (int i = 0; i < 300; i++)
        pthread_join(threads[i], 0);
}

/* 1,200 waiters of one word, moved and woken at once; and as many that end with their process. */
static void many_waiters(void)
{
    static int other;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (int round = 0; round < 2; round++) {
        waiting = 0;
        for (int i = 0; i < 1200; i++) {
            pthread_t thread;
            CHECK(pthread_create(&thread, &small, wait_on_word, 0) == 0);
        }
        while (waiting < 1200)
            sched_yield();
        usleep(10000);
        if (round > 0)
            break;
        CHECK(syscall(SYS_futex, &word, FUTEX_REQUEUE_PRIVATE, 0, INT_MAX, &other, 0) >= 1190);
        CHECK(syscall(SYS_futex, &other, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0) >= 1190);
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0);
        usleep(100000);
    }
}

/* A ring with room for that many submissions, each a poll of one file; how many were taken. */
static int poll_in_ring(int file, unsigned polls)
{
    struct io_uring_params params = {.flags = 0};
    int ring = syscall(SYS_io_uring_setup, polls, &params);
    CHECK(ring >= 0);
    size_t size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    if (size < params.sq_off.array + params.sq_entries * 4)
        size = params.sq_off.array + params.sq_entries * 4;
    char *shared = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries =
        mmap(0, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    CHECK(shared != MAP_FAILED && entries != MAP_FAILED);
    for (unsigned i = 0; i < polls; i++) {
        entries[i] = (struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD, .fd = file, .poll32_events = POLLIN, .user_data = i};
        ((unsigned *)(shared + params.sq_off.array))[i] = i;
    }
    *(volatile unsigned *)(shared + params.sq_off.tail) = polls;
    CHECK(syscall(SYS_io_uring_enter, ring, polls, 0, 0, 0, 0) == polls);
    return ring;
}

static void *read_pipe(void *end)
{
    char byte;
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    CHECK(read((int)(intptr_t)end, &byte, 1) == 0);
    __atomic_sub_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* One wake for 32,768 polls of a ring, for 4,000 epoll sets, and for 1,200 threads. */
static void wakes(void)
{
    struct rlimit limit = {10000, 10000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    uint64_t one = 1;
    int bell = eventfd(0, 0);
    int ring = poll_in_ring(bell, 32768);
    CHECK(write(bell, &one, 8) == 8);
    CHECK(syscall(SYS_io_uring_enter, ring, 0, 32768, IORING_ENTER_GETEVENTS, 0, 0) == 0);
    close(bell);
    bell = eventfd(0, 0);
    struct epoll_event event = {.events = EPOLLIN};
    int last = -1;
    for (int i = 0; i < 4000; i++) {
        last = epoll_create1(0);
        CHECK(last >= 0 && epoll_ctl(last, EPOLL_CTL_ADD, bell, &event) == 0);
    }
    CHECK(write(bell, &one, 8) == 8);
    CHECK(epoll_wait(last, &event, 1, 1000) == 1);
    int ends[2];
    CHECK(pipe(ends) == 0);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    waiting = 0;
    for (int i = 0; i < 1200; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &small, read_pipe, (void *)(intptr_t)ends[0]) == 0);
    }
    while (waiting < 1200)
        sched_yield();
    usleep(10000);
    close(ends[1]);
    while (waiting > 0)
        usleep(1000);
}

static int served;
static char *served_pages;

static void *touch_served(void *page)
{
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    *(volatile char *)page = 1;
    __atomic_sub_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void serve(long pages)
{
    struct uffdio_zeropage zero = {{(uintptr_t)served_pages, pages * PAGE}, 0, 0};
    CHECK(ioctl(served, UFFDIO_ZEROPAGE, &zero) == 0);
}

/* 1,000 threads wait for one page and 1,000 for others: one is served, then all, then the file is closed. */
static void faults(void)
{
    struct uffdio_register range = {{0, 4096 * PAGE}, UFFDIO_REGISTER_MODE_MISSING, 0};
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (int round = 0; round < 2; round++) {
        struct uffdio_api api = {UFFD_API, 0, 0};
        served = syscall(SYS_userfaultfd, 0);
        served_pages = room(4096 * PAGE);
        range.range.start = (uintptr_t)served_pages;
        CHECK(ioctl(served, UFFDIO_API, &api) == 0 && ioctl(served, UFFDIO_REGISTER, &range) == 0);
        waiting = 0;
        for (int i = 0; i < 2000; i++) {
            pthread_t thread;
            CHECK(pthread_create(&thread, &small, touch_served, served_pages + (i < 1000 ? 0 : i) * PAGE) == 0);
        }
        while (waiting < 2000)
            sched_yield();
        usleep(10000);
        if (round == 0) {
            serve(1);
            while (waiting > 1000)
                usleep(1000);
            struct uffdio_range all = {(uintptr_t)served_pages, 4096 * PAGE};
            CHECK(ioctl(served, UFFDIO_WAKE, &all) == 0);
            usleep(100000);
            CHECK(waiting == 1000);
            CHECK(ioctl(served, UFFDIO_UNREGISTER, &all) == 0);
        } else {
            CHECK(close(served) == 0);
        }
        while (waiting > 0)
            usleep(1000);
    }
}

/* Names in a directory: made, forgotten, read anew, listed, moved, and removed again. A file has `links` of them. */
static void names_in(const char *directory, int count, int links)
{
    char first[64], name[64], entries[65536];
    CHECK(mkdir(directory, 0700) == 0 && chdir(directory) == 0);
    for (int i = 0; i < count; i++) {
        sprintf(name, "a name that is not short %d", i);
        sprintf(first, "a name that is not short %d", i - i % links);
        CHECK((i % links == 0 ? mknod(name, S_IFREG | 0600, 0) : link(first, name)) == 0);
    }
    int caches = open("/proc/sys/vm/drop_caches", O_WRONLY);
    sync();
    CHECK(write(caches, "3", 1) == 1);
    for (int i = 0; i < count; i++) {
        struct stat status;
        sprintf(name, "a name that is not short %d", i);
        CHECK(lstat(name, &status) == 0);
    }
    int found = 0, here = open(".", O_RDONLY);
    for (long length; (length = syscall(SYS_getdents64, here, entries, sizeof entries)) > 0;)
        for (long at = 0; at < length; at += *(unsigned short *)(entries + at + 16))
            found++;
    CHECK(found == count + 2);
    for (int i = 0; i < 100; i++) {
        sprintf(name, "a name that is not short %d", i);
        CHECK(rename(name, "another name") == 0 && rename("another name", name) == 0);
    }
    CHECK(write(caches, "3", 1) == 1 && close(caches) == 0);
    for (int i = 0; i < count; i++) { /* in no order */
        sprintf(name, "a name that is not short %d", (int)(i * 7919L % count));
        CHECK(unlink(name) == 0);
    }
    CHECK(close(here) == 0 && chdir("/") == 0 && rmdir(directory) == 0);
}

static void many_names(void)
{
    names_in("/tmp/many", 100000, 1000);
}

static void many_names_on_disk(void)
{
    names_in("/mnt/many", 20000, 2);
}

/* A file system whose names all go at once, one of them found by a handle before. */
static void many_names_unmounted(void)
{
    char first[64], name[64];
    CHECK(mkdir("/tmp/many", 0700) == 0 && mount("none", "/tmp/many", "tmpfs", 0, "") == 0 && chdir("/tmp/many") == 0);
    for (int i = 0; i < 50000; i++) {
        sprintf(name, "%d", i);
        sprintf(first, "%d", i - i % 10);
        CHECK((i % 10 == 0 ? mknod(name, S_IFREG | 0600, 0) : link(first, name)) == 0);
    }
    struct { struct file_handle head; char bytes[128]; } handle = {{128, 0}, {0}};
    int number, here = open(".", O_RDONLY);
    CHECK(name_to_handle_at(here, first, &handle.head, &number, 0) == 0);
    int file = open_by_handle_at(here, &handle.head, O_RDONLY);
    CHECK(file >= 0 && close(file) == 0 && close(here) == 0);
    CHECK(chdir("/") == 0 && umount("/tmp/many") == 0 && rmdir("/tmp/many") == 0);
}

/* A file in memory with a page in each megabyte. */
static void many_pages(void)
{
    int file = memfd_create("pages", 0), count = 0;
    for (long i = 0; i < 20000; i++)
        CHECK(pwrite(file, "x", 1, i << 20) == 1);
    for (off_t at = 0; (at = lseek(file, at, SEEK_DATA)) >= 0; at = lseek(file, at, SEEK_HOLE))
        count++;
    CHECK(count == 20000);
    CHECK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1L << 20, 1L << 34) == 0);
    CHECK(lseek(file, 1L << 20, SEEK_DATA) == 16385L << 20);
    CHECK(ftruncate(file, 1) == 0 && close(file) == 0);
}

static void be_user(void)
{
    CHECK(setgid(1000) == 0 && setuid(1000) == 0);
}

/* 4,000 processes that get a signal each, with kill(-1) and with their group. */
static void many_signals(void)
{
    setpgid(0, 0);
    be_user();
    signal(SIGUSR1, SIG_IGN);
    sigset_t usual, all;
    sigfillset(&all);
    for (int i = 0; i < 4000; i++) {
        pid_t child = fork();
        if (child < 0)
            break; /* as many as memory lets there be */
        if (child == 0)
            for (;;)
                pause();
    }
    CHECK(kill(-1, SIGUSR1) == 0);
    CHECK(kill(0, SIGUSR1) == 0);
    CHECK(sigprocmask(SIG_BLOCK, &all, &usual) == 0);
    CHECK(kill(-1, SIGKILL) == 0);
    while (wait(0) > 0)
        ;
}

/* Processes that sleep in the kernel are killed while there is much to free: none of them sees user mode before it ends,
 * and the next one goes on where the one before has ended. */
static void dying(void)
{
    CHECK(mkdir("/tmp/dying", 0700) == 0 && mount("none", "/tmp/dying", "tmpfs", 0, "") == 0);
    for (int i = 0; i < 10000; i++) {
        char name[40];
        sprintf(name, "/tmp/dying/%d", i);
        CHECK(mknod(name, S_IFREG | 0600, 0) == 0);
    }
    pid_t group = 0;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            for (;;)
                pause();
        if (group == 0)
            group = child;
        CHECK(setpgid(child, group) == 0);
    }
    usleep(100000); /* until all sleep */
    CHECK(umount("/tmp/dying") == 0 && kill(-group, SIGKILL) == 0);
    while (wait(0) > 0)
        ;
    CHECK(rmdir("/tmp/dying") == 0);
}

static void groups(void)
{
    static gid_t many[65536];
    for (int i = 0; i < 65536; i++)
        many[i] = (gid_t)((i * 2654435761u) >> 3);
    CHECK(syscall(SYS_setgroups, 65536, many) == 0);
    CHECK(syscall(SYS_getgroups, 65536, many) == 65536);
    CHECK(setuid(1000) == 0 && access("/root", R_OK) < 0);
}

/* 4,000 sets, to be shown, and with something to be undone in each. */
static void many_sets(void)
{
    static int sets[4000];
    for (int i = 0; i < 4000; i++)
        CHECK((sets[i] = semget(IPC_PRIVATE, 100, 0600)) >= 0);
    for (int i = 0; i < 4000; i++)
        CHECK(msgget(IPC_PRIVATE, 0600) >= 0);
    CHECK(read_all("/proc/sysvipc/sem") > 0 && read_all("/proc/sysvipc/msg") > 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 4000; i++) {
            struct sembuf up = {99, 1, SEM_UNDO};
            CHECK(semop(sets[i], &up, 1) == 0);
        }
        _exit(0);
    }
    CHECK(waitpid(child, 0, 0) == child);
    for (int i = 0; i < 4000; i++)
        CHECK(semctl(sets[i], 0, IPC_RMID) == 0);
}

/* 4,000 watches: shown, and closed all at once. */
static void many_watches(void)
{
    char name[64];
    CHECK(mkdir("/tmp/watched", 0700) == 0 && chdir("/tmp/watched") == 0);
    int watcher = inotify_init1(0);
    for (int i = 0; i < 4000; i++) {
        sprintf(name, "%d", i);
        CHECK(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0 && inotify_add_watch(watcher, name, IN_ALL_EVENTS) > 0);
    }
    sprintf(name, "/proc/self/fdinfo/%d", watcher);
    CHECK(read_all(name) > 0);
    CHECK(close(watcher) == 0);
    for (int i = 0; i < 4000; i++) {
        sprintf(name, "%d", i);
        CHECK(unlink(name) == 0);
    }
    CHECK(chdir("/") == 0 && rmdir("/tmp/watched") == 0);
}

static void listen_to(const char *directory, const char *file, int report)
{
    uint64_t events = FAN_OPEN | FAN_CLOSE | FAN_MODIFY | FAN_ATTRIB | FAN_CREATE | FAN_DELETE | FAN_MOVE | FAN_ONDIR
        | FAN_EVENT_ON_CHILD | FAN_DELETE_SELF | FAN_MOVE_SELF | (report & FAN_REPORT_NAME ? FAN_RENAME : 0);
    int group = syscall(SYS_fanotify_init, report, 0), watcher = inotify_init1(0);
    CHECK(group >= 0 && watcher >= 0);
    CHECK(syscall(SYS_fanotify_mark, group, FAN_MARK_ADD, events, AT_FDCWD, directory) == 0);
    events &= ~(FAN_CREATE | FAN_DELETE | FAN_MOVE | FAN_RENAME | FAN_EVENT_ON_CHILD | FAN_ONDIR);
    CHECK(syscall(SYS_fanotify_mark, group, FAN_MARK_ADD, events, AT_FDCWD, file) == 0);
    CHECK(inotify_add_watch(watcher, directory, IN_ALL_EVENTS) > 0);
    CHECK(inotify_add_watch(watcher, file, IN_ALL_EVENTS) > 0);
}

/* As many groups and instances as a user may have, who all hear of the files of a directory. */
static void heard(int report)
{
    char name[64];
    struct rlimit limit = {4000, 4000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(mkdir("/tmp/heard", 0700) == 0);
    CHECK(close(open("/tmp/heard/a", O_CREAT | O_WRONLY, 0600)) == 0);
    for (int i = 0; i < 128; i++)
        listen_to("/tmp/heard", "/tmp/heard/a", report);
    int first = dup(0);
    for (int i = 0; i < 1000; i++) {
        sprintf(name, "/tmp/heard/f%d", i);
        CHECK(open(name, O_CREAT | O_RDWR | O_TRUNC, 0600) >= 0);
    }
    CHECK(syscall(SYS_close_range, first, ~0U, 0) == 0);
    CHECK(close(open("/tmp/heard/b", O_CREAT | O_WRONLY | O_TRUNC, 0600)) == 0);
    CHECK(syscall(SYS_renameat2, AT_FDCWD, "/tmp/heard/a", AT_FDCWD, "/tmp/heard/b", RENAME_EXCHANGE) == 0);
    CHECK(rename("/tmp/heard/f0", "/tmp/heard/f1") == 0);
    CHECK(rename("/tmp/heard/a", "/tmp/heard/b") == 0);
    CHECK(close(open("/tmp/heard/c", O_CREAT | O_WRONLY | O_TRUNC, 0600)) == 0);
    CHECK(close(open("/tmp/heard/c", O_CREAT | O_WRONLY | O_TRUNC, 0600)) == 0);
    CHECK(link("/tmp/heard/c", "/tmp/heard/d") == 0);
    CHECK(unlink("/tmp/heard/c") == 0 && unlink("/tmp/heard/b") == 0);
    CHECK(mkdir("/tmp/heard/e", 0700) == 0 && rmdir("/tmp/heard/e") == 0);
    for (int i = 1; i < 1000; i++) {
        sprintf(name, "/tmp/heard/f%d", i);
        CHECK(unlink(name) == 0);
    }
    CHECK(unlink("/tmp/heard/d") == 0 && rmdir("/tmp/heard") == 0);
}

static void heard_with_names(void)
{
    heard(FAN_REPORT_DFID_NAME_TARGET);
}

static void heard_with_handles(void)
{
    heard(FAN_REPORT_FID);
}

static void listeners(void)
{
    in_child(heard_with_names);
    in_child(heard_with_handles);
}

/* Datagrams of netlink as large as they can be: of small messages, of one that is refused with all it says, and of one
 * that is too large.
 */
static void long_datagrams(void)
{
    static uint32_t data[MIB]; /* 4 MiB */
    static char answer[2 * MIB];
    int size = 8 * MIB;
    int fd = socket(AF_NETLINK, SOCK_RAW, 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0);
    for (int i = 0; i < MIB; i += 4096) {
        data[i] = 16384;
        data[i + 1] = 2; /* of no meaning */
    }
    CHECK(send(fd, data, sizeof data, 0) == sizeof data);
    data[0] = MIB;
    data[1] = 1 << 16 | 200; /* there is no such request */
    CHECK(send(fd, data, MIB, 0) == MIB);
    CHECK(recv(fd, answer, sizeof answer, 0) > MIB);
    data[0] = 3 * MIB / 2;
    CHECK(send(fd, data, 3 * MIB / 2, 0) == -1 && errno == ENOBUFS); /* a message of more than 1 MiB */
    CHECK(send(fd, data, 1500000, 0) == 1500000); /* it ends too early to be one */
}

/* 4,000 netlink sockets, each with a port of its own, which one request shows. */
static void netlink_sockets(void)
{
    long_datagrams();
    struct rlimit limit = {10000, 10000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct sockaddr address = {AF_NETLINK, {0}};
    for (int i = 0; i < 4000; i++)
        CHECK(bind(socket(AF_NETLINK, SOCK_RAW, 0), &address, 12) == 0);
    CHECK(read_all("/proc/net/netlink") > 0);
}

/* As many areas as there can be: a hole after each, searched for room that there is only below. */
static void most_areas(void)
{
    char *memory = mmap(0, 2 * 65000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && munmap(memory, 2 * 65000 * PAGE) == 0);
    for (long i = 0; i < 65000; i++)
        CHECK(mmap(memory + 2 * i * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    for (int i = 0; i < 100; i++)
        CHECK(mmap(0, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    in_child(nothing);
    CHECK(munmap(memory, 2 * 65000 * PAGE) == 0);
}

static void large_ranges(void)
{
    long size = 192 * MIB;
    char *memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(mprotect(memory, size, PROT_READ) == 0);
    CHECK(mprotect(memory, size, PROT_READ | PROT_WRITE) == 0);
    memory = mremap(memory, size, size + MIB, MREMAP_MAYMOVE | MREMAP_FIXED, memory - 2 * size);
    CHECK(memory != MAP_FAILED);
    in_child(nothing);
    CHECK(madvise(memory, size, MADV_DONTNEED) == 0);
    CHECK(munmap(memory, size) == 0);
}

static void *forever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* Mappings of a file whose path is nearly as long as can be: with 4 KiB each, they fill a core file's note about files. */
static void map_long_names(int count)
{
    static char name[251];
    memset(name, 'd', sizeof name - 1);
    for (int i = 0; i < 15; i++)
        CHECK((mkdir(name, 0700) == 0 || errno == EEXIST) && chdir(name) == 0);
    int file = open("file", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && ftruncate(file, PAGE) == 0 && chdir("/tmp") == 0);
    for (int i = 0; i < count; i++)
        CHECK(mmap(0, PAGE, PROT_READ, i & 1 ? MAP_PRIVATE : MAP_SHARED, file, 0) != MAP_FAILED);
    close(file);
}

/* A core file of much memory, some of it far apart, of many areas, files with long names and threads. */
static void dump_core(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    pthread_t thread;
    CHECK(setrlimit(RLIMIT_CORE, &limit) == 0 && chdir("/tmp") == 0);
    touched(LARGE);
    char *sparse = mmap(0, 1L << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(sparse != MAP_FAILED);
    for (long i = 0; i < 1000; i++)
        sparse[i << 30] = 1;
    CHECK(madvise(sparse, 500L << 30, MADV_DONTNEED) == 0);
    char *memory = mmap(0, 2 * 60000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    for (long i = 0; i < 60000; i += 2)
        CHECK(mprotect(memory + i * PAGE, PAGE, PROT_READ) == 0);
    map_long_names(1050);
    for (int i = 0; i < 200; i++)
        CHECK(pthread_create(&thread, 0, forever, 0) == 0);
    abort();
}

static void cores(void)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        dump_core();
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WCOREDUMP(status));
    CHECK(unlink("/tmp/core") == 0);
}

/* Many dead objects at once, and then no memory: what is freed is what is asked for. */
static void short_memory(void)
{
    int ends[2];
    static char name[4000];
    memset(name, 'n', sizeof name - 1);
    CHECK(mkdir("/tmp/short", 0700) == 0 && chdir("/tmp/short") == 0);
    for (int i = 0; i < 4000; i++) {
        char path[300];
        sprintf(path, "%0200d", i);
        CHECK(symlink(path, path) == 0);
    }
    CHECK(pipe(ends) == 0);
    for (int i = 0; i < 4000; i++) {
        char path[300];
        sprintf(path, "%0200d", i);
        CHECK(unlink(path) == 0);
    }
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        for (;;)
            touched(LARGE); /* until it is killed */
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(chdir("/") == 0 && rmdir("/tmp/short") == 0);
}

/* On the file system that is mounted at /mnt. */
static void on_disk(void)
{
    char *memory = touched(16 * MIB);
    int file = open("/mnt/large", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && write(file, memory, 16 * MIB) == 16 * MIB);
    CHECK(fsync(file) == 0);
    CHECK(pread(file, memory, 16 * MIB, 0) == 16 * MIB);
    CHECK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 8 * MIB) == 0);
    CHECK(ftruncate(file, 1) == 0);
    CHECK(unlink("/mnt/large") == 0 && close(file) == 0);
    CHECK(mkdir("/mnt/names", 0700) == 0 && chdir("/mnt/names") == 0);
    char name[64], entries[65536];
    for (int i = 0; i < 2000; i++) {
        sprintf(name, "a name that is not short %d", i);
        CHECK(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0);
    }
    int directory = open(".", O_RDONLY);
    while (syscall(SYS_getdents64, directory, entries, sizeof entries) > 0)
        ;
    CHECK(fsync(directory) == 0 && close(directory) == 0);
    for (int i = 0; i < 2000; i++) {
        sprintf(name, "a name that is not short %d", i);
        CHECK(unlink(name) == 0);
    }
    CHECK(chdir("/") == 0 && rmdir("/mnt/names") == 0);
    sync();
}

static void processes(void)
{
    setpgid(0, 0);
    for (int i = 0; i < 250; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            for (;;)
                pause();
    }
    CHECK(read_all("/proc/stat") > 0);
    char entries[65536];
    int proc = open("/proc", O_RDONLY);
    while (syscall(SYS_getdents64, proc, entries, sizeof entries) > 0)
        ;
    signal(SIGTERM, SIG_IGN);
    CHECK(kill(0, SIGTERM) == 0);
    while (wait(0) > 0)
        ;
}

static void directories(void)
{
    char name[300], entries[65536];
    CHECK(mkdir("/tmp/names", 0700) == 0 && chdir("/tmp/names") == 0);
    for (int i = 0; i < 5000; i++) {
        sprintf(name, "%d", i);
        CHECK(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0);
    }
    int directory = open(".", O_RDONLY);
    while (syscall(SYS_getdents64, directory, entries, sizeof entries) > 0)
        ;
    for (int i = 0; i < 5000; i++) {
        sprintf(name, "%d", i);
        CHECK(unlink(name) == 0);
    }
    memset(name, 'd', 200);
    name[200] = 0;
    for (int i = 0; i < 100; i++)
        CHECK(mkdir(name, 0700) == 0 && chdir(name) == 0);
    syscall(SYS_getcwd, entries, sizeof entries);
    CHECK(chdir("/") == 0);
}

static void run_with_many_arguments(void)
{
    static char *list[10000];
    for (int i = 0; i < 9999; i++)
        list[i] = "an argument of a program that has very, very many of them, each not too short";
    list[0] = "true";
    execve("/bin/busybox", list, list);
    _exit(1);
}

static void arguments(void)
{
    in_child(run_with_many_arguments);
}

static int event_of(unsigned type, unsigned long what, unsigned long period, int leader, int output)
{
    struct perf_event_attr wanted = {
        .type = type, .size = sizeof wanted, .config = what, .sample_period = period, .inherit = 1,
        .context_switch = type == PERF_TYPE_SOFTWARE, .sample_stack_user = 32768,
        .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_STACK_USER,
    };
    int event = (int)syscall(SYS_perf_event_open, &wanted, 0, 0, leader, 0);
    CHECK(event >= 0 && (output < 0 || ioctl(event, PERF_EVENT_IOC_SET_OUTPUT, output) == 0));
    return event;
}

/* As many events as a task may have, all of which want samples of the same things, and a ring that takes them. */
static void observed(void)
{
    static char filter[4000];
    int first, event;
    struct rlimit limit = {3000, 3000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    touched(MIB);
    first = event_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 1, -1, -1);
    CHECK(mmap(NULL, 257 * PAGE, PROT_READ, MAP_SHARED, first, 0) != MAP_FAILED); /* it is never full */
    in_child(nothing);
    for (int i = 0; i < 100; i++)
        event_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 1, first, first);
    for (int i = 0; i < 96; i++)
        event_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, 100000, -1, first);
    for (int i = 0; i < 111; i++)
        event_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 1, -1, first);
    strcpy(filter, "id != 1");
    while (strlen(filter) < sizeof filter - 20)
        strcat(filter, " && id != 1");
    for (int i = 0; i < 140; i++) {
        event = event_of(PERF_TYPE_TRACEPOINT, 2, 1, -1, first); /* raw_syscalls:sys_enter */
        CHECK(ioctl(event, PERF_EVENT_IOC_SET_FILTER, filter) == 0);
    }
    for (int i = 0; i < 15; i++)
        usleep(1000);
    touched(MIB);
    for (int i = 0; i < 3; i++)
        in_child(nothing);
    CHECK(ioctl(first, PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP) == 0);
    CHECK(ioctl(first, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP) == 0);
    CHECK(ioctl(first, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP) == 0);
    CHECK(prctl(PR_TASK_PERF_EVENTS_DISABLE) == 0);
    CHECK(prctl(PR_TASK_PERF_EVENTS_ENABLE) == 0);
    close(first);
}

/* One group as large as a task may have it, whose counts each of its children tells at its end, and each sample holds. */
static struct perf_event_attr member(unsigned long what)
{
    return (struct perf_event_attr){
        .type = PERF_TYPE_SOFTWARE, .size = sizeof(struct perf_event_attr), .config = what, .disabled = 1,
        .read_format = PERF_FORMAT_GROUP, .wakeup_events = 1,
    };
}

static char *ring_of_group;

static int first_member(struct perf_event_attr wanted)
{
    int first = (int)syscall(SYS_perf_event_open, &wanted, 0, 0, -1, 0);
    CHECK(first >= 0);
    ring_of_group = mmap(NULL, 257 * PAGE, PROT_READ, MAP_SHARED, first, 0); /* it is never full */
    CHECK(ring_of_group != MAP_FAILED);
    for (int i = 1; i < 450; i++) {
        int event = (int)syscall(SYS_perf_event_open, &wanted, 0, 0, first, 0);
        CHECK(event >= 0 && ioctl(event, PERF_EVENT_IOC_SET_OUTPUT, first) == 0);
    }
    return first;
}

static void sleeps(void) { pause(); }

static void inherited_groups(void)
{
    pid_t children[20];
    struct perf_event_attr wanted = member(PERF_COUNT_SW_PAGE_FAULTS);
    struct rlimit limit = {3000, 3000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    wanted.inherit = wanted.inherit_stat = 1;
    int first = first_member(wanted);
    for (int i = 0; i < 20; i++)
        if ((children[i] = fork()) == 0)
            sleeps();
    CHECK(ioctl(first, PERF_EVENT_IOC_ENABLE, 0) == 0);
    CHECK(ioctl(first, PERF_EVENT_IOC_DISABLE, 0) == 0);
    for (int i = 0; i < 10; i++)
        kill(children[i], SIGKILL);
    for (int i = 0; i < 10; i++)
        waitpid(children[i], NULL, 0);
    CHECK(munmap(ring_of_group, 257 * PAGE) == 0);
    close(first);
    for (int i = 1; i < 450; i++) /* the last one first */
        close(first + 450 - i);
    for (int i = 10; i < 20; i++)
        kill(children[i], SIGKILL);
    for (int i = 10; i < 20; i++)
        waitpid(children[i], NULL, 0);
}

static void group_samples(void)
{
    struct perf_event_attr wanted = member(PERF_COUNT_SW_PAGE_FAULTS);
    struct rlimit limit = {3000, 3000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    wanted.sample_period = 1;
    wanted.sample_type = PERF_SAMPLE_READ;
    int first = first_member(wanted);
    signal(SIGIO, SIG_IGN);
    for (int i = 0; i < 450; i++) {
        CHECK(fcntl(first + i, F_SETOWN, getpid()) == 0);
        CHECK(fcntl(first + i, F_SETFL, O_RDWR | O_ASYNC) == 0);
    }
    CHECK(prctl(PR_TASK_PERF_EVENTS_ENABLE) == 0);
    touched(MIB);
    usleep(100000);
    CHECK(prctl(PR_TASK_PERF_EVENTS_DISABLE) == 0);
}

static void ends_with_program(void)
{
    struct perf_event_attr wanted = member(PERF_COUNT_SW_PAGE_FAULTS);
    struct rlimit limit = {3000, 3000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    wanted.inherit = 1;
    int leader = (int)syscall(SYS_perf_event_open, &wanted, 0, 0, -1, 0);
    CHECK(leader >= 0);
    wanted.remove_on_exec = 1;
    for (int i = 1; i < 450; i++)
        CHECK(syscall(SYS_perf_event_open, &wanted, 0, 0, leader, 0) >= 0);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    for (int i = 0; i < 450; i++) /* the last ones first, all by the end of the process */
        CHECK(dup2(leader + 449 - i, 1000 + i) >= 0);
    CHECK(syscall(SYS_close_range, leader, 999, 0) == 0);
}

/* Events of a processor, in one ring, which more programs write to than one context may have events. */
static void many_users_of_a_ring(void)
{
    struct perf_event_attr wanted = member(PERF_COUNT_SW_DUMMY);
    struct rlimit limit = {9000, 9000};
    pid_t children[12];
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    wanted.read_format = 0;
    wanted.config = PERF_COUNT_SW_PAGE_FAULTS;
    wanted.sample_period = 1;
    wanted.exclude_kernel = 1;
    int first = (int)syscall(SYS_perf_event_open, &wanted, 0, 0, -1, 0);
    CHECK(first >= 0 && mmap(NULL, 257 * PAGE, PROT_READ, MAP_SHARED, first, 0) != MAP_FAILED);
    for (int process = 0; process < 12; process++) {
        pid_t child = fork();
        if (child == 0)
            sleeps();
        CHECK(child > 0);
        children[process] = child;
        for (int i = 0; i < 450; i++) {
            wanted.config = PERF_COUNT_SW_DUMMY;
            int event = (int)syscall(SYS_perf_event_open, &wanted, child, 0, -1, 0);
            CHECK(event >= 0 && ioctl(event, PERF_EVENT_IOC_SET_OUTPUT, first) == 0);
        }
    }
    CHECK(ioctl(first, PERF_EVENT_IOC_ENABLE, 0) == 0);
    touched(MIB);
    CHECK(ioctl(first, PERF_EVENT_IOC_DISABLE, 0) == 0);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
    for (int process = 0; process < 12; process++) {
        kill(children[process], SIGKILL);
        CHECK(waitpid(children[process], NULL, 0) == children[process]);
    }
}

static void large_rings(void)
{
    struct perf_event_attr wanted = {.type = PERF_TYPE_SOFTWARE, .size = sizeof wanted, .config = PERF_COUNT_SW_DUMMY};
    int event = (int)syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0);
    long size = (1 << 15) * PAGE + PAGE;
    char *ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
    CHECK(event >= 0 && ring != MAP_FAILED);
    CHECK(munmap(ring, size) == 0);
}

static void events(void)
{
    in_child(observed);
    in_child(large_rings);
    in_child(inherited_groups);
    in_child(group_samples);
    in_child(ends_with_program);
    in_child(many_users_of_a_ring);
}

static void set_address(struct sockaddr *place, unsigned address)
{
    *(struct sockaddr_in *)place = (struct sockaddr_in){AF_INET, 0, {htonl(address)}};
}

static void write_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text) && close(file) == 0);
}

/* What whoever rules a network can make of a single call: datagrams in many pieces that go round by lo, past many routes,
 * shown to packet sockets with long filters.
 */
static void ruler(void)
{
    CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
    int udp = socket(AF_INET, SOCK_DGRAM, 0), ttl = 64;
    struct ifreq lo = {.ifr_name = "lo"};
    lo.ifr_mtu = 128;
    CHECK(udp >= 0 && ioctl(udp, SIOCSIFMTU, &lo) == 0);
    set_address(&lo.ifr_addr, 0x0a010001);
    CHECK(ioctl(udp, SIOCSIFADDR, &lo) == 0);
    lo.ifr_flags = IFF_UP;
    CHECK(ioctl(udp, SIOCSIFFLAGS, &lo) == 0);
    struct rtentry route = {.rt_dev = "lo", .rt_flags = RTF_UP};
    set_address(&route.rt_genmask, 0xffffff00);
    for (int i = 0; i < 1500; i++) {
        set_address(&route.rt_dst, 0x0b000000 + (i << 8));
        CHECK(ioctl(udp, SIOCADDRT, &route) == 0);
    }
    set_address(&route.rt_dst, 0x0a020000);
    set_address(&route.rt_genmask, 0xffff0000);
    CHECK(ioctl(udp, SIOCADDRT, &route) == 0);
    write_text("/proc/sys/net/ipv4/ip_forward", "1");
    CHECK(setsockopt(udp, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
    struct sockaddr target;
    set_address(&target, 0x0a020001);
    ((struct sockaddr_in *)&target)->sin_port = htons(7);
    char *data = room(MIB);
    CHECK(sendto(udp, data, 40000, 0, &target, sizeof target) == 40000);
    usleep(200000);
    static struct sock_filter steps[2048];
    for (int i = 0; i < 2048; i++)
        steps[i] = (struct sock_filter){BPF_LD | BPF_IMM, 0, 0, 0};
    steps[2047] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, 0xffff};
    struct sock_fprog program = {2048, steps};
    for (int i = 0; i < 8; i++) {
        int shown = socket(AF_PACKET, SOCK_RAW, htons(3));
        CHECK(shown >= 0 && setsockopt(shown, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0);
    }
    ttl = 2;
    CHECK(setsockopt(udp, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
    CHECK(sendto(udp, data, 10000, 0, &target, sizeof target) == 10000);
    usleep(200000);
    lo.ifr_flags = 0;
    CHECK(ioctl(udp, SIOCSIFFLAGS, &lo) == 0);
}

static void networks(void)
{
    in_child(ruler);
}

/* Messages of netlink, put together in `message`. */
static char message[4 * MIB];
static unsigned message_size;
static int rules_socket, links_socket;

static void *put(const void *data, unsigned size)
{
    char *place = message + message_size;
    CHECK(message_size + size + 4 <= sizeof message);
    memset(place, 0, (size + 3) & ~3u);
    memcpy(place, data, size);
    message_size += (size + 3) & ~3u;
    return place;
}

static unsigned open_attribute(int kind)
{
    unsigned short head[2] = {4, kind};
    unsigned start = message_size;
    put(head, 4);
    return start;
}

static void close_attribute(unsigned start)
{
    *(unsigned short *)(message + start) = message_size - start;
}

static void put_attribute(int kind, const void *data, unsigned size)
{
    unsigned start = open_attribute(kind);
    put(data, size);
    *(unsigned short *)(message + start) = 4 + size;
}

static void put_text(int kind, const char *text)
{
    put_attribute(kind, text, strlen(text) + 1);
}

static void put_number(int kind, unsigned value)
{
    value = htonl(value);
    put_attribute(kind, &value, 4);
}

static void put_value(int kind, const void *data, unsigned size)
{
    unsigned outer = open_attribute(kind);
    put_attribute(1, data, size);
    close_attribute(outer);
}

/* A message begins with struct nlmsghdr, and one of netfilter with struct nfgenmsg. */
static unsigned begin_message(int kind, int flags)
{
    unsigned head[4] = {16, (unsigned)kind | (unsigned)flags << 16, 1, 0}, start = message_size;
    put(head, 16);
    return start;
}

static void end_message(unsigned start)
{
    *(unsigned *)(message + start) = message_size - start;
}

static unsigned begin_change(int kind, int flags)
{
    unsigned char general[4] = {kind >> 8 == 10 ? 1 : 0, 0, 0, kind >> 8 == 10 ? 0 : 10};
    unsigned start = begin_message(kind, 1 | flags);
    put(general, 4);
    return start;
}

static void begin_batch(void)
{
    message_size = 0;
    end_message(begin_change(0x10, 0));
}

/* Sends what was put together; an answer that is an error ends the program. */
static void send_message(int socket, int may_wait)
{
    static char answer[65536];
    struct sockaddr kernel = {AF_NETLINK, {0}};
    CHECK(sendto(socket, message, message_size, 0, &kernel, 12) == (long)message_size);
    long size = recv(socket, answer, sizeof answer, may_wait ? 0 : MSG_DONTWAIT);
    errno = size >= 20 ? -*(int *)(answer + 16) : 0;
    CHECK(size < 0 || *(unsigned short *)(answer + 4) != 2 || errno == 0);
    message_size = 0;
}

static void send_batch(void)
{
    end_message(begin_change(0x11, 0));
    send_message(rules_socket, 0);
}

static void list_all(int kind)
{
    static char answer[65536];
    message_size = 0;
    end_message(begin_change(10 << 8 | kind, 0x300));
    send(rules_socket, message, message_size, 0);
    for (;;) {
        long size = recv(rules_socket, answer, sizeof answer, 0);
        CHECK(size > 0);
        for (long at = 0; at < size; at += (*(unsigned *)(answer + at) + 3) & ~3u)
            if (*(unsigned short *)(answer + at + 4) == 3)
                return; /* NLMSG_DONE, which may stand after the last entries */
    }
}

static void put_table(const char *name, int flags)
{
    unsigned start = begin_change(10 << 8, 0x400);
    put_text(1, name);
    put_number(2, flags);
    end_message(start);
}

static void put_chain(const char *table, const char *name, int point)
{
    unsigned start = begin_change(10 << 8 | 3, 0x400);
    put_text(1, table);
    put_text(3, name);
    if (point >= 0) {
        unsigned hook = open_attribute(4);
        put_number(1, point);
        put_number(2, 0);
        close_attribute(hook);
        put_text(7, "filter");
    }
    end_message(start);
}

static unsigned begin_expression(const char *name, unsigned *inner)
{
    unsigned outer = open_attribute(1);
    put_text(1, name);
    *inner = open_attribute(2);
    return outer;
}

/* A rule that looks at the source, or at `set` for source and destination. */
static void put_rule(const char *chain, unsigned address, const char *set)
{
    unsigned start = begin_change(10 << 8 | 6, 0xc00), inner;
    put_text(1, "t");
    put_text(2, chain);
    unsigned expressions = open_attribute(4);
    unsigned outer = begin_expression("payload", &inner);
    put_number(1, 1), put_number(2, 1), put_number(3, 12), put_number(4, set ? 8 : 4);
    close_attribute(inner), close_attribute(outer);
    outer = begin_expression(set ? "lookup" : "cmp", &inner);
    if (set) {
        put_text(1, set), put_number(2, 1);
    } else {
        address = htonl(address);
        put_number(1, 1), put_number(2, 0), put_value(3, &address, 4);
    }
    close_attribute(inner), close_attribute(outer);
    close_attribute(expressions);
    end_message(start);
}

static void put_set(const char *name, int flags, int key, int fields)
{
    unsigned start = begin_change(10 << 8 | 9, 0x400);
    put_text(1, "t"), put_text(2, name);
    put_number(3, flags), put_number(4, 13), put_number(5, key), put_number(10, 1);
    if (fields > 1) {
        unsigned description = open_attribute(9), list = open_attribute(2);
        for (int i = 0; i < fields; i++) {
            unsigned field = open_attribute(1);
            put_number(1, key / fields);
            close_attribute(field);
        }
        close_attribute(list), close_attribute(description);
    }
    end_message(start);
}

static void put_elements(const char *set, int first, int count, int size, int kind)
{
    unsigned start = begin_change(10 << 8 | kind, 0x400);
    put_text(1, "t"), put_text(2, set);
    unsigned elements = open_attribute(3);
    for (int i = 0; i < count; i++) {
        unsigned key[2] = {htonl(0x7f000000), htonl(0x0b000000 + first + i)}, element = open_attribute(1);
        put_value(1, size == 8 ? key : key + 1, size);
        if (size == 8)
            put_value(10, key, size);
        close_attribute(element);
    }
    close_attribute(elements);
    end_message(start);
}

static void to_loopback(void)
{
    struct sockaddr target;
    set_address(&target, INADDR_LOOPBACK);
    ((struct sockaddr_in *)&target)->sin_port = htons(7);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 5; i++)
        CHECK(sendto(udp, "data", 4, 0, &target, sizeof target) == 4 || errno == EPERM || errno == ECONNREFUSED);
    close(udp);
    usleep(50000);
}

static void begin_network(void)
{
    CHECK(unshare(CLONE_NEWNET) == 0);
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int udp = socket(AF_INET, SOCK_DGRAM, 0), size = 16 * MIB;
    CHECK(ioctl(udp, SIOCSIFFLAGS, &lo) == 0);
    close(udp);
    rules_socket = socket(AF_NETLINK, SOCK_RAW, 12);
    links_socket = socket(AF_NETLINK, SOCK_RAW, 0);
    CHECK(setsockopt(rules_socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0);
}

/* Rules that a packet passes at several points of its way, ranges that are tried, and many of everything. */
static void many_rules(void)
{
    static const char *const POINTS[] = {"pre", "in", "forward", "out", "post"};
    char name[16];
    begin_network();
    begin_batch();
    put_table("t", 0);
    for (int i = 0; i < 5; i++)
        put_chain("t", POINTS[i], i);
    for (int i = 0; i < 5000; i++)
        put_rule(POINTS[(i / 1250 + 3) % 5], 0x0b000000 + i, NULL);
    send_batch();
    to_loopback();
    list_all(7);
    begin_batch();
    unsigned start = begin_change(10 << 8 | 8, 0);
    put_text(1, "t");
    end_message(start);
    send_batch();
    begin_batch();
    put_set("ranges", 0x84, 8, 2);
    put_elements("ranges", 0, 1000, 8, 12);
    for (int i = 0; i < 8; i++)
        put_rule("out", 0, "ranges");
    send_batch();
    to_loopback();
    begin_batch();
    for (int i = 0; i < 1000; i++) {
        sprintf(name, "t%d", i);
        put_table(name, 0);
        put_chain(name, "c", -1);
    }
    for (int i = 0; i < 1000; i++) {
        sprintf(name, "b%d", i);
        put_chain("t", name, i % 2 ? 1 : 3);
    }
    send_batch();
    to_loopback();
    for (int i = 0; i < 4; i++) {
        begin_batch();
        put_table("t", i % 2 == 0);
        send_batch();
    }
    list_all(1), list_all(4);
}

static void many_elements(void)
{
    begin_network();
    begin_batch();
    put_table("t", 0);
    put_set("s", 0, 4, 1);
    send_batch();
    for (int part = 0; part < 40; part++) {
        begin_batch();
        put_elements("s", part * 1000, 1000, 4, 12);
        send_batch();
    }
    list_all(10);
    begin_batch();
    unsigned start = begin_change(10 << 8 | 14, 0);
    put_text(1, "t"), put_text(2, "s");
    end_message(start);
    send_batch();
}

static void firewall(void)
{
    in_child(many_rules);
    in_child(many_elements);
}

/* A bridge of 1,000 ports goes up and down, and ends; another one ends with its network. */
static void bridge_of_many(void)
{
    begin_network();
    struct ifreq bridge = {.ifr_name = "br0"};
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(ioctl(udp, 0x89a0, "br0") == 0); /* SIOCBRADDBR */
    CHECK(ioctl(udp, SIOCGIFINDEX, &bridge) == 0);
    int master = bridge.ifr_ifindex;
    for (int i = 0; i < 1000; i++) {
        char name[16];
        unsigned general[4] = {0, 0, IFF_UP, IFF_UP};
        sprintf(name, "d%d", i);
        message_size = 0;
        unsigned start = begin_message(16, 0x605);
        put(general, 16);
        put_text(3, name);
        put_attribute(10, &master, 4);
        unsigned information = open_attribute(18);
        put_text(1, "dummy");
        close_attribute(information);
        end_message(start);
        send_message(links_socket, 1);
    }
    for (int i = 0; i < 3; i++) {
        bridge.ifr_flags = i % 2 == 0 ? IFF_UP : 0;
        CHECK(ioctl(udp, SIOCSIFFLAGS, &bridge) == 0);
        usleep(200000);
    }
    for (int i = 0; i < 7000; i++) { /* entries of its own */
        unsigned char link[6] = {2, 1, 0, 0, i >> 8, i};
        struct { unsigned family, index; unsigned short state; unsigned char flags, type; } head =
            {7, master, 0x80, 2, 0};
        unsigned start = begin_message(28, 0x601);
        put(&head, 12);
        put_attribute(2, link, 6);
        end_message(start);
        if (i % 500 == 499)
            send_message(links_socket, 0);
    }
    bridge.ifr_flags = 0;
    CHECK(ioctl(udp, SIOCSIFFLAGS, &bridge) == 0);
    CHECK(ioctl(udp, 0x89a1, "br0") == 0); /* SIOCBRDELBR */
}

static void bridges(void)
{
    in_child(bridge_of_many);
    usleep(500000);
}

/* Programs and maps of bpf(2): attributes by offset, instructions as RFC 9669 numbers them. */
static char attributes[152];

static void attribute(unsigned offset, uint64_t value, size_t size)
{
    memcpy(attributes + offset, &value, size);
}

static long bpf(int command, unsigned size)
{
    long result = syscall(SYS_bpf, command, attributes, size);
    int error = errno;
    memset(attributes, 0, sizeof attributes);
    errno = error;
    return result;
}

static int new_map(int type, unsigned key, unsigned value, unsigned most)
{
    attribute(0, type, 4), attribute(4, key, 4), attribute(8, value, 4), attribute(12, most, 4);
    attribute(16, type == 1, 4); /* hash tables without places made before */
    int map = bpf(0, 80);
    CHECK(map >= 0);
    return map;
}

#define MOST_STEPS 65536
static uint64_t steps_of_program[MOST_STEPS];
static unsigned step_count;

static void step(int code, int destination, int source, int offset, int constant)
{
    steps_of_program[step_count++] = (unsigned)code | (unsigned)destination << 8 | (unsigned)source << 12 |
                                     (uint64_t)(uint16_t)offset << 16 | (uint64_t)(uint32_t)constant << 32;
}

static void step_map(int destination, int map)
{
    step(0x18, destination, 1, 0, map);
    step(0, 0, 0, 0, 0);
}

/* Ends the program that was begun, and loads it. */
static int load_steps(void)
{
    step(0xb7, 0, 0, 0, 1);
    step(0x95, 0, 0, 0, 0);
    attribute(0, 15, 4), attribute(4, step_count, 4);
    attribute(8, (uintptr_t)steps_of_program, 8), attribute(16, (uintptr_t) "GPL", 8);
    step_count = 0;
    return bpf(5, 148);
}

static void counting(int turns)
{
    step(0xb7, 0, 0, 0, 0);
    step(0x07, 0, 0, 0, 1);
    step(0xa5, 0, 0, -2, turns);
}

static void great_programs(void)
{
    int maps[64];
    for (int i = 0; i < 64; i++)
        maps[i] = new_map(2, 4, 8, 1);
    for (int i = 0; i < 64; i++)
        step_map(1, maps[i]);
    while (step_count < MOST_STEPS - 2)
        step_map(1, maps[63]);
    int program = load_steps();
    CHECK(program >= 0);
    close(program);
    int wide = new_map(1, 512, 512, 8);
    for (int i = 1; i <= 64; i++)
        step(0x7a, 10, 0, -8 * i, 0);
    while (step_count < MOST_STEPS - 10) {
        step_map(1, wide);
        step(0xbf, 2, 10, 0, 0);
        step(0x07, 2, 0, 0, -512);
        step(0xbf, 3, 2, 0, 0);
        step(0xb7, 4, 0, 0, 0);
        step(0x85, 0, 0, 0, 2);
    }
    program = load_steps();
    CHECK(program >= 0);
    close(program);
    for (int i = 0; i < 64; i++)
        close(maps[i]);
    counting(600000);
    CHECK(load_steps() < 0 && errno == E2BIG);
}

/* A large area moves, as a whole and from its middle, also where no page table is. */
static void moves(void)
{
    char *memory = touched(LARGE);
    char *other = room(LARGE), *third = (char *)0x200000000000;
    CHECK(mremap(memory, LARGE, LARGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other);
    CHECK(mremap(other, LARGE, LARGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4, third) == third);
    CHECK(mremap(third + LARGE / 4, LARGE / 2, LARGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory);
    CHECK(mremap(memory, LARGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other);
    CHECK(*other == 1);
}

static long get_number(const char *path)
{
    char text[32] = "";
    int file = open(path, O_RDONLY);
    CHECK(file >= 0);
    CHECK(read(file, text, sizeof text - 1) > 0);
    close(file);
    return atol(text);
}

/* Pairs of equal pages; all have one checksum, as far as it is one of words: two words after each other differ from
 * those of other pairs in their highest bits.
 */
#define KSM "/sys/kernel/mm/ksm/"
static void merging(void)
{
    const long count = 4096;
    char *memory = room(count * PAGE);
    for (long i = 0; i < count; i++) {
        uint32_t *words = (uint32_t *)(memory + i * PAGE);
        memset(words, 0x55, PAGE);
        for (int bit = 0; bit < 11; bit++)
            if (i >> 1 >> bit & 1)
                words[1000 + 2 * bit] ^= 0x80000000, words[1001 + 2 * bit] ^= 0x80000000;
    }
    CHECK(madvise(memory, count * PAGE, MADV_MERGEABLE) == 0);
    write_text(KSM "smart_scan", "0");
    write_text(KSM "pages_to_scan", "4096");
    write_text(KSM "sleep_millisecs", "1");
    write_text(KSM "run", "1");
    for (int i = 0; i < 3000 && get_number(KSM "full_scans") < 3; i++)
        usleep(10000);
    CHECK(get_number(KSM "full_scans") >= 3);
    CHECK(get_number(KSM "pages_sharing") > 0);
    CHECK(get_number(KSM "stable_node_dups") == 0);
    write_text(KSM "run", "2");
    write_text(KSM "run", "0");
    CHECK(get_number(KSM "pages_shared") == 0);
}

static void great_maps(void)
{
    int map = new_map(1, 8, 8, 100000);
    uint64_t key, value = 1;
    for (key = 0; key < 100000; key++) {
        attribute(0, map, 4), attribute(8, (uintptr_t)&key, 8), attribute(16, (uintptr_t)&value, 8);
        CHECK(bpf(2, 32) == 0);
    }
    int count = 0;
    attribute(0, map, 4), attribute(16, (uintptr_t)&key, 8);
    while (bpf(4, 24) == 0) {
        count++;
        attribute(0, map, 4), attribute(8, (uintptr_t)&key, 8), attribute(16, (uintptr_t)&key, 8);
    }
    CHECK(count == 100000);
    for (key = 0; key < 99999; key++) {
        attribute(0, map, 4), attribute(8, (uintptr_t)&key, 8);
        CHECK(bpf(3, 16) == 0);
    }
    attribute(0, map, 4), attribute(16, (uintptr_t)&key, 8);
    CHECK(bpf(4, 24) == 0 && key == 99999);
    for (key = 0; key < 99999; key++) {
        attribute(0, map, 4), attribute(8, (uintptr_t)&key, 8), attribute(16, (uintptr_t)&value, 8);
        CHECK(bpf(2, 32) == 0);
    }
    close(map);
    close(new_map(2, 4, 8, 8 * MIB));
}

static void long_runs(void)
{
    CHECK(mkdir("/tmp/bpf", 0755) == 0 && mount("c", "/tmp/bpf", "cgroup2", 0, 0) == 0);
    CHECK(mkdir("/tmp/bpf/bpf", 0755) == 0);
    counting(100000);
    int program = load_steps(), group = open("/tmp/bpf/bpf", O_RDONLY | O_DIRECTORY);
    CHECK(program >= 0 && group >= 0);
    attribute(0, group, 4), attribute(4, program, 4), attribute(8, 6, 4);
    CHECK(bpf(8, 32) == 0);
    pid_t child = fork();
    if (child == 0) {
        write_text("/tmp/bpf/bpf/cgroup.procs", "0");
        CHECK(open("/dev/null", O_RDONLY) >= 0 && mknod("/tmp/bpf.null", S_IFCHR | 0600, 0x103) == 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    close(group);
    CHECK(unlink("/tmp/bpf.null") == 0 && rmdir("/tmp/bpf/bpf") == 0);
    CHECK(umount("/tmp/bpf") == 0 && rmdir("/tmp/bpf") == 0);
}

static void programs(void)
{
    great_programs();
    great_maps();
    long_runs();
}

/* Huge pages: the pool's size, faults, copies, and giving them back. */
static void set_huge_pool(const char *count)
{
    int fd = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
    CHECK(fd >= 0);
    CHECK(write(fd, count, strlen(count)) == (ssize_t)strlen(count));
    close(fd);
}

static void huge_pages(void)
{
    const long size = 40 * MIB, huge = 2 * MIB;
    char *small;

    set_huge_pool("60");
    small = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    CHECK(small != MAP_FAILED);
    memset(small, 1, size);
    pid_t child = fork();
    if (child == 0) {
        for (long at = 0; at < size; at += huge)
            small[at] = 2;
        CHECK(mprotect(small, size, PROT_NONE) == 0);
        CHECK(mprotect(small, size, PROT_READ) == 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(madvise(small, size, MADV_DONTNEED) == 0);
    CHECK(mlock(small, size) == 0);
    CHECK(munmap(small, size) == 0);
    char *shared = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    CHECK(shared != MAP_FAILED);
    memset(shared, 1, size);
    CHECK(madvise(shared + PAGE, size - huge, MADV_REMOVE) == 0);
    CHECK(munmap(shared, size) == 0);
    set_huge_pool("0");
}

/* 3,000 processes of a terminal's foreground group: a key signals all of them, and so does the end of the leader of their
 * session, whose children they are. Their new parent finds them dead.
 */
static void leader_of_many(void)
{
    char name[64];
    sigset_t interrupt;
    int number, unlock = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    CHECK(setsid() > 0);
    CHECK(master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0 && ioctl(master, TIOCGPTN, &number) == 0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    CHECK(tcgetpgrp(open(name, O_RDWR)) == getpid());
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigaddset(&interrupt, SIGIO);
    CHECK(sigprocmask(SIG_BLOCK, &interrupt, 0) == 0);
    for (int i = 0; i < 3000; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            for (;;)
                pause();
    }
    CHECK(write(master, "\3", 1) == 1);
    CHECK(sigpending(&interrupt) == 0 && sigismember(&interrupt, SIGINT));
    int ends[2]; /* the same from where nothing may sleep, so that it comes soon after */
    CHECK(pipe(ends) == 0 && fcntl(ends[0], F_SETOWN, -getpid()) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_ASYNC) == 0 && write(ends[1], "", 1) == 1);
    do {
        usleep(100000);
        CHECK(sigpending(&interrupt) == 0);
    } while (!sigismember(&interrupt, SIGIO));
}

/* And 14,000 dead ones with one number after the other, which the next process does not get; their parent looks for
 * others among them.
 */
static void crowds(void)
{
    char text[16];
    write_text("/proc/sys/kernel/threads-max", "20000");
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    in_child(leader_of_many);
    while (wait(0) > 0)
        ;
    for (int i = 0; i < 14000; i++) {
        pid_t child = vfork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(0);
        if (i == 0)
            snprintf(text, sizeof text, "%d", child - 1);
    }
    write_text("/proc/sys/kernel/ns_last_pid", text);
    in_child(nothing);
    siginfo_t information;
    CHECK(waitid(P_ALL, 0, &information, WSTOPPED | WCONTINUED | WNOHANG) < 0 && errno == ECHILD);
    CHECK(waitpid(-1, 0, WNOHANG | __WCLONE) < 0 && errno == ECHILD);
    CHECK(waitpid(0, 0, WNOHANG) > 0 && waitpid(-1, 0, WNOHANG | WUNTRACED) > 0);
    while (wait(0) > 0)
        ;
}

/* Ticks look at 250 timers on the time of a process, whose end none reaches. */
static void compute_by_many_clocks(void)
{
    struct itimerspec far = {{0, 0}, {1000000, 0}};
    struct itimerval also = {{0, 0}, {1000000, 0}};
    struct timespec time;
    int timer;
    for (int i = 0; i < 250; i++) {
        CHECK(syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, 0, &timer) == 0);
        CHECK(syscall(SYS_timer_settime, timer, 0, &far, 0) == 0);
    }
    CHECK(setitimer(ITIMER_PROF, &also, 0) == 0 && setitimer(ITIMER_VIRTUAL, &also, 0) == 0);
    do
        CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    while (time.tv_sec == 0 && time.tv_nsec < 50000000);
}

/* 1,500 threads that sleep: stopped, continued and killed, and ended by one of them. */
static void crowds_of_threads(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    write_text("/proc/sys/kernel/threads-max", "20000");
    for (int round = 0; round < 2; round++) {
        int ends[2], status;
        char byte;
        CHECK(pipe(ends) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            pthread_t thread;
            int count = 0;
            while (count < 1500 && pthread_create(&thread, &small, forever, 0) == 0)
                count++;
            CHECK(count > 1200); /* or the call would be too short to show anything */
            usleep(100000); /* until all sleep */
            compute_by_many_clocks();
            CHECK(write(ends[1], "", 1) == 1);
            if (round == 1)
                _exit(0);
            forever(0);
        }
        close(ends[1]);
        CHECK(read(ends[0], &byte, 1) == 1);
        close(ends[0]);
        if (round == 0) {
            CHECK(kill(child, SIGSTOP) == 0);
            CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
            CHECK(kill(child, SIGCONT) == 0);
            CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
            CHECK(kill(child, SIGKILL) == 0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(round == 0 ? WIFSIGNALED(status) : status == 0);
    }
}

/* 200,000 descriptors and one far away from them: they come, are copied, looked at, closed by a new program, and go. */
static void hundred_thousands_of_files(void)
{
    struct rlimit limit = {1000100, 1000100};
    struct stat status;
    int count = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(dup2(0, 1000000) == 1000000);
    while (dup(0) < 200000)
        ;
    in_child(nothing);
    CHECK(stat("/proc/self/fd", &status) == 0 && status.st_size > 200000);
    DIR *listing = opendir("/proc/self/fd");
    while (readdir(listing))
        count++;
    CHECK(count > 200000);
    CHECK(syscall(SYS_close_range, 100000, ~0u, 4) == 0); /* CLOSE_RANGE_CLOEXEC */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/true", "true", (char *)0);
        _exit(1);
    }
    int result;
    CHECK(waitpid(child, &result, 0) == child && result == 0);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
}

/* A process with 130,000 descriptors runs out of memory. */
static void great_tables(void)
{
    in_child(hundred_thousands_of_files);
    struct rlimit limit = {130100, 130100};
    int status;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(dup2(0, 130000) == 130000);
    while (dup(0) < 100000)
        ;
    CHECK(read_all("/proc/self/oom_score") > 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        for (;;)
            touched(LARGE); /* until it is killed */
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

/* A tree of many mounts is read, written out, shared, copied by propagation, bound, detached, and copied for a namespace
 * that ends. One mount appears on many peers.
 */
#define MANY_MOUNTS 6000
static void many_mounts(void)
{
    char name[64];
    CHECK(unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0);
    CHECK(mkdir("/tmp/mounts", 0755) == 0 && mount("t", "/tmp/mounts", "tmpfs", 0, 0) == 0);
    CHECK(mkdir("/tmp/mounts/a", 0755) == 0 && mkdir("/tmp/mounts/b", 0755) == 0);
    CHECK(mkdir("/tmp/mounts/a/s", 0755) == 0 && mkdir("/tmp/mounts/a/s/in", 0755) == 0);
    for (int i = 0; i < MANY_MOUNTS; i++) {
        sprintf(name, "/tmp/mounts/a/%d", i);
        CHECK(mkdir(name, 0755) == 0 && mount("/tmp/mounts/a/s", name, 0, MS_BIND, 0) == 0);
    }
    read_all("/proc/self/mounts"), read_all("/proc/self/mountinfo");
    sync();
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWNS) != 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(mount("/tmp/mounts", "/tmp/mounts/b", 0, MS_BIND | MS_REC, 0) == 0);
    CHECK(umount2("/tmp/mounts/b", MNT_DETACH) == 0);
    CHECK(mount(0, "/tmp/mounts", 0, MS_REC | MS_SHARED, 0) == 0);
    CHECK(mount("/tmp/mounts/a", "/tmp/mounts/b", 0, MS_BIND | MS_REC, 0) == 0);
    CHECK(umount2("/tmp/mounts/b", MNT_DETACH) == 0); /* by propagation, those below a go, too */
    CHECK(mount(0, "/tmp/mounts", 0, MS_REC | MS_PRIVATE, 0) == 0);
    CHECK(mount("/tmp/mounts/a/s", "/tmp/mounts/b", 0, MS_BIND, 0) == 0);
    CHECK(mount(0, "/tmp/mounts/b", 0, MS_SHARED, 0) == 0);
    for (int i = 0; i < MANY_MOUNTS / 2; i++) {
        sprintf(name, "/tmp/mounts/a/%d", i);
        CHECK(mount("/tmp/mounts/b", name, 0, MS_BIND, 0) == 0);
    }
    CHECK(mount("/tmp/mounts/a/s", "/tmp/mounts/b/in", 0, MS_BIND, 0) == 0);
    CHECK(umount("/tmp/mounts/b/in") == 0);
    CHECK(umount2("/tmp/mounts", MNT_DETACH) == 0);
}

static void mounts(void)
{
    in_child(many_mounts);
    CHECK(rmdir("/tmp/mounts") == 0);
}

/* As many objects of each kind of System V as there may be, and many POSIX queues, in a namespace that ends. */
#define MANY_OBJECTS 32000
static void objects_of_a_namespace(void)
{
    char name[16];
    struct { int words[16]; } numbers;
    static int sets[MANY_OBJECTS];
    CHECK(unshare(CLONE_NEWIPC) == 0);
    write_text("/proc/sys/kernel/shmmni", "32768");
    for (int i = 0; i < MANY_OBJECTS; i++) {
        sets[i] = semget(i + 1, 1, IPC_CREAT | 0600);
        CHECK(sets[i] >= 0 && msgget(i + 1, IPC_CREAT | 0600) >= 0);
        CHECK(i % 4 != 0 || syscall(SYS_shmget, i + 1, PAGE, IPC_CREAT | 0600) >= 0);
    }
    CHECK(read_all("/proc/sysvipc/sem") > 0 && read_all("/proc/sysvipc/msg") > 0 && read_all("/proc/sysvipc/shm") > 0);
    CHECK(semctl(0, 0, SEM_INFO, &numbers) >= 0 && semctl(0, 0, IPC_INFO, &numbers) >= 0);
    CHECK(msgctl(0, MSG_INFO, (void *)&numbers) >= 0 && syscall(SYS_shmctl, 0, 14, &numbers) >= 0);
    struct sembuf undone = {0, 1, SEM_UNDO};
    for (int i = 0; i < MANY_OBJECTS; i += 8)
        CHECK(semop(sets[i], &undone, 1) == 0);
    CHECK(semctl(sets[MANY_OBJECTS - 1], 0, IPC_RMID) == 0 && semget(1 << 20, 1, IPC_CREAT | 0600) >= 0);
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_MSGQUEUE, &none) == 0);
    long attributes[8] = {0, 1, 8};
    for (int i = 0; i < 8000; i++) {
        sprintf(name, "q%d", i);
        int queue = syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, attributes);
        CHECK(queue >= 0);
        close(queue);
    }
}

static void objects(void)
{
    in_child(objects_of_a_namespace);
}

/* 600,000 descriptors to poll, and sets of a million to select from, most of them empty. */
static void most_polled(void)
{
    const int count = 600000, most = 1 << 20;
    struct rlimit limit = {most, most};
    struct pollfd *wanted = (void *)room(count * sizeof *wanted);
    unsigned char *sets = (unsigned char *)room(3 * most / 8);
    struct timeval now = {0, 1000};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int bell = eventfd(0, 0);
    CHECK(bell >= 0 && dup2(bell, most - 1) == most - 1);
    for (int i = 0; i < count; i++)
        wanted[i] = (struct pollfd){i % 3 ? -1 : bell, POLLPRI, 0};
    CHECK(poll(wanted, count, 1) == 0);
    wanted[count - 1] = (struct pollfd){bell, POLLOUT, 0};
    CHECK(poll(wanted, count, -1) == 1);
    sets[most / 8 - 1] = 128;
    CHECK(syscall(SYS_select, most, sets, sets + most / 8, sets + most / 4, &now) == 0);
}

static void polls(void)
{
    in_child(most_polled);
}

static char *map_page(int file)
{
    char *page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(page != MAP_FAILED);
    return page;
}

/* A page that 20,000 areas of a process and of its children show, before it is written back, evicted and cut off. */
static void map_very_often(int file)
{
    CHECK(ftruncate(file, PAGE) == 0);
    for (int i = 0; i < 20000; i++)
        *map_page(file) = 1;
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0)
            pause();
    }
    CHECK(fsync(file) == 0);
    int caches = open("/proc/sys/vm/drop_caches", O_WRONLY);
    CHECK(write(caches, "3", 1) == 1 && close(caches) == 0);
    if (fcntl(file, 1024, F_RDLCK) == 0) /* F_SETLEASE: nobody has a file of memory open for writing */
        CHECK(fcntl(file, 1024, F_UNLCK) == 0);
    CHECK(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0 || errno == EOPNOTSUPP);
    *map_page(file) = 2;
    CHECK(ftruncate(file, 0) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(kill(children[i], SIGKILL) == 0 && waitpid(children[i], 0, 0) == children[i]);
}

static void map_memory_often(void)
{
    map_very_often(memfd_create("mapped", 0));
}

static void map_disk_often(void)
{
    map_very_often(open("/mnt/mapped", O_RDWR | O_CREAT, 0600));
}

static void mapped_often(void)
{
    in_child(map_memory_often);
    in_child(map_disk_often);
}

/* A long file of holes, with a page in memory in each 256 KiB. */
static void holes(void)
{
    const long count = 50000, step = 256 << 10;
    char byte;
    int file = open("/mnt/holes", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0 && ftruncate(file, count * step) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM) == 0);
    for (long i = 0; i < count; i++)
        CHECK(pread(file, &byte, 1, i * step) == 1);
    uint64_t range[2] = {0, 0}, found[5];
    CHECK(syscall(451, file, range, found, 0) == 0 && found[0] >= count / 2); /* cachestat */
    CHECK(posix_fadvise(file, 10 * step + PAGE, step / 2, POSIX_FADV_DONTNEED) == 0);
    CHECK(posix_fadvise(file, 10 * step, count / 2 * step, POSIX_FADV_DONTNEED) == 0);
    CHECK(ftruncate(file, (count - 1) * step) == 0 && ftruncate(file, 1) == 0);
    CHECK(close(file) == 0 && unlink("/mnt/holes") == 0);
}

/* 40,000 descriptors: files that are locked, timers that end when the clock is set; and rules for all ports. */
static void crowded_tables(void)
{
    const int count = 40000;
    struct rlimit limit = {2 * count + 100, 2 * count + 100};
    struct timespec now;
    struct itimerspec at = {{0, 0}, {1L << 33, 0}};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < count; i++) {
        int file = memfd_create("", 0), timer = timerfd_create(CLOCK_REALTIME, 0);
        CHECK(file >= 0 && flock(file, LOCK_EX) == 0);
        CHECK(timer >= 0 && timerfd_settime(timer, TFD_TIMER_ABSTIME | 2, &at, 0) == 0); /* CANCEL_ON_SET */
    }
    CHECK(read_all("/proc/locks") > count * 30);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0 && clock_settime(CLOCK_REALTIME, &now) == 0);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
    uint64_t handled[2] = {0, 3};
    int rules = syscall(444, handled, sizeof handled, 0); /* landlock_create_ruleset */
    CHECK(rules >= 0);
    for (uint64_t port = 0; port < 65536; port++) {
        uint64_t rule[2] = {1, port};
        CHECK(syscall(445, rules, 2, rule, 0) == 0);
    }
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(446, rules, 0) == 0);
}

static void rules(void)
{
    in_child(crowded_tables);
}

/* A keyring with many keys is cleared, revoked and unlinked, also with keyrings in it, and ends with its session. */
static long add_key_to(long keyring, const char *kind, const char *name)
{
    int has_data = strcmp(kind, "user") == 0;
    long key = syscall(SYS_add_key, kind, name, has_data ? "x" : NULL, has_data, keyring);
    CHECK(key > 0);
    return key;
}

static void many_keys(void)
{
    char name[16];
    CHECK(syscall(SYS_keyctl, 1, 0L, 0, 0, 0) > 0); /* a session of its own */
    for (int round = 0; round < 4; round++) {
        long keyring = add_key_to(-3, "keyring", "ring");
        for (int i = 0; i < 10000; i++) {
            sprintf(name, "k%d", i);
            add_key_to(keyring, round % 2 ? "keyring" : "user", name);
        }
        if (round == 0)
            CHECK(syscall(SYS_keyctl, 7, keyring, 0, 0, 0) == 0);
        if (round == 1)
            CHECK(syscall(SYS_keyctl, 3, keyring, 0, 0, 0) == 0);
        if (round == 2)
            CHECK(syscall(SYS_keyctl, 9, keyring, -3L, 0, 0) == 0);
    }
}

static void keys(void)
{
    in_child(many_keys);
}

/* A keyring with 50,000 keys is listed and searched, and 30,000 keyrings let go of one key. */
static void great_keyrings(void)
{
    char name[16];
    static int serials[100000];
    CHECK(syscall(SYS_keyctl, 1, 0L, 0, 0, 0) > 0);
    long great = add_key_to(-3, "keyring", "great"), many = add_key_to(-3, "keyring", "many");
    long shared = add_key_to(-3, "user", "shared"), late = add_key_to(-3, "user", "late");
    for (int i = 0; i < 50000; i++) {
        sprintf(name, "k%d", i);
        add_key_to(great, "user", name);
    }
    CHECK(syscall(SYS_keyctl, 11, great, serials, sizeof serials, 0) == 50000 * 4);
    for (int i = 0; i < 30000; i++) {
        sprintf(name, "r%d", i);
        long ring = add_key_to(many, "keyring", name);
        CHECK(syscall(SYS_keyctl, 8, shared, ring, 0, 0) == 0 && syscall(SYS_keyctl, 8, late, ring, 0, 0) == 0);
    }
    CHECK(syscall(SYS_keyctl, 10, -3L, "user", "missing", 0) < 0 && errno == ENOKEY);
    CHECK(syscall(SYS_keyctl, 10, -3L, "asymmetric", "id:00112233", 0) < 0 && errno == ENOKEY);
    CHECK(syscall(SYS_keyctl, 21, shared, 0, 0, 0) == 0);
    write_text("/proc/sys/kernel/keys/gc_delay", "0");
    CHECK(syscall(SYS_keyctl, 15, late, 1, 0, 0) == 0);
    sleep(2);
    CHECK(syscall(SYS_keyctl, 6, late, 0, 0, 0) < 0);
    write_text("/proc/sys/kernel/keys/gc_delay", "300");
    CHECK(read_all("/proc/key-users") > 0 && open("/proc/keys", O_RDONLY) >= 0);
    CHECK(syscall(SYS_keyctl, 7, many, 0, 0, 0) == 0 && read_all("/proc/keys") > 50000 * 30);
    CHECK(syscall(SYS_keyctl, 1, "nobody has this name", 0, 0, 0) > 0);
}

static void keyrings(void)
{
    in_child(great_keyrings);
}

/* Many leases on one file: whoever wants to write has all holders notified. */
static void leases(void)
{
    const int count = 20000;
    struct rlimit limit = {count + 100, count + 100};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 && signal(SIGIO, SIG_IGN) != SIG_ERR);
    CHECK(close(open("/tmp/leased", O_WRONLY | O_CREAT, 0600)) == 0);
    for (int i = 0; i < count; i++) {
        int file = open("/tmp/leased", O_RDONLY);
        CHECK(file >= 0 && fcntl(file, 1024, F_RDLCK) == 0); /* F_SETLEASE */
    }
    CHECK(open("/tmp/leased", O_WRONLY | O_NONBLOCK) < 0 && errno == EAGAIN);
    CHECK(read_all("/proc/locks") > 0);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0 && unlink("/tmp/leased") == 0);
}

/* Interfaces with as many addresses, routes, neighbours and groups as a network may have go down, up, and end. */
static int scarce;

static void make_scarce(void)
{
    char *name = "many";
    begin_network();
    message_size = 0;
    unsigned general[4] = {0, 0, IFF_UP, IFF_UP}, start = begin_message(16, 0x605);
    put(general, 16);
    put_text(3, name);
    unsigned information = open_attribute(18);
    put_text(1, "dummy");
    close_attribute(information);
    end_message(start);
    send_message(links_socket, 1);
    scarce = if_nametoindex(name);
    CHECK(scarce > 0);
}

static void bring(const char *name, int up)
{
    struct ifreq device = {.ifr_flags = up ? IFF_UP : 0};
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    strcpy(device.ifr_name, name);
    CHECK(ioctl(udp, SIOCSIFFLAGS, &device) == 0);
    close(udp);
}

static void delete_scarce(void)
{
    unsigned general[4] = {0, scarce, 0, 0}, start = begin_message(17, 5);
    put(general, 16);
    end_message(start);
    send_message(links_socket, 1);
}

static void put_address(int kind, int flags, int index, unsigned address, int prefix)
{
    unsigned char head[8] = {2, prefix, 0, 0};
    memcpy(head + 4, &index, 4);
    unsigned start = begin_message(kind, flags);
    put(head, 8);
    put_number(2, address), put_number(1, address);
    end_message(start);
}

static void put_address6(int index, int number)
{
    unsigned char head[8] = {10, 64, 0, 0}, address[16] = {0xfd, number, [15] = 1};
    memcpy(head + 4, &index, 4);
    unsigned start = begin_message(20, 0x601);
    put(head, 8);
    put_attribute(2, address, 16), put_attribute(1, address, 16);
    end_message(start);
}

static void many_addresses(void)
{
    make_scarce();
    struct ifreq loop = {.ifr_name = "lo"};
    int lo = if_nametoindex(loop.ifr_name);
    for (int i = 1; i < 250; i++)
        put_address(20, 0x601, lo, 0x0b000000 + i, 16);
    send_message(links_socket, 0);
    for (int i = 0; i < 4; i++)
        bring("lo", i % 2);
    put_address(21, 5, lo, 0x0b000001, 16);
    send_message(links_socket, 1);
    for (int i = 0; i < 120; i++)
        put_address(20, 0x601, scarce, 0x0c000001 + (i << 8), 24), put_address6(scarce, i);
    send_message(links_socket, 0);
    for (int i = 0; i < 2; i++)
        bring("many", i);
    for (int i = 0; i < 120; i++)
        put_address6(scarce, i);
    send_message(links_socket, 0);
    delete_scarce();
}

/* The first network may have more: here 1,500 of one prefix, whose first one takes all others with it, and 500 others. */
static void first_addresses(void)
{
    links_socket = socket(AF_NETLINK, SOCK_RAW, 0);
    int lo = if_nametoindex("lo"), size = 16 * MIB;
    CHECK(setsockopt(links_socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0);
    message_size = 0;
    for (int i = 0; i < 2000; i++) {
        if (i < 1500)
            put_address(20, 0x601, lo, 0x0d000001 + i, 16);
        else
            put_address(20, 0x601, lo, 0x0e000001 + (i << 8), 24);
        if (i % 250 == 249)
            send_message(links_socket, 0);
    }
    for (int i = 0; i < 500; i++)
        put_address(21, 1, lo, 0x0e000001 + ((1500 + i) << 8), 24);
    send_message(links_socket, 0);
    put_address(21, 5, lo, 0x0d000001, 16);
    send_message(links_socket, 1);
}

static void put_route(int type, int size, int table, int number)
{
    unsigned char head[12] = {size == 4 ? 2 : 10, size == 4 ? 24 : 64, 0, 0, table, 4, type == 1 ? 253 : 0, type};
    unsigned char destination[16] = {size == 4 ? 12 : 0xfd, number >> 8, number};
    unsigned start = begin_message(24, 0x601);
    put(head, 12);
    put_attribute(1, destination, size);
    if (type == 1)
        put_attribute(4, &scarce, 4);
    end_message(start);
}

static void many_routes(void)
{
    for (int round = 0; round < 2; round++) {
        make_scarce();
        for (int i = 0; i < 8000; i++) {
            put_route(round == 0 ? 1 : 6, i % 2 ? 4 : 16, i % 4 < 2 ? 254 : 255, i);
            if (i % 500 == 499)
                send_message(links_socket, 0);
        }
        if (round == 0)
            bring("many", 0);
        delete_scarce();
    }
}

static void many_neighbours(void)
{
    make_scarce();
    for (int i = 0; i < 1000; i++) {
        unsigned char link[6] = {2, 0, 0, 0, i >> 8, i};
        struct { unsigned family, index; unsigned short state; unsigned char flags, type; } head =
            {2, scarce, 0x80, 0, 1};
        unsigned start = begin_message(28, 0x601);
        put(&head, 12);
        put_number(1, 0x0b000000 + i), put_attribute(2, link, 6);
        end_message(start);
    }
    send_message(links_socket, 0);
    for (int i = 0; i < 500; i++) {
        static int udp;
        struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xe1000000 + i), .imr_ifindex = scarce};
        if (i % 20 == 0)
            udp = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    }
    delete_scarce();
}

static void addresses(void)
{
    in_child(many_addresses);
    in_child(first_addresses);
    in_child(many_routes);
    in_child(many_neighbours);
    usleep(500000);
}

/* 8,000 timers of each kind that expire at the same time, again and again, and go. */
static void many_timers(void)
{
    const int count = 8000;
    struct rlimit files = {count + 100, count + 100};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct timespec now;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_SIGPENDING, &files) == 0);
    signal(SIGUSR1, SIG_IGN);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    struct itimerspec at = {{0, 500000000}, {now.tv_sec + 2, 0}};
    for (int i = 0; i < count; i++) {
        int timer, file = timerfd_create(CLOCK_MONOTONIC, 0);
        CHECK(file >= 0 && timerfd_settime(file, TFD_TIMER_ABSTIME, &at, 0) == 0);
        CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0);
        CHECK(syscall(SYS_timer_settime, timer, TIMER_ABSTIME, &at, 0) == 0);
    }
    do { /* a signal may end a sleep */
        usleep(100000);
        CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    } while (now.tv_sec < at.it_value.tv_sec + 2);
}

/* The wall clock is set while as many follow it. */
static void many_wall_timers(void)
{
    const int count = 8000;
    struct rlimit files = {count + 100, count + 100};
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct timespec now;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_SIGPENDING, &files) == 0);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    struct itimerspec at = {{0, 0}, {now.tv_sec + 100000, 0}};
    for (int i = 0; i < count; i++) {
        int timer, file = timerfd_create(CLOCK_REALTIME, 0);
        int flags = TFD_TIMER_ABSTIME | (i % 2 ? TFD_TIMER_CANCEL_ON_SET : 0);
        CHECK(file >= 0 && timerfd_settime(file, flags, &at, 0) == 0);
        CHECK(syscall(SYS_timer_create, CLOCK_REALTIME, &event, &timer) == 0);
        CHECK(syscall(SYS_timer_settime, timer, TIMER_ABSTIME, &at, 0) == 0);
    }
    now.tv_sec += 1000;
    CHECK(clock_settime(CLOCK_REALTIME, &now) == 0);
    now.tv_sec -= 1000;
    CHECK(clock_settime(CLOCK_REALTIME, &now) == 0);
}

static void timers(void)
{
    in_child(many_timers);
    in_child(many_wall_timers);
}

/* Record locks of one owner, one lock of each of many owners, and flock(2) by as many. */
static int lock_range(int file, int command, short type, long start, long length)
{
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(file, command, &wanted);
}

static void ask_for_locks(void)
{
    int file = open("/tmp/locked", O_RDWR);
    struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 59999, .l_len = 1};
    CHECK(fcntl(file, F_GETLK, &wanted) == 0 && wanted.l_type == F_UNLCK);
    CHECK(lock_range(file, F_SETLK, F_RDLCK, 0, 0) < 0 && errno == EAGAIN);
    CHECK(lock_range(file, F_SETLK, F_RDLCK, 100001, 0) == 0);
}

static void many_locks(void)
{
    const int count = 20000;
    struct rlimit limit = {count + 100, count + 100};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int file = open("/tmp/locked", O_RDWR | O_CREAT, 0600);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 40000; i++)
            CHECK(lock_range(file, F_SETLK, F_WRLCK, 2 * i, 1) == 0);
        CHECK(lock_range(file, F_SETLK, F_UNLCK, 59998, 2) == 0);
        in_child(ask_for_locks);
        CHECK(read_all("/proc/self/fdinfo/3") > 0);
        if (round == 0)
            CHECK(lock_range(file, F_SETLK, F_RDLCK, 1, 0) == 0);
        else
            CHECK(close(dup(file)) == 0);
        CHECK(lock_range(file, F_SETLK, F_UNLCK, 0, 0) == 0);
    }
    for (int i = 4; i < count; i++) {
        int other = open("/tmp/locked", O_RDWR);
        CHECK(other >= 0 && lock_range(other, F_OFD_SETLK, F_RDLCK, i, 10) == 0);
        CHECK(flock(other, LOCK_SH | LOCK_NB) == 0);
    }
    CHECK(lock_range(file, F_OFD_SETLK, F_WRLCK, count + 8, 1) < 0 && errno == EAGAIN);
    CHECK(flock(file, LOCK_EX | LOCK_NB) < 0 && errno == EAGAIN);
    CHECK(read_all("/proc/locks") > 0);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0 && unlink("/tmp/locked") == 0);
}

static void locks(void)
{
    in_child(many_locks);
}

/* One packet, or one message, for thousands of sockets. */
static void many_receivers(void)
{
    const int count = 4000, on = 1;
    struct rlimit limit = {4 * count, 4 * count};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(5000)};
    int last = -1, answer = -1, received;
    char data[1000] = {0};
    for (int i = 0; i < count; i++) {
        last = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(setsockopt(last, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
        CHECK(setsockopt(last, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
        CHECK(bind(last, (struct sockaddr *)&place, sizeof place) == 0);
    }
    int sender = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(setsockopt(sender, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0);
    for (int i = 0; i < 3; i++) {
        place.sin_addr.s_addr = htonl(i == 2 ? 0x7f000001 : 0x7fffffff);
        CHECK(sendto(sender, data, 1000, 0, (struct sockaddr *)&place, sizeof place) == 1000);
    }
    for (int i = 0; i < 2; i++)
        CHECK(recv(last, data, 1000, 0) == 1000); /* the last one gets both as well */
    CHECK(read_all("/proc/net/udp") > 0 && read_all("/proc/net/sockstat") > 0);
    for (int i = 0; i < count; i++) {
        CHECK(socket(AF_INET, SOCK_RAW, 17) >= 0);
        CHECK((last = socket(AF_PACKET, SOCK_RAW, htons(3))) >= 0);
    }
    place.sin_port = htons(5001);
    for (int i = 0; i < 3; i++)
        CHECK(sendto(sender, data, 1000, 0, (struct sockaddr *)&place, sizeof place) == 1000);
    CHECK(recv(last, data, 1000, 0) > 0);
    CHECK(read_all("/proc/net/raw") > 0 && read_all("/proc/net/packet") > 0);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
    for (int i = 0; i < count; i++) {
        struct { unsigned short family, pad; unsigned port, groups; } name = {AF_NETLINK, 0, 0, 1};
        CHECK(bind(last = socket(AF_NETLINK, SOCK_RAW, 0), (struct sockaddr *)&name, sizeof name) == 0);
    }
    answer = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq loop = {.ifr_name = "lo"};
    for (int i = 0; i < 4; i++) {
        loop.ifr_mtu = 65536 - i % 2;
        CHECK(ioctl(answer, SIOCSIFMTU, &loop) == 0);
    }
    loop.ifr_mtu = 65536;
    CHECK(ioctl(answer, SIOCSIFMTU, &loop) == 0);
    received = recv(last, data, 1000, 0);
    CHECK(received > 0);
}

/* The table of connections grows past 32,768. */
static void many_connections(void)
{
    const int count = 16800;
    struct rlimit limit = {2 * count + 100, 2 * count + 100};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(5000)};
    place.sin_addr.s_addr = htonl(0x7f000001);
    CHECK(bind(listener, (struct sockaddr *)&place, sizeof place) == 0 && listen(listener, 100) == 0);
    for (int i = 0; i < count; i++) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(client >= 0 && connect(client, (struct sockaddr *)&place, sizeof place) == 0);
        CHECK(accept(listener, 0, 0) >= 0);
    }
    CHECK(read_all("/proc/net/tcp") > 0 && read_all("/proc/net/sockstat") > 0 && read_all("/proc/net/snmp") > 0);
}

static void receivers(void)
{
    in_child(many_receivers);
    in_child(many_connections);
}

/* Another kernel of 160 MiB, and as much that is zeros: laid out, checked, and given back. */
static void next_kernel(void)
{
    const long size = 10 * MIB;
    char *piece = touched(size);
    struct { void *from; size_t filled; unsigned long to; size_t size; } segments[16];
    for (int i = 0; i < 16; i++) {
        segments[i].from = piece;
        segments[i].filled = (size_t)size;
        segments[i].to = (16 + 20 * (unsigned long)i) * MIB;
        segments[i].size = (size_t)(i < 8 ? 2 * size : size);
    }
    CHECK(syscall(SYS_kexec_load, segments[0].to, 16, segments, 0) == 0);
    CHECK(syscall(SYS_kexec_load, 0, 0, 0, 0) == 0);
}

/* A library that 6,000 areas map: its pages go, and come again. */
static void crowded_library(void)
{
    const long pages = 64;
    int file = open("/mnt/library", O_RDWR | O_CREAT, 0600);
    char *piece = touched(pages * PAGE);
    char *memory = mmap(0, 12000 * pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED && file >= 0 && write(file, piece, pages * PAGE) == pages * PAGE && fsync(file) == 0);
    for (int round = 0; round < 2; round++) {
        for (long i = 0; i < 12000; i += 2) {
            char *at = memory + i * pages * PAGE;
            CHECK(mmap(at, pages * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == at);
            CHECK(at[0] == 1 && at[32 * PAGE] == 1);
        }
        write_text("/proc/sys/vm/drop_caches", "1");
        unsigned char present = 1;
        CHECK(mincore(memory, PAGE, &present) == 0 && (present & 1) == 0);
    }
    CHECK(munmap(memory, 12000 * pages * PAGE) == 0 && close(file) == 0 && unlink("/mnt/library") == 0);
}

static void allow_everything_to_all_threads(void)
{
    struct sock_filter code = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
    struct sock_fprog program = {1, &code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
}

/* 5,000 threads in a control group: frozen, shown, moved, stopped, continued, killed. */
static void crowded_group(void)
{
    pthread_attr_t small;
    pthread_t thread;
    int ends[2], status;
    char byte, text[20];
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    write_text("/proc/sys/kernel/threads-max", "20000");
    CHECK(mkdir("/tmp/crowded", 0755) == 0 && mount("c", "/tmp/crowded", "cgroup2", 0, 0) == 0);
    CHECK(mkdir("/tmp/crowded/one", 0755) == 0 && mkdir("/tmp/crowded/two", 0755) == 0 && pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        write_text("/tmp/crowded/one/cgroup.procs", "0");
        for (int i = 0; i < 5000; i++)
            CHECK(pthread_create(&thread, &small, forever, 0) == 0);
        allow_everything_to_all_threads();
        CHECK(write(ends[1], "", 1) == 1);
        forever(0);
    }
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 1);
    usleep(100000); /* until all sleep */
    write_text("/tmp/crowded/one/cgroup.freeze", "1");
    write_text("/tmp/crowded/one/cgroup.freeze", "0");
    CHECK(read_all("/tmp/crowded/one/cgroup.threads") > 5000 && read_all("/tmp/crowded/one/cgroup.procs") > 0);
    CHECK(read_all("/tmp/crowded/one/cpu.stat") > 0 && read_all("/tmp/crowded/cgroup.threads") > 0);
    sprintf(text, "%d", child);
    write_text("/tmp/crowded/two/cgroup.procs", text);
    write_text("/tmp/crowded/cgroup.subtree_control", "+memory +pids +cpu");
    write_text("/tmp/crowded/cgroup.subtree_control", "-memory -pids -cpu");
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    CHECK(kill(child, SIGCONT) == 0 && waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    write_text("/tmp/crowded/two/cgroup.kill", "1");
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(rmdir("/tmp/crowded/one") == 0 && rmdir("/tmp/crowded/two") == 0 && umount("/tmp/crowded") == 0);
}

/* 100,000 messages in a queue, of which the last is wanted. */
static void long_queue(void)
{
    struct { long kind; char text[1]; } message = {1, {0}};
    write_text("/proc/sys/kernel/msgmnb", "1000000");
    int queue = msgget(IPC_PRIVATE, 0600);
    CHECK(queue >= 0);
    for (int i = 0; i < 100000; i++)
        CHECK(msgsnd(queue, &message, 1, 0) == 0);
    message.kind = 2;
    CHECK(msgsnd(queue, &message, 1, 0) == 0);
    CHECK(msgrcv(queue, &message, 1, 2, 0) == 1 && msgrcv(queue, &message, 1, 3, IPC_NOWAIT) < 0);
    CHECK(msgctl(queue, IPC_RMID, 0) == 0);
}

/* A search for sockets that nobody can reach, among 40,000. */
static void sockets_in_transit(void)
{
    const int count = 40000;
    struct rlimit limit = {count + 100, count + 100};
    int ends[2], passed[2];
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, passed) == 0);
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {
        .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &passed[0], sizeof(int));
    struct iovec part = {"", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK(sendmsg(ends[0], &message, 0) == 1);
    int last = -1;
    for (int i = 0; i < count; i++)
        CHECK((last = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0);
    CHECK(close(last) == 0);
    char byte;
    CHECK(recv(ends[1], &byte, 1, 0) == 1); /* so that the others' ends look for none */
}

static void unreachable_sockets(void)
{
    in_child(sockets_in_transit);
}

static const struct { const char *name; void (*function)(void); } FAMILIES[] = {
    {"random", random_bytes}, {"zeros", zeros}, {"copies", between_files}, {"tmpfs", file_in_memory},
    {"present", present}, {"ranges", ranges}, {"process", large_process}, {"show_areas", show_areas},
    {"areas", change_areas}, {"poll", wait_for_many}, {"descriptors", many_open}, {"seccomp", filters},
    {"vm_readv", others_memory}, {"sockets", pipes_and_sockets}, {"host_sockets", host_sockets},
    {"semaphores", semaphores}, {"futexes", futexes},
    {"terminals", terminals}, {"processes", processes}, {"directories", directories}, {"arguments", arguments},
    {"waiters", many_waiters}, {"wakes", wakes}, {"faults", faults}, {"signals", many_signals}, {"dying", dying},
    {"groups", groups}, {"sets", many_sets}, {"moves", moves}, {"merging", merging},
    {"large_pages", large_pages},
    {"watches", many_watches}, {"listeners", listeners}, {"netlink", netlink_sockets},
    {"most_areas", most_areas}, {"large_ranges", large_ranges}, {"short_memory", short_memory}, {"on_disk", on_disk},
    {"names", many_names}, {"names_on_disk", many_names_on_disk}, {"names_unmounted", many_names_unmounted},
    {"huge", huge_pages}, {"pages", many_pages}, {"cores", cores}, {"events", events},
    {"networks", networks}, {"firewall", firewall}, {"bridges", bridges}, {"bpf", programs},
    {"crowds", crowds}, {"threads", crowds_of_threads}, {"great_tables", great_tables},
    {"mounts", mounts}, {"objects", objects}, {"keys", keys}, {"leases", leases},
    {"addresses", addresses}, {"timers", timers},
    {"polls", polls}, {"mapped_often", mapped_often}, {"holes", holes}, {"rules", rules}, {"keyrings", keyrings},
    {"locks", locks}, {"receivers", receivers},
    {"next_kernel", next_kernel}, {"library", crowded_library}, {"crowded_group", crowded_group}, {"queue", long_queue},
    {"unreachable", unreachable_sockets},
};

int main(int count, char **values)
{
    for (unsigned i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        if (count > 1 && strcmp(values[1], FAMILIES[i].name) == 0) {
            FAMILIES[i].function();
            printf("done\n");
            return 0;
        }
    for (unsigned i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        printf("%s ", FAMILIES[i].name);
    return 2;
}
