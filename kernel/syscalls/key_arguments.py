"""The common part of calls about keys: whose keyrings, which key, texts and payloads from user memory."""

from typing import Final

from kernel.keys.adding import OwnFinder
from kernel.keys.keychain import Judging, Keychain, Reference, find_authority, look_up
from kernel.lang import EACCES, EINVAL, ENAMETOOLONG, EPERM, Errno, UserAddr
from kernel.lib import user
from kernel.task.task import Task, current
from kernel.task.words import signed_32

LONGEST_PAYLOAD: Final = (1 << 20) - 1
LONGEST_DESCRIPTION: Final = 4096
_LONGEST_TYPE: Final = 32
_DOT: Final = 46


def chain_of(task: Task) -> Keychain:
    """The keyrings of the caller. Raises MemoryError."""
    chain = task.keys
    if chain is None:
        chain = Keychain()
        task.own().keys = chain
    return chain


def found_key(number: int, right: int, creates: bool = False, judging: Judging = Judging.USE) -> Reference:
    """A key that the caller has a right to."""
    task = current()
    return look_up(chain_of(task), task.credentials, signed_32(number), right, creates=creates, judging=judging)


def finder_of(task: Task) -> OwnFinder:
    """Finds keys as the caller would. Raises MemoryError."""
    return OwnFinder(chain_of(task), task.credentials)


def key_or_awaited(number: int, right: int, creates: bool = False) -> Reference:
    """A key that the caller has a right to, or one that it is to make. It may be negative, or under construction."""
    try:
        return found_key(number, right, creates=creates, judging=Judging.PARTIAL)
    except Errno as error:
        if error.code != EACCES:
            raise
    task = current()
    try:
        find_authority(chain_of(task), task.credentials, signed_32(number))
    except Errno:
        raise Errno(EACCES) from None
    return found_key(number, 0, judging=Judging.PARTIAL)


def type_at(address: UserAddr) -> bytes:
    """The name of a type. Raises EFAULT, EINVAL, EPERM for the kernel's own."""
    name = user.read_string_start(address, _LONGEST_TYPE)
    if len(name) == 0 or len(name) >= _LONGEST_TYPE:
        raise Errno(EINVAL)
    if name[0] == _DOT:
        raise Errno(EPERM)
    return name


def text_at(address: UserAddr, limit: int) -> bytes:
    """A string. Raises EFAULT, EINVAL if it is too long."""
    try:
        return user.read_string(address, limit)
    except Errno as error:
        if error.code == ENAMETOOLONG:
            raise Errno(EINVAL) from None
        raise


def payload_at(address: UserAddr, size: int, limit: int) -> bytes:
    if not 0 <= size <= limit:
        raise Errno(EINVAL)
    return user.read_bytes(address, size) if size > 0 else b""
