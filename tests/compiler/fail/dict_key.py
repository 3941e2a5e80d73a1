"""Keys of dictionaries are simple."""


def main() -> None:
    table: dict[tuple[int, int], int] = {}
    print(len(table))
