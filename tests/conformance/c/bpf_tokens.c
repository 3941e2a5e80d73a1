/* Covers: bpf (TOKEN_CREATE, and tokens for MAP_CREATE, PROG_LOAD and BTF_LOAD), fsopen, fsconfig: what the administrator lets that of a
 * user namespace do. */
#define _GNU_SOURCE
#include "cgroup_case.h"
#include "bpf_case.h"

enum { FLAG = 0x10000, CONTEXT_STRING = 1, CONTEXT_CREATE = 6 };

static long token_of(int fd, uint32_t flags) {
    fresh();
    put32(0, flags); put32(4, (uint32_t)fd);
    return bpf(36, 8);
}

static long map_with(int kind, unsigned key, int token, unsigned flags) {
    fresh();
    put32(0, (uint32_t)kind); put32(4, key); put32(8, 8); put32(12, kind == 27 ? 4096 : 1); put32(16, flags); put32(76, (uint32_t)token);
    return bpf(0, 80);
}

static const struct insn allow[] = { MOV(0, 1), EXIT };
static const struct insn leaks[] = { MOVR(0, 1), INSN(0x57, 0, 0, 0, 1), EXIT };
static const struct insn calls[] = { INSN(0x85, 0, 1, 0, 1), EXIT, MOV(0, 1), EXIT };

static long load_with(int type, int place, const struct insn *program, unsigned count, int token, unsigned flags) {
    put_program(type, program, count, -1);
    put32(68, (uint32_t)place); put32(44, flags); put32(144, (uint32_t)token);
    return bpf(5, 148);
}
#define PROGRAM(type, place, program, token) load_with(type, place, program, COUNT(program), token, FLAG)

static long types_with(int token, unsigned flags) {
    static uint8_t blob[64];
    static const uint32_t words[] = { 0x0001eb9f, 24, 0, 16, 16, 5, 1, 1u << 24, 4, 32 };
    memcpy(blob, words, sizeof words);
    memcpy(blob + sizeof words, "\0int", 5);
    fresh();
    put_address(0, blob); put32(16, sizeof words + 5); put32(32, flags); put32(36, (uint32_t)token);
    return bpf(18, 40);
}

static void fd_says(long fd) {
    printf("%s\n", said(fd));
    if (fd >= 0)
        close((int)fd);
}

static void all_of(int token, unsigned flags) {
    static const int kinds[] = { 1, 2, 6, 8, 9, 11, 22, 27, 30 };
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        printf("map %d: ", kinds[i]);
        fd_says(map_with(kinds[i], kinds[i] == 22 || kinds[i] == 30 ? 0 : 4, token, flags | (kinds[i] == 11)));
    }
    static const int programs[][2] = { { 1, 0 }, { 8, 0 }, { 8, 1 }, { 9, 0 }, { 9, 2 }, { 9, 12 }, { 15, 0 }, { 15, 6 }, { 18, 8 }, { 18, 10 }, { 99, 0 }, { 1, 99 } };
    for (unsigned i = 0; i < COUNT(programs); i++) {
        printf("program %d at %d: ", programs[i][0], programs[i][1]);
        fd_says(load_with(programs[i][0], programs[i][1], allow, COUNT(allow), token, flags));
    }
    printf("types: ");
    fd_says(types_with(token, flags));
}

static void show_token(int token) {
    char path[64], text[2048];
    sprintf(path, "/proc/self/fdinfo/%d", token);
    int fd = (int)MUST(open(path, O_RDONLY));
    text[MUST(read(fd, text, sizeof text - 1))] = 0;
    close(fd);
    printf("%s", strstr(text, "allowed_cmds"));
}

static void use(int root, int group) {
    int token = (int)token_of(root, 0);
    printf("token: %s\n", said(token));
    if (token < 0)
        return;
    printf("flags of the descriptor: %d\n", fcntl(token, F_GETFD));
    show_token(token);
    all_of(token, FLAG);
    puts("without");
    all_of(token, 0);
    puts("what it is not for");
    SHOW(map_with(9, 4, root, FLAG));
    SHOW(map_with(9, 4, 99, FLAG));
    SHOW(map_with(9, 0, 99, FLAG));
    SHOW(map_with(11, 0, 99, FLAG));
    SHOW(map_with(9, 4, token, FLAG | 0x20000));
    SHOW(PROGRAM(15, 6, allow, root));
    SHOW(PROGRAM(15, 6, allow, 99));
    SHOW(load_with(15, 6, allow, 0, 99, FLAG));
    SHOW(load_with(15, 6, allow, COUNT(allow), token, FLAG | 0x20000));
    SHOW(types_with(root, FLAG));
    SHOW(types_with(99, FLAG));
    SHOW(types_with(token, FLAG | 1));
    SHOW(token_of(root, 1));
    SHOW(token_of(99, 0));
    SHOW(token_of(token, 0));
    fresh();
    put32(4, (uint32_t)root); put32(8, 1);
    SHOW(bpf(36, 12));
    puts("with all capabilities, and with few");
    printf("leaks: "); fd_says(PROGRAM(15, 6, leaks, token));
    printf("functions: "); fd_says(PROGRAM(15, 6, calls, token));
    int device = (int)PROGRAM(15, 6, allow, token), packets = (int)PROGRAM(8, 0, allow, token);
    printf("attach: %s, ", said(attach_for(6, group, device, 0)));
    printf("%s\n", said(attach_for(0, group, packets, 0)));
    printf("detach: %s, ", said(detach_for(6, group, 0)));
    printf("%s\n", said(detach_for(0, group, 0)));
    IN_CHILD(
        static uint32_t header[2] = { 0x20080522, 0 }, none[6];
        MUST(syscall(SYS_capset, header, none));
        SHOW(token_of(root, 0)); fd_says(map_with(9, 4, token, FLAG)); fd_says(map_with(2, 4, token, FLAG)); fd_says(PROGRAM(15, 6, allow, token));
        fd_says(types_with(token, FLAG)); printf("attach: %s, ", said(attach_for(6, group, device, 0)));
        printf("%s\n", said(attach_for(0, group, packets, 0)));
    );
    for (int kept = 12; kept <= 39; kept += 27) {
        printf("only capability %d\n", kept);
        fflush(stdout);
        pid_t child = (pid_t)MUST(fork());
        if (child == 0) {
            uint32_t header[2] = { 0x20080522, 0 }, some[6] = { 0 };
            some[kept < 32 ? 0 : 3] = some[kept < 32 ? 1 : 4] = 1u << (kept & 31);
            MUST(syscall(SYS_capset, header, some));
            fd_says(token_of(root, 0)); fd_says(map_with(9, 4, token, FLAG)); fd_says(PROGRAM(1, 0, allow, token)); fd_says(PROGRAM(15, 6, allow, token));
            fd_says(PROGRAM(1, 0, leaks, token)); fd_says(types_with(token, FLAG));
            fflush(stdout);
            _exit(0);
        }
        show_end(child);
    }
}

/* A file system that a user namespace begins, and the administrator finishes. */
static void with(const char *const *options, int group) {
    int ready[2], go[2];
    MUST(pipe(ready)); MUST(pipe(go));
    fflush(stdout);
    pid_t child = (pid_t)MUST(fork());
    if (child == 0) {
        MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
        int context = (int)MUST(syscall(SYS_fsopen, "bpf", 0));
        MUST(write(ready[1], &context, sizeof context));
        char byte;
        MUST(read(go[0], &byte, 1));
        int mounted = (int)MUST(syscall(SYS_fsmount, context, 0, 0));
        printf("by its mount: %s\n", said(token_of(mounted, 0)));
        int root = (int)MUST(openat(mounted, ".", O_RDONLY));
        struct stat about;
        MUST(fstat(root, &about));
        printf("root: mode %o, owner %d %d\n", about.st_mode, about.st_uid, about.st_gid);
        use(root, group);
        IN_CHILD(MUST(unshare(CLONE_NEWUSER)); printf("below: %s\n", said(token_of(root, 0))));
        fflush(stdout);
        _exit(0);
    }
    int number;
    MUST(read(ready[0], &number, sizeof number));
    int context = (int)MUST(syscall(SYS_pidfd_getfd, MUST(syscall(SYS_pidfd_open, child, 0)), number, 0));
    for (; *options; options += 2)
        printf("%s=%s: %s\n", options[0], options[1], said(syscall(SYS_fsconfig, context, CONTEXT_STRING, options[0], options[1], 0)));
    printf("create: %s\n", said(syscall(SYS_fsconfig, context, CONTEXT_CREATE, 0, 0, 0)));
    fflush(stdout);
    MUST(write(go[1], "x", 1));
    show_end(child);
}

int main(void) {
    mount_groups();
    MUST(mkdir(TOP "/box", 0777));
    int group = (int)MUST(open(TOP "/box", O_RDONLY));
    static const char *const none[] = { 0 };
    static const char *const all[] = { "delegate_cmds", "any", "delegate_maps", "any", "delegate_progs", "any", "delegate_attachs", "any", 0 };
    static const char *const commands[] = { "delegate_cmds", "any", 0 };
    static const char *const maps[] = { "delegate_cmds", "map_create", "delegate_maps", "lru_hash:queue:0x100", 0 };
    static const char *const programs[] = { "delegate_cmds", "prog_load:0x1000000000", "delegate_progs", "cgroup_device:cgroup_sock", "delegate_attachs",
                                            "cgroup_device:cgroup_inet_sock_create", 0 };
    static const char *const types[] = { "delegate_cmds", "btf_load", "mode", "700", 0 };
    static const char *const *const forms[] = { none, all, commands, maps, programs, types };
    for (unsigned i = 0; i < COUNT(forms); i++) {
        printf("-- form %u\n", i);
        with(forms[i], group);
    }
    puts("-- in the first namespace");
    MUST(mkdir("/tmp/bpf_tokens", 0755));
    MUST(mount("none", "/tmp/bpf_tokens", "bpf", 0, "delegate_cmds=any"));
    MUST(mkdir("/tmp/bpf_tokens/sub", 0755));
    int root = (int)MUST(open("/tmp/bpf_tokens", O_RDONLY)), sub = (int)MUST(open("/tmp/bpf_tokens/sub", O_RDONLY)), path = (int)MUST(open("/tmp/bpf_tokens", O_PATH));
    SHOW(token_of(root, 0));
    SHOW(token_of(sub, 0));
    SHOW(token_of(path, 0));
    SHOW(token_of(group, 0));
    IN_CHILD(MUST(setuid(1000)); SHOW(token_of(root, 0)));
    IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS)); SHOW(token_of(root, 0)); int own = (int)MUST(syscall(SYS_fsopen, "bpf", 0));
             SHOW(syscall(SYS_fsconfig, own, CONTEXT_STRING, "delegate_cmds", "any", 0)); SHOW(syscall(SYS_fsconfig, own, CONTEXT_CREATE, 0, 0, 0)));
    IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS)); SHOW(mount("none", "/tmp", "bpf", 0, "")));
    MUST(umount2("/tmp/bpf_tokens", MNT_DETACH));
    MUST(rmdir(TOP "/box"));
    unmount_groups();
    return 0;
}
