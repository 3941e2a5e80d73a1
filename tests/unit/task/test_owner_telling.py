"""Signals about a file to the large group that owns it; on a booted machine."""

from __future__ import annotations

import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kernel.fs.constants import O_ASYNC
from kernel.fs.file import TELLERS
from kernel.task import owner_telling
from kernel.task.async_io import choose_owner, signal_urgent
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tests.unit.task.test_group_signals import end, group_of, has_it, let_run
from tools.simulated.machine import Machine

F_SETFL, F_SETOWN, F_SETSIG = 4, 8, 10


@contextmanager
def few(count: int) -> Iterator[None]:
    """Let groups be large from fewer members on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner_telling, "FEW_MEMBERS", count)
        yield


def owned_pipe(machine: Machine, owner: int) -> tuple[int, int]:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    reading, writing = struct.unpack("<2i", ends)
    host.fcntl(reading, F_SETOWN, owner)
    host.fcntl(reading, F_SETSIG, signal.SIGUSR1)
    host.fcntl(reading, F_SETFL, O_ASYNC)
    return reading, writing


@booted
def test_a_large_group_gets_it_later_though_the_file_is_closed(machine: Machine) -> None:
    group, members = group_of(machine, 5)
    reading, writing = owned_pipe(machine, -int(group.pgid))
    before = len(TELLERS)
    with few(2):
        machine.host.write(writing, b"x", 1)
        assert not any(has_it(process) for process in members)
        machine.host.close(reading)
        machine.host.close(writing)
        let_run(machine)
    assert all(has_it(process) for process in members)
    assert len(TELLERS) == before - 1
    end(machine, members)


@booted
def test_a_small_group_gets_it_at_once(machine: Machine) -> None:
    group, members = group_of(machine, 3)
    reading, writing = owned_pipe(machine, -int(group.pgid))
    machine.host.write(writing, b"x", 1)
    assert all(has_it(process) for process in members)
    machine.host.close(reading)
    machine.host.close(writing)
    end(machine, members)


@booted
def test_members_that_leave_meanwhile_keep_it_from_nobody(machine: Machine) -> None:
    group, members = group_of(machine, 6)
    reading, writing = owned_pipe(machine, -int(group.pgid))
    with few(2):
        machine.host.write(writing, b"x", 1)
        note = TELLERS[machine.host.task.files.get(reading)]
        assert isinstance(note, owner_telling.Teller)
        with meanwhile(lambda: end(machine, members[1:3]), 2):
            note.notes[owner_telling.INPUT].run()
    assert all(has_it(process) for process in (members[0], *members[3:]))
    machine.host.close(reading)
    machine.host.close(writing)
    end(machine, [members[0], *members[3:]])


@booted
def test_another_owner_does_not_get_what_was_meant_for_the_group(machine: Machine) -> None:
    group, members = group_of(machine, 4)
    _, (other,) = group_of(machine, 1)
    reading, writing = owned_pipe(machine, -int(group.pgid))
    with few(2):
        machine.host.write(writing, b"x", 1)
        machine.host.fcntl(reading, F_SETOWN, int(other.pid))
        let_run(machine)
    assert all(has_it(process) for process in members) and not has_it(other)
    machine.host.close(reading)
    machine.host.close(writing)
    end(machine, [*members, other])


@booted
def test_events_of_several_kinds_are_told(machine: Machine) -> None:
    group, members = group_of(machine, 4)
    reading, writing = owned_pipe(machine, -int(group.pgid))
    file = machine.host.task.files.get(reading)
    choose_owner(file, -int(group.pgid))
    for process in members:
        process.actions.set(signal.SIGURG, 1 << 20, 0, 0, 0)
        assert process.leader is not None
        process.leader.signals.blocked |= 1 << signal.SIGURG - 1
    with few(2):
        machine.host.write(writing, b"x", 1)
        signal_urgent(file)
        let_run(machine)
    assert all(has_it(process) and has_it(process, signal.SIGURG) for process in members)
    machine.host.close(reading)
    machine.host.close(writing)
    end(machine, members)
