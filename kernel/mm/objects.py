"""What an address space can map: memory objects, page by page.

A file's cache, a shared anonymous mapping, the vDSO: each supplies frames by page index. The object keeps its own
reference to a frame; `page` gives the caller another one, for the page-table entry.

Context: `page` may sleep (a file system reads from its disk).
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from kernel.lang import EHWPOISON, EINVAL, EIO, EOPNOTSUPP, Errno, final, inline, noinline, noraise
from kernel.lib.linked import FIRST, NEXT, Linkage, Links
from kernel.lib.pace import PACE, pace
from kernel.mm.broken import is_broken
from kernel.mm.commitment import take_back
from kernel.mm.frame_tree import FrameTree, is_slot, slot_in
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_MASK,
    PAGE_SHIFT,
    Frame,
    allocate_user_frame,
    get_frame,
    mark_shared,
    put_frame,
    zero_frame,
)
from kernel.mm.policy import MemoryPolicy, PolicyRanges
from kernel.mm.swap_slots import SWAP

if TYPE_CHECKING:
    from kernel.mm.area import Area

_DEVICE: Final = 1  # 00:01, of files in memory that are the kernel's own
_FREE_COST: Final = 600  # instructions for a page
MOST_AREAS: Final = 4096


class Loss(IntEnum):
    """What it means for a memory object that the memory of one of its pages is broken."""

    REFUSED = 0  # the object cannot do without that memory, or it is no page of it
    CLEAN = 1  # the page was dropped, and can be had again as it was
    DIRTY = 2  # it was dropped, and what was written to it since it was read is lost
    KEPT = 3  # it is lost, and remains the object's broken page until it is dropped


class MappedThrough:
    """The place of a file through which an area was mapped; others may map the file through another place. Base
    class.
    """

    def acquire(self) -> None:
        """One more area is mapped through it. Raises nothing."""

    def release(self) -> None:
        """One is gone. May sleep."""

    def name(self) -> bytes:
        """What /proc/PID/maps shows."""
        return b""


class MappedFile:
    """The file whose pages a memory object has: what is shown of it with a mapping. Base class of inodes."""

    def __init__(self, ino: int, mode: int) -> None:
        self.ino: int = ino
        self.mode: int = mode
        self.nlink: int = 1

    def device_number(self) -> int:
        """Of its file system (major << 8 | minor)."""
        return 0


class MemoryObject:
    """Base of what can be mapped. Counted: every area is a user, from `attach` to `detach`."""

    def page(self, index: int, for_write: bool) -> Frame:
        """The frame of page `index`, with a reference for the caller.

        `for_write` says that the mapping is shared and will be written. Raises Errno (the program gets SIGBUS) or
        MemoryError.
        """
        raise Errno(EIO)

    def resident(self, index: int) -> Frame:
        """The frame of page `index` if it is at hand, else NO_FRAME; takes no reference and never sleeps."""
        return NO_FRAME

    def has_page(self, index: int) -> bool:
        """Whether memory without a file on a disk has page `index`, here or in a swap area. Never sleeps."""
        return self.resident(index) != NO_FRAME

    def swappable_tree(self) -> FrameTree | None:
        """The tree of its pages, if they may be swapped out."""
        return None

    def next_kept(self, index: int) -> int:
        """The first page from `index` on that may have contents, -1 if there is none. May be `index` itself where only
        a read would tell. Never sleeps.
        """
        return index

    def device_wrote(self, index: int, frame: Frame) -> None:
        """A device has written to page `index` past any mapping, if the page still lies in `frame`. Never sleeps or
        raises.
        """

    def waits_at_end(self) -> bool:
        """Whether detaching the last area may wait for another thread."""
        return False

    def through(self) -> MappedThrough | None:
        """Through what it was mapped last: a new area uses the same."""
        return None

    def attach(self, area: "Area") -> None:
        """One more area maps the object. Raises nothing."""
        self.acquire()

    def detach(self, area: "Area") -> None:
        """An attached area is gone, or maps nothing any more."""
        self.release()

    def is_walked(self) -> bool:
        """Whether somebody goes through its areas with safe points (`AreaWalk`)."""
        return False

    def leaves(self, area: "Area") -> None:
        """An attached area is about to leave its space, and will be detached a little later. Never sleeps or raises."""

    def acquire(self) -> None:
        """The object has one more user."""

    def release(self) -> None:
        """A user is gone."""

    def sync(self, first_index: int, end_index: int) -> None:
        """Write back what is dirty among the pages first_index…end_index - 1 (msync with MS_SYNC)."""

    def punch(self, first_index: int, end_index: int) -> None:
        """Drop the pages first_index…end_index - 1 of the object itself, which no address space maps any more (madvise
        with MADV_REMOVE).
        """
        raise Errno(EOPNOTSUPP)

    def settle_page(self, index: int) -> bool:
        """Sleep until no transfer of page `index` is under way; whether this slept. Raises what ends the wait."""
        return False

    def lose_page(self, index: int, frame: Frame) -> Loss:
        """The memory of page `index`, which is in no transfer and lies in `frame`, is broken. The caller has a
        reference, and takes the page from whoever maps it; what else uses a page keeps it from being dropped. Never
        sleeps or raises.
        """
        return Loss.REFUSED

    def move_page(self, index: int, old: Frame, new: Frame) -> bool:
        """Page `index`, which is in no transfer and lies in `old`, lies in `new` from now on, with a reference of its
        own; whether that was possible. The caller has copied the page and sees to whoever maps it. Never sleeps or
        raises.
        """
        return False

    def is_secret(self) -> bool:
        """Whether only programs that map it can reach it."""
        return False

    def is_huge(self) -> bool:
        """Whether it consists of huge pages (huge_object.py)."""
        return False

    def page_shift(self) -> int:
        """The logarithm of the size of its pages."""
        return PAGE_SHIFT

    def keeps_size(self) -> bool:
        """Whether mremap(2) refuses to lengthen its mappings, or to keep the old one."""
        return False

    def may_move(self, area: "Area") -> bool:
        """Whether mremap(2) may move this mapping of it."""
        return True

    def takes_names(self) -> bool:
        """Whether parts of shared mappings of it can be named (PR_SET_VMA): it backs nothing else."""
        return False

    def fillable_pages(self) -> int:
        """How many pages it has now, if it is memory without a file on a disk, whose missing pages a program may fill
        itself (userfaultfd(2)); -1 for all others.
        """
        return -1

    def name(self) -> bytes:
        """What /proc/PID/maps shows."""
        return b""

    def mapped_file(self) -> MappedFile | None:
        """The file behind the object; None without one."""
        return None

    def inode_number(self) -> int:
        """What /proc/PID/maps shows as the inode, 0 for none."""
        file = self.mapped_file()
        return 0 if file is None else file.ino

    def device_number(self) -> int:
        """What /proc/PID/maps shows as the device (major << 8 | minor)."""
        file = self.mapped_file()
        return 0 if file is None else file.device_number()

    def link_count(self) -> int:
        """How many names the file behind the object has; 0 without a file, and once it was removed."""
        file = self.mapped_file()
        return 0 if file is None else file.nlink

    def file_mode(self) -> int:
        """The mode of the file behind the object; 0 without one."""
        file = self.mapped_file()
        return 0 if file is None else file.mode


class _Areas(Linkage["Area"]):
    @inline
    def links(self, entry: "Area") -> "Links[Area]":
        return entry.source_links


_AREAS: Final = _Areas()


class TrackedObject(MemoryObject):
    """A memory object that knows the areas that map it, so that pages can be taken from them: a reverse map. The areas
    are linked through their own words. See reverse_map.py.
    """

    all_areas: Links["Area"]  # the latest first

    def __init__(self) -> None:
        self.area_count: int = 0
        self.writing_areas: int = 0  # those through which a program may write to it, now or after mprotect(2)

    def is_crowded(self) -> bool:
        """Whether very many areas map it: nothing may go through all of them without safe points."""
        return self.area_count > MOST_AREAS

    def is_walked(self) -> bool:
        return AREA_WALK.source is self

    def attach(self, area: "Area") -> None:
        self.area_count += 1
        self.writing_areas += area.is_written_through
        _AREAS.prepend(self.all_areas, area)
        self.acquire()

    def detach(self, area: "Area") -> None:
        if AREA_WALK.source is self:
            AREA_WALK.lose(area)
        self.area_count -= 1
        self.writing_areas -= area.is_written_through
        _AREAS.remove(self.all_areas, area)
        self.release()


@final
class AreaWalk:
    """A walk through the areas that map an object, at whose safe points programs map and unmap it. It meets all that
    there are when it ends: those that come meanwhile, in front, in another round. While it is under way no two areas
    are joined, for only one of them may have been met.

    There is one walk at a time, so that it needs no memory. Whoever makes it waits for nothing but its safe points.
    """

    def __init__(self) -> None:
        self.source: TrackedObject | None = None
        self._next: Area | None = None
        self._end: Area | None = None  # of the present round: this one and those after it were met before
        self._first: Area | None = None  # where the present round began

    def begin(self, source: TrackedObject) -> None:
        """Sleeps until nobody else walks."""
        while self.source is not None:
            PACE.rest.wait_for_change()
        self.source = source
        self.again()

    def again(self) -> None:
        """Begin anew: entries may have come from areas that were not met yet to some that were (fork, mremap(2))."""
        source = self.source
        self._next = None if source is None else source.all_areas[FIRST]
        self._end = None
        self._first = self._next

    def next(self) -> "Area | None":
        """The next area; None at the end."""
        source = self.source
        if source is None:
            return None
        if self._next is self._end:
            if source.all_areas[FIRST] is self._first:
                return None
            self._end = self._first
            self._first = source.all_areas[FIRST]
            self._next = source.all_areas[FIRST]
        area = self._next
        self._next = None if area is None else area.source_links[NEXT]
        return area

    def lose(self, area: "Area") -> None:
        """An area goes, and is still linked with the next."""
        following = area.source_links[NEXT]
        if self._next is area:
            self._next = following
        if self._end is area:
            self._end = following
        if self._first is area:
            self._first = following

    def finish(self) -> None:
        self.source = None
        self._next = None
        self._end = None
        self._first = None
        PACE.rest.report_change()


AREA_WALK: Final = AreaWalk()


class PolicyKeeper(TrackedObject):
    """A tracked object whose pages have policies of their own, whoever maps them: memory that is not a file on a
    disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self.policies: PolicyRanges | None = None

    def policy_at(self, index: int) -> MemoryPolicy | None:
        """The policy of a page, None for the default."""
        policies = self.policies
        return None if policies is None else policies.at(index)

    def set_policy(self, first: int, end_page: int, policy: MemoryPolicy | None) -> None:
        """Let the pages first … end_page - 1 have a policy. Raises ENOMEM, MemoryError."""
        policies = self.policies
        if policies is None:
            if policy is None:
                return
            policies = PolicyRanges()
            self.policies = policies
        policies.put(first, end_page, policy)


@final
class SharedTotals:
    """How many pages hold what programs share without a file on a disk: files in memory, shared anonymous memory."""

    def __init__(self) -> None:
        self.pages: int = 0
        self.objects: int = 0  # ever created

    def next_number(self) -> int:
        """An inode number to show for an object without an inode."""
        self.objects += 1
        return self.objects


SHARED_TOTALS: Final = SharedTotals()


def sound_frame(frames: FrameTree, index: int) -> Frame:
    """The frame of a page of memory without a disk; NO_FRAME where there is none, where it is broken, and where the
    page lies in a swap area.
    """
    frame = frames.get(index) if index >= 0 else NO_FRAME
    return NO_FRAME if frame != NO_FRAME and (is_slot(frame) or is_broken(frame)) else frame


@noinline
def bring_page(frames: FrameTree, index: int) -> Frame:
    """The frame of a page that lies in a slot, read first if need be; NO_FRAME where there is no page by then. Sleeps:
    whatever may have changed is to be looked at again. Raises EIO, MemoryError.
    """
    while True:
        frame = frames.get(index)
        if not is_slot(frame):
            return frame
        slot = slot_in(frame)
        page = SWAP.find(slot)
        if page is None or page.is_reading:
            SWAP.loader.load(slot)
        elif page.is_writing:
            SWAP.loader.settle(page)
        else:
            frame = page.frame
            if is_broken(frame):
                raise Errno(EHWPOISON)
            SWAP.put_for_frame(page)
            frames.put(index, frame)  # needs no memory: there is a place
            frames.swapped -= 1
            mark_shared(frame)
            SHARED_TOTALS.pages += 1
            return frame


@noraise
def drop_page(frames: FrameTree, index: int) -> None:
    """Remove an existing page, wherever it lies."""
    frame = frames.remove(index)
    if is_slot(frame):
        frames.swapped -= 1
        SWAP.put(slot_in(frame))
    else:
        SHARED_TOTALS.pages -= 1
        put_frame(frame)
    if frames.count == 0:
        frames.unlist()


def exchange_frame(frames: FrameTree, index: int, old: Frame, new: Frame) -> bool:
    """Put another frame in place of one; whether that one was there."""
    present = frames.get(index)
    if present != old:
        return False
    get_frame(new)
    mark_shared(new)
    frames.put(index, new)  # needs no memory: there is a place
    put_frame(present)
    return True


class SharedMemory(PolicyKeeper):
    """Zero-filled pages shared by all mappings of the object: MAP_SHARED | MAP_ANONYMOUS."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.page_limit: int = (size_bytes + PAGE_MASK) >> PAGE_SHIFT
        self.frames: FrameTree = FrameTree()
        self.users: int = 0
        self.number: int = SHARED_TOTALS.next_number()
        self.promised_bytes: int = 0  # released with the object (commitment.py)

    def page(self, index: int, for_write: bool) -> Frame:
        if index < 0 or index >= self.page_limit:
            raise Errno(EINVAL)
        frame = self.frames.get(index)
        was_slot = is_slot(frame)
        if was_slot:
            frame = bring_page(self.frames, index)
        if frame == NO_FRAME:
            frame = allocate_user_frame()
            mark_shared(frame)
            zero_frame(frame)
            if was_slot and self.users == 0:
                return frame  # the last area went meanwhile, which the caller sees: nothing is kept
            try:
                self.frames.put(index, frame)
            except MemoryError:
                put_frame(frame)
                raise
            SHARED_TOTALS.pages += 1
            if self.frames.count == 1 and not self.is_secret():
                self.frames.list_for_swapping()
        elif is_broken(frame):
            raise Errno(EHWPOISON)
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        return sound_frame(self.frames, index)

    def has_page(self, index: int) -> bool:
        return index >= 0 and self.frames.get(index) != NO_FRAME

    def swappable_tree(self) -> FrameTree | None:
        return self.frames if self.frames.is_listed else None

    def lose_page(self, index: int, frame: Frame) -> Loss:
        return Loss.KEPT if self.frames.get(index) == frame else Loss.REFUSED

    def move_page(self, index: int, old: Frame, new: Frame) -> bool:
        return exchange_frame(self.frames, index, old, new)

    def next_kept(self, index: int) -> int:
        return self.frames.next_from(index)

    def takes_names(self) -> bool:
        return True

    def fillable_pages(self) -> int:
        return self.page_limit

    def wants_promise(self) -> bool:
        """Whether to promise all of it when it is first mapped, because it is created for that mapping."""
        return self.users == 1 and self.promised_bytes == 0

    def acquire(self) -> None:
        self.users += 1
        self.frames.mapping = self  # until `free_frames`

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.free_frames()

    def free_frames(self) -> None:
        """Free all frames: nothing maps it any more."""
        self._drop(0, self.page_limit)
        self.frames.mapping = None
        take_back(self.promised_bytes)
        self.promised_bytes = 0

    def punch(self, first_index: int, end_index: int) -> None:
        self._drop(first_index, end_index)

    def _drop(self, first_index: int, end_index: int) -> None:
        index = self.frames.next_from(first_index)
        while first_index <= index < end_index:
            drop_page(self.frames, index)
            pace(_FREE_COST)
            index = self.frames.next_from(index)

    def name(self) -> bytes:
        return b"/dev/zero (deleted)"

    def inode_number(self) -> int:
        return self.number

    def device_number(self) -> int:
        return _DEVICE


class FixedPages(MemoryObject):
    """Frames that live as long as the kernel: the vDSO and its data page."""

    def __init__(self, label: bytes) -> None:
        self.label: bytes = label
        self.frames: list[int] = []

    def page(self, index: int, for_write: bool) -> Frame:
        if index < 0 or index >= len(self.frames):
            raise Errno(EINVAL)
        frame = Frame(self.frames[index])
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        if index < 0 or index >= len(self.frames):
            return NO_FRAME
        return Frame(self.frames[index])

    def name(self) -> bytes:
        return self.label
