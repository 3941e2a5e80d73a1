"""nonlocal is out."""


def main() -> None:
    count = 0

    def add() -> None:
        nonlocal count
        count += 1

    add()
    print(count)
