"""What stays true of the ranges of int locals all through a loop.

`FunctionLowerer` follows ranges from one place to the next; where a block may be entered from below, it knows only what
is said here: of a local that the loop does not write, all that was known before; of one that is not negative before the
loop, and that every assignment in the loop (or in the whole function) leaves so, just that (naturals.py); and of any
other, that it is what it was before the loop, or what discovery saw the loop write. Discovery knew less of the range of
each operand, so whatever it saw includes all that is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from compiler.lower.function import Disbelief, FunctionLowerer, Ranges, Slot, joined
from compiler.lower.naturals import naturals
from compiler.lower.values import INT_MAX, type_bounds, widen
from compiler.tree import For, While
from compiler.types import INT

NATURAL = (0, INT_MAX)


@contextmanager
def in_loop(fn: FunctionLowerer, loop: For | While) -> Iterator[None]:
    """While a loop is lowered, blocks begin with what is true everywhere in it."""
    before = fn.steady
    believed: Ranges = {}
    fn.steady = steady(fn, loop, believed)
    if fn.discovering:
        fn.written.append({})
    fn.believed.append(believed)
    yield
    fn.believed.pop()
    if fn.discovering:
        note_written(fn, loop, fn.written.pop())
    fn.steady = before


def note_written(fn: FunctionLowerer, loop: For | While, written: Ranges) -> None:
    """In discovery, at the end of a loop: keep what it wrote to locals of the current frame."""
    if fn.written:
        for address, known in written.items():
            widen(fn.written[-1], address, known)
    if not stands_everywhere(fn):
        found = fn.world.written.setdefault((fn.instance.symbol, id(loop)), {})
        for name, slot in followed(fn):
            if slot.address in written:
                widen(found, name, written[slot.address])


def stands_everywhere(fn: FunctionLowerer) -> bool:
    """Whether this is the body of an inlined function or a clean-up: these stand in many places."""
    return fn.frame.return_label != "" or fn.repeating


def followed(fn: FunctionLowerer) -> list[tuple[str, Slot]]:
    """The locals of the current frame whose ranges are followed, but for those that a comprehension hides."""
    return [(name, slot) for name, slot in fn.frame.followed if fn.frame.slots.get(name) is slot]


def steady(fn: FunctionLowerer, loop: For | While, believed: Ranges) -> Ranges:
    """What is true everywhere in a loop that begins here. Locals of other frames (a generator runs its consumer's body)
    keep what was true in the loops around it. What is taken from discovery is entered in `believed`.
    """
    result = dict(fn.steady)
    writes = fn.world.assignments(loop)
    hoped: dict[str, str] = {}
    fine: set[str] = set()
    for name, slot in followed(fn):
        known = fn.ranges.get(slot.address, NATURAL if slot.natural else None)
        if slot.natural:
            fine.add(name)
        if known is None:
            continue
        if name not in writes:
            result[slot.address] = known
            if known[0] >= 0:
                fine.add(name)
        elif slot.natural:
            result[slot.address] = NATURAL
        elif known[0] >= 0 and slot.type == INT:
            hoped[name] = slot.address
    result.update(dict.fromkeys((hoped[name] for name in naturals(writes, hoped.keys(), fine)), NATURAL))
    if not fn.discovering and not stands_everywhere(fn):
        believe_written(fn, loop, result, believed)
    return result


def believe_written(fn: FunctionLowerer, loop: For | While, result: Ranges, believed: Ranges) -> None:
    """Add what follows from what discovery saw a loop write; `FunctionLowerer.write` confirms it."""
    found = fn.world.written.get((fn.instance.symbol, id(loop)))
    for name, slot in followed(fn) if found else []:
        known = fn.ranges.get(slot.address, NATURAL if slot.natural else None)
        if found is not None and name in found and known is not None:
            believed[slot.address] = least, greatest = min(known[0], found[name][0]), max(known[1], found[name][1])
            low, high = result.get(slot.address, type_bounds(slot.type))
            low, high = max(low, least), min(high, greatest)
            if (low, high) != type_bounds(slot.type):
                result[slot.address] = low, high


def begin_turn(fn: FunctionLowerer, loop: While, head: str, before: Ranges) -> dict[str, int]:
    """At the head of a `while`: locals that never become negative are below what discovery found at the end of a turn.
    Discovery begins its turns with all that they might be, so what it finds there holds of each turn. Returns what was
    believed, by slot.
    """
    believed: dict[str, int] = {}
    if stands_everywhere(fn):
        return believed
    fn.backward[head] = []
    if fn.discovering:
        return believed
    ranges = dict(fn.ranges)
    bounds = fn.world.loop_bounds.get((fn.instance.symbol, id(loop)), {})
    for name, slot in followed(fn) if bounds else []:
        address = slot.address
        low, high = ranges.get(address, (-1, INT_MAX))
        if name in bounds and low >= 0 and address in before:
            believed[address] = max(bounds[name], before[address][1])
            ranges[address] = (low, min(high, max(believed[address], low)))
    fn.ranges = ranges
    return believed


def end_turns(fn: FunctionLowerer, loop: While, head: str, believed: dict[str, int]) -> None:
    """After the last jump back to the head of a `while`: in discovery, note how large its locals are there."""
    turns = fn.backward.pop(head, [])
    if not turns:
        return
    if not fn.discovering:
        for address, high in believed.items():
            if any(turn.get(address, NATURAL)[1] > high for turn in turns):
                raise Disbelief(f"{address} may be larger than discovery found")
        return
    at_end = joined(turns)
    found = {
        name: at_end[slot.address][1]
        for name, slot in followed(fn)
        if fn.steady.get(slot.address) == NATURAL and slot.address in at_end
    }
    key = fn.instance.symbol, id(loop)
    earlier = fn.world.loop_bounds.get(key)
    if earlier is not None:  # the loop stands in the body of a `for` over a generator with several `yield`s
        found = {name: max(high, earlier[name]) for name, high in found.items() if name in earlier}
    fn.world.loop_bounds[key] = found
