"""There is no Any."""

from typing import Any


def show(value: Any) -> None:
    pass
