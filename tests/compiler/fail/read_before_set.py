"""Fields that are read before they are set, or that somebody else could read."""


class Early:
    def __init__(self) -> None:
        self.double = self.twice()
        self.number = 5

    def twice(self) -> int:
        return self.number * 2


class Base:
    def __init__(self) -> None:
        self.tag = self.kind()

    def kind(self) -> int:
        return 0


class Derived(Base):
    def __init__(self, kind: int) -> None:
        super().__init__()
        self.own = kind

    def kind(self) -> int:
        return self.own


class Branched:
    def __init__(self, deep: bool) -> None:
        if deep:
            self.depth = 3


class Forgetful(Base):
    def __init__(self) -> None:
        self.other = 1


class Listener:
    def __init__(self) -> None:
        self.sources: list[Source] = []

    def total(self) -> int:
        total = 0
        for source in self.sources:
            total += source.level
        return total


class Source:
    def __init__(self, listener: Listener) -> None:
        listener.sources.append(self)
        self.before = listener.total()
        self.level = 1


class Registered:
    def __init__(self, listeners: list["Registered"]) -> None:
        listeners.append(self)
        self.count = len(listeners)
