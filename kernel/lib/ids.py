"""Numbers of users and groups, as the kernel knows them (user_namespaces(7)).

A `KernelUid` is a number in the first user namespace, where everybody has one. Programs may live in another, where the
same user has another number, or none: what programs pass and see is a plain int, and `UserNamespace` (namespace.py) is
the border between the two. For mypy a `KernelUid` is not an int, so they cannot be confused; compiled, it is one. Only
formatting accepts anything: `tests/unit/lib/test_id_border.py` finds declared ones in a text.

Pure.
"""

from typing import TYPE_CHECKING, Final, NewType

from kernel.lang import final
from kernel.lang.opaque import OpaqueInt

if TYPE_CHECKING:

    class KernelUid(OpaqueInt):
        """A user's number in the first namespace."""

    class KernelGid(OpaqueInt):
        """A group's number in the first namespace."""

else:
    KernelUid = NewType("KernelUid", int)
    KernelGid = NewType("KernelGid", int)

NO_ID: Final = 0xFFFF_FFFF
"""-1 in 32 bits: no user, no group; and in calls that change several ids, the one that stays."""


@final
class OverflowIds:
    """What a program is given for somebody without a number in its namespace (kernel.overflowuid and overflowgid)."""

    def __init__(self) -> None:
        self.user: int = 65_534
        self.group: int = 65_534


OVERFLOW: Final = OverflowIds()

ROOT_USER: Final = KernelUid(0)
ROOT_GROUP: Final = KernelGid(0)
NO_USER: Final = KernelUid(NO_ID)
NO_GROUP: Final = KernelGid(NO_ID)
STRANGER: Final = KernelUid(-1)
"""A user who is equal to no owner of a file, not even to an invalid one."""
STRANGE_GROUP: Final = KernelGid(-1)

MOST_EXTENTS: Final = 340  # of a map
_FEW: Final = 5  # extents that are shown in the order in which they were written


@final
class Extent:
    """`count` numbers inside a namespace, from `inside` on, that stand for those from `kernel` on."""

    def __init__(self, inside: int, kernel: int, count: int) -> None:
        self.inside: int = inside
        self.kernel: int = kernel
        self.count: int = count


@final
class IdMap:
    """The numbers of users, or of groups, that a namespace has. Immutable; no number is in two extents, on either
    side.
    """

    def __init__(self, extents: list[Extent]) -> None:
        self._inside: list[Extent] = _ordered(extents, by_kernel=False)
        self._kernel: list[Extent] = _ordered(extents, by_kernel=True)
        self.shown: list[Extent] = extents if len(extents) <= _FEW else self._inside  # as /proc shows them

    def is_empty(self) -> bool:
        """Whether it has not been written yet: nobody has a number."""
        return len(self._inside) == 0

    def to_kernel(self, number: int, count: int = 1) -> int:
        """The kernel's number for the first of `count` that lie in one extent; NO_ID if they do not."""
        low = 0
        high = len(self._inside)
        while low < high:
            middle = (low + high) >> 1
            extent = self._inside[middle]
            offset = number - extent.inside
            if offset < 0:
                high = middle
            elif offset >= extent.count:
                low = middle + 1
            else:
                return extent.kernel + offset if offset + count <= extent.count else NO_ID
        return NO_ID

    def from_kernel(self, number: int) -> int:
        """The number inside a kernel's number; NO_ID if it has none."""
        low = 0
        high = len(self._kernel)
        while low < high:
            middle = (low + high) >> 1
            extent = self._kernel[middle]
            offset = number - extent.kernel
            if offset < 0:
                high = middle
            elif offset >= extent.count:
                low = middle + 1
            else:
                return extent.inside + offset
        return NO_ID


def _ordered(extents: list[Extent], by_kernel: bool) -> list[Extent]:
    """The same by their numbers on one side."""
    found: list[Extent] = []
    for extent in extents:
        place = len(found)
        while place > 0 and _start(found[place - 1], by_kernel) > _start(extent, by_kernel):
            place -= 1
        found.insert(place, extent)
    return found


def _start(extent: Extent, by_kernel: bool) -> int:
    return extent.kernel if by_kernel else extent.inside
