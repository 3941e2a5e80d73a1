"""The families AF_INET and AF_INET6: which socket a type and a protocol yield (ip(7), ipv6(7)).

Context: system calls.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import EINVAL, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT, Errno, final
from kernel.lib.capabilities import CAP_NET_RAW
from kernel.lib.credentials import Credentials
from kernel.net.datagram.ping_socket import PingSocket, check_ping_right
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.network import Network
from kernel.net.sockets.families import register_family
from kernel.net.sockets.socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, Socket

_PROTOCOL_COUNT: Final = 263  # the last one, MPTCP's, is no number of a packet; there is none here

InternetMaker = Callable[[int, Credentials, Network], Socket]


@final
class StreamHook:
    """Filled by TCP: creates a socket for a family, credentials and a network."""

    def __init__(self) -> None:
        self.maker: InternetMaker | None = None


STREAM: Final = StreamHook()


def _make(family: int, kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    if not 0 <= protocol < _PROTOCOL_COUNT:
        raise Errno(EINVAL)
    if kind == SOCK_STREAM:
        maker = STREAM.maker
        if (protocol != 0 and protocol != PROTOCOL_TCP) or maker is None:
            raise Errno(EPROTONOSUPPORT)
        return maker(family, credentials, network)
    if kind == SOCK_DGRAM:
        if protocol == 0 or protocol == PROTOCOL_UDP:
            return UdpSocket(family, credentials, network)
        if protocol == (PROTOCOL_ICMP if family == AF_INET else PROTOCOL_ICMP6):
            check_ping_right(network, credentials)
            return PingSocket(family, credentials, network)
        raise Errno(EPROTONOSUPPORT)
    if kind == SOCK_RAW:
        if protocol == 0:
            raise Errno(EPROTONOSUPPORT)
        if not credentials.capable_in(network.owner, CAP_NET_RAW):
            raise Errno(EPERM)
        return RawSocket(family, protocol, credentials, network)
    raise Errno(ESOCKTNOSUPPORT)


def make_inet(kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """Create a socket of AF_INET. ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL, EPERM."""
    return _make(AF_INET, kind, protocol, credentials, network)


def make_inet6(kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """Create a socket of AF_INET6."""
    return _make(AF_INET6, kind, protocol, credentials, network)


register_family(AF_INET, make_inet)
register_family(AF_INET6, make_inet6)
