"""What LLVM made of stack frames: how large each is, and which function calls which after inlining.

The attribute "warn-stack-size" makes LLVM report the size of every frame when it makes code; the optimised IR has the
calls. Both are kept beside the object, and `compiler/stacks.py` adds them up. An indirect call bears the name of the
set of functions that it may reach (`Module.call_set`), one on the way to a panic the attribute `NOT_COUNTED`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NOT_COUNTED = "krait-stack-not-counted"
CALL_SET = "krait-call-set"

_NAME = r'(?:"[^"]+"|[\w.$-]+)'
_DEFINE = re.compile(rf"define (?!.*available_externally).*?@({_NAME})\(")
_CALL = re.compile(rf" (?:call|invoke) [^\n]*?([@%]{_NAME})\(([^\n]*)")
_CALL_SET = re.compile(rf'"{CALL_SET}"="([^"]*)"')
_ATTRIBUTES = re.compile(r"#(\d+)")
_GROUP = re.compile(r"attributes #(\d+) = \{(.*)\}")
_ALIAS = re.compile(rf"@({_NAME}) = .*\balias .*, ptr @({_NAME})$", re.MULTILINE)
_FRAME = re.compile(r"^warning: .*stack frame size \((\d+)\) exceeds limit \(0\) in function '(.*)'\n", re.MULTILINE)


@dataclass
class ObjectFrames:
    """Frames and calls of one object."""

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    sets: dict[str, list[str]] = field(default_factory=dict)  # the call sets of a function's indirect calls
    aliases: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps([self.frames, self.calls, self.sets, self.aliases])

    @classmethod
    def read(cls, path: Path) -> ObjectFrames:
        return cls(*json.loads(path.read_text()))


def _functions(ir: str) -> Iterator[tuple[str, int, int]]:
    """The functions that a module defines for its object, and where their bodies begin and end."""
    end = 0
    while (start := ir.find("\ndefine ", end)) >= 0:
        end = ir.index("\n}", start)
        if (match := _DEFINE.match(ir, start + 1)) is not None:
            yield match[1].strip('"'), match.end(), end


def _groups(ir: str) -> dict[str, str]:
    """The groups of attributes, which follow the functions."""
    found: dict[str, str] = {}
    at = max(ir.rfind("\n}"), 0)
    while (at := ir.find("\nattributes #", at) + 1) > 0:
        if (match := _GROUP.match(ir, at)) is not None:
            found[match[1]] = match[2]
    return found


def without_frames(said: str) -> str:
    """What LLVM said, but for the sizes of frames."""
    return _FRAME.sub("", said)


def extract(ir: str, said: str) -> ObjectFrames:
    """From optimised IR, and from what LLVM said when it made code of it."""
    found = calls(ir)
    found.frames = sizes(said)
    return found


def sizes(said: str) -> dict[str, int]:
    """The sizes of frames, from what LLVM said."""
    return {name: int(size) for size, name in _FRAME.findall(said)}


def calls(ir: str) -> ObjectFrames:
    """All but the sizes, from optimised IR."""
    found = ObjectFrames()
    groups = _groups(ir)
    keys = {number: match[1] for number, text in groups.items() if (match := _CALL_SET.search(text))}
    every = sorted({*keys.values()})
    uncounted = {number for number, text in groups.items() if NOT_COUNTED in text}
    for symbol, start, end in _functions(ir):
        called: dict[str, None] = {}
        sets: dict[str, None] = {}
        for callee, rest in _CALL.findall(ir, start, end):
            numbers = _ATTRIBUTES.findall(rest)
            if not uncounted.isdisjoint(numbers):
                continue
            if callee[0] == "%":
                key = next((keys[number] for number in numbers if number in keys), "")
                # A call that LLVM made of two has lost its mark: it may be any of this object's.
                sets.update(dict.fromkeys([key] if key else every))
            elif not callee.startswith(("@llvm.", '@"llvm.')):
                called[callee[1:].strip('"')] = None
        found.calls[symbol], found.sets[symbol] = list(called), list(sets)
    aliases = _ALIAS.findall(ir, 0, max(ir.find("\ndefine "), 0) or len(ir))
    found.aliases = {a.strip('"'): b.strip('"') for a, b in aliases}
    return found
