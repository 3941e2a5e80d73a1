"""Texts: f-strings, their specifications, printing, str methods."""

from __future__ import annotations


def formats(number: int, name: str, data: bytes, flag: bool) -> str:
    plain = f"{number}"
    print(f"a{number:08x}b{name:>5}{data!r}{flag}{{}}", number, name)
    print()
    print("x" + name, len(name), name == plain, name.encode(), data.decode())
    return f"{name}" + str(number)
