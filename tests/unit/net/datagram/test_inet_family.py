"""Which socket a type and a protocol make (ip(7), ipv6(7))."""

from __future__ import annotations

import pytest

from kernel.lang import EINVAL, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, Errno
from kernel.lib.capabilities import CAP_NET_RAW
from kernel.lib.credentials import Credentials
from kernel.net.datagram.inet_family import make_inet, make_inet6
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import SOCK_DGRAM, SOCK_RAW, SOCK_STREAM
from tests.unit.net.conftest import Wire

TCP, UDP, ICMP, ICMP6, MULTIPATH_TCP = 6, 17, 1, 58, 262
SOCK_SEQPACKET = 5


@pytest.mark.parametrize("make", [make_inet, make_inet6])
@pytest.mark.parametrize(
    ("kind", "protocol", "code"),
    [
        (SOCK_DGRAM, TCP, EPROTONOSUPPORT), (SOCK_STREAM, UDP, EPROTONOSUPPORT), (SOCK_RAW, 0, EPROTONOSUPPORT),
        (SOCK_SEQPACKET, 0, ESOCKTNOSUPPORT), (SOCK_DGRAM, -1, EINVAL), (SOCK_DGRAM, 256, EPROTONOSUPPORT),
        (SOCK_STREAM, MULTIPATH_TCP, EPROTONOSUPPORT), (SOCK_DGRAM, MULTIPATH_TCP, EPROTONOSUPPORT),
        (SOCK_DGRAM, 263, EINVAL),
    ],
)  # fmt: skip
def test_what_there_is_not(make: object, kind: int, protocol: int, code: int, wire: Wire) -> None:
    assert callable(make)
    with pytest.raises(Errno) as caught:
        make(kind, protocol, Credentials(), FIRST_NETWORK)
    assert caught.value.code == code


def test_a_ping_socket_is_of_its_own_family_s_protocol(wire: Wire) -> None:
    for make, protocol in ((make_inet, ICMP6), (make_inet6, ICMP)):
        with pytest.raises(Errno) as caught:
            make(SOCK_DGRAM, protocol, Credentials(), FIRST_NETWORK)
        assert caught.value.code == EPROTONOSUPPORT


def test_a_raw_socket_needs_a_right(wire: Wire) -> None:
    credentials = Credentials()
    assert isinstance(make_inet(SOCK_RAW, ICMP, credentials, FIRST_NETWORK), RawSocket)
    credentials.effective &= ~(1 << CAP_NET_RAW)
    with pytest.raises(Errno) as caught:
        make_inet(SOCK_RAW, ICMP, credentials, FIRST_NETWORK)
    assert caught.value.code == EPERM
    assert isinstance(make_inet(SOCK_DGRAM, 0, credentials, FIRST_NETWORK), UdpSocket)
