"""The text of functions with places in their frames. See `placement.py` for which.

An object in a frame has the header of a frozen one: a count that never comes to zero. `releases.py` drops its counted
references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from compiler.escape.lifetimes import is_invoke, test_of
from compiler.escape.placement import BUFFER_HEAD, Made, Plan, TypeFacts
from compiler.escape.releases import NEVER, Releases, debug_of, release
from compiler.escape.text import ALLOCATE, Body, Buffer
from compiler.lower.interfaces import PERSONALITY

IMMORTAL = 1 << 30
RELEASE_GIVEN = "krait.release_given"
GIVEN = "%place"  # the parameter: where to create the result, or null
BYTES_TYPE = "krait.type.RawArray[u8]"
_WENT = re.compile(r" to label %([\w.]+) unwind ")


@dataclass(frozen=True)
class BufferLayout:
    """Offsets of a bytearray's fields."""

    items: int
    length: int
    capacity: int


class Rewriter:
    """Rewrites functions, and their copies, by their plans."""

    def __init__(self, plans: dict[str, Plan], types: dict[str, TypeFacts], layout: BufferLayout | None) -> None:
        self.plans = plans
        self.types = types
        self.layout = layout
        self.widened = {symbol for symbol, plan in plans.items() if plan.returned}  # these have one parameter more

    def concerns(self, body: Body) -> bool:
        """Whether a function changes: it has places, or calls one that has a parameter more."""
        return body.symbol in self.plans or any(
            target in self.widened for call in body.calls for target in call.targets or ()
        )

    def declaration(self, symbol: str, text: str) -> str:
        """A declaration with its new parameter."""
        return with_operand(text, f'@"{symbol}"(', "ptr")

    def rewrite(self, body: Body, text: str) -> str:
        """The text of a function, which may be a copy in another module; `body` is the original's."""
        plan = self.plans.get(body.symbol, Plan())
        lines = text.split("\n")
        assert len(lines) == body.count, body.symbol
        out: dict[int, list[str]] = {}
        entry: list[str] = []
        counted: list[tuple[Made, list[str]]] = []  # places with counted references, and these
        targets: dict[int, str] = {}  # line of a call -> the place that it is given
        if plan.returned:
            out[0] = [with_operand(lines[0], f'@"{body.symbol}"(', f"ptr {GIVEN}")]
            for made in plan.returned:
                if made.callee:
                    targets[made.line] = GIVEN
                    if made.repeated:
                        out[made.line] = [*self._release_given(made, lines[made.line]), lines[made.line]]
                else:
                    out[made.line] = self._made_there(made, lines[made.line])
        for made in plan.places:
            name = f"%place{made.line}"
            entry.append(f"  {name} = alloca [{made.size} x i8], align 16")
            own = self._fields(made, name, entry)
            counted += [(made, own)] if own else []
            reused = own if made.repeated and made.region.is_cleared else []
            if made.callee:
                targets[made.line] = name
                out[made.line] = [*release(reused, lines[made.line], again=True), lines[made.line]]
                if not made.region.is_cleared:
                    out[made.line][:0] = [f"  store ptr null, ptr {place}, align 8" for place in own]
            else:
                out[made.line] = [*release(reused, lines[made.line]),
                                  *_header(made, name, name, lines[made.line]),
                                  f"  {made.register} = getelementptr inbounds i8, ptr {name}, i64 0"
                                  f"{debug_of(lines[made.line])}",
                                  *_go_on(lines[made.line])]  # fmt: skip
                test = test_of(body, made.line)
                register = lines[test].strip().partition(" ")[0]
                out[test] = [f"  {register}{NEVER}"]
            if made.buffer is not None:
                buffer = body.buffers[made.buffer]
                out[buffer.line] = self._buffer(buffer, entry, lines[buffer.line])
        for call in body.calls:
            assert call.targets is None or len(call.targets) == 1 or self.widened.isdisjoint(call.targets), call
            if call.targets is not None and len(call.targets) == 1 and call.targets[0] in self.widened:
                given = targets.get(call.line, "null")
                *before, line = out.get(call.line, [lines[call.line]])
                out[call.line] = [*before, with_operand(line, f'@"{call.targets[0]}"(', f"ptr {given}")]
        for number in plan.apart:
            *before, line = out.get(number, [lines[number]])
            out[number] = [*before, not_inlined(line)]
        if counted:
            releases = Releases(lines, out)
            releases.apply(counted)
            out[len(lines) - 1] = [*releases.added, lines[-1]]
            if releases.has_landings:
                out[0] = [with_personality(out.get(0, [lines[0]])[0])]
        return "\n".join(self._joined(lines, out, entry))

    def _joined(self, lines: list[str], out: dict[int, list[str]], entry: list[str]) -> list[str]:
        joined: list[str] = []
        for number, line in enumerate(lines):
            joined += out.get(number, [line])
            if number == 1:
                joined += entry
        return joined

    def _fields(self, made: Made, name: str, entry: list[str]) -> list[str]:
        """The counted references of a place; they begin as null if some of its region has no object."""
        fields: list[str] = []
        for offset in self.types[made.descriptor].pointers:
            entry.append(f"  {name}.{offset} = getelementptr inbounds i8, ptr {name}, i64 {offset}")
            if made.region.is_cleared:
                entry.append(f"  store ptr null, ptr {name}.{offset}, align 8")
            fields.append(f"{name}.{offset}")
        return fields

    def _made_there(self, made: Made, line: str) -> list[str]:
        """A call of the allocator that happens only if the caller gave no place."""
        name, debug = f"{GIVEN}{made.line}", debug_of(line)
        label = name[1:]
        fields: list[str] = []
        lines = [
            f"  {name}.given = icmp ne ptr {GIVEN}, null{debug}",
            f"  br i1 {name}.given, label %{label}.there, label %{label}.heap{debug}",
            f"{label}.there:",
        ]
        if made.repeated:
            for offset in self.types[made.descriptor].pointers:
                lines.append(f"  {name}.{offset} = getelementptr inbounds i8, ptr {GIVEN}, i64 {offset}{debug}")
                fields.append(f"{name}.{offset}")
        call = line.strip().partition(" = ")[2]
        assert f"@{ALLOCATE}(" in call
        return [
            *lines,
            *release(fields, line),
            *_header(made, GIVEN, name, line),
            f"  br label %{label}.made{debug}",
            f"{label}.heap:",
            f"  {name}.new = {_to(call, f'{label}.got')}",
            *([] if is_invoke(line) else [f"  br label %{label}.got{debug}"]),
            f"{label}.got:",
            f"  br label %{label}.made{debug}",
            f"{label}.made:",
            f"  {made.register} = phi ptr [ {GIVEN}, %{label}.there ], [ {name}.new, %{label}.got ]{debug}",
            *_go_on(line),
        ]

    def _release_given(self, made: Made, line: str) -> list[str]:
        """Drop what an earlier result in the caller's place refers to, if the caller gave one."""
        return [
            f"  call void @{RELEASE_GIVEN}(ptr {GIVEN}, i64 {offset}){debug_of(line)}"
            for offset in self.types[made.descriptor].pointers
        ]

    def _buffer(self, buffer: Buffer, entry: list[str], line: str) -> list[str]:
        """A bytearray's constructor, with its storage in the frame."""
        assert self.layout is not None
        name, debug = f"%place{buffer.line}", debug_of(line)
        size = BUFFER_HEAD + (buffer.size + 7 & ~7)
        entry.append(f"  {name} = alloca [{size} x i8], align 16")
        made = Made(buffer.line, "", BYTES_TYPE, size, 0)
        lines = [
            *_header(made, name, name, line),
            f"  {name}.count = getelementptr inbounds i8, ptr {name}, i64 8{debug}",
            f"  store i64 {buffer.size}, ptr {name}.count, align 8{debug}",
            f"  {name}.items = getelementptr inbounds i8, ptr {buffer.owner}, i64 {self.layout.items}{debug}",
            f"  store atomic ptr {name}, ptr {name}.items unordered, align 8{debug}",
        ]
        for what, offset in (("length", self.layout.length), ("capacity", self.layout.capacity)):
            lines.append(f"  {name}.{what} = getelementptr inbounds i8, ptr {buffer.owner}, i64 {offset}{debug}")
            lines.append(f"  store i64 {buffer.size}, ptr {name}.{what}, align 8{debug}")
        if buffer.result:
            lines.append(f"  {buffer.result} = add i64 0, 0{debug}")
        return [*lines, *_go_on(line)]


def with_operand(text: str, before: str, operand: str) -> str:
    """A call, definition or declaration with one operand more; `before` is the symbol with its parenthesis."""
    start = text.index(before) + len(before)
    depth, at = 1, start
    while depth:
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    comma = "" if at - 1 == start else ", "
    return f"{text[: at - 1]}{comma}{operand}{text[at - 1 :]}"


def not_inlined(call: str) -> str:
    """A call that LLVM leaves a call."""
    end = call.rindex(")", 0, call.find(", !") if ", !" in call else len(call)) + 1
    return f"{call[:end]} noinline{call[end:]}"


def with_personality(header: str) -> str:
    """A function's header when it has landings."""
    if " personality " in header:
        return header
    at = header.rfind(" !dbg ")
    at = at if at >= 0 else header.rindex(" {")
    return f"{header[:at]} personality ptr @{PERSONALITY}{header[at:]}"


def _go_on(line: str) -> list[str]:
    """What ends the block in place of a call with a landing: a jump to where it would come back to."""
    found = _WENT.search(line)
    return [f"  br label %{found[1]}{debug_of(line)}"] if found is not None else []


def _to(call: str, label: str) -> str:
    """A call with a landing that comes back to another label; any other call as it is."""
    return _WENT.sub(f" to label %{label} unwind ", call)


def _header(made: Made, place: str, name: str, line: str) -> list[str]:
    """Zeros, and the header of an object that is never freed. The type's address is sign-extended: see layout.py."""
    debug = debug_of(line)
    return [
        f"  call void @llvm.memset.p0.i64(ptr {place}, i8 0, i64 {made.size}, i1 false){debug}",
        f'  {name}.type = ptrtoint ptr @"{made.descriptor}" to i64{debug}',
        f"  {name}.high = shl i64 {name}.type, 32{debug}",
        f"  {name}.word = or i64 {name}.high, {IMMORTAL}{debug}",
        f"  store i64 {name}.word, ptr {place}, align 8{debug}",
    ]
