# memcpy, memmove, memset, memcmp, bcmp, strlen: LLVM calls them on its own account, and pages are filled and copied
# with them.
#
# Moves of eight bytes, up to sixteen (copies) or 32 (fills) a turn, and never `rep movsb`: under TCG the string
# instructions cost ten times as much a page, and there is no SSE in the kernel (the registers are the user's).
# All have the C signatures. Only registers that a call does not preserve are used; no stack.

.section .text.copy, "ax", @progbits

.macro copy_32 at:req
        movq    \at(%rsi), %r8
        movq    \at+8(%rsi), %r9
        movq    \at+16(%rsi), %r10
        movq    \at+24(%rsi), %r11
        movq    %r8, \at(%rdi)
        movq    %r9, \at+8(%rdi)
        movq    %r10, \at+16(%rdi)
        movq    %r11, \at+24(%rdi)
.endm

.macro fill_32 at:req
        movq    %rcx, \at(%rdi)
        movq    %rcx, \at+8(%rdi)
        movq    %rcx, \at+16(%rdi)
        movq    %rcx, \at+24(%rdi)
.endm

# memmove(dst, src, n) -> dst. memcpy is the same: one compare more, and overlapping calls are harmless.
.globl memcpy, memmove
.balign 16
memcpy:
memmove:
        movq    %rdi, %rax
        movq    %rdi, %rcx
        subq    %rsi, %rcx
        cmpq    %rdx, %rcx              # unsigned dst - src < n: dst lies inside the source, go backwards
        jb      5f

        subq    $32, %rdx
        jb      2f
        subq    $96, %rdx
        jb      7f
0:      .irp    at, 0, 32, 64, 96
        copy_32 \at
        .endr
        addq    $128, %rsi
        addq    $128, %rdi
        subq    $128, %rdx
        jae     0b
7:      addq    $96, %rdx               # carries if 32 … 127 are left
        jnc     2f
1:      copy_32 0
        addq    $32, %rsi
        addq    $32, %rdi
        subq    $32, %rdx
        jae     1b
2:      addq    $32, %rdx               # 0 … 31 left
        subq    $8, %rdx
        jb      4f
3:      movq    (%rsi), %r8
        movq    %r8, (%rdi)
        addq    $8, %rsi
        addq    $8, %rdi
        subq    $8, %rdx
        jae     3b
4:      addq    $8, %rdx                # 0 … 7 left
        jz      9f
        testb   $4, %dl
        jz      6f
        movl    (%rsi), %ecx
        movl    %ecx, (%rdi)
        addq    $4, %rsi
        addq    $4, %rdi
6:      testb   $2, %dl
        jz      8f
        movzwl  (%rsi), %ecx
        movw    %cx, (%rdi)
        addq    $2, %rsi
        addq    $2, %rdi
8:      testb   $1, %dl
        jz      9f
        movzbl  (%rsi), %ecx
        movb    %cl, (%rdi)
9:      ret

5:      addq    %rdx, %rsi              # backwards, from the ends
        addq    %rdx, %rdi
        subq    $8, %rdx
        jb      7f
1:      movq    -8(%rsi), %r8
        movq    %r8, -8(%rdi)
        subq    $8, %rsi
        subq    $8, %rdi
        subq    $8, %rdx
        jae     1b
7:      addq    $8, %rdx
        jz      9b
8:      movzbl  -1(%rsi), %ecx
        movb    %cl, -1(%rdi)
        subq    $1, %rsi
        subq    $1, %rdi
        subq    $1, %rdx
        jnz     8b
        ret

# memset(dst, value, n) -> dst
.globl memset
.balign 16
memset:
        movq    %rdi, %rax
        movzbl  %sil, %ecx
        movabsq $0x0101010101010101, %r8
        imulq   %r8, %rcx
        subq    $128, %rdx
        jb      1f
        subq    $128, %rdx
        jb      7f
0:      .irp    at, 0, 32, 64, 96, 128, 160, 192, 224
        fill_32 \at
        .endr
        addq    $256, %rdi
        subq    $256, %rdx
        jae     0b
7:      addq    $128, %rdx              # carries if 128 … 255 are left
        jnc     1f
        .irp    at, 0, 32, 64, 96
        fill_32 \at
        .endr
        addq    $128, %rdi
        subq    $128, %rdx
1:      addq    $64, %rdx               # carries if 64 … 127 are left
        jnc     2f
        fill_32 0
        fill_32 32
        addq    $64, %rdi
        subq    $64, %rdx
2:      addq    $64, %rdx
        subq    $8, %rdx
        jb      4f
3:      movq    %rcx, (%rdi)
        addq    $8, %rdi
        subq    $8, %rdx
        jae     3b
4:      addq    $8, %rdx
        jz      6f
5:      movb    %cl, (%rdi)
        addq    $1, %rdi
        subq    $1, %rdx
        jnz     5b
6:      ret

# memcmp(a, b, n) -> negative, 0, positive, by the first byte that differs, unsigned. bcmp asks only for 0 or not.
.globl memcmp, bcmp
.balign 16
memcmp:
bcmp:
        subq    $8, %rdx
        jb      2f
1:      movq    (%rdi), %rax
        movq    (%rsi), %rcx
        cmpq    %rcx, %rax
        jne     4f
        addq    $8, %rdi
        addq    $8, %rsi
        subq    $8, %rdx
        jae     1b
2:      addq    $8, %rdx
        jz      5f
3:      movzbl  (%rdi), %eax
        movzbl  (%rsi), %ecx
        subl    %ecx, %eax
        jnz     6f
        addq    $1, %rdi
        addq    $1, %rsi
        subq    $1, %rdx
        jnz     3b
5:      xorl    %eax, %eax
6:      ret
4:      bswapq  %rax                    # the first byte in memory is the most significant now
        bswapq  %rcx
        cmpq    %rcx, %rax
        sbbl    %eax, %eax              # -1 if below, else 0
        orl     $1, %eax
        ret

# strlen(s)
.globl strlen
.balign 16
strlen:
        movq    %rdi, %rax
1:      cmpb    $0, (%rax)
        je      2f
        addq    $1, %rax
        jmp     1b
2:      subq    %rdi, %rax
        ret

.section .note.GNU-stack, "", @progbits
