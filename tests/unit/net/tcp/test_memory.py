"""All connections together: memory has a limit and connections go on beyond it; so have orphans and TIME_WAIT."""

from collections.abc import Iterator

import pytest

from kernel.lib.order import Walk
from kernel.net.internet.output import NextHop
from kernel.net.internet.routes import LOCAL
from kernel.net.link.network import FIRST_NETWORK, LOOPBACK
from kernel.net.sockets.inet import Binding
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.socket import AF_INET
from kernel.net.tcp import memory
from kernel.net.tcp.channel import NOWHERE, Channel, PortHold
from kernel.net.tcp.connection import Connection, State
from kernel.net.tcp.memory import LEAST_BYTES, MEMORY
from kernel.net.tcp.table import TABLE
from kernel.net.tcp.tcp_options import TcpOptions
from kernel.net.tcp.tcp_settings import SETTINGS
from kernel.net.tcp.time_wait import TIME_WAIT_NS
from kernel.sched import WaitQueue
from tests.unit.net.tcp.simulation import MS, SECOND, World


@pytest.fixture(autouse=True)
def nothing_used() -> Iterator[None]:
    marks = MEMORY.marks.values[:]
    orphans = MEMORY.most_orphans.value
    MEMORY.used = 0
    MEMORY.orphans = 0
    MEMORY.is_under_pressure = False
    yield
    MEMORY.marks.values[:] = marks
    MEMORY.most_orphans.values[0] = orphans
    MEMORY.used = 0
    MEMORY.orphans = 0
    MEMORY.is_under_pressure = False


def others_use(pages: int) -> None:
    MEMORY.charge((pages << memory.PAGE_SHIFT) - MEMORY.used)


def connection(side: object) -> Connection:
    found = getattr(side, "connection")  # noqa: B009  (a Side; mypy would narrow it for good)
    assert isinstance(found, Connection)
    return found


def is_under_pressure() -> bool:
    return MEMORY.is_under_pressure


def test_marks_are_derived_from_memory() -> None:
    MEMORY.configure((256 << 20) >> memory.PAGE_SHIFT)
    assert MEMORY.marks.values == [3072, 4096, 6144]
    assert MEMORY.most_orphans.value == 4096
    assert SETTINGS.max_time_wait.of(FIRST_NETWORK) == 1024


def test_pressure_begins_above_its_mark_and_ends_at_the_low_one() -> None:
    MEMORY.marks.values[:] = [10, 20, 30]
    others_use(20)
    assert not is_under_pressure()
    others_use(21)
    assert is_under_pressure() and not MEMORY.is_exhausted()
    others_use(11)
    assert is_under_pressure()
    others_use(10)
    assert not is_under_pressure()
    others_use(31)
    assert MEMORY.is_exhausted()


def test_what_queues_hold_is_charged_and_given_back() -> None:
    world = World()
    world.open()
    a = connection(world.a)
    world.a.write(b"x" * 5000)
    memory.account(a)
    assert MEMORY.used == a.queue.memory > 5000
    world.run(200 * MS)
    memory.account(a)
    b = connection(world.b)
    memory.account(b)
    assert MEMORY.used == b.receive.memory > 5000
    world.b.read()
    memory.account(b)
    assert MEMORY.used == 0


def test_a_connection_goes_on_when_memory_is_used_up() -> None:
    MEMORY.marks.values[:] = [10, 20, 30]
    data = bytes(range(256)) * 100
    world = World(packet_limit=60_000)
    world.a.link.cuts = False  # large packets, as on loopback
    world.open()
    others_use(31)
    most = 0

    def receive() -> bytes:
        received = bytearray()
        world.a.write(data)
        world.a.shut()

        def look() -> bool:
            nonlocal most
            most = max(most, connection(world.b).receive.memory)
            received.extend(world.b.read())
            return connection(world.b).receiver.fin_received

        assert world.run(600 * SECOND, look)
        return bytes(received)

    assert receive() == data
    assert most <= 2 * LEAST_BYTES


def test_nobody_reads_and_memory_is_used_up() -> None:
    MEMORY.marks.values[:] = [10, 20, 30]
    world = World()
    world.open()
    others_use(31)
    world.a.write(b"y" * 60_000)
    world.run(20 * SECOND)
    assert connection(world.b).receive.memory <= 2 * LEAST_BYTES
    assert world.b.state == State.ESTABLISHED


def test_windows_grow_no_more_under_pressure() -> None:
    MEMORY.marks.values[:] = [10, 20, 1 << 20]
    world = World()
    world.open()
    others_use(21)
    before = connection(world.b).receiver.buffer, connection(world.a).sender.buffer
    assert world.transfer(b"z" * 2_000_000) == b"z" * 2_000_000
    assert (connection(world.b).receiver.buffer, connection(world.a).sender.buffer) == before


def test_the_limit_halves_a_send_buffer() -> None:
    world = World()
    world.open()
    a = connection(world.a)
    world.b.link.down = True
    world.a.write(b"x" * 12_000)
    before = a.queue.memory
    memory.moderate_send_buffer(a)
    assert a.sender.buffer == max(before >> 1, memory.LEAST_SEND_BUFFER)
    assert a.send_room() <= 0


def test_an_orphan_is_counted_until_it_ends() -> None:
    world = World()
    world.open()
    world.a.write(b"last words")
    world.a.close()
    assert MEMORY.orphans == 1
    world.run(100 * MS)
    world.b.close()
    world.run(1 * SECOND)
    assert world.a.state == State.CLOSED
    assert MEMORY.orphans == 0


def test_too_many_orphans_are_reset() -> None:
    MEMORY.most_orphans.values[0] = 0
    world = World()
    world.open()
    world.a.write(b"last words")
    world.a.close()
    assert world.a.state == State.CLOSED
    world.run(1 * SECOND)
    assert world.b.state == State.CLOSED
    assert MEMORY.orphans == 0


def test_orphans_end_when_memory_is_used_up() -> None:
    MEMORY.marks.values[:] = [10, 20, 30]
    world = World()
    world.open()
    world.b.link.down = True
    world.a.write(b"x" * 12_000)
    world.a.close()
    others_use(31)
    assert world.run(5 * SECOND, lambda: world.a.state == State.CLOSED)


def test_orphans_that_nobody_answers_leave_the_last_eighth_to_others() -> None:
    MEMORY.most_orphans.values[0] = 8
    world = World()
    world.open()
    world.b.link.down = True
    world.a.write(b"x" * 12_000)
    world.a.close()
    world.run(10 * SECOND)
    assert world.a.state != State.CLOSED
    MEMORY.orphans += 7
    assert MEMORY.is_scarce() and not MEMORY.is_exhausted()
    assert world.run(30 * SECOND, lambda: world.a.state == State.CLOSED)
    assert MEMORY.orphans == 7


def test_orphans_that_are_answered_go_on_where_room_is_scarce() -> None:
    MEMORY.most_orphans.values[0] = 8
    world = World()
    world.open()
    MEMORY.orphans += 7
    world.a.write(b"x" * 12_000)
    world.a.close()
    assert world.transfer(b"") == b"x" * 12_000
    assert world.run(SECOND, lambda: world.a.state == State.CLOSED)  # it does not wait for the peer's FIN
    assert MEMORY.orphans == 7


def closed_connection(port: int) -> tuple[Channel, Connection]:
    hop = NextHop(b"\x7f\0\0\1", LOOPBACK, LOCAL)
    channel = Channel(hop, TcpOptions(InternetOptions(FIRST_NETWORK)), AF_INET, WaitQueue(), WaitQueue())
    c = Connection(NOWHERE, b"\x7f\0\0\1", port, b"\x7f\0\0\1", 9)
    channel.connection = c
    channel.hold = PortHold(Binding(FIRST_NETWORK)).acquire()
    return channel, c


def test_time_wait_is_bounded_and_its_queue_too(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FIRST_NETWORK.settings[:]
    settings[SETTINGS.max_time_wait.place] = 10
    monkeypatch.setattr(FIRST_NETWORK, "settings", settings)
    monkeypatch.setattr(TABLE.timer, "start", lambda deadline_ns: None)
    for number in range(20):
        TABLE.begin_wait(closed_connection(1000 + number)[0], SECOND)
    assert TABLE.wait_count == 10
    for number in range(5000):  # each is followed by a new connection with the same ports
        channel, c = closed_connection(number + 1)
        wait = TABLE.wait_queue.last_to(TABLE.last_wait)
        assert wait is not None
        TABLE.end_wait(wait)
        assert wait.hold.users == 1, "the port is free at once"
        TABLE.begin_wait(channel, 2 * SECOND)
        assert TABLE.find_wait(FIRST_NETWORK, c.local, c.local_port, c.remote, c.remote_port) is not None
    assert TABLE.wait_count == 10
    waits = list(iter(Walk(TABLE.wait_queue).next, None))
    assert len(waits) == 10 and all(wait.is_listed for wait in waits)
    first = waits[0]
    first.deadline_ns += TIME_WAIT_NS  # a late FIN
    first.is_prolonged = True
    assert TABLE.expire_waits(3 * SECOND + TIME_WAIT_NS) == first.deadline_ns
    assert TABLE.wait_count == 1, "one that was prolonged holds nobody else"
    assert TABLE.expire_waits(1 << 60) == 0
    assert TABLE.wait_count == 0 and TABLE.wait_queue.is_empty() and not TABLE.waits


def test_very_many_that_expire_at_once_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLE.timer, "start", lambda deadline_ns: None)
    for number in range(300):
        TABLE.begin_wait(closed_connection(1000 + number)[0], SECOND)
    left = []
    now = 2 * SECOND + TIME_WAIT_NS
    while TABLE.expire_waits(now) == now:
        left.append(TABLE.wait_count)
    assert left == [172, 44] and TABLE.wait_count == 0
