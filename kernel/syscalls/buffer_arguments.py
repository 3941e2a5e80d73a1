"""Memory and offsets that are arguments of a data transfer."""

from typing import Final

from kernel.fs.constants import IOV_MAX, MAX_FILE_SIZE, MAX_RW_COUNT
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


def user_vector(address: UserAddr, count: int) -> UserVector:
    """A buffer over an array of struct iovec. Of `count` Linux looks at 32 bits. Raises EINVAL, EFAULT."""
    count &= 0xFFFF_FFFF
    if count > IOV_MAX:
        raise Errno(EINVAL)
    if count > 0:
        user.check(address, count * _VECTOR_SIZE)
    addresses: list[UserAddr] = []
    lengths: list[int] = []
    total = 0
    for index in range(count):
        start = user.read_i64(user.at(address, index * 16))
        length = user.read_i64(user.at(address, index * 16 + 8))
        if length < 0:
            raise Errno(EINVAL)
        addresses.append(UserAddr(start))
        lengths.append(length)
    if count == 1:
        lengths[0] = min(lengths[0], MAX_RW_COUNT)  # a single piece is cut first
    for index in range(count):
        user.check(addresses[index], lengths[index])  # only when all lengths are known to be right
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
