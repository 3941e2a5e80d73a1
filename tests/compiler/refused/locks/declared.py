"""Declarations of guards and locks that make no sense."""

from kernel.lang import SpinLock, atomic, extern, final, guarded_by, holds, ranked, struct, u8, u64


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


@final
@atomic("colour")
class NoNumber:
    def __init__(self) -> None:
        self.size = 0


@atomic("name", "names", "size")
class Names:
    def __init__(self) -> None:
        self.name = "a"  # a text never changes
        self.names = ["a"]
        self.size = 0


@final
class NamesAgain(Names):
    size: int


@final
@atomic("count")
@guarded_by("lock")
class Both:
    def __init__(self) -> None:
        self.lock = Plain()
        self.count = 0


@atomic("offset")
@struct(packed=True)
class Header:
    kind: u8
    offset: u64


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
    NoNumber()
    NamesAgain()
    Both()
    return NoRank().count + int(Header(kind=u8(1), offset=u64(2)).offset)


def by_hand(lock: Plain) -> None:
    lock.__enter__()
