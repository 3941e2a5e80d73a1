"""Mounting an overlay: mount -t overlay overlay -o lowerdir=A:B,upperdir=C,workdir=D DIRECTORY (docs/overlay.md).

Without an upper layer it is read-only. Each layer is accessed through a mount of its own, as the mounter sees it; a
locked mount over a part of it makes mounting fail. An overlay may lie on overlays, but not on an overlay of overlays.

Context: sleeps. Source: Linux's Documentation/filesystems/overlayfs.rst; what it leaves open follows Linux.
"""

from typing import Final

from kernel.fs.constants import MS_NOATIME, MS_RDONLY
from kernel.fs.dentry import Dentry
from kernel.fs.filesystem import FileSystem, anonymous_device, register_stacked_filesystem
from kernel.fs.inode import Inode
from kernel.fs.mount_lock import STILL_TREE
from kernel.fs.overlay.directory import node_for
from kernel.fs.overlay.instance import OPAQUE, OverlayInstance, OverlayNode, leave_all
from kernel.fs.overlay.layers import Layer, LowerPlace, get_mark, hold, let_go
from kernel.fs.overlay.leaving import LEAVING
from kernel.fs.overlay.mount_options import Options
from kernel.fs.overlay.work_directory import begin_work
from kernel.fs.path import TIME_FLAGS, FsContext, Mount, MountNamespace, Path
from kernel.fs.peers import lies_below
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EINVAL, ELOOP, EROFS, Errno, final, noraise, with_room
from kernel.lib.pace import pace
from kernel.sched.room import make_room

_DEEPEST: Final = 2
_LEVEL_COST: Final = 60  # instructions
_MOUNT_COST: Final = 200


@final
class OverlayFileSystem(OverlayInstance):
    """A mounted overlay."""

    def __init__(self, source: bytes, options: Options, context: FsContext) -> None:
        super().__init__(source, options, context)
        self.top: OverlayNode | None = None

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def options(self) -> bytes:
        return self.shown.shown(self.has_one_file_system())

    def takes_options_later(self) -> bool:
        return False

    def remount(self, read_only: bool, options: bytes) -> None:
        """Options are ignored, as by Linux."""
        if not read_only and self.work is None:
            raise Errno(EROFS)
        self.read_only = read_only

    # ---- End --------------------------------------------------------------------------------------------------

    @noraise
    def shut_down(self) -> None:
        if not self.leave():
            LEAVING.add_system(self)

    @noraise
    def leave(self) -> bool:
        try:
            make_room()
        except MemoryError:
            return False
        _end(self)
        return True


@noraise
@with_room(24576)
def _end(overlay: OverlayFileSystem) -> None:
    """Release everything."""
    LEAVING.let_all_go()
    overlay.top = None
    leave_all(overlay)
    whiteout = overlay.whiteout
    overlay.whiteout = None
    if whiteout is not None:
        let_go(whiteout)
    work = overlay.work
    overlay.work = None
    if work is not None:
        let_go(work)
    base = overlay.work_base
    overlay.work_base = None
    if base is not None:
        let_go(base)
    overlay.context.release()
    _let_layers_go(overlay.upper, overlay.lower)
    overlay.upper = None
    overlay.lower.clear()


@noraise
def _let_layers_go(upper: Layer | None, lower: list[Layer]) -> None:
    if upper is not None:
        upper.mount.release()
    for layer in lower:
        layer.mount.release()


# ---- Mounting -------------------------------------------------------------------------------------------------------


@final
class _Plan:
    """The directories of an overlay to be mounted, held until `end`."""

    def __init__(self) -> None:
        self.lower: list[Path] = []
        self.upper: Path | None = None
        self.work: Path | None = None

    def find(self, context: FsContext, options: Options) -> None:
        """Raises ENOENT, EACCES, ELOOP, EINVAL."""
        for name in options.lower:
            place = _directory(context, name)
            try:
                self.lower.append(place)
            except MemoryError:
                let_go(place)
                raise
        if len(options.upper) == 0:
            if len(self.lower) < 2:
                raise Errno(EINVAL)
        else:
            self.upper = _directory(context, options.upper)
            self.work = _directory(context, options.work)

    def check(self) -> None:
        """Check that they can be combined. Raises EINVAL, ELOOP."""
        upper = self.upper
        work = self.work
        if upper is not None and work is not None:
            if upper.mount.flags & MS_RDONLY != 0 or upper.mount.file_system.read_only:
                raise Errno(EINVAL)
            if upper.mount is not work.mount:
                raise Errno(EINVAL)
            if lies_below(upper.dentry, work.dentry) or lies_below(work.dentry, upper.dentry):
                raise Errno(EINVAL)
        tops: dict[Inode, bool] = {}
        if upper is not None and work is not None:
            tops[upper.inode()] = True
            tops[work.inode()] = True
        for place in self.lower:
            if place.inode() in tops:
                raise Errno(ELOOP)
            tops[place.inode()] = True
        for place in self.lower:
            _check_apart(place.dentry, tops)

    def depth(self) -> int:
        """How deep the overlay would be. Raises EINVAL."""
        deepest = 0
        for place in self.lower:
            deepest = max(deepest, place.mount.file_system.stack_depth)
        upper = self.upper
        if upper is not None:
            deepest = max(deepest, upper.mount.file_system.stack_depth)
        if deepest >= _DEEPEST:
            raise Errno(EINVAL)
        return deepest + 1

    def end(self) -> None:
        for place in self.lower:
            let_go(place)
        if self.upper is not None:
            let_go(self.upper)
        if self.work is not None:
            let_go(self.work)


def _directory(context: FsContext, name: bytes) -> Path:
    place = resolve(context, None, name, FOLLOW)
    if not place.inode().is_directory():
        raise Errno(EINVAL)
    return hold(place)


def _check_apart(dentry: Dentry, tops: dict[Inode, bool]) -> None:
    """A lower layer must not lie inside another. Raises ELOOP."""
    above = dentry.parent
    while above is not None:
        inode = above.inode
        if inode is not None and inode in tops:
            raise Errno(ELOOP)
        if above.parent is above:
            return
        above = above.parent
        pace(_LEVEL_COST)


def _private_mount(context: FsContext, place: Path, flags: int, cleared: int) -> Mount:
    """A detached mount of a directory. The caller releases it. Raises EINVAL for directories that the mounter could not
    bind, MemoryError.
    """
    source = place.mount
    if source.is_unbindable or source.namespace is not context.namespace:
        raise Errno(EINVAL)
    with STILL_TREE:
        for child in source.children.values():
            point = child.mount_point
            pace(_MOUNT_COST)
            if child.locks.in_place and point is not None and lies_below(point, place.dentry):
                raise Errno(EINVAL)
    mount = Mount(source.file_system, place.dentry, source.flags & ~cleared | flags)
    mount.owners = source.owners
    mount.acquire()
    return mount


def make_overlay(context: FsContext, source: bytes, text: bytes) -> FileSystem:
    """For mount(2). Raises EINVAL, ENOENT, ELOOP, MemoryError, and what the layers raise."""
    LEAVING.start()
    make_room()
    return _make(context, source if len(source) > 0 else b"none", text)


@with_room(24576)
def _make(context: FsContext, source: bytes, text: bytes) -> OverlayFileSystem:
    options = Options(text)
    options.settle()
    plan = _Plan()
    try:
        plan.find(context, options)
        plan.check()
        depth = plan.depth()
        overlay = _with_layers(context, source, options, plan)
        overlay.stack_depth = depth
        done = False
        try:
            _fill(overlay)
            done = True
            return overlay
        finally:
            if not done:
                overlay.shut_down()
    finally:
        plan.end()  # the root has its places now


def _layer(mount: Mount, index: int) -> Layer:
    """Raises MemoryError; then the mount is released."""
    try:
        return Layer(mount, Path(mount, mount.root), index)
    except MemoryError:
        mount.release()
        raise


def _with_layers(context: FsContext, source: bytes, options: Options, plan: _Plan) -> OverlayFileSystem:
    """An overlay that has its layers. Raises EINVAL, MemoryError."""
    upper: Layer | None = None
    lower: list[Layer] = []
    mounter: FsContext | None = None
    done = False
    try:
        place = plan.upper
        if place is not None:
            mount = _private_mount(context, place, 0, TIME_FLAGS)
            upper = _layer(mount, 0)
        for place in plan.lower:
            mount = _private_mount(context, place, MS_RDONLY | MS_NOATIME, 0)
            layer = _layer(mount, len(lower) + 1)
            try:
                lower.append(layer)
            except MemoryError:
                mount.release()
                raise
        first = lower[0] if upper is None else upper
        who = context.credentials.without_rules()
        namespace = MountNamespace(who.user_namespace)
        namespace.is_anonymous = True
        mounter = FsContext(namespace, first.root, first.root, 0, who)
        overlay = OverlayFileSystem(source, options, mounter)
        overlay.upper = upper
        overlay.lower = lower
        work = plan.work
        if upper is not None and work is not None:
            overlay.work_base = hold(Path(upper.mount, work.dentry))
        done = True
        return overlay
    finally:
        if not done:
            if mounter is not None:
                mounter.release()
            _let_layers_go(upper, lower)


def _fill(overlay: OverlayFileSystem) -> None:
    """Number the layers' file systems, create the work directory and the root."""
    upper = overlay.upper
    if upper is not None:
        _number(overlay, upper)
        begin_work(overlay)
    lowers: list[LowerPlace] = []
    for layer in overlay.lower:
        _number(overlay, layer)
        lowers.append(LowerPlace(layer, layer.root))
        if get_mark(overlay.context, layer.root, overlay.mark_name(OPAQUE)) == b"x":
            layer.has_marked_whiteouts = True
    overlay.block_size = overlay.context.root.mount.file_system.block_size
    overlay.read_only = overlay.work is None or overlay.shown.is_read_only
    top = node_for(overlay, None if upper is None else upper.root, lowers, None, b"")
    top.acquire()  # as long as the overlay is mounted
    overlay.top = top


def _number(overlay: OverlayFileSystem, layer: Layer) -> None:
    file_system = layer.mount.file_system
    for number in range(len(overlay.systems)):
        if overlay.systems[number] is file_system:
            layer.system = number + (1 if overlay.upper is None else 0)
            layer.device = overlay.system_devices[number]
            return
    layer.system = len(overlay.systems) + (1 if overlay.upper is None else 0)
    layer.device = anonymous_device()
    overlay.systems.append(file_system)
    if file_system.waits_for_programs:
        overlay.waits_for_programs = True
    overlay.system_devices.append(layer.device)


def check_overlay_options(context: FsContext, text: bytes) -> None:
    """Raise EINVAL, and what looking the directories up raises."""
    make_room()
    _check_options(context, text)


@with_room(24576)
def _check_options(context: FsContext, text: bytes) -> None:
    options = Options(text)
    for name in options.lower:
        let_go(_directory(context, name))
    for name in (options.upper, options.work):
        if len(name) > 0:
            let_go(_directory(context, name))


register_stacked_filesystem(b"overlay", make_overlay).check_options = check_overlay_options
