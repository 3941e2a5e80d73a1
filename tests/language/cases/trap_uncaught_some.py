"""A trap: of the exceptions of a program some are always caught, and one that is raised again leaves it."""

# traps: Stopped at line 44

from __future__ import annotations

from kernel.lang import Errno, KernelError, noinline


class Refused(KernelError):
    pass


class Stopped(Refused):
    pass


class Late(KernelError):
    pass


@noinline
def act(step: int) -> int:
    if step == 1:
        raise Errno(5)
    if step == 2:
        raise Late(6)
    return step


@noinline
def tried(step: int) -> int:
    try:
        return act(step)
    except Errno as error:
        return error.code
    except Late as error:
        return error.code * 2


@noinline
def refuse(step: int) -> int:
    if step > 2:
        raise Stopped(step)
    return step


@noinline
def passed_on(step: int) -> int:
    try:
        return refuse(step)
    except Refused:
        raise


def main() -> None:
    for step in range(5):
        print(tried(step), passed_on(step))


if __name__ == "__main__":
    main()
