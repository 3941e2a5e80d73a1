"""Functions inside functions, where it depends on the way which one is meant."""

from collections.abc import Callable


def double(number: int) -> int:
    return number * 2


def call(function: Callable[[int], int], number: int) -> int:
    return function(number)


def call_another(function: Callable[[int], int], number: int) -> int:
    if number > 1:
        function = double
    return function(number)


def pick(number: int) -> int:
    if number > 1:

        def step(value: int) -> int:
            return value + 1

    else:

        def step(value: int) -> int:
            return value - 1

    return call(step, number)


def use(number: int) -> int:
    return pick(number) + call_another(lambda value: value + 1, number)
