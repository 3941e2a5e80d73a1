"""A global that was tested, and that a call has rebound since."""

# traps: AttributeError at line 37

from __future__ import annotations


class Animal:
    def __init__(self) -> None:
        self.legs = 4


class Dog(Animal):
    def __init__(self) -> None:
        super().__init__()
        self.tricks = 3


pet: Animal | None = None


def keep(animal: Animal | None) -> None:
    global pet
    pet = animal


def main() -> None:
    keep(Dog())
    if isinstance(pet, Dog):
        print(pet.tricks)
    if pet is not None:
        print(pet.legs)
        keep(Dog())
        print(pet.legs)
    if isinstance(pet, Dog):
        keep(Animal())
        print(pet.tricks)
