"""Views of dictionaries run in for only."""


def main(table: dict[int, int]) -> None:
    items = table.items()
    for key, value in table.items():
        print(key, value)
