"""The system as a whole: uname(2), sethostname(2), setdomainname(2), sysinfo(2)."""

from typing import Final, Literal

from arch import MACHINE_NAME
from kernel.cache.devices import device_page_count
from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Array, Errno, Span, UserAddr, i32, noinline, span_of, u8, unlocked
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.mm.frames import PAGE_SIZE, free_frame_count, total_frame_count
from kernel.mm.objects import SHARED_TOTALS
from kernel.mm.swap_slots import SWAP
from kernel.sched.processor import load_averages
from kernel.task.clocks import shown_boottime_ns
from kernel.task.host import NAME_LIMIT, RELEASE, SYSTEM_NAME, VERSION, Host
from kernel.task.personality import machine_for, release_for
from kernel.task.pids import task_count
from kernel.task.process import Process
from kernel.task.task import current
from kernel.task.words import store_i32, store_i64
from kernel.time.clock import NS_PER_SECOND

_FIELD_SIZE: Final = 65
_INFO_SIZE: Final = 112
_LOAD_SHIFT: Final = 5  # from 2**11 to 2**16


def _store_field(out: Span[u8], index: int, name: bytes) -> None:
    start = index * _FIELD_SIZE
    out[start : start + len(name)].copy_from(span_of(name))


def _store_names(out: Span[u8], uts: Host) -> None:
    _store_field(out, 0, SYSTEM_NAME)
    _store_field(out, 1, uts.host)
    _store_field(out, 2, RELEASE)
    _store_field(out, 3, VERSION)
    _store_field(out, 4, MACHINE_NAME)
    _store_field(out, 5, uts.domain)


@syscall("uname", status="Full", args=">utsname")
def uname(address: UserAddr) -> int:
    """uname(2)."""
    storage: Array[u8, Literal[390]] = Array()  # six fields
    out = storage.span()
    task = current()
    _store_names(out, task.namespaces.uts)
    if task.process.settings.personality != 0:
        _store_as_wanted(out, task.process)
    user.write_from(address, out)
    return 0


@quick("uname")
@unlocked
def _quick_uname(address: UserAddr) -> int:
    task = current()
    if task.process.settings.personality != 0:
        return TAKE_LOCK
    storage: Array[u8, Literal[390]] = Array()
    _store_names(storage.span(), task.namespaces.uts)
    user.write_small(address, storage.span())
    return 0


@noinline
def _store_as_wanted(out: Span[u8], process: Process) -> None:
    """Apply the effects of a personality."""
    release = release_for(process)
    out[2 * _FIELD_SIZE : 3 * _FIELD_SIZE].fill(0)
    _store_field(out, 2, release)
    machine = machine_for(process, MACHINE_NAME)
    out[4 * _FIELD_SIZE : 5 * _FIELD_SIZE].fill(0)
    _store_field(out, 4, machine)


def _read_name(address: UserAddr, length: int) -> bytes:
    task = current()
    if not task.credentials.capable_in(task.namespaces.uts.owner, CAP_SYS_ADMIN):
        raise Errno(EPERM)
    if length < 0 or length > NAME_LIMIT:
        raise Errno(EINVAL)
    if length == 0:
        return b""  # wherever it is
    name = user.read_bytes(address, length)
    end = name.find(b"\0")
    return name if end < 0 else name[:end]


@syscall("sethostname", status="Full", args="<bytes[length] size")
def sethostname(address: UserAddr, length: i32) -> int:
    """sethostname(2)."""
    current().namespaces.uts.host = _read_name(address, length)
    return 0


@syscall("setdomainname", status="Full", args="<bytes[length] size")
def setdomainname(address: UserAddr, length: i32) -> int:
    """setdomainname(2)."""
    current().namespaces.uts.domain = _read_name(address, length)
    return 0


@syscall("sysinfo", status="Full", args=">sysinfo")
def sysinfo(address: UserAddr) -> int:
    """sysinfo(2)."""
    storage = bytearray(_INFO_SIZE)
    out = span_of(storage)
    store_i64(out, 0, -(-shown_boottime_ns(current()) // NS_PER_SECOND))  # rounded up to seconds
    load = load_averages()
    for i in range(3):
        store_i64(out, 8 + 8 * i, load[i] << _LOAD_SHIFT)
    store_i64(out, 32, total_frame_count() * PAGE_SIZE)
    store_i64(out, 40, free_frame_count() * PAGE_SIZE)
    store_i64(out, 48, SHARED_TOTALS.pages * PAGE_SIZE)
    store_i64(out, 56, device_page_count() * PAGE_SIZE)
    store_i64(out, 64, SWAP.total() * PAGE_SIZE)
    store_i64(out, 72, SWAP.free() * PAGE_SIZE)
    out.store_u16(80, min(task_count(), 0xFFFF))
    store_i32(out, 104, 1)
    user.write_from(address, out)
    return 0
