"""The TCP ports that a domain lets its threads bind and connect to (landlock(7)).

Context: never sleeps. The order of errors is Linux's.
"""

from typing import Final

from kernel.lang import EACCES, EAFNOSUPPORT, EINVAL, Errno, span_of
from kernel.lib.domain import NET_BIND_TCP, NET_CONNECT_TCP, Domain
from kernel.net.sockets.socket import AF_INET, AF_INET6, AF_UNSPEC
from kernel.net.tcp.socket import TcpSocket

_FAMILY_SIZE: Final = 2
_SIZE4: Final = 16  # struct sockaddr_in
_SIZE6: Final = 24  # struct sockaddr_in6 without its scope
_PORT: Final = 2
_ADDRESS: Final = 4


def check_binding(domain: Domain, socket: TcpSocket, address: bytes) -> None:
    """Raise EACCES unless the domain permits bind(2) with the address; EINVAL, EAFNOSUPPORT for an impossible one."""
    family = _family_of(address)
    if family == AF_UNSPEC:
        if socket.family != AF_INET:
            raise Errno(EINVAL)
        if span_of(address).load_u32(_ADDRESS) != 0:
            raise Errno(EAFNOSUPPORT)
    _check(domain, socket, family, address, NET_BIND_TCP)


def check_connecting(domain: Domain, socket: TcpSocket, address: bytes) -> None:
    """The same for connect(2). Ending a connection (AF_UNSPEC) is always permitted."""
    family = _family_of(address)
    if family != AF_UNSPEC:
        _check(domain, socket, family, address, NET_CONNECT_TCP)


def _family_of(address: bytes) -> int:
    """Raises EINVAL for an address that is too short."""
    if len(address) < _FAMILY_SIZE:
        raise Errno(EINVAL)
    family = span_of(address).load_u16(0)
    if (family in (AF_INET, AF_UNSPEC) and len(address) < _SIZE4) or (family == AF_INET6 and len(address) < _SIZE6):
        raise Errno(EINVAL)
    return family


def _check(domain: Domain, socket: TcpSocket, family: int, address: bytes, right: int) -> None:
    if family not in (AF_INET, AF_INET6, AF_UNSPEC):
        return  # the socket refuses it
    if family != AF_UNSPEC and family != socket.family:
        raise Errno(EINVAL)
    if not domain.permits_port(span_of(address).load_be16(_PORT), right):
        raise Errno(EACCES)
