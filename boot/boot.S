# The boot stub: from a boot loader's 32-bit protected mode to Kernel Python in long mode at -2 GiB.
#
# One ELF serves three protocols. All enter in the same state (32-bit flat segments, paging off, interrupts
# off) and differ in how they are found and in which register tells what:
#   PVH         an ELF note gives the entry; ebx -> hvm_start_info; eax is undefined
#               (Xen, docs/misc/pvh.pandoc)
#   multiboot1  e_entry;  eax = 0x2badb002, ebx -> information (Multiboot 0.6.96, section 3.2)
#   multiboot2  e_entry;  eax = 0x36d76289, ebx -> information (Multiboot2 2.0, section 3.2)
#
# It ends with  krait_main(protocol, info_phys)  on the boot stack, interrupts off, with these mappings, all
# writable and executable in 2 MiB pages until arch/x86_64/paging.py builds the real ones:
#   0                 the first 4 GiB (needed to survive the instruction that turns paging on)
#   DIRECT_MAP_BASE   the first 4 GiB
#   KERNEL_BASE       the first 1 GiB
# All three share the same four page directories. 1 GiB pages would save them, but half the virtual processors
# lack the feature, and one road is easier to trust than two.

.include "arch/x86_64/constants.inc"

.set MULTIBOOT1_MAGIC,         0x1badb002
.set MULTIBOOT1_LOADER_MAGIC,  0x2badb002
.set MULTIBOOT2_MAGIC,         0xe85250d6
.set MULTIBOOT2_LOADER_MAGIC,  0x36d76289

.set PROTOCOL_PVH,             1
.set PROTOCOL_MULTIBOOT1,      2
.set PROTOCOL_MULTIBOOT2,      3

.set PAGE_PRESENT_WRITE,       0x003
.set PAGE_PRESENT_WRITE_LARGE, 0x083

.set CR0_PE,  1 << 0
.set CR0_MP,  1 << 1
.set CR0_NE,  1 << 5
.set CR0_WP,  1 << 16
.set CR0_PG,  1 << 31
.set CR4_PAE, 1 << 5
.set CR4_PGE, 1 << 7

.set COM1, 0x3f8

# ---- Headers ----------------------------------------------------------------------------------------------
# The section .boot.text opens the image: it lies at file offset 0x1000 (linker.ld, -z max-page-size=4096).

.section .boot.text, "ax", @progbits
boot_text_start:

.balign 8                               # Multiboot2 3.1.1: 64-bit aligned, within the first 32 KiB
multiboot2_header:
        .long MULTIBOOT2_MAGIC
        .long 0                         # architecture: i386, protected mode
        .long multiboot2_header_end - multiboot2_header
        .long -(MULTIBOOT2_MAGIC + 0 + (multiboot2_header_end - multiboot2_header))
        .balign 8
        .word 6, 0                      # tag 6: modules on page boundaries
        .long 8
        .balign 8
        .word 0, 0                      # end tag
        .long 8
multiboot2_header_end:

# ---- Entries ----------------------------------------------------------------------------------------------
.code32

.globl pvh_entry
pvh_entry:
        movl    $PROTOCOL_PVH, %edi
        # Where memory is short, a loader may have put the first module (the initial files) over the end of the image.
        cmpl    $0, 12(%ebx)            # hvm_start_info: the number of modules
        je      enter_long_mode
        movl    16(%ebx), %ecx          # their list: address and size, 64 bits each
        cmpl    $0, 4(%ecx)
        jne     enter_long_mode
        movl    (%ecx), %edx
        cmpl    $(__image_end - KERNEL_BASE), %edx
        jae     enter_long_mode
        addl    8(%ecx), %edx
        cmpl    $(__image_start - KERNEL_BASE), %edx
        jbe     enter_long_mode
        movl    $(no_room_message - KERNEL_BASE), %esi
        jmp     refuse

.globl multiboot_entry
multiboot_entry:
        movl    $PROTOCOL_MULTIBOOT1, %edi
        cmpl    $MULTIBOOT1_LOADER_MAGIC, %eax
        je      enter_long_mode
        movl    $PROTOCOL_MULTIBOOT2, %edi
        cmpl    $MULTIBOOT2_LOADER_MAGIC, %eax
        je      enter_long_mode
        movl    $(unknown_loader_message - KERNEL_BASE), %esi
        jmp     refuse

# edi = protocol, ebx = information. Both survive to 64-bit mode; nothing below uses them.
enter_long_mode:
        cli
        cld
        movl    $(boot_stack_top - KERNEL_BASE), %esp

        # Long mode: CPUID 8000_0001h EDX bit 29 (Intel SDM vol. 2, CPUID; AMD APM vol. 2, 14.1.1).
        pushl   %ebx
        movl    $0x80000000, %eax
        cpuid
        cmpl    $0x80000001, %eax
        jb      no_long_mode
        movl    $0x80000001, %eax
        cpuid
        btl     $29, %edx
        jnc     no_long_mode
        movl    %edx, %ebp              # bit 20 says whether EFER.NXE may be set
        popl    %ebx

        # The tables lie outside of .bss, so that clearing .bss later does not pull them away.
        pushl   %edi
        movl    $(boot_tables - KERNEL_BASE), %edi
        movl    $((boot_tables_end - boot_tables) / 4), %ecx
        xorl    %eax, %eax
        rep stosl

        # Page directories: 2048 entries of 2 MiB.
        movl    $(boot_directories - KERNEL_BASE), %edi
        movl    $PAGE_PRESENT_WRITE_LARGE, %eax
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        popl    %edi

        # First four entries of the lower table, then the one at KERNEL_BASE (entry 510 of the topmost table).
        movl    $(boot_directories - KERNEL_BASE + PAGE_PRESENT_WRITE), %eax
        movl    %eax, (boot_table_high - KERNEL_BASE + 510 * 8)
        movl    %eax, (boot_table_low - KERNEL_BASE)
        addl    $0x1000, %eax
        movl    %eax, (boot_table_low - KERNEL_BASE + 8)
        addl    $0x1000, %eax
        movl    %eax, (boot_table_low - KERNEL_BASE + 16)
        addl    $0x1000, %eax
        movl    %eax, (boot_table_low - KERNEL_BASE + 24)

        movl    $(boot_table_low - KERNEL_BASE + PAGE_PRESENT_WRITE), %eax
        movl    %eax, (boot_root - KERNEL_BASE)
        movl    %eax, (boot_root - KERNEL_BASE + ((DIRECT_MAP_BASE >> 39) & 511) * 8)
        movl    $(boot_table_high - KERNEL_BASE + PAGE_PRESENT_WRITE), %eax
        movl    %eax, (boot_root - KERNEL_BASE + 511 * 8)

        # Intel SDM vol. 3, 10.8.5: PAE, CR3, EFER.LME, then paging.
        movl    %cr4, %eax
        orl     $(CR4_PAE | CR4_PGE), %eax
        movl    %eax, %cr4
        movl    $(boot_root - KERNEL_BASE), %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $0x101, %eax            # SCE, LME
        btl     $20, %ebp
        jnc     2f
        orl     $0x800, %eax            # NXE
2:      wrmsr
        movl    $(CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), %eax
        movl    %eax, %cr0              # EM and TS fall too: the processor's reset state for the FPU
        lgdt    (boot_gdt_pointer_low - KERNEL_BASE)
        ljmp    $KERNEL_CS, $(long_mode_low - KERNEL_BASE)

no_long_mode:
        movl    $(no_long_mode_message - KERNEL_BASE), %esi
# Tells the first serial port why (polled; the firmware's settings), and stops. esi -> text.
refuse:
        movw    $(COM1 + 5), %dx
1:      inb     %dx, %al
        cmpb    $0xff, %al              # no such port: nobody to tell
        je      3f
        testb   $0x20, %al
        jz      1b
        movw    $COM1, %dx
        lodsb
        testb   %al, %al
        jz      3f
        outb    %al, %dx
        jmp     refuse
3:      cli
        hlt
        jmp     3b

.code64
long_mode_low:
        movabsq $long_mode_high, %rax
        jmpq    *%rax

long_mode_high:
        lgdt    boot_gdt_pointer_high(%rip)     # the low one lies in a mapping that will go away
        movl    $KERNEL_SS, %eax
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs

        movl    %edi, %r12d             # protocol
        movl    %ebx, %r13d             # information; zero-extended physical address
        leaq    __bss_start(%rip), %rdi
        leaq    __bss_end(%rip), %rcx
        subq    %rdi, %rcx
        shrq    $3, %rcx                # linker.ld aligns both to 4096
        xorl    %eax, %eax
        rep stosq

        leaq    boot_stack_top(%rip), %rsp
        xorl    %ebp, %ebp              # ends the chain of frames for tracebacks
        pushq   $0                      # … and a return address of nowhere
        pushq   $0
        movl    %r12d, %edi
        movl    %r13d, %esi
        call    krait_main
4:      cli
        hlt
        jmp     4b

.balign 8
boot_gdt:                               # flat; limits and bases are ignored in 64-bit mode
        .quad 0
        .quad 0
        .quad 0x00af9b000000ffff        # KERNEL_CS: 64-bit code, ring 0
        .quad 0x00cf93000000ffff        # KERNEL_SS: data, ring 0
boot_gdt_end:
boot_gdt_pointer_low:
        .word boot_gdt_end - boot_gdt - 1
        .long boot_gdt - KERNEL_BASE
.balign 8
boot_gdt_pointer_high:
        .word boot_gdt_end - boot_gdt - 1
        .quad boot_gdt

unknown_loader_message:
        .asciz "krait: started by a boot loader that speaks neither PVH nor multiboot\r\n"
no_room_message:
        .asciz "krait: not enough memory: the initial files lie over the kernel\r\n"
no_long_mode_message:
        .asciz "krait: this processor has no 64-bit mode\r\n"

# QEMU's -kernel refuses a 64-bit ELF with a multiboot1 header, and looks for one at file offsets 0 to 8140
# before it tries PVH; GRUB looks up to 8180. At 8144 (0x1fd0) only GRUB sees it.
.org 0xfd0
.balign 4
multiboot1_header:
        .long MULTIBOOT1_MAGIC
        .long 3                         # modules on page boundaries; memory information wanted
        .long -(MULTIBOOT1_MAGIC + 3)

# ---- The PVH note -----------------------------------------------------------------------------------------
# Its own PT_NOTE segment with an alignment of 4 (linker.ld): QEMU walks the notes with the segment's
# alignment, and reads eight bytes of descriptor.
.section .note.pvh, "a", @note
        .balign 4
        .long 4                         # name size
        .long 8                         # descriptor size
        .long 18                        # XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad pvh_entry - KERNEL_BASE

# ---- Memory that must not be cleared with .bss ------------------------------------------------------------
.section .boot.tables, "aw", @nobits
.balign 4096
boot_tables:
.globl boot_root
boot_root:              .skip 4096
boot_table_low:         .skip 4096
boot_table_high:        .skip 4096
boot_directories:       .skip 4 * 4096
boot_tables_end:

# The boot stack serves krait_main and then the idle loop. The page below it is unmapped by paging.py, so
# that running over the end faults instead of writing into somebody's data.
.section .boot.stack, "aw", @nobits
.balign 4096
.globl boot_stack_guard, boot_stack_bottom, boot_stack_top
boot_stack_guard:       .skip 4096
boot_stack_bottom:      .skip 64 * 1024
boot_stack_top:
# What the kernel allocates before it has found its memory (kernel/mm/heap.py, EarlyArena).
.globl early_arena, early_arena_end
early_arena:            .skip 64 * 1024
early_arena_end:

.section .note.GNU-stack, "", @progbits
