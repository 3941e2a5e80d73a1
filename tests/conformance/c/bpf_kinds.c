/* Covers: bpf (MAP_CREATE, LOOKUP, UPDATE, DELETE, GET_NEXT_KEY, LOOKUP_AND_DELETE, the batch commands): kinds of maps beside arrays and
 * hash tables, as system calls see them. */
#include "bpf_case.h"

enum { HASH = 1, ARRAY, PROG_ARRAY, PERF_ARRAY, PERCPU_HASH, PERCPU_ARRAY, STACK_TRACE, CGROUP_ARRAY, LRU_HASH, LRU_PERCPU_HASH, LPM_TRIE,
       ARRAY_OF_MAPS, HASH_OF_MAPS, QUEUE = 22, STACK = 23, RINGBUF = 27, BLOOM = 30 };

static unsigned processors(void) {
    unsigned last = 0, first = 0;
    FILE *file = fopen("/sys/devices/system/cpu/possible", "r");
    if (file == NULL)
        return 1;
    if (fscanf(file, "%u-%u", &first, &last) < 2)
        last = first;
    fclose(file);
    return last + 1;
}

static void creation(void) {
    static const unsigned forms[][5] = {
        { PERCPU_ARRAY, 4, 8, 3, 0 }, { PERCPU_ARRAY, 8, 8, 3, 0 }, { PERCPU_ARRAY, 4, 32768, 3, 0 }, { PERCPU_ARRAY, 4, 32769, 3, 0 },
        { PERCPU_ARRAY, 4, 8, 3, 0x400 }, { PERCPU_ARRAY, 4, 8, 3, 0x1000 }, { PERCPU_ARRAY, 4, 8, 3, 1 },
        { PERCPU_HASH, 4, 8, 3, 0 }, { PERCPU_HASH, 4, 8, 3, 1 }, { PERCPU_HASH, 4, 32769, 3, 1 }, { PERCPU_HASH, 4, 8, 3, 2 },
        { LRU_HASH, 4, 8, 3, 0 }, { LRU_HASH, 4, 8, 3, 1 }, { LRU_HASH, 4, 8, 3, 2 }, { LRU_HASH, 4, 8, 0, 0 }, { LRU_HASH, 4, 8, 3, 64 },
        { LRU_PERCPU_HASH, 4, 8, 3, 0 }, { LRU_PERCPU_HASH, 4, 8, 3, 2 }, { LRU_PERCPU_HASH, 4, 8, 3, 3 }, { HASH, 4, 8, 3, 2 },
        { LPM_TRIE, 8, 8, 3, 1 }, { LPM_TRIE, 8, 8, 3, 0 }, { LPM_TRIE, 4, 8, 3, 1 }, { LPM_TRIE, 5, 1, 3, 1 }, { LPM_TRIE, 260, 8, 3, 1 },
        { LPM_TRIE, 261, 8, 3, 1 }, { LPM_TRIE, 8, 0, 3, 1 }, { LPM_TRIE, 8, 8, 0, 1 }, { LPM_TRIE, 8, 8, 3, 65 }, { LPM_TRIE, 8, 8, 3, 9 },
        { QUEUE, 0, 8, 3, 0 }, { QUEUE, 4, 8, 3, 0 }, { QUEUE, 0, 0, 3, 0 }, { QUEUE, 0, 8, 0, 0 }, { QUEUE, 0, 8, 3, 1 }, { QUEUE, 0, 8, 3, 64 },
        { STACK, 0, 8, 3, 0 }, { STACK, 0, 8, 3, 8 }, { STACK, 0, 8, 3, 24 },
        { BLOOM, 0, 8, 3, 0 }, { BLOOM, 4, 8, 3, 0 }, { BLOOM, 0, 0, 3, 0 }, { BLOOM, 0, 8, 0, 0 }, { BLOOM, 0, 8, 3, 64 }, { BLOOM, 0, 8, 3, 1 },
        { PROG_ARRAY, 4, 4, 3, 0 }, { PROG_ARRAY, 4, 8, 3, 0 }, { PROG_ARRAY, 8, 4, 3, 0 }, { PROG_ARRAY, 4, 4, 3, 128 }, { PROG_ARRAY, 4, 4, 3, 8 },
        { PROG_ARRAY, 4, 4, 0, 0 }, { CGROUP_ARRAY, 4, 4, 3, 0 }, { CGROUP_ARRAY, 4, 8, 3, 0 },
        { PROG_ARRAY, 4, 4, 3, 0x800 }, { ARRAY_OF_MAPS, 4, 4, 3, 0 }, { HASH_OF_MAPS, 4, 4, 3, 0 },
    };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        long fd = create_map((int)forms[i][0], forms[i][1], forms[i][2], forms[i][3], forms[i][4]);
        printf("create %u %u %u %u %#x: %s\n", forms[i][0], forms[i][1], forms[i][2], forms[i][3], forms[i][4], said(fd));
        if (fd >= 0)
            close((int)fd);
    }
    for (unsigned extra = 0; extra < 33; extra += 8) {
        fresh();
        put32(0, BLOOM); put32(8, 8); put32(12, 100); put64(64, extra);
        long fd = bpf(0, 80);
        printf("bloom, extra %u: %s\n", extra, said(fd));
        close((int)fd);
    }
    fresh();
    put32(0, ARRAY); put32(4, 4); put32(8, 8); put32(12, 100); put64(64, 1);
    SHOW(bpf(0, 80));
    static const unsigned kinds[] = { PERCPU_ARRAY, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH, PROG_ARRAY, CGROUP_ARRAY };
    for (unsigned i = 0; i < COUNT(kinds); i++)
        IN_CHILD(MUST(setuid(1000)); printf("kind %u: ", kinds[i]); SHOW(create_map((int)kinds[i], 4, 4, 3, 0)));
    IN_CHILD(MUST(setuid(1000)); SHOW(create_map(QUEUE, 0, 4, 3, 0)); SHOW(create_map(LPM_TRIE, 8, 4, 3, 1)));
}

static void per_processor(int kind, unsigned flags) {
    unsigned count = processors();
    int fd = (int)MUST(create_map(kind, 4, 5, 3, flags));
    uint32_t key = 1, next = 0;
    uint8_t values[256][8];
    memset(values, 'x', sizeof values);
    printf("kind %d\n", kind);
    SHOW(LOOKUP(fd, &key, values));
    for (unsigned i = 0; i < count; i++)
        memset(values[i], (int)(i + 1), 8);
    SHOW(UPDATE(fd, &key, values, 0));
    SHOW(UPDATE(fd, &key, values, 1));
    SHOW(UPDATE(fd, &key, values, 2));
    SHOW(UPDATE(fd, &key, values, 3));
    SHOW(UPDATE(fd, &key, values, 4));
    SHOW(elem(1, fd, &key, values, 4));
    memset(values, 'x', sizeof values);
    SHOW(LOOKUP(fd, &key, values));
    for (unsigned i = 0; i < count; i++)
        CHECK(values[i][0] == i + 1 && values[i][4] == i + 1);
    printf("after it: %u %u\n", values[0][5], values[count][0]);
    key = 3;
    SHOW(UPDATE(fd, &key, values, 2));
    SHOW(UPDATE(fd, &key, values, 0));
    SHOW(next_key(fd, 0, &next));
    key = 1;
    SHOW(elem(21, fd, &key, values, 0));
    SHOW(delete(fd, &key));
    fresh();
    uint32_t info[40] = { 0 };
    put32(0, (uint32_t)fd); put32(4, sizeof info); put_address(8, info);
    SHOW(bpf(15, 16));
    printf("length %u: type %u, key %u, value %u, most %u, flags %#x\n", get32(4), info[0], info[2], info[3], info[4], info[5]);
    close(fd);
}

static void least_recent(void) {
    int fd = (int)MUST(create_map(LRU_HASH, 4, 8, 100, 0));
    uint64_t value = 5;
    unsigned failed = 0, found = 0;
    for (uint32_t key = 0; key < 10000; key++)
        failed += UPDATE(fd, &key, &value, 0) != 0;
    for (uint32_t key = 0; key < 10000; key++)
        found += LOOKUP(fd, &key, &value) == 0;
    printf("%u failed, some are kept: %d, at most as many as fit: %d\n", failed, found > 0, found <= 100);
    uint32_t key = 9999;
    SHOW(LOOKUP(fd, &key, &value));
    SHOW(UPDATE(fd, &key, &value, 1));
    SHOW(UPDATE(fd, &key, &value, 2));
    key = 20000;
    SHOW(UPDATE(fd, &key, &value, 2));
    SHOW(UPDATE(fd, &key, &value, 1));
    SHOW(elem(21, fd, &key, &value, 0));
    SHOW(elem(21, fd, &key, &value, 0));
    close(fd);
}

struct prefix { uint32_t length; uint8_t bytes[4]; };

static void prefixes(void) {
    static const struct prefix made[] = { { 16, { 192, 168, 0, 0 } }, { 24, { 192, 168, 0, 0 } }, { 24, { 192, 168, 128, 0 } }, { 23, { 192, 168, 128, 0 } },
                                          { 32, { 192, 168, 1, 1 } }, { 8, { 10, 9, 8, 7 } }, { 0, { 1, 2, 3, 4 } }, { 33, { 1, 2, 3, 4 } } };
    static const struct prefix asked[] = { { 32, { 192, 168, 0, 5 } }, { 32, { 192, 168, 128, 5 } }, { 32, { 192, 168, 129, 5 } }, { 32, { 192, 168, 1, 1 } },
                                           { 31, { 192, 168, 1, 1 } }, { 32, { 10, 1, 1, 1 } }, { 7, { 10, 1, 1, 1 } }, { 32, { 11, 1, 1, 1 } },
                                           { 0, { 192, 168, 0, 0 } }, { 33, { 192, 168, 0, 5 } }, { 20, { 192, 168, 0, 0 } } };
    int fd = (int)MUST(create_map(LPM_TRIE, 8, 8, 7, 1));
    uint64_t value = 0;
    struct prefix next, last;
    SHOW(next_key(fd, 0, &next));
    SHOW(LOOKUP(fd, &asked[0], &value));
    for (unsigned i = 0; i < COUNT(made); i++) {
        value = i + 100;
        printf("put /%u: ", made[i].length);
        SHOW(UPDATE(fd, &made[i], &value, 0));
    }
    SHOW(UPDATE(fd, &made[0], &value, 1));
    value = 100;
    SHOW(UPDATE(fd, &made[0], &value, 2));
    SHOW(UPDATE(fd, &made[0], &value, 3));
    SHOW(UPDATE(fd, &asked[0], &value, 2));
    SHOW(UPDATE(fd, &asked[0], &value, 0));
    for (unsigned i = 0; i < COUNT(asked); i++) {
        value = 0;
        long result = LOOKUP(fd, &asked[i], &value);
        printf("%u.%u.%u.%u/%u: %s %llu\n", asked[i].bytes[0], asked[i].bytes[1], asked[i].bytes[2], asked[i].bytes[3], asked[i].length, said(result),
               (unsigned long long)value);
    }
    const struct prefix *from = 0;
    while (next_key(fd, from, &next) == 0) {
        printf("next %u.%u.%u.%u/%u\n", next.bytes[0], next.bytes[1], next.bytes[2], next.bytes[3], next.length);
        last = next;
        from = &last;
    }
    printf("then %s\n", error_name(errno));
    struct prefix missing = { 12, { 7, 7, 7, 7 } };
    SHOW(next_key(fd, &missing, &next));
    printf("next %u.%u.%u.%u/%u\n", next.bytes[0], next.bytes[1], next.bytes[2], next.bytes[3], next.length);
    SHOW(delete(fd, &missing));
    SHOW(delete(fd, &made[7]));
    SHOW(delete(fd, &made[1]));
    SHOW(delete(fd, &made[1]));
    SHOW(delete(fd, &made[6]));
    SHOW(LOOKUP(fd, &asked[0], &value));
    printf("value %llu\n", (unsigned long long)value);
    SHOW(LOOKUP(fd, &asked[7], &value));
    SHOW(UPDATE(fd, &asked[7], &value, 1));
    SHOW(LOOKUP(fd, &asked[7], &value));
    SHOW(elem(21, fd, &asked[7], &value, 0));
    close(fd);
}

static void line(int kind) {
    int fd = (int)MUST(create_map(kind, 0, 4, 3, 0));
    uint32_t key = 1, value = 7;
    printf("kind %d\n", kind);
    SHOW(LOOKUP(fd, 0, &value));
    SHOW(elem(21, fd, 0, &value, 0));
    printf("value %u\n", value);
    for (uint32_t i = 1; i < 5; i++) {
        value = i;
        SHOW(UPDATE(fd, 0, &value, 0));
    }
    SHOW(UPDATE(fd, 0, &value, 1));
    SHOW(UPDATE(fd, 0, &value, 3));
    SHOW(UPDATE(fd, &key, &value, 2));
    SHOW(UPDATE(fd, 0, &value, 2));
    SHOW(LOOKUP(fd, &key, &value));
    SHOW(LOOKUP(fd, 0, &value));
    printf("value %u\n", value);
    SHOW(next_key(fd, 0, &key));
    SHOW(delete(fd, 0));
    SHOW(delete(fd, &key));
    SHOW(elem(21, fd, 0, &value, 4));
    SHOW(elem(21, fd, 0, &value, 1));
    SHOW(elem(21, fd, &key, &value, 0));
    while (elem(21, fd, 0, &value, 0) == 0)
        printf("popped %u\n", value);
    printf("then %s\n", error_name(errno));
    close(fd);
}

static void bloom(void) {
    int fd = (int)MUST(create_map(BLOOM, 0, 4, 100, 0));
    uint32_t value = 7, other = 8, key = 0;
    SHOW(LOOKUP(fd, 0, &value));
    SHOW(UPDATE(fd, 0, &value, 0));
    SHOW(UPDATE(fd, 0, &value, 1));
    SHOW(UPDATE(fd, 0, &value, 2));
    SHOW(UPDATE(fd, &key, &value, 0));
    SHOW(LOOKUP(fd, 0, &value));
    unsigned found = 0;
    for (other = 100; other < 200; other++)
        found += LOOKUP(fd, 0, &other) == 0;
    CHECK(found < 30);
    SHOW(next_key(fd, 0, &key));
    SHOW(delete(fd, 0));
    SHOW(elem(21, fd, 0, &value, 0));
    close(fd);
}

static long batch(int command, int fd, void *in, void *out, void *keys, void *values, uint32_t count, uint64_t element, uint64_t flags) {
    fresh();
    put_address(0, in); put_address(8, out); put_address(16, keys); put_address(24, values); put32(32, count); put32(36, (uint32_t)fd);
    put64(40, element); put64(48, flags);
    return bpf(command, 56);
}

static void batches(int kind, unsigned flags) {
    int fd = (int)MUST(create_map(kind, 4, 8, 10, flags));
    uint32_t keys[16], from = 0, to = 0;
    uint64_t values[16];
    printf("batches of kind %d\n", kind);
    for (unsigned i = 0; i < 16; i++) {
        keys[i] = i;
        values[i] = i * 10;
    }
    long result = batch(26, fd, 0, 0, keys, values, 5, 0, 0);
    printf("update: %s, %u\n", said(result), get32(32));
    result = batch(26, fd, 0, 0, keys, values, 5, 1, 0);
    printf("update, none may exist: %s, %u\n", said(result), get32(32));
    result = batch(26, fd, 0, 0, keys, values, 5, 4, 0);
    printf("update, locked: %s, %u\n", said(result), get32(32));
    result = batch(26, fd, 0, 0, keys, values, 5, 0, 1);
    printf("update, flags: %s, %u\n", said(result), get32(32));
    result = batch(26, fd, 0, 0, keys, values, 0, 0, 0);
    printf("update of none: %s, %u\n", said(result), get32(32));
    result = batch(26, fd, 0, 0, keys, values, 16, 0, 0);
    printf("update of too many: %s, %u\n", said(result), get32(32));
    result = batch(26, fd, 0, 0, (void *)8, values, 3, 0, 0);
    printf("update from nowhere: %s, %u\n", said(result), get32(32));
    memset(keys, 0, sizeof keys);
    memset(values, 0, sizeof values);
    result = batch(24, fd, 0, &to, keys, values, 16, 0, 0);
    uint64_t sum = 0, all = 0;
    for (unsigned i = 0; i < get32(32) && i < 16; i++) {
        sum += keys[i];
        all += values[i];
    }
    printf("lookup: %s, %u, keys %llu, values %llu\n", said(result), get32(32), (unsigned long long)sum, (unsigned long long)all);
    result = batch(24, fd, 0, &to, keys, values, 0, 0, 0);
    printf("lookup of none: %s, %u\n", said(result), get32(32));
    result = batch(24, fd, 0, &to, keys, values, 16, 1, 0);
    printf("lookup, wrong: %s, %u\n", said(result), get32(32));
    result = batch(24, fd, 0, &to, keys, values, 16, 0, 1);
    printf("lookup, flags: %s, %u\n", said(result), get32(32));
    result = batch(24, fd, 0, &to, (void *)8, values, 16, 0, 0);
    printf("lookup to nowhere: %s\n", said(result));
    result = batch(24, fd, (void *)8, &to, keys, values, 16, 0, 0);
    printf("lookup from nowhere: %s\n", said(result));
    if (kind == ARRAY || kind == PERCPU_ARRAY) {
        result = batch(24, fd, 0, &to, keys, values, 4, 0, 0);
        printf("first: %s, %u, %u to %u, next %u\n", said(result), get32(32), keys[0], keys[3], to);
        from = to;
        result = batch(24, fd, &from, &to, keys, values, 4, 0, 0);
        printf("second: %s, %u, %u to %u, next %u\n", said(result), get32(32), keys[0], keys[3], to);
        from = to;
        result = batch(24, fd, &from, &to, keys, values, 4, 0, 0);
        printf("third: %s, %u, %u to %u, next %u\n", said(result), get32(32), keys[0], keys[1], to);
    }
    from = 0xfffffff0;
    if (kind != ARRAY && kind != PERCPU_ARRAY) {
        result = batch(24, fd, &from, &to, keys, values, 16, 0, 0);
        printf("lookup past the end: %s, %u\n", said(result), get32(32));
    }
    keys[0] = 1; keys[1] = 2; keys[2] = 77; keys[3] = 3;
    result = batch(27, fd, 0, 0, keys, 0, 4, 0, 0);
    printf("delete: %s, %u\n", said(result), get32(32));
    result = batch(27, fd, 0, 0, keys, 0, 0, 0, 0);
    printf("delete none: %s, %u\n", said(result), get32(32));
    result = batch(27, fd, 0, 0, keys, 0, 4, 1, 0);
    printf("delete, wrong: %s, %u\n", said(result), get32(32));
    result = batch(25, fd, 0, &to, keys, values, 16, 0, 0);
    printf("lookup and delete: %s, %u\n", said(result), get32(32));
    result = batch(25, fd, 0, &to, keys, values, 16, 0, 0);
    printf("again: %s, %u\n", said(result), get32(32));
    attr[56] = 1;
    SHOW(bpf(24, 57));
    close(fd);
    int reader = (int)MUST(create_map(kind, 4, 8, 3, flags | 8)), writer = (int)MUST(create_map(kind, 4, 8, 3, flags | 16));
    SHOW(batch(24, reader, 0, &to, keys, values, 0, 0, 0));
    SHOW(batch(26, reader, 0, &to, keys, values, 0, 0, 0));
    SHOW(batch(24, writer, 0, &to, keys, values, 0, 0, 0));
    SHOW(batch(26, writer, 0, &to, keys, values, 0, 0, 0));
    close(reader);
    close(writer);
}

static void maps_of_maps(int kind) {
    int inner = (int)MUST(create_map(HASH, 4, 8, 3, 0)), other = (int)MUST(create_map(HASH, 4, 8, 5, 0)), wrong = (int)MUST(create_map(HASH, 8, 8, 3, 0));
    int array = (int)MUST(create_map(ARRAY, 4, 8, 3, 0)), programs = (int)MUST(create_map(PROG_ARRAY, 4, 4, 3, 0));
    printf("maps of maps, kind %d\n", kind);
    const int examples[] = { inner, array, programs, 0, 999 };
    for (unsigned i = 0; i < COUNT(examples); i++) {
        fresh();
        put32(0, (uint32_t)kind); put32(4, 4); put32(8, 4); put32(12, 2); put32(20, (uint32_t)examples[i]);
        long fd = bpf(0, 80);
        printf("like %u: %s\n", i, said(fd));
        if (fd >= 0)
            close((int)fd);
    }
    fresh();
    put32(0, (uint32_t)kind); put32(4, 4); put32(8, 4); put32(12, 2); put32(20, (uint32_t)inner);
    int outer = (int)MUST(bpf(0, 80));
    fresh();
    put32(0, (uint32_t)kind); put32(4, 4); put32(8, 4); put32(12, 2); put32(20, (uint32_t)outer);
    SHOW(bpf(0, 80));
    uint32_t key = 1, id = 0;
    int fd = inner;
    SHOW(LOOKUP(outer, &key, &id));
    SHOW(UPDATE(outer, &key, &fd, 3));
    SHOW(UPDATE(outer, &key, &fd, 2));
    SHOW(UPDATE(outer, &key, &fd, 1));
    SHOW(UPDATE(outer, &key, &fd, 0));
    SHOW(UPDATE(outer, &key, &fd, 1));
    fd = other;
    SHOW(UPDATE(outer, &key, &fd, 0));
    fresh();
    uint32_t info[40] = { 0 };
    put32(0, (uint32_t)other); put32(4, sizeof info); put_address(8, info);
    SHOW(bpf(15, 16));
    SHOW(LOOKUP(outer, &key, &id));
    printf("its id: %d\n", id == info[1]);
    fd = wrong;
    SHOW(UPDATE(outer, &key, &fd, 0));
    fd = array;
    SHOW(UPDATE(outer, &key, &fd, 0));
    fd = 999;
    SHOW(UPDATE(outer, &key, &fd, 0));
    fd = 0;
    SHOW(UPDATE(outer, &key, &fd, 0));
    key = 7;
    fd = inner;
    SHOW(UPDATE(outer, &key, &fd, 0));
    key = 8;
    SHOW(UPDATE(outer, &key, &fd, 0));
    SHOW(elem(21, outer, &key, &id, 0));
    key = 1;
    SHOW(delete(outer, &key));
    SHOW(delete(outer, &key));
    SHOW(LOOKUP(outer, &key, &id));
    key = 9;
    SHOW(delete(outer, &key));
    close(inner); close(other); close(wrong); close(array); close(programs); close(outer);
}

static void descriptors(void) {
    static const struct insn text[] = { MOV(0, 1), EXIT };
    int program = (int)MUST(load(1, text, 2, -1)), device = (int)MUST(load(CGROUP_DEVICE, text, 2, -1));
    int array = (int)MUST(create_map(PROG_ARRAY, 4, 4, 3, 0));
    uint32_t key = 1, id = 0, next = 0;
    SHOW(LOOKUP(array, &key, &id));
    SHOW(UPDATE(array, &key, &array, 0));
    SHOW(UPDATE(array, &key, &program, 1));
    SHOW(UPDATE(array, &key, &program, 2));
    SHOW(UPDATE(array, &key, &program, 0));
    SHOW(UPDATE(array, &key, &program, 0));
    SHOW(LOOKUP(array, &key, &id));
    printf("a number: %d\n", id > 0);
    SHOW(UPDATE(array, &key, &device, 0));
    key = 3;
    SHOW(UPDATE(array, &key, &program, 0));
    SHOW(LOOKUP(array, &key, &id));
    SHOW(delete(array, &key));
    key = 2;
    SHOW(delete(array, &key));
    key = 1;
    SHOW(delete(array, &key));
    SHOW(delete(array, &key));
    SHOW(next_key(array, &key, &next));
    printf("next %u\n", next);
    SHOW(elem(21, array, &key, &id, 0));
    int groups = (int)MUST(create_map(CGROUP_ARRAY, 4, 4, 3, 0));
    SHOW(LOOKUP(groups, &key, &id));
    SHOW(UPDATE(groups, &key, &program, 0));
    SHOW(delete(groups, &key));
    close(program); close(device); close(array); close(groups);
}

int main(void) {
    maps_of_maps(ARRAY_OF_MAPS);
    maps_of_maps(HASH_OF_MAPS);
    descriptors();
    creation();
    per_processor(PERCPU_ARRAY, 0);
    per_processor(PERCPU_HASH, 0);
    per_processor(PERCPU_HASH, 1);
    per_processor(LRU_PERCPU_HASH, 0);
    least_recent();
    prefixes();
    line(QUEUE);
    line(STACK);
    bloom();
    batches(ARRAY, 0);
    batches(HASH, 0);
    batches(HASH, 1);
    uint32_t keys[4] = { 0 }, to;
    int fd = (int)MUST(create_map(QUEUE, 0, 4, 3, 0));
    SHOW(batch(24, fd, 0, &to, keys, keys, 1, 0, 0));
    SHOW(batch(26, fd, 0, &to, keys, keys, 1, 0, 0));
    fd = (int)MUST(create_map(PROG_ARRAY, 4, 4, 3, 0));
    SHOW(batch(24, fd, 0, &to, keys, keys, 1, 0, 0));
    return 0;
}
