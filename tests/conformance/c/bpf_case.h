/* What the cases about bpf(2) share: its attributes by offset, and instructions. */
#ifndef BPF_CASE_H
#define BPF_CASE_H
#include "case.h"
#include <netinet/in.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct insn { uint8_t code, registers; int16_t offset; int32_t constant; };
#define INSN(code, dst, src, off, imm) { (code), (uint8_t)((dst) | (src) << 4), (int16_t)(off), (int32_t)(imm) }
#define MOV(dst, imm) INSN(0xb7, dst, 0, 0, imm)
#define MOVR(dst, src) INSN(0xbf, dst, src, 0, 0)
#define ADD(dst, imm) INSN(0x07, dst, 0, 0, imm)
#define LDW(dst, src, off) INSN(0x61, dst, src, off, 0)
#define LDDW(dst, src, off) INSN(0x79, dst, src, off, 0)
#define LDB(dst, src, off) INSN(0x71, dst, src, off, 0)
#define STW(dst, off, imm) INSN(0x62, dst, 0, off, imm)
#define STDW(dst, off, imm) INSN(0x7a, dst, 0, off, imm)
#define STXW(dst, off, src) INSN(0x63, dst, src, off, 0)
#define STXDW(dst, off, src) INSN(0x7b, dst, src, off, 0)
#define JEQ(dst, imm, off) INSN(0x15, dst, 0, off, imm)
#define JNE(dst, imm, off) INSN(0x55, dst, 0, off, imm)
#define JA(off) INSN(0x05, 0, 0, off, 0)
#define CALL(helper) INSN(0x85, 0, 0, 0, helper)
#define EXIT INSN(0x95, 0, 0, 0, 0)
#define MAP_AT 0x7fff0000 /* the constant that `load` replaces by a map's descriptor */
#define MAP(dst) INSN(0x18, dst, 1, 0, MAP_AT), INSN(0, 0, 0, 0, 0)
#define CGROUP_DEVICE 15

static uint8_t attr[4096];

static void put32(unsigned offset, uint32_t value) { memcpy(attr + offset, &value, 4); }
static void put64(unsigned offset, uint64_t value) { memcpy(attr + offset, &value, 8); }
static void put_address(unsigned offset, const void *value) { put64(offset, (uintptr_t)value); }
static uint32_t get32(unsigned offset) { uint32_t value; memcpy(&value, attr + offset, 4); return value; }

static void fresh(void) { memset(attr, 0, sizeof attr); }
static long bpf(int command, unsigned size) { return syscall(SYS_bpf, command, attr, size); }

static long create_map(int type, unsigned key, unsigned value, unsigned most, unsigned flags) {
    fresh();
    put32(0, (uint32_t)type); put32(4, key); put32(8, value); put32(12, most); put32(16, flags);
    return bpf(0, 80);
}

static long elem(int command, int fd, const void *key, const void *value, uint64_t flags) {
    fresh();
    put32(0, (uint32_t)fd); put_address(8, key); put_address(16, value); put64(24, flags);
    return bpf(command, 32);
}
#define LOOKUP(fd, key, value) elem(1, fd, key, value, 0)
#define UPDATE(fd, key, value, flags) elem(2, fd, key, value, flags)

static long delete(int fd, const void *key) {
    fresh();
    put32(0, (uint32_t)fd); put_address(8, key);
    return bpf(3, 16);
}

static long next_key(int fd, const void *key, void *next) {
    fresh();
    put32(0, (uint32_t)fd); put_address(8, key); put_address(16, next);
    return bpf(4, 24);
}

static char log_text[65536];

/* Attributes of a program whose instructions name a map by MAP_AT. */
static void put_program(int type, const struct insn *program, unsigned count, int map) {
    static struct insn copy[4096];
    memcpy(copy, program, count * sizeof *copy);
    for (unsigned i = 0; i < count; i++)
        if (copy[i].code == 0x18 && copy[i].constant == MAP_AT)
            copy[i].constant = map;
    fresh();
    put32(0, (uint32_t)type); put32(4, count); put_address(8, copy); put_address(16, "GPL");
}

static long load(int type, const struct insn *program, unsigned count, int map) {
    put_program(type, program, count, map);
    log_text[0] = 0;
    put32(24, 1); put32(28, sizeof log_text); put_address(32, log_text);
    if (type == CGROUP_DEVICE)
        put32(68, 6);
    return bpf(5, 148);
}

/* One that says where it will be attached. */
static long load_at(int type, int place, const struct insn *program, unsigned count, int map) {
    put_program(type, program, count, map);
    put32(68, (uint32_t)place);
    return bpf(5, 148);
}

static long attach(int group, int program, unsigned flags, int replaced) {
    fresh();
    put32(0, (uint32_t)group); put32(4, (uint32_t)program); put32(8, 6); put32(12, flags); put32(16, (uint32_t)replaced);
    return bpf(8, 20);
}

static long attach_for(int purpose, int group, int program, unsigned flags) {
    fresh();
    put32(0, (uint32_t)group); put32(4, (uint32_t)program); put32(8, (uint32_t)purpose); put32(12, flags);
    return bpf(8, 20);
}

static long detach_for(int purpose, int group, int program) {
    fresh();
    put32(0, (uint32_t)group); put32(4, (uint32_t)program); put32(8, (uint32_t)purpose);
    return bpf(9, 20);
}

static long detach(int group, int program) { return detach_for(6, group, program); }

static const char *said(long result) { return result < 0 ? error_name(errno) : "ok"; }

static void query_for(int purpose, int group, unsigned flags) {
    uint32_t ids[8] = { 0 };
    fresh();
    put32(0, (uint32_t)group); put32(4, (uint32_t)purpose); put32(8, flags); put_address(16, ids); put32(24, 8);
    long result = bpf(16, 64);
    printf("query %d: %s, %u programs, flags %u\n", purpose, said(result), get32(24), get32(12));
}

static socklen_t loopback(struct sockaddr_storage *address, int family, int port) {
    memset(address, 0, sizeof *address);
    address->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        *(struct sockaddr_in *)address = (struct sockaddr_in) { AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, { 0 } };
        return sizeof(struct sockaddr_in);
    }
    ((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
    ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    return sizeof(struct sockaddr_in6);
}
#endif
