"""A machine of 2048 frames and a disk in memory."""

from collections.abc import Iterator

import pytest

from arch.x86_64.layout import DIRECT_MAP_BASE
from kernel.cache import devices
from kernel.cache.dirty_pages import TOTALS
from kernel.cache.page import LRU
from kernel.lang.simulation import memory
from kernel.lib.linked import FIRST, LAST
from kernel.mm import frames
from tools.simulated.disk import MemoryDisk

MACHINE_FRAMES = 2048


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryDisk]:
    memory.reset()
    memory.map(DIRECT_MAP_BASE, MACHINE_FRAMES << frames.PAGE_SHIFT)
    for name in ("_total", "_free", "_reserve", "_stack_head", "_stack_depth"):
        monkeypatch.setattr(frames, name, 0)
    frames._heads[:] = [0] * (frames.MAX_ORDER + 1)
    frames.initialise(DIRECT_MAP_BASE + (2 << frames.PAGE_SHIFT), MACHINE_FRAMES)
    frames.add_range(16, MACHINE_FRAMES)
    devices.DEVICE_CACHES.clear()
    LRU.head = LRU.tail = None
    LRU.count = 0
    TOTALS.dirty = TOTALS.writing = 0
    TOTALS.dirty_caches[FIRST] = TOTALS.dirty_caches[LAST] = None
    yield MemoryDisk(bytearray(4 << 20))
    memory.reset()
