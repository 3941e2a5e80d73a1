"""Counts the instructions of each kernel in Kernel Python and of its C twin.

    python -m tests.twins.measure [NAME…]        print the table
    python -m tests.twins.measure --write        and store it in docs/performance-twins.md

The C twin is compiled with `gcc -O2` and general registers only, as the kernel is; the Python kernel by the release
profile with all checks on. Callgrind counts what `run` executes, callees included: the counts repeat exactly, so that
they can be gates.
"""

from __future__ import annotations

import argparse
import functools
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KERNELS = Path(__file__).parent / "kernels"
BUILD = ROOT / "build" / "twins"
PAGE = ROOT / "docs" / "performance-twins.md"
C_FLAGS = ("-O2", "-mgeneral-regs-only", "-fno-tree-vectorize", "-Wall", "-Werror")
TIMEOUT_SECONDS = 120

# The most that a kernel may cost, as a ratio to C. The goal is 1.00 for all; tighten these as it comes nearer.
BUDGETS = {
    "base64": 1.45,
    "binary_heap": 1.25,
    "binary_search": 1.5,
    "bitmap": 1.25,
    "chacha20": 0.5,
    "checksum": 1.1,
    "crc32": 0.95,
    "directory": 1.15,
    "dispatch": 1.75,
    "find": 1.15,
    "hash_table": 1.6,
    "linked_list": 1.25,
    "lz_decode": 1.8,
    "matrix": 1.35,
    "parse_numbers": 1.65,
    "quicksort": 1.45,
    "radix_sort": 1.2,
    "recursion": 1.15,
    "sha256": 1.1,
    "sieve": 1.4,
    "siphash": 1.1,
    "utf8": 1.2,
}
MEAN_BUDGET = 1.22  # the geometric mean of all


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


def count_instructions(program: Path, function: str) -> tuple[int, str]:
    """What callgrind counts inside a function (and what it calls), and the program's output."""
    command = [
        "valgrind", "--tool=callgrind", f"--toggle-collect={function}", "--callgrind-out-file=/dev/null", str(program)
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"callgrind did not count {function} of {program}:\n{done.stderr}")
    return int(found[1]), done.stdout


def compiled(source: Path) -> Path:
    """The native program of a kernel. In a process of its own: the compiler freezes modules as they are."""
    script = (
        "import sys; from compiler.driver import Timings, compile_host;"
        "print(compile_host(sys.argv[1], 'release', Timings()).path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{source.name} was not compiled:\n{done.stderr}")
    return Path(done.stdout.strip())


@functools.cache
def measure(name: str) -> Measurement:
    """Compile both twins and count."""
    source = KERNELS / f"{name}.py"
    BUILD.mkdir(parents=True, exist_ok=True)
    twin = BUILD / name
    subprocess.run(["gcc", *C_FLAGS, "-o", str(twin), str(KERNELS / f"{name}.c")], check=True)
    c_count, c_output = count_instructions(twin, "run")
    python_count, python_output = count_instructions(compiled(source), f"*{name}.run")
    purpose = source.read_text().split('"""')[1].split("\n")[0]
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="kernels (default: all)")
    parser.add_argument("--write", action="store_true", help=f"store the table in {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    measurements = [measure(name) for name in options.names or names()]
    print(table(measurements))
    if options.write:
        PAGE.write_text(
            "# Kernel Python against C\n\n"
            "Instructions executed by small kernels in Kernel Python (release profile, all checks on) and by the same\n"
            "kernels in C (`gcc -O2`, general registers only), counted by callgrind. Made by\n"
            "`python -m tests.twins.measure --write`.\n\n" + table(measurements) + "\n"
        )
    return 0 if all(m.same_result for m in measurements) else 1


if __name__ == "__main__":
    sys.exit(main())
