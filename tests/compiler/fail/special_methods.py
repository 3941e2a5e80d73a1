"""Methods that Python would call, and compiled code would not."""


class Key:
    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.number == self.number

    def __hash__(self) -> int:
        return self.number

    def __ne__(self, other: object) -> bool:
        return True


def count(keys: list[Key]) -> int:
    found: dict[Key, int] = {}
    for key in keys:
        found[key] = 1
    return len(found)
