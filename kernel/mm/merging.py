"""Merging equal pages of programs (KSM): the search, and its end.

Memory is searched in rounds, a portion at a time, by a thread that runs only while somebody has mergeable memory
and `run` is 1 (kernel/task/page_merging.py). Of each page that a program has for itself in a mergeable area:

1. if a merged frame shows the same contents, the page is shown by that frame from now on;
2. if its checksum is not that of the last round, the page changes too often to be merged now;
3. if another page that does not change was seen in this round with the same checksum, its frame becomes a merged one,
   which shows both pages; else the page is noted for those that are still to come.

Two frames are compared for good only after no program can write to either: `forbid_writes_at` takes the permission out
of the entry and out of all processors, which fault on a write and wait for the kernel lock. Then the bytes are
compared, and only then the entry names the other frame. Nobody else runs in between, so nobody sees half of it.

What is left alone: pages that a device may write to (pins); writable pages whose frame has another reference, because
that is how a transfer holds it (pinning.py), and a write must still reach it there; areas whose faults a program serves
(userfaultfd(2)). A page that is read-only already and has other references is shared after a fork: whoever writes gets
a copy, whether the frame is merged or not.

Smart scanning: a page that was looked at without success is looked at in fewer rounds, at last in each eighth. These
rounds are the same for all pages, so that two that are equal meet. Where very many merged frames have checksums of one
list of the table, as only an attacker's have, further pages of that list are left alone.

Deviations from Linux: figures are counted when they are read, so that they are right at once, also after a write or a
fork; mremap(2) moves a merged page as it is; the page of zeros counts as resident, and as shared; what run = 2
copies is charged to the group of whoever writes it. The advisor (advisor_mode) is not there.

Context: as said at each function. Source: madvise(2), PR_SET_MEMORY_MERGE(2const), the page "Kernel Samepage Merging"
of Linux's documentation.
"""

from typing import Final

from arch import USER_END
from arch.programs import PRESENT, PRIVATE, WRITABLE, WRITE_WATCHED, entry_frame, names_frame
from kernel.lang import final
from kernel.lib.half_sip_hash import HalfSipHash
from kernel.lib.pace import pace
from kernel.mm.area import Area
from kernel.mm.exchange import allow_writes_at, exchange_at, forbid_writes_at
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    copy_frame,
    frame_count,
    get_frame,
    is_merged,
    is_pinned,
    put_frame,
)
from kernel.mm.mergeable_space import MERGEABLE, MergeableSpace
from kernel.mm.merged_pages import MERGED, ZERO_CHECKSUM, are_equal, checksum, is_blank
from kernel.mm.space import AddressSpace, each_area

STOP: Final = 0  # what `run` may be
MERGE: Final = 1
SEPARATE: Final = 2

_NOTE_BYTES: Final = 43  # that an entry of `MergeableSpace.seen` takes
_SUM_BITS: Final = 0xFFFF_FFFF
_LOOK: Final = 1 << 32  # what a look at a page adds to its note
_MOST_LOOKS: Final = 255
_LOOKS_A_STEP: Final = 3  # after that many looks a page is looked at in half as many rounds
_MOST_STEPS: Final = 3
# Instructions, for `pace`
_PAGE_COST: Final = 20_000
_AREA_COST: Final = 400
_LOOK_COST: Final = 100
_COPY_COST: Final = 4_000


class Worker:
    """The thread that searches. Base class: see kernel/task/page_merging.py."""

    def wake(self) -> None:
        """There is work, or a setting has changed. Raises MemoryError."""


@final
class Lonely:
    """A page that has not changed since the last round, and has met no equal one in this round."""

    def __init__(self, space: AddressSpace, address: int) -> None:
        self.space: AddressSpace = space
        self.address: int = address


@final
class Settings:
    """The files of /sys/kernel/mm/ksm."""

    def __init__(self) -> None:
        self.run: int = STOP
        self.pages_to_scan: int = 100  # a portion
        self.sleep_ms: int = 20  # between two portions
        self.max_page_sharing: int = 256
        self.use_zero_pages: bool = False
        self.smart_scan: bool = True
        self.merge_across_nodes: int = 1  # there is one node
        self.prune_ms: int = 2000  # frames that nobody has leave the table at once, so that none need be pruned


SETTINGS: Final = Settings()
_HASH: Final = HalfSipHash()


@final
class Search:
    """The search for equal pages."""

    def __init__(self) -> None:
        self.worker: Worker = Worker()
        self.full_scans: int = 0
        self.scanned: int = 0
        self.skipped: int = 0
        self.unshared: int = 0  # pages that met no equal one in the last round
        self._lonely: dict[int, Lonely] = {}  # by checksum, hashed: those of this round
        self._is_in_round: bool = False

    def is_wanted(self) -> bool:
        """Whether there is something to do."""
        return SETTINGS.run == MERGE and not MERGEABLE.is_empty()

    def portion(self) -> None:
        """Look at some pages, up to the end of the round. Sleeps. Raises MemoryError, with a page left out."""
        left = SETTINGS.pages_to_scan
        while left > 0 and self.is_wanted() and self._look_at_next():
            left -= 1
            pace(_PAGE_COST)

    def stop(self) -> None:
        """Forget the round."""
        self._lonely.clear()
        self._is_in_round = False
        MERGEABLE.at = None

    def restart(self) -> None:
        """Everything has been separated."""
        self.stop()
        self.full_scans = 0
        self.unshared = 0

    def _look_at_next(self) -> bool:
        """Look at the next page; False at the end of the round. Sleeps. Raises MemoryError."""
        if not self._is_in_round:
            MERGED.prepare()
            self._lonely.clear()
            self._is_in_round = True
            MERGEABLE.at = MERGEABLE.first()
            MERGEABLE.address = 0
        while self.is_wanted():
            state = MERGEABLE.at
            if state is None:
                self._is_in_round = False
                self.full_scans += 1
                self.unshared = len(self._lonely)
                return False
            space = state.space
            if space.is_held:
                space.settle()
                continue
            area = space.areas.first_above(MERGEABLE.address)
            if area is None:
                self._leave(state)
                continue
            page = area.end
            if _is_searched(area):
                state.has_areas = True
                page = space.pages.next_mapped(max(area.start, MERGEABLE.address), area.end)
            MERGEABLE.address = page
            if page < area.end:
                MERGEABLE.address = page + PAGE_SIZE
                self._look_at(state, page)
                return True
            pace(_AREA_COST)
        return False

    def _leave(self, state: MergeableSpace) -> None:
        """The search has seen all of a space."""
        if state.has_areas or state.takes_all:
            state.end_round()
            MERGEABLE.go_on()
        else:
            state.space.merging = None
            state.end()

    def _look_at(self, state: MergeableSpace, page: int) -> None:
        """Merge a page if it can be. Never sleeps. Raises MemoryError."""
        space = state.space
        frame = _frame_to_merge(space, page)
        if frame == NO_FRAME or is_merged(frame):
            return
        key = _key(page)
        note = state.seen.get(key, 0)
        looks = note >> 32
        if SETTINGS.smart_scan and self.full_scans & _rounds_between(looks) != 0:
            state.seen_now[key] = note
            self.skipped += 1
            return
        self.scanned += 1
        found = checksum(frame)
        other = MERGED.find(frame, found, SETTINGS.max_page_sharing)
        if other != NO_FRAME and _show_by(space, page, frame, other):
            return
        is_steady = looks > 0 and note & _SUM_BITS == found and not MERGED.gave_up
        if is_steady and self._merge_steady(space, page, frame, found):
            return
        state.seen_now[key] = found + min(looks + 1, _MOST_LOOKS) * _LOOK

    def _merge_steady(self, space: AddressSpace, page: int, frame: Frame, found: int) -> bool:
        """Merge a page with one that was seen in this round, or note it for later ones; whether it was merged. Raises
        MemoryError.
        """
        if SETTINGS.use_zero_pages and found == ZERO_CHECKSUM and _show_zeros(space, page, frame):
            return True
        key = _key(found)
        lonely = self._lonely.get(key)
        if lonely is not None:
            other = NO_FRAME if lonely.space.is_held else _frame_to_merge(lonely.space, lonely.address)
            if other == frame:
                return False  # shared after a fork
            if other != NO_FRAME and not is_merged(other):
                if not _merge(space, page, frame, lonely, other):
                    return False
                MERGED.enter(other, found)
                del self._lonely[key]
                return True
        self._lonely[key] = Lonely(space, page)
        return False


SEARCH: Final = Search()


def _key(number: int) -> int:
    """A key of a table for an address or a checksum. A program chooses these, but not which keys meet in a table. Where
    two numbers get one key, at worst a page is not merged.
    """
    _HASH.start()
    _HASH.add(number & _SUM_BITS)
    _HASH.add(number >> 32)
    return _HASH.finish()


def _rounds_between(looks: int) -> int:
    """In which rounds a page is skipped that was looked at that often: where their number has one of these bits."""
    return (1 << min(looks // _LOOKS_A_STEP, _MOST_STEPS)) - 1


def _is_searched(area: Area) -> bool:
    return area.mergeable and area.handler is None


def _frame_to_merge(space: AddressSpace, page: int) -> Frame:
    """The frame of a page if it is merged or could be, else NO_FRAME. Never sleeps."""
    if space.users == 0:
        return NO_FRAME  # its tables are gone
    area = space.area_at(page)
    if area is None or not _is_searched(area):
        return NO_FRAME
    entry = space.pages.entry_of(page)
    if entry & (PRESENT | PRIVATE | WRITE_WATCHED) != PRESENT | PRIVATE:
        return NO_FRAME
    frame = entry_frame(entry)
    if is_pinned(frame) or (entry & WRITABLE != 0 and frame_count(frame) != 1):
        return NO_FRAME
    return frame


def _show_by(space: AddressSpace, page: int, frame: Frame, other: Frame) -> bool:
    """Let a page, in `frame`, be shown by another frame, to which nobody can write, if they are equal. Never sleeps."""
    was_writable = forbid_writes_at(space, page, frame)
    if are_equal(frame, other):
        return exchange_at(space, page, frame, other)
    if was_writable:
        allow_writes_at(space, page, frame)
    return False


def _show_zeros(space: AddressSpace, page: int, frame: Frame) -> bool:
    """Let a page be shown by the frame of zeros, or become that, if it is zeros. Never sleeps."""
    zeros = MERGED.zeros()
    if zeros != NO_FRAME:
        return _show_by(space, page, frame, zeros)
    was_writable = forbid_writes_at(space, page, frame)
    if is_blank(frame):
        MERGED.enter_zeros(frame)
        return True
    if was_writable:
        allow_writes_at(space, page, frame)
    return False


def _merge(space: AddressSpace, page: int, frame: Frame, lonely: Lonely, other: Frame) -> bool:
    """Let a page be shown by the frame of another one if they are equal. Never sleeps."""
    was_writable = forbid_writes_at(lonely.space, lonely.address, other)
    if _show_by(space, page, frame, other):
        return True
    if was_writable:
        allow_writes_at(lonely.space, lonely.address, other)
    return False


# What may be merged ---------------------------------------------------------------------------------------------------


def let_merge(space: AddressSpace) -> MergeableSpace:
    """A space has mergeable memory, or will have some. Raises MemoryError, with nothing changed."""
    state = space.merging
    if state is None:
        state = MergeableSpace(space)
        MERGEABLE.link_last(state)
        space.merging = state
        try:
            if SETTINGS.run == MERGE:
                SEARCH.worker.wake()
        except MemoryError:
            space.merging = None
            state.end()
            raise
    state.has_areas = True
    return state


def takes_all(space: AddressSpace) -> bool:
    """Whether everything is mergeable that the program maps (PR_GET_MEMORY_MERGE)."""
    state = space.merging
    return state is not None and state.takes_all


def take_all(space: AddressSpace) -> None:
    """Let everything be mergeable that the program has mapped or will map (PR_SET_MEMORY_MERGE). Sleeps. Raises
    MemoryError.
    """
    state = let_merge(space)
    if not state.takes_all:
        state.takes_all = True
        _mark_all(space, is_mergeable=True)


def begin(space: AddressSpace) -> None:
    """The space is a new program's, which has just taken over the settings of the one before (execve(2)). Everything
    is mergeable that is mapped so far, except the stack, if the program before was set so. Sleeps.
    """
    if takes_all(space):
        _mark_all(space, is_mergeable=True)
        stack = space.area_at(space.layout.stack_top - 1)
        if stack is not None:
            stack.mergeable = False


def take_none(space: AddressSpace) -> None:
    """End that, if it was so: nothing is mergeable, and nothing merged. Sleeps. Raises MemoryError: some is merged."""
    state = space.merging
    if state is not None and state.takes_all:
        state.takes_all = False
        _mark_all(space, is_mergeable=False)
        separate(space, 0, USER_END)


def _mark_all(space: AddressSpace, is_mergeable: bool) -> None:
    """Let all areas be mergeable that can be, or none. As on Linux, they are not joined. Sleeps."""
    for area in each_area(space):
        if area.may_merge():
            area.mergeable = is_mergeable


# Separating -----------------------------------------------------------------------------------------------------------


def separate(space: AddressSpace, start: int, end: int) -> None:
    """Give each merged page of a range a frame of its own again. Sleeps. Raises MemoryError: some is still merged."""
    address = start
    while MERGED.count > 0:
        space.settle()
        address = space.pages.next_mapped(address, end)
        if address >= end:
            return
        entry = space.pages.entry_of(address)
        frame = entry_frame(entry) if names_frame(entry) else NO_FRAME
        if frame != NO_FRAME and is_merged(frame):
            _copy_for(space, address, frame)
            pace(_COPY_COST)
        address += PAGE_SIZE
        pace(_LOOK_COST)


def _copy_for(space: AddressSpace, address: int, frame: Frame) -> None:
    """Let a merged page be shown by a copy. Raises MemoryError."""
    get_frame(frame)
    try:
        copied = allocate_user_frame()
        copy_frame(copied, frame)
        if exchange_at(space, address, frame, copied):
            MERGED.copies += 1
        put_frame(copied)
    finally:
        put_frame(frame)


def separate_everybody() -> None:
    """Separate all that is merged, and forget what the search knew; it does not run. Sleeps. Raises MemoryError."""
    state = MERGEABLE.first()
    if state is not None:
        state.space.acquire()
    while state is not None:
        space = state.space
        following: MergeableSpace | None = None
        try:
            separate(space, 0, USER_END)
            state.forget()
            following = state.after()
            if following is not None:
                following.space.acquire()
        finally:
            space.release()
        state = following
    MERGED.dissolve()
    SEARCH.restart()


# Figures --------------------------------------------------------------------------------------------------------------


@final
class Figures:
    """How much of a space is merged (/proc/PID/ksm_stat)."""

    def __init__(self) -> None:
        self.notes: int = 0  # pages that the search keeps a note of
        self.zero_pages: int = 0
        self.merged: int = 0  # pages, without those

    def count(self, space: AddressSpace) -> None:
        """Count a space's. Sleeps: the caller holds it by `acquire`."""
        state = space.merging
        if state is not None:
            self.notes = max(len(state.seen), len(state.seen_now))
        address = 0
        while MERGED.count > 0:
            address = space.pages.next_mapped(address, USER_END)
            if address >= USER_END:
                return
            entry = space.pages.entry_of(address)
            frame = entry_frame(entry) if names_frame(entry) else NO_FRAME
            if frame == NO_FRAME:
                pass  # a mark, or a slot
            elif frame == MERGED.zeros():
                self.zero_pages += 1
            elif is_merged(frame):
                self.merged += 1
            address += PAGE_SIZE
            pace(_LOOK_COST)

    def profit_bytes(self) -> int:
        """How much memory merging saves the program, if nobody else counts the merged pages."""
        return (self.merged + self.zero_pages) * PAGE_SIZE - self.notes * _NOTE_BYTES


def all_notes() -> int:
    """How many pages the search keeps a note of. Never sleeps."""
    total = 0
    state = MERGEABLE.first()
    while state is not None:
        total += max(len(state.seen), len(state.seen_now))
        state = state.after()
    return total


def general_profit_bytes() -> int:
    """How much memory merging saves. Sleeps."""
    return (MERGED.sharing() + MERGED.zero_pages()) * PAGE_SIZE - all_notes() * _NOTE_BYTES
