"""Runs a stand-alone Kernel Python file three ways: plain CPython, checked CPython, compiled."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.language import checked as checks

ROOT = Path(__file__).resolve().parent.parent.parent
TRAP_STATUS = 70
TIMED_OUT = "timed out"
TIMEOUT_SECONDS = 40 * float(os.environ.get("KRAIT_PATIENCE", "3"))  # as in tests/harness/guest.py
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


def run_compiled(path: Path, profile: str, stress: bool = False, seconds: float = TIMEOUT_SECONDS) -> Outcome:
    """Compile the file and run its `main` on the host, both within that time; with `stress`, every allocation
    reclaims.
    """
    environment = dict(os.environ, KRAIT_LEAKS="1")
    if stress:
        environment["KRAIT_STRESS"] = "1"
    command = [sys.executable, "-m", "compiler", "run", str(path), "--profile", profile]
    try:
        done = bounded(command, seconds, environment)
    except subprocess.TimeoutExpired as expired:
        printed = expired.stdout or b""
        text = printed.decode(errors="replace") if isinstance(printed, bytes) else printed
        return Outcome(text.splitlines(), None, TIMED_OUT, broken=True)
    return outcome_of(done.returncode, done.stdout, done.stderr, path.name)


def bounded(command: list[str], seconds: float, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command without input. If it takes longer, it ends with all that it has begun, which would compile on for
    nobody, and TimeoutExpired is raised.
    """
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            printed, said = process.communicate(timeout=seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, said)


def outcome_of(status: int, printed: str, said: str, own: str) -> Outcome:
    """What the end of a compiled program means; `own` is the name of its own file."""
    lines = printed.splitlines()
    if status == 0:
        counted = OBJECTS.search(said)
        return Outcome(lines, objects=int(counted[1]) if counted is not None else 0)
    uncaught = status == 1 and said.startswith("Traceback")
    if status != TRAP_STATUS and not uncaught:
        return Outcome(lines, None, f"status {status}\n{said}", broken=True)
    inside = [int(frame["line"]) for frame in FRAME.finditer(said) if Path(frame["path"]).name == own]
    last = said.strip().splitlines()[-1] if said.strip() else "?"
    return Outcome(lines, Trap(last, inside), said)


def write_driver(folder: Path, name: str, parts: list[str]) -> Path:
    """A module that runs those beside it."""
    driver = folder / f"{name}.py"
    driver.write_text("\n".join(['"""All of them."""\n\nfrom __future__ import annotations\n', *parts, ""]))
    return driver


def write_choice(modules: list[Path]) -> tuple[Path, list[str]]:
    """A program of these modules of one folder, which runs the `main` of the one that its input names; and the inputs
    that name them.
    """
    parts = ["from kernel.lang import extern", *(f"import {path.stem}" for path in modules)]
    parts += ['\n\n@extern("getchar")\ndef first_of_input() -> int:\n    return 0\n\n\ndef main() -> None:']
    parts += ["    chosen = first_of_input() & 0xFF"]
    for number, path in enumerate(modules, FIRST):
        parts += [f"    if chosen == {number}:\n        {path.stem}.main()"]
    inputs = [chr(number) for number in range(FIRST, FIRST + len(modules))]
    return write_driver(modules[0].parent, "one_of_them", parts), inputs


def run_in_turn(modules: list[Path], profile: str) -> list[Outcome] | None:
    """The `main` of each of these modules of one folder. They are compiled as one program, which is started for each,
    and runs the one that its input names. None if it does not compile; message.txt of the folder says why.
    """
    folder = modules[0].parent
    driver, inputs = write_choice(modules)
    command = [sys.executable, "-m", "tests.language.in_turn", str(driver), profile, *inputs]
    try:
        done = bounded(command, TIMEOUT_SECONDS, dict(os.environ))
    except subprocess.TimeoutExpired:
        (folder / "message.txt").write_text(TIMED_OUT)
        return None
    if done.returncode != 0:
        (folder / "message.txt").write_text(done.stderr)
        return None
    ends: list[tuple[int, str, str]] = json.loads(done.stdout)
    pairs = zip(ends, modules, strict=True)
    return [outcome_of(status, printed, said, path.name) for (status, printed, said), path in pairs]
