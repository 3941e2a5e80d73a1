"""`krait self-test`: the unit and language tests run on Krait's kernel, and each must end as it ends here."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.arguments import in_bytes
from tools.errors import CANNOT_RUN, KraitError, UsageError
from tools.lock import exclusively
from tools.paths import KERNEL, ROOT
from tools.selfhost.build import LEAST_MEMORY, introduce, say
from tools.selfhost.disks import HERE_IN_GUEST, PLACE, TESTS, bring_library, copy_checkout, guest_disk
from tools.selfhost.machine import SelfMachine, Setup

LEVELS = ("tests/unit", "tests/language")
LANGUAGE = "tests/language/test_language.py"
PLAIN = ("classes", "dicts", "exceptions", "generics", "ints", "iteration", "layouts", "managers", "matching", "texts")
SHORT = (
    "tests/unit/start", "tests/unit/lib/test_linked.py", "tests/unit/lib/test_sorting.py",
    # `self-build --short` compiles a program
    *(f"{LANGUAGE}::test_plain_and_checked_agree[{case}]" for case in PLAIN),
)
CHECKOUT = PLACE / "tests"  # a copy of its own: a build may be under way in the other
PATIENCE = "30"  # an emulated processor is that much slower, with room
OUTCOMES = "build/self-test"  # in the checkout


def check(options: argparse.Namespace) -> list[str]:
    """What is to be run. Raises UsageError."""
    if in_bytes(options.memory) < in_bytes(LEAST_MEMORY):
        raise UsageError(f"krait self-test: {options.memory} of memory is too little: it takes {LEAST_MEMORY}")
    if options.short and options.paths:
        raise UsageError("krait self-test: --short says which tests, so PATHS have no place")
    for path in options.paths:
        place = path.partition("::")[0]
        if not any(Path(place).is_relative_to(level) for level in LEVELS) or not (ROOT / place).exists():
            raise UsageError(f"krait self-test: {path} is no test of {' or '.join(LEVELS)}")
    return list(SHORT) if options.short else options.paths or list(LEVELS)


def pytest_words(options: argparse.Namespace, paths: list[str]) -> list[str]:
    words = [sys.executable, "-m", "pytest", "-p", "tests.harness.outcomes", "-p", "no:cacheprovider", "--tb=short"]
    words += ["-k", options.k] if options.k is not None else []
    words += ["--numprocesses", str(options.cpus), "--dist", "loadscope"] if options.cpus > 1 else []
    return [*words, *paths]


def read_outcomes(path: Path) -> dict[str, str]:
    """How tests ended, by their names (tests/harness/outcomes.py writes it). Raises KraitError if it is not there."""
    try:
        pairs = [line.split(" ", 1) for line in path.read_text().splitlines()]
    except OSError as error:
        raise KraitError(f"krait self-test: no tests were run ({path}: {error.strerror})") from error
    return {name: outcome for outcome, name in pairs}


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """A sentence for each test that did not end alike."""
    names = dict.fromkeys([*here, *there])
    absent = "not run"
    return [
        f"{name}: {here.get(name, absent)} here, {there.get(name, absent)} on Krait"
        for name in names if here.get(name) != there.get(name)
    ]  # fmt: skip


def counts(outcomes: Mapping[str, str]) -> str:
    """How many of each kind, in words."""
    kinds = list(outcomes.values())
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("passed", "failed", "skipped"))


def self_test(options: argparse.Namespace) -> int:
    """The command. Raises KraitError."""
    words = pytest_words(options, check(options))
    with exclusively("self-test"):
        return compare(options, words)


def compare(options: argparse.Namespace, words: list[str]) -> int:
    """Run pytest here and there; the status. Raises KraitError."""
    copy_checkout(CHECKOUT)
    if options.short:
        bring_library(CHECKOUT / "build" / "cache")
    disk = guest_disk(TESTS)
    if subprocess.run([sys.executable, "-m", "tools.front_end", "build"], check=False, cwd=ROOT).returncode != 0:
        raise KraitError("krait self-test: there is no kernel to test on")
    here, there = PLACE / "outcomes", CHECKOUT / OUTCOMES / "outcomes"
    there.parent.mkdir(parents=True, exist_ok=True)
    there.unlink(missing_ok=True)
    here.unlink(missing_ok=True)
    say("run the tests here")
    environment = {**os.environ, "KRAIT_OUTCOMES": str(here)}
    subprocess.run(words, check=False, cwd=ROOT, env=environment, stdout=sys.stderr)
    expected = read_outcomes(here)
    setup = Setup(kernel=KERNEL, disk=disk, checkout=CHECKOUT, memory=options.memory, processors=options.cpus)
    with SelfMachine(setup) as machine:
        introduce(machine)
        say("run the tests on Krait")
        # How long a test may take says something of this machine alone.
        machine.run([*words, "-p", "no:timeout"], {"KRAIT_OUTCOMES": f"{HERE_IN_GUEST}/{OUTCOMES}/outcomes",
                                                   "KRAIT_PATIENCE": PATIENCE})  # fmt: skip
    found = read_outcomes(there)
    print(f"here: {counts(expected)}; on Krait: {counts(found)}")
    different = differences(expected, found)
    for line in different:
        print(line)
    return CANNOT_RUN if different else 0
