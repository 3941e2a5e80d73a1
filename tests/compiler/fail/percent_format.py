"""% formatting is out."""


def main(width: int) -> None:
    print("%d" % width)
