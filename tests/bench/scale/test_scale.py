"""What an operation costs does not depend on how much else there is."""

from __future__ import annotations

import pytest

from tests.bench.scale.__main__ import ROWS, SOURCE, is_flat, measure, runs
from tests.harness.guest import PATIENCE

SIZES = 2
pytestmark = pytest.mark.timeout(int(900 * PATIENCE))


def test_every_row_of_the_program_is_measured() -> None:
    source = SOURCE.read_text()
    assert all(f'{{"{row.name}", ' in source for row in ROWS)
    assert source.count('    {"') == len(ROWS)


def test_costs_are_flat(root_image: object) -> None:
    costs: dict[str, dict[int, float]] = {}
    for row, size, cost in measure(runs(ROWS, SIZES)):
        costs.setdefault(row.name, {})[size] = cost
    steep = [f"{row.name}: {costs[row.name]}" for row in ROWS if not row.pending and not is_flat(row, costs[row.name])]
    assert not steep, "\n".join(steep)
    mended = [row.name for row in ROWS if row.pending and is_flat(row, costs[row.name])]
    assert not mended, f"flat now, no longer pending: {mended}"
