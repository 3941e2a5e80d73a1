"""Time stamps on the disk: 32 bits of seconds, and in large inodes two more bits of them and the nanoseconds. Pure.

Source: "Inode Timestamps" in the ext4 disk layout.
"""

from typing import Final

_SECOND_NS: Final = 1_000_000_000
_LARGEST_SECONDS: Final = 9_000_000_000  # what 64 bits of nanoseconds hold, with a margin
_SIGN: Final = 1 << 31
_EPOCH: Final = 1 << 32


def decode_time(seconds: int, extra: int) -> int:
    """Nanoseconds since 1970 from the two 32-bit fields; `extra` is 0 where there is none."""
    if seconds & _SIGN != 0:
        seconds -= _EPOCH
    seconds += (extra & 3) * _EPOCH
    return min(seconds, _LARGEST_SECONDS) * _SECOND_NS + min(extra >> 2, _SECOND_NS - 1)


def encode_seconds(time_ns: int) -> int:
    """The lower field."""
    return time_ns // _SECOND_NS & 0xFFFFFFFF


def encode_extra(time_ns: int) -> int:
    """The upper field: how many times 2**32 seconds to add to the lower one, read as signed, and the nanoseconds."""
    seconds = time_ns // _SECOND_NS
    low = seconds & 0xFFFFFFFF
    if low & _SIGN != 0:
        low -= _EPOCH
    return (seconds - low) // _EPOCH & 3 | time_ns % _SECOND_NS << 2
