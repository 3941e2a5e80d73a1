"""A field that was tested, and that a call has changed since."""

# traps: AttributeError at line 42

from __future__ import annotations


class Animal:
    def __init__(self) -> None:
        self.legs = 4


class Dog(Animal):
    def __init__(self) -> None:
        super().__init__()
        self.tricks = 3


class Owner:
    pet: Animal

    def __init__(self) -> None:
        self.pet = Dog()

    def swap(self) -> None:
        self.pet = Animal()


def quiet(owner: Owner) -> int:
    if isinstance(owner.pet, Dog):
        return owner.pet.tricks
    return 0


def main() -> None:
    owner = Owner()
    print(quiet(owner))
    if isinstance(owner.pet, Dog):
        owner.pet.tricks = 5
        print(quiet(owner))
        owner.swap()
        print(owner.pet.tricks)
