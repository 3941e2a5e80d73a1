"""The blocks that lie in loops, found at once, are those from which a search for each block comes back to it."""

from __future__ import annotations

import random

from compiler.escape.lifetimes import in_circles


def comes_back(after: dict[str, list[str]], start: str) -> bool:
    seen: set[str] = set()
    todo = list(after[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += after[name]
    return start in seen


def test_random_graphs() -> None:
    source = random.Random(1)
    for _ in range(500):
        names = [f"b{number}" for number in range(source.randint(1, 12))]
        after = {name: source.choices(names, k=source.choice((0, 1, 1, 2))) for name in names}
        assert in_circles(after) == {name for name in names if comes_back(after, name)}, after


def test_a_long_way() -> None:
    """As deep as a function is long: no recursion."""
    after = {str(number): [str(number + 1)] for number in range(50_000)} | {"50000": ["25000"]}
    assert in_circles(after) == {str(number) for number in range(25_000, 50_001)}
