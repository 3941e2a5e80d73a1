"""Which calls stay calls, so that fast paths do not pay for the objects of slow ones.

Where LLVM inlines a function whose frame holds counted references, its caller gets the places, the landings that drop
what is in them, and the registers that these need; and saves and restores them on every path. It also likes to inline
what is given the address of a place, however large that is. So calls of such functions, and calls of large ones with
such an argument, are not inlined if their caller also succeeds without them: that path is often the quick one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.escape.lifetimes import Lifetimes
from compiler.escape.text import Body, Call

_ERROR_PAIR = re.compile(r"  (%[\w.]+) = insertvalue \{.*\} zeroinitializer, i64 .*, 1(?:, !|$)")
_RETURN = re.compile(r"  ret (?:\{.*\}|\w+) ([^,]+)")
_ERROR = 1 << 32  # error words begin here; a function without a result returns nothing else
LARGE = 100  # lines of IR
_RAISED = re.compile(r"raised\d+$")  # the label after a call that raised


def direct_calls(body: Body) -> Iterator[tuple[Call, str]]:
    """Calls by name, and the names."""
    for call in body.calls:
        if call.by_name and call.targets is not None:
            yield call, call.targets[0]


def aside(lifetimes: Lifetimes, calls: list[Call]) -> list[int]:
    """Lines of those calls without which the function may succeed, too."""
    if not calls:
        return []
    goals = {name for name in lifetimes.blocks if _succeeds(lifetimes, name)}
    return [call.line for call in calls if not goals.isdisjoint(_reach(lifetimes, lifetimes.block_of(call.line)))]


def _reach(lifetimes: Lifetimes, without: str) -> set[str]:
    """Blocks that can be reached from the entry, but not through one block."""
    seen = {without}
    todo = ["entry"]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += lifetimes.blocks[name].after
    return seen - {without}


def _succeeds(lifetimes: Lifetimes, name: str) -> bool:
    """Whether a block ends in a return that raises nothing."""
    lines = lifetimes.blocks[name].lines
    code = [lifetimes.body.lines[number] for number in lines]
    if not code or not code[-1].startswith("  ret "):
        return False
    found = _RETURN.match(code[-1])
    if found is None:
        return True
    value = found[1]
    if any((pair := _ERROR_PAIR.match(line)) is not None and pair[1] == value for line in code):
        return False
    is_word = code[-1].startswith("  ret i64 ")
    return not (is_word and (_RAISED.match(name) is not None or (value.isdigit() and int(value) >= _ERROR)))
