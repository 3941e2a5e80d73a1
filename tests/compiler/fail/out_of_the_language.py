"""Python that Kernel Python has not, each with a sentence and a hint."""

from kernel.lang import Errno


def many(*values: int) -> int:
    return len(values)


def call_many() -> int:
    return many(1, 2)


def unpack(values: list[int]) -> int:
    return max(*values)


def squares() -> int:
    return len({n * n for n in range(3)})


def factorial(count: int) -> int:
    def step(n: int) -> int:
        return 1 if n == 0 else n * step(n - 1)

    return step(count)


def joined(a: list[int]) -> list[int]:
    return [*a, 1]


def caught_in_groups() -> int:
    try:
        return 1
    except* Errno:
        raise
    return 2


def with_a_default() -> int:
    def step(n: int = 3) -> int:
        return n

    return step()
