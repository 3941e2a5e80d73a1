"""Futexes with priority inheritance: locks whose word holds the owner's number (futex(2), FUTEX_LOCK_PI).

The program takes and gives a free lock by itself. With a waiter the kernel knows the lock: a `PiState` with its owner
and its waiters, the most urgent first. Unlocking hands the lock over to the first of them. Until then the owner runs
with the priority of its most urgent waiter, and if it waits for such a lock itself, so does that one's owner, and so
on.

Invariants: a state has waiters and an owner; it is in the chain of its owner's `TaskLocks`, and in the bucket of its
key. A thread waits for at most one lock, and has `TaskLocks` while it does. Only joining a lock allocates: handing it
over never fails. A lock whose owner has ended is an heir's from then on; nobody else takes it before the heir has
written its number into the word.

Context: sleeps. Raises EAGAIN, EDEADLK, EFAULT, EINTR, EINVAL, EPERM, ERESTARTNOINTR, ESRCH,
ETIMEDOUT, MemoryError.
"""

from typing import Final

from kernel.lang import (
    EAGAIN,
    EDEADLK,
    EINTR,
    EINVAL,
    ENOMEM,
    EPERM,
    ERESTARTNOINTR,
    ERESTARTSYS,
    ESRCH,
    ETIMEDOUT,
    Errno,
    UserAddr,
    final,
    noraise,
)
from kernel.lib import user
from kernel.sched import sleep_until
from kernel.sched.scheduler import lend_priority, wake
from kernel.sched.thread import DEADLINE_URGENCY
from kernel.task.belongings import LendingLocks
from kernel.task.futex import BITSET_ANY, BUCKETS, FutexKey, FutexWaiter, LockMove, enter, key_of, leave, waiters_on
from kernel.task.pids import find_task
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns

_WAITERS: Final = 0x8000_0000
_OWNER_DIED: Final = 0x4000_0000
_OWNER_MASK: Final = 0x3FFF_FFFF
_CHAIN_LIMIT: Final = 1024
_REST_NS: Final = 1_000_000  # until a lock that is about to change hands is looked at again


@final
class PiWaiter:
    """A thread that waits for a lock."""

    def __init__(self, task: Task) -> None:
        self.task: Task = task
        self.state: PiState | None = None
        self.has_lock: bool = False
        self.owner_died: bool = False  # it got the lock from a thread that ended: it has to write the word
        self.key: FutexKey | None = None  # then: of the lock
        self.next_heir: PiWaiter | None = None


@final
class PiState:
    """A lock with waiters."""

    def __init__(self, key: FutexKey, owner: Task) -> None:
        self.key: FutexKey = key
        self.owner: Task | None = owner
        self.next: PiState | None = None  # of the same owner
        self.waiters: list[PiWaiter] = []

    def enter(self, waiter: PiWaiter) -> None:
        """Queue a waiter after those that are as urgent. Raises MemoryError."""
        index = len(self.waiters)
        while index > 0 and waiter.task.goes_before(self.waiters[index - 1].task):
            index -= 1
        self.waiters.insert(index, waiter)

    @noraise
    def move(self, waiter: PiWaiter) -> None:
        """A waiter's urgency has changed: it moves after those that are as urgent."""
        waiters = self.waiters
        index = waiters.index(waiter)
        while index + 1 < len(waiters) and not waiter.task.goes_before(waiters[index + 1].task):
            waiters[index] = waiters[index + 1]
            index += 1
        while index > 0 and waiter.task.goes_before(waiters[index - 1].task):
            waiters[index] = waiters[index - 1]
            index -= 1
        waiters[index] = waiter


@final
class TaskLocks(LendingLocks):
    """The locks of a task."""

    def __init__(self) -> None:
        self.owned: PiState | None = None  # the first of its locks that have waiters
        self.waiter: PiWaiter | None = None  # while it waits for one itself


@final
class Heirs:
    """The waiters that have got their locks from threads that ended, and have not written the words yet."""

    def __init__(self) -> None:
        self.first: PiWaiter | None = None

    @noraise
    def enter(self, waiter: PiWaiter, key: FutexKey) -> None:
        """A thread ends whose lock the waiter gets."""
        waiter.owner_died = True
        waiter.key = key
        waiter.next_heir = self.first
        self.first = waiter

    @noraise
    def leave(self, waiter: PiWaiter) -> None:
        """It has written the word."""
        following = waiter.next_heir
        waiter.next_heir = None
        before = self.first
        if before is waiter:
            self.first = following
            return
        while before is not None and before.next_heir is not waiter:
            before = before.next_heir
        if before is not None:
            before.next_heir = following

    def have(self, key: FutexKey) -> bool:
        """Whether a lock is one of theirs."""
        heir = self.first
        while heir is not None:
            found = heir.key
            if found is not None and found.same(key):
                return True
            heir = heir.next_heir
        return False


_HEIRS: Final = Heirs()
_states: list[list[PiState]] = [[] for _ in range(BUCKETS)]


@noraise
def _own(locks: TaskLocks, state: PiState) -> None:
    """Make the task with these locks the owner."""
    state.next = locks.owned
    locks.owned = state


def _disown(task: Task, state: PiState) -> None:
    locks = _locks(task)
    if locks is None:
        return
    following = state.next
    state.next = None
    before = locks.owned
    if before is state:
        locks.owned = following
        return
    while before is not None:
        if before.next is state:
            before.next = following
            return
        before = before.next


def _locks(task: Task) -> TaskLocks | None:
    locks = task.lending
    return locks if isinstance(locks, TaskLocks) else None


def _make_locks(task: Task) -> TaskLocks:
    """Create a task's locks. Raises MemoryError."""
    locks = _locks(task)
    if locks is None:
        locks = TaskLocks()
        task.own().lending = locks
    return locks


def _waiter_of(task: Task) -> PiWaiter | None:
    locks = _locks(task)
    return None if locks is None else locks.waiter


def _waits_no_more(task: Task) -> None:
    locks = _locks(task)
    if locks is not None:
        locks.waiter = None


def _find(key: FutexKey) -> PiState | None:
    for state in _states[key.bucket()]:
        if state.key.same(key):
            return state
    return None


# Locking --------------------------------------------------------------------------------------------------------------


def lock(task: Task, address: UserAddr, shared: bool, deadline_ns: int, waits: bool) -> None:
    """FUTEX_LOCK_PI; FUTEX_TRYLOCK_PI if it does not wait: EAGAIN then."""
    while True:
        key = key_of(task, address, shared)
        value = user.read_u32(address)
        number = value & _OWNER_MASK
        if number == task.own_tid:
            raise Errno(EDEADLK)
        if number == 0 and not _can_replace(address, value):
            continue
        if _is_passing(key):
            if not waits:
                raise Errno(EAGAIN)
            _rest(task)
            continue
        if number == 0:
            if _find(key) is not None:
                raise Errno(EINVAL)
            if user.compare_and_swap_u32(address, value, value & _OWNER_DIED | task.own_tid) == value:
                return
            continue
        if value & _WAITERS == 0 and user.compare_and_swap_u32(address, value, value | _WAITERS) != value:
            continue
        owner = find_task(task.pids.resolve(number))
        if owner is None:
            raise Errno(ESRCH)
        if owner.is_exiting:
            _let_end(task, owner, key, address, value | _WAITERS)
            continue
        state = _find(key)
        if state is not None and state.owner is not owner:
            raise Errno(EINVAL)
        if owner.is_exiting or _is_passing(key) or user.read_u32(address) & _OWNER_MASK != number:
            continue  # user memory had to be waited for
        if not waits:
            raise Errno(EAGAIN)
        _wait(task, owner, key, state, address, deadline_ns)
        return


def _is_passing(key: FutexKey) -> bool:
    """Whether a lock is about to change hands: its owner ends, or the thread that has got it from one that ended has
    not written the word yet.
    """
    state = _find(key)
    owner = None if state is None else state.owner
    return _HEIRS.have(key) or (owner is not None and owner.is_exiting)


def _rest(task: Task) -> None:
    """Let others run that something has to be expected of. Raises EINTR if the running thread must end, MemoryError."""
    if task.must_end():
        raise Errno(EINTR)
    sleep_until(monotonic_ns() + _REST_NS, interruptible=False)


def _let_end(task: Task, owner: Task, key: FutexKey, address: UserAddr, value: int) -> None:
    """The owner of a lock ends: it will mark the word, which held `value`, or hand the lock over. Raises ESRCH if it
    has left all its locks and not this one; and what `_rest` raises.
    """
    if owner.memory is None and not _is_passing(key) and user.read_u32(address) == value:
        raise Errno(ESRCH)
    _rest(task)


def _wait(task: Task, owner: Task, key: FutexKey, state: PiState | None, address: UserAddr, deadline_ns: int) -> None:
    waiter = PiWaiter(task)
    state = _join(waiter, owner, key, state)
    code = 0
    try:
        while not waiter.has_lock:
            if not sleep_until(deadline_ns) and not waiter.has_lock:
                raise Errno(ETIMEDOUT)
    except Errno as error:
        code = error.code
    except MemoryError:
        code = ENOMEM
    _waits_no_more(task)
    if not waiter.has_lock:
        _give_up(waiter, state)
        raise Errno(ERESTARTNOINTR if code == ERESTARTSYS else code)
    if waiter.owner_died:
        _write_as_heir(waiter, address)


def _join(waiter: PiWaiter, owner: Task, key: FutexKey, state: PiState | None) -> PiState:
    """Have a thread wait for the owner of a lock. Raises EDEADLK, MemoryError."""
    _check_chain(waiter.task, owner)
    locks = _make_locks(waiter.task)
    if state is None:
        owned = _make_locks(owner)
        state = PiState(key, owner)
        state.enter(waiter)
        _states[key.bucket()].append(state)
        _own(owned, state)  # last: no one may find a state without waiters
    else:
        state.enter(waiter)
    waiter.state = state
    locks.waiter = waiter
    _spread(owner)
    return state


def _write_as_heir(waiter: PiWaiter, address: UserAddr) -> None:
    """The running thread has got a lock from one that ended. Raises EFAULT."""
    try:
        _write_owner(address, waiter.task.own_tid | _WAITERS | _OWNER_DIED)
    finally:
        _HEIRS.leave(waiter)


def _write_owner(address: UserAddr, fresh: int) -> None:
    value = user.read_u32(address)
    while True:
        found = user.compare_and_swap_u32(address, value, fresh)
        if found == value:
            return
        value = found


def _check_chain(task: Task, owner: Task) -> None:
    """Raise EDEADLK if the owner waits, perhaps through others, for a lock of `task`."""
    holder: Task | None = owner
    for _ in range(_CHAIN_LIMIT):
        if holder is None:
            return
        if holder is task:
            raise Errno(EDEADLK)
        waiter = _waiter_of(holder)
        state = waiter.state if waiter is not None else None
        holder = state.owner if state is not None else None


def _give_up(waiter: PiWaiter, state: PiState) -> None:
    """A signal or the time limit came first."""
    state.waiters.remove(waiter)
    waiter.state = None
    owner = state.owner
    if len(state.waiters) == 0:
        _forget(state)
    if owner is not None:
        _spread(owner)


def _forget(state: PiState) -> None:
    """Drop a state without waiters."""
    owner = state.owner
    state.owner = None
    if owner is not None:
        _disown(owner, state)
    _states[state.key.bucket()].remove(state)


def _spread(owner: Task) -> None:
    """Lend the owner the priority of its most urgent waiter, then the owner of the lock it waits for, and so on."""
    holder: Task | None = owner
    for _ in range(_CHAIN_LIMIT):
        if holder is None:
            return
        first: Task | None = None
        locks = _locks(holder)
        state = locks.owned if locks is not None else None
        while state is not None:
            task = state.waiters[0].task
            if first is None or task.goes_before(first):
                first = task
            state = state.next
        lent = 0 if first is None else first.urgency
        deadline_ns = 0 if first is None or lent != DEADLINE_URGENCY else first.precedence.deadline_ns
        if lent == holder.precedence.lent_priority and deadline_ns == holder.precedence.lent_deadline_ns:
            return
        lend_priority(holder, lent, deadline_ns)
        waiter = _waiter_of(holder)
        blocked_on = waiter.state if waiter is not None else None
        holder = None
        if waiter is not None and blocked_on is not None:
            blocked_on.move(waiter)
            holder = blocked_on.owner


# Unlocking ------------------------------------------------------------------------------------------------------------


def unlock(task: Task, address: UserAddr, shared: bool) -> None:
    """FUTEX_UNLOCK_PI."""
    while True:
        value = user.read_u32(address)
        if value & _OWNER_MASK != task.own_tid:
            raise Errno(EPERM)
        key = key_of(task, address, shared)
        if not _can_replace(address, value):
            continue
        state = _find(key)
        if state is None:
            if user.compare_and_swap_u32(address, value, 0) == value:
                return
            continue
        if state.owner is not task:
            raise Errno(EINVAL)
        heir = state.waiters[0]
        if user.compare_and_swap_u32(address, value, _WAITERS | task.pids.shown(heir.task.tid)) == value:
            _hand_over(state, heir)
            return


def _can_replace(address: UserAddr, value: int) -> bool:
    """Whether the word holds `value`. Its page can then be written without a wait: waiters neither come nor go between
    a look at them and the store.
    """
    return user.compare_and_swap_u32(address, value, value) == value


@noraise
def _hand_over(state: PiState, heir: PiWaiter) -> None:
    """Make the first waiter the owner. Never fails: it waited, so it has `TaskLocks`."""
    old = state.owner
    state.waiters.remove(heir)
    heir.state = None
    heir.has_lock = True
    _waits_no_more(heir.task)
    if len(state.waiters) == 0:
        _forget(state)
    else:
        if old is not None:
            _disown(old, state)
        locks = _locks(heir.task)
        assert locks is not None, "a waiter without locks"
        state.owner = heir.task
        _own(locks, state)
        _spread(heir.task)
    if old is not None:
        _spread(old)
    wake(heir.task)


@noraise
def leave_states(task: Task) -> None:
    """A thread ends: its locks go to their waiters, with the mark that it has died. Never sleeps."""
    locks = _locks(task)
    while locks is not None and (state := locks.owned) is not None:
        heir = state.waiters[0]
        _HEIRS.enter(heir, state.key)
        _hand_over(state, heir)


# From a futex to a lock -----------------------------------------------------------------------------------------------


@final
class LockRequest(LockMove):
    """FUTEX_WAIT_REQUEUE_PI: a wake moves the waiter to the lock `target`, for which it waits from then on."""

    def __init__(self, target: FutexKey, waiter: PiWaiter) -> None:
        self.target: FutexKey = target
        self.waiter: PiWaiter = waiter
        self.is_moved: bool = False


def wait_and_lock(
    task: Task, address: UserAddr, shared: bool, expected: int, deadline_ns: int, lock_address: UserAddr
) -> None:
    """FUTEX_WAIT_REQUEUE_PI: sleep while the word holds `expected`; returns with the lock. A condition variable's wait:
    woken threads would only wait for the mutex.
    """
    if address == lock_address:
        raise Errno(EINVAL)
    target = key_of(task, lock_address, shared)
    key = key_of(task, address, shared)
    request = LockRequest(target, PiWaiter(task))
    waiter = FutexWaiter(key, BITSET_ANY, task)
    waiter.move = request
    if user.read_u32(address) != expected:
        raise Errno(EAGAIN)
    if key.same(target):
        raise Errno(EINVAL)
    enter(waiter)
    code = 0
    try:
        while not request.waiter.has_lock:
            if not sleep_until(deadline_ns) and not request.waiter.has_lock:
                raise Errno(ETIMEDOUT)
    except Errno as error:
        code = error.code
    except MemoryError:
        code = ENOMEM
    if not request.is_moved:
        leave(waiter)
        raise Errno(ERESTARTNOINTR if code == ERESTARTSYS else code)
    _waits_no_more(task)
    if not request.waiter.has_lock:
        state = request.waiter.state
        if state is not None:
            _give_up(request.waiter, state)
        # The wait cannot be restarted: it was woken. The program will notice.
        raise Errno(EAGAIN if code == ERESTARTSYS else code)
    if request.waiter.owner_died:
        _write_as_heir(request.waiter, lock_address)


def move_to_lock(task: Task, address: UserAddr, shared: bool, expected: int, lock_address: UserAddr, limit: int) -> int:
    """FUTEX_CMP_REQUEUE_PI: the first waiter gets the lock if it is free; otherwise it and `limit` others wait for it.
    Returns how many they are.
    """
    if address == lock_address:
        raise Errno(EINVAL)
    key = key_of(task, address, shared)
    target = key_of(task, lock_address, shared)
    if key.same(target):
        raise Errno(EINVAL)
    if user.read_u32(address) != expected:
        raise Errno(EAGAIN)
    moved = 0
    while True:
        waiters = waiters_on(key)
        if len(waiters) == 0 or moved > limit:
            return moved
        first = waiters[0]
        request = _request_of(first, target)
        value = user.read_u32(lock_address)
        number = value & _OWNER_MASK
        if number == 0:
            more = _WAITERS if limit > 0 else 0
            fresh = value & _OWNER_DIED | task.pids.shown(request.waiter.task.tid) | more
            if not _can_replace(lock_address, value) or not _still_waits(first, key):
                continue
            if _is_passing(target):
                _rest(task)
                continue
            if _find(target) is not None:
                raise Errno(EINVAL)
            if user.compare_and_swap_u32(lock_address, value, fresh) != value:
                continue
            _take_off(first, request)
            request.waiter.has_lock = True
            wake(request.waiter.task)
            moved += 1
        elif _move_behind_owner(task, first, request, lock_address, value):
            moved += 1


def _request_of(waiter: FutexWaiter, target: FutexKey) -> LockRequest:
    """The waiter's request; EINVAL if it waits for something else."""
    request = waiter.move
    if not isinstance(request, LockRequest) or not request.target.same(target):
        raise Errno(EINVAL)
    return request


def _still_waits(waiter: FutexWaiter, key: FutexKey) -> bool:
    """Checked after reading user memory, which may sleep."""
    return waiter in waiters_on(key)


def _take_off(waiter: FutexWaiter, request: LockRequest) -> None:
    leave(waiter)
    request.is_moved = True


def _move_behind_owner(
    task: Task, first: FutexWaiter, request: LockRequest, lock_address: UserAddr, value: int
) -> bool:
    """Have a waiter wait for the lock, whose word held `value`; False if everything must be checked again."""
    number = value & _OWNER_MASK
    if number == task.pids.shown(request.waiter.task.tid):
        raise Errno(EDEADLK)
    if value & _WAITERS == 0 and user.compare_and_swap_u32(lock_address, value, value | _WAITERS) != value:
        return False
    owner = find_task(task.pids.resolve(number))
    if owner is None:
        raise Errno(ESRCH)
    if owner.is_exiting or _is_passing(request.target):
        _let_end(task, owner, request.target, lock_address, value | _WAITERS)
        return False
    state = _find(request.target)
    if state is not None and state.owner is not owner:
        raise Errno(EINVAL)
    if owner.is_exiting or _is_passing(request.target) or not _still_waits(first, first.key):
        return False
    _join(request.waiter, owner, request.target, state)
    _take_off(first, request)
    return True
