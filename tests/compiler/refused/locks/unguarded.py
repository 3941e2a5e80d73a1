"""Guarded fields without their guard."""

from collections.abc import Callable

from kernel.lang import SpinLock, final, guarded_by, holds, ranked


@ranked(10)
@final
class LevelLock(SpinLock):
    pass


@final
@guarded_by("lock")
class Tank:
    def __init__(self, size: int) -> None:
        self.lock = LevelLock()
        self.size = size  # published once: nobody stores it later
        self.level = 0
        self.level = 1  # a second store, but nobody has the object yet: too clever for the compiler

    def drain(self) -> None:
        self.level = 0

    def is_full(self) -> bool:
        with self.lock:
            pass
        return self.level >= self.size

    @holds("self.lock")
    def _add(self, amount: int) -> None:
        self.level += amount

    def add(self, amount: int) -> None:
        self._add(amount)

    def pour(self, other: "Tank") -> None:
        with self.lock:
            other.level = self.level
            other._add(1)


class Pair:
    def __init__(self) -> None:
        self.tank = Tank(1)

    def swap(self) -> None:
        self.tank = Tank(2)

    def drain(self) -> None:
        with self.tank.lock:
            self.tank.level = 0  # of another tank, perhaps


@final
@guarded_by("lock", "second")
class Named:
    def __init__(self) -> None:
        self.lock = LevelLock()
        self.first = 0
        self.second = 0

    def read(self) -> int:
        return self.first + self.second


TANK = Tank(3)


def drain_all(tanks: list[Tank]) -> None:
    with TANK.lock:
        TANK.drain()
        TANK.level = 0
        tanks[0].level = 0


def total(tank: Tank) -> int:
    match tank:
        case Tank(level=level):
            return level
    return 0


class Source:
    def pull(self, tank: Tank) -> int:
        return 0


class Tap(Source):
    @holds("tank.lock")
    def pull(self, tank: Tank) -> int:
        return tank.level


def pull_from(source: Source) -> int:
    return source.pull(TANK)


def pull_from_any(tank: Tank) -> int:
    with tank.lock:
        return Tap().pull(tank) + pull_from(Source())


@holds("tank.lock")
def level_of(tank: Tank) -> int:
    return tank.level


class Gauge:
    def __init__(self, read: Callable[[Tank], int]) -> None:
        self.read = read


GAUGE = Gauge(level_of)


def read_gauge() -> int:
    with TANK.lock:
        return GAUGE.read(TANK)
