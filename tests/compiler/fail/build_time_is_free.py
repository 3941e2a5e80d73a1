"""What runs while the module is imported may use all of Python."""

from collections.abc import Callable

TABLE: dict[str, Callable[[], int]] = {}


def handler(*names: str) -> Callable[[Callable[[], int]], Callable[[], int]]:
    def enter(function: Callable[[], int]) -> Callable[[], int]:
        for name in {*names}:
            TABLE[name] = function
        return function

    return enter


@handler("one", "uno")
def one() -> int:
    return 1
