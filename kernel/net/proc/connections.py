"""/proc/net/nf_conntrack, /proc/net/stat/nf_conntrack: the connections of a network as text, and the counters.

Context: system calls; sleeps where there are many connections.
Source: conntrack(8), whose lines are alike; Linux's output.
"""

from typing import Final

from kernel.lang import Weak, final, span_of, weak
from kernel.lib.pace import pace
from kernel.lib.proc_files import TextPieces, proc_file, proc_pieces
from kernel.net.filter.connection import STATUS_ASSURED, STATUS_DYING, STATUS_SEEN_REPLY, Connection
from kernel.net.filter.connection_table import Statistics, Walk, find_table
from kernel.net.filter.tcp_state import STATE_NAMES
from kernel.net.filter.tuples import PROTOCOL_UDP_LITE, Tuple, has_ports
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.network import Network, caller_network, shown_network
from kernel.net.proc.tables import dotted
from kernel.time import monotonic_ns, realtime_ns

_LINES: Final = 16  # at a time
_LINE_COST: Final = 6000  # instructions
_LOOK_COST: Final = 50
_NS_PER_SECOND: Final = 1_000_000_000
_NOBODY: Final = Connection()


def _protocol_name(protocol: int) -> bytes:
    if protocol == PROTOCOL_TCP:
        return b"tcp"
    if protocol == PROTOCOL_UDP:
        return b"udp"
    if protocol == PROTOCOL_UDP_LITE:
        return b"udplite"
    if protocol == PROTOCOL_ICMP:
        return b"icmp"
    return b"icmpv6" if protocol == PROTOCOL_ICMP6 else b"unknown"


def _address(address: bytes) -> bytes:
    """The text of an address; an IPv6 address has all its zeros."""
    if len(address) == 4:
        return dotted(address)
    words = span_of(address)
    return b":".join([f"{words.load_be16(at):04x}".encode() for at in range(0, 16, 2)])


def _tuple_text(tuple_: Tuple) -> bytes:
    text = b"src=" + _address(tuple_.source) + b" dst=" + _address(tuple_.destination) + b" "
    if has_ports(tuple_.protocol):
        return text + f"sport={tuple_.source_port} dport={tuple_.destination_port} ".encode()
    if tuple_.protocol == PROTOCOL_ICMP or tuple_.protocol == PROTOCOL_ICMP6:
        kind = tuple_.destination_port >> 8
        code = tuple_.destination_port & 0xFF
        return text + f"type={kind} code={code} id={tuple_.source_port} ".encode()
    return text


def _count_text(connection: Connection, is_reply: bool) -> bytes:
    if not connection.is_counted:
        return b""
    packets = connection.reply_packets if is_reply else connection.packets
    size = connection.reply_bytes if is_reply else connection.bytes
    return f"packets={packets} bytes={size} ".encode()


def line_of(connection: Connection, now_ns: int) -> bytes:
    """A connection's line."""
    original = connection.original
    is_ip4 = len(original.source) == 4
    protocol = original.protocol
    text = bytearray(b"ipv4     2 " if is_ip4 else b"ipv6     10 ")
    name = _protocol_name(protocol)
    text.extend(name + b" " * max(0, 8 - len(name)))
    text.extend(f" {protocol} {connection.left_s(now_ns)} ".encode())
    tcp = connection.tcp
    if tcp is not None:
        text.extend(STATE_NAMES[tcp.state] + b" ")
    text.extend(_tuple_text(original) + _count_text(connection, is_reply=False))
    if not connection.has(STATUS_SEEN_REPLY):
        text.extend(b"[UNREPLIED] ")
    text.extend(_tuple_text(connection.reply) + _count_text(connection, is_reply=True))
    if connection.has(STATUS_ASSURED):
        text.extend(b"[ASSURED] ")
    text.extend(f"mark={connection.mark} zone=0 ".encode())
    if connection.is_timed:
        text.extend(f"delta-time={max(realtime_ns() - connection.started_ns, 0) // _NS_PER_SECOND} ".encode())
    text.extend(b"use=2\n")
    return bytes(text)


@final
class _Lines(TextPieces):
    """All lines. Between two pieces the last connection's number keeps the place; if that one has gone, the search
    starts at the front.
    """

    def __init__(self, network: Network) -> None:
        self.network: Weak[Network] = weak(network)
        self.last: Weak[Connection] = weak(_NOBODY)
        self.last_serial: int = 0

    def next(self) -> bytes | None:
        network = self.network.get()
        table = None if network is None else find_table(network)
        text = bytearray()
        lines = 0
        with Walk(table) as walk:
            last = self.last.get()
            if last is not None and last is not _NOBODY and not last.has(STATUS_DYING):
                walk.cursor.at = last.next
            while lines < _LINES:
                connection = walk.next()
                if connection is None:
                    break
                if connection.serial <= self.last_serial:
                    pace(_LOOK_COST)
                    continue
                text.extend(line_of(connection, monotonic_ns()))
                self.last_serial = connection.serial
                self.last = weak(connection)
                lines += 1
                pace(_LINE_COST)
        return bytes(text) if lines > 0 else None


@proc_pieces("net/nf_conntrack", is_for_root=True)
def connections() -> TextPieces:
    """/proc/net/nf_conntrack."""
    return _Lines(shown_network())


@proc_file("net/stat/nf_conntrack")
def statistics() -> bytes:
    """/proc/net/stat/nf_conntrack: all counts belong to the first processor."""
    table = find_table(shown_network())
    counted = Statistics() if table is None else table.statistics
    count = 0 if table is None else table.count
    head = (
        b"entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop"
        b" icmp_error  expect_new expect_create expect_delete search_restart\n"
    )
    return head + (
        f"{count:08x}  {0:08x} {counted.found:08x} {0:08x} {counted.invalid:08x} {0:08x} {0:08x} {0:08x}"
        f" {counted.inserted:08x} {counted.insert_failed:08x} {counted.dropped:08x} {counted.dropped_early:08x}"
        f" {counted.errors:08x}  {0:08x} {0:08x} {0:08x} {0:08x}\n"
    ).encode()


@proc_file("sys/net/netfilter/nf_conntrack_count")
def count() -> bytes:
    """The number of connections."""
    table = find_table(caller_network())
    return f"{0 if table is None else table.count}\n".encode()
