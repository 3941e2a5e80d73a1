"""union bpf_attr, the argument of bpf(2): the fields that each command reads, and the rights it requires."""

from typing import Final

from kernel.bpf.maps import Map
from kernel.bpf.token import Token
from kernel.fs.bpf.files import MapFile, ProgramFile
from kernel.lang import E2BIG, EINVAL, EPERM, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN
from kernel.lib.settings import SystemSetting
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current
from kernel.task.words import load_i32, load_i64

SIZE: Final = 152
_PAGE: Final = 4096
_NAME_SIZE: Final = 16


@final
class UnprivilegedSetting(SystemSetting):
    """Whether maps require CAP_BPF: 0 no, 2 yes, 1 yes and for good. CAP_SYS_ADMIN changes it."""

    def store(self, numbers: list[int]) -> None:
        if self.values[0] == 1 and numbers[0] != 1:
            raise Errno(EPERM)
        self.values[0] = numbers[0]


UNPRIVILEGED: Final = UnprivilegedSetting(b"kernel/unprivileged_bpf_disabled", [2], 0, 2)
UNPRIVILEGED.guard = CAP_SYS_ADMIN


@final
class Attributes:
    """The bytes at the address that a program gave, followed by zeros."""

    def __init__(self, address: UserAddr, size: int) -> None:
        """Raises E2BIG for one that is too long, or has unknown fields set; EFAULT."""
        if size > _PAGE:
            raise Errno(E2BIG)
        user.require_zeros(address, SIZE, size)
        self.address: UserAddr = address
        self.size: int = size
        self.storage: bytearray = bytearray(SIZE)
        user.read_into(span_of(self.storage)[0 : min(size, SIZE)], address)

    def end_at(self, end: int) -> None:
        """Raise EINVAL unless the rest is 0: a command does not use it."""
        for index in range(end, SIZE):
            if self.storage[index] != 0:
                raise Errno(EINVAL)

    def u32(self, offset: int) -> int:
        return span_of(self.storage).load_u32(offset)

    def i32(self, offset: int) -> int:
        return load_i32(span_of(self.storage), offset)

    def i64(self, offset: int) -> int:
        return load_i64(span_of(self.storage), offset)

    def pointer(self, offset: int) -> UserAddr:
        return UserAddr(self.i64(offset))

    def name(self, offset: int) -> bytes:
        """The name of a map or program: letters, digits, "_" and ".", with a NUL. Raises EINVAL."""
        field = bytes(self.storage[offset : offset + _NAME_SIZE])
        end = field.find(b"\0")
        if end < 0:
            raise Errno(EINVAL)
        for index in range(_NAME_SIZE):
            octet = field[index]
            if index >= end:
                if octet != 0:
                    raise Errno(EINVAL)
            elif not _is_of_name(octet):
                raise Errno(EINVAL)
        return field[:end]

    def answer(self, offset: int, value: int) -> None:
        """Write a word back. Raises EFAULT."""
        user.write_u32(user.at(self.address, offset), value)


# ---- Rights ----------------------------------------------------------------------------------------------------------


def _is_of_name(octet: int) -> bool:
    """Whether names of maps and programs may have it."""
    if ord("0") <= octet <= ord("9") or octet == ord("_") or octet == ord("."):
        return True
    return ord("A") <= octet <= ord("Z") or ord("a") <= octet <= ord("z")


def may(capability: int, token: Token | None) -> bool:
    """Whether the caller has a capability over the machine, or over the user namespace of a token. CAP_SYS_ADMIN
    includes the others.
    """
    who = current().credentials
    if token is not None:
        return who.capable_in(token.space, capability) or who.capable_in(token.space, CAP_SYS_ADMIN)
    return who.capable(capability) or who.capable(CAP_SYS_ADMIN)


def may_program(token: Token | None = None) -> bool:
    return may(CAP_BPF, token)


def may_leak(token: Token | None) -> bool:
    return may(CAP_PERFMON, token)


def require_bpf(token: Token | None) -> None:
    """Raises EPERM."""
    if not may_program(token):
        raise Errno(EPERM)


def require_net_admin(token: Token | None = None) -> None:
    """Raises EPERM."""
    if not may(CAP_NET_ADMIN, token):
        raise Errno(EPERM)


def require_administrator() -> None:
    """Raises EPERM."""
    if not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM)


# ---- Descriptors -----------------------------------------------------------------------------------------------------


def map_file_at(descriptor: int) -> MapFile:
    """Raises EBADF, EINVAL."""
    file = file_at(descriptor)
    if not isinstance(file, MapFile):
        raise Errno(EINVAL)
    return file


def map_at(descriptor: int) -> Map:
    """Raises EBADF, EINVAL."""
    return map_file_at(descriptor).map


def program_file_at(descriptor: int) -> ProgramFile:
    """Raises EBADF, EINVAL."""
    file = file_at(descriptor)
    if not isinstance(file, ProgramFile):
        raise Errno(EINVAL)
    return file
