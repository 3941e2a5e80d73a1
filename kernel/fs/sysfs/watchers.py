"""Announces devices that come, go and change.

Context: thread context. A change has happened even if there is no memory to announce it.
"""

from kernel.block.device import BlockDevice
from kernel.block.registry import WATCHERS, DeviceWatcher
from kernel.fs.character_devices import CharDevice
from kernel.fs.devices.filesystem import CHAR_DEVICE_WATCHER
from kernel.fs.sysfs.block import BlockKobject
from kernel.fs.sysfs.characters import CharacterKobject, class_of
from kernel.fs.sysfs.events import announce, is_heard, tell_of_shortage
from kernel.fs.sysfs.net import InterfaceKobject, above_interface
from kernel.lang import final
from kernel.net.link import device as net
from kernel.net.link.device import NetworkDevice, watch_devices
from kernel.net.link.network import FIRST_NETWORK


def _tell_of_disk(device: BlockDevice, action: bytes, property: bytes) -> None:
    if not is_heard(FIRST_NETWORK):
        return
    try:
        announce(BlockKobject(device), action, [property] if len(property) > 0 else [])
    except MemoryError:
        tell_of_shortage(FIRST_NETWORK)


def _tell_of_interface(device: NetworkDevice, action: bytes, old_name: bytes) -> None:
    if not is_heard(device.network):
        return
    try:
        more = [b"DEVPATH_OLD=/devices/" + above_interface(device) + old_name] if len(old_name) > 0 else []
        announce(InterfaceKobject(device), action, more)
    except MemoryError:
        tell_of_shortage(device.network)


@final
class _Disks(DeviceWatcher):
    def appeared(self, device: BlockDevice) -> None:
        _tell_of_disk(device, b"add", b"")

    def vanished(self, device: BlockDevice) -> None:
        _tell_of_disk(device, b"remove", b"")

    def changed(self, device: BlockDevice, property: bytes) -> None:
        _tell_of_disk(device, b"change", property)


@final
class _Interfaces(net.DeviceWatcher):
    def device_added(self, device: NetworkDevice) -> None:
        _tell_of_interface(device, b"add", b"")

    def device_renamed(self, device: NetworkDevice, old_name: bytes) -> None:
        _tell_of_interface(device, b"move", old_name)

    def device_removed(self, device: NetworkDevice) -> None:
        _tell_of_interface(device, b"remove", b"")


def _character_device_appeared(device: CharDevice) -> None:
    if len(class_of(device)) > 0 and is_heard(FIRST_NETWORK):
        announce(CharacterKobject(device), b"add", [])


WATCHERS.append(_Disks())
watch_devices(_Interfaces())
CHAR_DEVICE_WATCHER.appeared = _character_device_appeared
