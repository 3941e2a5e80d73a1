"""What scripted packets have shown to be different from Linux, and was mended."""

from kernel.lang import ECONNRESET, EPIPE, ETIMEDOUT, span_of
from kernel.net.link.packet import Packet
from kernel.net.tcp import closing, input, opening, output
from kernel.net.tcp.connection import Connection, State
from kernel.net.tcp.cookie_options import NO_SCALE, CookieOptions, taken_from
from kernel.net.tcp.header import ACK, FIN, RST, SYN, OutgoingHeader, Segment
from kernel.net.tcp.parts import Timeout
from kernel.net.tcp.receive_queue import ReceiveQueue
from kernel.net.tcp.time_wait import ANSWER_PAUSE_NS, TimeWait, Verdict
from tests.unit.net.tcp.simulation import MS, SECOND, Side, World


def packet_of(data: bytes) -> Packet:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    return packet


def early(queue: ReceiveQueue, start: int, data: bytes) -> bool:
    return queue.add_early(start, packet_of(data))


def blocks(queue: ReceiveQueue) -> list[tuple[int, int]]:
    return [(queue.block_left[i], queue.block_right[i]) for i in range(queue.block_count)]


def in_order(queue: ReceiveQueue, data: bytes) -> bytes:
    queue.add(packet_of(data))
    out = b""
    while queue.head is not None:
        part = queue.head.span().to_bytes()
        out += part
        queue.consume(len(part))
    return out


def test_of_two_pieces_that_overlap_the_earlier_one_wins() -> None:
    for pieces, expected in (
        (((4, b"AAAA"), (6, b"BBBB")), b"....AAAABB"),
        (((6, b"AAAA"), (4, b"BBBB")), b"....BBBBAA"),
        (((4, b"AA"), (4, b"BBBB")), b"....BBBB"),
        (((4, b"AAAA"), (4, b"BB")), b"....AAAA"),
        (((4, b"AAA"), (9, b"CCC"), (5, b"BBBBBB")), b"....AAABBBBC"),
    ):
        queue = ReceiveQueue(0)
        for start, data in pieces:
            early(queue, start, data)
        assert in_order(queue, b"....") == expected
        assert queue.memory == 0 and queue.early_bytes == 0 and queue.block_count == 0


def test_the_newest_block_is_told_first() -> None:
    queue = ReceiveQueue(0)
    for start in (10, 30, 50, 70, 90):
        early(queue, start, b"x" * 10)
    assert blocks(queue) == [(90, 100), (70, 80), (50, 60), (30, 40)]
    early(queue, 20, b"x" * 10)
    assert blocks(queue) == [(10, 40), (90, 100), (70, 80), (50, 60)]
    early(queue, 60, b"x" * 10)
    assert blocks(queue) == [(50, 80), (10, 40), (90, 100)]
    in_order(queue, b"x" * 10)
    assert blocks(queue) == [(50, 80), (90, 100)]


def test_what_came_twice_is_noted() -> None:
    queue = ReceiveQueue(0)
    early(queue, 10, b"x" * 10)
    assert queue.overlap_right == 0
    early(queue, 12, b"xx")
    assert (queue.overlap_left, queue.overlap_right) == (12, 14)
    early(queue, 15, b"x" * 10)
    assert (queue.overlap_left, queue.overlap_right) == (15, 20)
    in_order(queue, b"x" * 18)
    assert (queue.overlap_left, queue.overlap_right) == (10, 18)


def send(side: Side, sequence: int, acknowledgment: int, flags: int, data: bytes = b"", window: int = 60_000) -> None:
    """The peer of a side sends a segment: numbers are counted from those of the connection's start."""
    c = side.connection
    assert c is not None
    header = OutgoingHeader()
    header.sequence = c.receiver.initial + sequence
    header.acknowledgment = c.sender.initial + acknowledgment
    header.flags = flags
    header.window = window
    packet = packet_of(data)
    header.put_before(packet)
    side.deliver(packet)


def plain_world(window: int = 60_000) -> tuple[World, Side]:
    """A side that has accepted a connection without options, from a peer that the test plays."""
    world = World()
    world.a.link.down = True
    world.b.link.down = True
    world.b.listens = True
    header = OutgoingHeader()
    header.sequence = 1000
    header.flags = SYN
    header.window = window
    header.mss = 1000
    packet = Packet(0)
    header.put_before(packet)
    world.b.deliver(packet)
    send(world.b, 1, 1, ACK, window=window)
    assert world.b.state == State.ESTABLISHED
    world.trace.clear()
    return world, world.b


def state_of(c: Connection) -> State:
    return c.state


def timeout_of(c: Connection) -> Timeout:
    return c.timers.timeout


def shown(world: World) -> list[str]:
    """What was sent since the last call: flags, and length of the payload."""
    lines = [line.split() for line in world.trace]
    world.trace.clear()
    return [f"{words[2]} {words[3].partition('+')[2]}" for words in lines]


def test_full_segments_hold_back_no_short_one_but_short_ones_do() -> None:
    world, side = plain_world()
    side.write(bytes(2100))
    assert shown(world) == [". 1000", ". 1000", "P. 100"]
    side.write(bytes(50))
    assert shown(world) == []
    send(side, 1, 2101, ACK)
    assert shown(world) == ["P. 50"]


def test_a_small_window_is_used_in_two_parts() -> None:
    world, side = plain_world(900)
    side.write(bytes(900))
    assert shown(world) == [". 450", "P. 450"]
    send(side, 1, 901, ACK)
    side.write(bytes(900))
    assert shown(world) == ["P. 900"]


def test_a_smaller_window_with_the_same_numbers_is_the_older() -> None:
    _, side = plain_world()
    c = side.connection
    assert c is not None
    send(side, 1, 1, ACK, window=500)
    assert c.sender.wnd == 60_000
    send(side, 1, 1, ACK, window=0)
    assert c.sender.wnd == 0
    send(side, 1, 1, ACK, window=700)
    assert c.sender.wnd == 700


def test_a_fin_waits_for_the_window() -> None:
    world, side = plain_world()
    send(side, 1, 1, ACK, window=0)
    side.shut()
    assert shown(world) == []
    send(side, 1, 1, ACK)
    assert shown(world) == ["F. 0"]


def test_an_early_fin_is_told() -> None:
    world = World()
    world.open()
    a, b = world.a.connection, world.b.connection
    assert a is not None and b is not None
    world.a.link.drop = lambda segment, length: length == 1000 and segment.sequence == a.sender.una & 0xFFFF_FFFF
    a.round_trip.timeout_ns = SECOND
    world.a.write(bytes(1000))
    world.a.shut()
    world.run(30 * MS)
    world.a.link.drop = None
    assert b.receiver.fin_sequence == b.receiver.nxt + 1000
    assert a.scoreboard.left == [a.sender.una + 1000] and a.scoreboard.right == [a.sender.una + 1001]


def test_data_after_a_fin_is_not_answered() -> None:
    world, side = plain_world()
    send(side, 1, 1, ACK | FIN)
    world.run(100 * MS)
    shown(world)
    send(side, 2, 1, ACK, b"more")
    assert shown(world) == []
    send(side, 1, 1, ACK | FIN)
    assert shown(world) == [". 0"]


def test_a_reset_with_the_number_of_the_fin() -> None:
    world, side = plain_world()
    c = side.connection
    assert c is not None
    send(side, 1, 1, ACK | FIN)
    world.run(100 * MS)
    send(side, 1, 0, RST)
    assert side.state == State.CLOSED and c.error == EPIPE


def test_a_new_syn_ends_what_is_half_open() -> None:
    world = World()
    world.b.listens = True
    world.b.link.down = True
    world.a.connect()
    world.run(20 * MS)
    c = world.b.connection
    assert c is not None and state_of(c) == State.SYN_RECEIVED
    send(world.b, 5000, 0, SYN)
    assert state_of(c) == State.CLOSED and c.error == ECONNRESET
    assert shown(world)[-1] == "R. 0"


def test_closed_on_both_sides_needs_no_reset() -> None:
    world, side = plain_world()
    send(side, 1, 1, ACK | FIN)
    side.shut()
    c = side.connection
    assert c is not None and state_of(c) == State.LAST_ACK
    shown(world)
    closing.abort(c, 0, world.now)
    assert state_of(c) == State.CLOSED and shown(world) == []


def test_an_abandoned_connection_ends_without_time_wait() -> None:
    world, side = plain_world()
    side.close()
    send(side, 1, 2, ACK)
    assert side.state == State.FIN_WAIT_2
    world.run(61 * SECOND)
    c = side.connection
    assert c is not None and c.state == State.CLOSED and not c.rests_in_time_wait


def test_linger2_below_zero_does_not_wait_at_all() -> None:
    world, side = plain_world()
    c = side.connection
    assert c is not None
    c.timers.fin_wait_ns = 0
    side.close()
    shown(world)
    send(side, 1, 2, ACK)
    assert c.state == State.CLOSED and shown(world) == ["R 0"]


def test_options_survive_in_the_timestamp_of_a_cookie() -> None:
    for scale, sack in ((0, False), (7, True), (14, False), (NO_SCALE, True), (NO_SCALE, False)):
        for timestamp in range(1000, 1130):
            held = CookieOptions(scale, sack).put_into(timestamp)
            assert timestamp - 64 < held <= timestamp
            again = taken_from(held)
            assert (again.scale, again.sack) == (scale, sack)


def test_a_connection_from_a_cookie_has_the_options() -> None:
    world = World()
    side = world.b
    world.b.link.down = True
    c = side.make()
    segment = Segment()
    segment.forget_syn_options()
    segment.flags = ACK
    segment.sequence = 1001
    segment.acknowledgment = 5001
    segment.window = 100
    segment.has_timestamp = True
    segment.timestamp = 77
    segment.timestamp_echo = (CookieOptions(3, True).put_into(123_456) + c.agreed.timestamp_offset) & 0xFFFF_FFFF
    opening.accept_cookie(c, segment, 1460, world.now)
    assert input.process(c, segment, Packet(0), world.now)
    assert c.state == State.ESTABLISHED and c.agreed.sack and c.agreed.timestamps and c.agreed.scaling
    assert c.sender.wnd == 800 and c.agreed.timestamp_recent == 77 and c.agreed.receive_scale == 7


def test_the_tail_is_probed_whenever_its_last_segment_was_written() -> None:
    world = World()
    world.open()
    a = world.a.connection
    assert a is not None
    world.a.link.down = True
    for _ in range(3):
        world.a.write(bytes(1448), 1448)  # one after the other, as a program's writes become segments
    assert timeout_of(a) == Timeout.TAIL_LOSS
    world.trace.clear()
    world.run(60 * MS)
    assert shown(world) == [". 1448"] or a.losses.tail_probe_end == a.sender.nxt
    assert timeout_of(a) == Timeout.RETRANSMIT
    world.a.link.down = False
    world.run(SECOND)
    assert a.sender.una == a.sender.nxt and a.losses.tail_probe_end == 0


def test_a_smaller_path_sends_the_flight_again() -> None:
    world, side = plain_world()
    side.write(bytes(2000))
    shown(world)
    c = side.connection
    assert c is not None
    c.sizes.path_mtu = 640
    c.fix_segment_size()
    window = c.congestion.window
    output.send_flight_again(c, world.now)
    assert [line.split()[1] for line in shown(world)] == ["600", "600", "600", "200"]
    assert c.congestion.window == window


def test_giving_up_tells_nobody() -> None:
    world, side = plain_world()
    c = side.connection
    assert c is not None
    c.timers.user_timeout_ns = 500 * MS
    side.write(b"hello")
    world.run(3 * SECOND)
    assert side.state == State.CLOSED and c.error == ETIMEDOUT
    assert all(line.startswith("P.") for line in shown(world))


def test_the_segment_size_that_nobody_told() -> None:
    segment = Segment()
    segment.forget_syn_options()
    assert opening.segment_size_of(segment, bytes(4)) == 536
    assert opening.segment_size_of(segment, bytes(16)) == 1220
    segment.mss = 700
    assert opening.segment_size_of(segment, bytes(16)) == 700


def test_answers_in_time_wait_are_limited() -> None:
    _, side = plain_world()
    c = side.connection
    assert c is not None
    wait = TimeWait(c, 2, 0)
    segment = Segment()
    segment.flags = ACK
    segment.sequence = c.receiver.nxt + 100
    assert wait.judge(segment, 0, 1) == Verdict.ACKNOWLEDGE
    assert wait.judge(segment, 0, 2) == Verdict.DROP
    assert wait.judge(segment, 5, 3) == Verdict.ACKNOWLEDGE
    assert wait.judge(segment, 0, 1 + ANSWER_PAUSE_NS) == Verdict.ACKNOWLEDGE


def test_a_wrong_acknowledgment_of_a_syn_makes_it_come_again_soon() -> None:
    world = World()
    world.a.link.down = True
    c = world.a.connect()
    shown(world)
    c.receiver.initial = c.receiver.nxt
    send(world.a, 1, 5, SYN | ACK)
    assert shown(world) == ["R 0"]
    world.run(10 * MS)
    assert shown(world) == ["S 0"]
