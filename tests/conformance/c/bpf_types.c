/* Covers: bpf (BTF_LOAD, BTF_GET_FD_BY_ID, MAP_CREATE, PROG_LOAD, OBJ_GET_INFO_BY_FD): descriptions of types. */
#include "bpf_case.h"

enum { INT = 1, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG,
       ENUM64 };
enum { HASH_MAP = 1, ARRAY_MAP, PROG_ARRAY, PERCPU_ARRAY = 6, CGROUP_ARRAY = 8, LRU_HASH, LPM_TRIE = 11, QUEUE = 22, RINGBUF = 27, BLOOM = 30 };

#define TYPE(name, kind, flag, vlen, operand) (name), (uint32_t)(flag) << 31 | (kind) << 24 | (vlen), (operand)
#define INT32 TYPE(1, INT, 0, 0, 4), 32
#define NONE 0
/* Names by offset: 1 "int", 5 "a", 7 "b-", 10 "sec.x", 16 "", 17 "9", 19 "f", 21 " ", 23 "bpf_spin_lock", 37 "tag" */
static const char names[] = "\0int\0a\0b-\0sec.x\0\0009\0f\0 \0bpf_spin_lock\0tag";

static uint8_t blob[65536];
static unsigned blob_size;

static void build(const uint32_t *types, unsigned bytes) {
    uint32_t header[6] = { 0x0001eb9f, 24, 0, bytes, bytes, sizeof names };
    memcpy(blob, header, 24);
    memcpy(blob + 24, types, bytes);
    memcpy(blob + 24 + bytes, names, sizeof names);
    blob_size = 24 + bytes + sizeof names;
}

static long load_blob(void) {
    fresh();
    put_address(0, blob); put32(16, blob_size);
    return bpf(18, 40);
}

static long load_types(const uint32_t *types, unsigned bytes) {
    build(types, bytes);
    return load_blob();
}

#define LOADED(what, ...) do { \
    static const uint32_t types[] = { __VA_ARGS__ }; \
    long fd = load_types(types, sizeof types); \
    printf("%s: %s\n", what, said(fd)); \
    if (fd >= 0) \
        close((int)fd); \
} while (0)

static void header(void) {
    static const uint32_t types[] = { INT32 };
    static const struct { unsigned offset; uint32_t value; const char *what; } changes[] = {
        { 0, 0x0001eb9f, "nothing" }, { 0, 0x0001eb9e, "magic" }, { 0, 0x0002eb9f, "version" }, { 0, 0x0101eb9f, "flags" },
        { 4, 0, "length 0" }, { 4, 8, "length 8" }, { 4, 20, "length 20" }, { 4, 28, "length 28" }, { 4, 100000, "length 100000" },
        { 8, 1, "types at 1" }, { 8, 4, "types at 4" }, { 12, 0, "no types" }, { 12, 12, "short types" }, { 12, 20, "long types" },
        { 16, 0, "names at 0" }, { 16, 12, "names at 12" }, { 20, 0, "no names" }, { 20, 4, "few names" }, { 20, 4000, "many names" },
    };
    for (unsigned i = 0; i < COUNT(changes); i++) {
        build(types, sizeof types);
        memcpy(blob + changes[i].offset, &changes[i].value, 4);
        long fd = load_blob();
        printf("header, %s: %s\n", changes[i].what, said(fd));
        if (fd >= 0)
            close((int)fd);
    }
    for (unsigned size = 0; size < 32; size += 4) {
        build(types, sizeof types);
        blob_size = size;
        printf("size %u: %s\n", size, said(load_blob()));
    }
    build(types, sizeof types);
    blob[24 + 16 + sizeof names - 1] = 'x';
    SHOW(load_blob());
    build(types, sizeof types);
    blob[24 + 16] = 'x';
    SHOW(load_blob());
    build(types, sizeof types);
    fresh();
    put_address(0, blob); put32(16, blob_size); put32(32, 1);
    SHOW(bpf(18, 40));
    fresh();
    put_address(0, blob); put32(16, blob_size); put32(40, 1);
    SHOW(bpf(18, 44));
    fresh();
    put_address(0, blob); put32(16, blob_size); put32(24, 1); put32(20, 16);
    SHOW(bpf(18, 40));
    fresh();
    put64(0, 16); put32(16, blob_size);
    SHOW(bpf(18, 40));
    fresh();
    put32(16, 17 << 20);
    SHOW(bpf(18, 40));
    IN_CHILD(MUST(setuid(1000)); SHOW(load_blob()));
}

static void single_types(void) {
    LOADED("int", INT32);
    LOADED("int, bits 33", TYPE(1, INT, 0, 0, 4), 33);
    LOADED("int, bits 0", TYPE(1, INT, 0, 0, 4), 0);
    LOADED("int, 129 bits", TYPE(1, INT, 0, 0, 17), 129);
    LOADED("int, offset", TYPE(1, INT, 0, 0, 4), 8 << 16 | 16);
    LOADED("int, two encodings", TYPE(1, INT, 0, 0, 4), 3 << 24 | 32);
    LOADED("int, bool", TYPE(1, INT, 0, 0, 1), 4 << 24 | 8);
    LOADED("int, more bits", TYPE(1, INT, 0, 0, 4), 1u << 28 | 32);
    LOADED("int, vlen", TYPE(1, INT, 0, 1, 4), 32);
    LOADED("int, flag", TYPE(1, INT, 1, 0, 4), 32);
    LOADED("int, no name", TYPE(0, INT, 0, 0, 4), 32);
    LOADED("int, bad name", TYPE(7, INT, 0, 0, 4), 32);
    LOADED("int, no such name", TYPE(4000, INT, 0, 0, 4), 32);
    LOADED("int, cut", TYPE(1, INT, 0, 0, 4));
    LOADED("kind 0", TYPE(1, 0, 0, 0, 4));
    LOADED("kind 20", TYPE(1, 20, 0, 0, 4));
    LOADED("kind 31", TYPE(1, 31, 0, 0, 4));
    LOADED("info bit 16", 1, 1 << 24 | 1 << 16, 4, 32);
    LOADED("half a type", 1, 1 << 24);
    LOADED("pointer", INT32, TYPE(0, PTR, 0, 0, 1));
    LOADED("pointer, name", INT32, TYPE(5, PTR, 0, 0, 1));
    LOADED("pointer to void", TYPE(0, PTR, 0, 0, 0));
    LOADED("pointer to nothing", TYPE(0, PTR, 0, 0, 9));
    LOADED("pointer to itself", TYPE(0, PTR, 0, 0, 1));
    LOADED("pointer to 1 << 31", TYPE(0, PTR, 0, 0, 0x80000000));
    LOADED("pointers in a circle", TYPE(0, PTR, 0, 0, 2), TYPE(0, PTR, 0, 0, 1));
    LOADED("typedef", INT32, TYPE(5, TYPEDEF, 0, 0, 1));
    LOADED("typedef, no name", INT32, TYPE(0, TYPEDEF, 0, 0, 1));
    LOADED("typedef, bad name", INT32, TYPE(17, TYPEDEF, 0, 0, 1));
    LOADED("typedef of itself", TYPE(5, TYPEDEF, 0, 0, 1));
    LOADED("typedef of void", TYPE(5, TYPEDEF, 0, 0, 0));
    LOADED("const, name", INT32, TYPE(5, CONST, 0, 0, 1));
    LOADED("const", INT32, TYPE(0, CONST, 0, 0, 1));
    LOADED("const, flag", INT32, TYPE(0, CONST, 1, 0, 1));
    LOADED("tag", INT32, TYPE(37, TYPE_TAG, 0, 0, 1), TYPE(0, PTR, 0, 0, 2));
    LOADED("tag, no name", INT32, TYPE(0, TYPE_TAG, 0, 0, 1));
    LOADED("tag of const", INT32, TYPE(0, CONST, 0, 0, 1), TYPE(37, TYPE_TAG, 0, 0, 2));
    LOADED("const of tag", INT32, TYPE(37, TYPE_TAG, 0, 0, 1), TYPE(0, CONST, 0, 0, 2));
    LOADED("fwd", TYPE(5, FWD, 0, 0, 0));
    LOADED("fwd, union", TYPE(5, FWD, 1, 0, 0));
    LOADED("fwd, no name", TYPE(0, FWD, 0, 0, 0));
    LOADED("fwd, type", TYPE(5, FWD, 0, 0, 1));
    LOADED("float", TYPE(5, FLOAT, 0, 0, 8));
    LOADED("float 12", TYPE(5, FLOAT, 0, 0, 12));
    LOADED("float 3", TYPE(5, FLOAT, 0, 0, 3));
    LOADED("enum", TYPE(5, ENUM, 0, 1, 4), 5, 1);
    LOADED("enum, size 3", TYPE(5, ENUM, 0, 1, 3), 5, 1);
    LOADED("enum, size 0", TYPE(5, ENUM, 0, 1, 0), 5, 1);
    LOADED("enum, no name inside", TYPE(5, ENUM, 0, 1, 4), 0, 1);
    LOADED("enum, flag", TYPE(5, ENUM, 1, 1, 8), 5, 1);
    LOADED("enum64", TYPE(5, ENUM64, 0, 1, 8), 5, 1, 2);
    LOADED("enum64, cut", TYPE(5, ENUM64, 0, 1, 8), 5, 1);
}

static void containers(void) {
    LOADED("array", INT32, TYPE(0, ARRAY, 0, 0, 0), 1, 1, 5);
    LOADED("array, name", INT32, TYPE(5, ARRAY, 0, 0, 0), 1, 1, 5);
    LOADED("array, size", INT32, TYPE(0, ARRAY, 0, 0, 4), 1, 1, 5);
    LOADED("array of void", INT32, TYPE(0, ARRAY, 0, 0, 0), 0, 1, 5);
    LOADED("array by void", INT32, TYPE(0, ARRAY, 0, 0, 0), 1, 0, 5);
    LOADED("array of itself", INT32, TYPE(0, ARRAY, 0, 0, 0), 2, 1, 5);
    LOADED("array by pointer", INT32, TYPE(0, PTR, 0, 0, 1), TYPE(0, ARRAY, 0, 0, 0), 1, 2, 5);
    LOADED("array of odd ints", INT32, TYPE(1, INT, 0, 0, 4), 31, TYPE(0, ARRAY, 0, 0, 0), 2, 1, 5);
    LOADED("array, too long", INT32, TYPE(0, ARRAY, 0, 0, 0), 1, 1, 0x40000000);
    LOADED("array, longest", INT32, TYPE(0, ARRAY, 0, 0, 0), 1, 1, 0x3fffffff);
    LOADED("array of fwd", INT32, TYPE(5, FWD, 0, 0, 0), TYPE(0, ARRAY, 0, 0, 0), 2, 1, 1);
    LOADED("struct", INT32, TYPE(5, STRUCT, 0, 2, 8), 5, 1, 0, 0, 1, 32);
    LOADED("struct, empty", TYPE(5, STRUCT, 0, 0, 0));
    LOADED("struct, bad name", TYPE(7, STRUCT, 0, 0, 0));
    LOADED("struct, backwards", INT32, TYPE(5, STRUCT, 0, 2, 8), 5, 1, 32, 0, 1, 0);
    LOADED("struct, beyond", INT32, TYPE(5, STRUCT, 0, 1, 8), 5, 1, 48);
    LOADED("struct, far beyond", INT32, TYPE(5, STRUCT, 0, 1, 8), 5, 1, 128);
    LOADED("struct, at bit 1", INT32, TYPE(5, STRUCT, 0, 1, 8), 5, 1, 1);
    LOADED("struct, of void", INT32, TYPE(5, STRUCT, 0, 1, 8), 5, 0, 0);
    LOADED("struct, of nothing", INT32, TYPE(5, STRUCT, 0, 1, 8), 5, 9, 0);
    LOADED("struct, of itself", TYPE(5, STRUCT, 0, 1, 8), 5, 1, 0);
    LOADED("struct, of a pointer to itself", TYPE(5, STRUCT, 0, 1, 8), 5, 2, 0, TYPE(0, PTR, 0, 0, 1));
    LOADED("struct, of an array of itself", INT32, TYPE(5, STRUCT, 0, 1, 8), 5, 3, 0, TYPE(0, ARRAY, 0, 0, 0), 2, 1, 1);
    LOADED("struct, bits", INT32, TYPE(5, STRUCT, 1, 2, 4), 5, 1, 3 << 24, 0, 1, 5 << 24 | 3);
    LOADED("struct, too many bits", INT32, TYPE(5, STRUCT, 1, 1, 4), 5, 1, 33u << 24);
    LOADED("struct, bits of a pointer", INT32, TYPE(0, PTR, 0, 0, 1), TYPE(5, STRUCT, 1, 1, 8), 5, 2, 3 << 24);
    LOADED("struct, bits beyond", INT32, TYPE(5, STRUCT, 1, 1, 4), 5, 1, 3 << 24 | 30);
    LOADED("struct, unaligned pointer", INT32, TYPE(0, PTR, 0, 0, 1), TYPE(5, STRUCT, 0, 1, 16), 5, 2, 4);
    LOADED("struct, float", TYPE(5, FLOAT, 0, 0, 8), TYPE(5, STRUCT, 0, 1, 16), 5, 1, 32);
    LOADED("struct, enum", TYPE(5, ENUM, 0, 0, 4), TYPE(5, STRUCT, 1, 1, 4), 5, 1, 7 << 24);
    LOADED("struct, const int", INT32, TYPE(0, CONST, 0, 0, 1), TYPE(5, STRUCT, 0, 1, 4), 5, 2, 0);
    LOADED("struct, const void", TYPE(0, CONST, 0, 0, 0), TYPE(5, STRUCT, 0, 1, 4), 5, 1, 0);
    LOADED("struct, a variable", INT32, TYPE(5, VAR, 0, 0, 1), 0, TYPE(5, STRUCT, 0, 1, 4), 5, 2, 0);
    LOADED("union", INT32, TYPE(5, UNION, 0, 2, 4), 5, 1, 0, 0, 1, 0);
    LOADED("union, offset", INT32, TYPE(5, UNION, 0, 1, 8), 5, 1, 32);
    static uint32_t deep[3 * 40 + 4];
    for (unsigned length = 30; length < 36; length++) {
        unsigned at = 0;
        for (unsigned i = 1; i <= length; i++) {
            deep[at++] = 0; deep[at++] = PTR << 24; deep[at++] = i < length ? i + 1 : 0;
        }
        printf("%u pointers: %s\n", length, said(load_types(deep, at * 4)));
        at = 0;
        for (unsigned i = 1; i <= length; i++) {
            deep[at++] = 0; deep[at++] = CONST << 24; deep[at++] = i < length ? i + 1 : 0;
        }
        printf("%u consts: %s\n", length, said(load_types(deep, at * 4)));
    }
}

static void functions(void) {
    LOADED("prototype", INT32, TYPE(0, FUNC_PROTO, 0, 2, 1), 5, 1, 19, 1);
    LOADED("prototype, void", TYPE(0, FUNC_PROTO, 0, 0, 0));
    LOADED("prototype, vararg", INT32, TYPE(0, FUNC_PROTO, 0, 2, 1), 5, 1, 0, 0);
    LOADED("prototype, named vararg", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 5, 0);
    LOADED("prototype, void first", INT32, TYPE(0, FUNC_PROTO, 0, 2, 1), 5, 0, 5, 1);
    LOADED("prototype, name", INT32, TYPE(5, FUNC_PROTO, 0, 0, 1));
    LOADED("prototype, flag", INT32, TYPE(0, FUNC_PROTO, 1, 0, 1));
    LOADED("prototype, result fwd", TYPE(5, FWD, 0, 0, 0), TYPE(0, FUNC_PROTO, 0, 0, 1));
    LOADED("prototype, result variable", INT32, TYPE(5, VAR, 0, 0, 1), 0, TYPE(0, FUNC_PROTO, 0, 0, 2));
    LOADED("prototype, argument missing", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 5, 9);
    LOADED("prototype, bad argument name", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 7, 1);
    LOADED("function", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 5, 1, TYPE(19, FUNC, 0, 1, 2));
    LOADED("function, unnamed argument", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 0, 1, TYPE(19, FUNC, 0, 1, 2));
    LOADED("function, linkage 2", INT32, TYPE(0, FUNC_PROTO, 0, 0, 1), TYPE(19, FUNC, 0, 2, 2));
    LOADED("function, no name", INT32, TYPE(0, FUNC_PROTO, 0, 0, 1), TYPE(0, FUNC, 0, 0, 2));
    LOADED("function of int", INT32, TYPE(19, FUNC, 0, 0, 1));
    LOADED("pointer to function", INT32, TYPE(0, FUNC_PROTO, 0, 0, 1), TYPE(19, FUNC, 0, 0, 2), TYPE(0, PTR, 0, 0, 3));
    LOADED("pointer to prototype", INT32, TYPE(0, FUNC_PROTO, 0, 0, 1), TYPE(0, PTR, 0, 0, 2));
    LOADED("variable", INT32, TYPE(5, VAR, 0, 0, 1), 1);
    LOADED("variable, linkage 2", INT32, TYPE(5, VAR, 0, 0, 1), 2);
    LOADED("variable of void", TYPE(5, VAR, 0, 0, 0), 1);
    LOADED("variable of fwd", TYPE(5, FWD, 0, 0, 0), TYPE(5, VAR, 0, 0, 1), 1);
    LOADED("variable, dotted", INT32, TYPE(10, VAR, 0, 0, 1), 1);
    LOADED("section", INT32, TYPE(5, VAR, 0, 0, 1), 1, TYPE(10, DATASEC, 0, 1, 8), 2, 0, 4);
    LOADED("section, name with a space", INT32, TYPE(21, DATASEC, 0, 0, 8));
    LOADED("section, no name", INT32, TYPE(0, DATASEC, 0, 0, 8));
    LOADED("section, size 0", INT32, TYPE(10, DATASEC, 0, 0, 0));
    LOADED("section of int", INT32, TYPE(10, DATASEC, 0, 1, 8), 1, 0, 4);
    LOADED("section, overlap", INT32, TYPE(5, VAR, 0, 0, 1), 1, TYPE(10, DATASEC, 0, 2, 8), 2, 0, 4, 2, 2, 4);
    LOADED("section, beyond", INT32, TYPE(5, VAR, 0, 0, 1), 1, TYPE(10, DATASEC, 0, 1, 8), 2, 6, 4);
    LOADED("section, too small for it", INT32, TYPE(5, VAR, 0, 0, 1), 1, TYPE(10, DATASEC, 0, 1, 8), 2, 0, 2);
    LOADED("section, of later ones", TYPE(10, DATASEC, 0, 1, 8), 3, 0, 2, INT32, TYPE(5, VAR, 0, 0, 2), 1);
    LOADED("tag of a struct", TYPE(5, STRUCT, 0, 0, 0), TYPE(37, DECL_TAG, 0, 0, 1), 0xffffffff);
    LOADED("tag of a member", INT32, TYPE(5, STRUCT, 0, 1, 4), 5, 1, 0, TYPE(37, DECL_TAG, 0, 0, 2), 0);
    LOADED("tag of no member", INT32, TYPE(5, STRUCT, 0, 1, 4), 5, 1, 0, TYPE(37, DECL_TAG, 0, 0, 2), 1);
    LOADED("tag of int", INT32, TYPE(37, DECL_TAG, 0, 0, 1), 0xffffffff);
    LOADED("tag, -2", TYPE(5, STRUCT, 0, 0, 0), TYPE(37, DECL_TAG, 0, 0, 1), 0xfffffffe);
    LOADED("tag of a variable", INT32, TYPE(5, VAR, 0, 0, 1), 1, TYPE(37, DECL_TAG, 0, 0, 2), 0);
    LOADED("tag of an argument", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 5, 1, TYPE(19, FUNC, 0, 1, 2), TYPE(37, DECL_TAG, 0, 0, 3), 0);
    LOADED("tag of no argument", INT32, TYPE(0, FUNC_PROTO, 0, 1, 1), 5, 1, TYPE(19, FUNC, 0, 1, 2), TYPE(37, DECL_TAG, 0, 0, 3), 1);
}

/* 1 int, 2 struct of two ints, 3 pointer, 4 prototype, 5 function f, 6 variable, 7 section, 8 struct of 8 bytes */
static const uint32_t useful[] = {
    INT32, TYPE(5, STRUCT, 0, 2, 8), 5, 1, 0, 0, 1, 32, TYPE(0, PTR, 0, 0, 1), TYPE(0, FUNC_PROTO, 0, 0, 1), TYPE(19, FUNC, 0, 0, 4),
    TYPE(5, VAR, 0, 0, 1), 1, TYPE(10, DATASEC, 0, 1, 8), 6, 0, 4, TYPE(0, CONST, 0, 0, 1), TYPE(5, TYPEDEF, 0, 0, 2),
};

static void of_maps(int fd) {
    static const uint32_t forms[][6] = { /* kind, key size, value size, flags, key type, value type */
        { ARRAY_MAP, 4, 8, 0, 1, 2 }, { ARRAY_MAP, 4, 8, 0, 8, 9 }, { ARRAY_MAP, 4, 8, 0, 1, 3 }, { ARRAY_MAP, 4, 8, 0, 1, 1 }, { ARRAY_MAP, 4, 8, 0, 2, 2 },
        { ARRAY_MAP, 4, 8, 0, 1, 0 }, { ARRAY_MAP, 4, 8, 0, 0, 2 }, { ARRAY_MAP, 4, 8, 0, 0, 7 }, { ARRAY_MAP, 4, 8, 0, 99, 2 }, { ARRAY_MAP, 4, 8, 0, 1, 99 },
        { ARRAY_MAP, 4, 8, 0, 1, 5 }, { HASH_MAP, 4, 8, 0, 1, 2 }, { HASH_MAP, 8, 4, 0, 2, 1 }, { HASH_MAP, 4, 8, 0, 0, 2 }, { HASH_MAP, 8, 8, 0, 3, 2 },
        { PERCPU_ARRAY, 4, 8, 0, 1, 2 }, { PERCPU_ARRAY, 4, 8, 0, 0, 7 }, { LPM_TRIE, 8, 8, 1, 2, 2 }, { LPM_TRIE, 8, 8, 1, 3, 2 }, { LPM_TRIE, 8, 8, 1, 9, 2 },
        { QUEUE, 0, 8, 0, 0, 2 }, { BLOOM, 0, 8, 0, 0, 2 }, { PROG_ARRAY, 4, 4, 0, 1, 1 }, { LRU_HASH, 4, 8, 0, 1, 2 }, { CGROUP_ARRAY, 4, 4, 0, 1, 1 },
        { RINGBUF, 0, 0, 0, 0, 1 },
    };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        fresh();
        put32(0, forms[i][0]); put32(4, forms[i][1]); put32(8, forms[i][2]); put32(12, forms[i][0] == RINGBUF ? 4096 : 1); put32(16, forms[i][3]);
        put32(48, (uint32_t)fd); put32(52, forms[i][4]); put32(56, forms[i][5]);
        long map = bpf(0, 80);
        printf("map %u, sizes %u and %u, types %u and %u: %s\n", forms[i][0], forms[i][1], forms[i][2], forms[i][4], forms[i][5], said(map));
        if (map >= 0) {
            uint32_t info[22] = { 0 };
            fresh();
            put32(0, (uint32_t)map); put32(4, sizeof info); put_address(8, info);
            MUST(bpf(15, 16));
            printf("has types: %d, %u and %u\n", info[16] != 0, info[17], info[18]);
            close((int)map);
        }
    }
    fresh();
    put32(0, ARRAY_MAP); put32(4, 4); put32(8, 8); put32(12, 1); put32(48, 999); put32(52, 1); put32(56, 2);
    SHOW(bpf(0, 80));
    put32(48, 0);
    SHOW(bpf(0, 80));
    put32(48, (uint32_t)fd); put32(60, 1);
    SHOW(bpf(0, 80));
}

static const struct insn called[] = { INSN(0x85, 0, 1, 0, 1), EXIT, MOV(0, 1), EXIT };

static long load_described(int fd, const uint32_t *funcs, unsigned count, unsigned size, const uint32_t *lines, unsigned line_count, unsigned line_size) {
    put_program(CGROUP_DEVICE, called, COUNT(called), 0);
    put32(68, 6); put32(72, (uint32_t)fd);
    put32(76, size); put_address(80, funcs); put32(88, count);
    put32(92, line_size); put_address(96, lines); put32(104, line_count);
    return bpf(5, 148);
}

static void of_programs(int fd) {
    static const uint32_t good[] = { 0, 5, 2, 5 }, late[] = { 1, 5, 2, 5 }, same[] = { 0, 5, 0, 5 }, wrong[] = { 0, 4, 2, 5 }, none[] = { 0, 99, 2, 5 },
                          place[] = { 0, 5, 1, 5 }, wide[] = { 0, 5, 0, 2, 5, 0 }, nonzero[] = { 0, 5, 7, 2, 5, 0 };
    static const uint32_t lines[] = { 0, 5, 5, 1 << 10, 2, 5, 19, 2 << 10 }, unsorted[] = { 0, 5, 5, 1, 0, 5, 5, 1 }, beyond[] = { 0, 5, 5, 1, 9, 5, 5, 1 },
                          missing[] = { 0, 5, 5, 1, 3, 5, 5, 1 }, names_[] = { 0, 5, 5, 1, 2, 4000, 5, 1 }, later[] = { 1, 5, 5, 1, 2, 5, 5, 1 };
#define LOAD(...) do { long program = load_described(fd, __VA_ARGS__); printf("%s: %s\n", #__VA_ARGS__, said(program)); \
        if (program >= 0) close((int)program); } while (0)
    LOAD(good, 2, 8, lines, 2, 16);
    LOAD(good, 2, 8, lines, 0, 0);
    LOAD(good, 1, 8, lines, 0, 0);
    LOAD(good, 3, 8, lines, 0, 0);
    LOAD(good, 2, 4, lines, 0, 0);
    LOAD(good, 2, 10, lines, 0, 0);
    LOAD(good, 2, 256, lines, 0, 0);
    LOAD(late, 2, 8, lines, 0, 0);
    LOAD(same, 2, 8, lines, 0, 0);
    LOAD(wrong, 2, 8, lines, 0, 0);
    LOAD(none, 2, 8, lines, 0, 0);
    LOAD(place, 2, 8, lines, 0, 0);
    LOAD(wide, 2, 12, lines, 0, 0);
    LOAD(nonzero, 2, 12, lines, 0, 0);
    printf("size %u\n", get32(76));
    LOAD((const uint32_t *)16, 2, 8, lines, 0, 0);
    LOAD(good, 2, 8, unsorted, 2, 16);
    LOAD(good, 2, 8, beyond, 2, 16);
    LOAD(good, 2, 8, missing, 2, 16);
    LOAD(good, 2, 8, names_, 2, 16);
    LOAD(good, 2, 8, later, 2, 16);
    LOAD(good, 2, 8, lines, 1, 16);
    LOAD(good, 2, 8, lines, 2, 12);
    LOAD(good, 0, 0, lines, 2, 16);
    LOAD(good, 0, 7, lines, 0, 7);
    printf("no types: %s\n", said(load_described(999, good, 2, 8, lines, 0, 0)));
    printf("not types: %s\n", said(load_described(0, good, 2, 8, lines, 0, 0)));
    int program = (int)MUST(load_described(fd, good, 2, 8, lines, 2, 16));
    static uint32_t info[58], got[64], got_lines[64];
    fresh();
    put32(0, (uint32_t)program); put32(4, sizeof info); put_address(8, info);
    SHOW(bpf(15, 16));
    printf("has types: %d, functions %u of %u, lines %u of %u\n", info[32] != 0, info[36], info[33], info[37], info[43]);
    uint64_t address = (uintptr_t)got;
    memcpy(info + 34, &address, 8);
    address = (uintptr_t)got_lines;
    memcpy(info + 38, &address, 8);
    info[36] = 1; info[37] = 8;
    memset(info + 26, 0, 16);
    info[4] = info[5] = info[13] = 0;
    info[42] = info[45] = 0;
    SHOW(bpf(15, 16));
    printf("functions %u: %u %u %u, lines %u: %u %u %u\n", info[36], got[0], got[1], got[2], info[37], got_lines[0], got_lines[1], got_lines[3]);
    memset(info, 0, sizeof info);
    info[33] = 12;
    SHOW(bpf(15, 16));
    memset(info, 0, sizeof info);
    info[37] = 1;
    SHOW(bpf(15, 16));
}

static void information(int fd) {
    static uint8_t copy[65536];
    static uint32_t info[16];
    uint64_t address = (uintptr_t)copy;
    memcpy(info, &address, 8);
    info[2] = sizeof copy;
    fresh();
    put32(0, (uint32_t)fd); put32(4, 32); put_address(8, info);
    SHOW(bpf(15, 16));
    printf("length %u, size %d, same %d, id %d, name %u, kernel %u\n", get32(4), info[2] == blob_size, memcmp(copy, blob, blob_size) == 0, info[3] != 0, info[6],
           info[7]);
    uint32_t id = info[3];
    info[2] = 4;
    SHOW(bpf(15, 16));
    info[6] = 8;
    SHOW(bpf(15, 16));
    fresh();
    put32(0, (uint32_t)fd); put32(4, 16); put_address(8, info);
    memset(info, 0, sizeof info);
    SHOW(bpf(15, 16));
    printf("length %u\n", get32(4));
    fresh();
    put32(0, id);
    long other = bpf(19, 4);
    printf("by id: %s\n", said(other));
    close((int)other);
    fresh();
    put32(0, 0x7ffffff0);
    SHOW(bpf(19, 4));
    SHOW(bpf(23, 8));
    fresh();
    put32(0, id - 1);
    SHOW(bpf(23, 8));
    printf("next is it: %d\n", get32(4) == id);
    fresh();
    put_address(0, "/sys/fs/bpf/none"); put32(8, (uint32_t)fd);
    IN_CHILD(MUST(setuid(1000)); fresh(); put32(0, id); SHOW(bpf(19, 4)); fresh(); SHOW(bpf(23, 8)));
}

int main(void) {
    header();
    single_types();
    containers();
    functions();
    int fd = (int)MUST(load_types(useful, sizeof useful));
    information(fd);
    of_maps(fd);
    of_programs(fd);
    return 0;
}
