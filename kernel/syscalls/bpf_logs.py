"""The texts in which commands of bpf(2) say what is wrong with a program, or with types."""

from typing import Final

from kernel.bpf.log import Log
from kernel.lang import EINVAL, ENOSPC, Errno
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.bpf_arguments import Attributes

_LEVELS: Final = 7
_FIXED: Final = 8
_MOST: Final = 0x3FFF_FFFF
_LOOK_COST: Final = 100


def log_of(attributes: Attributes, level_at: int, size_at: int, buffer_at: int) -> Log:
    """A log as the fields at these places ask for. Raises EINVAL for a buffer without a level, and so on."""
    level = attributes.u32(level_at)
    size = attributes.u32(size_at)
    has_buffer = attributes.i64(buffer_at) != 0
    if has_buffer != (size != 0) or (has_buffer and level == 0) or level & ~(_LEVELS | _FIXED) != 0:
        raise Errno(EINVAL)
    if size > _MOST:
        raise Errno(EINVAL)
    return Log(level & _LEVELS)


def report(attributes: Attributes, log: Log, level_at: int, size_at: int, buffer_at: int, true_size_at: int) -> None:
    """Write the log: its end, if the buffer is too small for it. Raises ENOSPC then, EFAULT."""
    size = attributes.u32(size_at)
    length = log.length + 1 if log.level != 0 else 0
    if attributes.size >= true_size_at + 4:
        attributes.answer(true_size_at, length)
    if size == 0 or log.level == 0:
        return
    fixed = attributes.u32(level_at) & _FIXED != 0
    skip = 0 if fixed else max(length - size, 0)
    place = attributes.pointer(buffer_at)
    left = size - 1
    for piece in log.pieces:
        start = min(skip, len(piece))
        skip -= start
        end = min(len(piece), start + left)
        user.write_bytes(place, piece[start:end])
        place = user.at(place, end - start)
        left -= end - start
        pace(_LOOK_COST)
    user.write_u8(place, 0)
    if length > size:
        raise Errno(ENOSPC)
