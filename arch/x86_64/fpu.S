# The user's FPU, SSE and AVX registers. The kernel has none of its own: it is compiled without them.
#
# fpu_xsave_mask is the set of components that XCR0 enables, or 0 on processors without XSAVE, where FXSAVE does
# (fpu.py decides). Areas are 64-byte aligned, of the size that fpu.py computed.
# Intel SDM vol. 1, chapter 13.

.section .text.hot, "ax", @progbits

# fpu_save(area)
.globl fpu_save
fpu_save:
        movl    fpu_xsave_mask(%rip), %eax
        testl   %eax, %eax
        jz      1f
        movl    fpu_xsave_mask+4(%rip), %edx
        xsave64 (%rdi)
        ret
1:      fxsave64 (%rdi)
        ret

# fpu_restore(area) -> 0, or -1 when the area is malformed: it may come from a signal frame, and a reserved bit in MXCSR or
# in the XSAVE header is a general protection fault, which the exception table turns into the answer.
.globl fpu_restore
fpu_restore:
        movl    fpu_xsave_mask(%rip), %eax
        testl   %eax, %eax
        jz      1f
        movl    fpu_xsave_mask+4(%rip), %edx
.pushsection __ex_table, "a", @progbits
        .quad 2f, 9f
.popsection
2:      xrstor64 (%rdi)
        xorl    %eax, %eax
        ret
1:
.pushsection __ex_table, "a", @progbits
        .quad 3f, 9f
.popsection
3:      fxrstor64 (%rdi)
        xorl    %eax, %eax
        ret
9:      movq    $-1, %rax
        ret

.data
.balign 8
.globl fpu_xsave_mask
fpu_xsave_mask:
        .quad 0
.globl fpu_keys_offset
fpu_keys_offset:                        # where in an area the rights of protection keys lie, or 0
        .quad 0

.section .note.GNU-stack, "", @progbits
