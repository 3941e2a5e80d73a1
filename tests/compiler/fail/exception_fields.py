"""An exception carries a code and no more."""

from kernel.lang import KernelError, u8


class Refused(KernelError):
    def __init__(self, name: bytes) -> None:
        self.name = name


class Foreign(Exception):
    pass


class Short(KernelError):
    code: u8
