#!/usr/bin/env python3
"""Random Kernel Python programs: checked CPython against compiled code.

    python -m tools.fuzz_language [--seed N] [--programs N] [--rounds N] [--profile release] [--traps N] [--show]

A round makes `--programs` small programs, runs each under checked CPython (tests/language/checked.py), compiles those
that do not trap as one file in both profiles, and compares the output; no object may be left. Of those that trap,
`--traps` are compiled alone: they must print the same lines and then trap too. A difference is narrowed down to one
program, which stays in build/fuzz/ with its seed in its name. The same seed makes the same programs.
With KRAIT_STRESS=1 in the environment they reclaim at every allocation.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.language.runner import Outcome, run_compiled, run_python
from tools.fuzz_features import DARING, DECLARATIONS, IMPORTS, PIECES

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "fuzz"

PROFILES = ("dev", "release")
STORAGE = {
    "u8": (0, 255),
    "u16": (0, 65535),
    "u32": (0, 2**32 - 1),
    "i8": (-128, 127),
    "i16": (-(2**15), 2**15 - 1),
    "i32": (-(2**31), 2**31 - 1),
}
EDGES = [
    0,
    1,
    2,
    3,
    7,
    8,
    10,
    31,
    63,
    64,
    127,
    128,
    255,
    256,
    1000,
    32767,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**62,
    2**63 - 1,
]
MASKS = [1, 7, 15, 63, 255, 1023, 65535, 0xFFFFFF, 2**31 - 1]

PREAMBLE = '''"""A program of the fuzzer, seed {seed}."""

from __future__ import annotations

{imports}

'''

CLASSES = """class {p}Box:
    small: u8
    medium: i16
    large: u32
    number: int
    flag: bool
    items: list[int]
    next: {p}Box | None

    def __init__(self, number: int) -> None:
        self.small = u8(number)
        self.medium = i16(number)
        self.large = u32(number)
        self.number = number
        self.flag = number % 2 == 0
        self.items = [number]
        self.next = None

    def weigh(self, factor: int) -> int:
        return self.small * factor + self.medium

    def touch(self) -> int:
        self.large = u32(self.large + 1)
        return self.large % 1000


class {p}Heavy({p}Box):
    def weigh(self, factor: int) -> int:
        self.small = u8(self.small + factor)
        return self.small - factor % 7


@struct
class {p}Pair:
    first: i32
    second: u16
    third: int

    def total(self) -> int:
        return self.first + self.second + self.third % 1000003


@struct
class {p}Frame:
    head: {p}Pair
    tail: {p}Pair
    cells: Array[u16, Literal[5]]
    last: u8


class {p}Guard:
    def __init__(self, label: int) -> None:
        self.label = label

    def __enter__(self) -> {p}Guard:
        print(f"enter {self.label}")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        print(f"exit {self.label}")


def {p}steps(start: int, count: int) -> Iterator[int]:
    value = start % 1009
    for number in range(count):
        if number % 3 == 2:
            continue
        value = (value * 31 + number) % 65537
        yield value


def {p}sum_span(part: Span[u8]) -> int:
    total = len(part)
    for place in range(len(part)):
        total = (total * 3 + part[place]) % 1000003
    return total


def {p}find_box(boxes: list[{p}Box], wanted: int) -> {p}Box | None:
    for box in boxes:
        if box.number % 7 == wanted % 7:
            return box
    return None


"""


@dataclass
class Function:
    """A generated function: what callers need."""

    name: str
    params: list[str]
    raises: bool


@dataclass
class Scope:
    """Names in sight, by type."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def copy(self) -> Scope:
        return Scope({kind: list(names) for kind, names in self.names.items()})

    def add(self, kind: str, name: str) -> None:
        self.names.setdefault(kind, []).append(name)

    def of(self, *kinds: str) -> list[str]:
        return [name for kind in kinds for name in self.names.get(kind, [])]


class Generator:
    """Writes one program. `daring` is how often arithmetic may overflow."""

    def __init__(self, seed: int, prefix: str) -> None:
        self.random = random.Random(seed)
        self.prefix = prefix
        self.lines: list[str] = []
        self.functions: list[Function] = []
        self.counter = 0
        self.daring = self.random.choice([0.0, 0.0, 0.0, 0.02])
        self.in_loop = 0
        self.calls_left = 0
        self.may_raise = False
        self.reserved: set[str] = set()

    def name(self) -> str:
        self.counter += 1
        return f"v{self.counter}"

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    # Expressions

    def literal(self) -> str:
        value = self.random.choice([*EDGES, self.random.randrange(100)])
        if self.chance(0.3):
            return f"(-{value})" if value else "0"
        return str(value)

    def small(self, scope: Scope, depth: int) -> str:
        """An int that is small enough to be multiplied."""
        inner = self.integer(scope, depth - 1)
        if self.chance(0.5):
            return f"({inner} & {self.random.choice(MASKS)})"
        return f"({inner} % {self.random.choice([3, 10, 97, 1009, 65537, -7, 1000003])})"

    def integer(self, scope: Scope, depth: int) -> str:
        readable = scope.of("int", *STORAGE)
        if depth <= 0:
            return self.random.choice(readable) if readable and self.chance(0.7) else self.literal()
        roll = self.random.randrange(20)
        if roll < 3:
            if self.chance(self.daring):
                return f"({self.integer(scope, depth - 1)} {self.pick('+', '-', '*')} {self.integer(scope, depth - 1)})"
            return f"({self.small(scope, depth)} {self.pick('+', '-', '*')} {self.small(scope, depth)})"
        if roll < 5:
            return f"({self.integer(scope, depth - 1)} {self.pick('&', '|', '^')} {self.integer(scope, depth - 1)})"
        if roll < 7:
            divisor = self.random.choice(["3", "7", "-5", "16", "1000", "(-1)" if self.chance(self.daring) else "2"])
            if self.chance(0.3):
                divisor = (
                    f"({self.integer(scope, depth - 1)} | 1)"
                    if self.chance(0.1)
                    else f"({self.small(scope, depth)} * 2 + 1)"
                )
            return f"({self.small(scope, depth)} {self.pick('//', '%')} {divisor})"
        if roll == 7:
            count = f"({self.integer(scope, depth - 1)} & {self.pick('7', '31', '63')})"
            return f"({self.integer(scope, depth - 1)} >> {count})"
        if roll == 8:
            return f"({self.small(scope, depth)} << {self.random.randrange(20)})"
        if roll == 9:
            then, orelse = self.integer(scope, depth - 1), self.integer(scope, depth - 1)
            return f"({then} if {self.boolean(scope, depth - 1)} else {orelse})"
        if roll == 10:
            # mypy gives min and max of two storage types no useful type.
            left, right = self.integer(scope, depth - 1), self.integer(scope, depth - 1)
            return f"{self.pick('min', 'max')}(int({left}), int({right}))"
        if roll == 11:
            return f"abs({self.small(scope, depth)})" if self.chance(0.5) else f"(~{self.integer(scope, depth - 1)})"
        if roll == 12:
            return f"{self.random.choice(list(STORAGE))}({self.ring(scope, depth - 1)})"
        if roll == 13 and scope.of("list"):
            name = self.random.choice(scope.of("list"))
            return self.pick(f"len({name})", f"{name}[{self.integer(scope, depth - 1)} % len({name})]", f"{name}[-1]")
        if roll == 14 and scope.of("dict"):
            name = self.random.choice(scope.of("dict"))
            return f"{name}.get({self.small(scope, depth)} % 11, {self.integer(scope, depth - 1)})"
        if roll == 15 and scope.of("box"):
            name = self.random.choice(scope.of("box"))
            return self.pick(
                f"{name}.small",
                f"{name}.medium",
                f"{name}.large",
                f"({name}.number % 1009)",
                f"{name}.weigh({self.random.randrange(50)})",
                f"{name}.touch()",
                f"{name}.items[0]",
            )
        if roll == 16 and scope.of("buffer", "frame", "boxes") and self.chance(0.6):
            return self.from_memory(scope, depth)
        if roll == 16 and scope.of("pair"):
            name = self.random.choice(scope.of("pair"))
            return f"{name}.{self.pick('first', 'second', 'third', 'total()')}"
        if roll == 17:
            return f"int({self.unsigned(scope, depth - 1)} {self.pick('& 0xFFFFFF', '% 1000003', '>> 40')})"
        if roll == 18:
            callable_functions = [f for f in self.functions if self.may_raise or not f.raises]
            if callable_functions and self.calls_left > 0 and not self.in_loop:
                self.calls_left -= 1
                function = self.random.choice(callable_functions)
                return (
                    f"{function.name}({', '.join(self.argument(kind, scope, depth - 1) for kind in function.params)})"
                )
        if roll == 19:
            return f"int({self.boolean(scope, depth - 1)})"
        return self.random.choice(readable) if readable else self.literal()

    def from_memory(self, scope: Scope, depth: int) -> str:
        """An int from a buffer, a struct of structs or a list of objects."""
        kind = self.random.choice([kind for kind in ("buffer", "frame", "boxes") if scope.of(kind)])
        name = self.random.choice(scope.of(kind))
        place = self.integer(scope, depth - 1)
        if kind == "buffer":
            return self.pick(
                f"{name}[{place} % len({name})]",
                f"{name}[-1]",
                f"len({name})",
                f"span_of({name})[{place} % len({name})]",
                f"span_of({name}).load_u16({place} % (len({name}) - 1))",
                f"span_of({name}).load_be32({place} % (len({name}) - 3))",
                f"{self.prefix}sum_span(span_of({name})[{place} % 4 : 4 + {place} % 4])",
                f"int(span_of({name}).load_u64({place} % (len({name}) - 7)) >> 8)",
                f"len(bytes({name}[{place} % 9 : 7]))",
            )
        if kind == "frame":
            return self.pick(
                f"{name}.head.total()",
                f"{name}.tail.{self.pick('first', 'second', 'third')}",
                f"{name}.cells[{place} % 5]",
                f"{name}.last",
                f"sum({name}.cells)",
            )
        return self.pick(
            f"len({name})",
            f"sum([box.weigh({self.random.randrange(9)}) for box in {name}])",
            f"sum([box.small for box in {name} if box.flag])",
        )

    def store_memory(self, scope: Scope, indent: int) -> None:
        """Change a buffer, a struct of structs or a list of objects."""
        kind = self.random.choice([kind for kind in ("buffer", "frame", "boxes") if scope.of(kind)])
        name = self.random.choice(scope.of(kind))
        place, value = self.integer(scope, 1), self.ring(scope, 2)
        if kind == "buffer":
            text = self.pick(
                f"{name}[{place} % len({name})] = u8({value})",
                f"span_of({name})[{place} % len({name})] = u8({value})",
                f"span_of({name}).store_u32({place} % (len({name}) - 3), u32({value}))",
                f"span_of({name}).store_u16({place} % (len({name}) - 1), u16({value}))",
                f"span_of({name})[2:6].fill(u8({value}))",
                f"span_of({name})[0:3].copy_from(span_of({name})[5:8])",
                f"{name}.append(u8({value}))",
                f"{name} += b'{self.random.randrange(1000)}'",
            )
        elif kind == "frame":
            text = self.pick(
                f"{name}.head.first = i32({value})",
                f"{name}.tail.second = u16({value})",
                f"{name}.tail = {name}.head",
                f"{name}.head = {self.prefix}Pair(first=i32({value}), third={self.small(scope, 1)})",
                f"{name}.cells[{place} % 5] = u16({value})",
                f"{name}.last ^= {self.random.randrange(256)}",
                f"{name}.cells.fill(u16({value}))",
            )
        else:
            cls = self.pick("Box", "Heavy")
            text = self.pick(
                f"{name}.append({self.prefix}{cls}({self.small(scope, 1)}))",
                f"{name}.append({self.prefix}{cls}({self.small(scope, 1)}))",
                f"{name}.reverse()",
            )
        self.emit(indent, text)

    def ring(self, scope: Scope, depth: int) -> str:
        """What may stand under a wrapping cast."""
        if depth <= 0 or self.chance(0.2):
            # Literals that fold to more than 64 bits are refused.
            names = scope.of("int", *STORAGE)
            return self.random.choice(names) if names else str(self.random.randrange(1000))
        roll = self.random.randrange(6)
        if roll < 4:
            operator = self.pick("+", "-", "*", "&", "|", "^")
            return f"({self.ring(scope, depth - 1)} {operator} {self.ring(scope, depth - 1)})"
        if roll == 4:
            return f"({self.ring(scope, depth - 1)} << {self.random.randrange(32)})"
        return f"({self.pick('-', '~')}{self.ring(scope, depth - 1)})"

    def unsigned(self, scope: Scope, depth: int) -> str:
        names = scope.of("u64")
        if depth <= 0:
            return self.random.choice(names) if names and self.chance(0.7) else f"u64({self.literal()})"
        roll = self.random.randrange(5)
        if roll == 0:
            return f"u64({self.integer(scope, depth - 1)})"
        if roll == 1:
            operator = self.pick("+", "-", "*", "^")
            return f"u64({self.unsigned(scope, depth - 1)} {operator} {self.unsigned(scope, depth - 1)})"
        if roll == 2:
            return f"({self.unsigned(scope, depth - 1)} {self.pick('&', '|', '^')} {self.unsigned(scope, depth - 1)})"
        if roll == 3:
            return f"({self.unsigned(scope, depth - 1)} {self.pick('//', '%')} {self.pick('3', '10', '65537')})"
        return f"({self.unsigned(scope, depth - 1)} >> {self.random.randrange(64)})"

    def boolean(self, scope: Scope, depth: int) -> str:
        names = scope.of("bool")
        if depth <= 0 and names and self.chance(0.5):
            return self.random.choice(names)
        comparison = self.pick("<", "<=", ">", ">=", "==", "!=")
        roll = self.random.randrange(8)
        if depth <= 0 or roll < 3:
            return f"({self.integer(scope, depth - 1)} {comparison} {self.integer(scope, depth - 1)})"
        if roll == 3:
            return f"({self.boolean(scope, depth - 1)} {self.pick('and', 'or')} {self.boolean(scope, depth - 1)})"
        if roll == 4:
            return f"(not {self.boolean(scope, depth - 1)})"
        if roll == 5:
            return f"({self.unsigned(scope, depth - 1)} {comparison} {self.unsigned(scope, depth - 1)})"
        if roll == 6:
            return f"({self.literal()} <= {self.integer(scope, depth - 1)} < {self.integer(scope, depth - 1)})"
        containers = scope.of("list", "dict")
        if containers:
            return f"({self.small(scope, depth)} {self.pick('in', 'not in')} {self.random.choice(containers)})"
        return f"bool({self.integer(scope, depth - 1)})"

    def argument(self, kind: str, scope: Scope, depth: int) -> str:
        if kind == "bool":
            return self.boolean(scope, depth)
        if kind == "u64":
            return self.unsigned(scope, depth)
        if kind in STORAGE:
            return f"{kind}({self.ring(scope, depth)})"
        if kind in ("list", "dict", "box", "pair") and scope.of(kind):
            return self.random.choice(scope.of(kind))
        return {
            "list": "[1, 2, 3]",
            "dict": "{1: 2}",
            "box": f"{self.prefix}Box({self.random.randrange(100)})",
            "pair": f"{self.prefix}Pair(first={self.random.randrange(100)}, third=7)",
        }.get(kind) or self.integer(scope, depth)

    # Statements

    def emit(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def block(self, scope: Scope, indent: int, budget: int) -> None:
        inner = scope.copy()
        for _ in range(self.random.randrange(1, 4)):
            self.statement(inner, indent, budget)

    def statement(self, scope: Scope, indent: int, budget: int) -> None:
        roll = self.random.randrange(28)
        if roll >= 24:
            self.feature(scope, indent)
        elif roll < 5:
            self.declare(scope, indent)
        elif roll < 9:
            self.assign(scope, indent)
        elif roll < 11 and budget > 0:
            self.emit(indent, f"if {self.boolean(scope, 2)}:")
            self.block(scope, indent + 1, budget - 1)
            if self.chance(0.5):
                self.emit(indent, f"elif {self.boolean(scope, 1)}:" if self.chance(0.3) else "else:")
                self.block(scope, indent + 1, budget - 1)
        elif roll < 13 and budget > 0:
            self.loop(scope, indent, budget)
        elif roll < 15:
            if scope.of("buffer", "frame", "boxes") and self.chance(0.5):
                self.store_memory(scope, indent)
            else:
                self.store_object(scope, indent)
        elif roll < 17:
            self.change_container(scope, indent)
        elif roll == 17 and budget > 0:
            self.pick_block(scope, indent, budget)
        elif roll == 18 and self.may_raise:
            self.emit(indent, f"if {self.boolean(scope, 2)}:")
            self.emit(indent + 1, f"raise Errno({self.random.randrange(1, 40)})")
        elif roll == 19:
            self.emit(indent, f"if {self.boolean(scope, 1)}:")
            exits = [f"return {self.small(scope, 2)}"]
            if self.in_loop:
                exits += ["break", "continue"]
            self.emit(indent + 1, self.random.choice(exits))
        elif roll == 20 and scope.of("list"):
            values = self.random.choice(scope.of("list"))
            target = self.name()
            inner = scope.copy()
            inner.add("int", target)
            place = self.name()
            self.emit(
                indent, f"{place} = [{self.small(inner, 1)} for {target} in {values} if {self.boolean(inner, 1)}]"
            )
            self.emit(indent, f"{place}.append({self.literal()})")
            scope.add("list", place)
        else:
            self.emit(indent, f'print(f"{{{self.random.choice(scope.of("int", *STORAGE) or ["1"])}}}")')

    def feature(self, scope: Scope, indent: int) -> None:
        """A piece of code for some feature of the language, over numbers of the program."""
        pieces = DARING if self.chance(self.daring * 5) else PIECES
        name = self.name()
        numbers = {letter: f"{name}_{letter}" for letter in "abc"}
        for number in numbers.values():
            self.emit(indent, f"{number} = ({self.integer(scope, 2)}) % {self.random.choice([10, 1009, 999983])}")
        text = self.random.choice(pieces).format(p=self.prefix, v=name, **numbers)
        for line in text.split("\n"):
            self.emit(indent if line else 0, line)

    def declare(self, scope: Scope, indent: int, kind: str = "") -> None:
        kinds = ["int"] * 5 + ["bool", "u64", "list", "dict", "box", "pair", "buffer", "frame", "boxes", *STORAGE]
        kind = kind or self.random.choice(kinds)
        name = self.name()
        if kind == "int":
            self.emit(
                indent,
                # Without an annotation mypy would keep to the storage type of a field.
                f"{name} = int({self.integer(scope, 3)})"
                if self.chance(0.1)
                else f"{name}: int = {self.integer(scope, 3)}",
            )
        elif kind == "bool":
            self.emit(indent, f"{name} = {self.boolean(scope, 3)}")
        elif kind == "u64":
            self.emit(indent, f"{name} = {self.unsigned(scope, 3)}")
        elif kind in STORAGE:
            self.emit(indent, f"{name}: {kind} = {kind}({self.ring(scope, 3)})")
        elif kind == "list":
            self.emit(
                indent, f"{name} = [{', '.join(self.small(scope, 1) for _ in range(self.random.randrange(1, 5)))}]"
            )
        elif kind == "dict":
            self.emit(indent, f"{name}: dict[int, int] = {{{self.random.randrange(11)}: {self.small(scope, 1)}}}")
        elif kind == "box":
            cls = self.pick("Box", "Box", "Heavy")
            self.emit(indent, f"{name}: {self.prefix}Box = {self.prefix}{cls}({self.small(scope, 1)})")
        elif kind == "buffer":
            self.emit(indent, f"{name} = bytearray({self.random.randrange(8, 30)})")
        elif kind == "frame":
            self.emit(indent, f"{name} = {self.prefix}Frame()")
        elif kind == "boxes":
            self.emit(indent, f"{name}: list[{self.prefix}Box] = []")
        else:
            self.emit(
                indent,
                f"{name} = {self.prefix}Pair(first=i32({self.ring(scope, 1)}), second=u16({self.ring(scope, 1)}))",
            )
        scope.add(kind, name)

    def assign(self, scope: Scope, indent: int) -> None:
        kind = self.random.choice(["int", "int", "int", "bool", "u64", *STORAGE])
        names = [name for name in scope.of(kind) if name not in self.reserved]
        if not names:
            self.declare(scope, indent)
            return
        name = self.random.choice(names)
        if kind == "int" and self.chance(0.5):
            operator = self.pick("+=", "-=", "*=", "^=", "|=", "&=", "//=", "%=", ">>=")
            value = {"//=": "3", "%=": "1009", ">>=": "2"}.get(operator) or self.small(scope, 2)
            if operator in ("+=", "-=", "*="):
                self.emit(indent, f"{name} %= 1000003")
            self.emit(indent, f"{name} {operator} {value}")
        elif kind in STORAGE:
            low, high = STORAGE[kind]
            if self.chance(self.daring):
                self.emit(indent, f"{name} = int({self.integer(scope, 2)})")
            else:
                self.emit(indent, f"{name} = max({low}, min({high}, int({self.integer(scope, 2)})))")
        else:
            self.emit(indent, f"{name} = {self.argument(kind, scope, 3)}")

    def loop(self, scope: Scope, indent: int, budget: int) -> None:
        inner = scope.copy()
        name = self.name()
        self.in_loop += 1
        roll = self.random.randrange(6)
        if roll == 4:
            self.emit(indent, f"for {name} in {self.prefix}steps({self.small(scope, 1)}, {self.random.randrange(7)}):")
            inner.add("int", name)
        elif roll == 5 and scope.of("boxes"):
            self.emit(indent, f"for {name} in {self.random.choice(scope.of('boxes'))}.copy():")
            inner.add("box", name)
        elif roll == 0:
            self.emit(indent, f"{name} = {self.random.randrange(1, 8)}")
            self.emit(indent, f"while {name} > 0:")
            self.emit(indent + 1, f"{name} -= 1")
            inner.add("int", name)
        elif roll == 1 and scope.of("list"):
            self.emit(indent, f"for {name} in {self.random.choice(scope.of('list'))}.copy():")
            inner.add("int", name)
        elif roll == 2 and scope.of("dict"):
            self.emit(indent, f"for {name} in list({self.random.choice(scope.of('dict'))}.values()):")
            inner.add("int", name)
        else:
            bounds = self.pick(
                f"{self.random.randrange(9)}",
                f"{self.random.randrange(-5, 5)}, {self.random.randrange(9)}",
                f"{self.random.randrange(9)}, {self.random.randrange(-5, 5)}, {self.random.choice([-1, -2, 3])}",
            )
            self.emit(indent, f"for {name} in range({bounds}):")
            inner.add("int", name)
        self.reserved.add(name)
        self.block(inner, indent + 1, budget - 1)
        self.in_loop -= 1

    def store_object(self, scope: Scope, indent: int) -> None:
        boxes, pairs = scope.of("box"), scope.of("pair")
        if boxes and (not pairs or self.chance(0.7)):
            name = self.random.choice(boxes)
            self.emit(
                indent,
                self.pick(
                    f"{name}.small = u8({self.ring(scope, 2)})",
                    f"{name}.medium = i16({self.ring(scope, 2)})",
                    f"{name}.large = u32({self.ring(scope, 2)})",
                    f"{name}.number = {self.integer(scope, 2)}",
                    f"{name}.small ^= {self.random.randrange(256)}",
                    f"{name}.flag = {self.boolean(scope, 2)}",
                    f"{name}.items.append({self.small(scope, 2)})",
                    f"{name}.next = {self.prefix}Box({self.small(scope, 1)})",
                    f"{name}.next = None",
                ),
            )
        elif pairs:
            name = self.random.choice(pairs)
            self.emit(
                indent,
                self.pick(
                    f"{name}.first = i32({self.ring(scope, 2)})",
                    f"{name}.second = u16({self.ring(scope, 2)})",
                    f"{name}.third = {self.small(scope, 2)}",
                    f"{name}.third += {self.random.randrange(9)}",
                ),
            )
        else:
            self.declare(scope, indent)

    def change_container(self, scope: Scope, indent: int) -> None:
        lists, dicts = scope.of("list"), scope.of("dict")
        if lists and (not dicts or self.chance(0.6)):
            name = self.random.choice(lists)
            place = f"{self.integer(scope, 1)} % len({name})"
            self.emit(
                indent,
                self.pick(
                    f"{name}.append({self.small(scope, 2)})",
                    f"{name}.insert({place}, {self.small(scope, 1)})",
                    f"{name}[{place}] = {self.small(scope, 2)}",
                    f"{name}[{place}] ^= {self.small(scope, 2)}",
                    f"{name}.reverse()",
                    f"{name}.sort()",
                    f"{name}.extend([{self.small(scope, 1)}, {self.small(scope, 1)}])",
                ),
            )
            if self.chance(0.4):
                self.emit(indent, f"if len({name}) > {self.random.randrange(1, 4)}:")
                self.emit(indent + 1, self.pick(f"{name}.pop()", f"{name}.pop(0)", f"del {name}[1]"))
        elif dicts:
            name = self.random.choice(dicts)
            key = f"{self.small(scope, 1)} % 11"
            self.emit(
                indent,
                self.pick(
                    f"{name}[{key}] = {self.small(scope, 2)}",
                    f"{name}.pop({key}, 0)",
                    f"{name}.setdefault({key}, {self.small(scope, 1)})",
                ),
            )
        else:
            self.declare(scope, indent)

    def pick_block(self, scope: Scope, indent: int, budget: int) -> None:
        """A statement with blocks that has a way out of its own."""
        roll = self.random.randrange(6)
        if roll < 3:
            self.guarded(scope, indent, budget)
        elif roll == 3:
            self.emit(indent, f"with {self.prefix}Guard({self.small(scope, 1)}):")
            self.block(scope, indent + 1, budget - 1)
        elif roll == 4:
            self.emit(indent, f"match {self.small(scope, 2)} & 3:")
            for pattern in ("0", "1 | 2", "_"):
                self.emit(indent + 1, f"case {pattern}:")
                self.block(scope, indent + 2, budget - 1)
        else:
            found = self.name()
            boxes = self.random.choice(scope.of("boxes")) if scope.of("boxes") else "[]"
            self.emit(indent, f"{found} = {self.prefix}find_box({boxes}, {self.small(scope, 1)})")
            self.emit(indent, f"if {found} is not None:")
            inner = scope.copy()
            inner.add("box", found)
            self.block(inner, indent + 1, budget - 1)

    def guarded(self, scope: Scope, indent: int, budget: int) -> None:
        outer, self.may_raise = self.may_raise, True
        self.emit(indent, "try:")
        if budget > 1 and self.chance(0.3):
            self.emit(indent + 1, "try:")
            self.block(scope, indent + 2, budget - 1)
            if self.chance(0.5):
                self.emit(indent + 2, f"raise Errno({self.random.randrange(1, 40)})")
            self.emit(indent + 1, "finally:")
            self.emit(indent + 2, 'print("inner finally")')
        self.block(scope, indent + 1, budget - 1)
        if self.chance(0.6):
            self.emit(indent + 1, f"if {self.boolean(scope, 2)}:")
            self.emit(indent + 2, f"raise Errno({self.random.randrange(1, 40)})")
        self.may_raise = outer
        error = self.name()
        self.emit(indent, f"except Errno as {error}:")
        self.emit(indent + 1, f'print(f"errno {{{error}.code}}")')
        if self.chance(0.3):
            self.block(scope, indent + 1, budget - 1)
        if outer and self.chance(0.2):
            self.emit(indent + 1, f"if {self.boolean(scope, 1)}:")
            self.emit(indent + 2, "raise")
        if self.chance(0.3):
            self.emit(indent, "else:")
            self.emit(indent + 1, 'print("fine")')
        if self.chance(0.4):
            self.emit(indent, "finally:")
            self.emit(indent + 1, 'print("finally")')

    # Functions

    def function(self, number: int) -> None:
        kinds = ["int", "int", "int", "bool", "u64", "u8", "i32", "list", "dict", "box", "pair"]
        params = [self.random.choice(kinds) for _ in range(self.random.randrange(4))]
        self.may_raise = self.chance(0.3)
        self.calls_left = 2
        self.reserved = set()
        scope = Scope()
        signature = []
        for kind in params:
            name = self.name()
            scope.add(kind, name)
            written = {
                "list": "list[int]",
                "dict": "dict[int, int]",
                "box": f"{self.prefix}Box",
                "pair": f"{self.prefix}Pair",
            }
            signature.append(f"{name}: {written.get(kind, kind)}")
        name = f"{self.prefix}f{number}"
        if self.chance(0.5):
            self.emit(0, "@noinline")
        self.emit(0, f"def {name}({', '.join(signature)}) -> int:")
        for kind in ("buffer", "frame", "boxes"):
            if self.chance(0.3):
                self.declare(scope, 1, kind)
        for _ in range(self.random.randrange(3, 9)):
            self.statement(scope, 1, 2)
        self.emit(1, f"return {self.small(scope, 3)}")
        self.emit(0, "")
        self.emit(0, "")
        self.functions.append(Function(name, params, self.may_raise))

    def program(self) -> str:
        """The functions of one program and its `run`."""
        for number in range(self.random.randrange(2, 6)):
            self.function(number)
        self.emit(0, f"def {self.prefix}run() -> None:")
        empty = Scope()
        self.calls_left = 0
        for function in self.functions:
            for _ in range(2):
                arguments = ", ".join(self.argument(kind, empty, 1) for kind in function.params)
                if function.raises:
                    self.emit(1, "try:")
                    self.emit(2, f"print({function.name}({arguments}))")
                    self.emit(1, "except Errno as error:")
                    self.emit(2, 'print(f"raised {error.code}")')
                else:
                    self.emit(1, f"print({function.name}({arguments}))")
        return (CLASSES + DECLARATIONS).replace("{p}", self.prefix) + "\n".join(self.lines) + "\n\n\n"


def write_file(name: str, seed: int, programs: dict[str, str]) -> Path:
    """A file that runs programs (by prefix) one after another."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    calls = "".join(f'    print("program {prefix}")\n    {prefix}run()\n' for prefix in programs)
    text = PREAMBLE.format(seed=seed, imports=IMPORTS) + "".join(programs.values()) + "def main() -> None:\n" + calls
    path = OUTPUT / f"{name}.py"
    path.write_text(text + '\n\nif __name__ == "__main__":\n    main()\n')
    return path


def difference(expected: Outcome, actual: Outcome) -> str:
    """What differs, or nothing."""
    for number, (left, right) in enumerate(zip(expected.lines, actual.lines, strict=False)):
        if left != right:
            return f"line {number + 1}: expected {left!r}, got {right!r}"
    if len(expected.lines) != len(actual.lines):
        return f"expected {len(expected.lines)} lines, got {len(actual.lines)}; {actual.message}"
    if (expected.trap is None) != (actual.trap is None):
        return f"expected {expected.trap or 'no trap'}, got {actual.trap or 'no trap'}; {actual.message}"
    return ""


def judged(expected: Outcome, path: Path, profiles: tuple[str, ...]) -> str:
    """What differs in one of the profiles, or nothing. All objects must be gone in the end."""
    for profile in profiles:
        outcome = run_compiled(path, profile)
        what = difference(expected, outcome)
        if not what and outcome.trap is None and outcome.objects:
            what = f"{outcome.objects} objects are left"
        if what:
            return f"{profile}: {what}"
    return ""


def round_of(seed: int, count: int, profiles: tuple[str, ...], traps: int) -> list[str]:
    """One round: the differences found."""
    quiet: dict[str, str] = {}
    trapping: list[tuple[int, str, Outcome]] = []
    found: list[str] = []
    for number in range(count):
        program_seed = seed * 1000 + number
        prefix = f"p{number}_"
        text = Generator(program_seed, prefix).program()
        path = write_file(f"candidate_{seed}", program_seed, {prefix: text})
        outcome = run_python(path, checked=True)
        if outcome.broken:
            found.append(f"seed {program_seed}: the generator made a program that does not run: {outcome.message}")
        elif outcome.trap is None:
            quiet[prefix] = text
        else:
            trapping.append((program_seed, text, outcome))
        path.unlink()
    together = write_file(f"round_{seed}", seed, quiet)
    whole = judged(run_python(together, checked=True), together, profiles)
    if whole:
        for prefix, text in quiet.items():
            number = int(prefix[1:-1])
            path = write_file(f"seed_{seed * 1000 + number}", seed * 1000 + number, {prefix: text})
            what = judged(run_python(path, checked=True), path, profiles)
            if what:
                found.append(f"{path.relative_to(ROOT)}: {what}")
            else:
                path.unlink()
        if not found:
            found.append(f"{together.relative_to(ROOT)}: differs only as a whole: {whole}")
    else:
        together.unlink()
    for program_seed, text, outcome in trapping[:traps]:
        prefix = text.split("Box", 1)[0].removeprefix("class ")
        path = write_file(f"seed_{program_seed}", program_seed, {prefix: text})
        what = judged(outcome, path, profiles)
        if what:
            found.append(f"{path.relative_to(ROOT)}: {what}")
        else:
            path.unlink()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="seed of the first round (default: the time)")
    parser.add_argument("--programs", type=int, default=30, help="programs a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--profile", choices=("dev", "release"), help="one only (default: both)")
    parser.add_argument("--traps", type=int, default=1, help="trapping programs a round that are compiled")
    parser.add_argument("--show", action="store_true", help="print the programs of the seed and stop")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time()) % 1_000_000
    if options.show:
        print(Generator(seed, "p_").program())
        return 0
    failures = 0
    profiles = (options.profile,) if options.profile else PROFILES
    for number in range(options.rounds):
        print(f"seed {seed + number}: {options.programs} programs", flush=True)
        for text in round_of(seed + number, options.programs, profiles, options.traps):
            print(f"  {text}", flush=True)
            failures += 1
    print(f"{failures} differences" if failures else "no difference")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
