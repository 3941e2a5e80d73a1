"""A trap: bytes that are not UTF-8."""

# traps: UnicodeDecodeError at line 10

from __future__ import annotations


def main() -> None:
    for data in [b"ok", b"\xc3\xa4", b"\xed\xa0\x80"]:
        print(data.decode())


if __name__ == "__main__":
    main()
