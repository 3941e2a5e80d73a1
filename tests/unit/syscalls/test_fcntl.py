"""Commands and locks of descriptors (kernel/syscalls/fcntl.py, fcntl_locking.py, dup.py), on a booted machine."""

import os
import struct

import pytest

from kernel.fs.locks import LOCKED, LockList
from kernel.fs.record_locks import Lock
from kernel.syscalls import fcntl_locking
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
DUPFD, GETFD, SETFD, GETFL, SETFL, GETLK, SETLK = 0, 1, 2, 3, 4, 5, 6
OFD_GETLK, OFD_SETLK = 36, 37
READ, WRITE, UNLOCK = 0, 1, 2
SHARED, EXCLUSIVE, NOW, MANDATORY = 1, 2, 4, 32
LAST = (1 << 63) - 1


def new_file(program: Program, flags: int = os.O_RDWR) -> int:
    return program.open("/tmp/file", flags | os.O_CREAT, 0o644)


def lock(kind: int, start: int = 0, length: int = 0, whence: int = 0, pid: int = 0) -> bytearray:
    """struct flock."""
    return bytearray(struct.pack("<hhiqqii", kind, whence, 0, start, length, pid, 0))


@booted
def test_a_lock_keeps_others_out(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    host.fcntl(descriptor, SETLK, lock(WRITE, 10, 5))

    def child(program: Program) -> None:
        with pytest.raises(OSError, match="EAGAIN"):
            program.fcntl(descriptor, SETLK, lock(READ, 14, 1))
        assert program.fcntl(descriptor, SETLK, lock(READ, 15, 1)) == 0
        found = lock(READ)
        program.fcntl(descriptor, GETLK, found)
        kind, _, _, start, length, pid, _ = struct.unpack("<hhiqqii", found)
        assert (kind, start, length, pid) == (WRITE, 10, 5, 1)

    assert machine.run(child) == 0
    host.fcntl(descriptor, SETLK, lock(UNLOCK))
    assert machine.run(lambda program: program.fcntl(descriptor, SETLK, lock(WRITE))) == 0


@booted
def test_errors_of_locks_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    reader = new_file(host, os.O_RDONLY)
    for command, given, error in (
        (SETLK, FAULTY, "EFAULT"),
        (GETLK, lock(UNLOCK, LAST, 2), "EINVAL"),
        (SETLK, lock(99, LAST, 2), "EOVERFLOW"),
        (SETLK, lock(99), "EINVAL"),
        (SETLK, lock(READ, -1), "EINVAL"),
        (SETLK, lock(READ, whence=9), "EINVAL"),
        (OFD_SETLK, lock(READ, LAST, 2, pid=5), "EOVERFLOW"),
        (OFD_SETLK, lock(READ, pid=5), "EINVAL"),
        (OFD_GETLK, lock(READ, pid=5), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.fcntl(descriptor, command, given)
    with pytest.raises(OSError, match="EBADF"):
        host.fcntl(reader, OFD_SETLK, lock(WRITE, pid=5))


@booted
def test_locks_of_the_whole_file(machine: Machine) -> None:
    host = machine.host
    one, other = new_file(host), new_file(host)
    host.flock(one, EXCLUSIVE)
    with pytest.raises(OSError, match="EAGAIN"):
        host.flock(other, SHARED | NOW)
    host.flock(one, SHARED)
    assert host.flock(other, SHARED | NOW) == 0
    with pytest.raises(OSError, match="EINVAL"):
        host.flock(999, 3)
    with pytest.raises(OSError, match="EBADF"):
        host.flock(999, SHARED)
    assert host.flock(999, MANDATORY) == 0  # which Linux no longer has, and does not look at


@booted
def test_which_files_bypass_a_cache(machine: Machine) -> None:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    reader = struct.unpack("<ii", ends)[0]
    assert host.fcntl(reader, SETFL, os.O_DIRECT) == 0  # in packets
    for descriptor in (host.eventfd2(0, 0), host.socket(1, 1, 0), host.open("/tmp", os.O_RDONLY)):
        before = host.fcntl(descriptor, GETFL, 0)
        with pytest.raises(OSError, match="EINVAL"):
            host.fcntl(descriptor, SETFL, os.O_DIRECT | os.O_NONBLOCK)
        assert host.fcntl(descriptor, GETFL, 0) == before


@booted
def test_flags_of_descriptors_and_of_descriptions(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    copy = host.fcntl(descriptor, DUPFD, 20)
    assert copy == 20
    host.fcntl(descriptor, SETFL, os.O_APPEND)
    assert host.fcntl(copy, GETFL, 0) & os.O_APPEND != 0
    host.fcntl(copy, SETFD, 1)
    assert (host.fcntl(copy, GETFD, 0), host.fcntl(descriptor, GETFD, 0)) == (1, 0)


@booted
def test_duplicates(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    assert host.dup2(descriptor, 30) == 30
    assert host.dup2(descriptor, descriptor) == descriptor
    assert host.dup3(descriptor, 31, os.O_CLOEXEC) == 31
    assert host.fcntl(31, GETFD, 0) == 1
    for arguments, error in (
        ((999, 999, 0), "EINVAL"),
        ((999, 1 << 30, 1), "EINVAL"),
        ((descriptor, 1 << 30, 0), "EBADF"),
        ((999, 5, 0), "EBADF"),
    ):
        with pytest.raises(OSError, match=error):
            host.dup3(*arguments)


@booted
def test_where_a_position_cannot_be_moved_to(machine: Machine) -> None:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    reader = struct.unpack("<ii", ends)[0]
    with pytest.raises(OSError, match="ESPIPE"):
        host.lseek(reader, 0, os.SEEK_SET)
    for descriptor in (reader, new_file(host)):
        for whence in (5, -1):
            with pytest.raises(OSError, match="EINVAL"):
                host.lseek(descriptor, -1, whence)


@booted
def test_a_descriptor_that_is_closed_first_keeps_no_lock(machine: Machine) -> None:
    """Another thread closes it while the request is read: nobody could give the lock up any more."""
    host = machine.host
    descriptor = new_file(host)
    files = current().files
    files.acquire()
    request = fcntl_locking._lock_request

    def close_first(*arguments: object) -> object:
        files.close(descriptor)
        return request(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl_locking, "_lock_request", close_first)
        with pytest.raises(OSError, match="EBADF"):
            host.fcntl(descriptor, SETLK, lock(WRITE))
    assert LOCKED.is_empty()


@pytest.mark.parametrize("kind", [SHARED, EXCLUSIVE])
@booted
def test_threads_that_wait_for_the_lock_of_one_description_get_one(machine: Machine, kind: int) -> None:
    host = machine.host
    first, second = new_file(host), new_file(host)
    host.flock(first, EXCLUSIVE)
    def leave(locks: LockList, request: Lock, blocker: Lock, deadline_ns: int) -> None:
        """Another thread waits for the same, and comes first."""
        host_files = current().files
        locks.unlock_flock(host_files.get(first))
        locks.set_flock(host_files.get(second), kind, wait=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LockList, "wait_for", leave)
        assert host.flock(second, kind) == 0
    host.close(second)
    assert LOCKED.is_empty()
