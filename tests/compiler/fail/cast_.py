"""Types are proofs: nobody's word replaces them."""

from typing import TypeGuard, cast, no_type_check, overload


class Animal:
    def __init__(self) -> None:
        self.legs = 4


class Dog(Animal):
    def __init__(self) -> None:
        super().__init__()
        self.name = b"rex"


def as_dog(animal: Animal) -> Dog:
    return cast(Dog, animal)


def is_dog(animal: Animal) -> TypeGuard[Dog]:
    return animal.legs == 4


@no_type_check
def name_of(animal):
    return animal.name


@overload
def twice(value: int) -> int: ...
@overload
def twice(value: bytes) -> bytes: ...
def twice(value: int | bytes) -> int | bytes:
    return b""


def use() -> int:
    return twice(2)
