#!/usr/bin/env python3
"""Programs with mistakes: whatever the compiler is given, it compiles or refuses with a diagnostic.

    python -m tools.fuzz_mutants [--seed N] [--programs N] [--rounds N]

A round takes `--programs` files of tests/language/cases and changes each in one to three places: lines are deleted,
repeated and swapped, expressions are swapped with others of the file or replaced by values at some edge. What still
is Python goes through the front end together, then each by itself through lowering in the release profile, and LLVM
reads the text of its own module. Every exception that is no diagnostic is a fault of the compiler; so is KP999. The
same seed makes the same programs; they stay in build/mutants/.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import random
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from compiler import driver
from compiler.apart import apart
from compiler.backend import HOST
from compiler.diagnostics import INTERNAL, internal_error
from compiler.tree import Diagnostic, Loc, Program

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "language" / "cases"
OUTPUT = ROOT / "build" / "mutants"
EDGES = ["0", "-1", "1", "63", "64", "(1 << 63) - 1", "-(1 << 62)", "None", "True", '""', '"é"', 'b""', "[]", "{}"]
MISTAKE = "mistake in the compiler"  # what other diagnostics say of it
OPERATORS = ["+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^", "==", "!=", "<", "<=", "is", "in", "and", "or"]
OPERATOR = re.compile(r" (\+|-|\*|//|%|<<|>>|&|\||\^|==|!=|<=?|>=?|is|in|and|or) ")


# Mutation -------------------------------------------------------------------------------------------------------------


def mutant(source: str, random_: random.Random) -> str:
    """The same program with one to three changes, of which the first are kept that leave it Python."""
    text = source
    for _ in range(random_.randint(1, 3)):
        change = random_.choice([delete_line, repeat_line, swap_lines, *[swap_expressions, replace_expression] * 2,
                                 replace_operator])  # fmt: skip
        changed = change(text, random_)
        with contextlib.suppress(SyntaxError, ValueError), warnings.catch_warnings(action="ignore"):
            compile(changed, "mutant", "exec")
            text = changed
    return text


def inner_lines(text: str) -> list[int]:
    """Lines inside functions and classes: what stands outside runs at import."""
    return [number for number, line in enumerate(text.split("\n")) if line.startswith("    ")]


def delete_line(text: str, random_: random.Random) -> str:
    lines = text.split("\n")
    del lines[random_.choice(inner_lines(text))]
    return "\n".join(lines)


def repeat_line(text: str, random_: random.Random) -> str:
    lines = text.split("\n")
    number = random_.choice(inner_lines(text))
    lines.insert(number, lines[number])
    return "\n".join(lines)


def swap_lines(text: str, random_: random.Random) -> str:
    lines = text.split("\n")
    first, second = random_.choice(inner_lines(text)), random_.choice(inner_lines(text))
    if random_.random() < 0.7:
        second = min(first + 1, len(lines) - 1)
    lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def expressions(text: str) -> list[tuple[int, int]]:
    """Where expressions inside functions begin and end, those of one line."""
    starts = [0]
    for line in text.encode().split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    places: list[tuple[int, int]] = []
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in (n for statement in function.body for n in ast.walk(statement)):
            if isinstance(node, ast.expr) and node.lineno == node.end_lineno and node.end_col_offset is not None:
                start = starts[node.lineno - 1]
                places.append((start + node.col_offset, start + node.end_col_offset))
    return sorted(set(places))


def swap_expressions(text: str, random_: random.Random) -> str:
    places = expressions(text)
    if len(places) < 2:
        return text
    (start, end), (other_start, other_end) = sorted(random_.sample(places, 2))
    if other_start < end:
        return text
    data = text.encode()
    first, second = data[start:end], data[other_start:other_end]
    return (data[:start] + second + data[end:other_start] + first + data[other_end:]).decode()


def replace_expression(text: str, random_: random.Random) -> str:
    places = expressions(text)
    if not places:
        return text
    start, end = random_.choice(places)
    data = text.encode()
    other_start, other_end = random_.choice(places)
    by = data[other_start:other_end] if random_.random() < 0.6 else random_.choice(EDGES).encode()
    return (data[:start] + by + data[end:]).decode()


def replace_operator(text: str, random_: random.Random) -> str:
    places = OPERATOR.finditer(text)  # those inside functions alone: the others run when it is imported
    found = [place for place in places if text[text.rfind("\n", 0, place.start()) + 1 :].startswith("    ")]
    if not found:
        return text
    place = random_.choice(found)
    return f"{text[: place.start()]} {random_.choice(OPERATORS)} {text[place.end() :]}"


# What the compiler makes of them --------------------------------------------------------------------------------------


def round_of(seed: int, programs: int) -> list[str]:
    """What is wrong with the compiler, by the mutants of a seed."""
    folder = OUTPUT / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    random_ = random.Random(seed)
    sources = [path.read_text(encoding="utf-8") for path in sorted(CASES.glob("*.py"))]
    files: list[Path] = []
    for number in range(programs):
        files.append(folder / f"m{seed}_{number}.py")
        files[-1].write_text(mutant(random_.choice(sources), random_), encoding="utf-8")
    faults: list[str] = apart(lambda: faults_of(files))
    return faults


def faults_of(files: list[Path]) -> list[str]:
    """The front end for all, lowering for each whose types are right."""
    sys.setrecursionlimit(20_000)
    faults: list[str] = []
    program: Program | None = None
    while files and program is None:
        try:
            program = driver.load([driver.HOST_MODULE], files, cache=driver.library_cache())
        except driver.Refused as refused:
            faults += internal(refused.diagnostics)
            broken = {diagnostic.loc.path for diagnostic in refused.diagnostics}
            left = [file for file in files if str(file) not in broken]
            if len(left) == len(files):
                return [*faults, f"errors in none of the files: {refused.diagnostics[0].message}"]
            files = left
    for file in files if program is not None else []:
        assert program is not None
        faults += faults_of_one(program, file)
    return faults


def faults_of_one(program: Program, file: Path) -> list[str]:
    from compiler.front.program import module_name
    from compiler.lower.world import package_of

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            driver.import_live([driver.HOST_MODULE], [file])
        main = f"{module_name(file, ROOT)}.main"
        if main not in program.functions:
            return []
        entries = driver.host_entries(program, main, [file])
        modules = driver.lower(program, entries, HOST, "release").modules
        read_by_llvm(modules[package_of(main.rpartition(".")[0])], file)
    except driver.Refused as refused:
        return internal(refused.diagnostics)
    except Exception as error:
        return internal([internal_error(error, Loc(str(file), 1))])
    return []


def read_by_llvm(text: str, file: Path) -> None:
    """Raises RuntimeError for a text that LLVM refuses."""
    import llvmlite.binding as llvm

    try:
        llvm.parse_assembly(text).verify()
    except RuntimeError as error:
        file.with_suffix(".ll").write_text(text)
        raise RuntimeError(f"LLVM: {error}") from None


def internal(diagnostics: list[Diagnostic]) -> list[str]:
    """Those of diagnostics that say that the compiler is at fault."""
    faults = [d for d in diagnostics if d.code == INTERNAL or MISTAKE in d.message]
    return [f"{d.loc.path}:{d.loc.line}: {d.message}" for d in faults]


def main(arguments: list[str] | None = None, write: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(description="Give the compiler programs with mistakes.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    found = 0
    for seed in range(options.seed, options.seed + options.rounds):
        faults = round_of(seed, options.programs)
        found += len(faults)
        write(f"seed {seed}: {len(faults)} faults")
        for fault in faults:
            write(f"  {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
