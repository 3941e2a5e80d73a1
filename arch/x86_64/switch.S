# Kernel stacks: switching between them, and the first moments of a new one.
#
# Interrupts are off in all of these.

.include "arch/x86_64/constants.inc"

.section .text.hot, "ax", @progbits

# switch_stacks(save_sp_to, load_sp): leaves the present stack, with its pointer stored at save_sp_to, and
# returns on the other one, to where that one called switch_stacks. Registers that a call preserves are pushed; the rest are
# dead by the calling convention. What the processor spent in the kernel since it was last asked is the leaving thread's:
# it is added to the third word at save_sp_to (percpu.py, take_kernel_ticks).
.globl switch_stacks
.balign 16
switch_stacks:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        rdtsc
        movl    %gs:PERCPU_KERNEL_TICKS, %ecx
        addl    %eax, %ecx
        negl    %eax
        movl    %eax, %gs:PERCPU_KERNEL_TICKS
        addq    %rcx, 16(%rdi)
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        ret

# The first return of a kernel thread: context.py put the argument where switch_stacks loads rbx from.
# krait_kthread_main(argument) does not return.
.globl kthread_entry
.balign 16
kthread_entry:
        movq    %rbx, %rdi
        xorl    %ebp, %ebp
        call    krait_kthread_main
        ud2

.section .note.GNU-stack, "", @progbits
