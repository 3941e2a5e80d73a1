"""/proc/sys/net/ipv4/conf and ipv6/conf: a directory for each interface of the caller's network, besides `all` and
`default`, which always exist.

Context: see entries.py.
"""

from typing import Final

from kernel.fs.constants import MAY_EXEC, S_IFDIR, S_IFREG
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import (
    FIRST_POSITION,
    SettingsDirectory,
    TextInode,
    check_setting_access,
    check_setting_writer,
)
from kernel.lang import EINVAL, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.settings import numbers_in
from kernel.net.internet.interface_settings import ROWS, InterfaceSetting
from kernel.net.link.device import NetworkDevice, device_by_name
from kernel.net.link.network import caller_network

_FIRST_INO: Final = 0xD000_0000
_INO_SHIFT: Final = 8


@final
class InterfaceSettingInode(TextInode):
    """A number of one interface."""

    def __init__(self, file_system: FileSystem, ino: int, device: NetworkDevice, row: InterfaceSetting) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o644)
        self.device: NetworkDevice = device
        self.row: InterfaceSetting = row

    def make_text(self) -> bytes:
        return f"{self.row.of(self.device)}\n".encode()

    def holds_numbers(self) -> bool:
        return True

    def store_text(self, text: bytes, offset: int) -> int:
        """EINVAL for what is no number, or out of bounds."""
        who = caller_credentials()
        check_setting_writer(self.mode, who is not None and self._is_administrator(who))
        if offset != 0 or len(text) == 0:
            return len(text)
        numbers, used = numbers_in(text, 1)
        if not self.row.least <= numbers[0] <= self.row.most:
            raise Errno(EINVAL)
        self.row.write(self.device, numbers[0])
        return used

    def check_permission(self, actor: Actor, mask: int) -> None:
        if mask & MAY_EXEC != 0 or not self._is_administrator(actor):
            check_setting_access(self.mode, actor, mask)

    def keeps_mode(self) -> bool:
        return True

    def keeps_owner(self) -> bool:
        return True

    def _is_administrator(self, who: Credentials) -> bool:
        return who.capable_in(self.device.network.owner, CAP_NET_ADMIN)


@final
class ConfDirectory(SettingsDirectory):
    """conf, of one version of IP: `family` is ipv4 or ipv6."""

    def __init__(self, file_system: FileSystem, ino: int, family: bytes) -> None:
        super().__init__(file_system, ino)
        self.family: bytes = family
        self.caches_children = False

    def lookup(self, name: bytes) -> Inode | None:
        device = device_by_name(caller_network(), name)
        if device is None:
            return super().lookup(name)
        directory = SettingsDirectory(self.file_system, _FIRST_INO + (device.number << _INO_SHIFT))
        for row in ROWS:
            if row.family == self.family:
                directory.add(row.name, InterfaceSettingInode(self.file_system, _ino(device, row), device, row))
        return directory

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        super().read_directory(position, sink)
        index = max(0, position - FIRST_POSITION - len(self.entries))
        if sink.position < FIRST_POSITION + len(self.entries):
            return
        devices = caller_network().devices
        while index < len(devices):
            device = devices[index]
            index += 1
            following = FIRST_POSITION + len(self.entries) + index
            ino = _FIRST_INO + (device.number << _INO_SHIFT)
            if not sink.emit(device.name, ino, S_IFDIR >> 12, following):
                return
            sink.position = following


def _ino(device: NetworkDevice, row: InterfaceSetting) -> int:
    return _FIRST_INO + (device.number << _INO_SHIFT) + row.place + 1
