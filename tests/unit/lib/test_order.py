"""Objects by number in chunks, and walks through them, against a dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lib import order as tested
from kernel.lib.order import Order, Walk


def numbers_in(order: Order[str]) -> list[int]:
    """All numbers, after a look at the invariants."""
    found: list[int] = []
    for chunk in order._chunks:
        assert 0 < len(chunk.numbers) == len(chunk.values) <= tested.CHUNK
        assert [str(number) for number in chunk.numbers] == [value.lower() for value in chunk.values]
        found += chunk.numbers
    assert found == sorted(set(found)) and order.is_empty() == (found == [])
    return found


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=300))
def test_steps(steps: list[tuple[bool, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("CHUNK", 8), ("_HALF", 4), ("_FEW", 2)):
            patch.setattr(tested, name, value)
        order: Order[str] = Order()
        model: set[int] = set()
        for adds, number in steps:
            if adds:
                order.put(number, str(number))
                model.add(number)
            else:
                order.remove(number)
                model.discard(number)
            assert numbers_in(order) == sorted(model)
            assert order.last_to(number) == max((str(n) for n in model if n <= number), key=int, default=None)
            assert order.get(number) == (str(number) if number in model else None)
        walk = Walk(order, 10)
        assert [int(value) for value in iter(walk.next, None)] == sorted(n for n in model if n >= 10)
        assert [int(value) for value in iter(order.take_last, None)] == sorted(model, reverse=True)
        assert order.is_empty()


def test_another_object_of_a_number_takes_the_place() -> None:
    order: Order[str] = Order()
    for value in ("a", "b"):
        order.put(7, value)
    walk = Walk(order)
    assert (walk.next(), walk.next()) == ("b", None)


def test_a_walk_meets_all_that_stay() -> None:
    """Every second one goes while it is under way, and more come."""
    order: Order[int] = Order()
    for number in range(0, 4000, 2):
        order.put(number, number)
    walk = Walk(order)
    met = []
    while (value := walk.next()) is not None:
        met.append(value)
        if value < 4000:
            order.remove(3998 - value if value % 4 == 0 else 5000)
            order.put(value + 4001, value + 4001)
    assert {n for n in range(0, 4000, 2) if n < 2000 or n % 4 == 0} <= set(met)
    assert met == sorted(met) and len(met) > 2000


def test_few_chunks_are_left_of_many() -> None:
    order: Order[int] = Order()
    for number in range(100_000):
        order.put(number, number)
    for number in range(100_000):
        if number % tested.CHUNK != 0:
            order.remove(number)
    left = 100_000 // tested.CHUNK + 1
    assert sum(len(chunk.numbers) for chunk in order._chunks) == left
    assert len(order._chunks) < left // 16
