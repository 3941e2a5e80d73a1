"""The ring that samples lie in, on a booted machine."""

from kernel.lang import span_of
from kernel.mm.frames import Frame, frame_span, free_frame_count
from kernel.perf.ring import Ring
from tests.unit.booted import booted
from tools.simulated.machine import Machine

PAGE = 4096
HEAD = 1024
TAIL = 1032


def record(size: int, byte: int) -> bytearray:
    return bytearray([byte]) * size


def word(ring: Ring, at: int) -> int:
    return int.from_bytes(frame_span(Frame(ring.frames[0]))[at : at + 8].to_bytes(), "little", signed=True)


def set_tail(ring: Ring, value: int) -> None:
    page = frame_span(Frame(ring.frames[0]))
    page.store_u32(TAIL, value & 0xFFFF_FFFF)
    page.store_u32(TAIL + 4, value >> 32 & 0xFFFF_FFFF)


def filled(page_count: int, watermark: int, is_backward: bool) -> Ring:
    ring = Ring(page_count, watermark, is_backward)
    ring.fill()
    return ring


def data(ring: Ring) -> bytes:
    return b"".join(frame_span(Frame(frame)).to_bytes() for frame in ring.frames[1:])


@booted
def test_what_is_written_wraps_round(machine: Machine) -> None:
    before = free_frame_count()
    ring = filled(2, 0, is_backward=False)
    for number in range(20):
        set_tail(ring, ring.head)
        assert ring.has_room(1000)
        ring.write(span_of(record(1000, number + 1)))
    ring.publish()
    assert word(ring, HEAD) == 20_000
    written = data(ring)
    assert written[19_000 % (2 * PAGE) : 20_000 % (2 * PAGE)] == bytes([20]) * 1000
    ring.free()
    assert free_frame_count() == before


@booted
def test_it_fills_up(machine: Machine) -> None:
    ring = filled(1, 0, is_backward=False)
    count = 0
    while ring.has_room(64):
        ring.write(span_of(record(64, 1)))
        count += 1
    assert count == PAGE // 64 - 1
    set_tail(ring, 64)
    assert ring.has_room(64)
    for nonsense in (-1, 1 << 62, -(1 << 63), 12345):
        set_tail(ring, nonsense)
        ring.has_room(64)  # whatever it says, it stays in the ring
    assert not ring.has_room(PAGE + 8)
    ring.overwrites = True
    assert ring.has_room(64)
    ring.free()


@booted
def test_it_wakes_at_its_mark(machine: Machine) -> None:
    ring = filled(1, 256, is_backward=False)
    woken = []
    for _ in range(12):
        ring.write(span_of(record(64, 1)))
        woken.append(ring.publish())
    assert [i for i, is_woken in enumerate(woken) if is_woken] == [4, 8]
    assert [ring.counts_sample(3) for _ in range(6)] == [False, False, True] * 2
    ring.free()


@booted
def test_it_may_run_backwards(machine: Machine) -> None:
    ring = filled(1, 0, is_backward=True)
    ring.write(span_of(record(64, 1)))
    ring.write(span_of(record(32, 2)))
    ring.publish()
    assert word(ring, HEAD) == -96
    assert data(ring)[PAGE - 96 :] == bytes([2]) * 32 + bytes([1]) * 64
    ring.free()
