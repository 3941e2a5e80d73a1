"""PR_SET_MM(2const), PR_SET_VMA(2const): the kernel's view of a program's memory layout, and names for parts of it.

A program that reassembles another one from its parts (a checkpoint) states where these are: /proc shows it, and
brk(2) continues from there. It has no other effect.
"""

from typing import Final

from arch import USER_END
from kernel.fs.constants import MAY_EXEC
from kernel.fs.file import File
from kernel.lang import EACCES, EBUSY, EFAULT, EINVAL, EPERM, Errno, Span, UserAddr, span_of, u8
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.mm.lowest import LOWEST
from kernel.mm.remap import name_areas
from kernel.mm.space import AddressSpace, each_area
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.limits import RLIMIT_DATA, UNLIMITED
from kernel.task.namespaces import may_checkpoint
from kernel.task.task import Task
from kernel.task.words import load_i32, load_i64, signed_32, store_i64

START_CODE: Final = 1
_END_CODE: Final = 2
_START_DATA: Final = 3
_END_DATA: Final = 4
_START_STACK: Final = 5
_START_BRK: Final = 6
_BRK: Final = 7
_ARG_START: Final = 8
_ENV_END: Final = 11
_AUXV: Final = 12
_EXE_FILE: Final = 13
_MAP: Final = 14
_MAP_SIZE: Final = 15

# struct prctl_mm_map: eleven addresses, the vector's address, its size, a descriptor
_WORD: Final = 8
_PLACES: Final = 11
_MAP_BYTES: Final = 104
_VECTOR_AT: Final = 88
_VECTOR_SIZE_AT: Final = 96
_DESCRIPTOR_AT: Final = 100
# Of these, in the order of the structure: which is which.
_OF_OPTION: Final[list[int]] = [-1, 0, 1, 2, 3, 6, 4, 5, 7, 8, 9, 10]
_VECTOR_BYTES: Final = 416  # as much as Linux keeps
_ANON_NAME: Final = 0
_NAME_BYTES: Final = 80  # with the NUL
_FORBIDDEN: Final = b"\\`$[]"


def set_vma(task: Task, what: int, address: int, length: int, name: UserAddr) -> None:
    """PR_SET_VMA. Raises EINVAL, EFAULT, EBADF, ENOMEM, EAGAIN."""
    if what != _ANON_NAME:
        raise Errno(EINVAL)
    text = b""
    if name != 0:
        text = _read_name(name)
    name_areas(task.space, address, length, text, name != 0)


def _read_name(address: UserAddr) -> bytes:
    """Printable, except characters with a meaning for shells or readers of maps."""
    text = user.read_string_start(address, _NAME_BYTES)
    if len(text) == _NAME_BYTES:
        raise Errno(EINVAL)
    for byte in text:
        if not ord(" ") <= byte <= ord("~") or byte in _FORBIDDEN:
            raise Errno(EINVAL)
    return text


def set_mm(task: Task, what: int, address: UserAddr, fourth: int, fifth: int) -> None:
    """PR_SET_MM. Raises EINVAL, EPERM, EFAULT, EBUSY, EACCES, EBADF."""
    if fifth != 0 or (fourth != 0 and what not in (_AUXV, _MAP, _MAP_SIZE)):
        raise Errno(EINVAL)
    space = task.space
    if what == _MAP_SIZE:
        user.write_u32(address, _MAP_BYTES)
        return
    if what == _MAP:
        _set_map(task, space, address, fourth)
        return
    if not task.credentials.capable(CAP_SYS_RESOURCE):
        raise Errno(EPERM)
    if what == _EXE_FILE:
        _set_executable(task, file_at(signed_32(address)))
    elif what == _AUXV:
        if not 0 <= fourth <= _VECTOR_BYTES:
            raise Errno(EINVAL)
        _set_vector(space, address, fourth)
    else:
        _set_place(task, space, what, address)


def _set_place(task: Task, space: AddressSpace, what: int, address: int) -> None:
    """Set one of the addresses."""
    if not LOWEST.value <= address < USER_END or not START_CODE <= what <= _ENV_END:
        raise Errno(EINVAL)
    storage = bytearray(_PLACES * _WORD)
    places = span_of(storage)
    _load(space, places)
    store_i64(places, _OF_OPTION[what] * _WORD, address)
    _check(task, places)
    if (what == _START_STACK or _ARG_START <= what) and space.areas.first_above(address) is None:
        raise Errno(EFAULT)
    _store(space, places)


def _set_map(task: Task, space: AddressSpace, address: UserAddr, size: int) -> None:
    """Set all of them, with the auxiliary vector and the program's file if they are given."""
    if size != _MAP_BYTES:
        raise Errno(EINVAL)
    storage = bytearray(_MAP_BYTES)
    fields = span_of(storage)
    user.read_into(fields, address)
    _check(task, fields)
    vector = UserAddr(load_i64(fields, _VECTOR_AT))
    vector_size = fields.load_u32(_VECTOR_SIZE_AT)
    if vector_size != 0 and (vector == 0 or vector_size > _VECTOR_BYTES):
        raise Errno(EINVAL)
    read = user.read_bytes(vector, vector_size) if vector_size != 0 else b""
    descriptor = load_i32(fields, _DESCRIPTOR_AT)
    if descriptor != -1:
        who = task.credentials
        if not may_checkpoint(who, who.user_namespace):
            raise Errno(EPERM)
        _set_executable(task, file_at(descriptor))
    _store(space, fields)
    if vector_size != 0:
        space.auxiliary_vector = _ended(read)


def _load(space: AddressSpace, places: Span[u8]) -> None:
    store_i64(places, 0, space.layout.code_start)
    store_i64(places, 8, space.layout.code_end)
    store_i64(places, 16, space.layout.data_start)
    store_i64(places, 24, space.layout.data_end)
    store_i64(places, 32, space.layout.brk_start)
    store_i64(places, 40, space.layout.brk_end)
    store_i64(places, 48, space.layout.stack_top)
    store_i64(places, 56, space.layout.argument_start)
    store_i64(places, 64, space.layout.argument_end)
    store_i64(places, 72, space.layout.environment_start)
    store_i64(places, 80, space.layout.environment_end)


def _store(space: AddressSpace, places: Span[u8]) -> None:
    space.layout.code_start = load_i64(places, 0)
    space.layout.code_end = load_i64(places, 8)
    space.layout.data_start = load_i64(places, 16)
    space.layout.data_end = load_i64(places, 24)
    space.layout.brk_start = load_i64(places, 32)
    space.layout.brk_end = load_i64(places, 40)
    space.layout.stack_top = load_i64(places, 48)
    space.layout.argument_start = load_i64(places, 56)
    space.layout.argument_end = load_i64(places, 64)
    space.layout.environment_start = load_i64(places, 72)
    space.layout.environment_end = load_i64(places, 80)


def _check(task: Task, places: Span[u8]) -> None:
    """Check that the addresses are valid: a program's, and in order. Raises EINVAL."""
    for index in range(_PLACES):
        if not LOWEST.value <= load_i64(places, index * _WORD) < USER_END:
            raise Errno(EINVAL)
    if load_i64(places, 0) >= load_i64(places, 8):
        raise Errno(EINVAL)
    for index in (2, 4, 7, 9):
        if load_i64(places, index * _WORD) > load_i64(places, (index + 1) * _WORD):
            raise Errno(EINVAL)
    limit = task.process.limits.soft[RLIMIT_DATA]
    heap_bytes = load_i64(places, 40) - load_i64(places, 32)  # fits: both are addresses of a program
    data_bytes = load_i64(places, 24) - load_i64(places, 16)  # fits: the same
    if limit != UNLIMITED and heap_bytes + data_bytes > limit:  # fits: the same
        raise Errno(EINVAL)


def _set_vector(space: AddressSpace, address: UserAddr, length: int) -> None:
    """Set the first `length` bytes of the auxiliary vector from an address; its last entry ends it."""
    fresh = bytearray(_VECTOR_BYTES)
    read = user.read_bytes(address, length)
    kept = max(len(read), len(space.auxiliary_vector))
    for index in range(kept):
        fresh[index] = read[index] if index < len(read) else space.auxiliary_vector[index]
    space.auxiliary_vector = _ended(bytes(fresh))


def _ended(vector: bytes) -> bytes:
    """The vector up to its end entry, which exists."""
    padded = (vector + bytes(_VECTOR_BYTES))[: _VECTOR_BYTES - 2 * _WORD] + bytes(2 * _WORD)
    words = span_of(padded)
    size = 0
    while load_i64(words, size) != 0:
        size += 2 * _WORD
    return padded[: size + 2 * _WORD]


def _set_executable(task: Task, file: File) -> None:
    """Make /proc/PID/exe another file; refused while the old one is mapped. Raises EACCES, EBUSY."""
    file.acquire()  # another thread may close its descriptor
    is_program = False
    try:
        _check_program(task, file)
        _check_unmapped(task)
        try:
            file.deny_writing()
        except Errno:
            raise Errno(EACCES) from None
        is_program = True
    finally:
        if not is_program:
            file.release()
    process = task.process
    old = process.executable  # read now: during the walk, another thread may have changed it
    process.executable = file
    if old is not None:
        old.release()


def _check_program(task: Task, file: File) -> None:
    """Check that a file could be executed. Raises EACCES."""
    inode = file.inode
    if not inode.is_regular() or file.on_noexec_mount():
        raise Errno(EACCES)
    inode.check_permission(file.path.mount.actor(task.credentials), MAY_EXEC)


def _check_unmapped(task: Task) -> None:
    """Check that nothing of the present program is mapped. Raises EBUSY."""
    old = task.process.executable
    if old is None:
        return
    number = old.inode.ino
    device = old.inode.file_system.device
    for area in each_area(task.space):
        source = area.source
        if source is not None and source.inode_number() == number and source.device_number() == device:
            raise Errno(EBUSY)
