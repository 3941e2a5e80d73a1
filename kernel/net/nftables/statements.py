"""Statements that end a packet's path or report it: reject, log, queue (nft(8) "STATEMENTS").

`log` writes to the kernel's log. Groups of nflog and queues have no listeners here: a group answers ENOENT, and a
queued packet is dropped, or goes on where the rule says `bypass`, as on a Linux where no program listens.

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, Errno, final, span_of
from kernel.lib.log import log
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, FORWARD, INPUT, OUTPUT, PREROUTING
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.answers import RESET, is_answerable, put_off
from kernel.net.nftables.attributes import Attributes, be16, put32, put_text
from kernel.net.nftables.expression import Expression, Loader, Run, register_loader
from kernel.net.nftables.model import ACCEPT, DROP, FAMILY_INET, Chain

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

_UNREACHABLE: Final = 0
_TCP_RESET: Final = 1
_ANY_UNREACHABLE: Final = 2
_MOST_ANY: Final = 3
REJECT_COST: Final = 2500  # instructions, besides summing and copying the packet

# The same for either version of IP, by NFT_REJECT_ICMPX_*: no route, port, host, forbidden.
_CODES4: Final[list[int]] = [0, 3, 1, 13]
_CODES6: Final[list[int]] = [0, 4, 3, 1]


def check_points(base: Chain, allowed: int) -> None:
    """Check that a base chain is at one of these points, a bit each. Raises EOPNOTSUPP."""
    found = base.base
    if found is not None and allowed >> found.point & 1 == 0:
        raise Errno(EOPNOTSUPP)


@final
class Reject(Expression):
    """Drop the packet, and answer."""

    def __init__(self, kind: int, code: int) -> None:
        self.kind: int = kind
        self.code: int = code

    def name(self) -> bytes:
        return b"reject"

    def evaluate(self, run: Run) -> None:
        is_cheap = run.affords(REJECT_COST + (len(run.packet.storage) >> 1))
        run.verdict = DROP
        if not is_cheap:
            return
        if self.kind == _TCP_RESET:
            if is_answerable(run.packet, run.place):
                put_off(run.packet, run.place, RESET)
            return
        code = self.code
        if self.kind == _ANY_UNREACHABLE:
            code = _CODES4[code] if run.place.family == FAMILY_IP4 else _CODES6[code]
        put_off(run.packet, run.place, code)

    def put(self, writer: MessageWriter) -> None:
        put32(writer, 1, self.kind)
        if self.kind != _TCP_RESET:
            writer.attribute(2, bytes([self.code]))

    def check(self, base: Chain, family: int) -> None:
        check_points(base, 1 << INPUT | 1 << FORWARD | 1 << OUTPUT | 1 << PREROUTING)


@final
class _RejectLoader(Loader):
    def name(self) -> bytes:
        return b"reject"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        family = loading.table.family
        if family != FAMILY_IP4 and family != FAMILY_IP6 and family != FAMILY_INET:
            raise Errno(ENOENT)
        if not attributes.has(1):
            raise Errno(EINVAL)
        kind = attributes.be32(1)
        if kind == _TCP_RESET:
            return Reject(kind, 0)
        if kind > (_ANY_UNREACHABLE if family == FAMILY_INET else _UNREACHABLE):
            raise Errno(EINVAL)
        if not attributes.has(2):
            raise Errno(EINVAL)
        code = attributes.byte(2)
        if kind == _ANY_UNREACHABLE and code > _MOST_ANY:
            raise Errno(EINVAL)
        return Reject(kind, code)


_LOG_PREFIX_LIMIT: Final = 127
_WARNING: Final = 4
_AUDIT: Final = 8
LOG_COST: Final = 25_000  # instructions


@final
class Log(Expression):
    """Write a line to the kernel's log for the packet."""

    def __init__(self, prefix: bytes, level: int, flags: int) -> None:
        self.prefix: bytes = prefix
        self.level: int = level
        self.flags: int = flags

    def name(self) -> bytes:
        return b"log"

    def evaluate(self, run: Run) -> None:
        if run.place.network is FIRST_NETWORK and self.level < _AUDIT and run.affords(LOG_COST):
            log.add(self.level, describe(run, self.prefix))

    def put(self, writer: MessageWriter) -> None:
        if len(self.prefix) > 0:
            put_text(writer, 2, self.prefix)
        put32(writer, 5, self.level)
        if self.flags != 0:
            put32(writer, 6, self.flags)


@final
class _LogLoader(Loader):
    def name(self) -> bytes:
        return b"log"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if attributes.has(1):
            if attributes.has(5) or attributes.has(6):
                raise Errno(EINVAL)
            raise Errno(ENOENT)
        level = attributes.be32(5, _WARNING)
        if level > _AUDIT:
            raise Errno(EINVAL)
        flags = attributes.be32(6)
        if flags & ~0x3F != 0:
            raise Errno(EINVAL)
        return Log(attributes.text(2, _LOG_PREFIX_LIMIT), level, flags)


def _address(value: bytes) -> str:
    if len(value) == 4:
        return f"{value[0]}.{value[1]}.{value[2]}.{value[3]}"
    span = span_of(value)
    text = f"{span.load_be16(0):04x}"
    for i in range(2, 16, 2):
        text += f":{span.load_be16(i):04x}"
    return text


def describe(run: Run, prefix: bytes) -> bytes:
    """The line, as Linux writes it, without the packet's options."""
    packet = run.packet
    place = run.place
    header = packet.network_header()
    source = place.input
    target = place.output
    line = prefix + b"IN=" + (b"" if source is None else source.name)
    line += b" OUT=" + (b"" if target is None else target.name) + b" "
    text = f"SRC={_address(packet.source)} DST={_address(packet.destination)} "
    if place.family == FAMILY_IP4:
        fields = header.load_be16(6)
        text += f"LEN={header.load_be16(2)} TOS=0x{header[1] & 0x1E:02X} PREC=0x{header[1] & 0xE0:02X} "
        text += f"TTL={header[8]} ID={header.load_be16(4)} "
        text += "DF " if fields & 0x4000 != 0 else ""
        text += "MF " if fields & 0x2000 != 0 else ""
        text += f"FRAG:{fields & 0x1FFF} " if fields & 0x1FFF != 0 else ""
    else:
        text += f"LEN={header.load_be16(4) + 40} TC={header.load_be16(0) >> 4 & 0xFF} HOPLIMIT={header[7]} "
        text += f"FLOWLBL={header.load_be32(0) & 0xFFFFF} "
    line += text.encode() + _describe_transport(run)
    if packet.mark != 0:
        line += f"MARK=0x{packet.mark:x} ".encode()
    return line


def _describe_transport(run: Run) -> bytes:
    place = run.place
    packet = run.packet
    protocol = place.protocol
    data = span_of(packet.storage)[packet.transport_start : packet.end]
    if protocol == PROTOCOL_TCP:
        name = "TCP"
        least = 20
    elif protocol == PROTOCOL_UDP:
        name = "UDP"
        least = 8
    elif protocol == PROTOCOL_ICMP or protocol == PROTOCOL_ICMP6:
        name = "ICMP" if protocol == PROTOCOL_ICMP else "ICMPv6"
        least = 8
    else:
        return f"PROTO={protocol} ".encode()
    text = f"PROTO={name} "
    if place.offset != 0:
        return text.encode()
    if len(data) < least:
        return (text + f"INCOMPLETE [{len(data)} bytes] ").encode()
    if protocol == PROTOCOL_UDP:
        text += f"SPT={data.load_be16(0)} DPT={data.load_be16(2)} LEN={data.load_be16(4)} "
    elif protocol == PROTOCOL_TCP:
        text += f"SPT={data.load_be16(0)} DPT={data.load_be16(2)} WINDOW={data.load_be16(14)} "
        text += f"RES=0x{data[12] << 2 & 0x3C | data[13] >> 6:02x} "
        text += _flags(data[13]) + f"URGP={data.load_be16(18)} "
    else:
        text += f"TYPE={data[0]} CODE={data[1]} "
        if data[0] == 8 or data[0] == 0 or data[0] == 128 or data[0] == 129:
            text += f"ID={data.load_be16(4)} SEQ={data.load_be16(6)} "
    return text.encode()


def _flags(flags: int) -> str:
    text = ""
    text += "CWR " if flags & 0x80 != 0 else ""
    text += "ECE " if flags & 0x40 != 0 else ""
    text += "URG " if flags & 0x20 != 0 else ""
    text += "ACK " if flags & 0x10 != 0 else ""
    text += "PSH " if flags & 0x08 != 0 else ""
    text += "RST " if flags & 0x04 != 0 else ""
    text += "SYN " if flags & 0x02 != 0 else ""
    text += "FIN " if flags & 0x01 != 0 else ""
    return text


_BYPASS: Final = 1
_FAN_OUT: Final = 2
_SHORT: Final = 0xFFFF


@final
class Queue(Expression):
    """Hands packets to a program for a decision; none listens."""

    def __init__(self, number: int, total: int, flags: int) -> None:
        self.number: int = number
        self.total: int = total
        self.flags: int = flags

    def name(self) -> bytes:
        return b"queue"

    def evaluate(self, run: Run) -> None:
        run.verdict = ACCEPT if self.flags & _BYPASS != 0 else DROP

    def put(self, writer: MessageWriter) -> None:
        writer.attribute(1, be16(self.number))
        writer.attribute(2, be16(self.total))
        writer.attribute(3, be16(self.flags))


@final
class _QueueLoader(Loader):
    def name(self) -> bytes:
        return b"queue"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if attributes.has(4):
            raise Errno(EOPNOTSUPP)
        if not attributes.has(1):
            raise Errno(EINVAL)
        number = attributes.be16(1)
        total = attributes.be16(2, 1)
        if total == 0 or number + total - 1 > _SHORT:
            raise Errno(EINVAL)
        flags = attributes.be16(3)
        if flags & ~(_BYPASS | _FAN_OUT) != 0:
            raise Errno(EINVAL)
        return Queue(number, total, flags)


register_loader(_RejectLoader())
register_loader(_LogLoader())
register_loader(_QueueLoader())
