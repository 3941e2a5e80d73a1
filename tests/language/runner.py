"""Runs a stand-alone Kernel Python file three ways: plain CPython, checked CPython, compiled."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.language import checked as checks

ROOT = Path(__file__).resolve().parent.parent.parent
TRAP_STATUS = 70
TIMEOUT_SECONDS = 40 * float(os.environ.get("KRAIT_PATIENCE", "3"))  # as in tests/harness/guest.py
WORKERS = 2  # programs that run at a time
FIRST = ord("0")  # what the input of a program of several modules begins with, for the first one
OBJECTS = re.compile(r"^(\d+) objects in use$", re.MULTILINE)
FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
# Exceptions of CPython that mean that the program itself is wrong, and never a trap.
BROKEN = (NameError, SyntaxError, AttributeError, ImportError, TypeError, RecursionError)
# Of these, what a program does that relies on what is not so any more: compiled code traps there.
TRAPPING = (AttributeError,)


@dataclass
class Trap:
    """Where and how a program trapped. `lines` are the lines of the program's own file on the stack, innermost last."""

    kind: str
    lines: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kind} at line {self.lines[-1] if self.lines else '?'}"


@dataclass
class Outcome:
    """What a run printed, and how it ended."""

    lines: list[str]
    trap: Trap | None = None
    message: str = ""
    broken: bool = False
    objects: int = 0  # of a compiled run that ended well: how many are alive at the end


def run_python(path: Path, checked: bool) -> Outcome:
    """Run the file's `main` in this process."""
    output = io.StringIO()
    name = f"language_{'checked' if checked else 'plain'}_{path.stem}"
    try:
        with contextlib.redirect_stdout(output):
            module = checks.load(path, name, checked)
            module.main()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno or 0 for frame in frames if frame.filename == str(path)]
        broken = isinstance(error, BROKEN)
        trap = Trap(type(error).__name__, lines) if not broken or isinstance(error, TRAPPING) else None
        return Outcome(output.getvalue().splitlines(), trap, traceback.format_exc(), broken)
    finally:
        sys.modules.pop(name, None)
    return Outcome(output.getvalue().splitlines())


def run_compiled(path: Path, profile: str, stress: bool = False, given: str = "", case: Path | None = None) -> Outcome:
    """Compile the file and run its `main` on the host; with `stress`, every allocation reclaims. `given` is its
    standard input. What counts as its own file is `case`, if that is another one.
    """
    environment = dict(os.environ, KRAIT_LEAKS="1")
    if stress:
        environment["KRAIT_STRESS"] = "1"
    command = [sys.executable, "-m", "compiler", "run", str(path), "--profile", profile]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, input=given, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        printed = expired.stdout or b""
        text = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
        return Outcome(text.splitlines(), None, "timed out", broken=True)
    lines = done.stdout.splitlines()
    if done.returncode == 0:
        counted = OBJECTS.search(done.stderr)
        return Outcome(lines, objects=int(counted[1]) if counted is not None else 0)
    uncaught = done.returncode == 1 and done.stderr.startswith("Traceback")
    if done.returncode != TRAP_STATUS and not uncaught:
        return Outcome(lines, None, f"status {done.returncode}\n{done.stderr}", broken=True)
    own = (case or path).name
    inside = [int(frame["line"]) for frame in FRAME.finditer(done.stderr) if Path(frame["path"]).name == own]
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "?"
    return Outcome(lines, Trap(last, inside), done.stderr)


def write_driver(folder: Path, name: str, parts: list[str]) -> Path:
    """A module that runs those beside it."""
    driver = folder / f"{name}.py"
    driver.write_text("\n".join(['"""All of them."""\n\nfrom __future__ import annotations\n', *parts, ""]))
    return driver


def run_in_turn(modules: list[Path], profile: str) -> list[Outcome] | None:
    """The `main` of each of these modules of one folder. They are compiled as one program, which is started for each,
    and runs the one that its input names. None if it does not compile; message.txt of the folder says why.
    """
    folder = modules[0].parent
    parts = ["from kernel.lang import extern", *(f"import {path.stem}" for path in modules)]
    parts += ['\n\n@extern("getchar")\ndef first_of_input() -> int:\n    return 0\n\n\ndef main() -> None:']
    parts += ["    chosen = first_of_input() & 0xFF"]
    for number, path in enumerate(modules, FIRST):
        parts += [f"    if chosen == {number}:\n        {path.stem}.main()"]
    driver = write_driver(folder, "one_of_them", parts)
    nothing = run_compiled(driver, profile, given=chr(FIRST - 1))
    if nothing.trap is not None or nothing.broken:
        (folder / "message.txt").write_text(nothing.message)
        return None

    def outcome_of(number: int) -> Outcome:
        return run_compiled(driver, profile, given=chr(FIRST + number), case=modules[number])

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(outcome_of, range(len(modules))))
