"""A packet for thousands of sockets: the network thread hands it out, all get it in order, and no turn takes long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lang import Errno
from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, spend
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp import udp_sockets_of
from kernel.net.link.handout import Crowd, Handout
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.thread import run_pending
from kernel.net.packet.socket import PacketSocket, packet_sockets_of
from kernel.net.sockets.inet import MOST_SHARING, Binding, PortTable
from kernel.net.sockets.socket import AF_INET, SOCK_RAW
from kernel.time import monotonic_ns
from tests.unit.net.conftest import Wire
from tests.unit.net.datagram.test_choice import bound, frame

EVERYBODY = b"\x0a\x00\x00\xff"
COUNT = 3000


@pytest.fixture(autouse=True)
def budget() -> Iterator[None]:
    PACE.left = PACE_BUDGET
    udp_sockets_of(FIRST_NETWORK).by_port.clear()
    yield
    PACE.left = PACE_BUDGET
    udp_sockets_of(FIRST_NETWORK).by_port.clear()


def work_off() -> int:
    """The network thread does what it is to do. Returns in how many turns."""
    turns = 0
    while True:
        PACE.left = PACE_BUDGET
        if not run_pending(monotonic_ns()):
            return turns
        turns += 1
        assert PACE.left > -STRETCH_LIMIT // 2


class Counting(Handout):
    def __init__(self, name: str, served: list[str], count: int = 3) -> None:
        super().__init__(1000)
        self.name = name
        self.served = served
        self.left = count

    def serve(self) -> bool:
        if self.left == 0:
            return False
        self.left -= 1
        spend(100_000)
        self.served.append(self.name)
        if self.left == 1:
            raise MemoryError
        return True


def test_handouts_go_in_order_a_share_at_a_time() -> None:
    crowd, served = Crowd(), list[str]()
    crowd.put(Counting("a", served))
    crowd.put(Counting("b", served))
    assert crowd.is_busy() and served == []
    assert work_off() >= 3
    assert served == ["a", "a", "a", "b", "b", "b"], "one without memory goes on"
    assert not crowd.is_busy() and (crowd.count, crowd.size_bytes) == (0, 0)


def test_a_crowd_has_room_for_some() -> None:
    crowd = Crowd()
    assert crowd.has_room(1 << 30), "for one always"
    count = 0
    while crowd.has_room(1000):
        crowd.put(Counting("a", [], count=0))
        count += 1
    assert count == 256 and not crowd.has_room(1000)
    work_off()
    assert crowd.has_room(1000)


@pytest.mark.parametrize("kind", ["packet", "raw"])
def test_thousands_see_all_packets(wire: Wire, kind: str) -> None:
    """One goes before the thread has come to it. The protocol of the frames is IP, so no answers are shown."""
    sockets: list[PacketSocket | RawSocket] = []
    for _ in range(COUNT):
        if kind == "packet":
            socket: PacketSocket | RawSocket = PacketSocket(SOCK_RAW, 0x0008, Credentials(), FIRST_NETWORK)
        else:
            socket = RawSocket(AF_INET, 17, Credentials(), FIRST_NETWORK)
        sockets.append(socket)
    for data in (b"one", b"two"):
        wire.inject(frame(data))
        assert PACE.left > -STRETCH_LIMIT // 2
        PACE.left = PACE_BUDGET
    assert sockets[0].queue.count == 1, "later ones wait behind the first"
    gone = sockets.pop(-2)
    gone.close()
    work_off()
    for each in sockets:
        assert each.queue.count == 2
        first = each.queue.pop()
        assert first is not None and first.span().to_bytes().rstrip(b"\0").endswith(b"one")
        each.close()
    assert packet_sockets_of(FIRST_NETWORK).count == 0


def test_thousands_of_one_port_get_all_broadcasts(wire: Wire) -> None:
    sockets = [bound() for _ in range(COUNT)]
    for each in sockets:
        each.binding.port = 500
    for data in (b"one", b"two"):
        wire.inject(frame(data, destination=EVERYBODY))
        assert PACE.left > -STRETCH_LIMIT // 2
        PACE.left = PACE_BUDGET
    sockets[-2].binding.port = 0  # it was closed
    work_off()
    for each in sockets[:-2] + sockets[-1:]:
        packets = [each.take_packet(), each.take_packet()]
        assert [packet.span().to_bytes() for packet in packets if packet is not None] == [b"one", b"two"]
    assert sockets[-2].queue.head is None


def test_a_port_has_as_many_sockets_as_one_look_passes() -> None:
    table = PortTable(is_stream=False)
    bindings = [Binding(FIRST_NETWORK) for _ in range(MOST_SHARING + 1)]
    for each in bindings:
        each.reuse_address = True
    for each in bindings[:-1]:
        table.insert(each, 500)
    PACE.left = PACE_BUDGET
    with pytest.raises(Errno):
        table.bind(bindings[-1], 500)
    assert PACE.left > -STRETCH_LIMIT // 2 and bindings[-1].port == 0
    table.remove(bindings[0])
    table.bind(bindings[-1], 500)
