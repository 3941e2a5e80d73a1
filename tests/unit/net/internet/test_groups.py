"""Groups: reports to routers, answers to queries, the device's filter."""

import struct

from kernel.net.internet.membership import find_membership, is_member, join, leave
from tests.unit.net.conftest import Wire, pass_time
from tests.unit.net.wire_packets import frame, internet_sum, ip4

GROUP = b"\xe0\x01\x02\x03"


def reports(wire: Wire) -> list[tuple[int, bytes]]:
    """The kind and group of each IGMPv3 report that was sent."""
    found = []
    for sent in wire.take():
        if sent[23] == 2:
            message = sent[14 + (sent[14] & 15) * 4 :]
            assert sent[30:34] == b"\xe0\x00\x00\x16"
            assert message[0] == 0x22 and internet_sum(message) == 0
            found.append((message[8], message[12:16]))
    return found


def test_joining_and_leaving_are_reported(wire: Wire) -> None:
    membership = join(wire, GROUP)
    join(wire, GROUP)
    assert b"\x01\x00\x5e\x01\x02\x03" in wire.multicast
    pass_time(5)
    assert reports(wire) == [(4, GROUP), (4, GROUP)]
    leave(membership)
    assert is_member(wire, GROUP)
    leave(membership)
    assert not is_member(wire, GROUP)
    assert find_membership(wire, GROUP) is None
    assert b"\x01\x00\x5e\x01\x02\x03" not in wire.multicast
    assert reports(wire) == [(3, GROUP)]


def test_a_query_is_answered(wire: Wire) -> None:
    membership = join(wire, GROUP)
    pass_time(5)
    wire.take()
    query = struct.pack(">BBH4s", 0x11, 10, 0, bytes(4))
    query = query[:2] + struct.pack(">H", internet_sum(query)) + query[4:]
    wire.inject(frame(ip4(query, 2, destination=b"\xe0\x00\x00\x01", ttl=1), to=b"\x01\x00\x5e\x00\x00\x01"))
    pass_time(2)
    assert reports(wire) == [(2, GROUP)]
    leave(membership)
