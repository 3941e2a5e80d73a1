"""The x86-64 processor and the PC around it: entry and exit, page tables, user copies, switching, FPU, chips.

The lowest layer: it imports nothing of the kernel but the language prelude; `programs` alone stands higher. Kernel code
comes here only through the faces (`arch`, `arch.programs`). Assembly routines are declared in the module that stands
for their file: `instructions` (instructions.S, ports), `usercopy` (user_copy.S), `context` (switch.S), `fpu` (fpu.S),
`paging` (page copies of memory.S).
"""
