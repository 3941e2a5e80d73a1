"""A control group, and the tree of them (cgroups(7); Linux's Documentation/admin-guide/cgroup-v2.rst).

Every thread is in one group. Those in the top one are not listed: they are all threads that no other group has, and
creating a thread in the top group costs nothing. A *controller* shares something out among the children of a group
once it is delegated there (cgroup.subtree_control).

A group with processes and controllers for its children would let the two compete, so it has either the one or the
other; but *threaded* groups, which share out processors and numbers alone, and whose processes belong to the first
group above that is no threaded one, may have both.

Invariants: a group that was removed has no children and no members, and keeps its parent: zombies and open files may
still refer to it. `populated` counts the members and the children that are populated.

Context: nothing sleeps.
"""

from typing import Final

from kernel.bpf.attached import Attached
from kernel.cgroup.disks import DiskControl
from kernel.cgroup.memory import MemoryControl, MemoryHolder
from kernel.cgroup.numbers import NumberControl
from kernel.cgroup.processors import ProcessorSet
from kernel.lang import final
from kernel.lib.order import Order
from kernel.sched.bandwidth import TimeShare
from kernel.sched.pressure import MACHINE, Pressure
from kernel.sched.thread import Thread
from kernel.time.clock import monotonic_ns

# Controllers, a bit each, in the order in which files show them.
CPUSET: Final = 1
CPU: Final = 2
DISKS: Final = 4
MEMORY: Final = 8
PIDS: Final = 16
ALL_CONTROLLERS: Final = CPUSET | CPU | DISKS | MEMORY | PIDS
THREADED_CONTROLLERS: Final = CPUSET | CPU | PIDS
CONTROLLER_NAMES: Final[list[bytes]] = [b"cpuset", b"cpu", b"io", b"memory", b"pids"]

NO_LIMIT: Final = (1 << 31) - 1  # of descendants and depth
TOP_NUMBER: Final = 1
DEEPEST_LEVEL: Final = 32  # walks up the tree have no safe points
MOST_CHILDREN: Final = 8192  # nor has a list of them
GROUP_PAGES: Final = 2  # about what a group takes in the kernel's heap, with its files
NUMBER_STEP: Final = 64  # numbers of inodes that a group has for its files


class GroupListener:
    """What the files of a group enter to hear of changes. Base class: kernel/fs/cgroup."""

    def changed(self, file: bytes) -> None:
        """A file of the group shows something else now, and says so. Never sleeps."""


def _pressure_below(parent: "ControlGroup") -> Pressure:
    return Pressure(None if parent.parent is None else parent.pressure, monotonic_ns())


@final
class ControlGroup(MemoryHolder):
    """One group."""

    def __init__(self, parent: "ControlGroup | None", name: bytes, number: int) -> None:
        self.parent: ControlGroup | None = parent
        self.name: bytes = name
        self.number: int = number  # of its directory
        self.level: int = 0 if parent is None else parent.level + 1
        self.children: dict[bytes, ControlGroup] = {}
        self.members: Order[Thread] = Order()  # in the order of their coming; those of the top group are not listed
        self.member_count: int = 0
        self.is_removed: bool = False
        self.listener: GroupListener | None = None
        # The tree
        self.is_threaded: bool = False
        self.threaded_children: int = 0
        self.delegated: int = 0  # controllers that its children have
        self.populated_domains: int = 0  # children with processes below, by kind
        self.populated_threads: int = 0
        self.descendants: int = 0
        self.most_descendants: int = NO_LIMIT
        self.deepest: int = NO_LIMIT
        self.kills_under_way: int = 0  # how many are about to kill all in it and below
        self.kills: int = 0  # how often all in it were killed
        self.user_ns: int = 0  # what threads ran in it that have left, and in groups below that were removed
        self.system_ns: int = 0
        self.pressure: Pressure = MACHINE if parent is None else _pressure_below(parent)
        # Freezing
        self.is_told_to_freeze: bool = False  # cgroup.freeze
        self.freezes: bool = False  # it, or one above
        self.resting: int = 0  # members that are frozen
        self.frozen_children: int = 0
        self.is_frozen: bool = False  # it freezes, and all in it and below rest
        # Controllers: its own, or None where they are not delegated to it
        self.numbers: NumberControl | None = None
        self.memory: MemoryControl | None = None
        self.counted_memory: MemoryControl | None = None  # what counts the group itself
        self.share: TimeShare | None = None
        self.processors: ProcessorSet | None = None
        self.disks: DiskControl | None = None
        self.programs: dict[int, Attached] | None = None  # of bpf(2), by purpose (kernel/cgroup/programs.py)

    # ---- Controllers ------------------------------------------------------------------------------------------

    def available(self) -> int:
        """The controllers that it has (cgroup.controllers)."""
        parent = self.parent
        if parent is None:
            return ALL_CONTROLLERS
        return parent.delegated & THREADED_CONTROLLERS if self.is_threaded else parent.delegated

    def nearest_memory(self) -> MemoryControl | None:
        """What counts the memory of its members; None at the top."""
        group: ControlGroup | None = self
        while group is not None:
            if group.memory is not None:
                return group.memory
            group = group.parent
        return None

    def nearest_numbers(self) -> NumberControl | None:
        """What counts its members."""
        group: ControlGroup | None = self
        while group is not None:
            if group.numbers is not None:
                return group.numbers
            group = group.parent
        return None

    def nearest_share(self) -> TimeShare | None:
        """What shares out time to its members."""
        group: ControlGroup | None = self
        while group is not None:
            if group.share is not None:
                return group.share
            group = group.parent
        return None

    def nearest_processors(self) -> ProcessorSet | None:
        """What says which processors its members may run on."""
        group: ControlGroup | None = self
        while group is not None:
            if group.processors is not None:
                return group.processors
            group = group.parent
        return None

    def nearest_disks(self) -> DiskControl | None:
        """What counts what its members move to and from disks."""
        group: ControlGroup | None = self
        while group is not None:
            if group.disks is not None:
                return group.disks
            group = group.parent
        return None

    # ---- Kinds ------------------------------------------------------------------------------------------------

    def domain(self) -> "ControlGroup":
        """Where the processes of its threads belong: itself, or the first above that is no threaded one."""
        group = self
        while group.is_threaded:
            parent = group.parent
            if parent is None:
                break
            group = parent
        return group

    def is_top(self) -> bool:
        return self.parent is None

    def has_members(self) -> bool:
        """Whether a thread is in this very group."""
        return self.parent is None or self.member_count > 0

    def is_populated(self) -> bool:
        """Whether a thread is here or below."""
        return self.has_members() or self.populated_domains > 0 or self.populated_threads > 0

    def can_be_thread_root(self) -> bool:
        """Whether threaded groups may be below."""
        if self.parent is None:
            return True
        return not self.is_threaded and self.populated_domains == 0 and self.delegated & ~THREADED_CONTROLLERS == 0

    def is_thread_root(self) -> bool:
        """Whether it is the domain of threaded groups, or of threads that compete with such."""
        if self.is_threaded:
            return False
        return self.threaded_children > 0 or (self.has_members() and self.delegated & THREADED_CONTROLLERS != 0)

    def is_valid_domain(self) -> bool:
        """Whether processes may live here: not below a domain of threads."""
        if self.is_threaded:
            return False
        above = self.parent
        while above is not None:
            if above.is_threaded or (above.parent is not None and above.is_thread_root()):
                return False
            above = above.parent
        return True

    def contains(self, other: "ControlGroup") -> bool:
        """Whether another is this one or below."""
        walker: ControlGroup | None = other
        while walker is not None and walker.level > self.level:
            walker = walker.parent
        return walker is self

    def path_from(self, root: "ControlGroup") -> bytes:
        """Its name as seen from a group: "/" for that itself, with "/.." for each step up to what is above both."""
        up = b""
        above = root
        while not above.contains(self):
            up += b"/.."
            parent = above.parent
            if parent is None:
                break
            above = parent
        names: list[bytes] = []
        walker = self
        while walker is not above:
            names.append(walker.name)
            parent = walker.parent
            if parent is None:
                break
            walker = parent
        names.reverse()
        text = up + (b"/" + b"/".join(names) if len(names) > 0 else b"")
        return text if len(text) > 0 else b"/"

    def tell(self, file: bytes) -> None:
        """A file of the group shows something else."""
        listener = self.listener
        if listener is not None:
            listener.changed(file)


TOP: Final = ControlGroup(None, b"", TOP_NUMBER)


def common_ancestor(one: ControlGroup, other: ControlGroup) -> ControlGroup:
    """The lowest group that contains both."""
    walker = one
    while not walker.contains(other):
        parent = walker.parent
        if parent is None:
            break
        walker = parent
    return walker


@final
class GroupWalk:
    """The groups below one, itself among them, each before those that are below it. They may come and go meanwhile.
    Those that are created below one when the walk has left it are missed; until then, they are not.
    """

    def __init__(self, root: ControlGroup) -> None:
        self._waiting: list[list[ControlGroup]] = [[root]]  # by level: so no list is longer than MOST_CHILDREN
        self._last: ControlGroup | None = None

    def next(self) -> ControlGroup | None:
        """The next one. Raises MemoryError."""
        last = self._last
        if last is not None:
            self._last = None
            self._waiting.append(list(last.children.values()))
        while len(self._waiting) > 0:
            level = self._waiting[-1]
            if len(level) > 0:
                group = level.pop()
                self._last = group
                return group
            self._waiting.pop()
        return None

    def skip_below(self) -> None:
        """Leave out what is below the group that came last."""
        self._last = None
