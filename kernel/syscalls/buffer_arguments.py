"""Memory and offsets that are arguments of a data transfer."""

from typing import Final

from kernel.fs.constants import IOV_MAX, MAX_FILE_SIZE, MAX_RW_COUNT
from kernel.fs.file import File
from kernel.lang import EFAULT, EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.lib.user import Buffer, UserBuffer, UserVector
from kernel.task import current

_VECTOR_SIZE: Final = 16  # of struct iovec


def user_range(address: UserAddr, length: int) -> UserBuffer:
    """A buffer over user memory; lengths beyond what one call moves are truncated. Raises EFAULT, even for a length
    below 0: no memory is as large.
    """
    user.check(address, length)
    return current().user_buffer(address, min(length, MAX_RW_COUNT))


def range_to_read(file: File, address: UserAddr, length: int) -> UserBuffer:
    """The same, but EINVAL comes first where a file cannot be read at all."""
    try:
        return user_range(address, length)
    except Errno:
        if not file.can_read():
            raise Errno(EINVAL) from None
        raise


def range_to_write(file: File, address: UserAddr, length: int) -> UserBuffer:
    """The same for a file to write."""
    try:
        return user_range(address, length)
    except Errno:
        if not file.can_write():
            raise Errno(EINVAL) from None
        raise


def read_pieces(address: UserAddr, count: int, addresses: list[UserAddr], lengths: list[int]) -> None:
    """Append the pieces of an array of struct iovec. Raises EINVAL (too many, a negative length), EFAULT."""
    if count < 0 or count > IOV_MAX:
        raise Errno(EINVAL)
    if count > 0:
        user.check(address, count * _VECTOR_SIZE)
    for index in range(count):
        start = user.read_i64(user.at(address, index * _VECTOR_SIZE))
        length = user.read_i64(user.at(address, index * _VECTOR_SIZE + 8))
        if length < 0:
            raise Errno(EINVAL)
        addresses.append(UserAddr(start))
        lengths.append(length)


def read_own_pieces(address: UserAddr, count: int, addresses: list[UserAddr], lengths: list[int]) -> None:
    """The same for pieces that must be user addresses. Of `count` Linux looks at 32 bits."""
    read_pieces(address, count & 0xFFFF_FFFF, addresses, lengths)
    if len(lengths) == 1:
        lengths[0] = min(lengths[0], MAX_RW_COUNT)  # a single piece is cut first
    for index in range(len(lengths)):
        user.check(addresses[index], lengths[index])  # only when all lengths are known to be right


def user_vector(address: UserAddr, count: int) -> UserVector:
    """A buffer over an array of struct iovec. Raises EINVAL, EFAULT."""
    addresses: list[UserAddr] = []
    lengths: list[int] = []
    read_own_pieces(address, count, addresses, lengths)
    total = 0
    for index in range(len(lengths)):
        lengths[index] = min(lengths[index], MAX_RW_COUNT - total)  # fits: no total is larger
        total += lengths[index]  # fits: to MAX_RW_COUNT at most
    return UserVector(addresses, lengths)


def finish_transfer(done: int, buffer: Buffer) -> int:
    """The result of a transfer: EFAULT if memory stopped it before anything moved."""
    if done == 0 and buffer.faulted:
        raise Errno(EFAULT)
    return done


def check_area(offset: int, count: int) -> None:
    """EINVAL if `count` bytes from `offset` on would end past 2**63 - 1."""
    if offset > MAX_FILE_SIZE - count:
        raise Errno(EINVAL)
