"""Answers to refused packets: an ICMP error, or TCP's reset.

An answer is a packet that passes hooks itself. So the network thread sends it, and chains never wait for chains.

Context: `put_off` while a packet is judged; sending in the network thread. Nothing sleeps.
Source: RFC 9293 section 3.10.7.1 (resets), RFC 792, RFC 4443.
"""

from collections import deque
from typing import Final

from kernel.lang import Errno, final, span_of
from kernel.lib.pace import PACE
from kernel.net.internet import icmp, icmpv6, ip
from kernel.net.internet.output import resolve
from kernel.net.internet.transport import PROTOCOL_TCP
from kernel.net.link import ethernet
from kernel.net.link.checksum import pseudo_header, sum_bytes
from kernel.net.link.hooks import Place
from kernel.net.link.network import FIRST_NETWORK, LIMBO, network_of
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, Packet
from kernel.net.link.thread import Work, schedule_work
from kernel.net.nftables.model import Firewall, firewall_of

RESET: Final = -1
_LIMIT: Final = 256  # answers that wait for the first network, and for all others together …
_PART: Final = 8  # … of which one network takes at most an eighth of the rest, so that there is always some left
_SHARE: Final = 16  # sent in one turn
_TCP_HEADER: Final = 20
_FIN: Final = 0x01
_SYN: Final = 0x02
_RST: Final = 0x04
_ACK: Final = 0x10
_SUM_OFFSET: Final = 16
_TTL: Final = 64
_WORD: Final = 0xFFFF_FFFF


@final
class Answer:
    """A pending answer."""

    def __init__(self, offender: Packet, code: int, firewall: Firewall) -> None:
        self.offender: Packet = offender  # a copy
        self.code: int = code  # of ICMP's "unreachable", or RESET
        self.firewall: Firewall = firewall  # of the network that sends it


@final
class Answers(Work):
    """The pending answers: of the first network, or of all others. `Firewall.answers` counts those of one network."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[Answer] = deque()

    def run(self, now_ns: int) -> None:
        for _ in range(_SHARE):
            if len(self.waiting) == 0:
                return
            answer = self.waiting.popleft()
            answer.firewall.answers -= 1
            try:
                _send(answer)
            except Errno:
                continue  # there is no route back
            if PACE.left < 0:
                break
        if len(self.waiting) > 0:
            schedule_work(self)


_OF_FIRST: Final = Answers()
_OF_OTHERS: Final = Answers()


def put_off(packet: Packet, place: Place, code: int) -> None:
    """Queue an answer to a packet, which is dropped. Raises MemoryError."""
    network = place.network
    firewall = firewall_of(network)
    is_first = network is FIRST_NETWORK
    answers = _OF_FIRST if is_first else _OF_OTHERS
    if len(answers.waiting) >= _LIMIT or (
        not is_first and firewall.answers > (_LIMIT - len(answers.waiting)) // _PART
    ):
        return
    offender = packet.copy()
    offender.cut_ties()
    if offender.device is None:
        offender.device = place.output if place.input is None else place.input
    answers.waiting.append(Answer(offender, code, firewall))
    firewall.answers += 1
    schedule_work(answers)


def _send(answer: Answer) -> None:
    offender = answer.offender
    if network_of(offender) is LIMBO:
        return
    if answer.code == RESET:
        _send_reset(offender)
    elif len(offender.source) == 4:
        icmp.send_error(offender, icmp.UNREACHABLE, answer.code, 0)
    else:
        icmpv6.send_error(offender, icmpv6.UNREACHABLE, answer.code, 0)
    ethernet.drain()


def is_answerable(packet: Packet, place: Place) -> bool:
    """Whether a reset may answer a TCP segment: its header is whole, it is not a reset, and its checksum is right."""
    if place.offset != 0 or place.protocol != PROTOCOL_TCP:
        return False
    segment = span_of(packet.storage)[packet.transport_start : packet.end]
    if len(segment) < _TCP_HEADER or segment[13] & _RST != 0:
        return False
    if packet.checksum != CHECKSUM_NONE or packet.segment_size != 0 or place.input is None:
        return True
    return sum_bytes(segment, pseudo_header(packet.source, packet.destination, PROTOCOL_TCP, len(segment))) == 0xFFFF


def _send_reset(offender: Packet) -> None:
    """Send a reset; RFC 9293: it takes its number from the acknowledgment, or acknowledges everything."""
    segment = span_of(offender.storage)[offender.transport_start : offender.end]
    flags = segment[13]
    header_length = (segment[12] >> 4) * 4
    answer = Packet(_TCP_HEADER)
    header = answer.put(_TCP_HEADER)
    header.fill(0)
    header.store_be16(0, segment.load_be16(2))
    header.store_be16(2, segment.load_be16(0))
    header[12] = 0x50
    if flags & _ACK != 0:
        header.store_be32(4, segment.load_be32(8))
        header[13] = _RST
    else:
        count = max(len(segment) - header_length, 0)
        count += 1 if flags & _SYN != 0 else 0
        count += 1 if flags & _FIN != 0 else 0
        header.store_be32(8, (segment.load_be32(4) + count) & _WORD)
        header[13] = _RST | _ACK
    network = network_of(offender)
    hop = resolve(network, offender.source, offender.destination)
    header.store_be16(_SUM_OFFSET, pseudo_header(offender.destination, offender.source, PROTOCOL_TCP, _TCP_HEADER))
    answer.checksum = CHECKSUM_PARTIAL
    answer.checksum_start = answer.start
    answer.checksum_offset = _SUM_OFFSET
    ip.send(answer, hop, offender.destination, PROTOCOL_TCP, _TTL, 0, dont_fragment=True)
