"""Sequence numbers.

On the wire they count modulo 2**32 (RFC 9293, section 3.4). Inside they are never wrapped: a number from the wire is
extended by a number known to be near it, so that comparing and subtracting are those of ordinary ints.
"""

from typing import Final

from kernel.lang import inline

WRAP: Final = 1 << 32
MASK: Final = WRAP - 1
HALF: Final = 1 << 31


@inline
def extend(wire: int, near: int) -> int:
    """The number that equals `wire` modulo 2**32 and is nearest to `near`. `near` is at least 2**32."""
    return near + ((wire - near + HALF) & MASK) - HALF
