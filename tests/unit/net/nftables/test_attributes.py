"""Attributes that a message repeats."""

import struct

import pytest

from kernel.lang import EINTR, Errno
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink.messages import Request
from kernel.net.nftables.attributes import Attributes

HEADER = 16
COUNT = 0xFFFF // 4


class Counted(Rest):
    """Counts safe points."""

    def __init__(self) -> None:
        self.count = 0
        self.ends = False

    def take(self) -> None:
        self.count += 1

    def is_dying(self) -> bool:
        return self.ends


def test_a_long_list_is_read_with_safe_points_between(monkeypatch: pytest.MonkeyPatch) -> None:
    body = struct.pack("<HH", 4, 1) * COUNT
    attributes = Attributes(
        Request(struct.pack("<IHHII", HEADER + len(body), 0, 0, 0, 0) + body, 0, FIRST_NETWORK, None),
        HEADER,
        HEADER + len(body),
    )
    rest = Counted()
    monkeypatch.setattr(PACE, "rest", rest)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    assert len(attributes.elements()) == COUNT
    assert rest.count > COUNT * 200 // STRETCH_LIMIT
    rest.ends = True
    with pytest.raises(Errno) as raised:
        attributes.elements()
    assert raised.value.code == EINTR
