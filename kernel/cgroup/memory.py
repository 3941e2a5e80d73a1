"""The controller "memory": how much memory a group may have, those below it among them.

Frames that threads of a group take for user pages, file contents and page tables are *charged*: a frame carries the
number of its group's control (mm/frames.py), and is given back to it when it comes free, whoever frees it. Charges are
taken in stocks of some pages, so that most frames cost a look at the stock and no walk up the tree. What a thread
itself takes in the kernel is counted from its making to its end; what the kernel's heap holds for descriptors is looked
at from time to time (task/group_holdings.py).

At a limit, clean pages of files that the group holds go at once. If that is not enough a charge may go beyond the limit
by `SLACK`, and the thread sees to it before it goes on in user mode (task/group_shortage.py): by writing back, by
killing. Beyond that, charges fail.

A control whose group has gone passes what it still holds to the nearest above that lives: counts above it have it
already. Its number comes free with the last frame that carries it; if numbers run out, frames get their heirs' numbers
(`prepare`).

Pages in swap areas are counted apart, by the number that the frame carried: the slot has it. A frame that is read back
is charged to whoever reads it.

Invariants: `usage` counts what is charged here and below, with what lies in stocks.
Context: charging may happen in any allocation; nothing here sleeps but `prepare`. Allocates nothing on the way.
"""

from typing import Final

from kernel.lang import ENOMEM, Errno, final, noinline
from kernel.lib.pace import pace
from kernel.lib.socket_group import SocketGroup
from kernel.mm.frames import CHARGING, LAST_CHARGE, FrameCharger, frame_limit, recharge
from kernel.mm.swap_slots import SWAP, SlotCharger
from kernel.sched.processor import RUNNING
from kernel.sched.scheduler import announce_work

NO_MEMORY_LIMIT: Final = 1 << 51  # pages
THREAD_PAGES: Final = 5  # a kernel stack, and a task with its registers
SLACK: Final = 256  # pages
_STOCK: Final = 32
_FEW_NUMBERS: Final = 64
_RESERVED_NUMBERS: Final = 1024  # for controls near the top: whoever has a part of the tree cannot take them all
_FAVOURED_LEVELS: Final = 2
_SWEPT_AT_ONCE: Final = 256  # frames
_SWEPT_WHEN_MADE: Final = 16_384  # that is a third of what may lie between two safe points
_DRAIN_COST: Final = 100
_SWEEP_COST: Final = 5000  # instructions for these

LOW: Final = 0
HIGH: Final = 1
MAX: Final = 2
OOM: Final = 3
OOM_KILL: Final = 4
OOM_GROUP_KILL: Final = 5
EVENT_NAMES: Final[list[bytes]] = [b"low", b"high", b"max", b"oom", b"oom_kill", b"oom_group_kill"]

SWAP_HIGH: Final = 0
SWAP_MAX: Final = 1
SWAP_FAIL: Final = 2
SWAP_EVENT_NAMES: Final[list[bytes]] = [b"high", b"max", b"fail"]


class MemoryHolder(SocketGroup):
    """Whose memory a control counts. Base class: a group."""

    def tell(self, file: bytes) -> None:
        """A file of the group shows something else."""


@final
class MemoryControl:
    """The count of one group, in pages."""

    def __init__(self, parent: "MemoryControl | None", number: int, holder: MemoryHolder) -> None:
        self.parent: MemoryControl | None = parent
        self.level: int = 0 if parent is None else parent.level + 1
        self.number: int = number
        self.holder: MemoryHolder | None = holder  # None: the control has ended
        self.heir: MemoryControl | None = None  # then: what has taken over what it held; None: the whole machine
        self.usage: int = 0
        self.stock: int = 0  # of that, what no frame has yet
        self.frames: int = 0  # that carry its number
        self.shared: int = 0  # of those, pages of files in memory
        self.looked_in_vain: bool = False  # the last search for pages that can go at once found none
        self.threads: int = 0  # that are counted here
        self.kept: int = 0  # pages' worth of what the kernel holds for descriptors
        self.peak: int = 0
        self.limit: int = NO_MEMORY_LIMIT
        self.high: int = NO_MEMORY_LIMIT
        self.low: int = 0
        self.minimum: int = 0
        self.kills_all: bool = False  # memory.oom.group
        self.slots: int = 0  # of swap areas that carry its number
        self.swap_usage: int = 0  # slots, here and below
        self.swap_peak: int = 0
        self.swap_limit: int = NO_MEMORY_LIMIT
        self.swap_high: int = NO_MEMORY_LIMIT
        self.swap_events: list[int] = [0, 0, 0]
        self.has_untold_swap: bool = False
        self.events: list[int] = [0, 0, 0, 0, 0, 0]
        self.has_untold: bool = False
        self.own_events: list[int] = [0, 0, 0, 0, 0, 0]

    def add(self, pages: int) -> None:
        """Count pages here and above, whatever the limits."""
        walker: MemoryControl | None = self
        while walker is not None:
            walker.usage += pages
            walker.peak = max(walker.peak, walker.usage)
            walker = walker.parent

    def take(self, pages: int) -> None:
        """Count them no more."""
        walker: MemoryControl | None = self
        while walker is not None:
            walker.usage -= pages
            walker = walker.parent

    def take_from_living(self, pages: int) -> None:
        """The same for what a control that may have ended counted."""
        walker: MemoryControl | None = self
        while walker is not None and walker.holder is None:
            walker.usage -= pages
            walker = walker.heir
        if walker is not None:
            walker.take(pages)

    def keep(self, pages: int) -> None:
        """The kernel holds that many pages more for members in its heap, or fewer."""
        self.kept += pages
        if pages > 0:
            self.add(pages)
        else:
            self.take_from_living(-pages)

    def drain(self) -> None:
        """Give the stock back, so that `usage` is exact for this control."""
        stock = self.stock
        self.stock = 0
        self.take(stock)

    def exceeded(self, pages: int) -> "MemoryControl | None":
        """The lowest of this and those above whose limit does not permit that many pages more."""
        walker: MemoryControl | None = self
        while walker is not None:
            if walker.usage + pages > walker.limit:
                return walker
            walker = walker.parent
        return None

    def highest_exceeded(self, pages: int, slack: int) -> "MemoryControl | None":
        """The highest whose limit and `slack` do not permit that many pages more."""
        found: MemoryControl | None = None
        walker: MemoryControl | None = self
        while walker is not None:
            if walker.usage + pages > walker.limit + slack:
                found = walker
            walker = walker.parent
        return found

    def too_high(self) -> "MemoryControl | None":
        """The lowest of this and those above that has more than memory.high."""
        walker: MemoryControl | None = self
        while walker is not None:
            if walker.usage > walker.high:
                return walker
            walker = walker.parent
        return None

    def contains(self, other: "MemoryControl | None") -> bool:
        """Whether another is this one or below."""
        while other is not None and other.level > self.level:
            other = other.parent
        return other is self

    def count(self, event: int, is_local: bool) -> None:
        """Count an event, here and (unless `is_local`) above. `tell_events` says so, later."""
        self.own_events[event] += 1
        self.has_untold = True
        walker: MemoryControl | None = self
        while walker is not None:
            walker.events[event] += 1
            walker.has_untold = True
            walker = None if is_local else walker.parent

    def count_swap(self, event: int) -> None:
        """Count an event of memory.swap.events, here and above."""
        walker: MemoryControl | None = self
        while walker is not None:
            walker.swap_events[event] += 1
            walker.has_untold_swap = True
            walker = walker.parent

    def take_slot(self) -> bool:
        """Count a slot, here and above, if no limit forbids it."""
        walker: MemoryControl | None = self
        while walker is not None:
            if walker.swap_usage >= walker.swap_limit:
                if walker.swap_limit > 0:  # as on Linux: where nothing may be swapped out, nobody tries
                    self.count_swap(SWAP_MAX)
                    self.count_swap(SWAP_FAIL)
                return False
            walker = walker.parent
        walker = self
        while walker is not None:
            walker.swap_usage += 1
            walker.swap_peak = max(walker.swap_peak, walker.swap_usage)
            if walker.swap_usage == walker.swap_high + 1:
                walker.count_swap(SWAP_HIGH)
            walker = walker.parent
        return True

    def give_slot(self) -> None:
        """A slot that was counted here is free."""
        walker: MemoryControl | None = self
        while walker is not None:
            walker.swap_usage -= 1
            walker = walker.parent

    def tell_events(self) -> None:
        """Whoever watches memory.events hears of those that were counted, here and above."""
        walker: MemoryControl | None = self
        while walker is not None:
            holder = walker.holder
            if walker.has_untold_swap and holder is not None:
                walker.has_untold_swap = False
                holder.tell(b"memory.swap.events")
            if walker.has_untold and holder is not None:
                walker.has_untold = False
                holder.tell(b"memory.events")
                holder.tell(b"memory.events.local")
            walker = walker.parent

    def happened(self, event: int, is_local: bool) -> None:
        """Both."""
        self.count(event, is_local)
        self.tell_events()


@final
class SwapCharger(SlotCharger):
    """Counts slots."""

    def has_room(self, number: int) -> bool:
        walker = MEMORY_CONTROLS.living(number)
        while walker is not None and walker.swap_usage < walker.swap_limit:
            walker = walker.parent
        return walker is None

    def charge(self, number: int) -> bool:
        control = MEMORY_CONTROLS.all[number]
        if control is None:
            return True
        living = MEMORY_CONTROLS.living(number)
        if living is not None and not living.take_slot():
            return False
        control.slots += 1
        return True

    def uncharge(self, number: int) -> None:
        control = MEMORY_CONTROLS.all[number]
        if control is None:
            return
        living = MEMORY_CONTROLS.living(number)
        if living is not None:
            living.give_slot()
        control.slots -= 1
        MEMORY_CONTROLS.free_if_done(control)


class GroupReclaimer:
    """Finds memory that a group can do without. Base class: kernel/cache/group_reclaim.py."""

    def drop_some(self, control: MemoryControl, wanted: int) -> int:
        """Drop some clean pages of files that a control counts, looking at few; returns how many. Never sleeps."""
        return 0


@final
class MemoryControls(FrameCharger):
    """All of them, by number; 0 is nobody's."""

    def __init__(self) -> None:
        self.all: list[MemoryControl | None] = [None]
        self.free: int = 0  # numbers that came free
        self.swept: int = 1  # the frame that `_sweep_some` looks at next
        self.cursor: int = 1  # where the search for one begins
        self.ended: int = 0  # controls that ended, and whose numbers are still carried
        self.has_protection: bool = False  # somebody has set memory.low or memory.min
        self.protects_below: bool = False  # the file system is mounted with memory_recursiveprot
        self.events_are_local: bool = False  # the file system is mounted with memory_localevents
        self.reclaimer: GroupReclaimer = GroupReclaimer()

    # ---- Coming and going -------------------------------------------------------------------------------------

    def make(self, parent: MemoryControl | None, holder: MemoryHolder) -> MemoryControl:
        """One more. Raises ENOMEM, MemoryError."""
        CHARGING.is_on = True
        if self._is_short():
            self._sweep_some(_SWEPT_WHEN_MADE)
        if parent is not None and parent.level >= _FAVOURED_LEVELS and self._numbers_left() <= _RESERVED_NUMBERS:
            raise Errno(ENOMEM)
        if self.free > 0:
            while self.all[self.cursor] is not None:
                self.cursor = self.cursor % (len(self.all) - 1) + 1
            made = MemoryControl(parent, self.cursor, holder)
            self.all[self.cursor] = made
            self.free -= 1
            return made
        number = len(self.all)
        if number > LAST_CHARGE:
            raise Errno(ENOMEM)
        made = MemoryControl(parent, number, holder)
        self.all.append(made)
        return made

    def end(self, control: MemoryControl) -> None:
        """Its group goes, or loses the controller."""
        control.drain()
        control.holder = None
        control.heir = control.parent
        self.ended += 1
        self.free_if_done(control)

    def free_if_done(self, control: MemoryControl) -> None:
        """Let the number of a control that has ended come free once neither a frame nor a thread carries it."""
        if control.holder is not None or control.frames > 0 or control.threads > 0 or control.slots > 0:
            return
        if self.all[control.number] is control:
            self.all[control.number] = None
            self.free += 1
            self.ended -= 1

    def prepare(self) -> None:
        """Before many are created: make sure that there are numbers. Sleeps if it must look at all frames."""
        if not self._is_short():
            return
        left = frame_limit()
        while left > 0:
            self._sweep_some(_SWEPT_AT_ONCE)
            left -= _SWEPT_AT_ONCE
            pace(_SWEEP_COST)

    def _is_short(self) -> bool:
        """Whether there are few numbers left, and looking at frames may free some."""
        return self.ended >= _FEW_NUMBERS and self._numbers_left() < _FEW_NUMBERS

    def _numbers_left(self) -> int:
        return self.free + LAST_CHARGE + 1 - len(self.all)

    def _sweep_some(self, count: int) -> None:
        """Look at the next frames, from the first again after the last one."""
        first = self.swept if self.swept < frame_limit() else 1
        self.swept = first + count
        recharge(first, first + count)

    def drain_below(self, control: MemoryControl) -> None:
        """Give back what lies in stocks of a control and of those below it. Sleeps where there are many."""
        number = 1
        while number < len(self.all):
            other = self.all[number]
            if other is not None and other.stock > 0 and control.contains(other):
                other.drain()
            number += 1
            pace(_DRAIN_COST)

    def living(self, number: int) -> MemoryControl | None:
        """What counts the frames that carry a number; None: nothing but the machine."""
        control = self.all[number]
        while control is not None and control.holder is None:
            control = control.heir
        return control

    def protects(self, number: int, is_desperate: bool) -> bool:
        """Whether frames that carry a number stay while others have something to give: their group and all above have
        no more than memory.min, or memory.low unless that `is_desperate`. With memory_recursiveprot, a group that says
        nothing is protected with the one above.
        """
        control = self.living(number)
        if control is None or not self.has_protection:
            return False
        kept = 0
        walker: MemoryControl | None = control
        while walker is not None:
            kept = walker.minimum if is_desperate else max(walker.minimum, walker.low)
            if walker.usage > kept and (kept > 0 or not self.protects_below):
                if is_desperate and control.usage <= control.low:
                    control.count(LOW, self.events_are_local)
                return False
            walker = walker.parent
        return kept > 0

    # ---- Frames -----------------------------------------------------------------------------------------------

    def charge(self) -> int:
        number = RUNNING.current.charges.memory
        if number == 0:
            return 0
        control = self.all[number]
        if control is None:
            return 0
        if control.stock == 0:
            return self._charge_anew(control)
        control.stock -= 1
        control.frames += 1
        return number

    @noinline
    def _charge_anew(self, control: MemoryControl) -> int:
        """The same where nothing lies in stock: take some, from the heir of a control that has ended."""
        if control.holder is None:
            heir = self.living(control.number)
            RUNNING.current.charges.memory = 0 if heir is None else heir.number
            if heir is None:
                return 0
            control = heir
        if control.stock == 0:
            self._take_stock(control)
        RUNNING.current.charges.has_failed = False
        control.stock -= 1
        control.frames += 1
        return control.number

    def _take_stock(self, control: MemoryControl) -> None:
        """Charge some pages. Raises MemoryError."""
        if control.exceeded(_STOCK) is None:
            control.add(_STOCK)
            control.stock = _STOCK
        else:
            self.make_room(control, 1)
            if control.stock == 0:  # what was dropped may lie there
                control.add(1)
                control.stock = 1
        if control.too_high() is not None:
            _ask_for_relief()

    def make_room(self, control: MemoryControl, pages: int) -> None:
        """Some pages more are about to be counted: drop others if a limit does not permit them, and let limits be
        exceeded by a little. Raises MemoryError where one is exceeded by more.
        """
        exceeded = control.exceeded(pages)
        if exceeded is None:
            return
        exceeded.count(MAX, self.events_are_local)
        _ask_for_relief()
        highest = control.highest_exceeded(pages, 0)
        if self.reclaimer.drop_some(exceeded, _STOCK) == 0 and highest is not None and highest is not exceeded:
            self.reclaimer.drop_some(highest, _STOCK)
        if control.stock < pages and control.highest_exceeded(pages, SLACK) is not None:
            RUNNING.current.charges.has_failed = True
            raise MemoryError

    def heap_grew(self, pages: int) -> None:
        thread = RUNNING.current
        if thread.charges.memory != 0:
            thread.heap_grew(pages)

    def charges(self) -> bool:
        return RUNNING.current.charges.memory != 0

    def permits(self, pages: int) -> bool:
        control = self.all[RUNNING.current.charges.memory]
        return control is None or control.exceeded(pages + _STOCK) is None

    def uncharge(self, number: int, is_shared: bool) -> None:
        control = self.all[number]
        if control is None:
            return
        control.frames -= 1
        if is_shared:
            control.shared -= 1
        if control.holder is None:
            heir = self.living(number)
            if heir is not None:
                heir.take(1)
            self.free_if_done(control)
            return
        control.stock += 1
        if control.stock > 2 * _STOCK:
            control.stock -= _STOCK
            control.take(_STOCK)

    def mark_shared(self, number: int) -> None:
        control = self.all[number]
        if control is not None:
            control.shared += 1

    def successor(self, number: int, is_shared: bool) -> int:
        control = self.all[number]
        if control is None or control.holder is not None:
            return number
        heir = self.living(number)
        control.frames -= 1
        if is_shared:
            control.shared -= 1
        if heir is not None:
            heir.frames += 1
            if is_shared:
                heir.shared += 1
        self.free_if_done(control)
        return 0 if heir is None else heir.number


def _ask_for_relief() -> None:
    """The running thread is to see to its group's memory before it goes on in user mode."""
    RUNNING.current.charges.is_over_limit = True
    announce_work()


MEMORY_CONTROLS: Final = MemoryControls()
CHARGING.charger = MEMORY_CONTROLS
SWAP.charger = SwapCharger()
