"""Arguments of a new program: read from the old one, and laid out on the new one's stack.

Sources: execve(2), getauxval(3), System V ABI for x86-64, 3.4.1.

From the stack's top downwards: eight zero bytes, the program's name, the environment's strings, the arguments' strings,
the platform's name, sixteen random bytes; then, 16-byte aligned, where the stack pointer points: argc, pointers to
arguments, 0, pointers to the environment, 0, and the auxiliary vector.

Context: sleeps (user memory). Raises E2BIG, EFAULT, MemoryError.
"""

from typing import Final

from arch import MACHINE_NAME, MINIMUM_SIGNAL_STACK, hardware_capabilities
from kernel.lang import E2BIG, EFAULT, ENAMETOOLONG, Errno, Span, UserAddr, final, span_of, u8
from kernel.lib import random, user
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SIZE
from kernel.task import restartable
from kernel.task.limits import RLIMIT_STACK
from kernel.task.load import Layout
from kernel.task.task import Task
from kernel.task.words import store_i64

STRING_LIMIT: Final = 32 * PAGE_SIZE  # of one string, including its NUL
_TOTAL_MINIMUM: Final = 32 * PAGE_SIZE
_TOTAL_MAXIMUM: Final = 6 << 20
_POINTER_SIZE: Final = 8

_AT_NULL: Final = 0
_AT_EXECFD: Final = 2
_AT_PHDR: Final = 3
_AT_PHENT: Final = 4
_AT_PHNUM: Final = 5
_AT_PAGESZ: Final = 6
_AT_BASE: Final = 7
_AT_FLAGS: Final = 8
_AT_ENTRY: Final = 9
_AT_UID: Final = 11
_AT_EUID: Final = 12
_AT_GID: Final = 13
_AT_EGID: Final = 14
_AT_PLATFORM: Final = 15
_AT_HWCAP: Final = 16
_AT_CLKTCK: Final = 17
_AT_SECURE: Final = 23
_AT_RANDOM: Final = 25
_AT_HWCAP2: Final = 26
_AT_RSEQ_FEATURE_SIZE: Final = 27
_AT_RSEQ_ALIGN: Final = 28
_AT_EXECFN: Final = 31
_AT_SYSINFO_EHDR: Final = 33
_AT_MINSIGSTKSZ: Final = 51

_AT_FLAGS_PRESERVE_ARGV0: Final = 1
_ELF_HEADER_ENTRY: Final = 56
_CLOCK_TICKS: Final = 100
_PLATFORM: Final = MACHINE_NAME + b"\0"
# Instructions, for `pace`
_STRING_COST: Final = 1500
_BYTE_SHIFT: Final = 3
_WORD_COST: Final = 50


@final
class StringBudget:
    """How many bytes a caller of execve may still pass."""

    def __init__(self, task: Task, name: bytes) -> None:
        limit = task.process.limits.soft[RLIMIT_STACK] // 4
        self.left: int = max(_TOTAL_MINIMUM, min(limit, _TOTAL_MAXIMUM)) - len(name) - 1

    def take(self, size: int) -> None:
        """Raise E2BIG when the total is too large."""
        self.left -= size
        if self.left < 0:
            raise Errno(E2BIG)


def _read_string(pointer: UserAddr) -> bytes:
    code = E2BIG
    try:
        return user.read_string(pointer, STRING_LIMIT)
    except Errno as e:
        if e.code != ENAMETOOLONG:
            code = e.code
    raise Errno(code)


def read_strings(address: UserAddr, budget: StringBudget) -> list[bytes]:
    """The strings of an array of pointers that ends with a null; a null array is empty, as on Linux."""
    strings: list[bytes] = []
    if address == 0:
        return strings
    place = address
    while True:
        user.check(place, _POINTER_SIZE)
        pointer = UserAddr(user.read_i64(place))
        if pointer == 0:
            return strings
        string = _read_string(pointer)
        budget.take(len(string) + 1 + _POINTER_SIZE)
        strings.append(string)
        place = user.at(place, _POINTER_SIZE)
        pace(_STRING_COST + (len(string) << _BYTE_SHIFT))


@final
class _Vector:
    """The words at the stack pointer, under construction."""

    def __init__(self, words: int) -> None:
        self.storage: bytearray = bytearray(words * _POINTER_SIZE)
        self.used: int = 0

    def add(self, value: int) -> None:
        store_i64(span_of(self.storage), self.used, value)
        self.used += _POINTER_SIZE

    def add_pair(self, key: int, value: int) -> None:
        """One entry of the auxiliary vector."""
        self.add(key)
        self.add(value)


_AUXILIARY_WORDS: Final = 48


def write_stack(
    task: Task, arguments: list[bytes], environment: list[bytes], name: bytes, layout: Layout, secure: bool
) -> int:
    """Write the program's initial stack, and the zeros that its segments need. Returns the stack pointer.
    The new address space is active.
    """
    for clearing in layout.clearings:
        user.clear(UserAddr(clearing.address), clearing.size)
    space = task.space
    top = user.at(UserAddr(layout.stack_top), -8)
    name_address = _push_string(top, name)
    space.layout.environment_end = name_address
    place = name_address
    pointers: list[int] = []
    for i in reversed(range(len(environment))):
        place = _push_string(place, environment[i])
        pointers.append(place)
        pace(_STRING_COST)
    space.layout.environment_start = place
    space.layout.argument_end = place
    for i in reversed(range(len(arguments))):
        place = _push_string(place, arguments[i])
        pointers.append(place)
        pace(_STRING_COST)
    space.layout.argument_start = place
    place = user.at(place, -len(_PLATFORM))
    platform = place
    user.write_bytes(platform, _PLATFORM)
    place = user.at(UserAddr(place & ~15), -16)
    seed = bytearray(16)
    random.fill(span_of(seed))
    user.write_from(place, span_of(seed))
    vector = _Vector(3 + len(pointers) + _AUXILIARY_WORDS)
    vector.add(len(arguments))
    count = len(pointers)
    for i in range(len(arguments)):
        vector.add(pointers[count - 1 - i])
        pace(_WORD_COST)
    vector.add(0)
    for i in range(len(environment)):
        vector.add(pointers[len(environment) - 1 - i])
        pace(_WORD_COST)
    vector.add(0)
    first = vector.used
    _add_auxiliary(vector, task, layout, secure, name_address, platform, place)
    space.auxiliary_vector = span_of(vector.storage)[first : vector.used].to_bytes()
    sp = UserAddr(user.at(place, -vector.used) & ~15)
    _write(sp, span_of(vector.storage)[0 : vector.used])
    return sp


def _push_string(top: UserAddr, string: bytes) -> UserAddr:
    """Write a string with its NUL below `top`; returns its address."""
    address = user.at(top, -len(string) - 1)
    user.write_bytes(address, string)
    user.write_u8(user.at(address, len(string)), 0)
    return address


def _write(address: UserAddr, data: Span[u8]) -> None:
    if address < 0:
        raise Errno(EFAULT)
    user.write_from(address, data)


def _add_auxiliary(
    vector: _Vector, task: Task, layout: Layout, secure: bool, name: int, platform: int, seed: int
) -> None:
    credentials = task.credentials
    if layout.vdso != 0:
        vector.add_pair(_AT_SYSINFO_EHDR, layout.vdso)
    vector.add_pair(_AT_MINSIGSTKSZ, MINIMUM_SIGNAL_STACK)
    vector.add_pair(_AT_HWCAP, hardware_capabilities())
    vector.add_pair(_AT_PAGESZ, PAGE_SIZE)
    vector.add_pair(_AT_CLKTCK, _CLOCK_TICKS)
    vector.add_pair(_AT_PHDR, layout.headers)
    vector.add_pair(_AT_PHENT, _ELF_HEADER_ENTRY)
    vector.add_pair(_AT_PHNUM, layout.header_count)
    vector.add_pair(_AT_BASE, layout.interpreter_base)
    vector.add_pair(_AT_FLAGS, _AT_FLAGS_PRESERVE_ARGV0 if layout.keeps_name else 0)
    vector.add_pair(_AT_ENTRY, layout.program_entry)
    namespace = credentials.user_namespace
    vector.add_pair(_AT_UID, namespace.shown_uid(credentials.uid))
    vector.add_pair(_AT_EUID, namespace.shown_uid(credentials.euid))
    vector.add_pair(_AT_GID, namespace.shown_gid(credentials.gid))
    vector.add_pair(_AT_EGID, namespace.shown_gid(credentials.egid))
    vector.add_pair(_AT_SECURE, 1 if secure else 0)
    vector.add_pair(_AT_RANDOM, seed)
    vector.add_pair(_AT_HWCAP2, 0)
    vector.add_pair(_AT_EXECFN, name)
    vector.add_pair(_AT_RSEQ_FEATURE_SIZE, restartable.FEATURE_SIZE)
    vector.add_pair(_AT_RSEQ_ALIGN, restartable.ALIGNMENT)
    vector.add_pair(_AT_PLATFORM, platform)
    if layout.opened >= 0:
        vector.add_pair(_AT_EXECFD, layout.opened)
    vector.add_pair(_AT_NULL, 0)
