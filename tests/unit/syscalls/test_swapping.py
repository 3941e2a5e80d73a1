"""Swapping with others at work meanwhile, without memory, and with disks that fail."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from arch.programs import PRESENT, WRITABLE, entry_frame, entry_slot, write_entry
from kernel.cache import swap_areas, swapper
from kernel.cache.swap_areas import TRANSFERS, DeviceArea
from kernel.fs.procfs.process_memory import read_memory
from kernel.fs.tmpfs import file as tmpfs_file
from kernel.lang import ENOMEM
from kernel.mm import fault
from kernel.mm.broken import BROKEN
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frame_tree import SWAPPABLE
from kernel.mm.frames import PAGE_SIZE, allocate_user_frame, frame_count
from kernel.mm.objects import SHARED_TOTALS
from kernel.mm.swap_slots import SWAP, Slot, SlotLoader
from kernel.mm.swapping import EVERYBODY, Taken
from kernel.sched.mutex import Mutex
from tests.unit.booted import booted
from tests.unit.fs.ext2.conftest import make_image
from tests.unit.syscalls.test_huge_pages import show_proc, store, text_of
from tests.unit.syscalls.test_swapon import (
    READ_WRITE,
    SHARED,
    attach,
    map_pages,
    out,
    page_out,
    swap_image,
    swapoff,
    swapon,
    swapped,
    sweep,
)
from tools.simulated.disk import attach_disk
from tools.simulated.machine import Machine
from tools.simulated.program import Program


class Meanwhile(SlotLoader):
    """While a slot is read, another thread acts, once."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act
        self.usual = SWAP.loader
        SWAP.loader = self

    def load(self, slot: Slot) -> None:
        self.usual.load(slot)
        act, self.act = self.act, None
        if act is not None:
            act()


def status_of(machine: Machine, main: Callable[[Program], int]) -> int:
    return os.waitstatus_to_exitcode(machine.run(main))


@booted
def test_a_debugger_writes_to_no_page_of_relatives(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 1)
    host.call("mprotect", place, PAGE_SIZE, 1)
    page_out(host, place, 1)

    def child(program: Program) -> int:
        memory = program.open("/proc/self/mem", os.O_RDWR, 0)
        assert program.pwrite64(memory, b"mine", 4, place) == 4
        assert program.load(place, 6) == b"mine 0"
        return 0

    assert status_of(machine, child) == 0
    assert host.load(place, 6) == b"page 0"


@booted
def test_a_write_to_a_page_of_relatives_copies_at_once(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 1)
    page_out(host, place, 1)

    def child(program: Program) -> int:
        space = program.task.space
        assert space.fault(place, Access.WRITE) == space.fault(place, Access.WRITE) == FaultOutcome.DONE
        assert space.pages.entry_of(place) & WRITABLE != 0
        program.store(place, b"mine")
        return 0

    assert status_of(machine, child) == 0
    assert host.load(place, 6) == b"page 0" and out() == 0


@booted
def test_shared_memory_that_ends_while_a_page_is_read_keeps_none(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    pages, trees, space = SHARED_TOTALS.pages, SWAPPABLE.first(), host.task.space
    place = map_pages(host, 1, SHARED)
    page_out(host, place, 1)
    Meanwhile(lambda: host.call("munmap", place, PAGE_SIZE))
    assert space.fault(place, Access.READ) == FaultOutcome.DONE
    assert space.fault(place, Access.READ) == FaultOutcome.NOT_MAPPED
    assert SHARED_TOTALS.pages == pages and SWAPPABLE.first() is trees and out() == 0


@booted
def test_a_file_in_memory_that_ends_while_a_page_is_read_keeps_none(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    pages, trees, space = SHARED_TOTALS.pages, SWAPPABLE.first(), host.task.space
    descriptor = host.call("memfd_create", "x", 0)
    host.write(descriptor, b"page", 4)
    place = host.call("mmap", 0, PAGE_SIZE, READ_WRITE, 1, descriptor, 0)
    host.close(descriptor)
    page_out(host, place, 1)
    assert out() == 1
    Meanwhile(lambda: host.call("munmap", place, PAGE_SIZE))
    assert space.fault(place, Access.READ) == FaultOutcome.DONE
    assert space.fault(place, Access.READ) == FaultOutcome.NOT_MAPPED
    assert SHARED_TOTALS.pages == pages and SWAPPABLE.first() is trees and out() == 0


@booted
def test_no_page_reappears_behind_a_new_end(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    descriptor = host.call("memfd_create", "x", 0)
    host.write(descriptor, b"page", 4)
    pages, space = SHARED_TOTALS.pages, host.task.space
    place = host.call("mmap", 0, PAGE_SIZE, READ_WRITE, 1, descriptor, 0)
    page_out(host, place, 1)
    Meanwhile(lambda: host.ftruncate(descriptor, 0))
    assert space.fault(place, Access.READ) == FaultOutcome.NO_SUCH_PAGE
    assert SHARED_TOTALS.pages == pages - 1
    host.pwrite64(descriptor, b"page", 4, 0)
    assert host.pread64(descriptor, bytearray(8), 8, 0) == 4


@booted
def test_a_read_ends_at_the_end_that_a_file_has_by_then(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    descriptor = host.call("memfd_create", "x", 0)
    host.write(descriptor, b"page", 4)
    sweep()
    Meanwhile(lambda: host.ftruncate(descriptor, 2))
    assert host.pread64(descriptor, bytearray(8), 8, 0) == 2


@booted
def test_a_bad_page_of_a_file_in_memory_ends_a_read_in_time(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine)
    swapon(host)
    descriptor = host.call("memfd_create", "x", 0)
    host.write(descriptor, b"page", 4)
    host.pwrite64(descriptor, b"page", 4, PAGE_SIZE)
    sweep()
    buffer = bytearray(4)
    assert host.pread64(descriptor, buffer, 4, 0) == 4 and buffer == b"page"
    for sector in range(8, 512):
        disk.bad_sectors[sector] = True
    assert host.pread64(descriptor, bytearray(8), 8, PAGE_SIZE - 4) == 4
    with pytest.raises(OSError, match="EIO"):
        host.pread64(descriptor, bytearray(8), 8, PAGE_SIZE)


@booted
def test_a_page_that_came_while_memory_was_awaited_stays(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    descriptor = host.call("memfd_create", "x", 0)
    place = host.call("mmap", 0, 2 * PAGE_SIZE, READ_WRITE, 1, descriptor, 0)
    host.ftruncate(descriptor, 2 * PAGE_SIZE)
    pages, waits = SHARED_TOTALS.pages, 0

    def fail() -> None:
        raise MemoryError

    def lack() -> None:
        monkeypatch.setattr(tmpfs_file, "allocate_user_frame", fail)

    def wait() -> bool:
        nonlocal waits
        waits += 1
        monkeypatch.setattr(tmpfs_file, "allocate_user_frame", allocate_user_frame)
        host.store(place, b"other program")
        return True

    lack()
    monkeypatch.setattr(tmpfs_file, "wait_for_swapping", wait)
    assert host.pwrite64(descriptor, b"OTHER", 5, 0) == 5 and waits == 1
    assert SHARED_TOTALS.pages == pages + 1 and host.load(place, 13) == b"OTHER program"
    lack()
    assert host.pwrite64(descriptor, bytes(PAGE_SIZE), PAGE_SIZE, 2 * PAGE_SIZE) == PAGE_SIZE and waits == 2
    lack()
    monkeypatch.setattr(tmpfs_file, "wait_for_swapping", lambda: False)
    with pytest.raises(OSError, match="ENOMEM"):
        host.pwrite64(descriptor, b"x", 1, 5 * PAGE_SIZE)


@booted
def test_a_private_page_is_shown_and_not_its_file(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    descriptor = host.call("memfd_create", "x", 0)
    host.write(descriptor, b"file", 4)
    place = host.call("mmap", 0, PAGE_SIZE, READ_WRITE, 2, descriptor, 0)
    host.store(place, b"copy")
    page_out(host, place, 1)
    assert out() == 1
    assert read_memory(host.task.space, place, place + 4) == b"copy"


@booted
def test_what_is_forbidden_is_so_while_it_comes_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 2)
    page_out(host, place, 2)
    host.call("mprotect", place, PAGE_SIZE, 0)
    entries: list[int] = []

    def note(slot: int, entry: int) -> None:
        if slot == host.task.space.pages.find(place):
            entries.append(entry)
        write_entry(slot, entry)

    monkeypatch.setattr(fault, "write_entry", note)
    swapoff(host)
    assert len(entries) == 1 and entries[0] & PRESENT == 0
    with pytest.raises(OSError, match="EFAULT"):
        host.call("statx", 0, place, 0, 0, 0)
    host.call("mprotect", place, PAGE_SIZE, READ_WRITE)
    assert host.load(place, 6) == b"page 0"
    host.store(place, b"w")


@booted
def test_what_there_was_no_memory_to_write_is_written_later(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.host
    disk = attach(machine)
    swapon(host)
    place = map_pages(host, 3)
    with monkeypatch.context() as patch:
        patch.setattr(swap_areas, "_transfer", lambda *_: ENOMEM)
        page_out(host, place, 3)
    assert swapped(host) == 3 and SWAP.count() == 3 and b"page 2" not in disk.image
    taken = Taken()
    assert swapper.swap_some(EVERYBODY, taken, 32, takes_used=False) == 3
    assert SWAP.count() == 0 and b"page 2" in disk.image and not SWAP.has_unwritten
    assert host.load(place, 6) == b"page 0"


@booted
def test_a_page_that_is_being_written_need_not_be_read(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 1)
    held: list[int] = []

    def transfer(*_: object) -> int:
        page = SWAP.first()
        assert page is not None and page.is_writing

        def written() -> None:
            held.append(frame_count(page.frame))
            page.is_writing = False
            page.is_dirty = False
            SWAP.transferred(page)

        monkeypatch.setattr(type(TRANSFERS), "wait_for_disk", lambda _: written())
        host.store(place, b"new")
        page.is_writing = True  # for the one who began
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(swap_areas, "_transfer", transfer)
        patch.setattr(swap_areas, "write_out", lambda taken: transfer())
        page_out(host, place, 1)
    assert held == [2] and SWAP.swapped_in == 0
    assert host.load(place, 6) == b"newe 0"


@booted
def test_nothing_is_added_to_an_area_that_fails_or_is_emptied(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    slot = SWAP.take(0)
    frame = host.task.space.pages.top  # any
    page = SWAP.enter(slot, frame)
    area = SWAP.area(slot)
    assert isinstance(area, DeviceArea)
    page.is_dirty = True
    assert SWAP.takes_users(page)
    area.is_failing = True
    assert not SWAP.takes_users(page)
    page.is_dirty = False
    assert SWAP.takes_users(page)
    free, total = SWAP.free(), SWAP.total()
    area.is_open = False
    assert not SWAP.takes_users(page)
    assert (free, total) == (62, 63) and (SWAP.free(), SWAP.total()) == (0, 1)  # as on Linux: what is left is used
    area.is_open = True
    SWAP.leave(page)


@booted
def test_no_thread_that_must_end_waits_for_memory(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    waited: list[int] = []
    monkeypatch.setattr(type(swapper.SWAPPER), "is_wanted", lambda _: True)
    monkeypatch.setattr(type(swapper.SWAPPER.progress), "wait_for_disk_until", lambda _, until: waited.append(until))
    assert swapper.SWAPPER.wait() and swapper.SWAPPER.wait_for_frame() and len(waited) == 2
    monkeypatch.setattr(swapper, "is_dying", lambda: True)
    assert not swapper.SWAPPER.wait() and len(waited) == 2


@booted
def test_a_group_without_room_is_asked_once(machine: Machine) -> None:
    host = machine.host
    attach(machine, 512)
    swapon(host)
    host.mkdir("/cg", 0o755)
    host.mount("none", "/cg", "cgroup2", 0, None)
    store(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)
    store(host, "/cg/a/memory.swap.max", b"40k")

    def child(program: Program) -> int:
        store(program, "/cg/a/cgroup.procs", b"0")
        map_pages(program, 100)
        choice = swapper.Unprotected()
        for _ in range(20):
            choice.begin(is_desperate=False)
            swapper.swap_some(choice, Taken(), 32, takes_used=False)
        assert text_of(program, "/cg/a/memory.swap.current") == "40960\n"
        assert text_of(program, "/cg/a/memory.swap.events") == "high 0\nmax 1\nfail 1\n"
        return 0

    assert status_of(machine, child) == 0


@booted
def test_a_file_is_used_once_nobody_changes_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    show_proc(host)
    attach_disk(make_image(2048))
    host.mount("none", "/dev", "devtmpfs", 0, None)
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    descriptor = host.open("/mnt/area", os.O_RDWR | os.O_CREAT, 0o600)
    image = bytes(swap_image(32))
    assert host.write(descriptor, image, len(image)) == len(image)
    usual = Mutex.acquire_unless_dying
    marked: list[bool] = []
    inode = host.task.files.get(descriptor).inode

    def acquire(mutex: Mutex) -> None:
        if mutex is getattr(inode, "lock", None):
            marked.append(inode.is_swap_area)
        usual(mutex)

    monkeypatch.setattr(Mutex, "acquire_unless_dying", acquire)
    swapon(host, "/mnt/area")
    assert marked[:1] == [True]
    for mode in (0, 3):
        with pytest.raises(OSError, match="ETXTBSY"):
            host.fallocate(descriptor, mode, 0, PAGE_SIZE)
    other = host.open("/mnt/other", os.O_RDWR | os.O_CREAT, 0o600)
    with pytest.raises(OSError, match="ETXTBSY"):
        host.copy_file_range(descriptor, 0, other, 0, 10, 0)
    swapoff(host, "/mnt/area")
    with pytest.raises(OSError, match="ENOTSUP"):
        host.fallocate(descriptor, 0, 0, PAGE_SIZE)


@booted
def test_a_thread_that_must_end_reads_a_page_from_the_reserve(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 2)
    page_out(host, place, 2)

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(swap_areas, "allocate_user_frame", fail)
    with pytest.raises(MemoryError):
        SWAP.loader.load(entry_slot(host.task.space.pages.entry_of(place)))
    monkeypatch.setattr(swap_areas, "is_dying", lambda: True)
    assert host.load(place, 6) == b"page 0"


@booted
def test_a_page_that_is_taken_out_of_use_is_not_swapped_out(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 2)
    frame = entry_frame(host.task.space.pages.entry_of(place))
    BROKEN.add(frame)
    page_out(host, place, 2)
    assert swapped(host) == 1
    BROKEN.withdraw(frame)
    page_out(host, place, 2)
    assert swapped(host) == 2


def _group(machine: Machine, pages: int) -> Program:
    host = machine.host
    attach(machine, pages)
    swapon(host)
    host.mkdir("/cg", 0o755)
    host.mount("none", "/cg", "cgroup2", 0, None)
    store(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)
    return host


@booted
def test_a_limit_far_below_what_a_group_has_kills_nobody(machine: Machine) -> None:
    _group(machine, 4096)

    def child(program: Program) -> int:
        store(program, "/cg/a/cgroup.procs", b"0")
        place = map_pages(program, 2000)
        store(program, "/cg/a/memory.max", b"1m")
        assert program.load(place + 1999 * PAGE_SIZE, 9) == b"page 1999"
        return 0

    assert status_of(machine, child) == 0


@booted
def test_pages_that_are_swapped_out_count_as_reclaimed(machine: Machine) -> None:
    _group(machine, 1024)

    def child(program: Program) -> int:
        store(program, "/cg/a/cgroup.procs", b"0")
        map_pages(program, 400)
        store(program, "/cg/a/memory.reclaim", b"400k")
        assert 80 <= int(text_of(program, "/cg/a/memory.swap.current")) // PAGE_SIZE <= 200
        return 0

    assert status_of(machine, child) == 0


@booted
def test_a_call_that_needs_more_than_its_group_may_have_swaps(machine: Machine) -> None:
    host = _group(machine, 2048)
    length = 1000 * PAGE_SIZE
    descriptor = host.call("memfd_create", "x", 0)
    host.ftruncate(descriptor, length)

    def child(program: Program) -> int:
        store(program, "/cg/a/memory.max", b"800k")
        store(program, "/cg/a/cgroup.procs", b"0")
        place = program.call("mmap", 0, length, READ_WRITE, 0x22, -1, 0)
        assert program.call("pread64", descriptor, place, length, 0) == length
        return 0

    assert status_of(machine, child) == 0


@booted
def test_the_swapper_waits_for_who_holds_a_space(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    map_pages(host, 8)
    space = host.task.space
    waits: list[bool] = []

    def let_go(_: int, interruptible: bool) -> None:
        waits.append(interruptible)
        space.is_held = False

    monkeypatch.setattr(swapper, "sleep_until", let_go)
    before = swapper.SWAPPER.gave_up_ns
    space.is_held = True
    swapper._swap_as_can_be()
    assert waits == [False] and swapper.SWAPPER.gave_up_ns == before and out() == 0
    swapper._swap_as_can_be()
    assert out() > 0
