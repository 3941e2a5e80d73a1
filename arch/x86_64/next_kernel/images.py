"""Which kind of kernel a file is, and the plan for it."""

from typing import Final

from arch.x86_64.boot_memory import low_memory
from arch.x86_64.bootinfo import boot_info
from arch.x86_64.next_kernel.bzimage import looks_like_bzimage, plan_bzimage
from arch.x86_64.next_kernel.plan import KernelFile, Plan
from arch.x86_64.next_kernel.pvh import looks_like_pvh, plan_pvh
from kernel.lang import ENOEXEC, Errno, span_of

HEAD_SIZE: Final = 1024


def check_kernel(file: KernelFile) -> None:
    """Raise ENOEXEC for a file that does not begin as a kernel that can be started."""
    head = span_of(file.read(0, HEAD_SIZE))
    if not looks_like_bzimage(head) and not looks_like_pvh(head):
        raise Errno(ENOEXEC)


def plan_kernel(file: KernelFile, initrd_size: int, command_line: bytes) -> Plan:
    """How to start the kernel in a file, with an initial RAM disk of that many bytes (0: without). Raises ENOEXEC for
    a file that is none; EINVAL: the command line is too long; EADDRNOTAVAIL: there is no place for it.
    """
    head = span_of(file.read(0, HEAD_SIZE))
    if looks_like_bzimage(head):
        return plan_bzimage(file, head, initrd_size, command_line, boot_info, low_memory)
    if looks_like_pvh(head):
        return plan_pvh(file, head, initrd_size, command_line, boot_info, low_memory)
    raise Errno(ENOEXEC)
