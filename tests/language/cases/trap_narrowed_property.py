"""A property that gives something else each time."""

# traps: AttributeError at line 33

from __future__ import annotations


class Animal:
    def __init__(self) -> None:
        self.legs = 4


class Dog(Animal):
    def __init__(self) -> None:
        super().__init__()
        self.tricks = 3


class Shelter:
    def __init__(self) -> None:
        self.asked = 0

    @property
    def animal(self) -> Animal:
        self.asked += 1
        return Dog() if self.asked < 3 else Animal()


def main() -> None:
    shelter = Shelter()
    if isinstance(shelter.animal, Dog):
        print(shelter.animal.tricks)
        print(shelter.animal.tricks)
