"""What is gone is not used: an object whose place another takes, or whose references are dropped.

From there on, whatever may hold it is *stale*, until it is set to something else: registers, locals, and other places,
which count as never set. Reading what is stale is a fault.
"""

from __future__ import annotations

import re

from compiler.escape.flow import Flow
from compiler.escape.graph import Graph
from compiler.escape.releases import RELEASE
from compiler.escape.text import COUNTS

GIVEN = "%place"  # where the caller wants the result
_MADE = re.compile(r"  call void @llvm\.memset\.p0\.i64\(ptr (%place\d*), ")
_DROPPED = re.compile(rf"  call void @{re.escape(RELEASE)}\(ptr (%place\d*)\.\d+\)")
_CALL = re.compile(r"call|invoke")
_PLACE = re.compile(r"ptr (%place\d*)\)")
_ARM = re.compile(r"\[ ([^,]+), %([\w.]+) \]")
_STORE = re.compile(r"  store (?:atomic )?ptr (\S+), ptr (%[\w.]+)(?: unordered)?(?:, align \d+)?$")
_REGISTER = re.compile(r"%[\w.]+")


class Reuse:
    """Which registers, locals and places are stale, from block to block."""

    def __init__(self, flow: Flow, graph: Graph) -> None:
        self.graph = graph
        self.slots = set(flow.body.slots)
        self.plain = sum(flow.bit_of[slot] for slot in flow.body.slots if not slot.startswith(GIVEN))
        self.holders: dict[str, set[str]] = {}  # by place: what may hold its object
        for place in [slot for slot in flow.body.slots if re.match(r"%place\d+$", slot)]:
            self.holders[place] = self._holders(flow, place, flow.bit_of[place])
        if GIVEN in flow.body.parameters:
            self.holders[GIVEN] = self._holders(flow, GIVEN, flow.known[GIVEN])
        self.found: dict[str, None] = {}

    def _holders(self, flow: Flow, place: str, mask: int) -> set[str]:
        """What may hold the object, itself or by way of others. The bytes of a bytearray are judged with it."""
        while f"{place}.items" not in flow.known:
            wider = mask | sum(other for other, content in flow.content.items() if content & mask and not other & mask)
            wider &= ~self.plain
            if wider == mask:
                break
            mask = wider
        registers = {name for name, known in flow.known.items() if known & mask and not name.startswith(GIVEN)}
        slots = {slot for slot in flow.body.slots if flow.content[flow.bit_of[slot]] & mask}
        return (registers - self.slots) | slots

    def faults(self) -> list[str]:
        """Go over the blocks until the sets at their starts no longer grow."""
        if not self.holders:
            return []
        at_start: dict[str, set[str]] = {"entry": set()}
        todo = ["entry"]
        while todo:
            name = todo.pop()
            stale = set(at_start[name])
            for number in self.graph.blocks[name]:
                self._step(self.graph.lines[number].partition(", !")[0], stale)
            for to in self.graph.after(name):
                joined = at_start.get(to, set()) | self._through_phis(name, to, stale)
                if to not in at_start or joined != at_start[to]:
                    at_start[to] = joined
                    todo.append(to)
        return list(self.found)

    def _through_phis(self, name: str, to: str, stale: set[str]) -> set[str]:
        """What is stale at the start of a block that is entered from another."""
        result = set(stale)
        for number in self.graph.blocks[to]:
            line = self.graph.lines[number]
            if " = phi " not in line:
                continue
            register = line.strip().partition(" ")[0]
            result.discard(register)
            result.update(register for value, origin in _ARM.findall(line) if origin == name and value in stale)
        return result

    def _make(self, place: str, stale: set[str]) -> None:
        """A place is taken; `stale` also has the places that were taken before, with a mark."""
        if (taken := f"taken {place}") in stale:
            stale |= self.holders.get(place, set())
        stale.add(taken)

    def _step(self, code: str, stale: set[str]) -> None:
        """What a line does to the set."""
        if (dropped := _DROPPED.match(code)) is not None:
            stale |= self.holders[dropped[1] if dropped[1] in self.holders else GIVEN]
        if " = phi " in code or any(f"@{name}(" in code for name in COUNTS):
            return
        if (made := _MADE.match(code)) is not None:
            self._make(made[1], stale)
            return
        registers = _REGISTER.findall(code.partition(" to label ")[0] if "invoke " in code else code)
        result = registers.pop(0) if code[2] == "%" else ""
        if _CALL.search(code) is not None and (given := _PLACE.search(code)) is not None:
            self._make(given[1], stale)
        if code.startswith(("  br ", "  switch ")):
            return
        stored = _STORE.match(code)
        if stored is not None and stored[2] in self.slots:
            registers.remove(stored[2])
            stale.discard(stored[2])
        for register in registers:
            if register in stale:
                self.found[f"{register} may be an object that is gone: {code.strip()}"] = None
        stale.discard(result)
