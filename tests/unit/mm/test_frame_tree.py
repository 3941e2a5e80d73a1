"""The tree of frames against a dictionary."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.mm import frame_tree
from kernel.mm.frame_tree import NO_PAGE, FrameTree, Node
from kernel.mm.frames import NO_FRAME, Frame

PAGES = st.one_of(st.integers(0, 100), st.integers(0, 5000), st.integers(0, (1 << 51) - 1))


def next_of(model: dict[int, int], index: int) -> int:
    return min((each for each in model if each >= index), default=NO_PAGE)


def check(tree: FrameTree, model: dict[int, int]) -> None:
    """Every node has what its count says, and all leaves are equally deep."""
    found: dict[int, int] = {}

    def visit(node: Node, shift: int, first: int) -> None:
        if shift == 0:
            assert node.children is None
            frames = {first + place: frame for place, frame in enumerate(node.frames) if frame != 0}
            assert node.count == len(frames) > 0
            found.update(frames)
            return
        assert node.children is not None and len(node.children) == 32
        assert node.count == sum(child is not None for child in node.children) > 0
        for place, child in enumerate(node.children):
            if child is not None:
                visit(child, shift - 5, first + (place << shift))

    if tree._root is not None:
        visit(tree._root, tree._shift, 0)
    assert found == model and tree.count == len(model)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), PAGES, st.integers(1, 1 << 30)), max_size=120))
def test_tree(operations: list[tuple[int, int, int]]) -> None:
    tree = FrameTree()
    model: dict[int, int] = {}
    for kind, index, frame in operations:
        if kind < 3:
            tree.put(index, Frame(frame))
            model[index] = frame
        elif kind == 3 and model:
            index = next_of(model, index)
            if index != NO_PAGE:
                assert tree.remove(index) == model.pop(index)
        elif kind == 4:
            assert tree.get(index) == model.get(index, NO_FRAME)
        assert tree.next_from(index) == next_of(model, index)
        check(tree, model)
    for index in sorted(model):
        assert tree.get(index) == model[index]
        assert tree.remove(index) == model.pop(index)
    check(tree, {})


def test_a_large_file_and_its_holes() -> None:
    tree = FrameTree()
    pages = [*range(3000), *range(100_000, 103_000), 1 << 40]
    random.Random(4).shuffle(pages)
    for index in pages:
        tree.put(index, Frame(index % 1000 + 1))
    index, seen = tree.next_from(0), []
    while index != NO_PAGE:
        seen.append(index)
        assert tree.get(index) == index % 1000 + 1
        index = tree.next_from(index + 1)
    assert seen == sorted(pages)
    for index in pages[:-5]:
        tree.remove(index)
    check(tree, {index: index % 1000 + 1 for index in pages[-5:]})


@pytest.mark.parametrize("allowed", range(12))
def test_no_memory_changes_nothing(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever node there is no memory for."""

    class Scarce:
        left = 1 << 40

    def node() -> Node:
        if Scarce.left == 0:
            raise MemoryError
        Scarce.left -= 1
        return plain()

    plain = frame_tree.Node
    monkeypatch.setattr(frame_tree, "Node", node)
    for model in ({}, {3: 4}, {3: 4, 70: 71}):
        tree = FrameTree()
        Scarce.left = 1 << 40
        for index, frame in model.items():
            tree.put(index, Frame(frame))
        Scarce.left = allowed
        try:
            tree.put(1 << 48, Frame(5))
        except MemoryError:
            assert tree.get(1 << 48) == NO_FRAME and tree.next_from(71) == NO_PAGE
            check(tree, model)
            Scarce.left = 1 << 40
            tree.put(1 << 48, Frame(5))
        check(tree, {**model, 1 << 48: 5})
