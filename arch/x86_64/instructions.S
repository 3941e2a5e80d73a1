# Single instructions as functions, for arch/x86_64/instructions.py: what a processor can do and Python can't say.
#
# C calling convention; leaf functions without a frame. What each one does, and what its caller owes, stands in
# instructions.py.

.include "arch/x86_64/constants.inc"

.section .text.hot, "ax", @progbits

# ---- Ports ------------------------------------------------------------------------------------------------
.globl port_in_u8
port_in_u8:
        movl    %edi, %edx
        xorl    %eax, %eax
        inb     %dx, %al
        ret

.globl port_in_u16
port_in_u16:
        movl    %edi, %edx
        xorl    %eax, %eax
        inw     %dx, %ax
        ret

.globl port_in_u32
port_in_u32:
        movl    %edi, %edx
        inl     %dx, %eax
        ret

.globl port_out_u8
port_out_u8:
        movl    %edi, %edx
        movl    %esi, %eax
        outb    %al, %dx
        ret

.globl port_out_u16
port_out_u16:
        movl    %edi, %edx
        movl    %esi, %eax
        outw    %ax, %dx
        ret

.globl port_out_u32
port_out_u32:
        movl    %edi, %edx
        movl    %esi, %eax
        outl    %eax, %dx
        ret

# ---- Model-specific and control registers -----------------------------------------------------------------
.globl read_msr
read_msr:
        movl    %edi, %ecx
        rdmsr
        shlq    $32, %rdx
        orq     %rdx, %rax
        ret

.globl write_msr
write_msr:
        movl    %edi, %ecx
        movq    %rsi, %rax
        movq    %rsi, %rdx
        shrq    $32, %rdx
        wrmsr
        ret

.globl read_cr0
read_cr0:
        movq    %cr0, %rax
        ret

.globl write_cr0
write_cr0:
        movq    %rdi, %cr0
        ret

.globl read_cr2
read_cr2:
        movq    %cr2, %rax
        ret

.globl read_cr3
read_cr3:
        movq    %cr3, %rax
        ret

.globl write_cr3
write_cr3:
        movq    %rdi, %cr3
        ret

.globl read_cr4
read_cr4:
        movq    %cr4, %rax
        ret

.globl write_cr4
write_cr4:
        movq    %rdi, %cr4
        ret

.globl write_xcr0
write_xcr0:
        xorl    %ecx, %ecx
        movq    %rdi, %rax
        movq    %rdi, %rdx
        shrq    $32, %rdx
        xsetbv
        ret

.globl clear_task_switched
clear_task_switched:
        clts
        ret

.globl invalidate_page
invalidate_page:
        invlpg  (%rdi)
        ret

# cpuid_register(leaf, subleaf, register): register 0 eax, 1 ebx, 2 ecx, 3 edx
.globl cpuid_register
cpuid_register:
        pushq   %rbx
        movl    %edx, %r8d
        movl    %edi, %eax
        movl    %esi, %ecx
        cpuid
        testl   %r8d, %r8d
        jz      9f
        movl    %ebx, %eax
        decl    %r8d
        jz      9f
        movl    %ecx, %eax
        decl    %r8d
        jz      9f
        movl    %edx, %eax
9:      popq    %rbx
        ret

.globl read_tsc
read_tsc:
        rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        ret

# random_word(): 63 random bits, or -1 when the generator has none to give after ten tries (Intel SDM vol. 1, 7.3.17)
.globl random_word
random_word:
        movl    $10, %ecx
1:      rdrand  %rax
        jc      2f
        decl    %ecx
        jnz     1b
        movq    $-1, %rax
        ret
2:      shrq    $1, %rax
        ret

# ---- Tables -----------------------------------------------------------------------------------------------
# load_gdt(base, limit): and reloads every segment register from it. FS and GS bases become 0.
.globl load_gdt
load_gdt:
        subq    $16, %rsp
        movw    %si, (%rsp)
        movq    %rdi, 2(%rsp)
        lgdt    (%rsp)
        addq    $16, %rsp
        xorl    %eax, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    $KERNEL_SS, %eax
        movl    %eax, %ss
        popq    %rax
        pushq   $KERNEL_CS
        pushq   %rax
        lretq

.globl load_idt
load_idt:
        subq    $16, %rsp
        movw    %si, (%rsp)
        movq    %rdi, 2(%rsp)
        lidt    (%rsp)
        addq    $16, %rsp
        ret

.globl load_task_register
load_task_register:
        ltr     %di
        ret

.globl load_local_table
load_local_table:
        lldt    %di
        ret

# access_rights(selector): what lar says, or -1 where there is no such segment for a program that names it.
.globl access_rights
access_rights:
        movzwl  %di, %edi
        larl    %edi, %eax
        jz      1f
        movq    $-1, %rax
1:      ret

# read_selectors() -> ds | es << 16 | fs << 32 | gs << 48
.globl read_selectors
read_selectors:
        movl    %gs, %eax
        shlq    $16, %rax
        movl    %fs, %ecx
        movzwl  %cx, %ecx
        orq     %rcx, %rax
        shlq    $16, %rax
        movl    %es, %ecx
        movzwl  %cx, %ecx
        orq     %rcx, %rax
        shlq    $16, %rax
        movl    %ds, %ecx
        movzwl  %cx, %ecx
        orq     %rcx, %rax
        ret

# load_selectors(all four): one that cannot be loaded becomes 0, so that nothing faults here. The user's bases of FS and GS change.
.globl load_selectors
load_selectors:
        call    usable_selector
        movl    %eax, %ds
        shrq    $16, %rdi
        call    usable_selector
        movl    %eax, %es
        shrq    $16, %rdi
        call    usable_selector
        movl    %eax, %fs
        shrq    $16, %rdi
        call    usable_selector
        swapgs
        movl    %eax, %gs
        swapgs
        ret

# di -> eax: it, or 0. Of a null selector there are four.
usable_selector:
        movzwl  %di, %eax
        testl   $0xfffc, %eax
        jz      1f
        verr    %ax
        jnz     2f
        larl    %eax, %ecx
        jnz     2f
        testl   $0x8000, %ecx           # present
        jz      2f
1:      ret
2:      xorl    %eax, %eax
        ret

# ---- Interrupts -------------------------------------------------------------------------------------------
.globl enable_interrupts
enable_interrupts:
        sti
        ret

.globl disable_interrupts
disable_interrupts:
        cli
        ret

.globl interrupts_enabled
interrupts_enabled:
        pushfq
        popq    %rax
        shrl    $9, %eax
        andl    $1, %eax
        ret

# What was stored before is seen by whoever gets an interrupt that is sent afterwards (SDM vol. 3, 11.12.3).
.globl order_stores
order_stores:
        mfence
        lfence
        ret

# Devices see what was stored before, before anything is loaded that follows. A locked instruction would do on real
# hardware; but where a machine has one processor, QEMU makes ordinary loads and stores of it, for which its own host's
# processor may change the order, while a device runs in another thread. It keeps the order of this one (SDM vol. 2).
.globl order_stores_before_loads
order_stores_before_loads:
        mfence
        ret

.globl spin_pause
spin_pause:
        pause
        ret

.globl halt_forever
halt_forever:
        cli
1:      hlt
        jmp     1b

# triple_fault(): an empty interrupt table and an exception. The last way to reset a PC.
.globl triple_fault
triple_fault:
        pushq   $0
        pushq   $0
        lidt    (%rsp)
        int3
        jmp     halt_forever

# ---- Per-CPU block ----------------------------------------------------------------------------------------
.globl percpu_load
percpu_load:
        movq    %gs:(%rdi), %rax
        ret

# ---- FS and GS bases of the user --------------------------------------------------------------------------
# switched_features is set by cpu.py: 0; 1 when CR4.FSGSBASE is on, whose instructions cost a fiftieth of the MSRs under TCG; 2
# when there are protection keys as well. In the kernel the user's GS base sits in MSR_KERNEL_GS_BASE, where only rdmsr
# reaches it.
# save_user_bases(place), load_user_bases(place): FS's at place, GS's after it, then the rights of protection keys. One
# call for what each switch does. Rights are loaded only where they differ: the processor forgets translations by that,
# at times. Saving returns the selectors of ds, es, fs and gs, one or-ed to the other: few programs load one.
.globl save_user_bases
save_user_bases:
        movl    $MSR_KERNEL_GS_BASE, %ecx
        rdmsr
        movl    %eax, 8(%rdi)
        movl    %edx, 12(%rdi)
        cmpb    $1, switched_features(%rip)
        jb      1f
        rdfsbase %rax
        movq    %rax, (%rdi)
        je      2f
        xorl    %ecx, %ecx
        rdpkru
        movl    %eax, 16(%rdi)
2:      movl    %ds, %eax
        movl    %es, %ecx
        orl     %ecx, %eax
        movl    %fs, %ecx
        orl     %ecx, %eax
        movl    %gs, %ecx
        orl     %ecx, %eax
        ret
1:      movl    $MSR_FS_BASE, %ecx
        rdmsr
        movl    %eax, (%rdi)
        movl    %edx, 4(%rdi)
        jmp     2b

.globl load_user_bases
load_user_bases:
        movl    $MSR_KERNEL_GS_BASE, %ecx
        movl    8(%rdi), %eax
        movl    12(%rdi), %edx
        wrmsr
        cmpb    $1, switched_features(%rip)
        movq    (%rdi), %rax
        jbe     1f
        wrfsbase %rax
        xorl    %ecx, %ecx
        rdpkru
        cmpl    16(%rdi), %eax
        je      2f
        movl    16(%rdi), %eax
        wrpkru                          # rdpkru has cleared edx
2:      ret
1:      jne     3f
        wrfsbase %rax
        ret
3:      movq    %rax, %rsi
4:      movl    $MSR_FS_BASE, %edi
        jmp     write_msr

# write_fs_base(address), write_gs_base(address): of the program, whose selector becomes 0.
.globl write_fs_base
write_fs_base:
        xorl    %eax, %eax
        movl    %eax, %fs
        movq    %rdi, %rsi
        cmpb    $0, switched_features(%rip)
        je      4b
        wrfsbase %rdi
        ret

.globl write_gs_base
write_gs_base:
        xorl    %eax, %eax
        swapgs
        movl    %eax, %gs
        swapgs
        movq    %rdi, %rsi
        movl    $MSR_KERNEL_GS_BASE, %edi
        jmp     write_msr

# ---- Rights of protection keys, where there are such ---------------------------------------------------------
.globl read_key_rights
read_key_rights:
        xorl    %ecx, %ecx
        rdpkru
        ret

.globl write_key_rights
write_key_rights:
        movl    %edi, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        wrpkru
        ret

# ---- Debug registers --------------------------------------------------------------------------------------
# Off while the addresses change, so that no breakpoint is a mixture.
.globl load_breakpoints
load_breakpoints:
        xorl    %eax, %eax
        movq    %rax, %dr7
        movq    (%rdi), %rax
        movq    %rax, %dr0
        movq    8(%rdi), %rax
        movq    %rax, %dr1
        movq    16(%rdi), %rax
        movq    %rax, %dr2
        movq    24(%rdi), %rax
        movq    %rax, %dr3
        movq    32(%rdi), %rax
        movq    %rax, %dr7
        ret

.globl drop_breakpoints
drop_breakpoints:
        xorl    %eax, %eax
        movq    %rax, %dr7
        ret

# The processor sets bits and clears none. Those that are always 1 are written as such (Intel SDM vol. 3, 19.2.3).
.globl take_debug_status
take_debug_status:
        movq    %dr6, %rax
        movl    $0xffff0ff0, %ecx
        movq    %rcx, %dr6
        ret

# ---- Frames of the interrupted program --------------------------------------------------------------------
.globl read_frame_pointer
read_frame_pointer:
        movq    %rbp, %rax
        ret

.data
.balign 8
.globl switched_features
switched_features:
        .quad 0

.section .note.GNU-stack, "", @progbits
