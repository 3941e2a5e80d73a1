"""Slices are not assigned to."""


def main(data: bytearray) -> None:
    data[0:2] = b"ab"
