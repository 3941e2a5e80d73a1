"""Locals that may have no value where they are read."""

from kernel.lang import Errno


def last(count: int) -> int:
    for i in range(count):
        pass
    return i


def last_of_three() -> int:
    for i in range(3):
        pass
    return i


def maybe(a: int, b: int) -> int:
    if a > 0 and (total := a + b) > 0:
        return total
    return total


def nested(count: int) -> int:
    def add(n: int) -> int:
        return n + step

    if count > 0:
        step = 2
    return add(count)


def searched(items: list[int]) -> int:
    for item in items:
        if item > 3:
            break
    else:
        return 0
    return item


def while_true(items: list[int]) -> int:
    while True:
        found = items.pop()
        if found > 3:
            break
    return found


def caught(items: list[int]) -> int:
    try:
        if len(items) == 0:
            raise Errno(2)
        first = items[0]
    except Errno as error:
        first = error.code
    return first
