/* Covers: bpf (MAP_CREATE, PROG_TEST_RUN), mmap, poll, epoll_ctl: rings of records (BPF_MAP_TYPE_RINGBUF). */
#include "bpf_case.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>

enum { ARRAY = 2, RINGBUF = 27, SOCKET_FILTER = 1 };
enum { OUTPUT = 130, RESERVE, SUBMIT, DISCARD, QUERY };
#define UNIT 4096u

static const struct insn output[] = {
    MOVR(6, 1), STDW(10, -8, 0x11223344), MAP(1), MOVR(2, 10), ADD(2, -8), MOV(3, 8), MOV(4, 0), CALL(OUTPUT), EXIT,
};
static const struct insn reserved[] = {
    MAP(1), MOV(2, 13), MOV(3, 0), CALL(RESERVE), JNE(0, 0, 2), MOV(0, 77), EXIT, STDW(0, 0, 5), STW(0, 8, 7), INSN(0x72, 0, 0, 12, 9), MOVR(1, 0), MOV(2, 0),
    CALL(SUBMIT), MOV(0, 1), EXIT,
};
static const struct insn dropped[] = {
    MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), JNE(0, 0, 2), MOV(0, 77), EXIT, STDW(0, 0, 6), MOVR(1, 0), MOV(2, 0), CALL(DISCARD), MOV(0, 1), EXIT,
};

static const char *of_mapping(void *at) { return at == MAP_FAILED ? error_name(errno) : "ok"; }

static void *map_it(int fd, unsigned pages, int prot, int flags, unsigned first) {
    void *at = mmap(0, pages * UNIT, prot, flags, fd, (off_t)(first * UNIT));
    printf("map %u pages from %u, prot %d, flags %d: %s\n", pages, first, prot, flags, of_mapping(at));
    return at;
}

static uint32_t run(int program) {
    static uint8_t frame[64];
    fresh();
    put32(0, (uint32_t)program); put32(8, sizeof frame); put_address(16, frame);
    long result = bpf(10, 80);
    if (result < 0)
        printf("run: %s\n", error_name(errno));
    return get32(4);
}

static int of_question(int ring, int what) {
    struct insn query[] = { MAP(1), MOV(2, what), CALL(QUERY), EXIT };
    return (int)MUST(load(SOCKET_FILTER, query, COUNT(query), ring));
}

static void creation(void) {
    static const unsigned forms[][5] = {
        { RINGBUF, 0, 0, 4096, 0 }, { RINGBUF, 0, 0, 8192, 0 }, { RINGBUF, 0, 0, 12288, 0 }, { RINGBUF, 0, 0, 2048, 0 }, { RINGBUF, 0, 0, 0, 0 },
        { RINGBUF, 4, 0, 4096, 0 }, { RINGBUF, 0, 4, 4096, 0 }, { RINGBUF, 0, 0, 4096, 1 }, { RINGBUF, 0, 0, 4096, 8 }, { RINGBUF, 0, 0, 4096, 0x400 },
        { RINGBUF, 0, 0, 4096, 128 }, { RINGBUF, 0, 0, 4097, 0 },
    };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        long fd = create_map((int)forms[i][0], forms[i][1], forms[i][2], forms[i][3], forms[i][4]);
        printf("create %u %u %u %#x: %s\n", forms[i][1], forms[i][2], forms[i][3], forms[i][4], said(fd));
        if (fd >= 0)
            close((int)fd);
    }
    IN_CHILD(MUST(setuid(1000)); SHOW(create_map(RINGBUF, 0, 0, 4096, 0)); SHOW(create_map(RINGBUF, 4, 0, 4096, 0)));
}

static void elements(int fd) {
    uint32_t key = 0, value[4] = { 0 };
    SHOW(LOOKUP(fd, 0, value));
    SHOW(LOOKUP(fd, &key, value));
    SHOW(UPDATE(fd, 0, value, 0));
    SHOW(delete(fd, 0));
    SHOW(next_key(fd, 0, value));
    SHOW(elem(21, fd, 0, value, 0));
    uint32_t info[40] = { 0 };
    fresh();
    put32(0, (uint32_t)fd); put32(4, sizeof info); put_address(8, info);
    SHOW(bpf(15, 16));
    printf("type %u, key %u, value %u, most %u, flags %#x\n", info[0], info[2], info[3], info[4], info[5]);
}

static void mappings(int ring) {
    int array = (int)MUST(create_map(ARRAY, 4, 8, 1, 0));
    map_it(array, 1, PROT_READ, MAP_SHARED, 0);
    map_it(array, 1, PROT_READ, MAP_PRIVATE, 0);
    close(array);
    map_it(ring, 1, PROT_READ, MAP_PRIVATE, 0);
    map_it(ring, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    map_it(ring, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 1);
    map_it(ring, 2, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    map_it(ring, 7, PROT_READ, MAP_SHARED, 0);
    map_it(ring, 6, PROT_READ, MAP_SHARED, 1);
    map_it(ring, 1, PROT_READ, MAP_SHARED, 6);
    map_it(ring, 1, PROT_READ, MAP_SHARED, 7);
    uint8_t *all = map_it(ring, 6, PROT_READ, MAP_SHARED, 0);
    SHOW(mprotect(all, UNIT, PROT_READ | PROT_WRITE));
    SHOW(mprotect(all, UNIT, PROT_READ | PROT_EXEC));
    SHOW(munmap(all, 6 * UNIT));
    uint8_t *one = map_it(ring, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    fresh();
    put32(0, (uint32_t)ring);
    SHOW(bpf(22, 4));
    SHOW(munmap(one, UNIT));
}

static void show_poll(int ring, int set) {
    struct pollfd asked = { ring, POLLIN | POLLOUT, 0 };
    struct epoll_event event = { 0 };
    int found = poll(&asked, 1, 0);
    printf("poll: %d, %#x; ", found, (unsigned)asked.revents);
    printf("epoll: %d\n", epoll_wait(set, &event, 1, 0));
}

static void show_records(const uint8_t *data, uint64_t from, uint64_t to, unsigned size) {
    while (from < to) {
        uint32_t header[2];
        memcpy(header, data + from % size, 8);
        unsigned length = header[0] & 0x3fffffff;
        printf("record at %u: header %#x %#x, bytes", (unsigned)(from % size), header[0], header[1]);
        for (unsigned i = 0; i < length && i < 14; i++)
            printf(" %02x", data[from % size + 8 + i]);
        printf("\n");
        from += (length + 15) & ~7u;
    }
}

static void records(int ring) {
    uint32_t *consumer = map_it(ring, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    uint8_t *rest = map_it(ring, 5, PROT_READ, MAP_SHARED, 1);
    uint64_t *produced = (uint64_t *)rest, *read_to = (uint64_t *)consumer;
    uint8_t *data = rest + UNIT;
    int set = (int)MUST(epoll_create1(0));
    struct epoll_event event = { .events = EPOLLIN };
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, ring, &event));
    show_poll(ring, set);
    int out = (int)MUST(load(SOCKET_FILTER, output, COUNT(output), ring));
    int two = (int)MUST(load(SOCKET_FILTER, reserved, COUNT(reserved), ring));
    int three = (int)MUST(load(SOCKET_FILTER, dropped, COUNT(dropped), ring));
    printf("output %u\n", run(out));
    show_poll(ring, set);
    printf("reserve %u, drop %u\n", run(two), run(three));
    printf("produced %llu, read %llu\n", (unsigned long long)*produced, (unsigned long long)*read_to);
    show_records(data, 0, *produced, 8192);
    int questions[] = { of_question(ring, 0), of_question(ring, 1), of_question(ring, 2), of_question(ring, 3), of_question(ring, 4) };
    *read_to = 16;
    for (unsigned i = 0; i < COUNT(questions); i++)
        printf("question %u: %u\n", i, run(questions[i]));
    *read_to = *produced;
    show_poll(ring, set);
    unsigned count = 0;
    while (run(two) == 1)
        count++;
    printf("%u fit, then output %d\n", count, (int)run(out));
    printf("produced %llu\n", (unsigned long long)*produced);
    *read_to += 24;
    printf("reserve %u, output %d\n", run(two), (int)run(out));
    *read_to = *produced - 48;
    while (*produced % 8192 < 8192 - 16) {
        if (run(two) != 1)
            break;
        *read_to = *produced;
    }
    run(two);
    show_records(data, *read_to, *produced, 8192);
    for (int i = 0; i < 3; i++) {
        static const uint64_t lies[] = { UINT64_MAX, 1ull << 63, 7 };
        *read_to = lies[i];
        printf("a reader at %llx: %d\n", (unsigned long long)lies[i], (int)run(out));
        for (unsigned j = 0; j < 1; j++)
            printf("unread: %d\n", run(questions[1]) == 8192);
    }
    *read_to = *produced;
    int child = fork();
    if (child == 0) {
        until_asleep(getppid());
        run(out);
        _exit(0);
    }
    struct pollfd asked = { ring, POLLIN, 0 };
    int found = poll(&asked, 1, 60000);
    printf("woken: %d, %#x\n", found, (unsigned)asked.revents);
    MUST(waitpid(child, 0, 0));
}

static void verifier(int ring) {
    static const struct insn leak[] = { MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), MOV(0, 0), EXIT };
    static const struct insn unchecked[] = { MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), MOVR(1, 0), MOV(2, 0), CALL(SUBMIT), MOV(0, 0), EXIT };
    static const struct insn beyond[] = { MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), JEQ(0, 0, 4), STDW(0, 1, 0), MOVR(1, 0), MOV(2, 0),
                                          CALL(SUBMIT), MOV(0, 0), EXIT };
    static const struct insn inside[] = { MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), JEQ(0, 0, 4), ADD(0, 4), MOVR(1, 0), MOV(2, 0),
                                          CALL(SUBMIT), MOV(0, 0), EXIT };
    static const struct insn twice[] = { MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), JEQ(0, 0, 7), MOVR(6, 0), MOVR(1, 6), MOV(2, 0), CALL(SUBMIT),
                                         MOVR(1, 6), MOV(2, 0), CALL(SUBMIT), MOV(0, 0), EXIT };
    static const struct insn after[] = { MAP(1), MOV(2, 8), MOV(3, 0), CALL(RESERVE), JEQ(0, 0, 5), MOVR(6, 0), MOVR(1, 6), MOV(2, 0), CALL(SUBMIT),
                                         MOVR(7, 6), MOV(0, 0), EXIT };
    static const struct insn varies[] = { LDW(2, 1, 0), MAP(1), MOV(3, 0), CALL(RESERVE), MOV(0, 0), EXIT };
    static const struct insn looked[] = { STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), MOV(0, 0), EXIT };
    static const struct insn wrong[] = { MOVR(1, 10), MOV(2, 0), CALL(SUBMIT), MOV(0, 0), EXIT };
    static const struct insn nothing[] = { MAP(1), MOVR(2, 10), MOV(3, 0), MOV(4, 0), CALL(OUTPUT), EXIT };
#define LOADED(program) printf(#program ": %s\n", said(load(SOCKET_FILTER, program, COUNT(program), ring)))
    LOADED(leak); LOADED(unchecked); LOADED(beyond); LOADED(inside); LOADED(twice); LOADED(after); LOADED(varies); LOADED(looked); LOADED(wrong); LOADED(nothing);
    int array = (int)MUST(create_map(ARRAY, 4, 8, 1, 0));
    printf("an array: %s\n", said(load(SOCKET_FILTER, output, COUNT(output), array)));
    printf("an array: %s\n", said(load(SOCKET_FILTER, reserved, COUNT(reserved), array)));
}

int main(void) {
    creation();
    int ring = (int)MUST(create_map(RINGBUF, 0, 0, 8192, 0));
    elements(ring);
    mappings(ring);
    records(ring);
    verifier(ring);
    fresh();
    put32(0, (uint32_t)ring);
    return 0;
}
