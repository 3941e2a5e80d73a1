"""Directories and symbolic links of an autofs, which its automounter alone creates and removes.

A *trap* is an empty directory on which nothing is mounted, and into which somebody goes: the root of a direct mount, or
a directory in the root of an indirect one, of an automounter that speaks a version before 5 any directory below. In the
root of an indirect mount a name that does not exist is one as well, even for those who only look.

Context: `await_mount` sleeps; nothing else does.
"""

from typing import Final

from kernel.fs.autofs.instance import AutofsInstance, Request
from kernel.fs.autofs.packets import HIGHEST_VERSION
from kernel.fs.constants import MAY_WRITE, NAME_MAX, S_IFDIR, S_IFLNK, S_IFMT, S_ISGID
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import EACCES, ENAMETOOLONG, ENOENT, Errno, final
from kernel.lib.credentials import Actor
from kernel.lib.ids import ROOT_GROUP, ROOT_USER, KernelGid, KernelUid
from kernel.sched.mutex import Patience
from kernel.time.clock import monotonic_ns

_FIRST_POSITION: Final = 2
_LAST_POSITION: Final = 1 << 40  # newer entries come before older ones


class AutofsNode(Inode):
    """A file of any kind."""

    def __init__(self, instance: AutofsInstance, mode: int, name: bytes, serial: int) -> None:
        super().__init__(instance, instance.new_ino(), mode)
        self.instance: AutofsInstance = instance
        self.name: bytes = name
        self.serial: int = serial  # in its directory
        self.above: AutofsDirectory | None = None  # None: the root, or removed
        self.request: Request | None = None  # the last one to mount something here
        self.is_expiring: bool = False  # the automounter was asked to unmount it
        self.last_used_ns: int = monotonic_ns()
        self.requester: KernelUid = ROOT_USER  # who wanted the last mount
        self.requester_group: KernelGid = ROOT_GROUP

    def key(self) -> bytes:
        """By what the automounter knows it: its path from the root. The root of a direct mount has only a number, which
        means nothing.
        """
        if self.above is None:
            return f"{self.ino:016x}".encode()
        parts: list[bytes] = []
        node: AutofsNode | None = self
        while node is not None and node.above is not None:
            parts.append(node.name)
            node = node.above
        parts.reverse()
        return b"/".join(parts)

    def is_awaited(self) -> bool:
        """Whether the automounter is mounting something here, or unmounting it."""
        request = self.request
        return self.is_expiring or (request is not None and not request.is_answered)


@final
class AutofsSymlink(AutofsNode):
    """A symbolic link: an automounter's other way to answer."""

    def __init__(self, instance: AutofsInstance, name: bytes, serial: int, target: bytes) -> None:
        super().__init__(instance, S_IFLNK | 0o555, name, serial)
        self.target: bytes = target
        self.size = len(target)

    def read_link(self) -> bytes:
        if not self.instance.obeys():
            self.last_used_ns = monotonic_ns()
        return self.target


class AutofsDirectory(AutofsNode):
    """A directory. The root is of a derived class."""

    def __init__(self, instance: AutofsInstance, mode: int, name: bytes, serial: int) -> None:
        super().__init__(instance, mode, name, serial)
        self.nlink = 2
        self.revalidates = True  # walks stop at the names of others
        self.entries: dict[bytes, AutofsNode] = {}
        self.order: list[AutofsNode] = []  # by serial numbers
        self.last_serial: int = 0

    # ---- Traps ------------------------------------------------------------------------------------------------

    def is_root(self) -> bool:
        return self is self.instance.top

    def has_traps(self) -> bool:
        """Whether something is mounted on what it holds."""
        if self.instance.is_trigger():
            return False
        return self.is_root() or self.instance.version < HIGHEST_VERSION

    def doubts(self, name: bytes, child: Inode | None) -> bool:
        return self.has_traps() and not self.instance.obeys()

    def stops(self, name: bytes, *, is_covered: bool, goes_in: bool) -> bool:
        instance = self.instance
        node: AutofsNode | None = self
        if len(name) > 0:
            if not self.has_traps():
                return False
            node = self.entries.get(name)
        elif not instance.is_trigger() or not self.is_root():
            return False
        if instance.obeys():
            return False
        if node is None:
            return self.is_root()
        if not instance.expires_strictly:
            node.last_used_ns = monotonic_ns()
        if node.is_awaited():
            return True
        return goes_in and not is_covered and isinstance(node, AutofsDirectory) and node.is_empty()

    def await_mount(self, name: bytes) -> None:
        """Have it mounted. Raises what the automounter answers, ENOENT, EINTR, MemoryError."""
        instance = self.instance
        node = self.entries.get(name) if len(name) > 0 else self
        if node is not None and node.is_expiring:
            _await_expiry(instance, node)
            return
        key = node.key() if node is not None else self._key_of(name)
        request = instance.ask(key, is_expiry=False)
        if node is not None:
            node.request = request
        instance.wait(request)
        node = self.entries.get(name) if len(name) > 0 else self
        if node is not None:
            node.last_used_ns = monotonic_ns()
            node.requester = request.user
            node.requester_group = request.group

    def _key_of(self, name: bytes) -> bytes:
        return name if self.above is None else self.key() + b"/" + name

    # ---- Looking ----------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode | None:
        node = self.entries.get(name)
        if node is None and not self.is_root() and not self.instance.obeys():
            raise Errno(ENOENT)  # where the automounter alone could create it, too
        return node

    def is_empty(self) -> bool:
        return len(self.order) == 0

    def seeks_from_end(self) -> bool:
        return False

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        """Newer entries come first. Positions stay with their entries."""
        index = _index_of(self.order, _LAST_POSITION - max(position, _FIRST_POSITION) + 1) - 1
        while index >= 0:
            node = self.order[index]
            index -= 1
            after = _LAST_POSITION - node.serial + 1
            if not sink.emit(node.name, node.ino, node.directory_entry_type(), after):
                return
            sink.position = after

    def open(self, path: Path, flags: int) -> File:
        is_covered = path.dentry.mounts is not None and path.dentry in path.mount.children
        if self.is_empty() and not is_covered and not self.instance.obeys():
            raise Errno(ENOENT)  # what should have been mounted here was not
        return InodeFile(path, flags)

    # ---- Changing ---------------------------------------------------------------------------------------------

    def check_permission(self, actor: Actor, mask: int) -> None:
        """Nobody but the automounter writes, and it only as long as it answers."""
        if mask & MAY_WRITE != 0 and (self.instance.is_catatonic or not self.instance.obeys()):
            raise Errno(EACCES)
        super().check_permission(actor, mask)

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        if mode & S_IFMT != S_IFDIR:
            return super().create(name, mode, rdev, actor)
        self._require_alive(name)
        made = AutofsDirectory(self.instance, mode, name, self.last_serial + 1)
        self._own(made, actor)
        self._add(made)
        self.nlink += 1
        return made

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        self._require_alive(name)
        made = AutofsSymlink(self.instance, name, self.last_serial + 1, target)
        self._own(made, actor)
        self._add(made)
        return made

    def unlink(self, name: bytes, target: Inode) -> None:
        self._remove(name)
        target.drop_link()

    def remove_directory(self, name: bytes, target: Inode) -> None:
        self._remove(name)
        self.nlink -= 1
        target.nlink = 1
        target.drop_link()

    def _require_alive(self, name: bytes) -> None:
        if self.nlink == 0:
            raise Errno(ENOENT)
        if len(name) > NAME_MAX:
            raise Errno(ENAMETOOLONG)

    def _own(self, made: AutofsNode, actor: Actor) -> None:
        made.uid = actor.fsuid
        made.gid = actor.fsgid
        if self.mode & S_ISGID != 0:
            made.gid = self.gid
            if made.is_directory():
                made.mode |= S_ISGID

    def _add(self, made: AutofsNode) -> None:
        """Enter a new node. Raises MemoryError, with nothing changed."""
        self.entries[made.name] = made
        try:
            self.order.append(made)
        except MemoryError:
            self.entries.pop(made.name)
            raise
        self.last_serial = made.serial
        made.above = self
        made.request = self.instance.request_for(made.key())
        self.touch_modified()

    def _remove(self, name: bytes) -> None:
        node = self.entries.pop(name)
        self.order.pop(_index_of(self.order, node.serial))
        node.above = None
        self.touch_modified()

    def empty_out(self) -> None:
        """The file system goes away: drop all nodes, however deep, without recursion."""
        directory: AutofsDirectory | None = self
        while directory is not None:
            if len(directory.order) == 0:
                directory = directory.above
                continue
            node = directory.order[-1]
            if isinstance(node, AutofsDirectory) and len(node.order) > 0:
                directory = node
                continue
            directory._remove(node.name)
            node.nlink = 1
            node.drop_link()


def _await_expiry(instance: AutofsInstance, node: AutofsNode) -> None:
    """Wait until the automounter has unmounted something, or has not. Raises EINTR, MemoryError."""
    patience = Patience()
    try:
        while node.is_expiring:
            patience.sleep(instance.settled)
    finally:
        patience.end()


def _index_of(order: list[AutofsNode], serial: int) -> int:
    """The place of the first node whose serial number is not below this one."""
    low = 0
    high = len(order)
    while low < high:
        middle = (low + high) // 2
        if order[middle].serial < serial:
            low = middle + 1
        else:
            high = middle
    return low
