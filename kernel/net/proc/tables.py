"""The tables of /proc/net about interfaces, routes, neighbours and datagram sockets, in Linux's format (proc(5)).

Addresses are shown as the numbers that their bytes form on a little-endian machine.

Context: system calls; others may run between two lines.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.credentials import uid_for_caller
from kernel.lib.order import Walk
from kernel.lib.pace import pace
from kernel.lib.proc_files import TextPieces, proc_file, proc_pieces
from kernel.net.datagram import udp
from kernel.net.datagram.raw_socket import RawSocket, raw_sockets_of
from kernel.net.datagram.socket import DatagramSocket
from kernel.net.internet.addresses import (
    ANY4,
    ANY6,
    SCOPE_HOST,
    SCOPE_LINK,
    list_all_addresses,
    mapped,
    netmask,
)
from kernel.net.internet.membership import list_memberships
from kernel.net.internet.routes import LOCAL, PROHIBIT, UNICAST, UNREACHABLE, Route, list_routes, tables_for
from kernel.net.link.device import ARPHRD_ETHER, Traffic
from kernel.net.link.neighbours import HAS_ADDRESS, INCOMPLETE, PERMANENT, list_neighbours
from kernel.net.link.network import Network, shown_network
from kernel.net.sockets.inet import listed_ports
from kernel.net.sockets.socket import AF_INET, AF_INET6

_WIDTH: Final = 127
_LINE_COST: Final = 3_000  # instructions
_SOCKET_COST: Final = 5_000  # and for a line of `SocketLines`
_CONNECTED: Final = 1
_UNCONNECTED: Final = 7

_RTF_UP: Final = 1
_RTF_GATEWAY: Final = 2
_RTF_HOST: Final = 4
_RTF_REJECT: Final = 0x200
_RTF_EXPIRES: Final = 0x40_0000
_RTF_LOCAL: Final = 0x8000_0000


def hex4(address: bytes) -> bytes:
    """An IPv4 address as eight digits; an empty one is 0.0.0.0."""
    value = span_of(address if len(address) == 4 else ANY4).load_u32(0)
    return f"{value:08X}".encode()


def hex6(address: bytes) -> bytes:
    """An IPv6 address as four numbers of eight digits; an IPv4 one as mapped, an empty one as ::."""
    full = ANY6 if len(address) == 0 else mapped(address)
    span = span_of(full)
    return f"{span.load_u32(0):08X}{span.load_u32(4):08X}{span.load_u32(8):08X}{span.load_u32(12):08X}".encode()


def plain_hex(address: bytes) -> bytes:
    """The bytes of an address in wire order."""
    text = bytearray()
    for byte in address:
        text.extend(f"{byte:02x}".encode())
    return bytes(text)


def padded(line: bytes, width: int = _WIDTH) -> bytes:
    """A line padded with blanks to a width, and its end."""
    return line + b" " * max(0, width - len(line)) + b"\n"


def _right(text: bytes, width: int) -> bytes:
    return b" " * max(0, width - len(text)) + text


def _left(text: bytes, width: int) -> bytes:
    return text + b" " * max(0, width - len(text))


@proc_file("net/dev")
def dev() -> bytes:
    """/proc/net/dev: the traffic of each interface."""
    text = bytearray(
        b"Inter-|   Receive                                                |  Transmit\n"
        b" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls"
        b" carrier compressed\n"
    )
    for d in shown_network().devices[:]:
        pace(_LINE_COST)
        text.extend(_right(d.name, 6))
        text.extend(_traffic_columns(d.traffic))
    return bytes(text)


def _traffic_columns(t: Traffic) -> bytes:
    return (
        f": {t.received_bytes:7} {t.received_packets:7} {t.received_errors:4} {t.received_dropped:4}"
        f" {0:4} {0:5} {0:10} {0:9}"
        f" {t.sent_bytes:8} {t.sent_packets:7} {t.sent_errors:4} {t.sent_dropped:4}"
        f" {0:4} {0:5} {0:7} {0:10}\n".encode()
    )


def _route_flags(route: Route) -> int:
    flags = _RTF_UP
    if len(route.gateway) != 0:
        flags |= _RTF_GATEWAY
    if route.prefix_length == 8 * len(route.destination):
        flags |= _RTF_HOST
    if route.kind == UNREACHABLE or route.kind == PROHIBIT:
        flags |= _RTF_REJECT
    return flags


@proc_file("net/route")
def route() -> bytes:
    """/proc/net/route: the main table of IPv4."""
    text = bytearray(
        padded(b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT")
    )
    for entry in tables_for(shown_network(), 4).main[:]:
        pace(_LINE_COST)
        device = entry.device
        name = b"*" if device is None else device.name
        line = name + b"\t" + hex4(entry.destination) + b"\t" + hex4(entry.gateway)
        line += f"\t{_route_flags(entry):04X}\t0\t0\t{entry.metric}\t".encode() + hex4(netmask(entry.prefix_length))
        line += f"\t{entry.mtu}\t0\t0".encode()
        text.extend(padded(line))
    return bytes(text)


@proc_file("net/ipv6_route")
def ipv6_route() -> bytes:
    """/proc/net/ipv6_route: both tables of IPv6."""
    text = bytearray()
    for entry in list_routes(shown_network(), 16):
        pace(_LINE_COST)
        flags = _route_flags(entry)
        if entry.kind == LOCAL:
            flags |= _RTF_LOCAL
        elif entry.kind == UNICAST and entry.expires_ns < (1 << 62):
            flags |= _RTF_EXPIRES
        gateway = entry.gateway if len(entry.gateway) == 16 else ANY6
        device = entry.device
        text.extend(plain_hex(entry.destination) + f" {entry.prefix_length:02x} ".encode())
        text.extend(plain_hex(ANY6) + b" 00 " + plain_hex(gateway))
        text.extend(f" {entry.metric:08x} {1:08x} {entry.uses & 0xFFFFFFFF:08x} {flags:08x} ".encode())
        text.extend(_right(b"lo" if device is None else device.name, 8) + b"\n")
    return bytes(text)


@proc_file("net/if_inet6")
def if_inet6() -> bytes:
    """/proc/net/if_inet6: IPv6 addresses."""
    text = bytearray()
    for entry in list_all_addresses(shown_network(), 16):
        pace(_LINE_COST)
        scope = 0x10 if entry.scope == SCOPE_HOST else 0x20 if entry.scope == SCOPE_LINK else 0
        text.extend(plain_hex(entry.address))
        index = entry.device.index
        text.extend(f" {index:02x} {entry.prefix_length:02x} {scope:02x} {entry.flags & 0xFF:02x} ".encode())
        text.extend(_right(entry.device.name, 8) + b"\n")
    return bytes(text)


def dotted(address: bytes) -> bytes:
    """An IPv4 address in dotted notation."""
    return f"{address[0]}.{address[1]}.{address[2]}.{address[3]}".encode()


def link_text(address: bytes) -> bytes:
    """A link address with colons."""
    text = bytearray()
    for i in range(len(address)):
        if i > 0:
            text.append(ord(":"))
        text.extend(f"{address[i]:02x}".encode())
    return bytes(text)


@proc_file("net/arp")
def arp() -> bytes:
    """/proc/net/arp: the neighbours of IPv4."""
    text = bytearray(b"IP address       HW type     Flags       HW address            Mask     Device\n")
    for entry in list_neighbours(shown_network(), 4):
        pace(_LINE_COST)
        if entry.state & (HAS_ADDRESS | INCOMPLETE) == 0 or entry.device.kind != ARPHRD_ETHER:
            continue
        flags = b"0x0" if entry.state == INCOMPLETE else b"0x6" if entry.state == PERMANENT else b"0x2"
        address = entry.link_address if len(entry.link_address) == 6 else bytes(6)
        text.extend(_left(dotted(entry.address), 16) + b" " + _left(b"0x1", 12) + _left(flags, 12))
        text.extend(link_text(address) + b"     *        " + entry.device.name + b"\n")
    return bytes(text)


def socket_line(socket: DatagramSocket, number: int, port: int, width: int) -> bytes:
    """A socket's line, which begins with a number of `width` digits."""
    state = _CONNECTED if len(socket.remote) != 0 else _UNCONNECTED
    is_ip4 = socket.family == AF_INET
    local = hex4(socket.local) if is_ip4 else hex6(socket.local)
    remote = hex4(socket.remote) if is_ip4 else hex6(socket.remote)
    head = f"{number:5}: ".encode() if width == 5 else f"{number:4}: ".encode()
    return head + local + f":{port:04X} ".encode() + remote + (
        f":{socket.remote_port:04X} {state:02X} {0:08X}:{socket.queued_bytes:08X} 00:{0:08X} {0:08X}"
        f" {uid_for_caller(socket.inode.uid):5} {0:8} {socket.inode.ino} 2 0000000000000000 {socket.drops}"
    ).encode()


HEAD4: Final = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
    b" inode ref pointer drops"
)
HEAD6: Final = (
    b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr"
    b" tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
)


@final
class _UdpLines(TextPieces):
    """UDP sockets of one family: those of a port at a time."""

    def __init__(self, family: int) -> None:
        self.family: int = family
        self.network: Network = shown_network()
        self.ports: list[int] = listed_ports(udp.udp_sockets_of(self.network).by_port)
        self.at: int = -1  # -1: the heading; then all ports

    def next(self) -> bytes | None:
        at = self.at
        self.at += 1
        if at < 0:
            return padded(b" " + HEAD4) if self.family == AF_INET else HEAD6
        if at >= len(self.ports):
            return None
        port = self.ports[at]
        text = bytearray()
        sockets = udp.udp_sockets_of(self.network).by_port.get(port)
        if sockets is None:
            return b""
        for socket in sockets[:]:  # some may be gone at a safe point
            if socket.family == self.family and socket.binding.port == port:
                line = socket_line(socket, port, port, 5)
                text.extend(padded(line) if self.family == AF_INET else line + b"\n")
            pace(_LINE_COST)
        return bytes(text)


@proc_pieces("net/udp")
def udp4() -> TextPieces:
    """/proc/net/udp."""
    return _UdpLines(AF_INET)


@proc_pieces("net/udp6")
def udp6() -> TextPieces:
    """/proc/net/udp6."""
    return _UdpLines(AF_INET6)


class SocketLines(TextPieces):
    """A heading, then a line for each socket of a walk, one at a time. Base class."""

    def __init__(self, heading: bytes) -> None:
        self._heading: bytes | None = heading  # until it was read

    def next(self) -> bytes | None:
        heading = self._heading
        if heading is not None:
            self._heading = None
            return heading
        text = self.line()
        pace(_SOCKET_COST)
        return text

    def line(self) -> bytes | None:
        """The next socket's, empty if that is not shown; None after the last one."""
        return None


@final
class _RawLines(SocketLines):
    """Raw sockets of one family."""

    def __init__(self, family: int, heading: bytes) -> None:
        super().__init__(heading)
        self.family: int = family
        self.walk: Walk[RawSocket] = Walk(raw_sockets_of(shown_network()).sockets)

    def line(self) -> bytes | None:
        socket = self.walk.next()
        if socket is None:
            return None
        if socket.family != self.family:
            return b""
        return socket_line(socket, socket.protocol, socket.protocol, 4 if self.family == AF_INET else 5) + b"\n"


@proc_pieces("net/raw")
def raw4() -> TextPieces:
    """/proc/net/raw."""
    return _RawLines(AF_INET, HEAD4 + b"\n")


@proc_pieces("net/raw6")
def raw6() -> TextPieces:
    """/proc/net/raw6."""
    return _RawLines(AF_INET6, HEAD6)


@proc_file("net/igmp")
def igmp() -> bytes:
    """/proc/net/igmp: groups of IPv4."""
    text = bytearray(b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
    for device in shown_network().devices[:]:
        pace(_LINE_COST)
        groups = list_memberships(device, 4)
        if not device.is_up():
            continue
        text.extend(f"{device.index}\t".encode() + _left(device.name, 10) + f": {len(groups) + 1:5}      V3\n".encode())
        for membership in groups:
            text.extend(b"\t\t\t\t" + hex4(membership.group) + f" {membership.users:5} 0:{0:08X}\t\t0\n".encode())
        text.extend(b"\t\t\t\t010000E0     1 0:00000000\t\t0\n")
    return bytes(text)


@proc_file("net/igmp6")
def igmp6() -> bytes:
    """/proc/net/igmp6: groups of IPv6."""
    text = bytearray()
    for device in shown_network().devices[:]:
        pace(_LINE_COST)
        for membership in list_memberships(device, 16):
            text.extend(f"{device.index:<4} ".encode() + _left(device.name, 15) + b" " + plain_hex(membership.group))
            text.extend(f" {membership.users:5} {0:08X} 0\n".encode())
    return bytes(text)
