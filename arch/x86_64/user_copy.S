# The only instructions of the kernel that follow a user address.
#
# Each may fault. krait_trap first offers the fault to mm (the page may only be absent), and if that fails
# looks the instruction up in the exception table (extable.py) and continues at the fix-up beside it. So the
# routines survive any address, and say how far they came.
#
# Every routine refuses addresses outside the user half itself, before it opens the SMAP window: there is no
# second gate after this one. Only the accesses to user memory are in the table; a fault on the kernel's side
# of a copy is a bug and stops the kernel.
#
# A fault in a system call without the kernel lock is offered to nobody: the call is made again, with the lock
# (entry.S, which knows these routines by the two labels around them).
#
# Entries must be in ascending order of address, because extable.py searches by halves: write them in place.

.include "arch/x86_64/constants.inc"

.section .text.copy, "ax", @progbits

.globl user_accesses, user_accesses_end
user_accesses:

# Records that a fault at the next instruction goes on at \fixup.
.macro may_fault fixup
.pushsection __ex_table, "a", @progbits
        .quad 9999f, \fixup
.popsection
9999:
.endm

.macro open_user
        cmpb    $0, smap_enabled(%rip)
        je      9998f
        stac
9998:
.endm

.macro close_user
        cmpb    $0, smap_enabled(%rip)
        je      9998f
        clac
9998:
.endm

# Jumps to \bad unless [\address, \address + \size) lies in the user half. Clobbers rax and rcx. \size is a
# register, or an immediate; a negative size fails, because its top bits join the test.
.macro check_user address, size, bad
        movq    \size, %rax
        movq    \size, %rcx
        addq    \address, %rax
        orq     \address, %rax
        orq     %rcx, %rax
        shrq    $USER_ADDRESS_BITS, %rax
        jnz     \bad
.endm

# 32 bytes from \at(%rsi) to \at(%rdi); the loads, or the stores, are of user memory.
.macro move_in at, fixup
        may_fault \fixup
        movq    \at(%rsi), %r8
        may_fault \fixup
        movq    \at+8(%rsi), %r9
        may_fault \fixup
        movq    \at+16(%rsi), %r10
        may_fault \fixup
        movq    \at+24(%rsi), %r11
        movq    %r8, \at(%rdi)
        movq    %r9, \at+8(%rdi)
        movq    %r10, \at+16(%rdi)
        movq    %r11, \at+24(%rdi)
.endm

.macro move_out at, fixup
        movq    \at(%rsi), %r8
        movq    \at+8(%rsi), %r9
        movq    \at+16(%rsi), %r10
        movq    \at+24(%rsi), %r11
        may_fault \fixup
        movq    %r8, \at(%rdi)
        may_fault \fixup
        movq    %r9, \at+8(%rdi)
        may_fault \fixup
        movq    %r10, \at+16(%rdi)
        may_fault \fixup
        movq    %r11, \at+24(%rdi)
.endm

# Step over \size bytes of both sides; rdx says how many are left.
.macro advance size
        addq    $\size, %rsi
        addq    $\size, %rdi
        subq    $\size, %rdx
.endm

# Routines of one access of \size bytes: a load into rax, or a store.
.macro get_routine name, size, load, failed
.globl \name
.balign 16
\name:
        check_user %rdi, $\size, 2f
        open_user
        may_fault 1f
        \load
        close_user
        ret
1:      close_user
2:      \failed
        ret
.endm

.macro put_routine name, size, store
.globl \name
.balign 16
\name:
        check_user %rdi, $\size, 2f
        open_user
        may_fault 1f
        \store
        close_user
        xorl    %eax, %eax
        ret
1:      close_user
2:      movq    $-1, %rax
        ret
.endm

# user_copy_in(dst, user_src, n) -> bytes not copied
.globl user_copy_in
.balign 16
user_copy_in:
        check_user %rsi, %rdx, 8f
        open_user
        subq    $64, %rdx
        jb      2f
1:
        move_in 0, 2f
        move_in 32, 2f
        advance 64
        jae     1b
2:      addq    $32, %rdx               # after a fault too: the rest is taken in smaller bites, so that the
        js      7f                      # count is exact to the byte
        move_in 0, 7f
        advance 32
7:      addq    $32, %rdx
        subq    $8, %rdx
        jb      4f
3:
        may_fault 4f
        movq    (%rsi), %r8
        movq    %r8, (%rdi)
        advance 8
        jae     3b
4:      addq    $8, %rdx
        jz      6f
5:
        may_fault 6f
        movzbl  (%rsi), %ecx
        movb    %cl, (%rdi)
        advance 1
        jnz     5b
6:      close_user
8:      movq    %rdx, %rax
        ret

# user_copy_out(user_dst, src, n) -> bytes not copied
.globl user_copy_out
.balign 16
user_copy_out:
        check_user %rdi, %rdx, 8f
        open_user
        subq    $64, %rdx
        jb      2f
1:
        move_out 0, 2f
        move_out 32, 2f
        advance 64
        jae     1b
2:      addq    $32, %rdx               # after a fault too: the rest is taken in smaller bites, so that the
        js      7f                      # count is exact to the byte
        move_out 0, 7f
        advance 32
7:      addq    $32, %rdx
        subq    $8, %rdx
        jb      4f
3:      movq    (%rsi), %r8
        may_fault 4f
        movq    %r8, (%rdi)
        advance 8
        jae     3b
4:      addq    $8, %rdx
        jz      6f
5:      movzbl  (%rsi), %ecx
        may_fault 6f
        movb    %cl, (%rdi)
        advance 1
        jnz     5b
6:      close_user
8:      movq    %rdx, %rax
        ret

# user_clear(user_dst, n) -> bytes not cleared
.globl user_clear
.balign 16
user_clear:
        movq    %rsi, %rdx
        check_user %rdi, %rdx, 8f
        xorl    %ecx, %ecx
        open_user
        subq    $64, %rdx
        jb      2f
1:
        may_fault 2f
        movq    %rcx, (%rdi)
        may_fault 2f
        movq    %rcx, 8(%rdi)
        may_fault 2f
        movq    %rcx, 16(%rdi)
        may_fault 2f
        movq    %rcx, 24(%rdi)
        may_fault 2f
        movq    %rcx, 32(%rdi)
        may_fault 2f
        movq    %rcx, 40(%rdi)
        may_fault 2f
        movq    %rcx, 48(%rdi)
        may_fault 2f
        movq    %rcx, 56(%rdi)
        addq    $64, %rdi
        subq    $64, %rdx
        jae     1b
2:      addq    $64, %rdx
        subq    $8, %rdx
        jb      4f
3:
        may_fault 4f
        movq    %rcx, (%rdi)
        addq    $8, %rdi
        subq    $8, %rdx
        jae     3b
4:      addq    $8, %rdx
        jz      6f
5:
        may_fault 6f
        movb    %cl, (%rdi)
        addq    $1, %rdi
        subq    $1, %rdx
        jnz     5b
6:      close_user
8:      movq    %rdx, %rax
        ret

# user_copy_string(dst, user_src, n) -> length without the 0; n if there is no 0 among the first n bytes;
# -1 after a fault. Stops at the end of the user half as at a fault.
.globl user_copy_string
.balign 16
user_copy_string:
        movq    %rsi, %r9
        movq    %rsi, %rcx
        shrq    $USER_ADDRESS_BITS, %rcx
        jnz     4f
        open_user
        xorl    %eax, %eax
        # Eight bytes a turn. A fault may be of bytes past the string's end: then it goes on by single bytes.
        movabsq $0x0101010101010101, %r10
        movabsq $0x8080808080808080, %r11
5:      leaq    8(%rax), %rcx
        cmpq    %rdx, %rcx
        ja      1f
        may_fault 1f
        movq    (%r9), %rcx
        movq    %rcx, (%rdi,%rax)
        movq    %rcx, %r8
        subq    %r10, %r8
        notq    %rcx
        andq    %rcx, %r8
        andq    %r11, %r8               # the lowest bit that is set here is that of the first byte that is 0
        jnz     6f
        addq    $8, %rax
        addq    $8, %r9
        jmp     5b
6:      bsfq    %r8, %r8
        shrl    $3, %r8d
        addq    %r8, %rax
        jmp     3f
1:      cmpq    %rdx, %rax
        jae     3f
        btq     $USER_ADDRESS_BITS, %r9 # one past the last user address
        jc      2f
        may_fault 2f
        movzbl  (%r9), %ecx
        movb    %cl, (%rdi,%rax)
        testl   %ecx, %ecx
        jz      3f
        addq    $1, %rax
        addq    $1, %r9
        jmp     1b
2:      movq    $-1, %rax
3:      close_user
        ret
4:      movq    $-1, %rax
        ret

# user_get_u8(user_addr), user_get_u32(user_addr) -> value, or -1 after a fault
get_routine user_get_u8, 1, "movzbl (%rdi), %eax", "movq $-1, %rax"
get_routine user_get_u32, 4, "movl (%rdi), %eax", "movq $-1, %rax"

# user_get_i64(user_addr) -> value; after a fault FAULT_MARK, which is a possible value too: usercopy.py tells them apart
get_routine user_get_i64, 8, "movq (%rdi), %rax", "movabsq $FAULT_MARK, %rax"

# user_put_u8, user_put_u16, user_put_u32, user_put_i64(user_addr, value) -> 0, or -1 after a fault
put_routine user_put_u8, 1, "movb %sil, (%rdi)"
put_routine user_put_u16, 2, "movw %si, (%rdi)"
put_routine user_put_u32, 4, "movl %esi, (%rdi)"
put_routine user_put_i64, 8, "movq %rsi, (%rdi)"

# user_cas_u32(user_addr, old, new) -> the value found, as u32 (equal to old: new was stored), or -1 after a fault
.globl user_cas_u32
.balign 16
user_cas_u32:
        check_user %rdi, $4, 2f
        movl    %esi, %eax
        open_user
        may_fault 1f
        lock cmpxchgl %edx, (%rdi)
        movl    %eax, %eax              # clears the upper half when cmpxchg left eax alone
        close_user
        ret
1:      close_user
2:      movq    $-1, %rax
        ret

# user_fpu_save(user_area, size, rights) -> 0, or -1 after a fault. Stores as fpu_save (fpu.S) does, and the rights of protection
# keys where there are such; of XSAVE's header the processor writes the first word only, and the others must be zero.
.globl user_fpu_save
.balign 16
user_fpu_save:
        movl    %edx, %r8d
        check_user %rdi, %rsi, 4f
        open_user
        movl    fpu_xsave_mask(%rip), %eax
        testl   %eax, %eax
        jz      1f
        xorl    %edx, %edx
.set offset, XSAVE_HEADER
.rept XSAVE_HEADER_SIZE / 8
        may_fault 3f
        movq    %rdx, offset(%rdi)
        .set offset, offset + 8
.endr
        movl    fpu_xsave_mask+4(%rip), %edx
        may_fault 3f
        xsave64 (%rdi)
        movq    fpu_keys_offset(%rip), %rcx
        testq   %rcx, %rcx
        jz      2f
        may_fault 3f
        orl     $XSAVE_KEYS, XSAVE_HEADER(%rdi)
        may_fault 3f
        movq    %r8, (%rdi, %rcx)
        jmp     2f
1:
        may_fault 3f
        fxsave64 (%rdi)
2:      close_user
        xorl    %eax, %eax
        ret
3:      close_user
4:      movq    $-1, %rax
        ret

# user_fpu_restore(user_area, size) -> 0, or -1 after a fault, or when the area is malformed (fpu_restore in fpu.S). Rights of
# protection keys that the area does not have become 0.
.globl user_fpu_restore
.balign 16
user_fpu_restore:
        check_user %rdi, %rsi, 4f
        open_user
        movl    fpu_xsave_mask(%rip), %eax
        testl   %eax, %eax
        jz      1f
        movl    fpu_xsave_mask+4(%rip), %edx
        may_fault 3f
        xrstor64 (%rdi)
        movq    fpu_keys_offset(%rip), %rcx
        testq   %rcx, %rcx
        jz      2f
        xorl    %r8d, %r8d
        may_fault 3f
        testl   $XSAVE_KEYS, XSAVE_HEADER(%rdi)
        jz      5f
        may_fault 3f
        movl    (%rdi, %rcx), %r8d
5:      xorl    %ecx, %ecx
        rdpkru                          # clears edx, as wrpkru wants it
        cmpl    %r8d, %eax
        je      2f
        movl    %r8d, %eax
        wrpkru
        jmp     2f
1:
        may_fault 3f
        fxrstor64 (%rdi)
2:      close_user
        xorl    %eax, %eax
        ret
3:      close_user
4:      movq    $-1, %rax
        ret

user_accesses_end:

.section .note.GNU-stack, "", @progbits
