"""Swapping: pages leave and come back while they are used, shared, moved and dropped, and areas come and go."""

from __future__ import annotations

import random
from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockRequest
from kernel.block.registry import add_device
from kernel.cache.swapper import Unprotected, swap_some
from kernel.lang import EIO
from kernel.mm.swapping import Taken
from kernel.sched.scheduler import yield_now
from tests.races.arguments import PAGE
from tests.races.kinds.kind import Kind
from tests.races.kinds.memory import advise, lock, look_at, map_pages, move, unmap
from tests.races.worker import Worker
from tools.simulated.disk import FIRST_NUMBER, MINORS, MemoryDisk

OWN: Final = 0x5_0000_0000  # where each thread has pages that nobody else changes
OWN_PAGES: Final = 6
OWN_BYTES: Final = OWN_PAGES * PAGE
PATHS: Final = ("/dev/vdy", "/dev/vdz")
AREA_PAGES: Final = 200
PAGE_OUT: Final = 21


class SlowDisk(MemoryDisk):
    """Others run while it transfers, and now and then it fails."""

    def __init__(self, index: int, chance: random.Random) -> None:
        image = bytearray(AREA_PAGES * PAGE)
        image[1024:1032] = bytes((1, 0, 0, 0, AREA_PAGES - 1, 0, 0, 0))
        image[PAGE - 10 : PAGE] = b"SWAPSPACE2"
        super().__init__(image, FIRST_NUMBER + MINORS * index, b"vd%c" % (ord("a") + index))
        self.chance = chance

    def submit(self, request: BlockRequest) -> None:
        for _ in range(self.chance.choice((0, 1, 1, 2, 20))):
            yield_now()
        if request.sector >> (12 - SECTOR_SHIFT) != 0 and self.chance.random() < 0.01:
            request.finish(EIO)
        else:
            super().submit(request)


class Kept:
    """What threads have in their own pages."""

    def __init__(self) -> None:
        self.bytes: dict[int, bytearray] = {}


KEPT: Final = Kept()


def prepare(worker: Worker) -> None:
    chance = random.Random(f"disks {worker.shared.seed}")
    for path in PATHS:
        index = ord(path[-1]) - ord("a")
        if FIRST_NUMBER + MINORS * index not in BLOCK_DEVICES:
            add_device(SlowDisk(index, chance))
        worker.call("swapon", path, 0)


def own_place(worker: Worker) -> int:
    """The thread's own pages: those of odd threads are shared memory."""
    place = OWN + worker.number * 0x10_0000
    if worker.number not in KEPT.bytes:
        kind = 0x21 if worker.number & 1 else 0x22
        if worker.call("mmap", place, OWN_BYTES, 3, kind | 0x10, -1, 0) == place:
            KEPT.bytes[worker.number] = bytearray(OWN_BYTES)
    return place


def change_own(worker: Worker) -> None:
    place, at = own_place(worker), worker.random.randrange(OWN_BYTES - 8)
    kept = KEPT.bytes.get(worker.number)
    if kept is not None:
        data = worker.random.randbytes(8)
        kept[at : at + 8] = data
        worker.store(place + at, data)


def check_own(worker: Worker) -> None:
    place, at = own_place(worker), worker.random.randrange(OWN_PAGES) * PAGE
    kept = KEPT.bytes.get(worker.number)
    if kept is not None:
        assert worker.load(place + at, PAGE) == kept[at : at + PAGE], f"page {at // PAGE} has changed"


def page_out_own(worker: Worker) -> None:
    worker.call("madvise", own_place(worker), OWN_BYTES, PAGE_OUT)


def page_out(worker: Worker) -> None:
    worker.call("madvise", 0x3_0000_0000, 32 * PAGE, PAGE_OUT)


def sweep(worker: Worker) -> None:
    """As the swapper does when memory is short."""
    choice = Unprotected()
    choice.begin(is_desperate=False)
    swap_some(choice, Taken(), worker.random.choice((1, 4, 32)), takes_used=worker.decides(0.5))


def turn_on(worker: Worker) -> None:
    worker.call("swapon", worker.random.choice(PATHS), worker.random.choice((0, 0x8001, 0x8002)))


def turn_off(worker: Worker) -> None:
    worker.call("swapoff", worker.random.choice(PATHS))


def read_files(worker: Worker) -> None:
    path = worker.random.choice(("/proc/swaps", "/proc/meminfo", "/proc/vmstat", "/proc/self/cmdline"))
    descriptor = worker.open(path, 0)
    worker.call("read", descriptor, bytearray(500), 500)


def use_memory_file(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("memfd_create", "s", 2), "file")
    worker.call("pwrite64", descriptor, b"s" * 9000, 9000, worker.random.choice((0, 100, 8 * PAGE)))


def change_memory_file(worker: Worker) -> None:
    descriptor, at = worker.descriptor("file"), worker.random.randrange(5) * 3000
    worker.call("pwrite64", descriptor, b"t" * 5000, 5000, at)
    worker.call("pread64", descriptor, bytearray(5000), 5000, at)
    if worker.decides(0.3):
        worker.call("ftruncate", descriptor, at)
    if worker.decides(0.3):
        worker.call("fallocate", descriptor, 3, at, 6000)


KIND: Final = Kind(
    "swapping",
    (sweep, sweep, sweep, page_out, page_out, page_out_own, page_out_own, change_own, change_own, check_own, check_own,
     check_own, turn_on, turn_on, turn_off, read_files, use_memory_file, change_memory_file, change_memory_file,
     map_pages, map_pages, unmap, move, advise, lock, look_at, Worker.close_one),
    prepare,
)  # fmt: skip
