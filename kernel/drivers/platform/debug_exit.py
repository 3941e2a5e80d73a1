"""QEMU's isa-debug-exit: a port that ends the virtual machine with a status, for tests.

Where the device is missing the write goes nowhere, and the function returns. The process's status is code * 2 + 1.
"""

from typing import Final

from arch.x86_64.ports import out_u32

PORT: Final = 0xF4


def exit_with(code: int) -> None:
    out_u32(PORT, code)
