"""Sets of capabilities (capabilities(7)): capget(2), capset(2), and the options of prctl(2) about them."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.capabilities import (
    ALL_CAPABILITIES,
    CAP_SETPCAP,
    LAST_CAPABILITY,
    SECURE_BITS,
    SECURE_KEEP_CAPS,
    SECURE_KEEP_CAPS_LOCKED,
    SECURE_LOCKS,
    SECURE_NO_CAP_AMBIENT_RAISE,
)
from kernel.lib.credentials import Credentials
from kernel.task.acting import real_credentials
from kernel.task.pids import find_task
from kernel.task.task import Task, current

_VERSION_1: Final = 0x1998_0330
_VERSION_2: Final = 0x2007_1026
_VERSION_3: Final = 0x2008_0522
_ENTRY_SIZE: Final = 12  # effective, permitted, inheritable: 32 bits of each

_PR_GET_KEEPCAPS: Final = 7
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_GET_SECUREBITS: Final = 27
_PR_SET_SECUREBITS: Final = 28
_PR_CAP_AMBIENT: Final = 47

_AMBIENT_IS_SET: Final = 1
_AMBIENT_RAISE: Final = 2
_AMBIENT_LOWER: Final = 3
_AMBIENT_CLEAR_ALL: Final = 4


def _entry_count(header: UserAddr) -> int:
    """How many entries a set has. For an unknown version, writes the one that this kernel supports."""
    version = user.read_u32(header)
    if version == _VERSION_1:
        return 1
    if version == _VERSION_2 or version == _VERSION_3:
        return 2
    user.write_u32(header, _VERSION_3)
    raise Errno(EINVAL)


@syscall("capget", status="Full", args="=cap_header >cap_data?")
def capget(header: UserAddr, data: UserAddr) -> int:
    """capget(2)."""
    user.check(header, 8)
    try:
        entries = _entry_count(header)
    except Errno as e:
        if e.code == EINVAL and data == 0:
            return 0  # a program asks for the version
        raise
    if data == 0:
        return 0
    pid = user.read_i32(user.at(header, 4))
    if pid < 0:
        raise Errno(EINVAL)
    task = current()
    target = task if pid == 0 else find_task(task.pids.resolve(pid))
    if target is None:
        raise Errno(ESRCH)
    who = real_credentials(target)
    storage = bytearray(2 * _ENTRY_SIZE)
    out = span_of(storage)
    for entry in range(2):
        shift = 32 * entry
        out.store_u32(_ENTRY_SIZE * entry, who.effective >> shift & 0xFFFF_FFFF)
        out.store_u32(_ENTRY_SIZE * entry + 4, who.permitted >> shift & 0xFFFF_FFFF)
        out.store_u32(_ENTRY_SIZE * entry + 8, who.inheritable >> shift & 0xFFFF_FFFF)
    user.write_from(data, out[0 : _ENTRY_SIZE * entries])
    return 0


@syscall("capset", status="Full", args="=cap_header <cap_data")
def capset(header: UserAddr, data: UserAddr) -> int:
    """capset(2): for the running thread alone. Its permitted set cannot grow, nor its effective set beyond that."""
    user.check(header, 8)
    entries = _entry_count(header)
    pid = user.read_i32(user.at(header, 4))
    task = current()
    if pid != 0 and pid != task.own_tid:
        raise Errno(EPERM)
    effective = _read_set(data, entries)
    permitted = _read_set(user.at(data, 4), entries)
    inheritable = _read_set(user.at(data, 8), entries)
    old = task.credentials
    added = inheritable & ~old.inheritable
    if added & ~old.permitted != 0 and not old.capable_here(CAP_SETPCAP):
        raise Errno(EPERM)
    if added & ~old.bounding != 0 or permitted & ~old.permitted != 0 or effective & ~permitted != 0:
        raise Errno(EPERM)
    fresh = old.copy()
    fresh.effective = effective
    fresh.permitted = permitted
    fresh.inheritable = inheritable
    fresh.ambient &= permitted & inheritable
    task.credentials = fresh
    return 0


def _read_set(address: UserAddr, entries: int) -> int:
    found = user.read_u32(address)
    if entries > 1:
        found |= (user.read_u32(user.at(address, _ENTRY_SIZE)) & ALL_CAPABILITIES >> 32) << 32
    return found


# ---- prctl ----------------------------------------------------------------------------------------------------------


def is_about_capabilities(option: int) -> bool:
    """Whether an option of prctl(2) belongs here."""
    return option in (
        _PR_GET_KEEPCAPS,
        _PR_SET_KEEPCAPS,
        _PR_CAPBSET_READ,
        _PR_CAPBSET_DROP,
        _PR_GET_SECUREBITS,
        _PR_SET_SECUREBITS,
        _PR_CAP_AMBIENT,
    )


def control_capabilities(task: Task, option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    """Carry out such an option. Raises EINVAL, EPERM."""
    who = task.credentials
    match option:
        case 7:  # PR_GET_KEEPCAPS
            return 1 if who.secure_bits & SECURE_KEEP_CAPS != 0 else 0
        case 8:  # PR_SET_KEEPCAPS
            return _keep(task, second)
        case 23:  # PR_CAPBSET_READ
            _check_known(second)
            return who.bounding >> second & 1
        case 24:  # PR_CAPBSET_DROP
            if not who.capable_here(CAP_SETPCAP):
                raise Errno(EPERM)
            _check_known(second)
            fresh = who.copy()
            fresh.bounding &= ~(1 << second)
            task.credentials = fresh
            return 0
        case 27:  # PR_GET_SECUREBITS
            return who.secure_bits
        case 28:  # PR_SET_SECUREBITS
            return _set_secure_bits(task, second)
        case _:
            return _change_ambient(task, second, third, fourth, fifth)


def _check_known(capability: int) -> None:
    if not 0 <= capability <= LAST_CAPABILITY:
        raise Errno(EINVAL)


def _keep(task: Task, value: int) -> int:
    if value != 0 and value != 1:
        raise Errno(EINVAL)
    old = task.credentials
    if old.secure_bits & SECURE_KEEP_CAPS_LOCKED != 0:
        raise Errno(EPERM)
    fresh = old.copy()
    fresh.secure_bits = old.secure_bits & ~SECURE_KEEP_CAPS | (SECURE_KEEP_CAPS if value != 0 else 0)
    task.credentials = fresh
    return 0


def _set_secure_bits(task: Task, bits: int) -> int:
    """Locked bits stay, locks included."""
    old = task.credentials
    locked = (old.secure_bits & SECURE_LOCKS) >> 1
    if locked & (old.secure_bits ^ bits) != 0 or old.secure_bits & SECURE_LOCKS & ~bits != 0:
        raise Errno(EPERM)
    if bits & ~(SECURE_BITS | SECURE_LOCKS) != 0 or not old.capable_here(CAP_SETPCAP):
        raise Errno(EPERM)
    fresh = old.copy()
    fresh.secure_bits = bits
    task.credentials = fresh
    return 0


def _change_ambient(task: Task, action: int, capability: int, fourth: int, fifth: int) -> int:
    """PR_CAP_AMBIENT: what survives the execution of a program without privileges."""
    old = task.credentials
    if fourth != 0 or fifth != 0:
        raise Errno(EINVAL)
    fresh: Credentials = old.copy()
    if action == _AMBIENT_CLEAR_ALL:
        if capability != 0:
            raise Errno(EINVAL)
        fresh.ambient = 0
        task.credentials = fresh
        return 0
    _check_known(capability)
    if action == _AMBIENT_IS_SET:
        return old.ambient >> capability & 1
    if action == _AMBIENT_RAISE:
        may = old.permitted & old.inheritable
        if may >> capability & 1 == 0 or old.secure_bits & SECURE_NO_CAP_AMBIENT_RAISE != 0:
            raise Errno(EPERM)
        fresh.ambient |= 1 << capability
    elif action == _AMBIENT_LOWER:
        fresh.ambient &= ~(1 << capability)
    else:
        raise Errno(EINVAL)
    task.credentials = fresh
    return 0
