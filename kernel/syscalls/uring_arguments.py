"""Fields of submissions, and what io_uring_register(2) gets for tables of resources."""

from typing import Final

from kernel.lang import EINVAL, Errno, UserAddr, final
from kernel.lib import user

_STRUCTURE_SIZE: Final = 32  # of both structures
_SPARSE: Final = 1 << 0  # IORING_RSRC_REGISTER_SPARSE


def refuse_if(is_wrong: bool) -> None:
    """Raise EINVAL if a field has a forbidden value."""
    if is_wrong:
        raise Errno(EINVAL)


@final
class Registration:
    """A new table of files or buffers."""

    def __init__(self, entries: UserAddr, count: int, tags: UserAddr) -> None:
        self.entries: UserAddr = entries  # 0: all slots are empty
        self.count: int = count
        self.tags: UserAddr = tags  # 0: there are none

    def tag(self, index: int) -> int:
        """Raises EFAULT."""
        return tag_at(self.tags, index)


@final
class Replacement:
    """What is put into slots of a table, from one of them on."""

    def __init__(self, first: int, entries: UserAddr, count: int, tags: UserAddr) -> None:
        self.first: int = first
        self.entries: UserAddr = entries
        self.count: int = count
        self.tags: UserAddr = tags  # 0: there are none

    def tag(self, index: int) -> int:
        """Raises EFAULT."""
        return tag_at(self.tags, index)


def tag_at(tags: UserAddr, index: int) -> int:
    """One of a list of tags; 0 if there is none. Raises EFAULT."""
    return 0 if tags == 0 else user.read_i64(user.at(tags, index * 8))


def read_registration(argument: UserAddr, size: int) -> Registration:
    """A struct io_uring_rsrc_register. Raises EINVAL, EFAULT."""
    refuse_if(size != _STRUCTURE_SIZE)
    count = user.read_u32(argument)
    flags = user.read_u32(user.at(argument, 4))
    reserved = user.read_i64(user.at(argument, 8))
    entries = UserAddr(user.read_i64(user.at(argument, 16)))
    tags = UserAddr(user.read_i64(user.at(argument, 24)))
    refuse_if(count == 0 or reserved != 0 or flags & ~_SPARSE != 0)
    refuse_if(flags & _SPARSE != 0 and entries != 0)
    return Registration(entries, count, tags)


def read_replacement(argument: UserAddr, size: int) -> Replacement:
    """A struct io_uring_rsrc_update2. Raises EINVAL, EFAULT."""
    refuse_if(size != _STRUCTURE_SIZE)
    first = user.read_u32(argument)
    reserved = user.read_u32(user.at(argument, 4))
    entries = UserAddr(user.read_i64(user.at(argument, 8)))
    tags = UserAddr(user.read_i64(user.at(argument, 16)))
    count = user.read_u32(user.at(argument, 24))
    reserved |= user.read_u32(user.at(argument, 28))
    refuse_if(count == 0 or reserved != 0)
    return Replacement(first, entries, count, tags)


def read_plain_replacement(argument: UserAddr, count: int) -> Replacement:
    """A struct io_uring_rsrc_update. Raises EINVAL, EFAULT."""
    refuse_if(count == 0)
    first = user.read_u32(argument)
    reserved = user.read_u32(user.at(argument, 4))
    entries = UserAddr(user.read_i64(user.at(argument, 8)))
    refuse_if(reserved != 0)
    return Replacement(first, entries, count, UserAddr(0))
