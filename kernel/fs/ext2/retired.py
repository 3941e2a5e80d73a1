"""Inodes of ext2 that are kept by weak references alone (`instance.py` says why).

Dead references are found a few at a time, by a clock hand, because there may be very many.

Context: never sleeps. `add` may raise MemoryError; nothing else needs memory.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Weak, final, weak

if TYPE_CHECKING:
    from kernel.fs.ext2.instance import Ext2Node

_LOOKED_AT: Final = 8  # references, for each that is added


@final
class RetiredNode:
    """A weak reference, and its place among the others."""

    def __init__(self, node: "Ext2Node", place: int) -> None:
        self.ino: int = node.ino
        self.reference: Weak[Ext2Node] = weak(node)
        self.place: int = place


@final
class RetiredNodes:
    """The retired inodes of a file system, by number."""

    def __init__(self) -> None:
        self._by_number: dict[int, RetiredNode] = {}
        self._all: list[RetiredNode] = []
        self._hand: int = 0

    def __len__(self) -> int:
        return len(self._all)

    def find(self, ino: int) -> "Ext2Node | None":
        """The inode with this number, if somebody still holds it."""
        found = self._by_number.get(ino)
        if found is None:
            return None
        node = found.reference.get()
        if node is None:
            self._remove(found)
        return node

    def add(self, node: "Ext2Node") -> None:
        """Keep an inode weakly, replacing one with the same number. Raises MemoryError, with nothing changed."""
        self._drop_dead()
        self.remove(node.ino)
        fresh = RetiredNode(node, len(self._all))
        self._all.append(fresh)
        try:
            self._by_number[node.ino] = fresh
        except MemoryError:
            self._all.pop()
            raise

    def remove(self, ino: int) -> None:
        """Forget an inode, if it is there."""
        found = self._by_number.get(ino)
        if found is not None:
            self._remove(found)

    def clear(self) -> None:
        self._by_number.clear()
        self._all.clear()

    def _remove(self, entry: RetiredNode) -> None:
        self._by_number.pop(entry.ino)
        last = self._all.pop()
        if last is not entry:
            self._all[entry.place] = last
            last.place = entry.place

    def _drop_dead(self) -> None:
        for _ in range(_LOOKED_AT):
            if len(self._all) == 0:
                return
            if self._hand == 0:
                self._hand = len(self._all)
            self._hand = min(self._hand, len(self._all)) - 1
            entry = self._all[self._hand]
            if entry.reference.get() is None:
                self._remove(entry)
