"""min and max of sequences, str.join, startswith."""

from __future__ import annotations


def main() -> None:
    print(",".join(["a", "b", "ü"]), "".join([]), "-".join([str(i) for i in range(4)]))
    v = [3, -1, 7]
    print(max(v), min(v), max([5]), min([x * x for x in v]), max([len(s) for s in ["a", "bcd"]]))
    print("hello".startswith("he"), "hello".endswith("lo"))
    b = b"\x05\x09"
    print(max(b), min(bytearray(b"za")))


if __name__ == "__main__":
    main()
