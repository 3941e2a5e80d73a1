"""Pages of memory objects that very many areas map (`is_crowded`), on their way to a swap area.

The hand of `swapping.py` never sleeps, so it only notes such pages. The swapper then takes them from all areas, with
safe points; the hand takes a page that nobody maps when it comes by again. A page that is used stays: one of its
entries says so, or a fault has mapped it by then.

Invariant: an entry is taken only while its frame is the object's page, with no safe point in between.

Context: `note` never sleeps and allocates nothing; `unmap` sleeps, but waits for nobody.
"""

from typing import Final

from arch.programs import ACCESSED, PRESENT, entry_frame, read_entry, write_entry
from kernel.lang import final
from kernel.lib.pace import pace
from kernel.mm.area import MAP_LOCKED, Area
from kernel.mm.broken import is_broken
from kernel.mm.exchange import address_of
from kernel.mm.frame_tree import FrameTree, is_slot
from kernel.mm.frames import NO_FRAME, Frame, is_pinned
from kernel.mm.objects import AREA_WALK
from kernel.mm.reverse_map import unmap_in_area

_MOST_NOTED: Final = 64  # pages: an area is looked at once for all of them
_NONE: Final = -1
_AREA_COST: Final = 80  # instructions
_PAGE_COST: Final = 300


@final
class CrowdedMemory:
    """The pages of one object that were noted."""

    def __init__(self) -> None:
        self._tree: FrameTree | None = None
        self._indices: list[int] = [_NONE] * _MOST_NOTED
        self._count: int = 0

    def note(self, tree: FrameTree, index: int) -> None:
        """A page of an object could go."""
        if self._tree is None:
            self._tree = tree
        if self._tree is tree and self._count < _MOST_NOTED:
            self._indices[self._count] = index
            self._count += 1

    def unmap(self, *, takes_used: bool) -> None:
        """Take the noted pages from whoever maps them. `takes_used`: also those that were used since this was last
        asked. Does nothing while another thread walks.
        """
        tree = self._tree
        mapping = None if tree is None else tree.mapping
        if tree is not None and mapping is not None and AREA_WALK.source is None:
            AREA_WALK.begin(mapping)
            area = AREA_WALK.next()
            while area is not None and self._unmap_in(tree, area, takes_used):
                area = AREA_WALK.next()
            AREA_WALK.finish()
        self._tree = None
        self._count = 0

    def _unmap_in(self, tree: FrameTree, area: Area, takes_used: bool) -> bool:
        """Whether there are still pages that can go."""
        goes_on = False
        cost = _AREA_COST
        for place in range(self._count):
            index = self._indices[place]
            if index == _NONE:
                continue
            frame = tree.get(index)
            if frame == NO_FRAME or is_slot(frame) or is_pinned(frame) or is_broken(frame):
                self._indices[place] = _NONE
                continue
            cost += _PAGE_COST
            if _is_wanted(area, index, frame, takes_used):
                self._indices[place] = _NONE
                continue
            unmap_in_area(area, index, frame)
            goes_on = True
        pace(cost)
        return goes_on


def _is_wanted(area: Area, index: int, frame: Frame, takes_used: bool) -> bool:
    """Whether a page stays: it is locked here, or somebody holds the space; or it was used here, and from now on it was
    not.
    """
    space = area.space
    address = address_of(area, index)
    if space is None or not area.start <= address < area.end:
        return False
    if area.flags & MAP_LOCKED != 0 or space.is_held:
        return True
    slot = space.pages.find(address)
    entry = 0 if slot == 0 else read_entry(slot)
    if takes_used or entry & (PRESENT | ACCESSED) != PRESENT | ACCESSED or entry_frame(entry) != frame:
        return False
    write_entry(slot, entry & ~ACCESSED)
    return True


CROWDED_MEMORY: Final = CrowdedMemory()
