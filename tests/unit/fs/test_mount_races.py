"""Processes that change one tree of mounts, and copies of it, on several processors: each step of each call may be
followed by one of another's. What is left is a sound tree, and nothing of what has gone.
"""

import contextlib
import random

import pytest

from kernel.fs.mount_lock import TREE
from kernel.fs.path import MOUNTS, NAMESPACES, Mount
from kernel.fs.peers import GROUPS
from kernel.lib import pace as pace_module
from kernel.lib.linked import FIRST, NEXT
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program
from tools.simulated.several import Several

MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2
CLONE_NEWNS = 0x2_0000
PLACES = ("/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/b/y", "/c/x", "/c/y")
KINDS = (MS_SHARED, MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE)


class Crowd:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.done = 0

    def act(self, program: Program) -> None:
        """What each process does."""
        for _ in range(14):
            with contextlib.suppress(OSError):
                self.once(program)
                self.done += 1

    def once(self, program: Program) -> None:
        chance = self.chance
        place, other = chance.choice(PLACES), chance.choice(PLACES)
        recursive = chance.choice((0, MS_REC))
        match chance.randrange(8):
            case 0:
                program.mount("none", place, "tmpfs", 0, None)
                for name in ("/x", "/y"):
                    program.mkdir(place + name, 0o755)
            case 1 | 2:
                program.mount(other, place, None, MS_BIND | recursive, None)
            case 3:
                program.mount("none", place, None, chance.choice(KINDS) | recursive, None)
            case 4:
                program.mount(other, place, None, MS_MOVE, None)
            case 5:
                program.umount2(place, MNT_DETACH)
            case 6:
                program.umount2(place, 0)
            case 7:
                program.unshare(CLONE_NEWNS)


def check() -> None:
    """All that is said about mounts where they are declared."""
    seen: dict[int, Mount] = {}
    for namespace in NAMESPACES.values():
        for number, mount in namespace.mounts.items():
            assert mount.identifier == number and mount.namespace is namespace and mount.attached
            seen[number] = mount
            parent, point = mount.parent, mount.mount_point
            if parent is not None and point is not None:
                assert parent.children[point] is mount and parent.attached and parent.namespace is namespace
    assert seen == dict(MOUNTS)
    for group in GROUPS.by_number.values():
        members = group.members()
        assert len(members) > 0 and all(each.group is group and each.attached for each in members)
        slave = group.slaves[FIRST]
        while slave is not None:
            assert slave.master is group and slave.attached
            slave = slave.slave_links[NEXT]
    assert TREE.lock.owner is None


@pytest.mark.parametrize("seed", range(4))
@booted
def test_the_tree_stays_sound(machine: Machine, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    host = machine.host
    for place in ("/a", "/b", "/c"):
        host.mkdir(place, 0o755)
    before = len(MOUNTS)
    for place in ("/a", "/b", "/c"):
        host.mount("none", place, "tmpfs", 0, None)
        for name in ("/x", "/y"):
            host.mkdir(place + name, 0o755)
    host.mount("none", "/a", None, MS_SHARED, None)
    Several(machine, 4, seed)
    monkeypatch.setattr(pace_module, "PACE_BUDGET", 0)
    crowd = Crowd(seed)
    for _ in range(5):
        host.fork(crowd.act)
    for _ in range(5):
        host.wait4(-1, bytearray(4), 0, None)
    monkeypatch.undo()
    assert crowd.done > 20
    check()
    assert len(NAMESPACES) == 1
    for place in ("/a", "/b", "/c"):
        with contextlib.suppress(OSError):
            while True:
                host.umount2(place, MNT_DETACH)
    check()
    assert len(MOUNTS) == before and GROUPS.by_number == {}
