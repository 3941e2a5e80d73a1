"""A trap: an exception that nobody catches."""

# traps: Errno at line 19

from __future__ import annotations

from kernel.lang import Errno, noinline


@noinline
def act(step: int) -> int:
    if step > 2:
        raise Errno(9)
    return step


def main() -> None:
    for step in range(5):
        print(act(step))


if __name__ == "__main__":
    main()
