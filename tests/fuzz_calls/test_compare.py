"""The comparison of random programs with Linux: what counts as a difference, and that a guest runs such programs."""

from __future__ import annotations

import re

import pytest

from tests.fuzz_calls.build import shown
from tests.fuzz_calls.compare import (
    EVERY_CALL,
    Difference,
    differences,
    guest_of,
    name_of,
    readable,
    run_many,
    run_named,
)
from tests.harness import KRAIT
from tests.harness.guest import PATIENCE

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def test_the_first_call_that_differs_counts() -> None:
    linux = {"a": ["ff", "0", "E2", "3", "0"], "b": ["ff", "0", "1", "0"]}
    krait = {"a": ["f0", "0", "E13", "4", "0"], "b": ["f0", "0", "1", "0"]}
    assert differences(linux, krait) == {"a": Difference("a", 1, "E2", "E13")}


def test_the_call_in_which_a_program_was_killed_says_nothing() -> None:
    linux, krait = {"a": ["ff", "0", "0", "-", "ffffffff"]}, {"a": ["ff", "0", "B", "-", "ffffffff"]}
    assert differences(linux, krait) == {}
    linux["a"][3] = krait["a"][3] = "7"
    assert differences(linux, krait) == {"a": Difference("a", 1, "0", "B")}


def test_results_are_written_for_people() -> None:
    assert [readable(word) for word in ("E2", "0", "1f", "-", "B", "A")] == [
        "ENOENT", "0x0", "0x1f", "not made", "does not return", "an address",
    ]  # fmt: skip


def test_a_guest_runs_programs_alone_and_by_name() -> None:
    """A program that only makes calls which end says the same again, and a mask leaves calls out."""
    with guest_of(KRAIT) as guest:
        found = run_many(guest, 1, 0, 12)
        assert len(found) == 12
        again = run_named(guest, dict.fromkeys(found, EVERY_CALL))
        one = run_named(guest, dict.fromkeys(found, 1))
    same = [name for name in found if found[name] == again[name]]
    assert len(same) >= 8, "most programs say the same twice"
    for name, words in found.items():
        calls = len(re.findall(r"r\[\d+\] = syscall", shown(name, EVERY_CALL)))
        assert len(words) == calls + 2  # after the crowd, before the status
        assert set(one[name][2:-1]) == {"-"}
    assert name_of(Difference(same[0], 0, "0", "1")) in shown(same[0], 1)
