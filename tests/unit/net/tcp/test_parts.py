"""The parts of which connections are made, each for itself."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.lang import span_of
from kernel.net.link.packet import Packet, StoragePool
from kernel.net.tcp import secrets
from kernel.net.tcp.cubic import INITIAL_SEGMENTS, Congestion, cube_root
from kernel.net.tcp.receive_queue import ReceiveQueue
from kernel.net.tcp.round_trip import RoundTrip
from kernel.net.tcp.scoreboard import Scoreboard
from kernel.net.tcp.send_queue import SendQueue
from kernel.net.tcp.sequence import extend

MS = 1_000_000


@given(st.integers(1 << 32, 1 << 60), st.integers(-(1 << 31), (1 << 31) - 1))
def test_extend_finds_the_nearest(near: int, distance: int) -> None:
    assert extend((near + distance) & 0xFFFFFFFF, near) == near + distance


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=60), st.integers(0, 300))
def test_scoreboard_against_a_set(ranges: list[tuple[int, int]], acknowledged: int) -> None:
    board = Scoreboard()
    model: set[int] = set()
    for start, length in ranges:
        news = board.add(start, start + length)
        added = set(range(start, start + length))
        assert news == (not added <= model)
        model |= added
    board.acknowledged(acknowledged)
    model = {n for n in model if n >= acknowledged}
    assert board.bytes == len(model)
    assert {n for i in range(len(board.left)) for n in range(board.left[i], board.right[i])} == model
    assert all(board.right[i] < board.left[i + 1] for i in range(len(board.left) - 1))
    low, high = acknowledged, acknowledged + 100
    assert board.missing(low, high) == sum(n not in model for n in range(low, high))
    first = board.next_missing(low)
    assert first not in model and all(n in model for n in range(low, first))


@settings(max_examples=60)
@given(st.integers(0, 1 << 30))
def test_pieces_in_any_order_become_the_stream(seed: int) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(3000)
    queue = ReceiveQueue(1000)
    pieces = []
    at = 0
    while at < len(data):
        length = min(chance.choice([1, 10, 100, 700]), len(data) - at)
        pieces.append((max(0, at - chance.choice([0, 0, 5])), at + length))
        at += length
    pieces += chance.choices(pieces, k=10)
    chance.shuffle(pieces)
    for start, end in [*pieces, *sorted(pieces)]:
        packet = Packet(end - start)
        packet.put(end - start).copy_from(span_of(data[start:end]))
        position = 1000 + start
        if position + len(packet) <= queue.next_sequence:
            continue
        if position <= queue.next_sequence:
            packet.pull(queue.next_sequence - position)
            queue.add(packet)
        else:
            queue.add_early(position, packet)
        assert queue.early_bytes == sum(piece.end - piece.start for piece in queue.pieces)
        assert all(queue.pieces[i].end <= queue.pieces[i + 1].start for i in range(len(queue.pieces) - 1))
    assert queue.bytes == len(data) and not queue.pieces
    assert bytes(queue.byte_at(i) for i in range(len(data))) == data
    queue.consume(len(data))
    assert queue.memory == 0 and queue.head is None


def test_storages_go_back_once_they_are_read() -> None:
    pool = StoragePool(1)
    queue = ReceiveQueue(1000)
    for byte in (1, 2):
        packet = Packet(1000)
        packet.pool = pool
        packet.put(1000).fill(byte)
        queue.add(packet)
    head = queue.head
    assert head is not None
    storage = head.storage
    queue.consume(999)
    assert pool.take() is None
    queue.consume(1)
    assert pool.take() is storage and queue.byte_at(0) == 2
    queue.consume(1000)
    assert queue.head is None and queue.memory == 0


def test_a_chunk_goes_once_without_a_copy() -> None:
    queue = SendQueue(500)
    chunk = queue.append_chunk(100)
    queue.room(chunk, 100).fill(7)
    queue.filled(chunk, 100)
    first = queue.packet(500, 100)
    assert first.storage is chunk.storage
    again = queue.packet(500, 100)
    assert again.storage is not chunk.storage and again.span().to_bytes() == bytes([7] * 100)
    queue.drop_before(550)
    assert queue.packet(550, 20).span().to_bytes() == bytes([7] * 20)
    queue.drop_before(600)
    assert queue.head is None and queue.memory == 0


def test_round_trip() -> None:
    trip = RoundTrip()
    assert trip.backed_off_ns() == 1000 * MS
    trip.measured(100 * MS)
    assert trip.timeout_ns == 300 * MS
    for _ in range(50):
        trip.measured(10 * MS)
    assert trip.smoothed_ns < 11 * MS and trip.least_ns == 10 * MS
    trip.backoff = 3
    assert trip.backed_off_ns() == 8 * trip.timeout_ns
    trip.backoff = 30
    assert trip.backed_off_ns() == 120_000 * MS


@given(st.integers(0, (1 << 62) - 1))
def test_cube_root(value: int) -> None:
    root = cube_root(value)
    assert root == 1 << 20 or root**3 <= value < (root + 1) ** 3


def test_cubic_comes_back_to_where_it_lost() -> None:
    congestion = Congestion(1000, True)
    assert congestion.window == INITIAL_SEGMENTS * 1000
    congestion.window = 100_000
    congestion.lost(100_000)
    assert congestion.threshold == 70_000
    congestion.window = congestion.threshold
    now = 1
    for _ in range(20):
        # K = cbrt(100 * 0.3 / 0.4) s = 4.2 s: the plateau.
        now += 210 * MS
        congestion.acknowledged(congestion.window, now, 210 * MS)
    assert 95_000 <= congestion.window <= 110_000


def test_cookies() -> None:
    ends = (17, b"\x0a\x00\x00\x01", 80, b"\x0a\x00\x00\x02", 4000)
    now = 10_000 * 1000 * MS
    cookie = secrets.make_cookie(*ends, 12345, 1400, now)
    assert secrets.check_cookie(*ends, 12345, cookie, now) == 1300
    assert secrets.check_cookie(*ends, 12345, cookie, now + 60_000 * MS) == 1300
    assert secrets.check_cookie(*ends, 12345, cookie, now + 200_000 * MS) == 0
    assert secrets.check_cookie(*ends, 13000, cookie, now) == 0
    assert secrets.check_cookie(*ends, 12345, cookie ^ 0x40000, now) == 0
    assert secrets.make_cookie(*ends, 12345, 1460, now) != cookie


def test_the_secrets_of_a_network_say_nothing_of_another() -> None:
    one = (0xF000_0000, b"\x0a\x00\x00\x01", 80, b"\x0a\x00\x00\x02", 4000)
    other = (0xF000_0001, *one[1:])
    now = 10_000 * 1000 * MS
    assert secrets.initial_sequence(*one, now) == secrets.initial_sequence(*one, now)
    assert secrets.initial_sequence(*one, now) != secrets.initial_sequence(*other, now)
    offset = secrets.timestamp_offset(one[0], one[1], one[3])
    assert secrets.timestamp_offset(other[0], one[1], one[3]) != offset
    assert secrets.timestamp_offset(one[0], one[1], one[3]) == offset
    cookie = secrets.make_cookie(*one, 12345, 1400, now)
    assert secrets.check_cookie(*one, 12345, cookie, now) == 1300
    assert secrets.check_cookie(*other, 12345, cookie, now) == 0
