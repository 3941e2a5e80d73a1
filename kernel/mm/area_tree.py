"""The areas of an address space: a balanced tree in the order of their addresses, which knows the gaps between them.

The nodes are the areas themselves, so that entering one needs no memory. Each knows the gap below it: how many bytes
are free down to the end of the area before it, not counting the guard of a growing stack (0 for the lowest area). And
each knows the largest gap in its part of the tree, so the highest gap that is long enough is found in one walk. All
costs grow with the logarithm of the number of areas.

Invariants (an AVL tree): the heights of a node's two sides differ by 1 at most; areas do not overlap. Whoever changes
`start`, `end` or the kind of an area in the tree calls `moved`. Parents refer to children and children to parents, so
an area can be freed only once it has been removed.

Context: never sleeps, allocates nothing.
"""

from typing import Final

from kernel.lang import final
from kernel.mm.area import MAP_GROWSDOWN, Area
from kernel.mm.frames import PAGE_SIZE

STACK_GUARD: Final = 256 * PAGE_SIZE  # unmapped below a growing stack


def following(area: Area) -> Area | None:
    """The next area in the tree by address."""
    below = area.right
    if below is not None:
        return _leftmost(below)
    node = area
    above = node.parent
    while above is not None and above.right is node:
        node = above
        above = node.parent
    return above


def preceding(area: Area) -> Area | None:
    """The area before it in the tree by address."""
    below = area.left
    if below is not None:
        return _rightmost(below)
    node = area
    above = node.parent
    while above is not None and above.left is node:
        node = above
        above = node.parent
    return above


def lowest_start(area: Area) -> int:
    """Where an area may begin once it has grown into its guard gap."""
    return area.start - STACK_GUARD if area.flags & MAP_GROWSDOWN != 0 else area.start


def _leftmost(area: Area) -> Area:
    while True:
        below = area.left
        if below is None:
            return area
        area = below


def _rightmost(area: Area) -> Area:
    while True:
        below = area.right
        if below is None:
            return area
        area = below


def _height(area: Area | None) -> int:
    return 0 if area is None else area.height


def _largest(area: Area) -> int:
    """The new value of `largest`, from the nodes below."""
    largest = area.gap
    left = area.left
    if left is not None:
        largest = max(largest, left.largest)
    right = area.right
    if right is not None:
        largest = max(largest, right.largest)
    return largest


def _refresh(area: Area) -> None:
    """Update what an area knows of its subtree, from its children."""
    area.height = max(_height(area.left), _height(area.right)) + 1
    area.largest = _largest(area)


def _measure(before: Area | None, area: Area) -> None:
    """Measure the gap below an area, which has changed."""
    area.gap = 0 if before is None else max(0, lowest_start(area) - before.end)


@final
class Emptied:
    """A range whose pages are given back in parts, and that nobody seals meanwhile."""

    def __init__(self, start: int, end: int) -> None:
        self.start: int = start
        self.end: int = end


@final
class AreaTree:
    """All areas of a space."""

    def __init__(self) -> None:
        self.root: Area | None = None
        self.count: int = 0
        self.emptied: list[Emptied] = []

    # Looking up ----------------------------------------------------------------------------------------------------

    def at(self, address: int) -> Area | None:
        """The area that holds `address`."""
        area = self.root
        while area is not None:
            if address >= area.end:
                area = area.right
            elif address < area.start:
                area = area.left
            else:
                return area
        return None

    def first_above(self, address: int) -> Area | None:
        """The first area that ends above `address`: it holds it, or begins above."""
        found: Area | None = None
        area = self.root
        while area is not None:
            if address >= area.end:
                area = area.right
            else:
                found = area
                area = area.left
        return found

    def first(self) -> Area | None:
        """The lowest area."""
        root = self.root
        return None if root is None else _leftmost(root)

    def last(self) -> Area | None:
        """The highest area."""
        root = self.root
        return None if root is None else _rightmost(root)

    def before(self, area: Area | None) -> Area | None:
        """The area before one, or the last of all."""
        return self.last() if area is None else preceding(area)

    def is_emptied(self, start: int, end: int) -> bool:
        """Whether a part of a range loses its pages right now."""
        for emptied in self.emptied:
            if emptied.start < end and start < emptied.end:
                return True
        return False

    def highest_gap(self, bound: int, length: int) -> Area | None:
        """The highest area that starts below `bound` and has `length` free bytes below it, down to another area."""
        found: Area | None = None
        part: Area | None = None  # a subtree, all below the bound, that has such a gap and is higher than `found`
        area = self.root
        while area is not None:
            if area.start >= bound:
                area = area.left
                continue
            left = area.left
            if area.gap >= length:
                found = area
                part = None
            elif left is not None and left.largest >= length:
                part = left
            area = area.right
        while part is not None:
            right = part.right
            if right is not None and right.largest >= length:
                part = right
            elif part.gap >= length:
                return part
            else:
                part = part.left
        return found

    def lowest_gap(self, bound: int, length: int) -> Area | None:
        """The lowest area that starts above `bound` and has `length` free bytes below it, down to another area."""
        found: Area | None = None
        part: Area | None = None  # a subtree, all above the bound, that has such a gap and is lower than `found`
        area = self.root
        while area is not None:
            if area.start <= bound:
                area = area.right
                continue
            right = area.right
            if area.gap >= length:
                found = area
                part = None
            elif right is not None and right.largest >= length:
                part = right
            area = area.left
        while part is not None:
            left = part.left
            if left is not None and left.largest >= length:
                part = left
            elif part.gap >= length:
                return part
            else:
                part = part.right
        return found

    # Changing ------------------------------------------------------------------------------------------------------

    def insert(self, before: Area | None, area: Area, after: Area | None) -> None:
        """Enter an area between two neighbours."""
        if before is not None and before.right is None:
            before.right = area
            area.parent = before
        elif after is not None:
            after.left = area
            area.parent = after
        else:
            self.root = area
        self.count += 1
        _measure(before, area)
        if after is not None:
            _measure(area, after)
        self._mend(area)
        self._mend(after)

    def remove(self, area: Area) -> None:
        """Remove an area."""
        after = following(area)
        if after is not None:
            _measure(preceding(area), after)
        left = area.left
        right = area.right
        changed: Area | None
        if left is not None and right is not None and after is not None:
            changed = self._put_in_place(area, after, left, right)
        else:
            changed = area.parent
            self._exchange(changed, area, left if left is not None else right)
        area.left = None
        area.right = None
        area.parent = None
        area.height = 0
        self.count -= 1
        self._mend(changed)
        self._mend(after)

    def _put_in_place(self, area: Area, after: Area, left: Area, right: Area) -> Area:
        """Let the next area replace one that has two children. Returns the lowest node that has changed."""
        changed = after
        if after is not right:
            above = after.parent
            assert above is not None
            changed = above
            self._exchange(above, after, after.right)
            after.right = right
            right.parent = after
        after.left = left
        left.parent = after
        after.height = area.height
        self._exchange(area.parent, area, after)
        return changed

    def moved(self, area: Area) -> None:
        """The bounds of an area have changed, or it became a stack."""
        _measure(preceding(area), area)
        self._mend(area)
        after = following(area)
        if after is not None:
            _measure(area, after)
            self._mend(after)

    def _exchange(self, parent: Area | None, old: Area, new: Area | None) -> None:
        """Below a parent (or at the root), replace one node by another."""
        if parent is None:
            self.root = new
        elif parent.left is old:
            parent.left = new
        else:
            parent.right = new
        if new is not None:
            new.parent = parent

    def _mend(self, area: Area | None) -> None:
        """Something changed at or below an area: rebalance its ancestors and update their figures."""
        while area is not None:
            left = _height(area.left)
            right = _height(area.right)
            if left > right + 1 or right > left + 1:
                area = self._balance(area)
            else:
                height = max(left, right) + 1
                largest = _largest(area)
                if height == area.height and largest == area.largest:
                    return
                area.height = height
                area.largest = largest
            area = area.parent

    def _balance(self, area: Area) -> Area:
        """Rotate where one side is higher by 2. Returns the node that takes the area's place."""
        left = area.left
        right = area.right
        if left is not None and left.height > _height(right):
            inner = left.right
            if inner is not None and inner.height > _height(left.left):
                return self._lift(area, self._lift(left, inner))
            return self._lift(area, left)
        assert right is not None
        inner = right.left
        if inner is not None and inner.height > _height(right.right):
            return self._lift(area, self._lift(right, inner))
        return self._lift(area, right)

    def _lift(self, area: Area, child: Area) -> Area:
        """Rotate: a child takes the place of its parent, which becomes its child. Returns the child."""
        self._exchange(area.parent, area, child)
        inner: Area | None
        if area.left is child:
            inner = child.right
            area.left = inner
            child.right = area
        else:
            inner = child.left
            area.right = inner
            child.left = area
        if inner is not None:
            inner.parent = area
        area.parent = child
        _refresh(area)
        _refresh(child)
        return child

    # All of them ---------------------------------------------------------------------------------------------------

    def some_leaf(self, area: Area) -> Area:
        """A leaf at or below an area."""
        while True:
            left = area.left
            right = area.right
            if left is not None:
                area = left
            elif right is not None:
                area = right
            else:
                return area

    def drop_leaf(self, leaf: Area) -> Area | None:
        """Remove a leaf from a tree that is being destroyed, whose gaps no longer matter; returns its parent."""
        parent = leaf.parent
        self._exchange(parent, leaf, None)
        leaf.parent = None
        self.count -= 1
        return parent
