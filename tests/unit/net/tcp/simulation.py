"""Two machines on a simulated wire: it may lose, delay, reorder and duplicate; the clock jumps from event to event."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from kernel.lang import span_of
from kernel.lib.pace import pace
from kernel.net.link.packet import Packet
from kernel.net.tcp import closing, input, opening, output, reset, timers
from kernel.net.tcp.connection import FOREVER, Connection, State, Wire
from kernel.net.tcp.header import ACK, FIN, PSH, RST, SYN, URG, Segment

MS = 1_000_000
SECOND = 1000 * MS
NAMES = [(SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (ACK, "."), (URG, "U")]


def copy_packet(packet: Packet) -> Packet:
    made = Packet(len(packet))
    made.put(len(packet)).copy_from(packet.span())
    made.segment_size = packet.segment_size
    return made


def cut(packet: Packet) -> list[Packet]:
    """What a device makes of a large segment."""
    size = packet.segment_size
    data = packet.span().to_bytes()
    header = (data[12] >> 4) * 4
    if size == 0 or len(data) - header <= size:
        return [packet]
    pieces = []
    sequence = int.from_bytes(data[4:8], "big")
    at = header
    while at < len(data):
        end = min(at + size, len(data))
        head = bytearray(data[:header])
        head[4:8] = ((sequence + at - header) & 0xFFFFFFFF).to_bytes(4, "big")
        if end < len(data):
            head[13] &= ~(FIN | PSH)
        piece = Packet(header + end - at)
        span = piece.put(header + end - at)
        span.copy_from(span_of(bytes(head) + data[at:end]))
        pieces.append(piece)
        at = end
    return pieces


@dataclass
class Link:
    """One direction."""

    delay: int = 10 * MS
    jitter: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    cuts: bool = True
    down: bool = False
    drop: Callable[[Segment, int], bool] | None = None  # decides by the header and the payload's length


class Side(Wire):
    """A machine with one connection."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.link = Link()
        self.connection: Connection | None = None
        self.listens = False
        self.events = 0
        self.configure: Callable[[Connection], None] = lambda connection: None

    def make(self) -> Connection:
        world = self.world
        c = Connection(self, self.name.encode(), 1, world.other(self).name.encode(), 2)
        c.sizes.path_mtu = world.mtu
        c.sizes.advertised_mss = world.mtu - 40
        c.agreed.timestamp_offset = world.random.getrandbits(32)
        c.sizes.packet_limit = world.packet_limit
        self.configure(c)
        self.connection = c
        return c

    def connect(self) -> Connection:
        c = self.make()
        opening.connect(c, self.world.random.getrandbits(32), self.world.now)
        return c

    def send(self, connection: Connection, packet: Packet) -> None:
        self.put(packet)

    def put(self, packet: Packet) -> None:
        link = self.link
        for piece in cut(packet) if link.cuts else [packet]:
            probe = Segment()
            shown = copy_packet(piece)
            assert probe.parse(shown)
            self.world.trace.append(f"{self.world.now // 1000} {self.name} {describe(probe, len(shown))}")
            if link.down or self.world.random.random() < link.loss:
                continue
            if link.drop is not None and link.drop(probe, len(shown)):
                continue
            copies = 2 if self.world.random.random() < link.duplicate else 1
            for _ in range(copies):
                # Bytes in flight share the sender's storage, as in the kernel, except what is delivered twice.
                delivered = piece if copies == 1 else copy_packet(piece)
                when = self.world.now + link.delay + (self.world.random.randrange(link.jitter) if link.jitter else 0)
                self.world.at(when, partial(self.world.other(self).deliver, delivered))

    def deliver(self, packet: Packet) -> None:
        segment = Segment()
        segment.forget_syn_options()
        # The header may be pulled only once: what came twice is a copy.
        assert segment.parse(packet)
        c = self.connection
        now = self.world.now
        payload = len(packet)
        if c is None and self.listens and segment.flags & (SYN | ACK | RST) == SYN:
            c = self.make()
            opening.accept(c, segment, packet, self.world.random.getrandbits(32), now)
        elif c is None or not input.process(c, segment, packet, now):
            answer = reset.answer(segment, payload)
            if answer is not None:
                self.put(answer)
        if c is not None:
            self.events |= c.events
            c.events = 0
            self.check()

    def check(self) -> None:
        c = self.connection
        assert c is not None
        assert c.sender.una <= c.sender.nxt <= c.send_end() or c.state == State.CLOSED
        if c.state == State.CLOSED:
            assert c.next_deadline() == FOREVER
        elif c.is_synchronized() and c.sender.nxt > c.sender.una:
            assert c.timers.timeout_ns != FOREVER
        assert (
            c.receive.bytes == c.receiver.nxt - c.receiver.copied - (1 if c.receiver.fin_received else 0)
            or c.receive_shut
        )
        assert output.pipe(c) >= 0

    def write(self, data: bytes, chunk: int = 1 << 16) -> int:
        """As a socket's write: how much was taken."""
        c = self.connection
        assert c is not None
        done = 0
        while done < len(data) and c.send_room() > 0 and c.state != State.CLOSED:
            tail = c.queue.tail
            if tail is None or tail.room() == 0 or tail.is_sent:
                tail = c.queue.append_chunk(min(chunk, len(data) - done))
            room = c.queue.room(tail, len(data) - done)
            room.copy_from(span_of(data[done : done + len(room)]))
            done += len(room)
            c.queue.filled(tail, len(room))
        output.transmit(c, self.world.now)
        return done

    def read(self, limit: int = 1 << 30) -> bytes:
        c = self.connection
        assert c is not None
        out = bytearray()
        while c.receive.bytes > 0 and len(out) < limit:
            head = c.receive.head
            assert head is not None
            part = head.span().to_bytes()[: limit - len(out)]
            out += part
            c.receive.consume(len(part))
            c.receiver.copied += len(part)
        if out:
            output.after_read(c, self.world.now)
        return bytes(out)

    def shut(self) -> None:
        assert self.connection is not None
        closing.shut_send(self.connection, self.world.now)

    def close(self) -> None:
        assert self.connection is not None
        closing.close(self.connection, self.world.now)

    @property
    def state(self) -> State:
        assert self.connection is not None
        return self.connection.state


def describe(segment: Segment, payload: int) -> str:
    flags = "".join(name for bit, name in NAMES if segment.flags & bit)
    blocks = [(segment.sack_left[i], segment.sack_right[i]) for i in range(segment.sack_count)]
    return f"{flags} {segment.sequence}+{payload} ack {segment.acknowledgment} win {segment.window} {blocks or ''}"


@dataclass
class World:
    seed: int = 0
    mtu: int = 1500
    packet_limit: int = 0
    now: int = 1_000 * SECOND
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.count = 0
        self.a = Side(self, "a")
        self.b = Side(self, "b")

    def other(self, side: Side) -> Side:
        return self.b if side is self.a else self.a

    def at(self, when: int, action: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.queue, (when, self.count, action))

    def step(self, limit: int) -> bool:
        """The next event up to the time `limit`."""
        pace(0)
        deadline = limit + 1
        due: Side | None = None
        for side in (self.a, self.b):
            if side.connection is not None and side.connection.next_deadline() < deadline:
                deadline = side.connection.next_deadline()
                due = side
        if self.queue and self.queue[0][0] <= min(deadline, limit):
            when, _, action = heapq.heappop(self.queue)
            self.now = max(self.now, when)
            action()
            return True
        if due is None:
            return False
        self.now = max(self.now, deadline)
        assert due.connection is not None
        timers.expire(due.connection, self.now)
        due.events |= due.connection.events
        due.connection.events = 0
        due.check()
        return True

    def run(self, duration: int = 10 * SECOND, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; whether `until` came true."""
        limit = self.now + duration
        while until is None or not until():
            if not self.step(limit):
                self.now = limit
                return until is not None and until()
        return True

    def open(self) -> None:
        self.b.listens = True
        self.a.connect()
        assert self.run(until=lambda: self.b.connection is not None and self.b.state == State.ESTABLISHED)
        assert self.a.state == State.ESTABLISHED

    def transfer(self, data: bytes, duration: int = 600 * SECOND, read_size: int = 1 << 30) -> bytes:
        """Send `data` from a to b, close, and say what b has read."""
        sent = 0
        received = bytearray()
        shut = False

        def pump() -> bool:
            nonlocal sent, shut
            if sent < len(data):
                sent += self.a.write(data[sent : sent + (1 << 18)])
            elif not shut:
                shut = True
                self.a.shut()
            received.extend(self.b.read(read_size))
            b = self.b.connection
            assert b is not None
            if b.receive.bytes > 0:
                self.at(self.now + MS, lambda: None)  # a slow reader comes again
            return b.receiver.fin_received and b.receive.bytes == 0

        assert self.run(duration, pump), "\n".join(self.trace[-40:])
        return bytes(received)
