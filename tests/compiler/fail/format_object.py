"""What a text may show."""


class Box:
    pass


def main(box: Box, numbers: list[int]) -> None:
    print(f"{box}", numbers)
    print(f"{len(numbers):,} {len(numbers):>8x}")
