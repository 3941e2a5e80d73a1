"""The time in the kernel, as the doors count it."""

from collections.abc import Iterator

import pytest

from arch.x86_64 import percpu
from arch.x86_64.percpu import OFFSET_KERNEL_TICKS, OFFSET_SELF, take_kernel_ticks
from arch.x86_64.simulation import processor
from kernel.lang.simulation import memory
from kernel.lang.unsafe import load_u32, store_u32

BLOCK = -(1 << 40)


@pytest.fixture(autouse=True)
def block() -> Iterator[None]:
    old = processor.per_cpu
    memory.reset()
    memory.map(BLOCK, 4096)
    processor.per_cpu = {OFFSET_SELF: BLOCK}
    processor.tsc = 0
    processor.tsc_step = 0
    yield
    processor.per_cpu = old
    memory.reset()


def enter() -> None:
    """As entry.S does."""
    place = BLOCK + OFFSET_KERNEL_TICKS
    store_u32(place, load_u32(place) - processor.tsc & 0xFFFF_FFFF)


def leave() -> None:
    place = BLOCK + OFFSET_KERNEL_TICKS
    store_u32(place, load_u32(place) + processor.tsc & 0xFFFF_FFFF)


@pytest.mark.parametrize("start", [0, 5, (1 << 32) - 50, (1 << 40) - 3])
def test_calls_add_up(start: int) -> None:
    processor.tsc = start
    take_kernel_ticks()
    processor.tsc += 7  # still in the kernel
    leave()
    for _ in range(10):
        processor.tsc += 1000  # the program
        enter()
        processor.tsc += 13
        leave()
    processor.tsc += 1000
    enter()
    processor.tsc += 20
    assert take_kernel_ticks() == 7 + 130 + 20
    assert take_kernel_ticks() == 0


def test_the_block_has_room() -> None:
    assert percpu.OFFSET_KERNEL_TICKS + 8 <= percpu.TSS_OFFSET
