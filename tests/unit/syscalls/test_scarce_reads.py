"""What a read has taken, or would take, is not lost when memory ends."""

from __future__ import annotations

import os
import struct

from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, each_place
from tools.simulated.machine import Machine
from tools.simulated.program import Program

MONOTONIC = 1
NONBLOCK = os.O_NONBLOCK
IN_MODIFY = 2
IN_ATTRIB = 4
EVENT = 16
SOON = struct.pack("<qqqq", 0, 0, 0, 1_000_000)
LATER = struct.pack("<qq", 0, 10_000_000)


def all_of(program: Program, descriptor: int, size: int, scarcity: Scarcity) -> bytes:
    """What there is to read: by one call without enough memory, and others."""
    buffer = bytearray(size)
    data = b""
    try:
        with scarcity:
            count = program.read(descriptor, buffer, size)
        data = bytes(buffer[:count])
    except OSError:
        assert scarcity.where
    try:
        count = program.read(descriptor, buffer, size)
        data += bytes(buffer[:count])
    except BlockingIOError:
        pass
    return data


@booted
def test_expirations(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, NONBLOCK)

    def attempt(scarcity: Scarcity) -> None:
        host.timerfd_settime(timer, 0, SOON, None)
        host.nanosleep(LATER, None)
        assert all_of(host, timer, 8, scarcity) == struct.pack("<Q", 1), scarcity.where

    each_place(attempt, 0)


@booted
def test_events_of_watched_files(machine: Machine) -> None:
    host = machine.host
    file = host.open("/tmp/watched", os.O_CREAT | os.O_RDWR, 0o600)
    descriptor = host.inotify_init1(NONBLOCK)
    host.inotify_add_watch(descriptor, "/tmp/watched", IN_MODIFY | IN_ATTRIB)

    def attempt(scarcity: Scarcity) -> None:
        host.pwrite64(file, b"x", 1, 0)
        host.fchmod(file, 0o600)
        host.pwrite64(file, b"x", 1, 0)
        data = all_of(host, descriptor, 10 * EVENT, scarcity)
        masks = [struct.unpack_from("<I", data, at + 4)[0] for at in range(0, len(data), EVENT)]
        assert masks == [IN_MODIFY, IN_ATTRIB, IN_MODIFY], scarcity.where

    each_place(attempt, 3)
