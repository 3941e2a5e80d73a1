"""Socket families: the functions that create the sockets of each address family (socket(2)).

A family registers its maker when the kernel is built. The maker gets the type (SOCK_*, without flags) and the protocol,
both as the program gave them, the credentials of the caller and its network; it raises ESOCKTNOSUPPORT or
EPROTONOSUPPORT for unsupported ones, EPERM for forbidden ones.

Context: system calls.
"""

from collections.abc import Callable
from typing import Final

from kernel.lang import EAFNOSUPPORT, EINVAL, Errno
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.sockets.socket import AF_INET, AF_PACKET, Socket

SocketMaker = Callable[[int, int, Credentials, Network], Socket]

_FAMILY_COUNT: Final = 46
_TYPE_COUNT: Final = 11
_SOCK_PACKET: Final = 10  # the obsolete type for AF_PACKET

FAMILIES: Final[list[SocketMaker | None]] = [None] * _FAMILY_COUNT


def register_family(family: int, maker: SocketMaker) -> None:
    """Register the maker of a family's sockets. At build time."""
    FAMILIES[family] = maker


def make_socket(family: int, kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """A new socket in a network, with one reference. Raises EAFNOSUPPORT, EINVAL, EPERM, and what the family raises.
    """
    if not 0 <= family < _FAMILY_COUNT:
        raise Errno(EAFNOSUPPORT)
    if not 0 <= kind < _TYPE_COUNT:
        raise Errno(EINVAL)
    if family == AF_INET and kind == _SOCK_PACKET:
        family = AF_PACKET
    maker = FAMILIES[family]
    if maker is None:
        raise Errno(EAFNOSUPPORT)
    socket = maker(kind, protocol, credentials, network)
    socket.hold_network()
    try:
        socket.begin()
    except (Errno, MemoryError):
        socket.release()
        raise
    return socket
