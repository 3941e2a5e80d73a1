"""Address spaces that probes use for a while (probes.py), and who releases them.

Context: system calls; `release_late` sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.mm.space import AddressSpace


@final
class HeldSpaces:
    """Address spaces that are in use while a breakpoint is put into them. Those whose programs have ended meanwhile are
    released by a thread on its way to user mode: whoever closes an event may be at the end of a space himself.
    """

    def __init__(self) -> None:
        self.spaces: list[AddressSpace] = []
        self.places: list[int] = []
        self.is_done: bool = False

    def let_go(self) -> None:
        """It is done: release those that others use."""
        kept = 0
        for space in self.spaces:
            if space.users > 1:
                space.users -= 1
            else:
                self.spaces[kept] = space
                kept += 1
        while len(self.spaces) > kept:
            self.spaces.pop()
        self.is_done = True


LATE: Final[list[HeldSpaces]] = []
"""Those that hold any."""


def release_late() -> None:
    """Release spaces whose programs have ended. Sleeps."""
    place = len(LATE)
    while place > 0:
        place = min(place, len(LATE)) - 1
        held = LATE[place] if place >= 0 else None
        if held is None or not held.is_done:
            continue
        LATE.remove(held)
        while len(held.spaces) > 0:
            held.spaces.pop().release()
