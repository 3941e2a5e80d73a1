"""Frames by page number: a radix tree with 32 branches at each node.

A small file is one leaf; each further level covers 32 times as many pages. Pages are found in order, so a hole of any
size costs nothing, and no operation takes longer than the few levels that there are. The leaf that was used last is at
hand, since most files are read in order.

Invariants: no node is empty; the root of a tree of height 0 is a leaf; `shift` is the height times `_BITS`.

A page of memory without a file on a disk may lie in a slot of a swap area (swap_slots.py): then its number is
SLOT_LIMIT and more, which no frame has. Whoever has such a tree asks `is_slot`; others never see one.

Rejected: a dictionary by page number. It has no order, so finding the next page after a hole means looking at all of
them, and a program can choose page numbers that collide.

Context: never sleeps. `put` may raise MemoryError; nothing else needs memory.
"""

from typing import TYPE_CHECKING, Final, Literal

from kernel.lang import Array, final, inline, noinline, noraise, u32
from kernel.lib.linked import Linked, LinkedList
from kernel.mm.frames import NO_FRAME, Frame
from kernel.mm.swap_slots import SLOT_LIMIT, Slot

if TYPE_CHECKING:
    from kernel.mm.objects import TrackedObject

NO_PAGE: Final = -1
_BITS: Final = 5
_WIDTH: Final = 1 << _BITS
_MASK: Final = _WIDTH - 1


@final
class Node:
    """A leaf with frames, or a branch with children."""

    frames: Array[u32, Literal[32]]

    def __init__(self) -> None:
        self.count: int = 0  # frames or children
        self.children: list[Node | None] | None = None


@inline
def is_slot(frame: Frame) -> bool:
    """Whether a page of a tree lies in a slot, and not in a frame."""
    return frame >= SLOT_LIMIT


def slot_in(frame: Frame) -> Slot:
    """The slot that stands in place of a frame."""
    return Slot(frame - SLOT_LIMIT)


def in_place_of_frame(slot: Slot) -> Frame:
    """What stands in a tree for a page that lies in a slot."""
    return Frame(SLOT_LIMIT + slot)


@final
class FrameTree(Linked["FrameTree"]):
    """The pages of an object in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.count: int = 0  # pages
        self.swapped: int = 0  # of those, in slots
        self.is_listed: bool = False  # in SWAPPABLE
        self.stays: bool = False  # nothing of it is swapped out
        self.mapping: TrackedObject | None = None  # who knows the areas that map it
        self._root: Node | None = None
        self._shift: int = 0
        self._last: Node | None = None  # the leaf that was used last
        self._last_number: int = 0  # of its first page, divided by its width

    def this(self) -> "FrameTree":
        return self

    @noraise
    def list_for_swapping(self) -> None:
        """Its pages may be swapped out, from the first one on."""
        if not self.is_listed:
            self.is_listed = True
            SWAPPABLE.link_last(self)

    @noraise
    def unlist(self) -> None:
        """It has no pages, or its owner ends."""
        if self.is_listed:
            self.is_listed = False
            if SWAPPABLE.at is self:
                SWAPPABLE.go_to(self.after())
            SWAPPABLE.unlink(self)

    def get(self, index: int) -> Frame:
        """The frame of a page (from 0), or NO_FRAME."""
        leaf = self._last
        if leaf is None or self._last_number != index >> _BITS:
            leaf = self._find(index)
            if leaf is None:
                return NO_FRAME
        return Frame(leaf.frames[index & _MASK])

    def next_from(self, index: int) -> int:
        """The first existing page at or after `index`, or NO_PAGE."""
        leaf = self._last
        if leaf is not None and self._last_number == index >> _BITS:
            slot = _first_frame(leaf, index & _MASK)
            if slot < _WIDTH:
                return index & ~_MASK | slot
            index = (index | _MASK) + 1
        while True:
            node = self._root
            shift = self._shift
            if node is None or index >> shift > _MASK:
                return NO_PAGE
            while True:
                slot = index >> shift & _MASK
                found = _first_child(node, slot) if shift > 0 else _first_frame(node, slot)
                if found == _WIDTH:
                    index = ((index >> (shift + _BITS)) + 1) << (shift + _BITS)
                    break  # from the root again: to the next node of this level, or of one above
                if found != slot:
                    index = (index >> (shift + _BITS)) << (shift + _BITS) | found << shift
                children = node.children
                child = children[found] if children is not None else None
                if child is None:
                    self._last = node
                    self._last_number = index >> _BITS
                    return index
                node = child
                shift -= _BITS

    def put(self, index: int, frame: Frame) -> None:
        """Enter the frame of a page, replacing any other one. Raises MemoryError, with nothing changed."""
        leaf = self._last
        if leaf is None or self._last_number != index >> _BITS:
            leaf = self._find(index)
            if leaf is None:
                self._put_leaf(index, frame)
                return
        if leaf.frames[index & _MASK] == NO_FRAME:
            leaf.count += 1
            self.count += 1
        leaf.frames[index & _MASK] = u32(frame)

    def remove(self, index: int) -> Frame:
        """Remove an existing page, and return its frame."""
        leaf = self._last
        if leaf is None or self._last_number != index >> _BITS:
            leaf = self._find(index)
            assert leaf is not None, "the page is not there"
        frame = Frame(leaf.frames[index & _MASK])
        assert frame != NO_FRAME, "the page is not there"
        leaf.frames[index & _MASK] = u32(NO_FRAME)
        leaf.count -= 1
        self.count -= 1
        if leaf.count == 0:
            self._cut(index)
        return frame

    @noinline
    def _find(self, index: int) -> Node | None:
        """The leaf of a page, or None; it becomes the last used one."""
        node = self._root
        shift = self._shift
        if node is None or index >> shift > _MASK:
            return None
        while shift > 0:
            children = node.children
            child = children[index >> shift & _MASK] if children is not None else None
            if child is None:
                return None
            node = child
            shift -= _BITS
        self._last = node
        self._last_number = index >> _BITS
        return node

    @noinline
    def _put_leaf(self, index: int, frame: Frame) -> None:
        """Enter a page that has no leaf: everything that needs memory comes first."""
        self._grow(index)
        branch: Node | None = None
        child = self._root
        shift = self._shift
        while child is not None:
            branch = child
            children = branch.children
            child = children[index >> shift & _MASK] if children is not None else None
            if child is not None:
                shift -= _BITS
        leaf = Node()
        leaf.frames[index & _MASK] = u32(frame)
        leaf.count = 1
        # From the leaf up to just below the branch that lacks this child; if there is none, up to the root.
        fresh = leaf
        level = _BITS
        while level < shift or (branch is None and level <= shift):
            fresh = _branch(fresh, index >> level & _MASK)
            level += _BITS
        if branch is None:
            self._root = fresh
        else:
            _set_child(branch, index >> shift & _MASK, fresh)
        self._last = leaf
        self._last_number = index >> _BITS
        self.count += 1

    def _grow(self, index: int) -> None:
        """Make the tree high enough for a page."""
        while index >> self._shift > _MASK:
            root = self._root
            if root is not None:
                self._root = _branch(root, 0)
            self._shift += _BITS

    def _cut(self, index: int) -> None:
        """The leaf of a page is empty: remove it, and all branches that lead nowhere else."""
        self._last = None
        keeper: Node | None = None  # the lowest branch that has another child
        place = 0
        node = self._root
        shift = self._shift
        while node is not None and shift > 0:
            if node.count > 1:
                keeper = node
                place = index >> shift & _MASK
            children = node.children
            node = children[index >> shift & _MASK] if children is not None else None
            shift -= _BITS
        if keeper is None:
            self._root = None
            self._shift = 0
            return
        children = keeper.children
        if children is not None:
            children[place] = None
            keeper.count -= 1
        self._shrink()

    def _shrink(self) -> None:
        """Remove levels that a smaller tree does not need."""
        root = self._root
        while root is not None and self._shift > 0 and root.count == 1:
            children = root.children
            first = children[0] if children is not None else None
            if first is None:
                return
            self._root = first
            self._shift -= _BITS
            root = first


def _branch(child: Node, place: int) -> Node:
    """A branch with one child. Raises MemoryError."""
    branch = Node()
    branch.children = [None] * _WIDTH
    _set_child(branch, place, child)
    return branch


def _set_child(branch: Node, place: int, child: Node) -> None:
    """Give a branch a child at an empty place."""
    children = branch.children
    if children is not None:
        children[place] = child
        branch.count += 1


def _first_frame(leaf: Node, slot: int) -> int:
    """The first place from `slot` on with a frame; `_WIDTH` if there is none."""
    while slot < _WIDTH and leaf.frames[slot] == NO_FRAME:
        slot += 1
    return slot


def _first_child(branch: Node, slot: int) -> int:
    """The same for children."""
    children = branch.children
    if children is None:
        return _WIDTH
    while slot < _WIDTH and children[slot] is None:
        slot += 1
    return slot


@final
class SwappableTrees(LinkedList["FrameTree"]):
    """The trees whose pages may be swapped out, and where the search for some goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.at: FrameTree | None = None
        self.index: int = 0

    @noraise
    def go_to(self, tree: FrameTree | None) -> None:
        """It goes on at the beginning of a tree; None: a new round begins."""
        self.at = tree
        self.index = 0


SWAPPABLE: Final = SwappableTrees()
