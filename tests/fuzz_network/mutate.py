"""Damage to frames: bits, bytes, lengths, cuts, and splices; then most lengths and checksums are made right again, so
that the damage is met by more than the first check.
"""

from __future__ import annotations

import random

_ETHER = 14
_TCP, _UDP, _ICMP, _IGMP, _ICMP6 = 6, 17, 1, 2, 58
_EXTENSIONS = (0, 43, 60)  # whose second byte is a length in units of 8
_BYTES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 20, 40, 58, 60, 63, 64, 127, 128, 254, 255)
_WORDS = (0, 1, 2, 7, 8, 19, 20, 21, 40, 60, 64, 127, 128, 255, 256, 576, 1280, 1499, 1500, 1501, 0x7FFF, 0x8000,
          0x8001, 0xFFF0, 0xFFF8, 0xFFFE, 0xFFFF, 0x2000, 0x1FFF, 0x3FFF)  # fmt: skip
_LONGS = (0, 1, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF)
_LONGEST_FRAME = 1514


def internet_sum(data: bytes | bytearray | memoryview, total: int = 0) -> int:
    """The Internet checksum: a sum of 16-bit words modulo 2**16 - 1, which is the remainder of the whole number."""
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    total = (total + number) % 0xFFFF
    return 0xFFFF - total if total != 0 else 0xFFFF if not number else 0


def _store16(frame: bytearray, at: int, value: int) -> None:
    if at + 2 <= len(frame):
        frame[at] = value >> 8 & 0xFF
        frame[at + 1] = value & 0xFF


def damage(frame: bytearray, source: random.Random, templates: list[bytes]) -> None:
    """One to three changes anywhere after the link addresses."""
    for _ in range(1 + source.getrandbits(2) % 3):
        kind = source.getrandbits(4)
        if len(frame) <= _ETHER:
            return
        at = _ETHER + int(source.random() * (min(len(frame), 120) - _ETHER))
        if kind < 4:
            frame[at] ^= 1 << source.getrandbits(3)
        elif kind < 7:
            frame[at] = source.choice(_BYTES)
        elif kind < 10:
            _store16(frame, at & ~1, source.choice(_WORDS))
        elif kind < 11:
            frame[at : at + 4] = source.choice(_LONGS).to_bytes(4, "big")
        elif kind < 12:
            del frame[at:]
        elif kind < 13:
            frame += source.randbytes(source.getrandbits(6))
        elif kind < 14:
            frame[at : at + 16] = source.randbytes(16)
        elif kind < 15:
            other = source.choice(templates)
            frame[at:] = other[min(at, len(other)) :]
        else:
            length = source.getrandbits(5)
            frame[at:at] = frame[max(_ETHER, at - length) : at]
    del frame[_LONGEST_FRAME:]


def repair(frame: bytearray, source: random.Random) -> None:
    """Make most lengths and checksums right."""
    if len(frame) < _ETHER + 20:
        return
    choice = source.getrandbits(5)
    if choice == 0:
        return
    kind = frame[12] << 8 | frame[13]
    if kind == 0x0800:
        _repair4(frame, choice)
    elif kind == 0x86DD and len(frame) >= _ETHER + 40:
        _repair6(frame, choice)


def _repair4(frame: bytearray, choice: int) -> None:
    if choice & 3:
        frame[_ETHER] = 0x40 | (frame[_ETHER] & 0xF if choice & 4 else max(5, frame[_ETHER] & 0xF))
        _store16(frame, _ETHER + 2, len(frame) - _ETHER)
    header = (frame[_ETHER] & 0xF) * 4
    if choice != 1:
        _store16(frame, _ETHER + 10, 0)
        _store16(frame, _ETHER + 10, internet_sum(frame[_ETHER : _ETHER + header]))
    if frame[_ETHER + 6] & 0x1F == 0 and frame[_ETHER + 7] == 0 and choice != 2:
        _repair_transport(frame, _ETHER + header, frame[_ETHER + 9], bytes(frame[_ETHER + 12 : _ETHER + 20]), choice)


def _repair6(frame: bytearray, choice: int) -> None:
    if choice & 3:
        frame[_ETHER] = 0x60
        _store16(frame, _ETHER + 4, len(frame) - _ETHER - 40)
    at = _ETHER + 40
    protocol = frame[_ETHER + 6]
    for _ in range(8):
        if protocol not in _EXTENSIONS or at + 8 > len(frame):
            break
        protocol = frame[at]
        at += 8 + frame[at + 1] * 8
    if choice != 2:
        _repair_transport(frame, at, protocol, bytes(frame[_ETHER + 8 : _ETHER + 40]), choice)


def _repair_transport(frame: bytearray, at: int, protocol: int, addresses: bytes, choice: int) -> None:
    length = len(frame) - at
    if length < 8:
        return
    if protocol == _TCP and length >= 20:
        place = at + 16
        if choice & 8 and frame[at + 12] >> 4 < 5:
            frame[at + 12] |= 0x50
    elif protocol == _UDP:
        place = at + 6
        if choice & 12:
            _store16(frame, at + 4, length)
    elif protocol in (_ICMP, _IGMP, _ICMP6):
        place = at + 2
    else:
        return
    total = 0
    if protocol not in (_ICMP, _IGMP):
        total = int.from_bytes(addresses, "big") + protocol + length
    _store16(frame, place, 0)
    _store16(frame, place, internet_sum(memoryview(frame)[at:], total))
