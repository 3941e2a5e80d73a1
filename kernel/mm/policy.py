"""Where memory is to come from: the policies of threads and areas on a machine with several nodes (set_mempolicy(2)).

There is one node here, 0, so a policy moves no page. Programs set and query policies all the same, so they are kept as
Linux keeps them: a thread has one, which its children and its next program inherit; an area may have another, which
stays with it when it is cut, moved and forked, and keeps it from being merged with neighbours of another policy; and
memory that is shared by name or by fork keeps policies itself, by page (`PolicyRanges`).

A policy never changes: for another one, create another.

Source: set_mempolicy(2), mbind(2), numa(7).
"""

from typing import Final

from kernel.lang import EINVAL, ENOMEM, Errno, final

MPOL_DEFAULT: Final = 0
MPOL_PREFERRED: Final = 1
MPOL_BIND: Final = 2
MPOL_INTERLEAVE: Final = 3
MPOL_LOCAL: Final = 4
MPOL_PREFERRED_MANY: Final = 5
MPOL_WEIGHTED_INTERLEAVE: Final = 6
_MODES: Final = 7

MPOL_F_STATIC_NODES: Final = 0x8000
MPOL_F_RELATIVE_NODES: Final = 0x4000
MPOL_F_NUMA_BALANCING: Final = 0x2000
MODE_FLAGS: Final = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING
_OF_NODES: Final = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES

NO_NODE: Final = -1
_MOST_RANGES: Final = 4096  # of one object: inserting one moves all after it

_NAMES: Final[list[str]] = [
    "default",
    "prefer",
    "bind",
    "interleave",
    "local",
    "prefer (many)",
    "weighted interleave",
]


@final
class MemoryPolicy:
    """A policy that is not the default. `asked`: the nodes that the program named, without zeros at the end, if it
    wants those back rather than the nodes that exist.
    """

    def __init__(self, mode: int, flags: int, asked: bytes, home: int) -> None:
        self.mode: int = mode
        self.flags: int = flags  # MPOL_F_* of the mode
        self.asked: bytes = asked
        self.home: int = home  # the node that is tried first, or NO_NODE

    def at_home(self, node: int) -> "MemoryPolicy":
        """The same with another home (set_mempolicy_home_node(2)). Raises MemoryError."""
        return MemoryPolicy(self.mode, self.flags, self.asked, node)

    @property
    def number(self) -> int:
        """The number that get_mempolicy(2) returns for it."""
        return self.mode | self.flags

    def nodes(self) -> bytes:
        """The nodes that get_mempolicy(2) shows."""
        if self.flags != 0:
            return self.asked
        return b"" if self.mode == MPOL_LOCAL else b"\1"

    def text(self) -> str:
        """As /proc/PID/numa_maps shows it."""
        text = _NAMES[self.mode]
        if self.flags != 0:
            text += "="
            if self.flags & MPOL_F_STATIC_NODES != 0:
                text += "static"
            elif self.flags & MPOL_F_RELATIVE_NODES != 0:
                text += "relative"
            if self.flags & MPOL_F_NUMA_BALANCING != 0:
                text += "balancing" if self.flags == MPOL_F_NUMA_BALANCING else "|balancing"
        return text if self.mode == MPOL_LOCAL else text + ":0"


def same_policy(one: MemoryPolicy | None, other: MemoryPolicy | None) -> bool:
    """Whether two policies, None the default, mean the same."""
    if one is other:
        return True
    if one is None or other is None:
        return False
    return (
        one.mode == other.mode
        and one.flags == other.flags
        and one.home == other.home
        and one.asked == other.asked
    )


def check_mode(number: int) -> None:
    """Raise EINVAL unless it is a mode with its flags."""
    mode = number & ~MODE_FLAGS
    flags = number & MODE_FLAGS
    if mode < 0 or mode >= _MODES or flags & _OF_NODES == _OF_NODES:
        raise Errno(EINVAL)
    if flags & MPOL_F_NUMA_BALANCING != 0 and mode != MPOL_BIND and mode != MPOL_PREFERRED_MANY:
        raise Errno(EINVAL)


def has_node(nodes: bytes) -> bool:
    """Whether a set of nodes contains the one that exists."""
    return len(nodes) > 0 and nodes[0] & 1 != 0


def has_others(nodes: bytes) -> bool:
    """Whether a set without zeros at its end has nodes that do not exist."""
    return len(nodes) > 1 or (len(nodes) == 1 and nodes[0] != 1)


def make_policy(number: int, nodes: bytes) -> MemoryPolicy | None:
    """The policy of a mode with flags that `check_mode` has passed, and a set of nodes without zeros at the end. None:
    the default. Raises EINVAL, MemoryError.
    """
    mode = number & ~MODE_FLAGS
    flags = number & MODE_FLAGS
    if mode == MPOL_DEFAULT:
        if len(nodes) > 0:
            raise Errno(EINVAL)
        return None
    if mode == MPOL_LOCAL or (mode == MPOL_PREFERRED and len(nodes) == 0):
        if len(nodes) > 0 or flags & _OF_NODES != 0:
            raise Errno(EINVAL)
        return MemoryPolicy(MPOL_LOCAL, flags, b"", NO_NODE)
    # Relative nodes wrap around the nodes that exist: any of them is the one node.
    if len(nodes) == 0 or (flags & MPOL_F_RELATIVE_NODES == 0 and not has_node(nodes)):
        raise Errno(EINVAL)
    return MemoryPolicy(mode, flags, nodes if flags != 0 else b"", NO_NODE)


@final
class PolicyRanges:
    """Policies of an object by page: ranges that do not overlap, in order. Pages in none have the default."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.policies: list[MemoryPolicy] = []

    def _place(self, index: int) -> int:
        """The number of the first range that ends above a page."""
        low = 0
        high = len(self.ends)
        while low < high:
            middle = (low + high) >> 1
            if self.ends[middle] > index:
                high = middle
            else:
                low = middle + 1
        return low

    def at(self, index: int) -> MemoryPolicy | None:
        """The policy of a page."""
        place = self._place(index)
        if place == len(self.starts) or self.starts[place] > index:
            return None
        return self.policies[place]

    def put(self, first: int, end_page: int, policy: MemoryPolicy | None) -> None:
        """Set the policy of the pages first … end_page - 1. Raises ENOMEM (too many ranges), MemoryError, with nothing
        changed.
        """
        if len(self.starts) + 2 > _MOST_RANGES:
            raise Errno(ENOMEM)
        low = self._place(first)
        high = low
        while high < len(self.starts) and self.starts[high] < end_page:
            high += 1
        starts = self.starts[:low]
        ends = self.ends[:low]
        policies = self.policies[:low]
        if low < high and self.starts[low] < first:
            starts.append(self.starts[low])
            ends.append(first)
            policies.append(self.policies[low])
        if policy is not None:
            starts.append(first)
            ends.append(end_page)
            policies.append(policy)
        if low < high and self.ends[high - 1] > end_page:
            starts.append(end_page)
            ends.append(self.ends[high - 1])
            policies.append(self.policies[high - 1])
        starts.extend(self.starts[high:])
        ends.extend(self.ends[high:])
        policies.extend(self.policies[high:])
        self.starts = starts
        self.ends = ends
        self.policies = policies
