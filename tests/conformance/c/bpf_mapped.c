/* Covers: bpf (MAP_CREATE, MAP_FREEZE, PROG_TEST_RUN), mmap: arrays that can be mapped (BPF_F_MMAPABLE). */
#include "bpf_case.h"
#include <sys/mman.h>

enum { HASH = 1, ARRAY, PERCPU_ARRAY = 6, QUEUE = 22, SOCKET_FILTER = 1, MMAPABLE = 0x400 };
#define UNIT 4096u

static void *map_it(int fd, unsigned pages, int prot, int flags, unsigned first) {
    void *at = mmap(0, pages * UNIT, prot, flags, fd, (off_t)(first * UNIT));
    printf("map %u pages from %u, prot %d, flags %d: %s\n", pages, first, prot, flags, at == MAP_FAILED ? error_name(errno) : "ok");
    return at;
}

static long freeze(int fd) {
    fresh();
    put32(0, (uint32_t)fd);
    return bpf(22, 4);
}

static void run(int program) {
    static uint8_t frame[64];
    fresh();
    put32(0, (uint32_t)program); put32(8, sizeof frame); put_address(16, frame);
    long result = bpf(10, 80);
    printf("run: %s, %u\n", said(result), get32(4));
}

int main(void) {
    static const unsigned forms[][2] = { { ARRAY, MMAPABLE }, { HASH, MMAPABLE }, { PERCPU_ARRAY, MMAPABLE }, { ARRAY, MMAPABLE | 0x1000 }, { ARRAY, MMAPABLE | 8 } };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        long fd = create_map((int)forms[i][0], 4, 8, 1, forms[i][1]);
        printf("create %u %#x: %s\n", forms[i][0], forms[i][1], said(fd));
        if (fd >= 0) {
            map_it((int)fd, 1, PROT_READ, MAP_SHARED, 0);
            map_it((int)fd, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
            close((int)fd);
        }
    }
    int hash = (int)MUST(create_map(HASH, 4, 8, 1, 0)), queue = (int)MUST(create_map(QUEUE, 0, 8, 1, 0));
    map_it(hash, 1, PROT_READ, MAP_SHARED, 0);
    map_it(queue, 1, PROT_READ, MAP_PRIVATE, 0);
    int array = (int)MUST(create_map(ARRAY, 4, 24, 400, MMAPABLE));
    map_it(array, 1, PROT_READ, MAP_PRIVATE, 0);
    map_it(array, 4, PROT_READ, MAP_SHARED, 0);
    map_it(array, 3, PROT_READ, MAP_SHARED, 1);
    map_it(array, 1, PROT_READ, MAP_SHARED, 3);
    uint8_t *tail = map_it(array, 1, PROT_READ, MAP_SHARED, 2), *all = map_it(array, 3, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    SHOW(mprotect(tail, UNIT, PROT_READ | PROT_WRITE));
    SHOW(mprotect(tail, UNIT, PROT_READ | PROT_EXEC));
    uint8_t value[24];
    uint32_t key = 170; /* across the end of a page */
    memset(value, 'a', sizeof value);
    SHOW(UPDATE(array, &key, value, 0));
    printf("seen: %c %c\n", all[170 * 24], all[170 * 24 + 23]);
    all[170 * 24 + 17] = 'b';
    SHOW(LOOKUP(array, &key, value));
    printf("seen: %c %c\n", value[16], value[17]);
    const struct insn program[] = { STW(10, -4, 170), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JNE(0, 0, 1), EXIT, STDW(0, 16, 0x6364), LDB(0, 0, 0), EXIT };
    run((int)MUST(load(SOCKET_FILTER, program, COUNT(program), array)));
    printf("seen: %c %c %d\n", all[170 * 24 + 16], all[170 * 24 + 17], all[170 * 24 + 18]);
    SHOW(freeze(array));
    int child = fork();
    if (child == 0) {
        all[0] = 'z';
        _exit(0);
    }
    MUST(waitpid(child, 0, 0));
    printf("from a child: %c\n", all[0]);
    SHOW(munmap(all, 3 * UNIT));
    SHOW(freeze(array));
    SHOW(freeze(array));
    map_it(array, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    map_it(array, 1, PROT_READ, MAP_SHARED, 0);
    SHOW(UPDATE(array, &key, value, 0));
    int only_read = (int)MUST(create_map(ARRAY, 4, 8, 1, MMAPABLE | 128));
    map_it(only_read, 1, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    map_it(only_read, 1, PROT_READ, MAP_SHARED, 0);
    int opened = (int)MUST(create_map(ARRAY, 4, 8, 1, MMAPABLE | 16));
    map_it(opened, 1, PROT_READ, MAP_SHARED, 0);
    return 0;
}
