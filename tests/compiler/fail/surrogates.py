"""Half a pair of surrogates has no UTF-8."""

from __future__ import annotations


def main() -> None:
    print(len("\ud800".encode()))
    print(f"{1}\udfff")
