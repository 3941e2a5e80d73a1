"""AF_VSOCK: creating its sockets (vsock(7)). Importing this registers the family, and the loopback transport."""

from kernel.lang import ENODEV, EPROTONOSUPPORT, ESOCKTNOSUPPORT, Errno
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.sockets.families import register_family
from kernel.net.sockets.socket import SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, Socket
from kernel.net.vsock.addresses import AF_VSOCK
from kernel.net.vsock.socket import VsockSocket


def make_vsock_socket(kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """Create a socket. EPROTONOSUPPORT, ESOCKTNOSUPPORT; ENODEV for SOCK_DGRAM, which no transport has."""
    if protocol != 0 and protocol != AF_VSOCK:
        raise Errno(EPROTONOSUPPORT)
    if kind == SOCK_DGRAM:
        raise Errno(ENODEV)
    if kind != SOCK_STREAM and kind != SOCK_SEQPACKET:
        raise Errno(ESOCKTNOSUPPORT)
    return VsockSocket(kind, credentials, network)


register_family(AF_VSOCK, make_vsock_socket)
