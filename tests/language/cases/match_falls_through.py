"""match without a default: execution continues after it."""

from __future__ import annotations


def describe(number: int) -> str:
    match number:
        case 1:
            return "one"
        case 2:
            return "two"
    return "none"


def main() -> None:
    print(describe(1), describe(2), describe(3))


if __name__ == "__main__":
    main()
