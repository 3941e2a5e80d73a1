/* Start-up of a Kernel Python program on the host: memory for its heap, standard output, traps.
 *
 * The program is linked below 2 GiB with this file (compiler/link.py). It gets its memory from one mapping (krait_host_start, in
 * kernel/mm/host.py), prints through krait_host_write, and runs as krait_host_main (written by compiler/driver.py).
 *
 * A trap, which is a ud1 instruction of llvm.ubsantrap, or a fault, is reported raw to the file descriptor that KRAIT_REPORT_FD names:
 *     trap KIND            a number of docs/compiler-abi.md, or -SIGNAL for a fault
 *     message LENGTH       and that many bytes and a newline: of panic or assert
 *     frame ADDRESS        hexadecimal, innermost first; all but the first are return addresses
 *     skipped COUNT        frames left out in the middle of a deep stack
 *     uncaught NUMBER CODE frames follow: where it was raised
 *     end
 * `python -m compiler run` makes a Python traceback of it. After a trap that is no fault, `finally` and `with` blocks run on the way out:
 * LLVM's tables lead libgcc's unwinder there. A bug in such a block is not reported; the program goes on to the block around it.
 *
 * Environment: KRAIT_REPORT_FD; KRAIT_HOST_MEMORY, the heap's size in bytes; KRAIT_STRESS=1, reclaim at each allocation;
 * KRAIT_LEAKS=1, print the number of objects in use at the end to standard error.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum {
    STATUS_UNCAUGHT = 1,
    STATUS_TRAP = 70,
    KIND_ASSERT = 5,
    KIND_PANIC = 10,
    KIND_STACK_OVERFLOW = 15,
    FRAMES_KEPT = 64, /* at each end of a deep stack */
    FRAMES_OF_RAISE = 16, /* few, since most exceptions are caught */
};

static const size_t DEFAULT_MEMORY = (size_t)2 << 30;
static const size_t STACK_MARGIN = 256 << 10; /* a fault so near to the stack pointer is the stack's */

extern int64_t krait_host_start(int64_t memory, int64_t size, int64_t stack_top, int64_t stress);
extern int64_t krait_host_objects(void);
extern int64_t krait_host_main(int64_t *status); /* the error word, 0 if nothing was raised */

static char output[1 << 16];
static size_t output_used;
static int output_is_terminal;
static int report_fd = STDERR_FILENO;
static uintptr_t stack_top;
static const char *panic_text;
static int64_t panic_length;

/* Standard output ------------------------------------------------------------------------------------------------- */

static void write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, data, length);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN) { /* a non-blocking pipe of someone else's making */
                struct pollfd ready = {.fd = fd, .events = POLLOUT};
                poll(&ready, 1, -1);
                continue;
            }
            return; /* the reader is gone */
        }
        data += done;
        length -= (size_t)done;
    }
}

static void flush_output(void)
{
    size_t length = output_used;
    output_used = 0;
    write_all(STDOUT_FILENO, output, length);
}

void krait_host_write(int64_t address, int64_t length)
{
    const char *data = (const char *)address;
    if ((size_t)length > sizeof output - output_used)
        flush_output();
    if ((size_t)length > sizeof output) {
        write_all(STDOUT_FILENO, data, (size_t)length);
        return;
    }
    memcpy(output + output_used, data, (size_t)length);
    output_used += (size_t)length;
    if (output_is_terminal)
        flush_output();
}

/* Reports --------------------------------------------------------------------------------------------------------- */

static char report[16 << 10];
static size_t report_used;

static void report_text(const char *text)
{
    size_t length = strlen(text);
    if (report_used + length <= sizeof report) {
        memcpy(report + report_used, text, length);
        report_used += length;
    }
}

static void report_number(const char *word, long value, int base)
{
    char digits[32], *p = digits + sizeof digits;
    unsigned long rest = value < 0 && base == 10 ? -(unsigned long)value : (unsigned long)value;
    *--p = 0;
    do
        *--p = "0123456789abcdef"[rest % (unsigned long)base];
    while ((rest /= (unsigned long)base) != 0);
    if (value < 0 && base == 10)
        *--p = '-';
    report_text(word);
    report_text(" ");
    report_text(p);
}

static void report_line(const char *word, long value, int base)
{
    report_number(word, value, base);
    report_text("\n");
}

static void report_send(void)
{
    write_all(report_fd, report, report_used);
    report_used = 0;
}

/* The immediate of a ud1 of llvm.ubsantrap (ud1l imm8(%eax), %eax), -1 if there is something else. */
static int trap_kind(const uint8_t *code)
{
    if (code[0] == 0x67)
        code++;
    return code[0] == 0x0f && code[1] == 0xb9 && (code[2] & 0xc7) == 0x40 ? code[3] : -1;
}

/* Where a function that trapped was called, and the frame pointer there. The function has no frame if it calls none. */
struct caller {
    uintptr_t trap, address, rbp;
    int is_next;
};

/* The unwinder comes by at each frame, first those of the signal handler. */
static _Unwind_Reason_Code at_caller(struct _Unwind_Context *context, void *argument)
{
    struct caller *caller = argument;
    if (caller->is_next) {
        caller->address = (uintptr_t)_Unwind_GetIP(context);
        caller->rbp = (uintptr_t)_Unwind_GetGR(context, 6);
        return _URC_NORMAL_STOP;
    }
    caller->is_next = (uintptr_t)_Unwind_GetIP(context) == caller->trap;
    return _URC_NO_REASON;
}

/* A place, and the chain of frames from rbp, within the stack. A deep one is cut in the middle. */
static void report_frames(uintptr_t rip, bool is_trap, uintptr_t rbp, uintptr_t low)
{
    static uintptr_t last[FRAMES_KEPT];
    size_t count = 0, tail = 0;
    if (rip)
        report_line("frame", (long)rip, 16);
    struct caller caller = {.trap = rip};
    if (is_trap)
        _Unwind_Backtrace(at_caller, &caller);
    if (caller.address) {
        report_line("frame", (long)caller.address, 16);
        rbp = caller.rbp;
    }
    while (rbp >= low && rbp + 16 <= stack_top && rbp % 8 == 0) {
        uintptr_t next = ((uintptr_t *)rbp)[0], address = ((uintptr_t *)rbp)[1];
        if (count++ < FRAMES_KEPT)
            report_line("frame", (long)address, 16);
        else
            last[tail++ % FRAMES_KEPT] = address;
        if (next <= rbp)
            break;
        rbp = next;
    }
    if (tail > FRAMES_KEPT)
        report_line("skipped", (long)(tail - FRAMES_KEPT), 10);
    for (size_t i = tail > FRAMES_KEPT ? tail - FRAMES_KEPT : 0; i < tail; i++)
        report_line("frame", (long)last[i % FRAMES_KEPT], 16);
}

static _Noreturn void end_after_trap(void)
{
    flush_output();
    _exit(STATUS_TRAP);
}

/* The unwinder asks at each frame whether to go on. */
static _Unwind_Reason_Code at_frame(int version, _Unwind_Action actions, _Unwind_Exception_Class class,
                                    struct _Unwind_Exception *trap, struct _Unwind_Context *context, void *argument)
{
    (void)version, (void)class, (void)trap, (void)context, (void)argument;
    if (actions & _UA_END_OF_STACK)
        end_after_trap();
    return _URC_NO_REASON;
}

static void on_trap(int signal_number, siginfo_t *info, void *context)
{
    const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t rip = (uintptr_t)registers[REG_RIP], rsp = (uintptr_t)registers[REG_RSP];
    uintptr_t address = (uintptr_t)info->si_addr;
    long kind = -signal_number;
    if (signal_number == SIGILL && trap_kind((const uint8_t *)rip) > 0)
        kind = trap_kind((const uint8_t *)rip);
    if (signal_number == SIGSEGV && address + STACK_MARGIN > rsp && address < rsp + STACK_MARGIN)
        kind = KIND_STACK_OVERFLOW;
    static struct _Unwind_Exception trap;
    static int traps;
    if (traps++ > 0) {
        if (kind > 0 && kind != KIND_STACK_OVERFLOW)
            _Unwind_ForcedUnwind(&trap, at_frame, NULL);
        end_after_trap();
    }
    flush_output();
    report_line("trap", kind, 10);
    if ((kind == KIND_ASSERT || kind == KIND_PANIC) && panic_text) {
        report_line("message", panic_length, 10);
        report_send();
        write_all(report_fd, panic_text, (size_t)panic_length);
        report_text("\n");
    }
    /* A jump through a null function value has no frame of its own yet: its return address is on top of the stack. */
    if (rip < 4096 && rsp + 8 <= stack_top)
        rip = *(uintptr_t *)rsp;
    bool is_check = kind > 0 && kind != KIND_STACK_OVERFLOW;
    report_frames(rip, is_check, (uintptr_t)registers[REG_RBP], rsp);
    report_text("end\n");
    report_send();
    if (is_check)
        _Unwind_ForcedUnwind(&trap, at_frame, NULL);
    end_after_trap();
}

/* A str or bytes object: its length at 8, its text at 16. */
void krait_panic_message(const char *object)
{
    panic_length = *(const int64_t *)(object + 8);
    panic_text = object + 16;
}

/* Where the last exception was raised: its return addresses, for the case that nobody catches it. */
static uintptr_t raised[FRAMES_OF_RAISE];
static size_t raised_count;

void krait_raised(void)
{
    uintptr_t *frame = __builtin_frame_address(0);
    raised_count = 0;
    while ((uintptr_t)frame + 16 <= stack_top && raised_count < FRAMES_OF_RAISE) {
        raised[raised_count++] = frame[1];
        if (frame[0] <= (uintptr_t)frame)
            break;
        frame = (uintptr_t *)frame[0];
    }
}

static void report_uncaught(int64_t word)
{
    report_number("uncaught", (long)(word >> 32), 10);
    report_line("", (int32_t)word, 10);
    for (size_t i = 0; i < raised_count; i++)
        report_line("frame", (long)raised[i], 16);
    report_text("end\n");
    report_send();
}

/* Start ----------------------------------------------------------------------------------------------------------- */

static int argument_count;
static char **arguments;

int64_t krait_host_argument_count(void)
{
    return argument_count;
}

int64_t krait_host_argument_address(int64_t index)
{
    return (int64_t)arguments[index];
}

int64_t krait_host_argument_length(int64_t index)
{
    return (int64_t)strlen(arguments[index]);
}

int64_t krait_host_read(int64_t address, int64_t length)
{
    flush_output();
    ssize_t done;
    do
        done = read(STDIN_FILENO, (void *)address, (size_t)length);
    while (done < 0 && errno == EINTR);
    return done < 0 ? 0 : done;
}

static void die(const char *message)
{
    fprintf(stderr, "krait host: %s\n", message);
    exit(STATUS_TRAP);
}

static void catch_traps(void)
{
    static char stack[64 << 10];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&alternative, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static int flag(const char *name)
{
    const char *value = getenv(name);
    return value && strcmp(value, "1") == 0;
}

/* Calls that have returned leave words on the stack, which would keep their objects in use. */
static __attribute__((noinline)) void wipe_stack(void)
{
    char room[65536];
    memset(room, 0, sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
}

int main(int argc, char **argv)
{
    const char *fd = getenv("KRAIT_REPORT_FD"), *limit = getenv("KRAIT_HOST_MEMORY");
    size_t size = limit ? strtoull(limit, NULL, 0) : DEFAULT_MEMORY;
    int64_t status = 0;
    argument_count = argc;
    arguments = argv;
    if (fd)
        report_fd = atoi(fd);
    output_is_terminal = isatty(STDOUT_FILENO);
    stack_top = (uintptr_t)__builtin_frame_address(0) + 16;
    catch_traps();
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("no memory for the heap");
    if (!krait_host_start((int64_t)memory, (int64_t)size, (int64_t)stack_top, flag("KRAIT_STRESS")))
        die("KRAIT_HOST_MEMORY is too small");
    int64_t word = krait_host_main(&status);
    flush_output();
    if (word) {
        report_uncaught(word);
        return STATUS_UNCAUGHT;
    }
    if (flag("KRAIT_LEAKS")) {
        wipe_stack();
        fprintf(stderr, "%ld objects in use\n", (long)krait_host_objects());
    }
    return (int)(status & 0xff);
}
