"""A trap runs the `finally` and `with` blocks on its way out, in the function itself and in those that called it, and
no `except`; what they hold is given back.
"""

# traps: OverflowError at line 59

from __future__ import annotations

from kernel.lang import Errno, final, noinline


@final
class Lock:
    def __init__(self, name: str) -> None:
        self.name = name
        self.held = False

    def __enter__(self) -> Lock:
        self.held = True
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.held = False
        print("released", self.name)


@final
class Step:
    def __init__(self, number: int) -> None:
        self.number = number


@noinline
def show(text: str, lock: Lock) -> None:
    print(text, lock.name, lock.held)


def steps(count: int) -> int:
    """Inlined where it may be."""
    total = 0
    for i in range(count):
        try:
            total += i
            if i == 2:
                continue
        finally:
            print("step", i)
    return total


@noinline
def innermost(step: Step, lock: Lock) -> int:
    a, b, c, d, e = step.number, step.number + 1, step.number + 2, step.number + 3, step.number + 4
    show("before", lock)
    try:
        with lock:
            show("inside", lock)
            if step.number > 3:
                return a * (1 << 62) + b + c + d + e
            return a + b + c + d + e
    finally:
        show("after", lock)
        print(a, b, c, d, e, steps(4))


@noinline
def without_clean_up(step: Step, lock: Lock) -> int:
    return innermost(step, lock) + 1


@noinline
def catching(step: Step, lock: Lock) -> int:
    try:
        if step.number < 0:
            raise Errno(5)
        return without_clean_up(step, lock)
    except (Errno, MemoryError):
        print("never")
        return 0
    finally:
        print("left", step.number)


def generate(lock: Lock, count: int) -> int:
    kept: list[Step] = []
    for i in range(count):
        outer = Lock("outer")
        with outer:
            kept.append(Step(i))
            print(catching(kept[i], lock))
    return len(kept)


def main() -> None:
    lock = Lock("inner")
    try:
        print(generate(lock, 9))
    finally:
        show("end", lock)


if __name__ == "__main__":
    main()
