"""Bits that were freed lately: none is lost, whenever it is noted."""

from __future__ import annotations

from functools import partial

from kernel.fs.ext2.freed import FreedBits
from tests.unit.meanwhile import meanwhile


def test_what_is_freed_while_a_sync_begins_is_not_lost() -> None:
    for safe_point in (1, 2, 3):
        bits = FreedBits(2, 8)
        bits.add(0, 1)
        bits.begin()  # and that sync fails
        bits.add(0, 2)
        with meanwhile(partial(bits.add, 0, 3), safe_point):
            bits.begin()
        noted = 0
        for words in (bits.fresh[0], bits.settling[0]):
            noted |= 0 if words is None else words[0]
        assert (noted, bits.count) == (0b1110, 3), safe_point
