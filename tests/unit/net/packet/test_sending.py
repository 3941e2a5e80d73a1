"""Packet sockets: what becomes of an interface while a program's frame is copied."""

from collections.abc import Callable

import pytest

from kernel.lang import ENETDOWN, ENXIO, Errno, Span, u8
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.net.link.device import bring_down
from kernel.net.link.network import FIRST_NETWORK, remove_device
from kernel.net.packet.socket import PacketSocket
from kernel.net.sockets.socket import SOCK_RAW, Message
from tools.simulated.wire import Wire

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
