"""Keys of a dict that have no hash."""


def use(names: list[int]) -> int:
    numbers: dict[list[int], int] = {names: 1}
    texts: dict[bytearray, int] = {}
    return len(numbers) + len(texts)
