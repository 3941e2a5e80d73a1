"""Which protection keys the programs of an address space have taken, and the one that makes memory executable alone
(pkeys(7)).

An area has a key, 0 unless pkey_mprotect(2) gave it another; each of its pages' entries carries the key, and a register
of each thread says which keys it may read and write by. Memory with PROT_EXEC alone gets a key of its own that forbids
reading, for threads that ask for such memory and for all that have asked for nothing.

Invariant: a space has no object of this kind as long as only key 0 is in use.
Source: pkeys(7), pkey_alloc(2), mprotect(2).
"""

from typing import Final

from arch import key_count, key_forbids, set_key_rights
from kernel.lang import EINVAL, ENOSPC, Errno, final

NO_KEY: Final = -1
DISABLE_ACCESS: Final = 1
DISABLE_WRITE: Final = 2


@final
class ProtectionKeys:
    """Those of one space."""

    def __init__(self) -> None:
        self.taken: int = 1 if key_count() > 1 else 0  # a bit for each key
        self.execute_only: int = NO_KEY

    def copy(self) -> "ProtectionKeys":
        """The same for a forked space. Raises MemoryError."""
        other = ProtectionKeys()
        other.taken = self.taken
        other.execute_only = self.execute_only
        return other

    def has(self, key: int) -> bool:
        """Whether a program has allocated a key, and may use it."""
        return 0 <= key < key_count() and key != self.execute_only and self.taken >> key & 1 != 0

    def take(self) -> int:
        """The lowest key that is free. Raises ENOSPC."""
        for key in range(key_count()):
            if self.taken >> key & 1 == 0:
                self.taken |= 1 << key
                return key
        raise Errno(ENOSPC)

    def take_for_program(self, forbidden: int) -> int:
        """pkey_alloc(2): a key with rights for the running thread. Raises ENOSPC, EINVAL (there are no keys)."""
        key = self.take()
        if key_count() == 1:
            self.taken &= ~(1 << key)
            raise Errno(EINVAL)
        set_key_rights(key, forbidden)
        return key

    def give_back(self, key: int) -> None:
        """pkey_free(2). Areas keep the key, and the next owner of the key controls access to them. Raises EINVAL."""
        if not self.has(key):
            raise Errno(EINVAL)
        self.taken &= ~(1 << key)

    def execute_only_key(self) -> int:
        """The key of memory that may only be executed, which the running thread may not use from now on; NO_KEY if all
        are taken.
        """
        key = self.execute_only
        if key == NO_KEY:
            try:
                key = self.take()
            except Errno:
                return NO_KEY
            self.execute_only = key
        elif key_forbids(key, is_write=False):
            return key
        set_key_rights(key, DISABLE_ACCESS)
        return key
