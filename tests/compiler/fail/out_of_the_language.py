"""Python that Kernel Python has not, each with a sentence and a hint."""


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
