"""Devices come and go: drivers and the partition scanner call this, and whoever must know is notified.

Context: `add_device` and `remove_device` never sleep. Drivers call `add_device` while the kernel comes up; partitions
are looked for later, where reading may sleep (`kernel.fs.disks.scan`).
"""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.lang import final


class DeviceWatcher:
    """Hears of devices. Base class; deriving packages enter theirs in WATCHERS."""

    def appeared(self, device: BlockDevice) -> None:
        """A device can be used from now on. Raises MemoryError."""

    def vanished(self, device: BlockDevice) -> None:
        """A device is about to be gone."""

    def changed(self, device: BlockDevice, property: bytes) -> None:
        """Something about a device is not as it was: another medium, another size. `property` says what: NAME=VALUE, or
        nothing. Thread context.
        """


WATCHERS: Final[list[DeviceWatcher]] = []


@final
class _Sequence:
    """Counts media: each that comes into a disk gets a number that no other had (BLKGETDISKSEQ)."""

    def __init__(self) -> None:
        self.last: int = 0


_SEQUENCE: Final = _Sequence()


def take_sequence(disk: BlockDevice) -> None:
    """There is another medium in a disk."""
    _SEQUENCE.last += 1
    disk.sequence = _SEQUENCE.last


def add_device(device: BlockDevice) -> None:
    """The device can be used from now on. Raises MemoryError."""
    device.hardware_read_only = device.read_only
    if device.whole is None:
        take_sequence(device)
    BLOCK_DEVICES[device.number] = device
    for watcher in WATCHERS:
        watcher.appeared(device)


def remove_device(device: BlockDevice) -> None:
    """The device is gone for those who look for it. Nothing happens if it is already: who drops a partition sleeps
    before, and somebody else may have been quicker.
    """
    if BLOCK_DEVICES.get(device.number) is not device:
        return
    for watcher in WATCHERS:
        watcher.vanished(device)
    del BLOCK_DEVICES[device.number]


def tell_change(device: BlockDevice, property: bytes) -> None:
    """Notify everybody of a change, as `DeviceWatcher.changed` has it. Thread context."""
    for watcher in WATCHERS:
        watcher.changed(device, property)
