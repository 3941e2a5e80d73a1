"""The speed gate: each kernel computes what its C twin computes, within its budget of instructions."""

from __future__ import annotations

import pytest

from tests.twins.measure import BUDGETS, MEAN_BUDGET, mean, measure, names


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", names())
def test_twin(name: str) -> None:
    measured = measure(name)
    print(f"{name}: {measured.python} instructions against {measured.c}, {measured.ratio:.2f}")
    assert measured.same_result
    assert measured.ratio <= BUDGETS[name]


@pytest.mark.timeout(600)
def test_mean() -> None:
    measurements = [measure(name) for name in names()]
    assert len(measurements) >= 20
    assert mean(measurements) <= MEAN_BUDGET
