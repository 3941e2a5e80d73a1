"""Access control lists: rights of single users and groups beside those of the mode (acl(5), POSIX 1003.1e draft 17).

A list has entries for the owner, for users by number, for the owning group, for groups by number, a mask that limits
all of these but the owner's, and one for everybody else. The owner's entry, the mask (or without one the group's entry)
and the last one are the bits of the mode. So a list that has nothing else is the mode itself, and is not kept.

Programs see a list as the extended attributes named below: a version and entries of eight bytes. On ext2's disks it has
another version, and entries that need no number have only four bytes.

Pure. A list is not changed once it belongs to an inode.
"""

from typing import Final

from kernel.lang import EINVAL, EIO, EOPNOTSUPP, Errno, Span, final, span_of, u8
from kernel.lib.credentials import Actor
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.owner_map import OwnerMap

ACCESS_LIST: Final = b"system.posix_acl_access"
DEFAULT_LIST: Final = b"system.posix_acl_default"

USER_OBJ: Final = 0x01  # the owner
USER: Final = 0x02
GROUP_OBJ: Final = 0x04  # the owning group
GROUP: Final = 0x08
MASK: Final = 0x10
OTHER: Final = 0x20
# In the order that a list must have; the positions before which entries may be missing.
_TAGS: Final = [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER]
_USERS: Final = 1
_GROUPS: Final = 3

_PROGRAM_VERSION: Final = 2
_DISK_VERSION: Final = 1
_HEADER_SIZE: Final = 4
_ENTRY_SIZE: Final = 8
_SHORT_SIZE: Final = 4  # on the disk, without a number
_NOBODY: Final = 0xFFFFFFFF  # the number of an entry without one
_ALL: Final = 7


@final
class AccessList:
    """The entries, in the order in which they were given."""

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.rights: list[int] = []
        self.numbers: list[int] = []  # the kernel's numbers, of users or groups according to the tag

    def add(self, tag: int, rights: int, number: int) -> None:
        self.tags.append(tag)
        self.rights.append(rights)
        self.numbers.append(number)

    def copy(self) -> "AccessList":
        fresh = AccessList()
        for index in range(len(self.tags)):
            fresh.add(self.tags[index], self.rights[index], self.numbers[index])
        return fresh

    # ---- What it says -----------------------------------------------------------------------------------------

    def permits(self, uid: KernelUid, gid: KernelGid, actor: Actor, want: int) -> bool:
        """Whether the list permits an actor all of `want` on a file of `uid` and `gid`."""
        is_member = False
        for index in range(len(self.tags)):
            tag = self.tags[index]
            number = self.numbers[index]
            if tag == USER_OBJ and actor.fsuid == uid:
                return self._has(index, want)
            if tag == USER and actor.fsuid == KernelUid(number):
                return self._has(index, want) and want & ~self._mask() == 0
            is_of_group = tag == GROUP_OBJ and actor.in_group(gid)
            if is_of_group or (tag == GROUP and actor.in_group(KernelGid(number))):
                is_member = True
                if self._has(index, want):
                    return want & ~self._mask() == 0
            if tag == OTHER:
                return not is_member and self._has(index, want)
        return False

    def _has(self, index: int, want: int) -> bool:
        return want & ~self.rights[index] == 0

    def _mask(self) -> int:
        mask = self._find(MASK)
        return _ALL if mask < 0 else self.rights[mask]

    def _find(self, tag: int) -> int:
        for index in range(len(self.tags)):
            if self.tags[index] == tag:
                return index
        return -1

    def _group_class(self) -> int:
        """The entry that corresponds to the mode's group bits. Raises EIO if there is none."""
        index = self._find(MASK)
        if index < 0:
            index = self._find(GROUP_OBJ)
        if index < 0:
            raise Errno(EIO)
        return index

    def is_mode(self) -> bool:
        """Whether it says no more than a mode can."""
        for tag in self.tags:
            if tag == USER or tag == GROUP or tag == MASK:
                return False
        return True

    def mode_bits(self) -> int:
        """The mode's lower nine bits. Raises EIO."""
        bits = self.rights[self._group_class()] << 3
        for index in range(len(self.tags)):
            if self.tags[index] == USER_OBJ:
                bits |= self.rights[index] << 6
            elif self.tags[index] == OTHER:
                bits |= self.rights[index]
        return bits

    def check(self) -> None:
        """Raise EINVAL unless the entries are complete, and in order by kind."""
        place = 0  # of the next entry
        needs_mask = False
        for index in range(len(self.tags)):
            tag = self.tags[index]
            needs_mask = needs_mask or _is_named(tag)
            found = _place_of(tag)
            is_left_out = (place == _USERS and tag == GROUP_OBJ) or (place == _GROUPS and tag == MASK)
            is_short = place == _GROUPS and tag == OTHER and not needs_mask
            if self.rights[index] & ~_ALL != 0 or not (found == place or is_left_out or is_short):
                raise Errno(EINVAL)
            place = found if _is_named(tag) else found + 1
        if place != len(_TAGS):
            raise Errno(EINVAL)

    def seen_through(self, owners: OwnerMap | None) -> "AccessList":
        """The same with the users and groups that are seen through a mount: itself if they are those that are kept."""
        return self if owners is None else self._mapped(owners, is_seen=True)

    def kept_through(self, owners: OwnerMap | None) -> "AccessList":
        """The other direction: whom the file system knows as nobody gets the number of nobody."""
        return self if owners is None else self._mapped(owners, is_seen=False)

    def _mapped(self, owners: OwnerMap, is_seen: bool) -> "AccessList":
        """The same in one of the two directions."""
        fresh = AccessList()
        for index in range(len(self.tags)):
            tag = self.tags[index]
            number = self.numbers[index]
            if tag == USER:
                uid = KernelUid(number)
                number = int(owners.seen_uid(uid) if is_seen else owners.kept_uid(uid))
            elif tag == GROUP:
                gid = KernelGid(number)
                number = int(owners.seen_gid(gid) if is_seen else owners.kept_gid(gid))
            fresh.add(tag, self.rights[index], number)
        return fresh

    # ---- Changing a fresh one ---------------------------------------------------------------------------------

    def restrict(self, mode: int) -> int:
        """For a new file that inherits the list: neither allows more than the other. Returns the mode. Raises EIO."""
        group = self._group_class()
        self.rights[group] &= mode >> 3
        for index in range(len(self.tags)):
            if self.tags[index] == USER_OBJ:
                self.rights[index] &= mode >> 6
            elif self.tags[index] == OTHER:
                self.rights[index] &= mode
        return mode & ~0o777 | self.mode_bits()

    def set_mode(self, mode: int) -> None:
        """chmod(2). Raises EIO."""
        self.rights[self._group_class()] = mode >> 3 & _ALL
        for index in range(len(self.tags)):
            if self.tags[index] == USER_OBJ:
                self.rights[index] = mode >> 6 & _ALL
            elif self.tags[index] == OTHER:
                self.rights[index] = mode & _ALL

    # ---- As bytes ---------------------------------------------------------------------------------------------

    def to_attribute(self, namespace: UserNamespace = FIRST_USER) -> bytes:
        """As programs in a user namespace see it; whoever has no number there is shown as -1."""
        storage = bytearray(_HEADER_SIZE + _ENTRY_SIZE * len(self.tags))
        area = span_of(storage)
        area.store_u32(0, _PROGRAM_VERSION)
        for index in range(len(self.tags)):
            self._store(area, _HEADER_SIZE + _ENTRY_SIZE * index, index)
            number = self._number_in(namespace, index)
            area.store_u32(_HEADER_SIZE + _ENTRY_SIZE * index + 4, number)
        return bytes(storage)

    def _number_in(self, namespace: UserNamespace, index: int) -> int:
        number = self.numbers[index]
        if self.tags[index] == USER:
            return namespace.uid_or_none(KernelUid(number))
        return namespace.gid_or_none(KernelGid(number)) if self.tags[index] == GROUP else number

    def require_numbers_in(self, namespace: UserNamespace) -> None:
        """Raise EINVAL unless all users and groups have numbers in a namespace: that of the file system."""
        for index in range(len(self.tags)):
            if _is_named(self.tags[index]) and self._number_in(namespace, index) == _NOBODY:
                raise Errno(EINVAL)

    def to_disk(self) -> bytes:
        """As ext2 keeps it."""
        storage = bytearray(_HEADER_SIZE + _ENTRY_SIZE * len(self.tags))
        area = span_of(storage)
        area.store_u32(0, _DISK_VERSION)
        offset = _HEADER_SIZE
        for index in range(len(self.tags)):
            self._store(area, offset, index)
            offset += _SHORT_SIZE
            if _is_named(self.tags[index]):
                area.store_u32(offset, self.numbers[index])
                offset += _ENTRY_SIZE - _SHORT_SIZE
        return bytes(storage[:offset])

    def _store(self, area: Span[u8], offset: int, index: int) -> None:
        area.store_u16(offset, self.tags[index])
        area.store_u16(offset + 2, self.rights[index])


def _place_of(tag: int) -> int:
    for place in range(len(_TAGS)):
        if _TAGS[place] == tag:
            return place
    raise Errno(EINVAL)


def _is_named(tag: int) -> bool:
    return tag == USER or tag == GROUP


def from_attribute(value: bytes, namespace: UserNamespace = FIRST_USER) -> AccessList | None:
    """Parse what a program in a user namespace passes; None for a list without entries. Raises EINVAL, EOPNOTSUPP
    (version).
    """
    if len(value) < _HEADER_SIZE:
        raise Errno(EINVAL)
    area = span_of(value)
    if area.load_u32(0) != _PROGRAM_VERSION:
        raise Errno(EOPNOTSUPP)
    if (len(value) - _HEADER_SIZE) % _ENTRY_SIZE != 0:
        raise Errno(EINVAL)
    if len(value) == _HEADER_SIZE:
        return None
    result = AccessList()
    for offset in range(_HEADER_SIZE, len(value), _ENTRY_SIZE):
        tag = area.load_u16(offset)
        _place_of(tag)
        number = _NOBODY
        if tag == USER:
            number = int(namespace.kernel_uid(area.load_u32(offset + 4)))
        elif tag == GROUP:
            number = int(namespace.kernel_gid(area.load_u32(offset + 4)))
        if _is_named(tag) and number == _NOBODY:
            raise Errno(EINVAL)
        result.add(tag, area.load_u16(offset + 2), number)
    return result


def from_disk(value: bytes) -> AccessList | None:
    """Parse what ext2 has kept; None for a list without entries. Raises EINVAL."""
    if len(value) < _HEADER_SIZE or span_of(value).load_u32(0) != _DISK_VERSION:
        raise Errno(EINVAL)
    area = span_of(value)
    result = AccessList()
    offset = _HEADER_SIZE
    while offset < len(value):
        if offset + _SHORT_SIZE > len(value):
            raise Errno(EINVAL)
        tag = area.load_u16(offset)
        _place_of(tag)
        rights = area.load_u16(offset + 2)
        offset += _SHORT_SIZE
        number = _NOBODY
        if _is_named(tag):
            if offset + _ENTRY_SIZE - _SHORT_SIZE > len(value):
                raise Errno(EINVAL)
            number = area.load_u32(offset)
            offset += _ENTRY_SIZE - _SHORT_SIZE
        result.add(tag, rights, number)
    return result if len(result.tags) > 0 else None


@final
class AccessLists:
    """Both lists of an inode: its own, and what new files in a directory begin with. They are exchanged as one."""

    def __init__(self, access: AccessList | None, default: AccessList | None) -> None:
        self.access: AccessList | None = access
        self.default: AccessList | None = default

    def seen_through(self, owners: OwnerMap | None) -> "AccessLists":
        """The same with the users and groups that are seen through a mount."""
        if owners is None or self is NO_LISTS:
            return self
        access = self.access
        default = self.default
        return AccessLists(
            None if access is None else access.seen_through(owners),
            None if default is None else default.seen_through(owners),
        )


NO_LISTS: Final = AccessLists(None, None)
