"""Classes: overridden in __init__, properties, augmented fields."""

from __future__ import annotations


class A:
    def __init__(self) -> None:
        self.v = self.make()

    def make(self) -> int:
        return 1

    def __str__(self) -> str:
        return f"A{self.v}"


class B(A):
    def __init__(self) -> None:
        super().__init__()
        self.w = self.v + 1

    def make(self) -> int:
        return super().make() + 10

    @property
    def both(self) -> int:
        return self.v + self.w

    @both.setter
    def both(self, n: int) -> None:
        self.w = n - self.v


def overridden() -> None:
    b = B()
    b.both += 5
    print(b.v, b.w, b.both, isinstance(b, A))
    a: A = b
    print(a.make(), A.make(a))


class D:
    def __init__(self) -> None:
        self.text = "a"
        self.data = b"x"
        self.flag = True


def augmented() -> None:
    d = D()
    d.text += "bc"
    d.text *= 2
    d.data += b"y"
    d.data *= 3
    d.flag &= False
    d.flag |= True
    t = "z"
    t *= 3
    print(d.text, d.data, d.flag, t)


def main() -> None:
    overridden()
    augmented()


if __name__ == "__main__":
    main()
