"""The counted references of the places of one function are dropped once on all paths through it: after the object was
made, and before the function is left; never twice, nor before the field is set. No trap can leave while one is held.
"""

from __future__ import annotations

import re

from compiler.escape.graph import Graph
from compiler.escape.releases import RELEASE
from compiler.escape.text import may_unwind

_FIELD = re.compile(r"  (%place\d+)(\.\d+) = getelementptr inbounds i8, ptr \1,")
_MADE = re.compile(r"  call void @llvm\.memset\.p0\.i64\(ptr (%place\d+), ")
_CLEARED = re.compile(r"  store ptr null, ptr (%place\d+\.\d+),")
_DROPPED = re.compile(rf"  call void @{re.escape(RELEASE)}\(ptr (%place\d+\.\d+)\)")
_GIVEN = re.compile(r"ptr (%place\d+)\)")

# What a field may hold at a point, as bits of a set.
UNSET, CLEAR, HELD, DROPPED = 1, 2, 4, 8
State = dict[str, int]


class References:
    """What the fields may hold, from block to block."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.fields: dict[str, list[str]] = {}  # by place
        for line in graph.lines:
            if (found := _FIELD.match(line)) is not None:
                self.fields.setdefault(found[1], []).append(found[1] + found[2])
        self.found: dict[str, None] = {}

    def faults(self) -> list[str]:
        """Go over the blocks until the states at their starts no longer grow."""
        if not self.fields:
            return []
        start = {field: UNSET for fields in self.fields.values() for field in fields}
        at_start: dict[str, State] = {"entry": start}
        todo = ["entry"]
        while todo:
            name = todo.pop()
            state = dict(at_start[name])
            for number in self.graph.blocks[name]:
                self._step(self.graph.lines[number], state)
            for to in self.graph.after(name):
                known = at_start.setdefault(to, {})
                joined = {field: known.get(field, 0) | value for field, value in state.items()}
                if joined != known:
                    at_start[to] = joined
                    todo.append(to)
        return list(self.found)

    def _fault(self, what: str, line: str) -> None:
        self.found[f"{what}: {line.partition(', !')[0].strip()}"] = None

    def _step(self, line: str, state: State) -> None:
        """What a line does to the fields."""
        if (made := _MADE.match(line)) is not None and made[1] in self.fields:
            self._make(made[1], line, state)
        elif (cleared := _CLEARED.match(line)) is not None:
            if state[cleared[1]] & HELD:
                self._fault("a reference is forgotten", line)
            state[cleared[1]] = CLEAR
        elif (dropped := _DROPPED.match(line)) is not None and dropped[1] in state:
            if state[dropped[1]] & (UNSET | DROPPED):
                self._fault("what is dropped may not be there", line)
            state[dropped[1]] = DROPPED
        elif line.startswith(("  ret ", "  resume ")):
            if any(value & HELD for value in state.values()):
                self._fault("a reference is left behind", line)
        else:
            given = _GIVEN.search(line)
            if given is not None and given[1] in self.fields and " = getelementptr " not in line:
                self._make(given[1], line, state)
            if may_unwind(line) and any(value & HELD for value in state.values()):
                self._fault("a trap may leave a reference behind", line)

    def _make(self, place: str, line: str, state: State) -> None:
        for field in self.fields[place]:
            if state[field] & HELD:
                self._fault("a reference is forgotten", line)
            state[field] = HELD
