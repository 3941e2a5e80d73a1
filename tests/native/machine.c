/* The compiled kernel's modules in this process: mapping them, calling them, and what happens when they trap.
 *
 * A trap is a ud1 instruction, whose immediate says why (docs/compiler-abi.md). Clean-up blocks run on the way out, as they
 * do in the kernel: libgcc's unwinder finds them by the tables of the image. Then the call ends with the trap's number.
 *
 * One thread calls. Calls nest: compiled code may call Python, which calls compiled code.
 */

#define _GNU_SOURCE
#include "machine.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum { PAGE = 4096, FAULT = 200 /* and the signal's number: an access that the processor refused */ };

struct call {
    sigjmp_buf back;
    uintptr_t frame; /* of native_call: frames below are the compiled code's */
    volatile int kind;
    volatile int is_unwinding;
    struct call *outer;
};

static struct call *current;
static const char *panic_text;
static int64_t panic_length;
static uintptr_t trap_address;
static struct sigaction previous[NSIG];

extern void __register_frame(void *);
extern _Unwind_Reason_Code __gcc_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class,
                                                struct _Unwind_Exception *, struct _Unwind_Context *);

/* What the image calls ---------------------------------------------------------------------------------------------- */

static void take_message(const char *object)
{
    panic_length = *(const int64_t *)(object + 8);
    panic_text = object + 16;
}

static int64_t (*upcall)(int64_t, int64_t, int64_t *, int64_t *);

/* Compiled code calls a method that Python overrides. */
static int64_t call_python(int64_t handle, int64_t method, int64_t *in, int64_t *out)
{
    return upcall(handle, method, in, out);
}

static void print(const char *text, int64_t length)
{
    fwrite(text, 1, (size_t)length, stdout);
}

/* In the order of stubs.S. */
static void *const offered[] = {
    memcpy, memset, memmove, memcmp, _Unwind_Resume, __gcc_personality_v0, take_message, print, call_python,
};

/* Mapping ----------------------------------------------------------------------------------------------------------- */

/* Map the segments of an image where it was linked to. 0, or -1 if a file or an address is not to be had. */
static int map_image(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return -1;
    size_t size = (size_t)status.st_size;
    const char *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED)
        return -1;
    const Elf64_Ehdr *header = (const void *)file;
    const Elf64_Phdr *segments = (const void *)(file + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type != PT_LOAD || segment->p_memsz == 0)
            continue;
        uintptr_t start = segment->p_vaddr & -(uintptr_t)PAGE;
        size_t length = segment->p_vaddr + segment->p_memsz - start;
        void *place = mmap((void *)start, length, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (place != (void *)start)
            return -1;
        memcpy((void *)segment->p_vaddr, file + segment->p_offset, segment->p_filesz);
        int rights = (segment->p_flags & PF_R ? PROT_READ : 0) | (segment->p_flags & PF_W ? PROT_WRITE : 0)
                     | (segment->p_flags & PF_X ? PROT_EXEC : 0);
        mprotect(place, length, rights);
    }
    munmap((void *)file, size);
    return 0;
}

static uintptr_t end_of_stack(void)
{
    char line[256];
    unsigned long start, end = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps))
        if (strstr(line, "[stack]"))
            sscanf(line, "%lx-%lx", &start, &end);
    if (maps != NULL)
        fclose(maps);
    return end;
}

/* Traps ------------------------------------------------------------------------------------------------------------- */

/* The immediate of a ud1 of llvm.ubsantrap (ud1l imm8(%eax), %eax), -1 if there is something else. */
static int trap_kind(const uint8_t *code)
{
    if (code[0] == 0x67)
        code++;
    return code[0] == 0x0f && code[1] == 0xb9 && (code[2] & 0xc7) == 0x40 ? code[3] : -1;
}

/* The unwinder asks at each frame whether to go on. */
static _Unwind_Reason_Code at_frame(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                    struct _Unwind_Exception *trap, struct _Unwind_Context *context, void *argument)
{
    (void)version, (void)class, (void)trap, (void)argument;
    if (actions & _UA_END_OF_STACK || _Unwind_GetCFA(context) > current->frame)
        siglongjmp(current->back, 1);
    return _URC_NO_REASON;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    static struct _Unwind_Exception trap;
    (void)info;
    uintptr_t rip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (current == NULL) { /* it is Python's own */
        sigaction(number, &previous[number], NULL);
        return;
    }
    if (current->is_unwinding) /* a clean-up block trapped, too */
        siglongjmp(current->back, 1);
    int kind = number == SIGILL && rip != 0 ? trap_kind((const uint8_t *)rip) : -1;
    trap_address = rip;
    current->kind = kind > 0 ? kind : FAULT + number;
    current->is_unwinding = 1;
    if (kind > 0)
        _Unwind_ForcedUnwind(&trap, at_frame, NULL);
    siglongjmp(current->back, 1);
}

/* The interface ----------------------------------------------------------------------------------------------------- */

int native_load(const char *path, uint64_t table, uint64_t frames, uint64_t start, size_t heap_size,
                int64_t (*python)(int64_t, int64_t, int64_t *, int64_t *))
{
    static char stack[64 << 10];
    if (map_image(path) < 0)
        return -1;
    memcpy((void *)table, offered, sizeof offered);
    __register_frame((void *)frames);
    upcall = python;
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&alternative, NULL);
    const int numbers[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, &previous[numbers[i]]);
    void *heap = mmap(NULL, heap_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (heap == MAP_FAILED)
        return -1;
    int64_t (*begin)(int64_t, int64_t, int64_t, int64_t) = (void *)start;
    return begin((int64_t)heap, (int64_t)heap_size, (int64_t)end_of_stack(), 0) == 1 ? 0 : -1;
}

__attribute__((noinline)) int native_call(uint64_t function, int64_t *in, int64_t *out)
{
    struct call call = {.frame = (uintptr_t)__builtin_frame_address(0), .outer = current};
    void (*code)(int64_t *, int64_t *) = (void *)function;
    panic_text = NULL;
    current = &call;
    if (sigsetjmp(call.back, 1) == 0)
        code(in, out);
    current = call.outer;
    return call.kind;
}

uint64_t native_allocate(uint64_t allocate, uint64_t descriptor, size_t size)
{
    uint64_t (*code)(uint64_t, uint64_t) = (void *)allocate;
    return code(descriptor, size);
}

void native_hold(uint64_t object)
{
    __atomic_fetch_add((uint32_t *)object, 1, __ATOMIC_RELAXED);
}

void native_release(uint64_t object, uint64_t at_zero)
{
    void (*code)(uint64_t) = (void *)at_zero;
    if (__atomic_fetch_sub((uint32_t *)object, 1, __ATOMIC_RELAXED) == 1)
        code(object);
}

const char *native_message(int64_t *length)
{
    *length = panic_length;
    return panic_text;
}

uint64_t native_trap_address(void)
{
    return trap_address;
}
