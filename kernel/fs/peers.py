"""Shared mounts: what is mounted in one place shows in others (mount_namespaces(7), "SHARED SUBTREES").

Mounts of one peer group show the same: what is mounted on a directory of one is mounted on that of all, if their part
of the file system has the directory. A slave receives from its master's group, and gives nothing back. A mount can be
both: then it passes on what it receives. All members of a group have the same master.

Invariants: a mount is in `group.members` exactly when `group` is set, and in `master.slaves` exactly when `master` is.
A group without members has no slaves: they went to its own master.

Context: thread context. Attaching raises MemoryError and ENOSPC, and then nothing was changed.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.dentry import Dentry
from kernel.lang import final, noraise

if TYPE_CHECKING:
    from kernel.fs.path import Mount


@final
class PeerGroup:
    """Mounts that show the same, and those that follow them. `number` is what mountinfo shows.

    The order of both is Linux's, because it is that in which mounts are created, and so that of mountinfo: the members
    are a ring, and a copy comes right after what it is a copy of.
    """

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.members: list[Mount] = []
        self.slaves: list[Mount] = []


@final
class Groups:
    """The numbers of peer groups: the lowest that is free is taken, as on Linux."""

    def __init__(self) -> None:
        self.by_number: dict[int, PeerGroup] = {}


GROUPS: Final = Groups()


def share(mount: "Mount") -> None:
    """MS_SHARED: be in a peer group, a new one if need be. Raises MemoryError."""
    if mount.group is not None:
        return
    number = 1
    while number in GROUPS.by_number:
        number += 1
    group = PeerGroup(number)
    GROUPS.by_number[number] = group
    try:
        join(mount, group)
    except MemoryError:
        GROUPS.by_number.pop(number)
        raise


def join(mount: "Mount", group: PeerGroup) -> None:
    """Become the first of a group. Raises MemoryError."""
    group.members.append(mount)
    mount.group = group


def enslave(mount: "Mount", master: PeerGroup) -> None:
    """Receive from a group. Raises MemoryError."""
    master.slaves.insert(0, mount)
    mount.master = master


@noraise
def leave_group(mount: "Mount") -> None:
    """Give nothing to peers any more. The last one's slaves get its own master."""
    group = mount.group
    if group is None:
        return
    mount.group = None
    group.members.remove(mount)
    if len(group.members) > 0:
        return
    GROUPS.by_number.pop(group.number)
    master = mount.master
    while len(group.slaves) > 0:
        slave = group.slaves.pop(0)
        slave.master = None
        if master is not None:
            try:
                master.slaves.append(slave)
                slave.master = master
            except MemoryError:
                slave.master = None  # no room to remember it: it receives nothing any more


@noraise
def leave_master(mount: "Mount") -> None:
    """Receive nothing any more."""
    master = mount.master
    if master is not None:
        mount.master = None
        master.slaves.remove(mount)


@noraise
def make_private(mount: "Mount") -> None:
    """MS_PRIVATE, and the end of a mount."""
    leave_group(mount)
    leave_master(mount)


def make_slave(mount: "Mount") -> None:
    """MS_SLAVE: receive from the peers, if there are any, instead of being one. Raises MemoryError."""
    group = mount.group
    if group is None:
        return
    if len(group.members) > 1:
        leave_master(mount)
        enslave(mount, group)
    leave_group(mount)


def inherit(copy: "Mount", source: "Mount") -> None:
    """A copy of a mount is its peer, and has its master. Raises MemoryError."""
    group = source.group
    if group is not None:
        group.members.insert(group.members.index(source) + 1, copy)
        copy.group = group
    master = source.master
    if master is not None:
        master.slaves.insert(master.slaves.index(source) + 1, copy)
        copy.master = master


@final
class Receiver:
    """A mount that gets what is mounted on another. `source` is the receiver before it, from which it gets that, and
    None for the first mount itself.
    """

    def __init__(self, mount: "Mount", source: "Receiver | None", is_peer: bool) -> None:
        self.mount: Mount = mount
        self.source: Receiver | None = source
        self.is_peer: bool = is_peer  # of the source, and not its slave
        self.copy: Mount | None = None  # what was mounted on it


def receivers_of(mount: "Mount") -> list[Receiver]:
    """All that get what is mounted on `mount`, itself first, each after its source. Raises MemoryError."""
    first = Receiver(mount, None, is_peer=True)
    found: list[Receiver] = [first]
    group = mount.group
    if group is None:
        return found
    heads: list[Receiver] = [first]  # one of each group
    index = 0
    while index < len(heads):
        head = heads[index]
        index += 1
        group = head.mount.group
        if group is None:
            continue
        members = group.members
        place = members.index(head.mount)
        for step in range(1, len(members)):
            found.append(Receiver(members[(place + step) % len(members)], head, is_peer=True))
        seen: list[PeerGroup] = []
        for slave in group.slaves:
            below = slave.group
            if below is not None:
                if below in seen:
                    continue
                seen.append(below)
            receiver = Receiver(slave, head, is_peer=False)
            found.append(receiver)
            heads.append(receiver)
    return found


def shows(mount: "Mount", place: Dentry) -> bool:
    """Whether the directory lies in the part of the file system that a mount shows."""
    while place is not mount.root:
        above = place.parent
        if above is None or above is place:
            return False
        place = above
    return True
