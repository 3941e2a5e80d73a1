"""getrandom(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_RW_COUNT
from kernel.lang import EFAULT, EINVAL, Errno, UserAddr, u32
from kernel.lib import user
from kernel.lib.random_transfer import put_random

_GRND_NONBLOCK: Final = 1
_GRND_RANDOM: Final = 2
_GRND_INSECURE: Final = 4


@syscall("getrandom", status="Full", args=">bytes[size] size flags:GRND_NONBLOCK|GRND_RANDOM|GRND_INSECURE")
def getrandom(address: UserAddr, size: int, flags: u32) -> int:
    """getrandom(2): never blocks, because the generator is seeded at boot."""
    if flags & ~(_GRND_NONBLOCK | _GRND_RANDOM | _GRND_INSECURE) != 0:
        raise Errno(EINVAL)
    if flags & (_GRND_RANDOM | _GRND_INSECURE) == _GRND_RANDOM | _GRND_INSECURE:
        raise Errno(EINVAL)
    wanted = MAX_RW_COUNT if size < 0 or size > MAX_RW_COUNT else size
    user.check(address, wanted)
    buffer = user.UserBuffer(address, wanted)
    done = put_random(buffer)
    if done == 0 and buffer.faulted:
        raise Errno(EFAULT)
    return done
