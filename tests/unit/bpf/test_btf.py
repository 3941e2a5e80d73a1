"""Descriptions of types: which are taken. What is expected is what Linux answers (the case bpf_types)."""

from __future__ import annotations

import random
import struct

import pytest

from kernel.bpf.btf import Btf
from kernel.bpf.btf_check import Check
from kernel.bpf.btf_resolve import Resolution
from kernel.bpf.log import Log
from kernel.bpf.maps import NOT_SUPPORTED
from kernel.lang import E2BIG, EEXIST, EINVAL, ELOOP, Errno

NAMES = b"\0int\0a\0b-\0sec.x\0\x009\0f\0 \0tag\0"
A, BAD, SECTION_NAME, TAG = 5, 7, 10, 23
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)


def kind(name: int, number: int, operand: int, *more: int, length: int = 0, flag: int = 0) -> bytes:
    return struct.pack(f"<{3 + len(more)}I", name, flag << 31 | number << 24 | length, operand, *more)


WORD = kind(1, INT, 4, 32)
"""Type 1 of most."""


def blob(types: bytes, names: bytes = NAMES, **changes: int) -> bytes:
    fields = {"magic": 0xEB9F, "version": 1, "flags": 0, "header": 24, "type_at": 0, "type_size": len(types)}
    fields |= {"name_at": len(types), "name_size": len(names)} | changes
    return struct.pack("<HBB5I", *fields.values()) + types + names


def error_of(data: bytes) -> int:
    """0 if it is taken."""
    btf = Btf(data)
    try:
        Check(btf, Log(1)).run()
        Resolution(btf, Log(1)).run()
    except Errno as error:
        return error.code
    return 0


CASES = {
    "an integer": (WORD, 0),
    "too many bits": (kind(1, INT, 4, 33), EINVAL),
    "two encodings": (kind(1, INT, 4, 3 << 24 | 32), NOT_SUPPORTED),
    "a bad name": (kind(BAD, INT, 4, 32) + kind(BAD, STRUCT, 0), EINVAL),
    "no such name": (kind(4000, INT, 4, 32), EINVAL),
    "an integer cut": (kind(1, INT, 4), EINVAL),
    "an unknown kind": (kind(1, 20, 4), EINVAL),
    "a pointer to void": (kind(0, PTR, 0), 0),
    "a pointer to nothing": (kind(0, PTR, 9), EINVAL),
    "a pointer to itself": (kind(0, PTR, 1), EEXIST),
    "two pointers to each other": (kind(0, PTR, 2) + kind(0, PTR, 1), EEXIST),
    "a typedef without a name": (WORD + kind(0, TYPEDEF, 1), EINVAL),
    "a const with a name": (WORD + kind(A, CONST, 1), EINVAL),
    "a tag behind a const": (WORD + kind(TAG, TYPE_TAG, 1) + kind(0, CONST, 2), EINVAL),
    "a tag before a const": (WORD + kind(0, CONST, 1) + kind(TAG, TYPE_TAG, 2), 0),
    "an array": (WORD + kind(0, ARRAY, 0, 1, 1, 5), 0),
    "an array of itself": (WORD + kind(0, ARRAY, 0, 2, 1, 5), EEXIST),
    "an array by a pointer": (WORD + kind(0, PTR, 1) + kind(0, ARRAY, 0, 1, 2, 5), EINVAL),
    "an array of void": (WORD + kind(0, ARRAY, 0, 0, 1, 5), EINVAL),
    "too long an array": (WORD + kind(0, ARRAY, 0, 1, 1, 1 << 30), EINVAL),
    "a struct": (WORD + kind(A, STRUCT, 8, A, 1, 0, 0, 1, 32, length=2), 0),
    "members backwards": (WORD + kind(A, STRUCT, 8, A, 1, 32, 0, 1, 0, length=2), EINVAL),
    "a member beyond": (WORD + kind(A, STRUCT, 8, A, 1, 48, length=1), EINVAL),
    "a struct of itself": (kind(A, STRUCT, 8, A, 1, 0, length=1), EEXIST),
    "a struct with a pointer to itself": (kind(A, STRUCT, 8, A, 2, 0, length=1) + kind(0, PTR, 1), 0),
    "bits": (WORD + kind(A, STRUCT, 4, A, 1, 3 << 24, 0, 1, 5 << 24 | 3, length=2, flag=1), 0),
    "bits of a pointer": (WORD + kind(0, PTR, 1) + kind(A, STRUCT, 8, A, 2, 3 << 24, length=1, flag=1), EINVAL),
    "a union with a distance": (WORD + kind(A, UNION, 8, A, 1, 32, length=1), EINVAL),
    "a float that is not aligned": (kind(A, FLOAT, 8) + kind(A, STRUCT, 16, A, 1, 32, length=1), EINVAL),
    "an enum": (kind(A, ENUM, 4, A, 1, length=1), 0),
    "an enum of three bytes": (kind(A, ENUM, 3, A, 1, length=1), EINVAL),
    "an enum of 64 bits": (kind(A, ENUM64, 8, A, 1, 2, length=1), 0),
    "a function": (WORD + kind(0, PROTO, 1, A, 1, length=1) + kind(19, FUNC, 2), 0),
    "an argument without a name": (WORD + kind(0, PROTO, 1, 0, 1, length=1) + kind(19, FUNC, 2), EINVAL),
    "more arguments": (WORD + kind(0, PROTO, 1, A, 1, 0, 0, length=2), 0),
    "a result without a size": (kind(A, FWD, 0) + kind(0, PROTO, 1), EINVAL),
    "a section": (WORD + kind(A, VAR, 1, 1) + kind(SECTION_NAME, DATASEC, 8, 2, 0, 4, length=1), 0),
    "a section of integers": (WORD + kind(SECTION_NAME, DATASEC, 8, 1, 0, 4, length=1), EINVAL),
    "a variable of void": (kind(A, VAR, 0, 1), EINVAL),
    "a tag of a member": (WORD + kind(A, STRUCT, 4, A, 1, 0, length=1) + kind(TAG, DECL_TAG, 2, 0), 0),
    "a tag of no member": (WORD + kind(A, STRUCT, 4, A, 1, 0, length=1) + kind(TAG, DECL_TAG, 2, 1), EINVAL),
    "a tag of an integer": (WORD + kind(TAG, DECL_TAG, 1, 0xFFFF_FFFF), EINVAL),
}


@pytest.mark.parametrize("name", CASES)
def test_types(name: str) -> None:
    types, code = CASES[name]
    assert error_of(blob(types)) == code


def test_chains_have_a_greatest_length() -> None:
    def chain(kind_number: int, length: int) -> bytes:
        return b"".join(kind(0, kind_number, at + 1 if at < length else 0) for at in range(1, length + 1))

    assert error_of(blob(chain(PTR, 32))) == 0 and error_of(blob(chain(PTR, 33))) == E2BIG
    assert error_of(blob(chain(CONST, 32))) == 0 and error_of(blob(chain(CONST, 33))) in (E2BIG, ELOOP)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0), ({"magic": 1}, EINVAL), ({"version": 2}, NOT_SUPPORTED), ({"flags": 1}, NOT_SUPPORTED),
        ({"header": 28}, E2BIG), ({"header": 1 << 20}, EINVAL), ({"type_at": 4}, EINVAL), ({"type_size": 0}, EINVAL),
        ({"type_size": 20}, EINVAL), ({"name_at": 0}, EINVAL), ({"name_size": 0}, EINVAL), ({"name_size": 99}, EINVAL),
    ],
)  # fmt: skip
def test_headers(changes: dict[str, int], code: int) -> None:
    assert error_of(blob(WORD, NAMES, **changes)) == code


def test_names_end() -> None:
    assert error_of(blob(WORD, b"\0int")) == EINVAL
    assert error_of(blob(WORD, b"xint\0")) == EINVAL
    assert error_of(blob(kind(1, TYPEDEF, 0), b"\0" + b"a" * 512 + b"\0")) == 0
    assert error_of(blob(kind(1, TYPEDEF, 0), b"\0" + b"a" * 513 + b"\0")) == EINVAL


@pytest.mark.parametrize("size", range(0, 60, 3))
def test_what_is_cut_is_refused(size: int) -> None:
    data = blob(WORD + kind(0, PTR, 1))
    assert size >= len(data) or error_of(data[:size]) != 0


def test_random_types_are_taken_or_refused() -> None:
    """Nothing else may happen, and what was taken can be followed to its end."""
    chance = random.Random(7)
    sound = [types for types, code in CASES.values() if code == 0]
    taken = 0
    for _ in range(1500):
        types = bytearray(b"".join(chance.choice(sound) for _ in range(chance.randrange(1, 6))))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(0, len(types), 4)
            word = chance.choice([0, 1, 2, 3, 5, 8, 32, 64, 1 << 24 | 1, chance.getrandbits(32)])
            struct.pack_into("<I", types, at, word)
        data = bytearray(blob(bytes(types)))
        if chance.random() < 0.1:
            data[chance.randrange(len(data))] = chance.randrange(256)
        btf = Btf(bytes(data))
        try:
            Check(btf, Log(0)).run()
            Resolution(btf, Log(0)).run()
        except Errno:
            continue
        taken += 1
        for number in range(1, btf.count()):
            end = btf.sized(number)
            assert end == -1 or btf.size(end) >= 0
    assert taken > 50
