"""A name for a type that contains itself."""

from __future__ import annotations

Tree = list["Tree"]


def leaves(tree: Tree) -> int:
    return sum(leaves(branch) for branch in tree) if len(tree) > 0 else 1


def main() -> None:
    print(leaves([[], []]))
