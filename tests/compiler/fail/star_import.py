"""Star imports are out."""

from kernel.lang import *


def main() -> None:
    pass
