"""Devices come and go: drivers and the partition scanner call this, and it notifies the watchers.

Context: only `each_device` sleeps. Drivers call `add_device` while the kernel comes up; partitions are looked for
later, where reading may sleep (`kernel.fs.disks.scan`).
"""

from collections.abc import Iterator
from typing import Final

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.lang import final
from kernel.lib.pace import pace


class DeviceWatcher:
    """Is notified of devices. Base class; packages that derive from it enter theirs in WATCHERS."""

    def appeared(self, device: BlockDevice) -> None:
        """A device becomes available. Raises MemoryError."""

    def vanished(self, device: BlockDevice) -> None:
        """A device is about to disappear."""

    def changed(self, device: BlockDevice, property: bytes) -> None:
        """Something about a device changed: its medium or its size. `property` says what: NAME=VALUE, or
        nothing. Thread context.
        """


WATCHERS: Final[list[DeviceWatcher]] = []


@final
class _Sequence:
    """Counts media: each one inserted into a disk gets a fresh number (BLKGETDISKSEQ)."""

    def __init__(self) -> None:
        self.last: int = 0


_SEQUENCE: Final = _Sequence()


def take_sequence(disk: BlockDevice) -> None:
    """A new medium was inserted into a disk."""
    _SEQUENCE.last += 1
    disk.sequence = _SEQUENCE.last


def add_device(device: BlockDevice) -> None:
    """Make a device available. Raises MemoryError."""
    device.hardware_read_only = device.read_only
    if device.whole is None:
        take_sequence(device)
    BLOCK_DEVICES[device.number] = device
    for watcher in WATCHERS:
        watcher.appeared(device)


def remove_device(device: BlockDevice) -> None:
    """Remove a device from the list. Does nothing if it is gone already: a caller that drops a partition sleeps first,
    and another thread may have been quicker.
    """
    if BLOCK_DEVICES.get(device.number) is not device:
        return
    for watcher in WATCHERS:
        watcher.vanished(device)
    del BLOCK_DEVICES[device.number]


def each_device(cost: int) -> Iterator[BlockDevice]:
    """All devices, with safe points in between: those that come or go meanwhile may be left out. `cost` is what the
    caller does with one, in instructions.
    """
    for device in list(BLOCK_DEVICES.values()):
        if BLOCK_DEVICES.get(device.number) is device:
            yield device
            pace(cost)


def tell_change(device: BlockDevice, property: bytes) -> None:
    """Notify all watchers of a change; the arguments are those of `DeviceWatcher.changed`. Thread context."""
    for watcher in WATCHERS:
        watcher.changed(device, property)
