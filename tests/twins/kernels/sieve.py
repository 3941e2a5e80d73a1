"""The sieve of Eratosthenes in a byte buffer."""

from __future__ import annotations

from kernel.lang import noinline, span_of


@noinline
def run(rounds: int) -> int:
    limit = 20000
    flags = span_of(bytearray(limit))
    found = 0
    for _ in range(rounds):
        flags.fill(0)
        for candidate in range(2, limit):
            if flags[candidate] == 0:
                found += 1
                multiple = candidate * 2
                while multiple < limit:
                    flags[multiple] = 1
                    multiple += candidate
    return found


def main() -> None:
    print(run(3))


if __name__ == "__main__":
    main()
