"""`krait self-build` and `krait self-test` in their short forms; the whole is for the night (docs/self-hosting.md)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE
from tools.paths import ROOT
from tools.selfhost.build import SHORT
from tools.selfhost.disks import CHECKOUT

pytestmark = pytest.mark.timeout(int(400 * PATIENCE))


def krait(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["./krait", *words], check=False, cwd=ROOT, capture_output=True, text=True)


def hear_interrupts() -> None:
    """A shell lets its children in the background ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def objects(cache: Path) -> dict[str, int]:
    """The objects of a cache: numbers of their inodes, which are new when they are written again."""
    return {path.name: path.stat().st_ino for path in cache.glob("*.o")}


def test_a_program_is_compiled_on_krait_and_on_the_krait_that_it_starts() -> None:
    """Interrupted when the first objects are there, it goes on with those. Then it starts this kernel by kexec, which
    says which generation it is, and compiles the same there.
    """
    command = ["./krait", "self-build", "--short", "--boot", "--memory", "1536M"]
    cache = CHECKOUT / SHORT / "cache"
    (CHECKOUT / SHORT / "complete").parent.mkdir(parents=True, exist_ok=True)
    (CHECKOUT / SHORT / "complete").touch()  # whatever ran here before: begin afresh
    begun = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts)
    deadline = time.monotonic() + 150 * PATIENCE
    while (CHECKOUT / SHORT / "complete").exists() or not objects(cache):
        assert begun.poll() is None and time.monotonic() < deadline, begun.communicate()
        time.sleep(0.1)
    begun.send_signal(signal.SIGINT)
    begun.communicate()
    assert begun.returncode == 130
    kept = objects(cache)
    seen: dict[str, int] = {}
    went_on = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(seen) <= len(kept) and went_on.poll() is None:
        seen = objects(cache)
        time.sleep(0.1)
    assert kept.items() <= seen.items()
    printed, said = went_on.communicate()
    assert went_on.returncode == 0, said
    assert printed.count("compiled and run on Krait, with the output and the ") == 2, printed
    assert "Generation 1 of Krait built on Krait" in said  # the kernel's own words
    assert "krait: the machine runs 6.12.0-krait" in said and ", generation 1\n" in said


def _run_on_krait(*words: str) -> None:
    done = krait("self-test", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^here: [1-9]\d* passed, 0 failed, ", done.stdout, re.MULTILINE), done.stdout


def test_some_tests_run_on_krait() -> None:
    _run_on_krait("--short")


@pytest.mark.skipif("KRAIT_SELF_TEST" not in os.environ, reason="KRAIT_SELF_TEST=1 runs all tests on Krait")
@pytest.mark.timeout(int(4 * 3600 * PATIENCE))
def test_all_tests_run_on_krait() -> None:
    _run_on_krait()


def test_what_is_no_kernel_is_not_started() -> None:
    from tools.errors import KraitError
    from tools.paths import KERNEL
    from tools.selfhost.disks import TESTS, copy_checkout, guest_disk
    from tools.selfhost.machine import SelfMachine, Setup

    copy_checkout()
    setup = Setup(kernel=KERNEL, disk=guest_disk(TESTS), checkout=CHECKOUT, memory="512M")
    with SelfMachine(setup) as machine:
        with pytest.raises(KraitError, match="the machine cannot start the kernel: Exec format error"):
            machine.start("README.md", 1)
        assert machine.run(["true"]).status == 0  # it has gone on
