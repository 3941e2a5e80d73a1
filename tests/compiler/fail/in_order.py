"""`in` whose right side compiled code would compute first."""


class Numbers:
    def __init__(self) -> None:
        self.last = 0

    def __contains__(self, number: int) -> bool:
        return number == self.last


def numbers() -> Numbers:
    return Numbers()


def number() -> int:
    print("number")
    return 1


def use() -> bool:
    return number() in numbers()
