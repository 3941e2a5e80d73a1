"""The address spaces whose pages may be merged, and what the search for equal pages knows of them (merging.py).

A space is in `MERGEABLE` from its first MADV_MERGEABLE or PR_SET_MEMORY_MERGE on until it ends, or the search finds
nothing mergeable in it. The search goes through them one after the other; `at` and `address` are its place, which
moves on when a space ends.

Context: never sleeps. Source: the page "Kernel Samepage Merging" of Linux's documentation.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final, noraise
from kernel.lib.linked import Linked, LinkedList

if TYPE_CHECKING:
    from kernel.mm.space import AddressSpace


@final
class MergeableSpace(Linked["MergeableSpace"]):
    """One of them."""

    def __init__(self, space: "AddressSpace") -> None:
        super().__init__()
        self.space: AddressSpace = space
        self.takes_all: bool = False  # whatever it maps is mergeable if it can be (PR_SET_MEMORY_MERGE)
        # by the address, hashed, of a page that is not merged: its checksum, and above it how often it was looked at
        self.seen: dict[int, int] = {}  # in the last round
        self.seen_now: dict[int, int] = {}  # in this one
        self.has_areas: bool = False  # that are mergeable: found in this round, or new

    def this(self) -> "MergeableSpace":
        return self

    def copy_for(self, space: "AddressSpace") -> "MergeableSpace":
        """What a space that was forked from this one, or follows it in exec, begins with. Raises MemoryError."""
        other = MergeableSpace(space)
        other.takes_all = self.takes_all
        MERGEABLE.link_last(other)
        return other

    @noraise
    def end(self) -> None:
        """The space ends, or has nothing mergeable any more."""
        MERGEABLE.leave(self)

    def end_round(self) -> None:
        """The search has seen all of it, and forgets pages that it did not see."""
        before = self.seen
        self.seen = self.seen_now
        before.clear()
        self.seen_now = before
        self.has_areas = False

    def forget(self) -> None:
        """Nothing is known of its pages."""
        self.seen.clear()
        self.seen_now.clear()


@final
class MergeableSpaces(LinkedList["MergeableSpace"]):
    """All of them, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.at: MergeableSpace | None = None  # where the search is; None between two rounds
        self.address: int = 0  # and from which page on it goes on there

    @noraise
    def leave(self, state: MergeableSpace) -> None:
        """One leaves."""
        if self.at is state:
            self.go_on()
        self.unlink(state)

    @noraise
    def go_on(self) -> None:
        """The search goes on in the next space."""
        state = self.at
        self.at = None if state is None else state.after()
        self.address = 0


MERGEABLE: Final = MergeableSpaces()
