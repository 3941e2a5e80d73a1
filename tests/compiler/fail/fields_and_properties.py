"""A name is a field in all classes of a family, or in none; and its type is one."""


class Animal:
    def __init__(self) -> None:
        self.legs = 4


class Dog(Animal):
    def __init__(self) -> None:
        super().__init__()
        self.name = b"rex"


class Owner:
    pet: Animal
    age: int

    def __init__(self) -> None:
        self.pet = Animal()
        self.age = 40


class DogOwner(Owner):
    pet: Dog

    def __init__(self) -> None:
        super().__init__()
        self.pet = Dog()


class Ageless(Owner):
    @property
    def age(self) -> int:
        return 18

    @age.setter
    def age(self, value: int) -> None:
        pass
