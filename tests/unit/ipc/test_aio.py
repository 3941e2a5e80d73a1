"""Asynchronous I/O: the sizes of rings, and on a booted machine what happens to contexts that several threads use,
whose rings are moved or unmapped, or that end with requests under way.
"""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.fs.file import File
from kernel.ipc.aio import EVENT_SIZE, TOTAL, AioContexts, ring_size, slot_count
from kernel.ipc.aio_poll import PollRequest
from kernel.lang import EAGAIN, EINVAL, Errno
from kernel.mm.frames import PAGE_SIZE, free_frame_count
from kernel.sched import PollWaiter, sleep_until, yield_now
from kernel.syscalls import io_getevents, io_submit
from kernel.task.task import current
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tools.simulated.code import Main
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SIGCHLD = 17
CLONE_VM = 0x100
CLONE_FILES = 0x400
PREAD = 0
POLL = 5
POLLIN = 1
RESFD = 1
STACK_BYTES = 4 * PAGE_SIZE
NONBLOCK = 0o4000
PROT_READ_WRITE = 3
PROT_EXEC = 4
PRIVATE = 0x22
MAYMOVE = 1
DONTUNMAP = 4


@pytest.mark.parametrize(
    ("wanted", "processors", "events"),
    [(1, 1, 127), (40, 1, 127), (121, 1, 255), (3280, 1, 6655), (1, 32, 383)],
)
def test_a_ring_has_as_many_events_as_on_linux(wanted: int, processors: int, events: int) -> None:
    count, size_bytes = ring_size(wanted, processors)
    assert count == events and size_bytes % PAGE_SIZE == 0
    assert 32 + events * EVENT_SIZE <= size_bytes


@pytest.mark.parametrize(
    ("wanted", "error"),
    [(0x400001, EINVAL), (0x7FFF_FFFF, EINVAL), (0x8000_0000, EAGAIN), (0x8000_0001, EAGAIN), (65537, EAGAIN)],
)
def test_too_many_are_refused(wanted: int, error: int) -> None:
    with pytest.raises(Errno) as caught:
        ring_size(wanted, 1)
    assert caught.value.code == error


@given(st.integers(2, 1 << 20), st.integers(1, 64))
def test_requests_never_outnumber_events(events: int, processors: int) -> None:
    slots = slot_count(events, processors)
    assert 0 < slots < events and slots > events - 2 - events // (processors * 4)


# ---- On a machine ---------------------------------------------------------------------------------------------------


def room(program: Program, size_bytes: int) -> int:
    return program.mmap(0, size_bytes, PROT_READ_WRITE, PRIVATE, -1, 0)


def thread(program: Program, main: Main) -> int:
    """Start `main` in the same memory, with the same files. It is waited for as a child."""
    top = room(program, STACK_BYTES) + STACK_BYTES
    program.frame.r15 = program.code.add_main(main)
    try:
        return program.clone(CLONE_VM | CLONE_FILES | SIGCHLD, top, 0, 0, 0)
    finally:
        program.frame.r15 = 0


def setup(program: Program, count: int) -> int:
    name = bytearray(8)
    program.io_setup(count, name)
    return int.from_bytes(name, "little")


def submit(
    program: Program, context: int, command: int, descriptor: int, buffer: int, length: int, bell: int = -1
) -> int:
    """Submit one request, whose iocb gets a place of its own."""
    block = room(program, PAGE_SIZE)
    flags = RESFD if bell >= 0 else 0
    fields = struct.pack("<QIiHhiQQqQIi", block, 0, 0, command, 0, descriptor, buffer, length, 0, 0, flags, bell)
    program.store(block, fields)
    return program.io_submit(context, 1, struct.pack("<Q", block))


def pair(program: Program) -> tuple[int, int]:
    numbers = bytearray(8)
    program.pipe2(numbers, 0)
    reader, writer = struct.unpack("<ii", numbers)
    return reader, writer


def status_of(program: Program, child: int) -> int:
    status = bytearray(4)
    assert program.wait4(child, status, 0, 0) == child
    return int.from_bytes(status, "little")


def code_of(call: object, *arguments: object) -> int:
    """The errno of a call that fails."""
    assert callable(call)
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno is not None
        return error.errno
    return 0


@booted
def test_who_waits_for_events_hears_of_the_end(machine: Machine) -> None:
    def child(program: Program) -> int:
        context = setup(program, 10)

        def waiting(program: Program) -> int:
            return code_of(program.io_getevents, context, 1, 1, room(program, PAGE_SIZE), None)

        waiter = thread(program, waiting)
        program.sched_yield()
        assert program.io_destroy(context) == 0
        assert status_of(program, waiter) == errno.EINVAL << 8
        assert TOTAL.count == 0
        return 0

    assert machine.run(child) == 0


@booted
def test_the_end_waits_for_a_thread_that_reads(machine: Machine) -> None:
    def child(program: Program) -> int:
        context = setup(program, 10)
        reader, writer = pair(program)

        def reading(program: Program) -> int:
            return submit(program, context, PREAD, reader, room(program, PAGE_SIZE), 10)

        def destroying(program: Program) -> int:
            return code_of(program.io_destroy, context)

        first = thread(program, reading)
        program.sched_yield()
        second = thread(program, destroying)
        program.sched_yield()
        assert program.wait4(second, None, 1, 0) == 0  # WNOHANG
        assert code_of(program.io_destroy, context) == errno.EINVAL
        program.write(writer, b"x", 1)
        assert status_of(program, first) == 1 << 8
        assert status_of(program, second) == 0
        return 0

    assert machine.run(child) == 0


@booted
def test_no_event_is_given_out_twice(machine: Machine) -> None:
    """Two threads take events and each lets the other run between any two parts of what it copies."""

    def child(program: Program) -> int:
        context = setup(program, 100)
        empty = program.memfd_create(b"empty", 0)
        for _ in range(100):
            submit(program, context, PREAD, empty, room(program, PAGE_SIZE), 1)
        setattr(io_getevents, "pace", lambda _: yield_now())  # noqa: B010

        def taking(program: Program) -> int:
            return program.io_getevents(context, 0, 60, room(program, PAGE_SIZE), None)

        first = thread(program, taking)
        second = thread(program, taking)
        counts = sorted([status_of(program, first) >> 8, status_of(program, second) >> 8])
        assert counts == [40, 60]
        return 0

    assert machine.run(child) == 0


@booted
def test_events_that_do_not_fit_stay(machine: Machine) -> None:
    def child(program: Program) -> int:
        context = setup(program, 100)
        empty = program.memfd_create(b"empty", 0)
        for _ in range(20):
            submit(program, context, PREAD, empty, room(program, PAGE_SIZE), 1)
        place = room(program, 2 * PAGE_SIZE)
        program.munmap(place + PAGE_SIZE, PAGE_SIZE)
        edge = place + PAGE_SIZE - 17 * EVENT_SIZE
        assert code_of(program.io_getevents, context, 1, 30, edge, None) == errno.EFAULT
        assert program.io_getevents(context, 1, 30, place, None) == 20
        return 0

    assert machine.run(child) == 0


@booted
def test_a_ring_keeps_its_size_and_its_program(machine: Machine) -> None:
    def child(program: Program) -> int:
        context = setup(program, 1000)
        assert code_of(program.mprotect, context, PAGE_SIZE, 1 | PROT_EXEC) == errno.EACCES
        assert code_of(program.mremap, context, PAGE_SIZE, 2 * PAGE_SIZE, MAYMOVE, 0) == errno.EFAULT
        assert code_of(program.mremap, context, 0, PAGE_SIZE, MAYMOVE, 0) == errno.EFAULT
        assert code_of(program.mremap, context, PAGE_SIZE, PAGE_SIZE, MAYMOVE | DONTUNMAP, 0) == errno.EINVAL

        def forked(program: Program) -> int:
            target = room(program, PAGE_SIZE)
            assert code_of(program.io_destroy, context) == errno.EINVAL
            return code_of(program.mremap, context, PAGE_SIZE, PAGE_SIZE, MAYMOVE | 2, target)

        assert status_of(program, program.fork(forked)) == errno.EINVAL << 8
        size_bytes = 16 * PAGE_SIZE  # of 2,002 events
        assert int.from_bytes(program.load(context + 4, 4), "little") == (size_bytes - 32) // EVENT_SIZE
        moved = program.mremap(context, size_bytes, size_bytes, MAYMOVE | 2, room(program, size_bytes))
        assert code_of(program.io_destroy, context) == errno.EINVAL
        assert program.io_destroy(moved) == 0
        return 0

    assert machine.run(child) == 0


@booted
def test_a_ring_that_nobody_maps_counts_for_its_program(machine: Machine) -> None:
    def child(program: Program) -> int:
        context = setup(program, 1000)
        contexts = current().space.contexts
        assert isinstance(contexts, AioContexts)
        size_bytes = ring_size(1000, 1)[1]
        mapped = contexts.held_bytes()
        assert 0 < mapped < PAGE_SIZE
        program.munmap(context, PAGE_SIZE)
        assert contexts.held_bytes() == mapped
        program.munmap(context + PAGE_SIZE, size_bytes - PAGE_SIZE)
        assert contexts.held_bytes() == mapped + size_bytes
        other = setup(program, 10)
        program.io_destroy(other)
        assert contexts.held_bytes() == mapped + size_bytes
        assert TOTAL.count == 1000
        return 0

    assert machine.run(child) == 0
    assert TOTAL.count == 0


@booted
@pytest.mark.parametrize("ending", ["destroy", "exit", "kill"])
def test_the_end_cancels_what_waits_and_leaves_nothing(machine: Machine, ending: str) -> None:
    def child(program: Program) -> int:
        bell = program.eventfd2(0, NONBLOCK)

        def begin(program: Program) -> int:
            context = setup(program, 40)
            reader, writer = pair(program)
            for _ in range(30):
                submit(program, context, POLL, reader, POLLIN, 0, bell)
            assert code_of(program.read, bell, bytearray(8), 8) == errno.EAGAIN
            program.close(reader)
            program.close(writer)
            if ending == "destroy":
                assert program.io_destroy(context) == 0
            if ending == "kill":
                program.kill(program.getpid(), 9)
            return 0

        free = 0
        for turn in range(6):
            status_of(program, program.fork(begin))
            count = bytearray(8)
            assert program.read(bell, count, 8) == 8
            assert int.from_bytes(count, "little") == 30
            for _ in range(10):
                program.sched_yield()  # the thread "async" lets files go
            if turn == 2:
                free = free_frame_count()
        assert free_frame_count() >= free - 1
        assert TOTAL.count == 0
        return 0

    assert machine.run(child) == 0


@booted
def test_what_was_submitted_is_told_though_memory_is_short(machine: Machine) -> None:
    def child(program: Program) -> int:
        context = setup(program, 40)
        reader, _ = pair(program)
        blocks: list[int] = []
        for _ in range(3):
            block = room(program, PAGE_SIZE)
            program.store(block, struct.pack("<QIiHhiQQqQIi", 0, 0, 0, POLL, 0, reader, POLLIN, 0, 0, 0, 0, 0))
            blocks.append(block)
        real = PollRequest
        made: list[object] = []

        def short(*arguments: object) -> object:
            if len(made) == 2:
                raise MemoryError
            made.append(arguments)
            return real(*arguments)  # type: ignore[arg-type]  # as they came

        setattr(io_submit, "PollRequest", short)  # noqa: B010
        assert program.io_submit(context, 3, struct.pack("<QQQ", *blocks)) == 2
        assert program.io_destroy(context) == 0
        return 0

    assert machine.run(child) == 0


@booted
def test_a_request_that_is_woken_before_it_waits_is_done_once(machine: Machine) -> None:
    """Asking a file of a FUSE file system sleeps, with its queue already watched."""

    def child(program: Program) -> int:
        context = setup(program, 40)
        reader, writer = pair(program)
        file = current().files.get(reader)
        poll = type(file).poll

        def late(asked: File, waiter: PollWaiter | None) -> int:
            ready = poll(asked, waiter)
            if waiter is not None:
                thread(program, lambda program: program.write(writer, b"x", 1))
                sleep_until(monotonic_ns() + 100_000_000)
            return ready

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(file), "poll", late)
            assert submit(program, context, POLL, reader, POLLIN, 0) == 1
        assert program.io_getevents(context, 1, 2, room(program, PAGE_SIZE), None) == 1
        contexts = current().space.contexts
        assert isinstance(contexts, AioContexts) and contexts.later_count == 0
        assert program.io_destroy(context) == 0
        return 0

    assert machine.run(child) == 0
