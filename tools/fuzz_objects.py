#!/usr/bin/env python3
"""Random programs about where objects get to: what the escape analysis must see (docs/language.md, "Objects that cost
nothing").

    python -m tools.fuzz_objects [--seed N] [--programs N] [--rounds N] [--profile release]

A program makes nodes, links, returns, stores, forgets and compares them, in loops, branches, clean-up code and calls.
Between that, others are allocated, so that memory that was given back too early is used again and shows. All programs
of a round are compiled as one file; its output must be checked CPython's. Rounds with an odd seed make no circles of
nodes, and no object may be left at their end. The same seed makes the same programs. With KRAIT_STRESS=1 in the
environment they reclaim at every allocation.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.language.runner import run_compiled, run_python
from tools.fuzz_language import OUTPUT, ROOT, difference

PREAMBLE = '''"""Programs of the object fuzzer, seed {seed}."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, Errno, final, noinline, u64


@noinline
def clear() -> int:
    """What lies below on the stack is cleared, so that no object that is dead seems to be in use."""
    words: Array[u64, Literal[2048]] = Array()
    words.fill(u64(0))
    total = 0
    for word in words:
        total += int(word)
    return total


class Node:
    value: int
    next: Node | None
    other: Node | None
    items: list[Node]

    def __init__(self, value: int, following: Node | None) -> None:
        self.value = value
        self.next = following
        self.other = None
        self.items = []

    def itself(self) -> Node:
        return self

    def link(self, node: Node) -> None:
        self.next = node

    def twin(self) -> Node:
        made = Node(self.value + 1, self.next)
        made.other = self.other
        return made

    def meet(self, node: Node) -> int:
        return self.value + node.value


class Keeper(Node):
    def meet(self, node: Node) -> int:
        self.other = node
        return self.value * 2 + node.value


@final
class Pair:
    left: Node
    right: Node

    def __init__(self, left: Node, right: Node) -> None:
        self.left = left
        self.right = right

    def swapped(self) -> Pair:
        return Pair(self.right, self.left)


@final
class Store:
    kept: Node | None

    def __init__(self) -> None:
        self.kept = None


STORE = Store()


def weigh(node: Node | None) -> int:
    total = 7
    at = node
    for _ in range(4):
        if at is None:
            return total
        total = (total * 31 + at.value) % 1000003
        if at.other is not None:
            total = (total * 17 + at.other.value) % 1000003
        for item in at.items:
            total = (total * 13 + item.value) % 1000003
        at = at.next
    return total


@noinline
def churn(amount: int) -> int:
    total = 0
    for i in range(amount):
        nodes = [Node(-i, None), Node(-1 - i, Node(-2, None))]
        data = bytearray(40)
        data[i % 40] = 255
        total += nodes[1].value + data[i % 40] + len(f"{{i}}:{{total}}")
    return total


def fail(value: int) -> int:
    if value % 3 == 0:
        raise Errno(value % 30 + 1)
    return value


def keep(node: Node) -> None:
    STORE.kept = node


def fresh(value: int, following: Node | None) -> Node:
    return Node(value, following)


def either(which: int, a: Node, b: Node) -> Node:
    if which % 3 == 0:
        return a
    if which % 3 == 1:
        return b
    return Node(which, a)


def at_least(value: int) -> Node | None:
    best: Node | None = None
    for i in range(value % 5):
        candidate = Node(i * 3 % 7, best)
        if best is None or candidate.value > best.value:
            best = candidate
    return best


def both(value: int) -> tuple[Node, Node]:
    return Node(value, None), Node(value + 1, None)


'''


@dataclass
class Made:
    """A function of a program that others may call."""

    name: str
    returns_node: bool


class Programs:
    """Makes the text of one program."""

    def __init__(self, seed: int, prefix: str, cyclic: bool) -> None:
        self.cyclic = cyclic
        self.random = random.Random(seed)
        self.prefix = prefix
        self.lines: list[str] = []
        self.functions: list[Made] = []
        self.counter = 0
        self.guarded = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def name(self, kind: str) -> str:
        self.counter += 1
        return f"{kind}{self.counter}"

    def node(self, names: list[str], depth: int = 2) -> str:
        """An expression that is a Node."""
        if depth == 0 or self.chance(0.3):
            return self.random.choice(names)
        a, b = self.node(names, depth - 1), self.node(names, depth - 1)
        number = self.number(names)
        return self.pick(
            f"Node({number}, {self.maybe(names, depth - 1)})",
            f"Keeper({number}, {self.maybe(names, depth - 1)})",
            f"fresh({number}, {self.maybe(names, depth - 1)})",
            f"{a}.itself()",
            f"{a}.twin()",
            f"either({number}, {a}, {b})",
            f"Pair({a}, {b}).swapped().left",
            f"both({number})[1]",
            f"({a} if {number} % 2 == 0 else {b})",
            *(f"{f.name}({a}, {b}, {number})" for f in self.functions[-2:] if f.returns_node),
        )

    def maybe(self, names: list[str], depth: int) -> str:
        """An expression that is a Node or None."""
        return self.pick("None", self.node(names, depth), f"{self.random.choice(names)}.next", "at_least(n)")

    def number(self, names: list[str]) -> str:
        a = self.random.choice(names)
        return self.pick("n", str(self.random.randrange(9)), f"{a}.value % 10", f"(n + {self.random.randrange(5)})")

    def emit(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def block(self, indent: int, names: list[str], budget: int) -> None:
        for _ in range(self.random.randrange(1, 4)):
            self.statement(indent, names, budget)

    def statement(self, indent: int, names: list[str], budget: int) -> None:
        roll = self.random.randrange(0 if self.cyclic else 3, 22 if budget > 0 else 15)
        a = self.random.choice(names)
        if roll < 3:
            self.change(indent, names)
        elif roll < 7:
            self.emit(indent, f"{a} = {self.node(names)}")
        elif roll < 8:
            b = self.random.choice(names)
            self.emit(indent, f"{a}, {b} = {b}, {self.node(names)}" if a != b else f"{a} = {self.node(names)}")
        elif roll < 9:
            self.emit(indent, f"{a}.items.append(Node({self.number(names)}, None))")
            self.emit(indent, f"total += len({a}.items)")
        elif roll < 10:
            self.emit(indent, f"keep({self.node(names, 1)})" if self.chance(0.6) else "STORE.kept = None")
        elif roll < 11:
            self.emit(indent, f"kept.append({self.node(names, 1)})")
            self.emit(indent, f"{a} = kept[{self.number(names)} % len(kept)]")
        elif roll < 12:
            self.emit(indent, "total += churn(3)")
        elif roll < 15:
            self.emit(indent, f"total = (total * 29 + weigh({self.maybe(names, 1)})) % 1000003")
        elif roll < 17:
            self.emit(indent, f"for {self.name('i')} in range({self.random.randrange(1, 5)}):")
            self.block(indent + 1, names, budget - 1)
        elif roll < 19:
            self.emit(indent, f"if weigh({a}) % {self.random.randrange(2, 4)} == 0:")
            self.block(indent + 1, names, budget - 1)
            if self.chance(0.4):
                self.emit(indent, "else:")
                self.block(indent + 1, names, budget - 1)
        elif roll < 20:
            found = self.name("found")
            self.emit(indent, f"{found} = {self.maybe(names, 1)}")
            self.emit(indent, f"if {found} is not None and {found} is not {a}:")
            self.emit(indent + 1, f"{a} = {found}")
        else:
            self.emit(indent, "try:")
            self.guarded += 1
            self.block(indent + 1, names, budget - 1)
            self.emit(indent + 1, f"{a} = Node(fail(weigh({self.random.choice(names)})), {self.maybe(names, 1)})")
            self.guarded -= 1
            self.emit(indent, "except Errno as e:")
            self.emit(indent + 1, f"total += e.code + weigh({a})")
            if self.chance(0.4):
                self.emit(indent, "finally:")
                self.emit(indent + 1, f"total += weigh({self.random.choice(names)})")

    def change(self, indent: int, names: list[str]) -> None:
        """Link nodes that exist: they may form a circle."""
        a = self.random.choice(names)
        self.emit(
            indent,
            self.pick(
                f"{a}.next = {self.maybe(names, 1)}",
                f"{a}.other = {self.maybe(names, 1)}",
                f"total += {a}.meet({self.node(names, 1)})",
                f"{a}.link({self.node(names, 1)})",
            ),
        )

    def function(self, number: int) -> None:
        """One function of two nodes and a number."""
        returns_node = self.chance(0.5)
        name = f"{self.prefix}f{number}"
        if self.chance(0.5):
            self.emit(0, "@noinline")
        result = "Node" if returns_node else "int"
        self.emit(0, f"def {name}(p: Node, q: Node, n: int) -> {result}:")
        self.emit(1, "total = 0")
        self.emit(1, "kept = [Node(n, None)]")
        names = ["p", "q"]
        for _ in range(self.random.randrange(1, 4)):
            made = self.name("v")
            self.emit(1, f"{made}: Node = {self.node(names, 1)}")
            names.append(made)
        for _ in range(self.random.randrange(3, 8)):
            self.statement(1, names, 2)
            if self.chance(0.1):
                self.emit(1, f"if total % 7 == {number}:")
                self.emit(2, f"return {self.random.choice(names) if returns_node else 'total'}")
        if returns_node:
            self.emit(1, f"{names[-1]}.value += total % 10 + len(kept)")
            self.emit(1, f"return {self.node(names)}")
        else:
            self.emit(1, f"return (total + weigh({names[-1]})) % 1000003")
        self.emit(0, "")
        self.emit(0, "")
        self.functions.append(Made(name, returns_node))

    def program(self) -> str:
        """The functions of one program and its `run`."""
        for number in range(self.random.randrange(2, 5)):
            self.function(number)
        self.emit(0, f"def {self.prefix}run() -> None:")
        for function in self.functions:
            for n in range(3):
                call = f"{function.name}(Node({n}, Node(50, None)), Keeper({n + 1}, None), {n})"
                self.emit(1, f"print({f'weigh({call})' if function.returns_node else call}, weigh(STORE.kept))")
        self.emit(1, "STORE.kept = None")
        return "\n".join(self.lines) + "\n\n\n"


def write(seed: int, programs: dict[str, str]) -> Path:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    calls = "".join(f'    print("program {prefix}")\n    {prefix}run()\n' for prefix in programs)
    path = OUTPUT / f"objects_{seed}.py"
    path.write_text(PREAMBLE.format(seed=seed).replace("{{", "{").replace("}}", "}") + "".join(programs.values())
                    + "def main() -> None:\n" + calls + "    print(clear())\n")  # fmt: skip
    return path


def round_of(seed: int, count: int, profile: str) -> list[str]:
    """One round: the differences found. The file stays where there are some."""
    cyclic = seed % 2 == 0
    programs = {f"p{n}_": Programs(seed * 1000 + n, f"p{n}_", cyclic).program() for n in range(count)}
    path = write(seed, programs)
    expected = run_python(path, checked=True)
    if expected.broken or expected.trap is not None:
        return [f"{path.relative_to(ROOT)}: a program that does not run: {expected.message}"]
    compiled = run_compiled(path, profile)
    what = difference(expected, compiled)
    if not what and compiled.broken:
        what = compiled.message
    if not what and compiled.objects and not cyclic:
        what = f"{compiled.objects} objects are left"
    if what:
        return [f"{path.relative_to(ROOT)}: {what}"]
    path.unlink()
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="seed of the first round (default: the time)")
    parser.add_argument("--programs", type=int, default=10, help="programs a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--profile", choices=("dev", "release"), default="release")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time()) % 1_000_000
    failures = 0
    for number in range(options.rounds):
        print(f"seed {seed + number}: {options.programs} programs", flush=True)
        for text in round_of(seed + number, options.programs, options.profile):
            print(f"  {text}", flush=True)
            failures += 1
    print(f"{failures} differences" if failures else "no difference")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
