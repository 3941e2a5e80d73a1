"""eval is out."""


def main() -> None:
    eval("1 + 1")
