"""Comments don't switch the type checker off."""

# mypy: disable-error-code="arg-type"


def length(text: bytes) -> int:
    return len(text)


def use() -> int:
    return length(5)
