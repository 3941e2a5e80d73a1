# The vDSO, linked on its own (arch/x86_64/vdso/), as bytes in the kernel's image: a page of read-only data.
.section .rodata
.balign 4096
.globl vdso_image_start, vdso_image_end
vdso_image_start:
    .incbin "vdso.so"
    .balign 4096
vdso_image_end:
.section .note.GNU-stack, "", @progbits
