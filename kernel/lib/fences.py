"""Orders of stores and loads that other processors see."""

from kernel.lang.effects import inline
from kernel.lang.unsafe import memory_fence


@inline
def fence() -> None:
    """What this processor stored before is seen by all before it loads anything after.

    Two that each store a word, pass a fence and look at the other's word: one of them at least sees the other's store.
    """
    # Safety: it touches nothing.
    memory_fence()
