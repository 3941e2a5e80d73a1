"""A module that does not exist."""

from kernel.nowhere import thing


def main() -> None:
    thing()
