"""Sorting with safe points: the same as `sort`, whatever the length."""

import random

import pytest

from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.lib.sorting import sort_paced


@pytest.mark.parametrize("length", [0, 1, 2, 1023, 1024, 1025, 2048, 3000, 10_000])
def test_sorts_as_sort_does(length: int) -> None:
    source = random.Random(length)
    values = [source.randrange(-length, length + 1) for _ in range(length)]
    expected = sorted(values)
    sort_paced(values)
    assert values == expected


def test_takes_safe_points(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(type(PACE.rest), "take", lambda self: taken.append(1))
    PACE.left = PACE_BUDGET
    sort_paced(list(range(65_536, 0, -1)))
    assert len(taken) > 20
