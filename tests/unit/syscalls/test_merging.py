"""Merging equal pages by system calls, on a booted machine: the thread, its settings, and lack of memory."""

import pytest

from kernel.mm.mergeable_space import MERGEABLE
from kernel.mm.merged_pages import MERGED
from kernel.mm.merging import MERGE, SETTINGS, STOP
from kernel.task.page_merging import THREAD, set_run
from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, check_each
from tests.unit.syscalls.test_huge_pages import show_proc, store, text_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
READ_WRITE = 3
PRIVATE = 0x22
MERGEABLE_ADVICE, UNMERGEABLE_ADVICE = 12, 13
SET_MERGE, GET_MERGE = 67, 68
KSM = "/sys/kernel/mm/ksm/"


def show_sys(program: Program) -> None:
    program.mkdir("/sys", 0o755)
    program.mount("none", "/sys", "sysfs", 0, None)


def searches() -> bool:
    """Whether the thread is there."""
    return THREAD.runs


def equal_pages(program: Program, count: int) -> int:
    place = program.mmap(0, count * PAGE, READ_WRITE, PRIVATE, -1, 0)
    for number in range(count):
        program.store(place + number * PAGE, b"equal")
    program.madvise(place, count * PAGE, MERGEABLE_ADVICE)
    return place


def until(program: Program, name: str, value: int) -> None:
    """Sleep until a figure has a value."""
    for _ in range(100):
        if int(text_of(program, KSM + name)) == value:
            return
        program.nanosleep((0).to_bytes(8, "little") + (20_000_000).to_bytes(8, "little"), None)
    assert int(text_of(program, KSM + name)) == value


@booted
def test_a_thread_merges_while_it_is_wanted(machine: Machine) -> None:
    host = machine.host
    show_sys(host)
    show_proc(host)
    store(host, KSM + "run", b"1\n")
    assert not searches()
    place = equal_pages(host, 4)
    assert searches()
    until(host, "pages_sharing", 3)
    assert text_of(host, KSM + "pages_shared") == "1\n"
    assert "ksm_merging_pages 4\n" in text_of(host, "/proc/self/ksm_stat")
    assert text_of(host, "/proc/self/ksm_merging_pages") == "4\n"
    for name, text in (("max_page_sharing", b"16"), ("merge_across_nodes", b"0")):
        with pytest.raises(OSError, match="EBUSY"):
            store(host, KSM + name, text)
    host.store(place, b"other")
    assert host.load(place + PAGE, 5) == b"equal"
    assert "cow_ksm 1\n" in text_of(host, "/proc/vmstat")
    store(host, KSM + "run", b"2")
    assert (MERGED.count, MERGED.sharing()) == (0, 0)
    assert [host.load(place + number * PAGE, 5) for number in range(4)] == [b"other", b"equal", b"equal", b"equal"]
    host.nanosleep((0).to_bytes(8, "little") + (50_000_000).to_bytes(8, "little"), None)
    assert not searches()


@booted
def test_the_end_of_a_program(machine: Machine) -> None:
    host = machine.host
    show_sys(host)
    store(host, KSM + "run", b"1\n")

    def child(program: Program) -> int:
        equal_pages(program, 3)
        until(program, "pages_sharing", 2)
        return 0

    assert machine.run(child) == 0
    assert MERGED.count == 0
    assert MERGEABLE.is_empty()
    host.nanosleep((0).to_bytes(8, "little") + (50_000_000).to_bytes(8, "little"), None)
    assert not searches()


def leave(program: Program) -> None:
    """As the search does where it finds nothing mergeable."""
    state = MERGEABLE.first()
    assert state is not None
    state.space.merging = None
    state.end()


@booted
def test_advice_without_memory(machine: Machine) -> None:
    host = machine.host
    place = host.mmap(0, 4 * PAGE, READ_WRITE, PRIVATE, -1, 0)

    def undo(_: object) -> None:
        host.madvise(place, 4 * PAGE, UNMERGEABLE_ADVICE)
        leave(host)

    check_each(lambda: host.madvise(place, 4 * PAGE, MERGEABLE_ADVICE), undo, fewest=1)


@booted
def test_a_switch_without_memory(machine: Machine) -> None:
    host = machine.host

    def undo(_: object) -> None:
        assert host.prctl(GET_MERGE, 0, 0, 0, 0) == 1
        host.prctl(SET_MERGE, 0, 0, 0, 0)
        assert host.prctl(GET_MERGE, 0, 0, 0, 0) == 0
        leave(host)

    check_each(lambda: host.prctl(SET_MERGE, 1, 0, 0, 0), undo, fewest=1)


@booted
def test_a_start_without_memory(machine: Machine) -> None:
    host = machine.host
    show_sys(host)
    place = equal_pages(host, 1)
    with Scarcity(1, lasts=True), pytest.raises(MemoryError):
        set_run(MERGE)
    assert (SETTINGS.run, THREAD.runs) == (STOP, False)
    store(host, KSM + "run", b"1")
    assert searches()
    host.munmap(place, PAGE)
