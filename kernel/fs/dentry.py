"""The dentry: a name in a directory, and the cache of names.

A directory's dentry holds its known children in a dictionary, so that one step of a path walk is one look-up. A child
without an inode is a negative entry: the name is known to be free. Entries that nobody uses are kept on a list in order
of their last insertion; when there are too many, the oldest that nothing depends on are forgotten.

Invariants: a cached dentry is in its parent's `children` under its name and on the list; a dentry with children, pins
or mounts is never forgotten, so that a directory in use has one dentry only. `pins` counts open files, working
directories, roots and mounts.

Rejected: one hash table over (parent, name). A dictionary a directory needs no hash of the parent, and dies with it.
"""

from typing import TYPE_CHECKING, Final

from kernel.cache.eviction import SHRINKERS, Shrinker
from kernel.lang import final, inline
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import pace

if TYPE_CHECKING:
    from kernel.fs.inode import Inode
    from kernel.fs.path import Mount

CACHE_LIMIT: Final = 32768
_SHRINK_STEP: Final = 16  # entries looked at when the cache is full
_DETACH_COST: Final = 500  # instructions, for `pace`
_NAMES_PER_PAGE: Final = 10  # with their inodes
_MOST_AT_ONCE: Final = 640


class Dentry(Linked["Dentry"]):
    """One name. `parent` of a root is itself."""

    def __init__(self, parent: "Dentry | None", name: bytes, inode: "Inode | None") -> None:
        super().__init__()
        self.name: bytes = name
        self.inode: Inode | None = inode
        self.parent: Dentry | None = parent  # None: a root, or unhashed for ever
        self.children: dict[bytes, Dentry] | None = None
        self.pins: int = 0
        self.mounts: Mount | None = None  # the last mount here, in any namespace; a chain
        self.deleted: bool = False  # unlinked: path names show " (deleted)"
        self.cached: bool = False

    @inline
    def this(self) -> "Dentry":
        return self

    def is_directory(self) -> bool:
        """Whether the name leads to a directory."""
        inode = self.inode
        return inode is not None and inode.is_directory()


class DentryCache(LinkedList[Dentry]):
    """The list of cached dentries, oldest to newest."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit: int = limit
        self.count: int = 0

    def insert(self, parent: Dentry, name: bytes, inode: "Inode | None") -> Dentry:
        """Remember that `name` in `parent` is `inode` (None: nothing)."""
        child = Dentry(parent, name, inode)
        if self.count >= self.limit:
            self.shrink(_SHRINK_STEP)
        self.attach(parent, child)
        return child

    def attach(self, parent: Dentry, child: Dentry) -> None:
        """Enter a dentry under its name in `parent`."""
        children = parent.children
        if children is None:
            children = {}
            parent.children = children
        children[child.name] = child
        child.parent = parent
        child.cached = True
        self.link_last(child)
        self.count += 1
        inode = child.inode
        if inode is not None:
            inode.names += 1

    def fill(self, child: Dentry, inode: "Inode") -> None:
        """Let a cached dentry's name lead to `inode`."""
        inode.names += 1
        old = child.inode
        child.inode = inode
        if old is not None:
            old.drop_name()

    def detach(self, child: Dentry) -> None:
        """Take a dentry off the list and out of its parent. It keeps `parent`, for path names."""
        if not child.cached:
            return
        parent = child.parent
        if parent is not None and parent.children is not None:
            del parent.children[child.name]
        self._unlist(child)

    def _unlist(self, child: Dentry) -> None:
        """Take a cached dentry off the list; its parent no longer knows it."""
        child.cached = False
        self.unlink(child)
        self.count -= 1
        inode = child.inode
        if inode is not None:
            inode.drop_name()

    def reserve(self, parent: Dentry, name: bytes) -> Dentry:
        """The dentry of a name, a negative one if the name was unknown, so that `move` finds room. It stays until it is
        unpinned. Raises MemoryError.
        """
        children = parent.children
        place = children.get(name) if children is not None else None
        if place is None:
            parent.pins += 1  # `insert` may forget what nothing depends on
            try:
                place = self.insert(parent, name, None)
            finally:
                parent.pins -= 1
        place.pins += 1
        return place

    def move(self, child: Dentry, place: Dentry) -> None:
        """Give `child` the name of `place`, which goes. Both are cached. Allocates nothing: the parent's dictionary has
        the name already.
        """
        old_parent = child.parent
        parent = place.parent
        if parent is None or parent.children is None or old_parent is None or old_parent.children is None:
            return
        del old_parent.children[child.name]
        parent.children[place.name] = child
        self._unlist(place)
        child.name = place.name
        child.parent = parent
        self._to_newest(child)

    def exchange(self, first: Dentry, second: Dentry) -> None:
        """Two cached dentries change places. Allocates nothing."""
        first_parent = first.parent
        second_parent = second.parent
        first_name = first.name
        second_name = second.name
        if first_parent is None or second_parent is None:
            return
        if first_parent.children is None or second_parent.children is None:
            return
        first_parent.children[first_name] = second
        second_parent.children[second_name] = first
        first.name = second_name
        second.name = first_name
        first.parent = second_parent
        second.parent = first_parent

    def shrink(self, steps: int) -> None:
        """Look at the oldest entries: forget what nothing depends on, give the others another round."""
        for _ in range(steps):
            victim = self.first()
            if victim is None:
                return
            children = victim.children
            if victim.pins > 0 or victim.mounts is not None or (children is not None and len(children) > 0):
                self._to_newest(victim)
            else:
                self.detach(victim)

    def _to_newest(self, child: Dentry) -> None:
        self.unlink(child)
        self.link_last(child)

    def forget_name(self, parent: Dentry, name: bytes) -> None:
        """A name of `parent` was removed without a path walk: drop its dentry, if there is one."""
        children = parent.children
        child = children.get(name) if children is not None else None
        if child is not None:
            child.deleted = True
            self.detach(child)

    def forget_children(self, parent: Dentry) -> None:
        """Drop everything cached below a dentry whose file system goes away or whose directory was removed. Sleeps."""
        node = parent
        while True:
            child = first_child(node)
            if child is not None:
                node = child
                continue
            if node is parent:
                return
            node.deleted = True
            self.detach(node)
            pace(_DETACH_COST)
            above = node.parent
            node = above if above is not None else parent


def first_child(parent: Dentry) -> Dentry | None:
    children = parent.children
    if children is not None:
        for child in children.values():
            return child
    return None


CACHE: DentryCache = DentryCache(CACHE_LIMIT)


@final
class _NameShrinker(Shrinker):
    """Evicts unused names."""

    def shrink(self, pages: int) -> None:
        CACHE.shrink(min(pages * _NAMES_PER_PAGE, CACHE.count, _MOST_AT_ONCE))


SHRINKERS.append(_NameShrinker())
