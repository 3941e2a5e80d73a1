"""Directories of /sys/devices. What each shows is a kobject, as Linux calls it: a device, or a part of one.

A directory has the kobject's attributes as files, `uevent` and `subsystem` if it is a device, and the directories of
its children. All of that is created when it is looked up.

Context: thread context.
Source: Linux's Documentation/filesystems/sysfs.rst, and sysfs-uevent in Documentation/ABI/testing.
"""

from typing import Final

from kernel.fs.constants import MAY_WRITE, S_IFREG
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, FixedLink, TextInode
from kernel.lang import EACCES, EINVAL, Errno, final
from kernel.lib.credentials import Actor

FILE_SIZE: Final = 4096  # what stat(2) shows for each file
_KIND_FILE: Final = 8
_KIND_DIRECTORY: Final = 4
_KIND_LINK: Final = 10
_UEVENT: Final = b"uevent"
_FIRST_LINK: Final = 1  # places in a directory, which number its inodes: 0 is the directory itself
_UEVENT_PLACE: Final = 9
_FIRST_ATTRIBUTE: Final = 10


def line(value: int) -> bytes:
    """A number as files show it."""
    return f"{value}\n".encode()


class KobjectLink:
    """A symbolic link in a kobject's directory; `target` is below /sys."""

    def __init__(self, name: bytes, target: bytes) -> None:
        self.name: bytes = name
        self.target: bytes = target


class Kobject:
    """What a directory shows. Base class. `ino` numbers the directory; the 255 numbers after it are also its own."""

    def __init__(self, path: bytes, ino: int) -> None:
        self.path: bytes = path  # below /sys/devices
        self.ino: int = ino
        self.subsystem: bytes = b""  # below /sys: class/mem, bus/pci; empty for what is no device

    def name(self) -> bytes:
        """The last part of the path."""
        return self.path[self.path.rfind(b"/") + 1 :]

    def subsystem_name(self) -> bytes:
        """As events have it: mem, pci."""
        return self.subsystem[self.subsystem.rfind(b"/") + 1 :]

    def own(self, inode: Inode) -> None:
        """Set the owner of its directory, or of a file in it, which is not always root."""

    def attributes(self) -> list[bytes]:
        """The names of its files, except `uevent`."""
        return []

    def mode(self, attribute: bytes) -> int:
        """The permissions of a file."""
        return 0o444

    def text(self, attribute: bytes) -> bytes:
        """The contents of a file. Raises Errno: ENODEV if the kobject is gone."""
        return b""

    def store(self, attribute: bytes, text: bytes) -> None:
        """Handle a write to a file. Raises Errno."""
        raise Errno(EINVAL)

    def properties(self) -> bytes:
        """What `uevent` shows of a device: lines of NAME=VALUE."""
        return b""

    def request_event(self, text: bytes) -> None:
        """A program has written to `uevent`. Raises EINVAL for an unknown action."""
        raise Errno(EINVAL)

    def links(self) -> list[KobjectLink]:
        """Links besides `subsystem`."""
        return []

    def children(self) -> "list[Kobject]":
        """Its children, shown below."""
        return []

    def child(self, name: bytes) -> "Kobject | None":
        """The child with a name."""
        for kobject in self.children():
            if kobject.name() == name:
                return kobject
        return None

    def read_children(self, position: int, first: int, sink: DirectorySink) -> None:
        """Emit the children from a position on; the first one's is `first`."""
        place = first
        for kobject in self.children():
            if place >= position:
                if not sink.emit(kobject.name(), kobject.ino, _KIND_DIRECTORY, place + 1):
                    return
                sink.position = place + 1
            place += 1


def way_up(path: bytes) -> bytes:
    """The path from a directory of /sys/devices to /sys: `../` for each part of the path, and for `devices`."""
    return b"../" * (path.count(b"/") + 2)


@final
class KobjectFile(TextInode):
    """An attribute."""

    def __init__(self, file_system: FileSystem, ino: int, kobject: Kobject, name: bytes) -> None:
        mode = 0o644 if name == _UEVENT else kobject.mode(name)
        super().__init__(file_system, ino, S_IFREG | mode)
        self.size = FILE_SIZE
        self.kobject: Kobject = kobject
        self.name: bytes = name
        kobject.own(self)

    def make_text(self) -> bytes:
        return self.kobject.properties() if self.name == _UEVENT else self.kobject.text(self.name)

    def store_text(self, text: bytes, offset: int) -> int:
        if len(text) == 0:
            return 0
        if self.name == _UEVENT:
            self.kobject.request_event(text)
        else:
            self.kobject.store(self.name, text)
        return len(text)

    def check_permission(self, actor: Actor, mask: int) -> None:
        if mask & MAY_WRITE != 0 and self.mode & 0o222 == 0:
            raise Errno(EACCES)  # root, too, can't write what nobody may write
        super().check_permission(actor, mask)


@final
class KobjectDirectory(ComputedDirectory):
    """The directory of a kobject."""

    def __init__(self, file_system: FileSystem, kobject: Kobject) -> None:
        super().__init__(file_system, kobject.ino, 0o755)
        self.kobject: Kobject = kobject
        self.has_events: bool = len(kobject.subsystem) > 0
        kobject.own(self)

    def _links(self) -> list[KobjectLink]:
        links = self.kobject.links()
        if self.has_events:
            links.append(KobjectLink(b"subsystem", self.kobject.subsystem))
        return links

    def lookup(self, name: bytes) -> Inode | None:
        kobject = self.kobject
        if name == _UEVENT and self.has_events:
            return KobjectFile(self.file_system, kobject.ino | _UEVENT_PLACE, kobject, name)
        attributes = kobject.attributes()
        if name in attributes:
            ino = kobject.ino | (_FIRST_ATTRIBUTE + attributes.index(name))
            return KobjectFile(self.file_system, ino, kobject, name)
        place = _FIRST_LINK
        for link in self._links():
            if link.name == name:
                return FixedLink(self.file_system, kobject.ino | place, way_up(kobject.path) + link.target, size=0)
            place += 1
        child = kobject.child(name)
        return None if child is None else KobjectDirectory(self.file_system, child)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        kobject = self.kobject
        place = FIRST_POSITION
        if self.has_events:
            if place >= position:
                if not sink.emit(_UEVENT, kobject.ino | _UEVENT_PLACE, _KIND_FILE, place + 1):
                    return
                sink.position = place + 1
            place += 1
        number = _FIRST_LINK
        for link in self._links():
            if place >= position:
                if not sink.emit(link.name, kobject.ino | number, _KIND_LINK, place + 1):
                    return
                sink.position = place + 1
            place += 1
            number += 1
        number = _FIRST_ATTRIBUTE
        for name in kobject.attributes():
            if place >= position:
                if not sink.emit(name, kobject.ino | number, _KIND_FILE, place + 1):
                    return
                sink.position = place + 1
            place += 1
            number += 1
        kobject.read_children(position, place, sink)
