"""What a program sends, as the kernel takes it from there."""

from kernel.lib.user import KernelBuffer
from kernel.net.netlink.sent import SentData, take_sent


def as_sent(data: bytes) -> SentData:
    return take_sent(KernelBuffer(bytearray(data)), len(data))
