"""What a socket may send from, and what it says it is bound to."""

from __future__ import annotations

import pytest

from kernel.lang import EINVAL, ENETUNREACH, Errno
from kernel.lib.credentials import Credentials
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.inet import encode_inet, encode_inet6
from kernel.net.sockets.inet_names import ON_FREEBIND, ON_TRANSPARENT
from kernel.net.sockets.socket import AF_INET, AF_INET6
from tests.unit.net.conftest import Wire

OURS, PEER, FOREIGN, UDP = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\1\1\1\1", 17


def test_a_datagram_has_a_source_of_ours(wire: Wire) -> None:
    made = UdpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    assert made.route_to(PEER, OURS, 0).source == OURS
    made.options.turn(ON_FREEBIND, on=True)  # lets it bind, not send
    for source, code in ((FOREIGN, ENETUNREACH), (b"\xe0\0\0\1", EINVAL), (b"\xff" * 4, EINVAL), (b"\0\0\0\1", EINVAL)):
        with pytest.raises(Errno) as raised:
            made.route_to(PEER, source, 0)
        assert raised.value.code == code
    made.options.turn(ON_TRANSPARENT, on=True)
    assert made.route_to(PEER, FOREIGN, 0).source == FOREIGN


def test_a_raw_socket_has_its_protocol_as_port(wire: Wire) -> None:
    for family, name in ((AF_INET, encode_inet(bytes(4), UDP)), (AF_INET6, encode_inet6(bytes(16), UDP))):
        made = RawSocket(family, UDP, Credentials(), FIRST_NETWORK)
        assert made.local_address() == name
        made.close()  # lest it hear what later tests send
