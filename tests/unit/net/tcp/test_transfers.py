"""Everything that is written arrives, in order and once, whatever the wire does."""

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.net.link.network import FIRST_NETWORK
from kernel.net.tcp.connection import Connection, State
from kernel.net.tcp.header import Segment
from kernel.net.tcp.parts import Recovery
from kernel.net.tcp.tcp_settings import SETTINGS
from tests.unit.net.tcp.simulation import MS, SECOND, World

DATA = random.Random(1).randbytes(400_000)


@pytest.fixture(autouse=True)
def restore_settings() -> Iterator[None]:
    yield
    SETTINGS.sack.set(FIRST_NETWORK, 1)
    SETTINGS.timestamps.set(FIRST_NETWORK, 1)
    SETTINGS.window_scaling.set(FIRST_NETWORK, 1)


def test_clean_wire() -> None:
    world = World()
    world.open()
    start = world.now
    assert world.transfer(DATA) == DATA
    assert world.now - start < SECOND
    c = world.a.connection
    assert c is not None and c.counters.retransmitted == 0


def test_large_segments() -> None:
    world = World(mtu=65536, packet_limit=65000)
    world.a.link.delay = world.b.link.delay = 10_000
    world.open()
    assert world.transfer(DATA) == DATA
    assert len(world.trace) < 60


def test_offloaded_segments() -> None:
    world = World(packet_limit=65000)
    world.a.link.cuts = False
    world.open()
    assert world.transfer(DATA) == DATA
    world = World(packet_limit=65000)
    world.open()
    assert world.transfer(DATA) == DATA


def lose_nth(numbers: list[int]) -> Callable[[Segment, int], bool]:
    count = 0

    def drop(segment: Segment, payload: int) -> bool:
        nonlocal count
        if payload == 0:
            return False
        count += 1
        return count in numbers

    return drop


@pytest.mark.parametrize("sack", [True, False])
def test_one_loss_is_repaired_without_a_timeout(sack: bool) -> None:
    SETTINGS.sack.set(FIRST_NETWORK, int(sack))
    world = World()
    world.open()
    world.a.link.drop = lose_nth([30])
    start = world.now
    assert world.transfer(DATA) == DATA
    c = world.a.connection
    assert c is not None
    assert c.counters.retransmitted == 1
    assert c.congestion.threshold < 1 << 30
    assert world.now - start < SECOND


@pytest.mark.parametrize("sack", [True, False])
def test_several_losses_in_a_window(sack: bool) -> None:
    SETTINGS.sack.set(FIRST_NETWORK, int(sack))
    world = World()
    world.open()
    world.a.link.drop = lose_nth([40, 42, 44, 50])
    assert world.transfer(DATA) == DATA
    c = world.a.connection
    assert c is not None
    assert c.counters.retransmitted == 4
    assert c.losses.recovery == Recovery.OPEN


def test_lost_tail_is_probed_for_before_the_timeout() -> None:
    world = World()
    world.open()
    world.a.link.drop = lose_nth([4, 5])
    start = world.now
    world.a.write(DATA[: 5 * 1448])
    b = world.b.connection
    assert b is not None
    assert world.run(until=lambda: b.receive.bytes == 5 * 1448)
    assert world.now - start < 150 * MS


def test_all_is_lost_for_a_while() -> None:
    world = World()
    world.open()
    world.a.write(DATA[:50_000])
    world.run(15 * MS)
    world.a.link.down = True
    world.run(3 * SECOND)
    world.a.link.down = False
    assert world.transfer(DATA[50_000:]) == DATA


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    loss=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
    back_loss=st.sampled_from([0.0, 0.1, 0.3]),
    duplicate=st.sampled_from([0.0, 0.2]),
    jitter=st.sampled_from([0, MS, 50 * MS]),
    sack=st.booleans(),
    timestamps=st.booleans(),
    scaling=st.booleans(),
    buffer=st.sampled_from([0, 4096, 20_000]),
    read_size=st.sampled_from([1 << 30, 1000]),
    large=st.booleans(),
    size=st.integers(0, 60_000),
)
def test_bad_wires(
    seed: int,
    loss: float,
    back_loss: float,
    duplicate: float,
    jitter: int,
    sack: bool,
    timestamps: bool,
    scaling: bool,
    buffer: int,
    read_size: int,
    large: bool,
    size: int,
) -> None:
    SETTINGS.sack.set(FIRST_NETWORK, int(sack))
    SETTINGS.timestamps.set(FIRST_NETWORK, int(timestamps))
    SETTINGS.window_scaling.set(FIRST_NETWORK, int(scaling))
    world = World(seed, packet_limit=20_000 if large else 0)
    if buffer:

        def configure(c: Connection) -> None:
            c.receiver.buffer = buffer
            c.receiver.buffer_fixed = True

        world.b.configure = configure
    world.open()
    for side, part in ((world.a, loss), (world.b, back_loss)):
        side.link.loss = part
        side.link.duplicate = duplicate
        side.link.jitter = jitter
    assert world.transfer(DATA[:size], 20_000 * SECOND, read_size) == DATA[:size]
    world.b.close()
    world.a.close()
    world.run(2000 * SECOND)
    assert (world.a.state, world.b.state) == (State.CLOSED, State.CLOSED)
    for side in (world.a, world.b):
        c = side.connection
        assert c is not None
        assert c.queue.memory == 0 and c.queue.head is None
        assert c.receive.memory == 0 and c.receive.head is None and not c.receive.pieces


def test_zero_window_is_probed_and_opens() -> None:
    world = World()

    def configure(c: Connection) -> None:
        c.receiver.buffer = 8192
        c.receiver.buffer_fixed = True

    world.b.configure = configure
    world.open()
    world.a.write(DATA[:15_000])
    world.run(60 * SECOND)
    b = world.b.connection
    assert b is not None and b.receive.bytes == 4096
    assert world.a.connection is not None and world.a.connection.sender.wnd == 0
    # The window's opening is lost: only a probe can tell.
    world.b.link.down = True
    got = world.b.read()
    world.run(10 * MS)
    world.b.link.down = False
    assert got + world.transfer(b"") == DATA[:15_000]


def test_a_window_that_stays_closed_is_probed_less_and_less() -> None:
    world = World()

    def configure(c: Connection) -> None:
        c.receiver.buffer = 8192
        c.receiver.buffer_fixed = True

    world.b.configure = configure
    world.open()
    a = world.a.connection
    assert a is not None
    world.a.write(DATA[:15_000])
    world.run(2 * SECOND)
    del world.trace[:]
    world.run(100 * SECOND)
    answers = [line for line in world.trace if " b " in line]
    assert 4 <= len(answers) <= 9  # after 3, 6, 12 … s; each is answered
    assert a.timers.probes == 0 and a.round_trip.backoff >= 8
    world.b.read()
    world.run(SECOND)
    assert a.round_trip.backoff <= 3  # it opened, and is full again


def test_nagle_and_delayed_acknowledgments() -> None:
    world = World()
    world.open()
    b = world.b.connection
    assert b is not None
    b.receiver.quick_acks = 0
    for _ in range(10):
        world.a.write(b"x")
    world.run(SECOND)
    sent = [line for line in world.trace if " a " in line and "+0" not in line]
    assert [line.split()[3].split("+")[1] for line in sent] == ["1", "9"]
    assert world.b.read() == b"x" * 10


def test_no_delay() -> None:
    world = World()
    world.open()
    assert world.a.connection is not None
    world.a.connection.sender.no_delay = True
    for _ in range(10):
        world.a.write(b"x")
    sent = [line for line in world.trace if " a " in line and "+1 " in line]
    assert len(sent) == 10


def test_cork_waits_for_full_segments_or_200_ms() -> None:
    world = World()
    world.open()
    a = world.a.connection
    assert a is not None
    a.sender.is_corked = True
    world.a.write(b"x" * 2000)
    world.run(100 * MS)
    assert len(world.b.read()) == 1448
    world.run(250 * MS)
    assert len(world.b.read()) == 552


def test_receive_window_grows_with_a_fast_reader() -> None:
    world = World()
    world.a.link.delay = world.b.link.delay = 50 * MS
    world.open()
    data = DATA * 8
    assert world.transfer(data) == data
    b = world.b.connection
    assert b is not None and b.receiver.buffer > 1 << 20
