"""A mappable file whose contents are elsewhere (9P, FUSE): pages are fetched when they are touched, and kept while
anybody maps the file. Its file system derives from `RemoteHandle`, which transfers the bytes.

A page that may be written through a shared mapping is dirty until nobody maps the file any more: `write_back` sends all
of those, because nothing records which were written since. Reads and writes by descriptors send them first.

Circular references: the file and its pages refer to each other, until the file is idle.

Context: `page`, `write_back`, `forget` and the end of the last mapping sleep.
"""

from typing import Final

from kernel.fs.inode import Inode
from kernel.fs.mapped_place import MappedPlace
from kernel.lang import EFAULT, EIO, Errno, Span, final, noraise, u8
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.exchange import is_used
from kernel.mm.frame_tree import FrameTree
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    frame_span,
    get_frame,
    put_frame,
)
from kernel.mm.objects import Loss, MappedFile, MappedThrough, TrackedObject
from kernel.mm.reverse_map import forget_pages
from kernel.sched import Mutex
from kernel.sched.mutex import Patience

_LAST_PAGE: Final = 1 << 50
_PAGE_COST: Final = 300  # instructions


class RemoteHandle:
    """A file that is open where its contents are. Counted: by descriptions, and by mappings through them."""

    def __init__(self, *, may_read: bool, may_write: bool) -> None:
        self.may_read: bool = may_read
        self.may_write: bool = may_write
        self.users: int = 1

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.close()

    @noraise
    def close(self) -> None:
        """Nobody uses it any more. Never sleeps."""

    def data_limit(self) -> int:
        """Bytes that one message moves."""
        return PAGE_SIZE

    def read_limit(self) -> int:
        """Bytes that one message brings."""
        return self.data_limit()

    def read(self, flags: int, buffer: Buffer, offset: int) -> int:
        """Read by one message, at most `read_limit` bytes; `flags` are the description's. Raises EIO."""
        raise Errno(EIO)

    def write(self, flags: int, buffer: Buffer, offset: int) -> int:
        """Write by one message, at most `data_limit` bytes; how much was taken. Raises EIO."""
        raise Errno(EIO)

    def read_frames(self, offset: int, frames: list[int], filled: int) -> int:
        """Read from `offset` on into frames, of which `filled` bytes are filled already; 0 at the end of the file. For
        a page fault. Raises EIO.
        """
        raise Errno(EIO)

    def write_page(self, offset: int, source: Span[u8]) -> int:
        """Write from the kernel's memory; how much was taken. Raises EIO."""
        raise Errno(EIO)

    def size_now(self) -> int:
        """How long the file is. Raises EIO."""
        raise Errno(EIO)


@final
class RemotePages(TrackedObject):
    """The pages of one file."""

    def __init__(self, file: Inode) -> None:
        super().__init__()
        self.file: Inode | None = file
        self.place: MappedPlace | None = None  # where it was mapped from last
        self._areas: int = 0
        self._expected: int = 0  # areas for which `use` was called and that are not there yet, if they ever come
        self._frames: FrameTree = FrameTree()
        self._dirty: FrameTree = FrameTree()  # those of them that may have been written
        self._has_lost: bool = False  # what was written through a mapping, also an earlier one; nobody has heard of it
        self._reader: RemoteHandle | None = None
        self._writer: RemoteHandle | None = None
        self._coming: int = 0  # threads whose last area is gone and that wait for the lock to send dirty pages
        self._parting: int = 0  # such threads that are done or have given up: the file is to be released
        self._lock: Mutex = Mutex()  # over fetching, sending and dropping pages

    def use(self, handle: RemoteHandle) -> None:
        """The file is about to be mapped through a description, whose rights apply to the mappings. Before that the
        thread may sleep, while the last other mapping ends.
        """
        self._expected += 1
        if handle.may_read and self._reader is None:
            handle.users += 1
            self._reader = handle
        if handle.may_write and self._writer is None:
            handle.users += 1
            self._writer = handle

    # ---- Pages ------------------------------------------------------------------------------------------------

    def page(self, index: int, for_write: bool) -> Frame:
        if index < 0 or index >= _LAST_PAGE:
            raise Errno(EFAULT)
        self._take_lock()
        try:
            frame = self._frames.get(index)
            if frame == NO_FRAME:
                frame = self._fetch(index)
            if for_write:
                if self._writer is None:
                    raise Errno(EIO)
                self._dirty.put(index, frame)
            get_frame(frame)
            return frame
        finally:
            self._give_lock()

    def _fetch(self, index: int) -> Frame:
        """Fetch a missing page, and as many after it as one message carries. Raises EFAULT (past the end of the
        file), EIO, MemoryError.
        """
        reader = self._reader
        file = self.file
        if reader is None or file is None:
            raise Errno(EIO)
        frames = self._new_frames(index, max(1, reader.data_limit() >> PAGE_SHIFT), file.size)
        kept = 0
        try:
            filled = 0
            while filled < len(frames) << PAGE_SHIFT:
                part = reader.read_frames(index << PAGE_SHIFT, frames, filled)
                if part == 0:
                    break
                filled += part
            if filled == 0:
                raise Errno(EFAULT)
            while kept << PAGE_SHIFT < filled:
                frame = Frame(frames[kept])
                frame_span(frame)[min(PAGE_SIZE, filled - (kept << PAGE_SHIFT)) : PAGE_SIZE].fill(0)
                self._frames.put(index + kept, frame)
                kept += 1
            return Frame(frames[0])
        finally:
            for i in range(kept, len(frames)):
                put_frame(Frame(frames[i]))

    def _new_frames(self, index: int, limit: int, size: int) -> list[int]:
        """Memory for page `index`, and for others after it that are missing too. Raises MemoryError."""
        frames: list[int] = [allocate_user_frame()]
        try:
            while len(frames) < limit and (index + len(frames)) << PAGE_SHIFT < size:
                if self._frames.get(index + len(frames)) != NO_FRAME:
                    break
                frames.append(allocate_user_frame())
        except MemoryError:
            return frames  # the first frame is enough
        return frames

    def resident(self, index: int) -> Frame:
        return self._frames.get(index)

    def settle_page(self, index: int) -> bool:
        if self._lock.owner is None:
            return False
        self._take_lock()
        self._give_lock()
        return True

    def lose_page(self, index: int, frame: Frame) -> Loss:
        present = self._frames.get(index)
        if self._lock.owner is not None or present != frame or is_used(self, index, frame):
            return Loss.REFUSED
        self._frames.remove(index)
        is_dirty = self._dirty.get(index) != NO_FRAME
        if is_dirty:
            self._dirty.remove(index)
            self._has_lost = True
        put_frame(present)
        return Loss.DIRTY if is_dirty else Loss.CLEAN

    def move_page(self, index: int, old: Frame, new: Frame) -> bool:
        present = self._frames.get(index)
        if self._lock.owner is not None or present != old:
            return False
        get_frame(new)
        self._frames.put(index, new)  # needs no memory: there is a place
        put_frame(present)
        return True

    def write_back(self) -> None:
        """Send what may have been written through mappings. Raises EIO."""
        if self._dirty.count > 0:
            self._take_lock()
            try:
                self._send()
            finally:
                self._give_lock()

    def _send(self) -> None:
        writer = self._writer
        if writer is None:
            return
        end = writer.size_now()
        index = self._dirty.next_from(0)
        while index >= 0 and index << PAGE_SHIFT < end:
            offset = index << PAGE_SHIFT
            frame = self._frames.get(index)
            count = min(PAGE_SIZE, end - offset)
            done = 0
            while done < count and frame != NO_FRAME:
                part = writer.write_page(offset + done, frame_span(frame)[done:count])
                if part == 0:
                    raise Errno(EIO)
                done += part
            pace(_PAGE_COST)
            index = self._dirty.next_from(index + 1)

    def sync(self, first_index: int, end_index: int) -> None:
        self.write_back()
        self.tell_loss()

    def tell_loss(self) -> None:
        """Raises EIO, once, if broken memory has lost what was written through a mapping: for fsync(2) and its kin,
        after all else.
        """
        if self._has_lost:
            self._has_lost = False
            raise Errno(EIO)

    def forget(self, start: int, end: int) -> None:
        """The bytes start … end - 1 have changed elsewhere: fetch them again when they are touched. What else may have
        been written to their pages through a mapping, and was not sent yet, stays.
        """
        self._take_lock()
        try:
            self._forget(start, end)
        finally:
            self._give_lock()

    def _forget(self, start: int, end: int) -> None:
        first = start >> PAGE_SHIFT
        last = min(_LAST_PAGE, ((end - 1) >> PAGE_SHIFT) + 1)
        if self._renew(first, start, end):
            first += 1
        if first < last and self._renew(last - 1, start, end):
            last -= 1
        if first >= last:
            return
        forget_pages(self, first, last)
        index = self._frames.next_from(first)
        while 0 <= index < last:
            self._drop(index)
            pace(_PAGE_COST)
            index = self._frames.next_from(index + 1)

    def _renew(self, index: int, start: int, end: int) -> bool:
        """Fetch the changed bytes of a dirty page that has others, too. False: there is no such page, or they cannot be
        fetched.
        """
        base = index << PAGE_SHIFT
        first = max(0, start - base)
        last = min(PAGE_SIZE, end - base)
        reader = self._reader
        if last - first == PAGE_SIZE or self._dirty.get(index) == NO_FRAME or reader is None:
            return False
        frames: list[int] = []
        try:
            frames.append(allocate_user_frame())
            filled = 0
            while filled < PAGE_SIZE:
                part = reader.read_frames(base, frames, filled)
                if part == 0:
                    break
                filled += part
            fresh = frame_span(Frame(frames[0]))
            fresh[filled:PAGE_SIZE].fill(0)
            frame_span(self._frames.get(index))[first:last].copy_from(fresh[first:last])
            return True
        except (Errno, MemoryError):
            return False
        finally:
            if len(frames) > 0:
                put_frame(Frame(frames[0]))

    def forget_quickly(self, start: int, end: int) -> None:
        """`forget` for callers that may not wait: does nothing if the pages are in use, or some were changed."""
        if self._dirty.count == 0 and self._lock.try_acquire():
            try:
                self._forget(start, end)
            finally:
                self._give_lock()

    def _drop(self, index: int) -> None:
        frame = self._frames.remove(index)
        if self._dirty.get(index) != NO_FRAME:
            self._dirty.remove(index)
        put_frame(frame)

    # ---- Users ------------------------------------------------------------------------------------------------

    def acquire(self) -> None:
        self._areas += 1
        self._expected = max(0, self._expected - 1)
        file = self.file
        if self._areas == 1 and file is not None:
            file.acquire()

    def waits_at_end(self) -> bool:
        return True

    def release(self) -> None:
        self._areas -= 1
        file = self.file
        if self._areas > 0 or file is None:
            return
        if not self._come_to_lock():
            if self._dirty.count > 0:
                log.error("a shared file: what was written through a mapping may be lost")
            return  # whoever has the lock drops the pages
        try:
            if self._dirty.count > 0:
                self._send()
        except (Errno, MemoryError):
            log.error("a shared file: what was written through a mapping is lost")
        finally:
            self._parting += 1
            self._give_lock()

    def _come_to_lock(self) -> bool:
        """Take the lock after the last area is gone. False: it was not available, and the thread has given up, with no
        sleep in between, so the present holder of the lock will drop the pages.
        """
        done = False
        self._coming += 1
        try:
            self._take_lock()
            done = True
        except (Errno, MemoryError):
            done = self._lock.try_acquire()  # free by now: it was released while this looked for memory
        finally:
            self._coming -= 1
            if not done:
                self._parting += 1
        return done

    def part(self) -> None:
        """Nobody uses the file: drop its pages and handles, even if it was never mapped."""
        self.file = None
        self._expected = 0
        index = self._frames.next_from(0)
        while index >= 0:  # few: those that were mapped went with the last area
            self._drop(index)
            index = self._frames.next_from(index + 1)
        self._let_handles_go()

    @noraise
    def _drop_all(self) -> None:
        """Drop pages, and handles unless another mapping is expected, or came at a safe point."""
        index = self._frames.next_from(0)
        while index >= 0:
            self._drop(index)
            pace(_PAGE_COST)
            index = self._frames.next_from(index + 1)
        if self._expected == 0 and self._areas == 0:
            self._let_handles_go()

    @noraise
    def _let_handles_go(self) -> None:
        reader = self._reader
        writer = self._writer
        self._reader = None
        self._writer = None
        self.place = None
        if reader is not None:
            reader.release()
        if writer is not None:
            writer.release()

    # ---- The lock -----------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        """Raises EINTR (the thread is being killed, or is exiting and has waited long enough), EIO, MemoryError."""
        patience = Patience()
        if not patience.is_bounded:
            self._lock.acquire_unless_dying()
            return
        try:
            while not self._lock.try_acquire():
                patience.sleep(self._lock.waiters)
        finally:
            patience.end()

    @noraise
    def _give_lock(self) -> None:
        """Release the lock, and drop the pages if the last area is gone and no thread is coming that has to send some;
        also on behalf of threads that could not wait.
        """
        file = self.file
        parting = self._parting
        self._parting = 0
        if parting > 0 and self._areas == 0 and self._coming == 0:
            self._drop_all()
            while self._parting > 0 and self._areas == 0 and self._coming == 0:  # they gave up at its safe points
                parting += self._parting
                self._parting = 0
                self._drop_all()
        self._lock.release()
        if file is not None:
            for _ in range(parting):
                file.release()

    # ---- For /proc/PID/maps ------------------------------------------------------------------------------------

    def through(self) -> MappedThrough | None:
        return self.place

    def mapped_file(self) -> MappedFile | None:
        return self.file
