"""An exception carries a code and no more."""

from kernel.lang import KernelError


class Refused(KernelError):
    def __init__(self, name: bytes) -> None:
        self.name = name


class Foreign(Exception):
    pass
