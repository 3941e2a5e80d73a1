"""What io_uring_register(2) registers on a booted machine: tags, personalities, memory of the program's own; and that
nothing stays where memory fails.
"""

from __future__ import annotations

import errno
import os
import struct

import pytest

from kernel.fs.file import OPEN_FILES, File
from kernel.lang import UserAddr
from kernel.lib import user
from kernel.syscalls import uring_buffers
from kernel.task.acting import act_as, act_as_itself, real_credentials
from kernel.uring import layout
from kernel.uring.buffers import BufferGroup, ProvidedBuffer
from kernel.uring.file import UringFile
from kernel.uring.ring import Ring
from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, check_each, each_place
from tests.unit.uring.test_uring import (
    FILES_UPDATE,
    NOP,
    OPENAT,
    POLL_ADD,
    POLLIN,
    PRIVATE,
    PROT_READ_WRITE,
    PROVIDE_BUFFERS,
    READ,
    READ_FIXED,
    TIMEOUT,
    Rings,
    memory,
    pipe,
)
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FILES, UNREGISTER_FILES = 2, 3
PERSONALITY, DROP_PERSONALITY = 9, 10
FILES2, FILES_UPDATE2, BUFFERS2, BUFFERS_UPDATE = 13, 14, 15, 16
BUFFER_RING = 22
SYNC_CANCEL, ALLOC_RANGE, CLONE = 24, 25, 30
ANY_SLOT = 0xFFFF_FFFF


def refused(code: int, program: Program, ring: Rings, *arguments: object) -> None:
    with pytest.raises(OSError) as caught:
        program.io_uring_register(ring.fd, *arguments)
    assert caught.value.errno == code


def end(program: Program, ring: Rings) -> None:
    """The thread "async" gives it back."""
    program.munmap(ring.rings, ring.size)
    program.munmap(ring.sqes, 64 * ring.entries)
    program.close(ring.fd)
    program.nanosleep(struct.pack("<qq", 0, 50_000_000), 0)


class Tables:
    """Memory of a program for lists of files, buffers and tags."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.room = memory(program)

    def files(self, descriptors: list[int], tags: list[int]) -> tuple[int, int]:
        self.program.store(self.room, struct.pack(f"<{len(descriptors)}i", *descriptors))
        self.program.store(self.room + 1024, struct.pack(f"<{len(tags)}Q", *tags))
        return self.room, self.room + 1024

    def table(self, descriptors: list[int], tags: list[int]) -> bytes:
        """A struct io_uring_rsrc_register."""
        return struct.pack("<IIQQQ", len(descriptors), 0, 0, *self.files(descriptors, tags))

    def update(self, first: int, descriptors: list[int], tags: list[int]) -> bytes:
        """A struct io_uring_rsrc_update2."""
        return struct.pack("<IIQQII", first, 0, *self.files(descriptors, tags), len(descriptors), 0)


@booted
def test_a_tag_comes_when_the_last_user_has_ended(machine: Machine) -> None:
    host = machine.host
    ring, tables = Rings(host, 8), Tables(host)
    reader, writer = pipe(host)
    host.io_uring_register(ring.fd, FILES2, tables.table([reader, writer, -1], [10, 11, 0]), 32)
    ring.fill(POLL_ADD, 0, data=1, modifiers=POLLIN, flags=layout.FIXED_FILE)
    assert ring.go() == 1
    assert host.io_uring_register(ring.fd, FILES_UPDATE2, tables.update(0, [-1, writer], [0, 20]), 32) == 2
    assert ring.take() == []  # the request could use either
    host.write(writer, b"x", 1)
    assert ring.take() == [(1, POLLIN, 0), (10, 0, 0), (11, 0, 0)]
    assert host.io_uring_register(ring.fd, FILES_UPDATE2, tables.update(1, [-1], [0]), 32) == 1
    assert ring.take() == [(20, 0, 0)]


@booted
def test_a_bad_file_empties_its_slot(machine: Machine) -> None:
    host = machine.host
    ring, tables = Rings(host, 8), Tables(host)
    reader, _ = pipe(host)
    host.io_uring_register(ring.fd, FILES2, tables.table([reader], [10]), 32)
    refused(errno.EBADF, host, ring, FILES_UPDATE2, tables.update(0, [9999], [11]), 32)
    assert ring.take() == [(10, 0, 0)]
    ring.fill(POLL_ADD, 0, data=1, modifiers=POLLIN, flags=layout.FIXED_FILE)
    ring.go()
    assert ring.take() == [(1, -errno.EBADF, 0)]


@booted
def test_retired_files_end_with_their_ring(machine: Machine) -> None:
    host = machine.host
    before = OPEN_FILES.count
    ring, tables = Rings(host, 8), Tables(host)
    reader, writer = pipe(host)
    host.io_uring_register(ring.fd, FILES2, tables.table([reader, writer], [10, 11]), 32)
    ring.fill(POLL_ADD, 0, data=1, modifiers=POLLIN, flags=layout.FIXED_FILE)
    ring.go()
    host.io_uring_register(ring.fd, FILES_UPDATE2, tables.update(0, [-1, -1], [0, 0]), 32)
    host.close(reader)
    host.close(writer)
    end(host, ring)
    assert OPEN_FILES.count == before


@booted
def test_a_free_slot_is_looked_for_in_the_range(machine: Machine) -> None:
    host = machine.host
    ring, tables = Rings(host, 8), Tables(host)
    name = memory(host, b"/proc\0")
    host.mkdir("/proc", 0o755)
    host.io_uring_register(ring.fd, FILES2, tables.table([-1] * 5, [0] * 5), 32)
    host.io_uring_register(ring.fd, ALLOC_RANGE, struct.pack("<IIQ", 2, 2, 0), 0)
    results = []
    for _ in range(3):
        ring.fill(OPENAT, -100, name, data=1, modifiers=os.O_DIRECTORY, index=ANY_SLOT)
        ring.go()
        results += [result for _, result, _ in ring.take()]
    assert results == [2, 3, -errno.ENFILE]
    room = memory(host, struct.pack("<ii", 0, 0))
    host.io_uring_register(ring.fd, ALLOC_RANGE, struct.pack("<IIQ", 0, 1, 0), 0)
    ring.fill(FILES_UPDATE, -1, room, 2, ANY_SLOT, data=1)
    ring.go()
    assert ring.take() == [(1, 1, 0)]
    assert host.load(room, 8) == struct.pack("<ii", 0, 0)
    refused(errno.EOVERFLOW, host, ring, ALLOC_RANGE, struct.pack("<IIQ", ANY_SLOT, 1, 1), 0)
    refused(errno.EINVAL, host, ring, ALLOC_RANGE, struct.pack("<IIQ", 0, 6, 0), 0)


@booted
def test_buffers_are_replaced_and_cloned(machine: Machine) -> None:
    host = machine.host
    ring, other = Rings(host, 8), Rings(host, 8)
    reader, writer = pipe(host)
    room = memory(host)
    host.store(room, struct.pack("<QQQQ", room + 1000, 50, 0, 0))
    host.store(room + 100, struct.pack("<QQ", 7, 0))
    host.io_uring_register(ring.fd, BUFFERS2, struct.pack("<IIQQQ", 2, 0, 0, room, room + 100), 32)
    host.io_uring_register(other.fd, CLONE, struct.pack("<II24x", ring.fd, 0), 1)
    refused(errno.EBUSY, host, other, CLONE, struct.pack("<II24x", ring.fd, 0), 1)
    host.store(room, struct.pack("<QQ", room + 2000, 50))
    host.io_uring_register(ring.fd, BUFFERS_UPDATE, struct.pack("<IIQQII", 0, 0, room, 0, 1, 0), 32)
    assert ring.take() == [(7, 0, 0)]
    host.write(writer, b"hello", 5)
    for each, address, result in [(ring, 1000, -errno.EFAULT), (ring, 2000, 2), (other, 2000, -errno.EFAULT),
                                  (other, 1000, 2)]:  # fmt: skip
        each.fill(READ_FIXED, reader, room + address, 2, data=1)
        each.go()
        assert each.take() == [(1, result, 0)]


@booted
def test_a_personality_is_borrowed_for_one_request(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    fd = host.open("/tmp/secret", os.O_RDWR | os.O_CREAT, 0o600)
    host.close(fd)
    name = memory(host, b"/tmp/secret\0")
    assert host.io_uring_register(ring.fd, PERSONALITY, 0, 0) == 1
    host.setresuid(-1, 1000, -1)
    own = host.task.credentials
    results = []
    for personality in (0, 1, 2):
        ring.fill(OPENAT, -100, name, data=1, personality=personality)
        ring.go()
        results += [result for _, result, _ in ring.take()]
    assert results[0] == -errno.EACCES and results[1] >= 0 and results[2] == -errno.EINVAL
    assert host.task.credentials is own and real_credentials(host.task) is own
    host.io_uring_register(ring.fd, DROP_PERSONALITY, 0, 1)
    refused(errno.EINVAL, host, ring, DROP_PERSONALITY, 0, 1)
    assert host.io_uring_register(ring.fd, PERSONALITY, 0, 0) == 2


@booted
def test_others_judge_a_task_by_its_own_credentials(machine: Machine) -> None:
    task = machine.host.task
    Rings(machine.host, 2)
    own, lent = task.credentials, task.credentials.copy()
    assert act_as(task, lent) is own
    assert task.credentials is lent and real_credentials(task) is own
    act_as_itself(task, own)
    assert task.credentials is own and real_credentials(task) is own


@booted
def test_what_waits_is_cancelled_by_a_call(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    reader, _ = pipe(host)
    for data in (1, 2, 2):
        ring.fill(POLL_ADD, reader, data=data, modifiers=POLLIN)
    ring.go()

    def call(data: int, flags: int) -> bytes:
        return struct.pack("<QiIqq32x", data, -1, flags, -1, -1)

    assert host.io_uring_register(ring.fd, SYNC_CANCEL, call(1, 0), 1) == 0
    assert ring.take() == [(1, -errno.ECANCELED, 0)]
    refused(errno.ENOENT, host, ring, SYNC_CANCEL, call(1, 0), 1)
    assert host.io_uring_register(ring.fd, SYNC_CANCEL, call(2, 1), 1) == 2
    assert [result for _, result, _ in ring.take()] == [-errno.ECANCELED] * 2


def params_of(rings_at: int, entries_at: int, setup: int) -> bytearray:
    params = bytearray(120)
    struct.pack_into("<I", params, 8, setup | layout.SETUP_NO_MMAP | layout.SETUP_NO_SQARRAY)
    struct.pack_into("<Q", params, 72, entries_at)
    struct.pack_into("<Q", params, 112, rings_at)
    return params


@booted
def test_a_ring_in_memory_of_the_program(machine: Machine) -> None:
    host = machine.host
    room = host.mmap(0, 8192, PROT_READ_WRITE, PRIVATE, -1, 0)
    index = host.io_uring_setup(4, params_of(room, room + 4096, layout.SETUP_REGISTERED_FD_ONLY))
    assert index == 0
    host.store(room + 4096, struct.pack("<BBHiQQIIQ", NOP, 0, 0, -1, 0, 0, 0, 0, 5) + bytes(24))
    host.store(room + layout.SQ_TAIL, struct.pack("<I", 1))
    assert host.io_uring_enter(index, 1, 1, layout.ENTER_GETEVENTS | layout.ENTER_REGISTERED_RING, 0, 0) == 1
    assert host.load(room + layout.COMPLETIONS, 16) == struct.pack("<QiI", 5, 0, 0)
    host.munmap(room, 8192)
    assert host.io_uring_enter(index, 0, 0, layout.ENTER_GETEVENTS | layout.ENTER_REGISTERED_RING, 0, 0) == 0


@booted
def test_memory_that_fits_no_ring(machine: Machine) -> None:
    host = machine.host
    room = host.mmap(0, 8192, PROT_READ_WRITE, PRIVATE, -1, 0)
    for rings_at, entries_at, code in [(0, 0, errno.EFAULT), (room + 64, room, errno.EINVAL),
                                       (room, -4096 & (1 << 64) - 1, errno.EOVERFLOW),
                                       (room, room + 8192 + (1 << 30), errno.EFAULT)]:  # fmt: skip
        with pytest.raises(OSError) as caught:
            host.io_uring_setup(4, params_of(rings_at, entries_at, 0))
        assert caught.value.errno == code


@booted
def test_tables_and_rings_without_memory(machine: Machine) -> None:
    host = machine.host
    ring, tables = Rings(host, 8), Tables(host)
    reader, writer = pipe(host)
    table = tables.table([reader, writer], [10, 11])
    check_each(
        lambda: host.io_uring_register(ring.fd, FILES2, table, 32),
        lambda _: host.io_uring_register(ring.fd, UNREGISTER_FILES, 0, 0),
        fewest=2,
    )
    room = host.mmap(0, 8192, PROT_READ_WRITE, PRIVATE, -1, 0)
    host.store(room, bytes(8192))
    check_each(lambda: host.io_uring_setup(4, params_of(room, room + 4096, 0)), host.close, fewest=5)


@booted
def test_an_update_without_memory_changes_nothing(machine: Machine) -> None:
    host = machine.host
    tables = Tables(host)
    reader, writer = pipe(host)
    end(host, Rings(host, 8))

    def attempt(scarcity: Scarcity) -> None:
        ring = Rings(host, 8)
        host.io_uring_register(ring.fd, FILES2, tables.table([reader], [10]), 32)
        ring.fill(POLL_ADD, 0, data=1, modifiers=POLLIN, flags=layout.FIXED_FILE)
        ring.go()
        update = tables.update(0, [-1], [0])
        try:
            with scarcity:
                host.io_uring_register(ring.fd, FILES_UPDATE2, update, 32)
        except OSError as error:
            assert error.errno == errno.ENOMEM, scarcity.where
            assert ring.take() == []
            host.io_uring_register(ring.fd, FILES_UPDATE2, update, 32)
        host.write(writer, b"x", 1)
        assert ring.take() == [(1, POLLIN, 0), (10, 0, 0)]
        host.read(reader, tables.room + 2000, 1)
        end(host, ring)

    each_place(attempt, 1)


@booted
def test_a_ring_that_polls_takes_no_file_that_cannot_be_polled(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8, layout.SETUP_IOPOLL | layout.SETUP_SUBMIT_ALL)
    fd = host.open("/tmp/file", os.O_RDWR | os.O_CREAT, 0o600)
    for opcode in (NOP, READ, POLL_ADD):
        ring.fill(opcode, fd, memory(host), 5, data=opcode)
    assert ring.go(3) == 3
    assert ring.take() == [(NOP, 0, 0), (READ, -errno.EOPNOTSUPP, 0), (POLL_ADD, -errno.EINVAL, 0)]
    assert host.io_uring_enter(ring.fd, 0, 1, layout.ENTER_GETEVENTS, 0, 0) == 0


@booted
def test_a_group_that_is_filled_while_another_is_registered_stays(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    memory_of_ring = memory(host)
    file = host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    filled = BufferGroup(UserAddr(0), 0, None)
    read = user.read_u8

    def late(address: UserAddr) -> int:
        filled.buffers.append(ProvidedBuffer(0, 1, 1))
        file.ring.registered.groups[5] = filled
        return read(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "read_u8", late)
        refused(errno.EEXIST, host, ring, BUFFER_RING, struct.pack("<QIHH24x", memory_of_ring, 8, 5, 0), 1)
    assert file.ring.registered.groups[5] is filled


@booted
def test_a_group_that_is_replaced_gets_no_more_buffers(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    file = host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    groups = file.ring.registered.groups
    fresh = BufferGroup(UserAddr(4096), 8, None)
    seen: list[BufferGroup] = []

    def replace(cost: int) -> None:
        seen.append(groups[5])
        groups[5] = fresh

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uring_buffers, "pace", replace)
        ring.fill(PROVIDE_BUFFERS, 4, memory(host), 8, 0, data=1, group=5)
        ring.go()
    assert len(seen) == 1 and len(seen[0].buffers) == 1 and len(fresh.buffers) == 0


@booted
def test_a_file_is_let_go_where_its_list_finds_no_memory(machine: Machine) -> None:
    class Full(list[File | None]):
        def append(self, file: File | None) -> None:
            raise MemoryError

    host = machine.host
    ring = Rings(host, 8)
    reader, _ = pipe(host)
    file, listed = host.task.files.get(ring.fd), host.task.files.get(reader)
    assert isinstance(file, UringFile)
    file.ring.registered.files.slots = Full()
    before = listed.users
    refused(errno.ENOMEM, host, ring, FILES, struct.pack("<i", reader), 1)
    assert listed.users == before


@booted
def test_a_timeout_goes_on_as_it_was_changed_when_it_went_off(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    ring.fill(TIMEOUT, address=memory(host, struct.pack("<qq", 0, 1_000_000)), length=1, data=1, modifiers=1 << 6)
    ring.go()
    file = host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    request = file.ring.requests.first()
    assert request is not None
    post_more = Ring.post_more

    def late(ring: Ring, user_data: int, result: int, flags: int) -> bool:
        request.more().time_ns = 1 << 60
        request.entry.modifiers |= 1  # IORING_TIMEOUT_ABS
        return post_more(ring, user_data, result, flags)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ring, "post_more", late)
        host.nanosleep(struct.pack("<qq", 0, 5_000_000), 0)
    assert len(ring.take()) == 1
    assert request.timer is not None and request.timer.deadline_ns == 1 << 60
