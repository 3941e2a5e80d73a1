# The kernel lock, and how a processor is made to forget translations while it does not hold the lock.
#
# One word says whether the lock is held. Whoever finds it held polls for a while, then halts with interrupts on until
# the lock is given back; so a machine whose processors are threads of a host does not burn the holder's time. A
# processor that has waited very long is starving: until it is served, those that come later do not try. Before that
# nobody gives way: on a busy host each hand-over would wait until the host runs the other processor.
# Waiting processors answer shoot-downs (docs/processors.md; tests/models/kernel_lock.py, shoot_down.py).
# Whoever takes the lock from another processor tells Kernel Python which one runs it now: krait_take_over(number).
#
# C calling convention; rdi and rsi are lost too where nothing else is said.

.include "arch/x86_64/constants.inc"

.set POLLS,                256                  # before a processor halts
.set STARVING,             64                   # how often it has halted, or polled as long, when it is starving
.set IPI_ASSERT,           0x4000
.set APIC_EOI,             0xb0
.set APIC_COMMAND,         0x300
.set APIC_COMMAND_HIGH,    0x310
.set APIC_COMMAND_PENDING, 0x1000
.set MSR_X2APIC_EOI,       0x80b
.set MSR_X2APIC_COMMAND,   0x830

# Loads this processor's table anew, which flushes what it knows of it, if another processor has asked for that. The
# number of the request is read before the table is: a later one is answered by itself.
.macro answer_request request, other
        movq    %gs:PERCPU_FLUSH, \request
        movq    %gs:PERCPU_ROOT, \other
        movq    \other, %cr3
        movq    \request, %gs:PERCPU_FLUSHED
.endm

.section .text.hot, "ax", @progbits

# take_kernel_lock() may halt meanwhile, with interrupts on; take_kernel_lock_awake() leaves them off.
.globl take_kernel_lock, take_kernel_lock_awake
.balign 16
take_kernel_lock_awake:
        xorl    %esi, %esi
        jmp     1f
take_kernel_lock:
        movl    $1, %esi
1:      cmpl    $0, lock_starving(%rip)
        jne     wait_for_lock
        movl    $1, %eax
        xchgl   %eax, lock_is_held(%rip)
        testl   %eax, %eax
        jnz     wait_for_lock
have_lock:
        incl    lock_turns(%rip)
        movq    %gs:PERCPU_SELF, %rax
        movq    %rax, kernel_lock_owner(%rip)
        cmpq    %rax, lock_last(%rip)
        je      2f
        movq    %rax, lock_last(%rip)
        movq    %gs:PERCPU_NUMBER, %rdi
        subq    $8, %rsp
        call    krait_take_over
        addq    $8, %rsp
2:      ret

# esi: whether to halt. edx: how often this processor has halted or given up polling. ecx: polls left.
wait_for_lock:
        lock incl lock_waiters(%rip)
        xorl    %edx, %edx
poll_for_a_while:
        movl    $POLLS, %ecx
poll:   movq    %gs:PERCPU_FLUSH, %rax
        cmpq    %rax, %gs:PERCPU_FLUSHED
        jne     3f
4:      pause
        cmpl    $0, lock_is_held(%rip)
        jne     6f
        cmpl    $STARVING, %edx
        jae     5f
        cmpl    $0, lock_starving(%rip)
        jne     6f
5:      movl    $1, %eax
        xchgl   %eax, lock_is_held(%rip)
        testl   %eax, %eax
        jz      stop_waiting
6:      decl    %ecx
        jnz     poll

        testl   %esi, %esi
        jz      8f
        cmpl    $STARVING, %edx         # the next to have it: nobody else would take the lock, and wake it later
        jae     9f
        movq    %gs:PERCPU_NUMBER, %rax
        lock btsq %rax, lock_halted(%rip)
        cmpl    $0, lock_is_held(%rip)  # the announcement comes before this look: whoever gives the lock back sees it
        je      7f
        sti
        hlt
        cli
7:      movq    %gs:PERCPU_NUMBER, %rax
        lock btrq %rax, lock_halted(%rip)
8:      incl    %edx
        cmpl    $STARVING, %edx
        jb      poll_for_a_while
9:      movl    $1, lock_starving(%rip)
        jmp     poll_for_a_while

3:      answer_request %rax, %rdi
        jmp     4b

stop_waiting:
        lock decl lock_waiters(%rip)
        cmpl    $STARVING, %edx
        jb      have_lock
        movl    $0, lock_starving(%rip) # of several, the others say it again
        jmp     have_lock

# give_kernel_lock(): and wakes one that halts.
.globl give_kernel_lock
.balign 16
give_kernel_lock:
        movq    $0, kernel_lock_owner(%rip)
        xorl    %eax, %eax
        xchgl   %eax, lock_is_held(%rip) # an exchange, so that it comes before the look
        movq    lock_halted(%rip), %rax
        testq   %rax, %rax
        jnz     1f
        ret
1:      movl    lock_woken(%rip), %ecx  # the next one after the last: none is passed over
        rorq    %cl, %rax
        bsfq    %rax, %rax
        addl    %ecx, %eax
        andl    $63, %eax
        leal    1(%rax), %ecx
        movl    %ecx, lock_woken(%rip)
        lock btrq %rax, lock_halted(%rip)
        jnc     3f                      # it has woken by itself
        leaq    processor_areas(%rip), %rdx
        movq    (%rdx,%rax,8), %rdx
        movq    PERCPU_APIC(%rdx), %rdx
        movq    apic_registers(%rip), %rdi
        testq   %rdi, %rdi
        jz      4f
        shll    $24, %edx
        movl    %edx, APIC_COMMAND_HIGH(%rdi)
        movl    $(IPI_ASSERT | FLUSH_VECTOR), APIC_COMMAND(%rdi)
2:      testl   $APIC_COMMAND_PENDING, APIC_COMMAND(%rdi)
        jnz     2b
3:      ret
4:      movl    $(IPI_ASSERT | FLUSH_VECTOR), %eax
        movl    $MSR_X2APIC_COMMAND, %ecx
        wrmsr
        ret

# interrupt_in_kernel(frame): the kernel is interrupted where it halts without the lock (idle, or waiting for it), or at a
# safe point, where it still holds it.
.globl interrupt_in_kernel
interrupt_in_kernel:
        cmpb    $0, several_processors(%rip)
        je      1f
        movq    %gs:PERCPU_SELF, %rax
        cmpq    %rax, kernel_lock_owner(%rip)
        jne     2f
1:      jmp     krait_interrupt_in_kernel
2:      pushq   %rdi
        call    take_kernel_lock_awake
        movq    (%rsp), %rdi
        call    krait_interrupt_in_kernel
        call    give_kernel_lock
        addq    $8, %rsp
        ret

# wait_for_interrupt(save_sp_to): halts with interrupts on until one was served; nothing can slip between the enabling
# and the halt, for sti takes effect after the next instruction. With several processors the lock is free meanwhile,
# and the registers lie on the stack, whose pointer is stored, so that the reclaimer sees them.
.globl wait_for_interrupt
wait_for_interrupt:
        cmpb    $0, several_processors(%rip)
        jne     1f
        sti
        hlt
        cli
        ret
1:      call    save_registers
        call    give_kernel_lock
        sti
        hlt
        cli
        jmp     take_and_restore

# interrupt_window(save_sp_to): serves interrupts that wait, and lets another processor that waits have the lock.
.globl interrupt_window
interrupt_window:
        sti
        nop
        cli
        cmpb    $0, several_processors(%rip)
        jne     1f
        ret
1:      cmpl    $0, lock_waiters(%rip)
        jne     2f
        ret                             # nobody waits
2:      call    save_registers
        pushq   lock_turns(%rip)
        subq    $8, %rsp
        call    give_kernel_lock
        addq    $8, %rsp
        popq    %rdx
        movl    $POLLS, %ecx            # until another has had it
3:      movq    %gs:PERCPU_FLUSH, %rax
        cmpq    %rax, %gs:PERCPU_FLUSHED
        jne     5f
4:      pause
        cmpl    %edx, lock_turns(%rip)
        jne     take_and_restore
        cmpl    $0, lock_waiters(%rip)
        je      take_and_restore
        decl    %ecx
        jnz     3b
take_and_restore:
        call    take_kernel_lock
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        addq    $8, %rsp
        ret
5:      answer_request %rax, %rdi
        jmp     4b

# Pushes what calls preserve, stores the stack pointer at rdi, and leaves the stack aligned for a call.
save_registers:
        popq    %rax
        subq    $8, %rsp
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        jmp     *%rax

# The gate of FLUSH_VECTOR: needs no lock, for the processor that holds it waits for the answer. It also wakes those that
# halt while they wait for the lock.
.globl answer_flush
.balign 16
answer_flush:
        testb   $3, 8(%rsp)
        jz      1f
        swapgs
1:      pushq   %rax
        pushq   %rcx
        pushq   %rdx
        answer_request %rax, %rdx
        movq    apic_registers(%rip), %rax
        testq   %rax, %rax
        jz      2f
        movl    $0, APIC_EOI(%rax)
        jmp     3f
2:      movl    $MSR_X2APIC_EOI, %ecx
        xorl    %eax, %eax
        xorl    %edx, %edx
        wrmsr
3:      popq    %rdx
        popq    %rcx
        popq    %rax
        testb   $3, 8(%rsp)
        jz      4f
        swapgs
4:      iretq

.data
.balign 64
.globl several_processors, kernel_lock_owner, apic_registers, processor_areas
several_processors:     .quad 0         # 1 once a second processor may run the kernel
kernel_lock_owner:      .quad 0         # the PerCpu block of the holder; 0: nobody's
lock_last:              .quad cpu_area  # of the last holder
apic_registers:         .quad 0         # where they lie in memory; 0: they are MSRs
lock_is_held:           .long 1         # by the boot processor, from the start
lock_waiters:           .long 0
lock_starving:          .long 0         # 1: somebody has waited long
lock_woken:             .long 0         # 1 + the number of the one that was woken last, a hint
.balign 8
lock_turns:             .quad 0         # how often it was taken; its low half counts
lock_halted:            .quad 0         # a bit for each processor that halts while it waits

.bss
.balign 8
processor_areas:        .skip 64 * 8    # by number: their PerCpu blocks

.section .note.GNU-stack, "", @progbits
