"""Which inodes are in memory: each once in the list, dead references found, nothing that only grows."""

import gc
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.fs.constants import S_IFREG
from kernel.fs.ext2 import retired
from kernel.fs.ext2.instance import Ext2Node
from kernel.fs.ext2.retired import RetiredNodes
from kernel.lib.credentials import Credentials, plain_actor

from .conftest import Mounted, check_image, make_image

Mount = Callable[..., Mounted]
ROOT = plain_actor(Credentials())
IMAGE = ("-t", "ext2", "-b", "1024", "-N", "256")


def check(mounted: Mounted) -> None:
    fs = mounted.fs
    assert len(fs.nodes) == len(fs.inodes)
    for place, node in enumerate(fs.nodes):
        assert node.place == place and fs.inodes[node.ino] is node


@pytest.mark.parametrize("limit", (1, 20, 1000))
def test_inodes_come_and_go(mount: Mount, limit: int) -> None:
    mounted = mount(make_image(2048, *IMAGE))
    mounted.fs.inode_limit = limit
    for step in range(10):
        for number in range(60):
            fresh = mounted.root.create(b"%d" % number, S_IFREG | 0o600, 0, ROOT)
            fresh.acquire()
            fresh.release()
        check(mounted)
        for number in range(60):
            inode = mounted.root.lookup(b"%d" % number)
            assert inode is not None
            if step % 2 == 0 or number % 2 == 0:
                mounted.root.unlink(b"%d" % number, inode)
        check(mounted)
        for number in range(1, 60, 2):
            inode = mounted.root.lookup(b"%d" % number)
            if inode is not None:
                mounted.root.unlink(b"%d" % number, inode)
    del fresh, inode
    check(mounted)
    mounted.fs.sync()
    assert not check_image(mounted.unmount())
    assert not mounted.fs.nodes and not mounted.fs.inodes


def test_all_inodes_are_met_though_some_go(mount: Mount) -> None:
    """Others run at the safe points of `known_nodes`."""
    mounted = mount(make_image(2048, *IMAGE))
    made = [mounted.root.create(b"%d" % number, S_IFREG | 0o600, 0, ROOT) for number in range(60)]
    met = []
    for turn, node in enumerate(mounted.fs.known_nodes()):
        met.append(node.ino)
        if turn % 3 == 0 and made:
            gone = made.pop(turn * 7 % len(made))
            name = next(b"%d" % n for n in range(60) if mounted.root.lookup(b"%d" % n) is gone)
            mounted.root.unlink(name, gone)
    assert {inode.ino for inode in made} <= set(met)


class Node:
    """Stands for an inode of the file system: only its number matters."""

    def __init__(self, ino: int) -> None:
        self.ino = ino


def node_of(ino: int) -> Ext2Node:
    return cast(Ext2Node, Node(ino))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=100))
def test_retired_inodes(operations: list[tuple[int, int]]) -> None:
    nodes = RetiredNodes()
    held: dict[int, Ext2Node] = {}
    for kind, ino in operations:
        if kind < 2:
            held[ino] = node_of(ino)
            nodes.add(held[ino])
        elif kind == 2:
            nodes.remove(ino)
            held.pop(ino, None)
        elif kind == 3:
            held.pop(ino, None)  # nobody has it any more
        assert nodes.find(ino) is held.get(ino)
        assert len(nodes._by_number) == len(nodes)
        assert all(entry.place == place for place, entry in enumerate(nodes._all))


def test_dead_references_do_not_pile_up() -> None:
    nodes = RetiredNodes()
    kept = [node_of(ino) for ino in range(20)]
    for node in kept:
        nodes.add(node)
    gc.collect()
    gc.freeze()  # the collector looks at what this test makes, and not at all that others have left
    for ino in range(100, 2000):
        nodes.add(node_of(ino))
        if ino % 100 == 0:
            gc.collect()
    assert len(nodes) < 20 + 2 * retired._LOOKED_AT
    assert all(nodes.find(node.ino) is node for node in kept)


def test_all_retired_inodes_go_while_the_hand_is_among_them() -> None:
    nodes = RetiredNodes()
    kept = [node_of(ino) for ino in range(20)]
    for node in kept:
        nodes.add(node)
    assert nodes._hand > 0
    for node in kept:
        nodes.remove(node.ino)
    nodes.add(kept[0])
    assert nodes.find(0) is kept[0]
