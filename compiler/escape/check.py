"""Checks the result of the rewriting, so that nobody has to trust the analysis before it.

The text of every function that changed is read again, where a place is just a local in memory, and three things must
hold:

- *Nothing outlives its frame*: no place is known outside, none is returned, and only locals and other places refer to
  one.
- *Each reference is dropped once* on every path through the function (`check_references.py`).
- *What is gone is not used*: neither an object whose place another has taken, nor one whose references are dropped
  (`check_reuse.py`).

A program that breaks a rule is not compiled: it is a fault of the compiler, so `Misplaced` is not a diagnostic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.escape.check_references import References
from compiler.escape.check_reuse import Reuse
from compiler.escape.flow import Flow, Summary, left_in_heap, solve_all
from compiler.escape.graph import Graph
from compiler.escape.text import Body

_PLACE = re.compile(r"%place\d+$")


class Misplaced(Exception):
    """An object is in a frame where it must not be, or is not released as it must be."""


def check_places(bodies: dict[str, Body], changed: set[str]) -> None:
    """Check the functions that changed, of a whole program. Raises Misplaced."""
    summaries: dict[str, Summary] = {}
    flows = solve_all(bodies, summaries)
    left = left_in_heap(flows)
    faults = [f"{symbol}: {fault}" for symbol in sorted(changed) for fault in faults_of(flows[symbol], left)]
    if faults:
        raise Misplaced("\n".join(faults))


def faults_of(flow: Flow, left: dict[str, int]) -> Iterator[str]:
    """What is wrong with the places of one function. One that is too long has none."""
    if flow.is_blind:
        return
    graph = Graph(flow.body)
    yield from misplaced(flow, left)
    yield from References(graph).faults()
    yield from Reuse(flow, graph).faults()


def misplaced(flow: Flow, left: dict[str, int]) -> Iterator[str]:
    """Places that others know of."""
    by_callees = flow.left_by_calls(left)
    slots = sum(flow.bit_of[slot] for slot in flow.body.slots)
    for place in filter(_PLACE.match, flow.body.slots):
        bit = flow.bit_of[place]
        if bit & flow.escaped:
            yield f"{place} is known outside"
        if bit & flow.returned:
            yield f"{place} is returned"
        if bit & by_callees:
            yield f"what a callee leaves in the heap may refer to {place}"
        if any(content & bit and not holder & slots for holder, content in flow.content.items()):
            yield f"what is not in the frame may refer to {place}"
