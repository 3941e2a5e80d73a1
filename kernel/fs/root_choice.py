"""The options `mode`, `uid` and `gid` of file systems in memory: about their root directory.

Context: pure logic.
"""

from typing import Final

from kernel.fs.filesystem import parse_octal, parse_u32
from kernel.lang import EINVAL, Errno, final
from kernel.lib.credentials import gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid

MODE_BITS: Final = 0o7777


@final
class RootChoice:
    """What was chosen."""

    def __init__(self) -> None:
        self.mode: int = -1  # -1: not given
        self.uid: KernelUid = NO_USER  # not given, which no option can be
        self.gid: KernelGid = NO_GROUP

    def take(self, name: bytes, value: bytes) -> bool:
        """Whether an option is one of these. Raises EINVAL for a wrong value."""
        if name == b"mode":
            self.mode = parse_octal(value) & MODE_BITS
        elif name == b"uid":
            self.uid = uid_from_caller(parse_u32(value, 0))
            if self.uid == NO_USER:
                raise Errno(EINVAL)
        elif name == b"gid":
            self.gid = gid_from_caller(parse_u32(value, 0))
            if self.gid == NO_GROUP:
                raise Errno(EINVAL)
        else:
            return False
        return True
