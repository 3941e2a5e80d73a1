"""Functions: defaults, keywords, recursion, tuples as results, several returns, mutual recursion."""

from __future__ import annotations


def power(base: int, exponent: int = 2, modulus: int = 0) -> int:
    result = 1
    for _ in range(exponent):
        result *= base
        if modulus:
            result %= modulus
    return result


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def extremes(a: int, b: int, c: int) -> tuple[int, int]:
    return min(a, b, c), max(a, b, c)


def is_even(n: int) -> bool:
    return True if n == 0 else is_odd(n - 1)


def is_odd(n: int) -> bool:
    return False if n == 0 else is_even(n - 1)


def nothing(flag: bool) -> None:
    if flag:
        return
    print("fell through")


def describe(name: str, age: int, city: str = "Ulm") -> str:
    return f"{name} {age} {city}"


def many(a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int) -> int:
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h


def main() -> None:
    print(power(3), power(2, 10), power(3, modulus=7, exponent=5), power(base=5))
    print(fibonacci(15))
    low, high = extremes(3, 1, 2)
    print(low, high)
    pair = extremes(9, 8, 7)
    print(pair[0], pair[1])
    print(is_even(10), is_odd(7), is_even(3))
    nothing(True)
    nothing(False)
    print(describe("Ada", 36), describe(age=41, name="Alan", city="Wilmslow"))
    print(many(1, 2, 3, 4, 5, 6, 7, 8))


if __name__ == "__main__":
    main()
