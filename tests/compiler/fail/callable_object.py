"""Objects are not called."""


class Adder:
    def __call__(self, value: int) -> int:
        return value + 1


def main(adder: Adder) -> int:
    return adder(1)
