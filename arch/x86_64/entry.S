# The doors of the kernel: system calls, interrupts, exceptions, and the way back out.
#
# Every door builds the same struct TrapFrame on a kernel stack and calls Kernel Python with its address:
#     krait_syscall(frame)   system calls; the result goes to frame.rax
#     krait_trap(frame)      exceptions and interrupts of programs, frame.vector says which
#     krait_interrupt_in_kernel(frame), krait_exception_in_kernel(frame)   those of the kernel itself
#     krait_exception_in_section(frame)   those of system calls that run without the kernel lock
# and leaves through one exit that restores the frame, whatever Python made of it (a signal handler's frame,
# another program after execve).
#
# Invariants:
#   - Interrupts are off in the kernel except in the idle loop and at safe points, so doors do not nest
#     elsewhere but for page faults in the user copy routines.
#   - In the kernel GS is the per-CPU block (percpu.py), and the user's GS base is in MSR_KERNEL_GS_BASE.
#   - The vectors that can arrive between `syscall` and `swapgs` (NMI, machine check, debug) and double fault
#     run on stacks of their own (IST) and do not trust GS.
#
# Source: Intel SDM vol. 3, chapter 7 (interrupts, IST) and vol. 2, SYSCALL and SYSRET; AMD APM vol. 2, 6.1, 8.9.

.include "arch/x86_64/constants.inc"

.section .text.hot, "ax", @progbits

# Pushes r15 … rdi below the vector, which completes the frame, in the order of struct TrapFrame.
.macro push_registers
        pushq   %rdi
        pushq   %rsi
        pushq   %rdx
        pushq   %rcx
        pushq   %rax
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
.endm

# The reverse, and past the vector and the error code.
.macro pop_registers
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rax
        popq    %rcx
        popq    %rdx
        popq    %rsi
        popq    %rdi
        addq    $16, %rsp
.endm

# The time that a processor spends in the kernel, by the low half of the time-stamp counter (percpu.py). Both lose eax
# and edx.
.macro begin_kernel_time
        rdtsc
        subl    %eax, %gs:PERCPU_KERNEL_TICKS
.endm
.macro end_kernel_time
        rdtsc
        addl    %eax, %gs:PERCPU_KERNEL_TICKS
.endm

# With several processors, the kernel lock (lock.S) is taken when a processor comes in, and given back when it leaves.
# These keep rbx, rbp, rsp and r12 to r15.
.macro enter_kernel
        cmpb    $0, several_processors(%rip)
        je      9f
        call    take_kernel_lock
9:
.endm
.macro leave_kernel
        cmpb    $0, several_processors(%rip)
        je      9f
        call    give_kernel_lock
9:
.endm

# ---- System calls -----------------------------------------------------------------------------------------
# From user mode: rcx = user rip, r11 = user rflags, rsp and gs still the user's; MSR_SFMASK cleared IF, TF,
# DF, AC and NT.

.macro build_call_frame
        swapgs
        movq    %rsp, %gs:PERCPU_USER_RSP
        movq    %gs:PERCPU_KERNEL_SP, %rsp
        pushq   $USER_SS
        pushq   %gs:PERCPU_USER_RSP
        pushq   %r11
        pushq   $USER_CS
        pushq   %rcx
        pushq   %rax                    # FRAME_ERROR_CODE holds the number; rax will be overwritten
        pushq   $VECTOR_SYSCALL
        push_registers
        xorl    %ebp, %ebp              # tracebacks end here
.endm

# sysret is a fifth of iretq's price. It takes rip from rcx and rflags from r11. In a frame that is still as it was made
# these agree, and the selectors are right; rip is canonical, because no program has the last page of the user half. RF
# and TF are lost or late, so with these a frame leaves by iretq.
.macro check_call_frame
        testl   $(RFLAGS_TF | RFLAGS_RF), FRAME_RFLAGS(%rsp)
        jnz     return_to_user
        cmpq    $0, FRAME_ERROR_CODE(%rsp)
        jl      check_frame             # Python made another frame of it (frame.py)
.endm

# With several processors `syscall` leads here (processors.py), so that with one a call pays nothing for the lock.
# The calls of krait_unlocked_calls have been proved to need no kernel lock (compiler/lower/unlocked.py). They run
# without, unless somebody looks at the thread's calls. Such a section says that it is one before it loads anything: the
# reclaimer waits until each processor has been outside (tests/models/unlocked.py). Signals and whatever else is due for
# the thread come with an interrupt, which is let in when the program goes on. A call that asks for a restart is made
# once more, with the lock. A quick form may have done the call but for what needs the lock (kernel/doors/quick.py). What
# such a call takes counts as the program's time: a look at the clock is dearer.
.globl syscall_entry_locked
.balign 16
syscall_entry_locked:
        build_call_frame
        cmpq    $CALL_LIMIT, %rax
        jae     1f
        movq    krait_unlocked_calls(,%rax,8), %rbx
        testq   %rbx, %rbx
        jz      1f
        cmpl    $0, %gs:PERCPU_WATCHED
        jne     1f
        lock incq %gs:PERCPU_SECTIONS   # locked, so that it comes before all loads
        movq    %r10, %rcx              # the other arguments are where the program put them
        call    *%rbx
        incq    %gs:PERCPU_SECTIONS
        cmpq    $TAKE_LOCK, %rax
        jle     2f
3:      leaq    LAST_RESTART(%rax), %rcx
        cmpq    $RESTART_CODES, %rcx
        jb      1f
        movq    %rax, FRAME_RAX(%rsp)
        testl   $(RFLAGS_TF | RFLAGS_RF), FRAME_RFLAGS(%rsp)
        jz      leave_by_sysret
        begin_kernel_time               # for the exit that ends it
        jmp     return_to_user

2:      je      1f                      # a quick form could not do it
        cmpq    $FINISH, %rax
        jne     3b
        begin_kernel_time
        call    take_kernel_lock
        movq    %rsp, %rdi
        call    krait_finish_call
        call    give_kernel_lock
        check_call_frame
        jmp     return_by_sysret
1:
call_with_lock:
        begin_kernel_time
        call    take_kernel_lock
        movq    %rsp, %rdi
        call    krait_syscall
        call    give_kernel_lock
        check_call_frame
        jmp     return_by_sysret

.globl syscall_entry
.balign 16
syscall_entry:
        build_call_frame
        begin_kernel_time
        movq    %rsp, %rdi
        call    krait_syscall
        check_call_frame
return_by_sysret:
        end_kernel_time
leave_by_sysret:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        popq    %r11                    # the flags, too
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rax
        popq    %rcx                    # and rip
        popq    %rdx
        popq    %rsi
        popq    %rdi
        movq    (FRAME_RSP - FRAME_VECTOR)(%rsp), %rsp
        swapgs
        sysretq

# A frame that Python changed leaves by sysret only if it happens to be fit for it: a rip that is not canonical would
# fault in ring 0 on the user's stack (Intel's SYSRET).
check_frame:
        movq    FRAME_RIP(%rsp), %rcx
        cmpq    %rcx, FRAME_RCX(%rsp)
        jne     return_to_user
        movq    FRAME_RFLAGS(%rsp), %r11
        cmpq    %r11, FRAME_R11(%rsp)
        jne     return_to_user
        movq    %rcx, %rax
        shrq    $USER_ADDRESS_BITS, %rax
        jnz     return_to_user
        cmpq    $USER_CS, FRAME_CS(%rsp)
        jne     return_to_user
        cmpq    $USER_SS, FRAME_SS(%rsp)
        jne     return_to_user
        jmp     return_by_sysret

# 32-bit code of a program's own segments makes no system calls (gdt.py): ENOSYS, straight back.
.globl syscall_entry_32
.balign 16
syscall_entry_32:
        movl    $-38, %eax
        sysretl

# enter_user_mode(frame): a new task's way to its program. Everything on the stack below the frame is forgotten.
.globl enter_user_mode
enter_user_mode:
        movq    %rdi, %rsp
        leave_kernel
        jmp     return_to_user

# ---- The exit ---------------------------------------------------------------------------------------------
# rsp -> TrapFrame.

.balign 16
return_to_user:
        end_kernel_time
        pop_registers
        swapgs
iret_to_user:
        iretq                           # may fault on a bad frame: see repair_iret

return_to_kernel:
        pop_registers
        iretq

# ---- Interrupts and exceptions ----------------------------------------------------------------------------
.set FIRST_INTERRUPT, 32                # the vectors below are the processor's exceptions

# On the stack: vector, error code, and the processor's five words.

.balign 16
trap_common:
        testb   $3, (FRAME_CS - FRAME_VECTOR)(%rsp)
        jz      trap_from_kernel
        swapgs
trap_from_user:
        push_registers
        begin_kernel_time
        xorl    %ebp, %ebp
        cld
        # A trap from user mode leaves no segment in SS, `syscall` a flat one. QEMU translates code for both states of SS, so
        # with one state the kernel is translated once. It also spares AMD's `sysret` an SS that nobody can use.
        movl    $KERNEL_SS, %eax
        movl    %eax, %ss
        cmpb    $0, smap_enabled(%rip)  # interrupt gates leave AC alone: a user could bring it along
        je      1f
        clac
1:      enter_kernel
        movq    %rsp, %rdi
        call    krait_trap
        leave_kernel
        jmp     return_to_user

trap_from_kernel:
        cmpq    $iret_to_user, (FRAME_RIP - FRAME_VECTOR)(%rsp)
        je      repair_iret
        push_registers                  # rbp stays: the traceback runs on through the interrupted function
        cld
        cmpb    $0, smap_enabled(%rip)  # interrupt gates leave AC alone
        je      1f
        clac
1:      movq    %rsp, %rdi
        testb   $1, %gs:PERCPU_SECTIONS
        jnz     3f
4:      cmpq    $FIRST_INTERRUPT, FRAME_VECTOR(%rsp)
        jae     2f
        call    krait_exception_in_kernel
.globl exception_is_handled             # to arch/x86_64/unwinding.py: above this return address lies a frame
exception_is_handled:
        jmp     return_to_kernel
2:      call    interrupt_in_kernel     # lock.S
        jmp     return_to_kernel
3:      movq    FRAME_RIP(%rsp), %rax
        cmpq    $user_accesses, %rax
        jb      5f
        cmpq    $user_accesses_end, %rax
        jb      give_section_up
5:      cmpb    $0, halts_now(%rip)     # whoever has the lock may be halted: report what has stopped the machine
        jne     4b
        begin_kernel_time
        incq    %gs:PERCPU_SECTIONS     # before the wait for the lock: its holder may wait for the section
        call    take_kernel_lock_awake
        movq    %rsp, %rdi
        call    krait_exception_in_section # does not return
        ud2

# A system call without the kernel lock came to a page of the program's that it cannot have at once. It has changed
# nothing that matters (compiler/lower/unlocked.py): forget what it has on the stack, and make the call with the lock.
give_section_up:
        incq    %gs:PERCPU_SECTIONS     # before the wait for the lock: its holder may wait for the section
        movq    %gs:PERCPU_KERNEL_SP, %rsp
        subq    $FRAME_SIZE, %rsp       # the frame that the door has built
        xorl    %ebp, %ebp
        jmp     call_with_lock

# iretq faulted in ring 0 because the user's frame was unfit (a rip that is not canonical, set by sigreturn or
# ptrace). GS is the user's again, and the registers too. Make it what it is, a fault of the user's: drop the
# processor's new five words and put vector and error code below the old ones, to which the saved rsp points.
repair_iret:
        swapgs
        movq    %rax, %gs:PERCPU_SCRATCH_0
        movq    %rcx, %gs:PERCPU_SCRATCH_1
        movq    (FRAME_RSP - FRAME_VECTOR)(%rsp), %rax
        movq    (%rsp), %rcx
        movq    %rcx, -16(%rax)
        movq    8(%rsp), %rcx
        movq    %rcx, -8(%rax)
        leaq    -16(%rax), %rsp
        movq    %gs:PERCPU_SCRATCH_0, %rax
        movq    %gs:PERCPU_SCRATCH_1, %rcx
        jmp     trap_from_user

# _Unwind_Resume(): the end of a clean-up after a bug. Searches on, from its caller, for the next one outwards; does not
# return. The frame is that of the caller right after the call; 8 bytes align the stack.
.globl _Unwind_Resume
.balign 16
_Unwind_Resume:
        movq    (%rsp), %rax
        leaq    8(%rsp), %rcx
        subq    $8, %rsp
        pushq   $KERNEL_SS
        pushq   %rcx
        pushfq
        pushq   $KERNEL_CS
        pushq   %rax
        pushq   $0
        pushq   $0
        push_registers
        movq    %rsp, %rdi
        call    krait_clean_up_further
        jmp     return_to_kernel

# LLVM's tables name it; they are not in the image.
.globl __gcc_personality_v0
.set __gcc_personality_v0, 0

# ---- Vectors on stacks of their own -----------------------------------------------------------------------
# The top 16 bytes of each IST stack hold the address of its processor's PerCpu block (idt.py), because GS may
# be the user's, and with FSGSBASE a user can put anything there: its sign proves nothing.
# From user mode there is nothing special: the frame moves to the task's stack, so that the handler may deliver
# a signal or sleep.

.balign 16
trap_on_own_stack:
        cmpb    $0, halts_now(%rip)     # another processor has stopped the machine
        jne     halt_forever
        testb   $3, (FRAME_CS - FRAME_VECTOR)(%rsp)
        jnz     1f
        push_registers
        cld
        # Save the GS base that was there, load ours, and put the old one back at the end. r12 and r13 are
        # preserved by the call.
        movl    $MSR_GS_BASE, %ecx
        rdmsr
        movl    %eax, %r12d
        movl    %edx, %r13d
        movq    FRAME_SIZE(%rsp), %rax
        movq    %rax, %rdx
        shrq    $32, %rdx
        wrmsr
        cmpb    $0, smap_enabled(%rip)
        je      2f
        clac
2:      movq    %rsp, %rdi
        call    krait_exception_in_kernel
        movl    $MSR_GS_BASE, %ecx
        movl    %r12d, %eax
        movl    %r13d, %edx
        wrmsr
        jmp     return_to_kernel

1:      swapgs
        movq    %rax, %gs:PERCPU_SCRATCH_0
        movq    %rsp, %rax
        movq    %gs:PERCPU_KERNEL_SP, %rsp
        pushq   48(%rax)                # ss
        pushq   40(%rax)                # rsp
        pushq   32(%rax)                # rflags
        pushq   24(%rax)                # cs
        pushq   16(%rax)                # rip
        pushq   8(%rax)                 # error code
        pushq   (%rax)                  # vector
        movq    %gs:PERCPU_SCRATCH_0, %rax
        jmp     trap_from_user

# ---- One stub a vector ------------------------------------------------------------------------------------
# Sixteen bytes each, so that idt.py computes an address instead of reading a table. Not among the hot code: they fill a page
# of their own.
.section .text.stubs, "ax", @progbits

.set VECTOR_DEBUG,         1
.set VECTOR_NMI,           2
.set VECTOR_DOUBLE_FAULT,  8
.set VECTOR_MACHINE_CHECK, 18

.globl trap_stubs
.balign 16
trap_stubs:
.set vector, 0
.rept 256
        .balign 16
        # Vectors for which the processor pushes an error code: Intel SDM vol. 3, table 7-1.
        .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        .else
        pushq   $0
        .endif
        pushq   $vector
        .if vector == VECTOR_DEBUG || vector == VECTOR_NMI || vector == VECTOR_DOUBLE_FAULT || vector == VECTOR_MACHINE_CHECK
        jmp     trap_on_own_stack
        .else
        jmp     trap_common
        .endif
        .set vector, vector + 1
.endr

.data
.balign 8
# Set to 1 by cpu.py when CR4.SMAP is on: stac and clac are undefined instructions without the feature.
.globl smap_enabled
smap_enabled:
        .quad 0
.globl halts_now
halts_now:
        .quad 0

# ---- The boot processor's memory (percpu.py) ---------------------------------------------------------------
.bss
.balign 4096
.globl cpu_area, interrupt_table, ist_stacks
cpu_area:               .skip PERCPU_AREA_SIZE # PerCpu, TSS, GDT, the map of ports
interrupt_table:        .skip 4096      # 256 gates of 16 bytes
ist_stacks:
.rept 4
                        .skip 4096      # guard page, unmapped by paging.py
                        .skip 16 * 1024
.endr

.section .note.GNU-stack, "", @progbits
