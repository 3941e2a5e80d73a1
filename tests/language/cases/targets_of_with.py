"""What `with` assigns to belongs to its block: if that fails, `__exit__` runs."""

from __future__ import annotations

from kernel.lang import Errno


class Manager:
    def __enter__(self) -> int:
        print("enter")
        return 5

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        print("exit")


class Holder:
    def __init__(self) -> None:
        self.stored = 0

    @property
    def value(self) -> int:
        return self.stored

    @value.setter
    def value(self, number: int) -> None:
        if self.stored == number:
            raise Errno(number)
        self.stored = number


def main() -> None:
    holder = Holder()
    for _ in range(2):
        try:
            with Manager() as holder.value:
                print("body", holder.value)
        except Errno as error:
            print("failed", error.code)


if __name__ == "__main__":
    main()
