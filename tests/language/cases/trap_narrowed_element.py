"""An element that was tested, and that a call has replaced since."""

# traps: AttributeError at line 33

from __future__ import annotations


class Cat:
    def __init__(self) -> None:
        self.lives = 9


class Dog:
    def __init__(self) -> None:
        self.tricks = 3
        self.age = 12


def swap(animals: list[Cat | Dog]) -> None:
    animals[0] = Cat()


def main() -> None:
    animals: list[Cat | Dog] = [Dog()]
    first = animals[0]
    if isinstance(first, Dog):
        swap(animals)
        print(first.age)
    animals[0] = Dog()
    if isinstance(animals[0], Dog):
        print(animals[0].age)
        swap(animals)
        print(animals[0].age)
