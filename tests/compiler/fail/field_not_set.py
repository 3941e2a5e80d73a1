"""Every field gets a value."""


class Box:
    width: int
    height: int

    def __init__(self) -> None:
        self._measure()

    def _measure(self) -> None:
        self.width = 1
