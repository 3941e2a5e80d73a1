"""What the inodes of an overlay know about it: its layers, its mounter, and its other inodes.

Locks: `names` of the overlay is taken before that of any layer. `OverlayNode.copying`, under which an inode is copied
up before it is opened for writing or changed, is taken before `names`; a thread that holds `names` never takes it.

Context: `became_idle` and `leave` never sleep.
"""

from typing import Final

from kernel.fs.constants import S_IFDIR, S_IFMT
from kernel.fs.filesystem import FileSystem, Statistics
from kernel.fs.inode import Inode
from kernel.fs.overlay.layers import Layer, LowerPlace, get_mark, hold, let_go, set_mark
from kernel.fs.overlay.leaving import LEAVING, LeavingInode, LeavingSystem
from kernel.fs.overlay.mount_options import Numbers, Options, Redirects
from kernel.fs.path import FsContext, Path
from kernel.fs.privileges import SET_ID
from kernel.lang import EIO, Errno, noraise, with_room
from kernel.lib.capabilities import CAP_DAC_OVERRIDE
from kernel.lib.credentials import Credentials
from kernel.sched import Mutex
from kernel.sched.room import make_room

MAGIC: Final = 0x794C_7630
OPAQUE: Final = b"opaque"
REDIRECT: Final = b"redirect"
WHITEOUT: Final = b"whiteout"
_ESCAPE: Final = b"overlay."


class OverlayInstance(LeavingSystem):
    """A mounted overlay: base of `OverlayFileSystem`, which is the rest."""

    def __init__(self, source: bytes, options: Options, context: FsContext) -> None:
        super().__init__(b"overlay", source, MAGIC)
        self.sleeps = True
        self.keeps_negatives = True
        self.has_access_lists = True
        self.shown: Options = options
        self.context: FsContext = context  # for the mounter
        self.mounter: Credentials = context.credentials
        self.mounter_may_all: bool = self.mounter.capable(CAP_DAC_OVERRIDE)
        self.belong_to(self.mounter.user_namespace)
        self.upper: Layer | None = None
        self.lower: list[Layer] = []
        self.work: Path | None = None  # where files are created that then move to the upper layer
        self.work_base: Path | None = None  # what `workdir` names
        self.systems: list[FileSystem] = []  # the file systems of the layers
        self.system_devices: list[int] = []  # the numbers that stat(2) shows for them
        self.keeps_marks: bool = True  # the upper layer has extended attributes, and the mounter may set them
        self.nodes: dict[Inode, OverlayNode] = {}  # by the inode of a layer
        self.whiteout: Path | None = None  # the one in the work directory; all others are links to it
        self._next_temporary: int = 0
        self._next_ino: int = 1

    def work_place(self) -> Path:
        """Raises EIO if the overlay cannot be changed."""
        work = self.work
        if work is None:
            raise Errno(EIO)
        return work

    def next_temporary(self) -> bytes:
        """A free name in the work directory."""
        self._next_temporary += 1
        return f"#{self._next_temporary:x}".encode()

    def next_ino(self) -> int:
        self._next_ino += 1
        return self._next_ino

    def has_one_file_system(self) -> bool:
        return len(self.systems) == 1

    def mark_name(self, name: bytes) -> bytes:
        """The full name of an extended attribute in which the overlay stores something in a layer."""
        return (b"user.overlay." if self.shown.uses_user_attributes else b"trusted.overlay.") + name

    def is_private(self, name: bytes) -> bool:
        """Whether an extended attribute of a layer is the overlay's own."""
        prefix = self.mark_name(b"")
        return name.startswith(prefix) and not name.startswith(prefix + _ESCAPE)

    def name_below(self, name: bytes) -> bytes:
        """The name in the layers of an extended attribute that programs see: those that look like the overlay's own are
        renamed there, for an overlay on top of this one.
        """
        prefix = self.mark_name(b"")
        return prefix + _ESCAPE + name[len(prefix) :] if name.startswith(prefix) else name

    def name_above(self, name: bytes) -> bytes:
        """The name that programs see for one that is not private."""
        prefix = self.mark_name(_ESCAPE)
        return self.mark_name(name[len(prefix) :]) if name.startswith(prefix) else name

    def is_opaque(self, path: Path) -> bool:
        return get_mark(self.context, path, self.mark_name(OPAQUE)) == b"y"

    def set_opaque(self, path: Path, refusal: int) -> None:
        """Make a directory of the upper layer hide those below. Raises `refusal` if that cannot be recorded."""
        if not self.keeps_marks:
            raise Errno(refusal)
        set_mark(self.context, path, self.mark_name(OPAQUE), b"y")

    def lets_layers_change(self) -> bool:
        """Whether layers may be changed while the overlay is not mounted: not where new features are used."""
        return self.shown.redirects != Redirects.ON and self.shown.numbers != Numbers.ON

    def statistics(self) -> Statistics:
        make_room()
        return _statistics(self)

    def sync(self) -> None:
        make_room()
        _sync(self)

    # ---- Numbers ----------------------------------------------------------------------------------------------

    def number_of(self, node: "OverlayNode", layer: Layer, ino: int) -> int:
        """The inode number that stat(2) shows for a file in a layer."""
        if self.has_one_file_system():
            return ino
        if self.shown.numbers == Numbers.ON:
            bits = (max(2, len(self.systems) + (1 if self.upper is None else 0)) - 1).bit_length() + 1
            if ino >> (64 - bits) == 0:
                half = 1 << (bits - 2)
                fixed = ino | (layer.system & (half - 1)) << (65 - bits)
                return fixed | -0x8000_0000_0000_0000 if layer.system & half != 0 else fixed  # 64 bits, signed
        return self.next_ino() if node.mode & S_IFMT == S_IFDIR else ino

    def device_of(self, node: "OverlayNode", layer: Layer) -> int:
        """The device that stat(2) shows."""
        if self.has_one_file_system() or node.mode & S_IFMT == S_IFDIR or self.shown.numbers == Numbers.ON:
            return self.device
        return layer.device


@with_room(24576)
def _statistics(overlay: OverlayInstance) -> Statistics:
    layer = overlay.upper
    return (overlay.lower[0] if layer is None else layer).mount.file_system.statistics()


@with_room(24576)
def _sync(overlay: OverlayInstance) -> None:
    layer = overlay.upper
    if layer is not None and not overlay.shown.is_volatile:
        layer.mount.file_system.sync()


class OverlayNode(LeavingInode):
    """An inode with its places in the layers: base of all that an overlay shows."""

    def __init__(self, overlay: OverlayInstance, mode: int) -> None:
        super().__init__(overlay, 0, mode)
        self.overlay: OverlayInstance = overlay
        self.upper: Path | None = None  # held, as all of these are
        self.lowers: list[LowerPlace] = []  # the topmost first; more than one of directories only
        self.above: OverlayNode | None = None  # the directory that it was found in, while it lies in a lower layer
        self.called: bytes = b""  # its name there
        self.device: int = overlay.device
        self.copying: Mutex = Mutex()
        self.hidden: bool = False  # its name was removed
        self.kept_flags: int = 0  # of FS_UNCHANGEABLE: flags from below that the copy lacks
        self.has_birth: bool = False
        self.known_attributes: int = 0
        self.has_left: bool = False

    def real_path(self) -> Path:
        """Where its attributes and contents are. Raises EIO once it has left."""
        path = self.upper
        if path is not None:
            return path
        if len(self.lowers) == 0:
            raise Errno(EIO)
        return self.lowers[0].path

    def real(self) -> Inode:
        return self.real_path().inode()

    def lies_above(self) -> bool:
        """Whether the upper layer has it: checked again after a sleep."""
        return self.upper is not None

    def is_merged(self) -> bool:
        """Whether it is a directory merged from several."""
        return self.is_directory() and len(self.lowers) + (0 if self.upper is None else 1) > 1

    def take_over(self) -> None:
        """Take over the attributes of the layer. Called with room. Never sleeps."""
        path = self.real_path()
        real = path.inode()
        self.mode = real.mode
        self.uid = path.mount.seen_uid(real.uid)
        self.gid = path.mount.seen_gid(real.gid)
        self.size = real.size
        self.blocks = real.blocks
        self.rdev = real.rdev
        self.flags = real.flags | self.kept_flags
        self.atime_ns = real.atime_ns
        self.mtime_ns = real.mtime_ns
        self.ctime_ns = real.ctime_ns
        self.btime_ns = real.btime_ns
        self.has_birth = real.has_birth_time()
        self.known_attributes = real.shown_attributes()
        if not self.hidden:
            self.nlink = 1 if self.is_merged() else max(1, real.nlink)

    def shown_device(self) -> int:
        return self.device

    # ---- End --------------------------------------------------------------------------------------------------

    @noraise
    def became_idle(self) -> None:
        LEAVING.add_inode(self)

    @noraise
    def evict(self) -> None:
        if not self.leave():
            LEAVING.add_inode(self)

    @noraise
    def leave(self) -> bool:
        if self.users != 0 or self.names != 0:
            return True  # it is in use again
        try:
            make_room()
        except MemoryError:
            return False
        _leave(self)
        return True


def dropped_bits(node: OverlayNode) -> int:
    """Set-ID bits that were dropped from an inode and that its layer still has. Called before anything sleeps."""
    return node.real().mode & SET_ID & ~node.mode


@noraise
@with_room(24576)
def _leave(node: OverlayNode) -> None:
    _let_places_go(node)


@noraise
def _let_places_go(node: OverlayNode) -> None:
    """Release its places."""
    if node.has_left:
        return
    node.has_left = True
    nodes = node.overlay.nodes
    upper = node.upper
    if upper is not None:
        _forget(nodes, node, upper)
    for place in node.lowers:
        _forget(nodes, node, place.path)
    node.upper = None
    node.above = None
    if upper is not None:
        let_go(upper)
    for place in node.lowers:
        let_go(place.path)
    node.lowers.clear()


@noraise
def _forget(nodes: dict[Inode, OverlayNode], node: OverlayNode, path: Path) -> None:
    inode = path.dentry.inode
    if inode is not None and nodes.get(inode) is node:
        nodes.pop(inode)


def enter(node: OverlayNode, upper: Path | None, lowers: list[LowerPlace]) -> None:
    """Give a new inode its places, which are held from then on, and enter it under one of them. Raises MemoryError;
    then it has none.
    """
    overlay = node.overlay
    key: Inode | None = None
    if upper is not None:
        key = upper.inode()
    elif overlay.upper is None or node.is_directory() or lowers[0].path.inode().nlink <= 1:
        key = lowers[0].path.inode()  # other hard links to a lower file become files of their own when they change
    node.lowers = list(lowers)
    if key is not None:
        try:
            overlay.nodes[key] = node
        except MemoryError:
            node.lowers.clear()
            raise
    if upper is not None:
        node.upper = hold(upper)
    for place in lowers:
        hold(place.path)
    node.take_over()
    layer = overlay.upper
    if len(lowers) > 0:
        node.ino = overlay.number_of(node, lowers[0].layer, lowers[0].path.inode().ino)
        node.device = overlay.device_of(node, lowers[0].layer)
    elif layer is not None:
        node.ino = overlay.number_of(node, layer, node.real().ino)
        node.device = overlay.device_of(node, layer)


@noraise
def leave_all(overlay: OverlayInstance) -> None:
    """The overlay goes: release all its inodes. Called with room. May sleep."""
    while True:
        key: Inode | None = None
        for each in overlay.nodes:
            key = each
            break
        if key is None:
            return
        _let_places_go(overlay.nodes.pop(key))
