"""raise, try, except, else, finally, re-raise, own exceptions, through several frames."""

from __future__ import annotations

from kernel.lang import Errno, KernelError


class Closed(KernelError):
    pass


class Refused(KernelError):
    code: int

    def __init__(self, code: int) -> None:
        self.code = code


class Worse(Refused):
    pass


def act(step: int) -> int:
    if step == 1:
        raise Errno(2)
    if step == 2:
        raise Closed()
    if step == 3:
        raise Refused(33)
    if step == 4:
        raise Worse(44)
    return step * 10


def middle(step: int) -> int:
    try:
        return act(step) + 1
    finally:
        print("finally", step)


def guarded(step: int) -> int:
    try:
        result = middle(step)
    except Errno as error:
        print("errno", error.code)
        return -1
    except Worse as worse:
        print("worse", worse.code)
        return -2
    except Refused as refused:
        print("refused", refused.code)
        raise
    except Closed:
        print("closed")
        result = -4
    else:
        print("else", result)
    return result


def nested(step: int) -> str:
    try:
        try:
            act(step)
        except Closed:
            raise Errno(5)
        finally:
            print("inner")
    except Errno as error:
        return f"errno {error.code}"
    except KernelError:
        return "kernel error"
    return "fine"


def loops() -> int:
    total = 0
    for step in range(6):
        try:
            if step == 4:
                break
            total += act(step)
        except KernelError:
            total += 1000
            continue
        finally:
            total += 1
    return total


def override(flag: bool) -> int:
    try:
        if flag:
            return 1
        raise Errno(1)
    except Errno:
        return 2
    finally:
        print("leaving")


def either(step: int) -> str:
    try:
        act(step)
    except (Closed, Refused):
        return "either"
    except Errno:
        return "errno"
    return "none"


def main() -> None:
    for step in range(5):
        try:
            print("result", guarded(step))
        except Refused as refused:
            print("again", refused.code)
    for step in range(5):
        print(nested(step), either(step))
    print(loops(), override(True), override(False))


if __name__ == "__main__":
    main()
