"""What poll, select and epoll_wait do when nobody has to sleep: they ask, and queue on nothing."""

from __future__ import annotations

import struct

import pytest

from kernel.fs import readiness
from kernel.fs.constants import POLLERR, POLLIN, POLLNVAL, POLLOUT
from kernel.fs.descriptors import FileTable
from kernel.fs.readiness import NO_PARTS, PART_SIZE, POLL_ALWAYS, RECORD_SIZE, parts_of, wait_ready
from kernel.ipc.epoll import EPOLLET, EPOLLONESHOT, EVENT_SIZE, EpollFile
from kernel.ipc.eventfd import MAXIMUM, EventFile
from kernel.lang import span_of
from kernel.lib.ids import ROOT_USER
from kernel.sched import Poller, WaitQueue
from tests.unit.fs.conftest import World, world

__all__ = ["world"]


def asked(records: list[tuple[int, int]]) -> bytearray:
    return bytearray(b"".join(struct.pack("<iHH", descriptor, events, 0xFFFF) for descriptor, events in records))


def found(records: bytearray) -> list[int]:
    return [struct.unpack_from("<H", records, at + 6)[0] for at in range(0, len(records), RECORD_SIZE)]


def is_alone(file: EventFile) -> bool:
    """Whether nobody stands on the file's queue."""
    return file.queue.head is None


@pytest.fixture
def files() -> FileTable:
    return FileTable()


def test_a_time_out_of_zero_queues_on_nothing(files: FileTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "Poller", None)  # making one would fail
    quiet, ready, full = EventFile(0, 0, False), EventFile(3, 0, False), EventFile(MAXIMUM, 0, False)
    numbers = [files.install(file, False) for file in (quiet, ready, full)]
    records = asked([(numbers[0], POLLIN), (-1, POLLIN), (numbers[0], 0)])
    assert wait_ready(files, span_of(records), NO_PARTS, POLL_ALWAYS, 0) == 0 and found(records) == [0, 0, 0]
    records = asked([(numbers[0], POLLIN), (numbers[1], POLLIN | POLLOUT), (numbers[2], 0), (1000, POLLIN)])
    assert wait_ready(files, span_of(records), NO_PARTS, POLL_ALWAYS, 0) == 3
    assert found(records) == [0, POLLIN | POLLOUT, POLLERR, POLLNVAL]
    assert all(is_alone(file) for file in (quiet, ready, full))


def test_what_is_ready_at_once_keeps_nobody_waiting(files: FileTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "Poller", None)
    number = files.install(EventFile(1, 0, False), False)
    records = asked([(number, POLLIN)])
    assert wait_ready(files, span_of(records), NO_PARTS, POLL_ALWAYS, 1 << 60) == 1


def test_very_many_records_lie_in_parts(files: FileTable) -> None:
    """None of them is a large block, and all are asked."""
    ready = files.install(EventFile(1, 0, False), False)
    count = 2 * PART_SIZE // RECORD_SIZE + 3
    wanted = asked([(ready if place % 4096 == 4095 else -1, POLLIN) for place in range(count)])
    first = bytearray(wanted[:PART_SIZE])
    others = parts_of(len(wanted))
    assert [len(part) for part in others] == [PART_SIZE, 3 * RECORD_SIZE]
    for number, part in enumerate(others):
        part[:] = wanted[(number + 1) * PART_SIZE : (number + 2) * PART_SIZE]
    assert wait_ready(files, span_of(first), others, POLL_ALWAYS, 1 << 60) == 2
    answers = found(bytearray(b"".join((first, *others))))
    assert [place for place in range(count) if answers[place] != 0] == [4095, 8191]
    assert all(answer in (0, POLLIN) for answer in answers)


def test_a_poll_of_many_queues_leaves_them_all(world: World) -> None:
    owner = Poller()
    queues = [WaitQueue() for _ in range(40)]
    for queue in (*queues, *queues):
        owner.wait_on(queue)
    assert owner.entry_count == 40 and all(queue.head is queue.tail is not None for queue in queues)
    owner.close_paced()
    assert owner.entry_count == 0 and all(queue.is_empty() for queue in queues)


def watching(count: int, events: int) -> tuple[EpollFile, list[EventFile]]:
    """An epoll set with `count` event descriptors, which are ready; a member's data is its index."""
    owner = EpollFile(0, ROOT_USER)
    files = [EventFile(1, 0, False) for _ in range(count)]
    for index, file in enumerate(files):
        owner.add(index, file, events, index)
    return owner, files


def collected(owner: EpollFile, turn: int, room: int) -> list[int]:
    """The data of the events that a call with room for that many gets."""
    record = bytearray(EVENT_SIZE)
    data: list[int] = []
    while len(data) < room:
        member = owner.next_ready(turn, span_of(record))
        if member is None:
            break
        owner.give(member, turn)
        data.append(struct.unpack_from("<Q", record, 4)[0])
    return data


def test_each_member_is_found_once_a_turn_and_all_get_theirs(world: World) -> None:
    owner, files = watching(5, POLLIN)
    turn = owner.begin_turn()
    assert collected(owner, turn, 3) == [0, 1, 2]
    assert collected(owner, turn, 3) == [3, 4]
    assert collected(owner, turn, 3) == []
    assert collected(owner, owner.begin_turn(), 2) == [0, 1]
    assert collected(owner, owner.begin_turn(), 4) == [2, 3, 4, 0]
    files[1].count = 0
    assert collected(owner, owner.begin_turn(), 9) == [2, 3, 4, 0]


def test_edges_and_shots_are_found_once(world: World) -> None:
    for events in (POLLIN | EPOLLET, POLLIN | EPOLLONESHOT):
        owner, files = watching(3, events)
        assert collected(owner, owner.begin_turn(), 9) == [0, 1, 2]
        assert collected(owner, owner.begin_turn(), 9) == []
        files[1].signal(1)
        assert collected(owner, owner.begin_turn(), 9) == ([1] if events & EPOLLET else [])
