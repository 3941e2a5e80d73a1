"""Exceptions: raised again, in else, in with, through finally and loops."""

from __future__ import annotations

from kernel.lang import noinline
from kernel.lang.errors import KernelError


class E1(KernelError):
    def __init__(self, code: int = 3) -> None:
        self.code = code


class E2(E1):
    pass


class E3(KernelError):
    pass


def f(n: int) -> int:
    try:
        if n == 1:
            raise E1(7)
        if n == 2:
            raise E2
        if n == 3:
            raise E3
        print("ok", n)
    except E2 as e:
        print("E2", e.code)
        return e.code
    except (E1, E3) as e:
        print("E1/3", isinstance(e, E1))
        if n == 1:
            raise E2(9) from e
        raise
    else:
        print("else")
        n += 100
    finally:
        print("finally", n)
        n += 1
    return n


def g(n: int) -> int:
    try:
        return f(n)
    except E1 as e:
        try:
            raise E3
        except E3:
            print("inner")
        print("outer", e.code)
        return -e.code
    except E3:
        return -1000


def h() -> int:
    for i in range(10):
        try:
            try:
                if i == 3:
                    raise E1(i)
                if i % 2:
                    continue
                print("i", i)
            finally:
                print("fin", i)
        except E1 as e:
            print("caught", e.code)
            break
    else:
        return 0
    return i


def ways() -> None:
    print(g(0), g(1), g(2), g(3), h())


class M:
    def __init__(self, n: int) -> None:
        self.n = n

    def __enter__(self) -> int:
        print("enter", self.n)
        return self.n * 10

    def __exit__(self, a: object, b: object, c: object) -> None:
        print("exit", self.n)


def f_with_several() -> int:
    with M(1) as a, M(2) as b:
        print(a, b)
        return a + b


def with_several() -> None:
    print(f_with_several())
    for i in range(3):
        with M(i):
            if i == 1:
                break


class E(KernelError):
    pass


@noinline
def f_in_else(n: int) -> int:
    try:
        try:
            print("try")
        except E:
            print("wrong")
        else:
            print("else")
            if n:
                raise E
        finally:
            print("fin")
    except E:
        print("outer")
        return 1
    return 2


def in_else() -> None:
    print(f_in_else(0), f_in_else(1))


def main() -> None:
    ways()
    with_several()
    in_else()


if __name__ == "__main__":
    main()
