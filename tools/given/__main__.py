"""`python -m tools.given`: what programs can make overflow. `make test` runs it (tests/compiler/test_whole_kernel.py).

Every number that comes from a program is followed through the kernel, from registers, user memory, packets and disks
into functions, fields and lists; comparisons bound it. Arithmetic on it whose result may not fit 64 bits would trap and
end the program that ran, with what it held; so it is refused. What to do instead: bound the number first, and give
Linux's errno; add addresses with `kernel.lib.user.at`; let what must not fail saturate (`kernel.lib.saturation`). Where
a bound is out of the checker's sight, a comment on the line says why the result fits: `# fits: …`.

Only the doors are judged: modules that have handlers of system calls, or that follow addresses of user memory. What
lies beyond them (caches, TCP, ext2) gets numbers that its callers have bounded in ways that the checker does not see.
"""

from __future__ import annotations

import sys
from pathlib import Path

from compiler.front.program import load
from compiler.front.rules import walk
from compiler.tree import CallFunction, Program
from tools.given.contracts import FIELDS
from tools.given.program import Finding, Summary
from tools.given.statements import Statements
from tools.paths import ROOT

MARK = "# fits:"
_MOST_ROUNDS = 30
_EXEMPT = ("kernel.lang.", "arch.")
_DOOR = "kernel.lib.user."


def doors(program: Program) -> set[str]:
    """The paths of the modules that get numbers at first hand."""
    found = {function.loc.path for function in program.functions.values() if "syscall" in function.decorators}
    for function in program.functions.values():
        if function.name.startswith(_EXEMPT) or function.name.startswith(_DOOR):
            continue
        if any(isinstance(node, CallFunction) and node.function.startswith(_DOOR) for node in walk(function)):
            found.add(function.loc.path)
    return found


def check_contracts(program: Program) -> None:
    """Raises ValueError for a promise of a field that there is not, in a program that has its class."""
    fields = {(name.rpartition(".")[2], field.name) for name, c in program.classes.items() for field in c.fields}
    classes = {name.rpartition(".")[2] for name in program.classes}
    stale = [key for key in FIELDS if key[0] in classes and key not in fields]
    if stale:
        raise ValueError(f"there are no such fields: {stale}")


def examine(program: Program) -> list[Finding]:
    """All places where a given number may not fit."""
    summary = Summary(program)
    check_contracts(program)
    functions = {
        name: function
        for name, function in program.functions.items()
        if not name.startswith(_EXEMPT) and not function.errors and not function.is_lambda
    }
    due = set(functions)
    for _ in range(_MOST_ROUNDS):
        if not due:
            break
        summary.dirty = set()
        for name in sorted(due, key=lambda name: (not name.startswith("kernel.lib."), name)):
            function = functions[name]
            Statements(summary, function).run("syscall" in function.decorators, judging=False)
        due = summary.dirty & functions.keys()
    judged = doors(program)
    for function in functions.values():
        if function.loc.path not in judged:
            continue
        Statements(summary, function).run("syscall" in function.decorators, judging=True)
    return sorted(summary.findings.values(), key=lambda finding: (finding.path, finding.line))


def refused(program: Program, findings: list[Finding]) -> list[Finding]:
    """Those that no comment vouches for."""
    return [f for f in findings if MARK not in program.sources[f.path][f.line - 1]]


def main() -> int:
    program = load(["kernel.start.main"], [], str(ROOT))
    findings = refused(program, examine(program))
    for finding in findings:
        print(f"{Path(finding.path).relative_to(ROOT)}:{finding.line}: {finding.text} may not fit")
        print(f"    {program.sources[finding.path][finding.line - 1].strip()}")
    print(f"{len(findings)} places where a number that a program gives may not fit", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
