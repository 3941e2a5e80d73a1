"""Writing the maps of a user namespace, and whether groups may be set there (user_namespaces(7), "User and group ID
mappings: uid_map and gid_map", "The /proc/pid/setgroups file").

The opener of the file counts, and for maps that need privilege the writer as well: to trick a privileged process into
writing to one's descriptor gains nothing. Each map is written once.

Context: `store_map` has safe points. Raises Errno as Linux does, in its order.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import EINVAL, EPERM, Errno
from kernel.lib.capabilities import CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.ids import MOST_EXTENTS, NO_ID, Extent, IdMap
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace
from kernel.mm.keeping import check_room_to_keep

_COMPARE_COST: Final = 30  # instructions, for `pace`
_WORD_MASK: Final = 0xFFFF_FFFF


class MapKind(IntEnum):
    """The kind of numbers that a map translates."""

    USERS = 0
    GROUPS = 1
    PROJECTS = 2


def map_of(namespace: UserNamespace, kind: MapKind) -> IdMap:
    """One of the maps; never called for the first namespace."""
    if kind == MapKind.USERS:
        return namespace.uids
    return namespace.gids if kind == MapKind.GROUPS else namespace.projects


def map_lines(namespace: UserNamespace, kind: MapKind, reader: UserNamespace) -> bytes:
    """A map as a reader sees it: its ids in the reader's namespace, or for readers inside this one
    in the parent's.
    """
    outer = reader
    parent = namespace.parent
    if reader is namespace and parent is not None:
        outer = parent
    if parent is None:
        return _line(0, 0 if outer.level == 0 else map_of(outer, kind).from_kernel(0), NO_ID)
    text = bytearray()
    for extent in map_of(namespace, kind).shown:
        lower = extent.kernel if outer.level == 0 else map_of(outer, kind).from_kernel(extent.kernel)
        text.extend(_line(extent.inside, lower, extent.count))
    return bytes(text)


def _line(inside: int, lower: int, count: int) -> bytes:
    return f"{inside:10d} {lower:10d} {count:10d}\n".encode()


# ---- Writing --------------------------------------------------------------------------------------------------------


def check_map_writer(opener: Credentials, namespace: UserNamespace) -> None:
    """Check that the opener of a map may write to it at all: in the namespace, or in its parent. Raises EPERM."""
    parent = namespace.parent
    if parent is None or (opener.user_namespace is not namespace and opener.user_namespace is not parent):
        raise Errno(EPERM)


def store_map(
    opener: Credentials, writer: Credentials, namespace: UserNamespace, kind: MapKind, text: bytes
) -> None:
    """Store a written map. Raises EPERM, EINVAL, MemoryError."""
    parent = namespace.parent
    if parent is None or not map_of(namespace, kind).is_empty():
        raise Errno(EPERM)
    if kind != MapKind.PROJECTS and not opener.capable_in(namespace, CAP_SYS_ADMIN):
        raise Errno(EPERM)
    check_room_to_keep()
    extents = _parse(text)
    if not _is_permitted(opener, writer, namespace, parent, kind, extents):
        raise Errno(EPERM)
    for extent in extents:
        lower = extent.kernel
        if parent.level != 0:
            lower = map_of(parent, kind).to_kernel(lower, extent.count)
        if lower == NO_ID:
            raise Errno(EPERM)
        extent.kernel = lower
    fresh = IdMap(extents)
    if not map_of(namespace, kind).is_empty():
        raise Errno(EPERM)  # another writer stored a map at a safe point
    if kind == MapKind.USERS:
        namespace.uids = fresh
    elif kind == MapKind.GROUPS:
        namespace.gids = fresh
    else:
        namespace.projects = fresh


def _is_permitted(
    opener: Credentials,
    writer: Credentials,
    namespace: UserNamespace,
    parent: UserNamespace,
    kind: MapKind,
    extents: list[Extent],
) -> bool:
    """Whether the ids outside may be mapped: one's own, or any with the capability to take them."""
    if kind == MapKind.USERS and not _may_map_root(opener, namespace, parent, extents):
        return False
    if len(extents) == 1 and extents[0].count == 1 and namespace.owner_uid == opener.euid:
        lower = extents[0].kernel
        if kind == MapKind.USERS and parent.kernel_uid(lower) == opener.euid:
            return True
        if kind == MapKind.GROUPS and not namespace.allows_setgroups and parent.kernel_gid(lower) == opener.egid:
            return True
    if kind == MapKind.PROJECTS:
        return True
    capability = CAP_SETUID if kind == MapKind.USERS else CAP_SETGID
    return writer.capable_in(parent, capability) and opener.capable_in(parent, capability)


def _may_map_root(
    opener: Credentials, namespace: UserNamespace, parent: UserNamespace, extents: list[Extent]
) -> bool:
    """Files with capabilities of the parent's root are valid in the namespace if that is mapped: only a task that
    could create such files may map it.
    """
    for extent in extents:
        if extent.kernel == 0:
            if opener.user_namespace is namespace:
                return namespace.maker_could_set_capabilities
            return opener.capable_in(parent, CAP_SETFCAP)
    return True


def _parse(text: bytes) -> list[Extent]:
    """Parse lines of three numbers. The number outside is still one of the parent's. Raises EINVAL."""
    end = text.find(b"\0")
    rest = text if end < 0 else text[:end]
    extents: list[Extent] = []
    while True:
        newline = rest.find(b"\n")
        line = rest if newline < 0 else rest[:newline]
        rest = b"" if newline < 0 else rest[newline + 1 :]
        extent = _parse_line(line)
        for other in extents:
            if _overlap(extent.inside, other.inside, extent, other) or _overlap(
                extent.kernel, other.kernel, extent, other
            ):
                raise Errno(EINVAL)
        if len(extents) == MOST_EXTENTS or (len(extents) + 1 == MOST_EXTENTS and len(rest) > 0):
            raise Errno(EINVAL)
        extents.append(extent)
        pace(_COMPARE_COST * len(extents))
        if len(rest) == 0:
            return extents


def _overlap(start: int, other_start: int, extent: Extent, other: Extent) -> bool:
    return start < other_start + other.count and other_start < start + extent.count


class _Place:
    """The position in a line being read."""

    def __init__(self, line: bytes) -> None:
        self.line: bytes = line
        self.offset: int = 0

    def skip_blanks(self) -> None:
        while self.is_blank():
            self.offset += 1

    def is_blank(self) -> bool:
        if self.is_at_end():
            return False
        byte = self.line[self.offset]
        return byte == ord(" ") or ord("\t") <= byte <= ord("\r") or byte == 0xA0

    def is_at_end(self) -> bool:
        return self.offset >= len(self.line)

    def take_number(self) -> int:
        """Decimal digits, of which the lower 32 bits count, as on Linux; 0 if there are none."""
        value = 0
        while not self.is_at_end() and ord("0") <= self.line[self.offset] <= ord("9"):
            value = (value * 10 + self.line[self.offset] - ord("0")) & _WORD_MASK
            self.offset += 1
        return value


def _parse_line(line: bytes) -> Extent:
    place = _Place(line)
    place.skip_blanks()
    inside = place.take_number()
    if not place.is_blank():
        raise Errno(EINVAL)
    place.skip_blanks()
    lower = place.take_number()
    if not place.is_blank():
        raise Errno(EINVAL)
    place.skip_blanks()
    count = place.take_number()
    if not place.is_at_end() and not place.is_blank():
        raise Errno(EINVAL)
    place.skip_blanks()
    if not place.is_at_end() or inside == NO_ID or lower == NO_ID:
        raise Errno(EINVAL)
    if count == 0 or inside + count > _WORD_MASK or lower + count > _WORD_MASK:
        raise Errno(EINVAL)
    return Extent(inside, lower, count)


# ---- setgroups ------------------------------------------------------------------------------------------------------


def store_setgroups(namespace: UserNamespace, text: bytes) -> None:
    """Write /proc/PID/setgroups: "allow", or "deny" while there is no map of groups. Raises EINVAL, EPERM."""
    end = text.find(b"\0")
    word = (text if end < 0 else text[:end]).rstrip(b" \t\n\v\f\r")
    if word == b"allow":
        if not namespace.allows_setgroups:
            raise Errno(EPERM)
    elif word == b"deny":
        if namespace.parent is None or not namespace.gids.is_empty():
            raise Errno(EPERM)
        namespace.allows_setgroups = False
    else:
        raise Errno(EINVAL)
