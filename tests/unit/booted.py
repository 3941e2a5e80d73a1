"""Tests that run on a booted machine under CPython (tools/simulated).

The kernel's state is its modules' own, so each such test gets a process: one server boots a machine once, and forks
for each test. A test is a function that takes the machine first:

    @booted
    def test_a_pid(machine: Machine) -> None:
        assert machine.host.getpid() == 1
"""

from __future__ import annotations

import faulthandler
import functools
import importlib
import inspect
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import pytest

from tests.unit import scarcity
from tools.paths import ROOT
from tools.simulated.machine import Machine

P = ParamSpec("P")
Test = Callable[Concatenate[Machine, P], None]

# Of one test, by the clock of the host: it hangs. Patience as in tests/harness/guest.py.
TIME_LIMIT_S = int(20 * float(os.environ.get("KRAIT_PATIENCE", "3")))


class Server:
    """The process that forks, as its clients see it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, module: str, name: str, arguments: dict[str, object]) -> str:
        """Run a test; what went wrong, or nothing."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.unit.booted"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        pickle.dump((module, name, arguments), process.stdin)
        process.stdin.flush()
        answer: str = pickle.load(process.stdout)
        return answer


_SERVER = Server()


def booted(test: Test[P]) -> Callable[P, None]:
    """Make a function of a machine a test."""

    @functools.wraps(test)
    def ask(*arguments: P.args, **named: P.kwargs) -> None:
        assert not arguments, "pytest gives arguments by name"
        answer = _SERVER.run(test.__module__, test.__name__, dict(named))
        if answer:
            pytest.fail(answer, pytrace=False)

    parameters = list(inspect.signature(test).parameters.values())[1:]
    ask.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # pytest looks for fixtures there
    ask.on_machine = test  # type: ignore[attr-defined]  # what the server's child calls
    return ask


def serve() -> None:
    """Boot, and answer requests until there are no more. What a child has found out of sources (scarcity.py) the later
    ones have from the start.
    """
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a test prints does not get among the answers
    machine = Machine()
    machine.boot()
    while True:
        try:
            module, name, arguments = pickle.load(requests)
        except EOFError:
            return
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            before = set(scarcity.KNOWN)
            with os.fdopen(write_end, "wb") as answer:
                answer.write(_outcome(machine, module, name, arguments).encode() + b"\0")
                answer.write("\0".join(scarcity.KNOWN.keys() - before).encode())
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as answer:
            text, _, paths = answer.read().decode().partition("\0")
        _, status = os.waitpid(child, 0)
        if status != 0:
            text = text or f"the test did not come to an end: status {status} (its traceback is on standard error)"
        pickle.dump(text, answers)
        answers.flush()
        for path in paths.split("\0") if paths else ():
            scarcity.lines_of(path)


def _outcome(machine: Machine, module: str, name: str, arguments: dict[str, object]) -> str:
    faulthandler.dump_traceback_later(TIME_LIMIT_S, exit=True)
    try:
        getattr(importlib.import_module(module), name).on_machine(machine, **arguments)
    except BaseException:
        return traceback.format_exc()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return ""


if __name__ == "__main__":
    serve()
