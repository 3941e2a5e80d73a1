"""A small machine for the tests of memory: 8 MiB of simulated physical memory in the direct map."""

from collections.abc import Iterator

import pytest

from arch.x86_64 import instructions
from arch.x86_64.layout import DIRECT_MAP_BASE
from arch.x86_64.programs import page_table
from kernel.lang.simulation import memory
from kernel.mm import frames
from kernel.mm.broken import BROKEN
from kernel.mm.space import SPACES

MACHINE_FRAMES = 2048


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fresh memory; CR3 is a variable, and flushing does nothing."""
    memory.reset()
    memory.map(DIRECT_MAP_BASE, MACHINE_FRAMES << frames.PAGE_SHIFT)
    for name, value in {
        "_total": 0, "_free": 0, "_reserve": 0, "_stack_head": 0, "_stack_depth": 0,
    }.items():
        monkeypatch.setattr(frames, name, value)
    monkeypatch.setattr(frames.SHORTAGE, "helper", frames.RoomMaker())
    SPACES.head = SPACES.tail = None
    BROKEN.frames.clear()
    BROKEN.count = 0
    BROKEN.stand_in = frames.NO_FRAME
    frames._heads[:] = [0] * (frames.MAX_ORDER + 1)
    root = [1 << frames.PAGE_SHIFT]
    monkeypatch.setattr(page_table, "read_cr3", lambda: root[0])
    monkeypatch.setattr(page_table, "write_cr3", lambda value: root.__setitem__(0, value))
    monkeypatch.setattr(page_table, "invalidate_page", lambda address: None)
    assert instructions is not None
    table = 16
    frames.initialise(DIRECT_MAP_BASE + (2 << frames.PAGE_SHIFT), MACHINE_FRAMES)
    frames.add_range(table, MACHINE_FRAMES)
    page_table.use_kernel_table(1 << frames.PAGE_SHIFT)
    yield
    memory.reset()
