"""Files and buffers that are registered with a ring, and the tags by which the program hears when nothing uses them any
more.

A slot that is emptied or replaced is *retired* (retirement.py). Its tag becomes a completion once every request has
ended that began with a registered file or buffer before that: a generation of requests ends with each retired slot, and
generations end in their order, as on Linux 6.12.

A table that is unregistered is *withdrawn* first: nobody finds its slots any more, until the requests have ended that
use registered files or buffers. Then it goes, or it is there again, if a signal ended the wait.

Context: `find_free` may sleep.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EBADF, Errno, final, noraise
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import pace
from kernel.mm.space import AddressSpace
from kernel.sched import WaitQueue

_SLOT_BYTES: Final = 8
_TAG_BYTES: Final = 48
_BUFFER_BYTES: Final = 56
GENERATION_BYTES: Final = 80
_SLOT_COST: Final = 12  # instructions to look at one, for `pace`


@final
class Generation(Linked["Generation"]):
    """Requests that began between two retirements, and the slot that was retired by the second."""

    def __init__(self) -> None:
        super().__init__()
        self.users: int = 0  # requests that have not ended
        self.tag: int = 0
        self.file: File | None = None

    def this(self) -> "Generation":
        return self


@final
class GenerationList(LinkedList[Generation]):
    """Generations in their order."""


@final
class Generations:
    """Those of a ring."""

    def __init__(self) -> None:
        self.present: Generation = Generation()  # to which requests belong that begin now
        self.past: GenerationList = GenerationList()
        self.past_count: int = 0
        self.ended: WaitQueue = WaitQueue()  # where the end of all past ones is waited for


@final
class FixedFiles:
    """The table of registered files."""

    def __init__(self) -> None:
        self.exists: bool = False
        self.slots: list[File | None] = []
        self.spare: list[File | None] = []  # the slots of a withdrawn table
        self.is_withdrawn: bool = False
        self.tags: dict[int, int] = {}  # by slot
        self.start: int = 0  # of the range where a free slot is looked for
        self.end: int = 0
        self.hint: int = 0  # where the next search begins

    def held_bytes(self) -> int:
        """About how much memory it frees when it goes."""
        return (len(self.slots) + len(self.spare)) * _SLOT_BYTES + len(self.tags) * _TAG_BYTES

    def withdraw(self) -> None:
        """Nobody finds a file any more."""
        self._exchange()
        self.is_withdrawn = True

    def put_back(self) -> None:
        """They do."""
        self._exchange()
        self.is_withdrawn = False

    def _exchange(self) -> None:
        slots = self.slots
        self.slots = self.spare
        self.spare = slots

    def has(self, slot: int) -> bool:
        """Whether there is such a slot. A call: asked anew after a sleep."""
        return slot < len(self.slots)

    def search_in(self, start: int, end: int) -> None:
        """Free slots are looked for there."""
        self.start = start
        self.end = end
        self.hint = start

    def find_free(self) -> int:
        """A free slot of the range; -1 if there is none. The search goes on where the last one ended."""
        if self.hint < self.start or self.hint >= self.end:
            self.hint = self.start
        first = self.hint
        found = self._free_in(first, self.end)
        return found if found >= 0 or first == self.start else self._free_in(self.start, first)

    def _free_in(self, start: int, end: int) -> int:
        slot = start
        while slot < end and self.has(slot):  # the table may go while this sleeps
            if self.slots[slot] is None:
                return slot
            slot += 1
            pace(_SLOT_COST)
        return -1

    def put(self, slot: int, file: File, tag: int) -> None:
        """Fill a slot, which keeps the caller's reference. Raises MemoryError, and nothing has changed."""
        if tag != 0:
            self.tags[slot] = tag
        if self.slots[slot] is None:
            self.hint = slot + 1
        self.slots[slot] = file

    def empty(self, slot: int) -> None:
        """What was there is retired."""
        self.slots[slot] = None
        self.hint = slot

    def tag_of(self, slot: int) -> int:
        """0 for none."""
        return self.tags.get(slot, 0)

    def file(self, slot: int) -> File:
        """Raises EBADF."""
        file = self.slots[slot] if 0 <= slot < len(self.slots) else None
        if file is None:
            raise Errno(EBADF)
        return file


@final
class FixedBuffer:
    """A range of memory."""

    def __init__(self, address: int, length: int) -> None:
        self.address: int = address
        self.length: int = length


@final
class FixedBuffers:
    """The table of registered buffers."""

    def __init__(self) -> None:
        self.exists: bool = False
        self.slots: list[FixedBuffer | None] = []
        self.spare: list[FixedBuffer | None] = []  # the slots of a withdrawn table
        self.is_withdrawn: bool = False
        self.tags: dict[int, int] = {}  # by slot
        self.space: AddressSpace | None = None  # where they lie

    def held_bytes(self) -> int:
        """About how much memory it frees when it goes."""
        return (len(self.slots) + len(self.spare)) * _BUFFER_BYTES + len(self.tags) * _TAG_BYTES

    def withdraw(self) -> None:
        """Nobody finds a buffer any more."""
        self._exchange()
        self.is_withdrawn = True

    def put_back(self) -> None:
        """They do."""
        self._exchange()
        self.is_withdrawn = False

    def _exchange(self) -> None:
        slots = self.slots
        self.slots = self.spare
        self.spare = slots

    def tag_of(self, slot: int) -> int:
        """0 for none."""
        return self.tags.get(slot, 0)

    @noraise
    def drop(self) -> None:
        """There is no longer a table."""
        self.exists = False
        self.is_withdrawn = False
        self.slots.clear()
        self.spare.clear()
        self.tags.clear()
        self.space = None
