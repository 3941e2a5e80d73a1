"""Metaclasses are out."""


class Meta(type):
    pass


class Box(metaclass=Meta):
    pass
