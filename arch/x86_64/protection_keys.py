"""Protection keys: each page of a program has one of 16, and each thread says by which it may read and write
(pkeys(7)).

The rights are a register of the program's own, which it changes without the kernel. They bind the kernel as well where
it follows a user address. They are switched with the bases of segments (programs/processor_state.py).

Context: any; what is said of rights is of the running task.
Safety: the register is read and written only where the processor has it.
Source: Intel SDM vol. 3, 4.6.2.
"""

from typing import Final

from arch.x86_64.cpu import features
from arch.x86_64.instructions import read_key_rights, write_key_rights

_NO_ACCESS: Final = 1  # the two bits of a key
_NO_WRITE: Final = 2
_BITS_OF_KEY: Final = 3
_COUNT: Final = 16


def key_count() -> int:
    """How many keys a page can have; 1 where the processor has none."""
    return _COUNT if features.protection_keys else 1


def key_forbids(key: int, is_write: bool) -> bool:
    """Whether the running task may not read, or write, pages of a key, 0 to 15."""
    if not features.protection_keys:
        return False
    rights = read_key_rights() >> (2 * key)
    return rights & (_NO_ACCESS | _NO_WRITE if is_write else _NO_ACCESS) != 0


def set_key_rights(key: int, forbidden: int) -> None:
    """Let the running task have these of the two bits of a key set: PKEY_DISABLE_ACCESS, PKEY_DISABLE_WRITE. Only where
    there are keys.
    """
    shift = 2 * key
    write_key_rights(read_key_rights() & ~(_BITS_OF_KEY << shift) | forbidden << shift)
