"""Huge pages on the command line."""

import pytest

from kernel.mm.huge_pool import GIGANTIC, POOL
from kernel.start.huge_pages import set_huge_pages_aside


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (b"quiet hugepages=3", [(POOL, 3)]),
        (b"hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=5", [(GIGANTIC, 2), (POOL, 5)]),
        (b"hugepages=4 hugepagesz=1G hugepages=1", [(POOL, 4), (GIGANTIC, 1)]),
        (b"hugepagesz=64K hugepages=9", []),
        (b"x -- hugepages=1", []),
        (b"hugepages=-1", []),
    ],
)
def test_the_size_before_a_number_counts(
    monkeypatch: pytest.MonkeyPatch, line: bytes, asked: list[tuple[object, int]]
) -> None:
    found: list[tuple[object, int]] = []
    monkeypatch.setattr(type(POOL), "resize", lambda pool, count: found.append((pool, count)))
    set_huge_pages_aside(line)
    assert [each for each in found if each[1] > 0] == asked
