"""Drops the references of objects in frames where `regions.py` says: before returns, on edges, when a trap leaves."""

from __future__ import annotations

import re

from compiler.escape.lifetimes import is_invoke
from compiler.escape.placement import Made
from compiler.escape.text import may_unwind

NEVER = " = icmp ne i64 0, 0"  # the test of an allocation that cannot fail
RELEASE = "krait.release_reference"
_LABEL = re.compile(r"^([\w.]+):")
_ARM = re.compile(r"(\[ [^,]+, %)([\w.]+)( \])")
_PAD = "landingpad { ptr, i32 } cleanup"


def debug_of(line: str) -> str:
    """The debug location of a line."""
    at = line.rfind(", !dbg ")
    return line[at:] if at >= 0 else ""


def release(fields: list[str], line: str, again: bool = False) -> list[str]:
    """Drop the references of some fields; `again` if they must be null then."""
    found: list[str] = []
    for place in fields:
        found.append(f"  call void @{RELEASE}(ptr {place}){debug_of(line)}")
        if again:
            found.append(f"  store ptr null, ptr {place}, align 8{debug_of(line)}")
    return found


class Releases:
    """Changes the lines of a function, as far as they have been rewritten; `out` has what stands for each."""

    def __init__(self, lines: list[str], out: dict[int, list[str]]) -> None:
        self.lines = lines
        self.out = out
        self.blocks: dict[str, list[int]] = {}  # lines of each block
        self.block_of: dict[int, str] = {}
        self.added: list[str] = []  # blocks
        self._landings: dict[tuple[str, ...], str] = {}
        self._origins: dict[tuple[str, str], list[str]] = {}  # new ones of an edge: block, the one after it
        self._last: dict[str, str] = {}  # block that was split -> its last part
        block = "entry"
        for number in range(2, len(lines) - 1):
            if (label := _LABEL.match(lines[number])) is not None:
                block = label[1]
            else:
                self.blocks.setdefault(block, []).append(number)
                self.block_of[number] = block

    def apply(self, places: list[tuple[Made, list[str]]]) -> None:
        """Drop the fields of each place in its region."""
        ends: dict[int, list[str]] = {}
        calls: dict[int, list[str]] = {}
        edges: dict[tuple[str, str], list[str]] = {}
        for made, fields in places:
            for line in made.region.ends:
                ends.setdefault(line, []).extend(fields)
            for line in made.region.calls:
                calls.setdefault(line, []).extend(fields)
            for edge in made.region.edges:
                edges.setdefault(edge, []).extend(fields)
        for line, fields in ends.items():
            *before, last = self._now(line)
            self.out[line] = [*before, *release(fields, last), last]
        for line in sorted(calls):
            self._guard(line, calls[line])
        for (origin, to), fields in edges.items():
            self._drop_on_edge(origin, to, fields)
        self._correct_phis()

    @property
    def has_landings(self) -> bool:
        return bool(self._landings)

    def _now(self, line: int) -> list[str]:
        return self.out.get(line, [self.lines[line]])

    def _guard(self, line: int, fields: list[str]) -> None:
        """Give a call a landing, if it is still there."""
        now = self._now(line)
        at = next((at for at, text in enumerate(now) if may_unwind(text)), None)
        if at is None:
            return
        text, after = now[at], f"guarded{line}"
        end = text.find(", !", text.rindex(")"))
        call, marks = (text, "") if end < 0 else (text[:end], text[end:])
        call = call.replace("call ", "invoke ", 1)
        call += f" to label %{after} unwind label %{self._landing(fields, text)}{marks}"
        self.out[line] = [*now[:at], call, f"{after}:", *now[at + 1 :]]
        self._last[self.block_of[line]] = after

    def _landing(self, fields: list[str], call: str) -> str:
        """A landing that drops some fields and lets the trap continue."""
        key = ("", *fields)
        if key not in self._landings:
            label = self._landings[key] = f"dropping{len(self._landings)}"
            self.added += [f"{label}:", f"  %{label}.pad = {_PAD}", *release(fields, call)]
            self.added.append(f"  resume {{ ptr, i32 }} %{label}.pad{debug_of(call)}")
        return self._landings[key]

    def _landing_before(self, fields: list[str], landing: str) -> str:
        """A landing that drops some fields and continues as another one."""
        key = (landing, *fields)
        if key not in self._landings:
            label = self._landings[key] = f"dropping{len(self._landings)}"
            first, *rest = (self.lines[number] for number in self.blocks[landing])
            pad = first.strip().partition(" = ")[0]
            assert _PAD in first, first
            self.added += [f"{label}:", f"  %{label}.pad = {_PAD}", *release(fields, first)]
            self.added += [re.sub(rf"{re.escape(pad)}(?![\w.])", f"%{label}.pad", line) for line in rest]
        return self._landings[key]

    def _drop_on_edge(self, origin: str, to: str, fields: list[str]) -> None:
        line = self.blocks[origin][-1]
        now = self._now(line)
        if is_invoke(self.lines[line]):
            label = self._landing_before(fields, to)
            self.out[line] = [text.replace(f" unwind label %{to}", f" unwind label %{label}") for text in now]
            return
        origins = self._origins.setdefault((origin, to), [])

        def instead(_: re.Match[str]) -> str:
            label = f"leaving{line}.{len(origins)}.{to}"
            origins.append(label)
            jump = f"  br label %{to}{debug_of(self.lines[line])}"
            self.added.extend([f"{label}:", *release(fields, self.lines[line]), jump])
            return f"label %{label}"

        self.out[line] = [re.sub(rf"label %{re.escape(to)}(?![\w.])", instead, text) for text in now]

    def _correct_phis(self) -> None:
        """The blocks that a phi comes from may have other names."""
        for number, block in self.block_of.items():
            if " = phi " in self.lines[number]:
                taken: dict[str, int] = {}

                def arm(match: re.Match[str], block: str = block, taken: dict[str, int] = taken) -> str:
                    origin = match[2]
                    if (new := self._origins.get((origin, block))) is not None:
                        taken[origin] = taken.get(origin, -1) + 1
                        return f"{match[1]}{new[taken[origin]]}{match[3]}"
                    return f"{match[1]}{self._last.get(origin, origin)}{match[3]}"

                self.out[number] = [_ARM.sub(arm, text) for text in self._now(number)]
