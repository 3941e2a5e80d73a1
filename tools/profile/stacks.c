/* A plugin for QEMU's translator that looks at the stack each time the guest has executed `interval` instructions more,
 * from the first instruction of a program on. A look is a line of the file: addresses, innermost first, which are found
 * by the chain of frame pointers; 0 is the code of a program, whose stack is its own and not looked at. A program is what
 * has the privileges of one: firmware and the first lines of a kernel lie at low addresses, too. Functions that call no
 * other have no frame: the kernel's unwind table (compiler/unwind.py) says where their callers are.
 *
 * Arguments: records=PATH, interval=N, table=ADDRESS of the unwind table, in hexadecimal, boot=on to begin with the
 * kernel's first instruction in its own half of addresses.
 *
 * The declarations are those of QEMU's plugin interface (docs/devel/tcg-plugins), as far as it is used: Debian has no
 * package with its header.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FRAMES 64
#define IMAGE_BASE 0xffffffff80000000 /* addresses in the unwind table are relative to it */
#define FRAMED (1u << 31)             /* a row of the table: the function has a frame */
#define WORD_BITS 12                  /* else how many words lie up to its end, and then where registers are */
#define RBP_SHIFT (WORD_BITS + 15)

struct qemu_plugin_tb;
struct qemu_plugin_register;
struct qemu_plugin_scoreboard;
typedef uint64_t qemu_plugin_id_t;
typedef struct { struct qemu_plugin_scoreboard *score; size_t offset; } qemu_plugin_u64;
typedef struct { struct qemu_plugin_register *handle; const char *name, *feature; } qemu_plugin_reg_descriptor;
typedef struct { uint8_t *data; unsigned len; } GByteArray;
typedef struct { char *data; unsigned len; } GArray;
enum { ADD = 0 };              /* enum qemu_plugin_op */
enum { GREATER_OR_EQUAL = 7 }; /* enum qemu_plugin_cond */
enum { READS_REGISTERS = 1 };  /* enum qemu_plugin_cb_flags */
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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* each processor is a thread of QEMU */
static FILE *file;
static uint64_t interval, table;
static bool wants_boot, has_begun;
static struct qemu_plugin_register *frame_pointer, *stack_pointer, *code_segment;
static GByteArray *bytes;
static qemu_plugin_u64 since; /* instructions since the last look */

static uint64_t value_of(struct qemu_plugin_register *which)
{
    uint64_t value = 0;
    g_byte_array_set_size(bytes, 0);
    int size = qemu_plugin_read_register(which, bytes);
    if (size > 0)
        memcpy(&value, bytes->data, size < 8 ? size : 8);
    return value;
}

/* Copy from the guest; false where nothing is mapped. */
static bool load(uint64_t address, void *to, size_t size)
{
    g_byte_array_set_size(bytes, 0);
    if (!qemu_plugin_read_memory_vaddr(address, bytes, size))
        return false;
    memcpy(to, bytes->data, size);
    return true;
}

/* The last row of the unwind table up to an address; 0 if there is none, as for assembly. */
static uint32_t row_at(uint64_t address)
{
    uint32_t count, row[2], found = 0;
    if (!table || address < IMAGE_BASE || !load(table, &count, sizeof count))
        return 0;
    for (uint32_t low = 0, high = count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (!load(table + 8 + middle * sizeof row, row, sizeof row))
            return 0;
        if (row[0] <= address - IMAGE_BASE) {
            low = middle + 1;
            found = row[1];
        } else {
            high = middle;
        }
    }
    return found;
}

/* The caller of a function without a frame. Returns the frame pointer there. */
static uint64_t record_caller(uint32_t row, uint64_t frame)
{
    uint64_t place = value_of(stack_pointer) + ((row & ((1u << WORD_BITS) - 1)) - 1) * 8, caller;
    uint32_t saved = row >> RBP_SHIFT & 7;
    if (load(place, &caller, sizeof caller) && (int64_t)caller < 0)
        fprintf(file, " %" PRIx64, caller - 1);
    if (saved)
        load(place - saved * 8, &frame, sizeof frame);
    return frame;
}

static void record(uint64_t address)
{
    uint64_t frame, words[2];
    uint32_t row;
    bool is_program = (value_of(code_segment) & 3) == 3;
    has_begun |= is_program || (wants_boot && (int64_t)address < 0);
    if (!has_begun)
        return;
    if (is_program) {
        fputs("0\n", file);
        fflush(file);
        return;
    }
    fprintf(file, "%" PRIx64, address);
    frame = value_of(frame_pointer);
    row = row_at(address);
    if (row && !(row & FRAMED))
        frame = record_caller(row, frame);
    for (int depth = 1; depth < MOST_FRAMES && (int64_t)frame < 0; depth++) {
        if (!load(frame, words, sizeof words) || (int64_t)words[1] >= 0)
            break;
        fprintf(file, " %" PRIx64, words[1] - 1);
        if (words[0] <= frame)
            break;
        frame = words[0];
    }
    fputc('\n', file);
    fflush(file); /* the machine may be killed at any time */
}

static void look(unsigned processor, void *address)
{
    qemu_plugin_u64_set(since, processor, 0);
    pthread_mutex_lock(&lock);
    record((uintptr_t)address);
    pthread_mutex_unlock(&lock);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, ADD, since, qemu_plugin_tb_n_insns(tb));
    qemu_plugin_register_vcpu_tb_exec_cond_cb(tb, look, READS_REGISTERS, GREATER_OR_EQUAL, since, interval, (void *)(uintptr_t)address);
}

static void begun(qemu_plugin_id_t id, unsigned processor)
{
    (void)id;
    (void)processor;
    GArray *registers = qemu_plugin_get_registers();
    qemu_plugin_reg_descriptor *each = (qemu_plugin_reg_descriptor *)registers->data;
    for (unsigned i = 0; i < registers->len; i++) {
        if (strcmp(each[i].name, "rbp") == 0)
            frame_pointer = each[i].handle;
        else if (strcmp(each[i].name, "rsp") == 0)
            stack_pointer = each[i].handle;
        else if (strcmp(each[i].name, "cs") == 0)
            code_segment = each[i].handle;
    }
    if (!frame_pointer || !stack_pointer || !code_segment)
        abort();
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *information, int argument_count, char **arguments)
{
    (void)information;
    for (int i = 0; i < argument_count; i++) {
        if (strncmp(arguments[i], "records=", 8) == 0)
            file = fopen(arguments[i] + 8, "w");
        else if (strncmp(arguments[i], "interval=", 9) == 0)
            interval = strtoull(arguments[i] + 9, 0, 10);
        else if (strncmp(arguments[i], "table=", 6) == 0)
            table = strtoull(arguments[i] + 6, 0, 16);
        else if (strcmp(arguments[i], "boot=on") == 0)
            wants_boot = true;
    }
    if (!file || interval == 0)
        return 1;
    since = (qemu_plugin_u64){qemu_plugin_scoreboard_new(8), 0};
    bytes = g_byte_array_new();
    qemu_plugin_register_vcpu_init_cb(id, begun);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
