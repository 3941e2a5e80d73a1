/* Covers: bpf (MAP_CREATE, LOOKUP, UPDATE, DELETE, GET_NEXT_KEY, LOOKUP_AND_DELETE, MAP_FREEZE, OBJ_GET_INFO_BY_FD, *_GET_NEXT_ID,
 * *_GET_FD_BY_ID; sizes of attributes; rights): maps at their edges. */
#include "bpf_case.h"

static void creation(void) {
    static const unsigned forms[][5] = {
        { 2, 4, 8, 3, 0 }, { 1, 4, 8, 3, 0 }, { 1, 4, 8, 3, 1 }, { 2, 8, 8, 3, 0 }, { 2, 4, 0, 3, 0 }, { 2, 4, 8, 0, 0 }, { 1, 0, 8, 3, 0 },
        { 1, 4, 0, 3, 0 }, { 1, 4, 8, 0, 0 }, { 2, 4, 8, 3, 1 }, { 2, 4, 8, 3, 8 }, { 2, 4, 8, 3, 16 }, { 2, 4, 8, 3, 24 }, { 2, 4, 8, 3, 128 },
        { 2, 4, 8, 3, 256 }, { 2, 4, 8, 3, 384 }, { 2, 4, 8, 3, 0x80000000 }, { 1, 4, 8, 3, 64 }, { 2, 4, 8, 3, 64 }, { 200, 4, 8, 3, 0 },
        { 0, 4, 8, 3, 0 }, { 1, 600, 8, 3, 0 },
    };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        long fd = create_map((int)forms[i][0], forms[i][1], forms[i][2], forms[i][3], forms[i][4]);
        printf("create %u %u %u %u %#x: %s\n", forms[i][0], forms[i][1], forms[i][2], forms[i][3], forms[i][4], fd < 0 ? error_name(errno) : "ok");
        if (fd >= 0)
            close((int)fd);
    }
    static const char *names[] = { "a.b_9", "sixteen.letters", "sixteen.letters!", "a b", "" };
    for (unsigned i = 0; i < COUNT(names); i++) {
        fresh();
        put32(0, 2); put32(4, 4); put32(8, 8); put32(12, 1);
        memcpy(attr + 28, names[i], strlen(names[i]));
        long fd = bpf(0, 80);
        printf("name \"%s\": %s\n", names[i], fd < 0 ? error_name(errno) : "ok");
        close((int)fd);
    }
}

static void sizes(void) {
    fresh();
    put32(0, 2); put32(4, 4); put32(8, 8); put32(12, 1);
    TRY(bpf(0, 16));
    TRY(bpf(0, 152));
    TRY(bpf(0, 4096));
    SHOW(bpf(0, 4097));
    SHOW(bpf(0, 12));
    attr[100] = 1;
    SHOW(bpf(0, 152));
    attr[100] = 0; attr[2000] = 1;
    SHOW(bpf(0, 2001));
    SHOW(syscall(SYS_bpf, 0, (void *)8, 80));
    SHOW(bpf(1000, 4));
    SHOW(bpf(-1, 4));
    SHOW(syscall(SYS_bpf, 1, 0, 0));
}

static void array(void) {
    int fd = (int)MUST(create_map(2, 4, 8, 3, 0));
    uint32_t key = 0, next = 77;
    uint64_t value = 1;
    for (key = 0; key < 5; key++) {
        printf("key %u\n", key);
        SHOW(LOOKUP(fd, &key, &value));
        value = key + 10;
        SHOW(UPDATE(fd, &key, &value, 0));
        SHOW(UPDATE(fd, &key, &value, 1));
        SHOW(UPDATE(fd, &key, &value, 2));
        SHOW(UPDATE(fd, &key, &value, 3));
        SHOW(UPDATE(fd, &key, &value, 4));
        SHOW(LOOKUP(fd, &key, &value));
        printf("value %llu\n", (unsigned long long)value);
        SHOW(delete(fd, &key));
        SHOW(next_key(fd, &key, &next));
        printf("next %u\n", next);
    }
    SHOW(next_key(fd, 0, &next));
    printf("first %u\n", next);
    key = 0;
    SHOW(LOOKUP(fd, (void *)8, &value));
    SHOW(LOOKUP(fd, &key, (void *)8));
    SHOW(elem(1, fd, &key, &value, 1));
    SHOW(elem(1, fd, &key, &value, 4));
    SHOW(elem(21, fd, &key, &value, 0));
    SHOW(LOOKUP(0, &key, &value));
    SHOW(LOOKUP(999, &key, &value));
    fresh();
    put32(0, (uint32_t)fd);
    SHOW(bpf(22, 4));
    SHOW(bpf(22, 4));
    SHOW(UPDATE(fd, &key, &value, 0));
    SHOW(LOOKUP(fd, &key, &value));
    close(fd);
}

static void hash(void) {
    int fd = (int)MUST(create_map(1, 4, 8, 3, 0));
    uint32_t key = 7, next = 0;
    uint64_t value = 70;
    SHOW(LOOKUP(fd, &key, &value));
    SHOW(UPDATE(fd, &key, &value, 2));
    SHOW(delete(fd, &key));
    SHOW(next_key(fd, 0, &next));
    for (key = 7; key < 12; key++)
        SHOW(UPDATE(fd, &key, &value, 1));
    key = 7;
    SHOW(UPDATE(fd, &key, &value, 1));
    value = 71;
    SHOW(UPDATE(fd, &key, &value, 2));
    value = 0;
    SHOW(LOOKUP(fd, &key, &value));
    printf("value %llu\n", (unsigned long long)value);
    unsigned count = 0, sum = 0;
    void *last = 0;
    while (next_key(fd, last, &next) == 0) {
        count++;
        sum += next;
        key = next;
        last = &key;
    }
    printf("%u keys, sum %u, then %s\n", count, sum, error_name(errno));
    key = 8;
    SHOW(elem(21, fd, &key, &value, 0));
    SHOW(elem(21, fd, &key, &value, 0));
    SHOW(delete(fd, &key));
    key = 9;
    SHOW(delete(fd, &key));
    SHOW(UPDATE(fd, &key, &value, 0));
    close(fd);
}

static void rights(void) {
    uint32_t key = 0;
    uint64_t value = 0;
    int reader = (int)MUST(create_map(2, 4, 8, 1, 8)), writer = (int)MUST(create_map(2, 4, 8, 1, 16));
    SHOW(LOOKUP(reader, &key, &value));
    SHOW(UPDATE(reader, &key, &value, 0));
    SHOW(LOOKUP(writer, &key, &value));
    SHOW(UPDATE(writer, &key, &value, 0));
    SHOW(next_key(writer, &key, &value));
    IN_CHILD(MUST(setuid(1000)); SHOW(create_map(2, 4, 8, 1, 0)); SHOW(create_map(1, 4, 8, 1, 0)); SHOW(LOOKUP(reader, &key, &value));
             fresh(); SHOW(bpf(11, 8)); SHOW(bpf(12, 8)); SHOW(bpf(13, 4)));
}

static void information(void) {
    fresh();
    put32(0, 1); put32(4, 4); put32(8, 12); put32(12, 5); put32(16, 1); memcpy(attr + 28, "krait_map", 9);
    int fd = (int)MUST(bpf(0, 80));
    uint32_t info[40] = { 0 };
    fresh();
    put32(0, (uint32_t)fd); put32(4, sizeof info); put_address(8, info);
    SHOW(bpf(15, 16));
    printf("length %u: type %u, key %u, value %u, most %u, flags %#x, name %s\n", get32(4), info[0], info[2], info[3], info[4], info[5], (char *)(info + 6));
    uint32_t id = info[1];
    info[39] = 1;
    put32(4, sizeof info);
    SHOW(bpf(15, 16));
    info[39] = 0;
    put32(4, 8);
    SHOW(bpf(15, 16));
    printf("length %u\n", get32(4));
    fresh();
    put32(0, id);
    TRY(bpf(14, 12));
    fresh();
    put32(0, 0x7ffffffe);
    SHOW(bpf(14, 12));
    SHOW(bpf(11, 8));
    SHOW(bpf(12, 8));
    put32(0, 0xffffffff);
    SHOW(bpf(12, 8));
    fresh();
    put32(0, id - 1);
    SHOW(bpf(12, 8));
    CHECK(get32(4) == id);
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length > 0 ? length : 0] = 0;
    puts(target);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "r");
    char line[256];
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "memlock", 7) && strncmp(line, "map_id", 6) && strncmp(line, "ino", 3) && strncmp(line, "mnt_id", 6))
            fputs(line, stdout);
    SHOW(fcntl(fd, F_GETFD));
    show_file("/proc/sys/kernel/unprivileged_bpf_disabled");
}

int main(void) {
    creation();
    sizes();
    array();
    hash();
    rights();
    information();
    return 0;
}
