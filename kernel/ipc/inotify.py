"""Watching files: inotify_init(2), inotify_add_watch(2).

An instance is a readable file: it holds the events of its watches, oldest first. An event that equals the newest
unread one is left out. When too many wait, or memory runs out, one event says that some were lost.

Context: reads sleep; events come from any system call that changes a file, and adding them neither sleeps nor raises.
Source: inotify(7).
"""

from typing import Final

from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_NONBLOCK, O_RDONLY, READABLE
from kernel.fs.file import DESCRIPTION_BYTES, Listing
from kernel.fs.inode import Inode
from kernel.fs.notification import (
    IN_DELETE_SELF,
    IN_EXCL_UNLINK,
    IN_IGNORED,
    IN_ISDIR,
    IN_MOVE_SELF,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    Watch,
    add_watch,
    remove_watch,
)
from kernel.lang import (
    EAGAIN,
    EEXIST,
    EFAULT,
    EINVAL,
    EMFILE,
    ENOSPC,
    ENOTTY,
    Errno,
    Span,
    UserAddr,
    final,
    inline,
    span_of,
    u8,
)
from kernel.lib import user
from kernel.lib.ids import KernelUid
from kernel.lib.linked import Queue, Queued
from kernel.lib.order import Order, Walk
from kernel.lib.pace import pace, spend
from kernel.lib.settings import SystemSetting
from kernel.lib.user import Buffer
from kernel.lib.user_account import UserAccount, account_of
from kernel.mm.frames import PAGE_SIZE, total_frame_count
from kernel.sched import PollWaiter, WaitQueue

IN_ALL_EVENTS: Final = 0xFFF
IN_ONLYDIR: Final = 0x0100_0000
IN_DONT_FOLLOW: Final = 0x0200_0000
IN_MASK_CREATE: Final = 0x1000_0000
IN_MASK_ADD: Final = 0x2000_0000
IN_ONESHOT: Final = 0x8000_0000
_KEPT: Final = IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT

_HEADER_SIZE: Final = 16
_EVENT_COST: Final = 500  # instructions, for `pace`
_INT_MAX: Final = 0x7FFF_FFFF
_FIONREAD: Final = 0x541B
_WATCH_BYTES: Final = 1312  # what one watch and its inode cost, by Linux's estimate for its limit

_EVENT_BYTES: Final = 96  # what an event that waits costs, about; instances share its name
_CLOSE_COST: Final = 1000  # instructions for a watch, for `pace`
_SHOW_COST: Final = 5000


@final
class _WatchLimit(SystemSetting):
    """How many watches a user can have: what a hundredth of memory holds, unless it was set."""

    def prepare(self) -> None:
        if self.values[0] < 0:
            self.values[0] = max(8192, min(1 << 20, total_frame_count() // 100 * PAGE_SIZE // _WATCH_BYTES))


_QUEUED_EVENTS: Final = SystemSetting(b"fs/inotify/max_queued_events", [16384], 0, _INT_MAX)
_INSTANCES: Final = SystemSetting(b"fs/inotify/max_user_instances", [128], 0, _INT_MAX)  # of one user
_WATCHES: Final = _WatchLimit(b"fs/inotify/max_user_watches", [-1], 0, _INT_MAX)


@final
class Event(Queued["Event"]):
    """One event in an instance's queue."""

    def __init__(self, number: int, mask: int, cookie: int, name: bytes) -> None:
        super().__init__()
        self.number: int = number  # the watch's
        self.mask: int = mask
        self.cookie: int = cookie
        self.name: bytes = name

    @inline
    def this(self) -> "Event":
        return self

    def name_size(self) -> int:
        """The size of the name: with at least one NUL, a multiple of the header's size."""
        return 0 if len(self.name) == 0 else (len(self.name) + _HEADER_SIZE) & ~(_HEADER_SIZE - 1)

    def size(self) -> int:
        return _HEADER_SIZE + self.name_size()

    def store(self, out: Span[u8]) -> None:
        """Write a struct inotify_event into zeroed bytes."""
        out.store_u32(0, self.number & 0xFFFF_FFFF)
        out.store_u32(4, self.mask)
        out.store_u32(8, self.cookie)
        out.store_u32(12, self.name_size())
        out[_HEADER_SIZE : _HEADER_SIZE + len(self.name)].copy_from(span_of(self.name))


@final
class InotifyWatch(Watch):
    """A watch of an instance."""

    def __init__(self, owner: "InotifyFile", number: int, inode: Inode, mask: int) -> None:
        super().__init__(inode, mask)
        self.owner: InotifyFile | None = owner
        self.number: int = number

    def happened(self, mask: int, name: bytes, cookie: int) -> None:
        owner = self.owner
        if owner is None:
            return
        if mask & (IN_MOVE_SELF | IN_DELETE_SELF) != 0:
            mask &= ~IN_ISDIR  # inotify never reports it with these
        owner.enqueue(self.number, mask, name, cookie)
        if self.mask & IN_ONESHOT != 0:
            owner.forget(self)
            remove_watch(self)

    def ended(self) -> None:
        owner = self.owner
        if owner is not None:
            owner.forget(self)


class InotifyFile(DescriptorFile):
    """An instance. Invariant: `watches` holds exactly the watches whose `owner` it is, by their numbers."""

    def __init__(self, uid: KernelUid, flags: int) -> None:
        account = account_of(uid)
        made = False
        try:
            if account.inotify_instances >= _INSTANCES.value:
                raise Errno(EMFILE)
            self.watches: dict[int, InotifyWatch] = {}
            self.order: Order[InotifyWatch] = Order()  # the same
            self.overflow: Event = Event(-1, IN_Q_OVERFLOW, 0, b"")
            self.queue: WaitQueue = WaitQueue()
            self.events: Queue[Event] = Queue()
            super().__init__(anonymous_path(b"inotify"), O_RDONLY | flags)
            made = True
        finally:
            if not made:
                account.release()
        self.last_number: int = 0
        self.count: int = 0
        self.is_closed: bool = False
        self.overflow_queued: bool = False
        self.account: UserAccount = account
        account.inotify_instances += 1

    def can_write(self) -> bool:
        return False

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + len(self.watches) * _WATCH_BYTES + self.count * _EVENT_BYTES

    def close(self) -> None:
        self.is_closed = True  # `watches` stays unchanged while others end watches at the safe points
        for watch in self.watches.values():
            if watch.owner is not None:
                watch.owner = None
                remove_watch(watch)
                self.account.inotify_watches -= 1
            pace(_CLOSE_COST)
        self.watches.clear()
        self.events.take_all()
        self.account.inotify_instances -= 1
        self.account.release()

    # ---- Watches ------------------------------------------------------------------------------------------------

    def watch(self, inode: Inode, mask: int) -> int:
        """inotify_add_watch(2): the watch's number. Raises EEXIST, ENOSPC, MemoryError."""
        kept = mask & _KEPT | IN_UNMOUNT
        old = self._watch_on(inode)
        if old is not None:
            if mask & IN_MASK_CREATE != 0:
                raise Errno(EEXIST)
            old.mask = old.mask | kept if mask & IN_MASK_ADD != 0 else kept
            return old.number
        owner = self.account
        _WATCHES.prepare()
        if owner.inotify_watches >= _WATCHES.value:
            raise Errno(ENOSPC)
        number = self._free_number()
        fresh = InotifyWatch(self, number, inode, kept)
        self.watches[number] = fresh
        owner.inotify_watches += 1
        try:
            self.order.put(number, fresh)
            add_watch(fresh)
        except MemoryError:
            fresh.owner = None
            self.watches.pop(number)
            self.order.remove(number)
            owner.inotify_watches -= 1
            raise
        return number

    def _watch_on(self, inode: Inode) -> InotifyWatch | None:
        """The watch of this instance on an inode: searched among the few of the inode, not the many of the instance."""
        watches = inode.watches
        if watches is not None:
            for watch in watches.watches:
                if isinstance(watch, InotifyWatch) and watch.owner is self:
                    return watch
        return None

    def _free_number(self) -> int:
        number = self.last_number
        while True:
            number = number + 1 if number < 0x7FFF_FFFF else 1
            if number not in self.watches:
                self.last_number = number
                return number

    def unwatch(self, number: int) -> None:
        """inotify_rm_watch(2). Raises EINVAL."""
        watch = self.watches.get(number)
        if watch is None:
            raise Errno(EINVAL)
        self.forget(watch)
        remove_watch(watch)

    def forget(self, watch: InotifyWatch) -> None:
        """A watch ends: its number is free, and the reader is notified. Comes before `remove_watch`, which sleeps if it
        evicts the inode: others no longer find the watch then.
        """
        watch.owner = None
        self.account.inotify_watches -= 1
        if self.is_closed:
            return
        self.watches.pop(watch.number)
        self.order.remove(watch.number)
        self.enqueue(watch.number, IN_IGNORED, b"", 0)

    # ---- Events -------------------------------------------------------------------------------------------------

    def enqueue(self, number: int, mask: int, name: bytes, cookie: int) -> None:
        """Add an event at the end."""
        spend(_EVENT_COST)
        if self.is_closed:
            return
        newest = self.events.last()
        if (
            newest is not None
            and newest.mask == mask
            and newest.number == number
            and mask & IN_IGNORED == 0
            and newest.name == name
        ):
            return
        event: Event | None = None
        if self.count < _QUEUED_EVENTS.value:
            try:
                event = Event(number, mask, cookie, name)
            except MemoryError:
                event = None  # the reader learns it from the overflow event
        if event is None:
            if self.overflow_queued:
                return
            self.overflow_queued = True
            event = self.overflow
        self.events.append(event)
        self.count += 1
        self.queue.wake_all()

    def read(self, buffer: Buffer) -> int:
        done = 0
        while True:
            event = self.events.first()
            if event is not None:
                size = event.size()
                if size > buffer.remaining:
                    if done == 0:
                        raise Errno(EINVAL)
                    return done
                try:
                    storage = bytearray(size)
                except MemoryError:
                    if done == 0:
                        raise
                    return done
                self.events.take()  # no earlier: what follows needs no memory
                self.count -= 1
                if event is self.overflow:
                    self.overflow_queued = False
                event.store(span_of(storage))
                put = buffer.put(span_of(storage))
                if put < size:
                    raise Errno(EFAULT)  # whatever was read before, as on Linux
                done += size
                pace(_EVENT_COST)
            elif done > 0:
                return done
            elif self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            else:
                self.queue.sleep(interruptible=True)

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.queue)
        return 0 if self.events.is_empty() else READABLE

    def ioctl(self, command: int, argument: int) -> int:
        if command != _FIONREAD:
            raise Errno(ENOTTY)
        total = 0
        event = self.events.first()
        while event is not None:
            total += event.size()
            event = event.after()
        user.write_i32(UserAddr(argument), total)
        return 0

    def listing(self) -> Listing | None:
        return _Watches(self.order)


@final
class _Watches(Listing):
    """The watches of an instance, by number."""

    def __init__(self, order: Order[InotifyWatch]) -> None:
        self.walk: Walk[InotifyWatch] = Walk(order)

    def next_piece(self) -> bytes | None:
        pace(_SHOW_COST)
        watch = self.walk.next()
        if watch is None:
            return None
        inode = watch.inode
        if inode is None:
            return b""
        return (
            f"inotify wd:{watch.number:x} ino:{inode.ino:x} sdev:{inode.file_system.device:x}"
            f" mask:{watch.mask & ~IN_ONESHOT:x} ignored_mask:0\n"
        ).encode()
