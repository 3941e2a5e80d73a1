"""Memory that a device is at work on: nobody else gets it, and the program keeps what the device brings."""

from collections.abc import Callable, Iterator

import pytest

from arch.programs import WRITABLE, entry_frame, read_entry
from kernel.mm import frames, pinning
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_SIZE, Frame
from kernel.mm.objects import SharedMemory
from kernel.mm.pinning import PinnedFrames
from kernel.mm.space import AddressSpace

BASE = 0x40_0000
READ_WRITE = PROT_READ | PROT_WRITE
NOTHING = 0


@pytest.fixture
def space(machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddressSpace]:
    """The running program's, with eight pages of its own."""
    before = frames.free_frame_count()
    space = AddressSpace()
    monkeypatch.setattr(pinning.CALLER, "find", lambda: space)
    space.map(BASE, 8 * PAGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    yield space
    space.release()
    assert frames.free_frame_count() == before


def frame_at(space: AddressSpace, address: int) -> Frame:
    return entry_frame(read_entry(space.pages.find(address)))


def poke(space: AddressSpace, address: int, value: int) -> None:
    """As the program's own instruction: with a fault, if there must be one."""
    slot = space.pages.find(address)
    if slot == 0 or read_entry(slot) & WRITABLE == 0:
        assert space.fault(address, Access.WRITE) == FaultOutcome.DONE
    frames.frame_span(frame_at(space, address))[address % PAGE_SIZE] = value


def peek(space: AddressSpace, address: int) -> int:
    space.fault(address, Access.READ)
    return frames.frame_span(frame_at(space, address))[address % PAGE_SIZE]


def device_fills(pinned: PinnedFrames, value: int) -> None:
    for frame in pinned.frames:
        frames.frame_span(Frame(frame))[100] = value


def unmap(space: AddressSpace) -> None:
    space.unmap(BASE, 8 * PAGE_SIZE)


def map_anew(space: AddressSpace) -> None:
    space.map(BASE, 8 * PAGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)


def discard(space: AddressSpace) -> None:
    space.discard(BASE, BASE + 8 * PAGE_SIZE)


@pytest.mark.parametrize("lose", [unmap, map_anew, discard])
@pytest.mark.parametrize("device_writes", [True, False])
def test_frames_are_nobody_elses_before_the_device_is_done(
    space: AddressSpace, lose: Callable[[AddressSpace], None], device_writes: bool
) -> None:
    pinned = PinnedFrames(device_writes)
    assert pinned.pin(BASE, 3 * PAGE_SIZE) == 3 * PAGE_SIZE
    held = list(pinned.frames)
    lose(space)
    others = [frames.allocate_frame() for _ in range(frames.free_frame_count())]
    assert not set(held) & set(others)
    for frame in others:
        frames.put_frame(frame)
    free = frames.free_frame_count()
    pinned.release()
    assert frames.free_frame_count() == free + 3


def test_fork_copies_what_a_device_writes_to(space: AddressSpace) -> None:
    poke(space, BASE + 100, 1)
    pinned = PinnedFrames(True)
    assert pinned.pin(BASE + 512, PAGE_SIZE) == PAGE_SIZE
    child = space.fork()
    poke(space, BASE, 7)  # beside what is read: the parent's page must remain the device's
    device_fills(pinned, 2)
    pinned.release()
    assert (peek(space, BASE), peek(space, BASE + 100), peek(space, BASE + PAGE_SIZE + 100)) == (7, 2, 2)
    assert (peek(child, BASE), peek(child, BASE + 100), peek(child, BASE + PAGE_SIZE + 100)) == (0, 1, 0)
    child.release()


def test_what_was_shared_before_is_copied_before_the_device_gets_it(space: AddressSpace) -> None:
    poke(space, BASE + 100, 1)
    child = space.fork()
    pinned = PinnedFrames(True)
    assert pinned.pin(BASE, PAGE_SIZE) == PAGE_SIZE
    device_fills(pinned, 2)
    pinned.release()
    assert (peek(space, BASE + 100), peek(child, BASE + 100)) == (2, 1)
    child.release()


@pytest.mark.parametrize("prot", [PROT_READ, NOTHING])
def test_a_change_of_protection_makes_no_copy(space: AddressSpace, prot: int) -> None:
    pinned = PinnedFrames(True)
    assert pinned.pin(BASE, PAGE_SIZE) == PAGE_SIZE
    space.protect(BASE, PAGE_SIZE, prot)
    space.protect(BASE, PAGE_SIZE, READ_WRITE)
    poke(space, BASE, 7)
    device_fills(pinned, 2)
    pinned.release()
    assert (peek(space, BASE), peek(space, BASE + 100)) == (7, 2)


def test_memory_ends(space: AddressSpace) -> None:
    space.unmap(BASE + 2 * PAGE_SIZE, PAGE_SIZE)
    space.protect(BASE + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ)
    for device_writes, start, length, reached in (
        (True, 0, 3 * PAGE_SIZE, 2 * PAGE_SIZE),
        (True, 512, 3 * PAGE_SIZE, 2 * PAGE_SIZE - 512),
        (True, 2 * PAGE_SIZE + 512, 512, 0),
        (True, 3 * PAGE_SIZE, 5 * PAGE_SIZE, 2 * PAGE_SIZE),
        (False, 3 * PAGE_SIZE + 1024, 5 * PAGE_SIZE, 5 * PAGE_SIZE - 1024),
        (False, PAGE_SIZE - 512, 512, 512),
    ):
        pinned = PinnedFrames(device_writes)
        assert pinned.pin(BASE + start, length) == reached
        pinned.release()


class Told(SharedMemory):
    """Records what is reported of devices."""

    def __init__(self) -> None:
        super().__init__(16 * PAGE_SIZE)
        self.written: list[int] = []

    def device_wrote(self, index: int, frame: Frame) -> None:
        assert self.frames.get(index) == frame
        self.written.append(index)


def test_a_shared_mapping_hears_of_the_device(space: AddressSpace) -> None:
    told = Told()
    space.map(BASE + (1 << 21) - 2 * PAGE_SIZE, 6 * PAGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, told, 4)
    pinned = PinnedFrames(True)
    assert pinned.pin(BASE + (1 << 21) - PAGE_SIZE, 3 * PAGE_SIZE) == 3 * PAGE_SIZE
    assert told.written == []
    pinned.release()
    assert told.written == [5, 6, 7]


def test_pins_are_counted(space: AddressSpace) -> None:
    poke(space, BASE, 1)
    frame = frame_at(space, BASE)
    first, second = PinnedFrames(True), PinnedFrames(True)
    assert first.pin(BASE, 1) == second.pin(BASE, 1) == 1
    first.release()
    assert frames.is_pinned(frame) and frames.owner_count(frame) == 1
    second.release()
    assert not frames.is_pinned(frame)
    for _ in range(65535):
        frames.pin_frame(frame)
    with pytest.raises(MemoryError):
        second.pin(BASE, PAGE_SIZE)
    second.release()
    for _ in range(65535):
        frames.unpin_frame(frame)
    assert not frames.is_pinned(frame) and frames.frame_count(frame) == 1
