"""Ranges of a device without data: how they are cut into requests."""

from __future__ import annotations

import pytest

from kernel.block.device import SECTOR_SIZE, BlockDevice, BlockRequest, Operation
from kernel.block.ranges import discard, zero_out
from kernel.mm.frames import PAGE_SIZE, Frame, frame_count
from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine

EIO = 5


class Noting(BlockDevice):
    """A device that notes what it is asked, and may fail at one of the requests."""

    def __init__(self, sectors: int = 1 << 20, failing: int = -1) -> None:
        super().__init__(b"noting", 0x700, sectors)
        self.failing = failing
        self.seen: list[tuple[Operation, int, int]] = []
        self.frames: set[int] = set()

    def submit(self, request: BlockRequest) -> None:
        failed = len(self.seen) == self.failing
        self.seen.append((request.operation, request.sector, request.length // SECTOR_SIZE))
        self.frames |= set(request.frames)
        if request.operation == Operation.WRITE:
            assert len(request.frames) == (request.length + PAGE_SIZE - 1) // PAGE_SIZE
            assert len(request.frames) <= self.largest_transfer
        request.finish(EIO if failed else 0)


@pytest.mark.parametrize(("count", "parts"), [(1, [1]), (8, [8]), (9, [8, 1]), (24, [8, 8, 8]), (0, [])])
@booted
def test_a_range_is_discarded_in_parts(machine: Machine, count: int, parts: list[int]) -> None:
    device = Noting()
    device.discard_limit = 8
    discard(device, 100, count)
    assert device.seen == [(Operation.DISCARD, 100 + 8 * number, size) for number, size in enumerate(parts)]
    assert device.frames == set()


@booted
def test_a_device_that_cannot_discard(machine: Machine) -> None:
    device = Noting()
    assert error_of(discard, device, 0, 8) == "EOPNOTSUPP" and device.seen == []


@booted
def test_a_device_fills_with_zeros_itself(machine: Machine) -> None:
    device = Noting()
    device.zeroes_limit = 1000
    zero_out(device, 5, 2001)
    assert device.seen == [(Operation.WRITE_ZEROES, at, size) for at, size in ((5, 1000), (1005, 1000), (2005, 1))]


@pytest.mark.parametrize("largest", [1, 2, 128, 500])
@booted
def test_zeros_are_written_from_one_frame(machine: Machine, largest: int) -> None:
    device = Noting()
    device.largest_transfer = largest
    zero_out(device, 7, 3000)
    at_once = min(largest, 128) * PAGE_SIZE // SECTOR_SIZE
    assert [sector for _, sector, _ in device.seen] == list(range(7, 3007, at_once))
    assert sum(size for _, _, size in device.seen) == 3000
    assert len(device.frames) == 1, "however long the range is"
    assert frame_count(Frame(device.frames.pop())) == 0, "and it is free again"


@booted
def test_the_first_error_ends_it(machine: Machine) -> None:
    device = Noting(failing=1)
    device.largest_transfer = 1
    assert error_of(zero_out, device, 0, 80) == "EIO"
    assert len(device.seen) == 2 and frame_count(Frame(device.frames.pop())) == 0
    device = Noting(failing=0)
    device.discard_limit = 8
    assert error_of(discard, device, 0, 80) == "EIO" and len(device.seen) == 1


@booted
def test_what_may_not_be_written(machine: Machine) -> None:
    device = Noting(sectors=100)
    device.discard_limit = device.zeroes_limit = 64
    assert error_of(discard, device, 90, 20) == "EIO"  # past its end
    device.read_only = True
    assert error_of(discard, device, 0, 8) == error_of(zero_out, device, 0, 8) == "EROFS"
    assert device.seen == []
