"""Options for which a SYN cookie has no room, stored in the timestamp sent with it, as on Linux: the window scale, and
whether the peer knows SACK. The peer echoes the timestamp with the cookie. Without timestamps they are not used.

The low six bits of the timestamp hold them, before the connection's offset is added; so it may be up to 63 ms early.
Source: RFC 4987 section 3.6.
"""

from typing import Final

from kernel.lang import final
from kernel.net.tcp.header import Segment

_BITS: Final = 0x3F
_SCALE: Final = 0x0F
NO_SCALE: Final = 0x0F
_SACK: Final = 0x10


@final
class CookieOptions:
    """Options that survive in a timestamp. `scale` is NO_SCALE without window scaling."""

    def __init__(self, scale: int, sack: bool) -> None:
        self.scale: int = scale
        self.sack: bool = sack

    def put_into(self, timestamp: int) -> int:
        """The timestamp, not later than the given one, that holds them."""
        value = (timestamp & ~_BITS) | self.scale | (_SACK if self.sack else 0)
        return value if value <= timestamp else value - _BITS - 1


def offered(segment: Segment, with_scaling: bool, with_sack: bool) -> CookieOptions:
    """The options of a SYN that we accept."""
    scale = segment.scale if with_scaling and segment.scale >= 0 else NO_SCALE
    return CookieOptions(scale, with_sack and segment.sack_permitted)


def taken_from(timestamp: int) -> CookieOptions:
    """The options in an echoed timestamp, without the offset. A peer may write anything into it."""
    return CookieOptions(timestamp & _SCALE, timestamp & _SACK != 0)
