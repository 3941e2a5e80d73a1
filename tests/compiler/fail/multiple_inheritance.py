"""A class has one base class."""


class Left:
    pass


class Right:
    pass


class Both(Left, Right):
    pass
