"""Deferred reference counting: frees the objects whose count is zero and that no stack holds.

References on stacks and in registers are not counted. So an object with count 0 is garbage only if no word of any
kernel stack points into it. A pass, with every other thread stopped:

1. *Mark*: spill the callee-saved registers, and look at each word of its own stack and (through a hook) of every other
   kernel stack. What points into a slot in use marks its object: the scan is conservative, interior pointers count.
   The stack of a thread that sleeps stays as it is, so it is looked at once: what it points to is *held*, counted like
   a reference from a field, until the thread runs again.
2. *Sweep*: of the entries of the zero-count table, those with a count leave the table; those marked stay; the rest are
   dead. A dead object drops its references, and its slot goes back.
3. *Trace*: objects whose count drops to zero then are dead too, or enter the table if marked. These dead are chained
   through their own headers, so neither recursion nor memory is needed.
4. *Weak references* to the dead are cleared, and dead weak references leave the list of all before their slots go back.

A pass looks at a bounded number of words and frees for a bounded number of instructions, so that nobody waits for
long. If there are stacks that it did not come to, it frees nothing, and the next one goes on with them; the rest of
the dead stay chained for the next one, and so does the rest of the heap, where it is searched. Each is due at once.
Only when memory is short is all of it done. Each pass marks its own stack anew, because what a chained object refers to
lives, and may have come to a stack meanwhile.

Invariants:
- A dead object is BURIED (a bit of its type word, for descriptors are aligned) while it is chained, and its `type` is 0
  from then to the end of the pass, since nothing is allocated meanwhile; nobody but this module looks at it.
- All live `Weak` objects are on one list through their word at 16, which is no counted reference.
- While a stack holds objects, links to them lie at its base, as many as `hold_stack` returned, and each counts once.

The kernel calls `reclaim_if_due` when a system call returns and at safe points, and allocation calls `reclaim_enough`
when memory is short. The cost is about 0.2 µs for 2 KiB of stack that ran since the last pass, and some 60 instructions
an object. Rejected: counting on stacks too (8 times slower path walks, and a load-then-retain race between processors);
tracing from roots (a pause that grows with the heap); marking from every stack in each pass (with 12 kernel threads a
twentieth of a datagram's instructions, and a pass that grows with the threads).

Unsafe: reads stacks and objects as raw words. Safe as long as the stack ranges are complete and descriptors give the
truth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kernel.lang import export, noinline, struct, u32
from kernel.lang.unsafe import (
    atomic_add_u32,
    load_i64,
    load_u32,
    spill_registers,
    store_i64,
    store_u32,
    struct_at_address,
)
from kernel.lib.pace import is_dying, pace, spend
from kernel.mm import heap, slabs

KIND_INSTANCE: Final = 0
KIND_BYTES: Final = 1
KIND_PLAIN_ARRAY: Final = 2
KIND_REFERENCE_ARRAY: Final = 3
KIND_WEAK: Final = 4

WEAK_SIZE: Final = 24
WEAK_TARGET: Final = 8
WEAK_NEXT: Final = 16
ARRAY_COUNT: Final = 8
ARRAY_ITEMS: Final = 16

DEFAULT_THRESHOLD: Final = 2048
ALLOCATION_FACTOR: Final = 2  # one system call may allocate that many thresholds before allocation itself reclaims
END: Final = 0xFFFF_FFFF  # of a chain: a buried object's count word is never 0
LINK_SHIFT: Final = 4  # slots are 16-aligned: a link of 32 bits reaches 64 GiB
BURIED: Final = 1  # in the type word
# A bounded pass: about 300,000 instructions for the stacks and 300,000 for the dead.
WORDS_AT_ONCE: Final = 15_000  # of stacks that are held
FREEING_AT_ONCE: Final = 300_000
WORD_COST: Final = 20  # instructions to look at a word
LINK_WORDS: Final = 2  # to hold what it refers to costs as much as looking at two more
OBJECT_COST: Final = 70  # instructions to free an object, at most
REFERENCE_COST: Final = 25  # and for each reference in it
UNIT_COST: Final = 12  # to look at a unit of the heap
SLOT_COST: Final = 12  # and for each slot in it
UNITS_AT_LEAST: Final = 8
ENOUGH_FREED: Final = 4096  # objects, for whoever wants to allocate one
ITEMS_AT_ONCE: Final = 4096  # of a large array
NO_LIMIT: Final = 1 << 60


@struct
class TypeDescriptor:
    """What the compiler says about a type (docs/compiler-abi.md)."""

    kind: u32
    size: u32
    element_size: u32
    pointer_count: u32
    class_low: u32
    class_high: u32
    name: int
    pointers: int


def no_stacks() -> bool:
    """The hook for other stacks before it is set: there are none."""
    return True


def no_stack_top() -> int:
    """The top of the own stack before `configure`: nothing is scanned, so nothing must be reclaimed."""
    return 0


class Reclaimer:
    """The reclaimer's state and statistics: one frozen object."""

    own_stack_top: Callable[[], int]
    scan_other_stacks: Callable[[], bool]
    threshold: int  # entries of the zero-count table that make reclaiming due
    enabled: bool
    running: bool
    stress: bool
    descriptor_high: int  # upper half of every descriptor's address
    weak_list: int
    visit: int  # dead objects whose references are still to be dropped
    dead: int  # dead weak references, still on the list of all
    words_left: int  # of stacks that the present pass may still hold
    budget: int  # instructions that the present pass may still spend on freeing
    next_unit: int  # where the search through the heap goes on; 0: none is under way
    passes: int
    freed: int
    words_scanned: int

    def __init__(self) -> None:
        self.own_stack_top = no_stack_top
        self.scan_other_stacks = no_stacks
        self.threshold = DEFAULT_THRESHOLD
        self.enabled = False
        self.running = False
        self.stress = False
        self.descriptor_high = 0
        self.weak_list = 0
        self.visit = END
        self.dead = END
        self.words_left = 0
        self.budget = 0
        self.next_unit = 0
        self.passes = 0
        self.freed = 0
        self.words_scanned = 0


RECLAIMER: Final = Reclaimer()


def configure(own_stack_top: Callable[[], int], scan_other_stacks: Callable[[], bool], descriptor_high: int) -> None:
    """Start reclaiming; after `heap.start`.

    `own_stack_top` returns the end of the running thread's kernel stack. `scan_other_stacks` must call `scan_stack` for
    every other stack in use that holds nothing yet, or `hold_stack`; it returns False if it ended before because
    `RECLAIMER.words_left` was used up. `descriptor_high` is what, shifted left by 32, completes a `type` word to its
    descriptor's address: 0 on the host, -1 in the kernel, which lies at -2 GiB.
    """
    RECLAIMER.own_stack_top = own_stack_top
    RECLAIMER.scan_other_stacks = scan_other_stacks
    RECLAIMER.descriptor_high = descriptor_high
    RECLAIMER.enabled = True
    RECLAIMER.weak_list = 0
    set_stress(stress=False)


def set_stress(stress: bool) -> None:
    """With stress, every allocation reclaims first: finds references that a scan misses. For tests."""
    RECLAIMER.stress = stress
    heap.TABLE.due_count = RECLAIMER.threshold
    heap.set_hooks(allocation_limit(), reclaim_some, reclaim_enough)


def allocation_limit() -> int:
    """How long the table may get before an allocation reclaims. What a pass leaves is held by stacks: look again when
    much more came."""
    return 0 if RECLAIMER.stress else heap.TABLE.count + RECLAIMER.threshold * ALLOCATION_FACTOR


def set_threshold(entries: int) -> None:
    """How many entries of the zero-count table make reclaiming due."""
    RECLAIMER.threshold = entries
    set_stress(RECLAIMER.stress)


def reclaim_if_due() -> None:
    """Reclaim if the table has grown past the threshold: where a system call returns, with little on its own stack."""
    if heap.TABLE.next >= heap.TABLE.due:
        reclaim_some()


def reclaim_some() -> None:
    """One pass of bounded length."""
    reclaim(WORDS_AT_ONCE, FREEING_AT_ONCE)


def reclaim_more() -> bool:
    """The same where memory is short; whether another one may find more to free."""
    freed = RECLAIMER.freed
    passes = RECLAIMER.passes
    reclaim_some()
    if RECLAIMER.passes == passes:
        return False  # nothing is reclaimed yet, or a pass is what needs memory
    return RECLAIMER.freed > freed or has_more()


def has_more() -> bool:
    """Whether the last pass ended before it had done all."""
    return RECLAIMER.words_left <= 0 or RECLAIMER.visit != END or RECLAIMER.next_unit > 0


def reclaim_part() -> bool:
    """One pass of bounded length; whether `reclaim_now` would have done more. What others leave in between does not
    count, or it would go on for as long as they run.
    """
    passes = RECLAIMER.passes
    reclaim_some()
    return RECLAIMER.passes != passes and has_more()


def reclaim_in_parts() -> None:
    """Free all that is dead now, with safe points; a thread that is to end does not wait for it. Sleeps."""
    while reclaim_part() and not is_dying():
        pace(0)  # each pass counts its own instructions


def reclaim_enough() -> None:
    """Before an allocation fails: pass after pass, until some thousands of objects were freed or no more are dead."""
    freed = RECLAIMER.freed
    while reclaim_part() and RECLAIMER.freed - freed < ENOUGH_FREED:
        continue


def reclaim_now() -> None:
    """One pass that frees all."""
    reclaim(NO_LIMIT, NO_LIMIT)


@noinline
def reclaim(words: int, budget: int) -> None:
    """One pass, which looks at up to `words` words of stacks that sleep, spends `budget` instructions on freeing, and
    ends with the step that exceeds either. Does nothing before `configure`, or when called from inside a pass.

    What it spends brings the next safe point nearer: when one thread after the other ends, each makes a pass, and none
    of them sees user mode again.
    """
    if not RECLAIMER.enabled or RECLAIMER.running:
        return
    RECLAIMER.running = True
    RECLAIMER.words_left = words
    RECLAIMER.budget = budget
    slabs.SLABS.spent = 0
    slabs.new_epoch()
    # Every register that a caller may keep a reference in now also lies in this frame, above the stack pointer.
    stack_pointer = spill_registers()
    is_complete = RECLAIMER.scan_other_stacks()
    if is_complete:
        scan_stack(stack_pointer, RECLAIMER.own_stack_top())
        free_unmarked()
    heap.TABLE.set_limit(allocation_limit())
    if not is_complete or has_more():
        heap.TABLE.due = heap.TABLE.entries  # at once
    spend((words - RECLAIMER.words_left) * WORD_COST + budget - RECLAIMER.budget + slabs.SLABS.spent)
    RECLAIMER.passes += 1
    RECLAIMER.running = False


def free_unmarked() -> None:
    """All stacks are marked or held: free what is dead, within the budget."""
    sweep()
    if heap.TABLE.incomplete or RECLAIMER.next_unit > 0:
        sweep_heap()
    trace()
    clear_weak_references()
    release_dead()
    heap.shrink_table()


def scan_stack(low: int, high: int) -> None:
    """Mark what the words from `low` (rounded up to 8) to `high` point into. Safety: the range is readable."""
    first = (low + 7) & ~7
    for place in range(first, high, 8):
        slot = slabs.slot_of(load_i64(place))
        if slot != 0:
            slabs.mark(slot)
    RECLAIMER.words_scanned += (high - first) >> 3


def hold_stack(base: int, low: int, high: int) -> int:
    """Hold what the words from `low` to `high` point into, until `let_go`. Returns the number of links, which lie from
    `base` on; or -1 if they have no room below `low`: then everything is marked instead, for this pass.

    Safety: the range is in use of a stack that begins at `base` and does not run before `let_go`.
    """
    link = base
    for place in range(low, high, 8):
        slot = slabs.slot_of(load_i64(place))
        if slot != 0 and load_u32(slot + 4) & BURIED == 0:
            if link == low:
                let_go(base, (link - base) >> 2)
                scan_stack(low, high)
                return -1
            atomic_add_u32(slot, 1)
            store_u32(link, u32(link_of(slot)))
            link += 4
    words = (high - low) >> 3
    links = (link - base) >> 2
    RECLAIMER.words_scanned += words
    RECLAIMER.words_left -= words + links * LINK_WORDS
    return links


def let_go(base: int, links: int) -> None:
    """Drop what a stack holds: it is about to run. Safety: `links` came from `hold_stack` for this stack."""
    for place in range(base, base + (links << 2), 4):
        address = address_of_link(load_u32(place))
        if heap.drop_reference(address):
            heap.count_is_zero(address)


def sweep() -> None:
    """Go through the zero-count table: drop the counted, keep the marked, free the rest."""
    table = heap.TABLE
    kept = 0  # offsets in the table, which moves when it grows
    offset = 0
    end = table.next - table.entries
    # What a freed object's references bring to zero is chained, not entered: only the marked enter, after `end`.
    while offset < end:
        address = load_i64(table.entries + offset)
        count = load_u32(address)
        if count != heap.IN_TABLE:
            store_u32(address, count & heap.COUNT_MASK)
        elif slabs.is_marked(address):
            store_i64(table.entries + kept, address)
            kept += 1 << heap.ENTRY_SHIFT
        elif RECLAIMER.budget > 0:
            free(address)
        else:
            bury(address)
        offset += 1 << heap.ENTRY_SHIFT
    for place in range(table.entries + end, table.next, 1 << heap.ENTRY_SHIFT):
        store_i64(table.entries + kept, load_i64(place))
        kept += 1 << heap.ENTRY_SHIFT
    table.next = table.entries + kept


def sweep_heap() -> None:
    """Find objects with count 0 that the full table had no room for, by looking at every slot: at those of some units
    in each pass. What has no room during a search is what the next one is for.
    """
    unit = RECLAIMER.next_unit
    if unit == 0:
        heap.TABLE.incomplete = False
    least = unit + UNITS_AT_LEAST
    end = slabs.unit_count()
    while unit < end and (RECLAIMER.budget > 0 or unit < least):
        head = slabs.slab_in_unit(unit)
        RECLAIMER.budget -= UNIT_COST
        if head != 0:
            sweep_slab(head)
        unit += 1
    RECLAIMER.next_unit = unit if unit < end else 0


def sweep_slab(head: int) -> None:
    """`sweep_heap` for one slab or run."""
    slab = struct_at_address(slabs.Slab, head)
    RECLAIMER.budget -= slab.slots * SLOT_COST
    for index in range(slab.slots):
        slot = head + slab.first + index * slab.slot_size
        type_word = load_u32(slot + 4)
        if type_word != 0 and type_word & BURIED == 0 and load_u32(slot) == 0:
            reach_zero(slot)


def bury(address: int) -> None:
    """Chain a dead object to be visited."""
    store_u32(address + 4, load_u32(address + 4) | BURIED)
    store_u32(address, u32(RECLAIMER.visit))
    RECLAIMER.visit = link_of(address)


def reach_zero(address: int) -> None:
    """An object's count is zero and it has no entry in the table: it is dead, or enters the table if a stack holds
    it.
    """
    if slabs.is_marked(address):
        store_u32(address, heap.IN_TABLE)
        heap.enter(address)
    else:
        bury(address)


def trace() -> None:
    """Free the chained dead, until no new ones die or the pass has done enough."""
    while RECLAIMER.visit != END and RECLAIMER.budget > slabs.SLABS.spent:
        address = address_of_link(RECLAIMER.visit)
        RECLAIMER.visit = load_u32(address)
        free(address)


def free(address: int) -> None:
    """Drop the references of a dead object, and give its slot back."""
    RECLAIMER.budget -= OBJECT_COST
    word = load_u32(address + 4) & ~BURIED
    descriptor = struct_at_address(TypeDescriptor, (RECLAIMER.descriptor_high << 32) | word)
    kind = descriptor.kind
    if kind == KIND_INSTANCE:
        place = descriptor.pointers
        pointer_count = descriptor.pointer_count
        RECLAIMER.budget -= pointer_count * REFERENCE_COST
        for _ in range(pointer_count):
            drop_child(load_i64(address + load_u32(place)))
            place += 4
    elif kind == KIND_REFERENCE_ARRAY:
        items = address + ARRAY_ITEMS
        count = load_i64(address + ARRAY_COUNT)
        first = max(0, count - ITEMS_AT_ONCE)
        RECLAIMER.budget -= (count - first) * REFERENCE_COST
        for place in range(items + (first << 3), items + (count << 3), 8):
            drop_child(load_i64(place))
        if first > 0:
            store_i64(address + ARRAY_COUNT, first)
            bury(address)  # the rest of it is next
            return
    elif kind == KIND_WEAK:
        store_i64(address, 0)
        store_u32(address, u32(RECLAIMER.dead))
        RECLAIMER.dead = link_of(address)
        return
    slabs.release(address)
    RECLAIMER.freed += 1


def drop_child(child: int) -> None:
    """Drop one reference of a dead object; null has none."""
    if child != 0 and heap.drop_reference(child):
        reach_zero(child)


def release_dead() -> None:
    """Give the slots of the dead weak references back."""
    while RECLAIMER.dead != END:
        address = address_of_link(RECLAIMER.dead)
        RECLAIMER.dead = load_u32(address)
        slabs.release(address)
        RECLAIMER.freed += 1


def link_of(address: int) -> int:
    """A slot's address as a link of 32 bits."""
    return (address - slabs.SLABS.span_start) >> LINK_SHIFT


def address_of_link(link: int) -> int:
    """The slot's address."""
    return slabs.SLABS.span_start + (link << LINK_SHIFT)


# Weak references
# --------------------------------------------------------------------------------------------------------


@export("krait_new_weak")
def new_weak(descriptor: int, target: int) -> int:
    """A fresh `Weak` object for a target; 0 if there is no memory."""
    weak = heap.allocate(descriptor, WEAK_SIZE)
    if weak == 0:
        return 0
    store_i64(weak + WEAK_TARGET, target)
    store_i64(weak + WEAK_NEXT, RECLAIMER.weak_list)
    RECLAIMER.weak_list = weak
    return weak


def clear_weak_references() -> None:
    """Take dead weak references off the list, and clear the targets that died."""
    previous = 0
    weak = RECLAIMER.weak_list
    while weak != 0:
        following = load_i64(weak + WEAK_NEXT)
        if is_dead(weak):
            if previous == 0:
                RECLAIMER.weak_list = following
            else:
                store_i64(previous + WEAK_NEXT, following)
        else:
            target = load_i64(weak + WEAK_TARGET)
            if target != 0 and is_dead(target):
                store_i64(weak + WEAK_TARGET, 0)
            previous = weak
        weak = following


def is_dead(address: int) -> bool:
    """Whether an object has died."""
    word = load_u32(address + 4)
    return word == 0 or word & BURIED != 0
