"""What is taken is given back, whatever fails: a lock, or anything else that others wait for without a limit.

A statement that takes such a thing is followed at once by a `try` whose `finally` gives it back, stands in one, or is a
`with`. Only a function that is itself one of the takers may hand the thing on to its caller.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.paths import ROOT

PAIRS = {
    "begin_change": "end_change",
    "begin_cut": "end_cut",
    "hold_back": "let_go",
    "hold_edges": "let_edges_go",
    "hold_names": "let_names_go",
    "_hold_new_name": "let_names_go",
    "Plug": "flush",
}
TAKERS = ("acquire", "lock_readable", *PAIRS)  # may hand on what they have taken
MANAGERS = ("Transfer", "HeldRecord")  # used by `with` alone, or returned
_MUTEX = re.compile(r"(?:self\.)?(\w+): Mutex\b")


def _sources() -> list[Path]:
    return sorted((ROOT / "kernel").rglob("*.py"))


def mutex_names(sources: list[Path]) -> set[str]:
    """The names of fields and variables that are a Mutex."""
    return {match[1] for path in sources for match in _MUTEX.finditer(path.read_text())}


def _name(expression: ast.expr) -> str:
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def _closer(call: ast.Call, mutexes: set[str]) -> str | None:
    """What gives back what a call takes, if it takes anything."""
    name = _name(call.func)
    if name == "acquire" and isinstance(call.func, ast.Attribute):
        return "release" if _name(call.func.value) in mutexes else None
    return PAIRS.get(name)


def _gives_back(statement: ast.stmt | None, closer: str) -> bool:
    return isinstance(statement, ast.Try) and any(
        _name(call.func) == closer for each in statement.finalbody for call in _calls(each)
    )


def _check(block: list[ast.stmt], around: list[str], mutexes: set[str]) -> Iterator[ast.stmt]:
    """The statements of a block that may lose what they take. `around`: what the `finally`s around it give back."""
    for place, statement in enumerate(block):
        following = block[place + 1] if place + 1 < len(block) else None
        if isinstance(statement, ast.FunctionDef):
            if statement.name not in TAKERS:
                yield from _check(statement.body, [], mutexes)
        elif isinstance(statement, ast.Try):
            inner = [_name(call.func) for each in statement.finalbody for call in _calls(each)]
            for body in (statement.body, statement.orelse, *[handler.body for handler in statement.handlers]):
                yield from _check(body, around + inner, mutexes)
            yield from _check(statement.finalbody, around, mutexes)
        elif isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign, ast.Return)):
            for call in _calls(statement):
                closer = _closer(call, mutexes)
                if closer is not None and closer not in around and not _gives_back(following, closer):
                    yield statement
                if _name(call.func) in MANAGERS and not isinstance(statement, ast.Return):
                    yield statement
        else:
            for field in ("body", "orelse", "cases"):
                for inner_block in [getattr(statement, field, [])]:
                    cases = [case.body for case in inner_block if isinstance(case, ast.match_case)]
                    for body in cases or [inner_block]:
                        yield from _check(body, around, mutexes)


def may_take(mutexes: set[str]) -> re.Pattern[str]:
    """What stands in a source that takes anything: to look at the others, which are most, takes ten times as long."""
    return re.compile(rf"\b(?:(?:{'|'.join(mutexes)})\s*\.\s*acquire|{'|'.join((*PAIRS, *MANAGERS))})\s*\(")


def faults(source: str, mutexes: set[str]) -> list[str]:
    if not may_take(mutexes).search(source):
        return []
    return [ast.unparse(statement) for statement in _check(ast.parse(source).body, [], mutexes)]


def test_what_is_taken_is_given_back() -> None:
    sources = _sources()
    mutexes = mutex_names(sources)
    assert {"lock", "names", "read_lock"} <= mutexes
    found = [f"{path.relative_to(ROOT)}: {fault}" for path in sources for fault in faults(path.read_text(), mutexes)]
    # It gives the lock up for a sleep, and takes it again in a `finally`.
    assert found == ["kernel/net/unix/stream.py: self.read_lock.acquire()"]


def test_the_check_finds_what_may_be_lost() -> None:
    mutexes = {"lock"}
    for bad in (
        "self.lock.acquire()\ng()\nself.lock.release()",
        "lock.acquire()\nx = []\ntry: g()\nfinally: lock.release()",
        "if a:\n    transfer = Transfer(device)",
    ):
        assert faults(bad, mutexes) != [], bad
    for good in (
        "self.lock.acquire()\ntry: g()\nfinally: self.lock.release()",
        "with Transfer(device) as transfer: g()",
        "try:\n    self.begin_cut(1)\nfinally: self.end_cut()",
    ):
        assert faults(good, mutexes) == [], good
