"""An exception is a number: it is no object, does not change, and has neither methods nor an identity."""

from typing import TypeVar

from kernel.lang import Errno, KernelError

T = TypeVar("T")


class Refused(KernelError):
    def twice(self) -> int:
        return self.code * 2

    def __bool__(self) -> bool:
        return False


LAST = Refused(3)
latest = Errno(0)


def refuse(number: int) -> None:
    if number > 3:
        raise Refused(number)
    raise Errno(number)


def same(value: T) -> T:
    return value


def is_error(value: object) -> bool:
    return isinstance(value, KernelError)


def method() -> int:
    try:
        refuse(1)
    except Refused as error:
        return error.twice()
    return 0


def own_truth() -> bool:
    try:
        refuse(1)
    except Refused as error:
        return bool(error)
    return False


def identity() -> bool:
    try:
        refuse(1)
    except (Refused, Errno) as error:
        other = error
        return error is other
    return False


def changed() -> int:
    try:
        refuse(1)
    except (Refused, Errno) as error:
        error.code = 3
        return error.code
    return 0


def counted() -> int:
    try:
        refuse(1)
    except Errno as error:
        error.code += 3
        return error.code
    return 0


def as_an_object() -> bool:
    try:
        refuse(1)
    except Errno as error:
        return is_error(error)
    return False


def of_any_type() -> int:
    try:
        refuse(1)
    except Errno as error:
        return same(error).code
    return 0


def frozen() -> int:
    return LAST.code


def rebound() -> None:
    global latest
    try:
        refuse(1)
    except Errno as error:
        latest = error
