"""bool is not an int."""


def take(count: int) -> int:
    return count


def main(flag: bool) -> int:
    total = flag + 1
    total += flag
    count: int = flag
    print(take(flag), -flag, flag == 1)
    values: list[int] = [flag]
    return flag
