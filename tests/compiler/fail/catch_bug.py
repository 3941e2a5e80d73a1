"""Bugs can't be caught."""


def main() -> None:
    try:
        print([1][0])
    except IndexError:
        pass
    except Exception:
        pass
