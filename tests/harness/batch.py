"""Run many cases in one boot, and go on in another boot when one of them takes the kernel down.

Inside the guest, `runner.c` runs the cases. A case that hangs inside the guest is ended there; when the whole
machine hangs or ends, the harness blames the case that was running, starts the machine again and runs the rest.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.harness.guest import PATIENCE, TRAP, Guest, GuestError
from tests.harness.kernels import LINUX, Kernel, add_modules
from tests.harness.programs import compile_program
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import INITRAMFS, ROOT

RUNNER = ROOT / "tests" / "harness" / "runner.c"
QUIET = "quiet loglevel=1"
BOOT_SECONDS = 20.0
GRACE_SECONDS = 10.0  # what the runner itself may take beyond a case's limit
MOST_DEATHS = 10  # boots that one batch may use up before the rest counts as not run


@dataclass(frozen=True)
class Case:
    """A command of the image: the program's path and its arguments, and how long it may take."""

    name: str
    command: tuple[str, ...]
    seconds: float = 20.0

    def __post_init__(self) -> None:
        assert re.fullmatch(r"[\w.-]+", self.name), f"a case's name is one word: {self.name!r}"


@dataclass(frozen=True)
class Result:
    """How a case ended: kind is exit, signal, timeout, trap (the kernel trapped, whatever the program made of it; the
    traceback is in the output), or died (the machine hung or stopped); then the log tells.
    """

    name: str
    kind: str
    code: int
    seconds: float
    output: str
    log: str = ""

    @property
    def ending(self) -> str:
        return f"{self.kind} {self.code}"


class Batch:
    """Cases and the files they need, to be run on a kernel. Linux has its modules where the machine has disks, or the
    cases need them.
    """

    def __init__(
        self,
        cases: list[Case],
        files: Archive | None = None,
        machine: Machine | None = None,
        needs_modules: bool = False,
    ) -> None:
        names = [case.name for case in cases]
        assert len(set(names)) == len(names), "case names must differ"
        self.cases = cases
        self.files = files or Archive()
        self.machine = machine or Machine()
        self.needs_modules = needs_modules or bool(self.machine.disks)

    def run(self, kernel: Kernel) -> dict[str, Result]:
        """Results by name: one for each case."""
        results: dict[str, Result] = {}
        deaths = 0
        while rest := [case for case in self.cases if case.name not in results]:
            if deaths >= MOST_DEATHS:
                note = f"not run: {kernel.name} had died {deaths} times before"
                results |= {case.name: Result(case.name, "died", 0, 0.0, "", note) for case in rest}
                break
            before = len(results)
            self._boot(kernel, rest, results)
            deaths += any(result.kind == "died" for result in list(results.values())[before:])
        return results

    def initrd(self, cases: list[Case], kernel: Kernel | None = None) -> bytes:
        """The root image with the runner, the list of cases and their files laid over it; for Linux with modules."""
        overlay = Archive(dict(self.files.entries))
        if kernel is LINUX and self.needs_modules:
            add_modules(overlay)
        overlay.file("cases/runner", compile_program(RUNNER).read_bytes(), 0o755)
        lines = ("\t".join((case.name, f"{case.seconds * PATIENCE:g}", *case.command)) for case in cases)
        overlay.file("cases/list", "".join(line + "\n" for line in lines).encode())
        overlay.file("krait-run", b"#!/bin/sh\nexec /cases/runner /cases/list\n", 0o755)
        return extend(INITRAMFS.read_bytes(), overlay)

    def _boot(self, kernel: Kernel, cases: list[Case], results: dict[str, Result]) -> None:
        with tempfile.NamedTemporaryFile(prefix="krait-initrd-", suffix=".cpio") as initrd:
            initrd.write(self.initrd(cases, kernel))
            initrd.flush()
            # Traps are blamed on the case that ran.
            with Guest(kernel.boot(Path(initrd.name), QUIET), self.machine, may_trap=True) as guest:
                earlier: str | None = None
                for case in cases:
                    start = time.monotonic()
                    try:
                        begin = guest.expect(rf"^@case-begin@ {re.escape(case.name)}\r?\n", BOOT_SECONDS)
                        _blame(begin, earlier, results)
                        results[case.name] = _follow(guest, case)
                        earlier = case.name
                    except GuestError as error:
                        spent = time.monotonic() - start
                        results[case.name] = Result(case.name, "died", 0, spent, "", str(error))
                        return
                _blame(guest.expect(r"^@cases-done@\r?\n", GRACE_SECONDS), earlier, results)


def _blame(match: re.Match[bytes], earlier: str | None, results: dict[str, Result]) -> None:
    """The kernel must not have trapped between two cases: that is the earlier one's fault."""
    between = match.string[: match.start()]
    if TRAP.search(between):
        if earlier is None:
            raise GuestError(f"the kernel trapped before the first case:\n{_text(between)}")
        result = results[earlier]
        results[earlier] = replace(result, kind="trap", output=result.output + _text(between))


def _text(printed: bytes) -> str:
    """The terminal has put a carriage return before every newline, whatever stood there."""
    return printed.replace(b"\r\n", b"\n").decode(errors="backslashreplace")


def _follow(guest: Guest, case: Case) -> Result:
    name = re.escape(case.name)
    end = guest.expect(
        rf"\r?\n@case-end@ {name} (\w+) (\d+) ([\d.]+)\r?\n", case.seconds + GRACE_SECONDS,
    )
    printed = end.string[: end.start()]
    kind = "trap" if TRAP.search(printed) else end[1].decode()
    return Result(case.name, kind, int(end[2]), float(end[3]), _text(printed))
