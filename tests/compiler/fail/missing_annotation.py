"""Functions have annotations."""


def show(value):
    pass
