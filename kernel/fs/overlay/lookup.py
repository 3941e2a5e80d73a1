"""Finds what a name of an overlay leads to, from the topmost layer down, until something hides what lies below.

A file that is not a directory hides everything below; a whiteout means that there is nothing; an opaque directory is
not merged with those below. A directory that was moved records its name in the layers below (`redirect`).

Context: sleeps; functions that are `@with_room` call it, with the names of the overlay held.
"""

from typing import Final

from kernel.fs.constants import NAME_MAX
from kernel.fs.overlay.instance import OPAQUE, REDIRECT, WHITEOUT, OverlayInstance, OverlayNode
from kernel.fs.overlay.layers import (
    Entry,
    Layer,
    LowerPlace,
    get_mark,
    hold,
    is_whiteout,
    let_go,
    list_directory,
    look_up,
)
from kernel.fs.overlay.mount_options import Redirects
from kernel.fs.path import Path
from kernel.lang import EACCES, EINVAL, EPERM, Errno, final
from kernel.lib.pace import pace

_SLASH: Final = ord("/")
_NAME_COST: Final = 400  # instructions
_PART_COST: Final = 60


@final
class Found:
    """The places of a name, held until `end`."""

    def __init__(self) -> None:
        self.upper: Path | None = None
        self.lowers: list[LowerPlace] = []

    def is_nothing(self) -> bool:
        return self.upper is None and len(self.lowers) == 0

    def add(self, layer: Layer, path: Path) -> None:
        """Add a place below the others. Raises MemoryError."""
        self.lowers.append(LowerPlace(layer, path))
        hold(path)

    def end(self) -> None:
        if self.upper is not None:
            let_go(self.upper)
        for place in self.lowers:
            let_go(place.path)


@final
class _Step:
    """What to look for in the next layer, and where."""

    def __init__(self, name: bytes) -> None:
        self.name: bytes = name  # or a path from the root, which begins with a slash
        self.is_other: bool = False  # than its name above

    def follow(self, redirect: bytes) -> None:
        """Switch to the name that it has further below. Raises EINVAL."""
        self.is_other = True
        if redirect[0] == _SLASH:
            for part in redirect[1:].split(b"/"):
                _check_part(part)
                pace(_PART_COST)
            self.name = redirect
            return
        _check_part(redirect)
        if redirect.find(b"/") >= 0:
            raise Errno(EINVAL)
        self.name = self.name[: self.name.rfind(b"/") + 1] + redirect

    def is_from_root(self) -> bool:
        return self.name[0] == _SLASH


def _check_part(part: bytes) -> None:
    if len(part) == 0 or len(part) > NAME_MAX:
        raise Errno(EINVAL)
    if part in (b".", b".."):
        raise Errno(EACCES)


def find(directory: OverlayNode, name: bytes) -> Found:
    """Find a name. The caller ends the result. Raises EACCES, EPERM (a redirect that is not followed),
    EINVAL, EIO, MemoryError.
    """
    found = Found()
    done = False
    try:
        _find_in_all(directory, name, found)
        done = True
        return found
    finally:
        if not done:
            found.end()


def _find_in_all(directory: OverlayNode, name: bytes, found: Found) -> None:
    overlay = directory.overlay
    step = _Step(name)
    upper = directory.upper
    if upper is not None:
        at = look_up(overlay.context, upper, name)
        if at is not None:
            if is_whiteout(at.inode()):
                return
            found.upper = hold(at)
            if not at.inode().is_directory() or not _goes_on(overlay, None, at, step):
                return
    find_below(directory, step, found)


def find_below(directory: OverlayNode, step: _Step, found: Found) -> None:
    """The same in the lower layers."""
    overlay = directory.overlay
    stack = directory.lowers
    above = 0  # the index of the layer examined last
    while True:
        place = _next_place(overlay, stack, above, step)
        if place is None:
            return
        above = place.layer.index
        pace(_NAME_COST)
        at = _look_up_way(overlay, place, step.name)
        if at is None:
            continue
        inode = at.inode()
        if is_whiteout(inode) or is_marked_whiteout(overlay, place.layer, at):
            return
        if not inode.is_directory():
            if found.is_nothing():
                found.add(place.layer, at)
            return
        found.add(place.layer, at)
        if step.is_other and overlay.shown.redirects == Redirects.NOFOLLOW:
            raise Errno(EPERM)
        if not _goes_on(overlay, place.layer, at, step):
            return


def _next_place(overlay: OverlayInstance, stack: list[LowerPlace], above: int, step: _Step) -> LowerPlace | None:
    """Where to look next: in the next lower layer that has the directory, or in any if the path is from the root."""
    if step.is_from_root():
        for layer in overlay.lower:
            if layer.index > above:
                return LowerPlace(layer, layer.root)
        return None
    for place in stack:
        if place.layer.index > above:
            return place
    return None


def _goes_on(overlay: OverlayInstance, layer: Layer | None, at: Path, step: _Step) -> bool:
    """Whether a directory is merged with those below, and under which name. Raises EINVAL."""
    with at:
        value = get_mark(overlay.context, at, overlay.mark_name(OPAQUE))
        if value == b"y":
            return False
        if value == b"x" and layer is not None:
            layer.has_marked_whiteouts = True
        redirect = get_mark(overlay.context, at, overlay.mark_name(REDIRECT))
    if redirect is not None and len(redirect) > 0:
        step.follow(redirect)
    return True


def is_marked_whiteout(overlay: OverlayInstance, layer: Layer, at: Path) -> bool:
    """Whether a file is a whiteout by an extended attribute."""
    inode = at.inode()
    if not layer.has_marked_whiteouts or not inode.is_regular() or inode.size != 0:
        return False
    with at:
        return get_mark(overlay.context, at, overlay.mark_name(WHITEOUT)) is not None


def _look_up_way(overlay: OverlayInstance, place: LowerPlace, way: bytes) -> Path | None:
    if way[0] != _SLASH:
        return look_up(overlay.context, place.path, way)
    at = place.path
    parts = way[1:].split(b"/")
    for part in parts:
        pace(_NAME_COST)
        with at:
            below = look_up(overlay.context, at, part)
        if below is None:
            return None
        at = below
        if is_whiteout(at.inode()):
            return at
    return at


def shows_below(directory: OverlayNode, name: bytes) -> bool:
    """Whether a name would be visible if the upper layer did not have it. Raises what `find` raises."""
    if len(directory.lowers) == 0:
        return False
    found = Found()
    try:
        find_below(directory, _Step(name), found)
        return not found.is_nothing()
    finally:
        found.end()


# ---- Directories ----------------------------------------------------------------------------------------------------


def list_merged(node: OverlayNode) -> list[Entry]:
    """All names of a directory, each once, except whiteouts and what they hide. Takes safe points. Raises EACCES, EIO,
    MemoryError.
    """
    overlay = node.overlay
    entries: list[Entry] = []
    seen: dict[bytes, bool] = {}
    places: list[Path] = []
    upper = node.upper
    if upper is not None:
        places.append(upper)
    for place in node.lowers:
        places.append(place.path)
    for index in range(len(places)):
        path = places[index]
        layer = None if upper is not None and index == 0 else node.lowers[index - (0 if upper is None else 1)].layer
        for entry in list_directory(overlay.context, path):
            pace(_NAME_COST)
            if entry.name in seen:
                continue
            if index + 1 < len(places):
                seen[entry.name] = True
            if not _hides(overlay, layer, path, entry):
                entries.append(entry)
    return entries


def _hides(overlay: OverlayInstance, layer: Layer | None, directory: Path, entry: Entry) -> bool:
    """Whether an entry is a whiteout."""
    may_be_marked = layer is not None and layer.has_marked_whiteouts and entry.is_regular()
    if not entry.may_be_whiteout() and not may_be_marked:
        return False
    at = look_up(overlay.context, directory, entry.name)
    if at is None:
        return True
    if is_whiteout(at.inode()):
        return True
    return layer is not None and may_be_marked and is_marked_whiteout(overlay, layer, at)
