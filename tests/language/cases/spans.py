"""Span: views of bytearrays and bytes; sub-spans, loads and stores, copies."""

from __future__ import annotations

from kernel.lang import Span, span_of, u8, u64


def checksum(span: Span[u8]) -> int:
    result = 0
    for value in span:
        result = (result * 31 + value) % 65521
    return result


def main() -> None:
    buffer = bytearray(32)
    span = span_of(buffer)
    span.store_u8(0, 1)
    span.store_u16(2, 0x1234)
    span.store_u32(4, 0xDEADBEEF)
    span.store_u64(8, u64(0x0102030405060708))
    print(span[0], span[2], span[3], span.load_u16(2), span.load_u32(4), span.load_u64(8))
    print(span.load_be16(2), span.load_be32(4))
    middle = span[8:16]
    print(len(middle), middle[0], middle[7])
    middle.fill(7)
    middle[0] = 1
    print(buffer[8], buffer[9], buffer[15], buffer[16])
    span[16:24].copy_from(span[8:16])
    print(buffer[16], buffer[17], len(span[16:16]), len(span[20:]), len(span[:4]))
    print(checksum(span), checksum(span_of(b"hello")))
    copied = span[16:20].to_bytes()
    print(len(copied), copied[0], copied[1])


if __name__ == "__main__":
    main()
