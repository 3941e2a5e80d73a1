"""A name that nobody defines."""


def main() -> None:
    print(missing)
