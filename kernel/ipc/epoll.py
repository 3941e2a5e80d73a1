"""epoll(7): a set of files, whose ready members are found without asking all.

Each member has a waiter on its file's queues. A wake links the member into the ready list, which allocates nothing,
since it may happen in an interrupt. `next_ready` asks the members on that list for their state: one that is not ready
leaves the list, a level-triggered one stays, an edge-triggered one leaves, a one-shot one is disabled. If the event
cannot be stored in the program's memory, the member is where and what it was.

Invariants: a member is on the ready list exactly if `is_listed`. It is in the chain of its set and in that of its
file's watchers exactly if it has an owner. A member holds no reference count on its file; the file notifies the member
when it ends (FileWatcher).

How sets may be nested is the business of epoll_nesting.py: `EpollFile.add` does not ask.

Members count against the user that created the set (fs.epoll.max_user_watches).

Context: `next_ready`, `has_ready`, `add` and `change` ask files, of which those of FUSE sleep in `poll`. Waiting is the
system call's.
"""

from typing import Final

from kernel.fs.anonymous import DescriptorFile, anonymous_path
from kernel.fs.constants import O_RDWR, POLLERR, POLLHUP, POLLIN, POLLOUT, READABLE
from kernel.fs.file import DESCRIPTION_BYTES, File, FileWatcher
from kernel.lang import (
    EEXIST,
    EINVAL,
    ENOENT,
    ENOSPC,
    EPERM,
    Errno,
    Span,
    final,
    inline,
    noinline,
    panic,
    recursion,
    u8,
    u64,
)
from kernel.lib.ids import KernelUid
from kernel.lib.linked import FIRST, NEXT, Linkage, Links
from kernel.lib.pace import pace
from kernel.lib.settings import NO_BOUND, SystemSetting
from kernel.lib.user_account import UserAccount, account_of
from kernel.mm.frames import PAGE_SIZE, total_frame_count
from kernel.sched import LastingWaiter, PollWaiter, WaitQueue

EPOLLEXCLUSIVE: Final = 1 << 28
EPOLLWAKEUP: Final = 1 << 29
EPOLLONESHOT: Final = 1 << 30
EPOLLET: Final = 1 << 31
EVENT_SIZE: Final = 12  # of struct epoll_event: u32 events, u64 data
DEPTH_LIMIT: Final = 5  # sets over one another, the highest and the lowest included
_MEMBER_BYTES: Final = 400  # what a member costs, about
_LINUX_MEMBER_BYTES: Final = 192  # Linux's estimate for one in its limit
# Instructions for a member, for `pace`
_ASK_COST: Final = 400
_DROP_COST: Final = 400
# Flags allowed beside EPOLLEXCLUSIVE. All sets are notified of every wake, which is more than the one that it asks for.
_EXCLUSIVE_MAY: Final = POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE


@final
class _WatchLimit(SystemSetting):
    """How many members all sets of a user can have: what 4 % of memory holds, unless it was set."""

    def prepare(self) -> None:
        if self.values[0] < 0:
            self.values[0] = total_frame_count() // 25 * PAGE_SIZE // _LINUX_MEMBER_BYTES


_WATCHES: Final = _WatchLimit(b"fs/epoll/max_user_watches", [-1], 0, NO_BOUND)


class MemberWaiter(LastingWaiter):
    """Waits on the queues of a member's file."""

    def __init__(self, member: "Member") -> None:
        super().__init__()
        self.member: Member | None = member

    @recursion(6)  # as `poll` of a set: the sets above count, too
    def notified(self) -> None:
        member = self.member
        if member is not None:
            member.mark_ready()


class Member(FileWatcher):
    """A file in the set."""

    set_links: Links["Member"]
    ready_links: Links["Member"]

    def __init__(self, owner: "EpollFile", descriptor: int, file: File, events: int, data: int) -> None:
        super().__init__()
        self.owner: EpollFile | None = owner
        self.descriptor: int = descriptor
        self.file: File = file
        self.events: int = events
        self.data: int = data
        self.is_listed: bool = False
        self.wakes: int = 0
        self.turn: int = 0  # the last one that found it, if it stays on the list
        self.waiter: MemberWaiter = MemberWaiter(self)

    def mark_ready(self) -> None:
        owner = self.owner
        if owner is not None:
            self.wakes += 1
            owner.list_member(self)
            owner.queue.wake_all()

    def file_closed(self) -> None:
        owner = self.owner
        if owner is not None:
            owner.drop(self)

    def state(self, waiter: PollWaiter | None) -> int:
        """The wanted events that hold now."""
        wanted = self.events & 0xFFFF
        if wanted == 0 and self.events & EPOLLONESHOT != 0:
            return 0  # switched off
        wanted |= POLLERR | POLLHUP
        self.waiter.wanted = wanted
        return self.file.poll(waiter) & wanted


class _All(Linkage[Member]):
    @inline
    def links(self, entry: Member) -> Links[Member]:
        return entry.set_links


class _Ready(Linkage[Member]):
    @inline
    def links(self, entry: Member) -> Links[Member]:
        return entry.ready_links


_ALL: Final = _All()
_READY: Final = _Ready()


class Walk:
    """Where a walk through nested sets is. It has safe points, so `drop` moves it on. Base class: there is one walk up
    and one down at a time.
    """

    def begin(self, file: File) -> None:
        """Begin at the first neighbour of a file."""
        panic("a walk without a direction")

    def goes_on(self) -> bool:
        """Whether there are more neighbours."""
        return False

    def next(self) -> File | None:
        """The next neighbour, which the walk passes; None if it is no set's."""
        return None


@final
class _Above(Walk):
    """Through the sets that have a file."""

    def __init__(self) -> None:
        self.watcher: FileWatcher | None = None  # the next

    def begin(self, file: File) -> None:
        self.watcher = file.watchers

    def goes_on(self) -> bool:
        return self.watcher is not None

    def next(self) -> File | None:
        watcher = self.watcher
        if watcher is None:
            return None
        self.watcher = watcher.next_watcher
        return watcher.owner if isinstance(watcher, Member) else None


@final
class _Below(Walk):
    """Through the files that a set has."""

    def __init__(self) -> None:
        self.member: Member | None = None  # the next

    def begin(self, file: File) -> None:
        self.member = file.all[FIRST] if isinstance(file, EpollFile) else None

    def goes_on(self) -> bool:
        return self.member is not None

    def next(self) -> File | None:
        member = self.member
        if member is None:
            return None
        self.member = member.set_links[NEXT]
        return member.file


ABOVE: Final = _Above()
BELOW: Final = _Below()


@final
class _SameNumber:
    """The members of a set that were added under one descriptor: several if it was reused while files live on, and
    then as many as a program likes. Each has a file of its own.
    """

    def __init__(self) -> None:
        self._only: Member | None = None
        self._many: dict[File, Member] | None = None  # instead, once there was a second one; in the order of coming

    def is_empty(self) -> bool:
        many = self._many
        return self._only is None and (many is None or len(many) == 0)

    def find(self, file: File) -> Member | None:
        only = self._only
        if only is not None:
            return only if only.file is file else None
        many = self._many
        return None if many is None else many.get(file)

    def at(self, index: int) -> Member | None:
        """The member at an index; None past the end."""
        many = self._many
        if many is None:
            return self._only if index == 0 else None
        if index < len(many):
            for member in many.values():
                if index == 0:
                    return member
                index -= 1
        return None

    def add(self, member: Member) -> None:
        """Raises MemoryError."""
        many = self._many
        only = self._only
        if many is None:
            if only is None:
                self._only = member
                return
            many = {only.file: only}
        many[member.file] = member
        self._many = many
        self._only = None

    def remove(self, member: Member) -> None:
        """Does nothing if it is not there."""
        if self._only is member:
            self._only = None
        many = self._many
        if many is not None and many.get(member.file) is member:
            del many[member.file]


class EpollFile(DescriptorFile):
    """An epoll set."""

    all: Links[Member]  # the newest first
    ready: Links[Member]

    def __init__(self, flags: int, uid: KernelUid) -> None:
        self.members: dict[int, _SameNumber] = {}  # by descriptor
        self.queue: WaitQueue = WaitQueue()
        super().__init__(anonymous_path(b"[eventpoll]"), O_RDWR | flags)
        self.uid: KernelUid = uid  # the user charged for the members
        self.account: UserAccount | None = None  # since the first member came
        self.turns: int = 0
        self.seen: int = 0  # the last search that found it (epoll_nesting.py)
        self.passed: int = 0  # the last search that found few enough paths up from it

    def can_read(self) -> bool:
        return False

    def can_write(self) -> bool:
        return False

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + len(self.members) * _MEMBER_BYTES

    def ioctl(self, command: int, argument: int) -> int:
        raise Errno(EINVAL)  # not ENOTTY: Linux has commands for busy polling here

    # ---- The set ----------------------------------------------------------------------------------------------

    def find(self, descriptor: int, file: File) -> Member | None:
        same = self.members.get(descriptor)
        return None if same is None else same.find(file)

    def watched_file(self, descriptor: int, index: int) -> File:
        """The file watched under a number; `index` distinguishes those that share one. Raises ENOENT."""
        same = self.members.get(descriptor)
        member = None if same is None else same.at(index)
        if member is None:
            raise Errno(ENOENT)
        return member.file

    def check_add(self, descriptor: int, file: File, events: int) -> UserAccount:
        """The account that pays for another member. EPERM for files that are always ready, ENOSPC if the user has too
        many members; also EINVAL, EEXIST, MemoryError.
        """
        if file is self:
            raise Errno(EINVAL)
        if not file.can_be_watched():
            raise Errno(EPERM)
        if events & EPOLLEXCLUSIVE != 0 and events & ~_EXCLUSIVE_MAY != 0:
            raise Errno(EINVAL)
        if self.find(descriptor, file) is not None:
            raise Errno(EEXIST)
        account = self.account
        if account is None:
            account = account_of(self.uid)
            self.account = account
            _WATCHES.prepare()
        if account.epoll_watches >= _WATCHES.value:
            raise Errno(ENOSPC)
        return account

    def add(self, descriptor: int, file: File, events: int, data: int) -> None:
        """Add a member wherever that nests sets. Raises what `check_add` raises."""
        account = self.check_add(descriptor, file, events)
        member = Member(self, descriptor, file, events, data)
        account.epoll_watches += 1
        _ALL.prepend(self.all, member)
        member.watch(file)
        try:
            self._enter(member)
            is_ready = member.state(member.waiter) != 0
        except MemoryError:
            if member.owner is self:  # nobody removed it while its file was asked
                self.drop(member)
            raise
        if is_ready:
            member.mark_ready()

    def _enter(self, member: Member) -> None:
        """Raises MemoryError: `drop` knows whether the member is in a list."""
        same = self.members.get(member.descriptor)
        if same is None:
            same = _SameNumber()
            self.members[member.descriptor] = same
        same.add(member)

    def change(self, descriptor: int, file: File, events: int, data: int) -> None:
        """EPOLL_CTL_MOD."""
        member = self.find(descriptor, file)
        if member is None:
            raise Errno(ENOENT)
        if (member.events | events) & EPOLLEXCLUSIVE != 0:
            raise Errno(EINVAL)
        member.events = events
        member.data = data
        if member.state(member.waiter) != 0:
            member.mark_ready()

    def remove(self, descriptor: int, file: File) -> None:
        """EPOLL_CTL_DEL."""
        member = self.find(descriptor, file)
        if member is None:
            raise Errno(ENOENT)
        self.drop(member)

    def drop(self, member: Member) -> None:
        if BELOW.member is member:
            BELOW.member = member.set_links[NEXT]
        if ABOVE.watcher is member:
            ABOVE.watcher = member.next_watcher
        member.stop_watching(member.file)
        _ALL.remove(self.all, member)
        member.waiter.close()
        member.waiter.member = None
        member.owner = None
        account = self.account
        if account is not None:
            account.epoll_watches -= 1
        self._unlist(member)
        self._leave_number(member)

    @noinline
    def _leave_number(self, member: Member) -> None:
        same = self.members.get(member.descriptor)
        if same is not None:
            same.remove(member)
            if same.is_empty():
                del self.members[member.descriptor]

    def close(self) -> None:
        # One by one, while files that end drop theirs.
        member = self.all[FIRST]
        while member is not None:
            self.drop(member)
            pace(_DROP_COST)
            member = self.all[FIRST]
        account = self.account
        if account is not None:
            account.release()

    # ---- The ready list ---------------------------------------------------------------------------------------

    def list_member(self, member: Member) -> None:
        if not member.is_listed:
            member.is_listed = True
            _READY.append(self.ready, member)

    def _unlist(self, member: Member) -> None:
        if not member.is_listed:
            return
        member.is_listed = False
        _READY.remove(self.ready, member)

    def begin_turn(self) -> int:
        """The number of a new turn, for `next_ready`: each member is found once in it."""
        self.turns += 1
        return self.turns

    def next_ready(self, turn: int, record: Span[u8]) -> Member | None:
        """Take the first ready member off the list, and fill the record (struct epoll_event) with its event. None once
        this turn has found all. The caller calls `give` at once. Sleeps if very many are not ready.
        """
        while True:
            member = self.ready[FIRST]
            if member is None or member.turn == turn:
                return None
            self._unlist(member)
            state = member.state(None)
            if state != 0 and member.owner is self:  # it may have been removed while its file was asked
                record.store_u32(0, state)
                record.store_u64(4, u64(member.data))
                return member
            pace(_ASK_COST)

    @inline
    def give(self, member: Member, turn: int) -> None:
        """A program gets a member's event: a level-triggered one goes to the end of the list, so that all get theirs; a
        one-shot one is disabled.
        """
        if member.events & EPOLLONESHOT != 0:
            member.events &= ~0xFFFF
        elif member.events & EPOLLET == 0:
            member.turn = turn
            self.list_member(member)

    def take_back(self, member: Member, events: int) -> None:
        """The program did not get it after all: the member, which wanted these `events`, is the first again."""
        if member.owner is not self:
            return  # it was removed meanwhile
        if member.events == events & ~0xFFFF:
            member.events = events
        self._unlist(member)
        member.is_listed = True
        _READY.prepend(self.ready, member)
        self.queue.wake_all()

    def has_ready(self) -> bool:
        """Whether any listed member is still ready; removes those that are not. Sleeps if there are very many."""
        while True:
            member = self.ready[FIRST]
            if member is None:
                return False
            wakes = member.wakes
            if member.state(None) != 0 and member.owner is self:
                return True
            if member.wakes == wakes:  # else it may have become ready while its file was asked
                self._unlist(member)
            pace(_ASK_COST)

    @recursion(6)  # DEPTH_LIMIT sets in sets, and this one
    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.queue)
        return READABLE if self.has_ready() else 0
