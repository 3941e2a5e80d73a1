"""The complement of flags is for masking only."""

from enum import IntFlag


class Mode(IntFlag):
    READ = 1
    WRITE = 2


def main(mode: Mode) -> None:
    print((mode & ~Mode.READ).value)
    rest = ~mode
    print(rest.value)
