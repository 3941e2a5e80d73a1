"""Process accounting: a record for each process that ends, appended to a file (acct(2), acct(5)).

Each pid namespace has its own file, or none; a process is recorded in that of its namespace and in those above. While
the file system is nearly full nothing is recorded: it stops below 2 % free space, and resumes from 4 % on; it checks
every 30 s (kernel.acct). A file goes with its mount.

Deviations from Linux: if the mount goes with its namespace, the process that ended the namespace is not recorded.

Context: sleeps. Recording raises nothing: a record without room is lost.
Source: acct(2), acct(5); Linux's uapi header acct.h (struct acct_v3).
"""

from typing import Final

from kernel.fs.constants import O_APPEND, O_WRONLY, PROC_SUPER_MAGIC, SYSFS_MAGIC
from kernel.fs.file import File
from kernel.fs.mount_keepers import KEEPERS, MountKeeper
from kernel.fs.open import open_file
from kernel.lang import EACCES, EINVAL, Errno, Span, final, noinline, noraise, span_of, u8
from kernel.lib import log
from kernel.lib.settings import SystemSetting
from kernel.lib.user import KernelBuffer
from kernel.sched import WaitQueue, spawn_kernel_thread
from kernel.task.accounting import NS_PER_CLOCK_TICK, process_usage
from kernel.task.core_state import CORE_WAS_DUMPED
from kernel.task.pid_namespace import EndRecorder, PidNamespace
from kernel.task.process import Process
from kernel.task.task import Task, current_or_none
from kernel.time.clock import NS_PER_SECOND, monotonic_ns, realtime_seconds

_RECORD_SIZE: Final = 64
_VERSION: Final = 3
_FORKED: Final = 0x01  # AFORK: it has executed no program
_SUPERUSER: Final = 0x02  # ASU
_DUMPED: Final = 0x08  # ACORE
_SIGNALLED: Final = 0x10  # AXSIG
_NAME: Final = 48
_PERCENT: Final = 100
# The percentages of free space at which it resumes and stops, and the interval of checks, in seconds.
THRESHOLDS: Final = SystemSetting(b"kernel/acct", [4, 2, 30], -(1 << 31), (1 << 31) - 1)
# comp_t: a mantissa of 13 bits and an exponent of 8 in 3
_MANTISSA_BITS: Final = 13
_MANTISSA_MOST: Final = (1 << _MANTISSA_BITS) - 1
_EXPONENT_BITS: Final = 3
_FLOAT_BIAS: Final = 127
_FLOAT_BITS: Final = 23

_ACCOUNTED: Final[dict[int, PidNamespace]] = {}  # namespaces with a file, by number


@final
class ProcessAccount(EndRecorder):
    """A file for records. Holds a reference to it."""

    def __init__(self, file: File) -> None:
        self.file: File = file
        self.is_active: bool = False
        self.look_at_ns: int = 0  # the free space is checked again from this time on

    @noraise
    def close(self) -> None:
        self.file.flush(0)
        self.file.release()

    def has_room(self) -> bool:
        """Whether there was room for records at the last check. Raises Errno."""
        now_ns = monotonic_ns()
        if now_ns < self.look_at_ns:
            return self.is_active
        numbers = self.file.path.mount.file_system.statistics()
        available = max(0, numbers.blocks_free - numbers.blocks_reserved)
        limits = THRESHOLDS.values
        if self.is_active and available <= _share(numbers.blocks, limits[1]):
            self.is_active = False
            log.info("Process accounting paused")
        elif not self.is_active and available >= _share(numbers.blocks, limits[0]):
            self.is_active = True
            log.info("Process accounting resumed")
        self.look_at_ns = now_ns + max(0, limits[2]) * NS_PER_SECOND
        return self.is_active


def _share(blocks: int, percent: int) -> int:
    """That many percent of the blocks. Values below 0 or above 100 % mean never or always, whatever the amount."""
    percent = max(-1, min(percent, _PERCENT + 1))
    return blocks // _PERCENT * percent + blocks % _PERCENT * percent // _PERCENT


def open_account(task: Task, name: bytes) -> ProcessAccount:
    """acct(2) with a name. Raises EACCES (not a regular file), EINVAL (a place for no records), what opening raises,
    MemoryError.
    """
    file = open_file(task.fs, None, name, O_WRONLY | O_APPEND, 0)
    account: ProcessAccount | None = None
    try:
        if not file.inode.is_regular():
            raise Errno(EACCES)
        if file.path.mount.is_internal or file.inode.file_system.magic in (PROC_SUPER_MAGIC, SYSFS_MAGIC):
            raise Errno(EINVAL)
        account = ProcessAccount(file)
    finally:
        if account is None:
            file.release()
    return account


def begin_account(space: PidNamespace, account: ProcessAccount) -> None:
    """Start recording ends there. Raises MemoryError, and then nothing has changed."""
    _CLOSER.begin()
    _ACCOUNTED[space.number] = space
    old = space.recorder
    space.recorder = account
    _close(space, old)


@noraise
def end_account(space: PidNamespace) -> None:
    """Stop recording ends."""
    old = space.recorder
    if old is not None:
        space.recorder = None
        _ACCOUNTED.pop(space.number, space)
        _close(space, old)


def _close(space: PidNamespace, old: EndRecorder | None) -> None:
    """The last record is about the process that closes the file, as it is on Linux."""
    task = current_or_none()
    if isinstance(old, ProcessAccount) and task is not None:
        _note(task, space, old)
    if old is not None:
        old.close()


@final
class _Keeper(MountKeeper):
    def held(self, mount: int) -> int:
        count = 0
        for space in _ACCOUNTED.values():
            account = space.recorder
            if isinstance(account, ProcessAccount) and account.file.path.mount.identifier == mount:
                count += 1
        return count

    def leave(self, mount: int) -> None:
        for space in list(_ACCOUNTED.values()):
            if _stands_on(space, mount):
                end_account(space)

    @noraise
    def leave_soon(self, mount: int) -> None:
        for space in _ACCOUNTED.values():
            if _stands_on(space, mount):
                _CLOSER.is_due = True
                _CLOSER.queue.wake_all()

    def stop_writing(self, device: int) -> None:
        for space in list(_ACCOUNTED.values()):
            account = space.recorder
            if isinstance(account, ProcessAccount) and account.file.path.mount.file_system.device == device:
                end_account(space)


KEEPERS.append(_Keeper())


def _stands_on(space: PidNamespace, mount: int) -> bool:
    account = space.recorder
    return isinstance(account, ProcessAccount) and account.file.path.mount.identifier == mount


@final
class _Closer:
    """A kernel thread that closes files whose mount has left the tree with a namespace or a file."""

    def __init__(self) -> None:
        self.has_begun: bool = False
        self.is_due: bool = False
        self.queue: WaitQueue = WaitQueue()

    def begin(self) -> None:
        """Start the thread, unless it is running. Raises MemoryError."""
        if not self.has_begun:
            spawn_kernel_thread(b"acct", _close_for_ever, 0)
            self.has_begun = True


_CLOSER: Final = _Closer()


def _close_for_ever(_argument: int) -> None:
    while True:
        while not _CLOSER.is_due:
            _CLOSER.queue.sleep(interruptible=False)
        _CLOSER.is_due = False
        left = True
        while left:
            left = False
            for space in _ACCOUNTED.values():
                account = space.recorder
                if isinstance(account, ProcessAccount) and not account.file.path.mount.attached:
                    end_account(space)
                    left = True
                    break


@noinline
@noraise
def note_end(task: Task) -> None:
    """The running task is the last of its process, which ends: its memory is still there."""
    space: PidNamespace | None = task.process.pids
    while space is not None:
        account = space.recorder
        if isinstance(account, ProcessAccount):
            _note(task, space, account)
        space = space.parent


def _note(task: Task, space: PidNamespace, account: ProcessAccount) -> None:
    file = account.file.acquire()
    try:
        if account.has_room():
            record = bytearray(_RECORD_SIZE)
            _describe(task, space, span_of(record))
            file.write(KernelBuffer(record))
    except (Errno, MemoryError):
        pass  # the disk is full, or broken: as on Linux, the record is lost
    finally:
        file.release()


def _describe(task: Task, space: PidNamespace, out: Span[u8]) -> None:
    """struct acct_v3. For a process that does not end, only its identity is known. Raises MemoryError."""
    process = task.process
    ends = task.is_exiting
    usage = process_usage(process) if ends else process.ended
    elapsed_ns = max(0, monotonic_ns() - process.origin.started_ns)
    out[0] = _flags(task) if ends else 0
    out[1] = _VERSION
    out.store_u16(2, _terminal(process) & 0xFFFF)
    out.store_u32(4, process.ending.status & 0xFFFF_FFFF)
    out.store_u32(8, int(task.credentials.uid) & 0xFFFF_FFFF)
    out.store_u32(12, int(task.credentials.gid) & 0xFFFF_FFFF)
    out.store_u32(16, space.shown(process.pid))
    parent = process.parent
    out.store_u32(20, 0 if parent is None else space.shown(parent.pid))
    out.store_u32(24, max(0, realtime_seconds() - elapsed_ns // NS_PER_SECOND) & 0xFFFF_FFFF)
    out.store_u32(28, float_bits(elapsed_ns // NS_PER_CLOCK_TICK))
    out.store_u16(32, compressed(usage.user_ns // NS_PER_CLOCK_TICK))
    out.store_u16(34, compressed(usage.system_ns // NS_PER_CLOCK_TICK))
    memory = task.memory if ends else None
    out.store_u16(36, 0 if memory is None else compressed(memory.mapped_bytes // 1024))
    out.store_u16(42, compressed(usage.minor_faults))
    out.store_u16(44, compressed(usage.major_faults))
    out[_NAME : _NAME + len(task.name)].copy_from(span_of(task.name))


def _flags(task: Task) -> int:
    process = task.process
    flags = 0 if process.program.has_execed else _FORKED
    flags |= _SUPERUSER if task.credentials.effective != 0 else 0
    flags |= _DUMPED if process.ending.leaves_core or process.ending.status & CORE_WAS_DUMPED != 0 else 0
    return flags | (_SIGNALLED if process.ending.status & 0x7F != 0 else 0)


def _terminal(process: Process) -> int:
    return 0 if process.job is None else process.session.terminal


def compressed(value: int) -> int:
    """A non-negative number as a comp_t: rounded, or the largest possible one."""
    exponent = 0
    is_rounded_up = False
    while value > _MANTISSA_MOST:
        is_rounded_up = value & 1 << _EXPONENT_BITS - 1 != 0
        value >>= _EXPONENT_BITS
        exponent += 1
    if is_rounded_up:
        value += 1
        if value > _MANTISSA_MOST:
            value >>= _EXPONENT_BITS
            exponent += 1
    if exponent > 0xFFFF >> _MANTISSA_BITS:
        return 0xFFFF
    return (exponent << _MANTISSA_BITS) + value


def float_bits(value: int) -> int:
    """A non-negative number as a 32-bit float, truncated."""
    if value <= 0:
        return 0
    highest = 0
    while value >> highest > 1:
        highest += 1
    rest = value - (1 << highest)
    fraction = rest << (_FLOAT_BITS - highest) if highest <= _FLOAT_BITS else rest >> (highest - _FLOAT_BITS)
    return (_FLOAT_BIAS + highest) << _FLOAT_BITS | fraction
