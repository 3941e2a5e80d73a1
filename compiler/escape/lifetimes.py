"""Whether an allocation in a loop finds its previous object dead, so that both can use one place in the frame.

Liveness over the blocks of one function, of the registers and locals that may hold the object. Anything else that may
hold it (a field of another object, a local whose address is passed on) counts as alive forever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from compiler.escape.flow import Flow
from compiler.escape.text import Body

_LABEL = re.compile(r"^([\w.]+):")
_TARGET = re.compile(r"label %([\w.]+)")
_REGISTER = re.compile(r"%[\w.]+")
_ARM = re.compile(r"\[ ([^,]+), %([\w.]+) \]")
_SLOT_READ = re.compile(r"(?:atomic |volatile )?.*, ptr (%[\w.]+)(?: unordered)?(?:, align \d+)?$")


@dataclass
class Block:
    """Straight code: numbers of lines, and the blocks that may follow."""

    lines: list[int] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    phi_uses: list[str] = field(default_factory=list)  # what the phis of its followers read on the way from here


class Lifetimes:
    """The blocks of a function."""

    def __init__(self, body: Body, flow: Flow) -> None:
        self.body = body
        self.flow = flow
        self.blocks: dict[str, Block] = {}
        self.plain = self._plain_slots()
        self._block_of_line: dict[int, str] = {}
        self._in_loops: set[str] | None = None  # blocks, once somebody asked
        self._steps: dict[int, tuple[str, str, list[str]]] = {}  # see `_step`
        block = self.blocks["entry"] = Block()
        lines = body.lines
        for number in range(2, len(lines) - 1):
            line = lines[number]
            if line.startswith("  "):
                if line[2] != " ":
                    block.lines.append(number)
                    if line.startswith(("  br ", "  switch ")) or ("invoke " in line and is_invoke(line)):
                        block.after = _TARGET.findall(line)
            elif (label := _LABEL.match(line)) is not None:
                block = self.blocks[label[1]] = Block()
        for name, block in self.blocks.items():
            for number in block.lines:
                self._block_of_line[number] = name
                if " = phi " in lines[number]:
                    for value, origin in _ARM.findall(lines[number]):
                        if origin in self.blocks and name in self.blocks[origin].after:
                            self.blocks[origin].phi_uses.append(value)

    def _plain_slots(self) -> set[str]:
        """Locals in memory that are only ever read and written as a whole."""
        plain = set(self.body.slots)
        for line in self.body.lines[1:]:
            if line.startswith("    #") or " = alloca " in line:
                continue
            code = line.partition(", !")[0]
            registers = _REGISTER.findall(code)
            touched = plain.intersection(registers)
            if touched:
                plain -= touched - {_whole_access(code, registers)}
        return plain

    def in_loop(self, line: int) -> bool:
        """Whether a line may run more than once in a call."""
        if self._in_loops is None:
            self._in_loops = in_circles({name: block.after for name, block in self.blocks.items()})
        return self.block_of(line) in self._in_loops

    def block_of(self, line: int) -> str:
        return self._block_of_line[line]

    def unused_after(self, line: int, result: str, mask: int, owners: int = 0) -> bool:
        """Whether nothing that was in the places of `mask` before a line is used after it, but through `result`, which
        the line sets. `owners` are objects that may refer to them, and are judged by themselves.
        """
        flow = self.flow
        slots = {s for s in self.body.slots if flow.content[flow.bit_of[s]] & mask}
        if slots - self.plain:
            return False
        allowed = owners | sum(flow.bit_of[s] for s in slots)
        if any(content & mask and not place & allowed for place, content in flow.content.items()):
            return False
        registers = {name for name, known in flow.known.items() if known & mask and name not in slots}
        return not self._live_after(line, slots | registers) - {result}

    def _live_after(self, line: int, watched: set[str]) -> set[str]:
        """Which of the watched registers and locals may still be read after a line.

        If the line is an allocation, it has not failed: in a frame it cannot, and from the heap it takes nothing away.
        """
        own = self.blocks[self.block_of(line)]
        tested = self.blocks[self.block_of(test_of(self.body, line))] if is_tested(self.body, line) else None
        all_after = own.after, tested.after if tested is not None else []
        if tested is not None:
            own.after = own.after[:1]
            tested.after = all_after[1][1:]
        live_in = self.live_in(watched)
        live = self._live_at_end(own, live_in, watched)
        own.after = all_after[0]
        if tested is not None:
            tested.after = all_after[1]
        for number in reversed(own.lines):
            if number == line:
                break
            self._step_back(number, live, watched)
        return live

    def live_in(self, watched: set[str]) -> dict[str, set[str]]:
        """Which of the watched registers and locals may still be read, at the start of each block."""
        live_in: dict[str, set[str]] = {name: set() for name in self.blocks}
        changed = True
        while changed:
            changed = False
            for name in reversed(self.blocks):
                block = self.blocks[name]
                live = self._live_at_end(block, live_in, watched)
                for number in reversed(block.lines):
                    self._step_back(number, live, watched)
                if live != live_in[name]:
                    live_in[name] = live
                    changed = True
        return live_in

    def _live_at_end(self, block: Block, live_in: dict[str, set[str]], watched: set[str]) -> set[str]:
        live = {value for value in block.phi_uses if value in watched}
        for following in block.after:
            live |= live_in.get(following, set())
        return live

    def _step_back(self, number: int, live: set[str], watched: set[str]) -> None:
        """What is live before a line, given what is after it."""
        known = self._steps.get(number)
        result, stored, read = known if known is not None else self._step(number)
        live.discard(result)
        live.discard(stored)
        for register in read:
            if register in watched:
                live.add(register)

    def _step(self, number: int) -> tuple[str, str, list[str]]:
        """What a line sets, a register or a local, and what it reads. It is asked for again and again."""
        code = self.body.lines[number].partition(", !")[0]
        registers = _REGISTER.findall(code)
        result = registers.pop(0) if code[2] == "%" else ""
        stored = ""
        if code.startswith("  store ") and registers and registers[-1] in self.plain:
            stored = registers.pop()
        step = self._steps[number] = (result, stored, [] if " = phi " in code else registers)
        return step


def in_circles(after: dict[str, list[str]]) -> set[str]:
    """The nodes of a graph from which a path leads back to them (R. E. Tarjan, 1972)."""
    found: set[str] = set()
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for root in after:
        if root in numbers:
            continue
        numbers[root] = lowest[root] = len(numbers)
        path.append(root)
        on_path.add(root)
        todo = [(root, iter(after[root]))]
        while todo:
            name, rest = todo[-1]
            following = next(rest, None)
            if following is None:
                todo.pop()
                if todo:
                    above = todo[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                if lowest[name] == numbers[name]:
                    members = [path.pop()]
                    while members[-1] != name:
                        members.append(path.pop())
                    on_path.difference_update(members)
                    if len(members) > 1 or name in after[name]:
                        found.update(members)
            elif following not in numbers:
                numbers[following] = lowest[following] = len(numbers)
                path.append(following)
                on_path.add(following)
                todo.append((following, iter(after.get(following, []))))
            elif following in on_path:
                lowest[name] = min(lowest[name], numbers[following])
    return found


def _whole_access(code: str, registers: list[str]) -> str:
    """The local that a line reads or writes as a whole, or ""."""
    if code.startswith("  store ") and (found := _SLOT_READ.match(code[8:])) is not None:
        return found[1] if registers.count(found[1]) == 1 else ""
    operation = code.partition(" = ")[2]
    if operation.startswith("load ") and (found := _SLOT_READ.match(operation[5:])) is not None:
        return found[1]
    return ""


def is_invoke(line: str) -> bool:
    """Whether a line is a call with a landing, which ends its block."""
    return line.lstrip().partition(" = ")[2].startswith("invoke ") or line.startswith("  invoke ")


def test_of(body: Body, line: int) -> int:
    """Where the test of an allocation for null would be: after it, and after the label to which an invoke goes."""
    return line + 2 if is_invoke(body.lines[line]) else line + 1


def is_tested(body: Body, line: int) -> bool:
    """Whether an allocation is tested for null, which ends the block."""
    register = body.lines[line].strip().partition(" = ")[0]
    test = test_of(body, line)
    tested = body.lines[test].partition(" = ")[2].startswith(f"icmp eq ptr {register}, null")
    return tested and body.lines[test + 1].startswith("  br i1 ")
