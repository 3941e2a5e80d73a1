"""epoll(7): epoll_create(2), epoll_ctl(2), epoll_wait(2)."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC
from kernel.ipc.epoll import EPOLLEXCLUSIVE, EVENT_SIZE, EpollFile
from kernel.ipc.epoll_nesting import add_member
from kernel.lang import EINTR, EINVAL, EPERM, ERESTARTNOHAND, Array, Errno, UserAddr, i32, u8
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.sched import Poller
from kernel.syscalls.descriptor_arguments import borrowed_file, file_at
from kernel.syscalls.timeouts import deadline_after, temporary_mask, timespec_ns
from kernel.task import current
from kernel.time.timers import FOREVER_NS

_EPOLL_CTL_ADD: Final = 1
_EPOLL_CTL_DEL: Final = 2
_EPOLL_CTL_MOD: Final = 3
_MAX_EVENTS: Final = 0x7FFFFFFF // EVENT_SIZE
_EVENT_COST: Final = 400  # instructions, for `pace`


@syscall("epoll_create", status="Full", args="int -> fd:epoll")
def epoll_create(size: i32) -> int:
    if size <= 0:
        raise Errno(EINVAL)
    return epoll_create1(0)


@syscall("epoll_create1", status="Full", args="flags:EPOLL_CLOEXEC -> fd:epoll")
def epoll_create1(flags: i32) -> int:
    if flags & ~O_CLOEXEC != 0:
        raise Errno(EINVAL)
    return current().files.install(EpollFile(0, current().credentials.uid), flags & O_CLOEXEC != 0)


def _set_at(descriptor: int) -> EpollFile:
    file = borrowed_file(descriptor)
    if not isinstance(file, EpollFile):
        raise Errno(EINVAL)
    return file


@syscall(
    "epoll_ctl", status="Full", args="fd:epoll one:EPOLL_CTL_ADD|EPOLL_CTL_DEL|EPOLL_CTL_MOD fd <epoll_event?",
)  # fmt: skip
def epoll_ctl(set_descriptor: i32, operation: i32, descriptor: i32, event: UserAddr) -> int:
    events = 0
    data = 0
    if operation != _EPOLL_CTL_DEL:
        events = user.read_u32(event)
        data = user.read_i64(user.at(event, 4))
    owner_file = file_at(set_descriptor)
    file = file_at(descriptor)
    if not file.can_be_watched():
        raise Errno(EPERM)
    if not isinstance(owner_file, EpollFile) or file is owner_file:
        raise Errno(EINVAL)
    owner = owner_file
    if events & EPOLLEXCLUSIVE != 0 and (operation != _EPOLL_CTL_ADD or isinstance(file, EpollFile)):
        raise Errno(EINVAL)
    if operation == _EPOLL_CTL_ADD:
        add_member(owner, descriptor, file, events, data)
    elif operation == _EPOLL_CTL_MOD:
        owner.change(descriptor, file, events, data)
    elif operation == _EPOLL_CTL_DEL:
        owner.remove(descriptor, file)
    else:
        raise Errno(EINVAL)
    return 0


def _wait(descriptor: int, events: UserAddr, limit: int, deadline_ns: int) -> int:
    if limit <= 0 or limit > _MAX_EVENTS:
        raise Errno(EINVAL)
    user.check(events, limit * EVENT_SIZE)
    owner = _set_at(descriptor)
    owner.acquire()
    try:
        found = _collect(owner, events, limit)
        if found > 0 or deadline_ns == 0:
            return found
        return _wait_for_events(owner, events, limit, deadline_ns)
    finally:
        owner.release()


def _collect(owner: EpollFile, events: UserAddr, limit: int) -> int:
    """Store up to `limit` events of ready members, one by one, because each copy may fail; returns their number. Raises
    EFAULT if it is the first that cannot be stored.
    """
    turn = owner.begin_turn()
    storage: Array[u8, Literal[12]] = Array()
    record = storage.span()
    total = 0
    while total < limit:
        member = owner.next_ready(turn, record)
        if member is None:
            break
        wanted = member.events
        owner.give(member, turn)
        try:
            user.write_from(user.within(events, total * EVENT_SIZE), record)
        except Errno:
            owner.take_back(member, wanted)
            if total > 0:
                break
            raise
        total += 1
        pace(_EVENT_COST)
    return total


def _wait_for_events(owner: EpollFile, events: UserAddr, limit: int, deadline_ns: int) -> int:
    """The same, once there are any."""
    poller = Poller()
    try:
        while True:
            poller.start()
            poller.wait_on(owner.queue)
            found = _collect(owner, events, limit)
            if found > 0 or not _sleep(poller, deadline_ns):
                return found
    finally:
        poller.close()


def _sleep(poller: Poller, deadline_ns: int) -> bool:
    """epoll_wait never restarts: a signal is EINTR, handler or not (signal(7))."""
    code = 0
    try:
        return poller.sleep_until(deadline_ns)
    except Errno as error:
        code = error.code
    raise Errno(EINTR if code == ERESTARTNOHAND else code)


@syscall("epoll_wait", status="Full", args="fd:epoll >epoll_event[limit] count ms")
def epoll_wait(descriptor: i32, events: UserAddr, limit: i32, timeout_ms: i32) -> int:
    return _wait(descriptor, events, limit, _deadline_ms(timeout_ms))


def _deadline_ms(timeout_ms: int) -> int:
    if timeout_ms == 0:
        return 0
    return deadline_after(timeout_ms * 1_000_000 if timeout_ms > 0 else -1)


@syscall("epoll_pwait", status="Full", args="fd:epoll >epoll_event[limit] count ms <sigset? one:8")
def epoll_pwait(descriptor: i32, events: UserAddr, limit: i32, timeout_ms: i32, mask: UserAddr, mask_size: int) -> int:
    if mask != 0:
        temporary_mask(mask, mask_size)
    return _wait(descriptor, events, limit, _deadline_ms(timeout_ms))


@syscall("epoll_pwait2", status="Full", args="fd:epoll >epoll_event[limit] count <timespec? <sigset? one:8")
def epoll_pwait2(
    descriptor: i32, events: UserAddr, limit: i32, timeout: UserAddr, mask: UserAddr, mask_size: int
) -> int:
    deadline_ns = FOREVER_NS if timeout == 0 else deadline_after(timespec_ns(timeout))
    if mask != 0:
        temporary_mask(mask, mask_size)
    return _wait(descriptor, events, limit, deadline_ns)
