"""devtmpfs: a tmpfs with a node for every device. There is one instance, however often it is mounted.

Nodes appear when a driver registers; a program may remove, rename and add what it likes. The symbolic links that
programs expect (/dev/fd, /dev/stdin …) are here too, since there is no udev to create them.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.character_devices import CHAR_DEVICES, CharDevice, OpenDevice, enter_device
from kernel.fs.constants import MS_RDONLY, MS_SYNCHRONOUS, S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT
from kernel.fs.dentry import CACHE, Dentry
from kernel.fs.filesystem import FileSystem, register_filesystem, split_option
from kernel.fs.general_mount_options import changed_flags, is_general
from kernel.fs.inode import Inode
from kernel.fs.tmpfs.base import Tmpfs
from kernel.fs.tmpfs.filesystem import TmpfsDirectory, enter_root
from kernel.lang import EBUSY, EINVAL, Errno, final
from kernel.lib.bus import BusDevice
from kernel.lib.credentials import Credentials, plain_actor

_ROOT: Final = plain_actor(Credentials())


class CharDeviceWatcher:
    """A function that is called when a device has been entered, by the package that notifies programs."""

    def __init__(self) -> None:
        self.appeared: Callable[[CharDevice], None] | None = None


CHAR_DEVICE_WATCHER: Final = CharDeviceWatcher()


@final
class DeviceFileSystem(Tmpfs):
    """The instance, which stays while nobody mounts it."""

    def __init__(self) -> None:
        super().__init__(b"devtmpfs", b"devtmpfs", b"mode=755", None)
        self.shows_options = False
        self.mounts = 1  # never shut down
        self.flag_names: list[bytes] = []  # flags among the options of the mount that is being created

    def use(self, source: bytes, options: bytes) -> None:
        rest: list[bytes] = []
        names: list[bytes] = []
        for option in options.split(b","):
            name, _ = split_option(option)
            if name == b"dirsync":
                raise Errno(EINVAL)  # each mount is a remount, which does not know it
            if is_general(name):
                names.append(name)
            elif name != b"source" and len(option) > 0:
                rest.append(option)
        self.reconfigure(b",".join(rest))
        self.source = source
        self.flag_names = names

    def take_flags(self, flags: int) -> None:
        """Each mount changes the flags that a remount changes."""
        for name in self.flag_names:
            flags = changed_flags(flags, name)
        read_only = flags & MS_RDONLY != 0
        if read_only and not self.read_only and self.writers > 0:
            raise Errno(EBUSY)
        self.read_only = read_only
        self.is_synchronous = flags & MS_SYNCHRONOUS != 0
        self.keep_flags(flags)


class DeviceTree:
    """The one instance, created when it is first mounted or added to."""

    def __init__(self) -> None:
        self.instance: DeviceFileSystem | None = None


_TREE: Final = DeviceTree()


def device_tree() -> Tmpfs:
    """The instance."""
    tree = _TREE.instance
    if tree is not None:
        return tree
    tree = DeviceFileSystem()
    enter_root(tree, TmpfsDirectory(tree, S_IFDIR | tree.root_mode))
    tree.tree_root = Dentry(None, b"/", tree.root())  # all mounts of it have the same names
    _TREE.instance = tree
    for device in CHAR_DEVICES.values():
        _add_node(tree, device)
    _add_link(tree, b"fd", b"/proc/self/fd")
    _add_link(tree, b"stdin", b"/proc/self/fd/0")
    _add_link(tree, b"stdout", b"/proc/self/fd/1")
    _add_link(tree, b"stderr", b"/proc/self/fd/2")
    _directory(tree.root(), b"pts", 0o755)
    _directory(tree.root(), b"shm", 0o1777)
    return tree


def register_char_device(
    major: int, minor: int, name: bytes, open_device: OpenDevice, place: BusDevice | None = None
) -> CharDevice:
    """Register a driver, and show its node at once if devtmpfs exists. `name` may lie in one sub-directory. Raises
    MemoryError.
    """
    device = enter_device(major, minor, name, open_device)
    device.place = place
    tree = _TREE.instance
    if tree is not None:
        _add_node(tree, device)
    appeared = CHAR_DEVICE_WATCHER.appeared
    if appeared is not None:
        appeared(device)
    return device


def _add_node(tree: Tmpfs, device: CharDevice) -> None:
    directory = tree.root()
    name = device.name
    slash = name.find(b"/")
    if slash > 0:
        directory = _directory(directory, name[:slash], 0o755)
        name = name[slash + 1 :]
    if not name or directory.lookup(name) is not None:
        return
    mode = device.usual_mode()
    if mode == 0:
        mode = 0o620 if name.startswith(b"tty") else 0o600
    directory.create(name, S_IFCHR | mode, device.number, _ROOT)


def add_block_node(name: bytes, number: int) -> None:
    """Show a block device."""
    top = device_tree().root()
    if top.lookup(name) is None:
        top.create(name, S_IFBLK | 0o600, number, _ROOT)


def remove_block_node(name: bytes, number: int) -> None:
    """Take the node of a block device away, if it is still there."""
    top = device_tree().root()
    node = top.lookup(name)
    if node is None or node.mode & S_IFMT != S_IFBLK or node.rdev != number:
        return
    top.unlink(name, node)
    shown = device_tree().tree_root
    if shown is not None:
        CACHE.forget_name(shown, name)


def _directory(parent: Inode, name: bytes, mode: int) -> Inode:
    found = parent.lookup(name)
    if found is not None:
        return found
    return parent.create(name, S_IFDIR | mode, 0, _ROOT)


def _add_link(tree: Tmpfs, name: bytes, target: bytes) -> None:
    top = tree.root()
    if top.lookup(name) is None:
        top.create_symlink(name, target, _ROOT)


def make_devtmpfs(source: bytes, options: bytes) -> FileSystem:
    """The one instance, whose limits options may change. Raises MemoryError."""
    return device_tree()


register_filesystem(b"devtmpfs", make_devtmpfs)
