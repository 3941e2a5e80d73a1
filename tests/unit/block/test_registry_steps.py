"""Going over all disks takes safe points, at which disks come and go."""

from collections.abc import Iterator

import pytest

from kernel.block import device as devices
from kernel.block.device import BlockDevice
from kernel.block.registry import each_device
from tests.unit.meanwhile import meanwhile


class Disk(BlockDevice):
    def __init__(self, number: int) -> None:
        super().__init__(b"d%d" % number, number, 8)


@pytest.fixture
def disks() -> Iterator[dict[int, BlockDevice]]:
    found = devices.BLOCK_DEVICES
    before = dict(found)
    found.clear()
    for number in range(1, 6):
        found[number] = Disk(number)
    yield found
    found.clear()
    found.update(before)


def test_disks_that_go_meanwhile_are_left_out(disks: dict[int, BlockDevice]) -> None:
    def change() -> None:
        del disks[3]
        disks[5] = Disk(5)  # another one with the number
        disks[9] = Disk(9)

    with meanwhile(change, 2):
        assert [disk.number for disk in each_device(100)] == [1, 2, 4]
