"""bytes: index, slices, comparison, search, split, strip, join, decode."""

from __future__ import annotations


def show(data: bytes) -> None:
    print(len(data), data.decode())


def show_all(parts: list[bytes]) -> None:
    for part in parts:
        show(part)


def main() -> None:
    data = b"/usr/local/bin"
    print(data[0], data[4], data[-1], len(data))
    show(data[1:4])
    show(data[5:])
    show(data[:4])
    show(data[-3:])
    show(data[:-4])
    show(data[9:2])
    show(data[3:300])
    print(data.find(b"/"), data.find(b"/", 1), data.find(b"zz"), data.rfind(b"/"), data.find(b"local"), data.find(b""))
    print(data.startswith(b"/usr"), data.startswith(b"usr"), data.endswith(b"bin"), data.endswith(b""))
    show_all(data.split(b"/"))
    show_all(data.split(b"/", 2))
    show_all(b" a  b\tc\n".split())
    show(b"  x y \n".strip())
    show(b"--x--".strip(b"-"))
    show(b"  x ".lstrip())
    show(b"  x ".rstrip())
    show(b", ".join([b"a", b"bc", b""]))
    show(b"".join([b"a", b"b"]))
    show(data + b"!" + b"")
    show(b"ab" * 3)
    print(data == b"/usr" + data[4:], data == b"abd", data != b"ab", b"abc" < b"abd", b"ab" < b"abc", b"b" > b"abc", b"" < b"a")
    print(b"local" in data, b"lokal" in data, 47 in data, 48 in data)
    total = 0
    for value in data:
        total += value
    print(total)
    print(bytes(3) == b"\0\0\0", len(bytes(0)), not b"")
    print(int(b"123"), int(b"-77"), int(b"ff", 16), int(b" 42 "), int(b"0x1f", 16), int(b"755", 8))
    text = b"gr\xc3\xbc\xc3\x9fe".decode()
    print(text, len(text), len(text.encode()))
    print(f"{b'raw'!r} {bytes([0, 200, 10, 39])!r}")


if __name__ == "__main__":
    main()
