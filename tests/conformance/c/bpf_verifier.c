/* Covers: bpf (PROG_LOAD): which programs are let through, and with which error others are refused. */
#include "bpf_case.h"

static int map;
#define LOOK STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1)
#define ALLOW MOV(0, 1), EXIT
#define TEST(name, ...) do { \
    static const struct insn program[] = { __VA_ARGS__ }; \
    long fd = load(CGROUP_DEVICE, program, COUNT(program), map); \
    printf("%s: %s\n", name, fd < 0 ? error_name(errno) : "ok"); \
    if (fd >= 0) close((int)fd); \
} while (0)

static void programs(void) {
    TEST("a constant", ALLOW);
    TEST("nothing is set", EXIT);
    TEST("no end", MOV(0, 0));
    TEST("a jump out", JA(5), ALLOW);
    TEST("a jump before the start", JA(-2), ALLOW);
    TEST("what cannot be reached", ALLOW, ALLOW);
    TEST("an endless loop", MOV(0, 0), JA(-1));
    TEST("a loop", MOV(2, 10), INSN(0x17, 2, 0, 0, 1), JNE(2, 0, -2), ALLOW);
    TEST("into the middle", JEQ(1, 0, 1), INSN(0x18, 2, 0, 0, 1), INSN(0, 0, 0, 0, 0), ALLOW);
    TEST("a wide constant", INSN(0x18, 2, 0, 0, 1), INSN(0, 0, 0, 0, 9), ALLOW);
    TEST("half a wide constant", INSN(0x18, 2, 0, 0, 1), ALLOW);
    TEST("an unknown source of a constant", INSN(0x18, 2, 9, 0, 1), INSN(0, 0, 0, 0, 9), ALLOW);
    TEST("an unknown operation", INSN(0xe7, 2, 0, 0, 0), ALLOW);
    TEST("a register too many", MOV(11, 0), ALLOW);
    TEST("the frame pointer", MOV(10, 0), ALLOW);
    TEST("the context", LDW(2, 1, 0), LDW(2, 1, 4), LDW(2, 1, 8), ALLOW);
    TEST("past the context", LDW(2, 1, 12), ALLOW);
    TEST("before the context", LDW(2, 1, -4), ALLOW);
    TEST("a crooked place of the context", LDW(2, 1, 2), ALLOW);
    TEST("a byte of the type", LDB(2, 1, 1), ALLOW);
    TEST("half of the type", INSN(0x69, 2, 1, 2, 0), ALLOW);
    TEST("half of major", INSN(0x69, 2, 1, 4, 0), ALLOW);
    TEST("eight bytes", LDDW(2, 1, 0), ALLOW);
    TEST("writing the context", STW(1, 0, 1), ALLOW);
    TEST("a moved context", ADD(1, 4), LDW(2, 1, 0), ALLOW);
    TEST("a word of the stack", STDW(10, -8, 1), LDDW(0, 10, -8), EXIT);
    TEST("stack that was not stored", LDDW(2, 10, -8), ALLOW);
    TEST("above the stack", STDW(10, 0, 1), ALLOW);
    TEST("below the stack", STDW(10, -520, 1), ALLOW);
    TEST("the last of the stack", STDW(10, -512, 1), ALLOW);
    TEST("a crooked place of the stack", STDW(10, -12, 1), ALLOW);
    TEST("a number as a pointer", MOV(2, 5), LDW(2, 2, 0), ALLOW);
    TEST("a map as a pointer", MAP(2), LDW(2, 2, 0), ALLOW);
    TEST("a value", LOOK, JEQ(0, 0, 1), LDDW(3, 0, 8), ALLOW);
    TEST("a lookup that was not tested", LOOK, LDDW(3, 0, 8), ALLOW);
    TEST("a lookup that failed", LOOK, JNE(0, 0, 1), LDDW(3, 0, 8), ALLOW);
    TEST("arithmetic before the test", LOOK, ADD(0, 4), ALLOW);
    TEST("past a value", LOOK, JEQ(0, 0, 1), LDDW(3, 0, 16), ALLOW);
    TEST("before a value", LOOK, JEQ(0, 0, 1), LDDW(3, 0, -8), ALLOW);
    TEST("a crooked place of a value", LOOK, JEQ(0, 0, 1), LDDW(3, 0, 3), ALLOW);
    TEST("an index", LOOK, JEQ(0, 0, 4), LDB(2, 0, 0), INSN(0x57, 2, 0, 0, 7), INSN(0x0f, 0, 2, 0, 0), LDDW(3, 0, 1), ALLOW);
    TEST("an index too large", LOOK, JEQ(0, 0, 4), LDB(2, 0, 0), INSN(0x57, 2, 0, 0, 15), INSN(0x0f, 0, 2, 0, 0), LDDW(3, 0, 1), ALLOW);
    TEST("an index that is compared", LOOK, JEQ(0, 0, 4), LDB(2, 0, 0), INSN(0x25, 2, 0, 2, 8), INSN(0x0f, 0, 2, 0, 0), LDDW(3, 0, 0), ALLOW);
    TEST("an index that may be negative", LOOK, JEQ(0, 0, 4), LDDW(2, 0, 0), INSN(0x65, 2, 0, 2, 7), INSN(0x0f, 0, 2, 0, 0), LDB(3, 0, 0), ALLOW);
    TEST("an index bounded by words", LOOK, JEQ(0, 0, 4), LDW(2, 0, 0), INSN(0x26, 2, 0, 2, 7), INSN(0x0f, 0, 2, 0, 0), LDB(3, 0, 0), ALLOW);
    TEST("a pointer in a map", LOOK, JEQ(0, 0, 1), STXDW(0, 0, 10), ALLOW);
    TEST("two pointers added", INSN(0x0f, 1, 10, 0, 0), ALLOW);
    TEST("two pointers subtracted", MOVR(2, 10), INSN(0x1f, 2, 10, 0, 0), ALLOW);
    TEST("a pointer multiplied", MOVR(2, 10), INSN(0x27, 2, 0, 0, 2), ALLOW);
    TEST("a pointer masked", MOVR(2, 10), INSN(0x57, 2, 0, 0, -8), ALLOW);
    TEST("a pointer negated", MOVR(2, 10), INSN(0x87, 2, 0, 0, 0), ALLOW);
    TEST("a pointer moved far", LOOK, JEQ(0, 0, 1), ADD(0, 0x7fffffff), ALLOW);
    TEST("a stack pointer subtracted from", MOVR(2, 10), INSN(0x17, 2, 0, 0, 8), ALLOW);
    TEST("half a pointer", STXDW(10, -8, 1), LDW(2, 10, -8), ALLOW);
    TEST("a pointer in half a word", INSN(0x63, 10, 1, -4, 0), ALLOW);
    TEST("a pointer spilled", STXDW(10, -8, 1), LDDW(2, 10, -8), LDW(2, 2, 0), ALLOW);
    TEST("a comparison of pointers", INSN(0x1d, 1, 10, 0, 0), ALLOW);
    TEST("a result too large", MOV(0, 2), EXIT);
    TEST("a negative result", MOV(0, -1), EXIT);
    TEST("a result that may be too large", LDW(0, 1, 0), EXIT);
    TEST("a masked result", LDW(0, 1, 0), INSN(0x57, 0, 0, 0, 1), EXIT);
    TEST("a pointer as the result", MOVR(0, 1), EXIT);
    TEST("an unknown helper", CALL(9999), ALLOW);
    TEST("the time", CALL(5), ALLOW);
    TEST("random", CALL(7), ALLOW);
    TEST("the processor", CALL(8), ALLOW);
    TEST("the process", CALL(14), ALLOW);
    TEST("the user", CALL(15), ALLOW);
    TEST("the group", CALL(80), ALLOW);
    TEST("the name", MOVR(1, 10), ADD(1, -16), MOV(2, 16), CALL(16), ALLOW);
    TEST("a name too long", MOVR(1, 10), ADD(1, -16), MOV(2, 17), CALL(16), ALLOW);
    TEST("a lookup in no map", MOV(1, 0), MOVR(2, 10), CALL(1), ALLOW);
    TEST("a key that is no memory", MAP(1), MOV(2, 0), CALL(1), ALLOW);
    TEST("a key out of the stack", MAP(1), MOVR(2, 10), CALL(1), ALLOW);
    TEST("what a call left", LOOK, MOVR(2, 1), ALLOW);
    TEST("a division by 0", MOV(2, 1), INSN(0x37, 2, 0, 0, 0), ALLOW);
    TEST("a shift too far", MOV(2, 1), INSN(0x67, 2, 0, 0, 64), ALLOW);
    TEST("a word shifted too far", MOV(2, 1), INSN(0x64, 2, 0, 0, 32), ALLOW);
    TEST("unused fields", INSN(0xb7, 2, 1, 0, 0), ALLOW);
    TEST("unused fields of an end", MOV(0, 0), INSN(0x95, 1, 0, 0, 0));
    TEST("unused fields of a load", INSN(0x61, 2, 1, 0, 1), ALLOW);
    TEST("unused fields of a jump", INSN(0x05, 1, 0, 0, 0), ALLOW);
    TEST("signed division", MOV(2, 7), INSN(0x37, 2, 0, 1, 2), ALLOW);
    TEST("a byte with its sign", MOV(2, 7), INSN(0xbf, 2, 2, 8, 0), ALLOW);
    TEST("seven bits with their sign", MOV(2, 7), INSN(0xbf, 2, 2, 7, 0), ALLOW);
    TEST("bytes swapped", MOV(2, 7), INSN(0xd7, 2, 0, 0, 32), ALLOW);
    TEST("bytes in order", MOV(2, 7), INSN(0xdc, 2, 0, 0, 16), ALLOW);
    TEST("nine bits swapped", MOV(2, 7), INSN(0xd7, 2, 0, 0, 9), ALLOW);
    TEST("a load with its sign", STDW(10, -8, 1), INSN(0x91, 2, 10, -8, 0), ALLOW);
    TEST("a jump far", INSN(0x06, 0, 0, 0, 0), ALLOW);
    TEST("an atomic sum", STDW(10, -8, 1), MOV(2, 1), INSN(0xdb, 10, 2, -8, 0), ALLOW);
    TEST("an atomic exchange", STDW(10, -8, 1), MOV(2, 1), INSN(0xdb, 10, 2, -8, 0xe1), ALLOW);
    TEST("an atomic comparison", STDW(10, -8, 1), MOV(2, 1), MOV(0, 1), INSN(0xdb, 10, 2, -8, 0xf1), ALLOW);
    TEST("an unknown atomic operation", STDW(10, -8, 1), MOV(2, 1), INSN(0xdb, 10, 2, -8, 0x20), ALLOW);
    TEST("an atomic byte", STDW(10, -8, 1), MOV(2, 1), INSN(0xd3, 10, 2, -8, 0), ALLOW);
    TEST("an atomic sum in the context", MOV(2, 1), INSN(0xc3, 1, 2, 0, 0), ALLOW);
    TEST("set on one way alone", LDW(2, 1, 0), JEQ(2, 0, 1), MOV(6, 1), MOVR(7, 6), ALLOW);
}

static void attributes(void) {
    static const struct insn program[] = { ALLOW };
    TRY(load(CGROUP_DEVICE, program, 2, -1));
    put32(4, 0); SHOW(bpf(5, 148)); put32(4, 2);
    put32(4, 0x7fffffff); SHOW(bpf(5, 148)); put32(4, 2);
    put_address(8, (void *)8); SHOW(bpf(5, 148)); put_address(8, program);
    put_address(16, (void *)8); SHOW(bpf(5, 148)); put_address(16, "GPL");
    put32(0, 999); SHOW(bpf(5, 148)); put32(0, CGROUP_DEVICE);
    put32(44, 0x80000000); SHOW(bpf(5, 148)); put32(44, 0);
    put32(68, 0); TRY(bpf(5, 148));
    put32(68, 6); put32(24, 8); TRY(bpf(5, 148));
    put32(24, 64); SHOW(bpf(5, 148));
    put32(24, 0); SHOW(bpf(5, 148));
    put32(28, 0); SHOW(bpf(5, 148));
    put_address(32, 0); TRY(bpf(5, 148));
    put32(24, 1); TRY(bpf(5, 148));
    put32(28, 4); put_address(32, log_text); SHOW(bpf(5, 148));
    put32(28, sizeof log_text); memcpy(attr + 48, "a name", 6); SHOW(bpf(5, 148));
}

int main(void) {
    map = (int)MUST(create_map(2, 4, 16, 1, 0));
    programs();
    attributes();
    return 0;
}
