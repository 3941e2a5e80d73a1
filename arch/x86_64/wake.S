# How a further processor wakes: in real mode, at the start of a page below 1 MiB, to which processors.py copies
# wake_code … wake_code_end. It goes to 64-bit mode by the boot stub's tables, which map the first 4 GiB onto
# themselves and the image at KERNEL_BASE; then it takes the kernel's own and calls
#     krait_processor_main()
# on the stack that processors.py put into wake_stack, one processor at a time; and, once it has the kernel lock,
#     krait_join()
# One that comes when none is expected any more halts.
#
# Source: Intel SDM vol. 3, 10.4.4.1 (start-up inter-processor interrupts), 11.9.1 (to protected mode), 10.8.5 (IA-32e).

.include "arch/x86_64/constants.inc"

.set WAKE_CODE_32,         0x08
.set CR0_PROTECTED,        0x1
.set CR0_LONG,             0x80010023           # PG WP NE MP PE
.set CR4_PAE_PGE,          0xa0
.set EFER_LONG,            0x901                # NXE LME SCE: the kernel does not run without NX

.section .rodata
.balign 16
.globl wake_code, wake_code_end
.code16
wake_code:
        cli
        cld
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   wake_gdt_pointer_low - wake_code
        movl    $CR0_PROTECTED, %eax
        movl    %eax, %cr0
        ljmpl   $WAKE_CODE_32, $(wake_protected - KERNEL_BASE)
.balign 4
wake_gdt_pointer_low:
        .word wake_gdt_end - wake_gdt - 1
        .long wake_gdt - KERNEL_BASE
wake_code_end:

.balign 8
wake_gdt:
        .quad 0
        .quad 0x00cf9b000000ffff        # WAKE_CODE_32
        .quad 0x00af9b000000ffff        # KERNEL_CS
        .quad 0x00cf93000000ffff        # KERNEL_SS
wake_gdt_end:
.balign 8
wake_gdt_pointer_high:
        .word wake_gdt_end - wake_gdt - 1
        .quad wake_gdt

.text
.code32
wake_protected:
        movl    $KERNEL_SS, %eax
        movl    %eax, %ds
        movl    %eax, %ss
        movl    $CR4_PAE_PGE, %eax
        movl    %eax, %cr4
        movl    $(boot_root - KERNEL_BASE), %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $EFER_LONG, %eax
        wrmsr
        movl    $CR0_LONG, %eax
        movl    %eax, %cr0
        ljmp    $KERNEL_CS, $(wake_long_low - KERNEL_BASE)

.code64
wake_long_low:
        movabsq $wake_long_high, %rax
        jmpq    *%rax

wake_long_high:
        lgdt    wake_gdt_pointer_high(%rip)
        movl    $KERNEL_SS, %eax
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movq    wake_root(%rip), %rax
        movq    %rax, %cr3
        xorl    %ebp, %ebp              # ends the chain of frames for tracebacks
        xorl    %eax, %eax
        xchgl   %eax, wake_expected(%rip)
        testl   %eax, %eax
        jz      1f                      # nobody waits for this one any more
        movq    wake_stack(%rip), %rsp
        pushq   $0
        pushq   $0
        call    krait_processor_main
        call    take_kernel_lock
        call    krait_join              # does not return
1:      cli
        hlt
        jmp     1b

.data
.balign 8
.globl wake_root, wake_stack, wake_expected
wake_root:      .quad 0                 # the kernel's top-level table (physical)
wake_stack:     .quad 0                 # the upper end of the stack of the processor that wakes next
wake_expected:  .long 0                 # 1: one is to come; it takes that back

.section .note.GNU-stack, "", @progbits
