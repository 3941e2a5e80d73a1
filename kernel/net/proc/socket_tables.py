"""The tables of /proc/net about ping, packet and netlink sockets, about groups, and about all protocols (proc(5)).

Kernel addresses, and sizes of objects, which mean nothing here, are shown as zeros.

Context: system calls; sleeps where there are many sockets.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.credentials import uid_for_caller
from kernel.lib.order import Walk
from kernel.lib.pace import pace
from kernel.lib.proc_files import TextPieces, proc_file, proc_pieces
from kernel.net.datagram import udp
from kernel.net.datagram.memory import MEMORY as DATAGRAM_MEMORY
from kernel.net.datagram.ping_socket import PingSocket, ping_sockets_of
from kernel.net.datagram.raw_socket import raw_sockets_of
from kernel.net.link.network import Network, shown_network
from kernel.net.netlink.socket import NetlinkSocket, netlink_sockets_of
from kernel.net.packet.socket import PacketSocket, packet_sockets_of
from kernel.net.proc.tables import HEAD4, HEAD6, SocketLines, padded, plain_hex, socket_line
from kernel.net.sockets.joined_groups import INCLUDE, JOINED, JoinedGroup
from kernel.net.sockets.socket import AF_INET, AF_INET6, SOCK_STREAM
from kernel.net.tcp.memory import MEMORY as TCP_MEMORY
from kernel.net.tcp.memory import PAGE_SHIFT
from kernel.net.tcp.table import TABLE as CONNECTIONS
from kernel.net.unix.base import UnixSocket
from kernel.net.unix.rights import SOCKETS

_NONE: Final = -1
# Instructions, for `pace`
_LINE_COST: Final = 5000
_SOURCE_COST: Final = 300
_LOOK_COST: Final = 200


# ---- Sockets --------------------------------------------------------------------------------------------------------


@final
class _PingLines(SocketLines):
    """Ping sockets of one family."""

    def __init__(self, family: int, heading: bytes) -> None:
        super().__init__(heading)
        self.family: int = family
        self.walk: Walk[PingSocket] = Walk(ping_sockets_of(shown_network()).sockets)

    def line(self) -> bytes | None:
        socket = self.walk.next()
        if socket is None:
            return None
        if socket.family != self.family:
            return b""
        text = socket_line(socket, socket.binding.port, socket.binding.port, 5)
        return padded(text) if self.family == AF_INET else text + b"\n"


@proc_pieces("net/icmp")
def icmp4() -> TextPieces:
    """/proc/net/icmp: ping sockets; their ports are the identifiers of their messages."""
    return _PingLines(AF_INET, padded(HEAD4))


@proc_pieces("net/icmp6")
def icmp6() -> TextPieces:
    """/proc/net/icmp6."""
    return _PingLines(AF_INET6, HEAD6)


@final
class _PacketLines(SocketLines):
    """Packet sockets."""

    def __init__(self) -> None:
        super().__init__(b"sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n")
        self.walk: Walk[PacketSocket] = Walk(packet_sockets_of(shown_network()).sockets)

    def line(self) -> bytes | None:
        socket = self.walk.next()
        if socket is None:
            return None
        running = 1 if socket.ethertype != 0 else 0
        references = 2 + running
        return (
            f"0000000000000000 {references:<6} {socket.kind:<4} {socket.ethertype:04x}   {socket.device_index:<5}"
            f" {running} {socket.queued_bytes:<6} {uid_for_caller(socket.inode.uid):<6} {socket.inode.ino:<6}\n"
        ).encode()


@proc_pieces("net/packet")
def packet() -> TextPieces:
    """/proc/net/packet."""
    return _PacketLines()


@final
class _NetlinkLines(SocketLines):
    """Netlink sockets that have a port."""

    def __init__(self) -> None:
        super().__init__(b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n")
        self.walk: Walk[NetlinkSocket] = Walk(netlink_sockets_of(shown_network()).by_port)

    def line(self) -> bytes | None:
        socket = self.walk.next()
        if socket is None:
            return None
        groups = socket.groups & 0xFFFF_FFFF
        dumping = 1 if socket.is_dumping else 0
        return (
            f"0000000000000000 {socket.protocol:<3} {socket.port:<10} {groups:08x} {socket.queued_bytes:<8} {0:<8}"
            f" {dumping:<5} {2:<8} {0:<8} {socket.inode.ino:<8}\n"
        ).encode()


@proc_pieces("net/netlink")
def netlink() -> TextPieces:
    """/proc/net/netlink."""
    return _NetlinkLines()


# ---- Groups ---------------------------------------------------------------------------------------------------------


@proc_file("net/mcfilter")
def mcfilter4() -> bytes:
    """/proc/net/mcfilter: the senders that sockets include or exclude in a group."""
    text = bytearray(b"Idx Device        MCA        SRC    INC    EXC\n")
    for line in _sources(4):
        text.extend(line.head + b" " + _number4(line.group) + b" " + _number4(line.source) + line.counts() + b"\n")
    return bytes(text)


@proc_file("net/mcfilter6")
def mcfilter6() -> bytes:
    """/proc/net/mcfilter6."""
    text = bytearray(b"Idx Device                Multicast Address                   Source Address    INC    EXC\n")
    for line in _sources(16):
        text.extend(line.head + b" " + plain_hex(line.group) + b" " + plain_hex(line.source) + line.counts() + b"\n")
    return bytes(text)


@final
class SourceLine:
    """One sender in one group of one interface, and how many sockets named it."""

    def __init__(self, head: bytes, group: bytes, source: bytes) -> None:
        self.head: bytes = head
        self.group: bytes = group
        self.source: bytes = source
        self.included: int = 0
        self.excluded: int = 0

    def counts(self) -> bytes:
        return f" {self.included:6} {self.excluded:6}".encode()


def _sources(size: int) -> list[SourceLine]:
    found: dict[bytes, SourceLine] = {}
    network = shown_network()
    walk = Walk(JOINED)
    joined = walk.next()
    while joined is not None:
        _count_sources(joined, size, network, found)
        pace(_LINE_COST + len(joined.sources) * _SOURCE_COST)
        joined = walk.next()
    return [line for line in found.values()]


def _count_sources(joined: JoinedGroup, size: int, network: Network, found: dict[bytes, SourceLine]) -> None:
    """Count the senders that a socket named in a group."""
    membership = joined.membership
    if len(membership.group) != size or membership.network is not network or not membership.is_listed:
        return
    name = membership.device.name
    head = f"{membership.device.index:3} ".encode() + b" " * max(0, 6 - len(name)) + name[: min(len(name), 6)]
    for source in joined.sources:
        key = membership.key + source
        line = found.get(key)
        if line is None:
            line = SourceLine(head, membership.group, source)
            found[key] = line
        if joined.mode == INCLUDE:
            line.included += 1
        else:
            line.excluded += 1


def _number4(address: bytes) -> bytes:
    return f"0x{span_of(address).load_be32(0):08x}".encode()


@proc_file("net/dev_mcast")
def dev_mcast() -> bytes:
    """/proc/net/dev_mcast: the link addresses of groups that interfaces listen to."""
    text = bytearray()
    for device in shown_network().devices[:]:
        pace(_LINE_COST)
        for address in list(device.multicast.keys()):
            pace(_LINE_COST)
            membership = device.multicast.get(address)
            users = 0 if membership is None else membership.users
            if users == 0:
                continue  # nobody listens any more
            name = device.name + b" " * max(0, 15 - len(device.name))
            text.extend(f"{device.index:<4} ".encode() + name + f" {users:<5} {0:<5} ".encode())
            text.extend(plain_hex(address) + b"\n")
    return bytes(text)


# ---- Protocols ------------------------------------------------------------------------------------------------------


_NO_SLAB: Final = (b"PACKET", b"NETLINK", b"AF_VSOCK")  # on Linux their sockets do not come from a cache of their own


def _protocol(name: bytes, sockets: int, pages: int, press: bytes, header: int, operations: bytes) -> bytes:
    """A line of /proc/net/protocols. `operations` says which ones programs can call: close, connect, disconnect,
    accept …, in the order of the table's head.
    """
    line = name + b" " * max(0, 9 - len(name)) + f" {0:4} {sockets:6}  {pages:6}   ".encode()
    slab = b"no " if name in _NO_SLAB else b"yes"
    line += press + b" " * (3 - len(press)) + f" {header:6}   ".encode() + slab + b"  kernel     "
    for operation in operations:
        line += b" " + bytes([operation]) + b" "
    return line + b"\n"


def _unix_count(network: Network, is_stream: bool) -> int:
    count = 0
    walk = Walk(SOCKETS.all)
    while (socket := walk.next()) is not None:
        is_its = isinstance(socket, UnixSocket) and socket.network is network
        if is_its and (socket.kind == SOCK_STREAM) == is_stream:
            count += 1
        pace(_LOOK_COST)
    return count


@proc_file("net/protocols")
def protocols() -> bytes:
    """/proc/net/protocols: the protocols, and how many sockets each has."""
    network = shown_network()
    udps = udp.udp_sockets_of(network)
    packets = packet_sockets_of(network).count
    raws = raw_sockets_of(network)
    pings = ping_sockets_of(network)
    netlinks = netlink_sockets_of(network).count
    held = DATAGRAM_MEMORY.used + (1 << PAGE_SHIFT) - 1 >> PAGE_SHIFT
    pages = TCP_MEMORY.used + (1 << PAGE_SHIFT) - 1 >> PAGE_SHIFT
    press = b"yes" if TCP_MEMORY.is_under_pressure else b"no"
    text = (
        b"protocol  size sockets  memory press maxhdr  slab module     "
        b"cl co di ac io in de sh ss gs se re bi br ha uh gp em\n"
    )
    ping = b"yyynnynnyyyyyyyyyn"
    raw = b"yyynyyynyyyyyyyynn"
    datagram = b"yyynyyynyyyynnyyyn"
    stream = b"yyyyyyyyyyyynyyyyy"
    text += _protocol(b"AF_VSOCK", 0, _NONE, b"NI", 0, b"y" + b"n" * 17)  # Linux does not count them
    text += _protocol(b"PACKET", packets, _NONE, b"NI", 0, b"n" * 18)
    text += _protocol(b"PINGv6", pings.count(AF_INET6), _NONE, b"NI", 0, ping)
    text += _protocol(b"RAWv6", raws.count(AF_INET6), _NONE, b"NI", 0, raw)
    text += _protocol(b"UDPv6", udps.count(AF_INET6), held, b"NI", 0, datagram)
    text += _protocol(b"TCPv6", CONNECTIONS.count_sockets(network, AF_INET6), pages, press, 256, stream)
    text += _protocol(b"UNIX-STREAM", _unix_count(network, is_stream=True), _NONE, b"NI", 0, b"ynnnnnnnnnnnnnnynn")
    text += _protocol(b"UNIX", _unix_count(network, is_stream=False), _NONE, b"NI", 0, b"y" + b"n" * 17)
    text += _protocol(b"PING", pings.count(AF_INET), _NONE, b"NI", 0, ping)
    text += _protocol(b"RAW", raws.count(AF_INET), _NONE, b"NI", 0, raw)
    text += _protocol(b"UDP", udps.count(AF_INET), held, b"NI", 0, datagram)
    text += _protocol(b"TCP", CONNECTIONS.count_sockets(network, AF_INET), pages, press, 256, stream)
    return text + _protocol(b"NETLINK", netlinks, _NONE, b"NI", 0, b"n" * 18)
