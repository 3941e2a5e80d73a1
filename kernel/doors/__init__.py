"""The ways into the kernel: system calls, exceptions, interrupts."""
