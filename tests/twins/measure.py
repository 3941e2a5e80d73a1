"""Counts the instructions of each kernel in Kernel Python and of its C twin.

    python -m tests.twins.measure [NAME…]        print the table
    python -m tests.twins.measure --write        and store it in docs/performance-twins.md
    python -m tests.twins.measure --parts        what each kind of check costs (about ten minutes)
    python -m tests.twins.measure --parts --write    and store that below the first table

The C twin is compiled with `gcc -O2` and general registers only, as the kernel is; the Python kernel by the release
profile with all checks on. Callgrind counts what `run` executes, callees included: the counts repeat exactly, so that
they can be gates.
"""

from __future__ import annotations

import argparse
import functools
import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from compiler.lower.interfaces import PARTS
from tests.harness.guest import PATIENCE
from tests.language.runner import write_choice

ROOT = Path(__file__).resolve().parent.parent.parent
KERNELS = Path(__file__).parent / "kernels"
BUILD = ROOT / "build" / "twins"
PAGE = ROOT / "docs" / "performance-twins.md"
C_FLAGS = ("-O2", "-mgeneral-regs-only", "-fno-tree-vectorize", "-Wall", "-Werror")
TIMEOUT_SECONDS = int(120 * PATIENCE)

# The most that a kernel may cost, as a ratio to C. The goal is 1.00 for all; tighten these as it comes nearer.
BUDGETS = {
    "base64": 1.15,
    "binary_heap": 1.15,
    "binary_search": 1.05,
    "bitmap": 1.15,
    "chacha20": 0.5,
    "checksum": 1.05,
    "crc32": 0.95,
    "directory": 1.15,
    "dispatch": 1.4,
    "find": 1.15,
    "hash_table": 1.4,
    "linked_list": 1.2,
    "lz_decode": 1.15,
    "matrix": 0.95,
    "parse_numbers": 1.25,
    "quicksort": 1.35,
    "radix_sort": 1.15,
    "recursion": 0.85,
    "sha256": 1.05,
    "sieve": 1.35,
    "siphash": 1.05,
    "utf8": 1.2,
}
MEAN_BUDGET = 1.05  # the geometric mean of all


@dataclass
class Measurement:
    """One kernel: what it computes, and its instructions."""

    name: str
    purpose: str
    python: int
    c: int
    same_result: bool

    @property
    def ratio(self) -> float:
        return self.python / self.c


def names() -> list[str]:
    return sorted(path.stem for path in KERNELS.glob("*.py"))


def count_instructions(program: Path, function: str, given: str = "") -> tuple[int, str]:
    """What callgrind counts inside a function (and what it calls), and the program's output, with that input."""
    command = [
        "valgrind", "--tool=callgrind", f"--toggle-collect={function}", "--callgrind-out-file=/dev/null", str(program)
    ]  # fmt: skip
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"callgrind did not count {function} of {program}:\n{done.stderr}")
    return int(found[1]), done.stdout


COMPILE = "from compiler.driver import Timings, compile_host; print(compile_host(NAME, 'release', Timings()).path)"
# With others in one program this takes a fifth more: less holds of all of its calls and byte arrays, which the compiler
# looks at as a whole.
ALONE = {"parse_numbers"}


def compiled(name: str) -> tuple[Path, str]:
    """The native program of a kernel, and the input that makes it run that."""
    return (in_compiler(COMPILE, KERNELS / f"{name}.py")[0], "") if name in ALONE else compiled_together()[name]


@functools.cache
def compiled_together() -> dict[str, tuple[Path, str]]:
    """As `compiled` gives it for all but those of ALONE: one program, which runs the kernel that its input names."""
    folder = BUILD / "together"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    together = [name for name in names() if name not in ALONE]
    driver, inputs = write_choice([Path(shutil.copy(KERNELS / f"{name}.py", folder)) for name in together])
    program = in_compiler(COMPILE, driver)[0]
    return {name: (program, given) for name, given in zip(together, inputs, strict=True)}


def compiled_without(source: Path) -> dict[str, Path]:
    """The native programs of a kernel without each of the parts of COLUMNS, and ("") with all."""
    variants: dict[str, list[str]] = {"": [], **{key: sorted(without) for key, (without, _) in COLUMNS.items()}}
    script = (
        "from pathlib import Path; from compiler.driver import compile_without;"
        f"sets = [frozenset(parts) for parts in {list(variants.values())}];"
        f"print(*compile_without(NAME, Path({str(BUILD)!r}), sets), sep=chr(10))"
    )
    return dict(zip(variants, in_compiler(script, source), strict=True))


def in_compiler(script: str, source: Path) -> list[Path]:
    """The paths that a script prints, of the source that it knows by NAME. In a process of its own: the compiler
    freezes modules as they are.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; NAME = sys.argv[1]; {script}", str(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{source.name} was not compiled:\n{done.stderr}")
    return [Path(line) for line in done.stdout.splitlines()]


@functools.cache
def measure(name: str) -> Measurement:
    """Compile both twins and count."""
    BUILD.mkdir(parents=True, exist_ok=True)
    twin = BUILD / name
    subprocess.run(["gcc", *C_FLAGS, "-o", str(twin), str(KERNELS / f"{name}.c")], check=True)
    c_count, c_output = count_instructions(twin, "run")
    program, given = compiled(name)
    python_count, python_output = count_instructions(program, f"*{name}.run", given)
    purpose = (KERNELS / f"{name}.py").read_text().split('"""')[1].split("\n")[0]
    return Measurement(name, purpose, python_count, c_count, c_output == python_output)


def mean(measurements: list[Measurement]) -> float:
    """The geometric mean of the ratios."""
    return math.exp(sum(math.log(m.ratio) for m in measurements) / len(measurements))


def table(measurements: list[Measurement]) -> str:
    """The table as Markdown."""
    lines = [
        "| kernel | what it does | Kernel Python | C | ratio | budget |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for m in measurements:
        note = "" if m.same_result else " (results differ!)"
        lines.append(
            f"| {m.name} | {m.purpose} | {m.python:,} | {m.c:,} | {m.ratio:.2f}{note} | {BUDGETS[m.name]:.2f} |"
        )
    lines.append(f"| **geometric mean** | | | | **{mean(measurements):.2f}** | {MEAN_BUDGET:.2f} |")
    return "\n".join(lines)


# What the second table tells of: a title for each part that is left out, and for all of them.
COLUMNS = {
    "overflow": (frozenset(["overflow"]), "sums"),
    "index": (frozenset(["index"]), "indices"),
    "none": (frozenset(["none"]), "None"),
    "class": (frozenset(["class"]), "classes"),
    "number": (frozenset(["number"]), "other numbers"),
    "counts": (frozenset(["counts"]), "counts"),
    "frames": (frozenset(["frames"]), "frame pointers"),
    "all": (frozenset(PARTS), "all of these"),
}
BEGINNING_OF_PARTS = "## What each check costs\n"


@dataclass
class Shares:
    """Of one kernel: its instructions without a part, as shares of those with all parts, by the keys of COLUMNS. None
    where the kernel does not compute the same without.
    """

    name: str
    shares: dict[str, float | None]


@functools.cache
def shares(name: str) -> Shares:
    """Compile a kernel without each part and count."""
    BUILD.mkdir(parents=True, exist_ok=True)
    programs = compiled_without(KERNELS / f"{name}.py")
    counts: dict[Path, tuple[int, str]] = {}
    for program in dict.fromkeys(programs.values()):
        try:
            counts[program] = count_instructions(program, f"*{name}.run")
        except subprocess.CalledProcessError:
            counts[program] = 0, ""
    whole, expected = counts[programs.pop("")]
    found = {key: counts[program][0] / whole for key, program in programs.items() if counts[program][1] == expected}
    return Shares(name, {key: found.get(key) for key in COLUMNS})


def shares_table(rows: list[Shares]) -> str:
    """The second table as Markdown."""
    lines = [
        "| kernel | " + " | ".join(title for _, title in COLUMNS.values()) + " |",
        "| --- |" + " ---: |" * len(COLUMNS),
    ]
    for row in rows:
        cells = ["—" if share is None else f"{share:.2f}" for share in row.shares.values()]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    means = []
    for key in COLUMNS:
        known = [share for row in rows if (share := row.shares[key]) is not None]
        means.append(f"**{math.exp(sum(map(math.log, known)) / len(known)):.2f}**" if known else "—")
    lines.append(f"| **geometric mean** | {' | '.join(means)} |")
    return "\n".join(lines)


def write_page(first: str | None, second: str | None) -> None:
    """Store tables; None leaves what is there."""
    text = PAGE.read_text()
    head, _, tail = text.partition(BEGINNING_OF_PARTS)
    if first is not None:
        head = (
            "# Kernel Python against C\n\n"
            "Instructions executed by small kernels in Kernel Python (release profile, all checks on) and by the same "
            "kernels in C\n(`gcc -O2`, general registers only), counted by callgrind. Written by "
            "`python -m tests.twins.measure --write`.\n\n" + first + "\n\n"
        )
    if second is not None:
        tail = (
            "\nThe same kernels, compiled without one kind of check: their instructions as shares of those with all\n"
            "checks. Only `python -m tests.twins.measure --parts --write` builds such programs. It writes this table.\n"
            "Frame pointers are not a check, but a trap finds the calls around it by them. `—`: without the check,\n"
            "the kernel computes something else.\n\n" + second + "\n"
        )
    PAGE.write_text(head.rstrip("\n") + "\n" + ("\n" + BEGINNING_OF_PARTS + tail if tail else ""))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="kernels (default: all)")
    parser.add_argument("--write", action="store_true", help=f"store the table in {PAGE.relative_to(ROOT)}")
    parser.add_argument("--parts", action="store_true", help="what each kind of check costs")
    options = parser.parse_args()
    if options.parts:
        second = shares_table([shares(name) for name in options.names or names()])
        print(second)
        if options.write:
            write_page(None, second)
        return 0
    measurements = [measure(name) for name in options.names or names()]
    print(table(measurements))
    if options.write:
        write_page(table(measurements), None)
    return 0 if all(m.same_result for m in measurements) else 1


if __name__ == "__main__":
    sys.exit(main())
