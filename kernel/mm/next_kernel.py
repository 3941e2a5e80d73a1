"""The kernel to run next (kexec_load(2)), kept page by page in frames until its pages are moved to where they belong.

They belong where this kernel and its programs are, so they wait elsewhere. The moves must be right in any order, so a
frame that lies in the place of some page holds that very page, or belongs to nobody; `_settle` ensures that.

Invariants: a page that will be filled has one frame; a frame in the place of a page holds it; no table or list lies in
the place of a page.

Frames are kept in trees, which grow a leaf at a time: a kernel may have millions of pages.

Context: sleeps. Only the caller works on a kernel until it is complete, and whoever ends or checks it is alone with it,
too (`LoadedKernel.is_busy`); so its safe points need no second look.
"""

from typing import Final

from arch import MOVE_END, MOVE_LINK, TablePages, identity_root, map_identically, next_low_page
from kernel.lang import ENOMEM, Errno, Span, UserAddr, final, u8, u64
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.frame_tree import FrameTree
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    copy_frame,
    frame_span,
    free_frame,
    zero_frame,
)

_PAGE_COST: Final = 1500  # instructions to fill a page
_SUM_COST: Final = 16_000  # … for its checksum
_DROP_COST: Final = 400
_MOVE_COST: Final = 150
_MOVE_SIZE: Final = 16  # of an entry of the list
_MOVES_PER_FRAME: Final = PAGE_SIZE // _MOVE_SIZE - 1  # and the link to the next
_PAGE_NUMBERS: Final = (1 << 40) - 1  # the largest possible
_SUM_LOW: Final = (1 << 56) - 1  # of sums below 2**61


def pages_for(size: int) -> int:
    """How many pages `size` bytes take."""
    return (size >> PAGE_SHIFT) + (0 if size & PAGE_MASK == 0 else 1)


@final
class Segment:
    """Consecutive pages: the first ones are filled with data, the rest are zeros."""

    def __init__(self, first: int, count: int, filled: int) -> None:
        self.first: int = first  # number of the page where it belongs
        self.count: int = count
        self.filled: int = filled  # pages
        self.frames: FrameTree = FrameTree()

    def address(self, index: int) -> int:
        """Where the page with this index belongs; the one after the last is the segment's end."""
        return (self.first + min(index, self.count) & _PAGE_NUMBERS) << PAGE_SHIFT

    def holds(self, frame: int) -> bool:
        """Whether a frame lies where this segment belongs."""
        return self.first <= frame < self.first + self.count


@final
class SegmentBuffer(Buffer):
    """Fills a segment from its start, as far as it has frames."""

    def __init__(self, segment: Segment, size: int) -> None:
        super().__init__(size)
        self._segment: Segment = segment
        self._position: int = 0

    def put(self, source: Span[u8]) -> int:
        length = min(len(source), self.remaining)
        done = 0
        while done < length:
            start = self._position & PAGE_MASK
            count = min(PAGE_SIZE - start, length - done)
            frame = self._segment.frames.get(self._position >> PAGE_SHIFT)
            frame_span(frame)[start : start + count].copy_from(source[done : done + count])
            self._position += count
            done += count
        self.remaining -= length
        return length


@final
class NextKernel(TablePages):
    """A kernel in memory. `close` gives its frames back."""

    def __init__(self, entry: int, is_narrow: bool, argument: int) -> None:
        self.entry: int = entry
        self.is_narrow: bool = is_narrow
        self.argument: int = argument
        self.segments: list[Segment] = []
        self.root: int = 0  # physical addresses
        self.moves: int = 0
        self.code_page: int = 0
        self._others: FrameTree = FrameTree()  # tables and the list, in the order in which they were taken
        self._unusable: FrameTree = FrameTree()  # while it is being loaded: frames in the places of zero pages
        self._sum: int = 0

    def add(self, destination: int, size: int, filled: int) -> Segment:
        """A segment of `size` bytes, of which `filled` will be supplied. `destination` is page-aligned. All are added
        before the first is filled. Raises MemoryError.
        """
        segment = Segment(destination >> PAGE_SHIFT, pages_for(size), pages_for(filled))
        self.segments.append(segment)
        return segment

    def find_room(self) -> None:
        """Give each page that will be filled a frame of zeros. Raises MemoryError."""
        for segment in self.segments:
            for index in range(segment.filled):
                while segment.frames.get(index) == NO_FRAME:
                    frame = self._settle(allocate_user_frame())
                    if frame != NO_FRAME:
                        zero_frame(frame)
                        _keep(segment.frames, index, frame)
                pace(_PAGE_COST)

    def fill_from_user(self, segment: Segment, address: UserAddr, size: int) -> None:
        """Copy bytes from a program. Raises EFAULT."""
        user.check(address, size)
        done = 0
        while done < size:
            count = min(PAGE_SIZE, size - done)
            user.read_into(frame_span(segment.frames.get(done >> PAGE_SHIFT))[0:count], user.at(address, done))
            done += count
            pace(_PAGE_COST)

    def complete(self) -> None:
        """Everything is filled: create the tables and the list of moves. Raises MemoryError; ENOMEM where the code of
        the last steps has no place.
        """
        self.root = identity_root(self)
        for segment in self.segments:
            map_identically(self.root, segment.address(0), segment.address(segment.count), self)
        self._list_moves()
        page = next_low_page(0)
        while page != 0 and self._segment_at(page >> PAGE_SHIFT) is not None:
            page = next_low_page(page)
        if page == 0:
            raise Errno(ENOMEM)
        self.code_page = page
        _drop(self._unusable)
        self._sum = self.sum_up()

    def is_whole(self) -> bool:
        """Whether it is unchanged since it was completed."""
        return self.sum_up() == self._sum

    def sum_up(self) -> int:
        """A checksum of all frames."""
        total = 0
        for segment in self.segments:
            total = _add_frames(total, segment.frames)
        return _add_frames(total, self._others)

    def close(self) -> None:
        """Give everything back, complete or not."""
        for segment in self.segments:
            _drop(segment.frames)
        _drop(self._others)
        _drop(self._unusable)

    def take(self) -> int:
        frame = NO_FRAME
        while frame == NO_FRAME:
            frame = self._settle(allocate_user_frame())
        _keep(self._others, self._others.count, frame)
        zero_frame(frame)
        pace(_PAGE_COST)
        return frame << PAGE_SHIFT  # fits: it is a frame's

    def _settle(self, frame: Frame) -> Frame:
        """Find a use for a fresh frame. One in no page's place is returned. One in a page's place becomes that page,
        and the frame that was that page before is returned, or NO_FRAME. Raises MemoryError, without the frame.
        """
        segment = self._segment_at(frame)
        if segment is None:
            return frame
        index = frame - segment.first  # fits: the segment holds the frame
        pace(_PAGE_COST)
        if index >= segment.filled:
            _keep(self._unusable, self._unusable.count, frame)
            return NO_FRAME
        before = segment.frames.get(index)
        _keep(segment.frames, index, frame)
        if before == NO_FRAME:
            zero_frame(frame)
        else:
            copy_frame(frame, before)
        return before

    def _segment_at(self, frame: int) -> Segment | None:
        for segment in self.segments:
            if segment.holds(frame):
                return segment
        return None

    def _list_moves(self) -> None:
        """Write down where each page goes. The list's frames are taken first, which may still exchange some."""
        count = 0
        for segment in self.segments:
            count += segment.count
        first = self._others.count
        self.moves = self.take()
        for _ in range(count // _MOVES_PER_FRAME):
            self.take()
        at = 0
        for segment in self.segments:
            for index in range(segment.count):
                source = int(segment.frames.get(index))  # NO_FRAME is 0, too
                if source != segment.first + index:
                    source_address = source << PAGE_SHIFT  # fits: it is a frame's
                    self._store_move(first, at, segment.address(index), source_address)
                    at += 1
                pace(_MOVE_COST)
        self._store_move(first, at, MOVE_END, 0)

    def _store_move(self, first: int, at: int, destination: int, source: int) -> None:
        """The entry number `at` of the list, whose frames are those of `_others` from `first` on; at the end of a
        frame, a link to the next follows it.
        """
        number = first + at // _MOVES_PER_FRAME
        place = at % _MOVES_PER_FRAME
        span = frame_span(self._others.get(number))
        span.store_u64(place * _MOVE_SIZE, u64(destination))
        span.store_u64(place * _MOVE_SIZE + 8, u64(source))
        following = self._others.get(number + 1)
        if place == _MOVES_PER_FRAME - 1 and following != NO_FRAME:
            span.store_u64(PAGE_SIZE - _MOVE_SIZE, u64(MOVE_LINK))
            span.store_u64(PAGE_SIZE - 8, u64(following << PAGE_SHIFT))


def _keep(frames: FrameTree, index: int, frame: Frame) -> None:
    """Enter a frame in a tree. Raises MemoryError, without it."""
    try:
        frames.put(index, frame)
    except MemoryError:
        free_frame(frame)
        raise


def _drop(frames: FrameTree) -> None:
    """Give back all frames of a tree."""
    index = frames.next_from(0)
    while index >= 0:
        free_frame(frames.remove(index))
        pace(_DROP_COST)
        index = frames.next_from(min(index, _PAGE_NUMBERS) + 1)


def _add_frames(total: int, frames: FrameTree) -> int:
    """The checksum of what was summed up so far and of all frames of a tree."""
    index = frames.next_from(0)
    while index >= 0:
        total = _add_words(total, frame_span(frames.get(index)))
        pace(_SUM_COST)
        index = frames.next_from(min(index, _PAGE_NUMBERS) + 1)
    return total


def _add_words(total: int, data: Span[u8]) -> int:
    """A checksum that depends on the words and their order."""
    for offset in range(0, PAGE_SIZE, 8):
        total = ((total & _SUM_LOW) << 5 | total >> 56) ^ (data.load_u32(offset) + (data.load_u32(offset + 4) << 29))
    return total


@final
class LoadedKernel:
    """The one that reboot(2) starts."""

    def __init__(self) -> None:
        self.kernel: NextKernel | None = None
        self.is_busy: bool = False  # it is being loaded, unloaded or started


LOADED: Final = LoadedKernel()
