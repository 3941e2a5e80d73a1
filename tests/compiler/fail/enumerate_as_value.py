"""enumerate runs in for only."""


def main(values: list[int]) -> None:
    for place, value in enumerate(values):
        print(place, value)
    pairs = enumerate(values)
