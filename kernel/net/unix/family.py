"""AF_UNIX: creating its sockets (unix(7)). Importing this registers the family."""

from kernel.lang import EPROTONOSUPPORT, ESOCKTNOSUPPORT, Errno
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.sockets.families import register_family
from kernel.net.sockets.socket import AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM, Socket
from kernel.net.unix.collector import COLLECTOR
from kernel.net.unix.datagram import DatagramSocket, SequencedSocket
from kernel.net.unix.stream import StreamSocket


def make_unix_socket(kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """Create a socket; SOCK_RAW is another name for SOCK_DGRAM."""
    if protocol != 0 and protocol != AF_UNIX:
        raise Errno(EPROTONOSUPPORT)
    COLLECTOR.start()
    if kind == SOCK_STREAM:
        return StreamSocket(0, credentials, network)
    if kind == SOCK_DGRAM or kind == SOCK_RAW:
        return DatagramSocket(0, credentials, network)
    if kind == SOCK_SEQPACKET:
        return SequencedSocket(0, credentials, network)
    raise Errno(ESOCKTNOSUPPORT)


register_family(AF_UNIX, make_unix_socket)
