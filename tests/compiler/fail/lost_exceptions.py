"""Exceptions that would go without a word."""

from kernel.lang import Errno


def finish(code: int) -> int:
    try:
        raise Errno(code)
    finally:
        return code


def leave(codes: list[int]) -> None:
    for code in codes:
        try:
            raise Errno(code)
        finally:
            break


def ignore(code: int) -> None:
    try:
        raise Errno(code)
    except Errno:
        pass


def explain(code: int) -> None:
    try:
        raise Errno(code)
    except Errno:
        pass  # it is the caller's business to ask again


def inner_loop(codes: list[int]) -> int:
    total = 0
    try:
        total = len(codes)
    finally:
        for code in codes:
            if code == 0:
                break
            total += code
    return total
