"""Fast user-space locks: the part that sleeps (futex(2), futex(7)).

A waiter is found by its key: for private futexes the address space and the address; for shared ones the memory object
and the page offset in it, or the frame. Waiters with the same key are in one bucket, in the order in which they came.

No other thread can run between reading and comparing the word and queueing the waiter: user memory may have
to be read first, which can sleep, so the value is read again once the page is present.

Context: sleeps. Raises EAGAIN, EINTR kin, EINVAL, ETIMEDOUT, EFAULT, MemoryError.
"""

from typing import Final

from kernel.lang import (
    EAGAIN,
    EFAULT,
    EINVAL,
    ENOSYS,
    ERESTART_RESTARTBLOCK,
    ERESTARTSYS,
    ETIMEDOUT,
    Errno,
    UserAddr,
    final,
    inline,
)
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.area import PROT_WRITE
from kernel.mm.objects import MemoryObject
from kernel.mm.space import AddressSpace
from kernel.sched import sleep_until
from kernel.sched.scheduler import wake as wake_thread
from kernel.task.task import RestartBlock, Task, current
from kernel.time.timers import FOREVER_NS

BITSET_ANY: Final = 0xFFFF_FFFF
BUCKETS: Final = 256
_AT_ONCE: Final = 128  # waiters that are woken or moved before other threads run
# Instructions for a waiter, for `pace`
_WAKE_COST: Final = 600
_MOVE_COST: Final = 60


@final
class FutexKey:
    """The identity of a futex: `offset` in the memory of `space` (private) or in `source` (shared)."""

    def __init__(self, space: AddressSpace | None, source: MemoryObject | None, offset: int) -> None:
        self.space: AddressSpace | None = space
        self.source: MemoryObject | None = source
        self.offset: int = offset

    def matches(self, space: AddressSpace | None, source: MemoryObject | None, offset: int) -> bool:
        """Whether this is the futex with these parts."""
        return self.offset == offset and self.space is space and self.source is source

    def same(self, other: "FutexKey") -> bool:
        """Whether both are the same futex."""
        return self.matches(other.space, other.source, other.offset)

    @inline
    def bucket(self) -> int:
        """The bucket of its waiters."""
        return _bucket_of(self.offset)


@inline
def _bucket_of(offset: int) -> int:
    return ((offset >> 2) ^ (offset >> 12)) & (BUCKETS - 1)


class LockMove:
    """The lock to which a waiter will be moved (FUTEX_WAIT_REQUEUE_PI). Base class: see futex_pi.py."""


class FutexListener:
    """What hears of the wake of a waiter that does not sleep. Base class: see kernel/syscalls/uring_futexes.py."""

    def woken(self, waiter: "FutexWaiter") -> None:
        """The waiter was woken, and is in no bucket any more."""


@final
class FutexWaiter:
    """A sleeping thread, or a request of its."""

    def __init__(self, key: FutexKey, bitset: int, task: Task) -> None:
        self.key: FutexKey = key
        self.bitset: int = bitset
        self.task: Task = task
        self.is_woken: bool = False
        self.move: LockMove | None = None  # it may only be moved to such a lock
        self.listener: FutexListener | None = None  # of a request: no thread sleeps


def enter(waiter: FutexWaiter) -> None:
    """Put a waiter into its key's bucket. Raises MemoryError."""
    _buckets[waiter.key.bucket()].append(waiter)


def leave(waiter: FutexWaiter) -> None:
    """Remove a waiter."""
    _buckets[waiter.key.bucket()].remove(waiter)


def waiters_on(key: FutexKey) -> list[FutexWaiter]:
    """The waiters on a futex, in order of arrival. Raises MemoryError."""
    found: list[FutexWaiter] = []
    for waiter in _buckets[key.bucket()]:
        if waiter.key.same(key):
            found.append(waiter)
    return found


_buckets: list[list[FutexWaiter]] = [[] for _ in range(BUCKETS)]


def _check_word(address: int) -> None:
    if address & 3 != 0:
        raise Errno(EINVAL)
    user.check(address, 4)


def key_of(task: Task, address: int, shared: bool) -> FutexKey:
    """The key of the word at a user address. Raises EINVAL (alignment), EFAULT."""
    _check_word(address)
    space = task.space
    if shared:
        area = space.area_at(address)
        if area is None:
            raise Errno(EFAULT)
        if area.shared and area.source is not None:
            return FutexKey(None, area.source, area.offset_of(address))
        if area.source is None and area.prot & PROT_WRITE == 0:
            raise Errno(EFAULT)  # as Linux, which wants to write to anonymous pages
    return FutexKey(space, None, address)


def wait(task: Task, address: UserAddr, shared: bool, expected: int, bitset: int, deadline_ns: int) -> None:
    """Sleep while the word holds `expected`, until woken or the monotonic clock shows `deadline_ns`."""
    if bitset == 0:
        raise Errno(EINVAL)
    key = key_of(task, address, shared)
    waiter = FutexWaiter(key, bitset, task)
    if user.read_u32(address) != expected:
        raise Errno(EAGAIN)
    bucket = _buckets[key.bucket()]
    bucket.append(waiter)
    try:
        while not waiter.is_woken:
            if not sleep_until(deadline_ns) and not waiter.is_woken:
                raise Errno(ETIMEDOUT)
    except Errno:
        if waiter.is_woken:
            return  # the wake came first: it must not get lost
        raise
    finally:
        if not waiter.is_woken:
            _buckets[waiter.key.bucket()].remove(waiter)


@final
class WantedFutex:
    """One of several futexes to wait on."""

    def __init__(self, address: int, shared: bool, value: int) -> None:
        self.address: int = address
        self.shared: bool = shared
        self.value: int = value


def wait_on_any(task: Task, wanted: list[WantedFutex], deadline_ns: int) -> int:
    """Sleep while all words hold the expected values, until one is woken; returns its index."""
    waiters: list[FutexWaiter] = []
    for each in wanted:
        waiters.append(FutexWaiter(key_of(task, each.address, each.shared), BITSET_ANY, task))
    queued = 0
    try:
        for each in wanted:
            enter(waiters[queued])
            queued += 1
            # Read after the waiter is queued: no wake is lost if the page has to be waited for.
            if user.read_u32(UserAddr(each.address)) != each.value:
                raise Errno(EAGAIN)
        while _woken_of(waiters) < 0:
            if not sleep_until(deadline_ns) and _woken_of(waiters) < 0:
                raise Errno(ETIMEDOUT)
    except Errno:
        if _woken_of(waiters) < 0:
            raise
    finally:
        for index in range(queued):
            if not waiters[index].is_woken:
                leave(waiters[index])
    return _woken_of(waiters)


def _woken_of(waiters: list[FutexWaiter]) -> int:
    """The first one that was woken, or -1."""
    for index in range(len(waiters)):
        if waiters[index].is_woken:
            return index
    return -1


def wake_word(task: Task, address: int, shared: bool, limit: int, bitset: int) -> int:
    """Wake up to `limit` waiters of the word at a user address, as `wake`. A private word needs no key: nothing is
    allocated. Raises EINVAL, EFAULT.
    """
    if shared:
        return _wake_shared(task, address, limit, bitset)
    _check_word(address)
    return _wake_at(task.space, None, address, limit, bitset)


def _wake_shared(task: Task, address: int, limit: int, bitset: int) -> int:
    return wake(key_of(task, address, shared=True), limit, bitset)


def wake(key: FutexKey, limit: int, bitset: int) -> int:
    """Wake up to `limit` waiters whose bit sets meet `bitset`; returns how many. EINVAL for those that may only be
    moved to a lock.
    """
    return _wake_at(key.space, key.source, key.offset, limit, bitset)


def _wake_at(space: AddressSpace | None, source: MemoryObject | None, offset: int, limit: int, bitset: int) -> int:
    limit = min(limit, len(_buckets[_bucket_of(offset)]))  # a thread that waits again meanwhile is not woken again
    woken = 0
    while woken < limit:
        part = _wake_some(space, source, offset, min(limit - woken, _AT_ONCE), bitset)
        woken += part
        if part < _AT_ONCE:
            break
        pace(_AT_ONCE * _WAKE_COST)
    return woken


def _wake_some(space: AddressSpace | None, source: MemoryObject | None, offset: int, limit: int, bitset: int) -> int:
    """Wake up to `limit` waiters in one go, without a safe point. The remaining waiters move up in the bucket."""
    bucket = _buckets[_bucket_of(offset)]
    woken = 0
    kept = 0
    refused = False
    i = 0
    while i < len(bucket) and woken < limit and not refused:
        waiter = bucket[i]
        if waiter.bitset & bitset != 0 and waiter.key.matches(space, source, offset):
            refused = waiter.move is not None
            if not refused:
                waiter.is_woken = True
                listener = waiter.listener
                if listener is None:
                    wake_thread(waiter.task)
                else:
                    listener.woken(waiter)
                woken += 1
                i += 1
            continue
        if kept < i:
            bucket[kept] = waiter
        kept += 1
        i += 1
    _close_gap(bucket, kept, i)
    if refused:
        raise Errno(EINVAL)
    return woken


def _close_gap(bucket: list[FutexWaiter], to: int, start: int) -> None:
    """The waiters from `start` on move up to `to`."""
    if to + 1 == start:
        bucket.pop(to)
    elif to < start:
        del bucket[to:start]


def requeue(source: FutexKey, target: FutexKey, wake_limit: int, move_limit: int) -> int:
    """Wake some waiters of one futex and let others wait on another; returns how many were woken or moved."""
    woken = wake(source, wake_limit, BITSET_ANY)
    if source.same(target):
        return woken
    move_limit = min(move_limit, len(_buckets[source.bucket()]))
    moved = 0
    while moved < move_limit:
        part = _move_some(source, target, min(move_limit - moved, _AT_ONCE))
        moved += part
        if part < _AT_ONCE:
            break
        pace(_AT_ONCE * _MOVE_COST)
    return woken + moved


def _move_some(source: FutexKey, target: FutexKey, limit: int) -> int:
    """`requeue` for as many as are moved in one go. Raises EINVAL, MemoryError."""
    bucket = _buckets[source.bucket()]
    going: list[FutexWaiter] = []
    staying: list[FutexWaiter] = []
    refused = False
    i = 0
    while i < len(bucket) and len(going) < limit and not refused:
        waiter = bucket[i]
        if not waiter.key.same(source):
            staying.append(waiter)
        elif waiter.move is None:
            going.append(waiter)
        else:
            refused = True
            break
        i += 1
    _buckets[target.bucket()].extend(going)  # first: after this, nothing can fail
    for waiter in going:
        waiter.key = target
    for place in range(len(staying)):
        bucket[place] = staying[place]
    _close_gap(bucket, len(staying), i)
    if refused:
        raise Errno(EINVAL)
    return len(going)


def wake_address(task: Task, address: int, limit: int) -> None:
    """Wake waiters at an address, private and shared: for a thread's end. Bad addresses have no waiters."""
    space = task.memory
    if space is None:
        return
    try:
        _wake_at(space, None, address, limit, BITSET_ANY)
        area = space.area_at(address)
        if area is not None and area.shared and area.source is not None:
            _wake_at(None, area.source, area.offset_of(address), limit, BITSET_ANY)
    except Errno:
        return  # one that may only be moved to a lock


# The operation of FUTEX_WAKE_OP ---------------------------------------------------------------------------------------

_OP_SET: Final = 0
_OP_ADD: Final = 1
_OP_OR: Final = 2
_OP_ANDN: Final = 3
_OP_XOR: Final = 4
_OP_SHIFT: Final = 8


def apply_operation(address: UserAddr, encoded: int) -> bool:
    """Change the word as `encoded` says; returns whether its old value passes the comparison in `encoded`. Raises
    ENOSYS, EFAULT.
    """
    operation = (encoded >> 28) & 7
    operand = _signed_12(encoded >> 12)
    if (encoded >> 28) & _OP_SHIFT != 0:
        operand = 1 << (operand & 31)
    old = user.read_u32(address)
    while True:
        fresh = _operate(operation, old, operand) & 0xFFFF_FFFF
        found = user.compare_and_swap_u32(address, old, fresh)
        if found == old:
            break
        old = found
    return _compare((encoded >> 24) & 0xF, _signed_32(old), _signed_12(encoded))


def _operate(operation: int, old: int, operand: int) -> int:
    if operation == _OP_SET:
        return operand
    if operation == _OP_ADD:
        return old + operand
    if operation == _OP_OR:
        return old | operand
    if operation == _OP_ANDN:
        return old & ~operand
    if operation == _OP_XOR:
        return old ^ operand
    raise Errno(ENOSYS)


def _compare(comparison: int, old: int, operand: int) -> bool:
    if comparison == 0:
        return old == operand
    if comparison == 1:
        return old != operand
    if comparison == 2:
        return old < operand
    if comparison == 3:
        return old <= operand
    if comparison == 4:
        return old > operand
    if comparison == 5:
        return old >= operand
    raise Errno(ENOSYS)


def _signed_12(value: int) -> int:
    value &= 0xFFF
    return value - 0x1000 if value >= 0x800 else value


def _signed_32(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


@final
class FutexRestart(RestartBlock):
    """FUTEX_WAIT with a relative time-out: after a signal without a handler it goes on with the remaining time."""

    def __init__(self, address: UserAddr, shared: bool, expected: int, bitset: int, deadline_ns: int) -> None:
        self.address: UserAddr = address
        self.shared: bool = shared
        self.expected: int = expected
        self.bitset: int = bitset
        self.deadline_ns: int = deadline_ns

    def resume(self) -> int:
        return wait_restartable(self.address, self.shared, self.expected, self.bitset, self.deadline_ns)


def wait_restartable(address: UserAddr, shared: bool, expected: int, bitset: int, deadline_ns: int) -> int:
    """FUTEX_WAIT for the running task."""
    task = current()
    code = 0
    try:
        wait(task, address, shared, expected, bitset, deadline_ns)
        return 0
    except Errno as e:
        code = e.code
    if code == ERESTARTSYS and deadline_ns != FOREVER_NS:
        task.restart = FutexRestart(address, shared, expected, bitset, deadline_ns)
        code = ERESTART_RESTARTBLOCK
    raise Errno(code)
