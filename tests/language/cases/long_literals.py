"""List and dict literals that are long enough to be built by calls: numbers, texts, objects, and an item that raises."""

from __future__ import annotations

from kernel.lang import KernelError


class Refused(KernelError):
    pass


class Item:
    value: int

    def __init__(self, value: int) -> None:
        self.value = value


def checked(value: int) -> Item:
    if value == 31:
        raise Refused
    return Item(value)


def numbers() -> list[int]:
    return [
        0, 7, 14, 21, 28, 35, 42, 49, 6, 13, 20, 27, 34, 41, 48, 5, 12, 19, 26, 33, 40, 47, 4, 11, 18, 25,
        32, 39, 46, 3, 10, 17, 24, 31, 38, 45, 2, 9, 16, 23,
    ]


def words() -> list[str]:
    return [
        "w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "w12", "w13", "w14", "w15",
        "w16", "w17", "w18", "w19", "w20", "w21", "w22", "w23", "w24", "w25", "w26", "w27", "w28", "w29",
        "w30", "w31", "w32", "w33", "w34", "w35",
    ]


def objects(first: int) -> list[Item]:
    return [
        checked(first + 0), checked(first + 1), checked(first + 2), checked(first + 3), checked(first + 4),
        checked(first + 5), checked(first + 6), checked(first + 7), checked(first + 8), checked(first + 9),
        checked(first + 10), checked(first + 11), checked(first + 12), checked(first + 13),
        checked(first + 14), checked(first + 15), checked(first + 16), checked(first + 17),
        checked(first + 18), checked(first + 19), checked(first + 20), checked(first + 21),
        checked(first + 22), checked(first + 23), checked(first + 24), checked(first + 25),
        checked(first + 26), checked(first + 27), checked(first + 28), checked(first + 29),
        checked(first + 30), checked(first + 31), checked(first + 32), checked(first + 33),
    ]


def squares() -> dict[str, int]:
    """A key stands here twice: it keeps its place, and has the later value."""
    return {
        "k0": 0, "k1": 1, "k2": 4, "k3": 9, "k4": 16, "k5": 25, "k6": 36, "k7": 49, "k8": 64, "k9": 81,
        "k10": 3, "k11": 24, "k12": 47, "k13": 72, "k14": 2, "k15": 31, "k16": 62, "k17": 95, "k18": 33,
        "k19": 70, "k20": 12, "k21": 53, "k22": 96, "k23": 44, "k24": 91, "k25": 43, "k26": 94, "k27": 50,
        "k28": 8, "k29": 65, "k30": 27, "k31": 88, "k32": 54, "k33": 22, "k34": 89, "k35": 61, "k36": 35,
        "k37": 11, "k38": 86, "k39": 66, "k7": 1000,  # noqa: F601
    }


def by_number(first: int) -> dict[int, Item]:
    return {
        first + 0: checked(first + 0), first + 1: checked(first + 1), first + 2: checked(first + 2),
        first + 3: checked(first + 3), first + 4: checked(first + 4), first + 5: checked(first + 5),
        first + 6: checked(first + 6), first + 7: checked(first + 7), first + 8: checked(first + 8),
        first + 9: checked(first + 9), first + 10: checked(first + 10), first + 11: checked(first + 11),
        first + 12: checked(first + 12), first + 13: checked(first + 13), first + 14: checked(first + 14),
        first + 15: checked(first + 15), first + 16: checked(first + 16), first + 17: checked(first + 17),
        first + 18: checked(first + 18), first + 19: checked(first + 19), first + 20: checked(first + 20),
        first + 21: checked(first + 21), first + 22: checked(first + 22), first + 23: checked(first + 23),
        first + 24: checked(first + 24), first + 25: checked(first + 25), first + 26: checked(first + 26),
        first + 27: checked(first + 27), first + 28: checked(first + 28), first + 29: checked(first + 29),
        first + 30: checked(first + 30), first + 31: checked(first + 31), first + 32: checked(first + 32),
        first + 33: checked(first + 33),
    }


def main() -> None:
    total = 0
    for number in numbers():
        total = total * 3 % 1000003 + number
    print(total, len(numbers()), len(words()), words()[35])
    grown = numbers()
    grown.append(5)
    print(len(grown), grown[40], sum(item.value for item in objects(100)))
    try:
        print(len(objects(0)))
    except Refused:
        print("an item raised")
    named = squares()
    order = 0
    for name, square in named.items():
        order = (order * 31 + len(name) * 7 + square) % 1000003
    print(order, len(named), named["k7"], "k40" in named)
    named["k40"] = 3
    del named["k0"]
    print(len(named), named["k40"], "k0" in named)
    print(sum(item.value for item in by_number(100).values()))
    try:
        print(len(by_number(0)))
    except Refused:
        print("a value raised")


if __name__ == "__main__":
    main()
