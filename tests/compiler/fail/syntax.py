"""A syntax error."""


def main() -> None:
    print("a"
