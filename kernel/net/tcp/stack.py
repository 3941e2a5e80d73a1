"""Dispatching TCP segments from IP, and errors reported by ICMP, to connections.

Context: thread context; nothing sleeps.
Source: RFC 9293 section 3.10.7, RFC 4987 (SYN floods), RFC 5927 (attacks by ICMP), RFC 1191.
"""

from typing import Final

from kernel.lang import EMSGSIZE, Errno, final
from kernel.mm.keeping import has_room_to_keep
from kernel.net.internet import icmp, ip
from kernel.net.internet.addresses import is_multicast
from kernel.net.internet.group_programs import are_judged, may_enter
from kernel.net.internet.output import resolve
from kernel.net.internet.transport import ORIGIN_ICMP, PROTOCOL_TCP, NetworkError, Transport, register_transport
from kernel.net.link import ethernet
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.network import Network, network_of
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.net.sockets.inet_names import ON_RECVERR4, ON_RECVERR6
from kernel.net.tcp import cookie_options, input, opening, output, reset, secrets
from kernel.net.tcp.channel import Channel, settle
from kernel.net.tcp.closing import finish
from kernel.net.tcp.connection import EVENT_CLOSED, EVENT_STATE, NS_PER_MS, Connection, State
from kernel.net.tcp.header import ACK, FIN, HEADER_SIZE, RST, SYN, OutgoingHeader, Segment
from kernel.net.tcp.sequence import extend
from kernel.net.tcp.table import TABLE, Listener, find_owner
from kernel.net.tcp.tcp_settings import COOKIES_ALWAYS, NS_PER_SECOND, SETTINGS
from kernel.net.tcp.time_wait import TimeWait, Verdict
from kernel.sched import WaitQueue
from kernel.time import monotonic_ns

_UNCHECKED_BACKLOG: Final = 512  # connections not accepted yet; for more there must be memory

_segment: Final = Segment()
_header: Final = OutgoingHeader()


def new_channel(channel: Channel, local: bytes, local_port: int, remote: bytes, remote_port: int) -> Connection:
    """Give a channel its connection. Raises MemoryError."""
    c = Connection(channel, local, local_port, remote, remote_port)
    channel.connection = c
    channel.options.apply(c)
    channel.measure_path(c)
    c.agreed.timestamp_offset = secrets.timestamp_offset(channel.network.number, local, remote)
    return c


@final
class Tcp(Transport):
    """Takes datagrams from IP."""

    def receive(self, packet: Packet) -> bool:
        network = network_of(packet)
        network.tcp.in_segments += 1
        if not packet.from_ourselves and not _is_sound(packet):
            return True
        segment = _segment
        segment.forget_syn_options()
        if not segment.parse(packet):
            network.tcp.in_errors += 1
            return True
        now_ns = monotonic_ns()
        local, remote = packet.destination, packet.source
        channel = TABLE.find(network, local, segment.destination_port, remote, segment.source_port)
        if channel is not None:
            if not channel.options.internet.is_near_enough(packet):
                network.tcp_events.least_ttl_drops.count += 1
                return True
            if channel.wants(packet):
                _deliver(channel, segment, packet, now_ns)
        else:
            _without_connection(network, segment, packet, now_ns)
        if len(packet) == 0:
            packet.recycle()  # nothing keeps a packet without data
        return True

    def has_sender(self, packet: Packet) -> bool:
        header = packet.span()
        ports = header.load_be16(0), header.load_be16(2)
        return TABLE.find(network_of(packet), packet.source, ports[0], packet.destination, ports[1]) is not None

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        header = packet.span()
        network = network_of(packet)
        channel = TABLE.find(
            network, packet.source, header.load_be16(0), packet.destination, header.load_be16(2)
        )
        if channel is None:
            return
        c = channel.connection
        if c is None:
            return
        # Only someone who has seen the connection's segments knows its numbers (RFC 5927, section 4).
        sequence = extend(header.load_be32(4), c.sender.una)
        if sequence < c.sender.una or sequence > c.sender.nxt:
            network.tcp_events.out_of_window_icmps.count += 1
            return
        _report(channel, c, error)


def _is_sound(packet: Packet) -> bool:
    """Whether a segment from outside is for this host alone, and its checksum is right."""
    if packet.link_kind != PACKET_HOST or is_multicast(packet.destination) or (
        ip.is_broadcast(network_of(packet), packet.destination)
    ):
        return False
    if len(packet) < HEADER_SIZE:
        network_of(packet).tcp.in_errors += 1
        return False
    if packet.checksum == CHECKSUM_VERIFIED:
        return True
    data = packet.span()
    if checksum(data, pseudo_header(packet.source, packet.destination, PROTOCOL_TCP, len(data))) != 0:
        network_of(packet).tcp.in_checksum_errors += 1
        network_of(packet).tcp.in_errors += 1
        return False
    return True


def _report(channel: Channel, c: Connection, error: NetworkError) -> None:
    now_ns = monotonic_ns()
    if error.errno == EMSGSIZE:
        # The path's MTU has been learned; the data in flight may be too large for it.
        size = c.sizes.mss
        channel.update_path(c)
        if c.is_synchronized() and c.sizes.mss < size:
            output.send_flight_again(c, now_ns)
    elif c.state == State.SYN_SENT or (c.state == State.SYN_RECEIVED and _ends_half_open(c, error)):
        finish(c, error.errno)
    elif c.is_synchronized() and channel.options.internet.is_on(ON_RECVERR4 if len(c.local) == 4 else ON_RECVERR6):
        c.error = error.errno  # IP_RECVERR: the error is reported to the program, and the connection goes on
        c.events |= EVENT_STATE
    else:
        c.soft_error = error.errno
    settle(channel)


def _ends_half_open(c: Connection, error: NetworkError) -> bool:
    """Whether an error ends a connection that waits for the last step of its handshake. As on Linux, one begun by a
    peer survives errors that only a firewall would send.
    """
    if not c.is_passive:
        return True
    if error.origin != ORIGIN_ICMP:
        return error.is_hard
    return error.type != icmp.UNREACHABLE or error.code <= icmp.HOST_UNREACHABLE


def _deliver(channel: Channel, segment: Segment, packet: Packet, now_ns: int) -> None:
    c = channel.connection
    if c is None:
        return
    if c.state == State.SYN_RECEIVED and channel.backlog is not None and segment.flags & (SYN | RST) == 0:
        if _must_wait(channel, c, segment, len(packet), now_ns):
            return
    payload = len(packet)
    answered = input.process(c, segment, packet, now_ns)
    settle(channel)
    if not answered:
        _reset(segment, packet, payload)


def _must_wait(channel: Channel, c: Connection, segment: Segment, payload: int, now_ns: int) -> bool:
    """Whether the last step of a handshake must wait: the backlog is full, or TCP_DEFER_ACCEPT waits for data.
    """
    listener = find_owner(channel)
    if listener is None:
        return False
    if listener.is_full():
        _count_overflow(listener.network)
        return True
    defer_ns = listener.options.defer_accept_s * NS_PER_SECOND
    return defer_ns > 0 and payload == 0 and segment.flags & FIN == 0 and now_ns - c.counters.started_ns < defer_ns


def _without_connection(network: Network, segment: Segment, packet: Packet, now_ns: int) -> None:
    """Handle a segment that belongs to no connection: it may be for TIME_WAIT, a listener, or no socket."""
    local = packet.destination
    remote = packet.source
    initial = -1
    wait = TABLE.find_wait(network, local, segment.destination_port, remote, segment.source_port)
    if wait is not None:
        verdict = wait.judge(segment, len(packet), now_ns)
        if verdict == Verdict.ACKNOWLEDGE:
            _acknowledge_wait(wait, packet, now_ns)
            return
        if verdict == Verdict.FORGET:
            TABLE.end_wait(wait)
            return
        if verdict == Verdict.DROP:
            return
        initial = wait.next_initial_sequence()
    device = packet.device
    listener = TABLE.find_listener(
        network,
        local,
        segment.destination_port,
        remote,
        segment.source_port,
        0 if device is None else device.index,
        packet,
    )
    if listener is None:
        if wait is None:
            _reset(segment, packet, len(packet))
        else:
            _acknowledge_wait(wait, packet, now_ns)  # a new call that no listener takes
        return
    if wait is not None:
        TABLE.end_wait(wait)
    flags = segment.flags
    if not listener.options.internet.is_near_enough(packet):
        network.tcp_events.least_ttl_drops.count += 1
        return
    if flags & RST != 0:
        return
    if are_judged() and not may_enter(listener.group, packet):
        return
    filter_ = listener.filter
    if filter_ is not None:
        header = packet.transport_start
        if not filter_.passes(packet, header, packet.start - header, listener.file):
            return
    if flags & ACK != 0:
        if not _take_cookie(listener, segment, packet, now_ns):
            _reset(segment, packet, len(packet))
    elif flags & SYN != 0 and flags & FIN == 0:
        _take_syn(listener, segment, packet, initial, now_ns)


def _take_syn(listener: Listener, segment: Segment, packet: Packet, initial: int, now_ns: int) -> None:
    """Begin a new connection. One for which a backlog has no room is answered by a cookie, or not at all."""
    if listener.is_full():
        _count_overflow(listener.network)
        return
    if SETTINGS.syn_cookies.of(listener.network) == COOKIES_ALWAYS:
        _send_cookie(listener, segment, packet, now_ns)
        return
    most = min(max(listener.backlog, 8), SETTINGS.max_syn_backlog.of(listener.network))
    waiting = len(listener.half_open) + len(listener.ready)
    if len(listener.half_open) >= most or (waiting >= _UNCHECKED_BACKLOG and not has_room_to_keep()):
        if SETTINGS.syn_cookies.of(listener.network) != 0:
            listener.network.tcp_events.full_queues_cookies.count += 1
            _send_cookie(listener, segment, packet, now_ns)
        else:
            listener.network.tcp_events.full_queues_drops.count += 1
        return
    channel = _accepting_channel(listener, segment, packet)
    c = channel.connection
    if c is None:
        return
    try:
        if initial < 0:
            number = listener.network.number
            initial = secrets.initial_sequence(number, c.local, c.local_port, c.remote, c.remote_port, now_ns)
        listener.half_open.append(channel)
        opening.accept(c, segment, packet, initial, now_ns)
    except MemoryError:
        _forget(channel, c)
        raise
    settle(channel)


def _count_overflow(network: Network) -> None:
    """Count a connection that did not fit a backlog which the program is slow to empty."""
    network.tcp_events.listen_overflows.count += 1
    network.tcp_events.listen_drops.count += 1


def _forget(channel: Channel, c: Connection) -> None:
    """There is no memory for a connection that has just begun: act as if its first segment had not come."""
    finish(c, 0)
    c.events = EVENT_CLOSED
    settle(channel)


def _accepting_channel(listener: Listener, segment: Segment, packet: Packet) -> Channel:
    """A channel in the table for a listener's new connection. Raises MemoryError, even if only a route back is missing.
    """
    try:
        hop = resolve(listener.network, packet.source, packet.destination)
    except Errno:
        raise MemoryError from None
    channel = Channel(hop, listener.options.copy(), listener.family, WaitQueue(), WaitQueue())
    channel.backlog = listener.queue
    channel.mark = listener.mark
    channel.filter = listener.filter
    channel.group = listener.group
    channel.creator = listener.creator
    try:
        new_channel(channel, packet.destination, segment.destination_port, packet.source, segment.source_port)
        TABLE.insert(channel)
    except MemoryError:
        channel.abandon()
        raise
    channel.hold = listener.hold.acquire()
    return channel


def _take_cookie(listener: Listener, segment: Segment, packet: Packet, now_ns: int) -> bool:
    """Whether the acknowledgment is of a cookie of ours: then there is a connection, or, while the backlog is full,
    the peer's retransmission will create it.
    """
    if SETTINGS.syn_cookies.of(listener.network) == 0 or segment.flags & (SYN | RST) != 0:
        return False
    mss = secrets.check_cookie(
        listener.network.number,
        packet.destination,
        segment.destination_port,
        packet.source,
        segment.source_port,
        segment.sequence - 1,
        segment.acknowledgment - 1,
        now_ns,
    )
    if mss == 0:
        return False
    listener.network.tcp_events.cookies_received.count += 1
    if listener.is_full():
        _count_overflow(listener.network)
        return True
    channel = _accepting_channel(listener, segment, packet)
    c = channel.connection
    if c is None:
        return False
    try:
        opening.accept_cookie(c, segment, mss, now_ns)
        input.process(c, segment, packet, now_ns)
    except MemoryError:
        _forget(channel, c)
        raise
    settle(channel)
    return True


# ---- Answers without a connection -----------------------------------------------------------------------------


def _answer(network: Network, packet: Packet, local: bytes, remote: bytes) -> None:
    """Send a segment that is complete except for its checksum. One without a route is dropped."""
    try:
        hop = resolve(network, remote, local)
        if not hop.device.is_loop or network.onlookers != 0:
            total = pseudo_header(local, remote, PROTOCOL_TCP, len(packet))
            packet.span().store_be16(16, total)
            packet.checksum_start = packet.start
            packet.checksum_offset = 16
        packet.checksum = CHECKSUM_PARTIAL
        network.tcp.out_segments += 1
        ip.send(packet, hop, local, PROTOCOL_TCP, 64, 0, dont_fragment=True)
    except Errno:
        network.tcp.in_errors += 1


def _reset(segment: Segment, packet: Packet, payload: int) -> None:
    answer = reset.answer(segment, payload)
    if answer is not None:
        network_of(packet).tcp.out_resets += 1
        _answer(network_of(packet), answer, packet.destination, packet.source)


def _send_cookie(listener: Listener, segment: Segment, packet: Packet, now_ns: int) -> None:
    """Send a SYN-ACK for a connection of which no state is kept."""
    listener.network.tcp_events.cookies_sent.count += 1
    mss = opening.segment_size_of(segment, packet.source)
    header = _header
    header.clear_options()
    header.source_port = segment.destination_port
    header.destination_port = segment.source_port
    header.flags = SYN | ACK
    header.sequence = secrets.make_cookie(
        listener.network.number,
        packet.destination,
        segment.destination_port,
        packet.source,
        segment.source_port,
        segment.sequence,
        mss,
        now_ns,
    )
    header.acknowledgment = segment.sequence + 1
    header.window = 0xFFFF
    header.mss = 1460 if len(packet.source) == 4 else 1440
    if SETTINGS.timestamps.of(listener.network) != 0 and segment.has_timestamp:
        with_scaling = SETTINGS.window_scaling.of(listener.network) != 0
        options = cookie_options.offered(segment, with_scaling, SETTINGS.sack.of(listener.network) != 0)
        offset = secrets.timestamp_offset(listener.network.number, packet.destination, packet.source)
        header.has_timestamp = True
        header.timestamp = options.put_into(now_ns // NS_PER_MS) + offset
        header.timestamp_echo = segment.timestamp
        header.sack_permitted = options.sack
        if options.scale != cookie_options.NO_SCALE:
            header.scale = opening.receive_scale_for(listener.network, listener.options.receive_buffer)
    answer = Packet(0)
    header.put_before(answer)
    _answer(network_of(packet), answer, packet.destination, packet.source)


def _acknowledge_wait(wait: TimeWait, packet: Packet, now_ns: int) -> None:
    header = _header
    header.clear_options()
    header.source_port = wait.local_port
    header.destination_port = wait.remote_port
    header.flags = ACK
    header.sequence = wait.snd_nxt
    header.acknowledgment = wait.rcv_nxt
    header.window = wait.window
    if wait.timestamps:
        header.has_timestamp = True
        header.timestamp = now_ns // NS_PER_MS + wait.timestamp_offset
        header.timestamp_echo = wait.timestamp_recent
    answer = Packet(0)
    header.put_before(answer)
    _answer(network_of(packet), answer, packet.destination, packet.source)


def run(channel: Channel) -> None:
    """After a program's operation on its connection: handle its results, and deliver packets sent to this host."""
    settle(channel)
    ethernet.drain()


register_transport(PROTOCOL_TCP, Tcp())
