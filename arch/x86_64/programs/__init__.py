"""What the processor holds of a program: its page table, its registers, and the frame that a signal handler runs on.

Above the kernel's frames (kernel.mm.frames) and user memory (kernel.lib.user), on which all of it is built; below
whatever uses it. Everything else of arch/x86_64 imports only the language's prelude.
"""
