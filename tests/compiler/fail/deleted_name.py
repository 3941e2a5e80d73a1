"""Variables that a `del` may have taken away."""


def in_branch(number: int) -> int:
    found = number + 1
    if number > 3:
        del found
    return found


def in_loop(number: int) -> int:
    last = number
    for turn in range(number):
        print(last, turn)
        del last
    return number


def in_try(number: int) -> int:
    text = f"{number}"
    try:
        del text
        print(number)
    finally:
        print(text)
    return number


def parameter(number: int) -> int:
    del number
    return 1


def fine(number: int) -> int:
    for turn in range(number):
        half = turn // 2
        print(half)
        del half
    rest = number
    del rest
    rest = 4
    return rest
