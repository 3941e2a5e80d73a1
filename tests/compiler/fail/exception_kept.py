"""An exception is a number and no object, and its `__init__` is not called."""

from kernel.lang import Errno, KernelError


class Twice(KernelError):
    def __init__(self, code: int) -> None:
        self.code = code * 2


class Place(KernelError):
    def __init__(self, line: int, column: int) -> None:
        super().__init__(line - column)


class Fixed(KernelError):
    def __init__(self) -> None:
        super().__init__(44)


class Plain(KernelError):
    def __init__(self, code: int = 3) -> None:
        self.code = code


class Passing(Plain):
    def __init__(self, code: int) -> None:
        super().__init__(code)


class Holder:
    def __init__(self, error: Plain) -> None:
        self.error = error


def optional(number: int) -> int:
    last: Plain | Passing | None = None
    if number > 3:
        last = Plain(number)
    return 0 if last is None else last.code


def in_a_list(number: int) -> int:
    errors = [Plain(number), Passing(number)]
    return errors[0].code


def in_a_tuple(number: int) -> int:
    pair = number, Errno(number)
    return pair[1].code


def or_an_object(number: int) -> Holder | Plain:
    return Plain(number)
