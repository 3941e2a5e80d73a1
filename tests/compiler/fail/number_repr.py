"""A number may be a member of an IntEnum in Python, and then shows as one with !r; texts have no places."""


def shown(number: int) -> str:
    return f"{number!r}"


def named(number: int) -> str:
    return f"{number=}"


def wide(number: int) -> str:
    return f"{number:99999999999999999999}"


def character(text: str) -> str:
    return text[1]


def part(text: str) -> str:
    return text[1:]
