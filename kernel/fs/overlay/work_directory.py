"""The work directory: `work` in the directory named by `workdir`, emptied when an overlay is mounted.

Leftovers of an earlier overlay are removed, with the mounter's rights, and no deeper than an overlay creates anything.
If it cannot be created, the overlay is read-only. A `volatile` overlay leaves a mark, which makes further mounts fail
until it is removed: the upper layer may be incomplete.

Context: sleeps; called by functions that are `@with_room`.
"""

from typing import Final

from kernel.fs import extended_attributes, names
from kernel.fs.access_control import set_list
from kernel.fs.access_list import ACCESS_LIST, DEFAULT_LIST
from kernel.fs.constants import S_IFREG
from kernel.fs.overlay.instance import OPAQUE, OverlayInstance
from kernel.fs.overlay.layers import get_mark, hold, let_go, list_directory, look_up, make, remove, set_mark
from kernel.fs.overlay.mount_options import Redirects
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, span_of
from kernel.lib import log, random
from kernel.lib.pace import pace

_NAME: Final = b"work"
_MARKS: Final = b"incompat"
_REMOVAL_COST: Final = 4000  # instructions


def begin_work(overlay: OverlayInstance) -> None:
    """Create it, and find out what the upper layer supports. Raises EINVAL (the mark is there), MemoryError."""
    base = overlay.work_base
    if base is None:
        return
    try:
        _clear(overlay, base)
        made = names.make_directory(overlay.context, base, _NAME, 0)
        overlay.work = hold(made)
        _drop_lists(overlay, made)
        if overlay.shown.is_volatile:
            _mark_volatile(overlay)
    except Errno as error:
        if error.code == EINVAL:
            raise
        log.warn("overlay: no work directory, mounted read-only")
        if overlay.shown.uuid == b"auto":
            overlay.shown.uuid = b"null"
        return
    try:
        name = overlay.mark_name(OPAQUE)
        set_mark(overlay.context, overlay.work_place(), name, b"0")
        work = overlay.work_place()
        extended_attributes.remove(work.mount.actor(overlay.mounter), work.inode(), name)
    except Errno:
        overlay.keeps_marks = False
        overlay.shown.redirects = Redirects.NOFOLLOW
    _name_overlay(overlay)


def _name_overlay(overlay: OverlayInstance) -> None:
    """Give the overlay a permanent number, unless the upper layer has one already."""
    upper = overlay.upper
    options = overlay.shown
    if upper is None or options.uuid not in (b"auto", b"on"):
        return
    name = overlay.mark_name(b"uuid")
    if get_mark(overlay.context, upper.root, name) is not None:
        return
    number = bytearray(16)
    random.fill(span_of(number))
    try:
        set_mark(overlay.context, upper.root, name, bytes(number))
        options.uuid = b"on"
    except Errno:
        options.uuid = b"null"


def _drop_lists(overlay: OverlayInstance, made: Path) -> None:
    """Files in the work directory must not inherit rights from the directory named by `workdir`. Raises EPERM, EIO,
    ENOSPC.
    """
    inode = made.inode()
    if not inode.file_system.has_access_lists:
        return
    actor = made.mount.actor(overlay.mounter)
    lists = inode.access_lists()
    has_default = lists.default is not None
    if lists.access is not None:
        set_list(actor, inode, ACCESS_LIST, None)
    if has_default:
        set_list(actor, inode, DEFAULT_LIST, None)


def _clear(overlay: OverlayInstance, directory: Path) -> None:
    """Remove the old one, with its contents, two levels deep. Raises EINVAL for marks, and what removing raises."""
    context = overlay.context
    work = look_up(context, directory, _NAME)
    if work is None:
        return
    if work.inode().is_directory():
        with work:
            for entry in list_directory(context, work):
                _clear_entry(overlay, work, entry.name)
                pace(_REMOVAL_COST)
    remove(context, directory, _NAME, work.inode().is_directory())


def _clear_entry(overlay: OverlayInstance, work: Path, name: bytes) -> None:
    context = overlay.context
    at = look_up(context, work, name)
    if at is None:
        return
    if at.inode().is_directory():
        with at:
            for entry in list_directory(context, at):
                if name == _MARKS:
                    raise Errno(EINVAL)
                inner = look_up(context, at, entry.name)
                if inner is not None:
                    remove(context, at, entry.name, inner.inode().is_directory())
                pace(_REMOVAL_COST)
    remove(context, work, name, at.inode().is_directory())


def _mark_volatile(overlay: OverlayInstance) -> None:
    """Raises what making files raises."""
    context = overlay.context
    marks = hold(names.make_directory(context, overlay.work_place(), _MARKS, 0o700))
    try:
        inner = hold(names.make_directory(context, marks, b"volatile", 0o700))
        try:
            make(context, inner, b"dirty", S_IFREG | 0o700, 0, b"")
        finally:
            let_go(inner)
    finally:
        let_go(marks)
