"""Numbers of maps and programs."""

from __future__ import annotations

import random

from kernel.bpf.numbers import MOST_NUMBER, Numbers


def test_numbers_grow_and_begin_anew() -> None:
    numbers = Numbers()
    assert [numbers.take() for _ in range(70)] == list(range(1, 71))
    numbers.give_back(3)
    numbers.give_back(40)
    assert numbers.take() == 71
    numbers.last = MOST_NUMBER - 1
    assert [numbers.take() for _ in range(4)] == [MOST_NUMBER, 3, 40, 72]


def test_numbers_are_listed() -> None:
    numbers = Numbers()
    chance = random.Random(1)
    used = {numbers.take() for _ in range(500)}
    for each in chance.sample(sorted(used), 430):
        numbers.give_back(each)
        used.discard(each)
    numbers.last = 1_000_000
    used.add(numbers.take())
    found = [0]
    while (following := numbers.next_used(found[-1])) != 0:
        found.append(following)
    assert found[1:] == sorted(used)
