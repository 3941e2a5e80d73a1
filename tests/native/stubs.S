# What the compiled modules call and the process has: each goes through a word that machine.c fills in.

.macro stub name, number
.globl \name
.type \name, @function
\name:
    jmp *krait_native_table + 8 * \number
.endm

.text
stub memcpy, 0
stub memset, 1
stub memmove, 2
stub memcmp, 3
stub _Unwind_Resume, 4
stub __gcc_personality_v0, 5
.weak krait_panic_message # the modules may have it themselves
stub krait_panic_message, 6
stub krait_host_write, 7
stub krait_native_python, 8

.globl krait_raised
krait_raised:
    ret

# Nothing is known of the processor.
.bss
.balign 8
.globl krait_native_table
krait_native_table:
    .skip 8 * 16

.section .note.GNU-stack, "", @progbits
