"""Devices come and go: drivers and the partition scanner call this, and whoever must know is notified.

Context: `add_device` and `remove_device` never sleep. Drivers call `add_device` while the kernel comes up; partitions
are looked for later, where reading may sleep (`kernel.fs.disks.scan`).
"""

from collections.abc import Callable
from typing import Final

from kernel.block.device import BLOCK_DEVICES, BlockDevice

DeviceChange = Callable[[BlockDevice], None]


class DeviceWatcher:
    """Functions that are called, entered by the package that shows devices to programs."""

    def __init__(self) -> None:
        self.appeared: DeviceChange | None = None
        self.vanished: DeviceChange | None = None


WATCHER: Final = DeviceWatcher()


def add_device(device: BlockDevice) -> None:
    """The device can be used from now on. Raises MemoryError."""
    device.hardware_read_only = device.read_only
    BLOCK_DEVICES[device.number] = device
    appeared = WATCHER.appeared
    if appeared is not None:
        appeared(device)


def remove_device(device: BlockDevice) -> None:
    """The device is gone for those who look for it. Nothing happens if it is already: who drops a partition sleeps
    before, and somebody else may have been quicker.
    """
    if BLOCK_DEVICES.get(device.number) is not device:
        return
    vanished = WATCHER.vanished
    if vanished is not None:
        vanished(device)
    del BLOCK_DEVICES[device.number]
