"""The tree of areas against a sorted list."""

import random

import pytest

from kernel.mm.area import MAP_GROWSDOWN, MAP_PRIVATE, Area
from kernel.mm.area_tree import STACK_GUARD, AreaTree, following, lowest_start, preceding
from kernel.mm.frames import PAGE_SIZE

TOP = 1 << 30


def new_area(start: int, end: int, grows: bool = False) -> Area:
    return Area(start, end, 0, 0, MAP_PRIVATE | (MAP_GROWSDOWN if grows else 0), None, 0)


def check(tree: AreaTree, model: list[Area]) -> None:
    """All that a tree promises."""
    assert tree.count == len(model)
    found = []
    area = tree.first()
    while area is not None:
        found.append(area)
        area = following(area)
    assert found == model
    area = tree.last()
    while area is not None:
        assert found.pop() is area
        area = preceding(area)
    assert found == []
    _check_node(tree.root, None)
    for before, after in zip([None, *model], model, strict=False):
        assert after.gap == (0 if before is None else max(0, lowest_start(after) - before.end))


def _check_node(node: Area | None, parent: Area | None) -> tuple[int, int]:
    """Height and largest gap."""
    if node is None:
        return 0, 0
    assert node.parent is parent
    left, left_gap = _check_node(node.left, node)
    right, right_gap = _check_node(node.right, node)
    assert abs(left - right) <= 1
    assert node.height == max(left, right) + 1
    assert node.largest == max(node.gap, left_gap, right_gap)
    return node.height, node.largest


def enter(tree: AreaTree, model: list[Area], area: Area) -> None:
    after = tree.first_above(area.start)
    tree.insert(tree.before(after), area, after)
    model.append(area)
    model.sort(key=lambda each: each.start)


def lowest_gap(model: list[Area], bound: int, length: int) -> Area | None:
    fit = [area for area in model if area.start > bound and area.gap >= length]
    return fit[0] if fit else None


def highest_gap(model: list[Area], bound: int, length: int) -> Area | None:
    fit = [area for area in model if area.start < bound and area.gap >= length]
    return fit[-1] if fit else None


@pytest.mark.parametrize("seed", range(6))
def test_the_tree_agrees_with_a_sorted_list(seed: int) -> None:
    chance = random.Random(seed)
    tree = AreaTree()
    model: list[Area] = []
    for step in range(600):
        start = chance.randrange(1, TOP // PAGE_SIZE) * PAGE_SIZE
        end = start + chance.randrange(1, 400) * PAGE_SIZE
        action = chance.random()
        if action < (0.7 if step < 400 else 0.3):
            if all(area.end <= start or area.start >= end for area in model):
                enter(tree, model, new_area(start, end, chance.random() < 0.1))
        elif model and action < 0.9:
            gone = chance.choice(model)
            model.remove(gone)
            tree.remove(gone)
            assert gone.parent is None and gone.left is None and gone.right is None
        elif model:
            moved = chance.choice(model)
            after = following(moved)
            most = TOP * 2 if after is None else after.start
            moved.end = moved.start + max(PAGE_SIZE, (most - moved.start) // 2 & -PAGE_SIZE)
            tree.moved(moved)
        check(tree, model)
        at = chance.randrange(TOP)
        above = next((area for area in model if area.end > at), None)
        assert tree.first_above(at) is above
        assert tree.at(at) is (above if above is not None and above.start <= at else None)
        below = model[: len(model) if above is None else model.index(above)]
        assert tree.before(above) is (below[-1] if below else None)
        length = chance.randrange(1, TOP // 16)
        assert tree.highest_gap(at, length) is highest_gap(model, at, length)
        assert tree.lowest_gap(at, length) is lowest_gap(model, at, length)


def test_areas_in_order_make_a_low_tree() -> None:
    tree = AreaTree()
    last = None
    for number in range(5000):
        area = new_area(number * PAGE_SIZE, (number + 1) * PAGE_SIZE)
        tree.insert(last, area, None)
        last = area
    assert tree.root is not None and tree.root.height <= 14
    assert tree.highest_gap(TOP, 1) is None
    assert tree.lowest_gap(0, 1) is None


def test_the_guard_of_a_stack_is_no_gap() -> None:
    tree = AreaTree()
    model: list[Area] = []
    enter(tree, model, new_area(0, PAGE_SIZE))
    stack = new_area(PAGE_SIZE + STACK_GUARD + 3 * PAGE_SIZE, TOP, grows=True)
    enter(tree, model, stack)
    assert stack.gap == 3 * PAGE_SIZE
    check(tree, model)


def test_a_tree_ends_leaf_by_leaf() -> None:
    tree = AreaTree()
    model: list[Area] = []
    for number in range(100):
        enter(tree, model, new_area(number * 2 * PAGE_SIZE, (number * 2 + 1) * PAGE_SIZE))
    seen = set()
    area = tree.root
    while area is not None:
        area = tree.some_leaf(area)
        seen.add(area.start)
        above = tree.drop_leaf(area)
        assert area.parent is None and area.left is None and area.right is None
        area = above
    assert len(seen) == 100 and tree.count == 0 and tree.root is None
