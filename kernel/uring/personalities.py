"""Personalities: credentials that a ring keeps under a number, and with which a request may be performed.

That is what `personality` of a submission means. Numbers go from 1 to 65,535, and round: one that was dropped is not
given again soon.

Context: `add` may sleep.
"""

from typing import Final

from kernel.lang import EBUSY, EINVAL, Errno, final
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace

LAST: Final = 65535
_BYTES: Final = 400  # of one, with its credentials, about
_COST: Final = 60  # instructions to look at a number, for `pace`


@final
class Personalities:
    """Those of a ring."""

    def __init__(self) -> None:
        self._by_number: dict[int, Credentials] = {}
        self._next: int = 1

    def held_bytes(self) -> int:
        """About how much memory it frees when it goes."""
        return len(self._by_number) * _BYTES

    def add(self, credentials: Credentials) -> int:
        """Keep credentials; their number. Raises EBUSY (all numbers are taken), MemoryError."""
        number = self._next
        for _ in range(LAST):
            if number not in self._by_number:
                self._by_number[number] = credentials
                self._next = 1 if number == LAST else number + 1
                return number
            number = 1 if number == LAST else number + 1
            pace(_COST)
        raise Errno(EBUSY)

    def drop(self, number: int) -> None:
        """Requests that were submitted keep theirs. Raises EINVAL."""
        if number not in self._by_number:
            raise Errno(EINVAL)
        self._by_number.pop(number)

    def count(self) -> int:
        """How many there are."""
        return len(self._by_number)

    def find(self, number: int) -> Credentials | None:
        """Those with a number, if there are any."""
        return self._by_number.get(number)

    def of(self, number: int) -> Credentials:
        """Raises EINVAL."""
        found = self.find(number)
        if found is None:
            raise Errno(EINVAL)
        return found
