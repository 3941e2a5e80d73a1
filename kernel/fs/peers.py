"""Shared mounts: mounts in one place appear in others (mount_namespaces(7), "SHARED SUBTREES").

Mounts of one peer group show the same: what is mounted on a directory of one is mounted on that of all, if their part
of the file system has the directory. A slave receives from its master's group, and propagates nothing back. A mount can
be both: then it passes on what it receives. All members of a group have the same master.

Invariants: a mount is in the ring of members exactly when `group` is set, and in its master's chain of slaves exactly
when `master` is. A group without members has no slaves: they went to its own master.

Context: thread context, with the lock of the tree (mount_lock.py). Looking for all that receive takes safe points.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.dentry import Dentry
from kernel.lang import final, inline, noraise
from kernel.lib.linked import FIRST, LAST, NEXT, Linkage, Links
from kernel.lib.pace import pace

if TYPE_CHECKING:
    from kernel.fs.path import Mount

_FIND_COST: Final = 200  # instructions
_MOVE_COST: Final = 30


@final
class PeerGroup:
    """Mounts that show the same, and their slaves. `number` is what mountinfo shows.

    The order of both is Linux's, because mounts are created, and shown by mountinfo, in this order: the members are a
    ring, and a copy comes right after its original; it is linked by hand, because it has no ends. Both are chains
    through the mounts themselves, so leaving them takes neither time nor memory.
    """

    slaves: Links["Mount"]

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.member: Mount | None = None  # one of the ring

    def members(self) -> "list[Mount]":
        """All of them. Takes safe points. Raises MemoryError."""
        found: list[Mount] = []
        each = self.member
        while each is not None:
            found.append(each)
            pace(_MOVE_COST)
            each = each.next_peer
            if each is self.member:
                break
        return found


@final
class _Slaves(Linkage["Mount"]):
    @inline
    def links(self, entry: "Mount") -> "Links[Mount]":
        return entry.slave_links


_SLAVES: Final = _Slaves()


@final
class Groups:
    """The numbers of peer groups: the lowest free one is taken, as on Linux."""

    def __init__(self) -> None:
        self.by_number: dict[int, PeerGroup] = {}
        self.lowest: int = 1  # all below are taken

    def new(self) -> PeerGroup:
        """A group without members. Raises MemoryError."""
        number = self.lowest
        while number in self.by_number:
            number += 1
            pace(_MOVE_COST)
        group = PeerGroup(number)
        self.by_number[number] = group
        self.lowest = number + 1
        return group

    @noraise
    def forget(self, group: PeerGroup) -> None:
        """Free the number of a group without members."""
        self.by_number.pop(group.number, group)
        self.lowest = min(self.lowest, group.number)


GROUPS: Final = Groups()


def share(mount: "Mount") -> None:
    """MS_SHARED: join a peer group, a new one if needed. Raises MemoryError."""
    if mount.group is None:
        _join(mount, GROUPS.new(), None)


@noraise
def _join(mount: "Mount", group: PeerGroup, before: "Mount | None") -> None:
    """Become a member, after another one or as the first."""
    after = mount if before is None else before.next_peer
    if before is None or after is None:
        before = mount
        after = mount
        group.member = mount
    mount.previous_peer = before
    mount.next_peer = after
    before.next_peer = mount
    after.previous_peer = mount
    mount.group = group


@noraise
def enslave(mount: "Mount", master: PeerGroup, before: "Mount | None" = None) -> None:
    """Receive from a group: as a slave after another one, or as the first."""
    _SLAVES.insert(master.slaves, before, mount)
    mount.master = master


@noraise
def leave_group(mount: "Mount") -> None:
    """Leave the group. The last member's slaves get its own master."""
    group = mount.group
    if group is None:
        return
    before = mount.previous_peer
    after = mount.next_peer
    mount.group = None
    mount.previous_peer = None
    mount.next_peer = None
    if before is not None and after is not None and after is not mount:
        before.next_peer = after
        after.previous_peer = before
        group.member = after
        return
    group.member = None
    GROUPS.forget(group)
    master = mount.master
    while True:
        slave = group.slaves[FIRST]
        if slave is None:
            return
        leave_master(slave)
        if master is not None:
            enslave(slave, master, master.slaves[LAST])
        pace(_FIND_COST)


@noraise
def leave_master(mount: "Mount") -> None:
    """Stop receiving from the master."""
    master = mount.master
    if master is None:
        return
    _SLAVES.remove(master.slaves, mount)
    mount.master = None


@noraise
def make_private(mount: "Mount") -> None:
    """MS_PRIVATE; also at the end of a mount."""
    leave_group(mount)
    leave_master(mount)


@noraise
def make_slave(mount: "Mount") -> None:
    """MS_SLAVE: become a slave of the peers, if there are any."""
    group = mount.group
    if group is None:
        return
    if mount.next_peer is not mount:
        leave_master(mount)
        enslave(mount, group)
    leave_group(mount)


@noraise
def inherit(copy: "Mount", source: "Mount") -> None:
    """Make a copy of a mount its peer, with the same master."""
    if source.group is not None:
        _join(copy, source.group, source)
    if source.master is not None:
        enslave(copy, source.master, source)


@final
class Receiver:
    """A mount that receives mounts from another. `source` is the receiver that it gets them from, None for the first
    mount itself.
    """

    def __init__(self, mount: "Mount", source: "Receiver | None", is_peer: bool) -> None:
        self.mount: Mount = mount
        self.source: Receiver | None = source
        self.is_peer: bool = is_peer  # of the source, and not its slave
        self.copy: Mount | None = None  # what was mounted on it
        self.covered: Mount | None = None  # what is on the copy since then


def receivers_of(mount: "Mount") -> list[Receiver]:
    """All mounts that receive from `mount`, itself first, each after its source: after each group come the groups that
    are its slaves, with theirs. Raises MemoryError.
    """
    found: list[Receiver] = []
    heads: list[Receiver] = [Receiver(mount, None, is_peer=True)]  # one for each group; the last one is next
    while len(heads) > 0:
        head = heads.pop()
        found.append(head)
        group = head.mount.group
        if group is None:
            continue
        peer = head.mount.next_peer
        while peer is not None and peer is not head.mount:
            found.append(Receiver(peer, head, is_peer=True))
            peer = peer.next_peer
            pace(_FIND_COST)
        seen: dict[PeerGroup, bool] = {}
        slaves: list[Receiver] = []
        slave = group.slaves[FIRST]
        while slave is not None:
            below = slave.group
            if below is None or below not in seen:
                if below is not None:
                    seen[below] = True
                slaves.append(Receiver(slave, head, is_peer=False))
            slave = slave.slave_links[NEXT]
            pace(_FIND_COST)
        while len(slaves) > 0:
            heads.append(slaves.pop())
            pace(_MOVE_COST)
    return found


def shows(mount: "Mount", place: Dentry) -> bool:
    """Whether the directory lies in the part of the file system that a mount shows."""
    return lies_below(place, mount.root)


def lies_below(place: Dentry, top: Dentry) -> bool:
    """Whether a directory is another or lies below it, in one file system."""
    while place is not top:
        above = place.parent
        if above is None or above is place:
            return False
        place = above
    return True
