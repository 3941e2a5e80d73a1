"""Writing out all mounted file systems: sync(2), the flusher, the end of the machine."""

from typing import Final

from kernel.cache.devices import sync_devices
from kernel.cache.writeback import FLUSHER
from kernel.fs.mount_lists import attached_mounts
from kernel.fs.path import Mount
from kernel.lang import EINVAL, Errno, final
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.sched import Obligation, WaitQueue

_LOOK_COST: Final = 200  # instructions for a mount, besides what its file system does

_KEEPER_LEFT: Final = WaitQueue()


@final
class Keeper(Obligation):
    """In a `with` statement: an attached mount stays for that long, and is not busy for umount(2), which waits."""

    def __init__(self, mount_: Mount) -> None:
        super().__init__()
        self.mount: Mount = mount_

    def __enter__(self) -> "Keeper":
        self.owe()
        self.mount.keepers += 1
        self.mount.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.settle()
        self.mount.keepers -= 1
        self.mount.release()
        _KEEPER_LEFT.wake_all()

    def broken_off(self) -> None:
        self.mount.keepers -= 1  # it stays busy, but nobody waits
        _KEEPER_LEFT.wake_all()


def wait_for_keepers(mount_: Mount) -> None:
    """Sleep until nobody writes the file system out any more. Raises EINVAL if it was unmounted meanwhile."""
    while mount_.keepers > 0:
        _KEEPER_LEFT.sleep(interruptible=False)
        if not mount_.attached:
            raise Errno(EINVAL)  # somebody else was faster


def sync_all() -> None:
    """sync(2): every file system and every device, even if some fail. May sleep."""
    for each in attached_mounts():
        if each.attached:
            with Keeper(each):
                try:
                    each.file_system.sync()
                except Errno as error:
                    log.error(f"sync: a file system could not be written: error {error.code}")
        pace(_LOOK_COST)
    sync_devices()


def write_back_all() -> None:
    """What the flusher does for file systems every few seconds. May sleep."""
    for each in attached_mounts():
        if each.attached and each.file_system.sleeps:
            with Keeper(each):
                each.file_system.write_back()
        pace(_LOOK_COST)


def end_writing() -> None:
    """The machine is about to stop: file systems on disks become read-only, and so clean. Sleeps.

    Linux leaves this to programs, which do it as well (umount -a -r); nothing is lost by being sure.
    """
    for each in attached_mounts():
        file_system = each.file_system
        if file_system.block_device is None or file_system.read_only:
            continue
        try:
            file_system.remount(read_only=True, options=b"")
        except Errno as error:
            log.error(f"a file system could not be made read-only: error {error.code}")

FLUSHER.before = write_back_all
