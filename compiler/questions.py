"""Questions about the whole kernel, `python -m compiler report`. To answer one takes an analysis of all its code, so
that the answers are kept until a source, the compiler or the stacks of the last build change.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from dataclasses import asdict, dataclass

from compiler import driver
from compiler import lock_report as locks
from compiler import report as reports
from compiler.backend import CACHE, KERNEL, file_hash, write_whole
from compiler.lower.effects import Effects

ANSWERS = CACHE / "report.json"
STACKS = driver.BuildOptions.output.with_suffix(".stacks")


@dataclass
class Answers:
    """What is known of all entry points, and of all locks; without reasons, which depend on names."""

    facts: list[reports.Facts]
    locks: locks.Report

    def to_json(self, state: str) -> str:
        return json.dumps([state, [asdict(entry) for entry in self.facts], asdict(self.locks)])

    @classmethod
    def from_json(cls, text: str, state: str) -> Answers | None:
        """None if they are about another state of the sources, or of another form."""
        try:
            known, facts, rest = json.loads(text)
            if known != state:
                return None
            classes = [locks.LockFacts(**entry) for entry in rest.pop("locks")]
            calls = [locks.CallFacts(**entry) for entry in rest.pop("calls")]
            return cls([reports.Facts(**entry) for entry in facts], locks.Report(locks=classes, calls=calls, **rest))
        except (ValueError, TypeError, KeyError):
            return None


def analyse_kernel() -> tuple[Effects, dict[str, str]]:
    """The effects of the whole kernel, and the names of the system calls by their handlers."""
    from compiler.freeze import Freezer
    from compiler.lower.debug import DebugInfo
    from compiler.lower.interfaces import CompileErrors, Options
    from compiler.lower.program import Lowering

    entry = driver.BuildOptions.entry
    program = driver.load([entry], [])
    driver.import_live([entry], [])
    lowering = Lowering(program, Options(KERNEL.name), Freezer, DebugInfo)
    try:
        effects = lowering.analyse(driver.exported_functions(program))
    except CompileErrors as errors:
        raise driver.Refused(errors.diagnostics, program.sources) from errors
    rows = [row for row in sys.modules["kernel.doors.table"].SYSCALLS if row is not None]
    return effects, {f"{row.handler.__module__}.{row.handler.__qualname__}": row.name for row in rows}


def state() -> str:
    """A hash of all that the answers depend on."""
    stacks = file_hash(STACKS) if STACKS.exists() else ""
    return f"{driver.state_of(driver.source_hashes())} {stacks}"


def answers() -> Answers:
    """The answers to all questions that name nothing. Raises Refused."""
    before = state()
    with contextlib.suppress(OSError):
        if (kept := Answers.from_json(ANSWERS.read_text(), before)) is not None:
            return kept
    effects, calls = analyse_kernel()
    numbers = vars(sys.modules["kernel.lang.errno"])
    errors_by_code = {code: name for name, code in numbers.items() if re.fullmatch(r"E[A-Z0-9]+", name)}
    facts = reports.facts(effects, calls, reports.read_stacks(STACKS), errors_by_code)
    found = Answers(facts, locks.report(effects, calls, []))
    if driver.library_cache() is not None and state() == before:
        write_whole(ANSWERS, found.to_json(before).encode())
    return found


def report_locks(names: list[str], as_json: bool) -> str:
    """What locks guard, and which system calls need them (compiler/lock_report.py); with names, why. Raises Refused,
    and UserError for a name that there is not.
    """
    if not names:
        found = answers().locks
    else:
        effects, calls = analyse_kernel()
        if unknown := [name for name in names if name not in locks.known_names(effects, calls)]:
            raise driver.UserError(f"there is no system call or function {unknown[0]}")
        found = locks.report(effects, calls, names)
    return locks.as_json(found) if as_json else locks.as_text(found, names)


def report_kernel(names: list[str], as_json: bool) -> str:
    """What the system calls and other entry points of the kernel may do (compiler/report.py): all, or some by name.
    Raises Refused, and UserError for a name that there is not.
    """
    found = answers().facts
    if names:
        known = {name for entry in found for name in (entry.name, entry.function)}
        if unknown := [name for name in names if name not in known]:
            raise driver.UserError(f"there is no system call or entry point {unknown[0]}")
        found = [entry for entry in found if entry.name in names or entry.function in names]
    return reports.as_json(found) if as_json else reports.as_text(found, bool(names))
