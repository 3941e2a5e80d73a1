# Leaving this kernel for another (kexec): its pages are moved to where they belong, over this kernel as well, and it is
# entered.
#
# handover_code … handover_code_end is copied to a page below 1 MiB, which is no piece's, and runs there by tables that
# map all memory onto itself. The list of moves consists of pairs of words, destination and source:
#     destination >= 0    fill the page there from the source, or with zeros if that is 0
#     HANDOVER_LINK       the list goes on at the source
#     HANDOVER_END        done
#
# Entered with 64 bits (Linux, Documentation/arch/x86/boot.rst): flat segments 0x10 and 0x18, paging by these tables,
# rsi = the argument. With 32 (Xen, docs/misc/pvh.pandoc): flat segments, no paging, cr4 = 0, ebx = the argument.
# Interrupts are off in both. Source of the order of steps: Intel SDM vol. 3, 10.8.5.4 (leaving IA-32e mode).

.include "arch/x86_64/constants.inc"

.set HANDOVER_END,         -1
.set HANDOVER_LINK,        -2
.set HANDOVER_CODE_32,     0x08
.set HANDOVER_CODE_64,     0x10
.set HANDOVER_DATA,        0x18
.set CR0_PAGING_PROTECTED, 0x80000001
.set CR0_PROTECTED_ONLY,   0x1
.set CR4_PAE_ONLY,         0x20

.text
.code64
# hand_over(page, list, root, entry, is_narrow, argument): page, list and root are physical. Does not return.
# `root` also has this kernel's own entry at KERNEL_BASE, so that the next instruction is found.
.globl hand_over
.balign 16
hand_over:
        cli
        cld
        movq    %rcx, %r12
        movq    %r8, %r13
        movq    %r9, %r14
        lidt    no_interrupts(%rip)
        xorl    %eax, %eax
        movq    %rax, %db7
        movl    $CR4_PAE_ONLY, %eax
        movq    %rax, %cr4
        movq    %rdx, %cr3
        movl    $CR0_PAGING_PROTECTED, %eax
        movq    %rax, %cr0
        jmp     *%rdi

.section .rodata
.balign 16
no_interrupts:
        .word 0
        .quad 0

.balign 16
.globl handover_code, handover_code_end
handover_code:
        leaq    handover_code(%rip), %rsp
        addq    $4096, %rsp
next_move:
        lodsq
        movq    %rax, %rdi
        lodsq
        testq   %rdi, %rdi
        js      special
        movq    %rsi, %rbx
        movl    $512, %ecx
        movq    %rax, %rsi
        testq   %rax, %rax
        jz      fill
        rep movsq
        jmp     moved
fill:   rep stosq
moved:  movq    %rbx, %rsi
        jmp     next_move
special:
        cmpq    $HANDOVER_LINK, %rdi
        jne     all_moved
        movq    %rax, %rsi
        jmp     next_move

all_moved:
        leaq    handover_gdt(%rip), %rax
        movq    %rax, handover_gdt_pointer + 2(%rip)
        lgdt    handover_gdt_pointer(%rip)
        movl    $HANDOVER_DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        testq   %r13, %r13
        jnz     narrow
        movq    %r14, %rsi
        pushq   $HANDOVER_CODE_64
        pushq   %r12
        xorl    %eax, %eax
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        xorl    %r8d, %r8d
        xorl    %r9d, %r9d
        xorl    %r10d, %r10d
        xorl    %r11d, %r11d
        xorl    %r12d, %r12d
        xorl    %r13d, %r13d
        xorl    %r14d, %r14d
        xorl    %r15d, %r15d
        lretq

narrow:
        movl    %r12d, %esi             # the entry
        movl    %r14d, %ebx             # the argument
        pushq   $HANDOVER_CODE_32
        leaq    narrow_code(%rip), %rax
        pushq   %rax
        lretq

.code32
narrow_code:
        movl    $CR0_PROTECTED_ONLY, %eax
        movl    %eax, %cr0              # out of long mode
        movl    $MSR_EFER, %ecx
        xorl    %eax, %eax
        xorl    %edx, %edx
        wrmsr
        movl    %eax, %cr4
        xorl    %ecx, %ecx
        xorl    %edi, %edi
        xorl    %ebp, %ebp
        jmp     *%esi
.code64

.balign 8
handover_gdt:
        .quad 0
        .quad 0x00cf9b000000ffff        # HANDOVER_CODE_32
        .quad 0x00af9b000000ffff        # HANDOVER_CODE_64
        .quad 0x00cf93000000ffff        # HANDOVER_DATA
handover_gdt_end:
handover_gdt_pointer:
        .word handover_gdt_end - handover_gdt - 1
        .quad 0
handover_code_end:

.section .note.GNU-stack, "", @progbits
