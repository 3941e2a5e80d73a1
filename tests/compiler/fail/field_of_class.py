"""A field belongs to the objects of a class, not to the class itself."""


class Box:
    width: int

    def __init__(self) -> None:
        self.width = 1


def size() -> int:
    return Box.width
