"""Memory of stand-alone programs on the host: what C's `main` calls before the program's.

C maps a range of zero memory below 2**47, and passes it with the address where its own stack frame lies: no reference
of the program is above that. Nothing else runs, so there are no other stacks. Unsafe: takes the range on trust.
"""

from __future__ import annotations

from typing import Final

from kernel.lang import export
from kernel.mm import arena, reclaim, slabs


class Host:
    """What C passed to us."""

    stack_top: int

    def __init__(self) -> None:
        self.stack_top = 0


HOST: Final = Host()


@export("krait_host_start")
def start(memory: int, size_bytes: int, stack_top: int, stress: int) -> int:
    """Make the heap. `stress` is 1 to reclaim at every allocation. 0 if the range is too small, else 1."""
    HOST.stack_top = stack_top
    if not arena.start(memory, size_bytes):
        return 0
    reclaim.configure(own_stack_top, reclaim.no_stacks, 0)
    reclaim.set_stress(stress == 1)
    return 1


def own_stack_top() -> int:
    """The end of the only stack."""
    return HOST.stack_top


@export("krait_host_objects")
def objects_in_use() -> int:
    """How many objects there are, after a last pass: for leak reports."""
    reclaim.reclaim_now()
    return slabs.slots_in_use()
