"""Data classes are out."""

from dataclasses import dataclass


@dataclass
class Point:
    x: int


def main() -> int:
    return Point(1).x
