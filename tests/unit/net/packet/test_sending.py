"""Packet sockets: what becomes of an interface, or a ring, while a program's frames are sent."""

import struct
from collections.abc import Callable

import pytest

from kernel.lang import ENETDOWN, ENXIO, Errno, Span, span_of, u8
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.net.link.device import bring_down
from kernel.net.link.network import FIRST_NETWORK, remove_device
from kernel.net.packet.ring.layout import STATUS_SEND_REQUEST
from kernel.net.packet.socket import SOL_PACKET, PacketSocket
from kernel.net.sockets.socket import SOCK_RAW, Message
from tests.unit.fs.conftest import World, world
from tests.unit.meanwhile import meanwhile
from tools.simulated.wire import Wire

_ = world
VERSION, TX_RING, VERSION_2 = 10, 13, 1
PAGE, SLOT, COUNT = 4096, 2048, 8
PACKET_START = 32  # in a slot

FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x09" + b"\x88\xb5" + bytes(50)


class Slow(KernelBuffer):
    """A program's memory; in the middle of the copy from it another thread acts."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(bytearray(FRAME))
        self.act = act

    def take(self, destination: Span[u8]) -> int:
        self.act()
        return super().take(destination)


def send(wire: Wire, act: Callable[[], object]) -> int:
    socket = PacketSocket(SOCK_RAW, 0, Credentials(), FIRST_NETWORK)
    socket.device_index = wire.index
    try:
        return socket.send(Message(Slow(act), 0))
    finally:
        socket.close()


def test_a_frame_goes_out(wire: Wire) -> None:
    assert send(wire, lambda: None) == len(FRAME)
    assert wire.take() == [FRAME]


@pytest.mark.parametrize(("end", "code"), [(bring_down, ENETDOWN), (remove_device, ENXIO)])
def test_none_goes_to_an_interface_that_has_gone_meanwhile(
    wire: Wire, end: Callable[[Wire], None], code: int
) -> None:
    with pytest.raises(Errno) as caught:
        send(wire, lambda: end(wire))
    assert caught.value.code == code and FRAME not in wire.take()


@pytest.fixture
def ring(world: World, wire: Wire) -> PacketSocket:
    """A socket with a ring full of frames to be sent."""
    socket = PacketSocket(SOCK_RAW, 0, Credentials(), FIRST_NETWORK)
    socket.device_index = wire.index
    socket.set_option(SOL_PACKET, VERSION, struct.pack("<I", VERSION_2))
    socket.set_option(SOL_PACKET, TX_RING, struct.pack("<IIII", PAGE, COUNT * SLOT // PAGE, SLOT, COUNT))
    made = socket.rings.transmit
    assert made is not None
    for number in range(COUNT):
        made.memory.write(number * SLOT + PACKET_START, span_of(FRAME))
        made.memory.store(number * SLOT + 4, len(FRAME))
        made.memory.store(number * SLOT, STATUS_SEND_REQUEST)
    return socket


def free(socket: PacketSocket) -> None:
    socket.set_option(SOL_PACKET, TX_RING, bytes(16))


def test_a_ring_is_sent(ring: PacketSocket, wire: Wire) -> None:
    assert ring.send(Message(KernelBuffer(bytearray()), 0)) == COUNT * len(FRAME)
    assert wire.take() == [FRAME] * COUNT
    ring.close()


@pytest.mark.parametrize("end", ["the ring", "the interface"])
def test_others_run_between_two_slots(ring: PacketSocket, wire: Wire, end: str) -> None:
    with meanwhile(lambda: free(ring) if end == "the ring" else bring_down(wire), 3):
        sent = ring.send(Message(KernelBuffer(bytearray()), 0))
    assert sent == 3 * len(FRAME) and wire.take() == [FRAME] * 3
    ring.close()
