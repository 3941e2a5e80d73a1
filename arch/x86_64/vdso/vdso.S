# The vDSO's code: clock_gettime, gettimeofday and time without entering the kernel.
#
# It runs in user mode. The page before it, mapped read-only, holds what the kernel writes at each tick (kernel/time/vdso.py):
#   +0 u32 sequence (odd while the kernel writes)   +8 counter at base   +16 monotonic ns at base
#   +24 ns per counter tick, times 2**24            +32 wall clock minus monotonic, ns
# A reader takes the sequence before and after and tries again if it moved or was odd. A scale of 0 means that there is no usable
# counter: then the system call is made.
#
# Sources: vdso(7); Intel SDM volume 3, section 18.17 (RDTSC is not ordered with loads before it, hence the LFENCE).

.set DATA_SEQUENCE, 0
.set DATA_BASE_COUNTER, 8
.set DATA_BASE_NS, 16
.set DATA_SCALE, 24
.set DATA_REALTIME_OFFSET, 32

.set CLOCKS_SERVED, 0xf3              # bits 0 realtime, 1 monotonic, 4 raw, 5 and 6 coarse, 7 boottime
.set CLOCKS_OF_WALL_TIME, 0x21        # bits 0 realtime, 5 realtime coarse
.set NS_PER_SECOND, 1000000000

.text

# In: r9d not 0 to add the wall-clock offset. Out: rax seconds, rdx nanoseconds; CF set if there is no counter.
# Uses rcx, r8, r10. Leaves rdi, rsi alone.
read_clock:
1:  mov     data_page + DATA_SEQUENCE(%rip), %r8d
    test    $1, %r8b
    jnz     2f
    mov     data_page + DATA_SCALE(%rip), %rcx
    test    %rcx, %rcx
    jz      4f
    lfence
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    sub     data_page + DATA_BASE_COUNTER(%rip), %rax
    jns     3f
    xor     %eax, %eax                # another processor's counter may lag by a few ticks
3:  mul     %rcx
    shrd    $24, %rdx, %rax
    add     data_page + DATA_BASE_NS(%rip), %rax
    mov     data_page + DATA_REALTIME_OFFSET(%rip), %r10
    cmp     %r8d, data_page + DATA_SEQUENCE(%rip)
    jne     1b
    test    %r9d, %r9d
    jz      5f
    add     %r10, %rax
5:  xor     %edx, %edx
    mov     $NS_PER_SECOND, %ecx
    div     %rcx
    clc
    ret
2:  pause
    jmp     1b
4:  stc
    ret

.globl __vdso_clock_gettime
.type __vdso_clock_gettime, @function
__vdso_clock_gettime:                 # (int clock, struct timespec *)
    cmp     $7, %edi
    ja      6f
    mov     $CLOCKS_SERVED, %eax
    bt      %edi, %eax
    jnc     6f
    xor     %r9d, %r9d
    mov     $CLOCKS_OF_WALL_TIME, %eax
    bt      %edi, %eax
    adc     $0, %r9d
    call    read_clock
    jc      6f
    mov     %rax, (%rsi)
    mov     %rdx, 8(%rsi)
    xor     %eax, %eax
    ret
6:  mov     $228, %eax
    syscall
    ret
.size __vdso_clock_gettime, . - __vdso_clock_gettime

.globl __vdso_gettimeofday
.type __vdso_gettimeofday, @function
__vdso_gettimeofday:                  # (struct timeval *, struct timezone *)
    mov     $1, %r9d
    call    read_clock
    jc      8f
    test    %rdi, %rdi
    jz      7f
    mov     %rax, (%rdi)
    mov     %rdx, %rax
    xor     %edx, %edx
    mov     $1000, %ecx
    div     %rcx
    mov     %rax, 8(%rdi)
7:  test    %rsi, %rsi
    jz      9f
    movq    $0, (%rsi)                # the kernel keeps no time zone
9:  xor     %eax, %eax
    ret
8:  mov     $96, %eax
    syscall
    ret
.size __vdso_gettimeofday, . - __vdso_gettimeofday

.globl __vdso_time
.type __vdso_time, @function
__vdso_time:                          # (time_t *)
    mov     $1, %r9d
    call    read_clock
    jc      11f
    test    %rdi, %rdi
    jz      10f
    mov     %rax, (%rdi)
10: ret
11: mov     $201, %eax
    syscall
    ret
.size __vdso_time, . - __vdso_time

.section .note.GNU-stack, "", @progbits
