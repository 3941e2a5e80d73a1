/* A plugin for QEMU's translator that measures how long the kernel runs without letting interrupts in, in instructions of
 * the guest, and where.
 *
 * A stretch begins where the kernel is entered or where one of the functions `ends` was called (its safe points, and where
 * it waits for interrupts), and ends where one of these is called or a program goes on. Each time a stretch is
 * `interval` instructions longer, the stack is looked at through the chain of frame pointers. A stretch that reached
 * `interval` becomes a line of the file when it ends: its length, then a sample after each `|`: innermost address first.
 *
 * Arguments: records=PATH, interval=N, ends=ADDRESS[:ADDRESS…] (hexadecimal).
 *
 * The declarations are those of QEMU's plugin interface (docs/devel/tcg-plugins), as far as it is used: Debian has no
 * package with its header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SAMPLES 64
#define MOST_FRAMES 32
#define MOST_ENDS 8

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_register;
struct qemu_plugin_scoreboard;
typedef uint64_t qemu_plugin_id_t;
typedef struct { struct qemu_plugin_scoreboard *score; size_t offset; } qemu_plugin_u64;
typedef struct { struct qemu_plugin_register *handle; const char *name, *feature; } qemu_plugin_reg_descriptor;
typedef struct { uint8_t *data; unsigned len; } GByteArray;
typedef struct { char *data; unsigned len; } GArray;
enum { ADD = 0, STORE = 1 };                      /* enum qemu_plugin_op */
enum { NOT_EQUAL = 3, GREATER_OR_EQUAL = 7 };     /* enum qemu_plugin_cond */
enum { NO_REGISTERS = 0, READS_REGISTERS = 1 };   /* enum qemu_plugin_cb_flags */
typedef void callback(unsigned processor, void *data);

void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id, void (*begun)(qemu_plugin_id_t, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cond_cb(struct qemu_plugin_tb *tb, callback *function, int flags, int condition, qemu_plugin_u64 entry, uint64_t value, void *data);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb, int operation, qemu_plugin_u64 entry, uint64_t value);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
uint64_t qemu_plugin_u64_get(qemu_plugin_u64 entry, unsigned processor);
void qemu_plugin_u64_set(qemu_plugin_u64 entry, unsigned processor, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
GArray *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(struct qemu_plugin_register *handle, GByteArray *bytes);
bool qemu_plugin_read_memory_vaddr(uint64_t address, GByteArray *bytes, size_t length);
GByteArray *g_byte_array_new(void);
GByteArray *g_byte_array_set_size(GByteArray *bytes, unsigned length);

int qemu_plugin_version = 2;

static FILE *file;
static uint64_t interval, ends[MOST_ENDS];
static int end_count;
static struct qemu_plugin_register *frame_pointer;
static GByteArray *bytes;
/* Of the present stretch: instructions since the last sample, and samples so far. */
static qemu_plugin_u64 since, samples;
static uint64_t kept[MOST_SAMPLES][MOST_FRAMES], stride;
static int kept_count;

static void sample(unsigned processor, void *address)
{
    uint64_t number = qemu_plugin_u64_get(samples, processor);
    if (number == 0) {
        kept_count = 0;
        stride = 1;
    }
    qemu_plugin_u64_set(samples, processor, number + 1);
    qemu_plugin_u64_set(since, processor, qemu_plugin_u64_get(since, processor) - interval);
    if (number % stride != 0)
        return;
    if (kept_count == MOST_SAMPLES) { /* of a very long one, keep every second and take half as many from now on */
        for (int i = 0; i < MOST_SAMPLES / 2; i++)
            memcpy(kept[i], kept[2 * i], sizeof kept[i]);
        kept_count /= 2;
        stride *= 2;
        if (number % stride != 0)
            return;
    }
    uint64_t *frames = kept[kept_count++], frame = 0, words[2];
    memset(frames, 0, sizeof kept[0]);
    frames[0] = (uintptr_t)address;
    g_byte_array_set_size(bytes, 0);
    if (frame_pointer && qemu_plugin_read_register(frame_pointer, bytes) == 8)
        memcpy(&frame, bytes->data, 8);
    for (int depth = 1; depth < MOST_FRAMES && (int64_t)frame < 0; depth++) {
        g_byte_array_set_size(bytes, 0);
        if (!qemu_plugin_read_memory_vaddr(frame, bytes, 16))
            break;
        memcpy(words, bytes->data, 16);
        if ((int64_t)words[1] >= 0)
            break;
        frames[depth] = words[1] - 1;
        if (words[0] <= frame)
            break;
        frame = words[0];
    }
}

static void ended(unsigned processor, void *data)
{
    (void)data;
    fprintf(file, "%" PRIu64, qemu_plugin_u64_get(samples, processor) * interval + qemu_plugin_u64_get(since, processor));
    for (int i = 0; i < kept_count; i++) {
        fprintf(file, " |");
        for (int depth = 0; depth < MOST_FRAMES && kept[i][depth]; depth++)
            fprintf(file, " %" PRIx64, kept[i][depth]);
    }
    fprintf(file, "\n");
    fflush(file);
    qemu_plugin_u64_set(samples, processor, 0);
}

static bool is_end(uint64_t address)
{
    if ((int64_t)address >= 0)
        return true;
    for (int i = 0; i < end_count; i++)
        if (ends[i] == address)
            return true;
    return false;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    if (is_end(address)) {
        qemu_plugin_register_vcpu_tb_exec_cond_cb(tb, ended, NO_REGISTERS, NOT_EQUAL, samples, 0, 0);
        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, STORE, since, 0);
    }
    if ((int64_t)address < 0) {
        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, ADD, since, qemu_plugin_tb_n_insns(tb));
        qemu_plugin_register_vcpu_tb_exec_cond_cb(tb, sample, READS_REGISTERS, GREATER_OR_EQUAL, since, interval, (void *)(uintptr_t)address);
    }
}

static void begun(qemu_plugin_id_t id, unsigned processor)
{
    (void)id;
    (void)processor;
    GArray *registers = qemu_plugin_get_registers();
    qemu_plugin_reg_descriptor *each = (qemu_plugin_reg_descriptor *)registers->data;
    for (unsigned i = 0; i < registers->len; i++)
        if (strcmp(each[i].name, "rbp") == 0)
            frame_pointer = each[i].handle;
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *information, int argument_count, char **arguments)
{
    (void)information;
    for (int i = 0; i < argument_count; i++) {
        if (strncmp(arguments[i], "records=", 8) == 0)
            file = fopen(arguments[i] + 8, "w");
        else if (strncmp(arguments[i], "interval=", 9) == 0)
            interval = strtoull(arguments[i] + 9, 0, 10);
        else if (strncmp(arguments[i], "ends=", 5) == 0)
            for (char *at = arguments[i] + 5; *at && end_count < MOST_ENDS; at += *at == ':')
                ends[end_count++] = strtoull(at, &at, 16);
    }
    if (!file || interval == 0 || end_count == 0)
        return 1;
    struct qemu_plugin_scoreboard *words = qemu_plugin_scoreboard_new(16);
    since = (qemu_plugin_u64){words, 0};
    samples = (qemu_plugin_u64){words, 8};
    bytes = g_byte_array_new();
    qemu_plugin_register_vcpu_init_cb(id, begun);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
