"""Large pages under changes in a random order, with memory that runs out now and then: programs see what they wrote, no
processor goes on with a translation that is void, and at the end all memory is free.
"""

import random
from collections.abc import Callable, Iterator

import pytest

from arch.programs import LARGE_TOTALS, PRESENT, WRITABLE, entry_frame
from arch.x86_64.programs import page_table
from kernel.lang import Errno
from kernel.mm import frames, large_pages, remap
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE
from kernel.mm.exchange import forbid_writes_at
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import HUGE_FRAMES, PAGE_SIZE, frame_span, pin_frame, unpin_frame
from kernel.mm.huge_pool import HUGE_SIZE
from kernel.mm.large_pages import LARGE_PAGES
from kernel.mm.space import AddressSpace
from tests.unit.mm import conftest

BASE = 16 * HUGE_SIZE
BLOCKS = 3
PAGES = BLOCKS * HUGE_FRAMES
MOST_SPACES = 3
PROT_NONE = 0
PROTECTIONS = [PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE]

Translation = tuple[int, bool, bool]  # frame; whether it may be written to; whether it is part of a large page


class Scarce:
    """Memory of which each `one_in`th allocation fails, if there is such a number."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.one_in = 0
        self.allocate = frames.allocate_frame

    def __call__(self) -> frames.Frame:
        if self.one_in != 0 and self.dice.randrange(self.one_in) == 0:
            raise MemoryError
        return self.allocate()


class Program:
    """A space, what its pages are to hold, and what another processor knows of its table."""

    def __init__(self, space: AddressSpace) -> None:
        self.space = space
        self.values: dict[int, int] = {}  # of pages that are not zeros
        self.known: dict[int, Translation] = {}

    def prot_of(self, page: int) -> int:
        area = self.space.area_at(at(page))
        return -1 if area is None else area.prot

    def is_mapped(self, first: int, count: int) -> bool:
        return all(self.prot_of(page) >= 0 for page in range(first, first + count))

    def forget(self, first: int, count: int) -> None:
        for page in range(first, first + count):
            self.values.pop(page, None)

    def forget_unmapped(self, first: int, count: int) -> None:
        for page in range(first, first + count):
            if self.prot_of(page) < 0:
                self.values.pop(page, None)

    def access(self, page: int, access: Access) -> int:
        """The frame of a page after an access, as the other processor makes it; -1 if that is not allowed, -2 if memory
        lacks.
        """
        writes = access == Access.WRITE
        while True:
            known = self.known.get(page)
            if known is None or (writes and not known[1]):
                entry = self.space.pages.entry_of(at(page))
                if entry & PRESENT != 0 and (not writes or entry & WRITABLE != 0):
                    is_large = self.space.pages.find_large(at(page)) != 0
                    known = (entry_frame(entry), entry & WRITABLE != 0, is_large)
                    block = page // HUGE_FRAMES * HUGE_FRAMES
                    for other in range(block, block + HUGE_FRAMES):
                        assert self.known.get(other, known)[2] == is_large, "one page is known by two sizes"
                    self.known[page] = known
            if known is not None and (not writes or known[1]):
                return known[0]
            self.known.pop(page, None)  # as a fault does
            outcome = self.space.fault(at(page), access)
            if outcome == FaultOutcome.NO_MEMORY:
                return -2
            if outcome != FaultOutcome.DONE:
                return -1

    def check_known(self) -> None:
        """What the other processor knows is still so; it may only know less than is allowed."""
        for page, (frame, is_writable, is_large) in self.known.items():
            entry = self.space.pages.entry_of(at(page))
            assert entry & PRESENT != 0 and entry_frame(entry) == frame, f"page {page} is known for good"
            assert not is_writable or entry & WRITABLE != 0, f"page {page} can be written to for good"
            assert is_large == (self.space.pages.find_large(at(page)) != 0)


class World:
    """Programs to which things happen."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.scarce = Scarce(self.dice)
        self.programs = [Program(AddressSpace())]
        self.fresh = 0
        self.done: dict[str, int] = {}

    def some(self) -> tuple[int, int]:
        """A range of pages: often whole blocks."""
        if self.dice.randrange(2) == 0:
            first = self.dice.randrange(BLOCKS)
            return first * HUGE_FRAMES, self.dice.randint(1, BLOCKS - first) * HUGE_FRAMES
        first = self.dice.randrange(PAGES)
        return first, min(self.dice.choice([1, 2, 30, 600]), PAGES - first)

    def write(self, program: Program) -> None:
        first, count = self.some()
        for page in (first, first + count // 2, first + count - 1):
            self.fresh = (self.fresh + 1) % 255
            frame = program.access(page, Access.WRITE)
            assert (frame == -1) == (program.prot_of(page) & PROT_WRITE == 0 or program.prot_of(page) < 0)
            if frame >= 0:
                frame_span(frames.Frame(frame))[7] = self.fresh + 1
                program.values[page] = self.fresh + 1

    def read(self, program: Program) -> None:
        first, count = self.some()
        for page in (first, first + count - 1):
            frame = program.access(page, Access.READ)
            assert (frame == -1) == (program.prot_of(page) <= 0)
            if frame >= 0:
                assert frame_span(frames.Frame(frame))[7] == program.values.get(page, 0)

    def map(self, program: Program) -> None:
        first, count = self.some() if self.dice.randrange(2) == 0 else (0, PAGES)
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        program.space.map(at(first), count * PAGE_SIZE, PROT_READ | PROT_WRITE, flags, None, 0)
        program.forget(first, count)

    def unmap(self, program: Program) -> None:
        first, count = self.some()
        program.space.unmap(at(first), count * PAGE_SIZE)
        program.forget(first, count)

    def protect(self, program: Program) -> None:
        first, count = self.some()
        program.space.protect(at(first), count * PAGE_SIZE, self.dice.choice(PROTECTIONS))

    def give_back(self, program: Program) -> None:
        first, count = self.some()
        if program.is_mapped(first, count):
            remap.advise(program.space, at(first), count * PAGE_SIZE, remap.MADV_DONTNEED)
            program.forget(first, count)

    def collapse(self, program: Program) -> None:
        first, count = self.some()
        remap.advise(program.space, at(first), count * PAGE_SIZE, remap.MADV_COLLAPSE)

    def populate(self, program: Program) -> None:
        first, count = self.some()
        remap.advise(program.space, at(first), count * PAGE_SIZE, remap.MADV_POPULATE_WRITE)

    def move(self, program: Program) -> None:
        first, count = self.some()
        target = self.dice.randrange(PAGES - count + 1)
        if self.dice.randrange(2) == 0:
            target = target // HUGE_FRAMES * HUGE_FRAMES
        flags = remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED
        if self.dice.randrange(4) == 0:
            flags |= remap.MREMAP_DONTUNMAP
        length = count * PAGE_SIZE
        try:
            remap.remap(program.space, at(first), length, length, flags, at(target))
        except (Errno, MemoryError):
            program.forget_unmapped(target, count)
            raise
        moved = {page: value for page, value in program.values.items() if first <= page < first + count}
        program.forget(target, count)
        program.forget(first, count)
        program.values.update({page - first + target: value for page, value in moved.items()})

    def forbid(self, program: Program) -> None:
        """As the search for equal pages does, before it compares."""
        page = self.some()[0]
        entry = program.space.pages.entry_of(at(page))
        if entry & PRESENT != 0:
            forbid_writes_at(program.space, at(page), entry_frame(entry))

    def fork(self, program: Program) -> None:
        if len(self.programs) < MOST_SPACES:
            child = Program(program.space.fork())
            child.values = dict(program.values)
            self.programs.append(child)

    def fork_during_transfer(self, program: Program) -> None:
        """A device writes to a page after a fork: only the parent sees it."""
        page = self.some()[0]
        frame = program.access(page, Access.WRITE)
        if frame < 0 or len(self.programs) == MOST_SPACES:
            return
        pin_frame(frames.Frame(frame))
        try:
            frame_span(frames.Frame(frame))[7] = 0
            program.values[page] = 0
            self.fork(program)
            frame_span(frames.Frame(frame))[7] = 255
            program.values[page] = 255
        finally:
            unpin_frame(frames.Frame(frame))

    def end(self, program: Program) -> None:
        if len(self.programs) > 1:
            self.programs.remove(program)
            program.known.clear()
            program.space.release()

    def step(self) -> None:
        program = self.dice.choice(self.programs)
        happens: list[Callable[[Program], None]] = [
            self.write, self.write, self.write, self.read, self.map, self.unmap, self.protect, self.give_back,
            self.collapse, self.populate, self.move, self.move, self.forbid, self.fork, self.fork_during_transfer,
            self.end,
        ]  # fmt: skip
        act = self.dice.choice(happens)
        self.scarce.one_in = self.dice.choice([0, 0, 2, 20]) if act not in (self.map, self.unmap) else 0
        try:
            act(program)
            self.done[act.__name__] = self.done.get(act.__name__, 0) + 1
        except (Errno, MemoryError):
            pass
        finally:
            self.scarce.one_in = 0
        for each in self.programs:
            each.check_known()
            assert not each.space.is_held
            assert each.space.pages.large_count == large_count(each.space)

    def check_all(self) -> None:
        for program in self.programs:
            assert program.space.resident == resident(program.space)
            for page in range(PAGES):
                entry = program.space.pages.entry_of(at(page))
                found = 0 if entry == 0 else frame_span(entry_frame(entry))[7]
                assert found == program.values.get(page, 0), page


def at(page: int) -> int:
    return BASE + page * PAGE_SIZE


def resident(space: AddressSpace) -> int:
    return sum(space.pages.entry_of(at(page)) != 0 for page in range(PAGES))


def large_count(space: AddressSpace) -> int:
    return sum(space.pages.find_large(at(block * HUGE_FRAMES)) != 0 for block in range(BLOCKS))


class OtherProcessor:
    """It translates by all tables, and goes on with what it knows until a call makes it forget that."""

    def __init__(self) -> None:
        self.count = 2
        self.world: World | None = None

    def shoot_down(self, root: int, replacement: int) -> None:
        assert self.world is not None
        for program in self.world.programs:
            if program.space.pages.root == root:
                program.known.clear()


@pytest.fixture(autouse=True, params=[2048, 3584])
def frame_count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many frames there are: enough for one program, or for almost two."""
    monkeypatch.setattr(conftest, "MACHINE_FRAMES", request.param)


@pytest.fixture
def other_processor(machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherProcessor]:
    """All memory must be free again at the end."""
    LARGE_PAGES.enabled, LARGE_PAGES.effort = large_pages.ALWAYS, large_pages.ADVISED
    other = OtherProcessor()
    monkeypatch.setattr(page_table, "processors", other)
    monkeypatch.setattr(page_table, "shoot_down", other.shoot_down)
    monkeypatch.setattr(LARGE_TOTALS, "mapped", 0)
    before = frames.free_frame_count()
    yield other
    assert LARGE_TOTALS.mapped == 0
    assert frames.free_frame_count() == before


@pytest.mark.parametrize("seed", range(3))
def test_programs_see_what_they_wrote(
    other_processor: OtherProcessor, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    world = World(seed)
    other_processor.world = world
    monkeypatch.setattr(frames, "allocate_frame", world.scarce)
    world.map(world.programs[0])
    splits, faults = LARGE_TOTALS.splits, LARGE_PAGES.faults
    for number in range(200):
        world.step()
        if number % 20 == 0:
            world.check_all()
    world.check_all()
    for program in world.programs:
        program.space.release()
    world.programs.clear()
    assert {"write", "read", "protect", "give_back", "populate", "move", "fork"} <= set(world.done)
    assert LARGE_TOTALS.splits - splits > 2 and LARGE_PAGES.faults - faults > 2, "the dice gave too little"
