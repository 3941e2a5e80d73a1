"""A field that was None when it was tested, and that a call has filled since."""

# traps: AssertionError at line 31

from __future__ import annotations


class Owner:
    def __init__(self) -> None:
        self.other: Owner | None = None

    def fill(self) -> None:
        self.other = Owner()


def is_filled(owner: Owner) -> bool:
    return owner.other is not None


def main() -> None:
    owner = Owner()
    if owner.other is None:
        print(owner.other is None)
        owner.fill()
        print(is_filled(owner))
    owner.other = None
    print(is_filled(owner))
    if owner.other is None:
        owner.fill()
        # mypy still believes in None, and so did compiled code
        assert owner.other is None
    print("not reached")
