"""No row of the benchmark loses 3 % unnoticed, and no row is without a figure."""

from __future__ import annotations

import pytest

from tests.bench.instructions import losses, measure, recorded
from tests.harness.guest import PATIENCE

pytestmark = pytest.mark.timeout(int(600 * PATIENCE))


def test_a_loss_of_three_percent_is_seen() -> None:
    known = {"one": 1000.0, "other": 1000.0}
    assert losses({"one": 1029.0, "other": 900.0}, known) == []
    assert losses({"one": 1031.0, "other": 1029.0}, known) == ["one: 1031 instructions, +3.1%"]


def test_no_row_costs_more_than_is_recorded(root_image: object) -> None:
    known = recorded()
    found = measure()
    assert sorted(found) == sorted(known), "python -m tests.bench.instructions --write"
    lost = losses(found, known)
    assert not lost, "\n".join(lost)
