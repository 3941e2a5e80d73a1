"""The nodes that memory is allocated from and lies on, on a machine with one node (kernel/mm/policy.py).

Source: set_mempolicy(2), get_mempolicy(2), mbind(2), set_mempolicy_home_node(2), migrate_pages(2), move_pages(2).
"""

from typing import Final

from arch import USER_END
from kernel.doors.table import syscall
from kernel.lang import EFAULT, EINTR, EINVAL, ENODEV, EPERM, ESRCH, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.lib.pace import is_dying, pace, spend
from kernel.mm.binding import bind, node_of, page_status, policy_at, set_home
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT
from kernel.mm.policy import (
    MPOL_DEFAULT,
    MPOL_INTERLEAVE,
    MPOL_WEIGHTED_INTERLEAVE,
    check_mode,
    has_node,
    has_others,
    make_policy,
)
from kernel.mm.ranges import USER_PAGES, pages_of
from kernel.mm.space import AddressSpace
from kernel.task import current
from kernel.task.inspection import may_ask_about
from kernel.task.pids import find_task
from kernel.task.task import Task

_MPOL_F_NODE: Final = 1
_MPOL_F_ADDR: Final = 2
_MPOL_F_MEMS_ALLOWED: Final = 4

_MPOL_MF_STRICT: Final = 1
_MPOL_MF_MOVE: Final = 2
_MPOL_MF_MOVE_ALL: Final = 4

_NODE_LIMIT: Final = 1024  # of the sets of nodes that Linux keeps
_MOST_BITS: Final = 8 * 4096  # that a program may pass
_NODE_SET_BYTES: Final = 8  # of a set with all nodes that this machine could have
_STATUS_CHUNK: Final = 16  # pages reported at once by move_pages
_WORD_COST: Final = 30  # instructions, for `pace`
_PAGE_COST: Final = 500
_WRAPPED: Final = -62  # from here to -1, rounding up to whole words leaves none


def _read_nodes(address: UserAddr, limit: int) -> bytes:
    """The set of nodes at an address, without trailing zeros; `limit` is one more than its bits. It must not contain
    impossible nodes. Raises EINVAL, EFAULT.
    """
    if limit == 1 or address == 0:
        return b""
    if limit < 1 or limit > _MOST_BITS + 1:
        raise Errno(EINVAL)
    bits = limit - 1
    words = bits + 63 >> 6
    index = words - 1
    while index >= _NODE_LIMIT >> 6:
        if user.read_i64(user.at(address, index * 8)) != 0:
            raise Errno(EINVAL)
        pace(_WORD_COST)
        index -= 1
    found = bytearray(user.read_bytes(address, min(words, _NODE_LIMIT >> 6) * 8))
    if bits < _NODE_LIMIT:
        for place in range(bits >> 3, len(found)):
            found[place] &= (1 << (bits & 7)) - 1 if place == bits >> 3 else 0
    end = len(found)
    while end > 0 and found[end - 1] == 0:
        end -= 1
    return bytes(found[:end])


def _write_nodes(address: UserAddr, limit: int, nodes: bytes) -> None:
    """Write a set of nodes to the program's room for `limit` - 1 bits. Raises EINVAL, EFAULT."""
    room = 0
    if 1 <= limit <= _MOST_BITS + 1:
        room = (limit - 1 + 63 >> 6) * 8
    elif limit < _WRAPPED or limit > 0:
        raise Errno(EINVAL)
    if room > _NODE_SET_BYTES:
        user.clear(user.at(address, _NODE_SET_BYTES), room - _NODE_SET_BYTES)
    if room > 0:
        shown = bytearray(nodes[:_NODE_SET_BYTES])
        while len(shown) < _NODE_SET_BYTES:
            shown.append(0)
        user.write_bytes(address, bytes(shown))


def _pages(start: int, length: int) -> tuple[int, int]:
    """A range of whole pages, truncated at the end of user memory; empty if it has none. Raises EINVAL (it wraps)."""
    first, end_page = pages_of(start, length)
    if end_page < first:
        raise Errno(EINVAL)
    if end_page == first:
        return 0, 0
    return min(first, USER_PAGES) << PAGE_SHIFT, min(end_page, USER_PAGES + 1) << PAGE_SHIFT


# ---- policies -------------------------------------------------------------------------------------------------------


@syscall("set_mempolicy", status="Full", args="flags:mempolicy <bytes[128]? size")
def set_mempolicy(mode: i32, nodes: UserAddr, limit: int) -> int:
    """set_mempolicy(2)."""
    check_mode(mode)
    policy = make_policy(mode, _read_nodes(nodes, limit))
    task = current()
    if policy is not None or task.belongings is not None:
        task.own().memory_policy = policy
    return 0


@syscall("get_mempolicy", status="Full", args=">int? >bytes[128]? size address flags:1|2|4")
def get_mempolicy(mode: UserAddr, nodes: UserAddr, limit: int, address: int, flags: int) -> int:
    """get_mempolicy(2)."""
    if nodes != 0 and limit == 0:
        raise Errno(EINVAL)
    if flags & ~(_MPOL_F_NODE | _MPOL_F_ADDR | _MPOL_F_MEMS_ALLOWED) != 0:
        raise Errno(EINVAL)
    if flags & _MPOL_F_MEMS_ALLOWED != 0:
        if flags != _MPOL_F_MEMS_ALLOWED:
            raise Errno(EINVAL)
        number = 0
        shown = b"\1"
    else:
        number, shown = _policy(address, flags)
    if mode != 0:
        user.write_u32(mode, number)
    if nodes != 0:
        _write_nodes(nodes, limit, shown)
    return 0


def _policy(address: int, flags: int) -> tuple[int, bytes]:
    """Mode or node, and the nodes, of the thread's policy or of that at an address. Raises EINVAL, EFAULT, ENOMEM."""
    task = current()
    policy = task.memory_policy
    number = MPOL_DEFAULT
    if flags & _MPOL_F_ADDR != 0:
        if address < 0 or address >= USER_END:
            raise Errno(EFAULT)
        policy = policy_at(task.space, address)
    elif address != 0:
        raise Errno(EINVAL)
    if flags & _MPOL_F_NODE != 0:
        if flags & _MPOL_F_ADDR != 0:
            number = node_of(task.space, address)
        elif policy is None or (policy.mode != MPOL_INTERLEAVE and policy.mode != MPOL_WEIGHTED_INTERLEAVE):
            raise Errno(EINVAL)
    elif policy is not None:
        number = policy.number
    return number, b"" if policy is None else policy.nodes()


@syscall("mbind", status="Full", args="address size flags:mempolicy <bytes[128]? size flags:1|2|4")
def mbind(start: int, length: int, mode: i32, nodes: UserAddr, limit: int, flags: u32) -> int:
    """mbind(2)."""
    check_mode(mode)
    asked = _read_nodes(nodes, limit)
    _check_move_flags(flags, _MPOL_MF_STRICT | _MPOL_MF_MOVE | _MPOL_MF_MOVE_ALL)
    if start & PAGE_MASK != 0:
        raise Errno(EINVAL)
    first, end = _pages(start, length)
    if first == end:
        return 0
    policy = make_policy(mode, asked)
    refuses_others = policy is not None and flags == _MPOL_MF_STRICT and not has_node(asked)
    bind(current().space, first, end, policy, refuses_others)
    return 0


def _check_move_flags(flags: int, known: int) -> None:
    """Raise EINVAL, or EPERM for callers that may not move pages used by others."""
    if flags & ~known != 0:
        raise Errno(EINVAL)
    if flags & _MPOL_MF_MOVE_ALL != 0 and not current().credentials.capable(CAP_SYS_NICE):
        raise Errno(EPERM)


@syscall("set_mempolicy_home_node", status="Full", args="address size int flags:0")
def set_mempolicy_home_node(start: int, length: int, node: int, flags: int) -> int:
    """set_mempolicy_home_node(2)."""
    if start & PAGE_MASK != 0 or flags != 0 or node != 0:
        raise Errno(EINVAL)
    first, end = _pages(start, length)
    if first == end:
        return 0
    set_home(current().space, first, end, node)
    return 0


# ---- pages ----------------------------------------------------------------------------------------------------------


def _task_at(pid: int) -> Task:
    """A process, 0 for the caller's. Raises ESRCH, EPERM."""
    task = current()
    if pid != 0:
        found = find_task(task.pids.resolve(pid)) if pid > 0 else None
        if found is None:
            raise Errno(ESRCH)
        if not may_ask_about(task, found.process, found):
            raise Errno(EPERM)
        task = found
    return task


def _memory_of(task: Task) -> AddressSpace:
    """Its address space. Raises EINVAL if it has none any more."""
    space = task.memory
    if space is None:
        raise Errno(EINVAL)
    return space


@syscall("migrate_pages", status="Full", args="pid size <bytes[128]? <bytes[128]?")
def migrate_pages(pid: i32, limit: int, old: UserAddr, new: UserAddr) -> int:
    """migrate_pages(2): all pages are on this node, and stay there."""
    _read_nodes(old, limit)
    wanted = _read_nodes(new, limit)
    task = _task_at(pid)
    if has_others(wanted) and not current().credentials.capable(CAP_SYS_NICE):
        raise Errno(EPERM)
    if not has_node(wanted):
        raise Errno(EINVAL)
    _memory_of(task)
    return 0


@syscall("move_pages", status="Full", args="pid count <address[count] <int[count]? >int[count] flags:2|4")
def move_pages(pid: i32, count: int, pages: UserAddr, nodes: UserAddr, status: UserAddr, flags: i32) -> int:
    """move_pages(2)."""
    _check_move_flags(flags, _MPOL_MF_MOVE | _MPOL_MF_MOVE_ALL)
    space = _memory_of(_task_at(pid))
    space.acquire()
    try:
        if nodes != 0:
            _move_pages(space, count, pages, nodes, status)
        else:
            _tell_of_pages(space, count, pages, status)
    finally:
        space.release()
    return 0


def _move_pages(space: AddressSpace, count: int, pages: UserAddr, nodes: UserAddr, status: UserAddr) -> None:
    """Each page is where it is wanted, or is wanted on a missing node. A negative count is a very large one."""
    done = 0
    while done != count:
        address = user.read_i64(user.at(pages, done * 8))
        if user.read_i32(user.at(nodes, done * 4)) != 0:
            raise Errno(ENODEV)
        user.write_i32(user.at(status, done * 4), page_status(space, address))
        done += 1
        _rest()


def _tell_of_pages(space: AddressSpace, count: int, pages: UserAddr, status: UserAddr) -> None:
    done = 0
    while done != count:
        part = min(count - done, _STATUS_CHUNK) if count > 0 else _STATUS_CHUNK  # fits: 0 <= done <= count
        addresses: list[int] = []
        for index in range(done, done + part):
            addresses.append(user.read_i64(user.at(pages, index * 8)))
        for index in range(part):
            user.write_i32(user.at(status, (done + index) * 4), page_status(space, addresses[index]))
            spend(_PAGE_COST)
        done += part
        _rest()


def _rest() -> None:
    """Between two pages or a few. Raises EINTR."""
    pace(_PAGE_COST)
    if is_dying():
        raise Errno(EINTR)
