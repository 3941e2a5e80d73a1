"""SO_MAX_PACING_RATE: nothing is sent faster than the limit, all arrives, and a pause is not taken for a loss."""

import random

import pytest

from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.option_names import NO_RATE
from kernel.net.tcp import pacing, timers
from kernel.net.tcp.connection import FOREVER, Connection, State
from kernel.net.tcp.parts import Pacing, Timeout
from kernel.net.tcp.tcp_options import TcpOptions
from tests.unit.net.tcp.simulation import MS, SECOND, World

DATA = random.Random(2).randbytes(200_000)
FREE_BYTES = 12 * 1460  # sent before pacing begins


def limit_to(rate: int) -> World:
    """Two machines, of which the first sends no faster than `rate` bytes a second."""
    world = World()

    def configure(c: Connection) -> None:
        c.pacing = Pacing(rate)

    world.a.configure = configure
    world.open()
    return world


@pytest.mark.parametrize("rate", [20_000, 100_000, 1_000_000])
def test_a_transfer_takes_as_long_as_its_rate_says(rate: int) -> None:
    world = limit_to(rate)
    start = world.now
    assert world.transfer(DATA) == DATA
    took = world.now - start
    least = (len(DATA) - FREE_BYTES) * SECOND // rate
    assert least <= took <= least * 5 // 4 + SECOND
    c = world.a.connection
    assert c is not None and c.counters.retransmitted == 0


def test_no_second_has_more_than_the_rate_allows() -> None:
    world = limit_to(50_000)
    sent: list[tuple[int, int]] = []
    c = world.a.connection
    assert c is not None
    before = 0
    for _ in range(2000):
        world.a.write(DATA[: 1 << 16])
        world.step(world.now + SECOND)
        world.b.read()
        if c.counters.bytes_sent > before:
            sent.append((world.now, c.counters.bytes_sent - before))
            before = c.counters.bytes_sent
    began = next(at for at, (_, _) in enumerate(sent) if sum(length for _, length in sent[: at + 1]) > FREE_BYTES)
    paced = sent[began + 1 :]
    assert len(paced) > 20
    for at, (when, _) in enumerate(paced):
        inside = sum(length for other, length in paced[at:] if other < when + SECOND)
        assert inside <= 50_000 + 2 * 2 * 1460


def test_a_pause_is_no_closed_window() -> None:
    """While nothing is in flight and the next segment waits for its time, no probe is sent, and nobody gives up."""
    world = limit_to(1000)
    c = world.a.connection
    assert c is not None
    world.a.write(DATA[:30_000])
    world.run(5 * SECOND)
    assert c.sender.nxt == c.sender.una < c.send_end()
    assert c.timers.timeout == Timeout.NONE and c.timers.probes == 0
    assert world.now < c.timers.resume_ns < FOREVER
    world.run(60 * SECOND, lambda: len(world.b.read()) > 0 and c.sender.nxt == c.send_end())
    assert c.state == State.ESTABLISHED and c.counters.retransmitted == 0


def test_a_window_that_opens_while_the_pace_holds_data_back() -> None:
    """The probe of the closed window is due before the next segment is: the timer of the pace sends it."""
    world = limit_to(1000)
    c = world.a.connection
    assert c is not None
    world.a.write(DATA[:100_000])
    world.run(30 * SECOND)  # b reads nothing, but its window is larger than what came
    c.timers.timeout = Timeout.PROBE
    c.timers.timeout_ns = world.now
    timers.expire(c, world.now)
    assert c.timers.probes == 0 and world.now < c.timers.resume_ns < FOREVER


def test_lost_segments_wait_too() -> None:
    world = limit_to(100_000)
    world.a.link.loss = 0.05
    start = world.now
    assert world.transfer(DATA) == DATA
    assert world.now - start >= (len(DATA) - FREE_BYTES) * SECOND // 100_000


@pytest.mark.parametrize("rate", [-1, -(1 << 62), 0])
def test_no_limit_that_matters(rate: int) -> None:
    """The largest numbers, which are negative here, and 0: the stream goes as fast as its window allows."""
    world = limit_to(rate)
    start = world.now
    assert world.transfer(DATA) == DATA
    assert world.now - start < 3 * SECOND


def test_the_rate_that_is_told() -> None:
    world = limit_to(-1)
    c = world.a.connection
    assert c is not None and c.pacing is not None and c.round_trip.smoothed_ns > 0
    window, smoothed_ns = c.congestion.window, c.round_trip.smoothed_ns
    assert pacing.rate(c) == window * 2 * SECOND // smoothed_ns
    c.congestion.threshold = window
    assert pacing.rate(c) == window * 120 // 100 * SECOND // smoothed_ns
    c.pacing.most_rate = 5000
    assert pacing.rate(c) == 5000
    c.round_trip.smoothed_ns = 0
    assert pacing.rate(c) == 5000
    c.pacing.most_rate = -1
    assert pacing.rate(c) == -1


def test_packets_are_small_at_low_rates() -> None:
    world = limit_to(100_000)
    c = world.a.connection
    assert c is not None and c.pacing is not None
    mss = c.sizes.mss
    assert pacing.largest_packet(c, 40 * mss) == 2 * mss
    c.pacing.most_rate = 10 * mss << 10
    c.round_trip.smoothed_ns = MS
    assert pacing.largest_packet(c, 40 * mss) == 10 * mss
    assert pacing.largest_packet(c, 4 * mss) == 4 * mss
    c.pacing = None
    assert pacing.largest_packet(c, 40 * mss) == 40 * mss


def test_a_pace_that_takes_longer_than_any_clock_runs() -> None:
    """A segment at a byte a second takes an hour; what is sent all the same must not count beyond all numbers."""
    world = limit_to(1)
    c = world.a.connection
    assert c is not None and c.pacing is not None
    c.counters.data_segments_out = 100
    for start in (0, FOREVER - 2, FOREVER - 1):
        c.pacing.next_ns = start
        pacing.sent(c, 65_000, world.now)
        assert start <= c.pacing.next_ns < FOREVER


def is_paced(options: TcpOptions) -> bool:
    return options.pacing is not None


def test_a_limit_is_of_one_connection() -> None:
    """An accepted connection has its own; what one connection waited for, the socket's next one does not."""
    options = TcpOptions(InternetOptions(FIRST_NETWORK))
    assert options.most_rate() == NO_RATE and not is_paced(options.copy())
    options.limit_rate(NO_RATE)
    assert not is_paced(options)
    options.limit_rate(1000)
    other = options.copy()
    assert is_paced(other) and other.most_rate() == 1000
    options.limit_rate(NO_RATE)
    assert is_paced(options) and options.most_rate() == NO_RATE and other.most_rate() == 1000
    first, second = limit_to(5).a.connection, limit_to(5).a.connection
    assert first is not None and second is not None
    options.apply(first)
    assert first.pacing is not None
    first.pacing.next_ns = 5 * SECOND
    options.apply(first)
    assert first.pacing.next_ns == 5 * SECOND
    options.apply(second)
    assert second.pacing is first.pacing and second.pacing.next_ns == 0
