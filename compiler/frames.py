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
_DEFINE = re.compile(rf"^define (?!.*available_externally).*?@({_NAME})\(")
_CALL = re.compile(rf" (?:call|invoke) [^\n]*?([@%]{_NAME})\(")
_CALL_SET = re.compile(rf'"{CALL_SET}"="([^"]*)"')
_ATTRIBUTES = re.compile(r"#(\d+)")
_GROUP = re.compile(r"^attributes #(\d+) = \{(.*)\}$", re.MULTILINE)
_ALIAS = re.compile(rf"^@({_NAME}) = .*\balias .*, ptr @({_NAME})$", re.MULTILINE)
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


def _lines(ir: str) -> Iterator[str]:
    """The lines of a module, which are never there all at once; those of an `invoke` are joined."""
    joined = ""
    start = 0
    while start < len(ir):
        end = ir.find("\n", start)
        end = end if end >= 0 else len(ir)
        line = ir[start:end]
        start = end + 1
        if line.startswith("          to label "):
            joined += " " + line[10:]
            continue
        if joined:
            yield joined
        joined = line
    yield joined


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
    groups = dict(_GROUP.findall(ir))
    keys = {number: match[1] for number, text in groups.items() if (match := _CALL_SET.search(text))}
    uncounted = {number for number, text in groups.items() if NOT_COUNTED in text}
    current = ""
    called: dict[str, None] = {}
    sets: dict[str, None] = {}
    for line in _lines(ir):
        if line.startswith("define "):
            match = _DEFINE.match(line)
            current = match[1].strip('"') if match else ""
            called, sets = {}, {}
        elif line == "}" and current:
            found.calls[current], found.sets[current] = list(called), list(sets)
            current = ""
        elif current and (match := _CALL.search(line)):
            callee = match[1]
            numbers = _ATTRIBUTES.findall(line)
            key = next((keys[number] for number in numbers if number in keys), "")
            if not uncounted.isdisjoint(numbers):
                continue
            if callee[0] == "%":
                # A call that LLVM made of two has lost its mark: it may be any of this object's.
                sets.update(dict.fromkeys([key] if key else sorted({*keys.values()})))
            elif not callee.startswith(("@llvm.", '@"llvm.')):
                called[callee[1:].strip('"')] = None
    found.aliases = {a.strip('"'): b.strip('"') for a, b in _ALIAS.findall(ir)}
    return found
