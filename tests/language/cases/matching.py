"""match: ints, or-patterns, guards, captures, classes with fields, bool, bytes."""

from __future__ import annotations


class Expression:
    pass


class Number(Expression):
    value: int

    def __init__(self, value: int) -> None:
        self.value = value


class Sum(Expression):
    left: Expression
    right: Expression

    def __init__(self, left: Expression, right: Expression) -> None:
        self.left = left
        self.right = right


class Negation(Expression):
    operand: Expression

    def __init__(self, operand: Expression) -> None:
        self.operand = operand


def evaluate(expression: Expression) -> int:
    match expression:
        case Number(value=0):
            return 1000
        case Number():
            return expression.value
        case Sum() as total:
            return evaluate(total.left) + evaluate(total.right)
        case Negation():
            return -evaluate(expression.operand)
        case _:
            return -1


def classify(number: int) -> str:
    match number:
        case 0:
            return "zero"
        case 1 | 2 | 3:
            return "few"
        case n if n < 0:
            return f"negative {n}"
        case -5:
            return "never"
        case 100:
            return "hundred"
        case other:
            return f"many {other}"


def verb(word: bytes) -> int:
    match word:
        case b"go":
            return 1
        case b"stop" | b"halt":
            return 2
        case _:
            return 3


def one_of_both(number: int) -> str:
    match number:
        case True:
            return "True itself"
        case False:
            return "False itself"
        case 1:
            return "one"
        case 0:
            return "zero"
    return "neither"


def answer(known: bool | None) -> str:
    match known:
        case True:
            return "yes"
        case False:
            return "no"
        case None:
            return "unknown"


def number_of(known: bool) -> int:
    match known:
        case 1:
            return 10
        case 0:
            return 20
    return 30


def main() -> None:
    for number in (1, 0, 2):
        print(one_of_both(number))
    print(answer(True), answer(False), answer(None), number_of(True), number_of(False))
    tree = Sum(Number(3), Negation(Sum(Number(10), Number(0))))
    print(evaluate(tree), evaluate(Expression()))
    for number in (0, 2, -5, 100, 7):
        print(classify(number))
    print(verb(b"go"), verb(b"halt"), verb(b"stop"), verb(b""))


if __name__ == "__main__":
    main()
