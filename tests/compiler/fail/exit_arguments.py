"""Compiled code calls `__exit__` without the exception that is on its way."""

from __future__ import annotations


class Section:
    def __init__(self) -> None:
        self.failed = False

    def __enter__(self) -> None:
        self.failed = False

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.failed = kind is not None


def main() -> None:
    section = Section()
    with section:
        print("inside")
    print(section.failed)
