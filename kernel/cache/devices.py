"""The caches of block devices: what /dev/vda shows, and where file systems keep their own blocks."""

from typing import Final

from kernel.block.device import BLOCK_DEVICES, SECTOR_SHIFT, BlockDevice, flush
from kernel.cache.dirty_pages import LAST_PAGE
from kernel.cache.file_cache import FileCache
from kernel.cache.store import HOLE, BackingStore, Runs, SyncScope
from kernel.lang import ENOSPC, Errno, final, sleeps
from kernel.lib import log


@final
class DeviceStore(BackingStore):
    """A whole device, in order."""

    def __init__(self, device: BlockDevice) -> None:
        self.disk: BlockDevice = device

    def device(self) -> BlockDevice:
        return self.disk

    def size_bytes(self) -> int:
        return self.disk.sectors << SECTOR_SHIFT

    def map(self, offset: int, length: int, runs: Runs) -> None:
        there = max(0, min(length, self.size_bytes() - offset))
        if there > 0:
            runs.add(offset >> SECTOR_SHIFT, there)
        if there < length:
            runs.add(HOLE, length - there)

    def allocate(self, offset: int, length: int) -> None:
        if offset + length > self.size_bytes():
            raise Errno(ENOSPC)


DEVICE_CACHES: Final[dict[int, FileCache]] = {}
"""By device number."""


def device_cache(device: BlockDevice) -> FileCache:
    """The cache of a device, created on first use. Raises MemoryError."""
    cache = DEVICE_CACHES.get(device.number)
    if cache is None:
        cache = FileCache(DeviceStore(device), by_sectors=True)
        DEVICE_CACHES[device.number] = cache
    return cache


def take_cache(device: BlockDevice) -> FileCache | None:
    """The device is gone, and another one may get its number: let nobody find its cache. The caller closes that. Never
    sleeps.
    """
    cache = DEVICE_CACHES.get(device.number)
    if cache is not None:
        del DEVICE_CACHES[device.number]
    return cache


def forget_device(device: BlockDevice) -> None:
    """The same, and drop the cache, dirty pages included. May sleep."""
    cache = take_cache(device)
    if cache is not None:
        cache.close()


def forget_contents(device: BlockDevice) -> None:
    """The device shows something else: drop what its cache has, dirty pages included. Open files go on with the same
    cache. May sleep.
    """
    cache = DEVICE_CACHES.get(device.number)
    if cache is not None:
        cache.close()


@sleeps
def sync_device(device: BlockDevice) -> None:
    """Write what is dirty in a device's cache, wait, and flush the device. Raises EIO."""
    cache = DEVICE_CACHES.get(device.number)
    if cache is not None:
        cache.store_range(0, LAST_PAGE, SyncScope.ALL)
    else:
        flush(device)


@sleeps
def sync_devices() -> None:
    """As `sync_device` for all devices, even if some fail."""
    devices: list[BlockDevice] = []
    for device in BLOCK_DEVICES.values():
        devices.append(device)
    for device in devices:
        try:
            sync_device(device)
        except Errno as error:
            log.error(f"sync: a device could not be written: error {error.code}")


def device_page_count() -> int:
    """Pages of the caches of block devices: what people call buffers."""
    pages = 0
    for cache in DEVICE_CACHES.values():
        pages += cache.pages.count
    return pages
