/* A plugin for QEMU's translator that notes which instructions of the kernel were ever executed, at full speed: code is
 * translated when it is about to run for the first time, so that nothing need be done when it runs.
 *
 * The notes lie in a file that is mapped here and by tests/fuzz_calls/coverage.py: in the first page a count of the
 * instructions so far, then a byte for each address from BASE. The guest sees the first page as a disk, so that the fuzzer
 * knows whether a program reached something new.
 *
 * The declarations are those of QEMU's plugin interface (docs/devel/tcg-plugins), as far as it is used.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE 0xffffffff80100000UL
#define REACH (8UL << 20)
#define HEADER 4096

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 2;

static uint64_t *count;
static uint8_t *seen;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        uint64_t offset = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i)) - BASE;
        if (offset < REACH && !seen[offset]) {
            seen[offset] = 1;
            ++*count;
        }
    }
}

/* The argument is `notes=PATH`, a file that exists. */
int qemu_plugin_install(qemu_plugin_id_t id, const void *information, int argument_count, char **arguments)
{
    (void)information;
    if (argument_count != 1 || strncmp(arguments[0], "notes=", 6) != 0)
        return 1;
    int file = open(arguments[0] + 6, O_RDWR);
    if (file < 0 || ftruncate(file, HEADER + REACH) != 0)
        return 1;
    uint8_t *notes = mmap(0, HEADER + REACH, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (notes == MAP_FAILED)
        return 1;
    count = (uint64_t *)notes;
    seen = notes + HEADER;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
