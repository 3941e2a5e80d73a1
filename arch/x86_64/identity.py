"""What programs and their files call this processor."""

from typing import Final

MACHINE_NAME: Final = b"x86_64"
"""As uname(2) has it, and AT_PLATFORM."""
ELF_MACHINE: Final = 62
"""EM_X86_64, in the header of a program's file (elf(5))."""
AUDIT_ARCHITECTURE: Final = 0xC000_003E
"""AUDIT_ARCH_X86_64, of struct seccomp_data (seccomp(2))."""
MINIMUM_SIGNAL_STACK: Final = 3632
"""AT_MINSIGSTKSZ: a frame with the largest FPU state of the processors that QEMU has, rounded up."""
