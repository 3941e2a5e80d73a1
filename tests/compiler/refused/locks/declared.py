"""Declarations of guards and locks that make no sense."""

from kernel.lang import SpinLock, extern, final, guarded_by, holds, ranked


class Unranked(SpinLock):
    pass


@ranked(0)
class TooLow(SpinLock):
    pass


@ranked(10)
class Plain(SpinLock):
    pass


@ranked(20)
class Derived(Plain):
    pass


@ranked(30)
class Busy(SpinLock):
    def count(self) -> int:
        return 0


@final
@guarded_by("lock")
class NoLock:
    def __init__(self) -> None:
        self.lock = 0


@final
@guarded_by("lock", "colour")
class NoField:
    def __init__(self) -> None:
        self.lock = Plain()


@final
@guarded_by("lock")
class Changed:
    def __init__(self) -> None:
        self.lock = Plain()
        self.count = 0

    def change(self) -> None:
        self.lock = Plain()


@final
@guarded_by("lock")
class NoRank:
    def __init__(self) -> None:
        self.lock = SpinLock()
        self.count = 0


@guarded_by("lock")
class Base:
    def __init__(self) -> None:
        self.lock = Plain()
        self.count = 0


@final
class Again(Base):
    count: int


@extern("take_what_is_guarded")
@holds("base.lock")
def take_it(base: Base) -> None:
    pass


def make() -> int:
    take_it(Again())
    Unranked()
    TooLow()
    Derived()
    Busy()
    NoLock()
    NoField()
    Changed().change()
    return NoRank().count


def by_hand(lock: Plain) -> None:
    lock.__enter__()
