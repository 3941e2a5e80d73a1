/* Covers: bpf (PROG_LOAD): functions of programs (BPF_PSEUDO_CALL), tail calls, and kinds of maps as programs see them. A program runs as a
 * filter of a socket; its answer is how many bytes of a datagram are left. */
#include "bpf_case.h"

enum { HASH = 1, ARRAY, PROG_ARRAY, PERCPU_HASH = 5, PERCPU_ARRAY, LRU_HASH = 9, LPM_TRIE = 11, ARRAY_OF_MAPS, HASH_OF_MAPS, QUEUE = 22, STACK, BLOOM = 30 };
#define FILTER 1
#define CALL_AT(distance) INSN(0x85, 0, 1, 0, distance)
#define MAP_OF(dst, fd) INSN(0x18, dst, 1, 0, fd), INSN(0, 0, 0, 0, 0)
#define KEY(number) STW(10, -4, number), MOVR(2, 10), ADD(2, -4)
#define NULL_IS(answer) JNE(0, 0, 2), MOV(0, answer), EXIT

static int sockets[2];

static void show_verdict(const char *what, const struct insn *program, unsigned count) {
    int fd = (int)load(FILTER, program, count, -1);
    if (fd < 0) {
        printf("%s: %s\n", what, error_name(errno));
        return;
    }
    MUST(setsockopt(sockets[1], SOL_SOCKET, 50, &fd, 4));
    char data[256] = { 0 };
    MUST(send(sockets[0], data, sizeof data, 0));
    printf("%s: %ld bytes\n", what, (long)recv(sockets[1], data, sizeof data, MSG_DONTWAIT));
    close(fd);
}
#define VERDICT(what, ...) \
    do { \
        struct insn text[] = { __VA_ARGS__ }; \
        show_verdict(what, text, COUNT(text)); \
    } while (0)

static void functions(void) {
    VERDICT("a function", MOV(6, 5), MOV(1, 7), CALL_AT(2), INSN(0x0f, 0, 6, 0, 0), EXIT, MOVR(0, 1), ADD(0, 1), EXIT);
    VERDICT("its own stack", STDW(10, -8, 11), CALL_AT(2), LDDW(0, 10, -8), EXIT, STDW(10, -8, 1), MOV(0, 9), EXIT);
    VERDICT("its caller's stack", STDW(10, -8, 11), MOVR(1, 10), ADD(1, -8), CALL_AT(2), LDDW(0, 10, -8), EXIT, STDW(1, 0, 21), MOV(0, 9), EXIT);
    VERDICT("a stack that is gone", CALL_AT(1), EXIT, MOVR(0, 10), EXIT);
    VERDICT("a pointer to a lower stack", STDW(10, -8, 0), MOVR(1, 10), ADD(1, -8), CALL_AT(2), MOV(0, 1), EXIT, STXDW(1, 0, 10), MOV(0, 9), EXIT);
    VERDICT("its caller's registers", MOV(6, 1), CALL_AT(1), EXIT, MOVR(0, 6), EXIT);
    VERDICT("arguments afterwards", MOV(1, 1), CALL_AT(2), MOVR(0, 1), EXIT, MOV(0, 1), EXIT);
    VERDICT("nothing returned", CALL_AT(1), EXIT, EXIT);
    VERDICT("nothing returned, nothing used", CALL_AT(2), MOV(0, 4), EXIT, EXIT);
    VERDICT("itself", CALL_AT(1), EXIT, MOV(0, 0), CALL_AT(-2), EXIT);
    VERDICT("the program itself", MOV(0, 0), CALL_AT(-2), EXIT);
    VERDICT("nowhere", CALL_AT(9), MOV(0, 0), EXIT);
    VERDICT("backwards", JA(2), MOV(0, 3), EXIT, CALL_AT(-3), EXIT);
    VERDICT("a jump out", CALL_AT(2), MOV(0, 0), EXIT, JA(-2), EXIT);
    VERDICT("running in", MOV(0, 0), CALL_AT(1), MOV(0, 1), MOV(0, 0), EXIT);
    VERDICT("no end", CALL_AT(1), EXIT, MOV(0, 0));
    VERDICT("an offset", INSN(0x85, 0, 1, 1, 1), EXIT, MOV(0, 0), EXIT);
    VERDICT("a register", INSN(0x85, 1, 1, 0, 1), EXIT, MOV(0, 0), EXIT);
    VERDICT("a function of the kernel", INSN(0x85, 0, 2, 0, 1), EXIT);
    VERDICT("another kind", INSN(0x85, 0, 3, 0, 1), EXIT, MOV(0, 0), EXIT);
    VERDICT("eight", CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, MOV(0, 8), EXIT);
    VERDICT("nine", CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT, CALL_AT(1), EXIT,
            MOV(0, 8), EXIT);
    VERDICT("stacks that fit", STDW(10, -256, 0), CALL_AT(2), MOV(0, 3), EXIT, STDW(10, -256, 0), MOV(0, 0), EXIT);
    VERDICT("stacks that do not", STDW(10, -272, 0), CALL_AT(2), MOV(0, 3), EXIT, STDW(10, -256, 0), MOV(0, 0), EXIT);
    VERDICT("packets in functions", MOVR(6, 1), CALL_AT(1), EXIT, INSN(0x30, 0, 0, 0, 0), EXIT);
}

static int filter(int answer) {
    struct insn program[] = { MOV(0, answer), EXIT };
    return (int)MUST(load(FILTER, program, 2, -1));
}

static void tail_calls(void) {
    int array = (int)MUST(create_map(PROG_ARRAY, 4, 4, 3, 0));
    uint32_t key = 1;
    int other = filter(33);
    MUST(UPDATE(array, &key, &other, 0));
    VERDICT("another", MAP_OF(2, array), MOV(3, 1), CALL(12), MOV(0, 4), EXIT);
    VERDICT("none there", MAP_OF(2, array), MOV(3, 0), CALL(12), MOV(0, 4), EXIT);
    VERDICT("past the end", MAP_OF(2, array), MOV(3, 3), CALL(12), MOV(0, 4), EXIT);
    VERDICT("negative", MAP_OF(2, array), MOV(3, -1), CALL(12), MOV(0, 4), EXIT);
    VERDICT("its answer", MAP_OF(2, array), MOV(3, 0), CALL(12), EXIT);
    VERDICT("no context", MOV(1, 0), MAP_OF(2, array), MOV(3, 0), CALL(12), MOV(0, 4), EXIT);
    VERDICT("in a function", CALL_AT(2), MOV(0, 1), EXIT, MAP_OF(2, array), MOV(3, 0), CALL(12), MOV(0, 4), EXIT);
    int hash = (int)MUST(create_map(ARRAY, 4, 4, 3, 0));
    VERDICT("another kind", MAP_OF(2, hash), MOV(3, 0), CALL(12), MOV(0, 4), EXIT);
    VERDICT("looked up", MAP_OF(1, array), KEY(1), CALL(1), MOV(0, 4), EXIT);
    VERDICT("changed", MAP_OF(1, array), KEY(1), MOVR(3, 2), MOV(4, 0), CALL(2), MOV(0, 4), EXIT);
    /* It counts its runs in the array, and goes on in itself. */
    struct insn again[] = { MOVR(6, 1), MAP_OF(1, hash), KEY(0), CALL(1), NULL_IS(0), MOV(1, 1), INSN(0xc3, 0, 1, 0, 0), LDW(7, 0, 0), MOVR(1, 6), MAP_OF(2, array),
                            MOV(3, 2), CALL(12), MOVR(0, 7), EXIT };
    int fd = (int)MUST(load(FILTER, again, COUNT(again), -1));
    key = 2;
    MUST(UPDATE(array, &key, &fd, 0));
    show_verdict("again and again", again, COUNT(again));
    static const struct insn one[] = { MOV(0, 1), EXIT };
    int device = (int)MUST(load(CGROUP_DEVICE, one, 2, -1));
    SHOW(UPDATE(array, &key, &device, 0));
    struct insn wrong[] = { MAP_OF(2, array), MOV(3, 1), CALL(12), MOV(0, 1), EXIT };
    printf("a program of another type: %s\n", said(load(CGROUP_DEVICE, wrong, COUNT(wrong), -1)));
    close(array); close(hash); close(fd); close(other); close(device);
}

static void maps_of_maps(int kind) {
    int inner = (int)MUST(create_map(ARRAY, 4, 8, 4, 0));
    fresh();
    put32(0, (uint32_t)kind); put32(4, 4); put32(8, 4); put32(12, 2); put32(20, (uint32_t)inner);
    int outer = (int)MUST(bpf(0, 80));
    uint32_t key = 1, at = 2;
    uint64_t value = 44;
    MUST(UPDATE(outer, &key, &inner, 0));
    MUST(UPDATE(inner, &at, &value, 0));
    printf("maps of maps, kind %d\n", kind);
    VERDICT("found", MAP_OF(1, outer), KEY(1), CALL(1), NULL_IS(2), MOVR(1, 0), KEY(2), CALL(1), NULL_IS(3), LDW(0, 0, 0), EXIT);
    VERDICT("not found", MAP_OF(1, outer), KEY(0), CALL(1), NULL_IS(2), MOVR(1, 0), KEY(2), CALL(1), NULL_IS(3), LDW(0, 0, 0), EXIT);
    VERDICT("not in it", MAP_OF(1, outer), KEY(1), CALL(1), NULL_IS(2), MOVR(1, 0), KEY(7), CALL(1), NULL_IS(3), LDW(0, 0, 0), EXIT);
    VERDICT("not tested", MAP_OF(1, outer), KEY(1), CALL(1), MOVR(1, 0), KEY(2), CALL(1), NULL_IS(3), LDW(0, 0, 0), EXIT);
    VERDICT("moved", MAP_OF(1, outer), KEY(1), CALL(1), NULL_IS(2), MOVR(1, 0), ADD(1, 8), KEY(2), CALL(1), NULL_IS(3), LDW(0, 0, 0), EXIT);
    VERDICT("changed", MAP_OF(1, outer), KEY(1), MOVR(3, 2), MOV(4, 0), CALL(2), MOV(0, 1), EXIT);
    VERDICT("removed", MAP_OF(1, outer), KEY(1), CALL(3), MOV(0, 1), EXIT);
    VERDICT("its value", MAP_OF(1, outer), KEY(1), CALL(1), NULL_IS(2), MOVR(1, 0), KEY(2), CALL(1), NULL_IS(3), LDW(0, 0, 8), EXIT);
    close(outer); close(inner);
}

static void lines(int kind) {
    int line = (int)MUST(create_map(kind, 0, 4, 3, 0));
    printf("kind %d\n", kind);
    uint32_t value = 50;
    VERDICT("pushed", MAP_OF(1, line), KEY(21), MOV(3, 0), CALL(87), ADD(0, 1), EXIT);
    MUST(UPDATE(line, 0, &value, 0));
    VERDICT("peeked", MAP_OF(1, line), MOVR(2, 10), ADD(2, -4), CALL(89), LDW(0, 10, -4), EXIT);
    VERDICT("popped", MAP_OF(1, line), MOVR(2, 10), ADD(2, -4), CALL(88), LDW(0, 10, -4), EXIT);
    VERDICT("popped", MAP_OF(1, line), MOVR(2, 10), ADD(2, -4), CALL(88), LDW(0, 10, -4), EXIT);
    VERDICT("empty", STW(10, -4, 77), MAP_OF(1, line), MOVR(2, 10), ADD(2, -4), CALL(88), ADD(0, 10), EXIT);
    VERDICT("no room for it", MAP_OF(1, line), MOVR(2, 10), ADD(2, -3), CALL(88), MOV(0, 1), EXIT);
    VERDICT("not set", MAP_OF(1, line), MOVR(2, 10), ADD(2, -4), MOV(3, 0), CALL(87), MOV(0, 1), EXIT);
    VERDICT("looked up", MAP_OF(1, line), KEY(0), CALL(1), MOV(0, 1), EXIT);
    VERDICT("flags", MAP_OF(1, line), KEY(21), MOV(3, 7), CALL(87), ADD(0, 100), EXIT);
    close(line);
}

static void others(void) {
    int array = (int)MUST(create_map(ARRAY, 4, 4, 3, 0));
    VERDICT("pushed to an array", MAP_OF(1, array), KEY(21), MOV(3, 0), CALL(87), MOV(0, 1), EXIT);
    VERDICT("removed from an array", MAP_OF(1, array), KEY(1), CALL(3), ADD(0, 100), EXIT);
    int bloom = (int)MUST(create_map(BLOOM, 0, 4, 100, 0));
    VERDICT("not in a filter", MAP_OF(1, bloom), KEY(21), CALL(89), ADD(0, 100), EXIT);
    VERDICT("added", MAP_OF(1, bloom), KEY(21), MOV(3, 0), CALL(87), ADD(0, 100), EXIT);
    VERDICT("in a filter", MAP_OF(1, bloom), KEY(21), CALL(89), ADD(0, 100), EXIT);
    VERDICT("popped from a filter", MAP_OF(1, bloom), KEY(21), CALL(88), ADD(0, 100), EXIT);
    int each = (int)MUST(create_map(PERCPU_ARRAY, 4, 8, 3, 0));
    VERDICT("a processor's value", MAP_OF(1, each), KEY(1), CALL(1), NULL_IS(2), STDW(0, 0, 31), MOV(0, 5), EXIT);
    VERDICT("the same", MAP_OF(1, each), KEY(1), CALL(1), NULL_IS(2), LDW(0, 0, 0), EXIT);
    VERDICT("of one processor", MAP_OF(1, each), KEY(1), MOV(3, 0), CALL(195), NULL_IS(2), LDW(0, 0, 0), EXIT);
    VERDICT("of no processor", MAP_OF(1, each), KEY(1), MOV(3, 9999), CALL(195), NULL_IS(2), LDW(0, 0, 0), EXIT);
    VERDICT("of an array", MAP_OF(1, array), KEY(1), MOV(3, 0), CALL(195), NULL_IS(2), LDW(0, 0, 0), EXIT);
    VERDICT("stored", MAP_OF(1, each), KEY(1), STDW(10, -16, 41), MOVR(3, 10), ADD(3, -16), MOV(4, 0), CALL(2), ADD(0, 100), EXIT);
    VERDICT("the same", MAP_OF(1, each), KEY(1), CALL(1), NULL_IS(2), LDW(0, 0, 0), EXIT);
    int table = (int)MUST(create_map(PERCPU_HASH, 4, 8, 3, 0));
    VERDICT("a new key", MAP_OF(1, table), KEY(1), STDW(10, -16, 41), MOVR(3, 10), ADD(3, -16), MOV(4, 0), CALL(2), ADD(0, 100), EXIT);
    VERDICT("its value", MAP_OF(1, table), KEY(1), CALL(1), NULL_IS(2), LDW(0, 0, 0), EXIT);
    int least = (int)MUST(create_map(LRU_HASH, 4, 8, 300, 0));
    VERDICT("a key that may go", MAP_OF(1, least), KEY(1), STDW(10, -16, 42), MOVR(3, 10), ADD(3, -16), MOV(4, 0), CALL(2), ADD(0, 100), EXIT);
    VERDICT("its value", MAP_OF(1, least), KEY(1), CALL(1), NULL_IS(2), LDW(0, 0, 0), EXIT);
    int prefixes = (int)MUST(create_map(LPM_TRIE, 8, 8, 30, 1));
    uint32_t prefix[2] = { 8, 0x0100007f };
    uint64_t value = 61;
    MUST(UPDATE(prefixes, prefix, &value, 0));
    VERDICT("a prefix", MAP_OF(1, prefixes), STW(10, -8, 32), STW(10, -4, 0x0505057f), MOVR(2, 10), ADD(2, -8), CALL(1), NULL_IS(2), LDW(0, 0, 0), EXIT);
    VERDICT("no prefix", MAP_OF(1, prefixes), STW(10, -8, 32), STW(10, -4, 0x0505057e), MOVR(2, 10), ADD(2, -8), CALL(1), NULL_IS(2), LDW(0, 0, 0), EXIT);
}

int main(void) {
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets));
    functions();
    tail_calls();
    maps_of_maps(ARRAY_OF_MAPS);
    maps_of_maps(HASH_OF_MAPS);
    lines(QUEUE);
    lines(STACK);
    others();
    return 0;
}
