"""bytearray: growth, deletion at the front, slices, conversion."""

from __future__ import annotations


def show(buffer: bytearray) -> None:
    print(len(buffer), bytes(buffer).decode())


def main() -> None:
    buffer = bytearray()
    buffer.append(65)
    buffer.extend(b"BCDEF")
    show(buffer)
    buffer[0] = 97
    print(buffer[0], buffer[5], buffer[-1])
    del buffer[:2]
    show(buffer)
    buffer += b"xyz"
    show(buffer[1:4])
    show(buffer)
    other = bytearray(b"12")
    other.extend(buffer)
    show(other)
    for round_number in range(50):
        buffer.extend(b"0123456789")
        del buffer[:9]
    print(len(buffer), buffer[0], buffer[20])
    total = 0
    for value in buffer:
        total += value
    print(total)
    buffer.clear()
    show(buffer)
    zeros = bytearray(5)
    zeros[4] = 255
    print(zeros[0], zeros[4], 255 in zeros, 9 in zeros)
    print(len(zeros[1:]), zeros.pop())


if __name__ == "__main__":
    main()
