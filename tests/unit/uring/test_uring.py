"""io_uring on a booted machine: what a program sees in its rings, and what is left when they end."""

from __future__ import annotations

import errno
import os
import struct
from fcntl import F_GETFL, F_SETFL
from unittest.mock import patch

import pytest

from kernel.fs.file import OPEN_FILES
from kernel.lib.linked import NEXT
from kernel.net.tcp.socket import TcpSocket
from kernel.sched import yield_now
from kernel.uring import cancel, layout
from kernel.uring.file import UringFile
from kernel.uring.perform import TaskWork, finish
from kernel.uring.ring import Ring
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PROT_READ_WRITE = 3
SHARED = 1
PRIVATE = 0x22
POLLIN = 1
SIGCHLD = 17
NOP = 0
WRITE = 23
READ = 22
READ_FIXED = 4
POLL_ADD = 6
TIMEOUT = 11
ASYNC_CANCEL = 14
LINK_TIMEOUT = 15
OPENAT = 18
POLL_REMOVE = 7
MSG_RING = 40
ACCEPT = 13
CONNECT = 16
CLOSE = 19
SEND = 26
SENDMSG = 9
FILES_UPDATE = 20
RECV = 27
RECVMSG = 10
PROVIDE_BUFFERS = 31


class Rings:
    """A ring as a program has it."""

    def __init__(self, program: Program, entries: int, setup: int = 0) -> None:
        params = self.parameters(setup)
        self.program = program
        self.fd = program.io_uring_setup(entries, params)
        self.entries, self.completions = struct.unpack_from("<II", params, 0)
        self.array = struct.unpack_from("<I", params, 64)[0]
        size = self.array + 4 * self.entries
        self.rings = program.mmap(0, size, PROT_READ_WRITE, SHARED, self.fd, 0)
        self.sqes = program.mmap(0, 64 * self.entries, PROT_READ_WRITE, SHARED, self.fd, layout.MAP_ENTRIES)
        for slot in range(self.entries):
            self.put(self.array + 4 * slot, slot)
        self.size = size
        self.tail = 0

    def parameters(self, setup: int) -> bytearray:
        params = bytearray(120)
        struct.pack_into("<I", params, 8, setup)
        return params

    def get(self, at: int) -> int:
        return int.from_bytes(self.program.load(self.rings + at, 4), "little")

    def put(self, at: int, word: int) -> None:
        self.program.store(self.rings + at, (word & 0xFFFF_FFFF).to_bytes(4, "little"))

    def fill(
        self, opcode: int, fd: int = -1, address: int = 0, length: int = 0, offset: int = 0,
        data: int = 0, flags: int = 0, modifiers: int = 0, personality: int = 0, index: int = 0, priority: int = 0,
        group: int = 0,
    ) -> None:  # fmt: skip
        entry = struct.pack(
            "<BBHiQQIIQHHI16x", opcode, flags, priority, fd, offset & (1 << 64) - 1, address, length, modifiers, data,
            group, personality, index,
        )  # fmt: skip
        self.program.store(self.sqes + 64 * (self.tail % self.entries), entry)
        self.tail += 1

    def go(self, least: int = 0) -> int:
        count = (self.tail - self.get(layout.SQ_TAIL)) & 0xFFFF_FFFF
        self.put(layout.SQ_TAIL, self.tail)
        flags = layout.ENTER_GETEVENTS if least else 0
        return self.program.io_uring_enter(self.fd, count, least, flags, 0, 0)

    def take(self) -> list[tuple[int, int, int]]:
        """All completions: user_data, result, flags."""
        found: list[tuple[int, int, int]] = []
        head = self.get(layout.CQ_HEAD)
        while head != self.get(layout.CQ_TAIL):
            at = self.rings + layout.COMPLETIONS + 16 * (head % self.completions)
            data, result, flags = struct.unpack("<QiI", self.program.load(at, 16))
            found.append((data, result, flags))
            head += 1
        self.put(layout.CQ_HEAD, head)
        return found


def pipe(program: Program) -> tuple[int, int]:
    ends = bytearray(8)
    program.pipe2(ends, 0)
    reader, writer = struct.unpack("<ii", ends)
    return reader, writer


def memory(program: Program, contents: bytes = b"") -> int:
    address = program.mmap(0, 4096, PROT_READ_WRITE, PRIVATE, -1, 0)
    program.store(address, contents or b"\0")
    return address


@booted
def test_transfers_of_a_file_are_done_in_the_call(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    buffer = memory(host, b"hello")
    fd = host.open("/tmp/uring", os.O_RDWR | os.O_CREAT, 0o600)
    ring.fill(NOP, data=1)
    ring.fill(WRITE, fd, buffer, 5, 3, data=2)
    ring.fill(READ, fd, buffer + 100, 20, 3, data=3)
    assert ring.go() == 3
    assert ring.take() == [(1, 0, 0), (2, 5, 0), (3, 5, 0)]
    assert host.load(buffer + 100, 5) == b"hello"


@booted
def test_a_read_waits_for_its_pipe(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    reader, writer = pipe(host)
    buffer = memory(host)
    ring.fill(READ, reader, buffer, 20, data=7)
    assert ring.go() == 1
    assert ring.take() == []
    host.write(writer, b"abc", 3)
    assert ring.take() == [(7, 3, 0)]  # on the way out of write(2)
    assert not host.task.interrupted


@booted
def test_chains_break_and_hard_links_hold(machine: Machine) -> None:
    ring = Rings(machine.host, 8)
    ring.fill(READ, 9999, data=1, flags=layout.IO_LINK)
    ring.fill(NOP, data=2)
    ring.fill(READ, 9999, data=3, flags=layout.IO_HARDLINK)
    ring.fill(NOP, data=4)
    assert ring.go() == 4
    assert ring.take() == [(1, -errno.EBADF, 0), (2, -errno.ECANCELED, 0), (3, -errno.EBADF, 0), (4, 0, 0)]


@booted
def test_cancelled_and_timed(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    reader, _ = pipe(host)
    time = memory(host, struct.pack("<qq", 0, 1_000_000))
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(ASYNC_CANCEL, address=1, data=2)
    assert ring.go(2) == 2
    assert ring.take() == [(2, 0, 0), (1, -errno.ECANCELED, 0)]
    ring.fill(TIMEOUT, address=time, length=1, data=3)
    assert ring.go(1) == 1
    assert ring.take() == [(3, -errno.ETIME, 0)]
    ring.fill(POLL_ADD, reader, data=4, modifiers=POLLIN, flags=layout.IO_LINK)
    ring.fill(LINK_TIMEOUT, address=time, length=1, data=5)
    assert ring.go(2) == 2
    assert sorted(ring.take()) == [(4, -errno.ECANCELED, 0), (5, -errno.ETIME, 0)]
    work = host.task.async_work
    assert isinstance(work, TaskWork) and not work.rings and work.due.first is None


@booted
def test_a_drain_waits_for_those_before_it(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    reader, writer = pipe(host)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(NOP, data=2, flags=layout.IO_DRAIN)
    ring.fill(NOP, data=3)
    assert ring.go() == 3
    assert ring.take() == []
    host.write(writer, b"x", 1)
    assert [data for data, _, _ in ring.take()] == [1, 2, 3]


@booted
def test_what_finds_no_room_comes_later(machine: Machine) -> None:
    ring = Rings(machine.host, 2)
    for turn in range(3):
        ring.fill(NOP, data=2 * turn)
        ring.fill(NOP, data=2 * turn + 1)
        assert ring.go() == 2
    assert ring.get(layout.SQ_FLAGS) & layout.SQ_CQ_OVERFLOW
    assert [data for data, _, _ in ring.take()] == [0, 1, 2, 3]
    machine.host.io_uring_enter(ring.fd, 0, 0, layout.ENTER_GETEVENTS, 0, 0)
    assert [data for data, _, _ in ring.take()] == [4, 5]
    assert not ring.get(layout.SQ_FLAGS) & layout.SQ_CQ_OVERFLOW


@booted
def test_an_index_that_is_none_is_dropped(machine: Machine) -> None:
    ring = Rings(machine.host, 4)
    ring.put(ring.array, 4)
    ring.fill(NOP, data=1)
    assert ring.go() == 0
    assert ring.get(layout.SQ_DROPPED) == 1
    assert ring.take() == []


@booted
def test_a_program_that_ends_leaves_nothing(machine: Machine) -> None:
    host = machine.host
    reader, writer = pipe(host)
    before = OPEN_FILES.count

    def child(program: Program) -> int:
        ring = Rings(program, 8)
        ring.fill(POLL_ADD, ring.fd, data=1, modifiers=POLLIN)
        ring.fill(POLL_ADD, reader, data=2, modifiers=POLLIN, flags=layout.IO_LINK)
        ring.fill(NOP, data=3)
        ring.fill(NOP, data=4, flags=layout.IO_DRAIN)
        assert ring.go() == 4
        assert ring.take() == []
        return 0

    pid = host.fork(child)
    assert machine.wait(pid) == 0
    host.nanosleep(struct.pack("<qq", 0, 50_000_000), 0)  # the thread "async" gives back the ring
    assert OPEN_FILES.count == before
    host.write(writer, b"x", 1)


@booted
def test_refusals(machine: Machine) -> None:
    host = machine.host
    for entries, flags, code in [(0, 0, errno.EINVAL), (40000, 0, errno.EINVAL), (4, 1 << 30, errno.EINVAL)]:
        params = bytearray(120)
        struct.pack_into("<I", params, 8, flags)
        with pytest.raises(OSError) as caught:
            host.io_uring_setup(entries, params)
        assert caught.value.errno == code
    with pytest.raises(OSError) as caught:
        host.io_uring_enter(0, 1, 0, 0, 0, 0)
    assert caught.value.errno in (errno.EOPNOTSUPP, errno.EBADF)


@booted
def test_a_poll_that_goes_on_completes_for_each_wake(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    reader, writer = pipe(host)
    host.write(writer, b"x", 1)
    ring.fill(POLL_ADD, reader, length=1, data=1, modifiers=POLLIN)
    assert ring.go() == 1
    assert ring.take() == [(1, POLLIN, layout.CQE_MORE)]
    assert ring.take() == []
    for _ in range(3):
        host.write(writer, b"x", 1)
        assert ring.take() == [(1, POLLIN, layout.CQE_MORE)]
    ring.fill(POLL_REMOVE, address=1, data=2)
    assert ring.go(2) == 1
    assert ring.take() == [(2, 0, 0), (1, -errno.ECANCELED, 0)]


@booted
def test_a_ring_that_defers_works_when_it_is_asked(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4, layout.SETUP_SINGLE_ISSUER | layout.SETUP_DEFER_TASKRUN | layout.SETUP_TASKRUN_FLAG)
    reader, writer = pipe(host)
    buffer = memory(host)
    ring.fill(READ, reader, buffer, 20, data=7)
    assert ring.go() == 1
    host.write(writer, b"abc", 3)
    assert ring.take() == []
    assert ring.get(layout.SQ_FLAGS) & layout.SQ_TASKRUN
    assert ring.go(1) == 0
    assert ring.take() == [(7, 3, 0)]
    assert not ring.get(layout.SQ_FLAGS) & layout.SQ_TASKRUN


@booted
def test_a_closed_ring_cancels_what_waits(machine: Machine) -> None:
    host = machine.host
    before = OPEN_FILES.count
    reader, writer = pipe(host)
    ring = Rings(host, 4)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(NOP, data=2, flags=layout.IO_DRAIN)
    assert ring.go() == 2
    work = host.task.async_work
    assert isinstance(work, TaskWork) and len(work.rings) == 1
    host.munmap(ring.rings, ring.size)
    host.munmap(ring.sqes, 64 * ring.entries)
    host.close(ring.fd)
    assert not work.rings and work.due.first is None
    host.close(reader)
    host.close(writer)
    host.nanosleep(struct.pack("<qq", 0, 50_000_000), 0)
    assert OPEN_FILES.count == before


@booted
def test_a_stream_is_accepted_and_received(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    listening = host.socket(1, 1, 0)
    address = struct.pack("<H", 1) + b"\0an abstract o"
    place = memory(host, address)
    host.bind(listening, place, 16)
    host.listen(listening, 5)
    client = host.socket(1, 1, 0)
    ring.fill(ACCEPT, listening, data=1)
    ring.fill(CONNECT, client, place, 0, 16, data=2)
    assert ring.go(2) == 2
    results = {data: result for data, result, _ in ring.take()}
    assert results[2] == 0 and results[1] > client
    accepted = results[1]
    ring.fill(RECV, accepted, place + 100, 50, data=3)
    assert ring.go() == 1
    ring.fill(SEND, client, place, 16, data=4)
    assert ring.go(2) == 1
    assert {data: result for data, result, _ in ring.take()} == {3: 16, 4: 16}
    assert host.load(place + 100, 16) == address


@booted
def test_a_file_may_be_opened_into_the_ring(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    name = memory(host, b"/tmp/zeros\0")
    fd = host.open("/tmp/zeros", os.O_CREAT | os.O_RDWR, 0o600)
    host.write(fd, bytes(10), 10)
    host.close(fd)
    host.io_uring_register(ring.fd, 2, struct.pack("<ii", -1, -1), 2)
    ring.fill(OPENAT, -100, name, data=1, index=2)
    ring.fill(READ, 1, name + 100, 10, data=2, flags=layout.FIXED_FILE)
    ring.fill(CLOSE, 0, data=3, index=2)
    ring.fill(READ, 1, name + 100, 10, data=4, flags=layout.FIXED_FILE)
    assert ring.go() == 4
    found = ring.take()
    assert found == [(1, 0, 0), (2, 10, 0), (3, 0, 0), (4, -errno.EBADF, 0)], found


@booted
def test_any_address_may_be_named_with_a_registered_buffer(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8, layout.SETUP_SUBMIT_ALL)
    reader, _ = pipe(host)
    room = memory(host, b"abc")
    host.io_uring_register(ring.fd, 0, struct.pack("<QQ", room + 1, 100), 1)
    assert host.load(room, 3) == b"abc"
    for address in (1 << 63, (1 << 64) - 1, 0, room, room + 100):
        ring.fill(READ_FIXED, reader, address, 4, data=1)
    assert ring.go() == 5
    assert [result for _, result, _ in ring.take()] == [-errno.EFAULT] * 5


@booted
def test_a_new_program_has_no_requests(machine: Machine) -> None:
    host = machine.host
    reader, _ = pipe(host)

    def after(program: Program) -> int:
        work = program.task.async_work
        return 0 if isinstance(work, TaskWork) and not work.rings and work.due.first is None else 1

    def child(program: Program) -> int:
        ring = Rings(program, 4)
        ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
        assert ring.go() == 1
        program.execve("/after", [b"after"], [])
        return 2

    machine.install("/after", after)
    assert machine.wait(host.fork(child)) == 0


@booted
def test_provided_buffers_are_taken_when_something_comes(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    room = memory(host)
    ends = bytearray(8)
    host.socketpair(1, 1, 0, ends)
    ours, theirs = struct.unpack("<ii", ends)
    ring.fill(PROVIDE_BUFFERS, 2, room, 8, 10, data=1, group=3)
    ring.fill(RECV, ours, data=2, flags=layout.BUFFER_SELECT, priority=2, group=3)
    assert ring.go() == 2
    assert ring.take() == [(1, 0, 0)]
    host.write(theirs, b"abc", 3)
    assert ring.take() == [(2, 3, layout.CQE_MORE | layout.CQE_BUFFER | 10 << 16)]
    host.write(theirs, b"defg", 4)
    assert ring.take() == [(2, 4, layout.CQE_MORE | layout.CQE_BUFFER | 11 << 16), (2, -errno.ENOBUFS, 0)]
    assert host.load(room, 12) == b"abc" + bytes(5) + b"defg"


@booted
def test_a_ring_of_buffers_goes_by_its_tail(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    place, room = memory(host), memory(host)
    host.io_uring_register(ring.fd, 22, struct.pack("<QIHH24x", place, 4, 5, 0), 1)
    reader, writer = pipe(host)
    ring.fill(READ, reader, length=100, data=3, flags=layout.BUFFER_SELECT, group=5)
    assert ring.go() == 1
    assert ring.take() == [(3, -errno.ENOBUFS, 0)]  # though there is nothing to read
    host.store(place, struct.pack("<QIHH", room, 6, 77, 1))
    ring.fill(READ, reader, length=100, data=1, flags=layout.BUFFER_SELECT, group=5)
    assert ring.go() == 1
    host.write(writer, b"0123456789", 10)
    assert ring.take() == [(1, 6, layout.CQE_BUFFER | 77 << 16)]
    ring.fill(READ, reader, length=100, data=2, flags=layout.BUFFER_SELECT, group=5)
    ring.go(1)
    assert ring.take() == [(2, -errno.ENOBUFS, 0)]
    with pytest.raises(OSError) as caught:
        host.io_uring_register(ring.fd, 22, struct.pack("<QIHH24x", place, 4, 5, 0), 1)
    assert caught.value.errno == errno.EEXIST
    host.io_uring_register(ring.fd, 23, struct.pack("<QIHH24x", 0, 0, 5, 0), 1)


@booted
def test_an_ended_ring_begins_nothing(machine: Machine) -> None:
    host = machine.host
    before = OPEN_FILES.count
    reader, writer = pipe(host)
    other, other_writer = pipe(host)
    room = memory(host)
    ring = Rings(host, 4)
    ring.fill(READ, reader, room, 4, data=1, flags=layout.IO_HARDLINK)
    ring.fill(READ, other, room, 4, data=2)
    assert ring.go() == 2
    work = host.task.async_work
    assert isinstance(work, TaskWork) and len(work.rings) == 1
    host.munmap(ring.rings, ring.size)
    host.munmap(ring.sqes, 64 * ring.entries)
    host.close(ring.fd)
    assert not work.rings
    assert host.task.space.ring_pages == 0
    for fd in (reader, writer, other, other_writer):
        host.close(fd)
    host.nanosleep(struct.pack("<qq", 0, 50_000_000), 0)
    assert OPEN_FILES.count == before


@booted
def test_what_stands_behind_a_link_is_counted(machine: Machine) -> None:
    host = machine.host
    reader, _ = pipe(host)
    ring = Rings(host, 64)
    file = host.task.files.get(ring.fd)
    before = file.held_bytes()
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN, flags=layout.IO_LINK)
    for _ in range(49):
        ring.fill(NOP, data=2, flags=layout.IO_LINK)
    ring.fill(NOP, data=2)
    assert ring.go() == 51
    work = host.task.async_work
    assert isinstance(work, TaskWork)
    assert file.held_bytes() - before >= 51 * 500
    assert work.held_bytes(-3) > 51 * 500
    assert work.held_bytes(-3) == 0  # once in each count
    ring.fill(ASYNC_CANCEL, address=1, data=3)
    ring.go(52)
    ring.take()
    assert file.held_bytes() == before


@booted
def test_messages_are_put_aside_up_to_a_bound(machine: Machine) -> None:
    host = machine.host
    target, ring = Rings(host, 1), Rings(host, 4)
    results: list[int] = []
    for number in range(6):  # two find room, one is put aside; then the program says that it took two, and never looks
        target.put(layout.CQ_HEAD, 0 if number < 3 else 2)
        ring.fill(MSG_RING, target.fd, 0, 0, number, data=number)
        assert ring.go(1) == 1
        results.append(ring.take()[0][1])
    assert results == [0, 0, 0, 0, -errno.EOVERFLOW, -errno.EOVERFLOW]


@booted
def test_a_message_that_is_tried_again_is_whole(machine: Machine) -> None:
    host = machine.host
    receiver = host.socket(1, 2, 0)
    sender = host.socket(1, 2, 0)
    room = memory(host, struct.pack("<H", 1) + b"\0a full receiver")
    host.bind(receiver, room, 18)
    host.connect(sender, room, 18)
    host.store(room + 100, b"hello")
    host.store(room + 200, struct.pack("<QQ", room + 100, 2))
    host.store(room + 216, struct.pack("<QQ", room + 102, 3))
    host.store(room + 300, struct.pack("<QQQQQQQ", 0, 0, room + 200, 2, 0, 0, 0))
    queued = 0
    while True:
        try:
            host.sendto(sender, room + 100, 1, 0x40, 0, 0)
        except BlockingIOError:
            break
        queued += 1
    ring = Rings(host, 4)
    ring.fill(SENDMSG, sender, room + 300, 1, data=1)
    assert ring.go() == 1
    assert ring.take() == []
    for _ in range(queued):
        assert host.recvfrom(receiver, room + 400, 100, 0x40, 0, 0) == 1
    assert ring.take() == [(1, 5, 0)]
    assert host.recvfrom(receiver, room + 400, 100, 0x40, 0, 0) == 5
    assert host.load(room + 400, 5) == b"hello"


@booted
def test_a_linked_update_of_files_finds_none_any_more(machine: Machine) -> None:
    host = machine.host
    reader, writer = pipe(host)
    room = memory(host, struct.pack("<i", reader))
    ring = Rings(host, 4)
    host.io_uring_register(ring.fd, 2, struct.pack("<ii", -1, -1), 2)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN, flags=layout.IO_LINK)
    ring.fill(FILES_UPDATE, -1, room, 1, 1, data=2)
    assert ring.go() == 2
    host.io_uring_register(ring.fd, 3, 0, 0)
    host.write(writer, b"x", 1)
    assert ring.take() == [(1, POLLIN, 0), (2, -errno.ENXIO, 0)]


@booted
def test_a_poll_of_its_own_ring_ends(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    ring.fill(POLL_ADD, ring.fd, length=1, data=1, modifiers=POLLIN)
    ring.fill(NOP, data=2)
    assert ring.go() == 2
    assert ring.take() == [(2, 0, 0), (1, POLLIN, 0)]


@booted
def test_a_wait_that_is_renamed_is_found_by_its_new_name(machine: Machine) -> None:
    host = machine.host
    reader, _ = pipe(host)
    ring = Rings(host, 8)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(POLL_REMOVE, address=1, offset=9, length=4, data=2)
    ring.fill(POLL_REMOVE, address=9, data=3)
    ring.fill(POLL_REMOVE, address=9, data=4)
    ring.fill(POLL_REMOVE, address=1, data=5)
    assert ring.go(6) == 6
    found = {(data, result) for data, result, _ in ring.take()}
    gone = -errno.ECANCELED
    assert found == {(2, 0), (3, 0), (9, gone), (4, -errno.ENOENT), (5, 0), (1, gone)}


@booted
def test_a_connect_that_does_not_wait_leaves_the_flags_of_its_socket(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 8)
    client = host.socket(2, 1, 0)
    place = memory(host, struct.pack("<H", 2) + bytes([0x1F, 0x90, 127, 0, 0, 1]) + bytes(8))
    judged = TcpSocket.judged_peer
    seen: list[int] = []

    def rests(connecting: TcpSocket, name: bytes) -> bytes:
        seen.append(host.fcntl(client, F_GETFL, 0))  # another thread
        host.fcntl(client, F_SETFL, os.O_NONBLOCK)
        return judged(connecting, name)

    ring.fill(CONNECT, client, place, 0, 16, data=1)
    with patch.object(TcpSocket, "judged_peer", rests):
        assert ring.go(1) == 1
    assert ring.take() == [(1, -errno.ENETUNREACH, 0)]  # loopback is down
    assert seen == [os.O_RDWR]
    assert host.fcntl(client, F_GETFL, 0) == os.O_RDWR | os.O_NONBLOCK


@booted
def test_two_that_cancel_at_once_find_all(machine: Machine) -> None:
    host = machine.host
    readers = [pipe(host)[0], pipe(host)[0]]
    ring = Rings(host, 16)
    for number in range(6):
        ring.fill(POLL_ADD, readers[number // 2 % 2], data=number, modifiers=POLLIN)
    assert ring.go() == 6
    file = host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    flags = cancel.CANCEL_FD | cancel.CANCEL_ALL
    wanted = [cancel.Wanted(flags, 0, 0, host.task.files.get(reader)) for reader in readers]
    found: list[int] = []

    def find(number: int) -> None:
        found.append(cancel.cancel(file.ring, wanted[number]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cancel, "pace", lambda cost: yield_now())
        pid = host.fork(lambda program: find(1))
        find(0)
        assert machine.wait(pid) == 0
    assert sorted(found) == [2, 4]
    host.getpid()  # on its way back the task ends them
    assert {(data, result) for data, result, _ in ring.take()} == {(data, -errno.ECANCELED) for data in range(6)}


@booted
def test_a_request_is_found_though_another_of_its_name_ends_meanwhile(machine: Machine) -> None:
    host = machine.host
    reader, _ = pipe(host)
    time = memory(host, struct.pack("<qq", 1000, 0))
    ring = Rings(host, 16)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(TIMEOUT, address=time, length=1, data=1)
    ring.fill(TIMEOUT, address=time, length=1, data=1)
    assert ring.go() == 3
    file = host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    latest = file.ring.latest_of(1)
    assert latest is not None
    passed = latest.same_links[NEXT]
    assert passed is not None
    with meanwhile(lambda: finish(passed, 0)):
        found = cancel.find(file.ring, 1, POLL_ADD, POLL_ADD)
    assert found is file.ring.requests.first() and found is not None


@booted
def test_the_end_of_a_ring_reaches_those_behind_one_that_ends_meanwhile(machine: Machine) -> None:
    host = machine.host
    reader, _ = pipe(host)
    ring = Rings(host, 16)
    for number in range(5):
        ring.fill(POLL_ADD, reader, data=number, modifiers=POLLIN)
    assert ring.go() == 5
    file = host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    first = file.ring.requests.first()
    assert first is not None
    second = first.after()
    assert second is not None

    def others() -> None:
        for request in (first, second):
            finish(request, 0)

    with meanwhile(others):
        file.close()
    request = file.ring.requests.first()
    while request is not None:
        assert request.is_settled()
        request = request.after()


UNREGISTER_BUFFERS = 1
REGISTER_FILES = 2
UNREGISTER_FILES = 3


@booted
def test_files_are_unregistered_when_their_users_have_ended(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    reader, writer = pipe(host)
    host.io_uring_register(ring.fd, REGISTER_FILES, struct.pack("<i", reader), 1)
    ring.fill(READ, 0, memory(host), 20, data=7, flags=layout.FIXED_FILE)
    ring.go()

    def write_later(child: Program) -> int:
        child.nanosleep(struct.pack("<qq", 0, 50_000_000), None)
        return 0 if child.write(writer, b"abc", 3) == 3 else 1

    child = host.fork(write_later)
    assert host.io_uring_register(ring.fd, UNREGISTER_FILES, 0, 0) == 0
    assert ring.take() == [(7, 3, 0)]
    assert not ring_of(machine, ring).registered.files.exists
    host.wait4(child, None, 0, None)


@booted
def test_a_signal_ends_the_wait_for_users_of_files(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    reader, writer = pipe(host)
    host.io_uring_register(ring.fd, REGISTER_FILES, struct.pack("<ii", reader, writer), 2)
    ring.fill(READ, 0, memory(host), 20, data=7, flags=layout.FIXED_FILE)
    ring.go()
    me = host.getpid()

    def alarm(child: Program) -> int:
        child.nanosleep(struct.pack("<qq", 0, 50_000_000), None)
        with pytest.raises(OSError) as refused:
            child.io_uring_register(ring.fd, UNREGISTER_FILES, 0, 0)
        assert refused.value.errno == errno.ENXIO  # it is being done
        child.kill(me, 64)
        return 0

    child = host.fork(alarm)
    with pytest.raises(OSError) as interrupted:
        host.io_uring_register(ring.fd, UNREGISTER_FILES, 0, 0)
    assert interrupted.value.errno == errno.EINTR
    status = bytearray(4)
    host.wait4(child, status, 0, None)
    assert status == bytes(4)
    ring.fill(WRITE, 1, memory(host, b"x"), 1, data=8, flags=layout.FIXED_FILE)
    ring.go(2)
    assert sorted(ring.take()) == [(7, 1, 0), (8, 1, 0)]
    assert host.io_uring_register(ring.fd, UNREGISTER_FILES, 0, 0) == 0


@booted
def test_buffers_are_unregistered_when_their_users_have_ended(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    reader, writer = pipe(host)
    buffer = memory(host)
    host.io_uring_register(ring.fd, 0, struct.pack("<QQ", buffer, 64), 1)
    ring.fill(READ_FIXED, reader, buffer, 20, data=7)
    ring.go()

    def write_later(child: Program) -> int:
        child.nanosleep(struct.pack("<qq", 0, 50_000_000), None)
        return 0 if child.write(writer, b"abc", 3) == 3 else 1

    child = host.fork(write_later)
    assert host.io_uring_register(ring.fd, UNREGISTER_BUFFERS, 0, 0) == 0
    assert ring.take() == [(7, 3, 0)]
    assert host.load(buffer, 3) == b"abc"
    host.wait4(child, None, 0, None)


@booted
def test_a_failed_read_uses_its_buffer_up(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    ring.fill(PROVIDE_BUFFERS, 8, memory(host), 16, 0, data=1, group=3)
    ring.go()
    reader, writer = pipe(host)
    directory = host.open("/", os.O_RDONLY, 0)
    ring.take()
    for fd, data in ((directory, 2), (writer, 3), (9999, 4)):
        ring.fill(READ, fd, 0, 8, data=data, flags=layout.BUFFER_SELECT, group=3)
    ring.go(3)
    buffer = layout.CQE_BUFFER
    assert ring.take() == [(2, -errno.EISDIR, buffer), (3, -errno.EBADF, buffer | 1 << 16), (4, -errno.EBADF, 0)]
    ring.fill(READ, reader, 0, 8, data=5, flags=layout.BUFFER_SELECT, group=3)
    ring.go()
    ring.fill(ASYNC_CANCEL, -1, 5, data=6)
    ring.go(2)
    assert sorted(ring.take()) == [(5, -errno.ECANCELED, buffer | 2 << 16), (6, 0, 0)]
    ring.fill(READ, reader, 0, 8, data=7, flags=layout.BUFFER_SELECT, group=3)
    ring.go()
    host.write(writer, b"abc", 3)
    ring.go(1)
    assert ring.take() == [(7, 3, buffer | 3 << 16)]  # the one that it had while it waited


@booted
def test_a_failed_read_of_a_pipe_leaves_a_ring_of_buffers(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    place, room = memory(host), memory(host)
    host.io_uring_register(ring.fd, 22, struct.pack("<QIHH24x", place, 4, 5, 0), 1)
    host.store(place, struct.pack("<QIHHQIHH", room, 8, 77, 2, room, 8, 78, 0))
    _, writer = pipe(host)
    directory = host.open("/", os.O_RDONLY, 0)
    for fd, data in ((writer, 1), (directory, 2), (writer, 3)):
        ring.fill(READ, fd, 0, 8, data=data, flags=layout.BUFFER_SELECT, group=5)
    ring.go(3)
    used = layout.CQE_BUFFER | 77 << 16
    assert ring.take() == [(1, -errno.EBADF, 0), (2, -errno.EISDIR, used), (3, -errno.EBADF, 0)]


@booted
def test_what_receives_nothing_uses_no_buffer_up(machine: Machine) -> None:
    host = machine.host
    ring = Rings(host, 4)
    address = memory(host)
    ring.fill(PROVIDE_BUFFERS, 8, address, 16, 0, data=1, group=3)
    ring.go()
    ring.take()
    ends = bytearray(8)
    host.socketpair(1, 1, 0, ends)
    left, right = struct.unpack("<ii", ends)
    vector = memory(host, struct.pack("<QQ", 0, 4))
    header = memory(host, struct.pack("<QQQQQQQ", 0, 0, vector, 1, 0, 0, 0))
    host.write(right, b"abcdef", 6)
    ring.fill(RECVMSG, left, header, 1, data=2, flags=layout.BUFFER_SELECT, group=3)
    ring.fill(RECV, left, 0, 16, data=3, flags=layout.BUFFER_SELECT, group=3)
    ring.go(2)
    assert ring.take() == [(2, 4, layout.CQE_BUFFER), (3, 2, layout.CQE_BUFFER | 1 << 16)]
    assert host.load(address, 4) == b"abcd" and host.load(address + 16, 2) == b"ef"
    host.close(right)
    ring.fill(RECV, left, 0, 16, data=4, flags=layout.BUFFER_SELECT, group=3)
    ring.fill(RECVMSG, left, header, 1, data=5, flags=layout.BUFFER_SELECT, group=3)
    ring.go(2)
    assert ring.take() == [(4, 0, 0), (5, 0, 0)]


@booted
def test_a_ring_is_described(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    ring = Rings(host, 4)
    reader, _ = pipe(host)
    host.io_uring_register(ring.fd, REGISTER_FILES, struct.pack("<ii", reader, -1), 2)
    ring.fill(POLL_ADD, reader, data=1, modifiers=POLLIN)
    ring.fill(NOP, data=(1 << 64) - 1)
    ring.go()
    ring.fill(READ, 5, 0x1234, 16, -1, data=1 << 63, flags=layout.IO_LINK)
    ring.put(layout.SQ_TAIL, ring.tail)
    fd = host.open(f"/proc/self/fdinfo/{ring.fd}", os.O_RDONLY, 0)
    shown = _read_all(host, fd)
    assert "SqMask:\t0x3\nSqHead:\t2\nSqTail:\t3\nCachedSqHead:\t2\nCqMask:\t0x7\n" in shown
    assert "    2: opcode:READ, fd:5, flags:4, off:18446744073709551615, addr:0x1234, rw_flags:0x0, " in shown
    assert "buf_index:0 user_data:9223372036854775808\nCQEs:\t1\n" in shown
    assert "    0: user_data:18446744073709551615, res:0, flag:0\nSqThread:\t-1\n" in shown
    assert "UserFiles:\t2\n    0: \n    1: <none>\nUserBufs:\t0\nPollList:\n  op=6, task_works=0\n" in shown
    assert shown.endswith("CqOverflowList:\nNAPI:\tdisabled\n")


def _read_all(program: Program, fd: int) -> str:
    found = b""
    while True:
        piece = bytearray(4096)
        count = program.read(fd, piece, 4096)
        if count == 0:
            return found.decode()
        found += piece[:count]


def ring_of(machine: Machine, ring: Rings) -> Ring:
    file = machine.host.task.files.get(ring.fd)
    assert isinstance(file, UringFile)
    return file.ring
