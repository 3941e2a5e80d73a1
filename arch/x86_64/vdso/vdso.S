# The vDSO's code: clock_gettime, gettimeofday and time without entering the kernel.
#
# It runs in user mode. The page before it, mapped read-only, holds what the kernel writes when the clock's base moves
# (kernel/time/vdso.py):
#   +0  u32 sequence (odd while the kernel writes)    +8  counter at the base
#   +16 monotonic seconds, nanoseconds at the base    +32 ns per counter tick, times 2**24
#   +40 wall-clock seconds, nanoseconds at the base   +56 struct timezone
# A reader takes the sequence before, less its lowest bit, and after, and tries again if they differ: then it was odd, or moved. A scale
# of 0 means that there is no usable counter: then the sequence stays odd, and the system call is made. The base is never more than a
# few seconds old, so the seconds come by subtraction: a division is dear under emulation, and so are branches.
#
# Sources: vdso(7); Intel SDM volume 3, section 18.17 (RDTSC is not ordered with loads before it, hence the LFENCE).

.set DATA_SEQUENCE, 0
.set DATA_BASE_COUNTER, 8
.set DATA_MONOTONIC, 16
.set DATA_SCALE, 32
.set DATA_REALTIME, 40
.set DATA_TIME_ZONE, 56

.set CLOCKS_SERVED, 0xf3              # bits 0 realtime, 1 monotonic, 4 raw, 5 and 6 coarse, 7 boottime
.set CLOCKS_OF_WALL_TIME, 0x21        # bits 0 realtime, 5 realtime coarse
.set CLOCK_MONOTONIC, 1
.set CLOCK_REALTIME_COARSE, 5
.set COARSE_STEP, 4000000             # ns: as the kernel's, because times of files are taken from that clock
.set NS_PER_SECOND, 1000000000

.text

# read_clock offset, fallback: the time whose base lies at data_page + offset. Out: r10 seconds, rax nanoseconds; goes to `fallback`
# where there is no counter. Uses rcx, rdx, r8. Leaves rdi, rsi alone.
.macro read_clock offset, fallback
1:  mov     data_page + DATA_SEQUENCE(%rip), %r8d
    mov     data_page + DATA_SCALE(%rip), %rcx
    and     $-2, %r8d
    lfence
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    xor     %edx, %edx
    sub     data_page + DATA_BASE_COUNTER(%rip), %rax
    cmovs   %rdx, %rax                # another processor's counter may lag by a few ticks
    mul     %rcx
    shrd    $24, %rdx, %rax
    mov     data_page + \offset(%rip), %r10
    add     data_page + \offset + 8(%rip), %rax
    cmp     %r8d, data_page + DATA_SEQUENCE(%rip)
    jne     2f
3:  cmp     $NS_PER_SECOND, %rax
    jae     4f
.subsection 1                         # after the functions, so that the usual path runs straight on
2:  test    %rcx, %rcx
    jz      \fallback
    jmp     1b
4:  sub     $NS_PER_SECOND, %rax
    inc     %r10
    jmp     3b
.previous
.endm

.globl __vdso_clock_gettime
.type __vdso_clock_gettime, @function
__vdso_clock_gettime:                 # (int clock, struct timespec *)
    cmp     $CLOCK_MONOTONIC, %edi    # the one that is asked most
    jne     7f
5:  read_clock DATA_MONOTONIC, 9f
    mov     %r10, (%rsi)
    mov     %rax, 8(%rsi)
    xor     %eax, %eax
    ret
7:  cmp     $7, %edi
    ja      9f
    mov     $CLOCKS_SERVED, %eax
    bt      %edi, %eax
    jnc     9f
    mov     $CLOCKS_OF_WALL_TIME, %eax
    bt      %edi, %eax
    jnc     5b
    read_clock DATA_REALTIME, 9f
    cmp     $CLOCK_REALTIME_COARSE, %edi
    je      6f
8:  mov     %r10, (%rsi)
    mov     %rax, 8(%rsi)
    xor     %eax, %eax
    ret
6:  mov     %eax, %r8d                # a step divides a second
    xor     %edx, %edx
    mov     $COARSE_STEP, %ecx
    div     %ecx
    sub     %edx, %r8d
    mov     %r8d, %eax
    jmp     8b
9:  mov     $228, %eax
    syscall
    ret
.size __vdso_clock_gettime, . - __vdso_clock_gettime

.globl __vdso_gettimeofday
.type __vdso_gettimeofday, @function
__vdso_gettimeofday:                  # (struct timeval *, struct timezone *)
    read_clock DATA_REALTIME, 8f
    test    %rdi, %rdi
    jz      7f
    mov     %r10, (%rdi)
    xor     %edx, %edx
    mov     $1000, %ecx
    div     %rcx
    mov     %rax, 8(%rdi)
7:  test    %rsi, %rsi
    jz      9f
    mov     data_page + DATA_TIME_ZONE(%rip), %rax
    mov     %rax, (%rsi)
9:  xor     %eax, %eax
    ret
8:  mov     $96, %eax
    syscall
    ret
.size __vdso_gettimeofday, . - __vdso_gettimeofday

.globl __vdso_time
.type __vdso_time, @function
__vdso_time:                          # (time_t *)
    read_clock DATA_REALTIME, 11f
    mov     %r10, %rax
    test    %rdi, %rdi
    jz      10f
    mov     %rax, (%rdi)
10: ret
11: mov     $201, %eax
    syscall
    ret
.size __vdso_time, . - __vdso_time

.section .note.GNU-stack, "", @progbits
