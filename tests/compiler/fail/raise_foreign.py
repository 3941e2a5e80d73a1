"""Only exceptions of the language are raised."""


def main() -> None:
    raise ValueError("no")


def other() -> None:
    raise NotImplementedError
