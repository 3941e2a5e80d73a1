"""Where a function may have an object in a place of its frame, so that only what comes from there drops its references.

From the place where it is created, an object exists on every path, until one joins a path on which it was not created
(or returns to where it is created). If nothing looks at the object from there on, its references are dropped on that
edge: paths without it pay nothing. If something may, the place is clear from the function's entry on, and whatever can
be reached from the object's creation drops what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from compiler.escape.flow import Flow
from compiler.escape.lifetimes import Lifetimes, is_invoke, test_of
from compiler.escape.text import Body, may_unwind

Edge = tuple[str, str]


@dataclass
class Region:
    """Where the references of one place are dropped."""

    is_cleared: bool = False  # from the entry on: some of it can be reached without the object
    ends: list[int] = field(default_factory=list)  # lines that leave the function: `ret`, `resume`
    calls: list[int] = field(default_factory=list)  # lines that a trap may leave, without a landing
    edges: list[Edge] = field(default_factory=list)  # between blocks, to landings too


class Ways:
    """The blocks of a function and what follows them, when the objects of some lines need no allocator any more."""

    def __init__(self, lifetimes: Lifetimes, placed: Iterable[int]) -> None:
        self.lifetimes = lifetimes
        self.body: Body = lifetimes.body
        self.after = {name: list(block.after) for name, block in lifetimes.blocks.items()}
        for line in placed:
            if is_invoke(self.body.lines[line]):
                self.after[lifetimes.block_of(line)].pop()  # no trap any more
            self.after[lifetimes.block_of(test_of(self.body, line))].pop(0)  # no lack of memory

    def reach(self, starts: Iterable[str], without: str = "") -> set[str]:
        """Blocks that can be reached, themselves among them, but not through one block."""
        seen: set[str] = set()
        todo = [name for name in starts if name != without]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += [following for following in self.after[name] if following != without]
        return seen

    def region(self, line: int, is_call: bool, watched: set[str] | None) -> Region:
        """The region of the object that a line makes. `is_call`: a callee makes it, so that it may be there when a trap
        leaves the call. `watched` may hold the object, and nothing else does; None if more may.
        """
        own = self.lifetimes.block_of(line)
        inside = self.reach(self.after[own], own) - self.reach(["entry"], own)
        blocks = inside | {own}
        edges = [(name, to) for name in self._in_order(blocks) for to in self.after[name] if to not in inside]
        region = Region(edges=list(dict.fromkeys(edges)))
        is_repeated = False
        if edges and (watched is None or self._is_live(edges, watched)):
            region = Region(is_cleared=True)
            blocks = self.reach(self.after[own])
            is_repeated = own in blocks
            blocks.add(own)
        for name in self._in_order(blocks):
            for number in self.lifetimes.blocks[name].lines:
                if name == own and not is_repeated and number < line + (not is_call):
                    continue
                code = self.body.lines[number]
                if code.startswith(("  ret ", "  resume ")):
                    region.ends.append(number)
                elif may_unwind(code):
                    region.calls.append(number)
        return region

    def _in_order(self, blocks: set[str]) -> list[str]:
        return [name for name in self.lifetimes.blocks if name in blocks]

    def _is_live(self, edges: list[Edge], watched: set[str]) -> bool:
        """Whether anything that is watched may be read after one of the edges."""
        live = self.lifetimes.live_in(watched)
        return any(live[to] or not watched.isdisjoint(self.lifetimes.blocks[name].phi_uses) for name, to in edges)


def holders(flow: Flow, lifetimes: Lifetimes, bit: int, owners: int) -> set[str] | None:
    """The registers and locals that an object can be reached by, through others of the frame (`owners`) too. None if
    there may be more.
    """
    slots: dict[int, str] = {flow.bit_of[slot]: slot for slot in flow.body.slots}
    mask = bit
    while True:
        places = sum(place for place, content in flow.content.items() if content & mask)
        others = places & ~mask & ~sum(slots)
        if others & ~owners:
            return None
        if not others:
            break
        mask |= others
    found = {slot for place, slot in slots.items() if place & places}
    if found - lifetimes.plain:
        return None
    return found | {name for name, known in flow.known.items() if known & mask and name not in slots.values()}
