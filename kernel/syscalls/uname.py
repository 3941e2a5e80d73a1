"""The system as a whole: names, memory, random numbers, power, the terminal (uname(2), sysinfo(2), getrandom(2),
reboot(2), vhangup(2)).
"""

from typing import Final, Literal

from arch import MACHINE_NAME, power_off, restart, stop
from kernel.cache.devices import device_page_count
from kernel.doors.table import syscall
from kernel.fs.mount_sync import end_writing
from kernel.lang import EFAULT, EINVAL, EPERM, Array, Errno, Span, UserAddr, i32, span_of, u8, u32
from kernel.lib import log, user
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_TTY_CONFIG
from kernel.lib.random_transfer import put_random
from kernel.mm.frames import PAGE_SIZE, free_frame_count, total_frame_count
from kernel.mm.objects import SHARED_TOTALS
from kernel.sched.processor import load_averages
from kernel.task.exit import end_thread
from kernel.task.host import NAME_LIMIT, RELEASE, SYSTEM_NAME, VERSION
from kernel.task.pids import find_process, task_count
from kernel.task.send import send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGHUP, SIGINT, SIGKILL
from kernel.task.task import Task, current
from kernel.task.words import store_i32, store_i64
from kernel.time.clock import NS_PER_SECOND, boottime_ns
from kernel.tty.terminals import hang_up_controlling

_FIELD_SIZE: Final = 65
_INFO_SIZE: Final = 112
_LOAD_SHIFT: Final = 5  # from 2**11 to 2**16
_RANDOM_LIMIT: Final = (1 << 25) - 1
_GRND_NONBLOCK: Final = 1
_GRND_RANDOM: Final = 2
_GRND_INSECURE: Final = 4

_REBOOT_MAGIC_1: Final = 0xFEE1_DEAD
_REBOOT_MAGIC_2: Final[list[int]] = [672274793, 85072278, 369367448, 537993216]
_REBOOT_RESTART: Final = 0x0123_4567
_REBOOT_HALT: Final = 0xCDEF_0123
_REBOOT_KEYS_ON: Final = 0x89AB_CDEF
_REBOOT_KEYS_OFF: Final = 0
_REBOOT_POWER_OFF: Final = 0x4321_FEDC
_REBOOT_RESTART_2: Final = 0xA1B2_C3D4
_REASON_SIZE: Final = 255


def _store_field(out: Span[u8], index: int, name: bytes) -> None:
    start = index * _FIELD_SIZE
    out[start : start + len(name)].copy_from(span_of(name))


@syscall("uname", status="Full", args=">utsname")
def uname(address: UserAddr) -> int:
    """uname(2)."""
    storage: Array[u8, Literal[390]] = Array()  # six fields
    out = storage.span()
    _store_field(out, 0, SYSTEM_NAME)
    uts = current().uts
    _store_field(out, 1, uts.host)
    _store_field(out, 2, RELEASE)
    _store_field(out, 3, VERSION)
    _store_field(out, 4, MACHINE_NAME)
    _store_field(out, 5, uts.domain)
    user.write_from(address, out)
    return 0


def _read_name(address: UserAddr, length: int) -> bytes:
    if not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    if length < 0 or length > NAME_LIMIT:
        raise Errno(EINVAL)
    name = user.read_bytes(address, length)
    end = name.find(b"\0")
    return name if end < 0 else name[:end]


@syscall("sethostname", status="Full", args="<bytes[length] size")
def sethostname(address: UserAddr, length: i32) -> int:
    """sethostname(2)."""
    current().uts.host = _read_name(address, length)
    return 0


@syscall("setdomainname", status="Full", args="<bytes[length] size")
def setdomainname(address: UserAddr, length: i32) -> int:
    """setdomainname(2)."""
    current().uts.domain = _read_name(address, length)
    return 0


@syscall("sysinfo", status="Full", args=">sysinfo")
def sysinfo(address: UserAddr) -> int:
    """sysinfo(2)."""
    storage = bytearray(_INFO_SIZE)
    out = span_of(storage)
    store_i64(out, 0, boottime_ns() // NS_PER_SECOND)
    load = load_averages()
    for i in range(3):
        store_i64(out, 8 + 8 * i, load[i] << _LOAD_SHIFT)
    store_i64(out, 32, total_frame_count() * PAGE_SIZE)
    store_i64(out, 40, free_frame_count() * PAGE_SIZE)
    store_i64(out, 48, SHARED_TOTALS.pages * PAGE_SIZE)
    store_i64(out, 56, device_page_count() * PAGE_SIZE)
    out.store_u16(80, min(task_count(), 0xFFFF))
    store_i32(out, 104, 1)
    user.write_from(address, out)
    return 0


@syscall("getrandom", status="Full", args=">bytes[size] size flags:GRND_NONBLOCK|GRND_RANDOM|GRND_INSECURE")
def getrandom(address: UserAddr, size: int, flags: u32) -> int:
    """getrandom(2): never blocks, because the generator is seeded at boot."""
    if flags & ~(_GRND_NONBLOCK | _GRND_RANDOM | _GRND_INSECURE) != 0:
        raise Errno(EINVAL)
    if flags & (_GRND_RANDOM | _GRND_INSECURE) == _GRND_RANDOM | _GRND_INSECURE:
        raise Errno(EINVAL)
    wanted = _RANDOM_LIMIT if size < 0 or size > _RANDOM_LIMIT else size
    user.check(address, wanted)
    buffer = user.UserBuffer(address, wanted)
    done = put_random(buffer)
    if done == 0 and buffer.faulted:
        raise Errno(EFAULT)
    return done


@syscall(
    "reboot", status="Full", args="one:0xfee1dead one:672274793 one:reboot name:text",
    notes="No keyboard, no kernel to start, no swap to suspend to",
)  # fmt: skip
def reboot(magic_1: u32, magic_2: u32, command: u32, argument: int) -> int:
    """reboot(2)."""
    task = current()
    if not task.credentials.capable(CAP_SYS_BOOT):
        raise Errno(EPERM)
    if magic_1 != _REBOOT_MAGIC_1 or magic_2 not in _REBOOT_MAGIC_2:
        raise Errno(EINVAL)
    if task.pids.level > 0:
        _reboot_namespace(task, command)
    if command == _REBOOT_KEYS_ON or command == _REBOOT_KEYS_OFF:
        return 0
    reason = user.read_string_start(UserAddr(argument), _REASON_SIZE) if command == _REBOOT_RESTART_2 else b""
    if command in (_REBOOT_POWER_OFF, _REBOOT_RESTART, _REBOOT_RESTART_2, _REBOOT_HALT):
        end_writing()
    if command == _REBOOT_POWER_OFF:
        log.info("Power down")
        power_off()
    elif command == _REBOOT_RESTART or command == _REBOOT_RESTART_2:
        log.info(f"Restarting system with command {reason!r}" if len(reason) > 0 else "Restarting system")
        restart()
    elif command == _REBOOT_HALT:
        log.info("System halted")
        stop()
    raise Errno(EINVAL)


def _reboot_namespace(task: Task, command: int) -> None:
    """In a pid namespace its init ends instead, by a signal that says what was asked for; and so does the caller.
    Raises EINVAL.
    """
    pids = task.pids
    if command == _REBOOT_RESTART or command == _REBOOT_RESTART_2:
        pids.reboot_signal = SIGHUP
    elif command == _REBOOT_POWER_OFF or command == _REBOOT_HALT:
        pids.reboot_signal = SIGINT
    else:
        raise Errno(EINVAL)
    init = find_process(pids.init)
    if init is not None:
        send_from_kernel(init, from_kernel(SIGKILL))
    end_thread(task, 0)


@syscall("vhangup", status="Full", args="")
def vhangup() -> int:
    """vhangup(2)."""
    if not current().credentials.capable(CAP_SYS_TTY_CONFIG):
        raise Errno(EPERM)
    hang_up_controlling()
    return 0
