"""devpts: the file system that shows the slaves of pseudo terminals, usually at /dev/pts, and /dev/ptmx, each opening
of which creates a pair.

Each mount is an instance of its own. Which one an opening of /dev/ptmx belongs to: the instance that the node lies in,
or else the one that is mounted on the directory "pts" beside the node. A slave belongs to the opener of the master,
unless the options say otherwise.

Context: only the path walk to "pts" sleeps.
Source: pts(4), Linux's Documentation/filesystems/devpts.rst.
"""

from typing import Final

from kernel.fs.character_devices import enter_device
from kernel.fs.constants import (
    DEVPTS_SUPER_MAGIC,
    O_CLOEXEC,
    O_NOCTTY,
    S_IFCHR,
    S_IFDIR,
    device_number,
)
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.filesystem import FileSystem, parse_octal, parse_size, register_filesystem, split_option
from kernel.fs.inode import Inode
from kernel.fs.mount_tree import top_at
from kernel.fs.open import open_unasked
from kernel.fs.path import Path
from kernel.fs.walk import resolve, start
from kernel.lang import EINVAL, EIO, ENODEV, ENOENT, ENOSPC, Errno, final
from kernel.lib.credentials import caller_credentials, gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid
from kernel.task import current
from kernel.tty.pty import MAJOR_SLAVE, PAIR_LIMIT, Pty, PtyHome, make_pair, open_master
from kernel.tty.terminals import open_terminal

_MAJOR_PTMX: Final = 5
_MINOR_PTMX: Final = 2
_ROOT_INO: Final = 1
_PTMX_INO: Final = 2
_FIRST_SLAVE_INO: Final = 3
_PTMX_POSITION: Final = 2
_FIRST_SLAVE_POSITION: Final = 3
_MODE_BITS: Final = 0o7777


@final
class SlaveInode(Inode):
    """The node of a slave. `pair` is None once the master is closed."""

    def __init__(self, devpts: "Devpts", pair: Pty) -> None:
        super().__init__(devpts, _FIRST_SLAVE_INO + pair.number, S_IFCHR | devpts.mode)
        self.rdev = device_number(MAJOR_SLAVE, pair.number)
        self.pair: Pty | None = pair


@final
class PtmxInode(Inode):
    """The node ptmx."""

    def __init__(self, devpts: "Devpts") -> None:
        super().__init__(devpts, _PTMX_INO, S_IFCHR | devpts.ptmx_mode)
        self.rdev = device_number(_MAJOR_PTMX, _MINOR_PTMX)


@final
class PtsDirectory(Inode):
    """The root, the only directory: ptmx, and the slaves by their numbers."""

    def __init__(self, devpts: "Devpts") -> None:
        super().__init__(devpts, _ROOT_INO, S_IFDIR | 0o755)
        self.nlink = 2
        self.caches_children = False
        self.ptmx: PtmxInode = PtmxInode(devpts)
        self.slaves: dict[int, SlaveInode] = {}

    def lookup(self, name: bytes) -> Inode | None:
        if name == b"ptmx":
            return self.ptmx
        number = 0
        for digit in name:
            if not ord("0") <= digit <= ord("9") or number > PAIR_LIMIT:
                return None
            number = number * 10 + digit - ord("0")
        if name[0] == ord("0") and len(name) > 1:
            return None
        return self.slaves.get(number)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        if position <= _PTMX_POSITION:
            if not sink.emit(b"ptmx", _PTMX_INO, S_IFCHR >> 12, _FIRST_SLAVE_POSITION):
                return
            sink.position = _FIRST_SLAVE_POSITION
        for number in self.slaves:
            here = _FIRST_SLAVE_POSITION + number
            if here < position:
                continue
            if not sink.emit(f"{number}".encode(), _FIRST_SLAVE_INO + number, S_IFCHR >> 12, here + 1):
                return
            sink.position = here + 1

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)


class Devpts(FileSystem):
    """One instance."""

    def __init__(self, source: bytes, options: bytes) -> None:
        super().__init__(b"devpts", source, DEVPTS_SUPER_MAGIC)
        self.uid: KernelUid = NO_USER  # of new slaves; NO_USER: the opener's
        self.gid: KernelGid = NO_GROUP
        self.mode: int = 0o600
        self.ptmx_mode: int = 0
        self.limit: int = PAIR_LIMIT
        self.top: PtsDirectory | None = None
        self._parse(options)

    def root(self) -> Inode:
        return self.directory()

    def directory(self) -> PtsDirectory:
        """The root directory."""
        top = self.top
        if top is None:
            top = PtsDirectory(self)
            self.top = top
        return top

    def options(self) -> bytes:
        shown = b""
        if self.uid != NO_USER:
            shown += f",uid={int(self.uid)}".encode()
        if self.gid != NO_GROUP:
            shown += f",gid={int(self.gid)}".encode()
        shown += b",mode=" + _octal(self.mode) + b",ptmxmode=" + _octal(self.ptmx_mode)
        if self.limit < PAIR_LIMIT:
            shown += f",max={self.limit}".encode()
        return shown

    def reconfigure(self, options: bytes) -> None:
        self._parse(options)
        self.directory().ptmx.mode = S_IFCHR | self.ptmx_mode

    def shut_down(self) -> None:
        self.top = None

    def _parse(self, options: bytes) -> None:
        for option in options.split(b","):
            if not option or option == b"newinstance":
                continue
            key, value = split_option(option)
            if len(key) == len(option):
                raise Errno(EINVAL)
            if key == b"uid":
                self.uid = uid_from_caller(parse_size(value, 0))
                if self.uid == NO_USER:
                    raise Errno(EINVAL)
            elif key == b"gid":
                self.gid = gid_from_caller(parse_size(value, 0))
                if self.gid == NO_GROUP:
                    raise Errno(EINVAL)
            elif key == b"mode":
                self.mode = parse_octal(value) & _MODE_BITS
            elif key == b"ptmxmode":
                self.ptmx_mode = parse_octal(value) & _MODE_BITS
            elif key == b"max":
                self.limit = parse_size(value, 0)
                if self.limit > PAIR_LIMIT:
                    raise Errno(EINVAL)
            else:
                raise Errno(EINVAL)


def _octal(mode: int) -> bytes:
    """Three digits, as /proc/mounts shows modes; four where there are more."""
    digits = bytearray()
    if mode > 0o777:
        digits.append(48 + (mode >> 9 & 7))
    for shift in (6, 3, 0):
        digits.append(48 + (mode >> shift & 7))
    return bytes(digits)


@final
class SlaveHome(PtyHome):
    """An instance as seen by the master of one of its pairs. Keeps the mount in use as long as the master is open."""

    def __init__(self, place: Path, directory: PtsDirectory) -> None:
        self.place: Path = place.pin()
        self.directory: PtsDirectory = directory

    def open_peer(self, number: int, flags: int) -> int:
        """TIOCGPTPEER: neither the slave's mode nor programs of control groups restrict the holder of the master."""
        task = current()
        slave = resolve(task.fs, self.place, f"{number}".encode(), 0)
        file = open_unasked(task.fs, task.credentials, slave, slave.inode(), flags & ~O_CLOEXEC | O_NOCTTY)
        return task.files.install(file, flags & O_CLOEXEC != 0)

    def forget(self, number: int) -> None:
        slave = self.directory.slaves.pop(number, None)
        if slave is not None:
            slave.pair = None
            slave.drop_link()
        self.place.unpin()


def open_ptmx(path: Path, flags: int) -> File:
    """open(2) of a node ptmx: a new pair. Raises ENOENT or ENODEV without an instance of devpts, ENOSPC."""
    place = _instance_for(path)
    devpts = place.inode().file_system
    if not isinstance(devpts, Devpts):
        raise Errno(ENODEV)
    directory = devpts.directory()
    if len(directory.slaves) >= devpts.limit:
        raise Errno(ENOSPC)
    home = SlaveHome(place, directory)
    try:
        pair = make_pair(home)
    except (Errno, MemoryError):
        place.unpin()  # from now on `home` does, when the pair forgets it
        raise
    master = open_master(path, flags, pair)
    try:
        slave = SlaveInode(devpts, pair)
        credentials = current().credentials
        slave.uid = devpts.uid if devpts.uid != NO_USER else credentials.fsuid
        slave.gid = devpts.gid if devpts.gid != NO_GROUP else credentials.fsgid
        enter_device(MAJOR_SLAVE, pair.number, b"", open_slave)
        directory.slaves[pair.number] = slave
    except MemoryError:
        master.release()
        raise
    return master


def _instance_for(path: Path) -> Path:
    """The root of the instance that a node ptmx belongs to: what is mounted at the name pts beside it. No automounter
    is asked, and no link is followed. Raises ENOENT if there is no such name, ENODEV if that is no instance.
    """
    if isinstance(path.inode().file_system, Devpts):
        return Path(path.mount, path.mount.root)
    above = path.dentry.parent
    if above is None:
        raise Errno(ENOENT)
    try:
        child = start(current().fs, Path(path.mount, above)).look_up(b"pts")
    except Errno:
        raise Errno(ENOENT) from None
    if child is None:
        raise Errno(ENOENT)
    place = top_at(Path(path.mount, child))
    if not isinstance(place.inode().file_system, Devpts) or place.dentry is not place.mount.root:
        raise Errno(ENODEV)
    return place


def open_slave(path: Path, flags: int) -> File:
    """open(2) of a slave. Raises EIO while it is locked, once the master is closed, and outside devpts."""
    inode = path.inode()
    if not isinstance(inode, SlaveInode):
        raise Errno(EIO)
    pair = inode.pair
    if pair is None:
        raise Errno(EIO)
    return open_terminal(pair.slave_opening(), path, flags)


def make_devpts(source: bytes, options: bytes) -> FileSystem:
    """A new instance."""
    devpts = Devpts(source, options)
    credentials = caller_credentials()
    if credentials is not None:
        devpts.user_namespace = credentials.user_namespace  # it has devices of its own
        top = devpts.directory()
        top.uid = credentials.fsuid
        top.gid = credentials.fsgid
        top.ptmx.uid = credentials.fsuid
        top.ptmx.gid = credentials.fsgid
    return devpts


register_filesystem(b"devpts", make_devpts, is_for_all=True)
register_char_device(_MAJOR_PTMX, _MINOR_PTMX, b"ptmx", open_ptmx)
