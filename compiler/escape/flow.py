"""Where the objects of one function get to: points-to sets over what `text.py` read, without regard to order.

What a pointer may point into is a set of *things*, as bits of an int:

- OUTSIDE: anything that exists apart from this call;
- for each parameter, what it points to, and what can be reached from that;
- each object that the function allocates, each of its locals that lie in memory, and for each call, the fresh
  object that it may return.

A `Summary` says of a function what its callers must know, in terms of its parameters alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from compiler.escape.text import CALL, COPY, ELSEWHERE, ESCAPE, LOAD, MOVE, RETURN, STORE, Body, Call

OUTSIDE = 1


def target_bit(parameter: int) -> int:
    """What a parameter points to."""
    return 2 << 2 * parameter


def reach_bit(parameter: int) -> int:
    """What can be reached from there."""
    return 4 << 2 * parameter


def bits(mask: int) -> Iterator[int]:
    """The single bits of a set."""
    while mask:
        low = mask & -mask
        yield low
        mask ^= low


@dataclass(slots=True)
class Summary:
    """What callers must know. Sets consist of OUTSIDE and bits of parameters."""

    escaped: int = 0
    returned: int = 0
    fresh: bool = False  # may return an object of its own,
    fresh_content: int = 0  # and what that refers to
    stored: dict[int, int] = field(default_factory=dict)  # bit of a parameter -> what is stored there
    ends: bool = False  # may not return at all: the thread ends


UNKNOWN = None


class Flow:
    """The sets of one function; `solve` again when a summary of what it calls has grown. Of a function that is too long
    nothing is known: it may do anything with its parameters.
    """

    __slots__ = (
        "bit_of",
        "body",
        "buffer_bit",
        "changed",
        "content",
        "escaped",
        "fresh_bit",
        "is_blind",
        "known",
        "own",
        "returned",
        "summary",
    )  # fmt: skip

    def __init__(self, body: Body) -> None:
        self.body = body
        count = len(body.parameters)
        self.own = 2 << 2 * count  # the first bit that is no parameter's
        self.known: dict[str, int] = {ELSEWHERE: OUTSIDE, "": 0}
        self.content: dict[int, int] = {}
        self.bit_of: dict[str, int] = {}
        self.summary = Summary(ends=body.ends)
        self.returned = 0
        self.escaped = 0
        self.changed = False
        self.fresh_bit: dict[int, int] = {}  # line of a call -> the bit of its fresh object
        self.buffer_bit: dict[int, int] = {}  # line of a constructor -> the bit of the bytearray's first storage
        self.is_blind = body.is_long
        if self.is_blind:
            self.escaped = self.own - 1 & ~OUTSIDE
            self.returned = OUTSIDE
            return
        for number, name in enumerate(body.parameters):
            self.known[name] = target_bit(number)
        bit = self.own
        for register in [*(site.register for site in body.sites), *body.slots]:
            self.bit_of[register] = bit
            self.known[register] = bit
            self.content[bit] = 0
            bit <<= 1
        for call in body.calls:
            if call.result:
                self.fresh_bit[call.line] = bit
                self.content[bit] = 0
                bit <<= 1
        for buffer in body.buffers:
            self.buffer_bit[buffer.line] = bit
            self.content[bit] = 0
            if buffer.owner in self.bit_of:
                self.content[self.bit_of[buffer.owner]] |= bit
            bit <<= 1

    # Sets -----------------------------------------------------------------------------------------------------------

    def loaded(self, address: int) -> int:
        """What a pointer that is read through `address` may point to."""
        if address <= OUTSIDE:
            return address
        found = address & OUTSIDE
        rest = address ^ found
        while rest:  # as `bits` does, which would take longer than what is done with them
            bit = rest & -rest
            rest ^= bit
            found |= self.content[bit] if bit >= self.own else self.reach_of(bit)
        return found

    def reach_of(self, bit: int) -> int:
        """The reach bit of a parameter, given either of its bits."""
        number = (bit.bit_length() - 2) // 2
        return reach_bit(number)

    def reachable(self, start: int) -> int:
        """What can be reached from a set of things by one read or more."""
        seen = 0
        todo = self.loaded(start)
        while todo & ~seen:
            new = todo & ~seen
            seen |= new
            todo = self.loaded(new)
        return seen

    def told(self, mask: int) -> int:
        """A set as callers see it: parameters' bits for them to judge, and our own objects as OUTSIDE."""
        inside = mask & (self.own - 1)
        return inside | OUTSIDE if mask != inside else inside

    def add(self, register: str, mask: int) -> None:
        old = self.known.get(register, 0)
        if mask & ~old:
            self.known[register] = old | mask
            self.changed = True

    def escape(self, mask: int) -> None:
        """Everything in the set, and all that it refers to, becomes known to others."""
        new = mask & ~self.escaped & ~OUTSIDE
        if new:
            self.escaped |= new
            self.changed = True
            for bit in bits(new & ~(self.own - 1)):
                self.content[bit] |= OUTSIDE  # by whoever knows it now
                self.escape(self.content[bit])

    def store(self, value: int, address: int) -> None:
        """A pointer is written through `address`."""
        if value == 0:
            return
        for bit in bits(address):
            if bit >= self.own:
                if value & ~self.content[bit]:
                    self.content[bit] |= value
                    self.changed = True
                if bit & self.escaped:
                    self.escape(value)
            elif bit == OUTSIDE:
                self.escape(value)  # of what parameters point to, too: `escaped` has their bits
            else:
                self.escape(value & ~(self.own - 1))
                inside = self.told(value)
                if inside & ~self.summary.stored.get(bit, 0):
                    self.summary.stored[bit] = self.summary.stored.get(bit, 0) | inside
                    self.changed = True

    # Steps ----------------------------------------------------------------------------------------------------------

    def solve(self, summaries: dict[str, Summary]) -> bool:
        """Go over the steps until nothing changes; whether the summary grew."""
        before = self._signature()
        if self.is_blind:
            return False
        known = self.known
        self.changed = True
        while self.changed:
            self.changed = False
            for step in self.body.steps:
                match step[0]:
                    case 0:  # COPY
                        mask = 0
                        for value in step[2]:
                            mask |= known.get(value, 0)
                        self.add(step[1], mask)
                    case 1:  # LOAD
                        self.add(step[1], self.loaded(known.get(step[2], 0)))
                    case 2:  # STORE
                        self.store(known.get(step[1], 0), known.get(step[2], 0))
                    case 3:  # MOVE
                        self.store(self.loaded(known.get(step[1], 0)), known.get(step[2], 0))
                    case 4:  # CALL
                        self.call(step[1], summaries)
                    case 5:  # RETURN
                        self.returns(known.get(step[1], 0))
                    case _:
                        for value in step[1]:
                            self.escape(known.get(value, 0))
        return self._signature() != before

    def _signature(self) -> tuple[object, ...]:
        summary = self.summary
        inside = self.own - 1
        summary.escaped = self.escaped & inside
        summary.returned = self.returned & inside
        summary.fresh = self.returned >= self.own
        return (summary.escaped, summary.returned, summary.fresh, summary.fresh_content, summary.ends,
                sum(summary.stored.values()), len(summary.stored))  # fmt: skip

    def returns(self, mask: int) -> None:
        if mask & ~self.returned:
            self.returned |= mask
            self.changed = True
        own = mask & ~(self.own - 1)
        if own:
            content = self.reachable(own)
            self.escape(content & ~(self.own - 1))  # but for the object itself, which its caller judges
            inside = self.told(content)
            if inside & ~self.summary.fresh_content:
                self.summary.fresh_content |= inside
                self.changed = True

    def call(self, call: Call, summaries: dict[str, Summary]) -> None:
        args = [self.known.get(value, 0) for value in call.args]
        if call.targets is None:
            self._unknown(call, args)
            return
        for target in call.targets:
            summary = summaries.get(target, UNKNOWN)
            if summary is UNKNOWN:
                self._unknown(call, args)
                continue
            if summary.escaped:
                self.escape(self.translated(summary.escaped, args))
            if summary.stored:
                for place, value in list(summary.stored.items()):
                    self.store(self.translated(value, args), self.translated(place, args))
            if call.result:
                mask = self.translated(summary.returned, args)
                if summary.fresh:
                    bit = self.fresh_bit[call.line]
                    mask |= bit
                    self.store(self.translated(summary.fresh_content, args), bit)
                self.add(call.result, mask)

    def _unknown(self, call: Call, args: list[int]) -> None:
        for mask in args:
            self.escape(mask)
        if call.result:
            self.add(call.result, OUTSIDE)

    def left_by_calls(self, left: dict[str, int]) -> int:
        """What objects may refer to that callees leave in the heap, dead or alive. `left` has that of each function, in
        bits of its parameters; of those that are not in it, anything is believed.
        """
        found = 0
        if self.is_blind:
            return self.own - 1
        for call in self.body.calls:
            args = [self.known.get(value, 0) for value in call.args]
            for target in call.targets or ():
                if target in left:
                    found |= self.translated(left[target], args)
                else:
                    for mask in args:
                        found |= mask | self.reachable(mask)
        return found

    def left_in_heap(self, in_frame: int) -> int:
        """What this function's own objects refer to, but for those that are in its frame, as bits of parameters."""
        found = 0
        for bit, content in self.content.items():
            if not bit & in_frame:
                found |= content
        return found & (self.own - 1) & ~OUTSIDE

    def translated(self, mask: int, args: list[int]) -> int:
        """A set in terms of a callee's parameters in terms of this function."""
        if mask <= OUTSIDE:
            return mask
        found = mask & OUTSIDE
        rest = mask ^ found
        while rest:
            place = (rest & -rest).bit_length() - 2
            rest &= rest - 1
            value = args[place // 2] if place // 2 < len(args) else OUTSIDE
            found |= self.reachable(value) if place & 1 else value
        return found


assert (COPY, LOAD, STORE, MOVE, CALL, RETURN, ESCAPE) == tuple(range(7))


def solve_all(bodies: dict[str, Body], summaries: dict[str, Summary]) -> dict[str, Flow]:
    """Solve all functions together: the least sets that satisfy every step. `summaries` has those known beforehand."""
    flows = {symbol: Flow(body) for symbol, body in bodies.items()}
    callers: dict[str, dict[str, None]] = {}
    for symbol, body in bodies.items():
        for call in body.calls:
            for target in call.targets or ():
                callers.setdefault(target, {})[symbol] = None
    for symbol, flow in flows.items():
        summaries[symbol] = flow.summary
    todo = list(reversed(post_order(bodies)))
    waiting = set(todo)
    while todo:
        symbol = todo.pop()
        waiting.discard(symbol)
        if flows[symbol].solve(summaries):
            for caller in callers.get(symbol, ()):
                if caller not in waiting:
                    waiting.add(caller)
                    todo.append(caller)
    spread_ends(bodies, summaries)
    return flows


def spread_ends(bodies: dict[str, Body], summaries: dict[str, Summary]) -> None:
    """A function that calls one that may not return may not return."""
    changed = True
    while changed:
        changed = False
        for symbol, body in bodies.items():
            if not summaries[symbol].ends and any(
                (found := summaries.get(target)) is not None and found.ends
                for call in body.calls
                for target in call.targets or ()
            ):
                summaries[symbol].ends = True
                changed = True


def post_order(bodies: dict[str, Body]) -> list[str]:
    """Callees before callers, as far as there are no circles."""
    found: list[str] = []
    seen: set[str] = set()
    for root in bodies:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter([t for c in bodies[root].calls for t in c.targets or ()]))]
        while stack:
            symbol, rest = stack[-1]
            for target in rest:
                if target in bodies and target not in seen:
                    seen.add(target)
                    stack.append((target, iter([t for c in bodies[target].calls for t in c.targets or ()])))
                    break
            else:
                stack.pop()
                found.append(symbol)
    return found


def left_in_heap(flows: dict[str, Flow]) -> dict[str, int]:
    """The parameters of each function to which objects may refer that it leaves in the heap, dead or alive; all objects
    are there that are no places, which are locals in the text that was rewritten.
    """
    left = dict.fromkeys(flows, 0)
    order = post_order({symbol: flow.body for symbol, flow in flows.items()})
    changed = True
    while changed:
        changed = False
        for symbol in order:
            flow = flows[symbol]
            slots = sum(flow.bit_of.get(slot, 0) for slot in flow.body.slots)
            found = flow.left_in_heap(slots) | flow.left_by_calls(left) & (flow.own - 1) & ~OUTSIDE
            if found != left[symbol]:
                left[symbol] = found
                changed = True
    return left
