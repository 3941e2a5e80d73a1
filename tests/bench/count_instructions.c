/* A plugin for QEMU's translator that counts how often each instruction of the guest is executed, at nearly full speed.
 *
 * The counts lie in a file that is mapped here and by tests/bench/profile.py, which reads them whenever it likes. It holds
 * words of 64 bits: first how many are in use; then for each block of instructions that was translated, how often it was
 * entered, its length, and the addresses of its instructions. A block that is translated again gets a new record.
 *
 * The declarations are those of QEMU's plugin interface (docs/devel/tcg-plugins), as far as it is used: Debian has no
 * package with its header.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE (1UL << 30) /* sparse */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*entered)(unsigned, void *), int flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

int qemu_plugin_version = 2;

static uint64_t *words;

static void entered(unsigned processor, void *count)
{
    (void)processor;
    ++*(uint64_t *)count;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    uint64_t *record = words + words[0];
    if ((words[0] + 2 + count) * sizeof *words > FILE_SIZE)
        return; /* counted no more: the profile is too long */
    record[1] = count;
    for (size_t i = 0; i < count; i++)
        record[2 + i] = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i));
    words[0] += 2 + count;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, entered, 0, record);
}

/* The argument is `counts=PATH`. */
int qemu_plugin_install(qemu_plugin_id_t id, const void *information, int argument_count, char **arguments)
{
    (void)information;
    if (argument_count != 1 || strncmp(arguments[0], "counts=", 7) != 0)
        return 1;
    int file = open(arguments[0] + 7, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, FILE_SIZE) != 0)
        return 1;
    words = mmap(0, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (words == MAP_FAILED)
        return 1;
    words[0] = 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
