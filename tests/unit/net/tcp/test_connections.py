"""Connections from the first SYN to the last state."""

import pytest

from kernel.lang import ECONNREFUSED, ECONNRESET, ETIMEDOUT
from kernel.net.tcp import closing, opening
from kernel.net.tcp.connection import State
from tests.unit.net.tcp.simulation import MS, SECOND, World


def test_handshake_negotiates_options() -> None:
    world = World()
    world.open()
    for side in (world.a, world.b):
        c = side.connection
        assert c is not None
        assert c.agreed.sack and c.agreed.timestamps and c.agreed.scaling and c.agreed.send_scale == 7
        assert c.sizes.mss == 1448
        assert c.round_trip.smoothed_ns == 20 * MS


def test_close_in_order() -> None:
    world = World()
    world.open()
    world.a.close()
    assert world.a.state == State.FIN_WAIT_1
    world.run(100 * MS)
    assert (world.a.state, world.b.state) == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    world.b.close()
    assert world.b.state == State.LAST_ACK
    world.run(100 * MS)
    assert (world.a.state, world.b.state) == (State.CLOSED, State.CLOSED)
    a, b = world.a.connection, world.b.connection
    assert a is not None and b is not None
    assert a.rests_in_time_wait and not b.rests_in_time_wait
    assert a.error == 0 and b.error == 0


def test_half_close() -> None:
    world = World()
    world.open()
    world.a.shut()
    world.run(100 * MS)
    world.b.write(b"late news")
    world.run(100 * MS)
    assert world.a.read() == b"late news"
    world.b.close()
    world.run(100 * MS)
    assert (world.a.state, world.b.state) == (State.CLOSED, State.CLOSED)


def test_simultaneous_open() -> None:
    world = World()
    world.a.connect()
    world.b.connect()
    world.run(5 * SECOND)
    assert (world.a.state, world.b.state) == (State.ESTABLISHED, State.ESTABLISHED)
    assert world.transfer(b"hello" * 1000) == b"hello" * 1000


def test_simultaneous_close() -> None:
    world = World()
    world.open()
    world.a.shut()
    world.b.shut()
    world.run(15 * MS)
    assert (world.a.state, world.b.state) == (State.CLOSING, State.CLOSING)
    world.run(100 * MS)
    for side in (world.a, world.b):
        assert side.state == State.CLOSED
        assert side.connection is not None and side.connection.rests_in_time_wait


def test_refused() -> None:
    world = World()
    c = world.a.connect()
    world.run(SECOND)
    assert c.state == State.CLOSED and c.error == ECONNREFUSED


def test_connecting_to_nobody_times_out() -> None:
    world = World()
    world.a.link.down = True
    c = world.a.connect()
    start = world.now
    world.run(200 * SECOND, lambda: c.state == State.CLOSED)
    assert c.error == ETIMEDOUT
    assert world.now - start == 127 * SECOND
    assert len(world.trace) == 7


def test_lost_syn_and_lost_answer() -> None:
    world = World()
    world.b.listens = True
    world.a.link.down = True
    world.a.connect()
    world.run(500 * MS)
    world.a.link.down = False
    world.b.link.down = True
    world.run(SECOND)
    world.b.link.down = False
    world.run(10 * SECOND)
    assert (world.a.state, world.b.state) == (State.ESTABLISHED, State.ESTABLISHED)


def test_unread_data_at_close_resets() -> None:
    world = World()
    world.open()
    world.b.write(b"nobody reads this")
    world.run(100 * MS)
    world.a.close()
    assert world.a.state == State.CLOSED
    world.run(100 * MS)
    b = world.b.connection
    assert b is not None and b.state == State.CLOSED and b.error == ECONNRESET


def test_data_for_a_closed_program_resets() -> None:
    world = World()
    world.open()
    world.a.close()
    world.run(100 * MS)
    world.b.write(b"too late")
    world.run(100 * MS)
    b = world.b.connection
    assert b is not None and b.state == State.CLOSED
    assert world.a.state == State.CLOSED


def test_abort() -> None:
    world = World()
    world.open()
    assert world.a.connection is not None
    closing.abort(world.a.connection, 0, world.now)
    world.run(100 * MS)
    b = world.b.connection
    assert b is not None and b.state == State.CLOSED and b.error == ECONNRESET


@pytest.mark.parametrize("known", [True, False])
def test_peer_vanishes_while_data_is_on_its_way(known: bool) -> None:
    world = World()
    world.open()
    c = world.a.connection
    assert c is not None
    if known:
        c.timers.user_timeout_ns = 10 * SECOND
    world.a.link.down = True
    world.a.write(b"anyone?")
    start = world.now
    world.run(3000 * SECOND, lambda: c.state == State.CLOSED)
    assert c.error == ETIMEDOUT
    elapsed = (world.now - start) // SECOND
    assert 10 <= elapsed <= 30 if known else 800 <= elapsed <= 1000


def test_keepalive() -> None:
    world = World()
    world.open()
    c = world.a.connection
    assert c is not None
    c.timers.keeps_alive = True
    c.timers.keepalive_idle_ns = 10 * SECOND
    c.timers.keepalive_interval_ns = SECOND
    c.timers.keepalive_probes = 3
    opening.start_keepalive(c, world.now)
    world.run(100 * SECOND)
    assert c.state == State.ESTABLISHED
    world.b.link.down = True
    start = world.now
    world.run(100 * SECOND, lambda: c.state == State.CLOSED)
    assert c.error == ETIMEDOUT
    assert world.now - start <= 14 * SECOND


def test_orphan_in_fin_wait_2_ends() -> None:
    world = World()
    world.open()
    world.a.close()
    world.run(30 * SECOND)
    c = world.a.connection
    assert c is not None and c.state == State.FIN_WAIT_2
    world.run(31 * SECOND)
    assert world.a.state == State.CLOSED
