"""getattr by string is out."""


class Box:
    def __init__(self) -> None:
        self.value = 1


def main() -> None:
    box = Box()
    print(getattr(box, "value"))
    setattr(box, "value", 2)
