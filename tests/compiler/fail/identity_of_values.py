"""`is` is for objects."""


def main(a: int, b: bytes | None) -> None:
    print(a is 3, b is b"x", b is None)
