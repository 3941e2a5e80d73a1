"""Which allocations become places in a frame.

An object lives in the frame of the function that makes it if nobody else keeps it when that function returns:

- its address is neither returned, nor stored where others find it, nor turned into a number (`flow.py`);
- what refers to it is in the frame too: the heap's bookkeeping would count in a place that is gone. That also goes for
  objects that callees make and forget, since they are freed later (`left`);
- it is an instance of a class, of `LARGEST` bytes at most, and the places of a function have `ROOM` bytes together;
- in a loop, its predecessor is dead when it is created, because both use one place (`lifetimes.py`);
- if it has counted references, the function returns: they are dropped on every path on from it (`regions.py`).

An object that is returned lives in the frame of the caller, under the same conditions there: the function gets the
address of a place as one more argument, `null` where the object must come from the heap. Of several objects that it may
return, none is in use when the next is created. Functions called through tables or by address keep their shape.

A bytearray of constant size has a place for its bytes beside its own, under the same conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from compiler.escape.flow import OUTSIDE, Flow, Summary
from compiler.escape.inlining import LARGE, aside, direct_calls
from compiler.escape.lifetimes import Lifetimes, is_tested
from compiler.escape.regions import Region, Ways, holders
from compiler.escape.text import Call

LARGEST = 192
LARGEST_BUFFER = 256
ROOM = 512
KIND_INSTANCE = 0
BUFFER_HEAD = 16  # bytes of an array before its elements


@dataclass(frozen=True)
class TypeFacts:
    """What a type descriptor says: the kind of object, and the offsets of counted references in it."""

    kind: int
    pointers: tuple[int, ...]


@dataclass
class Made:
    """A place in the text where an object is created: by the allocator, or by a function that returns it."""

    line: int
    register: str
    descriptor: str
    size: int
    bit: int
    callee: str = ""  # "" for the allocator
    repeated: bool = False  # whether there may be one from before
    buffer: int | None = None  # for a bytearray: which of `Body.buffers` has a place as well
    region: Region = field(default_factory=Region)  # where its counted references are dropped


@dataclass
class Plan:
    """What changes in a function."""

    places: list[Made] = field(default_factory=list)
    returned: list[Made] = field(default_factory=list)  # made where the caller says
    apart: list[int] = field(default_factory=list)  # lines of calls that are not to be inlined (`inlining.py`)

    @property
    def shape(self) -> tuple[str, int] | None:
        """Class and size of what is created where the caller says."""
        return (self.returned[0].descriptor, self.returned[0].size) if self.returned else None


class Planner:
    """Plans for all functions: callees first."""

    def __init__(
        self,
        summaries: dict[str, Summary],
        types: dict[str, TypeFacts],
        fixed: Container[str],
        left: dict[str, int],
    ) -> None:
        self.summaries = summaries
        self.types = types
        self.fixed = fixed  # symbols of functions whose parameters must stay as they are
        self.plans: dict[str, Plan] = {}
        # By symbol: parameters to which the heap may still refer when it returns; at the beginning, at most.
        self.left = left
        self.heavy: set[str] = set()  # symbols of functions whose frames hold counted references
        self.lines: dict[str, int] = {}  # length of functions, in lines of IR

    def plan(self, flow: Flow) -> None:
        """Decide for one function."""
        self.lines[flow.body.symbol] = flow.body.count
        if flow.is_blind:
            return
        left = flow.left_by_calls(self.left)
        made = self._made(flow, left)
        is_caller = any(symbol in self.heavy for _, symbol in direct_calls(flow.body))
        if not made and not is_caller:
            self._note_left(flow, left, Plan())
            return
        lifetimes = Lifetimes(flow.body, flow)
        plan = self._places(flow, lifetimes, made)
        self._note_left(flow, left, plan)
        plan.apart = aside(lifetimes, self._weighty(flow, plan))
        if any(self.types[m.descriptor].pointers for m in plan.places):
            self.heavy.add(flow.body.symbol)
        if plan.places or plan.returned or plan.apart:
            self.plans[flow.body.symbol] = plan

    def _places(self, flow: Flow, lifetimes: Lifetimes, made: list[Made]) -> Plan:
        """What of it has a place, here or where the caller says."""
        body = flow.body
        for m in made:
            m.repeated = lifetimes.in_loop(m.line)
        plan = Plan()
        if body.symbol not in self.fixed:
            plan.returned = self._returned(flow, lifetimes, [m for m in made if m.bit & flow.returned])
        ends = self.summaries[body.symbol].ends
        inside = [m for m in made if not m.bit & flow.returned and not (ends and self.types[m.descriptor].pointers)]
        plan.places = within_room(flow, self._settled(flow, lifetimes, inside))
        self._add_buffers(flow, lifetimes, plan.places)
        self._add_regions(flow, lifetimes, plan.places)
        return plan

    def _note_left(self, flow: Flow, left: int, plan: Plan) -> None:
        """Tell callers what the heap may refer to afterwards. Of results they judge themselves."""
        in_frame = sum(flow.bit_of[slot] for slot in flow.body.slots) | sum(m.bit for m in plan.returned)
        for m in plan.places:
            if not m.callee:
                in_frame |= m.bit
            if m.buffer is not None:
                in_frame |= flow.buffer_bit[flow.body.buffers[m.buffer].line]
        self.left[flow.body.symbol] = flow.left_in_heap(in_frame) | left & (flow.own - 1) & ~OUTSIDE

    def _weighty(self, flow: Flow, plan: Plan) -> list[Call]:
        """Calls that would make a caller pay for objects in frames if they were inlined."""
        given = sum(m.bit for m in plan.places)
        return [
            call
            for call, symbol in direct_calls(flow.body)
            if symbol in self.heavy
            or (self.lines.get(symbol, 0) > LARGE and any(flow.known.get(value, 0) & given for value in call.args))
        ]

    def _made(self, flow: Flow, left: int) -> list[Made]:
        """Objects that the function creates and that become known to nobody but its caller."""
        body = flow.body
        found = [
            Made(site.line, site.register, site.descriptor, site.size, flow.bit_of[site.register])
            for site in body.sites
            if not site.cold
            and self.types[site.descriptor].kind == KIND_INSTANCE
            and 0 < site.size <= LARGEST
            and is_tested(body, site.line)
        ]
        for call in body.calls:
            callee = call.targets[0] if call.by_name and call.targets is not None else ""
            plan = self.plans.get(callee)
            if plan is not None and plan.shape is not None and call.result:
                bit = flow.fresh_bit[call.line]
                if not any(flow.known.get(value, 0) & bit for value in call.args):
                    found.append(Made(call.line, call.result, *plan.shape, bit, callee))
        return sorted((m for m in found if not m.bit & (flow.escaped | left)), key=lambda m: m.line)

    def _returned(self, flow: Flow, lifetimes: Lifetimes, made: list[Made]) -> list[Made]:
        """What can be made where the caller says: objects of one class, never two of them at once."""
        if not made:
            return []
        descriptor = Counter(m.descriptor for m in made).most_common(1)[0][0]
        elsewhere = known_elsewhere(flow, [])
        chosen = [m for m in made if m.descriptor == descriptor and not m.bit & elsewhere]
        mask = sum(m.bit for m in chosen)
        several = len(chosen) > 1
        for m in chosen:
            m.repeated = m.repeated or several
        if any(m.repeated and not lifetimes.unused_after(m.line, m.register, mask) for m in chosen):
            return []
        arguments = {call.line: call.args for call in flow.body.calls}
        if any(flow.known.get(value, 0) & mask for m in chosen if m.callee for value in arguments[m.line]):
            return []
        return chosen

    def _settled(self, flow: Flow, lifetimes: Lifetimes, made: list[Made]) -> list[Made]:
        """Those that keep all conditions, which are about each other."""
        while True:
            elsewhere = known_elsewhere(flow, made)
            kept = [
                m
                for m in made
                if not m.bit & elsewhere and (not m.repeated or lifetimes.unused_after(m.line, m.register, m.bit))
            ]
            if len(kept) == len(made):
                return kept
            made = kept

    def _add_buffers(self, flow: Flow, lifetimes: Lifetimes, places: list[Made]) -> None:
        """Give bytearrays that have places a place for their bytes too."""
        room = ROOM - sum(m.size for m in places)
        owners = {m.register: m for m in places}
        for number, buffer in enumerate(flow.body.buffers):
            owner = owners.get(buffer.owner)
            size = BUFFER_HEAD + (buffer.size + 7 & ~7)
            if owner is None or owner.buffer is not None or not 0 < buffer.size <= LARGEST_BUFFER or size > room:
                continue
            bit = flow.buffer_bit[buffer.line]
            if bit & (flow.escaped | flow.returned) or bit & known_elsewhere(flow, [owner]):
                continue
            if owner.repeated and not lifetimes.unused_after(buffer.line, "", bit, owner.bit):
                continue
            owner.buffer = number
            room -= size

    def _add_regions(self, flow: Flow, lifetimes: Lifetimes, places: list[Made]) -> None:
        """Say where the references of each object are dropped."""
        ways = Ways(lifetimes, [m.line for m in places if not m.callee])
        owners = sum(m.bit for m in places if not m.callee)
        for m in places:
            if self.types[m.descriptor].pointers:
                m.region = ways.region(m.line, bool(m.callee), holders(flow, lifetimes, m.bit, owners))


def known_elsewhere(flow: Flow, others: list[Made]) -> int:
    """The objects to which something else refers than locals, and those of `others` that are surely in the frame: what
    a function returns may be another one than that which it makes in the place.
    """
    allowed = sum(flow.bit_of[slot] for slot in flow.body.slots) | sum(m.bit for m in others if not m.callee)
    found = 0
    for place, content in flow.content.items():
        if not place & allowed:
            found |= content
    return found


def within_room(flow: Flow, made: list[Made]) -> list[Made]:
    """As many as there is room for; what others refer to is left out where they are."""
    kept: list[Made] = []
    room = ROOM
    for m in made:
        if m.size <= room:
            kept.append(m)
            room -= m.size
    while True:
        elsewhere = known_elsewhere(flow, kept)
        settled = [m for m in kept if not m.bit & elsewhere]
        if len(settled) == len(kept):
            return kept
        kept = settled
