"""Commands of a userfaultfd: registering ranges; filling, moving and protecting pages (ioctl_userfaultfd(2)).

A command that fills many pages stops at the first that cannot be filled, and reports how many bytes are done.

Context: sleeps. The memory may be another program's; it is held in the meantime.
"""

from typing import Final

from arch import USER_END
from kernel.fs.constants import O_NONBLOCK
from kernel.lang import (
    EAGAIN,
    EFAULT,
    EINVAL,
    ENOENT,
    ENOMEM,
    EPERM,
    ESRCH,
    Errno,
    UserAddr,
    final,
    span_of,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.lib.pace import is_dying, pace
from kernel.mm.area import Area
from kernel.mm.fault import entry_flags
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, allocate_user_frame, frame_span, put_frame, zero_frame
from kernel.mm.huge_fault import check_vacant, fill_huge
from kernel.mm.huge_pool import HUGE_SIZE
from kernel.mm.pinning import PinnedFrames
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import (
    MINOR,
    MODES,
    WRITE_PROTECT,
    area_to_fill,
    area_to_move_to,
    check_range,
    check_whole,
    move_large_page,
    move_page,
    page_size,
    poison_page,
    protect_end,
    protect_pages,
    put_page,
    register,
    show_page,
)
from kernel.task.task import current
from kernel.task.userfault import FEATURES, FaultContext, UserFaultFile
from kernel.task.words import load_i64

_API: Final = 0xC018_AA3F  # UFFDIO_*
_REGISTER: Final = 0xC020_AA00
_UNREGISTER: Final = 0x8010_AA01
_WAKE: Final = 0x8010_AA02
_COPY: Final = 0xC028_AA03
_ZEROPAGE: Final = 0xC020_AA04
_MOVE: Final = 0xC028_AA05
_WRITEPROTECT: Final = 0xC018_AA06
_CONTINUE: Final = 0xC020_AA07
_POISON: Final = 0xC020_AA08

_VERSION: Final = 0xAA  # UFFD_API
_FILE_COMMANDS: Final = -(1 << 63) | 0x3  # UFFD_API_IOCTLS
_CAN_WAKE: Final = 1 << 2  # of a range, by their numbers
_CAN_COPY: Final = 1 << 3
_CAN_ZERO: Final = 1 << 4
_CAN_MOVE: Final = 1 << 5
_CAN_PROTECT: Final = 1 << 6
_CAN_CONTINUE: Final = 1 << 7
_CAN_POISON: Final = 1 << 8
_EVENT_FORK: Final = 1 << 1

_DONT_WAKE: Final = 1
_PROTECTED: Final = 2  # UFFDIO_COPY_MODE_WP, UFFDIO_CONTINUE_MODE_WP
_MODE_PROTECT: Final = 1  # UFFDIO_WRITEPROTECT_MODE_WP
_MODE_DONT_WAKE: Final = 2
_SKIPS_HOLES: Final = 2  # UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES
_PAGE_COST: Final = 3000  # instructions, for `pace`
_MOVE_COST: Final = 800
_MOVED_AT_ONCE: Final = 64  # pages
_LARGE_COST: Final = 15_000


@final
class ServedFaults(UserFaultFile):
    """The file, with its commands."""

    def another(self, context: FaultContext) -> UserFaultFile:
        return ServedFaults(context, context.flags & O_NONBLOCK)

    def ioctl(self, command: int, argument: int) -> int:
        address = UserAddr(argument)
        if command == _API:
            self._begin(address)
            return 0
        if not self.context.is_ready:
            raise Errno(EINVAL)
        if command == _REGISTER:
            self._register(address)
        elif command == _UNREGISTER:
            self._unregister(address)
        elif command == _WAKE:
            start, length = _range_at(address)
            self.context.wake(start, length)
        elif command == _COPY:
            self._copy(address)
        elif command == _ZEROPAGE:
            self._zero(address)
        elif command == _WRITEPROTECT:
            self._protect(address)
        elif command == _CONTINUE:
            self._continue(address)
        elif command == _POISON:
            self._poison(address)
        elif command == _MOVE:
            self._move(address)
        else:
            raise Errno(EINVAL)
        return 0

    def _begin(self, address: UserAddr) -> None:
        """UFFDIO_API: agree on features, once."""
        words = span_of(user.read_bytes(address, 24))
        version = load_i64(words, 0)
        features = load_i64(words, 8)
        error = 0
        if version != _VERSION:
            error = EINVAL
        elif features & _EVENT_FORK != 0 and not current().credentials.capable(CAP_SYS_PTRACE):
            error = EPERM
        elif features & ~FEATURES != 0:
            error = EINVAL
        if error == 0:
            user.write_i64(user.at(address, 8), FEATURES)
            user.write_i64(user.at(address, 16), _FILE_COMMANDS)
            if self.context.is_ready:
                error = EINVAL
        if error != 0:
            user.write_bytes(address, bytes(24))
            raise Errno(error)
        self.context.agree(features)

    # ---- Ranges -------------------------------------------------------------------------------------------------

    def _register(self, address: UserAddr) -> None:
        words = span_of(user.read_bytes(address, 24))
        modes = load_i64(words, 16)
        if modes == 0 or modes & ~MODES != 0:
            raise Errno(EINVAL)
        start = load_i64(words, 0)
        length = load_i64(words, 8)
        _check_range(start, length)
        space = self._hold(ENOMEM)
        try:
            space.settle()
            has_huge = check_range(space, start, start + length, modes, self.context)
            register(space, start, start + length, modes, self.context)
        finally:
            space.release()
        commands = _CAN_WAKE | _CAN_COPY | _CAN_POISON | (0 if has_huge else _CAN_ZERO | _CAN_MOVE)
        commands |= _CAN_PROTECT if modes & WRITE_PROTECT != 0 else 0
        commands |= _CAN_CONTINUE if modes & MINOR != 0 else 0
        user.write_i64(user.at(address, 24), commands)

    def _unregister(self, address: UserAddr) -> None:
        start, length = _range_at(address)
        end = start + length
        space = self._hold(ENOMEM)
        try:
            space.settle()
            check_range(space, start, end, 0, None)
            register(space, start, end, 0, None)
        finally:
            space.release()

    def _hold(self, error: int) -> AddressSpace:
        """Hold the memory, for as long as the caller needs it. Raises `error` if it has gone."""
        if not self.context.is_alive():
            raise Errno(error)
        space = self.context.space
        space.acquire()
        return space

    # ---- Pages --------------------------------------------------------------------------------------------------

    def _check_is_settled(self, result: UserAddr) -> None:
        """Raise EAGAIN, which is the result as well, while the memory changes."""
        if self.context.changing > 0:
            user.write_i64(result, -EAGAIN)
            raise Errno(EAGAIN)

    def _check_still_settled(self) -> None:
        """Raise EAGAIN if others have begun to change the memory."""
        if self.context.changing > 0:
            raise Errno(EAGAIN)

    def _copy(self, address: UserAddr) -> None:
        self._check_is_settled(user.at(address, 32))
        words = span_of(user.read_bytes(address, 32))
        target = load_i64(words, 0)
        source = load_i64(words, 8)
        length = load_i64(words, 16)
        mode = load_i64(words, 24)
        if length & PAGE_MASK != 0 or length <= 0 or -length <= source < 0:
            raise Errno(EINVAL)  # the source would end past the last address
        _check_range(target, length)
        if mode & ~(_DONT_WAKE | _PROTECTED) != 0:
            raise Errno(EINVAL)
        self._fill(target, length, source if 0 <= source < USER_END else USER_END, mode, user.at(address, 32))

    def _zero(self, address: UserAddr) -> None:
        self._check_is_settled(user.at(address, 24))
        words = span_of(user.read_bytes(address, 24))
        start = load_i64(words, 0)
        length = load_i64(words, 8)
        mode = load_i64(words, 16)
        _check_range(start, length)
        if mode & ~_DONT_WAKE != 0:
            raise Errno(EINVAL)
        self._fill(start, length, 0, mode, user.at(address, 24), is_zero=True)

    def _continue(self, address: UserAddr) -> None:
        self._check_is_settled(user.at(address, 24))
        words = span_of(user.read_bytes(address, 24))
        start = load_i64(words, 0)
        length = load_i64(words, 8)
        mode = load_i64(words, 16)
        _check_range(start, length)
        if mode & ~(_DONT_WAKE | _PROTECTED) != 0:
            raise Errno(EINVAL)
        done = 0
        error = 0
        space = self._hold(ESRCH)
        try:
            area = area_to_fill(space, start, length)
            if mode & _PROTECTED != 0 and area.fault_modes & WRITE_PROTECT == 0:
                raise Errno(EINVAL)
            check_whole(area, start, length)
            size = page_size(area)
            while done < length and not is_dying():
                space.settle()
                self._check_still_settled()
                area = _area_of_pages(space, start + done, size)
                if show_page(space, area, start + done, is_protected=mode & _PROTECTED != 0):
                    done += size
                pace(_PAGE_COST)
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = ENOMEM
        finally:
            space.release()
        self._report(start, length, done, error, mode & _DONT_WAKE != 0, user.at(address, 24))

    def _fill(self, start: int, length: int, source: int, mode: int, result: UserAddr, is_zero: bool = False) -> None:
        """Fill pages with a copy of the caller's memory, or with zeros."""
        done = 0
        error = 0
        is_protected = mode & _PROTECTED != 0
        space = self._hold(ESRCH)
        try:
            area = area_to_fill(space, start, length)
            if is_protected and area.fault_modes & WRITE_PROTECT == 0:
                raise Errno(EINVAL)
            if area.is_huge and is_zero:
                raise Errno(EINVAL)
            check_whole(area, start, length)
            size = page_size(area)
            while done < length and not is_dying():
                if size == HUGE_SIZE:
                    self._fill_huge_page(space, start + done, source + done, is_protected)
                else:
                    self._fill_page(space, start + done, source + done, is_protected, is_zero)  # fits: USER_END each
                done += size
                pace(_PAGE_COST)
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = ENOMEM
        finally:
            space.release()
        self._report(start, length, done, error, mode & _DONT_WAKE != 0, result)

    def _fill_page(self, space: AddressSpace, address: int, source: int, is_protected: bool, is_zero: bool) -> None:
        """Fill one page. Raises EFAULT, EEXIST, ENOENT, MemoryError."""
        frame = allocate_user_frame()
        try:
            if is_zero:
                zero_frame(frame)
            else:
                user.read_into(frame_span(frame), UserAddr(source))
            space.settle()
            self._check_still_settled()
            area = _area_of_pages(space, address, PAGE_SIZE)
            put_page(space, area, address, frame, is_protected, spares_marks=is_zero)
        finally:
            put_frame(frame)

    def _fill_huge_page(self, space: AddressSpace, address: int, source: int, is_protected: bool) -> None:
        """The same for a huge page. What it is filled with is held first, since no fault may happen meanwhile."""
        if source > USER_END - HUGE_SIZE:
            raise Errno(EFAULT)
        contents = PinnedFrames(device_writes=False)
        try:
            space.settle()
            check_vacant(space.pages, _area_of_pages(space, address, HUGE_SIZE), address)
            if contents.pin(source, HUGE_SIZE) < HUGE_SIZE:
                raise Errno(EFAULT)
            space.settle()
            self._check_still_settled()
            area = _area_of_pages(space, address, HUGE_SIZE)
            flags = entry_flags(area)
            fill_huge(space.pages, area, address, contents.frames, source & PAGE_MASK, flags, is_protected)
        finally:
            contents.release()

    def _poison(self, address: UserAddr) -> None:
        self._check_is_settled(user.at(address, 24))
        words = span_of(user.read_bytes(address, 24))
        start = load_i64(words, 0)
        length = load_i64(words, 8)
        mode = load_i64(words, 16)
        _check_range(start, length)
        if mode & ~_DONT_WAKE != 0:
            raise Errno(EINVAL)
        done = 0
        error = 0
        space = self._hold(ESRCH)
        try:
            area = area_to_fill(space, start, length)
            check_whole(area, start, length)
            size = page_size(area)
            while done < length and not is_dying():
                space.settle()
                self._check_still_settled()
                poison_page(space, _area_of_pages(space, start + done, size), start + done)
                done += size
                pace(_MOVE_COST)
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = ENOMEM
        finally:
            space.release()
        self._report(start, length, done, error, mode & _DONT_WAKE != 0, user.at(address, 24))

    def _move(self, address: UserAddr) -> None:
        self._check_is_settled(user.at(address, 32))
        words = span_of(user.read_bytes(address, 32))
        target = load_i64(words, 0)
        source = load_i64(words, 8)
        length = load_i64(words, 16)
        mode = load_i64(words, 24)
        if current().memory is not self.context.space:
            raise Errno(EINVAL)
        _check_range(target, length)
        _check_range(source, length)
        if mode & ~(_DONT_WAKE | _SKIPS_HOLES) != 0:
            raise Errno(EINVAL)
        done = 0
        error = 0
        space = self._hold(ESRCH)
        try:
            while done < length and not is_dying():
                space.settle()
                part = min(length - done, _MOVED_AT_ONCE * PAGE_SIZE)
                area = area_to_move_to(space, source + done, target + done, length - done, self.context)
                self._check_still_settled()
                flushed = done
                if length - done >= HUGE_SIZE and move_large_page(space, area, source + done, target + done):
                    done += HUGE_SIZE
                    space.pages.flush_range(source + flushed, source + done)
                    pace(_LARGE_COST)
                    continue
                try:
                    for _ in range(part >> PAGE_SHIFT):
                        move_page(space, area, source + done, target + done, mode & _SKIPS_HOLES != 0)
                        done += PAGE_SIZE
                finally:
                    space.pages.flush_range(source + flushed, source + done)
                pace(_MOVE_COST * _MOVED_AT_ONCE)
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = ENOMEM
        finally:
            space.release()
        self._report(target, length, done, error, mode & _DONT_WAKE != 0, user.at(address, 32))

    def _report(self, start: int, length: int, done: int, error: int, leaves_asleep: bool, result: UserAddr) -> None:
        """Report progress to the caller, and wake threads waiting for these pages. Raises the error, or EAGAIN."""
        user.write_i64(result, done if done > 0 else -error)
        if done == 0:
            raise Errno(error if error != 0 else EAGAIN)
        if not leaves_asleep:
            self.context.wake(start, done)
        if done < length:
            raise Errno(EAGAIN)

    def _protect(self, address: UserAddr) -> None:
        if self.context.changing > 0:
            raise Errno(EAGAIN)
        words = span_of(user.read_bytes(address, 24))
        start = load_i64(words, 0)
        length = load_i64(words, 8)
        mode = load_i64(words, 16)
        _check_range(start, length)
        is_protected = mode & _MODE_PROTECT != 0
        if mode & ~(_MODE_PROTECT | _MODE_DONT_WAKE) != 0 or mode == _MODE_PROTECT | _MODE_DONT_WAKE:
            raise Errno(EINVAL)
        place = start
        space = self._hold(ESRCH)
        try:
            while place < start + length:
                area = space.settled_area(place, start + length)
                if area is None:
                    break
                if area.fault_modes & WRITE_PROTECT == 0:
                    raise Errno(ENOENT)
                check_whole(area, start, length)
                place = max(place, area.start)
                stop = protect_end(area, place, space.part_end(place, min(area.end, start + length)))
                protect_pages(space, area, place, stop, is_protected)
                place = space.rest(stop, start + length)
                if is_dying():
                    return
            if place == start:
                raise Errno(ENOENT)
        finally:
            space.release()
        if not is_protected and mode & _MODE_DONT_WAKE == 0:
            self.context.wake(start, length)


def _area_of_pages(space: AddressSpace, address: int, size: int) -> Area:
    """The registered area of a page of that size. Raises ENOENT where there is none any more, EINVAL."""
    area = area_to_fill(space, address, size)
    if page_size(area) != size:
        raise Errno(ENOENT)
    return area


def _range_at(address: UserAddr) -> tuple[int, int]:
    """struct uffdio_range. Raises EINVAL."""
    words = span_of(user.read_bytes(address, 16))
    start = load_i64(words, 0)
    length = load_i64(words, 8)
    _check_range(start, length)
    return start, length


def _check_range(start: int, length: int) -> None:
    """Raise EINVAL unless the range consists of whole pages that a program may have."""
    if (start | length) & PAGE_MASK != 0 or length <= 0 or start < 0:
        raise Errno(EINVAL)
    if start >= USER_END or length > USER_END - start:
        raise Errno(EINVAL)
