"""Devices come and go."""

from collections.abc import Iterator

import pytest

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.block.registry import WATCHERS, DeviceWatcher, add_device, remove_device


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """What watchers are notified of."""
    told: list[str] = []
    before = dict(BLOCK_DEVICES)

    class Watcher(DeviceWatcher):
        def appeared(self, device: BlockDevice) -> None:
            told.append(f"+{device.name.decode()}")

        def vanished(self, device: BlockDevice) -> None:
            told.append(f"-{device.name.decode()}")

    kept = WATCHERS[:]
    WATCHERS[:] = [Watcher()]
    yield told
    WATCHERS[:] = kept
    BLOCK_DEVICES.clear()
    BLOCK_DEVICES.update(before)


def test_a_device_is_removed_once(seen: list[str]) -> None:
    device = BlockDevice(b"old", 0x999, 8)
    add_device(device)
    remove_device(device)
    remove_device(device)
    assert 0x999 not in BLOCK_DEVICES
    assert seen == ["+old", "-old"]


def test_a_successor_with_the_same_number_stays(seen: list[str]) -> None:
    device, successor = BlockDevice(b"old", 0x999, 8), BlockDevice(b"new", 0x999, 8)
    add_device(device)
    remove_device(device)
    add_device(successor)
    remove_device(device)
    assert BLOCK_DEVICES[0x999] is successor
    assert seen == ["+old", "-old", "+new"]
