"""rename(2) in an overlay.

The moved file is copied up; if the layers below have its old name, a whiteout hides that in the same step. A directory
that layers below share is moved only if the overlay may record its name there (`redirect_dir=on`); otherwise the result
is EXDEV, and programs copy it.

Context: sleeps. Runs under the overlay's lock of names.
"""

from typing import Final

from kernel.fs import names
from kernel.fs.attributes import change_mode, change_owner
from kernel.fs.constants import RENAME_EXCHANGE, RENAME_WHITEOUT
from kernel.fs.overlay.copy_up import copy_up_held
from kernel.fs.overlay.instance import REDIRECT, OverlayNode
from kernel.fs.overlay.layers import (
    discard,
    expect,
    get_mark,
    hold,
    is_whiteout,
    let_go,
    look_up,
    make,
    remove,
    set_mark,
)
from kernel.fs.overlay.lookup import shows_below
from kernel.fs.overlay.mount_options import Redirects
from kernel.fs.path import Path
from kernel.lang import EROFS, EXDEV, Errno, with_room

_LONGEST_WAY: Final = 256  # bytes


def upper_place(node: OverlayNode) -> Path:
    """Where it lies in the upper layer. Raises EROFS, which is impossible once it was copied up."""
    path = node.upper
    if path is None:
        raise Errno(EROFS)
    return path


def lose_name(node: OverlayNode, directory: OverlayNode, name: bytes) -> None:
    """One of its names is gone. A lower file has its place only by the name that it was found by; the number of its
    names in the lower layer does not change. May sleep.
    """
    upper = node.upper
    left = node.nlink - 1
    if node.is_directory():
        left = 0
        node.hidden = True
    elif upper is not None:
        left = upper.inode().nlink
        node.hidden = left == 0
    else:
        if node.names > 1:
            left = max(left, 1)  # another path leads to it, through a directory that has two names
        node.hidden = left == 0 or (node.above is directory and node.called == name)
    node.nlink = left + 1
    node.drop_link()


def _is_from_below(node: OverlayNode) -> bool:
    return node.is_directory() and len(node.lowers) > 0


def _check_move(node: OverlayNode) -> None:
    if _is_from_below(node) and node.overlay.shown.redirects != Redirects.ON:
        raise Errno(EXDEV)


def _prepare(node: OverlayNode, name: bytes, goes_elsewhere: bool, new_parent: OverlayNode) -> None:
    """Record in a directory its name in the layers below, or that it is not merged with them."""
    if not node.is_directory():
        return
    overlay = node.overlay
    place = upper_place(node)
    if len(node.lowers) > 0:
        if not overlay.keeps_marks:
            raise Errno(EXDEV)
        noted = get_mark(overlay.context, place, overlay.mark_name(REDIRECT))
        if noted is not None and (not goes_elsewhere or noted.startswith(b"/")):
            return
        set_mark(overlay.context, place, overlay.mark_name(REDIRECT), _way_to(node) if goes_elsewhere else name)
    elif len(new_parent.lowers) > 0 and not overlay.is_opaque(place):
        overlay.set_opaque(place, EXDEV)


def _way_to(node: OverlayNode) -> bytes:
    """The path of a directory from the root of the topmost lower layer that has it. Raises EXDEV if that is too
    long.
    """
    place = node.lowers[0]
    parts: list[bytes] = []
    at = place.path.dentry
    while at is not place.layer.root.dentry:
        above = at.parent
        if above is None or above is at:
            raise Errno(EXDEV)
        parts.append(at.name)
        at = above
    parts.reverse()
    way = b"/" + b"/".join(parts)
    if len(way) > _LONGEST_WAY:
        raise Errno(EXDEV)
    return way


@with_room(24576)
def move(
    directory: OverlayNode,
    name: bytes,
    target: OverlayNode,
    new_parent: OverlayNode,
    new_name: bytes,
    replaced: OverlayNode | None,
) -> None:
    """See `Inode.rename`. Raises EXDEV."""
    _check_move(target)
    overlay = directory.overlay
    context = overlay.context
    copy_up_held(target)
    copy_up_held(directory)
    copy_up_held(new_parent)
    leaves_whiteout = shows_below(directory, name)
    here = upper_place(directory)
    there = upper_place(new_parent)
    expect(context, here, name, target.upper)
    expect(context, there, new_name, None if replaced is None else replaced.upper)
    if replaced is not None and replaced.is_directory():
        _clear(replaced, there, new_name)
    _prepare(target, name, directory is not new_parent, new_parent)
    found = look_up(context, there, new_name)
    if found is not None and target.is_directory() and is_whiteout(found.inode()):
        names.rename(context, here, name, there, new_name, RENAME_EXCHANGE)
        if not leaves_whiteout:
            remove(context, here, name, is_directory=False)
    else:
        names.rename(context, here, name, there, new_name, RENAME_WHITEOUT if leaves_whiteout else 0)
    target.above = new_parent
    target.called = new_name
    target.take_over()
    directory.take_over()
    new_parent.take_over()
    if replaced is not None:
        lose_name(replaced, new_parent, new_name)


def _clear(node: OverlayNode, there: Path, name: bytes) -> None:
    """An empty directory is about to be replaced: put an empty opaque one in its place, if it contains whiteouts or is
    not in the upper layer.
    """
    overlay = node.overlay
    if len(node.lowers) == 0:
        return
    context = overlay.context
    copy_up_held(node)
    temporary = overlay.next_temporary()
    work = overlay.work_place()
    made = hold(make(context, work, temporary, node.mode, 0, b""))
    key = made.inode()
    try:
        entered = False
        try:
            change_owner(context, made.mount, key, node.uid, node.gid)
            change_mode(context, made.mount, key, node.mode)
            overlay.set_opaque(made, EXDEV)
            overlay.nodes[key] = node  # whatever can fail comes before the first change
            names.rename(context, work, temporary, there, name, RENAME_EXCHANGE)
            entered = True
        finally:
            if not entered and overlay.nodes.get(key) is node:
                overlay.nodes.pop(key)
            discard(context, work, temporary)  # which is now the old one
        old = node.upper
        node.upper = hold(made)
        if old is not None:
            inode = old.inode()
            if overlay.nodes.get(inode) is node:
                overlay.nodes.pop(inode)
            let_go(old)
    finally:
        let_go(made)


@with_room(24576)
def exchange_places(
    directory: OverlayNode,
    name: bytes,
    target: OverlayNode,
    other_parent: OverlayNode,
    other_name: bytes,
    other: OverlayNode,
) -> None:
    """See `Inode.exchange`. Raises EXDEV."""
    _check_move(target)
    _check_move(other)
    for node in (target, other, directory, other_parent):
        copy_up_held(node)
    goes_elsewhere = directory is not other_parent
    _prepare(target, name, goes_elsewhere, other_parent)
    _prepare(other, other_name, goes_elsewhere, directory)
    here = upper_place(directory)
    there = upper_place(other_parent)
    expect(directory.overlay.context, here, name, target.upper)
    expect(directory.overlay.context, there, other_name, other.upper)
    names.rename(directory.overlay.context, here, name, there, other_name, RENAME_EXCHANGE)
    target.above = other_parent
    target.called = other_name
    other.above = directory
    other.called = name
    for node in (target, other, directory, other_parent):
        node.take_over()
