"""Types must fit."""


def name() -> bytes:
    return "name"
