"""The speed gate: each kernel computes what its C twin computes, within its budget of instructions."""

from __future__ import annotations

import pytest

from compiler.backend import KERNEL
from compiler.lower.interfaces import PARTS, Options
from tests.harness.guest import PATIENCE
from tests.twins.measure import (
    BUDGETS,
    MEAN_BUDGET,
    mean,
    measure,
    names,
    shares,
)


@pytest.mark.timeout(int(180 * PATIENCE))
@pytest.mark.parametrize("name", names())
def test_twin(name: str) -> None:
    measured = measure(name)
    print(f"{name}: {measured.python} instructions against {measured.c}, {measured.ratio:.2f}")
    assert measured.same_result
    assert measured.ratio <= BUDGETS[name]


@pytest.mark.timeout(int(600 * PATIENCE))
def test_mean() -> None:
    measurements = [measure(name) for name in names()]
    assert len(measurements) >= 20
    assert mean(measurements) <= MEAN_BUDGET


@pytest.mark.timeout(int(180 * PATIENCE))
def test_parts_are_left_out() -> None:
    """A kernel without a kind of check takes fewer instructions, and without all of them the fewest."""
    found = {key: share for key, share in shares("matrix").shares.items() if share is not None}
    assert found["overflow"] < 1
    assert found["all"] <= min(found.values())


def test_the_kernel_has_all_checks() -> None:
    for part in PARTS:
        with pytest.raises(ValueError, match="the kernel has all checks"):
            Options(KERNEL.name, without=frozenset([part]))
    with pytest.raises(ValueError, match="no part of a program: speed"):
        Options(without=frozenset(["speed"]))
