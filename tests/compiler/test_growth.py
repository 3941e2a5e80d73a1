"""What compiling costs grows with the program, and not with its square.

Programs of one shape are compiled in a size and in ten times that. The work of each step is counted, not timed: calls
of the compiler's functions in the front end and in lowering, and letters of IR. Ten times the size may take MOST times
the work: that catches a step that goes over everything for each part of it. LLVM has such steps, so no function that it
optimises may be longer than `compiler/lower/large.py` allows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from cProfile import Profile
from functools import partial
from pathlib import Path
from types import CodeType

import pytest

import compiler.front.program  # noqa: F401  (and mypy: once, and not in each process that is forked)
from compiler import driver
from compiler.apart import apart
from compiler.backend import HOST
from compiler.freeze import Freezer
from compiler.lower.debug import DebugInfo
from compiler.lower.interfaces import Options
from compiler.lower.large import MOST_OPTIMISED
from compiler.lower.program import Lowering
from tools.paths import ROOT

MOST = 15.0
LEAST = 1000  # calls or letters: what grows by less does not matter
OWN = str(ROOT / "compiler") + os.sep
PLAIN = "optnone"
ATTRIBUTES = re.compile(r"^attributes #(\d+) = \{([^\n]*)\}$", re.MULTILINE)
FUNCTION = re.compile(r"^define ([^\n]*)\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
GROUP = re.compile(r"\) #(\d+)")

HEAD = """from kernel.lang import noinline


@noinline
def f(n: int) -> int:
    if n == 7:
        print(n)
    return n * 3 & 0xFFFF


"""


def items(count: int, text: Callable[[int], str], between: str = ", ") -> str:
    return between.join(text(number) for number in range(count))


def body(lines: str) -> str:
    return f"{HEAD}def main() -> int:\n{lines}\n"


SHAPES: dict[str, tuple[int, Callable[[int], str]]] = {
    "list": (1000, lambda n: body(f"    x = [{items(n, str)}]\n    return x[3]")),
    "list of strings": (500, lambda n: body(f"    x = [{items(n, lambda i: repr(f'a{i}'))}]\n    return len(x)")),
    "list of calls": (100, lambda n: body(f"    x = [{items(n, lambda i: f'f({i})')}]\n    return x[3]")),
    "global list": (1000, lambda n: f"X = [{items(n, str)}]\n\n\ndef main() -> int:\n    return X[3]\n"),
    "dict": (500, lambda n: body(f"    x = {{{items(n, lambda i: f'{i}: {i}')}}}\n    return x[3]")),
    "for": (500, lambda n: body(f"    t = 0\n    for x in ({items(n, str)}):\n        t += x\n    return t")),
    "in": (200, lambda n: body(f"    return int(f(3) in ({items(n, str)}))")),
    "statements": (300, lambda n: body(
        f"    x = f(1)\n{items(n, lambda i: f'    x = f(x + {i})', chr(10))}\n    return x")),
    "locals": (100, lambda n: body(f"{items(n, lambda i: f'    v{i} = f({i})', chr(10))}\n    return v0")),
    "branches": (90, lambda n: body(
        f"    x = f(1)\n    if x == 0:\n        return 0\n"
        f"{items(n, lambda i: f'    elif x == {i + 1}:{chr(10)}        return f({i})', chr(10))}\n    return x")),
    "cases": (200, lambda n: body(
        "    x = f(1)\n    match x:\n"
        f"{items(n, lambda i: f'        case {i}:{chr(10)}            return f({i})', chr(10))}\n"
        "        case _:\n            return x")),
    "chain of locals in a loop": (50, lambda n: body(
        f"    x = f(1)\n{items(n + 1, lambda i: f'    v{i} = {i}', chr(10))}\n    while x < 9:\n"
        f"{items(n, lambda i: f'        v{i} = v{i + 1}', chr(10))}\n        v{n} = x - 9\n        x += 1\n"
        "    return v0")),
    "loops": (200, lambda n: body(
        "    x = f(1)\n"
        f"{items(n, lambda i: f'    v{i} = {i}{chr(10)}    while v{i} < x:{chr(10)}        v{i} += 1', chr(10))}\n"
        "    return v0")),
    "conditions": (60, lambda n: body(
        f"    x = f(1)\n    return int({items(n, lambda i: f'(x < {i + 5} or x > {i + 900})', ' and ')})")),
    "parts of a text": (50, lambda n: body(
        f"    x = f(1)\n    s = f'{items(n, lambda i: f'a{i}{{x}}', '')}'\n    return len(s)")),
    "functions": (100, lambda n: f"""{items(n, lambda i: f'''def f{i}(n: int) -> int:
    return n + {i}


''', '')}def main() -> int:
    x = 0
{items(n, lambda i: f'    x = f{i}(x)', chr(10))}
    return x & 1
"""),
    "chain of calls": (50, lambda n: f"""{HEAD}def f0(n: int) -> int:
    return f(n)


{items(n, lambda i: f'''def f{i + 1}(n: int) -> int:
    return f{i}(n) + 1


''', '')}def main() -> int:
    return f{n}(3) & 1
"""),
    "classes": (30, lambda n: f"""{items(n, lambda i: f'''class C{i}:
    def __init__(self) -> None:
        self.x = {i}

    def get(self) -> int:
        return self.x


''', '')}def main() -> int:
    x = 0
{items(n, lambda i: f'    x += C{i}().get()', chr(10))}
    return x & 1
"""),
}  # fmt: skip


class Calls:
    """Counts, inside `with`, calls of the compiler's functions and those that they make to functions in C."""

    def __enter__(self) -> Calls:
        self.count = 0
        self._profile = Profile()  # in C: quicker than a function for sys.setprofile
        self._profile.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._profile.disable()
        for entry in self._profile.getstats():
            if isinstance(entry.code, CodeType) and entry.code.co_filename.startswith(OWN):
                into_c = [each.callcount for each in entry.calls or () if isinstance(each.code, str)]
                self.count += entry.callcount + sum(into_c)


def measure(file: Path) -> dict[str, int]:
    """Compile a program in this process as far as LLVM, and count."""
    sys.setrecursionlimit(20_000)
    with Calls() as front:
        program = driver.load([], [file], cache=driver.library_cache())
    driver.import_live([], [file])
    with Calls() as lowering:
        lowered = Lowering(program, Options(HOST.name, True), Freezer, DebugInfo)
        texts = dict(lowered.run([f"{file.stem}.main"]))
    found = {"front end": front.count, "lowering": lowering.count, "IR": sum(map(len, texts.values()))}
    for text in texts.values():
        plain = {number for number, attributes in ATTRIBUTES.findall(text) if PLAIN in attributes}
        for head, lines in FUNCTION.findall(text):
            if (group := GROUP.search(head)) is None or group[1] not in plain:
                found["optimised"] = max(found.get("optimised", 0), lines.count("\n"))
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_size(shape: str, tmp_path: Path) -> None:
    size, text = SHAPES[shape]
    found = []
    for count in (size // 10, size, 10 * size):
        file = tmp_path / f"program_{count}.py"
        file.write_text(text(count))
        found.append(apart(partial(measure, file)))
    tiny, small, large = found  # what is there without the shape cancels out
    added = {step: (small[step] - tiny[step], large[step] - small[step]) for step in ("front end", "lowering", "IR")}
    assert not {step: more for step, more in added.items() if more[1] > max(MOST * more[0], LEAST)}, added
    assert large["optimised"] <= MOST_OPTIMISED


LONG = """class Node:
    def __init__(self, value: int, name: str) -> None:
        self.value = value
        self.name = name


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.count += 100


def checked(number: int) -> int:
    if number % 7 == 0:
        raise MemoryError
    return number * 3 & 0xFFF


def made(number: int) -> Node:
    return Node(number, f"n{number}")


def main() -> int:
    counter = Counter()
    x, failed, kept = 1, 0, made(0)
PARTS
    print(x, failed, kept.value, kept.name, counter.count)
    return x & 127
"""
PART = """    try:
        with counter:
            node = made(x + NUMBER)
            x = checked(node.value)
            kept = node if x > 2000 else kept
    except MemoryError:
        failed += 1
        x += NUMBER"""


def test_a_function_that_is_not_optimised_runs(tmp_path: Path) -> None:
    """What is too long for LLVM does the same, its objects, exceptions and clean-ups included."""
    file = tmp_path / "long.py"
    file.write_text(LONG.replace("PARTS", items(120, lambda i: PART.replace("NUMBER", str(i)), "\n")))
    environment = dict(os.environ, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    command = [sys.executable, "-c", "import long, sys; sys.exit(long.main())"]
    expected = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    command = [sys.executable, "-m", "compiler", "run", "--keep-ir", str(file)]
    found = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == (expected.stdout, expected.returncode), found.stderr
    folder = re.search(r"^IR is in (.*)$", found.stderr, re.MULTILINE)
    assert folder is not None and PLAIN in (ROOT / folder[1] / "long.ll").read_text()
