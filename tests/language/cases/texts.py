"""str and f-strings: literals, format specifications, concatenation, conversion."""

from __future__ import annotations

from kernel.lang import noinline, u8


@noinline
def same(value: int) -> int:
    return value


def main() -> None:
    name = "Krait"
    number = same(42)
    print("plain", name, number, True, same(0) == 1)
    print(f"{name} {number} {number:5}|{number:<5}|{number:>5}|{number:05}|{-number:05}|")
    print(f"{number:x} {number:X} {number:#x} {number:08x} {number:#010x} {number:b} {number:o} {number:d}")
    print(f"{-number:>6}|{-number:<6}|{-number:06x}|{number:#08b}|")
    print(f"{name:10}|{name:<10}|{name:>10}|{name:3}|{'ä':>3}|{'ä':<3}|")
    print(f"{{braces}} {name}{name}")
    print(f"{-same(9223372036854775807) - 1} {same(9223372036854775807):x} {-number:x}")
    width = f"{number}" + "-" + name
    print(width, len(width), width == "42-Krait", width != name)
    print(len("äöü€"), len("äöü€".encode()), "ä" + "ö")
    print(chr(65), chr(228), chr(8364), ord("A"), ord("€"), chr(128013), ord(chr(128013)))
    print(str(number) + str(same(-7)), f"{True} {number > 5}")
    small = u8(7)
    print(f"{small:3} {small:03d}")
    print("tab\tquote\"backslash\\", "it's")
    print(f"{'it'}{chr(39)}s", "q")
    print()
    print("")
    empty = ""
    print(len(empty), not empty, f"[{empty}]")
    text = ""
    for value in range(30):
        text += f"{value} "
    print(text)


if __name__ == "__main__":
    main()
