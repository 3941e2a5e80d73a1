"""io_uring_setup(2): a ring."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Array, Errno, Span, UserAddr, u8, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.ids import NO_GROUP
from kernel.lib.settings import SystemSetting
from kernel.sched.later import start_thread
from kernel.syscalls.uring_indices import add_ring_of_ones_own
from kernel.syscalls.uring_settings import begin_workers
from kernel.syscalls.uring_taking import begin_taking
from kernel.task import current
from kernel.task.words import load_i64, store_i64
from kernel.uring import layout
from kernel.uring.file import UringFile
from kernel.uring.perform import work_of
from kernel.uring.ring import Ring

_DISABLED: Final = SystemSetting(b"kernel/io_uring_disabled", [0], 0, 2)
_GROUP: Final = SystemSetting(b"kernel/io_uring_group", [-1], -(1 << 31), (1 << 31) - 1)

# struct io_uring_params
_PARAMS_SIZE: Final = 120
_RESERVED: Final = 28
_RESERVED_END: Final = 40
_SQ_OFFSETS: Final = 40
_CQ_OFFSETS: Final = 80
_ENTRIES_AT: Final = 72  # addresses of the program's own memory
_RINGS_AT: Final = 112

_SERVED: Final = (
    layout.SETUP_IOPOLL | layout.SETUP_SQPOLL | layout.SETUP_SQ_AFF | layout.SETUP_CQSIZE | layout.SETUP_CLAMP
    | layout.SETUP_ATTACH_WQ | layout.SETUP_R_DISABLED | layout.SETUP_SUBMIT_ALL | layout.SETUP_COOP_TASKRUN
    | layout.SETUP_TASKRUN_FLAG | layout.SETUP_SQE128 | layout.SETUP_CQE32 | layout.SETUP_SINGLE_ISSUER
    | layout.SETUP_DEFER_TASKRUN | layout.SETUP_NO_MMAP | layout.SETUP_REGISTERED_FD_ONLY | layout.SETUP_NO_SQARRAY
)  # fmt: skip


def _check_permission() -> None:
    """kernel.io_uring_disabled: 1 denies it to all except root and a group, 2 to all. Raises EPERM."""
    if _DISABLED.value == 0:
        return
    who = current().credentials
    if _DISABLED.value == 1:
        if who.capable(CAP_SYS_ADMIN):
            return
        if _GROUP.value >= 0:
            group = who.user_namespace.kernel_gid(_GROUP.value)
            if group != NO_GROUP and who.in_group(group):
                return
    raise Errno(EPERM)


@syscall(
    "io_uring_setup",
    status="Full",
    args="one:1|8|4096|32768|32769|0 =io_uring_params -> fd:io_uring",
)
def io_uring_setup(entry_count: u32, params: UserAddr) -> int:
    """io_uring_setup(2)."""
    _check_permission()
    storage: Array[u8, Literal[120]] = Array()
    fields = storage.span()
    user.read_into(fields, params)
    for offset in range(_RESERVED, _RESERVED_END, 4):
        if fields.load_u32(offset) != 0:
            raise Errno(EINVAL)
    setup = fields.load_u32(8)
    if setup & ~_SERVED != 0:
        raise Errno(EINVAL)
    if setup & layout.SETUP_REGISTERED_FD_ONLY != 0 and setup & layout.SETUP_NO_MMAP == 0:
        raise Errno(EINVAL)
    entries, completions = _sizes(entry_count, fields.load_u32(4), setup)
    _check_task_work(setup)
    task = current()
    work = work_of(task)
    start_thread()
    ring = Ring(setup, entries, completions, load_i64(fields, _RINGS_AT), load_i64(fields, _ENTRIES_AT))
    done = False
    try:
        file = UringFile(ring)
        done = True
    finally:
        if not done:
            ring.give_back()
    done = False
    try:
        begin_taking(ring, file, task, fields)
        begin_workers(ring, task, work)
        _tell(fields, ring)
        user.write_from(params, fields)
        done = True
    finally:
        if not done:
            file.release()
    if setup & layout.SETUP_SINGLE_ISSUER != 0 and not ring.is_disabled:
        ring.submitter = task
    if setup & layout.SETUP_REGISTERED_FD_ONLY == 0:
        return task.files.install(file, cloexec=True)
    done = False
    try:
        index = add_ring_of_ones_own(task, file)
        done = True
    finally:
        if not done:
            file.release()
    return index


def _sizes(entry_count: int, completion_count: int, setup: int) -> tuple[int, int]:
    """The numbers of submissions and completions for which a ring has room. Raises EINVAL."""
    clamps = setup & layout.SETUP_CLAMP != 0
    if entry_count == 0 or (entry_count > layout.MOST_ENTRIES and not clamps):
        raise Errno(EINVAL)
    entries = layout.rounded_up(min(entry_count, layout.MOST_ENTRIES))
    if setup & layout.SETUP_CQSIZE == 0:
        return entries, 2 * entries
    if completion_count == 0 or (completion_count > layout.MOST_COMPLETIONS and not clamps):
        raise Errno(EINVAL)
    completions = layout.rounded_up(min(completion_count, layout.MOST_COMPLETIONS))
    if completions < entries:
        raise Errno(EINVAL)
    return entries, completions


def _check_task_work(setup: int) -> None:
    """Flags about where requests go on. Raises EINVAL."""
    if setup & layout.SETUP_SQPOLL != 0:  # in the thread
        if setup & (layout.SETUP_COOP_TASKRUN | layout.SETUP_TASKRUN_FLAG | layout.SETUP_DEFER_TASKRUN) != 0:
            raise Errno(EINVAL)
    elif setup & layout.SETUP_TASKRUN_FLAG != 0:
        if setup & (layout.SETUP_COOP_TASKRUN | layout.SETUP_DEFER_TASKRUN) == 0:
            raise Errno(EINVAL)
    if setup & layout.SETUP_DEFER_TASKRUN != 0 and setup & layout.SETUP_SINGLE_ISSUER == 0:
        raise Errno(EINVAL)


def _tell(fields: Span[u8], ring: Ring) -> None:
    """Report the layout."""
    fields.store_u32(0, ring.shape.entry_count)
    fields.store_u32(4, ring.shape.completion_count)
    fields.store_u32(20, layout.FEATURES)
    is_own = ring.setup & layout.SETUP_NO_MMAP != 0
    entries_at = load_i64(fields, _ENTRIES_AT) if is_own else 0
    rings_at = load_i64(fields, _RINGS_AT) if is_own else 0
    fields[_SQ_OFFSETS:_PARAMS_SIZE].fill(0)
    store_i64(fields, _ENTRIES_AT, entries_at)
    store_i64(fields, _RINGS_AT, rings_at)
    fields.store_u32(_SQ_OFFSETS, layout.SQ_HEAD)
    fields.store_u32(_SQ_OFFSETS + 4, layout.SQ_TAIL)
    fields.store_u32(_SQ_OFFSETS + 8, layout.SQ_MASK)
    fields.store_u32(_SQ_OFFSETS + 12, layout.SQ_ENTRIES)
    fields.store_u32(_SQ_OFFSETS + 16, layout.SQ_FLAGS)
    fields.store_u32(_SQ_OFFSETS + 20, layout.SQ_DROPPED)
    fields.store_u32(_SQ_OFFSETS + 24, ring.shape.array_at if ring.has_array() else 0)
    fields.store_u32(_CQ_OFFSETS, layout.CQ_HEAD)
    fields.store_u32(_CQ_OFFSETS + 4, layout.CQ_TAIL)
    fields.store_u32(_CQ_OFFSETS + 8, layout.CQ_MASK)
    fields.store_u32(_CQ_OFFSETS + 12, layout.CQ_ENTRIES)
    fields.store_u32(_CQ_OFFSETS + 16, layout.CQ_OVERFLOW)
    fields.store_u32(_CQ_OFFSETS + 20, layout.COMPLETIONS)
    fields.store_u32(_CQ_OFFSETS + 24, layout.CQ_FLAGS)
