"""Every case in `cases/` runs plainly, with checks, and compiled in both profiles; all must print the same.

A case that traps says so: `# traps: OverflowError at line 17`. Its checked run must end with that exception at that
line, and its compiled runs must print the same lines before, and show that line in their traceback. What plain CPython
does then is its own affair.

Cases that do not trap are compiled together, as modules of one program, which is quick; those that trap, as modules of
another one, which runs the case that its input names. If that fails, they are compiled one by one so that each failure
has its name. That takes ten minutes, so a test says why.

At the end of each case the number of live objects is what it was before, in both profiles: an object too many was
counted and never released. A case whose globals keep objects says so: `# keeps: 3 objects`.
"""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.language.runner import (
    ROOT,
    TIMED_OUT,
    TIMEOUT_SECONDS,
    Outcome,
    run_compiled,
    run_in_turn,
    run_python,
    write_driver,
)

CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))
TRAPS = re.compile(r"^# traps: (?P<kind>\w+) at line (?P<line>\d+)$", re.MULTILINE)
KEEPS = re.compile(r"^# keeps: (?P<count>\d+) objects?$", re.MULTILINE)
PROFILES = ("dev", "release")
LIVE = "live objects:"
# The reclaimer keeps what a word on the stack seems to refer to. So the stack below the frame of `main` is cleared at
# the beginning (without optimisation, a place in a frame that is not yet written shows what lay there before), and
# after each case, before objects are counted.
COUNTING = f"""
from typing import Literal

from kernel.lang import Array, noinline, u64
from kernel.mm.host import objects_in_use


class Cleared:
    words: int

    def __init__(self) -> None:
        self.words = 0


CLEARED = Cleared()


@noinline
def clear() -> None:
    words: Array[u64, Literal[2048]] = Array()
    words.fill(u64(0))
    for word in words:
        CLEARED.words += int(word)


@noinline
def tell() -> None:
    live = objects_in_use()
    print({LIVE!r}, CLEARED.words + live)
"""
BUILD = ROOT / "build" / "language"
WORKERS = 2
TOGETHER_SECONDS = 3 * TIMEOUT_SECONDS  # LLVM has two minutes of work for the release profile


def expected_trap(path: Path) -> re.Match[str] | None:
    return TRAPS.search(path.read_text())


QUIET = [path for path in CASES if expected_trap(path) is None]
TRAPPING = [path for path in CASES if expected_trap(path) is not None]


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", QUIET, ids=name_of)
def test_plain_and_checked_agree(path: Path) -> None:
    plain = run_python(path, checked=False)
    checked = run_python(path, checked=True)
    assert plain.trap is None and not plain.broken, plain.message
    assert checked.trap is None and not checked.broken, checked.message
    assert checked.lines == plain.lines


@pytest.mark.parametrize("path", TRAPPING, ids=name_of)
def test_checked_traps(path: Path) -> None:
    expected = expected_trap(path)
    assert expected is not None
    outcome = run_python(path, checked=True)
    assert outcome.trap is not None, outcome.message
    assert outcome.trap.kind == expected["kind"], outcome.message
    assert int(expected["line"]) in outcome.trap.lines, outcome.message


def with_cases(cases: list[Path], folder: Path) -> Path:
    """The folder, with copies of these cases alone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in cases:
        shutil.copy(path, folder / f"case_{path.name}")
    return folder


class Compiled:
    """Outcomes of the compiled cases, made once a session and profile."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str, bool], Outcome] = {}
        self.faults: dict[str, str] = {}  # by profile: why cases had to be compiled one by one

    def of(self, path: Path, profile: str, stress: bool = False) -> Outcome:
        """With `stress`, every allocation reclaims; then only of cases that do not trap."""
        if (path.stem, profile, stress) not in self.outcomes:
            self.run_all(profile, stress)
        return self.outcomes[path.stem, profile, stress]

    def run_all(self, profile: str, stress: bool) -> None:
        alone = []
        together = None if stress and profile in self.faults else self.run_together(profile, stress)
        if together is None:
            alone += QUIET
            together = {}
        if not stress:
            trapped = self.run_in_turn(profile)
            if trapped is None:
                alone += TRAPPING
            else:
                together.update(trapped)
        self.outcomes.update({(name, profile, stress): outcome for name, outcome in together.items()})
        with ThreadPoolExecutor(WORKERS) as pool:
            for path, outcome in zip(alone, pool.map(lambda p: run_compiled(p, profile, stress), alone), strict=True):
                self.outcomes[path.stem, profile, stress] = outcome

    def run_in_turn(self, profile: str) -> dict[str, Outcome] | None:
        """All trapping cases as one program, which is started for each; None if it does not compile."""
        folder = with_cases(TRAPPING, BUILD / f"{profile}-traps")
        outcomes = run_in_turn([folder / f"case_{path.name}" for path in TRAPPING], profile)
        if outcomes is None:
            self.faults[profile] = (folder / "message.txt").read_text()
            return None
        return {path.stem: outcome for path, outcome in zip(TRAPPING, outcomes, strict=True)}

    def run_together(self, profile: str, stress: bool) -> dict[str, Outcome] | None:
        """All quiet cases as one program; None if it does not compile or does not end well. With `stress` it is the
        same program, which is then compiled already.
        """
        folder = with_cases(QUIET, BUILD / profile)
        parts = [f"import case_{path.stem}" for path in QUIET]
        parts += [COUNTING]
        for path in QUIET:
            parts += [f'@noinline\ndef run_{path.stem}() -> None:\n    print("=== {path.stem}")']
            parts += [f"    case_{path.stem}.main()\n"]
        parts += ["@noinline\ndef run_all() -> None:"]
        parts += [f"    run_{path.stem}()\n    clear()\n    tell()" for path in QUIET]
        parts += ["\ndef main() -> None:\n    clear()\n    run_all()"]
        program = write_driver(folder, "all_cases", parts)
        outcome = run_compiled(program, profile, stress, TOGETHER_SECONDS)
        if outcome.message == TIMED_OUT:  # on a busy host; what LLVM has done is kept, so it goes on from there
            outcome = run_compiled(program, profile, stress, TOGETHER_SECONDS)
        if outcome.trap is not None or outcome.broken:
            self.faults[profile] = outcome.message
            return None
        parts = "\n".join(outcome.lines).split("=== ")
        named = (part.partition("\n") for part in parts if part)
        outcomes: dict[str, Outcome] = {}
        before = 0
        for name, _, text in named:
            *lines, live = text.removesuffix("\n").split("\n")
            total = int(live.removeprefix(LIVE))
            outcomes[name] = Outcome(lines, objects=total - before)
            before = total
        return outcomes


@pytest.fixture(scope="session")
def compiled() -> Compiled:
    return Compiled()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", QUIET, ids=name_of)
def test_compiled_prints_the_same(path: Path, profile: str, compiled: Compiled) -> None:
    outcome = compiled.of(path, profile)
    assert outcome.trap is None and not outcome.broken, outcome.message
    expected = run_python(path, checked=True).lines
    assert outcome.lines == expected


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", PROFILES)
def test_cases_are_compiled_together(profile: str, compiled: Compiled) -> None:
    """Else each failure of theirs has a test that names it, or all together took too long."""
    compiled.of(QUIET[0], profile)
    assert profile not in compiled.faults, compiled.faults[profile]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", QUIET, ids=name_of)
def test_no_object_is_lost(path: Path, profile: str, compiled: Compiled) -> None:
    keeps = KEEPS.search(path.read_text())
    expected = int(keeps["count"]) if keeps is not None else 0
    assert compiled.of(path, profile).objects == expected


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", TRAPPING, ids=name_of)
def test_compiled_traps(path: Path, profile: str, compiled: Compiled) -> None:
    expected = expected_trap(path)
    assert expected is not None
    outcome = compiled.of(path, profile)
    assert outcome.trap is not None, outcome.message
    assert int(expected["line"]) in outcome.trap.lines, outcome.message
    assert outcome.lines == run_python(path, checked=True).lines


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", QUIET, ids=name_of)
def test_reclaiming_at_every_allocation_changes_nothing(path: Path, profile: str, compiled: Compiled) -> None:
    outcome = compiled.of(path, profile, stress=True)
    assert not outcome.broken and outcome.trap is None, outcome.message
    plain = compiled.of(path, profile)
    assert (outcome.lines, outcome.objects) == (plain.lines, plain.objects)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_trap_drops_what_frames_refer_to(profile: str) -> None:
    outcome = run_compiled(Path(__file__).parent / "trap_in_frames.py", profile)
    assert outcome.trap is not None, outcome.message
    assert [line for line in outcome.lines if line.startswith("objects")] == ["objects 0", "objects 0"]
